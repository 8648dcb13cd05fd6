//! TK-17 to TK-19: when somebody comes.
//!
//! A visit is the lead's. Hours in which the customer is not there, and an absence of the technician,
//! are warnings: whoever plans may know better.

use mw_contract::command::ticket::{CancelVisit, PartLine, RescheduleVisit, ScheduleVisit};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::{VisitCancelledV1, VisitRescheduledV1, VisitScheduledV1};
use mw_contract::event::ticket_parts::{PartLineV1, VisitV1};
use mw_contract::reference::{Document, catalogues};
use mw_contract::{
    AccountName, AggregateId, CommandType, EntityId, FieldError, ReferenceKind, Rejection, Role, Sealed, TicketState,
    VisitLocation, Warning,
};

use super::assignment::absent;
use crate::rules::{Case, Facts, all_valid, authorise_if, exists};
use crate::state::{AfterServiceState, Visit};

/// How far ahead a visit may be: 180 days.
const AHEAD_MS: i64 = 180 * 24 * 3_600_000;
/// The most kinds of parts that a visit names.
const MOST_PARTS: usize = 50;

/// Decides TK-17.
pub fn schedule(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &ScheduleVisit,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(&Case::find(facts, state, ctx)?)?;
    let parts = p.parts_to_bring.as_deref().unwrap_or_default();
    all_valid(shape(parts))?;
    let case = Case::open(facts, state, CommandType::TicketScheduleVisit, ctx)?;
    if case.ticket.visits.iter().any(|v| v.visit.visit_id == p.visit_id) {
        return Err(exists(format!("visit {} exists already", p.visit_id)).at("payload.visit_id"));
    }
    let Some(technician) = &case.ticket.lead else {
        return Err(Rejection::guard("T1", "nobody has the ticket: assign a technician first"));
    };
    let visit =
        VisitV1 { visit_id: p.visit_id, window_start: p.window_start, window_end: p.window_end, location: p.location };
    let checked = check(&case, &visit, technician, p.force)?;
    let scheduled = VisitScheduledV1 {
        visit,
        technician: technician.clone(),
        parts_to_bring: parts.iter().map(|l| PartLineV1 { item_id: l.item_id.clone(), qty: l.qty }).collect(),
        customer_confirmed: p.customer_confirmed.unwrap_or(false),
        forced: checked.forced,
    };
    Ok(Decision { warnings: checked.warnings, ..case.decided(role, vec![scheduled.into()]) })
}

/// Decides TK-18: the rules of a visit hold for its new time too.
pub fn reschedule(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &RescheduleVisit,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(&Case::find(facts, state, ctx)?)?;
    let (reason, _) = facts.need_reason(catalogues::TICKET, p.reason.as_ref(), p.note.as_ref())?;
    let case = Case::open(facts, state, CommandType::TicketRescheduleVisit, ctx)?;
    let old = to_come(&case, p.visit_id, "TK-18")?;
    let new = VisitV1 { window_start: p.window_start, window_end: p.window_end, ..old.visit.clone() };
    let checked = check(&case, &new, &old.technician, p.force)?;
    let rescheduled = VisitRescheduledV1 {
        old: old.visit.clone(),
        new,
        reason,
        note: p.note.as_ref().map(Sealed::plain),
        initiator: p.initiator,
        forced: checked.forced,
    };
    Ok(Decision { warnings: checked.warnings, ..case.decided(role, vec![rescheduled.into()]) })
}

/// Decides TK-19. While another visit is to come, the ticket stays scheduled.
pub fn cancel(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &CancelVisit,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(&Case::find(facts, state, ctx)?)?;
    let (reason, _) = facts.need_reason(catalogues::TICKET, p.reason.as_ref(), p.note.as_ref())?;
    let case = Case::open(facts, state, CommandType::TicketCancelVisit, ctx)?;
    let visit = to_come(&case, p.visit_id, "TK-19")?;
    let another = |v: &Visit| v.visit.visit_id != p.visit_id && v.visit.window_end > ctx.occurred_at;
    let to_state = if case.ticket.open_visits().any(another) { TicketState::Scheduled } else { TicketState::Assigned };
    let note = p.note.as_ref().map(Sealed::plain);
    let cancelled = VisitCancelledV1 { visit_id: visit.visit.visit_id, reason, note, to_state };
    Ok(case.decided(role, vec![cancelled.into()]))
}

