//! The running service: one log away does not stop the work on the other.

mod common;

use std::sync::Arc;

use async_trait::async_trait;
use common::{Live, at, id, unit};
use mw_contract::{CommitNumber, Context, Head, Instant, Position, StoredCommit};
use mw_log::{LogError, LogReader};
use mw_processes::{Followed, Handle, Metrics, Parts};
use mw_runtime::{Bus, BusError, Clock, Inbound, Outbound};
use parking_lot::Mutex;
use tokio::sync::watch;

/// A log that may be away.
struct FakeLog {
    context: Context,
    commits: Mutex<Vec<Arc<StoredCommit>>>,
    head: watch::Sender<(u64, bool)>,
}

impl FakeLog {
    fn new(context: Context) -> Arc<Self> {
        Arc::new(FakeLog { context, commits: Mutex::default(), head: watch::channel((0, true)).0 })
    }

    fn holds(&self, commits: &[Arc<StoredCommit>]) {
        *self.commits.lock() = commits.to_vec();
        self.head.send_modify(|h| h.0 = commits.len() as u64);
    }

    fn is_there(&self, there: bool) {
        self.head.send_modify(|h| h.1 = there);
    }

    fn check(&self) -> Result<(), LogError> {
        if self.head.borrow().1 { Ok(()) } else { Err(LogError::Remote("nobody answers".into())) }
    }
}

#[async_trait]
impl LogReader for FakeLog {
    fn context(&self) -> Context {
        self.context
    }

    async fn read(&self, from: CommitNumber, limit: usize) -> Result<Vec<Arc<StoredCommit>>, LogError> {
        self.check()?;
        Ok(self.commits.lock().iter().filter(|c| c.number >= from).take(limit).cloned().collect())
    }

    async fn head(&self) -> Result<Head, LogError> {
        self.check()?;
        let n = self.commits.lock().len() as u64;
        Ok(Head { commit: CommitNumber(n), position: Position(0) })
    }

    async fn wait(&self, seen: CommitNumber) -> Result<(), LogError> {
        let mut head = self.head.subscribe();
        head.wait_for(|h| h.0 > seen.0 || !h.1).await.map_err(|_| LogError::Closed)?;
        self.check()
    }
}

/// What was published.
#[derive(Default)]
struct FakeBus {
    sent: watch::Sender<Vec<String>>,
}

#[async_trait]
impl Bus for FakeBus {
    async fn subscribe(&self, _: &str) -> Result<(), BusError> {
        Ok(())
    }

    async fn recv(&self) -> Result<Inbound, BusError> {
        std::future::pending().await
    }

    async fn publish(&self, messages: Vec<Outbound>) -> Result<(), BusError> {
        self.sent.send_modify(|all| all.extend(messages.iter().map(command_id)));
        Ok(())
    }
}

fn command_id(m: &Outbound) -> String {
    let v: serde_json::Value = serde_json::from_slice(&m.payload).unwrap();
    v["command_id"].as_str().unwrap().to_owned()
}

struct Still(Instant);

impl Clock for Still {
    fn now(&self) -> Instant {
        self.0
    }
}

struct Running {
    logs: [Arc<FakeLog>; 2],
    buses: [Arc<FakeBus>; 2],
    handle: Handle,
    task: tokio::task::JoinHandle<()>,
}

fn run(dir: &std::path::Path, now: Instant) -> Running {
    let logs = [Context::Production, Context::AfterService].map(FakeLog::new);
    let buses = [Arc::new(FakeBus::default()), Arc::new(FakeBus::default())];
    let followed =
        logs.iter().zip(&buses).map(|(l, b)| Followed { reader: l.clone(), bus: b.clone() as Arc<dyn Bus> }).collect();
    let parts = Parts { dir: dir.to_owned(), followed, clock: Arc::new(Still(now)), metrics: Metrics::default() };
    let (handle, service) = mw_processes::start(parts);
    let task = tokio::spawn(async move { service.run(std::future::pending()).await.unwrap() });
    Running { logs, buses, handle, task }
}

impl Running {
    fn show(&self, l: &Live) {
        self.logs[0].holds(l.logs.of(Context::Production));
        self.logs[1].holds(l.logs.of(Context::AfterService));
    }

    /// Waits until a bus has been given a command.
    async fn sends(&self, n: usize, id: &str) {
        self.buses[n].sent.subscribe().wait_for(|all| all.iter().any(|x| x == id)).await.unwrap();
    }

    async fn is_at(&self, context: Context, n: usize) {
        let mut p = self.handle.progress();
        p.wait_for(|p| p.logs.get(&context).is_some_and(|s| s.head.0 == n as u64)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn production_away_does_not_stop_tickets_and_both_catch_up_without_sending_twice() {
    let mut l = Live::new("2026-03-02T09:00:00Z");
    l.plant("{}");
    let t = l.ticket(5, "TK-2026-000005");
    let dir = tempfile::tempdir().unwrap();
    let r = run(dir.path(), at("2026-03-02T09:00:00Z"));
    r.show(&l);
    r.is_at(Context::AfterService, 1).await;
    r.is_at(Context::Production, 2).await;
    assert!(r.handle.settled(Context::AfterService, CommitNumber(1)).await);
    r.handle.ready().unwrap();

    // Production goes away; a technician works on two tickets at once.
    r.logs[0].is_there(false);
    r.handle.progress().wait_for(|p| p.logs[&Context::Production].trouble.is_some()).await.unwrap();
    assert!(r.handle.ready().unwrap_err().contains("production"));
    let other = l.ticket(6, "TK-2026-000006");
    let work = |n: u128| {
        changed!(WorkStarted, |e| {
            (e.session_id, e.technician) = (common::entity(n), "tina".parse().unwrap());
        })
    };
    l.happened(&[(t, work(1))]);
    l.happened(&[(other, work(2))]);
    let comment = l.only();
    r.show(&l);
    r.sends(1, &comment.command_id.to_string()).await;
    l.accept(&comment, &[(other, common::sample("CommentAdded"))]);

    // Meanwhile a unit was made there; it is read when production is back.
    unit(&mut l, "SN-1", None);
    let made = changed!(UnitRegistered, |e| {
        e.result = mw_contract::UnitResult::Good;
    });
    l.happened(&[(id(1), made)]);
    let register = l.only();
    r.show(&l);
    r.logs[0].is_there(true);
    r.sends(0, &register.command_id.to_string()).await;
    r.handle.progress().wait_for(|p| p.logs.values().all(|s| s.trouble.is_none())).await.unwrap();
    l.accept(&register, &[]);
    r.show(&l);
    let heads = [Context::Production, Context::AfterService].map(|c| (c, CommitNumber(l.logs.of(c).len() as u64)));
    for (context, head) in heads {
        assert!(r.handle.settled(context, head).await);
    }
    r.task.abort();

    // Built again from nothing, with after-service away first: nothing goes out a second time.
    let dir = tempfile::tempdir().unwrap();
    let again = run(dir.path(), at("2026-03-02T09:00:00Z"));
    again.logs[1].is_there(false);
    again.show(&l);
    again.is_at(Context::Production, heads[0].1.0 as usize).await;
    again.logs[1].is_there(true);
    for (context, head) in heads {
        assert!(again.handle.settled(context, head).await);
    }
    assert!(again.buses.iter().all(|b| b.sent.borrow().is_empty()));
    again.task.abort();
}
