//! Payloads of the quality commands of a work order (WO-43 to WO-46, and what a process manager
//! answers to them).

use serde::{Deserialize, Serialize};

use crate::command::work_order::OpNo;
use crate::enums::{Disposition, InspectionKind, NcrStage, ReworkMode, Verdict};
use crate::event::parts::FileRefV1;
use crate::ids::{AccountName, AggregateId, EntityId, ReasonCode};
use crate::qty::{Number, Qty};
use crate::text::Text;

/// One characteristic of an inspection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct InspectionLine {
    /// What was looked at.
    pub characteristic: Text<60>,
    /// What was measured.
    #[serde(default)]
    pub value: Option<Number>,
    /// UCUM unit.
    #[serde(default)]
    pub unit: Option<Text<20>>,
    /// The least that passes.
    #[serde(default)]
    pub lower: Option<Number>,
    /// The most that passes.
    #[serde(default)]
    pub upper: Option<Number>,
    /// `pass` or `fail`.
    pub verdict: Verdict,
    /// What it was measured with: a code of catalogue `instruments`.
    #[serde(default)]
    pub instrument: Option<ReasonCode>,
    /// Without it the whole can't pass; default: as the product's inspection rules say.
    #[serde(default)]
    pub critical: Option<bool>,
}

/// A kind of defect that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Defect {
    /// Which.
    pub code: ReasonCode,
    /// On how many pieces.
    pub qty: Qty,
}

/// What becomes of a part of the pieces of a nonconformance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DispositionLine {
    /// What.
    pub disposition: Disposition,
    /// Of how many pieces.
    pub qty: Qty,
    /// Which ones.
    #[serde(default)]
    pub serials: Option<Vec<Text<60>>>,
}

/// How pieces are reworked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Rework {
    /// In this order or in one of its own.
    pub mode: ReworkMode,
    /// The operations that they go through again.
    #[serde(default)]
    pub operations: Option<Vec<OpNo>>,
    /// With `new_order`: the order that does it; default: the system gives an id.
    #[serde(default)]
    pub new_work_order_id: Option<AggregateId>,
}

payload! {
    /// WO-43 `work-order.record-inspection`.
    RecordInspection {
        inspection_id: EntityId,
        op: Option<OpNo>,
        kind: InspectionKind,
        sample_size: u32,
        serials: Option<Vec<Text<60>>>,
        lot: Option<Text<40>>,
        results: Vec<InspectionLine>,
        verdict: Verdict,
        defects: Option<Vec<Defect>>,
        attachments: Option<Vec<FileRefV1>>,
        note: Option<Text<2000>>,
    }

    /// WO-44 `work-order.raise-nonconformance`.
    RaiseNonconformance {
        ncr_id: EntityId,
        op: Option<OpNo>,
        qty: Qty,
        serials: Option<Vec<Text<60>>>,
        lot: Option<Text<40>>,
        defect_code: ReasonCode,
        /// 1 critical to 4 cosmetic.
        severity: u8,
        description: Text<2000>,
        detected_at_stage: NcrStage,
        /// Are the pieces set apart? Default true.
        contain: Option<bool>,
        attachments: Option<Vec<FileRefV1>>,
    }

    /// WO-45 `work-order.disposition-nonconformance`.
    DispositionNonconformance {
        ncr_id: EntityId,
        lines: Vec<DispositionLine>,
        cause_code: ReasonCode,
        note: Option<Text<2000>>,
        rework: Option<Rework>,
        /// A second quality inspector; needed for `use_as_is` of severity 1 or 2.
        approver: Option<AccountName>,
    }

    /// WO-46 `work-order.close-nonconformance`.
    CloseNonconformance {
        ncr_id: EntityId,
        verification: Text<2000>,
        corrective_action_ref: Option<Text<60>>,
    }

    /// `work-order.return-nonconformance`: its rework order was cancelled, so somebody must say
    /// anew what becomes of the pieces.
    ReturnNonconformance {
        ncr_id: EntityId,
        /// The order that was to rework the pieces.
        rework_order_id: Option<AggregateId>,
        reason: Option<ReasonCode>,
    }
}
