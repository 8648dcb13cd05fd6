//! PM-2 and PM-3: replacements, and causes that lie in production.

mod common;

use common::{Live, ParseText, at, entity, id, shipped, unit};
use mw_contract::{AggregateId, ErrorCode, Event, OriginKind, Tracking};
use mw_processes::outbox::Row;

fn requested(n: u128, qty: &str) -> Event {
    changed!(ReplacementOrderRequested, |e| {
        (e.request_id, e.product_id, e.qty) = (entity(n), "pump-200".parse().unwrap(), qty.parse().unwrap());
        (e.needed_by, e.mode) = (at("2026-03-20T12:00:00Z"), "replacement".parse().unwrap());
        (e.uom, e.priority) = (mw_contract::reference::Uom::new("H87").unwrap(), Some(2));
    })
}

/// A ticket in the hands of a dispatcher that asks for a pump.
fn asks(l: &mut Live, qty: &str) -> AggregateId {
    l.plant("{}");
    let t = l.ticket(5, "TK-2026-000005");
    l.happened(&[(t, common::sample("TicketTriaged"))]);
    l.happened(&[(t, requested(70, qty))]);
    t
}

fn created(row: &Row) -> (AggregateId, Event) {
    let e = changed!(WorkOrderCreated, |e| {
        (e.site_id, e.tracking, e.note) = ("plant-1".parse().unwrap(), Tracking::Serial, None);
        (e.origin.kind, e.due_at) = (OriginKind::Ticket, at("2026-03-20T12:00:00Z"));
        e.number = "WO-2026-000007".parse_text();
    });
    (row.aggregate.parse().unwrap(), e)
}

/// Its order was made, tied to the ticket, and the ticket waits.
fn ordered(l: &mut Live, t: AggregateId) -> AggregateId {
    let row = l.only();
    assert_eq!(row.command, "work-order.create");
    l.accept(&row, &[created(&row)]);
    l.is_the_same_in_every_order();
    let link = l.one("work-order.link");
    assert_eq!((&link.payload["relation"], &link.payload["id"]), (&"replaces".into(), &t.to_string().into()));
    l.accept(&link, &[(row.aggregate.parse().unwrap(), common::sample("LinkAdded"))]);
    let link = l.one("ticket.link-replacement-order");
    assert_eq!(
        (&link.payload["work_order_id"], &link.payload["number"]),
        (&row.aggregate.as_str().into(), &"WO-2026-000007".into())
    );
    let linked = changed!(ReplacementOrderLinked, |e| {
        e.request_id = entity(70);
    });
    l.accept(&link, &[(t, linked)]);
    row.aggregate.parse().unwrap()
}

fn held() -> Event {
    changed!(TicketHeld, |e| {
        (e.reason, e.note) = ("waiting_parts".parse().unwrap(), None);
    })
}

#[test]
fn golden_14_none_in_stock_makes_an_order_the_ticket_waits_and_goes_on_when_the_unit_is_there() {
    let mut l = Live::new("2026-03-02T09:00:00Z");
    let t = asks(&mut l, "1");
    let row = l.only();
    let p = &row.payload;
    assert_eq!(
        (&p["order_type"], &p["due_at"], &p["priority"]),
        (&"replacement".into(), &"2026-03-20T12:00:00.000Z".into(), &2.into())
    );
    assert_eq!(p["origin"], serde_json::json!({"kind": "ticket", "id": t.to_string()}));
    let order = ordered(&mut l, t);
    let hold = l.only();
    assert_eq!(
        (hold.command.as_str(), &hold.payload["reason"], &hold.payload["expected_until"]),
        ("ticket.hold", &"waiting_parts".into(), &"2026-03-20T12:00:00.000Z".into())
    );
    assert_eq!(hold.expected_version, Some(4));
    l.accept(&hold, &[(t, held())]);
    assert!(l.waiting().is_empty());
    l.is_the_same_in_every_order();
    // The unit is made.
    l.happened(&[(
        order,
        changed!(WorkOrderReleased, |e| {
            e.note = None;
        }),
    )]);
    let made = changed!(UnitRegistered, |e| {
        (e.serial, e.product_id) = ("SN-7".parse_text(), "pump-200".parse().unwrap());
        e.result = mw_contract::UnitResult::Good;
    });
    l.happened(&[(order, made)]);
    let ready = l.one("ticket.confirm-replacement");
    assert_eq!(ready.payload["serials"], serde_json::json!(["SN-7"]));
    let told = changed!(ReplacementOrderReady, |e| {
        (e.request_id, e.serials) = (entity(70), vec!["SN-7".parse_text()]);
    });
    l.accept(&ready, &[(t, told)]);
    let resume = l.one("ticket.resume");
    let resumed = changed!(TicketResumed, |e| {
        e.to_state = "triaged".parse().unwrap();
    });
    l.accept(&resume, &[(t, resumed)]);
    l.is_the_same_in_every_order();
    for row in l.waiting().into_iter().filter(|r| r.process == "unit-life") {
        l.accept(&row, &[]);
    }
    assert!(l.commands().iter().all(|c| c == "work-order.request-material"), "{:?}", l.commands());
    // Held again by people for another reason: that is theirs.
    l.happened(&[(t, held())]);
    assert!(!l.commands().iter().any(|c| c.starts_with("ticket.")));
    l.is_the_same_in_every_order();
}

