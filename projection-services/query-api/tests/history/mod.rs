//! History written straight into the log: events of commands whatever their rules are, and refusals.

use mw_contract::commit::{CommitHead, NewCommit, NewEvent, Outcome};
use mw_contract::event::parts::*;
use mw_contract::event::work_order::*;
use mw_contract::*;
use mw_log::EventLog;
use uuid::Uuid;

use crate::plant::Plant;

pub fn code<T: std::str::FromStr>(s: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    s.parse().unwrap()
}

pub fn text<const N: usize>(s: &str) -> Text<N> {
    Text::new(s).unwrap()
}

pub fn at(s: &str) -> Instant {
    s.parse().unwrap()
}

pub fn qty(s: &str) -> Qty {
    s.parse().unwrap()
}

pub fn entity_of(n: u128) -> EntityId {
    EntityId(Uuid::from_u128(n))
}

/// One stream of history.
pub struct Stream {
    pub id: AggregateId,
    pub version: u64,
    pub site: &'static str,
}

impl Stream {
    pub fn new(site: &'static str) -> Stream {
        Stream { id: AggregateId(Uuid::now_v7()), version: 0, site }
    }

    /// One commit with these events of a work order, which happened at `when`.
    pub fn happened(&mut self, p: &Plant, account: &str, when: &str, events: Vec<Event>) {
        let kind = events[0].event_type().aggregate();
        let new = |e: Event| {
            self.version += 1;
            let (event_type, schema, payload) = e.encode().unwrap();
            NewEvent {
                stream: StreamId::new(kind, self.id),
                version: Version(self.version),
                event_id: EventId(Uuid::now_v7()),
                event_type: event_type.into(),
                schema,
                occurred_at: at(when),
                late: false,
                payload,
            }
        };
        let events = events.into_iter().map(new).collect();
        let mut head = head(account, self.site, "work-order.test", when);
        head.aggregate_id = Some(self.id);
        head.version = Version(self.version);
        let log = if kind.context() == Context::AfterService { &p.service_log } else { &p.log };
        log.append(vec![NewCommit { head, events }]).unwrap();
    }
}

pub fn head(account: &str, site: &str, command_type: &str, when: &str) -> CommitHead {
    CommitHead {
        command_id: CommandId(Uuid::now_v7()),
        command_type: command_type.into(),
        account: code(account),
        role: None,
        site: Some(code(site)),
        payload_hash: [0; 32],
        aggregate_id: None,
        version: Version(0),
        recorded_at: at("2026-03-04T12:00:00.000Z"),
        occurred_at: at(when),
        device: None,
        correlation_id: None,
        causation_id: None,
        outcome: Outcome::Accepted,
        warnings: Vec::new(),
    }
}

/// Stores a refusal.
pub fn refused(p: &Plant, mut head: CommitHead, refusal: Rejection) -> CommandId {
    head.outcome = Outcome::Rejected(refusal);
    let id = head.command_id;
    p.log.append(vec![NewCommit { head, events: Vec::new() }]).unwrap();
    id
}

pub fn created(number: &str, site: &str, priority: u8, bom: Vec<BomLineV1>) -> Event {
    WorkOrderCreatedV1 {
        number: text(number),
        order_type: OrderType::Production,
        product_id: code("pump-200"),
        product_rev: None,
        tracking: Tracking::None,
        planned_qty: qty("10"),
        uom: mw_contract::reference::Uom::new("H87").unwrap(),
        due_at: at("2026-03-10T00:00:00.000Z"),
        priority,
        site_id: code(site),
        line_id: None,
        over_tolerance_pct: "0".parse().unwrap(),
        under_tolerance_pct: "0".parse().unwrap(),
        replace_scrap: false,
        sales_order_ref: None,
        customer_id: None,
        parent_work_order_id: None,
        origin: OriginV1 { kind: OriginKind::Manual, id: None },
        bom_ref: None,
        bom,
        routing_ref: None,
        routing: vec![step(10, "assemble", "cell-1", 300, "60"), step(20, "test", "cell-2", 0, "30")],
        note: None,
    }
    .into()
}

fn step(op: u16, name: &str, cell: &str, setup: u64, run: &str) -> RoutingOperationV1 {
    RoutingOperationV1 {
        op,
        name: text(name),
        cell_id: Some(code(cell)),
        cell_class: None,
        setup_time: Seconds(setup),
        run_time_per_unit: qty(run),
        predecessors: None,
        overlap: Overlap::None,
        transfer_batch_qty: None,
        inspection: InspectionPlan::None,
    }
}

pub fn line(line_no: u16, item: &str, per_unit: &str, backflush: bool) -> BomLineV1 {
    BomLineV1 {
        line_no,
        item_id: code(item),
        qty_per_unit: qty(per_unit),
        scrap_factor_pct: "0".parse().unwrap(),
        backflush,
        op: Some(10),
        tracking: Tracking::None,
        key: false,
        alternatives: Vec::new(),
    }
}

pub fn planned(start: &str, end: &str) -> Event {
    WorkOrderPlannedV1 { line_id: code("line-1"), planned_start: at(start), planned_end: at(end), operations: vec![] }
        .into()
}

pub fn released(bom: Vec<BomLineV1>) -> Event {
    WorkOrderReleasedV1 { bom, routing: vec![], shortages: vec![], note: None }.into()
}

pub fn started(op: u16, operator: &str, session: EntityId) -> Event {
    OperationStartedV1 {
        op,
        session_id: session,
        cell_id: code("cell-1"),
        operator: code(operator),
        kind: SessionKind::Run,
        qty_planned: None,
    }
    .into()
}

pub fn reported(op: u16, operator: &str, good: &str) -> Event {
    OperationQuantityReportedV1 {
        report_id: EntityId(Uuid::now_v7()),
        op,
        source: QuantitySource::Fresh,
        good: qty(good),
        scrap: vec![],
        rework: vec![],
        session_id: None,
        cell_id: None,
        operator: code(operator),
        lot: None,
        serials: vec![],
        counter: None,
        totals: TotalsV1 { good: qty(good), scrap: Qty::ZERO, rework_open: Qty::ZERO },
    }
    .into()
}
