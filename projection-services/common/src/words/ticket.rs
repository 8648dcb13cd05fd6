//! What the events of tickets say.

use std::fmt::Write;

use mw_contract::event::ticket_parts::{FaultV1, VisitV1};
use mw_contract::{Event, Sealed};

use super::{clock, listed, one, signed_clock};
use crate::trail::Change;

/// One sentence; `None` for an event that is not of a ticket.
pub(super) fn words(event: &Event) -> Option<String> {
    intake(event).or_else(|| visits(event)).or_else(|| parts(event)).or_else(|| end(event)).or_else(|| sla(event))
}

fn named(s: &mut String, what: &str, value: Option<impl std::fmt::Display>) {
    if let Some(v) = value {
        let _ = write!(s, ", {what}{v}");
    }
}

fn people(lead: &mw_contract::AccountName, helpers: &[mw_contract::AccountName]) -> String {
    let all: Vec<&str> = helpers.iter().map(|h| h.as_str()).collect();
    if all.is_empty() { lead.to_string() } else { format!("{lead} with {}", all.join(", ")) }
}

fn intake(event: &Event) -> Option<String> {
    Some(match event {
        Event::TicketOpened(e) => {
            let mut s = format!("opened ticket {} ({}) by {}", e.number, e.kind, e.channel);
            named(&mut s, "for ", e.customer_id.as_ref());
            named(&mut s, "unit ", e.serial.as_ref());
            named(&mut s, "product ", e.product_id.as_ref());
            named(&mut s, "symptom ", e.symptom.as_ref());
            named(&mut s, "alarm ", e.alarm.as_ref().map(|a| &a.code));
            s
        }
        Event::TicketOccurrenceAdded(e) => format!("reported again by {}, {} times by now", e.channel, e.count),
        Event::TicketAmended(e) => {
            let all = [
                ("title", e.title.is_some()),
                ("description", e.description.is_some()),
                ("contact", e.contact_id.is_some()),
                ("site", e.service_site.is_some()),
                ("serial number", e.serial.is_some()),
                ("product", e.product_id.is_some()),
                ("time of the failure", e.down_since.is_some()),
            ];
            let names: Vec<&str> = all.iter().filter(|(_, there)| *there).map(|(n, _)| *n).collect();
            format!("amended {}", if names.is_empty() { "the ticket".to_owned() } else { names.join(", ") })
        }
        Event::CommentAdded(e) => {
            let mut s = format!("{} comment by {}", e.visibility, if e.by_staff { "staff" } else { "the customer" });
            if !e.attachments.is_empty() {
                let _ = write!(s, " with {} attachments", e.attachments.len());
            }
            s
        }
        Event::TicketMarkedDuplicate(e) => format!("is the same case as {}", e.master_number),
        Event::TicketTriaged(e) => {
            let mut s = format!(
                "triaged: severity {}, priority {}, category {}, {}",
                e.severity, e.priority, e.category, e.service_mode
            );
            named(&mut s, "team ", e.team.as_ref());
            named(&mut s, "about ", e.estimated_effort.map(|t| clock(t.0)));
            s
        }
        Event::FaultClassified(e) => {
            let mut s = format!("fault classified: {}", fault(&e.new));
            named(&mut s, "severity ", e.severity);
            s
        }
        Event::TicketPriorityChanged(e) => match e.old {
            Some(old) => format!("priority changed from {old} to {}: {}", e.new, e.reason),
            None => format!("priority set to {}: {}", e.new, e.reason),
        },
        Event::WarrantyChecked(e) => {
            let mut s = format!("warranty checked as of {}: {}", e.as_of, e.status);
            named(&mut s, "ends ", e.terms.as_ref().and_then(|t| t.warranty_end));
            named(&mut s, "made by order ", e.unit.as_ref().and_then(|u| u.work_order_number.as_ref()));
            s
        }
        Event::WarrantyOverridden(e) => {
            format!("warranty set from {} to {}, {} % covered: {}", e.old, e.new, e.coverage_pct, e.reason)
        }
        Event::QuoteSubmitted(e) => {
            let t = &e.totals;
            format!(
                "quote of {} submitted, revision {}, the customer pays {}, valid until {}",
                money(&t.gross),
                e.revision,
                money(&t.customer_share),
                e.valid_until
            )
        }
        Event::QuoteApproved(e) => {
            let mut s = format!("quote revision {} approved{}", e.revision, on_behalf(e.on_behalf));
            named(&mut s, "purchase order ", e.purchase_order_ref.as_ref());
            s
        }
        Event::QuoteRejected(e) => {
            format!("quote revision {} rejected{}, wish {}: {}", e.revision, on_behalf(e.on_behalf), e.wish, e.reason)
        }
        Event::QuoteExpired(e) => format!("quote revision {} expired", e.revision),
        _ => return None,
    })
}

