//! WO-35 `work-order.reopen-operation`, WO-36 `work-order.skip-operation` and WO-37
//! `work-order.add-operation`: what the routing did not foresee.

use mw_contract::command::work_order::{AddOperation, ReopenOperation, SkipOperation};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::parts::RoutingOperationV1;
use mw_contract::event::work_order::{OperationAddedV1, OperationReopenedV1, OperationSkippedV1};
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, InspectionPlan, OperationState, Overlap, Qty, Rejection, Role, Sealed, Seconds};

use crate::facts::Production;
use crate::rules::{Case, Holds, agreed, authorise, exists, need_reason};
use crate::state::ProductionState;

/// The most operations that an order may have.
const MOST_OPERATIONS: usize = 200;

/// Decides WO-35.
pub fn reopen(
    facts: &Production,
    state: &ProductionState,
    p: &ReopenOperation,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let case = Case::open(facts, state, CommandType::WorkOrderReopenOperation, ctx)?;
    let op = case.op(p.op)?;
    let is = case.order.operation_state(op);
    if is != OperationState::Completed {
        return Err(Rejection::invalid_state("reopen-operation", is.as_str(), &["completed"]).with("op", p.op));
    }
    let (reason, _) = need_reason(facts, catalogues::CHANGE, p.reason.as_ref(), p.note.as_ref())?;
    let note = p.note.as_ref().map(Sealed::plain);
    Ok(case.decided(role, vec![OperationReopenedV1 { op: p.op, reason: reason.clone(), note }.into()]))
}

/// Decides WO-36. One operation at least is left to do.
pub fn skip(
    facts: &Production,
    state: &ProductionState,
    p: &SkipOperation,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let inspector = agreed(ctx, p.approver.as_ref(), &[Role::QualityInspector])?;
    let role = authorise(ctx, Holds::default())?;
    let case = Case::open(facts, state, CommandType::WorkOrderSkipOperation, ctx)?;
    let op = case.op(p.op)?;
    let is = case.order.operation_state(op);
    if !matches!(is, OperationState::Pending | OperationState::Ready) {
        let refusal = Rejection::invalid_state("skip-operation", is.as_str(), &["pending", "ready"]);
        return Err(refusal.with("op", p.op));
    }
    let (reason, _) = need_reason(facts, catalogues::CHANGE, p.reason.as_ref(), p.note.as_ref())?;
    if op.inspection != InspectionPlan::None && !inspector {
        let message = "the operation has an inspection: name a quality inspector who agrees as approver";
        return Err(Rejection::forbidden(message).at("payload.approver"));
    }
    if case.order.operations.iter().all(|o| o.skipped || o.op == p.op) {
        return Err(Rejection::guard("WO-36", "no other operation is left to do: cancel the order instead"));
    }
    let note = p.note.as_ref().map(Sealed::plain);
    let skipped = OperationSkippedV1 { op: p.op, reason: reason.clone(), approver: p.approver.clone(), note };
    Ok(case.decided(role, vec![skipped.into()]))
}

