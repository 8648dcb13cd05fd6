//! The columns of the work order list: one table says how each is stored, and one how each is
//! shown, sorted and named outside. Indexes, `SELECT`s, CSV headers and the API's documentation
//! all follow from them.

use mw_contract::{Instant, OperationState, OrderType, OriginKind, Qty, WorkOrderState};
use rusqlite::types::{Value, ValueRef};
use rust_decimal::Decimal;

use crate::order::Order;

/// A stored column: name, SQL declaration, value.
pub struct Stored {
    pub name: &'static str,
    pub decl: &'static str,
    pub value: fn(&Order) -> Value,
}

pub(crate) fn text(v: Option<impl ToString>) -> Value {
    v.map_or(Value::Null, |v| Value::Text(v.to_string()))
}

pub(crate) fn at(v: Option<Instant>) -> Value {
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

pub(crate) fn qty(q: Qty) -> Value {
    Value::Text(sort_key(q.decimal()))
}

fn progress(o: &Order) -> Value {
    let planned = o.header.planned_qty.decimal();
    let part = o.header.good.decimal().checked_div(planned).unwrap_or(Decimal::ZERO);
    Value::Text(sort_key((part * Decimal::ONE_HUNDRED).round_dp(2)))
}

macro_rules! stored {
    ($($name:literal $decl:literal $value:expr),+ $(,)?) => {
        /// Every stored column but the key `seq`.
        pub const STORED: &[Stored] = &[$(Stored { name: $name, decl: $decl, value: $value }),+];
    };
}

stored! {
    "id" "BLOB NOT NULL" |o| Value::Blob(o.id.as_bytes().to_vec()),
    "version" "INTEGER NOT NULL" |o| Value::Integer(o.version.0 as i64),
    "site" "TEXT NOT NULL" |o| Value::Text(o.header.site.to_string()),
    "number" "TEXT NOT NULL" |o| Value::Text(o.header.number.to_string()),
    "product" "TEXT NOT NULL" |o| Value::Text(o.header.product.to_string()),
    "rev" "TEXT" |o| text(o.header.rev.as_ref()),
    "order_type" "INTEGER NOT NULL" |o| Value::Integer(i64::from(o.header.order_type.number())),
    "uom" "TEXT NOT NULL" |o| Value::Text(o.header.uom.clone()),
    "planned_qty" "TEXT NOT NULL" |o| qty(o.header.planned_qty),
    "good" "TEXT NOT NULL" |o| qty(o.header.good),
    "scrap" "TEXT NOT NULL" |o| qty(o.header.scrap),
    "rework_open" "TEXT NOT NULL" |o| qty(o.header.rework_open),
    "remaining" "TEXT NOT NULL" |o| qty(o.remaining()),
    "progress" "TEXT NOT NULL" progress,
    "priority" "INTEGER NOT NULL" |o| Value::Integer(i64::from(o.header.priority)),
    "state" "INTEGER NOT NULL" |o| Value::Integer(i64::from(o.header.state.number())),
    "ready" "INTEGER" |o| o.readiness().map_or(Value::Null, |r| Value::Integer(i64::from(r))),
    "next_cell" "TEXT" |o| text(o.next_operation().and_then(|op| op.step.cell_id.as_ref())),
    "hold_reason" "TEXT" |o| text(o.header.hold.as_ref().map(|h| &h.reason)),
    "line" "TEXT" |o| text(o.header.line.as_ref()),
    "planned_start" "INTEGER" |o| at(o.header.planned_start),
    "planned_end" "INTEGER" |o| at(o.header.planned_end),
    "due_at" "INTEGER NOT NULL" |o| Value::Integer(o.header.due_at.millis()),
    "ended_at" "INTEGER" |o| at(o.header.actual_end),
    "customer" "TEXT" |o| text(o.header.customer.as_ref()),
    "origin_kind" "INTEGER NOT NULL" |o| Value::Integer(i64::from(o.header.origin_kind.number())),
    "origin_id" "TEXT" |o| text(o.header.origin_id.as_ref()),
    "has_ticket" "INTEGER NOT NULL" |o| Value::Integer(i64::from(o.has_ticket())),
    "open_ncr" "INTEGER NOT NULL" |o| Value::Integer(o.open_ncrs.len() as i64),
    "shortages" "INTEGER NOT NULL" |o| Value::Integer(o.shortages().len() as i64),
    "search" "TEXT NOT NULL" |o| Value::Text(search_text(o)),
}

fn search_text(o: &Order) -> String {
    let sales = o.header.sales_order_ref.as_ref().map_or("", |s| s.as_str());
    format!("{} {}", o.header.number, sales).to_lowercase()
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

/// Is the order behind its due date, or was it, in milliseconds; null for a cancelled one.
pub const LATENESS: &str = "(CASE w.state WHEN 8 THEN NULL ELSE COALESCE(w.ended_at, :now) - w.due_at END)";

/// Ready and first in the queue of its cell is loaded (invariant I7).
const READINESS: &str = "(CASE WHEN w.ready = 1 AND w.next_cell IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM work_order x WHERE x.next_cell = w.next_cell AND x.ready = 1
    AND (x.priority, x.planned_start, x.seq) < (w.priority, w.planned_start, w.seq)) THEN 2 ELSE w.ready END)";

