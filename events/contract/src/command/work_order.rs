//! Payloads of the work-order commands, by their numbers in the business rules (WO-01 …).
//! A field that may be absent is an `Option`; its default stands in its comment.

use serde::{Deserialize, Serialize};

use crate::enums::{
    CheckDigit, LinkKind, LinkRelation, OrderType, OriginKind, QuantitySource, Remainder, SessionKind, UnitResult,
};
use crate::event::parts::{BomLineV1, FileRefV1, MeasurementV1, RoutingOperationV1};
use crate::ids::{AccountName, AggregateId, CellId, Code, CustomerId, EntityId, ItemId, LineId, ProductId, ReasonCode};
use crate::qty::{Percent, Qty};
use crate::reference::Uom;
use crate::text::Text;
use crate::time::{Date, Instant, Seconds};

/// The sequence number of an operation inside its order: 10, 20 …
pub type OpNo = u16;

/// Where an order came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Origin {
    /// What kind of thing caused it.
    pub kind: OriginKind,
    /// Which one.
    #[serde(default)]
    pub id: Option<Text<60>>,
}

/// The wish for one operation in a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct OperationPlan {
    /// Which operation.
    pub op: OpNo,
    /// Its cell; default: the routing's.
    #[serde(default)]
    pub cell_id: Option<CellId>,
    /// When it should start.
    #[serde(default)]
    pub planned_start: Option<Instant>,
    /// When it should end.
    #[serde(default)]
    pub planned_end: Option<Instant>,
}

/// An increment of scrap or rework with its reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ReasonQty {
    /// How many.
    pub qty: Qty,
    /// Why.
    pub reason: ReasonCode,
    /// In words; needed (5 characters) for reason `other`.
    #[serde(default)]
    pub note: Option<Text<2000>>,
}

/// A device's counter reading.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Counter {
    /// Which counter.
    pub name: Code,
    /// What it shows.
    pub value: u64,
}

/// A component that was built in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Component {
    /// What it is.
    pub item_id: ItemId,
    /// Its serial number.
    #[serde(default)]
    pub serial: Option<Text<60>>,
    /// Its lot.
    #[serde(default)]
    pub lot: Option<Text<40>>,
    /// How many; default 1.
    #[serde(default)]
    pub qty: Option<Qty>,
    /// Where in the unit.
    #[serde(default)]
    pub position: Option<Text<40>>,
}

/// Why a BOM line does not come out even.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct VarianceReason {
    /// Line of the order's BOM.
    pub line_no: u16,
    /// Why: a code of catalogue `material_reasons`.
    pub reason: ReasonCode,
}

/// A part of an order that becomes an order of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SplitPart {
    /// The new order.
    pub work_order_id: AggregateId,
    /// How many pieces it takes.
    pub qty: Qty,
    /// Default: as the order it comes from.
    #[serde(default)]
    pub due_at: Option<Instant>,
    /// Default: as the order it comes from.
    #[serde(default)]
    pub line_id: Option<LineId>,
    /// Serial numbers that go with it; allocated here and not used yet.
    #[serde(default)]
    pub serials: Option<Vec<Text<60>>>,
}

