//! A client that sends commands at QoS 1 and keeps book: what it sent, what was acknowledged, and
//! what was answered. It survives the broker's end and goes on with the same book.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::mosquitto::Protocol;
use crate::mqtt::{Connection, Incoming, Refused, Silence};
use crate::{SECRET, SITE, System};

/// How long one command may take from PUBLISH to reply and PUBACK.
const ANSWER: Duration = Duration::from_secs(40);

/// How long a broker that is there may take to answer a ping.
const PONG: Duration = Duration::from_secs(10);

/// What a client knows of a command that it sent.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The command as it was sent.
    pub command: Value,
    /// The reason in its PUBACK, once there was one.
    pub acked: Option<u8>,
    /// The first reply, once there was one.
    pub reply: Option<Value>,
    /// How many replies there were.
    pub replies: usize,
}

impl Known {
    /// Acknowledged or answered: its outcome must be on stable storage.
    pub fn is_settled(&self) -> bool {
        self.acked.is_some_and(|code| code < 0x80) || self.reply.as_ref().is_some_and(|r| !is_retryable(r))
    }
}

fn is_retryable(reply: &Value) -> bool {
    reply["error"]["retryable"] == Value::Bool(true)
}

/// The connection broke before everything was known; sending again is safe.
#[derive(Debug)]
pub struct Lost;

/// One client of one account.
pub struct Commands {
    connection: Option<Connection>,
    account: String,
    secret: String,
    client_id: String,
    reply_topic: String,
    /// Packet id → command id.
    waiting: HashMap<u16, String>,
    /// Everything ever sent, by command id.
    pub book: HashMap<String, Known>,
    settled: usize,
    pongs: usize,
}

impl Commands {
    /// Connects to a running system as a demo account. `name` tells clients of one account apart.
    pub fn connect(system: &System, account: &str, name: &str) -> Commands {
        let mut c = Commands::new(account, SECRET, name);
        c.open(system.addr("mqtt")).unwrap_or_else(|e| panic!("{account} can't connect: {e:?}"));
        c
    }

    /// Without a connection yet.
    pub fn new(account: &str, secret: &str, name: &str) -> Commands {
        Commands {
            connection: None,
            account: account.to_owned(),
            secret: secret.to_owned(),
            client_id: format!("{account}-{name}"),
            reply_topic: format!("mw/v1/{SITE}/rsp/{account}/{name}"),
            waiting: HashMap::new(),
            book: HashMap::new(),
            settled: 0,
            pongs: 0,
        }
    }

    /// Connects, or connects again, and subscribes to its replies. What was in flight is given up:
    /// the book says what was not settled.
    pub fn open(&mut self, addr: SocketAddr) -> Result<(), Refused> {
        self.drop_connection();
        let mut c = Connection::open(addr, Protocol::V5, &self.client_id, &self.account, &self.secret)?;
        match c.subscribe(&self.reply_topic) {
            Ok(code) if code < 0x80 => {}
            Ok(code) => return Err(Refused::Code(code)),
            Err(_) => return Err(Refused::Io(std::io::Error::other("the connection ended at once"))),
        }
        self.connection = Some(c);
        Ok(())
    }

    /// Breaks the connection off.
    pub fn drop_connection(&mut self) {
        self.connection = None;
        self.waiting.clear();
    }

    /// How many publishes wait for their PUBACK.
    pub fn in_flight(&self) -> usize {
        self.waiting.len()
    }

    /// How many commands were settled; one that was sent again may count again.
    pub fn settled(&self) -> usize {
        self.settled
    }

    /// The most that may wait for a PUBACK at once.
    pub fn window(&self) -> usize {
        self.connection.as_ref().map_or(0, |c| usize::from(c.receive_maximum))
    }

    /// The topic for commands of this type.
    pub fn topic(&self, command: &Value) -> String {
        let kind = command["type"].as_str().unwrap_or_default();
        let context = match kind.split('.').next() {
            Some("account") => "identity",
            Some("ticket" | "maintenance-plan") => "after-service",
            _ => "production",
        };
        format!("mw/v1/{SITE}/cmd/{}/{context}", self.account)
    }

    /// Publishes a command and does not wait.
    pub fn publish(&mut self, command: &Value) -> Result<(), Lost> {
        let id = command["command_id"].as_str().expect("a command has an id").to_owned();
        let topic = self.topic(command);
        let known = self.book.entry(id.clone()).or_default();
        known.command = command.clone();
        let Some(c) = &mut self.connection else { return Err(Lost) };
        let sent = c.publish(&topic, command.to_string().as_bytes(), Some((&self.reply_topic, id.as_bytes())));
        match sent {
            Ok(packet) => {
                self.waiting.insert(packet, id);
                Ok(())
            }
            Err(_) => {
                self.drop_connection();
                Err(Lost)
            }
        }
    }

