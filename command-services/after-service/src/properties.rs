//! What holds for every history: the invariants of tickets (2.3) over random commands by random people,
//! and folding from scratch.

use std::collections::BTreeMap;

use mw_contract::decide::{Actor, Domain, EventMeta};
use mw_contract::*;
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::AfterService;
use crate::fixture::*;
use crate::state::{AfterServiceState, Ticket};

/// What somebody tries. The numbers choose among what the ticket has and what it has not.
#[derive(Clone, Debug)]
struct Step {
    /// Any command at all, or one that the ticket's state has.
    any: bool,
    command: prop::sample::Index,
    who: u8,
    ticket: u8,
    a: u8,
    b: u8,
    /// Minutes that pass before.
    minutes: u16,
    /// Minutes by which it is reported late.
    late: u8,
    /// A field is lost on the way.
    broken: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let first = (any::<bool>(), any::<prop::sample::Index>(), any::<u8>(), 0u8..8, any::<u8>(), any::<u8>());
    (first, 0u16..180, any::<u8>(), 0u8..30).prop_map(|((any, command, who, ticket, a, b), minutes, late, broken)| {
        let late = late.saturating_sub(230);
        Step { any: any && command.index(3) == 0, command, who, ticket, a, b, minutes, late, broken: broken == 0 }
    })
}

/// All commands on tickets that there are already.
fn commands() -> Vec<&'static str> {
    let of_tickets = CommandType::ALL.iter().filter(|c| c.aggregate() == AggregateKind::Ticket);
    of_tickets.filter(|c| **c != CommandType::TicketOpen).map(|c| c.as_str()).collect()
}

/// What brings a ticket on from a state, more often than what only adds to it.
fn usual(state: TicketState) -> &'static [&'static str] {
    use TicketState as S;
    match state {
        S::New => &["triage", "triage", "triage", "check-warranty", "cancel", "mark-duplicate", "override-warranty"],
        S::Triaged => &[
            "assign-technician",
            "assign-technician",
            "assign-technician",
            "submit-quote",
            "request-parts",
            "hold",
            "confirm-parts",
            "override-warranty",
            "resolve",
            "authorize-return",
            "mark-duplicate",
        ],
        S::AwaitingApproval => &["approve-quote", "approve-quote", "reject-quote", "expire-quote", "cancel"],
        S::Assigned => &[
            "start-work",
            "start-work",
            "schedule-visit",
            "start-travel",
            "reassign-technician",
            "decline-assignment",
            "request-parts",
            "log-work",
            "hold",
            "submit-quote",
            "override-warranty",
        ],
        S::Scheduled => {
            &["start-travel", "start-work", "cancel-visit", "reschedule-visit", "reassign-technician", "hold"]
        }
        S::Travelling => &["arrive", "start-work", "start-work", "abort-travel", "hold", "reassign-technician"],
        S::InProgress => &[
            "start-work",
            "pause-work",
            "pause-work",
            "resume-work",
            "record-diagnosis",
            "request-parts",
            "confirm-parts",
            "consume-parts",
            "consume-parts",
            "return-parts",
            "log-work",
            "resolve",
            "resolve",
            "hold",
            "submit-quote",
            "replace-unit",
            "reassign-technician",
            "override-warranty",
            "correct-work-log",
        ],
        S::OnHold => &["resume", "resume", "resume", "reassign-technician", "cancel", "triage"],
        S::Resolved => &["verify", "confirm", "close", "reopen", "consume-parts", "rate"],
        S::Closed => &["reopen", "rate", "comment"],
        S::Cancelled => &["comment", "link"],
    }
}

