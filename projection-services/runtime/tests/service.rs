//! The projection service against a small projection of its own: one row a commit.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mw_contract::commit::{NewCommit, StoredCommit};
use mw_contract::{CommitNumber, Context, Event};
use mw_log::bench::commit_of;
use mw_log::{EventLog, LocalReader, MemoryLog};
use mw_projection::service::{Handle, State, service};
use mw_projection::{ApplyError, Projection};
use rusqlite::{Connection, params};
use tokio::sync::oneshot;

struct Numbers {
    schema: u32,
    /// Fails on this commit.
    poison: Option<u64>,
}

impl Projection for Numbers {
    fn name(&self) -> &'static str {
        "numbers"
    }

    fn schema_version(&self) -> u32 {
        self.schema
    }

    fn create_tables(&self, conn: &Connection) -> rusqlite::Result<()> {
        conn.execute_batch("CREATE TABLE number (n INTEGER PRIMARY KEY, command BLOB NOT NULL)")
    }

    fn create_indexes(&self, conn: &Connection) -> rusqlite::Result<()> {
        conn.execute_batch("CREATE INDEX by_command ON number (command)")
    }

    fn apply(&mut self, tx: &Connection, c: &StoredCommit, _: &[Event]) -> Result<(), ApplyError> {
        // A plain insert: a commit that came twice would fail.
        tx.execute("INSERT INTO number VALUES (?1, ?2)", params![c.number.0 as i64, c.head.command_id.as_bytes()])?;
        if self.poison == Some(c.number.0) {
            return Err(ApplyError::Impossible("this can't be".into()));
        }
        Ok(())
    }

    fn finish(&mut self, _: &Connection) -> Result<(), ApplyError> {
        Ok(())
    }

    fn forget(&mut self) {}
}

/// A commit without events: refusals are projected too.
fn refusal() -> NewCommit {
    let mut c = commit_of(1);
    c.events.clear();
    c
}

fn filled(n: usize) -> Arc<MemoryLog> {
    let log = Arc::new(MemoryLog::new(Context::Production));
    for _ in 0..n {
        log.append(vec![refusal()]).unwrap();
    }
    log
}

struct Running {
    handle: Handle,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<Result<(), String>>,
}

fn start(dir: &Path, log: &Arc<MemoryLog>, schema: u32, poison: Option<u64>) -> Running {
    let reader = Arc::new(LocalReader(log.clone() as Arc<dyn EventLog>));
    let (handle, s) = service(dir, Arc::new(move || Box::new(Numbers { schema, poison })), reader);
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move { s.run(async { drop(stopped.await) }).await.map_err(|e| e.to_string()) });
    Running { handle, stop, task }
}

impl Running {
    async fn stop(self) {
        drop(self.stop);
        self.task.await.unwrap().unwrap();
    }
}

fn link(dir: &Path, schema: u32) -> std::path::PathBuf {
    dir.join(format!("numbers.v{schema}.db"))
}

fn rows(dir: &Path, schema: u32) -> Vec<i64> {
    let file = std::fs::canonicalize(link(dir, schema)).unwrap();
    let conn = Connection::open(file).unwrap();
    let mut st = conn.prepare("SELECT n FROM number ORDER BY n").unwrap();
    st.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_where_it_stopped_and_takes_every_commit_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(1200);
    let r = start(dir.path(), &log, 1, None);
    assert!(r.handle.reached(CommitNumber(1200)).await);
    for _ in 0..30 {
        log.append(vec![refusal(), refusal()]).unwrap();
    }
    assert!(r.handle.reached(CommitNumber(1260)).await);
    r.stop().await;
    log.append(vec![refusal()]).unwrap();
    let file = std::fs::canonicalize(link(dir.path(), 1)).unwrap();
    let r = start(dir.path(), &log, 1, None);
    assert!(r.handle.reached(CommitNumber(1261)).await);
    assert_eq!(std::fs::canonicalize(link(dir.path(), 1)).unwrap(), file, "the same file goes on");
    r.stop().await;
    assert_eq!(rows(dir.path(), 1), (1..=1261).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_schema_or_a_damaged_file_means_building_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(50);
    let r = start(dir.path(), &log, 1, None);
    assert!(r.handle.reached(CommitNumber(50)).await);
    r.stop().await;
    let first = std::fs::canonicalize(link(dir.path(), 1)).unwrap();
    let r = start(dir.path(), &log, 2, None);
    assert!(r.handle.reached(CommitNumber(50)).await);
    r.stop().await;
    let second = std::fs::canonicalize(link(dir.path(), 2)).unwrap();
    assert_ne!(first, second);
    // A reader of the earlier version still finds its own, until the writer starts once more.
    assert_eq!(rows(dir.path(), 1), (1..=50).collect::<Vec<_>>());
    std::fs::write(&second, b"no database at all").unwrap();
    let r = start(dir.path(), &log, 2, None);
    assert!(r.handle.reached(CommitNumber(50)).await);
    r.stop().await;
    assert_eq!(rows(dir.path(), 2), (1..=50).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_can_not_be_applied_stops_it_loudly_and_changes_no_row() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(10);
    let r = start(dir.path(), &log, 1, Some(12));
    assert!(r.handle.reached(CommitNumber(10)).await);
    log.append(vec![refusal(), refusal(), refusal()]).unwrap();
    assert!(!r.handle.reached(CommitNumber(13)).await);
    let why = r.task.await.unwrap().unwrap_err();
    assert!(why.contains("this can't be") && why.contains("12"), "{why}");
    assert!(matches!(&r.handle.progress().borrow().state, State::Stopped(s) if s.contains("this can't be")));
    // The rows of the failed transaction are gone with it, the ones before it are there.
    let seen = rows(dir.path(), 1);
    assert!(seen.len() <= 11 && seen == (1..=seen.len() as i64).collect::<Vec<_>>(), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_an_unknown_type_is_never_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(3);
    log.append(vec![commit_of(20)]).unwrap();
    log.append(vec![refusal()]).unwrap();
    let r = start(dir.path(), &log, 1, None);
    let why = tokio::time::timeout(Duration::from_secs(20), r.task).await.unwrap().unwrap().unwrap_err();
    assert!(why.contains("position 1"), "{why}");
    assert!(matches!(&r.handle.progress().borrow().state, State::Stopped(_)));
}
