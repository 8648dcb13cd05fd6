//! Planning an order again and again, ending it short and taking it up once more: MQTT in, HTTPS out.

use mw_blackbox::{Commands, Http, System, story};
use serde_json::{Value, json};

/// Sends a command on one order and keeps its version.
struct Order<'a> {
    id: String,
    version: u64,
    as_planner: &'a mut Commands,
    as_lead: &'a mut Commands,
}

impl Order<'_> {
    fn planner(&mut self, kind: &str, payload: Value) -> Value {
        let command = story::command(&format!("work-order.{kind}"), &self.id, Some(self.version), payload);
        let reply = self.as_planner.accepted(&command);
        self.version = story::version(&reply);
        reply
    }

    fn lead(&mut self, kind: &str, payload: Value) -> Value {
        let command = story::command(&format!("work-order.{kind}"), &self.id, Some(self.version), payload);
        let reply = self.as_lead.accepted(&command);
        self.version = story::version(&reply);
        reply
    }

    fn refused(&mut self, kind: &str, payload: Value, code: &str) -> Value {
        let command = story::command(&format!("work-order.{kind}"), &self.id, Some(self.version), payload);
        self.as_lead.rejected(&command, code)
    }
}

#[test]
fn an_order_is_replanned_ended_short_and_reopened() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let (mut p, mut l) = (
        Commands::connect(&system, "planner-1", "planner-1-plans"),
        Commands::connect(&system, "lead-1", "lead-1-plans"),
    );
    let id = story::new_id();
    let mut o = Order { id: id.clone(), version: 0, as_planner: &mut p, as_lead: &mut l };
    o.version = story::version(&o.as_planner.accepted(&story::create(&id, "bracket-10", 100)));
    o.planner("change-due-date", json!({"new_due_at": "2030-04-01T09:00:00.000Z", "reason": "customer_request"}));
    let plan = json!({"line_id": "line-1", "planned_start": "2030-03-03T08:00:00.000Z",
        "planned_end": "2030-03-03T16:00:00.000Z"});
    o.planner("plan", plan.clone());
    o.planner("unplan", json!({"reason": "no_capacity"}));
    o.planner("plan", plan);
    // Later the same day a line lead may; the next day only a planner.
    o.lead("reschedule", json!({"planned_start": "2030-03-03T09:00:00.000Z", "reason": "no_operator"}));
    let next_day = json!({"planned_end": "2030-03-04T16:00:00.000Z", "reason": "no_operator"});
    o.refused("reschedule", next_day.clone(), "FORBIDDEN");
    o.planner("reschedule", next_day);
    o.planner("release", json!({}));
    o.planner("revoke-release", json!({"reason": "engineering_change"}));
    o.planner("release", json!({}));
    o.lead("change-priority", json!({"new_priority": 1, "reason": "customer_request"}));
    o.planner("change-quantity", json!({"new_qty": "80", "reason": "customer_request"}));
    let nobody = o.refused("assign", json!({"op": 10, "operators": ["operator-77"]}), "GUARD_FAILED");
    assert_eq!(nobody["error"]["details"]["rule"], "WO-12.R2");
    o.lead("assign", json!({"op": 10, "operators": ["operator-1"], "cell_id": "cell-2", "crew": "early"}));
    o.planner("link", json!({"kind": "sales_order", "id": "SO-7", "relation": "causes"}));

    let session = story::new_id();
    o.version = story::version(&o.as_lead.accepted(&story::start_operation(&id, 10, "cell-2", &session)));
    o.version = story::version(&o.as_lead.accepted(&story::report(&id, 10, 64, 3)));
    let short = json!({"reason": "no_demand", "remainder": "drop"});
    o.refused("short-close", short.clone(), "FORBIDDEN");
    let mut agreed = short;
    agreed["approver"] = json!("planner-1");
    let reply = o.lead("short-close", agreed);
    assert_eq!(story::events(&reply), ["OperationPaused", "WorkOrderShortClosed", "WorkOrderCompleted"]);

    let http = Http::login(&system, "planner-1");
    let shown = |position: u64| http.get(&format!("/v1/work-orders/{id}?min_position={position}")).json();
    let ended = shown(story::position(&reply));
    let of = |doc: &Value, keys: &[&str]| keys.iter().map(|k| doc[*k].clone()).collect::<Vec<_>>();
    assert_eq!(
        of(&ended, &["state", "short_closed", "planned_qty", "good", "scrap", "priority", "line", "cycle", "reason"]),
        [
            json!("completed"),
            json!(true),
            json!("80"),
            json!("64"),
            json!("3"),
            json!(1),
            json!("line-1"),
            json!(1),
            json!("no_demand")
        ]
    );
    assert_eq!(
        of(&ended, &["planned_start", "planned_end", "due_at"]),
        [json!("2030-03-03T09:00:00.000Z"), json!("2030-03-04T16:00:00.000Z"), json!("2030-04-01T09:00:00.000Z"),]
    );
    assert_eq!(ended["links"], json!([{"kind": "sales_order", "id": "SO-7", "relation": "causes"}]));
    let op = &ended["operations"][0];
    assert_eq!(of(op, &["assigned", "crew", "cell"]), [json!(["operator-1"]), json!("early"), json!("cell-2")]);

    let reply = o.lead("reopen", json!({"reason": "wrong_data"}));
    let again = shown(story::position(&reply));
    assert_eq!(
        of(&again, &["state", "short_closed", "good", "actual_end", "cycle", "reason"]),
        [json!("in_progress"), json!(false), json!("64"), Value::Null, json!(2), Value::Null]
    );

    // The trail says it in words, with what was before.
    let trail = http.get(&format!("/v1/work-orders/{id}/events?limit=100")).items();
    let row = |kind: &str| trail.iter().find(|r| r["type"] == kind).unwrap_or_else(|| panic!("no {kind}: {trail:?}"));
    let quantity = row("WorkOrderQuantityChanged");
    assert_eq!(quantity["reason"], "customer_request");
    let planned = json!({"field": "planned_qty", "old": "100", "new": "80"});
    assert!(quantity["changes"].as_array().unwrap().contains(&planned), "{quantity}");
    let said = row("WorkOrderReopened").to_string();
    assert!(said.contains("reopened from completed to in_progress"), "{said}");
}
