//! PM-3: a nonconformance whose pieces are reworked in an order of their own gets that order.

use mw_contract::{AggregateId, CommandType, Disposition, ErrorCode, Event, Qty, ReworkMode};
use rusqlite::OptionalExtension;
use serde_json::{Value, json};

use super::children::{self, Child};
use crate::facts;
use crate::manager::{Cx, Ended, Manager, Send};

/// The manager.
pub struct Rework;

const NAME: &str = "rework";

impl Manager for Rework {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static str {
        "CREATE TABLE rework (work_order TEXT PRIMARY KEY, ncr TEXT NOT NULL UNIQUE, origin TEXT NOT NULL) STRICT;"
    }

    fn on(&self, cx: &Cx<'_>, event: &Event) -> rusqlite::Result<()> {
        match event {
            Event::NonconformanceDispositioned(e) => {
                let Some((rework, new)) = e
                    .rework
                    .as_ref()
                    .filter(|r| r.mode == ReworkMode::NewOrder)
                    .and_then(|r| r.new_work_order_id.map(|id| (r, id)))
                else {
                    return Ok(());
                };
                let qty: Qty = e.lines.iter().filter(|l| l.disposition == Disposition::Rework).map(|l| l.qty).sum();
                let taken = cx.tx.prepare_cached("INSERT OR IGNORE INTO rework VALUES (?1, ?2, ?3)")?.execute([
                    new.to_string(),
                    e.ncr_id.to_string(),
                    cx.aggregate().to_string(),
                ])?;
                let Some(order) = facts::order(cx.tx, cx.aggregate())?.filter(|_| taken == 1 && !qty.is_zero()) else {
                    return Ok(());
                };
                let child = Child {
                    id: new,
                    qty,
                    due_at: order.document["due_at"].clone(),
                    line_id: order.document["line_id"].clone(),
                    order_type: json!("rework"),
                    origin: json!({"kind": "nonconformance", "id": e.ncr_id}),
                    // The parts are in the pieces already: what rework needs more is added by people.
                    bom: json!([]),
                    routing: steps(&order.document["routing"], &rework.operations),
                };
                children::create(cx, NAME, &order, &child)
            }
            // It may get another order with its next disposition.
            Event::NonconformanceReturned(e) => {
                cx.tx.prepare_cached("DELETE FROM rework WHERE ncr = ?1")?.execute([e.ncr_id.to_string()])?;
                Ok(())
            }
            Event::WorkOrderCancelled(_) => {
                let found: Option<(String, String)> = cx
                    .tx
                    .prepare_cached("SELECT ncr, origin FROM rework WHERE work_order = ?1")?
                    .query_row([cx.aggregate().to_string()], |r| Ok((r.get(0)?, r.get(1)?)))
                    .optional()?;
                let Some((ncr, origin)) = found else { return Ok(()) };
                let Some(order) =
                    origin.parse::<AggregateId>().ok().map(|id| facts::order(cx.tx, id)).transpose()?.flatten()
                else {
                    return Ok(());
                };
                let send = Send {
                    trigger: cx.id(),
                    step: "return",
                    site: &order.site,
                    command: CommandType::WorkOrderReturnNonconformance,
                    aggregate: order.id,
                    expected_version: None,
                    occurred_at: None,
                    payload: json!({"ncr_id": ncr, "rework_order_id": cx.aggregate()}),
                };
                cx.send(NAME, &send)
            }
            _ => Ok(()),
        }
    }

    fn ended(&self, e: &Ended<'_>) -> rusqlite::Result<bool> {
        if let Some(row) = e.row.filter(|r| e.refused.is_none() && r.command == CommandType::WorkOrderCreate.as_str()) {
            let origin: Option<String> =
                e.tx.prepare_cached("SELECT origin FROM rework WHERE work_order = ?1")?
                    .query_row([&row.aggregate], |r| r.get(0))
                    .optional()?;
            if let Some(origin) = origin {
                children::link(e, NAME, row, &row.aggregate, &origin, "reworks")?;
                children::link(e, NAME, row, &origin, &row.aggregate, "reworks")?;
            }
        }
        Ok(matches!(e.refused, None | Some(ErrorCode::AlreadyExists)))
    }
}

/// The named operations, or all of them; what comes before an operation must be one of them.
fn steps(routing: &Value, named: &[u16]) -> Value {
    let all = routing.as_array().cloned().unwrap_or_default();
    let kept = |op: &Value| named.is_empty() || op.as_u64().is_some_and(|n| named.iter().any(|o| u64::from(*o) == n));
    let steps = all.into_iter().filter(|s| kept(&s["op"])).map(|mut s| {
        if let Some(before) = s["predecessors"].as_array_mut() {
            before.retain(|p| kept(p));
        }
        s
    });
    Value::Array(steps.collect())
}
