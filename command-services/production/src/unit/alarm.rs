//! `unit.raise-alarm` and `unit.clear-alarm`: what a unit in use complains of (the field-unit alarms of
//! PM-1). They follow the rules of a machine's alarms, EQ-06 and EQ-08.

use mw_contract::command::unit::{ClearUnitAlarm, RaiseUnitAlarm};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::unit::{UnitAlarmClearedV1, UnitAlarmRaisedV1, UnitAlarmRepeatedV1};
use mw_contract::{CommandType, Rejection, Role, Sealed, Seconds, UnitStatus};

use super::{ProductUnit, decided, in_status, unit};
use crate::equipment::alarm::check_raised;
use crate::rules::{Holds, authorise, exists};
use crate::state::ProductionState;

/// Where a unit can complain: at a customer's.
const IN_USE: [UnitStatus; 4] =
    [UnitStatus::Shipped, UnitStatus::Installed, UnitStatus::InRepair, UnitStatus::Recalled];

/// The unit and the sender's role. A customer that reads it at all owns it.
fn at_work<'a>(
    state: &'a ProductionState,
    ctx: &DecisionContext<'_>,
    command: CommandType,
) -> Result<(&'a ProductUnit, Role), Rejection> {
    let u = unit(state, ctx)?;
    let role = authorise(ctx, Holds { own: ctx.actor.customer_id.is_some(), ..Holds::default() })?;
    in_status(u, command, &IN_USE)?;
    Ok((u, role))
}

/// Decides `unit.raise-alarm`. The same code while it is active counts up and is no new alarm.
pub fn raise(state: &ProductionState, p: &RaiseUnitAlarm, ctx: &DecisionContext<'_>) -> Result<Decision, Rejection> {
    let (u, role) = at_work(state, ctx, CommandType::UnitRaiseAlarm)?;
    let raised_at = check_raised(p.severity, p.raised_at, ctx)?;
    let (serial, code) = (u.serial.clone(), p.code.clone());
    if let Some(active) = u.alarms.get(&p.code) {
        let count = active.count.saturating_add(1);
        let alarm_id = active.id;
        let repeated = UnitAlarmRepeatedV1 { serial, alarm_id, code, severity: p.severity, count, raised_at };
        return Ok(decided(ctx, role, vec![repeated.into()]));
    }
    if let Some((other, _)) = u.alarms.iter().find(|(_, a)| a.id == p.alarm_id) {
        return Err(exists(format!("alarm {} is active for {other}", p.alarm_id)).at("payload.alarm_id"));
    }
    let raised = UnitAlarmRaisedV1 {
        serial,
        product_id: u.product_id.clone(),
        customer_id: u.customer_id.clone(),
        alarm_id: p.alarm_id,
        code,
        severity: p.severity,
        text: p.text.as_ref().map(Sealed::plain),
        raised_at,
    };
    Ok(decided(ctx, role, vec![raised.into()]))
}

/// Decides `unit.clear-alarm`.
pub fn clear(state: &ProductionState, p: &ClearUnitAlarm, ctx: &DecisionContext<'_>) -> Result<Decision, Rejection> {
    let (u, role) = at_work(state, ctx, CommandType::UnitClearAlarm)?;
    let active = u.alarms.iter().find(|(_, a)| a.id == p.alarm_id);
    let (code, alarm) = active.ok_or_else(|| {
        Rejection::not_found(format!("{} has no active alarm {}", u.serial, p.alarm_id)).at("payload.alarm_id")
    })?;
    let cleared_at = p.cleared_at.unwrap_or(ctx.occurred_at);
    if cleared_at < alarm.raised_at {
        let message = format!("it would be over before it was raised, {}", alarm.raised_at);
        return Err(Rejection::guard("EQ-08", message).with("not_before", alarm.raised_at.to_string()));
    }
    let cleared = UnitAlarmClearedV1 {
        serial: u.serial.clone(),
        alarm_id: p.alarm_id,
        code: code.clone(),
        cleared_at,
        active_for: Seconds::between(alarm.raised_at, cleared_at),
    };
    Ok(decided(ctx, role, vec![cleared.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, actor, admin, code, data, e, names, rule};
    use mw_contract::decide::{Actor, Allowance};
    use mw_contract::{ErrorCode, Role};
    use serde_json::json;

    fn customer(of: &str) -> Actor {
        Actor { customer_id: Some(of.parse().unwrap()), ..actor("gateway", &[(Role::Customer, Allowance::Own)]) }
    }

    #[test]
    fn eq_06_a_unit_in_use_complains_in_its_customers_name_and_counts_up() {
        let mut w = World::new();
        let u = w.unit("P-1");
        let raise = |n: u128| json!({"alarm_id": e(n), "code": "overheat", "severity": 800, "text": "hot"});
        assert_eq!(code(w.run(&admin(), "unit.raise-alarm", u, raise(1))), ErrorCode::InvalidState, "in stock");
        w.run(&admin(), "unit.ship", u, json!({"customer_id": "acme"})).unwrap();
        assert_eq!(code(w.run(&customer("other"), "unit.raise-alarm", u, raise(1))), ErrorCode::NotFound);
        let d = w.run(&customer("acme"), "unit.raise-alarm", u, raise(1)).unwrap();
        assert_eq!((names(&d), &data(&d, 0)["customer_id"]), (vec!["UnitAlarmRaised"], &json!("acme")));
        let d = w.run(&customer("acme"), "unit.raise-alarm", u, raise(2)).unwrap();
        assert_eq!((names(&d), &data(&d, 0)["count"]), (vec!["UnitAlarmRepeated"], &json!(2)));
        assert_eq!(data(&d, 0)["alarm_id"], e(1), "it is the alarm that is active");
        let mut twice = raise(1);
        twice["code"] = json!("leak");
        assert_eq!(code(w.run(&admin(), "unit.raise-alarm", u, twice)), ErrorCode::AlreadyExists);
        let mut loud = raise(3);
        loud["severity"] = json!(1001);
        assert_eq!(code(w.run(&admin(), "unit.raise-alarm", u, loud)), ErrorCode::Validation);
    }

    #[test]
    fn eq_08_an_alarm_of_a_unit_ends_once_and_not_before_it_began() {
        let mut w = World::new();
        let u = w.unit("P-1");
        w.run(&admin(), "unit.ship", u, json!({"customer_id": "acme"})).unwrap();
        let raise = json!({"alarm_id": e(1), "code": "overheat", "severity": 800});
        w.run(&customer("acme"), "unit.raise-alarm", u, raise).unwrap();
        let early = json!({"alarm_id": e(1), "cleared_at": w.now.plus_millis(-1)});
        assert_eq!(rule(w.run(&customer("acme"), "unit.clear-alarm", u, early)), "EQ-08");
        w.later(90_000);
        let over = json!({"alarm_id": e(1)});
        let d = w.run(&customer("acme"), "unit.clear-alarm", u, over.clone()).unwrap();
        assert_eq!(data(&d, 0)["active_for"], 90);
        assert_eq!(code(w.run(&customer("acme"), "unit.clear-alarm", u, over)), ErrorCode::NotFound);
    }
}