payload! {
    /// WO-01 `work-order.create`. BOM and routing come inline or by reference; without either,
    /// the product's own count.
    CreateWorkOrder {
        /// Default: the server gives the next, `WO-2026-000001`.
        number: Option<Text<20>>,
        /// Default `production`.
        order_type: Option<OrderType>,
        product_id: ProductId,
        product_rev: Option<Text<20>>,
        planned_qty: Qty,
        uom: Uom,
        due_at: Instant,
        /// 1 urgent to 4 low; default 3.
        priority: Option<u8>,
        line_id: Option<LineId>,
        bom_ref: Option<Code>,
        routing_ref: Option<Code>,
        bom: Option<Vec<BomLineV1>>,
        routing: Option<Vec<RoutingOperationV1>>,
        /// Default 0.
        over_tolerance_pct: Option<Percent>,
        /// Default 0.
        under_tolerance_pct: Option<Percent>,
        /// Default false.
        replace_scrap: Option<bool>,
        sales_order_ref: Option<Text<40>>,
        customer_id: Option<CustomerId>,
        parent_work_order_id: Option<AggregateId>,
        /// Default `manual`.
        origin: Option<Origin>,
        note: Option<Text<2000>>,
    }

    /// WO-02 `work-order.amend`: what is absent stays as it is.
    AmendWorkOrder {
        product_rev: Option<Text<20>>,
        bom_ref: Option<Code>,
        routing_ref: Option<Code>,
        over_tolerance_pct: Option<Percent>,
        under_tolerance_pct: Option<Percent>,
        replace_scrap: Option<bool>,
        sales_order_ref: Option<Text<40>>,
        customer_id: Option<CustomerId>,
        /// Refused where it differs from the order's: the product of an order never changes.
        product_id: Option<ProductId>,
    }

    /// WO-03 `work-order.plan`.
    PlanWorkOrder {
        line_id: LineId,
        planned_start: Instant,
        planned_end: Instant,
        operations: Option<Vec<OperationPlan>>,
    }

    /// WO-04 `work-order.unplan`.
    UnplanWorkOrder {
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }

    /// WO-05 `work-order.reschedule`: what is absent stays as it is.
    RescheduleWorkOrder {
        line_id: Option<LineId>,
        planned_start: Option<Instant>,
        planned_end: Option<Instant>,
        operations: Option<Vec<OperationPlan>>,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }

    /// WO-07 `work-order.revoke-release`.
    RevokeRelease {
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }

    /// WO-08 `work-order.change-quantity`.
    ChangeQuantity {
        new_qty: Qty,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }

    /// WO-09 `work-order.change-due-date`.
    ChangeDueDate {
        new_due_at: Instant,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }

    /// WO-10 `work-order.change-priority`.
    ChangePriority {
        /// 1 urgent to 4 low.
        new_priority: u8,
        /// Needed when the order becomes urgent (1).
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }

    /// WO-11 `work-order.split`: 1 to 20 parts.
    SplitWorkOrder {
        parts: Vec<SplitPart>,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }

    /// WO-12 `work-order.assign`: a cell, operators or a crew; at least one of them.
    AssignOperation {
        op: OpNo,
        cell_id: Option<CellId>,
        /// At most 20; they come on top of those who are assigned already.
        operators: Option<Vec<AccountName>>,
        crew: Option<Text<40>>,
    }

    /// WO-13 `work-order.unassign`.
    UnassignOperation { op: OpNo, operators: Vec<AccountName> }

    /// WO-06 `work-order.release`.
    ReleaseWorkOrder {
        /// Release although material is missing; default false.
        allow_shortage: Option<bool>,
        note: Option<Text<2000>>,
    }

    /// WO-14 `work-order.hold`.
    HoldWorkOrder {
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
        expected_resume_at: Option<Instant>,
    }

    /// WO-15 `work-order.resume`.
    ResumeWorkOrder { note: Option<Text<2000>> }

    /// WO-16 `work-order.complete`.
    CompleteWorkOrder { note: Option<Text<2000>> }

    /// WO-17 `work-order.short-close`.
    ShortCloseWorkOrder {
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
        remainder: Remainder,
        /// With `new_order`: the order that makes the rest.
        new_work_order_id: Option<AggregateId>,
        /// A planner who agrees; line leads need one.
        approver: Option<AccountName>,
    }

    /// WO-18 `work-order.close`.
    CloseWorkOrder {
        /// Close before the late window is over; admin only; default false.
        force: Option<bool>,
        /// Why more or less of a BOM line was issued than used and returned.
        variance_reasons: Option<Vec<VarianceReason>>,
        note: Option<Text<2000>>,
    }

    /// WO-19 `work-order.cancel`.
    CancelWorkOrder {
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }

    /// WO-20 `work-order.reopen`.
    ReopenWorkOrder {
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }

    /// WO-28 `work-order.start-operation`.
    StartOperation {
        op: OpNo,
        session_id: EntityId,
        cell_id: CellId,
        /// Default: the sender. A line lead may start for another.
        operator: Option<AccountName>,
        /// Default `run`.
        kind: Option<SessionKind>,
        qty_planned: Option<Qty>,
    }

    /// WO-29 `work-order.pause-operation`; the quantities are optional.
    PauseOperation {
        op: OpNo,
        session_id: EntityId,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
        quantities: Option<Quantities>,
    }

    /// WO-30 `work-order.resume-operation`: opens a new session.
    ResumeOperation {
        op: OpNo,
        session_id: EntityId,
        operator: Option<AccountName>,
        /// Default: the cell of the operation's last session.
        cell_id: Option<CellId>,
    }

    /// WO-31 `work-order.report-quantity`: increments, not totals.
    ReportQuantity {
        op: OpNo,
        report_id: EntityId,
        /// Default `fresh`.
        source: Option<QuantitySource>,
        /// Default 0.
        good: Option<Qty>,
        scrap: Option<Vec<ReasonQty>>,
        rework: Option<Vec<ReasonQty>>,
        session_id: Option<EntityId>,
        cell_id: Option<CellId>,
        lot: Option<Text<40>>,
        /// Noted with the report; units are registered by WO-40.
        serials: Option<Vec<Text<60>>>,
        /// Devices only.
        counter: Option<Counter>,
        /// The counter started again from a lower value; default false.
        counter_reset: Option<bool>,
    }

    /// WO-32 `work-order.complete-operation`; final quantities are optional.
    CompleteOperation {
        op: OpNo,
        session_id: Option<EntityId>,
        quantities: Option<Quantities>,
        /// Complete although pieces are missing; default false.
        confirm_shortfall: Option<bool>,
    }

    /// WO-33 `work-order.correct-report`: what the report should have said; all zero takes it back.
    CorrectReport {
        report_id: EntityId,
        /// Default 0.
        good: Option<Qty>,
        scrap: Option<Vec<ReasonQty>>,
        rework: Option<Vec<ReasonQty>>,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }

    /// WO-34 `work-order.correct-session`: at least one of start and end.
    CorrectSession {
        session_id: EntityId,
        new_start: Option<Instant>,
        new_end: Option<Instant>,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }

    /// WO-35 `work-order.reopen-operation`.
    ReopenOperation {
        op: OpNo,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }

    /// WO-36 `work-order.skip-operation`.
    SkipOperation {
        op: OpNo,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
        /// A quality inspector who agrees; needed where the operation has an inspection.
        approver: Option<AccountName>,
    }

    /// WO-37 `work-order.add-operation`.
    AddOperation {
        /// A number that the order does not use yet.
        op: OpNo,
        name: Text<120>,
        cell_class: Code,
        /// Default 0.
        setup_time: Option<Seconds>,
        /// Seconds a piece; default 0.
        run_time_per_unit: Option<Qty>,
        /// Default: the operation before it, by number.
        predecessors: Option<Vec<OpNo>>,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }

    /// WO-38 `work-order.assign-lot`.
    AssignLot {
        lot: Text<40>,
        expires_on: Option<Date>,
        /// Why a lot number of another order is used again.
        reuse_reason: Option<ReasonCode>,
    }

    /// WO-39 `work-order.allocate-serials`: a list, or `prefix`, `first` and `count`.
    AllocateSerials {
        serials: Option<Vec<Text<60>>>,
        prefix: Option<Text<40>>,
        /// The first number, with its leading zeros, such as `"0001"` or `1`.
        first: Option<SerialStart>,
        /// 1 to 1000.
        count: Option<u32>,
        /// Default `none`.
        check_digit: Option<CheckDigit>,
    }

    /// WO-40 `work-order.register-unit`.
    RegisterUnit {
        serial: Text<60>,
        lot: Option<Text<40>>,
        op: OpNo,
        result: UnitResult,
        components: Option<Vec<Component>>,
        /// Why key components are missing.
        incomplete_reason: Option<ReasonCode>,
        firmware: Option<Text<60>>,
        test_report: Option<FileRefV1>,
        measurements: Option<Vec<MeasurementV1>>,
    }

    /// WO-41 `work-order.amend-genealogy`: what was really built into a unit.
    AmendGenealogy {
        serial: Text<60>,
        /// Components that are not in it.
        remove: Option<Vec<Component>>,
        /// Components that are.
        add: Option<Vec<Component>>,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }

    /// WO-42 `work-order.void-serial`: nobody bears this serial number any more, ever.
    VoidSerial {
        serial: Text<60>,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }

    /// WO-47 `work-order.add-note`.
    AddNote {
        note_id: EntityId,
        text: Text<2000>,
        attachments: Option<Vec<FileRefV1>>,
    }

    /// WO-48 `work-order.link`.
    LinkWorkOrder {
        kind: LinkKind,
        /// The id, number or code of what is linked.
        id: Text<60>,
        relation: LinkRelation,
    }
}

