//! What falls due at a moment of business time.

use mw_contract::Instant;
use rusqlite::{Connection, params};
use uuid::Uuid;

/// The table.
pub const TABLES: &str = "
CREATE TABLE timer (
    process TEXT NOT NULL,
    key TEXT NOT NULL,
    due INTEGER NOT NULL,
    trigger_id TEXT NOT NULL,
    PRIMARY KEY (process, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX timer_due ON timer (due);
";

/// A timer.
#[derive(Clone, Debug, PartialEq)]
pub struct Timer {
    /// Whose it is.
    pub process: String,
    /// What it is for.
    pub key: String,
    /// When it fires.
    pub due: Instant,
    /// The event that set it.
    pub trigger: Uuid,
}

/// Sets a timer; one of the same key is replaced.
pub fn set(tx: &Connection, process: &str, key: &str, due: Instant, trigger: Uuid) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO timer VALUES (?1, ?2, ?3, ?4)")?.execute(params![
        process,
        key,
        due.millis(),
        trigger.to_string()
    ])?;
    Ok(())
}

/// Takes a timer away.
pub fn clear(tx: &Connection, process: &str, key: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM timer WHERE process = ?1 AND key = ?2")?.execute([process, key])?;
    Ok(())
}

/// Those that are due, the earliest first, but for those of some processes.
pub fn due(conn: &Connection, now: Instant, limit: usize, but: &[&str]) -> rusqlite::Result<Vec<Timer>> {
    let but: String = but.iter().map(|p| format!(",{p},")).collect();
    conn.prepare_cached(
        "SELECT process, key, due, trigger_id FROM timer WHERE due <= ?1 AND instr(?3, ',' || process || ',') = 0
         ORDER BY due, process, key LIMIT ?2",
    )?
    .query_map(params![now.millis(), limit as i64, but], |r| {
        Ok(Timer {
            process: r.get(0)?,
            key: r.get(1)?,
            due: Instant::clamped(r.get(2)?),
            trigger: r.get::<_, String>(3)?.parse().unwrap_or_default(),
        })
    })?
    .collect()
}

/// Is it still set, and to that time?
pub fn is_set(conn: &Connection, t: &Timer) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM timer WHERE process = ?1 AND key = ?2 AND due = ?3)")?
        .query_row(params![t.process, t.key, t.due.millis()], |r| r.get(0))
}

/// Takes away all whose keys begin so.
pub fn clear_all(tx: &Connection, process: &str, prefix: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM timer WHERE process = ?1 AND key >= ?2 AND key < ?2 || char(127)")?
        .execute([process, prefix])?;
    Ok(())
}

/// How many are set.
pub fn count(conn: &Connection) -> rusqlite::Result<u64> {
    conn.prepare_cached("SELECT count(*) FROM timer")?.query_row([], |r| r.get::<_, i64>(0).map(|n| n as u64))
}
