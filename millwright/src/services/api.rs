//! What the query API asks of the others, wherever they run.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use mw_contract::Sealed;
use mw_identity::{AccountCopy, Grant, LogIns, LoginError, TokenGate, TrustedIssuer};
use mw_query_api::{Identity as ApiIdentity, Opened, RemoteTexts, TokenAnswer, TokenForm, TokenRefusal};
use mw_runtime::ask::Asker;
use serde_json::Value;

use super::control::hex;
use super::decider::VaultQuestion;
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
pub struct Asked {
    /// Tokens, checked here.
    pub gate: TokenGate,
    /// Secrets and grants, where identity is.
    pub logins: Arc<dyn LogIns>,
    /// The document of `/.well-known/jwks.json`.
    pub jwks: Arc<dyn Fn() -> serde_json::Value + Send + Sync>,
    /// Where the keys come from, when they are made elsewhere.
    pub copy: Option<Arc<AccountCopy>>,
}

fn refused(e: LoginError) -> TokenRefusal {
    match e {
        LoginError::Denied => TokenRefusal::Denied,
        LoginError::Busy(wait) => TokenRefusal::Busy(wait.as_secs().max(1)),
        LoginError::Unavailable => TokenRefusal::Unavailable,
    }
}

#[async_trait]
impl ApiIdentity for Asked {
    async fn verify(&self, token: &str) -> Result<Arc<mw_policy::Account>, String> {
        self.gate.verify_fresh(token, self.copy.as_deref()).await.map(|v| v.account).map_err(|e| e.to_string())
    }

    async fn token(&self, form: TokenForm, from: Option<IpAddr>) -> Result<TokenAnswer, TokenRefusal> {
        let needed = |field: Option<String>, why| field.filter(|f| !f.is_empty()).ok_or(TokenRefusal::Invalid(why));
        let grant = match form.grant_type.as_deref() {
            Some("password") => Grant::Password {
                account: needed(form.username, "grant password needs username")?,
                secret: needed(form.password, "grant password needs password")?,
            },
            Some("client_credentials") => Grant::ClientCredentials {
                account: needed(form.client_id, "grant client_credentials needs client_id")?,
                secret: needed(form.client_secret, "grant client_credentials needs client_secret")?,
            },
            Some("refresh_token") => {
                Grant::RefreshToken { token: needed(form.refresh_token, "grant refresh_token needs refresh_token")? }
            }
            Some(_) => return Err(TokenRefusal::Grant),
            None => return Err(TokenRefusal::Invalid("grant_type is missing")),
        };
        self.logins.grant(grant, from).await.map_err(refused)
    }

    fn jwks(&self) -> serde_json::Value {
        (self.jwks)()
    }
}

/// How long the owner of a vault is waited for; then its texts stay sealed in this answer.
const OPENING: Duration = Duration::from_secs(2);

/// Sealed text of a context, opened where its keys are.
pub struct AskedTexts(pub Arc<Asker>);

fn opened(answer: Value) -> Opened {
    match answer {
        Value::String(text) => Opened::Text(text),
        other if other["erased"] == Value::Bool(true) => Opened::Erased,
        _ => Opened::NotNow,
    }
}

#[async_trait]
impl RemoteTexts for AskedTexts {
    async fn open(&self, sealed: Vec<Sealed>) -> Vec<Opened> {
        let texts = sealed.iter().map(|s| match s {
            Sealed::Cipher { key_id, bytes } => (*key_id, hex(bytes)),
            Sealed::Plain(_) | Sealed::Erased => (uuid::Uuid::nil(), String::new()),
        });
        let question = VaultQuestion::Open { texts: texts.collect(), tell_erased: true };
        let answers = match self.0.ask(serde_json::to_value(question).unwrap_or_default(), OPENING).await {
            Ok(v) => serde_json::from_value::<Vec<Value>>(v).map_err(|e| e.to_string()),
            Err(e) => Err(e.to_string()),
        };
        answers.map(|texts| texts.into_iter().map(opened).collect()).unwrap_or_else(|e| {
            tracing::warn!(error = %e, "sealed text stays sealed: its keys can't be asked for");
            Vec::new()
        })
    }
}
