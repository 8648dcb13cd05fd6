//! WO-32 `work-order.complete-operation`: an operation has ended.
//!
//! Its session, or the sender's own, ends with it. Line leads (and admins) also end the sessions
//! of others.

use mw_contract::command::work_order::CompleteOperation;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::parts::TotalsV1;
use mw_contract::event::work_order::OperationCompletedV1;
use mw_contract::{CommandType, Event, OperationState, PauseCause, Qty, Rejection, Role};

use crate::facts::Production;
use crate::invariants::input_with_scrap;
use crate::quality::is_inspected;
use crate::rules::{Case, Holds, authorise};
use crate::state::{Operation, ProductionState, Session};
use crate::times;
use crate::work_order::report::{Increments, report, reported, worked_on};

/// Decides WO-32.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &CompleteOperation,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let case = Case::open(facts, state, CommandType::WorkOrderCompleteOperation, ctx)?;
    let op = case.op(p.op)?;
    let session = match p.session_id {
        None => None,
        Some(id) => Some(op.session(id).ok_or_else(|| {
            Rejection::not_found(format!("operation {} has no session {id}", op.op)).at("payload.session_id")
        })?),
    };
    let own = session.map_or_else(|| worked_on(op, ctx), |s| s.operator == ctx.actor.account);
    let own_cell = case.at_own_cell(op) && session.is_none_or(|s| ctx.actor.cell.as_ref() == Some(&s.cell_id));
    let role = authorise(ctx, Holds { own, own_cell, ..Holds::default() })?;
    let op_state = case.order.operation_state(op);
    if !matches!(op_state, OperationState::Running | OperationState::Paused) {
        let allowed = [OperationState::Running.as_str(), OperationState::Paused.as_str()];
        return Err(Rejection::invalid_state("complete-operation", op_state.as_str(), &allowed).with("op", op.op));
    }
    check_others(op, session, role, ctx)?;
    let said = p.quantities.as_ref().map(|q| report(&case, op, &Increments::of(q, session))).transpose()?;
    let totals =
        said.as_ref().map_or(TotalsV1 { good: op.good, scrap: op.scrap, rework_open: op.rework_open }, |r| r.totals);
    let short = shortfall(&case, op, totals);
    let confirmed = p.confirm_shortfall == Some(true);
    if !short.is_zero() && !confirmed {
        let message = format!("{short} pieces are missing: report them, or complete with confirm_shortfall");
        return Err(Rejection::guard("WO-32.R2", message).with("missing", short.to_string()));
    }
    if !is_inspected(case.order, op) {
        return Err(Rejection::guard("WO-32.R3", format!("record the inspection of operation {} first", op.op)));
    }
    let mut events: Vec<Event> = said.map(|r| reported(&case, r)).unwrap_or_default();
    events.extend(case.end_sessions(op.sessions.iter().map(|s| (op, s)), PauseCause::OperationCompleted)?);
    let t = times::of(case.order, op.op, ctx.occurred_at);
    events.push(
        OperationCompletedV1 {
            op: op.op,
            good: totals.good,
            scrap: totals.scrap,
            rework_open: totals.rework_open,
            run_time: t.run,
            setup_time: t.setup,
            labour_time: t.labour,
            shortfall_confirmed: !short.is_zero(),
        }
        .into(),
    );
    Ok(case.decided(role, events))
}

/// WO-32.R1.
fn check_others(
    op: &Operation,
    session: Option<&Session>,
    role: Role,
    ctx: &DecisionContext<'_>,
) -> Result<(), Rejection> {
    if matches!(role, Role::LineLead | Role::Admin) {
        return Ok(());
    }
    let mine = |s: &Session| session.map_or(s.operator == ctx.actor.account, |x| x.session_id == s.session_id);
    let others: Vec<String> = op.open_sessions().filter(|s| !mine(s)).map(|s| s.session_id.to_string()).collect();
    if others.is_empty() {
        return Ok(());
    }
    let message = "others are still at work on it: let them pause, or let a line lead complete it";
    Err(Rejection::guard("WO-32.R1", message).with("sessions", others))
}

