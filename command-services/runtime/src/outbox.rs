//! After a batch is durable: replies first, then events, from the committed frames.
//!
//! The sync thread hands durable batches over and goes back to syncing; a task builds the
//! messages. How far publishing has come is kept in a small file, so that what a crash left
//! unpublished is published again at the next start: at least once, in position order.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant as Monotonic};

use bytes::Bytes;
use mw_contract::commit::StoredCommit;
use mw_contract::{CommitNumber, Context, Reply, ReplyStatus, cloud};
use mw_log::{Completion, EventLog, LogError};
use tokio::sync::{mpsc, watch};

use crate::bus::{Bus, Outbound};
use crate::decider::{Ticket, reply_of};
use crate::inbox::ReplyTo;
use crate::metrics::{Metrics, OutcomeLabel};

/// How often the watermark of publishing is written, at most.
const WATERMARK_EVERY: Duration = Duration::from_millis(500);
/// Commits published in one go when catching up.
const CATCH_UP: usize = 256;

/// A batch that is durable, or a plain answer.
pub type Durable = Vec<(Option<Arc<StoredCommit>>, Ticket)>;

/// Takes durable batches from the log's sync thread.
pub struct Handover {
    /// To the outbox task.
    pub to: mpsc::UnboundedSender<Durable>,
    /// Says why the log stopped for good.
    pub stopped: watch::Sender<Option<String>>,
}

impl Completion<Ticket> for Handover {
    fn durable(&mut self, batch: Durable) {
        // What is in here is bounded by the writer's queue; the sender is gone only at the end.
        let _ = self.to.send(batch);
    }

    fn failed(&mut self, tickets: Vec<Ticket>, why: &LogError) {
        tracing::error!(error = %why, unanswered = tickets.len(), "the log stopped for good; nothing more is acknowledged");
        self.stopped.send_replace(Some(why.to_string()));
    }
}

/// The task that replies and publishes.
pub struct Outbox {
    /// Which context's.
    pub context: Context,
    /// Its log.
    pub log: Arc<dyn EventLog>,
    /// The bus.
    pub bus: Option<Arc<dyn Bus>>,
    /// What it counts.
    pub metrics: Metrics,
    /// Where the watermark is kept.
    pub watermark: Watermark,
}

impl Outbox {
    /// Publishes what a crash left unpublished: replies too, for the sender may still be waiting.
    pub async fn publish_unpublished(&mut self) -> Result<(), crate::RuntimeError> {
        let Some(bus) = self.bus.clone() else { return Ok(()) };
        let mut from = self.watermark.read().next();
        let mut count = 0usize;
        loop {
            let commits = self.log.read(from, CATCH_UP)?;
            let Some(last) = commits.last() else { break };
            from = last.number.next();
            let mut out = Vec::new();
            for c in &commits {
                let site = c.head.site.as_ref().map_or(mw_contract::topics::NO_SITE, |s| s.as_str());
                let topic = mw_contract::topics::reply(site, &c.head.account);
                out.push(reply_message(topic, None, &c.reply(self.context, false)));
            }
            for c in &commits {
                self.events(c, &mut out);
            }
            count += commits.len();
            bus.publish(out).await?;
            self.watermark.write(last.number);
        }
        if count > 0 {
            tracing::info!(context = %self.context, commits = count, "published again what the last stop left unpublished");
        }
        Ok(())
    }

    fn events(&self, commit: &StoredCommit, out: &mut Vec<Outbound>) {
        for e in &commit.events {
            match cloud::decode(e) {
                Ok(data) => {
                    let (topic, event) = cloud::cloud_event(self.context, commit, e, &data);
                    out.push(Outbound {
                        topic,
                        payload: Bytes::from(event.to_string()),
                        content_type: Some(cloud::CONTENT_TYPE),
                        ..Outbound::default()
                    });
                }
                Err(e2) => tracing::error!(position = %e.position, error = %e2, "an event can't be published"),
            }
        }
    }

