//! Payloads of the ticket commands (TK-01 to TK-50), and of what process managers tell a ticket.
//! A field that may be absent is an `Option`; its default stands in its comment.

use serde::{Deserialize, Serialize};

use crate::enums::{
    Channel, CloseReason, Coverage, Initiator, LogActivity, MaterialCondition, PartSource, QuoteLineKind, QuoteWish,
    Recommendation, RemovedDisposition, RepairVerdict, ReplacementMode, ResolutionCode, ReturnDisposition, ServiceMode,
    SlaClock, TicketKind, TicketLinkKind, TicketRelation, Visibility, VisitLocation, WarrantyStatus, WorkActivity,
};
use crate::event::parts::{FileRefV1, MeasurementV1};
use crate::event::ticket_parts::{GeoV1, ReadingV1, WindowV1};
use crate::ids::{AccountName, AggregateId, Code, CustomerId, EntityId, ItemId, ProductId, ReasonCode};
use crate::money::Money;
use crate::qty::{Number, Percent, Qty};
use crate::reference::Uom;
use crate::text::Text;
use crate::time::{Date, Instant};

/// The alarm that opened a ticket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TicketAlarm {
    /// Which one.
    pub alarm_id: EntityId,
    /// Its code.
    pub code: ReasonCode,
    /// Since when.
    pub raised_at: Instant,
}

/// A line of a quote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct QuoteLine {
    /// What it is for.
    pub kind: QuoteLineKind,
    /// The part.
    #[serde(default)]
    pub item_id: Option<ItemId>,
    /// What the customer reads; not personal data.
    pub text: Text<120>,
    /// How much of it.
    pub qty: Qty,
    /// In which unit.
    pub uom: Uom,
    /// Price of one, net.
    pub unit_price: Money,
    /// Tax on it.
    pub tax_pct: Percent,
    /// How much of it warranty or goodwill bears; default 0.
    #[serde(default)]
    pub covered_pct: Option<Percent>,
}

/// A part to bring along.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PartLine {
    /// Which.
    pub item_id: ItemId,
    /// How many.
    pub qty: Qty,
    /// In which unit; the item's own counts.
    #[serde(default)]
    pub uom: Option<Uom>,
}

/// How somebody knows what a customer agreed to: in words, or by a file.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Evidence {
    /// In words.
    Words(Text<2000>),
    /// A file.
    File(FileRefV1),
}

impl Evidence {
    /// The words, where it is words.
    pub fn words(&self) -> Option<&Text<2000>> {
        match self {
            Evidence::Words(t) => Some(t),
            Evidence::File(_) => None,
        }
    }

    /// The file, where it is a file.
    pub fn file(&self) -> Option<&FileRefV1> {
        match self {
            Evidence::Words(_) => None,
            Evidence::File(f) => Some(f),
        }
    }
}

impl<'de> Deserialize<'de> for Evidence {
    // Not derived: a refusal says what is wrong with the form that was meant.
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        match serde_json::Value::deserialize(d)? {
            v @ serde_json::Value::Object(_) => FileRefV1::deserialize(v).map(Evidence::File).map_err(D::Error::custom),
            v => Text::deserialize(v).map(Evidence::Words).map_err(D::Error::custom),
        }
    }
}

/// What was made safe before work began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SafetyCheck {
    /// Is the machine locked out?
    pub lockout: bool,
    /// The permit to work.
    #[serde(default)]
    pub permit_ref: Option<Text<60>>,
}

/// A part that somebody needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PartRequest {
    /// Which.
    pub item_id: ItemId,
    /// How many.
    pub qty: Qty,
    /// In which unit.
    pub uom: Uom,
    /// By when.
    #[serde(default)]
    pub needed_by: Option<Instant>,
    /// For which unit.
    #[serde(default)]
    pub for_serial: Option<Text<60>>,
}

