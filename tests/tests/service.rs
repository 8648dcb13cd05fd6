//! The service department through the running program: tickets over MQTT, clocks, warranty, parts and
//! process managers behind, HTTPS out. The golden scenarios of after-service.

use mw_blackbox::service::{Desk, pumps};
use mw_blackbox::{Commands, Http, System, story};
use serde_json::{Value, json};

fn demo(dir: &tempfile::TempDir, clock: &str) -> System {
    System::demo_with(dir.path(), &["--clock", clock])
}

fn advance(system: &System, by: &str) {
    let moved = system.run(&["clock", "advance", by]);
    assert_eq!(moved.code, Some(0), "{moved:?}");
}

/// Only `up` has a clock that can be moved.
fn has_a_clock() -> bool {
    mw_blackbox::system::needs_up("services alone keep real time")
}

#[test]
fn golden_02_a_hold_over_night_costs_no_business_time() {
    if !has_a_clock() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // Monday 09:00 in Berlin.
    let system = demo(&dir, "2026-03-02T08:00:00Z");
    let mut desk = Desk::open(&system, "golden-2");
    desk.at = Some("2026-03-02T08:00:00.000Z".to_owned());
    let id = desk.ticket(json!({}));
    let clocks = &desk.told(&id, "SlaStarted")[0]["clocks"];
    let due = |clocks: &Value, name: &str| -> String {
        let c = clocks.as_array().unwrap().iter().find(|c| c["name"] == name).expect("the clock");
        c["due"].as_str().unwrap().to_owned()
    };
    assert_eq!(&due(clocks, "resolution")[..16], "2026-03-02T16:00", "{clocks}");
    assert_eq!(&due(clocks, "first_response")[..16], "2026-03-02T10:00");
    desk.assigned(&id);
    advance(&system, "7h");
    desk.at = Some("2026-03-02T15:00:00.000Z".to_owned());
    let held = json!({"reason": "waiting_customer", "expected_until": "2026-03-03T09:00:00Z"});
    desk.does("dispatcher-1", "ticket.hold", &id, held);
    let paused = desk.told(&id, "SlaPaused");
    let left = paused.iter().find(|p| p["clock"] == "resolution").expect("it stands still")["remaining"].clone();
    assert_eq!(left, json!(3600));
    // Tuesday 10:00 in Berlin.
    advance(&system, "18h");
    desk.at = Some("2026-03-03T09:00:00.000Z".to_owned());
    desk.does("dispatcher-1", "ticket.resume", &id, json!({}));
    let resumed = desk.told(&id, "SlaResumed");
    let again = resumed.iter().find(|p| p["clock"] == "resolution").expect("it runs again");
    assert_eq!(again["remaining"], left);
    assert_eq!(again["due"], "2026-03-03T10:00:00.000Z", "{again}");
    let ticket = Http::login(&system, "dispatcher-1").get(&format!("/v1/tickets/{id}")).json();
    assert!(ticket.to_string().contains(again["due"].as_str().unwrap()), "{ticket}");
}

