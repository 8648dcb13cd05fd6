//! The system under test: `millwright up` in one process, every service in a process of its own, or
//! every service in a container. `MILLWRIGHT_SYSTEM` chooses: `up` (the default), `services`,
//! `compose`. Tests see a [`System`] and the same methods in all three.

use std::collections::HashMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::compose::Stack;
use crate::process::Process;
pub use crate::process::{Ended, binary, program};

/// In the order in which they are started; ended the other way round.
pub const SERVICES: [&str; 7] =
    ["broker", "identity", "production", "after-service", "processes", "projections", "query-api"];

/// What the tests run against.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// `millwright up`.
    Up,
    /// A process a service.
    Services,
    /// A container a service.
    Compose,
}

impl Mode {
    /// By `MILLWRIGHT_SYSTEM`.
    pub fn chosen() -> Mode {
        match std::env::var("MILLWRIGHT_SYSTEM").as_deref() {
            Err(_) | Ok("" | "up") => Mode::Up,
            Ok("services") => Mode::Services,
            Ok("compose") => Mode::Compose,
            Ok(other) => panic!("MILLWRIGHT_SYSTEM={other}: it is up, services or compose"),
        }
    }
}

/// Says why a test that is about one process alone does not run. `true` when it should.
pub fn needs_up(why: &str) -> bool {
    let up = Mode::chosen() == Mode::Up;
    if !up {
        println!("skipped: {why}; it runs with MILLWRIGHT_SYSTEM=up");
    }
    up
}

enum Parts {
    One(Process),
    Many(HashMap<&'static str, Process>),
    Containers(Stack),
}

/// A running system.
pub struct System {
    parts: Parts,
    /// Listener name → address.
    pub listeners: HashMap<String, String>,
    /// Every line of standard output up to `ready`.
    pub lines: Vec<String>,
    data: PathBuf,
    rate_limit: Option<String>,
}

impl System {
    /// The demo plant on free ports, in the chosen mode.
    pub fn demo(data: &Path) -> System {
        Self::demo_with(data, &[])
    }

    /// The same with more arguments. Services alone know `--rate-limit N`.
    pub fn demo_with(data: &Path, more: &[&str]) -> System {
        Self::demo_as(Mode::chosen(), data, more)
    }

    /// The demo plant in this mode.
    pub fn demo_as(mode: Mode, data: &Path, more: &[&str]) -> System {
        let rate_limit = || match more {
            [] => None,
            ["--rate-limit", n] => Some((*n).to_owned()),
            other => panic!("{other:?} is for MILLWRIGHT_SYSTEM=up"),
        };
        match mode {
            Mode::Up => {
                let mut args =
                    vec!["up", "--demo", "--mqtt", "127.0.0.1:0", "--mqtts", "127.0.0.1:0", "--https", "127.0.0.1:0"];
                args.extend(more);
                Self::start(data, &args, &[])
            }
            Mode::Services => Self::services(data, rate_limit(), &SERVICES),
            Mode::Compose => Self::of_stack(Stack::up(data, rate_limit()), data),
        }
    }

    /// Containers that run already.
    pub fn of_stack(stack: Stack, data: &Path) -> System {
        let (listeners, lines) = (stack.listeners(), vec!["ready".to_owned()]);
        System { parts: Parts::Containers(stack), listeners, lines, data: data.into(), rate_limit: None }
    }

    /// Every service in a process of its own, started in this order. The broker takes free ports at
    /// once: the others have to know where it will be.
    pub fn services(data: &Path, rate_limit: Option<String>, order: &[&'static str]) -> System {
        let made = program(&["init", &data.join("pki").to_string_lossy()], &[]);
        assert_eq!(made.code, Some(0), "{made:?}");
        let mut system = System {
            parts: Parts::Many(HashMap::new()),
            listeners: HashMap::new(),
            lines: Vec::new(),
            data: data.into(),
            rate_limit,
        };
        for name in ["mqtt", "mqtts", "https"] {
            system.listeners.insert(name.to_owned(), format!("127.0.0.1:{}", free_port()));
        }
        for name in order {
            system.spawn_service(name, &binary());
        }
        for name in order {
            system.wait_ready(name);
        }
        system.lines.push("ready".to_owned());
        system
    }

    /// Any command that runs until it is ended, with `--data`; waits for `ready`. Its standard error
    /// is the test's.
    pub fn start(data: &Path, args: &[&str], env: &[(&str, &str)]) -> System {
        Self::start_to(data, args, env, Stdio::inherit())
    }

    /// The same with its standard error in a file.
    pub fn start_logging(data: &Path, args: &[&str], env: &[(&str, &str)], stderr: &Path) -> System {
        let file = File::create(stderr).unwrap_or_else(|e| panic!("{}: {e}", stderr.display()));
        Self::start_to(data, args, env, file.into())
    }

    fn start_to(data: &Path, args: &[&str], env: &[(&str, &str)], stderr: Stdio) -> System {
        let mut all: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
        all.extend(["--data".to_owned(), data.to_string_lossy().into_owned()]);
        let mut p = Process::spawn(&binary(), &all, env, stderr);
        p.wait_ready();
        let (listeners, lines) = (p.listeners.clone(), p.lines.clone());
        System { parts: Parts::One(p), listeners, lines, data: data.into(), rate_limit: None }
    }

    fn many(&mut self) -> &mut HashMap<&'static str, Process> {
        match &mut self.parts {
            Parts::Many(all) => all,
            _ => panic!("one process alone has no services to be started and ended"),
        }
    }

