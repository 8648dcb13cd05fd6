//! The one writer of a context: two threads in a row.
//!
//! ```text
//! submit ─▶ queue ─▶ decide thread ─▶ batch ─▶ sync thread ─▶ Completion
//!                        ▲                        │
//!                        └──────── idle ◀─────────┘
//! ```
//! The decide thread forms the next batch while the sync thread makes the one before it durable.
//! There is no timer: a batch leaves when the sync thread is idle and the queue is empty, or the
//! batch is full. Whatever is answered is answered by the sync thread, in the order of the queue,
//! after everything before it is on stable storage.
//!
//! After one failed append nothing is ever stored or acknowledged again: everything that was
//! decided or queued goes to [`Completion::failed`], and the queue refuses what comes.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, never, select};
use mw_contract::commit::{Head, NewCommit, StoredCommit};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::error::LogError;
use crate::traits::EventLog;

/// The most commits of one batch.
pub const MAX_BATCH: usize = 128;
/// The most entries of one batch, answers without a commit counted.
const MAX_ENTRIES: usize = 1024;

/// What came of a job.
pub enum Decision<T> {
    /// Store this, then give the ticket back with it.
    Commit(NewCommit, T),
    /// Store nothing; give the ticket back when everything decided before is durable.
    Answer(T),
}

/// Turns jobs into commits.
pub trait Decider: Send + 'static {
    /// What is queued.
    type Job: Send + 'static;
    /// What comes back when it is durable.
    type Ticket: Send + 'static;

    /// Runs on the decide thread, in the order of the queue. What it changes in `self` is visible
    /// to the next call, before any of it is durable. `at` is the head of the log that this
    /// commit will follow.
    fn decide(&mut self, job: Self::Job, at: Head) -> Decision<Self::Ticket>;
}

/// How long one batch took.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    /// All its decisions.
    pub deciding: Duration,
    /// Writing it and making it durable.
    pub storing: Duration,
}

/// Hears what became durable. Runs on the sync thread, in the order of the queue.
pub trait Completion<T>: Send + 'static {
    /// All of this is on stable storage. `None` where nothing was to be stored.
    fn durable(&mut self, batch: Vec<(Option<Arc<StoredCommit>>, T)>);

    /// What the batch of the last [`Completion::durable`] took.
    fn took(&mut self, _: Took) {}

    /// The log failed: none of these will be stored. Called at most once; nothing follows it.
    fn failed(&mut self, tickets: Vec<T>, why: &LogError);
}

/// The writer takes no more jobs. The job comes back.
#[derive(Debug, thiserror::Error)]
#[error("the writer has stopped")]
pub struct Stopped<J>(pub J);

/// Why a job was not queued. The job comes back.
#[derive(Debug, thiserror::Error)]
pub enum TrySubmit<J> {
    /// The queue is full now.
    #[error("the queue of the writer is full")]
    Full(J),
    /// The writer takes no more jobs.
    #[error("the writer has stopped")]
    Stopped(J),
}

/// The writer of one context, by its queue.
pub struct Writer<J> {
    queue: RwLock<Option<Sender<J>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    failure: watch::Receiver<Option<LogError>>,
}

struct Batch<T> {
    commits: Vec<NewCommit>,
    /// One an entry; does a commit of `commits` belong to it?
    entries: Vec<(bool, T)>,
    deciding: Duration,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Batch { commits: Vec::new(), entries: Vec::new(), deciding: Duration::ZERO }
    }
}

impl<T> Batch<T> {
    fn is_full(&self) -> bool {
        self.commits.len() >= MAX_BATCH || self.entries.len() >= MAX_ENTRIES
    }
}

enum ToSync<T> {
    Store(Batch<T>),
    /// After a failure: everything that will not be stored.
    GiveUp(Vec<T>),
}

