//! KPIs computed by hand: golden numbers, groups, revisions, and a comparison with the same figures
//! counted second by second.

mod beside;
mod plant;

use std::collections::BTreeSet;

use mw_contract::event::parts::SpanV1;
use mw_contract::event::quality::InspectionRecordedV1;
use mw_contract::event::work_order::*;
use mw_contract::*;
use mw_production_views::figures::calendar::Cut;
use mw_production_views::figures::live::live;
use mw_production_views::figures::pareto::{self, pareto};
use mw_production_views::figures::report::{Group, kpis};
use mw_production_views::figures::spans::Span;
use mw_projection::Projection;
use plant::*;
use proptest::prelude::*;
use serde_json::json;

use SessionKind::{Run, Setup};

const NONE: &[(&str, &str)] = &[];

/// Golden scenario 1: 480 minutes, break 30, setup 25, unplanned stops 40, 350 pieces at 60 s.
fn shift(p: &mut Plant) {
    p.cell("cell-1", "2026-01-02T00:00:00Z");
    p.order(1, "350", "2026-03-02T16:00:00Z", "2026-03-01T06:00:00Z", &[10]);
    p.wo(1, WorkOrderStartedV1 { actual_start: at("06:00") }, at("06:00"));
    p.session(1, 10, 101, "cell-1", Setup, "06:00", "06:25");
    p.start(1, 10, 102, "cell-1", "operator-1", Run, at("06:25"));
    p.pause(1, 10, 102, Some(("break", LossCategory::PlannedStop)), at("10:00"));
    p.session(1, 10, 103, "cell-1", Run, "10:30", "14:00");
    p.downtime(201, "cell-1", Some(("breakdown", LossCategory::Breakdown, false)), at("07:00"), at("07:30"));
    p.downtime(202, "cell-1", Some(("minor_stop", LossCategory::MinorStop, false)), at("11:00"), at("11:10"));
    let pieces = ("336", &[("dimension", "8")][..], &[("surface", "6")][..]);
    p.report(1, 10, 301, "cell-1", QuantitySource::Fresh, pieces, at("13:59"));
}

fn golden(p: &Plant, q: &mw_production_views::figures::report::Question, group: Option<&str>) {
    let items = p.ask(q);
    let v = |name: &str| field(&items, name, group, "value");
    for (name, expected) in [
        ("availability", "0.8556"),
        ("effectiveness", "0.9091"),
        ("quality_ratio", "0.9600"),
        ("oee", "0.7467"),
        ("nee", "0.7952"),
        ("scrap_ratio", "0.0229"),
        ("rework_ratio", "0.0171"),
        // 25 / 410; 385 / (385 + 40).
        ("setup_ratio", "0.0610"),
        ("technical_efficiency", "0.9059"),
        // 336 / 480.
        ("teep", "0.7000"),
        ("first_pass_yield", "0.9600"),
        // One breakdown of 30 minutes in 450.
        ("mtbf", "7.0000"),
    ] {
        assert_eq!(v(name), json!(expected), "{name}");
    }
    assert_eq!(field(&items, "availability", group, "numerator"), json!("23100"));
    assert_eq!(field(&items, "availability", group, "denominator"), json!("27000"));
    assert_eq!(field(&items, "oee", group, "numerator"), json!("20160"));
}

