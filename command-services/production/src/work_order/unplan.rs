//! WO-04 `work-order.unplan`: back to a draft.

use mw_contract::command::work_order::UnplanWorkOrder;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::work_order::WorkOrderUnplannedV1;
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, Rejection, Sealed};

use crate::facts::Production;
use crate::rules::{Case, Holds, authorise, need_reason};
use crate::state::ProductionState;

/// Decides WO-04.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &UnplanWorkOrder,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let case = Case::open(facts, state, CommandType::WorkOrderUnplan, ctx)?;
    let (reason, _) = need_reason(facts, catalogues::CHANGE, p.reason.as_ref(), p.note.as_ref())?;
    let unplanned = WorkOrderUnplannedV1 { reason: reason.clone(), note: p.note.as_ref().map(Sealed::plain) };
    Ok(case.decided(role, vec![unplanned.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, code, lead, names};
    use mw_contract::{ErrorCode, WorkOrderState};
    use serde_json::json;

    #[test]
    fn wo_04_takes_the_dates_and_the_place_in_the_plan() {
        let mut w = World::new();
        let id = w.pump(400);
        let other = w.pump(400);
        let mut plan = World::plan_payload();
        plan["operations"] =
            json!([{"op": 10, "planned_start": "2026-03-03T08:00:00.000Z", "planned_end": "2026-03-03T09:00:00.000Z"}]);
        w.planner("work-order.plan", id, plan).unwrap();
        let overloaded = |w: &World| {
            w.ask(&crate::fixture::planner(), "work-order.plan", other, World::plan_payload()).unwrap().warnings.len()
        };
        assert_eq!(overloaded(&w), 1);
        assert_eq!(code(w.planner("work-order.unplan", id, json!({}))), ErrorCode::ReasonRequired);
        let d = w.planner("work-order.unplan", id, json!({"reason": "no_capacity", "note": "n"})).unwrap();
        assert_eq!(names(&d), ["WorkOrderUnplanned"]);
        assert_eq!(overloaded(&w), 0);
        let o = w.order(id);
        assert_eq!((o.state, o.planned_start, o.planned_end), (WorkOrderState::Draft, None, None));
        assert_eq!((o.operations[0].planned_start, o.operations[0].planned_end), (None, None));
        assert_eq!(w.facts.order_state(id), Some(WorkOrderState::Draft));
        assert_eq!(code(w.ask(&lead(), "work-order.unplan", other, json!({"reason": "x"}))), ErrorCode::InvalidState);
    }
}
