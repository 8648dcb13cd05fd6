//! The mosquitto clients as a user types them.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::{SECRET, System};

/// Which protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// MQTT 3.1.1
    V311,
    /// MQTT 5
    V5,
}

impl Protocol {
    /// Both.
    pub const BOTH: [Protocol; 2] = [Protocol::V311, Protocol::V5];

    fn arg(self) -> &'static str {
        match self {
            Protocol::V311 => "mqttv311",
            Protocol::V5 => "mqttv5",
        }
    }
}

fn base(program: &str, system: &System, protocol: Protocol, account: &str, tls: bool) -> Command {
    let mut c = Command::new(program);
    c.args(["-V", protocol.arg(), "-u", account, "-P", SECRET]);
    if tls {
        c.args(["-h", "localhost", "-p", &system.port("mqtts").to_string(), "--cafile"]).arg(system.ca());
    } else {
        c.args(["-h", "127.0.0.1", "-p", &system.port("mqtt").to_string()]);
    }
    c.stdin(Stdio::null());
    c
}

/// `mosquitto_pub -q 1`; ends when the acknowledgement is there.
pub fn publish(system: &System, protocol: Protocol, account: &str, topic: &str, payload: &str) -> Output {
    base("mosquitto_pub", system, protocol, account, false)
        .args(["-q", "1", "-t", topic, "-m", payload])
        .output()
        .expect("mosquitto_pub")
}

/// The same over TLS.
pub fn publish_tls(system: &System, protocol: Protocol, account: &str, topic: &str, payload: &str) -> Output {
    base("mosquitto_pub", system, protocol, account, true)
        .args(["-q", "1", "-t", topic, "-m", payload])
        .output()
        .expect("mosquitto_pub")
}

/// A running `mosquitto_sub`.
pub struct Subscriber {
    child: Child,
    lines: mpsc::Receiver<String>,
}

/// `mosquitto_sub -q 1 -v`, which has its subscription when this returns.
pub fn subscribe(system: &System, protocol: Protocol, account: &str, topic: &str) -> Subscriber {
    let typed = base("mosquitto_sub", system, protocol, account, false);
    // Into a pipe it would keep its lines until a block is full.
    let mut command = Command::new("stdbuf");
    command.arg("-oL").arg(typed.get_program()).args(typed.get_args());
    let mut child = command
        .args(["-q", "1", "-t", topic, "-v", "-d"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("stdbuf mosquitto_sub");
    let out = child.stdout.take().expect("its standard output");
    let (tx, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if tx.send(line).is_err() {
                break;
            }
        }
    });
    let s = Subscriber { child, lines };
    s.line(|l| l.starts_with("Subscribed").then_some(()));
    s
}

impl Subscriber {
    fn line<T>(&self, wanted: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(l) => {
                    if let Some(found) = wanted(&l) {
                        return found;
                    }
                }
                Err(e) => panic!("mosquitto_sub did not say what was expected: {e}"),
            }
        }
    }

    /// The next message: topic and payload.
    pub fn message(&self) -> (String, String) {
        self.line(|l| {
            // Lines of -d begin with "Client".
            let (topic, payload) = l.split_once(' ')?;
            topic.starts_with("mw/").then(|| (topic.to_owned(), payload.to_owned()))
        })
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
