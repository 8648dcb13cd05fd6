//! Commands: the envelope that every command travels in, and the registry of command types.
//!
//! The other files hold the payloads, one file a family.

pub mod account;
pub mod envelope;
pub mod equipment;
pub mod inbox;
pub mod material;
pub mod plan;
pub mod quality;
pub mod reference;
pub mod stock;
pub mod ticket;
pub mod unit;
pub mod work_order;

pub use envelope::{CommandEnvelope, MAX_COMMAND_BYTES, Unreadable};

use serde_json::{Map, Value};

use crate::enums::{AggregateKind, Context};
use crate::reply::FieldError;

/// Declares every command type once: its number, its name on the wire, the kind of aggregate it
/// acts on, whether it is *strict* (needs `expected_version`, G2), and its payload.
macro_rules! commands {
    ($($variant:ident = $num:literal $name:literal $kind:ident $mode:ident $payload:path),+ $(,)?) => {
        closed_list! {
            /// The type of a command.
            CommandType { $($variant = $num $name),+ }
        }

        /// A command, read.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Command { $($variant($payload)),+ }

        impl Command {
            /// Reads the payload of a command of this type.
            pub fn read(t: CommandType, payload: &Map<String, Value>) -> Result<Command, Vec<FieldError>> {
                Self::read_noting(t, payload, &mut Vec::new())
            }
            /// Reads the payload of a command of this type, and notes the fields that it does not have.
            pub fn read_noting(
                t: CommandType,
                payload: &Map<String, Value>,
                ignored: &mut Vec<String>,
            ) -> Result<Command, Vec<FieldError>> {
                match t { $(CommandType::$variant => <$payload>::read(payload, ignored).map(Command::$variant)),+ }
            }
            /// Its type.
            pub const fn command_type(&self) -> CommandType {
                match self { $(Command::$variant(_) => CommandType::$variant),+ }
            }
        }

        impl CommandType {
            /// The kind of aggregate it acts on.
            pub const fn aggregate(self) -> AggregateKind {
                match self { $(CommandType::$variant => AggregateKind::$kind),+ }
            }
            /// Must it carry `expected_version` (G2)?
            pub const fn is_strict(self) -> bool {
                match self { $(CommandType::$variant => commands!(@$mode)),+ }
            }
            /// The JSON Schema of its payload.
            pub fn payload_schema(self, g: &mut schemars::SchemaGenerator) -> schemars::Schema {
                match self { $(CommandType::$variant => g.subschema_for::<$payload>()),+ }
            }
        }
    };
    (@strict) => { true };
    (@additive) => { false };
}

