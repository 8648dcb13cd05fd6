//! After-service's own copy of what production knows, so that a ticket is decided without asking
//! anybody.
//!
//! A map of this crate, in reading order:
//!
//! - [`tables`]: the tables, and what an event of production changes in them.
//! - [`documents`]: reference data, in memory.
//! - [`store`]: the one file; rows and checkpoint change in one transaction.
//! - [`copy`]: what decisions read ([`mw_after_service::known::Known`]).
//! - [`service`]: follows production's log.
//!
//! Everything follows from that log, in this process or another, so the file may be deleted: it is
//! built again. This crate must never write to a log, decide anything, or stop the service whose
//! decisions it serves: a log that can't be read is tried again, and what was known stays known.

pub mod copy;
pub mod documents;
pub mod service;
pub mod store;
pub mod tables;

pub use copy::ProductionCopy;
pub use service::{Handle, Progress, Service, start};
pub use store::Store;

/// Why the copy can't be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum KnownError {
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
}