/// Golden scenario 3: how long machines ran, stood still, and took to be restored. Failures at these
/// hours of the month, of so many minutes; the other months have other numbers.
#[test]
fn golden_03_reliability_of_a_machine() {
    if !has_a_clock() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let system = demo(&dir, "2026-01-01T00:00:00Z");
    let mut lead = Commands::connect(&system, "lead-1", "reliability");
    let http = Http::login(&system, "lead-1");
    let machines = http.eventually("/v1/equipment?cell=cell-1", |a| a.items().len() == 1);
    let machine = machines.items()[0]["id"].as_str().unwrap().to_owned();
    // 720 hours are 30 days.
    let months: [(&str, &str, &[(u32, u32)]); 2] = [
        ("2026-01-01", "2026-01-31", &[(100, 120), (300, 240), (500, 360)]),
        ("2026-01-31", "2026-03-02", &[(10, 45), (200, 90), (202, 15), (400, 600), (719, 30)]),
    ];
    for (from, to, failures) in months {
        let mut now = 0;
        let begun: i64 = if from == "2026-01-01" { 0 } else { 720 * 60 };
        for (hour, minutes) in failures {
            let at = |minute: u32| -> String {
                let m = begun + i64::from(minute);
                let day = 1 + m / 1440;
                let (month, day) = match day {
                    d if d <= 31 => (1, d),
                    d if d <= 59 => (2, d - 31),
                    d => (3, d - 59),
                };
                format!("2026-{month:02}-{day:02}T{:02}:{:02}:00.000Z", m % 1440 / 60, m % 60)
            };
            let start = hour * 60;
            let id = story::new_id();
            advance(&system, &format!("{}m", start - now));
            let begin = json!({"downtime_id": id, "reason": "breakdown"});
            let mut c = story::command("equipment.start-downtime", &machine, None, begin);
            c["occurred_at"] = json!(at(start));
            lead.accepted(&c);
            advance(&system, &format!("{minutes}m"));
            let mut c = story::command("equipment.end-downtime", &machine, None, json!({"downtime_id": id}));
            c["occurred_at"] = json!(at(start + minutes));
            lead.accepted(&c);
            now = start + minutes;
        }
        advance(&system, &format!("{}m", 720 * 60 - now));
        // The definitions, counted from the failures themselves.
        let n = failures.len() as f64;
        let down = failures.iter().map(|(_, m)| f64::from(*m)).sum::<f64>() / 60.0;
        let expected = [
            ("mtbf", (720.0 - down) / n),
            ("mttr_h", down / n),
            ("availability_by_restoration", (720.0 - down) / 720.0),
        ];
        if from == "2026-01-01" {
            assert_eq!(expected.map(|(_, v)| (v * 1e4).round()), [2_360_000.0, 40_000.0, 9_833.0]);
        }
        let asked = format!("/v1/kpis?from={from}T00:00:00Z&to={to}T00:00:00Z&cell=cell-1");
        let value = |a: &mw_blackbox::http::Answer, name: &str| -> Option<f64> {
            a.items().iter().find(|i| i["name"] == name)?["value"].as_str()?.parse().ok()
        };
        let there = |a: &mw_blackbox::http::Answer| {
            a.status == 200 && value(a, "mttr_h").is_some_and(|v| (v - down / n).abs() < 0.001)
        };
        let figures = Http::login(&system, "lead-1").eventually(&asked, there);
        for (name, exact) in expected {
            let shown = value(&figures, name).unwrap_or_else(|| panic!("{name} of {}", figures.text));
            assert!((shown - exact).abs() <= 0.000_050_1, "{from} {name}: {shown}, counted {exact}");
        }
    }
}

#[test]
fn golden_13_an_alarm_opens_one_ticket_however_often_it_is_raised() {
    if !has_a_clock() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let system = demo(&dir, "2026-03-02T08:00:00Z");
    let http = Http::login(&system, "dispatcher-1");
    let lead = Http::login(&system, "lead-1");
    let machines = lead.eventually("/v1/equipment?cell=cell-1", |a| a.items().len() == 1);
    let machine = machines.items()[0]["id"].as_str().unwrap().to_owned();
    let mut device = Commands::connect(&system, "cell-1", "alarms");
    let mut raise = |code: &str| {
        let p = json!({"alarm_id": story::new_id(), "code": code, "severity": 800});
        device.accepted(&story::command("equipment.raise-alarm", &machine, None, p))
    };
    // Cleared before it lasted: no ticket.
    raise("short");
    let mut device2 = Commands::connect(&system, "cell-1", "clears");
    let open = lead.eventually("/v1/equipment?cell=cell-1", |a| a.items()[0]["version"].as_u64() > Some(1));
    assert_eq!(open.items().len(), 1);
    let alarm = told_of(&system, "production", "AlarmRaised").pop().unwrap()["alarm_id"].clone();
    device2.accepted(&story::command("equipment.clear-alarm", &machine, None, json!({"alarm_id": alarm})));
    advance(&system, "5m");
    // Twelve times within ten minutes: one ticket that says so.
    for n in 0..12 {
        raise("overload");
        advance(&system, if n == 0 { "70s" } else { "45s" });
    }
    let ticket = http.eventually("/v1/tickets?channel=alarm", |a| {
        let items = a.items();
        let counted = told_of(&system, "after-service", "TicketOccurrenceAdded").last().map(|e| e["count"].clone());
        items.len() == 1 && counted == Some(json!(12))
    });
    assert_eq!(ticket.items()[0]["kind"], "internal_maintenance");
    assert_eq!(told_of(&system, "after-service", "TicketOpened").len(), 1, "what cleared at once opened nothing");
}

