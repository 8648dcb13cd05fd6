//! What travels through the router in place of a bare payload.
//!
//! Owns the few bytes in front of every payload inside the router: the QoS it was published with
//! (the router overwrites that with the subscription's), who published it, when it expires and
//! its MQTT 5 properties. So the router never handles properties: a 3.1.1 subscriber can't be
//! given any, expired messages can't stall live ones behind them, and the segments, which count
//! payload bytes only, count properties too. Written and read by this crate alone; no byte of a
//! client becomes anything here but payload or checked properties.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use rumqttd::protocol::{Packet, Publish};

const QOS1: u8 = 1;
const EXPIRES: u8 = 2;
const RETAIN: u8 = 4;

/// A message for the router.
pub(crate) struct Outgoing<'a> {
    pub topic: &'a str,
    pub at_least_once: bool,
    /// It was published to be kept.
    pub retain: bool,
    /// The session slot of the publisher; [`NO_ORIGIN`] for the product's own links.
    pub origin: u32,
    pub expiry: Option<u32>,
    /// Checked MQTT 5 property bytes.
    pub props: &'a [u8],
    pub payload: &'a [u8],
}

/// The origin of what no client's session published.
pub(crate) const NO_ORIGIN: u32 = u32::MAX;

impl Outgoing<'_> {
    /// The router's packet: always its QoS 0, the front door acknowledges itself. One allocation
    /// of the exact size, so that no payload keeps a read buffer alive.
    pub fn packet(&self) -> Packet {
        let topic = &self.topic.as_bytes()[..self.topic.len().min(usize::from(u16::MAX))];
        let n = 5 + topic.len() + 9 + if self.expiry.is_some() { 8 } else { 0 } + self.props.len() + self.payload.len();
        let mut o = BytesMut::with_capacity(n);
        o.put_u8(0x30);
        o.put_u16(0);
        o.put_u16(topic.len() as u16);
        o.put_slice(topic);
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        o.put_u8(flag(self.at_least_once, QOS1) | flag(self.expiry.is_some(), EXPIRES) | flag(self.retain, RETAIN));
        o.put_u32(self.origin);
        if let Some(s) = self.expiry {
            o.put_u64(now_ms().saturating_add(u64::from(s) * 1000));
        }
        o.put_u32(self.props.len() as u32);
        o.put_slice(self.props);
        o.put_slice(self.payload);
        Packet::Publish(Publish::deserialize(o.freeze()), None)
    }
}

/// A message from the router.
pub(crate) struct Incoming {
    pub at_least_once: bool,
    pub retain: bool,
    pub origin: u32,
    deadline_ms: Option<u64>,
    pub props: Bytes,
    pub payload: Bytes,
}

impl Incoming {
    /// Takes a payload apart; `None` when it is not ours.
    pub fn read(mut b: Bytes) -> Option<Incoming> {
        let (&[flags], rest) = b.split_first_chunk::<1>()?;
        let (origin, rest) = rest.split_first_chunk::<4>()?;
        let (deadline_ms, rest) = if flags & EXPIRES != 0 {
            let (d, rest) = rest.split_first_chunk::<8>()?;
            (Some(u64::from_be_bytes(*d)), rest)
        } else {
            (None, rest)
        };
        let (len, rest) = rest.split_first_chunk::<4>()?;
        let props_len = u32::from_be_bytes(*len) as usize;
        let origin = u32::from_be_bytes(*origin);
        if props_len > rest.len() {
            return None;
        }
        let start = b.len() - rest.len();
        let payload = b.split_off(start + props_len);
        let props = b.split_off(start);
        Some(Incoming {
            at_least_once: flags & QOS1 != 0,
            retain: flags & RETAIN != 0,
            origin,
            deadline_ms,
            props,
            payload,
        })
    }

    /// Seconds left to deliver it: `Ok(None)` without an expiry, `Err` when it has passed.
    pub fn remaining(&self) -> Result<Option<u32>, Expired> {
        let Some(d) = self.deadline_ms else { return Ok(None) };
        match d.saturating_sub(now_ms()) {
            0 => Err(Expired),
            ms => Ok(Some(u32::try_from(ms.div_ceil(1000)).unwrap_or(u32::MAX))),
        }
    }
}

/// The message is past its expiry.
#[derive(Debug)]
pub(crate) struct Expired;

/// Milliseconds on a clock that only goes forward.
fn now_ms() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = START.get_or_init(|| Instant::now().checked_sub(Duration::from_millis(1)).unwrap_or_else(Instant::now));
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The packet id and QoS that the router gave a message; its fields are private to it.
pub(crate) fn router_ids(emptied: &Publish) -> (u16, u8) {
    // Equal to the default means QoS 0, and costs nothing to find out.
    if *emptied == Publish::default() {
        return (0, 0);
    }
    let h = emptied.serialize();
    match h.get(..3) {
        Some(&[first, a, b]) => (u16::from_be_bytes([a, b]), (first >> 1) & 3),
        _ => (0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_out_as_it_went_in() {
        for expiry in [None, Some(30)] {
            let out = Outgoing {
                topic: "a/b",
                at_least_once: true,
                retain: expiry.is_some(),
                origin: 7,
                expiry,
                props: b"\x01\x01",
                payload: b"hello",
            };
            let Packet::Publish(mut p, None) = out.packet() else { panic!("not a publish") };
            assert_eq!(&p.topic[..], b"a/b");
            let m = Incoming::read(std::mem::take(&mut p.payload)).unwrap();
            assert!(m.at_least_once && m.retain == expiry.is_some());
            assert_eq!((m.origin, &m.props[..], &m.payload[..]), (7, &b"\x01\x01"[..], &b"hello"[..]));
            assert_eq!(m.remaining().unwrap(), expiry);
            p.topic.clear();
            assert_eq!(router_ids(&p), (0, 0));
        }
    }

    #[test]
    fn an_expired_message_says_so_and_rubbish_is_nothing() {
        let out = Outgoing {
            topic: "t",
            at_least_once: false,
            retain: false,
            origin: 0,
            expiry: Some(0),
            props: b"",
            payload: b"",
        };
        let Packet::Publish(p, None) = out.packet() else { panic!("not a publish") };
        assert!(Incoming::read(p.payload).unwrap().remaining().is_err());
        for n in 0..9 {
            assert!(Incoming::read(Bytes::from(vec![0xff; n])).is_none());
        }
    }
}
