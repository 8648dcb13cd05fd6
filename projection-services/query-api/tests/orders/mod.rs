//! The lists about orders over HTTPS: board, queue, schedule, shortages, quality; the inbox.

mod inbox;

use std::collections::BTreeSet;

use mw_contract::event::material::*;
use mw_contract::event::parts::*;
use mw_contract::event::quality::*;
use mw_contract::event::work_order::*;
use mw_contract::*;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::history::*;
use crate::plant::Plant;

fn entity() -> EntityId {
    EntityId(Uuid::now_v7())
}

fn reserved(line_no: u16, item: &str, amount: &str) -> ReservationV1 {
    ReservationV1 {
        reservation_id: entity(),
        line_no,
        item_id: code(item),
        qty: qty(amount),
        location: code("store"),
        lot: None,
    }
}

fn ncr(id: EntityId, severity: u8) -> Event {
    NonconformanceRaisedV1 {
        ncr_id: id,
        op: Some(10),
        qty: qty("2"),
        serials: vec![],
        lot: None,
        defect_code: code("surface"),
        severity,
        description: None,
        detected_at_stage: NcrStage::InProcess,
        contain: true,
        attachments: vec![],
        inspection_id: None,
    }
    .into()
}

fn inspection(verdict: Verdict) -> Event {
    InspectionRecordedV1 {
        inspection_id: entity(),
        op: Some(10),
        kind: InspectionKind::FirstPiece,
        sample_size: 3,
        serials: vec![],
        lot: None,
        results: vec![],
        verdict,
        defects: vec![DefectV1 { code: code("dimension"), qty: qty("1") }],
        attachments: vec![],
        inspector: code("operator-1"),
        note: None,
    }
    .into()
}

struct Story {
    /// Released, 8 of 20 motors missing, one nonconformance of severity 3.
    short: Stream,
    /// In progress on cell 1, with an inspection and a nonconformance of severity 1.
    running: Stream,
    /// Another site's, with the same troubles.
    foreign: Stream,
    ncr: EntityId,
}

const T: &str = "2026-03-02T08:00:00.000Z";

async fn story(p: &Plant) -> Story {
    let bom = vec![line(1, "motor", "2", false), line(2, "screw", "4", true)];
    let (mut short, mut running, mut foreign) =
        (Stream::new("plant-1"), Stream::new("plant-1"), Stream::new("plant-2"));
    let held = reserved(1, "motor", "12");
    let issued = MaterialIssuedV1 {
        issue_id: entity(),
        lines: vec![IssuedV1 {
            line_no: 1,
            item_id: code("motor"),
            qty: qty("5"),
            lot: None,
            serials: vec![],
            reservation_id: Some(held.reservation_id),
            from_location: code("store"),
        }],
        over_issue_reason: None,
        note: None,
    };
    let request_id = entity();
    let missing =
        vec![MissingMaterialV1 { line_no: 1, item_id: code("motor"), missing_qty: qty("8"), available_qty: qty("12") }];
    let failed = MaterialReservationFailedV1 { request_id, lines: missing.clone() };
    let events = vec![
        created("WO-A", "plant-1", 2, bom.clone()),
        planned("2026-03-03T08:00:00.000Z", "2026-03-03T16:00:00.000Z"),
        released(bom.clone()),
        MaterialReservedV1 { request_id, lines: vec![held] }.into(),
        failed.clone().into(),
        issued.into(),
        ncr(entity(), 3),
    ];
    short.happened(p, "planner-1", T, events);
    let id = entity();
    let consumed = MaterialConsumedV1 {
        consumption_id: entity(),
        op: Some(10),
        source: ConsumptionSource::Backflush,
        lines: vec![ConsumedV1 {
            line_no: 2,
            item_id: code("screw"),
            qty: qty("16"),
            lot: None,
            serials: vec![],
            unit_serial: None,
        }],
    };
    let corrected = MaterialConsumptionCorrectedV1 {
        consumption_id: consumed.consumption_id,
        lines: vec![ConsumptionChangeV1 { line_no: 2, item_id: code("screw"), old: qty("16"), new: qty("12") }],
    };
    let only_screws = vec![line(2, "screw", "4", true)];
    let events = vec![
        created("WO-B", "plant-1", 1, only_screws.clone()),
        planned("2026-03-02T10:00:00.000Z", "2026-03-02T12:00:00.000Z"),
        released(only_screws),
        started(10, "operator-1", entity()),
        WorkOrderStartedV1 { actual_start: at(T) }.into(),
        reported(10, "operator-1", "4"),
        consumed.into(),
        corrected.into(),
        inspection(Verdict::Fail),
        ncr(id, 1),
    ];
    running.happened(p, "operator-1", T, events);
    let events = vec![
        created("WO-C", "plant-2", 1, bom.clone()),
        planned("2026-03-02T10:00:00.000Z", "2026-03-02T12:00:00.000Z"),
        released(bom),
        failed.into(),
        ncr(entity(), 1),
    ];
    foreign.happened(p, "planner-2", T, events);
    p.settled().await;
    Story { short, running, foreign, ncr: id }
}

