//! PM-4, PM-5, PM-6 and PM-9: clocks, plans, parts, and what nobody ended.

mod common;

use common::{Live, ParseText, at, entity, entity_of, id, opened};
use mw_contract::event::ticket_parts::{CalendarV1, ClockTargetV1, ClockV1, OpenHoursV1, PolicyV1};
use mw_contract::{AggregateId, ErrorCode, Event, Seconds, SlaClock};

/// Monday to Friday 09:00 to 17:00 UTC, eight hours for the resolution.
fn policy() -> PolicyV1 {
    let open = |weekday| OpenHoursV1 { weekday, from_minute: 540, to_minute: 1020 };
    PolicyV1 {
        policy_code: "standard".parse().unwrap(),
        calendar: CalendarV1 {
            calendar_id: "office".parse().unwrap(),
            time_zone: "UTC".parse_text(),
            hours: (0..5).map(open).collect(),
            holidays: Vec::new(),
        },
        targets: vec![ClockTargetV1 { clock: SlaClock::Resolution, target: Seconds(28_800), warn_pct: vec![75, 90] }],
        response_by_assignment: false,
        approval_pauses: true,
        workshop_from_receipt: false,
    }
}

fn started(due: &str) -> Event {
    changed!(SlaStarted, |e| {
        (e.cycle, e.policy) = (1, policy());
        let (clock, target) = (SlaClock::Resolution, Seconds(28_800));
        e.clocks = vec![ClockV1 { clock, target, remaining_s: 28_800, due: Some(at(due)) }];
    })
}

#[test]
fn pm_4_warns_at_its_shares_breaches_when_due_and_escalates_at_once_at_half_and_at_twice() {
    let mut l = Live::new("2026-03-02T09:00:00Z");
    let t = l.ticket(5, "TK-2026-000005");
    l.happened(&[(t, started("2026-03-02T17:00:00Z"))]);
    let step = |l: &mut Live, before: &str, time: &str, command: &str| {
        l.until(before);
        assert!(l.waiting().is_empty(), "{before}: {:?}", l.commands());
        l.until(time);
        let row = l.only();
        assert_eq!(row.command, command, "{time}");
        l.is_the_same_in_every_order();
        row
    };
    for (before, time, pct) in
        [("2026-03-02T14:59:59Z", "2026-03-02T15:00:00Z", 75), ("2026-03-02T16:11:59Z", "2026-03-02T16:12:00Z", 90)]
    {
        let row = step(&mut l, before, time, "ticket.raise-sla-warning");
        assert_eq!((&row.payload["pct"], &row.payload["cycle"]), (&pct.into(), &1.into()));
        assert_eq!(row.occurred_at, Some(at(time).to_string()));
        let warned = changed!(SlaWarningRaised, |e| {
            (e.clock, e.pct) = (SlaClock::Resolution, pct);
        });
        l.accept(&row, &[(t, warned)]);
    }
    let row = step(&mut l, "2026-03-02T16:59:59Z", "2026-03-02T17:00:00Z", "ticket.breach-sla");
    let breached = changed!(SlaBreached, |e| {
        (e.clock, e.due) = (SlaClock::Resolution, at("2026-03-02T17:00:00Z"));
    });
    l.accept(&row, &[(t, breached)]);
    let level = |n: u8| {
        changed!(TicketEscalated, |e| {
            (e.old_level, e.level) = (n - 1, n);
        })
    };
    let row = l.only();
    assert_eq!((row.command.as_str(), &row.payload["level"]), ("ticket.escalate", &1.into()));
    l.accept(&row, &[(t, level(1))]);
    // Half and all of eight working hours later.
    for (before, time, n) in
        [("2026-03-03T12:59:59Z", "2026-03-03T13:00:00Z", 2), ("2026-03-03T16:59:59Z", "2026-03-03T17:00:00Z", 3)]
    {
        let row = step(&mut l, before, time, "ticket.escalate");
        assert_eq!(row.payload["level"], n);
        l.accept(&row, &[(t, level(n))]);
    }
    l.until("2026-04-01T00:00:00Z");
    assert!(l.waiting().is_empty());
    l.is_the_same_in_every_order();
}

