//! One running program in a data directory of its own, ended by its process id.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Once, mpsc};
use std::time::{Duration, Instant};

/// How long a start may take, replay of the log included.
const START: Duration = Duration::from_secs(60);

/// The program under test: `MILLWRIGHT_BIN`, else the one that cargo built beside the tests.
pub fn binary() -> PathBuf {
    if let Some(p) = std::env::var_os("MILLWRIGHT_BIN") {
        return PathBuf::from(p);
    }
    // target/<profile>/deps/<test> → target/<profile>/millwright
    let me = std::env::current_exe().expect("the path of this test");
    let profile = me.parent().and_then(Path::parent).expect("a target directory");
    let bin = profile.join("millwright");
    static BUILD: Once = Once::new();
    BUILD.call_once(|| {
        if !bin.exists() {
            let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            build.args(["build", "-p", "millwright"]);
            if profile.ends_with("release") {
                build.arg("--release");
            }
            build.status().expect("cargo build -p millwright");
        }
    });
    assert!(bin.exists(), "{} is not built: cargo build -p millwright", bin.display());
    bin
}

/// What a run of the program left.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; 124 when it had to be ended after a minute.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

/// Runs the program to its end. It says nothing but what the user must see, and is ended after a
/// minute: a start that should fail must not hang the tests when it succeeds.
pub fn program(args: &[&str], env: &[(&str, &str)]) -> Ended {
    let out = Command::new("timeout")
        .args(["-k", "5", "60"])
        .arg(binary())
        .args(args)
        .env("RUST_LOG", "off")
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    Ended {
        code: out.status.code(),
        out: String::from_utf8_lossy(&out.stdout).into_owned(),
        err: String::from_utf8_lossy(&out.stderr).into_owned(),
    }
}

/// One process with its listeners.
pub struct System {
    child: Child,
    /// Listener name → address.
    pub listeners: HashMap<String, String>,
    /// Every line of standard output up to `ready`.
    pub lines: Vec<String>,
    data: PathBuf,
    rest: mpsc::Receiver<String>,
}

impl System {
    /// `millwright up --demo` on free ports.
    pub fn demo(data: &Path) -> System {
        Self::demo_with(data, &[])
    }

    /// The same with more arguments.
    pub fn demo_with(data: &Path, more: &[&str]) -> System {
        let mut args =
            vec!["up", "--demo", "--mqtt", "127.0.0.1:0", "--mqtts", "127.0.0.1:0", "--https", "127.0.0.1:0"];
        args.extend(more);
        Self::start(data, &args, &[])
    }

    /// Any service, with `--data`; waits for `ready`. Its standard error is the test's.
    pub fn start(data: &Path, args: &[&str], env: &[(&str, &str)]) -> System {
        Self::start_to(data, args, env, Stdio::inherit())
    }

    /// The same with its standard error in a file.
    pub fn start_logging(data: &Path, args: &[&str], env: &[(&str, &str)], stderr: &Path) -> System {
        let file = File::create(stderr).unwrap_or_else(|e| panic!("{}: {e}", stderr.display()));
        Self::start_to(data, args, env, file.into())
    }

    fn start_to(data: &Path, args: &[&str], env: &[(&str, &str)], stderr: Stdio) -> System {
        let mut command = Command::new(binary());
        command
            .args(args)
            .arg("--data")
            .arg(data)
            .env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".into()))
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr);
        let mut child = command.spawn().expect("the program starts");
        let out = child.stdout.take().expect("its standard output");
        let (tx, rest) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if tx.send(line).is_err() {
                    break;
                }
            }
        });
        let mut system = System { child, listeners: HashMap::new(), lines: Vec::new(), data: data.into(), rest };
        let deadline = Instant::now() + START;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = match system.rest.recv_timeout(left) {
                Ok(l) => l,
                Err(_) => {
                    panic!("not ready after {START:?}; it said {:?}; {:?}", system.lines, system.child.try_wait())
                }
            };
            let mut words = line.split_whitespace();
            if let (Some("listening"), Some(name), Some(addr)) = (words.next(), words.next(), words.next()) {
                system.listeners.insert(name.to_owned(), addr.to_owned());
            }
            let ready = line == "ready";
            system.lines.push(line);
            if ready {
                return system;
            }
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

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The CA of its certificate.
    pub fn ca(&self) -> PathBuf {
        self.data.join("tls/ca.pem")
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Another run of the same program on the same data directory, to its end.
    pub fn run(&self, args: &[&str]) -> Ended {
        self.run_with(args, &[])
    }

    /// The same with variables.
    pub fn run_with(&self, args: &[&str], env: &[(&str, &str)]) -> Ended {
        let data = self.data.to_string_lossy();
        program(&[args, &["--data", &data]].concat(), env)
    }

    /// SIGKILL, and gone.
    pub fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// SIGTERM; gives the exit code and how long it took.
    pub fn terminate(mut self) -> (Option<i32>, Duration) {
        let began = Instant::now();
        let sent = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        assert!(sent.is_ok_and(|s| s.success()), "kill -TERM");
        let status = self.child.wait().expect("wait");
        (status.code(), began.elapsed())
    }

    /// Waits for a line on standard output that has `part` in it.
    pub fn wait_line(&self, part: &str, within: Duration) -> Option<String> {
        let deadline = Instant::now() + within;
        while let Ok(line) = self.rest.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            if line.contains(part) {
                return Some(line);
            }
        }
        None
    }
}

impl Drop for System {
    fn drop(&mut self) {
        // Only the process that this test started, and only if it still runs.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}
