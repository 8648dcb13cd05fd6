//! The people of the service department, and the commands of a ticket's life. Strict commands are sent
//! with the version that the sender saw last; when a process manager was faster, they read and say it
//! again, as people would.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::story::{self, command, new_id};
use crate::{Commands, Http, System};

/// Commands that demand the version.
const STRICT: &[&str] = &[
    "mark-duplicate",
    "triage",
    "classify-fault",
    "change-priority",
    "override-warranty",
    "submit-quote",
    "approve-quote",
    "reject-quote",
    "assign-technician",
    "reassign-technician",
    "schedule-visit",
    "reschedule-visit",
    "cancel-visit",
    "hold",
    "resume",
    "replace-unit",
    "request-replacement-order",
    "cancel",
    "resolve",
    "verify",
    "confirm",
    "close",
    "reopen",
    "authorize-return",
    "disposition-return",
];

/// Dispatcher, technician and customer, each with a connection.
pub struct Desk {
    people: HashMap<&'static str, Commands>,
    versions: HashMap<String, u64>,
    auditor: Http,
    /// Business time of the commands; none: now.
    pub at: Option<String>,
}

impl Desk {
    /// Connects all of them.
    pub fn open(system: &System, name: &str) -> Desk {
        let people = ["dispatcher-1", "technician-1", "customer-1", "inspector-1", "operator-1", "lead-1", "planner-1"]
            .map(|a| (a, Commands::connect(system, a, name)));
        let auditor = Http::login(system, "auditor-1");
        Desk { people: people.into(), versions: HashMap::new(), auditor, at: None }
    }

    /// Sends one as one of them; gives the reply, whatever it is.
    pub fn say(&mut self, who: &'static str, kind: &str, id: &str, payload: Value) -> Value {
        let strict = kind.strip_prefix("ticket.").is_some_and(|k| STRICT.contains(&k));
        let client = self.people.get_mut(who).expect("one of the people");
        loop {
            let seen = strict.then(|| self.versions.get(id).copied().unwrap_or(0));
            let mut c = command(kind, id, seen, payload.clone());
            if let Some(at) = &self.at {
                c["occurred_at"] = json!(at);
            }
            let reply = client.call(&c);
            if reply["error"]["code"] == "VERSION_CONFLICT" {
                let actual = reply["error"]["details"]["actual"].as_u64().expect("the version that it has");
                assert_ne!(Some(actual), seen, "{reply}");
                self.versions.insert(id.to_owned(), actual);
                continue;
            }
            if let Some(v) = reply["version"].as_u64().filter(|_| reply["status"] != "rejected") {
                // It may be about another than was named.
                let of = reply["aggregate_id"].as_str().unwrap_or(id).to_owned();
                self.versions.insert(of, v);
            }
            return reply;
        }
    }

    /// The same where it must be accepted.
    pub fn does(&mut self, who: &'static str, kind: &str, id: &str, payload: Value) -> Value {
        let reply = self.say(who, kind, id, payload.clone());
        assert_eq!(reply["status"], "accepted", "{who}: {kind} {payload} was answered {reply}");
        reply
    }

    /// The same where it must be refused with this code.
    pub fn refused(&mut self, who: &'static str, kind: &str, id: &str, payload: Value, code: &str) -> Value {
        let reply = self.say(who, kind, id, payload.clone());
        assert_eq!(reply["error"]["code"], code, "{who}: {kind} {payload} was answered {reply}");
        reply
    }

    /// The data of a ticket's events of a type, oldest first, from the log itself: all that the last reply
    /// knew of.
    pub fn told(&self, id: &str, event_type: &str) -> Vec<Value> {
        let path = format!("/v1/audit/events?context=after-service&stream=ticket/{id}&limit=500");
        let seen = self.versions.get(id).copied().unwrap_or(0);
        let there = |a: &crate::http::Answer| {
            a.status == 200 && a.items().iter().filter_map(|e| e["version"].as_u64()).max() >= Some(seen)
        };
        let all = self.auditor.eventually(&path, there).items();
        all.into_iter().filter(|e| e["type"] == event_type).map(|e| e["payload"].clone()).collect()
    }

