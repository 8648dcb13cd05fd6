//! What every engine checks of a batch, and the numbers it gives, before anything is stored.
//!
//! Pure: what the engine has stored comes in as two questions.

use std::collections::{HashMap, HashSet};

use mw_contract::commit::{Head, NewCommit, Outcome, StoredCommit, StoredEvent};
use mw_contract::{AccountName, CommandId, CommitNumber, Context, Position, StreamId, Version};

use crate::error::LogError;

/// Numbers a batch that follows `head`, or says why no log may store it.
///
/// `version_of` gives the stored version of a stream (zero when it has no event); `accepted` the
/// commit in which a command was accepted before, if it was.
pub fn plan(
    context: Context,
    head: Head,
    batch: Vec<NewCommit>,
    mut version_of: impl FnMut(&StreamId) -> Result<Version, LogError>,
    mut accepted: impl FnMut(&AccountName, &CommandId) -> Result<Option<CommitNumber>, LogError>,
) -> Result<Vec<StoredCommit>, LogError> {
    let mut at = head;
    let mut versions: HashMap<StreamId, Version> = HashMap::with_capacity(batch.len());
    let mut done: HashSet<(AccountName, CommandId)> = HashSet::with_capacity(batch.len());
    let mut stored = Vec::with_capacity(batch.len());
    for commit in batch {
        let h = &commit.head;
        if matches!(h.outcome, Outcome::Rejected(_)) && !commit.events.is_empty() {
            return Err(LogError::Invalid(format!("command {} has events although it was refused", h.command_id)));
        }
        let key = (h.account.clone(), h.command_id);
        let before = if done.contains(&key) { Some(CommitNumber::ZERO) } else { accepted(&h.account, &h.command_id)? };
        if let Some(commit) = before {
            return Err(LogError::DuplicateCommand { account: key.0, command_id: key.1, commit });
        }
        if !matches!(h.outcome, Outcome::Rejected(_)) {
            done.insert(key);
        }
        at.commit = at.commit.next();
        let mut events = Vec::with_capacity(commit.events.len());
        for event in commit.events {
            let stream = event.stream;
            if stream.kind.context() != context {
                return Err(LogError::Invalid(format!("{stream} is not a stream of {context}")));
            }
            let actual = match versions.get(&stream) {
                Some(v) => *v,
                None => version_of(&stream)?,
            };
            if event.version != actual.next() {
                let expected = Version(event.version.0.saturating_sub(1));
                return Err(LogError::Conflict { stream, expected, actual });
            }
            versions.insert(stream, event.version);
            at.position = at.position.next();
            events.push(StoredEvent { position: at.position, event });
        }
        stored.push(StoredCommit { number: at.commit, last_position: at.position, head: commit.head, events });
    }
    Ok(stored)
}

/// Finds an event of a stream in a commit.
pub(crate) fn index_in(commit: &StoredCommit, stream: &StreamId, version: Version) -> Option<usize> {
    commit.events.iter().position(|e| e.event.stream == *stream && e.event.version == version)
}

/// The first commit, among ascending ones, that reaches `position`.
pub(crate) fn reaches<'a>(
    mut commits: impl Iterator<Item = &'a StoredCommit>,
    position: Position,
) -> Option<CommitNumber> {
    commits.find(|c| c.last_position >= position).map(|c| c.number)
}
