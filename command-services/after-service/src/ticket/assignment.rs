//! TK-13 to TK-16.

use mw_contract::command::ticket::{AcceptAssignment, AssignTechnician, DeclineAssignment, ReassignTechnician};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketAssignTechnician`.
pub fn assign(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &AssignTechnician,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketAssignTechnician))
}

/// Decides `TicketReassignTechnician`.
pub fn reassign(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &ReassignTechnician,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketReassignTechnician))
}

/// Decides `TicketAcceptAssignment`.
pub fn accept(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &AcceptAssignment,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketAcceptAssignment))
}

/// Decides `TicketDeclineAssignment`.
pub fn decline(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &DeclineAssignment,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketDeclineAssignment))
}
