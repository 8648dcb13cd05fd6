//! KPIs K-21 to K-34 computed by hand: every formula, groups, revisions.

mod desk;
mod recount;

use desk::*;
use mw_after_service_views::figures::pareto::{self, Fault, pareto};
use mw_contract::event::plan::*;
use mw_contract::event::samples::Sample;
use mw_contract::event::ticket::*;
use mw_contract::event::ticket_parts::*;
use mw_contract::*;
use mw_figures::OPEN;
use mw_figures::calendar::Cut;
use mw_figures::given::{Attendance, Known, Unit, UnitPart};
use mw_figures::question::Group;
use mw_figures::spans::Span;
use mw_projection::Projection;
use serde_json::json;

const MARCH: (&str, &str) = ("2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z");

#[test]
fn k_21_the_first_answer_in_working_minutes() {
    let mut d = Desk::new();
    // 30 minutes; 16:30 to 9:10 on the next day are 40; Friday 16:00 to Monday 11:00 are 180.
    for (n, opened, answered) in [(1, "09:00", "09:30"), (2, "16:30", "3 09:10"), (3, "6 16:00", "9 11:00")] {
        d.open(n, n as u32, None, opened);
        d.answer(n, false, opened);
        d.answer(n, true, answered);
        d.answer(n, true, "12 12:00");
    }
    let items = d.ask(&question(MARCH.0, MARCH.1, None));
    assert_eq!(value(&items, "first_response_median_min"), "40.0000");
    assert_eq!(value(&items, "first_response_p90_min"), "180.0000");
    assert_eq!((value(&items, "mtta_min"), parts(&items, "mtta_min")), ("83.3333".into(), "250/3".into()));
    // An assignment is an answer where the policy says so; a backdated answer comes before.
    d.open(4, 4, None, "13 09:00");
    d.tk(4, TechnicianAssignedV1::sample(), "13 11:00");
    let q = question("13 00:00", "14 00:00", None);
    assert_eq!(value(&d.ask(&q), "mtta_min"), "120.0000");
    d.answer(4, true, "13 10:00");
    assert_eq!(value(&d.ask(&q), "mtta_min"), "60.0000");
    let q = question("12 00:00", "13 00:00", None);
    assert_eq!(value(&d.ask(&q), "mtta_min"), "null", "only the first answer counts");
}

#[test]
fn k_22_by_clock_of_cycles_that_ended_with_reopened_ones_apart() {
    let mut d = Desk::new();
    let met = |clock| SlaMetV1 { clock, spare: Seconds(0) };
    let breached = |clock| SlaBreachedV1 { clock, due: at("12:00"), by: Seconds(0) };
    for n in 1..=4 {
        d.open(n, n as u32, None, "09:00");
        d.tk(n, met(SlaClock::FirstResponse), "09:30");
    }
    d.tk(2, breached(SlaClock::Resolution), "12:00");
    d.tk(3, breached(SlaClock::Resolution), "12:00");
    for n in 1..=3 {
        d.resolve(n, ResolutionCode::Repaired, "15:00");
    }
    d.tk(1, met(SlaClock::Resolution), "15:00");
    // The fourth goes on: nothing of it counts yet.
    let q = question("2 00:00", "3 00:00", None);
    let items = d.ask(&q);
    assert_eq!(parts(&items, "sla_first_response"), "3/3");
    assert_eq!(parts(&items, "sla_resolution"), "1/3");
    assert_eq!(value(&items, "sla_on_site"), "null");
    // A late report turns a breach into met.
    d.tk(3, SlaBreachRevokedV1 { clock: SlaClock::Resolution, reason: code("late_report") }, "16:00");
    assert_eq!(parts(&d.ask(&q), "sla_resolution"), "2/3");
    d.reopen(2, 2, "3 09:00");
    d.tk(2, breached(SlaClock::FirstResponse), "3 12:00");
    d.resolve(2, ResolutionCode::Repaired, "3 15:00");
    let items = d.ask(&question("2 00:00", "4 00:00", None));
    assert_eq!(parts(&items, "sla_resolution"), "2/3", "the first cycle stays as it ended");
    assert_eq!(parts(&items, "sla_first_response_reopened"), "0/1");
    assert_eq!(parts(&items, "sla_resolution_reopened"), "0/0");
}

