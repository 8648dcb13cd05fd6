//! Both logs as a test makes them, and the managers on them: live, and built again in every order.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use mw_contract::command::CommandEnvelope;
use mw_contract::commit::NewEvent;
use mw_contract::event::samples;
use mw_contract::event::{Event, reference::DocumentText};
use mw_contract::{
    AggregateId, CausationId, CommandId, CommitHead, CommitNumber, Context, EntityId, ErrorCode, EventId, Instant,
    Outcome, Position, Rejection, Role, Sealed, StoredCommit, StoredEvent, StreamId, Version,
};
use mw_processes::Store;
use mw_processes::outbox::Row;
use mw_processes::store::FOLLOWED;
use serde_json::Value;
use uuid::Uuid;

/// A sample of an event with some of its fields changed.
#[macro_export]
macro_rules! changed {
    ($name:ident, |$e:ident| $change:block) => {{
        let mut event = $crate::common::sample(stringify!($name));
        if let mw_contract::Event::$name($e) = &mut event $change
        event
    }};
}

pub fn sample(name: &str) -> Event {
    let mut e = samples::all().into_iter().find(|e| e.event_type().as_str() == name).unwrap();
    // As it is stored.
    e.sealed_fields(&mut |s| *s = Sealed::Cipher { key_id: Uuid::from_u128(9), bytes: vec![1, 2, 3] });
    e
}

pub fn at(text: &str) -> Instant {
    text.parse().unwrap()
}

pub fn id(n: u128) -> AggregateId {
    AggregateId(Uuid::from_u128(n))
}

pub fn entity(n: u128) -> EntityId {
    EntityId(Uuid::from_u128(n))
}

pub fn entity_of(v: &Value) -> EntityId {
    v.as_str().unwrap().parse().unwrap()
}

/// The two logs.
#[derive(Default)]
pub struct Logs {
    commits: HashMap<Context, Vec<Arc<StoredCommit>>>,
    positions: HashMap<Context, u64>,
    versions: HashMap<StreamId, u64>,
    sent: u128,
}

/// The managers at work on both logs as they grow.
pub struct Live {
    pub logs: Logs,
    pub store: Store,
    pub now: Instant,
    dir: tempfile::TempDir,
}

/// An order in which two logs may be read.
#[derive(Clone, Copy, Debug)]
pub enum Order {
    ProductionFirst,
    AfterServiceFirst,
    Alternating,
}

impl Logs {
    fn push(&mut self, context: Context, head: CommitHead, of: &[(AggregateId, Event)]) {
        let mut events = Vec::new();
        for (aggregate, e) in of {
            let (name, schema, payload) = e.encode().unwrap();
            let stream = StreamId::new(e.event_type().aggregate(), *aggregate);
            assert_eq!(stream.kind.context(), context, "{name}");
            let version = self.versions.entry(stream).or_default();
            *version += 1;
            let position = self.positions.entry(context).or_default();
            *position += 1;
            let event = NewEvent {
                stream,
                version: Version(*version),
                event_id: EventId(Uuid::new_v5(&head.command_id.0, &[events.len() as u8])),
                event_type: name.into(),
                schema,
                occurred_at: head.occurred_at,
                late: false,
                payload,
            };
            events.push(StoredEvent { position: Position(*position), event });
        }
        let last_position = Position(self.positions.get(&context).copied().unwrap_or(0));
        let log = self.commits.entry(context).or_default();
        let number = CommitNumber(log.len() as u64 + 1);
        log.push(Arc::new(StoredCommit { number, last_position, head, events }));
    }

    /// The commits of a log.
    pub fn of(&self, context: Context) -> &[Arc<StoredCommit>] {
        self.commits.get(&context).map(Vec::as_slice).unwrap_or_default()
    }

    /// Feeds a store what it has not read of a log.
    fn feed(&self, store: &mut Store, context: Context) {
        store.apply(context, self.of(context)).unwrap();
        store.read_once(context).unwrap();
    }

    /// A store that was built from nothing, in an order.
    pub fn built(&self, dir: &Path, order: Order) -> Store {
        let mut store = Store::open(dir).unwrap();
        match order {
            Order::ProductionFirst => {}
            Order::AfterServiceFirst => self.feed(&mut store, Context::AfterService),
            Order::Alternating => {
                let longest = FOLLOWED.iter().map(|c| self.of(*c).len()).max().unwrap_or(0);
                for n in 1..=longest {
                    for c in FOLLOWED {
                        let log = self.of(c);
                        store.apply(c, &log[..n.min(log.len())]).unwrap();
                    }
                }
            }
        }
        FOLLOWED.iter().for_each(|c| self.feed(&mut store, *c));
        store
    }
}

