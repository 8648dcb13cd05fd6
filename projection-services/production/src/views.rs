//! The projections. Owns which row changes with which event; must give the same rows whatever
//! the batches are.

use std::num::NonZeroUsize;

use lru::LruCache;
use mw_contract::{AggregateId, AggregateKind, Context, Event, Position, Sealed, StoredCommit, Version};
use mw_projection::{ApplyError, Projection};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use crate::columns::{INDEXES, STORED};
use crate::order::{Meta, Order};
use crate::trail::{self, Change};

/// Orders kept folded in memory; about 4 KiB each.
const CACHED_ORDERS: usize = 4096;

/// An order in memory, and its row as it stands in the file.
struct Cached {
    order: Order,
    /// `None` while the file has no row of it.
    row: Option<Vec<Value>>,
    dirty: bool,
}

/// Everything that production's queries read.
pub struct ProductionViews {
    orders: LruCache<AggregateId, Cached>,
    dirty: Vec<AggregateId>,
}

impl ProductionViews {
    /// The name of the file.
    pub const NAME: &'static str = "production";
    /// Raised with every change of what is written.
    pub const SCHEMA: u32 = 3;

    /// With an empty cache.
    pub fn new() -> Self {
        ProductionViews {
            orders: LruCache::new(NonZeroUsize::new(CACHED_ORDERS).unwrap_or(NonZeroUsize::MIN)),
            dirty: Vec::new(),
        }
    }
}

impl Default for ProductionViews {
    fn default() -> Self {
        ProductionViews::new()
    }
}

impl Projection for ProductionViews {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn schema_version(&self) -> u32 {
        Self::SCHEMA
    }

    fn create_tables(&self, conn: &Connection) -> rusqlite::Result<()> {
        trail::create_tables(conn)?;
        let columns: Vec<String> = STORED.iter().map(|c| format!("{} {}", c.name, c.decl)).collect();
        conn.execute_batch(&format!(
            "CREATE TABLE work_order (seq INTEGER PRIMARY KEY, {}) STRICT;
             CREATE UNIQUE INDEX by_id ON work_order (id);
             CREATE TABLE work_order_doc (seq INTEGER PRIMARY KEY, doc TEXT NOT NULL) STRICT;
             CREATE TABLE session (
                seq INTEGER NOT NULL, position INTEGER NOT NULL, session_id BLOB NOT NULL, op INTEGER NOT NULL,
                operator TEXT NOT NULL, cell TEXT NOT NULL, kind INTEGER NOT NULL, started_at INTEGER NOT NULL,
                ended_at INTEGER, cause INTEGER, reason TEXT, PRIMARY KEY (seq, session_id)
             ) STRICT, WITHOUT ROWID;
             CREATE TABLE unit (
                seq INTEGER NOT NULL, serial TEXT NOT NULL, position INTEGER NOT NULL, place INTEGER NOT NULL,
                registered TEXT, voided INTEGER NOT NULL, PRIMARY KEY (seq, serial)
             ) STRICT, WITHOUT ROWID;
             CREATE TABLE note (
                seq INTEGER NOT NULL, position INTEGER NOT NULL, note_id BLOB, about TEXT NOT NULL,
                account TEXT NOT NULL, role INTEGER, at INTEGER NOT NULL, key_id BLOB NOT NULL, bytes BLOB NOT NULL,
                attachments TEXT NOT NULL, PRIMARY KEY (seq, position)
             ) STRICT, WITHOUT ROWID;
             CREATE TABLE reference (
                kind INTEGER NOT NULL, code TEXT NOT NULL, retired INTEGER NOT NULL, PRIMARY KEY (kind, code)
             ) STRICT, WITHOUT ROWID;",
            columns.join(", ")
        ))
    }

    fn create_indexes(&self, conn: &Connection) -> rusqlite::Result<()> {
        trail::create_indexes(conn)?;
        for (name, columns) in INDEXES {
            conn.execute_batch(&format!("CREATE INDEX {name} ON work_order ({columns})"))?;
        }
        conn.execute_batch(
            "CREATE INDEX by_queue ON work_order (next_cell, priority, planned_start) WHERE ready = 1;
             CREATE INDEX unit_serial ON unit (serial);",
        )
    }

