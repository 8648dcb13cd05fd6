//! One work order, folded from its events. Owns what the list and the detail page show of it;
//! sessions, units and notes are rows of their own, so an order of ten thousand units stays cheap.
//!
//! It never judges: whether something was allowed was decided when it happened.

use std::collections::BTreeSet;

use mw_contract::event::parts::{BomLineV1, RoutingOperationV1};
use mw_contract::*;
use serde::{Deserialize, Serialize};

/// The number of the operation that an order without a routing has (invariant I6).
pub const IMPLICIT_OP: u16 = 10;

/// Why an order stands still.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// From the catalogue.
    pub reason: ReasonCode,
    /// Held or suspended.
    pub kind: HoldKind,
    /// Since when.
    pub since: Instant,
    /// When it is meant to go on.
    pub expected_resume_at: Option<Instant>,
}

/// The single values of an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    pub number: Text<20>,
    pub order_type: OrderType,
    pub product: ProductId,
    pub rev: Option<Text<20>>,
    pub tracking: Tracking,
    pub planned_qty: Qty,
    pub uom: String,
    pub due_at: Instant,
    pub priority: u8,
    pub site: SiteId,
    pub line: Option<LineId>,
    pub planned_start: Option<Instant>,
    pub planned_end: Option<Instant>,
    pub over_tolerance_pct: Percent,
    pub under_tolerance_pct: Percent,
    pub replace_scrap: bool,
    pub sales_order_ref: Option<Text<40>>,
    pub customer: Option<CustomerId>,
    pub parent_work_order_id: Option<AggregateId>,
    pub origin_kind: OriginKind,
    pub origin_id: Option<Text<60>>,
    pub bom_ref: Option<Code>,
    pub routing_ref: Option<Code>,
    pub state: WorkOrderState,
    pub hold: Option<Hold>,
    pub actual_start: Option<Instant>,
    pub actual_end: Option<Instant>,
    pub short_closed: bool,
    pub good: Qty,
    pub scrap: Qty,
    pub rework_open: Qty,
    pub reason: Option<ReasonCode>,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// As the routing has it.
    pub step: RoutingOperationV1,
    /// `pending`, `running`, `paused`, `completed` or `skipped`; `ready` is computed on reading.
    pub state: OperationState,
    pub planned_start: Option<Instant>,
    pub planned_end: Option<Instant>,
    pub good: Qty,
    pub scrap: Qty,
    pub rework_open: Qty,
    pub started_at: Option<Instant>,
    pub ended_at: Option<Instant>,
    /// Sessions that run now.
    pub open: Vec<EntityId>,
    /// Who should do it.
    pub assigned: BTreeSet<AccountName>,
    pub crew: Option<Text<40>>,
    /// Known once it is completed: running, setting up, labour.
    pub times: Option<(Seconds, Seconds, Seconds)>,
}

/// Material that was missing at the release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shortage {
    pub line_no: u16,
    pub item_id: ItemId,
    pub missing_qty: Qty,
}

/// Final sums of one BOM line, from the closing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MaterialTotal {
    pub line_no: u16,
    pub issued: Qty,
    pub returned: Qty,
    pub consumed: Qty,
}

/// One work order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Its id.
    pub id: AggregateId,
    /// The position of its first event: its key in the file, the same after every rebuild.
    pub seq: Position,
    /// How many events it has.
    pub version: Version,
    /// When it was made and last changed, as recorded.
    pub created_at: Instant,
    pub updated_at: Instant,
    pub header: Header,
    pub operations: Vec<Operation>,
    pub bom: Vec<BomLineV1>,
    pub shortages: Vec<Shortage>,
    pub materials: Vec<MaterialTotal>,
    pub links: Vec<Link>,
    /// Assigned to the order as a whole.
    pub lots: Vec<Lot>,
    /// 1, and one more with each reopening.
    pub cycle: u16,
}

/// Something that an order is tied to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    pub kind: LinkKind,
    pub id: Text<60>,
    pub relation: LinkRelation,
}

/// A lot of the order's pieces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lot {
    pub lot: Text<40>,
    pub expires_on: Option<Date>,
}

/// What an event brings beside its data.
#[derive(Clone, Copy, Debug)]
pub struct Meta {
    pub position: Position,
    pub version: Version,
    pub occurred_at: Instant,
    pub recorded_at: Instant,
}

