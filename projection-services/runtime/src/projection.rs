//! The trait of a set of read models that share one file, and the errors of this crate.

use std::path::PathBuf;

use mw_contract::event::DecodeError;
use mw_contract::{CommitNumber, Event, Position, StoredCommit};
use mw_log::LogError;
use mw_log::quiet::GivesWay;
use rusqlite::Connection;

/// A set of read models in one SQLite file, fed by one context's log.
///
/// `apply` is a pure function of history: the same commits give the same rows, whatever the
/// batches were, so a file can be thrown away and built again. It must not look at a clock.
pub trait Projection: Send {
    /// The name of the file and of the model in `rebuild`.
    fn name(&self) -> &'static str;

    /// Raised with every change of tables or of what is written into them; a file of another
    /// version is built again.
    fn schema_version(&self) -> u32;

    /// How far it gives way to commands on a busy machine.
    fn gives_way(&self) -> GivesWay {
        GivesWay::Soon
    }

    /// Makes the tables, with nothing but what `apply` itself needs to find rows.
    fn create_tables(&self, conn: &Connection) -> rusqlite::Result<()>;

    /// Makes what queries need. A build from zero calls it after the rows are in.
    fn create_indexes(&self, conn: &Connection) -> rusqlite::Result<()>;

    /// Writes what one commit changes. `events` stand in the order of `commit.events`. Rows may be
    /// held back until [`Projection::finish`].
    fn apply(&mut self, tx: &Connection, commit: &StoredCommit, events: &[Event]) -> Result<(), ApplyError>;

    /// Writes what was held back; the transaction is committed next.
    fn finish(&mut self, tx: &Connection) -> Result<(), ApplyError>;

    /// The transaction was rolled back: drop whatever memory may run ahead of the file.
    fn forget(&mut self);
}

/// Why a commit could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// SQLite.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// History says something that can't be: an event of an order that was never made.
    #[error("{0}")]
    Impossible(String),
}

/// Why a projection stopped.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// An event of a type or form that this program can't read. It is never skipped.
    #[error("read model {name} stopped at position {position}: {source}")]
    Decode {
        /// Which read model.
        name: &'static str,
        /// Where the event stands.
        position: Position,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// A commit could not be applied.
    #[error("read model {name} stopped at commit {commit}, position {position}: {source}")]
    Apply {
        /// Which read model.
        name: &'static str,
        /// Which commit.
        commit: CommitNumber,
        /// The position of its last event.
        position: Position,
        /// What is wrong.
        source: ApplyError,
    },
    /// The log gave commits out of order.
    #[error("read model {name} expected commit {expected} and got {got}")]
    Gap {
        /// Which read model.
        name: &'static str,
        /// The one after the checkpoint.
        expected: CommitNumber,
        /// What came.
        got: CommitNumber,
    },
    /// SQLite, outside of a commit.
    #[error("{path}: {source}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The file system.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The log.
    #[error("read model {name}: {source}")]
    Log {
        /// Which read model.
        name: &'static str,
        /// What is wrong.
        source: LogError,
    },
    /// A worker ended before its time.
    #[error("read model {0} was interrupted")]
    Interrupted(&'static str),
}