/// The data of every event of a type, in order.
fn told_of(system: &System, context: &str, event_type: &str) -> Vec<Value> {
    let auditor = Http::login(system, "auditor-1");
    let path = format!("/v1/audit/events?context={context}&type={event_type}&limit=500");
    auditor.get(&path).items().into_iter().map(|e| e["payload"].clone()).collect()
}

#[test]
fn golden_14_a_replacement_is_made_and_the_ticket_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let mut desk = Desk::open(&system, "golden-14");
    pumps(&system, "G14-", 1, &[("G14-0001", "")]);
    let id = desk.ticket(json!({"serial": "G14-0001"}));
    desk.assigned(&id);
    let request = story::new_id();
    let asked = json!({"request_id": request, "product_id": "pump-200", "qty": 1, "uom": "H87",
        "needed_by": "2030-05-01T08:00:00.000Z", "mode": "replacement", "return_serial": "G14-0001"});
    desk.does("dispatcher-1", "ticket.request-replacement-order", &id, asked);
    let http = Http::login(&system, "dispatcher-1");
    http.eventually(&format!("/v1/tickets/{id}"), |a| a.json()["state"] == "on_hold");
    let linked = &desk.told(&id, "ReplacementOrderLinked")[0];
    let order = linked["work_order_id"].as_str().unwrap().to_owned();
    assert!(desk.told(&id, "SlaPaused").iter().any(|p| p["clock"] == "resolution"));
    assert_eq!(desk.told(&id, "TicketHeld")[0]["reason"], "waiting_parts");
    let planner = Http::login(&system, "planner-1");
    let made = planner.eventually(&format!("/v1/work-orders/{order}"), |a| a.status == 200).json();
    assert_eq!((&made["order_type"], &made["due_at"]), (&json!("replacement"), &json!("2030-05-01T08:00:00.000Z")));
    assert!(made["links"].to_string().contains(&id), "the order says for which ticket it is: {made}");
    // The order is worked off as any other.
    let mut v = made["version"].as_u64().unwrap();
    let mut strict = |desk: &mut Desk, who: &'static str, make: &dyn Fn(u64) -> Value| loop {
        let reply = desk.person(who).call(&make(v));
        if reply["error"]["code"] == "VERSION_CONFLICT" {
            v = reply["error"]["details"]["actual"].as_u64().unwrap();
            continue;
        }
        assert_eq!(reply["status"], "accepted", "{reply}");
        v = story::version(&reply);
        break;
    };
    strict(&mut desk, "planner-1", &|v| story::plan(&order, v));
    strict(&mut desk, "planner-1", &|v| story::release(&order, v));
    desk.person("planner-1").accepted(&story::allocate_serials(&order, "G14R-", 1));
    for (op, cell) in [(10, "cell-1"), (20, "cell-2")] {
        let o = desk.person("operator-1");
        o.accepted(&story::start_operation(&order, op, cell, &story::new_id()));
        o.accepted(&story::report(&order, op, 1, 0));
        if op == 20 {
            o.accepted(&story::register_unit(&order, op, "G14R-0001"));
        }
        o.accepted(&story::complete_operation(&order, op, false));
    }
    strict(&mut desk, "lead-1", &|v| story::complete(&order, v));
    let ready = http.eventually(&format!("/v1/tickets/{id}"), |a| a.json()["state"] == "assigned").json();
    assert_eq!(desk.told(&id, "ReplacementOrderReady")[0]["serials"], json!(["G14R-0001"]));
    assert!(ready.to_string().contains(&order), "the ticket says which order it was: {ready}");
    assert!(desk.told(&id, "SlaResumed").iter().any(|p| p["clock"] == "resolution"));
}

