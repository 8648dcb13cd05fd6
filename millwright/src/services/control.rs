//! Answers the control socket of a running system.

use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use mw_contract::commit::StoredCommit;
use mw_contract::{CommitNumber, Context, SiteId};
use mw_identity::{Directory, Login};
use mw_log::{EventLog, SledLog};
use mw_runtime::{BusinessClock, CommandService};
use serde_json::{Value, json};

use super::identity::operator;
use crate::control::{Handler, Lines, Request};
use crate::history;

/// What the control socket reaches.
pub struct Control {
    pub services: Vec<(Arc<CommandService>, Arc<SledLog>)>,
    pub directory: Arc<Directory>,
    /// Where the secrets and signing keys are: in the process that has identity.
    pub login: Option<Arc<Login>>,
    pub clock: Arc<BusinessClock>,
    pub data: std::path::PathBuf,
}

impl Control {
    fn of(&self, context: Context) -> Result<&(Arc<CommandService>, Arc<SledLog>)> {
        self.services
            .iter()
            .find(|(s, _)| s.context() == context)
            .with_context(|| format!("context {context} does not run in this process"))
    }
}

impl Handler for Control {
    async fn handle(self: Arc<Self>, request: Request, lines: Lines) -> Result<Value> {
        match request {
            Request::Execute { site, command } => {
                let name = command["type"].as_str().unwrap_or_default();
                let kind: mw_contract::CommandType = name.parse().map_err(|e: String| anyhow!("command type {e}"))?;
                let site = site.map(|s| SiteId::new(&s)).transpose()?;
                let (service, _) = self.of(kind.context())?;
                let reply = service.execute(operator()?, site, command.to_string().as_bytes()).await?;
                if let Some(head) = reply.position.filter(|_| kind.context() == Context::Identity) {
                    // Whoever asks next must see what was just done.
                    tracing::debug!(%head, "accounts changed over the control socket");
                    self.directory.wait_for(service.head().commit).await;
                }
                Ok(serde_json::to_value(reply)?)
            }
            Request::Accounts => Ok(accounts(&self.directory)),
            Request::Commits { context, from, limit } => {
                let context: Context = context.parse().map_err(|e: String| anyhow!("context {e}"))?;
                let log = self.of(context)?.1.clone();
                let commits =
                    tokio::task::spawn_blocking(move || log.read(CommitNumber(from), limit.min(1000))).await??;
                for c in &commits {
                    lines.send(json!({"frame": hex(&mw_log::frame::encode_stored(c))})).await?;
                }
                Ok(json!(commits.len()))
            }
            Request::Verify { checkpoint, key } => {
                let checkpoints = history::read_checkpoints(&self.data, checkpoint.as_deref(), key.as_deref())?;
                let mut summaries = Vec::new();
                for (_, log) in &self.services {
                    let (log, checkpoints, lines) = (log.clone(), checkpoints.clone(), lines.clone());
                    let checked = tokio::task::spawn_blocking(move || {
                        history::verify(&*log, checkpoints.get(&log.context()), &mut |n| {
                            // Progress is worth no waiting.
                            let _ = lines.try_send(json!({"checked": n}));
                        })
                    });
                    summaries.push(history::outcome(checked.await?));
                }
                Ok(Value::Array(summaries))
            }
            Request::AdvanceClock { ms } => {
                if !self.clock.advance(ms) {
                    bail!("this system keeps real time; start it with --demo --clock START to have a clock that moves");
                }
                Ok(json!({"now": mw_runtime::Clock::now(&*self.clock)}))
            }
            Request::RotateKeys => {
                let login = self.login.clone();
                let login = login.context("the signing keys are not here; give --data of the identity service")?;
                let kid = tokio::task::spawn_blocking(move || login.rotate_keys()).await??;
                Ok(json!({"kid": kid}))
            }
        }
    }
}

/// The accounts as `account list` shows them.
pub fn accounts(directory: &Directory) -> Value {
    let one = |a: &Arc<mw_policy::Account>| {
        json!({
            "account": a.name, "roles": a.roles, "sites": a.sites, "customer_id": a.customer_id,
            "cell": a.cell, "disabled": a.disabled,
        })
    };
    Value::Array(directory.all().iter().map(one).collect())
}

pub fn hex(b: &[u8]) -> String {
    b.iter().map(|b| format!("{b:02x}")).collect()
}

/// The bytes that [`hex`] wrote.
pub fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let pair = |c: &[u8]| std::str::from_utf8(c).ok().and_then(|s| u8::from_str_radix(s, 16).ok());
    text.as_bytes().chunks(2).map(pair).collect()
}

/// A commit as [`Request::Commits`] sends it.
pub fn from_hex(text: &str) -> Result<StoredCommit> {
    let bytes = bytes_of_hex(text).ok_or_else(|| anyhow!("a frame can't be read"))?;
    Ok(mw_log::frame::decode_commit(&bytes)?)
}
