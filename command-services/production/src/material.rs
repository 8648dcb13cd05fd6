//! The material of an order, folded: asked for, set aside, issued, returned, used up (I3).
//!
//! Owns what is on the floor for the order, by line, item, lot and serial number. What stands in
//! for a line's item counts by its ratio; quantities by line are of the line's own item.

use std::collections::{BTreeMap, BTreeSet};

use mw_contract::decide::EventMeta;
use mw_contract::event::parts::{BomLineV1, ConsumedV1, ReservationV1};
use mw_contract::{ConsumptionSource, EntityId, Event, ItemId, Qty, Text};

use crate::state::WorkOrder;

/// What is known of the material of an order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Material {
    /// By line of the BOM.
    pub lines: BTreeMap<u16, LineUse>,
    /// What of each request is neither set aside nor refused yet, by line.
    pub requests: BTreeMap<EntityId, BTreeMap<u16, Qty>>,
    /// What stock keeps for the order.
    pub reservations: BTreeMap<EntityId, ReservationV1>,
    /// What may stand in for a line's item.
    pub substitutes: BTreeMap<(u16, ItemId), Substitute>,
    /// Ids of issues, returns and consumptions: none counts twice.
    pub ids: BTreeSet<EntityId>,
}

/// What became of the material of one line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LineUse {
    pub issued: Qty,
    pub returned: Qty,
    /// By record.
    pub consumed: Qty,
    /// By report.
    pub backflushed: Qty,
    /// On the floor: issued, and neither returned nor used up by record.
    pub floor: Vec<OnFloor>,
}

/// Material on the floor, as it was issued.
#[derive(Clone, Debug, PartialEq)]
pub struct OnFloor {
    pub item_id: ItemId,
    pub lot: Option<Text<40>>,
    /// In units of its own item.
    pub qty: Qty,
    pub serials: BTreeSet<Text<60>>,
}

/// Something that may stand in for a line's item.
#[derive(Clone, Debug, PartialEq)]
pub struct Substitute {
    /// How much of it stands for one of the line's item.
    pub ratio: Qty,
    /// For how much of the line's item at most.
    pub valid_qty: Option<Qty>,
}

/// What somebody means of the material on the floor.
#[derive(Clone, Copy, Debug)]
pub struct Portion<'a> {
    pub item_id: &'a ItemId,
    pub qty: Qty,
    pub lot: Option<&'a Text<40>>,
    pub serials: &'a [Text<60>],
}

impl LineUse {
    /// Issued and not returned.
    pub fn net(&self) -> Qty {
        self.issued.less(self.returned)
    }

    /// How much of a portion is on the floor; with serials, how many of them.
    pub fn on_floor(&self, p: Portion<'_>) -> Qty {
        if !p.serials.is_empty() {
            let there = |s: &&Text<60>| self.floor.iter().any(|f| f.item_id == *p.item_id && f.serials.contains(*s));
            return Qty::whole(u32::try_from(p.serials.iter().filter(there).count()).unwrap_or(u32::MAX));
        }
        self.floor.iter().filter(|f| p.fits(f)).map(|f| f.qty).sum()
    }

    /// Takes a portion from the floor, as far as it is there.
    pub(crate) fn take(&mut self, p: Portion<'_>) {
        let mut left = p.qty;
        for f in self.floor.iter_mut().filter(|f| p.fits(f)) {
            let here = match p.serials {
                [] => left.min(f.qty),
                serials => {
                    let before = f.serials.len();
                    f.serials.retain(|s| !serials.contains(s));
                    Qty::whole(u32::try_from(before - f.serials.len()).unwrap_or(u32::MAX)).min(f.qty)
                }
            };
            f.qty = f.qty.less(here);
            left = left.less(here);
        }
        self.floor.retain(|f| !f.qty.is_zero());
    }
}

impl Portion<'_> {
    fn fits(&self, f: &OnFloor) -> bool {
        f.item_id == *self.item_id && (self.lot.is_none() || f.lot.as_ref() == self.lot)
    }
}

impl Material {
    /// What became of a line.
    pub fn line(&self, line_no: u16) -> LineUse {
        self.lines.get(&line_no).cloned().unwrap_or_default()
    }

    /// How much of a line's own item a quantity of another one stands for.
    pub fn worth(&self, line_no: u16, item: &ItemId, qty: Qty) -> Qty {
        match self.substitutes.get(&(line_no, item.clone())) {
            // Of a ratio of nothing there is no quotient, and it stands for itself.
            Some(s) => {
                let worth = qty.decimal().checked_div(s.ratio.decimal()).map(|d| d.round_dp(6));
                worth.and_then(|d| Qty::new(d).ok()).unwrap_or(qty)
            }
            _ => qty,
        }
    }

    /// What stock keeps for a line.
    pub fn reserved(&self, line_no: u16) -> Qty {
        self.reservations
            .values()
            .filter(|r| r.line_no == line_no)
            .map(|r| self.worth(line_no, &r.item_id, r.qty))
            .sum()
    }

