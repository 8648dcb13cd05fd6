//! TK-29 `ticket.consume-parts`: what went into the unit, what came out of it, and who pays.

use mw_contract::command::ticket::{ConsumeParts, PartUse};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::PartsConsumedV1;
use mw_contract::event::ticket_parts::PartUseV1;
use mw_contract::{CommandType, Coverage, PartSource, Qty, Rejection, Text, Warning, WarrantyStatus};

use super::parts::{Shelf, Taken, is_serial_tracked, one_a_serial, some_parts};
use crate::known::Unit;
use crate::rules::{Case, Facts, exists};
use crate::state::{AfterServiceState, Ticket};

/// Decides TK-29. What the customer or the technician's van brings needs no reservation.
pub fn consume(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &ConsumeParts,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketConsumeParts, ctx)?;
    let ticket = case.ticket;
    if ticket.parts.consumptions.contains(&p.consumption_id) {
        let message = format!("consumption {} is there already", p.consumption_id);
        return Err(exists(message).at("payload.consumption_id"));
    }
    some_parts(&case, p.lines.iter().map(|l| (&l.item_id, l.qty)))?;
    let unit = unit_of(&case);
    let mut inside = Inside::of(ticket, unit.as_ref());
    let mut shelf = Shelf::of(ticket);
    let (mut lines, mut warnings) = (Vec::with_capacity(p.lines.len()), Vec::new());
    for (i, l) in p.lines.iter().enumerate() {
        let at = |r: Rejection, name: &str| r.at(format!("payload.lines[{i}].{name}"));
        payable(&case, l, &mut warnings).map_err(|r| at(r, "coverage"))?;
        identified(&case, l, &inside).map_err(|r| at(r, "new_serial"))?;
        if let Some(out) = &l.removed_serial
            && !inside.remove(out)
        {
            let message = format!("{out} is not known to be in the unit: what is in it now was noted all the same");
            warnings.push(Warning { code: "component_unknown".into(), message });
        }
        inside.added.extend(&l.new_serial);
        lines.extend(used(&mut shelf, l).map_err(|r| at(r, "qty"))?);
    }
    let consumed = PartsConsumedV1 {
        consumption_id: p.consumption_id,
        serial: ticket.serial.clone(),
        product_id: unit.map(|u| u.product_id).or_else(|| ticket.product_id.clone()),
        lines,
    };
    Ok(Decision { warnings, ..case.decided(role, vec![consumed.into()]) })
}

/// The unit that the ticket is about, as far as production made it known.
pub(super) fn unit_of(case: &Case<'_>) -> Option<Unit> {
    let ticket = case.ticket;
    let mut units = case.facts.known.units(ticket.serial.as_ref()?);
    if let Some(product) = &ticket.product_id {
        units.retain(|u| u.product_id == *product);
    }
    if units.len() == 1 { units.pop() } else { None }
}

/// TK-29.R1, T2: the customer pays for nothing that it has not agreed to.
fn payable(case: &Case<'_>, l: &PartUse, warnings: &mut Vec<Warning>) -> Result<(), Rejection> {
    let ticket = case.ticket;
    if l.coverage == Coverage::Chargeable && ticket.commercial.blocks() {
        let message = "the customer has not agreed to pay: have a quote approved first, or use a part that is covered";
        return Err(Rejection::guard("TK-29.R1", message)
            .with("invariant", "T2")
            .with("commercial", ticket.commercial.as_str()));
    }
    let status = ticket.warranty.status;
    if l.coverage == Coverage::Warranty && !status.covers() && status != WarrantyStatus::Unchecked {
        let message = format!("{} is put down to a warranty, and the unit's is {status}", l.item_id);
        warnings.push(Warning { code: "not_in_warranty".into(), message });
    }
    Ok(())
}

/// TK-29.R2: a part that has a serial number is named by it, and goes in once.
fn identified(case: &Case<'_>, l: &PartUse, inside: &Inside<'_>) -> Result<(), Rejection> {
    let guard = |message: String| Err(Rejection::guard("TK-29.R2", message));
    match &l.new_serial {
        None if is_serial_tracked(case, &l.item_id) => {
            guard(format!("each {} has a serial number: give it as new_serial, one a line", l.item_id))
        }
        Some(s) if inside.added.contains(&s) => guard(format!("{s} is in the unit already")),
        s => one_a_serial(s.as_ref(), l.qty),
    }
}

/// TK-29.R1, T4: what comes from a reservation is reserved.
fn used(shelf: &mut Shelf, l: &PartUse) -> Result<Vec<PartUseV1>, Rejection> {
    let line = |qty: Qty, from: Option<Taken>, removed: Option<Text<60>>| PartUseV1 {
        item_id: l.item_id.clone(),
        qty,
        new_serial: l.new_serial.clone(),
        lot: l.lot.clone().or_else(|| from.as_ref().and_then(|f| f.lot.clone())),
        removed_serial: removed,
        removed_disposition: l.removed_disposition,
        source: l.source,
        coverage: l.coverage,
        unit_cost: l.unit_cost,
        reservation_id: from.as_ref().map(|f| f.reservation_id),
        location: from.map(|f| f.location),
    };
    if l.source != PartSource::Reservation {
        return Ok(vec![line(l.qty, None, l.removed_serial.clone())]);
    }
    let there = shelf.has(&l.item_id, l.lot.as_ref());
    let (taken, rest) = shelf.take(&l.item_id, l.lot.as_ref(), l.qty);
    if !rest.is_zero() {
        let message =
            format!("{there} of {} is reserved for the ticket and left: request more, or name the van", l.item_id);
        return Err(Rejection::guard("TK-29.R1", message)
            .with("invariant", "T4")
            .with("max_allowed", there.to_string()));
    }
    // One line for each reservation it comes from; what came out is told once.
    let mut removed = l.removed_serial.clone();
    Ok(taken.into_iter().map(|t| line(t.qty, Some(t), removed.take())).collect())
}

/// TK-29.R3: the serial numbers that are in the unit now, by what is known of it and by this ticket.
struct Inside<'a> {
    known: Vec<&'a Text<60>>,
    added: Vec<&'a Text<60>>,
}

impl<'a> Inside<'a> {
    fn of(ticket: &'a Ticket, unit: Option<&'a Unit>) -> Self {
        let known = unit.map(|u| u.components.iter().collect()).unwrap_or_default();
        let mut inside = Inside { known, added: Vec::new() };
        for c in &ticket.parts.consumed {
            if let Some(out) = &c.removed_serial {
                inside.remove(out);
            }
            inside.added.extend(&c.new_serial);
        }
        inside
    }

    /// Takes one out; says whether it was there.
    fn remove(&mut self, serial: &Text<60>) -> bool {
        let count = self.known.len() + self.added.len();
        self.known.retain(|s| *s != serial);
        self.added.retain(|s| *s != serial);
        self.known.len() + self.added.len() < count
    }
}
