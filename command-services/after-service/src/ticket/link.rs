//! `ticket.link`: a ticket has to do with something else.

use mw_contract::command::ticket::LinkTicket;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::TicketLinkAddedV1;
use mw_contract::{AggregateId, CommandType, Rejection, TicketLinkKind};

use crate::rules::{Case, Facts, exists};
use crate::state::AfterServiceState;

/// Decides `ticket.link`. Tickets are of this system, so one that is named is there; other things are
/// not looked up.
pub fn link(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &LinkTicket,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketLink, ctx)?;
    if p.kind == TicketLinkKind::Ticket {
        let Ok(other) = p.id.as_str().parse::<AggregateId>() else {
            return Err(Rejection::invalid("payload.id", "is the id of a ticket, a UUID"));
        };
        if other == ctx.aggregate_id {
            return Err(Rejection::invalid("payload.id", "is another ticket than this"));
        }
        if facts.desk.ticket(other).is_none_or(|t| t.site_id != case.ticket.site_id) {
            return Err(Rejection::not_found(format!("there is no ticket {other} at this site")).at("payload.id"));
        }
    }
    if case.ticket.links.contains(&(p.kind, p.id.clone(), p.relation)) {
        return Err(exists("the ticket has this link already").at("payload.id"));
    }
    let added = TicketLinkAddedV1 { kind: p.kind, id: p.id.clone(), relation: p.relation };
    Ok(case.decided(role, vec![added.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::*;
    use mw_contract::{ErrorCode, TicketState};
    use serde_json::json;

    #[test]
    fn a_ticket_is_linked_to_what_is_there_once() {
        let mut w = World::new();
        let (id, other) = (w.in_state(TicketState::Closed), w.opened());
        let away = w.opened_with(|t| t.site_id = "plant-2".parse().unwrap());
        let order = json!({"kind": "work_order", "id": "WO-2026-000001", "relation": "replaced_by"});
        let d = w.run(&system(), "ticket.link", id, order.clone()).unwrap();
        assert_eq!((names(&d), data(&d, 0)), (vec!["TicketLinkAdded"], order.clone()));
        assert_eq!(code(w.run(&system(), "ticket.link", id, order)), ErrorCode::AlreadyExists);
        let to = |t: &str| json!({"kind": "ticket", "id": t, "relation": "relates_to"});
        for (target, expected) in [
            ("TK-2026-000001".to_owned(), ErrorCode::Validation),
            (id.to_string(), ErrorCode::Validation),
            (crate::fixture::id(0xffff).to_string(), ErrorCode::NotFound),
            (away.to_string(), ErrorCode::NotFound),
        ] {
            assert_eq!(code(w.dispatcher("ticket.link", id, to(&target))), expected, "{target}");
        }
        w.dispatcher("ticket.link", id, to(&other.to_string())).unwrap();
        assert_eq!(w.ticket(id).links.len(), 2);
    }
}