#[test]
fn pm_4_a_clock_that_stands_still_or_was_met_fires_nothing_and_goes_on_from_what_was_left() {
    let mut l = Live::new("2026-03-02T09:00:00Z");
    let t = l.ticket(5, "TK-2026-000005");
    l.happened(&[(t, started("2026-03-02T17:00:00Z"))]);
    l.now = at("2026-03-02T14:00:00Z");
    let paused = changed!(SlaPaused, |e| {
        (e.clock, e.remaining_s) = (SlaClock::Resolution, 10_800);
    });
    l.happened(&[(t, paused)]);
    l.until("2026-03-03T10:00:00Z");
    assert!(l.waiting().is_empty());
    // Three hours are left: at two it is three quarters.
    let resumed = changed!(SlaResumed, |e| {
        (e.clock, e.remaining_s, e.due) = (SlaClock::Resolution, 10_800, at("2026-03-03T13:00:00Z"));
    });
    l.happened(&[(t, resumed)]);
    l.until("2026-03-03T10:59:59Z");
    assert!(l.waiting().is_empty());
    l.until("2026-03-03T11:00:00Z");
    let row = l.only();
    assert_eq!(row.payload["pct"], 75);
    // It is done meanwhile: nobody is bothered by the refusal.
    let met = changed!(SlaMet, |e| {
        e.clock = SlaClock::Resolution;
    });
    l.happened(&[(t, met)]);
    l.refuse(&row, ErrorCode::InvalidState);
    l.until("2026-03-05T00:00:00Z");
    assert!(l.waiting().is_empty());
    assert_eq!(l.failed(), 0);
    l.is_the_same_in_every_order();
}

fn breached(clock: SlaClock, due: &str) -> Event {
    changed!(SlaBreached, |e| {
        (e.clock, e.due) = (clock, at(due));
    })
}

#[test]
fn pm_4_a_clock_that_was_stopped_too_late_is_escalated_once_and_counts_no_further() {
    let mut l = Live::new("2026-03-02T09:00:00Z");
    let t = l.ticket(5, "TK-2026-000005");
    l.happened(&[(t, started("2026-03-02T17:00:00Z"))]);
    // The timers did not run meanwhile: the resolution itself says that it was too late.
    l.now = at("2026-03-03T10:00:00Z");
    l.happened(&[(t, common::sample("TicketResolved")), (t, breached(SlaClock::Resolution, "2026-03-02T17:00:00Z"))]);
    l.until("2026-03-03T10:00:00Z");
    let row = l.only();
    assert_eq!((row.command.as_str(), &row.payload["level"]), ("ticket.escalate", &1.into()));
    let level = changed!(TicketEscalated, |e| {
        (e.old_level, e.level) = (0, 1);
    });
    l.accept(&row, &[(t, level)]);
    l.until("2026-04-01T00:00:00Z");
    assert!(l.waiting().is_empty(), "{:?}", l.commands());
    l.is_the_same_in_every_order();
}

