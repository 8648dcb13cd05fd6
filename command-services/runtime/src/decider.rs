//! The decision of one command, on the log's writer thread and in order: duplicate, shape,
//! authorisation, existence, version, time, and then the business.
//!
//! The order of the checks is part of the contract. Shape is read earlier (it needs no state),
//! but a repeated command is recognised before its shape is judged, so that a repeat always gets
//! the first outcome. Time (G3) is judged after the state, as the rules are.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant as Monotonic;

use lru::LruCache;
use mw_contract::commit::{CommitHead, Head, NewCommit, NewEvent, Outcome, StoredCommit};
use mw_contract::decide::{Actor, Allowance, Decision, DecisionContext, Domain, EventMeta, People, Person};
use mw_contract::{
    AccountName, AggregateId, Command, CommandId, CommitNumber, ErrorCode, EventId, Instant, Rejection, Reply,
    ReplyStatus, Role, StreamId, Version, Warning, cloud,
};
use mw_log::{self as log, EventLog, Vault};
use uuid::Uuid;

use crate::Accounts;
use crate::inbox::{Job, ReplyTo};

/// How far `occurred_at` may lie in the future (G3).
const MAX_SKEW_MS: i64 = 120_000;
/// How long a refusal is remembered (G1); an accepted command is remembered for ever.
const REFUSALS_KEPT_MS: i64 = 30 * 24 * 3_600_000;
/// Aggregates kept in memory. Far more than can be in flight (two batches of 128), so that an
/// aggregate with an event that is not durable yet is never evicted and read back without it.
const CACHED_AGGREGATES: NonZeroUsize = NonZeroUsize::new(50_000).unwrap();

/// A hook that must succeed before an accepted command is committed; identity stores the hash of
/// a new secret here. It may run twice for one command (crash before the commit).
pub type BeforeCommit = Box<dyn FnMut(&Command, &Decision) -> Result<(), Rejection> + Send>;

/// What is left to do with a command once its batch is durable.
pub struct Ticket {
    /// Where the answer goes.
    pub reply_to: ReplyTo,
    /// What the answer is.
    pub answer: Answer,
    /// When the command arrived.
    pub started: Monotonic,
}

/// How a command will be answered.
pub enum Answer {
    /// From the commit that was made for it.
    Committed {
        /// The id under which the sender knows it.
        command_id: CommandId,
    },
    /// With the first outcome again, which is durable by then.
    Again {
        /// Whose command.
        account: AccountName,
        /// Under which id it is stored.
        stored_id: CommandId,
        /// The id under which the sender knows it.
        command_id: CommandId,
        /// Was the first outcome under the sender's own id, so that this is a repeat of it?
        duplicate: bool,
    },
    /// With this, and nothing is stored: the trouble may pass.
    Direct(Box<Reply>),
}

struct InFlight {
    hash: [u8; 32],
    number: CommitNumber,
    /// Its events: decided, and not in the log yet.
    events: Vec<(StreamId, Version, Box<str>)>,
}

/// Decides commands for one context.
pub struct CommandDecider<D: Domain> {
    domain: D,
    log: Arc<dyn EventLog>,
    accounts: Arc<dyn Accounts>,
    vault: Arc<Vault>,
    before_commit: Option<BeforeCommit>,
    cache: LruCache<StreamId, (D::State, Version)>,
    in_flight: HashMap<(AccountName, CommandId), InFlight>,
    in_flight_order: VecDeque<(CommitNumber, (AccountName, CommandId))>,
}

enum Seen {
    Never,
    Same,
    Other,
}

/// A fault that is not the sender's: answered with `UNAVAILABLE`, not stored, not acknowledged.
struct Trouble(String);

impl From<log::LogError> for Trouble {
    fn from(e: log::LogError) -> Self {
        Trouble(e.to_string())
    }
}