/// Somebody who may, as a rule; now and then somebody who may not.
fn who(command: &str, n: u8) -> Actor {
    let technician = |n: u8| technician_named(&format!("technician-{}", n % 3 + 1));
    let at_work = [technician(n), technician(n), admin()];
    match command {
        _ if n >= 240 => [operator(), inspector(), customer_of("customer-2", "globex")][usize::from(n % 3)].clone(),
        "start-travel" | "arrive" | "abort-travel" | "start-work" | "pause-work" | "resume-work"
        | "record-diagnosis" | "request-parts" | "consume-parts" | "return-parts" | "log-work" | "record-reading"
        | "resolve" | "correct-work-log" => at_work[usize::from(n / 3 % 3)].clone(),
        "accept-assignment" | "decline-assignment" => technician(n),
        "approve-quote" | "reject-quote" | "confirm" | "rate" => customer(),
        "expire-quote"
        | "confirm-parts"
        | "link-replacement-order"
        | "confirm-replacement"
        | "fail-replacement"
        | "raise-sla-warning"
        | "breach-sla" => system(),
        "verify" => inspector(),
        "reopen" | "cancel" | "comment" | "escalate" if n.is_multiple_of(2) => customer(),
        _ => [dispatcher(), admin()][usize::from(n % 2)].clone(),
    }
}

fn pick<T: Clone>(of: &[T], n: u8) -> T {
    of[usize::from(n) % of.len()].clone()
}

