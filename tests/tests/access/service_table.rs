//! What each role may do to tickets and maintenance plans, with a payload of each command and the life
//! that a ticket or plan has to have behind it.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// What a ticket has to have been through before a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// There is none yet.
    Nothing,
    New,
    Escalated,
    Triaged,
    /// A quote is with the customer.
    Quoted,
    Assigned,
    Scheduled,
    Travelling,
    Working,
    Paused,
    /// A part is asked for, and kept.
    Parts,
    Logged,
    OnHold,
    /// Without work, so that no technician has repaired it.
    Advised,
    /// By technician-1.
    Resolved,
    Returning,
    Returned,
    /// A plan, new.
    Draft,
    Active,
    /// Nobody but the system may, so nobody gets there.
    Never,
}

/// The ids that the commands on one ticket or plan name.
pub struct Ids {
    pub id: String,
    pub master: String,
    pub machine: String,
    /// Of a comment or whatever the command itself makes, quote, visit, trip, session, request, log, return.
    pub n: Vec<String>,
    /// Of all of them the how many-th.
    pub count: u32,
}

pub type Payload = fn(&Ids) -> Value;

/// Section 6 of the business rules for tickets and plans; the columns are [`WHO`]: operator, line lead,
/// planner, inspector, technician, dispatcher, customer, auditor, admin, device.
pub fn table() -> Vec<(&'static str, &'static str, Life, Payload)> {
    use Life::*;
    vec![
        (
            "ticket.open",
            "cxxxxxc.x.",
            Nothing,
            |_| json!({"channel": "phone", "title": "stands still", "customer_id": "acme", "product_id": "pump-200"}),
        ),
        ("ticket.amend", "....cxc.x.", New, |_| json!({"title": "stands still again"})),
        (
            "ticket.comment",
            "ccxxxxc.x.",
            New,
            |i| json!({"comment_id": i.n[0], "text": "who looks at it?", "visibility": "public"}),
        ),
        ("ticket.mark-duplicate", ".....x..x.", New, |i| json!({"master_ticket_id": i.master})),
        (
            "ticket.triage",
            "....cx..x.",
            New,
            |_| json!({"severity": 2, "priority": 2, "category": "mechanical", "service_mode": "on_site"}),
        ),
        ("ticket.change-priority", "....cx..x.", Triaged, |_| json!({"priority": 1, "reason": "urgent"})),
        ("ticket.classify-fault", "....cx..x.", Assigned, |_| json!({"symptom": "leak"})),
        ("ticket.check-warranty", "....xx..x.", New, |_| json!({"serial": "ACCESS-404"})),
        ("ticket.override-warranty", ".....x..x.", New, |_| json!({"status": "goodwill", "reason": "kind"})),
        ("ticket.submit-quote", "....cx..x.", Triaged, quote),
        (
            "ticket.approve-quote",
            ".....xc...",
            Quoted,
            |i| json!({"quote_id": i.n[1], "revision": 1, "evidence": "by telephone"}),
        ),
        (
            "ticket.reject-quote",
            ".....xc...",
            Quoted,
            |i| json!({"quote_id": i.n[1], "reason": "too_expensive", "wish": "revise", "evidence": "by telephone"}),
        ),
        ("ticket.assign-technician", "....cx..x.", Triaged, |_| json!({"lead": "technician-1"})),
        ("ticket.reassign-technician", ".....x..x.", Assigned, |_| json!({"lead": "technician-2", "reason": "sick"})),
        ("ticket.accept-assignment", "....c.....", Assigned, |_| json!({})),
        ("ticket.decline-assignment", "....c.....", Assigned, |_| json!({"reason": "overload"})),
        ("ticket.schedule-visit", "....cx..x.", Assigned, visit),
        ("ticket.reschedule-visit", "....cx..x.", Scheduled, |i| {
            json!({"visit_id": i.n[2], "window_start": after_days(3, "08:00"),
                "window_end": after_days(3, "09:00"), "reason": "sick", "initiator": "us", "force": true})
        }),
        ("ticket.cancel-visit", "....cx..x.", Scheduled, |i| json!({"visit_id": i.n[2], "reason": "sick"})),
        ("ticket.start-travel", "....c...x.", Assigned, |i| json!({"trip_id": i.n[3]})),
        ("ticket.arrive", "....c...x.", Travelling, |i| json!({"trip_id": i.n[3]})),
        ("ticket.abort-travel", "....c...x.", Travelling, |_| json!({"reason": "traffic"})),
        ("ticket.start-work", "....c...x.", Assigned, session),
        ("ticket.pause-work", "....c...x.", Working, |i| json!({"session_id": i.n[4], "reason": "break"})),
        ("ticket.resume-work", "....c...x.", Paused, |i| json!({"session_id": i.n[0]})),
        (
            "ticket.record-diagnosis",
            "....c...x.",
            Paused,
            |i| json!({"diagnosis_id": i.n[0], "cause": "wear", "text": "worn", "recommendation": "repair"}),
        ),
        ("ticket.request-parts", "....c...x.", Assigned, parts),
        ("ticket.consume-parts", "....c...x.", Paused, |i| {
            json!({"consumption_id": i.n[0], "lines": [{"item_id": "seal-20", "qty": 1, "source": "van",
                "coverage": "warranty"}]})
        }),
        (
            "ticket.return-parts",
            "....c...x.",
            Parts,
            |_| json!({"lines": [{"item_id": "access-seal", "qty": 1}], "condition": "good", "to_location": "store"}),
        ),
        ("ticket.hold", "....cx..x.", Assigned, |_| json!({"reason": "internal"})),
        ("ticket.resume", "....cx..x.", OnHold, |_| json!({})),
        ("ticket.log-work", "....c...x.", Assigned, log),
        (
            "ticket.correct-work-log",
            "....cx..x.",
            Logged,
            |i| json!({"log_id": i.n[6], "activity": "waiting", "reason": "wrong_data"}),
        ),
        ("ticket.record-reading", "....c...x.", Assigned, |_| json!({"name": "hours", "value": "5", "unit": "h"})),
        // The unit that would take its place is made by nobody here: the role is what counts.
        (
            "ticket.replace-unit",
            "....ff..f.",
            Paused,
            |_| json!({"old_serial": "ACCESS-1", "new_serial": "ACCESS-2", "reason": "broken", "old_disposition": "scrap"}),
        ),
        ("ticket.request-replacement-order", "....cx..x.", Assigned, |i| {
            json!({"request_id": i.n[0], "product_id": "pump-200", "qty": 1, "uom": "H87", "mode": "replacement",
                "needed_by": "2031-06-01T00:00:00.000Z", "approver": "dispatcher-2"})
        }),
        ("ticket.cancel", ".....xc.x.", New, |_| json!({"reason": "wrong_data"})),
        ("ticket.resolve", "....cx..x.", Paused, done),
        ("ticket.verify", "...xcx..x.", Advised, |_| json!({"verdict": "pass"})),
        ("ticket.confirm", ".....xc...", Resolved, |_| json!({"evidence": "by telephone"})),
        ("ticket.close", ".....x..x.", Resolved, |_| json!({"reason": "manual"})),
        ("ticket.reopen", "....cxc.x.", Resolved, |_| json!({"reason": "quality", "same_fault": true})),
        ("ticket.rate", "......c...", Resolved, |_| json!({"score": 5})),
        ("ticket.escalate", "....xxc.x.", New, |_| json!({"level": 1, "reason": "stands still"})),
        ("ticket.de-escalate", ".....x..x.", Escalated, |_| json!({"reason": "runs again"})),
        ("ticket.authorize-return", ".....x..x.", Triaged, returning),
        ("ticket.receive-return", "....xx..x.", Returning, received),
        (
            "ticket.disposition-return",
            "...x.x..x.",
            Returned,
            |i| json!({"serial": serial(i), "disposition": "repair"}),
        ),
        ("ticket.ship-back", "....xx..x.", Returned, |i| json!({"serial": serial(i), "carrier": "DPD"})),
        ("ticket.link", ".....x..x.", New, |_| json!({"kind": "equipment", "id": "E-1", "relation": "caused_by"})),
        (
            "ticket.confirm-parts",
            "..........",
            Never,
            |i| json!({"request_id": i.n[5], "missing": [{"item_id": "access-seal", "missing_qty": 1}]}),
        ),
        ("ticket.expire-quote", "..........", Never, |i| json!({"quote_id": i.n[1], "revision": 1})),
        (
            "ticket.link-replacement-order",
            "..........",
            Never,
            |i| json!({"request_id": i.n[0], "work_order_id": i.n[1]}),
        ),
        ("ticket.confirm-replacement", "..........", Never, |i| json!({"request_id": i.n[0]})),
        ("ticket.fail-replacement", "..........", Never, |i| json!({"request_id": i.n[0], "reason": "late"})),
        ("ticket.release-parts", "..........", Never, |i| json!({"reservation_ids": [i.n[0]]})),
        ("ticket.raise-sla-warning", "..........", Never, |_| json!({"clock": "resolution", "cycle": 1, "pct": 75})),
        ("ticket.breach-sla", "..........", Never, |_| json!({"clock": "resolution", "cycle": 1})),
        ("maintenance-plan.create", "..x..x..x.", Nothing, plan),
        ("maintenance-plan.activate", "..x..x..x.", Draft, |_| json!({})),
        ("maintenance-plan.suspend", "..x..x..x.", Active, |_| json!({})),
        ("maintenance-plan.amend", "..x..x..x.", Draft, |_| json!({"name": "Look at the seals"})),
        ("maintenance-plan.skip", "..x..x..x.", Active, |_| json!({"reason": "wrong_data"})),
        ("maintenance-plan.mark-due", "..........", Never, |_| json!({"cause": "calendar"})),
        ("maintenance-plan.mark-done", "..........", Never, |_| json!({"done_on": "2026-03-02"})),
    ]
}

