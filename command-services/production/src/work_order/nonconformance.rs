//! WO-44 `work-order.raise-nonconformance`, WO-46 `work-order.close-nonconformance`, and the return
//! of one whose rework order was cancelled.

use mw_contract::command::quality::{CloseNonconformance, RaiseNonconformance, ReturnNonconformance};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::quality::{NonconformanceClosedV1, NonconformanceRaisedV1, NonconformanceReturnedV1};
use mw_contract::event::work_order::WorkOrderHeldV1;
use mw_contract::reference::catalogues;
use mw_contract::{
    CommandType, EntityId, Event, HoldKind, InspectionKind, NcrStage, PauseCause, Qty, Rejection, ReworkMode, Sealed,
    WorkOrderState,
};

use crate::facts::Production;
use crate::quality::{Ncr, NcrState};
use crate::rules::{Case, Holds, all_valid, authorise, check_file, check_qty, check_reason, exists};
use crate::state::{Operation, ProductionState, WorkOrder};
use crate::work_order::hold::QUALITY_HOLD;

/// Pieces that went through an operation, or through the order as a whole.
pub(crate) fn produced(order: &WorkOrder, op: Option<&Operation>) -> Qty {
    match op {
        Some(op) => op.processed(),
        None => order.operations.iter().map(Operation::processed).max().unwrap_or(Qty::ZERO),
    }
}

/// A nonconformance of the order.
pub(crate) fn known(order: &WorkOrder, id: EntityId) -> Result<&Ncr, Rejection> {
    order
        .quality
        .ncrs
        .get(&id)
        .ok_or_else(|| Rejection::not_found(format!("the order has no nonconformance {id}")).at("payload.ncr_id"))
}

/// Decides WO-44. Severity 1 stops the order.
pub fn raise(
    facts: &Production,
    state: &ProductionState,
    p: &RaiseNonconformance,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let case = Case::open(facts, state, CommandType::WorkOrderRaiseNonconformance, ctx)?;
    let order = case.order;
    let op = p.op.map(|n| case.op(n)).transpose()?;
    if order.quality.ncrs.contains_key(&p.ncr_id) {
        return Err(exists(format!("nonconformance {} is there already", p.ncr_id)).at("payload.ncr_id"));
    }
    let mut errors = Vec::new();
    check_qty(&mut errors, order.uom.is_piece(), "payload.qty", p.qty);
    for (i, f) in p.attachments.as_deref().unwrap_or_default().iter().enumerate() {
        check_file(&mut errors, &format!("payload.attachments[{i}]"), f);
    }
    all_valid(errors)?;
    if !(1..=4).contains(&p.severity) {
        return Err(Rejection::invalid("payload.severity", "is 1 critical to 4 cosmetic"));
    }
    check_reason(facts, catalogues::DEFECT, &p.defect_code, Some(&p.description), "payload.defect_")?;
    // Incoming pieces are material: the order did not make them.
    let bound = (p.detected_at_stage != NcrStage::Incoming).then(|| produced(order, op));
    if p.qty.is_zero() || bound.is_some_and(|made| p.qty > made) {
        let made = bound.map(|m| format!(" and at most {m}, which were made")).unwrap_or_default();
        let refusal = Rejection::guard("WO-44.R1", format!("qty is more than 0{made}")).at("payload.qty");
        return Err(refusal.with("max_allowed", bound.map(|m| m.to_string())));
    }
    let raised = NonconformanceRaisedV1 {
        ncr_id: p.ncr_id,
        op: p.op,
        qty: p.qty,
        serials: p.serials.clone().unwrap_or_default(),
        lot: p.lot.clone(),
        defect_code: p.defect_code.clone(),
        severity: p.severity,
        description: Some(Sealed::plain(&p.description)),
        detected_at_stage: p.detected_at_stage,
        contain: p.contain.unwrap_or(true),
        attachments: p.attachments.clone().unwrap_or_default(),
        inspection_id: None,
    };
    let mut events: Vec<Event> = vec![raised.into()];
    if p.severity == 1 && matches!(order.state, WorkOrderState::Released | WorkOrderState::InProgress) {
        events.extend(case.end_sessions(order.sessions(), PauseCause::OrderHold)?);
        let reason = QUALITY_HOLD.parse().map_err(|_| Rejection::invalid("payload", "has no reason for the hold"))?;
        let held = WorkOrderHeldV1 {
            reason,
            kind: HoldKind::Held,
            expected_resume_at: None,
            resume_state: order.state,
            note: None,
        };
        events.push(held.into());
    }
    Ok(case.decided(role, events))
}

