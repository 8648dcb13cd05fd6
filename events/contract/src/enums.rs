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