const PATHS: [&str; 6] =
    ["/v1/boards/work-orders", "/v1/queues/cells/cell-1", "/v1/schedule", "/v1/shortages", "/v1/quality", "/v1/inbox"];

#[tokio::test(flavor = "multi_thread")]
async fn i8_every_list_has_its_roles_its_scope_and_refuses_what_it_does_not_know() {
    let p = Plant::new().await;
    let s = story(&p).await;
    let foreign = s.foreign.id.to_string();
    asking!(p, {
        for path in PATHS {
            for who in ["customer-1", "cell-1"] {
                assert_eq!(p.get(who, path).problem(403), "forbidden", "{who} {path}");
            }
            assert_eq!(p.get("", path).problem(401), "unauthorized", "{path}");
            for who in ["operator-1", "planner-1", "auditor-1", "admin"] {
                let a = p.get(who, path);
                assert_eq!(a.status, 200, "{who} {path}: {}", a.text);
                assert!(!a.text.contains(&foreign) && !a.text.contains("WO-C"), "{who} {path}");
            }
            for (bad, says) in [
                ("colour=red", "limit"),
                ("sort=colour", "one of"),
                ("limit=0", "500"),
                ("format=xml", "csv"),
                ("cursor=x", "cursor"),
                ("site=plant-9", "plant-1"),
            ] {
                // A queue is of one cell, and so of one site.
                if path.contains("queues") && bad.starts_with("site") {
                    continue;
                }
                let a = p.get("planner-1", &format!("{path}?{bad}"));
                assert_eq!(a.problem(400), "bad-parameter", "{path} {bad}");
                assert!(a.text.contains(says), "{path} {bad}: {}", a.text);
            }
        }
        // What is of the other site only its people see; a cell of the other site is not there.
        assert!(p.get("planner-2", "/v1/shortages").text.contains(&foreign));
        assert_eq!(p.get("planner-2", "/v1/queues/cells/cell-1").problem(404), "not-found");
        assert_eq!(p.get("planner-1", "/v1/queues/cells/cell-9").problem(404), "not-found");
        for (q, says) in [
            ("/v1/quality?state=burning", "dispositioned"),
            ("/v1/quality?severity=5", "1, 2, 3, 4"),
            ("/v1/inbox?state=burning", "dismissed"),
            ("/v1/inbox?kind=burning", "late_report"),
            ("/v1/boards/work-orders?lane=moon", "priority"),
            ("/v1/boards/work-orders?day=soon", "2026-03-02"),
            ("/v1/boards/work-orders?state=burning", "in_progress"),
            ("/v1/schedule?from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z", "behind"),
            ("/v1/schedule?week=2025-W53", "2026-W10"),
            ("/v1/shortages?line=line-9", "line-1"),
            ("/v1/queues/cells/cell-1?me=perhaps", "true"),
        ] {
            let a = p.get("planner-1", q);
            assert_eq!(a.problem(400), "bad-parameter", "{q}");
            assert!(a.text.contains(says), "{q}: {}", a.text);
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_pages_through_all_rows_in_every_sort_and_has_a_csv_form() {
    let p = Plant::new().await;
    story(&p).await;
    for (i, kind) in ["a", "b", "c"].into_iter().enumerate() {
        let mut h = head(&format!("operator-{kind}"), "plant-1", "work-order.hold", T);
        h.device = (i > 0).then(|| kind.into());
        refused(&p, h, Rejection::new(ErrorCode::Forbidden, "no").with("captured_offline", true));
    }
    p.settled().await;
    asking!(p, {
        for path in PATHS.into_iter().filter(|p| !p.contains("boards")) {
            let first = p.get("planner-1", &format!("{path}?limit=500")).items();
            assert!(first.len() >= if path.contains("shortages") { 1 } else { 2 }, "{path}: {first:?}");
            for field in first[0].as_object().unwrap().iter().filter(|(_, v)| !v.is_array() && !v.is_object()) {
                for sort in [field.0.to_owned(), format!("-{}", field.0)] {
                    let mut at = format!("{path}?limit=1&sort={sort}");
                    let mut seen = Vec::new();
                    loop {
                        let page = p.get("planner-1", &at);
                        seen.extend(page.items().iter().map(Value::to_string));
                        match page.header("link") {
                            Some(l) => at = l.split('>').next().unwrap()[1..].to_owned(),
                            None => break,
                        }
                    }
                    let all: BTreeSet<String> = first.iter().map(Value::to_string).collect();
                    assert_eq!((seen.len(), seen.into_iter().collect::<BTreeSet<_>>()), (first.len(), all), "{at}");
                }
            }
            let csv = p.get("planner-1", &format!("{path}?format=csv"));
            assert!(csv.header("content-type").unwrap().starts_with("text/csv"), "{path}");
            assert_eq!(csv.text.split("\r\n").count(), first.len() + 2, "{path}: {}", csv.text);
            let heading: BTreeSet<&str> = csv.text.split("\r\n").next().unwrap().split(',').collect();
            assert_eq!(heading, first[0].as_object().unwrap().keys().map(String::as_str).collect(), "{path}");
        }
        let csv = p.get("planner-1", "/v1/boards/work-orders?format=csv").text;
        assert_eq!(csv.split("\r\n").count(), 4, "{csv}");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn rm_04_the_detail_shows_material_quality_parts_and_changed_components() {
    let p = Plant::new().await;
    let mut s = story(&p).await;
    let unit = |serial: &str, component: &str| -> Event {
        UnitRegisteredV1 {
            serial: text(serial),
            product_id: code("pump-200"),
            lot: None,
            op: 20,
            result: UnitResult::Good,
            components: vec![part(component)],
            incomplete_reason: None,
            firmware: None,
            test_report: None,
            measurements: vec![],
            cell_id: None,
            operator: code("operator-1"),
            produced_at: at(T),
        }
        .into()
    };
    fn part(serial: &str) -> ComponentV1 {
        ComponentV1 { item_id: code("motor"), serial: Some(text(serial)), lot: None, qty: qty("1"), position: None }
    }
    let amended = UnitGenealogyAmendedV1 {
        serial: text("S-1"),
        product_id: code("pump-200"),
        removed: vec![part("M-1")],
        added: vec![part("M-2")],
        reason: code("other"),
        note: None,
    };
    let child = AggregateId(Uuid::now_v7());
    let split = WorkOrderSplitV1 {
        parts: vec![SplitPartV1 {
            work_order_id: child,
            qty: qty("3"),
            due_at: at(T),
            line_id: None,
            serials: vec![text("S-2")],
        }],
        remaining_qty: qty("7"),
        reason: code("other"),
        note: None,
    };
    let decided = NonconformanceDispositionedV1 {
        ncr_id: s.ncr,
        lines: vec![DispositionLineV1 { disposition: Disposition::Scrap, qty: qty("2"), serials: vec![] }],
        cause_code: code("tool"),
        rework: None,
        approver: None,
        note: None,
    };
    let allocated = SerialsAllocatedV1 { serials: vec![text("S-1"), text("S-2")] };
    let events = vec![allocated.into(), unit("S-1", "M-1"), amended.into(), split.into(), decided.into()];
    s.running.happened(&p, "operator-1", "2026-03-02T09:00:00.000Z", events);
    p.settled().await;
    let (short, running) = (s.short.id, s.running.id);
    asking!(p, {
        let d = p.get("planner-1", &format!("/v1/work-orders/{short}")).json();
        let m = &d["materials"][0];
        let sums =
            ["required", "reserved", "issued", "returned", "consumed", "missing"].map(|k| m[k].as_str().unwrap());
        assert_eq!(sums, ["20", "7", "5", "0", "0", "8"]);
        assert_eq!((&d["readiness"], &d["open_ncr"]), (&json!("waiting"), &json!(1)));
        let what: Vec<&str> = d["movements"].as_array().unwrap().iter().map(|m| m["what"].as_str().unwrap()).collect();
        assert_eq!(what, ["reserved", "missing", "issued"]);
        let d = p.get("planner-1", &format!("/v1/work-orders/{running}")).json();
        let m = &d["materials"][0];
        assert_eq!((&m["required"], &m["consumed"], &m["missing"]), (&json!("40"), &json!("12"), &json!("0")));
        assert_eq!(d["movements"], json!([]), "backflush follows from the reports");
        assert_eq!((&d["inspections"][0]["state"], &d["inspections"][0]["sample_size"]), (&json!("fail"), &json!(3)));
        let n = &d["ncrs"][0];
        assert_eq!(
            (&n["state"], &n["cause"], &n["disposition"]),
            (&json!("dispositioned"), &json!("tool"), &json!("scrap 2"))
        );
        assert_eq!(n["decisions"][0]["what"], "NonconformanceDispositioned");
        let u = &d["units"][0];
        assert_eq!((&u["components"][0]["serial"], u["components"].as_array().unwrap().len()), (&json!("M-2"), 1));
        assert_eq!(u["amendments"][0]["removed"][0]["serial"], "M-1");
        assert_eq!(d["units"][1]["moved_to"], json!(child));
        assert_eq!((&d["splits"][0]["work_order_id"], &d["splits"][0]["qty"]), (&json!(child), &json!("3")));
        let row = &p.get("planner-1", "/v1/work-orders?short=true").items()[0];
        assert_eq!((&row["number"], &row["shortages"], &row["open_ncr"]), (&json!("WO-A"), &json!(1), &json!(1)));
        assert_eq!(p.get("planner-1", "/v1/work-orders?open_ncr=true").items().len(), 2);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn rm_02_cards_stand_by_state_and_lane_with_their_badges() {
    let p = Plant::new().await;
    story(&p).await;
    p.create("plant-1", json!({})).await;
    p.settled().await;
    asking!(p, {
        let b = p.get("planner-1", "/v1/boards/work-orders").json();
        let states: Vec<&str> = b["columns"].as_array().unwrap().iter().map(|c| c["state"].as_str().unwrap()).collect();
        assert_eq!(states, WorkOrderState::ALL.iter().map(|s| s.as_str()).collect::<Vec<_>>());
        let column = |b: &Value, state: &str| -> Value {
            b["columns"].as_array().unwrap().iter().find(|c| c["state"] == state).unwrap().clone()
        };
        let running = column(&b, "in_progress");
        let card = &running["items"][0];
        assert_eq!((&running["count"], &card["number"], &card["badges"]), (&json!(1), &json!("WO-B"), &json!(["ncr"])));
        assert_eq!(card["operators"], json!(["operator-1"]));
        assert_eq!(column(&b, "released")["items"][0]["badges"], json!(["ncr", "shortage"]));
        let lanes = p.get("planner-1", "/v1/boards/work-orders?lane=priority").json();
        let named =
            |b: &Value| -> Vec<Value> { b["lanes"].as_array().unwrap().iter().map(|l| l["lane"].clone()).collect() };
        assert_eq!(named(&lanes), [json!(1), json!(2), json!(3)]);
        assert_eq!(column(&lanes["lanes"][0], "in_progress")["items"][0]["number"], "WO-B");
        assert_eq!(column(&lanes["lanes"][1], "in_progress")["count"], 0);
        assert_eq!(column(&lanes, "released")["count"], 1);
        let lanes = p.get("planner-1", "/v1/boards/work-orders?lane=line").json();
        assert_eq!(named(&lanes), [json!("line-1"), json!(null)]);
        assert_eq!(column(&lanes["lanes"][1], "draft")["count"], 1);
        for (q, counts) in
            [("day=2026-03-03", (1, 0)), ("day=2026-03-02", (0, 1)), ("priority=1", (0, 1)), ("line=line-1", (1, 1))]
        {
            let b = p.get("planner-1", &format!("/v1/boards/work-orders?{q}")).json();
            let got = (&column(&b, "released")["count"], &column(&b, "in_progress")["count"]);
            assert_eq!(got, (&json!(counts.0), &json!(counts.1)), "{q}");
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn rm_03_the_queue_has_the_next_first_and_what_is_mine() {
    let p = Plant::new().await;
    story(&p).await;
    asking!(p, {
        let all = p.get("operator-1", "/v1/queues/cells/cell-1").items();
        let shown = |i: &Value| (i["number"].as_str().unwrap().to_owned(), i["readiness"].as_str().unwrap().to_owned());
        let rows: Vec<_> = all.iter().map(shown).collect();
        assert_eq!(rows, [("WO-B".to_owned(), "loaded".to_owned()), ("WO-A".to_owned(), "waiting".to_owned())]);
        assert_eq!((&all[0]["to_do"], &all[0]["state"], &all[0]["op"]), (&json!("6"), &json!("running"), &json!(10)));
        assert_eq!(all[0]["my_sessions"].as_array().unwrap().len(), 1);
        assert_eq!(all[0]["my_sessions"][0]["started_at"], T);
        assert!(all[0]["my_sessions"][0]["session_id"].as_str().unwrap().parse::<Uuid>().is_ok());
        let report = &all[0]["last_reports"][0];
        assert_eq!(
            (&report["good"], &report["mine"], &report["corrected"]),
            (&json!("4"), &json!(true), &json!(false))
        );
        let numbers = |q: &str| -> Vec<String> {
            let items = p.get("operator-1", &format!("/v1/queues/cells/{q}")).items();
            items.iter().map(|i| i["number"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(numbers("cell-1?me=true"), ["WO-B"]);
        assert_eq!(numbers("cell-1?me=false"), ["WO-A"]);
        assert_eq!(numbers("cell-1?ready=true"), ["WO-B"]);
        assert_eq!(numbers("cell-2?ready=false"), ["WO-B", "WO-A"]);
        let second = p.get("operator-1", "/v1/queues/cells/cell-2").items();
        assert_eq!(second[0]["predecessors"][0]["state"], "running");
        // Nothing of it is mine when somebody else asks.
        assert_eq!(p.get("planner-1", "/v1/queues/cells/cell-1").items()[0]["my_sessions"], json!([]));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn rm_06_the_schedule_has_bars_and_the_load_of_cells_and_lines() {
    let p = Plant::new().await;
    story(&p).await;
    asking!(p, {
        let all = p.get("planner-1", "/v1/schedule?from=2026-03-02T00:00:00Z&to=2026-03-03T12:00:00Z").json();
        let items = all["items"].as_array().unwrap();
        assert_eq!(items.len(), 4);
        let first = &items[0];
        assert_eq!(
            (&first["number"], &first["actual_start"], &first["actual_end"]),
            (&json!("WO-B"), &json!(T), &json!(null))
        );
        assert_eq!(first["planned_hours"], "0.3");
        // 900 s of B, and of the 900 s of A the half that lies in the period, of 36 hours.
        let load = all["load"].as_array().unwrap();
        let of = |cell: Value| load.iter().find(|l| l["cell"] == cell && l["line"] == "line-1").unwrap().clone();
        assert_eq!(of(json!("cell-1"))["planned_hours"], "0.4");
        assert_eq!(of(json!("cell-1"))["available_hours"], "36.0");
        assert_eq!(of(json!("cell-1"))["load_pct"], "1");
        assert_eq!(of(json!(null))["available_hours"], "72.0");
        let late = p.get("planner-1", "/v1/schedule?from=2026-03-03T00:00:00Z&cell=cell-2").items();
        assert_eq!((late.len(), &late[0]["number"]), (1, &json!("WO-A")));
        let named = p.get("planner-1", "/v1/schedule?week=2026-W10&cell=cell-2").json();
        assert_eq!(
            (&named["from"], &named["to"]),
            (&json!("2026-03-02T00:00:00.000Z"), &json!("2026-03-09T00:00:00.000Z"))
        );
        assert!(named["items"].as_array().unwrap().iter().any(|b| b["number"] == "WO-A"), "{named}");
        // The week of now.
        let week = p.get("planner-1", "/v1/schedule?line=line-1&state=released").json();
        assert_eq!((&week["from"], week["items"].as_array().unwrap().len()), (&json!("2026-03-02T00:00:00.000Z"), 2));
    });
    // With a calendar, against its shifts without breaks: in Berlin all of Monday's, and of Tuesday's what
    // lies before 13:00.
    let calendar = json!({"site": "plant-1", "shifts": [{"code": "early", "from": "06:00", "to": "14:00",
        "days": ["mon", "tue"], "breaks": [{"from": "10:00", "to": "10:30"}]}]});
    let put = json!({"kind": "shift_calendar", "code": "early", "document": calendar});
    p.send("planner-1", Some("plant-1"), "reference.put", None, put).await;
    p.settled().await;
    asking!(p, {
        let available = |path: &str| -> Vec<Value> {
            let all = p.get("planner-1", path).json();
            all["load"].as_array().unwrap().iter().map(|l| json!([l["cell"], l["available_hours"]])).collect()
        };
        let there = available("/v1/schedule?from=2026-03-02T00:00:00Z&to=2026-03-03T12:00:00Z");
        assert!(there.contains(&json!([null, "28.0"])) && there.contains(&json!(["cell-1", "14.0"])), "{there:?}");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn rm_08_material_is_missing_until_it_is_reserved() {
    let p = Plant::new().await;
    let mut s = story(&p).await;
    let id = s.short.id;
    let reads = |q: &str| -> Vec<Value> { asking!(p, { p.get("planner-1", &format!("/v1/shortages{q}")).items() }) };
    let all = reads("");
    assert_eq!(all.len(), 1);
    let row = &all[0];
    assert_eq!((&row["item"], &row["work_order_id"]), (&json!("motor"), &json!(id)));
    assert_eq!((&row["required"], &row["reserved"], &row["missing"]), (&json!("20"), &json!("7"), &json!("8")));
    assert_eq!(row["needed_at"], "2026-03-03T08:00:00.000Z");
    for (q, n) in [
        ("?item=motor", 1),
        ("?item=screw", 0),
        ("?line=line-1", 1),
        ("?date=2026-03-03", 1),
        ("?date=2026-03-04", 0),
        ("?needed_to=2026-03-03T07:00:00Z", 0),
        ("?needed_from=2026-03-03T07:00:00Z", 1),
    ] {
        assert_eq!(reads(q).len(), n, "{q}");
    }
    let more = MaterialReservedV1 { request_id: entity(), lines: vec![reserved(1, "motor", "8")] };
    s.short.happened(&p, "processes", T, vec![more.into()]);
    p.settled().await;
    assert!(reads("").is_empty());
    let ready = asking!(p, {
        p.get("planner-1", "/v1/work-orders?sort=number&state=released").items()[0]["readiness"].clone()
    });
    // Not loaded: the other order is more urgent and stands before it at the cell.
    assert_eq!(ready, "ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn rm_09_the_worst_and_oldest_stand_first() {
    let p = Plant::new().await;
    let s = story(&p).await;
    asking!(p, {
        let all = p.get("planner-1", "/v1/quality").items();
        let kinds: Vec<_> = all.iter().map(|i| (i["kind"].as_str().unwrap(), i["severity"].as_i64())).collect();
        assert_eq!(kinds, [("ncr", Some(1)), ("ncr", Some(3)), ("inspection", None)]);
        assert_eq!((&all[0]["id"], &all[0]["owner"]), (&json!(s.ncr), &json!("operator-1")));
        assert_eq!((&all[0]["age"], &all[2]["state"]), (&json!("0.0"), &json!("fail")));
        for (q, n) in [
            ("state=open", 2),
            ("state=fail", 1),
            ("state=closed", 0),
            ("severity=1", 1),
            ("severity=1,3", 2),
            ("product=pump-200", 3),
            ("product=bracket-10", 0),
            ("cause=tool", 0),
            ("kind=inspection", 1),
            ("stage=in_process", 2),
        ] {
            assert_eq!(p.get("planner-1", &format!("/v1/quality?{q}")).items().len(), n, "{q}");
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn i5_the_rows_of_orders_and_the_inbox_are_the_same_after_a_rebuild() {
    let p = Plant::new().await;
    let mut s = story(&p).await;
    // One batch more, so that orders are loaded again and written a second time.
    let more = MaterialReservedV1 { request_id: entity(), lines: vec![reserved(1, "motor", "3")] };
    s.short.happened(&p, "processes", T, vec![more.into()]);
    let closed = NonconformanceClosedV1 {
        ncr_id: s.ncr,
        verification: Sealed::Cipher { key_id: Uuid::nil(), bytes: vec![1, 2, 3] },
        corrective_action_ref: None,
    };
    s.running.happened(&p, "planner-1", T, vec![closed.into()]);
    let h = head("operator-1", "plant-1", "work-order.hold", T);
    refused(&p, h, Rejection::new(ErrorCode::Forbidden, "no").with("captured_offline", true));
    p.settled().await;
    let lived = crate::dump(&crate::live_file(&p.dir.path().join("views")));
    for table in ["operation: ", "shortage: ", "quality: ", "report: ", "movement: ", "inbox: ", "place: ", "note: "] {
        assert!(lived.iter().any(|r| r.starts_with(table)), "no row of {table}");
    }
    let elsewhere = p.dir.path().join("again");
    std::fs::create_dir_all(&elsewhere).unwrap();
    let again = crate::plant::follow(&elsewhere, &p.log);
    assert!(again.reached(mw_log::EventLog::head(&*p.log).commit).await);
    assert_eq!(crate::dump(&crate::live_file(&elsewhere)), lived);
}
