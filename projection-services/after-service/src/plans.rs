//! Maintenance plans and when they will be due (RM-22). Rows follow from the plans' own events; what
//! a counter shows now is production's, and comes with the question.

use mw_contract::commit::StoredEvent;
use mw_contract::event::plan::PlanDueV1;
use mw_contract::event::ticket_parts::{LastDoneV1, PlanLeadV1, PlanTriggerV1};
use mw_contract::ids::unit_id;
use mw_contract::*;
use mw_figures::spans::Span;
use mw_projection::ApplyError;
use mw_views::columns::{Kind, field, sort_key};
use mw_views::read::page::Direction;
use mw_views::read::table::{Own, SITE, Table, Takes, narrow, words};
use rusqlite::types::Value as Sqlite;
use rusqlite::{Connection, OptionalExtension, params};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::figures::fact::{self, Body, Place};
use crate::figures::views::When;

/// The tables.
pub(crate) const TABLES: &str = "
    CREATE TABLE plan (
        id BLOB PRIMARY KEY, version INTEGER NOT NULL, site TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL,
        target TEXT NOT NULL, equipment BLOB, serial TEXT, product TEXT, calendar TEXT, counter TEXT,
        counter_unit TEXT, every TEXT, tolerance TEXT, mode TEXT NOT NULL, floating INTEGER NOT NULL,
        last_done_at TEXT, last_done_counter TEXT, next_due_at TEXT, next_due_counter TEXT, ticket BLOB
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE plan_doc (id BLOB PRIMARY KEY, doc TEXT NOT NULL) STRICT, WITHOUT ROWID;";

/// A plan as far as its row and its figures need it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Plan {
    id: AggregateId,
    version: u64,
    site: SiteId,
    zone: String,
    name: String,
    state: PlanState,
    target: PlanTargetKind,
    equipment: Option<AggregateId>,
    serial: Option<Text<60>>,
    product: Option<ProductId>,
    calendar: Option<String>,
    counter: Option<Counted>,
    mode: PlanMode,
    floating: bool,
    last_done_at: Option<Date>,
    last_done_counter: Option<Number>,
    next_due_at: Option<Date>,
    next_due_counter: Option<Number>,
    /// The ticket that does it now.
    ticket: Option<AggregateId>,
    /// What is due and not done: the key of its fact, why, and until which day or counter.
    due: Option<Due>,
}

/// How much use makes it due.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Counted {
    name: String,
    unit: String,
    every: Number,
    tolerance: Number,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Due {
    fact: Vec<u8>,
    cause: DueCause,
    on: Option<Date>,
    counter: Option<Number>,
}

impl Plan {
    fn owner(&self) -> Option<AggregateId> {
        match (self.equipment, &self.product, &self.serial) {
            (Some(e), _, _) => Some(e),
            (None, Some(p), Some(s)) => Some(unit_id(p, s)),
            _ => None,
        }
    }

    fn trigger(&mut self, t: &PlanTriggerV1) {
        self.calendar = t.calendar.as_ref().map(|c| c.as_str().to_owned());
        self.counter = t.counter.as_ref().map(|c| Counted {
            name: c.name.as_str().to_owned(),
            unit: c.unit.as_str().to_owned(),
            every: c.every,
            // Both are decimals of the same form.
            tolerance: c.tolerance_pct.to_string().parse().unwrap_or_default(),
        });
        self.mode = t.mode;
        self.count_on();
    }

    /// When its counter makes it due: so much after it was last done.
    fn count_on(&mut self) {
        let every = self.counter.as_ref().map(|c| c.every);
        self.next_due_counter = every.and_then(|e| self.last_done_counter.unwrap_or_default().plus(e));
    }

    /// Was it done while it was still in time? By the day where a day made it due, by the counter where
    /// that did, with its tolerance.
    fn in_time(&self, due: &Due, on: Date, counter: Option<Number>) -> bool {
        let by_day = due.on.map(|d| on <= d);
        let by_counter = due.counter.zip(counter).map(|(d, c)| {
            let more = self
                .counter
                .as_ref()
                .map_or(Decimal::ZERO, |k| k.every.decimal() * k.tolerance.decimal() / Decimal::ONE_HUNDRED);
            c.decimal() <= d.decimal() + more
        });
        match due.cause {
            DueCause::Calendar => by_day.or(by_counter),
            DueCause::Counter | DueCause::Forecast => by_counter.or(by_day),
        }
        .unwrap_or(true)
    }

    fn place(&self) -> Place {
        Place {
            case: self.id,
            site: Some(self.site.clone()),
            kind: TicketKind::Preventive,
            product: self.product.clone(),
            unit: self.equipment.map_or_else(|| self.owner(), |_| None),
            line: None,
            equipment: self.equipment,
            team: None,
            customer: None,
            warranty: WarrantyStatus::Unchecked,
            mode: None,
        }
    }
}

