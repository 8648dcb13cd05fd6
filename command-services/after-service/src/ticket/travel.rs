//! TK-20 to TK-22.

use mw_contract::command::ticket::{AbortTravel, Arrive, StartTravel};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketStartTravel`.
pub fn start(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &StartTravel,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketStartTravel))
}

/// Decides `TicketArrive`.
pub fn arrive(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &Arrive,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketArrive))
}

/// Decides `TicketAbortTravel`.
pub fn abort(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &AbortTravel,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketAbortTravel))
}
