//! What the process managers count.

use std::sync::atomic::{AtomicI64, AtomicU64};

use mw_contract::Context;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Whose log a figure is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Of {
    context: &'static str,
}

impl Of {
    /// That of a context.
    pub fn context(context: Context) -> Self {
        Of { context: context.as_str() }
    }
}

/// The metrics of the process managers.
#[derive(Clone, Default)]
pub struct Metrics {
    /// Commands handed to the bus, repeats counted.
    pub sent: Counter<u64, AtomicU64>,
    /// Commands without an outcome.
    pub open: Gauge<i64, AtomicI64>,
    /// Commands that were refused and that somebody must look at.
    pub failed: Gauge<i64, AtomicI64>,
    /// Commands that were sent five times and more and have no outcome.
    pub overdue: Gauge<i64, AtomicI64>,
    /// Timers that are set.
    pub timers: Gauge<i64, AtomicI64>,
    /// Commits of each log that were not worked on yet.
    pub lag: Family<Of, Gauge<i64, AtomicI64>>,
}

impl Metrics {
    /// Registers the metrics under `mw_processes_…`.
    pub fn register(registry: &mut Registry) -> Self {
        let m = Metrics::default();
        let r = registry.sub_registry_with_prefix("mw_processes");
        r.register("commands_sent", "Commands handed to the bus, repeats counted", m.sent.clone());
        r.register("outbox", "Commands without an outcome", m.open.clone());
        r.register("failed", "Commands that were refused and that somebody must look at", m.failed.clone());
        r.register("overdue", "Commands sent five times and more, without an outcome", m.overdue.clone());
        r.register("timers", "Timers that are set", m.timers.clone());
        r.register("lag", "Commits of each log that were not worked on yet", m.lag.clone());
        m
    }
}
