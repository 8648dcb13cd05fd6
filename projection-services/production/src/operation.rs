//! The operations of an order: their places in its routing, their sums, and whether they may start.

use std::collections::BTreeSet;

use mw_contract::event::parts::RoutingOperationV1;
use mw_contract::*;
use serde::{Deserialize, Serialize};

use crate::order::Order;

/// The number of the operation that an order without a routing has (invariant I6).
pub const IMPLICIT_OP: u16 = 10;

/// One operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// As the routing has it.
    pub step: RoutingOperationV1,
    /// `pending`, `running`, `paused`, `completed` or `skipped`; `ready` is computed on reading.
    pub state: OperationState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_start: Option<Instant>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_end: Option<Instant>,
    pub good: Qty,
    pub scrap: Qty,
    pub rework_open: Qty,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Instant>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Instant>,
    /// Sessions that run now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<EntityId>,
    /// Who should do it.
    pub assigned: BTreeSet<AccountName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crew: Option<Text<40>>,
    /// Known once it is completed: running, setting up, labour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<(Seconds, Seconds, Seconds)>,
}

impl Operation {
    /// Is there nothing left to do at it?
    pub fn is_ended(&self) -> bool {
        matches!(self.state, OperationState::Completed | OperationState::Skipped)
    }

    /// What it should take for so many pieces, setting up included.
    pub fn planned_time(&self, pieces: Qty) -> Seconds {
        use rust_decimal::prelude::ToPrimitive;
        let run = self.step.run_time_per_unit.decimal().checked_mul(pieces.decimal());
        let run = run.and_then(|d| d.round().to_u64()).unwrap_or(0);
        Seconds(self.step.setup_time.0.saturating_add(run))
    }
}

impl Order {
    pub(crate) fn plan_operations(&mut self, plans: &[event::parts::OperationPlanV1]) {
        for plan in plans {
            if let Some(o) = self.operation(plan.op) {
                if plan.cell_id.is_some() {
                    o.step.cell_id.clone_from(&plan.cell_id);
                }
                o.planned_start = plan.planned_start.or(o.planned_start);
                o.planned_end = plan.planned_end.or(o.planned_end);
            }
        }
    }

    pub(crate) fn operation(&mut self, op: u16) -> Option<&mut Operation> {
        self.operations.iter_mut().find(|o| o.step.op == op)
    }

    pub(crate) fn session(&mut self, op: u16, id: EntityId, cell: &CellId, at: Instant) {
        if let Some(o) = self.operation(op) {
            o.open.push(id);
            o.state = OperationState::Running;
            o.started_at = Some(o.started_at.map_or(at, |t| t.min(at)));
            if o.step.cell_id.is_none() {
                o.step.cell_id = Some(cell.clone());
            }
        }
    }

    /// One operation more. Who waits for whom among the others stays as it was.
    pub(crate) fn add(&mut self, step: &RoutingOperationV1) {
        let waits: Vec<Vec<u16>> = self.operations.iter().map(|o| self.predecessors(o)).collect();
        for (o, predecessors) in self.operations.iter_mut().zip(waits) {
            o.step.predecessors = Some(predecessors);
        }
        let mut o = new_operation(step);
        o.step.predecessors = Some(self.predecessors(&o));
        self.operations.push(o);
        self.operations.sort_by_key(|o| o.step.op);
        self.sum();
    }

    /// Takes a routing; what an operation of the same number already has stays.
    pub(crate) fn set_routing(&mut self, routing: &[RoutingOperationV1]) {
        let implicit;
        let steps = if routing.is_empty() {
            implicit = implicit_step();
            &implicit[..]
        } else {
            routing
        };
        let mut old = std::mem::take(&mut self.operations);
        for step in steps {
            let kept = old.iter().position(|o| o.step.op == step.op).map(|i| old.swap_remove(i));
            let mut o = kept.unwrap_or_else(|| new_operation(step));
            // The plan's cell outlives a fresh copy of the routing that names none.
            let cell = step.cell_id.clone().or(o.step.cell_id.take());
            o.step = RoutingOperationV1 { cell_id: cell, ..step.clone() };
            self.operations.push(o);
        }
        self.operations.sort_by_key(|o| o.step.op);
        self.sum();
    }

    /// The operations that must come before this one: as the routing says, else the one before.
    pub fn predecessors(&self, op: &Operation) -> Vec<u16> {
        match &op.step.predecessors {
            Some(list) => list.clone(),
            None => self.operations.iter().map(|o| o.step.op).filter(|n| *n < op.step.op).max().into_iter().collect(),
        }
    }

