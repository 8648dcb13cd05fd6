//! WO-05 `work-order.reschedule`: another line or other dates.

use mw_contract::command::work_order::RescheduleWorkOrder;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::parts::{OperationPlanV1, ScheduleV1};
use mw_contract::event::work_order::WorkOrderRescheduledV1;
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, Instant, Rejection, Role, Sealed};

use crate::facts::Production;
use crate::rules::{Case, Holds, authorise_if, need_reason};
use crate::state::{Operation, ProductionState};
use crate::work_order::plan::{operations, starts_before_end, warnings};

/// Decides WO-05.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &RescheduleWorkOrder,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    if p.line_id.is_none() && p.planned_start.is_none() && p.planned_end.is_none() && p.operations.is_none() {
        return Err(Rejection::invalid(
            "payload",
            "name at least one of line_id, planned_start, planned_end, operations",
        ));
    }
    // Somebody may do it somehow; whether this far depends on what it changes.
    authorise_if(ctx, Holds::default(), |_| true)?;
    let case = Case::open(facts, state, CommandType::WorkOrderReschedule, ctx)?;
    let order = case.order;
    let (reason, _) = need_reason(facts, catalogues::CHANGE, p.reason.as_ref(), p.note.as_ref())?;
    let asked = operations(&case, p.operations.as_deref().unwrap_or_default())?;
    let new = ScheduleV1 {
        line_id: p.line_id.clone().or_else(|| order.line_id.clone()),
        planned_start: p.planned_start.or(order.planned_start),
        planned_end: p.planned_end.or(order.planned_end),
        operations: asked.iter().filter_map(|a| Some(merged(order.operation(a.op)?, a))).collect(),
    };
    let old = ScheduleV1 {
        line_id: order.line_id.clone(),
        planned_start: order.planned_start,
        planned_end: order.planned_end,
        operations: asked.iter().filter_map(|a| order.operation(a.op)).map(planned).collect(),
    };
    let near = old.line_id == new.line_id && same_days(&case, &old, &new) && same_line(&case, &old, &new);
    let role = authorise_if(ctx, Holds::default(), |r| r != Role::LineLead || near)?;
    starts_before_end("WO-05.R1", new.planned_start, new.planned_end, "payload.planned_end")?;
    for (i, o) in new.operations.iter().enumerate() {
        starts_before_end("WO-05.R1", o.planned_start, o.planned_end, &format!("payload.operations[{i}].planned_end"))?;
    }
    let moved = |(o, n): (&OperationPlanV1, &OperationPlanV1)| {
        (o.planned_start != n.planned_start || o.cell_id != n.cell_id).then_some(o.op)
    };
    let moved: Vec<u16> = old.operations.iter().zip(&new.operations).filter_map(moved).collect();
    let moved: Vec<u16> =
        moved.into_iter().filter(|op| order.operation(*op).is_some_and(Operation::was_started)).collect();
    if !moved.is_empty() {
        let message = "an operation that was started keeps its start and its cell";
        return Err(Rejection::guard("WO-05.R2", message).with("operations", moved));
    }
    if old.line_id != new.line_id {
        check_line(&case, p)?;
    }
    let warnings = match (&new.line_id, new.planned_start, new.planned_end) {
        (Some(line), Some(start), Some(end)) => warnings(&case, line, start, end),
        _ => Vec::new(),
    };
    let note = p.note.as_ref().map(Sealed::plain);
    let rescheduled = WorkOrderRescheduledV1 { old, new, reason: reason.clone(), note };
    Ok(Decision { warnings, ..case.decided(role, vec![rescheduled.into()]) })
}

/// WO-05.R3, and that the line is there.
fn check_line(case: &Case<'_>, p: &RescheduleWorkOrder) -> Result<(), Rejection> {
    let (order, site) = (case.order, &case.order.site_id);
    if p.line_id.as_ref().is_some_and(|l| case.facts.line_at(site, l).is_none()) {
        return Err(Rejection::not_found(format!("{site} has no such line in use")).at("payload.line_id"));
    }
    if order.operations.iter().any(Operation::was_started) {
        return Err(Rejection::guard("WO-05.R3", "an operation was started: the line can't change any more"));
    }
    Ok(())
}

fn planned(o: &Operation) -> OperationPlanV1 {
    OperationPlanV1 { op: o.op, cell_id: o.cell_id.clone(), planned_start: o.planned_start, planned_end: o.planned_end }
}

