//! Identity in this process: its log, secrets, keys, command service, and what the broker and the
//! API ask of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use mw_broker::{AuthFailure, Authenticator, Principal};
use mw_contract::{AccountName, Context, SiteId};
use mw_identity::bootstrap::{self, DEMO_SECRET};
use mw_identity::cache::SuccessCache;
use mw_identity::secrets::HashCost;
use mw_identity::throttle::Limits;
use mw_identity::tokens::UnixSeconds;
use mw_identity::{
    AccountCopy, Directory, Feed, IdentityDomain, KeyRing, LogIns, Login, LoginError, SecretStore, TokenGate,
    TrustedIssuer, Verifier, erasures,
};
use mw_log::{LocalReader, LogReader, SledLog};
use mw_runtime::metrics::Metrics;
use mw_runtime::{Bus, BusinessClock, CommandService, Parts};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::data::Data;
use super::meters::Meters;

/// The operator of this machine: commands over the control socket and of a first start.
pub const OPERATOR: &str = "millwright";

/// The name of the operator as an account.
pub fn operator() -> Result<AccountName> {
    Ok(AccountName::new(OPERATOR)?)
}

/// An empty directory that knows the product's own processes.
pub fn directory() -> Result<Arc<Directory>> {
    let names = super::SERVICES.iter().chain([&OPERATOR]).map(|n| AccountName::new(n));
    Ok(Directory::with_services(names.collect::<Result<Vec<_>, _>>()?))
}

/// Identity, open but not yet taking commands.
pub struct Identity {
    pub directory: Arc<Directory>,
    pub login: Arc<Login>,
    pub log: Arc<SledLog>,
    store: Arc<SecretStore>,
    feed: Arc<Feed>,
    reader: Arc<dyn LogReader>,
    metrics: Metrics,
    data: Arc<Data>,
}

impl Identity {
    /// Opens log, secrets and keys, and folds the accounts.
    pub async fn open(data: &Arc<Data>, issuers: Vec<TrustedIssuer>, meters: &Meters) -> Result<Self> {
        let metrics = meters.register(|r| Metrics::register(r, Context::Identity));
        let log = data.log(Context::Identity, &metrics)?;
        let reader: Arc<dyn LogReader> = Arc::new(LocalReader(log.clone()));
        let directory = directory()?;
        std::fs::create_dir_all(data.path("identity")).context("identity's directory")?;
        let store = SecretStore::open(&data.path("identity/secrets.db"), HashCost::default())?;
        let cache = Arc::new(SuccessCache::new()?);
        let feed = Arc::new(Feed::with_secrets(directory.clone(), store.clone(), cache.clone()));
        feed.catch_up(&*reader).await?;
        let keys = Arc::new(KeyRing::open(&data.path("keys"), UnixSeconds::now())?);
        let verifier = Arc::new(Verifier::new(keys.public(), issuers));
        let gate = TokenGate { directory: directory.clone(), verifier };
        let login = Login::new(gate, keys, store.clone(), cache, reader.clone(), Limits::default());
        Ok(Identity { directory, login: Arc::new(login), log, store, feed, reader, metrics, data: data.clone() })
    }

    /// Starts to take commands. The task follows the log for ever; it ends with the reason.
    pub async fn start(
        &self,
        bus: Option<Arc<dyn Bus>>,
        clock: Arc<BusinessClock>,
    ) -> Result<(Arc<CommandService>, JoinHandle<Result<()>>)> {
        let reserved: Vec<AccountName> = self.directory.service_names().cloned().collect();
        let (domain, before_commit) = IdentityDomain::new(self.store.clone(), reserved);
        let vault = self.data.vault(Context::Identity)?;
        erasures::keep(self.directory.clone(), vault.clone()).await?;
        let parts = Parts {
            log: self.log.clone(),
            vault,
            accounts: self.directory.clone(),
            clock,
            bus,
            state_dir: self.data.path("state/identity"),
            metrics: self.metrics.clone(),
            before_commit: Some(before_commit),
        };
        let service = CommandService::start(domain, parts).await?;
        let (feed, reader) = (self.feed.clone(), self.reader.clone());
        let following = tokio::spawn(async move { feed.follow(&*reader).await.map_err(anyhow::Error::from) });
        Ok((service, following))
    }

