//! How a service meets the others: publish and subscribe over MQTT. One trait, two adapters.

mod acks;
pub mod in_process;
pub mod remote;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use acks::Acks;

/// A message that arrived.
#[derive(Debug)]
pub struct Inbound {
    /// Its topic.
    pub topic: String,
    /// Its payload.
    pub payload: Bytes,
    /// Where the answer should go (MQTT 5).
    pub response_topic: Option<String>,
    /// What the answer should carry back (MQTT 5).
    pub correlation_data: Option<Bytes>,
    /// To be given back with [`Receipt::done`] once the message has been dealt with; none where
    /// the broker does not wait for it.
    pub receipt: Option<Receipt>,
}

/// The acknowledgement of a received message. Until it is done the broker keeps the message and
/// gives it again to the next connection of the same session. Receipts may be done in any order:
/// the bus acknowledges in the order of the messages, and none of an earlier connection.
#[derive(Debug)]
pub struct Receipt {
    acks: Arc<Acks>,
    epoch: u64,
    seq: u64,
}

impl Receipt {
    /// The message has been dealt with.
    pub fn done(self) {
        self.acks.done(self.epoch, self.seq);
    }
}

/// How much a bus was given, and how much of that the broker has acknowledged. Both count messages
/// and only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Messages that [`Bus::publish`] took over.
    pub handed: u64,
    /// Those that need no second sending.
    pub settled: u64,
}

/// A message to publish, QoS 1.
#[derive(Clone, Debug, Default)]
pub struct Outbound {
    /// Its topic.
    pub topic: String,
    /// Its payload.
    pub payload: Bytes,
    /// Carried back to whoever asked (MQTT 5).
    pub correlation_data: Option<Bytes>,
    /// Where an answer should go (MQTT 5).
    pub response_topic: Option<String>,
    /// Media type of the payload (MQTT 5).
    pub content_type: Option<&'static str>,
    /// Kept by the broker for whoever subscribes later.
    pub retain: bool,
}

/// Why the bus can't be used.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The router behind the link has ended: the process must end too.
    #[error("the message router has stopped")]
    RouterStopped,
    /// The in-process link refused.
    #[error("in-process link: {0}")]
    Link(String),
    /// The connection to the broker can't be made or kept.
    #[error("broker {address}: {reason}")]
    Connection {
        /// Where the broker should be.
        address: String,
        /// What the client library says.
        reason: String,
    },
}

/// Publish and subscribe. `publish` returns when the messages were taken over by the adapter, in
/// order; a remote adapter keeps them in its own outbox until the broker has acknowledged them.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Subscribes to a filter; its messages come out of [`Bus::recv`].
    async fn subscribe(&self, filter: &str) -> Result<(), BusError>;

    /// The next message of any subscription.
    async fn recv(&self) -> Result<Inbound, BusError>;

    /// Publishes messages in order.
    async fn publish(&self, messages: Vec<Outbound>) -> Result<(), BusError>;

    /// How far publishing has come. A bus in the broker's own process has nothing outstanding.
    fn flow(&self) -> Flow {
        Flow::default()
    }
}
