//! MP-02 `maintenance-plan.activate`, MP-03 `maintenance-plan.suspend`, MP-04
//! `maintenance-plan.amend`.

use mw_contract::command::plan::{AmendPlan, PlanLead, SuspendPlan};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::plan::{PlanActivatedV1, PlanAmendedV1, PlanSuspendedV1};
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, PlanState as Stage, Rejection, Sealed};

use super::create::{check_comes, check_lead, check_template, check_trigger, template_of, trigger};
use super::{PlanState, decided, in_stage};
use crate::rules::{Facts, Holds, all_valid, authorise};

/// Decides MP-02. What fell due while it was suspended is due now: the next day is the first that was
/// neither done nor skipped.
///
/// # Errors
/// `GUARD_FAILED` MP-02.R1 when it would never be due again.
pub fn activate(plan: &PlanState, ctx: &DecisionContext<'_>) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    in_stage(plan, CommandType::MaintenancePlanActivate, &[Stage::Draft, Stage::Suspended])?;
    let next_due = plan.calendar_day();
    if next_due.is_none() && plan.trigger.counter.is_none() {
        let message = "its calendar has no day that is still to come: amend the trigger first";
        return Err(Rejection::guard("MP-02.R1", message));
    }
    Ok(decided(ctx, role, PlanActivatedV1 { next_due }))
}

/// Decides MP-03. A ticket that is open for it goes on.
pub fn suspend(
    facts: &Facts<'_>,
    plan: &PlanState,
    p: &SuspendPlan,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    in_stage(plan, CommandType::MaintenancePlanSuspend, &[Stage::Active])?;
    if p.reason.is_some() {
        facts.need_reason(catalogues::CHANGE, p.reason.as_ref(), p.note.as_ref())?;
    }
    let suspended = PlanSuspendedV1 { reason: p.reason.clone(), note: p.note.as_ref().map(Sealed::plain) };
    Ok(decided(ctx, role, suspended))
}

