//! TK-44.

use mw_contract::command::ticket::RateService;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketRate`.
pub fn rate(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &RateService,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketRate))
}
