//! The query API in this process: what it asks of identity, readiness, metrics.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use mw_identity::{LoginError, TokenReply, TrustedIssuer};
use mw_log::{EventLog, LocalReader};
use mw_query_api::{Api, ApiConfig, Identity as ApiIdentity, Models, TokenAnswer, TokenForm, TokenRefusal};
use mw_runtime::{BusinessClock, Clock, CommandService};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;

use super::identity::Identity;
use super::production::{Opener, Running};
use super::views::Views;
use crate::config;

/// Reads the key sets of the issuers that the configuration trusts.
pub fn issuers(configured: &[config::TrustedIssuer]) -> Result<Vec<TrustedIssuer>> {
    let one = |i: &config::TrustedIssuer| {
        TrustedIssuer::from_file(&i.issuer, &i.jwks, i.roles.clone())
            .with_context(|| format!("--trust-issuer {}={}", i.issuer, i.jwks.display()))
    };
    configured.iter().map(one).collect()
}

/// Identity, asked by the API.
struct Asked {
    login: Arc<mw_identity::Login>,
}

fn granted(r: Result<TokenReply, LoginError>) -> Result<TokenAnswer, TokenRefusal> {
    match r {
        Ok(t) => serde_json::to_value(t).map_err(|_| TokenRefusal::Unavailable),
        Err(LoginError::Denied) => Err(TokenRefusal::Denied),
        Err(LoginError::Busy(wait)) => Err(TokenRefusal::Busy(wait.as_secs().max(1))),
        Err(LoginError::Unavailable) => Err(TokenRefusal::Unavailable),
    }
}

#[async_trait]
impl ApiIdentity for Asked {
    fn verify(&self, token: &str) -> Result<Arc<mw_policy::Account>, String> {
        self.login.verify_token(token).map(|v| v.account).map_err(|e| e.to_string())
    }

    async fn token(&self, form: TokenForm, from: Option<IpAddr>) -> Result<TokenAnswer, TokenRefusal> {
        let needed = |field: Option<String>, why| field.filter(|f| !f.is_empty()).ok_or(TokenRefusal::Invalid(why));
        match form.grant_type.as_deref() {
            Some("password") => {
                let name = needed(form.username, "grant password needs username")?;
                let secret = needed(form.password, "grant password needs password")?;
                granted(self.login.password(&name, &secret, from).await)
            }
            Some("client_credentials") => {
                let name = needed(form.client_id, "grant client_credentials needs client_id")?;
                let secret = needed(form.client_secret, "grant client_credentials needs client_secret")?;
                granted(self.login.client_credentials(&name, &secret, from).await)
            }
            Some("refresh_token") => {
                let token = needed(form.refresh_token, "grant refresh_token needs refresh_token")?;
                granted(self.login.refresh_token(&token).await)
            }
            Some(_) => Err(TokenRefusal::Grant),
            None => Err(TokenRefusal::Invalid("grant_type is missing")),
        }
    }

    fn jwks(&self) -> serde_json::Value {
        self.login.jwks()
    }
}

/// The text of `/metrics`. What costs a look at each scrape is looked at here.
fn metrics_text(registry: &Mutex<Registry>) -> String {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &registry.lock()) {
        Ok(()) => text,
        Err(e) => {
            tracing::error!(error = %e, "metrics can't be written");
            "# EOF\n".to_owned()
        }
    }
}

/// Starts the API.
pub fn start(
    addr: std::net::SocketAddr,
    dir: &std::path::Path,
    identity: &Identity,
    accounts: &Arc<CommandService>,
    production: &Running,
    views: &Views,
    clock: &Arc<BusinessClock>,
    registry: Registry,
    tls: Arc<rustls::ServerConfig>,
) -> Result<Api> {
    let registry = Mutex::new(registry);
    let reader = |log: &Arc<mw_log::SledLog>| Arc::new(LocalReader(log.clone() as Arc<dyn EventLog>)) as _;
    let models = Models::new(
        dir,
        (views.production.clone(), reader(&production.log)),
        (views.identity.clone(), reader(&identity.log)),
    );
    let services = [accounts.clone(), production.service.clone()];
    let views = views.clone();
    let ready = move || match services.iter().find(|s| s.has_stopped()) {
        Some(s) => Err(format!("service {} has stopped", s.context())),
        None if !views.are_live() => Err("a read model does not follow its log".to_owned()),
        None => Ok(()),
    };
    let clock = clock.clone();
    Ok(mw_query_api::start(ApiConfig {
        addr,
        tls,
        identity: Arc::new(Asked { login: identity.login.clone() }),
        models,
        opener: Arc::new(Opener(production.vault.clone())),
        now: Arc::new(move || clock.now()),
        ready: Arc::new(ready),
        metrics: Arc::new(move || metrics_text(&registry)),
    })?)
}
