//! PM-5: a maintenance plan that is due, by its calendar or by use, opens its ticket; a ticket that was
//! done makes the plan start again.
//!
//! A round of a plan begins with an event: its activation, the last maintenance, one that was left out, a
//! ticket that was cancelled. Each round opens one ticket.

use mw_contract::event::ticket_parts::{CounterTriggerV1, PlanLeadV1, PlanTemplateV1};
use mw_contract::{
    AggregateId, AggregateKind, CommandType, Context, Date, ErrorCode, Event, Instant, Number, Percent, PlanMode,
    ProductId, ResolutionCode, SiteId, Text, TicketState, unit_id,
};
use rusqlite::{Connection, OptionalExtension, params};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::manager::{Cx, Ended, Fired, Manager, Send, Wish, derived};
use crate::{outbox, tickets, timers, units};

/// The manager.
pub struct Plans;

const NAME: &str = "maintenance";
const DAY: i64 = 24 * 3_600_000;
/// Over how many days the average use is taken.
const AVERAGE_DAYS: i64 = 30;

const TABLES: &str = "
CREATE TABLE plan (
    id TEXT PRIMARY KEY, site TEXT NOT NULL, zone TEXT NOT NULL, target TEXT NOT NULL, place TEXT NOT NULL,
    due_when TEXT NOT NULL, lead TEXT NOT NULL, template TEXT NOT NULL, active INTEGER NOT NULL,
    base TEXT NOT NULL, next_counter TEXT, next_due TEXT, round TEXT, not_before INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX plan_target ON plan (target) WHERE active = 1;
CREATE TABLE counter_day (
    target TEXT NOT NULL, name TEXT NOT NULL, day INTEGER NOT NULL, at INTEGER NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (target, name, day)
) STRICT, WITHOUT ROWID;
";

/// A plan.
struct Plan {
    id: AggregateId,
    site: SiteId,
    zone: String,
    /// Whose counters count.
    target: String,
    /// The fields of a ticket that name it.
    place: Value,
    counter: Option<CounterTriggerV1>,
    has_calendar: bool,
    mode: PlanMode,
    lead: PlanLeadV1,
    template: PlanTemplateV1,
    active: bool,
    base: Decimal,
    next_counter: Option<Decimal>,
    next_due: Option<Date>,
    round: Option<Uuid>,
    not_before: Instant,
}

fn plan(tx: &Connection, id: AggregateId) -> rusqlite::Result<Option<Plan>> {
    let read = |r: &rusqlite::Row<'_>| {
        let text = |n| r.get::<_, String>(n);
        let json = |n| text(n).map(|t| serde_json::from_str::<Value>(&t).unwrap_or_default());
        let due_when = json(4)?;
        let parts = (SiteId::new(&text(0)?), serde_json::from_value(json(5)?), serde_json::from_value(json(6)?));
        let (Ok(site), Ok(lead), Ok(template)) = parts else { return Ok(None) };
        let number = |t: Option<String>| t.and_then(|n| n.parse::<Number>().ok()).map(Number::decimal);
        Ok(Some(Plan {
            id,
            site,
            zone: text(1)?,
            target: text(2)?,
            place: json(3)?,
            counter: serde_json::from_value(due_when["counter"].clone()).ok().flatten(),
            has_calendar: !due_when["calendar"].is_null(),
            mode: due_when["mode"].as_str().and_then(|m| m.parse().ok()).unwrap_or(PlanMode::WhicheverFirst),
            lead,
            template,
            active: r.get(7)?,
            base: number(Some(text(8)?)).unwrap_or_default(),
            next_counter: number(r.get(9)?),
            next_due: r.get::<_, Option<String>>(10)?.and_then(|d| d.parse().ok()),
            round: r.get::<_, Option<String>>(11)?.and_then(|e| e.parse().ok()),
            not_before: Instant::clamped(r.get(12)?),
        }))
    };
    let found = tx
        .prepare_cached(
            "SELECT site, zone, target, place, due_when, lead, template, active, base, next_counter, next_due, round,
                not_before FROM plan WHERE id = ?1",
        )?
        .query_row([id.to_string()], read)
        .optional()?;
    Ok(found.flatten())
}

