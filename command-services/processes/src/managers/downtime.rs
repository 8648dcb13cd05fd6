//! PM-8: an operation that stops for a reason that counts as downtime, or a machine that is down,
//! opens a downtime of its cell; going on ends it. At the end of a shift an open downtime is split.

use mw_contract::{AggregateId, CommandType, ErrorCode, Event, Instant, MachineState, SiteId, StateSource};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};
use uuid::Uuid;

use super::shifts;
use crate::manager::{Cx, Ended, Fired, Manager, Send, derived};
use crate::{facts, outbox, timers};

/// The manager.
pub struct Downtime;

const NAME: &str = "downtime";

const TABLES: &str = "
CREATE TABLE equipment (cell TEXT PRIMARY KEY, id TEXT NOT NULL, site TEXT NOT NULL, line TEXT NOT NULL) STRICT;
CREATE TABLE downtime (
    id TEXT PRIMARY KEY,
    cell TEXT NOT NULL,
    cause TEXT NOT NULL,
    reason TEXT,
    ending INTEGER
) STRICT;
CREATE INDEX downtime_cell ON downtime (cell);
";

/// A machine that is down, or of which nothing was heard for too long.
fn stands_still(state: MachineState, source: StateSource) -> bool {
    state == MachineState::Down || (state == MachineState::Offline && source == StateSource::Timeout)
}

/// A cell that is watched.
struct Equipment {
    id: AggregateId,
    site: SiteId,
    line: String,
}

