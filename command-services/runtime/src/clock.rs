//! Business time. `--clock` (demo only) lets it begin elsewhere and run faster; tokens and TLS
//! keep real time and never ask here.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant as Monotonic, SystemTime, UNIX_EPOCH};

use mw_contract::Instant;

/// Says what time it is for the business.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Instant;
}

/// The wall clock, or a demo clock that starts at a given moment and runs at a given rate.
pub struct BusinessClock {
    start: Monotonic,
    base_ms: i64,
    rate: f64,
    demo: bool,
    advanced_ms: AtomicI64,
}

fn wall_millis() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

impl BusinessClock {
    /// The wall clock.
    pub fn wall() -> Self {
        BusinessClock { start: Monotonic::now(), base_ms: 0, rate: 1.0, demo: false, advanced_ms: AtomicI64::new(0) }
    }

    /// A clock that shows `start` now and runs `rate` times as fast as the wall clock.
    pub fn demo(start: Instant, rate: f64) -> Self {
        BusinessClock {
            start: Monotonic::now(),
            base_ms: start.millis(),
            rate,
            demo: true,
            advanced_ms: AtomicI64::new(0),
        }
    }

    /// Is it a demo clock, which may be moved?
    pub fn is_demo(&self) -> bool {
        self.demo
    }

    /// Moves a demo clock on; `false` when it is the wall clock, which nobody moves.
    pub fn advance(&self, ms: i64) -> bool {
        if self.demo && ms >= 0 {
            self.advanced_ms.fetch_add(ms, Ordering::SeqCst);
        }
        self.demo && ms >= 0
    }
}

impl Clock for BusinessClock {
    fn now(&self) -> Instant {
        if self.demo {
            let run = self.start.elapsed().as_secs_f64() * 1000.0 * self.rate;
            Instant::clamped(self.base_ms + run as i64 + self.advanced_ms.load(Ordering::SeqCst))
        } else {
            Instant::clamped(wall_millis())
        }
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
}
