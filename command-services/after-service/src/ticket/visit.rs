//! TK-17 to TK-19: when somebody comes.
//!
//! A visit is the lead's. Hours in which the customer is not there, and an absence of the technician,
//! are warnings: whoever plans may know better.

use mw_contract::command::ticket::{CancelVisit, PartLine, RescheduleVisit, ScheduleVisit};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::{VisitCancelledV1, VisitRescheduledV1, VisitScheduledV1};
use mw_contract::event::ticket_parts::{PartLineV1, VisitV1};
use mw_contract::reference::{Document, catalogues};
use mw_contract::{
    AccountName, AggregateId, CommandType, EntityId, FieldError, ReferenceKind, Rejection, Role, Sealed, TicketState,
    VisitLocation, Warning,
};

use super::assignment::absent;
use crate::rules::{Case, Facts, all_valid, authorise_if, exists};
use crate::state::{AfterServiceState, Visit};

/// How far ahead a visit may be: 180 days.
const AHEAD_MS: i64 = 180 * 24 * 3_600_000;
/// The most kinds of parts that a visit names.
const MOST_PARTS: usize = 50;

/// Decides TK-17.
pub fn schedule(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &ScheduleVisit,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(&Case::find(facts, state, ctx)?)?;
    let parts = p.parts_to_bring.as_deref().unwrap_or_default();
    all_valid(shape(parts))?;
    let case = Case::open(facts, state, CommandType::TicketScheduleVisit, ctx)?;
    if case.ticket.visits.iter().any(|v| v.visit.visit_id == p.visit_id) {
        return Err(exists(format!("visit {} exists already", p.visit_id)).at("payload.visit_id"));
    }
    let Some(technician) = &case.ticket.lead else {
        return Err(Rejection::guard("T1", "nobody has the ticket: assign a technician first"));
    };
    let visit = VisitV1 {
        visit_id: p.visit_id,
        window_start: p.window_start,
        window_end: p.window_end,
        location: p.location,
    };
    let checked = check(&case, &visit, technician, p.force)?;
    let scheduled = VisitScheduledV1 {
        visit,
        technician: technician.clone(),
        parts_to_bring: parts.iter().map(|l| PartLineV1 { item_id: l.item_id.clone(), qty: l.qty }).collect(),
        customer_confirmed: p.customer_confirmed.unwrap_or(false),
        forced: checked.forced,
    };
    Ok(Decision { warnings: checked.warnings, ..case.decided(role, vec![scheduled.into()]) })
}

/// Decides TK-18: the rules of a visit hold for its new time too.
pub fn reschedule(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &RescheduleVisit,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(&Case::find(facts, state, ctx)?)?;
    let (reason, _) = facts.need_reason(catalogues::TICKET, p.reason.as_ref(), p.note.as_ref())?;
    let case = Case::open(facts, state, CommandType::TicketRescheduleVisit, ctx)?;
    let old = to_come(&case, p.visit_id, "TK-18")?;
    let new = VisitV1 { window_start: p.window_start, window_end: p.window_end, ..old.visit.clone() };
    let checked = check(&case, &new, &old.technician, p.force)?;
    let rescheduled = VisitRescheduledV1 {
        old: old.visit.clone(),
        new,
        reason,
        note: p.note.as_ref().map(Sealed::plain),
        initiator: p.initiator,
        forced: checked.forced,
    };
    Ok(Decision { warnings: checked.warnings, ..case.decided(role, vec![rescheduled.into()]) })
}

/// Decides TK-19. While another visit is to come, the ticket stays scheduled.
pub fn cancel(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &CancelVisit,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(&Case::find(facts, state, ctx)?)?;
    let (reason, _) = facts.need_reason(catalogues::TICKET, p.reason.as_ref(), p.note.as_ref())?;
    let case = Case::open(facts, state, CommandType::TicketCancelVisit, ctx)?;
    let visit = to_come(&case, p.visit_id, "TK-19")?;
    let another = |v: &Visit| v.visit.visit_id != p.visit_id && v.visit.window_end > ctx.occurred_at;
    let to_state =
        if case.ticket.open_visits().any(another) { TicketState::Scheduled } else { TicketState::Assigned };
    let note = p.note.as_ref().map(Sealed::plain);
    let cancelled = VisitCancelledV1 { visit_id: visit.visit.visit_id, reason, note, to_state };
    Ok(case.decided(role, vec![cancelled.into()]))
}

/// A technician, where the site lets it plan, plans the visits of the tickets that it leads.
fn authorise(case: &Case<'_>) -> Result<Role, Rejection> {
    let leads = case.ticket.lead.as_ref() == Some(&case.ctx.actor.account);
    let holds = case.holds(case.facts.settings(case.ctx).technician_self_assigns);
    authorise_if(case.ctx, holds, |role| role != Role::Technician || leads)
}

/// A visit that is still to come.
fn to_come<'a>(case: &Case<'a>, id: EntityId, rule: &'static str) -> Result<&'a Visit, Rejection> {
    let visit = find(case, id)?;
    match (visit.cancelled, visit.done) {
        (false, false) => Ok(visit),
        (true, _) => Err(Rejection::guard(rule, "this visit was cancelled: schedule another one")),
        (false, true) => Err(Rejection::guard(rule, "this visit has taken place: schedule another one")),
    }
}

