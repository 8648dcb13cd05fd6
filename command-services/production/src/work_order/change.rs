//! WO-09 `work-order.change-due-date` and WO-10 `work-order.change-priority`.

use mw_contract::command::work_order::{ChangeDueDate, ChangePriority};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::work_order::{WorkOrderDueDateChangedV1, WorkOrderPriorityChangedV1};
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, Rejection, Sealed};

use crate::facts::Production;
use crate::rules::{Case, Holds, authorise, check_reason, need_reason};
use crate::state::ProductionState;

/// The priority that needs a reason.
const URGENT: u8 = 1;

/// Decides WO-09.
pub fn due_date(
    facts: &Production,
    state: &ProductionState,
    p: &ChangeDueDate,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let case = Case::open(facts, state, CommandType::WorkOrderChangeDueDate, ctx)?;
    let (reason, _) = need_reason(facts, catalogues::CHANGE, p.reason.as_ref(), p.note.as_ref())?;
    let changed = WorkOrderDueDateChangedV1 {
        old: case.order.due_at,
        new: p.new_due_at,
        reason: reason.clone(),
        note: p.note.as_ref().map(Sealed::plain),
    };
    Ok(case.decided(role, vec![changed.into()]))
}

/// Decides WO-10. Only an order that becomes urgent needs a reason.
pub fn priority(
    facts: &Production,
    state: &ProductionState,
    p: &ChangePriority,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    if !(1..=4).contains(&p.new_priority) {
        return Err(Rejection::invalid("payload.new_priority", "is 1 (urgent) to 4 (low)"));
    }
    let role = authorise(ctx, Holds::default())?;
    let case = Case::open(facts, state, CommandType::WorkOrderChangePriority, ctx)?;
    let old = case.order.priority;
    if p.new_priority == URGENT && old != URGENT {
        need_reason(facts, catalogues::CHANGE, p.reason.as_ref(), p.note.as_ref())?;
    } else if let Some(code) = &p.reason {
        check_reason(facts, catalogues::CHANGE, code, p.note.as_ref(), "payload.")?;
    }
    let changed = WorkOrderPriorityChangedV1 {
        old,
        new: p.new_priority,
        reason: p.reason.clone(),
        note: p.note.as_ref().map(Sealed::plain),
    };
    Ok(case.decided(role, vec![changed.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, code, data, names};
    use mw_contract::ErrorCode;
    use serde_json::json;

    #[test]
    fn wo_09_the_new_due_date_stands_beside_the_old_one() {
        let mut w = World::new();
        let id = w.bracket(5);
        let at = "2026-04-01T09:00:00.000Z";
        assert_eq!(
            code(w.planner("work-order.change-due-date", id, json!({"new_due_at": at}))),
            ErrorCode::ReasonRequired
        );
        let p = json!({"new_due_at": at, "reason": "customer_request", "note": "n"});
        let d = w.planner("work-order.change-due-date", id, p).unwrap();
        assert_eq!(names(&d), ["WorkOrderDueDateChanged"]);
        assert_eq!(
            data(&d, 0),
            json!({"old": "2026-03-10T09:00:00.000Z", "new": at, "reason": "customer_request", "note": "n"})
        );
        assert_eq!(w.order(id).due_at.to_string(), at);
    }

    #[test]
    fn wo_10_what_becomes_urgent_needs_a_reason() {
        let mut w = World::new();
        let id = w.bracket(5);
        let mut change = |p| w.lead("work-order.change-priority", id, p);
        for n in [0, 5] {
            assert_eq!(code(change(json!({"new_priority": n}))), ErrorCode::Validation);
        }
        assert_eq!(data(&change(json!({"new_priority": 2})).unwrap(), 0)["reason"], json!(null));
        assert_eq!(code(change(json!({"new_priority": 1}))), ErrorCode::ReasonRequired);
        let short = json!({"new_priority": 4, "reason": "other"});
        assert_eq!(code(change(short)), ErrorCode::Validation);
        let d = change(json!({"new_priority": 1, "reason": "customer_request"})).unwrap();
        assert_eq!((&data(&d, 0)["old"], &data(&d, 0)["new"]), (&json!(2), &json!(1)));
        // It is urgent already.
        change(json!({"new_priority": 1})).unwrap();
        assert_eq!(w.order(id).priority, 1);
    }
}