#[test]
fn a_cell_shows_what_this_hour_and_shift_made_beside_what_they_should() {
    let mut p = Plant::new();
    let calendar = r#"{"site":"plant-1","shifts":[{"code":"early","from":"07:00","to":"15:00",
        "days":["mon"],"breaks":[{"from":"11:00","to":"11:30"}]}]}"#;
    p.put(ReferenceKind::ShiftCalendar, "c", calendar, "2026-01-01T00:00:00Z");
    shift(&mut p);
    let shown = |now: &str, sites: &[&str]| live(&p.conn, &scope(sites), at(now)).unwrap();
    let plain = |cells: &serde_json::Value, field: &str| -> Option<String> {
        cells["cell-1"][field].as_str().map(|t| mw_production_views::columns::plain_number(t).to_owned())
    };
    // 59 of the hour's 60 minutes and 449 of the shift's 450 planned ones are over; a piece takes one.
    let cells = shown("13:59", &["plant-1"]);
    assert_eq!(plain(&cells, "target_hour").as_deref(), Some("59"), "{cells}");
    assert_eq!(plain(&cells, "target_shift").as_deref(), Some("449"));
    assert_eq!(plain(&cells, "good_hour").as_deref(), Some("336"), "the report is of 13:59 itself");
    assert_eq!(plain(&shown("2026-03-02T13:58:59Z", &["plant-1"]), "good_hour").as_deref(), Some("0"));
    let cells = shown("2026-03-02T13:59:30Z", &["plant-1"]);
    assert_eq!(plain(&cells, "good_hour").as_deref(), Some("336"));
    assert_eq!(plain(&cells, "good_shift").as_deref(), Some("336"));
    // 336 minutes of 449.5.
    assert_eq!(plain(&cells, "oee").as_deref(), Some("0.7475"));
    assert_eq!(cells["cell-1"]["shift"], "2026-03-02 early");
    // After the shift nothing is of a shift; the hour asks for nothing.
    let cells = shown("14:30", &["plant-1"]);
    assert_eq!(
        (plain(&cells, "target_hour").as_deref(), plain(&cells, "good_hour").as_deref()),
        (Some("0"), Some("0"))
    );
    assert_eq!((plain(&cells, "good_shift"), plain(&cells, "oee")), (None, None), "{cells}");
    assert_eq!(shown("2026-03-02T13:59:30Z", &["plant-2"]), json!({}), "not of the scope");
    // In an hour without a report the last one says how long a piece takes.
    assert_eq!(plain(&shown("13:30", &["plant-1"]), "target_hour").as_deref(), None);
}

#[test]
fn golden_oee_without_a_calendar_and_with_one() {
    let mut p = Plant::new();
    shift(&mut p);
    golden(&p, &question("06:00", "14:00", None), None);
    golden(&p, &question("06:00", "14:00", Some(Group::Cell)), Some("cell-1"));
    golden(&p, &question("06:00", "14:00", Some(Group::Product)), Some("pump-200"));

    let mut p = Plant::new();
    let calendar = r#"{"site":"plant-1","shifts":[{"code":"early","from":"07:00","to":"15:00",
        "days":["mon"],"breaks":[{"from":"11:00","to":"11:30"}]}]}"#;
    p.put(ReferenceKind::ShiftCalendar, "c", calendar, "2026-01-01T00:00:00Z");
    shift(&mut p);
    golden(&p, &question("00:00", "23:00", Some(Group::Time(Cut::Shift))), Some("2026-03-02 early"));
    let day = p.ask(&question("00:00", "22:00", None));
    assert_eq!(field(&day, "availability", None, "denominator"), json!("27000"), "outside of shifts is not planned");
}

#[test]
fn iso_counts_one_failure_more() {
    let mut p = Plant::new();
    p.cell("cell-1", "2026-01-02T00:00:00Z");
    let broken = Some(("breakdown", LossCategory::Breakdown, false));
    for (n, day, hours) in [(1, "03", 2), (2, "10", 4), (3, "20", 6)] {
        let from = at(&format!("2026-03-{day}T08:00:00Z"));
        p.downtime(n, "cell-1", broken, from, from.plus_millis(hours * 3_600_000));
    }
    let q = question("2026-03-01T00:00:00Z", "2026-03-31T00:00:00Z", None);
    assert_eq!(value(&p.ask(&q), "mtbf"), "236.0000");
    assert_eq!(value(&p.ask(&q), "mttr_h"), "4.0000");
    assert_eq!(value(&p.ask(&q), "availability_by_restoration"), "0.9833");
    let iso = r#"{"time_zone":"Europe/Berlin","settings":{"mtbf_iso":true}}"#;
    p.put(ReferenceKind::Site, "plant-1", iso, "2026-03-01T00:00:00Z");
    let items = p.ask(&q);
    assert_eq!(value(&items, "mtbf"), "177.0000");
    assert_eq!(value(&items, "mttr_h"), "3.0000");
    assert_eq!(field(&items, "mtbf", None, "numerator"), json!("708"));
    assert_eq!(value(&items, "availability"), "0.0000");
    assert_eq!(value(&items, "effectiveness"), "null", "nothing ran");
}

fn completed(p: &mut Plant, n: u128, good: &str, when: Instant) {
    let event = WorkOrderCompletedV1 {
        good: qty(good),
        scrap: Qty::ZERO,
        rework: Qty::ZERO,
        actual_start: None,
        actual_end: when,
        material_variance: Vec::new(),
        short_closed: false,
        note: None,
    };
    p.wo(n, event, when);
}

