//! One work order, folded from its events. Owns what the list and the detail page show of it;
//! sessions, reports, units, notes, inspections and movements of
//! material are rows of their own, so an order of ten thousand units stays cheap.
//!
//! It never judges: whether something was allowed was decided when it happened.

use mw_contract::event::parts::BomLineV1;
use mw_contract::*;
use serde::{Deserialize, Serialize};

use crate::material::{MaterialLine, Reservation, Substitute};
use crate::operation::Operation;

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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<Text<20>>,
    pub tracking: Tracking,
    pub planned_qty: Qty,
    pub uom: String,
    pub due_at: Instant,
    pub priority: u8,
    pub site: SiteId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<LineId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_start: Option<Instant>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_end: Option<Instant>,
    pub over_tolerance_pct: Percent,
    pub under_tolerance_pct: Percent,
    pub replace_scrap: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sales_order_ref: Option<Text<40>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_work_order_id: Option<AggregateId>,
    pub origin_kind: OriginKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_id: Option<Text<60>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bom_ref: Option<Code>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing_ref: Option<Code>,
    pub state: WorkOrderState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual_start: Option<Instant>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual_end: Option<Instant>,
    pub short_closed: bool,
    pub good: Qty,
    pub scrap: Qty,
    pub rework_open: Qty,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReasonCode>,
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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<Operation>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bom: Vec<BomLineV1>,
    /// What happened to the material of each BOM line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub materials: Vec<MaterialLine>,
    /// Reservations that stock still holds for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reservations: Vec<Reservation>,
    /// Items that may stand in for others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub substitutes: Vec<Substitute>,
    /// Nonconformances that are not closed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open_ncrs: Vec<EntityId>,
    /// Parts of it that became orders of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub splits: Vec<Split>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// Assigned to the order as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
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

/// A part of an order that became an order of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Split {
    pub work_order_id: AggregateId,
    pub qty: Qty,
    pub due_at: Instant,
    pub line: Option<LineId>,
    /// How many serial numbers went with it.
    pub serials: usize,
    pub at: Instant,
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
            materials: Vec::new(),
            reservations: Vec::new(),
            substitutes: Vec::new(),
            open_ncrs: Vec::new(),
            splits: Vec::new(),
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
                self.forget_shortages();
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
                self.released_short(&e.shortages);
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
            Event::WorkOrderClosed(_) => h.state = WorkOrderState::Closed,
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
            Event::WorkOrderSplit(e) => self.splits.extend(e.parts.iter().map(|p| Split {
                work_order_id: p.work_order_id,
                qty: p.qty,
                due_at: p.due_at,
                line: p.line_id.clone(),
                serials: p.serials.len(),
                at,
            })),
            Event::NonconformanceRaised(e) => self.open_ncrs.push(e.ncr_id),
            Event::NonconformanceClosed(e) => self.open_ncrs.retain(|n| *n != e.ncr_id),
            // Material; the rest is rows of their own, or of other streams.
            other => self.apply_material(other),
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
                self.forget_shortages();
                self.forget_dates();
            }
            WorkOrderState::Completed => {}
            _ => {
                h.reason = None;
                h.actual_end = None;
                h.short_closed = false;
            }
        }
    }

    /// Pieces still to be made (I2): scrap that is not replaced will never come.
    pub fn remaining(&self) -> Qty {
        let h = &self.header;
        let left = h.planned_qty.less(h.good);
        if h.replace_scrap { left } else { left.less(h.scrap) }
    }

    /// Was a ticket the cause, or is one tied to it?
    pub fn has_ticket(&self) -> bool {
        self.header.origin_kind == OriginKind::Ticket || self.links.iter().any(|l| l.kind == LinkKind::Ticket)
    }
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
