//! Personal data is erased, and neither a restart nor a backup brings it back.

use std::path::Path;

use mw_blackbox::system::Mode;
use mw_blackbox::{Commands, Http, System, history, program, story};
use serde_json::{Value, json};

const SECRET_TEXT: &str = "Mrs Miller rang, 0171 555 4321";

fn erased() -> Value {
    json!({"erased": true})
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for e in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(e.file_name());
        if e.file_type().unwrap().is_dir() {
            copy(&e.path(), &to);
        } else {
            std::fs::copy(e.path(), to).unwrap();
        }
    }
}

/// Notes of two authors on a new order; gives its path in the API.
fn noted(system: &System) -> String {
    let id = story::new_id();
    Commands::connect(system, "planner-1", "data").accepted(&story::create(&id, "bracket-10", 2));
    let mut position = 0;
    for (account, text) in [("planner-1", SECRET_TEXT), ("operator-1", "it squeaks")] {
        let reply = Commands::connect(system, account, "data").accepted(&story::add_note(&id, text));
        position = story::position(&reply);
    }
    format!("/v1/work-orders/{id}?min_position={position}")
}

fn texts(order: &Value) -> Vec<Value> {
    order["notes"].as_array().unwrap().iter().map(|n| n["text"].clone()).collect()
}

/// Erases the planner, and waits until it shows.
fn erase(system: &System, http: &Http, path: &str) {
    let said = system.run(&["account", "erase-subject", "--account", "planner-1", "--reason", "case 7"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    http.eventually(path, |a| texts(&a.json()) == [erased(), json!("it squeaks")]);
}

#[test]
fn what_was_erased_is_gone_from_every_answer_and_a_vault_that_is_put_back_changes_nothing() {
    if !mw_blackbox::system::needs_up("it copies the files of one data directory") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let path = noted(&system);
    let http = Http::login(&system, "planner-1");
    assert_eq!(texts(&http.get(&path).json()), [json!(SECRET_TEXT), json!("it squeaks")]);
    let backup = dir.path().join("backup");
    copy(&dir.path().join("vault"), &backup);
    erase(&system, &http, &path);

    let auditor = Http::login(&system, "auditor-1");
    let audit = auditor.get("/v1/audit/events?type=NoteAdded&limit=500");
    assert!(audit.text.contains("erased") && audit.text.contains("it squeaks") && !audit.text.contains("Miller"));
    let told = history::all_of(&system, "identity", &["--type", "SubjectErased"]);
    assert_eq!(told[0]["payload"]["account"], "planner-1");
    let notes = history::all_of(&system, "production", &["--type", "NoteAdded"]);
    assert!(notes.iter().all(|n| n["payload"]["text"] == json!({"sealed": true})), "{notes:?}");
    let refused = system.run(&["account", "erase-subject", "--account", "nobody-1"]);
    assert!(refused.code == Some(1) && refused.err.contains("nobody-1"), "{refused:?}");
    let customer = system.run(&["account", "erase-subject", "--customer", "no-such"]);
    assert!(customer.code == Some(0) && customer.err.contains("no-such"), "{customer:?}");
    // Who comes back is readable again.
    let later = noted(&system);
    assert_eq!(system.terminate().0, Some(0));

    let data = dir.path().to_string_lossy().into_owned();
    let verified = program(&["audit", "verify", "--data", &data], &[]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    copy(&backup, &dir.path().join("vault"));
    let system = System::demo(dir.path());
    let http = Http::login(&system, "planner-1");
    assert_eq!(texts(&http.get(&path).json()), [erased(), json!("it squeaks")]);
    assert_eq!(texts(&http.get(&later).json()), [json!(SECRET_TEXT), json!("it squeaks")]);
    assert_eq!(system.terminate().0, Some(0));
}

#[test]
fn a_service_that_was_down_and_comes_back_with_an_old_disk_opens_nothing_that_was_erased() {
    if !mw_blackbox::system::needs_up("it starts services of its own") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut system = System::demo_as(Mode::Services, dir.path(), &["--rate-limit", "0"]);
    let path = noted(&system);
    let http = Http::login(&system, "planner-1");
    http.eventually(&path, |a| texts(&a.json()) == [json!(SECRET_TEXT), json!("it squeaks")]);
    system.stop_service("production");
    let volume = system.data_of("production");
    let backup = dir.path().join("backup");
    copy(&volume, &backup);
    let said = system.run(&["account", "erase-subject", "--account", "planner-1"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    system.start_service("production");
    http.eventually(&path, |a| texts(&a.json()) == [erased(), json!("it squeaks")]);

    // All of its disk is put back, the copy of the accounts and the list of what is erased too.
    system.stop_service("production");
    std::fs::remove_dir_all(&volume).unwrap();
    copy(&backup, &volume);
    system.start_service("production");
    let open = |a: &mw_blackbox::http::Answer| {
        assert!(!a.text.contains("Miller"), "{}", a.text);
        texts(&a.json()) == [erased(), json!("it squeaks")]
    };
    http.eventually(&path, open);
    assert_eq!(system.terminate().0, Some(0));
}
