//! History from the command line: replayed, verified, found to be damaged; and `send` and `clock`,
//! which make some.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mw_blackbox::system::Mode;
use mw_blackbox::{Commands, Ended, Http, SECRET, SITE, System, history, program, story};
use serde_json::{Value, json};

/// Runs a story with the planner's, operator's and lead's own clients; gives the replies.
fn run(system: &System, prefix: &str) -> (story::Story, Vec<Value>) {
    let mut story = story::Story::new(prefix, 3);
    let mut clients =
        ["planner-1", "operator-1", "lead-1"].map(|account| (account, Commands::connect(system, account, "audit")));
    let mut replies = Vec::new();
    while let Some(step) = story.next_step() {
        let client = clients.iter_mut().find(|(account, _)| *account == step.account).expect("a client");
        let reply = client.1.accepted(&step.command);
        story.heard(&reply);
        replies.push(reply);
    }
    (story, replies)
}

fn verify(data: &Path, more: &[&str]) -> Ended {
    program(&[&["audit", "verify", "--data", &data.to_string_lossy()], more].concat(), &[])
}

/// Every file below a directory.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut out = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            out.extend(files(&entry.path()));
        } else if entry.file_type().unwrap().is_file() {
            out.insert(entry.path(), std::fs::read(entry.path()).unwrap());
        }
    }
    out
}

/// The first number after the word `position` or `commit`.
fn place(text: &str) -> Option<u64> {
    ["position", "commit"].iter().find_map(|word| {
        text.match_indices(word).find_map(|(at, _)| {
            let rest = text[at + word.len()..].trim_start_matches([' ', ':']);
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        })
    })
}

#[test]
fn a_log_is_verified_running_and_at_rest_and_a_flipped_byte_is_found() {
    if !mw_blackbox::system::needs_up("it damages the files of one data directory") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let (_, replies) = run(&system, "FLIP-");
    let position = story::position(replies.last().unwrap());
    let running = verify(dir.path(), &[]);
    assert_eq!(running.code, Some(0), "{running:?}");
    assert!(running.out.contains("production") && running.out.contains("identity"), "a summary: {running:?}");
    let json_summary = verify(dir.path(), &["--json"]);
    assert_eq!(json_summary.code, Some(0), "{json_summary:?}");
    let summary: Value = serde_json::from_str(&json_summary.out).unwrap_or_else(|e| panic!("{e}: {json_summary:?}"));
    // Process managers go on behind the last reply.
    let events = summary["logs"][0]["events"].as_u64();
    assert!(events >= Some(position), "the head is in {summary}");
    assert_eq!(system.terminate().0, Some(0));

    // At rest, and against the last checkpoint that the clean stop signed.
    let rest = verify(dir.path(), &[]);
    assert_eq!(rest.code, Some(0), "{rest:?}");
    let (checkpoint, key) = (dir.path().join("checkpoints/production"), dir.path().join("keys/checkpoint.pub"));
    let (checkpoint, key) = (checkpoint.to_string_lossy(), key.to_string_lossy());
    let held = verify(dir.path(), &["--checkpoint", &checkpoint, "--key", &key]);
    assert_eq!(held.code, Some(0), "{held:?}");

    // One byte of a serial number, wherever the log holds it.
    let flipped_at = story::position(&replies[3]);
    let logs = dir.path().join("logs/production");
    let mut flips = 0;
    for (path, mut bytes) in files(&logs) {
        let found: Vec<usize> =
            bytes.windows(9).enumerate().filter(|(_, w)| *w == b"FLIP-0002").map(|(at, _)| at).collect();
        for at in &found {
            bytes[at + 5] ^= 0x01;
        }
        if !found.is_empty() {
            std::fs::write(&path, &bytes).unwrap();
            flips += found.len();
        }
    }
    assert!(flips > 0, "the log holds no serial number in the clear: choose another byte");
    let before = files(&logs);
    for _ in 0..2 {
        let damaged = verify(dir.path(), &[]);
        assert_eq!(damaged.code, Some(1), "{damaged:?}");
        let said = format!("{}{}", damaged.err, damaged.out);
        assert!(said.contains("production"), "which log: {said}");
        let place = place(&said).unwrap_or_else(|| panic!("the first bad position is not named: {said}"));
        assert!((1..=flipped_at).contains(&place), "{place} of {flipped_at}: {said}");
    }
    let after = files(&logs);
    for (path, bytes) in &before {
        assert!(after.get(path) == Some(bytes), "{} was altered", path.display());
    }
    assert_eq!(before.len(), after.len(), "files were added");
}

