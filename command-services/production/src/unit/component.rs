//! PU-07 `unit.change-component`: what is in a unit now is not what was built into it first.

use mw_contract::command::unit::ChangeComponent;
use mw_contract::command::work_order::Component;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::parts::ComponentV1;
use mw_contract::event::unit::UnitComponentChangedV1;
use mw_contract::{AggregateId, Qty, Rejection};

use super::state::{is_meant, take_out};
use super::{decided, unit};
use crate::facts::Production;
use crate::rules::{Holds, authorise};
use crate::state::ProductionState;

/// Components as a command names them, as events hold them; without a quantity it is one.
pub(crate) fn components(named: Option<&[Component]>) -> Vec<ComponentV1> {
    let one = |c: &Component| ComponentV1 {
        item_id: c.item_id.clone(),
        serial: c.serial.clone(),
        lot: c.lot.clone(),
        qty: c.qty.unwrap_or(Qty::whole(1)),
        position: c.position.clone(),
    };
    named.unwrap_or_default().iter().map(one).collect()
}

/// Takes components out of a list, one after the other.
///
/// # Errors
/// `NOT_FOUND` for one that is not there, or not so many times.
pub(crate) fn all_there(there: &[ComponentV1], removed: &[ComponentV1], field: &str) -> Result<(), Rejection> {
    let mut left = there.to_vec();
    for (i, gone) in removed.iter().enumerate() {
        if !left.iter().any(|c| is_meant(c, gone) && c.qty >= gone.qty) {
            let serial = gone.serial.as_ref().map(|s| format!(" {s}")).unwrap_or_default();
            let message = format!("{} {}{serial} is not in the unit", gone.qty, gone.item_id);
            return Err(Rejection::not_found(message).at(format!("{field}[{i}]")));
        }
        take_out(&mut left, gone);
    }
    Ok(())
}

/// A component with a serial number is in one unit only.
///
/// # Errors
/// `GUARD_FAILED` with `rule` for one that is in another unit.
pub(crate) fn in_no_other_unit(
    facts: &Production,
    unit: AggregateId,
    added: &[ComponentV1],
    rule: &'static str,
) -> Result<(), Rejection> {
    for c in added {
        let Some(serial) = &c.serial else { continue };
        if let Some(other) = facts.units.unit_with(&c.item_id, serial).filter(|u| *u != unit) {
            let message = format!("{} {serial} is built into another unit: take it out there first", c.item_id);
            return Err(Rejection::guard(rule, message)
                .with("unit_id", other.to_string())
                .with("serial", serial.as_str()));
        }
    }
    Ok(())
}