/// How many of the pieces that could have gone through did not.
fn shortfall(case: &Case<'_>, op: &Operation, totals: TotalsV1) -> Qty {
    let input = input_with_scrap(case.order, op, totals.scrap - op.scrap);
    input - (totals.good + totals.scrap + totals.rework_open)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{HOUR, MINUTE, World, code, data, detail, device, e, lead, names, operator, rule};
    use mw_contract::{AggregateId, ErrorCode};
    use serde_json::{Value, json};

    fn running() -> (World, AggregateId, String) {
        let mut w = World::new();
        let id = w.pump(5);
        w.release(id);
        let session = w.start(&operator("operator-1"), id, 10, "cell-1");
        w.later(HOUR);
        (w, id, session)
    }

    fn ask(w: &World, who: &mw_contract::decide::Actor, id: AggregateId, more: Value) -> Result<Decision, Rejection> {
        let mut p = json!({"op": 10});
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        w.ask(who, "work-order.complete-operation", id, p)
    }

    fn all() -> Value {
        json!({"quantities": {"report_id": e(70), "good": 4, "scrap": [{"qty": 1, "reason": "surface"}]}})
    }

    #[test]
    fn wo_32_reports_ends_the_session_and_sums_up() {
        let (mut w, id, session) = running();
        let mut p = all();
        p["op"] = json!(10);
        p["session_id"] = json!(session);
        let d = w.run(&operator("operator-1"), "work-order.complete-operation", id, p).unwrap();
        assert_eq!(names(&d), ["OperationQuantityReported", "OperationPaused", "OperationCompleted"]);
        assert_eq!(data(&d, 0)["session_id"], json!(session));
        assert_eq!((&data(&d, 1)["cause"], &data(&d, 1)["reason"]), (&json!("operation_completed"), &Value::Null));
        assert_eq!(
            data(&d, 2),
            json!({"op": 10, "good": "4", "scrap": "1", "rework_open": "0", "run_time": 3600, "setup_time": 0,
                "labour_time": 3600, "shortfall_confirmed": false})
        );
        let o = w.order(id);
        assert_eq!(o.operation(10).unwrap().completed_at, Some(w.now));
        assert_eq!(o.operation_state(o.operation(10).unwrap()), OperationState::Completed);
    }

    #[test]
    fn wo_32_r1_others_have_ended_or_a_lead_ends_them() {
        let (mut w, id, mine) = running();
        let theirs = w.start(&operator("operator-2"), id, 10, "cell-1");
        let refused = ask(&w, &operator("operator-1"), id, all());
        assert_eq!(detail(refused.clone(), "sessions"), json!([theirs]));
        assert_eq!(rule(refused), "WO-32.R1");
        let d = ask(&w, &lead(), id, all()).unwrap();
        assert_eq!(
            names(&d),
            ["OperationQuantityReported", "OperationPaused", "OperationPaused", "OperationCompleted"]
        );
        w.run(
            &operator("operator-2"),
            "work-order.pause-operation",
            id,
            json!({"op": 10, "session_id": theirs, "reason": "break"}),
        )
        .unwrap();
        let mut p = all();
        p["session_id"] = json!(mine);
        assert_eq!(ask(&w, &operator("operator-1"), id, p).unwrap().role, Role::Operator);
        ask(&w, &operator("operator-1"), id, all()).unwrap();
        // A device ends only the session that it names or began.
        assert_eq!(rule(ask(&w, &device("cell-1"), id, all())), "WO-32.R1");
        let mut p = all();
        p["session_id"] = json!(mine);
        ask(&w, &device("cell-1"), id, p).unwrap();
    }

    #[test]
    fn wo_32_r2_a_shortfall_is_confirmed() {
        let (mut w, id, _) = running();
        assert_eq!(detail(ask(&w, &lead(), id, json!({})), "missing"), "5");
        w.good(id, 10, 4);
        assert_eq!(rule(ask(&w, &lead(), id, json!({}))), "WO-32.R2");
        assert_eq!(rule(ask(&w, &lead(), id, json!({"confirm_shortfall": false}))), "WO-32.R2");
        let d = ask(&w, &lead(), id, json!({"confirm_shortfall": true})).unwrap();
        assert_eq!(data(&d, 1)["shortfall_confirmed"], true);
        let last = json!({"quantities": {"report_id": e(71), "rework": [{"qty": 1, "reason": "surface"}]}});
        let d = ask(&w, &lead(), id, last).unwrap();
        assert_eq!((&data(&d, 2)["shortfall_confirmed"], &data(&d, 2)["rework_open"]), (&json!(false), &json!("1")));
    }

    #[test]
    fn wo_32_r2_replaced_scrap_is_missing_until_it_is_made_again() {
        let mut w = World::new();
        let id = w.bracket_with(5, json!({"replace_scrap": true}));
        w.release(id);
        w.start(&lead(), id, 10, "cell-1");
        assert_eq!(detail(ask(&w, &lead(), id, all()), "missing"), "1");
        // Scrap that was booked before counts once.
        let p = json!({"op": 10, "report_id": e(72), "scrap": [{"qty": 1, "reason": "surface"}]});
        w.lead("work-order.report-quantity", id, p).unwrap();
        assert_eq!(detail(ask(&w, &lead(), id, json!({})), "missing"), "5");
        assert_eq!(detail(ask(&w, &lead(), id, all()), "missing"), "1");
    }

    #[test]
    fn wo_32_r3_a_demanded_inspection_has_its_result() {
        let mut w = World::new();
        let id = w
            .bracket_with(5, json!({"routing": [{"op": 10, "name": "a", "cell_id": "cell-1", "inspection": "final"}]}));
        w.release(id);
        w.start(&lead(), id, 10, "cell-1");
        assert_eq!(rule(ask(&w, &lead(), id, all())), "WO-32.R3");
    }

    #[test]
    fn wo_32_only_what_was_started_and_has_not_ended() {
        let (mut w, id, _) = running();
        assert_eq!(detail(ask(&w, &lead(), id, json!({"op": 20})), "state"), "pending");
        w.finish_op(id, 10);
        let r = ask(&w, &lead(), id, json!({})).unwrap_err();
        assert_eq!((r.code, &r.details.unwrap()["allowed"]), (ErrorCode::InvalidState, &json!(["running", "paused"])));
        assert_eq!(code(ask(&w, &lead(), id, json!({"session_id": e(999)}))), ErrorCode::NotFound);
    }

    #[test]
    fn wo_32_an_operator_completes_its_own_work_and_a_device_at_its_cell() {
        let (w, id, session) = running();
        assert_eq!(code(ask(&w, &operator("operator-2"), id, all())), ErrorCode::Forbidden);
        let mut p = all();
        p["session_id"] = json!(session);
        assert_eq!(code(ask(&w, &operator("operator-2"), id, p.clone())), ErrorCode::Forbidden);
        assert_eq!(code(ask(&w, &device("cell-2"), id, p)), ErrorCode::Forbidden);
        assert_eq!(code(ask(&w, &device("cell-2"), id, all())), ErrorCode::Forbidden);
    }

    #[test]
    fn wo_32_no_session_ends_before_it_began() {
        let (w, id, _) = running();
        let mut p = all();
        p["op"] = json!(10);
        let early = w.now.plus_millis(-HOUR - 1);
        assert_eq!(rule(w.ask_at(early, &lead(), "work-order.complete-operation", id, p)), "G3");
    }

    #[test]
    fn wo_32_labour_is_shared_and_machine_time_is_the_union() {
        let mut w = World::new();
        let routing = json!([{"op": 10, "name": "a", "cell_id": "cell-1"}, {"op": 20, "name": "b", "cell_id": "cell-2", "predecessors": []}]);
        let id = w.bracket_with(1, json!({"routing": routing}));
        w.release(id);
        // operator-1 works on both at once for 20 minutes, alone on 10 for 10; a machine joins 20.
        w.start(&operator("operator-1"), id, 10, "cell-1");
        w.later(10 * MINUTE);
        w.start(&operator("operator-1"), id, 20, "cell-2");
        w.start(&device("cell-2"), id, 20, "cell-2");
        w.later(20 * MINUTE);
        let done = |op: u16| json!({"op": op, "confirm_shortfall": true});
        let d = w.lead("work-order.complete-operation", id, done(20)).unwrap();
        let x = data(&d, 2);
        assert_eq!((&x["run_time"], &x["labour_time"]), (&json!(1200), &json!(600)));
        w.later(10 * MINUTE);
        let d = w.lead("work-order.complete-operation", id, done(10)).unwrap();
        let x = data(&d, 1);
        assert_eq!((&x["run_time"], &x["labour_time"]), (&json!(2400), &json!(1800)));
    }
}