fn money(m: &mw_contract::money::Money) -> String {
    format!("{} {}", m.amount, m.currency)
}

fn on_behalf(on_behalf: bool) -> &'static str {
    if on_behalf { " on behalf of the customer" } else { "" }
}

fn fault(f: &FaultV1) -> String {
    let all = [
        f.symptom.as_ref().map(|c| format!("symptom {c}")),
        f.cause.as_ref().map(|c| format!("cause {c}")),
        f.remedy.as_ref().map(|c| format!("remedy {c}")),
        f.component.as_ref().map(|c| format!("component {c}")),
        f.safety_relevant.then(|| "relevant to safety".to_owned()),
    ];
    let said: Vec<String> = all.into_iter().flatten().collect();
    if said.is_empty() { "nothing known".to_owned() } else { said.join(", ") }
}

fn window(v: &VisitV1) -> String {
    format!("{} to {} ({})", v.window_start, v.window_end, v.location)
}

fn visits(event: &Event) -> Option<String> {
    Some(match event {
        Event::TechnicianAssigned(e) => {
            let mut s = format!("assigned to {}", people(&e.lead, &e.helpers));
            named(&mut s, "team ", e.team.as_ref());
            named(&mut s, "due to start ", e.due_start);
            s
        }
        Event::TechnicianReassigned(e) => {
            format!("reassigned from {} to {}: {}", e.old, people(&e.new, &e.helpers), e.reason)
        }
        Event::AssignmentAccepted(e) => format!("{} took the assignment", e.technician),
        Event::AssignmentDeclined(e) => format!("{} declined the assignment: {}", e.technician, e.reason),
        Event::VisitScheduled(e) => {
            let forced = if e.forced { ", although it overlaps another" } else { "" };
            format!("visit of {} scheduled from {}{forced}", e.technician, window(&e.visit))
        }
        Event::VisitRescheduled(e) => {
            let forced = if e.forced { ", although it overlaps another" } else { "" };
            format!("visit moved to {} on the wish of {}{forced}: {}", window(&e.new), e.initiator, e.reason)
        }
        Event::VisitCancelled(e) => format!("visit cancelled: {}", e.reason),
        Event::TravelStarted(e) => {
            let mut s = format!("{} is on the way", e.technician);
            named(&mut s, "expected ", e.eta);
            s
        }
        Event::TechnicianArrived(e) => {
            let mut s = format!("{} arrived after {}", e.technician, clock(e.travel.0));
            named(&mut s, "", e.distance_km.map(|d| format!("{d} km")));
            s
        }
        Event::TravelAborted(e) => {
            format!("{} turned back after {}: {}", e.technician, clock(e.travel.0), e.reason)
        }
        Event::WorkStarted(e) => format!("{} started {}", e.technician, e.activity),
        Event::WorkClashNoticed(e) => {
            format!("{} has a work session open on ticket {} too", e.technician, e.other_ticket_id)
        }
        Event::WorkPaused(e) => format!("{} stopped after {}: {}", e.technician, clock(e.duration.0), e.reason),
        Event::WorkResumed(e) => {
            format!("{} resumed {} after {}", e.technician, e.activity, clock(e.paused_for.0))
        }
        Event::DiagnosisRecorded(e) => {
            let mut s = format!("diagnosed cause {}", e.cause);
            named(&mut s, "symptom ", e.symptom.as_ref());
            named(&mut s, "component ", e.component.as_ref());
            let _ = write!(s, ", recommends {}", e.recommendation);
            if e.root_cause_in_production {
                s.push_str(", the cause lies in production");
            }
            s
        }
        Event::WorkLogged(e) => {
            let pays = if e.log.chargeable { ", chargeable" } else { "" };
            format!("{} logged {} of {}{pays}", e.technician, clock(e.duration.0), e.log.activity)
        }
        Event::WorkLogCorrected(e) => format!(
            "log of {} was {} from {} to {}, not {} from {} to {} ({})",
            e.technician, e.new.activity, e.new.start, e.new.end, e.old.activity, e.old.start, e.old.end, e.reason
        ),
        Event::TicketReadingRecorded(e) => {
            let again = if e.reset { " after a reset" } else { "" };
            format!("counter {} shows {} {}{again}", e.name, e.value, e.unit)
        }
        _ => return None,
    })
}

