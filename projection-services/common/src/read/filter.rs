//! Values that a parameter does not take, and codes that there are not.

use mw_contract::ReferenceKind;
use rusqlite::Connection;

/// A value that a parameter does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadValue {
    /// The parameter.
    pub parameter: String,
    /// What is wrong.
    pub message: String,
    /// The values it takes, where they are countable.
    pub allowed: Vec<String>,
}

/// If no reference document has this code: the complaint, and codes that there are.
///
/// # Errors
/// SQLite's.
pub fn unknown(
    conn: &Connection,
    kind: ReferenceKind,
    name: &str,
    code: &str,
) -> rusqlite::Result<Option<(String, Vec<String>)>> {
    let known: bool = conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM reference WHERE kind = ?1 AND code = ?2)")?
        .query_row(rusqlite::params![kind.number(), code], |r| r.get(0))?;
    if known {
        return Ok(None);
    }
    let mut st =
        conn.prepare_cached("SELECT code FROM reference WHERE kind = ?1 AND retired = 0 ORDER BY code LIMIT 100")?;
    let allowed = st.query_map([kind.number()], |r| r.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    Ok(Some((format!("there is no {name} {code:?}"), allowed)))
}
