//! The projection. Owns which row changes with which event; must give the same rows whatever the
//! batches are.

use std::num::NonZeroUsize;

use lru::LruCache;
use mw_calendar::BusinessCalendar;
use mw_contract::{AggregateId, AggregateKind, Context, Event, Instant, StoredCommit, TicketState, Version};
use mw_projection::{ApplyError, Projection};
use mw_views::columns::at;
use mw_views::rows::differing;
use mw_views::{inbox, trail, words};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use serde_json::json;

use crate::business;
use crate::columns::{INDEXES, STORED};
use crate::ticket::{Meta, Ticket, VisitState};

/// Tickets kept folded in memory; some 10 KiB each.
const CACHED_TICKETS: usize = 1024;

/// The rows that belong to a ticket, as they stand in the file.
#[derive(Default)]
struct Rows {
    clocks: Vec<Vec<Value>>,
    visits: Vec<Vec<Value>>,
}

/// A ticket in memory, and its rows.
struct Cached {
    ticket: Ticket,
    /// `None` while the file has no row of it.
    row: Option<Vec<Value>>,
    rows: Rows,
    dirty: bool,
}

/// Everything that the queries about tickets read, and the trail of after-service.
pub struct AfterServiceViews {
    tickets: LruCache<AggregateId, Cached>,
    dirty: Vec<AggregateId>,
    /// The calendar that was last counted by, with its key.
    calendar: Option<(i64, BusinessCalendar)>,
}

impl AfterServiceViews {
    /// The name of the file.
    pub const NAME: &'static str = "after-service";
    /// Raised with every change of what is written.
    pub const SCHEMA: u32 = 4;

    /// With an empty cache.
    pub fn new() -> Self {
        let cached = NonZeroUsize::new(CACHED_TICKETS).unwrap_or(NonZeroUsize::MIN);
        AfterServiceViews { tickets: LruCache::new(cached), dirty: Vec::new(), calendar: None }
    }
}

impl Default for AfterServiceViews {
    fn default() -> Self {
        AfterServiceViews::new()
    }
}

impl Projection for AfterServiceViews {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn schema_version(&self) -> u32 {
        Self::SCHEMA
    }

    fn create_tables(&self, conn: &Connection) -> rusqlite::Result<()> {
        trail::create_tables(conn)?;
        business::create_tables(conn)?;
        let columns: Vec<String> = STORED.iter().map(|c| format!("{} {}", c.name, c.decl)).collect();
        conn.execute_batch(&format!(
            "CREATE TABLE ticket (seq INTEGER PRIMARY KEY, {}) STRICT;
             CREATE UNIQUE INDEX ticket_id ON ticket (id);
             CREATE TABLE ticket_doc (seq INTEGER PRIMARY KEY, doc TEXT NOT NULL) STRICT;
             CREATE TABLE clock (
                seq INTEGER NOT NULL, n INTEGER NOT NULL, cycle INTEGER NOT NULL, clock TEXT NOT NULL,
                target INTEGER NOT NULL, remaining INTEGER NOT NULL, due INTEGER, state TEXT NOT NULL,
                breached INTEGER NOT NULL, calendar INTEGER NOT NULL, PRIMARY KEY (seq, n)
             ) STRICT, WITHOUT ROWID;
             CREATE TABLE visit (
                seq INTEGER NOT NULL, visit_id BLOB NOT NULL, window_start INTEGER NOT NULL,
                window_end INTEGER NOT NULL, location TEXT NOT NULL, technician TEXT NOT NULL, state TEXT NOT NULL,
                cycle INTEGER NOT NULL, confirmed INTEGER NOT NULL, parts TEXT NOT NULL, PRIMARY KEY (seq, visit_id)
             ) STRICT, WITHOUT ROWID;",
            columns.join(", ")
        ))
    }

    fn create_indexes(&self, conn: &Connection) -> rusqlite::Result<()> {
        trail::create_indexes(conn)?;
        for (name, columns) in INDEXES {
            conn.execute_batch(&format!("CREATE INDEX {name} ON ticket ({columns})"))?;
        }
        conn.execute_batch(
            "CREATE INDEX clock_due ON clock (due) WHERE due IS NOT NULL;
             CREATE INDEX visit_technician ON visit (technician, window_start);",
        )
    }

