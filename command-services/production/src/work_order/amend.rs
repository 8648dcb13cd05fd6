//! WO-02 `work-order.amend`: header fields of an order that is not released yet.

use std::collections::BTreeMap;

use mw_contract::command::work_order::AmendWorkOrder;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::parts::ChangeV1;
use mw_contract::event::work_order::WorkOrderAmendedV1;
use mw_contract::{CommandType, Rejection};

use crate::facts::Production;
use crate::rules::{Case, Holds, authorise};
use crate::state::ProductionState;
use crate::work_order::create::{bom_copy, check_needs, routing_copy};

/// Decides WO-02.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &AmendWorkOrder,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let case = Case::open(facts, state, CommandType::WorkOrderAmend, ctx)?;
    let o = case.order;
    if p.product_id.as_ref().is_some_and(|x| *x != o.product_id) {
        return Err(Rejection::guard("WO-02.R1", "the product of an order never changes; make a new order")
            .at("payload.product_id"));
    }
    if o.material.lines.values().any(|l| !l.issued.is_zero()) {
        return Err(Rejection::guard("WO-02.R2", "material was issued for this order: make a new order instead"));
    }
    let mut changed = BTreeMap::new();
    let mut note = |field: &str, old: Option<String>, new: Option<String>| {
        if new.is_some() && new != old {
            changed.insert(field.to_owned(), ChangeV1 { old, new });
        }
    };
    note("product_rev", text(&o.product_rev), text(&p.product_rev));
    note("bom_ref", text(&o.bom_ref), text(&p.bom_ref));
    note("routing_ref", text(&o.routing_ref), text(&p.routing_ref));
    note("over_tolerance_pct", text(&Some(o.over_tolerance_pct)), text(&p.over_tolerance_pct));
    note("under_tolerance_pct", text(&Some(o.under_tolerance_pct)), text(&p.under_tolerance_pct));
    note("replace_scrap", text(&Some(o.replace_scrap)), text(&p.replace_scrap));
    note("sales_order_ref", text(&o.sales_order_ref), text(&p.sales_order_ref));
    note("customer_id", text(&o.customer_id), text(&p.customer_id));
    // Naming a document again takes its newest revision.
    let bom = p.bom_ref.as_ref().map(|c| bom_copy(facts, c, &o.product_id)).transpose()?.filter(|b| *b != o.bom);
    let routing =
        p.routing_ref.as_ref().map(|c| routing_copy(facts, c, &o.product_id)).transpose()?.filter(|r| *r != o.routing);
    check_needs(o.planned_qty, bom.as_deref().unwrap_or_default())?;
    if changed.is_empty() && bom.is_none() && routing.is_none() {
        return Err(Rejection::invalid("payload", "changes nothing: name at least one field with a new value"));
    }
    Ok(case.decided(role, vec![WorkOrderAmendedV1 { changed, bom, routing }.into()]))
}

