//! Commands: the envelope that every command travels in, and the registry of command types.
//!
//! [`work_order`], [`reference`](mod@self::reference) and [`account`] hold the payloads, one file a family.

pub mod account;
pub mod envelope;
pub mod reference;
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
    WorkOrderAssign = 12 "work-order.assign" WorkOrder additive work_order::AssignOperation,
    WorkOrderUnassign = 13 "work-order.unassign" WorkOrder additive work_order::UnassignOperation,
    WorkOrderHold = 14 "work-order.hold" WorkOrder strict work_order::HoldWorkOrder,
    WorkOrderResume = 15 "work-order.resume" WorkOrder strict work_order::ResumeWorkOrder,
    WorkOrderComplete = 16 "work-order.complete" WorkOrder strict work_order::CompleteWorkOrder,
    WorkOrderShortClose = 17 "work-order.short-close" WorkOrder strict work_order::ShortCloseWorkOrder,
    WorkOrderClose = 18 "work-order.close" WorkOrder strict work_order::CloseWorkOrder,
    WorkOrderCancel = 19 "work-order.cancel" WorkOrder strict work_order::CancelWorkOrder,
    WorkOrderReopen = 20 "work-order.reopen" WorkOrder strict work_order::ReopenWorkOrder,
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
    WorkOrderVoidSerial = 42 "work-order.void-serial" WorkOrder additive work_order::VoidSerial,
    WorkOrderAddNote = 47 "work-order.add-note" WorkOrder additive work_order::AddNote,
    WorkOrderLink = 48 "work-order.link" WorkOrder additive work_order::LinkWorkOrder,
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
        }
    }
}

impl Command {
    /// The aggregate that follows from the payload where the command need not name one.
    pub fn derived_id(&self) -> Option<crate::ids::AggregateId> {
        match self {
            Command::ReferencePut(p) => Some(crate::ids::reference_id(p.kind, &p.code)),
            Command::ReferenceRetire(p) => Some(crate::ids::reference_id(p.kind, &p.code)),
            Command::AccountAdd(p) => Some(crate::ids::account_id(&p.account)),
            Command::AccountGrant(p) => Some(crate::ids::account_id(&p.account)),
            Command::AccountRevoke(p) => Some(crate::ids::account_id(&p.account)),
            Command::AccountRotateSecret(p) => Some(crate::ids::account_id(&p.account)),
            Command::AccountDisable(p) => Some(crate::ids::account_id(&p.account)),
            Command::AccountEnable(p) => Some(crate::ids::account_id(&p.account)),
            _ => None,
        }
    }
}
