//! The way of a command through a command service, with the business of production and a bus that
//! the test holds in its hands.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mw_contract::commit::Outcome;
use mw_contract::{AccountName, CommitNumber, Context, Instant, Role};
use mw_log::{CheckpointKey, EventLog, MemoryLog, OpenOptions, SledLog, Vault};
use mw_policy::Account;
use mw_production::Production;
use mw_runtime::metrics::Metrics;
use mw_runtime::{Accounts, Bus, BusError, BusinessClock, CommandService, Inbound, Outbound, Parts};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;

const SOON: Duration = Duration::from_secs(10);
const START: &str = "2026-03-02T08:00:00.000Z";

/// What is published comes out of `out`; what is put into `input` is received.
struct TestBus {
    input: tokio::sync::Mutex<mpsc::UnboundedReceiver<Inbound>>,
    out: mpsc::UnboundedSender<Outbound>,
}

#[async_trait]
impl Bus for TestBus {
    async fn subscribe(&self, filter: &str) -> Result<(), BusError> {
        assert_eq!(filter, "mw/v1/+/cmd/+/production");
        Ok(())
    }

    async fn recv(&self) -> Result<Inbound, BusError> {
        match self.input.lock().await.recv().await {
            Some(m) => Ok(m),
            None => std::future::pending().await,
        }
    }

    async fn publish(&self, messages: Vec<Outbound>) -> Result<(), BusError> {
        for m in messages {
            let _ = self.out.send(m);
        }
        Ok(())
    }
}

#[derive(Default)]
struct People(Mutex<HashMap<String, Arc<Account>>>);

impl People {
    fn set(&self, name: &str, role: Role, sites: &[&str]) {
        let account = Account {
            name: name.parse().unwrap(),
            roles: [role].into(),
            sites: sites.iter().map(|s| s.parse().unwrap()).collect(),
            customer_id: None,
            cell: None,
            disabled: false,
            service: false,
        };
        self.0.lock().insert(name.to_owned(), Arc::new(account));
    }
}

impl Accounts for People {
    fn account(&self, name: &AccountName) -> Option<Arc<Account>> {
        self.0.lock().get(name.as_str()).cloned()
    }
}

struct Rig {
    service: Arc<CommandService>,
    input: mpsc::UnboundedSender<Inbound>,
    out: mpsc::UnboundedReceiver<Outbound>,
    clock: Arc<BusinessClock>,
    people: Arc<People>,
    log: Arc<dyn EventLog>,
}

async fn start(dir: &Path, log: Arc<dyn EventLog>) -> Rig {
    let (input, rx) = mpsc::unbounded_channel();
    let (tx, out) = mpsc::unbounded_channel();
    let bus = Arc::new(TestBus { input: tokio::sync::Mutex::new(rx), out: tx });
    let clock = Arc::new(BusinessClock::demo(START.parse::<Instant>().unwrap(), 1.0));
    let people = Arc::new(People::default());
    people.set("planner-1", Role::Planner, &["plant-1"]);
    people.set("operator-1", Role::Operator, &["plant-1"]);
    people.set("admin", Role::Admin, &["plant-1"]);
    let parts = Parts {
        log: log.clone(),
        vault: Arc::new(Vault::open(&dir.join("vault")).unwrap()),
        accounts: people.clone(),
        clock: clock.clone(),
        bus: Some(bus),
        state_dir: dir.join("state"),
        metrics: Metrics::register(&mut Registry::default(), Context::Production),
        before_commit: None,
    };
    let service = CommandService::start(Production::default(), parts).await.unwrap();
    Rig { service, input, out, clock, people, log }
}

impl Rig {
    fn send(&self, account: &str, payload: &Value) {
        self.send_raw(&format!("mw/v1/plant-1/cmd/{account}/production"), payload.to_string().into_bytes());
    }

    fn send_raw(&self, topic: &str, payload: Vec<u8>) {
        let m = Inbound {
            topic: topic.into(),
            payload: payload.into(),
            response_topic: None,
            correlation_data: None,
            receipt: None,
        };
        self.input.send(m).unwrap();
    }

