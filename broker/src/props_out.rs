//! Message properties between names and bytes, for in-process links.

use bytes::{BufMut, Bytes};

use crate::codec::PropValue;
use crate::link::{Message, each_prop};

const CONTENT_TYPE: u8 = 0x03;
const RESPONSE_TOPIC: u8 = 0x08;
const CORRELATION_DATA: u8 = 0x09;
const USER: u8 = 0x26;

/// Property bytes being written. What does not fit MQTT's 65,535 bytes is left out.
#[derive(Default)]
pub(crate) struct PropsOut {
    pub bytes: Vec<u8>,
}

impl PropsOut {
    fn put(&mut self, key: u8, parts: &[&[u8]]) {
        if parts.iter().all(|p| p.len() <= usize::from(u16::MAX)) {
            self.bytes.put_u8(key);
            for p in parts {
                self.bytes.put_u16(p.len() as u16);
                self.bytes.put_slice(p);
            }
        }
    }

    pub fn content_type(&mut self, v: Option<&str>) {
        if let Some(v) = v {
            self.put(CONTENT_TYPE, &[v.as_bytes()]);
        }
    }

    pub fn response_topic(&mut self, v: Option<&str>) {
        if let Some(v) = v {
            self.put(RESPONSE_TOPIC, &[v.as_bytes()]);
        }
    }

    pub fn correlation_data(&mut self, v: Option<&[u8]>) {
        if let Some(v) = v {
            self.put(CORRELATION_DATA, &[v]);
        }
    }

    pub fn user(&mut self, key: &str, value: &str) {
        self.put(USER, &[key.as_bytes(), value.as_bytes()]);
    }
}

/// Fills the named fields of a message from its property bytes.
pub(crate) fn read_props(raw: &Bytes, out: &mut Message) {
    each_prop(raw, |key, value| match (key, value) {
        (CONTENT_TYPE, PropValue::Str(s)) => out.content_type = Some(s.to_owned()),
        (RESPONSE_TOPIC, PropValue::Str(s)) => out.response_topic = Some(s.to_owned()),
        (CORRELATION_DATA, PropValue::Bin(b)) => out.correlation_data = Some(raw.slice_ref(b)),
        (USER, PropValue::Pair(k, v)) => out.user_properties.push((k.to_owned(), v.to_owned())),
        _ => {}
    });
}
