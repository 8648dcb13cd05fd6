//! The front of identity: a secret or a token in, an account out; a grant in, tokens out.
//!
//! Every refusal looks alike from outside and costs alike: who asks can't learn whether an account
//! exists, is disabled, or has another secret. Failures are counted by [`crate::throttle`]; argon2
//! runs a few at a time, because each takes its own megabytes.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use mw_contract::AccountName;
use mw_log::LogReader;
use mw_policy::Account;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{Semaphore, watch};
use zeroize::Zeroizing;

use crate::cache::SuccessCache;
use crate::copy::AccountCopy;
use crate::directory::Directory;
use crate::error::IdentityError;
use crate::keys::KeyRing;
use crate::refresh::{RefreshStore, Used};
use crate::secrets::SecretStore;
use crate::throttle::{Limits, Throttle};
use crate::tokens::{self, Claims, TokenError, UnixSeconds, Verifier};

/// argon2 runs at once: 2 × 19 MiB.
const HASHING: usize = 2;
/// Log-ins that may wait for one; more are told to come back.
const WAITING: usize = 512;
/// The longest secret that is looked at, bytes.
const MAX_SECRET: usize = 1024;
/// How long a log-in waits for changes of accounts that were committed before it.
const CATCH_UP: Duration = Duration::from_secs(2);

/// Why a log-in or a grant is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// Wrong, unknown, disabled, expired: it is not said which.
    #[error("account and secret do not fit")]
    Denied,
    /// Too many failures, or too many log-ins at once.
    #[error("too many log-ins; try again in {} s", .0.as_secs().max(1))]
    Busy(Duration),
    /// The machine failed; the reason is in the log.
    #[error("log-ins are not possible now")]
    Unavailable,
}

/// A good token and the account under it.
#[derive(Clone, Debug)]
pub struct Verified {
    /// What the account may do under the token, by the directory of this moment.
    pub account: Arc<Account>,
    /// What the token says.
    pub claims: Claims,
    /// When the token ends.
    pub expires_at: UnixSeconds,
}

impl Verified {
    /// The same token by the directory of now: for sessions that outlive a change of accounts.
    ///
    /// # Errors
    /// When the account is gone or disabled.
    pub fn again(&self, directory: &Directory) -> Result<Arc<Account>, TokenError> {
        let account = directory.get(&self.claims.sub).ok_or(TokenError::Account)?;
        self.claims.effective(&account).map(Arc::new)
    }
}

/// The answer of a token request, as RFC 6749 section 5.1 has it.
#[derive(Clone, Serialize)]
pub struct TokenReply {
    /// The JWT.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: &'static str,
    /// Seconds.
    pub expires_in: u64,
    /// For grants of people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
}

/// A request for tokens, as `POST /v1/token` takes it (RFC 6749).
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "grant_type", rename_all = "snake_case")]
pub enum Grant {
    /// A person's account and secret.
    Password {
        /// The account.
        account: String,
        /// Its secret.
        secret: String,
    },
    /// A program's.
    ClientCredentials {
        /// The account.
        account: String,
        /// Its secret.
        secret: String,
    },
    /// A refresh token, which is used up.
    RefreshToken {
        /// The token.
        token: String,
    },
}

/// Who may log in: asked in the process that has the secrets, or from another one.
#[async_trait]
pub trait LogIns: Send + Sync + 'static {
    /// Is this the account's secret? The account, as the directory of this process knows it.
    ///
    /// # Errors
    /// [`LoginError`].
    async fn secret(&self, account: &str, secret: &str, from: Option<IpAddr>) -> Result<Arc<Account>, LoginError>;

    /// Grants or refuses tokens: a [`TokenReply`] as JSON.
    ///
    /// # Errors
    /// [`LoginError`].
    async fn grant(&self, grant: Grant, from: Option<IpAddr>) -> Result<Value, LoginError>;
}

#[async_trait]
impl LogIns for Login {
    async fn secret(&self, account: &str, secret: &str, from: Option<IpAddr>) -> Result<Arc<Account>, LoginError> {
        self.check_secret(account, secret, from).await
    }

    async fn grant(&self, grant: Grant, from: Option<IpAddr>) -> Result<Value, LoginError> {
        let reply = match grant {
            Grant::Password { account, secret } => self.password(&account, &secret, from).await,
            Grant::ClientCredentials { account, secret } => self.client_credentials(&account, &secret, from).await,
            Grant::RefreshToken { token } => self.refresh_token(&token).await,
        };
        serde_json::to_value(reply?).map_err(|_| LoginError::Unavailable)
    }
}

