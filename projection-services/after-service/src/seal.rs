//! Sealed text inside a stored document: its key and bytes stand where the text would, and are opened,
//! or shown as sealed, when a reader in scope asks.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as B64;
use mw_contract::Sealed;
use mw_views::TextOpener;
use serde_json::{Value, json};
use uuid::Uuid;

/// No field of an event bears this name.
const MARK: &str = "$sealed";

/// What stands in the document for a text.
pub fn put(text: &Sealed) -> Value {
    match text {
        Sealed::Plain(t) => json!(t),
        Sealed::Cipher { key_id, bytes } => json!({MARK: [key_id, B64.encode(bytes)]}),
        Sealed::Erased => json!({"erased": true}),
    }
}

/// The same for a text that may be missing.
pub fn put_some(text: Option<&Sealed>) -> Value {
    text.map_or(Value::Null, put)
}

fn taken(v: &Value) -> Option<Sealed> {
    let pair = v.get(MARK)?.as_array()?;
    let key_id: Uuid = pair.first()?.as_str()?.parse().ok()?;
    let bytes = B64.decode(pair.get(1)?.as_str()?).ok()?;
    Some(Sealed::Cipher { key_id, bytes })
}

/// Opens every text of a document, or shows that it was erased or is sealed.
pub fn open(document: &mut Value, opener: &dyn TextOpener) {
    if let Some(sealed) = taken(document) {
        *document = mw_views::read::opened(opener, &sealed);
        return;
    }
    match document {
        Value::Array(all) => all.iter_mut().for_each(|v| open(v, opener)),
        Value::Object(all) => all.values_mut().for_each(|v| open(v, opener)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Upper;

    impl TextOpener for Upper {
        fn open(&self, sealed: &Sealed) -> Option<String> {
            match sealed {
                Sealed::Cipher { bytes, .. } if bytes != b"gone" => Some(String::from_utf8_lossy(bytes).to_uppercase()),
                _ => None,
            }
        }
    }

    #[test]
    fn texts_are_opened_wherever_they_stand_and_lost_ones_stay_sealed() {
        let cipher = |b: &[u8]| Sealed::Cipher { key_id: Uuid::nil(), bytes: b.to_vec() };
        let mut d = json!({"a": put(&cipher(b"x")), "all": [{"t": put(&cipher(b"gone"))}], "none": put_some(None)});
        open(&mut d, &Upper);
        assert_eq!(d, json!({"a": "X", "all": [{"t": {"sealed": true}}], "none": null}));
    }
}
