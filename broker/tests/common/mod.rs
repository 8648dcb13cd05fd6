//! A broker with a directory of accounts, and a client that writes MQTT byte by byte.

#![allow(dead_code)]

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use mw_broker::{AuthFailure, Authenticator, Broker, BrokerConfig, Limits, LocalLink, Message, Principal, Publish};
use mw_contract::{AccountName, CellId, CustomerId, Role, SiteId};
use mw_policy::Account;
use std::sync::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

pub const PATIENCE: Duration = Duration::from_secs(10);
pub const V4: u8 = 4;
pub const V5: u8 = 5;
pub const BOTH: [u8; 2] = [V4, V5];

pub fn name(s: &str) -> AccountName {
    AccountName::new(s).unwrap()
}

/// Accounts in memory; the secret of all is `pw`.
#[derive(Default)]
pub struct Directory {
    accounts: Mutex<HashMap<AccountName, Arc<Account>>>,
    expiry: Mutex<HashMap<AccountName, SystemTime>>,
}

impl Directory {
    fn standard() -> Directory {
        let d = Directory::default();
        for (n, roles) in [
            ("planner-1", &[Role::Planner][..]),
            ("planner-2", &[Role::Planner]),
            ("auditor-1", &[Role::Auditor]),
            ("cell-1", &[Role::Device]),
            ("customer-1", &[Role::Customer]),
            ("production", &[]),
        ] {
            d.put(Account {
                name: name(n),
                roles: roles.iter().copied().collect(),
                sites: [SiteId::new("plant-1").unwrap()].into(),
                customer_id: (n == "customer-1").then(|| CustomerId::new("acme").unwrap()),
                cell: (n == "cell-1").then(|| CellId::new("cell-1").unwrap()),
                disabled: false,
                service: n == "production",
            });
        }
        d
    }

    pub fn put(&self, a: Account) {
        self.accounts.lock().unwrap().insert(a.name.clone(), Arc::new(a));
    }

    pub fn change(&self, who: &str, f: impl FnOnce(&mut Account)) {
        let mut a = (*self.account(&name(who)).unwrap()).clone();
        f(&mut a);
        self.put(a);
    }

    pub fn expires(&self, who: &str, at: SystemTime) {
        self.expiry.lock().unwrap().insert(name(who), at);
    }
}

#[async_trait]
impl Authenticator for Directory {
    async fn authenticate(&self, user: &str, password: &[u8], _: IpAddr) -> Result<Principal, AuthFailure> {
        match password {
            b"busy" => return Err(AuthFailure::Busy),
            b"down" => return Err(AuthFailure::Unavailable),
            b"pw" => {}
            _ => return Err(AuthFailure::BadCredentials),
        }
        let who = AccountName::new(user).map_err(|_| AuthFailure::BadCredentials)?;
        let a = self.account(&who).ok_or(AuthFailure::BadCredentials)?;
        if a.disabled {
            return Err(AuthFailure::NotAuthorized);
        }
        let expires_at = self.expiry.lock().unwrap().get(&who).copied();
        Ok(Principal { account: who, expires_at, service: a.service })
    }

    fn account(&self, who: &AccountName) -> Option<Arc<Account>> {
        self.accounts.lock().unwrap().get(who).cloned()
    }
}

/// A running broker.
pub struct Fixture {
    pub broker: Broker,
    pub accounts: Arc<Directory>,
    pub addr: SocketAddr,
}

pub fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

pub async fn start() -> Fixture {
    start_with(Limits::default()).await
}

pub async fn start_with(limits: Limits) -> Fixture {
    start_on(None, limits).await
}

/// With retained messages kept in a directory.
pub async fn start_on(dir: Option<&std::path::Path>, limits: Limits) -> Fixture {
    let accounts = Arc::new(Directory::standard());
    let config = BrokerConfig { limits, retained_dir: dir.map(Into::into), ..BrokerConfig::default() };
    let broker = Broker::start(config, Arc::clone(&accounts) as _).unwrap();
    let addr = broker.listen_tcp(loopback()).unwrap();
    Fixture { broker, accounts, addr }
}

impl Fixture {
    pub async fn client(&self, v: u8, id: &str, user: &str) -> Client {
        Connect::new(v, id, user).open(self.addr).await
    }