/// A payload, which may or may not fit.
fn payload(command: &str, s: &Step, w: &mut World, t: &Ticket, others: &[AggregateId]) -> Value {
    let new = e(10_000 + w.fresh());
    let (a, b) = (s.a, s.b);
    let day = |minutes: i64| w.now.plus_millis(minutes * MINUTE).to_string();
    // One of the ticket's own most of the time.
    let one = |ids: Vec<EntityId>| {
        let id = ids.get(usize::from(b) % ids.len().max(1)).map(ToString::to_string);
        id.filter(|_| a < 250).unwrap_or_else(|| e(1))
    };
    let reason = if a == 255 { Value::Null } else { json!("wrong_data") };
    let qty = b % 4;
    match command {
        "amend" => match a % 3 {
            0 => json!({"serial": pick(&["SN-1", "SN-2", "SN-404"], b)}),
            1 => json!({"title": "another"}),
            _ => json!({"down_since": day(-60)}),
        },
        "comment" => json!({"comment_id": new, "text": "x", "visibility": pick(&["public", "internal"], a)}),
        "escalate" => json!({"level": b % 4, "reason": "stands still"}),
        "de-escalate" => json!({"reason": "runs again"}),
        "triage" => json!({"severity": b % 4 + 1, "priority": b % 4 + 1, "category": "mechanical",
            "service_mode": pick(&["on_site", "on_site", "on_site", "workshop", "remote"], a)}),
        "classify-fault" => json!({"symptom": "leak", "safety_relevant": b % 2 == 0}),
        "change-priority" => json!({"priority": b % 5, "reason": reason}),
        "override-warranty" => {
            json!({"status": pick(&["goodwill", "out_of_warranty", "out_of_warranty", "in_warranty"], a),
                "reason": reason, "coverage_pct": pick(&[0, 50, 100], b)})
        }
        "submit-quote" => json!({"quote_id": new, "valid_until": pick(&["2026-03-02", "2026-03-20", "2027-01-01"], a),
            "lines": [{"kind": "labour", "text": "Repair", "qty": qty, "uom": "HUR", "tax_pct": 19,
                "unit_price": {"amount": "9", "currency": "EUR"}}]}),
        "approve-quote" | "reject-quote" | "expire-quote" => {
            let last = t.quote();
            let mut p = json!({"quote_id": last.map_or_else(|| e(1), |q| q.quote_id.to_string())});
            if command == "reject-quote" {
                p["reason"] = reason;
                p["wish"] = json!("revise");
            } else {
                p["revision"] = json!(last.map_or(1, |q| q.revision) + u16::from(a == 254));
            }
            p
        }
        "assign-technician" | "reassign-technician" => {
            let name = |n: u8| format!("technician-{}", n % 3 + 1);
            let mut p = json!({"lead": name(a), "helpers": if b % 2 == 0 { vec![name(b)] } else { vec![] }});
            if command == "reassign-technician" {
                p["reason"] = reason;
                p["keep_visit"] = json!(b % 3 == 0);
            }
            p
        }
        "decline-assignment" | "cancel" => json!({"reason": reason}),
        "schedule-visit" | "reschedule-visit" => {
            let start = i64::from(a) * 10 - 100;
            let mut p = json!({"window_start": day(start), "window_end": day(start + i64::from(b) - 20)});
            if command == "schedule-visit" {
                p["visit_id"] = json!(new);
                p["location"] = json!("site");
                p["force"] = json!(b % 2 == 0);
            } else {
                p["visit_id"] = json!(one(t.open_visits().map(|v| v.visit.visit_id).collect()));
                p["reason"] = reason;
                p["initiator"] = json!("us");
            }
            p
        }
        "cancel-visit" => {
            json!({"visit_id": one(t.open_visits().map(|v| v.visit.visit_id).collect()), "reason": reason})
        }
        "start-travel" => json!({"trip_id": new}),
        "arrive" => json!({"trip_id": one(t.open_trip().map(|t| t.trip_id).into_iter().collect())}),
        "abort-travel" => json!({"reason": reason}),
        "start-work" => {
            json!({"session_id": new, "activity": pick(&["repair", "diagnosis", "test", "maintenance", "repair"], a)})
        }
        "pause-work" => {
            json!({"session_id": one(t.open_sessions().map(|s| s.session_id).collect()), "reason": "break"})
        }
        "resume-work" if a % 3 == 0 => json!({"session_id": new, "activity": "repair"}),
        "resume-work" => json!({"session_id": new}),
        "record-diagnosis" => {
            json!({"diagnosis_id": new, "cause": "wear", "text": "worn", "recommendation": "repair"})
        }
        "request-parts" => {
            json!({"request_id": new, "lines": [{"item_id": pick(&["seal", "ring"], a), "qty": qty, "uom": "H87"}]})
        }
        "confirm-parts" => {
            let open = t.parts.requests.iter().find(|(_, r)| !r.answered);
            let (item, asked) = open.map_or(("seal", 1), |(_, r)| {
                (r.lines[0].item_id.as_str(), r.lines[0].qty.to_string().parse().unwrap())
            });
            let id = open.map_or_else(|| e(1), |(id, _)| id.to_string());
            let missing = u32::from(b % 3).min(asked);
            let kept = asked - missing + u32::from(a == 253);
            let line = json!([{"reservation_id": new, "item_id": item, "qty": kept, "location": "store"}]);
            json!({"request_id": id, "reserved": if kept > 0 { line } else { json!([]) },
                "missing": if missing > 0 { json!([{"item_id": item, "missing_qty": missing}]) } else { json!([]) }})
        }
        "consume-parts" => json!({"consumption_id": new, "lines": [{"item_id": pick(&["seal", "ring"], a),
            "qty": qty, "source": pick(&["reservation", "reservation", "van"], b),
            "coverage": pick(&["warranty", "chargeable", "goodwill"], a / 2)}]}),
        "return-parts" => json!({"return_id": new, "lines": [{"item_id": pick(&["seal", "ring"], a), "qty": qty}],
            "condition": "good", "to_location": "store"}),
        "hold" => json!({"reason": pick(&["internal", "waiting_parts"], a), "expected_until": day(300)}),
        "log-work" => {
            let end = -i64::from(b);
            json!({"log_id": new, "activity": pick(&["repair", "diagnosis", "travel", "admin"], a),
                "chargeable": b % 2 == 0, "start": day(end - i64::from(a % 60)), "end": day(end)})
        }
        "correct-work-log" => {
            json!({"log_id": one(t.logs.keys().copied().collect()), "reason": reason, "chargeable": b % 2 == 0,
                "activity": pick(&["repair", "diagnosis", "waiting"], a)})
        }
        "record-reading" => json!({"name": "hours", "value": b.to_string(), "unit": "h", "reset": a % 2 == 0}),
        "replace-unit" => json!({"old_serial": t.serial, "new_serial": pick(&["SN-1", "SN-2", "SN-3"], a),
            "reason": reason, "old_disposition": "scrap"}),
        "request-replacement-order" => json!({"request_id": new, "product_id": "pump-200", "qty": 1, "uom": "H87",
            "needed_by": day(5000), "mode": "replacement"}),
        "link-replacement-order" | "confirm-replacement" | "fail-replacement" => {
            let mut p = json!({"request_id": one(t.replacements.keys().copied().collect())});
            match command {
                "link-replacement-order" => p["work_order_id"] = json!(id(0x50)),
                "fail-replacement" => p["reason"] = json!("late"),
                _ => {}
            }
            p
        }
        "resolve" => json!({"resolution_code": pick(&["repaired", "advice_given", "declined", "replaced"], a),
            "text": "done", "cause": "wear", "remedy": "replaced"}),
        "verify" => json!({"verdict": pick(&["fail", "pass", "fail"], a)}),
        "close" => json!({"reason": pick(&["manual", "no_answer", "auto"], a)}),
        "reopen" => json!({"reason": reason, "same_fault": true}),
        "rate" => json!({"score": b % 7}),
        "mark-duplicate" => json!({"master_ticket_id": pick(others, b)}),
        "authorize-return" => json!({"serials": ["SN-1"], "reason": reason, "ship_to": "workshop",
            "valid_until": "2026-06-01", "service_mode": pick(&["workshop", "exchange", "remote"], a)}),
        "receive-return" => json!({"rma_no": t.returns.last().map_or("R-1", |r| r.rma_no.as_str()),
            "serial": pick(&["SN-1", "SN-1", "SN-2"], b), "condition": "dirty"}),
        "disposition-return" => json!({"serial": "SN-1", "disposition": pick(&["repair", "scrap"], b)}),
        "ship-back" => json!({"serial": "SN-1", "carrier": "DPD"}),
        "raise-sla-warning" => json!({"clock": pick(&["resolution", "first_response"], a), "cycle": t.cycle,
            "pct": pick(&[75, 90], b)}),
        "breach-sla" => json!({"clock": pick(&["resolution", "first_response"], a), "cycle": t.cycle}),
        "link" => json!({"kind": "equipment", "id": format!("E-{}", b % 3), "relation": "caused_by"}),
        _ => json!({}),
    }
}

