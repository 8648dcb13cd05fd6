//! Where what happened is kept.
//!
//! A map of this crate, in reading order:
//!
//! - [`traits`]: what a log is ([`EventLog`]) and what a reader of one sees ([`LogReader`]);
//!   [`error`] is how either fails.
//! - [`frame`]: a commit as bytes, in the log and between processes.
//! - [`plan`](mod@plan): the rules that every engine applies to a batch before it stores it.
//! - [`memory`]: the engine for tests; [`sled_log`]: the durable one, with its guards around sled,
//!   its disposable index and its signed head.
//! - [`commit_writer`]: the one writer of a context: decides a batch while the one before it syncs.
//! - [`merkle`], [`checkpoint`]: the proof that history was not rewritten; [`verify`] checks it.
//! - `guarded`: sled, kept from losing what it was given; [`named_values`]: a few durable values by
//!   name, for services that keep small things beside a log.
//! - [`vault`]: the keys of data subjects.
//! - [`quiet`]: threads that give way to those who sync.
//! - [`bench`]: durable appends beside a plain file.
//!
//! This crate owns bytes on disk and their order. It must never look into a payload, decide
//! anything about the business, or say that something is stored before it is.

pub mod bench;
pub mod checkpoint;
pub mod commit_writer;
pub mod error;
mod files;
pub mod frame;
mod guarded;
pub mod memory;
pub mod merkle;
pub mod named_values;
pub mod plan;
pub mod quiet;
pub mod sled_log;
pub mod traits;
pub mod vault;
pub mod verify;

pub use checkpoint::{Checkpoint, CheckpointKey, VerifyingKey};
pub use commit_writer::{Completion, Decider, Decision, Stopped, Took, TrySubmit, Writer};
pub use error::LogError;
pub use memory::MemoryLog;
pub use named_values::NamedValues;
pub use sled_log::{AtRest, Durability, OpenOptions, SledLog};
pub use traits::{EventLog, LocalReader, LogReader, StreamHead, Token};
pub use vault::{Vault, VaultError};