#[test]
fn pm_4_a_clock_that_begins_anew_warns_and_breaches_anew() {
    let clock = SlaClock::Update;
    let mut l = Live::new("2026-03-02T09:00:00Z");
    let t = l.ticket(5, "TK-2026-000005");
    let all = changed!(SlaStarted, |e| {
        (e.cycle, e.policy) = (1, policy());
        e.policy.targets = vec![ClockTargetV1 { clock, target: Seconds(7200), warn_pct: vec![50] }];
        e.clocks = vec![ClockV1 { clock, target: Seconds(7200), remaining_s: 7200, due: None }];
    });
    l.happened(&[(t, all)]);
    let again = |remaining_s, due: &str| {
        changed!(SlaResumed, |e| {
            (e.clock, e.remaining_s, e.due) = (clock, remaining_s, at(due));
        })
    };
    l.happened(&[(t, again(7200, "2026-03-02T11:00:00Z"))]);
    for (warned, due, next) in [
        ("2026-03-02T10:00:00Z", "2026-03-02T11:00:00Z", "2026-03-02T14:00:00Z"),
        ("2026-03-02T13:00:00Z", "2026-03-02T14:00:00Z", "2026-03-02T16:00:00Z"),
    ] {
        l.until(warned);
        let row = l.only();
        assert_eq!((row.command.as_str(), &row.payload["pct"]), ("ticket.raise-sla-warning", &50.into()));
        let raised = changed!(SlaWarningRaised, |e| {
            (e.clock, e.pct) = (clock, 50);
        });
        l.accept(&row, &[(t, raised)]);
        l.until(due);
        let row = l.only();
        assert_eq!(row.command, "ticket.breach-sla");
        l.accept(&row, &[(t, breached(clock, due))]);
        let row = l.one("ticket.escalate");
        let level = changed!(TicketEscalated, |e| {
            (e.old_level, e.level) = (0, 1);
        });
        l.accept(&row, &[(t, level)]);
        // The customer hears from us at last, an hour too late: from now on it is two hours again.
        l.now = at(due).plus_millis(3_600_000 - 1);
        l.happened(&[(t, again(7200, next))]);
        let down = changed!(TicketDeescalated, |e| {
            (e.old_level, e.level) = (1, 0);
        });
        l.happened(&[(t, down)]);
    }
    l.is_the_same_in_every_order();
}

#[test]
fn pm_4_a_breach_that_is_taken_back_leaves_a_clock_that_runs_its_timers() {
    let mut l = Live::new("2026-03-02T09:00:00Z");
    let t = l.ticket(5, "TK-2026-000005");
    l.happened(&[(t, started("2026-03-02T17:00:00Z"))]);
    l.now = at("2026-03-02T17:00:00Z");
    l.happened(&[(t, breached(SlaClock::Resolution, "2026-03-02T17:00:00Z"))]);
    let row = l.only();
    l.accept(
        &row,
        &[(
            t,
            changed!(TicketEscalated, |e| {
                (e.old_level, e.level) = (0, 1);
            }),
        )],
    );
    // It has twice the time by another policy.
    let applied = changed!(SlaPolicyApplied, |e| {
        e.policy = policy();
        e.policy.targets[0].target = Seconds(57_600);
        e.clocks = vec![ClockV1 {
            clock: SlaClock::Resolution,
            target: Seconds(57_600),
            remaining_s: 28_800,
            due: Some(at("2026-03-03T17:00:00Z")),
        }];
    });
    let revoked = changed!(SlaBreachRevoked, |e| {
        (e.clock, e.reason) = (SlaClock::Resolution, "policy_changed".parse().unwrap());
    });
    l.happened(&[(t, applied), (t, revoked)]);
    l.until("2026-03-03T12:59:59Z");
    assert!(l.waiting().is_empty(), "{:?}", l.commands());
    l.until("2026-03-03T13:00:00Z");
    assert_eq!(l.only().payload["pct"], 75);
    l.is_the_same_in_every_order();
}

fn plan(trigger: serde_json::Value, last: &str, lead_days: Option<u16>) -> Event {
    changed!(PlanCreated, |e| {
        (e.site_id, e.time_zone) = ("plant-1".parse().unwrap(), "UTC".parse_text());
        e.target.kind = "equipment".parse().unwrap();
        (e.target.equipment_id, e.target.serial, e.target.product_id) = (Some(id(50)), None, None);
        e.trigger.calendar = trigger["calendar"].as_str().map(ParseText::parse_text);
        e.trigger.counter = serde_json::from_value(trigger["counter"].clone()).unwrap();
        e.trigger.mode = "whichever_first".parse().unwrap();
        (e.lead.days, e.lead.counter) = (lead_days, None);
        e.template.title = "Change the oil".parse_text();
        e.last_done = Some(mw_contract::event::ticket_parts::LastDoneV1 {
            at: "2026-01-01".parse().unwrap(),
            counter: Some(last.parse().unwrap()),
        });
    })
}

fn activated(next_due: Option<&str>) -> Event {
    changed!(PlanActivated, |e| {
        e.next_due = next_due.map(|d| d.parse().unwrap());
    })
}

