//! PM-4: warns when so much of a clock's time is used up, says when all of it is, and escalates.
//!
//! A timer belongs to the run of a clock that set it: whatever changes the clock takes its timers away.

use mw_calendar::BusinessCalendar;
use mw_contract::{
    AggregateId, AggregateKind, CommandType, Context, ErrorCode, Event, Instant, SlaClock, TicketState, Visibility,
};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;

use crate::manager::{Cx, Ended, Fired, Manager};
use crate::tickets::{self, Ticket};
use crate::{outbox, timers};

/// The manager.
pub struct Sla;

const NAME: &str = "sla";
/// The longest that the time of a command lies back.
const OLDEST: i64 = 30 * 24 * 3_600_000;

const TABLES: &str = "
CREATE TABLE clock (
    ticket TEXT NOT NULL, clock TEXT NOT NULL, cycle INTEGER NOT NULL, target INTEGER NOT NULL, due INTEGER,
    warned INTEGER NOT NULL, breached INTEGER NOT NULL, PRIMARY KEY (ticket, clock)
) STRICT, WITHOUT ROWID;
";

/// A clock of a ticket.
#[derive(Clone, Copy)]
struct Clock {
    clock: SlaClock,
    cycle: u16,
    target: i64,
    due: Option<Instant>,
    /// The highest share of which somebody was warned.
    warned: u8,
    breached: bool,
}

fn prefix(ticket: AggregateId, clock: SlaClock) -> String {
    format!("{ticket}/{clock}/")
}

fn clock(tx: &Connection, ticket: AggregateId, clock: SlaClock) -> rusqlite::Result<Option<Clock>> {
    tx.prepare_cached("SELECT cycle, target, due, warned, breached FROM clock WHERE ticket = ?1 AND clock = ?2")?
        .query_row([&ticket.to_string(), clock.as_str()], |r| {
            let due = r.get::<_, Option<i64>>(2)?.map(Instant::clamped);
            Ok(Clock { clock, cycle: r.get(0)?, target: r.get(1)?, due, warned: r.get(3)?, breached: r.get(4)? })
        })
        .optional()
}

/// Keeps a clock and sets its timers anew.
fn keep(cx: &Cx<'_>, c: Clock) -> rusqlite::Result<()> {
    let (tx, ticket) = (cx.tx, cx.aggregate());
    tx.prepare_cached("INSERT OR REPLACE INTO clock VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute(params![
        ticket.to_string(),
        c.clock.as_str(),
        c.cycle,
        c.target,
        c.due.map(Instant::millis),
        c.warned,
        c.breached
    ])?;
    let prefix = prefix(ticket, c.clock);
    timers::clear_all(tx, NAME, &prefix)?;
    let (Some(due), Some(policy)) = (c.due, tickets::policy(tx, ticket)?) else { return Ok(()) };
    let calendar = BusinessCalendar::from_stored(&policy.calendar);
    let set = |what: &str, at: Option<Instant>| match at {
        Some(at) => cx.timer(NAME, &format!("{prefix}{what}"), at),
        None => Ok(()),
    };
    if c.breached {
        let level = tickets::ticket(tx, ticket)?.map_or(0, |t| t.level);
        for (n, at) in [(2, c.target / 2), (3, c.target)].into_iter().filter(|(n, _)| *n > level) {
            set(&format!("level{n}"), calendar.add(due, at))?;
        }
        return Ok(());
    }
    let target = policy.targets.iter().find(|t| t.clock == c.clock);
    for pct in target.map(|t| t.warn_pct.as_slice()).unwrap_or_default() {
        if *pct > c.warned && *pct < 100 {
            set(&format!("warn{pct}"), calendar.add(due, -(c.target * i64::from(100 - pct) / 100)))?;
        }
    }
    set("due", Some(due))
}

fn change(cx: &Cx<'_>, which: SlaClock, f: impl FnOnce(&mut Clock)) -> rusqlite::Result<()> {
    match clock(cx.tx, cx.aggregate(), which)? {
        Some(mut c) => {
            f(&mut c);
            keep(cx, c)
        }
        None => Ok(()),
    }
}

