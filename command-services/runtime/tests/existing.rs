//! A command that an aggregate answers already: the reply is a duplicate that names it, and what that
//! aggregate is told of it is stored like everything else.

use std::sync::Arc;

use mw_after_service::AfterService;
use mw_after_service::known::Nothing;
use mw_contract::commit::Outcome;
use mw_contract::{
    AccountName, AggregateId, AggregateKind, CommitNumber, Context, Instant, Reply, ReplyStatus, Role, StreamId,
    Version,
};
use mw_log::{EventLog, MemoryLog, Vault};
use mw_policy::Account;
use mw_runtime::metrics::Metrics;
use mw_runtime::{Accounts, BusinessClock, CommandService, Parts};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use uuid::Uuid;

/// One customer's account.
struct Acme;

impl Accounts for Acme {
    fn account(&self, name: &AccountName) -> Option<Arc<Account>> {
        Some(Arc::new(Account {
            name: name.clone(),
            roles: [Role::Customer].into(),
            sites: ["plant-1".parse().unwrap()].into(),
            customer_id: Some("acme".parse().unwrap()),
            cell: None,
            disabled: false,
            service: false,
        }))
    }
}

async fn service(dir: &std::path::Path, log: Arc<dyn EventLog>) -> Arc<CommandService> {
    let parts = Parts {
        log,
        vault: Arc::new(Vault::open(&dir.join("vault")).unwrap()),
        accounts: Arc::new(Acme),
        clock: Arc::new(BusinessClock::demo("2026-03-02T08:00:00.000Z".parse::<Instant>().unwrap(), 1.0)),
        bus: None,
        state_dir: dir.join("state"),
        metrics: Metrics::register(&mut Registry::default(), Context::AfterService),
        before_commit: None,
    };
    CommandService::start(AfterService::new(Arc::new(Nothing)), parts).await.unwrap()
}

fn report(ticket: Uuid) -> Value {
    let payload = json!({"channel": "portal", "title": "pump leaks", "serial": "SN-1", "dedupe_key": "SN-1:leaks",
        "description": "Mrs Miller saw it"});
    json!({"command_id": Uuid::now_v7(), "type": "ticket.open", "aggregate_id": ticket, "payload": payload})
}

async fn ask(service: &CommandService, command: &Value) -> Reply {
    let bytes = command.to_string();
    service.execute("customer-1".parse().unwrap(), Some("plant-1".parse().unwrap()), bytes.as_bytes()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_existing_aggregate_is_told_is_committed_and_the_reply_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(Context::AfterService));
    let s = service(dir.path(), log.clone()).await;
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    let opened = ask(&s, &report(first)).await;
    assert_eq!(opened.status, ReplyStatus::Accepted, "{opened:?}");
    let version = opened.version.unwrap();

    let command = report(second);
    let reply = ask(&s, &command).await;
    assert_eq!((reply.status, reply.aggregate_id.map(|a| a.0)), (ReplyStatus::Duplicate, Some(first)), "{reply:?}");
    let told: Vec<(&str, Version)> = reply.events.iter().map(|e| (e.event_type.as_str(), e.version)).collect();
    assert_eq!(told, [("TicketOccurrenceAdded", version.next())]);
    assert_eq!((reply.version, reply.position), (Some(version.next()), Some(log.head().position)));

    let commit = log.read(CommitNumber(1), 10).unwrap().last().unwrap().clone();
    assert_eq!((&commit.head.outcome, commit.events.len()), (&Outcome::Existing, 1));
    let stream = StreamId::new(AggregateKind::Ticket, AggregateId(second));
    assert!(log.read_stream(&stream, Version(1), 1).unwrap().is_empty(), "no second ticket");
    assert!(!mw_log::frame::encode_stored(&commit).windows(6).any(|w| w == b"Miller"), "sealed like all other text");

    // I-2: a repeat of the same command changes nothing more.
    let again = ask(&s, &command).await;
    assert_eq!((again.status, again.version, again.events.len()), (ReplyStatus::Duplicate, Some(version.next()), 1));
    assert_eq!(log.head().position, reply.position.unwrap());

    // Another start knows of both.
    s.shutdown().await;
    drop(s);
    let s = service(dir.path(), log.clone()).await;
    let third = ask(&s, &report(Uuid::now_v7())).await;
    assert_eq!((third.status, third.version), (ReplyStatus::Duplicate, Some(version.next().next())));
    assert_eq!(third.aggregate_id, reply.aggregate_id);
}
