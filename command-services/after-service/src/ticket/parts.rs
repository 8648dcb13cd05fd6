//! TK-27 `ticket.request-parts`, TK-28 `ticket.confirm-parts`, `ticket.release-parts` and TK-30
//! `ticket.return-parts`: what stock is asked to keep for a ticket, what it keeps and no longer keeps, and
//! what goes back to it.

use std::collections::BTreeMap;

use mw_contract::command::ticket::{ConfirmParts, PartReturn, ReleaseParts, RequestParts, ReturnParts};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::{
    PartsReleasedV1, PartsRequestedV1, PartsReservedV1, PartsReturnedV1, PartsUnavailableV1,
};
use mw_contract::event::ticket_parts::{PartMissingV1, PartRequestV1, PartReservationV1, PartReturnV1, PartUseV1};
use mw_contract::reference::{Document, Product};
use mw_contract::reply::FieldError;
use mw_contract::{
    Code, CommandType, EntityId, Event, ItemId, Qty, ReferenceKind, Rejection, RemovedDisposition, Text, Tracking,
    derived_entity,
};

use crate::rules::{Case, Facts, all_valid, exists};
use crate::state::{AfterServiceState, Ticket};

/// No ticket needs as many of anything.
const MOST: i128 = 1_000_000_000;

/// Decides TK-27.
pub fn request(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &RequestParts,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketRequestParts, ctx)?;
    if case.ticket.parts.requests.contains_key(&p.request_id) {
        return Err(exists(format!("request {} is there already", p.request_id)).at("payload.request_id"));
    }
    some_lines(p.lines.iter().map(|l| (l.qty, l.uom.is_piece())), "payload.lines")?;
    let lines = p.lines.iter().map(|l| PartRequestV1 {
        item_id: l.item_id.clone(),
        qty: l.qty,
        uom: l.uom.clone(),
        needed_by: l.needed_by,
        for_serial: l.for_serial.clone(),
    });
    let requested = PartsRequestedV1 { request_id: p.request_id, lines: lines.collect() };
    Ok(case.decided(role, vec![requested.into()]))
}

/// Decides TK-28: what stock answered, each request once.
pub fn confirm(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &ConfirmParts,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketConfirmParts, ctx)?;
    let parts = &case.ticket.parts;
    let Some(request) = parts.requests.get(&p.request_id).filter(|r| !r.answered) else {
        let message = format!("request {} is not open: it was answered, or never made", p.request_id);
        return Err(Rejection::not_found(message).at("payload.request_id"));
    };
    let (reserved, missing) = (p.reserved.as_deref().unwrap_or_default(), p.missing.as_deref().unwrap_or_default());
    if reserved.is_empty() && missing.is_empty() {
        return Err(Rejection::invalid("payload", "say what is reserved, or what is missing"));
    }
    let mut answered: BTreeMap<&ItemId, Qty> = BTreeMap::new();
    let answers =
        reserved.iter().map(|r| (&r.item_id, r.qty)).chain(missing.iter().map(|m| (&m.item_id, m.missing_qty)));
    for (item, qty) in answers {
        let asked: Qty = request.lines.iter().filter(|l| l.item_id == *item).map(|l| l.qty).sum();
        let sum = answered.entry(item).or_default();
        *sum += qty;
        if *sum > asked {
            let message = format!("{sum} of {item} is answered and {asked} was asked for");
            return Err(Rejection::guard("TK-28", message).with("asked", asked.to_string()));
        }
    }
    let mut events: Vec<Event> = Vec::new();
    if !reserved.is_empty() {
        if let Some(r) = reserved.iter().find(|r| parts.reserved.iter().any(|x| x.reservation_id == r.reservation_id)) {
            return Err(exists(format!("reservation {} is there already", r.reservation_id)).at("payload.reserved"));
        }
        let lines = reserved.iter().map(|r| PartReservationV1 {
            reservation_id: r.reservation_id,
            item_id: r.item_id.clone(),
            qty: r.qty,
            location: r.location.clone(),
            lot: r.lot.clone(),
        });
        events.push(PartsReservedV1 { request_id: p.request_id, lines: lines.collect() }.into());
    }
    if !missing.is_empty() {
        let lines = missing.iter().map(|m| PartMissingV1 {
            item_id: m.item_id.clone(),
            missing_qty: m.missing_qty,
            eta: m.eta,
        });
        events.push(PartsUnavailableV1 { request_id: p.request_id, lines: lines.collect() }.into());
    }
    Ok(case.decided(role, events))
}

