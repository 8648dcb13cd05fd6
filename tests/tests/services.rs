//! Every service in a process of its own: how they find each other, what each keeps, and what the
//! others do when one is away. Nothing is shared but MQTT, and the read models between two.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mw_blackbox::commands::Lost;
use mw_blackbox::mosquitto::Protocol;
use mw_blackbox::mqtt::{Connection, Message, Refused};
use mw_blackbox::system::{Mode, SERVICES};
use mw_blackbox::{Commands, Http, SECRET, SITE, System, history, load, story};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);
/// How long an acknowledgement that must not come is waited for.
const LONG_ENOUGH: Duration = Duration::from_secs(2);

fn demo(dir: &Path) -> System {
    System::demo_as(Mode::Services, dir, &["--rate-limit", "0"])
}

fn connect(system: &System, account: &str, secret: &str, client_id: &str) -> Result<Connection, Refused> {
    Connection::open(system.addr("mqtt"), Protocol::V5, client_id, account, secret)
}

/// Polls until it holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

/// The retained status of every service, as an operator reads it.
fn statuses(system: &System) -> Vec<String> {
    let mut c = connect(system, "admin", SECRET, "statuses").expect("connects");
    assert!(c.subscribe("mw/v1/-/status/+").unwrap() < 0x80);
    let mut found = Vec::new();
    while found.len() < SERVICES.len() {
        let Ok(m) = c.message(Duration::from_secs(2)) else { break };
        let name = m.topic.rsplit('/').next().unwrap().to_owned();
        found.push(format!("{name}={}", String::from_utf8_lossy(&m.payload)));
    }
    found.sort();
    found
}

fn online() -> Vec<String> {
    let mut all: Vec<String> = SERVICES.iter().map(|s| format!("{s}=online")).collect();
    all.sort();
    all
}

#[test]
fn they_start_in_any_order_say_what_they_wait_for_and_who_is_away() {
    let dir = tempfile::tempdir().unwrap();
    // The broker last: all others wait for it.
    let mut system = System::services(dir.path(), None, &[]);
    let bin = mw_blackbox::system::binary();
    for name in SERVICES.iter().rev().filter(|s| **s != "broker") {
        system.spawn_service(name, &bin);
    }
    for name in SERVICES.iter().filter(|s| **s != "broker") {
        let (status, text) = system.readyz(name);
        assert_eq!(status, 503, "{name}: {text}");
        assert!(text.starts_with("waiting for: "), "{name}: {text}");
        until(name, || system.readyz(name).1.contains("the broker (localhost:"));
    }
    assert!(system.readyz("production").1.contains("the accounts"));
    system.spawn_service("broker", &bin);
    for name in SERVICES {
        system.wait_ready(name);
        assert_eq!(system.readyz(name), (200, "ready\n".to_owned()), "{name}");
    }
    until("all are online", || statuses(&system) == online());

    // Who is killed is said to be offline by its last will, and online again when it is back.
    system.kill_service("projections");
    until("offline by its will", || statuses(&system).contains(&"projections=offline".to_owned()));
    assert_eq!(system.readyz("query-api").0, 200, "it shows what there is");
    system.start_service("projections");
    until("online again", || statuses(&system) == online());
    // Who says goodbye is offline too.
    system.stop_service("processes");
    until("offline by its own word", || statuses(&system).contains(&"processes=offline".to_owned()));
    system.start_service("processes");

    // The broker comes back: everybody finds it, and its own memory of them was corrected.
    system.kill_service("broker");
    until("they notice", || system.readyz("production").0 == 503);
    system.start_service("broker");
    for name in SERVICES {
        until(name, || system.readyz(name).0 == 200);
    }
    until("all are online", || statuses(&system) == online());

    for name in SERVICES {
        let text = system.metrics(name);
        assert!(text.contains("millwright_ready 1"), "{name}: {text}");
    }
    let production = system.metrics("production");
    for name in ["queue", "decide_seconds", "commit_seconds", "sync_seconds", "reply_seconds", "commands"] {
        assert!(production.contains(&format!("millwright_production_{name}")), "{name}: {production}");
    }
    assert!(system.metrics("projections").contains("millwright_projection_production_lag 0"));
    for name in ["mw_broker_sessions", "mw_broker_publishes_refused", "mw_broker_retained"] {
        assert!(system.metrics("broker").contains(name), "{name}");
    }
    assert_eq!(system.terminate().0, Some(0));
}

