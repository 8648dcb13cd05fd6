//! The inspections and nonconformances of an order, folded.

use mw_contract::Event;
use mw_contract::decide::EventMeta;

/// What is known of the quality of an order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quality {}

impl Quality {
    /// Folds one event of the order.
    pub(crate) fn fold(&mut self, _event: &Event, _meta: &EventMeta) {}
}
