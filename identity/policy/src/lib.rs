//! The one access policy: who may publish, subscribe, command and read.
//!
//! A map of this crate, in reading order:
//!
//! - [`account`]: what the policy knows of whoever asks.
//! - [`topics`]: which topics an account may publish to and which filters it may subscribe.
//! - [`commands`]: the table of roles and commands, and the backdating windows.
//! - [`queries`]: which part of the read side an account sees.
//!
//! The broker, the command runtime and the query API all ask here and nowhere else, so that an
//! account means the same at every door. Everything is a pure function of its arguments: this
//! crate must never read a clock, hold state, or know of sockets, files or JSON.

pub mod account;
pub mod commands;
pub mod queries;
pub mod topics;

pub use account::{Access, Account};
pub use commands::{Allowance, Grant, Setting, backdate_window, command_rule, may_command};
pub use queries::{Route, Scope, Sites, query_scope};
pub use topics::{may_publish, may_subscribe};