#[test]
fn orders_on_time_in_full_and_how_long_they_take() {
    let mut p = Plant::new();
    for (n, planned, good, hours, due) in
        [(1u128, "100", "64", 2, "08:00"), (2, "10", "10", 4, "12:00"), (3, "10", "10", 9, "16:00")]
    {
        p.order(n, planned, due, "05:00", &[10]);
        p.wo(n, WorkOrderStartedV1 { actual_start: at("06:00") }, at("06:00"));
        p.report(n, 10, 300 + n, "cell-1", QuantitySource::Fresh, (good, NONE, NONE), at("06:30"));
        if n == 2 {
            let later =
                WorkOrderDueDateChangedV1 { old: at("12:00"), new: at("09:00"), reason: code("other"), note: None };
            p.wo(n, later, at("07:00"));
        }
        completed(&mut p, n, good, at("06:00").plus_millis(hours * 3_600_000));
    }
    p.order(4, "5", "20:00", "05:00", &[10]);
    p.wo(4, WorkOrderStartedV1 { actual_start: at("12:00") }, at("12:00"));
    let items = p.ask(&question("06:00", "18:00", None));
    // Due now: 08:00, 09:00, 16:00 against the ends 08:00, 10:00, 15:00.
    assert_eq!(value(&items, "on_time_completion"), "0.6667");
    assert_eq!(value(&items, "on_time_completion_at_release"), "1.0000");
    // (64 + 10 + 10) / 120.
    assert_eq!(value(&items, "quantity_fulfilment"), "0.7000");
    // Leads 3, 5 and 10 h; the fourth order is 6 h old.
    assert_eq!(value(&items, "lead_time"), "5.0000");
    assert_eq!(field(&items, "lead_time", None, "p90"), json!("10.0000"));
    assert_eq!(value(&items, "wip_age"), "6.0000");
    // 84 pieces in 2 + 4 + 9 + 6 hours of orders.
    assert_eq!(value(&items, "throughput_rate"), "4.0000");
    let first = p.ask(&question("06:00", "09:00", None));
    assert_eq!(value(&first, "quantity_fulfilment"), "0.6400", "a short-closed order counts what is missing");
    assert_eq!(field(&first, "lead_time", None, "denominator"), json!("1"));
    assert_eq!(field(&first, "wip_age", None, "denominator"), json!("2"));
}

#[test]
fn first_pass_yield_is_inspected_where_it_was_and_rolls_over_operations() {
    let mut p = Plant::new();
    p.order(1, "100", "20:00", "05:00", &[10, 20]);
    p.report(1, 10, 1, "cell-1", QuantitySource::Fresh, ("90", &[("dimension", "10")], NONE), at("07:00"));
    p.report(1, 20, 2, "cell-2", QuantitySource::Fresh, ("80", NONE, &[("surface", "10")]), at("08:00"));
    // What comes back from rework is neither produced nor good at first; what fails there is scrap.
    p.report(1, 20, 3, "cell-2", QuantitySource::Rework, ("8", &[("surface", "2")], NONE), at("09:00"));
    let inspected = InspectionRecordedV1 {
        inspection_id: entity(9),
        op: Some(20),
        kind: InspectionKind::InProcess,
        sample_size: 20,
        serials: Vec::new(),
        lot: None,
        results: Vec::new(),
        verdict: Verdict::Conditional,
        defects: vec![mw_contract::event::parts::DefectV1 { code: code("scratch"), qty: qty("5") }],
        attachments: Vec::new(),
        inspector: code("inspector-1"),
        note: None,
    };
    p.wo(1, inspected, at("09:30"));
    let items = p.ask(&question("06:00", "14:00", None));
    // 90 of 100 as reported, 15 of 20 as inspected.
    assert_eq!(field(&items, "first_pass_yield", None, "numerator"), json!("105"));
    assert_eq!(field(&items, "first_pass_yield", None, "denominator"), json!("120"));
    assert_eq!(field(&items, "first_pass_yield", None, "rolled"), json!("0.6750"));
    // 170 good of 190; 12 scrapped.
    assert_eq!(value(&items, "quality_ratio"), "0.8947");
    assert_eq!(field(&items, "scrap_ratio", None, "numerator"), json!("12"));
}

