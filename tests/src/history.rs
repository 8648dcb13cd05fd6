//! `millwright replay --format jsonl`, read line by line.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::System;
use crate::system::binary;

/// Gives every event of a context to `each`, in position order. Works on a running system, through
/// its control socket, and on one at rest.
pub fn replay(data: &Path, context: &str, more: &[&str], each: impl FnMut(Value)) {
    let mut command = Command::new(binary());
    command.args(["replay", "--context", context, "--format", "jsonl", "--data"]).arg(data).args(more);
    read(command.env("RUST_LOG", "off"), context, each);
}

/// The same of a running system, wherever its data is.
pub fn replay_of(system: &System, context: &str, more: &[&str], each: impl FnMut(Value)) {
    let args = [&["replay", "--context", context, "--format", "jsonl"], more].concat();
    read(&mut system.command(&args), context, each);
}

/// All of a running system.
pub fn all_of(system: &System, context: &str, more: &[&str]) -> Vec<Value> {
    let mut events = Vec::new();
    replay_of(system, context, more, |e| events.push(e));
    events
}

fn read(command: &mut Command, context: &str, mut each: impl FnMut(Value)) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the program starts");
    let out = child.stdout.take().expect("its standard output");
    for line in BufReader::new(out).lines() {
        let line = line.expect("a line of the replay");
        each(serde_json::from_str(&line).unwrap_or_else(|e| panic!("not JSON ({e}): {line}")));
    }
    let status = child.wait().expect("wait");
    assert!(status.success(), "replay of {context} ended with {status}");
}

/// All of them.
pub fn all(data: &Path, context: &str, more: &[&str]) -> Vec<Value> {
    let mut events = Vec::new();
    replay(data, context, more, |e| events.push(e));
    events
}

/// The ids of the events of each command.
pub fn by_command(events: &[Value]) -> HashMap<String, Vec<String>> {
    let mut out: HashMap<String, Vec<String>> = HashMap::new();
    for e in events {
        let text = |name: &str| e[name].as_str().unwrap_or_else(|| panic!("no {name} in {e}")).to_owned();
        out.entry(text("command_id")).or_default().push(text("event_id"));
    }
    out
}

/// The event ids that a reply names.
pub fn of_reply(reply: &Value) -> Vec<String> {
    let list = reply["events"].as_array().cloned().unwrap_or_default();
    list.iter().map(|e| e["event_id"].as_str().unwrap_or_default().to_owned()).collect()
}
