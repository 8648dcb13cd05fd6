//! Two weeks of the service department of the same plant, as a list of commands with their times: about
//! 120 tickets on the pumps that were shipped, on units that nobody knows, and on the plant's own machines.
//! Most are warranty cases; some wait for parts or for the customer, some are late, some come back.
//!
//! Owns what is done and when. It must know nothing of how commands are sent.

use mw_contract::{CommandType, Instant};
use serde_json::{Value, json};
use uuid::Uuid;

use super::history::{Act, DAY, Dice, HOUR, MINUTE, cell_id, id};

use CommandType as C;

/// Tickets that come in on a working day.
const TICKETS_A_DAY: u32 = 12;
/// The office opens at 08:00 UTC, for 8 hours.
const OPENS: i64 = 8 * HOUR;
/// What a repair takes at most, travel and report included.
const REPAIR: i64 = 38 * MINUTE;
const STORE: &str = "store";

/// A pump that a customer has, and since when.
#[derive(Clone, Debug)]
pub struct Shipped {
    /// Its serial number.
    pub serial: String,
    /// When it was shipped.
    pub at: Instant,
}

struct Desk {
    acts: Vec<Act>,
    dice: Dice,
    /// When the one technician is on the way or at work.
    busy: Vec<(Instant, Instant)>,
}

/// The commands of the service department from `begin` on. What would lie after the end of the history
/// is left out by the caller.
pub fn acts(begin: Instant, days: i64, shipped: &[Shipped]) -> Vec<Act> {
    let mut desk = Desk { acts: Vec::new(), dice: Dice::new(314), busy: Vec::new() };
    let mut number = 0;
    for day in 0..=days {
        let start = begin.plus_millis(day * DAY);
        // 1970-01-01 was a Thursday.
        if (start.millis().div_euclid(DAY) + 3).rem_euclid(7) >= 5 {
            continue;
        }
        let opens = start.plus_millis(OPENS);
        desk.day(opens, day);
        for n in 0..TICKETS_A_DAY {
            number += 1;
            let at = opens.plus_millis(i64::from(n) * 35 * MINUTE + i64::from(desk.dice.roll(20)) * MINUTE);
            let known: Vec<&Shipped> = shipped.iter().filter(|s| s.at < at).collect();
            let unit = known.get(desk.dice.roll(known.len().max(1) as u32) as usize).map(|s| s.serial.clone());
            desk.ticket(number, at, unit);
        }
    }
    desk.acts
}

/// What is to be found out about a ticket of the history.
struct Fault {
    symptom: &'static str,
    cause: &'static str,
    remedy: &'static str,
    title: &'static str,
    part: Option<&'static str>,
}

const FAULTS: [Fault; 5] = [
    Fault {
        symptom: "leak",
        cause: "seal_worn",
        remedy: "part_replaced",
        title: "Leaks at the shaft",
        part: Some("seal-20"),
    },
    Fault {
        symptom: "noise",
        cause: "bearing_worn",
        remedy: "part_replaced",
        title: "Loud bearing",
        part: Some("bearing-6204"),
    },
    Fault { symptom: "no_start", cause: "wiring_loose", remedy: "adjusted", title: "Does not start", part: None },
    Fault { symptom: "low_flow", cause: "misadjusted", remedy: "adjusted", title: "Too little flow", part: None },
    Fault { symptom: "overheats", cause: "fan_blocked", remedy: "cleaned", title: "Runs hot", part: None },
];

impl Desk {
    fn act(&mut self, at: Instant, account: &'static str, command: CommandType, ticket: Uuid, payload: Value) {
        let id = Some(ticket);
        self.acts.push(Act { at, account, command, id, payload, after_processes: false });
    }

    /// The last act builds on what process managers have made.
    fn after_processes(&mut self) {
        if let Some(a) = self.acts.last_mut() {
            a.after_processes = true;
        }
    }

