//! The engine for tests: everything in memory, nothing on a disk, the same answers.

use std::collections::HashMap;
use std::sync::Arc;

use mw_contract::commit::{Head, NewCommit, Outcome, StoredCommit};
use mw_contract::{AccountName, CommandId, CommitNumber, Context, Position, StreamId, Version};
use parking_lot::RwLock;
use tokio::sync::watch;

use crate::error::LogError;
use crate::plan::{plan, reaches};
use crate::traits::{EventLog, StreamHead, Token};

#[derive(Default)]
struct Inner {
    commits: Vec<Arc<StoredCommit>>,
    streams: HashMap<StreamId, Vec<(Arc<StoredCommit>, usize)>>,
    commands: HashMap<(AccountName, CommandId), Arc<StoredCommit>>,
}

/// A log that is gone with its process.
pub struct MemoryLog {
    context: Context,
    inner: RwLock<Inner>,
    head: watch::Sender<Head>,
}

impl MemoryLog {
    /// An empty log of a context.
    pub fn new(context: Context) -> Self {
        MemoryLog { context, inner: RwLock::default(), head: watch::Sender::new(Head::default()) }
    }
}

impl EventLog for MemoryLog {
    fn context(&self) -> Context {
        self.context
    }

    fn append(&self, batch: Vec<NewCommit>) -> Result<Vec<Arc<StoredCommit>>, LogError> {
        let mut guard = self.inner.write();
        let inner = &mut *guard;
        let stored = plan(
            self.context,
            *self.head.borrow(),
            batch,
            |s| Ok(Version(inner.streams.get(s).map_or(0, |e| e.len() as u64))),
            |account, id| {
                let c = inner.commands.get(&(account.clone(), *id));
                Ok(c.filter(|c| !matches!(c.head.outcome, Outcome::Rejected(_))).map(|c| c.number))
            },
        )?;
        let stored: Vec<Arc<StoredCommit>> = stored.into_iter().map(Arc::new).collect();
        for c in &stored {
            for (i, e) in c.events.iter().enumerate() {
                inner.streams.entry(e.event.stream).or_default().push((c.clone(), i));
            }
            inner.commands.insert((c.head.account.clone(), c.head.command_id), c.clone());
            inner.commits.push(c.clone());
        }
        if let Some(last) = stored.last() {
            self.head.send_replace(last.head_after());
        }
        Ok(stored)
    }

    fn read(&self, from: CommitNumber, limit: usize) -> Result<Vec<Arc<StoredCommit>>, LogError> {
        let inner = self.inner.read();
        let start = usize::try_from(from.0.saturating_sub(1)).unwrap_or(usize::MAX).min(inner.commits.len());
        Ok(inner.commits[start..].iter().take(limit).cloned().collect())
    }

    fn read_stream(
        &self,
        stream: &StreamId,
        from: Version,
        limit: usize,
    ) -> Result<Vec<(Arc<StoredCommit>, usize)>, LogError> {
        let inner = self.inner.read();
        let Some(events) = inner.streams.get(stream) else { return Ok(Vec::new()) };
        let start = usize::try_from(from.0.saturating_sub(1)).unwrap_or(usize::MAX).min(events.len());
        Ok(events[start..].iter().take(limit).cloned().collect())
    }

    fn stream_head(&self, stream: &StreamId) -> Result<Option<StreamHead>, LogError> {
        let inner = self.inner.read();
        let last = inner.streams.get(stream).and_then(|e| e.last().map(|(c, _)| (e.len() as u64, c.number)));
        Ok(last.map(|(v, c)| StreamHead { version: Version(v), token: Token(c.0) }))
    }

    fn outcome(&self, account: &AccountName, id: &CommandId) -> Result<Option<Arc<StoredCommit>>, LogError> {
        Ok(self.inner.read().commands.get(&(account.clone(), *id)).cloned())
    }

    fn head(&self) -> Head {
        *self.head.borrow()
    }

    fn commit_of(&self, position: Position) -> Result<Option<CommitNumber>, LogError> {
        let inner = self.inner.read();
        let at = inner.commits.partition_point(|c| c.last_position < position);
        Ok(if position.0 == 0 { None } else { reaches(inner.commits[at..].iter().map(|c| &**c), position) })
    }

    fn subscribe(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }
}
