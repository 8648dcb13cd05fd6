//! History for people: reading it from a system that runs or rests, checking it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use mw_contract::commit::StoredCommit;
use mw_contract::{CommitNumber, Context, cloud};
use mw_log::verify::{Finding, Frames, Summary};
use mw_log::{AtRest, Checkpoint, LogError, VerifyingKey};
use serde_json::{Value, json};

use crate::control::{self, Request};
use crate::services::control::from_hex;
use crate::services::data::Data;

/// The signed heads that a log must still contain: those of `file`, else the ones in the data
/// directory. Every signature is checked.
pub fn read_checkpoints(data: &Path, file: Option<&str>, key: Option<&str>) -> Result<HashMap<Context, Checkpoint>> {
    let key_path = key.map_or_else(|| data.join("keys/checkpoint.pub"), PathBuf::from);
    let key = VerifyingKey::load(&key_path).context("the checkpoint's public key")?;
    let mut found = HashMap::new();
    let Some(file) = file else {
        for c in Context::ALL.iter().copied() {
            let path = data.join("checkpoints").join(c.as_str());
            if let Some(signed) = mw_log::checkpoint::read(&path, &key, c)? {
                found.insert(c, signed);
            }
        }
        return Ok(found);
    };
    let text = std::fs::read_to_string(file).with_context(|| file.to_owned())?;
    for note in notes(&text) {
        let origin = Checkpoint::parse(&note).with_context(|| file.to_owned())?.origin;
        let context = Context::ALL.iter().copied().find(|c| Checkpoint::origin_of(*c) == origin);
        let context = context.with_context(|| format!("{file}: {origin} is no log of this product"))?;
        found.insert(context, key.verify(&note, context).with_context(|| file.to_owned())?);
    }
    if found.is_empty() {
        bail!("{file}: no checkpoint in it");
    }
    Ok(found)
}

/// The notes of a text that holds one or several: each is a text, an empty line, signatures.
fn notes(text: &str) -> Vec<String> {
    let mut notes = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let mut note = format!("{line}\n");
        for line in lines.by_ref() {
            note.push_str(line);
            note.push('\n');
            if line.is_empty() {
                break;
            }
        }
        while let Some(line) = lines.next_if(|l| l.starts_with("— ")) {
            note.push_str(line);
            note.push('\n');
        }
        notes.push(note);
    }
    notes
}

/// Checks a log, payloads included.
pub fn verify(
    log: &dyn Frames,
    checkpoint: Option<&Checkpoint>,
    progress: &mut dyn FnMut(u64),
) -> Result<Summary, Finding> {
    mw_log::verify::verify(log, checkpoint, &|e| cloud::decode(e).map(|_| ()).map_err(|e| e.to_string()), progress)
}

/// One log's result, for people and programs.
pub fn outcome(result: Result<Summary, Finding>) -> Value {
    match result {
        Ok(s) => json!({
            "context": s.context, "ok": true, "commits": s.commits, "events": s.events, "bytes": s.bytes,
            "root": s.root.iter().map(|b| format!("{b:02x}")).collect::<String>(), "checkpoint": s.checkpoint,
        }),
        Err(f) => json!({
            "context": f.context, "ok": false, "position": f.position, "commit": f.commit, "reason": f.reason,
        }),
    }
}

/// Gives every commit of a context in order, from a running system on this machine or from the
/// directory at rest.
pub async fn each_commit(
    data: &Path,
    context: Context,
    mut each: impl FnMut(&StoredCommit) -> Result<bool>,
) -> Result<()> {
    if control::connect(data).await.is_some() {
        let mut from = CommitNumber(1);
        loop {
            let stream = control::connect(data).await.context("the running system has stopped")?;
            let request = Request::Commits { context: context.to_string(), from: from.0, limit: 1000 };
            let mut go_on = true;
            let mut some = false;
            control::ask(stream, &request, |line| {
                let c = from_hex(line["frame"].as_str().unwrap_or_default())?;
                from = c.number.next();
                some = true;
                go_on = go_on && each(&c)?;
                Ok(())
            })
            .await?;
            if !some || !go_on {
                return Ok(());
            }
        }
    }
    let _lock = Data::lock(data)?;
    let log = at_rest(data, context)?;
    let mut failure = None;
    log.scan(&mut |n, f| {
        let c = mw_log::frame::decode_commit(f).map_err(|e| LogError::Corrupt { commit: n, reason: e.to_string() })?;
        match each(&c) {
            Ok(go_on) => Ok(go_on),
            Err(e) => {
                failure = Some(e);
                Ok(false)
            }
        }
    })?;
    failure.map_or(Ok(()), Err)
}

/// Opens a log that no service has open.
pub fn at_rest(data: &Path, context: Context) -> Result<Arc<AtRest>> {
    let dir = data.join("logs").join(context.as_str());
    if !dir.join("db").exists() {
        bail!("{} has no log of {context}: is --data right?", data.display());
    }
    Ok(Arc::new(AtRest::open(&dir, context)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_checkpoints_in_one_text_are_told_apart() {
        let one = "millwright/production\n3\nAAAA\n\n— millwright abc\n— witness def\n";
        let two = "millwright/identity\n1\nBBBB\n\n— millwright ghi\n";
        assert_eq!(notes(&format!("{one}\n{two}")), [one, two]);
        assert_eq!(notes(&format!("{one}{two}")), [one, two]);
        assert!(notes("\n\n").is_empty());
    }
}
