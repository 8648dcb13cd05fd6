//! `as_of` and `diff` over HTTPS: what a document was, and what changed.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::plant::Plant;

/// Sends strict commands, one after the other, each on the version that the last one left.
async fn send(p: &Plant, id: Uuid, first: u64, commands: &[(&str, Value)]) {
    for (version, (kind, payload)) in (first..).zip(commands) {
        let c = json!({"command_id": Uuid::now_v7(), "type": format!("work-order.{kind}"), "aggregate_id": id,
            "expected_version": version, "payload": payload});
        assert!(p.execute("planner-1", Some("plant-1"), &c).await.error.is_none(), "{kind}");
    }
    p.settled().await;
}

fn plan() -> Value {
    json!({"line_id": "line-1", "planned_start": "2026-03-03T08:00:00.000Z", "planned_end": "2026-03-03T16:00:00.000Z"})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_of_the_past_is_what_it_was_then() {
    let p = Plant::new().await;
    let id = p.create("plant-1", json!({"planned_qty": "5"})).await;
    p.settled().await;
    let path = format!("/v1/work-orders/{id}");
    let mut then: Vec<(u64, Value)> = Vec::new();
    let commands = [("plan", plan()), ("release", json!({})), ("cancel", json!({"reason": "no_demand"}))];
    for (version, command) in (1..).zip(commands) {
        let document = tokio::task::block_in_place(|| p.get("planner-1", &path).json());
        then.push((p.log_position(), document));
        send(&p, id, version, &[command]).await;
    }
    tokio::task::block_in_place(|| {
        for (position, mut document) in then {
            let past = p.get("planner-1", &format!("{path}?as_of=position:{position}"));
            assert_eq!(past.header("etag"), Some(format!("\"{}\"", document["version"]).as_str()));
            document["position"] = past.json()["position"].clone();
            assert_eq!(past.json(), document);
        }
        let now = p.get("planner-1", &path).json();
        // Everything was recorded at one moment of the business clock, which stands still here.
        let by_time = p.get("planner-1", &format!("{path}?as_of=2026-03-02T08:00:00Z")).json();
        assert_eq!((&by_time["version"], &by_time["state"]), (&now["version"], &json!("cancelled")));
        assert_eq!(p.get("planner-1", &format!("{path}?as_of=2026-03-02T07:59:59Z")).problem(404), "not-found");
        assert_eq!(p.get("planner-1", &format!("{path}?as_of=position:1")).problem(404), "not-found");
        for bad in ["yesterday", "position:x", "7"] {
            assert_eq!(p.get("planner-1", &format!("{path}?as_of={bad}")).problem(400), "bad-parameter", "{bad}");
        }
        // Who may not see it today may not see what it was.
        assert_eq!(p.get("planner-2", &format!("{path}?as_of=2026-03-02T08:00:00Z")).problem(404), "not-found");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diff_names_what_changed_between_two_versions() {
    let p = Plant::new().await;
    let id = p.create("plant-1", json!({"planned_qty": "5"})).await;
    let more = json!({"new_qty": "7", "reason": "customer_request"});
    send(&p, id, 1, &[("plan", plan()), ("release", json!({})), ("change-quantity", more)]).await;
    let note = json!({"note_id": Uuid::now_v7(), "text": "ask Jo"});
    p.send("planner-1", Some("plant-1"), "work-order.add-note", Some(id), note).await;
    p.settled().await;
    let path = format!("/v1/work-orders/{id}/diff");
    tokio::task::block_in_place(|| {
        let changes = |q: &str| -> Vec<(String, Value, Value)> {
            let d = p.get("planner-1", &format!("{path}{q}")).json();
            let one = |c: &Value| (c["path"].as_str().unwrap().to_owned(), c["old"].clone(), c["new"].clone());
            d["changes"].as_array().unwrap_or_else(|| panic!("{d}")).iter().map(one).collect()
        };
        let quantity = changes("?from=3&to=4");
        assert!(quantity.contains(&("/planned_qty".into(), json!("5"), json!("7"))), "{quantity:?}");
        assert!(quantity.contains(&("/version".into(), json!(3), json!(4))));
        assert!(!quantity.iter().any(|(path, ..)| path == "/state"));
        let all = changes("?from=1");
        assert!(all.contains(&("/state".into(), json!("draft"), json!("released"))), "{all:?}");
        assert!(
            all.iter()
                .any(|(path, old, new)| path.starts_with("/notes") && old != new && new.to_string().contains("ask Jo")),
            "{all:?}"
        );
        // Without bounds: what the last event changed.
        assert!(changes("").iter().all(|(path, ..)| path != "/planned_qty"));
        assert!(changes("?from=2&to=2").is_empty());
        let made = changes("?from=0&to=1");
        assert_eq!((made.len(), &made[0].1), (1, &Value::Null));
        for (bad, field) in [("?to=9", "to"), ("?from=4&to=2", "from"), ("?from=x", "from"), ("?until=3", "until")] {
            let r = p.get("planner-1", &format!("{path}{bad}"));
            assert_eq!((r.problem(400).as_str(), &r.json()["parameter"]), ("bad-parameter", &json!(field)), "{bad}");
        }
        assert_eq!(p.get("planner-2", &path).problem(404), "not-found");
        assert_eq!(p.get("customer-1", &path).status, 403);
    });
}