    fn apply(&mut self, tx: &Connection, commit: &StoredCommit, events: &[Event]) -> Result<(), ApplyError> {
        trail::outcome(tx, Context::AfterService, commit)?;
        inbox::commit(tx, commit, events, |id| self.ended_at(tx, id))?;
        for (idx, (stored, event)) in commit.events.iter().zip(events).enumerate() {
            if stored.event.stream.kind == AggregateKind::Ticket {
                let calendar = match event {
                    Event::SlaStarted(e) => Some(business::key_of(tx, &e.policy.calendar)?),
                    Event::SlaPolicyApplied(e) => Some(business::key_of(tx, &e.policy.calendar)?),
                    _ => None,
                };
                let mut meta = Meta {
                    position: stored.position,
                    version: stored.event.version,
                    occurred_at: stored.event.occurred_at,
                    recorded_at: commit.head.recorded_at,
                    by: commit.head.account.clone(),
                    role: commit.head.role,
                    calendar,
                    business: None,
                };
                self.ticket(tx, stored.event.stream.id, event, &mut meta)?;
            }
            trail::event(tx, commit, idx, stored, event, &words::changes(event))?;
        }
        Ok(())
    }

    fn finish(&mut self, tx: &Connection) -> Result<(), ApplyError> {
        for id in std::mem::take(&mut self.dirty) {
            if let Some(c) = self.tickets.peek_mut(&id) {
                write(tx, c)?;
            }
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.tickets.clear();
        self.dirty.clear();
        self.calendar = None;
    }
}

impl AfterServiceViews {
    fn ticket(&mut self, tx: &Connection, id: AggregateId, event: &Event, meta: &mut Meta) -> Result<(), ApplyError> {
        if let Event::TicketOpened(e) = event {
            let ticket = Ticket::open(id, e, meta);
            self.put(tx, id, Cached { ticket, row: None, rows: Rows::default(), dirty: true })?;
            self.dirty.push(id);
            return Ok(());
        }
        if !self.tickets.contains(&id) {
            let loaded = load(tx, id)?.ok_or_else(|| {
                ApplyError::Impossible(format!("{} of ticket/{id}, which was never opened", event.event_type()))
            })?;
            self.put(tx, id, loaded)?;
        }
        let Some(c) = self.tickets.get_mut(&id) else {
            return Err(ApplyError::Impossible(format!("ticket/{id} is lost from the cache")));
        };
        let expected = Version(c.ticket.version.0 + 1);
        if meta.version != expected {
            let found = c.ticket.version;
            return Err(ApplyError::Impossible(format!("version {} of ticket/{id} after {found}", meta.version)));
        }
        if let Some(key) = c.ticket.sla.runs_by(c.ticket.cycle) {
            if self.calendar.as_ref().is_none_or(|(k, _)| *k != key) {
                self.calendar = business::calendar(tx, key)?.map(|c| (key, c));
            }
            meta.business = self.calendar.as_ref().map(|(_, c)| c.clone());
        }
        c.ticket.apply(event, meta);
        if !std::mem::replace(&mut c.dirty, true) {
            self.dirty.push(id);
        }
        Ok(())
    }

    /// When a ticket was closed, if it is.
    fn ended_at(&self, tx: &Connection, id: AggregateId) -> Result<Option<Instant>, ApplyError> {
        if let Some(c) = self.tickets.peek(&id) {
            return Ok(c.ticket.ended_at.filter(|_| c.ticket.state == TicketState::Closed));
        }
        let found: Option<Option<i64>> = tx
            .prepare_cached("SELECT ended_at FROM ticket WHERE id = ?1 AND state = 'closed'")?
            .query_row([id.as_bytes()], |r| r.get(0))
            .optional()?;
        Ok(found.flatten().map(Instant::clamped))
    }

