//! What happened, what was asked, and how both are written down.
//!
//! A map of this crate, in reading order:
//!
//! - [`ids`], [`qty`], [`money`], [`time`], [`text`], [`enums`]: the words that everything else is spelled with.
//! - [`topics`]: the one place that knows how an MQTT topic is built and read.
//! - [`command`]: the envelope of a command and the payload of every command type.
//! - [`event`]: the frozen structs of every event type and version, and the registry that
//!   encodes, decodes and upcasts them.
//! - [`reference`](mod@reference): the documents of reference data (products, routings, catalogues …).
//! - [`commit`]: the unit of history: one decided command with its outcome and its events.
//! - [`decide`]: what a pure decider is given and gives back; [`rules`]: the general rules that all of them share.
//! - [`subject`]: whose personal data a sealed text is.
//! - [`reply`]: what the sender hears; the table of error codes.
//! - [`cloud`]: the CloudEvents form of a stored event.
//!
//! This crate owns shapes and codecs. It must never read a clock, open a file or a socket, or
//! decide anything about the business.

#[macro_use]
mod macros;

pub mod cloud;
pub mod command;
pub mod commit;
pub mod decide;
pub mod enums;
pub mod event;
pub mod ids;
pub mod money;
pub mod qty;
pub mod reference;
pub mod reply;
pub mod rules;
pub mod subject;
pub mod text;
pub mod time;
pub mod topics;
pub mod wire;

pub use command::{Command, CommandEnvelope, CommandType};
pub use commit::{CommitHead, CommitNumber, Head, NewCommit, NewEvent, Outcome, StoredCommit, StoredEvent};
pub use enums::*;
pub use event::{Event, EventType};
pub use ids::*;
pub use money::Money;
pub use qty::{Change, Number, Percent, Qty};
pub use reply::{ErrorCode, FieldError, Rejection, Reply, ReplyStatus, Warning};
pub use subject::DataSubject;
pub use text::{Sealed, Text};
pub use time::{Date, Instant, Seconds};
