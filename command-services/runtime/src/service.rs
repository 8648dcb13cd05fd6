//! Puts a command service together and runs it.

use std::path::PathBuf;
use std::sync::Arc;

use mw_contract::commit::Head;
use mw_contract::decide::Domain;
use mw_contract::{AccountName, Context, Reply, SiteId, topics};
use mw_log::{EventLog, LogError, Vault, Writer};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::Accounts;
use crate::bus::{Bus, BusError, Receipt};
use crate::clock::Clock;
use crate::decider::{BeforeCommit, CommandDecider};
use crate::inbox::{self, Job, Read, ReplyTo};
use crate::metrics::Metrics;
use crate::outbox::{Handover, Outbox, Watermark, reply_message};

/// Commands that wait for a decision; then the bus is read no further.
const QUEUE: usize = 4096;

/// Why a command service stops.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The log.
    #[error("log: {0}")]
    Log(#[from] LogError),
    /// The bus.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The log stopped for good after a failed write or sync.
    #[error("the log of {context} stopped for good: {reason}")]
    Stopped {
        /// Which log.
        context: Context,
        /// The first failure.
        reason: String,
    },
}

/// What a command service is made of.
pub struct Parts {
    /// Its log.
    pub log: Arc<dyn EventLog>,
    /// The keys of its data subjects.
    pub vault: Arc<Vault>,
    /// Its copy of the accounts.
    pub accounts: Arc<dyn Accounts>,
    /// Business time.
    pub clock: Arc<dyn Clock>,
    /// The bus; without one it takes local commands only.
    pub bus: Option<Arc<dyn Bus>>,
    /// Where it may keep small disposable files.
    pub state_dir: PathBuf,
    /// What it counts.
    pub metrics: Metrics,
    /// Runs before an accepted command is committed.
    pub before_commit: Option<BeforeCommit>,
}

/// A running command service.
pub struct CommandService {
    context: Context,
    log: Arc<dyn EventLog>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    writer: Arc<Writer<Box<Job>>>,
    stopped: watch::Receiver<Option<String>>,
    tasks: parking_lot::Mutex<Vec<JoinHandle<Result<(), RuntimeError>>>>,
}

impl CommandService {
    /// Folds the log, publishes what was left unpublished, and starts to take commands. Blocks
    /// while the log is folded: call it where that is allowed.
    pub async fn start<D: Domain>(domain: D, parts: Parts) -> Result<Arc<Self>, RuntimeError> {
        let context = domain.context();
        let Parts { log, vault, accounts, clock, bus, state_dir, metrics, before_commit } = parts;
        if let Err(e) = std::fs::create_dir_all(&state_dir) {
            // Without it more is published again than needed, and nothing else.
            tracing::warn!(dir = %state_dir.display(), error = %e, "can't keep how far publishing has come");
        }
        let decider = {
            let log = log.clone();
            tokio::task::spawn_blocking(move || CommandDecider::open(domain, log, accounts, vault, before_commit))
                .await
                .map_err(|e| RuntimeError::Stopped { context, reason: e.to_string() })??
        };
        let (to_outbox, from_writer) = mpsc::unbounded_channel();
        let (stopped_tx, stopped) = watch::channel(None);
        let handover = Handover { to: to_outbox, stopped: stopped_tx, metrics: metrics.clone() };
        let mut outbox = Outbox {
            context,
            log: log.clone(),
            bus: bus.clone(),
            metrics: metrics.clone(),
            watermark: Watermark::new(&state_dir),
        };
        outbox.publish_unpublished().await?;
        let writer = Arc::new(Writer::spawn(log.clone(), decider, handover, QUEUE));
        let service = Arc::new(CommandService {
            context,
            log,
            clock,
            metrics,
            writer,
            stopped,
            tasks: parking_lot::Mutex::new(vec![tokio::spawn(outbox.run(from_writer))]),
        });
        if let Some(bus) = bus {
            bus.subscribe(&topics::command_filter(context)).await?;
            let task = tokio::spawn(service.clone().receive(bus));
            service.tasks.lock().push(task);
        }
        Ok(service)
    }

