//! The trait of a process manager, and what it is given.

use mw_contract::{AggregateId, CommandType, Context, ErrorCode, Event, Instant, SiteId, StoredCommit, StoredEvent};
use rusqlite::Connection;
use serde_json::Value;
use uuid::Uuid;

use crate::outbox::{self, Row};
use crate::timers::{self, Timer};

/// One event, with its commit and the transaction that it is worked on in.
pub struct Cx<'a> {
    /// The transaction.
    pub tx: &'a Connection,
    /// The commit.
    pub commit: &'a StoredCommit,
    /// The event, undecoded: stream, version, times.
    pub event: &'a StoredEvent,
}

/// A timer that has fired.
pub struct Fired<'a> {
    /// The transaction.
    pub tx: &'a Connection,
    /// The timer; it is gone from its table.
    pub timer: &'a Timer,
    /// Business time now, at or after the timer's own.
    pub now: Instant,
}

/// The outcome of a command that a manager sent.
pub struct Ended<'a> {
    /// The transaction.
    pub tx: &'a Connection,
    /// The commit of the outcome.
    pub commit: &'a StoredCommit,
    /// The command as it waited; none where it was sent before the file was built again and comes
    /// up anew when its timer fires.
    pub row: Option<&'a Row>,
    /// Why it was refused.
    pub refused: Option<ErrorCode>,
    /// The events of the commit, those that can be read.
    pub events: &'a [Event],
}

/// A command to be sent. Its id follows from the process, `trigger` and `step`.
pub struct Send<'a> {
    /// The event that it follows from.
    pub trigger: Uuid,
    /// Which of the things that follow from it.
    pub step: &'a str,
    /// The site of the topic.
    pub site: &'a SiteId,
    /// Its type.
    pub command: CommandType,
    /// The aggregate that it acts on.
    pub aggregate: AggregateId,
    /// For strict commands.
    pub expected_version: Option<u64>,
    /// Business time where it is another than that of the sending.
    pub occurred_at: Option<Instant>,
    /// Its payload.
    pub payload: Value,
}

/// A command that a manager wants, with everything in it; compared with what waits already.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The event that it follows from.
    pub trigger: Uuid,
    /// Which of the things that follow from it.
    pub step: String,
    /// The site of the topic.
    pub site: SiteId,
    /// Its type.
    pub command: CommandType,
    /// The aggregate that it acts on.
    pub aggregate: AggregateId,
    /// For strict commands.
    pub expected_version: Option<u64>,
    /// Its payload.
    pub payload: Value,
}

impl Wish {
    /// The same as a command to be sent.
    pub fn send(&self) -> Send<'_> {
        Send {
            trigger: self.trigger,
            step: &self.step,
            site: &self.site,
            command: self.command,
            aggregate: self.aggregate,
            expected_version: self.expected_version,
            occurred_at: None,
            payload: self.payload.clone(),
        }
    }
}

/// A process manager. What it does follows from the logs alone: the same commits make the same
/// rows and the same commands.
///
/// Two logs have no common order. A manager that goes by both keeps what each of them says apart and
/// derives what it wants from all of it ([`crate::outbox::want`]), so that at the heads of both logs
/// the same waits whichever log was read first. Where two steps exclude each other, the one that has
/// its outcome stands.
pub trait Manager: std::marker::Send + Sync {
    /// Its name, part of the ids of its commands.
    fn name(&self) -> &'static str;

    /// Its tables.
    fn tables(&self) -> &'static str;

    /// The contexts whose logs it goes by. Nothing of it is sent before each of them was read to its
    /// head once.
    fn contexts(&self) -> &'static [Context] {
        &[Context::Production]
    }

    /// An event of either log.
    fn on(&self, cx: &Cx<'_>, event: &Event) -> rusqlite::Result<()>;

    /// A timer of its own has come due. One that is stale does nothing.
    fn fire(&self, _: &Fired<'_>) -> rusqlite::Result<()> {
        Ok(())
    }

    /// A command of its own has its outcome. `false`: it was refused and somebody must look at it.
    fn ended(&self, e: &Ended<'_>) -> rusqlite::Result<bool> {
        Ok(matches!(e.refused, None | Some(ErrorCode::AlreadyExists)))
    }
}

impl Cx<'_> {
    /// The id of the event.
    pub fn id(&self) -> Uuid {
        self.event.event.event_id.0
    }

    /// The aggregate of the event.
    pub fn aggregate(&self) -> AggregateId {
        self.event.event.stream.id
    }

    /// Business time of the event.
    pub fn at(&self) -> Instant {
        self.event.event.occurred_at
    }

    /// Queues a command of a process.
    pub fn send(&self, process: &str, s: &Send<'_>) -> rusqlite::Result<()> {
        outbox::push(self.tx, process, s)
    }

    /// Sets a timer of a process.
    pub fn timer(&self, process: &str, key: &str, due: Instant) -> rusqlite::Result<()> {
        timers::set(self.tx, process, key, due, self.id())
    }
}

/// A v5 UUID in the namespace of process managers.
pub fn derived(text: &str) -> Uuid {
    const NAMESPACE: Uuid = Uuid::from_u128(0x0b5e_2f6a_91c4_5d7e_8a30_f4c1_7d92_6be5);
    Uuid::new_v5(&NAMESPACE, text.as_bytes())
}
