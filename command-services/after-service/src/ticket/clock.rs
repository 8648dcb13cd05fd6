//! SLA warnings and breaches.

use mw_contract::command::ticket::{BreachSla, RaiseSlaWarning};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketRaiseSlaWarning`.
pub fn warn(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &RaiseSlaWarning,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketRaiseSlaWarning))
}

/// Decides `TicketBreachSla`.
pub fn breach(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &BreachSla,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketBreachSla))
}
