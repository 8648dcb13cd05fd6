//! What the server sends, appended to a connection's write buffer.

use bytes::{BufMut, BytesMut};

use super::props::{id, put_bin, put_varint, varint_len};
use super::{Version, reason};

/// What CONNACK tells an MQTT 5 client of the server.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerTerms<'a> {
    pub assigned_client_id: Option<&'a str>,
    pub session_expiry: Option<u32>,
    pub receive_maximum: u16,
    pub max_packet: u32,
    pub topic_alias_maximum: u16,
}

/// CONNACK that accepts.
pub(crate) fn connack_ok(out: &mut BytesMut, version: Version, session_present: bool, terms: &ServerTerms<'_>) {
    if version == Version::V311 {
        out.put_slice(&[0x20, 2, u8::from(session_present), 0]);
        return;
    }
    let mut p = BytesMut::with_capacity(64);
    if let Some(s) = terms.session_expiry {
        p.put_u8(id::SESSION_EXPIRY);
        p.put_u32(s);
    }
    p.put_u8(id::RECEIVE_MAXIMUM);
    p.put_u16(terms.receive_maximum);
    // QoS 2 is announced here once it is offered; retained messages need no word.
    p.put_slice(&[id::MAXIMUM_QOS, 1, id::SHARED_AVAILABLE, 0]);
    p.put_u8(id::MAXIMUM_PACKET);
    p.put_u32(terms.max_packet);
    if let Some(c) = terms.assigned_client_id {
        p.put_u8(id::ASSIGNED_CLIENT_ID);
        put_bin(&mut p, c.as_bytes());
    }
    p.put_u8(id::TOPIC_ALIAS_MAXIMUM);
    p.put_u16(terms.topic_alias_maximum);
    connack(out, u8::from(session_present), reason::SUCCESS, &p);
}

fn connack(out: &mut BytesMut, flags: u8, code: u8, props: &[u8]) {
    out.put_u8(0x20);
    put_varint(out, 2 + varint_len(props.len()) + props.len());
    out.put_slice(&[flags, code]);
    put_varint(out, props.len());
    out.put_slice(props);
}

/// CONNACK that refuses, with the reason code of MQTT 5; 3.1.1 gets the nearest it has.
pub(crate) fn connack_refused(out: &mut BytesMut, version: Version, code: u8, why: &str) {
    match version {
        Version::V5 => {
            let mut p = BytesMut::with_capacity(3 + why.len());
            put_reason(&mut p, why);
            connack(out, 0, code, &p);
        }
        Version::V311 => {
            let old = match code {
                reason::UNSUPPORTED_VERSION => 1,
                reason::CLIENT_ID_NOT_VALID => 2,
                reason::BAD_CREDENTIALS | reason::NOT_AUTHORIZED | reason::BAD_AUTH_METHOD => 5,
                _ => 3,
            };
            out.put_slice(&[0x20, 2, 0, old]);
        }
    }
}

fn put_reason(p: &mut BytesMut, why: &str) {
    if !why.is_empty() {
        p.put_u8(id::REASON_STRING);
        put_bin(p, why.as_bytes());
    }
}

/// A message to a subscriber, already read from the router.
pub(crate) struct Delivery<'a> {
    pub dup: bool,
    pub retain: bool,
    pub packet_id: Option<u16>,
    pub topic: &'a [u8],
    /// Checked property bytes of the publisher; MQTT 5 only.
    pub props: &'a [u8],
    pub expiry: Option<u32>,
    pub subscription_ids: &'a [usize],
    pub payload: &'a [u8],
}

impl Delivery<'_> {
    /// Appends the packet, unless it is over `max` bytes: then nothing is appended and the answer is false.
    pub fn put(&self, out: &mut BytesMut, version: Version, max: usize) -> bool {
        let mut n = 2 + self.topic.len() + self.payload.len() + if self.packet_id.is_some() { 2 } else { 0 };
        let mut props = 0;
        if version == Version::V5 {
            props = self.props.len() + if self.expiry.is_some() { 5 } else { 0 };
            props += self.subscription_ids.iter().map(|i| 1 + varint_len(*i)).sum::<usize>();
            n += varint_len(props) + props;
        }
        if 1 + varint_len(n) + n > max {
            return false;
        }
        out.reserve(5 + n);
        out.put_u8(
            0x30 | (u8::from(self.dup) << 3) | (u8::from(self.packet_id.is_some()) << 1) | u8::from(self.retain),
        );
        put_varint(out, n);
        out.put_u16(self.topic.len() as u16);
        out.put_slice(self.topic);
        if let Some(p) = self.packet_id {
            out.put_u16(p);
        }
        if version == Version::V5 {
            put_varint(out, props);
            if let Some(s) = self.expiry {
                out.put_u8(id::MESSAGE_EXPIRY);
                out.put_u32(s);
            }
            for i in self.subscription_ids {
                out.put_u8(id::SUBSCRIPTION_ID);
                put_varint(out, *i);
            }
            out.put_slice(self.props);
        }
        out.put_slice(self.payload);
        true
    }
}

/// PUBACK. On 3.1.1 the code is not sent; a refusal there closes the connection instead.
pub(crate) fn puback(out: &mut BytesMut, version: Version, packet_id: u16, code: u8, why: &str) {
    out.put_u8(0x40);
    if version == Version::V311 || code == reason::SUCCESS {
        out.put_u8(2);
        out.put_u16(packet_id);
        return;
    }
    if why.is_empty() {
        out.put_u8(3);
        out.put_u16(packet_id);
        out.put_u8(code);
        return;
    }
    let mut p = BytesMut::with_capacity(3 + why.len());
    put_reason(&mut p, why);
    put_varint(out, 3 + varint_len(p.len()) + p.len());
    out.put_u16(packet_id);
    out.put_u8(code);
    put_varint(out, p.len());
    out.put_slice(&p);
}

/// SUBACK; 3.1.1 knows the granted QoS or 0x80.
pub(crate) fn suback(out: &mut BytesMut, version: Version, packet_id: u16, codes: &[u8]) {
    out.put_u8(0x90);
    let props = usize::from(version == Version::V5);
    put_varint(out, 2 + props + codes.len());
    out.put_u16(packet_id);
    if version == Version::V5 {
        out.put_u8(0);
        out.put_slice(codes);
    } else {
        out.extend(codes.iter().map(|c| if *c >= 0x80 { 0x80 } else { *c }));
    }
}

/// UNSUBACK; 3.1.1 has no codes.
pub(crate) fn unsuback(out: &mut BytesMut, version: Version, packet_id: u16, codes: &[u8]) {
    out.put_u8(0xb0);
    if version == Version::V311 {
        out.put_u8(2);
        out.put_u16(packet_id);
        return;
    }
    put_varint(out, 3 + codes.len());
    out.put_u16(packet_id);
    out.put_u8(0);
    out.put_slice(codes);
}

/// PINGRESP.
pub(crate) fn pingresp(out: &mut BytesMut) {
    out.put_slice(&[0xd0, 0]);
}

/// DISCONNECT; only MQTT 5 has it from the server.
pub(crate) fn disconnect(out: &mut BytesMut, code: u8, why: &str, max: usize) {
    let mut p = BytesMut::with_capacity(3 + why.len());
    put_reason(&mut p, why);
    if 4 + varint_len(p.len()) + p.len() > max {
        p.clear();
    }
    out.put_u8(0xe0);
    put_varint(out, 1 + varint_len(p.len()) + p.len());
    out.put_u8(code);
    put_varint(out, p.len());
    out.put_slice(&p);
}
