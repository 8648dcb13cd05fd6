//! The transition matrix (2.7) once more, written out by hand from the business rules, and every command
//! tried in every state against it.

use mw_contract::decide::{Actor, Allowance};
use mw_contract::*;
use serde_json::{Value, json};

use super::{COLUMNS, MATRIX};
use crate::fixture::*;

/// The columns: New, Triaged, AwaitingApproval, Assigned, Scheduled, Travelling, InProgress, OnHold,
/// Resolved, Closed, Cancelled. `x` may; `.` may not; `n` only with a resolution code for which nobody
/// worked; `l` only what happened before the resolution; `r` only where the ticket is remote.
const TABLE: &[(&str, &str)] = &[
    ("amend", "xxxxxxxxx.."),
    ("comment", "xxxxxxxxxxx"),
    ("escalate", "xxxxxxxxx.."),
    ("de-escalate", "xxxxxxxxx.."),
    ("triage", "xx.xx..x..."),
    ("check-warranty", "xxxxxxxxx.."),
    ("override-warranty", "xxxxxxxxx.."),
    ("submit-quote", ".x.xx.x...."),
    ("approve-quote", "..x........"),
    ("reject-quote", "..x........"),
    ("assign-technician", ".x........."),
    ("reassign-technician", "...xxxxx..."),
    ("schedule-visit", "...xx......"),
    ("reschedule-visit", "...xx......"),
    ("cancel-visit", "...xx......"),
    ("start-travel", "...xx......"),
    ("arrive", ".....x....."),
    ("abort-travel", ".....x....."),
    ("start-work", "...xxxx...."),
    ("pause-work", "......x...."),
    ("resume-work", "......x...."),
    ("record-diagnosis", "...r..x...."),
    ("request-parts", ".x.xxxxx..."),
    ("consume-parts", "......x.l.."),
    ("log-work", "...xxxxxx.."),
    ("hold", ".x.xxxx...."),
    ("resume", ".......x..."),
    ("resolve", ".n.nn.x...."),
    ("verify", "........x.."),
    ("confirm", "........x.."),
    ("close", "........x.."),
    ("reopen", "........xx."),
    ("rate", "........xx."),
    ("cancel", "xxxxx..x..."),
    // Beyond the main commands: the states that stand with each of them.
    ("mark-duplicate", "xxxxxxxx..."),
    ("classify-fault", ".xxxxxxxx.."),
    ("change-priority", "xxxxxxxx..."),
    ("expire-quote", "..x........"),
    ("accept-assignment", "...xx......"),
    ("decline-assignment", "...x......."),
    ("confirm-parts", ".xxxxxxxx.."),
    ("release-parts", ".xxxxxxxx.."),
    ("return-parts", ".xxxxxxxx.."),
    ("correct-work-log", ".xxxxxxxx.."),
    ("record-reading", "...xxxxxx.."),
    ("replace-unit", "......x...."),
    ("request-replacement-order", ".xxxxxxx..."),
    ("link-replacement-order", ".xxxxxxxx.."),
    ("confirm-replacement", ".xxxxxxxx.."),
    ("fail-replacement", ".xxxxxxxx.."),
    ("authorize-return", ".xxxxxxx..."),
    ("receive-return", ".xxxxxxxx.."),
    ("disposition-return", ".xxxxxxxx.."),
    ("ship-back", ".xxxxxxxx.."),
    ("raise-sla-warning", "xxxxxxxxxxx"),
    ("breach-sla", "xxxxxxxxxxx"),
    ("link", "xxxxxxxxxxx"),
];

/// Who may do it, on a ticket that technician-1 leads where somebody does.
fn who(command: &str) -> Actor {
    match command {
        "start-travel" | "arrive" | "abort-travel" | "start-work" | "pause-work" | "resume-work"
        | "record-diagnosis" | "request-parts" | "consume-parts" | "return-parts" | "log-work" | "record-reading"
        | "accept-assignment" | "decline-assignment" => actor("technician-1", &[(Role::Technician, Allowance::Yes)]),
        "approve-quote" | "reject-quote" | "confirm" | "rate" => customer(),
        "expire-quote"
        | "confirm-parts"
        | "release-parts"
        | "link-replacement-order"
        | "confirm-replacement"
        | "fail-replacement"
        | "raise-sla-warning"
        | "breach-sla" => system(),
        _ => dispatcher(),
    }
}