/// A technician, where the site lets it plan, plans the visits of the tickets that it leads.
fn authorise(case: &Case<'_>) -> Result<Role, Rejection> {
    let leads = case.ticket.lead.as_ref() == Some(&case.ctx.actor.account);
    let holds = case.holds(case.facts.settings(case.ctx).technician_self_assigns);
    authorise_if(case.ctx, holds, |role| role != Role::Technician || leads)
}

/// A visit that is still to come.
fn to_come<'a>(case: &Case<'a>, id: EntityId, rule: &'static str) -> Result<&'a Visit, Rejection> {
    let visit = find(case, id)?;
    match (visit.cancelled, visit.done) {
        (false, false) => Ok(visit),
        (true, _) => Err(Rejection::guard(rule, "this visit was cancelled: schedule another one")),
        (false, true) => Err(Rejection::guard(rule, "this visit has taken place: schedule another one")),
    }
}

/// A visit of the ticket.
pub(super) fn find<'a>(case: &Case<'a>, id: EntityId) -> Result<&'a Visit, Rejection> {
    case.ticket
        .visits
        .iter()
        .find(|v| v.visit.visit_id == id)
        .ok_or_else(|| Rejection::not_found(format!("the ticket has no visit {id}")).at("payload.visit_id"))
}

/// The visit that a trip or a session is for: the one that is named, else the next one. Where all windows
/// have passed it is the last one: somebody comes late.
pub(super) fn meant(case: &Case<'_>, named: Option<EntityId>) -> Result<Option<EntityId>, Rejection> {
    let Some(id) = named else {
        if !matches!(case.ticket.state, TicketState::Assigned | TicketState::Scheduled) {
            return Ok(None);
        }
        let ahead = |v: &&Visit| v.visit.window_end > case.ctx.occurred_at;
        let next = case.ticket.open_visits().filter(ahead).min_by_key(|v| v.visit.window_start);
        let last = || case.ticket.open_visits().max_by_key(|v| v.visit.window_start);
        return Ok(next.or_else(last).map(|v| v.visit.visit_id));
    };
    if find(case, id)?.cancelled {
        let message = "this visit was cancelled: leave visit_id out or name another one";
        return Err(Rejection::guard("TK-19", message).at("payload.visit_id"));
    }
    Ok(Some(id))
}

/// What came out of the rules of a visit.
struct Checked {
    /// It overlaps another one, and somebody wants it all the same.
    forced: bool,
    warnings: Vec<Warning>,
}

/// TK-17.R1 to R3.
fn check(
    case: &Case<'_>,
    visit: &VisitV1,
    technician: &AccountName,
    force: Option<bool>,
) -> Result<Checked, Rejection> {
    let (now, start, end) = (case.ctx.occurred_at, visit.window_start, visit.window_end);
    if start >= end {
        return Err(Rejection::guard("TK-17.R1", "window_end must be after window_start").at("payload.window_end"));
    }
    if start <= now {
        let message = format!("window_start must be after {now}: a visit is planned ahead");
        return Err(Rejection::guard("TK-17.R1", message).at("payload.window_start"));
    }
    let last = now.plus_millis(AHEAD_MS);
    if end > last {
        let message = format!("window_end must not be after {last}: at most 180 days ahead");
        return Err(Rejection::guard("TK-17.R1", message).at("payload.window_end"));
    }
    let overlaps = overlapping(case, technician, visit);
    let mut warnings = Vec::new();
    if let Some(other) = overlaps {
        if force != Some(true) {
            let message = format!("{technician} has a visit for ticket {other} at that time: move it, or set force");
            return Err(Rejection::guard("TK-17.R2", message).with("ticket_id", other.to_string()));
        }
        warnings.push(overlap_warning(technician, other));
    }
    warnings.extend(outside_access_hours(case, visit));
    if let Some(until) = absent(case.facts, technician, start) {
        let message = format!("{technician} is absent then, until {until}");
        warnings.push(Warning { code: "technician_absent".into(), message });
    }
    Ok(Checked { forced: overlaps.is_some(), warnings })
}

