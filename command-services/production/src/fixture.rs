//! A small world for the tests: facts, states and a clock. Commands are given as JSON, as a
//! client would; every accepted decision is folded and held against the invariants.

use std::collections::{BTreeSet, HashMap};

use mw_contract::decide::{Actor, Allowance, Decision, DecisionContext, Domain, EventMeta, People, Person};
use mw_contract::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::state::{ProductionState, WorkOrder};
use crate::{Production, demo, invariants};

pub const HOUR: i64 = 3_600_000;
pub const MINUTE: i64 = 60_000;

pub fn t0() -> Instant {
    "2026-03-02T09:00:00.000Z".parse().unwrap()
}

pub fn id(n: u128) -> AggregateId {
    AggregateId(Uuid::from_u128(n))
}

/// The id of a session, report or note.
pub fn e(n: u128) -> String {
    Uuid::from_u128(0xe000 + n).to_string()
}

#[derive(Clone)]
pub struct World {
    pub facts: Production,
    pub states: HashMap<AggregateId, ProductionState>,
    pub versions: HashMap<AggregateId, u64>,
    pub now: Instant,
    pub site: Option<SiteId>,
    next: u128,
}

pub fn actor(account: &str, grants: &[(Role, Allowance)]) -> Actor {
    Actor {
        account: account.parse().unwrap(),
        grants: grants.to_vec(),
        sites: BTreeSet::from(["plant-1".parse().unwrap()]),
        customer_id: None,
        cell: grants.iter().any(|(r, _)| *r == Role::Device).then(|| account.parse().unwrap()),
    }
}

/// Who works here: accounts by their names (`operator-1`, `planner-1` …), `…-elsewhere` at another
/// site, numbers over 9 nowhere.
#[derive(Debug)]
pub struct Staff;

impl People for Staff {
    fn person(&self, account: &AccountName) -> Option<Person> {
        let (role, number) = account.as_str().split_once('-')?;
        let role = match role {
            "operator" => Role::Operator,
            "lead" => Role::LineLead,
            "planner" => Role::Planner,
            "inspector" => Role::QualityInspector,
            _ => return None,
        };
        let site = if number == "elsewhere" { "plant-2" } else { "plant-1" };
        (number.len() == 1 || number == "elsewhere")
            .then(|| Person { roles: BTreeSet::from([role]), sites: BTreeSet::from([site.parse().unwrap()]) })
    }
}

pub fn planner() -> Actor {
    actor("planner-1", &[(Role::Planner, Allowance::Yes)])
}
pub fn lead() -> Actor {
    actor("lead-1", &[(Role::LineLead, Allowance::Yes)])
}
pub fn admin() -> Actor {
    actor("admin", &[(Role::Admin, Allowance::Yes)])
}
pub fn inspector() -> Actor {
    actor("inspector-1", &[(Role::QualityInspector, Allowance::Yes)])
}
pub fn operator(name: &str) -> Actor {
    actor(name, &[(Role::Operator, Allowance::Own)])
}
pub fn device(cell: &str) -> Actor {
    actor(cell, &[(Role::Device, Allowance::OwnCell)])
}

/// The product's own processes.
pub fn system() -> Actor {
    actor("processes", &[(Role::System, Allowance::Yes)])
}

/// A pump of a serial number.
pub fn unit(serial: &str) -> AggregateId {
    unit_id(&"pump-200".parse().unwrap(), &Text::new(serial).unwrap())
}

/// An item in the store.
pub fn stock(item: &str) -> AggregateId {
    stock_id(&item.parse().unwrap(), &"store".parse().unwrap(), None)
}

impl World {
    /// With the first cell registered as equipment.
    pub fn with_machine() -> (Self, AggregateId) {
        let mut w = World::new();
        let machine = equipment_id(&"cell-1".parse().unwrap());
        w.run(&admin(), "equipment.register", machine, json!({"code": "cell-1"})).unwrap();
        (w, machine)
    }

    /// A good pump in stock.
    pub fn unit(&mut self, serial: &str) -> AggregateId {
        let p = json!({"serial": serial, "product_id": "pump-200", "result": "good"});
        self.run(&system(), "unit.register", unit(serial), p).unwrap();
        unit(serial)
    }

    /// A command on the sheets in the store.
    pub fn stock(&mut self, command: &str, more: Value) -> Result<Decision, Rejection> {
        let mut p = json!({"item_id": "sheet", "location": "store"});
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.run(&lead(), &format!("stock.{command}"), stock("sheet"), p)
    }

