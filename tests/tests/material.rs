//! Material, stock, units and machines through the running program: MQTT in, process managers
//! behind, HTTPS out.

use mw_blackbox::mosquitto::Protocol;
use mw_blackbox::mqtt::Connection;
use mw_blackbox::{Commands, Http, SECRET, System, story};
use serde_json::{Value, json};

fn people(system: &System, test: &str) -> (Commands, Commands) {
    (
        Commands::connect(system, "planner-1", &format!("planner-1-{test}")),
        Commands::connect(system, "lead-1", &format!("lead-1-{test}")),
    )
}

/// A released order of brackets that need a sheet each.
fn with_material(p: &mut Commands, qty: u32) -> String {
    let id = story::new_id();
    let mut create = story::create(&id, "bracket-10", qty);
    create["payload"]["bom"] = json!([{"line_no": 1, "item_id": "sheet", "qty_per_unit": "1"}]);
    p.accepted(&create);
    p.accepted(&story::plan(&id, 1));
    let release = story::command("work-order.release", &id, Some(2), json!({"allow_shortage": true}));
    p.accepted(&release);
    id
}

/// A command on the sheets in the store.
fn stock(kind: &str, more: Value) -> Value {
    let mut payload = json!({"item_id": "sheet", "location": "store"});
    payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"command_id": story::new_id(), "type": format!("stock.{kind}"), "payload": payload})
}

/// Cancels, strictly, against a process manager that is still at work: who loses reads and says it again.
fn cancelled(p: &mut Commands, http: &Http, id: &str) {
    loop {
        let at = http.get(&format!("/v1/work-orders/{id}")).json()["version"].as_u64().unwrap();
        let cancel = story::command("work-order.cancel", id, Some(at), json!({"reason": "no_demand"}));
        let reply = p.call(&cancel);
        if reply["status"] == "accepted" {
            return;
        }
        assert_eq!(reply["error"]["code"], "VERSION_CONFLICT", "{reply}");
    }
}

fn sheets(http: &Http) -> Value {
    http.get("/v1/stock?item=sheet").items().first().cloned().unwrap_or_default()
}

#[test]
fn golden_10_a_cancelled_order_frees_what_was_kept_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let (mut p, mut l) = people(&system, "cancel");
    p.accepted(&stock("receive", json!({"qty": 3})));
    let id = with_material(&mut p, 5);
    let http = Http::login(&system, "planner-1");
    // The process manager asks stock: 3 of 5 are kept, 2 are missing.
    http.eventually("/v1/stock?item=sheet", |a| a.items().first().is_some_and(|s| s["reserved"] == "3"));
    let short = http.eventually("/v1/shortages", |a| a.items().first().is_some_and(|s| s["missing"] == "2"));
    assert_eq!(short.items()[0]["work_order_id"], json!(id));
    let issue = |n: u32| {
        let lines = json!([{"line_no": 1, "qty": n, "from_location": "store"}]);
        story::command("work-order.issue-material", &id, None, json!({"issue_id": story::new_id(), "lines": lines}))
    };
    let issued = l.accepted(&issue(2));
    let cancel = |v: u64| story::command("work-order.cancel", &id, Some(v), json!({"reason": "no_demand"}));
    let refused = p.rejected(&cancel(story::version(&issued)), "GUARD_FAILED");
    assert_eq!(refused["error"]["details"]["rule"], "WO-19.R2");
    let lines = json!([{"line_no": 1, "qty": 2, "to_location": "store", "condition": "good"}]);
    let back = json!({"return_id": story::new_id(), "reason": "surplus", "lines": lines});
    let returned = l.accepted(&story::command("work-order.return-material", &id, None, back));
    p.accepted(&cancel(story::version(&returned)));
    http.eventually("/v1/stock?item=sheet", |a| {
        a.items().first().is_some_and(|s| s["reserved"] == "0" && s["on_hand"] == "3")
    });
    assert_eq!(sheets(&http)["available"], "3");
}