fn parts(event: &Event) -> Option<String> {
    Some(match event {
        Event::PartsRequested(e) => format!("asked for {}", listed(&e.lines, |l| (l.qty, &l.item_id))),
        Event::PartsReserved(e) => format!("stock reserved {}", listed(&e.lines, |l| (l.qty, &l.item_id))),
        Event::PartsUnavailable(e) => format!("stock lacks {}", listed(&e.lines, |l| (l.missing_qty, &l.item_id))),
        Event::PartsReleased(e) => {
            format!("stock no longer keeps {}, which nobody fetched", listed(&e.lines, |l| (l.qty, &l.item_id)))
        }
        Event::PartsConsumed(e) => {
            let mut s = format!("used {}", listed(&e.lines, |l| (l.qty, &l.item_id)));
            named(&mut s, "in unit ", e.serial.as_ref());
            for l in &e.lines {
                named(&mut s, "put in ", l.new_serial.as_ref());
                named(&mut s, "took out ", l.removed_serial.as_ref());
            }
            s
        }
        Event::PartsReturned(e) => {
            format!("returned {} to {} ({})", listed(&e.lines, |l| (l.qty, &l.item_id)), e.to_location, e.condition)
        }
        Event::UnitReplaced(e) => format!(
            "unit {} replaced by {}, the old one to {}, warranty until {}: {}",
            e.old_serial, e.new_serial, e.old_disposition, e.warranty_end, e.reason
        ),
        Event::ReplacementOrderRequested(e) => {
            format!("asked production for {} {} ({}), needed by {}", e.qty, e.product_id, e.mode, e.needed_by)
        }
        Event::ReplacementOrderLinked(e) => {
            let order = e.number.as_ref().map_or_else(|| e.work_order_id.to_string(), ToString::to_string);
            format!("production makes it with order {order}")
        }
        Event::ReplacementOrderReady(e) => {
            let serials: Vec<&str> = e.serials.iter().map(|s| s.as_str()).collect();
            let units = if serials.is_empty() { String::new() } else { format!(": {}", serials.join(", ")) };
            format!("the replacement is ready{units}")
        }
        Event::ReplacementOrderFailed(e) => format!("the replacement does not come: {}", e.reason),
        Event::ReturnAuthorized(e) => {
            let serials: Vec<&str> = e.serials.iter().map(|s| s.as_str()).collect();
            format!(
                "return {} of {} to {} authorized until {}: {}",
                e.rma_no,
                serials.join(", "),
                e.ship_to,
                e.valid_until,
                e.reason
            )
        }
        Event::ReturnReceived(e) => {
            let other = if e.mismatch { ", which is not one that was to come" } else { "" };
            format!("unit {} received with return {} ({}){other}", e.serial, e.rma_no, e.condition)
        }
        Event::ReturnDispositioned(e) => format!("unit {} goes to {}", e.serial, e.disposition),
        Event::UnitShippedBack(e) => {
            let mut s = format!("unit {} shipped back with {}", e.serial, e.carrier);
            named(&mut s, "", e.tracking_no.as_ref());
            s
        }
        _ => return None,
    })
}

fn end(event: &Event) -> Option<String> {
    Some(match event {
        Event::TicketHeld(e) => {
            let sla = if e.pauses_sla { ", clocks stand still" } else { "" };
            let mut s = format!("put on hold: {}{sla}", e.reason);
            named(&mut s, "expected until ", e.expected_until);
            s
        }
        Event::TicketResumed(e) => format!("resumed to {} after {}", e.to_state, clock(e.held_for.0)),
        Event::TicketCancelled(e) => format!("cancelled: {}", e.reason),
        Event::TicketResolved(e) => {
            let mut s = format!("resolved: {}", e.resolution_code);
            named(&mut s, "cause ", e.cause.as_ref());
            named(&mut s, "remedy ", e.remedy.as_ref());
            if e.follow_up {
                s.push_str(", needs a follow-up");
            }
            s
        }
        Event::RepairVerified(e) => format!("repair tested: {}", e.verdict),
        Event::ResolutionConfirmed(e) => format!("resolution confirmed{}", on_behalf(e.on_behalf)),
        Event::TicketClosed(e) => format!(
            "closed ({}): labour {}, travel {}{}",
            e.reason,
            clock(e.totals.labour.0),
            clock(e.totals.travel.0),
            if e.first_time_fix { ", fixed the first time" } else { "" }
        ),
        Event::TicketReopened(e) => {
            let same = if e.same_fault { "the same fault" } else { "another fault" };
            format!("reopened for {same}, cycle {}: {}", e.cycle, e.reason)
        }
        Event::ServiceRated(e) => match e.old_score {
            Some(old) => format!("service rated {} of 5, not {old}", e.score),
            None => format!("service rated {} of 5", e.score),
        },
        Event::TicketEscalated(e) => {
            let mut s = format!("escalated from level {} to {}", e.old_level, e.level);
            named(&mut s, "team ", e.to_team.as_ref());
            s
        }
        Event::TicketDeescalated(e) => format!("escalation lowered from level {} to {}", e.old_level, e.level),
        Event::TicketLinkAdded(e) => format!("linked: {} {} {}", e.relation, e.kind, e.id),
        _ => return None,
    })
}

