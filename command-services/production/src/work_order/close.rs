//! WO-18 `work-order.close`: reconciled and frozen.

use mw_contract::command::work_order::CloseWorkOrder;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::material::MaterialVarianceExplainedV1;
use mw_contract::event::parts::{BomLineV1, ExplainedVarianceV1, MaterialTotalsV1, OperationTotalsV1};
use mw_contract::event::work_order::WorkOrderClosedV1;
use mw_contract::reference::catalogues;
use mw_contract::{Change, CommandType, Event, Rejection, Role, Sealed, Seconds};

use crate::facts::Production;
use crate::rules::{Case, Holds, authorise, authorise_if, check_reason, settings};
use crate::state::{ProductionState, WorkOrder};
use crate::times;

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
    let explained = explained(facts, order, p)?;
    no_correction_pending(order)?;
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
    let explained = explained.map(Event::from);
    Ok(case.decided(role, explained.into_iter().chain([closed.into()]).collect()))
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

fn material_totals(order: &WorkOrder) -> Vec<MaterialTotalsV1> {
    let total = |l: &BomLineV1| {
        let line = order.material.line(l.line_no);
        MaterialTotalsV1 {
            line_no: l.line_no,
            item_id: l.item_id.clone(),
            issued: line.issued,
            returned: line.returned,
            consumed: order.used(l),
        }
    };
    order.bom.iter().map(total).collect()
}

/// WO-18.R2: what was issued was used or came back, or somebody says why not. Lines that nothing
/// was issued for are backflushed from the floor.
fn explained(
    facts: &Production,
    order: &WorkOrder,
    p: &CloseWorkOrder,
) -> Result<Option<MaterialVarianceExplainedV1>, Rejection> {
    let reasons = p.variance_reasons.as_deref().unwrap_or_default();
    for (i, r) in reasons.iter().enumerate() {
        check_reason(
            facts,
            catalogues::MATERIAL,
            &r.reason,
            p.note.as_ref(),
            &format!("payload.variance_reasons[{i}]."),
        )?;
    }
    let (mut lines, mut open) = (Vec::new(), Vec::new());
    for l in order.bom.iter().filter(|l| !order.material.line(l.line_no).issued.is_zero()) {
        let (issued, accounted) = (order.material.line(l.line_no).net(), order.used(l));
        if issued == accounted {
            continue;
        }
        match reasons.iter().find(|r| r.line_no == l.line_no) {
            Some(r) => lines.push(ExplainedVarianceV1 {
                line_no: l.line_no,
                item_id: l.item_id.clone(),
                difference: Change::between(accounted, issued),
                reason: r.reason.clone(),
            }),
            None => open.push(l.line_no),
        }
    }
    if !open.is_empty() {
        let message = "issued is not used and returned: record it, or give a reason for each line in variance_reasons";
        return Err(Rejection::guard("WO-18.R2", message).with("lines", open));
    }
    Ok((!lines.is_empty()).then_some(MaterialVarianceExplainedV1 { lines }))
}

/// WO-18.R3: sessions that were ended because nobody had wait for somebody to say when they ended,
/// and open nonconformances for what becomes of their pieces.
fn no_correction_pending(order: &WorkOrder) -> Result<(), Rejection> {
    let open: Vec<String> = order.quality.open_ncrs().map(|(id, _)| id.to_string()).collect();
    if !open.is_empty() {
        let message = "close the nonconformances of this order first";
        return Err(Rejection::guard("WO-18.R3", message).with("nonconformances", open));
    }
    let pending: Vec<String> =
        order.sessions().filter(|(_, s)| s.overdue).map(|(_, s)| s.session_id.to_string()).collect();
    if pending.is_empty() {
        return Ok(());
    }
    let message = "sessions were ended because nobody had: correct their ends first";
    Err(Rejection::guard("WO-18.R3", message).with("sessions", pending))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{HOUR, MINUTE, World, actor, admin, data, e, names, operator, planner, rule};
    use mw_contract::decide::Allowance;
    use mw_contract::event::work_order::OperationPausedV1;
    use mw_contract::{PauseCause, Role, Seconds, WorkOrderState};
    use serde_json::json;

    #[test]
    fn wo_18_r2_what_was_issued_was_used_returned_or_explained() {
        let mut w = World::new();
        let id = w.with_material(2);
        w.start(&crate::fixture::lead(), id, 10, "cell-1");
        let lines = json!([{"line_no": 1, "qty": 2, "from_location": "store"}]);
        w.lead("work-order.issue-material", id, json!({"issue_id": e(1), "lines": lines})).unwrap();
        let used = json!({"consumption_id": e(2), "lines": [{"line_no": 1, "qty": 1}]});
        w.lead("work-order.record-consumption", id, used).unwrap();
        w.good(id, 10, 2);
        w.finish_op(id, 10);
        w.lead("work-order.complete", id, json!({})).unwrap();
        let force = json!({"force": true});
        assert_eq!(rule(w.run(&admin(), "work-order.close", id, force.clone())), "WO-18.R2");
        let mut twin = w.clone();
        let why = json!({"force": true, "variance_reasons": [{"line_no": 1, "reason": "lost"}]});
        let d = twin.run(&admin(), "work-order.close", id, why).unwrap();
        assert_eq!(names(&d), ["MaterialVarianceExplained", "WorkOrderClosed"]);
        assert_eq!(data(&d, 0)["lines"][0]["difference"], "1");
        assert_eq!(
            (&data(&d, 1)["materials"][0]["issued"], &data(&d, 1)["materials"][0]["consumed"]),
            (&json!("2"), &json!("1"))
        );
        let back = json!({"return_id": e(3), "reason": "surplus", "lines": [{"line_no": 1, "qty": 1,
            "to_location": "store", "condition": "good"}]});
        w.lead("work-order.return-material", id, back).unwrap();
        assert_eq!(names(&w.run(&admin(), "work-order.close", id, force).unwrap()), ["WorkOrderClosed"]);
    }

    #[test]
    fn wo_18_r3_overdue_sessions_are_corrected_first() {
        let mut w = World::new();
        let id = w.running_bracket(2);
        let session = w.order(id).sessions().next().unwrap().1.session_id.to_string();
        w.later(HOUR);
        w.given(
            id,
            OperationPausedV1 {
                op: 10,
                session_id: session.parse().unwrap(),
                cause: PauseCause::Overdue,
                reason: Some("shift_end".parse().unwrap()),
                loss_category: None,
                session_duration: Seconds(3600),
                note: None,
            },
        );
        w.good(id, 10, 2);
        w.finish_op(id, 10);
        w.lead("work-order.complete", id, json!({})).unwrap();
        assert_eq!(rule(w.run(&admin(), "work-order.close", id, json!({"force": true}))), "WO-18.R3");
        let end = w.now.plus_millis(-MINUTE);
        w.lead(
            "work-order.correct-session",
            id,
            json!({"session_id": session, "new_end": end, "reason": "wrong_data"}),
        )
        .unwrap();
        w.run(&admin(), "work-order.close", id, json!({"force": true})).unwrap();
    }

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
