//! What the black-box tests share: the real program on free ports, real clients, and waiting for
//! a line, a reply or a position instead of sleeping.
//!
//! - [`System`]: one running `millwright up`, started, killed, started again.
//! - [`mosquitto`]: the mosquitto clients, both protocol versions.
//! - [`Http`]: curl's way into the API.
//! - [`mqtt`]: a client that shows every packet and does nothing on its own.
//! - [`Commands`]: a client that sends commands and knows what was acknowledged.
//! - [`story`]: the commands of an order's life.
//! - [`history`]: `millwright replay`, read.

pub mod commands;
pub mod history;
pub mod http;
pub mod mosquitto;
pub mod mqtt;
pub mod story;
pub mod system;

pub use commands::Commands;
pub use http::Http;
pub use system::{Ended, System, program};

/// The secret of every demo account.
pub const SECRET: &str = "millwright-demo";
/// The site of the demo.
pub const SITE: &str = "plant-1";
