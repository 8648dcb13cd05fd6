//! TK-17 to TK-19.

use mw_contract::command::ticket::{CancelVisit, RescheduleVisit, ScheduleVisit};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketScheduleVisit`.
pub fn schedule(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &ScheduleVisit,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketScheduleVisit))
}

/// Decides `TicketRescheduleVisit`.
pub fn reschedule(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &RescheduleVisit,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketRescheduleVisit))
}

/// Decides `TicketCancelVisit`.
pub fn cancel(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &CancelVisit,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketCancelVisit))
}
