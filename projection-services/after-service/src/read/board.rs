//! The ticket board (RM-11): cards in columns by state, the least time left first.

use mw_contract::TicketState;
use mw_policy::Scope;
use mw_views::columns::{Kind, field};
use mw_views::read::page::{Direction, Format};
use mw_views::read::table::{PRODUCT, Query, SITE, Table, Takes, narrow, priorities};
use rusqlite::Connection;
use rusqlite::types::Value;

use super::OWN;
use super::lists::Q;
use super::lists::{BY_REMAINING, CUSTOMER, FROM, kinds, states};

const REMAINING: &str =
    "(CASE WHEN t.sla_due IS NOT NULL THEN business_seconds(c.bytes, p.now, t.sla_due) ELSE t.sla_remaining END)";

/// `running`, `paused`, `breached`; null without a clock.
const RING: &str = "(CASE WHEN t.sla_due < p.now THEN 'breached' WHEN t.sla_due IS NOT NULL THEN 'running'
    WHEN t.sla_clock IS NOT NULL THEN 'paused' END)";

const BADGES: &str = "(SELECT json_group_array(b) FROM (
    SELECT 'parts' AS b WHERE t.lacks_parts = 1 UNION ALL SELECT 'quote' WHERE t.open_quote = 1
    UNION ALL SELECT 'rma' WHERE t.rma NOT IN ('none', 'shipped_back') UNION ALL SELECT 'recall' WHERE t.recalled = 1
    UNION ALL SELECT 'hold' WHERE t.hold_reason IS NOT NULL UNION ALL SELECT 'escalated' WHERE t.escalation > 0))";

/// The cards. `a` is the state of a column; null: all of them.
pub static TICKET_CARDS: Table = Table {
    name: "ticket-board",
    from: FROM,
    only: "(p.a IS NULL OR t.state = p.a)",
    site: "t.site",
    own: OWN,
    fields: &[
        field("ticket_id", "t.id", Kind::Uuid, false),
        field("number", "t.number", Kind::Text, false),
        field("version", "t.version", Kind::Int, false),
        field("title", "t.title", Kind::Text, false),
        field("state", "t.state", Kind::Text, false),
        field("site", "t.site", Kind::Text, false),
        field("customer", "t.customer", Kind::Text, true),
        field("product", "t.product", Kind::Text, true),
        field("serial", "t.serial", Kind::Text, true),
        field("severity", "t.severity", Kind::Int, true),
        field("priority", "t.priority", Kind::Int, true),
        field("sla_clock", "t.sla_clock", Kind::Text, true),
        field("sla_state", RING, Kind::Text, true),
        field("sla_target", "t.sla_target", Kind::Int, true),
        field("sla_remaining", REMAINING, Kind::Int, true),
        field("due", "t.sla_due", Kind::Instant, true),
        field("lead", "t.lead", Kind::Text, true),
        field("team", "t.team", Kind::Text, true),
        field("badges", BADGES, Kind::Json, false),
        field("hold_reason", "t.hold_reason", Kind::Text, true),
        field("escalation", "t.escalation", Kind::Int, false),
        field("cycle", "t.cycle", Kind::Int, false),
        field("opened_at", "t.opened_at", Kind::Instant, false),
    ],
    filters: &[
        Q,
        narrow("team", "t.team", Takes::Codes, "teams"),
        narrow("priority", "t.priority", Takes::Words(priorities), "priorities, 1 is the most urgent"),
        narrow("site", "t.site", SITE, "sites"),
        narrow("customer", "t.customer", CUSTOMER, "customers"),
        narrow("product", "t.product", PRODUCT, "products"),
        narrow("kind", "t.kind", Takes::Words(kinds), "kinds"),
        narrow("lead", "t.lead", Takes::Codes, "lead technicians"),
        narrow("state", "t.state", Takes::Words(states), "states"),
    ],
    order: (&[BY_REMAINING], Direction::Ascending),
    key: &["t.seq"],
};

/// The board as a JSON member, `columns`, every state, with at most `limit` cards each.
///
/// # Errors
/// SQLite's.
pub fn board(conn: &Connection, scope: &Scope, q: &mut Query) -> rusqlite::Result<String> {
    q.given = (Value::Null, Value::Null);
    let mut sql = TICKET_CARDS.select(conn, scope, q, "t.state, COUNT(*)")?;
    sql.push(" GROUP BY t.state");
    let mut counts: Vec<(TicketState, i64)> = TicketState::ALL.iter().map(|s| (*s, 0)).collect();
    sql.each(conn, |r| {
        let (state, count): (String, i64) = (r.get(0)?, r.get(1)?);
        if let Some(c) = counts.iter_mut().find(|(s, _)| s.as_str() == state) {
            c.1 = count;
        }
        Ok(())
    })?;
    let mut all = Vec::new();
    for (state, count) in counts {
        let mut items = String::new();
        if count > 0 {
            q.given.0 = Value::Text(state.to_string());
            let page = TICKET_CARDS.page(conn, scope, q, Format::Json)?;
            items = String::from_utf8_lossy(&page.text(Format::Json)).into_owned();
        }
        all.push(format!("{{\"state\":\"{state}\",\"count\":{count},\"items\":[{items}]}}"));
    }
    Ok(format!("\"columns\":[{}]", all.join(",")))
}
