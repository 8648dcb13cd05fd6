//! What a new user does: start the demo, run an order with the mosquitto clients, look at it over
//! HTTPS, stop.

use std::time::Duration;

use mw_blackbox::mosquitto::{self, Protocol};
use mw_blackbox::mqtt::{Connection, Incoming};
use mw_blackbox::system::Mode;
use mw_blackbox::{Commands, Http, SECRET, SITE, System, history, story};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(30);

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("not JSON ({e}): {text}"))
}

/// Runs a whole story with the client of this crate; gives the replies.
fn run(system: &System, story: &mut story::Story, name: &str) -> Vec<Value> {
    let mut clients =
        ["planner-1", "operator-1", "lead-1"].map(|account| (account, Commands::connect(system, account, name)));
    let mut replies = Vec::new();
    while let Some(step) = story.next_step() {
        let client = clients.iter_mut().find(|(account, _)| *account == step.account).expect("a client");
        let reply = client.1.accepted(&step.command);
        assert_eq!(story::events(&reply), step.events, "{}", step.command);
        story.heard(&reply);
        replies.push(reply);
    }
    replies
}

#[test]
fn an_order_runs_with_the_mosquitto_clients_of_both_versions() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    for protocol in Protocol::BOTH {
        let prefix = if protocol == Protocol::V5 { "QS5-" } else { "QS3-" };
        let mut story = story::Story::new(prefix, 5);
        let accounts = ["planner-1", "operator-1", "lead-1"];
        let replies =
            accounts.map(|a| (a, mosquitto::subscribe(&system, protocol, a, &format!("mw/v1/{SITE}/rsp/{a}"))));
        let events = mosquitto::subscribe(&system, protocol, "lead-1", &format!("mw/v1/{SITE}/evt/work-order/+"));
        let mut heard = 0;
        let steps = story.len();
        for n in 0..steps {
            let step = story.next_step().expect("a step");
            let topic = format!("mw/v1/{SITE}/cmd/{}/production", step.account);
            // Every second one over TLS.
            let publish = if n % 2 == 0 { mosquitto::publish } else { mosquitto::publish_tls };
            let out = publish(&system, protocol, step.account, &topic, &step.command.to_string());
            assert!(out.status.success(), "{protocol:?} {}: {}", step.command, String::from_utf8_lossy(&out.stderr));

            let (_, replies) = replies.iter().find(|(a, _)| *a == step.account).expect("a subscriber");
            let (topic, reply) = replies.message();
            assert_eq!(topic, format!("mw/v1/{SITE}/rsp/{}", step.account));
            let reply = parse(&reply);
            assert_eq!(reply["command_id"], step.command["command_id"]);
            assert_eq!(reply["status"], "accepted", "{protocol:?} {} was answered {reply}", step.command);
            assert_eq!(reply["context"], "production");
            assert_eq!(reply["aggregate_id"], json!(story.id));
            assert_eq!(story::events(&reply), step.events);
            story.heard(&reply);

            for (i, event_type) in step.events.iter().enumerate() {
                let (topic, e) = events.message();
                let e = parse(&e);
                let kebab = e["type"].as_str().unwrap().strip_prefix("mw.").unwrap().strip_suffix(".v1").unwrap();
                assert_eq!(topic, format!("mw/v1/{SITE}/evt/work-order/{kebab}"), "{event_type}");
                assert_eq!(kebab.replace('-', ""), event_type.to_lowercase());
                assert_eq!(e["specversion"], "1.0");
                assert_eq!(e["id"], reply["events"][i]["event_id"]);
                assert_eq!(e["source"], format!("/millwright/{SITE}/production"));
                assert_eq!(e["subject"], format!("work-order/{}", story.id));
                assert_eq!(e["commandid"], step.command["command_id"]);
                assert_eq!(e["actor"], step.account);
                heard += 1;
                assert_eq!(e["sequence"], heard, "{e}");
                assert!(e["position"].is_u64() && e["time"].is_string() && e["recordedtime"].is_string(), "{e}");
                assert_eq!(e["datacontenttype"], "application/json");
                assert!(e["data"].is_object(), "{e}");
            }
        }
        assert!(story.next_step().is_none());
        assert_eq!(story.version(), heard);

        let http = Http::login(&system, "planner-1");
        let order = http.eventually(&format!("/v1/work-orders/{}", story.id), |a| {
            a.status == 200 && a.json()["version"] == story.version()
        });
        assert!(order.text.contains("completed"), "{}", order.text);
        for serial in story.serials() {
            assert!(order.text.contains(&serial), "{serial} is not in {}", order.text);
        }
    }
}

