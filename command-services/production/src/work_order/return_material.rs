//! WO-25 `work-order.return-material`: back to stock. The order's state stays what it is.

use std::collections::BTreeMap;

use mw_contract::command::material::ReturnMaterial;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::material::MaterialReturnedV1;
use mw_contract::event::parts::ReturnedV1;
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, Qty, Rejection, Sealed};

use crate::facts::Production;
use crate::material::{LineUse, Portion};
use crate::rules::{Case, Holds, authorise, exists, need_reason, settings};
use crate::state::ProductionState;
use crate::work_order::issue_material::one_a_piece;
use crate::work_order::reservation::{bom_line, some_lines};

/// Decides WO-25.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &ReturnMaterial,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds { setting: settings(facts, ctx).operator_issues, ..Holds::default() })?;
    let case = Case::open(facts, state, CommandType::WorkOrderReturnMaterial, ctx)?;
    let order = case.order;
    if order.material.ids.contains(&p.return_id) {
        return Err(exists(format!("return {} is there already", p.return_id)).at("payload.return_id"));
    }
    let (reason, _) = need_reason(facts, catalogues::MATERIAL, p.reason.as_ref(), p.note.as_ref())?;
    some_lines(p.lines.iter().map(|l| l.qty), "WO-25.R1")?;
    // Lines of one return take from the same floor, one after the other.
    let mut floor: BTreeMap<u16, LineUse> = BTreeMap::new();
    let mut lines = Vec::with_capacity(p.lines.len());
    for (i, l) in p.lines.iter().enumerate() {
        let field = |name: &str| format!("payload.lines[{i}].{name}");
        let line = bom_line(order, l.line_no, "WO-25.R1", field("line_no"))?;
        let item_id = l.item_id.clone().unwrap_or_else(|| line.item_id.clone());
        let serials = l.serials.clone().unwrap_or_default();
        one_a_piece(&serials, l.qty, "WO-25.R1").map_err(|r| r.at(field("serials")))?;
        let portion = Portion { item_id: &item_id, qty: l.qty, lot: l.lot.as_ref(), serials: &serials };
        let there = floor.entry(l.line_no).or_insert_with(|| order.material.line(l.line_no));
        there.give(portion, "WO-25.R1").map_err(|r| r.at(field("qty")))?;
        lines.push(ReturnedV1 {
            line_no: l.line_no,
            item_id,
            qty: l.qty,
            lot: l.lot.clone(),
            serials,
            to_location: l.to_location.clone(),
            condition: l.condition,
        });
    }
    let returned = MaterialReturnedV1 {
        return_id: p.return_id,
        lines,
        reason: reason.clone(),
        note: p.note.as_ref().map(Sealed::plain),
    };
    Ok(case.decided(role, vec![returned.into()]))
}

impl LineUse {
    /// Takes a portion from the floor, when it is there.
    ///
    /// # Errors
    /// `GUARD_FAILED` with `rule` when less is there.
    pub(crate) fn give(&mut self, portion: Portion<'_>, rule: &'static str) -> Result<(), Rejection> {
        let there: Qty = self.on_floor(portion);
        if there < portion.qty {
            let of = portion.lot.map(|l| format!(" of lot {l}")).unwrap_or_default();
            let message = format!("{there} of {}{of} were issued to the order and are left", portion.item_id);
            return Err(Rejection::guard(rule, message).with("max_allowed", there.to_string()));
        }
        self.take(portion);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, code, detail, e, rule};
    use mw_contract::{ErrorCode, WorkOrderState};
    use serde_json::{Value, json};

    fn back(n: u128, line: Value) -> Value {
        let mut l = json!({"line_no": 1, "qty": 1, "to_location": "store", "condition": "good"});
        l.as_object_mut().unwrap().extend(line.as_object().unwrap().clone());
        json!({"return_id": e(n), "lines": [l], "reason": "surplus"})
    }

    #[test]
    fn wo_25_r1_no_more_than_is_left_of_the_lot() {
        let mut w = World::new();
        let id = w.with_material(5);
        let lines = json!([{"line_no": 1, "qty": 3, "lot": "L-1", "from_location": "store"},
            {"line_no": 1, "qty": 2, "lot": "L-2", "from_location": "store"}]);
        w.lead("work-order.issue-material", id, json!({"issue_id": e(1), "lines": lines})).unwrap();
        let refused = w.lead("work-order.return-material", id, back(2, json!({"qty": 3, "lot": "L-2"})));
        assert_eq!(detail(refused.clone(), "max_allowed"), "2");
        assert_eq!(rule(refused), "WO-25.R1");
        let mut unexplained = back(2, json!({}));
        unexplained.as_object_mut().unwrap().remove("reason");
        assert_eq!(code(w.lead("work-order.return-material", id, unexplained)), ErrorCode::ReasonRequired);
        w.lead("work-order.return-material", id, back(2, json!({"qty": 2, "lot": "L-2"}))).unwrap();
        assert_eq!(code(w.lead("work-order.return-material", id, back(2, json!({})))), ErrorCode::AlreadyExists);
        assert_eq!(rule(w.lead("work-order.return-material", id, back(3, json!({"lot": "L-2"})))), "WO-25.R1");
        // What was used up is not there any more; two lines of one return share the floor.
        w.start(&crate::fixture::lead(), id, 10, "cell-1");
        let used = json!({"consumption_id": e(4), "lines": [{"line_no": 1, "qty": 2}]});
        w.lead("work-order.record-consumption", id, used).unwrap();
        let mut twice = back(5, json!({}));
        let line = twice["lines"][0].clone();
        twice["lines"].as_array_mut().unwrap().push(line);
        assert_eq!(rule(w.lead("work-order.return-material", id, twice)), "WO-25.R1");
        w.lead("work-order.return-material", id, back(5, json!({"condition": "damaged"}))).unwrap();
        assert!(!w.order(id).material.anything_out());
        assert_eq!(w.order(id).state, WorkOrderState::InProgress);
    }

    #[test]
    fn wo_24_25_operators_issue_and_return_where_the_site_lets_them() {
        use mw_contract::Role;
        use mw_contract::decide::Allowance;
        let mut w = World::new();
        let id = w.with_material(5);
        let operator = crate::fixture::actor("operator-1", &[(Role::Operator, Allowance::Setting)]);
        let issue = json!({"issue_id": e(1), "lines": [{"line_no": 1, "qty": 2, "from_location": "store"}]});
        let refused = w.run(&operator, "work-order.issue-material", id, issue.clone());
        assert_eq!(code(refused), ErrorCode::Forbidden);
        let site = json!({"name": "P", "time_zone": "Europe/Berlin", "settings": {"operator_issues": true}});
        w.put("site", "plant-1", site).unwrap();
        w.run(&operator, "work-order.issue-material", id, issue).unwrap();
        w.run(&operator, "work-order.return-material", id, back(2, json!({}))).unwrap();
    }
}