/// A payload of the right shape. Where it names something of the ticket, [`ready`] has made it.
fn payload(command: &str, w: &World, id: AggregateId) -> Value {
    let t = w.ticket(id);
    let because = json!({"reason": "wrong_data"});
    let visit = t.open_visits().next().map_or_else(|| e(1), |v| v.visit.visit_id.to_string());
    let trip = t.open_trip().map_or_else(|| e(1), |t| t.trip_id.to_string());
    let quote = t.quote().map_or_else(|| e(1), |q| q.quote_id.to_string());
    let day = |h: i64| w.now.plus_millis(DAY + h * HOUR).to_string();
    match command {
        "amend" => json!({"title": "pump leaks"}),
        "comment" => json!({"comment_id": e(1), "text": "on it", "visibility": "public"}),
        "escalate" => json!({"level": 1, "reason": "stands still"}),
        "de-escalate" => json!({"reason": "runs again"}),
        "triage" => json!({"severity": 2, "priority": 2, "category": "mechanical", "service_mode": "on_site"}),
        "override-warranty" => json!({"status": "goodwill", "reason": "wrong_data"}),
        "submit-quote" => json!({"quote_id": e(1), "valid_until": "2026-04-01", "lines": [{"kind": "labour",
            "text": "Repair", "qty": 1, "uom": "HUR", "unit_price": {"amount": "9", "currency": "EUR"},
            "tax_pct": 19}]}),
        "approve-quote" => json!({"quote_id": quote, "revision": 1}),
        "reject-quote" => json!({"quote_id": quote, "reason": "too_expensive", "wish": "scrap"}),
        "expire-quote" => json!({"quote_id": quote, "revision": 1}),
        "assign-technician" => json!({"lead": "technician-1"}),
        "reassign-technician" => json!({"lead": "technician-2", "reason": "sick"}),
        "schedule-visit" => {
            json!({"visit_id": e(1), "window_start": day(0), "window_end": day(1), "location": "site"})
        }
        "reschedule-visit" => json!({"visit_id": visit, "window_start": day(0), "window_end": day(1),
            "reason": "sick", "initiator": "us"}),
        "cancel-visit" => json!({"visit_id": visit, "reason": "sick"}),
        "start-travel" => json!({"trip_id": e(1)}),
        "arrive" => json!({"trip_id": trip}),
        "abort-travel" => json!({"reason": "wrong_data"}),
        "start-work" => json!({"session_id": e(1), "activity": "repair"}),
        "pause-work" => json!({"session_id": t.sessions.last().map_or_else(|| e(1), |s| s.session_id.to_string()),
            "reason": "break"}),
        "resume-work" => json!({"session_id": e(1)}),
        "record-diagnosis" => json!({"diagnosis_id": e(1), "cause": "wear", "text": "worn",
            "recommendation": "repair"}),
        "request-parts" => json!({"request_id": e(1), "lines": [{"item_id": "seal", "qty": 1, "uom": "H87"}]}),
        "confirm-parts" => json!({"request_id": e(60), "missing": [{"item_id": "seal", "missing_qty": 1}]}),
        "consume-parts" => json!({"consumption_id": e(1), "lines": [{"item_id": "seal", "qty": 1, "source": "van",
            "coverage": "warranty"}]}),
        "return-parts" => json!({"lines": [{"item_id": "seal", "qty": 1}], "condition": "good",
            "to_location": "store"}),
        "hold" => json!({"reason": "internal"}),
        "log-work" => json!({"log_id": e(1), "activity": "admin", "chargeable": false,
            "start": w.now.plus_millis(-20 * HOUR), "end": w.now.plus_millis(-19 * HOUR)}),
        "correct-work-log" => json!({"log_id": e(62), "activity": "waiting", "reason": "wrong_data"}),
        "record-reading" => json!({"name": "hours", "value": "5", "unit": "h"}),
        "resolve" => json!({"resolution_code": "repaired", "text": "new seal", "cause": "wear",
            "remedy": "replaced"}),
        "verify" => json!({"verdict": "pass"}),
        "close" => json!({"reason": "manual"}),
        "reopen" => json!({"reason": "wrong_data", "same_fault": true}),
        "rate" => json!({"score": 5}),
        "mark-duplicate" => json!({"master_ticket_id": first()}),
        "classify-fault" => json!({"symptom": "leak"}),
        "change-priority" => json!({"priority": 1, "reason": "wrong_data"}),
        "replace-unit" => json!({"old_serial": "SN-1", "new_serial": "SN-2", "reason": "broken",
            "old_disposition": "scrap"}),
        "request-replacement-order" => json!({"request_id": e(1), "product_id": "pump-200", "qty": 1, "uom": "H87",
            "needed_by": day(0), "mode": "replacement", "return_serial": "SN-7"}),
        "link-replacement-order" => json!({"request_id": e(61), "work_order_id": crate::fixture::id(0x50)}),
        "confirm-replacement" => json!({"request_id": e(61)}),
        "fail-replacement" => json!({"request_id": e(61), "reason": "cancelled"}),
        "authorize-return" => json!({"serials": ["SN-1"], "reason": "broken", "ship_to": "workshop",
            "valid_until": "2026-04-01"}),
        "receive-return" => json!({"rma_no": "R-9", "serial": "SN-9", "condition": "dirty"}),
        "disposition-return" => json!({"serial": "SN-8", "disposition": "repair"}),
        "ship-back" => json!({"serial": "SN-8", "carrier": "DPD"}),
        "release-parts" => json!({"reservation_ids": [e(63)]}),
        "raise-sla-warning" => json!({"clock": "resolution", "cycle": 1, "pct": 75}),
        "breach-sla" => json!({"clock": "resolution", "cycle": 1}),
        "link" => json!({"kind": "equipment", "id": "E-1", "relation": "caused_by"}),
        "cancel" | "decline-assignment" => because,
        _ => json!({}),
    }
}