/// Quantities inside a pause or a completion: the same fields as a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Quantities {
    /// Names the report; needed so that it can be corrected later.
    pub report_id: EntityId,
    /// Default `fresh`.
    #[serde(default)]
    pub source: Option<QuantitySource>,
    /// Default 0.
    #[serde(default)]
    pub good: Option<Qty>,
    /// Scrap by reason.
    #[serde(default)]
    pub scrap: Option<Vec<ReasonQty>>,
    /// Rework by reason.
    #[serde(default)]
    pub rework: Option<Vec<ReasonQty>>,
    /// The lot of the pieces.
    #[serde(default)]
    pub lot: Option<Text<40>>,
    /// Serials of the pieces, noted.
    #[serde(default)]
    pub serials: Option<Vec<Text<60>>>,
}

/// The first number of a series of serials: digits, whose length is the least width of all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct SerialStart(pub String);

impl<'de> Deserialize<'de> for SerialStart {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(u64),
            Text(String),
        }
        let s = match Either::deserialize(d) {
            Ok(Either::Number(n)) => n.to_string(),
            Ok(Either::Text(t)) => t,
            Err(_) => return Err(serde::de::Error::custom("is a whole number or a string of digits")),
        };
        if s.is_empty() || s.len() > 18 || !s.bytes().all(|b| b.is_ascii_digit()) {
            return Err(serde::de::Error::custom("has 1 to 18 digits"));
        }
        Ok(SerialStart(s))
    }
}

impl schemars::JsonSchema for SerialStart {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SerialStart".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]{1,18}$"}]})
    }
}
