//! The bus over TCP or TLS: rumqttc, MQTT 5.
//!
//! rumqttc drops publishes in flight when the broker answers a reconnect with "no session", so
//! this adapter keeps everything in an outbox of its own until the broker's PUBACK, and sends it
//! again in order after a break. A reply may thus arrive twice; a client knows it by its
//! `command_id`.
//!
//! A connection with a session leaves what it was given with the broker until the service is done
//! with it ([`super::Receipt`]): what a crash left undecided is given to the next connection at
//! once, long before its sender would send it again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, LastWill, Packet, PubAckReason, Publish, PublishProperties};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions};
use rumqttc::{Outgoing, Transport};
use tokio::sync::{Notify, mpsc, watch};

use super::acks::Acks;
use super::{Bus, BusError, Flow, Inbound, Outbound, Receipt};

/// Where the broker is and who asks.
#[derive(Clone)]
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
    /// How long the broker keeps what this connection has not dealt with; `None` is not at all.
    pub session: Option<Duration>,
    /// What the broker says, retained, when the connection breaks: topic and payload.
    pub will: Option<(String, &'static str)>,
}

/// The most messages on their way to the broker at once. rumqttc reads no acknowledgement of ours
/// while its own limit is reached, so that one is higher.
const WINDOW: usize = 64;
/// Received messages that wait for the service; then the socket is read no further.
const INBOX: usize = 4096;
/// Messages that wait for the broker; then publishing waits.
const OUTBOX: usize = 16 * 1024;
/// The longest pause between two tries to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

struct Outbox {
    waiting: VecDeque<Outbound>,
    /// Each with its packet id, 0 until the client library has given it one.
    in_flight: VecDeque<(u16, Outbound)>,
    /// `None` while there is no connection. A new one for each connection: what an old one still
    /// held in its channel must not be sent beside what the outbox sends again.
    client: Option<AsyncClient>,
    flow: Flow,
}

struct Shared {
    outbox: Mutex<Outbox>,
    filters: Mutex<Vec<String>>,
    acks: Arc<Acks>,
    work: Notify,
    room: Notify,
}

/// The remote adapter.
pub struct RemoteBus {
    shared: Arc<Shared>,
    inbox: tokio::sync::Mutex<mpsc::Receiver<Inbound>>,
    address: String,
    connected: watch::Receiver<bool>,
    trouble: watch::Receiver<Option<String>>,
    tasks: [tokio::task::JoinHandle<()>; 2],
}

impl Drop for RemoteBus {
    fn drop(&mut self) {
        for t in &self.tasks {
            t.abort();
        }
    }
}

fn options(config: RemoteConfig) -> MqttOptions {
    let mut options = MqttOptions::new(&config.client_id, &config.host, config.port);
    options.set_credentials(&config.account, &config.secret);
    options.set_keep_alive(Duration::from_secs(10));
    options.set_connection_timeout(10);
    options.set_clean_start(config.session.is_none());
    options.set_manual_acks(config.session.is_some());
    if let Some(life) = config.session {
        options.set_session_expiry_interval(Some(u32::try_from(life.as_secs()).unwrap_or(u32::MAX - 1)));
    }
    if let Some((topic, payload)) = config.will {
        options.set_last_will(LastWill::new(topic, payload, QoS::AtLeastOnce, true, None));
    }
    options.set_max_packet_size(Some(16 * 1024 * 1024));
    options.set_outgoing_inflight_upper_limit(2 * WINDOW as u16);
    if let Some(tls) = config.tls {
        options.set_transport(Transport::tls_with_config(rumqttc::TlsConfiguration::Rustls(tls)));
    }
    // Request and reply over a socket with Nagle's algorithm cost 40 ms each.
    let mut network = options.network_options();
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    options
}

impl RemoteBus {
    /// Starts the connection task; it connects, and reconnects for ever.
    pub fn start(config: RemoteConfig) -> Self {
        let address = format!("{}:{}", config.host, config.port);
        let manual = config.session.is_some();
        // Of the few connections of a service one speaks for all of them.
        let loud = config.will.is_some();
        let options = options(config);
        let shared = Arc::new(Shared {
            outbox: Mutex::new(Outbox {
                waiting: VecDeque::new(),
                in_flight: VecDeque::new(),
                client: None,
                flow: Flow::default(),
            }),
            filters: Mutex::new(Vec::new()),
            acks: Arc::new(Acks::default()),
            work: Notify::new(),
            room: Notify::new(),
        });
        let (inbox_tx, inbox_rx) = mpsc::channel(INBOX);
        let (connected_tx, connected) = watch::channel(false);
        let (trouble_tx, trouble) = watch::channel(None);
        let poller = Poller {
            shared: shared.clone(),
            inbox: inbox_tx,
            connected: connected_tx,
            trouble: trouble_tx,
            manual,
            loud,
        };
        let tasks = [tokio::spawn(poller.run(options, address.clone())), tokio::spawn(send(shared.clone()))];
        RemoteBus { shared, inbox: tokio::sync::Mutex::new(inbox_rx), address, connected, trouble, tasks }
    }

