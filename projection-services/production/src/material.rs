//! The material of an order: what each line of its bill needs, has and used.
//!
//! Sums only. Each movement is a row of its own, but for backflush, which follows from reports
//! and would be as long as they are.

use mw_contract::event::parts::{BomLineV1, ReservationV1, ShortageV1};
use mw_contract::*;
use serde::{Deserialize, Serialize};

use crate::order::Order;

/// What happened to the material of one BOM line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MaterialLine {
    pub line_no: u16,
    /// Taken from stock.
    pub issued: Qty,
    /// Brought back.
    pub returned: Qty,
    /// Used up, backflush included.
    pub consumed: Qty,
    /// Of it, what followed from reports.
    pub backflushed: Qty,
    /// Stock has said that there is not enough.
    pub short: bool,
}

/// A reservation that stock holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reservation {
    pub reservation_id: EntityId,
    pub request_id: EntityId,
    pub line_no: u16,
    pub item_id: ItemId,
    /// What of it was not issued yet.
    pub qty: Qty,
    pub location: Code,
    pub lot: Option<Text<40>>,
}

/// An item that may stand in for a line's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Substitute {
    pub line_no: u16,
    pub item_id: ItemId,
    /// How much of it stands for one of the line's.
    pub ratio: Qty,
    pub valid_qty: Option<Qty>,
    pub reason: ReasonCode,
}

/// Material that is missing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shortage {
    pub line_no: u16,
    pub item_id: ItemId,
    pub missing_qty: Qty,
}

impl Order {
    /// Folds the events of material; others change nothing.
    pub(crate) fn apply_material(&mut self, event: &Event) {
        match event {
            Event::MaterialReserved(e) => {
                let held = |r: &ReservationV1| Reservation {
                    reservation_id: r.reservation_id,
                    request_id: e.request_id,
                    line_no: r.line_no,
                    item_id: r.item_id.clone(),
                    qty: r.qty,
                    location: r.location.clone(),
                    lot: r.lot.clone(),
                };
                self.reservations.extend(e.lines.iter().map(held));
            }
            Event::MaterialReservationFailed(e) => {
                for l in &e.lines {
                    self.material(l.line_no).short = true;
                }
            }
            Event::MaterialReservationReleased(e) => {
                for r in &e.reservations {
                    self.unreserve(r.reservation_id, r.qty);
                }
            }
            Event::MaterialIssued(e) => {
                for l in &e.lines {
                    let m = self.material(l.line_no);
                    m.issued += l.qty;
                    if let Some(id) = l.reservation_id {
                        self.unreserve(id, l.qty);
                    }
                }
            }
            Event::MaterialReturned(e) => {
                for l in &e.lines {
                    let m = self.material(l.line_no);
                    m.returned += l.qty;
                }
            }
            Event::MaterialConsumed(e) => {
                for l in &e.lines {
                    let m = self.material(l.line_no);
                    m.consumed += l.qty;
                    if e.source == ConsumptionSource::Backflush {
                        m.backflushed += l.qty;
                    }
                }
            }
            Event::MaterialConsumptionCorrected(e) => {
                for l in &e.lines {
                    let m = self.material(l.line_no);
                    m.consumed = (m.consumed + l.new).less(l.old);
                    m.backflushed = (m.backflushed + l.new).less(l.old);
                }
            }
            Event::MaterialSubstituteApproved(e) => self.substitutes.push(Substitute {
                line_no: e.line_no,
                item_id: e.substitute_item_id.clone(),
                ratio: e.ratio,
                valid_qty: e.valid_qty,
                reason: e.reason.clone(),
            }),
            _ => {}
        }
    }

    fn material(&mut self, line_no: u16) -> &mut MaterialLine {
        let at = match self.materials.iter().position(|m| m.line_no == line_no) {
            Some(at) => at,
            None => {
                self.materials.push(MaterialLine::new(line_no));
                self.materials.len() - 1
            }
        };
        &mut self.materials[at]
    }

    fn unreserve(&mut self, id: EntityId, qty: Qty) {
        for r in self.reservations.iter_mut().filter(|r| r.reservation_id == id) {
            r.qty = r.qty.less(qty);
        }
        self.reservations.retain(|r| !r.qty.is_zero());
    }

    /// The release said what is missing.
    pub(crate) fn released_short(&mut self, shortages: &[ShortageV1]) {
        for s in shortages {
            self.material(s.line_no).short = true;
        }
    }

    /// Nobody waits for material any more.
    pub(crate) fn forget_shortages(&mut self) {
        for m in &mut self.materials {
            m.short = false;
        }
    }

    /// What happened to the material of a line so far.
    pub fn material_of(&self, line_no: u16) -> MaterialLine {
        self.materials.iter().find(|m| m.line_no == line_no).cloned().unwrap_or_else(|| MaterialLine::new(line_no))
    }

    /// What a line needs for all planned pieces, expected scrap included.
    pub fn required(&self, line: &BomLineV1) -> Qty {
        let net = self.header.planned_qty.times(line.qty_per_unit);
        let gross = net.and_then(|n| Qty::new(n.plus_percent(line.scrap_factor_pct).decimal()).ok());
        gross.unwrap_or(Qty::ZERO)
    }

    /// What stock holds for a line.
    pub fn reserved(&self, line_no: u16) -> Qty {
        self.reservations.iter().filter(|r| r.line_no == line_no).map(|r| r.qty).sum()
    }

    /// What is missing: of lines whose material is issued, from the release on; of others, once
    /// stock has said so. Nothing is missing when the order has ended.
    pub fn shortages(&self) -> Vec<Shortage> {
        use WorkOrderState as S;
        let state = self.header.state;
        if matches!(state, S::Completed | S::Closed | S::Cancelled) {
            return Vec::new();
        }
        let live = matches!(state, S::Released | S::InProgress | S::OnHold);
        let one = |b: &BomLineV1| {
            let m = self.material_of(b.line_no);
            if !(m.short || live && !b.backflush) {
                return None;
            }
            // What was used up was there, wherever it came from.
            let had = m.issued.less(m.returned).max(m.consumed);
            let missing_qty = self.required(b).less(self.reserved(b.line_no) + had);
            let missing = Shortage { line_no: b.line_no, item_id: b.item_id.clone(), missing_qty };
            (!missing_qty.is_zero()).then_some(missing)
        };
        self.bom.iter().filter_map(one).collect()
    }
}

impl MaterialLine {
    fn new(line_no: u16) -> Self {
        MaterialLine {
            line_no,
            issued: Qty::ZERO,
            returned: Qty::ZERO,
            consumed: Qty::ZERO,
            backflushed: Qty::ZERO,
            short: false,
        }
    }
}