/// Decides WO-46.
pub fn close(
    facts: &Production,
    state: &ProductionState,
    p: &CloseNonconformance,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let case = Case::open(facts, state, CommandType::WorkOrderCloseNonconformance, ctx)?;
    let order = case.order;
    let ncr = known(order, p.ncr_id)?;
    let guard = |message: &str| Err(Rejection::guard("WO-46.R1", message.to_owned()));
    let (at, rework) = match &ncr.stands {
        NcrState::Dispositioned { at, rework } => (*at, rework),
        NcrState::Open => return guard("say what becomes of the pieces first"),
        NcrState::Closed => {
            let command = CommandType::WorkOrderCloseNonconformance.as_str();
            return Err(Rejection::invalid_state(command, "closed", &["dispositioned"]));
        }
    };
    match rework {
        Some(r) if r.mode == ReworkMode::NewOrder => {
            let done = r.new_work_order_id.and_then(|id| facts.order_state(id));
            if !matches!(done, Some(WorkOrderState::Completed | WorkOrderState::Closed)) {
                return guard("the rework order is not completed yet");
            }
        }
        Some(_) => {
            let counts = |i: &&crate::quality::Inspection| {
                i.kind == InspectionKind::ReInspection
                    && i.at >= at
                    && (i.op.is_none() || i.op == ncr.op || ncr.op.is_none())
            };
            if !order.quality.inspections.iter().rfind(counts).is_some_and(|i| i.passed) {
                return guard("the reworked pieces must pass a re_inspection first");
            }
        }
        None => {}
    }
    let closed = NonconformanceClosedV1 {
        ncr_id: p.ncr_id,
        verification: Sealed::plain(&p.verification),
        corrective_action_ref: p.corrective_action_ref.clone(),
    };
    Ok(case.decided(role, vec![closed.into()]))
}