/// Whose counters a machine or unit has.
fn target(kind: AggregateKind, id: AggregateId) -> String {
    format!("{kind}/{id}")
}

/// What a counter showed in all at a moment; before the first reading there is none.
fn value_at(tx: &Connection, target: &str, name: &str, at: Instant) -> rusqlite::Result<Option<Decimal>> {
    let text: Option<String> = tx
        .prepare_cached(
            "SELECT value FROM counter_day WHERE target = ?1 AND name = ?2 AND day <= ?3 ORDER BY day DESC LIMIT 1",
        )?
        .query_row(params![target, name, at.millis() / DAY], |r| r.get(0))
        .optional()?;
    Ok(text.and_then(|t| t.parse::<Number>().ok()).map(Number::decimal))
}

/// Use a day, over the last 30 days before the last reading.
fn use_a_day(tx: &Connection, target: &str, name: &str) -> rusqlite::Result<Option<Decimal>> {
    let mut q = tx.prepare_cached(
        "SELECT at, value FROM counter_day WHERE target = ?1 AND name = ?2
            AND day >= (SELECT max(day) FROM counter_day WHERE target = ?1 AND name = ?2) - ?3 ORDER BY day",
    )?;
    let points = q
        .query_map(params![target, name, AVERAGE_DAYS], |r| Ok((r.get::<_, i64>(0)?, r.get::<_, String>(1)?)))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let (Some((from, first)), Some((to, last))) = (points.first(), points.last()) else { return Ok(None) };
    let (Ok(first), Ok(last)) = (first.parse::<Number>(), last.parse::<Number>()) else { return Ok(None) };
    let days = Decimal::from(to - from) / Decimal::from(DAY);
    Ok((days >= Decimal::ONE).then(|| (last.decimal() - first.decimal()) / days))
}

fn percent(p: Percent) -> Decimal {
    p.to_string().parse::<Number>().map_or(Decimal::ZERO, Number::decimal)
}

/// What makes a plan due, and the day where that is one.
#[derive(Clone, Copy)]
enum Why {
    Calendar,
    Counter,
    /// On that day, by the use so far.
    Forecast(Date),
}

/// What makes a plan due, if it is.
fn why(tx: &Connection, p: &Plan, now: Instant) -> rusqlite::Result<Option<Why>> {
    let lead_days = p.lead.days.unwrap_or(0);
    let by_calendar = p
        .next_due
        .filter(|_| p.has_calendar)
        .is_some_and(|d| d.days_since(now.date_in(&p.zone)) <= i32::from(lead_days));
    let by_use = match &p.counter {
        Some(c) => by_use(tx, p, c, now)?,
        None => None,
    };
    let both = p.mode == PlanMode::Both && p.has_calendar && p.counter.is_some();
    Ok(match (by_calendar, by_use) {
        (true, Some(Why::Counter)) if both => Some(Why::Calendar),
        (true, forecast) if both => forecast,
        _ if both => None,
        (_, Some(why)) => Some(why),
        (true, None) => Some(Why::Calendar),
        (false, None) => None,
    })
}

fn by_use(tx: &Connection, p: &Plan, c: &CounterTriggerV1, now: Instant) -> rusqlite::Result<Option<Why>> {
    let next = p.next_counter.unwrap_or(p.base + c.every.decimal());
    let tolerance = c.every.decimal() * percent(c.tolerance_pct) / Decimal::ONE_HUNDRED;
    let early = p.lead.counter.map_or(tolerance, |l| l.decimal().max(tolerance));
    let Some(value) = value_at(tx, &p.target, c.name.as_str(), now)? else { return Ok(None) };
    if value >= next - early {
        return Ok(Some(Why::Counter));
    }
    let Some(lead) = p.lead.days.filter(|d| *d > 0) else { return Ok(None) };
    let Some(rate) = use_a_day(tx, &p.target, c.name.as_str())?.filter(|r| *r > Decimal::ZERO) else {
        return Ok(None);
    };
    let days = ((next - value) / rate).ceil();
    Ok((days <= Decimal::from(lead)).then(|| {
        let days: i64 = days.to_string().parse().unwrap_or(0);
        Why::Forecast(now.plus_millis(days * DAY).date_in(&p.zone))
    }))
}