/// Golden scenario 10 with other numbers: what a storekeeper's card would say at each step.
#[test]
fn golden_10_with_other_numbers_the_store_ends_as_it_began() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let (mut p, mut l) = people(&system, "cancel-more");
    let http = Http::login(&system, "planner-1");
    // Planned, in the store, issued in two goes.
    for (n, planned, stored, issues) in
        [(1, 7, 7, [4, 3]), (2, 12, 5, [1, 4]), (3, 1, 9, [1, 0]), (4, 30, 29, [17, 2]), (5, 4, 4, [2, 2])]
    {
        let item = format!("sheet-{n}");
        let mut receive = stock("receive", json!({"qty": stored}));
        receive["payload"]["item_id"] = json!(item);
        p.accepted(&receive);
        let id = story::new_id();
        let mut create = story::create(&id, "bracket-10", planned);
        create["payload"]["bom"] = json!([{"line_no": 1, "item_id": item, "qty_per_unit": "1"}]);
        p.accepted(&create);
        p.accepted(&story::plan(&id, 1));
        p.accepted(&story::command("work-order.release", &id, Some(2), json!({"allow_shortage": true})));
        let card = |on_hand: u32, reserved: u32| {
            http.eventually(&format!("/v1/stock?item={item}"), |a| {
                a.items().first().is_some_and(|s| {
                    (s["on_hand"].as_str(), s["reserved"].as_str())
                        == (Some(&*on_hand.to_string()), Some(&*reserved.to_string()))
                })
            })
        };
        let kept = planned.min(stored);
        card(stored, kept);
        let mut out = 0;
        for qty in issues.into_iter().filter(|q| *q > 0) {
            let lines = json!([{"line_no": 1, "qty": qty, "from_location": "store"}]);
            let issue = json!({"issue_id": story::new_id(), "lines": lines});
            l.accepted(&story::command("work-order.issue-material", &id, None, issue));
            out += qty;
            card(stored - out, kept - out);
        }
        let cancel = |v: u64| story::command("work-order.cancel", &id, Some(v), json!({"reason": "no_demand"}));
        for back in [out - 1, 1].into_iter().filter(|q| *q > 0) {
            let refused = loop {
                let at = http.get(&format!("/v1/work-orders/{id}")).json()["version"].as_u64().unwrap();
                let reply = p.call(&cancel(at));
                if reply["error"]["code"] != "VERSION_CONFLICT" {
                    break reply;
                }
            };
            assert_eq!(refused["error"]["details"]["rule"], "WO-19.R2", "{refused}");
            let lines = json!([{"line_no": 1, "qty": back, "to_location": "store", "condition": "good"}]);
            let back_again = json!({"return_id": story::new_id(), "reason": "surplus", "lines": lines});
            l.accepted(&story::command("work-order.return-material", &id, None, back_again));
            out -= back;
            http.eventually(&format!("/v1/stock?item={item}"), |a| {
                a.items().first().is_some_and(|s| s["on_hand"] == *(stored - out).to_string())
            });
        }
        cancelled(&mut p, &http, &id);
        card(stored, 0);
    }
}

#[test]
fn golden_10_at_once_the_store_is_right_whoever_was_first() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let (mut p, mut l) = people(&system, "at-once");
    let http = Http::login(&system, "planner-1");
    // Nobody waits for the process manager here: it reserves while the pieces go out.
    for (n, planned, stored, issued) in [(1, 2, 2, 2), (2, 6, 4, 3), (3, 3, 9, 3), (4, 5, 5, 4)] {
        let item = format!("plate-{n}");
        let mut receive = stock("receive", json!({"qty": stored}));
        receive["payload"]["item_id"] = json!(item);
        p.accepted(&receive);
        let id = story::new_id();
        let mut create = story::create(&id, "bracket-10", planned);
        create["payload"]["bom"] = json!([{"line_no": 1, "item_id": item, "qty_per_unit": "1"}]);
        p.accepted(&create);
        p.accepted(&story::plan(&id, 1));
        p.accepted(&story::command("work-order.release", &id, Some(2), json!({"allow_shortage": true})));
        let lines = |place: &str| json!([{"line_no": 1, "qty": issued, (place): "store"}]);
        let issue = json!({"issue_id": story::new_id(), "lines": lines("from_location")});
        l.accepted(&story::command("work-order.issue-material", &id, None, issue));
        http.eventually(&format!("/v1/stock?item={item}"), |a| {
            a.items().first().is_some_and(|s| s["on_hand"] == *(stored - issued).to_string())
        });
        let mut lines = lines("to_location");
        lines[0]["condition"] = json!("good");
        let back = json!({"return_id": story::new_id(), "reason": "surplus", "lines": lines});
        l.accepted(&story::command("work-order.return-material", &id, None, back));
        cancelled(&mut p, &http, &id);
        http.eventually(&format!("/v1/stock?item={item}"), |a| {
            a.items().first().is_some_and(|s| s["reserved"] == "0" && s["on_hand"] == *stored.to_string())
        });
    }
    assert!(http.get("/v1/inbox").items().is_empty(), "{:?}", http.get("/v1/inbox").items());
}

