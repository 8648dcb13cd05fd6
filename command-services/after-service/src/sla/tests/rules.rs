//! Section 2.6, clock by clock.

use super::*;
use crate::state::ClockEnd;

#[test]
fn golden_02_hold_time_is_never_added_to_the_start() {
    let mut c = Watch::new();
    assert_eq!(c.clock(Resolution).due, Some(berlin("2 17:00")));
    c.time("2 16:00");
    let e = c.happens(held(true));
    assert_eq!(said(&e), ["SlaPaused resolution"], "the first response never pauses");
    assert_eq!((&e[0]["remaining"], &e[0]["cause"]), (&json!(3600), &json!("hold")));
    assert_eq!(c.clock(Resolution).due, None);
    c.time("3 10:00");
    let e = c.happens(resumed(TicketState::InProgress));
    assert_eq!(said(&e), ["SlaResumed resolution"]);
    assert_eq!((&e[0]["remaining"], &e[0]["due"]), (&json!(3600), &json!(berlin("3 11:00"))));
    assert_eq!(c.clock(Resolution).due, Some(berlin("3 11:00")));
    c.time("3 10:40");
    let e = c.happens(resolved());
    assert_eq!((said(&e), &e[0]["spare"]), (vec!["SlaMet resolution".to_owned()], &json!(1200)));
}

#[test]
fn golden_16_a_new_cycle_has_clocks_of_its_own() {
    let mut c = Watch::new();
    c.happens(triaged(2, ServiceMode::OnSite));
    c.happens(answer());
    c.time("2 17:30");
    let e = c.happens(resolved());
    assert_eq!(said(&e), ["SlaBreached resolution"]);
    c.happens(closed());
    let before = c.log.len();
    c.time("10 12:00");
    let e = c.happens(reopened(2));
    assert_eq!((said(&e), &e[0]["cycle"]), (vec!["SlaStarted".to_owned()], &json!(2)));
    assert_eq!(e[0]["priority"], 2);
    let clocks = &c.w.ticket(c.id).sla.clocks;
    assert_eq!(clocks.keys().copied().collect::<Vec<_>>(), [FirstResponse, Resolution]);
    assert!(clocks.values().all(|k| k.ended.is_none() && !k.breached), "nothing of the old cycle");
    assert_eq!(
        (c.clock(Resolution).due, c.clock(FirstResponse).due),
        (Some(berlin("11 12:00")), Some(berlin("10 14:00")))
    );
    assert_eq!(c.log.len(), before + 2, "the old cycle's result is not touched");
    // A timer of the old cycle is stale.
    let p = json!({"clock": "resolution", "cycle": 1});
    assert!(c.w.run(&system(), "ticket.breach-sla", c.id, p).unwrap().events.is_empty());
}

#[test]
fn the_first_response_is_a_public_comment_of_staff_or_a_quote() {
    let mut c = Watch::new();
    for nothing in [comment(Visibility::Internal, true), comment(Visibility::Public, false), working(), assigned()] {
        assert_eq!(said(&c.happens(nothing)), Vec::<String>::new());
    }
    c.time("2 10:00");
    let e = c.happens(answer());
    assert_eq!((said(&e), &e[0]["spare"]), (vec!["SlaMet first_response".to_owned()], &json!(3600)));
    assert_eq!(said(&c.happens(answer())), Vec::<String>::new(), "only the first");
    let mut c = Watch::new();
    assert_eq!(said(&c.happens(quoted())), ["SlaMet first_response", "SlaPaused resolution"]);
    let mut c = Watch::with(json!({"response_by_assignment": true}));
    assert_eq!(said(&c.happens(assigned())), ["SlaMet first_response"]);
}

#[test]
fn a_quote_with_the_customer_pauses_where_the_policy_says_so() {
    let mut c = Watch::new();
    c.time("2 11:30");
    let e = c.happens(quoted());
    assert_eq!((&e[0]["type"], &e[1]["cause"]), (&json!("SlaBreached"), &json!("customer_approval")));
    assert_eq!((&e[0]["by"], &e[0]["due"]), (&json!(1800), &json!(berlin("2 11:00"))));
    c.time("5 09:00");
    let e = c.happens(approved());
    assert_eq!((said(&e), &e[0]["due"]), (vec!["SlaResumed resolution".to_owned()], &json!(berlin("5 14:30"))));
    let mut c = Watch::with(json!({"approval_pauses": false}));
    assert_eq!(said(&c.happens(quoted())), ["SlaMet first_response"]);
    assert_eq!(said(&c.happens(approved())), Vec::<String>::new());
}

