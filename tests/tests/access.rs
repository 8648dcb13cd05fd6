//! Who may do and see what, through the running program: every pair of role and command, every
//! route out of scope, forged senders and moved clocks.

#[path = "access/service.rs"]
mod service;
#[path = "access/service_table.rs"]
mod service_table;

use std::collections::BTreeSet;
use std::time::Duration;

use mw_blackbox::mosquitto::Protocol;
use mw_blackbox::mqtt::{Connection, Incoming};
use mw_blackbox::service::Desk;
use mw_blackbox::{Commands, Http, SECRET, System, story};
use serde_json::{Value, json};

/// One account of each role, in the order of the columns below. Nobody can be given `system`.
const WHO: [&str; 10] = [
    "operator-1",
    "lead-1",
    "planner-1",
    "inspector-1",
    "technician-1",
    "dispatcher-1",
    "customer-1",
    "auditor-1",
    "admin",
    "cell-1",
];

/// Section 6 of the business rules, as letters: `x` may, `c` under a condition (own things, a
/// setting of the site, a second person), `.` may not. Accounts have a test of their own.
fn table() -> Vec<(&'static str, &'static str, Value)> {
    let id = story::new_id;
    let line = json!([{"line_no": 1, "qty": 1}]);
    let why = json!({"reason": "wrong_data"});
    let sheet = |more: Value| {
        let mut p = json!({"item_id": "sheet", "location": "store"});
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        p
    };
    let unit = |more: Value| {
        let mut p = json!({"serial": "NONE-1", "product_id": "pump-200"});
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        p
    };
    let due = "2031-04-01T09:00:00.000Z";
    vec![
        (
            "work-order.create",
            "..x.....x.",
            json!({"product_id": "bracket-10", "planned_qty": "1", "uom": "H87", "due_at": due}),
        ),
        ("work-order.amend", "..x.....x.", json!({"sales_order_ref": "SO-9"})),
        (
            "work-order.plan",
            "..x.....x.",
            json!({"line_id": "line-1", "planned_start": "2030-03-03T08:00:00Z", "planned_end": "2030-03-03T16:00:00Z"}),
        ),
        ("work-order.unplan", "..x.....x.", why.clone()),
        ("work-order.reschedule", ".xx.....x.", json!({"planned_end": due, "reason": "no_capacity"})),
        ("work-order.release", ".cx.....x.", json!({})),
        ("work-order.revoke-release", ".cx.....x.", why.clone()),
        ("work-order.change-quantity", "..x.....x.", json!({"new_qty": 6, "reason": "customer_request"})),
        ("work-order.change-due-date", "..x.....x.", json!({"new_due_at": due, "reason": "customer_request"})),
        ("work-order.change-priority", ".xx.....x.", json!({"new_priority": 2})),
        (
            "work-order.split",
            "..x.....x.",
            json!({"parts": [{"work_order_id": id(), "qty": 1}], "reason": "no_capacity"}),
        ),
        ("work-order.assign", ".xx.....x.", json!({"op": 10, "crew": "early"})),
        ("work-order.unassign", ".xx.....x.", json!({"op": 10, "operators": ["operator-1"]})),
        ("work-order.hold", ".xxx....x.", json!({"reason": "quality_hold"})),
        ("work-order.resume", ".xxx....x.", json!({})),
        ("work-order.complete", "cxx.....x.", json!({})),
        ("work-order.short-close", ".cx.....x.", json!({"reason": "no_demand", "remainder": "drop"})),
        ("work-order.reopen", ".xx.....x.", why.clone()),
        ("work-order.close", "..x.....x.", json!({})),
        ("work-order.request-material", ".xx.....x.", json!({"lines": line})),
        (
            "work-order.confirm-reservation",
            "..........",
            json!({"request_id": id(), "failed": [{"line_no": 1, "missing_qty": 1, "available_qty": 0}]}),
        ),
        ("work-order.release-reservation", ".xx.....x.", json!({"reservation_ids": [id()]})),
        (
            "work-order.issue-material",
            "cxx.....x.",
            json!({"issue_id": id(), "lines": [{"line_no": 1, "qty": 1, "from_location": "store"}]}),
        ),
        (
            "work-order.return-material",
            "cxx.....x.",
            json!({"return_id": id(), "reason": "surplus",
                "lines": [{"line_no": 1, "qty": 1, "to_location": "store", "condition": "good"}]}),
        ),
        ("work-order.record-consumption", "xx......xc", json!({"consumption_id": id(), "lines": line})),
        (
            "work-order.approve-substitute",
            "..xx....x.",
            json!({"line_no": 1, "substitute_item_id": "other", "reason": "shortage"}),
        ),
        ("work-order.start-operation", "cx......xc", json!({"op": 10, "session_id": id(), "cell_id": "cell-1"})),
        ("work-order.pause-operation", "cx......xc", json!({"op": 10, "session_id": id(), "reason": "break"})),
        ("work-order.resume-operation", "cx......xc", json!({"op": 10, "session_id": id()})),
        ("work-order.report-quantity", "cx......xc", json!({"op": 10, "report_id": id(), "good": 1})),
        ("work-order.complete-operation", "cx......xc", json!({"op": 10, "confirm_shortfall": true})),
        ("work-order.correct-report", "cxx.....x.", json!({"report_id": id(), "good": 1, "reason": "wrong_data"})),
        (
            "work-order.correct-session",
            "cxx.....x.",
            json!({"session_id": id(), "new_end": "2026-03-02T09:00:00Z", "reason": "wrong_data"}),
        ),
        ("work-order.reopen-operation", ".x........", json!({"op": 10, "reason": "wrong_data"})),
        ("work-order.skip-operation", ".xx.......", json!({"op": 10, "reason": "wrong_data"})),
        (
            "work-order.add-operation",
            "..xx......",
            json!({"op": 15, "name": "deburr", "cell_class": "x", "reason": "quality"}),
        ),
        ("work-order.assign-lot", "xxx.....x.", json!({"lot": "L"})),
        ("work-order.void-serial", ".x.x....x.", json!({"serial": "S-1", "reason": "wrong_data"})),
        ("work-order.allocate-serials", "xxx.....xc", json!({"serials": ["S-1"]})),
        ("work-order.register-unit", "xxx.....xc", json!({"op": 10, "serial": "S-1", "result": "good"})),
        (
            "work-order.amend-genealogy",
            ".x.x....x.",
            json!({"serial": "S-1", "add": [{"item_id": "motor"}], "reason": "wrong_data"}),
        ),
        (
            "work-order.record-inspection",
            "cc.x....xc",
            json!({"inspection_id": id(), "kind": "final", "sample_size": 1,
                "results": [{"characteristic": "width", "verdict": "pass"}], "verdict": "pass"}),
        ),
        (
            "work-order.raise-nonconformance",
            "xxxx....x.",
            json!({"ncr_id": id(), "qty": 1, "defect_code": "surface", "severity": 3, "description": "scratched",
                "detected_at_stage": "in_process"}),
        ),
        (
            "work-order.disposition-nonconformance",
            "...x......",
            json!({"ncr_id": id(), "cause_code": "tool", "lines": [{"disposition": "scrap", "qty": 1}]}),
        ),
        ("work-order.close-nonconformance", "...x......", json!({"ncr_id": id(), "verification": "looked at"})),
        ("work-order.return-nonconformance", "..........", json!({"ncr_id": id()})),
        ("work-order.link", "..x.......", json!({"kind": "ticket", "id": "T", "relation": "blocks"})),
        ("work-order.cancel", "..x.....x.", json!({"reason": "no_demand"})),
        ("equipment.register", "........x.", json!({"code": "cell-1"})),
        ("equipment.report-state", "xx......xc", json!({"state": "running"})),
        ("equipment.start-downtime", "xx......xc", json!({"downtime_id": id()})),
        ("equipment.end-downtime", "xx......xc", json!({"downtime_id": id()})),
        ("equipment.classify-downtime", "cxx.....x.", json!({"downtime_id": id(), "reason": "breakdown"})),
        ("equipment.raise-alarm", ".........c", json!({"alarm_id": id(), "code": "overheat", "severity": 500})),
        ("equipment.acknowledge-alarm", "xx..x...x.", json!({"alarm_id": id()})),
        ("equipment.clear-alarm", ".x.......c", json!({"alarm_id": id()})),
        ("equipment.record-counter", "....x....c", json!({"name": "strokes", "value": "5"})),
        ("equipment.set-maintenance-mode", ".x..x...x.", json!({"on": false})),
        ("unit.register", "..........", unit(json!({"result": "good"}))),
        ("unit.ship", "..x..x..x.", unit(json!({"customer_id": "acme"}))),
        ("unit.install", "....xxc.x.", unit(json!({"installed_on": "2026-03-02"}))),
        ("unit.extend-warranty", ".....x..x.", unit(json!({"until": "2031-01-01", "reason": "goodwill"}))),
        ("unit.void-warranty", ".....x..x.", unit(json!({"reason": "misuse"}))),
        ("unit.record-reading", "....xx..x.", unit(json!({"name": "hours", "value": "5"}))),
        ("unit.change-component", "..........", unit(json!({"added": [{"item_id": "motor"}]}))),
        ("unit.transfer", "..x..x..x.", unit(json!({"customer_id": "acme"}))),
        ("unit.scrap", "..xx....x.", unit(json!({"reason": "dropped"}))),
        ("unit.recall", "...x....x.", unit(json!({"campaign": "seals", "reason": "leaks"}))),
        ("stock.receive", ".xx.....x.", sheet(json!({"qty": 5}))),
        ("stock.reserve", ".xx.....x.", sheet(json!({"reservation_id": id(), "qty": 1}))),
        ("stock.release-reservation", ".xx.....x.", sheet(json!({"reservation_id": id()}))),
        ("stock.issue", "cxx.....x.", sheet(json!({"qty": 1}))),
        ("stock.return", "cxx.....x.", sheet(json!({"qty": 1}))),
        ("stock.adjust", "..x.....x.", sheet(json!({"on_hand": 50, "reason": "counted"}))),
        ("inbox.dismiss", ".xxx.x..x.", json!({"reason": "done"})),
        ("reference.put", "..x.....x.", json!({"kind": "cell", "code": "cell-77", "document": {"line": "line-1"}})),
        ("reference.retire", "..x.....x.", json!({"kind": "cell", "code": "cell-77", "reason": "obsolete"})),
        ("work-order.add-note", "xxxx....x.", json!({"note_id": id(), "text": "n"})),
    ]
}

