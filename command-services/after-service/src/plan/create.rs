//! MP-01 `maintenance-plan.create`, and what makes a plan well formed.

use mw_contract::command::plan::{CreatePlan, PlanLead, PlanTarget, PlanTrigger};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::plan::PlanCreatedV1;
use mw_contract::event::ticket_parts::{LastDoneV1, PlanLeadV1, PlanTargetV1, PlanTemplateV1, PlanTriggerV1};
use mw_contract::{CustomerId, FieldError, PlanMode, PlanTargetKind, Rejection, SiteId, Text};

use super::rrule::Rule;
use super::{PlanState, decided};
use crate::known::Unit;
use crate::rules::{Facts, Holds, all_valid, authorise, exists};
use crate::state::AfterServiceState;
use crate::ticket::warranty;

/// The longest lead, days.
const MOST_LEAD_DAYS: u16 = 366;
/// The most lines of a checklist, and the most parts.
const MOST_LINES: usize = 50;

/// Decides MP-01. The plan is a draft until it is activated. Its first day is the day on which it was
/// last done, else today.
pub fn decide(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &CreatePlan,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    if *state != AfterServiceState::None {
        return Err(exists(format!("maintenance plan {} is there already", ctx.aggregate_id)));
    }
    let site = ctx.site.ok_or_else(|| Rejection::invalid("site", "a plan belongs to a site: name it in the topic"))?;
    let zone = facts.time_zone(ctx);
    let today = ctx.occurred_at.date_in(&zone);
    let trigger = trigger(&p.trigger);
    let lead = p.lead.as_ref().map_or(PlanLeadV1 { days: None, counter: None }, PlanLead::stored);
    let target = target(&p.target);
    let last_done = p.last_done.as_ref().map(|d| LastDoneV1 { at: d.at.date_in(&zone), counter: d.counter });
    let mut errors = Vec::new();
    check_trigger(&mut errors, target.kind, &trigger);
    check_lead(&mut errors, &trigger, &lead);
    check_target(&mut errors, &target);
    check_template(&mut errors, target.kind, &p.template);
    if last_done.as_ref().is_some_and(|d| d.at > today) {
        errors.push(FieldError::new("payload.last_done.at", "lies in the future"));
    }
    all_valid(errors)?;
    let (target, owner) = found(facts, site, &target)?;
    let created = PlanCreatedV1 {
        name: p.name.clone().unwrap_or_else(|| p.template.title.clone()),
        site_id: site.clone(),
        time_zone: Text::new(&zone).map_err(|e| Rejection::invalid("site", format!("its time zone: {e}")))?,
        template: with_owner(facts, target.kind, &p.template, owner)?,
        target,
        trigger,
        lead,
        starts_on: last_done.as_ref().map_or(today, |d| d.at),
        last_done,
        floating: p.floating.unwrap_or(false),
    };
    check_comes(&PlanState::created(&created))?;
    Ok(decided(ctx, role, created))
}

/// With the kind that follows from what is named.
fn target(t: &PlanTarget) -> PlanTargetV1 {
    let by_name = match (t.equipment_id, &t.serial, &t.product_id) {
        (Some(_), ..) => PlanTargetKind::Equipment,
        (None, None, Some(_)) => PlanTargetKind::ProductFamily,
        _ => PlanTargetKind::Unit,
    };
    PlanTargetV1 {
        kind: t.kind.unwrap_or(by_name),
        equipment_id: t.equipment_id,
        serial: t.serial.clone(),
        product_id: t.product_id.clone(),
    }
}

/// With its default mode.
pub(super) fn trigger(p: &PlanTrigger) -> PlanTriggerV1 {
    PlanTriggerV1 {
        calendar: p.calendar.clone(),
        counter: p.counter.clone(),
        mode: p.mode.unwrap_or(PlanMode::WhicheverFirst),
    }
}

