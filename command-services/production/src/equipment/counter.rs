//! EQ-09 `equipment.record-counter`: a counter was read.

use mw_contract::command::equipment::RecordCounter;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::equipment::CounterRecordedV1;
use mw_contract::{Instant, Number, Rejection};
use rust_decimal::Decimal;

use super::state::Reading;
use super::{decided, machine, own_cell};
use crate::rules::authorise;
use crate::state::ProductionState;

/// Within this time a reading counts only when the value has grown by a step, milliseconds.
const SAMPLE_MS: i64 = 60_000;

/// Decides EQ-09. A counter only grows unless it says that it began again; what it counted in all
/// goes on. A reading within a minute of the last one that has grown by less than a step (1, or
/// one in a hundred) is accepted without an event: raw telemetry is not history.
pub fn decide(state: &ProductionState, p: &RecordCounter, ctx: &DecisionContext<'_>) -> Result<Decision, Rejection> {
    let m = machine(state, ctx)?;
    let role = authorise(ctx, own_cell(m, ctx))?;
    let reset = p.reset.unwrap_or(false);
    let last = m.counters.get(&p.name);
    let cumulative = cumulative("EQ-09", last.map(|l| (l.value, l.cumulative)), p.value, reset)?;
    if !reset && last.is_some_and(|l| is_too_little(l, p.value, ctx.occurred_at)) {
        return Ok(decided(ctx, role, Vec::new()));
    }
    let recorded = CounterRecordedV1 {
        cell_id: m.cell.clone(),
        name: p.name.clone(),
        value: p.value,
        cumulative,
        unit: p.unit.clone(),
        reset,
    };
    Ok(decided(ctx, role, vec![recorded.into()]))
}

fn is_too_little(last: &Reading, value: Number, at: Instant) -> bool {
    let step = (last.value.decimal() / Decimal::ONE_HUNDRED).max(Decimal::ONE);
    at.since(last.at) < SAMPLE_MS && value.decimal() - last.value.decimal() < step
}

/// What a counter has counted in all, over its resets.
///
/// # Errors
/// `GUARD_FAILED` with `rule` when it shows less than before and does not say why; `VALIDATION` when
/// the sum can't be written any more.
pub(crate) fn cumulative(
    rule: &'static str,
    last: Option<(Number, Number)>,
    value: Number,
    reset: bool,
) -> Result<Number, Rejection> {
    let Some((last, sum)) = last else { return Ok(value) };
    let grown = if reset {
        Some(value)
    } else if value.decimal() < last.decimal() {
        let message = format!("it showed {last} and can't show {value}: say reset=true if it began again");
        return Err(Rejection::guard(rule, message).with("last", last.to_string()).at("payload.value"));
    } else {
        value.minus(last)
    };
    grown
        .and_then(|g| sum.plus(g))
        .ok_or_else(|| Rejection::invalid("payload.value", "adds up to more than can be counted"))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{MINUTE, World, code, data, detail, device, rule};
    use mw_contract::decide::Decision;
    use mw_contract::{AggregateId, ErrorCode, Rejection};
    use serde_json::json;

    fn read(w: &mut World, m: AggregateId, value: &str, reset: bool) -> Result<Decision, Rejection> {
        let p = json!({"name": "strokes", "value": value, "reset": reset});
        w.run(&device("cell-1"), "equipment.record-counter", m, p)
    }

    #[test]
    fn eq_09_a_counter_only_grows_unless_it_began_again() {
        let (mut w, m) = World::with_machine();
        assert_eq!(data(&read(&mut w, m, "100", false).unwrap(), 0)["cumulative"], "100");
        w.later(MINUTE);
        assert_eq!(data(&read(&mut w, m, "130.5", false).unwrap(), 0)["cumulative"], "130.5");
        let less = read(&mut w, m, "5", false);
        assert_eq!(detail(less.clone(), "last"), json!("130.5"));
        assert_eq!(rule(less), "EQ-09");
        assert_eq!(data(&read(&mut w, m, "5", true).unwrap(), 0)["cumulative"], "135.5");
        w.later(MINUTE);
        assert_eq!(data(&read(&mut w, m, "6", false).unwrap(), 0)["cumulative"], "136.5");
        let foreign = w.run(&device("cell-2"), "equipment.record-counter", m, json!({"name": "x", "value": 1}));
        assert_eq!(code(foreign), ErrorCode::Forbidden);
    }

    #[test]
    fn eq_09_small_steps_within_a_minute_are_not_history() {
        let (mut w, m) = World::with_machine();
        read(&mut w, m, "1000", false).unwrap();
        assert!(read(&mut w, m, "1009", false).unwrap().events.is_empty());
        assert_eq!(read(&mut w, m, "1010", false).unwrap().events.len(), 1, "a step of one in a hundred");
        w.later(MINUTE - 1);
        assert!(read(&mut w, m, "1011", false).unwrap().events.is_empty());
        w.later(1);
        assert_eq!(read(&mut w, m, "1011", false).unwrap().events.len(), 1);
    }
}
