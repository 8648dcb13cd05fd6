//! Events: frozen structs, one per type and schema version, and the one registry of them.
//!
//! - [`parts`], [`ticket_parts`]: structs that several events share; frozen like the events themselves.
//! - [`work_order`], [`material`], [`quality`] (all of work orders), [`equipment`], [`unit`], [`stock`],
//!   [`inbox`], [`reference`](mod@self::reference), [`account`], [`ticket`], [`plan`]: the events of one family each.
//!
//! A struct that was ever written never changes. A new meaning is a new struct `…V2`, a row in
//! the registry, and a `From<…V1>` that lifts the old one on reading. The golden files under
//! `golden/` hold one sample of every (type, version); a test reads all of them back.

#[macro_use]
mod registry;

pub mod account;
pub mod equipment;
pub mod inbox;
pub mod material;
pub mod parts;
pub mod plan;
pub mod quality;
pub mod reference;
#[cfg(any(test, feature = "samples"))]
pub mod samples;
pub mod stock;
pub mod ticket;
pub mod ticket_parts;
pub mod unit;
pub mod work_order;

pub use registry::DecodeError;

use account::*;
use equipment::*;
use inbox::*;
use material::*;
use plan::*;
use quality::*;
use reference::*;
use stock::*;
use ticket::*;
use unit::*;
use work_order::*;

