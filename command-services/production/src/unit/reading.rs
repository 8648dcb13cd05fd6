//! PU-06 `unit.record-reading`: a counter of a unit in use.

use mw_contract::Rejection;
use mw_contract::command::unit::RecordReading;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::unit::ReadingRecordedV1;

use super::{decided, unit};
use crate::equipment::counter::cumulative;
use crate::rules::{Holds, authorise};
use crate::state::ProductionState;

/// Decides PU-06: a counter only grows unless it says that it began again.
pub fn decide(state: &ProductionState, p: &RecordReading, ctx: &DecisionContext<'_>) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let u = unit(state, ctx)?;
    let reset = p.reset.unwrap_or(false);
    let recorded = ReadingRecordedV1 {
        serial: u.serial.clone(),
        name: p.name.clone(),
        value: p.value,
        cumulative: cumulative("PU-06", u.counters.get(&p.name).copied(), p.value, reset)?,
        unit: p.unit.clone(),
        reset,
    };
    Ok(decided(ctx, role, vec![recorded.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, admin, data, rule};
    use serde_json::json;

    #[test]
    fn pu_06_a_reading_goes_on_over_a_new_counter() {
        let mut w = World::new();
        let u = w.unit("P-1");
        let read = |v: u32, reset: bool| json!({"name": "hours", "value": v, "unit": "h", "reset": reset});
        for (v, reset, sum) in [(1200, false, "1200"), (1650, false, "1650"), (3, true, "1653"), (10, false, "1660")] {
            let d = w.run(&admin(), "unit.record-reading", u, read(v, reset)).unwrap();
            assert_eq!(data(&d, 0)["cumulative"], sum);
        }
        assert_eq!(rule(w.run(&admin(), "unit.record-reading", u, read(9, false))), "PU-06");
    }
}
