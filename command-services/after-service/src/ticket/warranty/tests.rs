use crate::fixture::*;
use crate::known::{Unit, UnitWarranty};
use mw_contract::decide::Decision;
use mw_contract::{
    AggregateId, Commercial, ErrorCode, ReferenceKind, Rejection, TicketState, WarrantyBasis, WarrantyStatus,
};
use serde_json::{Value, json};

fn warranty(start: &str, end: &str, basis: WarrantyBasis) -> UnitWarranty {
    UnitWarranty { start: start.parse().unwrap(), end: end.parse().unwrap(), basis, void: false, counter: None }
}

fn check(w: &mut World, id: AggregateId, p: Value) -> Result<Decision, Rejection> {
    w.run(&technician(), "ticket.check-warranty", id, p)
}

/// The technician-1 of the fixture is allowed what is assigned to it; a check is allowed to all.
fn ask(w: &mut World, id: AggregateId, p: Value) -> Value {
    let d = w.dispatcher("ticket.check-warranty", id, p).unwrap();
    data(&d, d.events.len() - 1)
}

#[test]
fn golden_15_the_day_after_the_last_one_is_not_covered() {
    let mut w = World::new();
    // Shipped 2025-01-10 for 24 months, installed after 50 days, which began it anew.
    let installed = warranty("2025-03-01", "2027-03-01", WarrantyBasis::Installation);
    w.plant.unit(Unit { warranty: Some(installed), ..unit("SN-15") });
    w.now = "2027-03-01T09:00:00.000Z".parse().unwrap();
    let opens = |w: &mut World| {
        let id = id(w.fresh());
        let p = json!({"channel": "phone", "title": "leaks", "customer_id": "acme", "serial": "SN-15"});
        let d = w.dispatcher("ticket.open", id, p).unwrap();
        (id, data(&d, 1))
    };
    let (id, checked) = opens(&mut w);
    assert_eq!((&checked["status"], &checked["commercial"]), (&json!("in_warranty"), &json!("not_required")));
    w.later(DAY);
    let (late, checked) = opens(&mut w);
    assert_eq!((&checked["status"], &checked["commercial"]), (&json!("out_of_warranty"), &json!("quote_required")));
    let terms = &checked["terms"];
    assert_eq!((&terms["basis"], &terms["warranty_end"]), (&json!("install_date"), &json!("2027-03-01")));
    assert!(w.ticket(late).commercial.blocks(), "no chargeable repair before the customer agrees (T2)");
    assert_eq!(checked["unit"]["previous_tickets"], json!([id]));
    // The day of the report counts, not the day of the check.
    w.later(30 * DAY);
    assert_eq!(ask(&mut w, id, json!({}))["status"], "in_warranty");
    assert_eq!(ask(&mut w, id, json!({"as_of": "2027-03-02"}))["status"], "out_of_warranty");
}

#[test]
fn golden_15_the_day_is_that_of_the_site() {
    let mut w = World::new();
    w.plant
        .unit(Unit { warranty: Some(warranty("2025-03-01", "2027-03-01", WarrantyBasis::ShipDate)), ..unit("SN-15") });
    // Half past midnight of 2 March in Berlin.
    w.now = "2027-03-01T23:30:00.000Z".parse().unwrap();
    let id = w.opened_with(|t| t.serial = Some(text("SN-15")));
    let checked = ask(&mut w, id, json!({}));
    assert_eq!((&checked["as_of"], &checked["status"]), (&json!("2027-03-02"), &json!("out_of_warranty")));
}

#[test]
fn tk_08_tells_the_unit_and_the_order_that_made_it() {
    let mut w = World::new();
    w.plant.unit(Unit { open_recalls: vec![text("RC-1")], ..unit("SN-1") });
    let id = w.opened();
    let unit = ask(&mut w, id, json!({}))["unit"].clone();
    assert_eq!((&unit["work_order_number"], &unit["lot"]), (&json!("WO-2026-000001"), &json!("L-7")));
    assert_eq!((&unit["product_id"], &unit["open_recalls"]), (&json!("pump-200"), &json!(["RC-1"])));
    assert_eq!((&unit["line_id"], &unit["previous_tickets"]), (&json!("line-1"), &json!([])));
    assert_eq!(w.ticket(id).warranty.unit.as_ref().unwrap().work_order_id, Some(crate::fixture::id(0x50)));
}

