//! WO-06 `work-order.release`: the order may start on the floor.

use mw_contract::command::work_order::ReleaseWorkOrder;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::parts::ShortageV1;
use mw_contract::event::work_order::WorkOrderReleasedV1;
use mw_contract::{CommandType, LinkKind, LinkRelation, OriginKind, Rejection, Sealed};

use crate::facts::Production;
use crate::rules::{Case, Holds, authorise, settings};
use crate::state::{Link, ProductionState, WorkOrder};

/// Decides WO-06.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &ReleaseWorkOrder,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let setting = settings(facts, ctx).line_lead_releases;
    let role = authorise(ctx, Holds { setting, ..Holds::default() })?;
    let case = Case::open(facts, state, CommandType::WorkOrderRelease, ctx)?;
    let order = case.order;
    check_revision(facts, order)?;
    check_ticket(order)?;
    let homeless: Vec<u16> = order
        .operations
        .iter()
        .filter(|o| o.cell_id.is_none() && o.cell_class.is_none() && !o.implicit)
        .map(|o| o.op)
        .collect();
    if !homeless.is_empty() {
        return Err(Rejection::guard("WO-06.R2", "every operation needs a cell or a class of cells: plan them first")
            .with("operations", homeless));
    }
    let shortages = shortages(order);
    if !shortages.is_empty() && p.allow_shortage != Some(true) {
        let items: Vec<String> = shortages.iter().map(|s| format!("{} of {}", s.missing_qty, s.item_id)).collect();
        return Err(Rejection::guard("WO-06.R3", "material is missing: provide it, or release with allow_shortage")
            .with("shortages", items));
    }
    let released = WorkOrderReleasedV1 {
        bom: order.bom.clone(),
        routing: order.routing.clone(),
        shortages,
        note: p.note.as_ref().map(Sealed::plain),
    };
    Ok(case.decided(role, vec![released.into()]))
}

/// WO-06.R1. A product that lists no revisions takes any.
fn check_revision(facts: &Production, order: &WorkOrder) -> Result<(), Rejection> {
    let guard = |message: String| Err(Rejection::guard("WO-06.R1", message));
    let Some(product) = facts.product(&order.product_id) else {
        return guard(format!("{} is not an active product any more", order.product_id));
    };
    let approved: Vec<String> =
        product.revisions.iter().filter(|r| r.approved).map(|r| r.rev.as_str().to_owned()).collect();
    let ours = order.product_rev.as_ref().map(|r| r.as_str());
    if product.revisions.is_empty() || approved.iter().any(|r| Some(r.as_str()) == ours) {
        return Ok(());
    }
    guard(format!("amend product_rev to an approved revision of {}: {}", order.product_id, approved.join(", ")))
}

/// Lines that must be reserved or issued before the release. No event can reserve or issue yet,
/// so each of them is missing in full.
/// WO-06.R4: the ticket that asked for the order does not block it. Tickets are another context's;
/// a cancelled one reaches the order as a link.
fn check_ticket(order: &WorkOrder) -> Result<(), Rejection> {
    let blocked = |l: &Link| {
        l.kind == LinkKind::Ticket && l.relation == LinkRelation::Blocks && order.origin.id.as_ref() == Some(&l.id)
    };
    if order.origin.kind == OriginKind::Ticket && order.links.iter().any(blocked) {
        let message = "the ticket that asked for this order was cancelled: cancel the order too";
        return Err(Rejection::guard("WO-06.R4", message));
    }
    Ok(())
}

