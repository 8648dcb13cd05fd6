//! TK-23 to TK-25: sessions of work.
//!
//! T2: what the customer would have to pay for does not begin before it said yes; looking for the
//! fault may. T3: a technician is at work in one place. A device that was offline tells what was; then
//! a second session is kept, and somebody is told.

use mw_contract::command::ticket::{PauseWork, ResumeWork, StartWork};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::{WorkClashNoticedV1, WorkPausedV1, WorkResumedV1, WorkStartedV1};
use mw_contract::reference::{Document, catalogues};
use mw_contract::{
    AccountName, CommandType, EntityId, ErrorCode, Event, ReasonCode, ReferenceKind, Rejection, RmaState, Sealed,
    Seconds, ServiceMode, Warning, WorkActivity,
};

use super::travel::{acting, arrival, check_geo};
use super::visit;
use crate::rules::{Case, Facts, all_valid, exists, not_before};
use crate::state::AfterServiceState;

/// Decides TK-23. Whoever begins to work is there: the trip under way ends as arrived.
pub fn start(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &StartWork,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let mut errors = Vec::new();
    check_geo(&mut errors, p.geo.as_ref());
    all_valid(errors)?;
    let case = Case::open(facts, state, CommandType::TicketStartWork, ctx)?;
    let technician = acting(&case)?;
    let mut begun = begin(&case, p.session_id, p.activity, technician)?;
    if p.safety_check.is_none() && needs_safety_check(&case) {
        let message = "this class of machine is made safe before work: give a safety_check";
        return Err(Rejection::guard("TK-23.R3", message).at("payload.safety_check"));
    }
    if p.safety_check.as_ref().is_some_and(|s| !s.lockout && s.permit_ref.is_none()) {
        let message = "the machine is not locked out, and there is no permit".to_owned();
        begun.warnings.push(Warning { code: "not_locked_out".into(), message });
    }
    if !unit_is_here(&case) {
        let message = "the unit has not come to the workshop yet: receive it with ticket.receive-return";
        return Err(Rejection::guard("TK-23.R4", message));
    }
    let trip = case.ticket.trips.last().filter(|_| case.ticket.state == mw_contract::TicketState::Travelling);
    let named = p.visit_id.or_else(|| trip.and_then(|t| t.visit_id));
    let visit_id = visit::meant(&case, named)?;
    let mut events: Vec<Event> = Vec::new();
    if let Some(t) = case.ticket.open_trip() {
        events.push(arrival(&case, t)?.into());
    }
    let started = WorkStartedV1 {
        session_id: p.session_id,
        activity: p.activity,
        technician: technician.clone(),
        visit_id,
        lockout: p.safety_check.as_ref().map(|s| s.lockout),
        permit_ref: p.safety_check.as_ref().and_then(|s| s.permit_ref.clone()),
        geo: p.geo.clone(),
    };
    events.push(started.into());
    events.extend(begun.clashes);
    Ok(Decision { warnings: begun.warnings, ..case.decided(role, events) })
}

/// Decides TK-24.
pub fn pause(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &PauseWork,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let reason = pause_reason(facts, p)?;
    let case = Case::open(facts, state, CommandType::TicketPauseWork, ctx)?;
    let session = case.ticket.session(p.session_id).ok_or_else(|| {
        Rejection::not_found(format!("the ticket has no session {}", p.session_id)).at("payload.session_id")
    })?;
    if !session.is_open() {
        return Err(Rejection::guard("TK-24", "this session has ended already"));
    }
    not_before(ctx.occurred_at, session.started_at, "the session would end before it began")?;
    let paused = WorkPausedV1 {
        session_id: p.session_id,
        technician: session.technician.clone(),
        reason,
        note: p.note.as_ref().map(Sealed::plain),
        duration: Seconds::between(session.started_at, ctx.occurred_at),
    };
    Ok(case.decided(role, vec![paused.into()]))
}

