//! The accounts and the public keys of tokens, kept on the disk of a process that is not identity:
//! with them it starts and goes on while identity is down. Fed from identity's log; owns one small
//! file, which holds no secret. A file that can't be used is fetched again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mw_contract::{AccountName, CellId, CommandId, CommitNumber, CustomerId, Role, SiteId};
use mw_log::LogReader;
use mw_policy::Account;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{Notify, watch};

use crate::asked::RemoteLogin;
use crate::directory::Directory;
use crate::erasures::Erasure;
use crate::error::IdentityError;
use crate::feed::Feed;
use crate::jwk::JwkSet;
use crate::keys::write_private;
use crate::tokens::Verifier;

const FORMAT: u8 = 1;
/// How long after a failure it is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(500);
/// How often the keys are asked for without a cause, should the news of a new one be lost.
const KEYS_EVERY: Duration = Duration::from_secs(60);
/// The least time between two questions: tokens with made-up keys must not become a load.
const BETWEEN: Duration = Duration::from_millis(100);
/// How long a token waits for its key.
const REFRESH: Duration = Duration::from_secs(1);
/// How often it is checked that identity's log still is the one that the copy was made from.
const CHECK_EVERY: Duration = Duration::from_secs(30);

#[derive(Serialize, Deserialize, Clone)]
struct Stored {
    format: u8,
    /// The last commit of identity's log that is in it.
    commit: u64,
    /// That commit's command, by which a log that was replaced is known.
    command_id: Option<CommandId>,
    accounts: Vec<StoredAccount>,
    /// Erased data subjects: a service that starts while identity is down carries them out too.
    #[serde(default)]
    erasures: Vec<Erasure>,
    /// A JWK set.
    keys: Value,
}

#[derive(Serialize, Deserialize, Clone)]
struct StoredAccount {
    name: AccountName,
    roles: Vec<Role>,
    sites: Vec<SiteId>,
    customer_id: Option<CustomerId>,
    cell: Option<CellId>,
    disabled: bool,
}

#[derive(Default, Clone)]
struct Mark {
    command_id: Option<CommandId>,
    keys: Value,
}

/// One process's copy.
pub struct AccountCopy {
    path: PathBuf,
    directory: Arc<Directory>,
    /// For a process that checks tokens.
    verifier: Option<Arc<Verifier>>,
    mark: Mutex<Mark>,
    /// Held while the file is written.
    writing: Mutex<()>,
    known: watch::Sender<bool>,
    /// Was identity's log read to its end since the start?
    current: watch::Sender<bool>,
    /// Somebody wants the keys asked for now.
    wanted: Notify,
    /// Counts how often they were.
    asked: watch::Sender<u64>,
}

impl AccountCopy {
    /// Reads what the file has into `directory` and `verifier`. Without a verifier the copy is whole
    /// with the accounts alone.
    pub fn open(path: &Path, directory: Arc<Directory>, verifier: Option<Arc<Verifier>>) -> Arc<Self> {
        let copy = AccountCopy {
            path: path.to_owned(),
            directory,
            verifier,
            mark: Mutex::default(),
            writing: Mutex::new(()),
            known: watch::Sender::new(false),
            current: watch::Sender::new(false),
            wanted: Notify::new(),
            asked: watch::Sender::new(0),
        };
        match copy.load() {
            Ok(true) => {
                tracing::info!(commit = %copy.directory.applied_to(), "the accounts are known from the copy on disk");
                copy.known.send_replace(true);
            }
            Ok(false) => {}
            Err(why) => {
                tracing::warn!(path = %path.display(), why, "the copy of the accounts can't be used; it is fetched again");
            }
        }
        Arc::new(copy)
    }

    fn load(&self) -> Result<bool, String> {
        let bytes = match std::fs::read(&self.path) {
            Ok(b) => b,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(e.to_string()),
        };
        let s: Stored = serde_json::from_slice(&bytes).map_err(|e| e.to_string())?;
        if s.format != FORMAT {
            return Err(format!("format {} is not known here", s.format));
        }
        if let Some(verifier) = &self.verifier {
            let keys = JwkSet::from_json(s.keys.to_string().as_bytes()).map_err(|e| e.to_string())?;
            verifier.replace_own(Arc::new(keys));
        }
        let accounts = s.accounts.into_iter().map(|a| Account {
            name: a.name,
            roles: a.roles.into_iter().collect(),
            sites: a.sites.into_iter().collect(),
            customer_id: a.customer_id,
            cell: a.cell,
            disabled: a.disabled,
            service: false,
        });
        self.directory.erase(s.erasures);
        self.directory.replace(accounts, CommitNumber(s.commit));
        *self.mark.lock() = Mark { command_id: s.command_id, keys: s.keys };
        Ok(true)
    }

