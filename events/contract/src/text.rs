//! Bounded text, and text that is sealed before it is stored.

use std::fmt;

use bincode::error::{DecodeError, EncodeError};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// UTF-8 text of 1 to `N` characters, trimmed. Not personal data: free text is [`Sealed`].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize)]
#[serde(transparent)]
pub struct Text<const N: usize>(Box<str>);

/// Not such a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to {max} characters and no control characters")]
pub struct BadText {
    /// The most characters it may have.
    pub max: usize,
}

impl<const N: usize> Text<N> {
    /// Trims, then checks the length and that no control character but tab and newline is in it.
    pub fn new(s: &str) -> Result<Self, BadText> {
        let s = s.trim();
        let bad = |c: char| c.is_control() && c != '\n' && c != '\t' && c != '\r';
        if s.is_empty() || s.chars().count() > N || s.chars().any(bad) {
            return Err(BadText { max: N });
        }
        Ok(Text(s.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Text<N> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let s = std::borrow::Cow::<'de, str>::deserialize(d)?;
        Text::new(&s).map_err(de::Error::custom)
    }
}

impl<const N: usize> bincode::Encode for Text<N> {
    fn encode<E: bincode::enc::Encoder>(&self, e: &mut E) -> Result<(), EncodeError> {
        bincode::Encode::encode(&*self.0, e)
    }
}

impl<C, const N: usize> bincode::Decode<C> for Text<N> {
    /// Takes what was stored, whatever the bound is today.
    fn decode<D: bincode::de::Decoder<Context = C>>(d: &mut D) -> Result<Self, DecodeError> {
        let s: String = bincode::Decode::decode(d)?;
        Ok(Text(s.into()))
    }
}

impl<'de, C, const N: usize> bincode::BorrowDecode<'de, C> for Text<N> {
    fn borrow_decode<D: bincode::de::BorrowDecoder<'de, Context = C>>(d: &mut D) -> Result<Self, DecodeError> {
        bincode::Decode::decode(d)
    }
}

impl<const N: usize> schemars::JsonSchema for Text<N> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Text{N}").into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let about = if N >= FREE_TEXT { SEALED_WHEN_STORED } else { KEPT_READABLE };
        schemars::json_schema!({"type": "string", "minLength": 1, "maxLength": N, "description": about})
    }
}

/// Texts of commands that may be this long are notes, descriptions and comments; no event has such a
/// text but sealed.
const FREE_TEXT: usize = 2000;
const SEALED_WHEN_STORED: &str =
    "Free text. It is sealed when it is stored, may hold personal data, and is not searched.";
const KEPT_READABLE: &str = "Stored as it is and readable for ever: a title, a number, a name of a thing. \
    Not for personal data: names of people, phone numbers and addresses belong into free text.";

/// A secret on its way to being hashed: 12 to 200 characters, taken as they are (not trimmed), and
/// never shown again: neither `Debug` nor JSON has it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// The fewest characters.
    pub const MIN: usize = 12;
    /// The most characters.
    pub const MAX: usize = 200;

    /// Checks the length.
    pub fn new(s: &str) -> Result<Self, String> {
        let n = s.chars().count();
        if (Self::MIN..=Self::MAX).contains(&n) && !s.chars().any(char::is_control) {
            Ok(Secret(s.into()))
        } else {
            Err(format!("must have {} to {} characters and no control characters", Self::MIN, Self::MAX))
        }
    }

    /// The secret itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_none()
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let s = std::borrow::Cow::<'de, str>::deserialize(d)?;
        Secret::new(&s).map_err(de::Error::custom)
    }
}

impl schemars::JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "minLength": Self::MIN, "maxLength": Self::MAX, "writeOnly": true})
    }
}

/// Free text that may hold personal data. It is plain only on its way from a command to a commit
/// and on its way from the vault to a reader in scope; what is stored and published is ciphertext.
///
/// A plain value can't be written into a frame: encoding it is an error, so text that somebody
/// forgot to seal stops its command instead of staying readable in history for ever.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Sealed {
    /// Not sealed yet, or opened again.
    Plain(String),
    /// AES-256-GCM under the key `key_id` of a data subject: nonce (12 bytes), ciphertext, tag.
    Cipher {
        /// Which key of the vault opens it.
        key_id: Uuid,
        /// Nonce, ciphertext and tag.
        bytes: Vec<u8>,
    },
    /// What a reader in scope is shown where the key was destroyed. Never stored.
    Erased,
}

impl Sealed {
    /// Text that is still to be sealed.
    pub fn plain<const N: usize>(t: &Text<N>) -> Self {
        Sealed::Plain(t.as_str().to_owned())
    }
}

