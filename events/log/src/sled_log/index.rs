//! Where things are in the log: streams and commands. All of it follows from the frames, so it is
//! never awaited by an acknowledgement and may be deleted at rest.
//!
//! Three layers, newest first: what is stored in the log but not yet here on disk (`pending`),
//! recently used heads of streams (an LRU), and SQLite. Two filters in memory prove that most new
//! commands and streams are new, so that only a hit asks SQLite.
//!
//! One thread writes SQLite, some hundred commits a transaction, each with the number of the last
//! commit that it holds. If it falls [`MAX_PENDING`] commits behind, appending waits for it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use fastbloom::BloomFilter;
use lru::LruCache;
use mw_contract::commit::{Outcome, StoredCommit};
use mw_contract::{AccountName, CommandId, CommitNumber, StreamId, Version};
use parking_lot::{Mutex, RwLock};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::LogError;
use crate::files;
use crate::traits::{StreamHead, Token};

/// The most commits that may wait to be written here.
const MAX_PENDING: usize = 32 * 1024;
/// How long commits gather before they are written together.
const GATHER: Duration = Duration::from_millis(25);
/// The most commits of one transaction.
const MAX_TRANSACTION: usize = 4096;
const HEADS: usize = 32 * 1024;
/// Tables of another shape are made anew.
const SHAPE: i64 = 1;

/// Items that were surely never added, as a list of filters that doubles.
struct Seen {
    filters: Vec<(BloomFilter, usize, usize)>,
}

impl Seen {
    fn new(expected: usize) -> Self {
        let mut s = Seen { filters: Vec::new() };
        s.grow(expected.max(64 * 1024));
        s
    }

    fn grow(&mut self, capacity: usize) {
        self.filters.push((BloomFilter::with_false_pos(0.005).expected_items(capacity), capacity, 0));
    }

    fn add(&mut self, key: &[u8]) {
        let full = self.filters.last().is_none_or(|(_, capacity, n)| n >= capacity);
        if full {
            let capacity = self.filters.last().map_or(64 * 1024, |(_, c, _)| c * 2);
            self.grow(capacity);
        }
        if let Some((f, _, n)) = self.filters.last_mut() {
            f.insert(key);
            *n += 1;
        }
    }

    fn may_have(&self, key: &[u8]) -> bool {
        self.filters.iter().any(|(f, _, _)| f.contains(key))
    }
}

/// What SQLite does not have yet.
#[derive(Default)]
struct Pending {
    streams: HashMap<StreamId, Vec<(Version, CommitNumber)>>,
    /// The newest commit of a command, and the one that accepted it.
    commands: HashMap<(AccountName, CommandId), (CommitNumber, bool)>,
}

struct Shared {
    pending: RwLock<Pending>,
    seen_commands: RwLock<Seen>,
    seen_streams: RwLock<Seen>,
    heads: Mutex<LruCache<StreamId, StreamHead>>,
    reader: Mutex<Connection>,
    path: PathBuf,
    failed: RwLock<Option<LogError>>,
}

pub(super) struct Index {
    shared: Arc<Shared>,
    queue: Mutex<Option<Sender<Arc<StoredCommit>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

fn stream_key(s: &StreamId) -> [u8; 17] {
    let mut k = [0; 17];
    k[0] = s.kind.number();
    k[1..].copy_from_slice(s.id.as_bytes());
    k
}

fn trouble(path: &Path) -> impl Fn(rusqlite::Error) -> LogError + '_ {
    move |e| LogError::Index { path: path.to_owned(), reason: e.to_string() }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open(path)?;
    conn.busy_timeout(Duration::from_secs(10))?;
    // What a power loss takes from the end is read from the log again.
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -2048; PRAGMA temp_store = MEMORY;",
    )?;
    Ok(conn)
}

const TABLES: &str = "
CREATE TABLE events (stream BLOB NOT NULL, version INTEGER NOT NULL, commit_no INTEGER NOT NULL,
    PRIMARY KEY (stream, version)) WITHOUT ROWID;
CREATE TABLE commands (id BLOB NOT NULL, account TEXT NOT NULL, commit_no INTEGER NOT NULL, done INTEGER NOT NULL,
    PRIMARY KEY (id, account)) WITHOUT ROWID;
