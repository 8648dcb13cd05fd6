//! TK-44 `ticket.rate`: what the customer thought of it.

use mw_contract::command::ticket::RateService;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::ServiceRatedV1;
use mw_contract::reply::FieldError;
use mw_contract::{CommandType, Rejection, Sealed, TicketState};

use crate::rules::{Case, Facts, all_valid};
use crate::state::AfterServiceState;

const HOUR: i64 = 3_600_000;

/// Days after closing in which a ticket can be rated.
const DAYS: i64 = 30;

/// Decides TK-44: one rating a cycle, which can be changed for 24 hours.
pub fn rate(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &RateService,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketRate, ctx)?;
    in_range(p)?;
    let ticket = case.ticket;
    let closed = ticket.ended_at.filter(|_| ticket.state == TicketState::Closed);
    if let Some(until) = closed.map(|at| at.plus_millis(DAYS * 24 * HOUR)).filter(|until| ctx.received_at > *until) {
        let message = format!("a closed ticket can be rated for {DAYS} days: this one could until {until}");
        return Err(Rejection::guard("TK-44", message).with("until", until.to_string()));
    }
    let old = ticket.ratings.get(&ticket.cycle);
    if let Some(until) = old.map(|r| r.since.plus_millis(24 * HOUR)).filter(|until| ctx.received_at > *until) {
        let message = format!("it is rated, and a rating can be changed for 24 hours: this one could until {until}");
        return Err(Rejection::guard("TK-44", message).with("until", until.to_string()));
    }
    let rated = ServiceRatedV1 {
        cycle: ticket.cycle,
        old_score: old.map(|r| r.score),
        score: p.score,
        nps: p.nps,
        effort: p.effort,
        text: p.text.as_ref().map(Sealed::plain),
    };
    Ok(case.decided(role, vec![rated.into()]))
}

fn in_range(p: &RateService) -> Result<(), Rejection> {
    let mut errors = Vec::new();
    if !(1..=5).contains(&p.score) {
        errors.push(FieldError::new("payload.score", "is 1 to 5"));
    }
    if p.nps.is_some_and(|n| n > 10) {
        errors.push(FieldError::new("payload.nps", "is 0 to 10"));
    }
    if p.effort.is_some_and(|n| !(1..=7).contains(&n)) {
        errors.push(FieldError::new("payload.effort", "is 1 to 7"));
    }
    all_valid(errors)
}