/// A part that stock keeps for the ticket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PartReservation {
    /// Names it in stock.
    pub reservation_id: EntityId,
    /// Which.
    pub item_id: ItemId,
    /// How many.
    pub qty: Qty,
    /// Where.
    pub location: Code,
    /// Of which lot.
    #[serde(default)]
    pub lot: Option<Text<40>>,
}

/// A part that stock does not have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PartMissing {
    /// Which.
    pub item_id: ItemId,
    /// How many are missing.
    pub missing_qty: Qty,
    /// When they are expected.
    #[serde(default)]
    pub eta: Option<Instant>,
}

/// A part that was used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PartUse {
    /// Which.
    pub item_id: ItemId,
    /// How many.
    pub qty: Qty,
    /// In which unit; the item's own counts.
    #[serde(default)]
    pub uom: Option<Uom>,
    /// The serial number of what went in.
    #[serde(default)]
    pub new_serial: Option<Text<60>>,
    /// Of which lot.
    #[serde(default)]
    pub lot: Option<Text<40>>,
    /// The serial number of what came out.
    #[serde(default)]
    pub removed_serial: Option<Text<60>>,
    /// What becomes of what came out.
    #[serde(default)]
    pub removed_disposition: Option<RemovedDisposition>,
    /// Where it came from.
    pub source: PartSource,
    /// Who pays.
    pub coverage: Coverage,
    /// What one cost; for the totals.
    #[serde(default)]
    pub unit_cost: Option<Money>,
}

/// A part that goes back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PartReturn {
    /// Which.
    pub item_id: ItemId,
    /// How many.
    pub qty: Qty,
    /// In which unit; the item's own counts.
    #[serde(default)]
    pub uom: Option<Uom>,
    /// Its serial number.
    #[serde(default)]
    pub serial: Option<Text<60>>,
    /// Its lot.
    #[serde(default)]
    pub lot: Option<Text<40>>,
}

