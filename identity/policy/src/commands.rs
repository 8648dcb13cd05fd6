//! Who may use which command: one table. The deciders check what only they can see (whose
//! session it is, what the site allows); the conditions they have to check are in the answer.

use mw_contract::{CommandType, Context, Rejection, Role, SiteId};

use crate::account::Account;

/// Something that a site may switch on in its reference document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Setting {
    /// Line leads may release orders.
    LineLeadReleases,
    /// Operators may complete orders.
    OperatorCompletes,
    /// Operators may issue and return material.
    OperatorIssues,
    /// Operators and line leads may inspect what they make.
    SelfInspection,
    /// Technicians may triage, take and schedule tickets for themselves.
    TechnicianSelfAssigns,
    /// Technicians may send quotes.
    TechnicianQuotes,
    /// Technicians may verify what others repaired.
    TechnicianVerifies,
}

/// On what condition a role may use a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Allowance {
    /// Everything on its own sites.
    Yes,
    /// Only where the site has the setting on.
    IfSite(Setting),
    /// Only with the consent of a second person.
    FourEyes,
    /// Only what is assigned to the account.
    Assigned,
    /// Only the account's own objects: its sessions, its reports.
    Own,
    /// Only at the device's own cell.
    OwnCell,
}

/// A role of the account that allows the command, and on what condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Grant {
    /// The role under which the command is recorded when this grant is used.
    pub role: Role,
    /// What is left to check.
    pub allowance: Allowance,
}

