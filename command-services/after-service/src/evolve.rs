//! Folds the events of a ticket.
//!
//! Owns how each event changes the state. It must never refuse an event: what is in the log happened.

use mw_contract::decide::EventMeta;
use mw_contract::event::ticket::{TicketOpenedV1, WorkStartedV1};
use mw_contract::event::ticket_parts::{FaultV1, PartReservationV1};
use mw_contract::{
    AggregateKind, Commercial, EntityId, Event, ItemId, Percent, Qty, RmaState, Role, StreamId, TicketState,
    Verification, WarrantyStatus,
};

use crate::plan;
use crate::sla;
use crate::state::{
    AfterServiceState, Hold, PartsRequest, Quote, QuoteAnswer, Rating, Replacement, ReplacementState, Resolution,
    Return, ReturnedPart, ReturnedUnit, Session, Ticket, Trip, Visit, Warranty, WorkLog,
};

/// Folds one event into the state of its aggregate.
pub fn evolve(state: &mut AfterServiceState, stream: &StreamId, event: &Event, meta: &EventMeta) {
    match stream.kind {
        AggregateKind::Ticket => match (event, &mut *state) {
            (Event::TicketOpened(e), _) => *state = AfterServiceState::Ticket(Box::new(opened(e, meta))),
            (_, AfterServiceState::Ticket(t)) => ticket(t, event, meta),
            _ => {}
        },
        AggregateKind::MaintenancePlan => plan::evolve(state, event, meta),
        _ => {}
    }
}

/// The state that a ticket is in after an event, from the one before. The desk follows tickets by the same
/// rule.
pub fn state_after(before: TicketState, event: &Event) -> TicketState {
    use TicketState as S;
    match event {
        Event::TicketOpened(_) => S::New,
        Event::TicketTriaged(_) if before == S::New => S::Triaged,
        Event::QuoteSubmitted(_) => S::AwaitingApproval,
        Event::QuoteApproved(e) => e.to_state,
        Event::QuoteRejected(e) => e.to_state,
        Event::QuoteExpired(e) => e.to_state,
        Event::TechnicianAssigned(_) => S::Assigned,
        Event::TechnicianReassigned(e) => e.to_state,
        Event::AssignmentDeclined(_) => S::Triaged,
        Event::VisitScheduled(_) => S::Scheduled,
        // A visit whose time had passed has a time again.
        Event::VisitRescheduled(_) if before == S::Assigned => S::Scheduled,
        Event::VisitCancelled(e) if matches!(before, S::Assigned | S::Scheduled) => e.to_state,
        Event::TravelStarted(_) => S::Travelling,
        Event::TravelAborted(_) if before == S::Travelling => S::Assigned,
        Event::WorkStarted(_) => S::InProgress,
        Event::TicketHeld(_) => S::OnHold,
        Event::TicketResumed(e) => e.to_state,
        Event::TicketCancelled(_) => S::Cancelled,
        Event::TicketResolved(_) => S::Resolved,
        Event::RepairVerified(e) if e.verdict == mw_contract::RepairVerdict::Fail => S::InProgress,
        Event::TicketClosed(_) => S::Closed,
        Event::TicketReopened(_) => S::Triaged,
        _ => before,
    }
}

fn opened(e: &TicketOpenedV1, meta: &EventMeta) -> Ticket {
    Ticket {
        number: e.number.clone(),
        site_id: e.site_id.clone(),
        kind: e.kind,
        title: e.title.clone(),
        contact_id: e.contact_id.clone(),
        channel: e.channel,
        state: TicketState::New,
        customer_id: e.customer_id.clone(),
        service_site: e.service_site.clone(),
        serial: e.serial.clone(),
        product_id: e.product_id.clone(),
        equipment_id: e.equipment_id,
        opened_at: meta.occurred_at,
        opened_by: meta.account.clone(),
        severity: e.severity,
        priority: None,
        category: None,
        service_mode: None,
        team: None,
        required_skills: Vec::new(),
        estimated_effort: e.estimated_effort,
        down_since: e.down_since,
        fault: None,
        symptom: e.symptom.clone(),
        alarm: e.alarm.clone(),
        dedupe_key: e.dedupe_key.clone(),
        occurrences: 1,
        plan_id: e.plan_id,
        follows: e.follows,
        master: None,
        checklist: e.checklist.clone(),
        signature_required: e.signature_required,
        warranty: Warranty { status: WarrantyStatus::Unchecked, terms: None, unit: None, coverage_pct: Percent::ZERO },
        commercial: Commercial::NotRequired,
        verification: Verification::NotRequired,
        escalation_level: 0,
        customer_escalated_at: None,
        lead: None,
        helpers: Vec::new(),
        accepted: false,
        previous_lead: None,
        visits: Vec::new(),
        trips: Vec::new(),
        sessions: Vec::new(),
        logs: Default::default(),
        diagnoses: Default::default(),
        parts: Default::default(),
        quotes: Vec::new(),
        replacements: Default::default(),
        returns: Vec::new(),
        hold: None,
        approval_resume: None,
        cycle: 1,
        cycle_since: meta.occurred_at,
        first_work_at: None,
        resolution: None,
        ended_at: None,
        ratings: Default::default(),
        comments: Default::default(),
        readings: Default::default(),
        links: Default::default(),
        sla: Default::default(),
    }
}

