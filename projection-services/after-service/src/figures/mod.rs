//! KPIs K-21 to K-34 and the paretos of faults.
//!
//! As in production what happened is kept as facts, each version with the time at which it was
//! recorded and the time at which another one took its place; a figure is computed when it is
//! asked for. Figures of tickets look far: whether a fault came back within 30 days, and what was
//! claimed in the first 12 months. So revisions are counted for each KPI by itself.
//!
//! - [`fact`]: what is kept, and how it is read. [`case`]: a ticket folded as far as facts need it.
//!   [`views`]: which event makes which fact.
//! - [`sums`]: from facts to counts and times. [`kpi`]: the formulas.
//! - [`report`]: groups, revisions, items. [`pareto`]: which faults there are most of (RM-18).
//!
//! A figure never names a person, and none is of one person alone.

pub mod case;
pub mod fact;
pub mod kpi;
pub mod pareto;
pub mod report;
pub mod sums;
pub mod views;

pub use views::ServiceFigureViews;
