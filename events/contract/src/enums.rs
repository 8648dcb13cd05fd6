//! The closed lists of the domain. Numbers are what frames hold: never change or reuse one.

closed_list! {
    /// A part of the business with its own log and its own command service.
    Context {
        /// Work orders, equipment, units, stock, reference data.
        Production = 1 "production",
        /// Tickets and maintenance plans.
        AfterService = 2 "after-service",
        /// Accounts.
        Identity = 3 "identity",
    }

    /// What kind of aggregate a stream is of.
    AggregateKind {
        WorkOrder = 1 "work-order",
        Equipment = 2 "equipment",
        Unit = 3 "unit",
        Stock = 4 "stock",
        Reference = 5 "reference",
        Ticket = 6 "ticket",
        MaintenancePlan = 7 "maintenance-plan",
        Account = 8 "account",
        /// What somebody must look at: refused late reports, failed follow-ups.
        Inbox = 9 "inbox",
    }

    /// What an account may do; domain roles, and `service` for the product's own processes.
    Role {
        Operator = 1 "operator",
        LineLead = 2 "line_lead",
        Planner = 3 "planner",
        QualityInspector = 4 "quality_inspector",
        Technician = 5 "technician",
        Dispatcher = 6 "dispatcher",
        Customer = 7 "customer",
        Auditor = 8 "auditor",
        Admin = 9 "admin",
        Device = 10 "device",
        /// Process managers.
        System = 11 "system",
    }

    /// The state of a work order.
    WorkOrderState {
        Draft = 1 "draft",
        Planned = 2 "planned",
        Released = 3 "released",
        InProgress = 4 "in_progress",
        OnHold = 5 "on_hold",
        Completed = 6 "completed",
        Closed = 7 "closed",
        Cancelled = 8 "cancelled",
    }

    /// Why the order exists at all.
    OrderType {
        Production = 1 "production",
        Rework = 2 "rework",
        Replacement = 3 "replacement",
        Prototype = 4 "prototype",
        Disassembly = 5 "disassembly",
    }

    /// How the pieces of a product are told apart.
    Tracking { None = 1 "none", Lot = 2 "lot", Serial = 3 "serial" }

    /// Where an order came from.
    OriginKind {
        Manual = 1 "manual",
        Erp = 2 "erp",
        Ticket = 3 "ticket",
        Nonconformance = 4 "nonconformance",
        Plan = 5 "plan",
        Split = 6 "split",
    }

    /// The state of an operation. `ready` is computed, never stored.
    OperationState {
        Pending = 1 "pending",
        Ready = 2 "ready",
        Running = 3 "running",
        Paused = 4 "paused",
        Completed = 5 "completed",
        Skipped = 6 "skipped",
    }

    /// Whether an operation may start before its predecessor has ended.
    Overlap { None = 1 "none", TransferBatch = 2 "transfer_batch" }

    /// Which inspection an operation demands.
    InspectionPlan {
        None = 1 "none",
        FirstPiece = 2 "first_piece",
        Sampling = 3 "sampling",
        Each = 4 "each",
        Final = 5 "final",
    }

    /// What a work session is for.
    SessionKind { Setup = 1 "setup", Run = 2 "run" }

    /// Whether reported pieces are new or come back from rework.
    QuantitySource { Fresh = 1 "fresh", Rework = 2 "rework" }

    /// How an order that is on hold stands in OPC 10031-4 terms.
    HoldKind { Held = 1 "held", Suspended = 2 "suspended" }

    /// The result of a unit.
    UnitResult { Good = 1 "good", Scrap = 2 "scrap", Rework = 3 "rework" }

    /// How an inspection ended.
    Verdict { Pass = 1 "pass", Fail = 2 "fail", Conditional = 3 "conditional" }

    /// What an inspection looked at.
    InspectionKind {
        FirstPiece = 1 "first_piece",
        InProcess = 2 "in_process",
        Final = 3 "final",
        ReInspection = 4 "re_inspection",
    }

    /// The check digit of generated serial numbers.
    CheckDigit { None = 1 "none", Mod10 = 2 "mod10", Mod97 = 3 "mod97" }

    /// The loss that a stop reason counts as.
    LossCategory {
        PlannedStop = 1 "planned_stop",
        Setup = 2 "setup",
        Breakdown = 3 "breakdown",
        MinorStop = 4 "minor_stop",
        ReducedSpeed = 5 "reduced_speed",
        StartupReject = 6 "startup_reject",
        ProductionReject = 7 "production_reject",
        Logistics = 8 "logistics",
        External = 9 "external",
    }

    /// Why an operation paused without somebody pausing it.
    PauseCause {
        /// Somebody paused it.
        Pause = 1 "pause",
        OrderHold = 2 "order_hold",
        OrderCancelled = 3 "order_cancelled",
        OperationCompleted = 4 "operation_completed",
        ShortClose = 5 "short_close",
        /// It was open for too long; somebody should correct its end.
        Overdue = 6 "overdue",
    }

    /// What becomes of the pieces that a short-closed order did not make.
    Remainder {
        /// Nobody makes them.
        Drop = 1 "drop",
        /// A new order does.
        NewOrder = 2 "new_order",
    }

    /// What an order is linked to.
    LinkKind {
        Ticket = 1 "ticket",
        WorkOrder = 2 "work_order",
        Ncr = 3 "ncr",
        SalesOrder = 4 "sales_order",
        Equipment = 5 "equipment",
    }

    /// How two linked things stand to each other.
    LinkRelation {
        Replaces = 1 "replaces",
        Reworks = 2 "reworks",
        Blocks = 3 "blocks",
        Causes = 4 "causes",
        SplitOf = 5 "split_of",
    }

    /// What returned material is like.
    MaterialCondition { Good = 1 "good", Damaged = 2 "damaged", Quarantine = 3 "quarantine" }

    /// Who said that material was used up.
    ConsumptionSource {
        /// Somebody, or a machine.
        Recorded = 1 "recorded",
        /// It follows from a quantity report.
        Backflush = 2 "backflush",
    }

    /// What becomes of nonconforming pieces.
    Disposition {
        UseAsIs = 1 "use_as_is",
        Rework = 2 "rework",
        Repair = 3 "repair",
        Regrade = 4 "regrade",
        Scrap = 5 "scrap",
        ReturnToSupplier = 6 "return_to_supplier",
    }

    /// Where a nonconformance was found.
    NcrStage { Incoming = 1 "incoming", InProcess = 2 "in_process", Final = 3 "final", Customer = 4 "customer" }

    /// Where pieces are reworked.
    ReworkMode { SameOrder = 1 "same_order", NewOrder = 2 "new_order" }

    /// What a machine does.
    MachineState {
        Running = 1 "running",
        Setup = 2 "setup",
        Idle = 3 "idle",
        Waiting = 4 "waiting",
        Down = 5 "down",
        Cleaning = 6 "cleaning",
        PlannedStop = 7 "planned_stop",
        Offline = 8 "offline",
    }

    /// Who says what a machine does.
    StateSource { Device = 1 "device", Manual = 2 "manual", Timeout = 3 "timeout" }

    /// Where a unit is in its life.
    UnitStatus {
        InStock = 1 "in_stock",
        Shipped = 2 "shipped",
        Installed = 3 "installed",
        InRepair = 4 "in_repair",
        Returned = 5 "returned",
        Scrapped = 6 "scrapped",
        Recalled = 7 "recalled",
    }

    /// From when a warranty runs.
    WarrantyBasis { ShipDate = 1 "ship_date", Installation = 2 "installation", Extension = 3 "extension" }

    /// The state of a repair ticket.
    TicketState {
        New = 1 "new",
        Triaged = 2 "triaged",
        AwaitingApproval = 3 "awaiting_approval",
        Assigned = 4 "assigned",
        Scheduled = 5 "scheduled",
        Travelling = 6 "travelling",
        InProgress = 7 "in_progress",
        OnHold = 8 "on_hold",
        Resolved = 9 "resolved",
        Closed = 10 "closed",
        Cancelled = 11 "cancelled",
    }

    /// What a ticket is about.
    TicketKind {
        CustomerRepair = 1 "customer_repair",
        InternalMaintenance = 2 "internal_maintenance",
        Preventive = 3 "preventive",
        Complaint = 4 "complaint",
        Installation = 5 "installation",
    }

    /// The way a ticket came in.
    Channel {
        Portal = 1 "portal",
        Phone = 2 "phone",
        Email = 3 "email",
        Operator = 4 "operator",
        Alarm = 5 "alarm",
        Plan = 6 "plan",
        Erp = 7 "erp",
    }

    /// Who bears the cost of a repair.
    WarrantyStatus {
        Unchecked = 1 "unchecked",
        InWarranty = 2 "in_warranty",
        Contract = 3 "contract",
        Goodwill = 4 "goodwill",
        OutOfWarranty = 5 "out_of_warranty",
        Void = 6 "void",
        UnknownUnit = 7 "unknown_unit",
    }

    /// What a warranty check stood on.
    CoverageBasis {
        ShipDate = 1 "ship_date",
        InstallDate = 2 "install_date",
        Extension = 3 "extension",
        Contract = 4 "contract",
    }

    /// Whether the customer pays, and has said yes.
    Commercial {
        NotRequired = 1 "not_required",
        QuoteRequired = 2 "quote_required",
        Quoted = 3 "quoted",
        Approved = 4 "approved",
        Rejected = 5 "rejected",
        Expired = 6 "expired",
    }

    /// Whether somebody has tested the repair.
    Verification { NotRequired = 1 "not_required", Pending = 2 "pending", Passed = 3 "passed", Failed = 4 "failed" }

    /// Where a unit that travels for its repair is.
    RmaState {
        None = 1 "none",
        Authorized = 2 "authorized",
        InTransit = 3 "in_transit",
        Received = 4 "received",
        Dispositioned = 5 "dispositioned",
        ShippedBack = 6 "shipped_back",
    }

    /// Where a unit is repaired.
    ServiceMode { OnSite = 1 "on_site", Workshop = 2 "workshop", Remote = 3 "remote", Exchange = 4 "exchange" }

    /// Who reads a comment.
    Visibility { Public = 1 "public", Internal = 2 "internal" }

    /// What a line of a quote is for.
    QuoteLineKind {
        Labour = 1 "labour",
        Part = 2 "part",
        Travel = 3 "travel",
        Fixed = 4 "fixed",
        Diagnosis = 5 "diagnosis",
    }

    /// What a customer wants instead of the quote.
    QuoteWish { ReturnUnrepaired = 1 "return_unrepaired", Scrap = 2 "scrap", Revise = 3 "revise" }

    /// Where a visit takes place.
    VisitLocation { Site = 1 "site", Workshop = 2 "workshop" }

    /// Who wanted another time.
    Initiator { Us = 1 "us", Customer = 2 "customer" }

    /// What a work session of a ticket is for.
    WorkActivity { Diagnosis = 1 "diagnosis", Repair = 2 "repair", Test = 3 "test", Maintenance = 4 "maintenance" }

    /// What logged time was spent on.
    LogActivity {
        Travel = 1 "travel",
        Diagnosis = 2 "diagnosis",
        Repair = 3 "repair",
        Test = 4 "test",
        Admin = 5 "admin",
        Waiting = 6 "waiting",
    }

    /// What the diagnosis advises.
    Recommendation {
        Repair = 1 "repair",
        ReplaceUnit = 2 "replace_unit",
        ReplacePart = 3 "replace_part",
        NoFault = 4 "no_fault",
        Monitor = 5 "monitor",
        ReturnToFactory = 6 "return_to_factory",
    }

    /// Where a part that was used came from.
    PartSource { Reservation = 1 "reservation", Van = 2 "van", Customer = 3 "customer" }

    /// Who pays for it.
    Coverage { Warranty = 1 "warranty", Chargeable = 2 "chargeable", Goodwill = 3 "goodwill" }

    /// What becomes of a part or unit that was taken out.
    RemovedDisposition { Scrap = 1 "scrap", Return = 2 "return", Refurbish = 3 "refurbish" }

    /// How a ticket was resolved.
    ResolutionCode {
        Repaired = 1 "repaired",
        Replaced = 2 "replaced",
        Adjusted = 3 "adjusted",
        SoftwareUpdated = 4 "software_updated",
        NoFaultFound = 5 "no_fault_found",
        AdviceGiven = 6 "advice_given",
        Declined = 7 "declined",
        Scrapped = 8 "scrapped",
        ReturnedUnrepaired = 9 "returned_unrepaired",
    }

    /// How a repair tested.
    RepairVerdict { Pass = 1 "pass", Fail = 2 "fail" }

    /// Why a ticket was closed.
    CloseReason {
        Auto = 1 "auto",
        NoAnswer = 2 "no_answer",
        Manual = 3 "manual",
        /// The customer confirmed.
        Confirmed = 4 "confirmed",
    }

    /// What becomes of a returned unit.
    ReturnDisposition {
        Repair = 1 "repair",
        Refurbish = 2 "refurbish",
        Scrap = 3 "scrap",
        Replace = 4 "replace",
        ReturnAsIs = 5 "return_as_is",
    }

    /// What production is asked for.
    ReplacementMode { Replacement = 1 "replacement", Rework = 2 "rework" }

    /// A clock of a service level agreement.
    SlaClock {
        FirstResponse = 1 "first_response",
        OnSite = 2 "on_site",
        Resolution = 3 "resolution",
        Update = 4 "update",
    }

    /// Why a clock stands still.
    SlaPauseCause {
        /// A quote is with the customer.
        CustomerApproval = 1 "customer_approval",
        /// It waits for a reason that stops the clocks.
        Hold = 2 "hold",
        /// It is repaired in the workshop, and the unit is not there yet.
        UnitArrival = 3 "unit_arrival",
    }

    /// What a ticket is linked to.
    TicketLinkKind {
        Ticket = 1 "ticket",
        WorkOrder = 2 "work_order",
        Alarm = 3 "alarm",
        Equipment = 4 "equipment",
        Plan = 5 "plan",
        Ncr = 6 "ncr",
    }

    /// How a ticket stands to what it is linked to.
    TicketRelation {
        /// It is the same case.
        DuplicateOf = 1 "duplicate_of",
        /// It goes on where that one ended.
        Follows = 2 "follows",
        /// That caused it.
        CausedBy = 3 "caused_by",
        /// That makes the replacement for it.
        ReplacedBy = 4 "replaced_by",
        /// That reworks its unit.
        ReworkedBy = 5 "reworked_by",
        /// That made its unit.
        ProducedBy = 6 "produced_by",
        RelatesTo = 7 "relates_to",
    }

    /// Where a maintenance plan is in its life.
    PlanState { Draft = 1 "draft", Active = 2 "active", Suspended = 3 "suspended" }

    /// When a plan with a calendar and a counter is due.
    PlanMode { WhicheverFirst = 1 "whichever_first", Both = 2 "both" }

    /// What made a plan due.
    DueCause { Calendar = 1 "calendar", Counter = 2 "counter", Forecast = 3 "forecast" }

    /// What a plan maintains.
    PlanTargetKind {
        Equipment = 1 "equipment",
        Unit = 2 "unit",
        /// What a customer has of the products that are of one family.
        ProductFamily = 3 "product_family",
    }

    /// The kinds of reference data.
    ReferenceKind {
        Site = 1 "site",
        Area = 2 "area",
        Line = 3 "line",
        Cell = 4 "cell",
        Product = 5 "product",
        Routing = 6 "routing",
        Bom = 7 "bom",
        Catalogue = 8 "catalogue",
        Calendar = 9 "calendar",
        ShiftCalendar = 10 "shift_calendar",
        SlaPolicy = 11 "sla_policy",
        Customer = 12 "customer",
        Availability = 13 "availability",
    }
}