/// All of the cost is covered.
fn all() -> Percent {
    "100".parse().unwrap_or(Percent::ZERO)
}

fn ticket(t: &mut Ticket, event: &Event, meta: &EventMeta) {
    let before = t.state;
    t.state = state_after(before, event);
    sla::evolve(&mut t.sla, event, meta);
    match event {
        Event::TicketOccurrenceAdded(e) => t.occurrences = e.count,
        Event::TicketAmended(e) => {
            if let Some(title) = &e.title {
                t.title = title.clone();
            }
            if let Some(c) = &e.contact_id {
                t.contact_id = Some(c.clone());
            }
            if let Some(c) = &e.service_site {
                t.service_site = Some(c.clone());
            }
            if let Some(p) = &e.product_id {
                t.product_id = Some(p.clone());
            }
            if let Some(d) = e.down_since {
                t.down_since = Some(d);
            }
            if let Some(s) = &e.serial {
                t.serial = Some(s.clone());
                t.warranty = Warranty {
                    status: WarrantyStatus::Unchecked,
                    terms: None,
                    unit: None,
                    coverage_pct: Percent::ZERO,
                };
                t.commercial = Commercial::NotRequired;
            }
        }
        Event::CommentAdded(e) => {
            t.comments.insert(e.comment_id);
        }
        Event::TicketMarkedDuplicate(e) => t.master = Some(e.master_ticket_id),
        Event::TicketTriaged(e) => {
            t.severity = Some(e.severity);
            t.priority = Some(e.priority);
            t.category = Some(e.category.clone());
            t.service_mode = Some(e.service_mode);
            t.team = e.team.clone().or(t.team.take());
            t.required_skills = e.required_skills.clone();
            t.estimated_effort = e.estimated_effort.or(t.estimated_effort);
            if !e.checklist.is_empty() {
                t.checklist = e.checklist.clone();
            }
        }
        Event::FaultClassified(e) => {
            t.fault = Some(e.new.clone());
            t.severity = e.severity.or(t.severity);
        }
        Event::TicketPriorityChanged(e) => t.priority = Some(e.new),
        Event::WarrantyChecked(e) => {
            t.warranty = Warranty {
                status: e.status,
                terms: e.terms.clone(),
                unit: e.unit.clone(),
                coverage_pct: if e.status.covers() { all() } else { Percent::ZERO },
            };
            if let Some(u) = &e.unit {
                t.product_id = Some(u.product_id.clone());
            }
            t.commercial = e.commercial;
        }
        Event::WarrantyOverridden(e) => {
            t.warranty.status = e.new;
            t.warranty.coverage_pct = e.coverage_pct;
            t.commercial = e.commercial;
        }
        Event::QuoteSubmitted(e) => {
            for q in t.quotes.iter_mut().filter(|q| q.answer == QuoteAnswer::Open) {
                q.answer = QuoteAnswer::Superseded;
            }
            t.quotes.push(Quote {
                quote_id: e.quote_id,
                revision: e.revision,
                totals: e.totals.clone(),
                valid_until: e.valid_until,
                answer: QuoteAnswer::Open,
            });
            t.approval_resume = Some(e.resume_state);
            t.commercial = Commercial::Quoted;
        }
        Event::QuoteApproved(e) => answered(t, e.quote_id, QuoteAnswer::Approved, Commercial::Approved),
        Event::QuoteRejected(e) => answered(t, e.quote_id, QuoteAnswer::Rejected(e.wish), Commercial::Rejected),
        Event::QuoteExpired(e) => answered(t, e.quote_id, QuoteAnswer::Expired, Commercial::Expired),
        Event::TechnicianAssigned(e) => {
            t.lead = Some(e.lead.clone());
            t.helpers = e.helpers.clone();
            t.team = e.team.clone().or(t.team.take());
            t.accepted = false;
        }
        Event::TechnicianReassigned(e) => {
            t.lead = Some(e.new.clone());
            t.helpers = e.helpers.clone();
            t.accepted = false;
            for v in t.visits.iter_mut().filter(|v| !v.done && !v.cancelled) {
                if e.keep_visit {
                    v.technician = e.new.clone();
                } else {
                    v.cancelled = true;
                }
            }
        }
        Event::AssignmentAccepted(_) => t.accepted = true,
        Event::AssignmentDeclined(_) => {
            t.lead = None;
            t.helpers.clear();
            t.accepted = false;
        }
        Event::VisitScheduled(e) => t.visits.push(Visit {
            visit: e.visit.clone(),
            technician: e.technician.clone(),
            cycle: t.cycle,
            done: false,
            cancelled: false,
        }),
        Event::VisitRescheduled(e) => {
            if let Some(v) = visit(t, e.new.visit_id) {
                v.visit = e.new.clone();
            }
        }
        Event::VisitCancelled(e) => {
            if let Some(v) = visit(t, e.visit_id) {
                v.cancelled = true;
            }
        }
        Event::TravelStarted(e) => t.trips.push(Trip {
            trip_id: e.trip_id,
            visit_id: e.visit_id,
            technician: e.technician.clone(),
            started_at: meta.occurred_at,
            ended_at: None,
            arrived: false,
        }),
        Event::TechnicianArrived(e) => {
            let trip = t.trips.iter_mut().find(|x| x.trip_id == e.trip_id);
            let visit_id = trip.and_then(|trip| {
                trip.ended_at = Some(meta.occurred_at);
                trip.arrived = true;
                trip.visit_id
            });
            if let Some(v) = visit_id.and_then(|id| visit(t, id)) {
                v.done = true;
            }
        }
        Event::TravelAborted(e) => {
            if let Some(trip) = t.trips.iter_mut().find(|x| x.trip_id == e.trip_id) {
                // Who arrived and then turned back travelled until the arrival.
                trip.ended_at = trip.ended_at.or(Some(meta.occurred_at));
            }
        }
        Event::WorkStarted(e) => work_started(t, e, before, meta),
        Event::WorkPaused(e) => {
            if let Some(s) = t.sessions.iter_mut().find(|s| s.session_id == e.session_id) {
                s.ended_at = Some(meta.occurred_at);
            }
        }
        Event::WorkResumed(e) => t.sessions.push(Session {
            session_id: e.session_id,
            activity: e.activity,
            technician: e.technician.clone(),
            started_at: meta.occurred_at,
            ended_at: None,
            cycle: t.cycle,
            visit_id: None,
        }),
        Event::DiagnosisRecorded(e) => {
            t.diagnoses.insert(e.diagnosis_id, e.cause.clone());
        }
        Event::PartsRequested(e) => {
            let request = PartsRequest { lines: e.lines.clone(), answered: false, at: meta.occurred_at };
            t.parts.requests.insert(e.request_id, request);
        }
        Event::PartsReserved(e) => {
            t.parts.reserved.extend(e.lines.iter().cloned());
            answered_parts(t, e.request_id);
        }
        Event::PartsUnavailable(e) => answered_parts(t, e.request_id),
        Event::PartsReleased(e) => {
            let released = |r: &PartReservationV1| e.lines.iter().any(|l| l.reservation_id == r.reservation_id);
            t.parts.reserved.retain(|r| !released(r));
        }
        Event::PartsConsumed(e) => {
            t.parts.consumptions.insert(e.consumption_id);
            for l in &e.lines {
                if l.source == mw_contract::PartSource::Reservation {
                    take(&mut t.parts.reserved, l.reservation_id, &l.item_id, l.qty);
                }
            }
            t.parts.consumed.extend(e.lines.iter().cloned());
        }
        Event::PartsReturned(e) => {
            t.parts.returns.insert(e.return_id);
            for l in &e.lines {
                if l.reservation_id.is_some() {
                    take(&mut t.parts.reserved, l.reservation_id, &l.item_id, l.qty);
                }
                t.parts.returned.push(ReturnedPart {
                    item_id: l.item_id.clone(),
                    qty: l.qty,
                    serial: l.serial.clone(),
                    condition: e.condition,
                    unused: l.reservation_id.is_some(),
                });
            }
        }
        Event::TicketHeld(e) => {
            t.hold = Some(Hold {
                reason: e.reason.clone(),
                since: meta.occurred_at,
                pauses_sla: e.pauses_sla,
                resume_state: e.resume_state,
                expected_until: e.expected_until,
            });
        }
        Event::TicketResumed(_) => t.hold = None,
        Event::WorkLogged(e) => {
            t.logs.insert(
                e.log_id,
                WorkLog {
                    technician: e.technician.clone(),
                    log: e.log.clone(),
                    recorded_at: meta.recorded_at,
                    by: meta.account.clone(),
                },
            );
        }
        Event::WorkLogCorrected(e) => {
            if let Some(l) = t.logs.get_mut(&e.log_id) {
                l.log = e.new.clone();
            }
        }
        Event::TicketReadingRecorded(e) => {
            t.readings.insert(e.name.clone(), e.value);
        }
        Event::UnitReplaced(e) => {
            t.serial = Some(e.new_serial.clone());
            t.product_id = Some(e.new_product_id.clone());
        }
        Event::ReplacementOrderRequested(e) => {
            let asked = Replacement {
                product_id: e.product_id.clone(),
                qty: e.qty,
                needed_by: e.needed_by,
                mode: e.mode,
                return_serial: e.return_serial.clone(),
                work_order_id: None,
                state: ReplacementState::Open,
            };
            t.replacements.insert(e.request_id, asked);
        }
        Event::ReplacementOrderLinked(e) => {
            if let Some(r) = t.replacements.get_mut(&e.request_id) {
                r.work_order_id = Some(e.work_order_id);
            }
        }
        Event::ReplacementOrderReady(e) => replacement(t, e.request_id, ReplacementState::Ready),
        Event::ReplacementOrderFailed(e) => replacement(t, e.request_id, ReplacementState::Failed),
        Event::TicketCancelled(_) | Event::TicketClosed(_) => {
            t.hold = None;
            t.ended_at = Some(meta.occurred_at);
            for v in t.visits.iter_mut().filter(|v| !v.done) {
                v.cancelled = true;
            }
        }
        Event::TicketResolved(e) => {
            t.resolution = Some(Resolution {
                code: e.resolution_code,
                at: meta.occurred_at,
                recorded_at: meta.recorded_at,
                by: meta.account.clone(),
            });
            t.verification = if e.verification_required { Verification::Pending } else { Verification::NotRequired };
            if e.cause.is_some() || e.remedy.is_some() {
                let symptom = t.symptom.clone();
                let fault = t.fault.get_or_insert(FaultV1 {
                    symptom,
                    cause: None,
                    remedy: None,
                    component: None,
                    safety_relevant: false,
                });
                fault.cause = e.cause.clone().or(fault.cause.take());
                fault.remedy = e.remedy.clone().or(fault.remedy.take());
            }
        }
        Event::RepairVerified(e) => match e.verdict {
            mw_contract::RepairVerdict::Pass => t.verification = Verification::Passed,
            mw_contract::RepairVerdict::Fail => {
                t.verification = Verification::Failed;
                t.resolution = None;
            }
        },
        Event::TicketReopened(e) => {
            t.cycle = e.cycle;
            t.cycle_since = meta.occurred_at;
            t.previous_lead = e.previous_lead.clone();
            t.lead = None;
            t.helpers.clear();
            t.accepted = false;
            t.first_work_at = None;
            t.resolution = None;
            t.ended_at = None;
            t.verification = Verification::NotRequired;
        }
        Event::ServiceRated(e) => {
            let since = t.ratings.get(&e.cycle).map_or(meta.occurred_at, |r| r.since);
            t.ratings.insert(e.cycle, Rating { score: e.score, since });
        }
        Event::TicketEscalated(e) => {
            t.escalation_level = e.level;
            if let Some(team) = &e.to_team {
                t.team = Some(team.clone());
            }
            if meta.role == Some(Role::Customer) {
                t.customer_escalated_at = Some(meta.occurred_at);
            }
        }
        Event::TicketDeescalated(e) => t.escalation_level = e.level,
        Event::ReturnAuthorized(e) => {
            let unit = |serial: &mw_contract::Text<60>| ReturnedUnit {
                serial: serial.clone(),
                state: RmaState::Authorized,
                disposition: None,
                mismatch: false,
            };
            t.service_mode = Some(e.service_mode);
            t.returns.push(Return {
                rma_no: e.rma_no.clone(),
                serials: e.serials.iter().map(unit).collect(),
                valid_until: e.valid_until,
                ship_to: e.ship_to.clone(),
            });
        }
        Event::ReturnReceived(e) => {
            if e.mismatch {
                if let Some(r) = t.returns.iter_mut().find(|r| r.rma_no == e.rma_no) {
                    r.serials.push(ReturnedUnit {
                        serial: e.serial.clone(),
                        state: RmaState::Received,
                        disposition: None,
                        mismatch: true,
                    });
                }
            } else if let Some(u) = returned(t, &e.serial) {
                u.state = RmaState::Received;
            }
        }
        Event::ReturnDispositioned(e) => {
            if let Some(u) = returned(t, &e.serial) {
                u.state = RmaState::Dispositioned;
                u.disposition = Some(e.disposition);
            }
        }
        Event::UnitShippedBack(e) => {
            if let Some(u) = returned(t, &e.serial) {
                u.state = RmaState::ShippedBack;
            }
        }
        Event::TicketLinkAdded(e) => {
            t.links.insert((e.kind, e.id.clone(), e.relation));
        }
        _ => {}
    }
}

