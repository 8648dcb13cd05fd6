//! What the figures of both systems need of production: time to restoration, units, counters.

use mw_contract::event::equipment::*;
use mw_contract::event::unit::*;
use mw_contract::*;
use mw_figures::given::{DownSince, Known, UnitPart};
use mw_figures::spans::Span;
use mw_production_views::figures::beside::{cell_of, counter, given};
use mw_production_views::figures::report::kpis;

use crate::plant::*;

const OPEN: i64 = i64::MAX;
const BROKEN: Option<(&str, LossCategory, bool)> = Some(("breakdown", LossCategory::Breakdown, false));

fn alarm(p: &mut Plant, n: u128, raised: &str, recorded: &str) {
    let cell: CellId = code("cell-1");
    let event = AlarmRaisedV1 {
        alarm_id: entity(n),
        cell_id: cell.clone(),
        code: code("a-1"),
        severity: 800,
        text: None,
        raised_at: at(raised),
    };
    p.recorded(AggregateKind::Equipment, equipment_id(&cell), event.into(), at(raised), at(recorded));
}

fn cleared(p: &mut Plant, n: u128, when: &str) {
    let cell: CellId = code("cell-1");
    let event = AlarmClearedV1 {
        alarm_id: entity(n),
        cell_id: cell.clone(),
        code: code("a-1"),
        cleared_at: at(when),
        active_for: Seconds(0),
    };
    p.event(AggregateKind::Equipment, equipment_id(&cell), event.into(), at(when));
}

#[test]
fn k_19_restoration_begins_with_the_alarm_and_ends_with_the_downtime() {
    let mut p = Plant::new();
    p.cell("cell-1", "2026-01-02T00:00:00Z");
    // Cleared before anything stood still: it was another trouble.
    alarm(&mut p, 1, "05:00", "05:00");
    cleared(&mut p, 1, "05:30");
    alarm(&mut p, 2, "06:00", "06:00");
    p.downtime(201, "cell-1", BROKEN, at("07:00"), at("08:00"));
    let q = question("00:00", "20:00", None);
    assert_eq!(value(&p.ask(&q), "mttr_h"), "2.0000", "from the alarm at six");
    // 20 hours without 2: the lead is no operating time.
    assert_eq!(field(&p.ask(&q), "availability_by_restoration", None, "numerator"), "64800");
    cleared(&mut p, 2, "08:00");
    // A minor stop is no failure.
    p.downtime(202, "cell-1", Some(("minor_stop", LossCategory::MinorStop, false)), at("10:00"), at("11:00"));
    assert_eq!(value(&p.ask(&q), "mttr_h"), "2.0000");
    // What began in the interval counts whole, also where it ended after it.
    p.downtime(203, "cell-1", BROKEN, at("19:00"), at("2026-03-03T01:00:00Z"));
    let items = p.ask(&q);
    assert_eq!(value(&items, "mttr_h"), "4.0000");
    // 20 h less 2 and the one hour of it that lies inside.
    assert_eq!(value(&items, "availability_by_restoration"), "0.8500");
}

#[test]
fn k_19_an_alarm_that_came_in_late_moves_the_beginning() {
    let mut p = Plant::new();
    p.cell("cell-1", "2026-01-02T00:00:00Z");
    let cell_id: CellId = code("cell-1");
    let event = DowntimeStartedV1 {
        downtime_id: entity(201),
        cell_id: cell_id.clone(),
        reason: Some(code("breakdown")),
        loss_category: Some(LossCategory::Breakdown),
        planned: false,
        work_order_id: None,
        op: None,
        note: None,
    };
    let stream = equipment_id(&cell_id);
    p.event(AggregateKind::Equipment, stream, event.into(), at("07:00"));
    alarm(&mut p, 2, "06:30", "07:05");
    let event = DowntimeEndedV1 { downtime_id: entity(201), cell_id, duration: Seconds(0) };
    p.event(AggregateKind::Equipment, stream, event.into(), at("08:00"));
    assert_eq!(value(&p.ask(&question("00:00", "20:00", None)), "mttr_h"), "1.5000");
}