fn target(kind: &str, order: &str, machine: &str) -> Option<String> {
    match kind.split_once('.').unwrap().0 {
        "equipment" => Some(machine.to_owned()),
        "work-order" if kind == "work-order.create" => Some(story::new_id()),
        "work-order" => Some(order.to_owned()),
        "inbox" => Some(story::new_id()),
        _ => None,
    }
}

#[test]
fn each_role_may_what_the_table_says_and_what_is_refused_leaves_no_event() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let http = Http::login(&system, "planner-1");
    let machines = http.eventually("/v1/equipment?cell=cell-1", |a| a.items().len() == 1);
    let machine = machines.items()[0]["id"].as_str().unwrap().to_owned();
    let mut people: Vec<Commands> = WHO.iter().map(|w| Commands::connect(&system, w, "access")).collect();
    let order = story::new_id();
    people[2].accepted(&story::create(&order, "bracket-10", 5));
    let table = table();

    // A command twice, or one that there is not, would make the counts below wrong.
    let named: BTreeSet<&str> = table.iter().map(|t| t.0).collect();
    assert_eq!(named.len(), table.len());

    let send = |who: &mut Commands, kind: &str, payload: &Value| {
        let mut c = json!({"command_id": story::new_id(), "type": kind, "payload": payload, "expected_version": 1});
        if let Some(id) = target(kind, &order, &machine) {
            c["aggregate_id"] = json!(id);
        }
        who.call(&c)
    };
    // Nothing that is refused is an event: from one note to the next there is nothing in between.
    let first = story::position(&people[2].accepted(&story::add_note(&order, "before")));
    let mut refused = 0;
    for (kind, row, payload) in &table {
        for (i, _) in row.chars().enumerate().filter(|(_, letter)| *letter == '.') {
            let reply = send(&mut people[i], kind, payload);
            assert_eq!(reply["error"]["code"], "FORBIDDEN", "{} {kind}: {reply}", WHO[i]);
            assert!(reply["events"].as_array().is_none_or(Vec::is_empty), "{reply}");
            refused += 1;
        }
    }
    let last = story::position(&people[2].accepted(&story::add_note(&order, "after")));
    assert_eq!(last, first + 1, "{refused} refusals");
    assert!(refused > 400, "{refused}");

    // Nobody who may is told that the role is the wrong one; who has no conditions is never forbidden.
    let mut accepted: BTreeSet<&str> = BTreeSet::new();
    for (kind, row, payload) in &table {
        for (i, letter) in row.chars().enumerate().filter(|(_, letter)| *letter != '.') {
            let reply = send(&mut people[i], kind, payload);
            let error = &reply["error"];
            let message = error["message"].as_str().unwrap_or_default();
            assert!(!message.contains("needs one of the roles"), "{} {kind}: {reply}", WHO[i]);
            assert!(letter == 'c' || error["code"] != "FORBIDDEN", "{} {kind}: {reply}", WHO[i]);
            assert_ne!(error["code"], "VALIDATION", "{} {kind}: {reply}", WHO[i]);
            if reply["status"] == "accepted" {
                accepted.insert(WHO[i]);
            }
        }
    }
    // Each role that has a command without a condition got one through; the auditor writes nothing.
    let writers: BTreeSet<&str> =
        WHO.into_iter().filter(|w| !["auditor-1", "customer-1", "dispatcher-1"].contains(w)).collect();
    assert!(accepted.is_superset(&writers), "{accepted:?}");
}

