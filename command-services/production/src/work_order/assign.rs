//! WO-12 `work-order.assign` and WO-13 `work-order.unassign`: who does an operation, and where.

use std::collections::BTreeSet;

use mw_contract::command::work_order::{AssignOperation, UnassignOperation};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::work_order::{OperationAssignedV1, OperationUnassignedV1};
use mw_contract::{AccountName, CommandType, Rejection, Role};

use crate::facts::Production;
use crate::rules::{Case, Holds, authorise, need_cell, settings, skill_lacking, unskilled_warning};
use crate::state::ProductionState;

/// The most operators that one command names.
const MOST_OPERATORS: usize = 20;

/// Decides WO-12.
pub fn assign(
    facts: &Production,
    state: &ProductionState,
    p: &AssignOperation,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let operators = once_each(p.operators.as_deref().unwrap_or_default())?;
    let case = Case::open(facts, state, CommandType::WorkOrderAssign, ctx)?;
    let op = case.op(p.op)?;
    if p.cell_id.is_none() && operators.is_empty() && p.crew.is_none() {
        return Err(Rejection::guard("WO-12.R1", "name a cell, an operator or a crew"));
    }
    for (i, name) in operators.iter().enumerate() {
        let works = |r: &Role| matches!(r, Role::Operator | Role::LineLead);
        let here = ctx.people.person(name).filter(|x| x.sites.contains(&case.order.site_id));
        if !here.is_some_and(|x| x.roles.iter().any(works)) {
            let message = format!("{name} is no active operator of {}", case.order.site_id);
            return Err(Rejection::guard("WO-12.R2", message).at(format!("payload.operators[{i}]")));
        }
    }
    if let Some(cell) = &p.cell_id {
        need_cell(facts, &case.order.site_id, cell, "payload.cell_id")?;
        let class = facts.cell_at(&case.order.site_id, cell).and_then(|c| c.class.as_ref());
        if op.cell_class.is_some() && class != op.cell_class.as_ref() {
            let need = op.cell_class.as_ref().map(ToString::to_string).unwrap_or_default();
            return Err(Rejection::guard("WO-12.R3", format!("{cell} is not of class {need}")).with("class", need));
        }
    }
    let mut warnings = Vec::new();
    if let Some(cell) = p.cell_id.as_ref().or(op.cell_id.as_ref()) {
        for (i, name) in operators.iter().enumerate() {
            let Some(skill) = skill_lacking(facts, &case.order.site_id, cell, name) else { continue };
            if settings(facts, ctx).skills_required {
                let message = format!("{name} lacks the skill {skill} that {cell} asks for");
                return Err(Rejection::guard("WO-12.R2", message).at(format!("payload.operators[{i}]")));
            }
            warnings.push(unskilled_warning(name, skill));
        }
    }
    let assigned = OperationAssignedV1 { op: p.op, cell_id: p.cell_id.clone(), operators, crew: p.crew.clone() };
    Ok(Decision { warnings, ..case.decided(role, vec![assigned.into()]) })
}

/// Decides WO-13: not for whoever is at work on it.
pub fn unassign(
    facts: &Production,
    state: &ProductionState,
    p: &UnassignOperation,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let operators = once_each(&p.operators)?;
    if operators.is_empty() {
        return Err(Rejection::invalid("payload.operators", "names at least one"));
    }
    let case = Case::open(facts, state, CommandType::WorkOrderUnassign, ctx)?;
    let op = case.op(p.op)?;
    for (i, name) in operators.iter().enumerate() {
        if !op.assigned.contains(name) {
            let message = format!("{name} is not assigned to operation {}", p.op);
            return Err(Rejection::not_found(message).at(format!("payload.operators[{i}]")));
        }
        if op.open_sessions().any(|s| s.operator == *name) {
            return Err(Rejection::guard("WO-13", format!("{name} is at work on it: pause the session first")));
        }
    }
    Ok(case.decided(role, vec![OperationUnassignedV1 { op: p.op, operators }.into()]))
}

