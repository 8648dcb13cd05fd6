//! PM-9: ends what everybody forgot: completed orders are closed after some days, sessions that
//! last too long are ended and wait for a correction.

use mw_contract::reference::Document;
use mw_contract::{AggregateId, CommandType, ErrorCode, Event, Instant, ReferenceKind};
use rusqlite::Connection;
use serde_json::json;
use uuid::Uuid;

use crate::manager::{Cx, Ended, Fired, Manager, Send};
use crate::{facts, outbox, timers};

/// The manager.
pub struct Housekeeping;

const NAME: &str = "housekeeping";
const HOUR: i64 = 3_600_000;
/// The longest that a work session may last.
const SESSION: i64 = 16 * HOUR;

impl Manager for Housekeeping {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static str {
        ""
    }

    fn on(&self, cx: &Cx<'_>, event: &Event) -> rusqlite::Result<()> {
        let started = |id: String| cx.timer(NAME, &format!("session/{id}"), cx.at().plus_millis(SESSION));
        match event {
            Event::OperationStarted(e) => started(e.session_id.to_string()),
            Event::OperationResumed(e) => started(e.session_id.to_string()),
            Event::OperationPaused(e) => timers::clear(cx.tx, NAME, &format!("session/{}", e.session_id)),
            Event::OperationSessionCorrected(e) => {
                let key = format!("session/{}", e.session_id);
                match e.new.ended_at {
                    Some(_) => timers::clear(cx.tx, NAME, &key),
                    None => cx.timer(NAME, &key, e.new.started_at.plus_millis(SESSION)),
                }
            }
            Event::WorkOrderCompleted(_) => close_later(cx.tx, cx.aggregate()),
            Event::WorkOrderReopened(_) if event.data()["to_state"] == "completed" => {
                close_later(cx.tx, cx.aggregate())
            }
            Event::WorkOrderReopened(_) | Event::WorkOrderClosed(_) => {
                timers::clear(cx.tx, NAME, &format!("close/{}", cx.aggregate()))
            }
            // The days may have changed.
            Event::ReferencePut(e) if e.kind == ReferenceKind::Site => {
                let ids: Vec<String> = cx
                    .tx
                    .prepare_cached("SELECT id FROM work_order WHERE site = ?1 AND state = 'completed' ORDER BY id")?
                    .query_map([e.code.as_str()], |r| r.get(0))?
                    .collect::<rusqlite::Result<_>>()?;
                ids.iter().filter_map(|id| id.parse().ok()).try_for_each(|id| close_later(cx.tx, id))
            }
            _ => Ok(()),
        }
    }

    fn fire(&self, f: &Fired<'_>) -> rusqlite::Result<()> {
        match f.timer.key.split_once('/') {
            Some(("session", id)) => overdue(f, id),
            Some(("close", id)) => id.parse().map_or(Ok(()), |id| close(f, id)),
            _ => Ok(()),
        }
    }

    fn ended(&self, e: &Ended<'_>) -> rusqlite::Result<bool> {
        let command = &*e.commit.head.command_type;
        match e.refused {
            // Somebody was faster: it is tried with the version of now.
            Some(ErrorCode::VersionConflict) if command == CommandType::WorkOrderClose.as_str() => {
                if let Some(id) = e.commit.head.aggregate_id {
                    close_later(e.tx, id)?;
                }
                Ok(true)
            }
            // It has been ended by somebody meanwhile.
            Some(ErrorCode::InvalidState | ErrorCode::NotFound)
                if command == CommandType::WorkOrderPauseOperation.as_str() =>
            {
                Ok(true)
            }
            refused => Ok(matches!(refused, None | Some(ErrorCode::AlreadyExists))),
        }
    }
}

/// A session that is open at its limit ends there.
fn overdue(f: &Fired<'_>, id: &str) -> rusqlite::Result<()> {
    let Some(s) = facts::session(f.tx, id)?.filter(|s| s.open && s.started_at.plus_millis(SESSION) <= f.timer.due)
    else {
        return Ok(());
    };
    let Some(order) = facts::order(f.tx, s.order)? else { return Ok(()) };
    let send = Send {
        trigger: f.timer.trigger,
        step: &format!("overdue:{}", f.timer.due.millis()),
        site: &order.site,
        command: CommandType::WorkOrderPauseOperation,
        aggregate: s.order,
        expected_version: None,
        occurred_at: Some(f.timer.due),
        payload: json!({"op": s.op, "session_id": id, "reason": "shift_end"}),
    };
    outbox::push(f.tx, NAME, &send)
}

/// Sets or takes away the timer of a completed order, as its site's settings say now.
fn close_later(tx: &Connection, id: AggregateId) -> rusqlite::Result<()> {
    let key = format!("close/{id}");
    let Some(order) = facts::order(tx, id)?.filter(|o| o.state == "completed") else {
        return timers::clear(tx, NAME, &key);
    };
    let settings = match facts::document(tx, ReferenceKind::Site, order.site.as_str())? {
        Some(Document::Site(s)) => s.settings,
        _ => Default::default(),
    };
    let (Some(days), Some(done)) = (settings.auto_close_days, order.completed_at) else {
        return timers::clear(tx, NAME, &key);
    };
    let hours = (i64::from(days) * 24).max(i64::from(settings.late_window_hours));
    let trigger: Uuid = order.completed_by.as_deref().and_then(|t| t.parse().ok()).unwrap_or_default();
    let due: Instant = done.plus_millis(hours * HOUR);
    timers::set(tx, NAME, &key, due, trigger)
}

fn close(f: &Fired<'_>, id: AggregateId) -> rusqlite::Result<()> {
    let Some(order) = facts::order(f.tx, id)?.filter(|o| o.state == "completed") else { return Ok(()) };
    let send = Send {
        trigger: f.timer.trigger,
        step: &format!("close:{}", order.version),
        site: &order.site,
        command: CommandType::WorkOrderClose,
        aggregate: id,
        expected_version: Some(order.version),
        occurred_at: None,
        payload: json!({}),
    };
    outbox::push(f.tx, NAME, &send)
}
