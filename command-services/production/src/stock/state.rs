//! One item at one place, of one lot where it has one, folded from its events.

use std::collections::{BTreeMap, BTreeSet};

use mw_contract::{AggregateId, EntityId, Event, MaterialCondition, Qty, SiteId, Text};

/// An item at a place.
#[derive(Clone, Debug, PartialEq)]
pub struct StockItem {
    /// Where it is.
    pub site_id: SiteId,
    /// What is there, reserved or not.
    pub on_hand: Qty,
    /// The pieces that are there, where they are told apart.
    pub serials: BTreeSet<Text<60>>,
    /// What is kept, by reservation.
    pub reservations: BTreeMap<EntityId, Reservation>,
}

/// Something kept for somebody.
#[derive(Clone, Debug, PartialEq)]
pub struct Reservation {
    /// How much is still kept.
    pub qty: Qty,
    /// For which order.
    pub work_order_id: Option<AggregateId>,
}

impl StockItem {
    /// The item that a first event speaks of, before that event.
    pub(crate) fn begun(event: &Event) -> Option<Self> {
        let site_id = match event {
            Event::StockReceived(e) => &e.site_id,
            Event::StockReturned(e) => &e.site_id,
            Event::StockAdjusted(e) => &e.site_id,
            _ => return None,
        };
        Some(StockItem {
            site_id: site_id.clone(),
            on_hand: Qty::ZERO,
            serials: BTreeSet::new(),
            reservations: BTreeMap::new(),
        })
    }

    /// What is kept for others.
    pub fn reserved(&self) -> Qty {
        self.reservations.values().map(|r| r.qty).sum()
    }

    /// What is free to give away.
    pub fn available(&self) -> Qty {
        self.on_hand.less(self.reserved())
    }

    pub(crate) fn fold(&mut self, event: &Event) {
        match event {
            Event::StockReceived(e) => {
                self.on_hand = e.on_hand;
                self.serials.extend(e.serials.iter().cloned());
            }
            Event::StockReserved(e) => {
                let kept = Reservation { qty: e.qty, work_order_id: e.work_order_id };
                self.reservations.insert(e.reservation_id, kept);
            }
            Event::StockReservationReleased(e) => self.use_up(e.reservation_id, e.qty),
            Event::StockIssued(e) => {
                self.on_hand = e.on_hand;
                self.serials.retain(|s| !e.serials.contains(s));
                if let Some(id) = e.reservation_id {
                    self.use_up(id, e.qty);
                }
            }
            Event::StockReturned(e) => {
                self.on_hand = e.on_hand;
                if e.condition == MaterialCondition::Good {
                    self.serials.extend(e.serials.iter().cloned());
                }
            }
            Event::StockAdjusted(e) => {
                self.on_hand = e.on_hand;
                self.serials = e.serials.iter().cloned().collect();
            }
            _ => {}
        }
    }

    fn use_up(&mut self, id: EntityId, qty: Qty) {
        if let Some(r) = self.reservations.get_mut(&id) {
            r.qty = r.qty.less(qty);
            if r.qty.is_zero() {
                self.reservations.remove(&id);
            }
        }
    }
}
