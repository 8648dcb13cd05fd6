//! The one file of the process managers. State, timers, outbox and the checkpoint of a log change in
//! one transaction, so that the file always stands exactly at its checkpoints, one a log.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mw_contract::{AccountName, CommitNumber, Context, Event, Instant, Outcome, StoredCommit, cloud};
use rusqlite::{Connection, TransactionBehavior, params};

use crate::manager::{Cx, Ended, Fired, Manager};
use crate::outbox::{self, Row};
use crate::{ACCOUNT, ProcessError, facts, managers, tickets, timers, units};

/// Raised with every change of tables or of what follows from an event; a file of another version
/// is built again.
const SCHEMA: u32 = 6;

/// The contexts whose logs are followed.
pub const FOLLOWED: [Context; 2] = [Context::Production, Context::AfterService];

const CHECKPOINT: &str = "CREATE TABLE checkpoint (
    context TEXT PRIMARY KEY,
    schema INTEGER NOT NULL,
    commit_number INTEGER NOT NULL,
    last_command TEXT,
    read_once INTEGER NOT NULL
) STRICT; INSERT INTO checkpoint VALUES ('production', 0, 0, NULL, 0), ('after-service', 0, 0, NULL, 0);";

/// How far a log has been worked on.
#[derive(Clone, Copy, Debug, Default)]
struct Stand {
    head: CommitNumber,
    /// Was this file ever at the head of the log?
    read_once: bool,
}

/// The place of a context's log in an array.
fn place(context: Context) -> usize {
    FOLLOWED.iter().position(|c| *c == context).unwrap_or(0)
}

/// The open file.
pub struct Store {
    conn: Connection,
    path: PathBuf,
    stands: [Stand; FOLLOWED.len()],
    managers: Vec<Box<dyn Manager>>,
    account: AccountName,
}

/// How much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Commands without an outcome.
    pub open: u64,
    /// Commands that were refused and that somebody must look at.
    pub failed: u64,
    /// Timers that are set.
    pub timers: u64,
}

impl Store {
    /// Opens the file below `dir`, or makes an empty one where there is none of this version.
    pub fn open(dir: &Path) -> Result<Self, ProcessError> {
        std::fs::create_dir_all(dir).map_err(|source| ProcessError::File { path: dir.to_owned(), source })?;
        let path = dir.join("managers.db");
        match Self::existing(&path) {
            Ok(Some(store)) => Ok(store),
            Ok(None) => Self::fresh(&path),
            Err(e) => {
                tracing::warn!(file = %path.display(), error = %e, "the file can't be used; it is built again");
                Self::fresh(&path)
            }
        }
    }

    fn connect(path: &Path) -> rusqlite::Result<Connection> {
        let conn = Connection::open(path)?;
        conn.busy_timeout(std::time::Duration::from_secs(5))?;
        conn.set_prepared_statement_cache_capacity(128);
        let _: String = conn.query_row("PRAGMA journal_mode = WAL", [], |r| r.get(0))?;
        // What a power loss takes from the end follows from the log again, under the same command ids.
        conn.execute_batch(
            "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 4000; PRAGMA temp_store = MEMORY;",
        )?;
        Ok(conn)
    }

