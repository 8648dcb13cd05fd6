//! The commands of a work order, one file a command or small family: its rules, its events, its
//! tests. Each `decide` checks in the order role, existence, state, rules by number.

pub mod amend;
pub mod amend_genealogy;
pub mod assign;
pub mod cancel;
pub mod change;
pub mod change_quantity;
pub mod close;
pub mod complete;
pub mod complete_operation;
pub mod consumption;
pub mod correct_report;
pub mod correct_session;
pub mod create;
pub mod disposition;
pub mod hold;
pub mod inspection;
pub mod issue_material;
pub mod link;
pub mod lot;
pub mod nonconformance;
pub mod note;
pub mod pause_operation;
pub mod plan;
pub mod release;
pub mod reopen;
pub mod report;
pub mod reschedule;
pub mod reservation;
pub mod return_material;
pub mod revoke_release;
pub mod routing;
pub mod serials;
pub mod short_close;
pub mod split;
pub mod start_operation;
pub mod substitute;
pub mod unit;
pub mod unplan;
pub mod void_serial;

use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{Command, Rejection};

use crate::facts::Production;
use crate::state::ProductionState;

/// Decides a command on a work order.
///
/// # Errors
/// As the command's own rules say; `VALIDATION` for a command of another aggregate.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    command: &Command,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    match command {
        Command::WorkOrderCreate(p) => create::decide(facts, state, p, ctx),
        Command::WorkOrderAmend(p) => amend::decide(facts, state, p, ctx),
        Command::WorkOrderPlan(p) => plan::decide(facts, state, p, ctx),
        Command::WorkOrderRelease(p) => release::decide(facts, state, p, ctx),
        Command::WorkOrderUnplan(p) => unplan::decide(facts, state, p, ctx),
        Command::WorkOrderReschedule(p) => reschedule::decide(facts, state, p, ctx),
        Command::WorkOrderRevokeRelease(p) => revoke_release::decide(facts, state, p, ctx),
        Command::WorkOrderChangeQuantity(p) => change_quantity::decide(facts, state, p, ctx),
        Command::WorkOrderChangeDueDate(p) => change::due_date(facts, state, p, ctx),
        Command::WorkOrderChangePriority(p) => change::priority(facts, state, p, ctx),
        Command::WorkOrderAssign(p) => assign::assign(facts, state, p, ctx),
        Command::WorkOrderUnassign(p) => assign::unassign(facts, state, p, ctx),
        Command::WorkOrderShortClose(p) => short_close::decide(facts, state, p, ctx),
        Command::WorkOrderReopen(p) => reopen::decide(facts, state, p, ctx),
        Command::WorkOrderCorrectReport(p) => correct_report::decide(facts, state, p, ctx),
        Command::WorkOrderCorrectSession(p) => correct_session::decide(facts, state, p, ctx),
        Command::WorkOrderReopenOperation(p) => routing::reopen(facts, state, p, ctx),
        Command::WorkOrderSkipOperation(p) => routing::skip(facts, state, p, ctx),
        Command::WorkOrderAddOperation(p) => routing::add(facts, state, p, ctx),
        Command::WorkOrderAssignLot(p) => lot::decide(facts, state, p, ctx),
        Command::WorkOrderVoidSerial(p) => void_serial::decide(facts, state, p, ctx),
        Command::WorkOrderLink(p) => link::decide(facts, state, p, ctx),
        Command::WorkOrderHold(p) => hold::hold(facts, state, p, ctx),
        Command::WorkOrderResume(p) => hold::resume(facts, state, p, ctx),
        Command::WorkOrderComplete(p) => complete::decide(facts, state, p, ctx),
        Command::WorkOrderClose(p) => close::decide(facts, state, p, ctx),
        Command::WorkOrderCancel(p) => cancel::decide(facts, state, p, ctx),
        Command::WorkOrderStartOperation(p) => start_operation::start(facts, state, p, ctx),
        Command::WorkOrderPauseOperation(p) => pause_operation::decide(facts, state, p, ctx),
        Command::WorkOrderResumeOperation(p) => start_operation::resume(facts, state, p, ctx),
        Command::WorkOrderReportQuantity(p) => report::decide(facts, state, p, ctx),
        Command::WorkOrderCompleteOperation(p) => complete_operation::decide(facts, state, p, ctx),
        Command::WorkOrderAllocateSerials(p) => serials::decide(facts, state, p, ctx),
        Command::WorkOrderRegisterUnit(p) => unit::decide(facts, state, p, ctx),
        Command::WorkOrderAddNote(p) => note::decide(facts, state, p, ctx),
        Command::WorkOrderSplit(p) => split::decide(facts, state, p, ctx),
        Command::WorkOrderRequestMaterial(p) => reservation::request(facts, state, p, ctx),
        Command::WorkOrderConfirmReservation(p) => reservation::confirm(facts, state, p, ctx),
        Command::WorkOrderReleaseReservation(p) => reservation::release(facts, state, p, ctx),
        Command::WorkOrderIssueMaterial(p) => issue_material::decide(facts, state, p, ctx),
        Command::WorkOrderReturnMaterial(p) => return_material::decide(facts, state, p, ctx),
        Command::WorkOrderRecordConsumption(p) => consumption::decide(facts, state, p, ctx),
        Command::WorkOrderApproveSubstitute(p) => substitute::decide(facts, state, p, ctx),
        Command::WorkOrderAmendGenealogy(p) => amend_genealogy::decide(facts, state, p, ctx),
        Command::WorkOrderRecordInspection(p) => inspection::decide(facts, state, p, ctx),
        Command::WorkOrderRaiseNonconformance(p) => nonconformance::raise(facts, state, p, ctx),
        Command::WorkOrderDispositionNonconformance(p) => disposition::decide(facts, state, p, ctx),
        Command::WorkOrderCloseNonconformance(p) => nonconformance::close(facts, state, p, ctx),
        Command::WorkOrderReturnNonconformance(p) => nonconformance::take_back(facts, state, p, ctx),
        other => Err(crate::foreign(other)),
    }
}