impl<J: Send + 'static> Writer<J> {
    /// Starts the two threads. `queue` is the number of jobs that may wait undecided.
    pub fn spawn<D, C>(log: Arc<dyn EventLog>, decider: D, completion: C, queue: usize) -> Self
    where
        D: Decider<Job = J>,
        C: Completion<D::Ticket>,
    {
        let (jobs_tx, jobs) = bounded(queue.max(1));
        // One slot each: a batch is handed over only to an idle sync thread, so neither blocks.
        let (batches_tx, batches) = bounded(1);
        let (idle_tx, idle) = bounded(1);
        let (failure_tx, failure) = watch::channel(None);
        let failure_tx = Arc::new(failure_tx);
        let context = log.context();
        let at = log.head();
        let deciding = Deciding { decider, at, jobs, batches: batches_tx, idle, failed: failure_tx.clone() };
        let syncing = Syncing { log, completion, batches, idle: idle_tx, failed: failure_tx.clone() };
        let mut threads = Vec::new();
        let spawned = thread::Builder::new().name(format!("{context}-decide")).spawn(move || deciding.run());
        for t in [spawned, thread::Builder::new().name(format!("{context}-sync")).spawn(move || syncing.run())] {
            match t {
                Ok(t) => threads.push(t),
                // The other thread sees its channels closed and ends by itself.
                Err(e) => fail(&failure_tx, LogError::Stopped(format!("a writer thread can't be started: {e}"))),
            }
        }
        Writer { queue: RwLock::new(Some(jobs_tx)), threads: Mutex::new(threads), failure }
    }

    /// Queues a job; waits while the queue is full.
    pub fn submit(&self, job: J) -> Result<(), Stopped<J>> {
        match self.sender() {
            Some(queue) => queue.send(job).map_err(|e| Stopped(e.into_inner())),
            None => Err(Stopped(job)),
        }
    }

    /// Queues a job unless the queue is full.
    pub fn try_submit(&self, job: J) -> Result<(), TrySubmit<J>> {
        match self.sender() {
            Some(queue) => queue.try_send(job).map_err(|e| match e {
                TrySendError::Full(j) => TrySubmit::Full(j),
                TrySendError::Disconnected(j) => TrySubmit::Stopped(j),
            }),
            None => Err(TrySubmit::Stopped(job)),
        }
    }

    fn sender(&self) -> Option<Sender<J>> {
        if self.failure.borrow().is_some() {
            return None;
        }
        self.queue.read().clone()
    }

    /// Takes no more jobs, decides and stores those that are queued, and waits for the end. The
    /// answer is the failure that stopped the writer earlier, if one did. Must not be called from
    /// a [`Decider`] or [`Completion`].
    pub fn close(&self) -> Result<(), LogError> {
        drop(self.queue.write().take());
        let threads = std::mem::take(&mut *self.threads.lock());
        for t in threads {
            // A panic has been reported as the failure by the thread's own guard.
            let _ = t.join();
        }
        match &*self.failure.borrow() {
            Some(e) => Err(e.clone()),
            None => Ok(()),
        }
    }

    /// Holds the reason once the writer has stopped for good.
    pub fn on_failure(&self) -> watch::Receiver<Option<LogError>> {
        self.failure.clone()
    }
}

type Failed = Arc<watch::Sender<Option<LogError>>>;

/// Notes the first failure; later ones are its consequences.
fn fail(failed: &Failed, why: LogError) {
    failed.send_if_modified(|f| {
        let first = f.is_none();
        if first {
            *f = Some(why);
        }
        first
    });
}

/// Reports a thread that panics instead of letting its queue fall silent.
struct PanicGuard(Failed);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if thread::panicking() {
            let name = thread::current().name().unwrap_or("writer").to_owned();
            fail(&self.0, LogError::Stopped(format!("thread {name} panicked")));
        }
    }
}

struct Deciding<D: Decider> {
    decider: D,
    at: Head,
    jobs: Receiver<D::Job>,
    batches: Sender<ToSync<D::Ticket>>,
    /// `true` when the sync thread is ready for a batch, `false` when it has failed.
    idle: Receiver<bool>,
    failed: Failed,
}