/// Its rework order was cancelled: somebody must say anew what becomes of the pieces.
pub fn take_back(
    facts: &Production,
    state: &ProductionState,
    p: &ReturnNonconformance,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let case = Case::open(facts, state, CommandType::WorkOrderReturnNonconformance, ctx)?;
    let ncr = known(case.order, p.ncr_id)?;
    if !matches!(ncr.stands, NcrState::Dispositioned { .. }) {
        let command = CommandType::WorkOrderReturnNonconformance.as_str();
        return Err(Rejection::invalid_state(command, ncr.state(), &["dispositioned"]));
    }
    let returned =
        NonconformanceReturnedV1 { ncr_id: p.ncr_id, work_order_id: p.rework_order_id, reason: p.reason.clone() };
    Ok(case.decided(role, vec![returned.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, code, data, detail, e, id, inspector, lead, names, operator, rule, system};
    use mw_contract::{AggregateId, ErrorCode, WorkOrderState};
    use serde_json::{Value, json};

    fn ncr(n: u128, more: Value) -> Value {
        let mut p = json!({"ncr_id": e(n), "op": 10, "qty": 2, "defect_code": "surface", "severity": 3,
            "description": "scratched", "detected_at_stage": "in_process"});
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        p
    }

    fn made(w: &mut World) -> AggregateId {
        let id = w.running_bracket(10);
        w.good(id, 10, 4);
        id
    }

    fn decided(w: &mut World, id: AggregateId, n: u128, disposition: &str, rework: Value) {
        let p = json!({"ncr_id": e(n), "cause_code": "tool", "rework": rework,
            "lines": [{"disposition": disposition, "qty": 2}]});
        w.run(&inspector(), "work-order.disposition-nonconformance", id, p).unwrap();
    }

    #[test]
    fn wo_44_r1_over_nothing_and_not_more_than_was_made() {
        let mut w = World::new();
        let id = made(&mut w);
        for qty in [0, 5] {
            let refused = w.lead("work-order.raise-nonconformance", id, ncr(1, json!({"qty": qty})));
            assert_eq!(detail(refused.clone(), "max_allowed"), "4");
            assert_eq!(rule(refused), "WO-44.R1");
        }
        for bad in [json!({"severity": 0}), json!({"severity": 5}), json!({"qty": "0.5"})] {
            assert_eq!(code(w.lead("work-order.raise-nonconformance", id, ncr(1, bad))), ErrorCode::Validation);
        }
        let d = w.lead("work-order.raise-nonconformance", id, ncr(1, json!({"qty": 4}))).unwrap();
        assert_eq!((names(&d), &data(&d, 0)["contain"]), (vec!["NonconformanceRaised"], &json!(true)));
        assert_eq!(code(w.lead("work-order.raise-nonconformance", id, ncr(1, json!({})))), ErrorCode::AlreadyExists);
        // Material that came in was not made here.
        w.lead("work-order.raise-nonconformance", id, ncr(2, json!({"qty": 50, "detected_at_stage": "incoming"})))
            .unwrap();
    }

    #[test]
    fn wo_44_r2_severity_1_stops_the_order() {
        let mut w = World::new();
        let id = made(&mut w);
        let d = w.lead("work-order.raise-nonconformance", id, ncr(1, json!({"severity": 1}))).unwrap();
        assert_eq!(names(&d), ["NonconformanceRaised", "OperationPaused", "WorkOrderHeld"]);
        let o = w.order(id);
        assert_eq!((o.state, o.hold.as_ref().unwrap().reason.as_str()), (WorkOrderState::OnHold, "quality_hold"));
        // A second one finds it on hold already.
        let d = w.lead("work-order.raise-nonconformance", id, ncr(2, json!({"severity": 1}))).unwrap();
        assert_eq!(names(&d), ["NonconformanceRaised"]);
    }

    #[test]
    fn wo_44_r2_severity_1_keeps_an_order_that_was_held_for_another_reason() {
        let mut w = World::new();
        let id = made(&mut w);
        w.lead("work-order.hold", id, json!({"reason": "material_shortage"})).unwrap();
        w.lead("work-order.raise-nonconformance", id, ncr(1, json!({"severity": 3}))).unwrap();
        w.ask(&lead(), "work-order.resume", id, json!({})).unwrap();
        w.lead("work-order.raise-nonconformance", id, ncr(2, json!({"severity": 1}))).unwrap();
        assert_eq!(rule(w.lead("work-order.resume", id, json!({}))), "WO-15.R1");
    }

    #[test]
    fn wo_15_r1_a_quality_hold_stays_while_a_nonconformance_is_open() {
        let mut w = World::new();
        let id = made(&mut w);
        w.lead("work-order.raise-nonconformance", id, ncr(1, json!({"severity": 1}))).unwrap();
        assert_eq!(rule(w.lead("work-order.resume", id, json!({}))), "WO-15.R1");
        decided(&mut w, id, 1, "scrap", json!(null));
        assert_eq!(rule(w.lead("work-order.resume", id, json!({}))), "WO-15.R1");
        let closed = json!({"ncr_id": e(1), "verification": "scrapped before witnesses"});
        w.run(&inspector(), "work-order.close-nonconformance", id, closed).unwrap();
        w.lead("work-order.resume", id, json!({})).unwrap();
    }

    #[test]
    fn wo_16_r5_an_order_ends_without_open_nonconformances() {
        let mut w = World::new();
        let id = w.made_bracket(5);
        w.lead("work-order.raise-nonconformance", id, ncr(1, json!({}))).unwrap();
        assert_eq!(rule(w.lead("work-order.complete", id, json!({}))), "WO-16.R5");
        let short = json!({"reason": "no_demand", "remainder": "drop"});
        assert_eq!(rule(w.planner("work-order.short-close", id, short)), "WO-17.R3");
        decided(&mut w, id, 1, "use_as_is", json!(null));
        let closed = json!({"ncr_id": e(1), "verification": "within limits"});
        w.run(&inspector(), "work-order.close-nonconformance", id, closed).unwrap();
        w.lead("work-order.complete", id, json!({})).unwrap();
    }

    #[test]
    fn wo_17_r2_pieces_in_rework_are_moved_into_a_nonconformance() {
        let mut w = World::new();
        let id = made(&mut w);
        let rework = json!({"op": 10, "report_id": e(50), "rework": [{"qty": 2, "reason": "surface"}]});
        w.lead("work-order.report-quantity", id, rework).unwrap();
        let short = json!({"reason": "no_demand", "remainder": "drop"});
        assert_eq!(rule(w.planner("work-order.short-close", id, short.clone())), "WO-17.R2");
        w.lead("work-order.raise-nonconformance", id, ncr(1, json!({"qty": 2}))).unwrap();
        w.planner("work-order.short-close", id, short).unwrap();
        // It is settled before the order is frozen.
        let close = w.run(&crate::fixture::admin(), "work-order.close", id, json!({"force": true}));
        assert_eq!(rule(close), "WO-18.R3");
    }

    #[test]
    fn wo_46_r1_dispositioned_and_inspected_again_where_reworked() {
        let mut w = World::new();
        let id = made(&mut w);
        w.lead("work-order.raise-nonconformance", id, ncr(1, json!({}))).unwrap();
        let closed = json!({"ncr_id": e(1), "verification": "measured again", "corrective_action_ref": "CA-1"});
        let close = |w: &mut World| w.run(&inspector(), "work-order.close-nonconformance", id, closed.clone());
        assert_eq!(rule(close(&mut w)), "WO-46.R1");
        decided(&mut w, id, 1, "rework", json!({"mode": "same_order"}));
        assert_eq!(rule(close(&mut w)), "WO-46.R1");
        let again = |n: u128, verdict: &str| {
            json!({"inspection_id": e(n), "op": 10, "kind": "re_inspection",
            "sample_size": 2, "verdict": verdict, "results": [{"characteristic": "surface", "verdict": verdict}]})
        };
        w.run(&inspector(), "work-order.record-inspection", id, again(5, "fail")).unwrap();
        assert_eq!(rule(close(&mut w)), "WO-46.R1");
        w.run(&inspector(), "work-order.record-inspection", id, again(6, "pass")).unwrap();
        assert_eq!(data(&close(&mut w).unwrap(), 0)["corrective_action_ref"], "CA-1");
        assert_eq!(code(close(&mut w)), ErrorCode::InvalidState);
        let unknown = json!({"ncr_id": e(9), "verification": "x"});
        assert_eq!(code(w.run(&inspector(), "work-order.close-nonconformance", id, unknown)), ErrorCode::NotFound);
        assert_eq!(
            code(w.run(&operator("operator-1"), "work-order.close-nonconformance", id, closed.clone())),
            ErrorCode::Forbidden
        );
    }

    #[test]
    fn wo_46_r1_a_rework_order_is_completed_or_the_pieces_come_back() {
        let mut w = World::new();
        let order = made(&mut w);
        w.lead("work-order.raise-nonconformance", order, ncr(1, json!({}))).unwrap();
        let back = json!({"ncr_id": e(1)});
        assert_eq!(
            code(w.run(&system(), "work-order.return-nonconformance", order, back.clone())),
            ErrorCode::InvalidState
        );
        decided(&mut w, order, 1, "rework", json!({"mode": "new_order", "new_work_order_id": id(901)}));
        let closed = json!({"ncr_id": e(1), "verification": "done there"});
        let close = |w: &mut World| w.run(&inspector(), "work-order.close-nonconformance", order, closed.clone());
        assert_eq!(rule(close(&mut w)), "WO-46.R1");
        w.run(&system(), "work-order.return-nonconformance", order, back).unwrap();
        assert_eq!(rule(close(&mut w)), "WO-46.R1");
        let done = w.completed_bracket(2);
        decided(&mut w, order, 1, "rework", json!({"mode": "new_order", "new_work_order_id": done}));
        close(&mut w).unwrap();
    }

    #[test]
    fn wo_46_r1_it_is_a_re_inspection_of_that_operation_since_the_disposition() {
        let mut w = World::new();
        let routing =
            json!([{"op": 10, "name": "a", "cell_id": "cell-1"}, {"op": 20, "name": "b", "cell_id": "cell-2"}]);
        let id = w.bracket_with(10, json!({"routing": routing}));
        w.release(id);
        w.start(&crate::fixture::lead(), id, 10, "cell-1");
        w.good(id, 10, 4);
        let look = |n: u128, op: Value, kind: &str| {
            json!({"inspection_id": e(n), "op": op, "kind": kind, "sample_size": 2, "verdict": "pass",
                "results": [{"characteristic": "surface", "verdict": "pass"}]})
        };
        w.lead("work-order.raise-nonconformance", id, ncr(1, json!({}))).unwrap();
        w.run(&inspector(), "work-order.record-inspection", id, look(1, json!(10), "re_inspection")).unwrap();
        w.later(crate::fixture::MINUTE);
        decided(&mut w, id, 1, "rework", json!({"mode": "same_order"}));
        let close = |w: &World| {
            let p = json!({"ncr_id": e(1), "verification": "measured again"});
            w.ask(&inspector(), "work-order.close-nonconformance", id, p)
        };
        assert_eq!(rule(close(&w)), "WO-46.R1", "it was looked at before");
        for (n, op, kind) in [(2, json!(20), "re_inspection"), (3, json!(10), "in_process"), (4, json!(10), "final")] {
            w.run(&inspector(), "work-order.record-inspection", id, look(n, op.clone(), kind)).unwrap();
            assert_eq!(rule(close(&w)), "WO-46.R1", "{kind} of {op}");
        }
        // One of the order as a whole counts.
        w.run(&inspector(), "work-order.record-inspection", id, look(5, json!(null), "re_inspection")).unwrap();
        close(&w).unwrap();
    }
}
