//! WO-03 `work-order.plan`: line and dates.
//!
//! R3 (BOM and routing present) holds by construction: the creation copied them, and an order
//! without a routing has its implicit operation.

use std::collections::BTreeSet;

use mw_contract::command::work_order::{OperationPlan, PlanWorkOrder};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::parts::OperationPlanV1;
use mw_contract::event::work_order::WorkOrderPlannedV1;
use mw_contract::{CommandType, Instant, LineId, Rejection, Warning};

use crate::facts::{Production, StandardWork};
use crate::load::Span;
use crate::rules::{Case, Holds, authorise, need_cell};
use crate::state::ProductionState;

/// Decides WO-03.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &PlanWorkOrder,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let case = Case::open(facts, state, CommandType::WorkOrderPlan, ctx)?;
    let site = &case.order.site_id;
    starts_before_end("WO-03.R1", Some(p.planned_start), Some(p.planned_end), "payload.planned_end")?;
    if facts.line_at(site, &p.line_id).is_none() {
        return Err(
            Rejection::guard("WO-03.R2", format!("{} is not a line of {site} in use", p.line_id)).at("payload.line_id")
        );
    }
    let operations = operations(&case, p.operations.as_deref().unwrap_or_default())?;
    let planned = WorkOrderPlannedV1 {
        line_id: p.line_id.clone(),
        planned_start: p.planned_start,
        planned_end: p.planned_end,
        operations,
    };
    let mut decision = case.decided(role, vec![planned.into()]);
    decision.warnings = warnings(&case, &p.line_id, p.planned_start, p.planned_end);
    Ok(decision)
}

/// The wishes for single operations: each operation is there, named once, and so is its cell.
pub(crate) fn operations(case: &Case<'_>, asked: &[OperationPlan]) -> Result<Vec<OperationPlanV1>, Rejection> {
    let mut seen = BTreeSet::new();
    let mut operations = Vec::new();
    for (i, o) in asked.iter().enumerate() {
        let path = format!("payload.operations[{i}]");
        case.op(o.op).map_err(|r| r.at(format!("{path}.op")))?;
        if !seen.insert(o.op) {
            return Err(Rejection::invalid(format!("{path}.op"), "stands twice"));
        }
        starts_before_end("WO-03.R1", o.planned_start, o.planned_end, &format!("{path}.planned_end"))?;
        if let Some(cell) = &o.cell_id {
            need_cell(case.facts, &case.order.site_id, cell, &format!("{path}.cell_id"))?;
        }
        operations.push(copy(o));
    }
    Ok(operations)
}

fn copy(o: &OperationPlan) -> OperationPlanV1 {
    OperationPlanV1 { op: o.op, cell_id: o.cell_id.clone(), planned_start: o.planned_start, planned_end: o.planned_end }
}

/// WO-03.R1, WO-05.R1.
pub(crate) fn starts_before_end(
    rule: &'static str,
    start: Option<Instant>,
    end: Option<Instant>,
    field: &str,
) -> Result<(), Rejection> {
    match (start, end) {
        (Some(s), Some(e)) if s >= e => {
            Err(Rejection::guard(rule, "planned_start must be before planned_end").at(field))
        }
        _ => Ok(()),
    }
}

