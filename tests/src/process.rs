//! One process of the program, ended by its process id.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Once, mpsc};
use std::time::{Duration, Instant};

/// How long a start may take, replay of the log included.
pub const START: Duration = Duration::from_secs(240);

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
    let mut command = Command::new("timeout");
    command.args(["-k", "5", "60"]).arg(binary()).args(args).env("RUST_LOG", "off").envs(env.iter().copied());
    run(&mut command)
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Ended {
    let out = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    Ended {
        code: out.status.code(),
        out: String::from_utf8_lossy(&out.stdout).into_owned(),
        err: String::from_utf8_lossy(&out.stderr).into_owned(),
    }
}

/// A running process.
pub struct Process {
    child: Child,
    /// Listener name → address.
    pub listeners: HashMap<String, String>,
    /// Every line of standard output so far.
    pub lines: Vec<String>,
    rest: mpsc::Receiver<String>,
}

impl Process {
    /// Starts it; waits for nothing.
    pub fn spawn(bin: &Path, args: &[String], env: &[(&str, &str)], stderr: Stdio) -> Process {
        let mut child = Command::new(bin)
            .args(args)
            .env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".into()))
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("the program starts");
        let out = child.stdout.take().expect("its standard output");
        let (tx, rest) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if tx.send(line).is_err() {
                    break;
                }
            }
        });
        Process { child, listeners: HashMap::new(), lines: Vec::new(), rest }
    }

    /// Reads on until a line satisfies `enough`.
    pub fn read_until(&mut self, what: &str, enough: impl Fn(&str) -> bool) {
        if self.lines.iter().any(|l| enough(l)) {
            return;
        }
        let deadline = Instant::now() + START;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.rest.recv_timeout(left) else {
                panic!("no {what} after {START:?}; it said {:?}; {:?}", self.lines, self.child.try_wait());
            };
            let mut words = line.split_whitespace();
            if let (Some("listening"), Some(name), Some(addr)) = (words.next(), words.next(), words.next()) {
                self.listeners.insert(name.to_owned(), addr.to_owned());
            }
            let found = enough(&line);
            self.lines.push(line);
            if found {
                return;
            }
        }
    }

    /// Waits for `ready`.
    pub fn wait_ready(&mut self) {
        self.read_until("ready", |l| l == "ready");
    }

    /// Waits for a listener.
    pub fn wait_listening(&mut self, name: &str) {
        let begin = format!("listening {name} ");
        self.read_until(name, |l| l.starts_with(&begin));
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Does it still run?
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGKILL, and gone.
    pub fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.is_ok_and(|s| s.success()), "kill -{name}");
    }

    /// SIGTERM; gives the exit code.
    pub fn terminate(mut self) -> Option<i32> {
        self.signal("TERM");
        self.child.wait().expect("wait").code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Only the process that this test started, and only if it still runs.
        if self.is_running() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}