fn load(tx: &Connection, id: AggregateId) -> Result<Option<Plan>, ApplyError> {
    let doc: Option<String> = tx
        .prepare_cached("SELECT doc FROM plan_doc WHERE id = ?1")?
        .query_row([id.as_bytes()], |r| r.get(0))
        .optional()?;
    let plan = doc.map(|d| serde_json::from_str(&d)).transpose();
    plan.map_err(|e| ApplyError::Impossible(format!("maintenance-plan/{id} can't be read: {e}")))
}

fn store(tx: &Connection, p: &Plan) -> Result<(), ApplyError> {
    let doc = serde_json::to_string(p)
        .map_err(|e| ApplyError::Impossible(format!("maintenance-plan/{} has no JSON: {e}", p.id)))?;
    tx.prepare_cached("INSERT OR REPLACE INTO plan_doc VALUES (?1, ?2)")?.execute(params![p.id.as_bytes(), doc])?;
    let key = |d: Option<Number>| d.map(|d| sort_key(d.decimal()));
    let day = |d: Option<Date>| d.map(|d| d.to_string());
    tx.prepare_cached(
        "INSERT OR REPLACE INTO plan VALUES
            (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21)",
    )?
    .execute(params![
        p.id.as_bytes(),
        p.version as i64,
        p.site.as_str(),
        p.name,
        p.state.as_str(),
        p.target.as_str(),
        p.equipment.as_ref().map(|e| e.as_bytes()),
        p.serial.as_ref().map(|s| s.as_str()),
        p.product.as_ref().map(|s| s.as_str()),
        p.calendar,
        p.counter.as_ref().map(|c| c.name.clone()),
        p.counter.as_ref().map(|c| c.unit.clone()),
        key(p.counter.as_ref().map(|c| c.every)),
        p.counter.as_ref().map(|c| sort_key(c.tolerance.decimal())),
        p.mode.as_str(),
        p.floating,
        day(p.last_done_at),
        key(p.last_done_counter),
        day(p.next_due_at),
        key(p.next_due_counter),
        p.ticket.as_ref().map(|t| t.as_bytes()),
    ])?;
    Ok(())
}

/// Writes what one event of a plan changes.
pub(crate) fn event(tx: &Connection, stored: &StoredEvent, event: &Event, w: When) -> Result<(), ApplyError> {
    let id = stored.event.stream.id;
    let mut plan = match event {
        Event::PlanCreated(e) => {
            let PlanLeadV1 { .. } = &e.lead;
            let mut p = Plan {
                id,
                version: 0,
                site: e.site_id.clone(),
                zone: e.time_zone.as_str().to_owned(),
                name: e.name.as_str().to_owned(),
                state: PlanState::Draft,
                target: e.target.kind,
                equipment: e.target.equipment_id,
                serial: e.target.serial.clone(),
                product: e.target.product_id.clone(),
                calendar: None,
                counter: None,
                mode: e.trigger.mode,
                floating: e.floating,
                last_done_at: e.last_done.as_ref().map(|l: &LastDoneV1| l.at),
                last_done_counter: e.last_done.as_ref().and_then(|l| l.counter),
                next_due_at: None,
                next_due_counter: None,
                ticket: None,
                due: None,
            };
            p.trigger(&e.trigger);
            p
        }
        _ => load(tx, id)?.ok_or_else(|| {
            ApplyError::Impossible(format!("{} of maintenance-plan/{id}, which was never made", event.event_type()))
        })?,
    };
    plan.version = stored.event.version.0;
    match event {
        Event::PlanActivated(e) => {
            plan.state = PlanState::Active;
            plan.next_due_at = e.next_due;
        }
        Event::PlanSuspended(_) => plan.state = PlanState::Suspended,
        Event::PlanAmended(e) => {
            plan.name = e.name.as_ref().map_or(plan.name, |n| n.as_str().to_owned());
            plan.floating = e.floating.unwrap_or(plan.floating);
            if let Some(t) = &e.trigger {
                plan.trigger(t);
            }
            plan.next_due_at = if plan.calendar.is_none() { None } else { e.next_due.or(plan.next_due_at) };
        }
        Event::PlanDue(e) => due(tx, &mut plan, e, w)?,
        Event::PlanDone(e) => {
            if let Some(d) = plan.due.take() {
                let done = plan.in_time(&d, e.done_on, e.counter);
                w.change(tx, DUE, &d.fact, |f| f.body = Body::Due { done: Some(done) })?;
            }
            plan.last_done_at = Some(e.done_on);
            plan.last_done_counter = e.counter.or(plan.last_done_counter);
            (plan.ticket, plan.next_due_at) = (None, e.next_due);
            plan.count_on();
            plan.next_due_counter = e.next_counter.or(plan.next_due_counter);
        }
        Event::PlanSkipped(e) => {
            if let Some(d) = plan.due.take() {
                w.change(tx, DUE, &d.fact, |f| f.body = Body::Due { done: Some(false) })?;
            }
            (plan.ticket, plan.next_due_at) = (None, e.next_due);
            plan.next_due_counter = e.next_counter.or(plan.next_due_counter);
        }
        _ => {}
    }
    store(tx, &plan)
}

