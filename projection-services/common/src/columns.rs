//! Columns of lists: how a value is stored, shown, sorted and named outside.

use mw_contract::{Instant, OperationState, OrderType, OriginKind, Qty, WorkOrderState};
use rusqlite::types::{Value, ValueRef};
use rust_decimal::Decimal;

/// Text, or null.
pub fn text(v: Option<impl ToString>) -> Value {
    v.map_or(Value::Null, |v| Value::Text(v.to_string()))
}

/// An instant, or null.
pub fn at(v: Option<Instant>) -> Value {
    v.map_or(Value::Null, |t| Value::Integer(t.millis()))
}

/// A quantity as text that sorts like the number: 18 digits, point, 6 digits. Exact, where a
/// floating-point column would not be.
pub fn sort_key(d: Decimal) -> String {
    format!("{:0>25}", format!("{:.6}", d.round_dp(6)))
}

/// What [`sort_key`] was made of, written the short way.
pub fn plain_number(key: &str) -> &str {
    let s = key.trim_start_matches('0');
    let s = if s.contains('.') { s.trim_end_matches('0').trim_end_matches('.') } else { s };
    match s {
        "" => "0",
        // ".5" needs its zero back, which stands just before it in a key of full width.
        s if s.starts_with('.') => {
            let end = key.trim_end_matches('0').len();
            key.find('.').and_then(|dot| key.get(dot.saturating_sub(1)..end)).unwrap_or("0")
        }
        s => s,
    }
}

/// A quantity as its [`sort_key`].
pub fn qty(q: Qty) -> Value {
    Value::Text(sort_key(q.decimal()))
}

/// How a field is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A UUID of 16 bytes.
    Uuid,
    /// Text.
    Text,
    /// A [`sort_key`]: shown as a decimal string.
    Number,
    /// A whole number.
    Int,
    /// Milliseconds: shown as an instant.
    Instant,
    /// Milliseconds: shown as hours, a decimal string with one digit after the point.
    Hours,
    /// Milliseconds: shown as whole seconds.
    Seconds,
    /// Milliseconds: shown as days, a decimal string with one digit after the point.
    Days,
    /// JSON text, shown as it is.
    Json,
    /// The number of the state of an operation.
    OperationState,
    /// 0 or 1.
    Bool,
    /// The number of an order type.
    OrderType,
    /// The number of a state.
    State,
    /// 0, 1, 2: `waiting`, `ready`, `loaded`.
    Readiness,
    /// The number of an origin; its id is the next selected column.
    Origin,
}

/// A field of the list.
#[derive(Clone, Copy)]
pub struct Field {
    /// Its name in JSON, in CSV and in `sort`.
    pub name: &'static str,
    /// The SQL expression over `w`. `:now` is the moment of the query.
    pub sql: &'static str,
    /// How it is written.
    pub kind: Kind,
    /// May it be null? Decides how pages continue after it.
    pub nullable: bool,
}

/// One field.
pub const fn field(name: &'static str, sql: &'static str, kind: Kind, nullable: bool) -> Field {
    Field { name, sql, kind, nullable }
}

fn json_text(out: &mut Vec<u8>, s: &str) {
    // Escaping a string into a vector can't fail.
    let _ = serde_json::to_writer(out, s);
}

impl Kind {
    /// The shown text of a value; `None` for null.
    fn shown(self, v: ValueRef<'_>) -> Option<String> {
        let int = || v.as_i64().ok();
        let code = || int().and_then(|n| u8::try_from(n).ok());
        match self {
            Kind::Uuid => {
                v.as_blob().ok().and_then(|b| uuid::Uuid::from_slice(b).ok()).map(|u| u.hyphenated().to_string())
            }
            Kind::Text => v.as_str().ok().map(str::to_owned),
            Kind::Number => v.as_str().ok().map(|k| plain_number(k).to_owned()),
            Kind::Int => int().map(|n| n.to_string()),
            Kind::Instant => int().map(|n| Instant::clamped(n).to_string()),
            Kind::Hours => int().map(hours),
            Kind::Seconds => int().map(|ms| (ms / 1000).to_string()),
            Kind::Days => int().map(days),
            Kind::Json => v.as_str().ok().map(str::to_owned),
            Kind::OperationState => code().and_then(OperationState::from_number).map(|s| s.as_str().to_owned()),
            Kind::Bool => int().map(|n| if n == 0 { "false" } else { "true" }.to_owned()),
            Kind::OrderType => code().and_then(OrderType::from_number).map(|t| t.as_str().to_owned()),
            Kind::State => code().and_then(WorkOrderState::from_number).map(|s| s.as_str().to_owned()),
            Kind::Readiness => int().map(|n| ["waiting", "ready", "loaded"][n.clamp(0, 2) as usize].to_owned()),
            Kind::Origin => code().and_then(OriginKind::from_number).map(|o| o.as_str().to_owned()),
        }
    }

