//! The invariants of a work order, as pure functions of its state.
//!
//! Owns I1, I2, I4, I5 and I7 (I3 is [`crate::material::Material::i3_holds`], I6 [`implicit_operation`]). Commands ask these functions and never
//! compute the same thing another way; the tests hold every accepted decision against
//! [`violations`].

use mw_contract::event::parts::BomLineV1;
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

/// The BOM lines of an operation whose material is neither set aside nor issued. A line without an
/// operation belongs to the first; what is backflushed lies on the floor.
pub fn material_short(order: &WorkOrder, op: &Operation) -> Vec<u16> {
    let first = order.operations.first().map(|o| o.op);
    let short = |l: &&BomLineV1| {
        let covered = order.material.covered(l.line_no);
        !l.backflush && l.op.or(first) == Some(op.op) && order.required(l).is_some_and(|need| covered < need)
    };
    order.bom.iter().filter(short).map(|l| l.line_no).collect()
}

/// I7: may an operation be worked on? `Waiting`: material or quality is missing. `Ready`: all that
/// it needs is there. `Loaded`: ready, and the first in the queue of its cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    Waiting,
    Ready,
    Loaded,
}

/// I7 of an operation that nobody began. What only the plant knows is told: whether its cell is
/// down, and whether it is the first in the cell's queue.
pub fn readiness(order: &WorkOrder, op: &Operation, cell_is_down: bool, first_in_queue: bool) -> Readiness {
    let contained = order.quality.open_ncrs().any(|(_, n)| n.contain && n.op.is_none_or(|x| x == op.op));
    let waits = cell_is_down || contained || !order.predecessors_met(op) || !material_short(order, op).is_empty();
    match (waits, first_in_queue) {
        (true, _) => Readiness::Waiting,
        (false, true) => Readiness::Loaded,
        (false, false) => Readiness::Ready,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{World, lead};
    use mw_contract::event::parts::RoutingOperationV1;

    #[test]
    fn i7_an_operation_is_ready_when_nothing_is_missing() {
        let mut w = World::new();
        let mut p = World::create_payload("pump-200", 2);
        p["bom"] = serde_json::json!([{"line_no": 1, "item_id": "motor", "qty_per_unit": 1, "op": 20}]);
        let id = w.create(p);
        w.release(id);
        let of = |w: &World, op: u16, down: bool, first: bool| {
            let o = w.order(id);
            readiness(o, o.operation(op).unwrap(), down, first)
        };
        assert_eq!(of(&w, 10, false, false), Readiness::Ready);
        assert_eq!(of(&w, 10, false, true), Readiness::Loaded);
        assert_eq!(of(&w, 10, true, true), Readiness::Waiting, "its cell is down");
        assert_eq!(of(&w, 20, false, true), Readiness::Waiting, "operation 10 is not done");
        w.start(&lead(), id, 10, "cell-1");
        w.good(id, 10, 2);
        w.finish_op(id, 10);
        assert_eq!(of(&w, 20, false, true), Readiness::Waiting, "motors are missing");
        let lines = serde_json::json!([{"line_no": 1, "qty": 2, "from_location": "store"}]);
        w.lead("work-order.issue-material", id, serde_json::json!({"issue_id": crate::fixture::e(1), "lines": lines}))
            .unwrap();
        assert_eq!(of(&w, 20, false, true), Readiness::Loaded);
        let ncr = serde_json::json!({"ncr_id": crate::fixture::e(2), "op": 20, "qty": 2, "defect_code": "surface",
            "severity": 3, "description": "scratched", "detected_at_stage": "incoming"});
        w.lead("work-order.raise-nonconformance", id, ncr).unwrap();
        assert_eq!(of(&w, 20, false, true), Readiness::Waiting, "pieces are set apart");
        // Pieces that are set apart stop their operation; those of another one, or free to use, do not.
        for (n, op, contain, expected) in
            [(1, 10, true, Readiness::Ready), (2, 20, false, Readiness::Ready), (3, 20, true, Readiness::Waiting)]
        {
            let mut order = w.order(id).clone();
            let ncr = crate::quality::Ncr {
                op: Some(op),
                qty: mw_contract::Qty::whole(1),
                severity: 3,
                defect: "surface".parse().unwrap(),
                contain,
                stands: crate::quality::NcrState::Open,
            };
            order.quality.ncrs.clear();
            order.quality.ncrs.insert(crate::fixture::e(n).parse().unwrap(), ncr);
            assert_eq!(readiness(&order, order.operation(20).unwrap(), false, false), expected, "{op} {contain}");
        }
    }

    #[test]
    fn i4_each_good_piece_bears_a_serial_number() {
        let mut w = World::new();
        let id = w.pump(2);
        w.release(id);
        for (op, cell) in [(10, "cell-1"), (20, "cell-2")] {
            w.start(&lead(), id, op, cell);
            w.good(id, op, 2);
            w.finish_op(id, op);
        }
        assert!(!i4_holds(w.order(id)));
        for s in ["A", "B"] {
            let unit = serde_json::json!({"serial": s, "op": 20, "result": "good"});
            w.lead("work-order.register-unit", id, unit).unwrap();
        }
        assert!(i4_holds(w.order(id)));
    }

    #[test]
    fn i5_nobody_is_at_work_on_an_order_that_stands() {
        let mut w = World::new();
        let id = w.running_bracket(2);
        assert!(i5_holds(w.order(id)));
        let mut held = w.order(id).clone();
        held.state = WorkOrderState::OnHold;
        assert!(!i5_holds(&held));
    }

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