    /// Runs until the writer is gone.
    pub async fn run(mut self, mut from: mpsc::UnboundedReceiver<Durable>) -> Result<(), crate::RuntimeError> {
        let mut written = Monotonic::now();
        loop {
            let batch = match tokio::time::timeout(WATERMARK_EVERY, from.recv()).await {
                Ok(Some(batch)) => batch,
                Ok(None) => break,
                Err(_) => {
                    self.watermark.flush();
                    continue;
                }
            };
            let mut commits: Vec<Arc<StoredCommit>> = Vec::new();
            let mut replies = Vec::with_capacity(batch.len());
            for (commit, ticket) in batch {
                let reply = reply_of(&*self.log, self.context, commit.as_deref(), ticket.answer);
                self.count(&reply, ticket.started);
                commits.extend(commit);
                match ticket.reply_to {
                    ReplyTo::Bus { topic, correlation_data } => {
                        replies.push(reply_message(topic, correlation_data, &reply));
                    }
                    // Whoever asked may have gone away; the outcome is stored all the same.
                    ReplyTo::Local(tx) => drop(tx.send(reply)),
                }
            }
            self.metrics.batch.observe(commits.len() as f64);
            let Some(bus) = &self.bus else { continue };
            if !replies.is_empty() {
                bus.publish(replies).await?;
            }
            let mut out = Vec::new();
            for c in &commits {
                self.events(c, &mut out);
            }
            if !out.is_empty() {
                self.metrics.published.inc_by(out.len() as u64);
                bus.publish(out).await?;
            }
            if let Some(last) = commits.last() {
                self.metrics.position.set(i64::try_from(last.last_position.0).unwrap_or(i64::MAX));
                self.watermark.pending = Some(last.number);
            }
            if written.elapsed() >= WATERMARK_EVERY {
                self.watermark.flush();
                written = Monotonic::now();
            }
        }
        self.watermark.flush();
        Ok(())
    }

    fn count(&self, reply: &Reply, started: Monotonic) {
        let outcome = match (&reply.status, &reply.error) {
            (ReplyStatus::Rejected, Some(e)) => e.code.as_str().to_owned(),
            (s, _) => s.as_str().to_owned(),
        };
        self.metrics.commands.get_or_create(&OutcomeLabel { outcome }).inc();
        self.metrics.latency.observe(started.elapsed().as_secs_f64());
    }
}

/// A reply as a message.
pub fn reply_message(topic: String, correlation_data: Option<Bytes>, reply: &Reply) -> Outbound {
    // A reply is plain data; serialising it can't fail.
    let payload = serde_json::to_vec(reply).unwrap_or_default();
    Outbound {
        topic,
        payload: Bytes::from(payload),
        correlation_data,
        content_type: Some("application/json"),
        ..Outbound::default()
    }
}

/// How far publishing has come: a hint, not a promise. Losing it means publishing more again.
pub struct Watermark {
    path: PathBuf,
    pending: Option<CommitNumber>,
}

impl Watermark {
    /// Kept at `dir/published`.
    pub fn new(dir: &Path) -> Self {
        Watermark { path: dir.join("published"), pending: None }
    }

    /// The last commit that was published; 0 when nothing is known.
    pub fn read(&self) -> CommitNumber {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        CommitNumber(text.trim().parse().unwrap_or(0))
    }

    fn write(&mut self, n: CommitNumber) {
        self.pending = Some(n);
        self.flush();
    }

    fn flush(&mut self) {
        let Some(n) = self.pending.take() else { return };
        let tmp = self.path.with_extension("tmp");
        let done = std::fs::write(&tmp, n.to_string()).and_then(|()| std::fs::rename(&tmp, &self.path));
        if let Err(e) = done {
            tracing::warn!(path = %self.path.display(), error = %e, "can't note how far publishing has come");
        }
    }
}
