//! The clocks of the service level agreement (2.6).
//!
//! What is kept of a clock is how much of its business time is left, never a due date that is moved:
//! nights and week-ends inside a pause would count twice. Business time is counted from `occurred_at`.
//!
//! - [`evolve`] folds events into the clocks; every event of the ticket, since a resolution stops a clock
//!   whether or not another event says so.
//! - [`follow`] looks at what a decision means for the clocks and adds their events to it. It is the only
//!   place that makes them, but for the timers ([`crate::ticket::clock`]).
//! - `policy` chooses the policy and copies it.

mod clocks;
mod policy;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use mw_calendar::BusinessCalendar;
use mw_contract::decide::{Decision, DecisionContext, EventMeta};
use mw_contract::event::ticket::{
    SlaBreachRevokedV1, SlaBreachedV1, SlaMetV1, SlaPausedV1, SlaPolicyAppliedV1, SlaResumedV1, SlaStartedV1,
};
use mw_contract::event::ticket_parts::{ClockV1, PolicyV1};
use mw_contract::{
    AggregateKind, Code, Event, EventId, Instant, RmaState, Seconds, ServiceMode, SlaClock, SlaPauseCause, StreamId,
    TicketState,
};

use crate::rules::Facts;
use crate::state::{AfterServiceState, Clock, Sla, Ticket};

use clocks::{calendar, due, signed, stops};
pub use clocks::{evolve, left, used_up_at};
pub use policy::Subject;

/// Adds what a decision means for the clocks: of its own ticket, and of one that it opens beside it (TK-43).
pub fn follow(facts: &Facts<'_>, state: &AfterServiceState, decision: &mut Decision, ctx: &DecisionContext<'_>) {
    let own = StreamId::new(AggregateKind::Ticket, ctx.aggregate_id);
    let other = decision.events.iter().find(|(s, e)| *s != own && matches!(e, Event::TicketOpened(_)));
    let other = other.map(|(s, _)| *s);
    follow_one(facts, state, own, decision, ctx);
    if let Some(other) = other {
        follow_one(facts, &AfterServiceState::None, other, decision, ctx);
    }
}

fn follow_one(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    stream: StreamId,
    decision: &mut Decision,
    ctx: &DecisionContext<'_>,
) {
    let own: Vec<&Event> = decision.events.iter().filter(|(s, _)| *s == stream).map(|(_, e)| e).collect();
    let before = state.ticket();
    let has_clocks = before.is_some_and(|t| t.sla.policy.is_some());
    if own.is_empty() || (!has_clocks && !own.iter().any(|e| may_start(e))) {
        return;
    }
    let meta = EventMeta {
        event_id: EventId(stream.id.0),
        version: ctx.version,
        occurred_at: ctx.occurred_at,
        recorded_at: ctx.received_at,
        account: ctx.actor.account.clone(),
        role: Some(decision.role),
        late: decision.late,
    };
    let mut after = state.clone();
    for event in &own {
        crate::evolve::evolve(&mut after, &stream, event, &meta);
    }
    let Some(ticket) = after.ticket() else { return };
    let mut hands = Hands { facts, ctx, before, ticket, sla: ticket.sla.clone(), meta, events: Vec::new() };
    hands.all(&own);
    let events = hands.events;
    decision.events.extend(events.into_iter().map(|e| (stream, e)));
}

/// Does the policy of a cycle hang on it?
fn may_start(event: &Event) -> bool {
    matches!(
        event,
        Event::TicketOpened(_) | Event::TicketReopened(_) | Event::TicketTriaged(_) | Event::TicketPriorityChanged(_)
    )
}

/// Nobody owes an update before the customer has heard from us once.
fn has_begun(sla: &Sla, clock: SlaClock) -> bool {
    clock != SlaClock::Update || sla.stopped.contains(&SlaClock::Update)
}

/// Waits the resolution clock for the unit?
fn awaits_arrival(ticket: &Ticket, sla: &Sla, policy: &PolicyV1) -> bool {
    let here = |s: RmaState| matches!(s, RmaState::Received | RmaState::Dispositioned);
    policy.workshop_from_receipt
        && ticket.service_mode == Some(ServiceMode::Workshop)
        && !sla.arrived
        && !ticket.returns.iter().flat_map(|r| &r.serials).any(|u| here(u.state) && !u.mismatch)
}

