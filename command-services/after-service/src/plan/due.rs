//! MP-05 `maintenance-plan.mark-due`, MP-06 `maintenance-plan.mark-done`, MP-07
//! `maintenance-plan.skip`.

use mw_contract::command::plan::{MarkPlanDone, MarkPlanDue, SkipPlan};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::plan::{PlanDoneV1, PlanDueV1, PlanSkippedV1};
use mw_contract::event::ticket_parts::LastDoneV1;
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, Date, DueCause, PlanMode, PlanState as Stage, Rejection, Sealed, TicketState};

use super::{PlanState, decided, in_stage, today};
use crate::rules::{Facts, Holds, authorise};

/// Decides MP-05. The plan itself says whether it is due; who asks may be behind.
///
/// # Errors
/// `GUARD_FAILED` MP-05.R1 when it is not due; MP-05.R2 when a ticket is open for it already.
pub fn mark_due(
    facts: &Facts<'_>,
    plan: &PlanState,
    p: &MarkPlanDue,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    in_stage(plan, CommandType::MaintenancePlanMarkDue, &[Stage::Active])?;
    if let Some(due) = &plan.due {
        if due.ticket_id == p.ticket_id {
            return Ok(Decision { events: Vec::new(), ..decided(ctx, role, due_event(plan, p)) });
        }
        // R2: one ticket at a time. Of one that was cancelled, or never came to be, nothing comes any more.
        let open = due.ticket_id.filter(|t| facts.desk.ticket(*t).is_some_and(|t| t.state != TicketState::Cancelled));
        if let Some(ticket) = open {
            let message = format!("ticket {ticket} is open for it: have it done or cancelled first");
            return Err(Rejection::guard("MP-05.R2", message).with("ticket_id", ticket.to_string()));
        }
    }
    if !is_due(plan, p, today(plan, ctx)) {
        let (day, counter) = (plan.next_due, plan.counter_threshold());
        return Err(Rejection::guard("MP-05.R1", "it is not due yet")
            .with("next_due", day.map(|d| d.to_string()))
            .with("counter_threshold", counter.map(|n| n.to_string())));
    }
    Ok(decided(ctx, role, due_event(plan, p)))
}

fn due_event(plan: &PlanState, p: &MarkPlanDue) -> PlanDueV1 {
    let by_calendar = p.cause == DueCause::Calendar || plan.trigger.mode == PlanMode::Both;
    PlanDueV1 {
        cause: p.cause,
        due_on: if by_calendar { plan.next_due } else { p.due_on },
        due_counter: plan.next_counter(),
        counter_value: p.counter_value,
        ticket_id: p.ticket_id,
    }
}

/// R1: by the calendar on its day less the lead; by the counter from its threshold on; by the forecast
/// when that day is inside the lead. With mode `both` the calendar and one of the others.
fn is_due(plan: &PlanState, p: &MarkPlanDue, today: Date) -> bool {
    let inside_lead = |day: Date| day.days_since(today) <= i32::from(plan.lead.days.unwrap_or(0));
    let calendar = plan.next_due.is_some_and(inside_lead);
    let counter =
        p.counter_value.zip(plan.counter_threshold()).is_some_and(|(value, from)| value.decimal() >= from.decimal());
    let forecast = plan.trigger.counter.is_some() && p.due_on.is_some_and(inside_lead);
    match (plan.trigger.mode, p.cause) {
        // What was amended or done meanwhile has another day.
        (PlanMode::WhicheverFirst, DueCause::Calendar) => calendar && p.due_on.is_none_or(|d| plan.next_due == Some(d)),
        (PlanMode::WhicheverFirst, DueCause::Counter) => counter,
        (PlanMode::WhicheverFirst, DueCause::Forecast) => forecast,
        (PlanMode::Both, DueCause::Forecast) => calendar && forecast,
        (PlanMode::Both, _) => calendar && counter,
    }
}

