//! The bus and the log over real sockets, with a broker of the test's own: what survives which break.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mw_broker::{AuthFailure, Authenticator, Broker, BrokerConfig, Principal};
use mw_contract::commit::{CommitHead, NewCommit, NewEvent, Outcome};
use mw_contract::topics::Internal;
use mw_contract::{
    AccountName, AggregateId, AggregateKind, CommandId, CommitNumber, Context, EventId, Instant, Role, StreamId,
    Version,
};
use mw_log::{EventLog, LogReader, MemoryLog};
use mw_policy::Account;
use mw_runtime::bus::remote::{RemoteBus, RemoteConfig};
use mw_runtime::remote_log::{RemoteReader, serve};
use mw_runtime::{Bus, Inbound, Outbound};
use uuid::Uuid;

const SOON: Duration = Duration::from_secs(20);

/// Every name is a service with the secret `secret`, but `stranger`.
struct Services;

#[async_trait]
impl Authenticator for Services {
    async fn authenticate(&self, name: &str, secret: &[u8], _: IpAddr) -> Result<Principal, AuthFailure> {
        if secret != b"secret" {
            return Err(AuthFailure::BadCredentials);
        }
        let account = AccountName::new(name).map_err(|_| AuthFailure::BadCredentials)?;
        Ok(Principal { account, expires_at: None, service: true })
    }

    fn account(&self, name: &AccountName) -> Option<Arc<Account>> {
        Some(Arc::new(Account {
            name: name.clone(),
            roles: [Role::System].into(),
            sites: Default::default(),
            customer_id: None,
            cell: None,
            disabled: false,
            service: true,
        }))
    }
}

fn broker(at: SocketAddr) -> (Broker, SocketAddr) {
    let broker = Broker::start(BrokerConfig::default(), Arc::new(Services)).unwrap();
    let at = broker.listen_tcp(at).unwrap();
    (broker, at)
}

fn any() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn config(at: SocketAddr, account: &str, part: &str, session: Option<Duration>) -> RemoteConfig {
    RemoteConfig {
        host: at.ip().to_string(),
        port: at.port(),
        tls: None,
        client_id: format!("{account}-{part}"),
        account: account.to_owned(),
        secret: "secret".to_owned(),
        session,
        will: None,
    }
}

async fn connect(at: SocketAddr, account: &str, part: &str, session: Option<Duration>) -> RemoteBus {
    let bus = RemoteBus::start(config(at, account, part, session));
    soon(bus.connected()).await.unwrap();
    bus
}

async fn soon<F: Future>(f: F) -> F::Output {
    tokio::time::timeout(SOON, f).await.expect("in time")
}

const TOPIC: &str = "sandbox/remote";
const HOUR: Option<Duration> = Some(Duration::from_secs(3600));

fn said(n: u32) -> Outbound {
    Outbound { topic: TOPIC.to_owned(), payload: n.to_string().into_bytes().into(), ..Outbound::default() }
}

fn number(m: &Inbound) -> u32 {
    std::str::from_utf8(&m.payload).unwrap().parse().unwrap()
}

