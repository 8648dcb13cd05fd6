//! Counters and gauges of the front door.

use std::sync::atomic::AtomicI64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Cheap to clone: all clones count into the same numbers.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Metrics {
    pub connections: Gauge<i64, AtomicI64>,
    pub sessions: Gauge<i64, AtomicI64>,
    pub connects: Counter,
    pub connects_refused: Counter,
    pub closed_for_cause: Counter,
    pub bytes_in: Counter,
    pub bytes_out: Counter,
    pub publishes_in: Counter,
    pub publishes_out: Counter,
    pub publishes_refused: Counter,
    pub publishes_dropped: Counter,
    pub subscribes_refused: Counter,
    pub commands: Counter,
    pub commands_unreadable: Counter,
    pub commands_slowed: Counter,
    pub withheld: Gauge<i64, AtomicI64>,
    pub released: Counter,
    pub outcome_timeouts: Counter,
    pub replies_missed: Counter,
    pub retained: Gauge<i64, AtomicI64>,
    pub retained_refused: Counter,
    pub retained_failed: Counter,
}

impl Metrics {
    /// Registers all under the names `mw_broker_…`.
    pub fn register(&self, registry: &mut Registry) {
        let r = registry.sub_registry_with_prefix("mw_broker");
        r.register("connections", "Open connections, before CONNECT too", self.connections.clone());
        r.register("sessions", "Connected clients", self.sessions.clone());
        r.register("connects", "CONNECTs accepted", self.connects.clone());
        r.register("connects_refused", "CONNECTs refused", self.connects_refused.clone());
        r.register("closed_for_cause", "Connections that the broker closed", self.closed_for_cause.clone());
        r.register("bytes_in", "Bytes read from clients", self.bytes_in.clone());
        r.register("bytes_out", "Bytes written to clients", self.bytes_out.clone());
        r.register("publishes_in", "PUBLISH packets from clients", self.publishes_in.clone());
        r.register("publishes_out", "PUBLISH packets to clients", self.publishes_out.clone());
        r.register("publishes_refused", "PUBLISH packets that the policy refused", self.publishes_refused.clone());
        r.register(
            "publishes_dropped",
            "Messages not delivered: expired or too large for the client",
            self.publishes_dropped.clone(),
        );
        r.register("subscribes_refused", "Filters refused", self.subscribes_refused.clone());
        r.register("commands", "Commands passed on", self.commands.clone());
        r.register("commands_unreadable", "Commands without a readable command_id", self.commands_unreadable.clone());
        r.register("commands_slowed", "Times that a socket waited for the rate limit", self.commands_slowed.clone());
        r.register("withheld", "Acknowledgements withheld now", self.withheld.clone());
        r.register("released", "Acknowledgements released by an outcome", self.released.clone());
        r.register("outcome_timeouts", "Connections closed for want of an outcome", self.outcome_timeouts.clone());
        r.register("retained", "Retained messages", self.retained.clone());
        r.register("retained_refused", "Retained messages that there was no room for", self.retained_refused.clone());
        r.register("retained_failed", "Writes of retained messages that failed", self.retained_failed.clone());
        r.register("replies_missed", "Replies that the watch did not see", self.replies_missed.clone());
    }
}
