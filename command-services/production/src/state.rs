//! The folded state of every aggregate of the production context, and what can be read from it.
//!
//! Owns the shape of the state and its computed values. It must never decide anything, and it
//! holds nothing that is not a consequence of the stream's events: projections fold the same
//! events into the same state.

use std::collections::{BTreeMap, BTreeSet};

use mw_contract::command::work_order::OpNo;
use mw_contract::event::parts::{BomLineV1, ComponentV1, OriginV1, QuantitiesV1, RoutingOperationV1, ShortageV1};
use mw_contract::reference::Uom;
use mw_contract::{
    AccountName, AggregateId, CellId, Code, CustomerId, EntityId, EventId, HoldKind, InspectionPlan, Instant, LineId,
    LinkKind, LinkRelation, LossCategory, OperationState, OrderType, Overlap, Percent, ProductId, Qty, QuantitySource,
    ReasonCode, ReferenceKind, Sealed, Seconds, SessionKind, SiteId, Text, Tracking, UnitResult, WorkOrderState,
};

use crate::equipment::Equipment;
use crate::material::Material;
use crate::quality::Quality;
use crate::stock::StockItem;
use crate::unit::ProductUnit;

/// The number of the one operation of an order without a routing (I6).
pub const IMPLICIT_OP: OpNo = 10;

/// The state of one aggregate of this context.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ProductionState {
    /// Its stream is empty.
    #[default]
    None,
    /// A work order.
    WorkOrder(Box<WorkOrder>),
    /// A reference document.
    Reference(ReferenceState),
    /// A machine that is watched.
    Equipment(Box<Equipment>),
    /// A unit that was made.
    Unit(Box<ProductUnit>),
    /// An item at a place.
    Stock(Box<StockItem>),
    /// An item of the inbox that somebody has dealt with.
    Inbox,
}

impl ProductionState {
    /// The work order, when it is one.
    pub fn work_order(&self) -> Option<&WorkOrder> {
        match self {
            ProductionState::WorkOrder(o) => Some(o),
            _ => None,
        }
    }

    /// The machine, when it is one.
    pub fn equipment(&self) -> Option<&Equipment> {
        match self {
            ProductionState::Equipment(e) => Some(e),
            _ => None,
        }
    }

    /// The unit, when it is one.
    pub fn unit(&self) -> Option<&ProductUnit> {
        match self {
            ProductionState::Unit(u) => Some(u),
            _ => None,
        }
    }

    /// The stock item, when it is one.
    pub fn stock(&self) -> Option<&StockItem> {
        match self {
            ProductionState::Stock(s) => Some(s),
            _ => None,
        }
    }

    /// The reference document, when it is one.
    pub fn reference(&self) -> Option<&ReferenceState> {
        match self {
            ProductionState::Reference(r) => Some(r),
            _ => None,
        }
    }
}

/// How far a reference document has come. The document itself is among the facts.
#[derive(Clone, Debug, PartialEq)]
pub struct ReferenceState {
    /// What it describes.
    pub kind: ReferenceKind,
    /// Its code.
    pub code: Code,
    /// 1, 2, 3 …: one more with every put.
    pub revision: u32,
    /// Taken out of use; a further put brings it back.
    pub retired: bool,
}

/// A work order.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkOrder {
    pub id: AggregateId,
    pub number: Text<20>,
    pub order_type: OrderType,
    pub product_id: ProductId,
    pub product_rev: Option<Text<20>>,
    pub tracking: Tracking,
    pub planned_qty: Qty,
    pub uom: Uom,
    pub due_at: Instant,
    /// 1 urgent to 4 low.
    pub priority: u8,
    pub site_id: SiteId,
    pub line_id: Option<LineId>,
    pub over_tolerance_pct: Percent,
    pub under_tolerance_pct: Percent,
    pub replace_scrap: bool,
    pub sales_order_ref: Option<Text<40>>,
    pub customer_id: Option<CustomerId>,
    pub parent_work_order_id: Option<AggregateId>,
    pub origin: OriginV1,
    pub bom_ref: Option<Code>,
    pub bom: Vec<BomLineV1>,
    pub routing_ref: Option<Code>,
    pub routing: Vec<RoutingOperationV1>,
    pub state: WorkOrderState,
    /// The hold that it is on, if it is.
    pub hold: Option<Hold>,
    pub short_closed: bool,
    pub planned_start: Option<Instant>,
    pub planned_end: Option<Instant>,
    pub created_at: Instant,
    pub released_at: Option<Instant>,
    pub actual_start: Option<Instant>,
    /// When production ended: the time of the completion event.
    pub actual_end: Option<Instant>,
    pub closed_at: Option<Instant>,
    pub cancelled: Option<ReasonCode>,
    /// What was missing at the release.
    pub shortages: Vec<ShortageV1>,
    /// By number.
    pub operations: Vec<Operation>,
    /// Serials set aside for it that no unit bears yet.
    pub free_serials: BTreeSet<Text<60>>,
    /// Units by serial.
    pub units: BTreeMap<Text<60>, Unit>,
    /// Lots named by its reports and units.
    pub lots: BTreeSet<Text<40>>,
    /// The quantity reports, as they are after corrections.
    pub reports: BTreeMap<EntityId, Report>,
    /// Last reading of each device counter, by cell and name.
    pub counters: BTreeMap<(Option<CellId>, Code), u64>,
    pub notes: Vec<Note>,
    pub links: BTreeSet<Link>,
    /// 1, and one more with each reopening.
    pub cycle: u16,
    pub material: Material,
    pub quality: Quality,
}