/// Decides `ticket.release-parts`: nobody fetched the parts in time. The timer is elsewhere and may be
/// stale; what was used or returned meanwhile is left out, and nothing is no failure.
pub fn release(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &ReleaseParts,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketReleaseParts, ctx)?;
    if p.reservation_ids.is_empty() {
        return Err(Rejection::invalid("payload.reservation_ids", "name at least one reservation"));
    }
    let reserved = case.ticket.parts.reserved.iter();
    let lines: Vec<PartReservationV1> =
        reserved.filter(|r| !r.qty.is_zero() && p.reservation_ids.contains(&r.reservation_id)).cloned().collect();
    let released = (!lines.is_empty()).then(|| PartsReleasedV1 { lines }.into());
    Ok(case.decided(role, released.into_iter().collect()))
}

/// Decides TK-30: back goes what stock keeps for the ticket and nobody used, and what came out of a
/// unit and is not scrap.
pub fn give_back(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &ReturnParts,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketReturnParts, ctx)?;
    let ticket = case.ticket;
    let derived = || derived_entity(&format!("{}:return:{}", ctx.aggregate_id, ctx.version.0));
    let return_id = p.return_id.unwrap_or_else(derived);
    if ticket.parts.returns.contains(&return_id) {
        return Err(exists(format!("return {return_id} is there already")).at("payload.return_id"));
    }
    some_parts(&case, p.lines.iter().map(|l| (&l.item_id, l.qty)))?;
    let mut shelf = Shelf::of(ticket);
    let mut cores = Cores::of(ticket);
    let mut lines = Vec::with_capacity(p.lines.len());
    for (i, l) in p.lines.iter().enumerate() {
        one_a_serial(l.serial.as_ref(), l.qty).map_err(|r| r.at(format!("payload.lines[{i}].qty")))?;
        let back = |qty, reservation_id| PartReturnV1 {
            item_id: l.item_id.clone(),
            qty,
            serial: l.serial.clone(),
            lot: l.lot.clone(),
            reservation_id,
        };
        if cores.take_serial(l) {
            lines.push(back(l.qty, None));
            continue;
        }
        let (unused, rest) = shelf.take(&l.item_id, l.lot.as_ref(), l.qty);
        lines.extend(unused.into_iter().map(|u| back(u.qty, Some(u.reservation_id))));
        if !rest.is_zero() {
            let left = cores.take(l, rest);
            if !left.is_zero() {
                let there = l.qty.less(left);
                let message = format!(
                    "{there} of {} is kept for the ticket or came out of a unit and is left: return no more",
                    l.item_id
                );
                return Err(Rejection::guard("TK-30", message)
                    .at(format!("payload.lines[{i}].qty"))
                    .with("max_allowed", there.to_string()));
            }
            lines.push(back(rest, None));
        }
    }
    let returned = PartsReturnedV1 { return_id, lines, condition: p.condition, to_location: p.to_location.clone() };
    Ok(case.decided(role, vec![returned.into()]))
}

/// At least one line, each with something in it, whole where it is counted in pieces.
pub(super) fn some_lines(
    quantities: impl IntoIterator<Item = (Qty, bool)>,
    field: &'static str,
) -> Result<(), Rejection> {
    let mut errors = Vec::new();
    let mut any = false;
    for (i, (qty, piece)) in quantities.into_iter().enumerate() {
        any = true;
        let why = match qty {
            q if q.is_zero() => "must be more than 0",
            q if q.decimal().trunc().mantissa() >= MOST => "is more than a ticket can need",
            q if piece && !q.is_whole() => "must be whole: it is counted in pieces",
            _ => continue,
        };
        errors.push(FieldError::new(format!("{field}[{i}].qty"), why));
    }
    if !any {
        errors.push(FieldError::new(field, "name at least one line"));
    }
    all_valid(errors)
}