#[test]
fn a_reason_that_does_not_pause_leaves_the_clocks() {
    let mut c = Watch::new();
    assert!(c.happens(held(false)).is_empty());
    assert!(c.happens(resumed(TicketState::InProgress)).is_empty());
    assert_eq!(c.clock(Resolution).due, Some(berlin("2 17:00")));
}

fn on_site() -> Value {
    json!({"targets": [{"clock": "on_site", "minutes": 240}, {"clock": "resolution", "minutes": 480}]})
}

#[test]
fn on_site_ends_with_arrival_or_work_and_pauses_for_holds_only() {
    let mut c = Watch::with(on_site());
    c.time("2 10:00");
    assert_eq!(said(&c.happens(quoted())), ["SlaPaused resolution"]);
    c.time("2 11:00");
    c.happens(approved());
    assert_eq!(said(&c.happens(held(true))), ["SlaPaused on_site", "SlaPaused resolution"]);
    c.time("2 12:00");
    assert_eq!(said(&c.happens(resumed(TicketState::InProgress))), ["SlaResumed on_site", "SlaResumed resolution"]);
    assert_eq!(c.clock(OnSite).due, Some(berlin("2 14:00")));
    let e = c.happens(TechnicianArrivedV1::sample());
    assert_eq!((said(&e), &e[0]["spare"]), (vec!["SlaMet on_site".to_owned()], &json!(7200)));
    assert!(c.happens(working()).is_empty());
}

#[test]
fn update_runs_from_one_public_comment_of_staff_to_the_next() {
    let targets = json!({"targets": [{"clock": "update", "minutes": 60}]});
    let mut c = Watch::with(targets);
    assert_eq!(c.clock(Update).due, None, "nothing was promised yet");
    c.happens(held(true));
    assert!(c.happens(resumed(TicketState::InProgress)).is_empty());
    let e = c.happens(answer());
    assert_eq!((said(&e), &e[0]["due"]), (vec!["SlaResumed update".to_owned()], &json!(berlin("2 10:00"))));
    c.time("2 09:45");
    let e = c.happens(answer());
    assert_eq!(said(&e), ["SlaMet update", "SlaResumed update"]);
    assert_eq!((&e[0]["spare"], &e[1]["due"]), (&json!(900), &json!(berlin("2 10:45"))));
    c.time("2 11:00");
    let e = c.timers();
    assert_eq!(said(&e), ["SlaWarningRaised update", "SlaWarningRaised update", "SlaBreached update"]);
    let e = c.happens(answer());
    assert_eq!(said(&e), ["SlaResumed update"], "it was said that it is late");
    assert!(!c.clock(Update).breached && c.clock(Update).warned.is_empty(), "begun anew");
    // While it waits the customer hears something, and the next time is due when it goes on.
    c.happens(held(true));
    c.time("2 11:30");
    let e = c.happens(answer());
    assert_eq!(
        (said(&e), &e[1]["remaining"]),
        (vec!["SlaMet update".into(), "SlaPaused update".to_owned()], &json!(3600))
    );
    c.time("3 09:00");
    c.happens(resumed(TicketState::InProgress));
    assert_eq!(c.clock(Update).due, Some(berlin("3 10:00")));
    c.happens(resolved());
    c.time("4 09:00");
    assert!(c.timers().is_empty(), "a resolved ticket owes no update");
}

#[test]
fn a_resolution_in_time_is_met_and_a_failed_test_takes_the_rest_up_again() {
    let mut c = Watch::new();
    c.time("2 12:00");
    assert_eq!(said(&c.happens(resolved())), ["SlaMet resolution"]);
    assert_eq!(c.clock(Resolution).ended, Some(ClockEnd::Met));
    assert!(c.happens(tested(RepairVerdict::Pass)).is_empty());
    c.time("3 09:00");
    let e = c.happens(tested(RepairVerdict::Fail));
    assert_eq!(said(&e), ["SlaResumed resolution"]);
    assert_eq!(c.clock(Resolution).due, Some(berlin("3 14:00")), "five hours were left");
    assert_eq!(c.clock(FirstResponse).due, Some(berlin("2 11:00")), "the customer has not been answered yet");
    c.time("3 15:00");
    let e = c.happens(resolved());
    assert_eq!((said(&e), &e[0]["by"]), (vec!["SlaBreached resolution".to_owned()], &json!(3600)));
    assert_eq!(c.clock(Resolution).ended, Some(ClockEnd::Late));
}

