//! Golden scenarios that need a plant's day or the whole of what it recorded: figures of a shift,
//! what is in a unit, and read models that are built again.

use std::collections::BTreeMap;

use mw_blackbox::{Commands, Http, System, story};
use serde_json::{Value, json};

/// A shift of 480 minutes from 07:00 in Berlin, in minutes after its beginning. A piece takes `unit`
/// seconds as planned.
struct Shift {
    day: &'static str,
    name: &'static str,
    setup: u32,
    rest: (u32, u32),
    stops: &'static [(&'static str, u32, u32)],
    unit: u32,
    good: u32,
    scrap: u32,
    rework: u32,
}

/// Golden scenario 1, number by number.
const GOLDEN: Shift = Shift {
    day: "2026-03-02",
    name: "early",
    setup: 25,
    rest: (240, 270),
    stops: &[("breakdown", 60, 90), ("minor_stop", 300, 310)],
    unit: 60,
    good: 336,
    scrap: 8,
    rework: 6,
};

/// The day after, with other numbers.
const OTHER: Shift = Shift {
    day: "2026-03-03",
    name: "early",
    setup: 40,
    rest: (240, 270),
    stops: &[("breakdown", 100, 117), ("breakdown", 290, 300), ("minor_stop", 400, 433)],
    unit: 45,
    good: 401,
    scrap: 19,
    rework: 4,
};

/// What the minutes of a shift were, each looked at by itself.
#[derive(Default)]
struct Minutes {
    planned: u32,
    setup: u32,
    stopped: u32,
    running: u32,
}

impl Shift {
    fn minutes(&self) -> Minutes {
        let mut m = Minutes::default();
        for minute in 0..480 {
            if (self.rest.0..self.rest.1).contains(&minute) {
                continue;
            }
            m.planned += 1;
            if minute < self.setup {
                m.setup += 1;
            } else if self.stops.iter().any(|(_, from, to)| (*from..*to).contains(&minute)) {
                m.stopped += 1;
            } else {
                m.running += 1;
            }
        }
        m
    }

    /// Name, numerator, denominator, each by its definition.
    fn expected(&self) -> Vec<(&'static str, f64, f64)> {
        let m = self.minutes();
        let f = f64::from;
        let all = f(self.good + self.scrap + self.rework);
        let unit = f(self.unit) / 60.0;
        let (apt, pbt) = (f(m.running), f(m.planned));
        vec![
            ("availability", apt, pbt),
            ("effectiveness", unit * all, apt),
            ("quality_ratio", f(self.good), all),
            ("oee", unit * f(self.good), pbt),
            ("nee", (apt + f(m.setup)) / pbt * (unit * all / apt) * (f(self.good) / all), 1.0),
            ("scrap_ratio", f(self.scrap), all),
            ("rework_ratio", f(self.rework), all),
        ]
    }

    fn at(&self, minute: u32) -> String {
        // 07:00 in Berlin is 06:00 UTC in March.
        format!("{}T{:02}:{:02}:00.000Z", self.day, 6 + minute / 60, minute % 60)
    }