    fn existing(path: &Path) -> rusqlite::Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let conn = Self::connect(path)?;
        let mut stands = [Stand::default(); FOLLOWED.len()];
        for (stand, context) in stands.iter_mut().zip(FOLLOWED) {
            let (schema, commit, read_once): (u32, i64, bool) = conn.query_row(
                "SELECT schema, commit_number, read_once FROM checkpoint WHERE context = ?1",
                [context.as_str()],
                |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)),
            )?;
            if schema != SCHEMA {
                return Ok(None);
            }
            *stand = Stand { head: CommitNumber(commit as u64), read_once };
        }
        Ok(Some(Self::with(conn, path, stands)))
    }

    fn with(conn: Connection, path: &Path, stands: [Stand; FOLLOWED.len()]) -> Self {
        // A code by its form, which a test checks.
        let account = AccountName::new(ACCOUNT).unwrap_or_else(|_| unreachable!("{ACCOUNT} is a code"));
        Store { conn, path: path.to_owned(), stands, managers: managers::all(), account }
    }

    fn fresh(path: &Path) -> Result<Self, ProcessError> {
        for suffix in ["", "-wal", "-shm"] {
            let mut p = path.as_os_str().to_owned();
            p.push(suffix);
            match std::fs::remove_file(&p) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(ProcessError::File { path: p.into(), source });
                }
                _ => {}
            }
        }
        let make = || -> rusqlite::Result<Connection> {
            let mut conn = Self::connect(path)?;
            let tx = conn.transaction()?;
            tx.execute_batch(CHECKPOINT)?;
            tx.execute_batch(outbox::TABLES)?;
            tx.execute_batch(timers::TABLES)?;
            tx.execute_batch(facts::TABLES)?;
            tx.execute_batch(tickets::TABLES)?;
            tx.execute_batch(units::TABLES)?;
            for m in managers::all() {
                tx.execute_batch(m.tables())?;
            }
            // Last: a file that was not made whole has no version.
            tx.execute("UPDATE checkpoint SET schema = ?1", [SCHEMA])?;
            tx.commit()?;
            Ok(conn)
        };
        let conn = make().map_err(|source| ProcessError::Sqlite { path: path.to_owned(), source })?;
        Ok(Self::with(conn, path, Default::default()))
    }

    fn sqlite<T>(&self, r: rusqlite::Result<T>) -> Result<T, ProcessError> {
        r.map_err(|source| ProcessError::Sqlite { path: self.path.clone(), source })
    }

    /// The last commit of a log whose effects are in the file.
    pub fn head(&self, context: Context) -> CommitNumber {
        self.stands[place(context)].head
    }

    /// Notes that the file is at the head of a log.
    pub fn read_once(&mut self, context: Context) -> Result<(), ProcessError> {
        if !self.stands[place(context)].read_once {
            let r = self.conn.execute("UPDATE checkpoint SET read_once = 1 WHERE context = ?1", [context.as_str()]);
            self.sqlite(r)?;
            self.stands[place(context)].read_once = true;
        }
        Ok(())
    }

    /// The managers of which nothing may be sent yet: a log that they go by was never read to its
    /// head, and what they want may have its outcome there.
    fn blind(&self) -> Vec<&'static str> {
        let unread = |c: &Context| !self.stands[place(*c)].read_once;
        self.managers.iter().filter(|m| m.contexts().iter().any(unread)).map(|m| m.name()).collect()
    }

    /// The account whose commands these are.
    pub fn account(&self) -> &AccountName {
        &self.account
    }

    /// Is `stored`, what the log has at the checkpoint, the commit that was read there? A log that
    /// was restored from an older backup may hold another.
    pub fn stands_on(&self, context: Context, stored: Option<&StoredCommit>) -> Result<bool, ProcessError> {
        let head = self.head(context);
        if head == CommitNumber::ZERO {
            return Ok(true);
        }
        let last: Option<String> = self.sqlite(self.conn.query_row(
            "SELECT last_command FROM checkpoint WHERE context = ?1",
            [context.as_str()],
            |r| r.get(0),
        ))?;
        Ok(stored.is_some_and(|c| c.number == head && last == Some(c.head.command_id.to_string())))
    }

    /// Throws everything away, to be built again.
    pub fn reset(self) -> Result<Self, ProcessError> {
        let path = self.path.clone();
        drop(self);
        Self::fresh(&path)
    }

    /// Works on commits of a log that follow its checkpoint, in one transaction; earlier ones are passed
    /// over.
    pub fn apply(&mut self, context: Context, commits: &[Arc<StoredCommit>]) -> Result<(), ProcessError> {
        let stand = &mut self.stands[place(context)];
        let from = commits.partition_point(|c| c.number <= stand.head);
        let mut head = stand.head;
        for c in &commits[from..] {
            if c.number != head.next() {
                return Err(ProcessError::Gap { context, expected: head.next(), got: c.number });
            }
            head = c.number;
        }
        let Some(last) = commits[from..].last() else { return Ok(()) };
        let path = self.path.clone();
        let mut run = || -> rusqlite::Result<()> {
            let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for c in &commits[from..] {
                commit(&tx, &self.managers, &self.account, c)?;
            }
            tx.execute(
                "UPDATE checkpoint SET commit_number = ?1, last_command = ?2 WHERE context = ?3",
                params![head.0 as i64, last.head.command_id.to_string(), context.as_str()],
            )?;
            tx.commit()
        };
        run().map_err(|source| ProcessError::Sqlite { path, source })?;
        stand.head = head;
        Ok(())
    }

    /// Fires what is due; gives how many fired.
    pub fn fire(&mut self, now: Instant, limit: usize) -> Result<usize, ProcessError> {
        let path = self.path.clone();
        let blind = self.blind();
        let mut run = || -> rusqlite::Result<usize> {
            let due = timers::due(&self.conn, now, limit, &blind)?;
            if due.is_empty() {
                return Ok(0);
            }
            let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut fired = 0;
            for timer in &due {
                // One that fired before it may have taken it away, or set it to a later time.
                if !timers::is_set(&tx, timer)? {
                    continue;
                }
                timers::clear(&tx, &timer.process, &timer.key)?;
                if let Some(m) = self.managers.iter().find(|m| m.name() == timer.process) {
                    m.fire(&Fired { tx: &tx, timer, now })?;
                }
                fired += 1;
            }
            tx.commit()?;
            Ok(fired)
        };
        run().map_err(|source| ProcessError::Sqlite { path, source })
    }

    /// The commands of a context that may be sent now.
    pub fn ready(&self, context: Context, limit: usize) -> Result<Vec<Row>, ProcessError> {
        let mut rows = self.sqlite(outbox::ready(&self.conn, context, limit))?;
        let blind = self.blind();
        rows.retain(|r| !blind.contains(&r.process.as_str()));
        Ok(rows)
    }

    /// How much waits.
    pub fn depth(&self) -> Result<Depth, ProcessError> {
        let (open, failed) = self.sqlite(outbox::depth(&self.conn))?;
        Ok(Depth { open, failed, timers: self.sqlite(timers::count(&self.conn))? })
    }
}

