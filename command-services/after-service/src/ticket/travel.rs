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

#[cfg(test)]
mod tests {
    use crate::fixture::*;
    use mw_contract::decide::Decision;
    use mw_contract::{AggregateId, ErrorCode, Rejection, Role, ServiceMode, TicketState};
    use serde_json::{Value, json};

    fn with(mut p: Value, more: Value) -> Value {
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        p
    }

    fn start(w: &mut World, id: AggregateId, more: Value) -> Result<Decision, Rejection> {
        w.technician("ticket.start-travel", id, with(json!({"trip_id": e(700)}), more))
    }

    fn arrive(w: &mut World, id: AggregateId, more: Value) -> Result<Decision, Rejection> {
        w.technician("ticket.arrive", id, with(json!({"trip_id": e(700)}), more))
    }

    fn abort(w: &mut World, id: AggregateId, more: Value) -> Result<Decision, Rejection> {
        w.technician("ticket.abort-travel", id, with(json!({"reason": "no_access"}), more))
    }

    fn wrong(r: Result<Decision, Rejection>) -> String {
        let r = r.unwrap_err();
        assert_eq!(r.code, ErrorCode::Validation, "{r:?}");
        r.field.unwrap()
    }

    #[test]
    fn tk_20_a_technician_is_on_the_way() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        let p = json!({"geo": {"lat": "52.5", "lon": "-13.4", "accuracy_m": 8}, "eta": "2026-03-02T08:30:00.000Z"});
        let d = start(&mut w, id, p).unwrap();
        assert_eq!((names(&d), d.role), (vec!["TravelStarted"], Role::Technician));
        let x = data(&d, 0);
        assert_eq!((&x["technician"], &x["visit_id"]), (&json!("technician-1"), &Value::Null));
        assert_eq!((&x["geo"]["lon"], &x["eta"]), (&json!("-13.4"), &json!("2026-03-02T08:30:00.000Z")));
        assert_eq!(w.ticket(id).state, TicketState::Travelling);
        assert_eq!(code(start(&mut w, id, json!({"trip_id": e(701)}))), ErrorCode::InvalidState);
        abort(&mut w, id, json!({})).unwrap();
        assert_eq!(code(start(&mut w, id, json!({}))), ErrorCode::AlreadyExists);
    }

    #[test]
    fn tk_20_only_to_tickets_that_are_repaired_on_site() {
        for mode in [ServiceMode::Workshop, ServiceMode::Remote, ServiceMode::Exchange] {
            let mut w = World::new();
            let id = w.opened();
            w.triaged(id, mode);
            w.assigned(id, "technician-1");
            let refused = start(&mut w, id, json!({}));
            assert_eq!(detail(refused.clone(), "service_mode"), json!(mode.as_str()));
            assert_eq!(rule(refused), "TK-20");
        }
    }

    #[test]
    fn tk_20_only_by_whoever_is_assigned() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        let p = json!({"trip_id": e(700)});
        for command in ["ticket.start-travel", "ticket.arrive", "ticket.abort-travel"] {
            let refused = w.ask(&technician_named("technician-2"), command, id, p.clone());
            // A reason is needed too, but that is said only to those who may.
            assert_eq!(code(refused), ErrorCode::Forbidden, "{command}");
        }
        // An administrator acts for the lead.
        let d = w.run(&admin(), "ticket.start-travel", id, p).unwrap();
        assert_eq!((&data(&d, 0)["technician"], d.role), (&json!("technician-1"), Role::Admin));
    }

    #[test]
    fn tk_20_the_trip_is_for_the_visit_that_is_named_or_the_next_one() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        let (far, near) = (w.now.plus_millis(50 * HOUR), w.now.plus_millis(2 * HOUR));
        let later = w.scheduled(id, far, far.plus_millis(HOUR));
        let next = w.scheduled(id, near, near.plus_millis(HOUR));
        let visit = |w: &World, more: Value| {
            let p = with(json!({"trip_id": e(700)}), more);
            w.ask(&technician(), "ticket.start-travel", id, p).map(|d| data(&d, 0)["visit_id"].clone())
        };
        assert_eq!(visit(&w, json!({})).unwrap(), json!(next));
        assert_eq!(visit(&w, json!({"visit_id": later})).unwrap(), json!(later));
        assert_eq!(visit(&w, json!({"visit_id": e(999)})).unwrap_err().code, ErrorCode::NotFound);
        w.later(4 * HOUR);
        assert_eq!(visit(&w, json!({})).unwrap(), json!(later));
        w.dispatcher("ticket.cancel-visit", id, json!({"visit_id": later, "reason": "rain"})).unwrap();
        let called_off = w.ask(&technician(), "ticket.start-travel", id, json!({"trip_id": e(700), "visit_id": later}));
        assert_eq!(rule(called_off), "TK-19");
        // The window has passed: somebody comes late.
        assert_eq!(visit(&w, json!({})).unwrap(), json!(next));
        start(&mut w, id, json!({})).unwrap();
        assert!(!w.ticket(id).visits[1].done);
        arrive(&mut w, id, json!({})).unwrap();
        assert!(w.ticket(id).visits[1].done);
    }

    #[test]
    fn tk_20_a_place_is_on_earth_and_an_arrival_ahead() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        for (geo, field) in [
            (json!({"lat": "90.1", "lon": 0}), "payload.geo.lat"),
            (json!({"lat": "-90.1", "lon": 0}), "payload.geo.lat"),
            (json!({"lat": 0, "lon": "180.5"}), "payload.geo.lon"),
            (json!({"lat": 0, "lon": 0, "accuracy_m": "-1"}), "payload.geo.accuracy_m"),
        ] {
            assert_eq!(wrong(start(&mut w, id, json!({"geo": geo}))), field);
        }
        assert_eq!(wrong(start(&mut w, id, json!({"eta": "2026-03-02T07:59:59.999Z"}))), "payload.eta");
        start(&mut w, id, json!({"geo": {"lat": -90, "lon": 180}, "eta": t0()})).unwrap();
        assert_eq!(wrong(arrive(&mut w, id, json!({"geo": {"lat": 91, "lon": 0}}))), "payload.geo.lat");
    }

    #[test]
    fn tk_21_the_travel_is_counted_on_arrival() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        start(&mut w, id, json!({})).unwrap();
        let began = w.now;
        w.later(25 * MINUTE);
        assert_eq!(code(arrive(&mut w, id, json!({"trip_id": e(701)}))), ErrorCode::NotFound);
        let early = w.ask_at(began.plus_millis(-1), &technician(), "ticket.arrive", id, json!({"trip_id": e(700)}));
        assert_eq!(rule(early), "G3");
        let d = arrive(&mut w, id, json!({"distance_km": "18.5", "geo": {"lat": 1, "lon": 2}})).unwrap();
        let x = data(&d, 0);
        assert_eq!((names(&d), &x["travel"]), (vec!["TechnicianArrived"], &json!(1500)));
        assert_eq!((&x["distance_km"], &x["geo"]["lat"]), (&json!("18.5"), &json!("1")));
        // There, not yet at work.
        assert_eq!(w.ticket(id).state, TicketState::Travelling);
        assert_eq!(rule(arrive(&mut w, id, json!({}))), "TK-21");
    }

    #[test]
    fn tk_22_turns_back() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        start(&mut w, id, json!({})).unwrap();
        w.later(10 * MINUTE);
        assert_eq!(code(abort(&mut w, id, json!({"reason": null}))), ErrorCode::ReasonRequired);
        assert_eq!(code(abort(&mut w, id, json!({"trip_id": e(701)}))), ErrorCode::NotFound);
        let early = w.ask_at(t0().plus_millis(-1), &technician(), "ticket.abort-travel", id, json!({"reason": "x"}));
        assert_eq!(rule(early), "G3");
        let d = abort(&mut w, id, json!({"trip_id": e(700), "note": "road is closed"})).unwrap();
        let x = data(&d, 0);
        assert_eq!(
            (&x["travel"], &x["reason"], &x["note"]),
            (&json!(600), &json!("no_access"), &json!("road is closed"))
        );
        assert_eq!(w.ticket(id).state, TicketState::Assigned);
        start(&mut w, id, json!({"trip_id": e(702)})).unwrap();
        assert_eq!(rule(abort(&mut w, id, json!({"trip_id": e(700)}))), "TK-22");
    }

    #[test]
    fn tk_22_who_has_arrived_and_found_nobody_turns_back_too() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        start(&mut w, id, json!({})).unwrap();
        w.later(10 * MINUTE);
        arrive(&mut w, id, json!({})).unwrap();
        let arrived = w.now;
        w.later(30 * MINUTE);
        let d = abort(&mut w, id, json!({})).unwrap();
        // Its travel was counted on arrival.
        assert_eq!((&data(&d, 0)["trip_id"], &data(&d, 0)["travel"]), (&json!(e(700)), &json!(0)));
        assert_eq!((w.ticket(id).state, w.ticket(id).trips[0].ended_at), (TicketState::Assigned, Some(arrived)));
    }
}
