//! What a pure decider is given and what it gives back. Time, ids and reference data are
//! arguments; a decider has no clock, no disk and no socket.

use std::collections::BTreeSet;

use crate::command::Command;
use crate::enums::{Context, Role};
use crate::event::Event;
use crate::ids::{AccountName, AggregateId, CellId, CustomerId, EventId, SiteId, StreamId, Version};
use crate::reply::{Rejection, Warning};
use crate::subject::DataSubject;
use crate::time::Instant;

/// How far a role may use a command.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Allowance {
    /// On every object of its sites.
    Yes,
    /// When a setting of the site says so.
    Setting,
    /// On its own objects: own session, own report.
    Own,
    /// On its own cell (devices).
    OwnCell,
    /// On what is assigned to it.
    Assigned,
    /// With a second person's approval.
    FourEyes,
}

/// Who sent the command, as the broker verified, with what the access policy grants for it.
#[derive(Clone, PartialEq, Debug)]
pub struct Actor {
    /// The account.
    pub account: AccountName,
    /// The roles under which the policy allows this command, widest allowance first; never empty.
    pub grants: Vec<(Role, Allowance)>,
    /// The account's sites.
    pub sites: BTreeSet<SiteId>,
    /// The customer whose account it is.
    pub customer_id: Option<CustomerId>,
    /// The cell whose account it is.
    pub cell: Option<CellId>,
}

impl Actor {
    /// The first granted role whose allowance satisfies `ok`.
    pub fn grant(&self, ok: impl Fn(Role, Allowance) -> bool) -> Option<Role> {
        self.grants.iter().find(|(r, a)| ok(*r, *a)).map(|(r, _)| *r)
    }

    /// Is the command allowed in this role at all?
    pub fn has(&self, role: Role) -> bool {
        self.grants.iter().any(|(r, _)| *r == role)
    }
}

/// An account that a command names: who it is to the service now.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Person {
    /// Its roles.
    pub roles: BTreeSet<Role>,
    /// Its sites.
    pub sites: BTreeSet<SiteId>,
}

/// The accounts beside the sender's own.
pub trait People: std::fmt::Debug {
    /// An account that may log in; `None`: there is no such account, or it is disabled.
    fn person(&self, account: &AccountName) -> Option<Person>;
}

/// The circumstances of one decision.
#[derive(Clone, Debug)]
pub struct DecisionContext<'a> {
    /// When the service received the command, business clock: `recorded_at` of its events.
    pub received_at: Instant,
    /// When it happened, as the sender says; never in the future by more than the allowed skew.
    pub occurred_at: Instant,
    /// Was it captured without a connection?
    pub captured_offline: bool,
    /// Who sent it.
    pub actor: &'a Actor,
    /// Accounts that the command may name.
    pub people: &'a dyn People,
    /// The site of its topic; `None` is `-`.
    pub site: Option<&'a SiteId>,
    /// The aggregate it acts on.
    pub aggregate_id: AggregateId,
    /// The version of that aggregate now; 0 when it does not exist.
    pub version: Version,
}

/// What was decided.
#[derive(Clone, PartialEq, Debug)]
pub struct Decision {
    /// What happens, in order. Each event names its stream; most are the aggregate's own.
    pub events: Vec<(StreamId, Event)>,
    /// The role that the act is recorded with.
    pub role: Role,
    /// Reported after the fact (G4)?
    pub late: bool,
    /// What the sender should know.
    pub warnings: Vec<Warning>,
    /// Nothing new comes to be, because this aggregate answers the command already: the reply is
    /// `duplicate` and names it. Events, where there are any, tell that aggregate of it.
    pub existing: Option<AggregateId>,
    /// The aggregate that the reply names, where the command made another than its own come to be.
    pub made: Option<AggregateId>,
}

impl Decision {
    /// Events on one stream.
    pub fn on(stream: StreamId, role: Role, events: impl IntoIterator<Item = Event>) -> Self {
        Decision {
            events: events.into_iter().map(|e| (stream, e)).collect(),
            role,
            late: false,
            warnings: Vec::new(),
            existing: None,
            made: None,
        }
    }
}

/// Everything about an event but its data.
#[derive(Clone, PartialEq, Debug)]
pub struct EventMeta {
    /// Its id.
    pub event_id: EventId,
    /// Its place in its stream.
    pub version: Version,
    /// Business time.
    pub occurred_at: Instant,
    /// When it was recorded.
    pub recorded_at: Instant,
    /// Who caused it.
    pub account: AccountName,
    /// In which role.
    pub role: Option<Role>,
    /// Reported after the fact?
    pub late: bool,
}

/// One context's business: pure functions and the facts that span its aggregates (reference data,
/// unique keys, number series).
pub trait Domain: Send + 'static {
    /// The state of one aggregate, folded from its stream; `Default` is "does not exist".
    type State: Default + Clone + Send + 'static;

    /// The context it is the business of.
    fn context(&self) -> Context;

    /// Decides one command. Shape, duplicate, role, existence and version are checked before.
    fn decide(&self, state: &Self::State, command: &Command, ctx: &DecisionContext<'_>) -> Result<Decision, Rejection>;

    /// Folds one event into the state of its aggregate.
    fn evolve(state: &mut Self::State, stream: &StreamId, event: &Event, meta: &EventMeta);

    /// Folds one event into the facts that span aggregates.
    fn observe(&mut self, stream: &StreamId, event: &Event, meta: &EventMeta);

    /// Must the aggregate exist before this command? (`false` for those that make one.)
    fn needs_existing(&self, command: &Command) -> bool;

    /// The aggregate that a command without an id means by another name, such as a unit's serial
    /// number.
    ///
    /// # Errors
    /// When the name fits several aggregates.
    fn named(&self, _: &Command) -> Result<Option<AggregateId>, Rejection> {
        Ok(None)
    }

    /// Whose personal data the free text of an event on `stream` is: it is sealed under the key of
    /// that subject. `state` is what the aggregate was before this event, `events` is the whole
    /// decision. The author's, unless the business knows better, as it does of a ticket's customer.
    fn data_subject(
        &self,
        _state: &Self::State,
        _stream: &StreamId,
        _events: &[(StreamId, Event)],
        author: &AccountName,
    ) -> DataSubject {
        DataSubject::Account(author.clone())
    }
}
