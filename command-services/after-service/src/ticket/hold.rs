//! TK-31 and TK-32.

use mw_contract::command::ticket::{HoldTicket, ResumeTicket};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketHold`.
pub fn hold(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &HoldTicket,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketHold))
}

/// Decides `TicketResume`.
pub fn resume(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &ResumeTicket,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketResume))
}
