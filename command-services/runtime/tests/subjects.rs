//! Whose key seals a text, and what an erasure leaves of it: with a business that knows customers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mw_contract::decide::{Decision, DecisionContext, Domain, EventMeta};
use mw_contract::event::{samples, ticket::TicketOpenedV1};
use mw_contract::{
    AccountName, Command, CommitNumber, Context, CustomerId, DataSubject, Event, EventId, Instant, Rejection,
    ReplyStatus, Role, Sealed, StreamId, cloud,
};
use mw_log::{CheckpointKey, EventLog, OpenOptions, SledLog, Vault, VerifyingKey};
use mw_policy::Account;
use mw_runtime::metrics::Metrics;
use mw_runtime::{Accounts, BusinessClock, CommandService, Parts};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use uuid::Uuid;

/// Opens tickets of customers and takes comments on them.
struct Desk;

/// The customer of a ticket.
#[derive(Clone, Default)]
struct Ticket(Option<CustomerId>);

fn opened(customer: Option<CustomerId>, description: Option<Sealed>) -> Event {
    let sample = samples::all().into_iter().find_map(|e| match e {
        Event::TicketOpened(e) => Some(e),
        _ => None,
    });
    TicketOpenedV1 { customer_id: customer, description, ..sample.unwrap() }.into()
}

impl Domain for Desk {
    type State = Ticket;

    fn context(&self) -> Context {
        Context::AfterService
    }

    fn decide(&self, _: &Ticket, command: &Command, ctx: &DecisionContext<'_>) -> Result<Decision, Rejection> {
        let stream = StreamId::new(command.command_type().aggregate(), ctx.aggregate_id);
        let event = match command {
            Command::TicketOpen(c) => opened(c.customer_id.clone(), c.description.as_ref().map(Sealed::plain)),
            Command::TicketComment(c) => {
                let mut comment = samples::all().into_iter().find(|e| matches!(e, Event::CommentAdded(_))).unwrap();
                comment.sealed_fields(&mut |s| *s = Sealed::plain(&c.text));
                comment
            }
            other => return Err(Rejection::invalid("type", other.command_type().as_str())),
        };
        Ok(Decision::on(stream, Role::Dispatcher, [event]))
    }

    fn evolve(state: &mut Ticket, _: &StreamId, event: &Event, _: &EventMeta) {
        if let Event::TicketOpened(e) = event {
            assert!(matches!(e.description, None | Some(Sealed::Cipher { .. })), "state is folded from sealed text");
            state.0 = e.customer_id.clone();
        }
    }

    fn observe(&mut self, _: &StreamId, _: &Event, _: &EventMeta) {}

    fn needs_existing(&self, command: &Command) -> bool {
        !matches!(command, Command::TicketOpen(_))
    }

    fn data_subject(
        &self,
        state: &Ticket,
        stream: &StreamId,
        events: &[(StreamId, Event)],
        author: &AccountName,
    ) -> DataSubject {
        let opened = events.iter().find_map(|(s, e)| match e {
            Event::TicketOpened(e) if s == stream => e.customer_id.clone(),
            _ => None,
        });
        opened.or(state.0.clone()).map_or_else(|| DataSubject::Account(author.clone()), DataSubject::Customer)
    }
}

/// Everybody is a dispatcher of the plant.
struct Dispatchers;

impl Accounts for Dispatchers {
    fn account(&self, name: &AccountName) -> Option<Arc<Account>> {
        Some(Arc::new(Account {
            name: name.clone(),
            roles: [Role::Dispatcher].into(),
            sites: ["plant-1".parse().unwrap()].into(),
            customer_id: None,
            cell: None,
            disabled: false,
            service: false,
        }))
    }
}

struct Rig {
    service: Arc<CommandService>,
    vault: Arc<Vault>,
    log: Arc<SledLog>,
}