/// Everything below a directory, two levels deep.
fn stores(dir: &Path) -> BTreeSet<String> {
    let list = |dir: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(dir).map(|d| d.map(|e| e.unwrap().path()).collect()).unwrap_or_default()
    };
    let mut found = BTreeSet::new();
    for entry in list(dir) {
        let below = if entry.is_dir() { list(&entry) } else { Vec::new() };
        let names = if below.is_empty() { vec![entry] } else { below };
        found.extend(names.iter().map(|p| p.strip_prefix(dir).unwrap().to_string_lossy().into_owned()));
    }
    found
}

#[test]
fn an_order_crosses_all_of_them_and_each_keeps_its_own_store() {
    let dir = tempfile::tempdir().unwrap();
    let mut system = demo(dir.path());
    let mut staff = connect(&system, "lead-1", SECRET, "staff").expect("connects");
    assert!(staff.subscribe(&format!("mw/v1/{SITE}/evt/work-order/#")).unwrap() < 0x80);
    let mut clients = ["planner-1", "operator-1", "lead-1"].map(|a| (a, Commands::connect(&system, a, "story")));
    let mut story = story::Story::new("TWO-", 2);
    let mut promised = Vec::new();
    while let Some(step) = story.next_step() {
        let client = clients.iter_mut().find(|(account, _)| *account == step.account).expect("a client");
        let reply = client.1.accepted(&step.command);
        assert_eq!(story::events(&reply), step.events);
        story.heard(&reply);
        promised.extend(history::of_reply(&reply));
    }
    let heard = promised.iter().map(|_| {
        let Message { payload, .. } = staff.message(SOON).expect("an event");
        let e: Value = serde_json::from_slice(&payload).unwrap();
        e["id"].as_str().unwrap().to_owned()
    });
    assert_eq!(heard.collect::<Vec<_>>(), promised, "every event once and in order");

    // A note is sealed in the log, and opened for readers in scope by whoever has its key.
    let mut planner = Commands::connect(&system, "planner-1", "note");
    let noted = planner.accepted(&story::add_note(&story.id, "the left one squeaks"));
    let position = story::position(&noted);
    let http = Http::login(&system, "planner-1");
    let order = http.get(&format!("/v1/work-orders/{}?min_position={position}", story.id)).json();
    assert_eq!(order["notes"][0]["text"], "the left one squeaks", "{order}");
    assert_eq!(order["state"], "completed");
    let trail = http.get(&format!("/v1/work-orders/{}/events?limit=500", story.id)).items();
    assert!(trail.iter().any(|t| t["note"] == "the left one squeaks"), "{trail:?}");
    let auditor = Http::login(&system, "auditor-1");
    let events = auditor.get(&format!("/v1/audit/events?stream=work-order/{}&limit=500", story.id)).items();
    assert_eq!(events.len(), promised.len() + 1);
    assert_eq!(auditor.get("/v1/audit/events?context=identity&limit=500").items().len(), 10);
    // While production is down the note is not lost, it can't be opened.
    system.kill_service("production");
    let order = http.get(&format!("/v1/work-orders/{}", story.id)).json();
    assert_eq!(order["notes"][0]["text"], json!({"sealed": true}), "{order}");
    system.start_service("production");
    let path = format!("/v1/work-orders/{}", story.id);
    http.eventually(&path, |a| a.json()["notes"][0]["text"] == "the left one squeaks");

    // Nobody but its own service reads what goes between them.
    for (account, secret) in [("admin", SECRET.to_owned()), ("processes", secret_of(dir.path(), "processes"))] {
        let mut other = connect(&system, account, &secret, &format!("curious-{account}")).expect("connects");
        for filter in ["mw/v1/-/log/identity/ask", "mw/v1/-/log/production/rsp/projections", "mw/v1/-/log/#", "#"] {
            assert!(other.subscribe(filter).unwrap() >= 0x80, "{account} {filter}");
        }
    }
    // A command of a context without a business yet is answered.
    let mut dispatcher = connect(&system, "dispatcher-1", SECRET, "d").expect("connects");
    assert!(dispatcher.subscribe(&format!("mw/v1/{SITE}/rsp/dispatcher-1")).unwrap() < 0x80);
    let id = story::new_id();
    let ticket = json!({"command_id": id, "type": "ticket.open", "aggregate_id": story::new_id(), "payload": {}});
    dispatcher
        .publish(&format!("mw/v1/{SITE}/cmd/dispatcher-1/after-service"), ticket.to_string().as_bytes(), None)
        .unwrap();
    let reply: Value = serde_json::from_slice(&dispatcher.message(SOON).expect("a reply").payload).unwrap();
    assert_eq!((&reply["command_id"], &reply["error"]["code"]), (&json!(id), &json!("VALIDATION")), "{reply}");

    assert_eq!(system.terminate().0, Some(0));
    let of = |names: &[&str]| -> BTreeSet<String> { names.iter().map(|n| (*n).to_owned()).collect() };
    let deciding = |context: &str| -> BTreeSet<String> {
        ["copies/accounts.json", "keys/checkpoint.key", "keys/checkpoint.pub", "lock"]
            .iter()
            .map(|n| (*n).to_owned())
            .chain(["checkpoints", "index", "logs", "state", "vault"].map(|store| format!("{store}/{context}")))
            .collect()
    };
    assert_eq!(stores(&dir.path().join("production")), deciding("production"));
    let after_service = stores(&dir.path().join("after-service"));
    let copy = after_service.iter().filter(|n| n.starts_with("known/")).cloned().collect();
    assert!(after_service.is_subset(&(&deciding("after-service") | &copy)), "{after_service:?}");
    let broker = stores(&dir.path().join("broker"));
    assert!(
        broker.iter().all(|n| n.starts_with("broker/") || n == "copies/accounts.json" || n == "lock"),
        "{broker:?}"
    );
    assert!(broker.contains("copies/accounts.json") && broker.contains("broker/db"));
    let processes = stores(&dir.path().join("processes"));
    assert!(processes.iter().all(|n| n.starts_with("processes/") || n == "lock"), "{processes:?}");
    assert_eq!(stores(&dir.path().join("projections")), of(&["lock"]));
    assert_eq!(stores(&dir.path().join("query-api")), of(&["copies/accounts.json", "lock"]));
    let identity = stores(&dir.path().join("identity"));
    assert!(identity.contains("logs/identity") && identity.contains("identity/secrets.db"), "{identity:?}");
    assert!(!identity.iter().any(|n| n.contains("production") || n.contains("copies")), "{identity:?}");
    let views = stores(&dir.path().join("views"));
    assert!(
        ["production.v", "identity.v", "after-service.v"].iter().all(|n| views.iter().any(|v| v.starts_with(n))),
        "{views:?}"
    );

    // At rest the log is sound, and says where it ends.
    let log = history::all(&dir.path().join("production"), "production", &[]);
    // Process managers may have added to it what follows from the order.
    let last = log.last().unwrap()["position"].as_u64().unwrap();
    assert_eq!((last, last >= position), (log.len() as u64, true), "{position}");
}