#[test]
fn k_19_what_a_ticket_says_counts_from_when_it_said_so() {
    let mut p = Plant::new();
    p.cell("cell-1", "2026-01-02T00:00:00Z");
    p.downtime(201, "cell-1", BROKEN, at("07:00"), at("08:00"));
    let told = |since: &str, until: Option<&str>, known: &str| DownSince {
        equipment: equipment_id(&code("cell-1")),
        since: at(since).millis(),
        until: until.map_or(OPEN, |u| at(u).millis()),
        known: Known { from: at(known).millis(), until: OPEN },
    };
    let mut q = question("00:00", "20:00", None);
    q.now = at("2026-03-09T00:00:00Z");
    let ask = |q: &_, down: &[DownSince]| kpis(&p.conn, &scope(&["plant-1"]), q, down, 0).unwrap();
    let mttr = |down: &[DownSince]| value(&ask(&q, down), "mttr_h");
    assert_eq!(mttr(&[]), "1.0000");
    assert_eq!(mttr(&[told("05:00", None, "07:00")]), "3.0000");
    assert_eq!(mttr(&[told("05:00", Some("06:00"), "06:00")]), "1.0000", "resolved before it stood still");
    assert_eq!(mttr(&[told("07:30", None, "07:30")]), "1.0000", "later than the downtime itself");
    let elsewhere = DownSince { equipment: equipment_id(&code("cell-2")), ..told("05:00", None, "07:00") };
    assert_eq!(mttr(&[elsewhere]), "1.0000");
    // Said five days later it is another revision.
    let late = [told("05:00", None, "2026-03-07T00:00:00Z")];
    assert_eq!(field(&ask(&q, &late), "mttr_h", None, "revision"), 2);
    q.revision = Some(1);
    assert_eq!(value(&ask(&q, &late), "mttr_h"), "1.0000");
}

#[test]
fn k_19_a_ticket_that_stays_open_speaks_of_the_downtime_that_it_was_opened_for_only() {
    let mut p = Plant::new();
    p.cell("cell-1", "2026-01-02T00:00:00Z");
    p.downtime(201, "cell-1", BROKEN, at("07:00"), at("08:00"));
    p.downtime(202, "cell-1", BROKEN, at("12:00"), at("12:30"));
    let open = DownSince {
        equipment: equipment_id(&code("cell-1")),
        since: at("06:30").millis(),
        until: OPEN,
        known: Known { from: at("06:40").millis(), until: OPEN },
    };
    let mut q = question("00:00", "20:00", None);
    q.now = at("2026-03-09T00:00:00Z");
    // An hour and a half for the first, half an hour for the second.
    let figures = kpis(&p.conn, &scope(&["plant-1"]), &q, &[open], 0).unwrap();
    assert_eq!(value(&figures, "mttr_h"), "1.0000");
}

fn unit(n: u32) -> (AggregateId, ProductId, Text<60>) {
    let (product, serial) = (code::<ProductId>("pump-200"), Text::new(&format!("SN-{n}")).unwrap());
    (ids::unit_id(&product, &serial), product, serial)
}

fn made(p: &mut Plant, n: u32) -> AggregateId {
    let (id, product_id, serial) = unit(n);
    let event = ProductUnitRegisteredV1 {
        serial,
        product_id,
        product_rev: None,
        lot: Some(Text::new("L-1").unwrap()),
        work_order_id: Some(order_id(1)),
        site_id: code("plant-1"),
        result: UnitResult::Good,
        as_built: vec![],
        firmware: None,
        produced_at: at("06:00"),
    };
    p.event(AggregateKind::Unit, id, event.into(), at("06:00"));
    id
}