fn sled(dir: &Path) -> Arc<SledLog> {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    loop {
        let key = CheckpointKey::load_or_create(&dir.join("keys/checkpoint.key")).unwrap();
        match SledLog::open(OpenOptions::under(dir, Context::AfterService, Arc::new(key))) {
            Err(mw_log::LogError::InUse(_)) if std::time::Instant::now() < deadline => std::thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
}

async fn start(dir: &Path) -> Rig {
    let log = sled(dir);
    let vault = Vault::open_with_list(&dir.join("vault/after-service"), &dir.join("erased/after-service"));
    let vault = Arc::new(vault.unwrap());
    let parts = Parts {
        log: log.clone(),
        vault: vault.clone(),
        accounts: Arc::new(Dispatchers),
        clock: Arc::new(BusinessClock::demo("2026-03-02T08:00:00.000Z".parse::<Instant>().unwrap(), 1.0)),
        bus: None,
        state_dir: dir.join("state"),
        metrics: Metrics::register(&mut Registry::default(), Context::AfterService),
        before_commit: None,
    };
    Rig { service: CommandService::start(Desk, parts).await.unwrap(), vault, log }
}

impl Rig {
    async fn send(&self, account: &str, kind: &str, ticket: Uuid, payload: Value) {
        let c = json!({"command_id": Uuid::now_v7(), "type": kind, "aggregate_id": ticket, "payload": payload});
        let site = Some("plant-1".parse().unwrap());
        let reply = self.service.execute(account.parse().unwrap(), site, c.to_string().as_bytes()).await.unwrap();
        assert_eq!(reply.status, ReplyStatus::Accepted, "{:?}", reply.error);
    }

    async fn open(&self, account: &str, customer: Option<&str>, text: &str) -> Uuid {
        let ticket = Uuid::now_v7();
        let payload = json!({"channel": "phone", "title": "it leaks", "description": text, "customer_id": customer});
        self.send(account, "ticket.open", ticket, payload).await;
        ticket
    }

    async fn comment(&self, account: &str, ticket: Uuid, text: &str) {
        let payload = json!({"comment_id": Uuid::now_v7(), "text": text, "visibility": "internal"});
        self.send(account, "ticket.comment", ticket, payload).await;
    }

    /// Every text of the log, as the vault opens it: `None` where it was erased.
    fn texts(&self) -> Vec<Option<String>> {
        let mut texts = Vec::new();
        for c in self.log.read(CommitNumber(1), 1000).unwrap() {
            for e in &c.events {
                cloud::decode(e).unwrap().sealed_fields(&mut |s| {
                    let text = self.vault.open_text(s);
                    assert_eq!(self.vault.is_erased(s), text.is_none());
                    texts.push(text);
                });
            }
        }
        texts
    }

    fn erase(&self, subject: DataSubject) -> EventId {
        let erasure = EventId(Uuid::now_v7());
        assert!(self.vault.erase(erasure, &subject).unwrap());
        erasure
    }

    async fn stop(self) {
        self.service.shutdown().await;
        self.log.close().unwrap();
    }
}

fn customer(code: &str) -> DataSubject {
    DataSubject::Customer(code.parse().unwrap())
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|t| (*t != "-").then(|| (*t).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn text_on_a_ticket_is_its_customers_whoever_wrote_it_and_else_the_authors() {
    let dir = tempfile::tempdir().unwrap();
    let r = start(dir.path()).await;
    let theirs = r.open("anna", Some("acme"), "Mrs Miller, second floor").await;
    let internal = r.open("acme", None, "the crane squeaks").await;
    r.comment("ben", theirs, "she is in on Mondays").await;
    r.comment("ben", internal, "my back hurts").await;
    // An account that is called as the customer is somebody else.
    r.erase(DataSubject::Account("acme".parse().unwrap()));
    assert_eq!(r.texts(), some(&["Mrs Miller, second floor", "-", "she is in on Mondays", "my back hurts"]));
    r.erase(customer("acme"));
    assert_eq!(r.texts(), some(&["-", "-", "-", "my back hurts"]));
    r.erase(DataSubject::Account("ben".parse().unwrap()));
    assert_eq!(r.texts(), some(&["-", "-", "-", "-"]));
    r.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_changes_no_frame_and_no_proof_and_whoever_comes_back_is_readable_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let r = start(dir.path()).await;
    let ticket = r.open("anna", Some("acme"), "Mrs Miller, second floor").await;
    r.comment("anna", ticket, "she is in on Mondays").await;
    let frames = |r: &Rig| -> Vec<Vec<u8>> {
        r.log.read(CommitNumber(1), 1000).unwrap().iter().map(|c| mw_log::frame::encode_stored(c)).collect()
    };
    let payload = |e: &mw_contract::StoredEvent| cloud::decode(e).map(|_| ()).map_err(|e| e.to_string());
    let (before, root) = (frames(&r), mw_log::verify::verify(&*r.log, None, &payload, &mut |_| {}).unwrap().root);
    r.erase(customer("acme"));
    let after = mw_log::verify::verify(&*r.log, None, &payload, &mut |_| {}).unwrap();
    assert_eq!((frames(&r), after.root), (before.clone(), root));
    assert_eq!(r.texts(), some(&["-", "-"]));
    r.stop().await;

    // The signed head of before still holds, and the aggregate is folded from what is stored.
    let r = start(dir.path()).await;
    let key = VerifyingKey::load(&dir.path().join("keys/checkpoint.pub")).unwrap();
    let signed = mw_log::checkpoint::read(&dir.path().join("checkpoints/after-service"), &key, Context::AfterService);
    let signed = signed.unwrap().unwrap();
    assert_eq!((signed.size, signed.root), (2, root));
    // Only now: a head of three may be signed any time after it.
    r.comment("anna", ticket, "they bought a new one").await;
    mw_log::verify::verify(&*r.log, Some(&signed), &payload, &mut |_| {}).unwrap();
    r.stop().await;
    let r = start(dir.path()).await;
    assert_eq!(r.texts(), some(&["-", "-", "they bought a new one"]));
    assert_eq!(frames(&r)[..2], before[..]);
    r.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_is_copied_back_opens_nothing_that_was_erased() {
    let dir = tempfile::tempdir().unwrap();
    let r = start(dir.path()).await;
    r.open("anna", Some("acme"), "Mrs Miller, second floor").await;
    let vault = dir.path().join("vault/after-service");
    let keys: Vec<_> = std::fs::read_dir(&vault).unwrap().map(|e| e.unwrap().path()).collect();
    let backup: Vec<_> = keys.iter().map(|p| std::fs::read(p).unwrap()).collect();
    r.erase(customer("acme"));
    r.stop().await;
    std::fs::remove_dir_all(&vault).unwrap();
    std::fs::create_dir_all(&vault).unwrap();
    for (path, bytes) in keys.iter().zip(&backup) {
        std::fs::write(path, bytes).unwrap();
    }
    let r = start(dir.path()).await;
    assert_eq!(r.texts(), some(&["-"]));
    assert!(keys.iter().all(|p| !p.exists()));
    r.stop().await;
}
