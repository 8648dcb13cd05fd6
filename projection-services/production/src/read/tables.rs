//! The lists that are described by a [`Table`]: the queue of a cell (RM-03), the schedule (RM-06),
//! shortages (RM-08) and quality (RM-09).

use std::collections::BTreeMap;

use mw_contract::{InspectionKind, Instant, NcrStage, OperationState, ReferenceKind, Verdict, WorkOrderState};
use mw_policy::Scope;
use rusqlite::Connection;
use rusqlite::types::Value;
use serde_json::json;

pub use mw_views::read::inbox::{INBOX, dismissed_elsewhere};
pub(super) use mw_views::read::table::{LINE, PRODUCT, SITE, narrow, priorities};
use mw_views::read::table::{numbers, words};

use super::list::Direction;
use super::table::{Own, Query, Table, Takes};
use super::{Sql, at_sites};
use crate::columns::{Kind, field, hours};

/// A blob of 16 bytes as the text of a UUID.
macro_rules! uuid_text {
    ($c:literal) => {
        concat!(
            "lower(substr(hex(",
            $c,
            "),1,8) || '-' || substr(hex(",
            $c,
            "),9,4) || '-' || substr(hex(",
            $c,
            "),13,4) || '-' || substr(hex(",
            $c,
            "),17,4) || '-' || substr(hex(",
            $c,
            "),21))"
        )
    };
}

/// Milliseconds as the text of an instant.
macro_rules! time_text {
    ($c:literal) => {
        concat!("strftime('%Y-%m-%dT%H:%M:%fZ', ", $c, " / 1000.0, 'unixepoch')")
    };
}

pub(super) fn states() -> Vec<(String, Value)> {
    let one = |s: &WorkOrderState| (s.as_str().to_owned(), Value::Integer(i64::from(s.number())));
    WorkOrderState::ALL.iter().map(one).collect()
}

/// Ready and first in the queue of its cell is loaded (invariant I7). The state of the cell itself
/// is not looked at.
macro_rules! loaded {
    () => {
        "(CASE WHEN o.ready = 1 AND o.cell IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM operation x WHERE x.cell = o.cell AND x.open = 1 AND x.ready = 1
    AND (x.priority, COALESCE(x.planned_start, 0), x.seq, x.op)
      < (o.priority, COALESCE(o.planned_start, 0), o.seq, o.op)) THEN 2 ELSE o.ready END)"
    };
}

/// Loaded first, then ready, then waiting.
const READINESS_RANK: &str = concat!("(2 - COALESCE(", loaded!(), ", 0))");

const MINE: &str = "(EXISTS (SELECT 1 FROM json_each(o.assigned) a WHERE a.value = p.me)
    OR EXISTS (SELECT 1 FROM session s WHERE s.seq = o.seq AND s.op = o.op AND s.ended_at IS NULL AND s.operator = p.me))";

const MY_SESSIONS: &str = concat!(
    "(SELECT json_group_array(json_object('session_id', ",
    uuid_text!("s.session_id"),
    ", 'cell', s.cell, 'kind', CASE s.kind WHEN 1 THEN 'setup' ELSE 'run' END, 'started_at', ",
    time_text!("s.started_at"),
    ")) FROM session s WHERE s.seq = o.seq AND s.op = o.op AND s.ended_at IS NULL AND s.operator = p.me)"
);

const LAST_REPORTS: &str = concat!(
    "(SELECT json_group_array(json_object('report_id', ",
    uuid_text!("r.report_id"),
    ", 'good', r.good, 'scrap', r.scrap, 'rework', r.rework, 'operator', r.operator, 'mine', ",
    "json(CASE WHEN r.operator = p.me THEN 'true' ELSE 'false' END), 'corrected', ",
    "json(CASE r.corrected WHEN 1 THEN 'true' ELSE 'false' END), 'at', ",
    time_text!("r.at"),
    ")) FROM (SELECT * FROM report q WHERE q.seq = o.seq AND q.op = o.op ORDER BY q.position DESC LIMIT 5) r)"
);

