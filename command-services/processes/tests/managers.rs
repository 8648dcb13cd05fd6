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
use mw_processes::store::FOLLOWED;
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
    let rows = s.ready(Context::Production, 100).unwrap();
    for r in &rows {
        let m = r.message(s.account());
        let site = r.site.parse().unwrap();
        let e = CommandEnvelope::read(&m.payload, Context::Production, Some(&site)).unwrap();
        assert_eq!(m.topic, format!("mw/v1/{site}/cmd/processes/production"));
        assert!(e.command.is_ok(), "{} {:?}: {:?}", r.command, r.payload, e.command);
    }
    rows
}

fn open(dir: &Path, h: &History) -> Store {
    let mut s = Store::open(dir).unwrap();
    s.apply(Context::Production, &h.commits).unwrap();
    FOLLOWED.iter().for_each(|c| s.read_once(*c).unwrap());
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
    let mut logs = [History::default(), History::default()];
    for e in samples::all() {
        // As stored, sealed text is not plain; what has some is written without a vault elsewhere.
        if e.encode().is_ok() {
            let after_service = e.event_type().aggregate().context() == Context::AfterService;
            logs[usize::from(after_service)].happened(&[(id(1), e)]);
        }
    }
    let [mut h, tickets] = logs;
    assert!(tickets.commits.len() > 40, "{}", tickets.commits.len());
    let mut unknown = (*h.commits.last().unwrap().clone()).clone();
    unknown.number = unknown.number.next();
    if let Some(e) = unknown.events.first_mut() {
        e.event.event_type = "SomethingNewer".into();
    }
    h.commits.push(Arc::new(unknown));
    let s = open(dir.path(), &h);
    assert_eq!(s.head(Context::Production), CommitNumber(h.commits.len() as u64));
    ready(&s);
    let mut s = s;
    s.apply(Context::AfterService, &tickets.commits).unwrap();
    ready(&s);
    // And the other way round.
    let dir = tempfile::tempdir().unwrap();
    let mut s = Store::open(dir.path()).unwrap();
    s.apply(Context::AfterService, &tickets.commits).unwrap();
    s.apply(Context::Production, &h.commits).unwrap();
    let far = t0().plus_millis(400 * 24 * 3_600_000);
    FOLLOWED.iter().for_each(|c| s.read_once(*c).unwrap());
    while s.fire(far, 100).unwrap() > 0 {}
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

/// A sample of an event with some of its fields changed.
macro_rules! changed {
    ($name:ident, |$e:ident| $change:block) => {{
        let mut event = sample(stringify!($name));
        if let Event::$name($e) = &mut event $change
        event
    }};
}

fn time(text: &str) -> Instant {
    text.parse().unwrap()
}

impl History {
    /// Somebody did something at another time than all the rest.
    fn happened_at(&mut self, at: &str, of: &[(AggregateId, Event)]) {
        self.happened(of);
        let commit = self.commits.last_mut().and_then(Arc::get_mut).unwrap();
        commit.events.iter_mut().for_each(|e| e.event.occurred_at = time(at));
    }

    fn document(&mut self, kind: &str, name: &str, text: &str) {
        let put = changed!(ReferencePut, |e| {
            (e.kind, e.code) = (kind.parse().unwrap(), name.parse().unwrap());
            e.document = mw_contract::event::reference::DocumentText(text.into());
        });
        self.happened(&[(id(900 + self.commits.len() as u128), put)]);
    }

    /// The plant of the downtimes: a cell that is watched, why it may stop, and two shifts a day.
    fn plant(&mut self) {
        self.document(
            "catalogue",
            "stop_reasons",
            r#"{"entries":[{"code":"broken","is_downtime":true,"loss_category":"breakdown"},
                {"code":"lunch","is_downtime":false,"loss_category":"planned_stop"}]}"#,
        );
        self.document("site", "plant-1", r#"{"time_zone":"Europe/Berlin","settings":{"auto_close_days":2}}"#);
        self.document(
            "shift_calendar",
            "two",
            r#"{"site":"plant-1","shifts":[{"code":"early","from":"06:00","to":"14:00","days":["mon","tue"]},
                {"code":"late","from":"14:00","to":"22:00","days":["mon","tue"]}]}"#,
        );
        let cell = changed!(EquipmentRegistered, |e| {
            (e.code, e.site_id, e.line_id) =
                ("cell-1".parse().unwrap(), "plant-1".parse().unwrap(), "line-1".parse().unwrap());
        });
        self.happened(&[(id(50), cell)]);
        self.happened(&[(id(1), created())]);
    }
}

