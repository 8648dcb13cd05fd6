//! The queries. Each takes the caller's scope and puts it into its SQL, so that what a caller may
//! not see is not found rather than filtered out afterwards.
//!
//! - [`list`]: pages of work orders. [`filter`]: what a list can be narrowed by.
//! - [`detail`]: one work order. [`events`]: its history (RM-19).
//! - [`table`]: pages of any other list; [`tables`]: those lists. [`board`]: orders by state (RM-02).
//! - [`plant`]: machines, stock and units. [`siblings`]: units that have something in common.
//! - [`outcome`]: what became of a command. [`audit`]: where in the log the asked-for events are.

pub mod board;
pub mod detail;
pub mod events;
pub mod filter;
pub mod list;
pub mod plant;
pub mod siblings;
pub mod state;
pub mod tables;

pub use mw_views::read::{audit, outcome, past, table};

use mw_contract::AggregateId;
use mw_policy::Scope;
pub(crate) use mw_views::read::{Sql, at_sites, shown};
use rusqlite::Connection;

/// The key of an order that the scope holds.
pub(crate) fn seq_of(conn: &Connection, scope: &Scope, id: AggregateId) -> rusqlite::Result<Option<i64>> {
    let mut sql = Sql::new("SELECT w.seq FROM work_order w WHERE w.id = ?1");
    sql.bind(id.as_bytes().to_vec());
    at_sites(&mut sql, "w.site", scope);
    if let Some(c) = &scope.customer {
        let place = sql.bind(c.as_str().to_owned());
        sql.push(&format!(" AND w.customer = {place}"));
    }
    let mut found = None;
    sql.each(conn, |r| {
        found = Some(r.get(0)?);
        Ok(())
    })?;
    Ok(found)
}
