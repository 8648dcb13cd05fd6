//! Follows the log. The wake-up may get lost or come twice: what counts is the commit number.
//!
//! A model that has no usable file is built from commit 1 with bulk settings and becomes visible
//! when it has caught up. A rebuild is the same beside a live file, which goes on until its
//! successor stands where it stands.

use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use mw_contract::{CommitNumber, Head, StoredCommit};
use mw_log::LogReader;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

use crate::files::Files;
use crate::projection::{Projection, ProjectionError};
use crate::writer::{BATCH, Writer};

/// Makes a projection with empty caches; each build from zero takes one of its own.
pub type Factory = Arc<dyn Fn() -> Box<dyn Projection> + Send + Sync>;

/// The least time between two transactions under load, unless a whole batch is there.
const GATHER: Duration = Duration::from_millis(25);
/// How long after a failed read the log is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How a projection stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Built from zero for the first time; queries have nothing to read yet.
    Building,
    /// Following the log.
    Live,
    /// The log can't be read at the moment; it is tried again.
    Waiting(String),
    /// Stopped for good, with the position in the reason. Old rows stay readable.
    Stopped(String),
}

/// Where a projection stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The checkpoint of the live file.
    pub head: Head,
    /// How it stands.
    pub state: State,
}

/// Talks to a running [`Service`].
#[derive(Clone)]
pub struct Handle {
    name: &'static str,
    progress: watch::Receiver<Progress>,
    requests: mpsc::Sender<oneshot::Sender<Result<Head, String>>>,
}

impl Handle {
    /// The read model's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Where it stands, and every change of it.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Waits until the rows of this commit can be read. `false` when the projection has stopped.
    pub async fn reached(&self, commit: CommitNumber) -> bool {
        let mut progress = self.progress.clone();
        let done = |p: &Progress| (p.head.commit >= commit && p.state == State::Live) || stopped(p);
        match progress.wait_for(done).await {
            Ok(p) => !stopped(&p),
            Err(_) => false,
        }
    }

    /// Builds the model again from zero beside the live one and switches when it has caught up.
    /// Gives the checkpoint after the switch, or why it could not be done; the live one stays then.
    pub async fn rebuild(&self) -> Result<Head, String> {
        let (tx, rx) = oneshot::channel();
        let gone = || format!("read model {} is not running", self.name);
        self.requests.send(tx).await.map_err(|_| gone())?;
        rx.await.map_err(|_| gone())?
    }
}

fn stopped(p: &Progress) -> bool {
    matches!(p.state, State::Stopped(_))
}

/// How long the files of an earlier schema version are kept after the last write to them.
const EARLIER_KEPT: Duration = Duration::from_secs(24 * 3600);

/// One projection at work.
pub struct Service {
    files: Files,
    factory: Factory,
    reader: Arc<dyn LogReader>,
    progress: watch::Sender<Progress>,
    requests: tokio::sync::Mutex<mpsc::Receiver<oneshot::Sender<Result<Head, String>>>>,
    name: &'static str,
}

/// A projection service over the files in `dir`, and the handle to it. Nothing happens until
/// [`Service::run`].
pub fn service(dir: impl Into<PathBuf>, factory: Factory, reader: Arc<dyn LogReader>) -> (Handle, Service) {
    let (name, schema) = (factory().name(), factory().schema_version());
    let (progress_tx, progress) = watch::channel(Progress { head: Head::default(), state: State::Building });
    let (requests, requests_rx) = mpsc::channel(4);
    let service = Service {
        files: Files::new(dir, name, schema),
        factory,
        reader,
        progress: progress_tx,
        requests: tokio::sync::Mutex::new(requests_rx),
        name,
    };
    (Handle { name, progress, requests }, service)
}

/// What the loop woke up for.
enum Next {
    Stop,
    Commits(Vec<Arc<StoredCommit>>),
    Request(Option<oneshot::Sender<Result<Head, String>>>),
    Built(Result<Writer, ProjectionError>),
}

