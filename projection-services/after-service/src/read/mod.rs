//! The queries.
//!
//! - [`lists`]: tickets (RM-10), as staff and as their customer sees them; clocks that run out (RM-15).
//! - [`board`]: tickets by state (RM-11). [`queue`]: what a technician has to do (RM-12).
//! - [`backlog`]: how old the open tickets are (RM-16).
//! - [`detail`]: one ticket; [`mine`]: what of it its customer sees (RM-13).

pub mod backlog;
pub mod board;
pub mod detail;
pub mod lists;
pub mod mine;
pub mod queue;

use mw_contract::AggregateId;
use mw_policy::Scope;
use mw_views::read::table::Own;
use mw_views::read::{Sql, at_sites};
use rusqlite::Connection;

/// Whose a ticket is, in statements over `t`.
pub const OWN: Own =
    Own { account: Some("t.lead"), customer: Some("t.customer"), internal: Some("t.customer IS NULL") };

/// The key of a ticket that the scope holds. A customer's own counts wherever it is served.
///
/// # Errors
/// SQLite's.
pub fn seq_of(conn: &Connection, scope: &Scope, me: &str, id: AggregateId) -> rusqlite::Result<Option<i64>> {
    let mut sql = Sql::new("SELECT t.seq FROM ticket t WHERE t.id = ?1");
    sql.bind(id.as_bytes().to_vec());
    if scope.customer.is_none() {
        at_sites(&mut sql, "t.site", scope);
    }
    let me = sql.bind(me.to_owned());
    OWN.narrow(&mut sql, scope, &me);
    // It has to be used, whatever the scope asks.
    sql.push(&format!(" AND {me} IS NOT NULL"));
    let mut found = None;
    sql.each(conn, |r| {
        found = Some(r.get(0)?);
        Ok(())
    })?;
    Ok(found)
}