    /// What of a line's requests has no answer yet.
    pub fn requested(&self, line_no: u16) -> Qty {
        self.requests.values().filter_map(|r| r.get(&line_no).copied()).sum()
    }

    /// Set aside, or issued and not returned.
    pub fn covered(&self, line_no: u16) -> Qty {
        self.reserved(line_no) + self.line(line_no).net()
    }

    /// Is material of the order on the floor?
    pub fn anything_out(&self) -> bool {
        self.lines.values().any(|l| !l.floor.is_empty())
    }

    /// I3 for what is folded here; the bound on reservations is kept where they are asked for.
    pub fn i3_holds(&self) -> bool {
        self.lines.values().all(|l| l.returned <= l.issued && l.consumed <= l.net())
    }

    pub(crate) fn fold(&mut self, event: &Event, _: &EventMeta) {
        match event {
            Event::MaterialRequested(e) => {
                let open = self.requests.entry(e.request_id).or_default();
                for l in &e.lines {
                    *open.entry(l.line_no).or_default() += l.qty;
                }
            }
            Event::MaterialReserved(e) => {
                for r in &e.lines {
                    let worth = self.worth(r.line_no, &r.item_id, r.qty);
                    self.answer(e.request_id, r.line_no, worth);
                    self.reservations.insert(r.reservation_id, r.clone());
                }
            }
            Event::MaterialReservationFailed(e) => {
                for l in &e.lines {
                    self.answer(e.request_id, l.line_no, l.missing_qty);
                }
            }
            Event::MaterialReservationReleased(e) => {
                for r in &e.reservations {
                    self.use_up(r.reservation_id, r.qty);
                }
            }
            Event::MaterialIssued(e) => {
                self.ids.insert(e.issue_id);
                for l in &e.lines {
                    let worth = self.worth(l.line_no, &l.item_id, l.qty);
                    let line = self.lines.entry(l.line_no).or_default();
                    line.issued += worth;
                    line.floor.push(OnFloor {
                        item_id: l.item_id.clone(),
                        lot: l.lot.clone(),
                        qty: l.qty,
                        serials: l.serials.iter().cloned().collect(),
                    });
                    if let Some(id) = l.reservation_id {
                        self.use_up(id, l.qty);
                    }
                }
            }
            Event::MaterialReturned(e) => {
                self.ids.insert(e.return_id);
                for l in &e.lines {
                    let worth = self.worth(l.line_no, &l.item_id, l.qty);
                    let line = self.lines.entry(l.line_no).or_default();
                    line.returned += worth;
                    let portion = Portion { item_id: &l.item_id, qty: l.qty, lot: l.lot.as_ref(), serials: &l.serials };
                    line.take(portion);
                }
            }
            Event::MaterialConsumed(e) => {
                if e.source == ConsumptionSource::Recorded {
                    self.ids.insert(e.consumption_id);
                }
                for l in &e.lines {
                    self.consume(e.source, l);
                }
            }
            Event::MaterialConsumptionCorrected(e) => {
                for l in &e.lines {
                    let line = self.lines.entry(l.line_no).or_default();
                    line.backflushed = (line.backflushed + l.new).less(l.old);
                }
            }
            Event::MaterialSubstituteApproved(e) => {
                let substitute = Substitute { ratio: e.ratio, valid_qty: e.valid_qty };
                self.substitutes.insert((e.line_no, e.substitute_item_id.clone()), substitute);
            }
            // Stock takes back what it kept for an order that is over.
            Event::WorkOrderCancelled(_) | Event::WorkOrderCompleted(_) => {
                self.reservations.clear();
                self.requests.clear();
            }
            _ => {}
        }
    }

    fn consume(&mut self, source: ConsumptionSource, l: &ConsumedV1) {
        let worth = self.worth(l.line_no, &l.item_id, l.qty);
        let line = self.lines.entry(l.line_no).or_default();
        match source {
            ConsumptionSource::Recorded => {
                line.consumed += worth;
                let portion = Portion { item_id: &l.item_id, qty: l.qty, lot: l.lot.as_ref(), serials: &l.serials };
                line.take(portion);
            }
            ConsumptionSource::Backflush => line.backflushed += worth,
        }
    }

    /// A part of a request has its answer.
    fn answer(&mut self, request: EntityId, line_no: u16, qty: Qty) {
        let Some(open) = self.requests.get_mut(&request) else { return };
        if let Some(left) = open.get_mut(&line_no) {
            *left = left.less(qty);
        }
        open.retain(|_, left| !left.is_zero());
        if open.is_empty() {
            self.requests.remove(&request);
        }
    }

    fn use_up(&mut self, reservation: EntityId, qty: Qty) {
        if let Some(r) = self.reservations.get_mut(&reservation) {
            r.qty = r.qty.less(qty);
            if r.qty.is_zero() {
                self.reservations.remove(&reservation);
            }
        }
    }
}

