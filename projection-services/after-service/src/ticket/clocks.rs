//! The clocks of a ticket (2.6): what is left, not when it would have been due. What is left at a
//! moment is counted by the calendar when somebody asks.

use mw_contract::event::ticket_parts::{ClockV1, PolicyV1};
use mw_contract::{Code, Event, Instant, Seconds, SlaClock, SlaPauseCause, Visibility};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Meta;

/// Where a clock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockState {
    /// It does not count yet.
    Waiting,
    /// It counts.
    Running,
    /// It stands still.
    Paused,
    /// It was stopped in time.
    Met,
    /// It was stopped too late.
    Breached,
    /// The case ended before it was stopped.
    Stopped,
}

impl ClockState {
    /// Does it count, or will it go on?
    pub fn is_live(self) -> bool {
        matches!(self, ClockState::Waiting | ClockState::Running | ClockState::Paused)
    }

    /// As text.
    pub fn as_str(self) -> &'static str {
        match self {
            ClockState::Waiting => "waiting",
            ClockState::Running => "running",
            ClockState::Paused => "paused",
            ClockState::Met => "met",
            ClockState::Breached => "breached",
            ClockState::Stopped => "stopped",
        }
    }
}

/// One clock of one cycle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clock {
    /// Of which cycle.
    pub cycle: u16,
    /// Which.
    pub clock: SlaClock,
    /// Business seconds that it has.
    pub target: Seconds,
    /// Business seconds that were left when it last changed.
    pub remaining_s: i64,
    /// When it is due; none while it stands still and once it has ended.
    pub due: Option<Instant>,
    /// When it was due, once it has ended.
    pub was_due: Option<Instant>,
    /// Where it is.
    pub state: ClockState,
    /// It ran out, and may go on counting.
    pub breached: bool,
    /// By how much, when that was last said.
    pub by: Option<Seconds>,
    /// Why it stands still.
    pub cause: Option<SlaPauseCause>,
    /// Warnings that were raised, in per cent.
    pub warned: Vec<u8>,
    /// When it was stopped.
    pub ended_at: Option<Instant>,
    /// The policy that gave the target.
    pub policy: Code,
    /// The key of its calendar.
    pub calendar: i64,
}

/// All clocks of a ticket.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sla {
    /// The policy that applies now, without its calendar.
    pub policy: Value,
    /// Does an assignment count as the first response?
    pub by_assignment: bool,
    /// By cycle, then in the order of the policy.
    pub clocks: Vec<Clock>,
}

impl Sla {
    /// The live clock of a cycle with the least time left: one that runs before one that stands still.
    pub fn least(&self, cycle: u16) -> Option<&Clock> {
        let live = || self.clocks.iter().filter(|c| c.cycle == cycle && c.state.is_live());
        live().filter(|c| c.due.is_some()).min_by_key(|c| c.due).or_else(|| live().min_by_key(|c| c.remaining_s))
    }

    /// Folds one event.
    pub fn apply(&mut self, event: &Event, cycle: u16, m: &Meta) {
        let at = m.occurred_at;
        match event {
            Event::SlaStarted(e) => self.given(&e.policy, &e.clocks, e.cycle, m),
            Event::SlaPolicyApplied(e) => self.given(&e.policy, &e.clocks, cycle, m),
            Event::SlaPaused(e) => self.each(e.clock, cycle, |c| {
                (c.state, c.due, c.remaining_s) = (ClockState::Paused, None, e.remaining_s);
                c.cause = Some(e.cause);
            }),
            Event::SlaResumed(e) => self.each(e.clock, cycle, |c| {
                (c.state, c.due, c.remaining_s) = (ClockState::Running, Some(e.due), e.remaining_s);
                (c.cause, c.ended_at, c.was_due) = (None, None, None);
            }),
            Event::SlaWarningRaised(e) => self.each(e.clock, cycle, |c| c.warned.push(e.pct)),
            Event::SlaBreached(e) => self.each(e.clock, cycle, |c| {
                (c.breached, c.by) = (true, Some(e.by));
                if !c.state.is_live() {
                    c.state = ClockState::Breached;
                }
            }),
            Event::SlaMet(e) => self.each(e.clock, cycle, |c| {
                c.end(at);
                (c.state, c.remaining_s) = (ClockState::Met, i64::try_from(e.spare.0).unwrap_or(i64::MAX));
            }),
            Event::SlaBreachRevoked(e) => self.each(e.clock, cycle, |c| {
                (c.breached, c.by) = (false, None);
                if c.state == ClockState::Breached {
                    c.state = ClockState::Met;
                }
            }),
            Event::CommentAdded(e) if e.by_staff && e.visibility == Visibility::Public => {
                self.stop(SlaClock::FirstResponse, cycle, at);
            }
            Event::QuoteSubmitted(_) => self.stop(SlaClock::FirstResponse, cycle, at),
            Event::TechnicianAssigned(_) if self.by_assignment => self.stop(SlaClock::FirstResponse, cycle, at),
            Event::TechnicianArrived(_) | Event::WorkStarted(_) => self.stop(SlaClock::OnSite, cycle, at),
            Event::TicketResolved(_) => {
                self.stop(SlaClock::Resolution, cycle, at);
                self.stop(SlaClock::Update, cycle, at);
            }
            Event::TicketClosed(_) | Event::TicketCancelled(_) | Event::TicketReopened(_) => {
                for c in self.clocks.iter_mut().filter(|c| c.cycle == cycle && c.state.is_live()) {
                    c.end(at);
                    c.state = if c.breached { ClockState::Breached } else { ClockState::Stopped };
                }
            }
            _ => {}
        }
    }