/// Decides MP-04, in any state. Another trigger counts from what was done last; what is due stays due.
pub fn amend(
    facts: &Facts<'_>,
    plan: &PlanState,
    p: &AmendPlan,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let mut then = plan.clone();
    then.name = p.name.clone().unwrap_or(then.name);
    then.trigger = p.trigger.as_ref().map_or(then.trigger, trigger);
    let lead = p.lead.as_ref().map(PlanLead::stored);
    then.lead = lead.clone().unwrap_or(then.lead);
    then.floating = p.floating.unwrap_or(then.floating);
    let mut errors = Vec::new();
    check_trigger(&mut errors, plan.target.kind, &then.trigger);
    check_lead(&mut errors, &then.trigger, &then.lead);
    if let Some(t) = &p.template {
        check_template(&mut errors, plan.target.kind, t);
    }
    all_valid(errors)?;
    let template = p.template.as_ref().map(|t| template_of(facts, plan, t)).transpose()?;
    then.template = template.clone().unwrap_or(then.template);
    if then == *plan {
        return Err(Rejection::invalid("payload", "changes nothing: give name, trigger, lead, template or floating"));
    }
    // A calendar that has run out stays as it is while something else is amended.
    if then.trigger != plan.trigger || then.floating != plan.floating {
        check_comes(&then)?;
        then.next_due = then.calendar_day().filter(|_| plan.stage != Stage::Draft);
    }
    let amended = PlanAmendedV1 {
        name: p.name.clone(),
        trigger: p.trigger.as_ref().map(|_| then.trigger),
        lead,
        template,
        floating: p.floating,
        next_due: then.next_due,
    };
    Ok(decided(ctx, role, amended))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{active, day, hours, next_due, plan, quarterly, world};
    use crate::fixture::{DAY, admin, dispatcher, id, planner, system};
    use mw_contract::{ErrorCode, PlanState as Stage};
    use serde_json::json;

    #[test]
    fn mp_02_a_plan_begins_with_the_first_day_of_its_grid() {
        // Never done: the first instance of the rule is the first day.
        let w = active(quarterly());
        assert_eq!((plan(&w).stage, next_due(&w).as_deref()), (Stage::Active, Some("2026-03-02")));
        // Done before: the first after that.
        let mut p = quarterly();
        p["last_done"] = json!({"at": "2026-01-15"});
        assert_eq!(next_due(&active(p.clone())).as_deref(), Some("2026-04-15"));
        // Long ago: it is overdue, and says since when.
        p["last_done"] = json!({"at": "2025-01-15"});
        assert_eq!(next_due(&active(p.clone())).as_deref(), Some("2025-04-15"));
        p["floating"] = json!(true);
        assert_eq!(next_due(&active(p)).as_deref(), Some("2025-04-15"));
        assert_eq!(next_due(&active(hours("1200"))), None);
    }

    #[test]
    fn mp_02_mp_03_a_suspended_plan_is_activated_again_and_forgets_nothing() {
        let mut w = active(quarterly());
        let again = w.run(&planner(), "maintenance-plan.activate", id(1), json!({})).unwrap_err();
        assert_eq!(
            (again.code, again.details.unwrap()["allowed"].clone()),
            (ErrorCode::InvalidState, json!(["draft", "suspended"]))
        );
        let d = w.run(&dispatcher(), "maintenance-plan.suspend", id(1), json!({"reason": "season"})).unwrap();
        assert_eq!((d.events[0].1.data()["reason"].clone(), plan(&w).stage), (json!("season"), Stage::Suspended));
        let twice = w.run(&planner(), "maintenance-plan.suspend", id(1), json!({})).unwrap_err();
        assert_eq!(twice.code, ErrorCode::InvalidState);
        w.later(200 * DAY);
        w.run(&admin(), "maintenance-plan.activate", id(1), json!({})).unwrap();
        assert_eq!((plan(&w).stage, next_due(&w).as_deref()), (Stage::Active, Some("2026-03-02")));
    }

    #[test]
    fn mp_03_a_reason_is_one_of_the_catalogue() {
        let mut w = active(quarterly());
        let change = json!({"entries": [{"code": "season"}]});
        w.plant.put(mw_contract::ReferenceKind::Catalogue, "change_reasons", change);
        let refused = w.run(&planner(), "maintenance-plan.suspend", id(1), json!({"reason": "rain"})).unwrap_err();
        assert_eq!(refused.code, ErrorCode::ReasonUnknown);
        w.run(&planner(), "maintenance-plan.suspend", id(1), json!({})).unwrap();
    }

    #[test]
    fn mp_02_r1_a_calendar_that_ran_out_is_amended_first() {
        let mut p = quarterly();
        p["trigger"] = json!({"calendar": "FREQ=DAILY;COUNT=1"});
        let mut w = active(p);
        w.run(&planner(), "maintenance-plan.skip", id(1), json!({"reason": "holiday"})).unwrap();
        assert_eq!(next_due(&w), None);
        w.run(&planner(), "maintenance-plan.suspend", id(1), json!({})).unwrap();
        let r = w.run(&planner(), "maintenance-plan.activate", id(1), json!({})).unwrap_err();
        assert_eq!(r.details.unwrap()["rule"], "MP-02.R1");
        w.run(&planner(), "maintenance-plan.amend", id(1), json!({"name": "other"})).unwrap();
        w.run(&planner(), "maintenance-plan.amend", id(1), json!({"trigger": {"calendar": "FREQ=DAILY"}})).unwrap();
        w.run(&planner(), "maintenance-plan.activate", id(1), json!({})).unwrap();
        assert_eq!(next_due(&w).as_deref(), Some("2026-03-03"));
    }

    #[test]
    fn mp_04_only_what_changes_is_told_and_another_trigger_moves_the_day() {
        let mut w = active(quarterly());
        w.run(&system(), "maintenance-plan.mark-done", id(1), json!({"done_on": "2026-03-02"})).unwrap();
        assert_eq!(next_due(&w).as_deref(), Some("2026-06-02"));
        let d = w.run(&planner(), "maintenance-plan.amend", id(1), json!({"name": "Seals"})).unwrap();
        let e = d.events[0].1.data();
        assert_eq!((&e["name"], &e["trigger"], &e["next_due"]), (&json!("Seals"), &json!(null), &json!("2026-06-02")));
        let monthly = json!({"trigger": {"calendar": "FREQ=MONTHLY"}, "lead": {"days": 7}});
        w.run(&planner(), "maintenance-plan.amend", id(1), monthly).unwrap();
        assert_eq!((next_due(&w).as_deref(), plan(&w).lead.days), (Some("2026-04-02"), Some(7)));
        assert_eq!(plan(&w).name.as_str(), "Seals");
        for nothing in [json!({}), json!({"name": "Seals"})] {
            let r = w.run(&planner(), "maintenance-plan.amend", id(1), nothing).unwrap_err();
            assert_eq!(r.code, ErrorCode::Validation);
        }
        // A lead by a counter has no counter any more.
        let counter =
            json!({"trigger": {"counter": {"name": "hours", "every": 500, "unit": "h"}}, "lead": {"counter": 50}});
        w.run(&planner(), "maintenance-plan.amend", id(1), counter).unwrap();
        assert_eq!(next_due(&w), None);
        let r = w.run(&planner(), "maintenance-plan.amend", id(1), json!({"trigger": {"calendar": "FREQ=DAILY"}}));
        assert_eq!(r.unwrap_err().field.as_deref(), Some("payload.lead.counter"));
        let r =
            w.run(&planner(), "maintenance-plan.amend", id(1), json!({"trigger": {"calendar": "daily"}, "lead": {}}));
        assert_eq!(r.unwrap_err().field.as_deref(), Some("payload.trigger.calendar"));
        let t = json!({"template": {"title": "t", "customer_id": "acme"}});
        let r = w.run(&planner(), "maintenance-plan.amend", id(1), t);
        assert_eq!(r.unwrap_err().field.as_deref(), Some("payload.template.customer_id"));
    }

    #[test]
    fn mp_04_a_draft_is_amended_without_a_day() {
        let mut w = world();
        w.run(&planner(), "maintenance-plan.create", id(1), quarterly()).unwrap();
        w.run(&planner(), "maintenance-plan.amend", id(1), json!({"trigger": {"calendar": "FREQ=DAILY"}})).unwrap();
        assert_eq!(next_due(&w), None);
        let r = w.run(
            &planner(),
            "maintenance-plan.amend",
            id(1),
            json!({"floating": true, "trigger": {"calendar": "FREQ=DAILY;COUNT=2"}}),
        );
        assert_eq!(r.unwrap_err().field.as_deref(), Some("payload.trigger.calendar"));
        w.run(&planner(), "maintenance-plan.amend", id(1), json!({"floating": true})).unwrap();
        assert!(plan(&w).floating);
        assert_eq!(day("2026-03-02"), plan(&w).starts_on);
    }

    #[test]
    fn mp_a_plan_of_another_site_is_not_there() {
        let mut w = world();
        let r = w.run(&planner(), "maintenance-plan.activate", id(1), json!({})).unwrap_err();
        assert_eq!(r.code, ErrorCode::NotFound);
    }
}