fn session(n: u128) -> mw_contract::EntityId {
    mw_contract::EntityId(Uuid::from_u128(n))
}

fn started(n: u128) -> (AggregateId, Event) {
    let e = changed!(OperationStarted, |e| {
        (e.session_id, e.cell_id) = (session(n), "cell-1".parse().unwrap());
    });
    (id(1), e)
}

fn paused(n: u128, why: Option<&str>) -> (AggregateId, Event) {
    let e = changed!(OperationPaused, |e| {
        (e.session_id, e.reason, e.note) = (session(n), why.map(|w| w.parse().unwrap()), None);
    });
    (id(1), e)
}

fn down(row: &Row) -> (AggregateId, Event) {
    let e = changed!(DowntimeStarted, |e| {
        e.downtime_id = row.payload["downtime_id"].as_str().unwrap().parse().unwrap();
        (e.cell_id, e.note) = ("cell-1".parse().unwrap(), None);
        e.reason = row.payload["reason"].as_str().map(|r| r.parse().unwrap());
    });
    (id(50), e)
}

fn ended(row: &Row) -> (AggregateId, Event) {
    let e = changed!(DowntimeEnded, |e| {
        e.downtime_id = row.payload["downtime_id"].as_str().unwrap().parse().unwrap();
        e.cell_id = "cell-1".parse().unwrap();
    });
    (id(50), e)
}

fn split(row: &Row) -> (AggregateId, Event) {
    let e = changed!(DowntimeSplit, |e| {
        e.downtime_id = row.payload["downtime_id"].as_str().unwrap().parse().unwrap();
        e.new_downtime_id = row.payload["new_downtime_id"].as_str().unwrap().parse().unwrap();
        (e.cell_id, e.split_at) =
            ("cell-1".parse().unwrap(), row.payload["split_at"].as_str().unwrap().parse().unwrap());
    });
    (id(50), e)
}

/// The one command that waits.
fn only(s: &Store) -> Row {
    let mut rows = ready(s);
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows.remove(0)
}

#[test]
fn pm_8_an_operation_that_stops_for_a_loss_opens_a_downtime_and_going_on_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut h = History::default();
    h.plant();
    h.happened_at("2026-03-02T08:00:00Z", &[started(1)]);
    h.happened_at("2026-03-02T09:00:00Z", &[paused(1, Some("lunch"))]);
    h.happened_at("2026-03-02T09:30:00Z", &[started(2)]);
    assert!(ready(&open(dir.path(), &h)).is_empty(), "lunch is no downtime");
    h.happened_at("2026-03-02T10:00:00Z", &[paused(2, Some("broken"))]);
    let begin = only(&open(dir.path(), &h));
    assert_eq!((begin.command.as_str(), begin.aggregate.as_str()), ("equipment.start-downtime", &*id(50).to_string()));
    assert_eq!(
        (&begin.payload["reason"], &begin.payload["work_order_id"]),
        (&"broken".into(), &id(1).to_string().into())
    );
    assert_eq!(begin.occurred_at.as_deref(), Some("2026-03-02T10:00:00.000Z"), "it stopped then, not now");
    h.decided(&begin, None, &[down(&begin)]);
    // Another operation stops on the cell that stands still anyway.
    h.happened_at("2026-03-02T10:05:00Z", &[paused(2, Some("broken"))]);
    assert!(ready(&open(dir.path(), &h)).is_empty());
    h.happened_at("2026-03-02T10:40:00Z", &[started(3)]);
    let end = only(&open(dir.path(), &h));
    assert_eq!(
        (end.command.as_str(), &end.payload["downtime_id"]),
        ("equipment.end-downtime", &begin.payload["downtime_id"])
    );
    assert_eq!(end.occurred_at.as_deref(), Some("2026-03-02T10:40:00.000Z"));
    h.decided(&end, None, &[ended(&end)]);
    h.happened_at("2026-03-02T10:50:00Z", &[paused(3, Some("broken"))]);
    assert_ne!(only(&open(dir.path(), &h)).payload["downtime_id"], begin.payload["downtime_id"], "a new one");
}

