//! TK-23 to TK-25: sessions of work.
//!
//! T2: what the customer would have to pay for does not begin before it said yes; looking for the
//! fault may. T3: a technician is at work in one place. A device that was offline tells what was; then
//! a second session is kept, and somebody is told.

use mw_contract::command::ticket::{PauseWork, ResumeWork, StartWork};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::{WorkClashNoticedV1, WorkPausedV1, WorkResumedV1, WorkStartedV1};
use mw_contract::reference::{Document, catalogues};
use mw_contract::{
    AccountName, CommandType, EntityId, ErrorCode, Event, ReasonCode, ReferenceKind, Rejection, RmaState, Sealed,
    Seconds, ServiceMode, Warning, WorkActivity,
};

use super::travel::{acting, arrival, check_geo};
use super::visit;
use crate::rules::{Case, Facts, all_valid, exists, not_before};
use crate::state::AfterServiceState;

/// Decides TK-23. Whoever begins to work is there: the trip under way ends as arrived.
pub fn start(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &StartWork,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let mut errors = Vec::new();
    check_geo(&mut errors, p.geo.as_ref());
    all_valid(errors)?;
    let case = Case::open(facts, state, CommandType::TicketStartWork, ctx)?;
    let technician = acting(&case)?;
    let mut begun = begin(&case, p.session_id, p.activity, technician)?;
    if p.safety_check.is_none() && needs_safety_check(&case) {
        let message = "this class of machine is made safe before work: give a safety_check";
        return Err(Rejection::guard("TK-23.R3", message).at("payload.safety_check"));
    }
    if p.safety_check.as_ref().is_some_and(|s| !s.lockout && s.permit_ref.is_none()) {
        let message = "the machine is not locked out, and there is no permit".to_owned();
        begun.warnings.push(Warning { code: "not_locked_out".into(), message });
    }
    if !unit_is_here(&case) {
        let message = "the unit has not come to the workshop yet: receive it with ticket.receive-return";
        return Err(Rejection::guard("TK-23.R4", message));
    }
    let trip = case.ticket.trips.last().filter(|_| case.ticket.state == mw_contract::TicketState::Travelling);
    let named = p.visit_id.or_else(|| trip.and_then(|t| t.visit_id));
    let visit_id = visit::meant(&case, named)?;
    let mut events: Vec<Event> = Vec::new();
    if let Some(t) = case.ticket.open_trip() {
        events.push(arrival(&case, t)?.into());
    }
    let started = WorkStartedV1 {
        session_id: p.session_id,
        activity: p.activity,
        technician: technician.clone(),
        visit_id,
        lockout: p.safety_check.as_ref().map(|s| s.lockout),
        permit_ref: p.safety_check.as_ref().and_then(|s| s.permit_ref.clone()),
        geo: p.geo.clone(),
    };
    events.push(started.into());
    events.extend(begun.clashes);
    Ok(Decision { warnings: begun.warnings, ..case.decided(role, events) })
}

/// Decides TK-24.
pub fn pause(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &PauseWork,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let reason = pause_reason(facts, p)?;
    let case = Case::open(facts, state, CommandType::TicketPauseWork, ctx)?;
    let session = case.ticket.session(p.session_id).ok_or_else(|| {
        Rejection::not_found(format!("the ticket has no session {}", p.session_id)).at("payload.session_id")
    })?;
    if !session.is_open() {
        return Err(Rejection::guard("TK-24", "this session has ended already"));
    }
    not_before(ctx.occurred_at, session.started_at, "the session would end before it began")?;
    let paused = WorkPausedV1 {
        session_id: p.session_id,
        technician: session.technician.clone(),
        reason,
        note: p.note.as_ref().map(Sealed::plain),
        duration: Seconds::between(session.started_at, ctx.occurred_at),
    };
    Ok(case.decided(role, vec![paused.into()]))
}

