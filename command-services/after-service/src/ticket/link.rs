//! links.

use mw_contract::command::ticket::LinkTicket;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketLink`.
pub fn link(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &LinkTicket,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketLink))
}
