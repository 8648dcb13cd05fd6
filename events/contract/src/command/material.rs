//! Payloads of the material commands of a work order (WO-21 to WO-27).

use serde::{Deserialize, Serialize};

use crate::command::work_order::OpNo;
use crate::enums::MaterialCondition;
use crate::ids::{Code, EntityId, ItemId, ReasonCode};
use crate::qty::Qty;
use crate::text::Text;

/// Material that an order asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RequestLine {
    /// Line of the order's BOM.
    pub line_no: u16,
    /// How much.
    pub qty: Qty,
    /// Where from; default: wherever there is some.
    #[serde(default)]
    pub location: Option<Code>,
    /// Which lot; default: any.
    #[serde(default)]
    pub lot: Option<Text<40>>,
}

/// Material that was set aside in stock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ReservedLine {
    /// Line of the order's BOM.
    pub line_no: u16,
    /// How much.
    pub qty: Qty,
    /// Where it lies.
    pub location: Code,
    /// Its lot.
    #[serde(default)]
    pub lot: Option<Text<40>>,
    /// The reservation in stock.
    pub reservation_id: EntityId,
}

/// Material that stock did not have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MissingLine {
    /// Line of the order's BOM.
    pub line_no: u16,
    /// How much is missing.
    pub missing_qty: Qty,
    /// How much there was.
    pub available_qty: Qty,
}

/// Material on its way from stock to the order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct IssueLine {
    /// Line of the order's BOM.
    pub line_no: u16,
    /// How much.
    pub qty: Qty,
    /// Default: the line's item; else an alternative or an approved substitute of it.
    #[serde(default)]
    pub item_id: Option<ItemId>,
    /// Needed where the line is tracked by lot.
    #[serde(default)]
    pub lot: Option<Text<40>>,
    /// Needed where the line is tracked by serial: as many as pieces.
    #[serde(default)]
    pub serials: Option<Vec<Text<60>>>,
    /// The reservation that it uses up.
    #[serde(default)]
    pub reservation_id: Option<EntityId>,
    /// Where it was taken.
    pub from_location: Code,
}

/// Material on its way back to stock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ReturnLine {
    /// Line of the order's BOM.
    pub line_no: u16,
    /// How much.
    pub qty: Qty,
    /// Default: the line's item.
    #[serde(default)]
    pub item_id: Option<ItemId>,
    /// Its lot.
    #[serde(default)]
    pub lot: Option<Text<40>>,
    /// Its serials.
    #[serde(default)]
    pub serials: Option<Vec<Text<60>>>,
    /// Where it goes.
    pub to_location: Code,
    /// What it is like.
    pub condition: MaterialCondition,
}

/// Material that was used up; by line or by item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ConsumptionLine {
    /// Line of the order's BOM.
    #[serde(default)]
    pub line_no: Option<u16>,
    /// The item, where no line is named.
    #[serde(default)]
    pub item_id: Option<ItemId>,
    /// How much.
    pub qty: Qty,
    /// Its lot.
    #[serde(default)]
    pub lot: Option<Text<40>>,
    /// Its serials.
    #[serde(default)]
    pub serials: Option<Vec<Text<60>>>,
    /// The unit that it went into: feeds the genealogy.
    #[serde(default)]
    pub unit_serial: Option<Text<60>>,
}

payload! {
    /// WO-21 `work-order.request-material`.
    RequestMaterial {
        /// Default: derived from the order and its version.
        request_id: Option<EntityId>,
        lines: Vec<RequestLine>,
    }

    /// WO-22 `work-order.confirm-reservation`: what stock set aside and what it did not have.
    ConfirmReservation {
        request_id: EntityId,
        reserved: Option<Vec<ReservedLine>>,
        failed: Option<Vec<MissingLine>>,
    }

    /// WO-23 `work-order.release-reservation`.
    ReleaseReservation { reservation_ids: Vec<EntityId> }

    /// WO-24 `work-order.issue-material`.
    IssueMaterial {
        issue_id: EntityId,
        lines: Vec<IssueLine>,
        /// Why more is issued than the order needs.
        over_issue_reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }

    /// WO-25 `work-order.return-material`.
    ReturnMaterial {
        return_id: EntityId,
        lines: Vec<ReturnLine>,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }

    /// WO-26 `work-order.record-consumption`.
    RecordConsumption {
        consumption_id: EntityId,
        op: Option<OpNo>,
        lines: Vec<ConsumptionLine>,
    }

    /// WO-27 `work-order.approve-substitute`.
    ApproveSubstitute {
        line_no: u16,
        substitute_item_id: ItemId,
        /// How much of it stands for one of the line's item; default 1.
        ratio: Option<Qty>,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
        /// For how much at most; default: all.
        valid_qty: Option<Qty>,
    }
}
