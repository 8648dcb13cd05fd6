//! TK-38 `ticket.cancel`: it ends without service. Who frees parts and orders is told by the event.

use mw_contract::command::ticket::CancelTicket;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::{TicketCancelledV1, VisitCancelledV1};
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, Coverage, Event, Rejection, Role, Sealed, TicketState};

use crate::rules::{Case, Facts, authorise_if};
use crate::state::AfterServiceState;

/// Decides TK-38.
pub fn cancel(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &CancelTicket,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketCancel, ctx)?;
    let ticket = case.ticket;
    let early = matches!(ticket.state, TicketState::New | TicketState::Triaged | TicketState::AwaitingApproval);
    let role = authorise_if(ctx, case.holds(false), |r| r != Role::Customer || early).map_err(|_| {
        let message = "somebody is on it already: ask those who serve you to cancel it";
        Rejection::forbidden(message).with("state", ticket.state.as_str())
    })?;
    let (reason, _) = facts.need_reason(catalogues::CANCEL, p.reason.as_ref(), p.note.as_ref())?;
    if ticket.parts.consumed.iter().any(|c| c.coverage == Coverage::Chargeable) {
        let message = "parts that the customer pays for were used: resolve the ticket instead";
        return Err(Rejection::guard("TK-38.R1", message));
    }
    let mut events = case.end_work(&reason)?;
    let visits = ticket.open_visits().map(|v| VisitCancelledV1 {
        visit_id: v.visit.visit_id,
        reason: reason.clone(),
        note: None,
        to_state: ticket.state,
    });
    events.extend(visits.map(Event::from));
    events.push(TicketCancelledV1 { reason, note: p.note.as_ref().map(Sealed::plain) }.into());
    Ok(case.decided(role, events))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, code, customer, customer_of, data, e, names, rule, system};
    use crate::matrix::COLUMNS;
    use mw_contract::event::ticket::PartsConsumedV1;
    use mw_contract::event::ticket_parts::PartUseV1;
    use mw_contract::{Coverage, ErrorCode, PartSource, Qty, Role, TicketState};
    use serde_json::json;

    #[test]
    fn tk_38_a_customer_cancels_before_somebody_is_on_it() {
        use TicketState as S;
        let mut w = World::new();
        let why = || json!({"reason": "customer_cancelled", "note": "solved itself"});
        for s in COLUMNS {
            let id = w.in_state(s);
            let own = w.ask(&customer(), "ticket.cancel", id, why());
            let staff = w.ask(&crate::fixture::dispatcher(), "ticket.cancel", id, why());
            match s {
                S::New | S::Triaged | S::AwaitingApproval => {
                    assert_eq!((own.unwrap().role, staff.is_ok()), (Role::Customer, true), "{s}");
                }
                S::Assigned | S::Scheduled | S::OnHold => {
                    assert_eq!((code(own), staff.is_ok()), (ErrorCode::Forbidden, true), "{s}");
                }
                _ => assert_eq!((code(own), code(staff)), (ErrorCode::InvalidState, ErrorCode::InvalidState), "{s}"),
            }
        }
        let id = w.opened();
        let stranger = customer_of("customer-2", "other");
        assert_eq!(code(w.run(&stranger, "ticket.cancel", id, why())), ErrorCode::NotFound);
        assert_eq!(code(w.run(&customer(), "ticket.cancel", id, json!({}))), ErrorCode::ReasonRequired);
        assert_eq!(w.run(&system(), "ticket.cancel", id, why()).unwrap().role, Role::System);
        assert_eq!(w.ticket(id).state, S::Cancelled);
    }

    #[test]
    fn tk_38_r1_no_part_was_used_for_which_the_customer_pays() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        let used = |w: &mut World, coverage: Coverage, n: u128| {
            let line = PartUseV1 {
                item_id: "seal".parse().unwrap(),
                qty: Qty::whole(1),
                new_serial: None,
                lot: None,
                removed_serial: None,
                removed_disposition: None,
                source: PartSource::Van,
                coverage,
                unit_cost: None,
                reservation_id: None,
                location: None,
            };
            let consumption_id = e(n).parse().unwrap();
            w.given(id, PartsConsumedV1 { consumption_id, serial: None, product_id: None, lines: vec![line] });
            w.ask(&crate::fixture::dispatcher(), "ticket.cancel", id, json!({"reason": "duplicate"}))
        };
        used(&mut w, Coverage::Warranty, 1).unwrap();
        used(&mut w, Coverage::Goodwill, 2).unwrap();
        assert_eq!(rule(used(&mut w, Coverage::Chargeable, 3)), "TK-38.R1");
    }

    #[test]
    fn tk_38_visits_to_come_are_called_off() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Scheduled);
        let d = w.dispatcher("ticket.cancel", id, json!({"reason": "no_demand"})).unwrap();
        assert_eq!(names(&d), ["VisitCancelled", "TicketCancelled"]);
        assert_eq!((&data(&d, 0)["reason"], &data(&d, 1)["reason"]), (&json!("no_demand"), &json!("no_demand")));
        assert_eq!((w.ticket(id).state, w.ticket(id).open_visits().count()), (TicketState::Cancelled, 0));
    }
}
