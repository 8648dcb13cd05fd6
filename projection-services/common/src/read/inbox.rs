//! The conflict inbox (RM-17).

use rusqlite::Connection;
use rusqlite::types::Value;

use super::page::Direction;
use super::table::{Own, SITE, Table, Takes, narrow, words};
use crate::columns::{Kind, field};

fn inbox_kinds() -> Vec<(String, Value)> {
    words(crate::inbox::KINDS.iter().copied())
}

fn inbox_states() -> Vec<(String, Value)> {
    words(crate::inbox::STATES.iter().copied())
}

/// What became of an item. Dismissals are production's; `a` brings them to other contexts.
const INBOX_STATE: &str = "(CASE WHEN i.state = 'open' AND d.key IS NOT NULL THEN 'dismissed' ELSE i.state END)";

/// The conflict inbox of one context (RM-17). `a` is a JSON object of dismissals by command id in
/// hexadecimal; the item's id is that of the refused command.
pub static INBOX: Table = Table {
    name: "inbox",
    from: "inbox i LEFT JOIN json_each(p.a) d ON d.key = hex(i.command_id)",
    only: "1",
    site: "i.site",
    own: Own { account: Some("i.account"), ..Own::NONE },
    fields: &[
        field("id", "i.command_id", Kind::Uuid, false),
        field("kind", "i.kind", Kind::Text, false),
        field("state", INBOX_STATE, Kind::Text, false),
        field("recorded_at", "i.recorded_at", Kind::Instant, false),
        field("occurred_at", "i.occurred_at", Kind::Instant, false),
        field("account", "i.account", Kind::Text, false),
        field("device", "i.device", Kind::Text, true),
        field("site", "i.site", Kind::Text, true),
        field("context", "p.b", Kind::Text, false),
        field("command_type", "i.command_type", Kind::Text, false),
        field("aggregate_id", "i.aggregate_id", Kind::Uuid, true),
        field("code", "i.code", Kind::Text, false),
        field("message", "i.message", Kind::Text, false),
        field("details", "i.details", Kind::Json, true),
        field("settled_at", "COALESCE(i.settled_at, json_extract(d.value, '$.at'))", Kind::Instant, true),
        field("settled_by", "COALESCE(i.settled_by, json_extract(d.value, '$.by'))", Kind::Text, true),
        field("reason", "COALESCE(i.reason, json_extract(d.value, '$.reason'))", Kind::Text, true),
        field("resolved_by", "i.resolved_by", Kind::Uuid, true),
    ],
    filters: &[
        narrow("state", INBOX_STATE, Takes::Words(inbox_states), "what became of it; open unless given"),
        narrow("kind", "i.kind", Takes::Words(inbox_kinds), "why it is here"),
        narrow("site", "i.site", SITE, "sites"),
        narrow("device", "i.device", Takes::Codes, "devices"),
        narrow("user", "i.account", Takes::Codes, "accounts that sent the command"),
    ],
    order: (&["i.recorded_at"], Direction::Descending),
    key: &["i.command_id", "i.account"],
};

/// Dismissals whose items are not production's, as the `a` of [`INBOX`].
pub fn dismissed_elsewhere(conn: &Connection) -> rusqlite::Result<String> {
    conn.query_row(
        "SELECT json_group_object(hex(d.command_id), json_object('at', d.at, 'by', d.account, 'reason', d.reason))
         FROM dismissal d WHERE NOT EXISTS (SELECT 1 FROM inbox i WHERE i.command_id = d.command_id)",
        [],
        |r| r.get(0),
    )
}
