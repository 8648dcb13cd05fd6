//! Which command is possible in which state of an order: the transition matrix, as a table.
//!
//! Owns that table and the check against it, G4 included. It must never know another rule.

use mw_contract::decide::DecisionContext;
use mw_contract::{CommandType, Rejection, WorkOrderState};

use crate::state::WorkOrder;

/// One cell of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Possible {
    /// Always.
    Yes,
    /// Only for what happened before the completion (G4).
    Late,
    /// Never: `INVALID_STATE`.
    No,
}

use CommandType as C;
use Possible::{Late, No, Yes};

/// The states in the order of the columns.
pub const COLUMNS: [WorkOrderState; 8] = [
    WorkOrderState::Draft,
    WorkOrderState::Planned,
    WorkOrderState::Released,
    WorkOrderState::InProgress,
    WorkOrderState::OnHold,
    WorkOrderState::Completed,
    WorkOrderState::Closed,
    WorkOrderState::Cancelled,
];

/// One row a command. The command that makes an order has none.
pub const MATRIX: &[(CommandType, [Possible; 8])] = &[
    (C::WorkOrderAmend, [Yes, Yes, No, No, No, No, No, No]),
    (C::WorkOrderPlan, [Yes, No, No, No, No, No, No, No]),
    (C::WorkOrderUnplan, [No, Yes, No, No, No, No, No, No]),
    (C::WorkOrderReschedule, [No, Yes, Yes, Yes, Yes, No, No, No]),
    (C::WorkOrderRelease, [No, Yes, No, No, No, No, No, No]),
    (C::WorkOrderRevokeRelease, [No, No, Yes, No, No, No, No, No]),
    (C::WorkOrderChangeQuantity, [Yes, Yes, Yes, Yes, Yes, No, No, No]),
    (C::WorkOrderChangeDueDate, [Yes, Yes, Yes, Yes, Yes, No, No, No]),
    (C::WorkOrderChangePriority, [Yes, Yes, Yes, Yes, Yes, No, No, No]),
    (C::WorkOrderSplit, [No, Yes, Yes, Yes, Yes, No, No, No]),
    (C::WorkOrderAssign, [No, Yes, Yes, Yes, Yes, No, No, No]),
    (C::WorkOrderUnassign, [No, Yes, Yes, Yes, Yes, No, No, No]),
    (C::WorkOrderRequestMaterial, [No, Yes, Yes, Yes, Yes, No, No, No]),
    (C::WorkOrderConfirmReservation, [No, Yes, Yes, Yes, Yes, No, No, No]),
    (C::WorkOrderReleaseReservation, [No, Yes, Yes, Yes, Yes, No, No, No]),
    (C::WorkOrderIssueMaterial, [No, No, Yes, Yes, Yes, No, No, No]),
    (C::WorkOrderReturnMaterial, [No, No, Yes, Yes, Yes, Yes, No, No]),
    (C::WorkOrderRecordConsumption, [No, No, No, Yes, Yes, Late, No, No]),
    (C::WorkOrderApproveSubstitute, [No, Yes, Yes, Yes, Yes, No, No, No]),
    (C::WorkOrderHold, [No, No, Yes, Yes, No, No, No, No]),
    (C::WorkOrderResume, [No, No, No, No, Yes, No, No, No]),
    (C::WorkOrderComplete, [No, No, No, Yes, No, No, No, No]),
    (C::WorkOrderShortClose, [No, No, No, Yes, Yes, No, No, No]),
    (C::WorkOrderClose, [No, No, No, No, No, Yes, No, No]),
    (C::WorkOrderCancel, [Yes, Yes, Yes, Yes, Yes, No, No, No]),
    (C::WorkOrderReopen, [No, No, No, No, No, Yes, Yes, Yes]),
    (C::WorkOrderStartOperation, [No, No, Yes, Yes, No, No, No, No]),
    (C::WorkOrderResumeOperation, [No, No, No, Yes, No, No, No, No]),
    (C::WorkOrderPauseOperation, [No, No, No, Yes, No, Late, No, No]),
    (C::WorkOrderCompleteOperation, [No, No, No, Yes, No, Late, No, No]),
    (C::WorkOrderReportQuantity, [No, No, No, Yes, No, Late, No, No]),
    (C::WorkOrderRegisterUnit, [No, No, No, Yes, No, Late, No, No]),
    (C::WorkOrderCorrectReport, [No, No, No, Yes, Yes, Yes, No, No]),
    (C::WorkOrderCorrectSession, [No, No, No, Yes, Yes, Yes, No, No]),
    (C::WorkOrderReopenOperation, [No, No, No, Yes, No, No, No, No]),
    (C::WorkOrderSkipOperation, [No, Yes, Yes, Yes, Yes, No, No, No]),
    (C::WorkOrderAddOperation, [No, No, Yes, Yes, Yes, No, No, No]),
    (C::WorkOrderAssignLot, [Yes, Yes, Yes, Yes, Yes, Yes, No, No]),
    (C::WorkOrderVoidSerial, [No, Yes, Yes, Yes, Yes, Yes, No, No]),
    (C::WorkOrderAllocateSerials, [No, Yes, Yes, Yes, No, No, No, No]),
    (C::WorkOrderAmendGenealogy, [No, No, No, Yes, Yes, Yes, Yes, No]),
    (C::WorkOrderRecordInspection, [No, No, Yes, Yes, Yes, Yes, No, No]),
    (C::WorkOrderRaiseNonconformance, [No, No, Yes, Yes, Yes, Yes, No, No]),
    (C::WorkOrderDispositionNonconformance, [No, No, Yes, Yes, Yes, Yes, No, No]),
    (C::WorkOrderCloseNonconformance, [No, No, Yes, Yes, Yes, Yes, No, No]),
    (C::WorkOrderReturnNonconformance, [No, No, Yes, Yes, Yes, Yes, No, No]),
    (C::WorkOrderAddNote, [Yes, Yes, Yes, Yes, Yes, Yes, Yes, Yes]),
    (C::WorkOrderLink, [Yes, Yes, Yes, Yes, Yes, Yes, Yes, Yes]),
];

/// Is the command possible now? Says whether it is a late report.
///
/// # Errors
/// `INVALID_STATE` with the state and the states in which it is possible.
pub fn check(order: &WorkOrder, command: CommandType, ctx: &DecisionContext<'_>) -> Result<bool, Rejection> {
    let row = MATRIX.iter().find(|(c, _)| *c == command).map_or([No; 8], |(_, row)| *row);
    let cell = COLUMNS.iter().zip(row).find(|(s, _)| **s == order.state).map_or(No, |(_, c)| c);
    match cell {
        Yes => Ok(false),
        Late if order.actual_end.is_some_and(|end| ctx.occurred_at < end) => Ok(true),
        _ => {
            let allowed: Vec<&str> =
                COLUMNS.iter().zip(row).filter(|(_, c)| *c == Yes).map(|(s, _)| s.as_str()).collect();
            let refusal = Rejection::invalid_state(command.as_str(), order.state.as_str(), &allowed);
            Err(if cell == Late { refusal.with("late_before", end_text(order)) } else { refusal })
        }
    }
}

/// Before when a report must have happened to be accepted late.
fn end_text(order: &WorkOrder) -> String {
    order.actual_end.map(|e| e.to_string()).unwrap_or_default()
}