/// A quantity report.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub op: OpNo,
    pub source: QuantitySource,
    /// What it says now; its notes stay with its events.
    pub says: QuantitiesV1,
    pub operator: AccountName,
    pub at: Instant,
    /// The event that said it last.
    pub event_id: EventId,
}

/// Something that the order is tied to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    pub kind: LinkKind,
    pub id: Text<60>,
    pub relation: LinkRelation,
}

/// Why and since when an order is on hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Hold {
    pub reason: ReasonCode,
    pub kind: HoldKind,
    pub since: Instant,
    pub expected_resume_at: Option<Instant>,
    /// The state that it goes back to.
    pub resume_state: WorkOrderState,
}

/// One operation of an order.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    pub op: OpNo,
    /// None for the implicit operation.
    pub name: Option<Text<120>>,
    /// Any cell of the order's line will do (I6).
    pub implicit: bool,
    pub cell_id: Option<CellId>,
    pub cell_class: Option<Code>,
    pub setup_time: Seconds,
    /// Seconds a piece.
    pub run_time_per_unit: Qty,
    pub predecessors: Vec<OpNo>,
    pub overlap: Overlap,
    pub transfer_batch_qty: Option<Qty>,
    pub inspection: InspectionPlan,
    pub planned_start: Option<Instant>,
    pub planned_end: Option<Instant>,
    /// Who should do it.
    pub assigned: BTreeSet<AccountName>,
    pub crew: Option<Text<40>>,
    pub good: Qty,
    pub scrap: Qty,
    pub rework_open: Qty,
    /// In the order in which they were recorded.
    pub sessions: Vec<Session>,
    pub completed_at: Option<Instant>,
    /// Left out: what went in goes on to the next one.
    pub skipped: bool,
}

/// One operator, or one machine, at work on one operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    pub session_id: EntityId,
    pub operator: AccountName,
    /// A person works; false for a machine that runs on its own, which is no labour.
    pub attended: bool,
    pub cell_id: CellId,
    pub kind: SessionKind,
    pub started_at: Instant,
    pub ended_at: Option<Instant>,
    pub stop_reason: Option<ReasonCode>,
    pub loss_category: Option<LossCategory>,
    /// It was ended because nobody had; somebody should say when it really ended.
    pub overdue: bool,
}

/// A unit that was registered.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    pub result: UnitResult,
    /// Its serial number was voided: it counts for nothing.
    pub voided: bool,
    pub op: OpNo,
    pub lot: Option<Text<40>>,
    pub produced_at: Instant,
    /// As was said last.
    pub components: Vec<ComponentV1>,
}

/// A note.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    pub note_id: EntityId,
    pub text: Sealed,
    pub author: AccountName,
    pub at: Instant,
}

impl Session {
    /// Is somebody still at it?
    pub const fn is_open(&self) -> bool {
        self.ended_at.is_none()
    }
}

impl Operation {
    /// The sessions that are still open.
    pub fn open_sessions(&self) -> impl Iterator<Item = &Session> {
        self.sessions.iter().filter(|s| s.is_open())
    }

    /// One session by its id.
    pub fn session(&self, id: EntityId) -> Option<&Session> {
        self.sessions.iter().find(|s| s.session_id == id)
    }

    /// Is it completed or left out?
    pub fn has_ended(&self) -> bool {
        self.completed_at.is_some() || self.skipped
    }

    /// Did anybody ever begin it?
    pub fn was_started(&self) -> bool {
        !self.sessions.is_empty()
    }

    /// Pieces that went through it, whatever became of them.
    pub fn processed(&self) -> Qty {
        self.good + self.scrap + self.rework_open
    }

    /// The session that a resumption goes on with: the operator's own last one, else the last.
    pub fn resumed_from(&self, operator: &AccountName) -> Option<&Session> {
        self.sessions.iter().rev().find(|s| s.operator == *operator).or(self.sessions.last())
    }
}