#[test]
fn k_23_golden_hold_over_night_is_no_working_time() {
    let mut d = Desk::new();
    d.open(1, 1, None, "09:00");
    let held = TicketHeldV1 { pauses_sla: true, ..TicketHeldV1::sample() };
    d.tk(1, held.clone(), "16:00");
    d.tk(1, TicketResumedV1::sample(), "3 10:00");
    d.resolve(1, ResolutionCode::Repaired, "3 11:00");
    let items = d.ask(&question(MARCH.0, MARCH.1, None));
    assert_eq!(
        (value(&items, "time_to_resolve_net_h"), value(&items, "time_to_resolve_gross_h")),
        ("8.0000".into(), "26.0000".into())
    );
    // A hold that pauses nothing, and a quote that is with the customer.
    d.open(2, 2, None, "4 09:00");
    d.tk(2, TicketHeldV1 { pauses_sla: false, ..held }, "4 10:00");
    d.tk(2, TicketResumedV1::sample(), "4 11:00");
    d.tk(2, QuoteSubmittedV1::sample(), "4 12:00");
    d.tk(2, QuoteApprovedV1::sample(), "4 14:00");
    d.resolve(2, ResolutionCode::Repaired, "4 17:00");
    let items = d.ask(&question("4 00:00", "5 00:00", None));
    assert_eq!(
        (parts(&items, "time_to_resolve_net_h"), parts(&items, "time_to_resolve_gross_h")),
        ("6/1".into(), "8/1".into())
    );
    // A repair that failed its test was not over; the wait for the test was nobody's.
    d.tk(2, RepairVerifiedV1 { verdict: RepairVerdict::Fail, ..RepairVerifiedV1::sample() }, "5 10:00");
    assert_eq!(parts(&d.ask(&question("4 00:00", "6 00:00", None)), "time_to_resolve_net_h"), "0/0");
    d.resolve(2, ResolutionCode::Repaired, "5 12:00");
    let items = d.ask(&question("4 00:00", "6 00:00", None));
    assert_eq!(
        (parts(&items, "time_to_resolve_net_h"), parts(&items, "time_to_resolve_gross_h")),
        ("8/1".into(), "27/1".into())
    );
    let both = d.ask(&question("2 00:00", "6 00:00", None));
    assert_eq!(value(&both, "time_to_resolve_gross_h"), "26.5000");
}

fn repaired(d: &mut Desk, n: u128, unit: u32, symptom: &str, day: u32) {
    d.open(n, unit, Some(symptom), &format!("{day} 09:00"));
    d.triage(n, ServiceMode::OnSite, Some("field"), Some(2), &format!("{day} 09:10"));
    d.arrive(n, n * 100 + 1, "technician-1", &format!("{day} 10:00"), &format!("{day} 11:00"));
    d.work(n, n * 100 + 2, "technician-1", &format!("{day} 11:00"), &format!("{day} 12:00"));
    d.resolve(n, ResolutionCode::Repaired, &format!("{day} 12:00"));
    d.close(n, &format!("{day} 13:00"));
}

#[test]
fn k_24_fixed_by_one_visit_and_for_30_days() {
    let mut d = Desk::new();
    let q = || question("1 00:00", "6 00:00", None);
    repaired(&mut d, 1, 1, "leak", 2);
    repaired(&mut d, 2, 2, "leak", 2);
    repaired(&mut d, 3, 3, "leak", 2);
    repaired(&mut d, 4, 4, "leak", 2);
    let items = d.ask(&q());
    assert_eq!(parts(&items, "first_time_fix_rate"), "4/4");
    assert_eq!(field(&items, "first_time_fix_rate", None, "window_days"), json!(30));
    // No visit; two visits; another symptom; another unit.
    d.open(5, 5, Some("leak"), "09:00");
    d.resolve(5, ResolutionCode::AdviceGiven, "12:00");
    d.open(6, 6, Some("leak"), "09:00");
    d.triage(6, ServiceMode::OnSite, None, None, "09:10");
    d.arrive(6, 61, "technician-1", "10:00", "11:00");
    d.arrive(6, 62, "technician-1", "3 10:00", "3 11:00");
    d.resolve(6, ResolutionCode::Repaired, "3 12:00");
    d.open(7, 1, Some("noise"), "10 09:00");
    d.open(8, 99, Some("leak"), "10 09:00");
    assert_eq!(parts(&d.ask(&q()), "first_time_fix_rate"), "4/5");
    // Reopened on the 30th day; reported again.
    d.reopen(2, 2, "2026-04-01T09:59:00Z");
    assert_eq!(parts(&d.ask(&q()), "first_time_fix_rate"), "3/5");
    d.open(9, 3, Some("leak"), "20 09:00");
    assert_eq!(parts(&d.ask(&q()), "first_time_fix_rate"), "2/5");
    // After the window it is another fault.
    d.open(10, 4, Some("leak"), "2026-04-02T09:00:00Z");
    assert_eq!(parts(&d.ask(&q()), "first_time_fix_rate"), "2/5");
    let by_day = d.ask(&question("1 00:00", "6 00:00", Some(Group::Time(Cut::Day))));
    assert_eq!(field(&by_day, "first_time_fix_rate", Some("2026-03-03"), "denominator"), json!("1"));
    let by_team = d.ask(&question("1 00:00", "6 00:00", Some(Group::Team)));
    assert_eq!(field(&by_team, "first_time_fix_rate", Some("field"), "numerator"), json!("2"));
}