#[test]
fn pm_8_a_machine_that_is_down_opens_a_downtime_without_a_reason_and_a_faster_person_wins() {
    let dir = tempfile::tempdir().unwrap();
    let mut h = History::default();
    h.plant();
    let state = |old, new| {
        let e = changed!(MachineStateChanged, |e| {
            (e.cell_id, e.old, e.new) = ("cell-1".parse().unwrap(), old, new);
        });
        (id(50), e)
    };
    use mw_contract::MachineState::{Down, Running};
    h.happened(&[state(Some(Running), Down)]);
    let begin = only(&open(dir.path(), &h));
    assert_eq!((begin.command.as_str(), &begin.payload["reason"]), ("equipment.start-downtime", &Value::Null));
    // Somebody had begun one already: nobody needs to look at that, and nothing is ended from here.
    h.decided(&begin, Some(ErrorCode::InvalidState), &[]);
    h.happened(&[state(Some(Down), Running)]);
    let s = open(dir.path(), &h);
    assert!(ready(&s).is_empty());
    assert_eq!(s.depth().unwrap().failed, 0);
}

#[test]
fn pm_8_a_downtime_over_the_end_of_a_shift_is_split_there_and_one_that_ended_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut h = History::default();
    h.plant();
    h.happened_at("2026-03-02T08:00:00Z", &[started(1)]);
    h.happened_at("2026-03-02T12:50:00Z", &[paused(1, Some("broken"))]);
    let begin = only(&open(dir.path(), &h));
    h.decided(&begin, None, &[down(&begin)]);
    h.commits.last_mut().and_then(Arc::get_mut).unwrap().events[0].event.occurred_at = time("2026-03-02T12:50:00Z");
    // 14:00 in Berlin.
    let mut s = open(dir.path(), &h);
    assert_eq!(s.fire(time("2026-03-02T12:59:59Z"), 10).unwrap(), 0);
    assert_eq!(s.fire(time("2026-03-02T13:00:00Z"), 10).unwrap(), 1);
    let cut = only(&s);
    assert_eq!(
        (cut.command.as_str(), &cut.payload["downtime_id"]),
        ("equipment.classify-downtime", &begin.payload["downtime_id"])
    );
    assert_eq!(cut.payload["split_at"], "2026-03-02T13:00:00.000Z");
    h.decided(&cut, None, &[split(&cut)]);
    // What goes on is the second; at the end of the late shift it is split too, and so on.
    let mut s = open(dir.path(), &h);
    assert_eq!(s.fire(time("2026-03-02T21:00:00Z"), 10).unwrap(), 1);
    let again = only(&s);
    assert_eq!(again.payload["downtime_id"], cut.payload["new_downtime_id"]);
    assert_eq!(again.payload["split_at"], "2026-03-02T21:00:00.000Z");
    drop(s);
    // The cell goes on while that is on its way: the end is told to what the downtime is called then.
    h.happened_at("2026-03-02T21:10:00Z", &[started(2)]);
    assert_eq!(only(&open(dir.path(), &h)).command_id, again.command_id, "one after the other to one machine");
    h.decided(&again, None, &[split(&again)]);
    let end = only(&open(dir.path(), &h));
    assert_eq!(
        (end.command.as_str(), &end.payload["downtime_id"]),
        ("equipment.end-downtime", &cut.payload["new_downtime_id"])
    );
    h.decided(&end, Some(ErrorCode::InvalidState), &[]);
    let end = only(&open(dir.path(), &h));
    assert_eq!(
        (end.command.as_str(), &end.payload["downtime_id"]),
        ("equipment.end-downtime", &again.payload["new_downtime_id"])
    );
    assert_eq!(end.occurred_at.as_deref(), Some("2026-03-02T21:10:00.000Z"));
    h.decided(&end, None, &[ended(&end)]);
    h.happened_at("2026-03-02T21:30:00Z", &[paused(2, None)]);
    let mut s = open(dir.path(), &h);
    assert_eq!(s.fire(time("2026-03-03T23:00:00Z"), 10).unwrap(), 0, "nothing is left to split");
    assert_eq!(s.depth().unwrap().failed, 0);
}