/// What there is at plant-1.
struct Ids {
    order: String,
    machine: String,
    command: String,
    ticket: String,
}

/// Something of everything that has a route: an order with shortages, a nonconformance, a unit with a
/// part, stock, a downtime, a refused command for the inbox.
fn plant_1(system: &System) -> Ids {
    let mut planner = Commands::connect(system, "planner-1", "scope");
    let mut lead = Commands::connect(system, "lead-1", "scope");
    let order = story::new_id();
    let mut create = story::create(&order, "pump-200", 3);
    create["payload"]["bom"] = json!([{"line_no": 1, "item_id": "seal", "qty_per_unit": "1", "tracking": "lot"},
        {"line_no": 2, "item_id": "screw", "qty_per_unit": "4"}]);
    planner.accepted(&create);
    planner.accepted(&story::plan(&order, 1));
    planner.accepted(&story::command("work-order.release", &order, Some(2), json!({"allow_shortage": true})));
    planner.accepted(&story::allocate_serials(&order, "SN-", 3));
    let stock = json!({"item_id": "seal", "location": "store", "lot": "L-77", "qty": "5"});
    planner.accepted(&json!({"command_id": story::new_id(), "type": "stock.receive", "payload": stock}));
    let line = json!({"line_no": 1, "qty": "1", "lot": "L-77", "from_location": "store"});
    let issue = json!({"issue_id": story::new_id(), "lines": [line], "over_issue_reason": "spare"});
    lead.accepted(&story::command("work-order.issue-material", &order, None, issue));
    for (op, cell) in [(10, "cell-1"), (20, "cell-2")] {
        lead.accepted(&story::start_operation(&order, op, cell, &story::new_id()));
        lead.accepted(&story::report(&order, op, 2, u32::from(op == 10)));
        if op == 10 {
            lead.accepted(&story::complete_operation(&order, op, false));
        }
    }
    lead.accepted(&story::register_unit(&order, 20, "SN-0001"));
    let ncr = json!({"ncr_id": story::new_id(), "op": 20, "qty": 1, "defect_code": "surface", "severity": 3,
        "description": "scratched", "detected_at_stage": "in_process"});
    lead.accepted(&story::command("work-order.raise-nonconformance", &order, None, ncr));
    let http = Http::login(system, "planner-1");
    let machines = http.eventually("/v1/equipment?cell=cell-1", |a| a.items().len() == 1);
    let machine = machines.items()[0]["id"].as_str().unwrap().to_owned();
    let down = json!({"downtime_id": story::new_id(), "reason": "breakdown"});
    lead.accepted(&story::command("equipment.start-downtime", &machine, None, down));
    // Captured offline and refused: a person has to look at it.
    let mut late = story::report(&order, 10, 99, 0);
    late["captured_offline"] = json!(true);
    lead.rejected(&late, "GUARD_FAILED");
    let command = create["command_id"].as_str().unwrap().to_owned();
    http.eventually("/v1/units/SN-0001", |a| a.status == 200);
    let ticket = serviced(system, &machine);
    Ids { order, machine, command, ticket }
}

