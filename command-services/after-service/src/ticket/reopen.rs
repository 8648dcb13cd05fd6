//! TK-43 `ticket.reopen`: it is not over. A new cycle begins; what the old one was stays as it ended.

use mw_contract::command::ticket::ReopenTicket;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::TicketReopenedV1;
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, Rejection, Role, Sealed, TicketState};

use crate::rules::{Case, Facts, authorise_if, not_before};
use crate::state::AfterServiceState;

const DAY: i64 = 24 * 3_600_000;

/// Days after closing in which the same alarm opens its ticket again.
const ALARM_DAYS: u16 = 7;

/// Decides TK-43.
pub fn reopen(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &ReopenTicket,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketReopen, ctx)?;
    let ticket = case.ticket;
    let role =
        authorise_if(ctx, case.holds(false), |r| r != Role::Technician || ticket.state == TicketState::Resolved)?;
    let (reason, _) = facts.need_reason(catalogues::CANCEL, p.reason.as_ref(), p.note.as_ref())?;
    in_time(&case, role)?;
    let ended = ticket.ended_at.or(ticket.resolution.as_ref().map(|r| r.at)).unwrap_or(ticket.cycle_since);
    not_before(ctx.occurred_at, ended, "it would be reopened before it ended")?;
    let reopened = TicketReopenedV1 {
        cycle: ticket.cycle.saturating_add(1),
        reason,
        note: p.note.as_ref().map(Sealed::plain),
        same_fault: p.same_fault,
        previous_lead: ticket.lead.clone(),
    };
    Ok(case.decided(role, vec![reopened.into()]))
}

/// The window, for whoever reopens. The days count by the time of receipt: backdating opens none again.
fn in_time(case: &Case<'_>, role: Role) -> Result<(), Rejection> {
    let closed = case.ticket.ended_at.filter(|_| case.ticket.state == TicketState::Closed);
    let Some(closed) = closed else { return Ok(()) };
    let window = case.facts.settings(case.ctx).ticket_reopen_days;
    let days = if role == Role::System { window.min(ALARM_DAYS) } else { window };
    let until = closed.plus_millis(i64::from(days) * DAY);
    if case.ctx.received_at <= until {
        return Ok(());
    }
    let message = format!(
        "a closed ticket can be reopened for {days} days, until {until}: open a new ticket that `follows` this one"
    );
    Err(Rejection::guard("TK-43", message)
        .with("until", until.to_string())
        .with("follows", case.ctx.aggregate_id.to_string()))
}
