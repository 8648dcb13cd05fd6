//! Reading JSON objects field by field, so that a refusal can name every failing field at once, and the
//! sender hears of fields that nobody knows. Those inside a field's own value are left out in silence.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::reply::FieldError;

/// The most unknown fields that are named, and how much of each name.
const MOST_IGNORED: (usize, usize) = (20, 100);

/// Reads the fields of one JSON object and collects what is wrong with them.
pub struct Fields<'a> {
    map: &'a Map<String, Value>,
    prefix: &'static str,
    known: Vec<&'static str>,
    errors: Vec<FieldError>,
}

impl<'a> Fields<'a> {
    /// Reads `map`; `prefix` (such as `payload.`) goes before every field's name in an error.
    pub fn new(map: &'a Map<String, Value>, prefix: &'static str) -> Self {
        Fields { map, prefix, known: Vec::new(), errors: Vec::new() }
    }

    /// Takes a field. An absent one and `null` are the same; both are an error unless `T` is an
    /// `Option`. On an error the field is `None` and the error is kept.
    pub fn take<T: DeserializeOwned>(&mut self, name: &'static str) -> Option<T> {
        self.known.push(name);
        let value = self.map.get(name).unwrap_or(&Value::Null);
        match serde_path_to_error::deserialize::<_, T>(value) {
            Ok(v) => Some(v),
            Err(_) if value.is_null() => {
                self.fail(name, "is required");
                None
            }
            Err(e) => {
                let inner = e.path().to_string();
                let path = match inner.as_str() {
                    "." | "?" => name.to_owned(),
                    p if p.starts_with('[') => format!("{name}{p}"),
                    p => format!("{name}.{p}"),
                };
                self.fail(&path, &e.into_inner().to_string());
                None
            }
        }
    }

    /// Says that a field is wrong.
    pub fn fail(&mut self, name: &str, message: &str) {
        self.errors.push(FieldError::new(format!("{}{name}", self.prefix), message));
    }

    /// Names a field that is read elsewhere.
    pub fn also_known(&mut self, name: &'static str) {
        self.known.push(name);
    }

    /// Ends the reading: what is wrong, and the fields that nobody took. Those are no error: a newer client
    /// may say more than is known here.
    pub fn finish(self) -> (Vec<FieldError>, Vec<String>) {
        let unknown = self.map.keys().filter(|k| !self.known.contains(&k.as_str()));
        let shown = |key: &String| self.prefix.chars().chain(key.chars()).take(MOST_IGNORED.1).collect();
        let ignored = unknown.take(MOST_IGNORED.0).map(shown).collect();
        (self.errors, ignored)
    }
}