fn shortages(order: &WorkOrder) -> Vec<ShortageV1> {
    let missing = |l: &mw_contract::event::parts::BomLineV1| {
        let missing_qty = order.required(l)?.less(order.material.covered(l.line_no));
        let short = ShortageV1 { line_no: l.line_no, item_id: l.item_id.clone(), missing_qty };
        (!missing_qty.is_zero()).then_some(short)
    };
    order.bom.iter().filter(|l| !l.backflush).filter_map(missing).collect()
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, actor, code, data, detail, names, rule};
    use mw_contract::decide::Allowance;
    use mw_contract::{AggregateId, ErrorCode, Role};
    use serde_json::{Value, json};

    fn planned(w: &mut World, more: Value) -> AggregateId {
        let id = w.bracket_with(4, more);
        w.planner("work-order.plan", id, World::plan_payload()).unwrap();
        id
    }

    #[test]
    fn wo_06_r4_not_when_the_ticket_that_asked_was_cancelled() {
        let mut w = World::new();
        let origin = json!({"order_type": "replacement", "origin": {"kind": "ticket", "id": "T-1"}});
        let id = planned(&mut w, origin);
        let link = |ticket: &str| json!({"kind": "ticket", "id": ticket, "relation": "blocks"});
        w.planner("work-order.link", id, link("T-2")).unwrap();
        w.ask(&crate::fixture::planner(), "work-order.release", id, json!({})).unwrap();
        w.planner("work-order.link", id, link("T-1")).unwrap();
        assert_eq!(rule(w.planner("work-order.release", id, json!({}))), "WO-06.R4");
    }

    #[test]
    fn wo_06_freezes_copies_of_bom_and_routing() {
        let mut w = World::new();
        let id = w.pump(5);
        w.planner("work-order.plan", id, World::plan_payload()).unwrap();
        let d = w.planner("work-order.release", id, json!({"note": "go"})).unwrap();
        assert_eq!(names(&d), ["WorkOrderReleased"]);
        assert_eq!(data(&d, 0)["routing"][0]["op"], 10);
        assert_eq!(data(&d, 0)["note"], "go");
        assert_eq!(w.order(id).released_at, Some(w.now));
    }

    #[test]
    fn wo_06_r1_the_revision_is_approved() {
        let mut w = World::new();
        let revisions = json!([{"rev": "A", "approved": false}, {"rev": "B"}, {"rev": "D"}]);
        w.put("product", "bracket-10", json!({"uom": "H87", "revisions": revisions})).unwrap();
        for (rev, ok) in [(json!("A"), false), (json!("C"), false), (Value::Null, false), (json!("B"), true)] {
            let id = planned(&mut w, json!({"product_rev": rev}));
            let r = w.planner("work-order.release", id, json!({}));
            if ok { drop(r.unwrap()) } else { assert_eq!(rule(r), "WO-06.R1", "{rev}") }
        }
        let id = planned(&mut w, json!({"product_rev": "B"}));
        let target = mw_contract::reference_id(mw_contract::ReferenceKind::Product, &"bracket-10".parse().unwrap());
        w.planner("reference.retire", target, json!({"kind": "product", "code": "bracket-10"})).unwrap();
        assert_eq!(rule(w.planner("work-order.release", id, json!({}))), "WO-06.R1");
    }

    #[test]
    fn wo_06_r2_every_operation_has_a_cell_or_a_class() {
        let mut w = World::new();
        let id = planned(
            &mut w,
            json!({"routing": [{"op": 10, "name": "a", "cell_class": "press"}, {"op": 20, "name": "b"}]}),
        );
        assert_eq!(detail(w.planner("work-order.release", id, json!({})), "operations"), json!([20]));
        assert_eq!(rule(w.planner("work-order.release", id, json!({}))), "WO-06.R2");
        let id = planned(
            &mut w,
            json!({"routing": [{"op": 10, "name": "a", "cell_class": "press"}, {"op": 20, "name": "b", "cell_id": "cell-1"}]}),
        );
        w.planner("work-order.release", id, json!({})).unwrap();
    }

    #[test]
    fn wo_06_r3_material_is_there_unless_a_shortage_is_allowed() {
        let mut w = World::new();
        let bom = json!([{"line_no": 1, "item_id": "motor", "qty_per_unit": "2", "scrap_factor_pct": "50"},
            {"line_no": 2, "item_id": "oil", "qty_per_unit": "0.1", "backflush": true}]);
        let id = planned(&mut w, json!({"bom": bom}));
        assert_eq!(rule(w.planner("work-order.release", id, json!({}))), "WO-06.R3");
        let refused = w.planner("work-order.release", id, json!({"allow_shortage": false}));
        assert_eq!(detail(refused, "shortages"), json!(["12 of motor"]));
        let d = w.planner("work-order.release", id, json!({"allow_shortage": true})).unwrap();
        assert_eq!(data(&d, 0)["shortages"], json!([{"line_no": 1, "item_id": "motor", "missing_qty": "12"}]));
        assert_eq!(w.order(id).shortages.len(), 1);
    }

    #[test]
    fn wo_06_a_line_lead_releases_where_the_site_says_so() {
        let mut w = World::new();
        let id = planned(&mut w, json!({}));
        let who = actor("lead-1", &[(Role::LineLead, Allowance::Setting)]);
        assert_eq!(code(w.run(&who, "work-order.release", id, json!({}))), ErrorCode::Forbidden);
        w.put("site", "plant-1", json!({"settings": {"line_lead_releases": true}})).unwrap();
        assert_eq!(w.run(&who, "work-order.release", id, json!({})).unwrap().role, Role::LineLead);
    }
}