impl<D: Decider> Deciding<D> {
    fn run(mut self) {
        let _guard = PanicGuard(self.failed.clone());
        let mut forming = Batch::default();
        let mut sync_is_idle = true;
        let mut open = true;
        let no_jobs = never();
        let no_idle = never();
        loop {
            // Drain what is queued, up to a full batch, before handing over.
            while open && !forming.is_full() {
                match self.jobs.try_recv() {
                    Ok(job) => self.decide(job, &mut forming),
                    Err(crossbeam_channel::TryRecvError::Empty) => break,
                    Err(crossbeam_channel::TryRecvError::Disconnected) => open = false,
                }
            }
            if sync_is_idle && !forming.entries.is_empty() {
                if self.batches.send(ToSync::Store(std::mem::take(&mut forming))).is_err() {
                    return;
                }
                sync_is_idle = false;
            }
            if !open && forming.entries.is_empty() {
                return;
            }
            let jobs = if open && !forming.is_full() { &self.jobs } else { &no_jobs };
            let idle = if sync_is_idle { &no_idle } else { &self.idle };
            select! {
                recv(jobs) -> job => match job {
                    Ok(job) => self.decide(job, &mut forming),
                    Err(_) => open = false,
                },
                recv(idle) -> ready => match ready {
                    Ok(true) => sync_is_idle = true,
                    Ok(false) => return self.give_up(forming),
                    Err(_) => return,
                },
            }
        }
    }

    fn decide(&mut self, job: D::Job, forming: &mut Batch<D::Ticket>) {
        let began = Instant::now();
        match self.decider.decide(job, self.at) {
            Decision::Commit(commit, ticket) => {
                self.at.commit = self.at.commit.next();
                self.at.position.0 += commit.events.len() as u64;
                forming.commits.push(commit);
                forming.entries.push((true, ticket));
            }
            Decision::Answer(ticket) => forming.entries.push((false, ticket)),
        }
        forming.deciding += began.elapsed();
    }

    /// Collects the tickets of what was decided and of what is still queued. A job only has a
    /// ticket once it is decided; none of these decisions is ever stored.
    fn give_up(mut self, mut forming: Batch<D::Ticket>) {
        while let Ok(job) = self.jobs.try_recv() {
            self.decide(job, &mut forming);
        }
        let tickets = forming.entries.into_iter().map(|(_, t)| t).collect();
        let _ = self.batches.send(ToSync::GiveUp(tickets));
    }
}

struct Syncing<T, C> {
    log: Arc<dyn EventLog>,
    completion: C,
    batches: Receiver<ToSync<T>>,
    idle: Sender<bool>,
    failed: Failed,
}

impl<T, C: Completion<T>> Syncing<T, C> {
    fn run(mut self) {
        let _guard = PanicGuard(self.failed.clone());
        while let Ok(ToSync::Store(batch)) = self.batches.recv() {
            let began = Instant::now();
            let stored = if batch.commits.is_empty() { Ok(Vec::new()) } else { self.log.append(batch.commits) };
            match stored {
                Ok(stored) => {
                    let took = Took { deciding: batch.deciding, storing: began.elapsed() };
                    let mut stored = stored.into_iter();
                    let answers = batch.entries.into_iter();
                    let answers = answers.map(|(has_commit, t)| (if has_commit { stored.next() } else { None }, t));
                    self.completion.durable(answers.collect());
                    self.completion.took(took);
                }
                Err(why) => return self.stop(batch.entries.into_iter().map(|(_, t)| t).collect(), why),
            }
            if self.idle.send(true).is_err() {
                // The decide thread has ended; a last batch may still be in the channel.
                continue;
            }
        }
    }

    fn stop(mut self, mut tickets: Vec<T>, why: LogError) {
        tracing::error!(context = %self.log.context(), error = %why, "the log failed; nothing more is stored");
        // First refuse what comes, then collect what is there.
        fail(&self.failed, why.clone());
        let _ = self.idle.send(false);
        // The channel closes when the decide thread has ended.
        while let Ok(rest) = self.batches.recv() {
            match rest {
                ToSync::GiveUp(more) => tickets.extend(more),
                ToSync::Store(batch) => tickets.extend(batch.entries.into_iter().map(|(_, t)| t)),
            }
        }
        self.completion.failed(tickets, &why);
    }
}