/// Decides MP-06. The same ticket, resolved again after a reopening, counts once.
///
/// # Errors
/// `GUARD_FAILED` MP-06.R1 when it was done later already, MP-06.R2 when the counter showed more then.
pub fn mark_done(plan: &PlanState, p: &MarkPlanDone, ctx: &DecisionContext<'_>) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    in_stage(plan, CommandType::MaintenancePlanMarkDone, &[Stage::Active, Stage::Suspended])?;
    if p.done_on > today(plan, ctx) {
        return Err(Rejection::invalid("payload.done_on", "lies in the future"));
    }
    let again = plan.due.is_none() && p.ticket_id.is_some() && p.ticket_id == plan.done_by;
    if let Some(LastDoneV1 { at, counter }) = plan.last_done.as_ref().filter(|_| !again) {
        if p.done_on < *at {
            return Err(Rejection::guard("MP-06.R1", format!("it was done on {at}, which is later")));
        }
        if let (Some(now), Some(then)) = (p.counter, counter)
            && now.decimal() < then.decimal()
        {
            let message =
                format!("the counter showed {then} when it was last done: give the value with resets counted");
            return Err(Rejection::guard("MP-06.R2", message).at("payload.counter"));
        }
    }
    let mut done = PlanDoneV1 {
        done_on: p.done_on,
        counter: p.counter,
        ticket_id: p.ticket_id,
        next_due: None,
        next_counter: None,
    };
    if again {
        return Ok(Decision { events: Vec::new(), ..decided(ctx, role, done) });
    }
    let mut then = plan.clone();
    // Nobody read the counter: what it showed when the plan fell due is the nearest that is known.
    then.counter_from = p.counter.or(plan.due.and_then(|d| d.counter)).unwrap_or(then.counter_from);
    then.fold(&done.clone().into());
    (done.next_due, done.next_counter) = (then.calendar_day(), then.next_counter());
    Ok(decided(ctx, role, done))
}