/// Decides TK-25: the technician's own last session goes on as a new one.
pub fn resume(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &ResumeWork,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketResumeWork, ctx)?;
    let technician = acting(&case)?;
    let mine = case.ticket.sessions.iter().rev().find(|s| s.technician == *technician && s.cycle == case.ticket.cycle);
    let Some(before) = mine else {
        let message = format!("{technician} has not worked on it yet: use ticket.start-work");
        return Err(Rejection::guard("TK-25", message));
    };
    let activity = p.activity.unwrap_or(before.activity);
    let begun = begin(&case, p.session_id, activity, technician)?;
    // Offline, the last session may still be open: then nothing was paused.
    let paused_at = before.ended_at.unwrap_or(ctx.occurred_at);
    not_before(ctx.occurred_at, paused_at, "the pause would end before it began")?;
    let resumed = WorkResumedV1 {
        session_id: p.session_id,
        activity,
        technician: technician.clone(),
        paused_for: Seconds::between(paused_at, ctx.occurred_at),
    };
    let events = std::iter::once(resumed.into()).chain(begun.clashes).collect();
    Ok(Decision { warnings: begun.warnings, ..case.decided(role, events) })
}

/// What comes with a session that begins.
struct Begun {
    clashes: Vec<Event>,
    warnings: Vec<Warning>,
}

/// TK-23.R1 and R2, for a start and a resumption alike.
fn begin(
    case: &Case<'_>,
    session_id: EntityId,
    activity: WorkActivity,
    technician: &AccountName,
) -> Result<Begun, Rejection> {
    if case.ticket.session(session_id).is_some() {
        return Err(exists(format!("session {session_id} exists already")).at("payload.session_id"));
    }
    let commercial = case.ticket.commercial;
    if activity != WorkActivity::Diagnosis && commercial.blocks() {
        let message = format!("{activity} has to wait (T2): commercial is {commercial}; only diagnosis may begin");
        return Err(Rejection::guard("TK-23.R1", message)
            .at("payload.activity")
            .with("commercial", commercial.as_str()));
    }
    let mut begun = Begun { clashes: Vec::new(), warnings: Vec::new() };
    for other in case.facts.desk.at_work(technician) {
        if !case.ctx.captured_offline {
            let message =
                format!("{technician} is at work on ticket {} (T3): pause that session first", other.ticket_id);
            return Err(Rejection::guard("TK-23.R2", message)
                .with("ticket_id", other.ticket_id.to_string())
                .with("session_id", other.session_id.to_string()));
        }
        let noticed = WorkClashNoticedV1 {
            session_id,
            technician: technician.clone(),
            other_ticket_id: other.ticket_id,
            other_session_id: other.session_id,
        };
        begun.clashes.push(noticed.into());
        let message = format!("{technician} also has a session open on ticket {}: correct one", other.ticket_id);
        begun.warnings.push(Warning { code: "work_clash".into(), message });
    }
    Ok(begun)
}

/// TK-23.R3: does the class of the machine need a safety check?
fn needs_safety_check(case: &Case<'_>) -> bool {
    let machine = case.ticket.equipment_id.and_then(|id| case.facts.known.machine(id));
    let Some(class) = machine.and_then(|m| m.class) else { return false };
    match case.facts.known.document(ReferenceKind::Catalogue, catalogues::EQUIPMENT_CLASS).as_deref() {
        Some(Document::Catalogue(c)) => {
            c.entries.iter().any(|e| e.code.as_str() == class.as_str() && e.active && e.safety_check == Some(true))
        }
        _ => false,
    }
}

/// TK-23.R4: in the workshop, the customer's unit is there. A machine of the house needs no papers.
fn unit_is_here(case: &Case<'_>) -> bool {
    let ticket = case.ticket;
    if ticket.service_mode != Some(ServiceMode::Workshop) || ticket.is_internal() {
        return true;
    }
    let mut units = ticket.returns.iter().flat_map(|r| &r.serials);
    units.any(|u| {
        let here = matches!(u.state, RmaState::Received | RmaState::Dispositioned);
        // Another unit than the one that was to come counts once the ticket is about it.
        let right = ticket.serial.as_ref().map_or(!u.mismatch, |s| *s == u.serial);
        here && right
    })
}

