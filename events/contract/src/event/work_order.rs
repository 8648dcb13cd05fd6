//! Events of work orders. Frozen: a change is a new struct (`…V2`).

use std::collections::BTreeMap;

use bincode::{Decode, Encode};
use schemars::JsonSchema;
use serde::Serialize;

use super::SealedFields;
use super::parts::*;
use crate::enums::{
    HoldKind, LinkKind, LinkRelation, LossCategory, OrderType, PauseCause, QuantitySource, Remainder, SessionKind,
    Tracking, UnitResult, WorkOrderState,
};
use crate::ids::{
    AccountName, AggregateId, CellId, Code, CustomerId, EntityId, EventId, LineId, ProductId, ReasonCode, SiteId,
};
use crate::qty::{Percent, Qty};
use crate::reference::Uom;
use crate::text::{Sealed, Text};
use crate::time::{Date, Instant, Seconds};

/// Declares events: derives, and the list of their sealed fields.
macro_rules! events {
    ($($(#[$m:meta])* $name:ident $([$($sealed:ident),+])? { $($(#[$fm:meta])* $field:ident : $ty:ty),* $(,)? })+) => {$(
        $(#[$m])*
        #[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
        pub struct $name { $($(#[$fm])* pub $field: $ty),* }
        impl SealedFields for $name {
            fn sealed_fields(&mut self, f: &mut dyn FnMut(&mut Sealed)) {
                let _ = &f;
                $($(self.$sealed.each(f);)+)?
            }
        }
    )+};
}
pub(crate) use events;

/// Where sealed text may hide.
pub(crate) trait Each {
    fn each(&mut self, f: &mut dyn FnMut(&mut Sealed));
}
impl Each for Sealed {
    fn each(&mut self, f: &mut dyn FnMut(&mut Sealed)) {
        f(self);
    }
}
impl<T: Each> Each for Option<T> {
    fn each(&mut self, f: &mut dyn FnMut(&mut Sealed)) {
        if let Some(x) = self {
            x.each(f);
        }
    }
}
impl<T: Each> Each for Vec<T> {
    fn each(&mut self, f: &mut dyn FnMut(&mut Sealed)) {
        for x in self {
            x.each(f);
        }
    }
}
impl Each for QuantitiesV1 {
    fn each(&mut self, f: &mut dyn FnMut(&mut Sealed)) {
        self.scrap.each(f);
        self.rework.each(f);
    }
}
impl Each for ReasonQtyV1 {
    fn each(&mut self, f: &mut dyn FnMut(&mut Sealed)) {
        self.note.each(f);
    }
}

events! {
    /// WO-01: an order was made. BOM and routing are copies.
    WorkOrderCreatedV1 [note] {
        number: Text<20>,
        order_type: OrderType,
        product_id: ProductId,
        product_rev: Option<Text<20>>,
        tracking: Tracking,
        planned_qty: Qty,
        uom: Uom,
        due_at: Instant,
        priority: u8,
        site_id: SiteId,
        line_id: Option<LineId>,
        over_tolerance_pct: Percent,
        under_tolerance_pct: Percent,
        replace_scrap: bool,
        sales_order_ref: Option<Text<40>>,
        customer_id: Option<CustomerId>,
        parent_work_order_id: Option<AggregateId>,
        origin: OriginV1,
        bom_ref: Option<Code>,
        bom: Vec<BomLineV1>,
        routing_ref: Option<Code>,
        routing: Vec<RoutingOperationV1>,
        note: Option<Sealed>,
    }

    /// WO-02: header fields were changed. `changed` names each field with old and new value;
    /// `bom` and `routing` are there when they were copied anew.
    WorkOrderAmendedV1 {
        changed: BTreeMap<String, ChangeV1>,
        bom: Option<Vec<BomLineV1>>,
        routing: Option<Vec<RoutingOperationV1>>,
    }

    /// WO-03: the order has a line and dates.
    WorkOrderPlannedV1 {
        line_id: LineId,
        planned_start: Instant,
        planned_end: Instant,
        operations: Vec<OperationPlanV1>,
    }

    /// WO-06: the order may start on the floor.
    WorkOrderReleasedV1 [note] {
        bom: Vec<BomLineV1>,
        routing: Vec<RoutingOperationV1>,
        shortages: Vec<ShortageV1>,
        note: Option<Sealed>,
    }

    /// WO-28: the first operation was started.
    WorkOrderStartedV1 { actual_start: Instant }

    /// WO-14: the order was stopped as a whole.
    WorkOrderHeldV1 [note] {
        reason: ReasonCode,
        kind: HoldKind,
        expected_resume_at: Option<Instant>,
        resume_state: WorkOrderState,
        note: Option<Sealed>,
    }

    /// WO-15: the order goes on.
    WorkOrderResumedV1 [note] {
        to_state: WorkOrderState,
        held_for: Seconds,
        note: Option<Sealed>,
    }

    /// WO-16, WO-17: production ended.
    WorkOrderCompletedV1 [note] {
        good: Qty,
        scrap: Qty,
        rework: Qty,
        actual_start: Option<Instant>,
        actual_end: Instant,
        material_variance: Vec<MaterialVarianceV1>,
        short_closed: bool,
        note: Option<Sealed>,
    }

    /// WO-18: reconciled and frozen.
    WorkOrderClosedV1 [note] {
        good: Qty,
        scrap: Qty,
        operations: Vec<OperationTotalsV1>,
        materials: Vec<MaterialTotalsV1>,
        labour: Seconds,
        machine: Seconds,
        forced: bool,
        note: Option<Sealed>,
    }

    /// WO-19: ended without production.
    WorkOrderCancelledV1 [note] {
        reason: ReasonCode,
        note: Option<Sealed>,
    }

    /// WO-28: a work session began.
    OperationStartedV1 {
        op: u16,
        session_id: EntityId,
        cell_id: CellId,
        operator: AccountName,
        kind: SessionKind,
        qty_planned: Option<Qty>,
    }

    /// WO-29 and whatever else ends a session.
    OperationPausedV1 [note] {
        op: u16,
        session_id: EntityId,
        cause: PauseCause,
        reason: Option<ReasonCode>,
        loss_category: Option<LossCategory>,
        session_duration: Seconds,
        note: Option<Sealed>,
    }

    /// WO-30: a new session on an operation that had been paused.
    OperationResumedV1 {
        op: u16,
        session_id: EntityId,
        cell_id: CellId,
        operator: AccountName,
        paused_for: Seconds,
    }

    /// WO-31: pieces were reported; increments, and the sums after them.
    OperationQuantityReportedV1 [scrap, rework] {
        report_id: EntityId,
        op: u16,
        source: QuantitySource,
        good: Qty,
        scrap: Vec<ReasonQtyV1>,
        rework: Vec<ReasonQtyV1>,
        session_id: Option<EntityId>,
        cell_id: Option<CellId>,
        operator: AccountName,
        lot: Option<Text<40>>,
        serials: Vec<Text<60>>,
        counter: Option<CounterV1>,
        totals: TotalsV1,
    }

    /// WO-32: an operation ended.
    OperationCompletedV1 {
        op: u16,
        good: Qty,
        scrap: Qty,
        rework_open: Qty,
        run_time: Seconds,
        setup_time: Seconds,
        labour_time: Seconds,
        shortfall_confirmed: bool,
    }

    /// WO-39: serial numbers were set aside for this order.
    SerialsAllocatedV1 { serials: Vec<Text<60>> }

    /// WO-40: one unit exists.
    UnitRegisteredV1 {
        serial: Text<60>,
        product_id: ProductId,
        lot: Option<Text<40>>,
        op: u16,
        result: UnitResult,
        components: Vec<ComponentV1>,
        incomplete_reason: Option<ReasonCode>,
        firmware: Option<Text<60>>,
        test_report: Option<FileRefV1>,
        measurements: Vec<MeasurementV1>,
        cell_id: Option<CellId>,
        operator: AccountName,
        produced_at: Instant,
    }

    /// WO-47: somebody wrote something down.
    NoteAddedV1 [text] {
        note_id: EntityId,
        text: Sealed,
        attachments: Vec<FileRefV1>,
    }

    /// WO-04: the order lost its place in the plan.
    WorkOrderUnplannedV1 [note] { reason: ReasonCode, note: Option<Sealed> }

    /// WO-05: line or dates were changed.
    WorkOrderRescheduledV1 [note] {
        old: ScheduleV1,
        new: ScheduleV1,
        reason: ReasonCode,
        note: Option<Sealed>,
    }

    /// WO-07: the release was taken back.
    WorkOrderReleaseRevokedV1 [note] { reason: ReasonCode, note: Option<Sealed> }

    /// WO-08: more or fewer pieces.
    WorkOrderQuantityChangedV1 [note] {
        old_qty: Qty,
        new_qty: Qty,
        reason: ReasonCode,
        required_materials: Vec<RequiredMaterialV1>,
        note: Option<Sealed>,
    }

    /// WO-09: due earlier or later.
    WorkOrderDueDateChangedV1 [note] {
        old: Instant,
        new: Instant,
        reason: ReasonCode,
        note: Option<Sealed>,
    }

    /// WO-10: more or less urgent.
    WorkOrderPriorityChangedV1 [note] {
        old: u8,
        new: u8,
        reason: Option<ReasonCode>,
        note: Option<Sealed>,
    }

    /// WO-12: who or what does an operation.
    OperationAssignedV1 {
        op: u16,
        cell_id: Option<CellId>,
        operators: Vec<AccountName>,
        crew: Option<Text<40>>,
    }

    /// WO-13: who does not do it any more.
    OperationUnassignedV1 { op: u16, operators: Vec<AccountName> }

    /// WO-17: ended before all pieces were made. `dropped_qty` is what this order does not deliver.
    WorkOrderShortClosedV1 [note] {
        planned_qty: Qty,
        good: Qty,
        scrap: Qty,
        dropped_qty: Qty,
        reason: ReasonCode,
        remainder: Remainder,
        new_work_order_id: Option<AggregateId>,
        approver: Option<AccountName>,
        note: Option<Sealed>,
    }

    /// WO-20: taken up again; the first reopening begins cycle 2.
    WorkOrderReopenedV1 [note] {
        from_state: WorkOrderState,
        to_state: WorkOrderState,
        reason: ReasonCode,
        cycle: u16,
        note: Option<Sealed>,
    }

    /// WO-48: tied to something else.
    LinkAddedV1 { kind: LinkKind, id: Text<60>, relation: LinkRelation }

    /// WO-33: a report said something else than what was so. `totals` are those of its operation now.
    OperationReportCorrectedV1 [old, new, note] {
        report_id: EntityId,
        op: u16,
        source: QuantitySource,
        old: QuantitiesV1,
        new: QuantitiesV1,
        delta: DeltaV1,
        totals: TotalsV1,
        reason: ReasonCode,
        corrects_event_id: EventId,
        note: Option<Sealed>,
    }

    /// WO-34: a session began or ended at another time.
    OperationSessionCorrectedV1 [note] {
        op: u16,
        session_id: EntityId,
        old: SpanV1,
        new: SpanV1,
        reason: ReasonCode,
        note: Option<Sealed>,
    }

    /// WO-35: an operation that had ended goes on.
    OperationReopenedV1 [note] { op: u16, reason: ReasonCode, note: Option<Sealed> }

    /// WO-36: an operation is left out.
    OperationSkippedV1 [note] {
        op: u16,
        reason: ReasonCode,
        approver: Option<AccountName>,
        note: Option<Sealed>,
    }

    /// WO-37: an operation more than the routing has.
    OperationAddedV1 [note] { operation: RoutingOperationV1, reason: ReasonCode, note: Option<Sealed> }

    /// WO-38: the pieces belong to a lot.
    LotAssignedV1 { lot: Text<40>, expires_on: Option<Date>, reuse_reason: Option<ReasonCode> }

    /// WO-42: a serial number that nobody will bear.
    SerialVoidedV1 [note] { serial: Text<60>, reason: ReasonCode, note: Option<Sealed> }

    /// WO-11: parts of it become orders of their own. The quantity changes with an event of its own.
    WorkOrderSplitV1 [note] {
        parts: Vec<SplitPartV1>,
        remaining_qty: Qty,
        reason: ReasonCode,
        note: Option<Sealed>,
    }

    /// WO-41: other components are in a unit than was said when it was registered.
    UnitGenealogyAmendedV1 [note] {
        serial: Text<60>,
        product_id: ProductId,
        removed: Vec<ComponentV1>,
        added: Vec<ComponentV1>,
        reason: ReasonCode,
        note: Option<Sealed>,
    }
}