/// Decides TK-25: the technician's own last session goes on as a new one.
pub fn resume(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &ResumeWork,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketResumeWork, ctx)?;
    let technician = acting(&case)?;
    let mine = case.ticket.sessions.iter().rev().find(|s| s.technician == *technician && s.cycle == case.ticket.cycle);
    let Some(before) = mine else {
        let message = format!("{technician} has not worked on it yet: use ticket.start-work");
        return Err(Rejection::guard("TK-25", message));
    };
    let activity = p.activity.unwrap_or(before.activity);
    let begun = begin(&case, p.session_id, activity, technician)?;
    // Offline, the last session may still be open: then nothing was paused.
    let paused_at = before.ended_at.unwrap_or(ctx.occurred_at);
    not_before(ctx.occurred_at, paused_at, "the pause would end before it began")?;
    let resumed = WorkResumedV1 {
        session_id: p.session_id,
        activity,
        technician: technician.clone(),
        paused_for: Seconds::between(paused_at, ctx.occurred_at),
    };
    let events = std::iter::once(resumed.into()).chain(begun.clashes).collect();
    Ok(Decision { warnings: begun.warnings, ..case.decided(role, events) })
}

/// What comes with a session that begins.
struct Begun {
    clashes: Vec<Event>,
    warnings: Vec<Warning>,
}

/// TK-23.R1 and R2, for a start and a resumption alike.
fn begin(
    case: &Case<'_>,
    session_id: EntityId,
    activity: WorkActivity,
    technician: &AccountName,
) -> Result<Begun, Rejection> {
    if case.ticket.session(session_id).is_some() {
        return Err(exists(format!("session {session_id} exists already")).at("payload.session_id"));
    }
    let commercial = case.ticket.commercial;
    if activity != WorkActivity::Diagnosis && commercial.blocks() {
        let message = format!("{activity} has to wait (T2): commercial is {commercial}; only diagnosis may begin");
        return Err(Rejection::guard("TK-23.R1", message)
            .at("payload.activity")
            .with("commercial", commercial.as_str()));
    }
    let mut begun = Begun { clashes: Vec::new(), warnings: Vec::new() };
    for other in case.facts.desk.at_work(technician) {
        if !case.ctx.captured_offline {
            let message =
                format!("{technician} is at work on ticket {} (T3): pause that session first", other.ticket_id);
            return Err(Rejection::guard("TK-23.R2", message)
                .with("ticket_id", other.ticket_id.to_string())
                .with("session_id", other.session_id.to_string()));
        }
        let noticed = WorkClashNoticedV1 {
            session_id,
            technician: technician.clone(),
            other_ticket_id: other.ticket_id,
            other_session_id: other.session_id,
        };
        begun.clashes.push(noticed.into());
        let message = format!("{technician} also has a session open on ticket {}: correct one", other.ticket_id);
        begun.warnings.push(Warning { code: "work_clash".into(), message });
    }
    Ok(begun)
}

/// TK-23.R3: does the class of the machine need a safety check?
fn needs_safety_check(case: &Case<'_>) -> bool {
    let machine = case.ticket.equipment_id.and_then(|id| case.facts.known.machine(id));
    let Some(class) = machine.and_then(|m| m.class) else { return false };
    match case.facts.known.document(ReferenceKind::Catalogue, catalogues::EQUIPMENT_CLASS).as_deref() {
        Some(Document::Catalogue(c)) => {
            c.entries.iter().any(|e| e.code.as_str() == class.as_str() && e.active && e.safety_check == Some(true))
        }
        _ => false,
    }
}

/// TK-23.R4: in the workshop, the customer's unit is there. A machine of the house needs no papers.
fn unit_is_here(case: &Case<'_>) -> bool {
    let ticket = case.ticket;
    if ticket.service_mode != Some(ServiceMode::Workshop) || ticket.is_internal() {
        return true;
    }
    let mut units = ticket.returns.iter().flat_map(|r| &r.serials);
    units.any(|u| {
        let here = matches!(u.state, RmaState::Received | RmaState::Dispositioned);
        // Another unit than the one that was to come counts once the ticket is about it.
        let right = ticket.serial.as_ref().map_or(!u.mismatch, |s| *s == u.serial);
        here && right
    })
}

/// A reason of tickets; what stops an operation of the plant (a break, the end of the shift) stops this
/// work too.
fn pause_reason(facts: &Facts<'_>, p: &PauseWork) -> Result<ReasonCode, Rejection> {
    let of = |catalogue| facts.need_reason(catalogue, p.reason.as_ref(), p.note.as_ref());
    match of(catalogues::TICKET) {
        Err(unknown) if unknown.code == ErrorCode::ReasonUnknown => match of(catalogues::STOP) {
            Ok((code, Some(_))) => Ok(code),
            _ => Err(unknown),
        },
        other => other.map(|(code, _)| code),
    }
}
