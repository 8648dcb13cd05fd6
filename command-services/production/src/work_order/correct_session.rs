//! WO-34 `work-order.correct-session`: a session began or ended at another time.

use mw_contract::command::work_order::CorrectSession;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::parts::SpanV1;
use mw_contract::event::work_order::OperationSessionCorrectedV1;
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, Instant, Rejection, Sealed};

use crate::facts::Production;
use crate::rules::{Case, Holds, authorise_if, may_correct, need_reason};
use crate::state::{Operation, ProductionState, Session};

/// Decides WO-34.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &CorrectSession,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    if p.new_start.is_none() && p.new_end.is_none() {
        return Err(Rejection::invalid("payload", "name new_start, new_end or both"));
    }
    let case = Case::open(facts, state, CommandType::WorkOrderCorrectSession, ctx)?;
    let Some((op, session)) = case.order.sessions().find(|(_, s)| s.session_id == p.session_id) else {
        return Err(Rejection::not_found(format!("the order has no session {}", p.session_id)).at("payload.session_id"));
    };
    let own = session.operator == ctx.actor.account;
    let last = session.ended_at.unwrap_or(session.started_at);
    let role = authorise_if(ctx, Holds { own, ..Holds::default() }, |r| may_correct(r, last, ctx))?;
    let (reason, _) = need_reason(facts, catalogues::CHANGE, p.reason.as_ref(), p.note.as_ref())?;
    let old = SpanV1 { started_at: session.started_at, ended_at: session.ended_at };
    let new = SpanV1 { started_at: p.new_start.unwrap_or(old.started_at), ended_at: p.new_end.or(old.ended_at) };
    check(op, session, &new, p, ctx.received_at)?;
    let event = OperationSessionCorrectedV1 {
        op: op.op,
        session_id: p.session_id,
        old,
        new,
        reason: reason.clone(),
        note: p.note.as_ref().map(Sealed::plain),
    };
    Ok(case.decided(role, vec![event.into()]))
}