#[test]
fn labour_is_shared_and_never_that_of_one_person() {
    let mut p = Plant::new();
    p.order(1, "10", "20:00", "05:00", &[10, 20]);
    for (n, who) in [(1, "anna"), (2, "bert")] {
        let doc = format!(r#"{{"account":"{who}","from":"2026-03-02T06:00:00.000Z","to":"2026-03-02T14:00:00.000Z"}}"#);
        p.put(ReferenceKind::Availability, &format!("a-{n}"), &doc, "05:30");
    }
    // Two sessions of anna overlap for an hour: her labour is 5 h, not 6.
    for (id, op, cell, who, from, to) in [
        (1, 10, "cell-1", "anna", "06:00", "09:00"),
        (2, 20, "cell-2", "anna", "08:00", "11:00"),
        (3, 10, "cell-1", "bert", "07:00", "10:00"),
    ] {
        p.start(1, op, id, cell, who, Run, at(from));
        p.pause(1, op, id, None, at(to));
    }
    let items = p.ask(&question("06:00", "14:00", None));
    assert_eq!(value(&items, "worker_efficiency"), "0.5000");
    assert_eq!(field(&items, "worker_efficiency", None, "denominator"), json!("57600"));
    // Machine time is the union: 06:00 to 10:00, and 08:00 to 11:00.
    assert_eq!(field(&items, "availability", None, "numerator"), json!("25200"));
    let cells = p.ask(&question("06:00", "14:00", Some(Group::Cell)));
    // 2.5 h of anna and 3 h of bert.
    assert_eq!(field(&cells, "worker_efficiency", Some("cell-1"), "numerator"), json!("19800"));
    assert_eq!(field(&cells, "worker_efficiency", Some("cell-2"), "value"), json!(null));
    assert_eq!(field(&cells, "worker_efficiency", Some("cell-2"), "numerator"), json!(null));
}

#[test]
fn without_told_attendance_people_were_there_in_the_shifts_they_worked_in() {
    let mut p = Plant::new();
    let calendar = r#"{"site":"plant-1","shifts":[
        {"code":"early","from":"07:00","to":"15:00","days":["mon"],"breaks":[{"from":"11:00","to":"11:30"}]},
        {"code":"late","from":"15:00","to":"23:00","days":["mon"]}]}"#;
    p.put(ReferenceKind::ShiftCalendar, "c", calendar, "2026-01-01T00:00:00Z");
    p.order(1, "10", "20:00", "05:00", &[10]);
    for (id, who) in [(1, "anna"), (2, "bert")] {
        p.start(1, 10, id, "cell-1", who, Run, at("06:00"));
        p.pause(1, 10, id, None, at("09:00"));
    }
    let items = p.ask(&question("00:00", "22:00", None));
    assert_eq!(field(&items, "worker_efficiency", None, "numerator"), json!("21600"));
    assert_eq!(field(&items, "worker_efficiency", None, "denominator"), json!((2 * 27000).to_string()));
}

#[test]
fn a_planned_pause_stops_the_cell_until_work_goes_on_or_ends() {
    let mut p = Plant::new();
    p.order(1, "10", "20:00", "05:00", &[10]);
    let cleaning = Some(("cleaning", LossCategory::PlannedStop));
    p.start(1, 10, 1, "cell-1", "anna", Run, at("06:00"));
    p.start(1, 10, 2, "cell-1", "bert", Run, at("06:00"));
    // Bert works on: the cell does not stop.
    p.pause(1, 10, 1, cleaning, at("07:00"));
    p.pause(1, 10, 2, cleaning, at("08:00"));
    let pbt = |p: &Plant| field(&p.ask(&question("06:00", "14:00", None)), "availability", None, "denominator");
    assert_eq!(pbt(&p), json!((2 * 3600).to_string()), "it has not ended yet");
    completed(&mut p, 1, "0", at("09:00"));
    assert_eq!(pbt(&p), json!((7 * 3600).to_string()));
}

