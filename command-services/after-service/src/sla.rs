//! The clocks of the service level agreement (2.6).

use mw_contract::decide::{Decision, DecisionContext};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Adds what a decision means for the clocks.
pub fn follow(_: &Facts<'_>, _: &AfterServiceState, _: &mut Decision, _: &DecisionContext<'_>) {}
