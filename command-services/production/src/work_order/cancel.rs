//! WO-19 `work-order.cancel`: ended without production, in one command from any open state.

use mw_contract::command::work_order::CancelWorkOrder;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::work_order::WorkOrderCancelledV1;
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, PauseCause, Qty, Rejection, Sealed};

use crate::facts::Production;
use crate::rules::{Case, Holds, authorise, need_reason};
use crate::state::{Operation, ProductionState};

/// Decides WO-19. R3: whoever is at work stops at the time of the cancellation.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &CancelWorkOrder,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let case = Case::open(facts, state, CommandType::WorkOrderCancel, ctx)?;
    let (reason, _) = need_reason(facts, catalogues::CANCEL, p.reason.as_ref(), p.note.as_ref())?;
    let reported: Qty = case.order.operations.iter().map(Operation::processed).sum();
    if !reported.is_zero() {
        return Err(Rejection::guard("WO-19.R1", "pieces were reported on this order: short-close it instead")
            .with("reported", reported.to_string()));
    }
    let mut events = case.end_sessions(case.order.sessions(), PauseCause::OrderCancelled)?;
    let note = p.note.as_ref().map(Sealed::plain);
    events.push(WorkOrderCancelledV1 { reason: reason.clone(), note }.into());
    Ok(case.decided(role, events))
}
