//! K-22 to K-25 against a clerk who counts the same stories another way: minute by minute, and
//! ticket by ticket, without spans, subjects or sums.

use mw_contract::event::samples::Sample;
use mw_contract::event::ticket::*;
use mw_contract::*;
use proptest::prelude::*;

use crate::desk::*;

const MINUTE: i64 = 60_000;
const DAY_MINUTES: i64 = 24 * 60;

/// One thing that happens to a ticket, so many minutes after the one before.
#[derive(Clone, Debug)]
enum Step {
    Hold(bool),
    Resume,
    Visit,
    Met(bool),
    Breach(bool),
    Revoke(bool),
    Resolve,
    FailTest,
    Close,
    Reopen,
}

#[derive(Clone, Debug)]
struct Story {
    unit: u32,
    symptom: u8,
    starts: i64,
    steps: Vec<(i64, Step)>,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        any::<bool>().prop_map(Step::Hold),
        Just(Step::Resume),
        Just(Step::Visit),
        any::<bool>().prop_map(Step::Met),
        any::<bool>().prop_map(Step::Breach),
        any::<bool>().prop_map(Step::Revoke),
        Just(Step::Resolve),
        Just(Step::Resolve),
        Just(Step::FailTest),
        Just(Step::Close),
        Just(Step::Reopen),
    ]
}

fn story() -> impl Strategy<Value = Story> {
    let steps = prop::collection::vec((1..6 * DAY_MINUTES, step()), 1..14);
    (1..4u32, 0..2u8, 0..20 * DAY_MINUTES, steps).prop_map(|(unit, symptom, starts, steps)| Story {
        unit,
        symptom,
        starts,
        steps,
    })
}

/// A cycle as the clerk notes it down.
#[derive(Clone, Debug, Default)]
struct Cycle {
    number: u16,
    from: i64,
    until: Option<i64>,
    /// Minutes in which it stood still.
    still: Vec<(i64, i64)>,
    clocks: [Option<bool>; 2],
    visits: u32,
}

#[derive(Clone, Debug, Default)]
struct Noted {
    unit: u32,
    symptom: u8,
    opened: i64,
    cycles: Vec<Cycle>,
    closed: Vec<i64>,
    reopened: Vec<i64>,
}

/// Monday to Friday, 9 to 17 in Berlin, in winter.
fn working(minute: i64) -> bool {
    let base = at("2026-03-02T00:00:00+01:00").millis() / MINUTE;
    let since = minute - base;
    let (day, of_day) = (since.div_euclid(DAY_MINUTES), since.rem_euclid(DAY_MINUTES));
    day.rem_euclid(7) < 5 && (9 * 60..17 * 60).contains(&of_day)
}

const CLOCKS: [SlaClock; 2] = [SlaClock::FirstResponse, SlaClock::Resolution];