impl<D: Domain> CommandDecider<D> {
    /// Folds the whole log into the facts that span aggregates; aggregates themselves are folded
    /// when they are first needed.
    pub fn open(
        mut domain: D,
        log: Arc<dyn EventLog>,
        accounts: Arc<dyn Accounts>,
        vault: Arc<Vault>,
        before_commit: Option<BeforeCommit>,
    ) -> Result<Self, log::LogError> {
        let mut from = CommitNumber(1);
        loop {
            let commits = log.read(from, 1000)?;
            let Some(last) = commits.last() else { break };
            from = last.number.next();
            for c in &commits {
                for e in &c.events {
                    let event = cloud::decode(e).map_err(|x| log::LogError::undecodable(e.position, &x))?;
                    domain.observe(&e.event.stream, &event, &meta(c, &e.event));
                }
            }
        }
        Ok(CommandDecider {
            domain,
            log,
            accounts,
            vault,
            before_commit,
            cache: LruCache::new(CACHED_AGGREGATES),
            in_flight: HashMap::new(),
            in_flight_order: VecDeque::new(),
        })
    }

    fn forget_durable(&mut self) {
        let durable = self.log.head().commit;
        while self.in_flight_order.front().is_some_and(|(n, _)| *n <= durable) {
            if let Some((number, key)) = self.in_flight_order.pop_front()
                && self.in_flight.get(&key).is_some_and(|f| f.number == number)
            {
                self.in_flight.remove(&key);
            }
        }
    }

    fn seen(&self, account: &AccountName, id: CommandId, hash: &[u8; 32], now: Instant) -> Result<Seen, Trouble> {
        let verdict = |same: bool| if same { Seen::Same } else { Seen::Other };
        if let Some(f) = self.in_flight.get(&(account.clone(), id)) {
            return Ok(verdict(f.hash == *hash));
        }
        match self.log.outcome(account, &id)? {
            None => Ok(Seen::Never),
            Some(c) => {
                let refused = matches!(c.head.outcome, Outcome::Rejected(_));
                if refused && now.since(c.head.recorded_at) > REFUSALS_KEPT_MS {
                    return Ok(Seen::Never);
                }
                Ok(verdict(c.head.payload_hash == *hash))
            }
        }
    }

    fn actor(&self, job: &Job, command: &Command) -> Result<Actor, Rejection> {
        let account = self
            .accounts
            .account(&job.account)
            .ok_or_else(|| Rejection::forbidden(format!("account {} is not known to this service", job.account)))?;
        let grants = mw_policy::may_command(&account, command.command_type(), job.site.as_ref())?;
        let grants: Vec<(Role, Allowance)> = grants.iter().map(|g| (g.role, allowance(g.allowance))).collect();
        if grants.is_empty() {
            return Err(Rejection::forbidden(format!("no role of {} allows {}", job.account, command.command_type())));
        }
        Ok(Actor {
            account: job.account.clone(),
            grants,
            sites: account.sites.clone(),
            customer_id: account.customer_id.clone(),
            cell: account.cell.clone(),
        })
    }

    fn load(&mut self, stream: StreamId) -> Result<(D::State, Version), Trouble> {
        if let Some(hit) = self.cache.get(&stream) {
            return Ok(hit.clone());
        }
        let mut state = D::State::default();
        let mut version = Version::ZERO;
        loop {
            let events = self.log.read_stream(&stream, version.next(), 1000)?;
            if events.is_empty() {
                break;
            }
            for (commit, i) in events {
                let e = &commit.events[i];
                let event = cloud::decode(e).map_err(|x| Trouble(format!("position {}: {x}", e.position)))?;
                D::evolve(&mut state, &stream, &event, &meta(&commit, &e.event));
                version = e.event.version;
            }
        }
        if version > Version::ZERO {
            self.cache.put(stream, (state.clone(), version));
        }
        Ok((state, version))
    }

    fn check_version(&self, job: &Job, command: &Command, stream: &StreamId, actual: Version) -> Result<(), Rejection> {
        let Some(expected) = job.envelope.expected_version else { return Ok(()) };
        let t = command.command_type();
        // Additive commands of work orders and tickets are safe on any version; a tablet that sends
        // the version along must not lose its report over it.
        let is_report = !t.is_strict() && t.context() != mw_contract::Context::Identity;
        if expected == actual || (is_report && derived(command).is_none()) {
            return Ok(());
        }
        let since = self.events_since(stream, expected);
        Err(Rejection::new(
            ErrorCode::VersionConflict,
            format!("expected version {expected}, but it is {actual} now: read it again, then decide again"),
        )
        .with("actual", actual.0)
        .with("expected", expected.0)
        .with("events_since", serde_json::json!(since)))
    }