    /// Written whole or not at all. Only once both accounts and keys are known.
    fn save(&self) -> Result<(), IdentityError> {
        let _one_at_a_time = self.writing.lock();
        let mark = self.mark.lock().clone();
        if (self.verifier.is_some() && mark.keys.is_null()) || mark.command_id.is_none() {
            return Ok(());
        }
        if let Some(dir) = self.path.parent() {
            std::fs::create_dir_all(dir).map_err(IdentityError::file(dir))?;
        }
        let commit = self.directory.applied_to().0;
        let all = self.directory.all();
        let accounts = all.iter().map(|a| StoredAccount {
            name: a.name.clone(),
            roles: a.roles.iter().copied().collect(),
            sites: a.sites.iter().cloned().collect(),
            customer_id: a.customer_id.clone(),
            cell: a.cell.clone(),
            disabled: a.disabled,
        });
        let stored = Stored {
            format: FORMAT,
            commit,
            command_id: mark.command_id,
            accounts: accounts.collect(),
            erasures: self.directory.erasures().to_vec(),
            keys: mark.keys,
        };
        let text =
            serde_json::to_vec(&stored).map_err(|_| IdentityError::Crypto("writing the copy of the accounts"))?;
        write_private(&self.path, &text)?;
        self.known.send_replace(true);
        Ok(())
    }

    async fn save_soon(self: &Arc<Self>) {
        let me = self.clone();
        let saved = tokio::task::spawn_blocking(move || me.save()).await;
        if let Ok(Err(e)) = saved {
            tracing::error!(error = %e, "the copy of the accounts can't be kept; a restart will need identity");
            // It is known all the same: this process works on.
            self.known.send_replace(true);
        }
    }

    /// Are the accounts and keys known, from the file or from identity? And every change of it.
    pub fn known(&self) -> watch::Receiver<bool> {
        self.known.subscribe()
    }

    /// Was all of identity's log heard since the start, or is what is known from the file alone?
    pub fn current(&self) -> watch::Receiver<bool> {
        self.current.subscribe()
    }

    /// The accounts.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Follows identity's log for ever. While identity can't be reached the copy stays as it is.
    pub async fn follow(self: Arc<Self>, log: Arc<dyn LogReader>) {
        let feed = Feed::directory_only(self.directory.clone());
        loop {
            if let Err(e) = self.follow_until_it_fails(&feed, &*log).await {
                tracing::warn!(error = %e, "identity's log can't be read; going on with the accounts as known");
                tokio::time::sleep(TRY_AGAIN).await;
            }
        }
    }

    async fn follow_until_it_fails(self: &Arc<Self>, feed: &Feed, log: &dyn LogReader) -> Result<(), IdentityError> {
        let mut checked: Option<Instant> = None;
        let mut unsaved = false;
        loop {
            if checked.is_none_or(|t| t.elapsed() >= CHECK_EVERY) {
                self.check(log).await?;
                checked = Some(Instant::now());
            }
            match feed.step(log).await? {
                Some(command_id) => {
                    self.mark.lock().command_id = Some(command_id);
                    unsaved = true;
                }
                None => {
                    if std::mem::take(&mut unsaved) {
                        self.save_soon().await;
                    }
                    self.current.send_replace(true);
                    let seen = self.directory.applied_to();
                    log.wait(seen).await.map_err(|e| IdentityError::Log(e.to_string()))?;
                }
            }
        }
    }

    /// Starts from nothing when identity's log is another than the copy was made from, as after a
    /// restored backup.
    async fn check(&self, log: &dyn LogReader) -> Result<(), IdentityError> {
        let at = self.directory.applied_to();
        if at == CommitNumber::ZERO {
            return Ok(());
        }
        let there = log.read(at, 1).await.map_err(|e| IdentityError::Log(e.to_string()))?;
        let same = there.first().is_some_and(|c| Some(c.head.command_id) == self.mark.lock().command_id);
        if !same {
            tracing::warn!(commit = %at, "identity's log is not the one that the accounts were copied from; reading it anew");
            self.directory.replace([], CommitNumber::ZERO);
        }
        Ok(())
    }

    /// Keeps the public keys for ever as identity has them: asks when `news` says so, and from time
    /// to time.
    pub async fn follow_keys(self: Arc<Self>, login: Arc<RemoteLogin>, news: Arc<Notify>) {
        loop {
            let asked = tokio::select! {
                asked = login.keys() => Some(asked),
                // The question may have been asked before there was somebody to hear it.
                () = news.notified() => None,
                () = self.wanted.notified() => None,
            };
            let Some(asked) = asked else {
                tokio::time::sleep(BETWEEN).await;
                continue;
            };
            let wait = match asked {
                Ok(document) => match JwkSet::from_json(document.to_string().as_bytes()) {
                    Ok(keys) => {
                        if let Some(verifier) = &self.verifier {
                            verifier.replace_own(Arc::new(keys));
                        }
                        let changed = std::mem::replace(&mut self.mark.lock().keys, document.clone()) != document;
                        if changed {
                            self.save_soon().await;
                        }
                        KEYS_EVERY
                    }
                    Err(e) => {
                        tracing::error!(error = %e, "identity's public keys can't be read");
                        KEYS_EVERY
                    }
                },
                Err(e) => {
                    tracing::debug!(error = %e, "identity's public keys are not to be had now");
                    TRY_AGAIN
                }
            };
            self.asked.send_modify(|n| *n += 1);
            tokio::time::sleep(BETWEEN).await;
            tokio::select! {
                () = news.notified() => {}
                () = self.wanted.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Has the keys asked for, because a token names one that is not known here; waits until that
    /// was done, a second at most.
    pub async fn refresh_keys(&self) {
        let mut asked = self.asked.subscribe();
        self.wanted.notify_one();
        let _ = tokio::time::timeout(REFRESH, asked.changed()).await;
    }

    /// The document of `/.well-known/jwks.json`.
    pub fn jwks(&self) -> Value {
        self.mark.lock().keys.clone()
    }
}
