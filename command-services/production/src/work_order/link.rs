//! WO-48 `work-order.link`: an order is tied to something else.

use mw_contract::command::work_order::LinkWorkOrder;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::work_order::LinkAddedV1;
use mw_contract::{AggregateId, CommandType, LinkKind, Rejection};

use crate::facts::Production;
use crate::rules::{Case, Holds, authorise, exists};
use crate::state::{Link, ProductionState};

/// Decides WO-48. Orders are of this system, so one that is named is there; other things are not
/// looked up.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &LinkWorkOrder,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let case = Case::open(facts, state, CommandType::WorkOrderLink, ctx)?;
    if p.kind == LinkKind::WorkOrder {
        let Ok(other) = p.id.as_str().parse::<AggregateId>() else {
            return Err(Rejection::invalid("payload.id", "is the id of a work order, a UUID"));
        };
        if other == case.order.id {
            return Err(Rejection::invalid("payload.id", "is another order than this"));
        }
        if facts.order_state(other).is_none() {
            return Err(Rejection::not_found(format!("there is no work order {other}")).at("payload.id"));
        }
    }
    let link = Link { kind: p.kind, id: p.id.clone(), relation: p.relation };
    if case.order.links.contains(&link) {
        return Err(exists("the order has this link already").at("payload.id"));
    }
    Ok(case.decided(role, vec![LinkAddedV1 { kind: link.kind, id: link.id, relation: link.relation }.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, code, data};
    use mw_contract::ErrorCode;
    use serde_json::json;

    #[test]
    fn wo_48_ties_an_order_to_what_is_there_once() {
        let mut w = World::new();
        let (id, other) = (w.bracket(1), w.bracket(1));
        let mut link = |p| w.planner("work-order.link", id, p);
        let ticket = json!({"kind": "ticket", "id": "TK-2026-000001", "relation": "replaces"});
        assert_eq!(data(&link(ticket.clone()).unwrap(), 0), ticket);
        assert_eq!(code(link(ticket)), ErrorCode::AlreadyExists);
        for (target, expected) in [
            ("WO-2026-000001".to_owned(), ErrorCode::Validation),
            (id.to_string(), ErrorCode::Validation),
            ("00000000-0000-0000-0000-00000000ffff".to_owned(), ErrorCode::NotFound),
        ] {
            let p = json!({"kind": "work_order", "id": target, "relation": "blocks"});
            assert_eq!(code(link(p)), expected, "{target}");
        }
        link(json!({"kind": "work_order", "id": other, "relation": "blocks"})).unwrap();
        assert_eq!(w.order(id).links.len(), 2);
    }
}
