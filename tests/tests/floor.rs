//! The golden scenarios of the shop floor: reports, two tablets, late reports, partial flow and
//! corrections. MQTT in, HTTPS out.

use std::sync::Mutex;

use mw_blackbox::{Commands, Http, System, story};
use serde_json::{Value, json};

/// An order of `bracket-10` or of its own routing, released and started on its first operation.
fn started(p: &mut Commands, l: &mut Commands, qty: u32, more: Value) -> String {
    let id = story::new_id();
    let mut create = story::create(&id, "bracket-10", qty);
    create["payload"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    p.accepted(&create);
    p.accepted(&story::plan(&id, 1));
    p.accepted(&story::release(&id, 2));
    l.accepted(&story::start_operation(&id, 10, "cell-1", &story::new_id()));
    id
}

fn people(system: &System, test: &str) -> (Commands, Commands) {
    (
        Commands::connect(system, "planner-1", &format!("planner-1-{test}")),
        Commands::connect(system, "lead-1", &format!("lead-1-{test}")),
    )
}

fn two_steps(overlap: &str) -> Value {
    let mut second = json!({"op": 20, "name": "b", "cell_id": "cell-2", "overlap": overlap});
    if overlap == "transfer_batch" {
        second["transfer_batch_qty"] = json!("20");
    }
    json!({"routing": [{"op": 10, "name": "a", "cell_id": "cell-1"}, second]})
}

fn rule(refused: &Value) -> &str {
    refused["error"]["details"]["rule"].as_str().unwrap_or_default()
}

#[test]
fn golden_04_a_double_tap_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let (mut p, mut l) = people(&system, "tap");
    let id = started(&mut p, &mut l, 100, json!({}));
    let report = story::report(&id, 10, 5, 0);
    let replies: Vec<Value> = (0..3).map(|_| l.call(&report)).collect();
    let status: Vec<&str> = replies.iter().filter_map(|r| r["status"].as_str()).collect();
    assert_eq!(status, ["accepted", "duplicate", "duplicate"]);
    assert!(replies.iter().all(|r| r["events"] == replies[0]["events"]), "{replies:?}");
    let http = Http::login(&system, "planner-1");
    let position = story::position(&replies[0]);
    assert_eq!(http.get(&format!("/v1/work-orders/{id}?min_position={position}")).json()["good"], "5");
}

#[test]
fn golden_05_two_tablets_add_up_and_one_completes() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let (mut p, mut l) = people(&system, "tablets");
    let id = started(&mut p, &mut l, 7, json!({}));
    let a = Mutex::new(Commands::connect(&system, "lead-1", "tablet-a"));
    let b = Mutex::new(Commands::connect(&system, "lead-1", "tablet-b"));
    let both = |first: Value, second: Value| {
        std::thread::scope(|s| {
            let one = s.spawn(|| a.lock().unwrap().call(&first));
            let two = s.spawn(|| b.lock().unwrap().call(&second));
            [one.join().unwrap(), two.join().unwrap()]
        })
    };
    let reports = both(story::report(&id, 10, 3, 0), story::report(&id, 10, 4, 0));
    assert!(reports.iter().all(|r| r["status"] == "accepted"), "{reports:?}");
    let done = l.accepted(&story::complete_operation(&id, 10, false));
    let version = story::version(&done);
    let [x, y] = both(story::complete(&id, version), story::complete(&id, version));
    let (won, lost) = if x["status"] == "accepted" { (x, y) } else { (y, x) };
    assert_eq!(won["status"], "accepted");
    assert_eq!(lost["error"]["code"], "VERSION_CONFLICT", "{lost}");
    assert_eq!(lost["error"]["details"]["events_since"], json!(["WorkOrderCompleted"]));
    let http = Http::login(&system, "planner-1");
    let doc = http.get(&format!("/v1/work-orders/{id}?min_position={}", story::position(&won))).json();
    assert_eq!((&doc["good"], &doc["state"]), (&json!("7"), &json!("completed")));
}

