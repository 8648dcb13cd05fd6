//! TK-40.

use mw_contract::command::ticket::VerifyRepair;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketVerify`.
pub fn verify(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &VerifyRepair,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketVerify))
}
