//! Reads a calendar of reference data.

use mw_contract::event::ticket_parts::{CalendarV1, OpenHoursV1};
use mw_contract::reference::{Calendar, OpeningHours};
use mw_contract::{Code, Text};

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A calendar of reference data as it is copied into events. Documents are checked when they are put;
/// what can't be read all the same is left out, and a zone that is no name is UTC.
pub fn snapshot(code: Code, calendar: &Calendar) -> Option<CalendarV1> {
    let hours = DAYS.iter().zip(0u8..).flat_map(|(name, weekday)| {
        let windows = calendar.hours.get(*name).map(Vec::as_slice).unwrap_or_default();
        windows.iter().filter_map(move |w| open_hours(weekday, w))
    });
    Some(CalendarV1 {
        calendar_id: code,
        time_zone: Text::new(&calendar.time_zone).or_else(|_| Text::new("UTC")).ok()?,
        hours: hours.collect(),
        holidays: calendar.holidays.iter().filter_map(|d| d.as_str().parse().ok()).collect(),
    })
}

fn open_hours(weekday: u8, w: &OpeningHours) -> Option<OpenHoursV1> {
    let (from_minute, to_minute) = (minutes(w.from.as_str())?, minutes(w.to.as_str())?);
    (from_minute < to_minute).then_some(OpenHoursV1 { weekday, from_minute, to_minute })
}

/// Minutes since midnight of `HH:MM`; 24:00 is the end of the day.
fn minutes(s: &str) -> Option<u16> {
    let (h, m) = s.split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2)?;
    let digits = |x: &str| x.bytes().all(|b| b.is_ascii_digit()).then(|| x.parse::<u16>().ok()).flatten();
    let (h, m) = (digits(h)?, digits(m)?);
    (m < 60 && (h < 24 || (h == 24 && m == 0))).then_some(h * 60 + m)
}