#[test]
fn pm_2_a_unit_in_stock_is_promised_once_and_nothing_is_ordered() {
    let mut l = Live::new("2026-03-02T09:00:00Z");
    unit(&mut l, "SN-1", None);
    for row in l.waiting() {
        l.accept(&row, &[]);
    }
    let t = asks(&mut l, "1");
    let row = l.only();
    assert_eq!(
        (row.command.as_str(), &row.payload["serials"]),
        ("ticket.confirm-replacement", &serde_json::json!(["SN-1"]))
    );
    // Another ticket must not get the same one.
    let other = l.ticket(6, "TK-2026-000006");
    l.happened(&[(other, requested(71, "1"))]);
    assert_eq!(l.commands().len(), 2);
    let order = l.one("work-order.create");
    assert_eq!(order.payload["origin"]["id"], other.to_string());
    let told = changed!(ReplacementOrderReady, |e| {
        (e.request_id, e.serials) = (entity(70), vec!["SN-1".parse_text()]);
    });
    l.accept(&row, &[(t, told)]);
    l.accept(&order, &[created(&order)]);
    // Whichever log is read first, the unit that is free now does not undo the order that was made then.
    l.is_the_same_in_every_order();
    unit(&mut l, "SN-2", None);
    l.is_the_same_in_every_order();
}

#[test]
fn pm_2_an_order_that_is_cancelled_or_late_is_told_to_the_ticket() {
    let mut l = Live::new("2026-03-02T09:00:00Z");
    let t = asks(&mut l, "1");
    let order = ordered(&mut l, t);
    let hold = l.only();
    l.accept(&hold, &[(t, held())]);
    let later = changed!(WorkOrderDueDateChanged, |e| {
        (e.new, e.note) = (at("2026-04-01T12:00:00Z"), None);
    });
    l.happened(&[(order, later)]);
    let comment = l.one("ticket.comment");
    l.accept(&comment, &[(t, common::sample("CommentAdded"))]);
    let escalate = l.one("ticket.escalate");
    assert_eq!(escalate.payload["level"], 1);
    l.accept(
        &escalate,
        &[(
            t,
            changed!(TicketEscalated, |e| {
                e.level = 1;
            }),
        )],
    );
    assert!(l.waiting().is_empty());
    l.is_the_same_in_every_order();
    l.happened(&[(
        order,
        changed!(WorkOrderCancelled, |e| {
            e.note = None;
        }),
    )]);
    let fail = l.only();
    assert_eq!(
        (fail.command.as_str(), &fail.payload["reason"]),
        ("ticket.fail-replacement", &"order_cancelled".into())
    );
    l.accept(
        &fail,
        &[(
            t,
            changed!(ReplacementOrderFailed, |e| {
                e.request_id = entity(70);
            }),
        )],
    );
    assert!(l.waiting().is_empty());
    l.is_the_same_in_every_order();
}

