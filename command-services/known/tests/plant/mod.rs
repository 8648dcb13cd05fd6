//! A plant whose history is made by production's own rules.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use mw_contract::commit::{NewCommit, NewEvent};
use mw_contract::decide::{Actor, Allowance, DecisionContext, Domain, EventMeta, People, Person};
use mw_contract::{
    AccountName, AggregateId, Command, CommandId, CommitHead, Context, EventId, Instant, Outcome, Role, StreamId,
    Version, reference_id,
};
use mw_log::{EventLog, MemoryLog};
use mw_production::{Production, demo};
use serde_json::{Value, json};
use uuid::Uuid;

type State = <Production as Domain>::State;

pub struct Plant {
    pub log: Arc<MemoryLog>,
    facts: Production,
    states: HashMap<AggregateId, State>,
    versions: HashMap<StreamId, u64>,
    pub now: Instant,
    /// Tells the ids of one history from those of another.
    seed: u128,
    commands: u128,
}

#[derive(Debug)]
struct Nobody;

impl People for Nobody {
    fn person(&self, _: &AccountName) -> Option<Person> {
        None
    }
}

pub fn id(n: u128) -> AggregateId {
    AggregateId(Uuid::from_u128(n))
}

impl Plant {
    pub fn new(seed: u128) -> Self {
        Plant {
            log: Arc::new(MemoryLog::new(Context::Production)),
            facts: Production::new(),
            states: HashMap::new(),
            versions: HashMap::new(),
            now: "2026-03-02T09:00:00.000Z".parse().unwrap(),
            seed,
            commands: 0,
        }
    }

    /// With the reference data of the demonstration.
    pub fn demo(seed: u128) -> Self {
        let mut p = Plant::new(seed);
        for (kind, code, text) in demo::DOCUMENTS {
            p.put(kind.as_str(), code, serde_json::from_str(text).unwrap());
        }
        p
    }

    pub fn put(&mut self, kind: &str, code: &str, document: Value) {
        let target = reference_id(kind.parse().unwrap(), &code.parse().unwrap());
        self.run("reference.put", target, json!({"kind": kind, "code": code, "document": document}));
    }

    /// A pump that an order of line 1 made; gives order and unit.
    pub fn pump(&mut self, order: AggregateId, serial: &str) -> AggregateId {
        let p = json!({"product_id": "pump-200", "planned_qty": 5, "uom": "H87", "due_at": "2026-03-06T15:00:00.000Z"});
        self.run("work-order.create", order, p);
        let p = json!({"line_id": "line-1", "planned_start": "2026-03-02T10:00:00.000Z",
            "planned_end": "2026-03-02T18:00:00.000Z"});
        self.run("work-order.plan", order, p);
        self.unit(serial, Some(order))
    }

    pub fn unit(&mut self, serial: &str, order: Option<AggregateId>) -> AggregateId {
        let unit = mw_contract::unit_id(&"pump-200".parse().unwrap(), &mw_contract::Text::new(serial).unwrap());
        let p = json!({"serial": serial, "product_id": "pump-200", "result": "good", "lot": "lot-7", "made_by": order,
            "components": [{"item_id": "motor", "serial": "C-9", "qty": 1}, {"item_id": "oil", "qty": 2}]});
        self.run("unit.register", unit, p);
        unit
    }

    /// Decides a command, and stores what it does.
    pub fn run(&mut self, command: &str, target: AggregateId, payload: Value) {
        let Value::Object(map) = payload else { panic!("a payload is an object") };
        let kind = command.parse().unwrap();
        let read = Command::read(kind, &map).unwrap();
        let roles = [Role::Planner, Role::Admin, Role::QualityInspector, Role::Technician, Role::System];
        let site: mw_contract::SiteId = "plant-1".parse().unwrap();
        let actor = Actor {
            account: "anybody".parse().unwrap(),
            grants: roles.iter().map(|r| (*r, Allowance::Yes)).collect(),
            sites: BTreeSet::from([site.clone()]),
            customer_id: None,
            cell: None,
        };
        let state = self.states.entry(target).or_default();
        let stream = StreamId::new(kind.aggregate(), target);
        let ctx = DecisionContext {
            received_at: self.now,
            occurred_at: self.now,
            captured_offline: false,
            actor: &actor,
            people: &Nobody,
            site: Some(&site),
            aggregate_id: target,
            version: Version(self.versions.get(&stream).copied().unwrap_or(0)),
        };
        let decision = self.facts.decide(state, &read, &ctx).unwrap_or_else(|r| panic!("{command}: {r:?}"));
        self.store(command, decision.events);
    }

    /// Stores events as they are.
    pub fn store(&mut self, command: &str, events: Vec<(StreamId, mw_contract::Event)>) {
        self.commands += 1;
        let command_id = CommandId(Uuid::from_u128((self.seed << 64) + self.commands));
        let target = events.first().map(|(s, _)| s.id);
        let mut stored = Vec::new();
        for (stream, event) in events {
            let version = self.versions.entry(stream).or_default();
            *version += 1;
            let (name, schema, payload) = event.encode().unwrap();
            let event_id = EventId(Uuid::new_v5(&command_id.0, &[stored.len() as u8]));
            let meta = EventMeta {
                event_id,
                version: Version(*version),
                occurred_at: self.now,
                recorded_at: self.now,
                account: "anybody".parse().unwrap(),
                role: Some(Role::Admin),
                late: false,
            };
            Production::evolve(self.states.entry(stream.id).or_default(), &stream, &event, &meta);
            self.facts.observe(&stream, &event, &meta);
            stored.push(NewEvent {
                stream,
                version: Version(*version),
                event_id,
                event_type: name.into(),
                schema,
                occurred_at: self.now,
                late: false,
                payload,
            });
        }
        let head = CommitHead {
            command_id,
            command_type: command.into(),
            account: "anybody".parse().unwrap(),
            role: Some(Role::Admin),
            site: Some("plant-1".parse().unwrap()),
            payload_hash: [0; 32],
            aggregate_id: target,
            version: Version(1),
            recorded_at: self.now,
            occurred_at: self.now,
            device: None,
            correlation_id: None,
            causation_id: None,
            outcome: Outcome::Accepted,
            warnings: Vec::new(),
        };
        self.log.append(vec![NewCommit { head, events: stored }]).unwrap();
        self.now = self.now.plus_millis(60_000);
    }
}