    /// Starts one service with this binary, without waiting for it.
    pub fn spawn_service(&mut self, name: &'static str, bin: &Path) {
        let at = |rest: &str| self.data.join(rest).to_string_lossy().into_owned();
        let mut args = vec![name.to_owned(), "--data".to_owned(), at(name)];
        let mut arg = |flag: &str, value: String| args.extend([flag.to_owned(), value]);
        let port = |listener: &str| self.listeners[listener].clone();
        if name == "broker" {
            arg("--service-secrets", at("pki/secrets"));
            arg("--mqtt", port("mqtt"));
            arg("--mqtts", port("mqtts"));
            arg("--tls-cert", at("pki/broker.pem"));
            arg("--tls-key", at("pki/broker.key"));
            if let Some(n) = &self.rate_limit {
                arg("--rate-limit", n.clone());
            }
        } else {
            arg("--broker", format!("mqtts://localhost:{}", self.port("mqtts")));
            arg("--ca", at("pki/ca.pem"));
            arg("--secret-file", at(&format!("pki/secrets/{name}")));
        }
        if ["projections", "query-api"].contains(&name) {
            arg("--views", at("views"));
        }
        if name == "query-api" {
            arg("--https", port("https"));
            arg("--tls-cert", at("pki/query-api.pem"));
            arg("--tls-key", at("pki/query-api.key"));
        }
        if ["identity", "production"].contains(&name) {
            args.extend(["--demo".to_owned(), "--insecure-demo".to_owned()]);
        }
        let process = Process::spawn(bin, &args, &[], Stdio::inherit());
        self.many().insert(name, process);
    }

    /// Starts one service and waits until it is ready.
    pub fn start_service(&mut self, name: &'static str) {
        self.spawn_service(name, &binary());
        self.wait_ready(name);
    }

    /// Waits until a service is ready.
    pub fn wait_ready(&mut self, name: &'static str) {
        self.many().get_mut(name).expect("it was started").wait_ready();
    }

    /// SIGKILL to one service.
    pub fn kill_service(&mut self, name: &'static str) {
        self.many().remove(name).expect("it runs").kill();
    }

    /// SIGTERM to one service, which must end well.
    pub fn stop_service(&mut self, name: &'static str) {
        let code = self.many().remove(name).expect("it runs").terminate();
        assert_eq!(code, Some(0), "{name}");
    }

    /// Sends a service a signal: `STOP` lets it stand still, `CONT` go on.
    pub fn signal_service(&mut self, name: &'static str, signal: &str) {
        self.many().get_mut(name).expect("it runs").signal(signal);
    }

    /// What a service says at `/readyz`: status and text.
    pub fn readyz(&mut self, name: &'static str) -> (u16, String) {
        let p = self.many().get_mut(name).expect("it runs");
        p.wait_listening("ops");
        let url = format!("http://{}/readyz", p.listeners["ops"]);
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut answer = agent.get(&url).call().unwrap_or_else(|e| panic!("{url}: {e}"));
        (answer.status().as_u16(), answer.body_mut().read_to_string().expect("a body"))
    }

    /// The metrics of a service.
    pub fn metrics(&mut self, name: &'static str) -> String {
        let p = self.many().get_mut(name).expect("it runs");
        p.wait_listening("ops");
        let url = format!("http://{}/metrics", p.listeners["ops"]);
        ureq::get(&url).call().expect("an answer").body_mut().read_to_string().expect("a body")
    }

    /// The containers, in that mode.
    pub fn stack(&self) -> Option<&Stack> {
        match &self.parts {
            Parts::Containers(stack) => Some(stack),
            _ => None,
        }
    }

