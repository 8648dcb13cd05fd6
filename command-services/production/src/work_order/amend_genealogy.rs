//! WO-41 `work-order.amend-genealogy`: other components are in a unit than was said when it was
//! registered. What was said stays readable.

use mw_contract::command::work_order::AmendGenealogy;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::work_order::UnitGenealogyAmendedV1;
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, Rejection, Sealed};

use crate::facts::Production;
use crate::rules::{Case, Holds, authorise, need_reason};
use crate::state::ProductionState;
use crate::unit::component::{all_there, components};
use crate::work_order::unit::components_may_go_in;

/// Decides WO-41.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &AmendGenealogy,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let case = Case::open(facts, state, CommandType::WorkOrderAmendGenealogy, ctx)?;
    let Some(unit) = case.order.units.get(&p.serial).filter(|u| !u.voided) else {
        let message = format!("the order has no unit {}", p.serial);
        return Err(Rejection::not_found(message).at("payload.serial"));
    };
    let (removed, added) = (components(p.remove.as_deref()), components(p.add.as_deref()));
    if removed.is_empty() && added.is_empty() {
        return Err(Rejection::invalid("payload", "name what is removed or added"));
    }
    let (reason, _) = need_reason(facts, catalogues::UNIT, p.reason.as_ref(), p.note.as_ref())?;
    all_there(&unit.components, &removed, "payload.remove")?;
    components_may_go_in(&case, &p.serial, &added, "WO-41").map_err(|r| r.at("payload.add"))?;
    let amended = UnitGenealogyAmendedV1 {
        serial: p.serial.clone(),
        product_id: case.order.product_id.clone(),
        removed,
        added,
        reason: reason.clone(),
        note: p.note.as_ref().map(Sealed::plain),
    };
    Ok(case.decided(role, vec![amended.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, admin, code, data, rule};
    use mw_contract::ErrorCode;
    use serde_json::{Value, json};

    #[test]
    fn wo_41_what_is_really_in_a_unit() {
        let mut w = World::new();
        let id = w.with_motors(&["M-1", "M-2"]);
        let unit = |s: &str, motor: &str| {
            json!({"serial": s, "op": 10, "result": "good",
            "components": [{"item_id": "motor", "serial": motor}, {"item_id": "glue", "lot": "G-1"}]})
        };
        w.lead("work-order.register-unit", id, unit("U-1", "M-1")).unwrap();
        let amend = |out: &str, new: &str| {
            json!({"serial": "U-1", "reason": "wrong_data",
            "remove": [{"item_id": "motor", "serial": out}], "add": [{"item_id": "motor", "serial": new}]})
        };
        let d = w.lead("work-order.amend-genealogy", id, amend("M-1", "M-2")).unwrap();
        assert_eq!(
            (&data(&d, 0)["removed"][0]["serial"], &data(&d, 0)["added"][0]["serial"]),
            (&json!("M-1"), &json!("M-2"))
        );
        assert_eq!(w.order(id).units.values().next().unwrap().components.len(), 2);
        // M-2 is in it now, and M-1 is free for another.
        assert_eq!(rule(w.lead("work-order.register-unit", id, unit("U-2", "M-2"))), "WO-40.R2");
        w.lead("work-order.register-unit", id, unit("U-2", "M-1")).unwrap();
        assert_eq!(code(w.lead("work-order.amend-genealogy", id, amend("M-1", "M-3"))), ErrorCode::NotFound);
        for (new, why) in [("M-1", "is in another unit"), ("M-9", "was not issued here")] {
            assert_eq!(rule(w.lead("work-order.amend-genealogy", id, amend("M-2", new))), "WO-41", "{why}");
        }
        let mut p = amend("M-2", "M-2");
        p["serial"] = json!("U-9");
        assert_eq!(code(w.lead("work-order.amend-genealogy", id, p)), ErrorCode::NotFound);
        let nothing: Value = json!({"serial": "U-1", "reason": "wrong_data"});
        assert_eq!(code(w.lead("work-order.amend-genealogy", id, nothing)), ErrorCode::Validation);
    }

    #[test]
    fn wo_41_also_after_the_order_was_closed() {
        let mut w = World::new();
        let id = w.with_motors(&[]);
        let unit =
            json!({"serial": "U-1", "op": 10, "result": "good", "components": [{"item_id": "glue", "lot": "G-1"}]});
        w.lead("work-order.register-unit", id, unit).unwrap();
        w.good(id, 10, 5);
        w.finish_op(id, 10);
        w.lead("work-order.complete", id, json!({})).unwrap();
        w.run(&admin(), "work-order.close", id, json!({"force": true})).unwrap();
        let p = json!({"serial": "U-1", "reason": "wrong_data", "add": [{"item_id": "seal", "lot": "S-1"}]});
        w.lead("work-order.amend-genealogy", id, p).unwrap();
    }
}
