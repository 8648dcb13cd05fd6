//! The columns of the work order list: one table says how each is stored, and one how each is
//! shown, sorted and named outside. Indexes, `SELECT`s, CSV headers and the API's documentation
//! all follow from them.

pub use mw_views::columns::*;
use rusqlite::types::Value;
use rust_decimal::Decimal;

use crate::order::Order;

/// A stored column: name, SQL declaration, value.
pub struct Stored {
    pub name: &'static str,
    pub decl: &'static str,
    pub value: fn(&Order) -> Value,
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

/// Is the order behind its due date, or was it, in milliseconds; null for a cancelled one.
pub const LATENESS: &str = "(CASE w.state WHEN 8 THEN NULL ELSE COALESCE(w.ended_at, :now) - w.due_at END)";

/// Ready and first in the queue of its cell is loaded (invariant I7).
const READINESS: &str = "(CASE WHEN w.ready = 1 AND w.next_cell IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM work_order x WHERE x.next_cell = w.next_cell AND x.ready = 1
    AND (x.priority, x.planned_start, x.seq) < (w.priority, w.planned_start, w.seq)) THEN 2 ELSE w.ready END)";

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

#[cfg(test)]
mod tests {
    use super::*;

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
