//! TK-35.

use mw_contract::command::ticket::RecordTicketReading;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketRecordReading`.
pub fn record(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &RecordTicketReading,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketRecordReading))
}
