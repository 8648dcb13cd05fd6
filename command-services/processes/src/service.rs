//! Follows the log, fires timers, sends.
//!
//! First the log is read to its head; nothing is sent meanwhile, because the outcome may stand
//! further on. Then commands go out, each again after 1, 2, 4 … 60 s without an outcome; a reply
//! counts for nothing, the log says how a command ended.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mw_contract::{CommandId, CommitNumber, Head};
use mw_log::LogReader;
use mw_log::quiet::{self, GivesWay};
use mw_runtime::{Bus, Clock, Outbound};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::{Metrics, ProcessError, Store};

/// Commits in one transaction.
const BATCH: usize = 500;
/// Commands that are on their way at once.
const IN_FLIGHT: usize = 64;
/// The least time between two transactions under load, which then hold more commits each.
const GATHER: Duration = Duration::from_millis(25);
/// How often timers and repeats are looked at: the clock of a demonstration may be moved any time.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long after a failed read the log is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// The longest wait before a command is sent again.
const MOST: Duration = Duration::from_secs(60);
/// A command that was sent so often without an outcome is counted as overdue.
const OVERDUE: u32 = 5;

/// What the service is made of.
pub struct Parts {
    /// Where its file is.
    pub dir: PathBuf,
    /// The log of production.
    pub reader: Arc<dyn LogReader>,
    /// Where commands go.
    pub bus: Arc<dyn Bus>,
    /// Business time.
    pub clock: Arc<dyn Clock>,
    /// What it counts.
    pub metrics: Metrics,
}

/// Where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The last commit that was worked on.
    pub head: CommitNumber,
    /// Has it read the log to its head, so that it sends?
    pub live: bool,
    /// Up to which commit its commands were looked through, and how many of them had no outcome.
    pub open: (CommitNumber, u64),
    /// Why it waits or has stopped.
    pub trouble: Option<String>,
}

/// Looks at a running service.
#[derive(Clone)]
pub struct Handle(watch::Receiver<Progress>);

impl Handle {
    /// Where it stands, and every change of it.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.0.clone()
    }

    /// Waits until everything up to a commit was worked on and each command has its outcome. What
    /// those outcomes cause in turn is in later commits. `false`: it has stopped.
    pub async fn settled(&self, commit: CommitNumber) -> bool {
        let mut progress = self.0.clone();
        progress.wait_for(|p| p.live && p.open.0 >= commit && p.open.1 == 0).await.is_ok()
    }

    /// Does it follow the log? `Err` says why not.
    pub fn ready(&self) -> Result<(), String> {
        let p = self.0.borrow();
        match &p.trouble {
            Some(why) => Err(format!("the process managers do not follow the log: {why}")),
            None if !p.live => Err("the process managers read the log".to_owned()),
            None => Ok(()),
        }
    }
}

/// The service, not yet running.
pub struct Service {
    parts: Parts,
    progress: watch::Sender<Progress>,
    sent: HashMap<CommandId, (u32, Instant)>,
}

/// The service and the handle to it. Nothing happens until [`Service::run`].
pub fn start(parts: Parts) -> (Handle, Service) {
    let (progress, seen) = watch::channel(Progress {
        head: CommitNumber::ZERO,
        live: false,
        open: (CommitNumber::ZERO, 0),
        trouble: None,
    });
    (Handle(seen), Service { parts, progress, sent: HashMap::new() })
}

/// On a thread that gives way: what follows from a command must not stand before the next one.
async fn blocking<T: Send + 'static>(
    f: impl FnOnce() -> Result<T, ProcessError> + Send + 'static,
) -> Result<T, ProcessError> {
    quiet::run("processes", GivesWay::Later, f).await.ok_or(ProcessError::Interrupted)?
}