    fn each(&mut self, clock: SlaClock, cycle: u16, change: impl FnOnce(&mut Clock)) {
        if let Some(c) = self.clocks.iter_mut().find(|c| c.cycle == cycle && c.clock == clock) {
            change(c);
        }
    }

    /// What stops a clock; the event behind it says how much was to spare.
    fn stop(&mut self, clock: SlaClock, cycle: u16, at: Instant) {
        self.each(clock, cycle, |c| {
            if !c.state.is_live() {
                return;
            }
            let late = c.breached || c.due.is_some_and(|due| due < at);
            c.end(at);
            c.state = if late { ClockState::Breached } else { ClockState::Met };
        });
    }

    fn given(&mut self, policy: &PolicyV1, clocks: &[ClockV1], cycle: u16, m: &Meta) {
        self.by_assignment = policy.response_by_assignment;
        self.policy = json!({
            "policy_code": policy.policy_code, "calendar_id": policy.calendar.calendar_id,
            "time_zone": policy.calendar.time_zone, "targets": policy.targets,
            "response_by_assignment": policy.response_by_assignment, "approval_pauses": policy.approval_pauses,
            "workshop_from_receipt": policy.workshop_from_receipt,
        });
        for new in clocks {
            let old = self.clocks.iter_mut().find(|c| c.cycle == cycle && c.clock == new.clock);
            let was = old.as_ref().map(|c| c.state);
            let state = match (new.due, was) {
                (Some(_), _) => ClockState::Running,
                // Only its target changed.
                (None, Some(state)) if state != ClockState::Running => state,
                (None, Some(_)) => ClockState::Paused,
                (None, None) => ClockState::Waiting,
            };
            let policy = policy.policy_code.clone();
            let calendar = m.calendar.unwrap_or_default();
            match old {
                Some(c) => {
                    (c.target, c.remaining_s, c.due, c.state) = (new.target, new.remaining_s, new.due, state);
                    (c.policy, c.calendar) = (policy, calendar);
                    if state.is_live() {
                        (c.ended_at, c.was_due) = (None, None);
                    }
                }
                None => self.clocks.push(Clock {
                    cycle,
                    clock: new.clock,
                    target: new.target,
                    remaining_s: new.remaining_s,
                    due: new.due,
                    was_due: None,
                    state,
                    breached: false,
                    by: None,
                    cause: None,
                    warned: Vec::new(),
                    ended_at: None,
                    policy,
                    calendar,
                }),
            }
        }
    }
}