/// Tickets, and everything that happened on them.
struct Histories {
    w: World,
    tickets: Vec<AggregateId>,
    log: BTreeMap<AggregateId, Vec<(StreamId, Event, EventMeta)>>,
    accepted: usize,
}

impl Histories {
    /// Three tickets of acme, one of them about a unit that nobody knows, so that acme would have to pay.
    fn new() -> Self {
        let w = World::new();
        w.plant.unit(crate::known::Unit { customer_id: None, status: UnitStatus::InStock, ..unit("SN-3") });
        let mut h = Histories { w, tickets: Vec::new(), log: BTreeMap::new(), accepted: 0 };
        for (n, serial) in ["SN-1", "SN-404", "SN-1"].into_iter().enumerate() {
            let p = json!({"channel": "phone", "title": "pump stands still", "customer_id": "acme",
                "product_id": "pump-200", "serial": serial});
            h.tickets.push(id(0x100 + n as u128));
            h.run(h.w.now, &dispatcher(), "ticket.open", id(0x100 + n as u128), p).unwrap();
        }
        h
    }

    fn run(&mut self, at: Instant, who: &Actor, command: &str, id: AggregateId, p: Value) -> Result<(), Rejection> {
        let before = self.w.states.get(&id).and_then(AfterServiceState::ticket).cloned();
        let site = "plant-1".parse().unwrap();
        // As a client sends it: what cannot be read is refused before it is decided.
        let read = Command::read(command.parse().unwrap(), p.as_object().unwrap());
        read.map_err(Rejection::validation)?;
        let d = self.w.ask_at(at, who, command, id, p)?;
        assert!(d.warnings.iter().all(|w| !w.message.is_empty()));
        if let Some(t) = &before {
            assert_eq!(t.site_id, site);
            assert_eq!(unpaid(t, &d.events), Vec::<String>::new(), "T2 at {command}: {:?}", t.commercial);
        }
        for (stream, event) in &d.events {
            let log = self.log.entry(stream.id).or_default();
            let meta = EventMeta {
                event_id: EventId(Uuid::nil()),
                version: Version(log.len() as u64 + 1),
                occurred_at: at,
                recorded_at: self.w.now,
                account: who.account.clone(),
                role: Some(d.role),
                late: false,
            };
            log.push((*stream, event.clone(), meta));
            self.w.fold(stream, event, at, who, d.role);
        }
        self.accepted += 1;
        for id in self.tickets.clone() {
            self.holds(id, command);
        }
        Ok(())
    }

