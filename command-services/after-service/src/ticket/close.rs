//! TK-41 and TK-42.

use mw_contract::command::ticket::{CloseTicket, ConfirmResolution};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketConfirm`.
pub fn confirm(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &ConfirmResolution,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketConfirm))
}

/// Decides `TicketClose`.
pub fn close(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &CloseTicket,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketClose))
}
