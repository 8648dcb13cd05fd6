//! EQ-06 `equipment.raise-alarm`, EQ-07 `equipment.acknowledge-alarm` and EQ-08
//! `equipment.clear-alarm`: what a machine complains of.

use mw_contract::command::equipment::{AcknowledgeAlarm, ClearAlarm, RaiseAlarm};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::equipment::{AlarmAcknowledgedV1, AlarmClearedV1, AlarmRaisedV1, AlarmRepeatedV1};
use mw_contract::{EntityId, Instant, Rejection, Sealed, Seconds};

use super::state::{Alarm, Equipment};
use super::{decided, machine, own_cell};
use crate::rules::{Holds, authorise, exists};
use crate::state::ProductionState;

/// When an alarm was raised, where its severity and time can be.
///
/// # Errors
/// `VALIDATION`.
pub(crate) fn check_raised(
    severity: u16,
    raised_at: Option<Instant>,
    ctx: &DecisionContext<'_>,
) -> Result<Instant, Rejection> {
    if !(1..=1000).contains(&severity) {
        return Err(Rejection::invalid("payload.severity", "is from 1 to 1000"));
    }
    let raised_at = raised_at.unwrap_or(ctx.occurred_at);
    if raised_at.since(ctx.received_at) > 120_000 {
        return Err(Rejection::invalid("payload.raised_at", "lies in the future"));
    }
    Ok(raised_at)
}

/// Decides EQ-06. The same code while it is active counts up and is no new alarm.
pub fn raise(state: &ProductionState, p: &RaiseAlarm, ctx: &DecisionContext<'_>) -> Result<Decision, Rejection> {
    let m = machine(state, ctx)?;
    let role = authorise(ctx, own_cell(m, ctx))?;
    let raised_at = check_raised(p.severity, p.raised_at, ctx)?;
    let (cell_id, code) = (m.cell.clone(), p.code.clone());
    if let Some(active) = m.alarms.get(&p.code) {
        let count = active.count.saturating_add(1);
        let repeated = AlarmRepeatedV1 { alarm_id: active.id, cell_id, code, severity: p.severity, count, raised_at };
        return Ok(decided(ctx, role, vec![repeated.into()]));
    }
    if let Some((other, _)) = m.alarm(p.alarm_id) {
        return Err(exists(format!("alarm {} is active for {other}", p.alarm_id)).at("payload.alarm_id"));
    }
    let raised = AlarmRaisedV1 {
        alarm_id: p.alarm_id,
        cell_id,
        code,
        severity: p.severity,
        text: p.text.as_ref().map(Sealed::plain),
        raised_at,
    };
    Ok(decided(ctx, role, vec![raised.into()]))
}

fn active(m: &Equipment, id: EntityId) -> Result<(&mw_contract::Code, &Alarm), Rejection> {
    m.alarm(id)
        .ok_or_else(|| Rejection::not_found(format!("{} has no active alarm {id}", m.cell)).at("payload.alarm_id"))
}

/// Decides EQ-07.
pub fn acknowledge(
    state: &ProductionState,
    p: &AcknowledgeAlarm,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let m = machine(state, ctx)?;
    let role = authorise(ctx, Holds::default())?;
    let (code, alarm) = active(m, p.alarm_id)?;
    if alarm.acknowledged {
        return Err(Rejection::invalid_state("equipment.acknowledge-alarm", "acknowledged", &["active"]));
    }
    let seen = AlarmAcknowledgedV1 {
        alarm_id: p.alarm_id,
        cell_id: m.cell.clone(),
        code: code.clone(),
        note: p.note.as_ref().map(Sealed::plain),
    };
    Ok(decided(ctx, role, vec![seen.into()]))
}

