//! What joins production and after-service: traces, KPIs, paretos, plans, parts, the inbox.

use mw_after_service_views::parts_usage::PARTS_USAGE;
use mw_contract::event::material::*;
use mw_contract::event::parts::*;
use mw_contract::event::plan::*;
use mw_contract::event::samples::Sample;
use mw_contract::event::ticket::*;
use mw_contract::event::ticket_parts::*;
use mw_contract::*;
use mw_log::EventLog;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::history::{Stream, at, code, created, entity_of, head, line, qty, released, text};
use crate::plant::{Answer, Plant};

/// Asks from a thread that may block.
fn get(p: &Plant, who: &str, path: &str) -> Answer {
    tokio::task::block_in_place(|| p.get(who, path))
}

async fn registered(p: &Plant, serial: &str, lot: &str, components: Value) {
    let unit = json!({"serial": serial, "product_id": "pump-200", "result": "good", "lot": lot,
        "components": components});
    p.send("system", Some("plant-1"), "unit.register", None, unit).await;
}

const OPENED: &str = "2026-03-02T07:00:00.000Z";
const WORKED: &str = "2026-03-02T07:10:00.000Z";
const DONE: &str = "2026-03-02T07:30:00.000Z";

fn opened(number: &str, serial: &str, symptom: &str) -> Event {
    TicketOpenedV1 {
        number: text(number),
        site_id: code("plant-1"),
        kind: TicketKind::CustomerRepair,
        title: text("Leaks"),
        description: None,
        customer_id: Some(code("acme")),
        serial: Some(text(serial)),
        product_id: Some(code("pump-200")),
        equipment_id: None,
        symptom: Some(code(symptom)),
        down_since: None,
        plan_id: None,
        follows: None,
        ..TicketOpenedV1::sample()
    }
    .into()
}

fn used(serial: &str) -> Event {
    let line = PartUseV1 {
        item_id: code("motor"),
        qty: qty("1"),
        new_serial: Some(text("C-12")),
        lot: None,
        removed_serial: Some(text("C-9")),
        removed_disposition: Some(RemovedDisposition::Return),
        coverage: Coverage::Warranty,
        source: PartSource::Van,
        unit_cost: Some(Money { amount: code("120.5"), currency: code("EUR") }),
        reservation_id: None,
        location: None,
    };
    PartsConsumedV1 {
        consumption_id: entity_of(7),
        serial: Some(text(serial)),
        product_id: Some(code("pump-200")),
        lines: vec![line],
    }
    .into()
}

