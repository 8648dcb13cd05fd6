//! One open read model. Rows and checkpoint change in one transaction, so a file always stands
//! exactly at its checkpoint, whenever the process ends.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mw_contract::{CommitNumber, Event, Head, Position, StoredCommit, cloud};
use mw_log::quiet::GivesWay;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use crate::files::Files;
use crate::projection::{Projection, ProjectionError};

/// The most commits in one transaction.
pub const BATCH: usize = 500;

/// A read model that is open for writing. One process has at most one of a generation.
pub struct Writer {
    conn: Connection,
    projection: Box<dyn Projection>,
    path: PathBuf,
    generation: u64,
    head: Head,
    events: Vec<Event>,
}

fn sqlite(path: &Path) -> impl FnOnce(rusqlite::Error) -> ProjectionError + '_ {
    move |source| ProjectionError::Sqlite { path: path.to_owned(), source }
}

fn file(path: &Path) -> impl FnOnce(std::io::Error) -> ProjectionError + '_ {
    move |source| ProjectionError::File { path: path.to_owned(), source }
}

const CHECKPOINT: &str = "CREATE TABLE mw_checkpoint (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    name TEXT NOT NULL,
    schema INTEGER NOT NULL,
    commit_number INTEGER NOT NULL,
    position INTEGER NOT NULL,
    last_command BLOB
) STRICT";

impl Writer {
    /// How far its projection gives way.
    pub fn gives_way(&self) -> GivesWay {
        self.projection.gives_way()
    }

    /// Makes the next generation, empty, with settings for a build from zero: nothing of it
    /// survives a crash, and nothing of it is read until [`Writer::go_live`].
    pub fn create(files: &Files, projection: Box<dyn Projection>) -> Result<Self, ProjectionError> {
        let dir = files.link().parent().map(Path::to_owned).unwrap_or_default();
        std::fs::create_dir_all(&dir).map_err(file(&dir))?;
        let generation = files.next_generation().map_err(file(&dir))?;
        let path = files.generation(generation);
        let make = || -> rusqlite::Result<Connection> {
            let conn = Connection::open(&path)?;
            conn.execute_batch(
                "PRAGMA page_size = 8192; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
                 PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY;",
            )?;
            conn.set_prepared_statement_cache_capacity(128);
            conn.execute_batch(CHECKPOINT)?;
            conn.execute(
                "INSERT INTO mw_checkpoint VALUES (1, ?1, ?2, 0, 0, NULL)",
                params![projection.name(), projection.schema_version()],
            )?;
            projection.create_tables(&conn)?;
            Ok(conn)
        };
        let conn = make().map_err(sqlite(&path))?;
        Ok(Writer { conn, projection, path, generation, head: Head::default(), events: Vec::new() })
    }

    /// Ends a build from zero: indexes, statistics, settings of the live file, everything on disk.
    pub fn go_live(&mut self) -> Result<(), ProjectionError> {
        let run = || -> rusqlite::Result<()> {
            self.projection.create_indexes(&self.conn)?;
            self.conn.execute_batch("PRAGMA analysis_limit = 1000; ANALYZE; PRAGMA locking_mode = NORMAL;")?;
            // The lock of the exclusive mode is let go by the next access.
            self.conn.query_row("SELECT count(*) FROM mw_checkpoint", [], |_| Ok(()))?;
            live_settings(&self.conn)
        };
        run().map_err(sqlite(&self.path))?;
        std::fs::File::open(&self.path).and_then(|f| f.sync_all()).map_err(file(&self.path))
    }

    /// Opens the live file. `Err` with a reason in words means that it has to be built again.
    pub fn open(files: &Files, projection: Box<dyn Projection>) -> Result<Self, String> {
        let path = match files.current() {
            Ok(Some(p)) => p,
            Ok(None) => return Err("there is no file".into()),
            Err(e) => return Err(e.to_string()),
        };
        let generation = files.number(&path).ok_or_else(|| format!("{} is not a generation", path.display()))?;
        let read = || -> rusqlite::Result<(Connection, u32, Head)> {
            let conn = Connection::open_with_flags(
                &path,
                rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX,
            )?;
            live_settings(&conn)?;
            conn.set_prepared_statement_cache_capacity(128);
            let (schema, head) = checkpoint(&conn)?;
            Ok((conn, schema, head))
        };
        let (conn, schema, head) = read().map_err(|e| format!("{}: {e}", path.display()))?;
        if schema != projection.schema_version() {
            return Err(format!("its schema is version {schema}, this program writes {}", projection.schema_version()));
        }
        Ok(Writer { conn, projection, path, generation, head, events: Vec::new() })
    }