/// As [`some_lines`], for items whose unit of measure is known as a product's.
pub(super) fn some_parts<'a>(
    case: &Case<'_>,
    lines: impl IntoIterator<Item = (&'a ItemId, Qty)>,
) -> Result<(), Rejection> {
    let piece = |item: &ItemId| with_product(case, item, |p| p.uom.is_piece()).unwrap_or(false);
    some_lines(lines.into_iter().map(|(item, qty)| (qty, piece(item))), "payload.lines")
}

/// What the product of an item says, where it is known.
fn with_product<T>(case: &Case<'_>, item: &ItemId, f: impl FnOnce(&Product) -> T) -> Option<T> {
    match case.facts.known.document(ReferenceKind::Product, item.as_str()).as_deref() {
        Some(Document::Product(p)) => Some(f(p)),
        _ => None,
    }
}

/// Does each piece of the item have a serial number?
pub(super) fn is_serial_tracked(case: &Case<'_>, item: &ItemId) -> bool {
    with_product(case, item, |p| p.tracking == Tracking::Serial).unwrap_or(false)
}

/// A serial number is of one piece.
pub(super) fn one_a_serial(serial: Option<&Text<60>>, qty: Qty) -> Result<(), Rejection> {
    if serial.is_some() && qty != Qty::whole(1) {
        return Err(Rejection::invalid("payload.lines", "a serial number is of one piece: give each its own line"));
    }
    Ok(())
}

/// What stock keeps for a ticket, while a command takes from it line by line.
pub(super) struct Shelf(Vec<PartReservationV1>);

/// What was taken from one reservation.
pub(super) struct Taken {
    /// From which one.
    pub(super) reservation_id: EntityId,
    /// Where stock kept it.
    pub(super) location: Code,
    /// Of which lot it is.
    pub(super) lot: Option<Text<40>>,
    /// How much.
    pub(super) qty: Qty,
}

impl Shelf {
    /// Before the command.
    pub(super) fn of(ticket: &Ticket) -> Self {
        Shelf(ticket.parts.reserved.clone())
    }

    /// How much of an item is there.
    pub(super) fn has(&self, item: &ItemId, lot: Option<&Text<40>>) -> Qty {
        self.0.iter().filter(|r| fits(r, item, lot)).map(|r| r.qty).sum()
    }

    /// Takes as much as there is; the rest comes back.
    pub(super) fn take(&mut self, item: &ItemId, lot: Option<&Text<40>>, qty: Qty) -> (Vec<Taken>, Qty) {
        let mut rest = qty;
        let mut taken = Vec::new();
        for r in self.0.iter_mut().filter(|r| fits(r, item, lot)) {
            let part = r.qty.min(rest);
            if part.is_zero() {
                continue;
            }
            r.qty = r.qty.less(part);
            rest = rest.less(part);
            let lot = r.lot.clone();
            taken.push(Taken { reservation_id: r.reservation_id, location: r.location.clone(), lot, qty: part });
        }
        (taken, rest)
    }
}

fn fits(r: &PartReservationV1, item: &ItemId, lot: Option<&Text<40>>) -> bool {
    r.item_id == *item && (lot.is_none() || r.lot.is_none() || r.lot.as_ref() == lot)
}

/// What came out of a unit, is not scrap and has not gone back yet.
struct Cores<'a> {
    serials: Vec<(&'a ItemId, &'a Text<60>)>,
    counted: BTreeMap<&'a ItemId, Qty>,
}