#[test]
fn a_correction_after_a_day_is_a_new_revision_and_the_first_one_stays() {
    let mut p = Plant::new();
    shift(&mut p);
    let mut q = question("06:00", "14:00", None);
    let items = p.ask(&q);
    assert_eq!(field(&items, "oee", None, "provisional"), json!(true));
    p.correct(1, 10, 301, "300", at("15:00"), at("2026-03-03T10:00:00Z"));
    q.now = at("2026-03-03T14:00:00Z");
    let items = p.ask(&q);
    let state = |items: &[_], name: &str| {
        let f = |x| field(items, name, None, x);
        (f("revision"), f("provisional"), f("numerator"), f("late_events_after"))
    };
    // Corrected before it was final: still the first revision.
    assert_eq!(state(&items, "oee"), (json!(1), json!(false), json!("18000"), json!(0)));

    p.correct(1, 10, 301, "310", at("15:00"), at("2026-03-05T10:00:00Z"));
    let span = |from: &str, to: &str| SpanV1 { started_at: at(from), ended_at: Some(at(to)) };
    let corrected = OperationSessionCorrectedV1 {
        op: 10,
        session_id: entity(103),
        old: span("10:30", "14:00"),
        new: span("10:30", "13:00"),
        reason: code("other"),
        note: None,
    };
    let recorded = at("2026-03-06T10:00:00Z");
    p.recorded(AggregateKind::WorkOrder, order_id(1), corrected.into(), at("16:00"), recorded);
    q.now = at("2026-03-07T00:00:00Z");
    assert_eq!(state(&p.ask(&q), "oee"), (json!(3), json!(false), json!("18600"), json!(0)));
    assert_eq!(state(&p.ask(&q), "availability").2, json!("19500"));
    for (revision, good, run, later) in [(1, "18000", "23100", 2), (2, "18600", "23100", 1), (3, "18600", "19500", 0)] {
        q.revision = Some(revision);
        let items = p.ask(&q);
        assert_eq!(state(&items, "oee"), (json!(revision), json!(false), json!(good), json!(later)));
        assert_eq!(state(&items, "availability").2, json!(run));
    }
    q.revision = Some(4);
    assert!(p.ask(&q).is_empty());
    // The hours before are untouched by what was corrected after them.
    q = question("06:00", "10:00", None);
    q.now = at("2026-03-07T00:00:00Z");
    assert_eq!(field(&p.ask(&q), "oee", None, "revision"), json!(1));
}

#[test]
fn what_ends_after_the_interval_and_documents_of_later_change_nothing_that_is_final() {
    let mut p = Plant::new();
    p.cell("cell-1", "2026-01-02T00:00:00Z");
    p.order(1, "10", "20:00", "05:00", &[10]);
    p.wo(1, WorkOrderStartedV1 { actual_start: at("06:00") }, at("06:00"));
    p.start(1, 10, 1, "cell-1", "operator-1", Run, at("06:00"));
    p.pause(1, 10, 1, None, at("2026-03-09T06:00:00Z"));
    completed(&mut p, 1, "0", at("2026-03-09T07:00:00Z"));
    let calendar = r#"{"site":"plant-1","shifts":[{"code":"early","from":"07:00","to":"09:00","days":["mon"]}]}"#;
    p.put(ReferenceKind::ShiftCalendar, "c", calendar, "2026-03-09T08:00:00Z");
    let mut q = question("06:00", "14:00", None);
    q.now = at("2026-03-10T00:00:00Z");
    let items = p.ask(&q);
    assert_eq!(value(&items, "availability"), "1.0000");
    assert_eq!(field(&items, "availability", None, "revision"), json!(1));
    assert_eq!(value(&items, "wip_age"), "8.0000");
    assert_eq!(value(&items, "allocation_ratio"), "1.0000");
}

#[test]
fn a_day_that_lost_an_hour_has_23() {
    let mut p = Plant::new();
    p.cell("cell-1", "2026-01-02T00:00:00Z");
    let mut q = question("2026-03-28T23:00:00Z", "2026-03-30T22:00:00Z", Some(Group::Time(Cut::Day)));
    q.now = at("2026-04-10T00:00:00Z");
    let items = p.ask(&q);
    let hours = |day: &str| field(&items, "teep", Some(day), "denominator");
    assert_eq!(hours("2026-03-29"), json!((23 * 3600).to_string()));
    assert_eq!(hours("2026-03-30"), json!((24 * 3600).to_string()));
}

