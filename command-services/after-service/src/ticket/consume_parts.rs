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

#[cfg(test)]
mod tests {
    use crate::fixture::{HOUR, MINUTE, World, code, data, detail, e, names, rule, technician_named, unit};
    use crate::known::Unit;
    use crate::ticket::parts::tests::requested;
    use mw_contract::decide::Decision;
    use mw_contract::event::ticket::WarrantyOverriddenV1;
    use mw_contract::{
        AggregateId, Commercial, ErrorCode, PartSource, Percent, Qty, ReferenceKind, Rejection, TicketState,
        WarrantyStatus,
    };
    use serde_json::{Value, json};

    fn line(more: Value) -> Value {
        let mut l = json!({"item_id": "seal", "qty": 1, "uom": "H87", "source": "van", "coverage": "warranty"});
        l.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        l
    }

    fn used(w: &mut World, id: AggregateId, n: u128, lines: &[Value]) -> Result<Decision, Rejection> {
        w.technician("ticket.consume-parts", id, json!({"consumption_id": e(n), "lines": lines}))
    }

    fn status(w: &mut World, id: AggregateId, new: WarrantyStatus, commercial: Commercial) {
        let overridden = WarrantyOverriddenV1 {
            old: WarrantyStatus::Unchecked,
            new,
            reason: "other".parse().unwrap(),
            note: None,
            coverage_pct: Percent::ZERO,
            approver: None,
            commercial,
        };
        w.given(id, overridden);
    }

    fn warnings(d: &Decision) -> Vec<&str> {
        d.warnings.iter().map(|w| w.code.as_str()).collect()
    }

    #[test]
    fn tk_29_r1_the_customer_pays_for_no_part_that_it_has_not_agreed_to() {
        let mut w = World::new();
        let id = w.in_state(TicketState::InProgress);
        let charged = line(json!({"coverage": "chargeable"}));
        for blocked in [Commercial::QuoteRequired, Commercial::Quoted, Commercial::Rejected, Commercial::Expired] {
            status(&mut w, id, WarrantyStatus::OutOfWarranty, blocked);
            let r = used(&mut w, id, 1, &[line(json!({"coverage": "goodwill"})), charged.clone()]);
            assert_eq!(detail(r.clone(), "invariant"), "T2");
            assert_eq!(r.clone().unwrap_err().field.as_deref(), Some("payload.lines[1].coverage"));
            assert_eq!(rule(r), "TK-29.R1");
        }
        let d = used(&mut w, id, 1, &[line(json!({"coverage": "goodwill"})), line(json!({}))]).unwrap();
        assert_eq!(warnings(&d), ["not_in_warranty"]);
        status(&mut w, id, WarrantyStatus::OutOfWarranty, Commercial::Approved);
        assert_eq!(warnings(&used(&mut w, id, 2, &[charged]).unwrap()), Vec::<&str>::new());
    }

