//! A plant on paper: events by hand, put through the projection into a file in memory.

use mw_contract::commit::{CommitHead, NewEvent, Outcome, StoredCommit, StoredEvent};
use mw_contract::event::equipment::*;
use mw_contract::event::parts::*;
use mw_contract::event::reference::*;
use mw_contract::event::work_order::*;
use mw_contract::reference::Uom;
use mw_contract::*;
use mw_policy::{Account, Route, Scope, query_scope};
use mw_production_views::FigureViews;
use mw_production_views::figures::report::{Group, Item, Question, kpis};
use mw_production_views::figures::spans::Span;
use mw_projection::Projection;
use rusqlite::Connection;
use serde_json::Value;
use uuid::Uuid;

pub struct Plant {
    pub conn: Connection,
    pub log: Vec<(StoredCommit, Event)>,
    views: FigureViews,
    next: u64,
    /// Recorded so many milliseconds after it happened.
    pub delay: i64,
}

pub fn at(t: &str) -> Instant {
    let t = if t.len() == 5 { format!("2026-03-02T{t}:00Z") } else { t.to_owned() };
    t.parse().unwrap()
}

pub fn code<T: std::str::FromStr>(s: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    s.parse().unwrap()
}

pub fn qty(s: &str) -> Qty {
    s.parse().unwrap()
}

pub fn entity(n: u128) -> EntityId {
    EntityId(Uuid::from_u128(n))
}

pub fn order_id(n: u128) -> AggregateId {
    AggregateId(Uuid::from_u128(n))
}

fn reasons(all: &[(&str, &str)]) -> Vec<ReasonQtyV1> {
    all.iter().map(|(r, n)| ReasonQtyV1 { qty: qty(n), reason: code(r), note: None }).collect()
}

pub fn scope(sites: &[&str]) -> Scope {
    let account = Account {
        name: code("planner-1"),
        roles: [Role::Planner].into(),
        sites: sites.iter().map(|s| code(s)).collect(),
        customer_id: None,
        cell: None,
        disabled: false,
        service: false,
    };
    query_scope(&account, Route::Figures).unwrap()
}

pub fn views_in_memory() -> (Connection, FigureViews) {
    let conn = Connection::open_in_memory().unwrap();
    let views = FigureViews::new();
    views.create_tables(&conn).unwrap();
    views.create_indexes(&conn).unwrap();
    (conn, views)
}

