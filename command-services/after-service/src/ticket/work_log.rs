//! TK-33 `ticket.log-work` and TK-34 `ticket.correct-work-log`: time that was spent on a ticket.

use mw_contract::command::ticket::{CorrectWorkLog, LogWork};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::{WorkLogCorrectedV1, WorkLoggedV1};
use mw_contract::event::ticket_parts::WorkLogV1;
use mw_contract::reference::catalogues;
use mw_contract::{AccountName, CommandType, EntityId, Instant, LogActivity, Rejection, Role, Sealed, Seconds};

use crate::rules::{Case, Facts, Holds, authorise_if, exists};
use crate::state::{AfterServiceState, WorkLog};

const HOUR: i64 = 3_600_000;

/// The longest that one log may say.
const LONGEST: i64 = 16 * HOUR;

/// How far a clock may be ahead of ours (G3).
const SKEW: i64 = 120_000;

/// Decides TK-33.
pub fn log(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &LogWork,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketLogWork, ctx)?;
    if case.ticket.logs.contains_key(&p.log_id) {
        return Err(exists(format!("log {} is there already", p.log_id)).at("payload.log_id"));
    }
    let technician = p.technician.as_ref().unwrap_or(&ctx.actor.account);
    if p.technician.is_some() && *technician != ctx.actor.account && !case.ticket.is_assigned(technician) {
        let message = format!("{technician} is not assigned to this ticket: log the time of those who are");
        return Err(Rejection::guard("TK-33", message).at("payload.technician"));
    }
    let log = WorkLogV1 { activity: p.activity, start: p.start, end: p.end, chargeable: p.chargeable };
    check(&case, "TK-33.R1", "TK-33.R2", technician, &log, None)?;
    let logged = WorkLoggedV1 {
        log_id: p.log_id,
        technician: technician.clone(),
        duration: Seconds::between(log.start, log.end),
        log,
        text: p.text.as_ref().map(Sealed::plain),
    };
    Ok(case.decided(role, vec![logged.into()]))
}

/// Decides TK-34: one's own for 24 hours, a dispatcher for 7 days from when it was logged.
pub fn correct(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &CorrectWorkLog,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    if p.activity.is_none() && p.start.is_none() && p.end.is_none() && p.chargeable.is_none() {
        return Err(Rejection::invalid("payload", "name what changes: activity, start, end or chargeable"));
    }
    let case = Case::find(facts, state, ctx)?;
    let Some(old) = case.ticket.logs.get(&p.log_id) else {
        return Err(Rejection::not_found(format!("the ticket has no log {}", p.log_id)).at("payload.log_id"));
    };
    let role = may_correct(old, ctx)?;
    let case = Case::open(facts, state, CommandType::TicketCorrectWorkLog, ctx)?;
    let (reason, _) = facts.need_reason(catalogues::TICKET, p.reason.as_ref(), p.note.as_ref())?;
    let new = WorkLogV1 {
        activity: p.activity.unwrap_or(old.log.activity),
        start: p.start.unwrap_or(old.log.start),
        end: p.end.unwrap_or(old.log.end),
        chargeable: p.chargeable.unwrap_or(old.log.chargeable),
    };
    check(&case, "TK-34", "TK-34", &old.technician, &new, Some(p.log_id))?;
    let corrected = WorkLogCorrectedV1 {
        log_id: p.log_id,
        technician: old.technician.clone(),
        old: old.log.clone(),
        new,
        reason,
        note: p.note.as_ref().map(Sealed::plain),
    };
    Ok(case.decided(role, vec![corrected.into()]))
}

/// Counted by the time of receipt: backdating opens no window again.
fn may_correct(log: &WorkLog, ctx: &DecisionContext<'_>) -> Result<Role, Rejection> {
    let hours = |role| if role == Role::Technician { 24 } else { 7 * 24 };
    let until = |role| log.recorded_at.plus_millis(hours(role) * HOUR);
    let own = log.technician == ctx.actor.account;
    let holds = Holds { own, ..Holds::default() };
    let role = authorise_if(ctx, holds, |_| true)?;
    authorise_if(ctx, holds, |r| ctx.received_at <= until(r)).map_err(|_| {
        let message = format!("a {role} can correct this log for {} hours, until {}", hours(role), until(role));
        Rejection::forbidden(message).with("until", until(role).to_string())
    })
}

/// R1: a time that was; R2: in which the technician did nothing else; T2: for which somebody pays only
/// who has agreed to.
fn check(
    case: &Case<'_>,
    r1: &'static str,
    r2: &'static str,
    technician: &AccountName,
    log: &WorkLogV1,
    this: Option<EntityId>,
) -> Result<(), Rejection> {
    let guard = |message: &str| Err(Rejection::guard(r1, message).at("payload.end"));
    if log.end <= log.start {
        return guard("work ends after it began");
    }
    if log.end.since(log.start) > LONGEST {
        return guard("one log says 16 hours at most: log each day by itself");
    }
    if log.end > case.ctx.received_at.plus_millis(SKEW) {
        return guard("work that is logged has been done: its end is not in the future");
    }
    if log.chargeable && log.activity != LogActivity::Diagnosis && case.ticket.commercial.blocks() {
        let message = "the customer has not agreed to pay: only diagnosis can be charged before a quote is approved";
        return Err(Rejection::guard("T2", message)
            .at("payload.chargeable")
            .with("commercial", case.ticket.commercial.as_str()));
    }
    alone(case, r2, technician, log, this)
}

/// R2, over this ticket and all others.
fn alone(
    case: &Case<'_>,
    rule: &'static str,
    technician: &AccountName,
    log: &WorkLogV1,
    this: Option<EntityId>,
) -> Result<(), Rejection> {
    let overlaps = |start: Instant, end: Option<Instant>| start < log.end && end.is_none_or(|e| log.start < e);
    let ticket = case.ticket;
    let guard = |what: String| Err(Rejection::guard(rule, format!("{technician} has {what} at that time")));
    let mut logs = ticket.logs.iter().filter(|(id, l)| l.technician == *technician && Some(**id) != this);
    if let Some((id, _)) = logs.find(|(_, l)| overlaps(l.log.start, Some(l.log.end))) {
        return guard(format!("log {id}")).map_err(|r| r.with("log_id", id.to_string()));
    }
    let mut sessions = ticket.sessions.iter().filter(|s| s.technician == *technician);
    if let Some(s) = sessions.find(|s| overlaps(s.started_at, s.ended_at)) {
        return guard(format!("work session {}", s.session_id))
            .map_err(|r| r.with("session_id", s.session_id.to_string()));
    }
    match case.facts.desk.busy(technician, log.start, log.end, case.ctx.aggregate_id) {
        Some((other, _)) => {
            guard(format!("other work on ticket {other}")).map_err(|r| r.with("ticket_id", other.to_string()))
        }
        None => Ok(()),
    }
}
