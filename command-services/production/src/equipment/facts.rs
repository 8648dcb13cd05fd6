//! What orders need to know of machines: which cell is one, whether it may be worked on, and who
//! works there.

use std::collections::HashMap;

use mw_contract::{AggregateId, CellId, EntityId, Event, LossCategory, StreamId};

/// Cells and the machines that stand there.
#[derive(Clone, Debug, Default)]
pub struct CellFacts {
    machines: HashMap<CellId, Machine>,
    cells: HashMap<AggregateId, CellId>,
    /// Sessions that are open, by cell.
    at_work: HashMap<CellId, u32>,
}

#[derive(Clone, Debug)]
struct Machine {
    id: AggregateId,
    maintenance: bool,
    /// The downtime that goes on, and what it is.
    downtime: Option<(EntityId, Option<LossCategory>)>,
}

impl CellFacts {
    /// The equipment that is registered for a cell.
    pub fn equipment(&self, cell: &CellId) -> Option<AggregateId> {
        self.machines.get(cell).map(|m| m.id)
    }

    /// Is the machine of a cell being maintained?
    pub fn in_maintenance(&self, cell: &CellId) -> bool {
        self.machines.get(cell).is_some_and(|m| m.maintenance)
    }

    /// The breakdown that goes on at a cell.
    pub fn breakdown(&self, cell: &CellId) -> Option<EntityId> {
        let (id, category) = self.machines.get(cell)?.downtime?;
        (category == Some(LossCategory::Breakdown)).then_some(id)
    }

    /// How many sessions are open at a cell.
    pub fn at_work(&self, cell: &CellId) -> u32 {
        self.at_work.get(cell).copied().unwrap_or(0)
    }

    /// A session begins there.
    pub(crate) fn begin(&mut self, cell: &CellId) {
        *self.at_work.entry(cell.clone()).or_default() += 1;
    }

    /// A session ends there.
    pub(crate) fn end(&mut self, cell: &CellId) {
        if let Some(n) = self.at_work.get_mut(cell) {
            *n = n.saturating_sub(1);
        }
    }

    pub(crate) fn learn(&mut self, stream: &StreamId, event: &Event) {
        if let Event::EquipmentRegistered(e) = event {
            self.cells.insert(stream.id, e.code.clone());
            self.machines.insert(e.code.clone(), Machine { id: stream.id, maintenance: false, downtime: None });
            return;
        }
        let Some(m) = self.cells.get(&stream.id).and_then(|c| self.machines.get_mut(c)) else { return };
        match event {
            Event::MaintenanceModeChanged(e) => m.maintenance = e.on,
            Event::DowntimeStarted(e) => m.downtime = Some((e.downtime_id, e.loss_category)),
            Event::DowntimeEnded(e) if m.downtime.is_some_and(|d| d.0 == e.downtime_id) => m.downtime = None,
            Event::DowntimeClassified(e) => {
                if let Some(d) = m.downtime.as_mut().filter(|d| d.0 == e.downtime_id) {
                    d.1 = e.loss_category;
                }
            }
            Event::DowntimeSplit(e) => {
                // What goes on is the second part.
                if let Some(d) = m.downtime.as_mut().filter(|d| d.0 == e.downtime_id) {
                    d.0 = e.new_downtime_id;
                }
            }
            _ => {}
        }
    }
}
