//! WO-38 `work-order.assign-lot`: the pieces belong to a lot.

use mw_contract::command::work_order::AssignLot;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::work_order::LotAssignedV1;
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, Rejection};

use crate::facts::Production;
use crate::rules::{Case, Holds, authorise, check_reason};
use crate::state::ProductionState;

/// Decides WO-38. A lot number that another order of the product has needs a reason.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &AssignLot,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let case = Case::open(facts, state, CommandType::WorkOrderAssignLot, ctx)?;
    let product = &case.order.product_id;
    if let Some(code) = &p.reuse_reason {
        check_reason(facts, catalogues::CHANGE, code, None, "payload.reuse_")?;
    } else if facts.lot(product, &p.lot).is_some_and(|order| order != case.order.id) {
        let message = format!("lot {} of {product} belongs to another order: give a reuse_reason", p.lot);
        return Err(Rejection::guard("WO-38.R1", message).at("payload.lot"));
    }
    let reuse_reason = p.reuse_reason.clone();
    let assigned = LotAssignedV1 { lot: p.lot.clone(), expires_on: p.expires_on, reuse_reason };
    Ok(case.decided(role, vec![assigned.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, code, data, rule};
    use mw_contract::ErrorCode;
    use serde_json::json;

    #[test]
    fn wo_38_r1_a_lot_is_of_one_order_unless_a_reason_is_given() {
        let mut w = World::new();
        let (first, second, pump) = (w.bracket(5), w.bracket(5), w.pump(5));
        let lot = json!({"lot": "L-1", "expires_on": "2028-02-29"});
        let d = w.lead("work-order.assign-lot", first, lot.clone()).unwrap();
        assert_eq!(data(&d, 0), json!({"lot": "L-1", "expires_on": "2028-02-29", "reuse_reason": null}));
        assert_eq!(
            code(w.lead("work-order.assign-lot", first, json!({"lot": "L", "expires_on": "2027-02-29"}))),
            ErrorCode::Validation
        );
        // The same order says it again; another product has its own numbers.
        w.lead("work-order.assign-lot", first, lot.clone()).unwrap();
        w.lead("work-order.assign-lot", pump, lot.clone()).unwrap();
        assert_eq!(rule(w.lead("work-order.assign-lot", second, lot)), "WO-38.R1");
        let reuse = json!({"lot": "L-1", "reuse_reason": "same_melt"});
        w.lead("work-order.assign-lot", second, reuse).unwrap();
        assert_eq!(w.order(second).lots.len(), 1);
    }
}
