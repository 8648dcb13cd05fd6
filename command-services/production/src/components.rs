//! Serial numbers of components: which are known, and to which order each was issued.

use std::collections::{HashMap, HashSet};

use mw_contract::{AggregateId, Event, ItemId, StreamId, Text};

/// Components with serial numbers of their own.
#[derive(Clone, Debug, Default)]
pub struct ComponentFacts {
    known: HashMap<ItemId, HashSet<Text<60>>>,
    issued: HashMap<(ItemId, Text<60>), AggregateId>,
}

impl ComponentFacts {
    /// The order that has it.
    pub fn issued_to(&self, item: &ItemId, serial: &Text<60>) -> Option<AggregateId> {
        self.issued.get(&(item.clone(), serial.clone())).copied()
    }

    /// Are serial numbers of this item known, and this is none of them?
    pub fn is_unknown(&self, item: &ItemId, serial: &Text<60>) -> bool {
        self.known.get(item).is_some_and(|k| !k.contains(serial))
    }

    fn know(&mut self, item: &ItemId, serials: &[Text<60>]) {
        if !serials.is_empty() {
            self.known.entry(item.clone()).or_default().extend(serials.iter().cloned());
        }
    }

    pub(crate) fn learn(&mut self, stream: &StreamId, event: &Event) {
        match event {
            Event::StockReceived(e) => self.know(&e.item_id, &e.serials),
            Event::StockReturned(e) => self.know(&e.item_id, &e.serials),
            Event::StockAdjusted(e) => self.know(&e.item_id, &e.serials),
            // A unit that was made can be a component of another.
            Event::UnitRegistered(e) => {
                if let Ok(item) = e.product_id.as_str().parse() {
                    self.know(&item, std::slice::from_ref(&e.serial));
                }
            }
            Event::MaterialIssued(e) => {
                for l in &e.lines {
                    for s in &l.serials {
                        self.issued.insert((l.item_id.clone(), s.clone()), stream.id);
                    }
                }
            }
            Event::MaterialReturned(e) => {
                for l in &e.lines {
                    for s in &l.serials {
                        self.issued.remove(&(l.item_id.clone(), s.clone()));
                    }
                }
            }
            _ => {}
        }
    }
}
