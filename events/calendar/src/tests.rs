//! Against a counter that looks at every minute by itself.

use jiff::{Timestamp, tz::TimeZone};
use mw_contract::Instant;
use mw_contract::event::ticket_parts::{CalendarV1, OpenHoursV1};
use mw_contract::reference::Calendar;
use proptest::prelude::*;
use serde_json::json;

use super::{BusinessCalendar, snapshot};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn at(s: &str) -> Instant {
    s.parse().unwrap()
}

/// The same windows on these weekdays (0 Monday).
fn calendar(zone: &str, weekdays: &[u8], windows: &[(u16, u16)], holidays: &[&str]) -> CalendarV1 {
    let hours = weekdays.iter().flat_map(|&weekday| {
        windows.iter().map(move |&(from_minute, to_minute)| OpenHoursV1 { weekday, from_minute, to_minute })
    });
    CalendarV1 {
        calendar_id: "hours".parse().unwrap(),
        time_zone: mw_contract::Text::new(zone).unwrap(),
        hours: hours.collect(),
        holidays: holidays.iter().map(|d| d.parse().unwrap()).collect(),
    }
}

fn office(holidays: &[&str]) -> BusinessCalendar {
    BusinessCalendar::from_stored(&calendar("Europe/Berlin", &[0, 1, 2, 3, 4], &[(540, 1020)], holidays))
}

const EVERY_DAY: [u8; 7] = [0, 1, 2, 3, 4, 5, 6];

/// Looks at the wall clock.
fn open_by_the_clock(c: &CalendarV1, zone: &TimeZone, ms: i64) -> bool {
    let wall = Timestamp::from_millisecond(ms).unwrap().to_zoned_datetime(zone.clone());
    let weekday = wall.weekday().to_monday_zero_offset() as u8;
    let minute = wall.hour() as u16 * 60 + wall.minute() as u16;
    let day = wall.date().to_string();
    c.hours.iter().any(|h| h.weekday == weekday && (h.from_minute..h.to_minute).contains(&minute))
        && !c.holidays.iter().any(|d| d.to_string() == day)
}

/// Counts the open minutes of a time that begins and ends with a minute.
fn minutes_by_the_clock(c: &CalendarV1, from: i64, to: i64) -> i64 {
    let zone = TimeZone::get(c.time_zone.as_str()).unwrap();
    (from / MINUTE..to / MINUTE).filter(|m| open_by_the_clock(c, &zone, m * MINUTE)).count() as i64
}

#[test]
fn a_working_week_is_forty_hours() {
    let c = office(&[]);
    let (mon, next) = (at("2026-03-02T00:00:00Z"), at("2026-03-09T00:00:00Z"));
    assert_eq!(c.between(mon, next), 40 * 3600);
    assert_eq!(c.between(next, mon), -40 * 3600);
    assert_eq!(office(&["2026-03-04", "2026-03-07"]).between(mon, next), 32 * 3600);
    assert_eq!(c.add(at("2026-03-02T08:00:00Z"), 8 * 3600), Some(at("2026-03-02T16:00:00Z")));
    assert_eq!(c.add(at("2026-03-02T08:00:00Z"), 8 * 3600 + 1), Some(at("2026-03-03T08:00:01Z")));
    assert_eq!(c.add(at("2026-03-06T15:00:00Z"), 2 * 3600), Some(at("2026-03-09T09:00:00Z")), "over the week-end");
}

#[test]
fn no_time_is_the_moment_itself_and_less_is_looked_for_behind() {
    let c = office(&[]);
    let tue = at("2026-03-03T09:00:00Z");
    assert_eq!(c.add(tue, 0), Some(tue));
    assert_eq!(c.add(tue, -3599), Some(at("2026-03-03T08:00:01Z")));
    assert_eq!(c.add(tue, -3600), Some(at("2026-03-02T16:00:00Z")), "used up when the day before closed");
    assert_eq!(c.add(tue, -3601), Some(at("2026-03-02T15:59:59Z")));
}

#[test]
fn a_calendar_without_hours_never_gets_there() {
    let none = BusinessCalendar::from_stored(&calendar("UTC", &[], &[], &[]));
    let t = at("2026-03-02T09:00:00Z");
    assert_eq!((none.add(t, 1), none.add(t, -1), none.days_after(t, 1)), (None, None, None));
    assert_eq!((none.add(t, 0), none.between(t, at("2030-01-01T00:00:00Z"))), (Some(t), 0));
    let office = office(&[]);
    assert_eq!(office.add(t, 40 * 3600 * 53 * 10), None, "beyond ten years");
    assert!(office.add(t, 40 * 3600 * 500).is_some());
}