/// The queue of cell `a` of line `b` (RM-03): its operations, and those of its line that any cell
/// of its class may take.
pub static QUEUE: Table = Table {
    name: "queue",
    from: "operation o JOIN work_order w ON w.seq = o.seq",
    only: "o.open = 1 AND (o.cell = p.a OR (o.cell IS NULL AND o.line = p.b AND (o.cell_class IS NULL OR EXISTS (
        SELECT 1 FROM place c WHERE c.kind = 'cell' AND c.code = p.a AND c.class = o.cell_class))))",
    site: "w.site",
    own: Own::NONE,
    fields: &[
        field("work_order_id", "w.id", Kind::Uuid, false),
        field("number", "w.number", Kind::Text, false),
        field("version", "w.version", Kind::Int, false),
        field("site", "w.site", Kind::Text, false),
        field("product", "w.product", Kind::Text, false),
        field("rev", "w.rev", Kind::Text, true),
        field("order_state", "w.state", Kind::State, false),
        field("hold_reason", "w.hold_reason", Kind::Text, true),
        field("op", "o.op", Kind::Int, false),
        field("name", "o.name", Kind::Text, false),
        field("cell", "o.cell", Kind::Text, true),
        field("cell_class", "o.cell_class", Kind::Text, true),
        field("state", "o.state", Kind::OperationState, false),
        field("readiness", loaded!(), Kind::Readiness, true),
        field("to_do", "o.to_do", Kind::Number, false),
        field("good", "o.good", Kind::Number, false),
        field("scrap", "o.scrap", Kind::Number, false),
        field("rework_open", "o.rework_open", Kind::Number, false),
        field("uom", "w.uom", Kind::Text, false),
        field("setup_time", "o.setup_time", Kind::Int, false),
        field("run_time_per_unit", "o.run_time_per_unit", Kind::Text, false),
        field("planned_start", "o.planned_start", Kind::Instant, true),
        field("planned_end", "o.planned_end", Kind::Instant, true),
        field("priority", "o.priority", Kind::Int, false),
        field("due_at", "w.due_at", Kind::Instant, false),
        field("crew", "o.crew", Kind::Text, true),
        field("predecessors", "o.predecessors", Kind::Json, false),
        field("assigned", "o.assigned", Kind::Json, false),
        field("my_sessions", MY_SESSIONS, Kind::Json, false),
        field("last_reports", LAST_REPORTS, Kind::Json, false),
    ],
    filters: &[
        narrow("q", "lower(w.number || ' ' || o.name)", Takes::Contains, "text in the number or the operation's name"),
        narrow("me", MINE, Takes::Flag, "assigned to the caller, or with an open session of the caller"),
        narrow("ready", "o.ready", Takes::Flag, "nothing is missing"),
        narrow("priority", "o.priority", Takes::Words(priorities), "priorities, 1 is the most urgent"),
    ],
    order: (&[READINESS_RANK, "o.priority", "COALESCE(o.planned_start, 9007199254740991)"], Direction::Ascending),
    key: &["o.seq", "o.op"],
};

/// The time zone of every site.
pub fn zones(conn: &Connection) -> rusqlite::Result<BTreeMap<String, String>> {
    conn.prepare_cached("SELECT code, COALESCE(zone, 'UTC') FROM place WHERE kind = 'site'")?
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?
        .collect()
}

/// The line of a cell that the scope holds; `None` when there is no such cell for it.
pub fn line_of_cell(conn: &Connection, scope: &Scope, cell: &str) -> rusqlite::Result<Option<Value>> {
    let mut sql = Sql::new("SELECT c.line FROM place c WHERE c.kind = 'cell' AND c.code = ?1");
    sql.bind(cell.to_owned());
    at_sites(&mut sql, "c.site", scope);
    let mut found = None;
    sql.each(conn, |r| {
        found = Some(r.get(0)?);
        Ok(())
    })?;
    Ok(found)
}

