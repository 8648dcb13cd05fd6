//! PM-1: alarms become tickets.

mod common;

use common::{Live, again, at, entity, id, opened};
use mw_contract::{AggregateId, Event};
use mw_processes::outbox::Row;

fn raised(n: u128, code: &str, severity: u16, time: &str) -> (AggregateId, Event) {
    let e = changed!(AlarmRaised, |e| {
        (e.alarm_id, e.cell_id, e.code) = (entity(n), "cell-1".parse().unwrap(), code.parse().unwrap());
        (e.severity, e.raised_at) = (severity, at(time));
    });
    (id(50), e)
}

fn repeated(n: u128, code: &str, severity: u16, count: u32, time: &str) -> (AggregateId, Event) {
    let e = changed!(AlarmRepeated, |e| {
        (e.alarm_id, e.cell_id, e.code) = (entity(n), "cell-1".parse().unwrap(), code.parse().unwrap());
        (e.severity, e.count, e.raised_at) = (severity, count, at(time));
    });
    (id(50), e)
}

fn cleared(n: u128, code: &str, time: &str) -> (AggregateId, Event) {
    let e = changed!(AlarmCleared, |e| {
        (e.alarm_id, e.cell_id, e.code) = (entity(n), "cell-1".parse().unwrap(), code.parse().unwrap());
        e.cleared_at = at(time);
    });
    (id(50), e)
}

