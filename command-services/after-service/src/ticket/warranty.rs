//! TK-08 and TK-09.

use mw_contract::command::ticket::{CheckWarranty, OverrideWarranty};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketCheckWarranty`.
pub fn check(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &CheckWarranty,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketCheckWarranty))
}

/// Decides `TicketOverrideWarranty`.
pub fn override_(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &OverrideWarranty,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketOverrideWarranty))
}
