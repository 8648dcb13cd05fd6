//! The stack of `compose/` in a project of its own: brought up, looked into, broken and taken down
//! with the docker command.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::process::{Ended, run};
use crate::system::SERVICES;

/// How long the whole stack may take to be ready.
const READY: Duration = Duration::from_secs(120);

/// A project of containers.
pub struct Stack {
    project: String,
    secrets: PathBuf,
    ports: HashMap<&'static str, u16>,
    rate_limit: Option<String>,
    /// A directory for production's volume, when the test brings one.
    small_log: Option<PathBuf>,
    /// Ended by the test itself: its volumes are kept for the next start.
    ended: bool,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").to_owned()
}

fn image() -> String {
    std::env::var("MILLWRIGHT_IMAGE").unwrap_or_else(|_| "millwright:test".into())
}

/// Runs a command that must succeed; gives what it printed.
pub fn must(command: &mut Command) -> String {
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{command:?}: {}{}", ended.out, ended.err);
    ended.out.trim().to_owned()
}

/// `docker ARGS`, which must succeed.
pub fn docker(args: &[&str]) -> String {
    must(Command::new("docker").args(args))
}

impl Stack {
    /// Brings the demo up; the same `data` is the same project with the same volumes.
    pub fn up(data: &Path, rate_limit: Option<String>) -> Stack {
        Self::up_with(data, rate_limit, None)
    }

    /// The same with production's volume in a directory of the test's.
    pub fn up_with(data: &Path, rate_limit: Option<String>, small_log: Option<PathBuf>) -> Stack {
        let mut hash = DefaultHasher::new();
        data.hash(&mut hash);
        let ports = ["mqtt", "mqtts", "https"].map(|name| (name, crate::system::free_port()));
        let stack = Stack {
            project: format!("mw-test-{:08x}", hash.finish() as u32),
            secrets: data.join("secrets"),
            ports: ports.into(),
            rate_limit,
            small_log,
            ended: false,
        };
        std::fs::create_dir_all(&stack.secrets).expect("a directory for secrets");
        let secrets = format!("{}:/secrets", stack.secrets.display());
        docker(&["run", "--rm", "-u", "0:0", "-v", &secrets, &image(), "init", "/secrets", "--owner", "65532"]);
        must(&mut stack.compose(&["up", "-d"]));
        stack.wait_all_ready();
        stack
    }

    fn compose(&self, args: &[&str]) -> Command {
        let v2 = Command::new("docker").args(["compose", "version"]).output().is_ok_and(|o| o.status.success());
        let mut c = if v2 {
            let mut c = Command::new("docker");
            c.arg("compose");
            c
        } else {
            Command::new("docker-compose")
        };
        let root = repository();
        c.args(["-p", &self.project]);
        for file in ["compose/compose.yaml", "compose/demo.yaml", "tests/docker/plain-mqtt.yaml"] {
            c.arg("-f").arg(root.join(file));
        }
        if let Some(dir) = &self.small_log {
            c.arg("-f").arg(root.join("tests/docker/small-log.yaml"));
            c.env("MILLWRIGHT_SMALL_LOG", dir);
        }
        c.args(args);
        c.env("MILLWRIGHT_IMAGE", image()).env("MILLWRIGHT_SECRETS", &self.secrets);
        for (name, port) in &self.ports {
            c.env(format!("MILLWRIGHT_{}_PORT", name.to_uppercase()), port.to_string());
        }
        if let Some(n) = &self.rate_limit {
            c.env("MILLWRIGHT_RATE_LIMIT", n);
        }
        c.env("COMPOSE_HTTP_TIMEOUT", "180");
        c
    }

    /// Listener name → address.
    pub fn listeners(&self) -> HashMap<String, String> {
        self.ports.iter().map(|(name, port)| ((*name).to_owned(), format!("127.0.0.1:{port}"))).collect()
    }

    /// The CA of its certificates.
    pub fn ca(&self) -> PathBuf {
        self.secrets.join("ca.pem")
    }

    /// The id of a service's container.
    pub fn id(&self, service: &str) -> String {
        let id = must(&mut self.compose(&["ps", "-q", service]));
        assert!(!id.is_empty(), "{service} has no container");
        id
    }

    /// The id of a service's container that was stopped.
    pub fn stopped(&self, service: &str) -> String {
        let id = must(&mut self.compose(&["ps", "-a", "-q", service]));
        assert!(!id.is_empty(), "{service} has no container");
        id
    }

    /// Runs the program inside a service's container.
    pub fn exec(&self, service: &str, args: &[&str]) -> Command {
        self.exec_with(service, args, &[])
    }

    /// The same with variables.
    pub fn exec_with(&self, service: &str, args: &[&str], env: &[(&str, &str)]) -> Command {
        let mut c = Command::new("docker");
        c.args(["exec", "-e", "RUST_LOG=off"]);
        for (k, v) in env {
            c.args(["-e", &format!("{k}={v}")]);
        }
        c.args([&self.id(service), "/millwright"]).args(args);
        c
    }

    /// What a service says of its health.
    pub fn health(&self, service: &str) -> Ended {
        run(&mut self.exec(service, &["health"]))
    }

    /// Waits until a service says that it is ready; gives how long that took.
    pub fn wait_ready(&self, service: &str) -> Duration {
        let began = Instant::now();
        loop {
            let h = self.health(service);
            if h.code == Some(0) {
                return began.elapsed();
            }
            assert!(began.elapsed() < READY, "{service}: {h:?}\n{}", self.logs(service));
            std::thread::yield_now();
        }
    }

    /// The same for all.
    pub fn wait_all_ready(&self) {
        for service in SERVICES {
            self.wait_ready(service);
        }
    }

    /// The end of a service's log.
    pub fn logs(&self, service: &str) -> String {
        let ended = run(&mut self.compose(&["logs", "--no-color", "--tail", "200", service]));
        ended.out + &ended.err
    }

    /// SIGKILL to the process of a container, as a crash is: the restart policy brings it back.
    pub fn crash(&self, service: &str) {
        let pid = docker(&["inspect", "-f", "{{.State.Pid}}", &self.id(service)]);
        must(Command::new("kill").args(["-9", &pid]));
    }

    /// Replaces a container by a new one.
    pub fn replace(&self, service: &str) {
        must(&mut self.compose(&["up", "-d", "--force-recreate", "--no-deps", service]));
    }

    /// How often the restart policy has brought a container back.
    pub fn restarts(&self, service: &str) -> u32 {
        docker(&["inspect", "-f", "{{.RestartCount}}", &self.id(service)]).parse().expect("a number")
    }

    /// The network inside.
    pub fn network(&self) -> String {
        format!("{}_inside", self.project)
    }

    /// SIGKILL to all; nothing comes back by itself.
    pub fn kill(mut self) {
        self.ended = true;
        must(&mut self.compose(&["kill"]));
    }

    /// Stops all; the first exit code that is not 0.
    pub fn stop(mut self) -> Option<i32> {
        self.ended = true;
        let ids = SERVICES.map(|s| self.id(s));
        must(&mut self.compose(&["stop"]));
        let code = |id: &String| docker(&["inspect", "-f", "{{.State.ExitCode}}", id]).parse().ok();
        ids.iter().map(code).find(|c| *c != Some(0)).unwrap_or(Some(0))
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if !self.ended {
            let down = run(&mut self.compose(&["down", "-v", "-t", "5"]));
            if down.code != Some(0) {
                eprintln!("the containers of {} are left: {}", self.project, down.err);
            }
        }
    }
}
