//! EQ-02 `equipment.report-state`: what a machine does now.

use mw_contract::command::equipment::ReportState;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::equipment::MachineStateChangedV1;
use mw_contract::event::parts::CounterV1;
use mw_contract::{Rejection, Role, Seconds, StateSource};

use super::{decided, machine, own_cell};
use crate::rules::authorise;
use crate::state::ProductionState;

/// Decides EQ-02. The same state again, a count that is not higher than the last, and what happened
/// before the present state began change nothing: the command is accepted without an event.
pub fn decide(state: &ProductionState, p: &ReportState, ctx: &DecisionContext<'_>) -> Result<Decision, Rejection> {
    let m = machine(state, ctx)?;
    let role = authorise(ctx, own_cell(m, ctx))?;
    let by_role = if role == Role::Device { StateSource::Device } else { StateSource::Manual };
    let source = p.source.unwrap_or(by_role);
    let overtaken = match (p.sequence, m.sequence) {
        (Some(new), Some(last)) => new <= last,
        _ => m.doing.is_some_and(|(_, since)| ctx.occurred_at < since),
    };
    if overtaken || m.doing.is_some_and(|(now, _)| now == p.state) {
        return Ok(decided(ctx, role, Vec::new()));
    }
    let changed = MachineStateChangedV1 {
        cell_id: m.cell.clone(),
        old: m.doing.map(|(old, _)| old),
        new: p.state,
        duration: m.doing.map_or(Seconds(0), |(_, since)| Seconds::between(since, ctx.occurred_at)),
        source,
        sequence: p.sequence,
        counter: p.counter.as_ref().map(|c| CounterV1 { name: c.name.clone(), value: c.value, reset: false }),
    };
    Ok(decided(ctx, role, vec![changed.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{MINUTE, World, code, data, device, lead};
    use mw_contract::ErrorCode;
    use serde_json::json;

    #[test]
    fn eq_02_a_state_is_told_when_it_is_another_one() {
        let (mut w, m) = World::with_machine();
        let d = w.run(&device("cell-1"), "equipment.report-state", m, json!({"state": "running"})).unwrap();
        assert_eq!((&data(&d, 0)["old"], &data(&d, 0)["source"]), (&json!(null), &json!("device")));
        w.later(5 * MINUTE);
        let again = w.run(&device("cell-1"), "equipment.report-state", m, json!({"state": "running"})).unwrap();
        assert!(again.events.is_empty());
        let d = w.run(&lead(), "equipment.report-state", m, json!({"state": "down"})).unwrap();
        let x = data(&d, 0);
        assert_eq!((&x["old"], &x["new"], &x["duration"]), (&json!("running"), &json!("down"), &json!(300)));
        assert_eq!(x["source"], "manual");
        assert_eq!(
            code(w.run(&lead(), "equipment.report-state", m, json!({"state": "flying"}))),
            ErrorCode::Validation
        );
    }

    #[test]
    fn eq_02_what_was_overtaken_changes_nothing() {
        let (mut w, m) = World::with_machine();
        let say = |state: &str, n: u64| json!({"state": state, "sequence": n});
        w.run(&device("cell-1"), "equipment.report-state", m, say("running", 7)).unwrap();
        for n in [6, 7] {
            let late = w.run(&device("cell-1"), "equipment.report-state", m, say("idle", n)).unwrap();
            assert!(late.events.is_empty());
        }
        let earlier = w.now.plus_millis(-1);
        let late = w.run_at(earlier, &device("cell-1"), "equipment.report-state", m, json!({"state": "idle"})).unwrap();
        assert!(late.events.is_empty());
        let d = w.run(&device("cell-1"), "equipment.report-state", m, say("idle", 8)).unwrap();
        assert_eq!(d.events.len(), 1);
    }

    #[test]
    fn eq_02_a_device_speaks_for_its_own_cell() {
        let (mut w, m) = World::with_machine();
        let r = w.run(&device("cell-2"), "equipment.report-state", m, json!({"state": "running"}));
        assert_eq!(code(r), ErrorCode::Forbidden);
        w.site = Some("plant-2".parse().unwrap());
        let r = w.run(&lead(), "equipment.report-state", m, json!({"state": "running"}));
        assert_eq!(code(r), ErrorCode::NotFound);
    }
}
