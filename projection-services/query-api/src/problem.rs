//! Errors as `application/problem+json` (RFC 9457). Types are stable; a client may switch on them.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use mw_production_views::read::filter::BadValue;
use serde_json::{Map, Value, json};

/// One error.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    name: &'static str,
    title: &'static str,
    detail: String,
    more: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Where types live. It need not be fetched: it names.
const TYPES: &str = "https://millwright.dev/problems/";

impl Problem {
    fn new(status: StatusCode, name: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Problem { status, name, title, detail: detail.into(), more: Map::new(), headers: Vec::new() }
    }

    /// A parameter that is unknown or has a value that it does not take.
    pub fn parameter(parameter: &str, message: &str, allowed: &[String]) -> Self {
        let mut detail = format!("{parameter}: {message}");
        if !allowed.is_empty() {
            detail.push_str(&format!("; it is one of {}", allowed.join(", ")));
        }
        let mut p = Problem::new(StatusCode::BAD_REQUEST, "bad-parameter", "A parameter is wrong", detail);
        p.more.insert("parameter".into(), json!(parameter));
        if !allowed.is_empty() {
            p.more.insert("allowed".into(), json!(allowed));
        }
        p
    }

    /// May the same request work a little later?
    pub(crate) fn is_unavailable(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }

    /// Anything else about the request.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, "bad-request", "The request is wrong", detail)
    }

    /// No token, or one that is not good.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        let p = Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "A valid token is needed", detail);
        p.header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// The caller's roles do not open this route at all.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::FORBIDDEN, "forbidden", "Your roles do not allow this", detail)
    }

    /// It is not there, or not for this caller.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::NOT_FOUND, "not-found", "There is no such thing", detail)
    }

    /// A method that the path does not have.
    pub fn method_not_allowed() -> Self {
        let detail = "this path does not take that method; /openapi.json lists what there is";
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
    }

    /// The read model has not come as far as the caller wants to see.
    pub fn behind(wanted: u64, at: u64) -> Self {
        let detail = format!("the read model is at position {at}, not yet at {wanted}; ask again");
        let mut p =
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "read-model-behind", "The read model is behind", detail);
        p.more.insert("position".into(), json!(at));
        p.header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// Something that passes.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        let p = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available now", detail);
        p.header(header::RETRY_AFTER, HeaderValue::from_static("2"))
    }

    /// A fault of ours. The reason is in the log, not in the answer.
    pub fn internal(reason: &dyn std::fmt::Display) -> Self {
        tracing::error!(error = %reason, "a query failed");
        let detail = "the query failed on our side; the server's log has the reason";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<BadValue> for Problem {
    fn from(b: BadValue) -> Self {
        Problem::parameter(&b.parameter, &b.message, &b.allowed)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": format!("{TYPES}{}", self.name), "title": self.title, "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Value::Object(map) = &mut body {
            map.extend(self.more);
        }
        let json = HeaderValue::from_static("application/problem+json");
        let mut r = (self.status, [(header::CONTENT_TYPE, json)], body.to_string()).into_response();
        r.headers_mut().extend(self.headers);
        r
    }
}
