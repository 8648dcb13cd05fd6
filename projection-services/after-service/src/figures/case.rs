//! A ticket folded as far as its facts need it: times, clocks, visits, people's time, parts.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as B64;
use mw_calendar::BusinessCalendar;
use mw_contract::event::ticket::*;
use mw_contract::event::ticket_parts::{CalendarV1, PolicyV1};
use mw_contract::ids::unit_id;
use mw_contract::*;
use mw_figures::OPEN;
use mw_figures::spans::{Span, millis, minus, union};
use serde::{Deserialize, Serialize};

use super::fact::{Activity, Body, End, Place};

/// A line of parts that was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Wanted {
    request: EntityId,
    item: ItemId,
    qty: Qty,
    kept: Qty,
    /// When stock kept all of it.
    kept_at: Option<i64>,
}

/// A session of work or a trip that has not ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// Its id.
    pub id: EntityId,
    /// Since when.
    pub since: i64,
    /// Whose.
    pub technician: AccountName,
    /// On the way, or at work?
    pub activity: Activity,
}

/// A ticket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Case {
    /// Whose everything is.
    pub place: Place,
    serial: Option<Text<60>>,
    opened: i64,
    severity: Option<u8>,
    symptom: Option<ReasonCode>,
    cause: Option<ReasonCode>,
    effort: Option<Seconds>,
    /// Which cycle runs, or ran last.
    pub cycle: u16,
    started: i64,
    ended: Option<(i64, End)>,
    /// The calendar of its policy: the bytes that events keep it in.
    calendar: Option<String>,
    assignment_answers: bool,
    approval_pauses: bool,
    paused: Vec<Span>,
    clocks: BTreeMap<String, (SlaClock, bool)>,
    /// When somebody answered for the first time.
    pub answered: Option<i64>,
    visits: BTreeSet<String>,
    arrived: bool,
    first_visit: Option<i64>,
    wanted: Vec<Wanted>,
    /// Lines that were used without having been asked for: all, and those of the first visit.
    unasked: (u32, u32),
    /// Sessions and trips that have not ended.
    pub running: Vec<Running>,
    down_since: Option<i64>,
    down_end: Option<i64>,
}

const DAY_MS: i64 = 86_400_000;

fn read(text: &str) -> Option<BusinessCalendar> {
    let bytes = B64.decode(text).ok()?;
    let (calendar, _): (CalendarV1, usize) = bincode::decode_from_slice(&bytes, bincode::config::standard()).ok()?;
    Some(BusinessCalendar::from_stored(&calendar))
}

impl Case {
    /// A new ticket.
    pub fn open(id: AggregateId, e: &TicketOpenedV1, at: i64) -> Case {
        let place = Place {
            case: id,
            site: Some(e.site_id.clone()),
            kind: e.kind,
            product: e.product_id.clone(),
            unit: None,
            line: None,
            equipment: e.equipment_id,
            team: None,
            customer: e.customer_id.clone(),
            warranty: WarrantyStatus::Unchecked,
            mode: None,
        };
        let mut case = Case {
            place,
            serial: e.serial.clone(),
            opened: at,
            severity: e.severity,
            symptom: e.symptom.clone(),
            cause: None,
            effort: e.estimated_effort,
            cycle: 1,
            started: at,
            ended: None,
            calendar: None,
            assignment_answers: false,
            approval_pauses: true,
            paused: Vec::new(),
            clocks: BTreeMap::new(),
            answered: None,
            visits: BTreeSet::new(),
            arrived: false,
            first_visit: None,
            wanted: Vec::new(),
            unasked: (0, 0),
            running: Vec::new(),
            down_since: e.down_since.map(Instant::millis),
            down_end: None,
        };
        case.name_unit();
        case
    }

    fn name_unit(&mut self) {
        self.place.unit = match (&self.place.product, &self.serial) {
            (Some(p), Some(s)) => Some(unit_id(p, s)),
            _ => None,
        };
    }

    fn policy(&mut self, p: &PolicyV1) {
        self.calendar = bincode::encode_to_vec(&p.calendar, bincode::config::standard()).ok().map(|b| B64.encode(b));
        self.assignment_answers = p.response_by_assignment;
        self.approval_pauses = p.approval_pauses;
    }

    /// How much working time lies in a span without some of it. Without a calendar all time is
    /// working time.
    fn worked(&self, span: Span, without: &[Span]) -> i64 {
        let parts = minus(&[span], &union(without.to_vec()));
        match self.calendar.as_deref().and_then(read) {
            Some(c) => {
                let one = |p: &Span| c.between(Instant::clamped(p.from), Instant::clamped(p.until)) * 1000;
                parts.iter().map(one).sum()
            }
            None => millis(&parts),
        }
    }

    fn pause(&mut self, at: i64) {
        if self.paused.last().is_none_or(|p| p.until != OPEN) {
            self.paused.push(Span::new(at, OPEN));
        }
    }

