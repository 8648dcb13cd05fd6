//! A small MQTT client that hides nothing: it never sends again on its own, and every packet that
//! arrives can be looked at. Client libraries retry and reorder behind one's back, which is what
//! these tests are about.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::mosquitto::Protocol;

/// How long a CONNACK or SUBACK may take on a busy machine.
const ANSWER: Duration = Duration::from_secs(30);

/// A message that was delivered.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// Where it was published.
    pub topic: String,
    /// What it says.
    pub payload: Vec<u8>,
    /// MQTT 5: what kind of content it is.
    pub content_type: Option<String>,
    /// MQTT 5: what it belongs to.
    pub correlation: Option<Vec<u8>>,
}

/// What a broker sends.
#[derive(Clone, Debug)]
pub enum Incoming {
    /// A message; it has been acknowledged already.
    Message(Message),
    /// The acknowledgement of our packet, with its MQTT 5 reason (0 on 3.1.1).
    PubAck(u16, u8),
    /// The answer to our subscription.
    SubAck(u16, Vec<u8>),
    /// The answer to our ping.
    Pong,
    /// MQTT 5: why the broker ends the connection.
    Disconnect(u8),
}

/// Why there is no connection.
#[derive(Debug)]
pub enum Refused {
    /// The broker said no, with this CONNACK code.
    Code(u8),
    /// Nobody listens, or the socket broke.
    Io(io::Error),
}

/// Why nothing was received.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum Silence {
    /// Nothing came in time.
    Timeout,
    /// The connection has ended.
    Closed,
}

/// One connection. Dropping it breaks it off without a DISCONNECT.
pub struct Connection {
    protocol: Protocol,
    write: Arc<Mutex<TcpStream>>,
    incoming: mpsc::Receiver<Incoming>,
    /// Read while waiting for something else.
    early: std::collections::VecDeque<Incoming>,
    next_id: u16,
    /// How many unacknowledged publishes the broker takes at once.
    pub receive_maximum: u16,
}

impl Connection {
    /// Connects with keep-alive 0 and a clean session.
    pub fn open(
        addr: SocketAddr,
        protocol: Protocol,
        client_id: &str,
        account: &str,
        secret: &str,
    ) -> Result<Connection, Refused> {
        let stream = TcpStream::connect_timeout(&addr, Duration::from_secs(5)).map_err(Refused::Io)?;
        stream.set_nodelay(true).map_err(Refused::Io)?;
        let v5 = protocol == Protocol::V5;
        let mut body = Vec::new();
        text(&mut body, "MQTT");
        body.extend([if v5 { 5 } else { 4 }, 0b1100_0010, 0, 0]);
        if v5 {
            body.push(0);
        }
        for s in [client_id, account, secret] {
            text(&mut body, s);
        }
        (&stream).write_all(&packet(0x10, &body)).map_err(Refused::Io)?;

        let mut read = io::BufReader::new(stream.try_clone().map_err(Refused::Io)?);
        read.get_ref().set_read_timeout(Some(ANSWER)).map_err(Refused::Io)?;
        let (kind, body) = read_packet(&mut read).map_err(Refused::Io)?;
        if kind >> 4 != 2 || body.len() < 2 {
            return Err(Refused::Io(io::Error::other(format!("no CONNACK but packet {kind:#x}"))));
        }
        if body[1] != 0 {
            return Err(Refused::Code(body[1]));
        }
        let mut receive_maximum = u16::MAX;
        if v5 {
            for (id, value) in properties(&mut Cursor(&body[2..])).map_err(Refused::Io)? {
                if id == 33 && value.len() == 2 {
                    receive_maximum = u16::from_be_bytes([value[0], value[1]]);
                }
            }
        }
        read.get_ref().set_read_timeout(None).map_err(Refused::Io)?;
        let write = Arc::new(Mutex::new(stream));
        let (tx, incoming) = mpsc::channel();
        let acks = write.clone();
        std::thread::spawn(move || {
            // Ends when the socket does, or when nobody listens any more.
            while let Ok((kind, body)) = read_packet(&mut read) {
                let Ok(Some((packet, ack))) = parse(kind, &body, v5) else { break };
                if let Some(id) = ack {
                    let bytes = [0x40, 2, (id >> 8) as u8, id as u8];
                    if acks.lock().map_or(true, |mut w| w.write_all(&bytes).is_err()) {
                        break;
                    }
                }
                if tx.send(packet).is_err() {
                    break;
                }
            }
        });
        Ok(Connection { protocol, write, incoming, early: Default::default(), next_id: 0, receive_maximum })
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        self.write.lock().map_err(|_| io::Error::other("the reader panicked"))?.write_all(bytes)
    }