impl Order {
    /// The order that a stream's first event makes.
    pub fn create(id: AggregateId, e: &event::work_order::WorkOrderCreatedV1, m: Meta) -> Self {
        let mut order = Order {
            id,
            seq: m.position,
            version: m.version,
            created_at: m.recorded_at,
            updated_at: m.recorded_at,
            header: Header {
                number: e.number.clone(),
                order_type: e.order_type,
                product: e.product_id.clone(),
                rev: e.product_rev.clone(),
                tracking: e.tracking,
                planned_qty: e.planned_qty,
                uom: e.uom.as_str().to_owned(),
                due_at: e.due_at,
                priority: e.priority,
                site: e.site_id.clone(),
                line: e.line_id.clone(),
                planned_start: None,
                planned_end: None,
                over_tolerance_pct: e.over_tolerance_pct,
                under_tolerance_pct: e.under_tolerance_pct,
                replace_scrap: e.replace_scrap,
                sales_order_ref: e.sales_order_ref.clone(),
                customer: e.customer_id.clone(),
                parent_work_order_id: e.parent_work_order_id,
                origin_kind: e.origin.kind,
                origin_id: e.origin.id.clone(),
                bom_ref: e.bom_ref.clone(),
                routing_ref: e.routing_ref.clone(),
                state: WorkOrderState::Draft,
                hold: None,
                actual_start: None,
                actual_end: None,
                short_closed: false,
                good: Qty::ZERO,
                scrap: Qty::ZERO,
                rework_open: Qty::ZERO,
                reason: None,
            },
            operations: Vec::new(),
            bom: e.bom.clone(),
            shortages: Vec::new(),
            materials: Vec::new(),
            links: Vec::new(),
            lots: Vec::new(),
            cycle: 1,
        };
        order.set_routing(&e.routing);
        order
    }

    /// Folds one later event.
    pub fn apply(&mut self, event: &Event, m: Meta) {
        self.version = m.version;
        self.updated_at = m.recorded_at;
        let at = m.occurred_at;
        let h = &mut self.header;
        match event {
            Event::WorkOrderAmended(e) => {
                for (field, change) in &e.changed {
                    h.amend(field, change.new.as_deref());
                }
                if let Some(bom) = &e.bom {
                    self.bom.clone_from(bom);
                }
                if let Some(routing) = &e.routing {
                    self.set_routing(routing);
                }
            }
            Event::WorkOrderPlanned(e) => {
                h.state = WorkOrderState::Planned;
                h.line = Some(e.line_id.clone());
                h.planned_start = Some(e.planned_start);
                h.planned_end = Some(e.planned_end);
                self.plan_operations(&e.operations);
            }
            Event::WorkOrderUnplanned(_) => {
                h.state = WorkOrderState::Draft;
                self.forget_dates();
            }
            Event::WorkOrderRescheduled(e) => {
                h.line.clone_from(&e.new.line_id);
                h.planned_start = e.new.planned_start;
                h.planned_end = e.new.planned_end;
                self.plan_operations(&e.new.operations);
            }
            Event::WorkOrderReleaseRevoked(_) => {
                h.state = WorkOrderState::Planned;
                self.shortages.clear();
            }
            Event::WorkOrderQuantityChanged(e) => h.planned_qty = e.new_qty,
            Event::WorkOrderDueDateChanged(e) => h.due_at = e.new,
            Event::WorkOrderPriorityChanged(e) => h.priority = e.new,
            Event::OperationAssigned(e) => {
                if let Some(o) = self.operation(e.op) {
                    if e.cell_id.is_some() {
                        o.step.cell_id.clone_from(&e.cell_id);
                    }
                    o.assigned.extend(e.operators.iter().cloned());
                    o.crew = e.crew.clone().or(o.crew.take());
                }
            }
            Event::OperationUnassigned(e) => {
                if let Some(o) = self.operation(e.op) {
                    o.assigned.retain(|a| !e.operators.contains(a));
                }
            }
            Event::WorkOrderShortClosed(e) => h.reason = Some(e.reason.clone()),
            Event::WorkOrderReopened(e) => self.reopen(e),
            Event::LinkAdded(e) => {
                self.links.push(Link { kind: e.kind, id: e.id.clone(), relation: e.relation });
            }
            Event::WorkOrderReleased(e) => {
                h.state = WorkOrderState::Released;
                // The routing is what the order has already; operations that were added since stay.
                self.bom.clone_from(&e.bom);
                let missing = |s: &event::parts::ShortageV1| Shortage {
                    line_no: s.line_no,
                    item_id: s.item_id.clone(),
                    missing_qty: s.missing_qty,
                };
                self.shortages = e.shortages.iter().map(missing).collect();
            }
            Event::WorkOrderStarted(e) => {
                h.state = WorkOrderState::InProgress;
                h.actual_start = Some(e.actual_start);
            }
            Event::WorkOrderHeld(e) => {
                h.state = WorkOrderState::OnHold;
                h.hold = Some(Hold {
                    reason: e.reason.clone(),
                    kind: e.kind,
                    since: at,
                    expected_resume_at: e.expected_resume_at,
                });
            }
            Event::WorkOrderResumed(e) => {
                h.state = e.to_state;
                h.hold = None;
            }
            Event::WorkOrderCompleted(e) => {
                h.state = WorkOrderState::Completed;
                h.hold = None;
                h.actual_start = e.actual_start.or(h.actual_start);
                h.actual_end = Some(e.actual_end);
                h.short_closed = e.short_closed;
            }
            Event::WorkOrderClosed(e) => {
                h.state = WorkOrderState::Closed;
                let total = |t: &event::parts::MaterialTotalsV1| MaterialTotal {
                    line_no: t.line_no,
                    issued: t.issued,
                    returned: t.returned,
                    consumed: t.consumed,
                };
                self.materials = e.materials.iter().map(total).collect();
            }
            Event::WorkOrderCancelled(e) => {
                h.state = WorkOrderState::Cancelled;
                h.hold = None;
                h.reason = Some(e.reason.clone());
                h.actual_end = Some(at);
            }
            Event::OperationStarted(e) => self.session(e.op, e.session_id, &e.cell_id, at),
            Event::OperationResumed(e) => self.session(e.op, e.session_id, &e.cell_id, at),
            Event::OperationPaused(e) => {
                if let Some(o) = self.operation(e.op) {
                    o.open.retain(|s| *s != e.session_id);
                    if o.open.is_empty() && o.state == OperationState::Running {
                        o.state = OperationState::Paused;
                    }
                }
            }
            Event::OperationQuantityReported(e) => {
                if let Some(o) = self.operation(e.op) {
                    o.good = e.totals.good;
                    o.scrap = e.totals.scrap;
                    o.rework_open = e.totals.rework_open;
                }
                self.sum();
            }
            Event::OperationCompleted(e) => {
                if let Some(o) = self.operation(e.op) {
                    o.state = OperationState::Completed;
                    o.open.clear();
                    o.ended_at = Some(at);
                    o.good = e.good;
                    o.scrap = e.scrap;
                    o.rework_open = e.rework_open;
                    o.times = Some((e.run_time, e.setup_time, e.labour_time));
                }
                self.sum();
            }
            Event::OperationReportCorrected(e) => {
                if let Some(o) = self.operation(e.op) {
                    o.good = e.totals.good;
                    o.scrap = e.totals.scrap;
                    o.rework_open = e.totals.rework_open;
                }
                self.sum();
            }
            Event::OperationSessionCorrected(e) => {
                if let Some(o) = self.operation(e.op)
                    && o.started_at == Some(e.old.started_at)
                {
                    o.started_at = Some(e.new.started_at);
                }
            }
            Event::OperationReopened(e) => {
                if let Some(o) = self.operation(e.op) {
                    o.state = OperationState::Paused;
                    o.ended_at = None;
                    o.times = None;
                }
            }
            Event::OperationSkipped(e) => {
                if let Some(o) = self.operation(e.op) {
                    o.state = OperationState::Skipped;
                }
                self.sum();
            }
            Event::OperationAdded(e) => self.add(&e.operation),
            Event::LotAssigned(e) => {
                self.lots.retain(|l| l.lot != e.lot);
                self.lots.push(Lot { lot: e.lot.clone(), expires_on: e.expires_on });
            }
            // Rows of their own, or of other streams.
            _ => {}
        }
    }

