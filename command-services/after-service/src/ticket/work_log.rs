//! TK-33 and TK-34.

use mw_contract::command::ticket::{CorrectWorkLog, LogWork};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketLogWork`.
pub fn log(_: &Facts<'_>, _: &AfterServiceState, _: &LogWork, _: &DecisionContext<'_>) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketLogWork))
}

/// Decides `TicketCorrectWorkLog`.
pub fn correct(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &CorrectWorkLog,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketCorrectWorkLog))
}
