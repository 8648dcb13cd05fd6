//! Two weeks of a small plant, as a list of commands with their times: about 300 orders of two
//! products on two cells, with setup, stops, scrap, rework, shortages, inspections and changes of
//! plan; and what its service department did ([`service`]). The same every time: what looks like chance follows from the number of the order.
//!
//! Owns what is done and when. It must know nothing of how commands are sent.

use mw_contract::{CommandType, Instant};
use serde_json::{Value, json};
use uuid::Uuid;

use super::service;

use CommandType as C;

/// How far back the history begins.
pub const DAYS: i64 = 14;
/// Orders that begin on a working day.
const ORDERS_A_DAY: u32 = 30;
pub(super) const MINUTE: i64 = 60_000;
pub(super) const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;
/// The plant works from 05:00 UTC, for 16 hours.
const OPENS: i64 = 5 * HOUR;
const STORE: &str = "store";

/// One command of the history.
#[derive(Clone, Debug, PartialEq)]
pub struct Act {
    /// When it is sent, business time.
    pub at: Instant,
    /// Who sends it.
    pub account: &'static str,
    /// What it is.
    pub command: CommandType,
    /// What it acts on; none where the payload tells.
    pub id: Option<Uuid>,
    /// Its payload.
    pub payload: Value,
    /// It builds on what process managers have made of earlier commands.
    pub after_processes: bool,
}

/// A small generator of numbers, the same for the same seed (SplitMix64, Steele et al. 2014).
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Dice(seed)
    }

    pub(super) fn roll(&mut self, sides: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % u64::from(sides.max(1))) as u32
    }

    /// Does it happen, in so many of 100 cases?
    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.roll(100) < percent
    }
}

/// An id that is the same in every history.
pub(super) fn id(name: &str) -> Uuid {
    Uuid::new_v5(&mw_contract::ids::NAMESPACE, format!("demo-history:{name}").as_bytes())
}

struct Plant {
    acts: Vec<Act>,
    dice: Dice,
    begin: Instant,
    end: Instant,
    /// When each cell is free again.
    free: [Instant; 2],
}

const CELLS: [&str; 2] = ["cell-1", "cell-2"];

/// When the history before `end` begins.
pub fn begins(end: Instant) -> Instant {
    Instant::clamped((end.millis() - DAYS * DAY).div_euclid(DAY) * DAY)
}

/// The commands of the two weeks before `end`, in the order of their times.
pub fn acts(end: Instant) -> Vec<Act> {
    let first_day = begins(end);
    let mut plant = Plant { acts: Vec::new(), dice: Dice::new(2026), begin: first_day, end, free: [first_day; 2] };
    let mut number = 0;
    for day in 0..=DAYS {
        let start = first_day.plus_millis(day * DAY);
        // 1970-01-01 was a Thursday.
        let weekday = (start.millis().div_euclid(DAY) + 3).rem_euclid(7);
        if weekday >= 5 {
            continue;
        }
        plant.day(start.plus_millis(OPENS), day);
        for n in 0..ORDERS_A_DAY {
            number += 1;
            let at = start.plus_millis(OPENS + 15 * MINUTE + i64::from(n) * 30 * MINUTE);
            plant.order(number, at);
        }
    }
    let mut acts = plant.acts;
    let shipped: Vec<service::Shipped> = acts
        .iter()
        .filter(|a| a.command == C::UnitShip)
        .filter_map(|a| Some(service::Shipped { serial: a.payload["serial"].as_str()?.to_owned(), at: a.at }))
        .collect();
    acts.extend(service::acts(first_day, DAYS, &shipped));
    acts.retain(|a| a.at < end && a.at >= first_day);
    // Stable: what stands at the same time stays in the order in which it was thought of.
    acts.sort_by_key(|a| a.at);
    acts
}

impl Plant {
    fn act(&mut self, at: Instant, account: &'static str, command: CommandType, id: Option<Uuid>, payload: Value) {
        self.acts.push(Act { at, account, command, id, payload, after_processes: false });
    }

