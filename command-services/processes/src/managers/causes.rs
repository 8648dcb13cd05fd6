//! PM-3 for tickets: a diagnosis that finds the cause in production is tied to the order that made the
//! unit, becomes a nonconformance of the order that replaces it, and, when the same lot fails again and
//! again, a recall is proposed.

use std::fmt::Write as _;

use mw_contract::ids::unit_id;
use mw_contract::reference::catalogues;
use mw_contract::{AggregateId, AggregateKind, CommandType, Context, ErrorCode, Event};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;
use uuid::Uuid;

use super::alarms::entry;
use super::replacement::{orders_of, ticket_order};
use crate::manager::{Cx, Ended, Manager, Send, Wish};
use crate::tickets::{self, Ticket};
use crate::{facts, outbox};

/// The manager.
pub struct Causes;

const NAME: &str = "field-causes";
/// So many tickets of one cause and lot …
const MANY: usize = 3;
/// … in so long propose a recall.
const WITHIN: i64 = 30 * 24 * 3_600_000;

const TABLES: &str = "
CREATE TABLE finding (
    event TEXT PRIMARY KEY, ticket TEXT NOT NULL, cause TEXT NOT NULL, lot TEXT, at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX finding_ticket ON finding (ticket);
CREATE INDEX finding_lot ON finding (lot, cause, at);
CREATE TABLE cause_link (work_order TEXT NOT NULL, ticket TEXT NOT NULL, PRIMARY KEY (work_order, ticket)) STRICT, WITHOUT ROWID;
CREATE TABLE proposal (lot TEXT NOT NULL, cause TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (lot, cause)) STRICT, WITHOUT ROWID;
";

/// The order that made the unit is where the cause lies; it may be closed long since.
fn link(cx: &Cx<'_>, t: &Ticket, order: AggregateId) -> rusqlite::Result<()> {
    let new = cx
        .tx
        .prepare_cached("INSERT OR IGNORE INTO cause_link VALUES (?1, ?2)")?
        .execute([order.to_string(), t.id.to_string()])?;
    if new == 0 {
        return Ok(());
    }
    let site = facts::order(cx.tx, order)?.map_or_else(|| t.site.clone(), |o| o.site);
    let send = Send {
        trigger: cx.id(),
        step: "link",
        site: &site,
        command: CommandType::WorkOrderLink,
        aggregate: order,
        expected_version: None,
        occurred_at: None,
        payload: json!({"kind": "ticket", "id": t.id, "relation": "causes"}),
    };
    cx.send(NAME, &send)
}

/// The findings of a ticket become nonconformances of an order that was made for it, as soon as that has
/// made something that can be nonconforming.
fn decide(tx: &Connection, ticket: AggregateId) -> rusqlite::Result<()> {
    let Some(t) = tickets::ticket(tx, ticket)? else { return Ok(()) };
    let mut q = tx.prepare_cached("SELECT event, cause, lot FROM finding WHERE ticket = ?1 ORDER BY event")?;
    let findings = q
        .query_map([ticket.to_string()], |r| {
            Ok((r.get::<_, String>(0)?, r.get::<_, String>(1)?, r.get::<_, Option<String>>(2)?))
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    if findings.is_empty() {
        return Ok(());
    }
    let mut made = None;
    for id in orders_of(tx, ticket)? {
        if let Some(o) = ticket_order(tx, id)?.filter(|o| o.produced && made.is_none()) {
            made = Some((id, o.site));
        }
    }
    let Some((order, site)) = made else { return outbox::want(tx, NAME, &ticket.to_string(), &[]) };
    let mut wishes = Vec::new();
    for (event, cause, lot) in findings {
        let Ok(trigger) = event.parse::<Uuid>() else { continue };
        let known = entry(tx, catalogues::DEFECT, &cause)?.is_some();
        let payload = json!({
            "ncr_id": outbox::id(NAME, trigger, "ncr:id"),
            "qty": "1",
            "lot": lot,
            "defect_code": if known { cause.as_str() } else { "other" },
            // Severity 1 would stop the order that the customer waits for.
            "severity": t.severity.unwrap_or(3).max(2),
            "description": format!("Ticket {} found cause {cause} in production.", t.number),
            "detected_at_stage": "customer",
            "contain": false,
        });
        wishes.push(Wish {
            trigger,
            step: "ncr".into(),
            site: site.clone(),
            command: CommandType::WorkOrderRaiseNonconformance,
            aggregate: order,
            expected_version: None,
            payload,
        });
    }
    outbox::want(tx, NAME, &ticket.to_string(), &wishes)
}

/// Proposes a recall, once in 30 days: the command is refused with its reason until a quality inspector
/// sends it, and so stands in the inbox.
fn propose(cx: &Cx<'_>, t: &Ticket, unit: Option<AggregateId>, cause: &str, lot: &str) -> rusqlite::Result<()> {
    let tx = cx.tx;
    let since = cx.at().plus_millis(-WITHIN).millis();
    let mut q = tx.prepare_cached(
        "SELECT DISTINCT t.number FROM finding f JOIN ticket t ON t.id = f.ticket
         WHERE f.lot = ?1 AND f.cause = ?2 AND f.at > ?3 ORDER BY t.number",
    )?;
    let numbers = q.query_map(params![lot, cause, since], |r| r.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    let proposed: Option<i64> = tx
        .prepare_cached("SELECT at FROM proposal WHERE lot = ?1 AND cause = ?2")?
        .query_row([lot, cause], |r| r.get(0))
        .optional()?;
    if numbers.len() < MANY || proposed.is_some_and(|at| at > since) {
        return Ok(());
    }
    tx.prepare_cached("INSERT OR REPLACE INTO proposal VALUES (?1, ?2, ?3)")?.execute(params![
        lot,
        cause,
        cx.at().millis()
    ])?;
    let mut text = format!("{} tickets in 30 days name cause {cause} in lot {lot}:", numbers.len());
    for n in numbers.iter().rev().take(20).rev() {
        let _ = write!(text, " {n}");
    }
    outbox::push(tx, NAME, &t.comment(NAME, cx.id(), "recall-proposed", &text).send())?;
    let Some(unit) = unit else { return Ok(()) };
    let lot: String = lot.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let campaign: String = format!("lot-{lot}").chars().take(40).collect();
    let send = Send {
        trigger: cx.id(),
        step: "recall",
        site: &t.site,
        command: CommandType::UnitRecall,
        aggregate: unit,
        expected_version: None,
        occurred_at: None,
        payload: json!({"campaign": campaign, "reason": "other", "note": text}),
    };
    cx.send(NAME, &send)
}

impl Manager for Causes {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static str {
        TABLES
    }

    fn contexts(&self) -> &'static [Context] {
        &[Context::Production, Context::AfterService]
    }

    fn on(&self, cx: &Cx<'_>, event: &Event) -> rusqlite::Result<()> {
        let tx = cx.tx;
        match event {
            Event::DiagnosisRecorded(e) if e.root_cause_in_production => {
                let Some(t) = tickets::ticket(tx, cx.aggregate())? else { return Ok(()) };
                let lot = e.lot.as_ref().map(|l| l.as_str());
                tx.prepare_cached("INSERT OR IGNORE INTO finding VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
                    cx.id().to_string(),
                    t.id.to_string(),
                    e.cause.as_str(),
                    lot,
                    cx.at().millis()
                ])?;
                if let Some(order) = e.work_order_id {
                    link(cx, &t, order)?;
                }
                decide(tx, t.id)?;
                let unit = e.product_id.as_ref().zip(e.serial.as_ref()).map(|(p, s)| unit_id(p, s));
                lot.map_or(Ok(()), |lot| propose(cx, &t, unit, e.cause.as_str(), lot))
            }
            // What an order made for a ticket can be nonconforming now.
            Event::OperationQuantityReported(_) | Event::WorkOrderCreated(_) => {
                let ticket: Option<String> = tx
                    .prepare_cached("SELECT ticket FROM replacement WHERE work_order = ?1 LIMIT 1")?
                    .query_row([cx.aggregate().to_string()], |r| r.get(0))
                    .optional()?;
                ticket.and_then(|t| t.parse().ok()).map_or(Ok(()), |t| decide(tx, t))
            }
            Event::ReplacementOrderRequested(_) if cx.event.event.stream.kind == AggregateKind::Ticket => {
                decide(tx, cx.aggregate())
            }
            _ => Ok(()),
        }
    }

    fn ended(&self, e: &Ended<'_>) -> rusqlite::Result<bool> {
        // A recall is proposed by being refused.
        let proposed = e.commit.head.command_type.as_ref() == CommandType::UnitRecall.as_str();
        Ok(matches!(e.refused, None | Some(ErrorCode::AlreadyExists))
            || (proposed && e.refused == Some(ErrorCode::GuardFailed)))
    }
}