pub fn quote(i: &Ids) -> Value {
    json!({"quote_id": i.n[1], "valid_until": "2031-01-01", "lines": [{"kind": "labour", "text": "Repair", "qty": 1,
        "uom": "HUR", "unit_price": {"amount": "90", "currency": "EUR"}, "tax_pct": 19}]})
}

pub fn visit(i: &Ids) -> Value {
    json!({"visit_id": i.n[2], "window_start": after_days(2, "08:00"), "window_end": after_days(2, "09:00"),
        "location": "site", "force": true})
}

/// So many days from now, at this time.
pub fn after_days(days: u64, time: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    // Days since 1 March of the year 0, in eras of 400 years.
    let n = now / 86_400 + days + 719_468;
    let (era, of_era) = (n / 146_097, n % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let (month, day) = ((5 * of_year + 2) / 153, of_year - (153 * ((5 * of_year + 2) / 153) + 2) / 5 + 1);
    let month = if month < 10 { month + 3 } else { month - 9 };
    format!("{}-{month:02}-{day:02}T{time}:00.000Z", era * 400 + year + u64::from(month <= 2))
}

pub fn session(i: &Ids) -> Value {
    json!({"session_id": i.n[4], "activity": "repair"})
}

pub fn parts(i: &Ids) -> Value {
    json!({"request_id": i.n[5], "lines": [{"item_id": "access-seal", "qty": 1, "uom": "H87"}]})
}

pub fn log(i: &Ids) -> Value {
    // Nobody does two things at a time.
    let day = format!("2025-{:02}-{:02}", i.count / 28 % 12 + 1, i.count % 28 + 1);
    json!({"log_id": i.n[6], "activity": "admin", "chargeable": false, "start": format!("{day}T08:00:00.000Z"),
        "end": format!("{day}T08:10:00.000Z")})
}

pub fn done(_: &Ids) -> Value {
    json!({"resolution_code": "repaired", "text": "new seal", "cause": "wear", "remedy": "replaced"})
}

pub fn serial(i: &Ids) -> String {
    format!("A-{}", &i.n[7][24..])
}

pub fn returning(i: &Ids) -> Value {
    json!({"rma_no": format!("R-{}", &i.n[7][24..]), "serials": [serial(i)], "reason": "broken",
        "ship_to": "workshop", "valid_until": "2031-01-01"})
}

pub fn received(i: &Ids) -> Value {
    json!({"rma_no": format!("R-{}", &i.n[7][24..]), "serial": serial(i), "condition": "dirty"})
}

pub fn plan(i: &Ids) -> Value {
    json!({"name": "Check the seals", "target": {"kind": "equipment", "equipment_id": i.machine},
        "trigger": {"calendar": "FREQ=YEARLY"}, "last_done": {"at": "2026-01-01"},
        "template": {"title": "Check the seals"}})
}