fn counted(value: &str, cumulative: &str, reset: bool) -> (AggregateId, Event) {
    let e = changed!(CounterRecorded, |e| {
        (e.name, e.value) = ("hours".parse().unwrap(), value.parse().unwrap());
        (e.cumulative, e.reset) = (cumulative.parse().unwrap(), reset);
    });
    (id(50), e)
}

fn every_500() -> serde_json::Value {
    serde_json::json!({"counter": {"name": "hours", "every": "500", "unit": "h", "tolerance_pct": "10"}})
}

#[test]
fn golden_17_every_500_hours_with_ten_percent_from_1200_opens_at_1650_over_a_new_counter() {
    let mut l = Live::new("2026-03-02T09:00:00Z");
    l.plant("{}");
    l.happened(&[(id(80), plan(every_500(), "1200", None))]);
    l.happened(&[(id(80), activated(None))]);
    l.happened(&[counted("1400", "1400", false)]);
    // The counter was replaced and began again: it counts on.
    l.happened(&[counted("249.999999", "1649.999999", true)]);
    assert!(l.waiting().is_empty());
    l.happened(&[counted("250", "1650", false)]);
    let row = l.only();
    assert_eq!(
        (row.command.as_str(), &row.payload["kind"], &row.payload["channel"], &row.payload["plan_id"]),
        ("ticket.open", &"preventive".into(), &"plan".into(), &id(80).to_string().into())
    );
    l.is_the_same_in_every_order();
    let (ticket, event) = opened(&row, "TK-2026-000001");
    l.accept(&row, &[(ticket, event)]);
    let due = l.only();
    assert_eq!(
        (due.command.as_str(), &due.payload["cause"], &due.payload["due_counter"], &due.payload["counter_value"]),
        ("maintenance-plan.mark-due", &"counter".into(), &"1700".into(), &"1650".into())
    );
    l.accept(&due, &[(id(80), common::sample("PlanDue"))]);
    l.happened(&[counted("300", "1700", false)]);
    assert!(l.waiting().is_empty(), "one open ticket a plan");
    // Done at 1700: the next one is due at 2150.
    let resolved = changed!(TicketResolved, |e| {
        e.resolution_code = "adjusted".parse().unwrap();
    });
    l.happened(&[(ticket, resolved)]);
    let done = l.only();
    assert_eq!((done.command.as_str(), &done.payload["counter"]), ("maintenance-plan.mark-done", &"1700".into()));
    let told = changed!(PlanDone, |e| {
        (e.counter, e.next_counter, e.next_due) = (Some("1700".parse().unwrap()), Some("2200".parse().unwrap()), None);
    });
    l.accept(&done, &[(id(80), told)]);
    l.happened(&[counted("749", "2149", false)]);
    assert!(l.waiting().is_empty());
    l.is_the_same_in_every_order();
    l.happened(&[counted("750", "2150", false)]);
    assert_eq!(l.only().command, "ticket.open");
    l.is_the_same_in_every_order();
}

#[test]
fn pm_5_a_day_within_the_lead_opens_and_a_cancelled_ticket_is_due_again_the_next_day() {
    let mut l = Live::new("2026-03-02T09:00:00Z");
    l.plant("{}");
    let yearly = serde_json::json!({"calendar": "FREQ=YEARLY"});
    l.happened(&[(id(80), plan(yearly, "0", Some(7)))]);
    l.happened(&[(id(80), activated(Some("2026-03-15")))]);
    l.until("2026-03-07T23:59:59Z");
    assert!(l.waiting().is_empty());
    l.until("2026-03-08T00:00:00Z");
    let row = l.only();
    assert_eq!(row.payload["title"], "Change the oil");
    l.is_the_same_in_every_order();
    let (ticket, event) = opened(&row, "TK-2026-000001");
    l.accept(&row, &[(ticket, event)]);
    let due = l.only();
    assert_eq!((&due.payload["cause"], &due.payload["due_on"]), (&"calendar".into(), &"2026-03-15".into()));
    l.accept(&due, &[]);
    l.happened(&[(
        ticket,
        changed!(TicketCancelled, |e| {
            e.note = None;
        }),
    )]);
    assert!(l.waiting().is_empty());
    l.until("2026-03-09T00:00:00Z");
    let again = l.only();
    assert_ne!(again.aggregate, row.aggregate);
    l.is_the_same_in_every_order();
    l.happened(&[(
        id(80),
        changed!(PlanSuspended, |e| {
            e.note = None;
        }),
    )]);
    assert!(l.waiting().is_empty());
    l.is_the_same_in_every_order();
}

