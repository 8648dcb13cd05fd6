//! TK-32 by the system: a ticket goes on when what it waits for is there.

mod common;

use common::{Live, entity, sample};
use mw_contract::{AggregateId, ErrorCode, Event};

fn held(l: &mut Live, t: AggregateId, why: &str) {
    let held = changed!(TicketHeld, |e| {
        (e.reason, e.note) = (why.parse().unwrap(), None);
    });
    l.happened(&[(t, held)]);
}

fn waits(why: &str) -> (Live, AggregateId) {
    let mut l = Live::new("2026-03-02T09:00:00Z");
    l.plant("{}");
    let t = l.ticket(5, "TK-2026-000005");
    l.happened(&[(t, sample("TicketTriaged"))]);
    held(&mut l, t, why);
    (l, t)
}

fn said(by_staff: bool) -> Event {
    changed!(CommentAdded, |e| {
        e.by_staff = by_staff;
    })
}

fn resumed() -> Event {
    changed!(TicketResumed, |e| {
        e.to_state = "triaged".parse().unwrap();
    })
}

fn resumes(l: &Live) -> usize {
    l.commands().iter().filter(|c| *c == "ticket.resume").count()
}

#[test]
fn tk_32_the_customer_has_answered() {
    let (mut l, t) = waits("waiting_customer");
    l.happened(&[(t, said(true))]);
    assert_eq!(resumes(&l), 0, "those who serve wait themselves");
    l.happened(&[(t, said(false))]);
    let row = l.one("ticket.resume");
    assert_eq!((row.aggregate.as_str(), row.expected_version), (&*t.to_string(), Some(5)));
    // A strict command is tried anew on the version that it has by now.
    l.happened(&[(t, said(true))]);
    assert_eq!(l.one("ticket.resume").expected_version, Some(6));
    let row = l.one("ticket.resume");
    l.is_the_same_in_every_order();
    l.accept(&row, &[(t, resumed())]);
    assert_eq!(resumes(&l), 0);
    // What people hold again waits for another answer.
    held(&mut l, t, "waiting_customer");
    assert_eq!(resumes(&l), 0);
    l.is_the_same_in_every_order();
    l.happened(&[(t, said(false))]);
    assert_eq!(resumes(&l), 1);
    l.is_the_same_in_every_order();
}

#[test]
fn tk_32_who_waits_for_something_else_goes_on_waiting() {
    let (mut l, t) = waits("waiting_parts");
    l.happened(&[(t, said(false))]);
    assert_eq!(resumes(&l), 0);
    // Somebody else was faster.
    let (mut l, t) = waits("waiting_customer");
    l.happened(&[(t, said(false))]);
    let row = l.one("ticket.resume");
    l.happened(&[(t, resumed())]);
    assert_eq!(resumes(&l), 0);
    l.refuse(&row, ErrorCode::InvalidState);
    assert_eq!((resumes(&l), l.failed()), (0, 0));
    l.is_the_same_in_every_order();
}

#[test]
fn tk_32_all_the_parts_are_there() {
    let (mut l, t) = waits("waiting_parts");
    let asked = |n| {
        changed!(PartsRequested, |e| {
            e.request_id = entity(n);
        })
    };
    let kept = |n| {
        changed!(PartsReserved, |e| {
            e.request_id = entity(n);
        })
    };
    l.happened(&[(t, asked(80))]);
    l.happened(&[(t, asked(81))]);
    l.happened(&[(t, kept(80))]);
    assert_eq!(resumes(&l), 0, "one is still to be answered for");
    l.happened(&[(t, kept(81))]);
    assert_eq!(resumes(&l), 1);
    l.is_the_same_in_every_order();
}

#[test]
fn tk_32_a_replacement_that_is_still_made_keeps_it_waiting() {
    let (mut l, t) = waits("waiting_parts");
    let wanted = changed!(ReplacementOrderRequested, |e| {
        (e.request_id, e.product_id, e.qty) = (entity(70), "pump-200".parse().unwrap(), "1".parse().unwrap());
    });
    let asked = changed!(PartsRequested, |e| {
        e.request_id = entity(80);
    });
    let kept = changed!(PartsReserved, |e| {
        e.request_id = entity(80);
    });
    l.happened(&[(t, wanted), (t, asked), (t, kept)]);
    assert_eq!(resumes(&l), 0);
    l.is_the_same_in_every_order();
}
