//! Our own reading and writing of MQTT 3.1.1 and 5, from the specifications.
//!
//! Owns every byte that crosses a client's socket. It must never panic, never allocate more than
//! the packet it was given, and never hand a packet on that breaks a rule of the protocol: what
//! comes out of [`parse_frame`] is safe to act on. The router's own codecs are never reached by
//! bytes of a client.

mod connect;
pub(crate) mod encode;
mod packets;
mod props;
mod reader;

pub use connect::{Connect, ConnectWill};
pub use packets::{Publish, RetainHandling, Subscribe, SubscribeFilter, Unsubscribe};
pub use props::{MessageProps, PropValue};

use reader::Reader;

/// The protocol versions spoken here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// MQTT 3.1.1 (protocol level 4).
    V311,
    /// MQTT 5.
    V5,
}

/// Reason codes of MQTT 5 (section 2.4) that the front door uses.
pub mod reason {
    #![allow(missing_docs)]
    pub const SUCCESS: u8 = 0x00;
    pub const NO_SUBSCRIPTION_EXISTED: u8 = 0x11;
    pub const UNSPECIFIED: u8 = 0x80;
    pub const MALFORMED: u8 = 0x81;
    pub const PROTOCOL_ERROR: u8 = 0x82;
    pub const UNSUPPORTED_VERSION: u8 = 0x84;
    pub const CLIENT_ID_NOT_VALID: u8 = 0x85;
    pub const BAD_CREDENTIALS: u8 = 0x86;
    pub const NOT_AUTHORIZED: u8 = 0x87;
    pub const SERVER_UNAVAILABLE: u8 = 0x88;
    pub const SERVER_BUSY: u8 = 0x89;
    pub const SERVER_SHUTTING_DOWN: u8 = 0x8b;
    pub const BAD_AUTH_METHOD: u8 = 0x8c;
    pub const KEEP_ALIVE_TIMEOUT: u8 = 0x8d;
    pub const SESSION_TAKEN_OVER: u8 = 0x8e;
    pub const FILTER_INVALID: u8 = 0x8f;
    pub const TOPIC_INVALID: u8 = 0x90;
    pub const TOPIC_ALIAS_INVALID: u8 = 0x94;
    pub const PACKET_TOO_LARGE: u8 = 0x95;
    pub const QUOTA_EXCEEDED: u8 = 0x97;
    pub const PAYLOAD_FORMAT_INVALID: u8 = 0x99;
    pub const QOS_NOT_SUPPORTED: u8 = 0x9b;
    pub const SHARED_NOT_SUPPORTED: u8 = 0x9e;
}

/// Why bytes are not a packet that may be acted on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CodecError {
    /// The bytes break the format.
    #[error("malformed packet: {0}")]
    Malformed(&'static str),
    /// The packet is well formed but may not stand here.
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// The packet says that it is larger than allowed.
    #[error("a packet of {size} bytes is over the limit of {max}")]
    TooLarge {
        /// What the packet says.
        size: usize,
        /// What is allowed.
        max: usize,
    },
    /// CONNECT of a protocol version that is not spoken here.
    #[error("protocol level {0} is not spoken here, only 4 (3.1.1) and 5")]
    UnsupportedVersion(u8),
    /// A topic alias of 0.
    #[error("a topic alias is never 0")]
    TopicAlias,
}

impl CodecError {
    /// The MQTT 5 reason code that says the same.
    pub fn reason(&self) -> u8 {
        match self {
            CodecError::Malformed(_) => reason::MALFORMED,
            CodecError::Protocol(_) => reason::PROTOCOL_ERROR,
            CodecError::TooLarge { .. } => reason::PACKET_TOO_LARGE,
            CodecError::UnsupportedVersion(_) => reason::UNSUPPORTED_VERSION,
            CodecError::TopicAlias => reason::TOPIC_ALIAS_INVALID,
        }
    }
}

