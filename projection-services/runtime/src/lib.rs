//! What every projection service shares: history in, SQLite rows out.
//!
//! A map of this crate, in reading order:
//!
//! - [`projection`]: the trait that a set of read models implements, and what can go wrong.
//! - [`files`]: where a read model lies on disk, and how one file takes the place of another.
//! - [`writer`]: one open read model: rows and checkpoint change in one transaction.
//! - [`service`]: follows the log, builds from zero beside the live file, switches.
//! - [`view`]: read-only access for queries.
//! - [`diff`]: do two files hold the same rows?
//! - [`memory`]: the rows of one stream at an earlier moment.
//!
//! A read model is disposable: whatever is wrong with its file, it is built again from commit 1.
//! This crate must never write to the log, skip an event, or know what the rows mean.

pub mod diff;
pub mod files;
pub mod memory;
pub mod projection;
pub mod service;
pub mod view;
pub mod writer;

pub use diff::{TableDiff, diff};
pub use files::Files;
pub use mw_log::quiet::GivesWay;
pub use projection::{ApplyError, Projection, ProjectionError};
pub use service::{Factory, Handle, Progress, Service, State, service};
pub use view::{View, ViewError};
pub use writer::{BATCH, Writer};