#[test]
fn the_api_shows_an_order_and_its_history() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let mut story = story::Story::new("API-", 5);
    let replies = run(&system, &mut story, "api");
    let (first, last) = (&replies[0], replies.last().unwrap());
    let position = story::position(last);
    let id = &story.id;
    let http = Http::login(&system, "planner-1");

    // The list, with filters and a sort.
    let seen =
        |query: &str| -> Vec<Value> { http.get(&format!("/v1/work-orders?min_position={position}&{query}")).items() };
    let row = seen("product=pump-200&state=completed").into_iter().find(|r| r["id"] == json!(id)).expect("its row");
    for (field, value) in [
        ("state", json!("completed")),
        ("product", json!("pump-200")),
        ("line", json!("line-1")),
        ("planned_qty", json!("5")),
        ("good", json!("5")),
        ("scrap", json!("0")),
        ("remaining", json!("0")),
        ("version", json!(story.version())),
        ("due_at", json!(story::DUE)),
        ("work_order_id", json!(id)),
    ] {
        assert_eq!(row[field], value, "{field} of {row}");
    }
    assert!(seen("state=draft,planned").is_empty());
    assert!(seen("product=bracket-10").is_empty());
    assert!(seen("due_to=2030-01-01T00:00:00Z").is_empty());
    assert_eq!(seen("due_from=2030-01-01T00:00:00Z&sort=-due_at&limit=1").len(), 1);
    assert_eq!(seen(&format!("q={}", row["number"].as_str().unwrap())).len(), 1);
    let list = http.get("/v1/work-orders").json();
    assert!(list["position"].as_u64().unwrap() >= position && list["next"].is_null(), "{list}");

    // The document, its version and its tag.
    let document = http.get(&format!("/v1/work-orders/{id}?min_position={position}"));
    assert_eq!((document.status, &document.json()["version"]), (200, &json!(story.version())));
    let tag = document.header("etag").expect("an ETag").to_owned();
    let again = http.get_with(&format!("/v1/work-orders/{id}"), &[("if-none-match", &tag)]);
    assert_eq!((again.status, again.text.as_str()), (304, ""));
    let other = http.get_with(&format!("/v1/work-orders/{id}"), &[("if-none-match", "\"another\"")]);
    assert_eq!(other.status, 200);

    // Its history: every event, in order.
    let trail = http.list(&format!("/v1/work-orders/{id}/events"));
    let versions: Vec<u64> = trail.iter().filter_map(|e| e["version"].as_u64()).collect();
    assert_eq!(versions, (1..=story.version()).collect::<Vec<_>>());

    // The outcome of a command has the reply's shape.
    let command_id = last["command_id"].as_str().unwrap();
    let outcome = http.get(&format!("/v1/commands/{command_id}"));
    assert_eq!((outcome.status, &outcome.json()), (200, last));
    http.get(&format!("/v1/commands/{}", story::new_id())).problem(404);

    // The log itself, for auditors.
    let auditor = Http::login(&system, "auditor-1");
    let log = auditor.list(&format!("/v1/audit/events?context=production&stream=work-order/{id}&limit=3"));
    assert_eq!(log.len() as u64, story.version());
    assert_eq!(log[0]["type"], "WorkOrderCreated");
    assert_eq!(log[0]["position"], first["position"]);
    assert_eq!(log[0]["actor"]["sub"], "planner-1");
    assert_eq!(log[0]["payload"]["planned_qty"], "5");
    let ids: Vec<&str> = log.iter().filter_map(|e| e["event_id"].as_str()).collect();
    let promised: Vec<String> = replies.iter().flat_map(history::of_reply).collect();
    assert_eq!(ids, promised);
    let after = story::position(first);
    let later = auditor.get(&format!("/v1/audit/events?context=production&after={after}&actor=lead-1")).items();
    assert_eq!(later.iter().map(|e| e["type"].as_str().unwrap()).collect::<Vec<_>>(), ["WorkOrderCompleted"]);
    let refused = http.get("/v1/audit/events?context=production");
    assert!(matches!(refused.status, 403 | 404), "{refused:?}");
    let customer = Http::login(&system, "customer-1").get(&format!("/v1/work-orders/{id}"));
    assert!(matches!(customer.status, 403 | 404), "{customer:?}");
}

