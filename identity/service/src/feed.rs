//! Follows identity's log and keeps the directory, the secret store and the memory of log-ins in
//! step with it. In a process without secrets it feeds the directory alone.

use std::sync::Arc;

use mw_contract::{AccountName, CommandId, CommitNumber, Event, Head, StoredCommit, cloud};
use mw_log::LogReader;

use crate::cache::SuccessCache;
use crate::directory::Directory;
use crate::erasures::Erasure;
use crate::error::IdentityError;
use crate::secrets::{Effect, SecretStore};

/// Commits read at a time.
const BATCH: usize = 256;

/// What hears of every commit.
pub struct Feed {
    directory: Arc<Directory>,
    secrets: Option<(Arc<SecretStore>, Arc<SuccessCache>)>,
}

impl Feed {
    /// Feeds a directory only.
    pub fn directory_only(directory: Arc<Directory>) -> Self {
        Feed { directory, secrets: None }
    }

    /// Feeds the directory, the store and the cache of the process that has the secrets.
    pub fn with_secrets(directory: Arc<Directory>, store: Arc<SecretStore>, cache: Arc<SuccessCache>) -> Self {
        Feed { directory, secrets: Some((store, cache)) }
    }

    /// Reads everything that the log has now. To be awaited at the start, before anybody asks the
    /// directory. Answers where it came to.
    ///
    /// # Errors
    /// When the log can't be read, an event can't be decoded, or the store can't be written.
    pub async fn catch_up(&self, log: &dyn LogReader) -> Result<Head, IdentityError> {
        let head = log.head().await.map_err(|e| IdentityError::Log(e.to_string()))?;
        while self.directory.applied_to() < head.commit {
            if self.step(log).await?.is_none() {
                break;
            }
        }
        if let Some((store, _)) = &self.secrets {
            let store = store.clone();
            tokio::task::spawn_blocking(move || store.settle(head.commit))
                .await
                .map_err(|_| IdentityError::Crypto("settling the secret store"))??;
        }
        Ok(head)
    }

    /// Follows the log for ever: every change is in the directory well within a second.
    ///
    /// # Errors
    /// As [`Feed::catch_up`]. Who runs it must then stop or start again: a directory that stands
    /// still would keep disabled accounts alive.
    pub async fn follow(&self, log: &dyn LogReader) -> Result<(), IdentityError> {
        loop {
            if self.step(log).await?.is_none() {
                let seen = self.directory.applied_to();
                log.wait(seen).await.map_err(|e| IdentityError::Log(e.to_string()))?;
            }
        }
    }

    /// Applies the next batch; the command of its last commit, or `None` when there was no batch.
    pub(crate) async fn step(&self, log: &dyn LogReader) -> Result<Option<CommandId>, IdentityError> {
        let from = self.directory.applied_to().next();
        let commits = log.read(from, BATCH).await.map_err(|e| IdentityError::Log(e.to_string()))?;
        let Some(last) = commits.last() else { return Ok(None) };
        let (up_to, command_id) = (last.number, last.head.command_id);
        let mut decoded = Vec::with_capacity(commits.len());
        for commit in &commits {
            decoded.push((commit.number, decode(commit)?));
        }
        // The store first: who sees the new directory must be able to log in by the new secret.
        if let Some((store, cache)) = &self.secrets {
            let (store, cache) = (store.clone(), cache.clone());
            let batch = decoded.clone();
            tokio::task::spawn_blocking(move || apply(&store, &cache, &batch))
                .await
                .map_err(|_| IdentityError::Crypto("applying secrets"))??;
        }
        self.directory.erase(erasures(&commits, &decoded));
        let events: Vec<Event> =
            decoded.into_iter().flat_map(|(_, events)| events.into_iter().map(|(_, e)| e)).collect();
        self.directory.apply_all(&events, up_to);
        Ok(Some(command_id))
    }
}

type Versioned = (mw_contract::Version, Event);

fn decode(commit: &StoredCommit) -> Result<Vec<Versioned>, IdentityError> {
    let one = |e: &mw_contract::StoredEvent| {
        cloud::decode(e)
            .map(|event| (e.event.version, event))
            .map_err(|e| IdentityError::Event { commit: commit.number.0, reason: e.to_string() })
    };
    commit.events.iter().map(one).collect()
}

fn erasures(commits: &[Arc<StoredCommit>], decoded: &[(CommitNumber, Vec<Versioned>)]) -> Vec<Erasure> {
    let stored = commits.iter().flat_map(|c| &c.events);
    let events = stored.zip(decoded.iter().flat_map(|(_, events)| events));
    let erasure = |(stored, (_, event)): (&mw_contract::StoredEvent, &Versioned)| match event {
        Event::SubjectErased(e) => Some(Erasure { event_id: stored.event.event_id, subject: e.subject()? }),
        _ => None,
    };
    events.filter_map(erasure).collect()
}

fn apply(
    store: &SecretStore,
    cache: &SuccessCache,
    commits: &[(CommitNumber, Vec<Versioned>)],
) -> Result<(), IdentityError> {
    let applied = store.applied_to()?;
    for (number, events) in commits.iter().filter(|(n, _)| *n > applied) {
        let mut effects = Vec::new();
        let mut changed: Vec<&AccountName> = Vec::new();
        for (version, event) in events {
            match event {
                Event::AccountAdded(e) => effects.push(Effect::Promote { account: &e.account, version: *version }),
                Event::AccountSecretRotated(e) => {
                    effects.push(Effect::Promote { account: &e.account, version: *version });
                    effects.push(Effect::EndRefresh { account: &e.account });
                    changed.push(&e.account);
                }
                Event::AccountDisabled(e) => {
                    effects.push(Effect::EndRefresh { account: &e.account });
                    changed.push(&e.account);
                }
                _ => {}
            }
        }
        if !effects.is_empty() {
            store.apply(*number, &effects)?;
        }
        changed.into_iter().for_each(|account| cache.forget(account));
    }
    Ok(())
}
