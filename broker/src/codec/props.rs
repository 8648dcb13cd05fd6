//! MQTT 5 properties. Owns which property may stand in which packet, how often, and in what form.

use bytes::BufMut;

use super::CodecError;
use super::reader::Reader;

pub(super) mod id {
    pub const PAYLOAD_FORMAT: u8 = 0x01;
    pub const MESSAGE_EXPIRY: u8 = 0x02;
    pub const CONTENT_TYPE: u8 = 0x03;
    pub const RESPONSE_TOPIC: u8 = 0x08;
    pub const CORRELATION_DATA: u8 = 0x09;
    pub const SUBSCRIPTION_ID: u8 = 0x0b;
    pub const SESSION_EXPIRY: u8 = 0x11;
    pub const ASSIGNED_CLIENT_ID: u8 = 0x12;
    pub const AUTH_METHOD: u8 = 0x15;
    pub const AUTH_DATA: u8 = 0x16;
    pub const REQUEST_PROBLEM: u8 = 0x17;
    pub const WILL_DELAY: u8 = 0x18;
    pub const REQUEST_RESPONSE: u8 = 0x19;
    pub const REASON_STRING: u8 = 0x1f;
    pub const RECEIVE_MAXIMUM: u8 = 0x21;
    pub const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
    pub const TOPIC_ALIAS: u8 = 0x23;
    pub const MAXIMUM_QOS: u8 = 0x24;
    pub const USER: u8 = 0x26;
    pub const MAXIMUM_PACKET: u8 = 0x27;
    pub const SHARED_AVAILABLE: u8 = 0x2a;
}

/// A set of property ids, all below 64.
pub(super) const fn set(ids: &[u8]) -> u64 {
    let mut m = 0;
    let mut i = 0;
    while i < ids.len() {
        m |= 1 << ids[i];
        i += 1;
    }
    m
}

pub(super) const CONNECT: u64 = set(&[
    id::SESSION_EXPIRY,
    id::AUTH_METHOD,
    id::AUTH_DATA,
    id::REQUEST_PROBLEM,
    id::REQUEST_RESPONSE,
    id::RECEIVE_MAXIMUM,
    id::TOPIC_ALIAS_MAXIMUM,
    id::USER,
    id::MAXIMUM_PACKET,
]);
const MESSAGE: u64 = set(&[
    id::PAYLOAD_FORMAT,
    id::MESSAGE_EXPIRY,
    id::CONTENT_TYPE,
    id::RESPONSE_TOPIC,
    id::CORRELATION_DATA,
    id::USER,
]);
pub(super) const PUBLISH: u64 = MESSAGE | set(&[id::TOPIC_ALIAS]);
pub(super) const WILL: u64 = MESSAGE | set(&[id::WILL_DELAY]);
pub(super) const ACK: u64 = set(&[id::REASON_STRING, id::USER]);
pub(super) const SUBSCRIBE: u64 = set(&[id::SUBSCRIPTION_ID, id::USER]);
pub(super) const UNSUBSCRIBE: u64 = set(&[id::USER]);
pub(super) const DISCONNECT: u64 = set(&[id::SESSION_EXPIRY, id::REASON_STRING, id::USER]);

/// The value of one property.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PropValue<'a> {
    /// One byte.
    Byte(u8),
    /// Two bytes.
    Two(u16),
    /// Four bytes.
    Four(u32),
    /// A variable byte integer.
    Var(u32),
    /// Text.
    Str(&'a str),
    /// Bytes.
    Bin(&'a [u8]),
    /// A name and a value.
    Pair(&'a str, &'a str),
}

fn read_one<'a>(r: &mut Reader<'a>) -> Result<(u8, PropValue<'a>), CodecError> {
    let key = r.u8()?;
    let value = match key {
        id::PAYLOAD_FORMAT | id::REQUEST_PROBLEM | id::REQUEST_RESPONSE | 0x24 | 0x25 | 0x28..=0x2a => {
            PropValue::Byte(r.u8()?)
        }
        0x13 | id::RECEIVE_MAXIMUM | id::TOPIC_ALIAS_MAXIMUM | id::TOPIC_ALIAS => PropValue::Two(r.u16()?),
        id::MESSAGE_EXPIRY | id::SESSION_EXPIRY | id::WILL_DELAY | id::MAXIMUM_PACKET => PropValue::Four(r.u32()?),
        id::SUBSCRIPTION_ID => PropValue::Var(r.varint()?),
        id::CONTENT_TYPE | id::RESPONSE_TOPIC | 0x12 | id::AUTH_METHOD | 0x1a | 0x1c | id::REASON_STRING => {
            PropValue::Str(r.str()?)
        }
        id::CORRELATION_DATA | id::AUTH_DATA => PropValue::Bin(r.bin()?),
        id::USER => PropValue::Pair(r.str()?, r.str()?),
        _ => return Err(CodecError::Malformed("an unknown property")),
    };
    Ok((key, value))
}