#[test]
fn the_api_refuses_with_problem_documents_and_says_how_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let open = Http::new(&system);
    open.get("/v1/work-orders").problem(401);
    open.with_token("not.a.token").get("/v1/work-orders").problem(401);
    let wrong = open.ask_token("planner-1", "not the secret at all");
    assert!(matches!(wrong.status, 400 | 401) && wrong.json().get("access_token").is_none(), "{wrong:?}");

    let asked = open.ask_token("planner-1", SECRET);
    assert_eq!(asked.status, 200);
    let grant = asked.json();
    assert_eq!(grant["token_type"], "Bearer");
    assert!(grant["expires_in"].as_u64().is_some_and(|s| s > 0 && s <= 15 * 60), "{grant}");
    let refresh = grant["refresh_token"].as_str().expect("a refresh token");
    let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    let renewed = open.form("/v1/token", &fields);
    assert_eq!(renewed.status, 200, "{}", renewed.text);
    let used_up = open.form("/v1/token", &fields);
    assert!(matches!(used_up.status, 400 | 401), "a refresh token works once: {used_up:?}");
    let http = open.with_token(renewed.json()["access_token"].as_str().unwrap());

    let bad = http.get("/v1/work-orders?colour=red").problem(400);
    assert!(bad.to_string().contains("product"), "the allowed parameters are named: {bad}");
    let bad = http.get("/v1/work-orders?state=burning").problem(400);
    assert!(bad.to_string().contains("in_progress"), "the allowed states are named: {bad}");
    http.get("/v1/work-orders?limit=many").problem(400);
    http.get("/v1/work-orders?sort=colour").problem(400);
    http.get(&format!("/v1/work-orders/{}", story::new_id())).problem(404);
    http.get("/v1/nothing-here").problem(404);
    let behind = http.get("/v1/work-orders?min_position=1000000");
    let problem = behind.problem(503);
    assert!(problem["type"].as_str().unwrap().ends_with("read-model-behind"), "{problem}");
    assert!(behind.header("retry-after").is_some());

    for path in ["/livez", "/readyz"] {
        assert_eq!(open.get(path).status, 200, "{path}");
    }
    // From this machine without a token; containers see the engine's address, which needs one.
    let admin = open.ask_token("admin", SECRET).json();
    let from_elsewhere = open.with_token(admin["access_token"].as_str().unwrap()).get("/metrics");
    assert_eq!(from_elsewhere.status, 200);
    let metrics = if Mode::chosen() == Mode::Compose { from_elsewhere } else { open.get("/metrics") };
    assert_eq!(metrics.status, 200);
    assert!(metrics.text.trim_end().ends_with("# EOF"), "{}", metrics.text);
    let api = http.get("/openapi.json").json();
    assert!(api["openapi"].as_str().is_some_and(|v| v.starts_with("3.1")), "{}", api["openapi"]);
    for path in ["/v1/work-orders", "/v1/work-orders/{id}", "/v1/commands/{command_id}", "/v1/audit/events"] {
        assert!(api["paths"].get(path).is_some(), "{path} is not in /openapi.json");
    }
    let docs = http.get("/docs");
    let docs = match docs.header("location") {
        Some(to) => http.get(to),
        None => docs,
    };
    assert!(docs.status == 200 && docs.text.to_lowercase().contains("<html"), "{docs:?}");
    let keys = open.get("/.well-known/jwks.json").json();
    assert_eq!(keys["keys"][0]["kty"], "OKP");
    assert_eq!(keys["keys"][0]["crv"], "Ed25519");
    assert!(keys["keys"][0]["kid"].is_string() && keys["keys"][0].get("d").is_none(), "{keys}");
}

