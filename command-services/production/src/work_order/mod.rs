//! The commands of a work order, one file a command or small family: its rules, its events, its
//! tests. Each `decide` checks in the order role, existence, state, rules by number.

pub mod amend;
pub mod cancel;
pub mod close;
pub mod complete;
pub mod complete_operation;
pub mod create;
pub mod hold;
pub mod note;
pub mod pause_operation;
pub mod plan;
pub mod release;
pub mod report;
pub mod serials;
pub mod start_operation;
pub mod unit;
