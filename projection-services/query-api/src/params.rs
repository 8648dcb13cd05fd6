//! Query parameters, read strictly: an unknown name is an error that lists the known ones, so that
//! a misspelt filter never shows more than was asked for. Also cursors.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use rusqlite::types::Value;
use serde_json::json;

use crate::problem::Problem;

/// Items on a page unless `limit` says otherwise.
pub const DEFAULT_LIMIT: usize = 50;
/// The most items on a page.
pub const MAX_LIMIT: usize = 500;

/// The parameters of one request, each at most once.
pub struct Params(Vec<(String, String)>);

fn percent_decoded(s: &str) -> Option<String> {
    let bytes = s.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'+' => out.push(b' '),
            b'%' => {
                let hex = bytes.get(at + 1..at + 3).and_then(|h| std::str::from_utf8(h).ok())?;
                out.push(u8::from_str_radix(hex, 16).ok()?);
                at += 2;
            }
            b => out.push(b),
        }
        at += 1;
    }
    String::from_utf8(out).ok()
}

impl Params {
    /// Reads a query string. `known` are the names that this route takes.
    pub fn read(query: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let mut all: Vec<(String, String)> = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|p| !p.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (percent_decoded(name), percent_decoded(value)) else {
                return Err(Problem::bad_request(format!("{pair:?} is not well encoded")));
            };
            let allowed: Vec<String> = known.iter().map(|k| (*k).to_owned()).collect();
            if !known.contains(&name.as_str()) {
                return Err(Problem::parameter(&name, "is no parameter here", &allowed));
            }
            if all.iter().any(|(n, _)| *n == name) {
                return Err(Problem::parameter(&name, "is given twice; separate several values by commas", &[]));
            }
            all.push((name, value));
        }
        Ok(Params(all))
    }

    /// The text of a parameter.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// All of them.
    pub fn each(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// A parameter that must read as `T`.
    pub fn parsed<T: std::str::FromStr>(&self, name: &str, form: &str) -> Result<Option<T>, Problem> {
        let read = |v: &str| v.parse().map_err(|_| Problem::parameter(name, &format!("{v:?} is not {form}"), &[]));
        self.text(name).map(read).transpose()
    }

    /// Several values, separated by commas, each of which must read as `T`.
    pub fn several<T: std::str::FromStr>(&self, name: &str, allowed: &[String]) -> Result<Vec<T>, Problem> {
        let Some(text) = self.text(name) else { return Ok(Vec::new()) };
        let one = |v: &str| {
            v.trim().parse().map_err(|_| Problem::parameter(name, &format!("{v:?} is not one of its values"), allowed))
        };
        text.split(',').map(one).collect()
    }

    /// `limit`, 1 to [`MAX_LIMIT`].
    pub fn limit(&self) -> Result<usize, Problem> {
        let form = format!("a number from 1 to {MAX_LIMIT}");
        match self.parsed::<usize>("limit", &form)? {
            None => Ok(DEFAULT_LIMIT),
            Some(n) if (1..=MAX_LIMIT).contains(&n) => Ok(n),
            Some(n) => Err(Problem::parameter("limit", &format!("{n} is not {form}"), &[])),
        }
    }

    /// `format`: is it CSV?
    pub fn csv(&self) -> Result<bool, Problem> {
        match self.text("format") {
            None | Some("json") => Ok(false),
            Some("csv") => Ok(true),
            Some(other) => {
                let message = format!("{other:?} is not one of its values");
                Err(Problem::parameter("format", &message, &["json".into(), "csv".into()]))
            }
        }
    }

    /// `min_position`: `N` or `context:N,…`; what of it is about `context`.
    pub fn min_position(&self, context: mw_contract::Context) -> Result<Option<u64>, Problem> {
        let Some(text) = self.text("min_position") else { return Ok(None) };
        let bad = || Problem::parameter("min_position", &format!("{text:?} is not N or {context}:N"), &[]);
        if let Ok(n) = text.parse() {
            return Ok(Some(n));
        }
        let mut mine = None;
        for part in text.split(',') {
            let (name, n) = part.split_once(':').ok_or_else(bad)?;
            let of: mw_contract::Context = name.trim().parse().map_err(|_| bad())?;
            let n: u64 = n.trim().parse().map_err(|_| bad())?;
            if of == context {
                mine = Some(n);
            }
        }
        Ok(mine)
    }

    /// `min_position` of a resource that joins contexts: production's and after-service's. A plain
    /// number is production's.
    pub fn min_positions(&self) -> Result<(Option<u64>, Option<u64>), Problem> {
        let production = self.min_position(mw_contract::Context::Production)?;
        Ok((production, self.named_position(mw_contract::Context::AfterService)?))
    }

    /// What of `min_position` is about `context` where a plain number is about another one.
    pub fn named_position(&self, context: mw_contract::Context) -> Result<Option<u64>, Problem> {
        match self.text("min_position") {
            Some(text) if text.contains(':') => self.min_position(context),
            _ => Ok(None),
        }
    }

    /// What a cursor must belong to: the same question but for the page.
    pub fn question(&self) -> String {
        let mut rest: Vec<String> = self
            .each()
            .filter(|(n, _)| !matches!(*n, "cursor" | "limit" | "format" | "min_position"))
            .map(|(n, v)| format!("{n}={v}"))
            .collect();
        rest.sort();
        rest.join("&")
    }

    /// The request's parameters with another cursor, for `Link: rel="next"`.
    pub fn with_cursor(&self, cursor: &str) -> String {
        let keep = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~' | b',' | b':');
        let encoded = |s: &str| -> String {
            s.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
        };
        let rest = self.each().filter(|(n, _)| !matches!(*n, "cursor" | "min_position"));
        let mut parts: Vec<String> = rest.map(|(n, v)| format!("{n}={}", encoded(v))).collect();
        parts.push(format!("cursor={cursor}"));
        parts.join("&")
    }
}