#[test]
fn golden_07_08_09_flow_and_corrections_keep_the_numbers_right() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let (mut p, mut l) = people(&system, "flow");
    // 7: no more than was planned.
    let id = started(&mut p, &mut l, 100, json!({}));
    l.accepted(&story::report(&id, 10, 98, 0));
    let refused = l.rejected(&story::report(&id, 10, 3, 0), "GUARD_FAILED");
    assert_eq!((rule(&refused), &refused["error"]["details"]["max_allowed"]), ("WO-31.R2", &json!("2")));

    // 8: the next step starts with a batch, or not at all.
    let id = started(&mut p, &mut l, 100, two_steps("none"));
    l.accepted(&story::report(&id, 10, 80, 0));
    let start = |id: &str| story::start_operation(id, 20, "cell-2", &story::new_id());
    assert_eq!(rule(&l.rejected(&start(&id), "GUARD_FAILED")), "WO-28.R1");
    let id = started(&mut p, &mut l, 100, two_steps("transfer_batch"));
    l.accepted(&story::report(&id, 10, 19, 0));
    assert_eq!(rule(&l.rejected(&start(&id), "GUARD_FAILED")), "WO-28.R1");
    l.accepted(&story::report(&id, 10, 61, 0));
    l.accepted(&start(&id));
    let refused = l.rejected(&story::report(&id, 20, 81, 0), "GUARD_FAILED");
    assert_eq!(refused["error"]["details"]["max_allowed"], "80");
    l.accepted(&story::report(&id, 20, 80, 0));

    // 9: a correction leaves to the next step what it has used.
    let id = started(&mut p, &mut l, 100, two_steps("none"));
    let report = story::report(&id, 10, 10, 0);
    l.accepted(&report);
    l.accepted(&story::complete_operation(&id, 10, true));
    l.accepted(&start(&id));
    l.accepted(&story::report(&id, 20, 6, 0));
    let correct = |good: &str| {
        let payload = json!({"report_id": report["payload"]["report_id"], "good": good, "reason": "wrong_data"});
        story::command("work-order.correct-report", &id, None, payload)
    };
    assert_eq!(rule(&l.rejected(&correct("0"), "GUARD_FAILED")), "WO-33.R2");
    let reply = l.accepted(&correct("6"));
    let http = Http::login(&system, "planner-1");
    let position = story::position(&reply);
    let doc = http.get(&format!("/v1/work-orders/{id}?min_position={position}")).json();
    let good: Vec<&Value> = doc["operations"].as_array().unwrap().iter().map(|o| &o["good"]).collect();
    assert_eq!(good, ["6", "6"]);
    let trail = http.get(&format!("/v1/work-orders/{id}/events?type=OperationReportCorrected")).items();
    assert!(trail[0].to_string().contains("corrected by -4 good"), "{trail:?}");
}

#[test]
fn operations_are_added_skipped_and_reopened_and_serials_voided() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let (mut p, mut l) = people(&system, "steps");
    let id = started(&mut p, &mut l, 5, two_steps("none"));
    let on = |kind: &str, version: u64, payload: Value| {
        story::command(&format!("work-order.{kind}"), &id, Some(version), payload)
    };
    let added = p.accepted(&on(
        "add-operation",
        5,
        json!({"op": 15, "name": "deburr", "cell_class": "x", "reason": "quality"}),
    ));
    let skipped = l.accepted(&on("skip-operation", story::version(&added), json!({"op": 15, "reason": "not_needed"})));
    l.accepted(&story::report(&id, 10, 5, 0));
    let done = l.accepted(&story::complete_operation(&id, 10, false));
    let again = l.accepted(&on("reopen-operation", story::version(&done), json!({"op": 10, "reason": "quality"})));
    p.accepted(&on("allocate-serials", story::version(&again), json!({"serials": ["Z-1", "Z-2"]})));
    let void = story::command("work-order.void-serial", &id, None, json!({"serial": "Z-1", "reason": "wrong_data"}));
    l.accepted(&void);
    let lot = story::command("work-order.assign-lot", &id, None, json!({"lot": "L-77", "expires_on": "2031-01-31"}));
    let reply = l.accepted(&lot);
    assert!(story::version(&reply) > story::version(&skipped));
    let http = Http::login(&system, "planner-1");
    let doc = http.get(&format!("/v1/work-orders/{id}?min_position={}", story::position(&reply))).json();
    let ops: Vec<Value> =
        doc["operations"].as_array().unwrap().iter().map(|o| json!([o["op"], o["state"], o["predecessors"]])).collect();
    assert_eq!(ops, [json!([10, "paused", []]), json!([15, "skipped", [10]]), json!([20, "pending", [10]])]);
    assert_eq!(doc["lots"], json!([{"lot": "L-77", "expires_on": "2031-01-31"}]));
    let units: Vec<Value> =
        doc["units"].as_array().unwrap().iter().map(|u| json!([u["serial"], u["voided"]])).collect();
    assert_eq!(units, [json!(["Z-1", true]), json!(["Z-2", false])]);
}

