//! TK-36.

use mw_contract::command::ticket::ReplaceUnit;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketReplaceUnit`.
pub fn replace(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &ReplaceUnit,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketReplaceUnit))
}
