//! Produced units: where they are, what they are made of, how long their warranty runs (PU-01 to PU-10).

use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{AggregateId, Command, Rejection};

use crate::facts::Production;
use crate::state::ProductionState;

/// Decides a command on a unit.
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

/// The unit that a command means by its serial number.
///
/// # Errors
/// None yet.
pub fn named(_facts: &Production, _command: &Command) -> Result<Option<AggregateId>, Rejection> {
    Ok(None)
}
