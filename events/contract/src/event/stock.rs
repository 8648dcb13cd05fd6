//! Events of stock. Frozen: a change is a new struct (`…V2`). Each holds what is there after it.

use bincode::{Decode, Encode};
use schemars::JsonSchema;
use serde::Serialize;

use super::SealedFields;
use super::work_order::{Each, events};
use crate::enums::MaterialCondition;
use crate::ids::{AccountName, AggregateId, Code, EntityId, ItemId, ReasonCode, SiteId};
use crate::qty::Qty;
use crate::text::{Sealed, Text};

events! {
    /// ST-01: material came in.
    StockReceivedV1 {
        item_id: ItemId,
        location: Code,
        lot: Option<Text<40>>,
        site_id: SiteId,
        qty: Qty,
        serials: Vec<Text<60>>,
        reference: Option<Text<60>>,
        on_hand: Qty,
    }

    /// ST-02: a part of it is kept for somebody.
    StockReservedV1 {
        item_id: ItemId,
        location: Code,
        lot: Option<Text<40>>,
        reservation_id: EntityId,
        /// What was asked for.
        asked: Qty,
        qty: Qty,
        work_order_id: Option<AggregateId>,
        line_no: Option<u16>,
    }

    /// ST-03: it is free again.
    StockReservationReleasedV1 {
        item_id: ItemId,
        location: Code,
        lot: Option<Text<40>>,
        reservation_id: EntityId,
        qty: Qty,
    }

    /// ST-04: it went out.
    StockIssuedV1 {
        item_id: ItemId,
        location: Code,
        lot: Option<Text<40>>,
        qty: Qty,
        serials: Vec<Text<60>>,
        reservation_id: Option<EntityId>,
        work_order_id: Option<AggregateId>,
        on_hand: Qty,
    }

    /// ST-05: it came back. Only good material is on hand again.
    StockReturnedV1 {
        item_id: ItemId,
        location: Code,
        lot: Option<Text<40>>,
        site_id: SiteId,
        qty: Qty,
        serials: Vec<Text<60>>,
        condition: MaterialCondition,
        work_order_id: Option<AggregateId>,
        on_hand: Qty,
    }

    /// ST-06: it was counted.
    StockAdjustedV1 [note] {
        item_id: ItemId,
        location: Code,
        lot: Option<Text<40>>,
        site_id: SiteId,
        old_on_hand: Qty,
        on_hand: Qty,
        serials: Vec<Text<60>>,
        reason: ReasonCode,
        counted_by: AccountName,
        note: Option<Sealed>,
    }
}
