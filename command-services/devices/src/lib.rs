//! What machines say on their own topics, made into commands of production.
//!
//! A map of this crate, in the order of a message's way:
//!
//! - [`reading`]: a payload of `dev/{cell}/…`, read.
//! - [`sampler`]: which readings are worth a command. Raw telemetry never is.
//! - [`watch`]: the equipment that is registered, as production's log says, and who is silent.
//! - [`feed`]: listens, sends the commands, and reports machines that fell silent.
//!
//! The broker lets nobody but a cell's own device account publish below its topic, so a command is
//! attributed to that account. Messages here are not withheld until they are stored: a device that
//! must not lose anything sends commands.

pub mod feed;
pub mod reading;
pub mod sampler;
pub mod watch;

pub use feed::{Feed, Metrics};