    /// The types of the events of a stream after a version: those of the log, then those that are
    /// on their way into it.
    fn events_since(&self, stream: &StreamId, seen: Version) -> Vec<String> {
        const MOST: usize = 50;
        let stored = self.log.read_stream(stream, seen.next(), MOST).unwrap_or_default();
        let stored =
            stored.iter().map(|(c, i)| (c.events[*i].event.version, c.events[*i].event.event_type.to_string()));
        let coming = self.in_flight_order.iter().filter_map(|(_, key)| self.in_flight.get(key)).flat_map(|f| &f.events);
        let coming = coming.filter(|(s, v, _)| s == stream && *v > seen).map(|(_, v, t)| (*v, t.to_string()));
        let all: BTreeMap<Version, String> = stored.chain(coming).collect();
        all.into_values().take(MOST).collect()
    }

    fn decide_command(
        &mut self,
        job: &Job,
        command: &Command,
    ) -> Result<Result<(Decision, StreamId), Rejection>, Trouble> {
        let actor = match self.actor(job, command) {
            Ok(a) => a,
            Err(r) => return Ok(Err(r)),
        };
        let Some(aggregate_id) = job.envelope.aggregate_id else {
            return Ok(Err(Rejection::invalid("aggregate_id", "is required")));
        };
        let stream = StreamId::new(command.command_type().aggregate(), aggregate_id);
        let (state, version) = self.load(stream)?;
        if version == Version::ZERO && self.domain.needs_existing(command) {
            return Ok(Err(Rejection::not_found(format!("there is no {stream}"))));
        }
        let stale = self.check_version(job, command, &stream, version).err();
        let people = Directory(self.accounts.as_ref());
        let ctx = DecisionContext {
            people: &people,
            received_at: job.received_at,
            occurred_at: job.envelope.occurred_at.unwrap_or(job.received_at),
            captured_offline: job.envelope.captured_offline,
            actor: &actor,
            site: job.site.as_ref(),
            aggregate_id,
            version,
        };
        let decided = self.domain.decide(&state, command, &ctx);
        if let Some(r) = stale {
            // Whoever may not see it, or may not do this there, is not told what has happened to it.
            let shut =
                |d: &Rejection| matches!(d.code, ErrorCode::NotFound | ErrorCode::Forbidden) && d.field.is_none();
            return Ok(Err(decided.err().filter(shut).unwrap_or(r)));
        }
        if !matches!(&decided, Err(r) if matches!(r.code, ErrorCode::InvalidState | ErrorCode::NotFound | ErrorCode::Forbidden))
            && let Err(r) = check_time(&ctx)
        {
            return Ok(Err(r));
        }
        Ok(decided.map(|d| (d, stream)))
    }

    /// Seals, encodes and folds the events of a decision.
    fn draft(&mut self, job: &Job, decision: &Decision) -> Result<Result<Vec<NewEvent>, Rejection>, Trouble> {
        let mut drafts = Vec::with_capacity(decision.events.len());
        let mut states: HashMap<StreamId, (D::State, Version)> = HashMap::new();
        let mut observed = Vec::with_capacity(decision.events.len());
        for (stream, event) in &decision.events {
            let entry = match states.entry(*stream) {
                std::collections::hash_map::Entry::Occupied(o) => o.into_mut(),
                std::collections::hash_map::Entry::Vacant(v) => v.insert(self.load(*stream)?),
            };
            let mut event = event.clone();
            let (mut subject, mut failed) = (None, None);
            event.sealed_fields(&mut |s| {
                let subject = subject
                    .get_or_insert_with(|| self.domain.data_subject(&entry.0, stream, &decision.events, &job.account));
                if let Err(e) = self.vault.seal(subject, s) {
                    failed = Some(e.to_string());
                }
            });
            if let Some(why) = failed {
                return Err(Trouble(format!("sealing text: {why}")));
            }
            let (event_type, schema, payload) = match event.encode() {
                Ok(x) => x,
                Err(bincode_error) => {
                    tracing::debug!(error = ?bincode_error, "event does not fit");
                    return Ok(Err(Rejection::invalid(
                        "payload",
                        "makes an event of more than 16384 bytes: send it in parts",
                    )));
                }
            };
            entry.1 = entry.1.next();
            let new = NewEvent {
                stream: *stream,
                version: entry.1,
                event_id: EventId(Uuid::now_v7()),
                event_type: event_type.into(),
                schema,
                occurred_at: job.envelope.occurred_at.unwrap_or(job.received_at),
                late: decision.late,
                payload,
            };
            let m = EventMeta {
                event_id: new.event_id,
                version: new.version,
                occurred_at: new.occurred_at,
                recorded_at: job.received_at,
                account: job.account.clone(),
                role: Some(decision.role),
                late: new.late,
            };
            D::evolve(&mut entry.0, stream, &event, &m);
            observed.push((*stream, event, m));
            drafts.push(new);
        }
        // Only now, when nothing can fail any more, does the decision become visible to the next.
        for (stream, event, m) in &observed {
            self.domain.observe(stream, event, m);
        }
        for (stream, entry) in states {
            self.cache.put(stream, entry);
        }
        Ok(Ok(drafts))
    }