/// Units SN-1 and SN-2 of lot L-1 and SN-3 that shares a lot of screws with SN-1; a ticket about SN-1
/// in which C-12 took the place of C-9, and one about SN-2.
async fn repaired() -> (Plant, Stream, Stream) {
    let p = Plant::new().await;
    registered(
        &p,
        "SN-1",
        "L-1",
        json!([{"item_id": "motor", "serial": "C-9"}, {"item_id": "screw", "qty": 4, "lot": "S-7"}]),
    )
    .await;
    registered(&p, "SN-2", "L-1", json!([])).await;
    registered(&p, "SN-3", "L-3", json!([{"item_id": "screw", "qty": 4, "lot": "S-7"}])).await;
    registered(&p, "SN-4", "L-4", json!([{"item_id": "screw", "qty": 4, "lot": "S-8"}])).await;
    for serial in ["SN-1", "SN-2"] {
        let shipped = json!({"serial": serial, "customer_id": "acme"});
        p.send("planner-1", Some("plant-1"), "unit.ship", None, shipped).await;
    }
    let (mut first, mut second) = (Stream::new("plant-1"), Stream::new("plant-1"));
    first.happened(&p, "customer-1", OPENED, vec![opened("TK-2026-000001", "SN-1", "leak")]);
    let lead = TechnicianAssignedV1 { lead: code("technician-1"), ..TechnicianAssignedV1::sample() };
    first.happened(&p, "dispatcher-1", OPENED, vec![TicketTriagedV1::sample().into(), lead.into()]);
    let work = WorkStartedV1 { technician: code("technician-1"), ..WorkStartedV1::sample() };
    first.happened(&p, "technician-1", WORKED, vec![work.into(), used("SN-1")]);
    let done = TicketResolvedV1 {
        resolution_code: ResolutionCode::Repaired,
        cause: Some(code("worn")),
        remedy: Some(code("exchanged")),
        downtime_end: None,
        ..TicketResolvedV1::sample()
    };
    first.happened(&p, "technician-1", DONE, vec![done.into()]);
    second.happened(&p, "customer-1", OPENED, vec![opened("TK-2026-000002", "SN-2", "noise")]);
    // What PM-7 makes of it.
    let swap = json!({"serial": "SN-1", "removed": [{"item_id": "motor", "serial": "C-9"}],
        "added": [{"item_id": "motor", "serial": "C-12"}], "ticket_id": first.id});
    p.send("system", Some("plant-1"), "unit.change-component", None, swap).await;
    p.settled().await;
    (p, first, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn golden_12_a_field_repair_stands_in_the_trace_and_behind_the_component() {
    let (p, first, _) = repaired().await;
    let trace = get(&p, "planner-1", "/v1/units/SN-1/trace").json();
    assert_eq!(trace["unit"]["as_built"][0]["serial"], "C-9");
    let now: Vec<&Value> = trace["unit"]["as_maintained"].as_array().unwrap().iter().map(|c| &c["serial"]).collect();
    assert!(now.contains(&&json!("C-12")) && !now.contains(&&json!("C-9")), "{now:?}");
    let t = &trace["tickets"][0];
    assert_eq!(trace["tickets"].as_array().unwrap().len(), 1);
    for (field, expected) in [
        ("ticket_id", json!(first.id)),
        ("number", json!("TK-2026-000001")),
        ("state", json!("resolved")),
        ("symptom", json!("leak")),
        ("cause", json!("worn")),
        ("remedy", json!("exchanged")),
        ("resolution", json!("repaired")),
        ("technician", json!("technician-1")),
        ("opened_at", json!(OPENED)),
        ("resolved_at", json!(DONE)),
    ] {
        assert_eq!(t[field], expected, "{field}");
    }
    let part = &t["parts"][0];
    assert_eq!((&part["new_serial"], &part["removed_serial"]), (&json!("C-12"), &json!("C-9")));
    let (production, service) = (p.log_position(), p.service_position());
    assert_eq!(trace["positions"], json!({"production": production, "after-service": service}));

    // Down: the component, its unit, whose it is, and the ticket.
    let used = get(&p, "planner-1", "/v1/where-used/C-9").json();
    let unit = &used["items"][0];
    assert_eq!((&unit["serial"], &unit["customer"]), (&json!("SN-1"), &json!("acme")));
    assert!(unit["component"]["removed_on"].is_string());
    assert_eq!(unit["tickets"][0]["number"], "TK-2026-000001");
    assert_eq!(used["tickets"][0]["number"], "TK-2026-000001", "the one that took it out");
    assert_eq!(used["positions"]["after-service"], json!(service));
    let csv = get(&p, "planner-1", "/v1/where-used/C-9?format=csv").text;
    assert!(csv.lines().nth(1).unwrap().ends_with(",TK-2026-000001"), "{csv}");
    let lot = get(&p, "planner-1", "/v1/where-used/S-7").json();
    assert_eq!(lot["items"].as_array().unwrap().len(), 2);

    // Units of the same lot, or with the same lot of a component in them, with their tickets.
    let siblings = trace["siblings"].as_array().unwrap();
    let named: Vec<(&Value, &Value)> = siblings.iter().map(|s| (&s["serial"], &s["shares"][0]["what"])).collect();
    assert_eq!(named, [(&json!("SN-2"), &json!("lot")), (&json!("SN-3"), &json!("component_lot"))]);
    assert_eq!(siblings[0]["tickets"][0]["symptom"], "noise");
    assert_eq!((&trace["more_siblings"], &siblings[1]["tickets"]), (&json!(false), &json!([])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_waits_for_both_goes_back_in_time_and_shows_customers_their_own() {
    let (p, mut first, _) = repaired().await;
    let (production, service) = (p.log_position(), p.service_position());
    let path = "/v1/units/SN-1/trace";
    for ok in [format!("production:{production},after-service:{service}"), format!("{production}")] {
        assert_eq!(get(&p, "planner-1", &format!("{path}?min_position={ok}")).status, 200);
    }
    for behind in
        [format!("production:{},after-service:{service}", production + 1), format!("after-service:{}", service + 1)]
    {
        for path in [path, "/v1/where-used/C-9"] {
            let a = get(&p, "planner-1", &format!("{path}?min_position={behind}"));
            assert_eq!(a.problem(503), "read-model-behind", "{path} {behind}");
        }
    }
    let tag = get(&p, "planner-1", path).header("etag").unwrap().to_owned();
    first.happened(&p, "dispatcher-1", DONE, vec![TicketClosedV1::sample().into()]);
    p.settled().await;
    let later = get(&p, "planner-1", path);
    assert_ne!(later.header("etag"), Some(&*tag), "the ticket is part of what it says");
    assert_eq!(later.json()["tickets"][0]["state"], "closed");

    // Nothing had been reported when the unit was registered.
    let made = get(&p, "admin", "/v1/audit/events?type=ProductUnitRegistered").items()[0].clone();
    let then = get(&p, "planner-1", &format!("{path}?as_of={}", made["recorded_at"].as_str().unwrap())).json();
    assert!(then["unit"]["serial"] == "SN-1" && then["siblings"].is_null());

    let mine = get(&p, "customer-1", path).json();
    let t = mine["tickets"][0].as_object().unwrap();
    assert_eq!((&t["number"], &t["parts"][0]["new_serial"]), (&json!("TK-2026-000001"), &json!("C-12")));
    for hidden in ["technician", "cause", "diagnoses"] {
        assert!(!t.contains_key(hidden), "{hidden}");
    }
    assert!(mine["siblings"].is_null(), "other customers' units are not for customers");
    assert_eq!(get(&p, "customer-2", path).problem(404), "not-found");
    assert_eq!(get(&p, "planner-2", path).problem(404), "not-found");
    // An operator sees internal tickets only.
    assert_eq!(get(&p, "operator-1", path).json()["tickets"], json!([]));
}

const DAY: &str = "from=2026-03-01T23:00:00Z&to=2026-03-02T23:00:00Z";

#[tokio::test(flavor = "multi_thread")]
async fn kpis_of_both_systems_come_together_each_to_those_who_may_see_them() {
    let (p, ..) = repaired().await;
    let machine = Uuid::now_v7();
    p.send("admin", Some("plant-1"), "equipment.register", Some(machine), json!({"code": "cell-1"})).await;
    // Down since 05:00, says the ticket; the downtime was put down at 06:00 and lasted until 08:00.
    let mut stop = Stream { id: AggregateId(machine), version: 1, site: "plant-1" };
    let began = event::equipment::DowntimeStartedV1 {
        downtime_id: entity_of(1),
        cell_id: code("cell-1"),
        reason: Some(code("breakdown")),
        loss_category: Some(LossCategory::Breakdown),
        planned: false,
        work_order_id: None,
        op: None,
        note: None,
    };
    stop.happened(&p, "operator-1", "2026-03-02T06:00:00.000Z", vec![began.into()]);
    let ended = event::equipment::DowntimeEndedV1 {
        downtime_id: entity_of(1),
        cell_id: code("cell-1"),
        duration: Seconds(7200),
    };
    stop.happened(&p, "operator-1", "2026-03-02T08:00:00.000Z", vec![ended.into()]);
    p.settled().await;
    let mttr = |who: &str| get(&p, who, &format!("/v1/kpis?{DAY}&kpi=K-19")).items().remove(0)["value"].clone();
    assert_eq!(mttr("planner-1"), "2.0000");
    let mut internal = Stream::new("plant-1");
    let mut e = TicketOpenedV1::sample();
    (e.site_id, e.kind, e.customer_id) = (code("plant-1"), TicketKind::InternalMaintenance, None);
    (e.serial, e.product_id, e.equipment_id) = (None, None, Some(AggregateId(machine)));
    (e.number, e.down_since) = (text("TK-2026-000009"), Some(at("2026-03-02T05:00:00.000Z")));
    internal.happened(&p, "operator-1", "2026-03-02T06:30:00.000Z", vec![e.into()]);
    p.settled().await;
    assert_eq!(mttr("planner-1"), "3.0000");

    let (production, service) = (p.log_position(), p.service_position());
    let all =
        get(&p, "planner-1", &format!("/v1/kpis?{DAY}&min_position=production:{production},after-service:{service}"));
    assert_eq!(all.json()["positions"], json!({"production": production, "after-service": service}));
    let ids: std::collections::BTreeSet<String> =
        all.items().iter().map(|i| i["kpi"].as_str().unwrap().to_owned()).collect();
    let expected: std::collections::BTreeSet<String> = (1..=34).map(|n| format!("K-{n:02}")).collect();
    assert_eq!(ids, expected);
    let of = |items: &[Value], name: &str, group: Value| -> Value {
        items.iter().find(|i| i["name"] == name && i["group"] == group).cloned().unwrap_or_default()
    };
    let fill = of(&all.items(), "no_fault_found_rate", json!(null));
    assert_eq!(
        (&fill["numerator"], &fill["denominator"], &fill["event_position"]),
        (&json!("0"), &json!("1"), &json!(service))
    );
    // Machines are grouped by where they are, also where only a ticket tells of them.
    let cells = get(&p, "planner-1", &format!("/v1/kpis?{DAY}&kpi=K-19,K-28&group_by=cell")).items();
    assert_eq!(of(&cells, "backlog_h", json!("cell-1"))["numerator"], "1", "one hour is estimated");
    assert_eq!(of(&cells, "mttr_h", json!("cell-1"))["value"], "3.0000");
    let shipped = get(&p, "planner-1", &format!("/v1/kpis?{DAY}&kpi=K-31&group_by=product")).items();
    assert_eq!(of(&shipped, "warranty_claim_rate", json!("pump-200"))["denominator"], "2");
    let cost = get(&p, "planner-1", &format!("/v1/kpis?{DAY}&kpi=K-32")).items();
    assert_eq!(
        (&cost[0]["numerator"], &cost[0]["denominator"], &cost[0]["unit"]),
        (&json!("120.5"), &json!("2"), &json!("EUR"))
    );

    // A day on which only one system has something shows the other's as nothing.
    let days = get(&p, "planner-1", &format!("/v1/kpis?{DAY}&group_by=day")).items();
    for name in ["availability", "csat"] {
        assert_eq!(of(&days, name, json!("2026-03-02"))["group"], "2026-03-02", "{name}");
    }
    let places = days.iter().map(|i| i["kpi"].as_str().unwrap()).collect::<Vec<_>>();
    assert!(places.is_sorted(), "{places:?}");

    // A dispatcher sees those of tickets, an operator those of internal ones.
    let theirs = get(&p, "dispatcher-1", &format!("/v1/kpis?{DAY}")).items();
    assert!(theirs.iter().all(|i| i["kpi"].as_str().unwrap() >= "K-21") && theirs.len() >= 14);
    let operator = get(&p, "operator-1", &format!("/v1/kpis?{DAY}&kpi=K-26,K-28")).items();
    assert_eq!(of(&operator, "no_fault_found_rate", json!(null))["denominator"], "0");
    assert_eq!(of(&operator, "backlog_h", json!(null))["value"], "1.0000");
    assert_eq!(get(&p, "customer-1", &format!("/v1/kpis?{DAY}")).status, 403);
    assert_eq!(get(&p, "planner-1", &format!("/v1/kpis?{DAY}&kpi=K-35")).problem(400), "bad-parameter");

    let faults = get(&p, "dispatcher-1", &format!("/v1/pareto/fault-symptom?{DAY}&customer=acme"));
    let named: Vec<(Value, Value)> = faults.items().iter().map(|i| (i["reason"].clone(), i["count"].clone())).collect();
    assert_eq!(named, [(json!("leak"), json!(1)), (json!("noise"), json!(1))]);
    assert_eq!(faults.json()["positions"]["after-service"], json!(service));
    let causes = get(&p, "planner-1", &format!("/v1/pareto/fault-cause?{DAY}&product=pump-200"));
    assert!(
        causes.items().iter().any(|i| i["reason"] == "worn" && i["cost"][0]["amount"] == "120.50"),
        "{}",
        causes.text
    );
    let csv = get(&p, "planner-1", &format!("/v1/pareto/fault-cause?{DAY}&format=csv&customer=acme")).text;
    assert!(csv.contains("120.50 EUR"), "{csv}");
    // Without a period it is that of the last 30 days.
    let lately = get(&p, "dispatcher-1", "/v1/pareto/fault-symptom?customer=acme");
    assert_eq!((lately.status, lately.items()), (200, faults.items()));
    assert_eq!(
        get(&p, "dispatcher-1", "/v1/pareto/fault-symptom?from=2030-01-01T00:00:00Z").problem(400),
        "bad-parameter"
    );
    let cell = get(&p, "planner-1", &format!("/v1/pareto/fault-symptom?{DAY}&cell=cell-1")).items();
    assert_eq!(cell.len(), 1);
    for (who, q, status) in [
        ("customer-1", "", 403),
        ("planner-1", "&customer=nobody", 400),
        ("planner-1", "&product=nothing", 400),
        ("planner-1", "&site=plant-2", 404),
    ] {
        assert_eq!(get(&p, who, &format!("/v1/pareto/fault-cause?{DAY}{q}")).status, status, "{who} {q}");
    }
}

fn plan(name: &str, serial: &str, calendar: Option<&str>, counter: Option<&str>) -> Event {
    PlanCreatedV1 {
        name: text(name),
        site_id: code("plant-1"),
        time_zone: text("Europe/Berlin"),
        target: PlanTargetV1 {
            kind: PlanTargetKind::Unit,
            equipment_id: None,
            serial: Some(text(serial)),
            product_id: Some(code("pump-200")),
        },
        trigger: PlanTriggerV1 {
            calendar: calendar.map(text),
            counter: counter.map(|every| CounterTriggerV1 {
                name: code("hours"),
                every: code(every),
                unit: text("h"),
                tolerance_pct: code("10"),
            }),
            mode: PlanMode::WhicheverFirst,
        },
        last_done: Some(LastDoneV1 { at: code("2026-01-01"), counter: Some(code("0")) }),
        ..PlanCreatedV1::sample()
    }
    .into()
}

#[tokio::test(flavor = "multi_thread")]
async fn rm_22_plans_say_when_they_will_be_due() {
    let (p, ..) = repaired().await;
    // 200 hours 20 days ago, 300 now: 5 a day.
    for (day, value) in [("2026-02-10", "200"), ("2026-03-02", "300")] {
        let id = ids::unit_id(&code("pump-200"), &text("SN-1"));
        let version = get(&p, "planner-1", "/v1/units/SN-1").json()["version"].as_u64().unwrap();
        let mut unit = Stream { id, version, site: "plant-1" };
        let read = event::unit::ReadingRecordedV1 {
            serial: text("SN-1"),
            name: code("hours"),
            value: code(value),
            cumulative: code(value),
            unit: Some(text("h")),
            reset: false,
        };
        unit.happened(&p, "operator-1", &format!("{day}T08:00:00.000Z"), vec![read.into()]);
        p.settled().await;
    }
    let mut all = Vec::new();
    for (name, event, next) in [
        ("by counter", plan("by counter", "SN-1", None, Some("500")), None),
        ("by day", plan("by day", "SN-2", Some("FREQ=MONTHLY"), None), Some("2026-02-20")),
        ("both", plan("both", "SN-1", Some("FREQ=MONTHLY"), Some("500")), Some("2026-04-30")),
        ("sleeping", plan("sleeping", "SN-2", Some("FREQ=MONTHLY"), None), None),
    ] {
        let mut s = Stream::new("plant-1");
        let mut events = vec![event];
        if name != "sleeping" {
            events.push(PlanActivatedV1 { next_due: next.map(code) }.into());
        }
        s.happened(&p, "planner-1", "2026-02-01T08:00:00.000Z", events);
        all.push(s);
    }
    p.settled().await;
    let page = get(&p, "planner-1", "/v1/maintenance-plans");
    let shown: Vec<(Value, Value, Value)> =
        page.items().iter().map(|i| (i["plan"].clone(), i["forecast_date"].clone(), i["overdue"].clone())).collect();
    // 200 hours are left, at 5 a day 40 days: 11 April. What nobody can foretell comes last.
    assert_eq!(
        shown,
        [
            (json!("by day"), json!("2026-02-20"), json!(true)),
            (json!("both"), json!("2026-04-11"), json!(false)),
            (json!("by counter"), json!("2026-04-11"), json!(false)),
            (json!("sleeping"), json!(null), json!(false)),
        ]
    );
    let counter = page.items()[2].clone();
    for (field, expected) in [
        ("counter_now", "300"),
        ("daily_use", "5"),
        ("next_due_counter", "500"),
        ("last_done_at", "2026-01-01"),
        ("serial", "SN-1"),
        ("state", "active"),
    ] {
        assert_eq!(counter[field], expected, "{field}");
    }
    let (production, service) = (p.log_position(), p.service_position());
    assert_eq!(page.json()["positions"], json!({"production": production, "after-service": service}));
    // Done at 400: due again at 900.
    let done = PlanDoneV1 {
        done_on: code("2026-03-02"),
        counter: Some(code("400")),
        ticket_id: None,
        next_due: None,
        next_counter: Some(code("900")),
    };
    all[0].happened(&p, "planner-1", "2026-03-02T07:00:00.000Z", vec![done.into()]);
    p.settled().await;
    let of = |q: &str| get(&p, "technician-1", &format!("/v1/maintenance-plans?{q}")).items();
    let one = of("plan=by%20counter").remove(0);
    assert_eq!((&one["next_due_counter"], &one["last_done_counter"]), (&json!("900"), &json!("400")));
    assert_eq!(of("overdue=true").len(), 1);
    assert_eq!(of("state=draft&site=plant-1").len(), 1);
    assert_eq!(of("sort=-forecast_date")[0]["plan"], "by counter");
    let first = get(&p, "planner-1", "/v1/maintenance-plans?limit=2");
    let link = first.header("link").unwrap().split('>').next().unwrap()[1..].to_owned();
    assert_eq!(get(&p, "planner-1", &link).items().len(), 2);
    assert!(get(&p, "planner-1", "/v1/maintenance-plans?format=csv").text.starts_with("id,plan,"));
    assert!(get(&p, "planner-2", "/v1/maintenance-plans").items().is_empty());
    assert_eq!(get(&p, "customer-1", "/v1/maintenance-plans").status, 403);
    for bad in ["state=burning", "site=plant-9", "colour=red", "sort=colour"] {
        assert_eq!(
            get(&p, "planner-1", &format!("/v1/maintenance-plans?{bad}")).problem(400),
            "bad-parameter",
            "{bad}"
        );
    }
    let behind = get(&p, "planner-1", &format!("/v1/maintenance-plans?min_position=production:{}", production + 9));
    assert_eq!(behind.problem(503), "read-model-behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn rm_20_parts_say_what_they_cost_and_which_old_ones_are_missing() {
    let (p, mut first, _) = repaired().await;
    let parts = |who: &str, q: &str| get(&p, who, &format!("/v1/parts-usage?{q}")).items();
    let one = parts("dispatcher-1", "").remove(0);
    for (field, expected) in [
        ("item", json!("motor")),
        ("qty", json!("1")),
        ("cost", json!("120.5")),
        ("currency", json!("EUR")),
        ("number", json!("TK-2026-000001")),
        ("technician", json!("technician-1")),
        ("covered", json!(true)),
        ("core_outstanding", json!(true)),
        ("removed_serial", json!("C-9")),
    ] {
        assert_eq!(one[field], expected, "{field}");
    }
    for (q, n) in [
        ("item=motor,seal", 1),
        ("item=seal", 0),
        ("technician=technician-1", 1),
        ("technician=other", 0),
        ("from=2026-03-02T07:10:00Z&to=2026-03-02T07:10:00Z", 1),
        ("from=2026-03-02T07:11:00Z", 0),
        ("coverage=chargeable", 0),
        ("core_outstanding=true", 1),
    ] {
        assert_eq!(parts("planner-1", q).len(), n, "{q}");
    }
    let back = |serial: Option<&str>, reservation_id| {
        let serial = serial.map(text);
        let line = PartReturnV1 { item_id: code("motor"), serial, reservation_id, ..PartReturnV1::sample() };
        PartsReturnedV1 { lines: vec![line], ..PartsReturnedV1::sample() }.into()
    };
    // A new one that was kept and not used is not the old one.
    first.happened(
        &p,
        "technician-1",
        "2026-03-02T07:20:00.000Z",
        vec![back(None, PartReturnV1::sample().reservation_id)],
    );
    p.settled().await;
    assert_eq!(parts("planner-1", "").remove(0)["core_outstanding"], json!(true));
    first.happened(&p, "technician-1", DONE, vec![back(Some("C-9"), None)]);
    p.settled().await;
    let one = parts("planner-1", "").remove(0);
    assert_eq!((&one["core_outstanding"], &one["core_back_at"]), (&json!(false), &json!(DONE)));
    assert_eq!(get(&p, "planner-1", "/v1/parts-usage").json()["position"], json!(p.service_position()));
    assert!(parts("planner-2", "").is_empty());
    for who in ["customer-1", "operator-1"] {
        assert_eq!(get(&p, who, "/v1/parts-usage").status, 403, "{who}");
    }
    assert!(get(&p, "planner-1", "/v1/parts-usage?format=csv").text.contains(",motor,1,120.5,120.5,EUR,"));
}

/// Every page of a list from its first, by its links.
fn pages(p: &Plant, path: &str) -> Vec<Value> {
    let (mut path, mut all) = (path.to_owned(), Vec::new());
    loop {
        let page = get(p, "planner-1", &path);
        assert_eq!(page.status, 200, "{path}: {}", page.text);
        all.extend(page.items());
        match page.header("link").map(|l| l.split('>').next().unwrap()[1..].to_owned()) {
            Some(next) => path = next,
            None => return all,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rm_20_pages_go_through_tickets_and_orders_in_one_order() {
    let (p, mut first, _) = repaired().await;
    let mut order = Stream::new("plant-1");
    let bom = vec![line(1, "motor", "2", false), line(2, "screw", "4", true)];
    order.happened(&p, "planner-1", OPENED, vec![created("WO-U", "plant-1", 2, bom.clone()), released(bom)]);
    // The same moments, items and amounts on both sides, in turns.
    for n in 0..12u32 {
        let when = format!("2026-03-02T07:{:02}:00.000Z", 10 + n / 3);
        let (item, amount) = (["motor", "screw", "belt"][n as usize % 3], ["10", "9", "1.5"][n as usize / 4]);
        if n % 2 == 0 {
            let line = ConsumedV1 {
                line_no: 1,
                item_id: code(item),
                qty: qty(amount),
                lot: None,
                serials: vec![],
                unit_serial: None,
            };
            let consumed = MaterialConsumedV1 {
                consumption_id: entity_of(100 + u128::from(n)),
                op: Some(10),
                source: ConsumptionSource::Recorded,
                lines: vec![line],
            };
            order.happened(&p, "operator-1", &when, vec![consumed.into()]);
        } else {
            let line = PartUseV1 { item_id: code(item), qty: qty(amount), ..PartUseV1::sample() };
            let used = PartsConsumedV1 { lines: vec![line], ..PartsConsumedV1::sample() };
            first.happened(&p, "technician-1", &when, vec![used.into()]);
        }
    }
    p.settled().await;
    let fields = PARTS_USAGE.fields.iter().map(|f| f.name);
    for sort in fields.flat_map(|f| [f.to_owned(), format!("-{f}")]).chain([String::new()]) {
        let by = if sort.is_empty() { String::new() } else { format!("&sort={sort}") };
        let whole = pages(&p, &format!("/v1/parts-usage?limit=500{by}"));
        assert_eq!(whole.len(), 13, "{sort}");
        let sides = ["ticket_id", "work_order_id"].map(|f| whole.iter().filter(|r| !r[f].is_null()).count());
        assert_eq!(sides, [7, 6], "{sort}");
        for limit in [1, 4, 13] {
            assert_eq!(pages(&p, &format!("/v1/parts-usage?limit={limit}{by}")), whole, "{sort} {limit}");
        }
    }
    // Amounts are numbers, not words.
    let amounts = pages(&p, "/v1/parts-usage?limit=5&sort=qty");
    let amounts: Vec<f64> = amounts.iter().map(|r| r["qty"].as_str().unwrap().parse().unwrap()).collect();
    assert!(amounts.is_sorted(), "{amounts:?}");
    let narrowed = pages(&p, "/v1/parts-usage?limit=2&item=screw");
    assert!(narrowed.iter().all(|r| r["item"] == "screw") && narrowed.len() == 4, "{narrowed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_can_be_sorted_by_each_of_its_fields() {
    let (p, ..) = repaired().await;
    let api = get(&p, "", "/openapi.json").json();
    let mut lists = 0;
    for (path, of) in api["paths"].as_object().unwrap() {
        let takes =
            |name: &str| of["get"]["parameters"].as_array().is_some_and(|all| all.iter().any(|q| q["name"] == name));
        if !takes("sort") || path.contains('{') {
            continue;
        }
        lists += 1;
        let who = if path.starts_with("/v1/my/") { "customer-1" } else { "admin" };
        // Who asks for what is not there is told what there is.
        let allowed = get(&p, who, &format!("{path}?sort=nothing")).json()["allowed"].clone();
        for field in allowed.as_array().unwrap_or_else(|| panic!("{path}")) {
            let field = field.as_str().unwrap();
            for sort in [field.to_owned(), format!("-{field}")] {
                let page = get(&p, who, &format!("{path}?sort={sort}&limit=1"));
                assert_eq!(page.status, 200, "{path} {sort}: {}", page.text);
            }
        }
        // Free text: nothing has this in its number, title or serial number.
        if path != "/v1/inbox" {
            let none = get(&p, who, &format!("{path}?q=zz-nothing"));
            assert_eq!(none.status, 200, "{path}: {}", none.text);
            // Boards have lanes.
            assert!(none.json()["items"].as_array().is_none_or(Vec::is_empty), "{path}: {}", none.text);
        }
    }
    assert!(lists >= 8, "{lists}");
    for (path, who) in [
        ("/v1/parts-usage?q=tk-2026-000001", "admin"),
        ("/v1/my/units?q=Sn-1", "customer-1"),
        ("/v1/tickets?q=000002", "admin"),
    ] {
        assert_eq!(get(&p, who, path).items().len(), 1, "{path}");
    }
    assert_eq!(get(&p, "admin", "/v1/work-orders?customer=nobody").problem(400), "bad-parameter");
}

#[tokio::test(flavor = "multi_thread")]
async fn rm_17_the_inbox_holds_what_after_service_refused() {
    let (p, first, _) = repaired().await;
    let refused = |mut h: mw_contract::commit::CommitHead, refusal: Rejection| {
        let id = h.command_id;
        h.aggregate_id = h.aggregate_id.or(Some(first.id));
        h.outcome = mw_contract::commit::Outcome::Rejected(refusal);
        let commit = mw_contract::commit::NewCommit { head: h, events: vec![] };
        EventLog::append(&*p.service_log, vec![commit]).unwrap();
        id
    };
    let offline = Rejection::guard("TK-23.R1", "no").with("captured_offline", true);
    let tablet = refused(head("technician-1", "plant-1", "ticket.start-work", DONE), offline.clone());
    refused(head("processes", "plant-1", "ticket.open", DONE), Rejection::guard("TK-01.R4", "no"));
    refused(head("technician-1", "plant-1", "ticket.start-work", DONE), Rejection::guard("TK-23.R1", "no"));
    refused(head("technician-1", "plant-2", "ticket.start-work", DONE), offline);
    p.settled().await;
    let inbox = |who: &str, q: &str| get(&p, who, &format!("/v1/inbox?{q}"));
    let page = inbox("dispatcher-1", "");
    let mut kinds: Vec<(String, String)> = page
        .items()
        .iter()
        .map(|i| (i["kind"].as_str().unwrap().to_owned(), i["context"].as_str().unwrap().to_owned()))
        .collect();
    kinds.sort();
    let of = |kind: &str| (kind.to_owned(), "after-service".to_owned());
    assert_eq!(kinds, [of("offline"), of("process_failed")]);
    for context in ["production", "after-service", "identity"] {
        assert!(page.json()["positions"][context].is_u64(), "{context}");
    }
    let own = inbox("technician-1", "").items();
    assert_eq!((own.len(), &own[0]["id"]), (1, &json!(tablet)), "a technician sees its own");
    // Dismissed in production, gone from the list of both.
    let mut dismissed = Stream { id: AggregateId(tablet.0), version: 0, site: "plant-1" };
    let e = event::inbox::InboxItemDismissedV1 { reason: code("duplicate"), note: None };
    dismissed.happened(&p, "dispatcher-1", DONE, vec![e.into()]);
    p.settled().await;
    assert_eq!(inbox("dispatcher-1", "").items().len(), 1);
    let gone = inbox("dispatcher-1", "state=dismissed").items().remove(0);
    assert_eq!((&gone["id"], &gone["settled_by"]), (&json!(tablet), &json!("dispatcher-1")));
    let service = p.service_position();
    let behind = inbox("dispatcher-1", &format!("min_position=after-service:{}", service + 1));
    assert_eq!(behind.problem(503), "read-model-behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn i5_the_joint_file_is_the_same_when_it_is_built_again() {
    let (p, ..) = repaired().await;
    let live = |dir: &std::path::Path| {
        let name = mw_after_service_views::ServiceFigureViews::NAME;
        let schema = mw_after_service_views::ServiceFigureViews::SCHEMA;
        std::fs::canonicalize(dir.join(format!("{name}.v{schema}.db"))).unwrap()
    };
    let (views, elsewhere) = (p.dir.path().join("views"), p.dir.path().join("again"));
    std::fs::create_dir_all(&elsewhere).unwrap();
    let again = crate::plant::follow_service_figures(&elsewhere, &p.service_log);
    assert!(again.reached(p.service_log.head().commit).await);
    assert_eq!(mw_projection::diff::diff(&live(&views), &live(&elsewhere)).unwrap(), []);
}
