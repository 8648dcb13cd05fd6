//! Read models of after-service: who may ask them is decided elsewhere, what they hide is decided here.
//! What the read models of every context share is in `mw-views`; production's are not known here.
//!
//! A map of this crate, in reading order:
//!
//! - [`ticket`]: one ticket folded from its events, with its clocks; the detail document.
//! - [`seal`]: sealed text inside a stored document.
//! - [`columns`]: how a ticket's row is stored.
//! - [`business`]: business time inside SQL.
//! - [`views`]: the projection, [`AfterServiceViews`].
//! - [`read`]: the queries. Each takes the caller's scope and puts it into its SQL.
//! - [`figures`]: KPIs K-21 to K-34 and the paretos of faults, with a projection and a file of their
//!   own, in which [`plans`], [`parts_usage`] and [`trace`] keep their rows too.
//!
//! The rows follow from history alone. What depends on the clock is counted when somebody asks.

pub mod business;
pub mod columns;
pub mod figures;
pub mod parts_usage;
pub mod plans;
pub mod read;
pub mod seal;
pub mod ticket;
pub mod trace;
pub mod views;

pub use figures::ServiceFigureViews;
pub use views::AfterServiceViews;