/// Says whether a plan wants its ticket now.
fn decide(tx: &Connection, id: AggregateId, now: Instant) -> rusqlite::Result<()> {
    let Some(p) = plan(tx, id)? else { return Ok(()) };
    let key = id.to_string();
    let is_open = tickets::of_plan(tx, id)?.iter().any(|t| !t.is_over() && t.state != TicketState::Resolved);
    let Some(round) = p.round.filter(|_| p.active && !is_open) else { return outbox::want(tx, NAME, &key, &[]) };
    let opened = outbox::outcome(tx, &outbox::id(NAME, round, "open"))?.is_some();
    if opened || now < p.not_before || why(tx, &p, now)?.is_none() {
        return outbox::want(tx, NAME, &key, &[]);
    }
    let owner = match p.target.strip_prefix("unit/").map(str::parse) {
        Some(Ok(unit)) => units::unit(tx, unit)?.and_then(|u| u.customer),
        _ => None,
    };
    outbox::want(tx, NAME, &key, &[open(&p, round, owner)])
}

fn open(p: &Plan, round: Uuid, owner: Option<String>) -> Wish {
    let part = |x: &mw_contract::event::ticket_parts::PlanPartV1| format!("{} {} {}", x.qty, x.uom.as_str(), x.item_id);
    let parts: Vec<String> = p.template.parts.iter().map(part).collect();
    let mut payload = p.place.clone();
    payload["kind"] = json!("preventive");
    payload["channel"] = json!("plan");
    payload["title"] = json!(p.template.title);
    payload["description"] = if parts.is_empty() { Value::Null } else { json!(format!("Parts: {}", parts.join(", "))) };
    payload["customer_id"] = p.template.customer_id.as_ref().map_or(json!(owner), |c| json!(c));
    payload["plan_id"] = json!(p.id);
    payload["checklist"] = json!(p.template.checklist);
    payload["estimated_effort"] = json!(p.template.estimated_effort);
    payload["signature_required"] = json!(p.template.signature_required);
    payload["dedupe_key"] = json!(format!("plan:{}:{round}", p.id));
    Wish {
        trigger: round,
        step: "open".into(),
        site: p.site.clone(),
        command: CommandType::TicketOpen,
        aggregate: AggregateId(derived(&format!("{NAME}:{round}:ticket"))),
        expected_version: None,
        payload,
    }
}

/// A command on a plan.
fn tell(cx: &Cx<'_>, p: &Plan, step: &str, command: CommandType, payload: Value) -> rusqlite::Result<()> {
    let send = Send {
        trigger: cx.id(),
        step,
        site: &p.site,
        command,
        aggregate: p.id,
        expected_version: None,
        occurred_at: None,
        payload,
    };
    cx.send(NAME, &send)
}

/// The next day begins.
fn tick(tx: &Connection, p: &Plan, now: Instant, trigger: Uuid) -> rusqlite::Result<()> {
    let (_, next) = now.date_in(&p.zone).span_in(&p.zone);
    timers::set(tx, NAME, &p.id.to_string(), next, trigger)
}

fn new_round(cx: &Cx<'_>, id: AggregateId, not_before: Instant) -> rusqlite::Result<()> {
    cx.tx
        .prepare_cached("UPDATE plan SET round = ?2, not_before = ?3 WHERE id = ?1")?
        .execute(params![id.to_string(), cx.id().to_string(), not_before.millis()])
        .map(drop)
}

fn set(cx: &Cx<'_>, column: &str, value: &str) -> rusqlite::Result<()> {
    cx.tx
        .prepare_cached(&format!("UPDATE plan SET {column} = ?2 WHERE id = ?1"))?
        .execute([&cx.aggregate().to_string(), value])
        .map(drop)
}

