//! Durable appends: the log beside a plain file, in turns.
//!
//! The plain file is the floor of what the disk can do: filled with zeros beforehand, so that a
//! sync need not grow it, and written with the same number of bytes an event.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use crossbeam_channel::{Receiver, Sender, bounded};
use mw_contract::commit::{CommitHead, Head, NewCommit, NewEvent, Outcome, StoredCommit};
use mw_contract::{AccountName, AggregateId, AggregateKind, CommandId, EventId, Instant, StreamId, Version};
use uuid::Uuid;

use crate::commit_writer::{Completion, Decider, Decision, Writer};
use crate::error::LogError;
use crate::traits::EventLog;

/// What one round measured.
#[derive(Clone, Debug, Default)]
pub struct Round {
    /// Events that were made durable.
    pub events: u64,
    /// In this time.
    pub took: Duration,
    /// One for each event: from handing it over to knowing that it is durable.
    pub latencies: Vec<Duration>,
}

impl Round {
    /// Events a second.
    pub fn per_second(&self) -> f64 {
        self.events as f64 / self.took.as_secs_f64().max(1e-9)
    }

    /// The latency below which the given share (0 to 1) of the events stayed.
    pub fn quantile(&self, q: f64) -> Duration {
        quantile(&mut self.latencies.clone(), q)
    }
}

/// The value below which the share `q` (0 to 1) of the values lies; zero of none.
pub fn quantile(values: &mut [Duration], q: f64) -> Duration {
    if values.is_empty() {
        return Duration::ZERO;
    }
    values.sort_unstable();
    let at = (q * (values.len() - 1) as f64).round() as usize;
    values[at.min(values.len() - 1)]
}

/// A commit with one event of `bytes` payload bytes, the first of its own stream.
pub fn commit_of(bytes: usize) -> NewCommit {
    let now = Instant::clamped(1_772_442_000_000);
    let id = Uuid::now_v7();
    let stream = StreamId::new(AggregateKind::WorkOrder, AggregateId(id));
    NewCommit {
        head: CommitHead {
            command_id: CommandId(Uuid::now_v7()),
            command_type: "work-order.note".into(),
            account: AccountName::new("bench").unwrap_or_else(|_| unreachable!("a valid name")),
            role: None,
            site: None,
            payload_hash: [7; 32],
            aggregate_id: Some(stream.id),
            version: Version(1),
            recorded_at: now,
            occurred_at: now,
            device: None,
            correlation_id: None,
            causation_id: None,
            outcome: Outcome::Accepted,
            warnings: Vec::new(),
        },
        events: vec![NewEvent {
            stream,
            version: Version(1),
            event_id: EventId(Uuid::now_v7()),
            event_type: "WorkOrderNoted".into(),
            schema: 1,
            occurred_at: now,
            late: false,
            payload: vec![0x5a; bytes],
        }],
    }
}

struct Plain;

impl Decider for Plain {
    type Job = (NewCommit, Clock);
    type Ticket = Clock;

    fn decide(&mut self, (commit, since): Self::Job, _: Head) -> Decision<Clock> {
        Decision::Commit(commit, since)
    }
}

struct Told(Sender<Result<Duration, LogError>>);

impl Completion<Clock> for Told {
    fn durable(&mut self, batch: Vec<(Option<Arc<StoredCommit>>, Clock)>) {
        for (_, since) in batch {
            // Nobody listens any more when the round is over.
            let _ = self.0.send(Ok(since.elapsed()));
        }
    }

    fn failed(&mut self, _: Vec<Clock>, why: &LogError) {
        let _ = self.0.send(Err(why.clone()));
    }
}

/// Appends for as long as `time` through the group-commit writer, `in_flight` at once.
pub fn log_round(log: Arc<dyn EventLog>, in_flight: usize, bytes: usize, time: Duration) -> Result<Round, LogError> {
    let (told, done): (_, Receiver<Result<Duration, LogError>>) = bounded(in_flight * 2 + 256);
    let writer = Writer::spawn(log, Plain, Told(told), in_flight);
    let mut round = Round::default();
    let start = Clock::now();
    let stopped = || LogError::Stopped("the writer has ended".into());
    let submit = || writer.submit((commit_of(bytes), Clock::now())).map_err(|_| stopped());
    for _ in 0..in_flight {
        submit()?;
    }
    let mut open = in_flight;
    while open > 0 {
        round.latencies.push(done.recv().map_err(|_| stopped())??);
        open -= 1;
        if start.elapsed() < time {
            submit()?;
            open += 1;
        }
    }
    round.took = start.elapsed();
    round.events = round.latencies.len() as u64;
    writer.close()?;
    Ok(round)
}

/// Writes and syncs for as long as `time`, `in_flight` events of `bytes` a sync, into a file of
/// zeros at `path`, which is removed afterwards.
pub fn file_round(path: &Path, in_flight: usize, bytes: usize, time: Duration) -> io::Result<Round> {
    const SIZE: u64 = 64 * 1024 * 1024;
    let file = File::options().create(true).truncate(true).write(true).open(path)?;
    let zeros = vec![0u8; 1024 * 1024];
    for i in 0..SIZE / zeros.len() as u64 {
        file.write_all_at(&zeros, i * zeros.len() as u64)?;
    }
    file.sync_all()?;
    let event = vec![0x5au8; in_flight * bytes];
    let mut round = Round::default();
    let mut at = 0;
    let start = Clock::now();
    while start.elapsed() < time {
        let since = Clock::now();
        if at + event.len() as u64 > SIZE {
            at = 0;
        }
        file.write_all_at(&event, at)?;
        file.sync_data()?;
        at += event.len() as u64;
        round.latencies.extend(std::iter::repeat_n(since.elapsed(), in_flight));
    }
    round.took = start.elapsed();
    round.events = round.latencies.len() as u64;
    std::fs::remove_file(path)?;
    Ok(round)
}
