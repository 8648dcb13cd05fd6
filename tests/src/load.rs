//! Clients that run orders, with every kind of turn an order can take, while things are broken; and
//! the check of what is left: the log says what the clients were told, each command once, and the
//! read models equal a fold of the replayed log that is made here, from the events alone, without any
//! code of the product.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{Commands, Http, System, history, story};

/// Clients at work.
pub const CLIENTS: usize = 8;
/// How many details and outcomes are fetched one by one at the end.
const SAMPLE: usize = 400;

/// What the clients and the one who breaks things share.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// When commands were settled, and when queries were answered.
    settled: Mutex<Vec<Instant>>,
    answered: Mutex<Vec<Instant>>,
    /// Is more broken than the whole at once?
    faults: bool,
}

struct State {
    /// Where the broker listens; none while it is down.
    addr: Option<SocketAddr>,
    stop: bool,
    failed: bool,
}

impl Shared {
    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    /// Waits until the broker listens.
    fn addr(&self) -> SocketAddr {
        let state = self.state.lock().unwrap();
        let (state, timeout) = self
            .changed
            .wait_timeout_while(state, Duration::from_secs(120), |s| s.addr.is_none() && !s.failed)
            .unwrap();
        assert!(!timeout.timed_out(), "the system did not come back");
        state.addr.expect("another client failed")
    }

    /// Lets the clients work; ends early when one of them fails.
    fn work_for(&self, time: Duration) {
        let state = self.state.lock().unwrap();
        let (state, _) = self.changed.wait_timeout_while(state, time, |s| !s.failed).unwrap();
        let failed = state.failed;
        // Not with the lock held: its poison would hide what the client says.
        drop(state);
        assert!(!failed, "a client failed");
    }

    fn stopped(&self) -> bool {
        let state = self.state.lock().unwrap();
        state.stop || state.failed
    }
}

/// Says that a client failed when it panics.
struct Alarm<'a>(&'a Shared);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.set(|s| s.failed = true);
        }
    }
}

/// The same turns in every run: xorshift.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.roll(n) == 0
    }
}

/// What a client was told of one command.
pub struct Told {
    id: String,
    events: Vec<String>,
    refused: bool,
}

struct Client<'a> {
    shared: &'a Shared,
    planner: Commands,
    lead: Commands,
    dice: Dice,
    told: Vec<Told>,
    resent: usize,
}

impl Client<'_> {
    /// Sends until it is settled, over as many connections as that takes.
    fn send(&mut self, command: &Value, as_planner: bool) -> Value {
        let client = if as_planner { &mut self.planner } else { &mut self.lead };
        let mut again = false;
        let reply = loop {
            match client.try_call(command) {
                Ok(reply) => break reply,
                Err(_) => {
                    again = true;
                    let deadline = Instant::now() + Duration::from_secs(120);
                    // The broker may be killed again, or not listen yet, while we connect.
                    while client.open(self.shared.addr()).is_err() {
                        assert!(Instant::now() < deadline, "could not connect again");
                        std::thread::yield_now();
                    }
                }
            }
        };
        self.shared.settled.lock().unwrap().push(Instant::now());
        self.resent += usize::from(again);
        // A service that was killed is given again what it had decided: its first answer may be lost.
        assert!(again || self.shared.faults || reply["status"] != "duplicate", "sent once, and already known: {reply}");
        // Only what was settled is in the end of interest; the books would hold every reply.
        client.book.clear();
        self.told.push(Told {
            id: command["command_id"].as_str().unwrap().to_owned(),
            events: history::of_reply(&reply),
            refused: !reply["error"].is_null(),
        });
        reply
    }

    /// What must succeed; gives the version after it.
    fn ok(&mut self, command: &Value, as_planner: bool) -> u64 {
        let reply = self.send(command, as_planner);
        assert!(reply["error"].is_null(), "{command} was answered {reply}");
        story::version(&reply)
    }

    fn plan(&mut self, command: &Value) -> u64 {
        self.ok(command, true)
    }

    fn lead(&mut self, command: &Value) -> u64 {
        self.ok(command, false)
    }

    /// What must be refused.
    fn no(&mut self, command: &Value, code: &str) {
        let reply = self.send(command, false);
        assert_eq!(reply["error"]["code"], code, "{command} was answered {reply}");
    }

    /// One order, to whatever end the dice bring it to.
    fn order(&mut self) {
        let id = story::new_id();
        let qty = 2 + self.dice.roll(5) as u32;
        let mut v = self.plan(&story::create(&id, "bracket-10", qty));
        v = self.plan(&story::plan(&id, v));
        if self.dice.one_in(8) {
            self.plan(&story::cancel(&id, v));
            return;
        }
        self.plan(&story::release(&id, v));
        let mut session = story::new_id();
        v = self.lead(&story::start_operation(&id, 10, "cell-1", &session));
        let mut left = qty;
        while left > 0 && !self.shared.stopped() {
            match self.dice.roll(10) {
                0 => self.no(&story::report(&id, 10, left + 1, 0), "GUARD_FAILED"),
                1 => self.no(&story::hold(&id, v.saturating_sub(1)), "VERSION_CONFLICT"),
                2 => v = self.lead(&story::add_note(&id, "as good as it gets")),
                3 => {
                    self.lead(&story::pause_operation(&id, 10, &session));
                    session = story::new_id();
                    v = self.lead(&story::resume_operation(&id, 10, &session));
                }
                4 => {
                    v = self.lead(&story::hold(&id, v));
                    self.lead(&story::resume(&id, v));
                    session = story::new_id();
                    v = self.lead(&story::resume_operation(&id, 10, &session));
                }
                5 => {
                    v = self.lead(&story::report(&id, 10, 0, 1));
                    left -= 1;
                }
                _ => {
                    let n = 1 + self.dice.roll(u64::from(left)) as u32;
                    v = self.lead(&story::report(&id, 10, n, 0));
                    left -= n;
                }
            }
        }
        if left == 0 && !self.dice.one_in(10) {
            v = self.lead(&story::complete_operation(&id, 10, false));
            self.lead(&story::complete(&id, v));
        }
    }
}

