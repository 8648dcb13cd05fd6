//! What several managers know of orders, sessions and reference data. Kept before a manager sees
//! the event.

use mw_contract::reference::{Document, catalogues};
use mw_contract::{AggregateId, AggregateKind, Event, EventType, Instant, Qty, ReferenceKind, SiteId};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;

use crate::manager::Cx;

/// The tables.
pub const TABLES: &str = "
CREATE TABLE work_order (
    id TEXT PRIMARY KEY,
    site TEXT NOT NULL,
    version INTEGER NOT NULL,
    state TEXT NOT NULL,
    completed_at INTEGER,
    completed_by TEXT,
    document TEXT,
    created BLOB,
    schema INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE session (
    id TEXT PRIMARY KEY,
    work_order TEXT NOT NULL,
    op INTEGER NOT NULL,
    cell TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    open INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE document (kind TEXT NOT NULL, code TEXT NOT NULL, text TEXT NOT NULL, PRIMARY KEY (kind, code)) STRICT;
";

/// An order: `document` is the data of its creation, with what was changed since.
#[derive(Clone, Debug)]
pub struct Order {
    /// Its id.
    pub id: AggregateId,
    /// Its site.
    pub site: SiteId,
    /// The version of its stream.
    pub version: u64,
    /// Its state: `draft`, `active` (released and not ended), `completed`, `closed`, `cancelled`.
    pub state: String,
    /// When it was completed.
    pub completed_at: Option<Instant>,
    /// The event by which it was completed.
    pub completed_by: Option<String>,
    /// Product, quantity, dates, BOM and routing.
    pub document: Value,
}

/// A work session.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its order.
    pub order: AggregateId,
    /// Its operation.
    pub op: u16,
    /// Its cell.
    pub cell: String,
    /// When it began.
    pub started_at: Instant,
    /// Does it last?
    pub open: bool,
}

/// The order of that id.
pub fn order(tx: &Connection, id: AggregateId) -> rusqlite::Result<Option<Order>> {
    let read = |r: &rusqlite::Row<'_>| {
        let document = match r.get::<_, Option<String>>(5)? {
            Some(text) => serde_json::from_str(&text).ok(),
            None => created(r.get(7)?, r.get_ref(6)?.as_blob()?),
        };
        Ok((r.get::<_, String>(0)?, r.get::<_, i64>(1)?, r.get(2)?, r.get::<_, Option<i64>>(3)?, r.get(4)?, document))
    };
    let found = tx
        .prepare_cached(
            "SELECT site, version, state, completed_at, completed_by, document, created, schema FROM work_order
             WHERE id = ?1",
        )?
        .query_row([id.to_string()], read)
        .optional()?;
    Ok(found.and_then(|(site, version, state, completed_at, completed_by, document)| {
        Some(Order {
            id,
            site: SiteId::new(&site).ok()?,
            version: version as u64,
            state,
            completed_at: completed_at.map(Instant::clamped),
            completed_by,
            document: document?,
        })
    }))
}

/// The document of an order that nothing but its creation is known of.
fn created(schema: u16, payload: &[u8]) -> Option<Value> {
    let mut document = Event::decode(EventType::WorkOrderCreated.as_str(), schema, payload).ok()?.data();
    // Sealed text is not copied, and what is not there needs no place.
    document.as_object_mut()?.retain(|name, v| name != "note" && !v.is_null());
    Some(document)
}

/// The session of that id.
pub fn session(tx: &Connection, id: &str) -> rusqlite::Result<Option<Session>> {
    let read = |r: &rusqlite::Row<'_>| {
        Ok((r.get::<_, String>(0)?, r.get(1)?, r.get(2)?, r.get::<_, i64>(3)?, r.get::<_, bool>(4)?))
    };
    let found = tx
        .prepare_cached("SELECT work_order, op, cell, started_at, open FROM session WHERE id = ?1")?
        .query_row([id], read)
        .optional()?;
    Ok(found.and_then(|(order, op, cell, started, open)| {
        Some(Session { order: order.parse().ok()?, op, cell, started_at: Instant::clamped(started), open })
    }))
}

/// A document in use.
pub fn document(tx: &Connection, kind: ReferenceKind, code: &str) -> rusqlite::Result<Option<Document>> {
    let text: Option<String> = tx
        .prepare_cached("SELECT text FROM document WHERE kind = ?1 AND code = ?2")?
        .query_row([kind.as_str(), code], |r| r.get(0))
        .optional()?;
    Ok(text.and_then(|t| Document::stored(kind, &t)))
}