    fn plan_operations(&mut self, plans: &[event::parts::OperationPlanV1]) {
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

    fn forget_dates(&mut self) {
        self.header.planned_start = None;
        self.header.planned_end = None;
        for o in &mut self.operations {
            o.planned_start = None;
            o.planned_end = None;
        }
    }

    /// What the end had set goes; what was reported stays.
    fn reopen(&mut self, e: &event::work_order::WorkOrderReopenedV1) {
        self.cycle = e.cycle;
        let h = &mut self.header;
        h.state = e.to_state;
        match e.to_state {
            WorkOrderState::Draft => {
                h.reason = None;
                h.actual_start = None;
                h.actual_end = None;
                self.shortages.clear();
                self.forget_dates();
            }
            // The final sums come again with the next closing.
            WorkOrderState::Completed => self.materials.clear(),
            _ => {
                h.reason = None;
                h.actual_end = None;
                h.short_closed = false;
            }
        }
    }

    fn operation(&mut self, op: u16) -> Option<&mut Operation> {
        self.operations.iter_mut().find(|o| o.step.op == op)
    }

    fn session(&mut self, op: u16, id: EntityId, cell: &CellId, at: Instant) {
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
    fn add(&mut self, step: &RoutingOperationV1) {
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
    fn set_routing(&mut self, routing: &[RoutingOperationV1]) {
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
    fn sum(&mut self) {
        self.header.scrap = self.operations.iter().map(|o| o.scrap).sum();
        let followed: Vec<u16> = self.operations.iter().flat_map(|o| self.predecessors(o)).collect();
        let last = self.operations.iter().filter(|o| !followed.contains(&o.step.op));
        self.header.good = last.map(|o| self.passed_on(o)).min().unwrap_or(Qty::ZERO);
        self.header.rework_open = self.operations.iter().map(|o| o.rework_open).sum();
    }

    /// Invariant I1: an operation that is left out hands on what it was given.
    fn passed_on(&self, op: &Operation) -> Qty {
        if op.state != OperationState::Skipped {
            return op.good;
        }
        let before = self.predecessors(op);
        let given = self.operations.iter().filter(|o| before.contains(&o.step.op)).map(|o| self.passed_on(o)).min();
        given.unwrap_or_else(|| self.most_pieces())
    }

    /// Invariant I1: how many pieces may go into a first operation.
    fn most_pieces(&self) -> Qty {
        let h = &self.header;
        let planned = h.planned_qty.plus_percent(h.over_tolerance_pct);
        let most = if h.replace_scrap { planned + h.scrap } else { planned };
        let piece = reference::Uom::new(&h.uom).is_ok_and(|u| u.is_piece());
        if piece { Qty::new(most.decimal().trunc()).unwrap_or(most) } else { most }
    }

    /// Pieces still to be made (I2): scrap that is not replaced will never come.
    pub fn remaining(&self) -> Qty {
        let h = &self.header;
        let left = h.planned_qty.less(h.good);
        if h.replace_scrap { left } else { left.less(h.scrap) }
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

    /// Invariant I7 without the queue: `None` after the end, else whether nothing is missing.
    pub fn readiness(&self) -> Option<bool> {
        match self.header.state {
            WorkOrderState::Draft | WorkOrderState::Planned | WorkOrderState::OnHold => Some(false),
            WorkOrderState::Released | WorkOrderState::InProgress => {
                Some(self.shortages.is_empty() && self.next_operation().is_some_and(|o| self.is_ready(o)))
            }
            WorkOrderState::Completed | WorkOrderState::Closed | WorkOrderState::Cancelled => None,
        }
    }

    /// Was a ticket the cause?
    pub fn has_ticket(&self) -> bool {
        self.header.origin_kind == OriginKind::Ticket
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

impl Header {
    /// One amended field, as text; a value that does not read (written by a newer program under an
    /// old name) leaves the field as it is.
    fn amend(&mut self, field: &str, new: Option<&str>) {
        fn put<T: std::str::FromStr>(to: &mut T, new: Option<&str>) {
            if let Some(Ok(v)) = new.map(str::parse) {
                *to = v;
            }
        }
        fn put_text<const N: usize>(to: &mut Option<Text<N>>, new: Option<&str>) {
            *to = new.and_then(|s| Text::new(s).ok());
        }
        fn put_code<T: std::str::FromStr>(to: &mut Option<T>, new: Option<&str>) {
            *to = new.and_then(|s| s.parse().ok());
        }
        match field {
            "product_rev" => put_text(&mut self.rev, new),
            "bom_ref" => put_code(&mut self.bom_ref, new),
            "routing_ref" => put_code(&mut self.routing_ref, new),
            "over_tolerance_pct" => put(&mut self.over_tolerance_pct, new),
            "under_tolerance_pct" => put(&mut self.under_tolerance_pct, new),
            "replace_scrap" => put(&mut self.replace_scrap, new),
            "sales_order_ref" => put_text(&mut self.sales_order_ref, new),
            "customer_id" => put_code(&mut self.customer, new),
            _ => {}
        }
    }

    /// The fields that differ, each with its old and new value as text.
    pub fn changes(&self, new: &Header) -> Vec<(&'static str, Option<String>, Option<String>)> {
        let mut out = Vec::new();
        macro_rules! one {
            ($($field:ident),+) => {$(
                if self.$field != new.$field {
                    out.push((stringify!($field), Some(self.$field.to_string()), Some(new.$field.to_string())));
                }
            )+};
        }
        macro_rules! maybe {
            ($($field:ident),+) => {$(
                if self.$field != new.$field {
                    let text = |h: &Header| h.$field.as_ref().map(ToString::to_string);
                    out.push((stringify!($field), text(self), text(new)));
                }
            )+};
        }
        one!(state, priority, due_at, planned_qty, good, scrap, rework_open);
        one!(over_tolerance_pct, under_tolerance_pct, replace_scrap, short_closed);
        maybe!(line, planned_start, planned_end, rev, customer, sales_order_ref, bom_ref, routing_ref);
        maybe!(actual_start, actual_end);
        let hold = |h: &Header| h.hold.as_ref().map(|x| x.reason.to_string());
        if self.hold != new.hold {
            out.push(("hold_reason", hold(self), hold(new)));
        }
        out
    }
}