fn head(id: CommandId, command: &str, account: &str, at: Instant, outcome: Outcome) -> CommitHead {
    CommitHead {
        command_id: id,
        command_type: command.into(),
        account: account.parse().unwrap(),
        role: Some(Role::Planner),
        site: Some("plant-1".parse().unwrap()),
        payload_hash: [0; 32],
        aggregate_id: None,
        version: Version(0),
        recorded_at: at,
        occurred_at: at,
        device: None,
        correlation_id: None,
        causation_id: None,
        outcome,
        warnings: Vec::new(),
    }
}

/// The commands that wait; each must be one that its context reads.
pub fn waiting(store: &Store) -> Vec<Row> {
    let mut rows = Vec::new();
    for context in FOLLOWED {
        for r in store.ready(context, 500).unwrap() {
            let m = r.message(store.account());
            let site = "plant-1".parse().unwrap();
            let e = CommandEnvelope::read(&m.payload, context, Some(&site)).unwrap();
            assert_eq!(m.topic, format!("mw/v1/plant-1/cmd/processes/{context}"));
            assert!(e.command.is_ok(), "{} {:?}: {:?}", r.command, r.payload, e.command);
            rows.push(r);
        }
    }
    rows
}

impl Live {
    pub fn new(now: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        FOLLOWED.iter().for_each(|c| store.read_once(*c).unwrap());
        Live { logs: Logs::default(), store, now: at(now), dir }
    }

    /// Somebody did something now.
    pub fn happened(&mut self, of: &[(AggregateId, Event)]) {
        self.unread(of);
        FOLLOWED.iter().for_each(|c| self.logs.feed(&mut self.store, *c));
    }

    /// The same, and the managers have not read it yet.
    pub fn unread(&mut self, of: &[(AggregateId, Event)]) {
        self.logs.sent += 1;
        let id = CommandId(Uuid::from_u128(self.logs.sent));
        let context = of[0].1.event_type().aggregate().context();
        self.logs.push(context, head(id, "test", "planner-1", self.now, Outcome::Accepted), of);
    }

    pub fn read(&mut self, context: Context) {
        self.logs.feed(&mut self.store, context);
    }

    fn decided(&mut self, row: &Row, outcome: Outcome, of: &[(AggregateId, Event)]) {
        let mut h = head(row.command_id, &row.command, "processes", self.now, outcome);
        h.aggregate_id = row.aggregate.parse().ok();
        h.causation_id = Some(CausationId(row.trigger.parse().unwrap()));
        self.logs.push(row.context, h, of);
        self.logs.feed(&mut self.store, row.context);
    }

    /// A command was accepted, and these are its events.
    pub fn accept(&mut self, row: &Row, of: &[(AggregateId, Event)]) {
        self.decided(row, Outcome::Accepted, of);
    }

    pub fn refuse(&mut self, row: &Row, code: ErrorCode) {
        self.decided(row, Outcome::Rejected(Rejection::new(code, "no")), &[]);
    }

    /// It met what answers it already.
    pub fn existing(&mut self, row: &Row, of: &[(AggregateId, Event)]) {
        self.decided(row, Outcome::Existing, of);
    }

    /// Time passes, and what is due fires.
    pub fn until(&mut self, time: &str) -> usize {
        self.now = at(time);
        fire(&mut self.store, self.now)
    }

    pub fn waiting(&self) -> Vec<Row> {
        waiting(&self.store)
    }

    pub fn commands(&self) -> Vec<String> {
        self.waiting().into_iter().map(|r| r.command).collect()
    }

    /// The one command that waits.
    pub fn only(&self) -> Row {
        let mut rows = self.waiting();
        assert_eq!(rows.len(), 1, "{:?}", rows.iter().map(|r| (&r.command, &r.payload)).collect::<Vec<_>>());
        rows.remove(0)
    }

    /// The one command of a type that waits.
    pub fn one(&self, command: &str) -> Row {
        let rows: Vec<Row> = self.waiting().into_iter().filter(|r| r.command == command).collect();
        assert_eq!(rows.len(), 1, "{command}: {:?}", self.commands());
        rows.into_iter().next().unwrap()
    }

    pub fn failed(&self) -> u64 {
        self.store.depth().unwrap().failed
    }

    /// Built from nothing in every order, the same waits as now; nothing is sent a second time.
    pub fn is_the_same_in_every_order(&mut self) {
        let mut expected: Vec<String> = self.waiting().iter().map(|r| r.command_id.to_string()).collect();
        expected.sort();
        for order in [Order::ProductionFirst, Order::AfterServiceFirst, Order::Alternating] {
            let dir = tempfile::tempdir().unwrap();
            let mut store = self.logs.built(dir.path(), order);
            fire(&mut store, self.now);
            let rows = waiting(&store);
            let mut ids: Vec<String> = rows.iter().map(|r| r.command_id.to_string()).collect();
            ids.sort();
            let named: Vec<_> = rows.iter().map(|r| (&r.process, &r.command, &r.step)).collect();
            assert_eq!(ids, expected, "{order:?}: {named:?}");
        }
    }