/// The ticket of another visit of the technician that overlaps this one.
pub(super) fn overlapping(case: &Case<'_>, technician: &AccountName, visit: &VisitV1) -> Option<AggregateId> {
    let (start, end, except) = (visit.window_start, visit.window_end, Some(visit.visit_id));
    let others = case.facts.desk.visits_between(technician, start, end, except);
    others.first().map(|(_, other)| other.ticket_id)
}

/// Two visits at a time, as somebody wants it.
pub(super) fn overlap_warning(technician: &AccountName, other: AggregateId) -> Warning {
    let message = format!("{technician} has a visit for ticket {other} at that time");
    Warning { code: "visit_overlap".into(), message }
}

/// TK-17.R3: the window is inside the hours in which the customer lets somebody in.
fn outside_access_hours(case: &Case<'_>, visit: &VisitV1) -> Option<Warning> {
    if visit.location != VisitLocation::Site {
        return None;
    }
    let known = case.facts.known;
    let customer = known.document(ReferenceKind::Customer, case.ticket.customer_id.as_ref()?.as_str())?;
    let Document::Customer(customer) = &*customer else { return None };
    let code = customer.access_calendar.as_ref()?;
    let calendar = known.document(ReferenceKind::Calendar, code.as_str())?;
    let Document::Calendar(calendar) = &*calendar else { return None };
    let open = mw_calendar::BusinessCalendar::from_stored(&mw_calendar::snapshot(code.clone(), calendar)?);
    let length = visit.window_end.since(visit.window_start) / 1000;
    (open.between(visit.window_start, visit.window_end) < length).then(|| Warning {
        code: "outside_access_hours".into(),
        message: format!("part of the window is outside the hours of {code}, in which the customer lets somebody in"),
    })
}

fn shape(parts: &[PartLine]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if parts.len() > MOST_PARTS {
        errors.push(FieldError::new("payload.parts_to_bring", format!("has at most {MOST_PARTS} lines")));
    }
    for (i, line) in parts.iter().enumerate().filter(|(_, l)| l.qty.is_zero()) {
        let field = format!("payload.parts_to_bring[{i}].qty");
        errors.push(FieldError::new(field, format!("must be more than 0: how many {} to bring", line.item_id)));
    }
    errors
}

#[cfg(test)]
mod tests {
    use crate::fixture::*;
    use mw_contract::decide::{Actor, Decision};
    use mw_contract::{AggregateId, ErrorCode, Instant, ReferenceKind, Rejection, Role, TicketState};
    use serde_json::{Value, json};

    fn with(mut p: Value, more: Value) -> Value {
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        p
    }

    /// Tomorrow, Tuesday, at the site: 10:00 to 12:00.
    fn window(more: Value) -> Value {
        let p = json!({"visit_id": e(600), "window_start": "2026-03-03T09:00:00.000Z",
            "window_end": "2026-03-03T11:00:00.000Z", "location": "site"});
        with(p, more)
    }

    fn schedule(w: &mut World, id: AggregateId, more: Value) -> Result<Decision, Rejection> {
        w.dispatcher("ticket.schedule-visit", id, window(more))
    }

    fn between(start: Instant, end: Instant) -> Value {
        json!({"window_start": start, "window_end": end})
    }

