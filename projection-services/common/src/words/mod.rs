//! What an event says, in plain words, for a person who reads the audit trail. Codes and numbers
//! only: sealed text is kept beside, sealed.

mod plan;
mod ticket;

use std::fmt::Write;

use mw_contract::event::parts::{ComponentV1, ReasonQtyV1};
use mw_contract::{ConsumptionSource, Event, ItemId, Qty, Sealed};

use crate::trail::Change;

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
        Event::SubjectErased(e) => {
            let subject = e.subject().map(|s| s.to_string()).unwrap_or_default();
            format!("erased the personal data of {subject}")
        }
        Event::WorkOrderSplit(e) => {
            let parts: Vec<String> = e.parts.iter().map(|p| p.qty.to_string()).collect();
            format!("split off {}, {} remain: {}", parts.join(" and "), e.remaining_qty, e.reason)
        }
        Event::UnitGenealogyAmended(e) => {
            let mut s = format!("unit {}:", e.serial);
            swapped(&mut s, &e.removed, &e.added);
            let _ = write!(s, " ({})", e.reason);
            s
        }
        Event::MaterialRequested(e) => {
            format!("asked stock for {}", listed(&e.lines, |l| (l.qty, &l.item_id)))
        }
        Event::MaterialReserved(e) => format!("stock reserved {}", listed(&e.lines, |l| (l.qty, &l.item_id))),
        Event::MaterialReservationFailed(e) => {
            format!("stock lacks {}", listed(&e.lines, |l| (l.missing_qty, &l.item_id)))
        }
        Event::MaterialReservationReleased(e) => {
            format!("gave back the reservation of {}", listed(&e.reservations, |r| (r.qty, &r.item_id)))
        }
        Event::MaterialIssued(e) => format!("issued {}", listed(&e.lines, |l| (l.qty, &l.item_id))),
        Event::MaterialReturned(e) => {
            format!("returned {}: {}", listed(&e.lines, |l| (l.qty, &l.item_id)), e.reason)
        }
        Event::MaterialConsumed(e) => {
            let by = if e.source == ConsumptionSource::Backflush { " by backflush" } else { "" };
            format!("used up {}{by}", listed(&e.lines, |l| (l.qty, &l.item_id)))
        }
        Event::MaterialConsumptionCorrected(e) => {
            let one = |l: &mw_contract::event::parts::ConsumptionChangeV1| {
                format!("{} of {}, not {}", l.new, l.item_id, l.old)
            };
            let lines: Vec<String> = e.lines.iter().map(one).collect();
            format!("used up by backflush: {}", lines.join(", "))
        }
        Event::MaterialVarianceExplained(e) => {
            let one = |l: &mw_contract::event::parts::ExplainedVarianceV1| {
                format!("{} of {} ({})", l.difference, l.item_id, l.reason)
            };
            let lines: Vec<String> = e.lines.iter().map(one).collect();
            format!("explained material that does not come out even: {}", lines.join(", "))
        }
        Event::MaterialSubstituteApproved(e) => {
            let mut s = format!("{} may stand in at line {}, {} for one", e.substitute_item_id, e.line_no, e.ratio);
            if let Some(q) = e.valid_qty {
                let _ = write!(s, ", {q} at most");
            }
            let _ = write!(s, " ({})", e.reason);
            s
        }
        Event::InspectionRecorded(e) => {
            let mut s = format!("{} inspection of {}: {}", e.kind, e.sample_size, e.verdict);
            for d in &e.defects {
                let _ = write!(s, ", {} {}", d.qty, d.code);
            }
            s
        }
        Event::NonconformanceRaised(e) => {
            format!("nonconformance of severity {}: {} with {}", e.severity, e.qty, e.defect_code)
        }
        Event::NonconformanceDispositioned(e) => {
            let lines: Vec<String> = e.lines.iter().map(|l| format!("{} {}", l.qty, l.disposition)).collect();
            format!("nonconformance decided: {} (cause {})", lines.join(", "), e.cause_code)
        }
        Event::NonconformanceReturned(e) => {
            let why = e.reason.as_ref().map(|r| format!(" ({r})")).unwrap_or_default();
            format!("nonconformance must be decided anew, its rework order was cancelled{why}")
        }
        Event::NonconformanceClosed(_) => "nonconformance closed".to_owned(),
        Event::EquipmentRegistered(e) => format!("registered equipment {} on {}", e.code, e.line_id),
        Event::MachineStateChanged(e) => match e.old {
            Some(old) => format!("{}: {old} for {}, now {}", e.cell_id, clock(e.duration.0), e.new),
            None => format!("{}: {}", e.cell_id, e.new),
        },
        Event::DowntimeStarted(e) => {
            let why = e.reason.as_ref().map_or("not classified", |r| r.as_str());
            format!("{} stands still: {why}", e.cell_id)
        }
        Event::DowntimeEnded(e) => format!("{} goes on after {}", e.cell_id, clock(e.duration.0)),
        Event::DowntimeClassified(e) => match &e.old_reason {
            Some(old) => format!("{}: downtime was {}, not {old}", e.cell_id, e.reason),
            None => format!("{}: downtime was {}", e.cell_id, e.reason),
        },
        Event::DowntimeSplit(e) => format!("{}: downtime split at {}", e.cell_id, e.split_at),
        Event::AlarmRaised(e) => format!("{}: alarm {} of severity {}", e.cell_id, e.code, e.severity),
        Event::AlarmRepeated(e) => format!("{}: alarm {} again, {} times by now", e.cell_id, e.code, e.count),
        Event::AlarmAcknowledged(e) => format!("{}: alarm {} acknowledged", e.cell_id, e.code),
        Event::AlarmCleared(e) => {
            format!("{}: alarm {} cleared after {}", e.cell_id, e.code, clock(e.active_for.0))
        }
        Event::CounterRecorded(e) => {
            let again = if e.reset { " after a reset" } else { "" };
            format!("{}: counter {} shows {}{again}", e.cell_id, e.name, e.value)
        }
        Event::MaintenanceModeChanged(e) => {
            format!("{}: maintenance mode {}", e.cell_id, if e.on { "on" } else { "off" })
        }
        Event::ProductUnitRegistered(e) => {
            format!("unit {} of {} exists ({})", e.serial, e.product_id, e.result)
        }
        Event::UnitShipped(e) => format!("unit {} shipped to {}", e.serial, e.customer_id),
        Event::WarrantyStarted(e) => {
            format!("unit {}: warranty from {} to {} ({})", e.serial, e.start, e.end, e.basis)
        }
        Event::UnitInstalled(e) => format!("unit {} installed on {}", e.serial, e.installed_on),
        Event::WarrantyExtended(e) => {
            format!("unit {}: warranty ends {}, not {} ({})", e.serial, e.new_end, e.old_end, e.reason)
        }
        Event::WarrantyVoided(e) => format!("unit {}: warranty voided ({})", e.serial, e.reason),
        Event::ReadingRecorded(e) => {
            let again = if e.reset { " after a reset" } else { "" };
            format!("unit {}: counter {} shows {}{again}", e.serial, e.name, e.value)
        }
        Event::UnitComponentChanged(e) => {
            let mut s = format!("unit {}:", e.serial);
            swapped(&mut s, &e.removed, &e.added);
            if let Some(f) = &e.firmware {
                let _ = write!(s, " firmware {f}");
            }
            s
        }
        Event::UnitTransferred(e) => match &e.old_customer {
            Some(old) => format!("unit {} went from {old} to {}", e.serial, e.new_customer),
            None => format!("unit {} went to {}", e.serial, e.new_customer),
        },
        Event::UnitScrapped(e) => format!("unit {} scrapped ({})", e.serial, e.reason),
        Event::UnitStatusChanged(e) => format!("unit {} is {} now, before {}", e.serial, e.new, e.old),
        Event::UnitAlarmRaised(e) => format!("unit {} raised alarm {} of severity {}", e.serial, e.code, e.severity),
        Event::UnitAlarmRepeated(e) => {
            format!("unit {} raised alarm {} again, {} times in all", e.serial, e.code, e.count)
        }
        Event::UnitAlarmCleared(e) => {
            format!("alarm {} of unit {} is over after {}", e.code, e.serial, clock(e.active_for.0))
        }
        Event::UnitRecalled(e) => format!("unit {} recalled by campaign {} ({})", e.serial, e.campaign, e.reason),
        Event::StockReceived(e) => {
            format!("{} {} received at {}, {} on hand", e.qty, e.item_id, e.location, e.on_hand)
        }
        Event::StockReserved(e) => format!("{} of {} {} reserved at {}", e.qty, e.asked, e.item_id, e.location),
        Event::StockReservationReleased(e) => {
            format!("{} {} no longer reserved at {}", e.qty, e.item_id, e.location)
        }
        Event::StockIssued(e) => {
            format!("{} {} issued from {}, {} on hand", e.qty, e.item_id, e.location, e.on_hand)
        }
        Event::StockReturned(e) => {
            format!("{} {} returned to {} ({}), {} on hand", e.qty, e.item_id, e.location, e.condition, e.on_hand)
        }
        Event::StockAdjusted(e) => {
            format!("{} counted at {}: {}, not {} ({})", e.item_id, e.location, e.on_hand, e.old_on_hand, e.reason)
        }
        Event::InboxItemDismissed(e) => format!("dismissed: {}", e.reason),
        other => match ticket::words(other).or_else(|| plan::words(other)) {
            Some(said) => said,
            // Every event has a sentence above; a test goes through all of them.
            None => format!("{} happened", mw_contract::event::kebab(other.event_type().as_str())),
        },
    }
}

