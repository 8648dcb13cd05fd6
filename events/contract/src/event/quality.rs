//! Events of an order's quality. Frozen: a change is a new struct (`…V2`).

use bincode::{Decode, Encode};
use schemars::JsonSchema;
use serde::Serialize;

use super::SealedFields;
use super::parts::*;
use super::work_order::{Each, events};
use crate::enums::{InspectionKind, NcrStage, Verdict};
use crate::ids::{AccountName, AggregateId, EntityId, ReasonCode};
use crate::qty::Qty;
use crate::text::{Sealed, Text};

events! {
    /// WO-43: somebody looked at pieces and measured.
    InspectionRecordedV1 [note] {
        inspection_id: EntityId,
        op: Option<u16>,
        kind: InspectionKind,
        sample_size: u32,
        serials: Vec<Text<60>>,
        lot: Option<Text<40>>,
        results: Vec<InspectionLineV1>,
        verdict: Verdict,
        defects: Vec<DefectV1>,
        attachments: Vec<FileRefV1>,
        inspector: AccountName,
        note: Option<Sealed>,
    }

    /// WO-44, or a failed inspection: pieces are not as they should be.
    NonconformanceRaisedV1 [description] {
        ncr_id: EntityId,
        op: Option<u16>,
        qty: Qty,
        serials: Vec<Text<60>>,
        lot: Option<Text<40>>,
        defect_code: ReasonCode,
        severity: u8,
        description: Option<Sealed>,
        detected_at_stage: NcrStage,
        contain: bool,
        attachments: Vec<FileRefV1>,
        inspection_id: Option<EntityId>,
    }

    /// WO-45: what becomes of them.
    NonconformanceDispositionedV1 [note] {
        ncr_id: EntityId,
        lines: Vec<DispositionLineV1>,
        cause_code: ReasonCode,
        rework: Option<ReworkV1>,
        approver: Option<AccountName>,
        note: Option<Sealed>,
    }

    /// The rework order was cancelled: somebody must say anew what becomes of them.
    NonconformanceReturnedV1 {
        ncr_id: EntityId,
        work_order_id: Option<AggregateId>,
        reason: Option<ReasonCode>,
    }

    /// WO-46: it was done, and checked.
    NonconformanceClosedV1 [verification] {
        ncr_id: EntityId,
        verification: Sealed,
        corrective_action_ref: Option<Text<60>>,
    }
}