fn completed() -> Event {
    changed!(WorkOrderCompleted, |e| {
        e.note = None;
    })
}

#[test]
fn pm_9_a_completed_order_is_closed_after_its_days_on_the_version_that_it_has_then() {
    let dir = tempfile::tempdir().unwrap();
    let mut h = History::default();
    h.plant();
    h.happened(&[(id(1), completed())]);
    let due = t0().plus_millis(2 * 24 * 3_600_000);
    let mut s = open(dir.path(), &h);
    assert_eq!((s.fire(due.plus_millis(-1), 10).unwrap(), s.fire(due, 10).unwrap()), (0, 1));
    let close = only(&s);
    assert_eq!((close.command.as_str(), close.aggregate.as_str()), ("work-order.close", &*id(1).to_string()));
    drop(s);
    // A note came in between: it is tried again on the new version, and nobody is bothered.
    let note = changed!(NoteAdded, |e| {
        e.attachments = Vec::new();
    });
    h.happened(&[(id(1), note)]);
    h.decided(&close, Some(ErrorCode::VersionConflict), &[]);
    let mut s = open(dir.path(), &h);
    assert_eq!(s.fire(due, 10).unwrap(), 1);
    let again = only(&s);
    assert_ne!(again.command_id, close.command_id);
    assert_eq!(s.depth().unwrap().failed, 0);
    drop(s);
    // One that is taken up again is not closed.
    let reopened = changed!(WorkOrderReopened, |e| {
        (e.to_state, e.note) = (mw_contract::WorkOrderState::InProgress, None);
    });
    h.decided(&again, Some(ErrorCode::VersionConflict), &[]);
    h.happened(&[(id(1), reopened)]);
    let mut s = open(dir.path(), &h);
    assert_eq!(s.fire(due.plus_millis(1_000_000_000), 10).unwrap(), 0);
    assert!(ready(&s).is_empty());
}

/// An order that got all it asked for: the reservation, and the history.
fn supplied(dir: &Path) -> (History, Row) {
    let mut h = History::default();
    let (c, r) = released();
    h.happened(&[(id(1), c)]);
    h.happened(&[stock("a-1", "30")]);
    h.happened(&[(id(1), r)]);
    let ask = only(&open(dir, &h));
    h.decided(&ask, None, &[(id(1), requested(&ask))]);
    let take = only(&open(dir, &h));
    h.decided(&take, None, &[(take.aggregate.parse().unwrap(), reserved(&take))]);
    let confirm = only(&open(dir, &h));
    let told = changed!(MaterialReserved, |e| {
        e.request_id = ask.payload["request_id"].as_str().unwrap().parse().unwrap();
        e.lines.truncate(1);
        let l = &mut e.lines[0];
        l.reservation_id = take.payload["reservation_id"].as_str().unwrap().parse().unwrap();
        (l.line_no, l.item_id, l.qty) = (1, "bolt".parse().unwrap(), "10".parse().unwrap());
        (l.location, l.lot) = ("a-1".parse().unwrap(), None);
    });
    h.decided(&confirm, None, &[(id(1), told)]);
    assert!(ready(&open(dir, &h)).is_empty());
    (h, take)
}

