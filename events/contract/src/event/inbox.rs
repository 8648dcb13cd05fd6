//! Events of the conflict inbox. Frozen: a change is a new struct (`…V2`).

use bincode::{Decode, Encode};
use schemars::JsonSchema;
use serde::Serialize;

use super::SealedFields;
use super::work_order::{Each, events};
use crate::ids::ReasonCode;
use crate::text::Sealed;

events! {
    /// Somebody looked at an item and nothing needs to be done.
    InboxItemDismissedV1 [note] { reason: ReasonCode, note: Option<Sealed> }
}
