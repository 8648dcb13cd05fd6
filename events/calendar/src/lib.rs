//! Business time: how many working seconds lie between two moments, and when so many have passed.
//!
//! A map of this crate:
//!
//! - [`BusinessCalendar`]: weekly hours, holidays and a time zone, ready to count with.
//! - [`snapshot`]: a calendar of reference data as it is copied into events.
//!
//! A moment is open when the wall clock of the zone shows a time inside the hours of its weekday and the
//! day is no holiday. So an hour that the clock skips does not exist, and one that it shows twice counts
//! twice. Nothing here reads a clock.

mod read;
mod week;

use jiff::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;
use mw_contract::event::ticket_parts::CalendarV1;
use mw_contract::{Date, Instant};

pub use read::snapshot;
use week::Week;

/// How far ahead or back an end is looked for: ten years, leap days counted.
const HORIZON_MS: i64 = 3_653 * week::DAY_MS;

/// A calendar to count with.
#[derive(Clone, Debug)]
pub struct BusinessCalendar {
    zone: TimeZone,
    week: Week,
}

/// A stretch of time in which the zone's offset does not change, in milliseconds of UTC.
#[derive(Clone, Copy)]
struct Stretch {
    start: i64,
    end: i64,
    offset: i64,
}

impl BusinessCalendar {
    /// From a calendar as it stands in an event; in UTC where nobody knows its zone.
    pub fn from_stored(calendar: &CalendarV1) -> Self {
        let zone = TimeZone::get(calendar.time_zone.as_str()).unwrap_or(TimeZone::UTC);
        BusinessCalendar { zone, week: Week::of(calendar) }
    }

    /// Is it working time? The last moment of a window is outside, its first one inside.
    pub fn is_open(&self, at: Instant) -> bool {
        let local = at.millis() + self.offset(at.millis());
        self.week.before(local + 1) > self.week.before(local)
    }

    /// The whole business seconds from one moment to another; negative when the second one is earlier.
    pub fn between(&self, from: Instant, to: Instant) -> i64 {
        if to < from {
            return -self.between(to, from);
        }
        let (mut at, end) = (from.millis(), to.millis());
        let mut sum = 0;
        while at < end {
            let s = self.stretch_after(at, end);
            sum += self.week.before(s.end + s.offset) - self.week.before(s.start + s.offset);
            at = s.end;
        }
        sum / 1000
    }

    /// The first moment at which so many business seconds have passed; the moment itself for none. With
    /// fewer than none: the first moment from which only so many were left until `from`. None when there
    /// is no such moment within ten years.
    pub fn add(&self, from: Instant, seconds: i64) -> Option<Instant> {
        let need = seconds.checked_mul(1000)?;
        if self.week.is_empty() && need != 0 {
            return None;
        }
        match need {
            0 => Some(from),
            n if n > 0 => self.ahead(from.millis(), n),
            n => self.back(from.millis(), n.checked_neg()?),
        }
    }

    /// The same time of day so many business days later: days with hours that are no holidays, the day of
    /// `from` not counted. None when there are not so many within ten years.
    pub fn days_after(&self, from: Instant, business_days: u16) -> Option<Instant> {
        if business_days == 0 {
            return Some(from);
        }
        let local = timestamp(from.millis()).to_zoned_datetime(self.zone.clone()).datetime();
        let mut left = business_days;
        let mut date = local.date();
        for _ in 0..HORIZON_MS / week::DAY_MS {
            date = date.tomorrow().ok()?;
            if self.week.is_working_day(day_number(date)) {
                left -= 1;
            }
            if left == 0 {
                let at = date.to_datetime(local.time()).to_zoned_datetime(self.zone.clone()).ok()?;
                return Instant::from_millis(at.timestamp().as_millisecond()).ok();
            }
        }
        None
    }

    fn ahead(&self, from: i64, mut need: i64) -> Option<Instant> {
        let (mut at, horizon) = (from, from + HORIZON_MS);
        while at < horizon {
            let s = self.stretch_after(at, horizon);
            let (a, b) = (s.start + s.offset, s.end + s.offset);
            let done = self.week.before(a);
            let there = self.week.before(b) - done;
            if there >= need {
                return Instant::from_millis(self.week.first_with(a, b, done + need) - s.offset).ok();
            }
            need -= there;
            at = s.end;
        }
        None
    }

    fn back(&self, from: i64, mut need: i64) -> Option<Instant> {
        let (mut at, horizon) = (from, (from - HORIZON_MS).max(0));
        while at > horizon {
            let s = self.stretch_before(at, horizon);
            let (a, b) = (s.start + s.offset, s.end + s.offset);
            let done = self.week.before(b);
            let found = self.week.first_with(a, b, done - need);
            if found > a {
                return Instant::from_millis(found - s.offset).ok();
            }
            need -= done - self.week.before(a);
            at = s.start;
        }
        // Exactly used up, and never open before.
        if need == 0 { Instant::from_millis(at).ok() } else { None }
    }

    fn offset(&self, ms: i64) -> i64 {
        i64::from(self.zone.to_offset(timestamp(ms)).seconds()) * 1000
    }

    /// The stretch from a moment to the next change of the offset, at most to `end`.
    fn stretch_after(&self, ms: i64, end: i64) -> Stretch {
        let change = self.zone.following(timestamp(ms)).next().map(|t| t.timestamp().as_millisecond());
        let end = change.filter(|c| *c > ms).map_or(end, |c| c.min(end));
        Stretch { start: ms, end, offset: self.offset(ms) }
    }

    /// The stretch from the last change of the offset, at least from `start`, to a moment.
    fn stretch_before(&self, ms: i64, start: i64) -> Stretch {
        let change = self.zone.preceding(timestamp(ms)).next().map(|t| t.timestamp().as_millisecond());
        let start = change.filter(|c| *c < ms).map_or(start, |c| c.max(start));
        Stretch { start, end: ms, offset: self.offset(start) }
    }
}

/// Days since 1970.
fn day_number(date: civil::Date) -> i64 {
    i64::from((date - civil::Date::constant(1970, 1, 1)).get_days())
}

fn timestamp(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A stored day as days since 1970.
fn days_of(date: Date) -> i64 {
    // The first day of the range is always one.
    let first = Instant::clamped(0).date_in("UTC");
    i64::from(date.days_since(first))
}

#[cfg(test)]
mod tests;
