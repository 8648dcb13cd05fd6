//! TK-03.

use mw_contract::command::ticket::CommentTicket;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketComment`.
pub fn comment(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &CommentTicket,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketComment))
}
