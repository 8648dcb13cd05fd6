//! The one file of the copy. Rows and checkpoint change in one transaction, so that it always
//! stands exactly at its checkpoint.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mw_contract::{CommitNumber, StoredCommit};
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

use crate::documents::{Change, Documents};
use crate::{KnownError, tables};

/// Raised with every change of tables or of what follows from an event; a file of another version
/// is built again.
const SCHEMA: u32 = 1;

const CHECKPOINT: &str = "CREATE TABLE checkpoint (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    schema INTEGER NOT NULL,
    commit_number INTEGER NOT NULL,
    last_command TEXT,
    whole INTEGER NOT NULL
) STRICT;";

/// The open file.
pub struct Store {
    conn: Connection,
    path: PathBuf,
    head: CommitNumber,
    last_command: Option<String>,
    whole: bool,
}

impl Store {
    /// Opens the file below `dir`, or makes an empty one where there is none of this version.
    ///
    /// # Errors
    /// When neither can be done.
    pub fn open(dir: &Path) -> Result<Self, KnownError> {
        std::fs::create_dir_all(dir).map_err(|source| KnownError::File { path: dir.to_owned(), source })?;
        let path = dir.join("after-service.db");
        match Self::existing(&path) {
            Ok(Some(store)) => Ok(store),
            Ok(None) => Self::fresh(&path),
            Err(e) => {
                tracing::warn!(file = %path.display(), error = %e, "the copy can't be used; it is built again");
                Self::fresh(&path)
            }
        }
    }

    fn existing(path: &Path) -> rusqlite::Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let conn = connect(path)?;
        let (schema, commit, last_command, whole): (u32, i64, _, _) =
            conn.query_row("SELECT schema, commit_number, last_command, whole FROM checkpoint", [], |r| {
                Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?))
            })?;
        if schema != SCHEMA {
            return Ok(None);
        }
        let head = CommitNumber(commit as u64);
        Ok(Some(Store { conn, path: path.to_owned(), head, last_command, whole }))
    }

    fn fresh(path: &Path) -> Result<Self, KnownError> {
        for suffix in ["", "-wal", "-shm"] {
            let mut p = path.as_os_str().to_owned();
            p.push(suffix);
            match std::fs::remove_file(&p) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(KnownError::File { path: p.into(), source });
                }
                _ => {}
            }
        }
        let make = || -> rusqlite::Result<Connection> {
            let mut conn = connect(path)?;
            let tx = conn.transaction()?;
            create(&tx)?;
            tx.commit()?;
            Ok(conn)
        };
        let conn = make().map_err(|source| KnownError::Sqlite { path: path.to_owned(), source })?;
        Ok(Store { conn, path: path.to_owned(), head: CommitNumber::ZERO, last_command: None, whole: false })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The last commit that is in it.
    pub fn head(&self) -> CommitNumber {
        self.head
    }

    /// Did it ever hold all that the log held?
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Is this the commit of the checkpoint? A log that was restored from an older backup may hold
    /// another one in its place.
    pub fn stands_on(&self, stored: Option<&StoredCommit>) -> bool {
        self.head == CommitNumber::ZERO
            || stored.is_some_and(|c| c.number == self.head && self.last_command == Some(c.head.command_id.to_string()))
    }

    /// A second connection, for reading.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn reader(&self) -> Result<Connection, KnownError> {
        let open = || -> rusqlite::Result<Connection> {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let conn = Connection::open_with_flags(&self.path, flags)?;
            conn.busy_timeout(Duration::from_secs(2))?;
            conn.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -8192;")?;
            Ok(conn)
        };
        open().map_err(|source| self.sqlite(source))
    }

    /// The documents that are in use.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn documents(&self) -> Result<Documents, KnownError> {
        let mut documents = Documents::default();
        documents.take(tables::documents(&self.conn).map_err(|source| self.sqlite(source))?);
        Ok(documents)
    }

    /// Throws everything away, in one transaction, to be built again.
    ///
    /// # Errors
    /// What SQLite says; then everything is as it was.
    pub fn reset(&mut self) -> Result<(), KnownError> {
        let path = self.path.clone();
        let mut run = || -> rusqlite::Result<()> {
            let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for table in tables::NAMES.iter().chain(&["checkpoint"]) {
                tx.execute_batch(&format!("DROP TABLE {table}"))?;
            }
            create(&tx)?;
            tx.commit()
        };
        run().map_err(|source| KnownError::Sqlite { path, source })?;
        (self.head, self.last_command, self.whole) = (CommitNumber::ZERO, None, false);
        Ok(())
    }

    /// Writes what commits change that follow the checkpoint, in one transaction; what they do to
    /// reference data is given back. Commits must be the next ones, without a gap.
    ///
    /// # Errors
    /// What SQLite says; then everything is as it was.
    pub fn apply(&mut self, commits: &[Arc<StoredCommit>]) -> Result<Vec<Change>, KnownError> {
        let Some(last) = commits.last() else { return Ok(Vec::new()) };
        let path = self.path.clone();
        let last_command = last.head.command_id.to_string();
        let mut run = || -> rusqlite::Result<Vec<Change>> {
            let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut changes = Vec::new();
            for e in commits.iter().flat_map(|c| &c.events) {
                tables::event(&tx, e, &mut changes)?;
            }
            tx.prepare_cached("UPDATE checkpoint SET commit_number = ?1, last_command = ?2")?
                .execute(params![last.number.0 as i64, last_command])?;
            tx.commit()?;
            Ok(changes)
        };
        let changes = run().map_err(|source| KnownError::Sqlite { path, source })?;
        (self.head, self.last_command) = (last.number, Some(last_command));
        Ok(changes)
    }

    /// It holds all that the log holds now.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn now_whole(&mut self) -> Result<(), KnownError> {
        if !self.whole {
            self.conn.execute("UPDATE checkpoint SET whole = 1", []).map_err(|source| self.sqlite(source))?;
            self.whole = true;
        }
        Ok(())
    }

    fn sqlite(&self, source: rusqlite::Error) -> KnownError {
        KnownError::Sqlite { path: self.path.clone(), source }
    }
}

fn create(tx: &Connection) -> rusqlite::Result<()> {
    tx.execute_batch(CHECKPOINT)?;
    tx.execute("INSERT INTO checkpoint VALUES (1, ?1, 0, NULL, 0)", [SCHEMA])?;
    tx.execute_batch(tables::TABLES)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open(path)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    conn.set_prepared_statement_cache_capacity(64);
    let _: String = conn.query_row("PRAGMA journal_mode = WAL", [], |r| r.get(0))?;
    // What a power loss takes from the end follows from the log again.
    conn.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 4000; PRAGMA temp_store = MEMORY;")?;
    Ok(conn)
}
