//! The stored columns of a ticket's row. What is shown of them is in [`crate::read::lists`].

use mw_views::columns::{at, text};
use rusqlite::types::Value;
use serde_json::json;

use crate::ticket::Ticket;
use crate::ticket::clocks::Clock;

/// A stored column: name, SQL declaration, value.
pub struct Stored {
    pub name: &'static str,
    pub decl: &'static str,
    pub value: fn(&Ticket) -> Value,
}

macro_rules! stored {
    ($($name:literal $decl:literal $value:expr),+ $(,)?) => {
        /// Every stored column but the key `seq`.
        pub const STORED: &[Stored] = &[$(Stored { name: $name, decl: $decl, value: $value }),+];
    };
}

fn word(s: impl ToString) -> Value {
    Value::Text(s.to_string())
}

fn int(n: impl Into<i64>) -> Value {
    Value::Integer(n.into())
}

fn number(n: Option<u8>) -> Value {
    n.map_or(Value::Null, int)
}

fn id(v: Option<mw_contract::AggregateId>) -> Value {
    v.map_or(Value::Null, |v| Value::Blob(v.as_bytes().to_vec()))
}

fn least(t: &Ticket, of: impl Fn(&Clock) -> Value) -> Value {
    t.sla.least(t.cycle).map_or(Value::Null, of)
}

fn whole(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

stored! {
    "id" "BLOB NOT NULL" |t| Value::Blob(t.id.as_bytes().to_vec()),
    "version" "INTEGER NOT NULL" |t| Value::Integer(whole(t.version.0)),
    "site" "TEXT NOT NULL" |t| word(&t.site),
    "number" "TEXT NOT NULL" |t| word(&t.number),
    "title" "TEXT NOT NULL" |t| word(&t.title),
    "kind" "TEXT NOT NULL" |t| word(t.kind),
    "channel" "TEXT NOT NULL" |t| word(t.channel),
    "state" "TEXT NOT NULL" |t| word(t.state),
    "open" "INTEGER NOT NULL" |t| int(t.is_open()),
    "customer" "TEXT" |t| text(t.customer.as_ref()),
    "contact" "TEXT" |t| text(t.contact_id.as_ref()),
    "service_site" "TEXT" |t| text(t.service_site.as_ref()),
    "serial" "TEXT" |t| text(t.unit.serial.as_ref()),
    "product" "TEXT" |t| text(t.unit.product.as_ref()),
    "unit" "BLOB" |t| id(t.unit.unit_id),
    "equipment" "BLOB" |t| id(t.unit.equipment_id),
    "line" "TEXT" |t| text(t.unit.line.as_ref()),
    "severity" "INTEGER" |t| number(t.severity),
    "priority" "INTEGER" |t| number(t.priority),
    "category" "TEXT" |t| text(t.category.as_ref()),
    "service_mode" "TEXT" |t| text(t.service_mode),
    "team" "TEXT" |t| text(t.team.as_ref()),
    "lead" "TEXT" |t| text(t.lead.as_ref()),
    "helpers" "TEXT NOT NULL" |t| word(json!(t.helpers)),
    "symptom" "TEXT" |t| text(t.symptom.as_ref()),
    "warranty" "TEXT NOT NULL" |t| word(t.warranty),
    "commercial" "TEXT NOT NULL" |t| word(t.commercial),
    "verification" "TEXT NOT NULL" |t| word(t.verification),
    "rma" "TEXT NOT NULL" |t| word(t.rma),
    "escalation" "INTEGER NOT NULL" |t| int(t.escalation),
    "hold_reason" "TEXT" |t| text(t.hold.as_ref().map(|h| &h.reason)),
    "held_since" "INTEGER" |t| at(t.hold.as_ref().map(|h| h.since)),
    "held_ms" "INTEGER NOT NULL" |t| int(t.held_ms),
    "cycle" "INTEGER NOT NULL" |t| int(t.cycle),
    "occurrences" "INTEGER NOT NULL" |t| int(t.occurrence_count),
    "opened_at" "INTEGER NOT NULL" |t| Value::Integer(t.opened_at.millis()),
    "updated_at" "INTEGER NOT NULL" |t| Value::Integer(t.updated_at.millis()),
    "resolved_at" "INTEGER" |t| at(t.resolved_at),
    "ended_at" "INTEGER" |t| at(t.ended_at),
    "effort" "INTEGER" |t| t.estimated_effort.map_or(Value::Null, |e| Value::Integer(whole(e.0))),
    "visit_start" "INTEGER" |t| at(t.next_visit().map(|v| v.window_start)),
    "visit_end" "INTEGER" |t| at(t.next_visit().map(|v| v.window_end)),
    "sla_clock" "TEXT" |t| least(t, |c| word(c.clock)),
    "sla_due" "INTEGER" |t| least(t, |c| at(c.due)),
    "sla_remaining" "INTEGER" |t| least(t, |c| int(c.remaining_s)),
    "sla_target" "INTEGER" |t| least(t, |c| Value::Integer(whole(c.target.0))),
    "sla_calendar" "INTEGER" |t| least(t, |c| int(c.calendar)),
    "resolution" "TEXT" |t| text(t.resolution["code"].as_str()),
    "lacks_parts" "INTEGER NOT NULL" |t| int(t.lacks_parts()),
    "open_quote" "INTEGER NOT NULL" |t| int(t.open_quote().is_some()),
    "recalled" "INTEGER NOT NULL" |t| int(!t.unit.open_recalls.is_empty()),
    "checklist" "TEXT NOT NULL" |t| word(json!(t.checklist)),
    "sessions" "TEXT NOT NULL" |t| word(open_stints(t, &t.sessions, "session_id")),
    "trips" "TEXT NOT NULL" |t| word(open_stints(t, &t.trips, "trip_id")),
    "search" "TEXT NOT NULL" |t| Value::Text(search_text(t)),
}

/// Who is at work or on the way.
fn open_stints(t: &Ticket, all: &[crate::ticket::Stint], name: &str) -> serde_json::Value {
    let one = |s: &crate::ticket::Stint| {
        json!({name: s.id, "technician": s.technician, "activity": s.activity, "visit_id": s.visit_id,
            "started_at": s.started_at})
    };
    t.open_stints(all).map(one).collect()
}

fn search_text(t: &Ticket) -> String {
    let serial = t.unit.serial.as_ref().map_or("", |s| s.as_str());
    format!("{} {} {serial}", t.number, t.title).to_lowercase()
}

/// The indexes.
pub const INDEXES: &[(&str, &str)] = &[
    ("ticket_number", "number"),
    ("ticket_state", "state, sla_due"),
    ("ticket_open", "open, opened_at"),
    ("ticket_lead", "lead, open"),
    ("ticket_team", "team, open"),
    ("ticket_customer", "customer, updated_at"),
    ("ticket_serial", "serial, product"),
    ("ticket_equipment", "equipment"),
    ("ticket_product", "product"),
    ("ticket_opened", "opened_at"),
    ("ticket_updated", "updated_at"),
    ("ticket_due", "sla_due"),
    ("ticket_site", "site"),
    ("ticket_warranty", "warranty"),
    ("ticket_kind", "kind"),
    ("ticket_channel", "channel"),
    ("ticket_priority", "priority"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_is_of_stored_columns() {
        for c in INDEXES.iter().flat_map(|(_, columns)| columns.split(", ")) {
            assert!(STORED.iter().any(|s| s.name == c), "{c}");
        }
    }
}
