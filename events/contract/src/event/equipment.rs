//! Events of equipment. Frozen: a change is a new struct (`…V2`).

use bincode::{Decode, Encode};
use schemars::JsonSchema;
use serde::Serialize;

use super::SealedFields;
use super::parts::CounterV1;
use super::work_order::{Each, events};
use crate::enums::{LossCategory, MachineState, StateSource};
use crate::ids::{AggregateId, CellId, Code, EntityId, LineId, ReasonCode, SiteId};
use crate::qty::{Number, Qty};
use crate::text::{Sealed, Text};
use crate::time::{Instant, Seconds};

events! {
    /// EQ-01: a cell is watched.
    EquipmentRegisteredV1 {
        code: CellId,
        name: Option<Text<120>>,
        class: Option<Code>,
        site_id: SiteId,
        area: Option<Code>,
        line_id: LineId,
        ideal_cycle: Option<Qty>,
        no_signal_timeout: Seconds,
        alarm_threshold: u16,
        sparkplug_id: Option<Text<120>>,
    }

    /// EQ-02: it does something else than before.
    MachineStateChangedV1 {
        cell_id: CellId,
        old: Option<MachineState>,
        new: MachineState,
        /// How long the old state lasted.
        duration: Seconds,
        source: StateSource,
        sequence: Option<u64>,
        counter: Option<CounterV1>,
    }

    /// EQ-03: it stands still. Without a reason it waits to be classified.
    DowntimeStartedV1 [note] {
        downtime_id: EntityId,
        cell_id: CellId,
        reason: Option<ReasonCode>,
        loss_category: Option<LossCategory>,
        planned: bool,
        work_order_id: Option<AggregateId>,
        op: Option<u16>,
        note: Option<Sealed>,
    }

    /// EQ-04: it goes on.
    DowntimeEndedV1 { downtime_id: EntityId, cell_id: CellId, duration: Seconds }

    /// EQ-05: why it stood still.
    DowntimeClassifiedV1 [note] {
        downtime_id: EntityId,
        cell_id: CellId,
        old_reason: Option<ReasonCode>,
        reason: ReasonCode,
        loss_category: Option<LossCategory>,
        planned: bool,
        note: Option<Sealed>,
    }

    /// EQ-05: one downtime became two; the second begins where the first ends now.
    DowntimeSplitV1 {
        downtime_id: EntityId,
        cell_id: CellId,
        split_at: Instant,
        new_downtime_id: EntityId,
    }

    /// EQ-06: something is wrong with it.
    AlarmRaisedV1 [text] {
        alarm_id: EntityId,
        cell_id: CellId,
        code: Code,
        severity: u16,
        text: Option<Sealed>,
        raised_at: Instant,
    }

    /// EQ-06: the same again while it is active. `count` is how often it was raised by now.
    AlarmRepeatedV1 { alarm_id: EntityId, cell_id: CellId, code: Code, severity: u16, count: u32, raised_at: Instant }

    /// EQ-07: somebody has seen it.
    AlarmAcknowledgedV1 [note] { alarm_id: EntityId, cell_id: CellId, code: Code, note: Option<Sealed> }

    /// EQ-08: it is over.
    AlarmClearedV1 { alarm_id: EntityId, cell_id: CellId, code: Code, cleared_at: Instant, active_for: Seconds }

    /// EQ-09: a counter was read. `cumulative` goes on over resets.
    CounterRecordedV1 {
        cell_id: CellId,
        name: Code,
        value: Number,
        cumulative: Number,
        unit: Option<Text<20>>,
        reset: bool,
    }

    /// EQ-10: it is being maintained, or no longer.
    MaintenanceModeChangedV1 [note] {
        cell_id: CellId,
        on: bool,
        reason: Option<ReasonCode>,
        until: Option<Instant>,
        forced: bool,
        note: Option<Sealed>,
    }
}
