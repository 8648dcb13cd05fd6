//! From events to commands, over crashes and rebuilds.

use std::path::Path;
use std::sync::Arc;

use mw_contract::command::CommandEnvelope;
use mw_contract::commit::{NewCommit, NewEvent};
use mw_contract::event::Event;
use mw_contract::event::samples;
use mw_contract::{
    AggregateId, CommandId, CommitHead, CommitNumber, Context, ErrorCode, Instant, Outcome, Position, Rejection, Role,
    StoredCommit, StoredEvent, StreamId, Version,
};
use mw_processes::Store;
use mw_processes::outbox::Row;
use serde_json::Value;
use uuid::Uuid;

fn t0() -> Instant {
    "2026-03-02T08:00:00.000Z".parse().unwrap()
}

/// History as the test makes it.
#[derive(Default)]
struct History {
    commits: Vec<Arc<StoredCommit>>,
    versions: std::collections::HashMap<StreamId, u64>,
    position: u64,
}

impl History {
    fn push(&mut self, account: &str, id: CommandId, command: &str, outcome: Outcome, of: &[(AggregateId, Event)]) {
        let at = t0();
        let mut events = Vec::new();
        for (aggregate, e) in of {
            let (name, schema, payload) = e.encode().unwrap();
            let stream = StreamId::new(e.event_type().aggregate(), *aggregate);
            let version = self.versions.entry(stream).or_default();
            *version += 1;
            self.position += 1;
            let event_id = mw_contract::EventId(Uuid::new_v5(&id.0, &[events.len() as u8]));
            let event = NewEvent {
                stream,
                version: Version(*version),
                event_id,
                event_type: name.into(),
                schema,
                occurred_at: at,
                late: false,
                payload,
            };
            events.push(StoredEvent { position: Position(self.position), event });
        }
        let head = CommitHead {
            command_id: id,
            command_type: command.into(),
            account: account.parse().unwrap(),
            role: Some(Role::Planner),
            site: Some("plant-1".parse().unwrap()),
            payload_hash: [0; 32],
            aggregate_id: of.first().map(|x| x.0),
            version: Version(0),
            recorded_at: at,
            occurred_at: at,
            device: None,
            correlation_id: None,
            causation_id: None,
            outcome,
            warnings: Vec::new(),
        };
        let NewCommit { head, .. } = NewCommit { head, events: Vec::new() };
        let number = CommitNumber(self.commits.len() as u64 + 1);
        self.commits.push(Arc::new(StoredCommit { number, last_position: Position(self.position), head, events }));
    }

    /// Somebody did something.
    fn happened(&mut self, of: &[(AggregateId, Event)]) {
        let id = CommandId(Uuid::from_u128(self.commits.len() as u128 + 1));
        self.push("planner-1", id, "work-order.create", Outcome::Accepted, of);
    }

    /// A command of a manager was decided.
    fn decided(&mut self, row: &Row, refused: Option<ErrorCode>, of: &[(AggregateId, Event)]) {
        let outcome = refused.map_or(Outcome::Accepted, |c| Outcome::Rejected(Rejection::new(c, "no")));
        self.push("processes", row.command_id, &row.command, outcome, of);
        if let Some(c) = self.commits.last_mut().and_then(Arc::get_mut) {
            c.head.aggregate_id = row.aggregate.parse().ok();
        }
    }
}

fn sample(name: &str) -> Event {
    samples::all().into_iter().find(|e| e.event_type().as_str() == name).unwrap()
}

fn id(n: u128) -> AggregateId {
    AggregateId(Uuid::from_u128(n))
}

/// The commands that wait; each must be one that production reads.
fn ready(s: &Store) -> Vec<Row> {
    let rows = s.ready(100).unwrap();
    for r in &rows {
        let m = r.message(s.account());
        let site = "plant-1".parse().unwrap();
        let e = CommandEnvelope::read(&m.payload, Context::Production, Some(&site)).unwrap();
        assert_eq!(m.topic, "mw/v1/plant-1/cmd/processes/production");
        assert!(e.command.is_ok(), "{} {:?}: {:?}", r.command, r.payload, e.command);
    }
    rows
}

fn open(dir: &Path, h: &History) -> Store {
    let mut s = Store::open(dir).unwrap();
    s.apply(&h.commits).unwrap();
    s
}

