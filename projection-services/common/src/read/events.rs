//! The audit trail of one thing (RM-19): its events, and the commands about it that were refused.

use mw_contract::{AggregateId, EventType, Instant, Role};
use mw_policy::Scope;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::{Sql, at_sites, shown};
use crate::TextOpener;

/// Business and recorded time are both shown when they differ by more than this.
const WORTH_SHOWING_MS: i64 = 5 * 60_000;

/// What is asked for.
#[derive(Default)]
pub struct Query {
    /// Of these accounts.
    pub actor: Vec<String>,
    /// Of these event types.
    pub event_type: Vec<EventType>,
    /// Recorded at this time or later.
    pub from: Option<Instant>,
    /// Recorded before or at this time.
    pub to: Option<Instant>,
    /// Continue after this row: commit, place in it.
    pub after: Option<(u64, u64)>,
    /// At most so many.
    pub limit: usize,
}

/// A page of the trail.
pub struct Page {
    /// The rows.
    pub items: Vec<Value>,
    /// Where the next page begins, if there is one.
    pub next: Option<(u64, u64)>,
}

/// Reads a page of what the scope of the caller, `me`, holds. Whether the caller may see the thing
/// itself was asked before.
///
/// # Errors
/// SQLite's.
pub fn events(
    conn: &Connection,
    scope: &Scope,
    me: &str,
    id: AggregateId,
    q: &Query,
    opener: &dyn TextOpener,
) -> rusqlite::Result<Page> {
    let mut sql = Sql::new(
        "SELECT t.commit_number, t.idx, t.position, t.version, t.type, t.account, t.role, t.device, t.recorded_at,
                t.occurred_at, t.late, t.command_id, t.correlation_id, t.causation_id, t.words, t.changes, t.reason,
                t.note_key, t.note_bytes, t.error, t.site
         FROM trail t WHERE t.entity = ?1",
    );
    sql.bind(id.as_bytes().to_vec());
    at_sites(&mut sql, "t.site", &Scope { siteless: true, ..scope.clone() });
    if scope.own_account_only {
        let place = sql.bind(me.to_owned());
        sql.push(&format!(" AND t.account = {place}"));
    }
    if !q.actor.is_empty() {
        sql.push(" AND ");
        sql.one_of("t.account", q.actor.iter().cloned());
    }
    if !q.event_type.is_empty() {
        sql.push(" AND ");
        sql.one_of("t.type", q.event_type.iter().map(|t| t.as_str().to_owned()));
    }
    for (bound, operator) in [(q.from, ">="), (q.to, "<=")] {
        if let Some(t) = bound {
            let place = sql.bind(t.millis());
            sql.push(&format!(" AND t.recorded_at {operator} {place}"));
        }
    }
    if let Some((commit, idx)) = q.after {
        let (c, i) = (sql.bind(commit as i64), sql.bind(idx as i64));
        sql.push(&format!(" AND (t.commit_number, t.idx) > ({c}, {i})"));
    }
    sql.push(&format!(" ORDER BY t.commit_number, t.idx LIMIT {}", q.limit + 1));

    let mut page = Page { items: Vec::new(), next: None };
    let mut last = (0, 0);
    sql.each(conn, |r| {
        if page.items.len() == q.limit {
            page.next = Some(last);
            return Ok(());
        }
        last = (r.get::<_, i64>(0)? as u64, r.get::<_, i64>(1)? as u64);
        page.items.push(row(r, opener)?);
        Ok(())
    })?;
    Ok(page)
}

fn row(r: &rusqlite::Row<'_>, opener: &dyn TextOpener) -> rusqlite::Result<Value> {
    let (recorded, occurred): (i64, i64) = (r.get(8)?, r.get(9)?);
    let id = |i: usize| -> rusqlite::Result<Option<uuid::Uuid>> {
        Ok(r.get::<_, Option<[u8; 16]>>(i)?.map(uuid::Uuid::from_bytes))
    };
    let text = |i: usize| r.get::<_, Option<String>>(i);
    let parsed = |t: Option<String>| t.and_then(|t| serde_json::from_str::<Value>(&t).ok()).unwrap_or_default();
    let error = parsed(text(19)?);
    let apart = (recorded - occurred).abs() > WORTH_SHOWING_MS;
    Ok(json!({
        "position": r.get::<_, Option<i64>>(2)?, "commit": r.get::<_, i64>(0)?, "version": r.get::<_, Option<i64>>(3)?,
        "type": r.get::<_, String>(4)?, "words": r.get::<_, String>(14)?,
        "recorded_at": Instant::clamped(recorded), "occurred_at": Instant::clamped(occurred),
        "delta_seconds": apart.then_some((recorded - occurred) / 1000), "late": r.get::<_, bool>(10)?,
        "actor": r.get::<_, String>(5)?, "role": r.get::<_, Option<u8>>(6)?.and_then(Role::from_number),
        "device": text(7)?, "changes": match parsed(text(15)?) { Value::Null => json!([]), v => v },
        "reason": text(16)?, "note": shown(opener, r.get(17)?, r.get(18)?),
        "command_id": id(11)?, "correlation_id": id(12)?, "causation_id": id(13)?,
        "refused": !error.is_null(), "error": error,
    }))
}