/// Decides PU-07. What was built in first stays as it was recorded.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &ChangeComponent,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let u = unit(state, ctx)?;
    let (removed, added) = (components(p.removed.as_deref()), components(p.added.as_deref()));
    if removed.is_empty() && added.is_empty() && p.firmware.is_none() {
        return Err(Rejection::invalid("payload", "name what is removed, added, or the new firmware"));
    }
    all_there(&u.components, &removed, "payload.removed")?;
    in_no_other_unit(facts, u.id, &added, "PU-07")?;
    let changed = UnitComponentChangedV1 {
        serial: u.serial.clone(),
        removed,
        added,
        firmware: p.firmware.clone(),
        ticket_id: p.ticket_id,
    };
    Ok(decided(ctx, role, vec![changed.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, code, rule, system, unit};
    use mw_contract::ErrorCode;
    use serde_json::json;

    #[test]
    fn pu_07_a_component_is_in_one_unit_only() {
        let mut w = World::new();
        for (serial, motor) in [("P-1", "C-9"), ("P-2", "C-10")] {
            let p = json!({"serial": serial, "product_id": "pump-200", "result": "good",
                "components": [{"item_id": "motor", "serial": motor}]});
            w.run(&system(), "unit.register", unit(serial), p).unwrap();
        }
        let change = |out: &str, new: &str| {
            json!({"removed": [{"item_id": "motor", "serial": out}],
            "added": [{"item_id": "motor", "serial": new}]})
        };
        w.run(&system(), "unit.change-component", unit("P-1"), change("C-9", "C-12")).unwrap();
        let serial = |w: &World| w.state(unit("P-1")).unit().unwrap().components[0].serial.clone();
        assert_eq!(serial(&w).unwrap().as_str(), "C-12");
        assert_eq!(rule(w.run(&system(), "unit.change-component", unit("P-2"), change("C-10", "C-12"))), "PU-07");
        // What was taken out is free.
        w.run(&system(), "unit.change-component", unit("P-2"), change("C-10", "C-9")).unwrap();
        let gone = w.run(&system(), "unit.change-component", unit("P-2"), change("C-10", "C-11"));
        assert_eq!(code(gone), ErrorCode::NotFound);
        assert_eq!(code(w.run(&system(), "unit.change-component", unit("P-2"), json!({}))), ErrorCode::Validation);
    }

    #[test]
    fn pu_07_as_many_as_are_there() {
        let mut w = World::new();
        let p = json!({"serial": "P-1", "product_id": "pump-200", "result": "good",
            "components": [{"item_id": "screw", "qty": 4, "lot": "L"}]});
        w.run(&system(), "unit.register", unit("P-1"), p).unwrap();
        let out = |n: u32| json!({"removed": [{"item_id": "screw", "qty": n}]});
        assert_eq!(code(w.run(&system(), "unit.change-component", unit("P-1"), out(5))), ErrorCode::NotFound);
        let twice = json!({"removed": [{"item_id": "screw", "qty": 3}, {"item_id": "screw", "qty": 3}]});
        assert_eq!(code(w.run(&system(), "unit.change-component", unit("P-1"), twice)), ErrorCode::NotFound);
        w.run(&system(), "unit.change-component", unit("P-1"), out(3)).unwrap();
        let left = w.state(unit("P-1")).unit().unwrap().components.clone();
        assert_eq!((left.len(), left[0].qty.to_string().as_str()), (1, "1"));
        w.run(&system(), "unit.change-component", unit("P-1"), out(1)).unwrap();
        assert!(w.state(unit("P-1")).unit().unwrap().components.is_empty());
    }

    #[test]
    fn pu_07_lot_and_place_tell_components_apart() {
        let mut w = World::new();
        let p = json!({"serial": "P-1", "product_id": "pump-200", "result": "good",
            "components": [{"item_id": "seal", "lot": "L-1", "position": "front"}, {"item_id": "seal", "lot": "L-1", "position": "back"},
                {"item_id": "seal", "lot": "L-2", "position": "back"}]});
        w.run(&system(), "unit.register", unit("P-1"), p).unwrap();
        let out = |w: &mut World, lot: &str, place: &str| {
            let p = json!({"removed": [{"item_id": "seal", "lot": lot, "position": place}]});
            w.run(&system(), "unit.change-component", unit("P-1"), p)
        };
        let left = |w: &World| -> Vec<(String, String)> {
            let all = w.state(unit("P-1")).unit().unwrap().components.clone();
            all.iter()
                .map(|c| (c.lot.as_ref().unwrap().to_string(), c.position.as_ref().unwrap().to_string()))
                .collect()
        };
        assert_eq!(code(out(&mut w, "L-2", "front")), ErrorCode::NotFound);
        assert_eq!(code(out(&mut w, "L-3", "back")), ErrorCode::NotFound);
        out(&mut w, "L-2", "back").unwrap();
        assert_eq!(left(&w), [("L-1".to_owned(), "front".to_owned()), ("L-1".to_owned(), "back".to_owned())]);
        out(&mut w, "L-1", "back").unwrap();
        assert_eq!(left(&w), [("L-1".to_owned(), "front".to_owned())]);
    }
}