    async fn next(&mut self) -> (String, Value) {
        let m = tokio::time::timeout(SOON, self.out.recv()).await.expect("nothing was published").unwrap();
        (m.topic, serde_json::from_slice(&m.payload).unwrap())
    }

    /// The next reply; events on the way are passed over.
    async fn reply(&mut self) -> Value {
        loop {
            let (topic, v) = self.next().await;
            if topic.contains("/rsp/") {
                return v;
            }
        }
    }

    async fn ask(&mut self, account: &str, payload: &Value) -> Value {
        self.send(account, payload);
        self.reply().await
    }

    async fn with_bracket(mut self) -> Self {
        for (kind, code, document) in mw_production::demo::DOCUMENTS {
            let document: Value = serde_json::from_str(document).unwrap();
            let c = command("reference.put", None, json!({"kind": kind, "code": code, "document": document}));
            let r = self.ask("admin", &c).await;
            assert_eq!(r["status"], "accepted", "{r}");
        }
        self
    }
}

fn command(kind: &str, aggregate: Option<Uuid>, payload: Value) -> Value {
    let mut c = json!({"command_id": Uuid::now_v7(), "type": kind, "payload": payload});
    if let Some(a) = aggregate {
        c["aggregate_id"] = json!(a);
    }
    c
}

fn create(id: Uuid) -> Value {
    let payload =
        json!({"product_id": "bracket-10", "planned_qty": "3", "uom": "H87", "due_at": "2026-04-01T00:00:00.000Z"});
    command("work-order.create", Some(id), payload)
}

fn note(id: Uuid, text: &str) -> Value {
    command("work-order.add-note", Some(id), json!({"note_id": Uuid::now_v7(), "text": text}))
}

