//! Commands: the envelope that every command travels in, and the registry of command types.
//!
//! The other files hold the payloads, one file a family.

pub mod account;
pub mod envelope;
pub mod equipment;
pub mod inbox;
pub mod material;
pub mod quality;
pub mod reference;
pub mod stock;
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
                match t { $(CommandType::$variant => <$payload>::read(payload).map(Command::$variant)),+ }
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
    StockReceive = 71 "stock.receive" Stock additive stock::ReceiveStock,
    StockReserve = 72 "stock.reserve" Stock additive stock::ReserveStock,
    StockReleaseReservation = 73 "stock.release-reservation" Stock additive stock::ReleaseStock,
    StockIssue = 74 "stock.issue" Stock additive stock::IssueStock,
    StockReturn = 75 "stock.return" Stock additive stock::ReturnStock,
    StockAdjust = 76 "stock.adjust" Stock additive stock::AdjustStock,
    InboxDismiss = 80 "inbox.dismiss" Inbox additive inbox::DismissInboxItem,
    ReferencePut = 100 "reference.put" Reference additive reference::PutReference,
    ReferenceRetire = 101 "reference.retire" Reference additive reference::RetireReference,
    AccountAdd = 200 "account.add" Account additive account::AddAccount,
    AccountGrant = 201 "account.grant" Account additive account::GrantAccount,
    AccountRevoke = 202 "account.revoke" Account additive account::RevokeAccount,
    AccountRotateSecret = 203 "account.rotate-secret" Account additive account::RotateSecret,
    AccountDisable = 204 "account.disable" Account additive account::DisableAccount,
    AccountEnable = 205 "account.enable" Account additive account::EnableAccount,
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
            AggregateKind::MaintenancePlan => "maintenance_plan_id",
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
            _ => false,
        }
    }
}
