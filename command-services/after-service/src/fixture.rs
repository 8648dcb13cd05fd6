//! A small world for the tests: what is known of production, states and a clock. Commands are given as
//! JSON, as a client would; every accepted decision is folded.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use mw_contract::decide::{Actor, Allowance, Decision, DecisionContext, Domain, EventMeta, People, Person};
use mw_contract::event::ticket::*;
use mw_contract::event::ticket_parts::VisitV1;
use mw_contract::reference::{Availability, Document};
use mw_contract::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::known::{Known, Machine, Order, Unit, UnitWarranty};
use crate::state::{AfterServiceState, Ticket};
use crate::{AfterService, matrix};

pub const HOUR: i64 = 3_600_000;
pub const MINUTE: i64 = 60_000;
pub const DAY: i64 = 24 * HOUR;

/// Monday, 2026-03-02, 09:00 in Berlin.
pub fn t0() -> Instant {
    "2026-03-02T08:00:00.000Z".parse().unwrap()
}

pub fn id(n: u128) -> AggregateId {
    AggregateId(Uuid::from_u128(n))
}

/// The id of a session, comment or quote.
pub fn e(n: u128) -> String {
    Uuid::from_u128(0xe000 + n).to_string()
}

pub fn text<const N: usize>(s: &str) -> Text<N> {
    Text::new(s).unwrap()
}

pub fn actor(account: &str, grants: &[(Role, Allowance)]) -> Actor {
    Actor {
        account: account.parse().unwrap(),
        grants: grants.to_vec(),
        sites: BTreeSet::from(["plant-1".parse().unwrap()]),
        customer_id: None,
        cell: None,
    }
}

pub fn dispatcher() -> Actor {
    actor("dispatcher-1", &[(Role::Dispatcher, Allowance::Yes)])
}
pub fn technician() -> Actor {
    technician_named("technician-1")
}
/// Allowed what is assigned to it.
pub fn technician_named(name: &str) -> Actor {
    actor(name, &[(Role::Technician, Allowance::Assigned)])
}
/// Allowed where a setting of the site is on.
pub fn technician_if_set(name: &str) -> Actor {
    actor(name, &[(Role::Technician, Allowance::Setting)])
}
pub fn admin() -> Actor {
    actor("admin", &[(Role::Admin, Allowance::Yes)])
}
pub fn inspector() -> Actor {
    actor("inspector-1", &[(Role::QualityInspector, Allowance::Yes)])
}
pub fn operator() -> Actor {
    actor("operator-1", &[(Role::Operator, Allowance::Own)])
}
pub fn planner() -> Actor {
    actor("planner-1", &[(Role::Planner, Allowance::Yes)])
}
/// A customer of acme.
pub fn customer() -> Actor {
    customer_of("customer-1", "acme")
}
pub fn customer_of(account: &str, customer: &str) -> Actor {
    Actor { customer_id: Some(customer.parse().unwrap()), ..actor(account, &[(Role::Customer, Allowance::Own)]) }
}
/// The product's own processes.
pub fn system() -> Actor {
    actor("processes", &[(Role::System, Allowance::Yes)])
}

/// Who works here: accounts by their names (`technician-1`, `dispatcher-1` …), `…-elsewhere` at another
/// site, numbers over 9 nowhere.
#[derive(Debug)]
pub struct Staff;

impl People for Staff {
    fn person(&self, account: &AccountName) -> Option<Person> {
        let (role, number) = account.as_str().split_once('-')?;
        let role = match role {
            "technician" => Role::Technician,
            "dispatcher" => Role::Dispatcher,
            "inspector" => Role::QualityInspector,
            "planner" => Role::Planner,
            "operator" => Role::Operator,
            _ => return None,
        };
        let site = if number == "elsewhere" { "plant-2" } else { "plant-1" };
        (number.len() == 1 || number == "elsewhere")
            .then(|| Person { roles: BTreeSet::from([role]), sites: BTreeSet::from([site.parse().unwrap()]) })
    }
}

/// What is known of production, as the test says.
#[derive(Debug, Default)]
pub struct Plant(Mutex<Inner>);

#[derive(Clone, Debug, Default)]
struct Inner {
    documents: BTreeMap<(String, String), Arc<Document>>,
    availability: Vec<Availability>,
    units: Vec<Unit>,
    machines: Vec<Machine>,
}

