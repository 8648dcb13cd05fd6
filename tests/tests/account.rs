//! Accounts over the control socket: added, granted, disabled, with a new secret; each takes
//! effect at once everywhere.

use std::time::{Duration, Instant};

use mw_blackbox::commands::Lost;
use mw_blackbox::mosquitto::Protocol;
use mw_blackbox::mqtt::{Connection, Incoming, Refused};
use mw_blackbox::{Commands, Http, SECRET, SITE, System, history, story};
use serde_json::Value;

/// How long a change may take to be known everywhere.
const AT_ONCE: Duration = Duration::from_secs(5);

fn ok(system: &System, args: &[&str], env: &[(&str, &str)]) -> String {
    let ended = system.run_with(args, env);
    assert_eq!(ended.code, Some(0), "{args:?}: {ended:?}");
    ended.out
}

/// Tries until it is so, at most five seconds.
fn within_5_s(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + AT_ONCE;
    while !so() {
        assert!(Instant::now() < deadline, "{what}: not within {AT_ONCE:?}");
        std::thread::yield_now();
    }
}

fn connect(system: &System, protocol: Protocol, account: &str, secret: &str) -> Result<Connection, Refused> {
    Connection::open(system.addr("mqtt"), protocol, &format!("{account}-{protocol:?}"), account, secret)
}

fn is_refused(r: &Result<Connection, Refused>, protocol: Protocol) -> bool {
    match r {
        Err(Refused::Code(code)) if protocol == Protocol::V5 => matches!(code, 0x86 | 0x87),
        Err(Refused::Code(code)) => *code == 5,
        _ => false,
    }
}

/// The account in the answer of `account list --json`.
fn listed(system: &System, account: &str) -> Value {
    let text = ok(system, &["account", "list", "--json"], &[]);
    let list: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("not JSON ({e}): {text}"));
    let items = list.as_array().or_else(|| list["items"].as_array()).expect("a list of accounts").clone();
    let named = |a: &Value| ["account", "name"].iter().any(|k| a[*k] == account);
    items.into_iter().find(named).unwrap_or_else(|| panic!("{account} is not in {text}"))
}

#[test]
fn an_account_is_added_granted_disabled_and_enabled() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let secret = "a-secret-for-a-welder";
    let env = [("MILLWRIGHT_NEW_SECRET", secret)];
    let said = ok(&system, &["account", "add", "welder-1", "--role", "operator", "--site", SITE], &env);
    assert!(!said.contains(secret), "a secret that was given is not printed: {said}");
    let twice = system.run_with(&["account", "add", "welder-1", "--role", "operator"], &env);
    assert!(twice.code != Some(0) && twice.err.contains("welder-1"), "{twice:?}");
    let welder = listed(&system, "welder-1");
    assert!(welder["roles"].to_string().contains("operator") && welder["sites"].to_string().contains(SITE), "{welder}");

    // It may do what operators may and no more, until it is granted more.
    let mut client = Commands::new("welder-1", secret, "shop");
    client.open(system.addr("mqtt")).expect("connects");
    client.rejected(&story::create(&story::new_id(), "bracket-10", 1), "FORBIDDEN");
    ok(&system, &["account", "grant", "welder-1", "--role", "planner"], &[]);
    within_5_s("the grant", || client.call(&story::create(&story::new_id(), "bracket-10", 1))["status"] == "accepted");
    ok(&system, &["account", "revoke", "welder-1", "--role", "planner"], &[]);
    within_5_s("the revocation", || {
        client.call(&story::create(&story::new_id(), "bracket-10", 1))["error"]["code"] == "FORBIDDEN"
    });

    // Disabled: its session ends, its tokens and its secret are refused.
    let http = Http::login_with(&system, "welder-1", secret);
    assert_eq!(http.get("/v1/work-orders").status, 200);
    let refresh = Http::new(&system).ask_token("welder-1", secret).json()["refresh_token"].as_str().unwrap().to_owned();
    let mut old = connect(&system, Protocol::V311, "welder-1", secret).expect("connects");
    let mut new = connect(&system, Protocol::V5, "welder-1", secret).expect("connects");
    ok(&system, &["account", "disable", "welder-1", "--reason", "left the company"], &[]);
    let began = Instant::now();
    within_5_s("401", || http.get("/v1/work-orders").status == 401);
    for c in [&mut old, &mut new] {
        assert!(c.ends(AT_ONCE.saturating_sub(began.elapsed())), "the session goes on");
    }
    let gone = loop {
        match client.take(AT_ONCE) {
            Ok(true) => {}
            Ok(false) => break false,
            Err(Lost) => break true,
        }
    };
    assert!(gone, "the session goes on");
    for protocol in Protocol::BOTH {
        assert!(is_refused(&connect(&system, protocol, "welder-1", secret), protocol));
    }
    let open = Http::new(&system);
    assert!(matches!(open.ask_token("welder-1", secret).status, 400 | 401));
    let renewed = open.form("/v1/token", &[("grant_type", "refresh_token"), ("refresh_token", &refresh)]);
    assert!(matches!(renewed.status, 400 | 401), "{renewed:?}");
    assert_eq!(listed(&system, "welder-1")["disabled"], true);

    ok(&system, &["account", "enable", "welder-1"], &[]);
    assert_eq!(open.ask_token("welder-1", secret).status, 200);

    // All of it is history, and no secret is in it.
    let log = history::all_of(&system, "identity", &[]);
    let welder: Vec<&str> =
        log.iter().filter(|e| e["payload"]["account"] == "welder-1").map(|e| e["type"].as_str().unwrap()).collect();
    let told = ["AccountAdded", "AccountGranted", "AccountRevoked", "AccountDisabled", "AccountEnabled"];
    assert_eq!(welder, told);
    assert!(log.iter().all(|e| !e.to_string().contains(secret) && !e.to_string().contains(SECRET)));
}