#[test]
fn pm_5_use_that_will_reach_the_limit_within_the_lead_opens_ahead() {
    let mut l = Live::new("2026-03-01T12:00:00Z");
    l.plant("{}");
    let counter = serde_json::json!({"counter": {"name": "hours", "every": "500", "unit": "h", "tolerance_pct": "0"}});
    l.happened(&[(id(80), plan(counter, "0", Some(10)))]);
    l.happened(&[(id(80), activated(None))]);
    l.happened(&[counted("200", "200", false)]);
    l.now = at("2026-03-11T12:00:00Z");
    // At ten a day it takes three weeks more.
    l.happened(&[counted("299", "299", false)]);
    assert!(l.waiting().is_empty());
    l.now = at("2026-03-12T12:00:00Z");
    // In eleven days 157, and then 158: with that use the rest takes a bit more, and a bit less than ten.
    l.happened(&[counted("357", "357", false)]);
    assert!(l.waiting().is_empty());
    l.happened(&[counted("358", "358", false)]);
    let row = l.only();
    let (ticket, event) = opened(&row, "TK-2026-000001");
    l.accept(&row, &[(ticket, event)]);
    let due = l.only();
    assert_eq!((&due.payload["cause"], &due.payload["due_on"]), (&"forecast".into(), &"2026-03-22".into()));
    l.is_the_same_in_every_order();
}

fn stock(location: &str, n: &str) -> (AggregateId, Event) {
    let (item, location) = ("seal".parse().unwrap(), location.parse().unwrap());
    let id = mw_contract::ids::stock_id(&item, &location, None);
    let e = changed!(StockReceived, |e| {
        (e.item_id, e.location, e.lot, e.on_hand) = (item, location, None, n.parse().unwrap());
        e.site_id = "plant-1".parse().unwrap();
    });
    (id, e)
}

fn parts_requested(qty: &str) -> Event {
    changed!(PartsRequested, |e| {
        e.request_id = entity(60);
        e.lines.truncate(1);
        (e.lines[0].item_id, e.lines[0].qty) = ("seal".parse().unwrap(), qty.parse().unwrap());
    })
}

fn reserved(row: &mw_processes::outbox::Row) -> (AggregateId, Event) {
    let e = changed!(StockReserved, |e| {
        (e.item_id, e.location) = ("seal".parse().unwrap(), row.payload["location"].as_str().unwrap().parse().unwrap());
        (e.reservation_id, e.lot) = (entity_of(&row.payload["reservation_id"]), None);
        (e.qty, e.work_order_id) = (row.payload["qty"].as_str().unwrap().parse().unwrap(), None);
    });
    (row.aggregate.parse().unwrap(), e)
}

/// A ticket for which stock keeps three seals of one place, told so.
fn supplied() -> (Live, AggregateId, mw_processes::outbox::Row) {
    let mut l = Live::new("2026-03-02T09:00:00Z");
    l.plant("{}");
    l.happened(&[stock("a-1", "5")]);
    let t = l.ticket(5, "TK-2026-000005");
    l.happened(&[(t, parts_requested("3"))]);
    let take = l.only();
    assert_eq!((take.command.as_str(), &take.payload["qty"]), ("stock.reserve", &"3".into()));
    l.is_the_same_in_every_order();
    l.accept(&take, &[reserved(&take)]);
    let confirm = l.only();
    assert_eq!(confirm.command, "ticket.confirm-parts");
    assert_eq!(confirm.payload["reserved"][0]["reservation_id"], take.payload["reservation_id"]);
    l.is_the_same_in_every_order();
    let told = changed!(PartsReserved, |e| {
        e.request_id = entity(60);
        e.lines.truncate(1);
        let line = &mut e.lines[0];
        line.reservation_id = entity_of(&take.payload["reservation_id"]);
        (line.item_id, line.qty) = ("seal".parse().unwrap(), "3".parse().unwrap());
        (line.location, line.lot) = ("a-1".parse().unwrap(), None);
    });
    l.accept(&confirm, &[(t, told)]);
    assert!(l.waiting().is_empty());
    l.is_the_same_in_every_order();
    (l, t, take)
}

