//! One work order with everything that belongs to it (RM-04).

use mw_contract::{AggregateId, Instant, OperationState, PauseCause, Role, Seconds, SessionKind, WorkOrderState};
use mw_policy::Scope;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};

use super::{seq_of, shown};
use crate::TextOpener;
use crate::order::{Operation, Order};

/// Does the scope hold this order?
pub fn is_seen(conn: &Connection, scope: &Scope, id: AggregateId) -> rusqlite::Result<bool> {
    Ok(seq_of(conn, scope, id)?.is_some())
}

/// The document, and the version for its `ETag`. `None` when the scope does not hold it.
pub fn detail(
    conn: &Connection,
    scope: &Scope,
    id: AggregateId,
    opener: &dyn TextOpener,
) -> rusqlite::Result<Option<(u64, Value)>> {
    let Some(seq) = seq_of(conn, scope, id)? else { return Ok(None) };
    let doc: Option<String> = conn
        .prepare_cached("SELECT doc FROM work_order_doc WHERE seq = ?1")?
        .query_row([seq], |r| r.get(0))
        .optional()?;
    let Some(doc) = doc else { return Ok(None) };
    let order: Order = serde_json::from_str(&doc)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(e)))?;
    let h = &order.header;
    let sessions = sessions(conn, seq)?;
    let operations: Vec<Value> = order.operations.iter().map(|o| operation(&order, o, &sessions)).collect();
    let mut document = json!({
        "id": order.id, "work_order_id": order.id, "version": order.version, "number": h.number,
        "state": h.state, "site": h.site, "order_type": h.order_type, "product": h.product, "rev": h.rev,
        "tracking": h.tracking, "planned_qty": h.planned_qty, "uom": h.uom, "good": h.good, "scrap": h.scrap,
        "rework_open": h.rework_open, "remaining": order.remaining(), "priority": h.priority, "due_at": h.due_at,
        "line": h.line, "planned_start": h.planned_start, "planned_end": h.planned_end,
        "actual_start": h.actual_start, "actual_end": h.actual_end, "hold": h.hold, "reason": h.reason,
    });
    let rest = json!({
        "short_closed": h.short_closed, "over_tolerance_pct": h.over_tolerance_pct,
        "under_tolerance_pct": h.under_tolerance_pct, "replace_scrap": h.replace_scrap,
        "sales_order_ref": h.sales_order_ref, "customer": h.customer, "bom_ref": h.bom_ref,
        "routing_ref": h.routing_ref, "origin": {"kind": h.origin_kind, "id": h.origin_id},
        "readiness": readiness(&order), "created_at": order.created_at, "updated_at": order.updated_at,
        "operations": operations,
        "materials": materials(&order), "shortages": order.shortages,
        "units": units(conn, seq)?, "notes": notes(conn, seq, opener)?,
        "parent_work_order_id": h.parent_work_order_id, "links": order.links, "lots": order.lots, "cycle": order.cycle,
        // Recorded by commands that are not there yet: nothing can have been.
        "inspections": [], "ncrs": [], "downtime": [],
        "totals": totals(&order),
    });
    if let (Value::Object(all), Value::Object(rest)) = (&mut document, rest) {
        all.extend(rest);
    }
    Ok(Some((order.version.0, document)))
}

fn readiness(order: &Order) -> Value {
    match order.readiness() {
        None => Value::Null,
        Some(true) => json!("ready"),
        Some(false) => json!("waiting"),
    }
}

struct Session {
    op: u16,
    shown: Value,
}

fn sessions(conn: &Connection, seq: i64) -> rusqlite::Result<Vec<Session>> {
    let mut st = conn.prepare_cached(
        "SELECT op, session_id, operator, cell, kind, started_at, ended_at, cause, reason FROM session
         WHERE seq = ?1 ORDER BY position",
    )?;
    let at = |ms: Option<i64>| ms.map(Instant::clamped);
    st.query_map([seq], |r| {
        let id = uuid::Uuid::from_bytes(r.get(1)?);
        Ok(Session {
            op: r.get(0)?,
            shown: json!({
                "session_id": id, "operator": r.get::<_, String>(2)?, "cell": r.get::<_, String>(3)?,
                "kind": SessionKind::from_number(r.get(4)?), "started_at": at(r.get(5)?), "ended_at": at(r.get(6)?),
                "cause": r.get::<_, Option<u8>>(7)?.and_then(PauseCause::from_number),
                "reason": r.get::<_, Option<String>>(8)?,
            }),
        })
    })?
    .collect()
}

