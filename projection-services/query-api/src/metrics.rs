//! What the API counts: requests by route and status, and how long they took.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State as Ax};
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// What a request was and how it ended.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Labels {
    /// The route's path, ids left out; `none` where there is no such route.
    pub route: String,
    /// The HTTP status.
    pub status: u16,
}

/// The counters; clones count into the same.
#[derive(Clone)]
pub struct Metrics {
    requests: Family<Labels, Counter>,
    seconds: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds = Histogram::new([0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0]);
        Metrics { requests: Family::default(), seconds }
    }
}

impl Metrics {
    /// Registers them as `millwright_http_…`.
    pub fn register(&self, registry: &mut Registry) {
        let r = registry.sub_registry_with_prefix("millwright_http");
        r.register("requests", "Requests by route and status", self.requests.clone());
        r.register("request_seconds", "From a request's head to its answer", self.seconds.clone());
    }
}

/// Counts one request.
pub(crate) async fn count(Ax(m): Ax<Metrics>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or_else(|| "none".to_owned(), |p| p.as_str().to_owned());
    let response = next.run(request).await;
    m.seconds.observe(began.elapsed().as_secs_f64());
    m.requests.get_or_create(&Labels { route, status: response.status().as_u16() }).inc();
    response
}
