//! Checks a whole log: every frame, every number, the Merkle root, a signed checkpoint.
//!
//! Works on frames alone and changes nothing. What it can't know, whether an event's payload is
//! what the service meant, it asks a hook.

use std::collections::HashMap;

use mw_contract::commit::StoredEvent;
use mw_contract::{CommitNumber, Context, Position, StreamId, Version};

use crate::checkpoint::Checkpoint;
use crate::error::LogError;
use crate::merkle::{Frontier, Hash, leaf_hash};
use crate::sled_log::decode;

/// A log as its bytes.
pub trait Frames {
    /// Whose log.
    fn context(&self) -> Context;
    /// The Merkle frontier that the log itself holds.
    fn frontier(&self) -> Result<Frontier, LogError>;
    /// Gives every frame with the number of its key, in order, until `each` says `false`.
    fn scan(&self, each: &mut dyn FnMut(CommitNumber, &[u8]) -> Result<bool, LogError>) -> Result<(), LogError>;
}

/// What a sound log has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Whose log.
    pub context: Context,
    /// How many commits, refusals counted.
    pub commits: u64,
    /// How many events.
    pub events: u64,
    /// How many bytes of frames.
    pub bytes: u64,
    /// The Merkle root over all of it.
    pub root: Hash,
    /// The size of the checkpoint it was compared with.
    pub checkpoint: Option<u64>,
}

/// The first thing that is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{context}: position {position}, commit {commit}: {reason}")]
pub struct Finding {
    /// Whose log.
    pub context: Context,
    /// The first position that can't be vouched for.
    pub position: Position,
    /// The commit that holds it.
    pub commit: CommitNumber,
    /// What is wrong.
    pub reason: String,
}

/// Checks the log against itself and against `checkpoint`, whose signature the caller has checked.
///
/// `payload` is asked about each event and says what is wrong with it. `progress` hears the number
/// of commits that were checked, every thousand.
pub fn verify(
    log: &dyn Frames,
    checkpoint: Option<&Checkpoint>,
    payload: &dyn Fn(&StoredEvent) -> Result<(), String>,
    progress: &mut dyn FnMut(u64),
) -> Result<Summary, Finding> {
    let context = log.context();
    let mut at = Walk { tree: Frontier::default(), position: Position(0), bytes: 0, streams: HashMap::new() };
    let mut root_then = (checkpoint.map(|c| c.size) == Some(0)).then(|| at.tree.root());
    // Read first: a log that is written meanwhile only grows beyond it.
    let own = log.frontier().map_err(|e| first_bad(context, &at, e.to_string()))?;
    let mut own_holds = own.size() == 0;
    let mut bad: Option<String> = None;
    let scanned = log.scan(&mut |number, frame| {
        match at.step(context, number, frame, payload) {
            Ok(()) => {}
            Err(reason) => {
                bad = Some(reason);
                return Ok(false);
            }
        }
        if checkpoint.is_some_and(|c| c.size == at.tree.size()) {
            root_then = Some(at.tree.root());
        }
        if at.tree.size() == own.size() {
            own_holds = at.tree == own;
        }
        if at.tree.size().is_multiple_of(1000) {
            progress(at.tree.size());
        }
        Ok(true)
    });
    if let Some(reason) = bad.or_else(|| scanned.err().map(|e| e.to_string())) {
        return Err(first_bad(context, &at, reason));
    }
    let root = at.tree.root();
    if let Some(c) = checkpoint {
        match root_then {
            None => {
                let reason = format!("the log ends here, but the checkpoint covers {} commits", c.size);
                return Err(first_bad(context, &at, reason));
            }
            Some(r) if r != c.root => {
                // A root says that something differs, not where.
                let reason = format!("the first {} commits are not those that the checkpoint was signed for", c.size);
                return Err(Finding { context, position: Position(1), commit: CommitNumber(1), reason });
            }
            Some(_) => {}
        }
    }
    if own.size() > at.tree.size() {
        let reason = format!("the log ends here, but its Merkle frontier is of {} commits", own.size());
        return Err(first_bad(context, &at, reason));
    }
    if !own_holds {
        let reason = "the frames are not those that the log's own Merkle frontier was made of".to_owned();
        return Err(Finding { context, position: Position(1), commit: CommitNumber(1), reason });
    }
    progress(at.tree.size());
    Ok(Summary {
        context,
        commits: at.tree.size(),
        events: at.position.0,
        bytes: at.bytes,
        root,
        checkpoint: checkpoint.map(|c| c.size),
    })
}

fn first_bad(context: Context, at: &Walk, reason: String) -> Finding {
    Finding { context, position: at.position.next(), commit: CommitNumber(at.tree.size() + 1), reason }
}

struct Walk {
    tree: Frontier,
    position: Position,
    bytes: u64,
    streams: HashMap<StreamId, Version>,
}

impl Walk {
    fn step(
        &mut self,
        context: Context,
        number: CommitNumber,
        frame: &[u8],
        payload: &dyn Fn(&StoredEvent) -> Result<(), String>,
    ) -> Result<(), String> {
        let expected = self.tree.size() + 1;
        if number.0 != expected {
            return Err(format!("commit {expected} is missing; the next one is {number}"));
        }
        let c = decode(number, frame).map_err(|e| e.to_string())?;
        let mut position = self.position;
        for e in &c.events {
            position = position.next();
            if e.position != position {
                return Err(format!("an event says that its position is {}", e.position));
            }
            let (stream, version) = (e.event.stream, e.event.version);
            if stream.kind.context() != context {
                return Err(format!("{stream} is not a stream of {context}"));
            }
            let before = self.streams.insert(stream, version).unwrap_or(Version(0));
            if version != before.next() {
                return Err(format!("version {version} of {stream} follows version {before}"));
            }
            payload(e)?;
        }
        if c.last_position != position {
            return Err(format!("it says that it ends at position {}", c.last_position));
        }
        self.position = position;
        self.bytes += frame.len() as u64;
        self.tree.append(leaf_hash(frame));
        Ok(())
    }
}
