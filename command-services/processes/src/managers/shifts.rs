//! When a shift ends.

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use mw_contract::reference::{Document, Shift};
use mw_contract::{Instant, ReferenceKind};
use rusqlite::Connection;

use crate::facts;

/// The first end of a shift after `after` on a line; none where no calendar is about it.
pub fn next_end(tx: &Connection, site: &str, line: &str, after: Instant) -> rusqlite::Result<Option<Instant>> {
    let zone = match facts::document(tx, ReferenceKind::Site, site)? {
        Some(Document::Site(s)) => TimeZone::get(&s.time_zone).unwrap_or(TimeZone::UTC),
        _ => TimeZone::UTC,
    };
    let mut ends = Vec::new();
    for d in facts::documents(tx, ReferenceKind::ShiftCalendar)? {
        let Document::ShiftCalendar(c) = d else { continue };
        if c.site.as_str() == site && (c.lines.is_empty() || c.lines.iter().any(|l| l.as_str() == line)) {
            ends.extend(c.shifts.iter().filter_map(|s| end_of(s, &zone, after)));
        }
    }
    Ok(ends.into_iter().min())
}

fn end_of(shift: &Shift, zone: &TimeZone, after: Instant) -> Option<Instant> {
    let (from, to) = (time(shift.from.as_str())?, time(shift.to.as_str())?);
    let today = zone.to_datetime(Timestamp::from_millisecond(after.millis()).ok()?).date();
    // A night shift of yesterday may end today; a shift of one day a week ends within nine.
    (-1..=8i64)
        .filter_map(|n| today.checked_add(n.days()).ok())
        .filter(|day| shift.days.iter().any(|d| d.as_str() == name(day.weekday())))
        .filter_map(|day| if to > from { Some(day) } else { day.tomorrow().ok() })
        .filter_map(|day| zone.to_timestamp(day.to_datetime(to)).ok())
        .map(|end| Instant::clamped(end.as_millisecond()))
        .find(|end| *end > after)
}

/// `HH:MM`; `24:00` is midnight.
fn time(text: &str) -> Option<Time> {
    let (h, m) = text.split_once(':')?;
    let hour: i8 = h.parse().ok()?;
    Time::new(hour % 24, m.parse().ok()?, 0, 0).ok()
}

fn name(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "mon",
        Weekday::Tuesday => "tue",
        Weekday::Wednesday => "wed",
        Weekday::Thursday => "thu",
        Weekday::Friday => "fri",
        Weekday::Saturday => "sat",
        Weekday::Sunday => "sun",
    }
}
