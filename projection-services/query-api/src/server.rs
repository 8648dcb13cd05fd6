//! TLS, timeouts and limits around the router; start and end.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use axum_server::tls_rustls::RustlsConfig;
use mw_contract::Instant;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;

use crate::identity::Identity;
use crate::metrics::{self, Metrics};
use crate::models::Models;
use crate::routes;
use crate::texts::Vaults;

/// The longest body that is read: the API takes forms only.
const MAX_BODY: usize = 16 * 1024;
/// From the connection to the end of the first request's head, TLS included.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest that one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long requests may go on after the end was asked for.
const GOODBYE: Duration = Duration::from_secs(5);

/// What the API is made of.
pub struct ApiConfig {
    /// Where it listens; port 0 takes a free one.
    pub addr: SocketAddr,
    /// Certificate and key.
    pub tls: Arc<rustls::ServerConfig>,
    /// Who may call.
    pub identity: Arc<dyn Identity>,
    /// What it shows.
    pub models: Models,
    /// Opens sealed text for readers in scope, by context.
    pub texts: Vaults,
    /// Business time, for columns that depend on the clock.
    pub now: Arc<dyn Fn() -> Instant + Send + Sync>,
    /// Is everything ready? `Err` says what is not.
    pub ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// The text of `/metrics`.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// What it counts itself.
    pub counts: Metrics,
}

/// What handlers share.
#[derive(Clone)]
pub struct State {
    pub(crate) identity: Arc<dyn Identity>,
    pub(crate) models: Models,
    pub(crate) texts: Vaults,
    pub(crate) now: Arc<dyn Fn() -> Instant + Send + Sync>,
    pub(crate) ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    pub(crate) metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// Why the API can't start.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The address can't be had.
    #[error("cannot listen for {what} on {addr}: {reason}")]
    Bind {
        /// `https` or `ops`.
        what: &'static str,
        /// Where.
        addr: SocketAddr,
        /// What the system said.
        reason: std::io::Error,
    },
}

/// A running API.
pub struct Api {
    addr: SocketAddr,
    handle: axum_server::Handle<SocketAddr>,
    task: parking_lot::Mutex<Option<tokio::task::JoinHandle<std::io::Result<()>>>>,
}

impl Api {
    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Lets running requests end, a few seconds at most, and stops.
    pub async fn shutdown(&self) {
        self.handle.graceful_shutdown(Some(GOODBYE));
        let task = self.task.lock().take();
        if let Some(t) = task {
            let _ = t.await;
        }
    }
}

/// Starts to listen.
///
/// # Errors
/// [`ApiError::Bind`] with the address.
pub fn start(config: ApiConfig) -> Result<Api, ApiError> {
    let failed = |reason| ApiError::Bind { what: "https", addr: config.addr, reason };
    let listener = TcpListener::bind(config.addr).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    let state = State {
        identity: config.identity,
        models: config.models,
        texts: config.texts,
        now: config.now,
        ready: config.ready,
        metrics: config.metrics,
    };
    let header = |name: &'static str, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    let app = routes::router(state)
        .layer(axum::middleware::from_fn_with_state(config.counts, metrics::count))
        .layer(RequestBodyLimitLayer::new(MAX_BODY))
        .layer(TimeoutLayer::with_status_code(axum::http::StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT))
        .layer(header("x-content-type-options", "nosniff"))
        .layer(header("cache-control", "no-cache"))
        .layer(header("strict-transport-security", "max-age=31536000"));
    let handle = axum_server::Handle::new();
    let mut server = axum_server::from_tcp_rustls(listener, RustlsConfig::from_config(config.tls))
        .map_err(failed)?
        .first_request_timeout(HEAD_TIMEOUT)
        .handle(handle.clone());
    // A client that sends its head a byte at a time would hold its connection for ever.
    server.http_builder().http1().timer(hyper_util::rt::TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    server.http_builder().http2().timer(hyper_util::rt::TokioTimer::new()).max_concurrent_streams(64);
    let task = tokio::spawn(server.serve(app.into_make_service_with_connect_info::<SocketAddr>()));
    Ok(Api { addr, handle, task: parking_lot::Mutex::new(Some(task)) })
}
