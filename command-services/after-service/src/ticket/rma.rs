//! TK-47 to TK-50.

use mw_contract::command::ticket::{AuthorizeReturn, DispositionReturn, ReceiveReturn, ShipBack};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{CommandType, Rejection};

use crate::rules::Facts;
use crate::state::AfterServiceState;

/// Decides `TicketAuthorizeReturn`.
pub fn authorize(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &AuthorizeReturn,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketAuthorizeReturn))
}

/// Decides `TicketReceiveReturn`.
pub fn receive(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &ReceiveReturn,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketReceiveReturn))
}

/// Decides `TicketDispositionReturn`.
pub fn disposition(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &DispositionReturn,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketDispositionReturn))
}

/// Decides `TicketShipBack`.
pub fn ship_back(
    _: &Facts<'_>,
    _: &AfterServiceState,
    _: &ShipBack,
    _: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Err(crate::foreign(CommandType::TicketShipBack))
}