/// A calendar, a counter, or both; each well formed.
pub(super) fn check_trigger(errors: &mut Vec<FieldError>, kind: PlanTargetKind, t: &PlanTriggerV1) {
    if kind == PlanTargetKind::ProductFamily && t.counter.is_some() {
        let why = "a family has no counter: give a calendar, or a plan to each unit";
        errors.push(FieldError::new("payload.trigger.counter", why));
    }
    if t.calendar.is_none() && t.counter.is_none() {
        errors.push(FieldError::new("payload.trigger", "has a calendar, a counter, or both"));
    }
    if t.mode == PlanMode::Both && (t.calendar.is_none() || t.counter.is_none()) {
        errors.push(FieldError::new("payload.trigger.mode", "both needs a calendar and a counter"));
    }
    if let Some(Err(why)) = t.calendar.as_ref().map(|c| Rule::read(c.as_str())) {
        errors.push(FieldError::new("payload.trigger.calendar", why));
    }
    if let Some(c) = &t.counter
        && (c.every.decimal().is_sign_negative() || c.every.decimal().is_zero())
    {
        errors.push(FieldError::new("payload.trigger.counter.every", "is more than 0"));
    }
}

/// A lead is shorter than what it leads to.
pub(super) fn check_lead(errors: &mut Vec<FieldError>, t: &PlanTriggerV1, lead: &PlanLeadV1) {
    if lead.days.is_some_and(|d| d > MOST_LEAD_DAYS) {
        errors.push(FieldError::new("payload.lead.days", format!("is at most {MOST_LEAD_DAYS}")));
    }
    match (lead.counter, &t.counter) {
        (Some(_), None) => {
            errors.push(FieldError::new("payload.lead.counter", "needs a counter in the trigger"));
        }
        (Some(l), Some(c)) if l.decimal().is_sign_negative() || l.decimal() >= c.every.decimal() => {
            errors.push(FieldError::new("payload.lead.counter", "is from 0 to less than trigger.counter.every"));
        }
        _ => {}
    }
}

/// A machine by its id, a unit by its serial number, a family by one of its products.
fn check_target(errors: &mut Vec<FieldError>, t: &PlanTargetV1) {
    let mut need = |there: bool, wanted: bool, field: &str| {
        if there != wanted {
            let what = if wanted { "is required for" } else { "is not for" };
            errors.push(FieldError::new(
                format!("payload.target.{field}"),
                format!("{what} a target of kind {}", t.kind),
            ));
        }
    };
    need(t.equipment_id.is_some(), t.kind == PlanTargetKind::Equipment, "equipment_id");
    need(t.serial.is_some(), t.kind == PlanTargetKind::Unit, "serial");
    match t.kind {
        PlanTargetKind::Equipment => need(t.product_id.is_some(), false, "product_id"),
        // The serial number may say it.
        PlanTargetKind::Unit => {}
        PlanTargetKind::ProductFamily => need(t.product_id.is_some(), true, "product_id"),
    }
}

/// What a ticket takes.
pub(super) fn check_template(errors: &mut Vec<FieldError>, kind: PlanTargetKind, t: &PlanTemplateV1) {
    for (len, field) in [(t.checklist.len(), "checklist"), (t.parts.len(), "parts")] {
        if len > MOST_LINES {
            errors.push(FieldError::new(format!("payload.template.{field}"), format!("has at most {MOST_LINES}")));
        }
    }
    for (i, part) in t.parts.iter().enumerate() {
        let field = format!("payload.template.parts[{i}].qty");
        if part.qty.is_zero() {
            errors.push(FieldError::new(field, "is more than 0"));
        } else if part.uom.is_piece() && !part.qty.is_whole() {
            errors.push(FieldError::new(field, "must be whole: it is counted in pieces"));
        }
    }
    let why = match kind {
        PlanTargetKind::Equipment if t.customer_id.is_some() => "a machine has no customer",
        PlanTargetKind::ProductFamily if t.customer_id.is_none() => "is required for a family: whose units are they?",
        _ => return,
    };
    errors.push(FieldError::new("payload.template.customer_id", why));
}