#[test]
fn a_breached_clock_counts_on_and_stays_breached() {
    let mut c = Watch::new();
    c.happens(answer());
    c.time("2 17:00");
    assert_eq!(said(&c.timers()).last().unwrap(), "SlaBreached resolution");
    c.time("3 10:00");
    assert_eq!(crate::sla::left(&c.w.ticket(c.id).sla, Resolution, c.w.now), Some(-3600), "the overrun is known");
    assert!(c.timers().is_empty());
    c.happens(held(true));
    assert_eq!(c.clock(Resolution).remaining_s, -3600);
    c.time("4 09:00");
    c.happens(resumed(TicketState::InProgress));
    c.time("4 09:30");
    assert!(c.happens(resolved()).is_empty(), "it was said already");
    let k = c.clock(Resolution);
    assert_eq!((k.ended, k.breached, k.remaining_s), (Some(ClockEnd::Late), true, -5400));
}

#[test]
fn a_late_report_turns_a_breach_into_met_and_both_stay_in_the_log() {
    let mut c = Watch::new();
    c.happens(answer());
    c.time("2 17:05");
    c.timers();
    c.time("3 09:00");
    let e = c.reported(berlin("2 16:30"), resolved());
    assert_eq!(said(&e), ["SlaBreachRevoked resolution", "SlaMet resolution"]);
    assert_eq!((&e[0]["reason"], &e[1]["spare"]), (&json!("late_report"), &json!(1800)));
    assert!(!c.clock(Resolution).breached);
    assert!(c.log.iter().any(|(e, _)| matches!(e, Event::SlaBreached(_))));
    // Exactly when it was due is in time.
    let mut c = Watch::new();
    c.time("2 17:05");
    c.timers();
    let e = c.reported(berlin("2 17:00"), resolved());
    assert_eq!((said(&e)[1].as_str(), &e[1]["spare"]), ("SlaMet resolution", &json!(0)));
}

#[test]
fn a_late_report_of_a_hold_shows_that_the_clock_stood_still() {
    let mut c = Watch::new();
    c.happens(answer());
    c.time("2 17:05");
    c.timers();
    let e = c.reported(berlin("2 15:00"), held(true));
    assert_eq!(said(&e), ["SlaBreachRevoked resolution", "SlaPaused resolution"]);
    assert_eq!((&e[1]["remaining"], c.clock(Resolution).breached), (&json!(7200), false));
}

fn by_priority() -> Value {
    json!({"targets": [{"clock": "resolution", "minutes": 480}, {"clock": "resolution", "minutes": 120, "priority": 1},
        {"clock": "on_site", "minutes": 240, "priority": 1}]})
}

#[test]
fn tk_05_r2_another_priority_keeps_what_was_used_up() {
    let mut c = Watch::with(by_priority());
    c.time("2 10:00");
    let e = c.happens(triaged(1, ServiceMode::OnSite));
    assert_eq!(said(&e), ["SlaPolicyApplied"]);
    let clocks = &e[0]["clocks"];
    assert_eq!(
        (&clocks[0]["name"], &clocks[0]["remaining"]),
        (&json!("on_site"), &json!(3 * 3600)),
        "since the report"
    );
    assert_eq!((&clocks[1]["remaining"], &clocks[1]["due"]), (&json!(3600), &json!(berlin("2 11:00"))));
    c.time("2 10:30");
    assert!(c.happens(triaged(1, ServiceMode::OnSite)).is_empty(), "nothing else than before");
    let e = c.happens(prioritised(3));
    assert_eq!((&e[0]["clocks"][0]["remaining"], &e[0]["priority"]), (&json!(23_400), &json!(3)));
    assert!(!c.w.ticket(c.id).sla.clocks.contains_key(&OnSite), "no target any more");
    // What has happened once is not waited for again.
    c.happens(working());
    let e = c.happens(prioritised(1));
    assert_eq!(e[0]["clocks"].as_array().unwrap().len(), 1, "somebody was on site");
}