#[test]
fn golden_15_a_warranty_that_ended_yesterday_needs_a_quote() {
    if !has_a_clock() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let system = demo(&dir, "2025-01-10T10:00:00Z");
    pumps(&system, "G15-", 2, &[("G15-0001", ""), ("G15-0002", "")]);
    let mut desk = Desk::open(&system, "golden-15");
    advance(&system, "1200h");
    let installed = json!({"serial": "G15-0001", "product_id": "pump-200", "installed_on": "2025-03-01"});
    let command = json!({"command_id": story::new_id(), "type": "unit.install", "payload": installed});
    desk.person("dispatcher-1").accepted(&command);
    let units = Http::login(&system, "dispatcher-1");
    units.eventually("/v1/units/G15-0001", |a| a.text.contains("2027-03-01"));
    // (days after the installation, unit, what must hold): the last day counts, the next does not.
    for (later, serial, status) in [
        ("16320h", "G15-0002", "in_warranty"),
        ("24h", "G15-0002", "out_of_warranty"),
        ("1176h", "G15-0001", "in_warranty"),
        ("24h", "G15-0001", "out_of_warranty"),
    ] {
        advance(&system, later);
        let id = desk.ticket(json!({"serial": serial}));
        let checked = desk.told(&id, "WarrantyChecked").pop().expect("checked when it was opened");
        assert_eq!(checked["status"], status, "{serial}: {checked}");
        assert!(checked["unit"]["work_order_id"].is_string(), "the order that made it: {checked}");
        let covered = status == "in_warranty";
        assert_eq!(checked["commercial"], if covered { "not_required" } else { "quote_required" });
        desk.assigned(&id);
        let work = |activity: &str| json!({"session_id": story::new_id(), "activity": activity});
        if covered {
            let s = work("repair");
            desk.does("technician-1", "ticket.start-work", &id, s.clone());
            desk.does(
                "technician-1",
                "ticket.pause-work",
                &id,
                json!({"session_id": s["session_id"], "reason": "done"}),
            );
            continue;
        }
        let refused = desk.refused("technician-1", "ticket.start-work", &id, work("repair"), "GUARD_FAILED");
        assert_eq!(refused["error"]["details"]["rule"], "TK-23.R1");
        let s = work("diagnosis");
        desk.does("technician-1", "ticket.start-work", &id, s.clone());
        desk.does("technician-1", "ticket.pause-work", &id, json!({"session_id": s["session_id"], "reason": "done"}));
    }
}

#[test]
fn golden_16_a_reopened_ticket_has_clocks_of_its_own() {
    if !has_a_clock() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let system = demo(&dir, "2026-03-02T08:00:00Z");
    let mut desk = Desk::open(&system, "golden-16");
    let id = desk.ticket(json!({}));
    let other = desk.ticket(json!({}));
    for t in [&id, &other] {
        desk.assigned(t);
        // Nobody knows the unit; the customer pays unless somebody says otherwise.
        desk.does("dispatcher-1", "ticket.override-warranty", t, json!({"status": "in_warranty", "reason": "proof"}));
        desk.repaired(t);
        desk.does("customer-1", "ticket.confirm", t, json!({}));
    }
    let met = desk.told(&id, "SlaMet");
    advance(&system, "192h");
    let again = json!({"reason": "quality", "same_fault": true});
    desk.at = Some("2026-03-10T08:00:00.000Z".to_owned());
    desk.does("customer-1", "ticket.reopen", &id, again.clone());
    let started = desk.told(&id, "SlaStarted");
    assert_eq!((&started[0]["cycle"], &started[1]["cycle"]), (&json!(1), &json!(2)));
    // Tuesday 2026-03-10, 8 working hours from 09:00 in Berlin.
    let due = started[1]["clocks"].as_array().unwrap().iter().find(|c| c["name"] == "resolution").unwrap();
    assert_eq!(due["due"], "2026-03-10T16:00:00.000Z", "{due}");
    assert_eq!(desk.told(&id, "SlaMet"), met, "what the first cycle came to stays");
    let http = Http::login(&system, "customer-1");
    let mine = http.eventually(&format!("/v1/tickets/{id}"), |a| a.json()["cycle"] == json!(2)).json();
    assert_eq!(mine["state"], "triaged");
    // Fifteen days after the closing it is too late: a new ticket goes on from the old one, with clocks of
    // its own, and the answer is about it.
    advance(&system, "168h");
    desk.at = None;
    let again = json!({"reason": "quality", "same_fault": true, "note": "It leaks again."});
    let reply = desk.does("customer-1", "ticket.reopen", &other, again.clone());
    let new = reply["aggregate_id"].as_str().unwrap().to_owned();
    assert_ne!(new, other, "{reply}");
    assert_eq!(reply["warnings"][0]["code"], "opened_anew", "{reply}");
    assert_eq!(desk.told(&new, "TicketOpened")[0]["follows"], json!(other));
    assert_eq!(desk.told(&new, "SlaStarted")[0]["cycle"], json!(1));
    let path = format!("/v1/tickets/{new}?min_position={}", story::position(&reply));
    let there = http.eventually(&path, |a| a.status == 200).json();
    assert_eq!((&there["state"], &there["follows"]), (&json!("new"), &json!(other)), "{there}");
    assert_eq!(there["description"], "It leaks again.", "{there}");
    let old = http.get(&format!("/v1/tickets/{other}")).json();
    assert_eq!((&old["state"], &old["cycle"]), (&json!("closed"), &json!(1)), "{old}");
    let dispatcher = Http::login(&system, "dispatcher-1");
    let links = dispatcher.get(&format!("/v1/tickets/{other}")).json()["links"].clone();
    assert_eq!((&links[0]["id"], &links[0]["relation"]), (&json!(new), &json!("relates_to")), "{links}");
    // Who asks once more is told of that one.
    let twice = desk.say("customer-1", "ticket.reopen", &other, again);
    assert_eq!((&twice["status"], &twice["aggregate_id"]), (&json!("duplicate"), &json!(new)), "{twice}");
}

