//! WO-14 `work-order.hold` and WO-15 `work-order.resume`: stopping an order as a whole.

use mw_contract::command::work_order::{HoldWorkOrder, ResumeWorkOrder};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::work_order::{WorkOrderHeldV1, WorkOrderResumedV1};
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, HoldKind, PauseCause, Rejection, Role, Sealed, Seconds};

use crate::facts::Production;
use crate::rules::{Case, Holds, authorise, authorise_if, need_reason, not_before};
use crate::state::ProductionState;

/// The reason that only quality may lift besides those who lead.
pub(crate) const QUALITY_HOLD: &str = "quality_hold";

/// Decides WO-14. R1: whoever is at work stops at the time of the hold.
pub fn hold(
    facts: &Production,
    state: &ProductionState,
    p: &HoldWorkOrder,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let case = Case::open(facts, state, CommandType::WorkOrderHold, ctx)?;
    let (reason, entry) = need_reason(facts, catalogues::ORDER_HOLD, p.reason.as_ref(), p.note.as_ref())?;
    let mut events = case.end_sessions(case.order.sessions(), PauseCause::OrderHold)?;
    events.push(
        WorkOrderHeldV1 {
            reason: reason.clone(),
            kind: entry.entry().and_then(|e| e.kind).unwrap_or(HoldKind::Held),
            expected_resume_at: p.expected_resume_at,
            resume_state: case.order.state,
            note: p.note.as_ref().map(Sealed::plain),
        }
        .into(),
    );
    Ok(case.decided(role, events))
}