    /// What happens on every working day, orders apart.
    fn day(&mut self, opens: Instant, day: i64) {
        for cell in CELLS {
            let equipment = mw_contract::equipment_id(&cell_id(cell)).0;
            let who = if cell == "cell-1" { "cell-1" } else { "lead-1" };
            self.act(opens, who, C::EquipmentReportState, Some(equipment), json!({"state": "running"}));
            let closes = opens.plus_millis(16 * HOUR);
            self.act(closes, who, C::EquipmentReportState, Some(equipment), json!({"state": "idle"}));
        }
        // Deliveries are too small on every third day.
        let sheets = if day % 3 == 2 { 150 } else { 900 };
        let delivery = |item: &str, qty: u32| json!({"item_id": item, "location": STORE, "qty": qty});
        self.act(opens, "lead-1", C::StockReceive, None, delivery("sheet-2mm", sheets));
        self.act(opens, "lead-1", C::StockReceive, None, delivery("screw-m6", 4000));
        if day % 4 == 1 {
            let (alarm, equipment) = (id(&format!("alarm-{day}")), mw_contract::equipment_id(&cell_id("cell-1")).0);
            let at = opens.plus_millis(6 * HOUR);
            let raised = json!({"alarm_id": alarm, "code": "overheat", "severity": 620, "text": "spindle warm"});
            self.act(at, "cell-1", C::EquipmentRaiseAlarm, Some(equipment), raised);
            let seen = json!({"alarm_id": alarm, "note": "watching it"});
            self.act(at.plus_millis(4 * MINUTE), "operator-1", C::EquipmentAcknowledgeAlarm, Some(equipment), seen);
            let over = json!({"alarm_id": alarm});
            self.act(at.plus_millis(21 * MINUTE), "cell-1", C::EquipmentClearAlarm, Some(equipment), over);
        }
    }

    fn order(&mut self, number: u32, at: Instant) {
        let order = id(&format!("order-{number}"));
        let pump = number % 5 < 2;
        let qty = if pump { 3 + self.dice.roll(5) } else { 20 + 5 * self.dice.roll(9) };
        let mut payload = json!({
            "product_id": if pump { "pump-200" } else { "bracket-10" }, "planned_qty": qty, "uom": "H87",
            "due_at": at.plus_millis(DAY + 8 * HOUR), "priority": 2 + self.dice.roll(3), "line_id": "line-1",
            "under_tolerance_pct": "10",
        });
        if !pump {
            payload["bom"] = json!([{"line_no": 1, "item_id": "sheet-2mm", "qty_per_unit": "1"},
                {"line_no": 2, "item_id": "screw-m6", "qty_per_unit": "4", "backflush": true}]);
        }
        let made = at.plus_millis(-DAY).max(self.begin.plus_millis(HOUR));
        self.act(made, "planner-1", C::WorkOrderCreate, Some(order), payload);
        let plan = json!({"line_id": "line-1", "planned_start": at, "planned_end": at.plus_millis(4 * HOUR)});
        self.act(made.plus_millis(5 * MINUTE), "planner-1", C::WorkOrderPlan, Some(order), plan);
        if self.dice.chance(3) {
            let why = json!({"reason": "no_demand"});
            return self.act(made.plus_millis(2 * HOUR), "planner-1", C::WorkOrderCancel, Some(order), why);
        }
        if self.dice.chance(8) {
            let urgent = json!({"new_priority": 1, "reason": "customer_request"});
            self.act(made.plus_millis(HOUR), "planner-1", C::WorkOrderChangePriority, Some(order), urgent);
        }
        let released = at.plus_millis(-20 * MINUTE);
        self.act(released, "planner-1", C::WorkOrderRelease, Some(order), json!({"allow_shortage": true}));
        match pump {
            true => self.pumps(number, order, at, qty),
            false => self.brackets(number, order, at, qty),
        }
    }

    /// Serial-tracked: assembled on the first cell with setup, tested on the second.
    fn pumps(&mut self, number: u32, order: Uuid, at: Instant, qty: u32) {
        let serials: Vec<String> = (1..=qty).map(|n| format!("P{number:04}-{n:02}")).collect();
        let set_aside = json!({"serials": serials});
        self.act(at.plus_millis(-10 * MINUTE), "planner-1", C::WorkOrderAllocateSerials, Some(order), set_aside);
        let mut t = self.begin(0, at);
        let setup = self.session(order, 10, 0, "setup", t);
        t = t.plus_millis(5 * MINUTE + i64::from(self.dice.roll(4)) * MINUTE);
        self.pause(order, 10, &setup, "setup", t);
        t = self.work(order, 10, 0, qty, 62, t);
        self.free[0] = t;
        let mut t = self.begin(1, t);
        t = self.work(order, 20, 1, qty, 31, t);
        self.free[1] = t;
        for serial in &serials {
            let unit = json!({"serial": serial, "op": 20, "result": "good"});
            self.act(t.plus_millis(MINUTE), "operator-1", C::WorkOrderRegisterUnit, Some(order), unit);
        }
        let done = self.finish(order, t.plus_millis(5 * MINUTE));
        if number.is_multiple_of(5) {
            let shipped = json!({"serial": serials[0], "product_id": "pump-200", "customer_id": "acme"});
            let at = done.plus_millis(DAY);
            self.act(at, "dispatcher-1", C::UnitShip, None, shipped);
            self.acts.iter_mut().rev().take(1).for_each(|a| a.after_processes = true);
        }
    }

