//! TK-04 `ticket.mark-duplicate`: another ticket is the same case. This one ends, and shows that one's
//! state from now on (T6).

use mw_contract::command::ticket::MarkDuplicate;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::{TicketCancelledV1, TicketMarkedDuplicateV1, VisitCancelledV1};
use mw_contract::{CommandType, Event, ReasonCode, Rejection};

use crate::rules::{Case, Facts};
use crate::state::AfterServiceState;

/// Decides TK-04.
pub fn mark(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &MarkDuplicate,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketMarkDuplicate, ctx)?;
    let t = case.ticket;
    let id = p.master_ticket_id;
    let at_field = |r: Rejection| r.at("payload.master_ticket_id");
    let no = |message: String| Err(at_field(Rejection::guard("TK-04.R1", message)));
    if id == ctx.aggregate_id {
        return no("a ticket is not its own duplicate".into());
    }
    let master = facts.desk.ticket(id).filter(|m| m.site_id == t.site_id);
    let master =
        master.ok_or_else(|| at_field(Rejection::not_found(format!("there is no ticket {id} at this site"))))?;
    // The duplicate shows the master's state: to nobody who may not see the master.
    if master.customer_id != t.customer_id {
        return no(format!("{} is not a ticket of the same customer", master.number));
    }
    if master.master.is_some() {
        return no(format!("{} is a duplicate itself: name its master", master.number));
    }
    if !master.state.is_open() {
        return no(format!("{} is {}: name a ticket that is still open", master.number, master.state));
    }
    if facts.desk.has_duplicates(ctx.aggregate_id) {
        return no("other tickets are duplicates of this one: mark that one as a duplicate of this instead".into());
    }
    let reason = ReasonCode::new("duplicate").map_err(|e| Rejection::invalid("payload", e.to_string()))?;
    let mut events = case.end_work(&reason)?;
    let visits = t.open_visits().map(|v| VisitCancelledV1 {
        visit_id: v.visit.visit_id,
        reason: reason.clone(),
        note: None,
        to_state: t.state,
    });
    events.extend(visits.map(Event::from));
    events.push(TicketMarkedDuplicateV1 { master_ticket_id: id, master_number: master.number.clone() }.into());
    events.push(TicketCancelledV1 { reason, note: None }.into());
    Ok(case.decided(role, events))
}

#[cfg(test)]
mod tests {
    use crate::fixture::*;
    use crate::matrix::COLUMNS;
    use mw_contract::{AggregateId, ErrorCode, TicketState, WorkActivity};
    use serde_json::{Value, json};

    fn of(master: AggregateId) -> Value {
        json!({"master_ticket_id": master})
    }

    #[test]
    fn tk_04_ends_the_ticket_and_keeps_the_link() {
        let mut w = World::new();
        let (master, id) = (w.opened(), w.in_state(TicketState::Scheduled));
        let d = w.dispatcher("ticket.mark-duplicate", id, of(master)).unwrap();
        assert_eq!(names(&d), ["VisitCancelled", "TicketMarkedDuplicate", "TicketCancelled"]);
        assert_eq!(data(&d, 1)["master_number"], w.ticket(master).number.as_str());
        assert_eq!(data(&d, 2)["reason"], "duplicate");
        let t = w.ticket(id);
        assert_eq!((t.state, t.master), (TicketState::Cancelled, Some(master)));
    }

    #[test]
    fn tk_04_ends_what_is_under_way() {
        let mut w = World::new();
        let (master, id) = (w.opened(), w.in_state(TicketState::Assigned));
        w.working(id, WorkActivity::Diagnosis);
        let d = w.dispatcher("ticket.mark-duplicate", id, of(master)).unwrap();
        assert_eq!(names(&d), ["WorkPaused", "TicketMarkedDuplicate", "TicketCancelled"]);
        let (other, id) = (w.opened(), w.in_state(TicketState::Travelling));
        let d = w.dispatcher("ticket.mark-duplicate", id, of(other)).unwrap();
        assert_eq!(names(&d)[0], "TravelAborted");
    }

    #[test]
    fn tk_04_r1_the_master_is_open_and_there_is_no_chain() {
        let mut w = World::new();
        for state in COLUMNS {
            let (master, id) = (w.in_state(state), w.opened());
            let r = w.ask(&dispatcher(), "ticket.mark-duplicate", id, of(master));
            if state.is_open() {
                r.unwrap();
            } else {
                assert_eq!(rule(r), "TK-04.R1", "{state}");
            }
        }
        let (a, b, c) = (w.opened(), w.opened(), w.opened());
        w.dispatcher("ticket.mark-duplicate", b, of(a)).unwrap();
        assert_eq!(rule(w.dispatcher("ticket.mark-duplicate", c, of(b))), "TK-04.R1", "b is a duplicate");
        assert_eq!(rule(w.dispatcher("ticket.mark-duplicate", a, of(c))), "TK-04.R1", "a has a duplicate");
        assert_eq!(rule(w.dispatcher("ticket.mark-duplicate", c, of(c))), "TK-04.R1", "itself");
        w.dispatcher("ticket.mark-duplicate", c, of(a)).unwrap();
    }

    #[test]
    fn t6_the_master_is_a_ticket_of_the_same_customer_and_site() {
        let mut w = World::new();
        let id = w.opened();
        let other = w.opened_with(|t| t.customer_id = Some("other".parse().unwrap()));
        assert_eq!(rule(w.dispatcher("ticket.mark-duplicate", id, of(other))), "TK-04.R1");
        let away = w.opened_with(|t| t.site_id = "plant-2".parse().unwrap());
        let r = w.dispatcher("ticket.mark-duplicate", id, of(away));
        assert_eq!(code(r), ErrorCode::NotFound);
        assert_eq!(code(w.dispatcher("ticket.mark-duplicate", id, of(crate::fixture::id(99)))), ErrorCode::NotFound);
    }

    #[test]
    fn tk_04_not_when_it_is_resolved_or_over() {
        let mut w = World::new();
        let master = w.opened();
        for state in [TicketState::Resolved, TicketState::Closed, TicketState::Cancelled] {
            let id = w.in_state(state);
            let r = w.dispatcher("ticket.mark-duplicate", id, of(master));
            assert_eq!(code(r), ErrorCode::InvalidState, "{state}");
        }
    }
}
