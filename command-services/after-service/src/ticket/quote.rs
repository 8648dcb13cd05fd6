//! TK-10 to TK-12.

use mw_contract::command::ticket::{ApproveQuote, ExpireQuote, RejectQuote, SubmitQuote};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketSubmitQuote`.
pub fn submit(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &SubmitQuote,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketSubmitQuote))
}

/// Decides `TicketApproveQuote`.
pub fn approve(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &ApproveQuote,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketApproveQuote))
}

/// Decides `TicketRejectQuote`.
pub fn reject(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &RejectQuote,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketRejectQuote))
}

/// Decides `TicketExpireQuote`.
pub fn expire(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &ExpireQuote,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketExpireQuote))
}