    /// Writes a value as JSON. `next` is the selected column after it, for [`Kind::Origin`].
    pub fn write_json(self, out: &mut Vec<u8>, v: ValueRef<'_>, next: Option<ValueRef<'_>>) {
        if let (Kind::Text, Ok(s)) = (self, v.as_str()) {
            return json_text(out, s);
        }
        match (self, self.shown(v)) {
            (_, None) => out.extend_from_slice(b"null"),
            (Kind::Int | Kind::Seconds | Kind::Bool | Kind::Json, Some(s)) => out.extend_from_slice(s.as_bytes()),
            (Kind::Origin, Some(kind)) => {
                out.extend_from_slice(b"{\"kind\":");
                json_text(out, &kind);
                out.extend_from_slice(b",\"id\":");
                match next.and_then(|n| n.as_str().ok()) {
                    Some(id) => json_text(out, id),
                    None => out.extend_from_slice(b"null"),
                }
                out.push(b'}');
            }
            (_, Some(s)) => {
                out.push(b'"');
                out.extend_from_slice(s.as_bytes());
                out.push(b'"');
            }
        }
    }

    /// The text of a value in CSV, not yet quoted; empty for null.
    pub fn csv(self, v: ValueRef<'_>, next: Option<ValueRef<'_>>) -> String {
        let shown = self.shown(v).unwrap_or_default();
        match (self, next.and_then(|n| n.as_str().ok())) {
            (Kind::Origin, Some(id)) => format!("{shown}:{id}"),
            _ => shown,
        }
    }

    /// Is it a number, a date or a word of ours, so that a spreadsheet may take it as it is?
    pub fn is_free_text(self) -> bool {
        matches!(self, Kind::Text | Kind::Origin | Kind::Json)
    }
}

/// Milliseconds as hours with one digit after the point, rounded half away from zero.
pub fn hours(ms: i64) -> String {
    tenths(ms, 360_000)
}

/// The same as days.
pub fn days(ms: i64) -> String {
    tenths(ms, 8_640_000)
}

fn tenths(ms: i64, tenth: i64) -> String {
    let tenths = (ms.abs() + tenth / 2) / tenth;
    let sign = if ms < 0 && tenths > 0 { "-" } else { "" };
    format!("{sign}{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_quantities_sort_like_numbers_and_read_back() {
        let numbers =
            ["0", "0.000001", "0.5", "1", "1.5", "2", "10", "10.25", "999999999999999999", "123456789012.654321"];
        let mut sorted: Vec<(Decimal, String)> =
            numbers.iter().map(|n| n.parse::<Decimal>().unwrap()).map(|d| (d, sort_key(d))).collect();
        for (d, k) in &sorted {
            assert_eq!(k.len(), 25);
            assert_eq!(plain_number(k), d.normalize().to_string());
        }
        sorted.sort_by(|a, b| a.1.cmp(&b.1));
        assert!(sorted.windows(2).all(|w| w[0].0 < w[1].0), "{sorted:?}");
    }

    #[test]
    fn hours_are_rounded_and_signed() {
        for (ms, shown) in
            [(0, "0.0"), (3_600_000, "1.0"), (-5_400_000, "-1.5"), (179_999, "0.0"), (180_000, "0.1"), (-1, "0.0")]
        {
            assert_eq!(hours(ms), shown);
        }
    }
}