#[test]
fn tk_07_pause_time_is_kept_when_the_priority_changes_during_a_hold() {
    let mut c = Watch::with(by_priority());
    c.happens(triaged(3, ServiceMode::OnSite));
    c.time("2 10:00");
    c.happens(held(true));
    c.time("3 10:00");
    let e = c.happens(prioritised(2));
    assert_eq!((&e[0]["clocks"][0]["remaining"], &e[0]["clocks"][0]["due"]), (&json!(7 * 3600), &json!(null)));
    c.time("3 12:00");
    c.happens(resumed(TicketState::InProgress));
    assert_eq!(c.clock(Resolution).due, Some(berlin("4 11:00")));
}

#[test]
fn more_time_takes_a_breach_and_warnings_back_and_less_makes_it_due_at_once() {
    let mut c = Watch::with(by_priority());
    c.happens(triaged(1, ServiceMode::OnSite));
    c.time("2 12:00");
    c.timers();
    assert!(c.clock(Resolution).breached);
    let e = c.happens(prioritised(2));
    assert_eq!(
        (said(&e), &e[1]["reason"]),
        (vec!["SlaPolicyApplied".into(), "SlaBreachRevoked resolution".to_owned()], &json!("policy_changed"))
    );
    assert!(c.clock(Resolution).warned.is_empty(), "three hours are not three quarters of eight");
    let e = c.happens(prioritised(1));
    let resolution = &e[0]["clocks"][1];
    assert_eq!((&resolution["remaining"], &resolution["due"]), (&json!(-3600), &json!(berlin("2 11:00"))));
    assert!(said(&c.timers()).contains(&"SlaBreached resolution".to_owned()));
}

fn workshop() -> Value {
    json!({"workshop_from_receipt": true})
}

#[test]
fn the_clock_of_a_workshop_repair_begins_with_the_units_arrival() {
    let mut c = Watch::with(workshop());
    c.time("2 11:00");
    let e = c.happens(triaged(2, ServiceMode::Workshop));
    assert_eq!(
        (said(&e), &e[1]["cause"]),
        (vec!["SlaPolicyApplied".into(), "SlaPaused resolution".to_owned()], &json!("unit_arrival"))
    );
    let may_be_sent = ReturnAuthorizedV1 { service_mode: ServiceMode::Workshop, ..ReturnAuthorizedV1::sample() };
    assert!(c.happens(may_be_sent).is_empty(), "it is not here yet");
    c.time("4 09:00");
    assert!(c.happens(received(true)).is_empty(), "another unit");
    c.time("5 10:00");
    let e = c.happens(received(false));
    assert_eq!(
        (said(&e), &e[0]["due"]),
        (vec!["SlaResumed resolution".to_owned()], &json!(berlin("6 10:00"))),
        "all of it"
    );
    c.time("5 12:00");
    assert!(c.happens(UnitShippedBackV1::sample()).is_empty(), "it was here");
    assert!(c.happens(received(false)).is_empty(), "it begins once");
}

#[test]
fn a_unit_that_arrives_while_the_ticket_waits_begins_its_time_when_it_goes_on() {
    let mut c = Watch::with(workshop());
    c.time("2 11:00");
    c.happens(triaged(2, ServiceMode::Workshop));
    assert!(c.happens(held(true)).is_empty());
    c.time("4 09:00");
    let e = c.happens(received(false));
    assert_eq!((said(&e), &e[0]["cause"]), (vec!["SlaPaused resolution".to_owned()], &json!("hold")));
    c.time("4 12:00");
    let e = c.happens(resumed(TicketState::Triaged));
    assert_eq!(e[0]["remaining"], 480 * 60);
}

#[test]
fn a_repair_that_is_no_longer_one_of_the_workshop_goes_on_with_what_was_left() {
    let mut c = Watch::with(workshop());
    c.time("2 11:00");
    c.happens(triaged(2, ServiceMode::Workshop));
    c.time("3 11:00");
    let e = c.happens(triaged(2, ServiceMode::OnSite));
    assert_eq!((said(&e), &e[0]["remaining"]), (vec!["SlaResumed resolution".to_owned()], &json!(6 * 3600)));
    let mut c = Watch::new();
    c.time("2 11:00");
    assert_eq!(said(&c.happens(triaged(2, ServiceMode::Workshop))), ["SlaPolicyApplied"], "not by this policy");
}

