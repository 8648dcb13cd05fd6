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
use tokio::sync::{Notify, mpsc, watch};

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
    /// `None` while there is no connection. A new one for each connection: what an old one still
    /// held in its channel must not be sent beside what the outbox sends again.
    client: Option<AsyncClient>,
}

struct Shared {
    outbox: Mutex<Outbox>,
    filters: Mutex<Vec<String>>,
    work: Notify,
    room: Notify,
}

/// The remote adapter.
pub struct RemoteBus {
    shared: Arc<Shared>,
    inbox: tokio::sync::Mutex<mpsc::Receiver<Inbound>>,
    address: String,
    connected: watch::Receiver<bool>,
    tasks: [tokio::task::JoinHandle<()>; 2],
}

impl Drop for RemoteBus {
    fn drop(&mut self) {
        for t in &self.tasks {
            t.abort();
        }
    }
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
        // Request and reply over a socket with Nagle's algorithm cost 40 ms each.
        let mut network = options.network_options();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);

        let shared = Arc::new(Shared {
            outbox: Mutex::new(Outbox { waiting: VecDeque::new(), in_flight: VecDeque::new(), client: None }),
            filters: Mutex::new(Vec::new()),
            work: Notify::new(),
            room: Notify::new(),
        });
        let (inbox_tx, inbox_rx) = mpsc::channel(INBOX);
        let (connected_tx, connected) = watch::channel(false);
        let poller = Poller { shared: shared.clone(), inbox: inbox_tx, connected: connected_tx };
        let tasks = [tokio::spawn(poller.run(options, address.clone())), tokio::spawn(send(shared.clone()))];
        RemoteBus { shared, inbox: tokio::sync::Mutex::new(inbox_rx), address, connected, tasks }
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
    shared: Arc<Shared>,
    inbox: mpsc::Sender<Inbound>,
    connected: watch::Sender<bool>,
}

impl Poller {
    async fn run(self, options: MqttOptions, address: String) {
        let mut pause = Duration::from_millis(50);
        while !self.inbox.is_closed() {
            let (client, events) = AsyncClient::new(options.clone(), WINDOW * 2);
            let why = self.connection(client, events, &address).await;
            {
                let mut out = self.shared.outbox.lock();
                out.client = None;
                let mut again: VecDeque<Outbound> = out.in_flight.drain(..).collect();
                again.append(&mut out.waiting);
                out.waiting = again;
            }
            if self.connected.send_replace(false) {
                tracing::warn!(%address, error = %why, "lost the broker; trying again");
                pause = Duration::from_millis(50);
            } else {
                tracing::info!(%address, error = %why, "no connection to the broker yet; trying again");
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }

    /// Until it breaks: the reason.
    async fn connection(&self, client: AsyncClient, mut events: EventLoop, address: &str) -> String {
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    tracing::info!(%address, "connected to the broker");
                    let filters: Vec<Filter> =
                        self.shared.filters.lock().iter().map(|f| Filter::new(f.clone(), QoS::AtLeastOnce)).collect();
                    // Never from inside the event loop's own task: once the request channel is
                    // full such a call waits for ever. This one is the first into an empty channel.
                    if !filters.is_empty()
                        && let Err(e) = client.try_subscribe_many(filters)
                    {
                        return e.to_string();
                    }
                    self.shared.outbox.lock().client = Some(client.clone());
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
                        return "the service has ended".into();
                    }
                }
                Ok(Event::Incoming(Packet::SubAck(ack))) => {
                    use rumqttc::v5::mqttbytes::v5::SubscribeReasonCode::Success;
                    if let Some(code) = ack.return_codes.iter().find(|c| !matches!(c, Success(_))) {
                        // The service is deaf: better to say so and try again than to stay silent.
                        return format!("a subscription was refused: {code:?}");
                    }
                }
                Ok(_) => {}
                Err(e) => return e.to_string(),
            }
        }
    }
}

/// Moves messages from the outbox to the client, in order, while there is a connection and room.
async fn send(shared: Arc<Shared>) {
    loop {
        let next = {
            let mut out = shared.outbox.lock();
            match out.client.clone().filter(|_| out.in_flight.len() < WINDOW) {
                Some(c) => out.waiting.pop_front().inspect(|m| out.in_flight.push_back(m.clone())).map(|m| (c, m)),
                None => None,
            }
        };
        let Some((client, m)) = next else {
            shared.work.notified().await;
            continue;
        };
        let props = PublishProperties {
            correlation_data: m.correlation_data,
            response_topic: m.response_topic,
            content_type: m.content_type.map(str::to_owned),
            ..PublishProperties::default()
        };
        // When this fails the connection is gone, and the outbox sends it again.
        let _ = client.publish_with_properties(m.topic, QoS::AtLeastOnce, false, m.payload, props).await;
    }
}

#[async_trait]
impl Bus for RemoteBus {
    async fn subscribe(&self, filter: &str) -> Result<(), BusError> {
        self.shared.filters.lock().push(filter.to_owned());
        let client = self.shared.outbox.lock().client.clone();
        if let Some(client) = client {
            client.subscribe(filter, QoS::AtLeastOnce).await.map_err(|e| self.lost(&e.to_string()))?;
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