async fn settled(bus: &RemoteBus) {
    soon(async {
        while bus.flow().settled < bus.flow().handed {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// A subscription is in force once its own echo is heard.
async fn subscribed(bus: &RemoteBus, by: &RemoteBus) {
    bus.subscribe(TOPIC).await.unwrap();
    soon(async {
        loop {
            by.publish(vec![said(0)]).await.unwrap();
            if let Ok(Ok(m)) = tokio::time::timeout(Duration::from_millis(200), bus.recv()).await {
                m.receipt.into_iter().for_each(mw_runtime::Receipt::done);
                return;
            }
        }
    })
    .await;
}

/// The next message that is no echo of [`subscribed`].
async fn next(bus: &RemoteBus) -> Inbound {
    loop {
        let m = soon(bus.recv()).await.unwrap();
        if number(&m) > 0 {
            return m;
        }
        m.receipt.into_iter().for_each(mw_runtime::Receipt::done);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_done_is_given_to_the_next_connection_of_the_session() {
    let (_broker, at) = broker(any());
    let sender = connect(at, "identity", "out", None).await;
    let first = connect(at, "production", "commands", HOUR).await;
    subscribed(&first, &sender).await;
    sender.publish((1..=5).map(said).collect()).await.unwrap();
    settled(&sender).await;
    let mut got = Vec::new();
    for n in 1..=5 {
        let m = next(&first).await;
        assert_eq!(number(&m), n);
        got.push(m);
    }
    // Two are dealt with, one of the others out of order: it may not overtake.
    for at in [0, 1, 3] {
        got[at].receipt.take().unwrap().done();
    }
    first.close(SOON).await;
    drop(first);
    // Said while nobody listened.
    sender.publish(vec![said(6)]).await.unwrap();

    let second = connect(at, "production", "commands", HOUR).await;
    for n in 3..=6 {
        let m = next(&second).await;
        assert_eq!(number(&m), n, "from the first that was not done, in order, with what came meanwhile");
        m.receipt.unwrap().done();
    }
    second.close(SOON).await;
    let third = connect(at, "production", "commands", HOUR).await;
    sender.publish(vec![said(7)]).await.unwrap();
    assert_eq!(number(&next(&third).await), 7, "nothing that was done comes again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_restarts_gets_what_it_had_not_acknowledged() {
    let (first, at) = broker(any());
    let sender = connect(at, "identity", "out", None).await;
    let hearer = connect(at, "production", "in", None).await;
    subscribed(&hearer, &sender).await;
    settled(&sender).await;
    first.shutdown().await;
    drop(first);
    soon(async { drop(sender.connection().wait_for(|up| !*up).await) }).await;
    sender.publish((1..=300).map(said).collect()).await.unwrap();
    assert_eq!(sender.flow().handed - sender.flow().settled, 300, "nothing is settled while nobody is there");
    assert!(sender.trouble().borrow().is_some(), "and it can say why");

    let (_second, _) = broker(at);
    soon(async { drop(hearer.connection().wait_for(|up| *up).await) }).await;
    settled(&sender).await;
    // What was sent before the hearer had subscribed again is gone for it; what it hears is in order.
    sender.publish((301..=400).map(said).collect()).await.unwrap();
    let mut last = 0;
    while last < 400 {
        let n = number(&next(&hearer).await);
        assert!(n > last, "{n} after {last}");
        last = n;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_will_is_said_for_whoever_breaks_away_and_for_nobody_who_says_goodbye() {
    let (_broker, at) = broker(any());
    let watcher = connect(at, "identity", "watch", None).await;
    watcher.subscribe("mw/v1/-/status/production").await.unwrap();
    let will = Some(("mw/v1/-/status/production".to_owned(), "offline"));
    let with_will = |part| RemoteConfig { will: will.clone(), ..config(at, "production", part, None) };
    let say = |text: &'static str| Outbound {
        topic: "mw/v1/-/status/production".to_owned(),
        payload: text.as_bytes().into(),
        retain: true,
        ..Outbound::default()
    };
    let polite = RemoteBus::start(with_will("main"));
    soon(polite.connected()).await.unwrap();
    // Until the watcher's subscription is in force.
    let heard = soon(async {
        loop {
            polite.publish(vec![say("online")]).await.unwrap();
            if let Ok(Ok(m)) = tokio::time::timeout(Duration::from_millis(200), watcher.recv()).await {
                return m;
            }
        }
    })
    .await;
    assert_eq!(&heard.payload[..], b"online");
    polite.close(SOON).await;
    drop(polite);
    let rude = RemoteBus::start(with_will("main"));
    soon(rude.connected()).await.unwrap();
    rude.publish(vec![say("again")]).await.unwrap();
    let mut texts = Vec::new();
    while texts.last().map(String::as_str) != Some("again") {
        texts.push(String::from_utf8(soon(watcher.recv()).await.unwrap().payload.to_vec()).unwrap());
    }
    assert!(!texts.iter().any(|t| t == "offline"), "{texts:?}");
    // Its tasks end without a DISCONNECT.
    drop(rude);
    assert_eq!(&soon(watcher.recv()).await.unwrap().payload[..], b"offline");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_said_plainly() {
    let (_broker, at) = broker(any());
    let bus = RemoteBus::start(RemoteConfig { secret: "wrong".into(), ..config(at, "production", "main", None) });
    let mut trouble = bus.trouble();
    let why = soon(trouble.wait_for(Option::is_some)).await.unwrap().clone().unwrap();
    assert!(why.contains("refuses this service"), "{why}");
    assert!(!*bus.connection().borrow());
}

fn commit(n: u64) -> NewCommit {
    let stream = StreamId::new(AggregateKind::WorkOrder, AggregateId(Uuid::from_u128(u128::from(n))));
    let at = Instant::clamped(1_770_000_000_000);
    NewCommit {
        head: CommitHead {
            command_id: CommandId(Uuid::from_u128(u128::from(n))),
            command_type: "work-order.add-note".into(),
            account: AccountName::new("planner-1").unwrap(),
            role: Some(Role::Planner),
            site: None,
            payload_hash: [0; 32],
            aggregate_id: Some(stream.id),
            version: Version(1),
            recorded_at: at,
            occurred_at: at,
            device: None,
            correlation_id: None,
            causation_id: None,
            outcome: Outcome::Accepted,
            warnings: Vec::new(),
        },
        events: vec![NewEvent {
            stream,
            version: Version(1),
            event_id: EventId(Uuid::from_u128(u128::from(n))),
            event_type: "NoteAdded".into(),
            schema: 1,
            occurred_at: at,
            late: false,
            payload: vec![7; 2000],
        }],
    }
}

/// Reads from `from` to the head that the log has in the end.
async fn read_to(reader: &dyn LogReader, from: u64, to: u64) -> Vec<u64> {
    let mut found = Vec::new();
    let mut seen = CommitNumber(from - 1);
    while seen.0 < to {
        let commits = reader.read(seen.next(), 500).await.unwrap();
        match commits.last() {
            Some(last) => {
                found.extend(commits.iter().map(|c| c.number.0));
                seen = last.number;
            }
            None => reader.wait(seen).await.unwrap(),
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn several_readers_at_different_places_read_on_through_a_restart_of_the_broker() {
    let (first, at) = broker(any());
    let log = Arc::new(MemoryLog::new(Context::Production));
    for batch in 0..20 {
        log.append((1..=50).map(|n| commit(batch * 50 + n)).collect()).unwrap();
    }
    let serving: Arc<dyn Bus> = Arc::new(RemoteBus::start(config(at, "production", "log", None)));
    tokio::spawn(serve(log.clone(), serving));
    let mut readers = Vec::new();
    for (name, from) in [("projections", 1u64), ("query-api", 400), ("processes", 999)] {
        let bus: Arc<dyn Bus> = Arc::new(RemoteBus::start(config(at, name, "reads", None)));
        let reader = RemoteReader::start(Context::Production, AccountName::new(name).unwrap(), bus).await.unwrap();
        readers.push((from, reader));
    }
    for (_, reader) in &readers {
        assert_eq!(soon(reader.head()).await.unwrap(), log.head());
    }
    let tasks: Vec<_> = readers
        .iter()
        .map(|(from, reader)| {
            let (from, reader) = (*from, reader.clone());
            tokio::spawn(async move { (from, read_to(&*reader, from, 1200).await) })
        })
        .collect();
    // In the middle of all that the broker goes and comes back.
    first.shutdown().await;
    drop(first);
    let (_second, _) = broker(at);
    for batch in 20..24 {
        log.append((1..=50).map(|n| commit(batch * 50 + n)).collect()).unwrap();
    }
    for t in tasks {
        let (from, found) = soon(t).await.unwrap();
        assert_eq!(found, (from..=1200).collect::<Vec<_>>(), "every commit once and in order");
    }
    assert_eq!(readers[0].1.known_head(), log.head(), "the wake-up told it");
    assert_eq!(Internal::LogHead.topic(Context::Production), "mw/v1/-/log/production/head");
}
