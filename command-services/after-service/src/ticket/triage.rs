//! TK-05 and TK-07.

use mw_contract::command::ticket::{ChangeTicketPriority, TriageTicket};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketTriage`.
pub fn triage(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &TriageTicket,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketTriage))
}

/// Decides `TicketChangePriority`.
pub fn change_priority(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &ChangeTicketPriority,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketChangePriority))
}
