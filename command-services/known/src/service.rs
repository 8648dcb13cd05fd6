//! Follows production's log, at the pace of those who decide: it does not give way.
//!
//! Each read begins with the commit of the checkpoint. A log that holds another one there, or none,
//! was restored from a backup while or since this copy was made; then it is built again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mw_after_service::known::Known;
use mw_contract::{CommitNumber, StoredCommit};
use mw_log::LogReader;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::{KnownError, ProductionCopy, Store};

/// Commits in one transaction.
const BATCH: usize = 500;
/// The least time between two transactions under load, which then hold more commits each.
const GATHER: Duration = Duration::from_millis(10);
/// How long after a failure it is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The last commit that decisions see.
    pub head: CommitNumber,
    /// Has it, since it started, seen all that the log held then?
    pub live: bool,
    /// Did it ever, in this life or an earlier one?
    pub whole: bool,
    /// Why it waits.
    pub trouble: Option<String>,
}

/// The copy, and where the service stands that keeps it.
#[derive(Clone)]
pub struct Handle {
    copy: Arc<ProductionCopy>,
    progress: watch::Receiver<Progress>,
}

impl Handle {
    /// What decisions read.
    pub fn known(&self) -> Arc<dyn Known> {
        self.copy.clone()
    }

    /// Where it stands, and every change of it.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Waits until decisions see this commit. `false`: the service has ended.
    pub async fn reached(&self, commit: CommitNumber) -> bool {
        self.progress.clone().wait_for(|p| p.head >= commit).await.is_ok()
    }

    /// Waits until it has seen what the log held when it started, but no longer than `patience`
    /// when there is a whole copy from an earlier life. `false`: it goes on with that one.
    pub async fn caught_up(&self, patience: Duration) -> bool {
        let mut progress = self.progress.clone();
        if tokio::time::timeout(patience, progress.wait_for(|p| p.live)).await.is_ok_and(|p| p.is_ok()) {
            return true;
        }
        // Without any copy every unit would be unknown, and the decisions stored.
        progress.wait_for(|p| p.whole).await.is_ok_and(|p| p.live)
    }

    /// Is there a copy, as of now or of an earlier life? `Err` says why not.
    pub fn ready(&self) -> Result<(), String> {
        let p = self.progress.borrow();
        match &p.trouble {
            _ if p.whole => Ok(()),
            Some(why) => Err(format!("the copy of production is not there yet: {why}")),
            None => Err("the copy of production is being built".to_owned()),
        }
    }
}

/// The service, not yet running.
pub struct Service {
    reader: Arc<dyn LogReader>,
    copy: Arc<ProductionCopy>,
    store: Store,
    progress: watch::Sender<Progress>,
}

/// The service over the file in `dir`, and the handle to it. Nothing is read from the log until
/// [`Service::run`]; what an earlier life knew is there at once.
///
/// # Errors
/// When the file can be neither opened nor made.
pub fn start(dir: &Path, reader: Arc<dyn LogReader>) -> Result<(Handle, Service), KnownError> {
    let store = Store::open(dir)?;
    let copy = Arc::new(ProductionCopy::open(&store)?);
    let first = Progress { head: store.head(), live: false, whole: store.is_whole(), trouble: None };
    let (progress, seen) = watch::channel(first);
    let handle = Handle { copy: copy.clone(), progress: seen };
    Ok((handle, Service { reader, copy, store, progress }))
}

impl Service {
    /// Follows the log until `shutdown`.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            () = shutdown => {}
            () = self.work() => {}
        }
    }

    async fn work(self) {
        let Service { reader, copy, mut store, progress } = self;
        let trouble = async |why: String| {
            tracing::warn!(reason = why, "production's log is not followed; trying again");
            progress.send_modify(|p| p.trouble = Some(why));
            tokio::time::sleep(AGAIN).await;
        };
        // What the log held when it was first reached.
        let mut target = None;
        let mut not_before = Instant::now();
        loop {
            let goal = match target {
                Some(commit) => commit,
                None => match reader.head().await {
                    Ok(head) => *target.insert(head.commit),
                    Err(e) => {
                        trouble(e.to_string()).await;
                        continue;
                    }
                },
            };
            let read = match reader.read(CommitNumber(store.head().0.max(1)), BATCH + 1).await {
                Ok(commits) => commits,
                Err(e) => {
                    trouble(e.to_string()).await;
                    continue;
                }
            };
            let more = read.len() > BATCH;
            let worked = spawn_blocking({
                let copy = copy.clone();
                move || {
                    let result = follow(&mut store, &copy, &read, goal);
                    (store, result)
                }
            });
            let Ok((back, result)) = worked.await else {
                // The process ends, or the work panicked: what was known stays known.
                return trouble("the copying was interrupted".to_owned()).await;
            };
            store = back;
            match result {
                Ok(Followed::Same) => report(&progress, &store, store.head() >= goal),
                Ok(Followed::Another) => {
                    target = None;
                    continue;
                }
                Err(e) => {
                    trouble(e.to_string()).await;
                    continue;
                }
            }
            if more {
                continue;
            }
            if let Err(e) = reader.wait(store.head()).await {
                trouble(e.to_string()).await;
            }
            // Under load a few more milliseconds make one transaction of many.
            tokio::time::sleep_until(not_before).await;
            not_before = Instant::now() + GATHER;
        }
    }
}

fn report(progress: &watch::Sender<Progress>, store: &Store, live: bool) {
    progress.send_if_modified(|p| {
        let now = Progress { head: store.head(), live: p.live || live, whole: store.is_whole(), trouble: None };
        let new = *p != now;
        if now.live && !p.live {
            tracing::info!(commit = %store.head(), "the copy of production is up to date");
        }
        *p = now;
        new
    });
}

/// What a read brought.
enum Followed {
    /// What follows the checkpoint, if there was anything.
    Same,
    /// Another history: the copy was thrown away.
    Another,
}

fn follow(
    store: &mut Store,
    copy: &ProductionCopy,
    read: &[Arc<StoredCommit>],
    goal: CommitNumber,
) -> Result<Followed, KnownError> {
    let head = store.head();
    let known = usize::from(head != CommitNumber::ZERO);
    let next = read.get(known..).unwrap_or_default();
    let in_order = next.iter().zip(head.0 + 1..).all(|(c, n)| c.number.0 == n);
    if !store.stands_on(read.first().map(AsRef::as_ref)) || !in_order {
        tracing::warn!(commit = %head, "the log does not hold the commit of the checkpoint; the copy is built again");
        store.reset()?;
        copy.forget();
        return Ok(Followed::Another);
    }
    copy.take(store.apply(next)?);
    if store.head() >= goal {
        store.now_whole()?;
    }
    Ok(Followed::Same)
}
