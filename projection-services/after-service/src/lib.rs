//! Read models of after-service: who may ask them is decided elsewhere, what they hide is decided here.
//! What the read models of every context share is in `mw-views`; production's are not known here.
//!
//! - [`figures`]: KPIs K-21 to K-34 and the paretos of faults, with a projection and a file of their
//!   own, in which [`plans`], [`parts_usage`] and [`trace`] keep their rows too.

pub mod figures;
pub mod parts_usage;
pub mod plans;
pub mod trace;

pub use figures::ServiceFigureViews;