payload! {
    /// TK-01 `ticket.open`.
    OpenTicket {
        /// Default `customer_repair`.
        kind: Option<TicketKind>,
        channel: Channel,
        title: Text<120>,
        description: Option<Text<4000>>,
        /// Needed unless the ticket is internal; a customer's own unless given.
        customer_id: Option<CustomerId>,
        /// The customer's own name for a person; not a name.
        contact_id: Option<Code>,
        /// The customer's place where the unit stands, by its code.
        site_id: Option<Code>,
        serial: Option<Text<60>>,
        product_id: Option<ProductId>,
        equipment_id: Option<AggregateId>,
        /// 1 critical to 4 cosmetic.
        severity: Option<u8>,
        symptom: Option<ReasonCode>,
        down_since: Option<Instant>,
        preferred_windows: Option<Vec<WindowV1>>,
        attachments: Option<Vec<FileRefV1>>,
        alarm: Option<TicketAlarm>,
        dedupe_key: Option<Text<120>>,
        /// The maintenance plan that asks for it.
        plan_id: Option<AggregateId>,
        /// The ticket that it goes on from.
        follows: Option<AggregateId>,
        /// What has to be done, step by step.
        checklist: Option<Vec<Text<120>>>,
        /// How long it should take, in seconds.
        estimated_effort: Option<u64>,
        /// Must the customer sign?
        signature_required: Option<bool>,
    }

    /// TK-02 `ticket.amend`: only what changes.
    AmendTicket {
        title: Option<Text<120>>,
        description: Option<Text<4000>>,
        contact_id: Option<Code>,
        site_id: Option<Code>,
        serial: Option<Text<60>>,
        product_id: Option<ProductId>,
        down_since: Option<Instant>,
    }

    /// TK-03 `ticket.comment`.
    CommentTicket {
        comment_id: EntityId,
        text: Text<4000>,
        visibility: Visibility,
        attachments: Option<Vec<FileRefV1>>,
    }

    /// TK-04 `ticket.mark-duplicate`.
    MarkDuplicate {
        master_ticket_id: AggregateId,
    }

    /// TK-05 `ticket.triage`.
    TriageTicket {
        severity: u8,
        priority: u8,
        category: Code,
        service_mode: ServiceMode,
        team: Option<Code>,
        required_skills: Option<Vec<ReasonCode>>,
        /// Seconds.
        estimated_effort: Option<u64>,
        /// Why the priority is not that of the matrix.
        override_reason: Option<Text<2000>>,
    }

    /// TK-06 `ticket.classify-fault`.
    ClassifyFault {
        symptom: ReasonCode,
        cause: Option<ReasonCode>,
        remedy: Option<ReasonCode>,
        component: Option<Code>,
        /// Default false.
        safety_relevant: Option<bool>,
    }

    /// TK-07 `ticket.change-priority`.
    ChangeTicketPriority {
        priority: u8,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }

    /// TK-08 `ticket.check-warranty`.
    CheckWarranty {
        serial: Option<Text<60>>,
        /// Default: the day of the report.
        as_of: Option<Date>,
    }

    /// TK-09 `ticket.override-warranty`.
    OverrideWarranty {
        status: WarrantyStatus,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
        /// Default 100.
        coverage_pct: Option<Percent>,
        /// What it may cost; needed to compare with the limit.
        estimated_cost: Option<Money>,
        approver: Option<AccountName>,
    }

    /// TK-10 `ticket.submit-quote`.
    SubmitQuote {
        quote_id: EntityId,
        lines: Vec<QuoteLine>,
        valid_until: Date,
        terms: Option<Text<2000>>,
    }

    /// TK-11 `ticket.approve-quote`.
    ApproveQuote {
        quote_id: EntityId,
        revision: u16,
        purchase_order_ref: Option<Text<60>>,
        signature: Option<FileRefV1>,
        /// How a dispatcher knows: a text, or a file.
        evidence: Option<Evidence>,
        evidence_file: Option<FileRefV1>,
    }

    /// TK-12 `ticket.reject-quote`.
    RejectQuote {
        quote_id: EntityId,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
        wish: QuoteWish,
        evidence: Option<Evidence>,
        evidence_file: Option<FileRefV1>,
    }

    /// `ticket.expire-quote`: its last day has passed.
    ExpireQuote {
        quote_id: EntityId,
        revision: u16,
    }

    /// TK-13 `ticket.assign-technician`.
    AssignTechnician {
        lead: AccountName,
        helpers: Option<Vec<AccountName>>,
        team: Option<Code>,
        due_start: Option<Instant>,
        override_reason: Option<Text<2000>>,
    }

    /// TK-14 `ticket.reassign-technician`.
    ReassignTechnician {
        lead: AccountName,
        helpers: Option<Vec<AccountName>>,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
        handover_note: Option<Text<2000>>,
        /// The visit stays with the new lead. Default false.
        keep_visit: Option<bool>,
        override_reason: Option<Text<2000>>,
    }

    /// TK-15 `ticket.accept-assignment`.
    AcceptAssignment {}

    /// TK-16 `ticket.decline-assignment`.
    DeclineAssignment {
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }

    /// TK-17 `ticket.schedule-visit`.
    ScheduleVisit {
        visit_id: EntityId,
        window_start: Instant,
        window_end: Instant,
        location: VisitLocation,
        parts_to_bring: Option<Vec<PartLine>>,
        /// Default false.
        customer_confirmed: Option<bool>,
        /// In spite of another visit at that time. Default false.
        force: Option<bool>,
    }

    /// TK-18 `ticket.reschedule-visit`.
    RescheduleVisit {
        visit_id: EntityId,
        window_start: Instant,
        window_end: Instant,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
        initiator: Initiator,
        force: Option<bool>,
    }

    /// TK-19 `ticket.cancel-visit`.
    CancelVisit {
        visit_id: EntityId,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }

    /// TK-20 `ticket.start-travel`.
    StartTravel {
        trip_id: EntityId,
        visit_id: Option<EntityId>,
        geo: Option<GeoV1>,
        eta: Option<Instant>,
    }

    /// TK-21 `ticket.arrive`.
    Arrive {
        trip_id: EntityId,
        geo: Option<GeoV1>,
        distance_km: Option<Qty>,
    }

    /// TK-22 `ticket.abort-travel`.
    AbortTravel {
        trip_id: Option<EntityId>,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }

    /// TK-23 `ticket.start-work`.
    StartWork {
        session_id: EntityId,
        activity: WorkActivity,
        visit_id: Option<EntityId>,
        safety_check: Option<SafetyCheck>,
        geo: Option<GeoV1>,
    }

    /// TK-24 `ticket.pause-work`.
    PauseWork {
        session_id: EntityId,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }

    /// TK-25 `ticket.resume-work`.
    ResumeWork {
        session_id: EntityId,
        /// Default: as before.
        activity: Option<WorkActivity>,
    }

    /// TK-26 `ticket.record-diagnosis`.
    RecordDiagnosis {
        diagnosis_id: EntityId,
        symptom: Option<ReasonCode>,
        cause: ReasonCode,
        component: Option<Code>,
        text: Text<4000>,
        readings: Option<Vec<ReadingV1>>,
        recommendation: Recommendation,
        /// Default false.
        root_cause_in_production: Option<bool>,
        attachments: Option<Vec<FileRefV1>>,
    }

    /// TK-27 `ticket.request-parts`.
    RequestParts {
        request_id: EntityId,
        lines: Vec<PartRequest>,
    }

    /// TK-28 `ticket.confirm-parts`: what stock answered.
    ConfirmParts {
        request_id: EntityId,
        reserved: Option<Vec<PartReservation>>,
        missing: Option<Vec<PartMissing>>,
    }

    /// `ticket.release-parts`: stock keeps them no longer, since nobody fetched them.
    ReleaseParts {
        reservation_ids: Vec<EntityId>,
    }

    /// TK-29 `ticket.consume-parts`.
    ConsumeParts {
        consumption_id: EntityId,
        lines: Vec<PartUse>,
    }

    /// TK-30 `ticket.return-parts`.
    ReturnParts {
        return_id: Option<EntityId>,
        lines: Vec<PartReturn>,
        condition: MaterialCondition,
        to_location: Code,
    }

    /// TK-31 `ticket.hold`.
    HoldTicket {
        reason: Option<ReasonCode>,
        expected_until: Option<Instant>,
        note: Option<Text<2000>>,
    }

    /// TK-32 `ticket.resume`.
    ResumeTicket {
        note: Option<Text<2000>>,
    }

    /// TK-33 `ticket.log-work`.
    LogWork {
        log_id: EntityId,
        activity: LogActivity,
        start: Instant,
        end: Instant,
        /// Default: the sender.
        technician: Option<AccountName>,
        chargeable: bool,
        text: Option<Text<2000>>,
    }

    /// TK-34 `ticket.correct-work-log`.
    CorrectWorkLog {
        log_id: EntityId,
        activity: Option<LogActivity>,
        start: Option<Instant>,
        end: Option<Instant>,
        chargeable: Option<bool>,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }

    /// TK-35 `ticket.record-reading`.
    RecordTicketReading {
        name: Code,
        value: Number,
        /// UCUM unit.
        unit: Text<20>,
        /// Needed where the value is lower than the last. Default false.
        reset: Option<bool>,
    }

    /// TK-36 `ticket.replace-unit`.
    ReplaceUnit {
        old_serial: Text<60>,
        new_serial: Text<60>,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
        old_disposition: RemovedDisposition,
    }

    /// TK-37 `ticket.request-replacement-order`.
    RequestReplacementOrder {
        request_id: EntityId,
        product_id: ProductId,
        qty: Qty,
        uom: Uom,
        needed_by: Instant,
        mode: ReplacementMode,
        return_serial: Option<Text<60>>,
        /// A technician's request names the dispatcher who agreed.
        approver: Option<AccountName>,
    }

    /// `ticket.link-replacement-order`: production has an order for it.
    LinkReplacementOrder {
        request_id: EntityId,
        work_order_id: AggregateId,
        number: Option<Text<20>>,
    }

    /// `ticket.confirm-replacement`: it is there.
    ConfirmReplacement {
        request_id: EntityId,
        work_order_id: Option<AggregateId>,
        serials: Option<Vec<Text<60>>>,
    }

    /// `ticket.fail-replacement`: it does not come, or not in time.
    FailReplacement {
        request_id: EntityId,
        work_order_id: Option<AggregateId>,
        reason: Code,
    }

    /// TK-38 `ticket.cancel`.
    CancelTicket {
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }

    /// TK-39 `ticket.resolve`.
    ResolveTicket {
        resolution_code: ResolutionCode,
        text: Text<4000>,
        cause: Option<ReasonCode>,
        remedy: Option<ReasonCode>,
        downtime_end: Option<Instant>,
        customer_signature: Option<FileRefV1>,
        /// Default false.
        follow_up: Option<bool>,
        /// The steps of the checklist that are done, by their numbers from 1.
        checklist_done: Option<Vec<u16>>,
    }

    /// TK-40 `ticket.verify`.
    VerifyRepair {
        verdict: RepairVerdict,
        measurements: Option<Vec<MeasurementV1>>,
        text: Option<Text<2000>>,
    }

    /// TK-41 `ticket.confirm`.
    ConfirmResolution {
        evidence: Option<Evidence>,
        evidence_file: Option<FileRefV1>,
    }

    /// TK-42 `ticket.close`.
    CloseTicket {
        reason: CloseReason,
        note: Option<Text<2000>>,
    }

    /// TK-43 `ticket.reopen`.
    ReopenTicket {
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
        same_fault: bool,
    }

    /// TK-44 `ticket.rate`.
    RateService {
        /// CSAT, 1 to 5.
        score: u8,
        /// 0 to 10.
        nps: Option<u8>,
        /// 1 to 7.
        effort: Option<u8>,
        text: Option<Text<2000>>,
    }

    /// TK-45 `ticket.escalate`.
    EscalateTicket {
        level: u8,
        reason: Option<Text<2000>>,
        to_team: Option<Code>,
    }

    /// TK-46 `ticket.de-escalate`.
    DeescalateTicket {
        reason: Option<Text<2000>>,
    }

    /// TK-47 `ticket.authorize-return`.
    AuthorizeReturn {
        /// Default: the ticket's number with `R` and a count.
        rma_no: Option<Text<20>>,
        serials: Vec<Text<60>>,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
        /// The place that it is sent to, one of the maker's; not personal data.
        ship_to: Text<120>,
        carrier: Option<Text<60>>,
        valid_until: Date,
        /// `workshop` or `exchange`; default `workshop`.
        service_mode: Option<ServiceMode>,
    }

    /// TK-48 `ticket.receive-return`.
    ReceiveReturn {
        rma_no: Text<20>,
        serial: Text<60>,
        condition: Code,
        photos: Option<Vec<FileRefV1>>,
    }

    /// TK-49 `ticket.disposition-return`.
    DispositionReturn {
        serial: Text<60>,
        disposition: ReturnDisposition,
        note: Option<Text<2000>>,
    }

    /// TK-50 `ticket.ship-back`.
    ShipBack {
        serial: Text<60>,
        carrier: Text<60>,
        tracking_no: Option<Text<60>>,
    }

    /// `ticket.raise-sla-warning`: so much of a clock's time is used up.
    RaiseSlaWarning {
        clock: SlaClock,
        cycle: u16,
        pct: u8,
    }

    /// `ticket.breach-sla`: a clock's time is used up.
    BreachSla {
        clock: SlaClock,
        cycle: u16,
    }

    /// `ticket.link`.
    LinkTicket {
        kind: TicketLinkKind,
        /// The id, number or code of what is linked.
        id: Text<60>,
        relation: TicketRelation,
    }
}
