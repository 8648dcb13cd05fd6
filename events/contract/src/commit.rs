//! The unit of history: one decided command, its outcome, and its events.

use std::sync::Arc;

use crate::enums::{Context, Role};
use crate::ids::{AccountName, AggregateId, CausationId, CommandId, CorrelationId, EventId, SiteId, StreamId, Version};
pub use crate::ids::{CommitNumber, Position};
use crate::reply::{Rejection, Reply, ReplyEvent, ReplyStatus, Warning};
use crate::time::Instant;

/// How a stored command ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It was done.
    Accepted,
    /// It was refused; the commit has no events.
    Rejected(Rejection),
    /// An aggregate answers it already, so no other came to be: `ticket.open` that meets an open
    /// `dedupe_key`. Its events are those of that aggregate.
    Existing,
}

/// Who sent what, when, and how it ended. Everything of a commit but its events.
#[derive(Clone, Debug, PartialEq)]
pub struct CommitHead {
    /// The idempotency key.
    pub command_id: CommandId,
    /// The command's type, such as `work-order.release`.
    pub command_type: Box<str>,
    /// Who sent it, as the broker verified.
    pub account: AccountName,
    /// The role under which it was allowed; `None` when it was refused before one was found.
    pub role: Option<Role>,
    /// The site level of its topic; `None` is `-`.
    pub site: Option<SiteId>,
    /// SHA-256 of what was asked (type, aggregate and payload), to tell a repeat from a reuse.
    pub payload_hash: [u8; 32],
    /// The aggregate it named or made.
    pub aggregate_id: Option<AggregateId>,
    /// The version of that aggregate after it.
    pub version: Version,
    /// When the service decided it.
    pub recorded_at: Instant,
    /// When the sender says that it happened.
    pub occurred_at: Instant,
    /// The tablet or gateway that sent it.
    pub device: Option<Box<str>>,
    /// Ties together what one trigger caused.
    pub correlation_id: Option<CorrelationId>,
    /// What caused the command.
    pub causation_id: Option<CausationId>,
    /// How it ended.
    pub outcome: Outcome,
    /// What the sender was told beside.
    pub warnings: Vec<Warning>,
}

/// An event that is still without a position.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// The stream it goes to.
    pub stream: StreamId,
    /// Its place in the stream, which the log checks.
    pub version: Version,
    /// Its id.
    pub event_id: EventId,
    /// Its type, PascalCase, as in the registry.
    pub event_type: Box<str>,
    /// The version of the struct that `payload` holds.
    pub schema: u16,
    /// Business time.
    pub occurred_at: Instant,
    /// Was it reported after the fact (G4)?
    pub late: bool,
    /// bincode of the frozen struct of (`event_type`, `schema`).
    pub payload: Vec<u8>,
}

/// A commit that is still without a number.
#[derive(Clone, Debug, PartialEq)]
pub struct NewCommit {
    /// Who, what, when, and the outcome.
    pub head: CommitHead,
    /// What happened; empty for a refusal.
    pub events: Vec<NewEvent>,
}

/// A stored event: [`NewEvent`] with its position.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvent {
    /// Its place in the context's log.
    pub position: Position,
    /// The rest.
    pub event: NewEvent,
}

/// A stored commit.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredCommit {
    /// Its place in the log, refusals counted.
    pub number: CommitNumber,
    /// The position of the last event at or before this commit.
    pub last_position: Position,
    /// Who, what, when, and the outcome.
    pub head: CommitHead,
    /// What happened.
    pub events: Vec<StoredEvent>,
}

/// How far a log has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Head {
    /// The last commit.
    pub commit: CommitNumber,
    /// The last event.
    pub position: Position,
}

impl StoredCommit {
    /// The head of the log just after this commit.
    pub fn head_after(&self) -> Head {
        Head { commit: self.number, position: self.last_position }
    }

    /// The reply to the command, first time or (`duplicate`) again.
    pub fn reply(&self, context: Context, duplicate: bool) -> Reply {
        let (status, error) = match &self.head.outcome {
            Outcome::Accepted => (ReplyStatus::Accepted, None),
            Outcome::Existing => (ReplyStatus::Duplicate, None),
            Outcome::Rejected(r) => (ReplyStatus::Rejected, Some(r.clone())),
        };
        let accepted = error.is_none();
        Reply {
            command_id: Some(self.head.command_id),
            status: if duplicate { ReplyStatus::Duplicate } else { status },
            context,
            aggregate_id: self.head.aggregate_id,
            version: accepted.then_some(self.head.version),
            // Accepted without an event: the state that it found is there to read.
            position: accepted.then_some(self.last_position).filter(|p| p.0 > 0),
            events: self
                .events
                .iter()
                .map(|e| ReplyEvent {
                    event_id: e.event.event_id,
                    event_type: e.event.event_type.to_string(),
                    version: e.event.version,
                })
                .collect(),
            warnings: self.head.warnings.clone(),
            error,
        }
    }
}

/// Shared, because a commit goes to the reply, the publisher and every reader.
pub type SharedCommit = Arc<StoredCommit>;
