//! TK-02.

use mw_contract::command::ticket::AmendTicket;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketAmend`.
pub fn amend(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &AmendTicket,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketAmend))
}