    /// The port of a listener.
    pub fn port(&self, name: &str) -> u16 {
        let addr = self.listeners.get(name).unwrap_or_else(|| panic!("no listener {name} in {:?}", self.lines));
        addr.rsplit(':').next().and_then(|p| p.parse().ok()).expect("a port")
    }

    /// The address of a listener.
    pub fn addr(&self, name: &str) -> SocketAddr {
        let addr = self.listeners.get(name).unwrap_or_else(|| panic!("no listener {name} in {:?}", self.lines));
        addr.parse().unwrap_or_else(|e| panic!("{addr}: {e}"))
    }

    /// Its data directory; services have theirs below it.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The data directory of the service that keeps a context's log.
    pub fn data_of(&self, context: &str) -> PathBuf {
        match &self.parts {
            Parts::One(_) => self.data.clone(),
            Parts::Many(_) => self.data.join(context),
            Parts::Containers(_) => panic!("its data is in a volume; ask with run()"),
        }
    }

    /// The CA of its certificates.
    pub fn ca(&self) -> PathBuf {
        match &self.parts {
            Parts::One(_) => self.data.join("tls/ca.pem"),
            Parts::Many(_) => self.data.join("pki/ca.pem"),
            Parts::Containers(stack) => stack.ca(),
        }
    }

    /// The context whose service answers a command line.
    fn owner(args: &[&str]) -> String {
        if ["account", "rotate-keys"].contains(&args[0]) {
            return "identity".to_owned();
        }
        let named = args.iter().position(|a| *a == "--context").and_then(|i| args.get(i + 1));
        match named {
            Some(c) if SERVICES.contains(c) => (*c).to_owned(),
            _ => "production".to_owned(),
        }
    }

    /// A run of the program on the data of this system, not started yet.
    pub fn command(&self, args: &[&str]) -> Command {
        let owner = Self::owner(args);
        if let Parts::Containers(stack) = &self.parts {
            return stack.exec(&owner, args);
        }
        let mut command = Command::new("timeout");
        command.args(["-k", "5", "60"]).arg(binary()).args(args).arg("--data").arg(self.data_of(&owner));
        command.env("RUST_LOG", "off");
        command
    }

    /// The same as a line of a shell script that passes its arguments on.
    pub fn shell(&self) -> String {
        let quiet = "RUST_LOG=off exec";
        match &self.parts {
            Parts::One(_) => format!("{quiet} {:?} \"$@\"", binary()),
            Parts::Many(_) => format!("{quiet} {:?} \"$@\" --data {:?}", binary(), self.data_of("production")),
            Parts::Containers(stack) => {
                format!("exec docker exec -e RUST_LOG=off {} /millwright \"$@\"", stack.id("production"))
            }
        }
    }

    /// Another run of the same program on the same data directory, to its end.
    pub fn run(&self, args: &[&str]) -> Ended {
        self.run_with(args, &[])
    }

    /// The same with variables.
    pub fn run_with(&self, args: &[&str], env: &[(&str, &str)]) -> Ended {
        if let Parts::Containers(stack) = &self.parts {
            return crate::process::run(&mut stack.exec_with(&Self::owner(args), args, env));
        }
        crate::process::run(self.command(args).envs(env.iter().copied()))
    }

    /// SIGKILL to all of it, and gone.
    pub fn kill(self) {
        match self.parts {
            Parts::One(p) => p.kill(),
            Parts::Many(all) => all.into_values().for_each(Process::kill),
            Parts::Containers(stack) => stack.kill(),
        }
    }

    /// SIGTERM; gives the exit code and how long it took. Services end one after the other, the broker
    /// last; the code is the first that is not 0.
    pub fn terminate(self) -> (Option<i32>, Duration) {
        let began = Instant::now();
        let code = match self.parts {
            Parts::One(p) => p.terminate(),
            Parts::Many(mut all) => {
                let running = SERVICES.iter().rev().filter_map(|name| all.remove(name));
                let codes: Vec<_> = running.map(Process::terminate).collect();
                codes.into_iter().find(|c| *c != Some(0)).unwrap_or(Some(0))
            }
            Parts::Containers(stack) => stack.stop(),
        };
        (code, began.elapsed())
    }
}

/// A port that nobody has at the moment.
pub fn free_port() -> u16 {
    // Below the ports that the system gives to whoever asks for any, so that no other process of a
    // test takes it between here and its use; each test program begins elsewhere.
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 10_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(97);
    (0..COUNT)
        .map(|_| FIRST + begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT)
        .filter_map(|n| u16::try_from(n).ok())
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}
