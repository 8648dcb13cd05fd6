//! WO-19 `work-order.cancel`: ended without production, in one command from any open state.

use mw_contract::command::work_order::CancelWorkOrder;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::work_order::WorkOrderCancelledV1;
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, PauseCause, Qty, Rejection, Sealed};

use crate::facts::Production;
use crate::rules::{Case, Holds, authorise, need_reason};
use crate::state::{Operation, ProductionState};

/// Decides WO-19. R3: whoever is at work stops at the time of the cancellation.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &CancelWorkOrder,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let case = Case::open(facts, state, CommandType::WorkOrderCancel, ctx)?;
    let (reason, _) = need_reason(facts, catalogues::CANCEL, p.reason.as_ref(), p.note.as_ref())?;
    let reported: Qty = case.order.operations.iter().map(Operation::processed).sum();
    if !reported.is_zero() {
        return Err(Rejection::guard("WO-19.R1", "pieces were reported on this order: short-close it instead")
            .with("reported", reported.to_string()));
    }
    if case.order.material.anything_out() {
        return Err(Rejection::guard("WO-19.R2", "material of the order is on the floor: return it first"));
    }
    let mut events = case.end_sessions(case.order.sessions(), PauseCause::OrderCancelled)?;
    let note = p.note.as_ref().map(Sealed::plain);
    events.push(WorkOrderCancelledV1 { reason: reason.clone(), note }.into());
    Ok(case.decided(role, events))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, code, data, e, names, planner, rule};
    use mw_contract::ErrorCode;
    use serde_json::json;

    #[test]
    fn wo_19_r1_nothing_was_reported() {
        let mut w = World::new();
        for part in [
            json!({"good": 1}),
            json!({"scrap": [{"qty": 1, "reason": "surface"}]}),
            json!({"rework": [{"qty": 1, "reason": "surface"}]}),
        ] {
            let id = w.running_bracket(5);
            let mut p = json!({"op": 10, "report_id": e(1)});
            p.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
            w.lead("work-order.report-quantity", id, p).unwrap();
            assert_eq!(rule(w.planner("work-order.cancel", id, json!({"reason": "no_demand"}))), "WO-19.R1");
        }
    }

    #[test]
    fn wo_19_r2_issued_material_goes_back_first() {
        let mut w = World::new();
        let id = w.with_material(2);
        let lines = json!([{"line_no": 1, "qty": 2, "from_location": "store"}]);
        w.lead("work-order.issue-material", id, json!({"issue_id": e(1), "lines": lines})).unwrap();
        let cancel = json!({"reason": "no_demand"});
        assert_eq!(rule(w.planner("work-order.cancel", id, cancel.clone())), "WO-19.R2");
        let back = |n: u128, qty: u32| {
            json!({"return_id": e(n), "reason": "surplus", "lines": [{"line_no": 1, "qty": qty,
            "to_location": "store", "condition": "good"}]})
        };
        w.lead("work-order.return-material", id, back(2, 1)).unwrap();
        assert_eq!(rule(w.planner("work-order.cancel", id, cancel.clone())), "WO-19.R2");
        w.lead("work-order.return-material", id, back(3, 1)).unwrap();
        w.planner("work-order.cancel", id, cancel).unwrap();
    }

    #[test]
    fn wo_19_r3_sessions_are_ended() {
        let mut w = World::new();
        let id = w.running_bracket(5);
        w.later(5_000);
        let p = json!({"reason": "no_demand", "note": "n"});
        let d = w.planner("work-order.cancel", id, p).unwrap();
        assert_eq!(names(&d), ["OperationPaused", "WorkOrderCancelled"]);
        assert_eq!((&data(&d, 0)["cause"], &data(&d, 0)["session_duration"]), (&json!("order_cancelled"), &json!(5)));
        assert_eq!(data(&d, 1), json!({"reason": "no_demand", "note": "n"}));
        assert_eq!(w.order(id).cancelled.as_ref().unwrap().as_str(), "no_demand");
        let id = w.running_bracket(5);
        let p = json!({"reason": "no_demand"});
        assert_eq!(rule(w.run_at(w.now.plus_millis(-1), &planner(), "work-order.cancel", id, p)), "G3");
    }

    #[test]
    fn wo_19_needs_a_reason_of_its_catalogue() {
        let mut w = World::new();
        let id = w.bracket(5);
        assert_eq!(code(w.planner("work-order.cancel", id, json!({}))), ErrorCode::ReasonRequired);
        assert_eq!(code(w.planner("work-order.cancel", id, json!({"reason": "mood"}))), ErrorCode::ReasonUnknown);
    }
}