fn created() -> Event {
    let mut e = sample("WorkOrderCreated");
    if let Event::WorkOrderCreated(c) = &mut e {
        c.site_id = "plant-1".parse().unwrap();
        c.note = None;
    }
    e
}

fn commands(s: &Store) -> Vec<String> {
    ready(s).into_iter().map(|r| r.command).collect()
}

#[test]
fn a_registered_unit_gets_a_life_of_its_own_once_over_crash_and_rebuild() {
    let dir = tempfile::tempdir().unwrap();
    let mut h = History::default();
    h.happened(&[(id(1), created())]);
    h.happened(&[(id(1), sample("UnitRegistered"))]);
    let first = ready(&open(dir.path(), &h));
    assert_eq!(first.iter().map(|r| r.command.as_str()).collect::<Vec<_>>(), ["unit.register"]);
    // A crash after the transaction: the same command waits, and once.
    assert_eq!(ready(&open(dir.path(), &h)), first);
    // Built again before the outcome: the same id.
    let other = tempfile::tempdir().unwrap();
    assert_eq!(ready(&open(other.path(), &h)), first);
    h.decided(&first[0], None, &[]);
    for d in [dir.path(), other.path(), tempfile::tempdir().unwrap().path()] {
        assert!(ready(&open(d, &h)).is_empty());
    }
}

#[test]
fn a_refusal_that_nobody_expected_is_kept_for_people() {
    let dir = tempfile::tempdir().unwrap();
    let mut h = History::default();
    h.happened(&[(id(1), created())]);
    h.happened(&[(id(1), sample("UnitRegistered"))]);
    let row = ready(&open(dir.path(), &h)).remove(0);
    h.decided(&row, Some(ErrorCode::GuardFailed), &[]);
    let s = open(dir.path(), &h);
    assert!(ready(&s).is_empty());
    assert_eq!((s.depth().unwrap().open, s.depth().unwrap().failed), (0, 1));
}

#[test]
fn every_event_of_the_registry_is_taken_whatever_came_before() {
    let dir = tempfile::tempdir().unwrap();
    let mut h = History::default();
    for e in samples::all() {
        // As stored, sealed text is not plain; what has some is written without a vault elsewhere.
        if e.encode().is_ok() {
            h.happened(&[(id(1), e)]);
        }
    }
    let mut unknown = (*h.commits.last().unwrap().clone()).clone();
    unknown.number = unknown.number.next();
    if let Some(e) = unknown.events.first_mut() {
        e.event.event_type = "SomethingNewer".into();
    }
    h.commits.push(Arc::new(unknown));
    let s = open(dir.path(), &h);
    assert_eq!(s.head(), CommitNumber(h.commits.len() as u64));
    ready(&s);
}

#[test]
fn a_session_that_lasts_sixteen_hours_ends_then_and_a_settled_rebuild_sends_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut h = History::default();
    h.happened(&[(id(1), created())]);
    h.happened(&[(id(1), sample("OperationStarted"))]);
    let due = t0().plus_millis(16 * 3_600_000);
    let mut s = open(dir.path(), &h);
    assert_eq!(s.fire(due.plus_millis(-1), 10).unwrap(), 0);
    assert_eq!(s.fire(due, 10).unwrap(), 1);
    let row = ready(&s).remove(0);
    assert_eq!((row.command.as_str(), row.occurred_at), ("work-order.pause-operation", Some(due.to_string())));
    let row = ready(&s).remove(0);
    // Its outcome stands in the log, but the pause itself came to nothing: the timer fires again
    // after a rebuild, and the command is known to be done.
    h.decided(&row, Some(ErrorCode::InvalidState), &[]);
    let again = tempfile::tempdir().unwrap();
    let mut s = open(again.path(), &h);
    assert_eq!(s.fire(due, 10).unwrap(), 1);
    assert!(ready(&s).is_empty());
}

#[test]
fn a_split_order_gets_its_parts_and_then_their_links() {
    let dir = tempfile::tempdir().unwrap();
    let mut h = History::default();
    h.happened(&[(id(1), created())]);
    h.happened(&[(id(1), sample("WorkOrderSplit"))]);
    let rows = ready(&open(dir.path(), &h));
    assert!(!rows.is_empty() && rows.iter().all(|r| r.command == "work-order.create"), "{rows:?}");
    assert_eq!(rows[0].payload["origin"], serde_json::json!({"kind": "split", "id": id(1).to_string()}));
    h.decided(&rows[0], None, &[(rows[0].aggregate.parse().unwrap(), created())]);
    let s = open(dir.path(), &h);
    let next: Vec<Row> = ready(&s).into_iter().filter(|r| r.aggregate == rows[0].aggregate).collect();
    assert!(next.iter().any(|r| r.command == "work-order.link" || r.command == "work-order.allocate-serials"));
}

