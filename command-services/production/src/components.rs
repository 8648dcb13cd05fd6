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

#[cfg(test)]
mod tests {
    use crate::fixture::{World, planner, system, unit};
    use mw_contract::{ItemId, Text, stock_id};
    use serde_json::json;

    #[test]
    fn whatever_names_a_serial_number_makes_it_known() {
        let mut w = World::new();
        let motor: ItemId = "motor".parse().unwrap();
        let unknown = |w: &World, item: &ItemId, s: &str| w.facts.components.is_unknown(item, &Text::new(s).unwrap());
        assert!(!unknown(&w, &motor, "M-1"), "of an item without any nothing is unknown");
        let store = stock_id(&motor, &"store".parse().unwrap(), None);
        let at = |more: serde_json::Value| {
            let mut p = json!({"item_id": "motor", "location": "store"});
            p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            p
        };
        let back = at(json!({"qty": 1, "serials": ["M-1"]}));
        w.run(&system(), "stock.return", store, back).unwrap();
        assert!(!unknown(&w, &motor, "M-1") && unknown(&w, &motor, "M-2"));
        let counted = at(json!({"on_hand": 2, "reason": "counted", "serials": ["M-1", "M-2"]}));
        w.run(&planner(), "stock.adjust", store, counted).unwrap();
        assert!(!unknown(&w, &motor, "M-2") && unknown(&w, &motor, "M-3"));
        // What was made here can be a component too.
        let pump: ItemId = "pump-200".parse().unwrap();
        w.shipped_pump("P-1");
        assert!(!unknown(&w, &pump, "P-1") && unknown(&w, &pump, "P-2"));
        assert_eq!(w.state(unit("P-1")).unit().unwrap().serial.as_str(), "P-1");
    }
}