/// Numbers that follow from a seed, the same on every machine.
struct Dice(u64);

impl Dice {
    /// One of 0 to `below - 1`.
    fn roll(&mut self, below: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.0 >> 33) % u64::from(below.max(1))).unwrap()
    }
}

/// What a foreman with a sheet of paper would allow: two steps, pieces that go on in batches.
struct Sheet {
    most: u32,
    batch: u32,
    /// Good and scrap of each report of the first step.
    reports: Vec<(String, u32, u32)>,
    second: Option<u32>,
}

impl Sheet {
    fn good(&self) -> u32 {
        self.reports.iter().map(|r| r.1).sum()
    }

    fn made(&self) -> u32 {
        self.good() + self.reports.iter().map(|r| r.2).sum::<u32>()
    }
}

/// Golden scenarios 4 and 5 with other numbers: reports of several tablets at once, some sent again and
/// again, add up to what was on the reports; of several who complete, one does.
#[test]
fn goldens_04_05_with_other_numbers_each_report_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let (mut p, mut l) = people(&system, "taps");
    let http = Http::login(&system, "planner-1");
    for seed in 1..=4u64 {
        let mut dice = Dice(seed);
        let tablets = 2 + dice.roll(3);
        // Good, scrap and how often it is sent, of each report of each tablet.
        let work: Vec<Vec<(u32, u32, u32)>> = (0..tablets)
            .map(|_| (0..1 + dice.roll(6)).map(|_| (1 + dice.roll(9), dice.roll(3), 1 + dice.roll(4))).collect())
            .collect();
        let good: u32 = work.iter().flatten().map(|r| r.0).sum();
        let scrap: u32 = work.iter().flatten().map(|r| r.1).sum();
        let id = started(&mut p, &mut l, good + scrap, json!({}));
        let mut clients: Vec<Commands> =
            (0..tablets).map(|t| Commands::connect(&system, "lead-1", &format!("tablet-{seed}-{t}"))).collect();
        std::thread::scope(|s| {
            for (client, reports) in clients.iter_mut().zip(&work) {
                let id = &id;
                s.spawn(move || {
                    for (good, scrap, times) in reports {
                        let report = story::report(id, 10, *good, *scrap);
                        let first = client.accepted(&report);
                        for _ in 1..*times {
                            let again = client.call(&report);
                            assert_eq!(again["status"], "duplicate", "{again}");
                            assert_eq!(again["events"], first["events"]);
                        }
                    }
                });
            }
        });
        let done = l.accepted(&story::complete_operation(&id, 10, false));
        let version = story::version(&done);
        let ends: Vec<Value> = std::thread::scope(|s| {
            let ended: Vec<_> =
                clients.iter_mut().map(|c| s.spawn(|| c.call(&story::complete(&id, version)))).collect();
            ended.into_iter().map(|e| e.join().unwrap()).collect()
        });
        let codes = ends.iter().filter(|e| e["error"]["code"] == "VERSION_CONFLICT").count();
        let won: Vec<&Value> = ends.iter().filter(|e| e["status"] == "accepted").collect();
        assert_eq!((won.len(), codes), (1, ends.len() - 1), "{ends:?}");
        let doc = http.get(&format!("/v1/work-orders/{id}?min_position={}", story::position(won[0]))).json();
        let told = (doc["good"].as_str(), doc["scrap"].as_str(), doc["state"].as_str());
        assert_eq!(told, (Some(&*good.to_string()), Some(&*scrap.to_string()), Some("completed")), "seed {seed}");
    }
}