impl Known for Plant {
    fn document(&self, kind: ReferenceKind, code: &str) -> Option<Arc<Document>> {
        self.0.lock().unwrap().documents.get(&(kind.as_str().to_owned(), code.to_owned())).cloned()
    }
    fn availability(&self, account: &AccountName) -> Vec<Availability> {
        self.0.lock().unwrap().availability.iter().filter(|a| a.account == *account).cloned().collect()
    }
    fn units(&self, serial: &Text<60>) -> Vec<Unit> {
        self.0.lock().unwrap().units.iter().filter(|u| u.serial == *serial).cloned().collect()
    }
    fn machine(&self, id: AggregateId) -> Option<Machine> {
        self.0.lock().unwrap().machines.iter().find(|m| m.equipment_id == id).cloned()
    }
    fn order(&self, _: AggregateId) -> Option<Order> {
        None
    }
}

impl Plant {
    pub fn put(&self, kind: ReferenceKind, code: &str, document: Value) {
        let d = Document::read(kind, &document).unwrap();
        if let Document::Availability(a) = &d {
            self.0.lock().unwrap().availability.push(a.clone());
        }
        self.0.lock().unwrap().documents.insert((kind.as_str().to_owned(), code.to_owned()), Arc::new(d));
    }
    pub fn unit(&self, unit: Unit) {
        let mut inner = self.0.lock().unwrap();
        inner.units.retain(|u| u.unit_id != unit.unit_id);
        inner.units.push(unit);
    }
    pub fn machine(&self, machine: Machine) {
        self.0.lock().unwrap().machines.push(machine);
    }
}

pub struct World {
    pub business: AfterService,
    pub plant: Arc<Plant>,
    pub states: HashMap<AggregateId, AfterServiceState>,
    pub versions: HashMap<AggregateId, u64>,
    pub now: Instant,
    pub offline: bool,
    next: u128,
}

impl World {
    /// A site in Berlin with the standard policy, a customer, and a pump that acme has under warranty
    /// (SN-1) and one in stock (SN-2).
    pub fn new() -> Self {
        let plant = Arc::new(Plant::default());
        plant.put(ReferenceKind::Site, "plant-1", json!({"time_zone": "Europe/Berlin"}));
        let day = json!([{"from": "09:00", "to": "17:00"}]);
        let hours = json!({"mon": day, "tue": day, "wed": day, "thu": day, "fri": day});
        plant.put(ReferenceKind::Calendar, "office-berlin", json!({"time_zone": "Europe/Berlin", "hours": hours}));
        let targets = json!([{"clock": "first_response", "minutes": 120}, {"clock": "resolution", "minutes": 480}]);
        plant.put(ReferenceKind::SlaPolicy, "standard", json!({"calendar": "office-berlin", "targets": targets}));
        plant.put(ReferenceKind::Customer, "acme", json!({"sla_policy": "standard"}));
        let pump = json!({"uom": "H87", "tracking": "serial", "warranty_months": 24});
        plant.put(ReferenceKind::Product, "pump-200", pump);
        let holds = json!({"entries": [
            {"code": "waiting_parts", "pauses_sla": true}, {"code": "waiting_customer", "pauses_sla": true},
            {"code": "waiting_customer_access", "pauses_sla": true}, {"code": "waiting_supplier", "pauses_sla": false},
            {"code": "waiting_unit_arrival", "pauses_sla": true}, {"code": "internal", "pauses_sla": false}]});
        plant.put(ReferenceKind::Catalogue, "ticket_hold_reasons", holds);
        plant.unit(unit("SN-1"));
        plant.unit(Unit { customer_id: None, status: UnitStatus::InStock, warranty: None, ..unit("SN-2") });
        World {
            business: AfterService::new(plant.clone()),
            plant,
            states: HashMap::new(),
            versions: HashMap::new(),
            now: t0(),
            offline: false,
            next: 1,
        }
    }

    /// The site with these settings.
    pub fn settings(&self, settings: Value) {
        self.plant.put(ReferenceKind::Site, "plant-1", json!({"time_zone": "Europe/Berlin", "settings": settings}));
    }

    pub fn fresh(&mut self) -> u128 {
        self.next += 1;
        self.next
    }

    pub fn later(&mut self, ms: i64) {
        self.now = self.now.plus_millis(ms);
    }

    pub fn state(&self, id: AggregateId) -> AfterServiceState {
        self.states.get(&id).cloned().unwrap_or_default()
    }

    pub fn ticket(&self, id: AggregateId) -> &Ticket {
        self.states[&id].ticket().unwrap()
    }