#[test]
fn tk_08_void_comes_before_a_contract_and_a_contract_before_the_warranty() {
    let mut w = World::new();
    let contract = json!({"code": "care", "from": "2026-01-01", "to": "2026-12-31", "products": ["pump-200"]});
    w.plant.put(ReferenceKind::Customer, "acme", json!({"contracts": [contract]}));
    let id = w.opened();
    let checked = ask(&mut w, id, json!({}));
    assert_eq!((&checked["status"], &checked["terms"]["contract"]), (&json!("contract"), &json!("care")));
    assert_eq!(checked["terms"]["basis"], "contract");
    assert_eq!(ask(&mut w, id, json!({"as_of": "2027-01-01"}))["status"], "in_warranty", "the contract has ended");
    let void = UnitWarranty { void: true, ..warranty("2026-01-10", "2028-01-10", WarrantyBasis::ShipDate) };
    w.plant.unit(Unit { warranty: Some(void), ..unit("SN-1") });
    let checked = ask(&mut w, id, json!({}));
    assert_eq!((&checked["status"], &checked["commercial"]), (&json!("void"), &json!("quote_required")));
}

#[test]
fn tk_08_a_contract_holds_for_what_it_lists() {
    let mut w = World::new();
    let mut with = |lists: Value| {
        let mut contract = json!({"code": "care", "from": "2026-01-01", "to": "2026-12-31"});
        contract.as_object_mut().unwrap().extend(lists.as_object().unwrap().clone());
        w.plant.put(ReferenceKind::Customer, "acme", json!({"contracts": [contract]}));
        let id = w.opened();
        ask(&mut w, id, json!({}))["status"].clone()
    };
    assert_eq!(with(json!({})), "contract");
    assert_eq!(with(json!({"products": ["valve"]})), "in_warranty");
    assert_eq!(with(json!({"serials": ["SN-1"]})), "contract");
    assert_eq!(with(json!({"serials": ["SN-3"], "products": ["pump-200"]})), "in_warranty");
}

#[test]
fn tk_08_the_counter_ends_a_warranty_too() {
    let mut w = World::new();
    let counted = |value: &str| {
        let counter = Some(("hours".parse().unwrap(), "5000".parse().unwrap()));
        let w = UnitWarranty { counter, ..warranty("2026-01-10", "2028-01-10", WarrantyBasis::ShipDate) };
        Unit { warranty: Some(w), counters: vec![("hours".parse().unwrap(), value.parse().unwrap())], ..unit("SN-1") }
    };
    for (value, status) in [("5000", "in_warranty"), ("5000.5", "out_of_warranty")] {
        w.plant.unit(counted(value));
        let id = w.opened();
        let checked = ask(&mut w, id, json!({}));
        assert_eq!((&checked["status"], &checked["terms"]["counter_value"]), (&json!(status), &json!(value)));
    }
}

#[test]
fn tk_08_what_was_never_shipped_has_no_warranty_and_what_nobody_knows_none_either() {
    let mut w = World::new();
    let id = w.opened_with(|t| t.serial = Some(text("SN-2")));
    assert_eq!(ask(&mut w, id, json!({}))["status"], "out_of_warranty");
    let id = w.opened_with(|t| t.serial = Some(text("SN-404")));
    let checked = ask(&mut w, id, json!({}));
    assert_eq!((&checked["status"], &checked["unit"]), (&json!("unknown_unit"), &json!(null)));
    assert_eq!(w.ticket(id).commercial, Commercial::QuoteRequired);
}

#[test]
fn tk_08_a_unit_may_be_named_with_the_check_when_the_ticket_names_none() {
    let mut w = World::new();
    let id = w.opened_with(|t| t.serial = None);
    assert_eq!(code(check(&mut w, id, json!({}))), ErrorCode::Forbidden, "nobody is assigned yet");
    let d = w.dispatcher("ticket.check-warranty", id, json!({})).unwrap();
    assert_eq!(names(&d), ["WarrantyChecked"]);
    assert_eq!(w.ticket(id).warranty.status, WarrantyStatus::UnknownUnit, "nobody has named one");
    let d = w.dispatcher("ticket.check-warranty", id, json!({"serial": "SN-1"})).unwrap();
    assert_eq!(names(&d), ["TicketAmended", "WarrantyChecked"]);
    assert_eq!(w.ticket(id).serial.as_ref().unwrap().as_str(), "SN-1");
    let r = w.dispatcher("ticket.check-warranty", id, json!({"serial": "SN-2"}));
    assert_eq!(code(r), ErrorCode::Validation, "another unit is an amendment");
    let id = w.in_state(TicketState::Closed);
    assert_eq!(code(w.dispatcher("ticket.check-warranty", id, json!({}))), ErrorCode::InvalidState);
}

