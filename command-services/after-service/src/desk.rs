//! What spans tickets: numbers, dedupe keys, who is at work, who is expected where, what stands open.
//!
//! Owns their compact form. It must never refuse anything; rules read from it.

use mw_contract::decide::EventMeta;
use mw_contract::{Event, StreamId};

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Desk {}

impl Desk {
    /// Folds one event in.
    pub fn learn(&mut self, _: &StreamId, _: &Event, _: &EventMeta) {}
}