impl Service {
    /// Follows the log until `shutdown`. An error is final: its reason is in [`Progress`] too, and
    /// old rows stay readable.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), ProjectionError> {
        let result = self.follow(shutdown).await;
        if let Err(e) = &result {
            tracing::error!(read_model = self.name, error = %e, "the read model stopped");
            self.progress.send_modify(|p| p.state = State::Stopped(e.to_string()));
        }
        result
    }

    async fn follow(&self, shutdown: impl Future<Output = ()>) -> Result<(), ProjectionError> {
        let mut shutdown = pin!(shutdown);
        let mut live = self.open().await?;
        let mut build: Option<JoinHandle<Result<Writer, ProjectionError>>> = None;
        let mut asked = true;
        let mut not_before = Instant::now();
        let mut waiters: Vec<oneshot::Sender<Result<Head, String>>> = Vec::new();
        match &live {
            Some(w) => self.report(w),
            None => build = Some(self.build()),
        }
        let abort = |b: &Option<JoinHandle<_>>| {
            if let Some(b) = b {
                b.abort();
            }
        };
        loop {
            let name = self.name;
            let from = live.as_ref().map(|w| w.head().commit);
            let next = tokio::select! {
                biased;
                () = &mut shutdown => Next::Stop,
                built = finished(&mut build) => Next::Built(built.unwrap_or(Err(ProjectionError::Interrupted(name)))),
                request = async { self.requests.lock().await.recv().await }, if asked => Next::Request(request),
                commits = self.next_commits(from, not_before) => Next::Commits(commits),
            };
            match next {
                // Every handle is gone, so nobody can ask any more.
                Next::Request(None) => asked = false,
                Next::Stop => {
                    abort(&build);
                    if let Some(w) = live.take() {
                        let _ = spawn_blocking(move || drop(w)).await;
                    }
                    return Ok(());
                }
                Next::Request(Some(waiter)) => {
                    waiters.push(waiter);
                    if build.is_none() {
                        build = Some(self.build());
                    }
                }
                Next::Commits(commits) => {
                    if let Some(w) = live.take() {
                        let w = self.apply(w, commits).await.inspect_err(|_| abort(&build))?;
                        self.report(&w);
                        not_before = Instant::now() + GATHER;
                        live = Some(w);
                    }
                }
                Next::Built(result) => {
                    build = None;
                    let was_live = live.is_some();
                    let switched = match result {
                        Ok(w) => self.switch(w, &mut live).await,
                        Err(e) => Err(e),
                    };
                    match switched {
                        Ok(head) => waiters.drain(..).for_each(|w| drop(w.send(Ok(head)))),
                        // The first build has nothing to fall back to.
                        Err(e) if !was_live => return Err(e),
                        Err(e) => {
                            tracing::error!(read_model = self.name, error = %e, "the rebuild failed; the old file stays");
                            waiters.drain(..).for_each(|w| drop(w.send(Err(e.to_string()))));
                        }
                    }
                }
            }
        }
    }

    fn report(&self, w: &Writer) {
        self.progress.send_replace(Progress { head: w.head(), state: State::Live });
    }

    /// The live file, or `None` when there is none that can be used.
    async fn open(&self) -> Result<Option<Writer>, ProjectionError> {
        let (files, projection) = (self.files.clone(), (self.factory)());
        let name = self.name;
        let opened = spawn_blocking(move || Writer::open(&files, projection))
            .await
            .map_err(|_| ProjectionError::Interrupted(name))?;
        let w = match opened {
            Ok(w) => w,
            Err(reason) => {
                tracing::info!(read_model = name, reason, "building the read model from zero");
                return Ok(None);
            }
        };
        let log = |source| ProjectionError::Log { name, source };
        let stored = match w.head().commit {
            CommitNumber::ZERO => Vec::new(),
            n => self.reader.read(n, 1).await.map_err(log)?,
        };
        if w.stands_on(stored.first().map(AsRef::as_ref))? {
            if let Err(e) = self.files.sweep_earlier(EARLIER_KEPT) {
                tracing::warn!(read_model = name, error = %e, "files of earlier versions could not be removed");
            }
            return Ok(Some(w));
        }
        tracing::warn!(
            read_model = name,
            commit = %w.head().commit,
            "the log does not hold the commit of the checkpoint; building the read model from zero"
        );
        Ok(None)
    }

    /// The commits after the live file's checkpoint; waits for some. Never ends without a live file.
    async fn next_commits(&self, from: Option<CommitNumber>, not_before: Instant) -> Vec<Arc<StoredCommit>> {
        let Some(seen) = from else { return std::future::pending().await };
        loop {
            let failed = match self.reader.read(seen.next(), BATCH).await {
                // The first change after a quiet time is shown at once; under load a few more
                // milliseconds make one transaction of many.
                Ok(commits) if !commits.is_empty() && commits.len() < BATCH && Instant::now() < not_before => {
                    tokio::time::sleep_until(not_before).await;
                    continue;
                }
                Ok(commits) if !commits.is_empty() => return commits,
                Ok(_) => self.reader.wait(seen).await.err(),
                Err(e) => Some(e),
            };
            if let Some(e) = failed {
                tracing::error!(read_model = self.name, error = %e, "the log can't be read; trying again");
                self.progress.send_modify(|p| p.state = State::Waiting(e.to_string()));
                tokio::time::sleep(ASK_AGAIN).await;
            }
        }
    }

    async fn apply(&self, w: Writer, commits: Vec<Arc<StoredCommit>>) -> Result<Writer, ProjectionError> {
        apply(w, commits, self.name).await
    }

    fn build(&self) -> JoinHandle<Result<Writer, ProjectionError>> {
        tokio::spawn(build(self.files.clone(), self.factory.clone(), self.reader.clone(), self.name))
    }

    /// Brings the new file to where the live one stands, then lets it take over.
    async fn switch(&self, mut w: Writer, live: &mut Option<Writer>) -> Result<Head, ProjectionError> {
        let name = self.name;
        let target = live.as_ref().map_or(CommitNumber::ZERO, |l| l.head().commit);
        while w.head().commit < target {
            let more = self
                .reader
                .read(w.head().commit.next(), BATCH)
                .await
                .map_err(|source| ProjectionError::Log { name, source })?;
            w = self.apply(w, more).await?;
        }
        let (files, old) = (self.files.clone(), live.take());
        let w = spawn_blocking(move || {
            let published = files.publish(w.generation());
            // Closed before its file goes, or it would leave a write-ahead log behind.
            drop(old);
            published
                .and_then(|()| files.sweep(w.path()))
                .map_err(|source| ProjectionError::File { path: files.link(), source })
                .map(|()| w)
        })
        .await
        .map_err(|_| ProjectionError::Interrupted(name))??;
        self.report(&w);
        tracing::info!(read_model = name, commit = %w.head().commit, file = %w.path().display(), "the read model is live");
        let head = w.head();
        *live = Some(w);
        Ok(head)
    }
}

