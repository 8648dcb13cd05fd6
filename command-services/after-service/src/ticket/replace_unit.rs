//! TK-36 `ticket.replace-unit`: the customer gets another unit, and what is left of its warranty.

use mw_contract::command::ticket::ReplaceUnit;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::UnitReplacedV1;
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, Date, ProductId, Rejection, Sealed, Text, UnitStatus};

use super::consume_parts::unit_of;
use crate::known::Unit;
use crate::rules::{Case, Facts};
use crate::state::AfterServiceState;

const HOUR: i64 = 3_600_000;

/// Decides TK-36.
pub fn replace(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &ReplaceUnit,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketReplaceUnit, ctx)?;
    let ticket = case.ticket;
    let (reason, _) = facts.need_reason(catalogues::TICKET, p.reason.as_ref(), p.note.as_ref())?;
    if let Some(serial) = ticket.serial.as_ref().filter(|s| **s != p.old_serial) {
        let message = format!("the ticket is about unit {serial}: that one is replaced");
        return Err(Rejection::guard("TK-36", message).at("payload.old_serial"));
    }
    if p.old_serial == p.new_serial {
        return Err(Rejection::invalid("payload.new_serial", "is the serial number of another unit"));
    }
    if ticket.commercial.blocks() {
        let message = "the customer has not agreed to pay: have a quote approved, or override the warranty first";
        return Err(Rejection::guard("T2", message).with("commercial", ticket.commercial.as_str()));
    }
    let old = unit_of(&case);
    let old_product = old.as_ref().map(|u| u.product_id.clone()).or_else(|| ticket.product_id.clone());
    let new = free_unit(&case, &p.new_serial, old_product.as_ref())?;
    let replaced = UnitReplacedV1 {
        old_serial: p.old_serial.clone(),
        old_product_id: old_product,
        new_serial: p.new_serial.clone(),
        new_product_id: new.product_id,
        customer_id: ticket.customer_id.clone(),
        reason,
        note: p.note.as_ref().map(Sealed::plain),
        old_disposition: p.old_disposition,
        warranty_end: warranty_end(&case, old.as_ref()),
    };
    Ok(case.decided(role, vec![replaced.into()]))
}

/// TK-36.R1. Products may share a serial number: of several units it is the one of the same product.
fn free_unit(case: &Case<'_>, serial: &Text<60>, product: Option<&ProductId>) -> Result<Unit, Rejection> {
    let guard = |message: String| Rejection::guard("TK-36.R1", message).at("payload.new_serial");
    let mut units = case.facts.known.units(serial);
    if units.len() > 1 {
        units.retain(|u| Some(&u.product_id) == product);
    }
    let unit = units.pop().ok_or_else(|| guard(format!("production has made no unit {serial} of this product")))?;
    let status = unit.status;
    if !unit.good || !unit.open_recalls.is_empty() || matches!(status, UnitStatus::Scrapped | UnitStatus::Recalled) {
        return Err(guard(format!("unit {serial} is not good: take another one")).with("status", status.as_str()));
    }
    if unit.customer_id.is_some() || !matches!(status, UnitStatus::InStock | UnitStatus::Returned) {
        return Err(
            guard(format!("unit {serial} is at a customer: take one from stock")).with("status", status.as_str())
        );
    }
    Ok(unit)
}

/// The rest of the old unit's warranty, at least so many days from now (site setting).
fn warranty_end(case: &Case<'_>, old: Option<&Unit>) -> Date {
    let zone = case.facts.time_zone(case.ctx);
    let days = i64::from(case.facts.settings(case.ctx).replacement_warranty_days);
    // From noon to noon, so that no change of the clocks moves the day.
    let noon = case.ctx.occurred_at.date_in(&zone).span_in(&zone).0.plus_millis(12 * HOUR);
    let least = noon.plus_millis(days * 24 * HOUR).date_in(&zone);
    let known = old.and_then(|u| u.warranty.as_ref()).filter(|w| !w.void).map(|w| w.end);
    let rest = known.or_else(|| {
        let terms = if old.is_none() { case.ticket.warranty.terms.as_ref() } else { None };
        terms.and_then(|t| t.warranty_end)
    });
    rest.map_or(least, |end| end.max(least))
}