fn operation_states() -> Vec<(String, Value)> {
    let one = |s: &OperationState| (s.as_str().to_owned(), Value::Integer(i64::from(s.number())));
    OperationState::ALL.iter().map(one).collect()
}

/// Planned and actual bars between `a` and `b` (RM-06).
pub static SCHEDULE: Table = Table {
    name: "schedule",
    from: "operation o JOIN work_order w ON w.seq = o.seq",
    // Neither drafts nor cancelled orders take a place in the plan.
    only: "w.state NOT IN (1, 8) AND ((o.planned_start < p.b AND o.planned_end > p.a)
        OR (o.started_at < p.b AND COALESCE(o.ended_at, w.ended_at, p.now) > p.a))",
    site: "w.site",
    own: Own::NONE,
    fields: &[
        field("work_order_id", "w.id", Kind::Uuid, false),
        field("number", "w.number", Kind::Text, false),
        field("version", "w.version", Kind::Int, false),
        field("site", "w.site", Kind::Text, false),
        field("product", "w.product", Kind::Text, false),
        field("priority", "w.priority", Kind::Int, false),
        field("state", "w.state", Kind::State, false),
        field("line", "o.line", Kind::Text, true),
        field("cell", "o.cell", Kind::Text, true),
        field("op", "o.op", Kind::Int, false),
        field("name", "o.name", Kind::Text, false),
        field("operation_state", "o.state", Kind::OperationState, false),
        field("planned_start", "o.planned_start", Kind::Instant, true),
        field("planned_end", "o.planned_end", Kind::Instant, true),
        field("planned_hours", "o.planned_seconds * 1000", Kind::Hours, false),
        field("actual_start", "o.started_at", Kind::Instant, true),
        field("actual_end", "o.ended_at", Kind::Instant, true),
        field("due_at", "w.due_at", Kind::Instant, false),
    ],
    filters: &[
        narrow("q", "lower(w.number || ' ' || o.name)", Takes::Contains, "text in the number or the operation's name"),
        narrow("site", "w.site", SITE, "sites"),
        narrow("line", "o.line", LINE, "lines"),
        narrow("cell", "o.cell", Takes::Reference(ReferenceKind::Cell), "cells"),
        narrow("product", "w.product", PRODUCT, "products"),
        narrow("state", "w.state", Takes::Words(states), "states of orders"),
        narrow("operation_state", "o.state", Takes::Words(operation_states), "states of operations"),
    ],
    order: (&["COALESCE(o.planned_start, o.started_at, 0)"], Direction::Ascending),
    key: &["o.seq", "o.op"],
};

