//! Folds events into the clocks of a ticket, and reads them.

use mw_calendar::BusinessCalendar;
use mw_contract::decide::EventMeta;
use mw_contract::event::ticket::SlaPolicyAppliedV1;
use mw_contract::event::ticket_parts::ClockV1;
use mw_contract::{Event, Instant, RepairVerdict, Seconds, SlaClock, Visibility};

use crate::state::{Clock, ClockEnd, Sla};

impl Clock {
    fn given(c: &ClockV1, at: Instant) -> Self {
        Clock {
            target: c.target,
            remaining_s: c.remaining_s,
            since: c.due.map(|_| at),
            due: c.due,
            ended: None,
            breached: false,
            warned: Default::default(),
        }
    }

    /// The business seconds that are left at a moment; below zero: over.
    pub fn left(&self, calendar: Option<&BusinessCalendar>, at: Instant) -> i64 {
        match (self.since, calendar) {
            // A report from before the clock was started takes nothing away.
            (Some(since), Some(c)) => self.remaining_s - c.between(since, at).max(0),
            _ => self.remaining_s,
        }
    }

    /// Would it be in time to stop it at that moment?
    pub fn in_time(&self, at: Instant) -> bool {
        self.due.map_or(self.remaining_s >= 0, |due| at <= due)
    }

    fn stand_still(&mut self, calendar: Option<&BusinessCalendar>, at: Instant) {
        self.remaining_s = self.left(calendar, at);
        self.since = None;
        self.due = None;
    }

    /// It goes on, or waits to, with so much time: what no longer holds of it is forgotten.
    fn with(&mut self, remaining_s: i64, since: Option<Instant>, due: Option<Instant>) {
        self.remaining_s = remaining_s;
        self.since = since;
        self.due = due;
        self.ended = None;
        self.breached &= remaining_s <= 0;
        let used = signed(self.target) - remaining_s;
        let target = signed(self.target);
        self.warned.retain(|pct| used.saturating_mul(100) >= target.saturating_mul(i64::from(*pct)));
    }
}

/// Folds an event into the clocks.
pub fn evolve(sla: &mut Sla, event: &Event, meta: &EventMeta) {
    let at = meta.occurred_at;
    match event {
        Event::TicketReopened(_) => *sla = Sla::default(),
        Event::SlaStarted(e) => {
            let clocks = e.clocks.iter().map(|c| (c.clock, Clock::given(c, at))).collect();
            *sla = Sla { policy: Some(e.policy.clone()), clocks, ..Sla::default() };
        }
        Event::SlaPolicyApplied(e) => applied(sla, e, at),
        Event::SlaPaused(e) => {
            if let Some(c) = clock(sla, e.clock) {
                c.with(e.remaining_s, None, None);
            }
        }
        Event::SlaResumed(e) => {
            if let Some(c) = clock(sla, e.clock) {
                c.with(e.remaining_s, Some(at), Some(e.due));
            }
        }
        Event::SlaMet(e) => {
            if let Some(c) = clock(sla, e.clock) {
                c.remaining_s = signed(e.spare);
                (c.since, c.due, c.ended) = (None, None, Some(ClockEnd::Met));
            }
        }
        Event::SlaBreached(e) => {
            if let Some(c) = clock(sla, e.clock) {
                c.breached = true;
                c.ended = c.ended.map(|_| ClockEnd::Late);
            }
        }
        Event::SlaBreachRevoked(e) => {
            if let Some(c) = clock(sla, e.clock) {
                c.breached = false;
            }
        }
        Event::SlaWarningRaised(e) => {
            if let Some(c) = clock(sla, e.clock) {
                c.warned.insert(e.pct);
            }
        }
        _ => happened(sla, event, at),
    }
}

/// What the ticket's own events mean for the clocks, whether or not an event of the clocks says so too.
fn happened(sla: &mut Sla, event: &Event, at: Instant) {
    for kind in stops(sla, event) {
        stop(sla, *kind, at);
    }
    match event {
        // Nothing more is owed to the customer for now; a failed test takes it up again.
        Event::TicketResolved(_) => all_stand_still(sla, at),
        // They end without a verdict.
        Event::TicketCancelled(_) | Event::TicketClosed(_) => all_stand_still(sla, at),
        Event::RepairVerified(e) if e.verdict == RepairVerdict::Fail => {
            sla.stopped.remove(&SlaClock::Resolution);
            if let Some(c) = sla.clocks.get_mut(&SlaClock::Resolution) {
                c.ended = None;
            }
            // An answer to the resolution is none to what comes now.
            if let Some(c) = sla.clocks.get_mut(&SlaClock::Update).filter(|c| c.ended.is_some()) {
                c.with(signed(c.target), None, None);
            }
        }
        Event::ReturnReceived(e) if !e.mismatch => sla.arrived = true,
        Event::UnitShippedBack(_) => sla.arrived = true,
        _ => {}
    }
}

