//! TK-43.

use mw_contract::command::ticket::ReopenTicket;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketReopen`.
pub fn reopen(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &ReopenTicket,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketReopen))
}
