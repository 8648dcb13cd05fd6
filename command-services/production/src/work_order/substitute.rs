//! WO-27 `work-order.approve-substitute`: another item may stand in for a line's.

use mw_contract::command::material::ApproveSubstitute;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::material::MaterialSubstituteApprovedV1;
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, Qty, Rejection, Sealed};

use crate::facts::Production;
use crate::rules::{Case, Holds, authorise, need_reason, too_large};
use crate::state::ProductionState;
use crate::work_order::reservation::bom_line;

/// Decides WO-27. A further approval of the same item replaces the earlier one.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &ApproveSubstitute,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let case = Case::open(facts, state, CommandType::WorkOrderApproveSubstitute, ctx)?;
    let line = bom_line(case.order, p.line_no, "WO-27", "payload.line_no".into())?;
    if line.item_id == p.substitute_item_id {
        return Err(Rejection::guard("WO-27", "that is the line's own item").at("payload.substitute_item_id"));
    }
    let ratio = p.ratio.unwrap_or(Qty::whole(1));
    if ratio.is_zero() || too_large(ratio) {
        return Err(Rejection::invalid("payload.ratio", "must be more than 0"));
    }
    if p.valid_qty.is_some_and(Qty::is_zero) {
        return Err(Rejection::invalid("payload.valid_qty", "must be more than 0, or absent for all"));
    }
    let (reason, _) = need_reason(facts, catalogues::MATERIAL, p.reason.as_ref(), p.note.as_ref())?;
    let approved = MaterialSubstituteApprovedV1 {
        line_no: p.line_no,
        substitute_item_id: p.substitute_item_id.clone(),
        ratio,
        valid_qty: p.valid_qty,
        reason: reason.clone(),
        note: p.note.as_ref().map(Sealed::plain),
    };
    Ok(case.decided(role, vec![approved.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, code, data, e, rule};
    use mw_contract::ErrorCode;
    use serde_json::{Value, json};

    #[test]
    fn wo_27_what_is_approved_stands_in_by_its_ratio() {
        let mut w = World::new();
        let id = w.with_material(5);
        let approve = |more: Value| {
            let mut p = json!({"line_no": 1, "substitute_item_id": "foil", "reason": "shortage"});
            p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            p
        };
        let foil = |n: u128, qty: u32| {
            json!({"issue_id": e(n), "lines": [{"line_no": 1, "item_id": "foil", "qty": qty,
            "from_location": "store"}]})
        };
        assert_eq!(rule(w.planner("work-order.issue-material", id, foil(1, 2))), "WO-24.R2");
        assert_eq!(rule(w.planner("work-order.approve-substitute", id, approve(json!({"line_no": 9})))), "WO-27");
        let own = approve(json!({"substitute_item_id": "sheet"}));
        assert_eq!(rule(w.planner("work-order.approve-substitute", id, own)), "WO-27");
        for bad in [json!({"ratio": 0}), json!({"valid_qty": 0})] {
            assert_eq!(code(w.planner("work-order.approve-substitute", id, approve(bad))), ErrorCode::Validation);
        }
        let d = w.planner("work-order.approve-substitute", id, approve(json!({"ratio": 2, "valid_qty": 3}))).unwrap();
        assert_eq!((&data(&d, 0)["ratio"], &data(&d, 0)["valid_qty"]), (&json!("2"), &json!("3")));
        // Four of it stand for two sheets; eight would be more than was approved.
        w.planner("work-order.issue-material", id, foil(1, 4)).unwrap();
        assert_eq!(w.order(id).material.line(1).net().to_string(), "2");
        assert_eq!(rule(w.planner("work-order.issue-material", id, foil(2, 4))), "WO-24.R2");
        w.planner("work-order.issue-material", id, foil(2, 2)).unwrap();
    }
}