/// Reads a property section: its length, then each property through `each`. Unknown, misplaced
/// and repeated ones are refused here.
pub(super) fn read<'a>(
    r: &mut Reader<'a>,
    allowed: u64,
    mut each: impl FnMut(u8, PropValue<'a>) -> Result<(), CodecError>,
) -> Result<&'a [u8], CodecError> {
    let n = r.varint()? as usize;
    let raw = r.take(n)?;
    let mut p = Reader::new(raw);
    let mut seen = 0u64;
    while !p.is_empty() {
        let (key, value) = read_one(&mut p)?;
        let bit = 1u64 << key;
        if allowed & bit == 0 {
            return Err(CodecError::Protocol("a property that may not stand in this packet"));
        }
        if key != id::USER && seen & bit != 0 {
            return Err(CodecError::Protocol("a property stands twice"));
        }
        seen |= bit;
        check_value(key, value)?;
        each(key, value)?;
    }
    Ok(raw)
}

fn check_value(key: u8, value: PropValue<'_>) -> Result<(), CodecError> {
    match (key, value) {
        (id::PAYLOAD_FORMAT | id::REQUEST_PROBLEM | id::REQUEST_RESPONSE, PropValue::Byte(b)) if b > 1 => {
            Err(CodecError::Protocol("a property that is 0 or 1 is neither"))
        }
        (id::RECEIVE_MAXIMUM, PropValue::Two(0)) => Err(CodecError::Protocol("receive maximum 0")),
        (id::MAXIMUM_PACKET, PropValue::Four(0)) => Err(CodecError::Protocol("maximum packet size 0")),
        (id::SUBSCRIPTION_ID, PropValue::Var(0)) => Err(CodecError::Protocol("subscription identifier 0")),
        (id::TOPIC_ALIAS, PropValue::Two(0)) => Err(CodecError::TopicAlias),
        (id::RESPONSE_TOPIC, PropValue::Str(t)) if t.is_empty() || t.contains(['+', '#']) => {
            Err(CodecError::Protocol("a response topic is a topic name"))
        }
        _ => Ok(()),
    }
}

/// The properties of a message (PUBLISH or will), checked and still in their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MessageProps<'a> {
    raw: &'a [u8],
    /// An alias for the topic, 1 and up.
    pub topic_alias: Option<u16>,
    /// Seconds for which the message is worth delivering.
    pub expiry: Option<u32>,
    /// Where an answer is wanted.
    pub response_topic: Option<&'a str>,
    /// What an answer must carry.
    pub correlation_data: Option<&'a [u8]>,
    /// A will's delay in seconds.
    pub will_delay: u32,
}

impl<'a> MessageProps<'a> {
    pub(super) fn read(r: &mut Reader<'a>, allowed: u64) -> Result<Self, CodecError> {
        let mut out = MessageProps::default();
        let raw = read(r, allowed, |key, value| {
            match (key, value) {
                (id::TOPIC_ALIAS, PropValue::Two(a)) => out.topic_alias = Some(a),
                (id::MESSAGE_EXPIRY, PropValue::Four(s)) => out.expiry = Some(s),
                (id::RESPONSE_TOPIC, PropValue::Str(t)) => out.response_topic = Some(t),
                (id::CORRELATION_DATA, PropValue::Bin(b)) => out.correlation_data = Some(b),
                (id::WILL_DELAY, PropValue::Four(s)) => out.will_delay = s,
                _ => {}
            }
            Ok(())
        })?;
        out.raw = raw;
        Ok(out)
    }

    /// Reads a property section that [`MessageProps::forward`] wrote.
    pub(crate) fn of_raw(raw: &'a [u8], mut each: impl FnMut(u8, PropValue<'a>)) {
        let mut p = Reader::new(raw);
        while !p.is_empty() {
            match read_one(&mut p) {
                Ok((key, value)) => each(key, value),
                Err(_) => return,
            }
        }
    }

    /// The bytes of what a subscriber gets: all but the alias, the expiry (it is counted down by
    /// the front door), the delay of a will and, where it is foreign, the response topic.
    pub(crate) fn forward(&self, keep_response_topic: bool) -> std::borrow::Cow<'a, [u8]> {
        let whole = self.topic_alias.is_none()
            && self.expiry.is_none()
            && self.will_delay == 0
            && (keep_response_topic || self.response_topic.is_none());
        if whole {
            return self.raw.into();
        }
        let mut out = Vec::with_capacity(self.raw.len());
        let mut p = Reader::new(self.raw);
        while !p.is_empty() {
            let before = p.peek();
            // The section was checked when it was read, so this does not fail.
            let Ok((key, _)) = read_one(&mut p) else { break };
            let dropped = matches!(key, id::TOPIC_ALIAS | id::MESSAGE_EXPIRY | id::WILL_DELAY)
                || (key == id::RESPONSE_TOPIC && !keep_response_topic);
            if !dropped {
                out.extend_from_slice(&before[..before.len() - p.peek().len()]);
            }
        }
        out.into()
    }
}

/// Appends a variable byte integer. Values over 268,435,455 never occur: packets are bounded.
pub(crate) fn put_varint(out: &mut impl BufMut, mut value: usize) {
    loop {
        let b = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.put_u8(b);
            return;
        }
        out.put_u8(b | 0x80);
    }
}

/// The number of bytes of a variable byte integer.
pub(crate) const fn varint_len(value: usize) -> usize {
    match value {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    }
}

/// Appends a length of two bytes and the bytes; what does not fit is cut off by the caller.
pub(crate) fn put_bin(out: &mut impl BufMut, b: &[u8]) {
    let n = b.len().min(usize::from(u16::MAX));
    out.put_u16(n as u16);
    out.put_slice(&b[..n]);
}