    /// What a command without an id means by another name. Authorisation comes before: who may not
    /// use the command must not learn what there is.
    fn find(&self, job: &mut Job) -> Result<(), Rejection> {
        let Ok(command) = &job.envelope.command else { return Ok(()) };
        if job.envelope.aggregate_id.is_none() {
            self.actor(job, command)?;
            job.envelope.aggregate_id = self.domain.named(command)?;
        }
        Ok(())
    }

    fn outcome(&mut self, job: &Job) -> Result<(Outcome, Option<(Decision, Vec<NewEvent>)>), Trouble> {
        // What was captured without a connection can't be corrected on the spot: it is marked, so
        // that somebody is shown it.
        let offline = job.envelope.captured_offline;
        let refused = |r: Rejection| -> Result<(Outcome, Option<(Decision, Vec<NewEvent>)>), Trouble> {
            match r {
                r if r.retryable => Err(Trouble(r.message)),
                r if offline => Ok((Outcome::Rejected(r.with("captured_offline", true)), None)),
                r => Ok((Outcome::Rejected(r), None)),
            }
        };
        let command = match &job.envelope.command {
            Ok(c) => c,
            Err(r) => return refused(r.clone()),
        };
        let (decision, _) = match self.decide_command(job, command)? {
            Ok(d) => d,
            Err(r) => return refused(r),
        };
        // Another aggregate answers it already; what that one is told about it is kept.
        let outcome = if decision.existing.is_some() { Outcome::Existing } else { Outcome::Accepted };
        if outcome == Outcome::Accepted
            && let Some(hook) = &mut self.before_commit
            && let Err(r) = hook(command, &decision)
        {
            return refused(r);
        }
        match self.draft(job, &decision)? {
            Ok(events) => Ok((outcome, Some((decision, events)))),
            Err(r) => refused(r),
        }
    }

    /// The version of an aggregate that a decision left as it was.
    fn standing(&mut self, job: &Job, decision: &Decision) -> Version {
        let (None, Ok(command), Some(id)) = (decision.existing, &job.envelope.command, job.envelope.aggregate_id)
        else {
            return Version::ZERO;
        };
        let stream = StreamId::new(command.command_type().aggregate(), id);
        self.load(stream).map_or(Version::ZERO, |(_, version)| version)
    }

    /// The role in which a refused command would have been allowed by the access policy, widest first.
    fn would_act_as(&self, job: &Job) -> Option<Role> {
        let command = job.envelope.command.as_ref().ok()?;
        self.actor(job, command).ok()?.grants.first().map(|(role, _)| *role)
    }