/// Decides MP-07: the day, the counter, or both go on to the next one.
///
/// # Errors
/// `GUARD_FAILED` MP-07.R1 when there is nothing to skip.
pub fn skip(
    facts: &Facts<'_>,
    plan: &PlanState,
    p: &SkipPlan,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    in_stage(plan, CommandType::MaintenancePlanSkip, &[Stage::Active])?;
    let (reason, _) = facts.need_reason(catalogues::CHANGE, p.reason.as_ref(), p.note.as_ref())?;
    if plan.next_due.is_none() && plan.trigger.counter.is_none() {
        return Err(Rejection::guard("MP-07.R1", "its calendar has no day that is still to come"));
    }
    // Where both are needed, both go on. Else what made it due, or the day when nothing did yet.
    let both = plan.trigger.mode == PlanMode::Both;
    let due_by_counter = plan.due.is_some_and(|d| d.on.is_none());
    let by_counter = plan.trigger.counter.is_some() && (both || due_by_counter || plan.next_due.is_none());
    let by_calendar = plan.next_due.is_some() && (both || !by_counter);
    let mut then = plan.clone();
    if by_counter && let Some(next) = plan.next_counter() {
        then.counter_from = next;
    }
    let mut skipped = PlanSkippedV1 {
        reason,
        note: p.note.as_ref().map(Sealed::plain),
        skipped: plan.next_due.filter(|_| by_calendar),
        next_due: None,
        next_counter: None,
    };
    then.fold(&skipped.clone().into());
    (skipped.next_due, skipped.next_counter) = (then.calendar_day(), then.next_counter());
    Ok(decided(ctx, role, skipped))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{active, hours, next_due, plan, quarterly};
    use crate::fixture::{DAY, World, dispatcher, id, planner, system};
    use mw_contract::decide::Decision;
    use mw_contract::event::ticket::TicketCancelledV1;
    use mw_contract::{AggregateId, ErrorCode, PlanState as Stage, Rejection};
    use serde_json::{Value, json};

    fn due(w: &mut World, p: Value) -> Result<Decision, Rejection> {
        w.run(&system(), "maintenance-plan.mark-due", id(1), p)
    }

    fn by_calendar(ticket: AggregateId) -> Value {
        json!({"cause": "calendar", "ticket_id": ticket})
    }

    fn by_counter(value: &str) -> Value {
        json!({"cause": "counter", "counter_value": value})
    }

    fn done(w: &mut World, p: Value) -> Result<Decision, Rejection> {
        w.run(&system(), "maintenance-plan.mark-done", id(1), p)
    }

    fn rule(r: Result<Decision, Rejection>) -> String {
        r.unwrap_err().details.unwrap()["rule"].as_str().unwrap().to_owned()
    }

    fn next_counter(w: &World) -> Option<String> {
        plan(w).next_counter().map(|n| n.to_string())
    }

    #[test]
    fn golden_17_a_counter_plan_is_due_from_its_tolerance_on_and_counts_over_resets() {
        let mut w = active(hours("1200"));
        assert_eq!(
            (next_counter(&w).as_deref(), plan(&w).counter_threshold().unwrap().to_string().as_str()),
            (Some("1700"), "1650")
        );
        let early = due(&mut w, by_counter("1649.9")).unwrap_err();
        assert_eq!(early.details.unwrap()["counter_threshold"], "1650");
        let d = due(&mut w, by_counter("1650")).unwrap();
        let e = d.events[0].1.data();
        assert_eq!(
            (&e["cause"], &e["due_counter"], &e["counter_value"]),
            (&json!("counter"), &json!("1700"), &json!("1650"))
        );
        // The counter was replaced: it shows 10 and has counted 1660 in all.
        let d = done(&mut w, json!({"done_on": "2026-03-02", "counter": "1660"})).unwrap();
        assert_eq!(d.events[0].1.data()["next_counter"], "2160");
        assert_eq!(next_counter(&w).as_deref(), Some("2160"));
        assert!(due(&mut w, by_counter("2109")).is_err());
        due(&mut w, by_counter("2110")).unwrap();
    }

    #[test]
    fn mp_05_r1_the_day_less_the_lead() {
        let mut p = quarterly();
        (p["last_done"], p["lead"]) = (json!({"at": "2025-12-10"}), json!({"days": 7}));
        let mut w = active(p);
        assert_eq!(next_due(&w).as_deref(), Some("2026-03-10"));
        let early = due(&mut w, by_calendar(id(5))).unwrap_err();
        assert_eq!(early.details.unwrap()["next_due"], "2026-03-10");
        w.later(DAY);
        let other = json!({"cause": "calendar", "due_on": "2026-03-09", "ticket_id": id(5)});
        assert_eq!(rule(due(&mut w, other)), "MP-05.R1");
        // No counter, no other cause.
        assert_eq!(rule(due(&mut w, by_counter("99999"))), "MP-05.R1");
        assert_eq!(rule(due(&mut w, json!({"cause": "forecast", "due_on": "2026-03-03"}))), "MP-05.R1");
        let d = due(&mut w, by_calendar(id(5))).unwrap();
        let e = d.events[0].1.data();
        assert_eq!((&e["due_on"], &e["ticket_id"]), (&json!("2026-03-10"), &json!(id(5))));
        // Asked again for the same ticket: nothing more happens.
        assert!(due(&mut w, by_calendar(id(5))).unwrap().events.is_empty());
        let people = w.ask(&dispatcher(), "maintenance-plan.activate", id(1), json!({})).unwrap_err();
        assert_eq!(people.code, ErrorCode::InvalidState);
    }

    #[test]
    fn mp_05_r1_a_forecast_inside_the_lead_and_a_lead_by_the_counter() {
        let mut p = hours("1200");
        p["lead"] = json!({"days": 14, "counter": 100});
        let mut w = active(p);
        // 100 before is more than a tolerance of 50.
        assert!(due(&mut w, by_counter("1599")).is_err());
        assert!(due(&mut w, json!({"cause": "forecast", "due_on": "2026-03-17"})).is_err());
        let d = due(&mut w, json!({"cause": "forecast", "due_on": "2026-03-16", "counter_value": "1400"})).unwrap();
        assert_eq!(d.events[0].1.data()["due_on"], "2026-03-16");
        // Nobody read the counter at its end: what it showed when it fell due counts.
        done(&mut w, json!({"done_on": "2026-03-02"})).unwrap();
        assert_eq!(next_counter(&w).as_deref(), Some("1900"));
        due(&mut w, by_counter("1800")).unwrap();
    }

    #[test]
    fn mp_05_r1_both_needs_both() {
        let mut p = hours("1200");
        p["trigger"]["calendar"] = json!("FREQ=MONTHLY");
        p["trigger"]["mode"] = json!("both");
        p["last_done"]["at"] = json!("2026-02-03");
        let mut w = active(p.clone());
        // 2026-03-03 is tomorrow.
        assert_eq!(rule(due(&mut w, by_counter("1650"))), "MP-05.R1");
        w.later(DAY);
        assert_eq!(rule(due(&mut w, json!({"cause": "calendar", "counter_value": "1649"}))), "MP-05.R1");
        assert_eq!(rule(due(&mut w, json!({"cause": "calendar"}))), "MP-05.R1");
        let d = due(&mut w, json!({"cause": "calendar", "counter_value": "1650"})).unwrap();
        assert_eq!(d.events[0].1.data()["due_on"], "2026-03-03");
        // Whichever comes first: one is enough.
        p["trigger"]["mode"] = json!("whichever_first");
        let mut w = active(p);
        due(&mut w, by_counter("1650")).unwrap();
        assert_eq!(plan(&w).due.unwrap().on, None);
    }

    #[test]
    fn mp_05_r2_one_ticket_at_a_time() {
        let mut w = active(quarterly());
        let ticket = w.opened();
        due(&mut w, by_calendar(ticket)).unwrap();
        let second = due(&mut w, by_calendar(id(6)));
        assert_eq!(second.clone().unwrap_err().details.unwrap()["ticket_id"], ticket.to_string());
        assert_eq!(rule(second), "MP-05.R2");
        let cancelled = TicketCancelledV1 { reason: "no_demand".parse().unwrap(), note: None };
        w.given(ticket, cancelled);
        let d = due(&mut w, by_calendar(id(6))).unwrap();
        assert_eq!(d.events[0].1.data()["due_on"], "2026-03-02");
        // A ticket that never came to be keeps nobody from the next.
        due(&mut w, by_calendar(id(7))).unwrap();
    }

    #[test]
    fn mp_05_only_an_active_plan_falls_due() {
        let mut w = active(quarterly());
        w.run(&planner(), "maintenance-plan.suspend", id(1), json!({})).unwrap();
        assert_eq!(due(&mut w, by_calendar(id(5))).unwrap_err().code, ErrorCode::InvalidState);
        // What was begun may end meanwhile.
        done(&mut w, json!({"done_on": "2026-03-02"})).unwrap();
        assert_eq!((plan(&w).stage, next_due(&w).as_deref()), (Stage::Suspended, Some("2026-06-02")));
    }

    #[test]
    fn mp_06_the_grid_stays_and_a_floating_plan_counts_from_the_completion() {
        for (floating, late, expected) in
            [(false, 0, "2026-06-02"), (false, 10, "2026-06-02"), (false, 100, "2026-09-02"), (true, 10, "2026-06-12")]
        {
            let mut p = quarterly();
            p["floating"] = json!(floating);
            let mut w = active(p);
            due(&mut w, by_calendar(id(5))).unwrap();
            w.later(late * DAY);
            let on = w.now.date_in("Europe/Berlin");
            let d = done(&mut w, json!({"done_on": on, "ticket_id": id(5)})).unwrap();
            assert_eq!(d.events[0].1.data()["next_due"], expected, "{floating} {late}");
            assert_eq!((next_due(&w).as_deref(), plan(&w).due), (Some(expected), None));
        }
    }

    #[test]
    fn mp_06_what_is_done_early_is_done_for_that_day() {
        let mut p = quarterly();
        (p["last_done"], p["lead"]) = (json!({"at": "2025-12-10"}), json!({"days": 14}));
        let mut w = active(p);
        due(&mut w, by_calendar(id(5))).unwrap();
        done(&mut w, json!({"done_on": "2026-03-02", "ticket_id": id(5)})).unwrap();
        assert_eq!(next_due(&w).as_deref(), Some("2026-06-10"));
        // Its ticket was reopened and resolved again: once is enough.
        w.later(DAY);
        assert!(done(&mut w, json!({"done_on": "2026-03-03", "ticket_id": id(5)})).unwrap().events.is_empty());
        assert_eq!(next_due(&w).as_deref(), Some("2026-06-10"));
    }

    #[test]
    fn mp_06_days_and_counters_do_not_run_backwards() {
        let mut w = active(hours("1200"));
        let r = done(&mut w, json!({"done_on": "2026-03-03"})).unwrap_err();
        assert_eq!((r.code, r.field.as_deref()), (ErrorCode::Validation, Some("payload.done_on")));
        assert_eq!(rule(done(&mut w, json!({"done_on": "2026-02-28"}))), "MP-06.R1");
        assert_eq!(rule(done(&mut w, json!({"done_on": "2026-03-02", "counter": "1199"}))), "MP-06.R2");
        done(&mut w, json!({"done_on": "2026-03-01", "counter": "1200"})).unwrap();
        let mut draft = super::super::tests::world();
        draft.run(&planner(), "maintenance-plan.create", id(1), quarterly()).unwrap();
        assert_eq!(done(&mut draft, json!({"done_on": "2026-03-02"})).unwrap_err().code, ErrorCode::InvalidState);
    }

    #[test]
    fn mp_07_this_time_is_left_out() {
        let mut w = active(quarterly());
        due(&mut w, by_calendar(id(5))).unwrap();
        let skip = |w: &mut World, p: Value| w.run(&dispatcher(), "maintenance-plan.skip", id(1), p);
        assert_eq!(skip(&mut w, json!({})).unwrap_err().code, ErrorCode::ReasonRequired);
        assert_eq!(skip(&mut w, json!({"reason": "other", "note": "no"})).unwrap_err().code, ErrorCode::Validation);
        let d = skip(&mut w, json!({"reason": "holiday"})).unwrap();
        let e = d.events[0].1.data();
        assert_eq!(
            (&e["skipped"], &e["next_due"], &e["reason"]),
            (&json!("2026-03-02"), &json!("2026-06-02"), &json!("holiday"))
        );
        assert_eq!((next_due(&w).as_deref(), plan(&w).due), (Some("2026-06-02"), None));
        // And the next one, before it is due.
        skip(&mut w, json!({"reason": "holiday"})).unwrap();
        assert_eq!(next_due(&w).as_deref(), Some("2026-09-02"));

        let mut w = active(hours("1200"));
        let d = skip(&mut w, json!({"reason": "holiday"})).unwrap();
        assert_eq!((&d.events[0].1.data()["skipped"], next_counter(&w).as_deref()), (&json!(null), Some("2200")));
    }

    #[test]
    fn mp_07_with_day_and_counter_what_fell_due_is_left_out() {
        let mut p = hours("1200");
        p["trigger"]["calendar"] = json!("FREQ=MONTHLY");
        p["last_done"]["at"] = json!("2026-02-10");
        let skip = json!({"reason": "holiday"});
        let mut w = active(p.clone());
        due(&mut w, by_counter("1650")).unwrap();
        w.run(&planner(), "maintenance-plan.skip", id(1), skip.clone()).unwrap();
        assert_eq!((next_due(&w).as_deref(), next_counter(&w).as_deref()), (Some("2026-03-10"), Some("2200")));
        w.run(&planner(), "maintenance-plan.skip", id(1), skip.clone()).unwrap();
        assert_eq!((next_due(&w).as_deref(), next_counter(&w).as_deref()), (Some("2026-04-10"), Some("2200")));
        p["trigger"]["mode"] = json!("both");
        let mut w = active(p);
        w.run(&planner(), "maintenance-plan.skip", id(1), skip).unwrap();
        assert_eq!((next_due(&w).as_deref(), next_counter(&w).as_deref()), (Some("2026-04-10"), Some("2200")));
    }

    #[test]
    fn mp_07_r1_what_never_comes_is_not_skipped() {
        let mut p = quarterly();
        p["trigger"] = json!({"calendar": "FREQ=DAILY;COUNT=1"});
        let mut w = active(p);
        done(&mut w, json!({"done_on": "2026-03-02"})).unwrap();
        assert_eq!(next_due(&w), None);
        let r = w.run(&planner(), "maintenance-plan.skip", id(1), json!({"reason": "holiday"}));
        assert_eq!(rule(r), "MP-07.R1");
    }
}