#[test]
fn tk_08_what_the_customer_has_answered_stands() {
    let mut w = World::new();
    w.plant.unit(Unit { warranty: None, ..unit("SN-1") });
    let id = w.in_state(TicketState::AwaitingApproval);
    ask(&mut w, id, json!({}));
    assert_eq!(w.ticket(id).commercial, Commercial::Quoted);
    w.plant.unit(unit("SN-1"));
    ask(&mut w, id, json!({}));
    assert_eq!(w.ticket(id).commercial, Commercial::NotRequired, "covered after all");
}

fn overrides(w: &mut World, id: AggregateId, p: Value) -> Result<Decision, Rejection> {
    w.dispatcher("ticket.override-warranty", id, p)
}

#[test]
fn tk_09_somebody_decides_otherwise_with_a_reason() {
    let mut w = World::new();
    w.plant.unit(Unit { warranty: None, ..unit("SN-1") });
    let id = w.opened();
    ask(&mut w, id, json!({}));
    assert_eq!(code(overrides(&mut w, id, json!({"status": "goodwill"}))), ErrorCode::ReasonRequired);
    let p = |status: &str| json!({"status": status, "reason": "good_customer"});
    for status in ["void", "contract", "unknown_unit", "unchecked"] {
        assert_eq!(code(overrides(&mut w, id, p(status))), ErrorCode::Validation, "{status}");
    }
    let d = overrides(&mut w, id, p("goodwill")).unwrap();
    assert_eq!((&data(&d, 0)["old"], &data(&d, 0)["new"]), (&json!("out_of_warranty"), &json!("goodwill")));
    assert_eq!((&data(&d, 0)["coverage_pct"], w.ticket(id).commercial), (&json!("100"), Commercial::NotRequired));
    let d = overrides(&mut w, id, p("out_of_warranty")).unwrap();
    assert_eq!((&data(&d, 0)["coverage_pct"], w.ticket(id).commercial), (&json!("0"), Commercial::QuoteRequired));
    assert_eq!(w.ticket(id).warranty.status, WarrantyStatus::OutOfWarranty);
}

#[test]
fn tk_09_what_is_covered_in_part_is_for_the_customer_to_agree_to() {
    let mut w = World::new();
    let id = w.opened();
    let p = json!({"status": "goodwill", "reason": "good_customer", "coverage_pct": 50});
    overrides(&mut w, id, p).unwrap();
    assert_eq!(w.ticket(id).commercial, Commercial::QuoteRequired);
}

#[test]
fn tk_09_goodwill_above_the_limit_needs_a_second_person() {
    let mut w = World::new();
    w.settings(json!({"goodwill_limit": {"amount": "500", "currency": "EUR"}}));
    let id = w.opened();
    let p = |amount: &str, currency: &str, approver: Option<&str>| {
        let mut p = json!({"status": "goodwill", "reason": "good_customer",
            "estimated_cost": {"amount": amount, "currency": currency}});
        if let Some(a) = approver {
            p["approver"] = json!(a);
        }
        p
    };
    overrides(&mut w, id, p("500", "EUR", None)).unwrap();
    assert_eq!(rule(overrides(&mut w, id, p("500.01", "EUR", None))), "TK-09");
    assert_eq!(rule(overrides(&mut w, id, p("1", "USD", None))), "TK-09", "not comparable");
    let unestimated = json!({"status": "goodwill", "reason": "good_customer"});
    assert_eq!(rule(overrides(&mut w, id, unestimated)), "TK-09");
    for nobody in ["dispatcher-1", "technician-1", "dispatcher-elsewhere", "dispatcher-12"] {
        let r = overrides(&mut w, id, p("501", "EUR", Some(nobody)));
        assert_eq!(code(r), ErrorCode::Forbidden, "{nobody}");
    }
    let d = overrides(&mut w, id, p("501", "EUR", Some("dispatcher-2"))).unwrap();
    assert_eq!(data(&d, 0)["approver"], "dispatcher-2");
    overrides(&mut w, id, json!({"status": "in_warranty", "reason": "wrong_date"})).unwrap();
}