    /// Invariant I2: good pieces are those of the last operations, the scarcest counts.
    pub(crate) fn sum(&mut self) {
        self.header.scrap = self.operations.iter().map(|o| o.scrap).sum();
        let followed: Vec<u16> = self.operations.iter().flat_map(|o| self.predecessors(o)).collect();
        let last = self.operations.iter().filter(|o| !followed.contains(&o.step.op));
        self.header.good = last.map(|o| self.passed_on(o)).min().unwrap_or(Qty::ZERO);
        self.header.rework_open = self.operations.iter().map(|o| o.rework_open).sum();
    }

    /// Invariant I1: an operation that is left out hands on what it was given.
    pub(crate) fn passed_on(&self, op: &Operation) -> Qty {
        if op.state != OperationState::Skipped {
            return op.good;
        }
        let before = self.predecessors(op);
        let given = self.operations.iter().filter(|o| before.contains(&o.step.op)).map(|o| self.passed_on(o)).min();
        given.unwrap_or_else(|| self.most_pieces())
    }

    /// Invariant I1: how many pieces may go into a first operation.
    pub(crate) fn most_pieces(&self) -> Qty {
        let h = &self.header;
        let planned = h.planned_qty.plus_percent(h.over_tolerance_pct);
        let most = if h.replace_scrap { planned + h.scrap } else { planned };
        let piece = reference::Uom::new(&h.uom).is_ok_and(|u| u.is_piece());
        if piece { Qty::new(most.decimal().trunc()).unwrap_or(most) } else { most }
    }

    /// Is every predecessor far enough?
    pub fn is_ready(&self, op: &Operation) -> bool {
        self.predecessors(op).iter().all(|n| {
            self.operations.iter().find(|o| o.step.op == *n).is_none_or(|p| {
                let ended = matches!(p.state, OperationState::Completed | OperationState::Skipped);
                let batch = op.step.overlap == Overlap::TransferBatch
                    && op.step.transfer_batch_qty.is_some_and(|q| p.good >= q && !p.good.is_zero());
                ended || batch
            })
        })
    }

    /// The first operation that is not ended.
    pub fn next_operation(&self) -> Option<&Operation> {
        self.operations.iter().find(|o| !matches!(o.state, OperationState::Completed | OperationState::Skipped))
    }

    /// Pieces that an operation still has to do: what it was given (or will be), less what it made.
    pub fn to_do(&self, op: &Operation) -> Qty {
        let before = self.predecessors(op);
        let mut given = self.operations.iter().filter(|o| before.contains(&o.step.op)).peekable();
        let input = if given.peek().is_none() {
            self.header.planned_qty
        } else {
            let all: Vec<&Operation> = given.collect();
            if all.iter().all(|o| o.is_ended()) {
                all.iter().map(|o| self.passed_on(o)).min().unwrap_or(Qty::ZERO)
            } else {
                self.header.planned_qty
            }
        };
        input.less(op.good + op.scrap)
    }

    /// Invariant I7 for one operation, without the queue and without the cell's own state: `None`
    /// once it or the order has ended.
    pub fn operation_readiness(&self, op: &Operation) -> Option<bool> {
        if op.is_ended() {
            return None;
        }
        match self.header.state {
            WorkOrderState::Draft | WorkOrderState::Planned | WorkOrderState::OnHold => Some(false),
            WorkOrderState::Released | WorkOrderState::InProgress => {
                Some(self.shortages().is_empty() && self.is_ready(op))
            }
            WorkOrderState::Completed | WorkOrderState::Closed | WorkOrderState::Cancelled => None,
        }
    }

    /// Invariant I7 of the whole order: that of its next operation. An order that has done them
    /// all waits for nothing, but is not ready either.
    pub fn readiness(&self) -> Option<bool> {
        match self.next_operation() {
            Some(o) => self.operation_readiness(o),
            None => match self.header.state {
                WorkOrderState::Completed | WorkOrderState::Closed | WorkOrderState::Cancelled => None,
                _ => Some(false),
            },
        }
    }
}

fn new_operation(step: &RoutingOperationV1) -> Operation {
    Operation {
        step: step.clone(),
        state: OperationState::Pending,
        planned_start: None,
        planned_end: None,
        good: Qty::ZERO,
        scrap: Qty::ZERO,
        rework_open: Qty::ZERO,
        started_at: None,
        ended_at: None,
        open: Vec::new(),
        assigned: BTreeSet::new(),
        crew: None,
        times: None,
    }
}

fn implicit_step() -> Vec<RoutingOperationV1> {
    // The fields are closed to literals of other crates only by their checked types.
    Text::new("production")
        .map(|name| RoutingOperationV1 {
            op: IMPLICIT_OP,
            name,
            cell_id: None,
            cell_class: None,
            setup_time: Seconds(0),
            run_time_per_unit: Qty::ZERO,
            predecessors: None,
            overlap: Overlap::None,
            transfer_batch_qty: None,
            inspection: InspectionPlan::None,
        })
        .into_iter()
        .collect()
}