#[test]
fn k_25_k_26_reopened_of_closed_and_no_fault_of_resolved() {
    let mut d = Desk::new();
    for n in 1..=4 {
        d.open(n, n as u32, None, "09:00");
        let code = if n == 4 { ResolutionCode::NoFaultFound } else { ResolutionCode::Repaired };
        d.resolve(n, code, "12:00");
        d.close(n, "3 09:00");
    }
    d.reopen(1, 2, "4 09:00");
    d.resolve(1, ResolutionCode::NoFaultFound, "4 10:00");
    d.close(1, "5 09:00");
    d.reopen(1, 3, "6 09:00");
    let items = d.ask(&question(MARCH.0, MARCH.1, None));
    // A ticket counts once, however often it was closed and reopened.
    assert_eq!((parts(&items, "reopen_rate"), value(&items, "reopen_rate")), ("1/4".into(), "0.2500".into()));
    assert_eq!(parts(&items, "no_fault_found_rate"), "2/5");
}

fn there(d: &mut Desk, who: &str, present: bool, from: &str, to: &str) {
    d.given.attendance.push(Attendance {
        account: code(who),
        present,
        span: Span::new(at(from).millis(), at(to).millis()),
        known: Known { from: 0, until: OPEN },
    });
}

#[test]
fn k_27_k_30_time_of_technicians_and_never_of_one() {
    let mut d = Desk::new();
    d.open(1, 1, None, "09:00");
    d.triage(1, ServiceMode::OnSite, Some("field"), None, "09:00");
    d.arrive(1, 11, "technician-1", "10:00", "11:00");
    d.work(1, 12, "technician-1", "11:00", "13:00");
    // Logged over the session: an hour more. Paperwork is neither.
    d.log_work(1, 13, "technician-1", LogActivity::Repair, false, ("12:30", "14:00"));
    d.log_work(1, 14, "technician-1", LogActivity::Admin, false, ("14:00", "15:00"));
    d.opened(2, 2, None, "09:00", |e| (e.kind, e.customer_id) = (TicketKind::Preventive, None));
    there(&mut d, "technician-1", true, "08:00", "16:00");
    let q = question("2 00:00", "3 00:00", None);
    let items = d.ask(&q);
    assert_eq!(value(&items, "technician_utilisation"), "null");
    assert!(field(&items, "wrench_time", None, "withheld").is_string());
    d.work(2, 21, "technician-2", "09:00", "11:00");
    assert!(field(&d.ask(&q), "wrench_time", None, "withheld").is_string(), "when that one was there nobody knows");
    there(&mut d, "technician-2", true, "08:00", "16:00");
    there(&mut d, "technician-2", false, "12:00", "16:00");
    let items = d.ask(&q);
    // 3 + 2 hours of work and 1 of travel in 8 + 4.
    assert_eq!(parts(&items, "technician_utilisation"), "6/12");
    assert_eq!(value(&items, "wrench_time"), "0.4167");
    assert_eq!((parts(&items, "planned_share"), value(&items, "planned_share")), ("2/5".into(), "0.4000".into()));
    // No field of any item names a person.
    let shown = serde_json::to_string(&items.iter().map(|i| &i.fields).collect::<Vec<_>>()).unwrap();
    assert!(!shown.contains("technician-1"), "{shown}");
}

