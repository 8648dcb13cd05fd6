//! WO-28 `work-order.start-operation` and WO-30 `work-order.resume-operation`: work begins.
//!
//! A start opens a session on an operation that is ready, running or paused; a further operator
//! joins with it. A resumption goes on with what was paused: the operation itself, or, while
//! others run it, the operator's own paused session. Material that is missing is a warning.

use mw_contract::command::work_order::{ResumeOperation, StartOperation};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::work_order::{OperationResumedV1, OperationStartedV1, WorkOrderStartedV1};
use mw_contract::{
    AccountName, CellId, CommandType, EntityId, Event, OperationState, Rejection, Role, Seconds, SessionKind, Warning,
};

use crate::facts::Production;
use crate::invariants::material_short;
use crate::quality::first_piece_is_missing;
use crate::rules::{
    Case, Holds, all_valid, authorise, check_qty, exists, need_cell, not_before, settings, skill_lacking,
    unskilled_warning,
};
use crate::state::WorkOrder;
use crate::state::{Operation, ProductionState};

/// Decides WO-28.
pub fn start(
    facts: &Production,
    state: &ProductionState,
    p: &StartOperation,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let case = Case::open(facts, state, CommandType::WorkOrderStartOperation, ctx)?;
    let op = case.op(p.op)?;
    let kind = p.kind.unwrap_or(SessionKind::Run);
    let session = Begin { op, session_id: p.session_id, operator: p.operator.as_ref(), cell: &p.cell_id, kind };
    let role = session.authorise(&case)?;
    let mut errors = Vec::new();
    if let Some(q) = p.qty_planned {
        check_qty(&mut errors, case.order.uom.is_piece(), "payload.qty_planned", q);
    }
    all_valid(errors)?;
    let warnings = session.check(&case)?;
    let operator = session.operator(ctx).clone();
    let started = OperationStartedV1 {
        op: op.op,
        session_id: p.session_id,
        cell_id: p.cell_id.clone(),
        operator,
        kind,
        qty_planned: p.qty_planned,
    };
    let mut events: Vec<Event> = vec![started.into()];
    if case.order.actual_start.is_none() {
        events.push(WorkOrderStartedV1 { actual_start: ctx.occurred_at }.into());
    }
    Ok(Decision { warnings, ..case.decided(role, events) })
}

/// Decides WO-30. Elapsed time is the sum of the sessions; it never starts again from zero.
pub fn resume(
    facts: &Production,
    state: &ProductionState,
    p: &ResumeOperation,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let case = Case::open(facts, state, CommandType::WorkOrderResumeOperation, ctx)?;
    let op = case.op(p.op)?;
    let operator = p.operator.as_ref().unwrap_or(&ctx.actor.account);
    let op_state = case.order.operation_state(op);
    let before = op.resumed_from(operator).filter(|s| match op_state {
        OperationState::Paused => true,
        OperationState::Running => s.operator == *operator,
        _ => false,
    });
    let Some(before) = before else {
        return Err(Rejection::invalid_state("resume-operation", op_state.as_str(), &["paused"]).with("op", op.op));
    };
    let cell = p.cell_id.as_ref().unwrap_or(&before.cell_id);
    let session = Begin { op, session_id: p.session_id, operator: p.operator.as_ref(), cell, kind: before.kind };
    let role = session.authorise(&case)?;
    let warnings = session.check(&case)?;
    let paused_at = before.ended_at.unwrap_or(ctx.occurred_at);
    not_before(ctx.occurred_at, paused_at, "the pause would end before it began")?;
    let resumed = OperationResumedV1 {
        op: op.op,
        session_id: p.session_id,
        cell_id: cell.clone(),
        operator: operator.clone(),
        paused_for: Seconds::between(paused_at, ctx.occurred_at),
    };
    Ok(Decision { warnings, ..case.decided(role, vec![resumed.into()]) })
}

/// A session that is about to begin.
struct Begin<'a> {
    op: &'a Operation,
    session_id: EntityId,
    operator: Option<&'a AccountName>,
    cell: &'a CellId,
    kind: SessionKind,
}

