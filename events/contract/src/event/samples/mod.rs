//! One sample of every event type, for the golden files.

mod plant;
mod sample;

pub use sample::Sample;

use std::collections::BTreeMap;

use super::parts::*;
use super::*;
use crate::enums::*;
use crate::ids::*;
use crate::qty::{Change, Qty};
use crate::reference::Uom;
use crate::text::{Sealed, Text};
use crate::time::{Instant, Seconds};

fn id<T: From<u128>>(n: u128) -> T {
    T::from(n)
}

macro_rules! from_number {
    ($($t:ident),+) => {$(
        impl From<u128> for $t {
            fn from(n: u128) -> Self {
                $t(uuid::Uuid::from_u128(n))
            }
        }
    )+};
}
from_number!(AggregateId, EntityId);

fn code<T: std::str::FromStr>(s: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    s.parse().unwrap()
}

fn text<const N: usize>(s: &str) -> Text<N> {
    Text::new(s).unwrap()
}

fn at(s: &str) -> Instant {
    s.parse().unwrap()
}

fn qty(s: &str) -> Qty {
    s.parse().unwrap()
}

fn note() -> Option<Sealed> {
    Some(sealed())
}

fn sealed() -> Sealed {
    Sealed::Cipher { key_id: uuid::Uuid::from_u128(9), bytes: vec![1, 2, 3, 250] }
}

fn routing() -> Vec<RoutingOperationV1> {
    vec![RoutingOperationV1 {
        op: 10,
        name: text("assemble"),
        cell_id: Some(code("cell-1")),
        cell_class: Some(code("assembly")),
        setup_time: Seconds(300),
        run_time_per_unit: qty("60.5"),
        predecessors: Some(vec![5]),
        overlap: Overlap::TransferBatch,
        transfer_batch_qty: Some(qty("2")),
        inspection: InspectionPlan::Final,
    }]
}

fn bom() -> Vec<BomLineV1> {
    vec![BomLineV1 {
        line_no: 1,
        item_id: code("housing"),
        qty_per_unit: qty("1.25"),
        scrap_factor_pct: "2.5".parse().unwrap(),
        backflush: true,
        op: Some(10),
        tracking: Tracking::Lot,
        key: true,
        alternatives: vec![code("housing-b")],
    }]
}

fn file() -> FileRefV1 {
    FileRefV1 { uri: text("s3://x/y"), sha256: text(&"a".repeat(64)), media_type: text("application/pdf"), bytes: 1000 }
}

fn reasons() -> Vec<ReasonQtyV1> {
    vec![ReasonQtyV1 { qty: qty("1"), reason: code("surface"), note: note() }]
}

