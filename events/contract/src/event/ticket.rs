//! Events of repair tickets. Frozen: a change is a new struct (`…V2`).

use bincode::{Decode, Encode};
use schemars::JsonSchema;
use serde::Serialize;

use super::SealedFields;
use super::parts::{FileRefV1, MeasurementV1};
use super::ticket_parts::*;
use super::work_order::{Each, events};
use crate::enums::{
    Channel, CloseReason, Commercial, Initiator, MaterialCondition, QuoteWish, Recommendation, RemovedDisposition,
    RepairVerdict, ReplacementMode, ResolutionCode, ReturnDisposition, ServiceMode, SlaClock, SlaPauseCause,
    TicketKind, TicketLinkKind, TicketRelation, TicketState, Visibility, WarrantyStatus, WorkActivity,
};
use crate::ids::{AccountName, AggregateId, Code, CustomerId, EntityId, ProductId, ReasonCode, SiteId};
use crate::qty::{Number, Percent, Qty};
use crate::reference::Uom;
use crate::text::{Sealed, Text};
use crate::time::{Date, Instant, Seconds};

/// Events of which a sample can be made.
macro_rules! sampled {
    ($($(#[$m:meta])* $name:ident $([$($sealed:ident),+])? { $($(#[$fm:meta])* $field:ident : $ty:ty),* $(,)? })+) => {
        events! { $($(#[$m])* $name $([$($sealed),+])? { $($(#[$fm])* $field: $ty),* })+ }
        $(
            #[cfg(any(test, feature = "samples"))]
            impl crate::event::samples::Sample for $name {
                fn sample() -> Self {
                    $name { $($field: crate::event::samples::Sample::sample()),* }
                }
            }
        )+
        /// One of each, every field filled.
        #[cfg(any(test, feature = "samples"))]
        pub(crate) fn one_of_each() -> Vec<crate::event::Event> {
            vec![$(<$name as crate::event::samples::Sample>::sample().into()),+]
        }
    };
}
pub(crate) use sampled;

sampled! {
    /// TK-01: somebody reported something.
    TicketOpenedV1 [description] {
        number: Text<20>,
        site_id: SiteId,
        kind: TicketKind,
        channel: Channel,
        title: Text<120>,
        description: Option<Sealed>,
        customer_id: Option<CustomerId>,
        contact_id: Option<Code>,
        /// The customer's place.
        service_site: Option<Code>,
        serial: Option<Text<60>>,
        product_id: Option<ProductId>,
        equipment_id: Option<AggregateId>,
        severity: Option<u8>,
        symptom: Option<ReasonCode>,
        down_since: Option<Instant>,
        preferred_windows: Vec<WindowV1>,
        attachments: Vec<FileRefV1>,
        alarm: Option<TicketAlarmV1>,
        dedupe_key: Option<Text<120>>,
        plan_id: Option<AggregateId>,
        follows: Option<AggregateId>,
        checklist: Vec<Text<120>>,
        estimated_effort: Option<Seconds>,
        signature_required: bool,
    }

    /// TK-01.R3: it was reported again.
    TicketOccurrenceAddedV1 [description] {
        /// How often in all.
        count: u32,
        channel: Channel,
        description: Option<Sealed>,
        alarm: Option<TicketAlarmV1>,
        dedupe_key: Option<Text<120>>,
    }

    /// TK-02: what was reported, put right.
    TicketAmendedV1 [description] {
        title: Option<Text<120>>,
        description: Option<Sealed>,
        contact_id: Option<Code>,
        service_site: Option<Code>,
        old_serial: Option<Text<60>>,
        serial: Option<Text<60>>,
        product_id: Option<ProductId>,
        down_since: Option<Instant>,
    }

    /// TK-03.
    CommentAddedV1 [text] {
        comment_id: EntityId,
        text: Sealed,
        visibility: Visibility,
        /// Was it written by those who serve, not by the customer?
        by_staff: bool,
        attachments: Vec<FileRefV1>,
    }

    /// TK-04: another ticket is the same case.
    TicketMarkedDuplicateV1 { master_ticket_id: AggregateId, master_number: Text<20> }

    /// TK-05: somebody decided how urgent it is and who should do it.
    TicketTriagedV1 [override_reason] {
        severity: u8,
        priority: u8,
        category: Code,
        service_mode: ServiceMode,
        team: Option<Code>,
        required_skills: Vec<ReasonCode>,
        estimated_effort: Option<Seconds>,
        override_reason: Option<Sealed>,
        checklist: Vec<Text<120>>,
    }

    /// TK-06.
    FaultClassifiedV1 {
        old: Option<FaultV1>,
        new: FaultV1,
        /// R3: what is relevant to safety is of severity 1.
        severity: Option<u8>,
    }

    /// TK-07.
    TicketPriorityChangedV1 [note] { old: Option<u8>, new: u8, reason: ReasonCode, note: Option<Sealed> }

    /// TK-08: who bears the cost, and on what that stands.
    WarrantyCheckedV1 {
        status: WarrantyStatus,
        serial: Option<Text<60>>,
        as_of: Date,
        terms: Option<WarrantyTermsV1>,
        unit: Option<KnownUnitV1>,
        commercial: Commercial,
    }

    /// TK-09: somebody decided otherwise.
    WarrantyOverriddenV1 [note] {
        old: WarrantyStatus,
        new: WarrantyStatus,
        reason: ReasonCode,
        note: Option<Sealed>,
        coverage_pct: Percent,
        approver: Option<AccountName>,
        commercial: Commercial,
    }

    /// TK-10: the customer has it now.
    QuoteSubmittedV1 [terms] {
        quote_id: EntityId,
        revision: u16,
        lines: Vec<QuoteLineV1>,
        totals: QuoteTotalsV1,
        valid_until: Date,
        terms: Option<Sealed>,
        supersedes: Option<EntityId>,
        resume_state: TicketState,
    }

    /// TK-11: the customer pays.
    QuoteApprovedV1 [evidence] {
        quote_id: EntityId,
        revision: u16,
        on_behalf: bool,
        purchase_order_ref: Option<Text<60>>,
        signature: Option<FileRefV1>,
        evidence: Option<EvidenceV1>,
        to_state: TicketState,
    }

    /// TK-12: the customer does not.
    QuoteRejectedV1 [note, evidence] {
        quote_id: EntityId,
        revision: u16,
        on_behalf: bool,
        reason: ReasonCode,
        note: Option<Sealed>,
        wish: QuoteWish,
        evidence: Option<EvidenceV1>,
        to_state: TicketState,
    }

    /// Nobody answered it in time.
    QuoteExpiredV1 { quote_id: EntityId, revision: u16, to_state: TicketState }

    /// TK-13: who does it.
    TechnicianAssignedV1 [override_reason] {
        lead: AccountName,
        helpers: Vec<AccountName>,
        team: Option<Code>,
        due_start: Option<Instant>,
        override_reason: Option<Sealed>,
    }

    /// TK-14: somebody else does it.
    TechnicianReassignedV1 [note, handover_note, override_reason] {
        old: AccountName,
        new: AccountName,
        helpers: Vec<AccountName>,
        reason: ReasonCode,
        note: Option<Sealed>,
        handover_note: Option<Sealed>,
        override_reason: Option<Sealed>,
        keep_visit: bool,
        to_state: TicketState,
    }

    /// TK-15.
    AssignmentAcceptedV1 { technician: AccountName }

    /// TK-16: it needs somebody else.
    AssignmentDeclinedV1 [note] { technician: AccountName, reason: ReasonCode, note: Option<Sealed> }

    /// TK-17.
    VisitScheduledV1 {
        visit: VisitV1,
        technician: AccountName,
        parts_to_bring: Vec<PartLineV1>,
        customer_confirmed: bool,
        forced: bool,
    }

    /// TK-18.
    VisitRescheduledV1 [note] {
        old: VisitV1,
        new: VisitV1,
        reason: ReasonCode,
        note: Option<Sealed>,
        initiator: Initiator,
        forced: bool,
    }

    /// TK-19.
    VisitCancelledV1 [note] { visit_id: EntityId, reason: ReasonCode, note: Option<Sealed>, to_state: TicketState }

    /// TK-20: on the way.
    TravelStartedV1 {
        trip_id: EntityId,
        visit_id: Option<EntityId>,
        technician: AccountName,
        geo: Option<GeoV1>,
        eta: Option<Instant>,
    }

    /// TK-21: there.
    TechnicianArrivedV1 {
        trip_id: EntityId,
        technician: AccountName,
        geo: Option<GeoV1>,
        distance_km: Option<Qty>,
        travel: Seconds,
    }

    /// TK-22: turned back.
    TravelAbortedV1 [note] {
        trip_id: EntityId,
        technician: AccountName,
        reason: ReasonCode,
        note: Option<Sealed>,
        travel: Seconds,
    }

    /// TK-23: work began.
    WorkStartedV1 {
        session_id: EntityId,
        activity: WorkActivity,
        technician: AccountName,
        visit_id: Option<EntityId>,
        lockout: Option<bool>,
        permit_ref: Option<Text<60>>,
        geo: Option<GeoV1>,
    }

    /// T3: the technician had a session open on another ticket at that time. Nothing is lost; somebody
    /// has to look at it.
    WorkClashNoticedV1 {
        session_id: EntityId,
        technician: AccountName,
        other_ticket_id: AggregateId,
        other_session_id: EntityId,
    }

    /// TK-24: work stopped for now, or for good.
    WorkPausedV1 [note] {
        session_id: EntityId,
        technician: AccountName,
        reason: ReasonCode,
        note: Option<Sealed>,
        duration: Seconds,
    }

    /// TK-25: work goes on.
    WorkResumedV1 {
        session_id: EntityId,
        activity: WorkActivity,
        technician: AccountName,
        paused_for: Seconds,
    }

    /// TK-26: what it is.
    DiagnosisRecordedV1 [text] {
        diagnosis_id: EntityId,
        symptom: Option<ReasonCode>,
        cause: ReasonCode,
        component: Option<Code>,
        text: Sealed,
        readings: Vec<ReadingV1>,
        recommendation: Recommendation,
        root_cause_in_production: bool,
        serial: Option<Text<60>>,
        product_id: Option<ProductId>,
        work_order_id: Option<AggregateId>,
        lot: Option<Text<40>>,
        attachments: Vec<FileRefV1>,
    }

    /// TK-27: parts are needed.
    PartsRequestedV1 { request_id: EntityId, lines: Vec<PartRequestV1> }

    /// TK-28: stock keeps them.
    PartsReservedV1 { request_id: EntityId, lines: Vec<PartReservationV1> }

    /// TK-28: stock does not have them.
    PartsUnavailableV1 { request_id: EntityId, lines: Vec<PartMissingV1> }

    /// Stock keeps them no longer, since nobody fetched them; what was left of each.
    PartsReleasedV1 { lines: Vec<PartReservationV1> }

    /// TK-29: they were used.
    PartsConsumedV1 {
        consumption_id: EntityId,
        /// The unit that they went into.
        serial: Option<Text<60>>,
        product_id: Option<ProductId>,
        lines: Vec<PartUseV1>,
    }

    /// TK-30: they go back.
    PartsReturnedV1 {
        return_id: EntityId,
        lines: Vec<PartReturnV1>,
        condition: MaterialCondition,
        to_location: Code,
    }

    /// TK-31: it waits.
    TicketHeldV1 [note] {
        reason: ReasonCode,
        pauses_sla: bool,
        resume_state: TicketState,
        expected_until: Option<Instant>,
        note: Option<Sealed>,
    }

    /// TK-32: it goes on.
    TicketResumedV1 [note] { held_for: Seconds, to_state: TicketState, note: Option<Sealed> }

    /// TK-33: time that was spent.
    WorkLoggedV1 [text] {
        log_id: EntityId,
        technician: AccountName,
        log: WorkLogV1,
        duration: Seconds,
        text: Option<Sealed>,
    }

    /// TK-34.
    WorkLogCorrectedV1 [note] {
        log_id: EntityId,
        technician: AccountName,
        old: WorkLogV1,
        new: WorkLogV1,
        reason: ReasonCode,
        note: Option<Sealed>,
    }

    /// TK-35: what a counter of the unit or machine shows.
    TicketReadingRecordedV1 {
        name: Code,
        value: Number,
        unit: Text<20>,
        reset: bool,
        old: Option<Number>,
        serial: Option<Text<60>>,
        product_id: Option<ProductId>,
        equipment_id: Option<AggregateId>,
    }

    /// TK-36: the customer has another unit now.
    UnitReplacedV1 [note] {
        old_serial: Text<60>,
        old_product_id: Option<ProductId>,
        new_serial: Text<60>,
        new_product_id: ProductId,
        customer_id: Option<CustomerId>,
        reason: ReasonCode,
        note: Option<Sealed>,
        old_disposition: RemovedDisposition,
        /// The last day of the new unit's warranty: the rest of the old one's, at least 90 days.
        warranty_end: Date,
    }

    /// TK-37: production is asked.
    ReplacementOrderRequestedV1 {
        request_id: EntityId,
        product_id: ProductId,
        qty: Qty,
        uom: Uom,
        needed_by: Instant,
        mode: ReplacementMode,
        return_serial: Option<Text<60>>,
        customer_id: Option<CustomerId>,
        priority: Option<u8>,
        number: Text<20>,
        approver: Option<AccountName>,
    }

    /// Production makes it.
    ReplacementOrderLinkedV1 { request_id: EntityId, work_order_id: AggregateId, number: Option<Text<20>> }

    /// It is there.
    ReplacementOrderReadyV1 { request_id: EntityId, work_order_id: Option<AggregateId>, serials: Vec<Text<60>> }

    /// It does not come, or not in time.
    ReplacementOrderFailedV1 { request_id: EntityId, work_order_id: Option<AggregateId>, reason: Code }

    /// TK-38: it ended without service.
    TicketCancelledV1 [note] { reason: ReasonCode, note: Option<Sealed> }

    /// TK-39: the technician says that it is done.
    TicketResolvedV1 [text] {
        resolution_code: ResolutionCode,
        text: Sealed,
        cause: Option<ReasonCode>,
        remedy: Option<ReasonCode>,
        downtime_end: Option<Instant>,
        customer_signature: Option<FileRefV1>,
        follow_up: bool,
        checklist_done: Vec<u16>,
        /// Must somebody test it?
        verification_required: bool,
    }

    /// TK-40: somebody tested it.
    RepairVerifiedV1 [text] { verdict: RepairVerdict, measurements: Vec<MeasurementV1>, text: Option<Sealed> }

    /// TK-41: the customer is content.
    ResolutionConfirmedV1 [evidence] { on_behalf: bool, evidence: Option<EvidenceV1> }

    /// TK-41, TK-42: the case is over.
    TicketClosedV1 [note] {
        reason: CloseReason,
        note: Option<Sealed>,
        totals: TicketTotalsV1,
        first_time_fix: bool,
    }

    /// TK-43: it is not over.
    TicketReopenedV1 [note] {
        cycle: u16,
        reason: ReasonCode,
        note: Option<Sealed>,
        same_fault: bool,
        previous_lead: Option<AccountName>,
    }

    /// TK-44: what the customer thought of it.
    ServiceRatedV1 [text] {
        cycle: u16,
        old_score: Option<u8>,
        score: u8,
        nps: Option<u8>,
        effort: Option<u8>,
        text: Option<Sealed>,
    }

    /// TK-45.
    TicketEscalatedV1 [reason] { old_level: u8, level: u8, reason: Sealed, to_team: Option<Code> }

    /// TK-46.
    TicketDeescalatedV1 [reason] { old_level: u8, level: u8, reason: Sealed }

    /// TK-47: the unit may be sent in.
    ReturnAuthorizedV1 [note] {
        rma_no: Text<20>,
        serials: Vec<Text<60>>,
        reason: ReasonCode,
        note: Option<Sealed>,
        ship_to: Text<120>,
        carrier: Option<Text<60>>,
        valid_until: Date,
        service_mode: ServiceMode,
    }

    /// TK-48: it came.
    ReturnReceivedV1 {
        rma_no: Text<20>,
        serial: Text<60>,
        product_id: Option<ProductId>,
        /// It is not one of those that were to come.
        mismatch: bool,
        condition: Code,
        photos: Vec<FileRefV1>,
    }

    /// TK-49.
    ReturnDispositionedV1 [note] { serial: Text<60>, disposition: ReturnDisposition, note: Option<Sealed> }

    /// TK-50: it is on its way back.
    UnitShippedBackV1 { serial: Text<60>, product_id: Option<ProductId>, carrier: Text<60>, tracking_no: Option<Text<60>> }

    /// TK-01, TK-43: the clocks of a cycle run.
    SlaStartedV1 { cycle: u16, policy: PolicyV1, priority: Option<u8>, clocks: Vec<ClockV1> }

    /// A clock stands still.
    SlaPausedV1 {
        clock: SlaClock,
        cause: SlaPauseCause,
        /// Business seconds.
        #[serde(rename = "remaining")]
        remaining_s: i64,
    }

    /// A clock runs again.
    SlaResumedV1 {
        clock: SlaClock,
        /// Business seconds.
        #[serde(rename = "remaining")]
        remaining_s: i64,
        due: Instant,
    }

    /// TK-05, TK-07: other targets apply; what was used up stays used up.
    SlaPolicyAppliedV1 { policy: PolicyV1, priority: Option<u8>, clocks: Vec<ClockV1> }

    /// So much of a clock's time is used up.
    SlaWarningRaisedV1 { clock: SlaClock, pct: u8, due: Option<Instant> }

    /// A clock's time is used up. It keeps counting.
    SlaBreachedV1 { clock: SlaClock, due: Instant, by: Seconds }

    /// A clock was stopped in time.
    SlaMetV1 { clock: SlaClock, spare: Seconds }

    /// A late report shows that it was in time after all.
    SlaBreachRevokedV1 { clock: SlaClock, reason: Code }

    /// It has to do with something else.
    TicketLinkAddedV1 { kind: TicketLinkKind, id: Text<60>, relation: TicketRelation }
}
