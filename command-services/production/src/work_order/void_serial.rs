//! WO-42 `work-order.void-serial`: a serial number that nobody bears any more, ever.

use mw_contract::command::work_order::VoidSerial;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::work_order::SerialVoidedV1;
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, Rejection, Sealed};

use crate::facts::{Production, SerialStatus};
use crate::rules::{Case, Holds, authorise, need_reason};
use crate::state::ProductionState;

/// Decides WO-42. The serial is set aside for this order, or borne by a unit of it.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &VoidSerial,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let case = Case::open(facts, state, CommandType::WorkOrderVoidSerial, ctx)?;
    let borne = case.order.units.get(&p.serial).is_some_and(|u| !u.voided);
    if !borne && !case.order.free_serials.contains(&p.serial) {
        let message = format!("serial {} is neither set aside for this order nor borne by a unit of it", p.serial);
        return Err(Rejection::not_found(message).at("payload.serial"));
    }
    if facts.serial(&case.order.product_id, &p.serial) == Some(SerialStatus::Shipped) {
        let message = format!("unit {} went to a customer: its serial number stays", p.serial);
        return Err(Rejection::guard("WO-42", message).at("payload.serial"));
    }
    let (reason, _) = need_reason(facts, catalogues::CHANGE, p.reason.as_ref(), p.note.as_ref())?;
    let note = p.note.as_ref().map(Sealed::plain);
    Ok(case.decided(role, vec![SerialVoidedV1 { serial: p.serial.clone(), reason: reason.clone(), note }.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, code, rule};
    use mw_contract::{ErrorCode, UnitResult};
    use serde_json::json;

    #[test]
    fn wo_42_a_shipped_unit_keeps_its_serial() {
        let mut w = World::new();
        let id = w.shipped_pump("S-1");
        assert_eq!(
            rule(w.lead("work-order.void-serial", id, json!({"serial": "S-1", "reason": "wrong_data"}))),
            "WO-42"
        );
    }

    #[test]
    fn wo_42_a_void_serial_is_never_used_again() {
        let mut w = World::new();
        let id = w.running_bracket(3);
        w.planner("work-order.allocate-serials", id, json!({"serials": ["A", "B", "C"]})).unwrap();
        let unit = |s: &str| json!({"serial": s, "op": 10, "result": "good"});
        w.lead("work-order.register-unit", id, unit("B")).unwrap();
        let void = |s: &str| json!({"serial": s, "reason": "wrong_data"});
        assert_eq!(code(w.lead("work-order.void-serial", id, json!({"serial": "A"}))), ErrorCode::ReasonRequired);
        for s in ["A", "B"] {
            w.lead("work-order.void-serial", id, void(s)).unwrap();
            assert_eq!(code(w.lead("work-order.void-serial", id, void(s))), ErrorCode::NotFound);
        }
        assert_eq!(w.order(id).units_of(UnitResult::Good), 0);
        assert_eq!(rule(w.lead("work-order.register-unit", id, unit("A"))), "WO-40.R1");
        let again = w.planner("work-order.allocate-serials", id, json!({"serials": ["A"]}));
        assert_eq!(code(again), ErrorCode::AlreadyExists);
        let other = w.running_bracket(3);
        assert_eq!(code(w.lead("work-order.void-serial", other, void("C"))), ErrorCode::NotFound);
        assert_eq!(rule(w.lead("work-order.register-unit", other, unit("B"))), "WO-40.R1");
        // Both are free to be made under other numbers.
        w.planner("work-order.allocate-serials", id, json!({"serials": ["D", "E"]})).unwrap();
    }
}
