//! Times of operations from their sessions, all by business time.
//!
//! Owns the two ways of adding up sessions: machine time is their union, run and setup apart;
//! labour is shared, so that a person with n parallel sessions of the order works 1/n on each.
//! It must never read a clock: open sessions last until the moment that the caller names.

use std::collections::BTreeSet;

use mw_contract::command::work_order::OpNo;
use mw_contract::{AccountName, Instant, Seconds, SessionKind};

use crate::state::{Session, WorkOrder};

/// Times of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct OperationTimes {
    /// Machine time running.
    pub run: Seconds,
    /// Machine time setting up.
    pub setup: Seconds,
    /// Labour.
    pub labour: Seconds,
}

/// The times of one operation; its and the order's open sessions last `until` then.
pub fn of(order: &WorkOrder, op: OpNo, until: Instant) -> OperationTimes {
    let Some(operation) = order.operation(op) else { return OperationTimes::default() };
    let machine = |kind| {
        let spans = operation.sessions.iter().filter(|s| s.kind == kind).map(|s| span(s, until)).collect();
        seconds(union(spans))
    };
    let people: BTreeSet<&AccountName> =
        operation.sessions.iter().filter(|s| s.attended).map(|s| &s.operator).collect();
    // Millionths of a millisecond, so that thirds of one do not get lost.
    let labour: i128 = people.into_iter().map(|p| shared(order, op, p, until)).sum();
    let labour = i64::try_from(labour / 1_000_000).unwrap_or(i64::MAX);
    OperationTimes { run: machine(SessionKind::Run), setup: machine(SessionKind::Setup), labour: seconds(labour) }
}

fn span(s: &Session, until: Instant) -> (i64, i64) {
    let start = s.started_at.millis();
    (start, s.ended_at.unwrap_or(until).millis().max(start))
}

fn seconds(ms: i64) -> Seconds {
    Seconds(u64::try_from(ms / 1000).unwrap_or(0))
}

/// Milliseconds that at least one of the spans covers.
fn union(mut spans: Vec<(i64, i64)>) -> i64 {
    spans.sort_unstable();
    let (mut total, mut covered_to) = (0, i64::MIN);
    for (start, end) in spans {
        let from = start.max(covered_to);
        total += (end - from).max(0);
        covered_to = covered_to.max(end);
    }
    total
}

/// A person's labour on one operation, in millionths of a millisecond.
fn shared(order: &WorkOrder, op: OpNo, who: &AccountName, until: Instant) -> i128 {
    let mut edges: Vec<(i64, i64, bool)> = Vec::new();
    for (o, s) in order.sessions().filter(|(_, s)| s.attended && s.operator == *who) {
        let (start, end) = span(s, until);
        edges.push((start, 1, o.op == op));
        edges.push((end, -1, o.op == op));
    }
    edges.sort_unstable();
    let (mut at, mut all, mut here, mut total) = (i64::MIN, 0i64, 0i64, 0i128);
    for (t, step, mine) in edges {
        if all > 0 {
            total += i128::from(t - at) * 1_000_000 * i128::from(here) / i128::from(all);
        }
        at = t;
        all += step;
        here += if mine { step } else { 0 };
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_union_counts_overlap_once_and_gaps_not_at_all() {
        assert_eq!(union(vec![(0, 10), (5, 12), (20, 25), (21, 22)]), 17);
        assert_eq!(union(vec![]), 0);
        assert_eq!(union(vec![(7, 7)]), 0);
    }
}