    /// No routing: one operation, on whichever cell is free first; material by the piece.
    fn brackets(&mut self, number: u32, order: Uuid, at: Instant, qty: u32) {
        let issue = json!({"issue_id": id(&format!("issue-{number}")),
            "lines": [{"line_no": 1, "qty": qty, "from_location": STORE}]});
        self.act(at.plus_millis(-5 * MINUTE), "lead-1", C::WorkOrderIssueMaterial, Some(order), issue);
        self.acts.iter_mut().rev().take(1).for_each(|a| a.after_processes = true);
        let cell = usize::from(self.free[1] < self.free[0]);
        let t = self.begin(cell, at);
        let bad = if self.dice.chance(6) { 1 + self.dice.roll(2) } else { 0 };
        let t = self.work_with(order, 10, cell, qty, 20, t, bad);
        self.free[cell] = t;
        let used = json!({"consumption_id": id(&format!("use-{number}")), "lines": [{"line_no": 1, "qty": qty}]});
        self.act(t.plus_millis(MINUTE), "lead-1", C::WorkOrderRecordConsumption, Some(order), used);
        if bad > 0 {
            self.nonconformance(number, order, bad, t.plus_millis(2 * MINUTE));
        }
        self.finish(order, t.plus_millis(30 * MINUTE));
    }

    /// When a cell can begin: not before `at`, and while the plant works.
    fn begin(&self, cell: usize, at: Instant) -> Instant {
        let at = at.max(self.free[cell]);
        let day = at.millis().div_euclid(DAY) * DAY;
        let in_day = at.millis() - day;
        match in_day {
            t if t < OPENS => Instant::clamped(day + OPENS),
            // The next morning; an order that would begin on a Saturday is worked off then.
            t if t > OPENS + 15 * HOUR => Instant::clamped(day + DAY + OPENS),
            _ => at,
        }
    }

    fn session(&mut self, order: Uuid, op: u16, cell: usize, kind: &str, at: Instant) -> Value {
        let session = json!(id(&format!("session-{order}-{op}-{kind}-{at}")));
        let started = json!({"op": op, "session_id": session, "cell_id": CELLS[cell], "kind": kind});
        self.act(at, "operator-1", C::WorkOrderStartOperation, Some(order), started);
        session
    }

    fn pause(&mut self, order: Uuid, op: u16, session: &Value, reason: &str, at: Instant) {
        let paused = json!({"op": op, "session_id": session, "reason": reason});
        self.act(at, "operator-1", C::WorkOrderPauseOperation, Some(order), paused);
    }

    fn work(&mut self, order: Uuid, op: u16, cell: usize, qty: u32, seconds: i64, t: Instant) -> Instant {
        self.work_with(order, op, cell, qty, seconds, t, 0)
    }

    /// A run session with reports, now and then a stop, and the end of the operation.
    fn work_with(
        &mut self,
        order: Uuid,
        op: u16,
        cell: usize,
        qty: u32,
        seconds: i64,
        mut t: Instant,
        bad: u32,
    ) -> Instant {
        let mut session = self.session(order, op, cell, "run", t);
        let half = qty / 2;
        t = t.plus_millis(i64::from(half) * seconds * 1000);
        self.report(order, op, 1, json!({"good": half}), t);
        if self.dice.chance(9) {
            let long = i64::from(4 + self.dice.roll(40)) * MINUTE;
            (session, t) = self.stop(order, op, cell, &session, long, t);
        }
        let rework = u32::from(bad > 1);
        t = t.plus_millis(i64::from(qty - half) * seconds * 1000 + i64::from(self.dice.roll(90)) * 1000);
        let mut said = json!({"good": qty - half - bad});
        if bad > rework {
            said["scrap"] = json!([{"qty": bad - rework, "reason": "surface"}]);
        }
        if rework > 0 {
            said["rework"] = json!([{"qty": rework, "reason": "dimension"}]);
        }
        self.report(order, op, 2, said, t);
        if rework > 0 {
            t = t.plus_millis(3 * MINUTE);
            self.report(order, op, 3, json!({"source": "rework", "good": rework}), t);
        }
        t = t.plus_millis(MINUTE);
        let ended = json!({"op": op, "session_id": session, "confirm_shortfall": true});
        self.act(t, "operator-1", C::WorkOrderCompleteOperation, Some(order), ended);
        t.plus_millis(MINUTE)
    }

    fn report(&mut self, order: Uuid, op: u16, n: u32, mut said: Value, at: Instant) {
        said["op"] = json!(op);
        said["report_id"] = json!(id(&format!("report-{order}-{op}-{n}")));
        self.act(at, "operator-1", C::WorkOrderReportQuantity, Some(order), said);
    }

