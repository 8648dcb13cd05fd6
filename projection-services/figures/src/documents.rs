//! Every version of the documents of reference data that figures need, as one table.

use mw_contract::ReferenceKind;
use rusqlite::{Connection, OptionalExtension, params};

/// The table.
pub const TABLE: &str = "
    CREATE TABLE document (
        kind INTEGER NOT NULL, code TEXT NOT NULL, position INTEGER NOT NULL, recorded_at INTEGER NOT NULL,
        put_at INTEGER NOT NULL, retired INTEGER NOT NULL, doc TEXT NOT NULL, PRIMARY KEY (kind, code, position)
    ) STRICT, WITHOUT ROWID;";

/// One version of a document of reference data.
#[derive(Clone, Debug)]
pub struct Version {
    /// When it was put, by business time: it holds from then on.
    pub put_at: i64,
    /// When it was recorded.
    pub recorded: i64,
    /// May nothing use it any more?
    pub retired: bool,
    /// Canonical JSON.
    pub doc: String,
}

/// Writes a version.
///
/// # Errors
/// SQLite's.
pub fn put(conn: &Connection, kind: ReferenceKind, code: &str, position: u64, v: &Version) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT INTO document VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute(params![
        kind.number(),
        code,
        position as i64,
        v.recorded,
        v.put_at,
        v.retired,
        v.doc
    ])?;
    Ok(())
}

/// Every version of every document of a kind, by code, in order.
///
/// # Errors
/// SQLite's.
pub fn documents(conn: &Connection, kind: ReferenceKind) -> rusqlite::Result<Vec<(String, Vec<Version>)>> {
    let mut st = conn.prepare_cached(
        "SELECT code, put_at, recorded_at, retired, doc FROM document WHERE kind = ?1 ORDER BY code, position",
    )?;
    let mut rows = st.query([kind.number()])?;
    let mut all: Vec<(String, Vec<Version>)> = Vec::new();
    while let Some(r) = rows.next()? {
        let code: String = r.get(0)?;
        let v = Version { put_at: r.get(1)?, recorded: r.get(2)?, retired: r.get(3)?, doc: r.get(4)? };
        match all.last_mut().filter(|(c, _)| *c == code) {
            Some((_, versions)) => versions.push(v),
            None => all.push((code, vec![v])),
        }
    }
    Ok(all)
}

/// The newest document of a code.
///
/// # Errors
/// SQLite's.
pub fn newest(conn: &Connection, kind: ReferenceKind, code: &str) -> rusqlite::Result<Option<String>> {
    conn.prepare_cached("SELECT doc FROM document WHERE kind = ?1 AND code = ?2 ORDER BY position DESC LIMIT 1")?
        .query_row(params![kind.number(), code], |r| r.get(0))
        .optional()
}