#[test]
fn golden_17_a_plan_by_hours_opens_a_ticket_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let mut desk = Desk::open(&system, "golden-17");
    let lead = Http::login(&system, "lead-1");
    let machines = lead.eventually("/v1/equipment?cell=cell-1", |a| a.items().len() == 1);
    let machine = machines.items()[0]["id"].as_str().unwrap().to_owned();
    let mut device = Commands::connect(&system, "cell-1", "hours");
    let mut count = |value: u32, reset: bool| {
        let mut p = json!({"name": "hours", "value": value, "unit": "h"});
        if reset {
            p["reset"] = json!(true);
        }
        device.accepted(&story::command("equipment.record-counter", &machine, None, p))
    };
    count(1200, false);
    // Every so many hours, with so much tolerance, after so many: opens at the last of these readings and
    // not before. The counter is replaced on the way and begins again.
    let plan = story::new_id();
    let created = json!({"name": "Grease the spindle", "target": {"kind": "equipment", "equipment_id": machine},
        "trigger": {"counter": {"name": "hours", "every": "500", "unit": "h", "tolerance_pct": "10"}},
        "template": {"title": "Grease the spindle", "checklist": ["clean", "grease"]},
        "last_done": {"at": "2026-01-15", "counter": "1200"}});
    desk.does("planner-1", "maintenance-plan.create", &plan, created);
    desk.does("planner-1", "maintenance-plan.activate", &plan, json!({}));
    let http = Http::login(&system, "dispatcher-1");
    let plans = http.eventually("/v1/maintenance-plans", |a| a.items().len() == 1);
    assert!(plans.items()[0].to_string().contains("Grease the spindle"));
    count(1400, false);
    count(30, true);
    // 1645 in all: not yet within the tolerance.
    let before = count(245, false);
    http.eventually(&format!("/v1/maintenance-plans?min_position=production:{}", story::position(&before)), |a| {
        a.status == 200
    });
    assert_eq!(told_of(&system, "after-service", "TicketOpened").len(), 0);
    count(250, false);
    let opened = http.eventually("/v1/tickets?kind=preventive", |a| a.items().len() == 1);
    assert_eq!(opened.items()[0]["title"], "Grease the spindle");
    // The plan is told in a command of its own.
    http.eventually("/v1/maintenance-plans", |_| !told_of(&system, "after-service", "PlanDue").is_empty());
    let due = told_of(&system, "after-service", "PlanDue");
    assert_eq!(due.len(), 1, "{due:?}");
}

