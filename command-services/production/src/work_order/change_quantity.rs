//! WO-08 `work-order.change-quantity`: more or fewer pieces.

use mw_contract::command::work_order::ChangeQuantity;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::parts::RequiredMaterialV1;
use mw_contract::event::work_order::WorkOrderQuantityChangedV1;
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, Qty, Rejection, Sealed};

use crate::facts::Production;
use crate::invariants::most_pieces;
use crate::rules::{Case, Holds, all_valid, authorise, check_qty, need_reason};
use crate::state::{Operation, ProductionState, required};

/// Decides WO-08.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &ChangeQuantity,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let case = Case::open(facts, state, CommandType::WorkOrderChangeQuantity, ctx)?;
    let order = case.order;
    let mut errors = Vec::new();
    check_qty(&mut errors, order.uom.is_piece(), "payload.new_qty", p.new_qty);
    all_valid(errors)?;
    let (reason, _) = need_reason(facts, catalogues::CHANGE, p.reason.as_ref(), p.note.as_ref())?;
    if p.new_qty.is_zero() {
        return Err(Rejection::guard("WO-08.R1", "new_qty must be over 0: cancel the order instead"));
    }
    let processed = order.operations.iter().map(Operation::processed).max().unwrap_or(Qty::ZERO);
    if processed > most_pieces(order, p.new_qty) {
        return Err(Rejection::guard("WO-08.R2", format!("{processed} pieces went through an operation already"))
            .with("processed", processed.to_string()));
    }
    let bearing = order.serials_in_use();
    if bearing > p.new_qty.plus_percent(order.over_tolerance_pct) {
        return Err(Rejection::guard("WO-08.R3", format!("{bearing} serial numbers are set aside: void some first"))
            .with("allocated", bearing.to_string()));
    }
    let mut required_materials = Vec::new();
    for line in &order.bom {
        let Some(required) = required(p.new_qty, line) else {
            return Err(Rejection::invalid("payload.new_qty", "needs more of the BOM than a quantity can say"));
        };
        let item_id = line.item_id.clone();
        required_materials.push(RequiredMaterialV1 { line_no: line.line_no, item_id, required });
    }
    let changed = WorkOrderQuantityChangedV1 {
        old_qty: order.planned_qty,
        new_qty: p.new_qty,
        reason: reason.clone(),
        required_materials,
        note: p.note.as_ref().map(Sealed::plain),
    };
    Ok(case.decided(role, vec![changed.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, code, data, detail, e, lead, names, planner, rule};
    use mw_contract::decide::Decision;
    use mw_contract::{AggregateId, ErrorCode, Rejection};
    use serde_json::json;

    fn to(w: &mut World, id: AggregateId, n: &str) -> Result<Decision, Rejection> {
        w.planner("work-order.change-quantity", id, json!({"new_qty": n, "reason": "customer_request"}))
    }

    #[test]
    fn wo_08_r1_at_least_one_and_whole_for_pieces() {
        let mut w = World::new();
        let bom = json!([{"line_no": 1, "item_id": "oil", "qty_per_unit": "0.5", "backflush": true}]);
        let id = w.bracket_with(5, json!({"bom": bom}));
        assert_eq!(rule(to(&mut w, id, "0")), "WO-08.R1");
        assert_eq!(code(to(&mut w, id, "1.5")), ErrorCode::Validation);
        let no_reason = w.planner("work-order.change-quantity", id, json!({"new_qty": 1}));
        assert_eq!(code(no_reason), ErrorCode::ReasonRequired);
        let d = to(&mut w, id, "7").unwrap();
        assert_eq!(names(&d), ["WorkOrderQuantityChanged"]);
        let x = data(&d, 0);
        assert_eq!((&x["old_qty"], &x["new_qty"]), (&json!("5"), &json!("7")));
        assert_eq!(x["required_materials"], json!([{"line_no": 1, "item_id": "oil", "required": "3.5"}]));
        assert_eq!(w.order(id).planned_qty.to_string(), "7");
        let bom = json!([{"line_no": 1, "item_id": "oil", "qty_per_unit": "900000000000", "backflush": true}]);
        let id = w.bracket_with(5, json!({"bom": bom}));
        assert_eq!(code(to(&mut w, id, "99999999999")), ErrorCode::Validation);
    }

    #[test]
    fn wo_08_r2_not_below_what_went_through_an_operation() {
        let mut w = World::new();
        let id = w.bracket_with(10, json!({"over_tolerance_pct": 50}));
        w.release(id);
        w.start(&lead(), id, 10, "cell-1");
        let p = json!({"op": 10, "report_id": e(1), "good": 3, "scrap": [{"qty": 2, "reason": "surface"}],
            "rework": [{"qty": 1, "reason": "surface"}]});
        w.lead("work-order.report-quantity", id, p).unwrap();
        let refused = to(&mut w, id, "3");
        assert_eq!(detail(refused.clone(), "processed"), "6");
        assert_eq!(rule(refused), "WO-08.R2");
        // 4 and half of them more.
        to(&mut w, id, "4").unwrap();
    }

    #[test]
    fn wo_08_r2_replaced_scrap_is_not_in_the_way() {
        let mut w = World::new();
        let id = w.bracket_with(10, json!({"replace_scrap": true}));
        w.release(id);
        w.start(&lead(), id, 10, "cell-1");
        let p = json!({"op": 10, "report_id": e(1), "good": 3, "scrap": [{"qty": 4, "reason": "surface"}]});
        w.lead("work-order.report-quantity", id, p).unwrap();
        assert_eq!(rule(to(&mut w, id, "2")), "WO-08.R2");
        to(&mut w, id, "3").unwrap();
    }

    #[test]
    fn wo_08_r3_serials_above_it_are_voided_first() {
        let mut w = World::new();
        let id = w.pump(5);
        w.release(id);
        w.planner("work-order.allocate-serials", id, json!({"serials": ["A", "B", "C"]})).unwrap();
        let refused = to(&mut w, id, "2");
        assert_eq!(detail(refused.clone(), "allocated"), "3");
        assert_eq!(rule(refused), "WO-08.R3");
        to(&mut w, id, "3").unwrap();
        assert_eq!(rule(w.ask(&planner(), "work-order.allocate-serials", id, json!({"serials": ["D"]}))), "WO-39.R2");
    }

    #[test]
    fn wo_08_the_plan_weighs_the_new_quantity() {
        let mut w = World::new();
        let (id, other) = (w.pump(4), w.pump(4));
        w.planner("work-order.plan", id, World::plan_payload()).unwrap();
        let warnings =
            |w: &World| w.ask(&planner(), "work-order.plan", other, World::plan_payload()).unwrap().warnings.len();
        assert_eq!(warnings(&w), 0);
        to(&mut w, id, "100000").unwrap();
        assert_eq!(warnings(&w), 1);
    }
}