fn commit(
    tx: &Connection,
    managers: &[Box<dyn Manager>],
    account: &AccountName,
    commit: &StoredCommit,
) -> rusqlite::Result<()> {
    // What a newer program wrote is not for these managers.
    let read = |e| match cloud::decode(e) {
        Ok(d) => Some((e, d)),
        Err(error) => {
            tracing::warn!(position = %e.position, %error, "an event is passed over");
            None
        }
    };
    let events: Vec<_> = commit.events.iter().filter_map(read).collect();
    // First, so that what a manager wants by the events counts with it.
    let own = commit.head.account == *account;
    let row = if own { outbox::end(tx, &commit.head)? } else { None };
    for (stored, event) in &events {
        let cx = Cx { tx, commit, event: stored };
        facts::on(&cx, event)?;
        tickets::on(&cx, event)?;
        units::on(&cx, event)?;
        for m in managers {
            m.on(&cx, event)?;
        }
    }
    if !own {
        return Ok(());
    }
    let refused = match &commit.head.outcome {
        Outcome::Rejected(r) => Some(r.code),
        Outcome::Accepted | Outcome::Existing => None,
    };
    let events: Vec<Event> = events.into_iter().map(|(_, e)| e).collect();
    let e = Ended { tx, commit, row: row.as_ref(), refused, events: &events };
    for m in managers.iter().filter(|m| row.as_ref().is_none_or(|r| r.process == m.name())) {
        if !m.ended(&e)?
            && let (Some(row), Some(code)) = (&row, refused)
        {
            outbox::fail(tx, row, code)?;
        }
    }
    Ok(())
}
