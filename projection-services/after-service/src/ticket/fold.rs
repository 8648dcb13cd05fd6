//! What each event changes in a ticket.

use mw_contract::event::ticket::TicketOpenedV1;
use mw_contract::*;
use serde_json::{Value, json};

use super::clocks::Sla;
use super::*;
use crate::seal::{put, put_some};

/// `{at, by}` with the members of `more`.
pub(super) fn said(m: &Meta, mut more: Value) -> Value {
    more["at"] = json!(m.occurred_at);
    more["by"] = json!(m.by);
    more["role"] = json!(m.role);
    more
}

impl Ticket {
    /// A ticket as it was opened.
    pub fn open(id: AggregateId, e: &TicketOpenedV1, m: &Meta) -> Ticket {
        let unit = Unit {
            serial: e.serial.clone(),
            product: e.product_id.clone(),
            equipment_id: e.equipment_id,
            ..Unit::default()
        };
        Ticket {
            id,
            seq: m.position,
            version: m.version,
            number: e.number.clone(),
            site: e.site_id.clone(),
            state: TicketState::New,
            kind: e.kind,
            channel: e.channel,
            title: e.title.clone(),
            description: put_some(e.description.as_ref()),
            customer: e.customer_id.clone(),
            contact_id: e.contact_id.clone(),
            service_site: e.service_site.clone(),
            unit,
            severity: e.severity,
            priority: None,
            category: None,
            service_mode: None,
            team: None,
            required_skills: Vec::new(),
            estimated_effort: e.estimated_effort,
            lead: None,
            helpers: Vec::new(),
            accepted: false,
            due_start: None,
            symptom: e.symptom.clone(),
            fault: Value::Null,
            warranty: WarrantyStatus::Unchecked,
            coverage: Value::Null,
            commercial: Commercial::NotRequired,
            verification: Verification::NotRequired,
            rma: RmaState::None,
            escalation: 0,
            hold: None,
            held_ms: 0,
            cycle: 1,
            occurrence_count: 1,
            occurrences: Vec::new(),
            opened_at: m.occurred_at,
            opened_by: m.by.clone(),
            updated_at: m.occurred_at,
            recorded_at: m.recorded_at,
            resolved_at: None,
            ended_at: None,
            down_since: e.down_since,
            downtime_end: None,
            preferred_windows: json!(e.preferred_windows),
            attachments: json!(e.attachments),
            alarm: json!(e.alarm),
            dedupe_key: e.dedupe_key.clone(),
            plan_id: e.plan_id,
            follows: e.follows,
            master_ticket_id: None,
            master_number: None,
            checklist: e.checklist.clone(),
            checklist_done: Vec::new(),
            signature_required: e.signature_required,
            resolution: Value::Null,
            reason: None,
            quotes: Vec::new(),
            visits: Vec::new(),
            trips: Vec::new(),
            sessions: Vec::new(),
            work_logs: Vec::new(),
            diagnoses: Vec::new(),
            parts_requests: Vec::new(),
            parts_consumed: Vec::new(),
            parts_returned: Vec::new(),
            readings: Vec::new(),
            replaced_units: Vec::new(),
            replacement_orders: Vec::new(),
            returns: Vec::new(),
            links: Vec::new(),
            comments: Vec::new(),
            sla: Sla::default(),
            final_totals: Value::Null,
            first_time_fix: None,
            close_reason: None,
            ratings: Vec::new(),
            reopenings: Vec::new(),
            escalations: Vec::new(),
            verifications: Vec::new(),
            confirmation: Value::Null,
            clashes: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Folds one event.
    pub fn apply(&mut self, event: &Event, m: &Meta) {
        self.version = m.version;
        self.updated_at = self.updated_at.max(m.occurred_at);
        self.recorded_at = m.recorded_at;
        let cycle = self.cycle;
        self.sla.apply(event, cycle, m);
        self.reported(event, m);
        self.offered(event, m);
        self.assigned(event, m);
        self.worked(event, m);
        self.supplied(event, m);
        self.travelled(event, m);
        self.ended(event, m);
    }

    fn note(&mut self, about: &str, text: Option<&Sealed>, m: &Meta) {
        if let Some(t) = text {
            self.notes.push(said(m, json!({"about": about, "text": put(t)})));
        }
    }

    fn reported(&mut self, event: &Event, m: &Meta) {
        match event {
            Event::TicketOccurrenceAdded(e) => {
                self.occurrence_count = e.count;
                let more = json!({"count": e.count, "channel": e.channel, "alarm": e.alarm,
                    "description": put_some(e.description.as_ref())});
                self.occurrences.push(said(m, more));
            }
            Event::TicketAmended(e) => {
                if let Some(t) = &e.title {
                    self.title = t.clone();
                }
                if let Some(d) = &e.description {
                    self.description = put(d);
                }
                self.contact_id = e.contact_id.clone().or(self.contact_id.take());
                self.service_site = e.service_site.clone().or(self.service_site.take());
                self.down_since = e.down_since.or(self.down_since);
                if e.serial.is_some() {
                    // Perhaps another unit: what was found about the old one does not hold for it.
                    self.unit = Unit {
                        serial: e.serial.clone(),
                        product: e.product_id.clone().or(self.unit.product.take()),
                        equipment_id: self.unit.equipment_id,
                        ..Unit::default()
                    };
                    self.warranty = WarrantyStatus::Unchecked;
                    self.coverage = Value::Null;
                    self.commercial = Commercial::NotRequired;
                } else if e.product_id.is_some() {
                    self.unit.product = e.product_id.clone();
                }
            }
            Event::CommentAdded(e) => {
                let more = json!({"comment_id": e.comment_id, "text": put(&e.text), "visibility": e.visibility,
                    "by_staff": e.by_staff, "attachments": e.attachments});
                self.comments.push(said(m, more));
            }
            Event::TicketMarkedDuplicate(e) => {
                self.master_ticket_id = Some(e.master_ticket_id);
                self.master_number = Some(e.master_number.clone());
            }
            Event::TicketTriaged(e) => {
                if self.state == TicketState::New {
                    self.state = TicketState::Triaged;
                }
                self.severity = Some(e.severity);
                self.priority = Some(e.priority);
                self.category = Some(e.category.clone());
                self.service_mode = Some(e.service_mode);
                self.team = e.team.clone().or(self.team.take());
                self.required_skills.clone_from(&e.required_skills);
                self.estimated_effort = e.estimated_effort.or(self.estimated_effort);
                if !e.checklist.is_empty() {
                    self.checklist.clone_from(&e.checklist);
                }
                self.note("triage", e.override_reason.as_ref(), m);
            }
            Event::FaultClassified(e) => {
                self.fault = json!(e.new);
                self.symptom = e.new.symptom.clone().or(self.symptom.take());
                self.severity = e.severity.or(self.severity);
            }
            Event::TicketPriorityChanged(e) => {
                self.priority = Some(e.new);
                self.note("priority", e.note.as_ref(), m);
            }
            Event::WarrantyChecked(e) => {
                self.warranty = e.status;
                self.commercial = e.commercial;
                self.coverage = json!({"checked": said(m, json!({"status": e.status, "as_of": e.as_of,
                    "terms": e.terms, "serial": e.serial}))});
                if let Some(u) = &e.unit {
                    self.unit = Unit {
                        serial: e.serial.clone().or(self.unit.serial.take()),
                        product: Some(u.product_id.clone()),
                        equipment_id: self.unit.equipment_id,
                        unit_id: Some(u.unit_id),
                        work_order_id: u.work_order_id,
                        work_order_number: u.work_order_number.clone(),
                        lot: u.lot.clone(),
                        line: u.line_id.clone(),
                        produced_at: u.produced_at,
                        open_recalls: u.open_recalls.clone(),
                        previous_tickets: u.previous_tickets.clone(),
                    };
                }
            }
            Event::WarrantyOverridden(e) => {
                self.warranty = e.new;
                self.commercial = e.commercial;
                if self.coverage.is_null() {
                    self.coverage = json!({});
                }
                self.coverage["overridden"] = said(
                    m,
                    json!({"old": e.old, "new": e.new, "reason": e.reason, "coverage_pct": e.coverage_pct,
                    "approver": e.approver, "note": put_some(e.note.as_ref())}),
                );
            }
            _ => {}
        }
    }

    fn answered(&mut self, id: EntityId, state: &str, answer: Value) {
        if let Some(q) = self.quotes.iter_mut().rev().find(|q| q.quote_id == id) {
            state.clone_into(&mut q.state);
            q.answer = answer;
        }
    }

    fn offered(&mut self, event: &Event, m: &Meta) {
        match event {
            Event::QuoteSubmitted(e) => {
                for q in self.quotes.iter_mut().filter(|q| q.state == "open" || Some(q.quote_id) == e.supersedes) {
                    "superseded".clone_into(&mut q.state);
                }
                self.quotes.push(Quote {
                    quote_id: e.quote_id,
                    revision: e.revision,
                    state: "open".into(),
                    lines: json!(e.lines),
                    totals: json!(e.totals),
                    valid_until: e.valid_until,
                    terms: put_some(e.terms.as_ref()),
                    submitted_at: m.occurred_at,
                    submitted_by: m.by.clone(),
                    answer: Value::Null,
                });
                self.state = TicketState::AwaitingApproval;
                self.commercial = Commercial::Quoted;
                self.stop_everybody(m.occurred_at);
            }
            Event::QuoteApproved(e) => {
                let evidence = e.evidence.as_ref();
                let answer = json!({"on_behalf": e.on_behalf, "purchase_order_ref": e.purchase_order_ref,
                    "signature": e.signature, "evidence": put_some(evidence.and_then(|x| x.text.as_ref())),
                    "evidence_file": evidence.and_then(|x| x.file.as_ref())});
                self.answered(e.quote_id, "approved", said(m, answer));
                (self.state, self.commercial) = (e.to_state, Commercial::Approved);
            }
            Event::QuoteRejected(e) => {
                let evidence = e.evidence.as_ref();
                let answer = json!({"on_behalf": e.on_behalf, "reason": e.reason, "wish": e.wish,
                    "note": put_some(e.note.as_ref()), "evidence": put_some(evidence.and_then(|x| x.text.as_ref())),
                    "evidence_file": evidence.and_then(|x| x.file.as_ref())});
                self.answered(e.quote_id, "rejected", said(m, answer));
                (self.state, self.commercial) = (e.to_state, Commercial::Rejected);
            }
            Event::QuoteExpired(e) => {
                self.answered(e.quote_id, "expired", said(m, json!({})));
                (self.state, self.commercial) = (e.to_state, Commercial::Expired);
            }
            _ => {}
        }
    }

    fn assigned(&mut self, event: &Event, m: &Meta) {
        match event {
            Event::TechnicianAssigned(e) => {
                self.lead = Some(e.lead.clone());
                self.helpers.clone_from(&e.helpers);
                self.accepted = false;
                self.team = e.team.clone().or(self.team.take());
                self.due_start = e.due_start;
                self.state = TicketState::Assigned;
                self.note("assignment", e.override_reason.as_ref(), m);
            }
            Event::TechnicianReassigned(e) => {
                self.lead = Some(e.new.clone());
                self.helpers.clone_from(&e.helpers);
                self.accepted = false;
                self.state = e.to_state;
                self.stop_everybody(m.occurred_at);
                for v in self.visits.iter_mut().filter(|v| v.state == VisitState::Planned) {
                    if e.keep_visit {
                        v.technician = e.new.clone();
                    } else {
                        v.state = VisitState::Cancelled;
                    }
                }
                for (about, text) in
                    [("reassignment", &e.note), ("handover", &e.handover_note), ("reassignment", &e.override_reason)]
                {
                    self.note(about, text.as_ref(), m);
                }
            }
            Event::AssignmentAccepted(_) => self.accepted = true,
            Event::AssignmentDeclined(e) => {
                (self.lead, self.accepted, self.state) = (None, false, TicketState::Triaged);
                self.helpers.clear();
                self.note("declined assignment", e.note.as_ref(), m);
            }
            Event::VisitScheduled(e) => {
                self.visits.push(Visit {
                    visit_id: e.visit.visit_id,
                    window_start: e.visit.window_start,
                    window_end: e.visit.window_end,
                    location: e.visit.location,
                    technician: e.technician.clone(),
                    state: VisitState::Planned,
                    cycle: self.cycle,
                    customer_confirmed: e.customer_confirmed,
                    forced: e.forced,
                    parts_to_bring: json!(e.parts_to_bring),
                    moved: Vec::new(),
                    cancelled: Value::Null,
                });
                self.state = TicketState::Scheduled;
            }
            Event::VisitRescheduled(e) => {
                if let Some(v) = self.visits.iter_mut().find(|v| v.visit_id == e.old.visit_id) {
                    (v.window_start, v.window_end) = (e.new.window_start, e.new.window_end);
                    (v.location, v.forced) = (e.new.location, e.forced);
                    v.moved.push(said(
                        m,
                        json!({"old_start": e.old.window_start, "old_end": e.old.window_end, "reason": e.reason,
                        "initiator": e.initiator, "note": put_some(e.note.as_ref())}),
                    ));
                }
            }
            Event::VisitCancelled(e) => {
                if let Some(v) = self.visits.iter_mut().find(|v| v.visit_id == e.visit_id) {
                    v.state = VisitState::Cancelled;
                    v.cancelled = said(m, json!({"reason": e.reason, "note": put_some(e.note.as_ref())}));
                }
                if matches!(self.state, TicketState::Assigned | TicketState::Scheduled) {
                    self.state = e.to_state;
                }
            }
            _ => {}
        }
    }

    /// Nobody is at work or on the way any more.
    pub(super) fn stop_everybody(&mut self, at: Instant) {
        for s in self.sessions.iter_mut().chain(&mut self.trips).filter(|s| s.ended_at.is_none()) {
            s.ended_at = Some(at.max(s.started_at));
        }
    }

    fn ended(&mut self, event: &Event, m: &Meta) {
        let at = m.occurred_at;
        match event {
            Event::TicketHeld(e) => {
                self.hold = Some(Hold {
                    reason: e.reason.clone(),
                    since: at,
                    pauses_sla: e.pauses_sla,
                    resume_state: e.resume_state,
                    expected_until: e.expected_until,
                    note: put_some(e.note.as_ref()),
                });
                self.state = TicketState::OnHold;
                self.stop_everybody(at);
            }
            Event::TicketResumed(e) => {
                self.let_go(at);
                self.state = e.to_state;
                self.note("resumed", e.note.as_ref(), m);
            }
            Event::TicketCancelled(e) => {
                self.let_go(at);
                (self.state, self.ended_at) = (TicketState::Cancelled, Some(at));
                self.reason = Some(e.reason.clone());
                self.stop_everybody(at);
                self.call_off_visits();
                self.note("cancelled", e.note.as_ref(), m);
            }
            Event::TicketResolved(e) => {
                self.state = TicketState::Resolved;
                self.resolved_at = Some(at);
                self.downtime_end = e.downtime_end.or(self.downtime_end);
                self.checklist_done.clone_from(&e.checklist_done);
                self.verification =
                    if e.verification_required { Verification::Pending } else { Verification::NotRequired };
                self.resolution = said(
                    m,
                    json!({"code": e.resolution_code, "text": put(&e.text), "cause": e.cause, "remedy": e.remedy,
                    "customer_signature": e.customer_signature, "follow_up": e.follow_up}),
                );
                for (name, code) in [("cause", &e.cause), ("remedy", &e.remedy)] {
                    if let Some(code) = code {
                        if self.fault.is_null() {
                            self.fault = json!({"symptom": self.symptom, "safety_relevant": false});
                        }
                        self.fault[name] = json!(code);
                    }
                }
                self.stop_everybody(at);
            }
            Event::RepairVerified(e) => {
                let more = json!({"verdict": e.verdict, "measurements": e.measurements,
                    "text": put_some(e.text.as_ref())});
                self.verifications.push(said(m, more));
                self.verification = match e.verdict {
                    RepairVerdict::Pass => Verification::Passed,
                    RepairVerdict::Fail => {
                        (self.state, self.resolved_at) = (TicketState::InProgress, None);
                        Verification::Failed
                    }
                };
            }
            Event::ResolutionConfirmed(e) => {
                let evidence = e.evidence.as_ref();
                let more = json!({"on_behalf": e.on_behalf, "evidence": put_some(evidence.and_then(|x| x.text.as_ref())),
                    "evidence_file": evidence.and_then(|x| x.file.as_ref())});
                self.confirmation = said(m, more);
            }
            Event::TicketClosed(e) => {
                (self.state, self.ended_at) = (TicketState::Closed, Some(at));
                self.let_go(at);
                self.call_off_visits();
                self.close_reason = Some(e.reason);
                self.final_totals = json!(e.totals);
                self.first_time_fix = Some(e.first_time_fix);
                self.note("closed", e.note.as_ref(), m);
            }
            Event::TicketReopened(e) => {
                let more = json!({"cycle": e.cycle, "reason": e.reason, "same_fault": e.same_fault,
                    "previous_lead": e.previous_lead, "note": put_some(e.note.as_ref()),
                    "resolution": self.resolution.take(), "resolved_at": self.resolved_at, "closed_at": self.ended_at,
                    "totals": self.final_totals.take()});
                self.reopenings.push(said(m, more));
                (self.state, self.cycle) = (TicketState::Triaged, e.cycle);
                (self.resolved_at, self.ended_at, self.close_reason) = (None, None, None);
                (self.first_time_fix, self.confirmation) = (None, Value::Null);
                (self.lead, self.accepted) = (None, false);
                self.helpers.clear();
                self.checklist_done.clear();
                self.verification = Verification::NotRequired;
            }
            Event::ServiceRated(e) => {
                let more = json!({"cycle": e.cycle, "score": e.score, "nps": e.nps, "effort": e.effort,
                    "text": put_some(e.text.as_ref())});
                self.ratings.retain(|r| r["cycle"] != json!(e.cycle));
                self.ratings.push(said(m, more));
            }
            Event::TicketEscalated(e) => {
                self.escalation = e.level;
                self.team = e.to_team.clone().or(self.team.take());
                let more = json!({"old_level": e.old_level, "level": e.level, "reason": put(&e.reason),
                    "to_team": e.to_team});
                self.escalations.push(said(m, more));
            }
            Event::TicketDeescalated(e) => {
                self.escalation = e.level;
                let more = json!({"old_level": e.old_level, "level": e.level, "reason": put(&e.reason)});
                self.escalations.push(said(m, more));
            }
            _ => {}
        }
    }

    fn call_off_visits(&mut self) {
        for v in self.visits.iter_mut().filter(|v| v.state == VisitState::Planned) {
            v.state = VisitState::Cancelled;
        }
    }

    fn let_go(&mut self, at: Instant) {
        if let Some(h) = self.hold.take() {
            self.held_ms += at.since(h.since).max(0);
        }
    }
}
