//! KPIs K-01 to K-20 and the paretos of production.
//!
//! What happened is kept as facts: intervals and moments with their place, each version with the
//! time at which it was recorded and the time at which another one took its place. A figure is
//! computed when it is asked for, as the facts stood at one recorded time; nothing is a running
//! total, so a correction changes what it must and any earlier revision can be computed again.
//!
//! - [`fact`]: what is kept, and how it is read. [`views`]: which event makes which fact.
//! - [`spans`], [`calendar`]: arithmetic of intervals; days, weeks, months and shifts of a site, as all
//!   figures have them. [`beside`]: what the figures and plans of after-service need of production.
//! - [`sums`]: from facts to time elements and counts. [`kpi`]: the formulas.
//! - [`report`]: groups, revisions, items. [`pareto`]: what costs most (RM-18). [`live`]: this hour and shift.

pub mod beside;
pub mod fact;
pub mod kpi;
pub mod live;
pub mod pareto;
pub mod report;
pub mod sums;
pub mod views;

pub use mw_figures::{calendar, spans};
pub use views::FigureViews;