async fn finished<T>(task: &mut Option<JoinHandle<T>>) -> Option<T> {
    match task {
        Some(t) => t.await.ok(),
        None => std::future::pending().await,
    }
}

async fn apply(w: Writer, commits: Vec<Arc<StoredCommit>>, name: &'static str) -> Result<Writer, ProjectionError> {
    let applied = mw_log::quiet::run(name, w.gives_way(), move || {
        let mut w = w;
        w.apply(&commits).map(|_| w)
    });
    applied.await.ok_or(ProjectionError::Interrupted(name))?
}

/// Builds from zero until the log has nothing more, reading one chunk ahead.
async fn build(
    files: Files,
    factory: Factory,
    reader: Arc<dyn LogReader>,
    name: &'static str,
) -> Result<Writer, ProjectionError> {
    let interrupted = |_| ProjectionError::Interrupted(name);
    let log = |source| ProjectionError::Log { name, source };
    let mut w = spawn_blocking(move || Writer::create(&files, factory())).await.map_err(interrupted)??;
    let mut chunk = reader.read(CommitNumber(1), BATCH).await.map_err(log)?;
    while let Some(last) = chunk.last() {
        let next = last.number.next();
        let (applied, ahead) = tokio::join!(apply(w, chunk, name), reader.read(next, BATCH));
        w = applied?;
        chunk = ahead.map_err(log)?;
    }
    spawn_blocking(move || w.go_live().map(|()| w)).await.map_err(interrupted)?
}