#[test]
fn units_are_shipped_once_and_under_warranty_until_it_ends() {
    let mut p = Plant::new();
    p.order(1, "2", "2026-03-09T00:00:00Z", "05:00", &[10]);
    p.wo(1, event::work_order::WorkOrderStartedV1 { actual_start: at("05:30") }, at("05:30"));
    let id = made(&mut p, 1);
    made(&mut p, 2);
    let (_, product_id, serial) = unit(1);
    let shipped =
        UnitShippedV1 { serial: serial.clone(), product_id, customer_id: code("acme"), shipped_at: at("09:00") };
    p.event(AggregateKind::Unit, id, shipped.into(), at("09:00"));
    let warranty = WarrantyStartedV1 {
        serial: serial.clone(),
        start: code("2026-03-02"),
        end: code("2028-03-01"),
        basis: WarrantyBasis::ShipDate,
        counter_name: None,
        counter_limit: None,
    };
    p.event(AggregateKind::Unit, id, warranty.into(), at("09:00"));
    let year = |y: u32| {
        Span::new(at(&format!("{y}-01-01T00:00:00Z")).millis(), at(&format!("{}-01-01T00:00:00Z", y + 1)).millis())
    };
    let of = |p: &Plant, sites: &[&str], span| {
        let all = given(&p.conn, &scope(sites), span, true).unwrap().units;
        all.into_iter()
            .filter(|u| u.known.until == OPEN)
            .map(|u| (u.part, u.span.until, u.line, u.lot))
            .collect::<Vec<_>>()
    };
    let both = of(&p, &["plant-1"], year(2026));
    assert_eq!(both.iter().map(|u| u.0).collect::<Vec<_>>(), [UnitPart::Shipped, UnitPart::Warranty]);
    assert_eq!((both[0].2.as_ref().map(|l| l.as_str()), both[0].3.as_deref()), (Some("line-1"), Some("L-1")));
    // The last day counts, as the site has it.
    assert_eq!(both[1].1, at("2028-03-01T23:00:00Z").millis());
    assert_eq!(of(&p, &["plant-1"], year(2027)).len(), 1);
    assert_eq!(of(&p, &["plant-1"], year(2029)).len(), 0);
    assert_eq!(of(&p, &["plant-2"], year(2026)).len(), 0, "not of the scope");
    let longer = WarrantyExtendedV1 {
        serial: serial.clone(),
        old_end: code("2028-03-01"),
        new_end: code("2029-03-01"),
        reason: code("other"),
        note: None,
    };
    p.event(AggregateKind::Unit, id, longer.into(), at("10:00"));
    assert_eq!(of(&p, &["plant-1"], year(2029)).len(), 1);
    let void = WarrantyVoidedV1 { serial, reason: code("misuse"), note: None };
    p.event(AggregateKind::Unit, id, void.into(), at("11:00"));
    assert_eq!(of(&p, &["plant-1"], year(2027)).len(), 0);
    assert!(given(&p.conn, &scope(&["plant-1"]), year(2026), false).unwrap().units.is_empty(), "nobody asked");
}

#[test]
fn a_counter_tells_what_it_shows_and_its_mean_use_of_30_days() {
    let mut p = Plant::new();
    p.cell("cell-1", "2026-01-02T00:00:00Z");
    let cell: CellId = code("cell-1");
    let id = equipment_id(&cell);
    let read = |p: &mut Plant, when: &str, cumulative: &str| {
        let event = CounterRecordedV1 {
            cell_id: code("cell-1"),
            name: code("hours"),
            value: code("1"),
            cumulative: code(cumulative),
            unit: None,
            reset: false,
        };
        p.event(AggregateKind::Equipment, id, event.into(), at(when));
    };
    let now = at("2026-03-11T08:00:00Z");
    let ask = |p: &Plant, now| counter(&p.conn, id, "hours", now).unwrap();
    assert_eq!(ask(&p, now), None);
    read(&mut p, "2026-01-01T08:00:00Z", "100");
    assert_eq!(ask(&p, now).unwrap().daily, None, "one reading says nothing of use");
    // The last one before the 30 days, and of a day the last one.
    read(&mut p, "2026-02-09T08:00:00Z", "1000");
    read(&mut p, "2026-03-11T07:00:00Z", "1290");
    read(&mut p, "2026-03-11T08:00:00Z", "1300");
    read(&mut p, "2026-03-11T06:00:00Z", "1280");
    let c = ask(&p, now).unwrap();
    assert_eq!((c.now.to_string(), c.daily.map(|d| d.normalize().to_string())), ("1300".into(), Some("10".into())));
    assert_eq!(ask(&p, at("2026-02-10T00:00:00Z")).unwrap().now.to_string(), "1000", "as it stood then");
    assert_eq!(cell_of(&p.conn, id).unwrap().as_deref(), Some("cell-1"));
    assert_eq!(cell_of(&p.conn, order_id(9)).unwrap(), None);
}
