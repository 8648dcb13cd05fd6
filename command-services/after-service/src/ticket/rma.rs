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