CREATE TABLE upto (one INTEGER PRIMARY KEY CHECK (one = 1), commit_no INTEGER NOT NULL, leaf BLOB NOT NULL);
";

/// How far an index on disk has come, and the leaf hash of its last commit, so that an index of
/// another log is noticed.
pub(super) struct UpTo {
    pub commit: CommitNumber,
    pub leaf: Vec<u8>,
}

/// An index on disk that was not compared with its log yet.
pub(super) struct Found {
    conn: Connection,
    path: PathBuf,
    pub upto: UpTo,
}

impl Found {
    /// Opens what is there. Anything that is not an index of this shape is deleted.
    pub fn open(dir: &Path) -> Result<Self, LogError> {
        files::create_dir(dir)?;
        let path = dir.join("index.db");
        match Found::read(&path) {
            Ok(Some(f)) => return Ok(f),
            Ok(None) => {}
            Err(e) => {
                tracing::warn!(path = %path.display(), error = %e, "the log's index can't be read; making it anew")
            }
        }
        Found::fresh(path)
    }

    fn read(path: &Path) -> rusqlite::Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let conn = connect(path)?;
        let shape: i64 = conn.query_row("PRAGMA user_version", [], |r| r.get(0))?;
        if shape != SHAPE {
            return Ok(None);
        }
        let upto = conn
            .query_row("SELECT commit_no, leaf FROM upto", [], |r| {
                Ok(UpTo { commit: CommitNumber(r.get::<_, i64>(0)? as u64), leaf: r.get(1)? })
            })
            .optional()?;
        let upto = upto.unwrap_or(UpTo { commit: CommitNumber::ZERO, leaf: Vec::new() });
        Ok(Some(Found { conn, path: path.to_owned(), upto }))
    }

    fn fresh(path: PathBuf) -> Result<Self, LogError> {
        for suffix in ["", "-wal", "-shm"] {
            let mut p = path.clone().into_os_string();
            p.push(suffix);
            match std::fs::remove_file(&p) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(LogError::io("removing", PathBuf::from(p))(e));
                }
                _ => {}
            }
        }
        let make = || -> rusqlite::Result<Connection> {
            let conn = connect(&path)?;
            conn.execute_batch(TABLES)?;
            conn.pragma_update(None, "user_version", SHAPE)?;
            Ok(conn)
        };
        let conn = make().map_err(trouble(&path))?;
        Ok(Found { conn, upto: UpTo { commit: CommitNumber::ZERO, leaf: Vec::new() }, path })
    }

    /// Starts again from nothing: the index is not this log's.
    pub fn discard(self) -> Result<Self, LogError> {
        let Found { conn, path, .. } = self;
        drop(conn);
        Found::fresh(path)
    }

    /// Adds commits that follow; `leaf` is the leaf hash of the last.
    pub fn add(&mut self, commits: &[Arc<StoredCommit>], leaf: &[u8]) -> Result<(), LogError> {
        write(&mut self.conn, commits, leaf).map_err(trouble(&self.path))
    }

    /// Fills the filters and starts the writer.
    pub fn start(self, name: String) -> Result<Index, LogError> {
        let Found { conn, path, .. } = self;
        let fail = trouble(&path);
        let count = |table: &str| -> Result<usize, LogError> {
            let n: i64 =
                conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |r| r.get(0)).map_err(trouble(&path))?;
            Ok(n as usize)
        };
        let mut commands = Seen::new(count("commands")? * 3 / 2);
        let mut streams = Seen::new(count("(SELECT DISTINCT stream FROM events)")? * 3 / 2);
        let fill = |sql: &str, seen: &mut Seen| -> rusqlite::Result<()> {
            let mut st = conn.prepare(sql)?;
            let mut rows = st.query([])?;
            while let Some(r) = rows.next()? {
                if let Ok(b) = r.get_ref(0)?.as_blob() {
                    seen.add(b);
                }
            }
            Ok(())
        };
        fill("SELECT id FROM commands", &mut commands).map_err(&fail)?;
        fill("SELECT DISTINCT stream FROM events", &mut streams).map_err(&fail)?;
        let reader = connect(&path).map_err(&fail)?;
        let shared = Arc::new(Shared {
            pending: RwLock::default(),
            seen_commands: RwLock::new(commands),
            seen_streams: RwLock::new(streams),
            heads: Mutex::new(LruCache::new(std::num::NonZeroUsize::new(HEADS).unwrap_or(std::num::NonZeroUsize::MIN))),
            reader: Mutex::new(reader),
            path: path.clone(),
            failed: RwLock::default(),
        });
        let (queue, commits) = bounded(MAX_PENDING);
        let thread = {
            let shared = shared.clone();
            std::thread::Builder::new().name(format!("{name}-index")).spawn(move || run(&shared, conn, &commits))
        };
        let thread = thread.map_err(LogError::io("starting the index thread of", &path))?;
        Ok(Index { shared, queue: Mutex::new(Some(queue)), thread: Mutex::new(Some(thread)) })
    }
}