fn client(shared: &Shared, n: usize) -> (Vec<Told>, usize) {
    let _alarm = Alarm(shared);
    let mut c = Client {
        shared,
        planner: Commands::new("planner-1", crate::SECRET, &format!("load-{n}")),
        lead: Commands::new("lead-1", crate::SECRET, &format!("load-{n}")),
        dice: Dice(0x9E37_79B9_7F4A_7C15 ^ (n as u64 + 1)),
        told: Vec::new(),
        resent: 0,
    };
    for c in [&mut c.planner, &mut c.lead] {
        c.open(shared.addr()).unwrap_or_else(|e| panic!("client {n}: {e:?}"));
    }
    while !shared.stopped() {
        c.order();
    }
    (c.told, c.resent)
}

/// One order, folded from its events by the rules that the domain model states.
#[derive(Default, Debug)]
struct Folded {
    state: &'static str,
    version: u64,
    planned: i64,
    good: BTreeMap<u64, i64>,
    scrap: i64,
    last_op: u64,
}

fn whole(v: &Value) -> i64 {
    v.as_str().and_then(|s| s.parse().ok()).unwrap_or_else(|| panic!("not a whole quantity: {v}"))
}

fn state_named(v: &Value) -> &'static str {
    match v.as_str() {
        Some("released") => "released",
        Some("in_progress") => "in_progress",
        _ => panic!("resumed to {v}"),
    }
}

impl Folded {
    fn apply(&mut self, e: &Value) {
        let p = &e["payload"];
        self.version += 1;
        assert_eq!(e["version"], self.version, "versions have no gaps: {e}");
        match e["type"].as_str().unwrap() {
            "WorkOrderCreated" => {
                self.state = "draft";
                self.planned = whole(&p["planned_qty"]);
                let ops = p["routing"].as_array().map(|r| r.iter().filter_map(|o| o["op"].as_u64()).max());
                self.last_op = ops.flatten().unwrap_or(10);
            }
            "WorkOrderPlanned" => self.state = "planned",
            "WorkOrderReleased" => self.state = "released",
            "WorkOrderStarted" => self.state = "in_progress",
            "WorkOrderHeld" => self.state = "on_hold",
            "WorkOrderResumed" => self.state = state_named(&p["to_state"]),
            "WorkOrderCompleted" => self.state = "completed",
            "WorkOrderCancelled" => self.state = "cancelled",
            "OperationQuantityReported" => {
                *self.good.entry(p["op"].as_u64().unwrap()).or_default() += whole(&p["good"]);
                self.scrap += p["scrap"].as_array().map_or(0, |l| l.iter().map(|s| whole(&s["qty"])).sum());
            }
            "OperationStarted" | "OperationPaused" | "OperationResumed" | "OperationCompleted" | "NoteAdded"
            | "SerialsAllocated" | "UnitRegistered" => {}
            other => panic!("no command of this test makes {other}"),
        }
    }

