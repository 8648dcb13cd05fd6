//! The projection behind the figures, plans, parts and traces: which event makes, changes or ends
//! which fact.

use std::collections::HashMap;

use mw_contract::commit::StoredEvent;
use mw_contract::*;
use mw_figures::OPEN;
use mw_figures::given::Known;
use mw_figures::spans::Span;
use mw_projection::{ApplyError, GivesWay, Projection};
use rusqlite::{Connection, OptionalExtension, params};

use super::case::Case;
use super::fact::{self, Activity, Body, Fact, PartCost, Place};
use crate::{parts_usage, plans, trace};

/// Everything that KPIs K-21 to K-34, the paretos of faults, plans, the usage of parts and the
/// traces of units are made from.
#[derive(Default)]
pub struct ServiceFigureViews {
    /// The tickets of this batch.
    cases: HashMap<AggregateId, Case>,
}

impl ServiceFigureViews {
    /// The name of the file.
    pub const NAME: &'static str = "service-figures";
    /// Raised with every change of what is written.
    pub const SCHEMA: u32 = 2;

    /// With nothing in memory.
    pub fn new() -> Self {
        ServiceFigureViews::default()
    }
}

/// What an event brings beside its data.
#[derive(Clone, Copy)]
pub(crate) struct When {
    /// Its position.
    pub position: u64,
    /// When it was recorded.
    pub recorded: i64,
    /// When it happened.
    pub at: i64,
}

impl When {
    /// A fact that this event makes.
    pub fn fact(&self, id: Vec<u8>, span: Span, place: &Place, body: Body) -> Fact {
        let known = Known { from: self.recorded, until: OPEN };
        Fact { id, position: self.position, known, span, place: place.clone(), body }
    }

    /// A moment.
    pub fn moment(&self, id: Vec<u8>, at: i64, place: &Place, body: Body) -> Fact {
        self.fact(id, Span::new(at, at + 1), place, body)
    }

    /// A new version of a fact that is there. What is not there stays so.
    pub fn change(
        &self,
        conn: &Connection,
        kind: u8,
        id: &[u8],
        change: impl FnOnce(&mut Fact),
    ) -> rusqlite::Result<()> {
        let Some(mut f) = fact::current(conn, kind, id)? else { return Ok(()) };
        change(&mut f);
        f.position = self.position;
        f.known.from = self.recorded;
        fact::put(conn, &f)
    }
}

const CYCLE: u8 = 1;
const WORK: u8 = 5;
const DOWN: u8 = 9;

fn of_cycle(id: AggregateId, cycle: u16) -> Vec<u8> {
    [id.as_bytes().as_slice(), &cycle.to_be_bytes()].concat()
}