    /// T1, T4 and T6, and the fold of everything again.
    fn holds(&self, id: AggregateId, after: &str) {
        let t = self.w.ticket(id);
        assert_eq!(violations(t), Vec::<&str>::new(), "after {after}");
        // T1: one lead, who is nobody's helper.
        assert!(t.lead.as_ref().is_none_or(|l| !t.helpers.contains(l)), "T1 after {after}: {:?}", t.helpers);
        // T4, from the events alone.
        let mut left: BTreeMap<String, i64> = BTreeMap::new();
        let n = |q: Qty| q.to_string().parse::<i64>().unwrap();
        for (_, event, _) in &self.log[&id] {
            match event {
                Event::PartsReserved(e) => {
                    e.lines.iter().for_each(|l| *left.entry(l.item_id.to_string()).or_default() += n(l.qty));
                }
                Event::PartsConsumed(e) => {
                    let of_stock = e.lines.iter().filter(|l| l.source == PartSource::Reservation);
                    of_stock.for_each(|l| *left.entry(l.item_id.to_string()).or_default() -= n(l.qty));
                }
                Event::PartsReturned(e) => {
                    let unused = e.lines.iter().filter(|l| l.reservation_id.is_some());
                    unused.for_each(|l| *left.entry(l.item_id.to_string()).or_default() -= n(l.qty));
                }
                _ => {}
            }
            assert!(left.values().all(|n| *n >= 0), "T4 after {after}: {left:?}");
        }
        // T6: one link, to a ticket that is no duplicate, and the end.
        if let Some(master) = t.master {
            assert_eq!(t.state, TicketState::Cancelled, "T6 after {after}");
            assert!(master != id && self.w.ticket(master).master.is_none(), "T6 after {after}");
        }
        let mut again = AfterServiceState::default();
        for (stream, event, meta) in &self.log[&id] {
            AfterService::evolve(&mut again, stream, event, meta);
        }
        assert_eq!(again.ticket(), Some(t), "after {after}");
    }

    /// Says whether it was accepted.
    fn take(&mut self, s: &Step) -> bool {
        self.w.later(i64::from(s.minutes) * MINUTE);
        let id = self.tickets[usize::from(s.ticket / 3).min(2)];
        let t = self.w.ticket(id).clone();
        let name = if s.any {
            s.command.get(&commands()).strip_prefix("ticket.").unwrap()
        } else {
            s.command.get(usual(t.state))
        };
        let mut p = payload(name, s, &mut self.w, &t, &self.tickets);
        if s.broken {
            let fields = p.as_object_mut().unwrap();
            let first = fields.keys().next().cloned();
            first.and_then(|f| fields.remove(&f));
        }
        let at = self.w.now.plus_millis(-i64::from(s.late) * MINUTE);
        self.run(at, &who(name, s.who), &format!("ticket.{name}"), id, p).is_ok()
    }
}

