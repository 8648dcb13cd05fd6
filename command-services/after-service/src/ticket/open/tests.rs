use crate::fixture::*;
use crate::known::{Machine, Unit};
use mw_contract::decide::{Actor, Decision};
use mw_contract::{
    AggregateId, Commercial, ErrorCode, ReferenceKind, Rejection, SiteId, TicketState, UnitStatus, WarrantyStatus,
};
use serde_json::{Value, json};

/// A phone call of acme about SN-1, with changes; a field that is null is left out.
fn call(more: Value) -> Value {
    let mut p = json!({"channel": "phone", "title": "pump stands still", "customer_id": "acme", "serial": "SN-1"});
    let p_map = p.as_object_mut().unwrap();
    p_map.extend(more.as_object().unwrap().clone());
    p_map.retain(|_, v| !v.is_null());
    p
}

fn opens(w: &mut World, who: &Actor, p: Value) -> Result<(AggregateId, Decision), Rejection> {
    let id = id(w.fresh());
    w.run(who, "ticket.open", id, p).map(|d| (id, d))
}

fn machine(w: &World, n: u128, site: &str) -> AggregateId {
    let site: SiteId = site.parse().unwrap();
    w.plant.machine(Machine {
        equipment_id: id(n),
        code: "cell-1".parse().unwrap(),
        class: None,
        site_id: site,
        line_id: None,
        cell_id: None,
        counters: vec![],
    });
    id(n)
}

#[test]
fn tk_01_opens_a_ticket_with_a_number_a_warranty_and_running_clocks() {
    let mut w = World::new();
    let p = call(json!({"description": "Mrs Miller called", "severity": 2, "contact_id": "c-7", "site_id": "works-2",
        "down_since": "2026-03-02T07:00:00.000Z"}));
    let (id, d) = opens(&mut w, &dispatcher(), p).unwrap();
    assert_eq!(all_names(&d), ["TicketOpened", "WarrantyChecked", "SlaStarted"]);
    let opened = data(&d, 0);
    assert_eq!((&opened["number"], &opened["product_id"]), (&json!("TK-2026-000001"), &json!("pump-200")));
    assert_eq!((&opened["site_id"], &opened["service_site"]), (&json!("plant-1"), &json!("works-2")));
    assert!(d.events[0].1.encode().is_err(), "the description is sealed text");
    assert_eq!((&data(&d, 1)["status"], &data(&d, 1)["as_of"]), (&json!("in_warranty"), &json!("2026-03-02")));
    assert_eq!(data(&d, 2)["clocks"][1]["due"], "2026-03-02T16:00:00.000Z");
    let t = w.ticket(id);
    assert_eq!((t.state, t.commercial, t.sla.clocks.len()), (TicketState::New, Commercial::NotRequired, 2));
    let (_, d) = opens(&mut w, &dispatcher(), call(json!({}))).unwrap();
    assert_eq!(data(&d, 0)["number"], "TK-2026-000002");
    let r = w.run(&dispatcher(), "ticket.open", id, call(json!({})));
    assert_eq!(code(r), ErrorCode::AlreadyExists);
}

#[test]
fn tk_01_names_all_wrong_fields_at_once() {
    let mut w = World::new();
    let p = call(json!({"severity": 5, "down_since": "2026-03-02T09:00:00.000Z", "follows": id(2),
        "preferred_windows": [{"from": "2026-03-03T08:00:00.000Z", "to": "2026-03-03T08:00:00.000Z"}],
        "attachments": [{"uri": "s3://x", "sha256": "zz", "media_type": "a/b", "bytes": 1}]}));
    let r = opens(&mut w, &dispatcher(), p).map(|(_, d)| d);
    let fields = detail(r, "fields");
    let fields: Vec<&str> = fields.as_array().unwrap().iter().map(|f| f["field"].as_str().unwrap()).collect();
    assert_eq!(
        fields,
        [
            "payload.severity",
            "payload.down_since",
            "payload.follows",
            "payload.preferred_windows[0].to",
            "payload.attachments[0].sha256"
        ]
    );
    let r = opens(&mut w, &dispatcher(), call(json!({"customer_id": null}))).map(|(_, d)| d);
    assert_eq!(detail(r, "fields")[0]["field"], "payload.customer_id");
}

