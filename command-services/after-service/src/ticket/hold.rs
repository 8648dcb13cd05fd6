//! TK-31 `ticket.hold` and TK-32 `ticket.resume`: a ticket waits for a reason from the catalogue.

use mw_contract::command::ticket::{HoldTicket, ResumeTicket};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::{TicketHeldV1, TicketResumedV1};
use mw_contract::reference::{CatalogueEntry, Document, catalogues};
use mw_contract::{
    CommandType, Event, Instant, ReasonCode, ReferenceKind, Rejection, Sealed, Seconds, Text, TicketState,
};

use crate::rules::{Case, Facts, not_before};
use crate::state::AfterServiceState;

const DAY: i64 = 24 * 3_600_000;

/// Decides TK-31.
pub fn hold(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &HoldTicket,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketHold, ctx)?;
    let (reason, entry) = facts.need_reason(catalogues::TICKET_HOLD, p.reason.as_ref(), p.note.as_ref())?;
    expected(&case, &reason, entry.as_ref(), p.expected_until)?;
    let events = held(&case, &reason, entry.as_ref(), p.expected_until, p.note.as_ref())?;
    Ok(case.decided(role, events))
}

/// Decides TK-32. Work does not begin again by itself.
pub fn resume(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &ResumeTicket,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketResume, ctx)?;
    let Some(hold) = &case.ticket.hold else {
        return Err(Rejection::not_found("the ticket has no hold to lift"));
    };
    not_before(ctx.occurred_at, hold.since, "the hold would end before it began")?;
    let resumed = TicketResumedV1 {
        held_for: Seconds::between(hold.since, ctx.occurred_at),
        to_state: back_to(&case, hold.resume_state),
        note: p.note.as_ref().map(Sealed::plain),
    };
    Ok(case.decided(role, vec![resumed.into()]))
}

/// TK-31.R2: who waits for somebody says until when, no longer than the catalogue lets it wait.
fn expected(
    case: &Case<'_>,
    reason: &ReasonCode,
    entry: Option<&CatalogueEntry>,
    until: Option<Instant>,
) -> Result<(), Rejection> {
    let now = case.ctx.occurred_at;
    let guard = |message: String| Err(Rejection::guard("TK-31.R2", message).at("payload.expected_until"));
    match until {
        None if reason.as_str().starts_with("waiting_") => {
            guard(format!("a hold for {reason} needs the time until which it is expected to last"))
        }
        Some(t) if t <= now => guard(format!("the hold begins at {now}: it is expected to last until later")),
        Some(t) => match entry.and_then(|e| e.max_days) {
            Some(days) if t > now.plus_millis(i64::from(days) * DAY) => {
                guard(format!("a hold for {reason} lasts {days} days at most"))
            }
            _ => Ok(()),
        },
        None => Ok(()),
    }
}

/// TK-31.R1: whoever is at work or under way stops at the time of the hold.
pub(super) fn held(
    case: &Case<'_>,
    reason: &ReasonCode,
    entry: Option<&CatalogueEntry>,
    expected_until: Option<Instant>,
    note: Option<&Text<2000>>,
) -> Result<Vec<Event>, Rejection> {
    let mut events = case.end_work(reason)?;
    let held = TicketHeldV1 {
        reason: reason.clone(),
        pauses_sla: entry.and_then(|e| e.pauses_sla).unwrap_or_else(|| policy_pauses(case, reason, entry.is_some())),
        resume_state: if case.ticket.state == TicketState::Travelling {
            TicketState::Assigned
        } else {
            case.ticket.state
        },
        expected_until,
        note: note.map(Sealed::plain),
    };
    events.push(held.into());
    Ok(events)
}

/// Where the reason leaves it to the policy. Of a reason that no catalogue has, only those that wait for
/// somebody are left to it; others stop no clock.
fn policy_pauses(case: &Case<'_>, reason: &ReasonCode, listed: bool) -> bool {
    if !listed && !reason.as_str().starts_with("waiting_") {
        return false;
    }
    let Some(policy) = &case.ticket.sla.policy else { return true };
    match case.facts.known.document(ReferenceKind::SlaPolicy, policy.policy_code.as_str()).as_deref() {
        Some(Document::SlaPolicy(p)) => p.hold_pauses,
        _ => true,
    }
}