#[test]
fn planned_stops_and_splits_and_scope() {
    let mut p = Plant::new();
    p.cell("cell-1", "2026-01-02T00:00:00Z");
    p.downtime(1, "cell-1", None, at("08:00"), at("10:00"));
    let cell_id: CellId = code("cell-1");
    let split = mw_contract::event::equipment::DowntimeSplitV1 {
        downtime_id: entity(1),
        cell_id: cell_id.clone(),
        split_at: at("09:00"),
        new_downtime_id: entity(2),
    };
    p.event(AggregateKind::Equipment, equipment_id(&cell_id), split.into(), at("10:05"));
    let q = question("06:00", "14:00", None);
    assert_eq!(field(&p.ask(&q), "technical_efficiency", None, "denominator"), json!("7200"));
    let classified = mw_contract::event::equipment::DowntimeClassifiedV1 {
        downtime_id: entity(2),
        cell_id: cell_id.clone(),
        old_reason: None,
        reason: code("cleaning"),
        loss_category: Some(LossCategory::PlannedStop),
        planned: true,
        note: None,
    };
    p.event(AggregateKind::Equipment, equipment_id(&cell_id), classified.into(), at("10:10"));
    let items = p.ask(&q);
    assert_eq!(field(&items, "technical_efficiency", None, "denominator"), json!("3600"));
    assert_eq!(field(&items, "availability", None, "denominator"), json!((7 * 3600).to_string()));
    let elsewhere = kpis(&p.conn, &scope(&["plant-2"]), &q, &[], 0).unwrap();
    assert_eq!(field(&elsewhere, "availability", None, "denominator"), json!("0"));
}

fn pareto_of(p: &Plant, kind: pareto::Kind) -> Vec<pareto::Item> {
    let span = Span::new(at("06:00").millis(), at("14:00").millis());
    let q = pareto::Query { kind, span, site: None, line: None, cell: None, product: None, now: at("23:00") };
    pareto(&p.conn, &scope(&["plant-1"]), &q).unwrap()
}

#[test]
fn rm_18_stops_by_hours_and_pieces_by_reason() {
    let mut p = Plant::new();
    shift(&mut p);
    p.downtime(203, "cell-1", None, at("13:30"), at("15:00"));
    let stops = pareto_of(&p, pareto::Kind::StopReason);
    let row = |i: &pareto::Item| (i.reason.clone(), i.count, i.hours.clone().unwrap(), i.cumulative_percent.clone());
    let rows: Vec<_> = stops.iter().map(row).collect();
    // 30 minutes each, and 10.
    let expected =
        [("break", "0.5000", "30.00"), ("breakdown", "0.5000", "60.00"), ("unclassified", "0.5000", "90.00")];
    for (got, (reason, hours, percent)) in rows.iter().zip(expected) {
        assert_eq!(*got, (reason.to_owned(), 1, hours.to_owned(), percent.to_owned()));
    }
    assert_eq!(rows[3].3, "100.00");
    assert_eq!(stops.iter().map(|i| i.vital).collect::<Vec<_>>(), [true, true, true, false]);
    p.report(
        1,
        10,
        302,
        "cell-1",
        QuantitySource::Fresh,
        ("0", &[("surface", "2"), ("dimension", "1")], NONE),
        at("13:00"),
    );
    let scrap = pareto_of(&p, pareto::Kind::ScrapReason);
    assert_eq!((scrap[0].reason.as_str(), scrap[0].count, scrap[0].quantity.as_deref()), ("dimension", 2, Some("9")));
    assert_eq!(scrap[0].percent, "81.82");
    assert_eq!(scrap.iter().map(|i| i.vital).collect::<Vec<_>>(), [true, false]);
    assert_eq!(pareto_of(&p, pareto::Kind::ReworkReason)[0].quantity.as_deref(), Some("6"));
}

fn rows(conn: &rusqlite::Connection) -> Vec<String> {
    let mut all = Vec::new();
    for table in ["fact", "tracked", "document"] {
        let mut st = conn.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let n = st.column_count();
        let mut rows = st.query([]).unwrap();
        while let Some(r) = rows.next().unwrap() {
            all.push((0..n).map(|i| format!("{:?}", r.get_ref(i).unwrap())).collect::<Vec<_>>().join("|"));
        }
    }
    all
}

#[test]
fn i5_one_batch_gives_the_same_rows_as_many() {
    let mut p = Plant::new();
    shift(&mut p);
    p.correct(1, 10, 301, "310", at("15:00"), at("2026-03-05T10:00:00Z"));
    completed(&mut p, 1, "310", at("15:30"));
    let (conn, mut views) = views_in_memory();
    for (commit, event) in &p.log {
        views.apply(&conn, commit, std::slice::from_ref(event)).unwrap();
    }
    views.finish(&conn).unwrap();
    assert_eq!(rows(&conn), rows(&p.conn));
}