#[test]
fn refusals_say_why_and_are_acknowledged_as_they_must() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let mut planner = Commands::connect(&system, "planner-1", "refused");
    let mut operator = Commands::connect(&system, "operator-1", "refused");
    let id = story::new_id();

    let unknown = story::report(&id, 10, 1, 0);
    operator.rejected(&unknown, "NOT_FOUND");
    operator.rejected(&story::create(&id, "pump-200", 5), "FORBIDDEN");
    let mut shapeless = story::create(&id, "pump-200", 5);
    shapeless["payload"]["planned_qty"] = json!("-1");
    shapeless["payload"]["due_at"] = json!("yesterday");
    let reply = planner.rejected(&shapeless, "VALIDATION");
    for field in ["planned_qty", "due_at"] {
        assert!(reply["error"]["details"]["fields"].to_string().contains(field), "{field} is not named: {reply}");
    }
    planner.rejected(&story::create(&id, "no-such-product", 5), "GUARD_FAILED");

    // The same id again: the first outcome, whatever it was. With another payload: refused.
    let create = story::create(&id, "bracket-10", 3);
    let first = planner.accepted(&create);
    let again = planner.call(&create);
    assert_eq!(again["status"], "duplicate");
    assert_eq!((&again["events"], &again["position"]), (&first["events"], &first["position"]));
    let mut reused = create.clone();
    reused["payload"]["planned_qty"] = json!("4");
    assert_eq!(planner.call(&reused)["error"]["code"], "IDEMPOTENCY_KEY_REUSED");
    let again = operator.call(&unknown);
    assert_eq!((&again["status"], &again["error"]["code"]), (&json!("duplicate"), &json!("NOT_FOUND")), "{again}");
    planner.rejected(&story::plan(&id, 7), "VERSION_CONFLICT");

    // A refused command has an outcome too.
    let outcome = Http::login(&system, "operator-1")
        .eventually(&format!("/v1/commands/{}", unknown["command_id"].as_str().unwrap()), |a| a.status == 200);
    assert_eq!(
        (&outcome.json()["status"], &outcome.json()["error"]["code"]),
        (&json!("rejected"), &json!("NOT_FOUND"))
    );

    // What can't be read, and what the account may not publish.
    for protocol in Protocol::BOTH {
        let open = |name: &str| {
            Connection::open(system.addr("mqtt"), protocol, &format!("{name}-{protocol:?}"), "planner-1", SECRET)
                .unwrap_or_else(|e| panic!("{e:?}"))
        };
        let mut c = open("unreadable");
        assert!(c.subscribe(&format!("mw/v1/{SITE}/rsp/planner-1")).unwrap() < 0x80);
        let sent = c.publish(&format!("mw/v1/{SITE}/cmd/planner-1/production"), b"start the pumps!", None).unwrap();
        let (mut acked, mut answered) = (None, None);
        while acked.is_none() || answered.is_none() {
            match c.recv(SOON).expect("reply and PUBACK") {
                Incoming::PubAck(packet, code) if packet == sent => acked = Some(code),
                Incoming::Message(m) => answered = Some(parse(&String::from_utf8_lossy(&m.payload))),
                _ => {}
            }
        }
        assert_eq!(acked, Some(if protocol == Protocol::V5 { 0x99 } else { 0 }));
        let answered = answered.unwrap();
        assert!(answered["command_id"].is_null() && answered["error"]["code"] == "VALIDATION", "{answered}");

        let mut c = open("forger");
        let sent = c.publish(&format!("mw/v1/{SITE}/cmd/operator-1/production"), b"{}", None).unwrap();
        if protocol == Protocol::V5 {
            loop {
                if let Incoming::PubAck(packet, code) = c.recv(SOON).expect("a PUBACK") {
                    assert_eq!((packet, code), (sent, 0x87));
                    break;
                }
            }
        } else {
            assert!(c.ends(SOON), "3.1.1 can't say no: the connection must close");
        }
        let mut c = open("eavesdropper");
        assert!(c.subscribe(&format!("mw/v1/{SITE}/rsp/operator-1")).unwrap() >= 0x80);
    }
}

#[test]
fn events_are_cloud_events_by_their_content_type() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let mut staff =
        Connection::open(system.addr("mqtt"), Protocol::V5, "listener", "lead-1", SECRET).expect("connects");
    assert!(staff.subscribe(&format!("mw/v1/{SITE}/evt/#")).unwrap() < 0x80);
    let create = story::create(&story::new_id(), "bracket-10", 1);
    Commands::connect(&system, "planner-1", "ce").accepted(&create);
    let m = staff.message(SOON).expect("an event");
    assert_eq!(m.content_type.as_deref(), Some("application/cloudevents+json"));
    assert_eq!(parse(&String::from_utf8_lossy(&m.payload))["commandid"], create["command_id"]);
}

#[test]
fn it_says_where_it_listens_and_stops_when_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    for name in ["mqtt", "mqtts", "https"] {
        assert!(system.addr(name).ip().is_loopback() && system.port(name) > 0, "{:?}", system.lines);
    }
    assert_eq!(system.lines.last().map(String::as_str), Some("ready"));
    if Mode::chosen() == Mode::Up {
        assert_eq!(system.lines.iter().filter(|l| l.starts_with("listening ")).count(), 3, "{:?}", system.lines);
    }
    let create = story::create(&story::new_id(), "bracket-10", 1);
    Commands::connect(&system, "planner-1", "stop").accepted(&create);
    let (code, took) = system.terminate();
    assert_eq!(code, Some(0));
    let parts = if Mode::chosen() == Mode::Up { 1 } else { 7 };
    assert!(took < parts * Duration::from_secs(20), "{took:?}");
    // What was accepted is there after a clean stop, and nothing of the demo is made twice.
    let system = System::demo(dir.path());
    let again = Commands::connect(&system, "planner-1", "stop").call(&create);
    assert_eq!(again["status"], "duplicate");
    let orders = Http::login(&system, "planner-1").list(&format!("/v1/work-orders?min_position={}", again["position"]));
    assert_eq!(orders.len(), 1);
}