impl Projection for ServiceFigureViews {
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
        conn.execute_batch(plans::TABLES)?;
        conn.execute_batch(parts_usage::TABLES)?;
        conn.execute_batch(trace::TABLES)
    }

    fn create_indexes(&self, conn: &Connection) -> rusqlite::Result<()> {
        conn.execute_batch(fact::INDEXES)?;
        conn.execute_batch(parts_usage::INDEXES)
    }

    fn apply(&mut self, tx: &Connection, commit: &StoredCommit, events: &[Event]) -> Result<(), ApplyError> {
        for (stored, event) in commit.events.iter().zip(events) {
            let when = When {
                position: stored.position.0,
                recorded: commit.head.recorded_at.millis(),
                at: stored.event.occurred_at.millis(),
            };
            match stored.event.stream.kind {
                AggregateKind::Ticket => {
                    self.ticket(tx, stored, event, when)?;
                    parts_usage::event(tx, commit, stored, event)?;
                    trace::event(tx, stored, event, when)?;
                }
                AggregateKind::MaintenancePlan => plans::event(tx, stored, event, when)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn finish(&mut self, tx: &Connection) -> Result<(), ApplyError> {
        for (id, case) in self.cases.drain() {
            let doc = serde_json::to_string(&case)
                .map_err(|e| ApplyError::Impossible(format!("ticket/{id} has no JSON: {e}")))?;
            tx.prepare_cached("INSERT OR REPLACE INTO tracked VALUES (?1, ?2)")?
                .execute(params![id.as_bytes(), doc])?;
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.cases.clear();
    }
}

fn load(tx: &Connection, id: AggregateId) -> Result<Option<Case>, ApplyError> {
    let doc: Option<String> = tx
        .prepare_cached("SELECT doc FROM tracked WHERE id = ?1")?
        .query_row([id.as_bytes()], |r| r.get(0))
        .optional()?;
    let case = doc.map(|d| serde_json::from_str(&d)).transpose();
    case.map_err(|e| ApplyError::Impossible(format!("ticket/{id} can't be read: {e}")))
}

impl ServiceFigureViews {
    fn ticket(&mut self, tx: &Connection, stored: &StoredEvent, event: &Event, w: When) -> Result<(), ApplyError> {
        let id = stored.event.stream.id;
        if let Event::TicketOpened(e) = event {
            let case = Case::open(id, e, w.at);
            state(tx, &case, w)?;
            self.cases.insert(id, case);
            return Ok(());
        }
        if !self.cases.contains_key(&id) {
            self.cases.extend(load(tx, id)?.map(|c| (id, c)));
        }
        let Some(case) = self.cases.get_mut(&id) else {
            return Err(ApplyError::Impossible(format!("{} of ticket/{id}, which was never made", event.event_type())));
        };
        let ended = case.ends(event);
        case.running.retain(|r| !ended.contains(&r.id));
        let before = (case.place.clone(), case.cycle);
        case.apply(event, w.at);
        for session in ended {
            w.change(tx, WORK, session.as_bytes(), |f| f.span.until = w.at.max(f.span.from))?;
        }
        if case.place != before.0 {
            // What was known of it all along is known to be of something else now.
            for f in fact::of_case(tx, id)? {
                w.change(tx, f.body.kind(), &f.id, |f| f.place = case.place.clone())?;
            }
        }
        moments(tx, case, event, w)?;
        match event {
            Event::ServiceRated(e) => w.change(tx, CYCLE, &of_cycle(id, e.cycle), |f| {
                if let Body::Cycle { rating, .. } = &mut f.body {
                    *rating = Some((e.score, e.nps));
                }
            })?,
            _ => state(tx, case, w)?,
        }
        Ok(())
    }
}

/// What follows from how the ticket stands.
fn state(tx: &Connection, case: &Case, w: When) -> rusqlite::Result<()> {
    let id = of_cycle(case.place.case, case.cycle);
    let rating = match fact::current(tx, CYCLE, &id)?.map(|f| f.body) {
        Some(Body::Cycle { rating, .. }) => rating,
        _ => None,
    };
    let (span, body) = case.cycle_fact(rating);
    fact::put(tx, &w.fact(id, span, &case.place, body))?;
    let case_id = || case.place.case.as_bytes().to_vec();
    for (at, body) in [case.response(), case.fill()].into_iter().flatten() {
        fact::put(tx, &w.moment(case_id(), at, &case.place, body))?;
    }
    match case.down() {
        Some(span) => fact::put(tx, &w.fact(case_id(), span, &case.place, Body::Down)),
        None => fact::retract(tx, DOWN, case.place.case.as_bytes(), w.recorded),
    }
}

/// What an event makes by itself.
fn moments(tx: &Connection, case: &Case, event: &Event, w: When) -> rusqlite::Result<()> {
    let by_position = || w.position.to_be_bytes().to_vec();
    match event {
        Event::WorkStarted(_) | Event::WorkResumed(_) | Event::TravelStarted(_) => {
            let Some(r) = case.running.last() else { return Ok(()) };
            let body = Body::Work { technician: r.technician.clone(), activity: r.activity, chargeable: None };
            fact::put(tx, &w.fact(r.id.as_bytes().to_vec(), Span::new(r.since, OPEN), &case.place, body))
        }
        Event::WorkLogged(e) => {
            let span = Span::new(e.log.start.millis(), e.log.end.millis());
            let (activity, chargeable) = (activity(e.log.activity), Some(e.log.chargeable));
            let body = Body::Work { technician: e.technician.clone(), activity, chargeable };
            fact::put(tx, &w.fact(e.log_id.as_bytes().to_vec(), span, &case.place, body))
        }
        Event::WorkLogCorrected(e) => w.change(tx, WORK, e.log_id.as_bytes(), |f| {
            f.span = Span::new(e.new.start.millis(), e.new.end.millis());
            let (activity, chargeable) = (activity(e.new.activity), Some(e.new.chargeable));
            f.body = Body::Work { technician: e.technician.clone(), activity, chargeable };
        }),
        Event::PartsConsumed(e) => {
            let cost = |l: &event::ticket_parts::PartUseV1| {
                let unit = l.unit_cost?;
                let amount = Number::new(unit.amount.decimal().checked_mul(l.qty.decimal())?.round_dp(6))?;
                Some(PartCost { coverage: l.coverage, currency: unit.currency.to_string(), amount })
            };
            let body = Body::Parts { costs: e.lines.iter().filter_map(cost).collect() };
            fact::put(tx, &w.moment(e.consumption_id.as_bytes().to_vec(), w.at, &case.place, body))
        }
        Event::TicketClosed(_) => fact::put(tx, &w.moment(by_position(), w.at, &case.place, Body::Closed)),
        Event::TicketReopened(_) => fact::put(tx, &w.moment(by_position(), w.at, &case.place, Body::Reopened)),
        _ => Ok(()),
    }
}

fn activity(a: LogActivity) -> Activity {
    match a {
        LogActivity::Travel => Activity::Travel,
        LogActivity::Diagnosis | LogActivity::Repair | LogActivity::Test => Activity::Work,
        LogActivity::Admin | LogActivity::Waiting => Activity::Other,
    }
}