    async fn receive(self: Arc<Self>, bus: Arc<dyn Bus>) -> Result<(), RuntimeError> {
        let mut stopped = self.stopped.clone();
        loop {
            let message = tokio::select! {
                m = bus.recv() => m?,
                _ = stopped.wait_for(Option::is_some) => return Ok(()),
            };
            match inbox::read(message, self.context, self.clock.now()) {
                Read::Job(job) => {
                    if !self.submit(job).await {
                        return Ok(());
                    }
                }
                Read::Unreadable(ReplyTo::Bus { topic, correlation_data, receipt }, reply) => {
                    self.metrics.unreadable.inc();
                    bus.publish(vec![reply_message(topic, correlation_data, &reply)]).await?;
                    receipt.into_iter().for_each(Receipt::done);
                }
                Read::Unreadable(ReplyTo::Local(tx), reply) => drop(tx.send(*reply)),
                Read::NotOurs(receipt) => receipt.into_iter().for_each(Receipt::done),
            }
        }
    }

    /// Queues a job; waits while the queue is full. `false` when the log has stopped.
    async fn submit(&self, job: Box<Job>) -> bool {
        self.metrics.queue.inc();
        match self.writer.try_submit(job) {
            Ok(()) => true,
            Err(mw_log::TrySubmit::Full(job)) => {
                let writer = self.writer.clone();
                tokio::task::spawn_blocking(move || writer.submit(job).is_ok()).await.unwrap_or(false)
            }
            Err(mw_log::TrySubmit::Stopped(_)) => false,
        }
    }

    /// Decides one command of a caller in this process, by the same way as every other: it is
    /// attributed to `account` and checked by the same policy.
    pub async fn execute(
        &self,
        account: AccountName,
        site: Option<SiteId>,
        payload: &[u8],
    ) -> Result<Reply, RuntimeError> {
        self.begin(account, site, payload).await?.await.map_err(|_| self.stop_reason())
    }

    /// Like [`CommandService::execute`], but gives the place where the answer will be as soon as the
    /// command has its turn.
    pub async fn begin(
        &self,
        account: AccountName,
        site: Option<SiteId>,
        payload: &[u8],
    ) -> Result<oneshot::Receiver<Reply>, RuntimeError> {
        let (tx, rx) = oneshot::channel();
        match inbox::job(account, site, payload, self.context, self.clock.now(), ReplyTo::Local(tx)) {
            Read::Job(job) => {
                if !self.submit(job).await {
                    return Err(self.stop_reason());
                }
            }
            Read::Unreadable(ReplyTo::Local(tx), reply) => drop(tx.send(*reply)),
            Read::Unreadable(..) | Read::NotOurs(_) => return Err(self.stop_reason()),
        }
        Ok(rx)
    }

    fn stop_reason(&self) -> RuntimeError {
        let reason = self.stopped.borrow().clone().unwrap_or_else(|| "it is stopping".to_owned());
        RuntimeError::Stopped { context: self.context, reason }
    }

    /// Which context it decides.
    pub fn context(&self) -> Context {
        self.context
    }

    /// Its log.
    pub fn log(&self) -> &Arc<dyn EventLog> {
        &self.log
    }

    /// How far its log has come.
    pub fn head(&self) -> Head {
        self.log.head()
    }

    /// Has the log stopped for good?
    pub fn has_stopped(&self) -> bool {
        self.stopped.borrow().is_some()
    }

    /// Resolves when the log has stopped for good: the process must end with the reason.
    pub async fn failed(&self) -> RuntimeError {
        let mut stopped = self.stopped.clone();
        match stopped.wait_for(Option::is_some).await {
            Ok(_) => self.stop_reason(),
            // The writer was closed in an orderly way: nothing has failed, and nothing will.
            Err(_) => std::future::pending().await,
        }
    }

    /// Takes no more commands, decides what is queued, answers it, and ends.
    pub async fn shutdown(&self) {
        let writer = self.writer.clone();
        let _ = tokio::task::spawn_blocking(move || writer.close()).await;
        let tasks = std::mem::take(&mut *self.tasks.lock());
        let mut tasks = tasks.into_iter();
        // The outbox ends by itself when the writer is closed; the receiver waits for messages.
        if let Some(outbox) = tasks.next() {
            let _ = outbox.await;
        }
        for receiver in tasks {
            receiver.abort();
        }
    }
}