fn merged(o: &Operation, asked: &OperationPlanV1) -> OperationPlanV1 {
    OperationPlanV1 {
        op: o.op,
        cell_id: asked.cell_id.clone().or_else(|| o.cell_id.clone()),
        planned_start: asked.planned_start.or(o.planned_start),
        planned_end: asked.planned_end.or(o.planned_end),
    }
}

/// Do start and end stay on their days, by the site's clock? (What a line lead may move.)
fn same_days(case: &Case<'_>, old: &ScheduleV1, new: &ScheduleV1) -> bool {
    let zone = case.facts.time_zone(&case.order.site_id);
    let day = |t: Option<Instant>| t.map(|t| t.day_in(zone));
    let days = |start, end| (day(start), day(end));
    let mut plans = old.operations.iter().zip(&new.operations);
    days(old.planned_start, old.planned_end) == days(new.planned_start, new.planned_end)
        && plans.all(|(o, n)| {
            // What had no time of its own yet is planned within the order's.
            let within = (o.planned_start.or(old.planned_start), o.planned_end.or(old.planned_end));
            days(within.0, within.1) == days(n.planned_start.or(within.0), n.planned_end.or(within.1))
        })
}

/// Do operations stay on cells of the line?
fn same_line(case: &Case<'_>, old: &ScheduleV1, new: &ScheduleV1) -> bool {
    let line = |o: &OperationPlanV1| {
        let cell = o.cell_id.as_ref()?;
        Some(&case.facts.cell_at(&case.order.site_id, cell)?.line)
    };
    let mut moved = old.operations.iter().zip(&new.operations).filter(|(o, n)| o.cell_id != n.cell_id);
    moved.all(|(_, n)| line(n).is_none_or(|l| Some(l) == new.line_id.as_ref()))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, code, data, detail, lead, names, planner, rule};
    use mw_contract::{ErrorCode, Role, WorkOrderState};
    use serde_json::json;

    const LATER: &str = "2026-03-05T16:00:00.000Z";

    #[test]
    fn wo_05_tells_old_and_new_and_keeps_what_is_not_named() {
        let mut w = World::new();
        let id = w.pump(5);
        w.planner("work-order.plan", id, World::plan_payload()).unwrap();
        assert_eq!(code(w.planner("work-order.reschedule", id, json!({"reason": "x"}))), ErrorCode::Validation);
        let p = json!({"planned_end": LATER, "operations": [{"op": 20, "cell_id": "cell-1"}]});
        assert_eq!(code(w.planner("work-order.reschedule", id, p.clone())), ErrorCode::ReasonRequired);
        let mut p = p;
        p["reason"] = json!("no_capacity");
        let d = w.planner("work-order.reschedule", id, p).unwrap();
        assert_eq!(names(&d), ["WorkOrderRescheduled"]);
        let (old, new) = (&data(&d, 0)["old"], &data(&d, 0)["new"]);
        assert_eq!((&old["planned_end"], &new["planned_end"]), (&json!("2026-03-03T16:00:00.000Z"), &json!(LATER)));
        assert_eq!((&old["planned_start"], &old["line_id"]), (&new["planned_start"], &new["line_id"]));
        assert_eq!(
            (&old["operations"][0]["cell_id"], &new["operations"][0]["cell_id"]),
            (&json!("cell-2"), &json!("cell-1"))
        );
        let o = w.order(id);
        assert_eq!((o.planned_end.unwrap().to_string().as_str(), o.state), (LATER, WorkOrderState::Planned));
        assert_eq!(o.operations[1].cell_id.as_ref().unwrap().as_str(), "cell-1");
    }

    #[test]
    fn wo_05_r1_start_before_end() {
        let mut w = World::new();
        let id = w.in_state(WorkOrderState::Planned);
        let p = json!({"planned_start": LATER, "reason": "x"});
        assert_eq!(rule(w.planner("work-order.reschedule", id, p)), "WO-05.R1");
        let op = json!([{"op": 10, "planned_start": LATER}]);
        w.planner("work-order.reschedule", id, json!({"operations": op, "reason": "x"})).unwrap();
        let op = json!([{"op": 10, "planned_end": "2026-03-05T15:00:00.000Z"}]);
        assert_eq!(rule(w.planner("work-order.reschedule", id, json!({"operations": op, "reason": "x"}))), "WO-05.R1");
    }

    #[test]
    fn wo_05_r2_a_started_operation_keeps_start_and_cell() {
        let mut w = World::new();
        let id = w.pump(5);
        w.release(id);
        w.start(&lead(), id, 10, "cell-1");
        for change in [json!({"cell_id": "cell-2"}), json!({"planned_start": "2026-03-03T09:00:00.000Z"})] {
            let mut op = json!({"op": 10});
            op.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            let refused = w.planner("work-order.reschedule", id, json!({"operations": [op], "reason": "x"}));
            assert_eq!(detail(refused.clone(), "operations"), json!([10]));
            assert_eq!(rule(refused), "WO-05.R2");
        }
        let both = json!([{"op": 10, "planned_end": LATER, "cell_id": "cell-1"}, {"op": 20, "cell_id": "cell-1"}]);
        w.planner("work-order.reschedule", id, json!({"operations": both, "reason": "x"})).unwrap();
    }

    #[test]
    fn wo_05_r3_the_line_changes_only_before_the_start() {
        let mut w = World::new();
        w.put("line", "line-2", json!({"site": "plant-1"})).unwrap();
        let id = w.in_state(WorkOrderState::Released);
        let to = |line: &str| json!({"line_id": line, "reason": "x"});
        assert_eq!(code(w.planner("work-order.reschedule", id, to("line-9"))), ErrorCode::NotFound);
        w.planner("work-order.reschedule", id, to("line-2")).unwrap();
        assert_eq!(w.order(id).line_id.as_ref().unwrap().as_str(), "line-2");
        w.planner("work-order.reschedule", id, to("line-1")).unwrap();
        w.start(&lead(), id, 10, "cell-1");
        assert_eq!(rule(w.planner("work-order.reschedule", id, to("line-2"))), "WO-05.R3");
        w.planner("work-order.reschedule", id, to("line-1")).unwrap();
    }

    #[test]
    fn wo_05_a_line_lead_stays_on_line_and_day() {
        let mut w = World::new();
        w.put("line", "line-2", json!({"site": "plant-1"})).unwrap();
        w.put("site", "plant-1", json!({"time_zone": "Asia/Tokyo"})).unwrap();
        let id = w.in_state(WorkOrderState::Planned);
        // 17:00 to 01:00 in Tokyo; 23:59 is still the first day, midnight is not.
        let start = |t: &str| json!({"planned_start": t, "reason": "x"});
        w.put("cell", "cell-9", json!({"line": "line-2"})).unwrap();
        let op = |o: serde_json::Value| json!({"operations": [o], "reason": "x"});
        let allowed = w.ask(&lead(), "work-order.reschedule", id, start("2026-03-03T14:59:00.000Z")).unwrap();
        assert_eq!(allowed.role, Role::LineLead);
        for p in [
            start("2026-03-03T15:00:00.000Z"),
            json!({"line_id": "line-2", "reason": "x"}),
            json!({"planned_end": LATER, "reason": "x"}),
            op(json!({"op": 10, "planned_end": "2026-03-04T15:00:00.000Z"})),
            op(json!({"op": 10, "cell_id": "cell-9"})),
        ] {
            assert_eq!(code(w.ask(&lead(), "work-order.reschedule", id, p.clone())), ErrorCode::Forbidden, "{p}");
            w.ask(&planner(), "work-order.reschedule", id, p).unwrap();
        }
        w.ask(&lead(), "work-order.reschedule", id, op(json!({"op": 10, "cell_id": "cell-2"}))).unwrap();
    }

    #[test]
    fn wo_05_its_own_work_does_not_overload_the_line() {
        let mut w = World::new();
        let id = w.pump(600);
        // 600 pieces of 90 s and the setup are 15 h 5 min, for two cells in 8 h.
        assert!(w.planner("work-order.plan", id, World::plan_payload()).unwrap().warnings.is_empty());
        let p = json!({"planned_end": "2026-03-03T16:30:00.000Z", "reason": "x"});
        assert!(w.planner("work-order.reschedule", id, p).unwrap().warnings.is_empty());
        let shorter = json!({"planned_end": "2026-03-03T12:00:00.000Z", "reason": "x"});
        assert_eq!(w.planner("work-order.reschedule", id, shorter).unwrap().warnings[0].code, "line_overloaded");
    }
}