    /// Waits for the first CONNACK.
    pub async fn connected(&self) -> Result<(), BusError> {
        let mut c = self.connected.clone();
        c.wait_for(|up| *up).await.map(|_| ()).map_err(|_| self.lost("the connection task ended"))
    }

    /// Is it connected now? And every change of it.
    pub fn connection(&self) -> watch::Receiver<bool> {
        self.connected.clone()
    }

    /// Why the last connection broke or was not made.
    pub fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.trouble.clone()
    }

    /// Gives the broker what it has not had, acknowledges what is done, and says goodbye. What is
    /// not done stays with the broker for the next connection of the session.
    pub async fn close(&self, within: Duration) {
        self.shared.acks.freeze();
        if !*self.connected.borrow() {
            // Nobody is there to take anything. What is left is published again at the next start.
            return;
        }
        let empty = async {
            loop {
                let room = self.shared.room.notified();
                {
                    let out = self.shared.outbox.lock();
                    if out.waiting.is_empty() && out.in_flight.is_empty() && self.shared.acks.is_settled() {
                        break;
                    }
                }
                // The acknowledgements have no answer that would wake this.
                let _ = tokio::time::timeout(Duration::from_millis(20), room).await;
            }
        };
        if tokio::time::timeout(within, empty).await.is_err() {
            let left = self.shared.outbox.lock().waiting.len();
            tracing::warn!(address = %self.address, messages = left, "ended before the broker had taken everything");
        }
        let client = self.shared.outbox.lock().client.take();
        if let Some(client) = client {
            let mut c = self.connected.clone();
            let goodbye = async {
                let _ = client.disconnect().await;
                let _ = c.wait_for(|up| !*up).await;
            };
            let _ = tokio::time::timeout(Duration::from_secs(1), goodbye).await;
        }
    }

    fn lost(&self, reason: &str) -> BusError {
        BusError::Connection { address: self.address.clone(), reason: reason.to_owned() }
    }
}

struct Poller {
    shared: Arc<Shared>,
    inbox: mpsc::Sender<Inbound>,
    connected: watch::Sender<bool>,
    trouble: watch::Sender<Option<String>>,
    manual: bool,
    loud: bool,
}