fn write(conn: &mut Connection, commits: &[Arc<StoredCommit>], leaf: &[u8]) -> rusqlite::Result<()> {
    let Some(last) = commits.last() else { return Ok(()) };
    let tx = conn.transaction()?;
    {
        let mut events = tx.prepare_cached("INSERT OR REPLACE INTO events VALUES (?1, ?2, ?3)")?;
        let mut commands = tx.prepare_cached(
            "INSERT INTO commands VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id, account) DO UPDATE
             SET commit_no = excluded.commit_no, done = excluded.done",
        )?;
        for c in commits {
            for e in &c.events {
                let e = &e.event;
                events.execute(params![stream_key(&e.stream), e.version.0 as i64, c.number.0 as i64])?;
            }
            let h = &c.head;
            commands.execute(params![h.command_id.as_bytes(), h.account.as_str(), c.number.0 as i64, done(c)])?;
        }
        tx.execute("INSERT OR REPLACE INTO upto VALUES (1, ?1, ?2)", params![last.number.0 as i64, leaf])?;
    }
    tx.commit()
}

fn done(c: &StoredCommit) -> bool {
    !matches!(c.head.outcome, Outcome::Rejected(_))
}

fn run(shared: &Shared, mut conn: Connection, commits: &Receiver<Arc<StoredCommit>>) {
    crate::quiet::GivesWay::Soon.apply();
    let mut batch = Vec::new();
    while let Ok(first) = commits.recv() {
        // Nobody waits for this, and one large transaction is much cheaper than ten small ones.
        std::thread::sleep(GATHER);
        batch.push(first);
        batch.extend(commits.try_iter().take(MAX_TRANSACTION - 1));
        let leaf = batch.last().map(|c| crate::merkle::leaf_hash(&crate::frame::encode_stored(c))).unwrap_or_default();
        if let Err(e) = write(&mut conn, &batch, &leaf) {
            let e = trouble(&shared.path)(e);
            tracing::error!(error = %e, "the log's index can't be written");
            *shared.failed.write() = Some(e);
            return;
        }
        let mut pending = shared.pending.write();
        for c in batch.drain(..) {
            for e in &c.events {
                if let Some(list) = pending.streams.get_mut(&e.event.stream) {
                    list.retain(|(_, n)| *n > c.number);
                    if list.is_empty() {
                        pending.streams.remove(&e.event.stream);
                    }
                }
            }
            let key = (c.head.account.clone(), c.head.command_id);
            if pending.commands.get(&key).is_some_and(|(n, _)| *n <= c.number) {
                pending.commands.remove(&key);
            }
        }
    }
}

