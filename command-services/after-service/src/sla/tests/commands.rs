//! The clocks by the commands of a case, as a client sends them.

use super::*;
use crate::state::ClockEnd;

/// Reported on Monday at 09:00 by acme, looked at at once, and advice given by telephone on Tuesday.
struct Phone {
    w: World,
    id: AggregateId,
}

impl Phone {
    fn call() -> Self {
        let mut w = World::new();
        let id = id(w.fresh());
        let p = json!({"channel": "phone", "title": "pump stands still", "customer_id": "acme", "serial": "SN-1"});
        w.dispatcher("ticket.open", id, p).unwrap();
        let mut phone = Phone { w, id };
        let p = json!({"severity": 2, "priority": 2, "category": "mechanical", "service_mode": "remote"});
        phone.does("2 09:00", "triage", p);
        phone
    }

    fn does(&mut self, time: &str, command: &str, p: Value) -> Decision {
        self.w.now = berlin(time);
        self.w.dispatcher(&format!("ticket.{command}"), self.id, p).unwrap()
    }

    fn waits_and_goes_on(&mut self) -> Decision {
        let p = json!({"reason": "waiting_customer", "expected_until": berlin("4 12:00")});
        let d = self.does("2 16:00", "hold", p);
        assert_eq!(all_names(&d), ["TicketHeld", "SlaPaused"]);
        self.does("3 10:00", "resume", json!({}))
    }
}

#[test]
fn golden_02_by_the_commands_of_a_case() {
    let mut c = Phone::call();
    let d = c.waits_and_goes_on();
    assert_eq!(all_names(&d), ["TicketResumed", "SlaResumed"]);
    assert_eq!((&data(&d, 1)["remaining"], &data(&d, 1)["due"]), (&json!(3600), &json!(berlin("3 11:00"))));
}

#[test]
fn golden_16_by_the_commands_of_a_case() {
    let mut c = Phone::call();
    c.waits_and_goes_on();
    let says = json!({"comment_id": e(1), "text": "we look at it", "visibility": "public"});
    let d = c.does("3 10:30", "comment", says);
    assert_eq!(all_names(&d), ["CommentAdded", "SlaBreached"], "the first response never pauses");
    let d = c.does("3 10:45", "resolve", json!({"resolution_code": "advice_given", "text": "open the valve"}));
    assert_eq!(all_names(&d), ["TicketResolved", "SlaMet"]);
    c.does("3 12:00", "close", json!({"reason": "manual"}));
    let first = c.w.ticket(c.id).sla.clocks.clone();
    assert_eq!(first[&FirstResponse].ended, Some(ClockEnd::Late));
    c.w.now = berlin("10 09:00");
    let again = json!({"reason": "quality", "same_fault": true});
    let d = c.w.run(&customer(), "ticket.reopen", c.id, again).unwrap();
    assert_eq!(all_names(&d), ["TicketReopened", "SlaStarted"], "nothing is said of the first cycle");
    assert_eq!((&data(&d, 1)["cycle"], &data(&d, 1)["clocks"][1]["due"]), (&json!(2), &json!(berlin("10 17:00"))));
    let second = &c.w.ticket(c.id).sla.clocks;
    assert!(second.values().all(|k| k.ended.is_none() && !k.breached));
}
