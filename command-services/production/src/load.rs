//! How much planned work each line has, hour by hour.
//!
//! Owns the sums behind the overload warning of WO-03.R4. An order's standard work (setup plus
//! run time of all its pieces) is spread evenly over its planned interval. Sums by hour keep a
//! plan's cost independent of how many other orders are open. It must never refuse a plan.

use std::collections::HashMap;

use mw_contract::{Instant, LineId};

const HOUR: i64 = 3_600_000;
/// Only the first 62 days of an interval count, so that one plan cannot touch endless buckets.
const MOST_HOURS: i64 = 62 * 24;

/// Planned work of one order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    pub start: Instant,
    pub end: Instant,
    /// Standard work, in milliseconds.
    pub work: u64,
}

/// Planned work of all lines, in milliseconds a line and hour.
#[derive(Clone, Debug, Default)]
pub struct LineLoad {
    hours: HashMap<LineId, HashMap<i64, u64>>,
}

impl LineLoad {
    /// Adds an order's work.
    pub fn add(&mut self, line: &LineId, span: Span) {
        let hours = self.hours.entry(line.clone()).or_default();
        for (hour, share) in shares(span) {
            *hours.entry(hour).or_default() += share;
        }
    }

    /// Takes an order's work away again.
    pub fn remove(&mut self, line: &LineId, span: Span) {
        let Some(hours) = self.hours.get_mut(line) else { return };
        for (hour, share) in shares(span) {
            if let Some(sum) = hours.get_mut(&hour) {
                *sum = sum.saturating_sub(share);
                if *sum == 0 {
                    hours.remove(&hour);
                }
            }
        }
        if hours.is_empty() {
            self.hours.remove(line);
        }
    }

    /// Would the line have more work in the interval than `cells` cells can do? What the order has
    /// there already (`own`) does not count twice.
    pub fn overloaded(&self, line: &LineId, asked: Span, own: Option<Span>, cells: usize) -> bool {
        let own: HashMap<i64, u64> = own.into_iter().flat_map(shares).collect();
        let planned: u64 = match self.hours.get(line) {
            Some(hours) => overlaps(asked)
                .map(|(hour, ms)| {
                    let all = hours.get(&hour).copied().unwrap_or(0);
                    let others = all.saturating_sub(own.get(&hour).copied().unwrap_or(0));
                    others.saturating_mul(ms) / HOUR as u64
                })
                .sum(),
            None => 0,
        };
        let length = u64::try_from(asked.end.since(asked.start)).unwrap_or(0);
        let available = length.saturating_mul(cells.max(1) as u64);
        planned.saturating_add(asked.work) > available
    }
}

/// The hours that an interval touches, each with the milliseconds of it that lie inside.
fn overlaps(s: Span) -> impl Iterator<Item = (i64, u64)> {
    let (start, end) = (s.start.millis(), s.end.millis());
    let first = start / HOUR;
    (first..first + MOST_HOURS).take_while(move |h| h * HOUR < end).map(move |h| {
        let inside = end.min((h + 1) * HOUR) - start.max(h * HOUR);
        (h, u64::try_from(inside).unwrap_or(0))
    })
}

fn shares(s: Span) -> impl Iterator<Item = (i64, u64)> {
    let length = u128::try_from(s.end.since(s.start)).unwrap_or(0).max(1);
    overlaps(s).map(move |(h, inside)| {
        (h, u64::try_from(u128::from(s.work) * u128::from(inside) / length).unwrap_or(u64::MAX))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from_h: i64, to_h: i64, work_h: u64) -> Span {
        let at = |h: i64| Instant::clamped(h * HOUR + 600_000);
        Span { start: at(from_h), end: at(to_h), work: work_h * HOUR as u64 }
    }

    #[test]
    fn work_that_fits_is_no_overload_and_one_more_is() {
        let line: LineId = "line-1".parse().unwrap();
        let mut load = LineLoad::default();
        load.add(&line, span(0, 8, 6));
        assert!(!load.overloaded(&line, span(0, 8, 1), None, 1));
        assert!(load.overloaded(&line, span(0, 8, 3), None, 1));
        assert!(!load.overloaded(&line, span(0, 8, 3), None, 2));
        assert!(!load.overloaded(&line, span(9, 12, 3), None, 1));
        assert!(!load.overloaded(&"line-2".parse().unwrap(), span(0, 8, 3), None, 1));
        // One order's work goes, the other's stays, in the hours that both have and in those of its own.
        load.add(&line, span(4, 12, 8));
        load.remove(&line, span(0, 8, 6));
        assert!(!load.overloaded(&line, span(0, 3, 3), None, 1));
        assert!(load.overloaded(&line, span(4, 8, 1), None, 1));
        load.remove(&line, span(4, 12, 8));
        assert!(!load.overloaded(&line, span(0, 8, 8), None, 1));
        assert!(load.hours.is_empty());
    }

    #[test]
    fn an_interval_touches_no_hour_after_its_end() {
        let touched = |from, to| {
            let s = Span { start: Instant::clamped(from), end: Instant::clamped(to), work: 1 };
            overlaps(s).collect::<Vec<_>>()
        };
        assert_eq!(touched(HOUR / 2, 2 * HOUR), [(0, HOUR as u64 / 2), (1, HOUR as u64)]);
        assert_eq!(touched(HOUR / 2, 2 * HOUR + 1), [(0, HOUR as u64 / 2), (1, HOUR as u64), (2, 1)]);
    }

    #[test]
    fn an_endless_plan_touches_a_bounded_number_of_hours() {
        assert_eq!(HOUR, 60 * 60 * 1000);
        let s = Span { start: Instant::clamped(0), end: Instant::clamped(i64::MAX), work: 5 };
        assert_eq!(overlaps(s).count(), 62 * 24);
    }
}
