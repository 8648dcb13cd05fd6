//! The ticket list (RM-10), and clocks that run out (RM-15).

use mw_contract::{Channel, Commercial, ReferenceKind, SlaClock, TicketKind, TicketState, WarrantyStatus};
use mw_views::columns::{Field, Kind, field};
use mw_views::read::page::Direction;
use mw_views::read::table::{Narrow, Own, PRODUCT, SITE, Table, Takes, narrow, numbers, priorities, words};
use rusqlite::types::Value;

use super::OWN;

/// What the list is made of.
pub(super) const FROM: &str = "ticket t LEFT JOIN calendar c ON c.id = t.sla_calendar";

/// Business seconds left of the clock with the least, at the moment of the query.
macro_rules! remaining {
    () => {
        "(CASE WHEN t.sla_due IS NOT NULL THEN business_seconds(c.bytes, p.now, t.sla_due) ELSE t.sla_remaining END)"
    };
}

/// How much of its target it has used, per cent.
const USED_PCT: &str =
    concat!("(CASE WHEN t.sla_target > 0 THEN (t.sla_target - ", remaining!(), ") * 100 / t.sla_target END)");

/// The least time left first, without counting: clocks that run by when they are due, then those
/// that stand still by what is left, then tickets without a clock.
pub(super) const BY_REMAINING: &str = "(CASE WHEN t.sla_due IS NOT NULL THEN t.sla_due - p.now
    WHEN t.sla_remaining IS NOT NULL THEN 4000000000000000 + t.sla_remaining * 1000 ELSE 9007199254740991 END)";

/// RM-15: a clock runs, and less than a quarter of its target or less than an hour is left.
const AT_RISK: &str =
    concat!("(t.sla_due IS NOT NULL AND (", remaining!(), " < 3600 OR ", remaining!(), " * 4 < t.sla_target))");

/// From the report to the end, or until now.
macro_rules! age {
    () => {
        "(COALESCE(t.ended_at, max(p.now, t.opened_at)) - t.opened_at)"
    };
}

/// How long it waited, in all.
pub(super) const HELD: &str =
    "(t.held_ms + CASE WHEN t.held_since IS NULL THEN 0 ELSE max(0, p.now - t.held_since) END)";

/// The age buckets of RM-16, youngest first.
pub const BUCKETS: [&str; 6] = ["0-1", "1-3", "3-7", "7-14", "14-30", ">30"];

/// The bucket of an age in days: the lower bound belongs to it.
pub(super) const BUCKET: &str = concat!(
    "(CASE WHEN ",
    age!(),
    " < 86400000 THEN '0-1' WHEN ",
    age!(),
    " < 259200000 THEN '1-3' WHEN ",
    age!(),
    " < 604800000 THEN '3-7' WHEN ",
    age!(),
    " < 1209600000 THEN '7-14' WHEN ",
    age!(),
    " < 2592000000 THEN '14-30' ELSE '>30' END)"
);

/// Milliseconds as the text of an instant.
macro_rules! time_text {
    ($c:literal) => {
        concat!("strftime('%Y-%m-%dT%H:%M:%fZ', ", $c, " / 1000.0, 'unixepoch')")
    };
}

const VISIT_WINDOW: &str = concat!(
    "(CASE WHEN t.visit_start IS NOT NULL THEN json_object('start', ",
    time_text!("t.visit_start"),
    ", 'end', ",
    time_text!("t.visit_end"),
    ") END)"
);

macro_rules! words_of {
    ($name:ident, $of:ty) => {
        pub(super) fn $name() -> Vec<(String, Value)> {
            words(<$of>::ALL.iter().map(|w| w.as_str()))
        }
    };
}

words_of!(states, TicketState);
words_of!(kinds, TicketKind);
words_of!(channels, Channel);
words_of!(warranties, WarrantyStatus);
words_of!(commercials, Commercial);
words_of!(clocks, SlaClock);

fn severities() -> Vec<(String, Value)> {
    numbers(4)
}

fn escalations() -> Vec<(String, Value)> {
    (0..=3).map(|n: i64| (n.to_string(), Value::Integer(n))).collect()
}

fn buckets() -> Vec<(String, Value)> {
    words(BUCKETS)
}

pub(super) const CUSTOMER: Takes = Takes::Reference(ReferenceKind::Customer);

pub(super) const Q: Narrow =
    narrow("q", "t.search", Takes::Contains, "text in the number, the title or the serial number");