/// The ticket that a world makes first: the master of a duplicate.
fn first() -> AggregateId {
    id(2)
}

/// A ticket in a state, with what the payloads name.
fn ready(w: &mut World, state: TicketState, command: &str) -> AggregateId {
    use mw_contract::event::ticket::*;
    use mw_contract::event::ticket_parts::{PartRequestV1, PartReservationV1, WorkLogV1};
    let id = w.in_state(state);
    let entity = |n: u128| e(n).parse::<EntityId>().unwrap();
    match command {
        "expire-quote" => w.later(60 * DAY),
        "reschedule-visit" | "cancel-visit" if state == TicketState::Assigned => {
            // A visit whose time has passed leaves the ticket assigned.
            let (start, end) = (w.now.plus_millis(HOUR), w.now.plus_millis(2 * HOUR));
            w.scheduled(id, start, end);
            w.given(
                id,
                TicketHeldV1 {
                    reason: "internal".parse().unwrap(),
                    pauses_sla: false,
                    resume_state: TicketState::Scheduled,
                    expected_until: None,
                    note: None,
                },
            );
            w.later(DAY);
            w.dispatcher("ticket.resume", id, json!({})).unwrap();
        }
        "de-escalate" => w.given(
            id,
            TicketEscalatedV1 { old_level: 0, level: 1, reason: Sealed::Plain("stands still".into()), to_team: None },
        ),
        "pause-work" | "resume-work" if state == TicketState::InProgress => {
            let s = w.working(id, WorkActivity::Repair);
            if command == "resume-work" {
                w.paused(id, s);
            }
        }
        "confirm-parts" | "return-parts" | "release-parts" => {
            let uom = mw_contract::reference::Uom::new("H87").unwrap();
            let (item_id, qty) = ("seal".parse::<ItemId>().unwrap(), Qty::whole(1));
            let line = PartRequestV1 { item_id: item_id.clone(), qty, uom, needed_by: None, for_serial: None };
            w.given(id, PartsRequestedV1 { request_id: entity(60), lines: vec![line] });
            if command != "confirm-parts" {
                let line = PartReservationV1 {
                    reservation_id: entity(63),
                    item_id,
                    qty,
                    location: "store".parse().unwrap(),
                    lot: None,
                };
                w.given(id, PartsReservedV1 { request_id: entity(60), lines: vec![line] });
            }
        }
        "correct-work-log" => w.given(
            id,
            WorkLoggedV1 {
                log_id: entity(62),
                technician: "technician-1".parse().unwrap(),
                log: WorkLogV1 {
                    activity: LogActivity::Admin,
                    start: w.now.plus_millis(-20 * HOUR),
                    end: w.now.plus_millis(-19 * HOUR),
                    chargeable: false,
                },
                text: None,
                duration: Seconds(3600),
            },
        ),
        "link-replacement-order" | "confirm-replacement" | "fail-replacement" => w.given(
            id,
            ReplacementOrderRequestedV1 {
                request_id: entity(61),
                product_id: "pump-200".parse().unwrap(),
                qty: Qty::whole(1),
                uom: mw_contract::reference::Uom::new("H87").unwrap(),
                needed_by: w.now.plus_millis(DAY),
                mode: ReplacementMode::Replacement,
                return_serial: None,
                customer_id: None,
                priority: None,
                number: text("TK-2026-000001"),
                approver: None,
            },
        ),
        "receive-return" | "disposition-return" | "ship-back" => {
            w.given(
                id,
                ReturnAuthorizedV1 {
                    rma_no: text("R-9"),
                    serials: vec![text("SN-8"), text("SN-9")],
                    reason: "broken".parse().unwrap(),
                    note: None,
                    ship_to: Text::new("workshop").unwrap(),
                    carrier: None,
                    valid_until: "2026-04-01".parse().unwrap(),
                    service_mode: ServiceMode::Workshop,
                },
            );
            w.given(
                id,
                ReturnReceivedV1 {
                    rma_no: text("R-9"),
                    serial: text("SN-8"),
                    product_id: None,
                    mismatch: false,
                    condition: "dirty".parse().unwrap(),
                    photos: vec![],
                },
            );
        }
        _ => {}
    }
    assert_eq!(w.ticket(id).state, state, "{command}");
    id
}