#[test]
fn tk_01_r1_says_what_it_is_about() {
    let mut w = World::new();
    let r = opens(&mut w, &dispatcher(), call(json!({"serial": null}))).map(|(_, d)| d);
    assert_eq!(rule(r), "TK-01.R1");
    let (id, d) = opens(&mut w, &dispatcher(), call(json!({"serial": null, "product_id": "pump-200"}))).unwrap();
    assert_eq!(all_names(&d), ["TicketOpened", "SlaStarted"], "no unit, nothing to check");
    assert_eq!(w.ticket(id).warranty.status, WarrantyStatus::Unchecked);
    let r = opens(&mut w, &dispatcher(), call(json!({"serial": null, "product_id": "pump-300"}))).map(|(_, d)| d);
    assert_eq!(code(r), ErrorCode::NotFound);
    let r = opens(&mut w, &dispatcher(), call(json!({"customer_id": "nobody"}))).map(|(_, d)| d);
    assert_eq!(code(r), ErrorCode::NotFound);
}

#[test]
fn tk_01_r2_a_customer_names_its_own_unit_or_one_that_nobody_knows() {
    let mut w = World::new();
    let (id, d) = opens(&mut w, &customer(), call(json!({"customer_id": null, "channel": "portal"}))).unwrap();
    assert_eq!(data(&d, 0)["customer_id"], "acme", "its own unless it says otherwise");
    assert_eq!(w.ticket(id).warranty.status, WarrantyStatus::InWarranty);
    let r = opens(&mut w, &customer(), call(json!({"serial": "SN-2"}))).map(|(_, d)| d);
    assert_eq!(rule(r), "TK-01.R2", "a unit in stock");
    let (_, d) = opens(&mut w, &customer(), call(json!({"serial": "SN-404"}))).unwrap();
    assert_eq!(data(&d, 1)["status"], "unknown_unit");
    assert_eq!(d.warnings[0].code, "unknown_unit");
    let other = customer_of("customer-2", "other");
    let r = opens(&mut w, &other, call(json!({"customer_id": null}))).map(|(_, d)| d);
    assert_eq!(rule(r), "TK-01.R2");
    let r = opens(&mut w, &other, call(json!({"customer_id": "acme"}))).map(|(_, d)| d);
    assert_eq!(code(r), ErrorCode::Forbidden, "for itself only");
    // Whoever answers the phone may have misheard; it is told.
    let (_, d) = opens(&mut w, &dispatcher(), call(json!({"serial": "SN-2"}))).unwrap();
    assert_eq!(d.warnings[0].code, "unit_of_other_customer");
}

#[test]
fn tk_01_r2_of_two_products_with_the_serial_the_customers_own_is_meant() {
    let mut w = World::new();
    let twin = |n: u128, product: &str, customer: Option<&str>| Unit {
        unit_id: id(n),
        product_id: product.parse().unwrap(),
        customer_id: customer.map(|c| c.parse().unwrap()),
        status: UnitStatus::Installed,
        ..unit("SN-7")
    };
    w.plant.unit(twin(71, "pump-200", Some("acme")));
    w.plant.unit(twin(72, "valve", Some("other")));
    let (_, d) = opens(&mut w, &customer(), call(json!({"serial": "SN-7"}))).unwrap();
    assert_eq!(data(&d, 0)["product_id"], "pump-200");
    w.plant.unit(twin(72, "valve", Some("acme")));
    let r = opens(&mut w, &customer(), call(json!({"serial": "SN-7"}))).map(|(_, d)| d);
    assert_eq!(detail(r, "products"), json!(["pump-200", "valve"]));
    let (_, d) = opens(&mut w, &customer(), call(json!({"serial": "SN-7", "product_id": "valve"}))).unwrap();
    assert_eq!(data(&d, 0)["product_id"], "valve");
}