#[test]
fn goldens_07_08_09_with_other_numbers_are_what_a_sheet_of_paper_says() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let (mut p, mut l) = people(&system, "dice");
    let http = Http::login(&system, "planner-1");
    let (mut accepted, mut refused) = (0, 0);
    for seed in 1..=6 {
        let mut dice = Dice(seed);
        let (planned, tolerance) = (10 * (1 + dice.roll(30)), 10 * dice.roll(2));
        let batch = 1 + dice.roll(planned / 2);
        let mut routing = two_steps("transfer_batch");
        routing["routing"][1]["transfer_batch_qty"] = json!(batch.to_string());
        routing["over_tolerance_pct"] = json!(tolerance.to_string());
        let id = started(&mut p, &mut l, planned, routing);
        let mut sheet = Sheet { most: planned + planned * tolerance / 100, batch, reports: Vec::new(), second: None };
        for step in 0..25 {
            let what = format!("seed {seed}, step {step}, {planned} planned, batch {batch}");
            let (command, so, max) = match (dice.roll(4), sheet.second) {
                (0 | 1, _) => {
                    let (good, scrap) = (dice.roll(planned / 3 + 2), dice.roll(3));
                    if good + scrap == 0 {
                        continue;
                    }
                    let c = story::report(&id, 10, good, scrap);
                    let left = sheet.most - sheet.made();
                    if good + scrap <= left {
                        let report = c["payload"]["report_id"].as_str().unwrap().to_owned();
                        sheet.reports.push((report, good, scrap));
                    }
                    (c, good + scrap <= left, Some(left))
                }
                (2, None) => {
                    let so = sheet.good() >= sheet.batch;
                    sheet.second = so.then_some(0);
                    (story::start_operation(&id, 20, "cell-2", &story::new_id()), so, None)
                }
                (2, Some(used)) => {
                    let n = 1 + dice.roll(planned / 3 + 1);
                    let left = sheet.good() - used;
                    if n <= left {
                        sheet.second = Some(used + n);
                    }
                    (story::report(&id, 20, n, 0), n <= left, Some(left))
                }
                _ => {
                    let Some(which) = (!sheet.reports.is_empty()).then(|| dice.roll(sheet.reports.len() as u32)) else {
                        continue;
                    };
                    let (report, old, _) = sheet.reports[which as usize].clone();
                    let new = dice.roll(2 * old + 2);
                    if new == old {
                        continue;
                    }
                    let (good, made) = (sheet.good() - old + new, sheet.made() - old + new);
                    let so = good >= sheet.second.unwrap_or(0) && made <= sheet.most;
                    if so {
                        sheet.reports[which as usize].1 = new;
                    }
                    let payload = json!({"report_id": report, "good": new.to_string(), "reason": "wrong_data",
                    "scrap": match sheet.reports[which as usize].2 {
                        0 => json!([]),
                        n => json!([{"qty": n.to_string(), "reason": "surface"}]),
                    }});
                    (story::command("work-order.correct-report", &id, None, payload), so, None)
                }
            };
            if so {
                l.accepted(&command);
                accepted += 1;
            } else {
                let reply = l.call(&command);
                assert_eq!(reply["error"]["code"], "GUARD_FAILED", "{what}: {command} was answered {reply}");
                if let Some(max) = max {
                    assert_eq!(reply["error"]["details"]["max_allowed"], max.to_string(), "{what}: {reply}");
                }
                refused += 1;
            }
        }
        let both = |d: &Value| -> Vec<String> {
            d["operations"].as_array().unwrap().iter().map(|o| o["good"].as_str().unwrap().to_owned()).collect()
        };
        let expected = [sheet.good().to_string(), sheet.second.unwrap_or(0).to_string()];
        http.eventually(&format!("/v1/work-orders/{id}"), |a| both(&a.json()) == expected);
    }
    assert!(accepted > 40 && refused > 15, "{accepted} and {refused}");
}
