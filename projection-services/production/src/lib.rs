//! Read models of production: who may ask them is decided elsewhere, what they hide is decided here.
//! What the read models of every context share is in `mw-views`.
//!
//! A map of this crate, in reading order:
//!
//! - [`order`]: one work order folded from its events; the detail document. [`operation`] and
//!   [`material`] are parts of it.
//! - [`plant`]: machines, stock and produced units, as rows.
//! - [`columns`]: the one table of list columns: how they are stored, shown, filtered and sorted.
//! - [`parts`], [`rows`]: what belongs to an order and is found without its document.
//! - [`views`]: the projection: [`ProductionViews`].
//! - [`figures`]: KPIs and paretos, with a projection and a file of their own.
//! - [`read`]: the queries. Each takes the caller's scope and puts it into its SQL.
//!
//! The rows follow from history alone. Nothing here reads a clock, a socket or the log.

pub mod columns;
pub mod figures;
pub mod material;
pub mod operation;
pub mod order;
pub mod parts;
pub mod plant;
pub mod read;
pub mod rows;
pub mod views;

pub use figures::FigureViews;
pub use mw_views::{NeverOpens, TextOpener, TrailViews, inbox, trail, words};
pub use order::Order;
pub use views::ProductionViews;
