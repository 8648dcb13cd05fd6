//! One machine, folded from its events.

use std::collections::BTreeMap;

use mw_contract::decide::EventMeta;
use mw_contract::event::equipment::EquipmentRegisteredV1;
use mw_contract::{
    AccountName, AggregateId, CellId, Code, EntityId, Event, Instant, LineId, LossCategory, MachineState, Number,
    ReasonCode, SiteId,
};

/// Downtimes that ended longer ago than anybody may still report of are no longer decided about:
/// the widest backdating window is 31 days.
const REMEMBERED_MS: i64 = 40 * 24 * 3_600_000;

/// A machine that is watched.
#[derive(Clone, Debug, PartialEq)]
pub struct Equipment {
    pub id: AggregateId,
    pub cell: CellId,
    pub site_id: SiteId,
    pub line_id: LineId,
    /// What it does and since when; none: nobody has said.
    pub doing: Option<(MachineState, Instant)>,
    /// The last count of its device.
    pub sequence: Option<u64>,
    /// Those of the last weeks.
    pub downtimes: BTreeMap<EntityId, Downtime>,
    /// Active ones, by code.
    pub alarms: BTreeMap<Code, Alarm>,
    pub counters: BTreeMap<Code, Reading>,
    /// It is being maintained.
    pub maintenance: bool,
}

/// A time in which it stood still.
#[derive(Clone, Debug, PartialEq)]
pub struct Downtime {
    pub reason: Option<ReasonCode>,
    pub loss_category: Option<LossCategory>,
    pub planned: bool,
    pub started_at: Instant,
    pub ended_at: Option<Instant>,
    /// Who reported it.
    pub by: AccountName,
}

/// An alarm that is active.
#[derive(Clone, Debug, PartialEq)]
pub struct Alarm {
    pub id: EntityId,
    pub raised_at: Instant,
    pub count: u32,
    pub acknowledged: bool,
}

/// The last reading of a counter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    pub value: Number,
    /// Goes on over resets.
    pub cumulative: Number,
    pub at: Instant,
}

impl Equipment {
    pub(crate) fn registered(id: AggregateId, e: &EquipmentRegisteredV1) -> Self {
        Equipment {
            id,
            cell: e.code.clone(),
            site_id: e.site_id.clone(),
            line_id: e.line_id.clone(),
            doing: None,
            sequence: None,
            downtimes: BTreeMap::new(),
            alarms: BTreeMap::new(),
            counters: BTreeMap::new(),
            maintenance: false,
        }
    }

    /// The downtime that goes on now.
    pub fn open_downtime(&self) -> Option<(EntityId, &Downtime)> {
        self.downtimes.iter().find(|(_, d)| d.ended_at.is_none()).map(|(id, d)| (*id, d))
    }

    /// An active alarm by its id.
    pub fn alarm(&self, id: EntityId) -> Option<(&Code, &Alarm)> {
        self.alarms.iter().find(|(_, a)| a.id == id)
    }

    pub(crate) fn fold(&mut self, event: &Event, meta: &EventMeta) {
        let at = meta.occurred_at;
        match event {
            Event::MachineStateChanged(e) => {
                self.doing = Some((e.new, at));
                self.sequence = e.sequence.or(self.sequence);
            }
            Event::DowntimeStarted(e) => {
                self.downtimes.retain(|_, d| d.ended_at.is_none_or(|end| at.since(end) < REMEMBERED_MS));
                let downtime = Downtime {
                    reason: e.reason.clone(),
                    loss_category: e.loss_category,
                    planned: e.planned,
                    started_at: at,
                    ended_at: None,
                    by: meta.account.clone(),
                };
                self.downtimes.insert(e.downtime_id, downtime);
            }
            Event::DowntimeEnded(e) => {
                if let Some(d) = self.downtimes.get_mut(&e.downtime_id) {
                    d.ended_at = Some(at.max(d.started_at));
                }
            }
            Event::DowntimeClassified(e) => {
                if let Some(d) = self.downtimes.get_mut(&e.downtime_id) {
                    d.reason = Some(e.reason.clone());
                    d.loss_category = e.loss_category;
                    d.planned = e.planned;
                }
            }
            Event::DowntimeSplit(e) => {
                if let Some(first) = self.downtimes.get_mut(&e.downtime_id) {
                    let second = Downtime { started_at: e.split_at, ..first.clone() };
                    first.ended_at = Some(e.split_at);
                    self.downtimes.insert(e.new_downtime_id, second);
                }
            }
            Event::AlarmRaised(e) => {
                let alarm = Alarm { id: e.alarm_id, raised_at: e.raised_at, count: 1, acknowledged: false };
                self.alarms.insert(e.code.clone(), alarm);
            }
            Event::AlarmRepeated(e) => {
                if let Some(a) = self.alarms.get_mut(&e.code) {
                    a.count = e.count;
                }
            }
            Event::AlarmAcknowledged(e) => {
                if let Some(a) = self.alarms.get_mut(&e.code) {
                    a.acknowledged = true;
                }
            }
            Event::AlarmCleared(e) => {
                self.alarms.remove(&e.code);
            }
            Event::CounterRecorded(e) => {
                self.counters.insert(e.name.clone(), Reading { value: e.value, cumulative: e.cumulative, at });
            }
            Event::MaintenanceModeChanged(e) => self.maintenance = e.on,
            _ => {}
        }
    }
}