impl WorkOrder {
    /// One operation by its number.
    pub fn operation(&self, op: OpNo) -> Option<&Operation> {
        self.operations.iter().find(|o| o.op == op)
    }

    pub(crate) fn operation_mut(&mut self, op: OpNo) -> Option<&mut Operation> {
        self.operations.iter_mut().find(|o| o.op == op)
    }

    /// Every session of the order with its operation.
    pub fn sessions(&self) -> impl Iterator<Item = (&Operation, &Session)> {
        self.operations.iter().flat_map(|o| o.sessions.iter().map(move |s| (o, s)))
    }

    /// Is the rule about an operation's predecessors met now?
    pub fn predecessors_met(&self, op: &Operation) -> bool {
        op.predecessors.iter().filter_map(|p| self.operation(*p)).all(|p| {
            p.has_ended()
                || match (op.overlap, op.transfer_batch_qty) {
                    (Overlap::TransferBatch, Some(batch)) => p.good >= batch,
                    _ => false,
                }
        })
    }

    /// The state of an operation; `ready` is computed, the others are facts.
    pub fn operation_state(&self, op: &Operation) -> OperationState {
        let may_start = matches!(self.state, WorkOrderState::Released | WorkOrderState::InProgress);
        if op.skipped {
            OperationState::Skipped
        } else if op.completed_at.is_some() {
            OperationState::Completed
        } else if op.open_sessions().next().is_some() {
            OperationState::Running
        } else if op.was_started() {
            OperationState::Paused
        } else if may_start && self.predecessors_met(op) {
            OperationState::Ready
        } else {
            OperationState::Pending
        }
    }

    /// The operations that no other one waits for.
    pub fn last_operations(&self) -> impl Iterator<Item = &Operation> {
        self.operations.iter().filter(|o| !self.operations.iter().any(|x| x.predecessors.contains(&o.op)))
    }

    /// Finished good pieces (I2).
    pub fn produced_good(&self) -> Qty {
        crate::invariants::produced_good(self)
    }

    /// Scrap over all operations.
    pub fn scrap_total(&self) -> Qty {
        self.operations.iter().map(|o| o.scrap).sum()
    }

    /// Pieces that wait for rework, over all operations.
    pub fn rework_open(&self) -> Qty {
        self.operations.iter().map(|o| o.rework_open).sum()
    }

    /// Pieces still to make (I2).
    pub fn remaining(&self) -> Qty {
        crate::invariants::remaining(self)
    }

    /// Good pieces for each planned one, in percent, 0 to 100 and rounded down.
    pub fn progress_pct(&self) -> u8 {
        let (good, planned) = (self.produced_good().decimal(), self.planned_qty.decimal());
        (0..=100u8)
            .rev()
            .find(|p| good >= self.planned_qty.percent(percent(*p)).decimal() && !planned.is_zero())
            .unwrap_or(0)
    }

    /// Since when it is on hold.
    pub fn held_since(&self) -> Option<Instant> {
        self.hold.as_ref().map(|h| h.since)
    }

    /// Registered units of one result.
    pub fn units_of(&self, result: UnitResult) -> usize {
        self.units.values().filter(|u| u.result == result && !u.voided).count()
    }

    /// How many serial numbers are set aside or borne.
    pub fn serials_in_use(&self) -> Qty {
        let n = self.free_serials.len() + self.units.values().filter(|u| !u.voided).count();
        Qty::whole(u32::try_from(n).unwrap_or(u32::MAX))
    }

    /// What a BOM line needs for all planned pieces; `None` when that is no quantity any more.
    pub fn required(&self, line: &BomLineV1) -> Option<Qty> {
        required(self.planned_qty, line)
    }

    /// What was used of a BOM line, by record and by report.
    pub fn used(&self, line: &BomLineV1) -> Qty {
        let used = self.material.line(line.line_no);
        used.consumed + used.backflushed
    }

    /// What the pieces made so far should have used of a BOM line, by the operation that needs
    /// it (else the first one).
    pub fn used_by_standard(&self, line: &BomLineV1) -> Qty {
        let op = line.op.and_then(|n| self.operation(n)).or(self.operations.first());
        op.and_then(|o| (o.good + o.scrap).times(line.qty_per_unit)).unwrap_or(Qty::ZERO)
    }
}

/// What a BOM line needs for so many pieces; `None` when that is no quantity any more.
pub fn required(pieces: Qty, line: &BomLineV1) -> Option<Qty> {
    let net = pieces.times(line.qty_per_unit)?;
    Qty::new(net.plus_percent(line.scrap_factor_pct).decimal()).ok()
}

/// A whole percentage. Text is the one way into [`Percent`].
fn percent(n: u8) -> Percent {
    n.to_string().parse().unwrap_or(Percent::ZERO)
}