/// A ticket with a visit, a part that was used, clocks that ran out, and a maintenance plan.
fn serviced(system: &System, machine: &str) -> String {
    let mut desk = Desk::open(system, "scope");
    let ticket = desk.ticket(json!({}));
    desk.assigned(&ticket);
    let visit = json!({"visit_id": story::new_id(), "window_start": service_table::after_days(2, "08:00"),
        "window_end": service_table::after_days(2, "09:00"), "location": "site"});
    desk.does("dispatcher-1", "ticket.schedule-visit", &ticket, visit);
    let session = json!({"session_id": story::new_id(), "activity": "repair"});
    desk.does("technician-1", "ticket.start-work", &ticket, session);
    let used = json!([{"item_id": "seal-20", "qty": 1, "source": "van", "coverage": "warranty"}]);
    let used = json!({"consumption_id": story::new_id(), "lines": used});
    desk.does("technician-1", "ticket.consume-parts", &ticket, used);
    let plan = json!({"name": "Check the seals", "target": {"kind": "equipment", "equipment_id": machine},
        "trigger": {"calendar": "FREQ=YEARLY"}, "template": {"title": "Check the seals"}});
    desk.does("planner-1", "maintenance-plan.create", &story::new_id(), plan);
    ticket
}

#[test]
fn what_is_of_another_site_is_not_there_on_any_route() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let ids = plant_1(&system);
    let added = system.run_with(
        &["account", "add", "planner-2", "--role", "planner", "--role", "auditor", "--site", "plant-2"],
        &[("MILLWRIGHT_NEW_SECRET", SECRET)],
    );
    assert_eq!(added.code, Some(0), "{added:?}");
    let mine = Http::login(&system, "planner-1");
    let theirs = Http::login(&system, "planner-2");
    let (order, machine, command) = (&ids.order, &ids.machine, &ids.command);
    let span = "from=2026-03-02T00:00:00Z&to=2026-03-16T00:00:00Z";
    // One thing: not there.
    let things = [
        ("/v1/work-orders/{id}", format!("/v1/work-orders/{order}")),
        ("/v1/work-orders/{id}/diff", format!("/v1/work-orders/{order}/diff?from=1&to=2")),
        ("/v1/work-orders/{id}/events", format!("/v1/work-orders/{order}/events")),
        ("/v1/queues/cells/{cell}", "/v1/queues/cells/cell-1".to_owned()),
        ("/v1/equipment/{id}", format!("/v1/equipment/{machine}")),
        ("/v1/units/{serial}", "/v1/units/SN-0001".to_owned()),
        ("/v1/units/{serial}/trace", "/v1/units/SN-0001/trace".to_owned()),
        ("/v1/where-used/{serial-or-lot}", "/v1/where-used/L-77".to_owned()),
        ("/v1/commands/{command_id}", format!("/v1/commands/{command}")),
        ("/v1/kpis", format!("/v1/kpis?{span}&line=line-1")),
        ("/v1/kpis", format!("/v1/kpis?{span}&cell=cell-1")),
        ("/v1/kpis", format!("/v1/kpis?{span}&site=plant-1")),
        ("/v1/pareto/{kind}", format!("/v1/pareto/scrap-reason?{span}&line=line-1")),
        ("/v1/tickets/{id}", format!("/v1/tickets/{}", ids.ticket)),
        ("/v1/tickets/{id}/events", format!("/v1/tickets/{}/events", ids.ticket)),
    ];
    // Many things: none of them.
    let lists = [
        ("/v1/work-orders", "/v1/work-orders".to_owned()),
        ("/v1/schedule", "/v1/schedule?from=2030-03-01T00:00:00Z&to=2030-03-16T00:00:00Z".to_owned()),
        ("/v1/equipment", "/v1/equipment".to_owned()),
        ("/v1/downtime", "/v1/downtime".to_owned()),
        ("/v1/stock", "/v1/stock".to_owned()),
        ("/v1/shortages", "/v1/shortages".to_owned()),
        ("/v1/quality", "/v1/quality".to_owned()),
        ("/v1/tickets", "/v1/tickets".to_owned()),
        ("/v1/maintenance-plans", "/v1/maintenance-plans".to_owned()),
        ("/v1/parts-usage", "/v1/parts-usage".to_owned()),
        ("/v1/audit/events", "/v1/audit/events?context=production".to_owned()),
        ("/v1/audit/events", "/v1/audit/events?context=after-service".to_owned()),
    ];
    for (_, path) in &things {
        mine.eventually(path, |a| a.status == 200);
        let a = theirs.get(path);
        assert_eq!(a.problem(404)["type"], "https://millwright.dev/problems/not-found", "{path}");
        assert!(!a.text.contains(order.as_str()) || path.contains(order.as_str()), "{path}: {}", a.text);
    }
    for (_, path) in &lists {
        let of_no_site = path.contains("audit");
        if !of_no_site {
            mine.eventually(path, |a| !a.items().is_empty());
        }
        let seen = theirs.get(path).items();
        let told = |i: &Value| [order, &ids.ticket].iter().any(|id| i.to_string().contains(id.as_str()));
        assert!(seen.iter().all(|i| i["site"] != "plant-1" && !told(i)), "{path}: {seen:?}");
        assert!(of_no_site || seen.is_empty(), "{path}: {seen:?}");
    }
    // A technician's day, clocks and backlog: what stands there is of tickets.
    for path in ["/v1/queues/technicians/technician-1", "/v1/boards/tickets", "/v1/sla/at-risk"] {
        if !path.contains("sla") {
            mine.eventually(path, |a| a.text.contains(&ids.ticket));
        }
        assert!(!theirs.get(path).text.contains(&ids.ticket), "{path}");
    }
    let open = |http: &Http| http.get("/v1/backlog").items().iter().filter_map(|b| b["count"].as_u64()).sum::<u64>();
    assert_eq!((open(&mine), open(&theirs)), (1, 0));

    // The board shows columns without cards; the inbox holds what was refused at plant-1.
    assert!(!theirs.get("/v1/boards/work-orders").text.contains(order.as_str()));
    mine.eventually("/v1/inbox", |a| !a.items().is_empty());
    assert!(theirs.get("/v1/inbox").items().is_empty());

    // Every route of the API is one of these, or of no site.
    let paths = Http::new(&system).get("/openapi.json").json()["paths"].clone();
    let tried: BTreeSet<&str> = things.iter().chain(&lists).map(|t| t.0).collect();
    let of_no_site = [
        "/v1/boards/work-orders",
        "/v1/boards/tickets",
        "/v1/queues/technicians/{account}",
        "/v1/sla/at-risk",
        "/v1/backlog",
        // A customer's, at whatever site.
        "/v1/my/units",
        "/v1/my/tickets",
        "/v1/inbox",
        "/v1/token",
        "/v1/audit/proofs",
        "/v1/audit/proofs/{position}",
    ];
    for path in paths.as_object().unwrap().keys().filter(|p| p.starts_with("/v1/")) {
        assert!(
            tried.contains(path.as_str()) || of_no_site.contains(&path.as_str()),
            "{path} is not tried from another site"
        );
    }
}

