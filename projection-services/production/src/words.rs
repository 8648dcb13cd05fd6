//! What an event says, in plain words, for a person who reads the audit trail. Codes and numbers
//! only: sealed text is kept beside, sealed.

use std::fmt::Write;

use mw_contract::{Event, Sealed};

/// One sentence without a full stop.
pub fn words(event: &Event) -> String {
    match event {
        Event::WorkOrderCreated(e) => {
            let mut s = format!("created order {}: {} {} of {}", e.number, e.planned_qty, e.uom.as_str(), e.product_id);
            if let Some(rev) = &e.product_rev {
                let _ = write!(s, " rev {rev}");
            }
            let _ = write!(s, ", due {}", e.due_at);
            s
        }
        Event::WorkOrderAmended(e) => {
            let names: Vec<&str> = e.changed.keys().map(String::as_str).collect();
            format!("amended {}", if names.is_empty() { "the order".to_owned() } else { names.join(", ") })
        }
        Event::WorkOrderPlanned(e) => format!("planned on {} from {} to {}", e.line_id, e.planned_start, e.planned_end),
        Event::WorkOrderReleased(e) if e.shortages.is_empty() => "released".to_owned(),
        Event::WorkOrderReleased(e) => {
            let missing: Vec<String> = e.shortages.iter().map(|s| format!("{} {}", s.missing_qty, s.item_id)).collect();
            format!("released although {} is missing", missing.join(", "))
        }
        Event::WorkOrderStarted(e) => format!("production started at {}", e.actual_start),
        Event::WorkOrderHeld(e) => format!("put on hold ({}): {}", e.kind, e.reason),
        Event::WorkOrderResumed(e) => format!("resumed to {} after {}", e.to_state, clock(e.held_for.0)),
        Event::WorkOrderCompleted(e) => {
            let short = if e.short_closed { ", short-closed" } else { "" };
            format!("completed: {} good, {} scrap, {} rework{short}", e.good, e.scrap, e.rework)
        }
        Event::WorkOrderClosed(e) => {
            let forced = if e.forced { ", before the late window ended" } else { "" };
            format!(
                "closed: {} good, {} scrap, labour {}, machine {}{forced}",
                e.good,
                e.scrap,
                clock(e.labour.0),
                clock(e.machine.0)
            )
        }
        Event::WorkOrderCancelled(e) => format!("cancelled: {}", e.reason),
        Event::OperationStarted(e) => {
            format!("operation {}: {} started {} on {}", e.op, e.operator, e.kind, e.cell_id)
        }
        Event::OperationPaused(e) => {
            let why = e.reason.as_ref().map_or_else(|| e.cause.to_string(), ToString::to_string);
            format!("operation {}: session ended after {} ({why})", e.op, clock(e.session_duration.0))
        }
        Event::OperationResumed(e) => {
            format!("operation {}: {} resumed on {} after {}", e.op, e.operator, e.cell_id, clock(e.paused_for.0))
        }
        Event::OperationQuantityReported(e) => {
            let mut s = format!("operation {}: {} good", e.op, e.good);
            for r in &e.scrap {
                let _ = write!(s, ", {} scrap ({})", r.qty, r.reason);
            }
            for r in &e.rework {
                let _ = write!(s, ", {} to rework ({})", r.qty, r.reason);
            }
            let _ = write!(s, " reported by {}", e.operator);
            s
        }
        Event::OperationCompleted(e) => {
            format!(
                "operation {}: completed with {} good, {} scrap, {} in rework",
                e.op, e.good, e.scrap, e.rework_open
            )
        }
        Event::SerialsAllocated(e) => match e.serials.as_slice() {
            [] => "allocated no serial numbers".to_owned(),
            [one] => format!("allocated serial number {one}"),
            [first, .., last] => format!("allocated {} serial numbers, {first} to {last}", e.serials.len()),
        },
        Event::UnitRegistered(e) => format!("registered unit {} as {} at operation {}", e.serial, e.result, e.op),
        Event::NoteAdded(e) => match e.attachments.len() {
            0 => "added a note".to_owned(),
            n => format!("added a note with {n} attachments"),
        },
        Event::WorkOrderUnplanned(e) => format!("taken out of the plan: {}", e.reason),
        Event::WorkOrderRescheduled(e) => {
            let mut s = "rescheduled".to_owned();
            if let (true, Some(line)) = (e.old.line_id != e.new.line_id, &e.new.line_id) {
                let _ = write!(s, " to {line}");
            }
            if let (Some(start), Some(end)) = (e.new.planned_start, e.new.planned_end) {
                let _ = write!(s, ", from {start} to {end}");
            }
            let _ = write!(s, ": {}", e.reason);
            s
        }
        Event::WorkOrderReleaseRevoked(e) => format!("release taken back: {}", e.reason),
        Event::WorkOrderQuantityChanged(e) => {
            format!("planned quantity changed from {} to {}: {}", e.old_qty, e.new_qty, e.reason)
        }
        Event::WorkOrderDueDateChanged(e) => format!("due date moved from {} to {}: {}", e.old, e.new, e.reason),
        Event::WorkOrderPriorityChanged(e) => format!("priority changed from {} to {}", e.old, e.new),
        Event::OperationAssigned(e) => {
            let cell = e.cell_id.iter().map(ToString::to_string);
            let crew = e.crew.iter().map(|c| format!("crew {c}"));
            let to: Vec<String> = cell.chain(e.operators.iter().map(ToString::to_string)).chain(crew).collect();
            format!("operation {}: assigned to {}", e.op, to.join(", "))
        }
        Event::OperationUnassigned(e) => {
            let from: Vec<&str> = e.operators.iter().map(|o| o.as_str()).collect();
            format!("operation {}: no longer assigned to {}", e.op, from.join(", "))
        }
        Event::WorkOrderShortClosed(e) => {
            format!("short-closed: {} of {} good, {} dropped ({})", e.good, e.planned_qty, e.dropped_qty, e.reason)
        }
        Event::WorkOrderReopened(e) => {
            format!("reopened from {} to {}, cycle {}: {}", e.from_state, e.to_state, e.cycle, e.reason)
        }
        Event::OperationReportCorrected(e) => {
            format!(
                "operation {}: report corrected by {} good, {} scrap, {} rework ({})",
                e.op, e.delta.good, e.delta.scrap, e.delta.rework, e.reason
            )
        }
        Event::OperationSessionCorrected(e) => {
            let span = |s: &mw_contract::event::parts::SpanV1| {
                let end = s.ended_at.map_or_else(|| "now".to_owned(), |t| t.to_string());
                format!("{} to {end}", s.started_at)
            };
            format!("operation {}: session was {}, not {} ({})", e.op, span(&e.new), span(&e.old), e.reason)
        }
        Event::OperationReopened(e) => format!("operation {}: reopened ({})", e.op, e.reason),
        Event::OperationSkipped(e) => format!("operation {}: skipped ({})", e.op, e.reason),
        Event::OperationAdded(e) => {
            format!("operation {}: added, {} ({})", e.operation.op, e.operation.name, e.reason)
        }
        Event::LotAssigned(e) => format!("assigned lot {}", e.lot),
        Event::SerialVoided(e) => format!("voided serial number {} ({})", e.serial, e.reason),
        Event::LinkAdded(e) => format!("linked: {} {} {}", e.relation, e.kind, e.id),
        Event::ReferencePut(e) => format!("put {} {}, revision {}", e.kind, e.code, e.revision),
        Event::ReferenceRetired(e) => format!("retired {} {}", e.kind, e.code),
        Event::AccountAdded(e) => format!("added account {} with {}", e.account, list(&e.roles, &e.sites)),
        Event::AccountGranted(e) => format!("granted {} {}", e.account, list(&e.roles, &e.sites)),
        Event::AccountRevoked(e) => format!("took from {} {}", e.account, list(&e.roles, &e.sites)),
        Event::AccountSecretRotated(e) => format!("replaced the secret of {}", e.account),
        Event::AccountDisabled(e) => format!("disabled account {}", e.account),
        Event::AccountEnabled(e) => format!("enabled account {}", e.account),
        other => other.event_type().as_str().to_owned(),
    }
}