#[test]
fn tk_01_r3_what_is_open_already_is_counted_there() {
    let mut w = World::new();
    let key = json!({"dedupe_key": "SN-1:leaks"});
    let (first, _) = opens(&mut w, &dispatcher(), call(key.clone())).unwrap();
    for count in [2, 3] {
        let (_, d) = opens(&mut w, &customer(), call(key.clone())).unwrap();
        assert_eq!((all_names(&d), d.existing), (vec!["TicketOccurrenceAdded"], Some(first)));
        assert_eq!((d.events[0].0.id, &data(&d, 0)["count"]), (first, &json!(count)));
    }
    assert_eq!(w.ticket(first).occurrences, 3);
    assert_eq!(w.states.values().filter(|s| s.ticket().is_some()).count(), 1, "no ticket but the first");
    // Nobody reaches another customer's ticket by a key.
    let other = customer_of("customer-2", "other");
    let p = call(json!({"dedupe_key": "SN-1:leaks", "customer_id": null, "serial": "SN-404"}));
    assert_eq!(opens(&mut w, &other, p).unwrap().1.existing, None);
    w.resolved(first);
    assert_eq!(opens(&mut w, &dispatcher(), call(key)).unwrap().1.existing, None, "that one is resolved");
}

#[test]
fn tk_01_r4_an_internal_ticket_names_its_machine() {
    let mut w = World::new();
    let here = machine(&w, 0x100, "plant-1");
    let away = machine(&w, 0x101, "plant-2");
    let internal = |more: Value| {
        let mut p = call(json!({"kind": "internal_maintenance", "channel": "operator", "customer_id": null}));
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        p
    };
    let r = opens(&mut w, &operator(), internal(json!({}))).map(|(_, d)| d);
    assert_eq!(rule(r), "TK-01.R4");
    let (id, d) = opens(&mut w, &operator(), internal(json!({"equipment_id": here, "serial": null}))).unwrap();
    assert_eq!((all_names(&d), w.ticket(id).is_internal()), (vec!["TicketOpened", "SlaStarted"], true));
    let r = opens(&mut w, &operator(), internal(json!({"equipment_id": away}))).map(|(_, d)| d);
    assert_eq!(code(r), ErrorCode::NotFound);
    let (_, d) = opens(&mut w, &operator(), internal(json!({"equipment_id": crate::fixture::id(9)}))).unwrap();
    assert_eq!(d.warnings[0].code, "equipment_unknown");
    let r = opens(&mut w, &dispatcher(), internal(json!({"equipment_id": here, "customer_id": "acme"})));
    assert_eq!(code(r.map(|(_, d)| d)), ErrorCode::Validation);
    let r = opens(&mut w, &operator(), call(json!({}))).map(|(_, d)| d);
    assert_eq!(code(r), ErrorCode::Forbidden, "an operator's own are internal tickets");
    // The house pays for what is its own.
    let (id, _) = opens(&mut w, &operator(), internal(json!({"equipment_id": here, "serial": "SN-2"}))).unwrap();
    assert_eq!(w.ticket(id).commercial, Commercial::NotRequired);
}

#[test]
fn tk_01_plans_are_named_by_those_who_run_them() {
    let mut w = World::new();
    let plan = json!({"plan_id": id(0x900), "kind": "preventive", "channel": "plan"});
    let r = opens(&mut w, &customer(), call(plan.clone())).map(|(_, d)| d);
    assert_eq!(code(r), ErrorCode::Forbidden);
    let (id, d) = opens(&mut w, &system(), call(plan)).unwrap();
    assert_eq!(
        (&data(&d, 0)["plan_id"], w.ticket(id).plan_id),
        (&json!(crate::fixture::id(0x900)), Some(crate::fixture::id(0x900)))
    );
}

#[test]
fn golden_16_after_the_window_a_new_ticket_follows_the_old_one() {
    let mut w = World::new();
    let old = w.in_state(TicketState::Closed);
    w.later(15 * DAY);
    let (_, d) = opens(&mut w, &customer(), call(json!({"follows": old}))).unwrap();
    assert_eq!(data(&d, 0)["follows"], json!(old));
    let of_other = w.opened_with(|t| t.customer_id = Some("other".parse().unwrap()));
    let r = opens(&mut w, &customer(), call(json!({"follows": of_other}))).map(|(_, d)| d);
    assert_eq!(code(r), ErrorCode::NotFound);
}

#[test]
fn tk_01_a_symptom_is_one_of_the_catalogue() {
    let mut w = World::new();
    w.plant.put(ReferenceKind::Catalogue, "fault_symptoms", json!({"entries": [{"code": "leaks"}]}));
    opens(&mut w, &customer(), call(json!({"symptom": "leaks"}))).unwrap();
    let r = opens(&mut w, &customer(), call(json!({"symptom": "noise"}))).map(|(_, d)| d);
    assert_eq!(code(r), ErrorCode::ReasonUnknown);
}
