//! TK-37.

use mw_contract::command::ticket::{
    ConfirmReplacement, FailReplacement, LinkReplacementOrder, RequestReplacementOrder,
};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketRequestReplacementOrder`.
pub fn request(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &RequestReplacementOrder,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketRequestReplacementOrder))
}

/// Decides `TicketLinkReplacementOrder`.
pub fn link(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &LinkReplacementOrder,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketLinkReplacementOrder))
}

/// Decides `TicketConfirmReplacement`.
pub fn confirm(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &ConfirmReplacement,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketConfirmReplacement))
}

/// Decides `TicketFailReplacement`.
pub fn fail(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &FailReplacement,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketFailReplacement))
}