impl Serialize for Sealed {
    /// The text where it is open, `{"sealed":true}` where it is not, `{"erased":true}` where nobody
    /// can open it any more.
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let state = match self {
            Sealed::Plain(t) => return s.serialize_str(t),
            Sealed::Cipher { .. } => "sealed",
            Sealed::Erased => "erased",
        };
        let mut m = s.serialize_map(Some(1))?;
        m.serialize_entry(state, &true)?;
        m.end()
    }
}

impl bincode::Encode for Sealed {
    fn encode<E: bincode::enc::Encoder>(&self, e: &mut E) -> Result<(), EncodeError> {
        match self {
            Sealed::Plain(_) => Err(EncodeError::Other("plain text must be sealed before it is stored")),
            Sealed::Erased => Err(EncodeError::Other("what is left of an erased text is not stored")),
            Sealed::Cipher { key_id, bytes } => {
                bincode::Encode::encode(key_id.as_bytes(), e)?;
                bincode::Encode::encode(bytes, e)
            }
        }
    }
}

impl<C> bincode::Decode<C> for Sealed {
    fn decode<D: bincode::de::Decoder<Context = C>>(d: &mut D) -> Result<Self, DecodeError> {
        let id: [u8; 16] = bincode::Decode::decode(d)?;
        let bytes: Vec<u8> = bincode::Decode::decode(d)?;
        Ok(Sealed::Cipher { key_id: Uuid::from_bytes(id), bytes })
    }
}
bincode::impl_borrow_decode!(Sealed);

impl schemars::JsonSchema for Sealed {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sealed".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "The text for a reader in scope, {\"erased\":true} once its data subject was erased, {\"sealed\":true} elsewhere.",
            "anyOf": [
                {"type": "string"},
                {"type": "object", "properties": {"sealed": {"const": true}}, "required": ["sealed"]},
                {"type": "object", "properties": {"erased": {"const": true}}, "required": ["erased"]}
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_never_reaches_a_frame() {
        let s = Sealed::Plain("Mrs Miller, 0171 …".into());
        assert!(bincode::encode_to_vec(&s, bincode::config::standard()).is_err());
    }

    #[test]
    fn ciphertext_shows_only_that_it_is_sealed() {
        let s = Sealed::Cipher { key_id: Uuid::nil(), bytes: vec![1, 2, 3] };
        assert_eq!(serde_json::to_string(&s).unwrap(), r#"{"sealed":true}"#);
        let b = bincode::encode_to_vec(&s, bincode::config::standard()).unwrap();
        let (back, n): (Sealed, usize) = bincode::decode_from_slice(&b, bincode::config::standard()).unwrap();
        assert_eq!((back, n), (s, b.len()));
    }

    #[test]
    fn erased_text_says_so_and_is_never_stored() {
        assert_eq!(serde_json::to_string(&Sealed::Erased).unwrap(), r#"{"erased":true}"#);
        assert!(bincode::encode_to_vec(&Sealed::Erased, bincode::config::standard()).is_err());
    }

    #[test]
    fn a_secret_is_never_shown() {
        let s = Secret::new(" correct horse ").unwrap();
        assert_eq!(s.as_str(), " correct horse ");
        assert!(!format!("{s:?}{}", serde_json::to_string(&s).unwrap()).contains("horse"));
        assert!(Secret::new("short").is_err());
    }

    #[test]
    fn schemas_say_where_personal_data_may_be_entered() {
        use crate::{CommandType, EventType};
        let mut g = schemars::SchemaGenerator::default();
        for c in CommandType::ALL {
            c.payload_schema(&mut g);
        }
        let commands = g.take_definitions(true);
        assert_eq!(commands["Text120"]["description"], KEPT_READABLE);
        assert_eq!(commands["Text4000"]["description"], SEALED_WHEN_STORED);
        let mut g = schemars::SchemaGenerator::default();
        for e in EventType::ALL {
            e.schema(&mut g);
        }
        let stored = g.take_definitions(true);
        assert!(stored.contains_key("Text120"));
        for name in stored.keys().filter_map(|n| n.strip_prefix("Text")) {
            assert!(name.parse::<usize>().is_ok_and(|n| n < FREE_TEXT), "free text of {name} is stored unsealed");
        }
    }

    #[test]
    fn text_is_trimmed_and_bounded() {
        assert_eq!(Text::<5>::new("  abc ").unwrap().as_str(), "abc");
        assert!(Text::<5>::new("   ").is_err());
        assert!(Text::<5>::new("abcdef").is_err());
        assert!(Text::<5>::new("äöüßé").is_ok());
        assert!(Text::<5>::new("a\u{0}b").is_err());
    }
}