/// Decides WO-37.
pub fn add(
    facts: &Production,
    state: &ProductionState,
    p: &AddOperation,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let case = Case::open(facts, state, CommandType::WorkOrderAddOperation, ctx)?;
    let order = case.order;
    if p.op == 0 {
        return Err(Rejection::invalid("payload.op", "must be over 0"));
    }
    if order.operation(p.op).is_some() {
        return Err(exists(format!("the order has an operation {} already", p.op)).at("payload.op"));
    }
    if order.operations.len() >= MOST_OPERATIONS {
        return Err(Rejection::invalid("payload.op", format!("an order has at most {MOST_OPERATIONS} operations")));
    }
    for (i, n) in p.predecessors.iter().flatten().enumerate() {
        case.op(*n).map_err(|r| r.at(format!("payload.predecessors[{i}]")))?;
    }
    let (reason, _) = need_reason(facts, catalogues::CHANGE, p.reason.as_ref(), p.note.as_ref())?;
    let operation = RoutingOperationV1 {
        op: p.op,
        name: p.name.clone(),
        cell_id: None,
        cell_class: Some(p.cell_class.clone()),
        setup_time: p.setup_time.unwrap_or(Seconds(0)),
        run_time_per_unit: p.run_time_per_unit.unwrap_or(Qty::ZERO),
        predecessors: p.predecessors.clone(),
        overlap: Overlap::None,
        transfer_batch_qty: None,
        inspection: InspectionPlan::None,
    };
    let note = p.note.as_ref().map(Sealed::plain);
    Ok(case.decided(role, vec![OperationAddedV1 { operation, reason: reason.clone(), note }.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, actor, code, detail, lead, rule};
    use mw_contract::decide::Allowance;
    use mw_contract::{ErrorCode, OperationState, Qty, Role};
    use serde_json::json;

    #[test]
    fn wo_35_a_completed_operation_goes_on() {
        let mut w = World::new();
        let id = w.made_bracket(5);
        let why = json!({"op": 10, "reason": "quality"});
        assert_eq!(code(w.lead("work-order.reopen-operation", id, json!({"op": 10}))), ErrorCode::ReasonRequired);
        w.lead("work-order.reopen-operation", id, why.clone()).unwrap();
        let o = w.order(id);
        assert_eq!(o.operation_state(&o.operations[0]), OperationState::Paused);
        let again = w.lead("work-order.reopen-operation", id, why);
        assert_eq!((detail(again.clone(), "op"), detail(again.clone(), "state")), (json!(10), json!("paused")));
        assert_eq!(code(again), ErrorCode::InvalidState);
        w.finish_op(id, 10);
        w.lead("work-order.complete", id, json!({})).unwrap();
    }

    #[test]
    fn wo_36_a_skipped_operation_hands_on_what_it_was_given() {
        let mut w = World::new();
        let id = w.pump(5);
        w.release(id);
        let skip = |op: u16| json!({"op": op, "reason": "not_needed"});
        w.start(&lead(), id, 10, "cell-1");
        assert_eq!(detail(w.lead("work-order.skip-operation", id, skip(10)), "state"), "running");
        w.good(id, 10, 5);
        assert_eq!(code(w.lead("work-order.skip-operation", id, json!({"op": 20}))), ErrorCode::ReasonRequired);
        w.lead("work-order.skip-operation", id, skip(20)).unwrap();
        let o = w.order(id);
        assert_eq!(o.operation_state(&o.operations[1]), OperationState::Skipped);
        assert_eq!(o.produced_good(), Qty::whole(5));
        let start = json!({"op": 20, "session_id": crate::fixture::e(1), "cell_id": "cell-2"});
        assert!(w.lead("work-order.start-operation", id, start).is_err());
        w.finish_op(id, 10);
        for n in 1..=5 {
            let unit = json!({"serial": format!("S-{n}"), "op": 10, "result": "good"});
            w.lead("work-order.register-unit", id, unit).unwrap();
        }
        w.lead("work-order.complete", id, json!({})).unwrap();
    }

    #[test]
    fn wo_36_the_first_operation_hands_on_the_planned_pieces() {
        let mut w = World::new();
        let id = w.pump(5);
        w.release(id);
        w.planner("work-order.skip-operation", id, json!({"op": 10, "reason": "not_needed"})).unwrap();
        assert_eq!(
            rule(w.planner("work-order.skip-operation", id, json!({"op": 20, "reason": "not_needed"}))),
            "WO-36"
        );
        w.start(&lead(), id, 20, "cell-2");
        w.good(id, 20, 5);
        let more = json!({"op": 20, "report_id": crate::fixture::e(9), "good": 1});
        assert_eq!(rule(w.lead("work-order.report-quantity", id, more)), "WO-31.R2");
    }

    #[test]
    fn wo_36_an_inspection_is_left_out_only_with_an_inspector() {
        let mut w = World::new();
        let routing = json!([{"op": 10, "name": "a", "cell_id": "cell-1"},
            {"op": 20, "name": "b", "cell_id": "cell-1", "inspection": "final"}]);
        let id = w.bracket_with(5, json!({"routing": routing}));
        w.release(id);
        let with = |who: Option<&str>| json!({"op": 20, "reason": "not_needed", "approver": who});
        for no in [None, Some("planner-2"), Some("lead-1")] {
            assert_eq!(code(w.lead("work-order.skip-operation", id, with(no))), ErrorCode::Forbidden, "{no:?}");
        }
        w.lead("work-order.skip-operation", id, with(Some("inspector-1"))).unwrap();
        // What is left out is not inspected either.
        w.start(&lead(), id, 10, "cell-1");
        w.good(id, 10, 5);
        w.finish_op(id, 10);
        w.lead("work-order.complete", id, json!({})).unwrap();
    }

    #[test]
    fn wo_37_one_more_operation_waits_for_the_one_before() {
        let mut w = World::new();
        let id = w.pump(5);
        w.release(id);
        let inspector = actor("inspector-1", &[(Role::QualityInspector, Allowance::Yes)]);
        let p = json!({"op": 15, "name": "deburr", "cell_class": "assembly", "setup_time": 60,
            "run_time_per_unit": "2.5", "reason": "quality"});
        let mut with = |more: serde_json::Value| {
            let mut q = p.clone();
            q.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            w.run(&inspector, "work-order.add-operation", id, q)
        };
        assert_eq!(code(with(json!({"op": 0}))), ErrorCode::Validation);
        assert_eq!(code(with(json!({"op": 10}))), ErrorCode::AlreadyExists);
        assert_eq!(code(with(json!({"predecessors": [10, 11]}))), ErrorCode::NotFound);
        assert_eq!(code(with(json!({"reason": null}))), ErrorCode::ReasonRequired);
        with(json!({})).unwrap();
        let o = w.order(id);
        let numbers: Vec<u16> = o.operations.iter().map(|x| x.op).collect();
        assert_eq!(numbers, [10, 15, 20]);
        let op = o.operation(15).unwrap();
        assert_eq!(
            (&op.predecessors, op.setup_time.0, op.run_time_per_unit.to_string()),
            (&vec![10], 60, "2.5".into())
        );
        // It is one of the last now: nothing is finished before it.
        w.start(&lead(), id, 10, "cell-1");
        w.good(id, 10, 5);
        w.finish_op(id, 10);
        w.start(&lead(), id, 20, "cell-2");
        w.good(id, 20, 5);
        assert!(w.order(id).produced_good().is_zero());
    }
}
