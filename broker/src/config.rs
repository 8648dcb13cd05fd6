//! What the broker is told at start: addresses and limits.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The bounds of everything that a socket can make grow.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest packet, fixed header included, in bytes.
    pub max_packet: usize,
    /// The same for the product's own service accounts: they send pieces of the log.
    pub max_service_packet: usize,
    /// The largest CONNECT in bytes: all that is read before an account is known.
    pub max_connect_packet: usize,
    /// The largest payload of a command in bytes.
    pub max_command: usize,
    /// Connections at once, those that have not said CONNECT yet included.
    pub max_connections: usize,
    /// Client ids of one account at once, connected or kept.
    pub max_sessions_per_account: usize,
    /// Subscriptions of one client.
    pub max_subscriptions_per_client: usize,
    /// Distinct topics that clients may ever have published to: the router never forgets one.
    pub max_distinct_topics: usize,
    /// The same for one account.
    pub max_distinct_topics_per_account: usize,
    /// Distinct filters that clients may ever have subscribed to: the router never forgets one.
    pub max_distinct_filters: usize,
    /// The same for one account.
    pub max_distinct_filters_per_account: usize,
    /// Commands of one connection whose acknowledgement is withheld; above it the connection's
    /// socket is not read.
    pub max_withheld: usize,
    /// Bytes waiting to be written to one connection; above it nothing more is taken for it from
    /// the router.
    pub max_write_queue: usize,
    /// From accept to a complete CONNECT, TLS handshake included.
    pub connect_timeout: Duration,
    /// How long a connection that takes no bytes is kept.
    pub write_timeout: Duration,
    /// The longest that a session outlives its connection.
    pub max_session_expiry: Duration,
    /// Commands of one account a second; 0 is no limit.
    pub commands_per_second: u32,
    /// How many of them may come at once.
    pub command_burst: u32,
    /// How long an acknowledgement is withheld before the connection is closed.
    pub outcome_timeout: Duration,
    /// The longest client id in bytes.
    pub max_client_id: usize,
    /// Topic aliases of one MQTT 5 client.
    pub max_topic_aliases: u16,
    /// Retained messages.
    pub max_retained: usize,
    /// Bytes of all retained messages: topics, properties and payloads.
    pub max_retained_bytes: usize,
    /// Retained names of the device of one cell.
    pub max_retained_per_cell: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_packet: 256 * 1024,
            max_service_packet: 1024 * 1024,
            max_connect_packet: 96 * 1024,
            max_command: 64 * 1024,
            max_connections: 10_000,
            max_sessions_per_account: 2_000,
            max_subscriptions_per_client: 100,
            max_distinct_topics: 100_000,
            max_distinct_topics_per_account: 4_000,
            max_distinct_filters: 20_000,
            max_distinct_filters_per_account: 2_500,
            max_withheld: 1_000,
            max_write_queue: 256 * 1024,
            connect_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(60),
            max_session_expiry: Duration::from_secs(7 * 24 * 3600),
            commands_per_second: 500,
            command_burst: 1_000,
            outcome_timeout: Duration::from_secs(30),
            max_client_id: 256,
            max_topic_aliases: 16,
            max_retained: 100_000,
            max_retained_bytes: 256 * 1024 * 1024,
            max_retained_per_cell: 1_000,
        }
    }
}

/// Where the broker listens and how it behaves.
#[derive(Clone, Debug, Default)]
pub struct BrokerConfig {
    /// Plain MQTT; port 0 takes a free one.
    pub mqtt: Option<SocketAddr>,
    /// MQTT over TLS; port 0 takes a free one.
    pub mqtts: Option<(SocketAddr, Arc<rustls::ServerConfig>)>,
    /// The bounds.
    pub limits: Limits,
    /// Where retained messages are kept; without it they end with the process.
    pub retained_dir: Option<PathBuf>,
    /// For conformance suites: no accounts, every topic, no withheld acknowledgement. Loopback only.
    pub open_for_testing: bool,
}

/// Why the broker could not start or can't go on.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The address can't be had.
    #[error("cannot listen for {listener} on {addr}: {source}")]
    Bind {
        /// `mqtt` or `mqtts`.
        listener: &'static str,
        /// Where.
        addr: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A broker without accounts may be reached from this machine only.
    #[error("open-for-testing listens on loopback only, not on {0}")]
    OpenNotLoopback(SocketAddr),
    /// The retained messages of the process before can't be read.
    #[error("retained messages: {0}")]
    Retained(#[from] mw_log::LogError),
    /// A thread could not be started.
    #[error("cannot start thread {name}: {source}")]
    Thread {
        /// Which.
        name: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The router's thread ended or hangs: nothing is delivered any more, the process must end.
    #[error("the router is gone: {0}")]
    RouterDied(String),
}