    /// Takes a ticket into the cache. The one that has to go is written first.
    fn put(&mut self, tx: &Connection, id: AggregateId, c: Cached) -> Result<(), ApplyError> {
        if let Some((evicted, mut old)) = self.tickets.push(id, c)
            && evicted != id
            && old.dirty
        {
            write(tx, &mut old)?;
            self.dirty.retain(|d| *d != evicted);
        }
        Ok(())
    }
}

fn row_of(t: &Ticket) -> Vec<Value> {
    STORED.iter().map(|c| (c.value)(t)).collect()
}

fn whole(n: u64) -> Value {
    Value::Integer(i64::try_from(n).unwrap_or(i64::MAX))
}

impl Rows {
    fn of(t: &Ticket) -> Rows {
        let clock = |c: &crate::ticket::clocks::Clock| {
            vec![
                Value::Integer(i64::from(c.cycle) * 10 + i64::from(c.clock.number())),
                Value::Integer(i64::from(c.cycle)),
                Value::Text(c.clock.to_string()),
                whole(c.target.0),
                Value::Integer(c.remaining_s),
                at(c.due),
                Value::Text(c.state.as_str().to_owned()),
                Value::Integer(i64::from(c.breached)),
                Value::Integer(c.calendar),
            ]
        };
        let visit = |v: &crate::ticket::Visit| {
            let state = match v.state {
                VisitState::Planned => "planned",
                VisitState::Done => "done",
                VisitState::Cancelled => "cancelled",
            };
            vec![
                Value::Blob(v.visit_id.as_bytes().to_vec()),
                Value::Integer(v.window_start.millis()),
                Value::Integer(v.window_end.millis()),
                Value::Text(v.location.to_string()),
                Value::Text(v.technician.to_string()),
                Value::Text(state.to_owned()),
                Value::Integer(i64::from(v.cycle)),
                Value::Integer(i64::from(v.customer_confirmed)),
                Value::Text(json!(v.parts_to_bring).to_string()),
            ]
        };
        Rows { clocks: t.sla.clocks.iter().map(clock).collect(), visits: t.visits.iter().map(visit).collect() }
    }
}

fn load(tx: &Connection, id: AggregateId) -> Result<Option<Cached>, ApplyError> {
    let doc: Option<String> = tx
        .prepare_cached("SELECT d.doc FROM ticket t JOIN ticket_doc d USING (seq) WHERE t.id = ?1")?
        .query_row([id.as_bytes()], |r| r.get(0))
        .optional()?;
    let Some(doc) = doc else { return Ok(None) };
    let ticket: Ticket = serde_json::from_str(&doc)
        .map_err(|e| ApplyError::Impossible(format!("the document of ticket/{id} can't be read: {e}")))?;
    Ok(Some(Cached { row: Some(row_of(&ticket)), rows: Rows::of(&ticket), ticket, dirty: false }))
}

/// Brings the file in step with the ticket. Only columns that changed are written, because every
/// written column costs its indexes.
fn write(tx: &Connection, c: &mut Cached) -> Result<(), ApplyError> {
    let t = &c.ticket;
    let seq = t.seq.0 as i64;
    let doc =
        serde_json::to_string(t).map_err(|e| ApplyError::Impossible(format!("ticket/{} has no JSON: {e}", t.id)))?;
    tx.prepare_cached("INSERT OR REPLACE INTO ticket_doc VALUES (?1, ?2)")?.execute(params![seq, doc])?;
    let row = row_of(t);
    match &c.row {
        None => {
            let holders: Vec<String> = (1..=row.len() + 1).map(|n| format!("?{n}")).collect();
            let values = std::iter::once(&Value::Integer(seq)).chain(&row).cloned().collect::<Vec<_>>();
            tx.prepare_cached(&format!("INSERT INTO ticket VALUES ({})", holders.join(",")))?
                .execute(params_from_iter(values))?;
        }
        Some(old) => {
            let changed: Vec<usize> = (0..row.len()).filter(|i| old[*i] != row[*i]).collect();
            if !changed.is_empty() {
                let set: Vec<String> = changed.iter().map(|i| format!("{} = ?", STORED[*i].name)).collect();
                let values = changed.iter().map(|i| row[*i].clone()).chain([Value::Integer(seq)]);
                tx.prepare_cached(&format!("UPDATE ticket SET {} WHERE seq = ?", set.join(", ")))?
                    .execute(params_from_iter(values))?;
            }
        }
    }
    let new = Rows::of(t);
    differing(tx, "clock", "n", seq, &c.rows.clocks, &new.clocks)?;
    differing(tx, "visit", "visit_id", seq, &c.rows.visits, &new.visits)?;
    (c.rows, c.row, c.dirty) = (new, Some(row), false);
    Ok(())
}
