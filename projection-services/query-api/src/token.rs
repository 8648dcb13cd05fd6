//! `POST /v1/token` (RFC 6749) and the keys that verify tokens.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::{ConnectInfo, Form, State as Ax};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as B64;
use serde_json::json;

use crate::identity::{TokenForm, TokenRefusal};
use crate::server::State;

/// `POST /v1/token`. Errors are those of RFC 6749 section 5.2, with the members of a problem
/// document beside them.
pub async fn grant(
    Ax(state): Ax<State>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    form: Result<Form<TokenForm>, axum::extract::rejection::FormRejection>,
) -> Response {
    let Ok(Form(mut form)) = form else {
        return refusal(&TokenRefusal::Invalid("send a form: application/x-www-form-urlencoded"));
    };
    if form.client_id.is_none()
        && let Some((id, secret)) = basic(&headers)
    {
        (form.client_id, form.client_secret) = (Some(id), Some(secret));
    }
    match state.identity.token(form, Some(peer.ip())).await {
        Ok(answer) => ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(answer)).into_response(),
        Err(r) => refusal(&r),
    }
}

/// Name and secret of HTTP Basic.
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(B64.decode(rest.trim()).ok()?).ok()?;
    text.split_once(':').map(|(n, s)| (n.to_owned(), s.to_owned()))
}

fn refusal(r: &TokenRefusal) -> Response {
    let (status, error, detail) = match r {
        TokenRefusal::Invalid(why) => (StatusCode::BAD_REQUEST, "invalid_request", (*why).to_owned()),
        TokenRefusal::Grant => {
            let known = "grant_type is password, client_credentials or refresh_token";
            (StatusCode::BAD_REQUEST, "unsupported_grant_type", known.to_owned())
        }
        TokenRefusal::Denied => {
            (StatusCode::UNAUTHORIZED, "invalid_grant", "account and secret, or the token, are not valid".to_owned())
        }
        TokenRefusal::Busy(s) => {
            (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable", format!("too many tries; wait {s} s"))
        }
        TokenRefusal::Unavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "log-ins are not possible now".to_owned())
        }
    };
    let body = json!({
        "error": error, "error_description": detail, "type": format!("https://millwright.dev/problems/{}", error.replace('_', "-")),
        "title": "No token was granted", "status": status.as_u16(), "detail": detail,
    });
    let kind = HeaderValue::from_static("application/problem+json");
    let mut r2 = (status, [(header::CONTENT_TYPE, kind)], body.to_string()).into_response();
    r2.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match r {
        TokenRefusal::Busy(s) => {
            r2.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from((*s).max(1)));
        }
        TokenRefusal::Denied => {
            r2.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"millwright\""));
        }
        _ => {}
    }
    r2
}

/// `GET /.well-known/jwks.json`.
pub async fn jwks(Ax(state): Ax<State>) -> Response {
    let cache = HeaderValue::from_static("max-age=300");
    ([(header::CACHE_CONTROL, cache)], Json(state.identity.jwks())).into_response()
}