/// How a role may use a command: the one table. `None` is no.
pub const fn command_rule(role: Role, command: CommandType) -> Option<Allowance> {
    use Allowance::{Assigned, FourEyes, IfSite, Own, OwnCell, Yes};
    use CommandType as C;
    use Role as R;
    match command {
        C::WorkOrderCreate => match role {
            R::Planner | R::Admin | R::System => Some(Yes),
            _ => None,
        },
        C::WorkOrderAmend
        | C::WorkOrderSplit
        | C::WorkOrderPlan
        | C::WorkOrderUnplan
        | C::WorkOrderChangeQuantity
        | C::WorkOrderChangeDueDate => match role {
            R::Planner | R::Admin => Some(Yes),
            _ => None,
        },
        // PM-2 cancels the order of a ticket that was cancelled.
        C::WorkOrderCancel => match role {
            R::Planner | R::Admin | R::System => Some(Yes),
            _ => None,
        },
        // The decider keeps a line lead to its line and day, and each reopening to its roles.
        C::WorkOrderReschedule
        | C::WorkOrderChangePriority
        | C::WorkOrderAssign
        | C::WorkOrderUnassign
        | C::WorkOrderReopen => match role {
            R::LineLead | R::Planner | R::Admin => Some(Yes),
            _ => None,
        },
        // The decider keeps operators to 24 hours and line leads to 7 days.
        C::WorkOrderCorrectReport | C::WorkOrderCorrectSession => match role {
            R::LineLead | R::Planner | R::Admin => Some(Yes),
            R::Operator => Some(Own),
            _ => None,
        },
        C::WorkOrderReopenOperation => match role {
            R::LineLead => Some(Yes),
            _ => None,
        },
        C::WorkOrderSkipOperation => match role {
            R::LineLead | R::Planner => Some(Yes),
            _ => None,
        },
        C::WorkOrderAddOperation => match role {
            R::Planner | R::QualityInspector => Some(Yes),
            _ => None,
        },
        C::WorkOrderAssignLot => match role {
            R::Operator | R::LineLead | R::Planner | R::Admin => Some(Yes),
            _ => None,
        },
        C::WorkOrderVoidSerial => match role {
            R::LineLead | R::QualityInspector | R::Admin => Some(Yes),
            _ => None,
        },
        C::WorkOrderShortClose => match role {
            R::Planner | R::Admin => Some(Yes),
            R::LineLead => Some(FourEyes),
            _ => None,
        },
        C::WorkOrderLink => match role {
            R::Planner | R::System => Some(Yes),
            _ => None,
        },
        C::WorkOrderRelease | C::WorkOrderRevokeRelease => match role {
            R::Planner | R::Admin => Some(Yes),
            R::LineLead => Some(IfSite(Setting::LineLeadReleases)),
            _ => None,
        },
        C::WorkOrderHold => match role {
            R::LineLead | R::Planner | R::QualityInspector | R::Admin | R::System => Some(Yes),
            _ => None,
        },
        C::WorkOrderResume => match role {
            R::LineLead | R::Planner | R::QualityInspector | R::Admin => Some(Yes),
            _ => None,
        },
        C::WorkOrderComplete => match role {
            R::LineLead | R::Planner | R::Admin => Some(Yes),
            R::Operator => Some(IfSite(Setting::OperatorCompletes)),
            _ => None,
        },
        C::WorkOrderClose => match role {
            R::Planner | R::Admin | R::System => Some(Yes),
            _ => None,
        },
        C::WorkOrderRequestMaterial => match role {
            R::LineLead | R::Planner | R::Admin | R::System => Some(Yes),
            _ => None,
        },
        // Only the process manager that asked stock knows the answer.
        C::WorkOrderConfirmReservation | C::WorkOrderReturnNonconformance => match role {
            R::System => Some(Yes),
            _ => None,
        },
        C::WorkOrderReleaseReservation => match role {
            R::LineLead | R::Planner | R::Admin | R::System => Some(Yes),
            _ => None,
        },
        C::WorkOrderIssueMaterial | C::WorkOrderReturnMaterial => match role {
            R::LineLead | R::Planner | R::Admin => Some(Yes),
            R::Operator => Some(IfSite(Setting::OperatorIssues)),
            _ => None,
        },
        C::WorkOrderRecordConsumption => match role {
            R::Operator | R::LineLead | R::Admin | R::System => Some(Yes),
            R::Device => Some(OwnCell),
            _ => None,
        },
        C::WorkOrderApproveSubstitute => match role {
            R::Planner | R::QualityInspector | R::Admin => Some(Yes),
            _ => None,
        },
        C::WorkOrderAmendGenealogy => match role {
            R::LineLead | R::QualityInspector | R::Admin => Some(Yes),
            _ => None,
        },
        C::WorkOrderRecordInspection => match role {
            R::QualityInspector | R::Admin => Some(Yes),
            R::Operator | R::LineLead => Some(IfSite(Setting::SelfInspection)),
            R::Device => Some(OwnCell),
            _ => None,
        },
        C::WorkOrderRaiseNonconformance => match role {
            R::Operator | R::LineLead | R::Planner | R::QualityInspector | R::Admin | R::System => Some(Yes),
            _ => None,
        },
        // The second person of a use-as-is is asked for by the decider.
        C::WorkOrderDispositionNonconformance | C::WorkOrderCloseNonconformance => match role {
            R::QualityInspector => Some(Yes),
            _ => None,
        },
        // PM-9 ends sessions that nobody ended.
        C::WorkOrderPauseOperation => match role {
            R::LineLead | R::Admin | R::System => Some(Yes),
            R::Operator => Some(Own),
            R::Device => Some(OwnCell),
            _ => None,
        },
        C::WorkOrderStartOperation
        | C::WorkOrderResumeOperation
        | C::WorkOrderReportQuantity
        | C::WorkOrderCompleteOperation => match role {
            R::LineLead | R::Admin => Some(Yes),
            R::Operator => Some(Own),
            R::Device => Some(OwnCell),
            _ => None,
        },
        C::WorkOrderAllocateSerials => match role {
            R::Operator | R::LineLead | R::Planner | R::Admin | R::System => Some(Yes),
            R::Device => Some(OwnCell),
            _ => None,
        },
        C::WorkOrderRegisterUnit => match role {
            R::Operator | R::LineLead | R::Planner | R::Admin => Some(Yes),
            R::Device => Some(OwnCell),
            _ => None,
        },
        // Whoever reads production orders, except the auditor, who writes nothing. PM-2 reminds the planner.
        C::WorkOrderAddNote => match role {
            R::Operator | R::LineLead | R::Planner | R::QualityInspector | R::Admin | R::System => Some(Yes),
            _ => None,
        },
        // `system` is the demonstration, which registers its cells.
        C::EquipmentRegister => match role {
            R::Admin | R::System => Some(Yes),
            _ => None,
        },
        C::EquipmentReportState => match role {
            R::Operator | R::LineLead | R::Admin | R::System => Some(Yes),
            R::Device => Some(OwnCell),
            _ => None,
        },
        C::EquipmentStartDowntime | C::EquipmentEndDowntime => match role {
            R::Operator | R::LineLead | R::Admin | R::System => Some(Yes),
            R::Device => Some(OwnCell),
            _ => None,
        },
        // An operator's own is what began in a shift of the same day; the decider checks.
        C::EquipmentClassifyDowntime => match role {
            R::LineLead | R::Planner | R::Admin | R::System => Some(Yes),
            R::Operator => Some(Own),
            _ => None,
        },
        C::EquipmentRaiseAlarm => match role {
            R::Device => Some(OwnCell),
            R::System => Some(Yes),
            _ => None,
        },
        C::EquipmentAcknowledgeAlarm => match role {
            R::Operator | R::LineLead | R::Technician | R::Admin => Some(Yes),
            _ => None,
        },
        C::EquipmentClearAlarm => match role {
            R::LineLead | R::System => Some(Yes),
            R::Device => Some(OwnCell),
            _ => None,
        },
        C::EquipmentRecordCounter => match role {
            R::Technician | R::System => Some(Yes),
            R::Device => Some(OwnCell),
            _ => None,
        },
        C::EquipmentSetMaintenanceMode => match role {
            R::LineLead | R::Technician | R::Admin => Some(Yes),
            _ => None,
        },
        // What orders and tickets say of a unit is passed on by process managers.
        C::UnitRegister | C::UnitChangeComponent | C::UnitChangeStatus => match role {
            R::System => Some(Yes),
            _ => None,
        },
        // PM-7: a unit that takes another one's place.
        C::UnitShip | C::UnitTransfer => match role {
            R::Planner | R::Dispatcher | R::Admin | R::System => Some(Yes),
            _ => None,
        },
        C::UnitInstall => match role {
            R::Technician | R::Dispatcher | R::Admin => Some(Yes),
            R::Customer => Some(Own),
            _ => None,
        },
        // The gateway of a unit in use speaks in the name of its customer.
        C::UnitRaiseAlarm | C::UnitClearAlarm => match role {
            R::Technician | R::Dispatcher | R::Admin | R::System => Some(Yes),
            R::Customer => Some(Own),
            _ => None,
        },
        C::UnitExtendWarranty | C::UnitVoidWarranty => match role {
            R::Dispatcher | R::Admin => Some(Yes),
            _ => None,
        },
        C::UnitRecordReading => match role {
            R::Technician | R::Dispatcher | R::Admin | R::System => Some(Yes),
            _ => None,
        },
        C::UnitScrap => match role {
            R::Planner | R::QualityInspector | R::Admin | R::System => Some(Yes),
            _ => None,
        },
        // PM-3 only proposes it; the decider leaves it to people.
        C::UnitRecall => match role {
            R::QualityInspector | R::Admin | R::System => Some(Yes),
            _ => None,
        },
        C::StockReceive | C::StockReserve | C::StockReleaseReservation => match role {
            R::LineLead | R::Planner | R::Admin | R::System => Some(Yes),
            _ => None,
        },
        C::StockIssue | C::StockReturn => match role {
            R::LineLead | R::Planner | R::Admin | R::System => Some(Yes),
            R::Operator => Some(IfSite(Setting::OperatorIssues)),
            _ => None,
        },
        C::StockAdjust => match role {
            R::Planner | R::Admin => Some(Yes),
            _ => None,
        },
        C::InboxDismiss => match role {
            R::LineLead | R::Planner | R::QualityInspector | R::Dispatcher | R::Admin => Some(Yes),
            _ => None,
        },
        C::ReferencePut | C::ReferenceRetire => match role {
            R::Planner | R::Admin | R::System => Some(Yes),
            _ => None,
        },
        // An operator's own are internal tickets, a customer's those of its own company.
        C::TicketOpen => match role {
            R::LineLead | R::Planner | R::QualityInspector | R::Technician | R::Dispatcher | R::Admin | R::System => {
                Some(Yes)
            }
            R::Operator | R::Customer => Some(Own),
            _ => None,
        },
        // Whoever reads tickets, except the auditor, who writes nothing.
        C::TicketComment => match role {
            R::LineLead | R::Planner | R::QualityInspector | R::Technician | R::Dispatcher | R::Admin | R::System => {
                Some(Yes)
            }
            R::Operator | R::Customer => Some(Own),
            _ => None,
        },
        // The decider keeps a customer to what is not in work yet.
        C::TicketAmend => match role {
            R::Dispatcher | R::Admin => Some(Yes),
            R::Technician => Some(Assigned),
            R::Customer => Some(Own),
            _ => None,
        },
        C::TicketMarkDuplicate | C::TicketDeescalate | C::TicketOverrideWarranty | C::TicketReassignTechnician => {
            match role {
                R::Dispatcher | R::Admin => Some(Yes),
                _ => None,
            }
        }
        // A technician who may, may for itself only; the decider checks.
        C::TicketTriage | C::TicketAssignTechnician => match role {
            R::Dispatcher | R::Admin | R::System => Some(Yes),
            R::Technician => Some(IfSite(Setting::TechnicianSelfAssigns)),
            _ => None,
        },
        C::TicketChangePriority | C::TicketScheduleVisit | C::TicketRescheduleVisit | C::TicketCancelVisit => {
            match role {
                R::Dispatcher | R::Admin => Some(Yes),
                R::Technician => Some(IfSite(Setting::TechnicianSelfAssigns)),
                _ => None,
            }
        }
        C::TicketClassifyFault | C::TicketReplaceUnit => match role {
            R::Dispatcher | R::Admin => Some(Yes),
            R::Technician => Some(Assigned),
            _ => None,
        },
        C::TicketCheckWarranty => match role {
            R::Technician | R::Dispatcher | R::Admin | R::System => Some(Yes),
            _ => None,
        },
        C::TicketSubmitQuote => match role {
            R::Dispatcher | R::Admin => Some(Yes),
            R::Technician => Some(IfSite(Setting::TechnicianQuotes)),
            _ => None,
        },
        // A dispatcher acts for the customer, with proof; an admin is neither.
        C::TicketApproveQuote | C::TicketRejectQuote | C::TicketConfirm => match role {
            R::Dispatcher => Some(Yes),
            R::Customer => Some(Own),
            _ => None,
        },
        C::TicketRate => match role {
            R::Customer => Some(Own),
            _ => None,
        },
        C::TicketAcceptAssignment | C::TicketDeclineAssignment => match role {
            R::Technician => Some(Assigned),
            _ => None,
        },
        C::TicketStartTravel
        | C::TicketArrive
        | C::TicketAbortTravel
        | C::TicketStartWork
        | C::TicketResumeWork
        | C::TicketRecordDiagnosis
        | C::TicketRequestParts
        | C::TicketConsumeParts
        | C::TicketReturnParts
        | C::TicketLogWork => match role {
            R::Technician => Some(Assigned),
            R::Admin => Some(Yes),
            _ => None,
        },
        // PM-9 ends sessions that nobody ended.
        C::TicketPauseWork => match role {
            R::Technician => Some(Assigned),
            R::Admin | R::System => Some(Yes),
            _ => None,
        },
        // PM-5 passes on what machines count.
        C::TicketRecordReading => match role {
            R::Technician => Some(Assigned),
            R::Admin | R::System => Some(Yes),
            _ => None,
        },
        // The decider keeps a technician to its own logs of the last 24 hours, others to 7 days.
        C::TicketCorrectWorkLog => match role {
            R::Dispatcher | R::Admin => Some(Yes),
            R::Technician => Some(Own),
            _ => None,
        },
        C::TicketHold | C::TicketResume => match role {
            R::Dispatcher | R::Admin | R::System => Some(Yes),
            R::Technician => Some(Assigned),
            _ => None,
        },
        C::TicketResolve => match role {
            R::Dispatcher | R::Admin => Some(Yes),
            R::Technician => Some(Assigned),
            _ => None,
        },
        // A technician names the dispatcher who agreed.
        C::TicketRequestReplacementOrder => match role {
            R::Dispatcher | R::Admin => Some(Yes),
            R::Technician => Some(FourEyes),
            _ => None,
        },
        C::TicketCancel => match role {
            R::Dispatcher | R::Admin | R::System => Some(Yes),
            R::Customer => Some(Own),
            _ => None,
        },
        C::TicketVerify => match role {
            R::QualityInspector | R::Dispatcher | R::Admin => Some(Yes),
            R::Technician => Some(IfSite(Setting::TechnicianVerifies)),
            _ => None,
        },
        C::TicketClose => match role {
            R::Dispatcher | R::Admin | R::System => Some(Yes),
            _ => None,
        },
        C::TicketReopen => match role {
            R::Dispatcher | R::Admin | R::System => Some(Yes),
            R::Technician => Some(Assigned),
            R::Customer => Some(Own),
            _ => None,
        },
        C::TicketEscalate => match role {
            R::Technician | R::Dispatcher | R::Admin | R::System => Some(Yes),
            R::Customer => Some(Own),
            _ => None,
        },
        C::TicketAuthorizeReturn => match role {
            R::Dispatcher | R::Admin => Some(Yes),
            _ => None,
        },
        C::TicketReceiveReturn | C::TicketShipBack => match role {
            R::Technician | R::Dispatcher | R::Admin => Some(Yes),
            _ => None,
        },
        C::TicketDispositionReturn => match role {
            R::QualityInspector | R::Dispatcher | R::Admin => Some(Yes),
            _ => None,
        },
        C::TicketLink => match role {
            R::Dispatcher | R::Admin | R::System => Some(Yes),
            _ => None,
        },
        // Only process managers know: what stock and production answered, whose time has come.
        C::TicketConfirmParts
        | C::TicketReleaseParts
        | C::TicketExpireQuote
        | C::TicketLinkReplacementOrder
        | C::TicketConfirmReplacement
        | C::TicketFailReplacement
        | C::TicketRaiseSlaWarning
        | C::TicketBreachSla
        | C::MaintenancePlanMarkDue
        | C::MaintenancePlanMarkDone => match role {
            R::System => Some(Yes),
            _ => None,
        },
        C::MaintenancePlanCreate
        | C::MaintenancePlanActivate
        | C::MaintenancePlanSuspend
        | C::MaintenancePlanAmend
        | C::MaintenancePlanSkip => match role {
            R::Planner | R::Dispatcher | R::Admin => Some(Yes),
            _ => None,
        },
        // `system` is the first start, which makes the first admin.
        C::AccountAdd
        | C::AccountGrant
        | C::AccountRevoke
        | C::AccountRotateSecret
        | C::AccountDisable
        | C::AccountEnable
        | C::AccountEraseSubject => match role {
            R::Admin | R::System => Some(Yes),
            _ => None,
        },
    }
}