#[test]
fn a_checkpoint_of_another_system_is_not_believed() {
    if !mw_blackbox::system::needs_up("it compares two data directories") {
        return;
    }
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for dir in [&ours, &theirs] {
        assert_eq!(System::demo(dir.path()).terminate().0, Some(0));
    }
    let foreign = theirs.path().join("checkpoints/production");
    let key = theirs.path().join("keys/checkpoint.pub");
    let r = verify(ours.path(), &["--checkpoint", &foreign.to_string_lossy(), "--key", &key.to_string_lossy()]);
    assert_eq!(r.code, Some(1), "{r:?}");
    assert_eq!(verify(ours.path(), &[]).code, Some(0));
}

#[test]
fn replay_shows_what_is_asked_for_running_and_at_rest() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let (first, replies) = run(&system, "RA-");
    let (second, _) = run(&system, "RB-");
    // What process managers make of the registered units has come to rest too.
    let http = Http::login(&system, "planner-1");
    for unit in ["RA", "RB"].iter().flat_map(|p| (1..=3).map(move |n| format!("/v1/units/{p}-000{n}"))) {
        http.eventually(&unit, |a| a.status == 200);
    }
    let all = history::all_of(&system, "production", &[]);
    let replay = |more: &[&str]| history::all_of(&system, "production", more);
    let wanted = |keep: &dyn Fn(&Value) -> bool| all.iter().filter(|e| keep(e)).cloned().collect::<Vec<_>>();
    let at = |e: &Value| e["position"].as_u64().unwrap();

    let one = replay(&["--stream", &format!("work-order/{}", first.id)]);
    assert_eq!(one, wanted(&|e| e["aggregate_id"] == json!(first.id)));
    assert_eq!(one.len() as u64, first.version());
    let ids: Vec<&str> = one.iter().map(|e| e["event_id"].as_str().unwrap()).collect();
    assert_eq!(ids, replies.iter().flat_map(history::of_reply).collect::<Vec<_>>());
    let released = replay(&["--type", "WorkOrderReleased"]);
    assert_eq!(released, wanted(&|e| e["type"] == "WorkOrderReleased"));
    assert_eq!(released.len(), 2);
    let lead = replay(&["--actor", "lead-1"]);
    assert_eq!(lead, wanted(&|e| e["actor"]["sub"] == "lead-1"));
    assert_eq!(lead.len(), 2);
    let (from, to) = (story::position(&replies[1]), story::position(&replies[4]));
    let part = replay(&["--from", &from.to_string(), "--to", &to.to_string()]);
    assert_eq!(part, wanted(&|e| (from..=to).contains(&at(e))));
    assert_eq!(at(&part[0]), from);
    let middle = one.last().unwrap()["recorded_at"].as_str().unwrap();
    let until = replay(&["--until", middle]);
    assert_eq!(until, wanted(&|e| e["recorded_at"].as_str().unwrap() <= middle));
    assert!(until.len() < all.len());
    let both = replay(&["--stream", &format!("work-order/{}", second.id), "--type", "UnitRegistered"]);
    assert_eq!(both.len(), 3);
    assert!(replay(&["--type", "NoteAdded"]).is_empty());

    let table = system.run(&["replay", "--format", "table", "--stream", &format!("work-order/{}", first.id)]);
    assert_eq!(table.code, Some(0), "{table:?}");
    for word in ["WorkOrderCreated", "WorkOrderCompleted", "planner-1"] {
        assert!(table.out.contains(word), "{word} is not in {}", table.out);
    }
    let nonsense = system.run(&["replay", "--context", "gardening"]);
    assert_eq!(nonsense.code, Some(2), "{nonsense:?}");

    // The API gives the same to an auditor's command line.
    let url = format!("https://localhost:{}", system.port("https"));
    let remote = program(
        &[
            "replay",
            "--format",
            "jsonl",
            "--url",
            &url,
            "--ca",
            &system.ca().to_string_lossy(),
            "--account",
            "auditor-1",
        ],
        &[("MILLWRIGHT_SECRET", SECRET)],
    );
    assert_eq!(remote.code, Some(0), "{remote:?}");
    let lines: Vec<Value> = remote.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines, all);

    if Mode::chosen() == Mode::Compose {
        // What a volume holds is asked of the container; at rest there is none.
        return;
    }
    let data = system.data_of("production");
    assert_eq!(system.terminate().0, Some(0));
    assert_eq!(history::all(&data, "production", &[]), all, "at rest it is the same");
}