    /// Carries out the known erasures on every vault of this directory, of which no service is running.
    pub fn erase_at_rest(&self) -> Result<()> {
        for context in Context::ALL.iter().copied().filter(|c| *c != Context::Identity) {
            if self.data.path("vault").join(context.as_str()).exists() {
                erasures::apply(&self.directory, &*self.data.vault(context)?)?;
            }
        }
        Ok(())
    }

    /// Makes the accounts of a first start. Answers the secret of a new `admin`, which is nowhere else.
    pub async fn first_start(&self, service: &CommandService, demo: bool) -> Result<Option<String>> {
        if demo {
            for account in bootstrap::demo_accounts() {
                if self.directory.get(&AccountName::new(account.name)?).is_none() {
                    expect_done(service, None, account.command(DEMO_SECRET)).await?;
                }
            }
            return Ok(None);
        }
        if self.directory.has_admin() {
            return Ok(None);
        }
        let secret = mw_identity::random_secret()?;
        expect_done(service, None, bootstrap::first_admin().command(&secret)).await?;
        Ok(Some(secret))
    }
}

/// Sends a command of the operator that can't be refused but for a fault of ours.
pub async fn expect_done(service: &CommandService, site: Option<SiteId>, command: Vec<u8>) -> Result<()> {
    let reply = service.execute(operator()?, site, &command).await?;
    match reply.error {
        None => Ok(()),
        Some(e) => anyhow::bail!("a command of the first start was refused: {}: {}", e.code, e.message),
    }
}

/// What the broker asks: secrets and tokens of people and devices, secrets of services.
pub struct BrokerLogin {
    /// Tokens, checked here.
    pub gate: TokenGate,
    /// Secrets, checked where identity is.
    pub logins: Arc<dyn LogIns>,
    /// Are the accounts known here yet?
    pub known: watch::Receiver<bool>,
    /// Where they and the keys come from, when identity is elsewhere.
    pub copy: Option<Arc<AccountCopy>>,
    /// Service accounts and their secrets, from the configuration.
    pub services: Vec<(AccountName, String)>,
}

impl BrokerLogin {
    fn service(&self, name: &str, secret: &[u8]) -> Option<Result<Principal, AuthFailure>> {
        let (account, expected) = self.services.iter().find(|(n, _)| n.as_str() == name)?;
        // Over hashes, so that the time taken says nothing of the secret.
        let same = blind(expected.as_bytes()) == blind(secret);
        Some(if same {
            Ok(Principal { account: account.clone(), expires_at: None, service: true })
        } else {
            Err(AuthFailure::BadCredentials)
        })
    }
}

fn blind(secret: &[u8]) -> [u8; 32] {
    mw_log::merkle::leaf_hash(secret)
}

#[async_trait]
impl Authenticator for BrokerLogin {
    async fn authenticate(&self, username: &str, password: &[u8], from: IpAddr) -> Result<Principal, AuthFailure> {
        if let Some(answer) = self.service(username, password) {
            return answer;
        }
        if !*self.known.borrow() {
            return Err(AuthFailure::Unavailable);
        }
        let password = std::str::from_utf8(password).map_err(|_| AuthFailure::BadCredentials)?;
        // A token has two dots between base64url; no secret that the product makes has any.
        if password.bytes().filter(|b| *b == b'.').count() == 2 && password.starts_with("ey") {
            let v = self.gate.verify_fresh(password, self.copy.as_deref()).await.map_err(|e| {
                tracing::debug!(account = username, error = %e, "a token was refused");
                AuthFailure::BadCredentials
            })?;
            if v.account.name.as_str() != username {
                return Err(AuthFailure::BadCredentials);
            }
            let expires_at = Some(UNIX_EPOCH + Duration::from_secs(v.expires_at.0));
            return Ok(Principal { account: v.account.name.clone(), expires_at, service: false });
        }
        match self.logins.secret(username, password, Some(from)).await {
            Ok(account) => Ok(Principal { account: account.name.clone(), expires_at: None, service: false }),
            Err(LoginError::Denied) => Err(AuthFailure::BadCredentials),
            Err(LoginError::Busy(_)) => Err(AuthFailure::Busy),
            Err(LoginError::Unavailable) => Err(AuthFailure::Unavailable),
        }
    }

    fn account(&self, name: &AccountName) -> Option<Arc<mw_policy::Account>> {
        self.gate.directory.get(name)
    }
}
