//! TK-40 `ticket.verify`: somebody tests the repair.

use mw_contract::command::ticket::VerifyRepair;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::RepairVerifiedV1;
use mw_contract::{CommandType, Rejection, Role, Sealed};

use crate::rules::{Case, Facts, authorise_if, not_before};
use crate::state::AfterServiceState;

/// Decides TK-40. What a technician repaired, another one verifies; of severity 1, whoever reported or
/// resolved it does not verify it.
pub fn verify(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &VerifyRepair,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let case = Case::find(facts, state, ctx)?;
    let me = &ctx.actor.account;
    let resolver = case.ticket.resolution.as_ref().map(|r| &r.by);
    let repaired = case.ticket.is_assigned(me)
        || resolver == Some(me)
        || case.ticket.sessions.iter().any(|s| s.cycle == case.ticket.cycle && s.technician == *me);
    let setting = facts.settings(ctx).technician_verifies;
    let role = authorise_if(ctx, case.holds(setting), |r| r != Role::Technician || !repaired)?;
    let case = Case::open(facts, state, CommandType::TicketVerify, ctx)?;
    if case.ticket.severity == Some(1) && (resolver == Some(me) || case.ticket.opened_by == *me) {
        let message = format!("it is of severity 1 and {me} reported or resolved it: somebody else verifies it");
        return Err(Rejection::guard("TK-40", message));
    }
    if let Some(r) = &case.ticket.resolution {
        not_before(ctx.occurred_at, r.at, "it would be verified before it was resolved")?;
    }
    let verified = RepairVerifiedV1 {
        verdict: p.verdict,
        measurements: p.measurements.clone().unwrap_or_default(),
        text: p.text.as_ref().map(Sealed::plain),
    };
    Ok(case.decided(role, vec![verified.into()]))
}