impl AggregateKind {
    /// The context that owns streams of this kind.
    pub const fn context(self) -> Context {
        match self {
            AggregateKind::WorkOrder
            | AggregateKind::Equipment
            | AggregateKind::Unit
            | AggregateKind::Stock
            | AggregateKind::Reference
            | AggregateKind::Inbox => Context::Production,
            AggregateKind::Ticket | AggregateKind::MaintenancePlan => Context::AfterService,
            AggregateKind::Account => Context::Identity,
        }
    }
}

impl WorkOrderState {
    /// Has the order ended, so that its number of pieces can't change any more?
    pub const fn is_terminal(self) -> bool {
        matches!(self, WorkOrderState::Closed | WorkOrderState::Cancelled)
    }
}

impl TicketState {
    /// Has the case ended?
    pub const fn is_over(self) -> bool {
        matches!(self, TicketState::Closed | TicketState::Cancelled)
    }

    /// Is anybody still to do something about it?
    pub const fn is_open(self) -> bool {
        !matches!(self, TicketState::Resolved | TicketState::Closed | TicketState::Cancelled)
    }
}

impl ResolutionCode {
    /// May it end a ticket on which nobody worked? (Transition matrix, `n`.)
    pub const fn is_no_work(self) -> bool {
        matches!(
            self,
            ResolutionCode::NoFaultFound
                | ResolutionCode::AdviceGiven
                | ResolutionCode::Declined
                | ResolutionCode::Scrapped
                | ResolutionCode::ReturnedUnrepaired
        )
    }

