//! The broker and the production service as two processes that share nothing but MQTT over TLS:
//! commands, replies, events and the log itself cross the boundary, and an acknowledgement is
//! withheld across it.

use std::path::Path;
use std::time::Duration;

use mw_blackbox::commands::Lost;
use mw_blackbox::mosquitto::Protocol;
use mw_blackbox::mqtt::{Connection, Incoming, Message};
use mw_blackbox::{Commands, SITE, System, history, story};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(30);
/// How long an acknowledgement that must not come is waited for.
const LONG_ENOUGH: Duration = Duration::from_secs(2);
const PRODUCTION_SECRET: &str = "the-secret-of-production";
const READER_SECRET: &str = "the-secret-of-a-log-reader";

/// Accounts and reference data for both: the demo plant, made once and copied.
fn prepare(broker: &Path, production: &Path) {
    let (code, _) = System::demo(broker).terminate();
    assert_eq!(code, Some(0));
    copy(broker, production);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (kind, target) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target);
        } else if kind.is_file() {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

struct Plant {
    dir: tempfile::TempDir,
    broker: System,
}

impl Plant {
    fn new() -> Plant {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        prepare(&at("broker"), &at("production"));
        std::fs::write(at("production.secret"), format!("{PRODUCTION_SECRET}\n")).unwrap();
        std::fs::write(at("reader.secret"), format!("{READER_SECRET}\n")).unwrap();
        let config = format!(
            "[service_secrets]\nproduction = {:?}\nprojections = {:?}\n",
            at("production.secret"),
            at("reader.secret")
        );
        std::fs::write(at("broker.toml"), config).unwrap();
        let config = at("broker.toml").to_string_lossy().into_owned();
        let args =
            ["broker", "--config", &config, "--mqtt", "127.0.0.1:0", "--mqtts", "127.0.0.1:0", "--rate-limit", "0"];
        let broker = System::start(&at("broker"), &args, &[]);
        Plant { broker, dir }
    }

    fn start_production(&self) -> System {
        let url = format!("mqtts://localhost:{}", self.broker.port("mqtts"));
        let (ca, secret) = (self.broker.ca(), self.dir.path().join("production.secret"));
        let args =
            ["production", "--broker", &url, "--ca", &ca.to_string_lossy(), "--secret-file", &secret.to_string_lossy()]
                .map(str::to_owned);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        System::start(&self.dir.path().join("production"), &args, &[])
    }

    fn connect(&self, account: &str, secret: &str, client_id: &str) -> Connection {
        Connection::open(self.broker.addr("mqtt"), Protocol::V5, client_id, account, secret)
            .unwrap_or_else(|e| panic!("{account}: {e:?}"))
    }
}

/// Asks for the log over MQTT, from a commit on: (last position, sizes of the commits).
fn read_log(reader: &mut Connection, number: u64, from: u64) -> (u64, Vec<usize>) {
    let request = json!({"v": 1, "reader": "projections", "number": number, "from": from, "limit": 500});
    let chunk = loop {
        reader.publish("mw/v1/-/log/production/req", request.to_string().as_bytes(), None).unwrap();
        let chunk = loop {
            match reader.message(Duration::from_secs(5)) {
                Ok(m) if m.topic.ends_with("/rsp/projections") => break Some(m.payload),
                Ok(_) => {}
                Err(_) => break None,
            }
        };
        if let Some(c) = chunk {
            break c;
        }
    };
    let int = |at: usize| u64::from_be_bytes(chunk[at..at + 8].try_into().unwrap());
    assert_eq!((chunk[0], int(1)), (1, number), "the version of the format and our own number");
    let mut sizes = Vec::new();
    let mut rest = &chunk[25..];
    while !rest.is_empty() {
        let (len, tail) = rest.split_at(4);
        let len = u32::from_be_bytes(len.try_into().unwrap()) as usize;
        sizes.push(len);
        rest = &tail[len..];
    }
    (int(17), sizes)
}

#[test]
fn commands_replies_events_and_the_log_cross_the_boundary() {
    let plant = Plant::new();
    let production = plant.start_production();
    let mut staff = plant.connect("lead-1", mw_blackbox::SECRET, "staff");
    assert!(staff.subscribe(&format!("mw/v1/{SITE}/evt/#")).unwrap() < 0x80);
    let mut reader = plant.connect("projections", READER_SECRET, "reader");
    for topic in ["mw/v1/-/log/production/rsp/projections", "mw/v1/-/log/production/head"] {
        assert!(reader.subscribe(topic).unwrap() < 0x80, "{topic}");
    }

    // A whole order, each command answered and acknowledged by the other process.
    let mut clients = ["planner-1", "operator-1", "lead-1"].map(|account| {
        let mut c = Commands::new(account, mw_blackbox::SECRET, "two");
        c.open(plant.broker.addr("mqtt")).unwrap_or_else(|e| panic!("{account}: {e:?}"));
        (account, c)
    });
    let mut story = story::Story::new("TWO-", 2);
    let mut last = Value::Null;
    let mut promised = Vec::new();
    while let Some(step) = story.next_step() {
        let client = clients.iter_mut().find(|(account, _)| *account == step.account).expect("a client");
        last = client.1.accepted(&step.command);
        assert_eq!(story::events(&last), step.events);
        story.heard(&last);
        promised.extend(history::of_reply(&last));
    }
    let heard: Vec<String> = promised
        .iter()
        .map(|_| {
            let Message { payload, .. } = staff.message(SOON).expect("an event");
            let e: Value = serde_json::from_slice(&payload).unwrap();
            e["id"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(heard, promised, "every event once and in order");

    // The wake-up of the log's readers names the new head …
    let position = story::position(&last);
    loop {
        let m = reader.message(SOON).expect("a wake-up");
        let head = String::from_utf8_lossy(&m.payload).into_owned();
        if m.topic.ends_with("/head") && head.split(' ').nth(1) == Some(&position.to_string()) {
            break;
        }
    }
    // … and the log can be read up to it.
    let (head, first) = read_log(&mut reader, 1, 1);
    assert_eq!(head, position);
    assert!(!first.is_empty() && first.iter().all(|n| *n > 0), "{first:?}");
    let mut commits = first.len() as u64;
    loop {
        let (_, more) = read_log(&mut reader, commits + 1, commits + 1);
        if more.is_empty() {
            break;
        }
        commits += more.len() as u64;
    }
    assert!(commits >= story.len() as u64, "{commits} commits");
    // Nobody else may.
    let mut other = plant.connect("admin", mw_blackbox::SECRET, "curious");
    assert!(other.subscribe("mw/v1/-/log/production/#").unwrap() >= 0x80);

    assert_eq!(production.terminate().0, Some(0));
    let log = history::all(&plant.dir.path().join("production"), "production", &[]);
    assert_eq!(log.last().unwrap()["position"], json!(position));
}

#[test]
fn an_acknowledgement_stays_away_while_production_is_down() {
    let plant = Plant::new();
    let production = plant.start_production();
    let mut planner = Commands::new("planner-1", mw_blackbox::SECRET, "withheld");
    planner.open(plant.broker.addr("mqtt")).expect("connects");
    let id = story::new_id();
    let create = story::create(&id, "bracket-10", 3);
    planner.accepted(&create);
    production.kill();

    let note = story::add_note(&id, "written while nobody decides");
    let note_id = note["command_id"].as_str().unwrap().to_owned();
    planner.publish(&note).unwrap();
    while planner.take(LONG_ENOUGH).unwrap_or_else(|Lost| panic!("closed too early")) {}
    let known = &planner.book[&note_id];
    assert!(known.acked.is_none() && known.reply.is_none(), "nothing was decided: {known:?}");
    // The same connection still answers, so the broker was not merely slow.
    let mut probe = plant.connect("planner-1", mw_blackbox::SECRET, "probe");
    probe.ping().unwrap();
    assert!(matches!(probe.recv(SOON), Ok(Incoming::Pong)));

    // After the restart the acknowledgement comes, or sending it again brings it.
    let production = plant.start_production();
    let waited = loop {
        match planner.take(Duration::from_secs(3)) {
            Ok(true) if planner.book[&note_id].acked.is_some() => break true,
            Ok(true) => {}
            Ok(false) | Err(Lost) => break false,
        }
    };
    if !waited {
        planner.open(plant.broker.addr("mqtt")).expect("connects again");
    }
    let reply = planner.call(&note);
    assert!(reply["error"].is_null(), "{reply}");
    assert_eq!(planner.book[&note_id].acked, Some(0));
    assert_eq!(planner.call(&create)["status"], "duplicate", "what was decided before the kill is known");
    assert_eq!(planner.call(&note)["status"], "duplicate");

    assert_eq!(production.terminate().0, Some(0));
    let log = history::all(&plant.dir.path().join("production"), "production", &[]);
    let by_command = history::by_command(&log);
    assert_eq!(by_command[&note_id].len(), 1, "it acted once");
    let (code, _) = plant.broker.terminate();
    assert_eq!(code, Some(0));
}
