//! The arrows between crates, from cargo's own dependency graph: the two departments never import each
//! other, and deciders import no runtime.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// What each crate depends on, directly or through others; for tests too where `with_tests` says so.
fn graph(with_tests: bool) -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let host = Command::new(rustc).args(["--print", "host-tuple"]).output().expect("rustc runs").stdout;
    let host = String::from_utf8(host).expect("a name");
    // What other platforms need was never fetched for this one.
    let out = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--locked", "--filter-platform", host.trim()])
        .arg("--manifest-path")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .output()
        .expect("cargo runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let metadata: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    let list = |v: &Value| v.as_array().cloned().unwrap_or_default();
    let names: BTreeMap<String, String> = list(&metadata["packages"])
        .iter()
        .map(|p| (p["id"].as_str().unwrap().to_owned(), p["name"].as_str().unwrap().to_owned()))
        .collect();
    let direct: BTreeMap<String, BTreeSet<String>> = list(&metadata["resolve"]["nodes"])
        .iter()
        .map(|n| {
            let used = |d: &&Value| with_tests || list(&d["dep_kinds"]).iter().any(|k| k["kind"] != "dev");
            let deps = list(&n["deps"]);
            let deps = deps.iter().filter(used).map(|d| names[d["pkg"].as_str().unwrap()].clone()).collect();
            (names[n["id"].as_str().unwrap()].clone(), deps)
        })
        .collect();
    let reach = |from: &String| {
        let mut seen = BTreeSet::new();
        let mut todo = vec![from.clone()];
        while let Some(name) = todo.pop() {
            for d in direct.get(&name).into_iter().flatten() {
                if seen.insert(d.clone()) {
                    todo.push(d.clone());
                }
            }
        }
        seen
    };
    direct.keys().map(|k| (k.clone(), reach(k))).collect()
}

const PRODUCTION: &[&str] = &["mw-production", "mw-production-views"];
const AFTER_SERVICE: &[&str] = &["mw-after-service", "mw-after-service-views", "mw-known"];

#[test]
fn neither_department_imports_the_other() {
    // Not even for their tests; only the copy of what production said is tried with the real production.
    for (with_tests, spared) in [(false, None), (true, Some("mw-known"))] {
        no_arrow_between(&graph(with_tests), spared);
    }
}

fn no_arrow_between(graph: &BTreeMap<String, BTreeSet<String>>, spared: Option<&str>) {
    for (mine, theirs) in [(PRODUCTION, AFTER_SERVICE), (AFTER_SERVICE, PRODUCTION)] {
        for name in mine.iter().filter(|n| Some(**n) != spared) {
            let reached = graph.get(*name).unwrap_or_else(|| panic!("there is no crate {name}"));
            assert!(reached.contains("mw-contract"), "{name}: the graph was not read");
            let foreign: Vec<&&str> = theirs.iter().filter(|t| reached.contains(**t)).collect();
            assert!(foreign.is_empty(), "{name} depends on {foreign:?}");
        }
    }
}

#[test]
fn deciders_and_the_policy_know_no_disk_no_socket_and_no_runtime() {
    let graph = graph(false);
    for name in ["mw-production", "mw-after-service", "mw-policy", "mw-calendar"] {
        let reached = &graph[name];
        for never in ["tokio", "sled", "rusqlite", "rumqttc", "rumqttd", "mw-log", "mw-runtime", "mw-projection"] {
            assert!(!reached.contains(never), "{name} depends on {never}");
        }
    }
}