    /// The demonstration plant, put through the commands.
    pub fn new() -> Self {
        let mut w = World {
            facts: Production::new(),
            states: HashMap::new(),
            versions: HashMap::new(),
            now: t0(),
            site: Some("plant-1".parse().unwrap()),
            next: 1,
        };
        for (kind, code, text) in demo::DOCUMENTS {
            let document: Value = serde_json::from_str(text).unwrap();
            w.put(kind.as_str(), code, document).unwrap();
        }
        w
    }

    pub fn fresh(&mut self) -> u128 {
        self.next += 1;
        self.next
    }

    pub fn put(&mut self, kind: &str, code: &str, document: Value) -> Result<Decision, Rejection> {
        let payload = json!({"kind": kind, "code": code, "document": document});
        let target = reference_id(kind.parse().unwrap(), &code.parse().unwrap());
        self.run(&planner(), "reference.put", target, payload)
    }

    pub fn state(&self, id: AggregateId) -> ProductionState {
        self.states.get(&id).cloned().unwrap_or_default()
    }

    pub fn order(&self, id: AggregateId) -> &WorkOrder {
        self.states[&id].work_order().unwrap()
    }

    /// Decides only.
    pub fn ask(&self, who: &Actor, command: &str, id: AggregateId, payload: Value) -> Result<Decision, Rejection> {
        self.ask_at(self.now, who, command, id, payload)
    }

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
        let ctx = DecisionContext {
            people: &Staff,
            received_at: self.now,
            occurred_at: at,
            captured_offline: false,
            actor: who,
            site: self.site.as_ref(),
            aggregate_id: id,
            version: Version(self.versions.get(&id).copied().unwrap_or(0)),
        };
        self.facts.decide(&self.state(id), &command, &ctx)
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
        assert!(who.has(d.role), "recorded with a role that the sender has");
        for (stream, event) in &d.events {
            self.fold(stream, event, at, who, d.role);
        }
        if let Some(o) = self.states.get(&id).and_then(ProductionState::work_order) {
            assert_eq!(invariants::violations(o), Vec::<&str>::new(), "after {command}");
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
        self.facts.observe(stream, event, &meta);
        Production::evolve(self.states.entry(stream.id).or_default(), stream, event, &meta);
    }

    /// Given: an event that no command of the slice would make here.
    pub fn given(&mut self, id: AggregateId, event: impl Into<Event>) {
        self.fold(&StreamId::new(AggregateKind::WorkOrder, id), &event.into(), self.now, &admin(), Role::Admin);
    }

    pub fn later(&mut self, ms: i64) {
        self.now = self.now.plus_millis(ms);
    }

    pub fn lead(&mut self, command: &str, id: AggregateId, payload: Value) -> Result<Decision, Rejection> {
        self.run(&lead(), command, id, payload)
    }
    pub fn planner(&mut self, command: &str, id: AggregateId, payload: Value) -> Result<Decision, Rejection> {
        self.run(&planner(), command, id, payload)
    }

    /// The least payload of a creation.
    pub fn create_payload(product: &str, qty: u32) -> Value {
        json!({"product_id": product, "planned_qty": qty, "uom": "H87", "due_at": "2026-03-10T09:00:00.000Z"})
    }

    pub fn create(&mut self, payload: Value) -> AggregateId {
        let id = id(self.fresh());
        self.planner("work-order.create", id, payload).unwrap();
        id
    }

    /// A draft of serial-tracked pumps with operations 10 and 20.
    pub fn pump(&mut self, qty: u32) -> AggregateId {
        self.create(Self::create_payload("pump-200", qty))
    }

    /// A draft of brackets: no routing, no tracking.
    pub fn bracket(&mut self, qty: u32) -> AggregateId {
        self.create(Self::create_payload("bracket-10", qty))
    }

    pub fn bracket_with(&mut self, qty: u32, more: Value) -> AggregateId {
        let mut p = Self::create_payload("bracket-10", qty);
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.create(p)
    }

    pub fn plan_payload() -> Value {
        json!({"line_id": "line-1", "planned_start": "2026-03-03T08:00:00.000Z", "planned_end": "2026-03-03T16:00:00.000Z"})
    }

    /// Plans and releases a draft.
    pub fn release(&mut self, id: AggregateId) {
        self.planner("work-order.plan", id, Self::plan_payload()).unwrap();
        self.planner("work-order.release", id, json!({"allow_shortage": true})).unwrap();
    }

