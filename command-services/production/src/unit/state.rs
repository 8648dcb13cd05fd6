//! One unit, folded from its events.

use std::collections::BTreeMap;

use mw_contract::decide::EventMeta;
use mw_contract::event::parts::ComponentV1;
use mw_contract::event::unit::ProductUnitRegisteredV1;
use mw_contract::{
    AggregateId, Code, CustomerId, Date, EntityId, Event, Instant, Number, ProductId, Text, UnitResult, UnitStatus,
};

/// A unit that was made.
#[derive(Clone, Debug, PartialEq)]
pub struct ProductUnit {
    pub id: AggregateId,
    pub serial: Text<60>,
    pub product_id: ProductId,
    pub result: UnitResult,
    pub status: UnitStatus,
    pub customer_id: Option<CustomerId>,
    pub shipped_at: Option<Instant>,
    pub installed_on: Option<Date>,
    pub warranty: Option<Warranty>,
    /// Value and what was counted in all, by counter.
    pub counters: BTreeMap<Code, (Number, Number)>,
    /// What is built in now.
    pub components: Vec<ComponentV1>,
    pub firmware: Option<Text<60>>,
    /// What it complains of, by code.
    pub alarms: BTreeMap<Code, UnitAlarm>,
}

/// An alarm that is active.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UnitAlarm {
    pub id: EntityId,
    /// How often it was raised.
    pub count: u32,
    pub raised_at: Instant,
}

/// From when to when, both days included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Warranty {
    pub start: Date,
    pub end: Date,
    pub void: bool,
}

impl ProductUnit {
    pub(crate) fn registered(id: AggregateId, e: &ProductUnitRegisteredV1) -> Self {
        ProductUnit {
            id,
            serial: e.serial.clone(),
            product_id: e.product_id.clone(),
            result: e.result,
            status: if e.result == UnitResult::Scrap { UnitStatus::Scrapped } else { UnitStatus::InStock },
            customer_id: None,
            shipped_at: None,
            installed_on: None,
            warranty: None,
            counters: BTreeMap::new(),
            components: e.as_built.clone(),
            firmware: e.firmware.clone(),
            alarms: BTreeMap::new(),
        }
    }

    pub(crate) fn fold(&mut self, event: &Event, _: &EventMeta) {
        match event {
            Event::UnitShipped(e) => {
                self.status = UnitStatus::Shipped;
                self.customer_id = Some(e.customer_id.clone());
                self.shipped_at = Some(e.shipped_at);
            }
            Event::WarrantyStarted(e) => {
                self.warranty = Some(Warranty { start: e.start, end: e.end, void: false });
            }
            Event::UnitInstalled(e) => {
                self.status = UnitStatus::Installed;
                self.installed_on = Some(e.installed_on);
            }
            Event::WarrantyExtended(e) => {
                if let Some(w) = &mut self.warranty {
                    w.end = e.new_end;
                }
            }
            Event::WarrantyVoided(_) => {
                if let Some(w) = &mut self.warranty {
                    w.void = true;
                }
            }
            Event::ReadingRecorded(e) => {
                self.counters.insert(e.name.clone(), (e.value, e.cumulative));
            }
            Event::UnitComponentChanged(e) => {
                for gone in &e.removed {
                    take_out(&mut self.components, gone);
                }
                self.components.extend(e.added.iter().cloned());
                self.firmware = e.firmware.clone().or(self.firmware.take());
            }
            Event::UnitTransferred(e) => self.customer_id = Some(e.new_customer.clone()),
            Event::UnitStatusChanged(e) => self.status = e.new,
            Event::UnitAlarmRaised(e) => {
                let alarm = UnitAlarm { id: e.alarm_id, count: 1, raised_at: e.raised_at };
                self.alarms.insert(e.code.clone(), alarm);
            }
            Event::UnitAlarmRepeated(e) => {
                if let Some(a) = self.alarms.get_mut(&e.code) {
                    a.count = e.count;
                }
            }
            Event::UnitAlarmCleared(e) => {
                self.alarms.remove(&e.code);
            }
            Event::UnitScrapped(_) => self.status = UnitStatus::Scrapped,
            Event::UnitRecalled(_) => self.status = UnitStatus::Recalled,
            _ => {}
        }
    }
}

/// Is this the component that somebody means? Where no serial, lot or place is named, any will do.
pub(crate) fn is_meant(there: &ComponentV1, meant: &ComponentV1) -> bool {
    there.item_id == meant.item_id
        && (meant.serial.is_none() || there.serial == meant.serial)
        && (meant.lot.is_none() || there.lot == meant.lot)
        && (meant.position.is_none() || there.position == meant.position)
}

/// Takes a component out of a list, or as many of it as are named.
pub(crate) fn take_out(components: &mut Vec<ComponentV1>, gone: &ComponentV1) {
    if let Some(i) = components.iter().position(|c| is_meant(c, gone)) {
        let left = components[i].qty.less(gone.qty);
        if left.is_zero() {
            components.remove(i);
        } else {
            components[i].qty = left;
        }
    }
}
