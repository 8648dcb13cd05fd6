//! The MQTT front door: every byte of a client passes here, rumqttd's router moves the messages.
//!
//! A map of this crate, in the order in which a connection meets it:
//!
//! - [`config`]: what the broker is told, and the bounds of all that a socket can make grow.
//! - [`auth`]: what the broker asks of identity.
//! - `broker`: the parts put together; start, links, kicks, shutdown, watchdog.
//! - `listener`: accept, TLS, the connection limit.
//! - `codec`: MQTT 3.1.1 and 5 from and to bytes, strictly.
//! - `registry`: who holds which client id, and the sessions that outlive their connection.
//! - `session`: one task a connection. `connect` opens it, `inbound` acts on packets, `publish`
//!   on messages, `subscribe` on filters, `outbound` delivers, `mod` turns the wheel.
//! - `retained`: the last message of each topic that was said to be kept, in memory; `disk` below it
//!   writes.
//! - `will`: what is said for those who left badly.
//! - `limits`: counts per account. `control`: the mailbox of a connection's task.
//! - `command` and `withheld`: acknowledgements that wait for a stored outcome.
//! - `envelope`, `router`, `link`, `props_out`: the way into the router and out of it.
//! - [`metrics`]: what is counted.
//!
//! Nothing that a client sends may panic here, block another client or grow memory without a
//! bound, and no byte of a client reaches a codec of the router.

pub mod auth;
mod broker;
mod codec;
mod command;
pub mod config;
mod control;
mod envelope;
mod limits;
mod link;
mod listener;
pub mod metrics;
mod props_out;
mod registry;
mod retained;
mod router;
mod session;
mod will;
mod withheld;

pub use auth::{AuthFailure, Authenticator, Principal};
pub use broker::Broker;
pub use config::{BrokerConfig, BrokerError, Limits};
pub use link::{LinkError, LinkReceiver, LinkSender, LocalLink, Message, Publish};
pub use metrics::Metrics;
pub use router::LinkClosed;