#[test]
fn pm_2_a_cancelled_ticket_cancels_its_order_once_and_what_was_made_goes_to_stock() {
    let mut l = Live::new("2026-03-02T09:00:00Z");
    let t = asks(&mut l, "1");
    let order = ordered(&mut l, t);
    l.happened(&[(
        t,
        changed!(TicketCancelled, |e| {
            e.note = None;
        }),
    )]);
    let cancel = l.only();
    assert_eq!((cancel.command.as_str(), &cancel.aggregate), ("work-order.cancel", &order.to_string()));
    assert_eq!(cancel.expected_version, Some(2));
    l.refuse(&cancel, ErrorCode::GuardFailed);
    l.happened(&[(order, common::sample("NoteAdded"))]);
    assert!(l.waiting().is_empty(), "its pieces stay");
    assert_eq!(l.failed(), 0);
    l.is_the_same_in_every_order();
}

#[test]
fn pm_2_an_order_that_nobody_releases_for_a_working_day_reminds_the_planner() {
    let mut l = Live::new("2026-03-06T09:00:00Z");
    let t = asks(&mut l, "1");
    ordered(&mut l, t);
    let hold = l.only();
    l.accept(&hold, &[(t, held())]);
    l.until("2026-03-09T08:59:59Z");
    assert!(l.waiting().is_empty(), "Friday to Monday is one working day");
    l.until("2026-03-09T09:00:00Z");
    let note = l.only();
    assert_eq!(note.command, "work-order.add-note");
    l.is_the_same_in_every_order();
    l.accept(&note, &[]);
    l.is_the_same_in_every_order();
}

fn diagnosed(lot: &str) -> Event {
    changed!(DiagnosisRecorded, |e| {
        (e.root_cause_in_production, e.cause) = (true, "worn_seal".parse().unwrap());
        (e.lot, e.work_order_id) = (Some(lot.parse_text()), Some(id(1)));
        (e.serial, e.product_id) = (Some("SN-1".parse_text()), Some("pump-200".parse().unwrap()));
    })
}

#[test]
fn pm_3_a_cause_in_production_is_tied_to_the_order_once_and_becomes_a_nonconformance_of_the_replacement() {
    let mut l = Live::new("2026-03-02T09:00:00Z");
    let t = asks(&mut l, "1");
    let order = ordered(&mut l, t);
    let hold = l.only();
    l.accept(&hold, &[(t, held())]);
    l.happened(&[(t, diagnosed("L-7"))]);
    let link = l.only();
    assert_eq!((&link.aggregate, &link.payload["relation"]), (&id(1).to_string(), &"causes".into()));
    l.accept(&link, &[]);
    l.happened(&[(t, diagnosed("L-7"))]);
    assert!(l.waiting().is_empty(), "it has the link, and the replacement has made nothing yet");
    l.happened(&[(
        order,
        changed!(OperationQuantityReported, |e| {
            e.scrap.clear();
        }),
    )]);
    // Two findings; what one order hears goes out one after the other.
    let ncr = l.only();
    assert_eq!(
        (ncr.command.as_str(), &ncr.payload["detected_at_stage"], &ncr.aggregate),
        ("work-order.raise-nonconformance", &"customer".into(), &order.to_string())
    );
    l.is_the_same_in_every_order();
}

#[test]
fn pm_3_three_tickets_of_one_cause_and_lot_in_thirty_days_propose_a_recall_once() {
    let mut l = Live::new("2026-03-02T09:00:00Z");
    l.plant("{}");
    let find = |l: &mut Live, n: u128, time: &str| {
        l.now = at(time);
        let t = l.ticket(n, &format!("TK-2026-{n:06}"));
        l.happened(&[(t, diagnosed("L-7"))]);
        let link = l.one("work-order.link");
        l.accept(&link, &[]);
    };
    find(&mut l, 11, "2026-03-02T09:00:00Z");
    find(&mut l, 12, "2026-03-20T09:00:00Z");
    find(&mut l, 13, "2026-04-02T09:00:00Z");
    assert!(l.waiting().is_empty(), "the first one is older than 30 days");
    find(&mut l, 14, "2026-04-03T09:00:00Z");
    let comment = l.one("ticket.comment");
    l.accept(&comment, &[(id(14), common::sample("CommentAdded"))]);
    let recall = l.only();
    assert_eq!((recall.command.as_str(), &recall.payload["campaign"]), ("unit.recall", &"lot-l-7".into()));
    let note = recall.payload["note"].as_str().unwrap();
    assert!(note.contains("worn_seal") && note.ends_with("TK-2026-000012 TK-2026-000013 TK-2026-000014"), "{note}");
    l.refuse(&recall, ErrorCode::GuardFailed);
    find(&mut l, 15, "2026-04-04T09:00:00Z");
    assert!(l.waiting().is_empty());
    assert_eq!(l.failed(), 0);
    l.is_the_same_in_every_order();
}

