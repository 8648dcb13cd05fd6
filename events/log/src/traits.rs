//! What a log is to the one that writes it, and to those that read it.

use std::sync::Arc;

use async_trait::async_trait;
use mw_contract::commit::{Head, NewCommit, StoredCommit};
use mw_contract::{AccountName, CommandId, CommitNumber, Context, Position, StreamId, Version};
use tokio::sync::watch;

use crate::error::LogError;

/// An engine's own proof of where a stream stands, passed back unread. (Here the commit of the
/// stream's last event; in a message broker the sequence of the subject's last message.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token(pub u64);

/// Where a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamHead {
    /// Its last version.
    pub version: Version,
    /// The engine's token for that version.
    pub token: Token,
}

/// The log of one context. Blocking and safe to share between threads.
///
/// What `read`, `read_stream`, `outcome` and `head` show is on stable storage.
pub trait EventLog: Send + Sync + 'static {
    /// Whose log it is.
    fn context(&self) -> Context;

    /// Stores one batch, all or nothing; it is on stable storage when this returns `Ok`.
    ///
    /// Numbers and positions are given here. An event's version must continue its stream
    /// ([`LogError::Conflict`]), and a command that was accepted before is not stored again
    /// ([`LogError::DuplicateCommand`]). After any failure but a refusal the engine stores nothing more.
    fn append(&self, batch: Vec<NewCommit>) -> Result<Vec<Arc<StoredCommit>>, LogError>;

    /// Commits from number `from` on, in order: at most `limit`, fewer when they grow over about
    /// 4 MiB, at least one while there is one. Empty means that there is nothing at `from` yet.
    fn read(&self, from: CommitNumber, limit: usize) -> Result<Vec<Arc<StoredCommit>>, LogError>;

    /// Events of one stream from version `from` on: each as its commit and its index in
    /// `commit.events`. At most `limit`; fewer than that means that the stream ends there.
    fn read_stream(
        &self,
        stream: &StreamId,
        from: Version,
        limit: usize,
    ) -> Result<Vec<(Arc<StoredCommit>, usize)>, LogError>;

    /// Where a stream stands; `None` when it has no event.
    fn stream_head(&self, stream: &StreamId) -> Result<Option<StreamHead>, LogError>;

    /// The newest commit of a command of an account.
    fn outcome(&self, account: &AccountName, id: &CommandId) -> Result<Option<Arc<StoredCommit>>, LogError>;

    /// The last commit and position that are on stable storage.
    fn head(&self) -> Head;

    /// The commit that holds the event at `position`; `None` beyond the head and for position 0.
    fn commit_of(&self, position: Position) -> Result<Option<CommitNumber>, LogError>;

    /// Follows the head. The channel closes when the log does.
    fn subscribe(&self) -> watch::Receiver<Head>;
}

/// What a projection or another service sees of a log, in this process or another.
#[async_trait]
pub trait LogReader: Send + Sync + 'static {
    /// Whose log it is.
    fn context(&self) -> Context;

    /// Like [`EventLog::read`].
    async fn read(&self, from: CommitNumber, limit: usize) -> Result<Vec<Arc<StoredCommit>>, LogError>;

    /// Like [`EventLog::head`].
    async fn head(&self) -> Result<Head, LogError>;

    /// Resolves when the log has, or may have, something beyond `seen`.
    async fn wait(&self, seen: CommitNumber) -> Result<(), LogError>;

    /// The head as far as it was last heard of, without asking: for metrics.
    fn known_head(&self) -> Head {
        Head::default()
    }
}

/// Reads a log of this process.
pub struct LocalReader(pub Arc<dyn EventLog>);

#[async_trait]
impl LogReader for LocalReader {
    fn context(&self) -> Context {
        self.0.context()
    }

    async fn read(&self, from: CommitNumber, limit: usize) -> Result<Vec<Arc<StoredCommit>>, LogError> {
        if from > self.0.head().commit {
            return Ok(Vec::new());
        }
        let log = self.0.clone();
        match tokio::task::spawn_blocking(move || log.read(from, limit)).await {
            Ok(r) => r,
            Err(e) => Err(LogError::Remote(format!("reading was interrupted: {e}"))),
        }
    }

    async fn head(&self) -> Result<Head, LogError> {
        Ok(self.0.head())
    }

    fn known_head(&self) -> Head {
        self.0.head()
    }

    async fn wait(&self, seen: CommitNumber) -> Result<(), LogError> {
        match self.0.subscribe().wait_for(|h| h.commit > seen).await {
            Ok(_) => Ok(()),
            Err(_) => Err(LogError::Closed),
        }
    }
}
