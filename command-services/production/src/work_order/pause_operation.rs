//! WO-29 `work-order.pause-operation`: a session ends, with what it made if the sender wants.

use mw_contract::command::work_order::PauseOperation;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::work_order::OperationPausedV1;
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, Event, PauseCause, Rejection, Role, Sealed, Seconds};

use crate::facts::Production;
use crate::rules::{Case, Holds, authorise, need_reason};
use crate::state::ProductionState;
use crate::work_order::report::{Increments, report, reported};

/// Decides WO-29.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &PauseOperation,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let case = Case::open(facts, state, CommandType::WorkOrderPauseOperation, ctx)?;
    let op = case.op(p.op)?;
    let session = op.session(p.session_id).ok_or_else(|| {
        Rejection::not_found(format!("operation {} has no session {}", op.op, p.session_id)).at("payload.session_id")
    })?;
    let own = session.operator == ctx.actor.account;
    let own_cell = ctx.actor.cell.as_ref() == Some(&session.cell_id);
    let role = authorise(ctx, Holds { own, own_cell, ..Holds::default() })?;
    let (reason, entry) = need_reason(facts, catalogues::STOP, p.reason.as_ref(), p.note.as_ref())?;
    if !session.is_open() {
        return Err(Rejection::guard("WO-29.R1", "this session has ended already"));
    }
    if ctx.occurred_at < session.started_at {
        return Err(Rejection::guard("WO-29.R2", format!("the session began at {}", session.started_at))
            .with("not_before", session.started_at.to_string()));
    }
    let paused = OperationPausedV1 {
        op: op.op,
        session_id: p.session_id,
        // PM-9: nobody had ended it.
        cause: if role == Role::System { PauseCause::Overdue } else { PauseCause::Pause },
        reason: Some(reason.clone()),
        loss_category: entry.entry().and_then(|e| e.loss_category),
        session_duration: Seconds::between(session.started_at, ctx.occurred_at),
        note: p.note.as_ref().map(Sealed::plain),
    };
    let mut events: Vec<Event> = vec![paused.into()];
    if let Some(q) = &p.quantities {
        events.extend(reported(&case, report(&case, op, &Increments::of(q, Some(session)))?));
    }
    Ok(case.decided(role, events))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{MINUTE, World, code, data, device, e, lead, names, operator, rule};
    use mw_contract::{AggregateId, ErrorCode, LossCategory, Role};
    use serde_json::{Value, json};

    fn running() -> (World, AggregateId, String) {
        let mut w = World::new();
        let id = w.pump(5);
        w.release(id);
        let session = w.start(&operator("operator-1"), id, 10, "cell-1");
        w.later(MINUTE);
        (w, id, session)
    }

    fn payload(session: &str, more: Value) -> Value {
        let mut p = json!({"op": 10, "session_id": session, "reason": "no_material"});
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        p
    }

    #[test]
    fn wo_29_ends_a_session_with_reason_and_loss() {
        let (mut w, id, s) = running();
        let d = w
            .run(&operator("operator-1"), "work-order.pause-operation", id, payload(&s, json!({"note": "n"})))
            .unwrap();
        assert_eq!((names(&d), d.role), (vec!["OperationPaused"], Role::Operator));
        let x = data(&d, 0);
        assert_eq!((&x["cause"], &x["reason"], &x["note"]), (&json!("pause"), &json!("no_material"), &json!("n")));
        assert_eq!((&x["loss_category"], &x["session_duration"]), (&json!("logistics"), &json!(60)));
        let session = &w.order(id).operation(10).unwrap().sessions[0];
        assert_eq!((session.ended_at, session.loss_category), (Some(w.now), Some(LossCategory::Logistics)));
        assert_eq!(session.stop_reason.as_ref().unwrap().as_str(), "no_material");
    }

    #[test]
    fn wo_29_quantities_come_along_by_the_rules_of_reports() {
        let (mut w, id, s) = running();
        let quantities = |good: u32| payload(&s, json!({"quantities": {"report_id": e(5), "good": good}}));
        assert_eq!(rule(w.lead("work-order.pause-operation", id, quantities(6))), "WO-31.R2");
        assert_eq!(rule(w.lead("work-order.pause-operation", id, quantities(0))), "WO-31.R1");
        let d = w.lead("work-order.pause-operation", id, quantities(3)).unwrap();
        assert_eq!(names(&d), ["OperationPaused", "OperationQuantityReported"]);
        let x = data(&d, 1);
        assert_eq!(
            (&x["session_id"], &x["operator"], &x["cell_id"]),
            (&json!(s), &json!("operator-1"), &json!("cell-1"))
        );
        assert_eq!(w.order(id).operation(10).unwrap().good.to_string(), "3");
    }

    #[test]
    fn wo_29_r1_the_session_is_open() {
        let (mut w, id, s) = running();
        w.lead("work-order.pause-operation", id, payload(&s, json!({}))).unwrap();
        assert_eq!(rule(w.lead("work-order.pause-operation", id, payload(&s, json!({})))), "WO-29.R1");
        assert_eq!(code(w.lead("work-order.pause-operation", id, payload(&e(999), json!({})))), ErrorCode::NotFound);
    }

    #[test]
    fn wo_29_r2_a_session_does_not_end_before_it_began() {
        let (mut w, id, s) = running();
        let began = w.now.plus_millis(-MINUTE);
        let early = began.plus_millis(-1);
        assert_eq!(
            rule(w.run_at(early, &lead(), "work-order.pause-operation", id, payload(&s, json!({})))),
            "WO-29.R2"
        );
        w.run_at(began, &lead(), "work-order.pause-operation", id, payload(&s, json!({}))).unwrap();
    }

    #[test]
    fn wo_29_an_operator_pauses_its_own_session_and_a_device_at_its_cell() {
        let (w, id, s) = running();
        let ask =
            |who: &mw_contract::decide::Actor| w.ask(who, "work-order.pause-operation", id, payload(&s, json!({})));
        assert_eq!(code(ask(&operator("operator-2"))), ErrorCode::Forbidden);
        assert_eq!(code(ask(&device("cell-2"))), ErrorCode::Forbidden);
        assert_eq!(ask(&device("cell-1")).unwrap().role, Role::Device);
        ask(&operator("operator-1")).unwrap();
    }

    #[test]
    fn wo_29_needs_a_reason_of_its_catalogue() {
        let (w, id, s) = running();
        let ask =
            |reason: Value| w.ask(&lead(), "work-order.pause-operation", id, payload(&s, json!({"reason": reason})));
        assert_eq!(code(ask(Value::Null)), ErrorCode::ReasonRequired);
        assert_eq!(code(ask(json!("surface"))), ErrorCode::ReasonUnknown);
    }
}