#[test]
fn k_28_what_is_open_at_the_end_in_hours_and_weeks() {
    let mut d = Desk::new();
    let teams = r#"{"entries":[{"code":"field","weekly_hours":80},{"code":"workshop","weekly_hours":40},
        {"code":"old","weekly_hours":999,"active":false}]}"#;
    d.put(ReferenceKind::Catalogue, "teams", teams, "2026-01-01T00:00:00Z");
    for (n, team, hours) in
        [(1, "field", Some(30)), (2, "field", Some(10)), (3, "workshop", Some(20)), (4, "field", None)]
    {
        d.open(n, n as u32, None, "09:00");
        d.triage(n, ServiceMode::OnSite, Some(team), hours, "09:30");
    }
    d.resolve(2, ResolutionCode::Repaired, "3 12:00");
    let items = d.ask(&question("2 00:00", "3 00:00", None));
    assert_eq!((value(&items, "backlog_h"), value(&items, "backlog_weeks")), ("60.0000".into(), "0.5000".into()));
    assert_eq!(field(&items, "backlog_h", None, "unestimated"), json!("1"));
    let items = d.ask(&question("2 00:00", "4 00:00", Some(Group::Team)));
    let of = |name, team| field(&items, name, Some(team), "value");
    assert_eq!((of("backlog_h", "field"), of("backlog_weeks", "field")), (json!("30.0000"), json!("0.3750")));
    assert_eq!(of("backlog_weeks", "workshop"), json!("0.5000"));
    // By day each day's end counts.
    let items = d.ask(&question("2 00:00", "4 00:00", Some(Group::Time(Cut::Day))));
    let of = |day| field(&items, "backlog_h", Some(day), "value");
    assert_eq!((of("2026-03-02"), of("2026-03-03")), (json!("60.0000"), json!("50.0000")));
}