#[test]
fn pm_6_parts_of_a_ticket_are_kept_issued_and_let_go() {
    let (mut l, t, take) = supplied();
    let used = changed!(PartsConsumed, |e| {
        (e.serial, e.product_id) = (None, None);
        e.lines.truncate(1);
        let line = &mut e.lines[0];
        (line.item_id, line.qty, line.lot) = ("seal".parse().unwrap(), "2".parse().unwrap(), None);
        (line.new_serial, line.removed_serial) = (None, None);
        (line.source, line.location) = ("reservation".parse().unwrap(), Some("a-1".parse().unwrap()));
        line.reservation_id = Some(entity_of(&take.payload["reservation_id"]));
    });
    l.happened(&[(t, used)]);
    let issue = l.only();
    assert_eq!(
        (issue.command.as_str(), &issue.payload["qty"], &issue.payload["reservation_id"], &issue.aggregate),
        ("stock.issue", &"2".into(), &take.payload["reservation_id"], &take.aggregate)
    );
    l.accept(&issue, &[]);
    l.until("2026-03-20T09:00:00Z");
    assert!(l.waiting().is_empty(), "they were fetched");
    l.happened(&[(
        t,
        changed!(TicketClosed, |e| {
            e.note = None;
        }),
    )]);
    let release = l.only();
    assert_eq!(release.command, "stock.release-reservation");
    l.accept(&release, &[]);
    l.is_the_same_in_every_order();
}

#[test]
fn pm_6_parts_that_come_back_are_free_or_in_stock_again_and_those_left_lying_are_mentioned() {
    let (mut l, t, take) = supplied();
    l.until("2026-03-12T08:59:59Z");
    assert!(l.waiting().is_empty());
    l.until("2026-03-12T09:00:00Z");
    let remind = l.only();
    assert_eq!(remind.command, "ticket.comment");
    l.accept(&remind, &[(t, common::sample("CommentAdded"))]);
    let back = |reservation: Option<mw_contract::EntityId>, qty: &str| {
        changed!(PartsReturned, |e| {
            e.lines.truncate(1);
            let line = &mut e.lines[0];
            (line.item_id, line.qty, line.lot, line.serial) =
                ("seal".parse().unwrap(), qty.parse().unwrap(), None, None);
            (line.reservation_id, e.to_location) = (reservation, "a-2".parse().unwrap());
        })
    };
    l.happened(&[(t, back(None, "1"))]);
    let row = l.only();
    assert_eq!((row.command.as_str(), &row.payload["location"]), ("stock.return", &"a-2".into()));
    l.accept(&row, &[]);
    l.happened(&[(t, back(Some(entity_of(&take.payload["reservation_id"])), "3"))]);
    let row = l.only();
    assert_eq!(row.command, "stock.release-reservation");
    l.accept(&row, &[]);
    l.happened(&[(
        t,
        changed!(TicketCancelled, |e| {
            e.note = None;
        }),
    )]);
    assert!(l.waiting().is_empty(), "it was let go already");
    l.is_the_same_in_every_order();
}

