//! TK-35 `ticket.record-reading`: what a counter of the unit or machine shows.

use mw_contract::command::ticket::RecordTicketReading;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::TicketReadingRecordedV1;
use mw_contract::{CommandType, Rejection};

use super::consume_parts::unit_of;
use crate::rules::{Case, Facts};
use crate::state::AfterServiceState;

/// Decides TK-35: a counter only grows unless it says that it began again.
pub fn record(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &RecordTicketReading,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketRecordReading, ctx)?;
    let ticket = case.ticket;
    let old = ticket.readings.get(&p.name).copied();
    let reset = p.reset.unwrap_or(false);
    if let Some(last) = old.filter(|last| p.value < *last && !reset) {
        let message = format!("counter {} showed {last} before: say reset, when it began again", p.name);
        return Err(Rejection::guard("TK-35", message).at("payload.value").with("last", last.to_string()));
    }
    let recorded = TicketReadingRecordedV1 {
        name: p.name.clone(),
        value: p.value,
        unit: p.unit.clone(),
        reset,
        old,
        serial: ticket.serial.clone(),
        product_id: unit_of(&case).map(|u| u.product_id).or_else(|| ticket.product_id.clone()),
        equipment_id: ticket.equipment_id,
    };
    Ok(case.decided(role, vec![recorded.into()]))
}