    #[test]
    fn tk_17_the_lead_comes() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        let bring = json!([{"item_id": "seal-20", "qty": 2, "uom": "H87"}]);
        let d = schedule(&mut w, id, json!({"parts_to_bring": bring, "customer_confirmed": true})).unwrap();
        assert_eq!(names(&d), ["VisitScheduled"]);
        let x = data(&d, 0);
        assert_eq!((&x["technician"], &x["forced"]), (&json!("technician-1"), &json!(false)));
        assert_eq!((&x["parts_to_bring"][0]["qty"], &x["customer_confirmed"]), (&json!("2"), &json!(true)));
        assert_eq!((&x["visit"]["visit_id"], &x["visit"]["location"]), (&json!(e(600)), &json!("site")));
        assert_eq!((w.ticket(id).state, d.warnings.len()), (TicketState::Scheduled, 0));
        assert_eq!(code(schedule(&mut w, id, json!({}))), ErrorCode::AlreadyExists);
        let none = json!({"visit_id": e(601), "parts_to_bring": [{"item_id": "seal-20", "qty": 0}]});
        assert_eq!(schedule(&mut w, id, none).unwrap_err().field.as_deref(), Some("payload.parts_to_bring[0].qty"));
        let many: Vec<Value> = (0..51).map(|_| json!({"item_id": "seal-20", "qty": 1})).collect();
        let many = json!({"visit_id": e(601), "parts_to_bring": many});
        assert_eq!(schedule(&mut w, id, many).unwrap_err().field.as_deref(), Some("payload.parts_to_bring"));
    }

    #[test]
    fn tk_17_r1_the_window_is_ahead_and_has_a_length() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        let (now, hour) = (w.now, w.now.plus_millis(HOUR));
        let last = now.plus_millis(180 * DAY);
        for (start, end) in [
            (hour, hour),
            (hour.plus_millis(1), hour),
            (now, hour),
            (now.plus_millis(-HOUR), hour),
            (last.plus_millis(-HOUR), last.plus_millis(1)),
        ] {
            assert_eq!(rule(schedule(&mut w, id, between(start, end))), "TK-17.R1", "{start} {end}");
        }
        let ask = |p: Value| w.ask(&dispatcher(), "ticket.schedule-visit", id, window(p));
        ask(between(now.plus_millis(1), hour)).unwrap();
        ask(between(last.plus_millis(-HOUR), last)).unwrap();
    }

    #[test]
    fn tk_17_r2_a_technician_is_in_one_place() {
        let mut w = World::new();
        let busy = w.in_state(TicketState::Assigned);
        let (from, to): (Instant, Instant) =
            ("2026-03-03T10:00:00.000Z".parse().unwrap(), "2026-03-03T13:00:00.000Z".parse().unwrap());
        w.scheduled(busy, from, to);
        let id = w.in_state(TicketState::Assigned);
        let refused = schedule(&mut w, id, json!({}));
        assert_eq!(detail(refused.clone(), "ticket_id"), json!(busy));
        assert_eq!(rule(refused), "TK-17.R2");
        let ask = |p: Value| w.ask(&dispatcher(), "ticket.schedule-visit", id, window(p));
        assert_eq!(rule(ask(json!({"force": false}))), "TK-17.R2");
        let d = ask(json!({"force": true})).unwrap();
        assert_eq!((&data(&d, 0)["forced"], d.warnings[0].code.as_str()), (&json!(true), "visit_overlap"));
        // One that ends as the other begins does not overlap; nobody forces what is free.
        let d = ask(json!({"window_end": from, "force": true})).unwrap();
        assert_eq!((&data(&d, 0)["forced"], d.warnings.len()), (&json!(false), 0));
        ask(between(to, to.plus_millis(HOUR))).unwrap();
        // Neither another technician nor a visit that was called off is in the way.
        let other = w.in_state(TicketState::Triaged);
        w.assigned(other, "technician-2");
        schedule(&mut w, other, json!({"visit_id": e(610)})).unwrap();
        let visit_id = w.ticket(busy).visits[0].visit.visit_id;
        w.dispatcher("ticket.cancel-visit", busy, json!({"visit_id": visit_id, "reason": "customer"})).unwrap();
        schedule(&mut w, id, json!({})).unwrap();
        let own = json!({"visit_id": e(611)});
        assert_eq!(rule(schedule(&mut w, id, own)), "TK-17.R2");
    }

    #[test]
    fn tk_17_r3_outside_the_hours_of_the_customer_there_is_a_warning() {
        let mut w = World::new();
        w.plant.put(ReferenceKind::Customer, "acme", json!({"access_calendar": "office-berlin"}));
        let id = w.in_state(TicketState::Assigned);
        let warned = |from: &str, to: &str, location: &str| {
            let p = json!({"window_start": from, "window_end": to, "location": location});
            let d = w.ask(&dispatcher(), "ticket.schedule-visit", id, window(p)).unwrap();
            d.warnings.iter().map(|w| w.code.clone()).collect::<Vec<_>>()
        };
        let none: Vec<String> = vec![];
        // Open from 09:00 to 17:00 in Berlin.
        assert_eq!(warned("2026-03-03T08:00:00.000Z", "2026-03-03T16:00:00.000Z", "site"), none);
        assert_eq!(warned("2026-03-03T07:59:59.000Z", "2026-03-03T09:00:00.000Z", "site"), ["outside_access_hours"]);
        assert_eq!(warned("2026-03-03T15:00:00.000Z", "2026-03-03T16:00:01.000Z", "site"), ["outside_access_hours"]);
        assert_eq!(warned("2026-03-07T10:00:00.000Z", "2026-03-07T11:00:00.000Z", "site"), ["outside_access_hours"]);
        assert_eq!(warned("2026-03-07T10:00:00.000Z", "2026-03-07T11:00:00.000Z", "workshop"), none);
        w.plant.put(ReferenceKind::Customer, "acme", json!({}));
        let d = schedule(&mut w, id, json!({"window_start": "2026-03-03T03:00:00.000Z"})).unwrap();
        assert_eq!(d.warnings, []);
    }

    #[test]
    fn tk_17_a_technician_who_is_away_then_is_a_warning() {
        let mut w = World::new();
        let away = json!({"account": "technician-1", "from": "2026-03-03T00:00:00.000Z",
            "to": "2026-03-04T00:00:00.000Z", "present": false});
        w.plant.put(ReferenceKind::Availability, "a-1", away);
        let id = w.in_state(TicketState::Assigned);
        let d = schedule(&mut w, id, json!({})).unwrap();
        assert_eq!(d.warnings[0].code, "technician_absent");
    }

    #[test]
    fn tk_17_a_technician_plans_its_own_where_the_site_lets_it() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        let ask = |w: &World, who: &Actor| w.ask(who, "ticket.schedule-visit", id, window(json!({})));
        let (me, other) = (technician_if_set("technician-1"), technician_if_set("technician-2"));
        assert_eq!(code(ask(&w, &me)), ErrorCode::Forbidden);
        w.settings(json!({"technician_self_assigns": true}));
        assert_eq!(code(ask(&w, &other)), ErrorCode::Forbidden);
        assert_eq!(ask(&w, &me).unwrap().role, Role::Technician);
    }

    fn reschedule(w: &mut World, id: AggregateId, more: Value) -> Result<Decision, Rejection> {
        let p = json!({"visit_id": e(600), "window_start": "2026-03-04T09:00:00.000Z",
            "window_end": "2026-03-04T11:00:00.000Z", "reason": "customer_away", "initiator": "customer"});
        w.dispatcher("ticket.reschedule-visit", id, with(p, more))
    }

    #[test]
    fn tk_18_the_visit_gets_another_time() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        schedule(&mut w, id, json!({"location": "workshop"})).unwrap();
        assert_eq!(code(reschedule(&mut w, id, json!({"reason": null}))), ErrorCode::ReasonRequired);
        assert_eq!(code(reschedule(&mut w, id, json!({"visit_id": e(601)}))), ErrorCode::NotFound);
        let d = reschedule(&mut w, id, json!({"note": "fair"})).unwrap();
        assert_eq!(names(&d), ["VisitRescheduled"]);
        let x = data(&d, 0);
        assert_eq!(x["old"]["window_start"], json!("2026-03-03T09:00:00.000Z"));
        assert_eq!(x["new"]["window_start"], json!("2026-03-04T09:00:00.000Z"));
        assert_eq!((&x["new"]["location"], &x["initiator"]), (&json!("workshop"), &json!("customer")));
        assert_eq!((&x["reason"], &x["note"]), (&json!("customer_away"), &json!("fair")));
        // Its own old window is not in its way.
        let near = json!({"window_start": "2026-03-04T10:00:00.000Z"});
        assert_eq!(data(&reschedule(&mut w, id, near).unwrap(), 0)["forced"], json!(false));
    }

    #[test]
    fn tk_18_the_rules_of_a_visit_hold_for_its_new_time() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        schedule(&mut w, id, json!({})).unwrap();
        let past = json!({"window_start": "2026-03-02T07:00:00.000Z"});
        assert_eq!(rule(reschedule(&mut w, id, past)), "TK-17.R1");
        schedule(
            &mut w,
            id,
            json!({"visit_id": e(602), "window_start": "2026-03-04T08:00:00.000Z",
            "window_end": "2026-03-04T09:30:00.000Z"}),
        )
        .unwrap();
        assert_eq!(rule(reschedule(&mut w, id, json!({}))), "TK-17.R2");
        let d = reschedule(&mut w, id, json!({"force": true})).unwrap();
        assert_eq!((&data(&d, 0)["forced"], d.warnings.len()), (&json!(true), 1));
    }

    #[test]
    fn tk_18_a_visit_whose_time_has_passed_makes_the_ticket_scheduled_again() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        schedule(&mut w, id, json!({})).unwrap();
        let quote = w.quoted(id);
        w.now = "2026-03-03T11:00:00.000Z".parse().unwrap();
        w.run(&customer(), "ticket.approve-quote", id, json!({"quote_id": quote, "revision": 1})).unwrap();
        assert_eq!(w.ticket(id).state, TicketState::Assigned);
        reschedule(&mut w, id, json!({})).unwrap();
        assert_eq!(w.ticket(id).state, TicketState::Scheduled);
    }

    #[test]
    fn tk_19_a_visit_is_called_off() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        schedule(&mut w, id, json!({})).unwrap();
        schedule(
            &mut w,
            id,
            json!({"visit_id": e(602), "window_start": "2026-03-04T08:00:00.000Z",
            "window_end": "2026-03-04T09:30:00.000Z"}),
        )
        .unwrap();
        let cancel = |w: &mut World, visit: u128, reason: Value| {
            w.dispatcher("ticket.cancel-visit", id, json!({"visit_id": e(visit), "reason": reason}))
        };
        assert_eq!(code(cancel(&mut w, 600, Value::Null)), ErrorCode::ReasonRequired);
        assert_eq!(code(cancel(&mut w, 699, json!("ill"))), ErrorCode::NotFound);
        let d = cancel(&mut w, 600, json!("ill")).unwrap();
        assert_eq!((names(&d), &data(&d, 0)["to_state"]), (vec!["VisitCancelled"], &json!("scheduled")));
        assert_eq!(rule(cancel(&mut w, 600, json!("ill"))), "TK-19");
        assert_eq!(rule(reschedule(&mut w, id, json!({}))), "TK-18");
        let d = cancel(&mut w, 602, json!("ill")).unwrap();
        assert_eq!(data(&d, 0)["to_state"], json!("assigned"));
        assert_eq!(w.ticket(id).state, TicketState::Assigned);
    }

    #[test]
    fn tk_19_a_visit_that_is_over_is_none_to_come() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        schedule(&mut w, id, json!({})).unwrap();
        schedule(
            &mut w,
            id,
            json!({"visit_id": e(602), "window_start": "2026-03-04T08:00:00.000Z",
            "window_end": "2026-03-04T09:30:00.000Z"}),
        )
        .unwrap();
        w.now = "2026-03-04T09:30:00.000Z".parse().unwrap();
        let d = w.dispatcher("ticket.cancel-visit", id, json!({"visit_id": e(600), "reason": "ill"})).unwrap();
        assert_eq!(data(&d, 0)["to_state"], json!("assigned"));
    }
}