pub(crate) const fn field(name: &'static str, sql: &'static str, kind: Kind, nullable: bool) -> Field {
    Field { name, sql, kind, nullable }
}

/// The fields of the work order list (RM-01), in order. `id` is shown a second time under the name
/// that payloads give it.
pub const FIELDS: &[Field] = &[
    field("id", "w.id", Kind::Uuid, false),
    field("work_order_id", "w.id", Kind::Uuid, false),
    field("number", "w.number", Kind::Text, false),
    field("site", "w.site", Kind::Text, false),
    field("product", "w.product", Kind::Text, false),
    field("rev", "w.rev", Kind::Text, true),
    field("order_type", "w.order_type", Kind::OrderType, false),
    field("planned_qty", "w.planned_qty", Kind::Number, false),
    field("uom", "w.uom", Kind::Text, false),
    field("good", "w.good", Kind::Number, false),
    field("scrap", "w.scrap", Kind::Number, false),
    field("rework_open", "w.rework_open", Kind::Number, false),
    field("remaining", "w.remaining", Kind::Number, false),
    field("progress", "w.progress", Kind::Number, false),
    field("priority", "w.priority", Kind::Int, false),
    field("state", "w.state", Kind::State, false),
    field("readiness", READINESS, Kind::Readiness, true),
    field("hold_reason", "w.hold_reason", Kind::Text, true),
    field("line", "w.line", Kind::Text, true),
    field("planned_start", "w.planned_start", Kind::Instant, true),
    field("planned_end", "w.planned_end", Kind::Instant, true),
    field("due_at", "w.due_at", Kind::Instant, false),
    field("lateness", LATENESS, Kind::Hours, true),
    field("customer", "w.customer", Kind::Text, true),
    field("origin", "w.origin_kind", Kind::Origin, false),
    field("has_ticket", "w.has_ticket", Kind::Bool, false),
    field("open_ncr", "w.open_ncr", Kind::Int, false),
    field("shortages", "w.shortages", Kind::Int, false),
    field("version", "w.version", Kind::Int, false),
];

/// The field of this name.
pub fn field_named(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|f| f.name == name)
}

/// The indexes: one a sortable column, and for the filters one that keeps the default order.
pub const INDEXES: &[(&str, &str)] = &[
    ("by_default", "priority, due_at"),
    ("by_number", "number"),
    ("by_site", "site, priority, due_at"),
    ("by_product", "product, priority, due_at"),
    ("by_rev", "rev"),
    ("by_order_type", "order_type"),
    ("by_planned_qty", "planned_qty"),
    ("by_good", "good"),
    ("by_scrap", "scrap"),
    ("by_rework_open", "rework_open"),
    ("by_remaining", "remaining"),
    ("by_progress", "progress"),
    ("by_state", "state, priority, due_at"),
    ("by_state_due", "state, due_at"),
    ("by_hold_reason", "hold_reason"),
    ("by_line", "line, priority, due_at"),
    ("by_planned_start", "planned_start"),
    ("by_planned_end", "planned_end"),
    ("by_due", "due_at"),
    ("by_customer", "customer"),
    ("by_origin", "origin_kind"),
    ("by_has_ticket", "has_ticket, priority, due_at"),
    ("by_shortages", "shortages"),
    ("by_open_ncr", "open_ncr"),
    ("by_board", "state, priority, planned_start"),
    ("by_version", "version"),
];

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

    #[test]
    fn field_names_are_unique_and_every_index_is_of_stored_columns() {
        for (i, f) in FIELDS.iter().enumerate() {
            assert!(FIELDS[i + 1..].iter().all(|g| g.name != f.name), "{}", f.name);
        }
        for (_, columns) in INDEXES {
            for c in columns.split(", ") {
                assert!(STORED.iter().any(|s| s.name == c), "{c}");
            }
        }
    }
}
