//! Starts that must not succeed say why in one line and exit 2; the first start that is no demo
//! tells the secret of its admin, once.

use std::net::TcpListener;
use std::path::Path;

use mw_blackbox::{Ended, Http, System, program};

const FREE: [&str; 6] = ["--mqtt", "127.0.0.1:0", "--mqtts", "127.0.0.1:0", "--https", "127.0.0.1:0"];

fn up(data: &Path, more: &[&str]) -> Ended {
    program(&[&["up", "--data", &data.to_string_lossy()], more].concat(), &[])
}

/// Exit 2 and one line on standard error that names what is wrong.
fn refused(ended: &Ended, names: &[&str]) {
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(!ended.out.contains("ready"), "{ended:?}");
    assert_eq!(ended.err.trim_end().lines().count(), 1, "one line: {ended:?}");
    for name in names {
        assert!(ended.err.contains(name), "{name:?} is not named: {ended:?}");
    }
}

#[test]
fn a_taken_port_is_one_line_and_exit_2() {
    if !mw_blackbox::system::needs_up("it is about the arguments of `up`") {
        return;
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    for flag in ["--mqtt", "--mqtts", "--https"] {
        let dir = tempfile::tempdir().unwrap();
        let mut args = FREE.to_vec();
        let at = args.iter().position(|a| *a == flag).unwrap();
        args[at + 1] = &addr;
        args.push("--demo");
        refused(&up(dir.path(), &args), &[&addr]);
    }
}

#[test]
fn a_data_directory_in_use_is_one_line_and_exit_2() {
    if !mw_blackbox::system::needs_up("it is about the arguments of `up`") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let second = up(dir.path(), &[&FREE[..], &["--demo"]].concat());
    refused(&second, &[&dir.path().to_string_lossy()]);
    // The first one did not notice.
    assert_eq!(Http::new(&system).get("/readyz").status, 200);
    assert_eq!(system.terminate().0, Some(0));
}

#[test]
fn a_bad_configuration_is_one_line_and_exit_2() {
    if !mw_blackbox::system::needs_up("it is about the arguments of `up`") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("millwright.toml");
    let path = file.to_string_lossy().into_owned();
    let with_file = |text: &str| {
        std::fs::write(&file, text).unwrap();
        up(&dir.path().join("data"), &["--config", &path])
    };
    for bad in ["mqqt = \"127.0.0.1:0\"\n", "mqtt = 1883\n", "mqtt = \"127.0.0.1:0\n"] {
        let ended = with_file(bad);
        assert_eq!(ended.code, Some(2), "{bad:?}: {ended:?}");
        assert!(ended.err.contains("millwright.toml"), "the file is named: {ended:?}");
        assert!(!ended.err.contains("panicked"), "{ended:?}");
    }
    refused(&with_file("mqtt = \"nowhere\"\n"), &["nowhere"]);
    refused(&up(&dir.path().join("data"), &["--config", "/does/not/exist.toml"]), &["/does/not/exist.toml"]);
    refused(&up(&dir.path().join("data"), &["--demo", "--clock", "yesterday"]), &["yesterday"]);

    let flag = up(&dir.path().join("data"), &["--no-such-flag"]);
    assert_eq!(flag.code, Some(2));
    assert!(flag.err.starts_with("error:") && flag.err.contains("--no-such-flag"), "{flag:?}");
    assert!(!dir.path().join("data").exists(), "a start that fails leaves nothing behind");
}

#[test]
fn open_doors_must_be_asked_for() {
    if !mw_blackbox::system::needs_up("it is about the arguments of `up`") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut open_mqtt = FREE.to_vec();
    open_mqtt[1] = "0.0.0.0:0";
    refused(&up(dir.path(), &open_mqtt), &["--insecure-mqtt"]);
    for at in [3, 5] {
        let mut open_demo = FREE.to_vec();
        open_demo[at] = "0.0.0.0:0";
        open_demo.push("--demo");
        refused(&up(dir.path(), &open_demo), &["--insecure-demo"]);
    }
    let mut both = vec!["up", "--demo", "--insecure-demo", "--insecure-mqtt"];
    both.extend(["--mqtt", "0.0.0.0:0", "--mqtts", "0.0.0.0:0", "--https", "0.0.0.0:0"]);
    let system = System::start(dir.path(), &both, &[]);
    assert_eq!(system.listeners.len(), 3);
    assert_eq!(system.terminate().0, Some(0));
}

#[test]
fn a_listener_can_be_turned_off() {
    if !mw_blackbox::system::needs_up("it is about the arguments of `up`") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let args = ["up", "--demo", "--mqtt", "off", "--mqtts", "127.0.0.1:0", "--https", "127.0.0.1:0"];
    let system = System::start(dir.path(), &args, &[]);
    assert!(!system.listeners.contains_key("mqtt"), "{:?}", system.lines);
}

#[test]
fn a_variable_wins_over_the_file_and_a_flag_over_both() {
    if !mw_blackbox::system::needs_up("it is about the arguments of `up`") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("millwright.toml");
    std::fs::write(&file, "demo = true\nmqtt = \"off\"\nmqtts = \"off\"\nhttps = \"127.0.0.1:1\"\n").unwrap();
    let path = file.to_string_lossy().into_owned();
    let system = System::start(
        &dir.path().join("data"),
        &["up", "--config", &path, "--https", "127.0.0.1:0"],
        &[("MILLWRIGHT_MQTT", "127.0.0.1:0"), ("MILLWRIGHT_HTTPS", "127.0.0.1:2")],
    );
    let mut names: Vec<&str> = system.listeners.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["https", "mqtt"], "{:?}", system.lines);
    assert!(system.port("https") > 2, "{:?}", system.lines);
}

#[test]
fn the_first_start_tells_the_secret_of_its_admin_once() {
    if !mw_blackbox::system::needs_up("it is about the arguments of `up`") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let args = [&["up"], &FREE[..]].concat();
    // Everything a person could see, in lines.
    let start = |log: &str| {
        let log = dir.path().join(log);
        let system = System::start_logging(&data, &args, &[], &log);
        let said = format!("{}\n{}", system.lines.join("\n"), std::fs::read_to_string(&log).unwrap());
        (system, said)
    };
    let (system, said) = start("first");
    let http = Http::new(&system);
    let line = said.lines().find(|l| l.contains("admin") && l.contains("secret"));
    let line = line.unwrap_or_else(|| panic!("the secret is not told: {said}"));
    // The secret is the longest word of the line.
    let words = line.split_whitespace().map(|w| w.trim_matches(|c: char| "\"'`:,.;()".contains(c)));
    let secret = words.max_by_key(|w| w.len()).unwrap().to_owned();
    assert!(secret.len() >= 12, "{line}");
    let asked = http.ask_token("admin", &secret);
    assert_eq!(asked.status, 200, "{secret:?} of {line:?} is not the secret: {}", asked.text);
    assert!(http.ask_token("planner-1", mw_blackbox::SECRET).status >= 400, "no demo accounts without a demo");
    assert_eq!(system.terminate().0, Some(0));

    let (system, said) = start("second");
    assert!(!said.contains(&secret), "told twice: {said}");
    assert!(!said.lines().any(|l| l.contains("admin") && l.contains("secret")), "{said}");
    assert_eq!(Http::new(&system).ask_token("admin", &secret).status, 200, "and it is still good");
}