/// A counter was read.
fn counted(cx: &Cx<'_>, kind: AggregateKind, name: &str, value: Number) -> rusqlite::Result<()> {
    let (tx, target, at) = (cx.tx, target(kind, cx.aggregate()), cx.at());
    tx.prepare_cached(
        "INSERT INTO counter_day VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET at = excluded.at, value = excluded.value
            WHERE excluded.at >= counter_day.at",
    )?
    .execute(params![target, name, at.millis() / DAY, at.millis(), value.to_string()])?;
    let mut q = tx.prepare_cached("SELECT id FROM plan WHERE target = ?1 AND active = 1 ORDER BY id")?;
    let ids = q.query_map([&target], |r| r.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    ids.iter().filter_map(|id| id.parse().ok()).try_for_each(|id| decide(tx, id, cx.commit.head.recorded_at))
}

/// What happened to a plan.
fn of_plan(cx: &Cx<'_>, event: &Event) -> rusqlite::Result<()> {
    let (tx, id) = (cx.tx, cx.aggregate());
    match event {
        Event::PlanCreated(e) => {
            let t = &e.target;
            let unit = |product: &ProductId, serial: &Text<60>| target(AggregateKind::Unit, unit_id(product, serial));
            let whose = match (t.equipment_id, &t.serial, &t.product_id) {
                (Some(machine), ..) => target(AggregateKind::Equipment, machine),
                (None, Some(serial), Some(product)) => unit(product, serial),
                _ => String::new(),
            };
            let place = json!({"equipment_id": t.equipment_id, "serial": t.serial, "product_id": t.product_id});
            let base = e.last_done.as_ref().and_then(|d| d.counter).unwrap_or(Number::ZERO);
            tx.prepare_cached(
                "INSERT OR REPLACE INTO plan VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9, NULL, NULL, NULL, 0)",
            )?
            .execute(params![
                id.to_string(),
                e.site_id.as_str(),
                e.time_zone.as_str(),
                whose,
                place.to_string(),
                json!(e.trigger).to_string(),
                json!(e.lead).to_string(),
                json!(e.template).to_string(),
                base.to_string()
            ])?;
        }
        Event::PlanAmended(e) => {
            for (column, value) in [
                ("due_when", e.trigger.as_ref().map(|t| json!(t).to_string())),
                ("lead", e.lead.as_ref().map(|l| json!(l).to_string())),
                ("template", e.template.as_ref().map(|t| json!(t).to_string())),
                ("next_due", e.next_due.map(|d| d.to_string())),
            ] {
                value.map_or(Ok(()), |v| set(cx, column, &v))?;
            }
            if e.trigger.is_some() {
                tx.prepare_cached("UPDATE plan SET next_counter = NULL WHERE id = ?1")?.execute([id.to_string()])?;
            }
        }
        Event::PlanActivated(e) => {
            tx.prepare_cached("UPDATE plan SET active = 1, next_due = coalesce(?2, next_due) WHERE id = ?1")?
                .execute(params![id.to_string(), e.next_due.map(|d| d.to_string())])?;
            new_round(cx, id, Instant::clamped(0))?;
        }
        Event::PlanSuspended(_) => {
            tx.prepare_cached("UPDATE plan SET active = 0 WHERE id = ?1")?.execute([id.to_string()])?;
        }
        Event::PlanDone(e) => {
            if let Some(n) = e.counter {
                set(cx, "base", &n.to_string())?;
            }
            next(cx, e.next_due, e.next_counter)?;
        }
        Event::PlanSkipped(e) => {
            // Left out is done without having been done: the count goes on from where it was due.
            if let Some(p) = plan(tx, id)?
                && let Some(c) = &p.counter
                && let Some(base) = Number::new(p.next_counter.unwrap_or(p.base + c.every.decimal()))
            {
                set(cx, "base", &base.to_string())?;
            }
            next(cx, e.next_due, e.next_counter)?;
        }
        _ => return Ok(()),
    }
    match plan(tx, id)?.filter(|p| p.active) {
        Some(p) => tick(tx, &p, cx.commit.head.recorded_at, cx.id())?,
        None => timers::clear(tx, NAME, &id.to_string())?,
    }
    decide(tx, id, cx.commit.head.recorded_at)
}

fn next(cx: &Cx<'_>, due: Option<Date>, counter: Option<Number>) -> rusqlite::Result<()> {
    cx.tx.prepare_cached("UPDATE plan SET next_due = ?2, next_counter = ?3 WHERE id = ?1")?.execute(params![
        cx.aggregate().to_string(),
        due.map(|d| d.to_string()),
        counter.map(|n| n.to_string())
    ])?;
    new_round(cx, cx.aggregate(), Instant::clamped(0))
}

/// What happened to the ticket of a plan.
fn of_ticket(cx: &Cx<'_>, event: &Event) -> rusqlite::Result<()> {
    let tx = cx.tx;
    let Some(t) = tickets::ticket(tx, cx.aggregate())? else { return Ok(()) };
    let Some(p) = t.plan.map(|id| plan(tx, id)).transpose()?.flatten() else { return Ok(()) };
    let now = cx.commit.head.recorded_at;
    let undone = |cx: &Cx<'_>| {
        let (_, tomorrow) = now.date_in(&p.zone).span_in(&p.zone);
        new_round(cx, p.id, tomorrow)
    };
    let counter = |at: Instant| -> rusqlite::Result<Option<Number>> {
        match &p.counter {
            Some(c) => Ok(value_at(tx, &p.target, c.name.as_str(), at)?.and_then(Number::new)),
            None => Ok(None),
        }
    };
    match event {
        Event::TicketOpened(_) => {
            let next = p.counter.as_ref().map(|c| p.next_counter.unwrap_or(p.base + c.every.decimal()));
            let otherwise = if p.has_calendar { Why::Calendar } else { Why::Counter };
            let (cause, due_on) = match why(tx, &p, now)?.unwrap_or(otherwise) {
                Why::Calendar => ("calendar", p.next_due),
                Why::Counter => ("counter", None),
                Why::Forecast(day) => ("forecast", Some(day)),
            };
            let payload = json!({
                "cause": cause,
                "due_on": due_on,
                "due_counter": next.and_then(Number::new),
                "counter_value": counter(now)?,
                "ticket_id": t.id,
            });
            tell(cx, &p, "due", CommandType::MaintenancePlanMarkDue, payload)?;
        }
        Event::TicketResolved(e) if e.resolution_code != ResolutionCode::Declined => {
            let payload = json!({
                "done_on": cx.at().date_in(&p.zone),
                "counter": counter(cx.at())?,
                "ticket_id": t.id,
            });
            tell(cx, &p, "done", CommandType::MaintenancePlanMarkDone, payload)?;
        }
        // Nobody has done it: it is due again with the next day.
        Event::TicketResolved(_) | Event::TicketCancelled(_) => undone(cx)?,
        _ => {}
    }
    decide(tx, p.id, now)
}

