//! TK-29.

use mw_contract::command::ticket::ConsumeParts;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketConsumeParts`.
pub fn consume(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &ConsumeParts,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketConsumeParts))
}
