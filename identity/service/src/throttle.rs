//! How often a log-in may fail. Owns counters in bounded memory; knows no secrets.
//!
//! Failures are counted three ways. The pair of account and address is the tight one. The address
//! alone bounds guessing across accounts, the account alone bounds guessing from many addresses;
//! both are loose, so that one clumsy client does not lock out its whole plant.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;
use parking_lot::Mutex;

/// How many failures a window takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of one account from one address.
    pub pair: u32,
    /// From one address, whatever the account.
    pub address: u32,
    /// Of one account, wherever from.
    pub account: u32,
    /// How long a window lasts from its first failure.
    pub window: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { pair: 10, address: 100, account: 100, window: Duration::from_secs(300) }
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Pair(Box<str>, Option<IpAddr>),
    Address(IpAddr),
    Account(Box<str>),
}

struct Window {
    since: Instant,
    failures: u32,
}

/// Most counters kept; the least recently touched one gives way.
const COUNTERS: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();

/// Counts failed log-ins.
pub struct Throttle {
    limits: Limits,
    windows: Mutex<LruCache<Key, Window>>,
}

impl Throttle {
    /// With these limits.
    pub fn new(limits: Limits) -> Self {
        Throttle { limits, windows: Mutex::new(LruCache::new(COUNTERS)) }
    }

    fn keys(&self, account: &str, address: Option<IpAddr>) -> Vec<(Key, u32)> {
        let address = address.map(block);
        // A name from the wire may be of any length; a counter keeps a bounded part of it.
        let account: Box<str> = account.chars().take(64).collect::<String>().into();
        let mut keys =
            vec![(Key::Pair(account.clone(), address), self.limits.pair), (Key::Account(account), self.limits.account)];
        keys.extend(address.map(|a| (Key::Address(a), self.limits.address)));
        keys
    }

    /// May another attempt be checked now? Ask again right before the costly part: attempts that
    /// waited in line meanwhile may have failed.
    ///
    /// # Errors
    /// How long to wait when there were too many failures.
    pub fn check(&self, account: &str, address: Option<IpAddr>, now: Instant) -> Result<(), Duration> {
        let windows = self.windows.lock();
        for (key, most) in &self.keys(account, address) {
            if let Some(w) = windows.peek(key) {
                let age = now.saturating_duration_since(w.since);
                if age < self.limits.window && w.failures >= *most {
                    return Err(self.limits.window - age);
                }
            }
        }
        Ok(())
    }

    /// Counts a failure.
    pub fn failed(&self, account: &str, address: Option<IpAddr>, now: Instant) {
        let mut windows = self.windows.lock();
        for (key, _) in self.keys(account, address) {
            match windows.get_mut(&key) {
                Some(w) if now.saturating_duration_since(w.since) < self.limits.window => {
                    w.failures = w.failures.saturating_add(1);
                }
                Some(w) => *w = Window { since: now, failures: 1 },
                None => {
                    windows.put(key, Window { since: now, failures: 1 });
                }
            }
        }
    }

    /// A success clears the pair, but never what was tried on other accounts or from elsewhere.
    pub fn succeeded(&self, account: &str, address: Option<IpAddr>) {
        let mut windows = self.windows.lock();
        for (key, _) in self.keys(account, address) {
            if matches!(key, Key::Pair(..)) {
                windows.pop(&key);
            }
        }
    }
}

/// One IPv6 host owns a whole /64.
fn block(a: IpAddr) -> IpAddr {
    match a.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(s: &str) -> Option<IpAddr> {
        Some(s.parse().unwrap())
    }

    fn attempt(t: &Throttle, account: &str, address: Option<IpAddr>, now: Instant) -> Result<(), Duration> {
        t.check(account, address, now)?;
        t.failed(account, address, now);
        Ok(())
    }

    #[test]
    fn the_pair_is_shut_after_its_limit_and_opens_with_time() {
        let t = Throttle::new(Limits::default());
        let start = Instant::now();
        for _ in 0..10 {
            attempt(&t, "admin", ip("10.0.0.1"), start).unwrap();
        }
        let wait = attempt(&t, "admin", ip("10.0.0.1"), start + Duration::from_secs(100)).unwrap_err();
        assert_eq!(wait, Duration::from_secs(200));
        attempt(&t, "admin", ip("10.0.0.2"), start).unwrap();
        attempt(&t, "planner-1", ip("10.0.0.1"), start).unwrap();
        attempt(&t, "admin", ip("10.0.0.1"), start + Duration::from_secs(300)).unwrap();
    }

    #[test]
    fn guessing_across_accounts_or_addresses_is_bounded_too() {
        let t = Throttle::new(Limits::default());
        let now = Instant::now();
        for i in 0..100 {
            attempt(&t, &format!("a{i}"), ip("10.0.0.1"), now).unwrap();
            attempt(&t, "victim", ip(&format!("10.1.0.{i}")), now).unwrap();
        }
        assert!(attempt(&t, "fresh", ip("10.0.0.1"), now).is_err());
        assert!(attempt(&t, "victim", ip("10.9.9.9"), now).is_err());
        assert!(attempt(&t, "fresh", ip("10.9.9.9"), now).is_ok());
    }

    #[test]
    fn a_success_clears_the_pair_and_nothing_of_others() {
        let t = Throttle::new(Limits { pair: 3, address: 4, ..Limits::default() });
        let now = Instant::now();
        attempt(&t, "a", ip("10.0.0.1"), now).unwrap();
        attempt(&t, "a", ip("10.0.0.1"), now).unwrap();
        attempt(&t, "a", ip("10.0.0.1"), now).unwrap();
        t.succeeded("a", ip("10.0.0.1"));
        // Three of the address's four are used up.
        attempt(&t, "a", ip("10.0.0.1"), now).unwrap();
        assert!(attempt(&t, "c", ip("10.0.0.1"), now).is_err());
    }

    #[test]
    fn an_ipv6_host_cannot_hop_inside_its_block() {
        let t = Throttle::new(Limits { pair: 1, ..Limits::default() });
        let now = Instant::now();
        attempt(&t, "a", ip("2001:db8::1"), now).unwrap();
        assert!(attempt(&t, "a", ip("2001:db8::2"), now).is_err());
        assert!(attempt(&t, "a", ip("2001:db8:0:1::2"), now).is_ok());
        attempt(&t, "a", ip("10.0.0.1"), now).unwrap();
        assert!(attempt(&t, "a", ip("::ffff:10.0.0.1"), now).is_err());
    }

    #[test]
    fn memory_stays_bounded() {
        let t = Throttle::new(Limits::default());
        let now = Instant::now();
        for i in 0..40_000u32 {
            let _ = attempt(&t, &"x".repeat(1000), Some(IpAddr::from(i.to_be_bytes())), now);
        }
        assert!(t.windows.lock().len() <= COUNTERS.get());
    }
}
