//! The load generator of `bench commands`: as little client as possible, so that the broker is
//! what is measured. MQTT 5, blocking sockets, one thread a connection, TCP_NODELAY.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Bytes of one MQTT packet after its fixed header.
type Body = Vec<u8>;

fn text(out: &mut Vec<u8>, s: &[u8]) {
    out.extend_from_slice(&(s.len() as u16).to_be_bytes());
    out.extend_from_slice(s);
}

fn varint(out: &mut Vec<u8>, mut n: usize) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn packet(out: &mut Vec<u8>, first: u8, body: &[u8]) {
    out.push(first);
    varint(out, body.len());
    out.extend_from_slice(body);
}

fn publish(out: &mut Vec<u8>, id: u16, topic: &str, response: Option<&str>, correlation: &[u8], payload: &[u8]) {
    let mut props = Vec::with_capacity(64);
    if let Some(r) = response {
        props.push(0x08);
        text(&mut props, r.as_bytes());
    }
    props.push(0x09);
    text(&mut props, correlation);
    let mut body = Vec::with_capacity(payload.len() + 160);
    text(&mut body, topic.as_bytes());
    body.extend_from_slice(&id.to_be_bytes());
    varint(&mut body, props.len());
    body.extend_from_slice(&props);
    body.extend_from_slice(payload);
    packet(out, 0x32, &body);
}

/// A message that arrived.
pub struct Arrived {
    id: Option<u16>,
    response: Option<String>,
    correlation: Vec<u8>,
    payload: Vec<u8>,
}

fn read_varint(b: &[u8], at: &mut usize) -> Option<usize> {
    let mut n = 0;
    for shift in [0, 7, 14, 21] {
        let byte = *b.get(*at)?;
        *at += 1;
        n |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

fn read_text<'a>(b: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let len = usize::from(u16::from_be_bytes(b.get(*at..*at + 2)?.try_into().ok()?));
    *at += 2;
    let s = b.get(*at..*at + len)?;
    *at += len;
    Some(s)
}

fn arrived(first: u8, b: &[u8]) -> Option<Arrived> {
    let mut at = 0;
    read_text(b, &mut at)?;
    let mut id = None;
    if first & 0x06 != 0 {
        id = Some(u16::from_be_bytes(b.get(at..at + 2)?.try_into().ok()?));
        at += 2;
    }
    let len = read_varint(b, &mut at)?;
    let end = at + len;
    let (mut response, mut correlation) = (None, Vec::new());
    while at < end {
        let prop = *b.get(at)?;
        at += 1;
        match prop {
            0x01 => at += 1,
            0x02 => at += 4,
            0x03 => drop(read_text(b, &mut at)?),
            0x08 => response = Some(String::from_utf8_lossy(read_text(b, &mut at)?).into_owned()),
            0x09 => correlation = read_text(b, &mut at)?.to_vec(),
            0x0b => drop(read_varint(b, &mut at)?),
            0x23 => at += 2,
            0x26 => {
                read_text(b, &mut at)?;
                read_text(b, &mut at)?;
            }
            _ => return None,
        }
    }
    Some(Arrived { id, response, correlation, payload: b.get(end..)?.to_vec() })
}

/// One connection.
pub struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    taken: usize,
    out: Vec<u8>,
}