fn let_go(reservation: &Row) -> Event {
    changed!(MaterialReservationReleased, |e| {
        e.reservations.truncate(1);
        let l = &mut e.reservations[0];
        l.reservation_id = reservation.payload["reservation_id"].as_str().unwrap().parse().unwrap();
        (l.line_no, l.item_id, l.qty) = (1, "bolt".parse().unwrap(), "10".parse().unwrap());
    })
}

#[test]
fn pm_6_what_was_set_aside_and_not_fetched_goes_to_others_after_fourteen_days() {
    let dir = tempfile::tempdir().unwrap();
    let (mut h, take) = supplied(dir.path());
    let due = t0().plus_millis(14 * 24 * 3_600_000);
    let mut s = open(dir.path(), &h);
    assert_eq!((s.fire(due.plus_millis(-1), 10).unwrap(), s.fire(due, 10).unwrap()), (0, 1));
    let row = only(&s);
    drop(s);
    assert_eq!(row.command, "work-order.release-reservation");
    assert_eq!(row.payload["reservation_ids"], serde_json::json!([take.payload["reservation_id"]]));
    // The order lets it go; stock follows.
    h.decided(&row, None, &[(id(1), let_go(&take))]);
    let row = only(&open(dir.path(), &h));
    assert_eq!(
        (row.command.as_str(), &row.payload["reservation_id"]),
        ("stock.release-reservation", &take.payload["reservation_id"])
    );
}

#[test]
fn pm_6_what_is_issued_and_returned_at_an_order_goes_to_and_fro_in_stock_and_is_not_given_away() {
    let dir = tempfile::tempdir().unwrap();
    let (mut h, take) = supplied(dir.path());
    let issued = changed!(MaterialIssued, |e| {
        e.note = None;
        e.lines.truncate(1);
        let l = &mut e.lines[0];
        (l.line_no, l.item_id, l.qty) = (1, "bolt".parse().unwrap(), "10".parse().unwrap());
        (l.lot, l.serials, l.from_location) = (None, Vec::new(), "a-1".parse().unwrap());
        l.reservation_id = Some(take.payload["reservation_id"].as_str().unwrap().parse().unwrap());
    });
    h.happened(&[(id(1), issued)]);
    let issue = only(&open(dir.path(), &h));
    assert_eq!((issue.command.as_str(), &issue.aggregate), ("stock.issue", &take.aggregate));
    assert_eq!(
        (&issue.payload["qty"], &issue.payload["reservation_id"]),
        (&"10".into(), &take.payload["reservation_id"])
    );
    let gone = changed!(StockIssued, |e| {
        (e.item_id, e.location, e.lot) = ("bolt".parse().unwrap(), "a-1".parse().unwrap(), None);
        (e.qty, e.on_hand) = ("10".parse().unwrap(), "20".parse().unwrap());
        e.reservation_id = Some(take.payload["reservation_id"].as_str().unwrap().parse().unwrap());
    });
    h.decided(&issue, None, &[(take.aggregate.parse().unwrap(), gone)]);
    let mut s = open(dir.path(), &h);
    assert_eq!(s.fire(t0().plus_millis(15 * 24 * 3_600_000), 10).unwrap(), 0, "it was fetched in time");
    drop(s);
    let back = changed!(MaterialReturned, |e| {
        e.note = None;
        e.lines.truncate(1);
        let l = &mut e.lines[0];
        (l.line_no, l.item_id, l.qty) = (1, "bolt".parse().unwrap(), "4".parse().unwrap());
        (l.lot, l.serials, l.to_location) = (None, Vec::new(), "a-2".parse().unwrap());
    });
    h.happened(&[(id(1), back)]);
    let row = only(&open(dir.path(), &h));
    assert_eq!(
        (row.command.as_str(), &row.payload["qty"], &row.payload["location"]),
        ("stock.return", &"4".into(), &"a-2".into())
    );
}