fn secret_of(dir: &Path, service: &str) -> String {
    std::fs::read_to_string(dir.join("pki/secrets").join(service)).unwrap().trim_end().to_owned()
}

#[test]
fn identity_may_be_down_for_everything_but_a_log_in_by_secret() {
    let dir = tempfile::tempdir().unwrap();
    let mut system = demo(dir.path());
    let mut http = Http::login(&system, "planner-1");
    let token = http.ask_token("planner-1", SECRET).json()["access_token"].as_str().unwrap().to_owned();
    system.kill_service("identity");
    // Those who restart meanwhile know the accounts from their own disk.
    for name in ["broker", "production", "query-api"] {
        system.kill_service(name);
        system.start_service(name);
        assert_eq!(system.readyz(name).0, 200, "{name}");
    }
    assert_eq!(http.get("/v1/work-orders").status, 200, "a token is checked where it is shown");
    assert!(!http.try_login("planner-1"));
    assert_eq!(http.ask_token("planner-1", SECRET).status, 503);
    assert!(matches!(connect(&system, "planner-1", SECRET, "by-secret"), Err(Refused::Code(0x88))));
    let mut planner = Commands::new("planner-1", &token, "by-token");
    planner.open(system.addr("mqtt")).expect("a token opens the door");
    let id = story::new_id();
    planner.accepted(&story::create(&id, "bracket-10", 3));

    system.start_service("identity");
    until("log-ins by secret work again", || connect(&system, "planner-1", SECRET, "again").is_ok());
    assert!(http.try_login("planner-1"));
    // What happens to an account reaches every process within 5 s.
    planner.accepted(&story::add_note(&id, "before"));
    let disabled = system.run(&["account", "disable", "planner-1"]);
    assert_eq!(disabled.code, Some(0), "{disabled:?}");
    let began = Instant::now();
    until("its token is refused", || http.get("/v1/work-orders").status == 401);
    until("its session ends", || planner.take(Duration::from_millis(50)).is_err());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(connect(&system, "planner-1", &token, "late").is_err());
    // A new signing key is good everywhere at once.
    let rotated = system.run(&["rotate-keys"]);
    assert_eq!(rotated.code, Some(0), "{rotated:?}");
    let fresh = Http::login(&system, "lead-1");
    assert_eq!(fresh.get("/v1/work-orders").status, 200);
    let token = fresh.ask_token("lead-1", SECRET).json()["access_token"].as_str().unwrap().to_owned();
    connect(&system, "lead-1", &token, "by-new-token").expect("the broker knows the new key");
    assert_eq!(system.terminate().0, Some(0));
}