#[test]
fn pm_7_a_replaced_unit_changes_hands_with_the_warranty_that_was_promised() {
    let mut l = Live::new("2026-03-02T09:00:00Z");
    l.plant("{}");
    let (old, new) = (unit(&mut l, "SN-1", None), unit(&mut l, "SN-2", None));
    shipped(&mut l, "SN-1", "acme");
    let t = l.ticket(5, "TK-2026-000005");
    let replaced = changed!(UnitReplaced, |e| {
        (e.old_serial, e.new_serial) = ("SN-1".parse_text(), "SN-2".parse_text());
        (e.old_product_id, e.new_product_id) = (Some("pump-200".parse().unwrap()), "pump-200".parse().unwrap());
        (e.customer_id, e.note) = (Some("acme".parse().unwrap()), None);
        (e.old_disposition, e.warranty_end) = ("return".parse().unwrap(), "2026-05-31".parse().unwrap());
    });
    l.happened(&[(t, replaced)]);
    let ship = l.one("unit.ship");
    assert_eq!(ship.aggregate, new.to_string());
    assert_eq!((&ship.payload["customer_id"], &ship.payload["warranty_end"]), (&"acme".into(), &"2026-05-31".into()));
    let back = l.one("unit.change-status");
    assert_eq!((&back.aggregate, &back.payload["status"]), (&old.to_string(), &"returned".into()));
    l.is_the_same_in_every_order();
    let gone = changed!(UnitShipped, |e| {
        e.customer_id = "acme".parse().unwrap();
    });
    l.accept(&ship, &[(new, gone)]);
    l.accept(&back, &[]);
    assert!(l.waiting().is_empty());
    // Sold on later: nobody takes it back.
    l.now = at("2026-04-02T09:00:00Z");
    let sold = changed!(UnitTransferred, |e| {
        e.new_customer = "other".parse().unwrap();
    });
    l.happened(&[(new, sold)]);
    assert!(l.waiting().is_empty());
    l.is_the_same_in_every_order();
}

#[test]
fn pm_7_parts_readings_and_returns_of_a_ticket_reach_the_unit() {
    let mut l = Live::new("2026-03-02T09:00:00Z");
    l.plant("{}");
    let u = unit(&mut l, "SN-1", None);
    let t = l.ticket(5, "TK-2026-000005");
    let used = changed!(PartsConsumed, |e| {
        (e.serial, e.product_id) = (Some("SN-1".parse_text()), Some("pump-200".parse().unwrap()));
        e.lines.truncate(1);
        let line = &mut e.lines[0];
        (line.item_id, line.source) = ("seal".parse().unwrap(), "van".parse().unwrap());
        (line.new_serial, line.removed_serial) = (Some("C-12".parse_text()), Some("C-9".parse_text()));
        (line.lot, line.reservation_id) = (None, None);
    });
    l.happened(&[(t, used)]);
    let row = l.only();
    assert_eq!((row.command.as_str(), &row.aggregate), ("unit.change-component", &u.to_string()));
    assert_eq!(row.payload["added"][0]["serial"], "C-12");
    assert_eq!(row.payload["removed"][0]["serial"], "C-9");
    l.refuse(&row, ErrorCode::NotFound);
    assert_eq!(l.failed(), 1, "a unit that is not as its ticket says is for people");
    let read = changed!(TicketReadingRecorded, |e| {
        (e.serial, e.product_id) = (Some("SN-1".parse_text()), Some("pump-200".parse().unwrap()));
        (e.name, e.value, e.reset) = ("hours".parse().unwrap(), "1250".parse().unwrap(), true);
    });
    l.happened(&[(t, read)]);
    let row = l.only();
    assert_eq!(
        (row.command.as_str(), &row.payload["value"], &row.payload["reset"]),
        ("unit.record-reading", &"1250".into(), &true.into())
    );
    l.accept(&row, &[]);
    let came = changed!(ReturnReceived, |e| {
        (e.serial, e.product_id) = ("SN-1".parse_text(), Some("pump-200".parse().unwrap()));
        e.mismatch = false;
    });
    l.happened(&[(t, came)]);
    assert_eq!(l.only().payload["status"], "in_repair");
    l.is_the_same_in_every_order();
}