    /// Works it off at cell-1, minute by minute of business time.
    fn work(&self, system: &System, planner: &mut Commands, lead: &mut Commands, machine: &str) {
        let id = story::new_id();
        let qty = self.good + self.scrap + self.rework;
        let mut create = story::create(&id, "bracket-10", qty);
        create["payload"]["routing"] = json!([{"op": 10, "name": "bend", "cell_id": "cell-1",
            "run_time_per_unit": self.unit.to_string()}]);
        create["occurred_at"] = json!(self.at(0));
        planner.accepted(&create);
        let mut early = |mut c: Value| {
            c["occurred_at"] = json!(self.at(0));
            planner.accepted(&c);
        };
        early(story::plan(&id, 1));
        early(story::release(&id, 2));
        let mut acts: Vec<(u32, Value)> = Vec::new();
        let mut tell = |minute: u32, command: Value| acts.push((minute, command));
        let [setup, before, after] = std::array::from_fn(|_| story::new_id());
        let mut first = story::start_operation(&id, 10, "cell-1", &setup);
        first["payload"]["kind"] = json!("setup");
        tell(0, first);
        let pause = |session: &str, reason: &str| {
            story::command(
                "work-order.pause-operation",
                &id,
                None,
                json!({"op": 10, "session_id": session, "reason": reason}),
            )
        };
        tell(self.setup, pause(&setup, "setup"));
        tell(self.setup, story::start_operation(&id, 10, "cell-1", &before));
        tell(self.rest.0, story::pause_operation(&id, 10, &before));
        tell(self.rest.1, story::resume_operation(&id, 10, &after));
        for (reason, from, to) in self.stops {
            let downtime = story::new_id();
            let started = json!({"downtime_id": downtime, "reason": reason});
            tell(*from, story::command("equipment.start-downtime", machine, None, started));
            tell(*to, story::command("equipment.end-downtime", machine, None, json!({"downtime_id": downtime})));
        }
        let mut report = story::report(&id, 10, self.good, self.scrap);
        report["payload"]["rework"] = json!([{"qty": self.rework.to_string(), "reason": "surface"}]);
        tell(479, report);
        tell(480, pause(&after, "shift_end"));
        acts.sort_by_key(|(minute, _)| *minute);
        let mut now = 0;
        for (minute, mut command) in acts {
            assert_eq!(system.run(&["clock", "advance", &format!("{}m", minute - now)]).code, Some(0));
            now = minute;
            command["occurred_at"] = json!(self.at(minute));
            lead.accepted(&command);
        }
    }

    /// The figures of the shift, as dashboards read them.
    fn check(&self, http: &Http) {
        let asked = format!("/v1/kpis?from={d}T00:00:00Z&to={d}T23:00:00Z&group_by=shift&cell=cell-1", d = self.day);
        let group = format!("{} {}", self.day, self.name);
        let of = |a: &mw_blackbox::http::Answer| -> BTreeMap<String, Value> {
            let mine = a.items().into_iter().filter(|i| i["group"] == json!(group));
            mine.map(|i| (i["name"].as_str().unwrap().to_owned(), i)).collect()
        };
        let all = self.good + self.scrap + self.rework;
        let there = |a: &mw_blackbox::http::Answer| {
            of(a).get("quality_ratio").is_some_and(|q| q["denominator"] == json!(all.to_string()))
        };
        let figures = of(&http.eventually(&asked, there));
        for (name, numerator, denominator) in self.expected() {
            let value: f64 = figures[name]["value"].as_str().unwrap_or_default().parse().unwrap();
            let exact = numerator / denominator;
            assert!((value - exact).abs() <= 0.000_050_1, "{group} {name}: {value}, counted {exact}");
        }
    }
}

#[test]
fn golden_01_the_figures_of_a_shift() {
    if !mw_blackbox::system::needs_up("services alone keep real time") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo_with(dir.path(), &["--clock", "2026-03-01T12:00:00Z"]);
    let mut planner = Commands::connect(&system, "planner-1", "shift");
    let mut lead = Commands::connect(&system, "lead-1", "shift");
    let shifts = json!({"site": "plant-1", "shifts": [{"code": "early", "from": "07:00", "to": "15:00",
        "days": ["mon", "tue"], "breaks": [{"from": "11:00", "to": "11:30"}]}]});
    let document = json!({"kind": "shift_calendar", "code": "plant-1", "document": shifts});
    planner.accepted(&json!({"command_id": story::new_id(), "type": "reference.put", "payload": document}));
    let http = Http::login(&system, "planner-1");
    let machines = http.eventually("/v1/equipment?cell=cell-1", |a| a.items().len() == 1);
    let machine = machines.items()[0]["id"].as_str().unwrap().to_owned();
    for (shift, later) in [(GOLDEN, "18h"), (OTHER, "16h")] {
        assert_eq!(system.run(&["clock", "advance", later]).code, Some(0));
        shift.work(&system, &mut planner, &mut lead, &machine);
        shift.check(&Http::login(&system, "planner-1"));
    }
    // The scenario's own numbers, as it states them.
    let http = Http::login(&system, "planner-1");
    let asked = "/v1/kpis?from=2026-03-02T00:00:00Z&to=2026-03-02T23:00:00Z&group_by=shift&cell=cell-1";
    let items = http.get(asked).items();
    for (name, value) in [
        ("availability", "0.8556"),
        ("effectiveness", "0.9091"),
        ("quality_ratio", "0.9600"),
        ("oee", "0.7467"),
        ("nee", "0.7952"),
        ("scrap_ratio", "0.0229"),
        ("rework_ratio", "0.0171"),
    ] {
        let item = items.iter().find(|i| i["name"] == name).unwrap();
        assert_eq!(item["value"], value, "{item}");
    }
}

