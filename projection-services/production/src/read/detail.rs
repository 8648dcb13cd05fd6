//! One work order with everything that belongs to it (RM-04).

use std::collections::BTreeMap;

use mw_contract::{AggregateId, Instant, OperationState, PauseCause, Qty, Role, Seconds, SessionKind, WorkOrderState};
use mw_policy::Scope;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};

use super::{seq_of, shown};
use crate::TextOpener;
use crate::operation::Operation;
use crate::order::Order;

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
        "materials": materials(&order), "shortages": order.shortages(), "reservations": order.reservations,
        "substitutes": order.substitutes, "movements": movements(conn, seq)?, "splits": order.splits,
        "units": units(conn, seq)?, "notes": notes(conn, seq, opener)?,
        "parent_work_order_id": h.parent_work_order_id, "links": order.links, "lots": order.lots, "cycle": order.cycle,
        "open_ncr": order.open_ncrs.len(), "inspections": quality(conn, seq, "inspection", opener)?,
        "ncrs": quality(conn, seq, "ncr", opener)?, "downtime": super::plant::downtimes_of(conn, id)?,
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

/// The lines of the bill with what they need, have and used, in the order of the bill.
fn materials(order: &Order) -> Vec<Value> {
    let missing = order.shortages();
    let line = |b: &mw_contract::event::parts::BomLineV1| {
        let m = order.material_of(b.line_no);
        let short = missing.iter().find(|s| s.line_no == b.line_no).map_or(Qty::ZERO, |s| s.missing_qty);
        let mut v = serde_json::to_value(b).unwrap_or_default();
        v["required"] = json!(order.required(b));
        v["reserved"] = json!(order.reserved(b.line_no));
        v["issued"] = json!(m.issued);
        v["returned"] = json!(m.returned);
        v["consumed"] = json!(m.consumed);
        v["backflushed"] = json!(m.backflushed);
        v["missing"] = json!(short);
        v
    };
    order.bom.iter().map(line).collect()
}

/// Each movement of material, as its event says it; backflush follows from the reports and is in
/// the sums alone.
pub(super) fn movements(conn: &Connection, seq: i64) -> rusqlite::Result<Vec<Value>> {
    let mut st =
        conn.prepare_cached("SELECT what, account, at, data FROM movement WHERE seq = ?1 ORDER BY position")?;
    st.query_map([seq], |r| {
        let data: String = r.get(3)?;
        let mut v: Value = serde_json::from_str(&data).unwrap_or_default();
        v["what"] = json!(r.get::<_, String>(0)?);
        v["by"] = json!(r.get::<_, String>(1)?);
        v["at"] = json!(Instant::clamped(r.get(2)?));
        // Notes are shown with the notes.
        if let Value::Object(map) = &mut v {
            map.remove("note");
        }
        Ok(v)
    })?
    .collect()
}

/// Inspections or nonconformances, with their texts opened.
pub(super) fn quality(
    conn: &Connection,
    seq: i64,
    kind: &str,
    opener: &dyn TextOpener,
) -> rusqlite::Result<Vec<Value>> {
    let mut texts = conn.prepare_cached(
        "SELECT about, key_id, bytes FROM note WHERE seq = ?1 AND item_id = ?2 ORDER BY position DESC",
    )?;
    let mut st = conn.prepare_cached(
        "SELECT item_id, doc, state, disposition, cause, owner, closed_at FROM quality
         WHERE seq = ?1 AND kind = ?2 ORDER BY position",
    )?;
    st.query_map(params![seq, kind], |r| {
        let (id, doc): ([u8; 16], String) = (r.get(0)?, r.get(1)?);
        let mut v: Value = serde_json::from_str(&doc).unwrap_or_default();
        v["state"] = json!(r.get::<_, String>(2)?);
        v["owner"] = json!(r.get::<_, String>(5)?);
        if kind == "ncr" {
            v["disposition"] = json!(r.get::<_, Option<String>>(3)?);
            v["cause"] = json!(r.get::<_, Option<String>>(4)?);
            v["closed_at"] = json!(r.get::<_, Option<i64>>(6)?.map(Instant::clamped));
        }
        let opened = texts.query_map(params![seq, id], |t| {
            Ok((t.get::<_, String>(0)?, shown(opener, Some(t.get(1)?), Some(t.get(2)?))))
        })?;
        for row in opened {
            let (about, text) = row?;
            let field = match about.as_str() {
                "NonconformanceRaised" => "description",
                "NonconformanceClosed" => "verification",
                _ => "note",
            };
            v[field] = text;
        }
        Ok(v)
    })?
    .collect()
}

