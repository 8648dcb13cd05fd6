//! T5: the clocks follow from the ticket's own events and the copies of the policy. Here they are worked
//! out again from those alone, by sums of the time in which each ran, and compared.

use std::collections::{BTreeMap, BTreeSet};

use mw_calendar::BusinessCalendar;
use mw_contract::event::ticket_parts::PolicyV1;
use proptest::prelude::*;

use super::*;
use crate::evolve::state_after;
use crate::state::ClockEnd;

/// A clock, worked out again.
#[derive(Clone, Debug)]
struct Sum {
    target: i64,
    used: i64,
    since: Option<Instant>,
    ended: Option<ClockEnd>,
}

#[derive(Default)]
struct Again {
    policy: Option<PolicyV1>,
    sums: BTreeMap<SlaClock, Sum>,
    happened: BTreeSet<SlaClock>,
    state: Option<TicketState>,
    paused: bool,
    workshop: bool,
    arrived: bool,
    began: Option<Instant>,
}

impl Again {
    fn calendar(&self) -> BusinessCalendar {
        BusinessCalendar::from_stored(&self.policy.as_ref().unwrap().calendar)
    }

    fn target(&self, kind: SlaClock) -> Option<i64> {
        let all = &self.policy.as_ref()?.targets;
        all.iter().find(|t| t.clock == kind).map(|t| t.target.0 as i64)
    }

    fn run_until(&mut self, kind: SlaClock, at: Instant) {
        let Some(since) = self.sums.get(&kind).and_then(|s| s.since) else { return };
        let ran = self.calendar().between(since, at).max(0);
        let s = self.sums.get_mut(&kind).unwrap();
        s.used += ran;
        s.since = None;
    }

    fn stands_still(&self, kind: SlaClock) -> bool {
        let policy = self.policy.as_ref().unwrap();
        let approval = self.state == Some(TicketState::AwaitingApproval) && policy.approval_pauses;
        let arrival = policy.workshop_from_receipt && self.workshop && !self.arrived;
        match kind {
            FirstResponse => false,
            OnSite => self.paused,
            Update => self.paused || approval,
            Resolution => self.paused || approval || arrival,
        }
    }

    fn stop(&mut self, kind: SlaClock, at: Instant) {
        self.happened.insert(kind);
        let Some(s) = self.sums.get(&kind).filter(|s| s.ended.is_none()).cloned() else { return };
        let in_time = match s.since {
            Some(since) => {
                let due = self.calendar().add(since, s.target - s.used);
                due.is_none_or(|d| at <= d)
            }
            None => s.used <= s.target,
        };
        self.run_until(kind, at);
        self.sums.get_mut(&kind).unwrap().ended = Some(if in_time { ClockEnd::Met } else { ClockEnd::Late });
    }

    fn learn(&mut self, event: &Event, at: Instant) {
        self.state = Some(state_after(self.state.unwrap_or(TicketState::New), event));
        let was_waiting =
            self.policy.as_ref().is_some_and(|p| p.workshop_from_receipt) && self.workshop && !self.arrived;
        match event {
            Event::TicketOpened(_) => self.began = Some(at),
            Event::TicketReopened(_) => {
                *self = Again { state: self.state, workshop: self.workshop, began: Some(at), ..Again::default() };
            }
            Event::TicketHeld(e) => self.paused = e.pauses_sla,
            Event::TicketResumed(_) => self.paused = false,
            Event::TicketTriaged(e) => self.workshop = e.service_mode == ServiceMode::Workshop,
            Event::SlaStarted(e) => {
                self.policy = Some(e.policy.clone());
                for t in e.policy.targets.iter().filter(|t| t.clock != Update) {
                    let sum = Sum { target: t.target.0 as i64, used: 0, since: None, ended: None };
                    self.sums.insert(t.clock, sum);
                }
            }
            Event::SlaPolicyApplied(e) => self.apply(&e.policy, at),
            Event::CommentAdded(e) if e.by_staff && e.visibility == Visibility::Public => {
                self.stop(FirstResponse, at);
                self.stop(Update, at);
                if let Some(target) = self.target(Update).filter(|_| self.state.unwrap().is_open()) {
                    self.sums.insert(Update, Sum { target, used: 0, since: None, ended: None });
                }
            }
            Event::QuoteSubmitted(_) => self.stop(FirstResponse, at),
            Event::TechnicianAssigned(_) if self.policy.as_ref().is_some_and(|p| p.response_by_assignment) => {
                self.stop(FirstResponse, at);
            }
            Event::WorkStarted(_) => self.stop(OnSite, at),
            Event::TicketResolved(_) => self.stop(Resolution, at),
            Event::RepairVerified(e) if e.verdict == RepairVerdict::Fail => {
                self.happened.remove(&Resolution);
                if let Some(s) = self.sums.get_mut(&Resolution) {
                    s.ended = None;
                }
                if let Some(s) = self.sums.get_mut(&Update).filter(|s| s.ended.is_some()) {
                    (s.used, s.ended) = (0, None);
                }
            }
            Event::ReturnReceived(_) => {
                let open = self.state.unwrap().is_open();
                if let Some(s) = self.sums.get_mut(&Resolution).filter(|s| was_waiting && open && s.ended.is_none()) {
                    s.used = 0;
                }
                self.arrived = true;
            }
            _ => {}
        }
        if self.policy.is_some() {
            self.level(at);
        }
    }