const DUE: u8 = 8;

/// A plan is due: by the end of a day, or now where a counter made it so. Said twice of the same
/// day or counter it is the same thing that is due.
fn due(tx: &Connection, plan: &mut Plan, e: &PlanDueV1, w: When) -> Result<(), ApplyError> {
    let what = match (e.cause, e.due_on, e.due_counter) {
        (DueCause::Calendar, Some(day), _) | (_, Some(day), None) => format!("day {day}"),
        (_, _, Some(n)) => format!("counter {n}"),
        (_, None, None) => format!("position {}", w.position),
    };
    let id = [plan.id.as_bytes().as_slice(), what.as_bytes()].concat();
    plan.ticket = e.ticket_id.or(plan.ticket);
    if e.cause == DueCause::Calendar {
        plan.next_due_at = e.due_on.or(plan.next_due_at);
    }
    let counter = e.due_counter;
    plan.due = Some(Due { fact: id.clone(), cause: e.cause, on: e.due_on, counter });
    if fact::current(tx, DUE, &id)?.is_some() {
        return Ok(());
    }
    let at = match (e.cause, e.due_on) {
        (DueCause::Calendar, Some(day)) => day.span_in(&plan.zone).1.millis() - 1,
        _ => w.at,
    };
    fact::put(tx, &w.fact(id, Span::new(at, at + 1), &plan.place(), Body::Due { done: None }))?;
    Ok(())
}

macro_rules! live {
    ($field:literal) => {
        concat!("json_extract(p.a, '$.\"' || hex(m.id) || '\".", $field, "')")
    };
}

fn plan_states() -> Vec<(String, Sqlite)> {
    words(PlanState::ALL.iter().map(|s| s.as_str()))
}

fn targets() -> Vec<(String, Sqlite)> {
    words(PlanTargetKind::ALL.iter().map(|s| s.as_str()))
}

/// `GET /v1/maintenance-plans`. `a` is what [`forecasts`] answers.
pub static PLANS: Table = Table {
    name: "maintenance-plans",
    from: "plan m",
    only: "1",
    site: "m.site",
    own: Own::NONE,
    fields: &[
        field("id", "m.id", Kind::Uuid, false),
        field("plan", "m.name", Kind::Text, false),
        field("version", "m.version", Kind::Int, false),
        field("site", "m.site", Kind::Text, false),
        field("state", "m.state", Kind::Text, false),
        field("target", "m.target", Kind::Text, false),
        field("equipment_id", "m.equipment", Kind::Uuid, true),
        field("cell", live!("cell"), Kind::Text, true),
        field("serial", "m.serial", Kind::Text, true),
        field("product", "m.product", Kind::Text, true),
        field("calendar", "m.calendar", Kind::Text, true),
        field("counter", "m.counter", Kind::Text, true),
        field("counter_unit", "m.counter_unit", Kind::Text, true),
        field("every", "m.every", Kind::Number, true),
        field("tolerance_pct", "m.tolerance", Kind::Number, true),
        field("mode", "m.mode", Kind::Text, false),
        field("floating", "m.floating", Kind::Bool, false),
        field("last_done_at", "m.last_done_at", Kind::Text, true),
        field("last_done_counter", "m.last_done_counter", Kind::Number, true),
        field("counter_now", live!("counter_now"), Kind::Number, true),
        field("daily_use", live!("daily_use"), Kind::Number, true),
        field("next_due_at", "m.next_due_at", Kind::Text, true),
        field("next_due_counter", "m.next_due_counter", Kind::Number, true),
        field("forecast_date", live!("forecast_date"), Kind::Text, true),
        field("overdue", concat!("COALESCE(", live!("overdue"), ", 0)"), Kind::Bool, false),
        field("ticket_id", "m.ticket", Kind::Uuid, true),
    ],
    filters: &[
        narrow(
            "q",
            "lower(m.name || ' ' || COALESCE(m.serial, ''))",
            Takes::Contains,
            "text in the name or the serial number",
        ),
        narrow("site", "m.site", SITE, "sites"),
        narrow("plan", "m.name", Takes::Texts, "plans by their name"),
        narrow("state", "m.state", Takes::Words(plan_states), "where the plan is in its life"),
        narrow("target", "m.target", Takes::Words(targets), "equipment or unit"),
        narrow("overdue", live!("overdue"), Takes::Flag, "should have been done by now"),
    ],
    // What nobody can foretell comes last.
    order: (&[concat!("COALESCE(", live!("forecast_date"), ", '9999-12-31')"), "m.name"], Direction::Ascending),
    key: &["m.id"],
};

