//! The conflict inbox over HTTPS.

use mw_contract::commit::NewCommit;
use mw_contract::event::inbox::InboxItemDismissedV1;
use mw_contract::event::work_order::*;
use mw_contract::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{T, story};
use crate::history::*;
use crate::plant::Plant;

#[tokio::test(flavor = "multi_thread")]
async fn rm_17_a_report_that_was_really_refused_after_the_end_is_an_item() {
    let p = Plant::new().await;
    let id = p.create("plant-1", json!({"product_id": "pump-200"})).await;
    let mut order = Stream { id: AggregateId(id), version: 1, site: "plant-1" };
    let over = at("2026-03-02T07:59:00.000Z");
    let done = WorkOrderCompletedV1 {
        good: qty("0"),
        scrap: qty("0"),
        rework: qty("0"),
        actual_start: None,
        actual_end: over,
        material_variance: vec![],
        short_closed: true,
        note: None,
    };
    let closed = WorkOrderClosedV1 {
        good: qty("0"),
        scrap: qty("0"),
        operations: vec![],
        materials: vec![],
        labour: Seconds(0),
        machine: Seconds(0),
        forced: true,
        note: None,
    };
    order.happened(&p, "planner-1", "2026-03-02T07:59:00.000Z", vec![done.into(), closed.into()]);
    let mut command = json!({"command_id": Uuid::now_v7(), "type": "work-order.report-quantity", "aggregate_id": id,
        "occurred_at": "2026-03-02T07:30:00.000Z",
        "payload": {"op": 10, "report_id": Uuid::now_v7(), "good": "1"}});
    let r = p.execute("operator-1", Some("plant-1"), &command).await;
    assert_eq!(r.error.map(|e| e.code), Some(ErrorCode::InvalidState));
    let late = command["command_id"].clone();
    // Whoever reports work after the end has only made a mistake.
    command["command_id"] = json!(Uuid::now_v7());
    command["occurred_at"] = json!("2026-03-02T07:59:30.000Z");
    p.execute("operator-1", Some("plant-1"), &command).await;
    p.settled().await;
    let items = asking!(p, { p.get("planner-1", "/v1/inbox").items() });
    assert_eq!(items.len(), 1, "{items:?}");
    assert_eq!((&items[0]["id"], &items[0]["kind"]), (&late, &json!("late_report")));
    assert_eq!(items[0]["aggregate_id"], json!(id));
}

#[tokio::test(flavor = "multi_thread")]
async fn rm_17_what_was_refused_waits_in_the_inbox_until_it_is_settled() {
    let p = Plant::new().await;
    let mut s = story(&p).await;
    let done = WorkOrderCompletedV1 {
        good: qty("4"),
        scrap: qty("0"),
        rework: qty("0"),
        actual_start: None,
        actual_end: at("2026-03-02T12:00:00.000Z"),
        material_variance: vec![],
        short_closed: false,
        note: None,
    };
    s.running.happened(&p, "planner-1", "2026-03-02T12:00:00.000Z", vec![done.into()]);
    let state = || Rejection::invalid_state("the order", "closed", &[]);
    let report = |when: &str, command: &str| {
        let mut h = head("operator-1", "plant-1", command, when);
        h.aggregate_id = Some(s.running.id);
        h
    };
    let late = refused(&p, report("2026-03-02T11:00:00.000Z", "work-order.report-quantity"), state());
    // After the end, another command, and another order: nothing that anybody must look at.
    refused(&p, report("2026-03-02T13:00:00.000Z", "work-order.report-quantity"), state());
    refused(&p, report("2026-03-02T11:00:00.000Z", "work-order.hold"), state());
    let mut other = report("2026-03-02T11:00:00.000Z", "work-order.report-quantity");
    other.aggregate_id = Some(s.short.id);
    refused(&p, other, state());
    let mut offline = head("operator-1", "plant-1", "work-order.hold", T);
    offline.device = Some("tablet-1".into());
    let offline = refused(&p, offline, Rejection::guard("WO-14.R1", "no").with("captured_offline", true));
    let mut skewed = head("cell-1", "plant-1", "equipment.report-state", "2026-03-04T13:00:00.000Z");
    skewed.role = Some(Role::Device);
    refused(&p, skewed, Rejection::new(ErrorCode::ClockSkew, "the clock is wrong"));
    refused(&p, head("processes", "plant-1", "work-order.create", T), Rejection::guard("WO-01.R1", "no"));
    for expected in [ErrorCode::InsufficientStock, ErrorCode::VersionConflict] {
        refused(&p, head("processes", "plant-1", "stock.reserve", T), Rejection::new(expected, "no"));
    }
    let elsewhere = Rejection::guard("WO-14.R1", "no").with("captured_offline", true);
    refused(&p, head("operator-2", "plant-2", "work-order.hold", T), elsewhere);
    p.settled().await;
    let inbox = |who: &str, q: &str| -> Vec<Value> { asking!(p, { p.get(who, &format!("/v1/inbox{q}")).items() }) };
    let mut kinds: Vec<String> =
        inbox("planner-1", "").iter().map(|i| i["kind"].as_str().unwrap().to_owned()).collect();
    kinds.sort();
    assert_eq!(kinds, ["clock_skew", "late_report", "offline", "process_failed"]);
    for (q, n) in [
        ("?kind=late_report,offline", 2),
        ("?device=tablet-1", 1),
        ("?user=operator-1", 2),
        ("?site=plant-1", 4),
        ("?site=plant-2", 0),
        ("?state=dismissed,resolved", 0),
    ] {
        assert_eq!(inbox("planner-1", q).len(), n, "{q}");
    }
    assert_eq!(inbox("operator-1", "").len(), 2, "an operator sees its own");
    let item = inbox("planner-1", "?kind=late_report").remove(0);
    assert_eq!((&item["id"], &item["code"], &item["state"]), (&json!(late), &json!("INVALID_STATE"), &json!("open")));
    assert_eq!(item["details"]["state"], "closed");
    assert!(asking!(p, { p.get("planner-1", "/v1/inbox").json() })["positions"]["identity"].is_u64());

    // One is dismissed, the other sent again as a new command that names it.
    let mut dismissed = Stream { id: AggregateId(late.0), version: 0, site: "plant-1" };
    let e = InboxItemDismissedV1 { reason: code("duplicate"), note: None };
    dismissed.happened(&p, "planner-1", T, vec![e.into()]);
    let mut again = head("planner-1", "plant-1", "work-order.hold", T);
    again.causation_id = Some(CausationId(offline.0));
    let by = again.command_id;
    mw_log::EventLog::append(&*p.log, vec![NewCommit { head: again, events: vec![] }]).unwrap();
    p.settled().await;
    assert_eq!(inbox("planner-1", "").len(), 2);
    let gone = inbox("planner-1", "?state=dismissed").remove(0);
    assert_eq!(
        (&gone["id"], &gone["reason"], &gone["settled_by"]),
        (&json!(late), &json!("duplicate"), &json!("planner-1"))
    );
    let solved = inbox("planner-1", "?state=resolved").remove(0);
    assert_eq!((&solved["id"], &solved["resolved_by"]), (&json!(offline), &json!(by)));
}