impl Poller {
    async fn run(self, options: MqttOptions, address: String) {
        let mut pause = Duration::from_millis(50);
        while !self.inbox.is_closed() {
            let (client, events) = AsyncClient::new(options.clone(), WINDOW * 2);
            self.shared.acks.next_epoch();
            let why = self.connection(client, events, &address).await;
            {
                let mut out = self.shared.outbox.lock();
                out.client = None;
                let mut again: VecDeque<Outbound> = out.in_flight.drain(..).map(|(_, m)| m).collect();
                again.append(&mut out.waiting);
                out.waiting = again;
            }
            let first = self.trouble.send_replace(Some(format!("{address}: {why}"))).is_none();
            let was_there = self.connected.send_replace(false);
            if was_there {
                pause = Duration::from_millis(50);
            }
            if self.loud && was_there {
                tracing::warn!(%address, error = %why, "lost the broker; trying again");
            } else if self.loud && first {
                tracing::warn!(%address, error = %why, "no connection to the broker yet; trying again");
            } else {
                tracing::debug!(%address, error = %why, "no connection to the broker; trying again");
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Until it breaks: the reason.
    async fn connection(&self, client: AsyncClient, mut events: EventLoop, address: &str) -> String {
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    if self.loud {
                        tracing::info!(%address, "connected to the broker");
                    }
                    if let Err(e) = self.subscribe_all(&client) {
                        return e;
                    }
                    self.connected.send_replace(true);
                    self.shared.work.notify_one();
                }
                Ok(Event::Outgoing(Outgoing::Publish(id))) => {
                    // The library sends in the order in which it was given them.
                    let mut out = self.shared.outbox.lock();
                    if let Some(m) = out.in_flight.iter_mut().find(|(pkid, _)| *pkid == 0) {
                        m.0 = id;
                    }
                }
                Ok(Event::Incoming(Packet::PubAck(ack))) => self.acknowledged(ack.pkid, ack.reason),
                Ok(Event::Incoming(Packet::Publish(p))) => {
                    if self.inbox.send(self.inbound(p)).await.is_err() {
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
                Err(ConnectionError::ConnectionRefused(code)) => {
                    return format!(
                        "the broker refuses this service: {code:?}; is its secret the one that the broker has?"
                    );
                }
                Err(e) => return e.to_string(),
            }
        }
    }

    /// Subscribes to everything again, and lets the sender begin. A filter that is added at the
    /// same moment finds the client or is found here.
    fn subscribe_all(&self, client: &AsyncClient) -> Result<(), String> {
        let filters = self.shared.filters.lock();
        if !filters.is_empty() {
            let all = filters.iter().map(|f| Filter::new(f.clone(), QoS::AtLeastOnce));
            // Elsewhere such a call inside the event loop's own task could wait for ever; this one
            // is the first into an empty channel.
            client.try_subscribe_many(all).map_err(|e| e.to_string())?;
        }
        self.shared.outbox.lock().client = Some(client.clone());
        Ok(())
    }

    fn inbound(&self, p: Publish) -> Inbound {
        let receipt = (self.manual && p.qos != QoS::AtMostOnce).then(|| {
            let (epoch, seq) = self.shared.acks.opened(&p);
            Receipt { acks: self.shared.acks.clone(), epoch, seq }
        });
        let props = p.properties.unwrap_or_default();
        Inbound {
            topic: String::from_utf8_lossy(&p.topic).into_owned(),
            payload: p.payload,
            response_topic: props.response_topic,
            correlation_data: props.correlation_data,
            receipt,
        }
    }

    fn acknowledged(&self, id: u16, reason: PubAckReason) {
        let done = {
            let mut out = self.shared.outbox.lock();
            let at = out.in_flight.iter().position(|(pkid, _)| *pkid == id);
            let done = at.and_then(|at| out.in_flight.remove(at));
            out.flow.settled += u64::from(done.is_some());
            done
        };
        if let Some((_, m)) =
            done.filter(|_| !matches!(reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers))
        {
            // It would be refused again and again, and hold up what follows.
            tracing::error!(topic = m.topic, ?reason, "the broker refused a message of this service");
        }
        self.shared.work.notify_one();
        self.shared.room.notify_waiters();
    }
}

/// What the sender does next.
enum Next {
    Publish(AsyncClient, Outbound),
    Ack(AsyncClient, Publish),
}

impl Shared {
    fn next(&self) -> Option<Next> {
        let mut out = self.outbox.lock();
        let client = out.client.clone()?;
        let sent = out.flow.handed - out.waiting.len() as u64;
        if let Some(ack) = self.acks.next(sent) {
            return Some(Next::Ack(client, ack));
        }
        if out.in_flight.len() >= WINDOW {
            return None;
        }
        let m = out.waiting.pop_front()?;
        out.in_flight.push_back((0, m.clone()));
        Some(Next::Publish(client, m))
    }
}

/// Moves messages and acknowledgements to the client, in order, while there is a connection and
/// room. When that fails the connection is gone: the outbox sends a message again, and an
/// acknowledgement is not wanted any more.
async fn send(shared: Arc<Shared>) {
    loop {
        match shared.next() {
            None => tokio::select! {
                () = shared.work.notified() => {}
                () = shared.acks.work.notified() => {}
            },
            Some(Next::Ack(client, message)) => drop(client.ack(&message).await),
            Some(Next::Publish(client, m)) => {
                let props = PublishProperties {
                    correlation_data: m.correlation_data,
                    response_topic: m.response_topic,
                    content_type: m.content_type.map(str::to_owned),
                    ..PublishProperties::default()
                };
                let _ = client.publish_with_properties(m.topic, QoS::AtLeastOnce, m.retain, m.payload, props).await;
            }
        }
    }
}

#[async_trait]
impl Bus for RemoteBus {
    async fn subscribe(&self, filter: &str) -> Result<(), BusError> {
        let client = {
            let mut filters = self.shared.filters.lock();
            if !filters.iter().any(|f| f == filter) {
                filters.push(filter.to_owned());
            }
            self.shared.outbox.lock().client.clone()
        };
        if let Some(client) = client {
            // When this fails the connection is gone, and the next one subscribes.
            let _ = client.subscribe(filter, QoS::AtLeastOnce).await;
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
            {
                let mut out = self.shared.outbox.lock();
                if out.waiting.len() < OUTBOX {
                    out.flow.handed += messages.len() as u64;
                    self.shared.acks.handed(out.flow.handed);
                    out.waiting.extend(messages);
                    break;
                }
            }
            room.await;
        }
        self.shared.work.notify_one();
        Ok(())
    }

    fn flow(&self) -> Flow {
        self.shared.outbox.lock().flow
    }
}
