//! TK-23 to TK-25.

use mw_contract::command::ticket::{PauseWork, ResumeWork, StartWork};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketStartWork`.
pub fn start(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &StartWork,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketStartWork))
}

/// Decides `TicketPauseWork`.
pub fn pause(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &PauseWork,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketPauseWork))
}

/// Decides `TicketResumeWork`.
pub fn resume(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &ResumeWork,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketResumeWork))
}