/// A reason of tickets; what stops an operation of the plant (a break, the end of the shift) stops this
/// work too.
fn pause_reason(facts: &Facts<'_>, p: &PauseWork) -> Result<ReasonCode, Rejection> {
    let of = |catalogue| facts.need_reason(catalogue, p.reason.as_ref(), p.note.as_ref());
    match of(catalogues::TICKET) {
        Err(unknown) if unknown.code == ErrorCode::ReasonUnknown => match of(catalogues::STOP) {
            Ok((code, Some(_))) => Ok(code),
            _ => Err(unknown),
        },
        other => other.map(|(code, _)| code),
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::*;
    use crate::known::Machine;
    use mw_contract::decide::{Actor, Decision};
    use mw_contract::event::ticket::{ReturnAuthorizedV1, ReturnReceivedV1, TechnicianAssignedV1, WarrantyCheckedV1};
    use mw_contract::{
        AggregateId, Commercial, ErrorCode, Event, ReferenceKind, Rejection, Role, ServiceMode, TicketKind,
        TicketState, WarrantyStatus, WorkActivity,
    };
    use serde_json::{Value, json};

    fn with(mut p: Value, more: Value) -> Value {
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        p
    }

    fn start_as(w: &mut World, who: &Actor, id: AggregateId, more: Value) -> Result<Decision, Rejection> {
        let p = with(json!({"session_id": e(800), "activity": "repair"}), more);
        w.run(who, "ticket.start-work", id, p)
    }

    fn start(w: &mut World, id: AggregateId, more: Value) -> Result<Decision, Rejection> {
        start_as(w, &technician(), id, more)
    }

    fn pause(w: &mut World, id: AggregateId, session: &str) -> Result<Decision, Rejection> {
        w.technician("ticket.pause-work", id, json!({"session_id": session, "reason": "break"}))
    }

    fn resume(w: &mut World, id: AggregateId, more: Value) -> Result<Decision, Rejection> {
        w.technician("ticket.resume-work", id, with(json!({"session_id": e(801)}), more))
    }

    /// The customer has to pay and has not been asked.
    fn unpaid(w: &mut World, id: AggregateId) {
        w.given(
            id,
            WarrantyCheckedV1 {
                status: WarrantyStatus::OutOfWarranty,
                serial: Some(text("SN-1")),
                as_of: "2026-03-02".parse().unwrap(),
                terms: None,
                unit: None,
                commercial: Commercial::QuoteRequired,
            },
        );
    }

    #[test]
    fn tk_23_work_begins() {
        for state in [TicketState::Assigned, TicketState::Scheduled] {
            let mut w = World::new();
            let id = w.in_state(state);
            let p = json!({"safety_check": {"lockout": true, "permit_ref": "P-1"}, "geo": {"lat": 1, "lon": 2}});
            let d = start(&mut w, id, p).unwrap();
            assert_eq!((names(&d), d.role, d.warnings.len()), (vec!["WorkStarted"], Role::Technician, 0));
            let x = data(&d, 0);
            assert_eq!((&x["technician"], &x["activity"]), (&json!("technician-1"), &json!("repair")));
            assert_eq!((&x["lockout"], &x["permit_ref"], &x["geo"]["lat"]), (&json!(true), &json!("P-1"), &json!("1")));
            let t = w.ticket(id);
            assert_eq!((t.state, t.first_work_at), (TicketState::InProgress, Some(w.now)));
            // The next visit, where there is one, takes place with it.
            assert_eq!(x["visit_id"], json!(t.visits.first().map(|v| v.visit.visit_id)));
            assert!(t.visits.iter().all(|v| v.done));
        }
    }

    #[test]
    fn tk_23_only_by_whoever_is_assigned_and_an_administrator_for_the_lead() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        let other = technician_named("technician-2");
        assert_eq!(code(start_as(&mut w, &other, id, json!({}))), ErrorCode::Forbidden);
        for command in ["ticket.pause-work", "ticket.resume-work"] {
            let p = json!({"session_id": e(800)});
            assert_eq!(code(w.ask(&other, command, id, p)), ErrorCode::Forbidden);
        }
        let d = start_as(&mut w, &admin(), id, json!({})).unwrap();
        assert_eq!((&data(&d, 0)["technician"], d.role), (&json!("technician-1"), Role::Admin));
        assert_eq!(code(start(&mut w, id, json!({}))), ErrorCode::AlreadyExists);
    }

    #[test]
    fn tk_23_whoever_begins_to_work_has_arrived() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Scheduled);
        let visit = w.ticket(id).visits[0].visit.visit_id;
        w.technician("ticket.start-travel", id, json!({"trip_id": e(700)})).unwrap();
        let left = w.now;
        w.later(15 * MINUTE);
        let p = json!({"session_id": e(800), "activity": "repair"});
        assert_eq!(rule(w.ask_at(left.plus_millis(-1), &technician(), "ticket.start-work", id, p)), "G3");
        let d = start(&mut w, id, json!({})).unwrap();
        assert_eq!(names(&d), ["TechnicianArrived", "WorkStarted"]);
        assert_eq!((&data(&d, 0)["travel"], &data(&d, 1)["visit_id"]), (&json!(900), &json!(visit)));
        assert!(w.ticket(id).trips[0].arrived && w.ticket(id).visits[0].done);
        // Who arrived before is not told twice, and the visit is still that of the trip.
        let id = w.in_state(TicketState::Triaged);
        w.assigned(id, "technician-2");
        let start_at = w.now.plus_millis(HOUR);
        let visit = w.scheduled(id, start_at, start_at.plus_millis(HOUR));
        let me = technician_named("technician-2");
        w.run(&me, "ticket.start-travel", id, json!({"trip_id": e(701)})).unwrap();
        w.run(&me, "ticket.arrive", id, json!({"trip_id": e(701)})).unwrap();
        let d = start_as(&mut w, &me, id, json!({})).unwrap();
        assert_eq!((names(&d), &data(&d, 0)["visit_id"]), (vec!["WorkStarted"], &json!(visit)));
    }

    #[test]
    fn tk_23_r1_what_is_to_be_paid_waits_and_diagnosis_does_not() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        unpaid(&mut w, id);
        for activity in ["repair", "test", "maintenance"] {
            let refused = start(&mut w, id, json!({"activity": activity}));
            assert_eq!(detail(refused.clone(), "commercial"), json!("quote_required"));
            assert_eq!(rule(refused), "TK-23.R1", "{activity}");
        }
        start(&mut w, id, json!({"activity": "diagnosis"})).unwrap();
        pause(&mut w, id, &e(800)).unwrap();
        // A resumption is no way around it.
        assert_eq!(rule(resume(&mut w, id, json!({"activity": "repair"}))), "TK-23.R1");
        let quote = json!({"quote_id": e(500), "valid_until": "2026-03-16", "lines": [{"kind": "fixed", "text": "Repair",
            "qty": 1, "uom": "C62", "unit_price": {"amount": 90, "currency": "EUR"}, "tax_pct": 19}]});
        w.dispatcher("ticket.submit-quote", id, quote).unwrap();
        let no = json!({"quote_id": e(500), "reason": "price", "wish": "revise"});
        w.run(&customer(), "ticket.reject-quote", id, no).unwrap();
        assert_eq!(rule(resume(&mut w, id, json!({"activity": "repair"}))), "TK-23.R1");
        let q = w.quoted(id);
        w.run(&customer(), "ticket.approve-quote", id, json!({"quote_id": q, "revision": 1})).unwrap();
        resume(&mut w, id, json!({"activity": "repair"})).unwrap();
    }

    #[test]
    fn tk_23_r2_a_technician_is_at_work_on_one_ticket() {
        let mut w = World::new();
        let other = w.in_state(TicketState::Assigned);
        let there = w.working(other, WorkActivity::Repair);
        let id = w.in_state(TicketState::Assigned);
        let refused = start(&mut w, id, json!({}));
        assert_eq!(detail(refused.clone(), "ticket_id"), json!(other));
        assert_eq!(rule(refused), "TK-23.R2");
        w.paused(other, there);
        start(&mut w, id, json!({})).unwrap();
        // Nor twice on the same one.
        assert_eq!(rule(start(&mut w, id, json!({"session_id": e(802)}))), "TK-23.R2");
        // And a resumption is no way around it.
        assert_eq!(rule(resume(&mut w, id, json!({}))), "TK-23.R2");
    }

    #[test]
    fn t3_what_was_captured_offline_is_kept_and_noticed() {
        let mut w = World::new();
        let other = w.in_state(TicketState::Assigned);
        let there = w.working(other, WorkActivity::Repair);
        let id = w.in_state(TicketState::Assigned);
        w.offline = true;
        let d = start(&mut w, id, json!({})).unwrap();
        assert_eq!(names(&d), ["WorkStarted", "WorkClashNoticed"]);
        let x = data(&d, 1);
        assert_eq!((&x["session_id"], &x["technician"]), (&json!(e(800)), &json!("technician-1")));
        assert_eq!((&x["other_ticket_id"], &x["other_session_id"]), (&json!(other), &json!(there)));
        assert_eq!(d.warnings[0].code, "work_clash");
        assert!(w.ticket(id).session(e(800).parse().unwrap()).unwrap().is_open());
        pause(&mut w, id, &e(800)).unwrap();
        let d = resume(&mut w, id, json!({})).unwrap();
        assert_eq!((names(&d), d.warnings.len()), (vec!["WorkResumed", "WorkClashNoticed"], 1));
    }

    #[test]
    fn tk_23_two_technicians_work_side_by_side() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Triaged);
        let (lead, helpers) = ("technician-1".parse().unwrap(), vec!["technician-2".parse().unwrap()]);
        w.given(id, TechnicianAssignedV1 { lead, helpers, team: None, due_start: None, override_reason: None });
        start(&mut w, id, json!({})).unwrap();
        let d = start_as(&mut w, &technician_named("technician-2"), id, json!({"session_id": e(801)})).unwrap();
        assert_eq!(data(&d, 0)["technician"], json!("technician-2"));
        assert_eq!(w.ticket(id).open_sessions().count(), 2);
    }

    /// An internal ticket on a machine of a class.
    fn on_machine(w: &mut World, class: Option<&str>) -> AggregateId {
        let machine = id(0x77);
        w.plant.machine(Machine {
            equipment_id: machine,
            code: "cell-1".parse().unwrap(),
            class: class.map(|c| c.parse().unwrap()),
            site_id: "plant-1".parse().unwrap(),
            line_id: None,
            cell_id: None,
            counters: vec![],
        });
        let entries = json!([{"code": "press", "safety_check": true}, {"code": "table"},
            {"code": "old", "active": false, "safety_check": true}]);
        w.plant.put(ReferenceKind::Catalogue, "equipment_classes", json!({"entries": entries}));
        let id = w.opened_with(|t| {
            (t.kind, t.customer_id, t.serial) = (TicketKind::InternalMaintenance, None, None);
            t.equipment_id = Some(machine);
        });
        w.triaged(id, ServiceMode::Workshop);
        w.assigned(id, "technician-1");
        id
    }

    #[test]
    fn tk_23_r3_a_press_is_made_safe_first() {
        let mut w = World::new();
        let id = on_machine(&mut w, Some("press"));
        let refused = start(&mut w, id, json!({})).unwrap_err();
        assert_eq!(refused.field.as_deref(), Some("payload.safety_check"));
        assert_eq!(rule(Err(refused)), "TK-23.R3");
        let d = start(&mut w, id, json!({"safety_check": {"lockout": false}})).unwrap();
        assert_eq!(d.warnings[0].code, "not_locked_out");
        for class in [Some("table"), Some("old"), Some("unheard-of"), None] {
            let mut w = World::new();
            let id = on_machine(&mut w, class);
            let d = start(&mut w, id, json!({})).unwrap();
            assert_eq!((&data(&d, 0)["lockout"], d.warnings.len()), (&Value::Null, 0));
        }
    }

    #[test]
    fn tk_23_r4_in_the_workshop_the_unit_has_come() {
        let mut w = World::new();
        let id = w.opened();
        w.triaged(id, ServiceMode::Workshop);
        w.assigned(id, "technician-1");
        assert_eq!(rule(start(&mut w, id, json!({"activity": "diagnosis"}))), "TK-23.R4");
        w.given(
            id,
            ReturnAuthorizedV1 {
                rma_no: text("RMA-1"),
                serials: vec![text("SN-1"), text("SN-3")],
                reason: "repair".parse().unwrap(),
                note: None,
                ship_to: text("workshop"),
                carrier: None,
                valid_until: "2026-04-01".parse().unwrap(),
                service_mode: ServiceMode::Workshop,
            },
        );
        assert_eq!(rule(start(&mut w, id, json!({}))), "TK-23.R4");
        let received = |serial: &str, mismatch: bool| -> Event {
            ReturnReceivedV1 {
                rma_no: text("RMA-1"),
                serial: text(serial),
                product_id: None,
                mismatch,
                condition: "used".parse().unwrap(),
                photos: vec![],
            }
            .into()
        };
        // Another one than the ticket's.
        w.given(id, received("SN-3", false));
        w.given(id, received("SN-9", true));
        assert_eq!(rule(start(&mut w, id, json!({}))), "TK-23.R4");
        w.given(id, received("SN-1", false));
        start(&mut w, id, json!({})).unwrap();
    }

    #[test]
    fn tk_24_a_session_ends_with_a_reason() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        start(&mut w, id, json!({})).unwrap();
        let began = w.now;
        w.later(20 * MINUTE);
        let p = |reason: Value| json!({"session_id": e(800), "reason": reason, "note": "lunch"});
        assert_eq!(code(w.ask(&technician(), "ticket.pause-work", id, p(Value::Null))), ErrorCode::ReasonRequired);
        assert_eq!(code(pause(&mut w, id, &e(899))), ErrorCode::NotFound);
        let early = w.ask_at(began.plus_millis(-1), &technician(), "ticket.pause-work", id, p(json!("break")));
        assert_eq!(rule(early), "G3");
        let d = w.technician("ticket.pause-work", id, p(json!("break"))).unwrap();
        let x = data(&d, 0);
        assert_eq!((names(&d), &x["duration"]), (vec!["WorkPaused"], &json!(1200)));
        assert_eq!(
            (&x["reason"], &x["note"], &x["technician"]),
            (&json!("break"), &json!("lunch"), &json!("technician-1"))
        );
        assert_eq!(w.ticket(id).state, TicketState::InProgress);
        assert_eq!(rule(pause(&mut w, id, &e(800))), "TK-24");
    }

    #[test]
    fn tk_24_reasons_of_tickets_and_what_stops_the_plant() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        start(&mut w, id, json!({})).unwrap();
        let ask = |w: &World, reason: &str| {
            let p = json!({"session_id": e(800), "reason": reason, "note": "because"});
            w.ask(&technician(), "ticket.pause-work", id, p).map(|_| ())
        };
        let put = |catalogue: &str, code: &str| {
            w.plant.put(ReferenceKind::Catalogue, catalogue, json!({"entries": [{"code": code}]}));
        };
        put("ticket_reasons", "no_tool");
        ask(&w, "no_tool").unwrap();
        ask(&w, "other").unwrap();
        let refused = ask(&w, "break").unwrap_err();
        assert_eq!(
            (refused.code, &refused.details.unwrap()["catalogue"]),
            (ErrorCode::ReasonUnknown, &json!("ticket_reasons"))
        );
        put("stop_reasons", "break");
        ask(&w, "break").unwrap();
        assert_eq!(ask(&w, "lunch").unwrap_err().code, ErrorCode::ReasonUnknown);
    }

    #[test]
    fn tk_25_work_goes_on_as_before() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        start(&mut w, id, json!({"activity": "maintenance"})).unwrap();
        pause(&mut w, id, &e(800)).unwrap();
        let paused = w.now;
        w.later(5 * MINUTE);
        assert_eq!(code(resume(&mut w, id, json!({"session_id": e(800)}))), ErrorCode::AlreadyExists);
        let early =
            w.ask_at(paused.plus_millis(-1), &technician(), "ticket.resume-work", id, json!({"session_id": e(801)}));
        assert_eq!(rule(early), "G3");
        let d = resume(&mut w, id, json!({})).unwrap();
        let x = data(&d, 0);
        assert_eq!((names(&d), &x["activity"]), (vec!["WorkResumed"], &json!("maintenance")));
        assert_eq!((&x["session_id"], &x["paused_for"]), (&json!(e(801)), &json!(300)));
        pause(&mut w, id, &e(801)).unwrap();
        let d = resume(&mut w, id, json!({"session_id": e(802), "activity": "test"})).unwrap();
        assert_eq!((&data(&d, 0)["activity"], &data(&d, 0)["paused_for"]), (&json!("test"), &json!(0)));
    }

    #[test]
    fn tk_25_only_ones_own_work_goes_on() {
        let mut w = World::new();
        let id = w.in_state(TicketState::InProgress);
        w.dispatcher("ticket.reassign-technician", id, json!({"lead": "technician-2", "reason": "sick"})).unwrap();
        let me = technician_named("technician-2");
        start_as(&mut w, &me, id, json!({"session_id": e(803)})).unwrap();
        let (lead, helpers) = ("technician-2".parse().unwrap(), vec!["technician-3".parse().unwrap()]);
        w.given(
            id,
            mw_contract::event::ticket::TechnicianReassignedV1 {
                old: "technician-2".parse().unwrap(),
                new: lead,
                helpers,
                reason: "help".parse().unwrap(),
                note: None,
                handover_note: None,
                override_reason: None,
                keep_visit: true,
                to_state: TicketState::InProgress,
            },
        );
        let refused = w.ask(&technician_named("technician-3"), "ticket.resume-work", id, json!({"session_id": e(804)}));
        assert_eq!(rule(refused), "TK-25");
    }
}
