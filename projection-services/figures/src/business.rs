//! Working time by the calendar that a service level agreement names: weekly hours in the zone of
//! the calendar, without holidays.

use std::collections::BTreeSet;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use mw_contract::event::ticket_parts::CalendarV1;
use serde::{Deserialize, Serialize};

use crate::spans::{Span, millis, minus, union};

/// A calendar as it was when a policy was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calendar {
    zone: String,
    /// Weekday (0 Monday), from and to in minutes from midnight.
    hours: Vec<(u8, u16, u16)>,
    holidays: BTreeSet<String>,
}

impl From<&CalendarV1> for Calendar {
    fn from(c: &CalendarV1) -> Self {
        Calendar {
            zone: c.time_zone.as_str().to_owned(),
            hours: c.hours.iter().map(|h| (h.weekday, h.from_minute, h.to_minute)).collect(),
            holidays: c.holidays.iter().map(ToString::to_string).collect(),
        }
    }
}

/// The working time in a span, as intervals in order.
pub fn open_hours(calendar: &Calendar, span: Span) -> Vec<Span> {
    if span.from >= span.until {
        return Vec::new();
    }
    let zone = TimeZone::get(&calendar.zone).unwrap_or(TimeZone::UTC);
    let last = day_of(span.until - 1, &zone);
    let mut day = Some(day_of(span.from, &zone));
    let mut all = Vec::new();
    while let Some(d) = day.filter(|d| *d <= last) {
        let weekday = d.weekday().to_monday_zero_offset();
        let holiday = calendar.holidays.contains(&d.to_string());
        let open = calendar.hours.iter().filter(|h| !holiday && i16::from(h.0) == i16::from(weekday));
        all.extend(open.filter_map(|h| Span::new(moment(d, h.1, &zone), moment(d, h.2, &zone)).within(span)));
        day = d.tomorrow().ok();
    }
    union(all)
}

/// How much working time lies in a span without some of it, in milliseconds. Without a calendar
/// all time is working time.
pub fn worked(calendar: Option<&Calendar>, span: Span, without: &[Span]) -> i64 {
    let open = match calendar {
        Some(c) => open_hours(c, span),
        None => union(vec![span]),
    };
    millis(&minus(&open, &union(without.to_vec())))
}

fn day_of(ms: i64, zone: &TimeZone) -> Date {
    let t = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    t.to_zoned_datetime(zone.clone()).date()
}

/// The moment of a minute of a day; the 1440th is the first of the next day.
fn moment(day: Date, minute: u16, zone: &TimeZone) -> i64 {
    let (day, minute) = if minute >= 1440 { (day.tomorrow().unwrap_or(day), 0) } else { (day, minute) };
    let time = Time::new((minute / 60) as i8, (minute % 60) as i8, 0, 0).unwrap_or(Time::midnight());
    let local = day.to_datetime(time).to_zoned_datetime(zone.clone());
    local.map_or(i64::MAX, |z| z.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mw_contract::event::ticket_parts::OpenHoursV1;
    use mw_contract::{Code, Instant, Text};

    fn at(t: &str) -> i64 {
        t.parse::<Instant>().unwrap().millis()
    }

    fn weekdays(holidays: &[&str]) -> Calendar {
        Calendar::from(&CalendarV1 {
            calendar_id: Code::new("standard").unwrap(),
            time_zone: Text::new("Europe/Berlin").unwrap(),
            hours: (0..5).map(|weekday| OpenHoursV1 { weekday, from_minute: 540, to_minute: 1020 }).collect(),
            holidays: holidays.iter().map(|h| h.parse().unwrap()).collect(),
        })
    }

    #[test]
    fn nights_weekends_and_holidays_are_no_working_time() {
        let c = weekdays(&["2026-03-04"]);
        let span = |from: &str, to: &str| Span::new(at(from), at(to));
        // Monday 16:00 to Tuesday 10:00, Berlin is an hour ahead of UTC.
        let hold = span("2026-03-02T15:00:00Z", "2026-03-03T09:00:00Z");
        assert_eq!(worked(Some(&c), hold, &[]), 2 * 3_600_000);
        // Friday noon to Monday noon.
        assert_eq!(worked(Some(&c), span("2026-03-06T11:00:00Z", "2026-03-09T11:00:00Z"), &[]), 8 * 3_600_000);
        // A whole week with one holiday, without the hold.
        let week = span("2026-03-02T00:00:00Z", "2026-03-09T00:00:00Z");
        assert_eq!(worked(Some(&c), week, &[hold]), (32 - 2) * 3_600_000);
        assert_eq!(worked(None, span("2026-03-02T00:00:00Z", "2026-03-02T05:00:00Z"), &[]), 5 * 3_600_000);
        assert_eq!(worked(Some(&c), span("2026-03-03T00:00:00Z", "2026-03-02T00:00:00Z"), &[]), 0);
        // The week in which clocks go forward has as many working hours as any other.
        let spring = span("2026-03-27T00:00:00Z", "2026-04-01T00:00:00Z");
        assert_eq!(worked(Some(&c), spring, &[]), 24 * 3_600_000);
    }

    #[test]
    fn a_day_may_be_open_until_midnight() {
        let mut c = weekdays(&[]);
        c.hours = (0..7).map(|weekday| (weekday, 0, 1440)).collect();
        let days = Span::new(at("2026-03-28T00:00:00Z"), at("2026-03-30T00:00:00Z"));
        assert_eq!(worked(Some(&c), days, &[]), 48 * 3_600_000);
        assert_eq!(open_hours(&c, days).len(), 1);
    }
}