#[test]
fn an_acknowledgement_stays_away_while_production_is_down() {
    let dir = tempfile::tempdir().unwrap();
    let mut system = demo(dir.path());
    let mut planner = Commands::connect(&system, "planner-1", "withheld");
    let id = story::new_id();
    let create = story::create(&id, "bracket-10", 3);
    planner.accepted(&create);
    system.kill_service("production");

    let note = story::add_note(&id, "written while nobody decides");
    let note_id = note["command_id"].as_str().unwrap().to_owned();
    planner.publish(&note).unwrap();
    while planner.take(LONG_ENOUGH).unwrap_or_else(|Lost| panic!("closed too early")) {}
    let known = &planner.book[&note_id];
    assert!(known.acked.is_none() && known.reply.is_none(), "nothing was decided: {known:?}");
    // Another context is not delayed by it.
    let again = system.run(&["account", "grant", "operator-1", "--role", "line_lead"]);
    assert_eq!(again.code, Some(0), "{again:?}");

    // The broker kept it: it is decided as soon as production is back, without being sent again.
    system.start_service("production");
    until("the acknowledgement comes", || {
        planner.take(Duration::from_millis(50)).unwrap_or_else(|Lost| panic!("closed"));
        planner.book[&note_id].acked.is_some()
    });
    assert_eq!(planner.book[&note_id].acked, Some(0));
    assert_eq!(planner.call(&create)["status"], "duplicate", "what was decided before the kill is known");
    assert_eq!(planner.call(&note)["status"], "duplicate");
    let log = history::all(&system.data_of("production"), "production", &[]);
    assert_eq!(history::by_command(&log)[&note_id].len(), 1, "it acted once");
    assert_eq!(system.terminate().0, Some(0));
}

#[test]
fn each_is_killed_under_load_and_nothing_acknowledged_is_lost_or_doubled() {
    let dir = tempfile::tempdir().unwrap();
    let mut system = demo(dir.path());
    let http = Http::login(&system, "planner-1");
    let done = load::run(system.addr("mqtt"), Some(http), |load| {
        load.settle(200, SOON);
        for name in SERVICES {
            let gaps = load.fault(|| {
                system.kill_service(name);
                system.start_service(name);
            });
            println!("CASE kill {name}: without commands {:.2?}, without queries {:.2?}", gaps.commands, gaps.queries);
        }
    });
    load::check(&system, &done);
    assert_eq!(system.terminate().0, Some(0));
}

#[test]
fn each_is_replaced_under_load_by_another_version_and_back() {
    // The program of the commit that last changed what they say to each other, where there is one;
    // without it they are replaced by themselves.
    let old = std::env::var_os("MILLWRIGHT_PREVIOUS_BIN").map_or_else(mw_blackbox::system::binary, PathBuf::from);
    let new = mw_blackbox::system::binary();
    println!("from {} to {}", old.display(), new.display());
    let dir = tempfile::tempdir().unwrap();
    let mut system = demo(dir.path());
    let http = Http::login(&system, "planner-1");
    let done = load::run(system.addr("mqtt"), Some(http), |load| {
        load.settle(100, SOON);
        for bin in [&old, &new] {
            for name in SERVICES {
                let gaps = load.fault(|| {
                    system.stop_service(name);
                    system.spawn_service(name, bin);
                    system.wait_ready(name);
                });
                println!(
                    "CASE replace {name}: without commands {:.2?}, without queries {:.2?}",
                    gaps.commands, gaps.queries
                );
            }
        }
    });
    load::check(&system, &done);
    assert_eq!(system.terminate().0, Some(0));
}

