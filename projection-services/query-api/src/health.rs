//! The small plain listener of a service that runs alone: alive, ready, metrics. It says nothing
//! about the business and takes nothing in, so it needs neither TLS nor tokens; where it listens is
//! the operator's choice.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State as Ax;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::server::ApiError;

/// What the listener answers with.
#[derive(Clone)]
pub struct Health {
    /// Is the service ready? `Err` says what it waits for.
    pub ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// The text of `/metrics`.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// The media type of `/metrics`.
pub(crate) const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

async fn readyz(Ax(h): Ax<Health>) -> Response {
    match (h.ready)() {
        Ok(()) => "ready\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn metrics(Ax(h): Ax<Health>) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(OPENMETRICS))], (h.metrics)()).into_response()
}

/// Listens until the runtime ends; the address that it has.
///
/// # Errors
/// [`ApiError::Bind`] with the address.
pub fn listen(addr: SocketAddr, health: Health) -> Result<SocketAddr, ApiError> {
    let failed = |reason| ApiError::Bind { what: "ops", addr, reason };
    let listener = std::net::TcpListener::bind(addr).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let at = listener.local_addr().map_err(failed)?;
    let app = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(health);
    let server = axum_server::from_tcp(listener).map_err(failed)?;
    tokio::spawn(server.serve(app.into_make_service()));
    Ok(at)
}