/// A cursor: where the last page ended and which question it belongs to. Opaque to clients, and
/// not secret: it opens nothing that the caller's scope does not hold.
pub struct Cursor {
    /// The values of the last row.
    pub after: Vec<Value>,
    /// The moment of the first page, so that all pages speak of the same one.
    pub now: i64,
}

fn digest(question: &str) -> u32 {
    // FNV-1a: only to notice a cursor of another question.
    question.bytes().fold(0x811c_9dc5, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193))
}

impl Cursor {
    /// As text.
    pub fn encode(&self, question: &str) -> String {
        let values: Vec<serde_json::Value> = self
            .after
            .iter()
            .map(|v| match v {
                Value::Null => json!(null),
                Value::Integer(n) => json!(n),
                Value::Real(f) => json!(f),
                Value::Text(t) => json!(t),
                Value::Blob(b) => json!({"b": B64.encode(b)}),
            })
            .collect();
        B64.encode(json!({"q": digest(question), "n": self.now, "a": values}).to_string())
    }

    /// Reads one that belongs to `question`.
    pub fn decode(text: &str, question: &str) -> Result<Self, Problem> {
        let bad = |why: &str| Problem::parameter("cursor", why, &[]);
        let no_cursor = || bad("is not a cursor that this API gave");
        let bytes = B64.decode(text).map_err(|_| no_cursor())?;
        let v: serde_json::Value = serde_json::from_slice(&bytes).map_err(|_| no_cursor())?;
        if v["q"] != json!(digest(question)) {
            return Err(bad("belongs to another question: keep filters and sort while you page"));
        }
        let now = v["n"].as_i64().ok_or_else(no_cursor)?;
        let one = |v: &serde_json::Value| match v {
            serde_json::Value::Null => Ok(Value::Null),
            serde_json::Value::Number(n) => n.as_i64().map(Value::Integer).ok_or_else(no_cursor),
            serde_json::Value::String(s) => Ok(Value::Text(s.clone())),
            serde_json::Value::Object(o) => {
                let b = o.get("b").and_then(|b| b.as_str()).and_then(|b| B64.decode(b).ok());
                b.map(Value::Blob).ok_or_else(no_cursor)
            }
            _ => Err(no_cursor()),
        };
        let after = v["a"].as_array().ok_or_else(no_cursor)?.iter().map(one).collect::<Result<_, _>>()?;
        Ok(Cursor { after, now })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_repeated_and_badly_encoded_parameters_are_refused() {
        for bad in ["colour=red", "state=a&state=b", "state=%zz", "%ff=1", "limit=0", "limit=501", "limit=x"] {
            let p = Params::read(Some(bad), &["state", "limit"]);
            assert!(p.and_then(|p| p.limit()).is_err(), "{bad}");
        }
        let p = Params::read(Some("state=in%5Fprogress,draft&q=a+b"), &["state", "q"]).unwrap();
        assert_eq!((p.text("state"), p.text("q")), (Some("in_progress,draft"), Some("a b")));
    }

    #[test]
    fn cursors_read_back_and_belong_to_their_question() {
        let after = vec![Value::Null, Value::Integer(-3), Value::Text("ü".into()), Value::Blob(vec![0, 255])];
        let text = Cursor { after: after.clone(), now: 7 }.encode("sort=due_at");
        let c = Cursor::decode(&text, "sort=due_at").unwrap();
        assert_eq!((c.after, c.now), (after, 7));
        assert!(Cursor::decode(&text, "sort=-due_at").is_err());
        for bad in ["", "x", "e30", "bnVsbA"] {
            assert!(Cursor::decode(bad, "").is_err());
        }
    }

    #[test]
    fn min_position_is_a_number_or_one_a_context() {
        let c = mw_contract::Context::Production;
        for (text, n) in [("5", Some(5)), ("production:7,after-service:9", Some(7)), ("identity:3", None)] {
            let p = Params::read(Some(&format!("min_position={text}")), &["min_position"]).unwrap();
            assert_eq!(p.min_position(c).unwrap(), n, "{text}");
        }
        for (text, both) in [("5", (Some(5), None)), ("production:7,after-service:9", (Some(7), Some(9)))] {
            let p = Params::read(Some(&format!("min_position={text}")), &["min_position"]).unwrap();
            assert_eq!(p.min_positions().unwrap(), both, "{text}");
        }
        for bad in ["x", "production", "production:x", "moon:1", "-1"] {
            let p = Params::read(Some(&format!("min_position={bad}")), &["min_position"]).unwrap();
            assert!(p.min_position(c).is_err(), "{bad}");
        }
    }
}
