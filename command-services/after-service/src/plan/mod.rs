//! Maintenance plans (MP-01 to MP-07).

use mw_contract::decide::{Decision, DecisionContext, EventMeta};
use mw_contract::{Command, Event, Rejection};

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

/// Folds an event of a plan.
pub fn evolve(_: &mut AfterServiceState, _: &Event, _: &EventMeta) {}
