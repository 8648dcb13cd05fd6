//! CONNECT. Owns the rules of its flags and the order of its payload.

use super::props::{self, MessageProps, PropValue, id};
use super::reader::Reader;
use super::{CodecError, Version};

/// A client's first packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Connect<'a> {
    /// 3.1.1 or 5.
    pub version: Version,
    /// Begin with no session (5: clean start, 3.1.1: clean session).
    pub clean_start: bool,
    /// Seconds; 0 is "never".
    pub keep_alive: u16,
    /// May be empty.
    pub client_id: &'a str,
    /// What to publish when the connection ends badly.
    pub will: Option<ConnectWill<'a>>,
    /// The account.
    pub username: Option<&'a str>,
    /// A token or a secret.
    pub password: Option<&'a [u8]>,
    /// Seconds that the session outlives the connection (5).
    pub session_expiry: u32,
    /// How many QoS 1 messages the client takes unacknowledged (5).
    pub receive_maximum: u16,
    /// The largest packet that the client takes (5).
    pub max_packet: u32,
    /// May reason strings be sent everywhere (5)?
    pub problem_information: bool,
    /// The client wants an enhanced authentication (5).
    pub enhanced_auth: bool,
}

/// A will, as CONNECT carries it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectWill<'a> {
    /// Where it goes.
    pub topic: &'a str,
    /// What it says.
    pub payload: &'a [u8],
    /// 0, 1 or 2.
    pub qos: u8,
    /// Retained?
    pub retain: bool,
    /// Its properties, the delay among them (5).
    pub props: MessageProps<'a>,
}

impl<'a> Connect<'a> {
    pub(super) fn read(r: &mut Reader<'a>) -> Result<Self, CodecError> {
        let name = r.bin()?;
        let level = r.u8()?;
        let version = match (name, level) {
            (b"MQTT", 4) => Version::V311,
            (b"MQTT", 5) => Version::V5,
            (b"MQTT" | b"MQIsdp", other) => return Err(CodecError::UnsupportedVersion(other)),
            _ => return Err(CodecError::Malformed("the protocol name is not MQTT")),
        };
        let v5 = version == Version::V5;
        let flags = r.u8()?;
        let (has_user, has_password) = (flags & 0x80 != 0, flags & 0x40 != 0);
        let (will_retain, will_qos, has_will) = (flags & 0x20 != 0, (flags >> 3) & 3, flags & 0x04 != 0);
        if flags & 1 != 0 {
            return Err(CodecError::Malformed("the reserved bit of the CONNECT flags is set"));
        }
        if will_qos == 3 || (!has_will && (will_retain || will_qos != 0)) {
            return Err(CodecError::Malformed("the will flags contradict each other"));
        }
        if !v5 && has_password && !has_user {
            return Err(CodecError::Malformed("a password without a user name"));
        }
        let keep_alive = r.u16()?;
        let mut c = Connect {
            version,
            clean_start: flags & 0x02 != 0,
            keep_alive,
            client_id: "",
            will: None,
            username: None,
            password: None,
            session_expiry: 0,
            receive_maximum: u16::MAX,
            max_packet: u32::MAX,
            problem_information: true,
            enhanced_auth: false,
        };
        if v5 {
            let mut auth_data = false;
            props::read(r, props::CONNECT, |key, value| {
                match (key, value) {
                    (id::SESSION_EXPIRY, PropValue::Four(s)) => c.session_expiry = s,
                    (id::RECEIVE_MAXIMUM, PropValue::Two(n)) => c.receive_maximum = n,
                    (id::MAXIMUM_PACKET, PropValue::Four(n)) => c.max_packet = n,
                    (id::REQUEST_PROBLEM, PropValue::Byte(b)) => c.problem_information = b == 1,
                    (id::AUTH_METHOD, _) => c.enhanced_auth = true,
                    (id::AUTH_DATA, _) => auth_data = true,
                    _ => {}
                }
                Ok(())
            })?;
            if auth_data && !c.enhanced_auth {
                return Err(CodecError::Protocol("authentication data without a method"));
            }
        }
        c.client_id = r.str()?;
        if has_will {
            let props = if v5 { MessageProps::read(r, props::WILL)? } else { MessageProps::default() };
            let topic = r.str()?;
            let payload = r.bin()?;
            c.will = Some(ConnectWill { topic, payload, qos: will_qos, retain: will_retain, props });
        }
        if has_user {
            c.username = Some(r.str()?);
        }
        if has_password {
            c.password = Some(r.bin()?);
        }
        Ok(c)
    }
}
