//! TK-45 `ticket.escalate` and TK-46 `ticket.de-escalate`.

use mw_contract::command::ticket::{DeescalateTicket, EscalateTicket};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::{TicketDeescalatedV1, TicketEscalatedV1};
use mw_contract::reference::catalogues;
use mw_contract::reply::ErrorCode;
use mw_contract::{CommandType, Rejection, Role, Sealed, Text};

use crate::rules::{Case, Facts};
use crate::state::AfterServiceState;

const DAY: i64 = 24 * 3_600_000;

/// Decides TK-45. A customer escalates once in 24 hours.
pub fn escalate(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &EscalateTicket,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketEscalate, ctx)?;
    let ticket = case.ticket;
    if !(1..=3).contains(&p.level) {
        return Err(Rejection::invalid("payload.level", "is 1 to 3"));
    }
    let reason = explained(p.reason.as_ref())?;
    if let Some(team) = &p.to_team {
        facts.check_code(catalogues::TEAM, team.as_str(), "payload.to_team")?;
    }
    let last = ticket.customer_escalated_at.filter(|_| case.by_customer(role));
    if let Some(until) = last.map(|at| at.plus_millis(DAY)).filter(|until| ctx.received_at < *until) {
        let message = format!("you have escalated it already: you can again after {until}");
        return Err(Rejection::guard("TK-45", message).with("not_before", until.to_string()));
    }
    let level = ticket.escalation_level;
    let by_system = role == Role::System;
    let rises = if by_system { p.level > level } else { p.level == level + 1 };
    if !rises {
        let message = match level {
            3 => "the ticket is at level 3, the highest".to_owned(),
            _ => format!("the ticket is at level {level}: escalate it to level {}", level + 1),
        };
        return Err(Rejection::guard("TK-45.R1", message).at("payload.level").with("level", level));
    }
    let escalated = TicketEscalatedV1 { old_level: level, level: p.level, reason, to_team: p.to_team.clone() };
    Ok(case.decided(role, vec![escalated.into()]))
}

/// Decides TK-46: one level down.
pub fn de_escalate(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &DeescalateTicket,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketDeescalate, ctx)?;
    let reason = explained(p.reason.as_ref())?;
    let old_level = case.ticket.escalation_level;
    let Some(level) = old_level.checked_sub(1) else {
        return Err(Rejection::guard("TK-46", "the ticket is not escalated"));
    };
    Ok(case.decided(role, vec![TicketDeescalatedV1 { old_level, level, reason }.into()]))
}

fn explained(reason: Option<&Text<2000>>) -> Result<Sealed, Rejection> {
    let missing = || Rejection::new(ErrorCode::ReasonRequired, "say why").at("payload.reason");
    reason.map(Sealed::plain).ok_or_else(missing)
}
