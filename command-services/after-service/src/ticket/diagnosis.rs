//! TK-26.

use mw_contract::command::ticket::RecordDiagnosis;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketRecordDiagnosis`.
pub fn record(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &RecordDiagnosis,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketRecordDiagnosis))
}