/// One session or downtime: minute it begins, minutes it lasts, cell.
type Bar = (i64, i64, usize);

const CELLS: [&str; 2] = ["cell-1", "cell-2"];

fn minute(m: i64) -> Instant {
    at("06:00").plus_millis(m * 60_000)
}

fn covered(bars: &[&Bar], cell: usize, m: i64) -> bool {
    bars.iter().any(|(from, long, c)| *c == cell && (*from..from + long).contains(&m))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Machine times against a count of minutes, one after the other.
    #[test]
    fn times_are_those_that_a_clerk_would_count(
        sessions in prop::collection::vec((-30i64..200, 1i64..90, 0usize..2, any::<bool>()), 0..8),
        stops in prop::collection::vec((-30i64..200, 1i64..60, 0usize..2, 0u8..3), 0..6),
        from in 0i64..60,
        long in 10i64..160,
    ) {
        let mut p = Plant::new();
        for c in CELLS {
            p.cell(c, "2026-01-02T00:00:00Z");
        }
        p.order(1, "10", "20:00", "04:00", &[10]);
        for (i, (start, minutes, cell, setup)) in sessions.iter().enumerate() {
            let kind = if *setup { Setup } else { Run };
            let who = format!("operator-{i}");
            p.start(1, 10, 100 + i as u128, CELLS[*cell], &who, kind, minute(*start));
            p.pause(1, 10, 100 + i as u128, None, minute(start + minutes));
        }
        for (i, (start, minutes, cell, kind)) in stops.iter().enumerate() {
            let why = match kind {
                0 => None,
                1 => Some(("breakdown", LossCategory::Breakdown, false)),
                _ => Some(("cleaning", LossCategory::PlannedStop, true)),
            };
            p.downtime(200 + i as u128, CELLS[*cell], why, minute(*start), minute(start + minutes));
        }
        let (mut apt, mut aust, mut adot, mut pbt, mut operating) = (0i64, 0, 0, 0, 0);
        let bars = |setup: bool| sessions.iter().filter(move |s| s.3 == setup).map(|s| (s.0, s.1, s.2)).collect::<Vec<Bar>>();
        let downs = |kinds: &'static [u8]| stops.iter().filter(move |s| kinds.contains(&s.3)).map(|s| (s.0, s.1, s.2)).collect::<Vec<Bar>>();
        let (run, setup) = (bars(false), bars(true));
        let (any, unplanned, planned, broken) = (downs(&[0, 1, 2]), downs(&[0, 1]), downs(&[2]), downs(&[1]));
        for cell in 0..2 {
            for m in from..from + long {
                let is = |all: &[Bar]| covered(&all.iter().collect::<Vec<_>>(), cell, m);
                apt += i64::from(is(&run) && !is(&any));
                aust += i64::from(is(&setup));
                adot += i64::from(is(&unplanned));
                pbt += i64::from(!is(&planned));
                operating += i64::from(!is(&planned) && !is(&broken));
            }
        }
        let failures = broken.iter().filter(|b| (from..from + long).contains(&b.0)).count();
        let mut q = question("06:00", "07:00", None);
        q.span = Span::new(minute(from).millis(), minute(from + long).millis());
        let items = p.ask(&q);
        let of = |name: &str| (field(&items, name, None, "numerator"), field(&items, name, None, "denominator"));
        let s = |m: i64| json!((m * 60).to_string());
        prop_assert_eq!(of("availability"), (s(apt), s(pbt)));
        prop_assert_eq!(of("setup_ratio"), (s(aust), s(apt + aust)));
        prop_assert_eq!(of("technical_efficiency"), (s(apt), s(apt + adot)));
        prop_assert_eq!(of("mtbf").1, json!(failures.to_string()));
        let hours = (rust_decimal::Decimal::from(operating) / rust_decimal::Decimal::from(60)).round_dp(6).normalize();
        prop_assert_eq!(of("mtbf").0, json!(hours.to_string()));
        // Cells add up to the whole, and so do hours.
        q.group = Some(Group::Cell);
        let cells = p.ask(&q);
        let groups: BTreeSet<String> = cells.iter().filter_map(|i| i.fields["group"].as_str().map(str::to_owned)).collect();
        let sum: i64 = groups.iter().map(|g| field(&cells, "availability", Some(g), "numerator").as_str().unwrap().parse::<i64>().unwrap()).sum();
        prop_assert_eq!(sum, apt * 60);
    }
}
