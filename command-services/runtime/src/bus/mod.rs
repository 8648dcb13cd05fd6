//! How a service meets the others: publish and subscribe over MQTT. One trait, two adapters.

pub mod in_process;
pub mod remote;

use async_trait::async_trait;
use bytes::Bytes;

/// A message that arrived.
#[derive(Clone, Debug)]
pub struct Inbound {
    /// Its topic.
    pub topic: String,
    /// Its payload.
    pub payload: Bytes,
    /// Where the answer should go (MQTT 5).
    pub response_topic: Option<String>,
    /// What the answer should carry back (MQTT 5).
    pub correlation_data: Option<Bytes>,
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
}