#[test]
fn what_was_said_wrong_of_a_unit_is_put_right_in_as_built() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let mut planner = Commands::connect(&system, "planner-1", "units");
    let mut lead = Commands::connect(&system, "lead-1", "units");
    let id = story::new_id();
    let mut create = story::create(&id, "pump-200", 1);
    create["payload"]["bom"] = json!([{"line_no": 1, "item_id": "motor", "qty_per_unit": "1"},
        {"line_no": 2, "item_id": "seal", "qty_per_unit": "1"}]);
    planner.accepted(&create);
    planner.accepted(&story::plan(&id, 1));
    planner.accepted(&story::command("work-order.release", &id, Some(2), json!({"allow_shortage": true})));
    planner.accepted(&story::allocate_serials(&id, "SN-", 1));
    let stock = |item: &str, more: Value| {
        let mut payload = json!({"item_id": item, "location": "store", "qty": "2"});
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"command_id": story::new_id(), "type": "stock.receive", "payload": payload})
    };
    planner.accepted(&stock("motor", json!({"serials": ["C-8", "C-9"]})));
    planner.accepted(&stock("seal", json!({"lot": "L-1"})));
    let issue = json!({"issue_id": story::new_id(), "over_issue_reason": "wrong_data", "lines": [
        {"line_no": 1, "qty": "2", "serials": ["C-8", "C-9"], "from_location": "store"},
        {"line_no": 2, "qty": "1", "lot": "L-1", "from_location": "store"}]});
    lead.accepted(&story::command("work-order.issue-material", &id, None, issue));
    lead.accepted(&story::start_operation(&id, 10, "cell-1", &story::new_id()));
    lead.accepted(&story::report(&id, 10, 1, 0));
    lead.accepted(&story::complete_operation(&id, 10, false));
    lead.accepted(&story::start_operation(&id, 20, "cell-2", &story::new_id()));
    lead.accepted(&story::report(&id, 20, 1, 0));
    let mut unit = story::register_unit(&id, 20, "SN-0001");
    unit["payload"]["components"] = json!([{"item_id": "motor", "serial": "C-8"}, {"item_id": "seal", "lot": "L-1"}]);
    lead.accepted(&unit);
    let http = Http::login(&system, "planner-1");
    let serials = |document: &Value, list: &str| -> Vec<String> {
        let all = document[list].as_array().into_iter().flatten();
        all.filter_map(|c| c["serial"].as_str().map(str::to_owned)).collect()
    };
    http.eventually("/v1/units/SN-0001", |a| a.status == 200 && serials(&a.json(), "as_built") == ["C-8"]);

    // It was C-9, from the beginning: as built says so, and who put it right and why.
    let amend = json!({"serial": "SN-0001", "remove": [{"item_id": "motor", "serial": "C-8"}],
        "add": [{"item_id": "motor", "serial": "C-9"}], "reason": "wrong_data"});
    // Reservations of stock that came late may still be on their way to the order.
    let path = format!("/v1/work-orders/{id}");
    let amended = (0..20).any(|_| {
        let version = http.get(&path).json()["version"].as_u64();
        let reply = lead.call(&story::command("work-order.amend-genealogy", &id, version, amend.clone()));
        assert!(reply["status"] == "accepted" || reply["error"]["code"] == "VERSION_CONFLICT", "{reply}");
        reply["status"] == "accepted"
    });
    assert!(amended);
    let right = http.eventually("/v1/units/SN-0001", |a| serials(&a.json(), "as_built") == ["C-9"]).json();
    assert_eq!(serials(&right, "as_maintained"), ["C-9"]);
    let amended = &right["amendments"][0];
    assert_eq!((&amended["account"], &amended["reason"]), (&json!("lead-1"), &json!("wrong_data")));
    assert_eq!(amended["removed"][0]["serial"], "C-8");

    let used = http.get("/v1/where-used/C-9").items();
    assert_eq!(used.len(), 1, "{used:?}");
    assert_eq!(used[0]["serial"], "SN-0001");
    assert!(used[0]["component"]["removed_on"].is_null(), "{used:?}");
    // What it never had is known as said and taken back.
    assert!(http.get("/v1/where-used/C-8").items()[0]["component"]["removed_on"].is_string());
    let lot = http.get("/v1/where-used/L-1");
    assert_eq!(lot.items()[0]["serial"], "SN-0001");
    // The lot was issued to the order, and the unit's trace leads there.
    let issued = &lot.json()["orders"][0];
    assert_eq!(
        (&issued["work_order_id"], &issued["what"], &issued["qty"]),
        (&json!(id), &json!("issued"), &json!("1"))
    );
    let trace = http.get("/v1/units/SN-0001/trace").json();
    let ops = trace["order"]["operations"].as_array().unwrap();
    let shown: Vec<Value> = ops.iter().map(|o| json!([o["op"], o["sessions"][0]["cell"], o["good"]])).collect();
    assert_eq!(shown, [json!([10, "cell-1", "1"]), json!([20, "cell-2", "1"])], "{trace}");
    let moved: Vec<&Value> = trace["order"]["movements"].as_array().unwrap().iter().map(|m| &m["what"]).collect();
    assert!(moved.contains(&&json!("issued")), "{moved:?}");
    // As it was before it was put right.
    let audit = Http::login(&system, "admin");
    let at = audit.get("/v1/audit/events?type=UnitGenealogyAmended").items()[0]["position"].as_u64().unwrap();
    let was = http.get(&format!("/v1/units/SN-0001?as_of=position:{}", at - 1)).json();
    assert_eq!((serials(&was, "as_built"), &was["amendments"]), (vec!["C-8".to_owned()], &json!([])));
}

