//! TK-33 `ticket.log-work` and TK-34 `ticket.correct-work-log`: time that was spent on a ticket.

use mw_contract::command::ticket::{CorrectWorkLog, LogWork};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::{WorkLogCorrectedV1, WorkLoggedV1};
use mw_contract::event::ticket_parts::WorkLogV1;
use mw_contract::reference::catalogues;
use mw_contract::{AccountName, CommandType, EntityId, Instant, LogActivity, Rejection, Role, Sealed, Seconds};

use crate::rules::{Case, Facts, Holds, authorise_if, exists};
use crate::state::{AfterServiceState, WorkLog};

const HOUR: i64 = 3_600_000;

/// The longest that one log may say.
const LONGEST: i64 = 16 * HOUR;

/// How far a clock may be ahead of ours (G3).
const SKEW: i64 = 120_000;

/// Decides TK-33.
pub fn log(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &LogWork,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketLogWork, ctx)?;
    if case.ticket.logs.contains_key(&p.log_id) {
        return Err(exists(format!("log {} is there already", p.log_id)).at("payload.log_id"));
    }
    let technician = p.technician.as_ref().unwrap_or(&ctx.actor.account);
    if p.technician.is_some() && *technician != ctx.actor.account && !case.ticket.is_assigned(technician) {
        let message = format!("{technician} is not assigned to this ticket: log the time of those who are");
        return Err(Rejection::guard("TK-33", message).at("payload.technician"));
    }
    let log = WorkLogV1 { activity: p.activity, start: p.start, end: p.end, chargeable: p.chargeable };
    check(&case, "TK-33.R1", "TK-33.R2", technician, &log, None)?;
    let logged = WorkLoggedV1 {
        log_id: p.log_id,
        technician: technician.clone(),
        duration: Seconds::between(log.start, log.end),
        log,
        text: p.text.as_ref().map(Sealed::plain),
    };
    Ok(case.decided(role, vec![logged.into()]))
}

/// Decides TK-34: one's own for 24 hours, a dispatcher for 7 days from when it was logged.
pub fn correct(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &CorrectWorkLog,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    if p.activity.is_none() && p.start.is_none() && p.end.is_none() && p.chargeable.is_none() {
        return Err(Rejection::invalid("payload", "name what changes: activity, start, end or chargeable"));
    }
    let case = Case::find(facts, state, ctx)?;
    let Some(old) = case.ticket.logs.get(&p.log_id) else {
        return Err(Rejection::not_found(format!("the ticket has no log {}", p.log_id)).at("payload.log_id"));
    };
    let role = may_correct(old, ctx)?;
    let case = Case::open(facts, state, CommandType::TicketCorrectWorkLog, ctx)?;
    let (reason, _) = facts.need_reason(catalogues::TICKET, p.reason.as_ref(), p.note.as_ref())?;
    let new = WorkLogV1 {
        activity: p.activity.unwrap_or(old.log.activity),
        start: p.start.unwrap_or(old.log.start),
        end: p.end.unwrap_or(old.log.end),
        chargeable: p.chargeable.unwrap_or(old.log.chargeable),
    };
    check(&case, "TK-34", "TK-34", &old.technician, &new, Some(p.log_id))?;
    let corrected = WorkLogCorrectedV1 {
        log_id: p.log_id,
        technician: old.technician.clone(),
        old: old.log.clone(),
        new,
        reason,
        note: p.note.as_ref().map(Sealed::plain),
    };
    Ok(case.decided(role, vec![corrected.into()]))
}

/// Counted by the time of receipt: backdating opens no window again.
fn may_correct(log: &WorkLog, ctx: &DecisionContext<'_>) -> Result<Role, Rejection> {
    let hours = |role| if role == Role::Technician { 24 } else { 7 * 24 };
    let until = |role| log.recorded_at.plus_millis(hours(role) * HOUR);
    let own = log.technician == ctx.actor.account;
    let holds = Holds { own, ..Holds::default() };
    let role = authorise_if(ctx, holds, |_| true)?;
    authorise_if(ctx, holds, |r| ctx.received_at <= until(r)).map_err(|_| {
        let message = format!("a {role} can correct this log for {} hours, until {}", hours(role), until(role));
        Rejection::forbidden(message).with("until", until(role).to_string())
    })
}

