//! WO-16 `work-order.complete`: production has ended.

use mw_contract::command::work_order::CompleteWorkOrder;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::parts::MaterialVarianceV1;
use mw_contract::event::work_order::WorkOrderCompletedV1;
use mw_contract::{CommandType, Rejection, Sealed, Tracking, UnitResult};

use crate::facts::Production;
use crate::invariants::i4_holds;
use crate::quality::is_inspected;
use crate::rules::{Case, Holds, authorise, not_before, settings};
use crate::state::{Operation, ProductionState, WorkOrder};

/// Decides WO-16.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &CompleteWorkOrder,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let setting = settings(facts, ctx).operator_completes;
    let role = authorise(ctx, Holds { setting, ..Holds::default() })?;
    let case = Case::open(facts, state, CommandType::WorkOrderComplete, ctx)?;
    let order = case.order;
    let ops = |pick: fn(&Operation) -> bool| -> Vec<u16> {
        order.operations.iter().filter(|o| pick(o)).map(|o| o.op).collect()
    };
    let unfinished = ops(|o| !o.has_ended());
    if !unfinished.is_empty() {
        return Err(Rejection::guard("WO-16.R1", "complete every operation first").with("operations", unfinished));
    }
    let at_work = ops(|o| o.open_sessions().next().is_some());
    if !at_work.is_empty() {
        return Err(
            Rejection::guard("WO-16.R2", "pause the sessions that are still open first").with("operations", at_work)
        );
    }
    let (remaining, may_miss) = (order.remaining(), order.planned_qty.percent(order.under_tolerance_pct));
    if remaining > may_miss {
        let message =
            format!("{remaining} are still to make and {may_miss} may be missing: report them, or short-close");
        return Err(Rejection::guard("WO-16.R3", message)
            .with("remaining", remaining.to_string())
            .with("tolerated", may_miss.to_string()));
    }
    check_inspections(order, "WO-16.R4")?;
    let open: Vec<String> = order.quality.open_ncrs().map(|(id, _)| id.to_string()).collect();
    if !open.is_empty() {
        let message = "close the nonconformances of this order first";
        return Err(Rejection::guard("WO-16.R5", message).with("nonconformances", open));
    }
    check_tracking(order, "WO-16.R6")?;
    if !order.rework_open().is_zero() {
        return Err(Rejection::guard("WO-16.R7", "pieces still wait for rework: report what became of them")
            .with("rework_open", order.rework_open().to_string()));
    }
    check_end(order, ctx)?;
    let completed = WorkOrderCompletedV1 { note: p.note.as_ref().map(Sealed::plain), ..completed(order, ctx) };
    Ok(case.decided(role, vec![completed.into()]))
}

/// The order's totals, as they are at the end of production.
pub(crate) fn completed(order: &WorkOrder, ctx: &DecisionContext<'_>) -> WorkOrderCompletedV1 {
    WorkOrderCompletedV1 {
        good: order.produced_good(),
        scrap: order.scrap_total(),
        rework: order.rework_open(),
        actual_start: order.actual_start,
        actual_end: ctx.occurred_at,
        material_variance: variance(order),
        short_closed: false,
        note: None,
    }
}

/// G3: production does not end before it began.
pub(crate) fn check_end(order: &WorkOrder, ctx: &DecisionContext<'_>) -> Result<(), Rejection> {
    match order.actual_start {
        Some(start) => not_before(ctx.occurred_at, start, "the order would end before it was started"),
        None => Ok(()),
    }
}

/// WO-16.R4: the inspections that are demanded were passed.
pub(crate) fn check_inspections(order: &WorkOrder, rule: &'static str) -> Result<(), Rejection> {
    let uninspected: Vec<u16> =
        order.operations.iter().filter(|o| !o.skipped && !is_inspected(order, o)).map(|o| o.op).collect();
    if uninspected.is_empty() {
        return Ok(());
    }
    Err(Rejection::guard(rule, "record the inspections that are demanded first").with("operations", uninspected))
}

/// WO-16.R6: units and lots are there.
pub(crate) fn check_tracking(order: &WorkOrder, rule: &'static str) -> Result<(), Rejection> {
    let guard = |message: &str| Rejection::guard(rule, message);
    if !i4_holds(order) {
        return Err(guard("each good piece needs a registered unit with result good, and no more than that")
            .with("produced_good", order.produced_good().to_string())
            .with("units_good", order.units_of(UnitResult::Good)));
    }
    if order.tracking == Tracking::Lot && order.lots.is_empty() && !order.produced_good().is_zero() {
        return Err(guard("the product is tracked by lot: name the lot in a report or a unit"));
    }
    Ok(())
}