fn text<T: std::fmt::Display>(v: &Option<T>) -> Option<String> {
    v.as_ref().map(T::to_string)
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, code, data, detail, e, names, rule};
    use mw_contract::ErrorCode;
    use serde_json::json;

    #[test]
    fn wo_02_r2_not_when_material_was_issued() {
        let mut w = World::new();
        let id = w.with_material(2);
        let lines = json!([{"line_no": 1, "qty": 2, "from_location": "store"}]);
        w.lead("work-order.issue-material", id, json!({"issue_id": e(1), "lines": lines})).unwrap();
        let back = json!({"return_id": e(2), "reason": "surplus", "lines": [{"line_no": 1, "qty": 2,
            "to_location": "store", "condition": "good"}]});
        w.lead("work-order.return-material", id, back).unwrap();
        w.planner("work-order.revoke-release", id, json!({"reason": "engineering_change"})).unwrap();
        assert_eq!(rule(w.planner("work-order.amend", id, json!({"sales_order_ref": "SO-9"}))), "WO-02.R2");
    }

    #[test]
    fn wo_02_changes_are_named_with_old_and_new_value_and_folded() {
        let mut w = World::new();
        let id = w.bracket(5);
        let d = w
            .planner(
                "work-order.amend",
                id,
                json!({"product_rev": "B", "over_tolerance_pct": "10", "under_tolerance_pct": "5", "replace_scrap": true,
                    "sales_order_ref": "SO-2", "customer_id": "acme", "product_id": "bracket-10"}),
            )
            .unwrap();
        assert_eq!(names(&d), ["WorkOrderAmended"]);
        let changed = &data(&d, 0)["changed"];
        assert_eq!(changed["over_tolerance_pct"], json!({"old": "0", "new": "10"}));
        assert_eq!(changed["product_rev"], json!({"old": null, "new": "B"}));
        assert_eq!(changed["replace_scrap"], json!({"old": "false", "new": "true"}));
        assert_eq!(changed.as_object().unwrap().len(), 6);
        let o = w.order(id);
        assert_eq!(o.product_rev.as_ref().unwrap().as_str(), "B");
        assert_eq!((o.over_tolerance_pct.to_string(), o.under_tolerance_pct.to_string()), ("10".into(), "5".into()));
        assert!(o.replace_scrap);
        assert_eq!(o.sales_order_ref.as_ref().unwrap().as_str(), "SO-2");
        assert_eq!(o.customer_id.as_ref().unwrap().as_str(), "acme");
    }

    #[test]
    fn wo_02_a_named_document_is_copied_anew() {
        let mut w = World::new();
        let id = w.pump(5);
        w.put("routing", "short", json!({"operations": [{"op": 30, "name": "all", "cell_id": "cell-1"}]})).unwrap();
        w.put("bom", "parts", json!({"lines": [{"line_no": 1, "item_id": "motor", "qty_per_unit": "2"}]})).unwrap();
        w.planner("work-order.amend", id, json!({"routing_ref": "short", "bom_ref": "parts"})).unwrap();
        let o = w.order(id);
        assert_eq!(o.operations.iter().map(|x| x.op).collect::<Vec<_>>(), [30]);
        assert_eq!((o.bom.len(), o.routing.len()), (1, 1));
        assert_eq!(o.routing_ref.as_ref().unwrap().as_str(), "short");
        assert_eq!(o.bom_ref.as_ref().unwrap().as_str(), "parts");
        // The same code again, with a newer revision behind it.
        w.put("bom", "parts", json!({"lines": [{"line_no": 1, "item_id": "motor", "qty_per_unit": "3"}]})).unwrap();
        let d = w.planner("work-order.amend", id, json!({"bom_ref": "parts"})).unwrap();
        assert_eq!(code(w.planner("work-order.amend", id, json!({"bom_ref": "parts"}))), ErrorCode::Validation);
        assert_eq!(data(&d, 0)["bom"][0]["qty_per_unit"], "3");
        assert!(data(&d, 0)["routing"].is_null());
        w.put("bom", "parts", json!({"lines": [{"line_no": 1, "item_id": "a", "qty_per_unit": "999999999999999999"}]}))
            .unwrap();
        assert_eq!(code(w.planner("work-order.amend", id, json!({"bom_ref": "parts"}))), ErrorCode::Validation);
        assert_eq!(code(w.planner("work-order.amend", id, json!({"bom_ref": "none"}))), ErrorCode::NotFound);
    }

    #[test]
    fn wo_02_r1_the_product_never_changes() {
        let mut w = World::new();
        let id = w.bracket(5);
        let other = json!({"product_id": "pump-200", "product_rev": "B"});
        assert_eq!(rule(w.planner("work-order.amend", id, other)), "WO-02.R1");
    }

    #[test]
    fn wo_02_what_changes_nothing_is_refused() {
        let mut w = World::new();
        let id = w.pump(5);
        for nothing in [json!({}), json!({"replace_scrap": false}), json!({"routing_ref": "pump-200"})] {
            assert_eq!(detail(w.planner("work-order.amend", id, nothing), "fields")[0]["field"], "payload");
        }
    }
}
