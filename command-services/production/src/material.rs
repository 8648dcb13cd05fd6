//! The material of an order, folded: asked for, set aside, issued, returned, used up (I3).

use mw_contract::Event;
use mw_contract::decide::EventMeta;

/// What is known of the material of an order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Material {}

impl Material {
    /// Folds one event of the order.
    pub(crate) fn fold(&mut self, _event: &Event, _meta: &EventMeta) {}
}