async fn memory() -> (tempfile::TempDir, Rig) {
    let dir = tempfile::tempdir().unwrap();
    let rig = start(dir.path(), Arc::new(MemoryLog::new(Context::Production))).await.with_bracket().await;
    (dir, rig)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_command_is_stored_replied_and_published_in_that_order() {
    let (_dir, mut r) = memory().await;
    let id = Uuid::now_v7();
    let before = r.log.head();
    let c = create(id);
    r.send("planner-1", &c);
    let (topic, reply) = r.next().await;
    // Events of the reference data may still stand before it.
    let (topic, reply) = if topic.contains("/rsp/") { (topic, reply) } else { (String::new(), r.reply().await) };
    assert!(topic.is_empty() || topic == "mw/v1/plant-1/rsp/planner-1", "{topic}");
    assert_eq!(reply["status"], "accepted", "{reply}");
    assert_eq!(reply["command_id"], c["command_id"]);
    assert_eq!(reply["aggregate_id"], json!(id));
    assert_eq!((&reply["version"], &reply["context"]), (&json!(1), &json!("production")));
    assert_eq!(reply["position"], json!(before.position.0 + 1));
    assert!(r.log.head().position > before.position, "replied before it was stored");
    let (topic, event) = r.next().await;
    assert_eq!(topic, "mw/v1/plant-1/evt/work-order/work-order-created");
    assert_eq!(event["actor"], "planner-1");
    assert_eq!(event["actorrole"], "planner");
    assert_eq!(event["subject"], json!(format!("work-order/{id}")));
    assert_eq!(event["position"], reply["position"]);
    assert_eq!(event["id"], reply["events"][0]["event_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn g1_a_repeat_gets_the_first_outcome_and_acts_once() {
    let (_dir, mut r) = memory().await;
    let c = create(Uuid::now_v7());
    // In one go, so that the repeat may meet the first one undecided, undurable or durable.
    for _ in 0..5 {
        r.send("planner-1", &c);
    }
    let first = r.reply().await;
    assert_eq!(first["status"], "accepted");
    let head = r.log.head();
    for _ in 0..4 {
        let again = r.reply().await;
        assert_eq!(again["status"], "duplicate");
        for same in ["aggregate_id", "version", "position", "events", "command_id"] {
            assert_eq!(again[same], first[same], "{same}");
        }
    }
    assert_eq!(r.ask("planner-1", &c).await["status"], "duplicate");
    assert_eq!(r.log.head(), head, "a repeat stores nothing");
    // The same id from another account is another command.
    let mut other = create(Uuid::now_v7());
    other["command_id"] = c["command_id"].clone();
    assert_eq!(r.ask("admin", &other).await["status"], "accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn g1_an_id_that_was_used_for_something_else_is_refused_and_the_first_outcome_stays() {
    let (_dir, mut r) = memory().await;
    let c = create(Uuid::now_v7());
    assert_eq!(r.ask("planner-1", &c).await["status"], "accepted");
    let mut other = create(Uuid::now_v7());
    other["command_id"] = c["command_id"].clone();
    let refused = r.ask("planner-1", &other).await;
    assert_eq!(refused["error"]["code"], "IDEMPOTENCY_KEY_REUSED", "{refused}");
    assert_eq!(refused["error"]["retryable"], false);
    assert_eq!(r.ask("planner-1", &c).await["status"], "duplicate");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_stored_repeated_and_forgotten_after_thirty_days() {
    let (_dir, mut r) = memory().await;
    let mut c = create(Uuid::now_v7());
    c["payload"]["product_id"] = json!("unknown-product");
    let before = r.log.head();
    let refused = r.ask("planner-1", &c).await;
    assert_eq!(refused["status"], "rejected");
    assert_eq!(refused["position"], Value::Null);
    let head = r.log.head();
    assert_eq!((head.commit.0, head.position), (before.commit.0 + 1, before.position));
    let stored = r.log.read(head.commit, 1).unwrap();
    assert!(matches!(stored[0].head.outcome, Outcome::Rejected(_)));
    r.clock.advance(29 * 24 * 3_600_000);
    let again = r.ask("planner-1", &c).await;
    assert_eq!((&again["status"], &again["error"]), (&json!("duplicate"), &refused["error"]));
    r.clock.advance(2 * 24 * 3_600_000);
    assert_eq!(r.ask("planner-1", &c).await["status"], "rejected", "decided anew");
    assert_eq!(r.log.head().commit.0, head.commit.0 + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn forbidden_is_stored_and_says_nothing_of_the_business() {
    let (_dir, mut r) = memory().await;
    let before = r.log.head().commit;
    let refused = r.ask("operator-1", &create(Uuid::now_v7())).await;
    assert_eq!(refused["error"]["code"], "FORBIDDEN", "{refused}");
    assert_eq!(r.log.head().commit, before.next());
    let unknown = r.ask("nobody", &create(Uuid::now_v7())).await;
    assert_eq!(unknown["error"]["code"], "FORBIDDEN");
    r.people.set("planner-2", Role::Planner, &["plant-9"]);
    assert_eq!(r.ask("planner-2", &create(Uuid::now_v7())).await["error"]["code"], "FORBIDDEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_without_a_command_are_answered_and_not_stored() {
    let (_dir, mut r) = memory().await;
    let before = r.log.head();
    for bytes in [&b"nonsense"[..], b"", b"[]", b"{}", b"{\"command_id\":7}", b"\xff\xfe"] {
        r.send_raw("mw/v1/plant-1/cmd/planner-1/production", bytes.to_vec());
        let reply = r.reply().await;
        assert_eq!(reply["command_id"], Value::Null);
        assert_eq!((&reply["status"], &reply["error"]["code"]), (&json!("rejected"), &json!("VALIDATION")));
    }
    assert_eq!(r.log.head(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_failing_fields_of_a_shape_are_named_at_once_and_the_refusal_is_stored() {
    let (_dir, mut r) = memory().await;
    let c = command("work-order.create", Some(Uuid::now_v7()), json!({"planned_qty": "-1", "due_at": "soon"}));
    let before = r.log.head().commit;
    let refused = r.ask("planner-1", &c).await;
    assert_eq!(refused["error"]["code"], "VALIDATION");
    let fields: Vec<&str> = refused["error"]["details"]["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["field"].as_str().unwrap())
        .collect();
    for f in ["payload.due_at", "payload.product_id", "payload.planned_qty"] {
        assert!(fields.contains(&f), "{f} is not among {fields:?}");
    }
    assert_eq!(r.log.head().commit, before.next());
    assert_eq!(r.ask("planner-1", &c).await["status"], "duplicate");
}

#[tokio::test(flavor = "multi_thread")]
async fn golden_18_what_a_payload_says_of_its_sender_has_no_effect_and_is_named() {
    let (_dir, mut r) = memory().await;
    let mut c = create(Uuid::now_v7());
    c["account"] = json!("admin");
    c["payload"]["actor"] = json!("admin");
    let reply = r.ask("planner-1", &c).await;
    assert_eq!((&reply["status"], &reply["warnings"][0]["code"]), (&json!("accepted"), &json!("unknown_fields")));
    let message = reply["warnings"][0]["message"].as_str().unwrap();
    assert!(message.ends_with("payload.actor, account"), "{message}");
    let head = r.log.head().commit;
    let stored = r.log.read(head, 1).unwrap();
    assert_eq!(stored[0].head.account.as_str(), "planner-1");
    let again = r.ask("planner-1", &c).await;
    assert_eq!((&again["status"], &again["warnings"]), (&json!("duplicate"), &reply["warnings"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn g2_a_stale_version_is_told_what_happened_since() {
    let (_dir, mut r) = memory().await;
    let id = Uuid::now_v7();
    r.ask("planner-1", &create(id)).await;
    let first = note(id, "first");
    assert_eq!(r.ask("planner-1", &first).await["version"], 2);
    let mut amend = command("work-order.amend", Some(id), json!({"over_tolerance_pct": "5"}));
    amend["expected_version"] = json!(1);
    let refused = r.ask("planner-1", &amend).await;
    assert_eq!(refused["error"]["code"], "VERSION_CONFLICT", "{refused}");
    assert_eq!(refused["error"]["details"]["actual"], 2);
    assert_eq!(refused["error"]["details"]["events_since"], json!(["NoteAdded"]));
    // What only adds is safe on any version.
    let mut second = note(id, "second");
    second["expected_version"] = json!(1);
    assert_eq!(r.ask("planner-1", &second).await["status"], "accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn g2_who_may_not_see_it_is_not_told_its_version() {
    let (_dir, mut r) = memory().await;
    let id = Uuid::now_v7();
    r.ask("planner-1", &create(id)).await;
    r.people.set("planner-2", Role::Planner, &["plant-2"]);
    let mut amend = command("work-order.amend", Some(id), json!({"over_tolerance_pct": "5"}));
    amend["expected_version"] = json!(7);
    r.send_raw("mw/v1/plant-2/cmd/planner-2/production", amend.to_string().into_bytes());
    let refused = r.reply().await;
    assert_eq!(refused["error"]["code"], "NOT_FOUND", "{refused}");
    assert!(!refused.to_string().contains("WorkOrderCreated"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn g3_the_future_is_refused_and_the_past_within_what_a_role_may() {
    let (_dir, mut r) = memory().await;
    let now: Instant = START.parse().unwrap();
    let at = |r: &Rig, ms: i64| {
        let _ = r;
        json!(now.plus_millis(ms))
    };
    let mut c = create(Uuid::now_v7());
    c["occurred_at"] = at(&r, 10 * 60_000);
    let refused = r.ask("planner-1", &c).await;
    assert_eq!(refused["error"]["code"], "CLOCK_SKEW", "{refused}");
    let mut c = create(Uuid::now_v7());
    c["occurred_at"] = at(&r, -100 * 24 * 3_600_000);
    let refused = r.ask("planner-1", &c).await;
    assert_eq!(refused["error"]["code"], "BACKDATE_LIMIT", "{refused}");
    let mut c = create(Uuid::now_v7());
    c["occurred_at"] = at(&r, -3_600_000);
    assert_eq!(r.ask("planner-1", &c).await["status"], "accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_commands_are_decided_in_the_order_of_their_publishing() {
    let (_dir, mut r) = memory().await;
    let id = Uuid::now_v7();
    r.ask("planner-1", &create(id)).await;
    for i in 0..1000 {
        r.send("planner-1", &note(id, &format!("note {i}")));
    }
    for i in 0..1000 {
        let reply = r.reply().await;
        assert_eq!(reply["version"], json!(i + 2));
    }
}

/// Opens the log, as soon as the tasks of a service that was stopped have let go of it.
fn sled(dir: &Path) -> Arc<SledLog> {
    let deadline = std::time::Instant::now() + SOON;
    loop {
        let key = CheckpointKey::load_or_create(&dir.join("keys/checkpoint.key")).unwrap();
        match SledLog::open(OpenOptions::under(dir, Context::Production, Arc::new(key))) {
            Err(mw_log::LogError::InUse(_)) if std::time::Instant::now() < deadline => std::thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_unpublished_is_published_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut r = start(dir.path(), sled(dir.path())).await.with_bracket().await;
    let c = create(Uuid::now_v7());
    let first = r.ask("planner-1", &c).await;
    r.service.shutdown().await;
    drop(r);
    // As if the process had died before it published the last two commits.
    let log = sled(dir.path());
    let head = log.head().commit;
    std::fs::write(dir.path().join("state/published"), (head.0 - 2).to_string()).unwrap();
    let mut r = start(dir.path(), log).await;
    let mut seen = Vec::new();
    while let Ok(m) = r.out.try_recv() {
        let v: Value = serde_json::from_slice(&m.payload).unwrap();
        seen.push((m.topic.contains("/rsp/"), v));
    }
    let replies: Vec<&Value> = seen.iter().filter(|(rsp, _)| *rsp).map(|(_, v)| v).collect();
    assert_eq!(replies.len(), 2);
    assert_eq!(replies[1]["events"], first["events"]);
    let events: Vec<u64> = seen.iter().filter(|(rsp, _)| !rsp).map(|(_, v)| v["position"].as_u64().unwrap()).collect();
    assert_eq!(events.last(), first["position"].as_u64().as_ref());
    assert!(events.is_sorted());
    assert_eq!(r.ask("planner-1", &c).await["status"], "duplicate", "I-2 holds over a restart");
    r.service.shutdown().await;
    drop(r);
    let mut r = start(dir.path(), sled(dir.path())).await;
    assert!(r.out.try_recv().is_err(), "after a clean stop nothing is left to publish");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_sync_nobody_is_answered_and_the_service_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let fail = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let f = fail.clone();
    let key = CheckpointKey::load_or_create(&dir.path().join("keys/checkpoint.key")).unwrap();
    let o = OpenOptions::under(dir.path(), Context::Production, Arc::new(key)).sync_with(move |file| {
        if f.load(std::sync::atomic::Ordering::SeqCst) {
            Err(std::io::Error::other("no space left on the device"))
        } else {
            file.sync_data()
        }
    });
    let mut r = start(dir.path(), SledLog::open(o).unwrap()).await.with_bracket().await;
    while tokio::time::timeout(Duration::from_millis(200), r.out.recv()).await.is_ok() {}
    fail.store(true, std::sync::atomic::Ordering::SeqCst);
    r.send("planner-1", &create(Uuid::now_v7()));
    let why = tokio::time::timeout(SOON, r.service.failed()).await.unwrap();
    assert!(why.to_string().contains("no space left"), "{why}");
    // Its receiver may have ended with it.
    let topic = "mw/v1/plant-1/cmd/planner-1/production".to_owned();
    let payload = create(Uuid::now_v7()).to_string().into();
    let _ = r.input.send(Inbound { topic, payload, response_topic: None, correlation_data: None, receipt: None });
    assert!(r.out.try_recv().is_err(), "I-1: nothing is answered that is not stored");
    let local = r.service.execute("admin".parse().unwrap(), None, b"{}").await;
    drop(local);
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_text_reaches_the_log_and_the_bus_only_sealed() {
    let (_dir, mut r) = memory().await;
    let id = Uuid::now_v7();
    r.ask("planner-1", &create(id)).await;
    r.send("planner-1", &note(id, "Mrs Miller called"));
    loop {
        let (topic, v) = r.next().await;
        assert!(!v.to_string().contains("Miller"), "{topic}: {v}");
        if topic.ends_with("/note-added") {
            assert_eq!(v["data"]["text"], json!({"sealed": true}));
            break;
        }
    }
    let frames = r.log.read(CommitNumber(1), 1000).unwrap();
    for c in frames {
        let bytes = mw_log::frame::encode_stored(&c);
        assert!(!bytes.windows(6).any(|w| w == b"Miller"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_after_which_nothing_happened_tells_the_version_as_it_is() {
    let (_dir, mut r) = memory().await;
    let machine = Uuid::now_v7();
    let registered = r.ask("admin", &command("equipment.register", Some(machine), json!({"code": "cell-1"}))).await;
    assert_eq!((&registered["status"], &registered["version"]), (&json!("accepted"), &json!(1)), "{registered}");
    let running = json!({"state": "running"});
    let first = r.ask("admin", &command("equipment.report-state", Some(machine), running.clone())).await;
    assert_eq!((&first["version"], first["events"].as_array().unwrap().len()), (&json!(2), 1));
    let again = r.ask("admin", &command("equipment.report-state", Some(machine), running)).await;
    assert_eq!((&again["status"], &again["version"]), (&json!("accepted"), &json!(2)), "{again}");
    assert_eq!((&again["events"], &again["position"]), (&json!([]), &first["position"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_is_found_by_its_serial_number() {
    let (_dir, mut r) = memory().await;
    r.people.set("processes", Role::System, &["plant-1"]);
    let made = json!({"serial": "P-1", "product_id": "pump-200", "result": "good"});
    let made = r.ask("processes", &command("unit.register", None, made)).await;
    assert_eq!(made["status"], "accepted", "{made}");
    let ship = command("unit.ship", None, json!({"serial": "P-1", "customer_id": "acme"}));
    let shipped = r.ask("planner-1", &ship).await;
    assert_eq!(
        (&shipped["status"], &shipped["aggregate_id"]),
        (&json!("accepted"), &made["aggregate_id"]),
        "{shipped}"
    );
    assert_eq!(shipped["version"], 3);
    let again = r.ask("planner-1", &ship).await;
    assert_eq!((&again["status"], &again["aggregate_id"]), (&json!("duplicate"), &made["aggregate_id"]));
    let unknown = command("unit.ship", None, json!({"serial": "P-9", "customer_id": "acme"}));
    let unknown = r.ask("planner-1", &unknown).await;
    assert_eq!(
        (&unknown["error"]["code"], &unknown["error"]["field"]),
        (&json!("NOT_FOUND"), &json!("payload.serial"))
    );
    // Who may not do it does not learn what there is.
    let forbidden = command("unit.ship", None, json!({"serial": "P-9", "customer_id": "acme"}));
    assert_eq!(r.ask("operator-1", &forbidden).await["error"]["code"], "FORBIDDEN");
    let nothing = r.ask("planner-1", &command("unit.ship", None, json!({"customer_id": "acme"}))).await;
    assert_eq!(nothing["error"]["code"], "VALIDATION");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_what_was_captured_offline_is_marked() {
    let (_dir, mut r) = memory().await;
    let mut c = note(Uuid::now_v7(), "n");
    c["captured_offline"] = json!(true);
    let refused = r.ask("planner-1", &c).await;
    assert_eq!(refused["error"]["code"], "NOT_FOUND");
    assert_eq!(refused["error"]["details"]["captured_offline"], true);
}
