//! Where in the log the events are that an auditor asks for. The events themselves are then read
//! from the log, not from here: what an auditor sees is history, not a copy of it.

use mw_contract::{AccountName, EventType, Instant, StreamId};
use mw_policy::Scope;
use rusqlite::Connection;

use super::{Sql, at_sites};

/// What is asked for.
#[derive(Default)]
pub struct Query {
    /// Beyond this position.
    pub after: u64,
    /// Of this stream.
    pub stream: Option<StreamId>,
    /// Of these types.
    pub event_type: Vec<EventType>,
    /// Of these accounts.
    pub actor: Vec<AccountName>,
    /// Recorded at this time or later.
    pub from: Option<Instant>,
    /// Recorded before or at this time.
    pub to: Option<Instant>,
    /// At most so many.
    pub limit: usize,
}

/// One event's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its commit.
    pub commit: u64,
    /// Its index in the commit.
    pub idx: usize,
    /// Its position.
    pub position: u64,
}

/// The places in the order of positions, at most one more than the limit.
pub fn places(conn: &Connection, scope: &Scope, me: &str, q: &Query) -> rusqlite::Result<Vec<Place>> {
    let mut sql = Sql::new("SELECT t.commit_number, t.idx, t.position FROM trail t WHERE t.position > ?1");
    sql.bind(i64::try_from(q.after).unwrap_or(i64::MAX));
    at_sites(&mut sql, "t.site", scope);
    if scope.own_account_only {
        let place = sql.bind(me.to_owned());
        sql.push(&format!(" AND t.account = {place}"));
    }
    if let Some(s) = &q.stream {
        let (kind, id) = (sql.bind(i64::from(s.kind.number())), sql.bind(s.id.as_bytes().to_vec()));
        sql.push(&format!(" AND t.entity = {id} AND t.kind = {kind}"));
    }
    if !q.event_type.is_empty() {
        sql.push(" AND ");
        sql.one_of("t.type", q.event_type.iter().map(|t| t.as_str().to_owned()));
    }
    if !q.actor.is_empty() {
        sql.push(" AND ");
        sql.one_of("t.account", q.actor.iter().map(|a| a.as_str().to_owned()));
    }
    for (bound, operator) in [(q.from, ">="), (q.to, "<=")] {
        if let Some(t) = bound {
            let place = sql.bind(t.millis());
            sql.push(&format!(" AND t.recorded_at {operator} {place}"));
        }
    }
    sql.push(&format!(" ORDER BY t.position LIMIT {}", q.limit + 1));
    let mut found = Vec::new();
    sql.each(conn, |r| {
        found.push(Place {
            commit: r.get::<_, i64>(0)? as u64,
            idx: r.get::<_, i64>(1)? as usize,
            position: r.get::<_, i64>(2)? as u64,
        });
        Ok(())
    })?;
    Ok(found)
}