    fn go_on(&mut self, at: i64) {
        if let Some(p) = self.paused.last_mut().filter(|p| p.until == OPEN) {
            p.until = at.max(p.from);
        }
    }

    fn answer(&mut self, at: i64) {
        if self.cycle == 1 {
            self.answered = Some(self.answered.map_or(at, |a| a.min(at)).max(self.opened));
        }
    }

    fn visit(&mut self, key: String, at: i64) {
        self.visits.insert(key);
        self.first_visit.get_or_insert(at);
    }

    fn begin(&mut self, id: EntityId, technician: &AccountName, activity: Activity, at: i64) {
        self.running.retain(|r| r.id != id);
        self.running.push(Running { id, since: at, technician: technician.clone(), activity });
    }

    /// Applies an event but for the one that made it.
    pub fn apply(&mut self, event: &Event, at: i64) {
        match event {
            Event::TicketAmended(e) => {
                if e.serial.is_some() || e.product_id.is_some() {
                    self.serial = e.serial.clone().or_else(|| self.serial.take());
                    self.place.product = e.product_id.clone().or_else(|| self.place.product.take());
                    (self.place.warranty, self.place.line) = (WarrantyStatus::Unchecked, None);
                    self.name_unit();
                }
                self.down_since = e.down_since.map(Instant::millis).or(self.down_since);
            }
            Event::CommentAdded(e) if e.by_staff && e.visibility == Visibility::Public => self.answer(at),
            Event::TicketTriaged(e) => {
                self.severity = Some(e.severity);
                self.place.mode = Some(e.service_mode);
                self.place.team = e.team.clone().or_else(|| self.place.team.take());
                self.effort = e.estimated_effort.or(self.effort);
            }
            Event::FaultClassified(e) => {
                self.symptom = e.new.symptom.clone().or_else(|| self.symptom.take());
                self.cause = e.new.cause.clone().or_else(|| self.cause.take());
            }
            Event::WarrantyChecked(e) => {
                self.place.warranty = e.status;
                if let Some(u) = &e.unit {
                    self.place.unit = Some(u.unit_id);
                    self.place.product = Some(u.product_id.clone());
                    self.place.line = u.line_id.clone();
                }
            }
            Event::WarrantyOverridden(e) => self.place.warranty = e.new,
            Event::QuoteSubmitted(_) => {
                self.answer(at);
                if self.approval_pauses {
                    self.pause(at);
                }
            }
            Event::QuoteApproved(_) | Event::QuoteRejected(_) | Event::QuoteExpired(_) | Event::TicketResumed(_) => {
                self.go_on(at);
            }
            Event::TechnicianAssigned(e) => {
                self.place.team = e.team.clone().or_else(|| self.place.team.take());
                if self.assignment_answers {
                    self.answer(at);
                }
            }
            Event::TravelStarted(e) => {
                self.arrived = false;
                self.begin(e.trip_id, &e.technician, Activity::Travel, at);
            }
            Event::TechnicianArrived(e) => {
                self.arrived = true;
                self.visit(format!("trip {}", e.trip_id), at);
            }
            Event::WorkStarted(e) => {
                self.arrive_by_working(e, at);
                self.begin(e.session_id, &e.technician, Activity::Work, at);
            }
            Event::WorkResumed(e) => self.begin(e.session_id, &e.technician, Activity::Work, at),
            Event::PartsRequested(e) => self.wanted.extend(e.lines.iter().map(|l| Wanted {
                request: e.request_id,
                item: l.item_id.clone(),
                qty: l.qty,
                kept: Qty::ZERO,
                kept_at: None,
            })),
            Event::PartsReserved(e) => {
                for line in &e.lines {
                    let open = |w: &&mut Wanted| w.request == e.request_id && w.item == line.item_id && w.kept < w.qty;
                    if let Some(w) = self.wanted.iter_mut().find(open) {
                        w.kept += line.qty;
                        w.kept_at = (w.kept >= w.qty).then_some(at);
                    }
                }
            }
            Event::PartsReleased(e) => {
                for line in &e.lines {
                    let kept = |w: &&mut Wanted| w.item == line.item_id && !w.kept.is_zero();
                    if let Some(w) = self.wanted.iter_mut().find(kept) {
                        (w.kept, w.kept_at) = (w.kept.less(line.qty), None);
                    }
                }
            }
            Event::PartsConsumed(e) => {
                let asked = |item: &ItemId| self.wanted.iter().any(|w| w.item == *item);
                let more = e.lines.iter().filter(|l| !asked(&l.item_id)).count() as u32;
                self.unasked.0 += more;
                // What was used at the first visit was there.
                if self.visits.len() <= 1 && self.cycle == 1 {
                    self.unasked.1 += more;
                }
            }
            Event::TicketHeld(e) if e.pauses_sla => self.pause(at),
            Event::TicketResolved(e) => {
                self.go_on(at);
                self.cause = e.cause.clone().or_else(|| self.cause.take());
                self.ended = Some((at, End::Resolved(e.resolution_code)));
                self.down_end = e.downtime_end.map(Instant::millis);
            }
            Event::TicketCancelled(_) => {
                self.go_on(at);
                self.ended = Some((at, End::Cancelled));
            }
            Event::RepairVerified(e) if e.verdict == RepairVerdict::Fail => {
                // Between the repair and its test no clock ran.
                if let Some((ended, _)) = self.ended.take() {
                    self.paused.push(Span::new(ended, at.max(ended)));
                }
            }
            Event::TicketReopened(e) => {
                self.cycle = e.cycle;
                self.started = at;
                self.ended = None;
                self.paused.clear();
                self.clocks.clear();
                self.visits.clear();
                self.arrived = false;
            }
            Event::SlaStarted(e) => self.policy(&e.policy),
            Event::SlaPolicyApplied(e) => self.policy(&e.policy),
            Event::SlaMet(e) => {
                self.clocks.entry(e.clock.as_str().to_owned()).or_insert((e.clock, true));
            }
            Event::SlaBreached(e) => {
                self.clocks.insert(e.clock.as_str().to_owned(), (e.clock, false));
            }
            Event::SlaBreachRevoked(e) => {
                self.clocks.insert(e.clock.as_str().to_owned(), (e.clock, true));
            }
            _ => {}
        }
    }