#[test]
fn st_02_no_piece_is_kept_twice_when_two_ask_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let (mut p, mut l) = people(&system, "twice");
    for round in 1..=20u32 {
        p.accepted(&stock("receive", json!({"qty": 5})));
        let ask = || stock("reserve", json!({"reservation_id": story::new_id(), "qty": 5}));
        let (a, b) = (ask(), ask());
        let replies = std::thread::scope(|s| {
            let one = s.spawn(|| p.call(&a));
            let two = s.spawn(|| l.call(&b));
            [one.join().unwrap(), two.join().unwrap()]
        });
        let kept = replies.iter().filter(|r| r["status"] == "accepted").count();
        assert_eq!(kept, 1, "round {round}: {replies:?}");
        let refused = replies.iter().find(|r| r["status"] == "rejected").unwrap();
        assert_eq!(refused["error"]["code"], "INSUFFICIENT_STOCK");
    }
    let http = Http::login(&system, "planner-1");
    let all = http.eventually("/v1/stock", |a| a.items().first().is_some_and(|s| s["reserved"] == "100"));
    assert_eq!((&all.items()[0]["on_hand"], &all.items()[0]["available"]), (&json!("100"), &json!("0")));
}

#[test]
fn golden_06_what_comes_after_the_closing_waits_in_the_inbox() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let (mut p, mut l) = people(&system, "inbox");
    let mut admin = Commands::connect(&system, "admin", "admin-inbox");
    let id = story::new_id();
    p.accepted(&story::create(&id, "bracket-10", 5));
    p.accepted(&story::plan(&id, 1));
    p.accepted(&story::release(&id, 2));
    l.accepted(&story::start_operation(&id, 10, "cell-1", &story::new_id()));
    let made = l.accepted(&story::report(&id, 10, 4, 0));
    let http = Http::login(&system, "lead-1");
    let at = http.get(&format!("/v1/work-orders/{id}/events?min_position={}", story::position(&made))).items();
    let at = at.last().unwrap()["occurred_at"].clone();
    let mut late = story::report(&id, 10, 1, 0);
    late["occurred_at"] = at.clone();
    let done = l.accepted(&story::complete_operation(&id, 10, true));
    let short = json!({"reason": "no_demand", "remainder": "drop"});
    let done = p.accepted(&story::command("work-order.short-close", &id, Some(story::version(&done)), short));
    let reply = l.accepted(&late);
    assert_eq!(story::events(&reply)[0], "OperationQuantityReported");
    let trail = http.get(&format!("/v1/work-orders/{id}/events?min_position={}", story::position(&reply))).items();
    assert_eq!(trail.last().unwrap()["late"], true, "after {done}");
    let close = story::command("work-order.close", &id, Some(story::version(&reply)), json!({"force": true}));
    admin.accepted(&close);
    let mut too_late = story::report(&id, 10, 1, 0);
    too_late["occurred_at"] = at;
    l.rejected(&too_late, "INVALID_STATE");
    let inbox = http.eventually("/v1/inbox", |a| !a.items().is_empty());
    let item = &inbox.items()[0];
    assert_eq!((&item["kind"], &item["id"]), (&json!("late_report"), &too_late["command_id"]));
    let dismiss = story::command(
        "inbox.dismiss",
        too_late["command_id"].as_str().unwrap(),
        None,
        json!({"reason": "settled", "note": "counted by hand"}),
    );
    l.accepted(&dismiss);
    http.eventually("/v1/inbox", |a| a.items().is_empty());
    assert_eq!(http.get("/v1/inbox?state=dismissed").items().len(), 1);
}

