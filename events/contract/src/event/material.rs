//! Events of an order's material. Frozen: a change is a new struct (`…V2`).

use bincode::{Decode, Encode};
use schemars::JsonSchema;
use serde::Serialize;

use super::SealedFields;
use super::parts::*;
use super::work_order::{Each, events};
use crate::enums::ConsumptionSource;
use crate::ids::{EntityId, ItemId, ReasonCode};
use crate::qty::Qty;
use crate::text::Sealed;

events! {
    /// WO-21: the order asks stock for material.
    MaterialRequestedV1 { request_id: EntityId, lines: Vec<MaterialRequestV1> }

    /// WO-22: stock set it aside.
    MaterialReservedV1 { request_id: EntityId, lines: Vec<ReservationV1> }

    /// WO-22: stock did not have it.
    MaterialReservationFailedV1 { request_id: EntityId, lines: Vec<MissingMaterialV1> }

    /// WO-23, and whatever else ends the need: stock may give it to others.
    MaterialReservationReleasedV1 { reservations: Vec<ReservationV1> }

    /// WO-24: it went from stock to the order.
    MaterialIssuedV1 [note] {
        issue_id: EntityId,
        lines: Vec<IssuedV1>,
        over_issue_reason: Option<ReasonCode>,
        note: Option<Sealed>,
    }

    /// WO-25: it went back.
    MaterialReturnedV1 [note] {
        return_id: EntityId,
        lines: Vec<ReturnedV1>,
        reason: ReasonCode,
        note: Option<Sealed>,
    }

    /// WO-26: it was used up. Backflush bears the id of the report that it follows from.
    MaterialConsumedV1 {
        consumption_id: EntityId,
        op: Option<u16>,
        source: ConsumptionSource,
        lines: Vec<ConsumedV1>,
    }

    /// WO-33: the report that backflush follows from was corrected.
    MaterialConsumptionCorrectedV1 { consumption_id: EntityId, lines: Vec<ConsumptionChangeV1> }

    /// WO-27: another item may stand in for a line's.
    MaterialSubstituteApprovedV1 [note] {
        line_no: u16,
        substitute_item_id: ItemId,
        ratio: Qty,
        valid_qty: Option<Qty>,
        reason: ReasonCode,
        note: Option<Sealed>,
    }

    /// WO-18: more or less was issued than used and returned, and why. Stands before the closing.
    MaterialVarianceExplainedV1 { lines: Vec<ExplainedVarianceV1> }
}