/// What a plan asks production for.
#[derive(Clone, Debug)]
pub struct Need {
    /// The plan.
    pub plan: AggregateId,
    /// The machine or unit whose counter it is.
    pub owner: Option<AggregateId>,
    /// Which counter.
    pub counter: Option<String>,
    zone: String,
    active: bool,
    mode: PlanMode,
    next_due_at: Option<Date>,
    next_due_counter: Option<Number>,
}

/// What production answers.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The cell, of a machine.
    pub cell: Option<String>,
    /// What the counter shows.
    pub now: Option<Decimal>,
    /// How much it moves on in a day.
    pub daily: Option<Decimal>,
}

/// What every plan needs, in whatever scope: production is asked only about counters.
///
/// # Errors
/// SQLite's.
pub fn needs(conn: &Connection) -> rusqlite::Result<Vec<Need>> {
    let mut st = conn.prepare_cached("SELECT doc FROM plan_doc ORDER BY id")?;
    let mut all = Vec::new();
    for doc in st.query_map([], |r| r.get::<_, String>(0))? {
        let Ok(p) = serde_json::from_str::<Plan>(&doc?) else { continue };
        all.push(Need {
            plan: p.id,
            owner: p.owner(),
            counter: p.counter.as_ref().map(|c| c.name.clone()),
            zone: p.zone,
            active: p.state == PlanState::Active,
            mode: p.mode,
            next_due_at: p.next_due_at,
            next_due_counter: p.next_due_counter,
        });
    }
    Ok(all)
}

const DAY_MS: i64 = 86_400_000;
/// Further than that no forecast reaches: 100 years.
const FURTHEST_DAYS: i64 = 36_525;

impl Need {
    /// When its counter will be where it makes the plan due: today where it is there already.
    fn counter_date(&self, r: &Reading, now: Instant) -> Option<Date> {
        let left = self.next_due_counter?.decimal() - r.now?;
        if left <= Decimal::ZERO {
            return Some(now.date_in(&self.zone));
        }
        let days = left.checked_div(r.daily.filter(|d| *d > Decimal::ZERO)?)?;
        let ms = (days * Decimal::from(DAY_MS)).round();
        let ms = i64::try_from(ms).ok().filter(|ms| *ms <= FURTHEST_DAYS * DAY_MS)?;
        Some(now.plus_millis(ms).date_in(&self.zone))
    }

    /// The day on which it will be due, and whether that is over.
    fn forecast(&self, r: &Reading, now: Instant) -> (Option<Date>, bool) {
        if !self.active {
            return (None, false);
        }
        let today = now.date_in(&self.zone);
        let (day, counter) = (self.next_due_at, self.counter_date(r, now));
        let day_over = day.map(|d| d < today);
        let counter_over = self.next_due_counter.map(|n| r.now.is_some_and(|now| now > n.decimal()));
        let has = (self.next_due_at.is_some(), self.next_due_counter.is_some());
        match (has, self.mode) {
            ((true, true), PlanMode::Both) => {
                let later = day.zip(counter).map(|(d, c)| d.max(c));
                (later, day_over == Some(true) && counter_over == Some(true))
            }
            _ => {
                let first = day.into_iter().chain(counter).min();
                (first, day_over == Some(true) || counter_over == Some(true))
            }
        }
    }
}

/// What each plan's counter shows, and the day on which the plan will be due: the `a` of [`PLANS`].
pub fn forecasts(needs: &[Need], readings: &[Reading], now: Instant) -> Value {
    let mut all = Map::new();
    for (need, r) in needs.iter().zip(readings) {
        let (day, overdue) = need.forecast(r, now);
        let key: String = need.plan.as_bytes().iter().map(|b| format!("{b:02X}")).collect();
        all.insert(
            key,
            json!({
                "cell": r.cell, "counter_now": r.now.map(sort_key), "daily_use": r.daily.map(|d| sort_key(d.round_dp(4))),
                "forecast_date": day.map(|d| d.to_string()), "overdue": i32::from(overdue),
            }),
        );
    }
    Value::Object(all)
}