/// Tickets (RM-10).
pub static TICKETS: Table = Table {
    name: "tickets",
    from: FROM,
    only: "1",
    site: "t.site",
    own: OWN,
    fields: &[
        field("id", "t.id", Kind::Uuid, false),
        field("ticket_id", "t.id", Kind::Uuid, false),
        field("number", "t.number", Kind::Text, false),
        field("version", "t.version", Kind::Int, false),
        field("title", "t.title", Kind::Text, false),
        field("customer", "t.customer", Kind::Text, true),
        field("site", "t.site", Kind::Text, false),
        field("service_site", "t.service_site", Kind::Text, true),
        field("serial", "t.serial", Kind::Text, true),
        field("product", "t.product", Kind::Text, true),
        field("equipment_id", "t.equipment", Kind::Uuid, true),
        field("kind", "t.kind", Kind::Text, false),
        field("channel", "t.channel", Kind::Text, false),
        field("severity", "t.severity", Kind::Int, true),
        field("priority", "t.priority", Kind::Int, true),
        field("category", "t.category", Kind::Text, true),
        field("service_mode", "t.service_mode", Kind::Text, true),
        field("state", "t.state", Kind::Text, false),
        field("warranty", "t.warranty", Kind::Text, false),
        field("commercial", "t.commercial", Kind::Text, false),
        field("verification", "t.verification", Kind::Text, false),
        field("rma", "t.rma", Kind::Text, false),
        field("lead", "t.lead", Kind::Text, true),
        field("helpers", "t.helpers", Kind::Json, false),
        field("team", "t.team", Kind::Text, true),
        field("visit_window", VISIT_WINDOW, Kind::Json, true),
        field("visit_start", "t.visit_start", Kind::Instant, true),
        field("visit_end", "t.visit_end", Kind::Instant, true),
        field("sla_clock", "t.sla_clock", Kind::Text, true),
        field("sla_remaining", remaining!(), Kind::Int, true),
        field("sla_used_pct", USED_PCT, Kind::Int, true),
        field("sla_at_risk", AT_RISK, Kind::Bool, false),
        field("due", "t.sla_due", Kind::Instant, true),
        field("age", age!(), Kind::Hours, false),
        field("age_bucket", BUCKET, Kind::Text, false),
        field("hold_reason", "t.hold_reason", Kind::Text, true),
        field("hold_time", HELD, Kind::Hours, false),
        field("cycle", "t.cycle", Kind::Int, false),
        field("escalation", "t.escalation", Kind::Int, false),
        field("occurrences", "t.occurrences", Kind::Int, false),
        field("opened_at", "t.opened_at", Kind::Instant, false),
        field("updated_at", "t.updated_at", Kind::Instant, false),
        field("resolved_at", "t.resolved_at", Kind::Instant, true),
        field("closed_at", "t.ended_at", Kind::Instant, true),
    ],
    filters: &[
        narrow("state", "t.state", Takes::Words(states), "states"),
        narrow("open", "t.open", Takes::Flag, "somebody still has to do something about it"),
        narrow("team", "t.team", Takes::Codes, "teams"),
        narrow("lead", "t.lead", Takes::Codes, "lead technicians"),
        narrow("sla_at_risk", AT_RISK, Takes::Flag, "a clock runs with less than 25 % or 60 minutes left"),
        narrow("warranty", "t.warranty", Takes::Words(warranties), "who bears the cost"),
        narrow("commercial", "t.commercial", Takes::Words(commercials), "where the quote is"),
        narrow("product", "t.product", PRODUCT, "products"),
        narrow("kind", "t.kind", Takes::Words(kinds), "kinds"),
        narrow("channel", "t.channel", Takes::Words(channels), "the way it came in"),
        narrow("age_bucket", BUCKET, Takes::Words(buckets), "days since the report"),
        narrow("site", "t.site", SITE, "sites"),
        narrow("customer", "t.customer", CUSTOMER, "customers"),
        narrow("serial", "t.serial", Takes::Texts, "serial numbers"),
        narrow("severity", "t.severity", Takes::Words(severities), "severities, 1 is the worst"),
        narrow("priority", "t.priority", Takes::Words(priorities), "priorities, 1 is the most urgent"),
        narrow("escalation", "t.escalation", Takes::Words(escalations), "levels of escalation"),
        narrow("due_from", "t.sla_due", Takes::From, "due at this time or later"),
        narrow("due_to", "t.sla_due", Takes::To, "due before or at this time"),
        Q,
    ],
    order: (&[BY_REMAINING, "COALESCE(t.priority, 9)"], Direction::Ascending),
    key: &["t.seq"],
};

