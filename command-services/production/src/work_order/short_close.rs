//! WO-17 `work-order.short-close`: ended before all pieces were made.

use mw_contract::command::work_order::ShortCloseWorkOrder;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::work_order::{WorkOrderCompletedV1, WorkOrderShortClosedV1};
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, PauseCause, Qty, Rejection, Remainder, Role, Sealed};

use crate::facts::Production;
use crate::rules::{Case, Holds, agreed, authorise, exists, need_reason};
use crate::state::{Operation, ProductionState};
use crate::work_order::complete;

/// Decides WO-17. A line lead needs a planner who agrees.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &ShortCloseWorkOrder,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    match (p.remainder, p.new_work_order_id) {
        (Remainder::NewOrder, None) => {
            return Err(Rejection::invalid("payload.new_work_order_id", "is required with remainder new_order"));
        }
        (Remainder::Drop, Some(_)) => {
            return Err(Rejection::invalid("payload.new_work_order_id", "belongs to remainder new_order"));
        }
        _ => {}
    }
    let second = agreed(ctx, p.approver.as_ref(), &[Role::Planner, Role::Admin])?;
    let role = authorise(ctx, Holds { second, ..Holds::default() })?;
    let case = Case::open(facts, state, CommandType::WorkOrderShortClose, ctx)?;
    let order = case.order;
    let (reason, _) = need_reason(facts, catalogues::CANCEL, p.reason.as_ref(), p.note.as_ref())?;
    if p.new_work_order_id.is_some_and(|n| n == order.id || facts.order_state(n).is_some()) {
        return Err(exists("there is an order of that id already").at("payload.new_work_order_id"));
    }
    let processed: Qty = order.operations.iter().map(Operation::processed).sum();
    if processed.is_zero() {
        return Err(Rejection::guard("WO-17.R1", "no piece was reported on this order: cancel it instead"));
    }
    // What waits for rework may be settled by a nonconformance; others are settled before.
    let open: Qty = order.quality.open_ncrs().map(|(_, n)| n.qty).sum();
    if order.rework_open() > open {
        let message = "pieces still wait for rework: report what became of them, or raise a nonconformance";
        return Err(Rejection::guard("WO-17.R2", message).with("rework_open", order.rework_open().to_string()));
    }
    if open > order.rework_open() {
        let message = "close the nonconformances of this order first";
        return Err(Rejection::guard("WO-17.R3", message));
    }
    complete::check_inspections(order, "WO-17.R3")?;
    complete::check_tracking(order, "WO-17.R3")?;
    complete::check_end(order, ctx)?;
    let mut events = case.end_sessions(order.sessions(), PauseCause::ShortClose)?;
    let (good, scrap) = (order.produced_good(), order.scrap_total());
    events.push(
        WorkOrderShortClosedV1 {
            planned_qty: order.planned_qty,
            good,
            scrap,
            dropped_qty: order.planned_qty - good,
            reason: reason.clone(),
            remainder: p.remainder,
            new_work_order_id: p.new_work_order_id,
            approver: p.approver.clone(),
            note: p.note.as_ref().map(Sealed::plain),
        }
        .into(),
    );
    let completed = complete::completed(order, ctx);
    events.push(WorkOrderCompletedV1 { short_closed: true, ..completed }.into());
    Ok(case.decided(role, events))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, actor, code, data, e, lead, names, operator, planner, rule};
    use mw_contract::decide::Allowance;
    use mw_contract::{AggregateId, ErrorCode, Role, WorkOrderState};
    use serde_json::json;

    fn made(w: &mut World, good: u32, scrap: u32) -> AggregateId {
        let id = w.running_bracket(100);
        let p = json!({"op": 10, "report_id": e(1), "good": good, "scrap": [{"qty": scrap, "reason": "surface"}]});
        w.lead("work-order.report-quantity", id, p).unwrap();
        id
    }

    fn drop_rest() -> serde_json::Value {
        json!({"reason": "no_demand", "remainder": "drop"})
    }

    #[test]
    fn wo_17_r1_something_was_made() {
        let mut w = World::new();
        let id = w.running_bracket(100);
        assert_eq!(rule(w.planner("work-order.short-close", id, drop_rest())), "WO-17.R1");
        // Golden scenario 11.
        let id = made(&mut w, 64, 3);
        w.start(&operator("operator-1"), id, 10, "cell-2");
        w.later(5_000);
        let d = w.planner("work-order.short-close", id, drop_rest()).unwrap();
        assert_eq!(names(&d), ["OperationPaused", "OperationPaused", "WorkOrderShortClosed", "WorkOrderCompleted"]);
        assert_eq!(data(&d, 0)["cause"], "short_close");
        let x = data(&d, 2);
        assert_eq!((&x["good"], &x["scrap"], &x["dropped_qty"]), (&json!("64"), &json!("3"), &json!("36")));
        assert_eq!((&data(&d, 3)["short_closed"], &data(&d, 3)["good"]), (&json!(true), &json!("64")));
        let o = w.order(id);
        assert_eq!((o.state, o.short_closed, o.actual_end), (WorkOrderState::Completed, true, Some(w.now)));
    }

    #[test]
    fn wo_17_r2_nothing_waits_for_rework() {
        let mut w = World::new();
        let id = made(&mut w, 5, 1);
        let p = json!({"op": 10, "report_id": e(2), "rework": [{"qty": 1, "reason": "surface"}]});
        w.lead("work-order.report-quantity", id, p).unwrap();
        assert_eq!(rule(w.planner("work-order.short-close", id, drop_rest())), "WO-17.R2");
        let p = json!({"op": 10, "report_id": e(3), "source": "rework", "good": 1});
        w.lead("work-order.report-quantity", id, p).unwrap();
        w.lead("work-order.hold", id, json!({"reason": "quality_hold"})).unwrap();
        w.planner("work-order.short-close", id, drop_rest()).unwrap();
        assert!(w.order(id).hold.is_none());
    }

    #[test]
    fn wo_17_r3_units_and_inspections_of_what_was_made_are_there() {
        let mut w = World::new();
        let id = w.pump(5);
        w.release(id);
        w.start(&lead(), id, 10, "cell-1");
        w.good(id, 10, 5);
        w.finish_op(id, 10);
        w.start(&lead(), id, 20, "cell-2");
        w.good(id, 20, 1);
        assert_eq!(rule(w.planner("work-order.short-close", id, drop_rest())), "WO-17.R3");
        let unit = json!({"serial": "S-1", "op": 20, "result": "good"});
        w.lead("work-order.register-unit", id, unit).unwrap();
        w.planner("work-order.short-close", id, drop_rest()).unwrap();
    }

    #[test]
    fn wo_17_the_rest_goes_to_a_new_order_or_nowhere() {
        let mut w = World::new();
        let id = made(&mut w, 5, 1);
        let new = "00000000-0000-0000-0000-00000000ffff";
        for bad in [
            json!({"reason": "no_demand", "remainder": "new_order"}),
            json!({"reason": "no_demand", "remainder": "drop", "new_work_order_id": new}),
            json!({"reason": "no_demand"}),
        ] {
            assert_eq!(code(w.planner("work-order.short-close", id, bad)), ErrorCode::Validation);
        }
        let taken = w.bracket(1);
        for there in [taken, id] {
            let p = json!({"reason": "no_demand", "remainder": "new_order", "new_work_order_id": there});
            assert_eq!(code(w.planner("work-order.short-close", id, p)), ErrorCode::AlreadyExists);
        }
        assert_eq!(
            code(w.planner("work-order.short-close", id, json!({"remainder": "drop"}))),
            ErrorCode::ReasonRequired
        );
        let p = json!({"reason": "no_demand", "remainder": "new_order", "new_work_order_id": new});
        let d = w.planner("work-order.short-close", id, p).unwrap();
        assert_eq!(data(&d, 1)["new_work_order_id"], new);
    }

    #[test]
    fn wo_17_a_line_lead_needs_a_planner_who_agrees() {
        let mut w = World::new();
        let id = made(&mut w, 5, 1);
        let who = actor("lead-1", &[(Role::LineLead, Allowance::FourEyes)]);
        let with = |approver: &str| json!({"reason": "no_demand", "remainder": "drop", "approver": approver});
        assert_eq!(code(w.ask(&who, "work-order.short-close", id, drop_rest())), ErrorCode::Forbidden);
        for no in ["lead-1", "operator-1", "nobody", "planner-elsewhere"] {
            assert_eq!(code(w.ask(&who, "work-order.short-close", id, with(no))), ErrorCode::Forbidden, "{no}");
        }
        let d = w.ask(&who, "work-order.short-close", id, with("planner-1")).unwrap();
        assert_eq!((d.role, &data(&d, 1)["approver"]), (Role::LineLead, &json!("planner-1")));
        // A planner who names himself is told so, and needs nobody.
        assert_eq!(code(w.ask(&planner(), "work-order.short-close", id, with("planner-1"))), ErrorCode::Forbidden);
        w.ask(&planner(), "work-order.short-close", id, drop_rest()).unwrap();
    }

    #[test]
    fn wo_17_no_session_ends_before_it_began() {
        let mut w = World::new();
        let id = made(&mut w, 5, 1);
        assert_eq!(rule(w.run_at(w.now.plus_millis(-1), &planner(), "work-order.short-close", id, drop_rest())), "G3");
    }
}