    fn id(&mut self) -> u16 {
        self.next_id = if self.next_id == u16::MAX { 1 } else { self.next_id + 1 };
        self.next_id
    }

    /// Subscribes at QoS 1; gives the code of the SUBACK, 0x80 and more for a refusal.
    pub fn subscribe(&mut self, filter: &str) -> Result<u8, Silence> {
        let id = self.id();
        let mut body = id.to_be_bytes().to_vec();
        if self.protocol == Protocol::V5 {
            body.push(0);
        }
        text(&mut body, filter);
        body.push(1);
        self.send(&packet(0x82, &body)).map_err(|_| Silence::Closed)?;
        let deadline = Instant::now() + ANSWER;
        loop {
            match self.fresh(deadline.saturating_duration_since(Instant::now()))? {
                Incoming::SubAck(for_id, codes) if for_id == id => {
                    return codes.first().copied().ok_or(Silence::Closed);
                }
                other => self.early.push_back(other),
            }
        }
    }

    /// Publishes at QoS 1 and does not wait; gives the packet id. Reply topic and correlation data
    /// are MQTT 5 only and left out on 3.1.1.
    pub fn publish(&mut self, topic: &str, payload: &[u8], reply: Option<(&str, &[u8])>) -> io::Result<u16> {
        let id = self.id();
        let mut body = Vec::with_capacity(payload.len() + 200);
        text(&mut body, topic);
        body.extend(id.to_be_bytes());
        if self.protocol == Protocol::V5 {
            let mut props = Vec::new();
            if let Some((to, correlation)) = reply {
                props.push(8);
                text(&mut props, to);
                props.push(9);
                props.extend((correlation.len() as u16).to_be_bytes());
                props.extend(correlation);
            }
            varint(&mut body, props.len());
            body.extend(props);
        }
        body.extend(payload);
        self.send(&packet(0x32, &body))?;
        Ok(id)
    }

    /// Sends a PINGREQ.
    pub fn ping(&self) -> io::Result<()> {
        self.send(&[0xC0, 0])
    }

    /// The next packet.
    pub fn recv(&mut self, within: Duration) -> Result<Incoming, Silence> {
        match self.early.pop_front() {
            Some(p) => Ok(p),
            None => self.fresh(within),
        }
    }

    fn fresh(&mut self, within: Duration) -> Result<Incoming, Silence> {
        self.incoming.recv_timeout(within).map_err(|e| match e {
            mpsc::RecvTimeoutError::Timeout => Silence::Timeout,
            mpsc::RecvTimeoutError::Disconnected => Silence::Closed,
        })
    }

    /// The next message, whatever else comes before it.
    pub fn message(&mut self, within: Duration) -> Result<Message, Silence> {
        let deadline = Instant::now() + within;
        loop {
            if let Incoming::Message(m) = self.recv(deadline.saturating_duration_since(Instant::now()))? {
                return Ok(m);
            }
        }
    }

