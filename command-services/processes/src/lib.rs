//! Process managers: events in, commands out.
//!
//! A map of this crate, in reading order:
//!
//! - [`manager`]: the trait of a process manager, and what it is given.
//! - [`outbox`]: the commands that wait for their outcome, and the ids of those that have one.
//! - [`timers`]: what falls due at a moment of business time.
//! - [`facts`]: what several managers know of orders, sessions and reference data.
//! - [`tickets`], [`units`]: what several managers know of tickets and of produced units.
//! - [`managers`]: the managers, one file each.
//! - [`store`]: the one file of them all; state, timers, outbox and checkpoints change in one
//!   transaction.
//! - [`feed`]: reads one log. [`service`]: works on what was read, fires timers, sends.
//! - [`metrics`]: what it counts.
//!
//! Everything follows from the logs of production and after-service: their events, and the outcomes
//! of the commands sent here, which are commits of the log of the command's context. So the file may
//! be deleted: it is built again without sending anything, and then only what has no outcome is sent.
//! The logs have no common order, and nothing here may depend on which of them was read first.
//! This crate must never decide a rule of the business, or act on anything but those logs and the
//! clock.

pub mod facts;
pub mod feed;
pub mod manager;
pub mod managers;
pub mod metrics;
pub mod outbox;
pub mod service;
pub mod store;
pub mod tickets;
pub mod timers;
pub mod units;

pub use metrics::Metrics;
pub use service::{Followed, Handle, Parts, Progress, Service, start};
pub use store::Store;

/// The account that the managers act as.
pub const ACCOUNT: &str = "processes";

/// Why the process managers stop.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// SQLite.
    #[error("{path}: {source}", path = path.display())]
    Sqlite {
        /// The file.
        path: std::path::PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The file system.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file or directory.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The bus.
    #[error(transparent)]
    Bus(#[from] mw_runtime::BusError),
    /// The log gave another commit than the next one.
    #[error("commit {expected} was expected, the log of {context} gave {got}")]
    Gap {
        /// Whose log.
        context: mw_contract::Context,
        /// What comes next.
        expected: mw_contract::CommitNumber,
        /// What came.
        got: mw_contract::CommitNumber,
    },
    /// The work was given up because the process ends.
    #[error("the process managers were interrupted")]
    Interrupted,
}