commands! {
    WorkOrderCreate = 1 "work-order.create" WorkOrder additive work_order::CreateWorkOrder,
    WorkOrderAmend = 2 "work-order.amend" WorkOrder strict work_order::AmendWorkOrder,
    WorkOrderPlan = 3 "work-order.plan" WorkOrder strict work_order::PlanWorkOrder,
    WorkOrderUnplan = 4 "work-order.unplan" WorkOrder strict work_order::UnplanWorkOrder,
    WorkOrderReschedule = 5 "work-order.reschedule" WorkOrder strict work_order::RescheduleWorkOrder,
    WorkOrderRelease = 6 "work-order.release" WorkOrder strict work_order::ReleaseWorkOrder,
    WorkOrderRevokeRelease = 7 "work-order.revoke-release" WorkOrder strict work_order::RevokeRelease,
    WorkOrderChangeQuantity = 8 "work-order.change-quantity" WorkOrder strict work_order::ChangeQuantity,
    WorkOrderChangeDueDate = 9 "work-order.change-due-date" WorkOrder strict work_order::ChangeDueDate,
    WorkOrderChangePriority = 10 "work-order.change-priority" WorkOrder strict work_order::ChangePriority,
    WorkOrderSplit = 11 "work-order.split" WorkOrder strict work_order::SplitWorkOrder,
    WorkOrderAssign = 12 "work-order.assign" WorkOrder additive work_order::AssignOperation,
    WorkOrderUnassign = 13 "work-order.unassign" WorkOrder additive work_order::UnassignOperation,
    WorkOrderHold = 14 "work-order.hold" WorkOrder strict work_order::HoldWorkOrder,
    WorkOrderResume = 15 "work-order.resume" WorkOrder strict work_order::ResumeWorkOrder,
    WorkOrderComplete = 16 "work-order.complete" WorkOrder strict work_order::CompleteWorkOrder,
    WorkOrderShortClose = 17 "work-order.short-close" WorkOrder strict work_order::ShortCloseWorkOrder,
    WorkOrderClose = 18 "work-order.close" WorkOrder strict work_order::CloseWorkOrder,
    WorkOrderCancel = 19 "work-order.cancel" WorkOrder strict work_order::CancelWorkOrder,
    WorkOrderReopen = 20 "work-order.reopen" WorkOrder strict work_order::ReopenWorkOrder,
    WorkOrderRequestMaterial = 21 "work-order.request-material" WorkOrder additive material::RequestMaterial,
    WorkOrderConfirmReservation = 22 "work-order.confirm-reservation" WorkOrder additive material::ConfirmReservation,
    WorkOrderReleaseReservation = 23 "work-order.release-reservation" WorkOrder additive material::ReleaseReservation,
    WorkOrderIssueMaterial = 24 "work-order.issue-material" WorkOrder additive material::IssueMaterial,
    WorkOrderReturnMaterial = 25 "work-order.return-material" WorkOrder additive material::ReturnMaterial,
    WorkOrderRecordConsumption = 26 "work-order.record-consumption" WorkOrder additive material::RecordConsumption,
    WorkOrderApproveSubstitute = 27 "work-order.approve-substitute" WorkOrder strict material::ApproveSubstitute,
    WorkOrderStartOperation = 28 "work-order.start-operation" WorkOrder additive work_order::StartOperation,
    WorkOrderPauseOperation = 29 "work-order.pause-operation" WorkOrder additive work_order::PauseOperation,
    WorkOrderResumeOperation = 30 "work-order.resume-operation" WorkOrder additive work_order::ResumeOperation,
    WorkOrderReportQuantity = 31 "work-order.report-quantity" WorkOrder additive work_order::ReportQuantity,
    WorkOrderCompleteOperation = 32 "work-order.complete-operation" WorkOrder additive work_order::CompleteOperation,
    WorkOrderCorrectReport = 33 "work-order.correct-report" WorkOrder additive work_order::CorrectReport,
    WorkOrderCorrectSession = 34 "work-order.correct-session" WorkOrder additive work_order::CorrectSession,
    WorkOrderReopenOperation = 35 "work-order.reopen-operation" WorkOrder strict work_order::ReopenOperation,
    WorkOrderSkipOperation = 36 "work-order.skip-operation" WorkOrder strict work_order::SkipOperation,
    WorkOrderAddOperation = 37 "work-order.add-operation" WorkOrder strict work_order::AddOperation,
    WorkOrderAssignLot = 38 "work-order.assign-lot" WorkOrder additive work_order::AssignLot,
    WorkOrderAllocateSerials = 39 "work-order.allocate-serials" WorkOrder additive work_order::AllocateSerials,
    WorkOrderRegisterUnit = 40 "work-order.register-unit" WorkOrder additive work_order::RegisterUnit,
    WorkOrderAmendGenealogy = 41 "work-order.amend-genealogy" WorkOrder strict work_order::AmendGenealogy,
    WorkOrderVoidSerial = 42 "work-order.void-serial" WorkOrder additive work_order::VoidSerial,
    WorkOrderRecordInspection = 43 "work-order.record-inspection" WorkOrder additive quality::RecordInspection,
    WorkOrderRaiseNonconformance = 44 "work-order.raise-nonconformance" WorkOrder additive quality::RaiseNonconformance,
    WorkOrderDispositionNonconformance = 45 "work-order.disposition-nonconformance" WorkOrder strict quality::DispositionNonconformance,
    WorkOrderCloseNonconformance = 46 "work-order.close-nonconformance" WorkOrder strict quality::CloseNonconformance,
    WorkOrderAddNote = 47 "work-order.add-note" WorkOrder additive work_order::AddNote,
    WorkOrderLink = 48 "work-order.link" WorkOrder additive work_order::LinkWorkOrder,
    WorkOrderReturnNonconformance = 49 "work-order.return-nonconformance" WorkOrder additive quality::ReturnNonconformance,
    EquipmentRegister = 51 "equipment.register" Equipment additive equipment::RegisterEquipment,
    EquipmentReportState = 52 "equipment.report-state" Equipment additive equipment::ReportState,
    EquipmentStartDowntime = 53 "equipment.start-downtime" Equipment additive equipment::StartDowntime,
    EquipmentEndDowntime = 54 "equipment.end-downtime" Equipment additive equipment::EndDowntime,
    EquipmentClassifyDowntime = 55 "equipment.classify-downtime" Equipment additive equipment::ClassifyDowntime,
    EquipmentRaiseAlarm = 56 "equipment.raise-alarm" Equipment additive equipment::RaiseAlarm,
    EquipmentAcknowledgeAlarm = 57 "equipment.acknowledge-alarm" Equipment additive equipment::AcknowledgeAlarm,
    EquipmentClearAlarm = 58 "equipment.clear-alarm" Equipment additive equipment::ClearAlarm,
    EquipmentRecordCounter = 59 "equipment.record-counter" Equipment additive equipment::RecordCounter,
    EquipmentSetMaintenanceMode = 60 "equipment.set-maintenance-mode" Equipment strict equipment::SetMaintenanceMode,
    UnitRegister = 61 "unit.register" Unit additive unit::RegisterProductUnit,
    UnitShip = 62 "unit.ship" Unit additive unit::ShipUnit,
    UnitInstall = 63 "unit.install" Unit additive unit::InstallUnit,
    UnitExtendWarranty = 64 "unit.extend-warranty" Unit additive unit::ExtendWarranty,
    UnitVoidWarranty = 65 "unit.void-warranty" Unit additive unit::VoidWarranty,
    UnitRecordReading = 66 "unit.record-reading" Unit additive unit::RecordReading,
    UnitChangeComponent = 67 "unit.change-component" Unit additive unit::ChangeComponent,
    UnitTransfer = 68 "unit.transfer" Unit additive unit::TransferUnit,
    UnitScrap = 69 "unit.scrap" Unit additive unit::ScrapUnit,
    UnitRecall = 70 "unit.recall" Unit additive unit::RecallUnit,
    UnitChangeStatus = 91 "unit.change-status" Unit additive unit::ChangeUnitStatus,
    UnitRaiseAlarm = 92 "unit.raise-alarm" Unit additive unit::RaiseUnitAlarm,
    UnitClearAlarm = 93 "unit.clear-alarm" Unit additive unit::ClearUnitAlarm,
    StockReceive = 71 "stock.receive" Stock additive stock::ReceiveStock,
    StockReserve = 72 "stock.reserve" Stock additive stock::ReserveStock,
    StockReleaseReservation = 73 "stock.release-reservation" Stock additive stock::ReleaseStock,
    StockIssue = 74 "stock.issue" Stock additive stock::IssueStock,
    StockReturn = 75 "stock.return" Stock additive stock::ReturnStock,
    StockAdjust = 76 "stock.adjust" Stock additive stock::AdjustStock,
    InboxDismiss = 80 "inbox.dismiss" Inbox additive inbox::DismissInboxItem,
    ReferencePut = 100 "reference.put" Reference additive reference::PutReference,
    ReferenceRetire = 101 "reference.retire" Reference additive reference::RetireReference,
    TicketOpen = 111 "ticket.open" Ticket additive ticket::OpenTicket,
    TicketAmend = 112 "ticket.amend" Ticket additive ticket::AmendTicket,
    TicketComment = 113 "ticket.comment" Ticket additive ticket::CommentTicket,
    TicketMarkDuplicate = 114 "ticket.mark-duplicate" Ticket strict ticket::MarkDuplicate,
    TicketTriage = 115 "ticket.triage" Ticket strict ticket::TriageTicket,
    TicketClassifyFault = 116 "ticket.classify-fault" Ticket strict ticket::ClassifyFault,
    TicketChangePriority = 117 "ticket.change-priority" Ticket strict ticket::ChangeTicketPriority,
    TicketCheckWarranty = 118 "ticket.check-warranty" Ticket additive ticket::CheckWarranty,
    TicketOverrideWarranty = 119 "ticket.override-warranty" Ticket strict ticket::OverrideWarranty,
    TicketSubmitQuote = 120 "ticket.submit-quote" Ticket strict ticket::SubmitQuote,
    TicketApproveQuote = 121 "ticket.approve-quote" Ticket strict ticket::ApproveQuote,
    TicketRejectQuote = 122 "ticket.reject-quote" Ticket strict ticket::RejectQuote,
    TicketAssignTechnician = 123 "ticket.assign-technician" Ticket strict ticket::AssignTechnician,
    TicketReassignTechnician = 124 "ticket.reassign-technician" Ticket strict ticket::ReassignTechnician,
    TicketAcceptAssignment = 125 "ticket.accept-assignment" Ticket additive ticket::AcceptAssignment,
    TicketDeclineAssignment = 126 "ticket.decline-assignment" Ticket additive ticket::DeclineAssignment,
    TicketScheduleVisit = 127 "ticket.schedule-visit" Ticket strict ticket::ScheduleVisit,
    TicketRescheduleVisit = 128 "ticket.reschedule-visit" Ticket strict ticket::RescheduleVisit,
    TicketCancelVisit = 129 "ticket.cancel-visit" Ticket strict ticket::CancelVisit,
    TicketStartTravel = 130 "ticket.start-travel" Ticket additive ticket::StartTravel,
    TicketArrive = 131 "ticket.arrive" Ticket additive ticket::Arrive,
    TicketAbortTravel = 132 "ticket.abort-travel" Ticket additive ticket::AbortTravel,
    TicketStartWork = 133 "ticket.start-work" Ticket additive ticket::StartWork,
    TicketPauseWork = 134 "ticket.pause-work" Ticket additive ticket::PauseWork,
    TicketResumeWork = 135 "ticket.resume-work" Ticket additive ticket::ResumeWork,
    TicketRecordDiagnosis = 136 "ticket.record-diagnosis" Ticket additive ticket::RecordDiagnosis,
    TicketRequestParts = 137 "ticket.request-parts" Ticket additive ticket::RequestParts,
    TicketConfirmParts = 138 "ticket.confirm-parts" Ticket additive ticket::ConfirmParts,
    TicketConsumeParts = 139 "ticket.consume-parts" Ticket additive ticket::ConsumeParts,
    TicketReturnParts = 140 "ticket.return-parts" Ticket additive ticket::ReturnParts,
    TicketHold = 141 "ticket.hold" Ticket strict ticket::HoldTicket,
    TicketResume = 142 "ticket.resume" Ticket strict ticket::ResumeTicket,
    TicketLogWork = 143 "ticket.log-work" Ticket additive ticket::LogWork,
    TicketCorrectWorkLog = 144 "ticket.correct-work-log" Ticket additive ticket::CorrectWorkLog,
    TicketRecordReading = 145 "ticket.record-reading" Ticket additive ticket::RecordTicketReading,
    TicketReplaceUnit = 146 "ticket.replace-unit" Ticket strict ticket::ReplaceUnit,
    TicketRequestReplacementOrder = 147 "ticket.request-replacement-order" Ticket strict ticket::RequestReplacementOrder,
    TicketCancel = 148 "ticket.cancel" Ticket strict ticket::CancelTicket,
    TicketResolve = 149 "ticket.resolve" Ticket strict ticket::ResolveTicket,
    TicketVerify = 150 "ticket.verify" Ticket strict ticket::VerifyRepair,
    TicketConfirm = 151 "ticket.confirm" Ticket strict ticket::ConfirmResolution,
    TicketClose = 152 "ticket.close" Ticket strict ticket::CloseTicket,
    TicketReopen = 153 "ticket.reopen" Ticket strict ticket::ReopenTicket,
    TicketRate = 154 "ticket.rate" Ticket additive ticket::RateService,
    TicketEscalate = 155 "ticket.escalate" Ticket additive ticket::EscalateTicket,
    TicketDeescalate = 156 "ticket.de-escalate" Ticket additive ticket::DeescalateTicket,
    TicketAuthorizeReturn = 157 "ticket.authorize-return" Ticket strict ticket::AuthorizeReturn,
    TicketReceiveReturn = 158 "ticket.receive-return" Ticket additive ticket::ReceiveReturn,
    TicketDispositionReturn = 159 "ticket.disposition-return" Ticket strict ticket::DispositionReturn,
    TicketShipBack = 160 "ticket.ship-back" Ticket additive ticket::ShipBack,
    TicketExpireQuote = 161 "ticket.expire-quote" Ticket additive ticket::ExpireQuote,
    TicketLinkReplacementOrder = 162 "ticket.link-replacement-order" Ticket additive ticket::LinkReplacementOrder,
    TicketConfirmReplacement = 163 "ticket.confirm-replacement" Ticket additive ticket::ConfirmReplacement,
    TicketFailReplacement = 164 "ticket.fail-replacement" Ticket additive ticket::FailReplacement,
    TicketRaiseSlaWarning = 165 "ticket.raise-sla-warning" Ticket additive ticket::RaiseSlaWarning,
    TicketBreachSla = 166 "ticket.breach-sla" Ticket additive ticket::BreachSla,
    TicketLink = 167 "ticket.link" Ticket additive ticket::LinkTicket,
    TicketReleaseParts = 168 "ticket.release-parts" Ticket additive ticket::ReleaseParts,
    MaintenancePlanCreate = 181 "maintenance-plan.create" MaintenancePlan additive plan::CreatePlan,
    MaintenancePlanActivate = 182 "maintenance-plan.activate" MaintenancePlan additive plan::ActivatePlan,
    MaintenancePlanSuspend = 183 "maintenance-plan.suspend" MaintenancePlan additive plan::SuspendPlan,
    MaintenancePlanAmend = 184 "maintenance-plan.amend" MaintenancePlan additive plan::AmendPlan,
    MaintenancePlanMarkDue = 185 "maintenance-plan.mark-due" MaintenancePlan additive plan::MarkPlanDue,
    MaintenancePlanMarkDone = 186 "maintenance-plan.mark-done" MaintenancePlan additive plan::MarkPlanDone,
    MaintenancePlanSkip = 187 "maintenance-plan.skip" MaintenancePlan additive plan::SkipPlan,
    AccountAdd = 200 "account.add" Account additive account::AddAccount,
    AccountGrant = 201 "account.grant" Account additive account::GrantAccount,
    AccountRevoke = 202 "account.revoke" Account additive account::RevokeAccount,
    AccountRotateSecret = 203 "account.rotate-secret" Account additive account::RotateSecret,
    AccountDisable = 204 "account.disable" Account additive account::DisableAccount,
    AccountEnable = 205 "account.enable" Account additive account::EnableAccount,
    AccountEraseSubject = 206 "account.erase-subject" Account additive account::EraseSubject,
}

