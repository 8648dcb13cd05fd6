//! The same for after-service: every pair of role and command on tickets and maintenance plans, and the
//! routes of the service department.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use mw_blackbox::mosquitto::Protocol;
use mw_blackbox::mqtt::{Connection, Incoming};
use mw_blackbox::{Commands, Http, SECRET, System, story};
use serde_json::{Value, json};

use super::WHO;
use super::service_table::{
    Ids, Life, Payload, done, log, parts, plan, quote, received, returning, session, table, visit,
};

const TECHNICIAN: usize = 4;
const DISPATCHER: usize = 5;
const CUSTOMER: usize = 6;

/// One connection for each of [`WHO`], and what versions they saw last.
struct Office<'a> {
    system: &'a System,
    people: Vec<Commands>,
    versions: HashMap<String, u64>,
    auditor: Http,
    machine: String,
    master: String,
    count: u32,
}

impl<'a> Office<'a> {
    fn open(system: &'a System) -> Office<'a> {
        let http = Http::login(system, "planner-1");
        let machines = http.eventually("/v1/equipment?cell=cell-1", |a| a.items().len() == 1);
        let machine = machines.items()[0]["id"].as_str().unwrap().to_owned();
        let people = WHO.iter().map(|w| Commands::connect(system, w, "service")).collect();
        let auditor = Http::login(system, "auditor-1");
        let mut office =
            Office { system, people, versions: HashMap::new(), auditor, machine, master: String::new(), count: 0 };
        let master = office.ids();
        office.does(DISPATCHER, "ticket.open", &master, open_payload);
        office.master = master.id;
        office
    }

    fn ids(&mut self) -> Ids {
        self.count += 1;
        let n = (0..8).map(|_| story::new_id()).collect();
        let (machine, master) = (self.machine.clone(), self.master.clone());
        Ids { id: story::new_id(), master, machine, n, count: self.count }
    }

    /// Sends it with the version that it has, whatever happened in between.
    fn say(&mut self, who: usize, kind: &str, id: &str, payload: &Value) -> Value {
        loop {
            let seen = self.versions.get(id).copied();
            let reply = self.people[who].call(&story::command(kind, id, seen.or(Some(0)), payload.clone()));
            if reply["error"]["code"] == "VERSION_CONFLICT" {
                let actual = reply["error"]["details"]["actual"].as_u64().unwrap();
                assert_ne!(Some(actual), seen, "{reply}");
                self.versions.insert(id.to_owned(), actual);
                continue;
            }
            if let Some(v) = reply["version"].as_u64().filter(|_| reply["status"] == "accepted") {
                self.versions.insert(id.to_owned(), v);
            }
            return reply;
        }
    }

    fn does(&mut self, who: usize, kind: &str, ids: &Ids, payload: impl Fn(&Ids) -> Value) -> Value {
        let reply = self.say(who, kind, &ids.id, &payload(ids));
        assert_eq!(reply["status"], "accepted", "{} {kind}: {reply}", WHO[who]);
        reply
    }

    /// A ticket or plan that has been through this; an internal one for an operator.
    fn at(&mut self, life: Life, internal: bool) -> Ids {
        use Life::*;
        let i = self.ids();
        let steps: &[(usize, &str, Payload)] = match life {
            Nothing | Never => return i,
            Draft | Active => {
                self.does(DISPATCHER, "maintenance-plan.create", &i, plan);
                if life == Active {
                    self.does(DISPATCHER, "maintenance-plan.activate", &i, |_| json!({}));
                }
                return i;
            }
            New => &[],
            Escalated => &[(DISPATCHER, "ticket.escalate", |_| json!({"level": 1, "reason": "stands still"}))],
            Triaged => &[TRIAGE],
            Quoted => &[TRIAGE, (DISPATCHER, "ticket.submit-quote", quote)],
            Assigned => &[TRIAGE, ASSIGN],
            Scheduled => &[TRIAGE, ASSIGN, (DISPATCHER, "ticket.schedule-visit", visit)],
            Travelling => &[TRIAGE, ASSIGN, (TECHNICIAN, "ticket.start-travel", |i: &Ids| json!({"trip_id": i.n[3]}))],
            Working => &[TRIAGE, ASSIGN, WORK],
            Paused => &[TRIAGE, ASSIGN, WORK, PAUSE],
            Parts => &[TRIAGE, ASSIGN, (TECHNICIAN, "ticket.request-parts", parts)],
            Logged => &[TRIAGE, ASSIGN, (TECHNICIAN, "ticket.log-work", log)],
            OnHold => &[TRIAGE, ASSIGN, HOLD],
            Advised => {
                &[TRIAGE, (DISPATCHER, "ticket.resolve", |_| json!({"resolution_code": "advice_given", "text": "so"}))]
            }
            Resolved => &[TRIAGE, ASSIGN, WORK, PAUSE, (TECHNICIAN, "ticket.resolve", done)],
            Returning => &[TRIAGE, (DISPATCHER, "ticket.authorize-return", returning)],
            Returned => &[
                TRIAGE,
                (DISPATCHER, "ticket.authorize-return", returning),
                (DISPATCHER, "ticket.receive-return", received),
            ],
        };
        self.does(DISPATCHER, "ticket.open", &i, if internal { internal_payload } else { open_payload });
        for (who, kind, payload) in steps {
            self.does(*who, kind, &i, payload);
        }
        if life == Parts {
            let answered = format!("/v1/audit/events?context=after-service&stream=ticket/{}&type=PartsReserved", i.id);
            self.auditor.eventually(&answered, |a| !a.items().is_empty());
        }
        i
    }

    /// The position after which nothing has happened yet.
    fn position(&mut self) -> u64 {
        let (master, note) = (self.master.clone(), story::new_id());
        let said = json!({"comment_id": note, "text": "between", "visibility": "internal"});
        story::position(&self.say(DISPATCHER, "ticket.comment", &master, &said))
    }
}

type Act = (usize, &'static str, Payload);
const TRIAGE: Act = (
    DISPATCHER,
    "ticket.triage",
    |_| json!({"severity": 2, "priority": 2, "category": "mechanical", "service_mode": "on_site"}),
);
const ASSIGN: Act = (DISPATCHER, "ticket.assign-technician", |_| json!({"lead": "technician-1"}));
const WORK: Act = (TECHNICIAN, "ticket.start-work", session);
const PAUSE: Act = (TECHNICIAN, "ticket.pause-work", |i| json!({"session_id": i.n[4], "reason": "break"}));
const HOLD: Act = (DISPATCHER, "ticket.hold", |_| json!({"reason": "internal"}));

fn open_payload(_: &Ids) -> Value {
    json!({"channel": "phone", "title": "stands still", "customer_id": "acme", "product_id": "pump-200"})
}

fn internal_payload(i: &Ids) -> Value {
    json!({"kind": "internal_maintenance", "channel": "operator", "title": "stands still", "equipment_id": i.machine})
}

fn add_account(system: &System, name: &str, more: &[&str]) {
    let args = [&["account", "add", name], more].concat();
    let added = system.run_with(&args, &[("MILLWRIGHT_NEW_SECRET", SECRET)]);
    assert_eq!(added.code, Some(0), "{added:?}");
}

/// What a technician may only where the site says so.
const BY_SETTING: [&str; 8] = [
    "ticket.triage",
    "ticket.change-priority",
    "ticket.assign-technician",
    "ticket.schedule-visit",
    "ticket.reschedule-visit",
    "ticket.cancel-visit",
    "ticket.submit-quote",
    "ticket.verify",
];

#[test]
fn each_role_may_on_tickets_and_plans_what_the_table_says() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    add_account(&system, "technician-2", &["--role", "technician", "--site", "plant-1"]);
    add_account(&system, "dispatcher-2", &["--role", "dispatcher", "--site", "plant-1"]);
    let mut office = Office::open(&system);
    let table = table();
    let named: BTreeSet<&str> = table.iter().map(|t| t.0).collect();
    assert_eq!((named.len(), table.len()), (65, 65));

    // Who may not leaves no event behind.
    let (ticket, plan) = (office.at(Life::Triaged, false), office.at(Life::Draft, false));
    let first = office.position();
    let mut refused = 0;
    for (kind, row, life, payload) in &table {
        for (who, _) in row.chars().enumerate().filter(|(_, letter)| *letter == '.') {
            let mut on = if kind.starts_with("ticket.") { &ticket } else { &plan };
            let new = office.ids();
            if *life == Life::Nothing {
                on = &new;
            }
            let reply = office.say(who, kind, &on.id, &payload(on));
            assert_eq!(reply["error"]["code"], "FORBIDDEN", "{} {kind}: {reply}", WHO[who]);
            assert!(reply["events"].as_array().is_none_or(Vec::is_empty), "{reply}");
            refused += 1;
        }
    }
    assert_eq!(office.position(), first + 1, "{refused} refusals");
    assert!(refused > 400, "{refused}");

    // Nor does a technician at a site that leaves it to dispatchers.
    for (kind, _, life, payload) in table.iter().filter(|t| BY_SETTING.contains(&t.0)) {
        let i = office.at(*life, false);
        let before = office.position();
        let reply = office.say(TECHNICIAN, kind, &i.id, &payload(&i));
        assert_eq!(reply["error"]["code"], "FORBIDDEN", "{kind}: {reply}");
        assert_eq!(office.position(), before + 1, "{kind}");
    }
    let settings = json!({"technician_self_assigns": true, "technician_quotes": true, "technician_verifies": true});
    let site = json!({"kind": "site", "code": "plant-1",
        "document": {"name": "Plant 1", "time_zone": "Europe/Berlin", "settings": settings}});
    office.people[2].accepted(&json!({"command_id": story::new_id(), "type": "reference.put", "payload": site}));
    let stock = json!({"item_id": "access-seal", "location": "store", "qty": 50});
    office.people[1].accepted(&json!({"command_id": story::new_id(), "type": "stock.receive", "payload": stock}));
    // After-service has heard of it when a technician may.
    let deadline = Instant::now() + Duration::from_secs(20);
    let heard = office.at(Life::New, false);
    while office.say(TECHNICIAN, "ticket.triage", &heard.id, &TRIAGE.2(&heard))["status"] != "accepted" {
        assert!(Instant::now() < deadline, "the settings never came");
    }

    // Who may gets it done.
    for (kind, row, life, payload) in &table {
        for (who, letter) in row.chars().enumerate().filter(|(_, letter)| *letter != '.') {
            let operator = who == 0;
            // Where a line lead has a condition it is the operator's.
            let internal = operator || (who == 1 && letter == 'c');
            // A customer amends what is new, a technician what it has.
            let has = who == TECHNICIAN && *kind == "ticket.amend";
            let i = office.at(if has { Life::Assigned } else { *life }, internal);
            let p = if operator && *kind == "ticket.open" { internal_payload(&i) } else { payload(&i) };
            let reply = office.say(who, kind, &i.id, &p);
            let code = &reply["error"]["code"];
            match letter {
                'f' => assert!(code != "FORBIDDEN" && code != "VALIDATION", "{} {kind}: {reply}", WHO[who]),
                _ => assert_eq!(reply["status"], "accepted", "{} {kind}: {reply}", WHO[who]),
            }
            if matches!(life, Life::Working | Life::Paused) || *kind == "ticket.start-work" {
                // Whoever is still at work stops: nobody is at two.
                office.say(HOLD.0, HOLD.1, &i.id, &HOLD.2(&i));
            }
        }
    }
}

#[test]
fn conditions_of_a_role_are_those_of_the_ticket() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    add_account(&system, "technician-2", &["--role", "technician", "--site", "plant-1"]);
    let elsewhere = ["--role", "dispatcher", "--role", "technician", "--role", "planner", "--site", "plant-2"];
    add_account(&system, "dispatcher-9", &elsewhere);
    let mut office = Office::open(&system);
    let globex = json!({"kind": "customer", "code": "globex", "document": {"name": "Globex"}});
    office.people[2].accepted(&json!({"command_id": story::new_id(), "type": "reference.put", "payload": globex}));
    let mut theirs = office.ids();
    let mut p = open_payload(&theirs);
    p["customer_id"] = json!("globex");
    let deadline = Instant::now() + Duration::from_secs(20);
    while office.say(DISPATCHER, "ticket.open", &theirs.id, &p)["status"] != "accepted" {
        assert!(Instant::now() < deadline, "after-service never heard of globex");
        theirs = office.ids();
    }
    office.does(TRIAGE.0, TRIAGE.1, &theirs, TRIAGE.2);
    office.does(DISPATCHER, ASSIGN.1, &theirs, |_| json!({"lead": "technician-2"}));
    let before = office.position();
    let mut tried = 0;
    for (kind, row, life, payload) in table().iter().filter(|t| t.0.starts_with("ticket.") && t.2 != Life::Nothing) {
        let letter = |who: usize| row.as_bytes()[who];
        // What is another customer's is not there, and what is a customer's is not an operator's.
        if letter(CUSTOMER) == b'c' {
            let reply = office.say(CUSTOMER, kind, &theirs.id, &payload(&theirs));
            assert_eq!(reply["error"]["code"], "NOT_FOUND", "{kind}: {reply}");
            tried += 1;
        }
        for who in [0, 1].into_iter().filter(|who| letter(*who) == b'c') {
            let reply = office.say(who, kind, &theirs.id, &payload(&theirs));
            assert_eq!(reply["error"]["code"], "FORBIDDEN", "{kind}: {reply}");
            tried += 1;
        }
        // A technician leaves alone what another one has. What is not assigned is by a setting, or by the
        // consent of a dispatcher, or its own log.
        let other = ["ticket.request-replacement-order", "ticket.correct-work-log"];
        if letter(TECHNICIAN) == b'c' && !BY_SETTING.contains(kind) && !other.contains(kind) && *life != Life::Never {
            let reply = office.say(TECHNICIAN, kind, &theirs.id, &payload(&theirs));
            assert_eq!(reply["error"]["code"], "FORBIDDEN", "{kind}: {reply}");
            tried += 1;
        }
    }
    assert!(tried > 25, "{tried}");
    // At another site there is neither ticket nor plan, whatever the role.
    let plan = office.at(Life::Draft, false);
    let mut other = Elsewhere::open(office.system);
    for (kind, row, life, payload) in table().iter().filter(|t| t.2 != Life::Nothing) {
        if ["x", "c"].iter().any(|l| row[4..6].contains(l)) || kind.starts_with("maintenance") && *life != Life::Never {
            let on = if kind.starts_with("ticket.") { &theirs } else { &plan };
            let reply = other.say(kind, &on.id, payload(on));
            assert_eq!(reply["error"]["code"], "NOT_FOUND", "{kind}: {reply}");
        }
    }
    // One comment, and the plan.
    assert_eq!(office.position(), before + 2);
}