#[test]
fn pm_6_parts_that_nobody_fetched_in_two_weeks_are_free_again() {
    let (mut l, t, take) = supplied();
    l.until("2026-03-12T09:00:00Z");
    let remind = l.only();
    l.accept(&remind, &[(t, common::sample("CommentAdded"))]);
    l.until("2026-03-16T08:59:59Z");
    assert!(l.waiting().is_empty());
    l.until("2026-03-16T09:00:00Z");
    let expire = l.only();
    assert_eq!(
        (expire.command.as_str(), &expire.payload["reservation_ids"][0]),
        ("ticket.release-parts", &take.payload["reservation_id"])
    );
    l.is_the_same_in_every_order();
    let released = changed!(PartsReleased, |e| {
        e.lines.truncate(1);
        let line = &mut e.lines[0];
        line.reservation_id = entity_of(&take.payload["reservation_id"]);
        (line.item_id, line.qty) = ("seal".parse().unwrap(), "3".parse().unwrap());
        (line.location, line.lot) = ("a-1".parse().unwrap(), None);
    });
    l.accept(&expire, &[(t, released)]);
    let free = l.only();
    assert_eq!((free.command.as_str(), &free.aggregate), ("stock.release-reservation", &take.aggregate));
    assert_eq!(free.payload["reservation_id"], take.payload["reservation_id"]);
    l.accept(&free, &[]);
    l.until("2026-04-16T09:00:00Z");
    assert!(l.waiting().is_empty());
    l.is_the_same_in_every_order();
}

#[test]
fn pm_6_what_is_missing_is_told_and_a_ticket_that_ended_meanwhile_gets_nothing() {
    let mut l = Live::new("2026-03-02T09:00:00Z");
    l.plant("{}");
    l.happened(&[stock("a-1", "2")]);
    l.happened(&[stock("a-2", "4")]);
    let t = l.ticket(5, "TK-2026-000005");
    l.happened(&[(t, parts_requested("7"))]);
    let rows = l.waiting();
    let takes: Vec<_> = rows.iter().map(|r| (&r.payload["location"], &r.payload["qty"])).collect();
    assert_eq!(takes, [(&"a-2".into(), &"4".into()), (&"a-1".into(), &"2".into())]);
    l.accept(&rows[0], &[reserved(&rows[0])]);
    l.refuse(&rows[1], ErrorCode::InsufficientStock);
    let confirm = l.only();
    assert_eq!(confirm.payload["missing"], serde_json::json!([{"item_id": "seal", "missing_qty": "3"}]));
    l.is_the_same_in_every_order();
    l.happened(&[(
        t,
        changed!(TicketCancelled, |e| {
            e.note = None;
        }),
    )]);
    l.refuse(&confirm, ErrorCode::InvalidState);
    let release = l.only();
    assert_eq!(
        (release.command.as_str(), &release.payload["reservation_id"]),
        ("stock.release-reservation", &rows[0].payload["reservation_id"])
    );
    assert_eq!(l.failed(), 0);
    l.is_the_same_in_every_order();
}

fn resolved(verify: bool) -> Event {
    changed!(TicketResolved, |e| {
        e.verification_required = verify;
    })
}

#[test]
fn pm_9_a_resolved_ticket_is_closed_after_five_working_days_of_its_calendar() {
    let mut l = Live::new("2026-03-04T10:00:00Z");
    l.plant("{}");
    let t = l.ticket(5, "TK-2026-000005");
    l.happened(&[(t, started("2026-03-05T10:00:00Z"))]);
    l.happened(&[(t, resolved(false))]);
    l.until("2026-03-11T09:59:59Z");
    assert!(l.waiting().is_empty());
    l.until("2026-03-11T10:00:00Z");
    let row = l.only();
    assert_eq!(
        (row.command.as_str(), &row.payload["reason"], row.expected_version),
        ("ticket.close", &"auto".into(), Some(3))
    );
    l.is_the_same_in_every_order();
    // A comment came in between.
    l.happened(&[(t, common::sample("CommentAdded"))]);
    l.refuse(&row, ErrorCode::VersionConflict);
    l.until("2026-03-11T10:00:01Z");
    let row = l.only();
    assert_eq!(row.expected_version, Some(4));
    l.accept(&row, &[(t, common::sample("TicketClosed"))]);
    l.until("2026-04-11T10:00:01Z");
    assert!(l.waiting().is_empty());
    l.is_the_same_in_every_order();
}

