//! TK-47 `ticket.authorize-return`, TK-48 `ticket.receive-return`, TK-49 `ticket.disposition-return` and
//! TK-50 `ticket.ship-back`: the unit travels to its repair.

use std::collections::BTreeSet;

use mw_contract::command::ticket::{AuthorizeReturn, DispositionReturn, ReceiveReturn, ShipBack};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::{ReturnAuthorizedV1, ReturnDispositionedV1, ReturnReceivedV1, UnitShippedBackV1};
use mw_contract::reference::catalogues;
use mw_contract::reply::FieldError;
use mw_contract::{
    CommandType, Event, ProductId, Rejection, ReturnDisposition, RmaState, Sealed, ServiceMode, Text, TicketState,
    Warning,
};

use super::hold::held;
use crate::rules::{Case, Facts, all_valid, check_file, exists};
use crate::state::{AfterServiceState, Return, ReturnedUnit, Ticket};

/// The most units that one return may name.
const MOST: usize = 100;

/// The hold of a ticket to which the wrong unit came.
const MISMATCH: &str = "internal";

/// Decides TK-47.
pub fn authorize(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &AuthorizeReturn,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketAuthorizeReturn, ctx)?;
    let ticket = case.ticket;
    let service_mode = p.service_mode.unwrap_or(ServiceMode::Workshop);
    well_named(&case, p, service_mode)?;
    let (reason, _) = facts.need_reason(catalogues::TICKET, p.reason.as_ref(), p.note.as_ref())?;
    let rma_no = match &p.rma_no {
        Some(no) => no.clone(),
        None => next_number(&case)?,
    };
    if let Some(other) = facts.desk.rma(&rma_no) {
        return Err(exists(format!("{rma_no} is the number of a return of ticket {other}")).at("payload.rma_no"));
    }
    let travels = |s: &&Text<60>| unit_of(ticket, s).is_some_and(|(_, u)| u.state != RmaState::ShippedBack);
    if let Some(serial) = p.serials.iter().find(travels) {
        let message = format!("a return of unit {serial} is authorized already: ship it back first");
        return Err(Rejection::guard("TK-47", message).at("payload.serials").with("serial", serial.as_str()));
    }
    let authorized = ReturnAuthorizedV1 {
        rma_no,
        serials: p.serials.clone(),
        reason,
        note: p.note.as_ref().map(Sealed::plain),
        ship_to: p.ship_to.clone(),
        carrier: p.carrier.clone(),
        valid_until: p.valid_until,
        service_mode,
    };
    Ok(case.decided(role, vec![authorized.into()]))
}

fn well_named(case: &Case<'_>, p: &AuthorizeReturn, mode: ServiceMode) -> Result<(), Rejection> {
    let mut errors = Vec::new();
    let distinct: BTreeSet<&Text<60>> = p.serials.iter().collect();
    if p.serials.is_empty() || p.serials.len() > MOST || distinct.len() < p.serials.len() {
        errors.push(FieldError::new("payload.serials", format!("names 1 to {MOST} units, each once")));
    }
    let today = case.ctx.received_at.date_in(&case.facts.time_zone(case.ctx));
    if p.valid_until < today {
        errors.push(FieldError::new("payload.valid_until", format!("is {today} or later")));
    }
    if !matches!(mode, ServiceMode::Workshop | ServiceMode::Exchange) {
        errors.push(FieldError::new("payload.service_mode", "is workshop or exchange"));
    }
    all_valid(errors)
}

/// The ticket's number with `R` and a count.
fn next_number(case: &Case<'_>) -> Result<Text<20>, Rejection> {
    let ticket = case.ticket;
    let nth = |n: usize| Text::new(&format!("{}-R{n}", ticket.number)).ok();
    let free = |no: &Text<20>| case.facts.desk.rma(no).is_none();
    // Somebody may have given a return of another ticket the number that is next here.
    (ticket.returns.len() + 1..).take(MOST).filter_map(nth).find(free).ok_or_else(|| {
        Rejection::invalid("payload.rma_no", "is needed: no number that follows from the ticket's is free")
    })
}