    #[test]
    fn tk_29_r1_no_more_is_used_than_is_reserved() {
        let mut w = World::new();
        let id = w.in_state(TicketState::InProgress);
        requested(&mut w, id, 1, 2, 0);
        requested(&mut w, id, 2, 3, 0);
        let from_stock = |qty: u32| line(json!({"source": "reservation", "qty": qty}));
        let r = used(&mut w, id, 3, &[from_stock(4), from_stock(2)]);
        assert_eq!((detail(r.clone(), "invariant"), detail(r.clone(), "max_allowed")), (json!("T4"), json!("1")));
        assert_eq!(rule(r), "TK-29.R1");
        let other_lot = line(json!({"source": "reservation", "lot": "L-2"}));
        assert_eq!(rule(used(&mut w, id, 3, &[other_lot])), "TK-29.R1");
        let other_item = line(json!({"source": "reservation", "item_id": "ring"}));
        assert_eq!(rule(used(&mut w, id, 3, &[other_item])), "TK-29.R1");
        // One line for each reservation that it leaves; what came out is told once.
        let l =
            line(json!({"source": "reservation", "qty": 4, "removed_serial": "M-1", "removed_disposition": "scrap"}));
        let d = used(&mut w, id, 3, &[l]).unwrap();
        let lines = data(&d, 0)["lines"].clone();
        assert_eq!(lines.as_array().unwrap().len(), 2);
        let part = |i: usize| (lines[i]["qty"].clone(), lines[i]["reservation_id"].clone(), lines[i]["lot"].clone());
        assert_eq!(part(0), (json!("2"), json!(e(101)), json!("L-1")));
        assert_eq!(part(1), (json!("2"), json!(e(102)), json!("L-1")));
        assert_eq!((&lines[0]["removed_serial"], &lines[1]["removed_serial"]), (&json!("M-1"), &Value::Null));
        assert_eq!(w.ticket(id).parts.reserved[0].qty.to_string(), "1");
        assert_eq!(rule(used(&mut w, id, 4, &[from_stock(2)])), "TK-29.R1");
        used(&mut w, id, 4, &[from_stock(1)]).unwrap();
        assert!(w.ticket(id).parts.reserved.is_empty());
    }

    #[test]
    fn tk_29_what_van_and_customer_bring_needs_no_reservation() {
        let mut w = World::new();
        let id = w.in_state(TicketState::InProgress);
        let cost = json!({"amount": "12.50", "currency": "EUR"});
        let lines = [line(json!({"qty": 3, "unit_cost": cost})), line(json!({"source": "customer"}))];
        let d = used(&mut w, id, 1, &lines).unwrap();
        assert_eq!((names(&d), d.late), (vec!["PartsConsumed"], false));
        let c = data(&d, 0);
        assert_eq!((&c["serial"], &c["product_id"]), (&json!("SN-1"), &json!("pump-200")));
        assert_eq!(c["lines"][0]["unit_cost"]["amount"], "12.5");
        assert_eq!(code(used(&mut w, id, 1, &lines)), ErrorCode::AlreadyExists);
        assert_eq!(code(used(&mut w, id, 2, &[])), ErrorCode::Validation);
        assert_eq!(code(used(&mut w, id, 2, &[line(json!({"qty": 0}))])), ErrorCode::Validation);
    }

    #[test]
    fn tk_29_r2_a_part_with_a_serial_number_is_named_by_it_and_goes_in_once() {
        let mut w = World::new();
        let id = w.in_state(TicketState::InProgress);
        w.plant.put(ReferenceKind::Product, "motor", json!({"uom": "H87", "tracking": "serial"}));
        let motor = |more: Value| {
            let mut l = line(more);
            l["item_id"] = json!("motor");
            l
        };
        let r = used(&mut w, id, 1, &[motor(json!({}))]);
        assert_eq!(r.clone().unwrap_err().field.as_deref(), Some("payload.lines[0].new_serial"));
        assert_eq!(rule(r), "TK-29.R2");
        assert_eq!(code(used(&mut w, id, 1, &[motor(json!({"new_serial": "M-2", "qty": 2}))])), ErrorCode::Validation);
        let m2 = motor(json!({"new_serial": "M-2", "removed_serial": "M-1"}));
        assert_eq!(rule(used(&mut w, id, 1, &[m2.clone(), motor(json!({"new_serial": "M-2"}))])), "TK-29.R2");
        used(&mut w, id, 1, &[m2]).unwrap();
        assert_eq!(rule(used(&mut w, id, 2, &[motor(json!({"new_serial": "M-2"}))])), "TK-29.R2");
        used(&mut w, id, 2, &[motor(json!({"new_serial": "M-3", "removed_serial": "M-2"}))]).unwrap();
        used(&mut w, id, 3, &[motor(json!({"new_serial": "M-2", "removed_serial": "M-3"}))]).unwrap();
        // Other parts need none.
        used(&mut w, id, 4, &[line(json!({}))]).unwrap();
    }