impl Manager for Plans {
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
        match event {
            Event::CounterRecorded(e) => counted(cx, AggregateKind::Equipment, e.name.as_str(), e.cumulative),
            Event::ReadingRecorded(e) => counted(cx, AggregateKind::Unit, e.name.as_str(), e.cumulative),
            _ => match cx.event.event.stream.kind {
                AggregateKind::MaintenancePlan => of_plan(cx, event),
                AggregateKind::Ticket => of_ticket(cx, event),
                _ => Ok(()),
            },
        }
    }

    /// A day has begun.
    fn fire(&self, f: &Fired<'_>) -> rusqlite::Result<()> {
        let Ok(id) = f.timer.key.parse::<AggregateId>() else { return Ok(()) };
        if let Some(p) = plan(f.tx, id)?.filter(|p| p.active) {
            tick(f.tx, &p, f.now, f.timer.trigger)?;
        }
        decide(f.tx, id, f.now)
    }

    fn ended(&self, e: &Ended<'_>) -> rusqlite::Result<bool> {
        // A plan that was done or changed by hand meanwhile needs no word of it.
        let overtaken = e.commit.head.command_type.starts_with("maintenance-plan.")
            && matches!(e.refused, Some(ErrorCode::InvalidState | ErrorCode::GuardFailed));
        Ok(overtaken || matches!(e.refused, None | Some(ErrorCode::AlreadyExists)))
    }
}
