//! Machines, stock and produced units over HTTPS, from commands to documents.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::plant::Plant;

/// Asks from a thread that may block.
fn get(p: &Plant, who: &str, path: &str) -> crate::plant::Answer {
    tokio::task::block_in_place(|| p.get(who, path))
}

async fn registered(p: &Plant, serial: &str, components: Value) {
    let unit = json!({"serial": serial, "product_id": "pump-200", "result": "good", "components": components});
    p.send("system", Some("plant-1"), "unit.register", None, unit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_built_stays_and_a_removed_component_says_when() {
    let p = Plant::new().await;
    registered(
        &p,
        "SN-1",
        json!([{"item_id": "motor", "serial": "C-9"}, {"item_id": "screw", "qty": 4, "lot": "L-7"}]),
    )
    .await;
    registered(&p, "SN-2", json!([{"item_id": "pump-200", "serial": "SN-1"}])).await;
    let swap = json!({"serial": "SN-1", "removed": [{"item_id": "motor", "serial": "C-9"}, {"item_id": "screw", "qty": 1}],
        "added": [{"item_id": "motor", "serial": "C-12"}]});
    p.send("system", Some("plant-1"), "unit.change-component", None, swap).await;
    let shipped = json!({"serial": "SN-1", "customer_id": "acme"});
    p.send("planner-1", Some("plant-1"), "unit.ship", None, shipped).await;
    p.settled().await;

    let unit = get(&p, "planner-1", "/v1/units/SN-1");
    let document = unit.json();
    assert_eq!(document["as_built"][0]["serial"], "C-9");
    let now: Vec<(Value, Value)> =
        document["as_maintained"].as_array().unwrap().iter().map(|c| (c["serial"].clone(), c["qty"].clone())).collect();
    assert_eq!(now, [(json!(null), json!("3")), (json!("C-12"), json!("1"))]);
    assert_eq!((&document["status"], &document["warranty"]["end"]), (&json!("shipped"), &json!("2028-03-02")));
    let tag = unit.header("etag").unwrap().to_owned();
    let same = tokio::task::block_in_place(|| p.get_with("planner-1", "/v1/units/SN-1", &[("if-none-match", &tag)]));
    assert_eq!(same.status, 304);

    let used = get(&p, "planner-1", "/v1/where-used/C-9").json();
    assert_eq!(
        (&used["items"][0]["serial"], used["items"][0]["component"]["removed_on"].is_string()),
        (&json!("SN-1"), true)
    );
    assert_eq!((&used["items"][1]["serial"], &used["items"][1]["level"]), (&json!("SN-2"), &json!(2)));
    assert!(used["positions"]["production"].is_number());
    assert_eq!(get(&p, "planner-1", "/v1/where-used/L-7").json()["items"][0]["component"]["qty"], "1");
    let inner = get(&p, "planner-1", "/v1/units/SN-2/trace").json();
    assert_eq!(inner["unit"]["as_maintained"][0]["components"][1]["serial"], "C-12");

    // As it was before the swap, and before it was there at all.
    let then = |path: &str, position: u64| get(&p, "planner-1", &format!("{path}?as_of=position:{position}"));
    let first =
        get(&p, "admin", "/v1/audit/events?type=ProductUnitRegistered").items()[0]["position"].as_u64().unwrap();
    let before = then("/v1/units/SN-1", first);
    assert_eq!(before.header("etag"), Some("\"1\""));
    let serials =
        |d: &Value, list: &str| d[list].as_array().unwrap().iter().map(|c| c["serial"].clone()).collect::<Vec<_>>();
    assert_eq!(serials(&before.json(), "as_maintained"), [json!("C-9"), Value::Null], "{}", before.text);
    assert_eq!((&before.json()["status"], &before.json()["position"]), (&json!("in_stock"), &json!(first)));
    assert_eq!(then("/v1/units/SN-1", first - 1).problem(404), "not-found");
    // A unit inside another is shown as it was then, too.
    let outer = first + 1;
    let nested = then("/v1/units/SN-2/trace", outer).json()["unit"]["as_maintained"][0].clone();
    assert_eq!((&nested["level"], &nested["components"][0]["serial"]), (&json!(1), &json!("C-9")), "{nested}");
    assert_eq!(nested["components"][0]["level"], 2);
    let trace = get(&p, "planner-1", "/v1/units/SN-1/trace");
    let tag = trace.header("etag").unwrap().to_owned();
    assert!(tag.starts_with("W/"), "{tag}");
    let same =
        tokio::task::block_in_place(|| p.get_with("planner-1", "/v1/units/SN-1/trace", &[("if-none-match", &tag)]));
    assert_eq!(same.status, 304);
    // Pages and lines of where-used.
    let page = get(&p, "planner-1", "/v1/where-used/C-9?limit=1");
    assert_eq!((page.items().len(), page.json()["next"].is_string()), (1, true));
    assert!(page.header("link").unwrap().contains("rel=\"next\""));
    let next = page.json()["next"].as_str().unwrap().to_owned();
    let rest = get(&p, "planner-1", &format!("/v1/where-used/C-9?limit=1&cursor={next}")).json();
    assert_eq!((&rest["items"][0]["serial"], &rest["next"]), (&json!("SN-2"), &Value::Null));
    let csv = get(&p, "planner-1", "/v1/where-used/C-9?format=csv").text;
    assert!(csv.starts_with("level,serial,product") && csv.lines().count() == 3, "{csv}");
    assert_eq!(get(&p, "planner-1", "/v1/where-used/C-9?cursor=x").problem(400), "bad-parameter");

    // A customer reads what is its own; another site reads nothing.
    assert_eq!(get(&p, "customer-1", "/v1/units/SN-1").json()["serial"], "SN-1");
    for (who, path) in [
        ("customer-1", "/v1/units/SN-2"),
        ("planner-2", "/v1/units/SN-1"),
        ("planner-2", "/v1/where-used/C-9"),
        ("planner-1", "/v1/units/SN-9"),
        ("planner-2", "/v1/units/SN-1/trace"),
    ] {
        assert_eq!(get(&p, who, path).problem(404), "not-found", "{who} {path}");
    }
    assert_eq!(get(&p, "cell-1", "/v1/units/SN-1").status, 403);
    assert_eq!(get(&p, "planner-1", "/v1/units/SN-1?colour=red").problem(400), "bad-parameter");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_shows_what_it_does_and_why_it_stands_still() {
    let p = Plant::new().await;
    let machine = Uuid::now_v7();
    p.send("admin", Some("plant-1"), "equipment.register", Some(machine), json!({"code": "cell-1"})).await;
    let (d1, d2) = (Uuid::now_v7(), Uuid::now_v7());
    for (kind, payload) in [
        ("report-state", json!({"state": "running"})),
        ("start-downtime", json!({"downtime_id": d1, "reason": "breakdown"})),
        ("end-downtime", json!({"downtime_id": d1})),
        ("start-downtime", json!({"downtime_id": d2})),
    ] {
        p.send("admin", Some("plant-1"), &format!("equipment.{kind}"), Some(machine), payload).await;
    }
    let order = p.create("plant-1", json!({})).await;
    let third = json!({"downtime_id": d2});
    p.send("admin", Some("plant-1"), "equipment.end-downtime", Some(machine), third).await;
    let d3 = Uuid::now_v7();
    let of_order = json!({"downtime_id": d3, "reason": "breakdown", "work_order_id": order, "op": 10});
    p.send("admin", Some("plant-1"), "equipment.start-downtime", Some(machine), of_order).await;
    p.settled().await;
    let shown = get(&p, "planner-1", &format!("/v1/work-orders/{order}")).json()["downtime"].clone();
    assert_eq!((&shown[0]["downtime_id"], &shown[0]["cell"]), (&json!(d3), &json!("cell-1")));
    p.send("admin", Some("plant-1"), "equipment.end-downtime", Some(machine), json!({"downtime_id": d3})).await;
    let d2 = Uuid::now_v7();
    p.send("admin", Some("plant-1"), "equipment.start-downtime", Some(machine), json!({"downtime_id": d2})).await;
    let alarm = json!({"alarm_id": Uuid::now_v7(), "code": "overheat", "severity": 800, "text": "coolant is low"});
    p.send("system", Some("plant-1"), "equipment.raise-alarm", Some(machine), alarm).await;
    p.settled().await;
    let version = get(&p, "planner-1", &format!("/v1/equipment/{machine}")).json()["version"].clone();
    let on = json!({"on": true, "until": "2026-03-02T18:00:00Z", "force": true});
    let on = json!({"command_id": Uuid::now_v7(), "type": "equipment.set-maintenance-mode", "aggregate_id": machine,
        "expected_version": version, "payload": on});
    assert!(p.execute("admin", Some("plant-1"), &on).await.error.is_none());
    p.settled().await;
    let row = get(&p, "planner-1", "/v1/equipment").items().remove(0);
    assert_eq!((&row["cell"], &row["state"], &row["open_alarms"]), (&json!("cell-1"), &json!("running"), &json!(1)));
    assert_eq!((&row["downtime_id"], &row["downtime_reason"]), (&json!(d2), &json!(null)));
    assert_eq!((&row["maintenance"], &row["maintenance_until"]), (&json!(true), &json!("2026-03-02T18:00:00.000Z")));
    assert_eq!(row["good_shift"], "0", "{row}");
    let csv = get(&p, "planner-1", "/v1/equipment?format=csv").text;
    assert!(csv.lines().next().unwrap().ends_with("shift,good_hour,target_hour,good_shift,target_shift,oee"), "{csv}");
    let document = get(&p, "planner-1", &format!("/v1/equipment/{machine}")).json();
    assert!(document["alarms"][0]["text"].as_str().unwrap().eq_ignore_ascii_case("coolant is low"), "{document}");
    assert_eq!(
        (document["downtimes"].as_array().unwrap().len(), &document["alarms"][0]["code"]),
        (4, &json!("overheat"))
    );
    let ids = |q: &str| -> Vec<Value> {
        get(&p, "planner-1", &format!("/v1/downtime?{q}")).items().iter().map(|i| i["id"].clone()).collect()
    };
    assert_eq!(ids("unclassified=true").len(), 2);
    assert_eq!(ids("category=breakdown&cell=cell-1&sort=start"), [json!(d1), json!(d3)]);
    assert_eq!(ids("open=true"), [json!(d2)]);
    assert_eq!(ids("to=2026-03-01T00:00:00Z"), Vec::<Value>::new());
    let csv = get(&p, "planner-1", "/v1/downtime?format=csv").text;
    assert!(csv.starts_with("id,equipment_id,cell") && csv.lines().count() == 5, "{csv}");
    for bad in ["category=nothing", "cell=cell-9", "colour=red", "sort=colour"] {
        assert_eq!(get(&p, "planner-1", &format!("/v1/downtime?{bad}")).problem(400), "bad-parameter", "{bad}");
    }
    assert!(get(&p, "planner-2", "/v1/equipment").items().is_empty());
    assert_eq!(get(&p, "planner-2", &format!("/v1/equipment/{machine}")).problem(404), "not-found");
    let then = |n: u64| get(&p, "planner-1", &format!("/v1/equipment/{machine}?as_of=position:{n}"));
    let now = p.log_position();
    assert_eq!(then(now).json()["downtimes"], document["downtimes"]);
    let registered = get(&p, "admin", "/v1/audit/events?type=EquipmentRegistered").items()[0]["position"].clone();
    let first = then(registered.as_u64().unwrap()).json();
    assert_eq!((&first["version"], &first["state"], &first["alarms"]), (&json!(1), &Value::Null, &json!([])));
    let hidden = format!("/v1/equipment/{machine}?as_of=position:{now}");
    assert_eq!(get(&p, "planner-2", &hidden).problem(404), "not-found");
    assert_eq!(get(&p, "customer-1", "/v1/equipment").status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_shows_what_is_kept_and_what_is_free() {
    let p = Plant::new().await;
    let at = |more: Value| {
        let mut p = json!({"item_id": "sheet", "location": "store"});
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        p
    };
    let kept = Uuid::now_v7();
    for (kind, more) in [
        ("receive", json!({"qty": "10.5"})),
        ("reserve", json!({"reservation_id": kept, "qty": 4})),
        ("issue", json!({"reservation_id": kept, "qty": 1})),
        ("return", json!({"qty": 2, "condition": "damaged"})),
    ] {
        p.send("planner-1", Some("plant-1"), &format!("stock.{kind}"), None, at(more)).await;
    }
    p.settled().await;
    let row = get(&p, "planner-1", "/v1/stock?item=sheet").items().remove(0);
    assert_eq!((&row["on_hand"], &row["reserved"], &row["available"]), (&json!("9.5"), &json!("3"), &json!("6.5")));
    p.send("planner-1", Some("plant-1"), "stock.release-reservation", None, at(json!({"reservation_id": kept}))).await;
    let counted = at(json!({"on_hand": 8, "reason": "counted"}));
    p.send("planner-1", Some("plant-1"), "stock.adjust", None, counted).await;
    p.settled().await;
    let row = get(&p, "planner-1", "/v1/stock").items().remove(0);
    assert_eq!((&row["on_hand"], &row["reserved"], &row["available"]), (&json!("8"), &json!("0"), &json!("8")));
    assert!(get(&p, "planner-2", "/v1/stock").items().is_empty());
}
