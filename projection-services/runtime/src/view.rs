//! Read-only access for queries. Every read is one transaction, so rows and checkpoint belong
//! together, and it follows the link when another generation has taken over.

use std::path::PathBuf;

use mw_contract::Head;
use rusqlite::{Connection, OpenFlags};

use crate::files::Files;
use crate::writer::checkpoint;

/// One connection to a read model. Not shared: a reader thread owns its own.
pub struct View {
    files: Files,
    schema: u32,
    open: Option<(PathBuf, Connection)>,
}

/// Why a read model could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// It is being built for the first time, or by a newer program.
    #[error("read model {0} is not built yet")]
    NotBuilt(&'static str),
    /// The file system.
    #[error("{path}: {source}")]
    File {
        /// The link.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// SQLite.
    #[error("read model {name}: {source}")]
    Sqlite {
        /// Which read model.
        name: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

impl View {
    /// The read model of these files, as a program reads it that knows this schema version.
    pub fn new(files: Files, schema: u32) -> Self {
        View { files, schema, open: None }
    }

    /// Runs `f` in one read transaction; `Head` is the checkpoint that its rows belong to.
    pub fn read<T>(&mut self, f: impl FnOnce(&Connection, Head) -> rusqlite::Result<T>) -> Result<T, ViewError> {
        let name = self.files.name();
        let schema = self.schema;
        let conn = self.connection()?;
        let run = || {
            let tx = conn.transaction()?;
            let (found, head) = checkpoint(&tx)?;
            if found != schema {
                return Ok(None);
            }
            f(&tx, head).map(Some)
        };
        match run() {
            Ok(Some(v)) => Ok(v),
            Ok(None) => Err(ViewError::NotBuilt(name)),
            Err(source) => Err(ViewError::Sqlite { name, source }),
        }
    }

    /// The checkpoint alone.
    pub fn head(&mut self) -> Result<Head, ViewError> {
        self.read(|_, head| Ok(head))
    }

    fn connection(&mut self) -> Result<&mut Connection, ViewError> {
        let name = self.files.name();
        let file = |source| ViewError::File { path: self.files.link(), source };
        let current = self.files.current().map_err(file)?.ok_or(ViewError::NotBuilt(name))?;
        if self.open.as_ref().is_none_or(|(path, _)| *path != current) {
            self.open = None;
            let conn = match open(&current) {
                Ok(c) => c,
                // It was swept between the look and the opening: the next read sees its successor.
                Err(_) if !current.exists() => return Err(ViewError::NotBuilt(name)),
                Err(source) => return Err(ViewError::Sqlite { name, source }),
            };
            self.open = Some((current, conn));
        }
        match &mut self.open {
            Some((_, conn)) => Ok(conn),
            None => Err(ViewError::NotBuilt(name)),
        }
    }
}

fn open(path: &std::path::Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(std::time::Duration::from_secs(2))?;
    conn.set_prepared_statement_cache_capacity(128);
    conn.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY;")?;
    Ok(conn)
}