/// R1: a time that was; R2: in which the technician did nothing else; T2: for which somebody pays only
/// who has agreed to.
fn check(
    case: &Case<'_>,
    r1: &'static str,
    r2: &'static str,
    technician: &AccountName,
    log: &WorkLogV1,
    this: Option<EntityId>,
) -> Result<(), Rejection> {
    let guard = |message: &str| Err(Rejection::guard(r1, message).at("payload.end"));
    if log.end <= log.start {
        return guard("work ends after it began");
    }
    if log.end.since(log.start) > LONGEST {
        return guard("one log says 16 hours at most: log each day by itself");
    }
    if log.end > case.ctx.received_at.plus_millis(SKEW) {
        return guard("work that is logged has been done: its end is not in the future");
    }
    if log.chargeable && log.activity != LogActivity::Diagnosis && case.ticket.commercial.blocks() {
        let message = "the customer has not agreed to pay: only diagnosis can be charged before a quote is approved";
        return Err(Rejection::guard("T2", message)
            .at("payload.chargeable")
            .with("commercial", case.ticket.commercial.as_str()));
    }
    alone(case, r2, technician, log, this)
}

/// R2, over this ticket and all others.
fn alone(
    case: &Case<'_>,
    rule: &'static str,
    technician: &AccountName,
    log: &WorkLogV1,
    this: Option<EntityId>,
) -> Result<(), Rejection> {
    let overlaps = |start: Instant, end: Option<Instant>| start < log.end && end.is_none_or(|e| log.start < e);
    let ticket = case.ticket;
    let guard = |what: String| Err(Rejection::guard(rule, format!("{technician} has {what} at that time")));
    let mut logs = ticket.logs.iter().filter(|(id, l)| l.technician == *technician && Some(**id) != this);
    if let Some((id, _)) = logs.find(|(_, l)| overlaps(l.log.start, Some(l.log.end))) {
        return guard(format!("log {id}")).map_err(|r| r.with("log_id", id.to_string()));
    }
    let mut sessions = ticket.sessions.iter().filter(|s| s.technician == *technician);
    if let Some(s) = sessions.find(|s| overlaps(s.started_at, s.ended_at)) {
        return guard(format!("work session {}", s.session_id))
            .map_err(|r| r.with("session_id", s.session_id.to_string()));
    }
    match case.facts.desk.busy(technician, log.start, log.end, case.ctx.aggregate_id) {
        Some((other, _)) => {
            guard(format!("other work on ticket {other}")).map_err(|r| r.with("ticket_id", other.to_string()))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::{
        DAY, HOUR, MINUTE, World, actor, admin, code, data, detail, dispatcher, e, names, rule, technician_named,
    };
    use mw_contract::decide::{Actor, Allowance, Decision};
    use mw_contract::event::ticket::{TechnicianAssignedV1, WarrantyOverriddenV1};
    use mw_contract::{
        AggregateId, Commercial, ErrorCode, Instant, Percent, Rejection, Role, TicketState, WarrantyStatus,
        WorkActivity,
    };
    use serde_json::{Value, json};

    /// A log of minutes before now.
    fn log(w: &World, n: u128, from: i64, to: i64, more: Value) -> Value {
        let at = |m: i64| w.now.plus_millis(-m * MINUTE);
        let mut p =
            json!({"log_id": e(n), "activity": "repair", "start": at(from), "end": at(to), "chargeable": false});
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        p
    }

    /// A ticket on which technician-1 worked from 08:00 to 09:00; it is noon.
    fn worked(w: &mut World) -> AggregateId {
        let id = w.in_state(TicketState::InProgress);
        w.now = "2026-03-02T12:00:00.000Z".parse().unwrap();
        id
    }

    fn corrector() -> Actor {
        actor("technician-1", &[(Role::Technician, Allowance::Own)])
    }

    #[test]
    fn tk_33_r1_work_that_was_and_16_hours_at_most() {
        let mut w = World::new();
        let id = worked(&mut w);
        w.later(DAY);
        for (from, to) in [(30, 30), (30, 60), (17 * 60, 30), (16 * 60 + 1, 0), (10, -3)] {
            let p = log(&w, 1, from, to, json!({}));
            assert_eq!(rule(w.technician("ticket.log-work", id, p)), "TK-33.R1", "{from} {to}");
        }
        let d = w.technician("ticket.log-work", id, log(&w, 1, 16 * 60, 0, json!({"text": "long day"}))).unwrap();
        assert_eq!(names(&d), ["WorkLogged"]);
        let l = data(&d, 0);
        assert_eq!(
            (&l["duration"], &l["technician"], &l["text"]),
            (&json!(57600), &json!("technician-1"), &json!("long day"))
        );
        assert_eq!(code(w.technician("ticket.log-work", id, log(&w, 1, 2, 1, json!({})))), ErrorCode::AlreadyExists);
    }

    #[test]
    fn tk_33_r2_a_technician_does_one_thing_at_a_time() {
        let mut w = World::new();
        let id = worked(&mut w);
        w.technician("ticket.log-work", id, log(&w, 1, 60, 30, json!({}))).unwrap();
        // The session was from 240 to 180 minutes ago, the log from 60 to 30.
        for (from, to, with) in
            [(200, 170, "session_id"), (300, 100, "session_id"), (61, 59, "log_id"), (31, 5, "log_id")]
        {
            let r = w.technician("ticket.log-work", id, log(&w, 2, from, to, json!({})));
            assert_ne!(detail(r.clone(), with), Value::Null, "{from} {to}");
            assert_eq!(rule(r), "TK-33.R2");
        }
        w.technician("ticket.log-work", id, log(&w, 2, 180, 60, json!({}))).unwrap();
        w.technician("ticket.log-work", id, log(&w, 3, 30, 20, json!({}))).unwrap();
        // On other tickets too, and while a session is open.
        let other = w.opened();
        w.triaged(other, mw_contract::ServiceMode::OnSite);
        w.assigned(other, "technician-1");
        let r = w.technician("ticket.log-work", other, log(&w, 4, 25, 22, json!({})));
        assert_eq!(detail(r.clone(), "ticket_id"), json!(id.to_string()));
        assert_eq!(rule(r), "TK-33.R2");
        w.technician("ticket.log-work", other, log(&w, 4, 20, 10, json!({}))).unwrap();
        w.technician("ticket.log-work", other, log(&w, 6, 250, 240, json!({}))).unwrap();
        w.working(other, WorkActivity::Repair);
        w.later(HOUR);
        assert_eq!(rule(w.technician("ticket.log-work", id, log(&w, 5, 10, 5, json!({})))), "TK-33.R2");
        assert_eq!(rule(w.technician("ticket.log-work", other, log(&w, 5, 10, 5, json!({})))), "TK-33.R2");
        w.technician("ticket.log-work", id, log(&w, 5, 69, 60, json!({}))).unwrap();
    }

    #[test]
    fn tk_33_time_of_those_who_are_assigned() {
        let mut w = World::new();
        let id = w.opened();
        w.triaged(id, mw_contract::ServiceMode::OnSite);
        let assigned = TechnicianAssignedV1 {
            lead: "technician-1".parse().unwrap(),
            helpers: vec!["technician-2".parse().unwrap()],
            team: None,
            due_start: None,
            override_reason: None,
        };
        w.given(id, assigned);
        let of = |who: &str| json!({"technician": who});
        assert_eq!(rule(w.technician("ticket.log-work", id, log(&w, 1, 60, 30, of("technician-3")))), "TK-33");
        let d = w.technician("ticket.log-work", id, log(&w, 1, 60, 30, of("technician-2"))).unwrap();
        assert_eq!(data(&d, 0)["technician"], "technician-2");
        // The other one's time is its own.
        w.technician("ticket.log-work", id, log(&w, 2, 60, 30, json!({}))).unwrap();
        let r = w.run(&technician_named("technician-3"), "ticket.log-work", id, log(&w, 3, 20, 10, json!({})));
        assert_eq!(code(r), ErrorCode::Forbidden);
        w.run(&admin(), "ticket.log-work", id, log(&w, 3, 20, 10, of("technician-1"))).unwrap();
    }

    #[test]
    fn t2_only_diagnosis_is_charged_before_the_customer_agrees() {
        let mut w = World::new();
        let id = worked(&mut w);
        let commercial = |w: &mut World, commercial: Commercial| {
            let e = WarrantyOverriddenV1 {
                old: WarrantyStatus::Unchecked,
                new: WarrantyStatus::OutOfWarranty,
                reason: "misuse".parse().unwrap(),
                note: None,
                coverage_pct: Percent::ZERO,
                approver: None,
                commercial,
            };
            w.given(id, e);
        };
        commercial(&mut w, Commercial::QuoteRequired);
        for activity in ["repair", "travel", "test", "admin", "waiting"] {
            let p = log(&w, 1, 60, 30, json!({"activity": activity, "chargeable": true}));
            assert_eq!(rule(w.technician("ticket.log-work", id, p)), "T2", "{activity}");
        }
        w.technician("ticket.log-work", id, log(&w, 1, 60, 50, json!({"activity": "diagnosis", "chargeable": true})))
            .unwrap();
        w.technician("ticket.log-work", id, log(&w, 2, 50, 40, json!({}))).unwrap();
        let charge = json!({"log_id": e(2), "chargeable": true, "reason": "wrong_data"});
        assert_eq!(rule(w.run(&corrector(), "ticket.correct-work-log", id, charge.clone())), "T2");
        commercial(&mut w, Commercial::Approved);
        w.technician("ticket.log-work", id, log(&w, 3, 40, 30, json!({"chargeable": true}))).unwrap();
        w.run(&corrector(), "ticket.correct-work-log", id, charge).unwrap();
    }

    fn correct(w: &mut World, who: &Actor, id: AggregateId, more: Value) -> Result<Decision, Rejection> {
        let mut p = json!({"log_id": e(1), "reason": "wrong_data"});
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        w.run(who, "ticket.correct-work-log", id, p)
    }

    #[test]
    fn tk_34_a_correction_keeps_to_the_rules_of_a_log() {
        let mut w = World::new();
        let id = worked(&mut w);
        let at = |w: &World, m: i64| -> Instant { w.now.plus_millis(-m * MINUTE) };
        w.technician("ticket.log-work", id, log(&w, 1, 60, 30, json!({}))).unwrap();
        w.technician("ticket.log-work", id, log(&w, 2, 30, 20, json!({}))).unwrap();
        assert_eq!(code(correct(&mut w, &corrector(), id, json!({}))), ErrorCode::Validation);
        let missing = correct(&mut w, &corrector(), id, json!({"log_id": e(9), "activity": "test"}));
        assert_eq!(code(missing), ErrorCode::NotFound);
        let unexplained = correct(&mut w, &corrector(), id, json!({"activity": "test", "reason": null}));
        assert_eq!(code(unexplained), ErrorCode::ReasonRequired);
        for wrong in [json!({"end": at(&w, 60)}), json!({"end": at(&w, 25)}), json!({"start": at(&w, 200)})] {
            assert_eq!(rule(correct(&mut w, &corrector(), id, wrong.clone())), "TK-34", "{wrong}");
        }
        let new = json!({"start": at(&w, 70), "activity": "test", "note": "misread"});
        let d = correct(&mut w, &corrector(), id, new).unwrap();
        assert_eq!(names(&d), ["WorkLogCorrected"]);
        let c = data(&d, 0);
        assert_eq!((&c["old"]["activity"], &c["new"]["activity"]), (&json!("repair"), &json!("test")));
        assert_eq!((&c["old"]["end"], &c["new"]["end"]), (&c["new"]["end"], &c["old"]["end"]));
        assert_eq!(c["new"]["start"], json!(at(&w, 70)));
        assert_eq!(w.ticket(id).logs[&e(1).parse().unwrap()].log.start, at(&w, 70));
    }

    #[test]
    fn tk_34_ones_own_for_24_hours_and_a_dispatcher_for_7_days() {
        let mut w = World::new();
        let id = worked(&mut w);
        w.technician("ticket.log-work", id, log(&w, 1, 60, 30, json!({}))).unwrap();
        let other = actor("technician-2", &[(Role::Technician, Allowance::Own)]);
        let test = || json!({"activity": "test"});
        assert_eq!(code(correct(&mut w, &other, id, test())), ErrorCode::Forbidden);
        w.later(DAY);
        correct(&mut w, &corrector(), id, test()).unwrap();
        w.later(1);
        let late = correct(&mut w, &corrector(), id, test());
        assert_eq!(detail(late.clone(), "until"), "2026-03-03T12:00:00.000Z");
        assert_eq!(code(late), ErrorCode::Forbidden);
        w.later(6 * DAY - 1);
        correct(&mut w, &dispatcher(), id, test()).unwrap();
        w.later(1);
        assert_eq!(code(correct(&mut w, &dispatcher(), id, test())), ErrorCode::Forbidden);
    }
}