fn sla(event: &Event) -> Option<String> {
    Some(match event {
        Event::SlaStarted(e) => {
            let due = |c: &mw_contract::event::ticket_parts::ClockV1| match c.due {
                Some(t) => format!("{} due {t}", c.clock),
                None => format!("{} not running yet", c.clock),
            };
            let clocks: Vec<String> = e.clocks.iter().map(due).collect();
            format!("clocks of cycle {} started by policy {}: {}", e.cycle, e.policy.policy_code, clocks.join(", "))
        }
        Event::SlaPaused(e) => {
            format!("clock {} stands still ({}), {} left", e.clock, e.cause, signed_clock(e.remaining_s))
        }
        Event::SlaResumed(e) => {
            format!("clock {} runs again, {} left, due {}", e.clock, signed_clock(e.remaining_s), e.due)
        }
        Event::SlaPolicyApplied(e) => {
            let mut s = format!("policy {} applies", e.policy.policy_code);
            named(&mut s, "priority ", e.priority);
            for c in &e.clocks {
                named(&mut s, "", Some(format!("{} has {} left", c.clock, signed_clock(c.remaining_s))));
            }
            s
        }
        Event::SlaWarningRaised(e) => {
            let mut s = format!("{} % of clock {} is used up", e.pct, e.clock);
            named(&mut s, "due ", e.due);
            s
        }
        Event::SlaBreached(e) => format!("clock {} was due {}, missed by {}", e.clock, e.due, clock(e.by.0)),
        Event::SlaMet(e) => format!("clock {} met with {} to spare", e.clock, clock(e.spare.0)),
        Event::SlaBreachRevoked(e) => format!("clock {} was met after all: {}", e.clock, e.reason),
        _ => return None,
    })
}

/// The reason code that an event gives.
pub(super) fn reason(event: &Event) -> Option<String> {
    Some(match event {
        Event::TicketPriorityChanged(e) => e.reason.to_string(),
        Event::WarrantyOverridden(e) => e.reason.to_string(),
        Event::QuoteRejected(e) => e.reason.to_string(),
        Event::TechnicianReassigned(e) => e.reason.to_string(),
        Event::AssignmentDeclined(e) => e.reason.to_string(),
        Event::VisitRescheduled(e) => e.reason.to_string(),
        Event::VisitCancelled(e) => e.reason.to_string(),
        Event::TravelAborted(e) => e.reason.to_string(),
        Event::WorkPaused(e) => e.reason.to_string(),
        Event::TicketHeld(e) => e.reason.to_string(),
        Event::WorkLogCorrected(e) => e.reason.to_string(),
        Event::UnitReplaced(e) => e.reason.to_string(),
        Event::ReplacementOrderFailed(e) => e.reason.to_string(),
        Event::TicketCancelled(e) => e.reason.to_string(),
        Event::TicketClosed(e) => e.reason.to_string(),
        Event::TicketReopened(e) => e.reason.to_string(),
        Event::ReturnAuthorized(e) => e.reason.to_string(),
        Event::SlaBreachRevoked(e) => e.reason.to_string(),
        _ => return None,
    })
}