fn equipment(tx: &Connection, cell: &str) -> rusqlite::Result<Option<Equipment>> {
    let found: Option<(String, String, String)> = tx
        .prepare_cached("SELECT id, site, line FROM equipment WHERE cell = ?1")?
        .query_row([cell], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
        .optional()?;
    Ok(found
        .and_then(|(id, site, line)| Some(Equipment { id: id.parse().ok()?, site: SiteId::new(&site).ok()?, line })))
}

impl Manager for Downtime {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static str {
        TABLES
    }

    fn on(&self, cx: &Cx<'_>, event: &Event) -> rusqlite::Result<()> {
        let tx = cx.tx;
        match event {
            Event::EquipmentRegistered(e) => {
                tx.prepare_cached("INSERT OR REPLACE INTO equipment VALUES (?1, ?2, ?3, ?4)")?.execute([
                    e.code.as_str(),
                    &cx.aggregate().to_string(),
                    e.site_id.as_str(),
                    e.line_id.as_str(),
                ])?;
                Ok(())
            }
            Event::OperationPaused(e) => {
                let Some(reason) = &e.reason else { return Ok(()) };
                let Some(s) = facts::session(tx, &e.session_id.to_string())? else { return Ok(()) };
                match facts::is_downtime(tx, reason.as_str())? {
                    true => {
                        let work = json!({"reason": reason, "work_order_id": cx.aggregate(), "op": e.op});
                        begin(cx, &s.cell, "operation", work)
                    }
                    false => Ok(()),
                }
            }
            Event::OperationStarted(e) => end(cx, e.cell_id.as_str(), "operation"),
            Event::OperationResumed(e) => end(cx, e.cell_id.as_str(), "operation"),
            Event::MachineStateChanged(e) if stands_still(e.new, e.source) => {
                begin(cx, e.cell_id.as_str(), "machine", json!({}))
            }
            Event::MachineStateChanged(e) if matches!(e.old, Some(MachineState::Down | MachineState::Offline)) => {
                end(cx, e.cell_id.as_str(), "machine")
            }
            Event::DowntimeStarted(e) => {
                let (id, reason) = (e.downtime_id.to_string(), e.reason.as_ref().map(|r| r.as_str()));
                // One that was begun from here is known already, with its cause.
                tx.prepare_cached("INSERT OR IGNORE INTO downtime VALUES (?1, ?2, 'somebody', ?3, NULL)")?
                    .execute(params![id, e.cell_id.as_str(), reason])?;
                split_later(cx, e.cell_id.as_str(), &id, cx.at())
            }
            Event::DowntimeClassified(e) => {
                tx.prepare_cached("UPDATE downtime SET reason = ?2 WHERE id = ?1")?
                    .execute([&e.downtime_id.to_string(), e.reason.as_str()])?;
                Ok(())
            }
            Event::DowntimeSplit(e) => {
                let (old, new) = (e.downtime_id.to_string(), e.new_downtime_id.to_string());
                tx.prepare_cached("UPDATE OR REPLACE downtime SET id = ?2 WHERE id = ?1")?.execute([&old, &new])?;
                timers::clear(tx, NAME, &old)?;
                let ending = ending(tx, &new)?;
                match (open(tx, &new)?, ending) {
                    // The cell went on while the split was on its way: what had to end has another name now.
                    (Some((cell, _)), Some(at)) => {
                        let Some(eq) = equipment(tx, &cell)? else { return Ok(()) };
                        let at = at.max(e.split_at);
                        send(cx, &eq, "end", at, CommandType::EquipmentEndDowntime, json!({"downtime_id": new}))
                    }
                    (Some(_), None) => split_later(cx, e.cell_id.as_str(), &new, e.split_at),
                    (None, _) => Ok(()),
                }
            }
            Event::DowntimeEnded(e) => forget(tx, &e.downtime_id.to_string()),
            _ => Ok(()),
        }
    }

    fn fire(&self, f: &Fired<'_>) -> rusqlite::Result<()> {
        let (id, due) = (&f.timer.key, f.timer.due);
        let Some((cell, reason)) = open(f.tx, id)? else { return Ok(()) };
        let Some(eq) = equipment(f.tx, &cell)? else { return Ok(()) };
        let send = Send {
            trigger: f.timer.trigger,
            step: &format!("split:{id}:{}", due.millis()),
            site: &eq.site,
            command: CommandType::EquipmentClassifyDowntime,
            aggregate: eq.id,
            expected_version: None,
            occurred_at: Some(due),
            payload: json!({
                "downtime_id": id,
                "reason": reason,
                "split_at": due,
                "new_downtime_id": derived(&format!("{NAME}:{id}:{}", due.millis())),
            }),
        };
        outbox::push(f.tx, NAME, &send)
    }

    fn ended(&self, e: &Ended<'_>) -> rusqlite::Result<bool> {
        let (Some(row), Some(code)) = (e.row, e.refused) else { return Ok(true) };
        let overtaken = matches!(
            code,
            ErrorCode::AlreadyExists | ErrorCode::InvalidState | ErrorCode::NotFound | ErrorCode::GuardFailed
        );
        if row.command == CommandType::EquipmentStartDowntime.as_str()
            && let Some(id) = row.payload["downtime_id"].as_str()
        {
            forget(e.tx, id)?;
            // Somebody was faster with this cell.
            return Ok(overtaken);
        }
        // Ended or classified by somebody meanwhile; without a reason nothing can be split.
        Ok(overtaken || code == ErrorCode::ReasonRequired)
    }
}

fn open(tx: &Connection, id: &str) -> rusqlite::Result<Option<(String, Option<String>)>> {
    tx.prepare_cached("SELECT cell, reason FROM downtime WHERE id = ?1")?
        .query_row([id], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()
}

/// When a downtime must have ended, once its end is on the way.
fn ending(tx: &Connection, id: &str) -> rusqlite::Result<Option<Instant>> {
    let at: Option<i64> = tx
        .prepare_cached("SELECT ending FROM downtime WHERE id = ?1")?
        .query_row([id], |r| r.get(0))
        .optional()?
        .flatten();
    Ok(at.map(Instant::clamped))
}

fn forget(tx: &Connection, id: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM downtime WHERE id = ?1")?.execute([id])?;
    timers::clear(tx, NAME, id)
}

fn split_later(cx: &Cx<'_>, cell: &str, id: &str, after: Instant) -> rusqlite::Result<()> {
    let Some(eq) = equipment(cx.tx, cell)? else { return Ok(()) };
    match shifts::next_end(cx.tx, eq.site.as_str(), &eq.line, after)? {
        Some(due) => cx.timer(NAME, id, due),
        None => Ok(()),
    }
}

/// Begins a downtime of a cell that has none, or whose own is about to end.
fn begin(cx: &Cx<'_>, cell: &str, cause: &str, mut payload: Value) -> rusqlite::Result<()> {
    let Some(eq) = equipment(cx.tx, cell)? else { return Ok(()) };
    let is_open: bool = cx
        .tx
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM downtime WHERE cell = ?1 AND ending IS NULL)")?
        .query_row([cell], |r| r.get(0))?;
    if is_open {
        return Ok(());
    }
    let id: Uuid = derived(&format!("{NAME}:{}", cx.id()));
    cx.tx.prepare_cached("INSERT OR REPLACE INTO downtime VALUES (?1, ?2, ?3, ?4, NULL)")?.execute(params![
        id.to_string(),
        cell,
        cause,
        payload["reason"].as_str()
    ])?;
    payload["downtime_id"] = json!(id);
    send(cx, &eq, "start", cx.at(), CommandType::EquipmentStartDowntime, payload)
}

/// Ends the downtime of a cell that was begun from here for this cause.
fn end(cx: &Cx<'_>, cell: &str, cause: &str) -> rusqlite::Result<()> {
    let Some(eq) = equipment(cx.tx, cell)? else { return Ok(()) };
    let id: Option<String> = cx
        .tx
        .prepare_cached("SELECT id FROM downtime WHERE cell = ?1 AND cause = ?2 AND ending IS NULL")?
        .query_row([cell, cause], |r| r.get(0))
        .optional()?;
    let Some(id) = id else { return Ok(()) };
    cx.tx.prepare_cached("UPDATE downtime SET ending = ?2 WHERE id = ?1")?.execute(params![id, cx.at().millis()])?;
    send(cx, &eq, "end", cx.at(), CommandType::EquipmentEndDowntime, json!({"downtime_id": id}))
}

fn send(
    cx: &Cx<'_>,
    eq: &Equipment,
    step: &str,
    at: Instant,
    command: CommandType,
    payload: Value,
) -> rusqlite::Result<()> {
    let send = Send {
        trigger: cx.id(),
        step,
        site: &eq.site,
        command,
        aggregate: eq.id,
        expected_version: None,
        occurred_at: Some(at),
        payload,
    };
    cx.send(NAME, &send)
}