/// Plays a story to the desk, as far as its steps are possible, and notes it down.
fn play(d: &mut Desk, n: u128, s: &Story) -> Noted {
    // In January and February no clock in Berlin changes.
    let mut now = at("2026-01-05T00:00:00+01:00").millis() / MINUTE + s.starts;
    let when = |minute: i64| Instant::clamped(minute * MINUTE).to_string();
    let symptom = format!("symptom-{}", s.symptom);
    d.open(n, s.unit, Some(&symptom), &when(now));
    let mut note = Noted { unit: s.unit, symptom: s.symptom, opened: now, ..Noted::default() };
    let mut cycle = Cycle { number: 1, from: now, ..Cycle::default() };
    let (mut held, mut closed) = (None, false);
    for (gap, step) in &s.steps {
        now += gap;
        let at = when(now);
        let open = cycle.until.is_none();
        match step {
            Step::Hold(pauses) if open && held.is_none() => {
                d.tk(n, TicketHeldV1 { pauses_sla: *pauses, ..TicketHeldV1::sample() }, &at);
                held = Some((now, *pauses));
            }
            Step::Resume if open => {
                if let Some((since, pauses)) = held.take() {
                    d.tk(n, TicketResumedV1::sample(), &at);
                    cycle.still.extend(pauses.then_some((since, now)));
                }
            }
            Step::Visit if open && held.is_none() => {
                let trip = n * 10_000 + now as u128;
                let e = TechnicianArrivedV1 { trip_id: entity(trip), ..TechnicianArrivedV1::sample() };
                d.tk(n, e, &at);
                cycle.visits += 1;
            }
            Step::Met(which) if open => {
                d.tk(n, SlaMetV1 { clock: CLOCKS[usize::from(*which)], spare: Seconds(1) }, &at);
                // What was breached stays so.
                cycle.clocks[usize::from(*which)].get_or_insert(true);
            }
            Step::Breach(which) if open => {
                let e = SlaBreachedV1 { clock: CLOCKS[usize::from(*which)], due: self::at(&at), by: Seconds(0) };
                d.tk(n, e, &at);
                cycle.clocks[usize::from(*which)] = Some(false);
            }
            Step::Revoke(which) if cycle.clocks[usize::from(*which)] == Some(false) && !closed => {
                let clock = CLOCKS[usize::from(*which)];
                d.tk(n, SlaBreachRevokedV1 { clock, reason: code("late_report") }, &at);
                cycle.clocks[usize::from(*which)] = Some(true);
            }
            Step::Resolve if open && held.is_none() => {
                d.resolve(n, ResolutionCode::Repaired, &at);
                cycle.until = Some(now);
            }
            Step::FailTest if !open && !closed => {
                let e = RepairVerifiedV1 { verdict: RepairVerdict::Fail, ..RepairVerifiedV1::sample() };
                d.tk(n, e, &at);
                let resolved = cycle.until.take().unwrap();
                cycle.still.push((resolved, now));
            }
            Step::Close if !open && !closed => {
                d.close(n, &at);
                note.closed.push(now);
                closed = true;
            }
            Step::Reopen if !open => {
                let number = cycle.number + 1;
                d.reopen(n, number, &at);
                note.reopened.push(now);
                let next = Cycle { number, from: now, ..Cycle::default() };
                note.cycles.push(std::mem::replace(&mut cycle, next));
                closed = false;
            }
            _ => {}
        }
    }
    note.cycles.push(cycle);
    note
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn k_22_to_k_25_are_those_that_a_clerk_would_count(stories in prop::collection::vec(story(), 1..8)) {
        let mut d = Desk::new();
        let noted: Vec<Noted> = stories.iter().enumerate().map(|(i, s)| play(&mut d, i as u128 + 1, s)).collect();
        let (from, until) = (at("2026-01-12T00:00:00+01:00"), at("2026-02-16T00:00:00+01:00"));
        let inside = |minute: i64| from.millis() <= minute * MINUTE && minute * MINUTE < until.millis();
        let mut q = question("2026-01-12T00:00:00+01:00", "2026-02-16T00:00:00+01:00", None);
        q.now = at("2027-01-01T00:00:00Z");
        let items = d.ask(&q);
        let all: Vec<(&Noted, &Cycle)> = noted.iter().flat_map(|n| n.cycles.iter().map(move |c| (n, c))).collect();
        let ended: Vec<&(&Noted, &Cycle)> = all.iter().filter(|(_, c)| c.until.is_some_and(inside)).collect();

        for (i, name) in ["first_response", "resolution"].into_iter().enumerate() {
            for (again, suffix) in [(false, ""), (true, "_reopened")] {
                let judged: Vec<bool> =
                    ended.iter().filter(|(_, c)| (c.number > 1) == again).filter_map(|(_, c)| c.clocks[i]).collect();
                let met = judged.iter().filter(|m| **m).count();
                prop_assert_eq!(parts(&items, &format!("sla_{name}{suffix}")), format!("{met}/{}", judged.len()));
            }
        }

        let (mut net, mut gross) = (0, 0);
        for (_, c) in &ended {
            let until = c.until.unwrap();
            gross += until - c.from;
            let still = |m: i64| c.still.iter().any(|(a, b)| *a <= m && m < *b);
            net += (c.from..until).filter(|m| working(*m) && !still(*m)).count() as i64;
        }
        let hours = |minutes: i64| {
            let d = rust_decimal::Decimal::from(minutes) / rust_decimal::Decimal::from(60);
            d.round_dp(6).normalize().to_string()
        };
        prop_assert_eq!(parts(&items, "time_to_resolve_gross_h"), format!("{}/{}", hours(gross), ended.len()));
        prop_assert_eq!(parts(&items, "time_to_resolve_net_h"), format!("{}/{}", hours(net), ended.len()));

        let (mut visited, mut fixed) = (0, 0);
        for (n, c) in ended.iter().filter(|(_, c)| c.number == 1 && c.visits > 0) {
            visited += 1;
            let until = c.until.unwrap();
            let soon = |m: i64| until <= m && m <= until + 30 * DAY_MINUTES;
            let reopened = n.reopened.first().is_some_and(|m| soon(*m));
            let again = noted.iter().any(|o| {
                !std::ptr::eq(*n, o) && o.unit == n.unit && o.symptom == n.symptom && soon(o.opened)
            });
            fixed += u32::from(c.visits == 1 && !reopened && !again);
        }
        prop_assert_eq!(parts(&items, "first_time_fix_rate"), format!("{fixed}/{visited}"));

        let count = |times: fn(&Noted) -> &Vec<i64>| noted.iter().filter(|n| times(n).iter().any(|m| inside(*m))).count();
        let expected = format!("{}/{}", count(|n| &n.reopened), count(|n| &n.closed));
        prop_assert_eq!(parts(&items, "reopen_rate"), expected);
    }
}