registry! {
    /// The type of an event.
    EventType
    /// A domain event, in the current version of its type.
    Event {
        WorkOrderCreated: WorkOrder { 1 => WorkOrderCreatedV1 },
        WorkOrderAmended: WorkOrder { 1 => WorkOrderAmendedV1 },
        WorkOrderPlanned: WorkOrder { 1 => WorkOrderPlannedV1 },
        WorkOrderReleased: WorkOrder { 1 => WorkOrderReleasedV1 },
        WorkOrderStarted: WorkOrder { 1 => WorkOrderStartedV1 },
        WorkOrderHeld: WorkOrder { 1 => WorkOrderHeldV1 },
        WorkOrderResumed: WorkOrder { 1 => WorkOrderResumedV1 },
        WorkOrderCompleted: WorkOrder { 1 => WorkOrderCompletedV1 },
        WorkOrderClosed: WorkOrder { 1 => WorkOrderClosedV1 },
        WorkOrderCancelled: WorkOrder { 1 => WorkOrderCancelledV1 },
        OperationStarted: WorkOrder { 1 => OperationStartedV1 },
        OperationPaused: WorkOrder { 1 => OperationPausedV1 },
        OperationResumed: WorkOrder { 1 => OperationResumedV1 },
        OperationQuantityReported: WorkOrder { 1 => OperationQuantityReportedV1 },
        OperationCompleted: WorkOrder { 1 => OperationCompletedV1 },
        SerialsAllocated: WorkOrder { 1 => SerialsAllocatedV1 },
        UnitRegistered: WorkOrder { 1 => UnitRegisteredV1 },
        NoteAdded: WorkOrder { 1 => NoteAddedV1 },
        WorkOrderUnplanned: WorkOrder { 1 => WorkOrderUnplannedV1 },
        WorkOrderRescheduled: WorkOrder { 1 => WorkOrderRescheduledV1 },
        WorkOrderReleaseRevoked: WorkOrder { 1 => WorkOrderReleaseRevokedV1 },
        WorkOrderQuantityChanged: WorkOrder { 1 => WorkOrderQuantityChangedV1 },
        WorkOrderDueDateChanged: WorkOrder { 1 => WorkOrderDueDateChangedV1 },
        WorkOrderPriorityChanged: WorkOrder { 1 => WorkOrderPriorityChangedV1 },
        OperationAssigned: WorkOrder { 1 => OperationAssignedV1 },
        OperationUnassigned: WorkOrder { 1 => OperationUnassignedV1 },
        WorkOrderShortClosed: WorkOrder { 1 => WorkOrderShortClosedV1 },
        WorkOrderReopened: WorkOrder { 1 => WorkOrderReopenedV1 },
        LinkAdded: WorkOrder { 1 => LinkAddedV1 },
        OperationReportCorrected: WorkOrder { 1 => OperationReportCorrectedV1 },
        OperationSessionCorrected: WorkOrder { 1 => OperationSessionCorrectedV1 },
        OperationReopened: WorkOrder { 1 => OperationReopenedV1 },
        OperationSkipped: WorkOrder { 1 => OperationSkippedV1 },
        OperationAdded: WorkOrder { 1 => OperationAddedV1 },
        LotAssigned: WorkOrder { 1 => LotAssignedV1 },
        SerialVoided: WorkOrder { 1 => SerialVoidedV1 },
        WorkOrderSplit: WorkOrder { 1 => WorkOrderSplitV1 },
        UnitGenealogyAmended: WorkOrder { 1 => UnitGenealogyAmendedV1 },
        MaterialRequested: WorkOrder { 1 => MaterialRequestedV1 },
        MaterialReserved: WorkOrder { 1 => MaterialReservedV1 },
        MaterialReservationFailed: WorkOrder { 1 => MaterialReservationFailedV1 },
        MaterialReservationReleased: WorkOrder { 1 => MaterialReservationReleasedV1 },
        MaterialIssued: WorkOrder { 1 => MaterialIssuedV1 },
        MaterialReturned: WorkOrder { 1 => MaterialReturnedV1 },
        MaterialConsumed: WorkOrder { 1 => MaterialConsumedV1 },
        MaterialConsumptionCorrected: WorkOrder { 1 => MaterialConsumptionCorrectedV1 },
        MaterialSubstituteApproved: WorkOrder { 1 => MaterialSubstituteApprovedV1 },
        MaterialVarianceExplained: WorkOrder { 1 => MaterialVarianceExplainedV1 },
        InspectionRecorded: WorkOrder { 1 => InspectionRecordedV1 },
        NonconformanceRaised: WorkOrder { 1 => NonconformanceRaisedV1 },
        NonconformanceDispositioned: WorkOrder { 1 => NonconformanceDispositionedV1 },
        NonconformanceReturned: WorkOrder { 1 => NonconformanceReturnedV1 },
        NonconformanceClosed: WorkOrder { 1 => NonconformanceClosedV1 },
        EquipmentRegistered: Equipment { 1 => EquipmentRegisteredV1 },
        MachineStateChanged: Equipment { 1 => MachineStateChangedV1 },
        DowntimeStarted: Equipment { 1 => DowntimeStartedV1 },
        DowntimeEnded: Equipment { 1 => DowntimeEndedV1 },
        DowntimeClassified: Equipment { 1 => DowntimeClassifiedV1 },
        DowntimeSplit: Equipment { 1 => DowntimeSplitV1 },
        AlarmRaised: Equipment { 1 => AlarmRaisedV1 },
        AlarmRepeated: Equipment { 1 => AlarmRepeatedV1 },
        AlarmAcknowledged: Equipment { 1 => AlarmAcknowledgedV1 },
        AlarmCleared: Equipment { 1 => AlarmClearedV1 },
        CounterRecorded: Equipment { 1 => CounterRecordedV1 },
        MaintenanceModeChanged: Equipment { 1 => MaintenanceModeChangedV1 },
        ProductUnitRegistered: Unit { 1 => ProductUnitRegisteredV1 },
        UnitShipped: Unit { 1 => UnitShippedV1 },
        WarrantyStarted: Unit { 1 => WarrantyStartedV1 },
        UnitInstalled: Unit { 1 => UnitInstalledV1 },
        WarrantyExtended: Unit { 1 => WarrantyExtendedV1 },
        WarrantyVoided: Unit { 1 => WarrantyVoidedV1 },
        ReadingRecorded: Unit { 1 => ReadingRecordedV1 },
        UnitComponentChanged: Unit { 1 => UnitComponentChangedV1 },
        UnitTransferred: Unit { 1 => UnitTransferredV1 },
        UnitScrapped: Unit { 1 => UnitScrappedV1 },
        UnitRecalled: Unit { 1 => UnitRecalledV1 },
        UnitStatusChanged: Unit { 1 => UnitStatusChangedV1 },
        UnitAlarmRaised: Unit { 1 => UnitAlarmRaisedV1 },
        UnitAlarmRepeated: Unit { 1 => UnitAlarmRepeatedV1 },
        UnitAlarmCleared: Unit { 1 => UnitAlarmClearedV1 },
        StockReceived: Stock { 1 => StockReceivedV1 },
        StockReserved: Stock { 1 => StockReservedV1 },
        StockReservationReleased: Stock { 1 => StockReservationReleasedV1 },
        StockIssued: Stock { 1 => StockIssuedV1 },
        StockReturned: Stock { 1 => StockReturnedV1 },
        StockAdjusted: Stock { 1 => StockAdjustedV1 },
        InboxItemDismissed: Inbox { 1 => InboxItemDismissedV1 },
        TicketOpened: Ticket { 1 => TicketOpenedV1 },
        TicketOccurrenceAdded: Ticket { 1 => TicketOccurrenceAddedV1 },
        TicketAmended: Ticket { 1 => TicketAmendedV1 },
        CommentAdded: Ticket { 1 => CommentAddedV1 },
        TicketMarkedDuplicate: Ticket { 1 => TicketMarkedDuplicateV1 },
        TicketTriaged: Ticket { 1 => TicketTriagedV1 },
        FaultClassified: Ticket { 1 => FaultClassifiedV1 },
        TicketPriorityChanged: Ticket { 1 => TicketPriorityChangedV1 },
        WarrantyChecked: Ticket { 1 => WarrantyCheckedV1 },
        WarrantyOverridden: Ticket { 1 => WarrantyOverriddenV1 },
        QuoteSubmitted: Ticket { 1 => QuoteSubmittedV1 },
        QuoteApproved: Ticket { 1 => QuoteApprovedV1 },
        QuoteRejected: Ticket { 1 => QuoteRejectedV1 },
        QuoteExpired: Ticket { 1 => QuoteExpiredV1 },
        TechnicianAssigned: Ticket { 1 => TechnicianAssignedV1 },
        TechnicianReassigned: Ticket { 1 => TechnicianReassignedV1 },
        AssignmentAccepted: Ticket { 1 => AssignmentAcceptedV1 },
        AssignmentDeclined: Ticket { 1 => AssignmentDeclinedV1 },
        VisitScheduled: Ticket { 1 => VisitScheduledV1 },
        VisitRescheduled: Ticket { 1 => VisitRescheduledV1 },
        VisitCancelled: Ticket { 1 => VisitCancelledV1 },
        TravelStarted: Ticket { 1 => TravelStartedV1 },
        TechnicianArrived: Ticket { 1 => TechnicianArrivedV1 },
        TravelAborted: Ticket { 1 => TravelAbortedV1 },
        WorkStarted: Ticket { 1 => WorkStartedV1 },
        WorkClashNoticed: Ticket { 1 => WorkClashNoticedV1 },
        WorkPaused: Ticket { 1 => WorkPausedV1 },
        WorkResumed: Ticket { 1 => WorkResumedV1 },
        DiagnosisRecorded: Ticket { 1 => DiagnosisRecordedV1 },
        PartsRequested: Ticket { 1 => PartsRequestedV1 },
        PartsReserved: Ticket { 1 => PartsReservedV1 },
        PartsUnavailable: Ticket { 1 => PartsUnavailableV1 },
        PartsReleased: Ticket { 1 => PartsReleasedV1 },
        PartsConsumed: Ticket { 1 => PartsConsumedV1 },
        PartsReturned: Ticket { 1 => PartsReturnedV1 },
        TicketHeld: Ticket { 1 => TicketHeldV1 },
        TicketResumed: Ticket { 1 => TicketResumedV1 },
        WorkLogged: Ticket { 1 => WorkLoggedV1 },
        WorkLogCorrected: Ticket { 1 => WorkLogCorrectedV1 },
        TicketReadingRecorded: Ticket { 1 => TicketReadingRecordedV1 },
        UnitReplaced: Ticket { 1 => UnitReplacedV1 },
        ReplacementOrderRequested: Ticket { 1 => ReplacementOrderRequestedV1 },
        ReplacementOrderLinked: Ticket { 1 => ReplacementOrderLinkedV1 },
        ReplacementOrderReady: Ticket { 1 => ReplacementOrderReadyV1 },
        ReplacementOrderFailed: Ticket { 1 => ReplacementOrderFailedV1 },
        TicketCancelled: Ticket { 1 => TicketCancelledV1 },
        TicketResolved: Ticket { 1 => TicketResolvedV1 },
        RepairVerified: Ticket { 1 => RepairVerifiedV1 },
        ResolutionConfirmed: Ticket { 1 => ResolutionConfirmedV1 },
        TicketClosed: Ticket { 1 => TicketClosedV1 },
        TicketReopened: Ticket { 1 => TicketReopenedV1 },
        ServiceRated: Ticket { 1 => ServiceRatedV1 },
        TicketEscalated: Ticket { 1 => TicketEscalatedV1 },
        TicketDeescalated: Ticket { 1 => TicketDeescalatedV1 },
        ReturnAuthorized: Ticket { 1 => ReturnAuthorizedV1 },
        ReturnReceived: Ticket { 1 => ReturnReceivedV1 },
        ReturnDispositioned: Ticket { 1 => ReturnDispositionedV1 },
        UnitShippedBack: Ticket { 1 => UnitShippedBackV1 },
        SlaStarted: Ticket { 1 => SlaStartedV1 },
        SlaPaused: Ticket { 1 => SlaPausedV1 },
        SlaResumed: Ticket { 1 => SlaResumedV1 },
        SlaPolicyApplied: Ticket { 1 => SlaPolicyAppliedV1 },
        SlaWarningRaised: Ticket { 1 => SlaWarningRaisedV1 },
        SlaBreached: Ticket { 1 => SlaBreachedV1 },
        SlaMet: Ticket { 1 => SlaMetV1 },
        SlaBreachRevoked: Ticket { 1 => SlaBreachRevokedV1 },
        TicketLinkAdded: Ticket { 1 => TicketLinkAddedV1 },
        PlanCreated: MaintenancePlan { 1 => PlanCreatedV1 },
        PlanActivated: MaintenancePlan { 1 => PlanActivatedV1 },
        PlanSuspended: MaintenancePlan { 1 => PlanSuspendedV1 },
        PlanAmended: MaintenancePlan { 1 => PlanAmendedV1 },
        PlanDue: MaintenancePlan { 1 => PlanDueV1 },
        PlanDone: MaintenancePlan { 1 => PlanDoneV1 },
        PlanSkipped: MaintenancePlan { 1 => PlanSkippedV1 },
        ReferencePut: Reference { 1 => ReferencePutV1 },
        ReferenceRetired: Reference { 1 => ReferenceRetiredV1 },
        AccountAdded: Account { 1 => AccountAddedV1 },
        AccountGranted: Account { 1 => AccountGrantedV1 },
        AccountRevoked: Account { 1 => AccountRevokedV1 },
        AccountSecretRotated: Account { 1 => AccountSecretRotatedV1 },
        AccountDisabled: Account { 1 => AccountDisabledV1 },
        AccountEnabled: Account { 1 => AccountEnabledV1 },
        SubjectErased: Account { 1 => SubjectErasedV1 },
    }
}