/// The target as it is known, with what was left out; and whose it is.
fn found(
    facts: &Facts<'_>,
    site: &SiteId,
    target: &PlanTargetV1,
) -> Result<(PlanTargetV1, Option<CustomerId>), Rejection> {
    if let Some(id) = target.equipment_id {
        return match facts.known.machine(id).filter(|m| m.site_id == *site) {
            Some(_) => Ok((target.clone(), None)),
            None => {
                Err(Rejection::not_found(format!("this site has no equipment {id}")).at("payload.target.equipment_id"))
            }
        };
    }
    if let (PlanTargetKind::ProductFamily, Some(product)) = (target.kind, &target.product_id) {
        warranty::need_product(facts, product, "payload.target.product_id")?;
        return Ok((target.clone(), None));
    }
    let unit = unit(facts, target)?;
    let target = PlanTargetV1 { product_id: Some(unit.product_id), ..target.clone() };
    Ok((target, unit.customer_id))
}

fn unit(facts: &Facts<'_>, target: &PlanTargetV1) -> Result<Unit, Rejection> {
    let mut units = target.serial.as_ref().map(|s| facts.known.units(s)).unwrap_or_default();
    units.retain(|u| target.product_id.as_ref().is_none_or(|p| *p == u.product_id));
    let serial = target.serial.as_ref().map(|s| s.as_str()).unwrap_or_default();
    if units.len() > 1 {
        let products: Vec<&str> = units.iter().map(|u| u.product_id.as_str()).collect();
        let message = format!("serial {serial} is used by several products: name one of {}", products.join(", "));
        return Err(Rejection::invalid("payload.target.product_id", message));
    }
    units.pop().ok_or_else(|| Rejection::not_found(format!("there is no unit {serial}")).at("payload.target.serial"))
}

/// Tickets of a unit are for its owner, those of a family for the customer that is named.
fn with_owner(
    facts: &Facts<'_>,
    kind: PlanTargetKind,
    template: &PlanTemplateV1,
    owner: Option<CustomerId>,
) -> Result<PlanTemplateV1, Rejection> {
    if let (PlanTargetKind::ProductFamily, Some(customer)) = (kind, &template.customer_id) {
        warranty::need_customer(facts, customer, "payload.template.customer_id")?;
    }
    match (&template.customer_id, owner) {
        (Some(named), Some(owner)) if *named != owner => {
            let message = format!("the unit belongs to {owner}");
            Err(Rejection::invalid("payload.template.customer_id", message))
        }
        (None, owner) => Ok(PlanTemplateV1 { customer_id: owner, ..template.clone() }),
        (Some(_), _) => Ok(template.clone()),
    }
}

/// The same for another template of a plan that is there.
pub(super) fn template_of(
    facts: &Facts<'_>,
    plan: &PlanState,
    t: &PlanTemplateV1,
) -> Result<PlanTemplateV1, Rejection> {
    let (_, owner) = found(facts, &plan.site_id, &plan.target)?;
    with_owner(facts, plan.target.kind, t, owner)
}

