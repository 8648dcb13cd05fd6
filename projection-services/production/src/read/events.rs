//! The audit trail of one work order (RM-19): its events, and the commands about it that were refused.

use mw_contract::AggregateId;
use mw_policy::Scope;
pub use mw_views::read::events::{Page, Query};
use rusqlite::Connection;

use super::seq_of;
use crate::TextOpener;

/// Reads a page of what the scope of the caller, `me`, holds. `None` when the order is not in it.
pub fn events(
    conn: &Connection,
    scope: &Scope,
    me: &str,
    id: AggregateId,
    q: &Query,
    opener: &dyn TextOpener,
) -> rusqlite::Result<Option<Page>> {
    if seq_of(conn, scope, id)?.is_none() {
        return Ok(None);
    }
    mw_views::read::events::events(conn, scope, me, id, q, opener).map(Some)
}