    /// Decides only.
    pub fn ask_at(
        &self,
        at: Instant,
        who: &Actor,
        command: &str,
        id: AggregateId,
        payload: Value,
    ) -> Result<Decision, Rejection> {
        let Value::Object(map) = payload else { panic!("a payload is an object") };
        let command = Command::read(command.parse().unwrap(), &map).map_err(Rejection::validation)?;
        let site: SiteId = "plant-1".parse().unwrap();
        let ctx = DecisionContext {
            people: &Staff,
            received_at: self.now,
            occurred_at: at,
            captured_offline: self.offline,
            actor: who,
            site: Some(&site),
            aggregate_id: id,
            version: Version(self.versions.get(&id).copied().unwrap_or(0)),
        };
        self.business.decide(&self.state(id), &command, &ctx)
    }

    pub fn ask(&self, who: &Actor, command: &str, id: AggregateId, payload: Value) -> Result<Decision, Rejection> {
        self.ask_at(self.now, who, command, id, payload)
    }

    /// Decides and folds.
    pub fn run(&mut self, who: &Actor, command: &str, id: AggregateId, payload: Value) -> Result<Decision, Rejection> {
        self.run_at(self.now, who, command, id, payload)
    }

    pub fn run_at(
        &mut self,
        at: Instant,
        who: &Actor,
        command: &str,
        id: AggregateId,
        payload: Value,
    ) -> Result<Decision, Rejection> {
        let d = self.ask_at(at, who, command, id, payload)?;
        assert!(who.grants.iter().any(|(r, _)| *r == d.role), "recorded with a role that the sender has");
        for (stream, event) in &d.events {
            self.fold(stream, event, at, who, d.role);
        }
        for id in d.events.iter().map(|(s, _)| s.id).collect::<BTreeSet<_>>() {
            if let Some(t) = self.states.get(&id).and_then(AfterServiceState::ticket) {
                assert_eq!(violations(t), Vec::<&str>::new(), "after {command}");
            }
        }
        Ok(d)
    }

    pub fn fold(&mut self, stream: &StreamId, event: &Event, at: Instant, who: &Actor, role: Role) {
        let version = self.versions.entry(stream.id).or_default();
        *version += 1;
        let meta = EventMeta {
            event_id: EventId(Uuid::nil()),
            version: Version(*version),
            occurred_at: at,
            recorded_at: self.now,
            account: who.account.clone(),
            role: Some(role),
            late: false,
        };
        self.business.observe(stream, event, &meta);
        AfterService::evolve(self.states.entry(stream.id).or_default(), stream, event, &meta);
    }

    /// Given: an event, whatever command made it.
    pub fn given(&mut self, id: AggregateId, event: impl Into<Event>) {
        self.fold(&StreamId::new(AggregateKind::Ticket, id), &event.into(), self.now, &admin(), Role::Admin);
    }

    pub fn dispatcher(&mut self, command: &str, id: AggregateId, payload: Value) -> Result<Decision, Rejection> {
        self.run(&dispatcher(), command, id, payload)
    }
    pub fn technician(&mut self, command: &str, id: AggregateId, payload: Value) -> Result<Decision, Rejection> {
        self.run(&technician(), command, id, payload)
    }

    /// A new ticket of acme on SN-1, as an event.
    pub fn opened(&mut self) -> AggregateId {
        self.opened_with(|_| {})
    }

    /// The same with changes.
    pub fn opened_with(&mut self, change: impl FnOnce(&mut TicketOpenedV1)) -> AggregateId {
        let n = self.fresh();
        let mut e = TicketOpenedV1 {
            number: text(&format!("TK-2026-{n:06}")),
            site_id: "plant-1".parse().unwrap(),
            kind: TicketKind::CustomerRepair,
            channel: Channel::Phone,
            title: text("pump stands still"),
            description: None,
            customer_id: Some("acme".parse().unwrap()),
            contact_id: None,
            service_site: None,
            serial: Some(text("SN-1")),
            product_id: Some("pump-200".parse().unwrap()),
            equipment_id: None,
            severity: Some(2),
            symptom: None,
            down_since: None,
            preferred_windows: vec![],
            attachments: vec![],
            alarm: None,
            dedupe_key: None,
            plan_id: None,
            follows: None,
            checklist: vec![],
            estimated_effort: None,
            signature_required: false,
        };
        change(&mut e);
        self.given(id(n), e);
        id(n)
    }

