//! What after-service knows of production: units, orders, machines and reference data.
//!
//! Owns the trait only. Its copy is fed from production's log elsewhere and may be a moment behind; what
//! a decision takes from it is written into its events, so a later change never changes history.

use std::fmt;
use std::sync::Arc;

use mw_contract::reference::{Availability, Document};
use mw_contract::{
    AccountName, AggregateId, CellId, Code, CustomerId, Date, Instant, LineId, Number, OrderType, ProductId,
    ReferenceKind, SiteId, Text, UnitStatus, WarrantyBasis, WorkOrderState,
};

/// A unit that was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// Its id.
    pub unit_id: AggregateId,
    /// Its serial number, unique within its product.
    pub serial: Text<60>,
    /// Its product.
    pub product_id: ProductId,
    /// The lot that it belongs to.
    pub lot: Option<Text<40>>,
    /// The order that made it.
    pub work_order_id: Option<AggregateId>,
    /// That order's number.
    pub work_order_number: Option<Text<20>>,
    /// The line that made it.
    pub line_id: Option<LineId>,
    /// The site that made it.
    pub site_id: Option<SiteId>,
    /// When.
    pub produced_at: Option<Instant>,
    /// Was it registered as good?
    pub good: bool,
    /// Where it is in its life.
    pub status: UnitStatus,
    /// Whose it is.
    pub customer_id: Option<CustomerId>,
    /// The first and the last day of its warranty, and on what they stand.
    pub warranty: Option<UnitWarranty>,
    /// What its counters show in all, resets counted.
    pub counters: Vec<(Code, Number)>,
    /// Campaigns that it is called back for.
    pub open_recalls: Vec<Text<60>>,
    /// Serial numbers that are in it now.
    pub components: Vec<Text<60>>,
}

/// The warranty of a unit.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitWarranty {
    /// Its first day.
    pub start: Date,
    /// Its last day.
    pub end: Date,
    /// From when it runs.
    pub basis: WarrantyBasis,
    /// It ended for a reason.
    pub void: bool,
    /// It also ends when this counter reaches this.
    pub counter: Option<(Code, Number)>,
}

/// A machine of the plant.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// Its id.
    pub equipment_id: AggregateId,
    /// Its code.
    pub code: Code,
    /// Its class.
    pub class: Option<Code>,
    /// Its site.
    pub site_id: SiteId,
    /// Its line.
    pub line_id: Option<LineId>,
    /// Its cell.
    pub cell_id: Option<CellId>,
    /// What its counters show in all, resets counted.
    pub counters: Vec<(Code, Number)>,
}

/// A work order.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Its id.
    pub work_order_id: AggregateId,
    /// Its number.
    pub number: Text<20>,
    /// What it is for.
    pub order_type: OrderType,
    /// Where it is in its life.
    pub state: WorkOrderState,
    /// What it makes.
    pub product_id: ProductId,
    /// Its site.
    pub site_id: SiteId,
}

/// The copy that decisions read.
pub trait Known: fmt::Debug + Send + Sync {
    /// The last revision of a reference document that is in use.
    fn document(&self, kind: ReferenceKind, code: &str) -> Option<Arc<Document>>;

    /// Attendance and absence of a person.
    fn availability(&self, account: &AccountName) -> Vec<Availability>;

    /// The units of a serial number; several where products share it.
    fn units(&self, serial: &Text<60>) -> Vec<Unit>;

    /// A machine.
    fn machine(&self, id: AggregateId) -> Option<Machine>;

    /// An order.
    fn order(&self, id: AggregateId) -> Option<Order>;
}

/// Knows nothing: what holds before production has said a word.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nothing;

impl Known for Nothing {
    fn document(&self, _: ReferenceKind, _: &str) -> Option<Arc<Document>> {
        None
    }
    fn availability(&self, _: &AccountName) -> Vec<Availability> {
        Vec::new()
    }
    fn units(&self, _: &Text<60>) -> Vec<Unit> {
        Vec::new()
    }
    fn machine(&self, _: AggregateId) -> Option<Machine> {
        None
    }
    fn order(&self, _: AggregateId) -> Option<Order> {
        None
    }
}