    fn apply(&mut self, policy: &PolicyV1, at: Instant) {
        for kind in self.sums.keys().copied().collect::<Vec<_>>() {
            self.run_until(kind, at);
        }
        self.policy = Some(policy.clone());
        self.sums.retain(|kind, s| s.ended.is_some() || policy.targets.iter().any(|t| t.clock == *kind));
        for t in &policy.targets {
            let target = t.target.0 as i64;
            match self.sums.get_mut(&t.clock) {
                Some(s) if s.ended.is_some() => {}
                Some(s) => s.target = target,
                None if t.clock == Update || self.happened.contains(&t.clock) => {}
                None => {
                    let used = self.calendar().between(self.began.unwrap(), at).max(0);
                    self.sums.insert(t.clock, Sum { target, used, since: None, ended: None });
                }
            }
        }
    }

    fn level(&mut self, at: Instant) {
        let open = self.state.unwrap().is_open();
        for kind in self.sums.keys().copied().collect::<Vec<_>>() {
            let s = &self.sums[&kind];
            let runs = s.ended.is_none() && open && !self.stands_still(kind);
            match (s.since.is_some(), runs) {
                (true, false) => self.run_until(kind, at),
                (false, true) => self.sums.get_mut(&kind).unwrap().since = Some(at),
                _ => {}
            }
        }
    }
}

/// What of the clocks is not as it follows from the events.
fn differences(c: &Watch) -> Vec<String> {
    let mut again = Again::default();
    for (event, meta) in &c.log {
        again.learn(event, meta.occurred_at);
    }
    let sla = &c.w.ticket(c.id).sla;
    let mut found = Vec::new();
    if sla.clocks.keys().ne(again.sums.keys()) {
        found.push(format!("{:?} instead of {:?}", sla.clocks.keys(), again.sums.keys()));
    }
    for (kind, k) in &sla.clocks {
        let Some(s) = again.sums.get(kind) else { continue };
        let late = k.ended == Some(ClockEnd::Late);
        if late && !k.breached {
            found.push(format!("{kind} ended late without a breach"));
        }
        if k.ended == Some(ClockEnd::Met) && k.breached {
            found.push(format!("{kind} was met and is breached"));
        }
        let due = s.since.map(|since| again.calendar().add(since, s.target - s.used).unwrap());
        let is = (k.target.0 as i64, k.ended, k.due, k.since.is_some());
        if is != (s.target, s.ended, due, s.since.is_some()) {
            found.push(format!("{kind}: {is:?} instead of {s:?}, due {due:?}"));
        }
        let now = c.w.now;
        let left = s.since.map_or(0, |since| again.calendar().between(since, now).max(0));
        let expected = s.target - s.used - left;
        let is = crate::sla::left(sla, *kind, now).unwrap();
        // What is running is compared to the second; a clock that was set anew begins at a whole one.
        if is != expected {
            found.push(format!("{kind}: {is} s are left instead of {expected}"));
        }
    }
    found
}