/// The line that an item is for: its own, an alternative of it, or an approved substitute.
pub fn line_for<'a>(order: &'a WorkOrder, item: &ItemId) -> Option<&'a BomLineV1> {
    order.bom.iter().find(|l| may_stand_in(order, l, item))
}

/// Is an item what a line asks for, or may it stand in for that?
pub fn may_stand_in(order: &WorkOrder, line: &BomLineV1, item: &ItemId) -> bool {
    line.item_id == *item
        || line.alternatives.contains(item)
        || order.material.substitutes.contains_key(&(line.line_no, item.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{World, e, lead};
    use serde_json::json;

    #[test]
    fn i3_no_more_comes_back_or_is_used_up_than_was_issued() {
        let mut w = World::new();
        let id = w.with_material(5);
        let m = w.order(id).material.clone();
        assert!(m.i3_holds());
        let mut returned = m.clone();
        returned.lines.entry(1).or_default().returned = Qty::whole(1);
        assert!(!returned.i3_holds());
        let mut consumed = m;
        consumed.lines.entry(1).or_default().consumed = Qty::whole(1);
        assert!(!consumed.i3_holds());
    }

    #[test]
    fn what_was_issued_lies_on_the_floor_by_lot() {
        let mut w = World::new();
        let id = w.with_material(5);
        for (n, lot) in [(1, "L-1"), (2, "L-2")] {
            let lines = json!([{"line_no": 1, "qty": 3, "lot": lot, "from_location": "store"}]);
            let p = json!({"issue_id": e(n), "lines": lines, "over_issue_reason": "spare"});
            w.run(&lead(), "work-order.issue-material", id, p).unwrap();
        }
        let (item, lot) = ("sheet".parse().unwrap(), Text::new("L-2").unwrap());
        let line = w.order(id).material.line(1);
        let any = Portion { item_id: &item, qty: Qty::whole(1), lot: None, serials: &[] };
        assert_eq!(line.on_floor(any), Qty::whole(6));
        assert_eq!(line.on_floor(Portion { lot: Some(&lot), ..any }), Qty::whole(3));
        let mut taken = line;
        taken.take(Portion { qty: Qty::whole(4), ..any });
        assert_eq!(taken.on_floor(any), Qty::whole(2));
        assert_eq!(taken.floor.len(), 1, "the first lot is gone");
    }

    #[test]
    fn pieces_with_serial_numbers_are_taken_by_name() {
        let mut w = World::new();
        let id = w.with_motors(&["M-1", "M-2", "M-3"]);
        let line = w.order(id).material.line(1);
        let motor = "motor".parse().unwrap();
        let named = |names: &[&str]| names.iter().map(|n| Text::new(n).unwrap()).collect::<Vec<Text<60>>>();
        let (two, other) = (named(&["M-1", "M-9"]), "sheet".parse().unwrap());
        let portion = Portion { item_id: &motor, qty: Qty::whole(2), lot: None, serials: &two };
        assert_eq!(line.on_floor(portion), Qty::whole(1));
        assert_eq!(line.on_floor(Portion { item_id: &other, ..portion }), Qty::ZERO, "the number of another item");
        let (mut taken, out) = (line, named(&["M-1", "M-3"]));
        taken.take(Portion { serials: &out, ..portion });
        assert_eq!(taken.floor[0].qty, Qty::whole(1));
        assert!(taken.floor[0].serials.iter().eq(&named(&["M-2"])));
    }

    #[test]
    fn a_request_waits_until_each_of_its_lines_has_its_answer_and_nothing_is_kept_for_what_is_over() {
        let mut w = World::new();
        let bom = json!([{"line_no": 1, "item_id": "sheet", "qty_per_unit": 1},
            {"line_no": 2, "item_id": "screw", "qty_per_unit": 1}]);
        let id = w.bracket_with(5, json!({"bom": bom}));
        w.release(id);
        let lines = json!([{"line_no": 1, "qty": 3}, {"line_no": 2, "qty": 4}]);
        w.lead("work-order.request-material", id, json!({"request_id": e(1), "lines": lines})).unwrap();
        let reserved = json!([{"line_no": 1, "qty": 3, "location": "store", "reservation_id": e(2)}]);
        let answer = json!({"request_id": e(1), "reserved": reserved});
        w.run(&crate::fixture::system(), "work-order.confirm-reservation", id, answer).unwrap();
        let m = &w.order(id).material;
        assert_eq!(m.requests.values().flatten().collect::<Vec<_>>(), [(&2, &Qty::whole(4))]);
        assert_eq!(m.reserved(1), Qty::whole(3));
        w.planner("work-order.cancel", id, json!({"reason": "no_demand"})).unwrap();
        let m = &w.order(id).material;
        assert!(m.requests.is_empty() && m.reservations.is_empty());
    }
}
