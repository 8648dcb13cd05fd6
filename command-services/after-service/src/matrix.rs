//! Which command is possible in which state of a ticket: the transition matrix, as a table.

use mw_contract::decide::DecisionContext;
use mw_contract::{CommandType, Rejection};

use crate::state::Ticket;

/// Is the command possible now? Says whether it is a late report.
///
/// # Errors
/// `INVALID_STATE` with the state and the states in which it is possible.
pub fn check(_: &Ticket, _: CommandType, _: &DecisionContext<'_>) -> Result<bool, Rejection> {
    Ok(false)
}