impl Index {
    /// Notes stored commits. Waits when the writer is far behind; fails when it has failed.
    pub fn add(&self, commits: &[Arc<StoredCommit>]) -> Result<(), LogError> {
        let s = &*self.shared;
        {
            let mut pending = s.pending.write();
            let mut commands = s.seen_commands.write();
            let mut streams = s.seen_streams.write();
            let mut heads = s.heads.lock();
            for c in commits {
                for e in &c.events {
                    let e = &e.event;
                    if e.version == Version(1) {
                        streams.add(&stream_key(&e.stream));
                    }
                    pending.streams.entry(e.stream).or_default().push((e.version, c.number));
                    heads.put(e.stream, StreamHead { version: e.version, token: Token(c.number.0) });
                }
                commands.add(c.head.command_id.as_bytes());
                pending.commands.insert((c.head.account.clone(), c.head.command_id), (c.number, done(c)));
            }
        }
        let queue = self.queue.lock();
        let queue = queue.as_ref().ok_or(LogError::Closed)?;
        for c in commits {
            if queue.send(c.clone()).is_err() {
                return Err(s.failed.read().clone().unwrap_or(LogError::Closed));
            }
        }
        Ok(())
    }

    pub fn stream_head(&self, stream: &StreamId) -> Result<Option<StreamHead>, LogError> {
        let s = &*self.shared;
        if let Some(h) = s.heads.lock().get(stream) {
            return Ok(Some(*h));
        }
        let key = stream_key(stream);
        if !s.seen_streams.read().may_have(&key) {
            return Ok(None);
        }
        if let Some((version, n)) = s.pending.read().streams.get(stream).and_then(|l| l.last()) {
            return Ok(Some(StreamHead { version: *version, token: Token(n.0) }));
        }
        let found = s.ask(|conn| {
            conn.prepare_cached(
                "SELECT version, commit_no FROM events WHERE stream = ?1 ORDER BY version DESC LIMIT 1",
            )?
            .query_row([key], |r| Ok((r.get::<_, i64>(0)? as u64, r.get::<_, i64>(1)? as u64)))
            .optional()
        })?;
        Ok(found.map(|(v, c)| {
            let head = StreamHead { version: Version(v), token: Token(c) };
            // An append may have put a newer one meanwhile: that one stays.
            *s.heads.lock().get_or_insert_mut(*stream, || head)
        }))
    }

    /// Versions from `from` on with their commits, at most `limit`.
    pub fn stream(
        &self,
        stream: &StreamId,
        from: Version,
        limit: usize,
    ) -> Result<Vec<(Version, CommitNumber)>, LogError> {
        let s = &*self.shared;
        let key = stream_key(stream);
        if !s.seen_streams.read().may_have(&key) {
            return Ok(Vec::new());
        }
        // First what is pending: what leaves it meanwhile is found twice rather than not at all.
        let pending = s.pending.read().streams.get(stream).cloned().unwrap_or_default();
        let mut found = s.ask(|conn| {
            let mut st = conn.prepare_cached(
                "SELECT version, commit_no FROM events WHERE stream = ?1 AND version >= ?2 ORDER BY version LIMIT ?3",
            )?;
            let rows = st.query_map(params![key, from.0 as i64, limit as i64], |r| {
                Ok((Version(r.get::<_, i64>(0)? as u64), CommitNumber(r.get::<_, i64>(1)? as u64)))
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        let next = found.last().map_or(from, |(v, _)| v.next());
        found.extend(pending.into_iter().filter(|(v, _)| *v >= next));
        found.truncate(limit);
        Ok(found)
    }

    /// The newest commit of a command, and whether it was done (not refused).
    pub fn command(&self, account: &AccountName, id: &CommandId) -> Result<Option<(CommitNumber, bool)>, LogError> {
        let s = &*self.shared;
        if !s.seen_commands.read().may_have(id.as_bytes()) {
            return Ok(None);
        }
        if let Some(c) = s.pending.read().commands.get(&(account.clone(), *id)) {
            return Ok(Some(*c));
        }
        s.ask(|conn| {
            conn.prepare_cached("SELECT commit_no, done FROM commands WHERE id = ?1 AND account = ?2")?
                .query_row(params![id.as_bytes(), account.as_str()], |r| {
                    Ok((CommitNumber(r.get::<_, i64>(0)? as u64), r.get(1)?))
                })
                .optional()
        })
    }

    /// Writes what is pending and ends the thread.
    pub fn close(&self) {
        drop(self.queue.lock().take());
        if let Some(t) = self.thread.lock().take() {
            let _ = t.join();
        }
    }
}

impl Shared {
    fn ask<T>(&self, q: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, LogError> {
        q(&self.reader.lock()).map_err(trouble(&self.path))
    }
}