    /// Others still work: a message goes from every version to every version.
    pub async fn others_still_work(&self) {
        static N: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let n = N.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let topic = "mw/v1/plant-1/dev/cell-1/counter/parts";
        let mut hear = Vec::new();
        for v in BOTH {
            let mut c = self.client(v, &format!("proof-hear-{n}-{v}"), "planner-1").await;
            assert_eq!(c.subscribe(topic, 1).await, 1);
            hear.push(c);
        }
        for v in BOTH {
            let mut say = self.client(v, &format!("proof-say-{n}-{v}"), "cell-1").await;
            say.publish(topic, format!("{n}-{v}").as_bytes(), 1, 7).await;
            assert_eq!(say.puback().await, (7, 0));
            for h in &mut hear {
                let p = h.message().await;
                assert_eq!((p.topic.as_str(), p.payload), (topic, format!("{n}-{v}").into_bytes()));
            }
            say.goodbye().await;
        }
        for h in hear {
            h.goodbye().await;
        }
    }

    /// A link that hears the commands of `production`.
    pub async fn command_service(&self) -> LocalLink {
        let l = self.broker.link("production").unwrap();
        l.subscribe("mw/v1/+/cmd/+/production").await.unwrap();
        l
    }
}

pub async fn heard(l: &mut LocalLink) -> Message {
    within("a message on the link", l.recv()).await.unwrap()
}

