//! What a command service counts.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// How commands ended.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct OutcomeLabel {
    /// `accepted`, `duplicate`, or an error code.
    pub outcome: String,
}

/// The metrics of one command service.
#[derive(Clone)]
pub struct Metrics {
    /// Commands by outcome.
    pub commands: Family<OutcomeLabel, Counter>,
    /// Payloads in which no command could be read.
    pub unreadable: Counter,
    /// Seconds from receiving a command to its durable outcome.
    pub latency: Histogram,
    /// Commands that were taken and are not answered yet.
    pub queue: Gauge,
    /// Seconds of deciding one batch.
    pub decide: Histogram,
    /// Seconds of storing one batch, its sync included.
    pub commit: Histogram,
    /// Seconds of making one batch durable.
    pub sync: Histogram,
    /// Seconds of handing the replies of one batch to the bus.
    pub reply: Histogram,
    /// Commits a batch.
    pub batch: Histogram,
    /// The last position of the log.
    pub position: Gauge<i64, std::sync::atomic::AtomicI64>,
    /// Events published.
    pub published: Counter<u64, AtomicU64>,
}

impl Metrics {
    /// Registers the metrics under `millwright_{context}_…`.
    pub fn register(registry: &mut Registry, context: mw_contract::Context) -> Self {
        let m = Metrics {
            commands: Family::default(),
            unreadable: Counter::default(),
            latency: seconds(),
            queue: Gauge::default(),
            decide: seconds(),
            commit: seconds(),
            sync: seconds(),
            reply: seconds(),
            batch: Histogram::new([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0]),
            position: Gauge::default(),
            published: Counter::default(),
        };
        let r = registry.sub_registry_with_prefix(format!("millwright_{}", context.as_str().replace('-', "_")));
        r.register("commands", "Commands by outcome", m.commands.clone());
        r.register("unreadable", "Payloads in which no command could be read", m.unreadable.clone());
        r.register("command_seconds", "From receiving a command to its durable outcome", m.latency.clone());
        r.register("queue", "Commands taken and not answered yet", m.queue.clone());
        r.register("decide_seconds", "Deciding one batch", m.decide.clone());
        r.register("commit_seconds", "Storing one batch, its sync included", m.commit.clone());
        r.register("sync_seconds", "Making one batch durable", m.sync.clone());
        r.register("reply_seconds", "Handing the replies of one batch to the bus", m.reply.clone());
        r.register("batch_commits", "Commits in one durable batch", m.batch.clone());
        r.register("position", "Position of the last event", m.position.clone());
        r.register("events_published", "Events published on MQTT", m.published.clone());
        m
    }
}

fn seconds() -> Histogram {
    Histogram::new([0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0])
}