/// A visit of the ticket.
pub(super) fn find<'a>(case: &Case<'a>, id: EntityId) -> Result<&'a Visit, Rejection> {
    case.ticket.visits.iter().find(|v| v.visit.visit_id == id).ok_or_else(|| {
        Rejection::not_found(format!("the ticket has no visit {id}")).at("payload.visit_id")
    })
}

/// The visit that a trip or a session is for: the one that is named, else the next one. Where all windows
/// have passed it is the last one: somebody comes late.
pub(super) fn meant(case: &Case<'_>, named: Option<EntityId>) -> Result<Option<EntityId>, Rejection> {
    let Some(id) = named else {
        if !matches!(case.ticket.state, TicketState::Assigned | TicketState::Scheduled) {
            return Ok(None);
        }
        let ahead = |v: &&Visit| v.visit.window_end > case.ctx.occurred_at;
        let next = case.ticket.open_visits().filter(ahead).min_by_key(|v| v.visit.window_start);
        let last = || case.ticket.open_visits().max_by_key(|v| v.visit.window_start);
        return Ok(next.or_else(last).map(|v| v.visit.visit_id));
    };
    if find(case, id)?.cancelled {
        let message = "this visit was cancelled: leave visit_id out or name another one";
        return Err(Rejection::guard("TK-19", message).at("payload.visit_id"));
    }
    Ok(Some(id))
}

/// What came out of the rules of a visit.
struct Checked {
    /// It overlaps another one, and somebody wants it all the same.
    forced: bool,
    warnings: Vec<Warning>,
}

/// TK-17.R1 to R3.
fn check(
    case: &Case<'_>,
    visit: &VisitV1,
    technician: &AccountName,
    force: Option<bool>,
) -> Result<Checked, Rejection> {
    let (now, start, end) = (case.ctx.occurred_at, visit.window_start, visit.window_end);
    if start >= end {
        return Err(Rejection::guard("TK-17.R1", "window_end must be after window_start").at("payload.window_end"));
    }
    if start <= now {
        let message = format!("window_start must be after {now}: a visit is planned ahead");
        return Err(Rejection::guard("TK-17.R1", message).at("payload.window_start"));
    }
    let last = now.plus_millis(AHEAD_MS);
    if end > last {
        let message = format!("window_end must not be after {last}: at most 180 days ahead");
        return Err(Rejection::guard("TK-17.R1", message).at("payload.window_end"));
    }
    let overlaps = overlapping(case, technician, visit);
    let mut warnings = Vec::new();
    if let Some(other) = overlaps {
        if force != Some(true) {
            let message = format!("{technician} has a visit for ticket {other} at that time: move it, or set force");
            return Err(Rejection::guard("TK-17.R2", message).with("ticket_id", other.to_string()));
        }
        warnings.push(overlap_warning(technician, other));
    }
    warnings.extend(outside_access_hours(case, visit));
    if let Some(until) = absent(case.facts, technician, start) {
        let message = format!("{technician} is absent then, until {until}");
        warnings.push(Warning { code: "technician_absent".into(), message });
    }
    Ok(Checked { forced: overlaps.is_some(), warnings })
}

/// The ticket of another visit of the technician that overlaps this one.
pub(super) fn overlapping(case: &Case<'_>, technician: &AccountName, visit: &VisitV1) -> Option<AggregateId> {
    let (start, end, except) = (visit.window_start, visit.window_end, Some(visit.visit_id));
    let others = case.facts.desk.visits_between(technician, start, end, except);
    others.first().map(|(_, other)| other.ticket_id)
}

/// Two visits at a time, as somebody wants it.
pub(super) fn overlap_warning(technician: &AccountName, other: AggregateId) -> Warning {
    let message = format!("{technician} has a visit for ticket {other} at that time");
    Warning { code: "visit_overlap".into(), message }
}

/// TK-17.R3: the window is inside the hours in which the customer lets somebody in.
fn outside_access_hours(case: &Case<'_>, visit: &VisitV1) -> Option<Warning> {
    if visit.location != VisitLocation::Site {
        return None;
    }
    let known = case.facts.known;
    let customer = known.document(ReferenceKind::Customer, case.ticket.customer_id.as_ref()?.as_str())?;
    let Document::Customer(customer) = &*customer else { return None };
    let code = customer.access_calendar.as_ref()?;
    let calendar = known.document(ReferenceKind::Calendar, code.as_str())?;
    let Document::Calendar(calendar) = &*calendar else { return None };
    let open = mw_calendar::BusinessCalendar::from_stored(&mw_calendar::snapshot(code.clone(), calendar)?);
    let length = visit.window_end.since(visit.window_start) / 1000;
    (open.between(visit.window_start, visit.window_end) < length).then(|| Warning {
        code: "outside_access_hours".into(),
        message: format!("part of the window is outside the hours of {code}, in which the customer lets somebody in"),
    })
}

fn shape(parts: &[PartLine]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if parts.len() > MOST_PARTS {
        errors.push(FieldError::new("payload.parts_to_bring", format!("has at most {MOST_PARTS} lines")));
    }
    for (i, line) in parts.iter().enumerate().filter(|(_, l)| l.qty.is_zero()) {
        let field = format!("payload.parts_to_bring[{i}].qty");
        errors.push(FieldError::new(field, format!("must be more than 0: how many {} to bring", line.item_id)));
    }
    errors
}