/// Planned against actual use.
fn variance(order: &WorkOrder) -> Vec<MaterialVarianceV1> {
    let line = |l: &mw_contract::event::parts::BomLineV1| MaterialVarianceV1 {
        line_no: l.line_no,
        item_id: l.item_id.clone(),
        required: order.used_by_standard(l),
        consumed: order.used(l),
    };
    order.bom.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use crate::fixture::{HOUR, World, actor, code, data, detail, e, lead, names, rule};
    use mw_contract::decide::Allowance;
    use mw_contract::event::work_order::{OperationCompletedV1, OperationStartedV1};
    use mw_contract::{AggregateId, ErrorCode, Qty, Role, Seconds, SessionKind};
    use serde_json::json;

    fn complete(w: &mut World, id: AggregateId) -> Result<mw_contract::decide::Decision, mw_contract::Rejection> {
        w.lead("work-order.complete", id, json!({}))
    }

    #[test]
    fn wo_16_ends_production_with_its_totals() {
        let mut w = World::new();
        let bom = json!([{"line_no": 1, "item_id": "motor", "qty_per_unit": "2"},
            {"line_no": 2, "item_id": "oil", "qty_per_unit": "0.5", "backflush": true}]);
        let id = w.bracket_with(5, json!({"bom": bom}));
        w.release(id);
        w.start(&lead(), id, 10, "cell-1");
        let start = w.now;
        w.later(HOUR);
        let p = json!({"op": 10, "report_id": e(1), "good": 4, "scrap": [{"qty": 1, "reason": "surface"}]});
        w.lead("work-order.report-quantity", id, p).unwrap();
        w.finish_op(id, 10);
        let d = w.lead("work-order.complete", id, json!({"note": "done"})).unwrap();
        assert_eq!(names(&d), ["WorkOrderCompleted"]);
        let x = data(&d, 0);
        assert_eq!((&x["good"], &x["scrap"], &x["rework"]), (&json!("4"), &json!("1"), &json!("0")));
        assert!(!x["note"].is_null());
        assert_eq!(
            (x["actual_start"].as_str().unwrap(), &x["short_closed"]),
            (start.to_string().as_str(), &json!(false))
        );
        assert_eq!(x["actual_end"].as_str().unwrap(), w.now.to_string());
        assert_eq!(
            x["material_variance"][0],
            json!({"line_no": 1, "item_id": "motor", "required": "10", "consumed": "0"})
        );
        assert_eq!(
            x["material_variance"][1],
            json!({"line_no": 2, "item_id": "oil", "required": "2.5", "consumed": "2.5"})
        );
        assert_eq!(w.order(id).actual_end, Some(w.now));
    }

    #[test]
    fn wo_16_r1_all_operations_must_have_ended() {
        let mut w = World::new();
        let id = w.running_bracket(5);
        w.good(id, 10, 5);
        assert_eq!(detail(complete(&mut w, id), "operations"), json!([10]));
        assert_eq!(rule(complete(&mut w, id)), "WO-16.R1");
    }

    #[test]
    fn wo_16_r2_no_session_is_open() {
        let mut w = World::new();
        let id = w.made_bracket(5);
        // No command starts a completed operation; history might.
        w.given(
            id,
            OperationStartedV1 {
                op: 10,
                session_id: e(77).parse().unwrap(),
                cell_id: "cell-1".parse().unwrap(),
                operator: "operator-1".parse().unwrap(),
                kind: SessionKind::Run,
                qty_planned: None,
            },
        );
        assert_eq!(rule(complete(&mut w, id)), "WO-16.R2");
    }

    #[test]
    fn wo_16_r3_what_remains_is_inside_the_tolerance() {
        let mut w = World::new();
        for (pct, ok) in [("10", false), ("20", true)] {
            let id = w.bracket_with(10, json!({"under_tolerance_pct": pct}));
            w.release(id);
            w.start(&lead(), id, 10, "cell-1");
            w.good(id, 10, 8);
            w.finish_op(id, 10);
            if ok {
                complete(&mut w, id).unwrap();
            } else {
                assert_eq!(detail(complete(&mut w, id), "remaining"), "2");
                assert_eq!(rule(complete(&mut w, id)), "WO-16.R3");
            }
        }
    }

    #[test]
    fn i2_scrap_counts_as_made_unless_it_is_replaced() {
        let mut w = World::new();
        for (replace, remaining) in [(false, "0"), (true, "1")] {
            let id = w.bracket_with(5, json!({"replace_scrap": replace}));
            w.release(id);
            w.start(&lead(), id, 10, "cell-1");
            let report = e(w.fresh());
            let p = json!({"op": 10, "report_id": report, "good": 4, "scrap": [{"qty": 1, "reason": "surface"}]});
            w.lead("work-order.report-quantity", id, p).unwrap();
            assert_eq!(w.order(id).remaining().to_string(), remaining);
            assert_eq!(w.order(id).progress_pct(), 80);
        }
    }

    #[test]
    fn wo_16_r4_a_demanded_inspection_has_its_result() {
        let mut w = World::new();
        for plan in ["first_piece", "sampling", "each", "final"] {
            let id = w.bracket_with(
                1,
                json!({"routing": [{"op": 10, "name": "a", "cell_id": "cell-1", "inspection": plan}]}),
            );
            w.release(id);
            w.start(&lead(), id, 10, "cell-1");
            w.good(id, 10, 1);
            w.lead("work-order.pause-operation", id, json!({"op": 10, "session_id": w.order(id).operations[0].sessions[0].session_id.to_string(), "reason": "break"})).unwrap();
            // WO-32.R3 refuses this; history might hold it.
            w.given(
                id,
                OperationCompletedV1 {
                    op: 10,
                    good: Qty::whole(1),
                    scrap: Qty::ZERO,
                    rework_open: Qty::ZERO,
                    run_time: Seconds(0),
                    setup_time: Seconds(0),
                    labour_time: Seconds(0),
                    shortfall_confirmed: false,
                },
            );
            assert_eq!(rule(complete(&mut w, id)), "WO-16.R4", "{plan}");
        }
    }

    fn made_pumps(w: &mut World) -> AggregateId {
        let id = w.pump(2);
        w.release(id);
        w.start(&lead(), id, 10, "cell-1");
        w.good(id, 10, 2);
        w.finish_op(id, 10);
        w.start(&lead(), id, 20, "cell-2");
        w.good(id, 20, 2);
        w.finish_op(id, 20);
        id
    }

    fn unit(w: &mut World, id: AggregateId, serial: &str, result: &str) {
        w.lead("work-order.register-unit", id, json!({"serial": serial, "op": 20, "result": result})).unwrap();
    }

    #[test]
    fn wo_16_r6_every_good_piece_has_its_unit() {
        let mut w = World::new();
        let id = made_pumps(&mut w);
        unit(&mut w, id, "P-1", "good");
        unit(&mut w, id, "P-2", "scrap");
        assert_eq!(rule(complete(&mut w, id)), "WO-16.R6");
        unit(&mut w, id, "P-3", "good");
        assert!(crate::invariants::i4_holds(w.order(id)));
        let mut over = w.clone();
        unit(&mut over, id, "P-4", "good");
        assert_eq!(rule(complete(&mut over, id)), "WO-16.R6");
        complete(&mut w, id).unwrap();
    }

    #[test]
    fn wo_16_r6_a_lot_is_named_where_lots_are_tracked() {
        let mut w = World::new();
        w.put("product", "bracket-10", json!({"uom": "H87", "tracking": "lot"})).unwrap();
        let id = w.made_bracket(2);
        assert_eq!(rule(complete(&mut w, id)), "WO-16.R6");
        let id = w.running_bracket(2);
        w.lead("work-order.report-quantity", id, json!({"op": 10, "report_id": e(5), "good": 2, "lot": "L-1"}))
            .unwrap();
        w.finish_op(id, 10);
        complete(&mut w, id).unwrap();
        // Nothing good was made: there is no lot to name.
        let id = w.running_bracket(1);
        let p = json!({"op": 10, "report_id": e(6), "scrap": [{"qty": 1, "reason": "surface"}]});
        w.lead("work-order.report-quantity", id, p).unwrap();
        w.finish_op(id, 10);
        complete(&mut w, id).unwrap();
    }

    #[test]
    fn wo_16_r7_nothing_waits_for_rework() {
        let mut w = World::new();
        let id = w.bracket_with(5, json!({"under_tolerance_pct": "20"}));
        w.release(id);
        w.start(&lead(), id, 10, "cell-1");
        let p = json!({"op": 10, "report_id": e(1), "good": 4, "rework": [{"qty": 1, "reason": "surface"}]});
        w.lead("work-order.report-quantity", id, p).unwrap();
        w.finish_op(id, 10);
        assert_eq!(rule(complete(&mut w, id)), "WO-16.R7");
        let p = json!({"op": 10, "report_id": e(2), "source": "rework", "good": 1});
        w.lead("work-order.report-quantity", id, p).unwrap();
        complete(&mut w, id).unwrap();
    }

    #[test]
    fn wo_16_an_order_does_not_end_before_it_was_started() {
        let mut w = World::new();
        let id = w.made_bracket(5);
        let start = w.order(id).actual_start.unwrap();
        assert_eq!(rule(w.run_at(start.plus_millis(-1), &lead(), "work-order.complete", id, json!({}))), "G3");
        w.run_at(start, &lead(), "work-order.complete", id, json!({})).unwrap();
    }

    #[test]
    fn wo_16_an_operator_completes_where_the_site_says_so() {
        let mut w = World::new();
        let id = w.made_bracket(5);
        let who = actor("operator-1", &[(Role::Operator, Allowance::Setting)]);
        assert_eq!(code(w.run(&who, "work-order.complete", id, json!({}))), ErrorCode::Forbidden);
        w.put("site", "plant-1", json!({"settings": {"operator_completes": true}})).unwrap();
        assert_eq!(w.run(&who, "work-order.complete", id, json!({})).unwrap().role, Role::Operator);
    }
}