fn operation(order: &Order, o: &Operation, sessions: &[Session]) -> Value {
    // `ready` follows from the others, so it is no stored state.
    let live = matches!(order.header.state, WorkOrderState::Released | WorkOrderState::InProgress);
    let state = match o.state {
        OperationState::Pending if live && order.is_ready(o) => OperationState::Ready,
        s => s,
    };
    let s = &o.step;
    let sessions: Vec<&Value> = sessions.iter().filter(|x| x.op == s.op).map(|x| &x.shown).collect();
    let time = |pick: fn(&(Seconds, Seconds, Seconds)) -> Seconds| o.times.as_ref().map(pick);
    json!({
        "op": s.op, "name": s.name, "state": state, "cell": s.cell_id, "cell_class": s.cell_class,
        "setup_time": s.setup_time, "run_time_per_unit": s.run_time_per_unit,
        "predecessors": order.predecessors(o), "overlap": s.overlap, "transfer_batch_qty": s.transfer_batch_qty,
        "inspection": s.inspection, "planned_start": o.planned_start, "planned_end": o.planned_end,
        "good": o.good, "scrap": o.scrap, "rework_open": o.rework_open, "started_at": o.started_at,
        "ended_at": o.ended_at, "assigned": o.assigned, "crew": o.crew, "actual_run": time(|t| t.0), "actual_setup": time(|t| t.1),
        "actual_labour": time(|t| t.2), "sessions": sessions,
    })
}

fn materials(order: &Order) -> Vec<Value> {
    let line = |b: &mw_contract::event::parts::BomLineV1| {
        let total = order.materials.iter().find(|m| m.line_no == b.line_no);
        let mut v = serde_json::to_value(b).unwrap_or_default();
        v["issued"] = json!(total.map(|m| m.issued));
        v["returned"] = json!(total.map(|m| m.returned));
        v["consumed"] = json!(total.map(|m| m.consumed));
        v
    };
    order.bom.iter().map(line).collect()
}

fn units(conn: &Connection, seq: i64) -> rusqlite::Result<Vec<Value>> {
    let mut st =
        conn.prepare_cached("SELECT serial, registered, voided FROM unit WHERE seq = ?1 ORDER BY position, place")?;
    st.query_map([seq], |r| {
        let registered: Option<String> = r.get(1)?;
        let mut v: Value = registered.and_then(|t| serde_json::from_str(&t).ok()).unwrap_or_else(|| json!({}));
        v["registered"] = json!(v.get("unit_id").is_some() || v.get("result").is_some());
        v["voided"] = json!(r.get::<_, bool>(2)?);
        v["serial"] = json!(r.get::<_, String>(0)?);
        Ok(v)
    })?
    .collect()
}

fn notes(conn: &Connection, seq: i64, opener: &dyn TextOpener) -> rusqlite::Result<Vec<Value>> {
    let mut st = conn.prepare_cached(
        "SELECT note_id, about, account, role, at, key_id, bytes, attachments FROM note WHERE seq = ?1 ORDER BY position",
    )?;
    st.query_map(params![seq], |r| {
        let id: Option<[u8; 16]> = r.get(0)?;
        let attachments: String = r.get(7)?;
        Ok(json!({
            "note_id": id.map(uuid::Uuid::from_bytes), "about": r.get::<_, String>(1)?,
            "author": r.get::<_, String>(2)?, "role": r.get::<_, Option<u8>>(3)?.and_then(Role::from_number),
            "at": Instant::clamped(r.get(4)?), "text": shown(opener, Some(r.get(5)?), Some(r.get(6)?)),
            "attachments": serde_json::from_str::<Value>(&attachments).unwrap_or_default(),
        }))
    })?
    .collect()
}

/// Planned beside actual, in seconds.
fn totals(order: &Order) -> Value {
    let qty = order.header.planned_qty.decimal();
    let planned_setup: u64 = order.operations.iter().map(|o| o.step.setup_time.0).sum();
    let planned_run: rust_decimal::Decimal =
        order.operations.iter().map(|o| o.step.run_time_per_unit.decimal().checked_mul(qty).unwrap_or_default()).sum();
    let sum = |pick: fn(&(Seconds, Seconds, Seconds)) -> Seconds| -> u64 {
        order.operations.iter().filter_map(|o| o.times.as_ref()).map(|t| pick(t).0).sum()
    };
    json!({
        "planned_setup": planned_setup, "planned_run": planned_run.normalize().to_string(),
        "actual_run": sum(|t| t.0), "actual_setup": sum(|t| t.1), "actual_labour": sum(|t| t.2),
    })
}
