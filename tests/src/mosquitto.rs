//! The mosquitto clients as a user types them.

use std::process::{Child, Command, Output, Stdio};

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

/// `mosquitto_sub` for `count` messages, at most 30 s; `-v` puts the topic before each payload.
pub fn subscribe(system: &System, protocol: Protocol, account: &str, topic: &str, count: usize) -> Child {
    base("mosquitto_sub", system, protocol, account, false)
        .args(["-q", "1", "-t", topic, "-v", "-C", &count.to_string(), "-W", "30"])
        .args(["-d"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("mosquitto_sub")
}