    /// The dispatcher opens a ticket of `acme`; gives its id.
    pub fn ticket(&mut self, more: Value) -> String {
        let id = new_id();
        let mut p = json!({"channel": "phone", "title": "The pump stands still", "customer_id": "acme"});
        if more["serial"].is_null() && more["equipment_id"].is_null() {
            p["product_id"] = json!("pump-200");
        }
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.does("dispatcher-1", "ticket.open", &id, p);
        id
    }

    /// Triages it and gives it to technician-1.
    pub fn assigned(&mut self, id: &str) {
        self.triaged(id);
        self.does("dispatcher-1", "ticket.assign-technician", id, json!({"lead": "technician-1"}));
    }

    /// Triages it.
    pub fn triaged(&mut self, id: &str) -> Value {
        let p = json!({"severity": 2, "priority": 2, "category": "mechanical", "service_mode": "on_site"});
        self.does("dispatcher-1", "ticket.triage", id, p)
    }

    /// The technician works on it, finds the cause and says that it is done.
    pub fn repaired(&mut self, id: &str) {
        let session = new_id();
        let who = "technician-1";
        self.does(who, "ticket.start-work", id, json!({"session_id": session, "activity": "repair"}));
        self.diagnosed(id, "wear");
        self.does(who, "ticket.pause-work", id, json!({"session_id": session, "reason": "done"}));
        self.resolved(id);
    }

    /// The same for a ticket whose parts did not come: what was asked for is not used.
    pub fn repaired_without_parts(&mut self, id: &str) {
        let session = new_id();
        let who = "technician-1";
        self.does(who, "ticket.start-work", id, json!({"session_id": session, "activity": "repair"}));
        self.diagnosed(id, "wear");
        let used = json!([{"item_id": "seal-20", "qty": 1, "source": "van", "coverage": "warranty"}]);
        self.does(who, "ticket.consume-parts", id, json!({"consumption_id": new_id(), "lines": used}));
        self.does(who, "ticket.pause-work", id, json!({"session_id": session, "reason": "done"}));
        self.resolved(id);
    }

    /// The technician says what it is.
    pub fn diagnosed(&mut self, id: &str, cause: &str) -> Value {
        let p = json!({"diagnosis_id": new_id(), "cause": cause, "text": "Looked at it.", "recommendation": "repair"});
        self.does("technician-1", "ticket.record-diagnosis", id, p)
    }

    /// The technician says that it is done.
    pub fn resolved(&mut self, id: &str) -> Value {
        let p = json!({"resolution_code": "repaired", "text": "New seal.", "cause": "wear", "remedy": "replaced"});
        self.does("technician-1", "ticket.resolve", id, p)
    }

    /// One of them, for commands of other aggregates.
    pub fn person(&mut self, who: &'static str) -> &mut Commands {
        self.people.get_mut(who).expect("one of the people")
    }
}

/// Makes pumps, registers them, and ships those that `customer` has. Gives the order's id.
pub fn pumps(system: &System, prefix: &str, qty: u32, shipped: &[(&str, &str)]) -> String {
    let mut clients = ["planner-1", "operator-1", "lead-1"].map(|a| (a, Commands::connect(system, a, "make")));
    let mut order = story::Story::new(prefix, qty);
    while let Some(step) = order.next_step() {
        let client = clients.iter_mut().find(|(a, _)| *a == step.account).expect("a client");
        let reply = client.1.accepted(&step.command);
        order.heard(&reply);
    }
    let http = Http::login(system, "planner-1");
    for serial in order.serials() {
        http.eventually(&format!("/v1/units/{serial}"), |a| a.status == 200);
    }
    for (serial, shipped_at) in shipped {
        let mut p = json!({"serial": serial, "product_id": "pump-200", "customer_id": "acme"});
        if !shipped_at.is_empty() {
            p["shipped_at"] = json!(shipped_at);
        }
        let ship = json!({"command_id": new_id(), "type": "unit.ship", "payload": p});
        clients[0].1.accepted(&ship);
    }
    order.id
}