#[test]
fn pm_9_a_repair_that_waits_for_its_test_and_a_ticket_that_was_reopened_are_not_closed() {
    let mut l = Live::new("2026-03-04T10:00:00Z");
    l.plant("{}");
    let (a, b) = (l.ticket(5, "TK-2026-000005"), l.ticket(6, "TK-2026-000006"));
    l.happened(&[(a, resolved(true))]);
    l.happened(&[(b, resolved(false))]);
    l.happened(&[(b, common::sample("TicketReopened"))]);
    l.until("2026-04-01T10:00:00Z");
    assert!(l.waiting().is_empty());
    let passed = changed!(RepairVerified, |e| {
        e.verdict = "pass".parse().unwrap();
    });
    l.happened(&[(a, passed)]);
    l.until("2026-04-01T10:00:00Z");
    assert_eq!(l.only().aggregate, a.to_string());
    l.is_the_same_in_every_order();
}

#[test]
fn pm_9_a_quote_expires_when_its_last_day_is_over_at_the_site() {
    let mut l = Live::new("2026-03-04T10:00:00Z");
    l.plant("{}");
    let t = l.ticket(5, "TK-2026-000005");
    let quote = |n: u128| {
        changed!(QuoteSubmitted, |e| {
            (e.quote_id, e.revision, e.valid_until) = (entity(n), 1, "2026-03-10".parse().unwrap());
        })
    };
    l.happened(&[(t, quote(1))]);
    l.happened(&[(t, quote(2))]);
    l.until("2026-03-10T22:59:59Z");
    assert!(l.waiting().is_empty());
    l.until("2026-03-10T23:00:00Z");
    let row = l.only();
    assert_eq!(
        (row.command.as_str(), &row.payload["quote_id"]),
        ("ticket.expire-quote", &entity(2).to_string().into())
    );
    l.is_the_same_in_every_order();
    l.accept(&row, &[(t, common::sample("QuoteExpired"))]);
    let mut m = Live::new("2026-03-04T10:00:00Z");
    let t = m.ticket(5, "TK-2026-000005");
    m.happened(&[(t, quote(1))]);
    m.happened(&[(t, common::sample("QuoteApproved"))]);
    m.until("2026-04-10T23:00:00Z");
    assert!(m.waiting().is_empty());
}

fn work(session: u128, technician: &str) -> Event {
    changed!(WorkStarted, |e| {
        (e.session_id, e.technician) = (entity(session), technician.parse().unwrap());
    })
}

#[test]
fn pm_9_a_session_of_sixteen_hours_ends_then_and_two_at_once_are_mentioned() {
    let mut l = Live::new("2026-03-04T08:00:00Z");
    l.plant("{}");
    let (a, b) = (l.ticket(5, "TK-2026-000005"), l.ticket(6, "TK-2026-000006"));
    l.happened(&[(a, work(1, "tina"))]);
    l.happened(&[(b, work(2, "tom"))]);
    assert!(l.waiting().is_empty());
    l.happened(&[(b, work(3, "tina"))]);
    let warn = l.only();
    assert_eq!((warn.command.as_str(), &warn.aggregate), ("ticket.comment", &b.to_string()));
    assert!(warn.payload["text"].as_str().unwrap().contains("TK-2026-000005"));
    l.accept(&warn, &[(b, common::sample("CommentAdded"))]);
    for n in [2, 3] {
        let paused = changed!(WorkPaused, |e| {
            (e.session_id, e.note) = (entity(n), None);
        });
        l.happened(&[(b, paused)]);
    }
    l.until("2026-03-04T23:59:59Z");
    assert!(l.waiting().is_empty());
    l.until("2026-03-05T00:00:00Z");
    let end = l.only();
    assert_eq!(
        (end.command.as_str(), &end.payload["reason"], end.occurred_at.as_deref()),
        ("ticket.pause-work", &"shift_end".into(), Some("2026-03-05T00:00:00.000Z"))
    );
    l.is_the_same_in_every_order();
    l.refuse(&end, ErrorCode::InvalidState);
    assert_eq!(l.failed(), 0);
    l.is_the_same_in_every_order();
}