/// Decides WO-15. Operations do not restart by themselves.
pub fn resume(
    facts: &Production,
    state: &ProductionState,
    p: &ResumeWorkOrder,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let case = Case::open(facts, state, CommandType::WorkOrderResume, ctx)?;
    let Some(hold) = &case.order.hold else {
        return Err(Rejection::not_found("the order has no hold to lift"));
    };
    let quality = hold.reason.as_str() == QUALITY_HOLD;
    let role = authorise_if(ctx, Holds::default(), |r| r != Role::QualityInspector || quality)?;
    let open: Vec<String> = case.order.quality.open_ncrs().map(|(id, _)| id.to_string()).collect();
    // WO-44.R2: what is critical keeps an order that was held already, too.
    let critical = case.order.quality.open_ncrs().any(|(_, ncr)| ncr.severity == 1);
    if (quality || critical) && !open.is_empty() {
        let message = "close the nonconformances of this order first";
        return Err(Rejection::guard("WO-15.R1", message).with("nonconformances", open));
    }
    not_before(ctx.occurred_at, hold.since, "the hold would end before it began")?;
    let resumed = WorkOrderResumedV1 {
        to_state: hold.resume_state,
        held_for: Seconds::between(hold.since, ctx.occurred_at),
        note: p.note.as_ref().map(Sealed::plain),
    };
    Ok(case.decided(role, vec![resumed.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{HOUR, World, actor, code, data, detail, lead, names, operator, rule};
    use mw_contract::decide::Allowance;
    use mw_contract::{ErrorCode, HoldKind, Role, WorkOrderState};
    use serde_json::json;

    #[test]
    fn wo_14_r1_open_sessions_end_at_the_hold() {
        let mut w = World::new();
        let id = w.running_bracket(5);
        w.start(&operator("operator-1"), id, 10, "cell-2");
        let over = w.start(&operator("operator-2"), id, 10, "cell-2");
        let pause = json!({"op": 10, "session_id": over, "reason": "break"});
        w.lead("work-order.pause-operation", id, pause).unwrap();
        w.later(HOUR);
        let p = json!({"reason": "customer_request", "note": "wait", "expected_resume_at": "2026-03-04T09:00:00.000Z"});
        let d = w.lead("work-order.hold", id, p).unwrap();
        assert_eq!(names(&d), ["OperationPaused", "OperationPaused", "WorkOrderHeld"]);
        assert_eq!((&data(&d, 0)["cause"], &data(&d, 0)["session_duration"]), (&json!("order_hold"), &json!(3600)));
        let held = data(&d, 2);
        assert_eq!(
            (&held["kind"], &held["resume_state"], &held["note"]),
            (&json!("suspended"), &json!("in_progress"), &json!("wait"))
        );
        assert_eq!(held["expected_resume_at"], "2026-03-04T09:00:00.000Z");
        let o = w.order(id);
        assert_eq!((o.held_since(), o.hold.as_ref().unwrap().kind), (Some(w.now), HoldKind::Suspended));
        assert_eq!(o.sessions().filter(|(_, s)| s.is_open()).count(), 0);
        assert_eq!(w.facts.sessions_of(&"operator-1".parse().unwrap()), 0);
    }

    #[test]
    fn g3_no_session_ends_before_it_began() {
        let mut w = World::new();
        let id = w.running_bracket(5);
        let p = json!({"reason": "quality_hold"});
        assert_eq!(rule(w.run_at(w.now.plus_millis(-1), &lead(), "work-order.hold", id, p.clone())), "G3");
        w.lead("work-order.hold", id, p).unwrap();
    }

    #[test]
    fn g7_a_reason_is_needed_known_and_other_explained() {
        let mut w = World::new();
        let id = w.running_bracket(5);
        assert_eq!(code(w.lead("work-order.hold", id, json!({}))), ErrorCode::ReasonRequired);
        let unknown = w.lead("work-order.hold", id, json!({"reason": "weather"}));
        assert_eq!(detail(unknown.clone(), "allowed")[0], "material_shortage");
        assert_eq!(code(unknown), ErrorCode::ReasonUnknown);
        for note in [json!(null), json!("four")] {
            let r = w.lead("work-order.hold", id, json!({"reason": "other", "note": note})).unwrap_err();
            assert_eq!((r.code, r.field.as_deref()), (ErrorCode::Validation, Some("payload.note")));
        }
        w.lead("work-order.hold", id, json!({"reason": "other", "note": "fives"})).unwrap();
        assert_eq!(w.order(id).hold.as_ref().unwrap().kind, HoldKind::Held);
    }

    #[test]
    fn g7_an_inactive_entry_is_unknown_and_an_empty_catalogue_takes_any_code() {
        let mut w = World::new();
        let id = w.running_bracket(5);
        let off = json!({"entries": [{"code": "quality_hold", "active": false}]});
        w.put("catalogue", "order_hold_reasons", off).unwrap();
        let p = json!({"reason": "quality_hold"});
        let refused = w.lead("work-order.hold", id, p.clone());
        assert_eq!(detail(refused.clone(), "allowed"), json!([]));
        assert_eq!(code(refused), ErrorCode::ReasonUnknown);
        w.put("catalogue", "order_hold_reasons", json!({"entries": []})).unwrap();
        w.lead("work-order.hold", id, json!({"reason": "weather"})).unwrap();
    }

    #[test]
    fn wo_15_goes_back_to_where_it_was_and_restarts_nothing() {
        let mut w = World::new();
        for (before, started) in [(WorkOrderState::Released, false), (WorkOrderState::InProgress, true)] {
            let id = w.in_state(before);
            w.lead("work-order.hold", id, json!({"reason": "equipment_down"})).unwrap();
            w.later(90_000);
            let d = w.lead("work-order.resume", id, json!({"note": "ok"})).unwrap();
            assert_eq!(names(&d), ["WorkOrderResumed"]);
            let e = data(&d, 0);
            assert_eq!(
                (&e["to_state"], &e["held_for"], &e["note"]),
                (&json!(before.as_str()), &json!(90), &json!("ok"))
            );
            let o = w.order(id);
            assert_eq!((o.state, o.hold.is_none(), o.actual_start.is_some()), (before, true, started));
            assert_eq!(o.sessions().filter(|(_, s)| s.is_open()).count(), 0);
        }
    }

    #[test]
    fn wo_15_an_inspector_lifts_quality_holds_only() {
        let mut w = World::new();
        let inspector = actor("inspector-1", &[(Role::QualityInspector, Allowance::Yes)]);
        let id = w.in_state(WorkOrderState::OnHold);
        assert_eq!(w.run(&inspector, "work-order.resume", id, json!({})).unwrap().role, Role::QualityInspector);
        w.lead("work-order.hold", id, json!({"reason": "equipment_down"})).unwrap();
        assert_eq!(code(w.run(&inspector, "work-order.resume", id, json!({}))), ErrorCode::Forbidden);
        let both = actor("x", &[(Role::QualityInspector, Allowance::Yes), (Role::LineLead, Allowance::Yes)]);
        assert_eq!(w.run(&both, "work-order.resume", id, json!({})).unwrap().role, Role::LineLead);
    }

    #[test]
    fn wo_15_a_hold_does_not_end_before_it_began() {
        let mut w = World::new();
        let id = w.in_state(WorkOrderState::OnHold);
        assert_eq!(rule(w.run_at(w.now.plus_millis(-1), &lead(), "work-order.resume", id, json!({}))), "G3");
    }
}