    /// Must cause and remedy be told with it (TK-39)?
    pub const fn needs_fault_codes(self) -> bool {
        matches!(self, ResolutionCode::Repaired | ResolutionCode::Replaced | ResolutionCode::Adjusted)
    }
}

impl Commercial {
    /// Is chargeable work blocked (T2)?
    pub const fn blocks(self) -> bool {
        matches!(self, Commercial::QuoteRequired | Commercial::Quoted | Commercial::Rejected | Commercial::Expired)
    }
}

impl WarrantyStatus {
    /// Does somebody else than the customer bear the cost?
    pub const fn covers(self) -> bool {
        matches!(self, WarrantyStatus::InWarranty | WarrantyStatus::Contract | WarrantyStatus::Goodwill)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_are_unique_and_read_back() {
        fn check<T: Copy + PartialEq + std::fmt::Debug>(
            all: &[T],
            word: fn(T) -> &'static str,
            num: fn(T) -> u8,
            from: fn(u8) -> Option<T>,
        ) {
            for (i, a) in all.iter().enumerate() {
                assert_eq!(from(num(*a)), Some(*a));
                for b in &all[i + 1..] {
                    assert_ne!(word(*a), word(*b));
                    assert_ne!(num(*a), num(*b));
                }
            }
        }
        check(Context::ALL, Context::as_str, Context::number, Context::from_number);
        check(AggregateKind::ALL, AggregateKind::as_str, AggregateKind::number, AggregateKind::from_number);
        check(Role::ALL, Role::as_str, Role::number, Role::from_number);
        check(WorkOrderState::ALL, WorkOrderState::as_str, WorkOrderState::number, WorkOrderState::from_number);
        check(LossCategory::ALL, LossCategory::as_str, LossCategory::number, LossCategory::from_number);
        check(ReferenceKind::ALL, ReferenceKind::as_str, ReferenceKind::number, ReferenceKind::from_number);
        assert!("nonsense".parse::<Role>().unwrap_err().contains("operator"));
    }
}