    fn head_of(
        &mut self,
        job: &Job,
        id: CommandId,
        outcome: Outcome,
        decided: Option<&(Decision, Vec<NewEvent>)>,
    ) -> CommitHead {
        let aggregate_id = decided.and_then(|(d, _)| d.existing.or(d.made)).or(job.envelope.aggregate_id);
        let version = decided.map_or(Version::ZERO, |(d, events)| {
            let last = events.iter().rev().find(|e| Some(e.stream.id) == aggregate_id).map(|e| e.version);
            // Accepted, and nothing happened: the aggregate is where it was.
            last.unwrap_or_else(|| self.standing(job, d))
        });
        CommitHead {
            command_id: id,
            command_type: job.envelope.type_name.as_str().into(),
            account: job.account.clone(),
            role: decided.map(|(d, _)| d.role).or_else(|| self.would_act_as(job)),
            site: job.site.clone(),
            payload_hash: job.envelope.payload_hash,
            aggregate_id,
            version,
            recorded_at: job.received_at,
            occurred_at: job.envelope.occurred_at.unwrap_or(job.received_at),
            device: job.envelope.device_id.as_ref().map(|d| d.as_str().into()),
            correlation_id: job.envelope.correlation_id,
            causation_id: job.envelope.causation_id,
            outcome,
            warnings: decided.map(|(d, _)| warnings(d, &job.envelope.ignored)).unwrap_or_default(),
        }
    }

    fn remember(
        &mut self,
        account: &AccountName,
        id: CommandId,
        hash: [u8; 32],
        number: CommitNumber,
        new: &[NewEvent],
    ) {
        let key = (account.clone(), id);
        let events = new.iter().map(|e| (e.stream, e.version, e.event_type.clone())).collect();
        self.in_flight.insert(key.clone(), InFlight { hash, number, events });
        self.in_flight_order.push_back((number, key));
    }

    fn unavailable(&self, job: &Job, why: &Trouble) -> Answer {
        tracing::error!(command_id = %job.envelope.command_id, reason = %why.0, "a command could not be decided");
        let r = Rejection::new(ErrorCode::Unavailable, "the service can't decide this now; send it again");
        Answer::Direct(Box::new(Reply::rejected(Some(job.envelope.command_id), self.domain.context(), r)))
    }
}

fn reused(id: CommandId) -> Rejection {
    let message = "this command_id was used for another command: make a new id for a new command";
    Rejection::new(ErrorCode::IdempotencyKeyReused, message).with("command_id", id.to_string())
}

/// What the sender should know: fields without effect may be misspelt ones.
fn warnings(decision: &Decision, ignored: &[String]) -> Vec<Warning> {
    let mut all = decision.warnings.clone();
    if !ignored.is_empty() {
        let message = format!("there are no such fields, so they had no effect: {}", ignored.join(", "));
        all.push(Warning { code: "unknown_fields".to_owned(), message });
    }
    all
}

impl<D: Domain> log::Decider for CommandDecider<D> {
    type Job = Box<Job>;
    type Ticket = Ticket;

    fn decide(&mut self, mut job: Box<Job>, at: Head) -> log::Decision<Ticket> {
        self.forget_durable();
        let found = self.find(&mut job);
        let id = job.envelope.command_id;
        let hash = job.envelope.payload_hash;
        // A refused reuse of an id is stored under an id of its own, derived from both, so that it
        // neither hides the first outcome nor acts twice itself.
        let reuse_id = CommandId(Uuid::new_v5(&id.0, &hash));
        let seen = self.seen(&job.account, id, &hash, job.received_at).and_then(|s| match s {
            Seen::Other => self.seen(&job.account, reuse_id, &hash, job.received_at).map(|again| (Seen::Other, again)),
            s => Ok((s, Seen::Never)),
        });
        let again =
            |stored_id, duplicate| Answer::Again { account: job.account.clone(), stored_id, command_id: id, duplicate };
        let (stored_id, result) = match seen {
            Err(trouble) => {
                let answer = self.unavailable(&job, &trouble);
                return log::Decision::Answer(Ticket { reply_to: job.reply_to, answer, started: job.started });
            }
            Ok((Seen::Same, _)) => {
                let answer = again(id, true);
                return log::Decision::Answer(Ticket { reply_to: job.reply_to, answer, started: job.started });
            }
            Ok((Seen::Other, Seen::Same)) => {
                let answer = again(reuse_id, false);
                return log::Decision::Answer(Ticket { reply_to: job.reply_to, answer, started: job.started });
            }
            Ok((Seen::Other, _)) => {
                // What has no shape is told so first.
                let shapeless = job.envelope.command.as_ref().err().cloned();
                (reuse_id, Ok((Outcome::Rejected(shapeless.unwrap_or_else(|| reused(id))), None)))
            }
            Ok((Seen::Never, _)) => match found {
                Ok(()) => (id, self.outcome(&job)),
                Err(r) => (id, Ok((Outcome::Rejected(r), None))),
            },
        };
        match result {
            Err(trouble) => {
                let answer = self.unavailable(&job, &trouble);
                log::Decision::Answer(Ticket { reply_to: job.reply_to, answer, started: job.started })
            }
            Ok((outcome, decided)) => {
                let head = self.head_of(&job, stored_id, outcome, decided.as_ref());
                let events = decided.map(|(_, e)| e).unwrap_or_default();
                self.remember(&job.account, stored_id, hash, at.commit.next(), &events);
                let answer = Answer::Committed { command_id: id };
                log::Decision::Commit(
                    NewCommit { head, events },
                    Ticket { reply_to: job.reply_to, answer, started: job.started },
                )
            }
        }
    }
}