#[test]
fn a_cancelled_ticket_ends_its_clocks_without_a_verdict() {
    let mut c = Watch::new();
    c.time("2 10:00");
    assert!(c.happens(TicketCancelledV1::sample()).is_empty());
    c.time("9 10:00");
    assert!(c.timers().is_empty());
    assert!(c.w.ticket(c.id).sla.clocks.values().all(|k| k.due.is_none() && k.ended.is_none() && !k.breached));
    assert_eq!(c.clock(Resolution).remaining_s, 7 * 3600);
}

/// The policy that a ticket of acme on SN-1 starts with.
fn chosen(w: World) -> String {
    let c = Watch::opened(w);
    c.w.ticket(c.id).sla.policy.as_ref().map_or("none".into(), |p| p.policy_code.to_string())
}

#[test]
fn tk_05_r2_the_policy_is_that_of_the_contract_the_customer_the_product_or_the_site() {
    let policy = |w: &World, code: &str| {
        let targets = json!([{"clock": "resolution", "minutes": 60}]);
        w.plant.put(ReferenceKind::SlaPolicy, code, json!({"calendar": "office-berlin", "targets": targets}));
    };
    let world = |customer: Value| {
        let w = World::new();
        for code in ["contract", "customer", "product", "site"] {
            policy(&w, code);
        }
        w.plant.put(ReferenceKind::Customer, "acme", customer);
        w
    };
    let contract = |from: &str, serials: Value| {
        json!({"code": "care", "from": from, "to": "2026-12-31",
        "serials": serials, "sla_policy": "contract"})
    };
    let product = json!({"uom": "H87", "sla_policy": "product"});
    let w = world(json!({"sla_policy": "customer", "contracts": [contract("2026-03-02", json!(["SN-1"]))]}));
    assert_eq!(chosen(w), "contract");
    let w = world(json!({"sla_policy": "customer", "contracts": [contract("2026-03-03", json!([]))]}));
    assert_eq!(chosen(w), "customer", "not in force yet");
    let w = world(json!({"sla_policy": "customer", "contracts": [contract("2026-03-02", json!(["SN-3"]))]}));
    assert_eq!(chosen(w), "customer", "for another unit");
    let w = world(json!({}));
    w.plant.put(ReferenceKind::Product, "pump-200", product.clone());
    assert_eq!(chosen(w), "product");
    let w = world(json!({"sla_policy": "retired"}));
    w.plant.put(ReferenceKind::Product, "pump-200", product);
    assert_eq!(chosen(w), "product", "one that is not there is passed over");
    let w = world(json!({}));
    w.settings(json!({"sla_policy": "site"}));
    assert_eq!(chosen(w), "site");
    assert_eq!(chosen(world(json!({}))), "standard");
}

#[test]
fn without_a_policy_or_its_calendar_no_clock_runs() {
    let w = World::new();
    w.plant.put(ReferenceKind::SlaPolicy, "standard", json!({"calendar": "gone", "targets": []}));
    let mut c = Watch::opened(w);
    assert_eq!(c.log.len(), 1);
    for event in [answer(), triaged(1, ServiceMode::OnSite), held(true), resumed(TicketState::InProgress), resolved()] {
        assert!(c.happens(event).is_empty());
    }
}

#[test]
fn a_policy_that_comes_with_the_triage_counts_from_the_report() {
    let mut c = Watch::with(json!({"targets": [{"clock": "resolution", "minutes": 120, "priority": 1}]}));
    assert_eq!(c.log.len(), 1, "no target for a ticket without a priority");
    c.time("2 10:00");
    let e = c.happens(triaged(1, ServiceMode::OnSite));
    assert_eq!((said(&e), c.clock(Resolution).due), (vec!["SlaPolicyApplied".to_owned()], Some(berlin("2 11:00"))));
}

#[test]
fn when_a_share_is_used_up_follows_from_the_clock() {
    let mut c = Watch::new();
    let at = |c: &Watch, pct: u8| crate::sla::used_up_at(&c.w.ticket(c.id).sla, Resolution, pct);
    assert_eq!((at(&c, 75), at(&c, 100)), (Some(berlin("2 15:00")), Some(berlin("2 17:00"))));
    c.time("2 16:00");
    c.happens(held(true));
    assert_eq!(at(&c, 90), None, "it stands still");
    c.time("3 10:00");
    c.happens(resumed(TicketState::InProgress));
    assert_eq!(at(&c, 100), Some(berlin("3 11:00")));
    assert!(at(&c, 75) < Some(c.w.now), "six hours were used up before it went on");
}