/// The load of each cell and line between `a` and `b`: planned hours of the bars that lie in the
/// period, each as far as it does, against the hours that the line works in it (`working`, milliseconds
/// by line), or all of them where that is not known. A bar without standard times counts with its length.
pub fn load(
    conn: &Connection,
    scope: &Scope,
    q: &Query,
    working: &BTreeMap<String, i64>,
) -> rusqlite::Result<Vec<serde_json::Value>> {
    const PLANNED: &str = "o.line, o.cell, SUM(CAST(
        (CASE WHEN o.planned_seconds > 0 THEN o.planned_seconds * 1000.0 ELSE o.planned_end - o.planned_start END)
        * (MIN(o.planned_end, p.b) - MAX(o.planned_start, p.a)) / (o.planned_end - o.planned_start) AS INTEGER))";
    let (Value::Integer(from), Value::Integer(to)) = q.given else { return Ok(Vec::new()) };
    let mut sql = SCHEDULE.select(conn, scope, q, PLANNED)?;
    sql.push(
        " AND o.planned_start < p.b AND o.planned_end > p.a AND o.planned_end > o.planned_start AND o.state <> 6
         GROUP BY o.line, o.cell ORDER BY o.line, o.cell",
    );
    let mut cells: Vec<(Option<String>, Option<String>, i64)> = Vec::new();
    sql.each(conn, |r| {
        cells.push((r.get(0)?, r.get(1)?, r.get(2)?));
        Ok(())
    })?;
    let row = |line: &Option<String>, cell: &Option<String>, planned: i64, available: i64| {
        let percent = rust_decimal::Decimal::from(planned) * rust_decimal::Decimal::ONE_HUNDRED;
        let percent = percent.checked_div(available.into()).map(|d| d.round_dp(1).normalize().to_string());
        json!({"line": line, "cell": cell, "planned_hours": hours(planned), "available_hours": hours(available),
            "load_pct": percent})
    };
    let mut lines: Vec<(Option<String>, i64)> = Vec::new();
    for (line, _, planned) in &cells {
        match lines.iter_mut().find(|(l, _)| l == line) {
            Some((_, sum)) => *sum += planned,
            None => lines.push((line.clone(), *planned)),
        }
    }
    let mut all = Vec::new();
    for (line, planned) in &lines {
        let count: i64 = conn
            .prepare_cached("SELECT COUNT(*) FROM place WHERE kind = 'cell' AND line = ?1")?
            .query_row([line], |r| r.get(0))?;
        let one = line.as_ref().and_then(|l| working.get(l).copied()).unwrap_or(to - from);
        all.push(row(line, &None, *planned, one * count.max(1)));
        for (_, cell, planned) in cells.iter().filter(|(l, c, _)| l == line && c.is_some()) {
            all.push(row(line, cell, *planned, one));
        }
    }
    Ok(all)
}

/// What orders used up, as `GET /v1/parts-usage` shows it beside the parts of tickets: the same fields and
/// filters, in the same order.
pub static MATERIAL_USAGE: Table = Table {
    name: "parts-usage",
    from: "material_use u JOIN work_order w ON w.seq = u.seq",
    only: "u.qty <> '0'",
    site: "w.site",
    own: Own { account: Some("u.account"), customer: None, internal: Some("1") },
    fields: &[
        field("at", "u.at", Kind::Instant, false),
        field("item", "u.item", Kind::Text, false),
        field("qty", "u.qty", Kind::Number, false),
        field("unit_cost", "NULL", Kind::Number, true),
        field("cost", "NULL", Kind::Number, true),
        field("currency", "NULL", Kind::Text, true),
        field("ticket_id", "NULL", Kind::Uuid, true),
        field("work_order_id", "w.id", Kind::Uuid, true),
        field("number", "w.number", Kind::Text, false),
        field("site", "w.site", Kind::Text, false),
        field("serial", "u.serial", Kind::Text, true),
        field("technician", "u.account", Kind::Text, false),
        field("coverage", "NULL", Kind::Text, true),
        field("covered", "NULL", Kind::Bool, true),
        field("source", "u.source", Kind::Text, false),
        field("lot", "u.lot", Kind::Text, true),
        field("new_serial", "NULL", Kind::Text, true),
        field("removed_serial", "NULL", Kind::Text, true),
        field("removed_disposition", "NULL", Kind::Text, true),
        // Not a bare number: in an ORDER BY that would be a column.
        field("core_outstanding", "(1 = 0)", Kind::Bool, false),
        field("core_back_at", "NULL", Kind::Instant, true),
    ],
    filters: &[
        narrow(
            "q",
            "lower(w.number || ' ' || COALESCE(u.serial, ''))",
            Takes::Contains,
            "text in the number or the serial number",
        ),
        narrow("from", "u.at", Takes::From, "used then or later"),
        narrow("to", "u.at", Takes::To, "used then or earlier"),
        narrow("item", "u.item", Takes::Codes, "items"),
        narrow("technician", "u.account", Takes::Codes, "accounts that used them"),
        narrow("site", "w.site", SITE, "sites"),
        narrow("coverage", "NULL", Takes::Words(no_coverage), "who bears the cost"),
        narrow("core_outstanding", "0", Takes::Flag, "the part that was taken out has yet to come back"),
    ],
    order: (&["u.at"], Direction::Descending),
    key: &["u.position", "u.n", "'production'"],
};