    /// Somebody starts an operation; gives the session.
    pub fn start(&mut self, who: &Actor, id: AggregateId, op: u16, cell: &str) -> String {
        let session = e(self.fresh());
        self.run(who, "work-order.start-operation", id, json!({"op": op, "session_id": session, "cell_id": cell}))
            .unwrap();
        session
    }

    pub fn good(&mut self, id: AggregateId, op: u16, n: u32) {
        let report = e(self.fresh());
        self.lead("work-order.report-quantity", id, json!({"op": op, "report_id": report, "good": n})).unwrap();
    }

    pub fn finish_op(&mut self, id: AggregateId, op: u16) {
        self.lead("work-order.complete-operation", id, json!({"op": op, "confirm_shortfall": true})).unwrap();
    }

    /// Brackets on their implicit operation, released and started by the lead.
    pub fn running_bracket(&mut self, qty: u32) -> AggregateId {
        let id = self.bracket(qty);
        self.release(id);
        self.start(&lead(), id, 10, "cell-1");
        id
    }

    /// Brackets, all made and the operation completed; the order is still in progress.
    pub fn made_bracket(&mut self, qty: u32) -> AggregateId {
        let id = self.running_bracket(qty);
        self.later(HOUR);
        self.good(id, 10, qty);
        self.finish_op(id, 10);
        id
    }

    /// Brackets, completed.
    pub fn completed_bracket(&mut self, qty: u32) -> AggregateId {
        let id = self.made_bracket(qty);
        self.lead("work-order.complete", id, json!({})).unwrap();
        id
    }

    /// A released order of brackets that need a sheet each.
    pub fn with_material(&mut self, qty: u32) -> AggregateId {
        let bom = json!([{"line_no": 1, "item_id": "sheet", "qty_per_unit": 1}]);
        let id = self.bracket_with(qty, json!({"bom": bom}));
        self.release(id);
        id
    }

    /// Brackets in progress with these motors issued to them.
    pub fn with_motors(&mut self, serials: &[&str]) -> AggregateId {
        let bom = json!([{"line_no": 1, "item_id": "motor", "qty_per_unit": 1, "tracking": "serial"}]);
        let id = self.bracket_with(5, json!({"bom": bom}));
        self.release(id);
        self.start(&lead(), id, 10, "cell-1");
        if !serials.is_empty() {
            let line = json!({"line_no": 1, "qty": serials.len(), "serials": serials, "from_location": "store"});
            let p = json!({"issue_id": e(self.fresh()), "lines": [line]});
            self.lead("work-order.issue-material", id, p).unwrap();
        }
        id
    }

    /// Three pumps in progress, two tested, one unit registered and shipped.
    pub fn shipped_pump(&mut self, serial: &str) -> AggregateId {
        let order = self.pump(3);
        self.release(order);
        for (op, cell, n) in [(10, "cell-1", 3), (20, "cell-2", 2)] {
            self.start(&lead(), order, op, cell);
            self.good(order, op, n);
            if op == 10 {
                self.finish_op(order, op);
            }
        }
        self.lead("work-order.register-unit", order, json!({"serial": serial, "op": 20, "result": "good"})).unwrap();
        let unit = self.unit(serial);
        self.planner("unit.ship", unit, json!({"customer_id": "acme"})).unwrap();
        order
    }

    /// An order in each state.
    pub fn in_state(&mut self, state: WorkOrderState) -> AggregateId {
        use WorkOrderState as S;
        let id = match state {
            S::Draft | S::Planned | S::Released | S::Cancelled => self.bracket(5),
            S::InProgress | S::OnHold => self.running_bracket(5),
            S::Completed | S::Closed => self.completed_bracket(5),
        };
        match state {
            S::Planned => drop(self.planner("work-order.plan", id, Self::plan_payload()).unwrap()),
            S::Released => self.release(id),
            S::OnHold => drop(self.lead("work-order.hold", id, json!({"reason": "quality_hold"})).unwrap()),
            S::Closed => drop(self.run(&admin(), "work-order.close", id, json!({"force": true})).unwrap()),
            S::Cancelled => drop(self.planner("work-order.cancel", id, json!({"reason": "no_demand"})).unwrap()),
            S::Draft | S::InProgress | S::Completed => {}
        }
        assert_eq!(self.order(id).state, state);
        id
    }
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

/// The names of the events.
pub fn names(d: &Decision) -> Vec<&'static str> {
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