    /// Parts come in; now and then a machine raises an alarm that opens a ticket by itself.
    fn day(&mut self, opens: Instant, day: i64) {
        for item in ["seal-20", "bearing-6204"] {
            let qty = if day % 5 == 4 { 1 } else { 6 };
            let delivery = json!({"item_id": item, "location": STORE, "qty": qty});
            let act = Act {
                at: opens.plus_millis(-HOUR),
                account: "lead-1",
                command: C::StockReceive,
                id: None,
                payload: delivery,
                after_processes: false,
            };
            self.acts.push(act);
        }
        if day % 3 == 1 {
            let (alarm, machine) =
                (id(&format!("service-alarm-{day}")), mw_contract::equipment_id(&cell_id("cell-1")).0);
            let code = ["spindle_overload", "coolant_low"][(day % 2) as usize];
            let raised = json!({"alarm_id": alarm, "code": code, "severity": 820});
            let at = opens.plus_millis(3 * HOUR);
            self.act(at, "cell-1", C::EquipmentRaiseAlarm, machine, raised);
            let over = json!({"alarm_id": alarm});
            self.act(at.plus_millis(50 * MINUTE), "cell-1", C::EquipmentClearAlarm, machine, over);
        }
    }

    fn ticket(&mut self, number: u32, at: Instant, unit: Option<String>) {
        let ticket = id(&format!("ticket-{number}"));
        let fault = &FAULTS[self.dice.roll(FAULTS.len() as u32) as usize];
        let severity = 1 + self.dice.roll(4).min(3);
        let by_portal = self.dice.chance(40);
        // Every sixth is about a unit that nobody knows: the customer pays.
        let serial = if number.is_multiple_of(6) { None } else { unit };
        let paid = serial.is_none();
        let opened = json!({
            "channel": if by_portal { "portal" } else { "phone" }, "title": fault.title, "customer_id": "acme",
            "serial": serial.clone().unwrap_or_else(|| format!("OLD-{number:04}")), "product_id": "pump-200",
            "severity": severity, "symptom": fault.symptom,
            "description": "Told on the telephone; the shift lead knows more.",
        });
        self.act(at, if by_portal { "customer-1" } else { "dispatcher-1" }, C::TicketOpen, ticket, opened);
        if self.dice.chance(4) {
            let why = json!({"reason": "wrong_data"});
            return self.act(at.plus_millis(25 * MINUTE), "dispatcher-1", C::TicketCancel, ticket, why);
        }
        // Some wait too long for their first answer.
        let answered = at.plus_millis(if self.dice.chance(12) { 4 * HOUR } else { 10 * MINUTE });
        let remote = self.dice.chance(15);
        let triaged = json!({"severity": severity, "priority": severity, "category": "repair",
            "service_mode": if remote { "remote" } else { "on_site" }, "estimated_effort": 5400});
        self.act(answered, "dispatcher-1", C::TicketTriage, ticket, triaged);
        let said = json!({"comment_id": id(&format!("comment-{number}")), "visibility": "public",
            "text": "Thank you, a technician will look at it."});
        self.act(answered.plus_millis(MINUTE), "dispatcher-1", C::TicketComment, ticket, said);
        let mut t = answered.plus_millis(20 * MINUTE);
        if paid {
            t = match self.quote(number, ticket, t) {
                Some(t) => t,
                None => return,
            };
        }
        self.act(t, "dispatcher-1", C::TicketAssignTechnician, ticket, json!({"lead": "technician-1"}));
        // A few are still open at the end of every day.
        if self.dice.chance(10) {
            return;
        }
        // Late ones wait for the day after the next.
        let wait = if self.dice.chance(15) { 2 * DAY } else { i64::from(1 + self.dice.roll(3)) * HOUR };
        let t = self.free_from(t.plus_millis(wait));
        self.repair(number, ticket, t, fault, serial.as_deref(), remote, paid);
    }

    /// The next time at which the technician has room for a repair; it is taken.
    fn free_from(&mut self, t: Instant) -> Instant {
        let mut t = office_hours(t);
        while let Some((_, end)) = self.busy.iter().find(|(from, to)| *from < t.plus_millis(REPAIR) && t < *to) {
            t = office_hours(*end);
        }
        self.busy.push((t, t.plus_millis(REPAIR)));
        t
    }