/// The last return that names a unit, with the unit in it.
fn unit_of<'a>(ticket: &'a Ticket, serial: &Text<60>) -> Option<(&'a Return, &'a ReturnedUnit)> {
    ticket.returns.iter().rev().find_map(|r| r.serials.iter().find(|u| u.serial == *serial).map(|u| (r, u)))
}

/// The product of a unit, as far as it is known.
fn product_of(case: &Case<'_>, serial: &Text<60>) -> Option<ProductId> {
    let ticket = case.ticket;
    let mut units = case.facts.known.units(serial);
    if units.len() > 1 {
        units.retain(|u| Some(&u.product_id) == ticket.product_id.as_ref());
    }
    let own = || ticket.product_id.clone().filter(|_| ticket.serial.as_ref() == Some(serial));
    units.pop().map(|u| u.product_id).or_else(own)
}

/// Decides TK-48. The wrong unit is noted, and the ticket waits until somebody has looked at it.
pub fn receive(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &ReceiveReturn,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketReceiveReturn, ctx)?;
    let ticket = case.ticket;
    let mut errors = Vec::new();
    for (i, f) in p.photos.iter().flatten().enumerate() {
        check_file(&mut errors, &format!("payload.photos[{i}]"), f);
    }
    all_valid(errors)?;
    let Some(rma) = ticket.returns.iter().find(|r| r.rma_no == p.rma_no) else {
        return Err(Rejection::not_found(format!("the ticket has no return {}", p.rma_no)).at("payload.rma_no"));
    };
    let expected = rma.serials.iter().find(|u| u.serial == p.serial);
    if let Some(u) = expected.filter(|u| !matches!(u.state, RmaState::Authorized | RmaState::InTransit)) {
        let message = format!("unit {} was received already", p.serial);
        return Err(Rejection::guard("TK-48", message).at("payload.serial").with("rma", u.state.as_str()));
    }
    let mismatch = expected.is_none();
    let mut warnings = Vec::new();
    if ctx.occurred_at.date_in(&facts.time_zone(ctx)) > rma.valid_until {
        let message = format!("return {} was valid until {}", rma.rma_no, rma.valid_until);
        warnings.push(Warning { code: "return_expired".into(), message });
    }
    let received = ReturnReceivedV1 {
        rma_no: p.rma_no.clone(),
        serial: p.serial.clone(),
        product_id: product_of(&case, &p.serial),
        mismatch,
        condition: p.condition.clone(),
        photos: p.photos.clone().unwrap_or_default(),
    };
    let mut events: Vec<Event> = vec![received.into()];
    if mismatch {
        let may = rma.serials.iter().map(|u| u.serial.as_str()).collect::<Vec<_>>().join(", ");
        let message = format!("{} is not a unit of return {}, which names {may}", p.serial, rma.rma_no);
        warnings.push(Warning { code: "serial_mismatch".into(), message });
        events.extend(hold_mismatch(&case)?);
    }
    Ok(Decision { warnings, ..case.decided(role, events) })
}

/// Holds the ticket where the transition matrix lets it be held.
fn hold_mismatch(case: &Case<'_>) -> Result<Vec<Event>, Rejection> {
    if matches!(case.ticket.state, TicketState::OnHold | TicketState::AwaitingApproval | TicketState::Resolved) {
        return Ok(Vec::new());
    }
    let entry = case.facts.check_code(catalogues::TICKET_HOLD, MISMATCH, "payload.serial").ok().flatten();
    let reason = MISMATCH.parse().map_err(|_| Rejection::invalid("payload.serial", "is not of this return"))?;
    held(case, &reason, entry.as_ref(), None, None)
}

/// Decides TK-49. It can be decided anew until the unit is on its way back.
pub fn disposition(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &DispositionReturn,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketDispositionReturn, ctx)?;
    here(&case, &p.serial, "TK-49")?;
    let dispositioned = ReturnDispositionedV1 {
        serial: p.serial.clone(),
        disposition: p.disposition,
        note: p.note.as_ref().map(Sealed::plain),
    };
    Ok(case.decided(role, vec![dispositioned.into()]))
}