#[test]
fn the_matrix_cell_by_cell() {
    let rows: Vec<&str> = TABLE.iter().map(|(name, _)| *name).collect();
    let of_tickets = CommandType::ALL.iter().filter(|c| c.aggregate() == AggregateKind::Ticket);
    for c in of_tickets.filter(|c| **c != CommandType::TicketOpen) {
        let name = c.as_str().strip_prefix("ticket.").unwrap();
        assert!(rows.contains(&name), "{name} has no row");
    }
    assert_eq!((rows.len(), MATRIX.len()), (57, 57));
    for (name, row) in TABLE {
        for (state, cell) in COLUMNS.iter().zip(row.chars()) {
            let mut w = World::new();
            assert_eq!(w.opened(), first());
            let id = ready(&mut w, *state, name);
            let command = format!("ticket.{name}");
            let p = payload(name, &w, id);
            let at = |w: &World, at: Instant, p: &Value| w.ask_at(at, &who(name), &command, id, p.clone());
            let now = at(&w, w.now, &p);
            let refused = matches!(&now, Err(r) if r.code == ErrorCode::InvalidState);
            let here = format!("{name} in {state}: {now:?}");
            match cell {
                'x' => assert!(now.is_ok_and(|d| !d.late), "{here}"),
                '.' => {
                    assert!(refused, "{here}");
                    // Nor is it a late report, nor for a code without work, nor for a remote ticket.
                    let mut variants = vec![at(&w, w.now.plus_millis(-1), &p)];
                    if *name == "resolve" {
                        let code = json!({"resolution_code": "advice_given", "text": "by phone"});
                        variants.push(at(&w, w.now, &code));
                    }
                    assert!(variants.into_iter().all(|r| code(r) == ErrorCode::InvalidState), "{here}");
                }
                'n' => {
                    assert!(refused, "{here}");
                    for done in ["repaired", "replaced", "adjusted", "software_updated"] {
                        let p = json!({"resolution_code": done, "text": "t", "cause": "wear", "remedy": "replaced"});
                        assert_eq!(code(at(&w, w.now, &p)), ErrorCode::InvalidState, "{done} in {state}");
                    }
                    for none in ["no_fault_found", "advice_given", "declined", "scrapped", "returned_unrepaired"] {
                        let p = json!({"resolution_code": none, "text": "t"});
                        at(&w, w.now, &p).unwrap_or_else(|r| panic!("{none} in {state}: {r:?}"));
                    }
                }
                'l' => {
                    assert!(refused, "{here}");
                    let before = at(&w, w.now.plus_millis(-1), &p);
                    assert!(before.as_ref().is_ok_and(|d| d.late), "{name} in {state}: {before:?}");
                    w.later(DAY + 1);
                    assert_eq!(code(at(&w, w.now.plus_millis(-DAY - 2), &p)), ErrorCode::InvalidState, "a day later");
                }
                'r' => {
                    assert!(refused, "{here}");
                    w.triaged(id, ServiceMode::Remote);
                    at(&w, w.now, &p).unwrap();
                }
                other => panic!("{other}"),
            }
        }
    }
}

#[test]
fn a_refusal_tells_the_state_and_those_in_which_it_is_possible() {
    let mut w = World::new();
    let id = w.in_state(TicketState::Closed);
    let r = w.ask(&dispatcher(), "ticket.hold", id, json!({"reason": "internal"}));
    assert_eq!(detail(r.clone(), "state"), json!("closed"));
    assert_eq!(detail(r, "allowed"), json!(["triaged", "assigned", "scheduled", "travelling", "in_progress"]));
}

#[test]
fn what_does_not_exist_is_not_found() {
    let mut w = World::new();
    let ticket = w.opened();
    for (name, _) in TABLE {
        let p = payload(name, &w, ticket);
        let r = w.ask(&who(name), &format!("ticket.{name}"), id(424_242), p);
        assert_eq!(code(r), ErrorCode::NotFound, "{name}");
    }
}