fn work_started(t: &mut Ticket, e: &WorkStartedV1, before: TicketState, meta: &EventMeta) {
    // Whoever begins to work on a scheduled ticket without naming the visit came for the next one.
    let next = || t.open_visits().min_by_key(|v| v.visit.window_start).map(|v| v.visit.visit_id);
    let visit_id = e.visit_id.or_else(|| if before == TicketState::Scheduled { next() } else { None });
    if let Some(v) = visit_id.and_then(|id| visit(t, id)) {
        v.done = true;
    }
    t.first_work_at = t.first_work_at.or(Some(meta.occurred_at));
    t.sessions.push(Session {
        session_id: e.session_id,
        activity: e.activity,
        technician: e.technician.clone(),
        started_at: meta.occurred_at,
        ended_at: None,
        cycle: t.cycle,
        visit_id,
    });
}

fn answered(t: &mut Ticket, id: EntityId, answer: QuoteAnswer, commercial: Commercial) {
    if let Some(q) = t.quotes.iter_mut().rev().find(|q| q.quote_id == id) {
        q.answer = answer;
    }
    t.approval_resume = None;
    t.commercial = commercial;
}

fn answered_parts(t: &mut Ticket, id: EntityId) {
    if let Some(r) = t.parts.requests.get_mut(&id) {
        r.answered = true;
    }
}

fn replacement(t: &mut Ticket, id: EntityId, state: ReplacementState) {
    if let Some(r) = t.replacements.get_mut(&id) {
        r.state = state;
    }
}

fn visit(t: &mut Ticket, id: EntityId) -> Option<&mut Visit> {
    t.visits.iter_mut().rev().find(|v| v.visit.visit_id == id)
}

fn returned<'a>(t: &'a mut Ticket, serial: &mw_contract::Text<60>) -> Option<&'a mut ReturnedUnit> {
    t.returns.iter_mut().rev().flat_map(|r| r.serials.iter_mut()).find(|u| u.serial == *serial)
}

/// Takes a quantity out of what is reserved: of the reservation that is named, else of the item.
fn take(reserved: &mut Vec<PartReservationV1>, id: Option<EntityId>, item: &ItemId, qty: Qty) {
    let mut left = qty;
    for r in reserved.iter_mut().filter(|r| r.item_id == *item && id.is_none_or(|id| r.reservation_id == id)) {
        let part = left.min(r.qty);
        r.qty = r.qty - part;
        left = left - part;
    }
    reserved.retain(|r| r.qty > Qty::ZERO);
}
