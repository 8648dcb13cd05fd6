//! The bus over TCP or TLS: rumqttc, MQTT 5.
//!
//! rumqttc drops publishes in flight when the broker answers a reconnect with "no session", so
//! this adapter keeps everything in an outbox of its own until the broker's PUBACK, and sends it
//! again in order after a break. A reply may thus arrive twice; a client knows it by its
//! `command_id`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use rumqttc::Transport;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, Packet, PublishProperties};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use tokio::sync::{Notify, mpsc};

use super::{Bus, BusError, Inbound, Outbound};

/// Where the broker is and who asks.
pub struct RemoteConfig {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// TLS, or plain (loopback only).
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// The client id: one a connection, the same after every restart, so that it takes over at once.
    pub client_id: String,
    /// The service account.
    pub account: String,
    /// Its secret.
    pub secret: String,
}

/// The most messages on their way to the broker at once: its receive maximum.
const WINDOW: usize = 64;
/// Received messages that wait for the service; then the socket is read no further.
const INBOX: usize = 4096;

struct Outbox {
    waiting: VecDeque<Outbound>,
    in_flight: VecDeque<Outbound>,
}

struct Shared {
    outbox: Mutex<Outbox>,
    filters: Mutex<Vec<String>>,
    work: Notify,
    room: Notify,
}

/// The remote adapter.
pub struct RemoteBus {
    client: AsyncClient,
    shared: Arc<Shared>,
    inbox: tokio::sync::Mutex<mpsc::Receiver<Inbound>>,
    address: String,
    connected: tokio::sync::watch::Receiver<bool>,
}

impl RemoteBus {
    /// Starts the connection task; it connects, and reconnects for ever.
    pub fn start(config: RemoteConfig) -> Self {
        let address = format!("{}:{}", config.host, config.port);
        let mut options = MqttOptions::new(&config.client_id, &config.host, config.port);
        options.set_credentials(&config.account, &config.secret);
        options.set_keep_alive(Duration::from_secs(10));
        options.set_clean_start(true);
        options.set_max_packet_size(Some(16 * 1024 * 1024));
        options.set_outgoing_inflight_upper_limit(WINDOW as u16);
        if let Some(tls) = config.tls {
            options.set_transport(Transport::tls_with_config(rumqttc::TlsConfiguration::Rustls(tls)));
        }
        let (client, mut events) = AsyncClient::new(options, WINDOW * 2);
        // Request and reply over a socket with Nagle's algorithm cost 40 ms each.
        let mut network = events.network_options.clone();
        network.set_tcp_nodelay(true);
        events.network_options = network;

        let shared = Arc::new(Shared {
            outbox: Mutex::new(Outbox { waiting: VecDeque::new(), in_flight: VecDeque::new() }),
            filters: Mutex::new(Vec::new()),
            work: Notify::new(),
            room: Notify::new(),
        });
        let (inbox_tx, inbox_rx) = mpsc::channel(INBOX);
        let (connected_tx, connected) = tokio::sync::watch::channel(false);
        let poller = Poller { client: client.clone(), shared: shared.clone(), inbox: inbox_tx, connected: connected_tx };
        tokio::spawn(poller.run(events, address.clone()));
        tokio::spawn(send(client.clone(), shared.clone(), connected.clone()));
        RemoteBus { client, shared, inbox: tokio::sync::Mutex::new(inbox_rx), address, connected }
    }

    /// Waits for the first CONNACK.
    pub async fn connected(&self) -> Result<(), BusError> {
        let mut c = self.connected.clone();
        c.wait_for(|up| *up).await.map(|_| ()).map_err(|_| self.lost("the connection task ended"))
    }

    /// Is it connected now?
    pub fn is_connected(&self) -> bool {
        *self.connected.borrow()
    }

    fn lost(&self, reason: &str) -> BusError {
        BusError::Connection { address: self.address.clone(), reason: reason.to_owned() }
    }
}

struct Poller {
    client: AsyncClient,
    shared: Arc<Shared>,
    inbox: mpsc::Sender<Inbound>,
    connected: tokio::sync::watch::Sender<bool>,
}

