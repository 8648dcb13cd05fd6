//! How a log fails.

use std::path::PathBuf;
use std::sync::Arc;

use mw_contract::{AccountName, CommandId, CommitNumber, Position, StreamId, Version};

/// A failure of a log. It clones, because one failure ends many waiting calls.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// An event does not continue its stream.
    #[error("{stream}: expected version {expected}, but the stream is at {actual}")]
    Conflict {
        /// Which stream.
        stream: StreamId,
        /// The version after which the event was meant to come.
        expected: Version,
        /// Where the stream is.
        actual: Version,
    },
    /// The account's command has already been accepted; nothing of the batch was stored.
    #[error("command {command_id} of {account} is already in commit {commit}")]
    DuplicateCommand {
        /// Whose command.
        account: AccountName,
        /// Which command.
        command_id: CommandId,
        /// The commit that holds its first outcome; 0 when it stands earlier in the same batch.
        commit: CommitNumber,
    },
    /// A commit that no log may hold.
    #[error("a commit can't be stored: {0}")]
    Invalid(String),
    /// A stored record is torn, altered or out of order. It stays as it is.
    #[error("commit {commit} is damaged: {reason}")]
    Corrupt {
        /// Which commit, as its key says.
        commit: CommitNumber,
        /// What is wrong with it.
        reason: String,
    },
    /// A stored event that this program can't read.
    #[error("the event at position {position} can't be read: {reason}")]
    Undecodable {
        /// Which event.
        position: Position,
        /// Why.
        reason: String,
    },
    /// The log has lost commits that its signed checkpoint proves were there.
    #[error(
        "the log in {dir} ends at commit {have}, but its signed checkpoint {checkpoint} covers {signed}: \
         commits are missing, so it is not opened; restore a backup"
    )]
    Shorter {
        /// The log's directory.
        dir: PathBuf,
        /// The checkpoint file.
        checkpoint: PathBuf,
        /// The last commit found.
        have: CommitNumber,
        /// The last commit signed.
        signed: CommitNumber,
    },
    /// The log and its signed checkpoint contradict each other, or the checkpoint can't be trusted.
    #[error("checkpoint {path}: {reason}")]
    Checkpoint {
        /// The checkpoint or key file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Another process has it open.
    #[error("data directory in use: {0} is open in another process")]
    InUse(PathBuf),
    /// The disk said no.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: Arc<std::io::Error>,
    },
    /// The engine below failed.
    #[error("log engine in {dir}: {reason}")]
    Engine {
        /// The log's directory.
        dir: PathBuf,
        /// What it said.
        reason: String,
    },
    /// The disposable index failed; deleting its directory at rest makes it anew.
    #[error("log index {path}: {reason}")]
    Index {
        /// The index file.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
    /// A write failed earlier, so nothing more is stored or acknowledged.
    #[error("the log has stopped for good: {0}")]
    Stopped(String),
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
    /// A log in another process can't be read now.
    #[error("remote log: {0}")]
    Remote(String),
}

impl LogError {
    /// A stored event whose payload no decoder takes.
    pub fn undecodable(position: Position, reason: &dyn std::fmt::Display) -> Self {
        LogError::Undecodable { position, reason: reason.to_string() }
    }

    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> LogError {
        let path = path.into();
        move |e| LogError::Io { what, path, source: Arc::new(e) }
    }

    /// Did the caller ask for something that can't be stored, with the log itself unharmed?
    pub fn is_refusal(&self) -> bool {
        matches!(self, LogError::Conflict { .. } | LogError::DuplicateCommand { .. } | LogError::Invalid(_))
    }
}
