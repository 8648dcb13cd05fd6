//! WO-18 `work-order.close`: reconciled and frozen.

use mw_contract::command::work_order::CloseWorkOrder;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::parts::{MaterialTotalsV1, OperationTotalsV1};
use mw_contract::event::work_order::WorkOrderClosedV1;
use mw_contract::{CommandType, Qty, Rejection, Role, Sealed, Seconds};

use crate::facts::Production;
use crate::rules::{Case, Holds, authorise, authorise_if, settings};
use crate::state::{ProductionState, WorkOrder};
use crate::times;
use crate::work_order::complete::consumed;

/// Decides WO-18.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &CloseWorkOrder,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let case = Case::open(facts, state, CommandType::WorkOrderClose, ctx)?;
    let order = case.order;
    let hours = i64::from(settings(facts, ctx).late_window_hours);
    let window_ends = order.actual_end.map(|end| end.plus_millis(hours * 3_600_000));
    let over = window_ends.is_none_or(|end| ctx.occurred_at >= end);
    let (role, forced) = match over {
        true => (role, false),
        false if p.force == Some(true) && ctx.actor.has(Role::Admin) => {
            (authorise_if(ctx, Holds::default(), |r| r == Role::Admin)?, true)
        }
        false => {
            let until = window_ends.map(|w| w.to_string()).unwrap_or_default();
            let message = format!("late reports may come in until {until}: wait, or let an admin close with force");
            return Err(Rejection::guard("WO-18.R1", message).with("late_until", until));
        }
    };
    let operations = operation_totals(order);
    let sum = |f: fn(&OperationTotalsV1) -> u64| Seconds(operations.iter().map(f).fold(0, u64::saturating_add));
    let closed = WorkOrderClosedV1 {
        good: order.produced_good(),
        scrap: order.scrap_total(),
        materials: material_totals(order),
        labour: sum(|o| o.labour_time.0),
        machine: sum(|o| o.run_time.0.saturating_add(o.setup_time.0)),
        operations,
        forced,
        note: p.note.as_ref().map(Sealed::plain),
    };
    Ok(case.decided(role, vec![closed.into()]))
}

fn operation_totals(order: &WorkOrder) -> Vec<OperationTotalsV1> {
    let until = order.actual_end.unwrap_or(order.created_at);
    let total = |o: &crate::state::Operation| {
        let t = times::of(order, o.op, until);
        OperationTotalsV1 {
            op: o.op,
            good: o.good,
            scrap: o.scrap,
            run_time: t.run,
            setup_time: t.setup,
            labour_time: t.labour,
        }
    };
    order.operations.iter().map(total).collect()
}

/// Nothing can be issued or returned yet; backflush consumes.
fn material_totals(order: &WorkOrder) -> Vec<MaterialTotalsV1> {
    let total = |l: &mw_contract::event::parts::BomLineV1| MaterialTotalsV1 {
        line_no: l.line_no,
        item_id: l.item_id.clone(),
        issued: Qty::ZERO,
        returned: Qty::ZERO,
        consumed: consumed(order, l),
    };
    order.bom.iter().map(total).collect()
}

#[cfg(test)]
mod tests {
    use crate::fixture::{HOUR, MINUTE, World, actor, admin, data, names, operator, planner, rule};
    use mw_contract::decide::Allowance;
    use mw_contract::{Role, WorkOrderState};
    use serde_json::json;

    #[test]
    fn wo_18_r1_the_late_window_is_over_or_an_admin_forces_it() {
        let mut w = World::new();
        let id = w.completed_bracket(5);
        let done = w.now;
        let force = json!({"force": true});
        assert_eq!(rule(w.ask_at(done, &planner(), "work-order.close", id, json!({}))), "WO-18.R1");
        assert_eq!(rule(w.ask_at(done, &planner(), "work-order.close", id, force.clone())), "WO-18.R1");
        assert_eq!(rule(w.ask_at(done, &admin(), "work-order.close", id, json!({}))), "WO-18.R1");
        let d = w.ask_at(done, &admin(), "work-order.close", id, force.clone()).unwrap();
        assert_eq!((d.role, &data(&d, 0)["forced"]), (Role::Admin, &json!(true)));
        let both = actor("x", &[(Role::Planner, Allowance::Yes), (Role::Admin, Allowance::Yes)]);
        assert_eq!(w.ask_at(done, &both, "work-order.close", id, force.clone()).unwrap().role, Role::Admin);
        assert_eq!(
            rule(w.ask_at(done.plus_millis(24 * HOUR - 1), &planner(), "work-order.close", id, json!({}))),
            "WO-18.R1"
        );
        let d = w.ask_at(done.plus_millis(24 * HOUR), &both, "work-order.close", id, force).unwrap();
        assert_eq!((d.role, &data(&d, 0)["forced"]), (Role::Planner, &json!(false)));
        w.put("site", "plant-1", json!({"settings": {"late_window_hours": 2}})).unwrap();
        w.ask_at(done.plus_millis(2 * HOUR), &planner(), "work-order.close", id, json!({})).unwrap();
    }

    #[test]
    fn wo_18_sums_up_operations_and_materials() {
        let mut w = World::new();
        let bom = json!([{"line_no": 1, "item_id": "oil", "qty_per_unit": "0.5", "backflush": true}]);
        let id = w.bracket_with(4, json!({"bom": bom}));
        w.release(id);
        let setup = json!({"op": 10, "session_id": crate::fixture::e(900), "cell_id": "cell-1", "kind": "setup"});
        w.lead("work-order.start-operation", id, setup).unwrap();
        w.later(10 * MINUTE);
        let pause = json!({"op": 10, "session_id": crate::fixture::e(900), "reason": "setup"});
        w.lead("work-order.pause-operation", id, pause).unwrap();
        w.start(&operator("operator-1"), id, 10, "cell-1");
        w.later(10 * MINUTE);
        w.start(&operator("operator-2"), id, 10, "cell-2");
        w.later(20 * MINUTE);
        w.good(id, 10, 4);
        w.finish_op(id, 10);
        w.lead("work-order.complete", id, json!({})).unwrap();
        let d = w.run(&admin(), "work-order.close", id, json!({"force": true, "note": "n"})).unwrap();
        assert_eq!(names(&d), ["WorkOrderClosed"]);
        let x = data(&d, 0);
        assert_eq!((&x["good"], &x["scrap"], &x["note"]), (&json!("4"), &json!("0"), &json!("n")));
        assert_eq!(
            x["operations"],
            json!([{"op": 10, "good": "4", "scrap": "0", "run_time": 1800, "setup_time": 600, "labour_time": 3600}])
        );
        assert_eq!((&x["labour"], &x["machine"]), (&json!(3600), &json!(2400)));
        assert_eq!(
            x["materials"],
            json!([{"line_no": 1, "item_id": "oil", "issued": "0", "returned": "0", "consumed": "2"}])
        );
        let o = w.order(id);
        assert_eq!((o.state, o.closed_at), (WorkOrderState::Closed, Some(w.now)));
    }
}
