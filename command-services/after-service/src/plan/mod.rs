//! Maintenance plans (MP-01 to MP-07).

use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{Command, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// A maintenance plan, folded.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanState {}

/// Decides a command on a plan.
///
/// # Errors
/// As the rules of the command say.
pub fn decide(
    _: &Facts<'_>,
    _: &AfterServiceState,
    command: &Command,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(command.command_type()))
}
