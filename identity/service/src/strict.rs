//! JSON objects of a token, read without leniency: no duplicate names at any depth, nothing after
//! the end, unpadded base64url only. Two readers of one token must never see two tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Nesting that a token may have; deeper is refused before it costs anything.
const MAX_DEPTH: u8 = 8;

/// Decodes unpadded base64url; padding, other alphabets and loose trailing bits are refused.
pub fn decode_base64url(s: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(s).ok()
}

/// Encodes unpadded base64url.
pub fn encode_base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads one JSON object; `None` when it is anything else or names something twice.
pub fn read_object(bytes: &[u8]) -> Option<Map<String, Value>> {
    let mut d = serde_json::Deserializer::from_slice(bytes);
    let value = Strict(MAX_DEPTH).deserialize(&mut d).ok()?;
    d.end().ok()?;
    match value {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

#[derive(Clone, Copy)]
struct Strict(u8);

impl Strict {
    fn inside<E: de::Error>(self) -> Result<Strict, E> {
        self.0.checked_sub(1).map(Strict).ok_or_else(|| E::custom("nested too deeply"))
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;
    fn deserialize<D: de::Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }
    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }
    fn visit_f64<E: de::Error>(self, v: f64) -> Result<Value, E> {
        Number::from_f64(v).map(Value::Number).ok_or_else(|| E::custom("not a number"))
    }
    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::String(v.to_owned()))
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut a: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut items = Vec::new();
        while let Some(v) = a.next_element_seed(inside)? {
            items.push(v);
        }
        Ok(Value::Array(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut a: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut map = Map::new();
        while let Some(name) = a.next_key::<String>()? {
            if map.contains_key(&name) {
                return Err(de::Error::custom("a name stands twice"));
            }
            let v = a.next_value_seed(inside)?;
            map.insert(name, v);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicates_and_leftovers_are_refused_at_every_depth() {
        for good in [r#"{}"#, r#"{"a":1,"b":{"a":1}}"#, r#" {"a":[1,"x",null,true,1.5]} "#] {
            assert!(read_object(good.as_bytes()).is_some(), "{good}");
        }
        let deep = format!("{}{}", r#"{"a":"#.repeat(20), "1".to_owned() + &"}".repeat(20));
        for bad in [
            "",
            "1",
            "[]",
            "{",
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"x":{"a":1,"a":2}}"#,
            r#"{"x":[{"a":1,"a":2}]}"#,
            "{}x",
            "{}{}",
            r#"{"a":01}"#,
            r#"{'a':1}"#,
            &deep,
        ] {
            assert!(read_object(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn only_canonical_unpadded_base64url() {
        assert_eq!(decode_base64url("_-8").unwrap(), [0xff, 0xef]);
        for bad in ["_-8=", "/+8", "_-9", "_- 8", "_", "\n_-8"] {
            assert!(decode_base64url(bad).is_none(), "{bad}");
        }
    }
}
