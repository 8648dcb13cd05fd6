//! The one error type of this crate. It speaks of files and stores and never of secrets.

use std::path::PathBuf;

/// Something of the machine failed: a disk, a store, the random source.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file of this service.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that is there but isn't what it should be.
    #[error("{path}: {reason}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The store of secrets.
    #[error("secret store: {0}")]
    Store(#[from] rusqlite::Error),
    /// Keys of data subjects can't be destroyed.
    #[error("vault: {0}")]
    Vault(#[from] mw_log::VaultError),
    /// argon2, signing or the random source failed.
    #[error("{0} failed")]
    Crypto(&'static str),
    /// A key set that can't be used.
    #[error("key set: {0}")]
    Keys(String),
    /// A stored event that can't be read.
    #[error("identity log, commit {commit}: {reason}")]
    Event {
        /// Where it stands.
        commit: u64,
        /// What is wrong.
        reason: String,
    },
    /// The log.
    #[error("identity log: {0}")]
    Log(String),
}

impl IdentityError {
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| IdentityError::File { path, source }
    }
}