#[test]
fn a_plan_for_a_family_opens_one_ticket_for_its_customer() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let mut desk = Desk::open(&system, "family");
    let plan = story::new_id();
    let created = json!({"target": {"product_id": "pump-200"}, "trigger": {"calendar": "FREQ=WEEKLY"},
        "template": {"title": "Look at all pumps", "customer_id": "acme"}, "last_done": {"at": "2026-01-15"}});
    desk.does("planner-1", "maintenance-plan.create", &plan, created);
    desk.does("planner-1", "maintenance-plan.activate", &plan, json!({}));
    let http = Http::login(&system, "dispatcher-1");
    let opened = http.eventually("/v1/tickets?kind=preventive", |a| a.items().len() == 1).items();
    assert_eq!((&opened[0]["product"], &opened[0]["customer"]), (&json!("pump-200"), &json!("acme")), "{opened:?}");
    http.eventually("/v1/maintenance-plans", |_| !told_of(&system, "after-service", "PlanDue").is_empty());
    let plans = http.get("/v1/maintenance-plans").items();
    assert_eq!(
        (&plans[0]["target"], &plans[0]["product"]),
        (&json!("product_family"), &json!("pump-200")),
        "{plans:?}"
    );
    let customer = Http::login(&system, "customer-1");
    assert_eq!(customer.get("/v1/my/tickets").items().len(), 1, "the customer sees that somebody will come");
}

#[test]
fn golden_20_after_service_rebuilt_answers_the_same_and_sends_nothing() {
    if !has_a_clock() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (before, commands);
    let routes = [
        "/v1/tickets?limit=500",
        "/v1/boards/tickets",
        "/v1/queues/technicians/technician-1",
        "/v1/maintenance-plans",
        "/v1/parts-usage?limit=500",
        "/v1/backlog",
        "/v1/sla/at-risk",
        "/v1/pareto/fault-cause?from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z",
        "/v1/kpis?from=2026-03-01T00:00:00Z&to=2026-03-15T00:00:00Z",
    ];
    // So slow that both looks fall into the same millisecond: a second begins with the hour.
    let clock = "2026-03-16T08:00:00Z@0.000001";
    let args = ["--clock", clock, "--with-history"];
    let look = |system: &System| -> Vec<Value> {
        let http = Http::login(system, "admin");
        let strip = |mut v: Value| {
            // What depends on this moment of the clock, and on how far the log was.
            strip_clock(&mut v);
            v
        };
        routes.iter().map(|r| strip(http.eventually(r, |a| a.status == 200).json())).collect()
    };
    {
        let system = System::demo_with(dir.path(), &args);
        let tickets = Http::login(&system, "admin").get("/v1/tickets?limit=500").items();
        assert!(tickets.len() > 100, "{}", tickets.len());
        before = look(&system);
        commands = told_of(&system, "after-service", "TicketOpened").len();
        let (code, _) = system.terminate();
        assert_eq!(code, Some(0));
    }
    for gone in ["views", "processes", "known"] {
        let _ = std::fs::remove_dir_all(dir.path().join(gone));
    }
    let system = System::demo_with(dir.path(), &["--clock", clock]);
    let after = look(&system);
    for (route, (a, b)) in routes.iter().zip(before.iter().zip(&after)) {
        let mut differ = Vec::new();
        differences("", a, b, &mut differ);
        assert!(differ.is_empty(), "{route}: {:?}", &differ[..differ.len().min(8)]);
    }
    assert_eq!(told_of(&system, "after-service", "TicketOpened").len(), commands);
}

/// Where two documents differ.
fn differences(path: &str, a: &Value, b: &Value, out: &mut Vec<String>) {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            let keys: std::collections::BTreeSet<&String> = x.keys().chain(y.keys()).collect();
            for k in keys {
                differences(&format!("{path}.{k}"), &a[k], &b[k], out);
            }
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            for (i, (v, w)) in x.iter().zip(y).enumerate() {
                differences(&format!("{path}[{i}]"), v, w, out);
            }
        }
        _ if a != b => out.push(format!("{path}: {a} then {b}")),
        _ => {}
    }
}

/// Takes out what a moment of the clock changes.
fn strip_clock(v: &mut Value) {
    const MOVING: &[&str] = &[
        "remaining",
        "overrun",
        "next",
        "age_h",
        "age",
        "overrun_s",
        "position",
        "positions",
        "computed_at",
        "event_position",
        "forecast_on",
    ];
    match v {
        Value::Object(o) => {
            for k in MOVING {
                o.remove(*k);
            }
            o.values_mut().for_each(strip_clock);
        }
        Value::Array(a) => a.iter_mut().for_each(strip_clock),
        _ => {}
    }
}
