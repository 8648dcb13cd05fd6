//! TK-39.

use mw_contract::command::ticket::ResolveTicket;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketResolve`.
pub fn resolve(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &ResolveTicket,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketResolve))
}
