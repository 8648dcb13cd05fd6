//! Just enough of a command and of a reply to match one with the other.
//!
//! Reads a command exactly as strictly as a full JSON parser would, so that whatever passes here
//! can be answered with its `command_id` by the service behind it. Builds nothing of it.

use std::borrow::Cow;
use std::fmt;

use mw_contract::enums::Context;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use uuid::Uuid;

/// Why a payload is not a command that could be answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("a command has at most {max} bytes, this one has {size}")]
    TooLarge { size: usize, max: usize },
    #[error("the payload is not a JSON object with a command_id: {0}")]
    Json(#[from] serde_json::Error),
}

/// The `command_id` of a payload.
pub(crate) fn command_id(payload: &[u8], max: usize) -> Result<Uuid, Unreadable> {
    if payload.len() > max {
        return Err(Unreadable::TooLarge { size: payload.len(), max });
    }
    let mut d = serde_json::Deserializer::from_slice(payload);
    let id = d.deserialize_map(TopLevel)?;
    d.end()?;
    Ok(id)
}

struct TopLevel;

impl<'de> Visitor<'de> for TopLevel {
    type Value = Uuid;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a command, which is an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Uuid, A::Error> {
        let mut id = None;
        while let Some(IsCommandId(is_id)) = map.next_key()? {
            if is_id {
                if id.is_some() {
                    return Err(A::Error::custom("command_id stands twice"));
                }
                let text: Text<'de> = map.next_value()?;
                id = Some(Uuid::parse_str(&text.0).map_err(|e| A::Error::custom(format!("command_id: {e}")))?);
            } else {
                map.next_value::<Checked>()?;
            }
        }
        id.ok_or_else(|| A::Error::missing_field("command_id"))
    }
}

struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a UUID as text")
            }
            fn visit_borrowed_str<E>(self, s: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(s)))
            }
            fn visit_str<E>(self, s: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(s.to_owned())))
            }
        }
        d.deserialize_str(V)
    }
}

struct IsCommandId(bool);

impl<'de> Deserialize<'de> for IsCommandId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl Visitor<'_> for V {
            type Value = IsCommandId;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }
            fn visit_str<E>(self, s: &str) -> Result<IsCommandId, E> {
                Ok(IsCommandId(s == "command_id"))
            }
        }
        d.deserialize_str(V)
    }
}

/// Any value, read through (strings, numbers and nesting checked) and thrown away. serde's own
/// `IgnoredAny` would let pass what a later parse refuses: bad UTF-8, lone surrogates, huge
/// numbers, bottomless nesting.
struct Checked;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Checked;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_bool<E>(self, _: bool) -> Result<Checked, E> {
                Ok(Checked)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Checked, E> {
                Ok(Checked)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Checked, E> {
                Ok(Checked)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Checked, E> {
                Ok(Checked)
            }
            fn visit_str<E>(self, _: &str) -> Result<Checked, E> {
                Ok(Checked)
            }
            fn visit_unit<E>(self) -> Result<Checked, E> {
                Ok(Checked)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut s: A) -> Result<Checked, A::Error> {
                while s.next_element::<Checked>()?.is_some() {}
                Ok(Checked)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut m: A) -> Result<Checked, A::Error> {
                while m.next_key::<IsCommandId>()?.is_some() {
                    m.next_value::<Checked>()?;
                }
                Ok(Checked)
            }
        }
        d.deserialize_any(V)
    }
}

/// What a reply says of the command it answers.
#[derive(Deserialize)]
pub(crate) struct ReplyProbe {
    pub command_id: Option<Uuid>,
    pub context: Context,
    #[serde(default)]
    error: Option<ErrorProbe>,
}

#[derive(Deserialize)]
struct ErrorProbe {
    retryable: bool,
}

impl ReplyProbe {
    pub fn read(payload: &[u8]) -> Option<ReplyProbe> {
        serde_json::from_slice(payload).ok()
    }

    /// Was the outcome stored? A retryable one was not.
    pub fn is_final(&self) -> bool {
        !self.error.as_ref().is_some_and(|e| e.retryable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01937b1e-0000-7000-8000-000000000001";

    #[test]
    fn the_id_is_found_wherever_it_stands() {
        for s in [
            format!(r#"{{"command_id":"{ID}"}}"#),
            format!(
                r#" {{"type":"x","payload":{{"command_id":"no","a":[1,2.5,null,true,"é\n"]}},"command_id":"{ID}"}} "#
            ),
            format!(r#"{{"command\u005fid":"{ID}"}}"#),
        ] {
            assert_eq!(command_id(s.as_bytes(), 65_536).unwrap().to_string(), ID, "{s}");
        }
    }

    #[test]
    fn what_no_parser_would_take_is_unreadable() {
        let deep = format!(r#"{{"command_id":"{ID}","a":{}{}}}"#, "[".repeat(200), "]".repeat(200));
        let bad = [
            String::new(),
            "null".into(),
            "[]".into(),
            "{}".into(),
            format!(r#""{ID}""#),
            r#"{"command_id":7}"#.into(),
            r#"{"command_id":null}"#.into(),
            r#"{"command_id":"x"}"#.into(),
            format!(r#"{{"command_id":"{ID}"}} x"#),
            format!(r#"{{"command_id":"{ID}","command_id":"{ID}"}}"#),
            format!(r#"{{"command_id":"{ID}","a":"\ud800"}}"#),
            format!(r#"{{"command_id":"{ID}","a":1e999}}"#),
            format!(r#"{{"payload":{{"command_id":"{ID}"}}}}"#),
            deep,
        ];
        for s in bad {
            assert!(command_id(s.as_bytes(), 65_536).is_err(), "{s}");
        }
        let mut not_utf8 = format!(r#"{{"command_id":"{ID}","a":"_"}}"#).into_bytes();
        let at = not_utf8.iter().position(|b| *b == b'_' && not_utf8[0] == b'{').unwrap();
        not_utf8[at] = 0xff;
        let last = not_utf8.len() - 3;
        not_utf8[at] = b'_';
        not_utf8[last] = 0xff;
        assert!(command_id(&not_utf8, 65_536).is_err());
        let long = format!(r#"{{"command_id":"{ID}","a":"{}"}}"#, "x".repeat(100));
        assert!(matches!(command_id(long.as_bytes(), 100), Err(Unreadable::TooLarge { .. })));
    }

    #[test]
    fn a_reply_is_final_unless_it_may_be_tried_again() {
        let read = |error: &str| {
            let s = format!(r#"{{"command_id":"{ID}","status":"rejected","context":"production","events":[]{error}}}"#);
            ReplyProbe::read(s.as_bytes()).unwrap()
        };
        assert!(read("").is_final());
        assert!(read(r#","error":{"code":"FORBIDDEN","message":"no","retryable":false}"#).is_final());
        assert!(!read(r#","error":{"code":"UNAVAILABLE","message":"no","retryable":true}"#).is_final());
        assert!(ReplyProbe::read(b"{}").is_none());
    }
}