/// Units with what is in them now. What was built in first, and what was changed since, stays
/// visible in `amendments`.
fn units(conn: &Connection, seq: i64) -> rusqlite::Result<Vec<Value>> {
    let mut amended: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut st = conn.prepare_cached(
        "SELECT serial, at, account, reason, removed, added FROM genealogy WHERE seq = ?1 ORDER BY position",
    )?;
    let parsed = |t: String| serde_json::from_str::<Value>(&t).unwrap_or_else(|_| json!([]));
    let rows = st.query_map([seq], |r| {
        let amendment = json!({
            "at": Instant::clamped(r.get(1)?), "by": r.get::<_, String>(2)?, "reason": r.get::<_, String>(3)?,
            "removed": parsed(r.get(4)?), "added": parsed(r.get(5)?),
        });
        Ok((r.get::<_, String>(0)?, amendment))
    })?;
    for row in rows {
        let (serial, amendment) = row?;
        amended.entry(serial).or_default().push(amendment);
    }
    let mut st = conn.prepare_cached(
        "SELECT serial, registered, voided, moved_to FROM unit WHERE seq = ?1 ORDER BY position, place",
    )?;
    st.query_map([seq], |r| {
        let (serial, registered): (String, Option<String>) = (r.get(0)?, r.get(1)?);
        let mut v: Value = registered.and_then(|t| serde_json::from_str(&t).ok()).unwrap_or_else(|| json!({}));
        v["registered"] = json!(v.get("unit_id").is_some() || v.get("result").is_some());
        v["voided"] = json!(r.get::<_, bool>(2)?);
        v["moved_to"] = json!(r.get::<_, Option<[u8; 16]>>(3)?.map(uuid::Uuid::from_bytes));
        if let Some(all) = amended.remove(&serial) {
            let mut now: Vec<Value> = v["components"].as_array().cloned().unwrap_or_default();
            for a in &all {
                for gone in a["removed"].as_array().into_iter().flatten() {
                    let same = |c: &Value| ["item_id", "serial", "lot"].iter().all(|k| c[*k] == gone[*k]);
                    if let Some(at) = now.iter().position(same) {
                        now.remove(at);
                    }
                }
                now.extend(a["added"].as_array().into_iter().flatten().cloned());
            }
            v["components"] = Value::Array(now);
            v["amendments"] = Value::Array(all);
        }
        v["serial"] = json!(serial);
        Ok(v)
    })?
    .collect()
}

fn notes(conn: &Connection, seq: i64, opener: &dyn TextOpener) -> rusqlite::Result<Vec<Value>> {
    let mut st = conn.prepare_cached(
        "SELECT note_id, about, account, role, at, key_id, bytes, attachments, item_id FROM note WHERE seq = ?1 ORDER BY position",
    )?;
    st.query_map(params![seq], |r| {
        let id: Option<[u8; 16]> = r.get(0)?;
        let attachments: String = r.get(7)?;
        Ok(json!({
            "note_id": id.map(uuid::Uuid::from_bytes), "about": r.get::<_, String>(1)?,
            "author": r.get::<_, String>(2)?, "role": r.get::<_, Option<u8>>(3)?.and_then(Role::from_number),
            "at": Instant::clamped(r.get(4)?), "text": shown(opener, Some(r.get(5)?), Some(r.get(6)?)),
            "attachments": serde_json::from_str::<Value>(&attachments).unwrap_or_default(),
            "item_id": r.get::<_, Option<[u8; 16]>>(8)?.map(uuid::Uuid::from_bytes),
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
        "planned_qty": order.header.planned_qty, "good": order.header.good, "scrap": order.header.scrap,
        "rework_open": order.header.rework_open,
        "planned_setup": planned_setup, "planned_run": planned_run.normalize().to_string(),
        "actual_run": sum(|t| t.0), "actual_setup": sum(|t| t.1), "actual_labour": sum(|t| t.2),
    })
}