#[test]
fn pm_6_an_order_that_needs_less_gives_back_whole_reservations_only() {
    for (new, back) in [("1", false), ("0.000001", false)] {
        // 10 are kept for 5 pieces of 2; the one reservation fits into no surplus but all of it.
        let dir = tempfile::tempdir().unwrap();
        let (mut h, _) = supplied(dir.path());
        let less = changed!(WorkOrderQuantityChanged, |e| {
            (e.old_qty, e.new_qty, e.note) = ("5".parse().unwrap(), new.parse().unwrap(), None);
        });
        h.happened(&[(id(1), less)]);
        assert_eq!(!ready(&open(dir.path(), &h)).is_empty(), back, "{new}");
    }
    let dir = tempfile::tempdir().unwrap();
    let (mut h, first) = supplied(dir.path());
    let change = |old: &str, new: &str| {
        changed!(WorkOrderQuantityChanged, |e| {
            (e.old_qty, e.new_qty, e.note) = (old.parse().unwrap(), new.parse().unwrap(), None);
        })
    };
    h.happened(&[(id(1), change("5", "7"))]);
    let ask = only(&open(dir.path(), &h));
    assert_eq!(ask.payload["lines"][0]["qty"], "4", "two pieces more of two each");
    h.decided(&ask, None, &[(id(1), requested(&ask))]);
    let take = only(&open(dir.path(), &h));
    h.decided(&take, None, &[(take.aggregate.parse().unwrap(), reserved(&take))]);
    let confirm = only(&open(dir.path(), &h));
    let told = changed!(MaterialReserved, |e| {
        e.request_id = ask.payload["request_id"].as_str().unwrap().parse().unwrap();
        e.lines.truncate(1);
        let l = &mut e.lines[0];
        l.reservation_id = take.payload["reservation_id"].as_str().unwrap().parse().unwrap();
        (l.line_no, l.item_id, l.qty) = (1, "bolt".parse().unwrap(), "4".parse().unwrap());
    });
    h.decided(&confirm, None, &[(id(1), told)]);
    h.happened(&[(id(1), change("7", "5"))]);
    let row = only(&open(dir.path(), &h));
    assert_eq!(row.command, "work-order.release-reservation");
    assert_eq!(row.payload["reservation_ids"], serde_json::json!([take.payload["reservation_id"]]), "not {first:?}");
}

#[test]
fn pm_7_genealogy_that_is_put_right_changes_the_unit() {
    let dir = tempfile::tempdir().unwrap();
    let mut h = History::default();
    h.happened(&[(id(1), created())]);
    let amended = changed!(UnitGenealogyAmended, |e| {
        e.note = None;
    });
    let data = amended.data();
    h.happened(&[(id(1), amended)]);
    let row = only(&open(dir.path(), &h));
    assert_eq!(row.command, "unit.change-component");
    for field in ["serial", "product_id", "removed", "added"] {
        assert_eq!(row.payload[field], data[field], "{field}");
    }
}

#[test]
fn the_rest_of_a_short_closed_order_becomes_an_order_of_its_own_that_is_linked() {
    use mw_contract::Remainder;
    for (remainder, dropped, made) in
        [(Remainder::NewOrder, "36", true), (Remainder::Drop, "36", false), (Remainder::NewOrder, "0", false)]
    {
        let dir = tempfile::tempdir().unwrap();
        let mut h = History::default();
        h.happened(&[(id(1), created())]);
        let short = changed!(WorkOrderShortClosed, |e| {
            (e.dropped_qty, e.remainder, e.new_work_order_id) = (dropped.parse().unwrap(), remainder, Some(id(7)));
            e.note = None;
        });
        h.happened(&[(id(1), short)]);
        if !made {
            assert!(ready(&open(dir.path(), &h)).is_empty());
            continue;
        }
        let row = only(&open(dir.path(), &h));
        assert_eq!((row.command.as_str(), row.aggregate.as_str()), ("work-order.create", &*id(7).to_string()));
        assert_eq!(row.payload["planned_qty"], "36");
        h.decided(&row, None, &[(id(7), created())]);
        let link = only(&open(dir.path(), &h));
        assert_eq!((link.command.as_str(), &link.payload["relation"]), ("work-order.link", &"split_of".into()));
    }
}

