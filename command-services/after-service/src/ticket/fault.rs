//! TK-06.

use mw_contract::command::ticket::ClassifyFault;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketClassifyFault`.
pub fn classify(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &ClassifyFault,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketClassifyFault))
}