#[test]
fn a_day_of_a_clock_change_has_an_hour_less_or_more() {
    let night = BusinessCalendar::from_stored(&calendar("Europe/Berlin", &EVERY_DAY, &[(60, 240)], &[]));
    let of = |day: &str, next: &str| night.between(at(day), at(next));
    assert_eq!(of("2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z"), 2 * 3600);
    assert_eq!(of("2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z"), 4 * 3600);
    assert_eq!(of("2026-05-24T12:00:00Z", "2026-05-25T12:00:00Z"), 3 * 3600);
    // 02:00 to 03:00 does not exist in March, and is there twice in October.
    let gap = BusinessCalendar::from_stored(&calendar("Europe/Berlin", &EVERY_DAY, &[(120, 180)], &[]));
    assert_eq!(gap.between(at("2026-03-28T12:00:00Z"), at("2026-03-29T12:00:00Z")), 0);
    assert_eq!(gap.between(at("2026-10-24T12:00:00Z"), at("2026-10-25T12:00:00Z")), 2 * 3600);
    assert_eq!(gap.add(at("2026-03-28T12:00:00Z"), 60), Some(at("2026-03-30T00:01:00Z")));
}

#[test]
fn a_window_may_last_until_midnight_and_touch_the_next_day() {
    let always = BusinessCalendar::from_stored(&calendar("UTC", &EVERY_DAY, &[(0, 1440)], &["2026-03-04"]));
    assert_eq!(always.between(at("2026-03-02T00:00:00Z"), at("2026-03-09T00:00:00Z")), 6 * 86_400);
    assert_eq!(always.add(at("2026-03-03T12:00:00Z"), 86_400), Some(at("2026-03-05T12:00:00Z")));
    assert!(always.is_open(at("2026-03-03T23:59:59.999Z")) && !always.is_open(at("2026-03-04T00:00:00Z")));
}

#[test]
fn windows_that_overlap_count_once() {
    let c = calendar("UTC", &[0], &[(600, 720), (540, 660), (720, 780)], &[]);
    let c = BusinessCalendar::from_stored(&c);
    assert_eq!(c.between(at("2026-03-02T00:00:00Z"), at("2026-03-03T00:00:00Z")), 4 * 3600);
}

#[test]
fn five_business_days_later_is_the_same_time_of_day() {
    let c = office(&["2026-04-03", "2026-04-06"]);
    assert_eq!(c.days_after(at("2026-03-06T15:00:00Z"), 5), Some(at("2026-03-13T15:00:00Z")));
    assert_eq!(c.days_after(at("2026-03-07T15:00:00Z"), 1), Some(at("2026-03-09T15:00:00Z")), "from a Saturday");
    // Good Friday and Easter Monday, and the clock has changed in between.
    assert_eq!(c.days_after(at("2026-03-27T15:00:00Z"), 5), Some(at("2026-04-07T14:00:00Z")));
    assert_eq!(c.days_after(at("2026-03-27T15:00:00Z"), 0), Some(at("2026-03-27T15:00:00Z")));
}

#[test]
fn a_document_of_reference_data_is_read_day_by_day() {
    let d = json!({
        "time_zone": "Europe/Berlin",
        "hours": {
            "mon": [{"from": "09:00", "to": "12:30"}, {"from": "13:00", "to": "17:00"}],
            "sun": [{"from": "22:00", "to": "24:00"}, {"from": "25:00", "to": "26:00"}, {"from": "9:00", "to": "10:00"}],
        },
        "holidays": ["2026-05-01", "some day"],
    });
    let d: Calendar = serde_json::from_value(d).unwrap();
    let c = snapshot("office".parse().unwrap(), &d).unwrap();
    let hours: Vec<_> = c.hours.iter().map(|h| (h.weekday, h.from_minute, h.to_minute)).collect();
    assert_eq!(hours, [(0, 540, 750), (0, 780, 1020), (6, 1320, 1440)]);
    assert_eq!((c.time_zone.as_str(), c.holidays.len()), ("Europe/Berlin", 1));
}