/// Does `work` again and again for a time; gives how often.
fn again_for(time: Duration, mut work: impl FnMut(usize)) -> usize {
    let begun = Instant::now();
    let mut n = 0;
    while begun.elapsed() < time || n < 2 {
        work(n);
        n += 1;
    }
    n
}

/// How many events of a type a context's log holds.
fn count(system: &System, context: &str, event_type: &str) -> usize {
    let mut n = 0;
    crate::history::replay_of(system, context, &["--type", event_type], |_| n += 1);
    n
}

/// Each department goes on while the other is down for `time`, and what it asked of the other comes once
/// that is back, and once only. `down` and `up` end and start a service.
pub fn each_without_the_other(
    system: &mut System,
    time: Duration,
    down: impl Fn(&mut System, &'static str),
    up: impl Fn(&mut System, &'static str),
) {
    pumps(system, "APART-", 2, &[("APART-0001", ""), ("APART-0002", "")]);
    let mut desk = Desk::open(system, "apart");
    let known = |desk: &mut Desk, serial: &str| {
        let id = desk.ticket(json!({"serial": serial}));
        desk.told(&id, "WarrantyChecked").last().map(|w| w["status"].clone()) == Some(json!("in_warranty"))
    };
    // After-service has heard of the units.
    while !known(&mut desk, "APART-0002") {}

    down(system, "production");
    let mut asked = Vec::new();
    let served = again_for(time, |_| {
        let id = desk.ticket(json!({"serial": "APART-0001"}));
        desk.assigned(&id);
        let lines = json!([{"item_id": "seal-20", "qty": 1, "uom": "H87"}]);
        desk.does("technician-1", "ticket.request-parts", &id, json!({"request_id": new_id(), "lines": lines}));
        desk.repaired_without_parts(&id);
        desk.does("customer-1", "ticket.confirm", &id, json!({}));
        asked.push(id);
    });
    let waits = desk.ticket(json!({"serial": "APART-0002"}));
    desk.assigned(&waits);
    let request = json!({"request_id": new_id(), "product_id": "pump-200", "qty": 1, "uom": "H87",
        "needed_by": "2031-05-01T08:00:00.000Z", "mode": "replacement", "return_serial": "APART-0002"});
    desk.does("dispatcher-1", "ticket.request-replacement-order", &waits, request);
    up(system, "production");
    let http = Http::login(system, "dispatcher-1");
    http.eventually(&format!("/v1/tickets/{waits}"), |a| a.json()["state"] == "on_hold");
    let linked = desk.told(&waits, "ReplacementOrderLinked");
    assert_eq!(linked.len(), 1, "{linked:?}");

    let machines = Http::login(system, "lead-1").eventually("/v1/equipment?cell=cell-1", |a| a.items().len() == 1);
    let machine = machines.items()[0]["id"].as_str().expect("an id").to_owned();
    let opened = count(system, "after-service", "TicketOpened");
    down(system, "after-service");
    let mut device = Commands::connect(system, "cell-1", "apart");
    let alarm = json!({"alarm_id": new_id(), "code": "fire", "severity": 950});
    device.accepted(&command("equipment.raise-alarm", &machine, None, alarm));
    let made = again_for(time, |n| {
        pumps(system, &format!("APART{n}-"), 1, &[]);
    });
    up(system, "after-service");
    http.eventually("/v1/tickets?channel=alarm", |a| a.items().len() == 1);
    assert_eq!(count(system, "after-service", "TicketOpened"), opened + 1);
    // What a process manager asked twice would stand twice in the logs.
    assert_eq!(count(system, "after-service", "ReplacementOrderLinked"), 1);
    let for_tickets = |e: &Value| e["payload"]["order_type"] == "replacement";
    let orders = crate::history::all_of(system, "production", &["--type", "WorkOrderCreated"]);
    assert_eq!(orders.iter().filter(|e| for_tickets(e)).count(), 1);
    println!("CASE apart: {served} tickets without production, {made} orders without after-service, each catches up");
}