#[test]
fn send_says_by_its_exit_code_how_it_went() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let plain = format!("mqtt://127.0.0.1:{}", system.port("mqtt"));
    let tls = format!("mqtts://localhost:{}", system.port("mqtts"));
    let ca = system.ca().to_string_lossy().into_owned();
    let (id, command_id) = (story::new_id(), story::new_id());
    let due = format!("due_at={}", story::DUE);
    let fields = ["product_id=bracket-10", "planned_qty=3", "uom=H87", &due];
    let create = [&["work-order.create", "--id", &id, "--command-id", &command_id], &fields[..]].concat();
    let send = |account: &str, how: &[&str], what: &[&str], secret: &str| {
        let args = [&["send"], what, &["--account", account, "--site", SITE], how].concat();
        program(&args, &[("MILLWRIGHT_SECRET", secret)])
    };
    let reply = |e: &Ended| -> Value { serde_json::from_str(&e.out).unwrap_or_else(|x| panic!("{x}: {e:?}")) };

    let first = send("planner-1", &["--mqtt", &plain], &create, SECRET);
    assert_eq!((first.code, &reply(&first)["status"]), (Some(0), &json!("accepted")), "{first:?}");
    assert_eq!(reply(&first)["aggregate_id"], json!(id));
    let again = send("planner-1", &["--mqtt", &tls, "--ca", &ca], &create, SECRET);
    assert_eq!((again.code, &reply(&again)["status"]), (Some(0), &json!("duplicate")), "{again:?}");
    let forbidden = send("operator-1", &["--mqtt", &plain], &[&["work-order.create"], &fields[..]].concat(), SECRET);
    assert_eq!((forbidden.code, &reply(&forbidden)["error"]["code"]), (Some(1), &json!("FORBIDDEN")), "{forbidden:?}");
    let stale = [
        "work-order.plan",
        "--id",
        &id,
        "--expected-version",
        "9",
        "line_id=line-1",
        "planned_start=2030-03-03T08:00:00Z",
        "planned_end=2030-03-03T16:00:00Z",
    ];
    let stale = send("planner-1", &["--mqtt", &plain], &stale, SECRET);
    assert_eq!((stale.code, &reply(&stale)["error"]["code"]), (Some(1), &json!("VERSION_CONFLICT")), "{stale:?}");
    let file = dir.path().join("note.json");
    std::fs::write(&file, json!({"note_id": story::new_id(), "text": "from a file"}).to_string()).unwrap();
    let note = ["work-order.add-note", "--id", &id, "-f", &file.to_string_lossy()].map(str::to_owned);
    let note: Vec<&str> = note.iter().map(String::as_str).collect();
    let noted = send("planner-1", &["--mqtt", &plain], &note, SECRET);
    assert_eq!((noted.code, story::version(&reply(&noted))), (Some(0), 2), "{noted:?}");

    // What could not be sent.
    let nowhere = {
        let l = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("mqtt://{}", l.local_addr().unwrap())
    };
    for (account, how, what, secret) in [
        ("planner-1", vec!["--mqtt", nowhere.as_str()], &create[..], SECRET),
        ("planner-1", vec!["--mqtt", plain.as_str()], &create[..], "not-the-secret"),
        ("planner-1", vec!["--mqtt", tls.as_str()], &create[..], SECRET),
        ("planner-1", vec!["--mqtt", plain.as_str()], &["work-order.explode"][..], SECRET),
    ] {
        let e = send(account, &how, what, secret);
        assert_eq!(e.code, Some(2), "{how:?} {what:?}: {e:?}");
        assert!(e.err.starts_with("millwright: ") && e.out.is_empty(), "{e:?}");
    }
}

#[test]
fn the_demo_clock_is_moved_on() {
    if !mw_blackbox::system::needs_up("services alone keep real time") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo_with(dir.path(), &["--clock", "2026-03-02T08:00:00Z"]);
    let mut planner = Commands::connect(&system, "planner-1", "clock");
    let (before, after) = (story::new_id(), story::new_id());
    planner.accepted(&story::create(&before, "bracket-10", 1));
    let moved = system.run(&["clock", "advance", "8h"]);
    assert_eq!(moved.code, Some(0), "{moved:?}");
    planner.accepted(&story::create(&after, "bracket-10", 1));
    let times = |id: &str| {
        let e = &history::all_of(&system, "production", &["--stream", &format!("work-order/{id}")])[0];
        ["occurred_at", "recorded_at"].map(|k| e[k].as_str().unwrap().to_owned())
    };
    for t in times(&before) {
        assert!(("2026-03-02T08:00:00".."2026-03-02T08:30:00").contains(&t.as_str()), "{t}");
    }
    for t in times(&after) {
        assert!(("2026-03-02T16:00:00".."2026-03-02T16:30:00").contains(&t.as_str()), "{t}");
    }
    // Business time only moves on, and only in a demo with a clock of its own.
    let back = system.run(&["clock", "advance", "yesterday"]);
    assert_eq!(back.code, Some(2), "{back:?}");
    // What is dated after business time is in the future, whatever the real date is.
    let mut early = story::create(&story::new_id(), "bracket-10", 1);
    early["occurred_at"] = json!("2026-03-03T08:00:00.000Z");
    planner.rejected(&early, "CLOCK_SKEW");
}
