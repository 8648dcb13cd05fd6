//! Business time. `--clock` (demo only) lets it begin elsewhere and run faster; tokens and TLS
//! keep real time and never ask here.

use std::time::{Instant as Monotonic, SystemTime, UNIX_EPOCH};

use mw_contract::Instant;
use parking_lot::RwLock;

/// Says what time it is for the business.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Instant;
}

/// The wall clock, or a demo clock that starts at a given moment and runs at a given rate.
pub struct BusinessClock {
    demo: Option<RwLock<Run>>,
}

/// How a demo clock runs.
#[derive(Clone, Copy)]
struct Run {
    since: Monotonic,
    base_ms: i64,
    rate: f64,
}

impl Run {
    fn now_ms(&self) -> i64 {
        self.base_ms.saturating_add((self.since.elapsed().as_secs_f64() * 1000.0 * self.rate) as i64)
    }
}

fn wall_millis() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

impl BusinessClock {
    /// The wall clock.
    pub fn wall() -> Self {
        BusinessClock { demo: None }
    }

    /// A clock that shows `start` now and runs `rate` times as fast as the wall clock.
    pub fn demo(start: Instant, rate: f64) -> Self {
        BusinessClock { demo: Some(RwLock::new(Run { since: Monotonic::now(), base_ms: start.millis(), rate })) }
    }

    /// Is it a demo clock, which may be moved?
    pub fn is_demo(&self) -> bool {
        self.demo.is_some()
    }

    /// Moves a demo clock on; `false` when it is the wall clock, which nobody moves.
    pub fn advance(&self, ms: i64) -> bool {
        let Some(demo) = self.demo.as_ref().filter(|_| ms >= 0) else { return false };
        let mut run = demo.write();
        run.base_ms = run.base_ms.saturating_add(ms);
        true
    }

    /// Moves a demo clock on to a moment, unless that has passed.
    pub fn advance_to(&self, at: Instant) {
        let behind = at.since(self.now());
        if behind > 0 {
            self.advance(behind);
        }
    }

    /// Lets a demo clock go on at another rate.
    pub fn set_rate(&self, rate: f64) {
        if let Some(demo) = &self.demo {
            let mut run = demo.write();
            *run = Run { since: Monotonic::now(), base_ms: run.now_ms(), rate };
        }
    }
}

impl Clock for BusinessClock {
    fn now(&self) -> Instant {
        Instant::clamped(self.demo.as_ref().map_or_else(wall_millis, |d| d.read().now_ms()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demo_clock_starts_where_it_is_told_and_can_be_moved() {
        let start: Instant = "2026-03-02T08:00:00.000Z".parse().unwrap();
        let c = BusinessClock::demo(start, 1.0);
        assert!(c.now() >= start && c.now().since(start) < 60_000);
        assert!(c.advance(3_600_000));
        assert!(c.now().since(start) >= 3_600_000);
        assert!(!BusinessClock::wall().advance(1));
    }

    #[test]
    fn a_clock_that_stands_goes_where_it_is_sent_and_then_runs() {
        let start: Instant = "2026-03-02T08:00:00.000Z".parse().unwrap();
        let c = BusinessClock::demo(start, 0.0);
        assert_eq!(c.now(), start);
        let later = start.plus_millis(90_000);
        c.advance_to(later);
        c.advance_to(start);
        assert_eq!(c.now(), later, "never back");
        c.set_rate(1.0);
        assert!(c.now() >= later && c.now().since(later) < 60_000);
    }
}
