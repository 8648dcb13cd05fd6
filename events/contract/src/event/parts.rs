//! Structs that several events share. Frozen: a change is a new struct.

use bincode::{Decode, Encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::enums::{
    Disposition, InspectionPlan, MaterialCondition, OriginKind, Overlap, ReworkMode, Tracking, Verdict,
};
use crate::ids::{AggregateId, CellId, Code, EntityId, ItemId, LineId, ReasonCode};
use crate::qty::{Change, Number, Percent, Qty};
use crate::text::{Sealed, Text};
use crate::time::{Instant, Seconds};

/// One step of a routing, as an order copies it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
pub struct RoutingOperationV1 {
    /// Sequence number: 10, 20 …
    pub op: u16,
    /// What is done.
    pub name: Text<120>,
    /// Where; or any cell of `cell_class`.
    #[serde(default)]
    pub cell_id: Option<CellId>,
    /// The class of cells that can do it.
    #[serde(default)]
    pub cell_class: Option<Code>,
    /// Seconds to set up.
    #[serde(default)]
    pub setup_time: Seconds,
    /// Seconds a piece.
    #[serde(default)]
    pub run_time_per_unit: Qty,
    /// Operations that must come first; none given: the one before, by number.
    #[serde(default)]
    pub predecessors: Option<Vec<u16>>,
    /// May it start before its predecessors have ended? Default `none`.
    #[serde(default = "no_overlap")]
    pub overlap: Overlap,
    /// How many good pieces a predecessor must have, with `transfer_batch`.
    #[serde(default)]
    pub transfer_batch_qty: Option<Qty>,
    /// Default `none`.
    #[serde(default = "no_inspection")]
    pub inspection: InspectionPlan,
}

fn no_overlap() -> Overlap {
    Overlap::None
}

fn no_inspection() -> InspectionPlan {
    InspectionPlan::None
}

fn no_tracking() -> Tracking {
    Tracking::None
}

/// One line of a bill of materials, as an order copies it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
pub struct BomLineV1 {
    /// Number of the line.
    pub line_no: u16,
    /// What goes in.
    pub item_id: ItemId,
    /// How much for one piece.
    pub qty_per_unit: Qty,
    /// Extra for expected scrap.
    #[serde(default)]
    pub scrap_factor_pct: Percent,
    /// Consumed by reporting, without being issued first.
    #[serde(default)]
    pub backflush: bool,
    /// The operation that needs it.
    #[serde(default)]
    pub op: Option<u16>,
    /// Default `none`.
    #[serde(default = "no_tracking")]
    pub tracking: Tracking,
    /// Must a unit name it when it is registered?
    #[serde(default)]
    pub key: bool,
    /// Items that may stand in for it.
    #[serde(default)]
    pub alternatives: Vec<ItemId>,
}

/// A file that is kept elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
pub struct FileRefV1 {
    /// Where it is.
    pub uri: Text<500>,
    /// Lower-case hex of its SHA-256.
    pub sha256: Text<64>,
    /// Its media type.
    pub media_type: Text<100>,
    /// Its length.
    pub bytes: u64,
}

/// A number is taken as it is written.
fn read_value<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Text<40>, D::Error> {
    match serde_json::Value::deserialize(d)? {
        serde_json::Value::Number(n) => Text::new(&n.to_string()).map_err(serde::de::Error::custom),
        v => Text::deserialize(v).map_err(serde::de::Error::custom),
    }
}

/// One measured value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
pub struct MeasurementV1 {
    /// What was measured; readings call it `name`.
    #[serde(alias = "name")]
    pub characteristic: Text<60>,
    /// The value, as it was read.
    #[serde(deserialize_with = "read_value")]
    pub value: Text<40>,
    /// UCUM unit.
    pub unit: Text<20>,
}

/// Where an order came from.
#[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
pub struct OriginV1 {
    /// What kind of thing caused it.
    pub kind: OriginKind,
    /// Which one.
    pub id: Option<Text<60>>,
}

/// One operation of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
pub struct OperationPlanV1 {
    /// Which operation.
    pub op: u16,
    /// Its cell.
    pub cell_id: Option<CellId>,
    /// When it should start.
    pub planned_start: Option<Instant>,
    /// When it should end.
    pub planned_end: Option<Instant>,
}

/// Material that was missing at the release.
#[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
pub struct ShortageV1 {
    /// Line of the BOM.
    pub line_no: u16,
    /// What is missing.
    pub item_id: ItemId,
    /// How much.
    pub missing_qty: Qty,
}

/// An increment of scrap or rework.
#[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
pub struct ReasonQtyV1 {
    /// How many.
    pub qty: Qty,
    /// Why.
    pub reason: ReasonCode,
    /// In words.
    pub note: Option<Sealed>,
}

/// The sums of an operation after a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Encode, Decode, JsonSchema)]
pub struct TotalsV1 {
    /// Good pieces.
    pub good: Qty,
    /// Scrapped pieces.
    pub scrap: Qty,
    /// Pieces waiting for rework.
    pub rework_open: Qty,
}

/// A counter reading with a report.
#[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
pub struct CounterV1 {
    /// Which counter.
    pub name: Code,
    /// What it shows.
    pub value: u64,
    /// Did it start again from a lower value?
    pub reset: bool,
}

/// A component that was built in.
#[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
pub struct ComponentV1 {
    /// What it is.
    pub item_id: ItemId,
    /// Its serial number.
    pub serial: Option<Text<60>>,
    /// Its lot.
    pub lot: Option<Text<40>>,
    /// How many.
    pub qty: Qty,
    /// Where in the unit.
    pub position: Option<Text<40>>,
}

/// Planned against actual use of one BOM line.
#[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
pub struct MaterialVarianceV1 {
    /// Line of the BOM.
    pub line_no: u16,
    /// Which item.
    pub item_id: ItemId,
    /// What the pieces made should have used.
    pub required: Qty,
    /// What was used.
    pub consumed: Qty,
}

/// Final sums of one operation.
#[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
pub struct OperationTotalsV1 {
    /// Which operation.
    pub op: u16,
    /// Good pieces.
    pub good: Qty,
    /// Scrapped pieces.
    pub scrap: Qty,
    /// Machine time running: the union of its run sessions.
    pub run_time: Seconds,
    /// Machine time setting up: the union of its setup sessions.
    pub setup_time: Seconds,
    /// Labour: an operator's parallel sessions share their time.
    pub labour_time: Seconds,
}

/// Final sums of one BOM line.
#[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
pub struct MaterialTotalsV1 {
    /// Line of the BOM.
    pub line_no: u16,
    /// Which item.
    pub item_id: ItemId,
    /// Taken from stock.
    pub issued: Qty,
    /// Brought back.
    pub returned: Qty,
    /// Used up.
    pub consumed: Qty,
}

/// The old and new value of an amended field, as text.
#[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
pub struct ChangeV1 {
    /// Before.
    pub old: Option<String>,
    /// After.
    pub new: Option<String>,
}

/// Line and dates of an order, with those of the operations that a change names.
#[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
pub struct ScheduleV1 {
    /// The line.
    pub line_id: Option<LineId>,
    /// When it should start.
    pub planned_start: Option<Instant>,
    /// When it should end.
    pub planned_end: Option<Instant>,
    /// The operations that the change names.
    pub operations: Vec<OperationPlanV1>,
}

/// What one BOM line needs for all planned pieces.
#[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
pub struct RequiredMaterialV1 {
    /// Line of the BOM.
    pub line_no: u16,
    /// Which item.
    pub item_id: ItemId,
    /// How much.
    pub required: Qty,
}

/// What a quantity report says.
#[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
pub struct QuantitiesV1 {
    /// Good pieces.
    pub good: Qty,
    /// Scrap by reason.
    pub scrap: Vec<ReasonQtyV1>,
    /// Rework by reason.
    pub rework: Vec<ReasonQtyV1>,
}

/// By how much sums changed; each may be negative.
#[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
pub struct DeltaV1 {
    /// Good pieces.
    pub good: Change,
    /// Scrapped pieces.
    pub scrap: Change,
    /// Pieces that were sent to rework.
    pub rework: Change,
}

/// Start and end of a work session.
#[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
pub struct SpanV1 {
    /// When it began.
    pub started_at: Instant,
    /// When it ended; none while it lasts.
    pub ended_at: Option<Instant>,
}

/// A part of an order that becomes an order of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
pub struct SplitPartV1 {
    /// The new order.
    pub work_order_id: AggregateId,
    /// How many pieces it takes.
    pub qty: Qty,
    /// When it is due.
    pub due_at: Instant,
    /// Its line.
    pub line_id: Option<LineId>,
    /// Serial numbers that go with it.
    pub serials: Vec<Text<60>>,
}

/// Material that is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
pub struct MaterialRequestV1 {
    /// Line of the BOM.
    pub line_no: u16,
    /// Which item.
    pub item_id: ItemId,
    /// How much.
    pub qty: Qty,
    /// Where from; none: wherever there is some.
    pub location: Option<Code>,
    /// Which lot; none: any.
    pub lot: Option<Text<40>>,
}

/// Material that is set aside in stock.
#[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
pub struct ReservationV1 {
    /// The reservation in stock.
    pub reservation_id: EntityId,
    /// Line of the BOM.
    pub line_no: u16,
    /// Which item.
    pub item_id: ItemId,
    /// How much.
    pub qty: Qty,
    /// Where it lies.
    pub location: Code,
    /// Its lot.
    pub lot: Option<Text<40>>,
}

/// Material that stock did not have.
#[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
pub struct MissingMaterialV1 {
    /// Line of the BOM.
    pub line_no: u16,
    /// Which item.
    pub item_id: ItemId,
    /// How much is missing.
    pub missing_qty: Qty,
    /// How much there was.
    pub available_qty: Qty,
}

/// Material that went from stock to an order.
#[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
pub struct IssuedV1 {
    /// Line of the BOM.
    pub line_no: u16,
    /// Which item: the line's or what stands in for it.
    pub item_id: ItemId,
    /// How much.
    pub qty: Qty,
    /// Its lot.
    pub lot: Option<Text<40>>,
    /// Its serials.
    pub serials: Vec<Text<60>>,
    /// The reservation that it uses up.
    pub reservation_id: Option<EntityId>,
    /// Where it was taken.
    pub from_location: Code,
}

/// Material that went back.
#[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
pub struct ReturnedV1 {
    /// Line of the BOM.
    pub line_no: u16,
    /// Which item.
    pub item_id: ItemId,
    /// How much.
    pub qty: Qty,
    /// Its lot.
    pub lot: Option<Text<40>>,
    /// Its serials.
    pub serials: Vec<Text<60>>,
    /// Where it went.
    pub to_location: Code,
    /// What it is like.
    pub condition: MaterialCondition,
}

/// Material that was used up.
#[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
pub struct ConsumedV1 {
    /// Line of the BOM.
    pub line_no: u16,
    /// Which item.
    pub item_id: ItemId,
    /// How much.
    pub qty: Qty,
    /// Its lot.
    pub lot: Option<Text<40>>,
    /// Its serials.
    pub serials: Vec<Text<60>>,
    /// The unit that it went into.
    pub unit_serial: Option<Text<60>>,
}

/// How much of a line a report used up, before and after it was corrected.
#[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
pub struct ConsumptionChangeV1 {
    /// Line of the BOM.
    pub line_no: u16,
    /// Which item.
    pub item_id: ItemId,
    /// Before.
    pub old: Qty,
    /// After.
    pub new: Qty,
}

/// One characteristic of an inspection.
#[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
pub struct InspectionLineV1 {
    /// What was looked at.
    pub characteristic: Text<60>,
    /// What was measured.
    pub value: Option<Number>,
    /// UCUM unit.
    pub unit: Option<Text<20>>,
    /// The least that passes.
    pub lower: Option<Number>,
    /// The most that passes.
    pub upper: Option<Number>,
    /// `pass` or `fail`.
    pub verdict: Verdict,
    /// What it was measured with.
    pub instrument: Option<ReasonCode>,
    /// Could the whole not pass without it?
    pub critical: bool,
}

/// A kind of defect that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
pub struct DefectV1 {
    /// Which.
    pub code: ReasonCode,
    /// On how many pieces.
    pub qty: Qty,
}

/// What becomes of a part of the pieces of a nonconformance.
#[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
pub struct DispositionLineV1 {
    /// What.
    pub disposition: Disposition,
    /// Of how many pieces.
    pub qty: Qty,
    /// Which ones.
    pub serials: Vec<Text<60>>,
}

/// How pieces are reworked.
#[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
pub struct ReworkV1 {
    /// In the same order or in one of its own.
    pub mode: ReworkMode,
    /// The operations that they go through again.
    pub operations: Vec<u16>,
    /// The order that does it.
    pub new_work_order_id: Option<AggregateId>,
}

/// Why a BOM line did not come out even.
#[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
pub struct ExplainedVarianceV1 {
    /// Line of the BOM.
    pub line_no: u16,
    /// Which item.
    pub item_id: ItemId,
    /// Issued, less returned and used; negative when more was used.
    pub difference: Change,
    /// Why.
    pub reason: ReasonCode,
}

#[cfg(test)]
mod tests {
    use super::MeasurementV1;
    use serde_json::json;

    #[test]
    fn a_measured_value_may_be_a_number_and_a_characteristic_a_name() {
        let read = |v| serde_json::from_value::<MeasurementV1>(v);
        let a = read(json!({"characteristic": "p", "value": "2.50", "unit": "bar"})).unwrap();
        assert_eq!(a.value.as_str(), "2.50");
        let b = read(json!({"name": "p", "value": 2.5, "unit": "bar"})).unwrap();
        assert_eq!((b.characteristic.as_str(), b.value.as_str()), ("p", "2.5"));
        assert!(read(json!({"name": "p", "value": true, "unit": "bar"})).is_err());
    }
}