/// Checks tokens against the directory: all that a process without secrets needs.
#[derive(Clone)]
pub struct TokenGate {
    /// The accounts.
    pub directory: Arc<Directory>,
    /// The public keys.
    pub verifier: Arc<Verifier>,
}

impl TokenGate {
    /// Checks a token, and what its account may do under it now.
    ///
    /// # Errors
    /// What is wrong with the token or its account.
    pub fn verify_token(&self, token: &str) -> Result<Verified, TokenError> {
        let claims = self.verifier.check(token, UnixSeconds::now())?;
        let account = self.directory.get(&claims.sub).ok_or(TokenError::Account)?;
        let account = Arc::new(claims.effective(&account)?);
        Ok(Verified { account, expires_at: claims.expires_at, claims })
    }
}

impl TokenGate {
    /// The same where the keys are made in another process: a token whose key is not known here yet
    /// has the keys asked for first.
    ///
    /// # Errors
    /// What is wrong with the token or its account.
    pub async fn verify_fresh(&self, token: &str, copy: Option<&AccountCopy>) -> Result<Verified, TokenError> {
        match (self.verify_token(token), copy) {
            (Err(TokenError::Key), Some(copy)) => {
                copy.refresh_keys().await;
                self.verify_token(token)
            }
            (result, _) => result,
        }
    }
}

/// Log-ins and grants. Needs identity's own stores; other processes ask the one that has them.
pub struct Login {
    gate: TokenGate,
    keys: Arc<KeyRing>,
    store: Arc<SecretStore>,
    refresh: Arc<RefreshStore>,
    cache: Arc<SuccessCache>,
    throttle: Throttle,
    log: Arc<dyn LogReader>,
    hashing: Arc<Semaphore>,
    waiting: AtomicUsize,
    rotated: watch::Sender<u64>,
}