/// In the order in which they are named, nobody twice.
fn once_each(names: &[AccountName]) -> Result<Vec<AccountName>, Rejection> {
    if names.len() > MOST_OPERATORS {
        return Err(Rejection::invalid("payload.operators", format!("names at most {MOST_OPERATORS}")));
    }
    let mut seen = BTreeSet::new();
    Ok(names.iter().filter(|n| seen.insert(*n)).cloned().collect())
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, code, data, lead, operator, rule};
    use mw_contract::decide::Decision;
    use mw_contract::{AggregateId, ErrorCode, Rejection, WorkOrderState};
    use serde_json::{Value, json};

    fn assign(w: &mut World, id: AggregateId, more: Value) -> Result<Decision, Rejection> {
        let mut p = json!({"op": 10});
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        w.lead("work-order.assign", id, p)
    }

    #[test]
    fn wo_12_r1_something_is_assigned() {
        let mut w = World::new();
        let id = w.in_state(WorkOrderState::Planned);
        assert_eq!(rule(assign(&mut w, id, json!({}))), "WO-12.R1");
        assert_eq!(rule(assign(&mut w, id, json!({"operators": []}))), "WO-12.R1");
        assign(&mut w, id, json!({"crew": "early"})).unwrap();
        let d = assign(&mut w, id, json!({"operators": ["operator-1", "operator-2", "operator-1"]})).unwrap();
        assert_eq!(data(&d, 0)["operators"], json!(["operator-1", "operator-2"]));
        assign(&mut w, id, json!({"cell_id": "cell-2"})).unwrap();
        let op = &w.order(id).operations[0];
        assert_eq!((op.assigned.len(), op.crew.as_ref().unwrap().as_str()), (2, "early"));
        assert_eq!(op.cell_id.as_ref().unwrap().as_str(), "cell-2");
        assert_eq!(code(assign(&mut w, id, json!({"op": 11, "crew": "late"}))), ErrorCode::NotFound);
        let twenty: Vec<String> = (0..20).map(|i| format!("operator-{}", i % 10)).collect();
        assign(&mut w, id, json!({"operators": twenty})).unwrap();
        let many: Vec<String> = (0..21).map(|i| format!("operator-{i}")).collect();
        assert_eq!(code(assign(&mut w, id, json!({"operators": many}))), ErrorCode::Validation);
    }

    #[test]
    fn wo_12_r2_an_operator_is_active_here() {
        let mut w = World::new();
        let id = w.in_state(WorkOrderState::Released);
        for nobody in ["operator-99", "planner-1", "operator-elsewhere"] {
            assert_eq!(rule(assign(&mut w, id, json!({"operators": [nobody]}))), "WO-12.R2", "{nobody}");
        }
        assign(&mut w, id, json!({"operators": ["operator-1", "lead-1"]})).unwrap();
    }

    #[test]
    fn wo_12_r3_the_cell_is_of_the_class() {
        let mut w = World::new();
        w.put("cell", "cell-3", json!({"line": "line-1", "class": "weld"})).unwrap();
        w.put("cell", "cell-4", json!({"line": "line-1"})).unwrap();
        let routing = json!([{"op": 10, "name": "weld", "cell_class": "weld", "run_time_per_unit": "1"}]);
        let id = w.bracket_with(5, json!({"routing": routing}));
        w.planner("work-order.plan", id, World::plan_payload()).unwrap();
        assert_eq!(rule(assign(&mut w, id, json!({"cell_id": "cell-4"}))), "WO-12.R3");
        assert_eq!(code(assign(&mut w, id, json!({"cell_id": "cell-9"}))), ErrorCode::NotFound);
        assign(&mut w, id, json!({"cell_id": "cell-3"})).unwrap();
    }

    #[test]
    fn wo_13_nobody_is_taken_away_from_work() {
        let mut w = World::new();
        let id = w.in_state(WorkOrderState::Released);
        assign(&mut w, id, json!({"operators": ["operator-1", "operator-2"]})).unwrap();
        let session = w.start(&operator("operator-1"), id, 10, "cell-1");
        let mut off = |who: Value| w.lead("work-order.unassign", id, json!({"op": 10, "operators": who}));
        assert_eq!(code(off(json!([]))), ErrorCode::Validation);
        assert_eq!(code(off(json!(["operator-9"]))), ErrorCode::NotFound);
        assert_eq!(rule(off(json!(["operator-2", "operator-1"]))), "WO-13");
        off(json!(["operator-2"])).unwrap();
        w.run(&lead(), "work-order.pause-operation", id, json!({"op": 10, "session_id": session, "reason": "break"}))
            .unwrap();
        w.lead("work-order.unassign", id, json!({"op": 10, "operators": ["operator-1"]})).unwrap();
        assert!(w.order(id).operations[0].assigned.is_empty());
    }

    #[test]
    fn wo_12_r2_who_lacks_a_skill_is_warned_about_where_the_site_does_not_demand_it() {
        let mut w = World::new();
        w.put("cell", "cell-3", json!({"line": "line-1", "skill": "welding"})).unwrap();
        let id = w.in_state(WorkOrderState::Released);
        let d = assign(&mut w, id, json!({"operators": ["operator-1"], "cell_id": "cell-3"})).unwrap();
        assert_eq!(d.warnings.len(), 1, "{:?}", d.warnings);
        assert!(d.warnings[0].message.contains("welding"));
    }
}