/// One of each, every field filled.
pub fn all() -> Vec<Event> {
    let t = at("2026-03-02T09:00:00.123Z");
    let mut all = vec![
        WorkOrderCreatedV1 {
            number: text("WO-2026-000001"),
            order_type: OrderType::Rework,
            product_id: code("pump-200"),
            product_rev: Some(text("B")),
            tracking: Tracking::Serial,
            planned_qty: qty("5"),
            uom: Uom::new("H87").unwrap(),
            due_at: t,
            priority: 2,
            site_id: code("plant-1"),
            line_id: Some(code("line-1")),
            over_tolerance_pct: "10".parse().unwrap(),
            under_tolerance_pct: "0.5".parse().unwrap(),
            replace_scrap: true,
            sales_order_ref: Some(text("SO-1")),
            customer_id: Some(code("acme")),
            parent_work_order_id: Some(id(3)),
            origin: OriginV1 { kind: OriginKind::Ticket, id: Some(text("TK-2026-000001")) },
            bom_ref: Some(code("pump-bom")),
            bom: bom(),
            routing_ref: Some(code("pump-routing")),
            routing: routing(),
            note: note(),
        }
        .into(),
        WorkOrderAmendedV1 {
            changed: BTreeMap::from([(
                "sales_order_ref".to_owned(),
                ChangeV1 { old: None, new: Some("SO-2".to_owned()) },
            )]),
            bom: Some(bom()),
            routing: Some(routing()),
        }
        .into(),
        WorkOrderPlannedV1 {
            line_id: code("line-1"),
            planned_start: t,
            planned_end: t.plus_millis(3_600_000),
            operations: vec![OperationPlanV1 {
                op: 10,
                cell_id: Some(code("cell-1")),
                planned_start: Some(t),
                planned_end: Some(t.plus_millis(1000)),
            }],
        }
        .into(),
        WorkOrderReleasedV1 {
            bom: bom(),
            routing: routing(),
            shortages: vec![ShortageV1 { line_no: 1, item_id: code("housing"), missing_qty: qty("2.5") }],
            note: note(),
        }
        .into(),
        WorkOrderStartedV1 { actual_start: t }.into(),
        WorkOrderHeldV1 {
            reason: code("quality_hold"),
            kind: HoldKind::Suspended,
            expected_resume_at: Some(t),
            resume_state: WorkOrderState::InProgress,
            note: note(),
        }
        .into(),
        WorkOrderResumedV1 { to_state: WorkOrderState::Released, held_for: Seconds(90), note: note() }.into(),
        WorkOrderCompletedV1 {
            good: qty("5"),
            scrap: qty("1"),
            rework: qty("0"),
            actual_start: Some(t),
            actual_end: t,
            material_variance: vec![MaterialVarianceV1 {
                line_no: 1,
                item_id: code("housing"),
                required: qty("6"),
                consumed: qty("7"),
            }],
            short_closed: true,
            note: note(),
        }
        .into(),
        WorkOrderClosedV1 {
            good: qty("5"),
            scrap: qty("1"),
            operations: vec![OperationTotalsV1 {
                op: 10,
                good: qty("5"),
                scrap: qty("1"),
                run_time: Seconds(600),
                setup_time: Seconds(60),
                labour_time: Seconds(700),
            }],
            materials: vec![MaterialTotalsV1 {
                line_no: 1,
                item_id: code("housing"),
                issued: qty("8"),
                returned: qty("1"),
                consumed: qty("7"),
            }],
            labour: Seconds(700),
            machine: Seconds(660),
            forced: true,
            note: note(),
        }
        .into(),
        WorkOrderCancelledV1 { reason: code("no_demand"), note: note() }.into(),
        OperationStartedV1 {
            op: 10,
            session_id: id(4),
            cell_id: code("cell-1"),
            operator: code("operator-1"),
            kind: SessionKind::Setup,
            qty_planned: Some(qty("5")),
        }
        .into(),
        OperationPausedV1 {
            op: 10,
            session_id: id(4),
            cause: PauseCause::OrderHold,
            reason: Some(code("breakdown")),
            loss_category: Some(LossCategory::Breakdown),
            session_duration: Seconds(61),
            note: note(),
        }
        .into(),
        OperationResumedV1 {
            op: 10,
            session_id: id(5),
            cell_id: code("cell-1"),
            operator: code("operator-1"),
            paused_for: Seconds(30),
        }
        .into(),
        OperationQuantityReportedV1 {
            report_id: id(6),
            op: 10,
            source: QuantitySource::Rework,
            good: qty("2"),
            scrap: reasons(),
            rework: reasons(),
            session_id: Some(id(5)),
            cell_id: Some(code("cell-1")),
            operator: code("operator-1"),
            lot: Some(text("L-7")),
            serials: vec![text("P200-0001")],
            counter: Some(CounterV1 { name: code("pieces"), value: 1234, reset: true }),
            totals: TotalsV1 { good: qty("2"), scrap: qty("1"), rework_open: qty("1") },
        }
        .into(),
        OperationCompletedV1 {
            op: 10,
            good: qty("4"),
            scrap: qty("1"),
            rework_open: qty("0"),
            run_time: Seconds(600),
            setup_time: Seconds(60),
            labour_time: Seconds(660),
            shortfall_confirmed: true,
        }
        .into(),
        SerialsAllocatedV1 { serials: vec![text("P200-0001"), text("P200-0002")] }.into(),
        UnitRegisteredV1 {
            serial: text("P200-0001"),
            product_id: code("pump-200"),
            lot: Some(text("L-7")),
            op: 20,
            result: UnitResult::Good,
            components: vec![ComponentV1 {
                item_id: code("motor"),
                serial: Some(text("M-1")),
                lot: Some(text("ML-1")),
                qty: qty("1"),
                position: Some(text("left")),
            }],
            incomplete_reason: Some(code("no_material")),
            firmware: Some(text("1.2.3")),
            test_report: Some(file()),
            measurements: vec![MeasurementV1 {
                characteristic: text("flow"),
                value: text("12.5"),
                unit: text("l/min"),
            }],
            cell_id: Some(code("cell-2")),
            operator: code("operator-1"),
            produced_at: t,
        }
        .into(),
        NoteAddedV1 { note_id: id(7), text: sealed(), attachments: vec![file()] }.into(),
        WorkOrderUnplannedV1 { reason: code("no_demand"), note: note() }.into(),
        WorkOrderRescheduledV1 {
            old: ScheduleV1 { line_id: None, planned_start: None, planned_end: Some(t), operations: vec![] },
            new: ScheduleV1 {
                line_id: Some(code("line-2")),
                planned_start: Some(t),
                planned_end: Some(t.plus_millis(3_600_000)),
                operations: vec![OperationPlanV1 { op: 20, cell_id: None, planned_start: Some(t), planned_end: None }],
            },
            reason: code("machine_moved"),
            note: note(),
        }
        .into(),
        WorkOrderReleaseRevokedV1 { reason: code("engineering_change"), note: note() }.into(),
        WorkOrderQuantityChangedV1 {
            old_qty: qty("5"),
            new_qty: qty("7"),
            reason: code("customer_request"),
            required_materials: vec![RequiredMaterialV1 {
                line_no: 1,
                item_id: code("housing"),
                required: qty("8.75"),
            }],
            note: note(),
        }
        .into(),
        WorkOrderDueDateChangedV1 { old: t, new: t.plus_millis(1), reason: code("customer_request"), note: note() }
            .into(),
        WorkOrderPriorityChangedV1 { old: 3, new: 1, reason: Some(code("customer_request")), note: note() }.into(),
        OperationAssignedV1 {
            op: 10,
            cell_id: Some(code("cell-1")),
            operators: vec![code("operator-1"), code("operator-2")],
            crew: Some(text("early")),
        }
        .into(),
        OperationUnassignedV1 { op: 10, operators: vec![code("operator-1")] }.into(),
        WorkOrderShortClosedV1 {
            planned_qty: qty("100"),
            good: qty("64"),
            scrap: qty("3"),
            dropped_qty: qty("36"),
            reason: code("no_demand"),
            remainder: Remainder::NewOrder,
            new_work_order_id: Some(id(8)),
            approver: Some(code("planner-1")),
            note: note(),
        }
        .into(),
        WorkOrderReopenedV1 {
            from_state: WorkOrderState::Closed,
            to_state: WorkOrderState::Completed,
            reason: code("wrong_data"),
            cycle: 2,
            note: note(),
        }
        .into(),
        LinkAddedV1 { kind: LinkKind::Ticket, id: text("TK-2026-000001"), relation: LinkRelation::Replaces }.into(),
        OperationReportCorrectedV1 {
            report_id: id(6),
            op: 10,
            source: QuantitySource::Fresh,
            old: QuantitiesV1 { good: qty("10"), scrap: reasons(), rework: vec![] },
            new: QuantitiesV1 { good: qty("6"), scrap: vec![], rework: reasons() },
            delta: DeltaV1 {
                good: Change::between(qty("10"), qty("6")),
                scrap: Change::between(qty("1"), qty("0")),
                rework: Change::between(qty("0"), qty("1")),
            },
            totals: TotalsV1 { good: qty("6"), scrap: qty("0"), rework_open: qty("1") },
            reason: code("wrong_data"),
            corrects_event_id: EventId(uuid::Uuid::from_u128(11)),
            note: note(),
        }
        .into(),
        OperationSessionCorrectedV1 {
            op: 10,
            session_id: id(4),
            old: SpanV1 { started_at: t, ended_at: None },
            new: SpanV1 { started_at: t.plus_millis(1), ended_at: Some(t.plus_millis(2)) },
            reason: code("wrong_data"),
            note: note(),
        }
        .into(),
        OperationReopenedV1 { op: 10, reason: code("wrong_data"), note: note() }.into(),
        OperationSkippedV1 { op: 20, reason: code("not_needed"), approver: Some(code("inspector-1")), note: note() }
            .into(),
        OperationAddedV1 { operation: routing().remove(0), reason: code("quality"), note: note() }.into(),
        LotAssignedV1 {
            lot: text("L-8"),
            expires_on: Some("2028-02-29".parse().unwrap()),
            reuse_reason: Some(code("other")),
        }
        .into(),
        SerialVoidedV1 { serial: text("P200-0009"), reason: code("wrong_data"), note: note() }.into(),
        ReferencePutV1 {
            kind: ReferenceKind::Cell,
            code: code("cell-1"),
            revision: 3,
            document: crate::event::reference::DocumentText(r#"{"line":"line-1"}"#.into()),
        }
        .into(),
        ReferenceRetiredV1 { kind: ReferenceKind::Cell, code: code("cell-1"), reason: Some(code("obsolete")) }.into(),
        AccountAddedV1 {
            account: code("customer-1"),
            roles: vec![Role::Customer, Role::Device],
            sites: vec![code("plant-1")],
            customer_id: Some(code("acme")),
            cell: Some(code("cell-1")),
        }
        .into(),
        AccountGrantedV1 { account: code("a"), roles: vec![Role::Planner], sites: vec![code("plant-1")] }.into(),
        AccountRevokedV1 { account: code("a"), roles: vec![Role::Planner], sites: vec![code("plant-1")] }.into(),
        AccountSecretRotatedV1 { account: code("a") }.into(),
        AccountDisabledV1 { account: code("a"), reason: Some(text("left the company")) }.into(),
        AccountEnabledV1 { account: code("a") }.into(),
        SubjectErasedV1 { customer_id: Some(code("acme")), account: Some(code("a")), reason: Some(text("case 7")) }
            .into(),
    ];
    all.extend(plant::all());
    all.extend(super::ticket::one_of_each());
    all.extend(super::plan::one_of_each());
    all
}
