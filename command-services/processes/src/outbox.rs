//! The commands that wait for their outcome, and the ids of those that have one.

use mw_contract::{AccountName, CommandId, CommandType, CommitHead, Context, ErrorCode, Outcome, topics};
use mw_runtime::Outbound;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::manager::{Send, Wish, derived};

/// The tables.
pub const TABLES: &str = "
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    command_id TEXT NOT NULL UNIQUE,
    process TEXT NOT NULL,
    trigger_id TEXT NOT NULL,
    step TEXT NOT NULL,
    site TEXT NOT NULL,
    command TEXT NOT NULL,
    aggregate TEXT NOT NULL,
    expected_version INTEGER,
    occurred_at TEXT,
    payload TEXT NOT NULL,
    failed TEXT,
    context TEXT NOT NULL,
    key TEXT
) STRICT;
CREATE INDEX outbox_open ON outbox (context, aggregate, seq) WHERE failed IS NULL;
CREATE INDEX outbox_key ON outbox (process, key) WHERE key IS NOT NULL AND failed IS NULL;
CREATE TABLE outcome (command_id TEXT PRIMARY KEY, refused TEXT) STRICT, WITHOUT ROWID;
CREATE TABLE answer (
    trigger_id TEXT NOT NULL, command TEXT NOT NULL, refused TEXT, PRIMARY KEY (trigger_id, command)
) STRICT, WITHOUT ROWID;
";

/// A command that waits for its outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its id.
    pub command_id: CommandId,
    /// Whose it is.
    pub process: String,
    /// The event that it follows from.
    pub trigger: String,
    /// Which of the things that follow from it.
    pub step: String,
    /// The site of its topic.
    pub site: String,
    /// Its type.
    pub command: String,
    /// The aggregate that it acts on.
    pub aggregate: String,
    /// For strict commands.
    pub expected_version: Option<u64>,
    /// Business time.
    pub occurred_at: Option<String>,
    /// Its payload.
    pub payload: Value,
    /// The context that decides it.
    pub context: Context,
    /// Which of the things that its manager wants it is part of.
    pub key: Option<String>,
}

const COLUMNS: &str = "command_id, process, trigger_id, step, site, command, aggregate, expected_version, occurred_at, \
                       payload, context, key";

fn row(r: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let bad = |e: Box<dyn std::error::Error + std::marker::Send + Sync>| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, e)
    };
    Ok(Row {
        command_id: r.get::<_, String>(0)?.parse().map_err(|e: uuid::Error| bad(e.into()))?,
        process: r.get(1)?,
        trigger: r.get(2)?,
        step: r.get(3)?,
        site: r.get(4)?,
        command: r.get(5)?,
        aggregate: r.get(6)?,
        expected_version: r.get::<_, Option<i64>>(7)?.map(|v| v as u64),
        occurred_at: r.get(8)?,
        payload: serde_json::from_str(&r.get::<_, String>(9)?).map_err(|e| bad(e.into()))?,
        context: r.get::<_, String>(10)?.parse().map_err(|_| bad("not a context".into()))?,
        key: r.get(11)?,
    })
}

/// The id of a command of a process.
pub fn id(process: &str, trigger: Uuid, step: &str) -> CommandId {
    CommandId(derived(&format!("{process}:{trigger}:{step}")))
}

/// Queues a command, unless it waits already or has its outcome.
pub fn push(tx: &Connection, process: &str, s: &Send<'_>) -> rusqlite::Result<()> {
    insert(tx, process, None, s)
}

/// Says what a process wants under a key now: what waits under it and is not wanted any more is taken
/// back, what is new is queued unless it has its outcome. What waits already stays as it is.
pub fn want(tx: &Connection, process: &str, key: &str, wishes: &[Wish]) -> rusqlite::Result<()> {
    let wanted: Vec<String> = wishes.iter().map(|w| id(process, w.trigger, &w.step).to_string()).collect();
    for waits in waiting(tx, process, key)? {
        if !wanted.contains(&waits) {
            tx.prepare_cached("DELETE FROM outbox WHERE command_id = ?1")?.execute([waits])?;
        }
    }
    wishes.iter().try_for_each(|w| insert(tx, process, Some(key), &w.send()))
}

/// The ids of what waits under a key.
pub fn waiting(tx: &Connection, process: &str, key: &str) -> rusqlite::Result<Vec<String>> {
    tx.prepare_cached("SELECT command_id FROM outbox WHERE process = ?1 AND key = ?2 AND failed IS NULL")?
        .query_map([process, key], |r| r.get(0))?
        .collect()
}

/// Does this command wait for its outcome?
pub fn waits(tx: &Connection, id: &CommandId) -> rusqlite::Result<bool> {
    tx.prepare_cached("SELECT EXISTS (SELECT 1 FROM outbox WHERE command_id = ?1 AND failed IS NULL)")?
        .query_row([id.to_string()], |r| r.get(0))
}

/// How a command ended; `None` while it has no outcome, `Some(None)` when it was accepted.
pub fn outcome(tx: &Connection, id: &CommandId) -> rusqlite::Result<Option<Option<ErrorCode>>> {
    let code: Option<Option<String>> = tx
        .prepare_cached("SELECT refused FROM outcome WHERE command_id = ?1")?
        .query_row([id.to_string()], |r| r.get(0))
        .optional()?;
    Ok(code.map(|c| c.and_then(|c| c.parse().ok())))
}

