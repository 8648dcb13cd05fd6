//! The projection behind the figures: which event makes, changes or ends which fact.

use std::collections::HashMap;

use mw_contract::event::equipment::*;
use mw_contract::event::parts::ReasonQtyV1;
use mw_contract::reference::Document;
use mw_contract::reference::catalogues::TEAM;
use mw_contract::*;
use mw_projection::{ApplyError, GivesWay, Projection};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::beside;
use super::fact::{self, Body, Fact, OPEN, Place, ReasonQty};
use super::spans::Span;
use crate::operation::IMPLICIT_OP;
use crate::order::{Meta, Order};

/// Everything that KPIs and paretos are computed from.
#[derive(Default)]
pub struct FigureViews {
    /// The orders of this batch.
    orders: HashMap<AggregateId, Tracked>,
    /// Those of them to which nothing has happened but their creation.
    drafts: HashMap<AggregateId, Draft>,
}

impl FigureViews {
    /// The name of the file.
    pub const NAME: &'static str = "figures";
    /// Raised with every change of what is written.
    pub const SCHEMA: u32 = 3;

    /// With nothing in memory.
    pub fn new() -> Self {
        FigureViews::default()
    }
}

/// An order, and what figures need to know of it beside.
#[derive(Clone, Serialize, Deserialize)]
struct Tracked {
    order: Order,
    created: Instant,
    /// Planned quantity and due date at the first release.
    release: Option<(Qty, Instant)>,
    /// Where each operation was last worked on.
    cells: Vec<(u16, CellId)>,
}

/// The event that made an order, as it is stored: many drafts are made, and no figure asks for one.
struct Draft {
    schema: u16,
    payload: Vec<u8>,
    meta: Meta,
}

/// What an event brings beside its data.
#[derive(Clone, Copy)]
struct When<'a> {
    meta: Meta,
    site: Option<&'a SiteId>,
    attended: bool,
}

impl When<'_> {
    fn fact(&self, id: impl Into<Vec<u8>>, from: i64, until: i64, place: Place, body: Body) -> Fact {
        Fact {
            id: id.into(),
            position: self.meta.position.0,
            recorded: self.meta.recorded_at.millis(),
            superseded: OPEN,
            span: Span::new(from, until),
            place,
            body,
        }
    }

    fn at(&self) -> i64 {
        self.meta.occurred_at.millis()
    }

    /// A new version of a fact that is there.
    fn again(&self, conn: &Connection, mut f: Fact, change: impl FnOnce(&mut Fact)) -> rusqlite::Result<()> {
        change(&mut f);
        f.position = self.meta.position.0;
        f.recorded = self.meta.recorded_at.millis();
        fact::put(conn, &f)
    }

    /// The same, looked up first. What is not there stays so.
    fn change(&self, conn: &Connection, kind: u8, id: &[u8], change: impl FnOnce(&mut Fact)) -> rusqlite::Result<()> {
        match fact::current(conn, kind, id)? {
            Some(f) => self.again(conn, f, change),
            None => Ok(()),
        }
    }
}

const SESSION: u8 = 1;
const DOWNTIME: u8 = 2;
const STOP: u8 = 3;
const STATE: u8 = 4;
const REPORT: u8 = 5;
const ORDER: u8 = 7;
const CELL: u8 = 8;
const ATTENDANCE: u8 = 9;

impl Projection for FigureViews {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn schema_version(&self) -> u32 {
        Self::SCHEMA
    }

    fn gives_way(&self) -> GivesWay {
        GivesWay::Later
    }

    fn create_tables(&self, conn: &Connection) -> rusqlite::Result<()> {
        conn.execute_batch(fact::TABLES)?;
        conn.execute_batch(mw_figures::documents::TABLE)?;
        conn.execute_batch(beside::TABLES)
    }

    fn create_indexes(&self, conn: &Connection) -> rusqlite::Result<()> {
        conn.execute_batch(fact::INDEXES)?;
        conn.execute_batch(beside::INDEXES)
    }