/// Why a clock has to stand still; none: it runs.
fn pause_cause(ticket: &Ticket, sla: &Sla, policy: &PolicyV1, clock: SlaClock) -> Option<SlaPauseCause> {
    if clock == SlaClock::FirstResponse {
        return None;
    }
    if ticket.hold.as_ref().is_some_and(|h| h.pauses_sla) {
        return Some(SlaPauseCause::Hold);
    }
    let approval = ticket.state == TicketState::AwaitingApproval && policy.approval_pauses;
    if approval && clock != SlaClock::OnSite {
        return Some(SlaPauseCause::CustomerApproval);
    }
    (clock == SlaClock::Resolution && awaits_arrival(ticket, sla, policy)).then_some(SlaPauseCause::UnitArrival)
}

/// What is on the table while a decision is followed.
struct Hands<'a> {
    facts: &'a Facts<'a>,
    ctx: &'a DecisionContext<'a>,
    before: Option<&'a Ticket>,
    /// After the decision, without the events that are being added.
    ticket: &'a Ticket,
    /// With the events that are being added.
    sla: Sla,
    meta: EventMeta,
    events: Vec<Event>,
}

impl Hands<'_> {
    fn all(&mut self, own: &[&Event]) {
        if own.iter().any(|e| matches!(e, Event::TicketOpened(_) | Event::TicketReopened(_))) {
            return self.start();
        }
        self.verdicts(own);
        if self.ticket.state.is_open() {
            self.answer_again(own);
            self.arrival(own);
            if own.iter().any(|e| matches!(e, Event::TicketTriaged(_) | Event::TicketPriorityChanged(_))) {
                self.apply_policy();
            }
            self.level();
        }
    }

    fn at(&self) -> Instant {
        self.meta.occurred_at
    }

    fn push(&mut self, event: impl Into<Event>) {
        let event = event.into();
        evolve(&mut self.sla, &event, &self.meta);
        self.events.push(event);
    }

    /// A cycle begins, with its clocks.
    fn start(&mut self) {
        let Some(policy) = policy::choose(self.facts, self.ctx, &Subject::of(self.ticket)) else { return };
        if policy.targets.is_empty() {
            return;
        }
        let calendar = BusinessCalendar::from_stored(&policy.calendar);
        let none = Sla::default();
        let clocks = policy.targets.iter().map(|t| {
            let remaining_s = signed(t.target);
            let runs = has_begun(&none, t.clock) && pause_cause(self.ticket, &none, &policy, t.clock).is_none();
            let due = runs.then(|| due(&calendar, self.at(), remaining_s));
            ClockV1 { clock: t.clock, target: t.target, remaining_s, due }
        });
        let clocks = clocks.collect();
        let (cycle, priority) = (self.ticket.cycle, self.ticket.priority);
        self.push(SlaStartedV1 { cycle, policy, priority, clocks });
    }

    /// How the clocks ended that the decision stops.
    fn verdicts(&mut self, own: &[&Event]) {
        let Some(sla) = self.before.map(|t| &t.sla) else { return };
        let kinds: BTreeSet<SlaClock> = own.iter().flat_map(|e| stops(sla, e)).copied().collect();
        for kind in kinds.into_iter().filter(|k| has_begun(sla, *k)) {
            if let Some(clock) = sla.clocks.get(&kind).filter(|c| c.ended.is_none()) {
                self.verdict(sla, kind, clock);
            }
        }
    }

    fn verdict(&mut self, sla: &Sla, kind: SlaClock, clock: &Clock) {
        let left = clock.left(calendar(sla).as_ref(), self.at());
        if clock.in_time(self.at()) {
            if clock.breached {
                self.revoke(kind, "late_report");
            }
            self.push(SlaMetV1 { clock: kind, spare: Seconds(u64::try_from(left).unwrap_or(0)) });
        } else if !clock.breached {
            let due = clock.due.unwrap_or_else(|| self.was_due(sla, left));
            self.push(SlaBreachedV1 { clock: kind, due, by: Seconds(u64::try_from(-left).unwrap_or(0)) });
        }
    }

    /// When a clock that stands still used its time up.
    fn was_due(&self, sla: &Sla, left: i64) -> Instant {
        calendar(sla).map_or(self.at(), |c| due(&c, self.at(), left))
    }

    fn revoke(&mut self, clock: SlaClock, reason: &str) {
        if let Ok(reason) = Code::new(reason) {
            self.push(SlaBreachRevokedV1 { clock, reason });
        }
    }

    /// The customer has heard from us: from now on until the next time.
    fn answer_again(&mut self, own: &[&Event]) {
        let Some(policy) = self.sla.policy.clone() else { return };
        let answered = own.iter().any(|e| clocks::is_answer(e));
        let target = policy.targets.iter().find(|t| t.clock == SlaClock::Update).filter(|_| answered);
        if let Some(t) = target {
            self.set(SlaClock::Update, signed(t.target), &policy);
        }
    }

    /// The clock of a workshop repair begins with the unit's arrival.
    fn arrival(&mut self, own: &[&Event]) {
        let (Some(before), Some(policy)) = (self.before, self.sla.policy.clone()) else { return };
        let came = own.iter().any(|e| matches!(e, Event::ReturnReceived(r) if !r.mismatch));
        if !came || !awaits_arrival(before, &before.sla, &policy) {
            return;
        }
        let clock = self.sla.clocks.get(&SlaClock::Resolution).filter(|c| c.ended.is_none());
        let Some((target, breached)) = clock.map(|c| (c.target, c.breached)) else { return };
        if breached {
            self.revoke(SlaClock::Resolution, "unit_arrival");
        }
        self.set(SlaClock::Resolution, signed(target), &policy);
    }

    /// Gives a clock so much time from now; it stands still where it has to.
    fn set(&mut self, clock: SlaClock, remaining_s: i64, policy: &PolicyV1) {
        match pause_cause(self.ticket, &self.sla, policy, clock) {
            Some(cause) => self.push(SlaPausedV1 { clock, cause, remaining_s }),
            None => {
                let due = due(&BusinessCalendar::from_stored(&policy.calendar), self.at(), remaining_s);
                self.push(SlaResumedV1 { clock, remaining_s, due });
            }
        }
    }

    /// Other targets: what was used up stays used up.
    fn apply_policy(&mut self) {
        let Some(policy) = policy::choose(self.facts, self.ctx, &Subject::of(self.ticket)) else { return };
        let priority = self.ticket.priority;
        let same =
            self.sla.policy.as_ref() == Some(&policy) || (self.sla.policy.is_none() && policy.targets.is_empty());
        if same && self.before.is_some_and(|t| t.priority == priority) {
            return;
        }
        let (old, new) = (calendar(&self.sla), BusinessCalendar::from_stored(&policy.calendar));
        let mut clocks = Vec::with_capacity(policy.targets.len());
        let mut in_time_now = Vec::new();
        for t in &policy.targets {
            let (used, runs, breached) = match self.sla.clocks.get(&t.clock) {
                Some(c) if c.ended.is_some() => continue,
                Some(c) => (signed(c.target) - c.left(old.as_ref(), self.at()), c.since.is_some(), c.breached),
                None if t.clock == SlaClock::Update => (0, false, false),
                None if self.sla.stopped.contains(&t.clock) => continue,
                None => (new.between(self.ticket.cycle_since, self.at()).max(0), true, false),
            };
            let remaining_s = signed(t.target) - used;
            if breached && remaining_s > 0 {
                in_time_now.push(t.clock);
            }
            let due = runs.then(|| due(&new, self.at(), remaining_s));
            clocks.push(ClockV1 { clock: t.clock, target: t.target, remaining_s, due });
        }
        self.push(SlaPolicyAppliedV1 { policy, priority, clocks });
        for clock in in_time_now {
            self.revoke(clock, "policy_changed");
        }
    }

    /// Stops and starts the clocks as the ticket's state asks for it.
    fn level(&mut self) {
        let Some(policy) = self.sla.policy.clone() else { return };
        let kinds: Vec<SlaClock> = self.sla.clocks.keys().copied().filter(|k| has_begun(&self.sla, *k)).collect();
        for kind in kinds {
            let Some(c) = self.sla.clocks.get(&kind).filter(|c| c.ended.is_none()) else { continue };
            let cause = pause_cause(self.ticket, &self.sla, &policy, kind);
            let left = c.left(calendar(&self.sla).as_ref(), self.at());
            let (runs, breached) = (c.since.is_some(), c.breached);
            match (runs, cause) {
                (true, Some(cause)) => {
                    // It stood still before it was due, as a late report shows.
                    if breached && left > 0 {
                        self.revoke(kind, "late_report");
                    }
                    self.push(SlaPausedV1 { clock: kind, cause, remaining_s: left });
                }
                (false, None) => self.set(kind, left, &policy),
                _ => {}
            }
        }
    }
}