impl Connection {
    /// Connects and subscribes to `filter` at QoS 1.
    pub fn open(host: &str, port: u16, client: &str, login: Option<(&str, &str)>, filter: &str) -> Result<Self> {
        let stream = TcpStream::connect((host, port)).with_context(|| format!("{host}:{port}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(40)))?;
        let mut c = Connection { stream, input: Vec::new(), taken: 0, out: Vec::new() };
        let mut body: Body = Vec::new();
        text(&mut body, b"MQTT");
        body.extend_from_slice(&[5, if login.is_some() { 0xc2 } else { 0x02 }, 0, 0, 0]);
        text(&mut body, client.as_bytes());
        if let Some((user, secret)) = login {
            text(&mut body, user.as_bytes());
            text(&mut body, secret.as_bytes());
        }
        packet(&mut c.out, 0x10, &body);
        c.flush()?;
        let (first, body) = c.next()?;
        if first != 0x20 || body.get(1) != Some(&0) {
            bail!("{host}:{port} refused the connection: reason {:#04x}", body.get(1).copied().unwrap_or(0xff));
        }
        let mut body: Body = vec![0, 1, 0];
        text(&mut body, filter.as_bytes());
        body.push(1);
        packet(&mut c.out, 0x82, &body);
        c.flush()?;
        let (first, body) = c.next()?;
        if first != 0x90 || body.last().is_none_or(|r| *r >= 0x80) {
            bail!("{host}:{port} refused the subscription to {filter}");
        }
        Ok(c)
    }

    fn flush(&mut self) -> Result<()> {
        self.stream.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// A whole packet that has arrived already.
    fn ready(&mut self) -> Option<(u8, Body)> {
        let b = self.input.get(self.taken..)?;
        let mut at = 1;
        let first = *b.first()?;
        let len = read_varint(b, &mut at)?;
        let body = b.get(at..at + len)?.to_vec();
        self.taken += at + len;
        if self.taken == self.input.len() {
            self.input.clear();
            self.taken = 0;
        }
        Some((first, body))
    }

    fn fill(&mut self) -> Result<()> {
        self.input.drain(..self.taken);
        self.taken = 0;
        let mut chunk = [0u8; 64 * 1024];
        let n = self.stream.read(&mut chunk).context("waiting for replies")?;
        if n == 0 {
            bail!("the broker closed the connection");
        }
        self.input.extend_from_slice(&chunk[..n]);
        Ok(())
    }

    fn next(&mut self) -> Result<(u8, Body)> {
        loop {
            if let Some(p) = self.ready() {
                return Ok(p);
            }
            self.fill()?;
        }
    }

    fn acknowledge(&mut self, id: Option<u16>) {
        if let Some(id) = id {
            packet(&mut self.out, 0x40, &id.to_be_bytes());
        }
    }

    /// Keeps `window` requests open until `until`, then waits for the last ones. Answers the time
    /// from each request to its reply.
    pub fn drive(
        &mut self,
        topic: &str,
        response: &str,
        window: usize,
        until: Instant,
        payload: &mut dyn FnMut() -> Vec<u8>,
        check: &dyn Fn(&[u8]) -> Result<()>,
    ) -> Result<Vec<Duration>> {
        let mut sent: std::collections::HashMap<u64, Instant> = std::collections::HashMap::new();
        let mut latencies = Vec::new();
        let mut number = 0u64;
        loop {
            while sent.len() < window && Instant::now() < until {
                number += 1;
                let body = payload();
                sent.insert(number, Instant::now());
                let id = (number % 65_000 + 1) as u16;
                publish(&mut self.out, id, topic, Some(response), &number.to_be_bytes(), &body);
            }
            if !self.out.is_empty() {
                self.flush()?;
            }
            if sent.is_empty() {
                return Ok(latencies);
            }
            self.fill()?;
            while let Some((first, body)) = self.ready() {
                match first >> 4 {
                    3 => {
                        let m = arrived(first, &body).context("a reply can't be read")?;
                        self.acknowledge(m.id);
                        let n = m.correlation.as_slice().try_into().map(u64::from_be_bytes).unwrap_or(0);
                        if let Some(since) = sent.remove(&n) {
                            latencies.push(since.elapsed());
                            check(&m.payload)?;
                        }
                    }
                    4 if body.get(2).is_some_and(|r| *r >= 0x80) => {
                        bail!("the broker refused a publish: {:#04x}", body[2])
                    }
                    14 => bail!("the broker ended the connection: {:#04x}", body.first().copied().unwrap_or(0)),
                    _ => {}
                }
            }
        }
    }

    /// Sends everything back where its Response Topic says, until the connection ends.
    pub fn echo(&mut self) -> Result<()> {
        let mut id = 0u16;
        loop {
            self.fill()?;
            while let Some((first, body)) = self.ready() {
                if first >> 4 != 3 {
                    continue;
                }
                let m = arrived(first, &body).context("a request can't be read")?;
                self.acknowledge(m.id);
                if let Some(r) = &m.response {
                    id = id % 65_000 + 1;
                    publish(&mut self.out, id, r, None, &m.correlation, &m.payload);
                }
            }
            self.flush()?;
        }
    }

    /// Ends the socket from another thread's point of view.
    pub fn closer(&self) -> Result<TcpStream> {
        Ok(self.stream.try_clone()?)
    }
}
