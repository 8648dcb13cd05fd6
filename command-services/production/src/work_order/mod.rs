//! The commands of a work order, one file a command or small family: its rules, its events, its
//! tests. Each `decide` checks in the order role, existence, state, rules by number.

pub mod amend;
pub mod assign;
pub mod cancel;
pub mod change;
pub mod change_quantity;
pub mod close;
pub mod complete;
pub mod complete_operation;
pub mod correct_report;
pub mod correct_session;
pub mod create;
pub mod hold;
pub mod link;
pub mod lot;
pub mod note;
pub mod pause_operation;
pub mod plan;
pub mod release;
pub mod reopen;
pub mod report;
pub mod reschedule;
pub mod revoke_release;
pub mod routing;
pub mod serials;
pub mod short_close;
pub mod start_operation;
pub mod unit;
pub mod unplan;
pub mod void_serial;