/// T2: what would have to be paid for by a customer who has not agreed to it.
fn unpaid(before: &Ticket, events: &[(StreamId, Event)]) -> Vec<String> {
    let blocked = ["quote_required", "quoted", "rejected", "expired"].contains(&before.commercial.as_str());
    let mut found = Vec::new();
    for (_, event) in events.iter().filter(|_| blocked) {
        match event {
            Event::WorkStarted(e) if e.activity != WorkActivity::Diagnosis => found.push(format!("{:?}", e.activity)),
            Event::WorkResumed(e) if e.activity != WorkActivity::Diagnosis => found.push(format!("{:?}", e.activity)),
            Event::WorkLogged(e) if e.log.chargeable && e.log.activity != LogActivity::Diagnosis => {
                found.push(format!("log {:?}", e.log.activity));
            }
            Event::WorkLogCorrected(e) if e.new.chargeable && e.new.activity != LogActivity::Diagnosis => {
                found.push(format!("corrected log {:?}", e.new.activity));
            }
            Event::PartsConsumed(e) => {
                let charged = e.lines.iter().filter(|l| l.coverage == Coverage::Chargeable);
                found.extend(charged.map(|l| l.item_id.to_string()));
            }
            _ => {}
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is tried by whom: what is accepted keeps the invariants, and the events alone give the state.
    #[test]
    fn t1_t2_t4_t6_hold_after_every_accepted_command(steps in prop::collection::vec(step(), 1..120)) {
        let mut h = Histories::new();
        for s in &steps {
            h.take(s);
        }
    }
}

/// The histories go everywhere: otherwise the property above says little.
#[test]
fn random_commands_bring_tickets_into_every_state_and_make_most_events() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut states, mut events) = (BTreeMap::new(), BTreeMap::<&str, usize>::new());
    let (mut tried, mut accepted) = (0, 0);
    for _ in 0..60 {
        let steps = prop::collection::vec(step(), 120).new_tree(&mut runner).unwrap().current();
        let mut h = Histories::new();
        for s in &steps {
            tried += 1;
            accepted += usize::from(h.take(s));
            for id in &h.tickets {
                *states.entry(h.w.ticket(*id).state.as_str()).or_insert(0) += 1;
            }
        }
        for (_, event, _) in h.log.values().flatten() {
            *events.entry(event.event_type().as_str()).or_default() += 1;
        }
    }
    assert_eq!(states.len(), 11, "{states:?}");
    assert!(events.len() >= 45, "{} of {events:?}", events.len());
    assert!(accepted * 4 > tried && accepted * 10 < tried * 9, "{accepted} of {tried}");
}