impl Poller {
    async fn run(self, mut events: EventLoop, address: String) {
        let mut pause = Duration::from_millis(50);
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    pause = Duration::from_millis(50);
                    tracing::info!(%address, "connected to the broker");
                    {
                        let mut out = self.shared.outbox.lock();
                        let mut again: VecDeque<Outbound> = out.in_flight.drain(..).collect();
                        again.append(&mut out.waiting);
                        out.waiting = again;
                    }
                    let filters: Vec<Filter> =
                        self.shared.filters.lock().iter().map(|f| Filter::new(f.clone(), QoS::AtLeastOnce)).collect();
                    if !filters.is_empty() {
                        // From a task of its own: a request inside the event loop's own task
                        // waits for ever once the request channel is full.
                        let client = self.client.clone();
                        tokio::spawn(async move { client.subscribe_many(filters).await.ok() });
                    }
                    self.connected.send_replace(true);
                    self.shared.work.notify_one();
                }
                Ok(Event::Incoming(Packet::PubAck(_))) => {
                    self.shared.outbox.lock().in_flight.pop_front();
                    self.shared.work.notify_one();
                    self.shared.room.notify_waiters();
                }
                Ok(Event::Incoming(Packet::Publish(p))) => {
                    let props = p.properties.unwrap_or_default();
                    let message = Inbound {
                        topic: String::from_utf8_lossy(&p.topic).into_owned(),
                        payload: p.payload,
                        response_topic: props.response_topic,
                        correlation_data: props.correlation_data,
                    };
                    if self.inbox.send(message).await.is_err() {
                        return;
                    }
                }
                Ok(_) => {}
                Err(e) => {
                    if self.connected.send_replace(false) {
                        tracing::warn!(%address, error = %e, "lost the broker; trying again");
                    } else {
                        tracing::debug!(%address, error = %e, "no broker yet");
                    }
                    if self.inbox.is_closed() {
                        return;
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(2));
                }
            }
        }
    }
}

/// Moves messages from the outbox to the client, in order, while there is a connection and room.
async fn send(client: AsyncClient, shared: Arc<Shared>, connected: tokio::sync::watch::Receiver<bool>) {
    loop {
        let next = {
            let mut out = shared.outbox.lock();
            if *connected.borrow() && out.in_flight.len() < WINDOW {
                out.waiting.pop_front().inspect(|m| out.in_flight.push_back(m.clone()))
            } else {
                None
            }
        };
        let Some(m) = next else {
            if Arc::strong_count(&shared) <= 2 && shared.outbox.lock().waiting.is_empty() {
                return;
            }
            shared.work.notified().await;
            continue;
        };
        let props = PublishProperties {
            correlation_data: m.correlation_data,
            response_topic: m.response_topic,
            content_type: m.content_type.map(str::to_owned),
            ..PublishProperties::default()
        };
        if client.publish_with_properties(m.topic, QoS::AtLeastOnce, false, m.payload, props).await.is_err() {
            return;
        }
    }
}

#[async_trait]
impl Bus for RemoteBus {
    async fn subscribe(&self, filter: &str) -> Result<(), BusError> {
        self.shared.filters.lock().push(filter.to_owned());
        if self.is_connected() {
            self.client.subscribe(filter, QoS::AtLeastOnce).await.map_err(|e| self.lost(&e.to_string()))?;
        }
        Ok(())
    }

    async fn recv(&self) -> Result<Inbound, BusError> {
        self.inbox.lock().await.recv().await.ok_or_else(|| self.lost("the connection task ended"))
    }

    async fn publish(&self, messages: Vec<Outbound>) -> Result<(), BusError> {
        // A bound on memory while the broker is away: wait for room, in order.
        loop {
            let room = self.shared.room.notified();
            if self.shared.outbox.lock().waiting.len() < 16 * 1024 {
                break;
            }
            room.await;
        }
        self.shared.outbox.lock().waiting.extend(messages);
        self.shared.work.notify_one();
        Ok(())
    }
}
