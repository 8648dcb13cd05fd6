//! TK-45 and TK-46.

use mw_contract::command::ticket::{DeescalateTicket, EscalateTicket};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketEscalate`.
pub fn escalate(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &EscalateTicket,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketEscalate))
}

/// Decides `TicketDeescalate`.
pub fn de_escalate(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &DeescalateTicket,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketDeescalate))
}
