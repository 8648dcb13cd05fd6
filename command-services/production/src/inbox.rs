//! The conflict inbox: an item that somebody looked at is dismissed.

use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{Command, Rejection};

use crate::facts::Production;
use crate::state::ProductionState;

/// Decides a command on an item of the inbox.
///
/// # Errors
/// As the commands' own rules say; `VALIDATION` for a command of another aggregate.
pub fn decide(
    _facts: &Production,
    _state: &ProductionState,
    command: &Command,
    _ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(command))
}
