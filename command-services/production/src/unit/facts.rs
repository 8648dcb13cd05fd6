//! Which serial numbers are units, and of which products; and which components are in a unit.

use std::collections::HashMap;

use mw_contract::event::parts::ComponentV1;
use mw_contract::{AggregateId, Event, ItemId, ProductId, StreamId, Text};

/// Units by serial number.
#[derive(Clone, Debug, Default)]
pub struct UnitFacts {
    /// By serial: the products that have a unit of it, mostly one.
    products: HashMap<Text<60>, Vec<ProductId>>,
    /// By item and serial: the unit that it is built into now.
    built_in: HashMap<(ItemId, Text<60>), AggregateId>,
}

impl UnitFacts {
    /// The products that have a unit of this serial number.
    pub fn products_of(&self, serial: &Text<60>) -> Vec<&ProductId> {
        self.products.get(serial).map(|p| p.iter().collect()).unwrap_or_default()
    }

    /// The unit that a component with a serial number of its own is built into.
    pub fn unit_with(&self, item: &ItemId, serial: &Text<60>) -> Option<AggregateId> {
        self.built_in.get(&(item.clone(), serial.clone())).copied()
    }

    pub(crate) fn build_in<'a>(&mut self, unit: AggregateId, added: impl IntoIterator<Item = &'a ComponentV1>) {
        for c in added {
            if let Some(serial) = &c.serial {
                self.built_in.insert((c.item_id.clone(), serial.clone()), unit);
            }
        }
    }

    pub(crate) fn take_out<'a>(&mut self, removed: impl IntoIterator<Item = &'a ComponentV1>) {
        for c in removed {
            if let Some(serial) = &c.serial {
                self.built_in.remove(&(c.item_id.clone(), serial.clone()));
            }
        }
    }

    pub(crate) fn learn(&mut self, stream: &StreamId, event: &Event) {
        match event {
            Event::ProductUnitRegistered(e) => {
                let products = self.products.entry(e.serial.clone()).or_default();
                if !products.contains(&e.product_id) {
                    products.push(e.product_id.clone());
                }
            }
            Event::UnitRegistered(e) => {
                self.build_in(mw_contract::unit_id(&e.product_id, &e.serial), &e.components);
            }
            Event::UnitGenealogyAmended(e) => {
                self.take_out(&e.removed);
                self.build_in(mw_contract::unit_id(&e.product_id, &e.serial), &e.added);
            }
            Event::UnitComponentChanged(e) => {
                self.take_out(&e.removed);
                self.build_in(stream.id, &e.added);
            }
            _ => {}
        }
    }
}
