//! What is counted per account and over all: command rate, distinct topics and filters.
//!
//! Owns the bounds that outlive a connection. It never drops anything itself: it says how long to
//! wait, or that a name is one too many.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use mw_contract::AccountName;
use parking_lot::{Mutex, RwLock};

use crate::config::Limits;

/// What the broker keeps of one account while it runs.
pub(crate) struct AccountState {
    /// A short name for keys.
    pub id: u32,
    /// Commands whose acknowledgement is withheld.
    pub withheld: AtomicUsize,
    topics: AtomicUsize,
    filters: AtomicUsize,
    /// When the account's next command is due at an even pace; in the past while it is slower.
    due: Mutex<Option<Instant>>,
}

impl AccountState {
    /// Charges one command and says how long its connection should not be read.
    pub fn charge(&self, now: Instant, limits: &Limits) -> Option<Duration> {
        if limits.commands_per_second == 0 {
            return None;
        }
        let pace = Duration::from_secs(1) / limits.commands_per_second;
        let allowance = pace * limits.command_burst;
        let mut due = self.due.lock();
        let next = due.map_or(now, |d| d.max(now)) + pace;
        *due = Some(next);
        next.checked_duration_since(now + allowance).filter(|d| !d.is_zero())
    }
}

/// All accounts that ever connected. Bounded by the directory of accounts.
#[derive(Default)]
pub(crate) struct Accounts {
    map: RwLock<HashMap<AccountName, Arc<AccountState>>>,
}

impl Accounts {
    /// The account's state, made when it is new.
    pub fn get_or_add(&self, name: &AccountName) -> Arc<AccountState> {
        if let Some(a) = self.map.read().get(name) {
            return Arc::clone(a);
        }
        let mut map = self.map.write();
        let id = u32::try_from(map.len()).unwrap_or(u32::MAX);
        Arc::clone(map.entry(name.clone()).or_insert_with(|| {
            Arc::new(AccountState {
                id,
                withheld: AtomicUsize::new(0),
                topics: AtomicUsize::new(0),
                filters: AtomicUsize::new(0),
                due: Mutex::new(None),
            })
        }))
    }

    /// The account's state, if it ever connected.
    pub fn get(&self, name: &str) -> Option<Arc<AccountState>> {
        self.map.read().get(name).cloned()
    }
}

/// The names that the router has been made to remember.
#[derive(Default)]
pub(crate) struct Names {
    topics: Mutex<HashSet<Box<str>>>,
    filters: Mutex<HashSet<Box<str>>>,
}

impl Names {
    /// May this account publish to this topic, as far as the router's memory goes?
    pub fn admit_topic(&self, topic: &str, who: &AccountState, l: &Limits) -> bool {
        admit(&self.topics, topic, &who.topics, l.max_distinct_topics, l.max_distinct_topics_per_account)
    }

    /// The same for a subscription.
    pub fn admit_filter(&self, filter: &str, who: &AccountState, l: &Limits) -> bool {
        admit(&self.filters, filter, &who.filters, l.max_distinct_filters, l.max_distinct_filters_per_account)
    }
}

fn admit(set: &Mutex<HashSet<Box<str>>>, name: &str, mine: &AtomicUsize, all: usize, each: usize) -> bool {
    let mut set = set.lock();
    if set.contains(name) {
        return true;
    }
    if set.len() >= all || mine.load(Relaxed) >= each {
        return false;
    }
    mine.fetch_add(1, Relaxed);
    set.insert(name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Arc<AccountState> {
        Accounts::default().get_or_add(&AccountName::new("a").unwrap())
    }

    #[test]
    fn a_burst_passes_and_then_the_pace_holds() {
        let a = account();
        let l = Limits { commands_per_second: 10, command_burst: 5, ..Limits::default() };
        let now = Instant::now();
        for _ in 0..5 {
            assert_eq!(a.charge(now, &l), None);
        }
        assert_eq!(a.charge(now, &l), Some(Duration::from_millis(100)));
        assert_eq!(a.charge(now, &l), Some(Duration::from_millis(200)));
        assert_eq!(a.charge(now + Duration::from_secs(2), &l), None);
        let off = Limits { commands_per_second: 0, ..Limits::default() };
        assert_eq!(a.charge(now, &off), None);
    }

    #[test]
    fn names_are_bounded_per_account_and_over_all() {
        let (n, a, b) = (Names::default(), account(), account());
        let l = Limits { max_distinct_topics: 3, max_distinct_topics_per_account: 2, ..Limits::default() };
        assert!(n.admit_topic("1", &a, &l) && n.admit_topic("2", &a, &l) && n.admit_topic("1", &a, &l));
        assert!(!n.admit_topic("3", &a, &l));
        assert!(n.admit_topic("3", &b, &l) && !n.admit_topic("4", &b, &l));
        assert!(n.admit_filter("4", &a, &l));
    }
}
