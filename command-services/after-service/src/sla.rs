//! The clocks of the service level agreement (2.6).

use mw_contract::Event;
use mw_contract::decide::{Decision, DecisionContext, EventMeta};

use crate::rules::Facts;
use crate::state::{AfterServiceState, Sla};

/// Adds what a decision means for the clocks.
pub fn follow(_: &Facts<'_>, _: &AfterServiceState, _: &mut Decision, _: &DecisionContext<'_>) {}

/// Folds an event into the clocks.
pub fn evolve(_: &mut Sla, _: &Event, _: &EventMeta) {}