impl Plant {
    pub fn new() -> Plant {
        let (conn, views) = views_in_memory();
        let mut p = Plant { conn, log: Vec::new(), views, next: 0, delay: 0 };
        p.put(ReferenceKind::Site, "plant-1", r#"{"time_zone":"Europe/Berlin"}"#, "2026-01-01T00:00:00Z");
        p.put(ReferenceKind::Line, "line-1", r#"{"site":"plant-1"}"#, "2026-01-01T00:00:00Z");
        p
    }

    /// Something happened, and was recorded `delay` later.
    pub fn event(&mut self, kind: AggregateKind, id: AggregateId, event: Event, when: Instant) {
        self.recorded(kind, id, event, when, when.plus_millis(self.delay));
    }

    pub fn recorded(&mut self, kind: AggregateKind, id: AggregateId, event: Event, when: Instant, recorded: Instant) {
        self.next += 1;
        let version = self.log.iter().filter(|(c, _)| c.events[0].event.stream.id == id).count() as u64 + 1;
        let (_, schema, payload) = event.encode().unwrap();
        let commit = StoredCommit {
            number: CommitNumber(self.next),
            last_position: Position(self.next),
            head: CommitHead {
                command_id: CommandId(Uuid::from_u128(self.next.into())),
                command_type: "test".into(),
                account: code("operator-1"),
                role: Some(Role::Operator),
                site: Some(code("plant-1")),
                payload_hash: [0; 32],
                aggregate_id: Some(id),
                version: Version(version),
                recorded_at: recorded,
                occurred_at: when,
                device: None,
                correlation_id: None,
                causation_id: None,
                outcome: Outcome::Accepted,
                warnings: Vec::new(),
            },
            events: vec![StoredEvent {
                position: Position(self.next),
                event: NewEvent {
                    stream: StreamId::new(kind, id),
                    version: Version(version),
                    event_id: EventId(Uuid::from_u128(self.next.into())),
                    event_type: event.event_type().as_str().into(),
                    schema,
                    occurred_at: when,
                    late: false,
                    payload,
                },
            }],
        };
        self.views.apply(&self.conn, &commit, std::slice::from_ref(&event)).unwrap();
        self.views.finish(&self.conn).unwrap();
        self.log.push((commit, event));
    }

    pub fn put(&mut self, kind: ReferenceKind, name: &str, document: &str, when: &str) {
        let event = ReferencePutV1 { kind, code: code(name), revision: 1, document: DocumentText(document.into()) };
        let id = reference_id(kind, &code(name));
        self.event(AggregateKind::Reference, id, event.into(), at(when));
    }

    pub fn cell(&mut self, name: &str, when: &str) {
        let cell: CellId = code(name);
        let event = EquipmentRegisteredV1 {
            code: cell.clone(),
            name: None,
            class: None,
            site_id: code("plant-1"),
            area: None,
            line_id: code("line-1"),
            ideal_cycle: None,
            no_signal_timeout: Seconds(300),
            alarm_threshold: 700,
            sparkplug_id: None,
        };
        self.event(AggregateKind::Equipment, equipment_id(&cell), event.into(), at(when));
    }

    /// An order of one or two operations at 60 s a piece, made, released.
    pub fn order(&mut self, n: u128, planned: &str, due: &str, made: &str, ops: &[u16]) {
        let step = |op: &u16| RoutingOperationV1 {
            op: *op,
            name: Text::new("work").unwrap(),
            cell_id: None,
            cell_class: None,
            setup_time: Seconds(0),
            run_time_per_unit: qty("60"),
            predecessors: None,
            overlap: Overlap::None,
            transfer_batch_qty: None,
            inspection: InspectionPlan::None,
        };
        let routing: Vec<_> = ops.iter().map(step).collect();
        let created = WorkOrderCreatedV1 {
            number: Text::new("WO-2026-000001").unwrap(),
            order_type: OrderType::Production,
            product_id: code("pump-200"),
            product_rev: None,
            tracking: Tracking::None,
            planned_qty: qty(planned),
            uom: Uom::new("H87").unwrap(),
            due_at: at(due),
            priority: 3,
            site_id: code("plant-1"),
            line_id: Some(code("line-1")),
            over_tolerance_pct: Percent::ZERO,
            under_tolerance_pct: Percent::ZERO,
            replace_scrap: false,
            sales_order_ref: None,
            customer_id: None,
            parent_work_order_id: None,
            origin: OriginV1 { kind: OriginKind::Manual, id: None },
            bom_ref: None,
            bom: Vec::new(),
            routing_ref: None,
            routing: routing.clone(),
            note: None,
        };
        self.wo(n, created, at(made));
        let released = WorkOrderReleasedV1 { bom: Vec::new(), routing, shortages: Vec::new(), note: None };
        self.wo(n, released, at(made));
    }

    pub fn wo(&mut self, n: u128, event: impl Into<Event>, when: Instant) {
        self.event(AggregateKind::WorkOrder, order_id(n), event.into(), when);
    }

    pub fn start(&mut self, n: u128, op: u16, session: u128, cell: &str, who: &str, kind: SessionKind, when: Instant) {
        let event = OperationStartedV1 {
            op,
            session_id: entity(session),
            cell_id: code(cell),
            operator: code(who),
            kind,
            qty_planned: None,
        };
        self.wo(n, event, when);
    }

    pub fn pause(&mut self, n: u128, op: u16, session: u128, reason: Option<(&str, LossCategory)>, when: Instant) {
        let event = OperationPausedV1 {
            op,
            session_id: entity(session),
            cause: PauseCause::Pause,
            reason: reason.map(|r| code(r.0)),
            loss_category: reason.map(|r| r.1),
            session_duration: Seconds(0),
            note: None,
        };
        self.wo(n, event, when);
    }

    /// A session from one time to another.
    pub fn session(&mut self, n: u128, op: u16, id: u128, cell: &str, kind: SessionKind, from: &str, to: &str) {
        self.start(n, op, id, cell, "operator-1", kind, at(from));
        self.pause(n, op, id, None, at(to));
    }

    pub fn report(
        &mut self,
        n: u128,
        op: u16,
        id: u128,
        cell: &str,
        source: QuantitySource,
        (good, scrap, rework): (&str, &[(&str, &str)], &[(&str, &str)]),
        when: Instant,
    ) {
        let event = OperationQuantityReportedV1 {
            report_id: entity(id),
            op,
            source,
            good: qty(good),
            scrap: reasons(scrap),
            rework: reasons(rework),
            session_id: None,
            cell_id: Some(code(cell)),
            operator: code("operator-1"),
            lot: None,
            serials: Vec::new(),
            counter: None,
            totals: TotalsV1 { good: qty(good), ..TotalsV1::default() },
        };
        self.wo(n, event, when);
    }

    pub fn correct(&mut self, n: u128, op: u16, id: u128, good: &str, when: Instant, recorded: Instant) {
        let none = || QuantitiesV1 { good: Qty::ZERO, scrap: Vec::new(), rework: Vec::new() };
        let event = OperationReportCorrectedV1 {
            report_id: entity(id),
            op,
            source: QuantitySource::Fresh,
            old: none(),
            new: QuantitiesV1 { good: qty(good), ..none() },
            delta: DeltaV1 {
                good: Change::between(Qty::ZERO, qty(good)),
                scrap: Change::between(Qty::ZERO, Qty::ZERO),
                rework: Change::between(Qty::ZERO, Qty::ZERO),
            },
            totals: TotalsV1 { good: qty(good), ..TotalsV1::default() },
            reason: code("other"),
            corrects_event_id: EventId(Uuid::from_u128(id)),
            note: None,
        };
        self.recorded(AggregateKind::WorkOrder, order_id(n), event.into(), when, recorded);
    }

    pub fn downtime(
        &mut self,
        id: u128,
        cell: &str,
        why: Option<(&str, LossCategory, bool)>,
        from: Instant,
        to: Instant,
    ) {
        let cell_id: CellId = code(cell);
        let stream = equipment_id(&cell_id);
        let event = DowntimeStartedV1 {
            downtime_id: entity(id),
            cell_id: cell_id.clone(),
            reason: why.map(|w| code(w.0)),
            loss_category: why.map(|w| w.1),
            planned: why.is_some_and(|w| w.2),
            work_order_id: None,
            op: None,
            note: None,
        };
        self.event(AggregateKind::Equipment, stream, event.into(), from);
        let event = DowntimeEndedV1 { downtime_id: entity(id), cell_id, duration: Seconds(0) };
        self.event(AggregateKind::Equipment, stream, event.into(), to);
    }

    pub fn ask(&self, q: &Question) -> Vec<Item> {
        kpis(&self.conn, &scope(&["plant-1"]), q, &[], self.next).unwrap()
    }
}

pub fn question(from: &str, to: &str, group: Option<Group>) -> Question {
    Question {
        span: Span::new(at(from).millis(), at(to).millis()),
        group,
        kpis: Vec::new(),
        site: None,
        line: None,
        cell: None,
        product: None,
        revision: None,
        now: at("2026-03-02T23:59:00Z"),
    }
}

/// A field of a KPI in a group.
pub fn field(items: &[Item], name: &str, group: Option<&str>, field: &str) -> Value {
    let one = items.iter().find(|i| i.name == name && i.fields["group"].as_str() == group);
    one.unwrap_or_else(|| panic!("no {name} of {group:?}")).fields.get(field).cloned().unwrap_or(Value::Null)
}

pub fn value(items: &[Item], name: &str) -> String {
    field(items, name, None, "value").as_str().unwrap_or("null").to_owned()
}