/// All documents of a kind in use, by code.
pub fn documents(tx: &Connection, kind: ReferenceKind) -> rusqlite::Result<Vec<Document>> {
    let mut q = tx.prepare_cached("SELECT text FROM document WHERE kind = ?1 ORDER BY code")?;
    let texts = q.query_map([kind.as_str()], |r| r.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(texts.iter().filter_map(|t| Document::stored(kind, t)).collect())
}

/// Does this stop reason count as downtime?
pub fn is_downtime(tx: &Connection, reason: &str) -> rusqlite::Result<bool> {
    Ok(match document(tx, ReferenceKind::Catalogue, catalogues::STOP)? {
        Some(Document::Catalogue(c)) => {
            c.entries.iter().any(|e| e.code.as_str() == reason && e.is_downtime == Some(true))
        }
        _ => false,
    })
}

impl Order {
    /// How many pieces it makes.
    pub fn planned(&self) -> Qty {
        self.document["planned_qty"].as_str().and_then(|q| q.parse().ok()).unwrap_or(Qty::ZERO)
    }
}

fn state(tx: &Connection, cx: &Cx<'_>, state: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE work_order SET state = ?2, completed_at = ?3, completed_by = ?4 WHERE id = ?1")?
        .execute(params![
            cx.aggregate().to_string(),
            state,
            (state == "completed").then(|| cx.at().millis()),
            (state == "completed").then(|| cx.id().to_string())
        ])?;
    Ok(())
}

fn edit(tx: &Connection, id: AggregateId, f: impl FnOnce(&mut Value)) -> rusqlite::Result<()> {
    if let Some(mut o) = order(tx, id)? {
        f(&mut o.document);
        tx.prepare_cached("UPDATE work_order SET document = ?2, created = NULL WHERE id = ?1")?
            .execute([id.to_string(), o.document.to_string()])?;
    }
    Ok(())
}

fn begun(cx: &Cx<'_>, id: &str, op: u16, cell: &str) -> rusqlite::Result<()> {
    cx.tx.prepare_cached("INSERT OR REPLACE INTO session VALUES (?1, ?2, ?3, ?4, ?5, 1)")?.execute(params![
        id,
        cx.aggregate().to_string(),
        op,
        cell,
        cx.at().millis()
    ])?;
    Ok(())
}

/// Keeps what an event says.
pub fn on(cx: &Cx<'_>, event: &Event) -> rusqlite::Result<()> {
    let tx = cx.tx;
    // Most events say nothing that is kept.
    let data = || event.data();
    match event {
        Event::WorkOrderCreated(e) => {
            // Many drafts are made, and nothing is asked of one: it is kept as it is stored.
            let stored = &cx.event.event;
            tx.prepare_cached(
                "INSERT OR REPLACE INTO work_order VALUES (?1, ?2, 1, 'draft', NULL, NULL, NULL, ?3, ?4)",
            )?
            .execute(params![
                cx.aggregate().to_string(),
                e.site_id.as_str(),
                stored.payload,
                stored.schema
            ])?;
        }
        Event::WorkOrderAmended(e) => edit(tx, cx.aggregate(), |d| {
            for (field, change) in &e.changed {
                if field == "replace_scrap" {
                    d[field] = Value::Bool(change.new.as_deref() == Some("true"));
                } else {
                    d[field] = change.new.clone().map_or(Value::Null, Value::String);
                }
            }
            let mut data = data();
            for part in ["bom", "routing"] {
                if !data[part].is_null() {
                    d[part] = data[part].take();
                }
            }
        })?,
        Event::WorkOrderPlanned(_) => edit(tx, cx.aggregate(), |d| d["line_id"] = data()["line_id"].clone())?,
        Event::WorkOrderRescheduled(_) => edit(tx, cx.aggregate(), |d| {
            let line = data()["new"]["line_id"].take();
            if !line.is_null() {
                d["line_id"] = line;
            }
        })?,
        Event::WorkOrderQuantityChanged(_) => {
            edit(tx, cx.aggregate(), |d| d["planned_qty"] = data()["new_qty"].clone())?
        }
        Event::WorkOrderDueDateChanged(_) => edit(tx, cx.aggregate(), |d| d["due_at"] = data()["new"].clone())?,
        Event::WorkOrderPriorityChanged(_) => edit(tx, cx.aggregate(), |d| d["priority"] = data()["new"].clone())?,
        Event::WorkOrderReleased(_) => {
            let mut data = data();
            edit(tx, cx.aggregate(), |d| {
                d["bom"] = data["bom"].take();
                d["routing"] = data["routing"].take();
            })?;
            state(tx, cx, "active")?;
        }
        Event::OperationAdded(_) => edit(tx, cx.aggregate(), |d| {
            if let Some(steps) = d["routing"].as_array_mut() {
                steps.push(data()["operation"].clone());
            }
        })?,
        Event::WorkOrderReleaseRevoked(_) => state(tx, cx, "draft")?,
        Event::WorkOrderCompleted(_) => state(tx, cx, "completed")?,
        Event::WorkOrderClosed(_) => state(tx, cx, "closed")?,
        Event::WorkOrderCancelled(_) => state(tx, cx, "cancelled")?,
        Event::WorkOrderReopened(e) => {
            let to = e.to_state.as_str();
            let to = if matches!(to, "draft" | "planned") { "draft" } else { to };
            state(tx, cx, if to == "in_progress" { "active" } else { to })?;
        }
        Event::OperationStarted(e) => begun(cx, &e.session_id.to_string(), e.op, e.cell_id.as_str())?,
        Event::OperationResumed(e) => begun(cx, &e.session_id.to_string(), e.op, e.cell_id.as_str())?,
        Event::OperationPaused(e) => {
            tx.prepare_cached("UPDATE session SET open = 0 WHERE id = ?1")?.execute([e.session_id.to_string()])?;
        }
        Event::OperationSessionCorrected(e) => {
            tx.prepare_cached("UPDATE session SET started_at = ?2, open = ?3 WHERE id = ?1")?.execute(params![
                e.session_id.to_string(),
                e.new.started_at.millis(),
                e.new.ended_at.is_none()
            ])?;
        }
        Event::ReferencePut(e) => {
            tx.prepare_cached("INSERT OR REPLACE INTO document VALUES (?1, ?2, ?3)")?.execute([
                e.kind.as_str(),
                e.code.as_str(),
                &e.document.0,
            ])?;
        }
        Event::ReferenceRetired(e) => {
            tx.prepare_cached("DELETE FROM document WHERE kind = ?1 AND code = ?2")?
                .execute([e.kind.as_str(), e.code.as_str()])?;
        }
        _ => {}
    }
    if cx.event.event.stream.kind == AggregateKind::WorkOrder {
        tx.prepare_cached("UPDATE work_order SET version = ?2 WHERE id = ?1")?
            .execute(params![cx.aggregate().to_string(), cx.event.event.version.0 as i64])?;
    }
    Ok(())
}