/// One step of three technicians on three tickets.
#[derive(Clone, Debug)]
struct Move {
    ticket: usize,
    technician: u8,
    what: u8,
    offline: bool,
    minutes: u8,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// T3: with a connection nobody is at work twice; without one it is kept, and each clash is told.
    #[test]
    fn t3_a_technician_is_at_work_once_and_what_clashed_is_told(
        moves in prop::collection::vec((0usize..3, 1u8..4, 0u8..6, 0u8..8, 1u8..60), 1..60), may_be_offline: bool
    ) {
        let mut w = World::new();
        let tickets: Vec<AggregateId> = (0..3).map(|_| {
            let id = w.in_state(TicketState::Triaged);
            let team = json!({"lead": "technician-1", "helpers": ["technician-2", "technician-3"]});
            w.dispatcher("ticket.assign-technician", id, team).unwrap();
            id
        }).collect();
        let names: Vec<AccountName> = (1..4).map(|n| format!("technician-{n}").parse().unwrap()).collect();
        let open = |w: &World, who: &AccountName| -> Vec<EntityId> {
            let all = tickets.iter().flat_map(|id| w.ticket(*id).open_sessions());
            all.filter(|s| s.technician == *who).map(|s| s.session_id).collect()
        };
        let moves = moves.into_iter().map(|(ticket, technician, what, offline, minutes)| Move {
            ticket, technician, what, offline: may_be_offline && offline == 0, minutes,
        });
        for m in moves {
            w.later(i64::from(m.minutes) * MINUTE);
            let id = tickets[m.ticket];
            let name = &names[usize::from(m.technician) - 1];
            let me = technician_named(name.as_str());
            let before = open(&w, name);
            let here = w.ticket(id).open_sessions().find(|s| s.technician == *name).map(|s| s.session_id);
            w.offline = m.offline;
            let new = e(20_000 + w.fresh());
            let result = match m.what {
                0 | 1 => w.run(&me, "ticket.start-work", id, json!({"session_id": new, "activity": "repair"})),
                2 => w.run(&me, "ticket.resume-work", id, json!({"session_id": new})),
                3 => {
                    let session = here.map_or_else(|| e(1), |s| s.to_string());
                    w.run(&me, "ticket.pause-work", id, json!({"session_id": session, "reason": "break"}))
                }
                4 => w.dispatcher("ticket.hold", id, json!({"reason": "internal"})),
                _ => w.dispatcher("ticket.resume", id, json!({})),
            };
            if let (0..=2, Ok(d)) = (m.what, &result) {
                let clashes: Vec<EntityId> = d.events.iter().filter_map(|(_, event)| match event {
                    Event::WorkClashNoticed(c) => Some(c.other_session_id),
                    _ => None,
                }).collect();
                prop_assert!(m.offline || before.is_empty(), "at work twice: {before:?}");
                let (mut told, mut were) = (clashes, before);
                told.sort();
                were.sort();
                prop_assert_eq!(told, were);
            }
            for name in &names {
                // What the desk knows of the technician is what the tickets say.
                let mut desk: Vec<EntityId> = w.business.desk.at_work(name).iter().map(|a| a.session_id).collect();
                let mut folded = open(&w, name);
                desk.sort();
                folded.sort();
                prop_assert_eq!(&desk, &folded);
                prop_assert!(may_be_offline || folded.len() <= 1);
            }
        }
    }
}

#[test]
fn t1_who_leads_is_one_person_from_the_assignment_to_the_end() {
    use TicketState as S;
    for state in crate::matrix::COLUMNS {
        let mut w = World::new();
        let id = w.in_state(state);
        let led = matches!(state, S::Assigned | S::Scheduled | S::Travelling | S::InProgress);
        assert!(!led || w.ticket(id).lead.is_some(), "{state}");
        // The lead may be another one, who is no helper any more, but never nobody.
        let p = json!({"lead": "technician-2", "helpers": ["technician-2", "technician-3"], "reason": "sick"});
        if w.dispatcher("ticket.reassign-technician", id, p).is_ok() {
            assert!(led || state == S::OnHold, "{state}");
            let t = w.ticket(id);
            assert_eq!(t.lead.as_ref().unwrap().as_str(), "technician-2");
            assert_eq!(t.helpers.iter().map(|h| h.as_str()).collect::<Vec<_>>(), ["technician-3"]);
        }
    }
}

#[test]
fn t1_what_nobody_leads_does_not_go_back_to_work() {
    let mut w = World::new();
    let id = w.in_state(TicketState::Triaged);
    let advised = json!({"resolution_code": "advice_given", "text": "by phone"});
    w.dispatcher("ticket.resolve", id, advised).unwrap();
    assert_eq!(rule(w.run(&inspector(), "ticket.verify", id, json!({"verdict": "fail"}))), "T1");
    w.ask(&inspector(), "ticket.verify", id, json!({"verdict": "pass"})).unwrap();
    // The way on.
    w.dispatcher("ticket.reopen", id, json!({"reason": "wrong_data", "same_fault": true})).unwrap();
    w.dispatcher("ticket.assign-technician", id, json!({"lead": "technician-1"})).unwrap();
}
