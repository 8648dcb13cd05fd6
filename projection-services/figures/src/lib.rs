//! What the figures of every context are made with, and what they have in common.
//!
//! A map of this crate, in reading order:
//!
//! - [`spans`]: arithmetic of intervals. [`calendar`]: days, weeks, months and shifts of a site.
//! - [`documents`]: every version of the reference data that figures need.
//! - [`question`]: what is asked, how it is grouped, and how an item of the answer looks.
//! - [`number`]: ratios, medians, and how numbers are written.
//! - [`given`]: what one context tells the figures of another.
//!
//! The contexts' own crates know their facts and formulas. Nothing here reads a clock or a socket.

pub mod calendar;
pub mod documents;
pub mod given;
pub mod number;
pub mod question;
pub mod spans;

/// The end of what has not ended, and the end of a version that nothing took the place of.
pub const OPEN: i64 = i64::MAX;