/// Old and new value of each field that an event names.
pub(super) fn changes(event: &Event) -> Vec<Change> {
    match event {
        Event::TicketAmended(e) => {
            let mut all = vec![one("serial", e.old_serial.as_ref(), e.serial.as_ref().or(e.old_serial.as_ref()))];
            // What it was before, the events before this one say.
            if let Some(t) = &e.title {
                all.push(one("title", None::<&str>, Some(t)));
            }
            if let Some(p) = &e.product_id {
                all.push(one("product", None::<&str>, Some(p)));
            }
            if let Some(t) = &e.down_since {
                all.push(one("down_since", None::<&str>, Some(t)));
            }
            all
        }
        Event::FaultClassified(e) => {
            let old = e.old.as_ref();
            vec![
                one("symptom", old.and_then(|f| f.symptom.as_ref()), e.new.symptom.as_ref()),
                one("cause", old.and_then(|f| f.cause.as_ref()), e.new.cause.as_ref()),
                one("remedy", old.and_then(|f| f.remedy.as_ref()), e.new.remedy.as_ref()),
                one("component", old.and_then(|f| f.component.as_ref()), e.new.component.as_ref()),
                one("safety_relevant", old.map(|f| f.safety_relevant), Some(e.new.safety_relevant)),
            ]
        }
        Event::TicketPriorityChanged(e) => vec![one("priority", e.old, Some(e.new))],
        Event::WarrantyOverridden(e) => vec![one("warranty", Some(e.old), Some(e.new))],
        Event::TechnicianReassigned(e) => vec![one("lead", Some(&e.old), Some(&e.new))],
        Event::VisitRescheduled(e) => vec![
            one("window_start", Some(e.old.window_start), Some(e.new.window_start)),
            one("window_end", Some(e.old.window_end), Some(e.new.window_end)),
            one("location", Some(e.old.location), Some(e.new.location)),
        ],
        Event::WorkLogCorrected(e) => vec![
            one("log.activity", Some(e.old.activity), Some(e.new.activity)),
            one("log.start", Some(e.old.start), Some(e.new.start)),
            one("log.end", Some(e.old.end), Some(e.new.end)),
            one("log.chargeable", Some(e.old.chargeable), Some(e.new.chargeable)),
        ],
        Event::TicketReadingRecorded(e) => {
            vec![one(&format!("counter.{}", e.name), e.old.as_ref(), Some(&e.value))]
        }
        Event::UnitReplaced(e) => vec![
            one("serial", Some(&e.old_serial), Some(&e.new_serial)),
            one("product", e.old_product_id.as_ref(), Some(&e.new_product_id)),
        ],
        Event::ServiceRated(e) => vec![one("score", e.old_score, Some(e.score))],
        Event::TicketEscalated(e) => vec![one("escalation", Some(e.old_level), Some(e.level))],
        Event::TicketDeescalated(e) => vec![one("escalation", Some(e.old_level), Some(e.level))],
        _ => Vec::new(),
    }
}

/// The one free text that an event carries for a reader.
pub(super) fn note(event: &Event) -> Option<&Sealed> {
    match event {
        Event::TicketOpened(e) => e.description.as_ref(),
        Event::TicketOccurrenceAdded(e) => e.description.as_ref(),
        Event::TicketAmended(e) => e.description.as_ref(),
        Event::CommentAdded(e) => Some(&e.text),
        Event::TicketTriaged(e) => e.override_reason.as_ref(),
        Event::TicketPriorityChanged(e) => e.note.as_ref(),
        Event::WarrantyOverridden(e) => e.note.as_ref(),
        Event::QuoteSubmitted(e) => e.terms.as_ref(),
        Event::QuoteApproved(e) => e.evidence.as_ref().and_then(|e| e.text.as_ref()),
        Event::QuoteRejected(e) => e.note.as_ref().or(e.evidence.as_ref().and_then(|e| e.text.as_ref())),
        Event::TechnicianAssigned(e) => e.override_reason.as_ref(),
        Event::TechnicianReassigned(e) => e.note.as_ref().or(e.handover_note.as_ref()).or(e.override_reason.as_ref()),
        Event::AssignmentDeclined(e) => e.note.as_ref(),
        Event::VisitRescheduled(e) => e.note.as_ref(),
        Event::VisitCancelled(e) => e.note.as_ref(),
        Event::TravelAborted(e) => e.note.as_ref(),
        Event::WorkPaused(e) => e.note.as_ref(),
        Event::DiagnosisRecorded(e) => Some(&e.text),
        Event::TicketHeld(e) => e.note.as_ref(),
        Event::TicketResumed(e) => e.note.as_ref(),
        Event::WorkLogged(e) => e.text.as_ref(),
        Event::WorkLogCorrected(e) => e.note.as_ref(),
        Event::UnitReplaced(e) => e.note.as_ref(),
        Event::TicketCancelled(e) => e.note.as_ref(),
        Event::TicketResolved(e) => Some(&e.text),
        Event::RepairVerified(e) => e.text.as_ref(),
        Event::ResolutionConfirmed(e) => e.evidence.as_ref().and_then(|e| e.text.as_ref()),
        Event::TicketClosed(e) => e.note.as_ref(),
        Event::TicketReopened(e) => e.note.as_ref(),
        Event::ServiceRated(e) => e.text.as_ref(),
        Event::TicketEscalated(e) => Some(&e.reason),
        Event::TicketDeescalated(e) => Some(&e.reason),
        Event::ReturnAuthorized(e) => e.note.as_ref(),
        Event::ReturnDispositioned(e) => e.note.as_ref(),
        _ => None,
    }
}
