//! The HTTPS query API.
//!
//! A map of this crate, in the order of a request's way:
//!
//! - [`server`]: TLS, timeouts, limits; start and end.
//! - [`routes`]: the one table of routes. The router, the OpenAPI document and the refusal of
//!   unknown parameters all follow from it.
//! - [`identity`]: what the API asks of identity, and who calls.
//! - [`params`]: query parameters, read strictly; cursors.
//! - [`models`]: the read models behind the queries: connections, waiting for a position.
//! - [`texts`]: sealed text for readers in scope, opened here or in another process.
//! - [`work_orders`], [`lists`], [`boards`], [`inbox`], [`figures`], [`plant`], [`commands`], [`audit`], [`token`],
//!   [`ops`], [`docs`]: the handlers. [`tickets`], [`service`], [`maintenance`], [`my`]: those of
//!   after-service.
//! - [`trail`]: the history of one thing.
//! - [`past`]: documents as they were, and what changed between two versions.
//! - [`openapi`]: the API's description of itself. [`asyncapi`]: that of MQTT.
//! - [`health`]: the plain listener of a service that runs alone.
//! - [`metrics`]: what is counted.
//! - [`problem`]: every error, as RFC 9457 has it.
//!
//! This crate only reads. What a caller may see is decided by `mw_policy` and enforced in the SQL
//! of the queries; nothing here widens it.

pub mod asyncapi;
pub mod audit;
pub mod boards;
pub mod commands;
pub mod docs;
pub mod figures;
pub mod health;
pub mod identity;
pub mod inbox;
pub mod lists;
pub mod maintenance;
mod merge;
pub mod metrics;
pub mod models;
pub mod my;
pub mod openapi;
pub mod ops;
pub mod params;
pub mod past;
pub mod plant;
pub mod problem;
pub mod routes;
pub mod server;
pub mod service;
pub mod texts;
pub mod ticket_schemas;
pub mod tickets;
pub mod token;
pub mod trail;
pub mod work_orders;

pub use identity::{Identity, TokenAnswer, TokenForm, TokenRefusal};
pub use metrics::Metrics;
pub use models::Models;
pub use server::{Api, ApiConfig, ApiError, start};
pub use texts::{Opened, RemoteTexts, Texts, Vaults};
