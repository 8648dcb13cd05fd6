//! TK-31 `ticket.hold` and TK-32 `ticket.resume`: a ticket waits for a reason from the catalogue.

use mw_contract::command::ticket::{HoldTicket, ResumeTicket};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::{TicketHeldV1, TicketResumedV1};
use mw_contract::reference::{CatalogueEntry, Document, catalogues};
use mw_contract::{
    CommandType, Event, Instant, ReasonCode, ReferenceKind, Rejection, Sealed, Seconds, Text, TicketState,
};

use crate::rules::{Case, Facts, not_before};
use crate::state::AfterServiceState;

const DAY: i64 = 24 * 3_600_000;

/// Decides TK-31.
pub fn hold(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &HoldTicket,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketHold, ctx)?;
    let (reason, entry) = facts.need_reason(catalogues::TICKET_HOLD, p.reason.as_ref(), p.note.as_ref())?;
    expected(&case, &reason, entry.as_ref(), p.expected_until)?;
    let events = held(&case, &reason, entry.as_ref(), p.expected_until, p.note.as_ref())?;
    Ok(case.decided(role, events))
}

/// Decides TK-32. Work does not begin again by itself.
pub fn resume(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &ResumeTicket,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketResume, ctx)?;
    let Some(hold) = &case.ticket.hold else {
        return Err(Rejection::not_found("the ticket has no hold to lift"));
    };
    not_before(ctx.occurred_at, hold.since, "the hold would end before it began")?;
    let resumed = TicketResumedV1 {
        held_for: Seconds::between(hold.since, ctx.occurred_at),
        to_state: back_to(&case, hold.resume_state),
        note: p.note.as_ref().map(Sealed::plain),
    };
    Ok(case.decided(role, vec![resumed.into()]))
}

/// TK-31.R2: who waits for somebody says until when, no longer than the catalogue lets it wait.
fn expected(
    case: &Case<'_>,
    reason: &ReasonCode,
    entry: Option<&CatalogueEntry>,
    until: Option<Instant>,
) -> Result<(), Rejection> {
    let now = case.ctx.occurred_at;
    let guard = |message: String| Err(Rejection::guard("TK-31.R2", message).at("payload.expected_until"));
    match until {
        None if reason.as_str().starts_with("waiting_") => {
            guard(format!("a hold for {reason} needs the time until which it is expected to last"))
        }
        Some(t) if t <= now => guard(format!("the hold begins at {now}: it is expected to last until later")),
        Some(t) => match entry.and_then(|e| e.max_days) {
            Some(days) if t > now.plus_millis(i64::from(days) * DAY) => {
                guard(format!("a hold for {reason} lasts {days} days at most"))
            }
            _ => Ok(()),
        },
        None => Ok(()),
    }
}

/// TK-31.R1: whoever is at work or under way stops at the time of the hold.
pub(super) fn held(
    case: &Case<'_>,
    reason: &ReasonCode,
    entry: Option<&CatalogueEntry>,
    expected_until: Option<Instant>,
    note: Option<&Text<2000>>,
) -> Result<Vec<Event>, Rejection> {
    let mut events = case.end_work(reason)?;
    let held = TicketHeldV1 {
        reason: reason.clone(),
        pauses_sla: entry.and_then(|e| e.pauses_sla).unwrap_or_else(|| policy_pauses(case, reason, entry.is_some())),
        resume_state: if case.ticket.state == TicketState::Travelling {
            TicketState::Assigned
        } else {
            case.ticket.state
        },
        expected_until,
        note: note.map(Sealed::plain),
    };
    events.push(held.into());
    Ok(events)
}

/// Where the reason leaves it to the policy. Of a reason that no catalogue has, only those that wait for
/// somebody are left to it; others stop no clock.
fn policy_pauses(case: &Case<'_>, reason: &ReasonCode, listed: bool) -> bool {
    if !listed && !reason.as_str().starts_with("waiting_") {
        return false;
    }
    let Some(policy) = &case.ticket.sla.policy else { return true };
    match case.facts.known.document(ReferenceKind::SlaPolicy, policy.policy_code.as_str()).as_deref() {
        Some(Document::SlaPolicy(p)) => p.hold_pauses,
        _ => true,
    }
}

/// Where a ticket goes on (2.1): where it was left, as far as its visit is still to come and somebody
/// leads it.
fn back_to(case: &Case<'_>, left: TicketState) -> TicketState {
    use TicketState::{Assigned, InProgress, Scheduled, Triaged};
    let ticket = case.ticket;
    let to_come = || ticket.open_visits().any(|v| v.visit.window_end > case.ctx.occurred_at);
    match left {
        Assigned | Scheduled | InProgress if ticket.lead.is_none() => Triaged,
        Scheduled if !to_come() => Assigned,
        left => left,
    }
}
