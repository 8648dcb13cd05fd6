//! TK-04.

use mw_contract::command::ticket::MarkDuplicate;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketMarkDuplicate`.
pub fn mark(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &MarkDuplicate,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketMarkDuplicate))
}