impl<'a> Cores<'a> {
    fn of(ticket: &'a Ticket) -> Self {
        let mut cores = Cores { serials: Vec::new(), counted: BTreeMap::new() };
        let kept = |c: &&PartUseV1| {
            matches!(c.removed_disposition, Some(RemovedDisposition::Return | RemovedDisposition::Refurbish))
        };
        for c in ticket.parts.consumed.iter().filter(kept) {
            match &c.removed_serial {
                Some(serial) => cores.serials.push((&c.item_id, serial)),
                None => *cores.counted.entry(&c.item_id).or_default() += c.qty,
            }
        }
        for r in ticket.parts.returned.iter().filter(|r| !r.unused) {
            match &r.serial {
                Some(serial) => cores.serials.retain(|(item, s)| (*item, *s) != (&r.item_id, serial)),
                None => {
                    if let Some(left) = cores.counted.get_mut(&r.item_id) {
                        *left = left.less(r.qty);
                    }
                }
            }
        }
        cores
    }

    /// Takes the one with the line's serial number, when it is there.
    fn take_serial(&mut self, l: &PartReturn) -> bool {
        let Some(serial) = &l.serial else { return false };
        let found = self.serials.iter().position(|(item, s)| (*item, *s) == (&l.item_id, serial));
        found.map(|i| self.serials.swap_remove(i)).is_some()
    }

