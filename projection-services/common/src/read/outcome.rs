//! What became of a command.

use mw_contract::CommandId;
use mw_policy::Scope;
use rusqlite::Connection;

use super::{Sql, at_sites};

/// The reply as it was given the first time, JSON text. An id may be used by several accounts:
/// the caller's own comes first.
pub fn outcome(conn: &Connection, scope: &Scope, me: &str, id: CommandId) -> rusqlite::Result<Option<String>> {
    let mut sql = Sql::new("SELECT o.reply FROM outcome o WHERE o.command_id = ?1 AND ((1");
    sql.bind(id.as_bytes().to_vec());
    let mine = sql.bind(me.to_owned());
    at_sites(&mut sql, "o.site", scope);
    if scope.own_account_only {
        sql.push(&format!(" AND o.account = {mine}"));
    }
    sql.push(")");
    if scope.own_too {
        sql.push(&format!(" OR o.account = {mine}"));
    }
    sql.push(&format!(") ORDER BY o.account = {mine} DESC, o.commit_number DESC LIMIT 1"));
    let mut found = None;
    sql.each(conn, |r| {
        found = Some(r.get(0)?);
        Ok(())
    })?;
    Ok(found)
}