#[test]
fn golden_18_nobody_speaks_as_somebody_else() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let mut planner = Commands::connect(&system, "planner-1", "forged");
    // What a payload or an envelope says of its sender is not asked.
    let id = story::new_id();
    let mut create = story::create(&id, "bracket-10", 5);
    create["actor"] = json!("admin");
    let reply = planner.call(&create);
    if reply["status"] != "accepted" {
        assert_eq!(reply["error"]["code"], "VALIDATION", "a field that is not known is said to be so: {reply}");
        create["command_id"] = json!(story::new_id());
        create.as_object_mut().unwrap().remove("actor");
        planner.accepted(&create);
    }
    let audit = Http::login(&system, "auditor-1");
    let made = audit.eventually("/v1/audit/events?type=WorkOrderCreated&limit=10", |a| !a.items().is_empty());
    assert!(made.text.contains("planner-1") && !made.text.contains("\"admin\""), "{}", made.text);

    // A command topic of another account is closed, on both versions of MQTT.
    for protocol in [Protocol::V5, Protocol::V311] {
        let name = format!("operator-1-forger-{protocol:?}");
        let mut c = Connection::open(system.addr("mqtt"), protocol, &name, "operator-1", SECRET).unwrap();
        let forged = story::create(&story::new_id(), "bracket-10", 77);
        let topic = "mw/v1/plant-1/cmd/planner-1/production";
        let sent = c.publish(topic, forged.to_string().as_bytes(), None).unwrap();
        match c.recv(Duration::from_secs(5)) {
            Ok(Incoming::PubAck(of, reason)) => {
                assert_eq!(of, sent);
                assert!(protocol == Protocol::V311 || reason >= 0x80, "{reason:#x}");
            }
            Ok(other) => panic!("{other:?}"),
            // Closing the connection is a refusal too.
            Err(_) => {}
        }
        let asked = format!("/v1/commands/{}", forged["command_id"].as_str().unwrap());
        let http = Http::login(&system, "admin");
        assert_eq!(http.get(&asked).status, 404);
    }
    let orders = Http::login(&system, "planner-1").get("/v1/work-orders").items();
    assert_eq!(orders.len(), 1, "{orders:?}");
}

