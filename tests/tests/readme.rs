//! README's tour, line by line, as a new user types it.

use std::process::Command;

use mw_blackbox::System;

/// The shell blocks that are marked as the tour.
fn tour() -> String {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let mut script = String::new();
    let mut inside = false;
    for line in readme.lines() {
        match line {
            "```sh quick-start" => inside = true,
            "```" => inside = false,
            l if inside => {
                script.push_str(l);
                script.push('\n');
            }
            _ => {}
        }
    }
    script
}

#[test]
fn the_tour_of_the_readme_works_as_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("millwright-data");
    let system = System::demo(&data);
    // Only the ports differ: a test takes free ones.
    let script = tour()
        .replace("MQTT=1883", &format!("MQTT={}", system.port("mqtt")))
        .replace("millwright-data/tls/ca.pem", &system.ca().to_string_lossy())
        .replace("localhost:8443", &format!("localhost:{}", system.port("https")));
    assert!(script.lines().count() > 30, "the tour was not found");
    std::fs::create_dir_all(dir.path().join("target/release")).unwrap();
    // The program that the reader has built, on the data of this system.
    let program = dir.path().join("target/release/millwright");
    std::fs::write(&program, format!("#!/bin/sh\n{}\n", system.shell())).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let out = Command::new("bash").args(["-u", "-c", &script]).current_dir(dir.path()).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    let wrong = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{text}\n{wrong}");
    let replies = text.lines().filter(|l| l.starts_with("{\"status\":")).collect::<Vec<_>>();
    assert_eq!(replies.len(), 29, "{text}\n{wrong}");
    assert!(replies.iter().all(|r| r.starts_with("{\"status\":\"accepted\"")), "{text}\n{wrong}");
    for shown in [
        "\"in_warranty\"",
        "\"seal-20\"",
        "\"completed\"",
        "P2-0001",
        "P2-0005",
        "WorkOrderCompleted",
        "\"lead-1\"",
        "signed checkpoint",
    ] {
        assert!(text.contains(shown), "{shown} is not shown: {text}\n{wrong}");
    }
}