/// `MILLWRIGHT_STILL_SECONDS`: how long the broker stands still; over 30 its clients connect again.
#[test]
fn nothing_is_lost_or_doubled_when_the_broker_stands_still() {
    let dir = tempfile::tempdir().unwrap();
    let mut system = demo(dir.path());
    let http = Http::login(&system, "planner-1");
    let seconds = std::env::var("MILLWRIGHT_STILL_SECONDS").ok().and_then(|n| n.parse().ok()).unwrap_or(16);
    let done = load::run(system.addr("mqtt"), Some(http), |load| {
        load.settle(200, SOON);
        let gaps = load.fault(|| {
            system.signal_service("broker", "STOP");
            load.work_for(Duration::from_secs(seconds));
            system.signal_service("broker", "CONT");
        });
        println!("CASE the broker stands still: without commands {:.2?}", gaps.commands);
    });
    load::check(&system, &done);
    assert_eq!(system.terminate().0, Some(0));
}

/// What a field service swaps is told by the after-service side; here its process speaks for it, as the
/// service account that only services have the secret of.
#[test]
fn golden_12_what_was_built_in_stays_known_when_a_part_is_swapped_in_the_field() {
    let dir = tempfile::tempdir().unwrap();
    let system = demo(dir.path());
    let mut planner = Commands::connect(&system, "planner-1", "genealogy");
    let mut lead = Commands::connect(&system, "lead-1", "genealogy");
    let mut field = Commands::new("processes", &secret_of(dir.path(), "processes"), "field");
    field.open(system.addr("mqtt")).unwrap();
    let http = Http::login(&system, "planner-1");
    // The serial numbers of the scenario, and a unit with other numbers whose part is swapped twice.
    for (unit, parts) in [("SN-1", &["C-9", "C-12"][..]), ("SN-2", &["C-20", "C-21", "C-22"])] {
        let id = story::new_id();
        let mut create = story::create(&id, "bracket-10", 1);
        create["payload"]["bom"] =
            json!([{"line_no": 1, "item_id": "motor", "qty_per_unit": "1", "tracking": "serial"}]);
        planner.accepted(&create);
        planner.accepted(&story::plan(&id, 1));
        planner.accepted(&story::command("work-order.release", &id, Some(2), json!({"allow_shortage": true})));
        let line = json!({"line_no": 1, "qty": "1", "serials": [parts[0]], "from_location": "store"});
        let issue = json!({"issue_id": story::new_id(), "lines": [line]});
        lead.accepted(&story::command("work-order.issue-material", &id, None, issue));
        lead.accepted(&story::start_operation(&id, 10, "cell-1", &story::new_id()));
        lead.accepted(&story::report(&id, 10, 1, 0));
        let mut register = story::register_unit(&id, 10, unit);
        register["payload"]["components"] = json!([{"item_id": "motor", "serial": parts[0]}]);
        lead.accepted(&register);
        let path = format!("/v1/units/{unit}");
        http.eventually(&path, |a| a.status == 200);
        for pair in parts.windows(2) {
            let payload = json!({"serial": unit, "removed": [{"item_id": "motor", "serial": pair[0]}],
                "added": [{"item_id": "motor", "serial": pair[1]}]});
            let swap = json!({"command_id": story::new_id(), "type": "unit.change-component", "payload": payload});
            field.accepted(&swap);
        }
        let serial = |d: &Value, list: &str| d[list][0]["serial"].as_str().unwrap_or_default().to_owned();
        let last = parts.last().unwrap();
        let document = http.eventually(&path, |a| serial(&a.json(), "as_maintained") == **last).json();
        assert_eq!(serial(&document, "as_built"), parts[0], "{document}");
        for (n, part) in parts.iter().enumerate() {
            let used = http.get(&format!("/v1/where-used/{part}")).items();
            assert_eq!((used.len(), &used[0]["serial"]), (1, &json!(unit)), "{used:?}");
            let component = &used[0]["component"];
            assert_eq!(component["removed_on"].is_string(), part != last, "{component}");
            assert_eq!(component["as_built"], json!(n == 0), "{component}");
        }
    }
}

#[test]
fn each_department_goes_on_while_the_other_is_down() {
    let dir = tempfile::tempdir().unwrap();
    let mut system = demo(dir.path());
    let (stop, start) = (System::stop_service as fn(&mut System, &'static str), System::start_service);
    mw_blackbox::service::each_without_the_other(&mut system, Duration::from_secs(5), stop, start);
    assert_eq!(system.terminate().0, Some(0));
}
