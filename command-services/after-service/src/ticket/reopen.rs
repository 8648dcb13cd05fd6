//! TK-43 `ticket.reopen`: it is not over. A new cycle begins; what the old one was stays as it ended. After
//! the window it goes on in a new ticket, and both say so.

use mw_contract::command::ticket::ReopenTicket;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::{TicketLinkAddedV1, TicketOccurrenceAddedV1, TicketOpenedV1, TicketReopenedV1};
use mw_contract::reference::catalogues;
use mw_contract::{
    AggregateId, AggregateKind, CommandType, Commercial, Event, Instant, Rejection, Role, Sealed, StreamId, Text,
    TicketLinkKind, TicketRelation, TicketState, Warning, ids,
};

use super::open::{next_number, reported_again};
use super::warranty::{self, Check, Found};
use crate::rules::{Case, Facts, authorise_if, exists, not_before};
use crate::state::AfterServiceState;

const DAY: i64 = 24 * 3_600_000;

/// Days after closing in which the same alarm opens its ticket again.
const ALARM_DAYS: u16 = 7;

/// Decides TK-43.
pub fn reopen(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &ReopenTicket,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketReopen, ctx)?;
    let ticket = case.ticket;
    let role =
        authorise_if(ctx, case.holds(false), |r| r != Role::Technician || ticket.state == TicketState::Resolved)?;
    let (reason, _) = facts.need_reason(catalogues::CANCEL, p.reason.as_ref(), p.note.as_ref())?;
    let ended = ticket.ended_at.or(ticket.resolution.as_ref().map(|r| r.at)).unwrap_or(ticket.cycle_since);
    not_before(ctx.occurred_at, ended, "it would be reopened before it ended")?;
    if let Some(window) = over(&case, role) {
        return anew(&case, role, p.note.as_ref(), &window);
    }
    let reopened = TicketReopenedV1 {
        cycle: ticket.cycle.saturating_add(1),
        reason,
        note: p.note.as_ref().map(Sealed::plain),
        same_fault: p.same_fault,
        previous_lead: ticket.lead.clone(),
    };
    Ok(case.decided(role, vec![reopened.into()]))
}

/// A window that is over.
struct Window {
    days: u16,
    until: Instant,
}

/// The window of whoever reopens, when it is over. The days count by the time of receipt: backdating opens
/// none again.
fn over(case: &Case<'_>, role: Role) -> Option<Window> {
    let closed = case.ticket.ended_at.filter(|_| case.ticket.state == TicketState::Closed)?;
    let window = case.facts.settings(case.ctx).ticket_reopen_days;
    let days = if role == Role::System { window.min(ALARM_DAYS) } else { window };
    let until = closed.plus_millis(i64::from(days) * DAY);
    (case.ctx.received_at > until).then_some(Window { days, until })
}

/// A new ticket goes on from this one; where one does already it was reported once more (TK-01.R3).
fn anew(case: &Case<'_>, role: Role, note: Option<&Text<2000>>, window: &Window) -> Result<Decision, Rejection> {
    let (facts, ticket, ctx) = (case.facts, case.ticket, case.ctx);
    let by_key = || facts.desk.open_with_key(&ticket.site_id, ticket.customer_id.as_ref(), ticket.dedupe_key.as_ref()?);
    if let Some((id, count)) = facts.desk.open_follow_up(ctx.aggregate_id).or_else(by_key) {
        let again = TicketOccurrenceAddedV1 {
            count: count.saturating_add(1),
            channel: ticket.channel,
            description: note.map(Sealed::plain),
            alarm: None,
            dedupe_key: None,
        };
        return Ok(reported_again(id, role, again));
    }
    let id = ids::follow_up_ticket(ctx.aggregate_id, ctx.version);
    if facts.desk.ticket(id).is_some() {
        return Err(exists(format!("ticket {id} exists already")));
    }
    let opened = follow_up(case, note)?;
    let message = format!(
        "it could be reopened for {} days, until {}: {} goes on from it, and this answer is about that one",
        window.days, window.until, opened.number
    );
    let there = Text::new(&id.to_string()).map_err(|e| Rejection::invalid("aggregate_id", e.to_string()))?;
    let link = TicketLinkAddedV1 { kind: TicketLinkKind::Ticket, id: there, relation: TicketRelation::RelatesTo };
    let stream = StreamId::new(AggregateKind::Ticket, id);
    let mut events: Vec<(StreamId, Event)> = vec![(stream, opened.into())];
    events.extend(warranty_of(case, id).map(|e| (stream, e)));
    events.push((StreamId::new(AggregateKind::Ticket, ctx.aggregate_id), link.into()));
    let warnings = vec![Warning { code: "opened_anew".to_owned(), message }];
    Ok(Decision { warnings, events, made: Some(id), ..Decision::on(stream, role, []) })
}