    /// A document of reference data.
    pub fn document(&mut self, kind: &str, name: &str, text: &str) {
        let put = changed!(ReferencePut, |e| {
            (e.kind, e.code) = (kind.parse().unwrap(), name.parse().unwrap());
            e.document = DocumentText(text.into());
        });
        let n = 900 + self.logs.sent;
        self.happened(&[(id(n), put)]);
    }

    /// The plant: its site with some settings, and a machine of cell-1 with a threshold of its site.
    pub fn plant(&mut self, settings: &str) {
        self.document("site", "plant-1", &format!(r#"{{"time_zone":"Europe/Berlin","settings":{settings}}}"#));
        let machine = changed!(EquipmentRegistered, |e| {
            (e.code, e.site_id, e.line_id) =
                ("cell-1".parse().unwrap(), "plant-1".parse().unwrap(), "line-1".parse().unwrap());
            e.alarm_threshold = 700;
        });
        self.happened(&[(id(50), machine)]);
    }

    /// A ticket of somebody's own, opened now.
    pub fn ticket(&mut self, n: u128, number: &str) -> AggregateId {
        let opened = ticket(number, |_| {});
        self.happened(&[(id(n), opened)]);
        id(n)
    }
}

pub fn fire(store: &mut Store, now: Instant) -> usize {
    let mut fired = 0;
    loop {
        match store.fire(now, 100).unwrap() {
            0 => return fired,
            n => fired += n,
        }
    }
}

/// A ticket that was opened.
pub fn ticket(number: &str, f: impl FnOnce(&mut mw_contract::event::ticket::TicketOpenedV1)) -> Event {
    changed!(TicketOpened, |e| {
        (e.number, e.site_id) = (number.parse_text(), "plant-1".parse().unwrap());
        (e.alarm, e.dedupe_key, e.plan_id, e.equipment_id) = (None, None, None, None);
        f(e);
    })
}

/// Text from a literal.
pub trait ParseText {
    fn parse_text<const N: usize>(&self) -> mw_contract::Text<N>;
}

impl ParseText for str {
    fn parse_text<const N: usize>(&self) -> mw_contract::Text<N> {
        mw_contract::Text::new(self).unwrap()
    }
}

/// The ticket that `ticket.open` of a manager asks for.
pub fn opened(row: &Row, number: &str) -> (AggregateId, Event) {
    let p = &row.payload;
    let e = ticket(number, |e| {
        e.dedupe_key = p["dedupe_key"].as_str().map(ParseText::parse_text);
        e.kind = p["kind"].as_str().unwrap().parse().unwrap();
        e.plan_id = p["plan_id"].as_str().map(|p| p.parse().unwrap());
        e.alarm = alarm_of(p);
    });
    (row.aggregate.parse().unwrap(), e)
}

pub fn alarm_of(p: &Value) -> Option<mw_contract::event::ticket_parts::TicketAlarmV1> {
    let a = p["alarm"].as_object()?;
    Some(mw_contract::event::ticket_parts::TicketAlarmV1 {
        alarm_id: entity_of(&a["alarm_id"]),
        code: a["code"].as_str().unwrap().parse().unwrap(),
        raised_at: a["raised_at"].as_str().unwrap().parse().unwrap(),
    })
}

/// It was reported again.
pub fn again(row: &Row, count: u32) -> Event {
    changed!(TicketOccurrenceAdded, |e| {
        (e.count, e.dedupe_key) = (count, row.payload["dedupe_key"].as_str().map(ParseText::parse_text));
        e.alarm = alarm_of(&row.payload);
    })
}

/// A unit that was made, good, at the plant.
pub fn unit(l: &mut Live, serial: &str, order: Option<AggregateId>) -> AggregateId {
    let product: mw_contract::ProductId = "pump-200".parse().unwrap();
    let id = mw_contract::unit_id(&product, &serial.parse_text());
    let made = changed!(ProductUnitRegistered, |e| {
        (e.serial, e.product_id, e.site_id) = (serial.parse_text(), product.clone(), "plant-1".parse().unwrap());
        (e.result, e.work_order_id, e.produced_at) = (mw_contract::UnitResult::Good, order, at("2026-03-01T08:00:00Z"));
    });
    l.happened(&[(id, made)]);
    id
}

pub fn shipped(l: &mut Live, serial: &str, customer: &str) {
    let product: mw_contract::ProductId = "pump-200".parse().unwrap();
    let id = mw_contract::unit_id(&product, &serial.parse_text());
    let gone = changed!(UnitShipped, |e| {
        (e.serial, e.product_id, e.customer_id) = (serial.parse_text(), product, customer.parse().unwrap());
    });
    l.happened(&[(id, gone)]);
}