    /// The last commit whose rows are in the file.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of the file.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Does the log still hold the commit of the checkpoint? A log that was restored from an older
    /// backup may hold another one in its place. `stored` is what the log has at that number.
    pub fn stands_on(&self, stored: Option<&StoredCommit>) -> Result<bool, ProjectionError> {
        if self.head.commit == CommitNumber::ZERO {
            return Ok(true);
        }
        let last: Option<Vec<u8>> = self
            .conn
            .query_row("SELECT last_command FROM mw_checkpoint", [], |r| r.get(0))
            .optional()
            .map_err(sqlite(&self.path))?
            .flatten();
        Ok(stored.is_some_and(|c| {
            c.number == self.head.commit
                && c.last_position == self.head.position
                && last.as_deref() == Some(c.head.command_id.as_bytes().as_slice())
        }))
    }

    /// Applies commits that follow the checkpoint, at most [`BATCH`] in a transaction. Commits at
    /// or before the checkpoint are passed over. After an error the file stands where it stood
    /// after the last whole transaction.
    pub fn apply(&mut self, commits: &[Arc<StoredCommit>]) -> Result<Head, ProjectionError> {
        let fresh = commits.partition_point(|c| c.number <= self.head.commit);
        for batch in commits[fresh..].chunks(BATCH) {
            match self.transaction(batch) {
                Ok(head) => self.head = head,
                Err(e) => {
                    self.projection.forget();
                    return Err(e);
                }
            }
        }
        Ok(self.head)
    }

    fn transaction(&mut self, batch: &[Arc<StoredCommit>]) -> Result<Head, ProjectionError> {
        let name = self.projection.name();
        let path = &self.path;
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite(path))?;
        let mut head = self.head;
        for commit in batch {
            let expected = head.commit.next();
            if commit.number != expected {
                return Err(ProjectionError::Gap { name, expected, got: commit.number });
            }
            self.events.clear();
            for e in &commit.events {
                let event = cloud::decode(e).map_err(|source| ProjectionError::Decode {
                    name,
                    position: e.position,
                    source,
                })?;
                self.events.push(event);
            }
            self.projection.apply(&tx, commit, &self.events).map_err(|source| ProjectionError::Apply {
                name,
                commit: commit.number,
                position: commit.last_position,
                source,
            })?;
            head = commit.head_after();
        }
        self.projection.finish(&tx).map_err(|source| ProjectionError::Apply {
            name,
            commit: head.commit,
            position: head.position,
            source,
        })?;
        let last = batch.last().map(|c| *c.head.command_id.as_bytes());
        let done = tx
            .prepare_cached("UPDATE mw_checkpoint SET commit_number = ?1, position = ?2, last_command = ?3")
            .and_then(|mut s| s.execute(params![head.commit.0 as i64, head.position.0 as i64, last]));
        done.and_then(|_| tx.commit()).map_err(sqlite(path))?;
        Ok(head)
    }
}

fn live_settings(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(std::time::Duration::from_secs(5))?;
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |r| r.get(0))?;
    if mode != "wal" {
        return Err(rusqlite::Error::InvalidParameterName(format!("journal mode stays {mode}, not wal")));
    }
    // 32 MB of write-ahead log: a page that changes often is written into the file once for many times.
    conn.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY;")
}

/// The schema version and the place in the log of an open file.
pub(crate) fn checkpoint(conn: &Connection) -> rusqlite::Result<(u32, Head)> {
    conn.prepare_cached("SELECT schema, commit_number, position FROM mw_checkpoint")?.query_row([], |r| {
        let commit = CommitNumber(r.get::<_, i64>(1)? as u64);
        Ok((r.get(0)?, Head { commit, position: Position(r.get::<_, i64>(2)? as u64) }))
    })
}
