//! The clocks that a ticket shows are those by which is decided: whatever happens, both are folded from
//! the same events to the same.

use mw_after_service::sla::evolve;
use mw_after_service::state::{ClockEnd, Sla as Decided};
use mw_after_service_views::ticket::Meta;
use mw_after_service_views::ticket::clocks::{ClockState, Sla as Shown};
use mw_calendar::BusinessCalendar;
use mw_contract::decide::EventMeta;
use mw_contract::event::samples::Sample;
use mw_contract::event::ticket::*;
use mw_contract::event::ticket_parts::{CalendarV1, ClockV1, OpenHoursV1, PolicyV1};
use mw_contract::*;
use proptest::prelude::*;

/// Office hours in Berlin.
fn policy(response_by_assignment: bool) -> PolicyV1 {
    let hours = (0..5).map(|weekday| OpenHoursV1 { weekday, from_minute: 8 * 60, to_minute: 17 * 60 });
    let calendar = CalendarV1 {
        calendar_id: "office".parse().unwrap(),
        time_zone: Text::new("Europe/Berlin").unwrap(),
        hours: hours.collect(),
        holidays: Vec::new(),
    };
    PolicyV1 { calendar, response_by_assignment, ..Sample::sample() }
}

/// One ticket in both.
#[derive(Default)]
struct Both {
    decided: Decided,
    shown: Shown,
    cycle: u16,
    ended: bool,
}

impl Both {
    fn fold(&mut self, event: &Event, at: Instant) {
        let meta = EventMeta {
            event_id: EventId(uuid::Uuid::nil()),
            version: Version(1),
            occurred_at: at,
            recorded_at: at,
            account: "dispatcher-1".parse().unwrap(),
            role: None,
            late: false,
        };
        let business = self.decided.policy.as_ref().map(|p| BusinessCalendar::from_stored(&p.calendar));
        let m = Meta {
            position: Position(1),
            version: Version(1),
            occurred_at: at,
            recorded_at: at,
            by: "dispatcher-1".parse().unwrap(),
            role: None,
            calendar: Some(1),
            business: business.filter(|_| self.shown.runs_by(self.cycle).is_some()),
        };
        evolve(&mut self.decided, event, &meta);
        self.shown.apply(event, self.cycle, &m);
        match event {
            Event::TicketReopened(e) => (self.cycle, self.ended) = (e.cycle, false),
            Event::TicketClosed(_) | Event::TicketCancelled(_) => self.ended = true,
            _ => {}
        }
    }

    /// What is not the same.
    fn differences(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut shown: Vec<_> = self.shown.clocks.iter().filter(|c| c.cycle == self.cycle).collect();
        shown.sort_by_key(|c| c.clock);
        if self.decided.clocks.keys().ne(shown.iter().map(|c| &c.clock)) {
            found.push(format!("{:?} instead of {:?}", shown, self.decided.clocks));
        }
        for c in shown {
            let Some(d) = self.decided.clocks.get(&c.clock) else { continue };
            let state = match (d.ended, d.since) {
                (Some(ClockEnd::Met), _) => c.state == ClockState::Met,
                (Some(ClockEnd::Late), _) => c.state == ClockState::Breached,
                (None, Some(_)) => c.state == ClockState::Running,
                (None, None) if self.ended => c.state == ClockState::Stopped || c.state == ClockState::Paused,
                (None, None) => matches!(c.state, ClockState::Paused | ClockState::Waiting),
            };
            let same = (c.target, c.remaining_s, c.since, c.due, c.breached)
                == (d.target, d.remaining_s, d.since, d.due, d.breached);
            let warned = d.warned.len() == c.warned.len() && c.warned.iter().all(|w| d.warned.contains(w));
            // When it was due is kept of what was stopped, and only of that.
            let due = c.due.is_none() || c.was_due.is_none();
            if !(state && same && warned && due) {
                found.push(format!("{c:?} instead of {d:?}"));
            }
        }
        found
    }
}