    /// Waits until the broker ends the connection; false when it does not in time.
    pub fn ends(&mut self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        loop {
            match self.recv(deadline.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(silence) => return silence == Silence::Closed,
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Ok(w) = self.write.lock() {
            w.shutdown(Shutdown::Both).ok();
        }
    }
}

fn text(out: &mut Vec<u8>, s: &str) {
    out.extend((s.len() as u16).to_be_bytes());
    out.extend(s.as_bytes());
}

fn varint(out: &mut Vec<u8>, mut n: usize) {
    loop {
        let byte = (n % 128) as u8;
        n /= 128;
        out.push(if n > 0 { byte | 0x80 } else { byte });
        if n == 0 {
            return;
        }
    }
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    varint(&mut out, body.len());
    out.extend(body);
    out
}

fn read_packet(from: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut one = [0; 1];
    from.read_exact(&mut one)?;
    let kind = one[0];
    let mut len = 0usize;
    for shift in [0, 7, 14, 21] {
        from.read_exact(&mut one)?;
        len |= usize::from(one[0] & 0x7f) << shift;
        if one[0] & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; len];
    from.read_exact(&mut body)?;
    Ok((kind, body))
}

/// What is left of a packet.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> io::Result<&'a [u8]> {
        let (head, tail) =
            self.0.split_at_checked(n).ok_or_else(|| io::Error::other("the broker sent a packet that is cut off"))?;
        self.0 = tail;
        Ok(head)
    }

    fn byte(&mut self) -> io::Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn int(&mut self) -> io::Result<u16> {
        let b = self.take(2)?;
        Ok(u16::from_be_bytes([b[0], b[1]]))
    }

    fn data(&mut self) -> io::Result<&'a [u8]> {
        let n = usize::from(self.int()?);
        self.take(n)
    }

    fn varint(&mut self) -> io::Result<usize> {
        let mut n = 0;
        for shift in [0, 7, 14, 21] {
            let b = self.byte()?;
            n |= usize::from(b & 0x7f) << shift;
            if b & 0x80 == 0 {
                break;
            }
        }
        Ok(n)
    }
}

/// The properties of a packet, each with its raw value (a string pair as two texts in one).
fn properties<'a>(c: &mut Cursor<'a>) -> io::Result<Vec<(u8, &'a [u8])>> {
    let len = c.varint()?;
    let mut p = Cursor(c.take(len)?);
    let mut out = Vec::new();
    while !p.0.is_empty() {
        let id = p.byte()?;
        let value = match id {
            1 | 23 | 25 | 36 | 37 | 40 | 41 | 42 => p.take(1)?,
            19 | 33 | 34 | 35 => p.take(2)?,
            2 | 17 | 24 | 39 => p.take(4)?,
            11 => {
                p.varint()?;
                &[]
            }
            3 | 8 | 9 | 18 | 21 | 22 | 26 | 28 | 31 => p.data()?,
            38 => {
                p.data()?;
                p.data()?
            }
            other => return Err(io::Error::other(format!("the broker sent property {other}, which MQTT 5 has not"))),
        };
        out.push((id, value));
    }
    Ok(out)
}

/// A packet, and the packet id of the PUBACK that it needs; `None` for what no client expects.
fn parse(kind: u8, body: &[u8], v5: bool) -> io::Result<Option<(Incoming, Option<u16>)>> {
    let mut c = Cursor(body);
    let packet = match kind >> 4 {
        3 => {
            let topic = String::from_utf8_lossy(c.data()?).into_owned();
            let qos = (kind >> 1) & 3;
            let id = if qos > 0 { Some(c.int()?) } else { None };
            let mut m = Message { topic, ..Message::default() };
            if v5 {
                for (id, value) in properties(&mut c)? {
                    match id {
                        3 => m.content_type = Some(String::from_utf8_lossy(value).into_owned()),
                        9 => m.correlation = Some(value.to_vec()),
                        _ => {}
                    }
                }
            }
            m.payload = c.0.to_vec();
            return Ok(Some((Incoming::Message(m), id)));
        }
        4 => Incoming::PubAck(c.int()?, if v5 && !c.0.is_empty() { c.byte()? } else { 0 }),
        9 => {
            let id = c.int()?;
            if v5 {
                properties(&mut c)?;
            }
            Incoming::SubAck(id, c.0.to_vec())
        }
        13 => Incoming::Pong,
        14 => Incoming::Disconnect(if c.0.is_empty() { 0 } else { c.byte()? }),
        _ => return Ok(None),
    };
    Ok(Some((packet, None)))
}