/// WO-34.R1.
fn check(op: &Operation, session: &Session, new: &SpanV1, p: &CorrectSession, now: Instant) -> Result<(), Rejection> {
    let guard = |message: String| Err(Rejection::guard("WO-34.R1", message));
    if session.is_open() && p.new_end.is_some() {
        return guard("the session is still open: pause it instead".into());
    }
    if new.started_at > now || new.ended_at.is_some_and(|e| e > now) {
        return guard("a session neither begins nor ends in the future".into());
    }
    if new.ended_at.is_some_and(|end| end <= new.started_at) {
        return guard("a session ends after it began".into());
    }
    let end = |s: Option<Instant>| s.unwrap_or(now);
    let overlaps = |s: &&Session| s.started_at < end(new.ended_at) && new.started_at < end(s.ended_at);
    let mut others =
        op.sessions.iter().filter(|s| s.session_id != session.session_id && s.operator == session.operator);
    match others.find(overlaps) {
        Some(s) => guard(format!("it would overlap session {} of the same operator", s.session_id)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::{HOUR, MINUTE, World, code, data, lead, operator, rule};
    use mw_contract::decide::Decision;
    use mw_contract::{AggregateId, ErrorCode, Rejection, Seconds};
    use serde_json::{Value, json};

    /// Operator 1 works 09:00 to 10:00 and from 11:00 on; it is noon.
    fn worked(w: &mut World) -> (AggregateId, String, String) {
        let id = w.bracket(5);
        w.release(id);
        let first = w.start(&operator("operator-1"), id, 10, "cell-1");
        w.later(HOUR);
        w.lead("work-order.pause-operation", id, json!({"op": 10, "session_id": first, "reason": "break"})).unwrap();
        w.later(HOUR);
        let second = w.start(&operator("operator-1"), id, 10, "cell-1");
        w.later(HOUR);
        (id, first, second)
    }

    fn to(w: &World, id: AggregateId, session: &str, more: Value) -> Result<Decision, Rejection> {
        let mut p = json!({"session_id": session, "reason": "wrong_data"});
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        w.ask(&lead(), "work-order.correct-session", id, p)
    }

    #[test]
    fn wo_34_r1_a_session_is_a_time_that_was_and_its_operators_alone() {
        let mut w = World::new();
        let (id, first, second) = worked(&mut w);
        let at = |h: &str| format!("2026-03-02T{h}:00.000Z");
        for (session, wrong) in [
            (&first, json!({"new_end": at("09:00")})),
            (&first, json!({"new_start": at("10:00")})),
            (&first, json!({"new_end": at("12:01")})),
            (&first, json!({"new_end": at("11:01")})),
            (&first, json!({"new_start": at("11:30"), "new_end": at("11:40")})),
            (&second, json!({"new_start": at("09:59")})),
            (&second, json!({"new_start": at("12:01")})),
            (&second, json!({"new_end": at("11:30")})),
        ] {
            assert_eq!(rule(to(&w, id, session, wrong.clone())), "WO-34.R1", "{wrong}");
        }
        to(&w, id, &first, json!({"new_end": at("11:00")})).unwrap();
        to(&w, id, &second, json!({"new_start": at("10:00")})).unwrap();
        assert_eq!(code(to(&w, id, &first, json!({}))), ErrorCode::Validation);
        assert_eq!(code(to(&w, id, &crate::fixture::e(999), json!({"new_end": at("09:30")}))), ErrorCode::NotFound);
        // Another operator's time is his own.
        let other = w.start(&operator("operator-2"), id, 10, "cell-2");
        to(&w, id, &other, json!({"new_start": at("09:30")})).unwrap();
    }

    #[test]
    fn wo_34_r1_now_is_not_the_future() {
        let mut w = World::new();
        let (id, _, second) = worked(&mut w);
        let now = w.now;
        let p = json!({"op": 10, "session_id": second, "reason": "break"});
        w.lead("work-order.pause-operation", id, p).unwrap();
        to(&w, id, &second, json!({"new_end": now})).unwrap();
        assert_eq!(rule(to(&w, id, &second, json!({"new_end": now.plus_millis(1)}))), "WO-34.R1");
        let open = w.start(&operator("operator-2"), id, 10, "cell-2");
        to(&w, id, &open, json!({"new_start": now})).unwrap();
        assert_eq!(rule(to(&w, id, &open, json!({"new_start": now.plus_millis(1)}))), "WO-34.R1");
    }

    #[test]
    fn wo_34_times_follow_the_correction() {
        let mut w = World::new();
        let (id, first, _) = worked(&mut w);
        let p = json!({"session_id": first, "new_end": "2026-03-02T09:20:00.000Z", "reason": "wrong_data"});
        let d = w.lead("work-order.correct-session", id, p).unwrap();
        let x = data(&d, 0);
        assert_eq!(
            (&x["old"]["ended_at"], &x["new"]["ended_at"]),
            (&json!("2026-03-02T10:00:00.000Z"), &json!("2026-03-02T09:20:00.000Z"))
        );
        let t = crate::times::of(w.order(id), 10, w.now);
        assert_eq!((t.run, t.labour), (Seconds(80 * 60), Seconds(80 * 60)));
    }

    #[test]
    fn wo_34_operators_correct_their_own_for_a_day() {
        let mut w = World::new();
        let (id, first, _) = worked(&mut w);
        let p = json!({"session_id": first, "new_end": "2026-03-02T09:50:00.000Z", "reason": "wrong_data"});
        let ask =
            |w: &World, n: u8| w.ask(&operator(&format!("operator-{n}")), "work-order.correct-session", id, p.clone());
        assert_eq!(code(ask(&w, 2)), ErrorCode::Forbidden);
        ask(&w, 1).unwrap();
        w.later(22 * HOUR + MINUTE);
        assert_eq!(code(ask(&w, 1)), ErrorCode::Forbidden);
        let no_reason = json!({"session_id": first, "new_end": "2026-03-02T09:50:00.000Z"});
        assert_eq!(code(w.ask(&lead(), "work-order.correct-session", id, no_reason)), ErrorCode::ReasonRequired);
    }
}
