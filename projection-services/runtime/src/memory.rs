//! The rows of a few streams at an earlier moment: their commits are applied again to a database
//! in memory. The same code writes them as writes the live rows, so that a document of the past
//! has the shape of today's.

use std::collections::BTreeMap;

use mw_contract::{StoredCommit, StreamId, Version, cloud};
use rusqlite::Connection;

use crate::projection::{ApplyError, Projection};

/// Applies what the commits hold of each stream up to its version. Events of other streams in the
/// same commits are left out: their own beginnings are not there.
///
/// # Errors
/// As applying to a file; an event that this program can't read is impossible here.
pub fn replayed(
    mut projection: impl Projection,
    until: &BTreeMap<StreamId, Version>,
    commits: impl IntoIterator<Item = StoredCommit>,
) -> Result<Connection, ApplyError> {
    let conn = Connection::open_in_memory()?;
    projection.create_tables(&conn)?;
    for mut commit in commits {
        commit.events.retain(|e| until.get(&e.event.stream).is_some_and(|last| e.event.version <= *last));
        let mut events = Vec::with_capacity(commit.events.len());
        for e in &commit.events {
            let undecodable = |x| ApplyError::Impossible(format!("position {}: {x}", e.position));
            events.push(cloud::decode(e).map_err(undecodable)?);
        }
        projection.apply(&conn, &commit, &events)?;
    }
    projection.finish(&conn)?;
    Ok(conn)
}