fn derived(command: &Command) -> Option<AggregateId> {
    command.derived_id()
}

fn allowance(a: mw_policy::Allowance) -> Allowance {
    match a {
        mw_policy::Allowance::Yes => Allowance::Yes,
        mw_policy::Allowance::IfSite(_) => Allowance::Setting,
        mw_policy::Allowance::FourEyes => Allowance::FourEyes,
        mw_policy::Allowance::Assigned => Allowance::Assigned,
        mw_policy::Allowance::Own => Allowance::Own,
        mw_policy::Allowance::OwnCell => Allowance::OwnCell,
    }
}

/// G3: not in the future by more than the skew, not older than the widest window of the roles
/// under which the command is allowed.
fn check_time(ctx: &DecisionContext<'_>) -> Result<(), Rejection> {
    let age = ctx.received_at.since(ctx.occurred_at);
    if -age > MAX_SKEW_MS {
        return Err(Rejection::new(
            ErrorCode::ClockSkew,
            format!("occurred_at lies {} s in the future: set the device's clock", -age / 1000),
        )
        .at("occurred_at"));
    }
    let window = ctx
        .actor
        .grants
        .iter()
        .map(|(role, _)| mw_policy::backdate_window(*role, ctx.captured_offline))
        .max()
        .unwrap_or(0);
    if age > window {
        return Err(Rejection::new(
            ErrorCode::BackdateLimit,
            format!("occurred_at is older than the {} h that your role may backdate", window / 3_600_000),
        )
        .at("occurred_at"));
    }
    Ok(())
}

/// Everything about a stored event but its data.
pub fn meta(commit: &StoredCommit, e: &NewEvent) -> EventMeta {
    EventMeta {
        event_id: e.event_id,
        version: e.version,
        occurred_at: e.occurred_at,
        recorded_at: commit.head.recorded_at,
        account: commit.head.account.clone(),
        role: commit.head.role,
        late: e.late,
    }
}

/// The reply of a ticket whose batch is durable.
pub fn reply_of(
    log: &dyn EventLog,
    context: mw_contract::Context,
    commit: Option<&StoredCommit>,
    answer: Answer,
) -> Reply {
    match (answer, commit) {
        (Answer::Committed { command_id }, Some(c)) => {
            Reply { command_id: Some(command_id), ..c.reply(context, false) }
        }
        (Answer::Direct(reply), _) => *reply,
        (Answer::Again { account, stored_id, command_id, duplicate }, _) => match log.outcome(&account, &stored_id) {
            Ok(Some(c)) => Reply { command_id: Some(command_id), ..c.reply(context, duplicate) },
            Ok(None) | Err(_) => lost(context, command_id),
        },
        (Answer::Committed { command_id }, None) => lost(context, command_id),
    }
}

fn lost(context: mw_contract::Context, command_id: CommandId) -> Reply {
    let r = Rejection::new(ErrorCode::Unavailable, "the first outcome can't be read now; send it again");
    Reply { status: ReplyStatus::Rejected, ..Reply::rejected(Some(command_id), context, r) }
}
/// The accounts that a command may name, as deciders see them.
struct Directory<'a>(&'a dyn Accounts);

impl std::fmt::Debug for Directory<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Directory")
    }
}

impl People for Directory<'_> {
    fn person(&self, account: &AccountName) -> Option<Person> {
        let a = self.0.account(account).filter(|a| !a.disabled && !a.service)?;
        Some(Person { roles: a.roles.clone(), sites: a.sites.clone() })
    }
}
