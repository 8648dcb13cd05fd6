//! What the API asks of identity, and who calls.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use mw_policy::{Account, Route, Scope, query_scope};
use serde::Deserialize;

use crate::problem::Problem;
use crate::server::State;

/// The fields of `POST /v1/token` (RFC 6749).
#[derive(Debug, Default, Deserialize)]
pub struct TokenForm {
    /// `password`, `client_credentials` or `refresh_token`.
    pub grant_type: Option<String>,
    /// For `password`.
    pub username: Option<String>,
    /// For `password`.
    pub password: Option<String>,
    /// For `client_credentials`, unless HTTP Basic has them.
    pub client_id: Option<String>,
    /// For `client_credentials`.
    pub client_secret: Option<String>,
    /// For `refresh_token`.
    pub refresh_token: Option<String>,
    /// Taken and ignored: what a token allows follows from its account.
    pub scope: Option<String>,
}

/// A successful token request: the JSON of RFC 6749 section 5.1.
pub type TokenAnswer = serde_json::Value;

/// A refused one (RFC 6749 section 5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenRefusal {
    /// `invalid_request`: a field is missing.
    Invalid(&'static str),
    /// `unsupported_grant_type`.
    Grant,
    /// `invalid_grant` or `invalid_client`: wrong, unknown or disabled, which is not said.
    Denied,
    /// Too many tries: seconds to wait.
    Busy(u64),
    /// Identity can't answer now.
    Unavailable,
}

/// Identity as the API needs it.
#[async_trait]
pub trait Identity: Send + Sync + 'static {
    /// The account under a good token, as far as the token allows it. `Err` says why not, for the log.
    async fn verify(&self, token: &str) -> Result<Arc<Account>, String>;

    /// Grants or refuses a token.
    async fn token(&self, form: TokenForm, from: Option<IpAddr>) -> Result<TokenAnswer, TokenRefusal>;

    /// The key set of `/.well-known/jwks.json`.
    fn jwks(&self) -> serde_json::Value;
}

/// Who calls: the account that its token speaks for.
#[derive(Clone)]
pub struct Caller(pub Arc<Account>);

impl Caller {
    /// What of a resource the caller sees.
    ///
    /// # Errors
    /// 403 when it is nothing at all.
    pub fn scope(&self, route: Route) -> Result<Scope, Problem> {
        let roles: Vec<&str> = self.0.roles.iter().map(|r| r.as_str()).collect();
        query_scope(&self.0, route).ok_or_else(|| {
            Problem::forbidden(format!("{} has the roles {}; none of them opens this", self.0.name, roles.join(", ")))
        })
    }
}

/// The token of a request.
fn bearer(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl FromRequestParts<State> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        let token = bearer(parts)
            .ok_or_else(|| Problem::unauthorized("send Authorization: Bearer with a token of POST /v1/token"))?;
        state.identity.verify(token).await.map(Caller).map_err(|why| {
            tracing::debug!(reason = %why, "a token was refused");
            Problem::unauthorized("the token is not valid, has ended, or its account is disabled; get a new one")
        })
    }
}
