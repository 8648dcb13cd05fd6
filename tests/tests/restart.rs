//! SIGKILL in the middle of the work: whatever was acknowledged or answered is there after the
//! restart, and sending everything again changes nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mw_blackbox::commands::Lost;
use mw_blackbox::{Commands, Http, System, history, story};
use serde_json::{Value, json};

/// How many commands must be settled before each kill.
const BEFORE_KILL: usize = 400;
/// Clients at once.
const CLIENTS: usize = 4;

fn demo(dir: &std::path::Path) -> System {
    System::demo_with(dir, &["--rate-limit", "0"])
}

/// An endless mix of commands: orders, notes on them, and some that are refused for good.
fn next_command(n: usize, orders: &mut Vec<String>) -> Value {
    match n % 4 {
        0 => {
            let id = story::new_id();
            orders.push(id.clone());
            story::create(&id, "bracket-10", 3)
        }
        3 => story::add_note(&story::new_id(), "a note on an order that nobody made"),
        _ => story::add_note(&orders[orders.len() / 2], &format!("note {n}")),
    }
}

/// Keeps a window of commands in flight until the broker is gone.
fn load(client: &mut Commands, orders: &mut Vec<String>, settled: &AtomicUsize) {
    let window = client.window().min(32);
    let mut n = 0;
    let result: Result<(), Lost> = (|| {
        loop {
            while client.in_flight() < window {
                client.publish(&next_command(n, orders))?;
                n += 1;
            }
            client.take(Duration::from_secs(30))?;
            settled.store(client.settled(), Ordering::Relaxed);
        }
    })();
    assert!(result.is_err());
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_acts_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = demo(dir.path());
    // The planner may send all of these.
    let mut clients: Vec<Commands> =
        (0..CLIENTS).map(|i| Commands::connect(&running, "planner-1", &format!("load-{i}"))).collect();
    let mut orders: Vec<Vec<String>> = vec![Vec::new(); CLIENTS];

    for round in 1..=3 {
        let counts: Vec<_> = (0..CLIENTS).map(|_| AtomicUsize::new(0)).collect();
        let before: usize = clients.iter().map(Commands::settled).sum();
        std::thread::scope(|s| {
            for ((client, orders), count) in clients.iter_mut().zip(&mut orders).zip(&counts) {
                s.spawn(move || load(client, orders, count));
            }
            let deadline = Instant::now() + Duration::from_secs(60);
            let sum = || counts.iter().map(|c| c.load(Ordering::Relaxed)).sum::<usize>();
            while sum() < before + BEFORE_KILL {
                assert!(Instant::now() < deadline, "round {round}: only {} of {BEFORE_KILL} settled", sum() - before);
                std::thread::yield_now();
            }
            // The clients see their connections break and return.
            running.kill();
        });
        running = demo(dir.path());
        check_outcomes(&running, &clients);
        for c in &mut clients {
            c.open(running.addr("mqtt")).unwrap_or_else(|e| panic!("after the restart: {e:?}"));
        }
    }

    // Everything again, in whatever state it was left: settled commands are duplicates, the
    // others act now or had acted unseen.
    let mut firsts: HashMap<String, Value> = HashMap::new();
    for client in &mut clients {
        let ids: Vec<String> = client.book.keys().cloned().collect();
        for id in ids {
            let known = client.book[&id].clone();
            let reply = client.call(&known.command);
            if known.is_settled() {
                assert_eq!(reply["status"], "duplicate", "{known:?}");
            }
            if let Some(first) = &known.reply {
                assert_eq!(reply["events"], first["events"], "the first outcome is given again");
                assert_eq!(reply["error"]["code"], first["error"]["code"]);
            }
            firsts.insert(id, reply);
        }
    }

    // And in the log each acted exactly as its reply says.
    let log = history::all_of(&running, "production", &[]);
    let positions: Vec<u64> = log.iter().map(|e| e["position"].as_u64().unwrap()).collect();
    assert_eq!(positions, (1..=log.len() as u64).collect::<Vec<_>>(), "positions have no gaps");
    let by_command = history::by_command(&log);
    for (id, reply) in &firsts {
        let stored = by_command.get(id).cloned().unwrap_or_default();
        assert_eq!(stored, history::of_reply(reply), "command {id} was answered {reply}");
        assert_eq!(stored.len(), usize::from(reply["error"].is_null()), "each of these makes one event or none");
    }
}

/// Every settled command has the outcome that its client was told.
fn check_outcomes(system: &System, clients: &[Commands]) {
    let http = Http::login(system, "planner-1");
    for (id, known) in clients.iter().flat_map(|c| &c.book).filter(|(_, k)| k.is_settled()) {
        let a = http.eventually(&format!("/v1/commands/{id}"), |a| a.status == 200);
        let outcome = a.json();
        assert_eq!(outcome["command_id"], json!(id));
        match &known.reply {
            Some(reply) if reply["status"] != "duplicate" => assert_eq!(&outcome, reply),
            _ => assert!(matches!(outcome["status"].as_str(), Some("accepted" | "rejected")), "{outcome}"),
        }
    }
}