/// Lets after-service decide everything that waits, as TK-01 says: the first opens, the others count.
fn serve(l: &mut Live) -> (Option<AggregateId>, u32) {
    let (mut ticket, mut count) = (None, 0);
    loop {
        let rows = l.waiting();
        let Some(row) = rows.first() else { return (ticket, count) };
        match row.command.as_str() {
            "ticket.open" => {
                count += 1;
                match ticket {
                    None => {
                        let (id, e) = opened(row, "TK-2026-000001");
                        ticket = Some(id);
                        l.accept(row, &[(id, e)]);
                    }
                    Some(id) => {
                        let e = again(row, count);
                        l.existing(row, &[(id, e)]);
                    }
                }
            }
            "ticket.link" => {
                let linked = changed!(TicketLinkAdded, |e| {
                    e.kind = "alarm".parse().unwrap();
                });
                l.accept(row, &[(row.aggregate.parse().unwrap(), linked)]);
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn golden_13_the_same_alarm_twelve_times_in_ten_minutes_is_one_ticket_that_counts_twelve() {
    let mut l = Live::new("2026-03-02T08:00:00Z");
    l.plant("{}");
    l.happened(&[raised(1, "overheat", 800, "2026-03-02T08:00:00Z")]);
    for n in 1..12u32 {
        let time = format!("2026-03-02T08:00:{:02}Z", n * 5);
        l.happened(&[repeated(1, "overheat", 800, n + 1, &time)]);
    }
    l.until("2026-03-02T08:01:00Z");
    let (ticket, count) = serve(&mut l);
    assert_eq!((ticket.is_some(), count, l.failed()), (true, 12, 0));
    l.is_the_same_in_every_order();
}

#[test]
fn golden_13_an_alarm_that_flaps_twelve_times_is_one_ticket_that_counts_twelve() {
    let mut l = Live::new("2026-03-02T08:00:00Z");
    l.plant("{}");
    for n in 0..12u128 {
        let minute = n / 2;
        let second = if n % 2 == 0 { 0 } else { 30 };
        l.happened(&[raised(n + 1, "overheat", 800, &format!("2026-03-02T08:{minute:02}:{second:02}Z"))]);
        l.happened(&[cleared(n + 1, "overheat", &format!("2026-03-02T08:{minute:02}:{:02}Z", second + 9))]);
        if n < 5 {
            l.until(&format!("2026-03-02T08:{minute:02}:{:02}Z", second + 20));
            assert!(l.waiting().is_empty(), "{n}: it cleared in time and is no habit yet");
        }
    }
    l.now = at("2026-03-02T08:05:45Z");
    let (_, count) = serve_all(&mut l);
    assert_eq!(count, 12);
    l.until("2026-03-02T09:00:00Z");
    assert!(l.waiting().is_empty());
    l.is_the_same_in_every_order();
}

/// As [`serve`], with the comments about alarms that are over.
fn serve_all(l: &mut Live) -> (Option<AggregateId>, u32) {
    let (mut ticket, mut count) = (None, 0);
    while let Some(row) = l.waiting().into_iter().find(|r| r.command == "ticket.open") {
        count += 1;
        let (id, e) = match ticket {
            None => opened(&row, "TK-2026-000001"),
            Some(id) => (id, again(&row, count)),
        };
        ticket = Some(id);
        if count == 1 { l.accept(&row, &[(id, e)]) } else { l.existing(&row, &[(id, e)]) }
    }
    while let Some(row) = l.waiting().first().cloned() {
        assert!(["ticket.link", "ticket.comment"].contains(&row.command.as_str()), "{}", row.command);
        l.accept(&row, &[]);
    }
    (ticket, count)
}

#[test]
fn golden_13_an_alarm_that_clears_before_its_time_opens_nothing() {
    let mut l = Live::new("2026-03-02T08:00:00Z");
    l.plant("{}");
    l.happened(&[raised(1, "overheat", 800, "2026-03-02T08:00:00Z")]);
    l.happened(&[cleared(1, "overheat", "2026-03-02T08:00:59Z")]);
    l.until("2026-03-02T09:00:00Z");
    assert!(l.waiting().is_empty());
    l.is_the_same_in_every_order();
    // One that lasts a second longer does.
    l.happened(&[raised(2, "overheat", 800, "2026-03-02T09:00:00Z")]);
    assert_eq!(l.until("2026-03-02T09:00:59Z"), 0);
    assert_eq!(l.until("2026-03-02T09:01:00Z"), 1);
    let row = l.only();
    assert_eq!(
        (row.command.as_str(), &row.payload["dedupe_key"], &row.payload["severity"], &row.payload["kind"]),
        ("ticket.open", &"cell-1:overheat".into(), &2.into(), &"internal_maintenance".into())
    );
    l.is_the_same_in_every_order();
}

fn severity(rows: &[Row]) -> Vec<u64> {
    let mut all: Vec<u64> = rows.iter().map(|r| r.payload["severity"].as_u64().unwrap()).collect();
    all.sort();
    all
}

#[test]
fn pm_1_severity_maintenance_and_rules_decide_who_waits_and_who_is_not_heard() {
    let mut l = Live::new("2026-03-02T08:00:00Z");
    l.plant(r#"{"alarm_ticket_severity": 500}"#);
    l.document(
        "catalogue",
        "alarm_rules",
        r#"{"entries":[{"code":"leak","symptom":"leaking","severity":1,"ticket":true},{"code":"chatter","ticket":false}]}"#,
    );
    l.happened(&[raised(1, "mild", 499, "2026-03-02T08:00:00Z")]);
    l.happened(&[raised(2, "chatter", 1000, "2026-03-02T08:00:00Z")]);
    assert!(l.waiting().is_empty());
    l.happened(&[raised(3, "fire", 900, "2026-03-02T08:00:00Z")]);
    assert_eq!(severity(&l.waiting()), [1], "at once");
    l.happened(&[raised(4, "leak", 1, "2026-03-02T08:00:00Z")]);
    l.happened(&[raised(5, "hum", 500, "2026-03-02T08:00:00Z")]);
    l.until("2026-03-02T08:01:00Z");
    assert_eq!(severity(&l.waiting()), [1, 1, 3]);
    let mode = changed!(MaintenanceModeChanged, |e| {
        e.on = true;
    });
    l.happened(&[(id(50), mode)]);
    l.happened(&[raised(6, "sparks", 1000, "2026-03-02T08:02:00Z")]);
    assert_eq!(l.waiting().len(), 3, "nobody is called to a machine that is being maintained");
    l.is_the_same_in_every_order();
}

#[test]
fn pm_1_more_than_twenty_alarms_of_a_line_in_a_minute_are_one_ticket() {
    let mut l = Live::new("2026-03-02T08:00:00Z");
    l.plant("{}");
    for n in 0..25u128 {
        l.happened(&[raised(n + 1, &format!("code-{n}"), 800, &format!("2026-03-02T08:00:{n:02}Z"))]);
    }
    l.until("2026-03-02T08:02:00Z");
    let rows = l.waiting();
    assert_eq!(rows.len(), 25);
    assert!(rows.iter().all(|r| r.payload["dedupe_key"] == "storm:line-1"), "{rows:?}");
    let (_, count) = serve(&mut l);
    assert_eq!(count, 25);
    l.is_the_same_in_every_order();
}

/// A ticket of an alarm that has been opened and linked.
fn alarm_ticket(settings: &str) -> (Live, AggregateId) {
    let mut l = Live::new("2026-03-02T08:00:00Z");
    l.plant(settings);
    l.happened(&[raised(1, "overheat", 950, "2026-03-02T08:00:00Z")]);
    let (ticket, _) = serve(&mut l);
    (l, ticket.unwrap())
}

#[test]
fn pm_1_an_alarm_that_clears_before_triage_leaves_a_comment_or_cancels_by_the_site() {
    let (mut l, ticket) = alarm_ticket("{}");
    l.now = at("2026-03-02T08:30:00Z");
    l.happened(&[cleared(1, "overheat", "2026-03-02T08:30:00Z")]);
    let row = l.only();
    assert_eq!((row.command.as_str(), &row.payload["visibility"]), ("ticket.comment", &"internal".into()));
    l.is_the_same_in_every_order();
    l.accept(
        &row,
        &[(
            ticket,
            changed!(CommentAdded, |e| {
                e.by_staff = true;
            }),
        )],
    );
    l.is_the_same_in_every_order();

    let (mut l, ticket) = alarm_ticket(r#"{"alarm_clear_cancels": true}"#);
    l.happened(&[cleared(1, "overheat", "2026-03-02T08:30:00Z")]);
    let row = l.only();
    assert_eq!((row.command.as_str(), row.expected_version), ("ticket.cancel", Some(2)));
    // Somebody wrote something in between: it is tried on the new version.
    l.happened(&[(
        ticket,
        changed!(CommentAdded, |e| {
            e.by_staff = true;
        }),
    )]);
    l.refuse(&row, mw_contract::ErrorCode::VersionConflict);
    let row = l.only();
    assert_eq!(row.expected_version, Some(3));
    l.accept(
        &row,
        &[(
            ticket,
            changed!(TicketCancelled, |e| {
                e.note = None;
            }),
        )],
    );
    assert!(l.waiting().is_empty());
    l.is_the_same_in_every_order();
}

#[test]
fn pm_1_an_alarm_that_clears_after_triage_changes_nothing_whichever_log_is_read_first() {
    let (mut l, ticket) = alarm_ticket("{}");
    l.now = at("2026-03-02T08:10:00Z");
    l.happened(&[(ticket, common::sample("TicketTriaged"))]);
    l.now = at("2026-03-02T08:30:00Z");
    l.happened(&[cleared(1, "overheat", "2026-03-02T08:30:00Z")]);
    assert!(l.waiting().is_empty());
    l.is_the_same_in_every_order();
}

#[test]
fn pm_1_the_same_alarm_within_seven_days_reopens_the_ticket_and_later_opens_another() {
    for (time, expected) in [("2026-03-09T08:00:00Z", "ticket.reopen"), ("2026-03-09T08:00:01Z", "ticket.open")] {
        let (mut l, ticket) = alarm_ticket("{}");
        l.now = at("2026-03-02T08:00:00Z");
        l.happened(&[(ticket, common::sample("TicketClosed"))]);
        l.now = at(time);
        l.happened(&[raised(2, "overheat", 950, time)]);
        let row = l.only();
        assert_eq!(row.command, expected, "{time}");
        l.is_the_same_in_every_order();
        if expected == "ticket.reopen" {
            assert_eq!((row.expected_version, row.payload["same_fault"].as_bool()), (Some(3), Some(true)));
            l.accept(&row, &[(ticket, common::sample("TicketReopened"))]);
            assert!(l.waiting().is_empty());
            l.is_the_same_in_every_order();
            l.happened(&[repeated(2, "overheat", 950, 2, time)]);
            assert_eq!(l.only().command, "ticket.open", "what comes after counts up");
        }
    }
}

#[test]
fn pm_1_a_reopening_that_is_refused_becomes_a_ticket_of_its_own() {
    let (mut l, ticket) = alarm_ticket("{}");
    l.happened(&[(ticket, common::sample("TicketClosed"))]);
    l.happened(&[raised(2, "overheat", 950, "2026-03-02T08:00:01Z")]);
    let row = l.only();
    l.refuse(&row, mw_contract::ErrorCode::GuardFailed);
    let row = l.only();
    assert_eq!((row.command.as_str(), l.failed()), ("ticket.open", 0));
    l.is_the_same_in_every_order();
}

#[test]
fn pm_1_a_stop_whose_reason_asks_for_it_opens_a_ticket_of_the_machine() {
    let mut l = Live::new("2026-03-02T08:00:00Z");
    l.plant("{}");
    l.document(
        "catalogue",
        "stop_reasons",
        r#"{"entries":[{"code":"breakdown","opens_ticket":true},{"code":"lunch","opens_ticket":false}]}"#,
    );
    let started = changed!(OperationStarted, |e| {
        (e.session_id, e.cell_id) = (entity(7), "cell-1".parse().unwrap());
    });
    l.happened(&[(id(1), started)]);
    let paused = |why: &str| {
        let e = changed!(OperationPaused, |e| {
            (e.session_id, e.reason, e.note) = (entity(7), Some(why.parse().unwrap()), None);
        });
        (id(1), e)
    };
    l.happened(&[paused("lunch")]);
    assert!(l.waiting().is_empty());
    l.happened(&[paused("breakdown")]);
    let row = l.only();
    assert_eq!(
        (&row.payload["channel"], &row.payload["equipment_id"], &row.payload["severity"]),
        (&"operator".into(), &id(50).to_string().into(), &2.into())
    );
    assert_eq!(row.payload["down_since"], "2026-03-02T08:00:00.000Z");
    l.is_the_same_in_every_order();
}

#[test]
fn pm_1_a_unit_in_use_opens_a_ticket_of_its_customer() {
    let mut l = Live::new("2026-03-02T08:00:00Z");
    l.plant("{}");
    let unit = common::unit(&mut l, "SN-1", None);
    common::shipped(&mut l, "SN-1", "acme");
    let raised = changed!(UnitAlarmRaised, |e| {
        (e.alarm_id, e.severity, e.raised_at) = (entity(9), 950, at("2026-03-02T08:00:00Z"));
    });
    l.happened(&[(unit, raised)]);
    let row = l.only();
    assert_eq!(
        (&row.payload["kind"], &row.payload["customer_id"], &row.payload["serial"], &row.payload["product_id"]),
        (&"customer_repair".into(), &"acme".into(), &"SN-1".into(), &"pump-200".into())
    );
    assert_eq!(row.payload["dedupe_key"], "SN-1:overheat");
    l.is_the_same_in_every_order();
}