    /// Takes what comes next into the book; false when nothing came in time.
    pub fn take(&mut self, within: Duration) -> Result<bool, Lost> {
        let Some(c) = &mut self.connection else { return Err(Lost) };
        match c.recv(within) {
            Ok(Incoming::PubAck(packet, code)) => {
                if let Some(id) = self.waiting.remove(&packet) {
                    self.note(id, |known| known.acked = Some(code));
                }
            }
            Ok(Incoming::Message(m)) => {
                let reply: Value = serde_json::from_slice(&m.payload).expect("a reply is JSON");
                let id = reply["command_id"].as_str().unwrap_or_default().to_owned();
                assert_eq!(m.correlation.as_deref(), Some(id.as_bytes()), "the reply carries its correlation data");
                self.note(id, |known| {
                    known.replies += 1;
                    if known.reply.as_ref().is_none_or(is_retryable) {
                        known.reply = Some(reply);
                    }
                });
            }
            Ok(Incoming::Disconnect(_)) | Err(Silence::Closed) => {
                self.drop_connection();
                return Err(Lost);
            }
            Ok(Incoming::Pong) => self.pongs += 1,
            Ok(Incoming::SubAck(..)) => {}
            Err(Silence::Timeout) => return Ok(false),
        }
        Ok(true)
    }

    fn note(&mut self, id: String, change: impl FnOnce(&mut Known)) {
        let known = self.book.entry(id).or_default();
        let before = known.is_settled();
        change(known);
        self.settled += usize::from(known.is_settled() && !before);
    }

    /// Publishes and waits for both reply and PUBACK; gives the reply, the new one when the
    /// command had been sent before.
    pub fn try_call(&mut self, command: &Value) -> Result<Value, Lost> {
        let id = command["command_id"].as_str().expect("a command has an id").to_owned();
        let earlier = self.book.remove(&id);
        let answered = self.wait_for(command, &id);
        let known = self.book.entry(id).or_default();
        // The book keeps the first reply; the caller gets the latest.
        let latest = known.reply.clone();
        if let Some(e) = earlier {
            known.acked = known.acked.or(e.acked);
            known.replies += e.replies;
            known.reply = e.reply.or(known.reply.take());
        }
        answered?;
        latest.ok_or(Lost)
    }

    fn wait_for(&mut self, command: &Value, id: &str) -> Result<(), Lost> {
        self.publish(command)?;
        let mut deadline = Instant::now() + ANSWER;
        let (mut asked, mut lives) = (false, false);
        loop {
            let k = &self.book[id];
            if k.reply.as_ref().is_some_and(is_retryable) {
                // Never acknowledged: the outcome was not stored. To be sent again.
                self.drop_connection();
                return Err(Lost);
            }
            if k.acked.is_some() && k.reply.is_some() {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                assert!(
                    !lives,
                    "the broker lives, but there is no reply and PUBACK within {ANSWER:?}: {:?}",
                    self.book[id]
                );
                // As keep-alive does: a peer that went away without a word (a container that was
                // taken out of its network) is not one that has lost a command.
                if asked {
                    self.drop_connection();
                    return Err(Lost);
                }
                asked = true;
                self.ping()?;
                deadline = Instant::now() + PONG;
                continue;
            }
            let pongs = self.pongs;
            self.take(left)?;
            if asked && pongs != self.pongs {
                // It may have stood still until this moment, with the answer behind the pong: from
                // here on it has its time once more.
                (asked, lives) = (false, true);
                deadline = Instant::now() + ANSWER;
            }
        }
    }

    fn ping(&mut self) -> Result<(), Lost> {
        let sent = self.connection.as_ref().is_some_and(|c| c.ping().is_ok());
        if !sent {
            self.drop_connection();
            return Err(Lost);
        }
        Ok(())
    }

    /// The same where the connection must hold.
    pub fn call(&mut self, command: &Value) -> Value {
        self.try_call(command).unwrap_or_else(|_| panic!("the connection broke at {command}"))
    }

    /// The same where the command must be accepted.
    pub fn accepted(&mut self, command: &Value) -> Value {
        let reply = self.call(command);
        assert_eq!(reply["status"], "accepted", "{command} was answered {reply}");
        reply
    }

    /// The same where the command must be refused with this code.
    pub fn rejected(&mut self, command: &Value, code: &str) -> Value {
        let reply = self.call(command);
        assert_eq!(
            (reply["status"].as_str(), reply["error"]["code"].as_str()),
            (Some("rejected"), Some(code)),
            "{reply}"
        );
        reply
    }
}
