//! The way of a command through a command service: receive, deduplicate, decide, commit, reply,
//! publish. Generic over the business (`mw_contract::decide::Domain`).
//!
//! A map of this crate, in the order of a command's way:
//!
//! - [`bus`]: the one trait by which a service meets the others, and its two adapters: the
//!   in-process link and rumqttc over TCP or TLS. Service code can't tell which it has.
//! - [`inbox`]: messages become jobs; the sender is read from the topic, never from the payload.
//! - [`decider`]: duplicate, authorisation, existence, version, decision; runs on the log's
//!   writer thread, in order.
//! - [`outbox`]: after the batch is durable: replies, events, wake-up, in that order.
//! - [`service`]: puts the parts together and runs them.
//! - [`remote_log`]: a log read over MQTT: the server beside the log, and the `LogReader` elsewhere.
//! - [`ask`]: what services ask each other.
//! - [`clock`], [`metrics`]: what they say.
//!
//! This crate must never know what a work order or a ticket is, and never answer before a commit
//! is on stable storage.

pub mod ask;
pub mod bus;
pub mod clock;
pub mod decider;
pub mod inbox;
pub mod metrics;
pub mod outbox;
pub mod remote_log;
pub mod service;

use std::sync::Arc;

pub use bus::{Bus, BusError, Flow, Inbound, Outbound, Receipt};
pub use clock::{BusinessClock, Clock};
use mw_contract::{AccountName, CellId, SiteId};
pub use service::{CommandService, Parts, RuntimeError};

/// The service's own copy of the accounts.
pub trait Accounts: Send + Sync + 'static {
    /// The account as it is now; `None` when there is none of that name.
    fn account(&self, name: &AccountName) -> Option<Arc<mw_policy::Account>>;

    /// The account that speaks for a cell of a site; of several, the one that comes first by name.
    fn device_of(&self, _: &SiteId, _: &CellId) -> Option<AccountName> {
        None
    }
}
