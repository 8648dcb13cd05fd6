//! The read model of a context that has no other: outcomes and the trail.

use mw_contract::{Context, Event, StoredCommit};
use mw_projection::{ApplyError, Projection};
use rusqlite::Connection;

use crate::{inbox, trail};

/// What the queries about a context read that has no other read models: outcomes and the trail.
pub struct TrailViews(pub Context);

impl TrailViews {
    /// Raised with every change of what is written.
    pub const SCHEMA: u32 = 2;
}

impl Projection for TrailViews {
    fn name(&self) -> &'static str {
        self.0.as_str()
    }

    fn schema_version(&self) -> u32 {
        Self::SCHEMA
    }

    fn create_tables(&self, conn: &Connection) -> rusqlite::Result<()> {
        trail::create_tables(conn)
    }

    fn create_indexes(&self, conn: &Connection) -> rusqlite::Result<()> {
        trail::create_indexes(conn)
    }

    fn apply(&mut self, tx: &Connection, commit: &StoredCommit, events: &[Event]) -> Result<(), ApplyError> {
        trail::outcome(tx, self.0, commit)?;
        // No orders here, so no late reports.
        inbox::commit(tx, commit, events, |_| Ok(None))?;
        for (idx, (stored, event)) in commit.events.iter().zip(events).enumerate() {
            trail::event(tx, commit, idx, stored, event, &crate::words::changes(event))?;
        }
        Ok(())
    }

    fn finish(&mut self, _: &Connection) -> Result<(), ApplyError> {
        Ok(())
    }

    fn forget(&mut self) {}
}