impl Clock {
    fn end(&mut self, at: Instant) {
        if self.ended_at.is_none() {
            self.ended_at = Some(at);
        }
        if let Some(due) = self.due.take() {
            self.was_due = Some(due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mw_contract::event::samples::Sample;
    use mw_contract::event::ticket::*;
    use mw_contract::{Position, Version};

    fn at(s: &str) -> Instant {
        format!("2026-03-{s}Z").parse().unwrap()
    }

    fn meta(t: &str) -> Meta {
        Meta {
            position: Position(1),
            version: Version(1),
            occurred_at: at(t),
            recorded_at: at(t),
            by: "dispatcher-1".parse().unwrap(),
            role: None,
            calendar: Some(1),
        }
    }

    /// Golden scenario 2: 8 h from Monday 09:00 in UTC, due at 17:00.
    fn started() -> Sla {
        let clock =
            |clock, due: &str| ClockV1 { clock, target: Seconds(28800), remaining_s: 28800, due: Some(at(due)) };
        let mut s = Sla::default();
        let clocks = vec![clock(SlaClock::Resolution, "02T17:00:00"), clock(SlaClock::FirstResponse, "02T11:00:00")];
        let e = SlaStartedV1 { cycle: 1, policy: Sample::sample(), priority: None, clocks };
        s.apply(&e.into(), 1, &meta("02T09:00:00"));
        s
    }

    fn resolved() -> Event {
        TicketResolvedV1::sample().into()
    }

    #[test]
    fn sla_golden_2_a_paused_clock_keeps_what_is_left_and_goes_on_with_it() {
        let mut s = started();
        assert_eq!(s.least(1).map(|c| c.clock), Some(SlaClock::FirstResponse));
        let clock = SlaClock::Resolution;
        let pause = SlaPausedV1 { clock, cause: SlaPauseCause::Hold, remaining_s: 3600 };
        s.apply(&pause.into(), 1, &meta("02T16:00:00"));
        let c = s.clocks[0].clone();
        assert_eq!((c.state, c.due, c.remaining_s), (ClockState::Paused, None, 3600));
        let resume = SlaResumedV1 { clock, remaining_s: 3600, due: at("03T11:00:00") };
        s.apply(&resume.into(), 1, &meta("03T10:00:00"));
        let c = s.clocks[0].clone();
        assert_eq!((c.state, c.due, c.cause), (ClockState::Running, Some(at("03T11:00:00")), None));
    }

    #[test]
    fn sla_a_clock_that_is_stopped_says_whether_that_was_in_time() {
        for (when, state) in [("02T17:00:00", ClockState::Met), ("02T17:00:01", ClockState::Breached)] {
            let mut s = started();
            s.apply(&resolved(), 1, &meta(when));
            let c = &s.clocks[0];
            assert_eq!((c.state, c.due, c.was_due), (state, None, Some(at("02T17:00:00"))));
        }
    }

    #[test]
    fn sla_a_breached_clock_goes_on_and_a_late_report_takes_the_breach_back() {
        let (mut s, clock) = (started(), SlaClock::Resolution);
        let breach = SlaBreachedV1 { clock, due: at("02T17:00:00"), by: Seconds(0) };
        s.apply(&breach.into(), 1, &meta("02T17:00:00"));
        assert!(s.clocks[0].breached && s.clocks[0].state == ClockState::Running);
        s.apply(&resolved(), 1, &meta("02T16:30:00"));
        assert_eq!(s.clocks[0].state, ClockState::Breached);
        let revoked = SlaBreachRevokedV1 { clock, reason: "late_report".parse().unwrap() };
        s.apply(&revoked.into(), 1, &meta("02T16:30:00"));
        assert!(!s.clocks[0].breached && s.clocks[0].state == ClockState::Met);
    }

    #[test]
    fn sla_clocks_of_an_old_cycle_stay_as_they_ended() {
        let mut s = started();
        s.apply(&resolved(), 1, &meta("02T12:00:00"));
        let old = s.clocks[0].clone();
        s.apply(&TicketReopenedV1::sample().into(), 1, &meta("05T12:00:00"));
        let e = SlaStartedV1 {
            cycle: 2,
            policy: Sample::sample(),
            priority: None,
            clocks: vec![ClockV1 {
                clock: SlaClock::Resolution,
                target: Seconds(28800),
                remaining_s: 28800,
                due: Some(at("06T12:00:00")),
            }],
        };
        s.apply(&e.into(), 2, &meta("05T12:00:00"));
        assert_eq!((s.clocks.len(), &s.clocks[0]), (3, &old));
        assert_eq!(s.clocks[1].state, ClockState::Stopped);
        assert_eq!(s.least(2).and_then(|c| c.due), Some(at("06T12:00:00")));
    }
}
