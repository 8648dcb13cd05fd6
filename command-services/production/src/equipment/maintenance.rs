//! EQ-10 `equipment.set-maintenance-mode`: nobody works there while it is maintained.

use mw_contract::command::equipment::SetMaintenanceMode;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::equipment::MaintenanceModeChangedV1;
use mw_contract::reference::catalogues;
use mw_contract::{Rejection, Sealed};

use super::{decided, machine};
use crate::facts::Production;
use crate::rules::{Holds, authorise, check_reason};
use crate::state::ProductionState;

/// Decides EQ-10.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &SetMaintenanceMode,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let m = machine(state, ctx)?;
    let role = authorise(ctx, Holds::default())?;
    if m.maintenance == p.on {
        let (now, wanted) = if p.on { ("on", "off") } else { ("off", "on") };
        return Err(Rejection::invalid_state("equipment.set-maintenance-mode", now, &[wanted]));
    }
    if let Some(code) = &p.reason {
        check_reason(facts, catalogues::STOP, code, p.note.as_ref(), "payload.")?;
    }
    if p.until.is_some_and(|t| t <= ctx.occurred_at) {
        return Err(Rejection::invalid("payload.until", "must be later than now"));
    }
    let at_work = facts.cells.at_work(&m.cell);
    let forced = at_work > 0 && p.on;
    if forced && p.force != Some(true) {
        let message = format!("{at_work} sessions are open on {}: end them first, or force it", m.cell);
        return Err(Rejection::guard("EQ-10", message).with("open_sessions", at_work));
    }
    let changed = MaintenanceModeChangedV1 {
        cell_id: m.cell.clone(),
        on: p.on,
        reason: p.reason.clone(),
        until: p.until,
        forced,
        note: p.note.as_ref().map(Sealed::plain),
    };
    Ok(decided(ctx, role, vec![changed.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, code, data, e, lead, rule};
    use mw_contract::ErrorCode;
    use serde_json::json;

    #[test]
    fn eq_10_nobody_works_at_a_machine_that_is_maintained() {
        let (mut w, m) = World::with_machine();
        let id = w.bracket(5);
        w.release(id);
        let session = w.start(&lead(), id, 10, "cell-1");
        assert_eq!(rule(w.lead("equipment.set-maintenance-mode", m, json!({"on": true}))), "EQ-10");
        w.lead("work-order.pause-operation", id, json!({"op": 10, "session_id": session, "reason": "break"})).unwrap();
        let d =
            w.lead("equipment.set-maintenance-mode", m, json!({"on": true, "reason": "planned_maintenance"})).unwrap();
        assert_eq!(data(&d, 0)["forced"], false);
        let p = json!({"op": 10, "session_id": e(77), "cell_id": "cell-1"});
        assert_eq!(rule(w.lead("work-order.start-operation", id, p.clone())), "WO-28.R3");
        assert_eq!(code(w.lead("equipment.set-maintenance-mode", m, json!({"on": true}))), ErrorCode::InvalidState);
        w.lead("equipment.set-maintenance-mode", m, json!({"on": false})).unwrap();
        w.lead("work-order.start-operation", id, p).unwrap();
        let d = w.lead("equipment.set-maintenance-mode", m, json!({"on": true, "force": true})).unwrap();
        assert_eq!(data(&d, 0)["forced"], true);
    }

    #[test]
    fn eq_10_it_ends_in_the_future() {
        let (mut w, m) = World::with_machine();
        let p = json!({"on": true, "until": w.now});
        assert_eq!(code(w.lead("equipment.set-maintenance-mode", m, p)), ErrorCode::Validation);
    }
}