/// Decides EQ-08.
pub fn clear(state: &ProductionState, p: &ClearAlarm, ctx: &DecisionContext<'_>) -> Result<Decision, Rejection> {
    let m = machine(state, ctx)?;
    let role = authorise(ctx, own_cell(m, ctx))?;
    let (code, alarm) = active(m, p.alarm_id)?;
    let cleared_at = p.cleared_at.unwrap_or(ctx.occurred_at);
    if cleared_at < alarm.raised_at {
        let message = format!("it would be over before it was raised, {}", alarm.raised_at);
        return Err(Rejection::guard("EQ-08", message).with("not_before", alarm.raised_at.to_string()));
    }
    let cleared = AlarmClearedV1 {
        alarm_id: p.alarm_id,
        cell_id: m.cell.clone(),
        code: code.clone(),
        cleared_at,
        active_for: Seconds::between(alarm.raised_at, cleared_at),
    };
    Ok(decided(ctx, role, vec![cleared.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{MINUTE, World, code, data, device, e, lead, names, operator, rule};
    use mw_contract::ErrorCode;
    use serde_json::{Value, json};

    fn overheat(n: u128) -> Value {
        json!({"alarm_id": e(n), "code": "overheat", "severity": 800, "text": "92 degrees"})
    }

    #[test]
    fn eq_06_the_same_code_counts_up_while_it_is_active() {
        let (mut w, m) = World::with_machine();
        let cell = device("cell-1");
        let d = w.run(&cell, "equipment.raise-alarm", m, overheat(1)).unwrap();
        assert_eq!(names(&d), ["AlarmRaised"]);
        for (n, count) in [(1, 2), (2, 3)] {
            let d = w.run(&cell, "equipment.raise-alarm", m, overheat(n)).unwrap();
            assert_eq!(names(&d), ["AlarmRepeated"]);
            assert_eq!((&data(&d, 0)["count"], &data(&d, 0)["alarm_id"]), (&json!(count), &json!(e(1))));
        }
        let other = json!({"alarm_id": e(1), "code": "pressure", "severity": 1});
        assert_eq!(code(w.run(&cell, "equipment.raise-alarm", m, other)), ErrorCode::AlreadyExists);
        for severity in [0, 1001] {
            let p = json!({"alarm_id": e(4), "code": "x", "severity": severity});
            assert_eq!(code(w.run(&cell, "equipment.raise-alarm", m, p)), ErrorCode::Validation);
        }
        let p = json!({"alarm_id": e(4), "code": "x", "severity": 5, "raised_at": w.now.plus_millis(3 * MINUTE)});
        assert_eq!(code(w.run(&cell, "equipment.raise-alarm", m, p)), ErrorCode::Validation);
    }

    #[test]
    fn eq_07_an_active_alarm_is_acknowledged_once() {
        let (mut w, m) = World::with_machine();
        let seen = json!({"alarm_id": e(1), "note": "on my way"});
        assert_eq!(code(w.run(&lead(), "equipment.acknowledge-alarm", m, seen.clone())), ErrorCode::NotFound);
        w.run(&device("cell-1"), "equipment.raise-alarm", m, overheat(1)).unwrap();
        let d = w.run(&lead(), "equipment.acknowledge-alarm", m, seen.clone()).unwrap();
        assert_eq!(data(&d, 0)["code"], "overheat");
        assert_eq!(code(w.run(&lead(), "equipment.acknowledge-alarm", m, seen)), ErrorCode::InvalidState);
    }

    #[test]
    fn eq_08_it_is_over_and_may_begin_anew() {
        let (mut w, m) = World::with_machine();
        let cell = device("cell-1");
        w.run(&cell, "equipment.raise-alarm", m, overheat(1)).unwrap();
        let over = json!({"alarm_id": e(1)});
        assert_eq!(rule(w.run_at(w.now.plus_millis(-1), &cell, "equipment.clear-alarm", m, over.clone())), "EQ-08");
        w.later(MINUTE);
        let d = w.run(&cell, "equipment.clear-alarm", m, over.clone()).unwrap();
        assert_eq!(data(&d, 0)["active_for"], 60);
        assert_eq!(code(w.run(&cell, "equipment.clear-alarm", m, over)), ErrorCode::NotFound);
        let d = w.run(&cell, "equipment.raise-alarm", m, overheat(2)).unwrap();
        assert_eq!(names(&d), ["AlarmRaised"]);
        // Another cell's device can't say so.
        let foreign = w.run(&device("cell-2"), "equipment.clear-alarm", m, json!({"alarm_id": e(2)}));
        assert_eq!(code(foreign), ErrorCode::Forbidden);
        assert!(w.run(&operator("operator-1"), "equipment.acknowledge-alarm", m, json!({"alarm_id": e(2)})).is_err());
    }
}
