//! WO-18 `work-order.close`: reconciled and frozen.

use mw_contract::command::work_order::CloseWorkOrder;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::parts::{MaterialTotalsV1, OperationTotalsV1};
use mw_contract::event::work_order::WorkOrderClosedV1;
use mw_contract::{CommandType, Qty, Rejection, Role, Sealed, Seconds};

use crate::facts::Production;
use crate::rules::{Case, Holds, authorise, authorise_if, settings};
use crate::state::{ProductionState, WorkOrder};
use crate::times;
use crate::work_order::complete::consumed;

/// Decides WO-18.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &CloseWorkOrder,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let case = Case::open(facts, state, CommandType::WorkOrderClose, ctx)?;
    let order = case.order;
    let hours = i64::from(settings(facts, ctx).late_window_hours);
    let window_ends = order.actual_end.map(|end| end.plus_millis(hours * 3_600_000));
    let over = window_ends.is_none_or(|end| ctx.occurred_at >= end);
    let (role, forced) = match over {
        true => (role, false),
        false if p.force == Some(true) && ctx.actor.has(Role::Admin) => {
            (authorise_if(ctx, Holds::default(), |r| r == Role::Admin)?, true)
        }
        false => {
            let until = window_ends.map(|w| w.to_string()).unwrap_or_default();
            let message = format!("late reports may come in until {until}: wait, or let an admin close with force");
            return Err(Rejection::guard("WO-18.R1", message).with("late_until", until));
        }
    };
    let operations = operation_totals(order);
    let sum = |f: fn(&OperationTotalsV1) -> u64| Seconds(operations.iter().map(f).fold(0, u64::saturating_add));
    let closed = WorkOrderClosedV1 {
        good: order.produced_good(),
        scrap: order.scrap_total(),
        materials: material_totals(order),
        labour: sum(|o| o.labour_time.0),
        machine: sum(|o| o.run_time.0.saturating_add(o.setup_time.0)),
        operations,
        forced,
        note: p.note.as_ref().map(Sealed::plain),
    };
    Ok(case.decided(role, vec![closed.into()]))
}

fn operation_totals(order: &WorkOrder) -> Vec<OperationTotalsV1> {
    let until = order.actual_end.unwrap_or(order.created_at);
    let total = |o: &crate::state::Operation| {
        let t = times::of(order, o.op, until);
        OperationTotalsV1 {
            op: o.op,
            good: o.good,
            scrap: o.scrap,
            run_time: t.run,
            setup_time: t.setup,
            labour_time: t.labour,
        }
    };
    order.operations.iter().map(total).collect()
}

/// Nothing can be issued or returned yet; backflush consumes.
fn material_totals(order: &WorkOrder) -> Vec<MaterialTotalsV1> {
    let total = |l: &mw_contract::event::parts::BomLineV1| MaterialTotalsV1 {
        line_no: l.line_no,
        item_id: l.item_id.clone(),
        issued: Qty::ZERO,
        returned: Qty::ZERO,
        consumed: consumed(order, l),
    };
    order.bom.iter().map(total).collect()
}
