//! Samples of material, quality, equipment, units, stock and the inbox.

use super::*;

/// One of each, every field filled.
pub fn all() -> Vec<Event> {
    let t = at("2026-03-02T10:30:00.456Z");
    vec![
        WorkOrderSplitV1 {
            parts: vec![SplitPartV1 {
                work_order_id: id(21),
                qty: qty("2.5"),
                due_at: t,
                line_id: Some(code("line-1")),
                serials: vec![text("SER-7")],
            }],
            remaining_qty: qty("2.5"),
            reason: code("quality"),
            note: Some(sealed()),
        }
        .into(),
        UnitGenealogyAmendedV1 {
            serial: text("SER-7"),
            product_id: code("pump-200"),
            removed: vec![ComponentV1 {
                item_id: code("housing"),
                serial: Some(text("SER-7")),
                lot: Some(text("LOT-7")),
                qty: qty("2.5"),
                position: Some(text("POS-7")),
            }],
            added: vec![ComponentV1 {
                item_id: code("housing"),
                serial: Some(text("SER-7")),
                lot: Some(text("LOT-7")),
                qty: qty("2.5"),
                position: Some(text("POS-7")),
            }],
            reason: code("quality"),
            note: Some(sealed()),
        }
        .into(),
        MaterialRequestedV1 {
            request_id: id(22),
            lines: vec![MaterialRequestV1 {
                line_no: 10,
                item_id: code("housing"),
                qty: qty("2.5"),
                location: Some(code("main-store")),
                lot: Some(text("LOT-7")),
            }],
        }
        .into(),
        MaterialReservedV1 {
            request_id: id(23),
            lines: vec![ReservationV1 {
                reservation_id: id(24),
                line_no: 10,
                item_id: code("housing"),
                qty: qty("2.5"),
                location: code("main-store"),
                lot: Some(text("LOT-7")),
            }],
        }
        .into(),
        MaterialReservationFailedV1 {
            request_id: id(25),
            lines: vec![MissingMaterialV1 {
                line_no: 10,
                item_id: code("housing"),
                missing_qty: qty("2.5"),
                available_qty: qty("2.5"),
            }],
        }
        .into(),
        MaterialReservationReleasedV1 {
            reservations: vec![ReservationV1 {
                reservation_id: id(26),
                line_no: 10,
                item_id: code("housing"),
                qty: qty("2.5"),
                location: code("main-store"),
                lot: Some(text("LOT-7")),
            }],
        }
        .into(),
        MaterialIssuedV1 {
            issue_id: id(27),
            lines: vec![IssuedV1 {
                line_no: 10,
                item_id: code("housing"),
                qty: qty("2.5"),
                lot: Some(text("LOT-7")),
                serials: vec![text("SER-7")],
                reservation_id: Some(id(28)),
                from_location: code("main-store"),
            }],
            over_issue_reason: Some(code("quality")),
            note: Some(sealed()),
        }
        .into(),
        MaterialReturnedV1 {
            return_id: id(29),
            lines: vec![ReturnedV1 {
                line_no: 10,
                item_id: code("housing"),
                qty: qty("2.5"),
                lot: Some(text("LOT-7")),
                serials: vec![text("SER-7")],
                to_location: code("main-store"),
                condition: MaterialCondition::Quarantine,
            }],
            reason: code("quality"),
            note: Some(sealed()),
        }
        .into(),
        MaterialConsumedV1 {
            consumption_id: id(30),
            op: Some(10),
            source: ConsumptionSource::Backflush,
            lines: vec![ConsumedV1 {
                line_no: 10,
                item_id: code("housing"),
                qty: qty("2.5"),
                lot: Some(text("LOT-7")),
                serials: vec![text("SER-7")],
                unit_serial: Some(text("UNI-7")),
            }],
        }
        .into(),
        MaterialConsumptionCorrectedV1 {
            consumption_id: id(31),
            lines: vec![ConsumptionChangeV1 {
                line_no: 10,
                item_id: code("housing"),
                old: qty("2.5"),
                new: qty("2.5"),
            }],
        }
        .into(),
        MaterialVarianceExplainedV1 {
            lines: vec![ExplainedVarianceV1 {
                line_no: 1,
                item_id: code("housing"),
                difference: Change::between(qty("2.5"), qty("1")),
                reason: code("quality"),
            }],
        }
        .into(),
        MaterialSubstituteApprovedV1 {
            line_no: 10,
            substitute_item_id: code("housing"),
            ratio: qty("2.5"),
            valid_qty: Some(qty("2.5")),
            reason: code("quality"),
            note: Some(sealed()),
        }
        .into(),
        InspectionRecordedV1 {
            inspection_id: id(32),
            op: Some(10),
            kind: InspectionKind::ReInspection,
            sample_size: 10,
            serials: vec![text("SER-7")],
            lot: Some(text("LOT-7")),
            results: vec![InspectionLineV1 {
                characteristic: text("CHA-7"),
                value: Some("-1.25".parse().unwrap()),
                unit: Some(text("UNI-7")),
                lower: Some("-1.25".parse().unwrap()),
                upper: Some("-1.25".parse().unwrap()),
                verdict: Verdict::Conditional,
                instrument: Some(code("quality")),
                critical: true,
            }],
            verdict: Verdict::Conditional,
            defects: vec![DefectV1 { code: code("quality"), qty: qty("2.5") }],
            attachments: vec![file()],
            inspector: code("operator-1"),
            note: Some(sealed()),
        }
        .into(),
        NonconformanceRaisedV1 {
            ncr_id: id(33),
            op: Some(10),
            qty: qty("2.5"),
            serials: vec![text("SER-7")],
            lot: Some(text("LOT-7")),
            defect_code: code("quality"),
            severity: 2,
            description: Some(sealed()),
            detected_at_stage: NcrStage::Final,
            contain: true,
            attachments: vec![file()],
            inspection_id: Some(id(34)),
        }
        .into(),
        NonconformanceDispositionedV1 {
            ncr_id: id(35),
            lines: vec![DispositionLineV1 {
                disposition: Disposition::UseAsIs,
                qty: qty("2.5"),
                serials: vec![text("SER-7")],
            }],
            cause_code: code("quality"),
            rework: Some(ReworkV1 {
                mode: ReworkMode::NewOrder,
                operations: vec![10],
                new_work_order_id: Some(id(36)),
            }),
            approver: Some(code("operator-1")),
            note: Some(sealed()),
        }
        .into(),
        NonconformanceReturnedV1 { ncr_id: id(37), work_order_id: Some(id(38)), reason: Some(code("quality")) }.into(),
        NonconformanceClosedV1 { ncr_id: id(39), verification: sealed(), corrective_action_ref: Some(text("COR-7")) }
            .into(),
        EquipmentRegisteredV1 {
            code: code("cell-1"),
            name: Some(text("NAM-7")),
            class: Some(code("main-store")),
            site_id: code("plant-1"),
            area: Some(code("main-store")),
            line_id: code("line-1"),
            ideal_cycle: Some(qty("2.5")),
            no_signal_timeout: Seconds(90),
            alarm_threshold: 10,
            sparkplug_id: Some(text("SPA-7")),
        }
        .into(),
        MachineStateChangedV1 {
            cell_id: code("cell-1"),
            old: Some(MachineState::Down),
            new: MachineState::Down,
            duration: Seconds(90),
            source: StateSource::Timeout,
            sequence: Some(10),
            counter: Some(CounterV1 { name: code("main-store"), value: 10, reset: true }),
        }
        .into(),
        DowntimeStartedV1 {
            downtime_id: id(40),
            cell_id: code("cell-1"),
            reason: Some(code("quality")),
            loss_category: Some(LossCategory::Breakdown),
            planned: true,
            work_order_id: Some(id(41)),
            op: Some(10),
            note: Some(sealed()),
        }
        .into(),
        DowntimeEndedV1 { downtime_id: id(42), cell_id: code("cell-1"), duration: Seconds(90) }.into(),
        DowntimeClassifiedV1 {
            downtime_id: id(43),
            cell_id: code("cell-1"),
            old_reason: Some(code("quality")),
            reason: code("quality"),
            loss_category: Some(LossCategory::Breakdown),
            planned: true,
            note: Some(sealed()),
        }
        .into(),
        DowntimeSplitV1 { downtime_id: id(44), cell_id: code("cell-1"), split_at: t, new_downtime_id: id(45) }.into(),
        AlarmRaisedV1 {
            alarm_id: id(46),
            cell_id: code("cell-1"),
            code: code("main-store"),
            severity: 10,
            text: Some(sealed()),
            raised_at: t,
        }
        .into(),
        AlarmRepeatedV1 {
            alarm_id: id(47),
            cell_id: code("cell-1"),
            code: code("main-store"),
            severity: 10,
            count: 10,
            raised_at: t,
        }
        .into(),
        AlarmAcknowledgedV1 {
            alarm_id: id(48),
            cell_id: code("cell-1"),
            code: code("main-store"),
            note: Some(sealed()),
        }
        .into(),
        AlarmClearedV1 {
            alarm_id: id(49),
            cell_id: code("cell-1"),
            code: code("main-store"),
            cleared_at: t,
            active_for: Seconds(90),
        }
        .into(),
        CounterRecordedV1 {
            cell_id: code("cell-1"),
            name: code("main-store"),
            value: "-1.25".parse().unwrap(),
            cumulative: "-1.25".parse().unwrap(),
            unit: Some(text("UNI-7")),
            reset: true,
        }
        .into(),
        MaintenanceModeChangedV1 {
            cell_id: code("cell-1"),
            on: true,
            reason: Some(code("quality")),
            until: Some(t),
            forced: true,
            note: Some(sealed()),
        }
        .into(),
        ProductUnitRegisteredV1 {
            serial: text("SER-7"),
            product_id: code("pump-200"),
            product_rev: Some(text("PRO-7")),
            lot: Some(text("LOT-7")),
            work_order_id: Some(id(50)),
            site_id: code("plant-1"),
            result: UnitResult::Good,
            as_built: vec![ComponentV1 {
                item_id: code("housing"),
                serial: Some(text("SER-7")),
                lot: Some(text("LOT-7")),
                qty: qty("2.5"),
                position: Some(text("POS-7")),
            }],
            firmware: Some(text("FIR-7")),
            produced_at: t,
        }
        .into(),
        UnitShippedV1 { serial: text("SER-7"), product_id: code("pump-200"), customer_id: code("acme"), shipped_at: t }
            .into(),
        WarrantyStartedV1 {
            serial: text("SER-7"),
            start: "2028-02-29".parse().unwrap(),
            end: "2028-02-29".parse().unwrap(),
            basis: WarrantyBasis::Installation,
            counter_name: Some(code("main-store")),
            counter_limit: Some("-1.25".parse().unwrap()),
        }
        .into(),
        UnitInstalledV1 {
            serial: text("SER-7"),
            installed_on: "2028-02-29".parse().unwrap(),
            location: Some(text("LOC-7")),
        }
        .into(),
        WarrantyExtendedV1 {
            serial: text("SER-7"),
            old_end: "2028-02-29".parse().unwrap(),
            new_end: "2028-02-29".parse().unwrap(),
            reason: code("quality"),
            note: Some(sealed()),
        }
        .into(),
        WarrantyVoidedV1 { serial: text("SER-7"), reason: code("quality"), note: Some(sealed()) }.into(),
        ReadingRecordedV1 {
            serial: text("SER-7"),
            name: code("main-store"),
            value: "-1.25".parse().unwrap(),
            cumulative: "-1.25".parse().unwrap(),
            unit: Some(text("UNI-7")),
            reset: true,
        }
        .into(),
        UnitComponentChangedV1 {
            serial: text("SER-7"),
            removed: vec![ComponentV1 {
                item_id: code("housing"),
                serial: Some(text("SER-7")),
                lot: Some(text("LOT-7")),
                qty: qty("2.5"),
                position: Some(text("POS-7")),
            }],
            added: vec![ComponentV1 {
                item_id: code("housing"),
                serial: Some(text("SER-7")),
                lot: Some(text("LOT-7")),
                qty: qty("2.5"),
                position: Some(text("POS-7")),
            }],
            firmware: Some(text("FIR-7")),
            ticket_id: Some(id(51)),
        }
        .into(),
        UnitStatusChangedV1 {
            serial: text("SER-7"),
            old: UnitStatus::Shipped,
            new: UnitStatus::InRepair,
            ticket_id: Some(id(51)),
        }
        .into(),
        UnitAlarmRaisedV1 {
            serial: text("SER-7"),
            product_id: code("pump-200"),
            customer_id: Some(code("acme")),
            alarm_id: id(52),
            code: code("overheat"),
            severity: 800,
            text: Some(sealed()),
            raised_at: t,
        }
        .into(),
        UnitAlarmRepeatedV1 {
            serial: text("SER-7"),
            alarm_id: id(52),
            code: code("overheat"),
            severity: 800,
            count: 3,
            raised_at: t,
        }
        .into(),
        UnitAlarmClearedV1 {
            serial: text("SER-7"),
            alarm_id: id(52),
            code: code("overheat"),
            cleared_at: t,
            active_for: Seconds(600),
        }
        .into(),
        UnitTransferredV1 { serial: text("SER-7"), old_customer: Some(code("acme")), new_customer: code("acme") }
            .into(),
        UnitScrappedV1 { serial: text("SER-7"), reason: code("quality"), note: Some(sealed()) }.into(),
        UnitRecalledV1 {
            serial: text("SER-7"),
            campaign: code("main-store"),
            reason: code("quality"),
            note: Some(sealed()),
        }
        .into(),
        StockReceivedV1 {
            item_id: code("housing"),
            location: code("main-store"),
            lot: Some(text("LOT-7")),
            site_id: code("plant-1"),
            qty: qty("2.5"),
            serials: vec![text("SER-7")],
            reference: Some(text("REF-7")),
            on_hand: qty("2.5"),
        }
        .into(),
        StockReservedV1 {
            item_id: code("housing"),
            location: code("main-store"),
            lot: Some(text("LOT-7")),
            reservation_id: id(52),
            asked: qty("2.5"),
            qty: qty("2.5"),
            work_order_id: Some(id(53)),
            line_no: Some(10),
        }
        .into(),
        StockReservationReleasedV1 {
            item_id: code("housing"),
            location: code("main-store"),
            lot: Some(text("LOT-7")),
            reservation_id: id(54),
            qty: qty("2.5"),
        }
        .into(),
        StockIssuedV1 {
            item_id: code("housing"),
            location: code("main-store"),
            lot: Some(text("LOT-7")),
            qty: qty("2.5"),
            serials: vec![text("SER-7")],
            reservation_id: Some(id(55)),
            work_order_id: Some(id(56)),
            on_hand: qty("2.5"),
        }
        .into(),
        StockReturnedV1 {
            item_id: code("housing"),
            location: code("main-store"),
            lot: Some(text("LOT-7")),
            site_id: code("plant-1"),
            qty: qty("2.5"),
            serials: vec![text("SER-7")],
            condition: MaterialCondition::Quarantine,
            work_order_id: Some(id(57)),
            on_hand: qty("2.5"),
        }
        .into(),
        StockAdjustedV1 {
            item_id: code("housing"),
            location: code("main-store"),
            lot: Some(text("LOT-7")),
            site_id: code("plant-1"),
            old_on_hand: qty("2.5"),
            on_hand: qty("2.5"),
            serials: vec![text("SER-7")],
            reason: code("quality"),
            counted_by: code("operator-1"),
            note: Some(sealed()),
        }
        .into(),
        InboxItemDismissedV1 { reason: code("quality"), note: Some(sealed()) }.into(),
    ]
}