/// About the same thing, for the same customer; what was found and agreed stays with the old one.
fn follow_up(case: &Case<'_>, note: Option<&Text<2000>>) -> Result<TicketOpenedV1, Rejection> {
    let (ticket, ctx) = (case.ticket, case.ctx);
    Ok(TicketOpenedV1 {
        number: next_number(case.facts, ctx)?,
        site_id: ticket.site_id.clone(),
        kind: ticket.kind,
        channel: ticket.channel,
        title: ticket.title.clone(),
        description: note.map(Sealed::plain),
        customer_id: ticket.customer_id.clone(),
        contact_id: ticket.contact_id.clone(),
        service_site: ticket.service_site.clone(),
        serial: ticket.serial.clone(),
        product_id: ticket.product_id.clone(),
        equipment_id: ticket.equipment_id,
        severity: ticket.severity,
        symptom: ticket.symptom.clone(),
        down_since: None,
        preferred_windows: Vec::new(),
        attachments: Vec::new(),
        alarm: None,
        dedupe_key: ticket.dedupe_key.clone(),
        plan_id: None,
        follows: Some(ctx.aggregate_id),
        checklist: ticket.checklist.clone(),
        estimated_effort: ticket.estimated_effort,
        signature_required: ticket.signature_required,
    })
}

/// TK-08 for the new ticket: what was decided for the old one does not hold for ever.
fn warranty_of(case: &Case<'_>, id: AggregateId) -> Option<Event> {
    let (facts, ticket, ctx) = (case.facts, case.ticket, case.ctx);
    let serial = ticket.serial.as_ref()?;
    let customer = ticket.customer_id.as_ref();
    let unit = match warranty::find_unit(facts, serial, ticket.product_id.as_ref(), customer) {
        Found::Unit(u) => Some(u),
        Found::Unknown | Found::Several(_) => None,
    };
    let as_of = ctx.occurred_at.date_in(&facts.time_zone(ctx));
    let unit = unit.as_deref();
    let about =
        Check { ticket_id: id, serial: Some(serial), unit, customer, as_of, commercial: Commercial::NotRequired };
    Some(warranty::check_of(facts, &about).into())
}

#[cfg(test)]
mod tests {
    use crate::fixture::{
        DAY, World, code, customer, data, dispatcher, names, rule, system, technician, technician_named, text,
    };
    use mw_contract::event::samples::Sample;
    use mw_contract::event::ticket::{TicketClosedV1, TicketOpenedV1};
    use mw_contract::{ErrorCode, ReferenceKind, Role, TicketState};
    use serde_json::{Value, json};

    fn again() -> Value {
        json!({"reason": "quality", "same_fault": true, "note": "it leaks again"})
    }

    #[test]
    fn golden_16_the_customer_reopens_within_14_days() {
        let mut w = World::new();
        // Closed on Monday, 2026-03-02.
        let id = w.in_state(TicketState::Closed);
        let closed = w.ticket(id).ended_at.unwrap();
        assert!(closed.to_string().starts_with("2026-03-02"));
        w.now = "2026-03-10T09:00:00.000Z".parse().unwrap();
        let d = w.run(&customer(), "ticket.reopen", id, again()).unwrap();
        assert_eq!((names(&d), d.role), (vec!["TicketReopened"], Role::Customer));
        let r = data(&d, 0);
        assert_eq!((&r["cycle"], &r["previous_lead"]), (&json!(2), &json!("technician-1")));
        assert_eq!(
            (&r["same_fault"], &r["note"], &r["reason"]),
            (&json!(true), &json!("it leaks again"), &json!("quality"))
        );
        let t = w.ticket(id);
        assert_eq!((t.state, t.cycle, t.lead.as_ref(), t.ended_at), (TicketState::Triaged, 2, None, None));
        assert_eq!(t.sessions.iter().map(|s| s.cycle).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn tk_43_after_the_window_a_new_ticket_goes_on() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Closed);
        w.later(14 * DAY);
        for who in [customer(), dispatcher()] {
            assert_eq!(names(&w.ask(&who, "ticket.reopen", id, again()).unwrap()), ["TicketReopened"]);
        }
        w.later(1);
        let before = w.ticket(id).clone();
        let d = w.run(&customer(), "ticket.reopen", id, again()).unwrap();
        let new = d.made.unwrap();
        assert_eq!(d.existing, None);
        assert_eq!(names(&d)[..3], ["TicketOpened", "WarrantyChecked", "TicketLinkAdded"]);
        let streams: Vec<_> = d.events.iter().map(|(s, _)| s.id).collect();
        assert_eq!(streams[..3], [new, new, id]);
        let opened = data(&d, 0);
        assert_eq!((&opened["follows"], &opened["description"]), (&json!(id), &json!("it leaks again")));
        assert_eq!((&opened["title"], &opened["alarm"]), (&json!(before.title), &Value::Null));
        assert_eq!(data(&d, 1)["as_of"], json!("2026-03-16"));
        assert_eq!(data(&d, 2), json!({"kind": "ticket", "id": new.to_string(), "relation": "relates_to"}));
        assert!(d.warnings[0].message.contains(opened["number"].as_str().unwrap()), "{:?}", d.warnings);
        // About the same unit for the same customer, with nothing of what was found and agreed.
        let t = w.ticket(new).clone();
        assert_eq!((t.state, t.cycle, t.lead.as_ref(), t.follows), (TicketState::New, 1, None, Some(id)));
        assert_eq!((&t.customer_id, &t.serial, t.kind), (&before.customer_id, &before.serial, before.kind));
        // The old one ended as it did.
        let old = w.ticket(id);
        assert_eq!((old.state, old.cycle, old.ended_at), (TicketState::Closed, 1, before.ended_at));
    }

