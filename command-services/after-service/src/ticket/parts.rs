//! TK-27, TK-28 and TK-30.

use mw_contract::command::ticket::{ConfirmParts, RequestParts, ReturnParts};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketRequestParts`.
pub fn request(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &RequestParts,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketRequestParts))
}

/// Decides `TicketConfirmParts`.
pub fn confirm(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &ConfirmParts,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketConfirmParts))
}

/// Decides `TicketReturnParts`.
pub fn give_back(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &ReturnParts,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketReturnParts))
}
