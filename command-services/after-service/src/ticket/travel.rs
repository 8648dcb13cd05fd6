//! TK-20 to TK-22: the way to the customer. Whoever has arrived is there, not yet at work.

use mw_contract::command::ticket::{AbortTravel, Arrive, StartTravel};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::{TechnicianArrivedV1, TravelAbortedV1, TravelStartedV1};
use mw_contract::event::ticket_parts::GeoV1;
use mw_contract::reference::catalogues;
use mw_contract::{AccountName, CommandType, EntityId, FieldError, Number, Rejection, Sealed, Seconds, ServiceMode};

use super::visit;
use crate::rules::{Case, Facts, all_valid, exists, not_before};
use crate::state::{AfterServiceState, Trip};

/// Decides TK-20.
pub fn start(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &StartTravel,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let mut errors = Vec::new();
    check_geo(&mut errors, p.geo.as_ref());
    if p.eta.is_some_and(|eta| eta < ctx.occurred_at) {
        errors.push(FieldError::new("payload.eta", "must not be before occurred_at"));
    }
    all_valid(errors)?;
    let case = Case::open(facts, state, CommandType::TicketStartTravel, ctx)?;
    if case.ticket.trips.iter().any(|t| t.trip_id == p.trip_id) {
        return Err(exists(format!("trip {} exists already", p.trip_id)).at("payload.trip_id"));
    }
    if case.ticket.service_mode != Some(ServiceMode::OnSite) {
        let mode = case.ticket.service_mode.map_or("none", ServiceMode::as_str);
        let message = format!("service mode is {mode}: only on_site tickets have travel, triage the ticket again");
        return Err(Rejection::guard("TK-20", message).with("service_mode", mode));
    }
    let started = TravelStartedV1 {
        trip_id: p.trip_id,
        visit_id: visit::meant(&case, p.visit_id)?,
        technician: acting(&case)?.clone(),
        geo: p.geo.clone(),
        eta: p.eta,
    };
    Ok(case.decided(role, vec![started.into()]))
}

/// Decides TK-21. It may be a helper who tells that they are there.
pub fn arrive(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &Arrive,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let mut errors = Vec::new();
    check_geo(&mut errors, p.geo.as_ref());
    all_valid(errors)?;
    let case = Case::open(facts, state, CommandType::TicketArrive, ctx)?;
    let trip = find(&case, p.trip_id)?;
    if trip.ended_at.is_some() {
        return Err(Rejection::guard("TK-21", "this trip has ended already"));
    }
    let arrived = TechnicianArrivedV1 { geo: p.geo.clone(), distance_km: p.distance_km, ..arrival(&case, trip)? };
    Ok(case.decided(role, vec![arrived.into()]))
}

/// Decides TK-22. Who has arrived and found nobody turns back too; its travel was counted on arrival.
pub fn abort(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &AbortTravel,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let (reason, _) = facts.need_reason(catalogues::TICKET, p.reason.as_ref(), p.note.as_ref())?;
    let case = Case::open(facts, state, CommandType::TicketAbortTravel, ctx)?;
    let trip = match p.trip_id {
        Some(id) => find(&case, id)?,
        None => last(&case)?,
    };
    if last(&case)?.trip_id != trip.trip_id {
        return Err(Rejection::guard("TK-22", "this trip has ended already: another one is under way"));
    }
    let since = trip.ended_at.unwrap_or(trip.started_at);
    not_before(ctx.occurred_at, since, "the trip would be aborted before it began or arrived")?;
    let travel = if trip.ended_at.is_some() { Seconds(0) } else { Seconds::between(trip.started_at, ctx.occurred_at) };
    let aborted = TravelAbortedV1 {
        trip_id: trip.trip_id,
        technician: trip.technician.clone(),
        reason,
        note: p.note.as_ref().map(Sealed::plain),
        travel,
    };
    Ok(case.decided(role, vec![aborted.into()]))
}

/// The end of a trip at the customer, at the command's time.
pub(super) fn arrival(case: &Case<'_>, trip: &Trip) -> Result<TechnicianArrivedV1, Rejection> {
    let at = case.ctx.occurred_at;
    not_before(at, trip.started_at, "the trip would end before it began")?;
    Ok(TechnicianArrivedV1 {
        trip_id: trip.trip_id,
        technician: trip.technician.clone(),
        geo: None,
        distance_km: None,
        travel: Seconds::between(trip.started_at, at),
    })
}

/// Whose act it is: the sender's, where it is assigned; an administrator acts for the lead (T1).
pub(super) fn acting<'a>(case: &Case<'a>) -> Result<&'a AccountName, Rejection> {
    let me = &case.ctx.actor.account;
    if case.ticket.is_assigned(me) {
        return Ok(me);
    }
    case.ticket.lead.as_ref().ok_or_else(|| Rejection::guard("T1", "nobody has the ticket: assign a technician first"))
}

/// A place on earth.
pub(super) fn check_geo(errors: &mut Vec<FieldError>, geo: Option<&GeoV1>) {
    let Some(g) = geo else { return };
    let within = |n: Number, most: i64| n.decimal().abs() <= most.into();
    if !within(g.lat, 90) {
        errors.push(FieldError::new("payload.geo.lat", "is -90 to 90 degrees"));
    }
    if !within(g.lon, 180) {
        errors.push(FieldError::new("payload.geo.lon", "is -180 to 180 degrees"));
    }
    if g.accuracy_m.is_some_and(|a| a < Number::ZERO) {
        errors.push(FieldError::new("payload.geo.accuracy_m", "must not be negative"));
    }
}

fn find<'a>(case: &Case<'a>, id: EntityId) -> Result<&'a Trip, Rejection> {
    let none = || Rejection::not_found(format!("the ticket has no trip {id}")).at("payload.trip_id");
    case.ticket.trips.iter().find(|t| t.trip_id == id).ok_or_else(none)
}

/// The trip that made the ticket travel.
fn last<'a>(case: &Case<'a>) -> Result<&'a Trip, Rejection> {
    case.ticket.trips.last().ok_or_else(|| Rejection::guard("TK-22", "nobody is under way"))
}