/// How a strict command that followed from an event ended in the end, on whatever version it was tried;
/// conflicts of versions are none.
pub fn answer(tx: &Connection, trigger: Uuid, command: CommandType) -> rusqlite::Result<Option<Option<ErrorCode>>> {
    let code: Option<Option<String>> = tx
        .prepare_cached("SELECT refused FROM answer WHERE trigger_id = ?1 AND command = ?2")?
        .query_row([&trigger.to_string(), command.as_str()], |r| r.get(0))
        .optional()?;
    Ok(code.map(|c| c.and_then(|c| c.parse().ok())))
}

fn insert(tx: &Connection, process: &str, key: Option<&str>, s: &Send<'_>) -> rusqlite::Result<()> {
    let id = id(process, s.trigger, s.step).to_string();
    tx.prepare_cached(
        "INSERT OR IGNORE INTO outbox (command_id, process, trigger_id, step, site, command, aggregate, expected_version,
            occurred_at, payload, context, key)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12
         WHERE NOT EXISTS (SELECT 1 FROM outcome WHERE command_id = ?1)",
    )?
    .execute(params![
        id,
        process,
        s.trigger.to_string(),
        s.step,
        s.site.as_str(),
        s.command.as_str(),
        s.aggregate.to_string(),
        s.expected_version.map(|v| v as i64),
        s.occurred_at.map(|t| t.to_string()),
        s.payload.to_string(),
        s.command.context().as_str(),
        key,
    ])?;
    Ok(())
}

/// Notes that a command has its outcome, and gives it as it waited.
pub fn end(tx: &Connection, head: &CommitHead) -> rusqlite::Result<Option<Row>> {
    let id = head.command_id.to_string();
    let refused = match &head.outcome {
        Outcome::Rejected(r) => Some(r.code),
        Outcome::Accepted | Outcome::Existing => None,
    };
    let code = refused.map(|c| c.as_str());
    tx.prepare_cached("INSERT OR IGNORE INTO outcome VALUES (?1, ?2)")?.execute(params![id, code])?;
    let strict = head.command_type.parse::<CommandType>().is_ok_and(CommandType::is_strict);
    if let Some(cause) = head.causation_id.filter(|_| strict && refused != Some(ErrorCode::VersionConflict)) {
        tx.prepare_cached("INSERT OR REPLACE INTO answer VALUES (?1, ?2, ?3)")?.execute(params![
            cause.to_string(),
            &*head.command_type,
            code
        ])?;
    }
    let found = tx
        .prepare_cached(&format!("SELECT {COLUMNS} FROM outbox WHERE command_id = ?1"))?
        .query_row([&id], row)
        .optional()?;
    tx.prepare_cached("DELETE FROM outbox WHERE command_id = ?1")?.execute([&id])?;
    Ok(found)
}

/// Keeps a refused command where operators see it.
pub fn fail(tx: &Connection, r: &Row, code: ErrorCode) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO outbox (command_id, process, trigger_id, step, site, command, aggregate, expected_version,
            occurred_at, payload, failed, context, key)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?
    .execute(params![
        r.command_id.to_string(),
        r.process,
        r.trigger,
        r.step,
        r.site,
        r.command,
        r.aggregate,
        r.expected_version.map(|v| v as i64),
        r.occurred_at,
        r.payload.to_string(),
        code.as_str(),
        r.context.as_str(),
        r.key,
    ])?;
    Ok(())
}

/// The commands of a context that may be sent: the first one of each aggregate, so that those on one
/// aggregate are decided in their order.
pub fn ready(conn: &Connection, context: Context, limit: usize) -> rusqlite::Result<Vec<Row>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM outbox
         WHERE seq IN (SELECT min(seq) FROM outbox WHERE failed IS NULL AND context = ?1 GROUP BY aggregate)
         ORDER BY seq LIMIT ?2"
    );
    conn.prepare_cached(&sql)?.query_map(params![context.as_str(), limit as i64], row)?.collect()
}

/// How many wait, and how many were refused.
pub fn depth(conn: &Connection) -> rusqlite::Result<(u64, u64)> {
    conn.prepare_cached("SELECT count(*) - count(failed), count(failed) FROM outbox")?
        .query_row([], |r| Ok((r.get::<_, i64>(0)? as u64, r.get::<_, i64>(1)? as u64)))
}

impl Row {
    /// The message that sends it.
    pub fn message(&self, account: &AccountName) -> Outbound {
        let mut v = json!({
            "command_id": self.command_id,
            "type": self.command,
            "aggregate_id": self.aggregate,
            "causation_id": self.trigger,
            "payload": self.payload,
        });
        if let Some(n) = self.expected_version {
            v["expected_version"] = json!(n);
        }
        if let Some(t) = &self.occurred_at {
            v["occurred_at"] = json!(t);
        }
        Outbound {
            topic: topics::command(&self.site, account, self.context),
            payload: v.to_string().into_bytes().into(),
            content_type: Some("application/json"),
            ..Outbound::default()
        }
    }
}
