//! PU-04 `unit.extend-warranty` and PU-05 `unit.void-warranty`.

use mw_contract::Sealed;
use mw_contract::command::unit::{ExtendWarranty, VoidWarranty};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::unit::{WarrantyExtendedV1, WarrantyVoidedV1};
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, Rejection};

use super::state::{ProductUnit, Warranty};
use super::{decided, unit};
use crate::facts::Production;
use crate::rules::{Holds, authorise, need_reason};
use crate::state::ProductionState;

/// The warranty that there is.
fn running(u: &ProductUnit, command: CommandType) -> Result<Warranty, Rejection> {
    match u.warranty {
        Some(w) if !w.void => Ok(w),
        Some(_) => Err(Rejection::invalid_state(command.as_str(), "void", &["running"])),
        None => Err(Rejection::invalid_state(command.as_str(), "none", &["running"])),
    }
}

/// Decides PU-04.
pub fn extend(
    facts: &Production,
    state: &ProductionState,
    p: &ExtendWarranty,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let u = unit(state, ctx)?;
    let w = running(u, CommandType::UnitExtendWarranty)?;
    let (reason, _) = need_reason(facts, catalogues::UNIT, p.reason.as_ref(), p.note.as_ref())?;
    if p.until <= w.end {
        let message = format!("the warranty runs until {}: an extension ends later", w.end);
        return Err(Rejection::guard("PU-04", message).with("end", w.end.to_string()).at("payload.until"));
    }
    let extended = WarrantyExtendedV1 {
        serial: u.serial.clone(),
        old_end: w.end,
        new_end: p.until,
        reason: reason.clone(),
        note: p.note.as_ref().map(Sealed::plain),
    };
    Ok(decided(ctx, role, vec![extended.into()]))
}

/// Decides PU-05.
pub fn void(
    facts: &Production,
    state: &ProductionState,
    p: &VoidWarranty,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let u = unit(state, ctx)?;
    running(u, CommandType::UnitVoidWarranty)?;
    let (reason, _) = need_reason(facts, catalogues::UNIT, p.reason.as_ref(), p.note.as_ref())?;
    let voided =
        WarrantyVoidedV1 { serial: u.serial.clone(), reason: reason.clone(), note: p.note.as_ref().map(Sealed::plain) };
    Ok(decided(ctx, role, vec![voided.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, admin, code, data, detail, rule};
    use mw_contract::ErrorCode;
    use serde_json::json;

    #[test]
    fn pu_04_an_extension_ends_later() {
        let mut w = World::new();
        let u = w.unit("P-1");
        let until = |day: &str| json!({"until": day, "reason": "goodwill"});
        let none = w.run(&admin(), "unit.extend-warranty", u, until("2030-01-01"));
        assert_eq!(detail(none, "state"), json!("none"));
        w.run(&admin(), "unit.ship", u, json!({"customer_id": "acme"})).unwrap();
        assert_eq!(rule(w.run(&admin(), "unit.extend-warranty", u, until("2028-03-02"))), "PU-04");
        let unexplained = w.run(&admin(), "unit.extend-warranty", u, json!({"until": "2030-01-01"}));
        assert_eq!(code(unexplained), ErrorCode::ReasonRequired);
        let d = w.run(&admin(), "unit.extend-warranty", u, until("2030-01-01")).unwrap();
        assert_eq!((&data(&d, 0)["old_end"], &data(&d, 0)["new_end"]), (&json!("2028-03-02"), &json!("2030-01-01")));
        assert_eq!(
            rule(w.run(&admin(), "unit.extend-warranty", u, until("2029-01-01"))),
            "PU-04",
            "that is earlier now"
        );
    }

    #[test]
    fn pu_05_what_is_void_stays_so() {
        let mut w = World::new();
        let u = w.unit("P-1");
        w.run(&admin(), "unit.ship", u, json!({"customer_id": "acme"})).unwrap();
        let void = json!({"reason": "tampered"});
        w.run(&admin(), "unit.void-warranty", u, void.clone()).unwrap();
        assert_eq!(detail(w.run(&admin(), "unit.void-warranty", u, void), "state"), json!("void"));
        let more = json!({"until": "2030-01-01", "reason": "goodwill"});
        assert_eq!(code(w.run(&admin(), "unit.extend-warranty", u, more)), ErrorCode::InvalidState);
        // An installation does not begin it anew either.
        let d = w.run(&admin(), "unit.install", u, json!({"installed_on": "2026-03-02"})).unwrap();
        assert_eq!(d.events.len(), 1);
    }
}