    #[test]
    fn tk_43_a_ticket_that_goes_on_already_is_not_opened_twice() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Closed);
        w.later(14 * DAY + 1);
        let first = w.run(&customer(), "ticket.reopen", id, again()).unwrap().made.unwrap();
        let d = w.dispatcher("ticket.reopen", id, again()).unwrap();
        assert_eq!((d.existing, d.made, names(&d)), (Some(first), None, vec!["TicketOccurrenceAdded"]));
        assert_eq!((d.events[0].0.id, w.ticket(first).occurrences), (first, 2));
        // Once that one is over, the next goes on.
        w.dispatcher("ticket.cancel", first, json!({"reason": "quality", "note": "x"})).unwrap();
        let second = w.run(&customer(), "ticket.reopen", id, again()).unwrap().made.unwrap();
        assert_ne!(second, first);
        assert_eq!(w.ticket(second).follows, Some(id));
    }

    #[test]
    fn tk_43_a_ticket_with_the_same_key_that_is_open_is_the_one_that_goes_on() {
        let mut w = World::new();
        let key = |t: &mut TicketOpenedV1| t.dedupe_key = Some(text("pump-7"));
        let id = w.opened_with(key);
        w.given(id, TicketClosedV1::sample());
        let other = w.opened_with(key);
        w.later(15 * DAY);
        assert_eq!(w.ask(&customer(), "ticket.reopen", id, again()).unwrap().existing, Some(other));
    }

    #[test]
    fn tk_43_the_window_is_the_sites_and_backdating_opens_none() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Closed);
        w.later(15 * DAY);
        assert!(w.ask_at(w.now.plus_millis(-DAY), &dispatcher(), "ticket.reopen", id, again()).unwrap().made.is_some());
        w.settings(json!({"ticket_reopen_days": 30}));
        assert!(w.ask(&customer(), "ticket.reopen", id, again()).unwrap().made.is_none());
        assert!(w.ask(&system(), "ticket.reopen", id, again()).unwrap().made.is_some());
    }

    #[test]
    fn tk_43_the_clocks_of_the_new_ticket_run() {
        let mut w = World::new();
        let policy = json!({"calendar": "office-berlin", "targets": [{"clock": "resolution", "minutes": 480}]});
        w.plant.put(ReferenceKind::SlaPolicy, "standard", policy);
        let id = w.in_state(TicketState::Closed);
        w.later(15 * DAY);
        let d = w.run(&customer(), "ticket.reopen", id, again()).unwrap();
        let (stream, event) = d.events.last().unwrap();
        assert!(matches!(event, mw_contract::Event::SlaStarted(_)), "{event:?}");
        assert_eq!(stream.id, d.made.unwrap());
        assert!(!w.ticket(d.made.unwrap()).sla.clocks.is_empty());
    }

    #[test]
    fn tk_43_the_same_alarm_within_7_days() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Closed);
        w.later(7 * DAY);
        assert_eq!(w.ask(&system(), "ticket.reopen", id, again()).unwrap().role, Role::System);
        w.later(1);
        assert!(w.ask(&system(), "ticket.reopen", id, again()).unwrap().made.is_some());
    }

    #[test]
    fn tk_43_a_technician_reopens_what_is_resolved_and_its_own() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Resolved);
        assert_eq!(code(w.run(&technician_named("technician-2"), "ticket.reopen", id, again())), ErrorCode::Forbidden);
        assert_eq!(code(w.technician("ticket.reopen", id, json!({"same_fault": false}))), ErrorCode::ReasonRequired);
        assert_eq!(rule(w.run_at(w.now.plus_millis(-1), &technician(), "ticket.reopen", id, again())), "G3");
        w.later(60 * DAY);
        w.technician("ticket.reopen", id, again()).unwrap();
        let id = w.in_state(TicketState::Closed);
        assert_eq!(code(w.technician("ticket.reopen", id, again())), ErrorCode::Forbidden);
        let open = w.in_state(TicketState::Assigned);
        assert_eq!(code(w.dispatcher("ticket.reopen", open, again())), ErrorCode::InvalidState);
    }
}