    fn apply(&mut self, tx: &Connection, commit: &StoredCommit, events: &[Event]) -> Result<(), ApplyError> {
        trail::outcome(tx, Context::Production, commit)?;
        for (idx, (stored, event)) in commit.events.iter().zip(events).enumerate() {
            let changes = match stored.event.stream.kind {
                AggregateKind::WorkOrder => {
                    let meta = Meta {
                        position: stored.position,
                        version: stored.event.version,
                        occurred_at: stored.event.occurred_at,
                        recorded_at: commit.head.recorded_at,
                    };
                    self.work_order(tx, commit, stored.event.stream.id, event, meta)?
                }
                _ => crate::words::changes(event),
            };
            reference(tx, event)?;
            trail::event(tx, commit, idx, stored, event, &changes)?;
        }
        Ok(())
    }

    fn finish(&mut self, tx: &Connection) -> Result<(), ApplyError> {
        for id in std::mem::take(&mut self.dirty) {
            if let Some(c) = self.orders.peek_mut(&id) {
                write(tx, c)?;
            }
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.orders.clear();
        self.dirty.clear();
    }
}

impl ProductionViews {
    fn work_order(
        &mut self,
        tx: &Connection,
        commit: &StoredCommit,
        id: AggregateId,
        event: &Event,
        meta: Meta,
    ) -> Result<Vec<Change>, ApplyError> {
        if let Event::WorkOrderCreated(e) = event {
            let order = Order::create(id, e, meta);
            note(tx, commit, order.seq, event, meta)?;
            self.put(tx, id, Cached { order, row: None, dirty: true })?;
            self.dirty.push(id);
            return Ok(Vec::new());
        }
        if !self.orders.contains(&id) {
            let loaded = load(tx, id)?.ok_or_else(|| {
                ApplyError::Impossible(format!("{} of work-order/{id}, which was never made", event.event_type()))
            })?;
            self.put(tx, id, loaded)?;
        }
        let Some(c) = self.orders.get_mut(&id) else {
            return Err(ApplyError::Impossible(format!("work-order/{id} is lost from the cache")));
        };
        let expected = Version(c.order.version.0 + 1);
        if meta.version != expected {
            return Err(ApplyError::Impossible(format!(
                "version {} of work-order/{id} after {}",
                meta.version, c.order.version
            )));
        }
        let before = c.order.header.clone();
        c.order.apply(event, meta);
        if !std::mem::replace(&mut c.dirty, true) {
            self.dirty.push(id);
        }
        let seq = c.order.seq;
        let mut changes: Vec<Change> =
            before.changes(&c.order.header).into_iter().map(|(f, old, new)| (f.to_owned(), old, new)).collect();
        let named = crate::words::changes(event);
        if matches!(event, Event::WorkOrderAmended(_)) {
            changes = named;
        } else {
            changes.extend(named);
        }
        note(tx, commit, seq, event, meta)?;
        rows(tx, seq, event, meta)?;
        Ok(changes)
    }

