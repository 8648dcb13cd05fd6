//! WO-11 `work-order.split`: parts of an order become orders of their own. The new orders are made
//! by a process manager; this one keeps the rest.

use std::collections::BTreeSet;

use mw_contract::command::work_order::SplitWorkOrder;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::parts::{RequiredMaterialV1, SplitPartV1};
use mw_contract::event::work_order::{WorkOrderQuantityChangedV1, WorkOrderSplitV1};
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, Qty, Rejection, Sealed, Text};

use crate::facts::Production;
use crate::rules::{Case, Holds, all_valid, authorise, check_qty, exists, need_reason};
use crate::state::{Operation, ProductionState, required};

/// The most parts that are split off at once.
const MOST_PARTS: usize = 20;

/// Decides WO-11.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &SplitWorkOrder,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let case = Case::open(facts, state, CommandType::WorkOrderSplit, ctx)?;
    let order = case.order;
    if !(1..=MOST_PARTS).contains(&p.parts.len()) {
        return Err(Rejection::invalid("payload.parts", format!("name 1 to {MOST_PARTS} parts")));
    }
    let mut errors = Vec::new();
    for (i, part) in p.parts.iter().enumerate() {
        check_qty(&mut errors, order.uom.is_piece(), &format!("payload.parts[{i}].qty"), part.qty);
    }
    all_valid(errors)?;
    let (reason, _) = need_reason(facts, catalogues::CHANGE, p.reason.as_ref(), p.note.as_ref())?;
    let processed = order.operations.iter().map(Operation::processed).max().unwrap_or(Qty::ZERO);
    let free = order.planned_qty.less(processed);
    let (mut ids, mut serials) = (BTreeSet::from([order.id]), BTreeSet::new());
    for (i, part) in p.parts.iter().enumerate() {
        let field = |name: &str| format!("payload.parts[{i}].{name}");
        if part.qty.is_zero() || part.qty > free {
            let message =
                format!("{processed} pieces went through an operation: a part takes 1 to {free} of the others");
            return Err(Rejection::guard("WO-11.R2", message).at(field("qty")).with("max_allowed", free.to_string()));
        }
        if !ids.insert(part.work_order_id) || facts.order_state(part.work_order_id).is_some() {
            return Err(
                exists(format!("work order {} is there already", part.work_order_id)).at(field("work_order_id"))
            );
        }
        if let Some(line) = part.line_id.as_ref().filter(|l| facts.line_at(&order.site_id, l).is_none()) {
            let message = format!("{} has no line {line} in use", order.site_id);
            return Err(Rejection::not_found(message).at(field("line_id")));
        }
        let named: &[Text<60>] = part.serials.as_deref().unwrap_or_default();
        if let Some(s) = named.iter().find(|s| !order.free_serials.contains(*s) || !serials.insert((*s).clone())) {
            let message = format!("serial {s} is not set aside here, is borne by a unit, or is named twice");
            return Err(Rejection::guard("WO-11.R3", message).at(field("serials")));
        }
        if Qty::whole(u32::try_from(named.len()).unwrap_or(u32::MAX)) > part.qty {
            let message = format!("{} serial numbers are more than {} pieces bear", named.len(), part.qty);
            return Err(Rejection::guard("WO-11.R3", message).at(field("serials")));
        }
    }
    let sum: Qty = p.parts.iter().map(|x| x.qty).sum();
    let rest = order.planned_qty.less(sum);
    if sum >= order.planned_qty || rest < processed {
        let message =
            format!("the parts take {sum} of {}, and {processed} went through an operation", order.planned_qty);
        return Err(Rejection::guard("WO-11.R1", message).with("max_allowed", free.to_string()));
    }
    let stay = order.serials_in_use().less(Qty::whole(u32::try_from(serials.len()).unwrap_or(u32::MAX)));
    if stay > rest.plus_percent(order.over_tolerance_pct) {
        let message = format!("{stay} serial numbers would stay for {rest} pieces: let some move, or void them");
        return Err(Rejection::guard("WO-11.R3", message).with("allocated", stay.to_string()));
    }
    let parts = p.parts.iter().map(|x| SplitPartV1 {
        work_order_id: x.work_order_id,
        qty: x.qty,
        due_at: x.due_at.unwrap_or(order.due_at),
        line_id: x.line_id.clone().or_else(|| order.line_id.clone()),
        serials: x.serials.clone().unwrap_or_default(),
    });
    let split = WorkOrderSplitV1 {
        parts: parts.collect(),
        remaining_qty: rest,
        reason: reason.clone(),
        note: p.note.as_ref().map(Sealed::plain),
    };
    let required_materials = order.bom.iter().filter_map(|l| {
        Some(RequiredMaterialV1 { line_no: l.line_no, item_id: l.item_id.clone(), required: required(rest, l)? })
    });
    let changed = WorkOrderQuantityChangedV1 {
        old_qty: order.planned_qty,
        new_qty: rest,
        reason: reason.clone(),
        required_materials: required_materials.collect(),
        note: None,
    };
    Ok(case.decided(role, vec![split.into(), changed.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, code, data, detail, id, lead, names, rule};
    use mw_contract::{AggregateId, ErrorCode};
    use serde_json::{Value, json};

    fn split(parts: Value) -> Value {
        json!({"parts": parts, "reason": "no_capacity"})
    }

    fn part(n: u128, qty: u32) -> Value {
        json!({"work_order_id": id(n), "qty": qty})
    }

    fn made(w: &mut World, planned: u32, good: u32) -> AggregateId {
        let order = w.running_bracket(planned);
        w.good(order, 10, good);
        order
    }

    #[test]
    fn wo_11_r1_the_rest_is_at_least_what_was_made() {
        let mut w = World::new();
        let order = made(&mut w, 10, 4);
        let all = split(json!([part(901, 4), part(902, 3)]));
        let refused = w.planner("work-order.split", order, all);
        assert_eq!(detail(refused.clone(), "max_allowed"), "6");
        assert_eq!(rule(refused), "WO-11.R1");
        for bad in [json!([]), Value::Array((0..21).map(|n| part(900 + n, 1)).collect()), json!([part(901, 1)])] {
            let mut p = split(bad.clone());
            if bad.as_array().unwrap().len() == 1 {
                p["parts"][0]["qty"] = json!("0.5");
            }
            assert_eq!(code(w.planner("work-order.split", order, p)), ErrorCode::Validation);
        }
        let d = w.planner("work-order.split", order, split(json!([part(901, 2), part(902, 3)]))).unwrap();
        assert_eq!(names(&d), ["WorkOrderSplit", "WorkOrderQuantityChanged"]);
        assert_eq!((&data(&d, 0)["remaining_qty"], &data(&d, 1)["new_qty"]), (&json!("5"), &json!("5")));
        assert_eq!(data(&d, 0)["parts"][0]["line_id"], "line-1");
        assert_eq!(w.order(order).planned_qty.to_string(), "5");
        // Never all of it, also where nothing was made.
        let order = w.bracket(3);
        w.release(order);
        assert_eq!(rule(w.planner("work-order.split", order, split(json!([part(903, 3)])))), "WO-11.R1");
    }

    #[test]
    fn wo_11_r2_a_part_takes_only_what_nobody_worked_on() {
        let mut w = World::new();
        let order = made(&mut w, 10, 4);
        for qty in [0, 7] {
            assert_eq!(rule(w.planner("work-order.split", order, split(json!([part(901, qty)])))), "WO-11.R2");
        }
        let other = w.bracket(1);
        for taken in [order, other] {
            let p = split(json!([{"work_order_id": taken, "qty": 1}]));
            assert_eq!(code(w.planner("work-order.split", order, p)), ErrorCode::AlreadyExists);
        }
        let twice = split(json!([part(901, 1), part(901, 1)]));
        assert_eq!(code(w.planner("work-order.split", order, twice)), ErrorCode::AlreadyExists);
        let line = split(json!([{"work_order_id": id(901), "qty": 1, "line_id": "line-9"}]));
        assert_eq!(code(w.planner("work-order.split", order, line)), ErrorCode::NotFound);
    }

    #[test]
    fn wo_11_r3_unused_serials_move_with_a_part_and_are_the_childs() {
        let mut w = World::new();
        let order = w.pump(4);
        w.release(order);
        w.planner("work-order.allocate-serials", order, json!({"serials": ["A", "B", "C", "D"]})).unwrap();
        let with = |serials: Value| split(json!([{"work_order_id": id(901), "qty": 2, "serials": serials}]));
        for bad in [json!(["X", "C"]), json!(["C", "C"]), json!(["B", "C", "D"]), json!([])] {
            assert_eq!(rule(w.planner("work-order.split", order, with(bad))), "WO-11.R3");
        }
        w.planner("work-order.split", order, with(json!(["C", "D"]))).unwrap();
        assert_eq!(w.order(order).free_serials.len(), 2);
        // Nobody else can have them before the child is there.
        let other = w.pump(4);
        w.release(other);
        assert!(w.planner("work-order.allocate-serials", other, json!({"serials": ["C"]})).is_err());
        let d = w.planner("work-order.create", id(901), World::create_payload("pump-200", 2)).unwrap();
        assert_eq!(names(&d), ["WorkOrderCreated", "SerialsAllocated"]);
        assert_eq!(w.order(id(901)).free_serials.len(), 2);
        // They are the child's to use.
        w.release(id(901));
        w.start(&lead(), id(901), 10, "cell-1");
        let unit = json!({"serial": "C", "op": 20, "result": "good"});
        w.lead("work-order.register-unit", id(901), unit).unwrap();
        assert_eq!(w.order(id(901)).free_serials.len(), 1);
    }
}