    /// The columns of the list that follow.
    fn row(&self) -> Value {
        let good = self.good.get(&self.last_op).copied().unwrap_or(0);
        json!({
            "state": self.state,
            "version": self.version,
            "planned_qty": self.planned.to_string(),
            "good": good.to_string(),
            "scrap": self.scrap.to_string(),
            "remaining": (self.planned - good - self.scrap).max(0).to_string(),
        })
    }
}

/// The orders of the log, the events of each command, and the last position.
type Fold = (HashMap<String, Folded>, HashMap<String, Vec<String>>, u64);

fn fold(system: &System) -> Fold {
    let mut orders: HashMap<String, Folded> = HashMap::new();
    let mut by_command: HashMap<String, Vec<String>> = HashMap::new();
    let mut position = 0;
    history::replay_of(system, "production", &[], |e| {
        position += 1;
        assert_eq!(e["position"], position, "positions have no gaps");
        let text = |name: &str| e[name].as_str().unwrap_or_else(|| panic!("no {name} in {e}")).to_owned();
        by_command.entry(text("command_id")).or_default().push(text("event_id"));
        if e["aggregate_type"] == "work-order" {
            orders.entry(text("aggregate_id")).or_default().apply(&e);
        }
    });
    (orders, by_command, position)
}

/// Evenly spread over what there is.
fn sample<T>(all: &[T]) -> impl Iterator<Item = &T> {
    all.iter().step_by(all.len() / SAMPLE + 1)
}

/// Eight clients at work on a system, and one who looks.
pub struct Load<'a> {
    shared: &'a Shared,
}

/// What became of it.
pub struct Done {
    /// Everything that clients were told.
    pub told: Vec<Told>,
    /// Commands that were sent again.
    pub resent: usize,
}

/// How long there was no service around a fault: the longest time between two settled commands, and
/// between two answered queries.
#[derive(Clone, Copy, Debug)]
pub struct Gaps {
    /// Commands.
    pub commands: Duration,
    /// Queries.
    pub queries: Duration,
}

fn longest(times: &[Instant], from: Instant) -> Duration {
    let before = times.iter().rev().find(|t| **t <= from).copied().unwrap_or(from);
    let mut all: Vec<Instant> = times.iter().copied().filter(|t| *t > from).collect();
    all.sort_unstable();
    let mut longest = Duration::ZERO;
    let mut last = before.max(from);
    for t in all {
        longest = longest.max(t - last);
        last = t;
    }
    longest
}

impl Load<'_> {
    /// Says where the broker is now; `None` while it is down.
    pub fn broker_at(&self, addr: Option<SocketAddr>) {
        self.shared.set(|s| s.addr = addr);
    }

    /// Lets the clients work; ends early, with a panic, when one of them fails.
    pub fn work_for(&self, time: Duration) {
        self.shared.work_for(time);
    }

    /// Waits until so many more commands are settled.
    pub fn settle(&self, more: usize, within: Duration) {
        let from = self.shared.settled.lock().unwrap().len();
        let began = Instant::now();
        while self.shared.settled.lock().unwrap().len() < from + more {
            assert!(began.elapsed() < within, "no {more} commands were settled within {within:?}");
            self.shared.work_for(Duration::from_millis(20));
        }
    }

    /// Waits until so many more queries are answered.
    pub fn answer(&self, more: usize, within: Duration) {
        let from = self.shared.answered.lock().unwrap().len();
        let began = Instant::now();
        while self.shared.answered.lock().unwrap().len() < from + more {
            assert!(began.elapsed() < within, "no {more} queries were answered within {within:?}");
            self.shared.work_for(Duration::from_millis(20));
        }
    }

    /// Breaks something, waits until commands and queries flow again, and tells how long they did not.
    pub fn fault(&self, fault: impl FnOnce()) -> Gaps {
        let began = Instant::now();
        fault();
        self.settle(100, Duration::from_secs(120));
        self.answer(20, Duration::from_secs(120));
        Gaps {
            commands: longest(&self.shared.settled.lock().unwrap(), began),
            queries: longest(&self.shared.answered.lock().unwrap(), began),
        }
    }
}