/// Every route that answers a reading account, with the ids of what the plant has.
fn routes(http: &Http) -> Vec<String> {
    let first = |path: &str, field: &str| -> Vec<String> {
        let items = http.get(path).items();
        items.iter().filter_map(|i| i[field].as_str().map(str::to_owned)).collect()
    };
    let span = "from=2026-03-02T00:00:00Z&to=2026-03-16T00:00:00Z";
    let mut all: Vec<String> = [
        "/v1/work-orders?limit=200",
        "/v1/work-orders?limit=200&sort=-progress&format=csv",
        "/v1/boards/work-orders?lane=line",
        "/v1/schedule?from=2026-03-02T00:00:00Z&to=2026-03-16T00:00:00Z&limit=200",
        "/v1/equipment",
        "/v1/downtime?limit=200",
        "/v1/stock?limit=200",
        "/v1/shortages?limit=200",
        "/v1/quality?limit=200",
        "/v1/inbox?limit=200",
        "/v1/audit/events?limit=200",
    ]
    .map(str::to_owned)
    .into();
    for group in ["line", "cell", "product", "team", "shift", "day", "week"] {
        all.push(format!("/v1/kpis?{span}&group_by={group}"));
    }
    for kind in ["scrap-reason", "stop-reason", "rework-reason"] {
        all.push(format!("/v1/pareto/{kind}?{span}"));
    }
    for cell in first("/v1/equipment", "cell") {
        all.push(format!("/v1/queues/cells/{cell}"));
    }
    all.extend(first("/v1/equipment", "id").iter().map(|id| format!("/v1/equipment/{id}")));
    for id in first("/v1/work-orders?limit=40&sort=-number", "id") {
        all.extend(["", "/events?limit=200"].map(|more| format!("/v1/work-orders/{id}{more}")));
    }
    let serials = http.get("/v1/audit/events?type=ProductUnitRegistered&limit=40").items();
    for serial in serials.iter().filter_map(|e| e["payload"]["serial"].as_str()) {
        all.extend(["", "/trace"].map(|more| format!("/v1/units/{serial}{more}")));
    }
    all
}