/// The sealed texts of an event, so that the runtime can seal them before a frame is made and a
/// reader in scope can open them. An event that forgets one here cannot be stored.
pub trait SealedFields {
    /// Shows every sealed text to `f`.
    fn sealed_fields(&mut self, f: &mut dyn FnMut(&mut crate::text::Sealed)) {
        let _ = f;
    }
}

/// `WorkOrderReleased` → `work-order-released`: the form of a type in topics and CloudEvents.
pub fn kebab(pascal: &str) -> String {
    let mut out = String::with_capacity(pascal.len() + 4);
    for (i, c) in pascal.chars().enumerate() {
        if c.is_ascii_uppercase() && i > 0 {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One sample of every (type, version) ever written. `UPDATE_GOLDEN=1` writes files that are
    /// missing; it never changes one that exists.
    #[test]
    fn golden_files_read_back_for_every_type_and_version() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
        let samples = samples::all();
        for (name, version) in Event::REGISTERED {
            let path = dir.join(format!("{name}.v{version}.json"));
            if !path.exists() && std::env::var_os("UPDATE_GOLDEN").is_some() {
                let e = samples.iter().find(|e| e.event_type().as_str() == *name).expect("a sample of every type");
                let (_, schema, bytes) = e.encode().unwrap();
                assert_eq!(schema, *version, "only the current version can be written");
                let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
                let golden = serde_json::json!({"bincode": hex, "data": e.data()});
                std::fs::write(&path, format!("{golden:#}\n")).unwrap();
            }
            let text = std::fs::read_to_string(&path)
                .unwrap_or_else(|e| panic!("{}: {e}; UPDATE_GOLDEN=1 writes a missing one", path.display()));
            let golden: serde_json::Value = serde_json::from_str(&text).unwrap();
            let hex = golden["bincode"].as_str().unwrap();
            let bytes: Vec<u8> =
                (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
            let e = Event::decode(name, *version, &bytes).unwrap();
            assert_eq!(e.data(), golden["data"], "{name} v{version} reads differently");
            if let Some(current) = samples.iter().find(|s| s.event_type().as_str() == *name)
                && current.encode().unwrap().1 == *version
            {
                assert_eq!(current.encode().unwrap().2, bytes, "{name} v{version} is written differently");
            }
        }
    }

    #[test]
    fn every_type_has_a_sample_and_its_current_version_is_registered() {
        let samples = samples::all();
        for t in EventType::ALL {
            let e = samples.iter().find(|e| e.event_type() == *t).unwrap_or_else(|| panic!("no sample of {t}"));
            let (name, schema, _) = e.encode().unwrap();
            assert!(Event::REGISTERED.contains(&(name, schema)));
        }
    }

    #[test]
    fn trailing_and_missing_bytes_are_errors() {
        for e in samples::all() {
            let (name, v, mut bytes) = e.encode().unwrap();
            bytes.push(0);
            assert!(Event::decode(name, v, &bytes).is_err(), "{name} takes a trailing byte");
            bytes.truncate(bytes.len() - 2);
            assert!(Event::decode(name, v, &bytes).is_err(), "{name} takes a short payload");
        }
    }

    #[test]
    fn unknown_pairs_fail_loudly() {
        assert!(matches!(Event::decode("WorkOrderCreated", 99, &[]), Err(DecodeError::Unknown { .. })));
        assert!(matches!(Event::decode("Nothing", 1, &[]), Err(DecodeError::Unknown { .. })));
    }

    #[test]
    fn a_hostile_length_does_not_allocate() {
        // A length of 2^62 where the first string of the event stands.
        let bytes = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0x40];
        assert!(Event::decode("SerialsAllocated", 1, &bytes).is_err());
    }

    #[test]
    fn sealed_fields_finds_every_plain_text() {
        for mut e in samples::all() {
            let mut json = e.data().to_string();
            e.sealed_fields(&mut |s| *s = crate::text::Sealed::Plain("an open secret".into()));
            let opened = e.data().to_string();
            let n = opened.matches("an open secret").count();
            assert_eq!(json.matches(r#"{"sealed":true}"#).count(), n, "{json}");
            json = opened;
            assert!(!json.contains(r#""sealed":true"#), "{json}");
        }
    }

    #[test]
    fn types_in_kebab_case() {
        assert_eq!(kebab("OperationQuantityReported"), "operation-quantity-reported");
    }

    mod upcasting {
        //! The lifting of old versions, shown on a registry of its own.
        #[derive(Clone, PartialEq, Debug, bincode::Encode, bincode::Decode, serde::Serialize, schemars::JsonSchema)]
        pub struct LampV1 {
            on: bool,
        }
        #[derive(Clone, PartialEq, Debug, bincode::Encode, bincode::Decode, serde::Serialize, schemars::JsonSchema)]
        pub struct LampV2 {
            percent: u8,
        }
        #[derive(Clone, PartialEq, Debug, bincode::Encode, bincode::Decode, serde::Serialize, schemars::JsonSchema)]
        pub struct LampV3 {
            permille: u16,
        }
        impl crate::event::SealedFields for LampV3 {}
        impl From<LampV1> for LampV2 {
            fn from(o: LampV1) -> Self {
                LampV2 { percent: if o.on { 100 } else { 0 } }
            }
        }
        impl From<LampV2> for LampV3 {
            fn from(o: LampV2) -> Self {
                LampV3 { permille: u16::from(o.percent) * 10 }
            }
        }
        #[expect(dead_code, reason = "the test uses a part of what every registry has")]
        mod lamp {
            use super::*;
            registry! {
                /// Test types.
                LampType
                /// Test events.
                LampEvent { Lamp: Equipment { 1 => LampV1, 2 => LampV2, 3 => LampV3 } }
            }
        }
        use lamp::LampEvent;

        #[test]
        fn every_old_version_is_lifted_step_by_step() {
            let v1 = bincode::encode_to_vec(LampV1 { on: true }, bincode::config::standard()).unwrap();
            let v2 = bincode::encode_to_vec(LampV2 { percent: 40 }, bincode::config::standard()).unwrap();
            assert_eq!(LampEvent::decode("Lamp", 1, &v1).unwrap(), LampEvent::Lamp(LampV3 { permille: 1000 }));
            assert_eq!(LampEvent::decode("Lamp", 2, &v2).unwrap(), LampEvent::Lamp(LampV3 { permille: 400 }));
            let (name, schema, _) = LampEvent::Lamp(LampV3 { permille: 5 }).encode().unwrap();
            assert_eq!((name, schema), ("Lamp", 3));
            assert_eq!(LampEvent::REGISTERED, &[("Lamp", 1), ("Lamp", 2), ("Lamp", 3)]);
        }
    }
}
