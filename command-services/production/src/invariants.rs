//! The invariants of a work order, as pure functions of its state.
//!
//! Owns I1, I2, I4 and I5 (I6 is [`implicit_operation`]). Commands ask these functions and never
//! compute the same thing another way; the tests hold every accepted decision against
//! [`violations`]. I3 and the material part of I7 speak of issued material, which no event of
//! this slice can make.

use mw_contract::{InspectionPlan, Overlap, Qty, Seconds, Tracking, UnitResult, WorkOrderState};

use crate::state::{IMPLICIT_OP, Operation, WorkOrder};

/// I1: how many pieces an operation may have processed at most. Piece units are rounded down:
/// half a piece of tolerance is none.
pub fn input(order: &WorkOrder, op: &Operation) -> Qty {
    input_with_scrap(order, op, Qty::ZERO)
}

/// I1 as it will stand after `more_scrap` is booked: replaced scrap widens a first operation.
pub fn input_with_scrap(order: &WorkOrder, op: &Operation, more_scrap: Qty) -> Qty {
    let limit = match op.predecessors.iter().filter_map(|p| order.operation(*p)).map(|p| passed_on(order, p)).min() {
        Some(good) => good,
        None if order.replace_scrap => most_pieces(order, order.planned_qty) + more_scrap,
        None => most_pieces(order, order.planned_qty),
    };
    whole_if_piece(order, limit)
}

/// The good pieces that an operation hands on; one that is left out hands on what it was given.
/// Predecessors have smaller numbers or were there before, so this comes to an end.
pub fn passed_on(order: &WorkOrder, op: &Operation) -> Qty {
    if op.skipped { input(order, op) } else { op.good }
}

/// How many pieces may go into a first operation when so many are planned: with the tolerance, and
/// with the scrap that is replaced.
pub fn most_pieces(order: &WorkOrder, planned: Qty) -> Qty {
    let planned = planned.plus_percent(order.over_tolerance_pct);
    whole_if_piece(order, if order.replace_scrap { planned + order.scrap_total() } else { planned })
}

/// Rounds down to whole pieces where the unit is a piece.
pub fn whole_if_piece(order: &WorkOrder, q: Qty) -> Qty {
    if order.uom.is_piece() { Qty::new(q.decimal().trunc()).unwrap_or(q) } else { q }
}

/// I1 for one operation.
pub fn i1_holds(order: &WorkOrder, op: &Operation) -> bool {
    op.processed() <= input(order, op)
}

/// I2: the smallest good quantity over the last operations.
pub fn produced_good(order: &WorkOrder) -> Qty {
    order.last_operations().map(|o| passed_on(order, o)).min().unwrap_or(Qty::ZERO)
}

/// I2: what is still to make. Scrap that is not replaced is not made again.
pub fn remaining(order: &WorkOrder) -> Qty {
    let left = order.planned_qty - produced_good(order);
    if order.replace_scrap { left } else { left - order.scrap_total() }
}

/// I4: every good piece of a serial-tracked order has its unit.
pub fn i4_holds(order: &WorkOrder) -> bool {
    let registered = u32::try_from(order.units_of(UnitResult::Good)).unwrap_or(u32::MAX);
    order.tracking != Tracking::Serial || Qty::whole(registered) == produced_good(order)
}

/// I5: nobody is at work on an order that is stopped or over.
pub fn i5_holds(order: &WorkOrder) -> bool {
    let quiet = matches!(
        order.state,
        WorkOrderState::OnHold | WorkOrderState::Completed | WorkOrderState::Closed | WorkOrderState::Cancelled
    );
    !quiet || order.sessions().all(|(_, s)| !s.is_open())
}

/// I6: the one operation of an order without a routing, on any cell of its line.
pub fn implicit_operation() -> Operation {
    Operation {
        op: IMPLICIT_OP,
        name: None,
        implicit: true,
        cell_id: None,
        cell_class: None,
        setup_time: Seconds(0),
        run_time_per_unit: Qty::ZERO,
        predecessors: Vec::new(),
        overlap: Overlap::None,
        transfer_batch_qty: None,
        inspection: InspectionPlan::None,
        planned_start: None,
        planned_end: None,
        assigned: Default::default(),
        crew: None,
        good: Qty::ZERO,
        scrap: Qty::ZERO,
        rework_open: Qty::ZERO,
        sessions: Vec::new(),
        completed_at: None,
        skipped: false,
    }
}

/// The invariants that a state breaks, by id; none after any accepted decision. I2 is a definition
/// and can't break; I4 is demanded at the completion only, since late reports may come before
/// their units.
pub fn violations(order: &WorkOrder) -> Vec<&'static str> {
    let mut broken = Vec::new();
    if !order.operations.iter().all(|o| i1_holds(order, o)) {
        broken.push("I1");
    }
    if !order.material.i3_holds() {
        broken.push("I3");
    }
    if !i5_holds(order) {
        broken.push("I5");
    }
    if order.operations.is_empty() || (order.routing.is_empty() != order.operations.iter().any(|o| o.implicit)) {
        broken.push("I6");
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{World, lead};
    use mw_contract::event::parts::RoutingOperationV1;

    #[test]
    fn a_broken_invariant_is_named() {
        let mut w = World::new();
        let id = w.pump(5);
        w.release(id);
        w.start(&lead(), id, 10, "cell-1");
        let order = w.order(id).clone();
        assert_eq!(violations(&order), Vec::<&str>::new());

        let mut more_than_went_in = order.clone();
        more_than_went_in.operations[0].good = Qty::whole(6);
        assert_eq!(violations(&more_than_went_in), ["I1"]);

        let mut at_work_on_hold = order.clone();
        at_work_on_hold.state = WorkOrderState::OnHold;
        assert_eq!(violations(&at_work_on_hold), ["I5"]);

        let mut nothing_to_do = order.clone();
        nothing_to_do.operations.clear();
        assert_eq!(violations(&nothing_to_do), ["I6"]);

        let mut routed_and_implicit = order.clone();
        routed_and_implicit.operations[1].implicit = true;
        assert_eq!(violations(&routed_and_implicit), ["I6"]);

        let mut without_pieces = order.clone();
        without_pieces.planned_qty = Qty::ZERO;
        assert_eq!(without_pieces.progress_pct(), 0);

        let mut neither = order;
        neither.routing = Vec::<RoutingOperationV1>::new();
        assert_eq!(violations(&neither), ["I6"]);
    }
}