    /// A quote, and what the customer says to it. None: the customer does not want it.
    fn quote(&mut self, number: u32, ticket: Uuid, t: Instant) -> Option<Instant> {
        let quote = id(&format!("quote-{number}"));
        let price = |amount: &str| json!({"amount": amount, "currency": "EUR"});
        let until = t.plus_millis(14 * DAY).to_string();
        let lines = json!([
            {"kind": "labour", "text": "Repair on site", "qty": "1.5", "uom": "HUR", "unit_price": price("92.00"), "tax_pct": "19"},
            {"kind": "travel", "text": "Travel", "qty": 1, "uom": "C62", "unit_price": price("45.00"), "tax_pct": "19"},
        ]);
        let offered = json!({"quote_id": quote, "lines": lines, "valid_until": &until[..10]});
        self.act(t, "dispatcher-1", C::TicketSubmitQuote, ticket, offered);
        let t = t.plus_millis(50 * MINUTE);
        if self.dice.chance(25) {
            let no = json!({"quote_id": quote, "reason": "too_expensive", "wish": "return_unrepaired"});
            self.act(t, "customer-1", C::TicketRejectQuote, ticket, no);
            let end = json!({"resolution_code": "declined", "text": "The customer does not want the repair."});
            self.act(t.plus_millis(15 * MINUTE), "dispatcher-1", C::TicketResolve, ticket, end);
            return None;
        }
        let yes = json!({"quote_id": quote, "revision": 1, "purchase_order_ref": format!("PO-{number}")});
        self.act(t, "customer-1", C::TicketApproveQuote, ticket, yes);
        Some(t.plus_millis(10 * MINUTE))
    }

    fn repair(
        &mut self,
        number: u32,
        ticket: Uuid,
        mut t: Instant,
        fault: &Fault,
        serial: Option<&str>,
        remote: bool,
        paid: bool,
    ) {
        let who = "technician-1";
        if !remote {
            let visit = id(&format!("visit-{number}"));
            let window = json!({"visit_id": visit, "window_start": t, "window_end": t.plus_millis(2 * HOUR),
                "location": "site", "customer_confirmed": true, "force": true});
            self.act(t.plus_millis(-30 * MINUTE), "dispatcher-1", C::TicketScheduleVisit, ticket, window);
            let trip = id(&format!("trip-{number}"));
            let travel = json!({"trip_id": trip, "visit_id": visit});
            self.act(t, who, C::TicketStartTravel, ticket, travel);
            t = t.plus_millis(i64::from(4 + self.dice.roll(7)) * MINUTE);
            self.act(t, who, C::TicketArrive, ticket, json!({"trip_id": trip, "distance_km": "18.5"}));
            t = t.plus_millis(2 * MINUTE);
        }
        let session = id(&format!("service-session-{number}"));
        self.act(t, who, C::TicketStartWork, ticket, json!({"session_id": session, "activity": "diagnosis"}));
        t = t.plus_millis(6 * MINUTE);
        let nothing = self.dice.chance(8);
        let found = json!({"diagnosis_id": id(&format!("diagnosis-{number}")), "symptom": fault.symptom,
            "cause": fault.cause, "text": "Seen while it ran.", "recommendation": if nothing { "no_fault" } else { "repair" },
            "root_cause_in_production": number.is_multiple_of(20) && serial.is_some()});
        self.act(t, who, C::TicketRecordDiagnosis, ticket, found);
        if let Some(part) = fault.part.filter(|_| !nothing) {
            t = self.part(number, ticket, part, paid, t.plus_millis(MINUTE));
        }
        t = t.plus_millis(i64::from(4 + self.dice.roll(9)) * MINUTE);
        let log = json!({"log_id": id(&format!("log-{number}")), "activity": "admin", "chargeable": false,
            "start": t.plus_millis(5 * MINUTE), "end": t.plus_millis(9 * MINUTE)});
        let stop = json!({"session_id": session, "reason": "done"});
        self.act(t, who, C::TicketPauseWork, ticket, stop);
        self.act(t.plus_millis(9 * MINUTE), who, C::TicketLogWork, ticket, log);
        let t = t.plus_millis(10 * MINUTE);
        let done = match nothing {
            true => json!({"resolution_code": "no_fault_found", "text": "Runs as it should."}),
            false => json!({"resolution_code": if fault.part.is_some() { "repaired" } else { "adjusted" },
                "text": "Repaired and tested.", "cause": fault.cause, "remedy": fault.remedy}),
        };
        self.act(t, who, C::TicketResolve, ticket, done);
        self.afterwards(number, ticket, t);
    }

