//! Plays a history through the ordinary way of commands: each is sent as the account that would
//! have sent it, at the business time at which it would have.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use mw_contract::{AccountName, CommandId, ErrorCode, Instant, Reply, SiteId};
use mw_runtime::{BusinessClock, CommandService};
use serde_json::json;
use uuid::Uuid;

use super::history::{Act, acts};
use crate::commands;

/// How many times a command is decided again because a process manager was faster.
const TRIES: u32 = 5;

/// What came of it.
#[derive(Debug, Default)]
pub struct Played {
    /// Commands that were accepted.
    pub accepted: usize,
    /// Commands that were refused, as happens in a plant.
    pub refused: usize,
}

/// Plays what happened before `end`. The clock must stand where the history begins; it ends at
/// `end`. `settled` waits until the process managers have done what the last commands ask of them.
///
/// # Errors
/// The service has stopped.
pub async fn play(
    services: &[Arc<CommandService>],
    clock: &BusinessClock,
    end: Instant,
    settled: impl AsyncFn(),
) -> Result<Played> {
    let site: SiteId = "plant-1".parse()?;
    let all = acts(end);
    let mut progress = commands::bar("commands of the plant's history", all.len() as u64);
    let mut versions: HashMap<Uuid, u64> = HashMap::new();
    let mut played = Played::default();
    for (number, act) in all.iter().enumerate() {
        clock.advance_to(act.at);
        if act.after_processes {
            settled().await;
        }
        let mut reply = send(services, &site, number, 0, act, &mut versions).await?;
        for attempt in 1..TRIES {
            match &reply.error {
                Some(e) if e.code == ErrorCode::VersionConflict => {
                    reply = send(services, &site, number, attempt, act, &mut versions).await?;
                }
                _ => break,
            }
        }
        match &reply.error {
            None => played.accepted += 1,
            Some(e) => {
                played.refused += 1;
                tracing::debug!(command = %act.command, at = %act.at, code = %e.code, message = %e.message, "refused");
            }
        }
        progress.set_position(number as u64 + 1);
    }
    settled().await;
    clock.advance_to(end);
    progress.finish_and_clear();
    Ok(played)
}

async fn send(
    services: &[Arc<CommandService>],
    site: &SiteId,
    number: usize,
    attempt: u32,
    act: &Act,
    versions: &mut HashMap<Uuid, u64>,
) -> Result<Reply> {
    let name = format!("demo-history:{number}:{attempt}");
    let mut command = json!({
        "command_id": CommandId(Uuid::new_v5(&mw_contract::ids::NAMESPACE, name.as_bytes())),
        "type": act.command, "payload": act.payload,
    });
    if let Some(id) = act.id {
        command["aggregate_id"] = json!(id);
        if act.command.is_strict() {
            command["expected_version"] = json!(versions.get(&id).copied().unwrap_or(0));
        }
    }
    let account = AccountName::new(act.account).context("an account of the demonstration")?;
    let context = act.command.context();
    let service = services.iter().find(|s| s.context() == context);
    let service = service.with_context(|| format!("no service of {context} plays"))?;
    let reply = service.execute(account, Some(site.clone()), command.to_string().as_bytes()).await?;
    // A conflict tells the version too.
    let now = match &reply.error {
        None => reply.version.map(|v| v.0),
        Some(e) => e.details.as_ref().and_then(|d| d["actual"].as_u64()),
    };
    if let (Some(id), Some(version)) = (act.id, now) {
        versions.insert(id, version);
    }
    Ok(reply)
}