/// A calendar comes at least once more, and does not count its times when each begins anew.
pub(super) fn check_comes(plan: &PlanState) -> Result<(), Rejection> {
    let Some(text) = &plan.trigger.calendar else { return Ok(()) };
    let refused = |why: &str| Err(Rejection::invalid("payload.trigger.calendar", why));
    if plan.floating && Rule::read(text.as_str()).is_ok_and(|r| r.is_counted()) {
        return refused("COUNT has no meaning in a floating plan: use UNTIL");
    }
    match plan.calendar_day() {
        Some(_) => Ok(()),
        None => refused("has no day that is still to come"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{MACHINE, hours, plan, quarterly, world};
    use crate::fixture::{Plant, admin, dispatcher, id, planner, technician};
    use crate::known::Unit;
    use mw_contract::{ErrorCode, Rejection};
    use serde_json::{Value, json};

    fn fields(r: &Rejection) -> Vec<String> {
        let all = r.details.as_ref().and_then(|d| d["fields"].as_array()).cloned().unwrap_or_default();
        all.iter().map(|f| f["field"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn mp_01_a_plan_is_a_draft_and_its_days_are_those_of_the_site() {
        let mut w = world();
        // 23:30 in UTC is the next day in Berlin.
        w.now = "2026-03-09T23:30:00.000Z".parse().unwrap();
        let d = w.run(&planner(), "maintenance-plan.create", id(1), quarterly()).unwrap();
        let e = d.events[0].1.data();
        assert_eq!(d.events[0].1.event_type().as_str(), "PlanCreated");
        assert_eq!(
            (&e["time_zone"], &e["starts_on"], &e["floating"]),
            (&json!("Europe/Berlin"), &json!("2026-03-10"), &json!(false))
        );
        assert_eq!((&e["site_id"], &e["trigger"]["mode"]), (&json!("plant-1"), &json!("whichever_first")));
        assert_eq!((plan(&w).stage.as_str(), plan(&w).next_due), ("draft", None));
        let again = w.run(&planner(), "maintenance-plan.create", id(1), quarterly()).unwrap_err();
        assert_eq!(again.code, ErrorCode::AlreadyExists);
        for who in [dispatcher(), admin()] {
            w.ask(&who, "maintenance-plan.create", id(2), quarterly()).unwrap();
        }
        // The policy grants technicians nothing here; were one let in by a condition, it would not hold.
        let refused = w.ask(&technician(), "maintenance-plan.create", id(2), quarterly()).unwrap_err();
        assert_eq!(refused.code, ErrorCode::Forbidden);
    }

    #[test]
    fn mp_01_the_shortest_form_has_its_defaults() {
        let mut w = world();
        let p = json!({"target": {"equipment_id": id(MACHINE)}, "trigger": {"calendar": "FREQ=WEEKLY"}, "lead": 90_000,
            "template": {"title": "Grease"}, "last_done": {"at": "2026-03-01T23:30:00Z"}});
        let d = w.run(&planner(), "maintenance-plan.create", id(1), p.clone()).unwrap();
        let e = d.events[0].1.data();
        assert_eq!((&e["name"], &e["target"]["kind"]), (&json!("Grease"), &json!("equipment")));
        assert_eq!((&e["lead"]["days"], &e["starts_on"]), (&json!(2), &json!("2026-03-02")), "the day in Berlin");
        let mut bad = p;
        bad["lead"] = json!("soon");
        let r = w.run(&planner(), "maintenance-plan.create", id(2), bad).unwrap_err();
        assert_eq!(r.field.as_deref(), Some("payload.lead"));
    }

    #[test]
    fn mp_01_a_family_is_named_by_one_of_its_products_and_has_a_calendar() {
        let mut w = world();
        let family = |target: Value, trigger: Value, customer: Value| {
            let mut p = quarterly();
            (p["target"], p["trigger"]) = (target, trigger);
            p["template"]["customer_id"] = customer;
            p
        };
        let calendar = json!({"calendar": "FREQ=YEARLY"});
        let counter = json!({"counter": {"name": "hours", "every": "500", "unit": "h"}});
        let (pump, named) = (json!({"product_id": "pump-200"}), json!({"kind": "product_family"}));
        let with_serial = json!({"kind": "product_family", "product_id": "pump-200", "serial": "SN-1"});
        for (p, field, code) in [
            (family(named, calendar.clone(), json!("acme")), "payload.target.product_id", ErrorCode::Validation),
            (family(with_serial, calendar.clone(), json!("acme")), "payload.target.serial", ErrorCode::Validation),
            (family(pump.clone(), counter, json!("acme")), "payload.trigger.counter", ErrorCode::Validation),
            (
                family(pump.clone(), calendar.clone(), json!(null)),
                "payload.template.customer_id",
                ErrorCode::Validation,
            ),
            (
                family(pump.clone(), calendar.clone(), json!("nobody")),
                "payload.template.customer_id",
                ErrorCode::NotFound,
            ),
            (
                family(json!({"product_id": "rocket"}), calendar.clone(), json!("acme")),
                "payload.target.product_id",
                ErrorCode::NotFound,
            ),
        ] {
            let r = w.ask(&planner(), "maintenance-plan.create", id(1), p.clone()).unwrap_err();
            assert_eq!((r.code, r.field.as_deref()), (code, Some(field)), "{p}");
        }
        w.run(&planner(), "maintenance-plan.create", id(1), family(pump, calendar, json!("acme"))).unwrap();
        let p = plan(&w);
        assert_eq!(
            (p.target.kind.as_str(), p.target.product_id.as_ref().unwrap().as_str()),
            ("product_family", "pump-200")
        );
        // What it is amended to has a customer too, and still no counter.
        let amend = |p: Value| w.ask(&planner(), "maintenance-plan.amend", id(1), p).unwrap_err();
        let r = amend(json!({"template": {"title": "Look at all pumps"}}));
        assert_eq!(r.field.as_deref(), Some("payload.template.customer_id"));
        let r = amend(json!({"trigger": {"counter": {"name": "hours", "every": "500", "unit": "h"}}}));
        assert_eq!(r.field.as_deref(), Some("payload.trigger.counter"));
    }

    #[test]
    fn mp_01_each_field_that_is_wrong_is_named() {
        let w = world();
        let with = |path: &str, v: Value| {
            let mut p = quarterly();
            *p.pointer_mut(path).unwrap() = v;
            p
        };
        let target = |t: Value| with("/target", t);
        let trigger = |t: Value| with("/trigger", t);
        let template = |t: Value| with("/template", t);
        let counter = |every: &str| json!({"name": "hours", "every": every, "unit": "h"});
        let lines = |n: usize| json!({"title": "t", "checklist": vec!["look"; n]});
        let part = |qty: &str, uom: &str| json!({"title": "t", "parts": [{"item_id": "oil", "qty": qty, "uom": uom}]});
        for (p, field) in [
            (trigger(json!({})), "payload.trigger"),
            (trigger(json!({"calendar": "FREQ=DAILY", "mode": "both"})), "payload.trigger.mode"),
            (trigger(json!({"counter": counter("5"), "mode": "both"})), "payload.trigger.mode"),
            (trigger(json!({"calendar": "every day"})), "payload.trigger.calendar"),
            (trigger(json!({"calendar": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"})), "payload.trigger.calendar"),
            (trigger(json!({"calendar": "FREQ=DAILY;UNTIL=20260301"})), "payload.trigger.calendar"),
            (trigger(json!({"counter": counter("0")})), "payload.trigger.counter.every"),
            (trigger(json!({"counter": counter("-5")})), "payload.trigger.counter.every"),
            (with("/lead", json!({"days": 367})), "payload.lead.days"),
            (with("/lead", json!({"counter": 1})), "payload.lead.counter"),
            (target(json!({"kind": "equipment"})), "payload.target.equipment_id"),
            (
                target(json!({"kind": "equipment", "equipment_id": id(MACHINE), "serial": "SN-1"})),
                "payload.target.serial",
            ),
            (
                target(json!({"kind": "equipment", "equipment_id": id(MACHINE), "product_id": "pump-200"})),
                "payload.target.product_id",
            ),
            (target(json!({"kind": "unit"})), "payload.target.serial"),
            (
                target(json!({"kind": "unit", "serial": "SN-1", "equipment_id": id(MACHINE)})),
                "payload.target.equipment_id",
            ),
            (template(lines(51)), "payload.template.checklist"),
            (template(part("0", "H87")), "payload.template.parts[0].qty"),
            (template(part("1.5", "H87")), "payload.template.parts[0].qty"),
            (template(json!({"title": "t", "customer_id": "acme"})), "payload.template.customer_id"),
            (with("/last_done", json!({"at": "2026-03-03"})), "payload.last_done.at"),
        ] {
            let r = w.ask(&planner(), "maintenance-plan.create", id(1), p.clone()).unwrap_err();
            assert_eq!((r.code, fields(&r)), (ErrorCode::Validation, vec![field.to_owned()]), "{p}");
        }
        for p in [template(lines(50)), template(part("1.5", "LTR")), with("/lead", json!({"days": 366}))] {
            w.ask(&planner(), "maintenance-plan.create", id(1), p).unwrap();
        }
        // All at once.
        let mut p = trigger(json!({"calendar": "x", "counter": counter("0")}));
        p["target"] = json!({"kind": "unit"});
        let r = w.ask(&planner(), "maintenance-plan.create", id(1), p).unwrap_err();
        assert_eq!(fields(&r).len(), 3);
    }

    #[test]
    fn mp_01_a_counter_lead_is_shorter_than_the_interval() {
        let w = world();
        for (lead, ok) in [("0", true), ("499.9", true), ("500", false), ("-1", false)] {
            let mut p = hours("0");
            p["lead"] = json!({"counter": lead});
            assert_eq!(w.ask(&planner(), "maintenance-plan.create", id(1), p).is_ok(), ok, "{lead}");
        }
    }

    #[test]
    fn mp_01_a_floating_plan_does_not_count_its_times() {
        let w = world();
        let ask = |calendar: &str, floating: bool| {
            let mut p = quarterly();
            (p["trigger"], p["floating"]) = (json!({"calendar": calendar}), json!(floating));
            w.ask(&planner(), "maintenance-plan.create", id(1), p)
        };
        ask("FREQ=DAILY;COUNT=3", false).unwrap();
        assert!(ask("FREQ=DAILY;COUNT=3", true).unwrap_err().message.contains("UNTIL"));
        ask("FREQ=DAILY;UNTIL=20270101", true).unwrap();
    }

    #[test]
    fn mp_01_the_target_is_there() {
        let w = world();
        let ask = |target: Value| {
            let mut p = quarterly();
            p["target"] = target;
            w.ask(&planner(), "maintenance-plan.create", id(1), p)
        };
        let r = ask(json!({"kind": "equipment", "equipment_id": id(99)})).unwrap_err();
        assert_eq!((r.code, r.field.as_deref()), (ErrorCode::NotFound, Some("payload.target.equipment_id")));
        let r = ask(json!({"kind": "unit", "serial": "SN-9"})).unwrap_err();
        assert_eq!((r.code, r.field.as_deref()), (ErrorCode::NotFound, Some("payload.target.serial")));
        let r = ask(json!({"kind": "unit", "serial": "SN-1", "product_id": "valve"})).unwrap_err();
        assert_eq!(r.code, ErrorCode::NotFound);
        // Its product and its owner are copied.
        let d = ask(json!({"kind": "unit", "serial": "SN-1"})).unwrap();
        let e = d.events[0].1.data();
        assert_eq!((&e["target"]["product_id"], &e["template"]["customer_id"]), (&json!("pump-200"), &json!("acme")));
        two_of_a_serial(&w.plant);
        let r = ask(json!({"kind": "unit", "serial": "SN-1"})).unwrap_err();
        assert_eq!((r.code, r.field.as_deref()), (ErrorCode::Validation, Some("payload.target.product_id")));
        assert!(r.message.contains("pump-200") && r.message.contains("valve"), "{}", r.message);
        let mut p = quarterly();
        p["target"] = json!({"kind": "unit", "serial": "SN-1", "product_id": "pump-200"});
        p["template"]["customer_id"] = json!("other");
        let r = w.ask(&planner(), "maintenance-plan.create", id(1), p).unwrap_err();
        assert_eq!(fields(&r), ["payload.template.customer_id"]);
    }

    fn two_of_a_serial(plant: &Plant) {
        let other = Unit { unit_id: id(77), product_id: "valve".parse().unwrap(), ..crate::fixture::unit("SN-1") };
        plant.unit(other);
    }
}
