//! `millwright audit verify`: exit 0 with a summary, 1 with the first bad position.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use mw_contract::Context;
use serde_json::{Value, json};

use crate::cli::{AuditCommand, VerifyArgs};
use crate::config;
use crate::control::{self, Request};
use crate::history;
use crate::services::data::{Data, contexts_with_a_log};

/// Runs it.
pub fn run(command: AuditCommand) -> Result<ExitCode> {
    let AuditCommand::Verify(args) = command;
    let data = config::base(&args.common, &config::file(&args.common)?).data;
    let results = super::block_on(verify(&data, &args))??;
    let ok = results.iter().all(|r| r["ok"] == json!(true));
    if args.json {
        println!("{}", serde_json::to_string_pretty(&json!({"ok": ok, "logs": results}))?);
    } else {
        for r in &results {
            print(r);
        }
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

async fn verify(data: &Path, args: &VerifyArgs) -> Result<Vec<Value>> {
    // The running system reads the files, and its working directory may be another.
    let whole = |p: &Path| std::path::absolute(p).map(|p| p.to_string_lossy().into_owned());
    let checkpoint = args.checkpoint.as_deref().map(whole).transpose()?;
    let key = args.key.as_deref().map(whole).transpose()?;
    let mut bar = super::spinner("commits checked");
    if let Some(stream) = control::connect(data).await {
        let request = Request::Verify { checkpoint, key };
        let answer = control::ask(stream, &request, |line| {
            bar.set_position(line["checked"].as_u64().unwrap_or_default());
            Ok(())
        })
        .await?;
        bar.finish_and_clear();
        return Ok(answer.as_array().cloned().unwrap_or_default());
    }
    let _lock = Data::lock(data)?;
    let checkpoints = history::read_checkpoints(data, checkpoint.as_deref(), key.as_deref())?;
    let contexts = contexts_with_a_log(data);
    // A log that is gone altogether is not a log that needs no check.
    let gone = checkpoints.keys().filter(|c| !contexts.contains(c));
    let mut results: Vec<Value> = gone.map(|c| bad(*c, "the log is not there, but a checkpoint is")).collect();
    if contexts.is_empty() && results.is_empty() {
        bail!("{} has no logs: is --data right?", data.display());
    }
    for context in contexts {
        // What the engine can't even open is as bad as a bad frame.
        results.push(match history::at_rest(data, context) {
            Ok(log) => {
                history::outcome(history::verify(&*log, checkpoints.get(&context), &mut |n| bar.set_position(n)))
            }
            Err(e) => bad(context, &format!("{e:#}")),
        });
    }
    bar.finish_and_clear();
    Ok(results)
}

/// A log of which nothing can be vouched for.
fn bad(context: Context, reason: &str) -> Value {
    json!({"context": context, "ok": false, "position": 1, "commit": 1, "reason": reason})
}

fn print(r: &Value) {
    let context = r["context"].as_str().unwrap_or_default();
    if r["ok"] == json!(true) {
        let signed = match r["checkpoint"].as_u64() {
            Some(n) => format!("signed checkpoint of {n} commits holds"),
            None => "no checkpoint yet".to_owned(),
        };
        println!(
            "{context}: {} commits, {} events, root {}; {signed}",
            r["commits"],
            r["events"],
            r["root"].as_str().unwrap_or_default()
        );
    } else {
        println!(
            "{context}: BAD at position {} (commit {}): {}",
            r["position"],
            r["commit"],
            r["reason"].as_str().unwrap_or_default()
        );
    }
}