impl CommandType {
    /// The context whose command service decides it.
    pub const fn context(self) -> Context {
        self.aggregate().context()
    }

    /// The field by which a payload may repeat the envelope's `aggregate_id`.
    pub const fn id_field(self) -> &'static str {
        match self.aggregate() {
            AggregateKind::WorkOrder => "work_order_id",
            AggregateKind::Equipment => "equipment_id",
            AggregateKind::Unit => "unit_id",
            AggregateKind::Stock => "stock_id",
            AggregateKind::Reference => "reference_id",
            AggregateKind::Ticket => "ticket_id",
            AggregateKind::MaintenancePlan => "plan_id",
            AggregateKind::Account => "account_id",
            AggregateKind::Inbox => "inbox_item_id",
        }
    }
}

impl Command {
    /// The aggregate that follows from the payload where the command need not name one.
    pub fn derived_id(&self) -> Option<crate::ids::AggregateId> {
        match self {
            Command::ReferencePut(p) => Some(crate::ids::reference_id(p.kind, &p.code)),
            Command::ReferenceRetire(p) => Some(crate::ids::reference_id(p.kind, &p.code)),
            Command::UnitRegister(p) => Some(crate::ids::unit_id(&p.product_id, &p.serial)),
            Command::StockReceive(p) => Some(crate::ids::stock_id(&p.item_id, &p.location, p.lot.as_ref())),
            Command::StockReserve(p) => Some(crate::ids::stock_id(&p.item_id, &p.location, p.lot.as_ref())),
            Command::StockReleaseReservation(p) => Some(crate::ids::stock_id(&p.item_id, &p.location, p.lot.as_ref())),
            Command::StockIssue(p) => Some(crate::ids::stock_id(&p.item_id, &p.location, p.lot.as_ref())),
            Command::StockReturn(p) => Some(crate::ids::stock_id(&p.item_id, &p.location, p.lot.as_ref())),
            Command::StockAdjust(p) => Some(crate::ids::stock_id(&p.item_id, &p.location, p.lot.as_ref())),
            Command::AccountAdd(p) => Some(crate::ids::account_id(&p.account)),
            Command::AccountGrant(p) => Some(crate::ids::account_id(&p.account)),
            Command::AccountRevoke(p) => Some(crate::ids::account_id(&p.account)),
            Command::AccountRotateSecret(p) => Some(crate::ids::account_id(&p.account)),
            Command::AccountDisable(p) => Some(crate::ids::account_id(&p.account)),
            Command::AccountEnable(p) => Some(crate::ids::account_id(&p.account)),
            // One that names nobody, or two, is refused for that and not for a missing id.
            Command::AccountEraseSubject(p) => {
                Some(p.subject().map_or(crate::ids::AggregateId(uuid::Uuid::nil()), |s| s.aggregate_id()))
            }
            _ => None,
        }
    }

    /// Does the payload name a unit by its serial number?
    pub const fn names_a_unit(&self) -> bool {
        match self {
            Command::UnitShip(p) => p.serial.is_some(),
            Command::UnitInstall(p) => p.serial.is_some(),
            Command::UnitExtendWarranty(p) => p.serial.is_some(),
            Command::UnitVoidWarranty(p) => p.serial.is_some(),
            Command::UnitRecordReading(p) => p.serial.is_some(),
            Command::UnitChangeComponent(p) => p.serial.is_some(),
            Command::UnitTransfer(p) => p.serial.is_some(),
            Command::UnitScrap(p) => p.serial.is_some(),
            Command::UnitRecall(p) => p.serial.is_some(),
            Command::UnitChangeStatus(p) => p.serial.is_some(),
            Command::UnitRaiseAlarm(p) => p.serial.is_some(),
            Command::UnitClearAlarm(p) => p.serial.is_some(),
            _ => false,
        }
    }
}