fn no_coverage() -> Vec<(String, rusqlite::types::Value)> {
    words(mw_contract::Coverage::ALL.iter().map(|c| c.as_str()))
}

/// Material that is missing (RM-08). Nobody tells the system of deliveries that are on their way,
/// so `expected_receipt` is null.
pub static SHORTAGES: Table = Table {
    name: "shortages",
    from: "shortage s JOIN work_order w ON w.seq = s.seq",
    only: "1",
    site: "w.site",
    own: Own::NONE,
    fields: &[
        field("item", "s.item", Kind::Text, false),
        field("work_order_id", "w.id", Kind::Uuid, false),
        field("number", "w.number", Kind::Text, false),
        field("version", "w.version", Kind::Int, false),
        field("site", "w.site", Kind::Text, false),
        field("line", "w.line", Kind::Text, true),
        field("product", "w.product", Kind::Text, false),
        field("state", "w.state", Kind::State, false),
        field("priority", "w.priority", Kind::Int, false),
        field("line_no", "s.line_no", Kind::Int, false),
        field("op", "s.op", Kind::Int, true),
        field("required", "s.required", Kind::Number, false),
        field("reserved", "s.reserved", Kind::Number, false),
        field("issued", "s.issued", Kind::Number, false),
        field("missing", "s.missing", Kind::Number, false),
        field("needed_at", "s.needed_at", Kind::Instant, false),
        field("expected_receipt", "NULL", Kind::Instant, true),
    ],
    filters: &[
        narrow("q", "lower(w.number || ' ' || s.item)", Takes::Contains, "text in the number or the item"),
        narrow("item", "s.item", Takes::Codes, "items"),
        narrow("site", "w.site", SITE, "sites"),
        narrow("line", "w.line", LINE, "lines"),
        narrow("product", "w.product", PRODUCT, "products"),
        narrow("state", "w.state", Takes::Words(states), "states of orders"),
        narrow("date", "s.needed_at", Takes::Day("s.needed_at"), "needed on this day"),
        narrow("needed_from", "s.needed_at", Takes::From, "needed at this time or later"),
        narrow("needed_to", "s.needed_at", Takes::To, "needed before or at this time"),
    ],
    order: (&["s.needed_at"], Direction::Ascending),
    key: &["s.seq", "s.line_no"],
};

fn quality_kinds() -> Vec<(String, Value)> {
    words(["ncr", "inspection"])
}

fn quality_states() -> Vec<(String, Value)> {
    words(["open", "dispositioned", "closed"].into_iter().chain(Verdict::ALL.iter().map(|v| v.as_str())))
}

fn stages() -> Vec<(String, Value)> {
    let all = NcrStage::ALL.iter().map(|s| s.as_str()).chain(InspectionKind::ALL.iter().map(|k| k.as_str()));
    let mut all = words(all);
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all.dedup_by(|a, b| a.0 == b.0);
    all
}

fn severities() -> Vec<(String, Value)> {
    numbers(4)
}