#[test]
fn t5_the_clocks_can_be_worked_out_again_from_the_ticket_alone() {
    let mut c = Watch::with(policy());
    for (time, event) in [
        ("2 10:00", triaged(2, ServiceMode::OnSite)),
        ("2 11:00", assigned()),
        ("2 13:00", answer()),
        ("2 16:00", held(true)),
        ("3 10:00", resumed(TicketState::Assigned)),
        ("3 10:30", prioritised(1)),
        ("3 11:00", working()),
        ("3 12:00", quoted()),
        ("4 12:00", approved()),
        ("5 09:30", resolved()),
        ("5 15:00", tested(RepairVerdict::Fail)),
        ("6 10:00", resolved()),
        ("6 11:00", closed()),
        ("10 11:00", reopened(2)),
    ] {
        c.time(time);
        c.timers();
        c.happens(event);
        assert_eq!(differences(&c), Vec::<String>::new(), "after {time}");
    }
}

fn policy() -> Value {
    json!({"targets": [
        {"clock": "first_response", "minutes": 120}, {"clock": "first_response", "minutes": 30, "priority": 1},
        {"clock": "resolution", "minutes": 960}, {"clock": "resolution", "minutes": 240, "priority": 1},
        {"clock": "on_site", "minutes": 480}, {"clock": "on_site", "minutes": 120, "priority": 2},
        {"clock": "update", "minutes": 240, "priority": 2}, {"clock": "update", "minutes": 60, "priority": 1}],
        "workshop_from_receipt": true, "response_by_assignment": true})
}

/// What may happen in a state, of a number of things.
fn thing(n: u8, state: TicketState, cycle: u16) -> Option<Event> {
    use TicketState as S;
    let mode = [ServiceMode::OnSite, ServiceMode::Workshop, ServiceMode::Remote][usize::from(n % 3)];
    let event = match n % 14 {
        0 => answer(),
        1 => comment(Visibility::Internal, true),
        2 if matches!(state, S::New | S::Triaged | S::Assigned | S::OnHold) => triaged(n % 4 + 1, mode),
        3 if state.is_open() => prioritised(n % 4 + 1),
        4 if matches!(state, S::Triaged | S::Assigned | S::InProgress) => held(n % 2 == 0),
        5 if state == S::OnHold => resumed(S::Assigned),
        6 if matches!(state, S::Triaged | S::Assigned | S::InProgress) => quoted(),
        7 if state == S::AwaitingApproval => approved(),
        8 if state == S::Triaged => assigned(),
        9 if matches!(state, S::Assigned | S::InProgress) => working(),
        10 if matches!(state, S::InProgress | S::Triaged) => resolved(),
        11 if state == S::Resolved => tested(RepairVerdict::Fail),
        12 if matches!(state, S::Resolved | S::Closed) => reopened(cycle + 1),
        13 if state != S::New && !state.is_over() => received(false),
        _ => return None,
    };
    Some(event)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Over both clock changes, with reports that come late.
    #[test]
    fn t5_holds_whatever_happens(
        start in 0i64..400,
        steps in prop::collection::vec((0u8..=255, 0i64..3000, 0i64..400, any::<bool>()), 1..40),
    ) {
        let mut w = World::new();
        w.plant.put(ReferenceKind::SlaPolicy, "standard", {
            let mut p = policy();
            p["calendar"] = json!("office-berlin");
            p
        });
        w.later(start * HOUR);
        let mut c = Watch::opened(w);
        for (n, minutes, late, timers) in steps {
            c.w.later(minutes * MINUTE);
            if timers {
                c.timers();
            }
            let (state, cycle) = (c.w.ticket(c.id).state, c.w.ticket(c.id).cycle);
            if let Some(event) = thing(n, state, cycle) {
                let at = if n % 5 == 0 { c.w.now.plus_millis(-late * MINUTE) } else { c.w.now };
                c.reported(at, event);
            }
            prop_assert_eq!(differences(&c), Vec::<String>::new());
        }
    }
}