/// Decides TK-50: what came and is not scrap goes back; in an exchange, what takes its place.
pub fn ship_back(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &ShipBack,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketShipBack, ctx)?;
    let ticket = case.ticket;
    let exchanged = ticket.service_mode == Some(ServiceMode::Exchange)
        && !ticket.returns.is_empty()
        && ticket.serial.as_ref() == Some(&p.serial)
        && unit_of(ticket, &p.serial).is_none();
    if !exchanged {
        let unit = here(&case, &p.serial, "TK-50")?;
        if let Some(d @ (ReturnDisposition::Scrap | ReturnDisposition::Replace)) = unit.disposition {
            let message = format!("unit {} does not go back: its disposition is {d}", p.serial);
            return Err(Rejection::guard("TK-50", message).at("payload.serial").with("disposition", d.as_str()));
        }
    }
    let shipped = UnitShippedBackV1 {
        serial: p.serial.clone(),
        product_id: product_of(&case, &p.serial),
        carrier: p.carrier.clone(),
        tracking_no: p.tracking_no.clone(),
    };
    Ok(case.decided(role, vec![shipped.into()]))
}

/// A unit that came and has not gone back.
fn here<'a>(case: &Case<'a>, serial: &Text<60>, rule: &'static str) -> Result<&'a ReturnedUnit, Rejection> {
    let Some((_, unit)) = unit_of(case.ticket, serial) else {
        let message = format!("no return of this ticket names unit {serial}");
        return Err(Rejection::not_found(message).at("payload.serial"));
    };
    if matches!(unit.state, RmaState::Received | RmaState::Dispositioned) {
        return Ok(unit);
    }
    let message = match unit.state {
        RmaState::ShippedBack => format!("unit {serial} is on its way back already"),
        _ => format!("unit {serial} has not come yet: receive it first"),
    };
    Err(Rejection::guard(rule, message).at("payload.serial").with("rma", unit.state.as_str()))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{DAY, World, actor, code, data, detail, dispatcher, inspector, names, rule, technician, unit};
    use crate::known::Unit;
    use mw_contract::decide::{Allowance, Decision};
    use mw_contract::{
        AggregateId, ErrorCode, Rejection, RmaState, Role, ServiceMode, TicketState, UnitStatus, WorkActivity,
    };
    use serde_json::{Value, json};

    fn allow(more: Value) -> Value {
        let mut p = json!({"serials": ["SN-1"], "reason": "repair", "ship_to": "Service centre, Berlin", "valid_until": "2026-03-16"});
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        p
    }

    fn come(rma: &str, serial: &str) -> Value {
        json!({"rma_no": rma, "serial": serial, "condition": "scratched"})
    }

    /// Technicians receive and ship on any ticket of their site.
    fn receiver() -> mw_contract::decide::Actor {
        actor("technician-9", &[(Role::Technician, Allowance::Yes)])
    }

    /// Return `R-1` of SN-1 and SN-3.
    fn authorized(w: &mut World, state: TicketState) -> AggregateId {
        let id = w.in_state(state);
        w.dispatcher("ticket.authorize-return", id, allow(json!({"rma_no": "R-1", "serials": ["SN-1", "SN-3"]})))
            .unwrap();
        id
    }

    fn received(w: &mut World, id: AggregateId, serial: &str) -> Result<Decision, Rejection> {
        w.run(&receiver(), "ticket.receive-return", id, come("R-1", serial))
    }

    fn state(w: &World, id: AggregateId, serial: &str) -> RmaState {
        super::unit_of(w.ticket(id), &crate::fixture::text(serial)).unwrap().1.state
    }

    #[test]
    fn tk_47_a_return_has_a_number_of_its_own_and_units_that_do_not_travel_yet() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Triaged);
        let d = w.dispatcher("ticket.authorize-return", id, allow(json!({"carrier": "post"}))).unwrap();
        assert_eq!(names(&d), ["ReturnAuthorized"]);
        let first = format!("{}-R1", w.ticket(id).number);
        assert_eq!((&data(&d, 0)["rma_no"], &data(&d, 0)["service_mode"]), (&json!(first), &json!("workshop")));
        assert_eq!(w.ticket(id).service_mode, Some(ServiceMode::Workshop));
        let r = w.dispatcher("ticket.authorize-return", id, allow(json!({"serials": ["SN-3", "SN-1"]})));
        assert_eq!(detail(r.clone(), "serial"), "SN-1");
        assert_eq!(rule(r), "TK-47");
        let d = w
            .dispatcher("ticket.authorize-return", id, allow(json!({"serials": ["SN-3"], "service_mode": "exchange"})))
            .unwrap();
        assert_eq!(data(&d, 0)["rma_no"], json!(format!("{}-R2", w.ticket(id).number)));
        let other = w.in_state(TicketState::OnHold);
        let taken = w.dispatcher("ticket.authorize-return", other, allow(json!({"rma_no": first})));
        assert_eq!(code(taken), ErrorCode::AlreadyExists);
        // A number that somebody gave to another return is left out.
        let next = format!("{}-R1", w.ticket(other).number);
        w.dispatcher("ticket.authorize-return", id, allow(json!({"rma_no": next, "serials": ["SN-4"]}))).unwrap();
        let d = w.dispatcher("ticket.authorize-return", other, allow(json!({}))).unwrap();
        assert_eq!(data(&d, 0)["rma_no"], json!(format!("{}-R2", w.ticket(other).number)));
    }

    #[test]
    fn tk_47_what_it_says_is_well_formed() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        for (wrong, field) in [
            (json!({"serials": []}), "payload.serials"),
            (json!({"serials": ["SN-1", "SN-1"]}), "payload.serials"),
            (json!({"valid_until": "2026-03-01"}), "payload.valid_until"),
            (json!({"service_mode": "on_site"}), "payload.service_mode"),
        ] {
            let r = w.dispatcher("ticket.authorize-return", id, allow(wrong)).unwrap_err();
            assert_eq!((r.code, r.field.as_deref()), (ErrorCode::Validation, Some(field)));
        }
        let unexplained = w.dispatcher("ticket.authorize-return", id, allow(json!({"reason": null})));
        assert_eq!(code(unexplained), ErrorCode::ReasonRequired);
        w.ask(&dispatcher(), "ticket.authorize-return", id, allow(json!({"valid_until": "2026-03-02"}))).unwrap();
        let new = w.in_state(TicketState::New);
        assert_eq!(code(w.dispatcher("ticket.authorize-return", new, allow(json!({})))), ErrorCode::InvalidState);
    }

    #[test]
    fn tk_48_a_unit_comes_once_with_the_number_of_its_return() {
        let mut w = World::new();
        let id = authorized(&mut w, TicketState::Assigned);
        let unknown = w.run(&receiver(), "ticket.receive-return", id, come("R-2", "SN-1"));
        assert_eq!(code(unknown), ErrorCode::NotFound);
        let d = received(&mut w, id, "SN-1").unwrap();
        assert_eq!((names(&d), d.warnings.len(), d.role), (vec!["ReturnReceived"], 0, Role::Technician));
        let r = data(&d, 0);
        assert_eq!(
            (&r["mismatch"], &r["product_id"], &r["condition"]),
            (&json!(false), &json!("pump-200"), &json!("scratched"))
        );
        assert_eq!((state(&w, id, "SN-1"), state(&w, id, "SN-3")), (RmaState::Received, RmaState::Authorized));
        assert_eq!(rule(received(&mut w, id, "SN-1")), "TK-48");
        w.later(15 * DAY);
        let d = received(&mut w, id, "SN-3").unwrap();
        assert_eq!(d.warnings[0].code, "return_expired");
    }

    #[test]
    fn tk_48_the_wrong_unit_is_noted_and_holds_the_ticket() {
        let mut w = World::new();
        let id = authorized(&mut w, TicketState::InProgress);
        w.working(id, WorkActivity::Diagnosis);
        let d = received(&mut w, id, "SN-8").unwrap();
        assert_eq!(names(&d), ["ReturnReceived", "WorkPaused", "TicketHeld"]);
        assert_eq!((&data(&d, 0)["mismatch"], d.warnings[0].code.as_str()), (&json!(true), "serial_mismatch"));
        assert_eq!((&data(&d, 2)["reason"], &data(&d, 2)["pauses_sla"]), (&json!("internal"), &json!(false)));
        assert_eq!((w.ticket(id).state, state(&w, id, "SN-8")), (TicketState::OnHold, RmaState::Received));
        // What waits already, or is done, is not held again.
        let d = received(&mut w, id, "SN-9").unwrap();
        assert_eq!(names(&d), ["ReturnReceived"]);
        let mut w = World::new();
        let id = authorized(&mut w, TicketState::InProgress);
        w.resolved(id);
        assert_eq!(names(&received(&mut w, id, "SN-9").unwrap()), ["ReturnReceived"]);
        assert_eq!(rule(received(&mut w, id, "SN-9")), "TK-48");
    }

    #[test]
    fn tk_49_what_came_is_decided_until_it_goes_back() {
        let mut w = World::new();
        let id = authorized(&mut w, TicketState::Assigned);
        let decide = |serial: &str, d: &str| json!({"serial": serial, "disposition": d});
        assert_eq!(
            code(w.run(&inspector(), "ticket.disposition-return", id, decide("SN-7", "scrap"))),
            ErrorCode::NotFound
        );
        assert_eq!(rule(w.run(&inspector(), "ticket.disposition-return", id, decide("SN-1", "repair"))), "TK-49");
        received(&mut w, id, "SN-1").unwrap();
        let d = w.run(&inspector(), "ticket.disposition-return", id, decide("SN-1", "scrap")).unwrap();
        assert_eq!((names(&d), d.role), (vec!["ReturnDispositioned"], Role::QualityInspector));
        w.dispatcher("ticket.disposition-return", id, decide("SN-1", "repair")).unwrap();
        let ship = json!({"serial": "SN-1", "carrier": "post"});
        w.dispatcher("ticket.ship-back", id, ship).unwrap();
        assert_eq!(rule(w.dispatcher("ticket.disposition-return", id, decide("SN-1", "scrap"))), "TK-49");
    }

    #[test]
    fn tk_50_what_came_and_is_no_scrap_goes_back_once() {
        let mut w = World::new();
        let id = authorized(&mut w, TicketState::Assigned);
        let ship = |serial: &str| json!({"serial": serial, "carrier": "post", "tracking_no": "T-1"});
        assert_eq!(code(w.dispatcher("ticket.ship-back", id, ship("SN-7"))), ErrorCode::NotFound);
        assert_eq!(rule(w.dispatcher("ticket.ship-back", id, ship("SN-1"))), "TK-50");
        received(&mut w, id, "SN-1").unwrap();
        for stays in ["scrap", "replace"] {
            let decided = json!({"serial": "SN-1", "disposition": stays});
            w.run(&inspector(), "ticket.disposition-return", id, decided).unwrap();
            let r = w.dispatcher("ticket.ship-back", id, ship("SN-1"));
            assert_eq!(detail(r.clone(), "disposition"), stays);
            assert_eq!(rule(r), "TK-50");
        }
        w.run(&inspector(), "ticket.disposition-return", id, json!({"serial": "SN-1", "disposition": "return_as_is"}))
            .unwrap();
        let d = w.run(&receiver(), "ticket.ship-back", id, ship("SN-1")).unwrap();
        assert_eq!((names(&d), &data(&d, 0)["product_id"]), (vec!["UnitShippedBack"], &json!("pump-200")));
        assert_eq!(state(&w, id, "SN-1"), RmaState::ShippedBack);
        assert_eq!(rule(w.dispatcher("ticket.ship-back", id, ship("SN-1"))), "TK-50");
        // It may travel again.
        w.dispatcher("ticket.authorize-return", id, allow(json!({"rma_no": "R-9"}))).unwrap();
        assert_eq!(state(&w, id, "SN-1"), RmaState::Authorized);
    }

    #[test]
    fn tk_50_in_an_exchange_the_other_unit_goes_out() {
        let mut w = World::new();
        let id = w.in_state(TicketState::InProgress);
        w.plant.unit(Unit { customer_id: None, status: UnitStatus::InStock, ..unit("SN-5") });
        let swap =
            json!({"old_serial": "SN-1", "new_serial": "SN-5", "reason": "beyond_repair", "old_disposition": "return"});
        w.run(&technician(), "ticket.replace-unit", id, swap).unwrap();
        let ship = json!({"serial": "SN-5", "carrier": "post"});
        assert_eq!(code(w.dispatcher("ticket.ship-back", id, ship.clone())), ErrorCode::NotFound);
        w.dispatcher("ticket.authorize-return", id, allow(json!({"service_mode": "exchange"}))).unwrap();
        w.dispatcher("ticket.ship-back", id, ship).unwrap();
    }
}
