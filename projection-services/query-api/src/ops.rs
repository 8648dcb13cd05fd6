//! What operators and supervisors ask: alive, ready, metrics.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts, Request, State as Ax};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use mw_policy::Route;
use serde_json::json;

use crate::health::OPENMETRICS;
use crate::identity::Caller;
use crate::problem::Problem;
use crate::server::State;
use crate::work_orders::json_text;

/// `GET /livez`: the process answers.
pub async fn livez() -> Response {
    json_text(json!({"status": "ok"}).to_string())
}

/// `GET /readyz`: every service is up and the read models follow their logs.
pub async fn readyz(Ax(state): Ax<State>) -> Result<Response, Problem> {
    match (state.ready)() {
        Ok(()) => Ok(json_text(json!({"status": "ready"}).to_string())),
        Err(why) => Err(Problem::unavailable(why)),
    }
}

/// `GET /metrics`: OpenMetrics, for this machine or with a token that may see them.
pub async fn metrics(
    Ax(state): Ax<State>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Result<Response, Problem> {
    if !peer.ip().to_canonical().is_loopback() {
        let (mut parts, _) = request.into_parts();
        Caller::from_request_parts(&mut parts, &state).await?.scope(Route::Metrics)?;
    }
    let kind = HeaderValue::from_static(OPENMETRICS);
    Ok(([(header::CONTENT_TYPE, kind)], (state.metrics)()).into_response())
}
