//! TK-38.

use mw_contract::command::ticket::CancelTicket;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketCancel`.
pub fn cancel(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &CancelTicket,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketCancel))
}
