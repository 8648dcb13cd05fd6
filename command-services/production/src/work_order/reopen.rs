//! WO-20 `work-order.reopen`: taken up again. Totals stay; nothing is erased.

use mw_contract::command::work_order::ReopenWorkOrder;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::work_order::WorkOrderReopenedV1;
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, Instant, Rejection, Role, Sealed, WorkOrderState};

use crate::facts::Production;
use crate::rules::{Case, Holds, authorise_if, need_reason};
use crate::state::{ProductionState, WorkOrder};

const DAY: i64 = 24 * 3_600_000;

/// One way back: from where to where, for whom, and within how many days of which moment.
struct Way {
    to: WorkOrderState,
    roles: &'static [Role],
    within: Option<(i64, Option<Instant>)>,
}

fn way(order: &WorkOrder) -> Option<Way> {
    use WorkOrderState::{Cancelled, Closed, Completed, Draft, InProgress};
    match order.state {
        Completed => {
            Some(Way { to: InProgress, roles: &[Role::LineLead, Role::Planner], within: Some((7, order.actual_end)) })
        }
        Closed => Some(Way { to: Completed, roles: &[Role::Admin], within: Some((31, order.closed_at)) }),
        Cancelled => Some(Way { to: Draft, roles: &[Role::Planner], within: None }),
        _ => None,
    }
}

/// Decides WO-20. The days count by the time of receipt: backdating opens no window again.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &ReopenWorkOrder,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let case = Case::open(facts, state, CommandType::WorkOrderReopen, ctx)?;
    let order = case.order;
    let Some(way) = way(order) else {
        return Err(Rejection::not_found("the order is open"));
    };
    let role = authorise_if(ctx, Holds::default(), |r| way.roles.contains(&r))?;
    let (reason, _) = need_reason(facts, catalogues::CANCEL, p.reason.as_ref(), p.note.as_ref())?;
    if let Some((days, Some(since))) = way.within {
        let until = since.plus_millis(days * DAY);
        if ctx.received_at > until {
            let message = format!("an order that is {} can be reopened for {days} days, until {until}", order.state);
            return Err(Rejection::guard("WO-20", message).with("until", until.to_string()));
        }
    }
    let reopened = WorkOrderReopenedV1 {
        from_state: order.state,
        to_state: way.to,
        reason: reason.clone(),
        cycle: order.cycle.saturating_add(1),
        note: p.note.as_ref().map(Sealed::plain),
    };
    Ok(case.decided(role, vec![reopened.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{HOUR, World, admin, code, data, lead, names, planner, rule};
    use mw_contract::{ErrorCode, Role, WorkOrderState};
    use serde_json::json;

    fn why() -> serde_json::Value {
        json!({"reason": "wrong_data"})
    }

    #[test]
    fn wo_20_a_completed_order_goes_on_within_7_days() {
        let mut w = World::new();
        let id = w.completed_bracket(5);
        assert_eq!(code(w.lead("work-order.reopen", id, json!({}))), ErrorCode::ReasonRequired);
        assert_eq!(code(w.run(&admin(), "work-order.reopen", id, why())), ErrorCode::Forbidden);
        w.later(7 * 24 * HOUR);
        let d = w.ask(&lead(), "work-order.reopen", id, why()).unwrap();
        assert_eq!(names(&d), ["WorkOrderReopened"]);
        assert_eq!(
            data(&d, 0),
            json!({"from_state": "completed", "to_state": "in_progress", "reason": "wrong_data", "cycle": 2, "note": null})
        );
        w.later(1);
        assert_eq!(rule(w.ask(&lead(), "work-order.reopen", id, why())), "WO-20");
        // Backdating opens no window again.
        assert_eq!(rule(w.ask_at(w.now.plus_millis(-HOUR), &lead(), "work-order.reopen", id, why())), "WO-20");
        w.later(-1);
        w.lead("work-order.reopen", id, why()).unwrap();
        let o = w.order(id);
        assert_eq!((o.state, o.actual_end, o.cycle), (WorkOrderState::InProgress, None, 2));
        assert_eq!(o.produced_good().to_string(), "5");
        assert_eq!(w.facts.order_state(id), Some(WorkOrderState::InProgress));
        w.lead("work-order.complete", id, json!({})).unwrap();
        assert_eq!(w.order(id).actual_end, Some(w.now));
    }

    #[test]
    fn wo_20_an_admin_opens_a_closed_order_within_31_days() {
        let mut w = World::new();
        let id = w.in_state(WorkOrderState::Closed);
        let end = w.order(id).actual_end;
        for who in [lead(), planner()] {
            assert_eq!(code(w.run(&who, "work-order.reopen", id, why())), ErrorCode::Forbidden);
        }
        w.later(31 * 24 * HOUR + 1);
        assert_eq!(rule(w.run(&admin(), "work-order.reopen", id, why())), "WO-20");
        w.later(-1);
        assert_eq!(w.run(&admin(), "work-order.reopen", id, why()).unwrap().role, Role::Admin);
        let o = w.order(id);
        assert_eq!((o.state, o.closed_at, o.actual_end), (WorkOrderState::Completed, None, end));
    }

    #[test]
    fn wo_20_a_cancelled_order_is_a_draft_again() {
        let mut w = World::new();
        let id = w.in_state(WorkOrderState::Cancelled);
        assert_eq!(code(w.lead("work-order.reopen", id, why())), ErrorCode::Forbidden);
        w.later(400 * 24 * HOUR);
        w.planner("work-order.reopen", id, why()).unwrap();
        let o = w.order(id);
        assert_eq!((o.state, o.cancelled.is_none(), o.cycle), (WorkOrderState::Draft, true, 2));
        w.release(id);
        w.planner("work-order.cancel", id, json!({"reason": "no_demand"})).unwrap();
        w.planner("work-order.reopen", id, why()).unwrap();
        assert_eq!((w.order(id).cycle, w.order(id).released_at, w.order(id).planned_start), (3, None, None));
    }

    #[test]
    fn wo_20_short_closing_ends_with_the_reopening() {
        let mut w = World::new();
        let id = w.running_bracket(5);
        w.good(id, 10, 2);
        w.planner("work-order.short-close", id, json!({"reason": "no_demand", "remainder": "drop"})).unwrap();
        w.planner("work-order.reopen", id, why()).unwrap();
        assert!(!w.order(id).short_closed);
        w.good(id, 10, 3);
        w.finish_op(id, 10);
        w.lead("work-order.complete", id, json!({})).unwrap();
    }
}
