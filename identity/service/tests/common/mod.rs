//! A system in small: identity's log in memory, and everything that hangs on it.
#![allow(dead_code)]

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use mw_contract::commit::CommitHead;
use mw_contract::{
    AccountName, AggregateKind, CommandId, CommitNumber, Context, Event, EventId, Head, Instant, NewEvent, Outcome,
    Position, Role, SiteId, StoredCommit, StoredEvent, StreamId, Version, ids,
};
use mw_identity::cache::SuccessCache;
use mw_identity::login::TokenGate;
use mw_identity::secrets::{HashCost, SecretStore};
use mw_identity::throttle::Limits;
use mw_identity::tokens::UnixSeconds;
use mw_identity::{Directory, Feed, KeyRing, Login, Verifier};
use mw_log::{LogError, LogReader};
use parking_lot::Mutex;
use tokio::sync::watch;

pub const CHEAP: HashCost = HashCost { memory: 64, passes: 1 };

pub fn name(s: &str) -> AccountName {
    AccountName::new(s).unwrap()
}

pub fn site(s: &str) -> SiteId {
    SiteId::new(s).unwrap()
}

/// Identity's log, in memory.
pub struct MemoryLog {
    commits: Mutex<Vec<Arc<StoredCommit>>>,
    head: watch::Sender<Head>,
}

impl MemoryLog {
    pub fn new() -> Arc<Self> {
        Arc::new(MemoryLog { commits: Mutex::default(), head: watch::Sender::new(Head::default()) })
    }

    /// Appends one commit with one event (or none: a refusal); answers the event's version.
    pub fn append(&self, account: &str, event: Option<Event>) -> Version {
        let mut commits = self.commits.lock();
        let stream = StreamId::new(AggregateKind::Account, ids::account_id(&name(account)));
        let earlier = commits.iter().flat_map(|c| &c.events).filter(|e| e.event.stream == stream).count();
        let version = Version(earlier as u64 + 1);
        let last = commits.last().map(|c| c.head_after()).unwrap_or_default();
        let (position, events) = match event {
            None => (last.position, vec![]),
            Some(e) => {
                let (event_type, schema, payload) = e.encode().unwrap();
                let event = NewEvent {
                    stream,
                    version,
                    event_id: EventId(uuid::Uuid::now_v7()),
                    event_type: event_type.into(),
                    schema,
                    occurred_at: Instant::clamped(0),
                    late: false,
                    payload,
                };
                (last.position.next(), vec![StoredEvent { position: last.position.next(), event }])
            }
        };
        let commit = StoredCommit {
            number: last.commit.next(),
            last_position: Position(position.0),
            head: CommitHead {
                command_id: CommandId(uuid::Uuid::now_v7()),
                command_type: "account.test".into(),
                account: name("admin"),
                role: Some(Role::Admin),
                site: None,
                payload_hash: [0; 32],
                aggregate_id: Some(stream.id),
                version,
                recorded_at: Instant::clamped(0),
                occurred_at: Instant::clamped(0),
                device: None,
                correlation_id: None,
                causation_id: None,
                outcome: Outcome::Accepted,
                warnings: vec![],
            },
            events,
        };
        let head = commit.head_after();
        commits.push(Arc::new(commit));
        self.head.send_replace(head);
        version
    }

    pub fn next_version(&self, account: &str) -> Version {
        let stream = StreamId::new(AggregateKind::Account, ids::account_id(&name(account)));
        let n = self.commits.lock().iter().flat_map(|c| &c.events).filter(|e| e.event.stream == stream).count();
        Version(n as u64 + 1)
    }
}

#[async_trait]
impl LogReader for MemoryLog {
    fn context(&self) -> Context {
        Context::Identity
    }
    async fn read(&self, from: CommitNumber, limit: usize) -> Result<Vec<Arc<StoredCommit>>, LogError> {
        Ok(self.commits.lock().iter().filter(|c| c.number >= from).take(limit).cloned().collect())
    }
    async fn head(&self) -> Result<Head, LogError> {
        Ok(*self.head.borrow())
    }
    async fn wait(&self, seen: CommitNumber) -> Result<(), LogError> {
        let _ = self.head.subscribe().wait_for(|h| h.commit > seen).await;
        Ok(())
    }
}

/// Everything of identity over one directory.
pub struct System {
    pub log: Arc<MemoryLog>,
    pub store: Arc<SecretStore>,
    pub directory: Arc<Directory>,
    pub cache: Arc<SuccessCache>,
    pub keys: Arc<KeyRing>,
    pub verifier: Arc<Verifier>,
    pub login: Arc<Login>,
    feed: tokio::task::JoinHandle<()>,
}

impl Drop for System {
    fn drop(&mut self) {
        self.feed.abort();
    }
}

impl System {
    pub async fn start(dir: &Path, log: Arc<MemoryLog>, limits: Limits) -> System {
        let store = SecretStore::open(&dir.join("identity/secrets.db"), CHEAP).unwrap();
        let keys = Arc::new(KeyRing::open(&dir.join("keys"), UnixSeconds::now()).unwrap());
        let directory = Directory::with_services([name("svc-query")]);
        let cache = Arc::new(SuccessCache::new().unwrap());
        let verifier = Arc::new(Verifier::new(keys.public(), vec![]));
        let feed = Feed::with_secrets(directory.clone(), store.clone(), cache.clone());
        feed.catch_up(&*log).await.unwrap();
        let reader = log.clone();
        let feed = tokio::spawn(async move { feed.follow(&*reader).await.unwrap() });
        let gate = TokenGate { directory: directory.clone(), verifier: verifier.clone() };
        let login = Arc::new(Login::new(gate, keys.clone(), store.clone(), cache.clone(), log.clone(), limits));
        System { log, store, directory, cache, keys, verifier, login, feed }
    }

    /// What the command service does: stage, then commit.
    pub fn commit(&self, account: &str, event: Event, secret: Option<&str>) {
        if matches!(event, Event::AccountAdded(_) | Event::AccountSecretRotated(_)) {
            self.store.stage(&name(account), self.log.next_version(account), secret).unwrap();
        }
        self.log.append(account, Some(event));
    }

    pub fn add(&self, account: &str, role: Role, secret: Option<&str>) {
        self.commit(account, added(account, role), secret);
    }
}

pub fn added(account: &str, role: Role) -> Event {
    mw_contract::event::account::AccountAddedV1 {
        account: name(account),
        roles: vec![role],
        sites: vec![site("plant-1")],
        customer_id: (role == Role::Customer).then(|| mw_contract::CustomerId::new("acme").unwrap()),
        cell: (role == Role::Device).then(|| mw_contract::CellId::new("cell-1").unwrap()),
    }
    .into()
}

pub fn rotated(account: &str) -> Event {
    mw_contract::event::account::AccountSecretRotatedV1 { account: name(account) }.into()
}

pub fn disabled(account: &str) -> Event {
    mw_contract::event::account::AccountDisabledV1 { account: name(account), reason: None }.into()
}

pub fn enabled(account: &str) -> Event {
    mw_contract::event::account::AccountEnabledV1 { account: name(account) }.into()
}