    /// Work at the customer's is a visit, also where nobody said that somebody arrived.
    fn arrive_by_working(&mut self, e: &WorkStartedV1, at: i64) {
        if self.arrived {
            return;
        }
        let key = match (&e.visit_id, self.place.mode) {
            (Some(v), _) => format!("visit {v}"),
            (None, Some(ServiceMode::OnSite)) => format!("day {}", at.div_euclid(DAY_MS)),
            _ => {
                self.first_visit.get_or_insert(at);
                return;
            }
        };
        self.visit(key, at);
    }

    /// Which of the open sessions and trips an event ends.
    pub fn ends(&self, event: &Event) -> Vec<EntityId> {
        let one = |id: EntityId| vec![id];
        let all = |of: &dyn Fn(&Running) -> bool| self.running.iter().filter(|r| of(r)).map(|r| r.id).collect();
        match event {
            Event::WorkPaused(e) => one(e.session_id),
            Event::TechnicianArrived(e) => one(e.trip_id),
            Event::TravelAborted(e) => one(e.trip_id),
            // Who works is there.
            Event::WorkStarted(e) => {
                all(&|r| r.activity == Activity::Travel && r.technician == e.technician && r.id != e.session_id)
            }
            Event::TechnicianReassigned(e) => all(&|r| r.technician == e.old),
            Event::TicketHeld(_) | Event::TicketResolved(_) | Event::TicketCancelled(_) | Event::TicketClosed(_) => {
                all(&|_| true)
            }
            _ => Vec::new(),
        }
    }

    /// The cycle as a fact says it, and from when to when it is.
    pub fn cycle_fact(&self, rating: Option<(u8, Option<u8>)>) -> (Span, Body) {
        let until = self.ended.map_or(OPEN, |(at, _)| at.max(self.started) + 1);
        let net = match self.ended {
            Some((at, End::Resolved(_))) => {
                Some(self.worked(Span::new(self.started, at.max(self.started)), &self.paused))
            }
            _ => None,
        };
        let body = Body::Cycle {
            cycle: self.cycle,
            end: self.ended.map(|(_, end)| end),
            net,
            visits: u16::try_from(self.visits.len()).unwrap_or(u16::MAX),
            clocks: self.clocks.values().copied().collect(),
            rating,
            effort: self.effort.map(|s| s.0),
            symptom: self.symptom.clone(),
            cause: self.cause.clone(),
        };
        (Span::new(self.started, until), body)
    }

    /// How long the customer waited for an answer.
    pub fn response(&self) -> Option<(i64, Body)> {
        let at = self.answered?;
        let after = self.worked(Span::new(self.opened, at), &[]);
        Some((at, Body::Response { after }))
    }

    /// Which parts were there when the first visit began.
    pub fn fill(&self) -> Option<(i64, Body)> {
        let first = self.first_visit?;
        let there = self.wanted.iter().filter(|w| w.kept_at.is_some_and(|t| t <= first)).count() as u32;
        let needed = self.wanted.len() as u32 + self.unasked.0;
        (needed > 0).then_some((first, Body::Fill { needed, available: there + self.unasked.1 }))
    }

    /// Since when the machine is down, and until when.
    pub fn down(&self) -> Option<Span> {
        let since = self.down_since.filter(|_| self.place.equipment.is_some())?;
        let until = self.down_end.or(self.ended.map(|(at, _)| at)).unwrap_or(OPEN);
        (since < until).then_some(Span::new(since, until))
    }
}