/// The roles of the account that allow the command at this site, the one with the fewest
/// conditions first. Among equals a business role comes before `admin`, so that an admin who also
/// does a planner's work is recorded as a planner; a rule that asks for an admin looks through
/// all the grants. `site` is the site level of the topic, `None` for `-`.
///
/// # Errors
/// `FORBIDDEN` when the account is disabled, when the site is not one of its own, when the
/// context needs a site and there is none, and when no role of the account allows the command.
pub fn may_command(who: &Account, command: CommandType, site: Option<&SiteId>) -> Result<Vec<Grant>, Rejection> {
    if who.disabled {
        return Err(Rejection::forbidden(format!("account {} is disabled", who.name)));
    }
    match site {
        Some(site) if !who.service && !who.sites.contains(site) => {
            return Err(Rejection::forbidden(format!("{site} is not a site of account {}", who.name)));
        }
        None if !who.service && command.context() != Context::Identity => {
            return Err(Rejection::forbidden(format!("{command} needs a site in its topic")));
        }
        _ => {}
    }
    let mut grants: Vec<Grant> = who
        .roles
        .iter()
        .filter_map(|role| command_rule(*role, command).map(|allowance| Grant { role: *role, allowance }))
        .collect();
    if grants.is_empty() {
        let able: Vec<&str> =
            Role::ALL.iter().filter(|r| command_rule(**r, command).is_some()).map(|r| r.as_str()).collect();
        return Err(Rejection::forbidden(format!("{command} needs one of the roles {}", able.join(", "))));
    }
    grants.sort_by_key(|g| (strength(g.allowance), g.role == Role::Admin, g.role.number()));
    Ok(grants)
}

/// Lower is stronger.
const fn strength(a: Allowance) -> u8 {
    match a {
        Allowance::Yes => 0,
        Allowance::IfSite(_) => 1,
        Allowance::FourEyes => 2,
        Allowance::Assigned => 3,
        Allowance::Own => 4,
        Allowance::OwnCell => 5,
    }
}

const HOUR: i64 = 3_600_000;

/// How far back in time the role may date what it reports (G3), in milliseconds. What a person on
/// the floor did without a connection may be a week old.
pub const fn backdate_window(role: Role, captured_offline: bool) -> i64 {
    match role {
        Role::Device => 72 * HOUR,
        Role::Operator | Role::Technician => {
            if captured_offline {
                168 * HOUR
            } else {
                24 * HOUR
            }
        }
        Role::LineLead | Role::Dispatcher | Role::QualityInspector | Role::Planner => 168 * HOUR,
        Role::Admin | Role::System => 744 * HOUR,
        Role::Customer => 24 * HOUR,
        // Writes nothing.
        Role::Auditor => 0,
    }
}
