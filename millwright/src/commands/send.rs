//! `millwright send`: one command over MQTT. Exit 0 accepted or duplicate, 1 rejected, 2 not sent.

use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use mw_contract::{CommandType, ReplyStatus};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::cli::SendArgs;
use crate::client;

/// Sends it.
pub fn run(args: &SendArgs) -> Result<ExitCode> {
    let command: CommandType = args.command_type.parse().map_err(|e: String| anyhow::anyhow!("command type {e}"))?;
    let command_id = match &args.command_id {
        Some(id) => id.parse().with_context(|| format!("--command-id {id}"))?,
        None => Uuid::now_v7(),
    };
    let mut envelope = json!({"command_id": command_id, "type": command, "payload": payload(args)?});
    if let Some(id) = &args.id {
        envelope["aggregate_id"] = json!(id);
    } else if makes(command) {
        envelope["aggregate_id"] = json!(Uuid::now_v7());
    }
    if let Some(v) = args.expected_version {
        envelope["expected_version"] = json!(v);
    }
    if let Some(t) = &args.occurred_at {
        envelope["occurred_at"] = json!(t);
    }
    let timeout = Duration::from_secs(args.timeout.max(1));
    let sent =
        super::block_on(client::send(&args.remote, command.context(), envelope.to_string().into_bytes(), timeout))?;
    match sent {
        Ok(reply) => {
            // Who reads only its beginning has closed the pipe by now.
            let _ = writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&reply)?);
            Ok(if reply.status == ReplyStatus::Rejected { ExitCode::from(1) } else { ExitCode::SUCCESS })
        }
        Err(e) => {
            eprintln!("millwright: {e:#}");
            eprintln!("millwright: command_id {command_id}");
            Ok(ExitCode::from(2))
        }
    }
}

/// Does it begin something that a client names?
fn makes(command: CommandType) -> bool {
    use CommandType as C;
    matches!(command, C::WorkOrderCreate | C::TicketOpen | C::MaintenancePlanCreate)
}

fn payload(args: &SendArgs) -> Result<Value> {
    if let Some(path) = &args.file {
        let text = if path.as_os_str() == "-" {
            let mut s = String::new();
            std::io::stdin().read_to_string(&mut s)?;
            s
        } else {
            std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?
        };
        return serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()));
    }
    let mut map = Map::new();
    for f in &args.fields {
        let Some((k, v)) = f.split_once('=') else { bail!("{f:?}: write a field as key=value") };
        // 5, true, [..] and {..} are JSON; anything else is text.
        let value = serde_json::from_str(v).unwrap_or_else(|_| Value::String(v.to_owned()));
        map.insert(k.to_owned(), value);
    }
    Ok(Value::Object(map))
}
