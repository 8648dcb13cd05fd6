//! The projections. Owns which row changes with which event; must give the same rows whatever
//! the batches are.

use std::num::NonZeroUsize;

use lru::LruCache;
use mw_contract::{AggregateId, AggregateKind, Context, Event, Instant, StoredCommit, Version, WorkOrderState};
use mw_projection::{ApplyError, Projection};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use crate::columns::{INDEXES, STORED};
use crate::order::{Meta, Order};
use crate::parts::Parts;
use crate::plant;
use crate::trail::{self, Change};
use crate::{inbox, rows, words};

/// Orders kept folded in memory; about 4 KiB each.
const CACHED_ORDERS: usize = 4096;

/// An order in memory, and its row as it stands in the file.
struct Cached {
    order: Order,
    /// `None` while the file has no row of it.
    row: Option<Vec<Value>>,
    /// Its operations and shortages as they stand in the file.
    parts: Parts,
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
    pub const SCHEMA: u32 = 10;

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
        plant::create_tables(conn)?;
        trail::create_tables(conn)?;
        rows::create_tables(conn)?;
        let columns: Vec<String> = STORED.iter().map(|c| format!("{} {}", c.name, c.decl)).collect();
        conn.execute_batch(&format!(
            "CREATE TABLE work_order (seq INTEGER PRIMARY KEY, {}) STRICT;
             CREATE UNIQUE INDEX by_id ON work_order (id);
             CREATE TABLE work_order_doc (seq INTEGER PRIMARY KEY, doc TEXT NOT NULL) STRICT;
             CREATE TABLE reference (
                kind INTEGER NOT NULL, code TEXT NOT NULL, retired INTEGER NOT NULL, PRIMARY KEY (kind, code)
             ) STRICT, WITHOUT ROWID;",
            columns.join(", ")
        ))
    }

    fn create_indexes(&self, conn: &Connection) -> rusqlite::Result<()> {
        plant::create_indexes(conn)?;
        trail::create_indexes(conn)?;
        for (name, columns) in INDEXES {
            conn.execute_batch(&format!("CREATE INDEX {name} ON work_order ({columns})"))?;
        }
        rows::create_indexes(conn)?;
        conn.execute_batch("CREATE INDEX by_queue ON work_order (next_cell, priority, planned_start) WHERE ready = 1")
    }

    fn apply(&mut self, tx: &Connection, commit: &StoredCommit, events: &[Event]) -> Result<(), ApplyError> {
        trail::outcome(tx, Context::Production, commit)?;
        let ended = |id| self.ended_at(tx, id);
        inbox::commit(tx, commit, events, ended)?;
        for (idx, (stored, event)) in commit.events.iter().zip(events).enumerate() {
            let changes = match stored.event.stream.kind {
                AggregateKind::WorkOrder => {
                    let meta = Meta {
                        position: stored.position,
                        version: stored.event.version,
                        occurred_at: stored.event.occurred_at,
                        recorded_at: commit.head.recorded_at,
                    };
                    if let Event::UnitGenealogyAmended(e) = event {
                        plant::amended(tx, commit, stored, e)?;
                    }
                    self.work_order(tx, commit, stored.event.stream.id, event, meta)?
                }
                _ => {
                    plant::event(tx, commit, stored, event)?;
                    words::changes(event)
                }
            };
            reference(tx, event)?;
            rows::place(tx, event)?;
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
            rows::note(tx, commit, order.seq, event, meta)?;
            self.put(tx, id, Cached { order, row: None, parts: Parts::default(), dirty: true })?;
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
        let named = words::changes(event);
        if matches!(event, Event::WorkOrderAmended(_)) {
            changes = named;
        } else {
            changes.extend(named);
        }
        rows::note(tx, commit, seq, event, meta)?;
        rows::event(tx, commit, seq, event, meta)?;
        Ok(changes)
    }

    /// When production of an order ended, if it is completed or closed now.
    fn ended_at(&self, tx: &Connection, id: AggregateId) -> Result<Option<Instant>, ApplyError> {
        let over = |s: WorkOrderState| matches!(s, WorkOrderState::Completed | WorkOrderState::Closed);
        if let Some(c) = self.orders.peek(&id) {
            let h = &c.order.header;
            return Ok(h.actual_end.filter(|_| over(h.state)));
        }
        let found: Option<(u8, Option<i64>)> = tx
            .prepare_cached("SELECT state, ended_at FROM work_order WHERE id = ?1")?
            .query_row([id.as_bytes()], |r| Ok((r.get(0)?, r.get(1)?)))
            .optional()?;
        let Some((state, Some(at))) = found else { return Ok(None) };
        Ok(WorkOrderState::from_number(state).filter(|s| over(*s)).map(|_| Instant::clamped(at)))
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
    Ok(Some(Cached { row: Some(row_of(&order)), parts: Parts::of(&order), order, dirty: false }))
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
    c.parts.replace(tx, seq, Parts::of(order))?;
    c.row = Some(row);
    c.dirty = false;
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
