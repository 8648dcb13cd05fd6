//! The audit trail (RM-19) and the outcomes of commands, the same for every context.
//!
//! An event is a row; a refusal is a row too, without position and version, in the place where it
//! was decided. The rows hold words and codes; sealed text stays sealed in them.

use mw_contract::commit::{Outcome, StoredEvent};
use mw_contract::{Context, Event, Sealed, StoredCommit};
use mw_projection::ApplyError;
use rusqlite::{Connection, params};

use crate::words;

/// One changed field: name, old and new value as text.
pub type Change = (String, Option<String>, Option<String>);

/// Makes the tables.
pub fn create_tables(conn: &Connection) -> rusqlite::Result<()> {
    crate::inbox::create_tables(conn)?;
    conn.execute_batch(
        "CREATE TABLE trail (
            entity BLOB NOT NULL,
            commit_number INTEGER NOT NULL,
            idx INTEGER NOT NULL,
            position INTEGER,
            kind INTEGER,
            version INTEGER,
            type TEXT NOT NULL,
            site TEXT,
            account TEXT NOT NULL,
            role INTEGER,
            device TEXT,
            recorded_at INTEGER NOT NULL,
            occurred_at INTEGER NOT NULL,
            late INTEGER NOT NULL,
            command_id BLOB NOT NULL,
            correlation_id BLOB,
            causation_id BLOB,
            words TEXT NOT NULL,
            changes TEXT,
            reason TEXT,
            note_key BLOB,
            note_bytes BLOB,
            error TEXT,
            PRIMARY KEY (entity, commit_number, idx)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE outcome (
            command_id BLOB NOT NULL,
            account TEXT NOT NULL,
            commit_number INTEGER NOT NULL,
            site TEXT,
            reply TEXT NOT NULL,
            PRIMARY KEY (command_id, account)
        ) STRICT, WITHOUT ROWID;",
    )
}

/// Makes what queries over the whole log need.
pub fn create_indexes(conn: &Connection) -> rusqlite::Result<()> {
    crate::inbox::create_indexes(conn)?;
    conn.execute_batch(
        "CREATE INDEX trail_position ON trail (position) WHERE position IS NOT NULL;
         CREATE INDEX trail_type ON trail (type, position) WHERE position IS NOT NULL;
         CREATE INDEX trail_account ON trail (account, position) WHERE position IS NOT NULL;",
    )
}

const INSERT: &str = "INSERT INTO trail VALUES
    (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23)";

/// Writes the row of one event.
pub fn event(
    tx: &Connection,
    commit: &StoredCommit,
    idx: usize,
    stored: &StoredEvent,
    event: &Event,
    changes: &[Change],
) -> Result<(), ApplyError> {
    let h = &commit.head;
    let e = &stored.event;
    let changes = (!changes.is_empty()).then(|| serde_json::Value::from_iter(changes.iter().map(change)).to_string());
    let (note_key, note_bytes) = match words::note(event) {
        Some(Sealed::Cipher { key_id, bytes }) => (Some(*key_id.as_bytes()), Some(bytes)),
        _ => (None, None),
    };
    tx.prepare_cached(INSERT)?.execute(params![
        e.stream.id.as_bytes(),
        commit.number.0 as i64,
        idx as i64,
        stored.position.0 as i64,
        e.stream.kind.number(),
        e.version.0 as i64,
        e.event_type,
        h.site.as_ref().map(|s| s.as_str()),
        h.account.as_str(),
        h.role.map(|r| r.number()),
        h.device,
        h.recorded_at.millis(),
        e.occurred_at.millis(),
        e.late,
        h.command_id.as_bytes(),
        h.correlation_id.as_ref().map(|c| c.as_bytes()),
        h.causation_id.as_ref().map(|c| c.as_bytes()),
        words::words(event),
        changes,
        words::reason(event),
        note_key,
        note_bytes,
        None::<String>,
    ])?;
    Ok(())
}

fn change((field, old, new): &Change) -> serde_json::Value {
    serde_json::json!({"field": field, "old": old, "new": new})
}

/// Writes the outcome of a command, and its grey row when it was refused.
pub fn outcome(tx: &Connection, context: Context, commit: &StoredCommit) -> Result<(), ApplyError> {
    let h = &commit.head;
    let reply = serde_json::to_string(&commit.reply(context, false))
        .map_err(|e| ApplyError::Impossible(format!("the reply of commit {} has no JSON: {e}", commit.number)))?;
    // A refusal is forgotten after 30 days and its id may act then: the last outcome counts.
    tx.prepare_cached("INSERT OR REPLACE INTO outcome VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
        h.command_id.as_bytes(),
        h.account.as_str(),
        commit.number.0 as i64,
        h.site.as_ref().map(|s| s.as_str()),
        reply,
    ])?;
    let (Outcome::Rejected(refusal), Some(entity)) = (&h.outcome, h.aggregate_id) else { return Ok(()) };
    let error = serde_json::to_string(refusal)
        .map_err(|e| ApplyError::Impossible(format!("the refusal of commit {} has no JSON: {e}", commit.number)))?;
    tx.prepare_cached(INSERT)?.execute(params![
        entity.as_bytes(),
        commit.number.0 as i64,
        0,
        None::<i64>,
        None::<u8>,
        None::<i64>,
        h.command_type,
        h.site.as_ref().map(|s| s.as_str()),
        h.account.as_str(),
        h.role.map(|r| r.number()),
        h.device,
        h.recorded_at.millis(),
        h.occurred_at.millis(),
        false,
        h.command_id.as_bytes(),
        h.correlation_id.as_ref().map(|c| c.as_bytes()),
        h.causation_id.as_ref().map(|c| c.as_bytes()),
        format!("refused {}: {}", h.command_type, refusal.code),
        None::<String>,
        None::<String>,
        None::<[u8; 16]>,
        None::<Vec<u8>>,
        error,
    ])?;
    Ok(())
}