/// Inspections and nonconformances (RM-09). An inspection's state is its verdict, its quantity the
/// sample; it has no severity and stands behind every nonconformance.
pub static QUALITY: Table = Table {
    name: "quality",
    from: "quality q JOIN work_order w ON w.seq = q.seq",
    only: "1",
    site: "w.site",
    own: Own::NONE,
    fields: &[
        field("id", "q.item_id", Kind::Uuid, false),
        field("kind", "q.kind", Kind::Text, false),
        field("work_order_id", "w.id", Kind::Uuid, false),
        field("number", "w.number", Kind::Text, false),
        field("version", "w.version", Kind::Int, false),
        field("site", "w.site", Kind::Text, false),
        field("line", "w.line", Kind::Text, true),
        field("product", "w.product", Kind::Text, false),
        field("op", "q.op", Kind::Int, true),
        field("defect", "q.defect", Kind::Text, true),
        field("qty", "q.qty", Kind::Number, false),
        field("severity", "q.severity", Kind::Int, true),
        field("stage", "q.stage", Kind::Text, false),
        field("disposition", "q.disposition", Kind::Text, true),
        field("cause", "q.cause", Kind::Text, true),
        field("state", "q.state", Kind::Text, false),
        field("age", "(COALESCE(q.closed_at, p.now) - q.opened_at)", Kind::Days, false),
        field("owner", "q.owner", Kind::Text, false),
        field("opened_at", "q.opened_at", Kind::Instant, false),
        field("closed_at", "q.closed_at", Kind::Instant, true),
    ],
    filters: &[
        narrow("q", "lower(w.number)", Takes::Contains, "text in the number"),
        narrow("kind", "q.kind", Takes::Words(quality_kinds), "ncr or inspection"),
        narrow("state", "q.state", Takes::Words(quality_states), "states of nonconformances, verdicts of inspections"),
        narrow("severity", "q.severity", Takes::Words(severities), "severities, 1 is the worst"),
        narrow("stage", "q.stage", Takes::Words(stages), "where it was found, or the kind of inspection"),
        narrow("site", "w.site", SITE, "sites"),
        narrow("line", "w.line", LINE, "lines"),
        narrow("product", "w.product", PRODUCT, "products"),
        narrow("cause", "q.cause", Takes::Codes, "causes"),
        narrow("defect", "q.defect", Takes::Codes, "defects"),
    ],
    // The oldest first: the same as by age, the other way round.
    order: (&["q.rank", "q.opened_at"], Direction::Ascending),
    key: &["q.position"],
};

/// The week that a moment lies in: Monday to Monday, in UTC.
pub fn week_of(now: Instant) -> (Instant, Instant) {
    const DAY: i64 = 86_400_000;
    // 1970-01-01 was a Thursday.
    let monday = (now.millis().div_euclid(DAY) + 3).div_euclid(7) * 7 - 3;
    (Instant::clamped(monday * DAY), Instant::clamped((monday + 7) * DAY))
}

/// The same of an ISO 8601 week, such as `2026-W10`; `None`: it is none.
pub fn iso_week(text: &str) -> Option<(Instant, Instant)> {
    let (year, week) = text.split_once("-W")?;
    let (Ok(year), Ok(week)) = (year.parse::<i16>(), week.parse::<u8>()) else { return None };
    // The first week is that of the 4th of January.
    let fourth: Instant = format!("{year:04}-01-04T00:00:00.000Z").parse().ok()?;
    let days = 7 * (i64::from(week) - 1);
    let found = week_of(fourth.plus_millis(days * 86_400_000));
    // The Thursday of a week is of its year: there is no week 53 in most.
    let thursday = found.0.plus_millis(3 * 86_400_000);
    (week >= 1 && thursday.year() == year).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_weeks_are_those_of_the_calendar() {
        let begins = |week: &str| super::iso_week(week).map(|(from, _)| from.to_string()[..10].to_owned());
        for (week, monday) in [
            ("2026-W01", Some("2025-12-29")),
            ("2026-W10", Some("2026-03-02")),
            ("2026-W53", Some("2026-12-28")),
            ("2025-W53", None),
            ("2027-W01", Some("2027-01-04")),
            ("2026-W00", None),
            ("2026-10", None),
            ("x-Wy", None),
        ] {
            assert_eq!(begins(week).as_deref(), monday, "{week}");
        }
    }

    #[test]
    fn a_week_begins_on_monday() {
        for day in ["2026-03-02T00:00:00Z", "2026-03-05T12:00:00Z", "2026-03-08T23:59:59.999Z"] {
            let (from, to) = week_of(day.parse().unwrap());
            assert_eq!(from.to_string(), "2026-03-02T00:00:00.000Z", "{day}");
            assert_eq!(to.to_string(), "2026-03-09T00:00:00.000Z", "{day}");
        }
    }
}