/// Asks for the list again and again, as a dashboard does.
fn look(shared: &Shared, mut http: Http, account: &str) {
    let _alarm = Alarm(shared);
    while !shared.stopped() {
        match http.try_get("/v1/work-orders?limit=1") {
            Some(a) if a.status == 200 => shared.answered.lock().unwrap().push(Instant::now()),
            // The token has ended, or could not be had again yet.
            Some(a) if a.status == 401 => drop(http.try_login(account)),
            _ => std::thread::yield_now(),
        }
    }
}

/// Runs `work` while eight clients send to the broker at `addr`. With a `looker`, who asks the API
/// meanwhile, parts are broken one by one and not everything at once.
pub fn run(addr: SocketAddr, looker: Option<Http>, work: impl FnOnce(&Load<'_>)) -> Done {
    let shared = Shared {
        state: Mutex::new(State { addr: Some(addr), stop: false, failed: false }),
        changed: Condvar::new(),
        settled: Mutex::default(),
        answered: Mutex::default(),
        faults: looker.is_some(),
    };
    let parts: Vec<(Vec<Told>, usize)> = std::thread::scope(|s| {
        let shared = &shared;
        let clients: Vec<_> = (0..CLIENTS).map(|n| s.spawn(move || client(shared, n))).collect();
        if let Some(http) = looker {
            s.spawn(move || look(shared, http, "planner-1"));
        }
        let _alarm = Alarm(shared);
        work(&Load { shared });
        shared.set(|s| s.stop = true);
        clients.into_iter().map(|c| c.join().expect("a client")).collect()
    });
    let resent = parts.iter().map(|(_, n)| n).sum();
    Done { told: parts.into_iter().flat_map(|(t, _)| t).collect(), resent }
}

/// The log says what the clients were told, and the read models say what the log says.
pub fn check(system: &System, done: &Done) -> u64 {
    let (orders, by_command, head) = fold(system);
    for t in &done.told {
        let stored = by_command.get(&t.id).map(Vec::as_slice).unwrap_or_default();
        assert_eq!(stored, t.events, "command {}", t.id);
        assert_eq!(t.refused, t.events.is_empty(), "command {}", t.id);
    }
    println!("{} commands, {} orders, {head} events, {} sent again", done.told.len(), orders.len(), done.resent);
    assert!(orders.len() > CLIENTS, "only {} orders", orders.len());

    // The list says what the fold says.
    let http = Http::login(system, "planner-1");
    let first = format!("/v1/work-orders?min_position={head}&limit=1");
    http.eventually(&first, |a| a.status == 200);
    let rows = http.list("/v1/work-orders?limit=500");
    assert_eq!(rows.len(), orders.len());
    let expected = |id: &Value| {
        let id = id.as_str().expect("an id");
        orders.get(id).unwrap_or_else(|| panic!("the log has no order {id}")).row()
    };
    let part = |whole: &Value, of: &Value| -> Value {
        of.as_object().unwrap().keys().map(|k| (k.clone(), whole[k].clone())).collect::<serde_json::Map<_, _>>().into()
    };
    for row in &rows {
        let wanted = expected(&row["id"]);
        assert_eq!(part(row, &wanted), wanted, "{row}");
    }
    // So do the documents.
    for row in sample(&rows) {
        let id = row["id"].as_str().unwrap();
        let document = http.get(&format!("/v1/work-orders/{id}")).json();
        let wanted = expected(&row["id"]);
        assert_eq!(part(&document, &wanted), wanted, "{document}");
    }
    // And every command has its outcome.
    let lead = Http::login(system, "lead-1");
    for t in sample(&done.told) {
        let a = lead.eventually(&format!("/v1/commands/{}", t.id), |a| a.status == 200);
        let outcome = a.json();
        assert_eq!(outcome["status"], if t.refused { "rejected" } else { "accepted" }, "{outcome}");
        assert_eq!(history::of_reply(&outcome), t.events);
    }
    head
}