fn list(roles: &[mw_contract::Role], sites: &[mw_contract::SiteId]) -> String {
    let roles: Vec<String> = roles.iter().map(|r| format!("role {r}")).collect();
    let sites = sites.iter().map(|s| format!("site {s}"));
    let all: Vec<String> = roles.into_iter().chain(sites).collect();
    if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
}

/// Seconds as `h:mm:ss`.
pub fn clock(seconds: u64) -> String {
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// The reason code that an event gives.
pub fn reason(event: &Event) -> Option<String> {
    match event {
        Event::WorkOrderHeld(e) => Some(e.reason.to_string()),
        Event::WorkOrderCancelled(e) => Some(e.reason.to_string()),
        Event::WorkOrderUnplanned(e) => Some(e.reason.to_string()),
        Event::OperationReportCorrected(e) => Some(e.reason.to_string()),
        Event::OperationSessionCorrected(e) => Some(e.reason.to_string()),
        Event::OperationReopened(e) => Some(e.reason.to_string()),
        Event::OperationSkipped(e) => Some(e.reason.to_string()),
        Event::OperationAdded(e) => Some(e.reason.to_string()),
        Event::LotAssigned(e) => e.reuse_reason.as_ref().map(ToString::to_string),
        Event::SerialVoided(e) => Some(e.reason.to_string()),
        Event::WorkOrderRescheduled(e) => Some(e.reason.to_string()),
        Event::WorkOrderReleaseRevoked(e) => Some(e.reason.to_string()),
        Event::WorkOrderQuantityChanged(e) => Some(e.reason.to_string()),
        Event::WorkOrderDueDateChanged(e) => Some(e.reason.to_string()),
        Event::WorkOrderPriorityChanged(e) => e.reason.as_ref().map(ToString::to_string),
        Event::WorkOrderShortClosed(e) => Some(e.reason.to_string()),
        Event::WorkOrderReopened(e) => Some(e.reason.to_string()),
        Event::OperationPaused(e) => e.reason.as_ref().map(ToString::to_string),
        Event::ReferenceRetired(e) => e.reason.as_ref().map(ToString::to_string),
        Event::AccountDisabled(e) => e.reason.as_ref().map(ToString::to_string),
        _ => None,
    }
}

/// The one free text that an event carries for a reader: its note.
pub fn note(event: &Event) -> Option<&Sealed> {
    match event {
        Event::WorkOrderCreated(e) => e.note.as_ref(),
        Event::WorkOrderReleased(e) => e.note.as_ref(),
        Event::WorkOrderHeld(e) => e.note.as_ref(),
        Event::WorkOrderResumed(e) => e.note.as_ref(),
        Event::WorkOrderCompleted(e) => e.note.as_ref(),
        Event::WorkOrderClosed(e) => e.note.as_ref(),
        Event::WorkOrderCancelled(e) => e.note.as_ref(),
        Event::WorkOrderUnplanned(e) => e.note.as_ref(),
        Event::OperationReportCorrected(e) => e.note.as_ref(),
        Event::OperationSessionCorrected(e) => e.note.as_ref(),
        Event::OperationReopened(e) => e.note.as_ref(),
        Event::OperationSkipped(e) => e.note.as_ref(),
        Event::OperationAdded(e) => e.note.as_ref(),
        Event::SerialVoided(e) => e.note.as_ref(),
        Event::WorkOrderRescheduled(e) => e.note.as_ref(),
        Event::WorkOrderReleaseRevoked(e) => e.note.as_ref(),
        Event::WorkOrderQuantityChanged(e) => e.note.as_ref(),
        Event::WorkOrderDueDateChanged(e) => e.note.as_ref(),
        Event::WorkOrderPriorityChanged(e) => e.note.as_ref(),
        Event::WorkOrderShortClosed(e) => e.note.as_ref(),
        Event::WorkOrderReopened(e) => e.note.as_ref(),
        Event::OperationPaused(e) => e.note.as_ref(),
        Event::NoteAdded(e) => Some(&e.text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mw_contract::event::work_order::*;
    use mw_contract::*;

    #[test]
    fn a_person_can_read_it() {
        let held = WorkOrderHeldV1 {
            reason: "quality_hold".parse().unwrap(),
            kind: HoldKind::Held,
            expected_resume_at: None,
            resume_state: WorkOrderState::Released,
            note: None,
        };
        assert_eq!(words(&held.clone().into()), "put on hold (held): quality_hold");
        assert_eq!(reason(&held.into()).as_deref(), Some("quality_hold"));
        let e = SerialsAllocatedV1 { serials: ["A-1", "A-2", "A-3"].map(|s| Text::new(s).unwrap()).to_vec() };
        assert_eq!(words(&e.into()), "allocated 3 serial numbers, A-1 to A-3");
        assert_eq!(clock(3_661), "1:01:01");
    }

    #[test]
    fn a_note_is_never_in_the_words() {
        let e = WorkOrderCancelledV1 {
            reason: "no_demand".parse().unwrap(),
            note: Some(Sealed::Plain("Mrs Miller rang".into())),
        };
        assert!(!words(&e.clone().into()).contains("Miller"));
        assert!(note(&e.into()).is_some());
    }
}
