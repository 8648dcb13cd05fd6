//! Tickets over HTTPS: the list, one ticket, its history, board, day plan, clocks, backlog, and what a
//! customer sees.

mod story;

use std::collections::BTreeSet;

use mw_contract::event::samples::Sample;
use mw_contract::event::ticket::*;
use mw_contract::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::history::*;
use crate::plant::{Plant, follow_tickets};
use story::*;

const LISTS: [&str; 5] = [
    "/v1/tickets",
    "/v1/boards/tickets",
    "/v1/queues/technicians/technician-1?day=2026-03-03",
    "/v1/sla/at-risk",
    "/v1/backlog",
];

fn numbers(items: &[Value]) -> Vec<String> {
    let short = |i: &Value| i["number"].as_str().unwrap().trim_start_matches("TK-2026-00000").to_owned();
    items.iter().map(short).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rm_10_tickets_are_listed_filtered_and_sorted_by_what_is_left() {
    let p = Plant::new().await;
    story(&p).await;
    asking!(p, {
        let list = |q: &str| numbers(&p.get("dispatcher-1", &format!("/v1/tickets?{q}")).items());
        // What runs first, then what has no clock, by priority: 5 is triaged, 2 is not, 4 is of priority 3.
        assert_eq!(list(""), ["1", "4", "5", "2"]);
        for (q, expected) in [
            ("state=new", vec!["2"]),
            ("state=closed,awaiting_approval&sort=number", vec!["4", "5"]),
            ("open=true&sort=-number", vec!["5", "2", "1"]),
            ("team=field&sort=number", vec!["1", "4"]),
            ("lead=technician-1", vec!["1"]),
            ("warranty=in_warranty", vec!["1"]),
            ("product=pump-200&sort=number", vec!["1", "4", "5"]),
            ("kind=internal_maintenance", vec!["2"]),
            ("channel=operator", vec!["2"]),
            ("age_bucket=3-7", vec!["2"]),
            ("age_bucket=0-1&sort=number", vec!["1", "5"]),
            // A day old to the second when it was closed.
            ("age_bucket=1-3", vec!["4"]),
            ("commercial=quoted", vec!["5"]),
            ("priority=2,3&sort=number", vec!["1", "4"]),
            ("severity=1", vec![]),
            ("serial=S-3", vec!["5"]),
            ("due_to=2026-03-02T16:00:00Z", vec!["1"]),
            ("due_from=2026-03-02T16:00:01Z", vec![]),
            ("q=silent&state=new", vec!["2"]),
            ("q=TK-2026-000004", vec!["4"]),
            ("q=s-3", vec!["5"]),
            ("sla_at_risk=true", vec![]),
        ] {
            assert_eq!(list(q), expected, "{q}");
        }
        let a = p.get("dispatcher-1", "/v1/tickets?lead=technician-1").items().remove(0);
        for (field, value) in [
            ("number", json!("TK-2026-000001")),
            ("title", json!("Pump is silent")),
            ("customer", json!("acme")),
            ("site", json!("plant-1")),
            ("serial", json!("S-1")),
            ("product", json!("pump-200")),
            ("severity", json!(2)),
            ("priority", json!(2)),
            ("state", json!("scheduled")),
            ("warranty", json!("in_warranty")),
            ("commercial", json!("not_required")),
            ("lead", json!("technician-1")),
            ("team", json!("field")),
            ("visit_window", json!({"start": "2026-03-03T09:00:00.000Z", "end": "2026-03-03T11:00:00.000Z"})),
            ("sla_clock", json!("resolution")),
            ("sla_remaining", json!(28800)),
            ("due", json!("2026-03-02T16:00:00.000Z")),
            ("age", json!("0.0")),
            ("hold_reason", json!(null)),
            ("cycle", json!(1)),
            ("escalation", json!(0)),
            ("version", json!(11)),
        ] {
            assert_eq!(a[field], value, "{field}");
        }
        for (bad, says) in [
            ("state=burning", "awaiting_approval"),
            ("warranty=perhaps", "goodwill"),
            ("product=nothing", "pump-200"),
            ("site=plant-9", "plant-1"),
            ("age_bucket=2", "14-30"),
            ("kind=x", "preventive"),
            ("channel=x", "portal"),
            ("sla_at_risk=x", "true"),
            ("colour=red", "age_bucket"),
            ("sort=colour", "sla_remaining"),
            ("sort=visit_window", "visit_start"),
            ("due_from=soon", "soon"),
            ("limit=0", "500"),
            ("cursor=x", "cursor"),
        ] {
            let refused = p.get("dispatcher-1", &format!("/v1/tickets?{bad}"));
            assert_eq!(refused.problem(400), "bad-parameter", "{bad}");
            assert!(refused.text.contains(says), "{bad}: {}", refused.text);
        }
        // Business time: at 17:30 of Friday in Berlin 8 h of Monday and 4 whole days have gone over its target.
        p.clock.advance_to(at("2026-03-06T16:30:00.000Z"));
        let a = p.get("dispatcher-1", "/v1/tickets?sla_at_risk=true").items().remove(0);
        assert_eq!((&a["sla_remaining"], &a["number"]), (&json!(-4 * 28800), &json!("TK-2026-000001")));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn rm_10_pages_in_every_sort_hold_every_ticket_once_and_csv_has_the_same_fields() {
    let p = Plant::new().await;
    story(&p).await;
    asking!(p, {
        for (who, path) in [("dispatcher-1", "/v1/tickets"), ("customer-1", "/v1/tickets")] {
            let first = p.get(who, path).items();
            assert!(first.len() >= 3, "{who}");
            for field in first[0].as_object().unwrap().iter().filter(|(n, v)| !v.is_array() && *n != "visit_window") {
                for sort in [field.0.to_owned(), format!("-{}", field.0)] {
                    let mut at = format!("{path}?limit=1&sort={sort}");
                    let mut seen = Vec::new();
                    loop {
                        let page = p.get(who, &at);
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
            let csv = p.get(who, &format!("{path}?format=csv"));
            let heading: BTreeSet<&str> = csv.text.split("\r\n").next().unwrap().split(',').collect();
            assert_eq!(heading, first[0].as_object().unwrap().keys().map(String::as_str).collect());
            assert_eq!(csv.text.split("\r\n").count(), first.len() + 2);
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn i8_what_of_tickets_the_scope_excludes_does_not_exist() {
    let p = Plant::new().await;
    let s = story(&p).await;
    asking!(p, {
        let listed = |who: &str| {
            let mut all = numbers(&p.get(who, "/v1/tickets").items());
            all.sort();
            all
        };
        let all = [(&s.a, "1"), (&s.b, "2"), (&s.c, "3"), (&s.d, "4"), (&s.e, "5")];
        for (who, sees) in [
            ("dispatcher-1", vec!["1", "2", "4", "5"]),
            ("technician-1", vec!["1", "2", "4", "5"]),
            ("planner-1", vec!["1", "2", "4", "5"]),
            ("auditor-1", vec!["1", "2", "4", "5"]),
            ("admin", vec!["1", "2", "4", "5"]),
            ("dispatcher-2", vec!["3"]),
            ("operator-1", vec!["2"]),
            ("lead-1", vec!["2"]),
            ("customer-1", vec!["1", "3", "5"]),
            ("customer-2", vec!["4"]),
        ] {
            assert_eq!(listed(who), sees, "{who}");
            for (t, number) in all {
                let status = if sees.contains(&number) { 200 } else { 404 };
                assert_eq!(p.get(who, &format!("/v1/tickets/{}", t.id)).status, status, "{who} {number}");
                // Nor what it was.
                let then = format!("/v1/tickets/{}?as_of=2026-03-05T00:00:00Z", t.id);
                assert_eq!(p.get(who, &then).status, status, "{who} {number}");
                if !who.starts_with("customer") {
                    let history = p.get(who, &format!("/v1/tickets/{}/events", t.id));
                    assert_eq!(history.status, status, "{who} {number}");
                }
            }
            // A list shows nothing of what is hidden.
            for path in LISTS.iter().filter(|_| !who.starts_with("customer")) {
                let text = p.get(who, path).text;
                for (_, number) in all.iter().filter(|(_, n)| !sees.contains(n)) {
                    let full = format!("TK-2026-00000{number}");
                    assert!(!text.contains(&full), "{who} {path}");
                }
            }
        }
        // What is hidden is answered as what is not there.
        let nothing = Uuid::now_v7();
        let hidden = p.get("customer-2", &format!("/v1/tickets/{}", s.a.id)).text;
        let absent = p.get("customer-2", &format!("/v1/tickets/{nothing}")).text;
        assert_eq!(hidden.replace(&s.a.id.to_string(), "X"), absent.replace(&nothing.to_string(), "X"));
        for path in LISTS {
            assert_eq!(p.get("", path).problem(401), "unauthorized", "{path}");
            assert_eq!(p.get("cell-1", path).problem(403), "forbidden", "{path}");
            if path != "/v1/tickets" {
                assert_eq!(p.get("customer-1", path).problem(403), "forbidden", "{path}");
            }
        }
        assert_eq!(p.get("customer-1", &format!("/v1/tickets/{}/events", s.a.id)).problem(403), "forbidden");
        for who in ["dispatcher-1", "operator-1", "admin"] {
            for path in ["/v1/my/tickets", "/v1/my/units"] {
                assert_eq!(p.get(who, path).problem(403), "forbidden", "{who} {path}");
            }
        }
        // A technician's history is of what the technician did.
        let own = p.get("technician-1", &format!("/v1/tickets/{}/events", s.a.id)).items();
        assert!(own.len() == 1 && own[0]["type"] == "PartsConsumed", "{own:?}");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_shows_its_unit_clocks_and_texts_and_its_customer_only_what_is_public() {
    let p = Plant::new().await;
    let s = story(&p).await;
    asking!(p, {
        p.clock.advance_to(at("2026-03-02T15:00:00.000Z"));
        let path = format!("/v1/tickets/{}", s.a.id);
        let d = p.get("dispatcher-1", &path);
        assert_eq!(d.header("etag"), Some("\"11\""));
        assert_eq!(p.get_with("dispatcher-1", &path, &[("if-none-match", "\"11\"")]).status, 304);
        let d = d.json();
        assert_eq!(d["description"], "Mrs Miller rang");
        assert_eq!(d["unit"]["work_order_number"], "WO-2026-000009");
        assert_eq!(d["warranty"]["work_order_id"], json!(Uuid::from_u128(5)));
        assert_eq!(d["warranty"]["coverage"]["checked"]["terms"]["warranty_end"], "2027-03-01");
        let texts: Vec<&Value> = d["comments"].as_array().unwrap().iter().map(|c| &c["text"]).collect();
        assert_eq!(texts, ["We are on it", "he always complains", "thank you"]);
        assert_eq!(d["visits"][0]["parts_to_bring"][0]["item_id"], "seal-5");
        assert_eq!(d["totals"]["covered_parts"], json!([{"amount": "6.5", "currency": "EUR"}]));
        assert_eq!(d["totals"]["charged_parts"], json!([]));
        assert_eq!(d["checklist"][1], json!({"step": 2, "text": "listen", "done": false}));
        let clock = |n: usize, field: &str| d["sla"]["clocks"][n][field].clone();
        assert_eq!((clock(0, "state"), clock(0, "remaining")), (json!("met"), json!(6900)));
        assert_eq!((clock(1, "state"), clock(1, "remaining")), (json!("running"), json!(3600)));
        assert_eq!((clock(1, "due"), clock(1, "breached")), (json!("2026-03-02T16:00:00.000Z"), json!(false)));

        let mine = p.get("customer-1", &path);
        assert_eq!(mine.json()["description"], "Mrs Miller rang");
        let texts: Vec<Value> = mine.json()["comments"].as_array().unwrap().iter().map(|c| c["text"].clone()).collect();
        assert_eq!(texts, ["We are on it", "thank you"]);
        for hidden in
            ["complains", "cost", "6.5", "3.25", "WO-2026", "escalation", "technician-1", "dispatcher-1", "sla"]
        {
            assert!(!mine.text.contains(hidden), "{hidden}: {}", mine.text);
        }
        assert_eq!(mine.json()["warranty"]["end"], "2027-03-01");

        // The history, with texts, and without those of a destroyed key.
        let events = p.get("dispatcher-1", &format!("{path}/events?type=CommentAdded")).items();
        assert_eq!(events[1]["note"], "he always complains");
        assert_eq!(events[0]["words"], "public comment by staff");
        let acme = DataSubject::Customer(code("acme"));
        assert!(p.service_vault.erase(EventId(Uuid::now_v7()), &acme).unwrap());
        let d = p.get("dispatcher-1", &path).json();
        assert_eq!((&d["description"], &d["title"]), (&json!({"erased": true}), &json!("Pump is silent")));
        assert_eq!(p.get("customer-1", &path).json()["comments"][0]["text"], json!({"erased": true}));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_of_the_past_is_what_it_was_then() {
    let p = Plant::new().await;
    let s = story(&p).await;
    asking!(p, {
        let path = format!("/v1/tickets/{}", s.a.id);
        let then = |q: &str| p.get("dispatcher-1", &format!("{path}?as_of={q}")).json();
        let first = then("position:2");
        assert_eq!((&first["state"], &first["version"]), (&json!("new"), &json!(2)));
        assert_eq!(first["comments"], json!([]));
        // Recorded two days later than it happened: 16 hours of work of the story's clock are over.
        assert_eq!(first["sla"]["clocks"][1]["remaining"], json!(-2 * 28800 + 4 * 3600));
        assert_eq!(then("position:4")["priority"], 2);
        let now = p.get("dispatcher-1", &path).json();
        let last = then("2026-03-05T00:00:00Z");
        assert_eq!((&last["version"], &last["visits"]), (&now["version"], &now["visits"]));
        assert_eq!(p.get("dispatcher-1", &format!("{path}?as_of=2026-03-01T00:00:00Z")).problem(404), "not-found");
        assert_eq!(p.get("dispatcher-1", &format!("{path}?as_of=yesterday")).problem(400), "bad-parameter");
        let mine = p.get("customer-1", &format!("{path}?as_of=2026-03-05T00:00:00Z"));
        assert!(!mine.text.contains("complains"));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn rm_11_the_board_has_a_column_for_every_state() {
    let p = Plant::new().await;
    story(&p).await;
    asking!(p, {
        let board = p.get("dispatcher-1", "/v1/boards/tickets").json();
        let columns = board["columns"].as_array().unwrap();
        let states: Vec<&str> = columns.iter().map(|c| c["state"].as_str().unwrap()).collect();
        assert_eq!(states, TicketState::ALL.iter().map(|s| s.as_str()).collect::<Vec<_>>());
        let of = |state: &str| columns.iter().find(|c| c["state"] == state).unwrap().clone();
        assert_eq!((&of("scheduled")["count"], &of("on_hold")["count"]), (&json!(1), &json!(0)));
        let card = &of("scheduled")["items"][0];
        assert_eq!((&card["sla_state"], &card["sla_remaining"]), (&json!("running"), &json!(28800)));
        assert_eq!(of("awaiting_approval")["items"][0]["badges"], json!(["quote"]));
        assert_eq!(board["position"], json!(p.service_position()));
        let field = p.get("dispatcher-1", "/v1/boards/tickets?team=field&priority=2").json();
        let shown: i64 = field["columns"].as_array().unwrap().iter().map(|c| c["count"].as_i64().unwrap()).sum();
        assert_eq!(shown, 1);
        let paused = p.get("dispatcher-2", "/v1/boards/tickets?state=on_hold").json();
        let held = paused["columns"].as_array().unwrap().iter().find(|c| c["count"] == 1).unwrap();
        assert_eq!(held["items"][0]["sla_state"], "paused");
        assert_eq!(held["items"][0]["badges"], json!(["hold"]));
        for bad in ["cursor=x", "priority=9", "lane=line"] {
            assert_eq!(p.get("dispatcher-1", &format!("/v1/boards/tickets?{bad}")).problem(400), "bad-parameter");
        }
        assert_eq!(p.get("dispatcher-1", "/v1/boards/tickets?format=csv").text.split("\r\n").count(), 6);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn rm_12_a_technician_sees_the_visits_of_a_day_and_what_is_needed_for_them() {
    let p = Plant::new().await;
    let mut s = story(&p).await;
    asking!(p, {
        let today = p.get("technician-1", "/v1/queues/technicians/technician-1");
        assert!(today.items().is_empty());
        let today = today.json();
        assert_eq!((&today["day"], &today["technician"]), (&json!("2026-03-02"), &json!("technician-1")));
        assert_eq!(numbers(today["assigned"].as_array().unwrap()), ["1"]);
        let plan = p.get("technician-1", "/v1/queues/technicians/technician-1?day=2026-03-03").items();
        let v = &plan[0];
        for (field, value) in [
            ("ticket_id", json!(s.a.id)),
            ("window_start", json!("2026-03-03T09:00:00.000Z")),
            ("location", json!("site")),
            ("address_ref", json!("hall-3")),
            ("contact_ref", json!("contact-7")),
            ("parts_to_bring", json!([{"item_id": "seal-5", "qty": "2"}])),
            ("open_sessions", json!([])),
            ("travel", json!([])),
            ("checklist", json!(["look", "listen"])),
        ] {
            assert_eq!(v[field], value, "{field}");
        }
        assert_eq!(v["unit_history"][0]["number"], "TK-2026-000004");
        // Nobody else's.
        let other = p.get("technician-1", "/v1/queues/technicians/technician-2?day=2026-03-03").json();
        assert_eq!((&other["items"], &other["assigned"]), (&json!([]), &json!([])));
        assert_eq!(p.get("technician-1", "/v1/queues/technicians/No%20One").problem(404), "not-found");
        assert_eq!(p.get("technician-1", "/v1/queues/technicians/a?day=soon").problem(400), "bad-parameter");
        let csv = p.get("technician-1", "/v1/queues/technicians/technician-1?day=2026-03-03&format=csv").text;
        assert_eq!(csv.split("\r\n").count(), 3);
    });
    // What nobody has made an appointment for waits too, but belongs to no day in particular.
    s.b.happened(&p, "dispatcher-1", T, vec![triaged(2, "field"), assigned("technician-1")]);
    p.settled().await;
    asking!(p, {
        let today = p.get("technician-1", "/v1/queues/technicians/technician-1").items();
        assert_eq!((numbers(&today), &today[0]["window_start"]), (vec!["2".to_owned()], &json!(null)));
        for (day, there) in [("2026-03-02", vec![]), ("2026-03-03", vec!["1".to_owned()])] {
            let path = format!("/v1/queues/technicians/technician-1?day={day}");
            assert_eq!(numbers(&p.get("technician-1", &path).items()), there, "{day}");
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn rm_15_a_clock_is_at_risk_below_a_quarter_or_an_hour_and_shows_its_overrun_behind_its_end() {
    let p = Plant::new().await;
    let mut s = story(&p).await;
    asking!(p, {
        let at_risk = |q: &str| p.get("dispatcher-1", &format!("/v1/sla/at-risk{q}")).items();
        assert!(at_risk("").is_empty());
        // 2 h of 8 h are a quarter; a minute less is below it.
        p.clock.advance_to(at("2026-03-02T14:00:00.000Z"));
        assert!(at_risk("").is_empty());
        p.clock.advance_to(at("2026-03-02T14:01:00.000Z"));
        let risky = at_risk("");
        assert_eq!((&risky[0]["remaining"], &risky[0]["breached"]), (&json!(7140), &json!(false)));
        p.clock.advance_to(at("2026-03-03T09:00:00.000Z"));
        let late = at_risk("?breached=true&customer=acme&team=field&clock=resolution");
        assert_eq!((&late[0]["remaining"], &late[0]["overrun"]), (&json!(-3600), &json!(3600)));
        assert!(at_risk("?breached=false").is_empty());
        assert_eq!(p.get("dispatcher-1", "/v1/sla/at-risk?clock=x").problem(400), "bad-parameter");
    });
    // What was resolved too late is over, and no risk any more.
    let resolved =
        TicketResolvedV1 { text: sealed(&p, "acme", "done"), verification_required: false, ..Sample::sample() };
    s.a.happened(
        &p,
        "technician-1",
        "2026-03-03T09:00:00.000Z",
        vec![
            SlaBreachedV1 { clock: SlaClock::Resolution, due: at("2026-03-02T16:00:00.000Z"), by: Seconds(0) }.into(),
            resolved.into(),
        ],
    );
    p.settled().await;
    asking!(p, {
        assert!(p.get("dispatcher-1", "/v1/sla/at-risk").items().is_empty());
        let clock = p.get("dispatcher-1", &format!("/v1/tickets/{}", s.a.id)).json()["sla"]["clocks"][1].clone();
        assert_eq!((&clock["state"], &clock["due"]), (&json!("breached"), &json!(null)));
        assert_eq!(clock["was_due"], "2026-03-02T16:00:00.000Z");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn rm_16_the_backlog_counts_open_tickets_by_age() {
    let p = Plant::new().await;
    story(&p).await;
    asking!(p, {
        let buckets = p.get("dispatcher-1", "/v1/backlog").items();
        let counts: Vec<(&str, i64)> =
            buckets.iter().map(|b| (b["bucket"].as_str().unwrap(), b["count"].as_i64().unwrap())).collect();
        assert_eq!(counts, [("0-1", 2), ("1-3", 0), ("3-7", 1), ("7-14", 0), ("14-30", 0), (">30", 0)]);
        assert_eq!(buckets[0]["estimated_hours"], "3.0");
        assert_eq!(buckets[0]["by_state"].as_array().unwrap().len(), 2);
        let team = &buckets[0]["by_team"][0];
        assert_eq!((&team["team"], &team["count"]), (&json!("field"), &json!(1)));
        let one = p.get("dispatcher-1", "/v1/backlog?line=line-1").items();
        assert_eq!((&one[0]["count"], &one[2]["count"]), (&json!(1), &json!(0)));
        let internal = p.get("lead-1", "/v1/backlog").items();
        assert_eq!((&internal[0]["count"], &internal[2]["count"]), (&json!(0), &json!(1)));
        for bad in ["sort=bucket", "cursor=x", "kind=x", "line=line-9"] {
            assert_eq!(p.get("dispatcher-1", &format!("/v1/backlog?{bad}")).problem(400), "bad-parameter", "{bad}");
        }
        p.clock.advance(86_400_000);
        assert_eq!(p.get("dispatcher-2", "/v1/backlog").items()[1]["hold_hours"], "24.0");
        let csv = p.get("dispatcher-1", "/v1/backlog?format=csv").text;
        assert!(
            csv.starts_with("bucket,count,estimated_hours,hold_hours\r\n0-1,") || csv.contains("\r\n1-3,2,"),
            "{csv}"
        );
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn rm_13_a_customer_sees_its_units_and_tickets_and_quotes_to_approve() {
    let p = Plant::new().await;
    let s = story(&p).await;
    asking!(p, {
        let mine = p.get("customer-1", "/v1/my/tickets");
        assert_eq!(numbers(&mine.items())[0], "1");
        assert_eq!(mine.items().len(), 3);
        assert_eq!(mine.json()["positions"]["after-service"], json!(p.service_position()));
        assert_eq!(mine.json()["position"], json!(p.service_position()));
        // A plain number is that of the tickets, whatever production has.
        assert!(p.service_position() > p.log_position());
        let own = format!("/v1/my/tickets?min_position={}", p.service_position());
        assert_eq!(p.get("customer-1", &own).items().len(), 3);
        assert_eq!(mine.json()["positions"]["production"], json!(p.log_position()));
        assert!(!mine.text.contains("complains") && !mine.text.contains("000004"), "{}", mine.text);
        let quoted = p.get("customer-1", "/v1/my/tickets?commercial=quoted").items().remove(0);
        assert_eq!(quoted["id"], json!(s.e.id));
        assert_eq!(quoted["quotes_to_approve"][0]["terms"], "net within 30 days");
        assert_eq!(p.get("customer-1", "/v1/my/tickets?team=field").problem(400), "bad-parameter");
        let page = p.get("customer-1", "/v1/my/tickets?limit=2");
        let next = page.json()["next"].as_str().unwrap().to_owned();
        assert_eq!(p.get("customer-1", &format!("/v1/my/tickets?limit=2&cursor={next}")).items().len(), 1);
        let units = p.get("customer-1", "/v1/my/units");
        assert!(units.items().is_empty() && units.json()["positions"]["after-service"].is_u64(), "{}", units.text);
        let behind = p.get("customer-1", "/v1/my/tickets?min_position=after-service:9999");
        assert_eq!(behind.problem(503), "read-model-behind");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn i5_tickets_built_again_have_the_same_rows_whatever_happened_to_them() {
    let p = Plant::new().await;
    let mut s = story(&p).await;
    // Every event there is, one commit each, on one ticket.
    let all = mw_contract::event::samples::all();
    for e in all.into_iter().filter(|e| e.event_type().aggregate() == AggregateKind::Ticket) {
        if !matches!(e, Event::TicketOpened(_)) {
            s.b.happened(&p, "dispatcher-1", T, vec![e]);
        }
    }
    p.settled().await;
    let dir = tempfile::tempdir().unwrap();
    let again = follow_tickets(dir.path(), &p.service_log);
    assert!(again.reached(mw_log::EventLog::head(&*p.service_log).commit).await);
    let file = |dir: &std::path::Path| {
        use mw_after_service_views::AfterServiceViews as V;
        mw_projection::files::Files::new(dir, V::NAME, V::SCHEMA).current().unwrap().unwrap()
    };
    let different = mw_projection::diff::diff(&file(&p.dir.path().join("views")), &file(dir.path())).unwrap();
    assert!(different.is_empty(), "{different:?}");
    asking!(p, {
        let d = p.get("dispatcher-1", &format!("/v1/tickets/{}", s.b.id));
        assert_eq!(d.status, 200, "{}", d.text);
        assert!(!d.text.contains("$sealed"), "{}", d.text);
    });
}