    /// The cell stands still; somebody says why, then work goes on.
    fn stop(&mut self, order: Uuid, op: u16, cell: usize, session: &Value, long: i64, t: Instant) -> (Value, Instant) {
        let reason = ["minor_stop", "breakdown", "no_tool"][self.dice.roll(3) as usize];
        let equipment = Some(mw_contract::equipment_id(&cell_id(CELLS[cell])).0);
        let downtime = json!(id(&format!("downtime-{order}-{op}")));
        let began = json!({"downtime_id": downtime, "work_order_id": order, "op": op});
        self.act(t, "operator-1", C::EquipmentStartDowntime, equipment, began);
        self.pause(order, op, session, reason, t.plus_millis(1000));
        let why = json!({"downtime_id": downtime, "reason": reason});
        self.act(t.plus_millis(2 * MINUTE), "lead-1", C::EquipmentClassifyDowntime, equipment, why);
        let t = t.plus_millis(long);
        self.act(t, "operator-1", C::EquipmentEndDowntime, equipment, json!({"downtime_id": downtime}));
        let session = json!(id(&format!("session-{order}-{op}-again")));
        let on = json!({"op": op, "session_id": session, "cell_id": CELLS[cell]});
        let t = t.plus_millis(MINUTE);
        self.act(t, "operator-1", C::WorkOrderResumeOperation, Some(order), on);
        (session, t)
    }

    /// An inspector looks at what went wrong and says what becomes of it.
    fn nonconformance(&mut self, number: u32, order: Uuid, bad: u32, t: Instant) {
        let inspection = json!({"inspection_id": id(&format!("inspection-{number}")), "op": 10, "kind": "in_process",
            "sample_size": 5, "verdict": "fail", "defects": [{"code": "surface", "qty": bad}],
            "results": [{"characteristic": "surface", "verdict": "fail"}]});
        self.act(t, "inspector-1", C::WorkOrderRecordInspection, Some(order), inspection);
        let ncr = id(&format!("ncr-{number}"));
        let raised = json!({"ncr_id": ncr, "op": 10, "qty": 1, "defect_code": "surface", "severity": 3,
            "description": "scratches along the edge", "detected_at_stage": "in_process"});
        self.act(t.plus_millis(MINUTE), "inspector-1", C::WorkOrderRaiseNonconformance, Some(order), raised);
        let decided =
            json!({"ncr_id": ncr, "cause_code": "tool_wear", "lines": [{"disposition": "use_as_is", "qty": 1}]});
        self.act(t.plus_millis(9 * MINUTE), "inspector-1", C::WorkOrderDispositionNonconformance, Some(order), decided);
        let closed = json!({"ncr_id": ncr, "verification": "checked against the limit sample"});
        self.act(t.plus_millis(12 * MINUTE), "inspector-1", C::WorkOrderCloseNonconformance, Some(order), closed);
    }

    /// The order is completed, and closed when late reports can't come any more.
    fn finish(&mut self, order: Uuid, t: Instant) -> Instant {
        self.act(t, "lead-1", C::WorkOrderComplete, Some(order), json!({}));
        let closed = t.plus_millis(25 * HOUR);
        if closed < self.end {
            self.act(closed, "planner-1", C::WorkOrderClose, Some(order), json!({}));
        }
        t
    }
}

pub(super) fn cell_id(text: &str) -> mw_contract::CellId {
    // The cells of the demonstration are written here and well formed.
    text.parse().unwrap_or_else(|_| unreachable!("{text} is a cell"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn end() -> Instant {
        "2026-03-16T08:00:00.000Z".parse().unwrap()
    }

    #[test]
    fn two_weeks_have_about_three_hundred_orders_and_the_same_every_time() {
        let all = acts(end());
        let orders: BTreeSet<Uuid> =
            all.iter().filter(|a| a.command == C::WorkOrderCreate).filter_map(|a| a.id).collect();
        assert!((280..=330).contains(&orders.len()), "{}", orders.len());
        assert_eq!(all, acts(end()));
        assert!(all.is_sorted_by_key(|a| a.at));
        assert!(all.iter().all(|a| a.at < end()));
    }

    #[test]
    fn every_payload_can_be_read_and_every_kind_of_trouble_is_there() {
        let mut kinds = BTreeSet::new();
        for a in acts(end()) {
            let Value::Object(payload) = &a.payload else { panic!() };
            let read = mw_contract::Command::read(a.command, payload);
            assert!(read.is_ok(), "{}: {:?} {}", a.command, read.err(), a.payload);
            kinds.insert(a.command.as_str());
        }
        for kind in ["equipment.start-downtime", "work-order.raise-nonconformance", "work-order.cancel", "unit.ship"] {
            assert!(kinds.contains(kind), "{kind}");
        }
    }
}