    #[test]
    fn tk_29_r3_a_removed_part_that_is_not_known_to_be_in_the_unit_is_a_warning() {
        let mut w = World::new();
        let id = w.in_state(TicketState::InProgress);
        w.plant.unit(Unit {
            components: vec!["M-1", "M-7"].into_iter().map(crate::fixture::text).collect(),
            ..unit("SN-1")
        });
        let swap = |out: &str, new: &str| line(json!({"removed_serial": out, "new_serial": new}));
        assert_eq!(warnings(&used(&mut w, id, 1, &[swap("M-1", "M-2")]).unwrap()), Vec::<&str>::new());
        // What this ticket put in is in it, what it took out is not.
        assert_eq!(
            warnings(&used(&mut w, id, 2, &[swap("M-2", "M-3"), swap("M-3", "M-4")]).unwrap()),
            Vec::<&str>::new()
        );
        let d = used(&mut w, id, 3, &[swap("M-1", "M-5")]).unwrap();
        assert_eq!((warnings(&d), names(&d)), (vec!["component_unknown"], vec!["PartsConsumed"]));
        assert_eq!(warnings(&used(&mut w, id, 4, &[swap("M-9", "M-6")]).unwrap()), ["component_unknown"]);
        assert_eq!(warnings(&used(&mut w, id, 5, &[swap("M-7", "M-8")]).unwrap()), Vec::<&str>::new());
    }

    #[test]
    fn tk_29_what_was_used_before_the_resolution_is_told_within_24_hours() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Resolved);
        let p = json!({"consumption_id": e(1), "lines": [line(json!({}))]});
        let worked = w.now.plus_millis(-MINUTE);
        assert_eq!(code(used(&mut w, id, 1, &[line(json!({}))])), ErrorCode::InvalidState);
        w.later(24 * HOUR);
        let who = crate::fixture::technician();
        assert!(w.ask_at(worked, &who, "ticket.consume-parts", id, p.clone()).unwrap().late);
        w.later(1);
        assert_eq!(code(w.ask_at(worked, &who, "ticket.consume-parts", id, p.clone())), ErrorCode::InvalidState);
        let other = w.run(&technician_named("technician-2"), "ticket.consume-parts", id, p);
        assert_eq!(code(other), ErrorCode::Forbidden);
    }

    proptest::proptest! {
        /// T4: whatever is asked, used and returned in whatever order, what stock kept for the ticket is the
        /// sum of what was used of it, what went back unused and what is left.
        #[test]
        fn t4_no_more_is_used_than_was_reserved(steps in proptest::collection::vec((0u8..4, 1u32..5), 1..25)) {
            let mut w = World::new();
            let id = w.in_state(TicketState::InProgress);
            let mut kept = Qty::ZERO;
            for (n, (what, qty)) in steps.into_iter().enumerate() {
                let n = 1000 + n as u128 * 200;
                match what {
                    0 => {
                        requested(&mut w, id, n, qty, 1);
                        kept += Qty::whole(qty);
                    }
                    1 => {
                        let back = json!({"lines": [{"item_id": "seal", "qty": qty}], "condition": "good",
                            "to_location": "store"});
                        let _ = w.technician("ticket.return-parts", id, back);
                    }
                    2 => drop(used(&mut w, id, n, &[line(json!({"source": "reservation", "qty": qty}))])),
                    _ => drop(used(&mut w, id, n, &[line(json!({"qty": qty}))]).unwrap()),
                }
                let parts = &w.ticket(id).parts;
                let used: Qty =
                    parts.consumed.iter().filter(|c| c.source == PartSource::Reservation).map(|c| c.qty).sum();
                let back: Qty = parts.returned.iter().filter(|r| r.unused).map(|r| r.qty).sum();
                let left: Qty = parts.reserved.iter().map(|r| r.qty).sum();
                proptest::prop_assert_eq!(used + back + left, kept);
                proptest::prop_assert!(used <= kept);
            }
        }
    }
}