/// WO-03.R4: worth knowing, no reason to refuse.
pub(crate) fn warnings(case: &Case<'_>, line: &LineId, start: Instant, end: Instant) -> Vec<Warning> {
    let mut out = Vec::new();
    let work = StandardWork::of(&case.order.routing).total(case.order.planned_qty);
    if case.facts.overloaded(case.order.id, line, Span { start, end, work }) {
        let message = format!("{line} has more planned work than it can do in this interval");
        out.push(Warning { code: "line_overloaded".into(), message });
    }
    if end > case.order.due_at {
        let message = format!("planned_end is after the due date {}", case.order.due_at);
        out.push(Warning { code: "ends_after_due".into(), message });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{World, code, data, rule};
    use mw_contract::{AggregateId, ErrorCode};
    use serde_json::{Value, json};

    fn plan(w: &mut World, id: AggregateId, more: Value) -> Result<Decision, Rejection> {
        let mut p = World::plan_payload();
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        w.planner("work-order.plan", id, p)
    }

    fn completed(w: &World) -> mw_contract::event::work_order::WorkOrderCompletedV1 {
        mw_contract::event::work_order::WorkOrderCompletedV1 {
            good: mw_contract::Qty::ZERO,
            scrap: mw_contract::Qty::ZERO,
            rework: mw_contract::Qty::ZERO,
            actual_start: None,
            actual_end: w.now,
            material_variance: Vec::new(),
            short_closed: true,
            note: None,
        }
    }

    fn codes(d: &Decision) -> Vec<&str> {
        d.warnings.iter().map(|x| x.code.as_str()).collect()
    }

    #[test]
    fn wo_03_gives_line_dates_and_cells() {
        let mut w = World::new();
        let id = w.pump(5);
        let ops = json!([{"op": 20, "cell_id": "cell-1", "planned_start": "2026-03-03T09:00:00.000Z", "planned_end": "2026-03-03T10:00:00.000Z"}, {"op": 10}]);
        let d = plan(&mut w, id, json!({"operations": ops})).unwrap();
        assert_eq!(data(&d, 0)["operations"][0]["cell_id"], "cell-1");
        assert!(d.warnings.is_empty());
        let o = w.order(id);
        assert_eq!(o.line_id.as_ref().unwrap().as_str(), "line-1");
        assert_eq!(o.planned_end.unwrap().since(o.planned_start.unwrap()), 8 * 3_600_000);
        let op = |n| o.operation(n).unwrap();
        assert_eq!(op(20).cell_id.as_ref().unwrap().as_str(), "cell-1");
        assert_eq!(op(20).planned_end.unwrap().since(op(20).planned_start.unwrap()), 3_600_000);
        assert_eq!(op(10).cell_id.as_ref().unwrap().as_str(), "cell-1");
    }

    #[test]
    fn wo_03_r1_it_starts_before_it_ends() {
        let mut w = World::new();
        let id = w.pump(5);
        let same = "2026-03-03T08:00:00.000Z";
        assert_eq!(rule(plan(&mut w, id, json!({"planned_end": same}))), "WO-03.R1");
        let ops = json!([{"op": 10, "planned_start": same, "planned_end": same}]);
        assert_eq!(rule(plan(&mut w, id, json!({"operations": ops}))), "WO-03.R1");
    }

    #[test]
    fn wo_03_r2_the_line_belongs_to_the_site() {
        let mut w = World::new();
        let id = w.pump(5);
        w.put("line", "line-b", json!({"site": "plant-2"})).unwrap();
        assert_eq!(rule(plan(&mut w, id, json!({"line_id": "line-b"}))), "WO-03.R2");
        assert_eq!(rule(plan(&mut w, id, json!({"line_id": "line-9"}))), "WO-03.R2");
    }

    #[test]
    fn wo_03_r3_an_order_without_routing_or_bom_can_be_planned() {
        let mut w = World::new();
        let id = w.bracket(5);
        plan(&mut w, id, json!({})).unwrap();
    }

    #[test]
    fn wo_03_r4_overload_and_lateness_are_warnings() {
        let mut w = World::new();
        // 600 pumps are 54,300 s of work, 100 more 9,300 s; two cells have 57,600 s in eight hours.
        let big = w.pump(600);
        assert!(codes(&plan(&mut w, big, json!({})).unwrap()).is_empty());
        let more = w.pump(100);
        assert_eq!(codes(&plan(&mut w, more, json!({})).unwrap()), ["line_overloaded"]);
        // A cancelled order's work is taken away again.
        for id in [big, more] {
            w.planner("work-order.cancel", id, json!({"reason": "no_demand"})).unwrap();
        }
        let again = w.pump(600);
        let d = plan(&mut w, again, json!({})).unwrap();
        assert!(codes(&d).is_empty());
        // A later plan takes the place of an earlier one.
        w.given(again, d.events[0].1.clone());
        w.planner("work-order.cancel", again, json!({"reason": "no_demand"})).unwrap();
        // So is that of an order that has ended: what it had planned is over.
        let ended = w.pump(600);
        w.release(ended);
        w.given(ended, completed(&w));
        let next = w.pump(600);
        assert!(codes(&plan(&mut w, next, json!({})).unwrap()).is_empty());
        let late = w.bracket(1);
        let d = plan(&mut w, late, json!({"planned_end": "2026-03-11T08:00:00.000Z"})).unwrap();
        assert_eq!(codes(&d), ["ends_after_due"]);
        let just = w.bracket(1);
        let d = plan(&mut w, just, json!({"planned_end": "2026-03-10T09:00:00.000Z"})).unwrap();
        assert!(codes(&d).is_empty());
    }

    #[test]
    fn wo_03_r4_an_amended_routing_counts_with_its_new_work() {
        let mut w = World::new();
        let id = w.pump(600);
        plan(&mut w, id, json!({})).unwrap();
        w.put(
            "routing",
            "quick",
            json!({"operations": [{"op": 10, "name": "all", "cell_id": "cell-1", "run_time_per_unit": 1}]}),
        )
        .unwrap();
        w.planner("work-order.amend", id, json!({"routing_ref": "quick"})).unwrap();
        let other = w.pump(600);
        assert!(codes(&plan(&mut w, other, json!({})).unwrap()).is_empty());
        // Of 57,600 s, 600 s are the quick order's and 54,300 s the other's: 2,550 s fit, 390 s more do not.
        let small = w.pump(25);
        assert!(codes(&plan(&mut w, small, json!({})).unwrap()).is_empty());
        let over = w.pump(1);
        assert_eq!(codes(&plan(&mut w, over, json!({})).unwrap()), ["line_overloaded"]);
    }

    #[test]
    fn wo_03_r4_rescheduled_and_added_work_counts_where_it_is_now() {
        let mut w = World::new();
        let id = w.pump(600);
        plan(&mut w, id, json!({})).unwrap();
        // The big order goes a day on: its place is free, and the next day is full.
        let day_on = json!({"planned_start": "2026-03-04T08:00:00.000Z", "planned_end": "2026-03-04T16:00:00.000Z",
            "reason": "x"});
        w.planner("work-order.reschedule", id, day_on).unwrap();
        let other = w.pump(600);
        assert!(codes(&plan(&mut w, other, json!({})).unwrap()).is_empty());
        let next = w.pump(100);
        let then = json!({"planned_start": "2026-03-04T08:00:00.000Z", "planned_end": "2026-03-04T16:00:00.000Z"});
        assert_eq!(codes(&plan(&mut w, next, then).unwrap()), ["line_overloaded"]);
        // 54,300 s of 57,600 s are planned; one more operation of 6 s a piece takes the rest.
        w.planner("work-order.cancel", next, json!({"reason": "no_demand"})).unwrap();
        w.planner("work-order.release", other, json!({})).unwrap();
        let small = w.bracket_with(10, json!({"routing": [{"op": 10, "name": "a", "run_time_per_unit": 60}]}));
        let planned = plan(&mut w, small, json!({})).unwrap();
        assert!(codes(&planned).is_empty());
        let wipe = json!({"op": 30, "name": "wipe", "cell_class": "assembly", "setup_time": 0, "run_time_per_unit": 6, "reason": "quality"});
        w.planner("work-order.add-operation", other, wipe).unwrap();
        let late = w.bracket_with(1, json!({"routing": [{"op": 10, "name": "a", "run_time_per_unit": 60}]}));
        assert_eq!(codes(&plan(&mut w, late, json!({})).unwrap()), ["line_overloaded"]);
    }

    #[test]
    fn wo_03_operations_and_cells_must_exist() {
        let mut w = World::new();
        let id = w.pump(5);
        for (ops, field, expected) in [
            (json!([{"op": 11}]), "payload.operations[0].op", ErrorCode::NotFound),
            (json!([{"op": 10}, {"op": 10}]), "payload.operations[1].op", ErrorCode::Validation),
            (json!([{"op": 10, "cell_id": "cell-9"}]), "payload.operations[0].cell_id", ErrorCode::NotFound),
        ] {
            let r = plan(&mut w, id, json!({"operations": ops})).unwrap_err();
            assert_eq!((r.code, r.field.as_deref()), (expected, Some(field)));
        }
        assert_eq!(code(plan(&mut w, AggregateId(Default::default()), json!({}))), ErrorCode::NotFound);
    }
}
