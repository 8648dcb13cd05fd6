//! After a batch is durable: replies first, then events, from the committed frames.
//!
//! The sync thread hands durable batches over and goes back to syncing; a task builds the
//! messages. How far publishing has come is kept in a small file, so that what a crash left
//! unpublished is published again at the next start: at least once, in position order.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant as Monotonic};

use bytes::Bytes;
use mw_contract::commit::StoredCommit;
use mw_contract::{CommitNumber, Context, Reply, ReplyStatus, cloud};
use mw_log::{Completion, EventLog, LogError, Took};
use tokio::sync::{mpsc, watch};

use crate::bus::{Bus, Outbound, Receipt};
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
    /// What it counts.
    pub metrics: Metrics,
}

impl Completion<Ticket> for Handover {
    fn durable(&mut self, batch: Durable) {
        // What is in here is bounded by the writer's queue; the sender is gone only at the end.
        let _ = self.to.send(batch);
    }

    fn took(&mut self, took: Took) {
        self.metrics.decide.observe(took.deciding.as_secs_f64());
        self.metrics.commit.observe(took.storing.as_secs_f64());
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
            self.watermark.handed(bus.flow().handed, last.number);
        }
        self.watermark.flush(bus.flow().settled);
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
                        payload: Bytes::from(event),
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
                    self.flush();
                    continue;
                }
            };
            let mut commits: Vec<Arc<StoredCommit>> = Vec::new();
            let mut replies = Vec::with_capacity(batch.len());
            let mut receipts = Vec::new();
            let took = Monotonic::now();
            self.metrics.queue.dec_by(batch.len() as i64);
            for (commit, ticket) in batch {
                let reply = reply_of(&*self.log, self.context, commit.as_deref(), ticket.answer);
                self.count(&reply, ticket.started);
                told(self.context, &reply, commit.as_deref(), ticket.started);
                match ticket.reply_to {
                    ReplyTo::Bus { topic, correlation_data, receipt } => {
                        replies.push(reply_message(topic, correlation_data, &reply));
                        receipts.extend(receipt);
                    }
                    // Whoever asked may have gone away; the outcome is stored all the same.
                    ReplyTo::Local(tx) => drop(tx.send(reply)),
                }
                commits.extend(commit);
            }
            self.metrics.batch.observe(commits.len() as f64);
            let Some(bus) = &self.bus else { continue };
            if !replies.is_empty() {
                bus.publish(replies).await?;
                self.metrics.reply.observe(took.elapsed().as_secs_f64());
            }
            // The outcome is stored and its reply on the way: the broker need not keep the command.
            receipts.into_iter().for_each(Receipt::done);
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
                self.watermark.handed(bus.flow().handed, last.number);
            }
            if written.elapsed() >= WATERMARK_EVERY {
                self.flush();
                written = Monotonic::now();
            }
        }
        self.flush();
        Ok(())
    }

    fn flush(&mut self) {
        let settled = self.bus.as_ref().map_or(0, |b| b.flow().settled);
        self.watermark.flush(settled);
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

/// One line a command. Refusals are worth an operator's look; what went well is told at level
/// `debug`, for whoever follows one command through the house.
fn told(context: Context, reply: &Reply, commit: Option<&StoredCommit>, started: Monotonic) {
    let head = commit.map(|c| &c.head);
    let text = |id: Option<&dyn std::fmt::Display>| id.map(ToString::to_string).unwrap_or_default();
    macro_rules! line {
        ($level:ident, $text:literal) => {
            tracing::$level!(
                target: "millwright::command",
                %context,
                command_id = text(reply.command_id.as_ref().map(|c| c as _)),
                correlation_id = text(head.and_then(|h| h.correlation_id.as_ref()).map(|c| c as _)),
                account = text(head.map(|h| &h.account as _)),
                command = head.map(|h| &*h.command_type).unwrap_or_default(),
                outcome = reply.status.as_str(),
                error = reply.error.as_ref().map(|e| e.code.as_str()).unwrap_or_default(),
                position = reply.position.map(|p| p.0),
                ms = started.elapsed().as_secs_f64() * 1e3,
                $text
            )
        };
    }
    match &reply.error {
        None => line!(debug, "command decided"),
        Some(e) if e.retryable => line!(warn, "command not decided"),
        Some(_) => line!(info, "command refused"),
    }
}

/// How far publishing has come: a hint, not a promise. Losing it means publishing more again.
pub struct Watermark {
    path: PathBuf,
    /// What the bus was given and the broker may not have yet: how much it had been given by then,
    /// and up to which commit that was.
    handed: VecDeque<(u64, CommitNumber)>,
}

impl Watermark {
    /// Kept at `dir/published`.
    pub fn new(dir: &Path) -> Self {
        Watermark { path: dir.join("published"), handed: VecDeque::new() }
    }

    /// The last commit that was published; 0 when nothing is known.
    pub fn read(&self) -> CommitNumber {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        CommitNumber(text.trim().parse().unwrap_or(0))
    }

    fn handed(&mut self, given: u64, up_to: CommitNumber) {
        match self.handed.back_mut() {
            Some(last) if last.0 == given => last.1 = up_to,
            _ => self.handed.push_back((given, up_to)),
        }
    }

    /// Notes the last commit whose messages need no second sending.
    fn flush(&mut self, settled: u64) {
        let mut done = None;
        while self.handed.front().is_some_and(|(given, _)| *given <= settled) {
            done = self.handed.pop_front();
        }
        let Some((_, n)) = done else { return };
        let tmp = self.path.with_extension("tmp");
        let done = std::fs::write(&tmp, n.to_string()).and_then(|()| std::fs::rename(&tmp, &self.path));
        if let Err(e) = done {
            tracing::warn!(path = %self.path.display(), error = %e, "can't note how far publishing has come");
        }
    }
}