impl Clock {
    /// It goes on, or waits to, with so much time: what no longer holds of it is forgotten, so that it warns
    /// and breaches anew.
    fn with(&mut self, remaining_s: i64, due: Option<Instant>) {
        self.due = due;
        self.breached &= remaining_s <= 0;
        let used = self.target.saturating_sub(remaining_s);
        if used.saturating_mul(100) < self.target.saturating_mul(i64::from(self.warned)) {
            self.warned = 0;
        }
    }
}

fn stop(cx: &Cx<'_>, which: SlaClock) -> rusqlite::Result<()> {
    change(cx, which, |c| c.due = None)
}

/// A clock that is known from the policy alone.
fn unknown(cx: &Cx<'_>, which: SlaClock) -> rusqlite::Result<Option<Clock>> {
    let target = tickets::policy(cx.tx, cx.aggregate())?
        .and_then(|p| p.targets.into_iter().find(|t| t.clock == which))
        .map(|t| t.target.0 as i64);
    let cycle: u16 = cx
        .tx
        .prepare_cached("SELECT coalesce(max(cycle), 1) FROM clock WHERE ticket = ?1")?
        .query_row([cx.aggregate().to_string()], |r| r.get(0))?;
    Ok(target.map(|target| Clock { clock: which, cycle, target, due: None, warned: 0, breached: false }))
}

fn escalate(tx: &Connection, t: &Ticket, trigger: uuid::Uuid, which: SlaClock, level: u8) -> rusqlite::Result<()> {
    let text = match level {
        1 => format!("The time for {which} is used up."),
        2 => format!("The time for {which} is exceeded by half."),
        _ => format!("The time for {which} is exceeded twofold."),
    };
    let payload = json!({"level": level, "reason": text});
    let step = format!("escalate:{which}:{level}");
    outbox::push(tx, NAME, &t.wish(trigger, &step, CommandType::TicketEscalate, payload).send())
}

impl Manager for Sla {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static str {
        TABLES
    }