fn event(n: u8, clock: SlaClock, seconds: i64, at: Instant, both: &Both) -> Option<Event> {
    let due = at.plus_millis(seconds * 1000);
    let set = |due: Option<Instant>| {
        let all = SlaClock::ALL.iter().filter(|c| **c == clock || seconds % 2 == 0);
        let given = |c: &SlaClock| ClockV1 { clock: *c, target: Seconds(28_800), remaining_s: seconds, due };
        all.map(given).collect::<Vec<_>>()
    };
    let comment = |visibility, by_staff| CommentAddedV1 { visibility, by_staff, ..Sample::sample() };
    Some(match n % 22 {
        0 if both.decided.policy.is_none() && !both.ended => SlaStartedV1 {
            cycle: both.cycle,
            policy: policy(seconds % 3 == 0),
            priority: None,
            clocks: set((clock != SlaClock::Update).then_some(due)),
        }
        .into(),
        1 if both.decided.policy.is_some() && !both.ended => SlaPolicyAppliedV1 {
            policy: policy(seconds % 3 == 0),
            priority: Some(1),
            clocks: set((seconds % 5 != 0).then_some(due)),
        }
        .into(),
        2 | 3 => SlaPausedV1 { clock, cause: SlaPauseCause::Hold, remaining_s: seconds }.into(),
        4 | 5 => SlaResumedV1 { clock, remaining_s: seconds, due }.into(),
        6 | 7 => SlaWarningRaisedV1 { clock, pct: if seconds % 2 == 0 { 75 } else { 90 }, due: Some(due) }.into(),
        8 | 9 => SlaBreachedV1 { clock, due, by: Seconds(seconds.unsigned_abs()) }.into(),
        10 => SlaBreachRevokedV1 { clock, reason: "late_report".parse().unwrap() }.into(),
        11 => SlaMetV1 { clock, spare: Seconds(seconds.unsigned_abs()) }.into(),
        12 | 13 => comment(Visibility::Public, true).into(),
        14 => comment(Visibility::Public, false).into(),
        15 => QuoteSubmittedV1::sample().into(),
        16 => TechnicianAssignedV1::sample().into(),
        17 => WorkStartedV1::sample().into(),
        18 => TicketResolvedV1::sample().into(),
        19 => RepairVerifiedV1 { verdict: RepairVerdict::Fail, ..Sample::sample() }.into(),
        20 if seconds % 3 == 0 => TicketClosedV1::sample().into(),
        21 if seconds % 3 == 0 => TicketReopenedV1 { cycle: both.cycle + 1, ..Sample::sample() }.into(),
        _ => return None,
    })
}

fn start() -> Instant {
    "2026-03-02T08:00:00Z".parse().unwrap()
}

#[test]
fn a_breach_that_is_told_after_the_stop_puts_no_due_date_back() {
    let clock = SlaClock::Resolution;
    let (mut b, at) = (Both { cycle: 1, ..Both::default() }, start());
    let due = at.plus_millis(3_600_000);
    let clocks = vec![ClockV1 { clock, target: Seconds(3600), remaining_s: 3600, due: Some(due) }];
    b.fold(&SlaStartedV1 { cycle: 1, policy: policy(false), priority: None, clocks }.into(), at);
    let late = due.plus_millis(600_000);
    b.fold(&TicketResolvedV1::sample().into(), late);
    b.fold(&SlaBreachedV1 { clock, due, by: Seconds(600) }.into(), late);
    let c = &b.shown.clocks[0];
    assert_eq!((c.state, c.due, c.was_due), (ClockState::Breached, None, Some(due)));
    assert_eq!((c.remaining_s, c.by, c.ended_at), (-600, Some(Seconds(600)), Some(late)));
    assert_eq!(b.differences(), Vec::<String>::new());
}

#[test]
fn a_resolution_has_the_update_clock_stand_still_and_a_failed_test_takes_it_up() {
    let clock = SlaClock::Update;
    let (mut b, at) = (Both { cycle: 1, ..Both::default() }, start());
    let clocks = vec![ClockV1 { clock, target: Seconds(3600), remaining_s: 3600, due: None }];
    b.fold(&SlaStartedV1 { cycle: 1, policy: policy(false), priority: None, clocks }.into(), at);
    assert_eq!(b.shown.clocks[0].state, ClockState::Waiting);
    let due = at.plus_millis(3_600_000);
    b.fold(&SlaResumedV1 { clock, remaining_s: 3600, due }.into(), at);
    b.fold(&SlaWarningRaisedV1 { clock, pct: 75, due: Some(due) }.into(), at.plus_millis(2_700_000));
    b.fold(&TicketResolvedV1::sample().into(), at.plus_millis(3_000_000));
    let c = &b.shown.clocks[0];
    assert_eq!((c.state, c.due, c.remaining_s, &*c.warned), (ClockState::Paused, None, 600, &[75][..]));
    // The next answer begins anew, and is warned of anew.
    b.fold(&SlaResumedV1 { clock, remaining_s: 3600, due }.into(), at.plus_millis(3_000_000));
    let c = &b.shown.clocks[0];
    assert_eq!((c.state, c.warned.len(), c.by, c.was_due), (ClockState::Running, 0, None, None));
    assert_eq!(b.differences(), Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Events in whatever order, also such as nobody decides.
    #[test]
    fn whatever_happens_both_say_the_same(
        steps in prop::collection::vec((0u8..22, 0usize..4, -40_000i64..40_000, 0i64..100_000), 1..60),
    ) {
        let (mut b, mut at) = (Both { cycle: 1, ..Both::default() }, start());
        let first = event(0, SlaClock::ALL[0], 28_800, at, &b).unwrap();
        b.fold(&first, at);
        for (n, clock, seconds, later) in steps {
            at = at.plus_millis(later * 1000);
            let Some(e) = event(n, SlaClock::ALL[clock], seconds, at, &b) else { continue };
            b.fold(&e, at);
            prop_assert_eq!(b.differences(), Vec::<String>::new(), "after {:?}", e);
        }
    }
}
