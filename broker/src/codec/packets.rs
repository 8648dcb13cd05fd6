//! PUBLISH, SUBSCRIBE, UNSUBSCRIBE, acknowledgements and DISCONNECT, as a client sends them.

use super::props::{self, MessageProps, PropValue, id};
use super::reader::Reader;
use super::{CodecError, Packet, Version};

/// A message from a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Publish<'a> {
    /// Sent before?
    pub dup: bool,
    /// 0, 1 or 2.
    pub qos: u8,
    /// To be kept for later subscribers?
    pub retain: bool,
    /// Empty only beside a topic alias (5).
    pub topic: &'a str,
    /// 0 exactly at QoS 0.
    pub packet_id: u16,
    /// Empty on 3.1.1.
    pub props: MessageProps<'a>,
    /// Anything.
    pub payload: &'a [u8],
}

impl<'a> Publish<'a> {
    pub(super) fn read(r: &mut Reader<'a>, flags: u8, version: Version) -> Result<Self, CodecError> {
        let (dup, qos, retain) = (flags & 8 != 0, (flags >> 1) & 3, flags & 1 != 0);
        if qos == 3 {
            return Err(CodecError::Malformed("QoS 3"));
        }
        if dup && qos == 0 {
            return Err(CodecError::Malformed("DUP at QoS 0"));
        }
        let topic = r.str()?;
        if topic.contains(['+', '#']) {
            return Err(CodecError::Malformed("a wildcard in a topic name"));
        }
        let packet_id = if qos > 0 { r.packet_id()? } else { 0 };
        let props = match version {
            Version::V5 => MessageProps::read(r, props::PUBLISH)?,
            Version::V311 => MessageProps::default(),
        };
        if topic.is_empty() && props.topic_alias.is_none() {
            return Err(CodecError::Protocol("no topic and no topic alias"));
        }
        Ok(Publish { dup, qos, retain, topic, packet_id, props, payload: r.rest() })
    }
}

/// One filter of a SUBSCRIBE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SubscribeFilter<'a> {
    /// As sent; its form is not yet checked.
    pub filter: &'a str,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Leave out what this client published itself (5).
    pub no_local: bool,
    /// Say of what is published from now on whether it was retained (5).
    pub retain_as_published: bool,
    /// When to send what is retained already.
    pub retain_handling: RetainHandling,
}

/// When a subscription gets what is retained already. 3.1.1 knows the first alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RetainHandling {
    /// With every SUBSCRIBE.
    Always,
    /// With the first.
    IfNew,
    /// Never.
    Never,
}

/// New subscriptions, at least one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subscribe<'a> {
    /// Never 0.
    pub packet_id: u16,
    /// Sent along with what matches (5).
    pub subscription_id: Option<u32>,
    /// In the order of the packet.
    pub filters: Vec<SubscribeFilter<'a>>,
}

impl<'a> Subscribe<'a> {
    pub(super) fn read(r: &mut Reader<'a>, version: Version) -> Result<Self, CodecError> {
        let packet_id = r.packet_id()?;
        let mut subscription_id = None;
        if version == Version::V5 {
            props::read(r, props::SUBSCRIBE, |key, value| {
                if let (id::SUBSCRIPTION_ID, PropValue::Var(n)) = (key, value) {
                    subscription_id = Some(n);
                }
                Ok(())
            })?;
        }
        let mut filters = Vec::new();
        while !r.is_empty() {
            let filter = r.str()?;
            let options = r.u8()?;
            let qos = options & 3;
            let reserved = match version {
                Version::V311 => options & 0xfc,
                Version::V5 => options & 0xc0,
            };
            if qos == 3 || reserved != 0 || (options >> 4) & 3 == 3 {
                return Err(CodecError::Malformed("subscription options"));
            }
            let no_local = options & 4 != 0;
            if no_local && filter.starts_with("$share/") {
                return Err(CodecError::Protocol("no local on a shared subscription"));
            }
            let retain_handling = match (options >> 4) & 3 {
                0 => RetainHandling::Always,
                1 => RetainHandling::IfNew,
                _ => RetainHandling::Never,
            };
            let retain_as_published = options & 8 != 0;
            filters.push(SubscribeFilter { filter, qos, no_local, retain_as_published, retain_handling });
        }
        if filters.is_empty() {
            return Err(CodecError::Protocol("a SUBSCRIBE without a filter"));
        }
        Ok(Subscribe { packet_id, subscription_id, filters })
    }
}

/// Subscriptions that end, at least one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unsubscribe<'a> {
    /// Never 0.
    pub packet_id: u16,
    /// In the order of the packet.
    pub filters: Vec<&'a str>,
}

impl<'a> Unsubscribe<'a> {
    pub(super) fn read(r: &mut Reader<'a>, version: Version) -> Result<Self, CodecError> {
        let packet_id = r.packet_id()?;
        if version == Version::V5 {
            props::read(r, props::UNSUBSCRIBE, |_, _| Ok(()))?;
        }
        let mut filters = Vec::new();
        while !r.is_empty() {
            filters.push(r.str()?);
        }
        if filters.is_empty() {
            return Err(CodecError::Protocol("an UNSUBSCRIBE without a filter"));
        }
        Ok(Unsubscribe { packet_id, filters })
    }
}

/// PUBACK, PUBREC, PUBREL, PUBCOMP: a packet id and, in 5, a reason and properties.
pub(super) fn read_ack(r: &mut Reader<'_>, version: Version) -> Result<u16, CodecError> {
    let packet_id = r.packet_id()?;
    if version == Version::V5 && !r.is_empty() {
        r.u8()?;
        if !r.is_empty() {
            props::read(r, props::ACK, |_, _| Ok(()))?;
        }
    }
    Ok(packet_id)
}

pub(super) fn read_disconnect<'a>(r: &mut Reader<'a>, version: Version) -> Result<Packet<'a>, CodecError> {
    let mut session_expiry = None;
    let mut reason = 0;
    if version == Version::V5 && !r.is_empty() {
        reason = r.u8()?;
        if !r.is_empty() {
            props::read(r, props::DISCONNECT, |key, value| {
                if let (id::SESSION_EXPIRY, PropValue::Four(s)) = (key, value) {
                    session_expiry = Some(s);
                }
                Ok(())
            })?;
        }
    }
    Ok(Packet::Disconnect { reason, session_expiry })
}
