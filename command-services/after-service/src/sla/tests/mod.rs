//! The clocks by what happens to a ticket: each event is followed as if a command had decided it.

mod again;
mod rules;

use mw_contract::decide::{Decision, DecisionContext, EventMeta};
use mw_contract::event::samples::Sample;
use mw_contract::event::ticket::*;
use mw_contract::*;
use serde_json::{Value, json};

use crate::fixture::*;
use crate::rules::Facts;
use crate::state::Clock;

pub(super) use SlaClock::{FirstResponse, OnSite, Resolution, Update};

/// A ticket, what has happened to it, and the clock on the wall.
pub(super) struct Watch {
    pub w: World,
    pub id: AggregateId,
    /// Every event, with those of the clocks.
    pub log: Vec<(Event, EventMeta)>,
}

impl Watch {
    /// A ticket of acme, opened on Monday, 2026-03-02, 09:00 in Berlin.
    pub fn new() -> Self {
        Watch::with(json!({}))
    }

    /// The same with these fields in the policy.
    pub fn with(policy: Value) -> Self {
        let w = World::new();
        let mut p = json!({"calendar": "office-berlin",
            "targets": [{"clock": "first_response", "minutes": 120}, {"clock": "resolution", "minutes": 480}]});
        p.as_object_mut().unwrap().extend(policy.as_object().unwrap().clone());
        w.plant.put(ReferenceKind::SlaPolicy, "standard", p);
        Watch::opened(w)
    }

    pub fn opened(mut w: World) -> Self {
        let id = id(w.fresh());
        let mut watch = Watch { w, id, log: Vec::new() };
        watch.happens(TicketOpenedV1 {
            site_id: "plant-1".parse().unwrap(),
            customer_id: Some("acme".parse().unwrap()),
            serial: Some(text("SN-1")),
            product_id: Some("pump-200".parse().unwrap()),
            ..Sample::sample()
        });
        watch
    }

    /// Something happens now; the names of all events.
    pub fn happens(&mut self, event: impl Into<Event>) -> Vec<Value> {
        self.reported(self.w.now, event)
    }

    /// Something is recorded now that happened at another time.
    pub fn reported(&mut self, at: Instant, event: impl Into<Event>) -> Vec<Value> {
        let stream = StreamId::new(AggregateKind::Ticket, self.id);
        let (who, site) = (dispatcher(), "plant-1".parse().unwrap());
        let mut decision = Decision::on(stream, Role::Dispatcher, [event.into()]);
        let ctx = DecisionContext {
            people: &Staff,
            received_at: self.w.now,
            occurred_at: at,
            captured_offline: false,
            actor: &who,
            site: Some(&site),
            aggregate_id: self.id,
            version: Version(0),
        };
        let facts = Facts { desk: &self.w.business.desk, known: &*self.w.business.known };
        super::follow(&facts, &self.w.state(self.id), &mut decision, &ctx);
        self.fold(at, decision)
    }

    /// The timers of all clocks go off that are running.
    pub fn timers(&mut self) -> Vec<Value> {
        let cycle = self.w.ticket(self.id).cycle;
        let kinds: Vec<SlaClock> = self.w.ticket(self.id).sla.clocks.keys().copied().collect();
        let mut all = Vec::new();
        for kind in kinds {
            for pct in [75, 90] {
                let p = json!({"clock": kind, "cycle": cycle, "pct": pct});
                all.extend(self.timer("ticket.raise-sla-warning", p));
            }
            all.extend(self.timer("ticket.breach-sla", json!({"clock": kind, "cycle": cycle})));
        }
        all
    }

    fn timer(&mut self, command: &str, p: Value) -> Vec<Value> {
        let d = self.w.ask(&system(), command, self.id, p).unwrap();
        self.fold(self.w.now, d)
    }

    fn fold(&mut self, at: Instant, d: Decision) -> Vec<Value> {
        for (stream, event) in &d.events {
            self.w.fold(stream, event, at, &dispatcher(), d.role);
            let meta = EventMeta {
                event_id: EventId(self.id.0),
                version: Version(0),
                occurred_at: at,
                recorded_at: self.w.now,
                account: "dispatcher-1".parse().unwrap(),
                role: Some(d.role),
                late: false,
            };
            self.log.push((event.clone(), meta));
        }
        let of = |e: &Event| {
            let mut v = e.data();
            v["type"] = json!(e.event_type().as_str());
            v
        };
        d.events.iter().map(|(_, e)| of(e)).filter(|v| v["type"].as_str().unwrap().starts_with("Sla")).collect()
    }

    /// It is this time in Berlin in March 2026 before the clocks change.
    pub fn time(&mut self, local: &str) {
        self.w.now = berlin(local);
    }

    pub fn clock(&self, kind: SlaClock) -> &Clock {
        &self.w.ticket(self.id).sla.clocks[&kind]
    }
}

/// `2 09:00` is 2 March 2026, 09:00 in Berlin.
pub(super) fn berlin(local: &str) -> Instant {
    let (day, time) = local.split_once(' ').unwrap();
    format!("2026-03-{:02}T{time}:00+01:00", day.parse::<u8>().unwrap()).parse().unwrap()
}

/// The types of events of the clocks, each with its clock.
pub(super) fn said(events: &[Value]) -> Vec<String> {
    let one = |v: &Value| match v["clock"].as_str() {
        Some(c) => format!("{} {c}", v["type"].as_str().unwrap()),
        None => v["type"].as_str().unwrap().to_owned(),
    };
    events.iter().map(one).collect()
}

pub(super) fn held(pauses_sla: bool) -> Event {
    TicketHeldV1 { pauses_sla, resume_state: TicketState::InProgress, ..Sample::sample() }.into()
}

pub(super) fn resumed(to_state: TicketState) -> Event {
    TicketResumedV1 { to_state, ..Sample::sample() }.into()
}

pub(super) fn comment(visibility: Visibility, by_staff: bool) -> Event {
    CommentAddedV1 { visibility, by_staff, ..Sample::sample() }.into()
}

pub(super) fn answer() -> Event {
    comment(Visibility::Public, true)
}

pub(super) fn triaged(priority: u8, service_mode: ServiceMode) -> Event {
    TicketTriagedV1 { severity: 2, priority, service_mode, ..Sample::sample() }.into()
}

pub(super) fn prioritised(new: u8) -> Event {
    TicketPriorityChangedV1 { new, ..Sample::sample() }.into()
}

pub(super) fn quoted() -> Event {
    QuoteSubmittedV1 { resume_state: TicketState::InProgress, ..Sample::sample() }.into()
}

pub(super) fn approved() -> Event {
    QuoteApprovedV1 { to_state: TicketState::InProgress, ..Sample::sample() }.into()
}

pub(super) fn assigned() -> Event {
    TechnicianAssignedV1::sample().into()
}

pub(super) fn working() -> Event {
    WorkStartedV1::sample().into()
}

pub(super) fn resolved() -> Event {
    TicketResolvedV1 { verification_required: true, ..Sample::sample() }.into()
}

pub(super) fn tested(verdict: RepairVerdict) -> Event {
    RepairVerifiedV1 { verdict, ..Sample::sample() }.into()
}

pub(super) fn closed() -> Event {
    TicketClosedV1::sample().into()
}

pub(super) fn reopened(cycle: u16) -> Event {
    TicketReopenedV1 { cycle, ..Sample::sample() }.into()
}

pub(super) fn received(mismatch: bool) -> Event {
    ReturnReceivedV1 { mismatch, ..Sample::sample() }.into()
}