#[test]
fn golden_20_read_models_built_again_answer_every_route_the_same() {
    if !mw_blackbox::system::needs_up("the history is of up alone") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // Time stands still, so that nothing differs by the moment of asking.
    let args = ["--with-history", "--clock", "2026-03-16T06:00:00Z@0"];
    let system = System::demo_with(dir.path(), &args);
    let answers = |system: &System| -> BTreeMap<String, (u16, Option<String>, String)> {
        let http = Http::login(system, "admin");
        let ask = |path: String| {
            let a = http.get(&path);
            let answer = (a.status, a.header("etag").map(str::to_owned), a.text);
            (path, answer)
        };
        routes(&http).into_iter().map(ask).collect()
    };
    let before = answers(&system);
    assert!(before.len() > 120, "{}", before.len());
    for (path, (status, _, text)) in &before {
        assert_eq!(*status, 200, "{path}: {text}");
    }
    system.terminate();
    std::fs::remove_dir_all(dir.path().join("views")).unwrap();
    let system = System::demo_with(dir.path(), &args);
    let after = answers(&system);
    for (path, was) in &before {
        assert_eq!(after.get(path), Some(was), "{path}");
    }
}

#[test]
fn golden_11_what_a_short_close_drops_and_how_much_of_the_plan_was_made() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let mut planner = Commands::connect(&system, "planner-1", "short");
    let mut lead = Commands::connect(&system, "lead-1", "short");
    let http = Http::login(&system, "planner-1");
    // Planned, good, scrap: the scenario's own numbers, others, and all of them together at the end.
    let orders: [(u32, u32, u32); 3] = [(100, 64, 3), (50, 20, 0), (7, 1, 6)];
    for (planned, good, scrap) in orders {
        let id = story::new_id();
        planner.accepted(&story::create(&id, "bracket-10", planned));
        planner.accepted(&story::plan(&id, 1));
        planner.accepted(&story::release(&id, 2));
        lead.accepted(&story::start_operation(&id, 10, "cell-1", &story::new_id()));
        let version = story::version(&lead.accepted(&story::report(&id, 10, good, scrap)));
        let payload = json!({"reason": "no_demand", "remainder": "drop"});
        let ended = planner.accepted(&story::command("work-order.short-close", &id, Some(version), payload));
        let path = format!("/v1/work-orders/{id}/events?min_position={}", story::position(&ended));
        let trail = http.get(&path).items();
        assert!(trail.iter().any(|e| e["type"] == "WorkOrderShortClosed"), "{trail:?}");
        let order = http.get(&format!("/v1/work-orders/{id}")).json();
        assert_eq!((&order["state"], &order["short_closed"]), (&json!("completed"), &json!(true)));
        let audit = Http::login(&system, "admin");
        let events = audit.get("/v1/audit/events?type=WorkOrderShortClosed&limit=50").items();
        let event = events.iter().find(|e| e["aggregate_id"] == json!(id)).unwrap();
        assert_eq!(event["payload"]["dropped_qty"], (planned - good).to_string());
    }
    let (all, good): (u32, u32) = (orders.iter().map(|o| o.0).sum(), orders.iter().map(|o| o.1).sum());
    let asked = "/v1/kpis?from=2026-01-01T00:00:00Z&to=2036-01-01T00:00:00Z&kpi=K-16";
    let there = |a: &mw_blackbox::http::Answer| a.items()[0]["denominator"].as_str() == Some(&all.to_string());
    let figure = http.eventually(asked, there).items().remove(0);
    assert_eq!(figure["numerator"], good.to_string());
    let value: f64 = figure["value"].as_str().unwrap().parse().unwrap();
    assert!((value - f64::from(good) / f64::from(all)).abs() <= 0.000_050_1, "{figure}");
}