#[test]
fn a_new_secret_replaces_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    let open = Http::new(&system);
    let said = ok(&system, &["account", "rotate-secret", "operator-1"], &[]);
    // The secret is the longest word.
    let words = said.split_whitespace().map(|w| w.trim_matches(|c: char| "\"'`:,.;()".contains(c)));
    let secret = words.max_by_key(|w| w.len()).expect("the secret is printed").to_owned();
    assert_eq!(open.ask_token("operator-1", &secret).status, 200, "{secret:?} of {said:?} is not the secret");
    assert!(matches!(open.ask_token("operator-1", SECRET).status, 400 | 401));
    within_5_s("the old secret", || is_refused(&connect(&system, Protocol::V5, "operator-1", SECRET), Protocol::V5));
    assert!(connect(&system, Protocol::V311, "operator-1", &secret).is_ok());

    // A secret of one's own, and one that is too short.
    let chosen = [("MILLWRIGHT_NEW_SECRET", "one-of-my-own-choice")];
    ok(&system, &["account", "rotate-secret", "operator-1"], &chosen);
    assert_eq!(open.ask_token("operator-1", chosen[0].1).status, 200);
    let short = system.run_with(&["account", "rotate-secret", "operator-1"], &[("MILLWRIGHT_NEW_SECRET", "short")]);
    assert!(short.code != Some(0) && !short.err.is_empty(), "{short:?}");
    assert_eq!(open.ask_token("operator-1", chosen[0].1).status, 200);
    let nobody = system.run(&["account", "disable", "nobody-1"]);
    assert!(nobody.code != Some(0) && nobody.err.contains("nobody-1"), "{nobody:?}");
}

#[test]
fn a_wrong_secret_is_refused_at_the_door() {
    let dir = tempfile::tempdir().unwrap();
    let system = System::demo(dir.path());
    for protocol in Protocol::BOTH {
        for (account, secret) in [("planner-1", "not-the-secret"), ("no-such-account", SECRET), ("planner-1", "")] {
            let r = connect(&system, protocol, account, secret);
            assert!(is_refused(&r, protocol), "{account} {secret:?} {protocol:?}: {:?}", r.err());
        }
        // The right one, and a token in its place.
        assert!(connect(&system, protocol, "planner-1", SECRET).is_ok());
        let token = Http::login(&system, "planner-1");
        let mut c = connect(&system, protocol, "planner-1", token.token()).expect("a token is as good as a secret");
        c.ping().unwrap();
        assert!(matches!(c.recv(AT_ONCE), Ok(Incoming::Pong)));
        // A token of another account is not.
        let r = connect(&system, protocol, "lead-1", token.token());
        assert!(is_refused(&r, protocol), "{:?}", r.err());
    }
}