#[test]
fn pm_3_rework_in_an_order_of_its_own_makes_it_and_its_cancellation_gives_the_pieces_back() {
    use mw_contract::{Disposition, ReworkMode};
    let dir = tempfile::tempdir().unwrap();
    let mut h = History::default();
    h.happened(&[(id(1), created())]);
    let disposed = changed!(NonconformanceDispositioned, |e| {
        e.note = None;
        e.lines.truncate(1);
        let l = &mut e.lines[0];
        (l.disposition, l.qty) = (Disposition::Rework, "3".parse().unwrap());
        e.rework = Some(mw_contract::event::parts::ReworkV1 {
            mode: ReworkMode::NewOrder,
            operations: Vec::new(),
            new_work_order_id: Some(id(8)),
        });
    });
    h.happened(&[(id(1), disposed)]);
    let row = only(&open(dir.path(), &h));
    assert_eq!((&row.payload["order_type"], &row.payload["planned_qty"]), (&"rework".into(), &"3".into()));
    assert_eq!(row.payload["bom"], serde_json::json!([]));
    h.decided(&row, None, &[(id(8), created())]);
    let links = ready(&open(dir.path(), &h));
    assert_eq!(links.iter().map(|r| &*r.aggregate).collect::<Vec<_>>().len(), 2, "{links:?}");
    for l in &links {
        h.decided(l, None, &[]);
    }
    let gone = changed!(WorkOrderCancelled, |e| {
        e.note = None;
    });
    h.happened(&[(id(8), gone)]);
    let back = only(&open(dir.path(), &h));
    assert_eq!(
        (back.command.as_str(), back.aggregate.as_str()),
        ("work-order.return-nonconformance", &*id(1).to_string())
    );
}

/// Every row of every table, by table.
fn rows(dir: &Path) -> std::collections::BTreeMap<String, Vec<String>> {
    let file = std::fs::read_dir(dir).unwrap().map(|f| f.unwrap().path());
    let file = file.into_iter().find(|f| f.extension().is_some_and(|e| e == "db")).unwrap();
    let conn = rusqlite::Connection::open(file).unwrap();
    let mut q = conn.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").unwrap();
    let names: Vec<String> = q.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect();
    let one = |name: String| {
        let mut q = conn.prepare(&format!("SELECT * FROM \"{name}\"")).unwrap();
        let width = q.column_count();
        let text = |r: &rusqlite::Row<'_>| -> rusqlite::Result<String> {
            Ok((0..width).map(|i| format!("{:?}|", r.get_ref_unwrap(i))).collect())
        };
        let mut all: Vec<String> = q.query_map([], text).unwrap().map(Result::unwrap).collect();
        all.sort();
        (name, all)
    };
    names.into_iter().map(one).collect()
}

#[test]
fn a_file_that_is_built_again_holds_what_the_first_one_held_and_sends_what_still_waits() {
    let dir = tempfile::tempdir().unwrap();
    let (mut h, _) = supplied(dir.path());
    h.happened(&[(id(1), completed())]);
    h.plant();
    h.happened_at("2026-03-02T08:00:00Z", &[started(1)]);
    h.happened_at("2026-03-02T10:00:00Z", &[paused(1, Some("broken"))]);
    let s = open(dir.path(), &h);
    let waiting = ready(&s);
    assert!(waiting.len() >= 2, "{waiting:?}");
    drop(s);
    let other = tempfile::tempdir().unwrap();
    assert_eq!(ready(&open(other.path(), &h)), waiting);
    assert_eq!(rows(other.path()), rows(dir.path()));
    // And once everything has its outcome nothing is sent, however it is built.
    for row in &waiting {
        h.decided(row, Some(ErrorCode::AlreadyExists), &[]);
    }
    for d in [dir.path(), tempfile::tempdir().unwrap().path()] {
        assert!(ready(&open(d, &h)).is_empty());
    }
}