pub fn reply_json(id: &str, context: &str, retryable: Option<bool>) -> Vec<u8> {
    let error = retryable
        .map_or(String::new(), |r| format!(r#","error":{{"code":"UNAVAILABLE","message":"x","retryable":{r}}}"#));
    format!(r#"{{"command_id":"{id}","status":"accepted","context":"{context}","events":[]{error}}}"#).into_bytes()
}

pub fn reply_to(m: &Message, payload: Vec<u8>) -> Publish {
    let account = m.topic.split('/').nth(4).unwrap();
    let topic = m.response_topic.clone().unwrap_or_else(|| format!("mw/v1/plant-1/rsp/{account}"));
    Publish {
        topic,
        payload: payload.into(),
        qos: 1,
        correlation_data: m.correlation_data.clone(),
        ..Publish::default()
    }
}

pub fn uuid(n: u32) -> String {
    format!("01937b1e-0000-7000-8000-{n:012x}")
}

pub fn command(n: u32) -> Vec<u8> {
    format!(r#"{{"command_id":"{}","type":"work-order.release","payload":{{}}}}"#, uuid(n)).into_bytes()
}

pub async fn within<T>(what: &str, f: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, f).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// Waits for a condition that nothing announces.
pub async fn until(what: &str, mut ok: impl FnMut() -> bool) {
    within(what, async {
        while !ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub fn string(out: &mut Vec<u8>, s: &[u8]) {
    out.extend_from_slice(&(s.len() as u16).to_be_bytes());
    out.extend_from_slice(s);
}

pub fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut n = body.len();
    loop {
        let b = (n & 0x7f) as u8;
        n >>= 7;
        out.push(if n > 0 { b | 0x80 } else { b });
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(body);
    out
}

/// A CONNECT to be sent.
#[derive(Clone)]
pub struct Connect {
    pub v: u8,
    pub id: Vec<u8>,
    pub user: Option<String>,
    pub password: Option<Vec<u8>>,
    pub clean: bool,
    pub keep_alive: u16,
    pub props: Vec<u8>,
    /// topic, payload, QoS, retain, properties
    pub will: Option<(Vec<u8>, Vec<u8>, u8, bool, Vec<u8>)>,
}

impl Connect {
    pub fn new(v: u8, id: &str, user: &str) -> Connect {
        Connect {
            v,
            id: id.into(),
            user: Some(user.to_owned()),
            password: Some(b"pw".to_vec()),
            clean: true,
            keep_alive: 0,
            props: Vec::new(),
            will: None,
        }
    }

    pub fn keep(mut self) -> Connect {
        self.clean = false;
        if self.v == V5 {
            self.props.extend_from_slice(&[0x11, 0, 0, 1, 0]);
        }
        self
    }

    pub fn password(mut self, p: &[u8]) -> Connect {
        self.password = Some(p.to_vec());
        self
    }

    pub fn will(mut self, topic: &str, payload: &str) -> Connect {
        self.will = Some((topic.into(), payload.into(), 1, false, Vec::new()));
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut b = vec![0, 4, b'M', b'Q', b'T', b'T', self.v];
        let mut flags = u8::from(self.clean) << 1;
        if let Some((_, _, qos, retain, _)) = &self.will {
            flags |= 4 | (qos << 3) | (u8::from(*retain) << 5);
        }
        flags |= u8::from(self.user.is_some()) << 7 | u8::from(self.password.is_some()) << 6;
        b.push(flags);
        b.extend_from_slice(&self.keep_alive.to_be_bytes());
        if self.v == V5 {
            b.push(self.props.len() as u8);
            b.extend_from_slice(&self.props);
        }
        string(&mut b, &self.id);
        if let Some((topic, payload, _, _, props)) = &self.will {
            if self.v == V5 {
                b.push(props.len() as u8);
                b.extend_from_slice(props);
            }
            string(&mut b, topic);
            string(&mut b, payload);
        }
        if let Some(u) = &self.user {
            string(&mut b, u.as_bytes());
        }
        if let Some(p) = &self.password {
            string(&mut b, p);
        }
        frame(0x10, &b)
    }

    /// Connects and expects to be let in.
    pub async fn open(&self, addr: SocketAddr) -> Client {
        let (c, code, _) = self.try_open(addr).await;
        assert_eq!(code, 0, "CONNACK");
        c
    }

    /// Connects; gives the code and whether the session was there.
    pub async fn try_open(&self, addr: SocketAddr) -> (Client, u8, bool) {
        let mut c = Client::raw(addr, self.v).await;
        c.send(&self.bytes()).await;
        let f = c.frame().await.expect("CONNACK");
        assert_eq!(f.first, 0x20);
        (c, f.body[1], f.body[0] & 1 == 1)
    }
}

#[derive(Debug, PartialEq)]
pub struct Frame {
    pub first: u8,
    pub body: Vec<u8>,
}

#[derive(Debug)]
pub struct Heard {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: u8,
    pub dup: bool,
    pub retain: bool,
    pub packet_id: u16,
    pub props: Vec<u8>,
}

pub struct Client {
    pub stream: Box<dyn Stream>,
    pub v: u8,
    /// Acknowledge QoS 1 messages as they come?
    pub acks: bool,
    /// Messages that came while something else was awaited.
    pub inbox: std::collections::VecDeque<Heard>,
}

impl Client {
    pub async fn raw(addr: SocketAddr, v: u8) -> Client {
        let s = TcpStream::connect(addr).await.unwrap();
        s.set_nodelay(true).unwrap();
        Client::over(Box::new(s), v)
    }

    pub fn over(stream: Box<dyn Stream>, v: u8) -> Client {
        Client { stream, v, acks: true, inbox: std::collections::VecDeque::new() }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        within("the socket to take bytes", self.stream.write_all(bytes)).await.unwrap();
    }

    /// Sends to a broker that may have closed already.
    pub async fn try_send(&mut self, bytes: &[u8]) {
        let _ = within("the socket to take bytes", self.stream.write_all(bytes)).await;
    }

    /// The next frame; `None` once the broker closed.
    pub async fn frame(&mut self) -> Option<Frame> {
        within("a frame", async {
            let first = self.stream.read_u8().await.ok()?;
            let mut n = 0usize;
            for i in 0.. {
                let b = self.stream.read_u8().await.ok()?;
                n |= usize::from(b & 0x7f) << (7 * i);
                if b & 0x80 == 0 {
                    break;
                }
            }
            let mut body = vec![0; n];
            self.stream.read_exact(&mut body).await.ok()?;
            Some(Frame { first, body })
        })
        .await
    }

    /// The next frame that is no message.
    pub async fn answer(&mut self) -> Option<Frame> {
        loop {
            let f = self.frame().await?;
            if f.first >> 4 != 3 {
                return Some(f);
            }
            let m = self.read_message(&f).await;
            self.inbox.push_back(m);
        }
    }

    async fn read_message(&mut self, f: &Frame) -> Heard {
        let qos = (f.first >> 1) & 3;
        let n = usize::from(u16::from_be_bytes([f.body[0], f.body[1]]));
        let topic = String::from_utf8(f.body[2..2 + n].to_vec()).unwrap();
        let mut rest = &f.body[2 + n..];
        let mut packet_id = 0;
        if qos > 0 {
            packet_id = u16::from_be_bytes([rest[0], rest[1]]);
            rest = &rest[2..];
        }
        let mut props = Vec::new();
        if self.v == V5 {
            let (mut n, mut i) = (0usize, 0);
            loop {
                n |= usize::from(rest[i] & 0x7f) << (7 * i);
                i += 1;
                if rest[i - 1] & 0x80 == 0 {
                    break;
                }
            }
            props = rest[i..i + n].to_vec();
            rest = &rest[i + n..];
        }
        if qos > 0 && self.acks {
            self.send_puback(packet_id).await;
        }
        Heard { topic, payload: rest.to_vec(), qos, dup: f.first & 8 != 0, retain: f.first & 1 != 0, packet_id, props }
    }

    pub async fn send_puback(&mut self, id: u16) {
        self.send(&frame(0x40, &id.to_be_bytes())).await;
    }

    /// The next message.
    pub async fn message(&mut self) -> Heard {
        if let Some(m) = self.inbox.pop_front() {
            return m;
        }
        let f = self.frame().await.expect("a message");
        assert_eq!(f.first >> 4, 3, "expected a message, got {f:?}");
        self.read_message(&f).await
    }

    pub async fn subscribe(&mut self, filter: &str, qos: u8) -> u8 {
        self.subscribe_with(filter.as_bytes(), qos, &[]).await
    }

    pub async fn subscribe_with(&mut self, filter: &[u8], options: u8, props: &[u8]) -> u8 {
        let mut b = vec![0, 9];
        if self.v == V5 {
            b.push(props.len() as u8);
            b.extend_from_slice(props);
        }
        string(&mut b, filter);
        b.push(options);
        self.send(&frame(0x82, &b)).await;
        let f = self.answer().await.expect("SUBACK");
        assert_eq!((f.first, &f.body[..2]), (0x90, &[0, 9][..]));
        *f.body.last().unwrap()
    }

    pub async fn unsubscribe(&mut self, filter: &str) {
        let mut b = vec![0, 10];
        if self.v == V5 {
            b.push(0);
        }
        string(&mut b, filter.as_bytes());
        self.send(&frame(0xa2, &b)).await;
        let f = self.answer().await.expect("UNSUBACK");
        assert_eq!((f.first, &f.body[..2]), (0xb0, &[0, 10][..]));
    }

    pub fn publish_bytes(&self, topic: &[u8], payload: &[u8], flags: u8, id: u16, props: &[u8]) -> Vec<u8> {
        let mut b = Vec::new();
        string(&mut b, topic);
        if flags & 6 != 0 {
            b.extend_from_slice(&id.to_be_bytes());
        }
        if self.v == V5 {
            b.push(props.len() as u8);
            b.extend_from_slice(props);
        }
        b.extend_from_slice(payload);
        frame(0x30 | flags, &b)
    }

    pub async fn publish(&mut self, topic: &str, payload: &[u8], qos: u8, id: u16) {
        let b = self.publish_bytes(topic.as_bytes(), payload, qos << 1, id, &[]);
        self.send(&b).await;
    }

    /// The next PUBACK: packet id and reason.
    pub async fn puback(&mut self) -> (u16, u8) {
        let f = self.answer().await.expect("PUBACK");
        assert_eq!(f.first, 0x40, "expected PUBACK, got {f:?}");
        (u16::from_be_bytes([f.body[0], f.body[1]]), f.body.get(2).copied().unwrap_or(0))
    }

    /// A message and a PUBACK, whichever comes first.
    pub async fn message_or_puback(&mut self, id: u16, code: u8) -> Heard {
        let mut acked = false;
        while !acked || self.inbox.is_empty() {
            let f = self.frame().await.expect("a message or a PUBACK");
            if f.first >> 4 == 3 {
                let m = self.read_message(&f).await;
                self.inbox.push_back(m);
            } else {
                let got = (u16::from_be_bytes([f.body[0], f.body[1]]), f.body.get(2).copied().unwrap_or(0));
                assert_eq!((f.first, got), (0x40, (id, code)));
                acked = true;
            }
        }
        self.inbox.pop_front().unwrap()
    }

    /// Is it still served? Closed is an answer too.
    pub async fn alive(&mut self) -> bool {
        self.try_send(&[0xc0, 0]).await;
        self.answer().await.is_some_and(|f| f.first == 0xd0)
    }

    /// A round trip through the broker: all that came before is done.
    pub async fn ping(&mut self) {
        self.send(&[0xc0, 0]).await;
        let f = self.answer().await.expect("PINGRESP");
        assert_eq!(f.first, 0xd0, "expected PINGRESP, got {f:?}");
    }

    /// Waits for the broker to close; gives the reason of its DISCONNECT, if it sent one.
    pub async fn closed(&mut self) -> Option<u8> {
        let mut reason = None;
        self.acks = false;
        while let Some(f) = self.answer().await {
            if f.first == 0xe0 {
                reason = Some(f.body[0]);
            }
        }
        reason
    }

    pub async fn goodbye(mut self) {
        self.try_send(&[0xe0, 0]).await;
        self.closed().await;
    }
}