    /// Takes so many without a serial number; what is not there comes back.
    fn take(&mut self, l: &PartReturn, qty: Qty) -> Qty {
        match self.counted.get_mut(&l.item_id) {
            Some(there) if l.serial.is_none() => {
                let part = (*there).min(qty);
                *there = there.less(part);
                qty.less(part)
            }
            _ => qty,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::fixture::{World, admin, code, data, detail, e, names, rule, system, technician_named};
    use mw_contract::decide::Decision;
    use mw_contract::{AggregateId, ErrorCode, Rejection, TicketState};
    use serde_json::{Value, json};

    /// Asks for seals and has stock answer: so many are kept, so many are missing.
    pub fn requested(w: &mut World, id: AggregateId, n: u128, kept: u32, missing: u32) {
        let line = json!({"item_id": "seal", "qty": kept + missing, "uom": "H87"});
        w.technician("ticket.request-parts", id, json!({"request_id": e(n), "lines": [line]})).unwrap();
        answered(w, id, n, kept, missing).unwrap();
    }

    fn answered(w: &mut World, id: AggregateId, n: u128, kept: u32, missing: u32) -> Result<Decision, Rejection> {
        let mut p = json!({"request_id": e(n)});
        if kept > 0 {
            let r = json!({"reservation_id": e(n + 100), "item_id": "seal", "qty": kept, "location": "store", "lot": "L-1"});
            p["reserved"] = json!([r]);
        }
        if missing > 0 {
            p["missing"] = json!([{"item_id": "seal", "missing_qty": missing, "eta": "2026-03-09T08:00:00.000Z"}]);
        }
        w.run(&system(), "ticket.confirm-parts", id, p)
    }

    fn back(lines: Value) -> Value {
        json!({"lines": lines, "condition": "good", "to_location": "store"})
    }

    #[test]
    fn tk_27_parts_are_asked_for_by_those_who_work_on_it() {
        let mut w = World::new();
        let id = w.in_state(TicketState::OnHold);
        let ask = |n: u128, qty: Value| {
            let line = json!({"item_id": "seal", "qty": qty, "uom": "H87", "for_serial": "SN-1",
                "needed_by": "2026-03-04T08:00:00.000Z"});
            json!({"request_id": e(n), "lines": [line]})
        };
        for qty in [json!(0), json!("1.5"), json!(1_000_000_000)] {
            let r = w.technician("ticket.request-parts", id, ask(1, qty)).unwrap_err();
            assert_eq!((r.code, r.field.as_deref()), (ErrorCode::Validation, Some("payload.lines[0].qty")));
        }
        let none = w.technician("ticket.request-parts", id, json!({"request_id": e(1), "lines": []}));
        assert_eq!(code(none), ErrorCode::Validation);
        let other = w.run(&technician_named("technician-2"), "ticket.request-parts", id, ask(1, json!(2)));
        assert_eq!(code(other), ErrorCode::Forbidden);
        let d = w.technician("ticket.request-parts", id, ask(1, json!(2))).unwrap();
        assert_eq!(names(&d), ["PartsRequested"]);
        assert_eq!(data(&d, 0)["lines"][0]["for_serial"], "SN-1");
        assert_eq!(code(w.technician("ticket.request-parts", id, ask(1, json!(3)))), ErrorCode::AlreadyExists);
        let over = w.in_state(TicketState::Resolved);
        assert_eq!(code(w.run(&admin(), "ticket.request-parts", over, ask(2, json!(1)))), ErrorCode::InvalidState);
    }

    #[test]
    fn tk_28_parts_that_nobody_fetched_are_kept_no_longer() {
        let mut w = World::new();
        let id = w.in_state(TicketState::InProgress);
        requested(&mut w, id, 1, 3, 0);
        requested(&mut w, id, 2, 2, 0);
        let release = |n: &[u128]| json!({"reservation_ids": n.iter().map(|n| e(*n)).collect::<Vec<_>>()});
        assert_eq!(code(w.run(&system(), "ticket.release-parts", id, release(&[]))), ErrorCode::Validation);
        // One of the first three is used.
        let used = json!([{"item_id": "seal", "qty": 1, "source": "reservation", "coverage": "warranty"}]);
        w.technician("ticket.consume-parts", id, json!({"consumption_id": e(50), "lines": used})).unwrap();
        let d = w.run(&system(), "ticket.release-parts", id, release(&[101, 999])).unwrap();
        assert_eq!(names(&d), ["PartsReleased"]);
        let lines = &data(&d, 0)["lines"];
        assert_eq!((lines.as_array().unwrap().len(), &lines[0]["reservation_id"]), (1, &json!(e(101))));
        assert_eq!(lines[0]["qty"], "2");
        // A timer that comes again finds nothing, and what is gone can't be returned.
        assert!(w.run(&system(), "ticket.release-parts", id, release(&[101])).unwrap().events.is_empty());
        let back =
            |qty: u32| json!({"lines": [{"item_id": "seal", "qty": qty}], "condition": "good", "to_location": "store"});
        assert_eq!(rule(w.technician("ticket.return-parts", id, back(3))), "TK-30");
        w.technician("ticket.return-parts", id, back(2)).unwrap();
        let over = w.in_state(TicketState::Closed);
        assert_eq!(code(w.run(&system(), "ticket.release-parts", over, release(&[101]))), ErrorCode::InvalidState);
    }

    #[test]
    fn tk_28_stock_answers_each_request_once_and_no_more_than_was_asked() {
        let mut w = World::new();
        let id = w.in_state(TicketState::InProgress);
        assert_eq!(code(answered(&mut w, id, 1, 1, 0)), ErrorCode::NotFound);
        let lines = json!([{"item_id": "seal", "qty": 2, "uom": "H87"}, {"item_id": "seal", "qty": 1, "uom": "H87"}]);
        w.technician("ticket.request-parts", id, json!({"request_id": e(1), "lines": lines})).unwrap();
        assert_eq!(code(answered(&mut w, id, 1, 0, 0)), ErrorCode::Validation);
        let more = answered(&mut w, id, 1, 2, 2);
        assert_eq!(detail(more.clone(), "asked"), "3");
        assert_eq!(rule(more), "TK-28");
        let d = answered(&mut w, id, 1, 2, 1).unwrap();
        assert_eq!(names(&d), ["PartsReserved", "PartsUnavailable"]);
        assert_eq!(
            (&data(&d, 0)["lines"][0]["qty"], &data(&d, 1)["lines"][0]["missing_qty"]),
            (&json!("2"), &json!("1"))
        );
        assert_eq!(code(answered(&mut w, id, 1, 1, 0)), ErrorCode::NotFound);
        // A reservation keeps its name.
        w.technician("ticket.request-parts", id, json!({"request_id": e(2), "lines": lines})).unwrap();
        let again = json!({"reservation_id": e(101), "item_id": "seal", "qty": 1, "location": "store"});
        let r = w.run(&system(), "ticket.confirm-parts", id, json!({"request_id": e(2), "reserved": [again]}));
        assert_eq!(code(r), ErrorCode::AlreadyExists);
    }

    #[test]
    fn tk_30_what_is_kept_and_unused_goes_back_once() {
        let mut w = World::new();
        let id = w.in_state(TicketState::InProgress);
        requested(&mut w, id, 1, 2, 0);
        requested(&mut w, id, 2, 1, 0);
        let more = w.technician("ticket.return-parts", id, back(json!([{"item_id": "seal", "qty": 4}])));
        assert_eq!(detail(more.clone(), "max_allowed"), "3");
        assert_eq!(rule(more), "TK-30");
        let lot = back(json!([{"item_id": "seal", "qty": 1, "lot": "L-2"}]));
        assert_eq!(rule(w.technician("ticket.return-parts", id, lot)), "TK-30");
        let twice = json!([{"item_id": "seal", "qty": 2}, {"item_id": "seal", "qty": 2}]);
        assert_eq!(rule(w.technician("ticket.return-parts", id, back(twice))), "TK-30");
        // One line for each reservation that it leaves.
        let d = w.technician("ticket.return-parts", id, back(json!([{"item_id": "seal", "qty": 3}]))).unwrap();
        let lines = data(&d, 0)["lines"].clone();
        assert_eq!((&lines[0]["qty"], &lines[0]["reservation_id"]), (&json!("2"), &json!(e(101))));
        assert_eq!((&lines[1]["qty"], &lines[1]["reservation_id"]), (&json!("1"), &json!(e(102))));
        assert!(w.ticket(id).parts.reserved.is_empty());
        assert_eq!(
            rule(w.technician("ticket.return-parts", id, back(json!([{"item_id": "seal", "qty": 1}])))),
            "TK-30"
        );
    }

    #[test]
    fn tk_30_what_came_out_of_the_unit_goes_back_unless_it_is_scrap() {
        let mut w = World::new();
        let id = w.in_state(TicketState::InProgress);
        let use_of = |more: Value| {
            let mut l = json!({"item_id": "seal", "qty": 1, "source": "van", "coverage": "warranty"});
            l.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            l
        };
        let lines = json!([
            use_of(json!({"removed_serial": "M-1", "removed_disposition": "refurbish"})),
            use_of(json!({"removed_serial": "M-2", "removed_disposition": "scrap"})),
            use_of(json!({"qty": 2, "removed_disposition": "return"})),
        ]);
        w.technician("ticket.consume-parts", id, json!({"consumption_id": e(1), "lines": lines})).unwrap();
        let serial = |s: &str, qty: u32| {
            let mut p = back(json!([{"item_id": "seal", "qty": qty, "serial": s}]));
            p["return_id"] = json!(e(9));
            p
        };
        let scrap = w.technician("ticket.return-parts", id, serial("M-2", 1));
        assert_eq!(detail(scrap.clone(), "max_allowed"), "0");
        assert_eq!(rule(scrap), "TK-30");
        assert_eq!(code(w.technician("ticket.return-parts", id, serial("M-1", 2))), ErrorCode::Validation);
        let d = w.technician("ticket.return-parts", id, serial("M-1", 1)).unwrap();
        assert_eq!(data(&d, 0)["lines"][0]["reservation_id"], Value::Null);
        assert_eq!(code(w.technician("ticket.return-parts", id, serial("M-1", 1))), ErrorCode::AlreadyExists);
        let mut again = serial("M-1", 1);
        again["return_id"] = json!(e(10));
        assert_eq!(rule(w.technician("ticket.return-parts", id, again)), "TK-30");
        for (qty, ok) in [(3, false), (1, true), (2, false), (1, true), (1, false)] {
            let r = w.technician("ticket.return-parts", id, back(json!([{"item_id": "seal", "qty": qty}])));
            assert_eq!(r.is_ok(), ok, "{qty}");
        }
    }
}
