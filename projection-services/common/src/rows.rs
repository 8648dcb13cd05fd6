//! Rows that belong to one thing and are written only where they differ.

use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

/// Brings the rows of `seq` in a table in step. The key of a row is its first value, in column `key`.
///
/// # Errors
/// SQLite's.
pub fn differing(
    tx: &Connection,
    table: &str,
    key: &str,
    seq: i64,
    old: &[Vec<Value>],
    new: &[Vec<Value>],
) -> rusqlite::Result<()> {
    for row in old.iter().filter(|o| !new.iter().any(|n| n.first() == o.first())) {
        tx.prepare_cached(&format!("DELETE FROM {table} WHERE seq = ?1 AND {key} = ?2"))?
            .execute(params![seq, row.first()])?;
    }
    for row in new.iter().filter(|n| !old.contains(n)) {
        let holders: Vec<String> = (1..=row.len() + 1).map(|n| format!("?{n}")).collect();
        let values = std::iter::once(&Value::Integer(seq)).chain(row).cloned().collect::<Vec<_>>();
        tx.prepare_cached(&format!("INSERT OR REPLACE INTO {table} VALUES ({})", holders.join(",")))?
            .execute(params_from_iter(values))?;
    }
    Ok(())
}
