//! The bus inside one process: a link to the embedded broker's router.

use std::sync::Arc;

use async_trait::async_trait;
use mw_broker::{LinkReceiver, LinkSender, LocalLink, Publish};
use tokio::sync::Mutex;

use super::{Bus, BusError, Inbound, Outbound};

/// The in-process adapter. A subscription here has no window and is QoS 0: what it may lose, when
/// the router evicts it, was not acknowledged, so its sender sends it again.
pub struct InProcessBus {
    sender: LinkSender,
    receiver: Mutex<LinkReceiver>,
}

impl InProcessBus {
    /// Over a link of its own.
    pub fn new(link: LocalLink) -> Arc<Self> {
        let (sender, receiver) = link.split();
        Arc::new(InProcessBus { sender, receiver: Mutex::new(receiver) })
    }
}

#[async_trait]
impl Bus for InProcessBus {
    async fn subscribe(&self, filter: &str) -> Result<(), BusError> {
        self.sender.subscribe(filter).map_err(|e| BusError::Link(e.to_string()))
    }

    async fn recv(&self) -> Result<Inbound, BusError> {
        let m = self.receiver.lock().await.recv().await.map_err(|_| BusError::RouterStopped)?;
        Ok(Inbound {
            topic: m.topic,
            payload: m.payload,
            response_topic: m.response_topic,
            correlation_data: m.correlation_data,
            receipt: None,
        })
    }

    async fn publish(&self, messages: Vec<Outbound>) -> Result<(), BusError> {
        let batch: Vec<Publish> = messages
            .into_iter()
            .map(|m| Publish {
                topic: m.topic,
                payload: m.payload,
                qos: 1,
                retain: m.retain,
                response_topic: m.response_topic,
                correlation_data: m.correlation_data,
                content_type: m.content_type.map(str::to_owned),
                ..Publish::default()
            })
            .collect();
        self.sender.publish_many(batch).map_err(|e| BusError::Link(e.to_string()))
    }
}
