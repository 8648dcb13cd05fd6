//! What the black-box tests share: the real program on free ports, real clients, and waiting for
//! a line, a reply or a position instead of sleeping.
//!
//! - [`System`]: a running system, started, killed, started again: `up`, its services in processes of
//!   their own, or in containers ([`compose`]).
//! - [`load`]: clients that run orders under faults and keep book, and the check of what is left.
//! - [`mosquitto`]: the mosquitto clients, both protocol versions.
//! - [`Http`]: curl's way into the API.
//! - [`mqtt`]: a client that shows every packet and does nothing on its own.
//! - [`Commands`]: a client that sends commands and knows what was acknowledged.
//! - [`story`]: the commands of an order's life.
//! - [`service`]: the people of the service department, and the commands of a ticket's life.
//! - [`history`]: `millwright replay`, read.

pub mod commands;
pub mod compose;
pub mod history;
pub mod http;
pub mod load;
pub mod mosquitto;
pub mod mqtt;
pub mod process;
pub mod service;
pub mod story;
pub mod system;

pub use commands::Commands;
pub use http::Http;
pub use system::{Ended, System, program};

/// The secret of every demo account.
pub const SECRET: &str = "millwright-demo";
/// The site of the demo.
pub const SITE: &str = "plant-1";