impl Begin<'_> {
    fn operator<'x>(&'x self, ctx: &'x DecisionContext<'_>) -> &'x AccountName {
        self.operator.unwrap_or(&ctx.actor.account)
    }

    /// An operator starts for itself only; WO-28.R8: a device for itself and at its own cell.
    fn authorise(&self, case: &Case<'_>) -> Result<Role, Rejection> {
        let actor = case.ctx.actor;
        let own = *self.operator(case.ctx) == actor.account;
        let own_cell = own && actor.cell.as_ref() == Some(self.cell);
        authorise(case.ctx, Holds { own, own_cell, ..Holds::default() })
            .map_err(|r| if actor.has(Role::Device) { r.with("rule", "WO-28.R8") } else { r })
    }

    /// WO-28.R1 to R7, for a start and a resumption alike.
    fn check(&self, case: &Case<'_>) -> Result<Vec<Warning>, Rejection> {
        let (op, facts, site) = (self.op, case.facts, &case.order.site_id);
        if case.order.sessions().any(|(_, s)| s.session_id == self.session_id) {
            return Err(exists(format!("session {} exists already", self.session_id)).at("payload.session_id"));
        }
        let op_state = case.order.operation_state(op);
        if !matches!(op_state, OperationState::Ready | OperationState::Running | OperationState::Paused) {
            let message = format!("operation {} is {op_state}: it can't be started now", op.op);
            return Err(Rejection::guard("WO-28.R1", message)
                .with("state", op_state.as_str())
                .with("predecessors", op.predecessors.clone()));
        }
        need_cell(facts, site, self.cell, "payload.cell_id")?;
        if !case.cell_fits(op, self.cell) {
            let right = match (&op.cell_id, &op.cell_class) {
                (Some(c), _) => format!("cell {c}"),
                (None, Some(class)) => format!("a cell of class {class}"),
                (None, None) => "a cell of the order's line".to_owned(),
            };
            return Err(
                Rejection::guard("WO-28.R2", format!("operation {} is done at {right}", op.op)).at("payload.cell_id")
            );
        }
        let closed = facts.cell_at(site, self.cell).is_some_and(|c| c.maintenance);
        if closed || facts.cells.in_maintenance(self.cell) {
            return Err(Rejection::guard("WO-28.R3", format!("cell {} is in maintenance", self.cell)));
        }
        if let Some(downtime) = facts.cells.breakdown(self.cell) {
            let message = format!("cell {} has broken down: end that downtime first", self.cell);
            return Err(Rejection::guard("WO-28.R3", message).with("downtime_id", downtime.to_string()));
        }
        let operator = self.operator(case.ctx);
        if op.open_sessions().any(|s| s.operator == *operator) {
            return Err(Rejection::guard("WO-28.R4", format!("{operator} is already at work on operation {}", op.op)));
        }
        if settings(facts, case.ctx).one_session_per_operator && facts.sessions_of(operator) > 0 {
            return Err(Rejection::guard("WO-28.R5", format!("{operator} has another open session: pause that first")));
        }
        let unskilled = skill_lacking(facts, site, self.cell, operator);
        if let Some(skill) = unskilled.filter(|_| settings(facts, case.ctx).skills_required) {
            let message = format!("{operator} lacks the skill {skill} that {} asks for", self.cell);
            return Err(Rejection::guard("WO-28.R6", message).with("skill", skill.as_str()));
        }
        if self.kind == SessionKind::Run && first_piece_is_missing(case.order, op) {
            return Err(Rejection::guard("WO-28.R7", "the first piece after the setup must pass its inspection first"));
        }
        let lacks = unskilled.map(|skill| unskilled_warning(operator, skill));
        Ok(lacks.into_iter().chain(material_missing(case.order, op)).collect())
    }
}