/// A dispatcher of plant-2 who is a technician and a planner there too.
struct Elsewhere {
    c: Connection,
}

impl Elsewhere {
    fn open(system: &System) -> Elsewhere {
        let mut c = Connection::open(system.addr("mqtt"), Protocol::V5, "dispatcher-9-x", "dispatcher-9", SECRET)
            .expect("a connection");
        assert!(c.subscribe("mw/v1/plant-2/rsp/dispatcher-9/x").expect("a connection") < 0x80);
        Elsewhere { c }
    }

    fn say(&mut self, kind: &str, id: &str, payload: Value) -> Value {
        let command = story::command(kind, id, Some(1), payload);
        let (topic, reply_to) = ("mw/v1/plant-2/cmd/dispatcher-9/after-service", "mw/v1/plant-2/rsp/dispatcher-9/x");
        self.c.publish(topic, command.to_string().as_bytes(), Some((reply_to, b"x"))).expect("a connection");
        loop {
            if let Incoming::Message(m) = self.c.recv(Duration::from_secs(20)).expect("an answer") {
                return serde_json::from_slice(&m.payload).unwrap();
            }
        }
    }
}

#[test]
fn each_role_sees_of_the_service_department_what_the_table_says() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    add_account(&system, "customer-2", &["--role", "customer", "--customer", "globex", "--site", "plant-1"]);
    let mut office = Office::open(&system);
    let seen = office.at(Life::Scheduled, false);
    let inside = office.at(Life::New, true);
    office.at(Life::Active, false);
    let (acme, internal) = (&seen.id, &inside.id);
    // 2: 200; 3: 403; 4: 404, as if it was not there.
    let routes = [
        ("/v1/tickets".to_owned(), "2222222223"),
        (format!("/v1/tickets/{acme}"), "4422222223"),
        (format!("/v1/tickets/{internal}"), "2222224223"),
        (format!("/v1/tickets/{acme}/events"), "4422223223"),
        (format!("/v1/tickets/{internal}/events"), "2222223223"),
        (format!("/v1/tickets/{}", story::new_id()), "4444444443"),
        ("/v1/boards/tickets".to_owned(), "2222223223"),
        ("/v1/queues/technicians/technician-1".to_owned(), "2222223223"),
        ("/v1/sla/at-risk".to_owned(), "2222223223"),
        ("/v1/backlog".to_owned(), "2222223223"),
        ("/v1/my/units".to_owned(), "3333332333"),
        ("/v1/my/tickets".to_owned(), "3333332333"),
        ("/v1/maintenance-plans".to_owned(), "3223223223"),
        ("/v1/parts-usage".to_owned(), "3322223223"),
    ];
    // The models have what is asked for.
    let https: Vec<Http> = WHO.iter().map(|w| Http::login(&system, w)).collect();
    for id in [acme, internal] {
        https[DISPATCHER].eventually(&format!("/v1/tickets/{id}"), |a| a.status == 200);
    }
    https[DISPATCHER].eventually("/v1/maintenance-plans", |a| a.items().len() == 1);
    https[DISPATCHER].eventually(&format!("/v1/tickets/{acme}"), |a| a.json()["state"] == "scheduled");
    for (path, row) in &routes {
        for (who, expected) in row.chars().enumerate() {
            let a = https[who].get(path);
            let status = [200, 403, 404][expected.to_digit(10).unwrap() as usize - 2];
            assert_eq!(a.status, status, "{} {path}: {}", WHO[who], a.text);
            if status != 200 {
                a.problem(status);
            }
        }
    }
    // In lists, operators and line leads see the plant's own only, customers their own only.
    let ids = |http: &Http, path: &str| -> BTreeSet<String> {
        http.get(path).items().iter().map(|t| t["ticket_id"].as_str().unwrap().to_owned()).collect()
    };
    let all = BTreeSet::from([office.master.clone(), acme.clone(), internal.clone()]);
    let of_acme = BTreeSet::from([office.master.clone(), acme.clone()]);
    for (who, expected) in
        [(0, BTreeSet::from([internal.clone()])), (1, BTreeSet::from([internal.clone()])), (5, all), (6, of_acme)]
    {
        assert_eq!(ids(&https[who], "/v1/tickets"), expected, "{}", WHO[who]);
    }
    for path in ["/v1/boards/tickets", "/v1/queues/technicians/technician-1", "/v1/sla/at-risk"] {
        for who in [0, 1] {
            assert!(!https[who].get(path).text.contains(acme.as_str()), "{} {path}", WHO[who]);
        }
        assert!(path.contains("sla") || https[DISPATCHER].get(path).text.contains(acme.as_str()), "{path}");
    }
    // Another customer sees nothing of it.
    let other = Http::login(&system, "customer-2");
    assert_eq!(other.get(&format!("/v1/tickets/{acme}")).problem(404)["status"], 404);
    for path in ["/v1/tickets", "/v1/my/tickets", "/v1/my/units"] {
        assert!(other.get(path).items().is_empty(), "{path}");
    }
    assert_eq!(ids(&https[CUSTOMER], "/v1/my/tickets").len(), 2);
}
