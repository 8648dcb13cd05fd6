//! The work order board (RM-02): cards in columns by state, in lanes by line or priority.

use mw_contract::WorkOrderState;
use mw_policy::Scope;
use rusqlite::Connection;
use rusqlite::types::Value;
use serde_json::json;

use super::list::{Direction, Format};
use super::table::{Own, Query, Table, Takes};
use super::tables::{LINE, PRODUCT, SITE, narrow, priorities, states};
use crate::columns::{Kind, LATENESS, field};

/// Who works on it now.
const OPERATORS: &str =
    "(SELECT json_group_array(DISTINCT s.operator) FROM session s WHERE s.seq = w.seq AND s.ended_at IS NULL)";

const BADGES: &str = "(SELECT json_group_array(b) FROM (
    SELECT 'hold' AS b WHERE w.hold_reason IS NOT NULL UNION ALL SELECT 'ncr' WHERE w.open_ncr > 0
    UNION ALL SELECT 'shortage' WHERE w.shortages > 0 UNION ALL SELECT 'ticket' WHERE w.has_ticket = 1))";

/// The cards. `a` is the state of a column, `b` the lane, such as `line line-1`; null: all of them.
pub static CARDS: Table = Table {
    name: "board",
    from: "work_order w",
    only: "(p.a IS NULL OR w.state = p.a) AND (p.b IS NULL OR p.b = 'line ' || COALESCE(w.line, '')
        OR p.b = 'priority ' || w.priority)",
    site: "w.site",
    own: Own::NONE,
    fields: &[
        field("work_order_id", "w.id", Kind::Uuid, false),
        field("number", "w.number", Kind::Text, false),
        field("version", "w.version", Kind::Int, false),
        field("state", "w.state", Kind::State, false),
        field("site", "w.site", Kind::Text, false),
        field("line", "w.line", Kind::Text, true),
        field("product", "w.product", Kind::Text, false),
        field("rev", "w.rev", Kind::Text, true),
        field("good", "w.good", Kind::Number, false),
        field("planned_qty", "w.planned_qty", Kind::Number, false),
        field("uom", "w.uom", Kind::Text, false),
        field("progress", "w.progress", Kind::Number, false),
        field("priority", "w.priority", Kind::Int, false),
        field("planned_start", "w.planned_start", Kind::Instant, true),
        field("due_at", "w.due_at", Kind::Instant, false),
        field("lateness", LATENESS, Kind::Hours, true),
        field("operators", OPERATORS, Kind::Json, false),
        field("badges", BADGES, Kind::Json, false),
        field("hold_reason", "w.hold_reason", Kind::Text, true),
        field("open_ncr", "w.open_ncr", Kind::Int, false),
        field("shortages", "w.shortages", Kind::Int, false),
        field("has_ticket", "w.has_ticket", Kind::Bool, false),
    ],
    filters: &[
        narrow("q", "lower(w.number)", Takes::Contains, "text in the number"),
        narrow("site", "w.site", SITE, "sites"),
        narrow("line", "w.line", LINE, "lines"),
        narrow("product", "w.product", PRODUCT, "products"),
        narrow("priority", "w.priority", Takes::Words(priorities), "priorities, 1 is the most urgent"),
        narrow("state", "w.state", Takes::Words(states), "states"),
        narrow("day", "w.planned_start", Takes::Day("w.planned_end"), "planned on this day, in the site's time zone"),
    ],
    order: (&["w.priority", "COALESCE(w.planned_start, 9007199254740991)"], Direction::Ascending),
    key: &["w.seq"],
};

/// What the lanes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// The line; orders without one are in a lane of their own.
    Line,
    /// The priority.
    Priority,
}

impl Lane {
    fn column(self) -> &'static str {
        match self {
            Lane::Line => "w.line",
            Lane::Priority => "w.priority",
        }
    }
}

/// The board as JSON members: `columns` with at most `limit` cards each. With lanes the cards are in
/// `lanes`, and the columns beside them only count.
pub fn board(conn: &Connection, scope: &Scope, lane: Option<Lane>, q: &mut Query) -> rusqlite::Result<String> {
    q.given = (Value::Null, Value::Null);
    let Some(lane) = lane else {
        return Ok(format!("\"columns\":[{}]", columns(conn, scope, q)?));
    };
    let column = lane.column();
    let mut sql = CARDS.select(conn, scope, q, &format!("DISTINCT {column}"))?;
    sql.push(&format!(" ORDER BY {column} IS NULL, {column}"));
    let mut lanes: Vec<(serde_json::Value, String)> = Vec::new();
    sql.each(conn, |r| {
        lanes.push(match r.get(0)? {
            Value::Integer(n) => (json!(n), format!("priority {n}")),
            Value::Text(t) => (json!(t), format!("line {t}")),
            _ => (json!(null), "line ".to_owned()),
        });
        Ok(())
    })?;
    let counted: Vec<serde_json::Value> =
        counts(conn, scope, q)?.into_iter().map(|(s, n)| json!({"state": s, "count": n})).collect();
    let mut shown = Vec::new();
    for (name, lane) in lanes {
        q.given = (Value::Null, Value::Text(lane));
        shown.push(format!("{{\"lane\":{name},\"columns\":[{}]}}", columns(conn, scope, q)?));
    }
    Ok(format!("\"lanes\":[{}],\"columns\":{}", shown.join(","), json!(counted)))
}

/// The columns of one lane, every state, also those without a card.
fn columns(conn: &Connection, scope: &Scope, q: &mut Query) -> rusqlite::Result<String> {
    q.given.0 = Value::Null;
    let counts = counts(conn, scope, q)?;
    let mut all = Vec::new();
    for (state, count) in counts {
        let mut items = String::new();
        if count > 0 {
            q.given.0 = Value::Integer(i64::from(state.number()));
            let page = CARDS.page(conn, scope, q, Format::Json)?;
            items = String::from_utf8_lossy(&page.text(Format::Json)).into_owned();
        }
        all.push(format!("{{\"state\":\"{state}\",\"count\":{count},\"items\":[{items}]}}"));
    }
    Ok(all.join(","))
}

fn counts(conn: &Connection, scope: &Scope, q: &Query) -> rusqlite::Result<Vec<(WorkOrderState, i64)>> {
    let mut sql = CARDS.select(conn, scope, q, "w.state, COUNT(*)")?;
    sql.push(" GROUP BY w.state");
    let mut all: Vec<(WorkOrderState, i64)> = WorkOrderState::ALL.iter().map(|s| (*s, 0)).collect();
    sql.each(conn, |r| {
        let (state, count): (u8, i64) = (r.get(0)?, r.get(1)?);
        if let Some(c) = all.iter_mut().find(|(s, _)| s.number() == state) {
            c.1 = count;
        }
        Ok(())
    })?;
    Ok(all)
}