/// A packet that a client sent, borrowed from the buffer it was read into.
#[derive(Debug, PartialEq)]
pub enum Packet<'a> {
    /// The first packet of a connection.
    Connect(Connect<'a>),
    /// A message.
    Publish(Publish<'a>),
    /// The acknowledgement of a message that was sent at QoS 1: the packet id.
    PubAck(u16),
    /// New subscriptions.
    Subscribe(Subscribe<'a>),
    /// Subscriptions that end.
    Unsubscribe(Unsubscribe<'a>),
    /// A sign of life.
    PingReq,
    /// The client leaves.
    Disconnect {
        /// 0x00 normal, 0x04 with the will, or the client's complaint.
        reason: u8,
        /// A changed session expiry interval in seconds.
        session_expiry: Option<u32>,
    },
    /// MQTT 5 AUTH: never agreed upon here.
    Auth,
    /// PUBREC, PUBREL and PUBCOMP: QoS 2 is not offered yet. Holds the packet type.
    QoS2Step(u8),
}

/// Reads one packet from the front of `buf`.
///
/// `version` is `None` until a CONNECT was read; then nothing but a CONNECT is a packet, and
/// afterwards a CONNECT no longer is. Gives `None` when more bytes are needed, else the packet
/// and the number of bytes that it took. A packet that says it is larger than `max` bytes
/// (fixed header included) is refused as soon as its header is there.
///
/// # Errors
/// [`CodecError`]; the connection must then be closed, nothing after the error can be read.
pub fn parse_frame(
    buf: &[u8],
    version: Option<Version>,
    max: usize,
) -> Result<Option<(Packet<'_>, usize)>, CodecError> {
    let Some(&first) = buf.first() else { return Ok(None) };
    let (kind, flags) = (first >> 4, first & 0x0f);
    check_start(kind, flags, version)?;
    let Some((remaining, header)) = remaining_length(&buf[1..], version)? else { return Ok(None) };
    let total = 1 + header + remaining;
    if total > max {
        return Err(CodecError::TooLarge { size: total, max });
    }
    let Some(body) = buf.get(1 + header..total) else { return Ok(None) };
    let mut r = Reader::new(body);
    let packet = match (kind, version) {
        (1, None) => Packet::Connect(Connect::read(&mut r)?),
        (3, Some(v)) => Packet::Publish(Publish::read(&mut r, flags, v)?),
        (4, Some(v)) => Packet::PubAck(packets::read_ack(&mut r, v)?),
        (5..=7, Some(v)) => {
            packets::read_ack(&mut r, v)?;
            Packet::QoS2Step(kind)
        }
        (8, Some(v)) => Packet::Subscribe(Subscribe::read(&mut r, v)?),
        (10, Some(v)) => Packet::Unsubscribe(Unsubscribe::read(&mut r, v)?),
        (12, Some(_)) => Packet::PingReq,
        (14, Some(v)) => packets::read_disconnect(&mut r, v)?,
        (15, Some(Version::V5)) => {
            r.skip_rest();
            Packet::Auth
        }
        _ => return Err(CodecError::Protocol("this packet never comes from a client")),
    };
    if !r.is_empty() {
        return Err(CodecError::Malformed("bytes are left over after the packet's last field"));
    }
    Ok(Some((packet, total)))
}

/// Refuses on the first byte what can't become a packet.
fn check_start(kind: u8, flags: u8, version: Option<Version>) -> Result<(), CodecError> {
    match (kind, version) {
        (1, None) => {}
        (_, None) => return Err(CodecError::Protocol("the first packet must be CONNECT")),
        (1, Some(_)) => return Err(CodecError::Protocol("a second CONNECT")),
        (0, _) => return Err(CodecError::Malformed("packet type 0")),
        (15, Some(Version::V311)) => return Err(CodecError::Malformed("packet type 15")),
        (2 | 9 | 11 | 13, _) => return Err(CodecError::Protocol("this packet never comes from a client")),
        _ => {}
    }
    let expected = match kind {
        3 => return Ok(()),
        6 | 8 | 10 => 2,
        _ => 0,
    };
    if flags == expected { Ok(()) } else { Err(CodecError::Malformed("reserved bits of the fixed header")) }
}

/// The remaining length and the number of bytes it takes; `None` when it is not complete.
fn remaining_length(buf: &[u8], version: Option<Version>) -> Result<Option<(usize, usize)>, CodecError> {
    let mut value = 0usize;
    for i in 0..4 {
        let Some(&b) = buf.get(i) else { return Ok(None) };
        value |= usize::from(b & 0x7f) << (7 * i);
        if b & 0x80 == 0 {
            // 3.1.1 says nothing of the shortest form, and small clients pad; 5 demands it.
            if i > 0 && b == 0 && version == Some(Version::V5) {
                return Err(CodecError::Malformed("the remaining length is not in its shortest form"));
            }
            return Ok(Some((value, i + 1)));
        }
    }
    Err(CodecError::Malformed("the remaining length has more than four bytes"))
}

#[cfg(test)]
mod tests;