impl Service {
    /// Works until `shutdown`. An error is final; its reason is in [`Progress`] too.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), ProcessError> {
        let result = tokio::select! {
            biased;
            () = shutdown => Ok(()),
            r = self.work() => r,
        };
        if let Err(e) = &result {
            tracing::error!(error = %e, "the process managers stopped");
            self.progress.send_modify(|p| p.trouble = Some(e.to_string()));
        }
        result
    }

    async fn work(&mut self) -> Result<(), ProcessError> {
        let dir = self.parts.dir.clone();
        let mut store = blocking(move || Store::open(&dir)).await?;
        if store.head() != CommitNumber::ZERO {
            let stored = self.read(store.head(), 1).await;
            if !store.stands_on(stored.first().map(AsRef::as_ref))? {
                tracing::warn!(commit = %store.head(), "the log does not hold the commit of the checkpoint; starting over");
                store = blocking(move || store.reset()).await?;
            }
        }
        let target = self.log_head().await;
        loop {
            store = self.follow(store).await?;
            if store.head() >= target.commit {
                break;
            }
        }
        self.progress.send_modify(|p| p.live = true);
        tracing::info!(commit = %store.head(), "the process managers follow the log");
        let mut not_before = Instant::now();
        loop {
            let now = self.parts.clock.now();
            let (s, fired) = blocking(move || store.fire(now, BATCH).map(|n| (store, n))).await?;
            store = s;
            let messages = self.due_messages(&store)?;
            if !messages.is_empty() {
                self.parts.metrics.sent.inc_by(messages.len() as u64);
                self.parts.bus.publish(messages).await?;
            }
            if fired < BATCH {
                let wait = self.parts.reader.wait(store.head());
                // A log that can't be read is asked again at the next look.
                let woken = tokio::time::timeout(LOOK_EVERY, wait).await;
                if let Ok(Err(e)) = woken {
                    self.in_trouble(&e.to_string()).await;
                }
            }
            // Under load a few more milliseconds make one transaction of many; what lies behind has no time.
            let behind = self.parts.reader.known_head().commit.0.saturating_sub(store.head().0);
            if behind < BATCH as u64 {
                tokio::time::sleep_until(not_before).await;
            }
            store = self.follow(store).await?;
            not_before = Instant::now() + GATHER;
        }
    }

    /// Works on what the log has beyond the checkpoint, at most one batch.
    async fn follow(&self, mut store: Store) -> Result<Store, ProcessError> {
        let commits = self.read(store.head().next(), BATCH).await;
        if !commits.is_empty() {
            store = blocking(move || store.apply(&commits).map(|()| store)).await?;
        }
        self.progress.send_modify(|p| p.head = store.head());
        let known = self.parts.reader.known_head().commit.0;
        self.parts.metrics.lag.set(known.saturating_sub(store.head().0) as i64);
        Ok(store)
    }

    async fn read(&self, from: CommitNumber, limit: usize) -> Vec<Arc<mw_contract::StoredCommit>> {
        loop {
            match self.parts.reader.read(from, limit).await {
                Ok(commits) => {
                    self.progress.send_if_modified(|p| p.trouble.take().is_some());
                    return commits;
                }
                Err(e) => self.in_trouble(&e.to_string()).await,
            }
        }
    }

    async fn log_head(&self) -> Head {
        loop {
            match self.parts.reader.head().await {
                Ok(h) => return h,
                Err(e) => self.in_trouble(&e.to_string()).await,
            }
        }
    }

    async fn in_trouble(&self, why: &str) {
        tracing::warn!(reason = why, "the log can't be read; trying again");
        self.progress.send_modify(|p| p.trouble = Some(why.to_owned()));
        tokio::time::sleep(ASK_AGAIN).await;
    }

    /// What may be sent and was not sent lately.
    fn due_messages(&mut self, store: &Store) -> Result<Vec<Outbound>, ProcessError> {
        let depth = store.depth()?;
        let m = &self.parts.metrics;
        m.open.set(depth.open as i64);
        self.progress.send_modify(|p| p.open = (store.head(), depth.open));
        m.failed.set(depth.failed as i64);
        m.timers.set(depth.timers as i64);
        let now = Instant::now();
        let ready = if depth.open == 0 { Vec::new() } else { store.ready(IN_FLIGHT * 4)? };
        self.sent.retain(|id, _| ready.iter().any(|r| r.command_id == *id));
        let on_their_way = self.sent.values().filter(|(tries, _)| *tries < OVERDUE).count();
        let mut room = IN_FLIGHT.saturating_sub(on_their_way);
        let mut messages = Vec::new();
        for row in &ready {
            let tries = match self.sent.get(&row.command_id) {
                None if room == 0 => continue,
                None => {
                    room -= 1;
                    0
                }
                Some((_, again)) if *again > now => continue,
                Some((tries, _)) => *tries,
            };
            let wait = Duration::from_secs(1 << tries.min(6)).min(MOST);
            self.sent.insert(row.command_id, (tries.saturating_add(1), now + wait));
            if tries + 1 == OVERDUE {
                tracing::error!(command_id = %row.command_id, command = row.command, "a command has no outcome yet");
            }
            messages.push(row.message(store.account()));
        }
        m.overdue.set(self.sent.values().filter(|(tries, _)| *tries >= OVERDUE).count() as i64);
        Ok(messages)
    }
}
