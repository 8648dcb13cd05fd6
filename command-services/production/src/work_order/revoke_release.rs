//! WO-07 `work-order.revoke-release`: back to planned, before anybody started.

use mw_contract::command::work_order::RevokeRelease;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::work_order::WorkOrderReleaseRevokedV1;
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, Rejection, Sealed};

use crate::facts::Production;
use crate::rules::{Case, Holds, authorise, need_reason, settings};
use crate::state::ProductionState;

/// Decides WO-07. R1: an order that was started is not in state released any more.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &RevokeRelease,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let setting = settings(facts, ctx).line_lead_releases;
    let role = authorise(ctx, Holds { setting, ..Holds::default() })?;
    let case = Case::open(facts, state, CommandType::WorkOrderRevokeRelease, ctx)?;
    let (reason, _) = need_reason(facts, catalogues::CHANGE, p.reason.as_ref(), p.note.as_ref())?;
    if case.order.material.anything_out() {
        return Err(Rejection::guard("WO-07.R1", "material of the order is on the floor: return it first"));
    }
    let revoked = WorkOrderReleaseRevokedV1 { reason: reason.clone(), note: p.note.as_ref().map(Sealed::plain) };
    Ok(case.decided(role, vec![revoked.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, actor, code, e, lead, names, rule};
    use mw_contract::decide::Allowance;
    use mw_contract::{ErrorCode, Role, WorkOrderState};
    use serde_json::json;

    #[test]
    fn wo_07_r1_issued_material_goes_back_first() {
        let mut w = World::new();
        let id = w.with_material(2);
        let lines = json!([{"line_no": 1, "qty": 2, "from_location": "store"}]);
        w.lead("work-order.issue-material", id, json!({"issue_id": e(1), "lines": lines})).unwrap();
        let why = json!({"reason": "engineering_change"});
        assert_eq!(rule(w.planner("work-order.revoke-release", id, why.clone())), "WO-07.R1");
        let back = json!({"return_id": e(2), "reason": "surplus", "lines": [{"line_no": 1, "qty": 2,
            "to_location": "store", "condition": "good"}]});
        w.lead("work-order.return-material", id, back).unwrap();
        w.planner("work-order.revoke-release", id, why).unwrap();
        // WO-02.R2: what was issued by this BOM stays readable by it.
        let other = w.planner("work-order.amend", id, json!({"sales_order_ref": "SO-9"}));
        assert_eq!(rule(other), "WO-02.R2");
    }

    #[test]
    fn wo_07_r1_only_what_nobody_started_goes_back() {
        let mut w = World::new();
        let why = json!({"reason": "engineering_change"});
        let id = w.in_state(WorkOrderState::Released);
        assert_eq!(code(w.planner("work-order.revoke-release", id, json!({}))), ErrorCode::ReasonRequired);
        let d = w.planner("work-order.revoke-release", id, why.clone()).unwrap();
        assert_eq!(names(&d), ["WorkOrderReleaseRevoked"]);
        let o = w.order(id);
        assert_eq!((o.state, o.released_at), (WorkOrderState::Planned, None));
        assert!(o.planned_start.is_some() && o.shortages.is_empty());
        assert_eq!(w.facts.order_state(id), Some(WorkOrderState::Planned));
        w.planner("work-order.release", id, json!({"allow_shortage": true})).unwrap();
        w.start(&lead(), id, 10, "cell-1");
        assert_eq!(code(w.planner("work-order.revoke-release", id, why)), ErrorCode::InvalidState);
    }

    #[test]
    fn wo_07_a_line_lead_needs_the_sites_consent() {
        let mut w = World::new();
        let id = w.in_state(WorkOrderState::Released);
        let who = actor("lead-1", &[(Role::LineLead, Allowance::Setting)]);
        let why = json!({"reason": "engineering_change"});
        assert_eq!(code(w.ask(&who, "work-order.revoke-release", id, why.clone())), ErrorCode::Forbidden);
        w.put("site", "plant-1", json!({"settings": {"line_lead_releases": true}})).unwrap();
        assert_eq!(w.ask(&who, "work-order.revoke-release", id, why).unwrap().role, Role::LineLead);
    }
}