/// Every minute of a year that has both clock changes, by itself and by one subtraction.
#[test]
fn a_year_agrees_with_a_counter_of_minutes() {
    for zone in ZONES {
        let c = calendar(zone, &[0, 1, 4, 6], &[(60, 150), (170, 1440)], &["2026-03-29", "2026-12-25"]);
        let b = BusinessCalendar::from_stored(&c);
        let (from, to) = (at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
        assert_eq!(b.between(from, to), minutes_by_the_clock(&c, from.millis(), to.millis()) * 60, "{zone}");
    }
}

const ZONES: [&str; 6] =
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana", "Asia/Kolkata"];

prop_compose! {
    fn any_calendar()(
        zone in prop::sample::select(&ZONES[..]),
        hours in prop::collection::vec((0u8..7, 0u16..1440, 1u16..1440), 1..14),
        holidays in prop::collection::vec(0i64..365, 0..12),
    ) -> CalendarV1 {
        let hours = hours.into_iter().map(|(weekday, from_minute, length)| OpenHoursV1 {
            weekday, from_minute, to_minute: (from_minute + length).min(1440),
        });
        let new_year = at("2026-01-01T12:00:00Z");
        let mut c = calendar(zone, &[], &[], &[]);
        c.hours = hours.collect();
        c.holidays = holidays.into_iter().map(|d| new_year.plus_millis(d * DAY).date_in("UTC")).collect();
        c
    }
}

/// Minutes around the clock changes of the zones, and anywhere in the year.
fn any_minute() -> impl Strategy<Value = i64> {
    let near = |day: &str| {
        let noon = at(day).millis() / MINUTE;
        (noon - 3 * 1440)..(noon + 3 * 1440)
    };
    prop_oneof![
        near("2026-03-29T01:00:00Z"),
        near("2026-10-25T01:00:00Z"),
        near("2026-03-08T07:00:00Z"),
        near("2026-11-01T06:00:00Z"),
        near("2026-04-04T15:00:00Z"),
        near("2026-10-03T15:30:00Z"),
        near("2026-07-01T00:00:00Z"),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn between_agrees_with_a_counter_of_minutes(c in any_calendar(), from in any_minute(), length in 0i64..14 * 1440) {
        let b = BusinessCalendar::from_stored(&c);
        let (from, to) = (from * MINUTE, (from + length) * MINUTE);
        let counted = minutes_by_the_clock(&c, from, to);
        prop_assert_eq!(b.between(Instant::clamped(from), Instant::clamped(to)), counted * 60);
        let zone = TimeZone::get(c.time_zone.as_str()).unwrap();
        prop_assert_eq!(b.is_open(Instant::clamped(from)), open_by_the_clock(&c, &zone, from));
    }

    /// The first minute after which the counter has counted so many.
    #[test]
    fn add_agrees_with_a_counter_of_minutes(c in any_calendar(), from in any_minute(), need in 1i64..3000) {
        let b = BusinessCalendar::from_stored(&c);
        let zone = TimeZone::get(c.time_zone.as_str()).unwrap();
        let (mut minute, mut counted) = (from, 0);
        while counted < need && minute < from + 60 * 1440 {
            counted += i64::from(open_by_the_clock(&c, &zone, minute * MINUTE));
            minute += 1;
        }
        prop_assume!(counted == need);
        let due = b.add(Instant::clamped(from * MINUTE), need * 60);
        prop_assert_eq!(due, Some(Instant::clamped(minute * MINUTE)));
    }

    #[test]
    fn what_is_added_lies_between(c in any_calendar(), from in any_minute(), ms in 0i64..MINUTE, s in 1i64..1_000_000) {
        let b = BusinessCalendar::from_stored(&c);
        let from = Instant::clamped(from * MINUTE + ms);
        // Little time a week may be too little for ten years.
        let Some(due) = b.add(from, s) else { return Err(TestCaseError::reject("beyond the horizon")) };
        prop_assert_eq!(b.between(from, due), s);
        prop_assert!(b.between(from, due.plus_millis(-1)) < s, "it is the first moment");
        let back = b.add(due, -s).unwrap();
        prop_assert!(back <= from && b.between(back, due) == s);
        prop_assert!(b.is_open(back.plus_millis(-1)), "it is the first moment");
    }
}