    pub fn triaged(&mut self, id: AggregateId, mode: ServiceMode) {
        self.given(
            id,
            TicketTriagedV1 {
                severity: 2,
                priority: 2,
                category: "mechanical".parse().unwrap(),
                service_mode: mode,
                team: None,
                required_skills: vec![],
                estimated_effort: None,
                override_reason: None,
                checklist: vec![],
            },
        );
    }

    pub fn assigned(&mut self, id: AggregateId, technician: &str) {
        self.given(
            id,
            TechnicianAssignedV1 {
                lead: technician.parse().unwrap(),
                helpers: vec![],
                team: None,
                due_start: None,
                override_reason: None,
            },
        );
    }

    pub fn scheduled(&mut self, id: AggregateId, start: Instant, end: Instant) -> EntityId {
        let visit_id = EntityId(Uuid::from_u128(0xe000 + self.fresh()));
        let technician = self.ticket(id).lead.clone().unwrap();
        let visit = VisitV1 { visit_id, window_start: start, window_end: end, location: VisitLocation::Site };
        self.given(
            id,
            VisitScheduledV1 { visit, technician, parts_to_bring: vec![], customer_confirmed: false, forced: false },
        );
        visit_id
    }

    /// The lead is at work; gives the session.
    pub fn working(&mut self, id: AggregateId, activity: WorkActivity) -> EntityId {
        let session_id = EntityId(Uuid::from_u128(0xe000 + self.fresh()));
        let technician = self.ticket(id).lead.clone().unwrap();
        self.given(
            id,
            WorkStartedV1 {
                session_id,
                activity,
                technician,
                visit_id: None,
                lockout: None,
                permit_ref: None,
                geo: None,
            },
        );
        session_id
    }

    /// The session ends.
    pub fn paused(&mut self, id: AggregateId, session_id: EntityId) {
        let s = self.ticket(id).session(session_id).unwrap().clone();
        let duration = Seconds::between(s.started_at, self.now);
        let reason = "break".parse().unwrap();
        self.given(id, WorkPausedV1 { session_id, technician: s.technician, reason, note: None, duration });
    }

    /// A ticket of acme on SN-1 in each state, led by technician-1 where somebody leads. In
    /// `in_progress` nobody is at work any more.
    pub fn in_state(&mut self, state: TicketState) -> AggregateId {
        use TicketState as S;
        let id = self.opened();
        if state == S::New {
            return id;
        }
        if state == S::Cancelled {
            self.given(id, TicketCancelledV1 { reason: "duplicate".parse().unwrap(), note: None });
            return id;
        }
        self.triaged(id, ServiceMode::OnSite);
        if state == S::AwaitingApproval {
            self.quoted(id);
        }
        if matches!(state, S::Triaged | S::AwaitingApproval) {
            return id;
        }
        self.assigned(id, "technician-1");
        let (start, end) = (self.now.plus_millis(HOUR), self.now.plus_millis(3 * HOUR));
        match state {
            S::Scheduled => drop(self.scheduled(id, start, end)),
            S::Travelling => self.given(
                id,
                TravelStartedV1 {
                    trip_id: EntityId(Uuid::from_u128(0x7177)),
                    visit_id: None,
                    technician: "technician-1".parse().unwrap(),
                    geo: None,
                    eta: None,
                },
            ),
            S::InProgress | S::Resolved | S::Closed => {
                let s = self.working(id, WorkActivity::Repair);
                self.later(HOUR);
                self.paused(id, s);
            }
            S::OnHold => self.given(
                id,
                TicketHeldV1 {
                    reason: "waiting_customer".parse().unwrap(),
                    pauses_sla: true,
                    resume_state: S::Assigned,
                    expected_until: None,
                    note: None,
                },
            ),
            _ => {}
        }
        if matches!(state, S::Resolved | S::Closed) {
            self.resolved(id);
        }
        if state == S::Closed {
            let totals = mw_contract::event::ticket_parts::TicketTotalsV1 {
                labour: Seconds(3600),
                travel: Seconds(0),
                covered_labour: Seconds(3600),
                charged_labour: Seconds(0),
                parts_cost: vec![],
                covered_parts: vec![],
                charged_parts: vec![],
            };
            self.given(id, TicketClosedV1 { reason: CloseReason::Manual, note: None, totals, first_time_fix: true });
        }
        assert_eq!(self.ticket(id).state, state);
        id
    }