fn plan(d: &mut Desk, n: u128, calendar: Option<&str>, counter: Option<&str>) {
    let e = PlanCreatedV1 {
        site_id: code("plant-1"),
        time_zone: text("Europe/Berlin"),
        target: PlanTargetV1 {
            kind: PlanTargetKind::Unit,
            equipment_id: None,
            serial: Some(text("SN-1")),
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
        last_done: Some(LastDoneV1 { at: code("2026-01-01"), counter: Some(code("1200")) }),
        ..PlanCreatedV1::sample()
    };
    d.event(AggregateKind::MaintenancePlan, ticket_id(n), e, at("2026-01-02T00:00:00Z"));
}

#[test]
fn k_29_done_inside_the_tolerance_of_what_was_due() {
    let mut d = Desk::new();
    let due = |day: Option<&str>, counter: Option<&str>| PlanDueV1 {
        cause: if day.is_some() { DueCause::Calendar } else { DueCause::Counter },
        due_on: day.map(code),
        due_counter: counter.map(code),
        counter_value: None,
        ticket_id: None,
    };
    let done = |day: &str, counter: Option<&str>| PlanDoneV1 {
        done_on: code(day),
        counter: counter.map(code),
        ticket_id: None,
        next_due: None,
        next_counter: None,
    };
    let mp = |d: &mut Desk, n: u128, e: Event, when: &str| {
        d.event(AggregateKind::MaintenancePlan, ticket_id(n), e, at(when))
    };
    // By the day: on it, a day late, and still open.
    for n in 1..=3 {
        plan(&mut d, n, Some("FREQ=MONTHLY"), None);
        mp(&mut d, n, due(Some("2026-03-10"), None).into(), "3 09:00");
        // Said again at the next tick, it is the same thing that is due.
        mp(&mut d, n, due(Some("2026-03-10"), None).into(), "4 09:00");
    }
    mp(&mut d, 1, done("2026-03-10", None).into(), "10 12:00");
    mp(&mut d, 2, done("2026-03-11", None).into(), "11 12:00");
    let early = d.ask(&question("1 00:00", "10 00:00", None));
    assert_eq!(parts(&early, "pm_compliance"), "0/0", "the day is not over");
    assert_eq!(parts(&d.ask(&question("1 00:00", "20 00:00", None)), "pm_compliance"), "1/3");
    // By the counter: every 500 h with 10 %: due at 1700, in time up to 1750.
    for (n, at_counter) in [(4, "1750"), (5, "1751")] {
        plan(&mut d, n, None, Some("500"));
        mp(&mut d, n, due(None, Some("1700")).into(), "12 09:00");
        mp(&mut d, n, done("2026-03-13", Some(at_counter)).into(), "13 12:00");
    }
    assert_eq!(parts(&d.ask(&question("12 00:00", "20 00:00", None)), "pm_compliance"), "1/2");
    // What was left out was due and not done.
    plan(&mut d, 6, Some("FREQ=MONTHLY"), None);
    mp(&mut d, 6, due(Some("2026-03-22"), None).into(), "20 09:00");
    let skipped = PlanSkippedV1 { next_due: Some(code("2026-04-22")), ..PlanSkippedV1::sample() };
    mp(&mut d, 6, skipped.into(), "21 09:00");
    assert_eq!(parts(&d.ask(&question("20 00:00", "30 00:00", None)), "pm_compliance"), "0/1");
}

fn unit(d: &mut Desk, n: u32, part: UnitPart, from: &str, to: &str, lot: &str) {
    let product: ProductId = code("pump-200");
    d.given.units.push(Unit {
        id: ids::unit_id(&product, &text(&format!("SN-{n}"))),
        part,
        span: Span::new(at(from).millis(), at(to).millis()),
        site: Some(code("plant-1")),
        line: Some(code("line-1")),
        product,
        lot: Some(lot.into()),
        known: Known { from: 0, until: OPEN },
    });
}

#[test]
fn k_31_claims_of_the_units_that_were_shipped_in_the_month() {
    let mut d = Desk::new();
    for (n, lot) in [(1, "L-1"), (2, "L-1"), (3, "L-2"), (4, "L-2"), (5, "L-2")] {
        unit(&mut d, n, UnitPart::Shipped, "2 08:00", "2026-03-02T07:00:00.001Z", lot);
    }
    let claim = |d: &mut Desk, n: u128, unit: u32, status, when: &str| {
        d.open(n, unit, None, when);
        d.warranty(n, status, when);
    };
    use WarrantyStatus::{InWarranty, OutOfWarranty};
    claim(&mut d, 1, 1, InWarranty, "2026-06-01T09:00:00Z");
    claim(&mut d, 2, 1, InWarranty, "2026-09-01T09:00:00Z");
    claim(&mut d, 3, 3, OutOfWarranty, "2026-06-01T09:00:00Z");
    claim(&mut d, 4, 4, InWarranty, "2027-03-02T06:59:00Z");
    claim(&mut d, 5, 5, InWarranty, "2027-03-02T07:00:00Z");
    // Another month's unit.
    claim(&mut d, 6, 6, InWarranty, "2026-06-01T09:00:00Z");
    let mut q = question(MARCH.0, MARCH.1, Some(Group::Time(Cut::Month)));
    q.now = at("2027-06-01T00:00:00Z");
    let items = d.ask(&q);
    let of = |f: &str| field(&items, "warranty_claim_rate", Some("2026-03"), f);
    assert_eq!((of("numerator"), of("denominator"), of("value")), (json!("3"), json!("5"), json!("0.6000")));
    let lots = of("lots");
    assert_eq!((&lots[0]["lot"], &lots[0]["value"]), (&json!("L-1"), &json!("1.0000")));
    assert_eq!((&lots[1]["numerator"], &lots[1]["denominator"]), (&json!("1"), &json!("3")));
    // What is claimed after the month was final makes revisions of this KPI, and of no other.
    assert_eq!((of("revision"), field(&items, "csat", Some("2026-03"), "revision")), (json!(4), json!(1)));
    q.revision = Some(1);
    assert_eq!(field(&d.ask(&q), "warranty_claim_rate", Some("2026-03"), "numerator"), json!("0"));
    let lines = d.ask(&question(MARCH.0, MARCH.1, Some(Group::Line)));
    assert_eq!(field(&lines, "warranty_claim_rate", Some("line-1"), "denominator"), json!("5"));
    let mut q = question(MARCH.0, MARCH.1, None);
    q.product = Some(code("bracket-10"));
    assert_eq!(parts(&d.ask(&q), "warranty_claim_rate"), "0/0");
}

fn consumed(d: &mut Desk, n: u128, id: u128, lines: &[(&str, &str, &str, Coverage)], when: &str) {
    let one = |(item, qty, price, coverage): &(&str, &str, &str, Coverage)| PartUseV1 {
        item_id: code(item),
        qty: code(qty),
        coverage: *coverage,
        source: PartSource::Van,
        unit_cost: Some(Money { amount: code(price), currency: code("EUR") }),
        new_serial: None,
        ..PartUseV1::sample()
    };
    let lines = lines.iter().map(one).collect();
    let e = PartsConsumedV1 { consumption_id: entity(id), lines, ..PartsConsumedV1::sample() };
    d.tk(n, e, when);
}

#[test]
fn k_32_covered_labour_travel_and_parts_over_units_under_warranty() {
    let mut d = Desk::new();
    for n in 1..=4 {
        unit(&mut d, n, UnitPart::Warranty, "2025-06-01T00:00:00Z", "2027-06-01T00:00:00Z", "L-1");
    }
    unit(&mut d, 5, UnitPart::Warranty, "2023-06-01T00:00:00Z", "2025-06-01T00:00:00Z", "L-1");
    d.open(1, 1, None, "09:00");
    d.warranty(1, WarrantyStatus::InWarranty, "09:00");
    d.triage(1, ServiceMode::OnSite, None, None, "09:00");
    d.arrive(1, 11, "technician-1", "10:00", "11:00");
    d.work(1, 12, "technician-1", "11:00", "13:00");
    d.log_work(1, 13, "technician-1", LogActivity::Repair, true, ("13:00", "15:00"));
    consumed(
        &mut d,
        1,
        14,
        &[("seal", "2", "7.50", Coverage::Warranty), ("oil", "1", "99", Coverage::Chargeable)],
        "12:00",
    );
    d.open(2, 5, None, "09:00");
    d.warranty(2, WarrantyStatus::OutOfWarranty, "09:00");
    d.work(2, 21, "technician-1", "16:00", "17:00");
    let q = question("2 00:00", "3 00:00", None);
    let items = d.ask(&q);
    // Nobody has said what an hour costs: 15.00 of parts over 4 units.
    assert_eq!(
        (value(&items, "warranty_cost_per_unit"), parts(&items, "warranty_cost_per_unit")),
        ("3.7500".into(), "15/4".into())
    );
    assert_eq!(field(&items, "warranty_cost_per_unit", None, "unpriced_hours"), json!("3.0000"));
    let site = r#"{"time_zone":"Europe/Berlin","settings":{"labour_rate":{"amount":"60","currency":"EUR"}}}"#;
    d.put(ReferenceKind::Site, "plant-1", site, "2026-01-01T00:00:00Z");
    let items = d.ask(&q);
    // 3 hours of work and travel at 60.00 and 15.00 of parts.
    assert_eq!(parts(&items, "warranty_cost_per_unit"), "195/4");
    assert_eq!(field(&items, "warranty_cost_per_unit", None, "unit"), json!("EUR"));
    // What is no warranty case after all costs warranty nothing.
    let gone = WarrantyOverriddenV1 { new: WarrantyStatus::OutOfWarranty, ..WarrantyOverriddenV1::sample() };
    d.tk(1, gone, "18:00");
    assert_eq!(parts(&d.ask(&q), "warranty_cost_per_unit"), "15/4", "but for the parts that it had paid for");
}

#[test]
fn k_33_scores_recommendation_and_how_many_answered() {
    let mut d = Desk::new();
    for n in 1..=6 {
        d.open(n, n as u32, None, "09:00");
        d.resolve(n, ResolutionCode::Repaired, "12:00");
    }
    d.opened(7, 7, None, "09:00", |e| (e.kind, e.customer_id) = (TicketKind::InternalMaintenance, None));
    d.resolve(7, ResolutionCode::Repaired, "12:00");
    let rate = |d: &mut Desk, n, score, nps| {
        let e = ServiceRatedV1 { cycle: 1, score, nps, ..ServiceRatedV1::sample() };
        d.tk(n, e, "3 09:00");
    };
    rate(&mut d, 1, 5, Some(10));
    rate(&mut d, 2, 4, Some(9));
    rate(&mut d, 3, 3, Some(7));
    rate(&mut d, 4, 1, Some(3));
    let items = d.ask(&question("2 00:00", "3 00:00", None));
    assert_eq!((parts(&items, "csat"), value(&items, "csat")), ("2/4".into(), "0.5000".into()));
    assert_eq!((parts(&items, "nps"), value(&items, "nps")), ("1/4".into(), "25.0000".into()));
    assert_eq!(parts(&items, "rating_response_rate"), "4/6");
    rate(&mut d, 4, 5, None);
    let items = d.ask(&question("2 00:00", "3 00:00", None));
    assert_eq!((parts(&items, "csat"), parts(&items, "nps")), ("3/4".into(), "2/3".into()));
}

#[test]
fn k_34_lines_that_were_there_at_the_first_visit() {
    let mut d = Desk::new();
    d.open(1, 1, None, "09:00");
    d.triage(1, ServiceMode::OnSite, None, None, "09:00");
    let line = |item: &str, qty: &str| PartRequestV1 { item_id: code(item), qty: code(qty), ..PartRequestV1::sample() };
    let kept = |item: &str, qty: &str| PartReservationV1 {
        item_id: code(item),
        qty: code(qty),
        ..PartReservationV1::sample()
    };
    let request = PartsRequestedV1 {
        request_id: entity(1),
        lines: vec![line("seal", "2"), line("motor", "1"), line("oil", "1")],
    };
    d.tk(1, request, "09:10");
    let reserved = PartsReservedV1 { request_id: entity(1), lines: vec![kept("seal", "1"), kept("motor", "1")] };
    d.tk(1, reserved, "09:20");
    d.tk(1, PartsReservedV1 { request_id: entity(1), lines: vec![kept("seal", "1")] }, "09:30");
    d.arrive(1, 11, "technician-1", "10:00", "11:00");
    let q = question("2 00:00", "3 00:00", None);
    // Seals in two steps and the motor were there, the oil was not.
    assert_eq!(parts(&d.ask(&q), "parts_fill_rate"), "2/3");
    d.tk(1, PartsReservedV1 { request_id: entity(1), lines: vec![kept("oil", "1")] }, "12:00");
    d.tk(1, PartsRequestedV1 { request_id: entity(2), lines: vec![line("gasket", "1")] }, "12:10");
    assert_eq!(parts(&d.ask(&q), "parts_fill_rate"), "2/4", "what came later, or was found out at the visit");
    consumed(
        &mut d,
        1,
        14,
        &[("screw", "4", "0.10", Coverage::Warranty), ("seal", "2", "1", Coverage::Warranty)],
        "12:20",
    );
    assert_eq!(parts(&d.ask(&q), "parts_fill_rate"), "3/5", "the van had screws");
}

#[test]
fn a_corrected_work_log_is_a_new_revision_of_what_it_changes() {
    let mut d = Desk::new();
    d.open(1, 1, None, "09:00");
    d.warranty(1, WarrantyStatus::InWarranty, "09:00");
    d.log_work(1, 11, "technician-1", LogActivity::Repair, false, ("10:00", "12:00"));
    d.log_work(1, 12, "technician-2", LogActivity::Repair, false, ("10:00", "11:00"));
    for who in ["technician-1", "technician-2"] {
        there(&mut d, who, true, "08:00", "16:00");
    }
    d.resolve(1, ResolutionCode::Repaired, "13:00");
    let span = |from: &str, to: &str| WorkLogV1 {
        activity: LogActivity::Repair,
        start: at(from),
        end: at(to),
        chargeable: false,
    };
    let correct = |to: &str| WorkLogCorrectedV1 {
        log_id: entity(11),
        technician: code("technician-1"),
        old: span("10:00", "12:00"),
        new: span("10:00", to),
        ..WorkLogCorrectedV1::sample()
    };
    // Within 24 hours after the day it is the same revision; after that each one is another.
    d.recorded(AggregateKind::Ticket, ticket_id(1), correct("13:00"), at("13:00"), at("3 12:00"));
    d.recorded(AggregateKind::Ticket, ticket_id(1), correct("15:00"), at("13:00"), at("5 12:00"));
    d.recorded(AggregateKind::Ticket, ticket_id(1), correct("14:00"), at("13:00"), at("6 12:00"));
    let mut q = question("2 00:00", "3 00:00", None);
    assert_eq!(field(&d.ask(&q), "wrench_time", None, "provisional"), json!(true));
    q.now = at("9 00:00");
    let of = |q: &mw_figures::question::Question, f: &str| field(&d.ask(q), "wrench_time", None, f);
    assert_eq!((of(&q, "numerator"), of(&q, "revision"), of(&q, "provisional")), (json!("5"), json!(3), json!(false)));
    for (revision, hours, later) in [(1, "4", 2), (2, "6", 1), (3, "5", 0)] {
        q.revision = Some(revision);
        assert_eq!((of(&q, "numerator"), of(&q, "late_events_after")), (json!(hours), json!(later)), "{revision}");
    }
    q.revision = None;
    let items = d.ask(&q);
    assert_eq!(field(&items, "time_to_resolve_gross_h", None, "revision"), json!(1));
    assert_eq!(field(&items, "warranty_cost_per_unit", None, "revision"), json!(3));
    assert_eq!(field(&items, "planned_share", None, "revision"), json!(3));
}

#[test]
fn a_ticket_that_is_given_another_unit_takes_its_facts_along() {
    let mut d = Desk::new();
    repaired(&mut d, 1, 1, "leak", 2);
    let amended = TicketAmendedV1 {
        serial: Some(text("B-1")),
        product_id: Some(code("bracket-10")),
        down_since: None,
        ..TicketAmendedV1::sample()
    };
    d.recorded(AggregateKind::Ticket, ticket_id(1), amended, at("3 09:00"), at("9 09:00"));
    let mut q = question("2 00:00", "3 00:00", Some(Group::Product));
    q.now = at("12 00:00");
    let items = d.ask(&q);
    let of =
        |items: &[mw_figures::question::Item], product, f: &str| field(items, "first_time_fix_rate", Some(product), f);
    assert_eq!((of(&items, "bracket-10", "value"), of(&items, "bracket-10", "revision")), (json!("1.0000"), json!(2)));
    assert_eq!((of(&items, "pump-200", "denominator"), of(&items, "pump-200", "revision")), (json!("0"), json!(2)));
    q.revision = Some(1);
    assert_eq!(of(&d.ask(&q), "pump-200", "denominator"), json!("1"));
}

#[test]
fn rm_18_faults_by_tickets_with_hours_and_cost() {
    let mut d = Desk::new();
    let site = r#"{"time_zone":"Europe/Berlin","settings":{"labour_rate":{"amount":"60","currency":"EUR"}}}"#;
    d.put(ReferenceKind::Site, "plant-1", site, "2026-01-01T00:00:00Z");
    for n in 1..=4 {
        repaired(&mut d, n, n as u32, "leak", 2);
    }
    repaired(&mut d, 5, 5, "noise", 3);
    d.open(6, 6, None, "3 09:00");
    consumed(&mut d, 1, 14, &[("seal", "2", "7.50", Coverage::Warranty)], "12:00");
    let cause = FaultClassifiedV1 {
        old: None,
        new: FaultV1 {
            symptom: None,
            cause: Some(code("worn")),
            remedy: None,
            component: None,
            safety_relevant: false,
        },
        severity: None,
    };
    d.tk(1, cause, "13:00");
    let mut q = pareto::Query {
        fault: Fault::Symptom,
        span: question("1 00:00", "9 00:00", None).span,
        site: None,
        line: None,
        cell: None,
        product: None,
        customer: None,
        now: at("9 00:00"),
    };
    let ask = |q: &pareto::Query| pareto(&d.conn, &scope(&["plant-1"]), q, &d.given).unwrap();
    let items = ask(&q);
    let shown: Vec<_> = items
        .iter()
        .map(|i| (i.reason.as_str(), i.count, i.hours.as_str(), i.cumulative_percent.as_str(), i.vital))
        .collect();
    assert_eq!(
        shown,
        [
            ("leak", 4, "8.0000", "66.67", true),
            ("noise", 1, "2.0000", "83.33", true),
            ("unclassified", 1, "0.0000", "100.00", false)
        ]
    );
    // 8 hours at 60.00 and two seals.
    assert_eq!((items[0].cost[0].amount.as_str(), items[0].cost[0].currency.as_str()), ("495.00", "EUR"));
    q.fault = Fault::Cause;
    assert_eq!(
        ask(&q).iter().map(|i| (i.reason.as_str(), i.count)).collect::<Vec<_>>(),
        [("unclassified", 5), ("worn", 1)]
    );
    q.customer = Some(code("other"));
    assert!(ask(&q).is_empty());
    q.customer = Some(code("acme"));
    q.span = question("3 00:00", "4 00:00", None).span;
    assert_eq!(ask(&q).iter().map(|i| i.count).sum::<u64>(), 2);
    assert!(pareto(&d.conn, &scope(&["plant-2"]), &q, &d.given).unwrap().is_empty(), "not of the scope");
}

#[test]
fn what_the_scope_does_not_hold_counts_for_nothing() {
    let mut d = Desk::new();
    repaired(&mut d, 1, 1, "leak", 2);
    let mut internal = scope(&["plant-1"]);
    internal.internal_only = true;
    let q = question("2 00:00", "3 00:00", None);
    for s in [scope(&["plant-2"]), internal] {
        let items = mw_after_service_views::figures::report::kpis(&d.conn, &s, &q, &d.given, 0).unwrap();
        assert_eq!(parts(&items, "first_time_fix_rate"), "0/0");
    }
}

#[test]
fn i5_one_batch_gives_the_same_rows_as_many() {
    let mut d = Desk::new();
    d.delay = 60_000;
    for n in 1..=4 {
        repaired(&mut d, n, n as u32, "leak", 2 + n as u32);
    }
    d.reopen(2, 2, "20 09:00");
    consumed(&mut d, 2, 14, &[("seal", "2", "7.50", Coverage::Warranty)], "20 12:00");
    plan(&mut d, 50, Some("FREQ=MONTHLY"), None);
    let (conn, mut views) = views_in_memory();
    for (commit, event) in &d.log {
        views.apply(&conn, commit, std::slice::from_ref(event)).unwrap();
    }
    views.finish(&conn).unwrap();
    let dump = |c: &rusqlite::Connection| {
        let mut all = Vec::new();
        for table in
            ["fact", "tracked", "plan", "plan_doc", "case_name", "part_use", "case_trace", "case_unit", "case_part"]
        {
            let mut st = c.prepare(&format!("SELECT * FROM {table}")).unwrap();
            let n = st.column_count();
            let mut rows = st.query([]).unwrap();
            while let Some(r) = rows.next().unwrap() {
                let row: Vec<String> = (0..n).map(|i| format!("{:?}", r.get_ref(i).unwrap())).collect();
                all.push(format!("{table}: {}", row.join(" | ")));
            }
        }
        all.sort();
        all
    };
    assert!(dump(&d.conn).len() > 50);
    assert_eq!(dump(&conn), dump(&d.conn));
}