/// Quantities and items, separated by commas.
fn listed<T>(all: &[T], of: impl Fn(&T) -> (Qty, &ItemId)) -> String {
    let one = |t| {
        let (qty, item) = of(t);
        format!("{qty} {item}")
    };
    if all.is_empty() { "nothing".to_owned() } else { all.iter().map(one).collect::<Vec<_>>().join(", ") }
}

/// Which components went out and which came in.
fn swapped(s: &mut String, removed: &[ComponentV1], added: &[ComponentV1]) {
    for (what, all) in [("took out", removed), ("put in", added)] {
        for c in all {
            let mark = c.serial.as_ref().map(|s| s.as_str()).or(c.lot.as_ref().map(|l| l.as_str()));
            let mark = mark.map(|m| format!(" {m}")).unwrap_or_default();
            let _ = write!(s, " {what} {} {}{mark},", c.qty, c.item_id);
        }
    }
    if s.ends_with(',') {
        s.pop();
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

/// The same of what may be overdrawn.
fn signed_clock(seconds: i64) -> String {
    format!("{}{}", if seconds < 0 { "-" } else { "" }, clock(seconds.unsigned_abs()))
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
        Event::SubjectErased(e) => e.reason.as_ref().map(ToString::to_string),
        Event::WorkOrderSplit(e) => Some(e.reason.to_string()),
        Event::UnitGenealogyAmended(e) => Some(e.reason.to_string()),
        Event::MaterialReturned(e) => Some(e.reason.to_string()),
        Event::MaterialSubstituteApproved(e) => Some(e.reason.to_string()),
        Event::DowntimeClassified(e) => Some(e.reason.to_string()),
        Event::WarrantyExtended(e) => Some(e.reason.to_string()),
        Event::WarrantyVoided(e) => Some(e.reason.to_string()),
        Event::UnitScrapped(e) => Some(e.reason.to_string()),
        Event::UnitRecalled(e) => Some(e.reason.to_string()),
        Event::StockAdjusted(e) => Some(e.reason.to_string()),
        Event::InboxItemDismissed(e) => Some(e.reason.to_string()),
        Event::MaterialIssued(e) => e.over_issue_reason.as_ref().map(ToString::to_string),
        Event::NonconformanceReturned(e) => e.reason.as_ref().map(ToString::to_string),
        Event::DowntimeStarted(e) => e.reason.as_ref().map(ToString::to_string),
        Event::MaintenanceModeChanged(e) => e.reason.as_ref().map(ToString::to_string),
        Event::UnitRegistered(e) => e.incomplete_reason.as_ref().map(ToString::to_string),
        Event::NonconformanceRaised(e) => Some(e.defect_code.to_string()),
        Event::NonconformanceDispositioned(e) => Some(e.cause_code.to_string()),
        other => ticket::reason(other).or_else(|| plan::reason(other)),
    }
}

/// Old and new value of each field that an event itself names. What changes in the head of an order
/// is found by comparing it before and after, and is not repeated here.
pub fn changes(event: &Event) -> Vec<Change> {
    let mut all = named(event);
    all.retain(|(_, old, new)| old != new);
    all
}

fn named(event: &Event) -> Vec<Change> {
    match event {
        Event::WorkOrderAmended(e) => e.changed.iter().map(|(f, c)| one(f, c.old.as_ref(), c.new.as_ref())).collect(),
        Event::OperationReportCorrected(e) => {
            let sum = |rows: &[ReasonQtyV1]| rows.iter().map(|r| r.qty).sum::<Qty>();
            vec![
                one("report.good", Some(e.old.good), Some(e.new.good)),
                one("report.scrap", Some(sum(&e.old.scrap)), Some(sum(&e.new.scrap))),
                one("report.rework", Some(sum(&e.old.rework)), Some(sum(&e.new.rework))),
            ]
        }
        Event::OperationSessionCorrected(e) => vec![
            one("session.started_at", Some(e.old.started_at), Some(e.new.started_at)),
            one("session.ended_at", e.old.ended_at, e.new.ended_at),
        ],
        Event::MaterialConsumptionCorrected(e) => {
            e.lines.iter().map(|l| one(&format!("consumed.{}", l.line_no), Some(l.old), Some(l.new))).collect()
        }
        Event::MachineStateChanged(e) => vec![one("state", e.old, Some(e.new))],
        Event::DowntimeClassified(e) => vec![one("reason", e.old_reason.as_ref(), Some(&e.reason))],
        Event::WarrantyExtended(e) => vec![one("warranty_end", Some(e.old_end), Some(e.new_end))],
        Event::UnitStatusChanged(e) => vec![one("status", Some(e.old), Some(e.new))],
        Event::UnitTransferred(e) => vec![one("customer", e.old_customer.as_ref(), Some(&e.new_customer))],
        Event::StockAdjusted(e) => vec![one("on_hand", Some(e.old_on_hand), Some(e.on_hand))],
        other => ticket::changes(other),
    }
}

/// A changed field.
fn one(field: &str, old: Option<impl ToString>, new: Option<impl ToString>) -> Change {
    (field.to_owned(), old.map(|v| v.to_string()), new.map(|v| v.to_string()))
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
        Event::WorkOrderSplit(e) => e.note.as_ref(),
        Event::UnitGenealogyAmended(e) => e.note.as_ref(),
        Event::MaterialIssued(e) => e.note.as_ref(),
        Event::MaterialReturned(e) => e.note.as_ref(),
        Event::MaterialSubstituteApproved(e) => e.note.as_ref(),
        Event::InspectionRecorded(e) => e.note.as_ref(),
        Event::NonconformanceDispositioned(e) => e.note.as_ref(),
        Event::DowntimeStarted(e) => e.note.as_ref(),
        Event::DowntimeClassified(e) => e.note.as_ref(),
        Event::AlarmAcknowledged(e) => e.note.as_ref(),
        Event::MaintenanceModeChanged(e) => e.note.as_ref(),
        Event::WarrantyExtended(e) => e.note.as_ref(),
        Event::WarrantyVoided(e) => e.note.as_ref(),
        Event::UnitScrapped(e) => e.note.as_ref(),
        Event::UnitRecalled(e) => e.note.as_ref(),
        Event::StockAdjusted(e) => e.note.as_ref(),
        Event::InboxItemDismissed(e) => e.note.as_ref(),
        Event::NonconformanceRaised(e) => e.description.as_ref(),
        Event::NonconformanceClosed(e) => Some(&e.verification),
        Event::AlarmRaised(e) => e.text.as_ref(),
        Event::UnitAlarmRaised(e) => e.text.as_ref(),
        other => ticket::note(other).or_else(|| plan::note(other)),
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
    fn rm_19_every_event_has_a_sentence_of_its_own() {
        for e in mw_contract::event::samples::all() {
            let w = words(&e);
            assert!(w.contains(' ') && !w.ends_with('.') && !w.contains(e.event_type().as_str()), "{w}");
            assert!(!w.ends_with(" happened"), "{w}");
        }
    }

    #[test]
    fn rm_19_a_reason_and_a_note_are_found_wherever_an_event_has_one() {
        for mut e in mw_contract::event::samples::all() {
            let data = e.data();
            let t = e.event_type();
            if data.get("reason").is_some_and(|r| r.is_string()) {
                assert!(reason(&e).is_some(), "reason of {t}");
            }
            for field in ["note", "text", "description", "verification"] {
                let sealed = data.get(field).is_some_and(|n| n.get("sealed").is_some());
                assert!(!sealed || note(&e).is_some(), "{field} of {t}");
            }
            e.sealed_fields(&mut |s| *s = Sealed::Plain("Mrs Miller rang".into()));
            assert!(!words(&e).contains("Miller"), "{t}");
        }
    }

    #[test]
    fn rm_19_old_and_new_are_shown_wherever_an_event_has_both() {
        for e in mw_contract::event::samples::all() {
            let data = e.data().to_string();
            // The order's head has the others.
            let header = matches!(
                e,
                Event::WorkOrderRescheduled(_)
                    | Event::WorkOrderQuantityChanged(_)
                    | Event::WorkOrderDueDateChanged(_)
                    | Event::WorkOrderPriorityChanged(_)
            );
            if data.contains("\"old") && !header {
                assert!(!named(&e).is_empty(), "{}: {data}", e.event_type());
            }
        }
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