#[test]
fn golden_06_a_late_report_counts_and_changes_a_final_figure_in_a_new_revision() {
    if !mw_blackbox::system::needs_up("services alone keep real time") {
        return;
    }
    // Reported in time; reported at 10:00 and delivered at 10:30; delivered two days after.
    for (in_time, late, very_late) in [(95, 5, 3), (41, 4, 2)] {
        let dir = tempfile::tempdir().unwrap();
        let system = System::demo_with(dir.path(), &["--clock", "2026-03-02T09:00:00Z@0"]);
        let advance = |by: &str| assert_eq!(system.run(&["clock", "advance", by]).code, Some(0));
        let mut planner = Commands::connect(&system, "planner-1", "late");
        let mut lead = Commands::connect(&system, "lead-1", "late");
        let mut operator = Commands::connect(&system, "operator-1", "late");
        let id = story::new_id();
        let mut create = story::create(&id, "bracket-10", in_time + late + very_late);
        create["payload"]["under_tolerance_pct"] = json!("20");
        planner.accepted(&create);
        planner.accepted(&story::plan(&id, 1));
        planner.accepted(&story::release(&id, 2));
        operator.accepted(&story::start_operation(&id, 10, "cell-1", &story::new_id()));
        advance("50m");
        operator.accepted(&story::report(&id, 10, in_time, 0));
        advance("15m");
        let ended = lead.accepted(&story::complete_operation(&id, 10, true));
        planner.accepted(&story::complete(&id, story::version(&ended)));
        let offline = |n: u32| {
            let mut c = story::report(&id, 10, n, 0);
            c["occurred_at"] = json!("2026-03-02T10:00:00.000Z");
            c["captured_offline"] = json!(true);
            c
        };
        advance("25m");
        operator.accepted(&offline(late));
        let trail = |http: &Http| http.get(&format!("/v1/work-orders/{id}/events?limit=200")).items();
        let good = |n: u32| move |a: &mw_blackbox::http::Answer| a.json()["good"] == json!(n.to_string());
        let http = Http::login(&system, "planner-1");
        http.eventually(&format!("/v1/work-orders/{id}"), good(in_time + late));
        assert!(trail(&http).iter().any(|e| e["late"] == json!(true)));

        // The morning is final a day after its end; what comes then is a revision, and the first stays.
        let asked = "/v1/kpis?from=2026-03-02T09:00:00Z&to=2026-03-02T11:00:00Z&kpi=K-03&cell=cell-1";
        let figure = |http: &Http, more: &str, n: u32| -> Value {
            let there = |a: &mw_blackbox::http::Answer| a.items()[0]["denominator"] == json!(n.to_string());
            http.eventually(&format!("{asked}{more}"), there).items().remove(0)
        };
        assert_eq!(figure(&http, "", in_time + late)["provisional"], json!(true));
        advance("48h");
        let http = Http::login(&system, "planner-1");
        let shown = figure(&http, "", in_time + late);
        assert_eq!((&shown["provisional"], &shown["revision"]), (&json!(false), &json!(1)));
        let version = story::version(&operator.accepted(&offline(very_late)));
        let shown = figure(&http, "", in_time + late + very_late);
        assert_eq!((&shown["revision"], &shown["late_events_after"]), (&json!(2), &json!(0)), "{shown}");
        let first = figure(&http, "&revision=1", in_time + late);
        assert_eq!(first["late_events_after"], json!(1), "{first}");

        // After the closing it is refused, and somebody has to look at it.
        planner.accepted(&story::command("work-order.close", &id, Some(version), json!({})));
        let refused = offline(1);
        operator.rejected(&refused, "INVALID_STATE");
        let inbox = http.eventually("/v1/inbox", |a| !a.items().is_empty()).items();
        assert_eq!(inbox[0]["id"], refused["command_id"], "{inbox:?}");
    }
}
