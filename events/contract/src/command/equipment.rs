//! Payloads of the equipment commands (EQ-01 to EQ-10).

use crate::command::work_order::OpNo;
use crate::enums::{MachineState, StateSource};
use crate::ids::{AggregateId, CellId, Code, EntityId, ReasonCode};
use crate::qty::{Number, Qty};
use crate::text::Text;
use crate::time::{Instant, Seconds};

payload! {
    /// EQ-01 `equipment.register`: a cell becomes a machine that is watched.
    RegisterEquipment {
        /// The code of its cell.
        code: CellId,
        /// Default: the cell's.
        class: Option<Code>,
        name: Option<Text<120>>,
        /// Seconds a piece, at best.
        ideal_cycle: Option<Qty>,
        /// Silence after which it counts as offline; default 300.
        no_signal_timeout: Option<Seconds>,
        /// Alarms of this severity or more open a ticket; default 700.
        alarm_threshold: Option<u16>,
        sparkplug_id: Option<Text<120>>,
    }

    /// EQ-02 `equipment.report-state`: the same state again changes nothing.
    ReportState {
        state: MachineState,
        /// Default: `device` from a device, else `manual`.
        source: Option<StateSource>,
        /// The device's own count; one that is not higher than the last is late and ignored.
        sequence: Option<u64>,
        counter: Option<crate::command::work_order::Counter>,
    }

    /// EQ-03 `equipment.start-downtime`.
    StartDowntime {
        downtime_id: EntityId,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
        /// `work_order_id` names the order that stands still.
        work_order_id: Option<AggregateId>,
        op: Option<OpNo>,
    }

    /// EQ-04 `equipment.end-downtime`.
    EndDowntime { downtime_id: EntityId }

    /// EQ-05 `equipment.classify-downtime`. With `split_at` the time before it keeps the id and
    /// gets the reason; the time after it becomes a downtime of its own with what was known before.
    ClassifyDowntime {
        downtime_id: EntityId,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
        split_at: Option<Instant>,
        /// The id of the second part; default: derived.
        new_downtime_id: Option<EntityId>,
    }

    /// EQ-06 `equipment.raise-alarm`: the same code again counts up.
    RaiseAlarm {
        alarm_id: EntityId,
        code: Code,
        /// 1 to 1000.
        severity: u16,
        /// What the machine says; sealed when it is stored, and not searched.
        text: Option<Text<500>>,
        /// Default: `occurred_at`.
        raised_at: Option<Instant>,
    }

    /// EQ-07 `equipment.acknowledge-alarm`.
    AcknowledgeAlarm { alarm_id: EntityId, note: Option<Text<2000>> }

    /// EQ-08 `equipment.clear-alarm`.
    ClearAlarm {
        alarm_id: EntityId,
        /// Default: `occurred_at`.
        cleared_at: Option<Instant>,
    }

    /// EQ-09 `equipment.record-counter`.
    RecordCounter {
        name: Code,
        value: Number,
        /// UCUM unit.
        unit: Option<Text<20>>,
        /// The counter began again from a lower value; default false.
        reset: Option<bool>,
    }

    /// EQ-10 `equipment.set-maintenance-mode`.
    SetMaintenanceMode {
        on: bool,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
        until: Option<Instant>,
        /// Although somebody works there; default false.
        force: Option<bool>,
    }
}
