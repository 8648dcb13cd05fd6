//! Equipment: what a machine does, why it stands still, what it complains of (EQ-01 to EQ-10).

use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{Command, Rejection};

use crate::facts::Production;
use crate::state::ProductionState;

/// Decides a command on equipment.
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
