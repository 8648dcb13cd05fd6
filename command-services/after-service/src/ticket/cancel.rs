//! TK-38 `ticket.cancel`: it ends without service. Who frees parts and orders is told by the event.

use mw_contract::command::ticket::CancelTicket;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::{TicketCancelledV1, VisitCancelledV1};
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, Coverage, Event, Rejection, Role, Sealed, TicketState};

use crate::rules::{Case, Facts, authorise_if};
use crate::state::AfterServiceState;

/// Decides TK-38.
pub fn cancel(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &CancelTicket,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketCancel, ctx)?;
    let ticket = case.ticket;
    let early = matches!(ticket.state, TicketState::New | TicketState::Triaged | TicketState::AwaitingApproval);
    let role = authorise_if(ctx, case.holds(false), |r| r != Role::Customer || early).map_err(|_| {
        let message = "somebody is on it already: ask those who serve you to cancel it";
        Rejection::forbidden(message).with("state", ticket.state.as_str())
    })?;
    let (reason, _) = facts.need_reason(catalogues::CANCEL, p.reason.as_ref(), p.note.as_ref())?;
    if ticket.parts.consumed.iter().any(|c| c.coverage == Coverage::Chargeable) {
        let message = "parts that the customer pays for were used: resolve the ticket instead";
        return Err(Rejection::guard("TK-38.R1", message));
    }
    let mut events = case.end_work(&reason)?;
    let visits = ticket.open_visits().map(|v| VisitCancelledV1 {
        visit_id: v.visit.visit_id,
        reason: reason.clone(),
        note: None,
        to_state: ticket.state,
    });
    events.extend(visits.map(Event::from));
    events.push(TicketCancelledV1 { reason, note: p.note.as_ref().map(Sealed::plain) }.into());
    Ok(case.decided(role, events))
}