/// Work may begin without it, and somebody should know.
fn material_missing(order: &WorkOrder, op: &Operation) -> Option<Warning> {
    let lines = material_short(order, op);
    let message = format!("material of lines {lines:?} is neither set aside nor issued");
    (!lines.is_empty()).then(|| Warning { code: "material_missing".into(), message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{HOUR, MINUTE, World, admin, code, data, detail, device, e, lead, names, operator, rule};
    use mw_contract::{AggregateId, ErrorCode, OperationState, WorkOrderState};
    use serde_json::{Value, json};

    fn start(w: &World, op: u16, cell: &str, id: AggregateId) -> Result<Decision, Rejection> {
        ask(w, &lead(), id, json!({"op": op, "cell_id": cell}))
    }

    fn ask(w: &World, who: &mw_contract::decide::Actor, id: AggregateId, more: Value) -> Result<Decision, Rejection> {
        let mut p = json!({"op": 10, "session_id": e(500), "cell_id": "cell-1"});
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        w.ask(who, "work-order.start-operation", id, p)
    }

    fn pumps(w: &mut World) -> AggregateId {
        let id = w.pump(5);
        w.release(id);
        id
    }

    #[test]
    fn wo_28_the_first_start_also_starts_the_order() {
        let mut w = World::new();
        let id = pumps(&mut w);
        let p = json!({"op": 10, "session_id": e(1), "cell_id": "cell-1", "kind": "setup", "qty_planned": 5});
        let d = w.run(&operator("operator-1"), "work-order.start-operation", id, p).unwrap();
        assert_eq!(names(&d), ["OperationStarted", "WorkOrderStarted"]);
        let x = data(&d, 0);
        assert_eq!(
            (&x["operator"], &x["kind"], &x["qty_planned"]),
            (&json!("operator-1"), &json!("setup"), &json!("5"))
        );
        let o = w.order(id);
        assert_eq!((o.state, o.actual_start), (WorkOrderState::InProgress, Some(w.now)));
        let d = start(&w, 10, "cell-1", id).unwrap();
        assert_eq!(names(&d), ["OperationStarted"]);
        assert_eq!(data(&d, 0)["kind"], "run");
        assert_eq!(code(ask(&w, &lead(), id, json!({"qty_planned": "0.5"}))), ErrorCode::Validation);
        assert_eq!(code(ask(&w, &lead(), id, json!({"session_id": e(1)}))), ErrorCode::AlreadyExists);
        assert_eq!(code(start(&w, 11, "cell-1", id)), ErrorCode::NotFound);
    }

    #[test]
    fn wo_28_r1_predecessors_are_tested_at_the_start() {
        let mut w = World::new();
        let id = pumps(&mut w);
        assert_eq!(rule(start(&w, 20, "cell-2", id)), "WO-28.R1");
        w.start(&lead(), id, 10, "cell-1");
        w.good(id, 10, 5);
        assert_eq!(detail(start(&w, 20, "cell-2", id), "state"), "pending");
        w.finish_op(id, 10);
        start(&w, 20, "cell-2", id).unwrap();
        assert_eq!(rule(start(&w, 10, "cell-1", id)), "WO-28.R1");
    }

    #[test]
    fn wo_28_r1_a_transfer_batch_lets_the_next_operation_begin() {
        let mut w = World::new();
        let routing = json!([{"op": 10, "name": "a", "cell_id": "cell-1"},
            {"op": 20, "name": "b", "cell_id": "cell-2", "overlap": "transfer_batch", "transfer_batch_qty": "20"}]);
        let id = w.bracket_with(100, json!({"routing": routing}));
        w.release(id);
        w.start(&lead(), id, 10, "cell-1");
        w.good(id, 10, 19);
        assert_eq!(rule(start(&w, 20, "cell-2", id)), "WO-28.R1");
        w.good(id, 10, 1);
        w.start(&lead(), id, 20, "cell-2");
        w.good(id, 10, 60);
        let report = |n: u32| json!({"op": 20, "report_id": e(700), "good": n});
        assert_eq!(detail(w.lead("work-order.report-quantity", id, report(81)), "max_allowed"), "80");
        w.lead("work-order.report-quantity", id, report(80)).unwrap();
    }

    #[test]
    fn wo_28_r2_the_cell_is_the_assigned_one_or_of_the_class_or_of_the_line() {
        let mut w = World::new();
        let id = pumps(&mut w);
        assert_eq!(rule(start(&w, 10, "cell-2", id)), "WO-28.R2");
        assert_eq!(code(start(&w, 10, "cell-9", id)), ErrorCode::NotFound);
        w.put("cell", "press-1", json!({"line": "line-1", "class": "press"})).unwrap();
        w.put("line", "line-2", json!({"site": "plant-1"})).unwrap();
        w.put("cell", "cell-3", json!({"line": "line-2"})).unwrap();
        let id = w.bracket_with(1, json!({"routing": [{"op": 10, "name": "a", "cell_class": "press"}]}));
        w.release(id);
        assert_eq!(rule(start(&w, 10, "cell-1", id)), "WO-28.R2");
        start(&w, 10, "press-1", id).unwrap();
        let id = w.bracket(1);
        w.release(id);
        assert_eq!(rule(start(&w, 10, "cell-3", id)), "WO-28.R2");
        start(&w, 10, "cell-2", id).unwrap();
    }

    #[test]
    fn wo_28_r3_a_cell_in_maintenance_starts_nothing() {
        let mut w = World::new();
        let id = pumps(&mut w);
        w.put("cell", "cell-1", json!({"line": "line-1", "maintenance": true})).unwrap();
        assert_eq!(rule(start(&w, 10, "cell-1", id)), "WO-28.R3");
    }

    #[test]
    fn wo_28_r3_a_cell_that_has_broken_down_starts_nothing() {
        let (mut w, machine) = World::with_machine();
        let id = pumps(&mut w);
        let down = json!({"downtime_id": crate::fixture::e(1), "reason": "minor_stop"});
        w.lead("equipment.start-downtime", machine, down).unwrap();
        start(&w, 10, "cell-1", id).unwrap();
        let worse = json!({"downtime_id": crate::fixture::e(1), "reason": "breakdown"});
        w.lead("equipment.classify-downtime", machine, worse).unwrap();
        assert_eq!(rule(start(&w, 10, "cell-1", id)), "WO-28.R3");
        w.lead("equipment.end-downtime", machine, json!({"downtime_id": crate::fixture::e(1)})).unwrap();
        start(&w, 10, "cell-1", id).unwrap();
    }

    #[test]
    fn wo_28_r6_a_cell_may_ask_for_a_skill() {
        let mut w = World::new();
        let id = pumps(&mut w);
        w.put("cell", "cell-1", json!({"line": "line-1", "skill": "welding"})).unwrap();
        let skilled = json!({"name": "Skills", "entries": [{"code": "welding", "accounts": ["operator-1"]}]});
        w.put("catalogue", "skills", skilled).unwrap();
        let begin = |w: &World, who: &str| ask(w, &operator(who), id, json!({"cell_id": "cell-1"}));
        assert!(begin(&w, "operator-1").unwrap().warnings.is_empty());
        assert_eq!(begin(&w, "operator-2").unwrap().warnings[0].code, "skill_missing");
        let site = json!({"name": "P", "time_zone": "Europe/Berlin", "settings": {"skills_required": true}});
        w.put("site", "plant-1", site).unwrap();
        begin(&w, "operator-1").unwrap();
        assert_eq!(rule(begin(&w, "operator-2")), "WO-28.R6");
        // WO-12.R2 asks for the same where somebody is assigned.
        let assign = |who: &str| json!({"op": 10, "operators": [who], "cell_id": "cell-1"});
        w.lead("work-order.assign", id, assign("operator-1")).unwrap();
        assert_eq!(rule(w.lead("work-order.assign", id, assign("operator-2"))), "WO-12.R2");
    }

    #[test]
    fn wo_28_r7_after_a_setup_the_first_piece_passes_first() {
        let mut w = World::new();
        let mut p = World::create_payload("bracket-10", 5);
        p["routing"] = json!([{"op": 10, "name": "a", "cell_id": "cell-1", "inspection": "first_piece"}]);
        let id = w.create(p);
        w.release(id);
        let setup = json!({"op": 10, "cell_id": "cell-1", "session_id": crate::fixture::e(60), "kind": "setup"});
        w.lead("work-order.start-operation", id, setup).unwrap();
        let run = |w: &World| ask(w, &operator("operator-1"), id, json!({}));
        assert_eq!(rule(run(&w)), "WO-28.R7");
        let inspect = |w: &mut World, verdict: &str| {
            let n = w.fresh();
            let p = json!({"inspection_id": crate::fixture::e(n), "op": 10, "kind": "first_piece", "sample_size": 1,
                "verdict": verdict, "results": [{"characteristic": "width", "verdict": verdict}]});
            w.run(&crate::fixture::inspector(), "work-order.record-inspection", id, p).unwrap();
        };
        inspect(&mut w, "fail");
        assert_eq!(rule(run(&w)), "WO-28.R7");
        inspect(&mut w, "pass");
        run(&w).unwrap();
        // Another setup asks for another first piece.
        w.later(HOUR);
        let again = json!({"op": 10, "cell_id": "cell-2", "session_id": crate::fixture::e(61), "kind": "setup",
            "operator": "operator-3"});
        w.put("cell", "cell-2", json!({"line": "line-1"})).unwrap();
        w.lead("work-order.assign", id, json!({"op": 10, "cell_id": "cell-2"})).unwrap();
        w.lead("work-order.start-operation", id, again).unwrap();
        assert_eq!(rule(ask(&w, &operator("operator-1"), id, json!({"cell_id": "cell-2"}))), "WO-28.R7");
    }

    #[test]
    fn wo_28_missing_material_is_a_warning() {
        let mut w = World::new();
        let id = w.with_material(5);
        let begin = |w: &World| ask(w, &operator("operator-1"), id, json!({"cell_id": "cell-1"})).unwrap().warnings;
        assert_eq!(begin(&w)[0].code, "material_missing");
        let lines = json!([{"line_no": 1, "qty": 5, "from_location": "store"}]);
        w.lead("work-order.issue-material", id, json!({"issue_id": crate::fixture::e(70), "lines": lines})).unwrap();
        assert!(begin(&w).is_empty());
    }

    #[test]
    fn wo_30_a_resumption_warns_as_a_start_does() {
        let mut w = World::new();
        let id = w.with_material(5);
        let session = w.start(&operator("operator-1"), id, 10, "cell-1");
        w.lead("work-order.pause-operation", id, json!({"op": 10, "session_id": session, "reason": "break"})).unwrap();
        let again = json!({"op": 10, "session_id": crate::fixture::e(77)});
        let d = w.run(&operator("operator-1"), "work-order.resume-operation", id, again).unwrap();
        assert_eq!(d.warnings[0].code, "material_missing");
    }

    #[test]
    fn wo_28_r4_one_open_session_for_each_operator_and_operation() {
        let mut w = World::new();
        let id = pumps(&mut w);
        w.start(&operator("operator-1"), id, 10, "cell-1");
        assert_eq!(rule(ask(&w, &operator("operator-1"), id, json!({}))), "WO-28.R4");
        ask(&w, &operator("operator-2"), id, json!({})).unwrap();
    }

    #[test]
    fn wo_28_r5_one_session_anywhere_where_the_site_says_so() {
        let mut w = World::new();
        let (a, b) = (pumps(&mut w), pumps(&mut w));
        let session = w.start(&operator("operator-1"), a, 10, "cell-1");
        ask(&w, &operator("operator-1"), b, json!({})).unwrap();
        w.put("site", "plant-1", json!({"settings": {"one_session_per_operator": true}})).unwrap();
        assert_eq!(rule(ask(&w, &operator("operator-1"), b, json!({}))), "WO-28.R5");
        ask(&w, &operator("operator-2"), b, json!({})).unwrap();
        w.lead("work-order.pause-operation", a, json!({"op": 10, "session_id": session, "reason": "break"})).unwrap();
        ask(&w, &operator("operator-1"), b, json!({})).unwrap();
    }

    #[test]
    fn wo_28_r7_the_first_piece_after_a_setup_is_inspected() {
        let mut w = World::new();
        let routing =
            |plan: &str| json!({"routing": [{"op": 10, "name": "a", "cell_id": "cell-1", "inspection": plan}]});
        for (plan, refused) in [("first_piece", true), ("final", false)] {
            let id = w.bracket_with(1, routing(plan));
            w.release(id);
            start(&w, 10, "cell-1", id).unwrap();
            let setup = json!({"op": 10, "session_id": e(1), "cell_id": "cell-1", "kind": "setup"});
            w.lead("work-order.start-operation", id, setup).unwrap();
            let run = ask(&w, &operator("operator-1"), id, json!({}));
            if refused {
                assert_eq!(rule(run), "WO-28.R7")
            } else {
                drop(run.unwrap())
            }
            ask(&w, &operator("operator-1"), id, json!({"kind": "setup"})).unwrap();
        }
    }

    #[test]
    fn wo_28_r8_a_device_starts_at_its_own_cell_only() {
        let mut w = World::new();
        w.put("cell", "press-1", json!({"line": "line-1"})).unwrap();
        let id = pumps(&mut w);
        let r = ask(&w, &device("cell-2"), id, json!({})).unwrap_err();
        assert_eq!((r.code, &r.details.unwrap()["rule"]), (ErrorCode::Forbidden, &json!("WO-28.R8")));
        assert_eq!(code(ask(&w, &device("cell-1"), id, json!({"operator": "operator-1"}))), ErrorCode::Forbidden);
        assert_eq!(ask(&w, &device("cell-1"), id, json!({})).unwrap().role, Role::Device);
    }

    #[test]
    fn wo_28_an_operator_starts_for_itself_and_a_lead_for_another() {
        let mut w = World::new();
        let id = pumps(&mut w);
        let other = json!({"operator": "operator-2"});
        assert_eq!(code(ask(&w, &operator("operator-1"), id, other.clone())), ErrorCode::Forbidden);
        ask(&w, &operator("operator-2"), id, other.clone()).unwrap();
        assert_eq!(data(&ask(&w, &lead(), id, other.clone()).unwrap(), 0)["operator"], "operator-2");
        ask(&w, &admin(), id, other).unwrap();
    }

    #[test]
    fn wo_28_an_order_of_another_site_does_not_exist() {
        let mut w = World::new();
        let id = pumps(&mut w);
        for site in [Some("plant-2".parse().unwrap()), None] {
            w.site = site;
            assert_eq!(code(start(&w, 10, "cell-1", id)), ErrorCode::NotFound);
        }
    }

    fn resume(
        w: &World,
        who: &mw_contract::decide::Actor,
        id: AggregateId,
        more: Value,
    ) -> Result<Decision, Rejection> {
        let mut p = json!({"op": 10, "session_id": e(600)});
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        w.ask(who, "work-order.resume-operation", id, p)
    }

    fn pause(w: &mut World, who: &mw_contract::decide::Actor, id: AggregateId, session: &str) {
        w.run(who, "work-order.pause-operation", id, json!({"op": 10, "session_id": session, "reason": "break"}))
            .unwrap();
    }

    #[test]
    fn wo_30_goes_on_where_it_was_paused() {
        let mut w = World::new();
        let id = pumps(&mut w);
        let p = json!({"op": 10, "session_id": e(1), "cell_id": "cell-1", "kind": "setup"});
        w.run(&operator("operator-1"), "work-order.start-operation", id, p).unwrap();
        assert_eq!(detail(resume(&w, &operator("operator-2"), id, json!({})), "state"), "running");
        w.later(HOUR);
        pause(&mut w, &operator("operator-1"), id, &e(1));
        w.later(5 * MINUTE);
        let p = json!({"op": 10, "session_id": e(2)});
        let d = w.run(&operator("operator-1"), "work-order.resume-operation", id, p).unwrap();
        assert_eq!(names(&d), ["OperationResumed"]);
        let x = data(&d, 0);
        assert_eq!(
            (&x["paused_for"], &x["cell_id"], &x["operator"]),
            (&json!(300), &json!("cell-1"), &json!("operator-1"))
        );
        let op = w.order(id).operation(10).unwrap();
        assert_eq!(op.sessions[1].kind, SessionKind::Setup);
        assert_eq!(w.order(id).operation_state(op), OperationState::Running);
        assert_eq!(w.facts.sessions_of(&"operator-1".parse().unwrap()), 1);
    }

    #[test]
    fn wo_30_resumes_paused_work_and_joins_nobody() {
        let mut w = World::new();
        let id = pumps(&mut w);
        let r = resume(&w, &lead(), id, json!({})).unwrap_err();
        assert_eq!((r.code, &r.details.unwrap()["state"]), (ErrorCode::InvalidState, &json!("released")));
        let mine = w.start(&operator("operator-1"), id, 10, "cell-1");
        w.start(&operator("operator-2"), id, 10, "cell-1");
        w.later(MINUTE);
        pause(&mut w, &operator("operator-1"), id, &mine);
        // Others still run it: whoever paused goes on; whoever was never there starts.
        resume(&w, &operator("operator-1"), id, json!({})).unwrap();
        assert_eq!(code(resume(&w, &operator("operator-3"), id, json!({}))), ErrorCode::InvalidState);
        assert_eq!(
            code(resume(&w, &operator("operator-2"), id, json!({"operator": "operator-1"}))),
            ErrorCode::Forbidden
        );
        assert_eq!(rule(resume(&w, &operator("operator-2"), id, json!({}))), "WO-28.R4");
        assert_eq!(rule(resume(&w, &operator("operator-1"), id, json!({"cell_id": "cell-2"}))), "WO-28.R2");
        assert_eq!(code(resume(&w, &device("cell-1"), id, json!({}))), ErrorCode::InvalidState);
        w.finish_op(id, 10);
        assert_eq!(code(resume(&w, &operator("operator-1"), id, json!({}))), ErrorCode::InvalidState);
    }

    #[test]
    fn wo_30_goes_on_with_the_operators_last_session() {
        let mut w = World::new();
        let id = pumps(&mut w);
        let who = operator("operator-1");
        for (session, kind) in [(1, "setup"), (2, "run")] {
            let p = json!({"op": 10, "session_id": e(session), "cell_id": "cell-1", "kind": kind});
            w.run(&who, "work-order.start-operation", id, p).unwrap();
            w.later(MINUTE);
            pause(&mut w, &who, id, &e(session));
        }
        w.later(MINUTE);
        let d = w.run(&who, "work-order.resume-operation", id, json!({"op": 10, "session_id": e(3)})).unwrap();
        assert_eq!(data(&d, 0)["paused_for"], 60);
        assert_eq!(w.order(id).operation(10).unwrap().sessions[2].kind, SessionKind::Run);
        // Somebody who was never there goes on with the last one of anybody.
        w.later(MINUTE);
        pause(&mut w, &who, id, &e(3));
        w.later(2 * MINUTE);
        assert_eq!(data(&resume(&w, &operator("operator-2"), id, json!({})).unwrap(), 0)["paused_for"], 120);
    }

    #[test]
    fn wo_30_a_pause_does_not_end_before_it_began() {
        let mut w = World::new();
        let id = pumps(&mut w);
        let s = w.start(&operator("operator-1"), id, 10, "cell-1");
        w.later(MINUTE);
        pause(&mut w, &operator("operator-1"), id, &s);
        let p = json!({"op": 10, "session_id": e(2)});
        let early = w.now.plus_millis(-1);
        assert_eq!(rule(w.ask_at(early, &operator("operator-1"), "work-order.resume-operation", id, p)), "G3");
        resume(&w, &operator("operator-1"), id, json!({})).unwrap();
    }
}