fn connect(system: &System, account: &str, client_id: &str) -> Connection {
    Connection::open(system.addr("mqtt"), Protocol::V5, client_id, account, SECRET).unwrap()
}

#[test]
fn a_machine_speaks_for_itself_and_its_stop_is_a_downtime() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let http = Http::login(&system, "lead-1");
    let says = |topic: &str, payload: &str| {
        let port = system.port("mqtt").to_string();
        let topic = format!("mw/v1/plant-1/dev/cell-1/{topic}");
        let args =
            ["-p", &port, "-V", "5", "-q", "1", "-u", "cell-1", "-P", "millwright-demo", "-t", &topic, "-m", payload];
        let ended = std::process::Command::new("mosquitto_pub").args(args).status().unwrap();
        assert!(ended.success());
    };
    let cell = |ok: &dyn Fn(&Value) -> bool| {
        http.eventually("/v1/equipment?cell=cell-1", |a| a.items().first().is_some_and(ok)).items().remove(0)
    };
    // Dashboards hear the state of the cell and of its line: retained, then every change.
    let mut wall = connect(&system, "lead-1", "wall");
    assert!(wall.subscribe("mw/v1/plant-1/state/#").unwrap() < 0x80);
    let mut heard = std::collections::BTreeMap::new();
    let mut shows = |topic: &str, what: &dyn Fn(&Value) -> bool| {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !heard.get(topic).is_some_and(what) {
            assert!(std::time::Instant::now() < deadline, "{topic}: {:?}", heard.get(topic));
            let Ok(m) = wall.message(std::time::Duration::from_secs(1)) else { continue };
            heard.insert(m.topic.clone(), serde_json::from_slice::<Value>(&m.payload).unwrap());
        }
    };
    let (of_cell, of_line) = ("mw/v1/plant-1/state/line-1/cell-1", "mw/v1/plant-1/state/line-1");
    shows(of_cell, &|c| c["cell"] == "cell-1" && c["state"].is_null());
    shows("mw/v1/plant-1/state/line-1/cell-2", &|c| c["cell"] == "cell-2");
    shows(of_line, &|l| l["cells"].as_array().is_some_and(|c| c.len() == 2));
    says("state/machine", "running");
    cell(&|c| c["state"] == "running");
    shows(of_cell, &|c| c["state"] == "running" && c["position"].is_number());
    shows(of_line, &|l| l["states"] == json!({"running": 1, "unknown": 1}));
    says("state/machine", r#"{"v":"down"}"#);
    shows(of_line, &|l| l["down"] == json!(["cell-1"]));
    // The process manager opens a downtime that waits for its reason.
    let down = cell(&|c| c["state"] == "down" && !c["downtime_id"].is_null());
    assert!(down["downtime_reason"].is_null());
    says("alarm/overheat", r#"{"severity":800,"text":"hot"}"#);
    let down = cell(&|c| c["open_alarms"] == 1);
    let machine = http.get(&format!("/v1/equipment/{}", down["id"].as_str().unwrap())).json();
    assert_eq!((&machine["alarms"][0]["code"], &machine["alarms"][0]["severity"]), (&json!("overheat"), &json!(800)));
    says("state/machine", "running");
    cell(&|c| c["state"] == "running" && c["downtime_id"].is_null());
    let trail = http.get("/v1/downtime?unclassified=true").items();
    assert_eq!((trail.len(), &trail[0]["cell"]), (1, &json!("cell-1")));
    shows(of_cell, &|c| c["downtime_id"].is_null() && c["alarms"][0]["code"] == "overheat");
    // Whoever comes later is told the last of it at once.
    let mut late = connect(&system, "lead-1", "late");
    assert!(late.subscribe(of_line).unwrap() < 0x80);
    let told = late.message(std::time::Duration::from_secs(2)).unwrap();
    let told: Value = serde_json::from_slice(&told.payload).unwrap();
    assert_eq!((&told["open_alarms"], &told["down"]), (&json!(1), &json!([])));
}

#[test]
fn golden_20_a_restart_sends_nothing_again() {
    if !mw_blackbox::system::needs_up("it looks into one process's numbers") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let (mut p, _) = people(&system, "again");
    p.accepted(&stock("receive", json!({"qty": 9})));
    with_material(&mut p, 5);
    let http = Http::login(&system, "planner-1");
    http.eventually("/v1/stock?item=sheet", |a| a.items().first().is_some_and(|s| s["reserved"] == "5"));
    let sent = |http: &Http| {
        let text = http.get("/metrics").text;
        let line = text.lines().find(|l| l.starts_with("mw_processes_commands_sent_total")).unwrap_or_default();
        line.rsplit(' ').next().and_then(|n| n.parse::<f64>().ok()).unwrap_or(-1.0)
    };
    assert!(sent(&Http::login(&system, "admin")) >= 3.0);
    assert_eq!(system.terminate().0, Some(0));
    // As it was, and with the managers' own file gone.
    for gone in [false, true] {
        if gone {
            std::fs::remove_dir_all(dir.path().join("processes")).unwrap();
        }
        let system = System::demo(dir.path());
        let (mut p, _) = people(&system, "later");
        let mark = p.accepted(&stock("receive", json!({"qty": 1})));
        let http = Http::login(&system, "planner-1");
        http.get(&format!("/v1/stock?min_position={}", story::position(&mark)));
        assert_eq!(sent(&Http::login(&system, "admin")), 0.0, "file gone: {gone}");
        assert_eq!(sheets(&http)["reserved"], "5");
        assert_eq!(system.terminate().0, Some(0));
    }
}

#[test]
fn rm_20_what_orders_used_stands_beside_what_tickets_used() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let (mut p, mut l) = people(&system, "usage");
    p.accepted(&stock("receive", json!({"qty": 5})));
    let id = with_material(&mut p, 2);
    let lines = json!([{"line_no": 1, "qty": 2, "from_location": "store"}]);
    let issue = json!({"issue_id": story::new_id(), "lines": lines});
    l.accepted(&story::command("work-order.issue-material", &id, None, issue));
    l.accepted(&story::start_operation(&id, 10, "cell-1", &story::new_id()));
    let used = json!({"consumption_id": story::new_id(), "lines": [{"line_no": 1, "qty": 2}]});
    let reply = l.accepted(&story::command("work-order.record-consumption", &id, None, used));
    let http = Http::login(&system, "planner-1");
    let at = story::position(&reply);
    let usage = |q: &str| http.get(&format!("/v1/parts-usage?min_position=production:{at}&{q}"));
    let all = usage("item=sheet").json();
    let row = &all["items"][0];
    assert_eq!(all["items"].as_array().map(Vec::len), Some(1), "{all}");
    for (field, value) in [
        ("item", json!("sheet")),
        ("qty", json!("2")),
        ("lot", json!(null)),
        ("work_order_id", json!(id)),
        ("ticket_id", json!(null)),
        ("technician", json!("lead-1")),
        ("cost", json!(null)),
    ] {
        assert_eq!(row[field], value, "{field} of {row}");
    }
    assert!(all["positions"]["production"].as_u64() >= Some(at), "{all}");
    for (q, n) in [("technician=lead-1", 1), ("technician=technician-1", 0), ("coverage=warranty", 0), ("sort=at", 1)] {
        assert_eq!(usage(q).items().len(), n, "{q}");
    }
    assert!(usage("format=csv").text.contains(&format!(",sheet,2,,,,,{id},")), "{}", usage("format=csv").text);
}
