//! Payloads of the stock commands (ST-01 to ST-06). A stock item is one item at one location, of
//! one lot where it has one; its id follows from the three.

use crate::enums::MaterialCondition;
use crate::ids::{AccountName, AggregateId, Code, EntityId, ItemId, ReasonCode};
use crate::qty::Qty;
use crate::text::Text;

payload! {
    /// ST-01 `stock.receive`.
    ReceiveStock {
        item_id: ItemId,
        location: Code,
        lot: Option<Text<40>>,
        qty: Qty,
        /// As many as pieces, where the item is told apart by serial.
        serials: Option<Vec<Text<60>>>,
        /// The delivery.
        reference: Option<Text<60>>,
    }

    /// ST-02 `stock.reserve`.
    ReserveStock {
        item_id: ItemId,
        location: Code,
        lot: Option<Text<40>>,
        reservation_id: EntityId,
        qty: Qty,
        /// Take what there is when there is less; default false: all or nothing.
        partial: Option<bool>,
        /// The order that it is for.
        for_work_order: Option<AggregateId>,
        line_no: Option<u16>,
    }

    /// ST-03 `stock.release-reservation`.
    ReleaseStock {
        item_id: ItemId,
        location: Code,
        lot: Option<Text<40>>,
        reservation_id: EntityId,
    }

    /// ST-04 `stock.issue`.
    IssueStock {
        item_id: ItemId,
        location: Code,
        lot: Option<Text<40>>,
        qty: Qty,
        serials: Option<Vec<Text<60>>>,
        /// The reservation that it uses up.
        reservation_id: Option<EntityId>,
        for_work_order: Option<AggregateId>,
    }

    /// ST-05 `stock.return`.
    ReturnStock {
        item_id: ItemId,
        location: Code,
        lot: Option<Text<40>>,
        qty: Qty,
        serials: Option<Vec<Text<60>>>,
        /// Default `good`; only good pieces can be used again.
        condition: Option<MaterialCondition>,
        from_work_order: Option<AggregateId>,
    }

    /// ST-06 `stock.adjust`: what was counted.
    AdjustStock {
        item_id: ItemId,
        location: Code,
        lot: Option<Text<40>>,
        /// What is there.
        on_hand: Qty,
        serials: Option<Vec<Text<60>>>,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
        /// Default: the sender.
        counted_by: Option<AccountName>,
    }
}