    /// A part is asked for and used; where the store has none the ticket waits for it.
    fn part(&mut self, number: u32, ticket: Uuid, part: &str, paid: bool, t: Instant) -> Instant {
        let asked = json!({"request_id": id(&format!("parts-{number}")),
            "lines": [{"item_id": part, "qty": 1, "uom": "H87"}]});
        self.act(t, "technician-1", C::TicketRequestParts, ticket, asked);
        let used = json!({"consumption_id": id(&format!("consumed-{number}")), "lines": [{"item_id": part, "qty": 1,
            "source": "van", "coverage": if paid { "chargeable" } else { "warranty" },
            "unit_cost": {"amount": "14.90", "currency": "EUR"}}]});
        let t = t.plus_millis(3 * MINUTE);
        self.act(t, "technician-1", C::TicketConsumeParts, ticket, used);
        self.after_processes();
        t
    }

    /// What the customer says when it is done.
    fn afterwards(&mut self, number: u32, ticket: Uuid, t: Instant) {
        let t = t.plus_millis(i64::from(1 + self.dice.roll(20)) * HOUR);
        if self.dice.chance(30) {
            // Nobody answers; it is closed by itself after five working days.
            return;
        }
        self.act(t, "customer-1", C::TicketConfirm, ticket, json!({}));
        if self.dice.chance(70) {
            let score = [5, 5, 5, 4, 4, 3, 2][self.dice.roll(7) as usize];
            let rated = json!({"score": score, "nps": (score * 2).min(10)});
            self.act(t.plus_millis(MINUTE), "customer-1", C::TicketRate, ticket, rated);
        }
        if number.is_multiple_of(17) {
            let again = json!({"reason": "quality", "same_fault": true});
            self.act(t.plus_millis(DAY), "customer-1", C::TicketReopen, ticket, again);
        }
    }
}

/// The same time, or the next morning on which the office works.
fn office_hours(t: Instant) -> Instant {
    let mut day = t.millis().div_euclid(DAY) * DAY;
    let mut t = t;
    if t.millis() - day > OPENS + 7 * HOUR {
        day += DAY;
        t = Instant::clamped(day + OPENS + 30 * MINUTE);
    }
    while (day.div_euclid(DAY) + 3).rem_euclid(7) >= 5 {
        day += DAY;
        t = Instant::clamped(day + OPENS + 30 * MINUTE);
    }
    t
}

#[cfg(test)]
mod tests {
    use super::super::history;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn two_weeks_have_about_a_hundred_and_twenty_tickets_and_the_same_every_time() {
        let end = "2026-03-16T08:00:00.000Z".parse().unwrap();
        let all = history::acts(end);
        let tickets = all.iter().filter(|a| a.command == C::TicketOpen).count();
        assert!((110..=135).contains(&tickets), "{tickets}");
        let kinds: BTreeSet<&str> = all.iter().map(|a| a.command.as_str()).collect();
        for kind in
            ["ticket.submit-quote", "ticket.reject-quote", "ticket.reopen", "ticket.rate", "ticket.consume-parts"]
        {
            assert!(kinds.contains(kind), "{kind}");
        }
        let warranty = all.iter().filter(|a| {
            let serial = a.payload["serial"].as_str().unwrap_or_default();
            a.command == C::TicketOpen && serial.starts_with('P')
        });
        assert!(warranty.count() > 60);
    }
}
