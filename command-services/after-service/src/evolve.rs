//! Folds the events of a ticket.

use mw_contract::decide::EventMeta;
use mw_contract::{Event, StreamId};

use crate::state::AfterServiceState;

/// Folds one event.
pub fn evolve(_: &mut AfterServiceState, _: &StreamId, _: &Event, _: &EventMeta) {}
