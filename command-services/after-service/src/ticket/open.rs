//! TK-01.

use mw_contract::command::ticket::OpenTicket;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketOpen`.
pub fn open(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &OpenTicket,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketOpen))
}