/// Where a ticket goes on (2.1): where it was left, as far as its visit is still to come and somebody
/// leads it.
fn back_to(case: &Case<'_>, left: TicketState) -> TicketState {
    use TicketState::{Assigned, InProgress, Scheduled, Triaged};
    let ticket = case.ticket;
    let to_come = || ticket.open_visits().any(|v| v.visit.window_end > case.ctx.occurred_at);
    match left {
        Assigned | Scheduled | InProgress if ticket.lead.is_none() => Triaged,
        Scheduled if !to_come() => Assigned,
        left => left,
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::{HOUR, World, code, data, dispatcher, names, rule, system, technician_named};
    use crate::state::AfterServiceState;
    use mw_contract::event::ticket::AssignmentDeclinedV1;
    use mw_contract::event::ticket_parts::{CalendarV1, PolicyV1};
    use mw_contract::{ErrorCode, ReferenceKind, Role, TicketState, WorkActivity};
    use serde_json::{Value, json};

    const UNTIL: &str = "2026-03-05T08:00:00.000Z";

    fn parts() -> Value {
        json!({"reason": "waiting_parts", "expected_until": UNTIL, "note": "seal is on its way"})
    }

    #[test]
    fn tk_31_r1_work_and_travel_end_at_the_hold() {
        let mut w = World::new();
        let id = w.in_state(TicketState::InProgress);
        w.working(id, WorkActivity::Repair);
        w.later(HOUR);
        let d = w.technician("ticket.hold", id, parts()).unwrap();
        assert_eq!(names(&d), ["WorkPaused", "TicketHeld"]);
        assert_eq!((&data(&d, 0)["duration"], &data(&d, 0)["reason"]), (&json!(3600), &json!("waiting_parts")));
        let held = data(&d, 1);
        assert_eq!((&held["resume_state"], &held["pauses_sla"]), (&json!("in_progress"), &json!(true)));
        assert_eq!((&held["note"], &held["expected_until"]), (&json!("seal is on its way"), &json!(UNTIL)));
        let id = w.in_state(TicketState::Travelling);
        let p = json!({"reason": "internal"});
        assert_eq!(rule(w.run_at(w.now.plus_millis(-1), &dispatcher(), "ticket.hold", id, p.clone())), "G3");
        let d = w.dispatcher("ticket.hold", id, p).unwrap();
        assert_eq!(names(&d), ["TravelAborted", "TicketHeld"]);
        assert_eq!((&data(&d, 1)["resume_state"], &data(&d, 1)["pauses_sla"]), (&json!("assigned"), &json!(false)));
    }

    #[test]
    fn tk_31_r2_who_waits_says_until_when() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        for reason in ["waiting_parts", "waiting_customer", "waiting_supplier"] {
            let r = w.dispatcher("ticket.hold", id, json!({"reason": reason}));
            assert_eq!(r.clone().unwrap_err().field.as_deref(), Some("payload.expected_until"));
            assert_eq!(rule(r), "TK-31.R2");
        }
        let past = json!({"reason": "internal", "expected_until": w.now});
        assert_eq!(rule(w.dispatcher("ticket.hold", id, past)), "TK-31.R2");
        let limited = json!({"entries": [{"code": "waiting_parts", "max_days": 2}]});
        w.plant.put(ReferenceKind::Catalogue, "ticket_hold_reasons", limited);
        assert_eq!(rule(w.dispatcher("ticket.hold", id, parts())), "TK-31.R2");
        let in_time = json!({"reason": "waiting_parts", "expected_until": "2026-03-04T08:00:00.000Z"});
        w.dispatcher("ticket.hold", id, in_time).unwrap();
    }

    #[test]
    fn tk_31_a_reason_is_from_the_catalogue() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Triaged);
        assert_eq!(code(w.dispatcher("ticket.hold", id, json!({}))), ErrorCode::ReasonRequired);
        assert_eq!(code(w.dispatcher("ticket.hold", id, json!({"reason": "weather"}))), ErrorCode::ReasonUnknown);
        let d = w.dispatcher("ticket.hold", id, json!({"reason": "other", "note": "strike"})).unwrap();
        assert_eq!((&data(&d, 0)["pauses_sla"], &data(&d, 0)["resume_state"]), (&json!(false), &json!("triaged")));
    }

    #[test]
    fn tk_31_a_reason_that_leaves_it_to_the_policy_pauses_as_the_policy_says() {
        let mut w = World::new();
        w.plant.put(ReferenceKind::Catalogue, "ticket_hold_reasons", json!({"entries": [{"code": "waiting_parts"}]}));
        let mut pauses = |hold_pauses: bool| {
            let policy = json!({"calendar": "office-berlin", "targets": [], "hold_pauses": hold_pauses});
            w.plant.put(ReferenceKind::SlaPolicy, "gold", policy);
            let id = w.in_state(TicketState::Assigned);
            let calendar = CalendarV1 {
                calendar_id: "office-berlin".parse().unwrap(),
                time_zone: crate::fixture::text("Europe/Berlin"),
                hours: vec![],
                holidays: vec![],
            };
            let policy = PolicyV1 {
                policy_code: "gold".parse().unwrap(),
                calendar,
                targets: vec![],
                response_by_assignment: false,
                approval_pauses: true,
                workshop_from_receipt: false,
            };
            if let Some(AfterServiceState::Ticket(t)) = w.states.get_mut(&id) {
                t.sla.policy = Some(policy);
            }
            let d = w.dispatcher("ticket.hold", id, parts()).unwrap();
            data(&d, 0)["pauses_sla"].clone()
        };
        assert_eq!((pauses(true), pauses(false)), (json!(true), json!(false)));
    }

    #[test]
    fn tk_31_32_assigned_technicians_dispatchers_and_the_system() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        let other = technician_named("technician-2");
        assert_eq!(code(w.run(&other, "ticket.hold", id, parts())), ErrorCode::Forbidden);
        assert_eq!(w.run(&system(), "ticket.hold", id, parts()).unwrap().role, Role::System);
        assert_eq!(code(w.dispatcher("ticket.hold", id, parts())), ErrorCode::InvalidState);
        assert_eq!(code(w.run(&other, "ticket.resume", id, json!({}))), ErrorCode::Forbidden);
        assert_eq!(w.run(&system(), "ticket.resume", id, json!({})).unwrap().role, Role::System);
        assert_eq!(code(w.dispatcher("ticket.resume", id, json!({}))), ErrorCode::InvalidState);
    }

    #[test]
    fn tk_32_goes_back_to_where_it_was() {
        let mut w = World::new();
        for s in [TicketState::Triaged, TicketState::Assigned, TicketState::InProgress] {
            let id = w.in_state(s);
            w.dispatcher("ticket.hold", id, parts()).unwrap();
            w.later(90_000);
            assert_eq!(rule(w.run_at(w.now.plus_millis(-90_001), &dispatcher(), "ticket.resume", id, json!({}))), "G3");
            let d = w.dispatcher("ticket.resume", id, json!({"note": "here"})).unwrap();
            let r = data(&d, 0);
            assert_eq!((&r["to_state"], &r["held_for"], &r["note"]), (&json!(s.as_str()), &json!(90), &json!("here")));
            assert_eq!((w.ticket(id).state, w.ticket(id).open_sessions().count()), (s, 0));
        }
    }

    #[test]
    fn tk_32_a_visit_that_has_passed_has_to_be_made_again() {
        let mut w = World::new();
        for (wait, to) in [(2 * HOUR, TicketState::Scheduled), (3 * HOUR, TicketState::Assigned)] {
            let id = w.in_state(TicketState::Scheduled);
            w.dispatcher("ticket.hold", id, parts()).unwrap();
            w.later(wait);
            w.dispatcher("ticket.resume", id, json!({})).unwrap();
            assert_eq!(w.ticket(id).state, to, "{wait}");
        }
    }

    #[test]
    fn tk_32_t1_without_a_lead_it_goes_back_to_be_assigned() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        w.dispatcher("ticket.hold", id, parts()).unwrap();
        let declined = AssignmentDeclinedV1 {
            technician: "technician-1".parse().unwrap(),
            reason: "ill".parse().unwrap(),
            note: None,
        };
        // As if it had been declined while the hold was on its way.
        w.given(id, declined);
        let held = mw_contract::event::ticket::TicketHeldV1 {
            reason: "internal".parse().unwrap(),
            pauses_sla: false,
            resume_state: TicketState::Assigned,
            expected_until: None,
            note: None,
        };
        w.given(id, held);
        w.dispatcher("ticket.resume", id, json!({})).unwrap();
        assert_eq!(w.ticket(id).state, TicketState::Triaged);
    }
}