    fn apply(&mut self, tx: &Connection, commit: &StoredCommit, events: &[Event]) -> Result<(), ApplyError> {
        for (stored, event) in commit.events.iter().zip(events) {
            let meta = Meta {
                position: stored.position,
                version: stored.event.version,
                occurred_at: stored.event.occurred_at,
                recorded_at: commit.head.recorded_at,
            };
            let when = When { meta, site: commit.head.site.as_ref(), attended: commit.head.role != Some(Role::Device) };
            beside::event(tx, stored, event, meta)?;
            match stored.event.stream.kind {
                AggregateKind::WorkOrder => self.work_order(tx, stored, event, when)?,
                AggregateKind::Equipment => self.equipment(tx, event, when)?,
                AggregateKind::Reference => reference(tx, event, when)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn finish(&mut self, tx: &Connection) -> Result<(), ApplyError> {
        for (id, d) in self.drafts.drain() {
            let m = &d.meta;
            tx.prepare_cached("INSERT OR REPLACE INTO draft VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute(params![
                id.as_bytes(),
                d.schema,
                d.payload,
                m.position.0 as i64,
                m.version.0 as i64,
                m.occurred_at.millis(),
                m.recorded_at.millis(),
            ])?;
        }
        for (id, tracked) in self.orders.drain() {
            let doc = serde_json::to_string(&tracked)
                .map_err(|e| ApplyError::Impossible(format!("work-order/{id} has no JSON: {e}")))?;
            tx.prepare_cached("INSERT OR REPLACE INTO tracked VALUES (?1, ?2)")?
                .execute(params![id.as_bytes(), doc])?;
            tx.prepare_cached("DELETE FROM draft WHERE id = ?1")?.execute([id.as_bytes()])?;
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.orders.clear();
        self.drafts.clear();
    }
}

fn load(tx: &Connection, id: AggregateId) -> Result<Option<Tracked>, ApplyError> {
    let doc: Option<String> = tx
        .prepare_cached("SELECT doc FROM tracked WHERE id = ?1")?
        .query_row([id.as_bytes()], |r| r.get(0))
        .optional()?;
    let Some(doc) = doc else { return drafted(tx, id) };
    let tracked = serde_json::from_str(&doc);
    tracked.map(Some).map_err(|e| ApplyError::Impossible(format!("work-order/{id} can't be read: {e}")))
}

/// An order to which nothing has happened but its creation.
fn drafted(tx: &Connection, id: AggregateId) -> Result<Option<Tracked>, ApplyError> {
    let found = tx
        .prepare_cached("SELECT schema, payload, position, version, occurred_at, recorded_at FROM draft WHERE id = ?1")?
        .query_row([id.as_bytes()], |r| {
            let number = |i: usize| r.get::<_, i64>(i);
            let meta = Meta {
                position: Position(number(2)? as u64),
                version: Version(number(3)? as u64),
                occurred_at: Instant::clamped(number(4)?),
                recorded_at: Instant::clamped(number(5)?),
            };
            Ok(Draft { schema: r.get(0)?, payload: r.get(1)?, meta })
        })
        .optional()?;
    found.map_or(Ok(None), |d| d.taken_up(id))
}

impl Draft {
    /// The order that it makes.
    fn taken_up(&self, id: AggregateId) -> Result<Option<Tracked>, ApplyError> {
        match Event::decode(EventType::WorkOrderCreated.as_str(), self.schema, &self.payload) {
            Ok(Event::WorkOrderCreated(e)) => Ok(Some(Tracked {
                order: Order::create(id, &e, self.meta),
                created: self.meta.occurred_at,
                release: None,
                cells: Vec::new(),
            })),
            Ok(_) => Ok(None),
            Err(e) => Err(ApplyError::Impossible(format!("the creation of work-order/{id} can't be read: {e}"))),
        }
    }
}

/// Site and line of a cell: as it is registered, else as the reference data say.
fn place_of(tx: &Connection, cell: &CellId) -> rusqlite::Result<Place> {
    if let Some(f) = fact::current(tx, CELL, cell.as_str().as_bytes())? {
        return Ok(f.place);
    }
    let mut place = Place { cell: Some(cell.clone()), ..Place::default() };
    let doc = |kind, code: &str| -> rusqlite::Result<Option<Document>> {
        Ok(fact::newest(tx, kind, code)?.and_then(|d| Document::stored(kind, &d)))
    };
    if let Some(Document::Cell(c)) = doc(ReferenceKind::Cell, cell.as_str())? {
        if let Some(Document::Line(l)) = doc(ReferenceKind::Line, c.line.as_str())? {
            place.site = Some(l.site);
        }
        place.line = Some(c.line);
    }
    Ok(place)
}

fn reasons(all: &[ReasonQtyV1]) -> Vec<ReasonQty> {
    all.iter().map(|r| (r.reason.as_str().to_owned(), r.qty)).collect()
}

impl Tracked {
    /// Where something of an operation happened: its cell, the cell's line or else the order's,
    /// and always the order's site and product.
    fn place(&self, tx: &Connection, op: u16, cell: Option<&CellId>) -> rusqlite::Result<Place> {
        let h = &self.order.header;
        let line = match cell {
            Some(c) => place_of(tx, c)?.line,
            None => None,
        };
        let team = self.order.operations.iter().find(|o| o.step.op == op).and_then(|o| o.crew.as_ref());
        Ok(Place {
            site: Some(h.site.clone()),
            line: line.or_else(|| h.line.clone()),
            cell: cell.cloned(),
            product: Some(h.product.clone()),
            team: team.map(|t| t.as_str().to_owned()),
        })
    }

    fn cell(&self, op: u16) -> Option<CellId> {
        let worked = self.cells.iter().find(|(o, _)| *o == op).map(|(_, c)| c.clone());
        worked.or_else(|| self.order.operations.iter().find(|o| o.step.op == op).and_then(|o| o.step.cell_id.clone()))
    }
}

impl FigureViews {
    fn work_order(
        &mut self,
        tx: &Connection,
        stored: &StoredEvent,
        event: &Event,
        w: When<'_>,
    ) -> Result<(), ApplyError> {
        let id = stored.event.stream.id;
        if matches!(event, Event::WorkOrderCreated(_)) {
            let draft = Draft { schema: stored.event.schema, payload: stored.event.payload.clone(), meta: w.meta };
            self.drafts.insert(id, draft);
            return Ok(());
        }
        if !self.orders.contains_key(&id) {
            let known = match self.drafts.remove(&id) {
                Some(d) => d.taken_up(id)?,
                None => load(tx, id)?,
            };
            self.orders.extend(known.map(|t| (id, t)));
        }
        let Some(t) = self.orders.get_mut(&id) else {
            return Err(ApplyError::Impossible(format!(
                "{} of work-order/{id}, which was never made",
                event.event_type()
            )));
        };
        let open: Vec<EntityId> = match event {
            Event::OperationCompleted(e) => {
                t.order.operations.iter().filter(|o| o.step.op == e.op).flat_map(|o| o.open.iter().copied()).collect()
            }
            _ => Vec::new(),
        };
        t.order.apply(event, w.meta);
        if matches!(event, Event::WorkOrderReleased(_)) && t.release.is_none() {
            t.release = Some((t.order.header.planned_qty, t.order.header.due_at));
        }
        for session in open {
            end_session(tx, session, w)?;
        }
        parts(tx, t, event, w)?;
        order(tx, t, w)?;
        Ok(())
    }

    fn equipment(&mut self, tx: &Connection, event: &Event, w: When<'_>) -> Result<(), ApplyError> {
        match event {
            Event::EquipmentRegistered(e) => {
                let place = Place {
                    site: Some(e.site_id.clone()),
                    line: Some(e.line_id.clone()),
                    cell: Some(e.code.clone()),
                    ..Place::default()
                };
                fact::put(tx, &w.fact(e.code.as_str().as_bytes(), w.at(), OPEN, place, Body::Cell))?;
            }
            Event::DowntimeStarted(e) => self.downtime(tx, e, w)?,
            Event::DowntimeEnded(e) => {
                w.change(tx, DOWNTIME, e.downtime_id.as_bytes(), |f| f.span.until = w.at().max(f.span.from))?;
            }
            Event::DowntimeClassified(e) => w.change(tx, DOWNTIME, e.downtime_id.as_bytes(), |f| {
                f.body = Body::Downtime {
                    reason: Some(e.reason.as_str().to_owned()),
                    category: e.loss_category.map(|c| c.as_str().to_owned()),
                    planned: e.planned,
                    since: match f.body {
                        Body::Downtime { since, .. } => since,
                        _ => None,
                    },
                }
            })?,
            Event::DowntimeSplit(e) => {
                if let Some(first) = fact::current(tx, DOWNTIME, e.downtime_id.as_bytes())? {
                    let at = e.split_at.millis();
                    let mut second = first.clone();
                    second.id = e.new_downtime_id.as_bytes().to_vec();
                    // The rest of it began with the split, and no earlier sign tells of it.
                    w.again(tx, second, |f| {
                        f.span.from = at;
                        if let Body::Downtime { since, .. } = &mut f.body {
                            *since = None;
                        }
                    })?;
                    w.again(tx, first, |f| f.span.until = at)?;
                }
            }
            Event::MachineStateChanged(e) => machine_state(tx, e, w)?,
            // It tells of a downtime that somebody had put down before the alarm came in.
            Event::AlarmRaised(e) => {
                for f in fact::running(tx, &e.cell_id, DOWNTIME)? {
                    let raised = e.raised_at.millis();
                    if let Body::Downtime { since, .. } = &f.body
                        && raised < since.unwrap_or(f.span.from)
                    {
                        w.again(tx, f, |f| {
                            if let Body::Downtime { since, .. } = &mut f.body {
                                *since = Some(raised);
                            }
                        })?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn downtime(&mut self, tx: &Connection, e: &DowntimeStartedV1, w: When<'_>) -> Result<(), ApplyError> {
        let mut place = place_of(tx, &e.cell_id)?;
        place.site = place.site.or_else(|| w.site.cloned());
        if let Some(id) = e.work_order_id {
            let order = match (self.orders.get(&id), self.drafts.get(&id)) {
                (Some(t), _) => Some(t.clone()),
                (None, Some(d)) => d.taken_up(id)?,
                (None, None) => load(tx, id)?,
            };
            place.product = order.map(|t| t.order.header.product);
        }
        let body = Body::Downtime {
            reason: e.reason.as_ref().map(|r| r.as_str().to_owned()),
            category: e.loss_category.map(|c| c.as_str().to_owned()),
            planned: e.planned,
            since: beside::alarmed(tx, &e.cell_id, w.at())?,
        };
        fact::put(tx, &w.fact(*e.downtime_id.as_bytes(), w.at(), OPEN, place, body))?;
        Ok(())
    }
}

fn machine_state(tx: &Connection, e: &MachineStateChangedV1, w: When<'_>) -> rusqlite::Result<()> {
    for f in fact::running(tx, &e.cell_id, STATE)? {
        w.again(tx, f, |f| f.span.until = w.at().max(f.span.from))?;
    }
    if matches!(e.new, MachineState::Cleaning | MachineState::PlannedStop) {
        let mut place = place_of(tx, &e.cell_id)?;
        place.site = place.site.or_else(|| w.site.cloned());
        let body = Body::PlannedState { state: e.new.as_str().to_owned() };
        fact::put(tx, &w.fact(w.meta.position.0.to_be_bytes(), w.at(), OPEN, place, body))?;
    }
    Ok(())
}

fn end_session(tx: &Connection, id: EntityId, w: When<'_>) -> rusqlite::Result<()> {
    w.change(tx, SESSION, id.as_bytes(), |f| f.span.until = w.at().max(f.span.from))
}

/// Planned stops of a cell are over.
fn end_stops(tx: &Connection, cell: &CellId, w: When<'_>) -> rusqlite::Result<()> {
    for f in fact::running(tx, cell, STOP)? {
        w.again(tx, f, |f| f.span.until = w.at().max(f.span.from))?;
    }
    Ok(())
}

/// A session on a cell begins: a planned stop of it is over.
fn start_session(
    tx: &Connection,
    t: &mut Tracked,
    op: u16,
    id: EntityId,
    cell: &CellId,
    operator: &AccountName,
    setup: bool,
    w: When<'_>,
) -> rusqlite::Result<()> {
    end_stops(tx, cell, w)?;
    t.cells.retain(|(o, _)| *o != op);
    t.cells.push((op, cell.clone()));
    let place = t.place(tx, op, Some(cell))?;
    let body = Body::Session {
        order: t.order.id.to_string(),
        op,
        operator: operator.as_str().to_owned(),
        setup,
        attended: w.attended,
    };
    fact::put(tx, &w.fact(*id.as_bytes(), w.at(), OPEN, place, body))
}

/// Sessions, reports, inspections.
fn parts(tx: &Connection, t: &mut Tracked, event: &Event, w: When<'_>) -> rusqlite::Result<()> {
    match event {
        Event::OperationStarted(e) => {
            let setup = fact::is_setup(e.kind);
            start_session(tx, t, e.op, e.session_id, &e.cell_id, &e.operator, setup, w)
        }
        Event::OperationResumed(e) => start_session(tx, t, e.op, e.session_id, &e.cell_id, &e.operator, false, w),
        Event::OperationPaused(e) => {
            end_session(tx, e.session_id, w)?;
            let (Some(LossCategory::PlannedStop), Some(reason), Some(cell)) =
                (e.loss_category, &e.reason, t.cell(e.op))
            else {
                return Ok(());
            };
            // The cell stops only when nobody else works on it.
            if !fact::running(tx, &cell, SESSION)?.is_empty() {
                return Ok(());
            }
            let place = t.place(tx, e.op, Some(&cell))?;
            let body = Body::Stop { reason: reason.as_str().to_owned() };
            fact::put(tx, &w.fact(*e.session_id.as_bytes(), w.at(), OPEN, place, body))
        }
        // What waits no more is not stopped any more.
        Event::OperationCompleted(e) => match t.cell(e.op) {
            Some(cell) => end_stops(tx, &cell, w),
            None => Ok(()),
        },
        Event::WorkOrderCompleted(_) | Event::WorkOrderCancelled(_) => {
            t.cells.iter().try_for_each(|(_, cell)| end_stops(tx, cell, w))
        }
        Event::OperationSessionCorrected(e) => w.change(tx, SESSION, e.session_id.as_bytes(), |f| {
            f.span = Span::new(e.new.started_at.millis(), e.new.ended_at.map_or(OPEN, Instant::millis));
        }),
        Event::OperationQuantityReported(e) => {
            let of_session = match e.session_id {
                Some(s) => fact::current(tx, SESSION, s.as_bytes())?.and_then(|f| f.place.cell),
                None => None,
            };
            let cell = e.cell_id.clone().or(of_session).or_else(|| t.cell(e.op));
            let place = t.place(tx, e.op, cell.as_ref())?;
            let step = t.order.operations.iter().find(|o| o.step.op == e.op);
            let body = Body::Report {
                order: t.order.id.to_string(),
                op: e.op,
                fresh: e.source == QuantitySource::Fresh,
                good: e.good,
                scrap: reasons(&e.scrap),
                rework: reasons(&e.rework),
                run_seconds: step.map_or(Qty::ZERO, |o| o.step.run_time_per_unit),
            };
            fact::put(tx, &w.fact(*e.report_id.as_bytes(), w.at(), w.at() + 1, place, body))
        }
        Event::OperationReportCorrected(e) => w.change(tx, REPORT, e.report_id.as_bytes(), |f| {
            if let Body::Report { good, scrap, rework, .. } = &mut f.body {
                *good = e.new.good;
                *scrap = reasons(&e.new.scrap);
                *rework = reasons(&e.new.rework);
            }
        }),
        Event::InspectionRecorded(e) if e.kind != InspectionKind::ReInspection => {
            let op = e.op.or_else(|| t.order.operations.last().map(|o| o.step.op)).unwrap_or(IMPLICIT_OP);
            let inspected = Qty::whole(e.sample_size);
            let bad: Qty = e.defects.iter().map(|d| d.qty).sum();
            let good = match e.verdict {
                // A failure that names no pieces is about all of them.
                Verdict::Fail if bad.is_zero() => Qty::ZERO,
                _ => inspected.less(bad),
            };
            let place = t.place(tx, op, t.cell(op).as_ref())?;
            let body = Body::Inspection { order: t.order.id.to_string(), op, good, inspected };
            fact::put(tx, &w.fact(*e.inspection_id.as_bytes(), w.at(), w.at() + 1, place, body))
        }
        _ => Ok(()),
    }
}

/// The order as a whole, once it was started or completed.
fn order(tx: &Connection, t: &Tracked, w: When<'_>) -> rusqlite::Result<()> {
    let h = &t.order.header;
    let completed = matches!(h.state, WorkOrderState::Completed | WorkOrderState::Closed);
    let end = h.actual_end.filter(|_| completed || h.state == WorkOrderState::Cancelled);
    let id = t.order.id.as_bytes();
    let before = fact::current(tx, ORDER, id)?;
    let Some(start) = h.actual_start.or(end.filter(|_| completed)) else {
        return if before.is_some() { fact::retract(tx, ORDER, id, w.meta.recorded_at.millis()) } else { Ok(()) };
    };
    let (planned, due_release) = t.release.unwrap_or((h.planned_qty, h.due_at));
    let place = Place {
        site: Some(h.site.clone()),
        line: h.line.clone(),
        product: Some(h.product.clone()),
        ..Place::default()
    };
    let body = Body::Order {
        created: t.created.millis(),
        completed,
        good: h.good,
        planned,
        due_release: due_release.millis(),
        due_now: h.due_at.millis(),
    };
    let now = w.fact(*id, start.millis(), end.map_or(OPEN, |e| e.millis().max(start.millis()) + 1), place, body);
    match before {
        Some(b) if (b.span, &b.place, &b.body) == (now.span, &now.place, &now.body) => Ok(()),
        _ => fact::put(tx, &now),
    }
}

fn reference(tx: &Connection, event: &Event, w: When<'_>) -> Result<(), ApplyError> {
    let (kind, code, retired, doc) = match event {
        Event::ReferencePut(e) => (e.kind, &e.code, false, e.document.0.clone()),
        Event::ReferenceRetired(e) => {
            (e.kind, &e.code, true, fact::newest(tx, e.kind, e.code.as_str())?.unwrap_or_default())
        }
        _ => return Ok(()),
    };
    if kind == ReferenceKind::Availability {
        // Attendance is told afterwards: it is a fact with its own time, not a setting.
        let id = code.as_str().as_bytes();
        match Document::stored(kind, &doc) {
            Some(Document::Availability(a)) if !retired => {
                let body = Body::Attendance { account: a.account.as_str().to_owned(), present: a.present };
                fact::put(tx, &w.fact(id, a.from.millis(), a.to.millis(), Place::default(), body))?;
            }
            _ => fact::retract(tx, ATTENDANCE, id, w.meta.recorded_at.millis())?,
        }
        return Ok(());
    }
    let kept = matches!(
        kind,
        ReferenceKind::Site
            | ReferenceKind::Line
            | ReferenceKind::Cell
            | ReferenceKind::Product
            | ReferenceKind::Customer
            | ReferenceKind::ShiftCalendar
    ) || (kind == ReferenceKind::Catalogue && code.as_str() == TEAM);
    if kept {
        let version = fact::Version { put_at: w.at(), recorded: w.meta.recorded_at.millis(), retired, doc };
        mw_figures::documents::put(tx, kind, code.as_str(), w.meta.position.0, &version)?;
    }
    Ok(())
}