/// What a customer sees of its tickets in a list.
const FOR_CUSTOMERS: &[Field] = &[
    field("id", "t.id", Kind::Uuid, false),
    field("ticket_id", "t.id", Kind::Uuid, false),
    field("number", "t.number", Kind::Text, false),
    field("version", "t.version", Kind::Int, false),
    field("title", "t.title", Kind::Text, false),
    field("customer", "t.customer", Kind::Text, true),
    field("service_site", "t.service_site", Kind::Text, true),
    field("serial", "t.serial", Kind::Text, true),
    field("product", "t.product", Kind::Text, true),
    field("kind", "t.kind", Kind::Text, false),
    field("severity", "t.severity", Kind::Int, true),
    field("priority", "t.priority", Kind::Int, true),
    field("state", "t.state", Kind::Text, false),
    field("warranty", "t.warranty", Kind::Text, false),
    field("commercial", "t.commercial", Kind::Text, false),
    field("visit_window", VISIT_WINDOW, Kind::Json, true),
    field("hold_reason", "t.hold_reason", Kind::Text, true),
    field("cycle", "t.cycle", Kind::Int, false),
    field("opened_at", "t.opened_at", Kind::Instant, false),
    field("updated_at", "t.updated_at", Kind::Instant, false),
    field("resolved_at", "t.resolved_at", Kind::Instant, true),
    field("closed_at", "t.ended_at", Kind::Instant, true),
];

/// Tickets as their customer sees them.
pub static CUSTOMERS_TICKETS: Table = Table {
    name: "tickets",
    from: FROM,
    only: "1",
    site: "t.site",
    own: OWN,
    fields: FOR_CUSTOMERS,
    filters: &[
        narrow("state", "t.state", Takes::Words(states), "states"),
        narrow("open", "t.open", Takes::Flag, "somebody still has to do something about it"),
        narrow("warranty", "t.warranty", Takes::Words(warranties), "who bears the cost"),
        narrow("commercial", "t.commercial", Takes::Words(commercials), "where the quote is"),
        narrow("product", "t.product", Takes::Codes, "products"),
        narrow("kind", "t.kind", Takes::Words(kinds), "kinds"),
        narrow("serial", "t.serial", Takes::Texts, "serial numbers"),
        Q,
    ],
    order: (&["t.updated_at"], Direction::Descending),
    key: &["t.seq"],
};

/// Business seconds left of a running clock.
macro_rules! left {
    () => {
        "business_seconds(c.bytes, p.now, k.due)"
    };
}

/// Clocks that run and have less than 25 % or 60 minutes left, and those that ran out and still run
/// (RM-15): those have less than nothing left, and `overrun` says by how much.
pub static AT_RISK_CLOCKS: Table = Table {
    name: "sla-at-risk",
    from: "clock k JOIN ticket t ON t.seq = k.seq JOIN calendar c ON c.id = k.calendar",
    only: concat!("k.due IS NOT NULL AND (", left!(), " < 3600 OR ", left!(), " * 4 < k.target)"),
    site: "t.site",
    own: Own { customer: None, ..OWN },
    fields: &[
        field("ticket_id", "t.id", Kind::Uuid, false),
        field("number", "t.number", Kind::Text, false),
        field("version", "t.version", Kind::Int, false),
        field("title", "t.title", Kind::Text, false),
        field("site", "t.site", Kind::Text, false),
        field("customer", "t.customer", Kind::Text, true),
        field("serial", "t.serial", Kind::Text, true),
        field("product", "t.product", Kind::Text, true),
        field("state", "t.state", Kind::Text, false),
        field("severity", "t.severity", Kind::Int, true),
        field("priority", "t.priority", Kind::Int, true),
        field("lead", "t.lead", Kind::Text, true),
        field("team", "t.team", Kind::Text, true),
        field("escalation", "t.escalation", Kind::Int, false),
        field("cycle", "k.cycle", Kind::Int, false),
        field("clock", "k.clock", Kind::Text, false),
        field("target", "k.target", Kind::Int, false),
        field("remaining", left!(), Kind::Int, false),
        field("due", "k.due", Kind::Instant, false),
        field("breached", "(k.due < p.now)", Kind::Bool, false),
        field("overrun", concat!("max(0, -", left!(), ")"), Kind::Int, false),
    ],
    filters: &[
        Q,
        narrow("team", "t.team", Takes::Codes, "teams"),
        narrow("customer", "t.customer", CUSTOMER, "customers"),
        narrow("site", "t.site", SITE, "sites"),
        narrow("lead", "t.lead", Takes::Codes, "lead technicians"),
        narrow("clock", "k.clock", Takes::Words(clocks), "clocks"),
        narrow("breached", "(k.due < p.now)", Takes::Flag, "ran out already"),
    ],
    order: (&[left!()], Direction::Ascending),
    key: &["k.seq", "k.n"],
};
