//! Log-ins asked from other processes. The broker and the query API have no secrets and no private
//! keys: what only identity can answer they ask over the bus, and check tokens themselves.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mw_contract::topics::Internal;
use mw_contract::{AccountName, CommitNumber, Context};
use mw_policy::Account;
use mw_runtime::ask::{Answers, AskError, Asker};
use mw_runtime::{Bus, BusError, Outbound};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::directory::Directory;
use crate::login::{Grant, LogIns, Login, LoginError};

/// How long a log-in may take, waiting in line included.
const LOG_IN: Duration = Duration::from_secs(5);
/// How long the public keys are waited for: they are at hand there.
const KEYS: Duration = Duration::from_secs(1);
/// How long the asker's copy of the accounts may stay behind an answer.
const CATCH_UP: Duration = Duration::from_secs(2);

#[derive(Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Question {
    /// The public keys of tokens: a JWK set.
    Keys,
    /// Is this the account's secret?
    Secret { account: String, secret: String, address: Option<IpAddr> },
    /// Tokens, please.
    Grant { grant: Grant, address: Option<IpAddr> },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    /// Yes; and how far identity's log had come.
    Account {
        name: AccountName,
        commit: u64,
    },
    /// The token reply of RFC 6749.
    Tokens(Value),
    Denied,
    /// Seconds to wait.
    Busy(u64),
    Unavailable,
}

impl From<LoginError> for Answer {
    fn from(e: LoginError) -> Self {
        match e {
            LoginError::Denied => Answer::Denied,
            LoginError::Busy(wait) => Answer::Busy(wait.as_secs().max(1)),
            LoginError::Unavailable => Answer::Unavailable,
        }
    }
}

/// Identity's answers.
pub struct LoginAnswers(pub Arc<Login>);

#[async_trait]
impl Answers for LoginAnswers {
    async fn answer(&self, from: &AccountName, body: Value) -> Result<Value, String> {
        let question = serde_json::from_value(body).map_err(|_| "identity does not know this question".to_owned())?;
        let answer = match question {
            Question::Keys => return Ok(self.0.jwks()),
            Question::Secret { account, secret, address } => {
                match self.0.check_secret(&account, &secret, address).await {
                    Ok(found) => {
                        let commit = self.0.directory().applied_to().0;
                        Answer::Account { name: found.name.clone(), commit }
                    }
                    Err(e) => e.into(),
                }
            }
            Question::Grant { grant, address } => match self.0.grant(grant, address).await {
                Ok(tokens) => Answer::Tokens(tokens),
                Err(e) => e.into(),
            },
        };
        tracing::debug!(%from, "a log-in was answered");
        serde_json::to_value(answer).map_err(|e| e.to_string())
    }
}

/// Tells the others of every new signing key, so that its tokens are good everywhere at once.
///
/// # Errors
/// When the bus has ended.
pub async fn announce_keys(login: Arc<Login>, bus: Arc<dyn Bus>) -> Result<(), BusError> {
    let mut rotated = login.rotations();
    let topic = Internal::Keys.topic(Context::Identity);
    loop {
        bus.publish(vec![Outbound { topic: topic.clone(), ..Outbound::default() }]).await?;
        if rotated.changed().await.is_err() {
            return Ok(());
        }
    }
}

/// Asks identity in another process.
pub struct RemoteLogin {
    asker: Arc<Asker>,
    directory: Arc<Directory>,
}

impl RemoteLogin {
    /// With this process's copy of the accounts.
    pub fn new(asker: Arc<Asker>, directory: Arc<Directory>) -> Self {
        RemoteLogin { asker, directory }
    }

    /// The public keys of tokens, as a JWK set.
    ///
    /// # Errors
    /// [`AskError`]: identity does not answer.
    pub async fn keys(&self) -> Result<Value, AskError> {
        self.asker.ask(question(&Question::Keys), KEYS).await
    }

    async fn ask(&self, q: &Question) -> Result<Answer, LoginError> {
        let unavailable = |e: &dyn std::fmt::Display| {
            tracing::warn!(error = %e, "identity can't be asked for a log-in");
            LoginError::Unavailable
        };
        let body = self.asker.ask(question(q), LOG_IN).await.map_err(|e| unavailable(&e))?;
        match serde_json::from_value(body).map_err(|e| unavailable(&e))? {
            Answer::Denied => Err(LoginError::Denied),
            Answer::Busy(s) => Err(LoginError::Busy(Duration::from_secs(s))),
            Answer::Unavailable => Err(LoginError::Unavailable),
            good => Ok(good),
        }
    }
}

fn question(q: &Question) -> Value {
    // Plain data: it can't fail.
    serde_json::to_value(q).unwrap_or_default()
}

#[async_trait]
impl LogIns for RemoteLogin {
    async fn secret(&self, account: &str, secret: &str, address: Option<IpAddr>) -> Result<Arc<Account>, LoginError> {
        let q = Question::Secret { account: account.to_owned(), secret: secret.to_owned(), address };
        let Answer::Account { name, commit } = self.ask(&q).await? else { return Err(LoginError::Unavailable) };
        // An account that was added a moment ago must be known here too before it may act.
        if tokio::time::timeout(CATCH_UP, self.directory.wait_for(CommitNumber(commit))).await.is_err() {
            tracing::warn!(%name, "the copy of the accounts is behind identity's log");
        }
        self.directory.get(&name).filter(|a| !a.disabled && !a.service).ok_or(LoginError::Unavailable)
    }

    async fn grant(&self, grant: Grant, address: Option<IpAddr>) -> Result<Value, LoginError> {
        match self.ask(&Question::Grant { grant, address }).await? {
            Answer::Tokens(v) => Ok(v),
            _ => Err(LoginError::Unavailable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What services of other versions send: never changed, only added to.
    #[test]
    fn the_format_is_frozen() {
        assert_eq!(question(&Question::Keys), json!({"op": "keys"}));
        let grant = Grant::Password { account: "a".into(), secret: "s".into() };
        let q = question(&Question::Grant { grant, address: Some([127, 0, 0, 1].into()) });
        let wire = json!({"op": "grant", "address": "127.0.0.1",
            "grant": {"grant_type": "password", "account": "a", "secret": "s"}});
        assert_eq!(q, wire);
        assert!(serde_json::from_value::<Question>(wire).is_ok());
        let name = AccountName::new("a").unwrap();
        for (a, wire) in [
            (Answer::Account { name, commit: 3 }, json!({"account": {"name": "a", "commit": 3}})),
            (Answer::Denied, json!("denied")),
            (Answer::Busy(2), json!({"busy": 2})),
            (Answer::Unavailable, json!("unavailable")),
        ] {
            assert_eq!(serde_json::to_value(a).unwrap(), wire);
        }
    }
}