fn released() -> (Event, Event) {
    let (mut c, mut r) = (created(), sample("WorkOrderReleased"));
    let line = serde_json::json!([{"line_no": 1, "item_id": "bolt", "qty_per_unit": "2"}]);
    let bom: Vec<mw_contract::event::parts::BomLineV1> = serde_json::from_value(line).unwrap();
    if let Event::WorkOrderCreated(c) = &mut c {
        c.planned_qty = "5".parse().unwrap();
        c.bom = bom.clone();
    }
    if let Event::WorkOrderReleased(r) = &mut r {
        r.bom = bom;
        r.note = None;
    }
    (c, r)
}

fn stock(location: &str, n: &str) -> (AggregateId, Event) {
    let mut e = sample("StockReceived");
    let item = "bolt".parse().unwrap();
    let location = location.parse().unwrap();
    let id = mw_contract::ids::stock_id(&item, &location, None);
    if let Event::StockReceived(s) = &mut e {
        (s.item_id, s.location, s.lot, s.on_hand) = (item, location, None, n.parse().unwrap());
    }
    (id, e)
}

fn requested(row: &Row) -> Event {
    let mut e = sample("MaterialRequested");
    if let Event::MaterialRequested(m) = &mut e {
        m.request_id = row.payload["request_id"].as_str().unwrap().parse().unwrap();
        m.lines.truncate(1);
        let l = &mut m.lines[0];
        (l.line_no, l.item_id, l.qty) =
            (1, "bolt".parse().unwrap(), row.payload["lines"][0]["qty"].as_str().unwrap().parse().unwrap());
        (l.location, l.lot) = (None, None);
    }
    e
}

fn reserved(row: &Row) -> Event {
    let mut e = sample("StockReserved");
    if let Event::StockReserved(s) = &mut e {
        s.reservation_id = row.payload["reservation_id"].as_str().unwrap().parse().unwrap();
        s.qty = row.payload["qty"].as_str().unwrap().parse().unwrap();
        s.work_order_id = Some(id(1));
    }
    e
}

#[test]
fn a_released_order_gets_its_material_from_several_places_and_hears_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let mut h = History::default();
    let (c, r) = released();
    h.happened(&[(id(1), c)]);
    h.happened(&[stock("a-1", "3")]);
    h.happened(&[stock("a-2", "5")]);
    h.happened(&[(id(1), r)]);
    let ask = ready(&open(dir.path(), &h)).remove(0);
    assert_eq!(ask.command, "work-order.request-material");
    assert_eq!(ask.payload["lines"], serde_json::json!([{"line_no": 1, "qty": "10"}]));
    h.decided(&ask, None, &[(id(1), requested(&ask))]);
    let rows = ready(&open(dir.path(), &h));
    let takes: Vec<(&Value, &Value)> = rows.iter().map(|r| (&r.payload["location"], &r.payload["qty"])).collect();
    assert_eq!(takes, [(&"a-2".into(), &"5".into()), (&"a-1".into(), &"3".into())]);
    for row in &rows {
        h.decided(row, None, &[(row.aggregate.parse().unwrap(), reserved(row))]);
    }
    let confirm = ready(&open(dir.path(), &h)).remove(0);
    assert_eq!(confirm.command, "work-order.confirm-reservation");
    assert_eq!(confirm.payload["failed"][0]["missing_qty"], "2");
    assert_eq!(confirm.payload["reserved"].as_array().unwrap().len(), 2);
    // The order was cancelled meanwhile: everything goes back.
    let mut gone = sample("WorkOrderCancelled");
    if let Event::WorkOrderCancelled(w) = &mut gone {
        w.note = None;
    }
    h.happened(&[(id(1), gone)]);
    let s = open(dir.path(), &h);
    let released = commands(&s).iter().filter(|c| *c == "stock.release-reservation").count();
    assert_eq!(released, 2);
}
