//! One ticket with everything that belongs to it.

use mw_contract::{AggregateId, Instant};
use mw_views::TextOpener;
use rusqlite::{Connection, OptionalExtension};
use serde_json::{Value, json};

use crate::business;
use crate::seal;
use crate::ticket::Ticket;
use crate::ticket::clocks::{Clock, ClockState};
use crate::ticket::totals::totals;

use super::mine;

/// For whom a document is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reader {
    /// Those who serve.
    Staff,
    /// The customer whose case it is.
    Customer,
}

/// The ticket of this id. Whether the caller may see it was asked before.
///
/// # Errors
/// SQLite's.
pub fn ticket(conn: &Connection, id: AggregateId) -> rusqlite::Result<Option<Ticket>> {
    let doc: Option<String> = conn
        .prepare_cached("SELECT d.doc FROM ticket t JOIN ticket_doc d USING (seq) WHERE t.id = ?1")?
        .query_row([id.as_bytes()], |r| r.get(0))
        .optional()?;
    doc.map(|d| parsed(&d)).transpose()
}

/// A stored document.
pub(super) fn parsed(doc: &str) -> rusqlite::Result<Ticket> {
    serde_json::from_str(doc)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(e)))
}

/// The document as it is at a moment, and the version for its `ETag`.
///
/// # Errors
/// SQLite's.
pub fn detail(
    conn: &Connection,
    id: AggregateId,
    reader: Reader,
    now: Option<Instant>,
    opener: &dyn TextOpener,
) -> rusqlite::Result<Option<(u64, Value)>> {
    let Some(t) = ticket(conn, id)? else { return Ok(None) };
    // Of the past without a moment: when its last event was recorded.
    let now = now.unwrap_or(t.recorded_at);
    let mut document = match reader {
        Reader::Staff => for_staff(conn, &t, now)?,
        Reader::Customer => mine::document(&t),
    };
    seal::open(&mut document, opener);
    Ok(Some((t.version.0, document)))
}

fn for_staff(conn: &Connection, t: &Ticket, now: Instant) -> rusqlite::Result<Value> {
    let mut d = serde_json::to_value(t)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(e)))?;
    if let Some(all) = d.as_object_mut() {
        for inner in ["seq", "held_ms", "final_totals", "recorded_at"] {
            all.remove(inner);
        }
    }
    d["ticket_id"] = json!(t.id);
    for name in ["serial", "product", "equipment_id"] {
        d[name] = d["unit"][name].clone();
    }
    // The way from the case to who made the unit.
    d["warranty"] = json!({"status": t.warranty, "coverage": t.coverage, "unit_id": t.unit.unit_id,
        "work_order_id": t.unit.work_order_id, "work_order_number": t.unit.work_order_number});
    if let Some(all) = d.as_object_mut() {
        all.remove("coverage");
    }
    for (name, id) in [("sessions", "session_id"), ("trips", "trip_id")] {
        for s in d[name].as_array_mut().into_iter().flatten() {
            let Some(s) = s.as_object_mut() else { continue };
            if let Some(v) = s.remove("id") {
                s.insert(id.into(), v);
            }
            if let Some(Value::Object(more)) = s.remove("more") {
                s.extend(more);
            }
        }
    }
    for r in d["returns"].as_array_mut().into_iter().flatten() {
        flatten(r);
        r["units"].as_array_mut().into_iter().flatten().for_each(flatten);
    }
    let steps = t.checklist.iter().enumerate();
    // Steps are counted from 1.
    d["checklist"] = steps
        .map(|(i, step)| {
            let n = u16::try_from(i + 1).unwrap_or(u16::MAX);
            json!({"step": n, "text": step, "done": t.checklist_done.contains(&n)})
        })
        .collect();
    d["master_state"] = json!(master_state(conn, t)?);
    d["sla"] = sla(conn, t, now)?;
    d["totals"] = totals(t, now);
    d["rating"] = t.ratings.iter().find(|r| r["cycle"] == json!(t.cycle)).cloned().unwrap_or_default();
    d["closed_at"] = json!(t.ended_at);
    let until = t.ended_at.unwrap_or(now);
    d["age"] = json!(mw_views::columns::hours(until.since(t.opened_at).max(0)));
    d["hold_time"] = json!(mw_views::columns::hours(t.held_until(now)));
    Ok(d)
}

/// T6: a duplicate shows where its master stands.
pub(super) fn master_state(conn: &Connection, t: &Ticket) -> rusqlite::Result<Option<String>> {
    let Some(master) = t.master_ticket_id else { return Ok(None) };
    let state = "SELECT state FROM ticket WHERE id = ?1";
    conn.query_row(state, [master.0.as_bytes().as_slice()], |r| r.get(0)).optional()
}

fn flatten(v: &mut Value) {
    if let Some(all) = v.as_object_mut()
        && let Some(Value::Object(more)) = all.remove("more")
    {
        all.extend(more);
    }
}

/// The clocks by cycle, each with what is left of it at the moment.
fn sla(conn: &Connection, t: &Ticket, now: Instant) -> rusqlite::Result<Value> {
    let mut shown = Vec::new();
    for c in &t.sla.clocks {
        shown.push(clock(conn, c, now)?);
    }
    let least = t.sla.least(t.cycle).map(|c| c.clock);
    Ok(json!({"policy": t.sla.policy, "least": least, "clocks": shown}))
}

fn clock(conn: &Connection, c: &Clock, now: Instant) -> rusqlite::Result<Value> {
    let remaining = match (c.due, business::calendar(conn, c.calendar)?) {
        (Some(due), Some(calendar)) => calendar.between(now, due),
        _ => c.remaining_s,
    };
    let over = c.breached || c.due.is_some_and(|due| due < now);
    let by = match c.state {
        ClockState::Running if over => Some(-remaining),
        _ => c.by.map(|b| i64::try_from(b.0).unwrap_or(i64::MAX)),
    };
    Ok(json!({
        "cycle": c.cycle, "clock": c.clock, "state": c.state, "target": c.target, "remaining": remaining,
        "due": c.due, "was_due": c.was_due, "breached": over, "overrun": by, "cause": c.cause, "warned": c.warned,
        "ended_at": c.ended_at, "policy": c.policy,
    }))
}
