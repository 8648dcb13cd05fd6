//! The working time of a wall clock that never jumps: what of a week is open, less holidays.
//!
//! Local time is counted in milliseconds since 1970-01-01 00:00 on the wall. How much of it is open
//! before a moment is one sum and one search among the holidays, whatever the distance.

use mw_contract::event::ticket_parts::CalendarV1;

use crate::days_of;

pub(crate) const DAY_MS: i64 = 86_400_000;
const MINUTE_MS: i64 = 60_000;
/// 1970-01-01 was a Thursday; weeks begin on Monday.
const FIRST_WEEKDAY: i64 = 3;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Week {
    /// Windows of each weekday from Monday, in milliseconds from midnight, in order and apart.
    days: [Vec<(i64, i64)>; 7],
    /// What is open in the week before each weekday.
    before_day: [i64; 7],
    /// What is open in a whole week.
    total: i64,
    /// Holidays on which there would be hours, in order: the day, and what they and the ones before take
    /// away.
    holidays: Vec<(i64, i64)>,
}

impl Week {
    pub(crate) fn of(calendar: &CalendarV1) -> Self {
        let mut days: [Vec<(i64, i64)>; 7] = Default::default();
        for h in &calendar.hours {
            let (from, to) = (i64::from(h.from_minute) * MINUTE_MS, i64::from(h.to_minute) * MINUTE_MS);
            if let Some(day) = days.get_mut(usize::from(h.weekday))
                && from < to.min(DAY_MS)
            {
                day.push((from, to.min(DAY_MS)));
            }
        }
        for day in &mut days {
            *day = apart(std::mem::take(day));
        }
        let length = |day: &[(i64, i64)]| day.iter().map(|(from, to)| to - from).sum::<i64>();
        let mut before_day = [0; 7];
        let mut total = 0;
        for (before, day) in before_day.iter_mut().zip(&days) {
            *before = total;
            total += length(day);
        }
        let mut dates: Vec<i64> = calendar.holidays.iter().map(|d| days_of(*d)).collect();
        dates.sort_unstable();
        dates.dedup();
        let mut taken = 0;
        let holidays = dates
            .into_iter()
            .filter(|d| !days[weekday(*d)].is_empty())
            .map(|d| {
                taken += length(&days[weekday(d)]);
                (d, taken)
            })
            .collect();
        Week { days, before_day, total, holidays }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Has the day hours, and is it no holiday?
    pub(crate) fn is_working_day(&self, day: i64) -> bool {
        !self.days[weekday(day)].is_empty() && self.holidays.binary_search_by_key(&day, |(d, _)| *d).is_err()
    }

    /// What is open before a local moment, counted from the Monday before 1970.
    pub(crate) fn before(&self, local: i64) -> i64 {
        let (day, time) = (local.div_euclid(DAY_MS), local.rem_euclid(DAY_MS));
        let week = (day + FIRST_WEEKDAY).div_euclid(7);
        let i = self.holidays.partition_point(|(d, _)| *d < day);
        let taken = if i == 0 { 0 } else { self.holidays[i - 1].1 };
        let today = if self.holidays.get(i).is_some_and(|(d, _)| *d == day) {
            0
        } else {
            self.days[weekday(day)].iter().map(|(from, to)| time.clamp(*from, *to) - from).sum()
        };
        week * self.total + self.before_day[weekday(day)] + today - taken
    }

    /// The first local moment of `a..=b` before which so much is open; `b` when there is none.
    pub(crate) fn first_with(&self, a: i64, b: i64, open: i64) -> i64 {
        let (mut low, mut high) = (a, b);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.before(middle) >= open {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }
}

/// Windows in order, with those that touch or overlap made one.
fn apart(mut windows: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    windows.sort_unstable();
    let mut apart: Vec<(i64, i64)> = Vec::with_capacity(windows.len());
    for (from, to) in windows {
        match apart.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => apart.push((from, to)),
        }
    }
    apart
}

fn weekday(day: i64) -> usize {
    (day + FIRST_WEEKDAY).rem_euclid(7) as usize
}