    fn contexts(&self) -> &'static [Context] {
        &[Context::AfterService]
    }

    fn on(&self, cx: &Cx<'_>, event: &Event) -> rusqlite::Result<()> {
        if cx.event.event.stream.kind != AggregateKind::Ticket {
            return Ok(());
        }
        let (tx, id) = (cx.tx, cx.aggregate());
        match event {
            Event::SlaStarted(e) => {
                tx.prepare_cached("DELETE FROM clock WHERE ticket = ?1")?.execute([id.to_string()])?;
                timers::clear_all(tx, NAME, &format!("{id}/"))?;
                e.clocks.iter().try_for_each(|c| {
                    let (clock, target) = (c.clock, c.target.0 as i64);
                    keep(cx, Clock { clock, cycle: e.cycle, target, due: c.due, warned: 0, breached: false })
                })
            }
            Event::SlaPolicyApplied(e) => {
                // What has no target any more does not count on.
                let gone = |c: &&SlaClock| !e.clocks.iter().any(|n| n.clock == **c);
                SlaClock::ALL.iter().filter(gone).try_for_each(|c| stop(cx, *c))?;
                e.clocks.iter().try_for_each(|c| {
                    let known = match clock(tx, id, c.clock)? {
                        Some(k) => Some(k),
                        None => unknown(cx, c.clock)?,
                    };
                    let Some(known) = known else { return Ok(()) };
                    // The shares are of another time now.
                    let mut new = Clock { target: c.target.0 as i64, warned: 0, ..known };
                    new.with(c.remaining_s, c.due);
                    keep(cx, new)
                })
            }
            Event::SlaPaused(e) => change(cx, e.clock, |c| c.with(e.remaining_s, None)),
            Event::SlaResumed(e) => {
                let known = match clock(tx, id, e.clock)? {
                    Some(k) => Some(k),
                    None => unknown(cx, e.clock)?,
                };
                let Some(mut known) = known else { return Ok(()) };
                known.with(e.remaining_s, Some(e.due));
                keep(cx, known)
            }
            Event::SlaWarningRaised(e) => change(cx, e.clock, |c| c.warned = c.warned.max(e.pct)),
            Event::SlaBreached(e) => {
                // What was stopped too late has breached, and does not count on.
                change(cx, e.clock, |c| (c.breached, c.due) = (true, c.due.map(|_| e.due)))?;
                match tickets::ticket(tx, id)?.filter(|t| t.level < 1) {
                    Some(t) => escalate(tx, &t, cx.id(), e.clock, 1),
                    None => Ok(()),
                }
            }
            // What stops it says so itself.
            Event::SlaBreachRevoked(e) => change(cx, e.clock, |c| c.breached = false),
            Event::SlaMet(e) => stop(cx, e.clock),
            // What is reached needs no timer any more, also if it is taken back later.
            Event::TicketEscalated(e) => SlaClock::ALL.iter().try_for_each(|c| {
                (2..=e.level).try_for_each(|n| timers::clear(tx, NAME, &format!("{}level{n}", prefix(id, *c))))
            }),
            // A breached clock is stopped without a word of it.
            Event::CommentAdded(e) if e.by_staff && e.visibility == Visibility::Public => {
                stop(cx, SlaClock::FirstResponse)
            }
            Event::QuoteSubmitted(_) => stop(cx, SlaClock::FirstResponse),
            Event::TechnicianAssigned(_) => match tickets::policy(tx, id)?.is_some_and(|p| p.response_by_assignment) {
                true => stop(cx, SlaClock::FirstResponse),
                false => Ok(()),
            },
            Event::TechnicianArrived(_) | Event::WorkStarted(_) => stop(cx, SlaClock::OnSite),
            Event::TicketResolved(_) => {
                stop(cx, SlaClock::Resolution)?;
                stop(cx, SlaClock::Update)
            }
            Event::TicketClosed(_) | Event::TicketCancelled(_) | Event::TicketReopened(_) => {
                SlaClock::ALL.iter().try_for_each(|c| stop(cx, *c))
            }
            _ => Ok(()),
        }
    }

    fn fire(&self, f: &Fired<'_>) -> rusqlite::Result<()> {
        let mut parts = f.timer.key.splitn(3, '/');
        let (Some(Ok(id)), Some(Ok(which)), Some(what)) =
            (parts.next().map(str::parse), parts.next().map(str::parse), parts.next())
        else {
            return Ok(());
        };
        let Some(t) = tickets::ticket(f.tx, id)?.filter(|t| t.state != TicketState::Cancelled) else { return Ok(()) };
        let Some(c) = clock(f.tx, id, which)?.filter(|c| c.due.is_some()) else { return Ok(()) };
        let step = format!("{which}:{what}:{}", f.timer.due.millis());
        let wish = match what {
            "due" => {
                let payload = json!({"clock": which, "cycle": c.cycle});
                t.wish(f.timer.trigger, &step, CommandType::TicketBreachSla, payload)
            }
            _ => match (what.strip_prefix("warn"), what.strip_prefix("level").and_then(|n| n.parse().ok())) {
                (Some(pct), _) => {
                    let payload = json!({"clock": which, "cycle": c.cycle, "pct": pct.parse().unwrap_or(0u8)});
                    t.wish(f.timer.trigger, &step, CommandType::TicketRaiseSlaWarning, payload)
                }
                (None, Some(level)) if c.breached => return escalate(f.tx, &t, f.timer.trigger, which, level),
                _ => return Ok(()),
            },
        };
        let mut send = wish.send();
        // The decider's clock may be a moment behind this one; how far anything is backdated has its limit.
        send.occurred_at = Some(f.timer.due.max(f.now.plus_millis(-OLDEST)));
        outbox::push(f.tx, NAME, &send)
    }

    fn ended(&self, e: &Ended<'_>) -> rusqlite::Result<bool> {
        // The ticket went on before it heard of it: then there is nothing to warn of.
        Ok(matches!(
            e.refused,
            None | Some(ErrorCode::AlreadyExists | ErrorCode::InvalidState | ErrorCode::GuardFailed)
        ))
    }
}