/// The clocks that an event stops.
pub(super) fn stops(sla: &Sla, event: &Event) -> &'static [SlaClock] {
    use SlaClock as C;
    match event {
        _ if is_answer(event) => &[C::FirstResponse, C::Update],
        Event::QuoteSubmitted(_) => &[C::FirstResponse],
        Event::TechnicianAssigned(_) if sla.policy.as_ref().is_some_and(|p| p.response_by_assignment) => {
            &[C::FirstResponse]
        }
        Event::TechnicianArrived(_) | Event::WorkStarted(_) => &[C::OnSite],
        Event::TicketResolved(_) => &[C::Resolution],
        _ => &[],
    }
}

/// Does the customer hear from us?
pub(super) fn is_answer(event: &Event) -> bool {
    matches!(event, Event::CommentAdded(c) if c.by_staff && c.visibility == Visibility::Public)
}

fn stop(sla: &mut Sla, kind: SlaClock, at: Instant) {
    sla.stopped.insert(kind);
    let calendar = calendar(sla);
    if let Some(c) = sla.clocks.get_mut(&kind).filter(|c| c.ended.is_none()) {
        c.ended = Some(if c.in_time(at) { ClockEnd::Met } else { ClockEnd::Late });
        c.stand_still(calendar.as_ref(), at);
    }
}

fn all_stand_still(sla: &mut Sla, at: Instant) {
    let calendar = calendar(sla);
    for c in sla.clocks.values_mut() {
        c.stand_still(calendar.as_ref(), at);
    }
}

fn applied(sla: &mut Sla, e: &SlaPolicyAppliedV1, at: Instant) {
    let mut old = std::mem::take(&mut sla.clocks);
    for c in &e.clocks {
        let new = match old.remove(&c.clock) {
            Some(mut clock) => {
                clock.target = c.target;
                clock.with(c.remaining_s, c.due.map(|_| at), c.due);
                clock
            }
            None => Clock::given(c, at),
        };
        sla.clocks.insert(c.clock, new);
    }
    // What ended stays as it ended; what has no target any more is gone.
    sla.clocks.extend(old.into_iter().filter(|(_, c)| c.ended.is_some()));
    sla.policy = Some(e.policy.clone());
}

/// A clock; one that begins later than the others is made from the policy.
fn clock(sla: &mut Sla, kind: SlaClock) -> Option<&mut Clock> {
    if !sla.clocks.contains_key(&kind) {
        let target = sla.policy.as_ref()?.targets.iter().find(|t| t.clock == kind)?.target;
        let given = ClockV1 { clock: kind, target, remaining_s: signed(target), due: None };
        sla.clocks.insert(kind, Clock::given(&given, Instant::clamped(0)));
    }
    sla.clocks.get_mut(&kind)
}

/// The business seconds that are left of a clock at a moment; none when there is no such clock.
pub fn left(sla: &Sla, kind: SlaClock, at: Instant) -> Option<i64> {
    sla.clocks.get(&kind).map(|c| c.left(calendar(sla).as_ref(), at))
}

/// When so many percent of a running clock's time are used up; 100: when it is due. A share that was used
/// up before the clock last went on is somewhere before that.
pub fn used_up_at(sla: &Sla, kind: SlaClock, pct: u8) -> Option<Instant> {
    let c = sla.clocks.get(&kind)?;
    let share = signed(c.target).saturating_mul(i64::from(pct)).saturating_add(99) / 100;
    let used = signed(c.target) - c.remaining_s;
    Some(due(&calendar(sla)?, c.since?, share - used))
}

pub(super) fn calendar(sla: &Sla) -> Option<BusinessCalendar> {
    sla.policy.as_ref().map(|p| BusinessCalendar::from_stored(&p.calendar))
}

/// When so much time has passed; the last moment of all where the calendar never gets there.
pub(super) fn due(calendar: &BusinessCalendar, from: Instant, remaining_s: i64) -> Instant {
    calendar.add(from, remaining_s).unwrap_or(if remaining_s > 0 { Instant::clamped(i64::MAX) } else { from })
}

pub(super) fn signed(s: Seconds) -> i64 {
    i64::try_from(s.0).unwrap_or(i64::MAX)
}