/// Counts a waiting log-in, also when its client goes away.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Login {
    /// Over these parts. `log` is identity's own log and `cache` the one that its [`crate::Feed`]
    /// keeps honest.
    pub fn new(
        gate: TokenGate,
        keys: Arc<KeyRing>,
        store: Arc<SecretStore>,
        cache: Arc<SuccessCache>,
        log: Arc<dyn LogReader>,
        limits: Limits,
    ) -> Self {
        Login {
            gate,
            keys,
            refresh: Arc::new(RefreshStore::new(store.clone())),
            store,
            cache,
            throttle: Throttle::new(limits),
            log,
            hashing: Arc::new(Semaphore::new(HASHING)),
            waiting: AtomicUsize::new(0),
            rotated: watch::Sender::new(0),
        }
    }

    /// The accounts.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.gate.directory
    }

    /// Checks a token, and what its account may do under it now.
    ///
    /// # Errors
    /// What is wrong with the token or its account.
    pub fn verify_token(&self, token: &str) -> Result<Verified, TokenError> {
        self.gate.verify_token(token)
    }

    /// Checks an account's secret. `address` is the client's, where it has one.
    ///
    /// # Errors
    /// [`LoginError`]; `Busy` also for a right secret while its account is shut from that address.
    pub async fn check_secret(
        &self,
        account: &str,
        secret: &str,
        address: Option<IpAddr>,
    ) -> Result<Arc<Account>, LoginError> {
        self.throttle.check(account, address, Instant::now()).map_err(LoginError::Busy)?;
        self.catch_up().await;
        let name = AccountName::new(account).ok();
        if let Some(found) = self.remembered(name.as_ref(), secret) {
            return Ok(found);
        }
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(LoginError::Busy(Duration::from_secs(1)));
        }
        let waiting = Waiting(&self.waiting);
        let permit = self.hashing.clone().acquire_owned().await.map_err(|_| LoginError::Unavailable)?;
        drop(waiting);
        // Those before it in line may have been of the same account.
        if let Some(found) = self.remembered(name.as_ref(), secret) {
            return Ok(found);
        }
        self.throttle.check(account, address, Instant::now()).map_err(LoginError::Busy)?;

        let began = self.cache.epoch();
        // The permit is held until the answer is counted, or those in line would be checked first.
        let (right, _permit) = {
            let store = self.store.clone();
            // A name that can't exist is looked up all the same: it must cost the same.
            let account: String = account.chars().take(64).collect();
            let too_long = secret.len() > MAX_SECRET;
            let secret = Zeroizing::new(if too_long { String::new() } else { secret.to_owned() });
            let run = tokio::task::spawn_blocking(move || {
                (store.verify(&account, &secret).map(|right| right && !too_long), permit)
            });
            let (right, permit) = run.await.map_err(|_| LoginError::Unavailable)?;
            (right.map_err(unavailable)?, permit)
        };
        let found = name.and_then(|n| self.gate.directory.get(&n)).filter(|a| right && may_log_in(a));
        match found {
            Some(found) => {
                self.throttle.succeeded(account, address);
                self.cache.remember(&found.name, secret, began, Instant::now());
                Ok(found)
            }
            None => {
                self.throttle.failed(account, address, Instant::now());
                Err(LoginError::Denied)
            }
        }
    }

    /// Grant `password`: a token and a refresh token.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn password(
        &self,
        account: &str,
        secret: &str,
        address: Option<IpAddr>,
    ) -> Result<TokenReply, LoginError> {
        let account = self.check_secret(account, secret, address).await?;
        let (refresh, name) = (self.refresh.clone(), account.name.clone());
        let token = blocking(move || refresh.issue(&name, UnixSeconds::now())).await?;
        self.reply(&account, Some(token))
    }

    /// Grant `client_credentials`: a token alone; a program asks again with its secret.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn client_credentials(
        &self,
        account: &str,
        secret: &str,
        address: Option<IpAddr>,
    ) -> Result<TokenReply, LoginError> {
        let account = self.check_secret(account, secret, address).await?;
        self.reply(&account, None)
    }

    /// Grant `refresh_token`: the token is used up and its successor comes back.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn refresh_token(&self, token: &str) -> Result<TokenReply, LoginError> {
        self.catch_up().await;
        let refresh = self.refresh.clone();
        let token = Zeroizing::new(token.to_owned());
        match blocking(move || refresh.redeem(&token, UnixSeconds::now())).await? {
            Used::Renewed { account, token } => {
                let account = self.gate.directory.get(&account).filter(|a| may_log_in(a)).ok_or(LoginError::Denied)?;
                self.reply(&account, Some(token))
            }
            Used::Refused => Err(LoginError::Denied),
        }
    }

    /// A new signing key; tokens of the old ones stay good until they end.
    ///
    /// # Errors
    /// When a key file can't be written.
    pub fn rotate_keys(&self) -> Result<String, IdentityError> {
        let kid = self.keys.rotate(UnixSeconds::now())?;
        self.gate.verifier.replace_own(self.keys.public());
        self.rotated.send_modify(|n| *n += 1);
        Ok(kid)
    }

    /// Wakes on every new signing key.
    pub fn rotations(&self) -> watch::Receiver<u64> {
        self.rotated.subscribe()
    }

    /// What checks tokens.
    pub fn gate(&self) -> &TokenGate {
        &self.gate
    }

    /// The document of `/.well-known/jwks.json`.
    pub fn jwks(&self) -> serde_json::Value {
        self.keys.public().to_json()
    }

    fn remembered(&self, name: Option<&AccountName>, secret: &str) -> Option<Arc<Account>> {
        let name = name.filter(|n| self.cache.knows(n, secret, Instant::now()))?;
        self.gate.directory.get(name).filter(|a| may_log_in(a))
    }

    fn reply(&self, account: &Account, refresh_token: Option<String>) -> Result<TokenReply, LoginError> {
        let now = UnixSeconds::now();
        let (access_token, end) = tokens::sign(&self.keys, account, now).map_err(unavailable)?;
        let expires_in = end.0.saturating_sub(now.0);
        Ok(TokenReply { access_token, token_type: "Bearer", expires_in, refresh_token })
    }

    /// A secret that was set, and a disabling that was answered, count for every log-in after.
    async fn catch_up(&self) {
        let caught_up = async {
            match self.log.head().await {
                Ok(head) => self.gate.directory.wait_for(head.commit).await,
                Err(e) => {
                    tracing::warn!(error = %e, "identity's log can't be read; going on with the accounts as known");
                    false
                }
            }
        };
        if tokio::time::timeout(CATCH_UP, caught_up).await.is_err() {
            tracing::warn!("the accounts are behind identity's log");
        }
    }
}

/// Services have secrets of their own, in the configuration of the broker.
fn may_log_in(account: &Account) -> bool {
    !account.disabled && !account.service
}

fn unavailable(e: IdentityError) -> LoginError {
    tracing::error!(error = %e, "a log-in could not be checked");
    LoginError::Unavailable
}

async fn blocking<T: Send + 'static>(
    f: impl FnOnce() -> Result<T, IdentityError> + Send + 'static,
) -> Result<T, LoginError> {
    tokio::task::spawn_blocking(f).await.map_err(|_| LoginError::Unavailable)?.map_err(unavailable)
}