    pub fn resolved(&mut self, id: AggregateId) {
        self.given(
            id,
            TicketResolvedV1 {
                resolution_code: ResolutionCode::Repaired,
                text: Sealed::Plain("new seal".into()),
                cause: Some("wear".parse().unwrap()),
                remedy: Some("replaced".parse().unwrap()),
                downtime_end: None,
                customer_signature: None,
                follow_up: false,
                checklist_done: vec![],
                verification_required: false,
            },
        );
    }

    /// An open quote of 100 EUR, valid for a month.
    pub fn quoted(&mut self, id: AggregateId) -> EntityId {
        let quote_id = EntityId(Uuid::from_u128(0xe000 + self.fresh()));
        let money = |n: &str| Money { amount: n.parse().unwrap(), currency: "EUR".parse().unwrap() };
        let totals = mw_contract::event::ticket_parts::QuoteTotalsV1 {
            net: money("100"),
            tax: money("19"),
            gross: money("119"),
            customer_share: money("119"),
        };
        let resume_state = self.ticket(id).state;
        self.given(
            id,
            QuoteSubmittedV1 {
                quote_id,
                revision: 1,
                lines: vec![],
                totals,
                valid_until: "2026-04-01".parse().unwrap(),
                terms: None,
                supersedes: None,
                resume_state,
            },
        );
        quote_id
    }
}

/// A good pump that acme has, produced and shipped in January 2026.
pub fn unit(serial: &str) -> Unit {
    Unit {
        unit_id: AggregateId(Uuid::new_v5(&Uuid::NAMESPACE_OID, serial.as_bytes())),
        serial: text(serial),
        product_id: "pump-200".parse().unwrap(),
        lot: Some(text("L-7")),
        work_order_id: Some(id(0x50)),
        work_order_number: Some(text("WO-2026-000001")),
        line_id: Some("line-1".parse().unwrap()),
        site_id: Some("plant-1".parse().unwrap()),
        produced_at: Some("2026-01-05T10:00:00.000Z".parse().unwrap()),
        good: true,
        status: UnitStatus::Shipped,
        customer_id: Some("acme".parse().unwrap()),
        warranty: Some(UnitWarranty {
            start: "2026-01-10".parse().unwrap(),
            end: "2028-01-10".parse().unwrap(),
            basis: WarrantyBasis::ShipDate,
            void: false,
            counter: None,
        }),
        counters: vec![],
        open_recalls: vec![],
        components: vec![text("M-1")],
    }
}

/// What of T1 and of the folded state does not hold.
pub fn violations(t: &Ticket) -> Vec<&'static str> {
    use TicketState as S;
    let mut found = Vec::new();
    let led = matches!(t.state, S::Assigned | S::Scheduled | S::Travelling | S::InProgress);
    if led && t.lead.is_none() {
        found.push("T1: nobody leads");
    }
    if t.open_sessions().next().is_some() && t.state != S::InProgress {
        found.push("somebody is at work although the ticket is not in progress");
    }
    if t.hold.is_some() != (t.state == S::OnHold) {
        found.push("a hold belongs to the state on_hold");
    }
    if t.master.is_some() && t.state != S::Cancelled {
        found.push("T6: a duplicate is cancelled");
    }
    found
}

/// The rule of a guard that failed.
pub fn rule(r: Result<Decision, Rejection>) -> String {
    let r = r.expect_err("a refusal");
    assert_eq!(r.code, ErrorCode::GuardFailed, "{r:?}");
    r.details.unwrap()["rule"].as_str().unwrap().to_owned()
}

pub fn code(r: Result<Decision, Rejection>) -> ErrorCode {
    r.expect_err("a refusal").code
}

/// The names of the events, without those of the clocks.
pub fn names(d: &Decision) -> Vec<&'static str> {
    all_names(d).into_iter().filter(|n| !n.starts_with("Sla")).collect()
}

/// The names of all events.
pub fn all_names(d: &Decision) -> Vec<&'static str> {
    d.events.iter().map(|(_, e)| e.event_type().as_str()).collect()
}

/// One detail of a refusal.
pub fn detail(r: Result<Decision, Rejection>, key: &str) -> Value {
    r.expect_err("a refusal").details.unwrap_or_default()[key].clone()
}

/// The data of one event.
pub fn data(d: &Decision, i: usize) -> Value {
    d.events[i].1.data()
}

#[test]
fn t1_a_ticket_gets_into_each_state_and_has_a_lead_where_it_needs_one() {
    let mut w = World::new();
    for s in matrix::COLUMNS {
        let id = w.in_state(s);
        assert_eq!((w.ticket(id).state, violations(w.ticket(id))), (s, vec![]));
    }
}