    /// Takes an order into the cache. The one that has to go is written first.
    fn put(&mut self, tx: &Connection, id: AggregateId, c: Cached) -> Result<(), ApplyError> {
        if let Some((evicted, mut old)) = self.orders.push(id, c)
            && evicted != id
            && old.dirty
        {
            write(tx, &mut old)?;
            self.dirty.retain(|d| *d != evicted);
        }
        Ok(())
    }
}

fn row_of(order: &Order) -> Vec<Value> {
    STORED.iter().map(|c| (c.value)(order)).collect()
}

fn load(tx: &Connection, id: AggregateId) -> Result<Option<Cached>, ApplyError> {
    let doc: Option<String> = tx
        .prepare_cached("SELECT d.doc FROM work_order w JOIN work_order_doc d USING (seq) WHERE w.id = ?1")?
        .query_row([id.as_bytes()], |r| r.get(0))
        .optional()?;
    let Some(doc) = doc else { return Ok(None) };
    let order: Order = serde_json::from_str(&doc)
        .map_err(|e| ApplyError::Impossible(format!("the document of work-order/{id} can't be read: {e}")))?;
    Ok(Some(Cached { row: Some(row_of(&order)), order, dirty: false }))
}

/// Brings the file in step with the order. Only columns that changed are written, because every
/// written column costs its indexes.
fn write(tx: &Connection, c: &mut Cached) -> Result<(), ApplyError> {
    let order = &c.order;
    let seq = order.seq.0 as i64;
    let doc = serde_json::to_string(order)
        .map_err(|e| ApplyError::Impossible(format!("work-order/{} has no JSON: {e}", order.id)))?;
    tx.prepare_cached("INSERT OR REPLACE INTO work_order_doc VALUES (?1, ?2)")?.execute(params![seq, doc])?;
    let row = row_of(order);
    match &c.row {
        None => {
            let holders: Vec<String> = (1..=row.len() + 1).map(|n| format!("?{n}")).collect();
            let values = std::iter::once(&Value::Integer(seq)).chain(&row).cloned().collect::<Vec<_>>();
            tx.prepare_cached(&format!("INSERT INTO work_order VALUES ({})", holders.join(",")))?
                .execute(params_from_iter(values))?;
        }
        Some(old) => {
            let changed: Vec<usize> = (0..row.len()).filter(|i| old[*i] != row[*i]).collect();
            if !changed.is_empty() {
                let set: Vec<String> = changed.iter().map(|i| format!("{} = ?", STORED[*i].name)).collect();
                let values = changed.iter().map(|i| row[*i].clone()).chain([Value::Integer(seq)]);
                tx.prepare_cached(&format!("UPDATE work_order SET {} WHERE seq = ?", set.join(", ")))?
                    .execute(params_from_iter(values))?;
            }
        }
    }
    c.row = Some(row);
    c.dirty = false;
    Ok(())
}

/// Sessions and units.
fn rows(tx: &Connection, seq: Position, event: &Event, m: Meta) -> Result<(), ApplyError> {
    const START: &str = "INSERT OR REPLACE INTO session VALUES (?1,?2,?3,?4,?5,?6,?7,?8,NULL,NULL,NULL)";
    let s = seq.0 as i64;
    let p = m.position.0 as i64;
    match event {
        Event::OperationStarted(e) => {
            tx.prepare_cached(START)?.execute(params![
                s,
                p,
                e.session_id.as_bytes(),
                e.op,
                e.operator.as_str(),
                e.cell_id.as_str(),
                e.kind.number(),
                m.occurred_at.millis()
            ])?;
        }
        Event::OperationResumed(e) => {
            tx.prepare_cached(START)?.execute(params![
                s,
                p,
                e.session_id.as_bytes(),
                e.op,
                e.operator.as_str(),
                e.cell_id.as_str(),
                mw_contract::SessionKind::Run.number(),
                m.occurred_at.millis()
            ])?;
        }
        Event::OperationPaused(e) => {
            tx.prepare_cached(
                "UPDATE session SET ended_at = ?3, cause = ?4, reason = ?5 WHERE seq = ?1 AND session_id = ?2",
            )?
            .execute(params![
                s,
                e.session_id.as_bytes(),
                m.occurred_at.millis(),
                e.cause.number(),
                e.reason.as_ref().map(|r| r.as_str())
            ])?;
        }
        Event::OperationCompleted(e) => {
            // Its own session ends with it.
            tx.prepare_cached(
                "UPDATE session SET ended_at = ?3, cause = ?4 WHERE seq = ?1 AND op = ?2 AND ended_at IS NULL",
            )?
            .execute(params![
                s,
                e.op,
                m.occurred_at.millis(),
                mw_contract::PauseCause::OperationCompleted.number()
            ])?;
        }
        Event::OperationSessionCorrected(e) => {
            tx.prepare_cached("UPDATE session SET started_at = ?3, ended_at = ?4 WHERE seq = ?1 AND session_id = ?2")?
                .execute(params![
                    s,
                    e.session_id.as_bytes(),
                    e.new.started_at.millis(),
                    e.new.ended_at.map(|t| t.millis())
                ])?;
        }
        Event::SerialVoided(e) => {
            tx.prepare_cached("UPDATE unit SET voided = 1 WHERE seq = ?1 AND serial = ?2")?
                .execute(params![s, e.serial.as_str()])?;
        }
        Event::SerialsAllocated(e) => {
            let mut insert =
                tx.prepare_cached("INSERT INTO unit VALUES (?1, ?2, ?3, ?4, NULL, 0) ON CONFLICT DO NOTHING")?;
            for (place, serial) in e.serials.iter().enumerate() {
                insert.execute(params![s, serial.as_str(), p, place as i64])?;
            }
        }
        Event::UnitRegistered(e) => {
            let registered = Event::UnitRegistered(e.clone()).data().to_string();
            tx.prepare_cached(
                "INSERT INTO unit VALUES (?1, ?2, ?3, 0, ?4, 0)
                 ON CONFLICT (seq, serial) DO UPDATE SET registered = excluded.registered",
            )?
            .execute(params![s, e.serial.as_str(), p, registered])?;
        }
        _ => {}
    }
    Ok(())
}

fn note(tx: &Connection, commit: &StoredCommit, seq: Position, event: &Event, m: Meta) -> Result<(), ApplyError> {
    let Some(Sealed::Cipher { key_id, bytes }) = crate::words::note(event) else { return Ok(()) };
    let (note_id, attachments) = match event {
        Event::NoteAdded(e) => (Some(*e.note_id.as_bytes()), serde_json::to_string(&e.attachments).unwrap_or_default()),
        _ => (None, "[]".to_owned()),
    };
    tx.prepare_cached("INSERT INTO note VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)")?.execute(params![
        seq.0 as i64,
        m.position.0 as i64,
        note_id,
        event.event_type().as_str(),
        commit.head.account.as_str(),
        commit.head.role.map(|r| r.number()),
        m.occurred_at.millis(),
        key_id.as_bytes(),
        bytes,
        attachments,
    ])?;
    Ok(())
}

/// The codes that filters may name.
fn reference(tx: &Connection, event: &Event) -> Result<(), ApplyError> {
    let (kind, code, retired) = match event {
        Event::ReferencePut(e) => (e.kind, &e.code, false),
        Event::ReferenceRetired(e) => (e.kind, &e.code, true),
        _ => return Ok(()),
    };
    tx.prepare_cached("INSERT OR REPLACE INTO reference VALUES (?1, ?2, ?3)")?.execute(params![
        kind.number(),
        code.as_str(),
        retired
    ])?;
    Ok(())
}

/// What the queries about a context read that has no other read models: outcomes and the trail.
pub struct TrailViews(pub Context);

impl TrailViews {
    /// Raised with every change of what is written.
    pub const SCHEMA: u32 = 1;
}

impl Projection for TrailViews {
    fn name(&self) -> &'static str {
        self.0.as_str()
    }

    fn schema_version(&self) -> u32 {
        Self::SCHEMA
    }

    fn create_tables(&self, conn: &Connection) -> rusqlite::Result<()> {
        trail::create_tables(conn)
    }

    fn create_indexes(&self, conn: &Connection) -> rusqlite::Result<()> {
        trail::create_indexes(conn)
    }

    fn apply(&mut self, tx: &Connection, commit: &StoredCommit, events: &[Event]) -> Result<(), ApplyError> {
        trail::outcome(tx, self.0, commit)?;
        for (idx, (stored, event)) in commit.events.iter().zip(events).enumerate() {
            trail::event(tx, commit, idx, stored, event, &crate::words::changes(event))?;
        }
        Ok(())
    }

    fn finish(&mut self, _: &Connection) -> Result<(), ApplyError> {
        Ok(())
    }

    fn forget(&mut self) {}
}