#[test]
fn golden_19_the_future_is_refused_and_the_past_as_far_as_a_role_may() {
    if !mw_blackbox::system::needs_up("services alone keep real time") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo_with(dir.path(), &["--clock", "2026-03-02T08:00:00Z@0"]);
    let mut planner = Commands::connect(&system, "planner-1", "time");
    let mut operator = Commands::connect(&system, "operator-1", "time");
    let id = story::new_id();
    planner.accepted(&story::create(&id, "bracket-10", 100));
    planner.accepted(&story::plan(&id, 1));
    planner.accepted(&story::release(&id, 2));
    operator.accepted(&story::start_operation(&id, 10, "cell-1", &story::new_id()));
    let dated = |minutes: i64, offline: bool| {
        // After 32 hours it is 16:00 on the day after.
        let at = 32 * 60 + minutes;
        let (day, hour, minute) = (2 + (8 * 60 + at) / 1440, (8 * 60 + at) / 60 % 24, (8 * 60 + at) % 60);
        let mut c = story::report(&id, 10, 1, 0);
        c["occurred_at"] = json!(format!("2026-03-{day:02}T{hour:02}:{minute:02}:00.000Z"));
        c["captured_offline"] = json!(offline);
        c
    };
    assert_eq!(system.run(&["clock", "advance", "32h"]).code, Some(0));
    operator.rejected(&dated(10, false), "CLOCK_SKEW");
    operator.rejected(&dated(3, true), "CLOCK_SKEW");
    operator.accepted(&dated(1, false));
    let refused = operator.rejected(&dated(-30 * 60, false), "BACKDATE_LIMIT");
    assert!(refused["error"]["message"].as_str().is_some_and(|m| !m.is_empty()), "{refused}");
    operator.accepted(&dated(-30 * 60, true));
    operator.accepted(&dated(-24 * 60, false));
    operator.rejected(&dated(-24 * 60 - 1, false), "BACKDATE_LIMIT");
    let http = Http::login(&system, "planner-1");
    http.eventually(&format!("/v1/work-orders/{id}"), |a| a.json()["good"] == "3");
}
