//! The queries. Each takes the caller's scope and puts it into its SQL, so that what a caller may
//! not see is not found rather than filtered out afterwards.
//!
//! - [`list`]: pages of work orders. [`filter`]: what a list can be narrowed by.
//! - [`detail`]: one work order. [`events`]: its history (RM-19).
//! - [`table`]: pages of any other list; [`tables`]: those lists. [`board`]: orders by state (RM-02).
//! - [`outcome`]: what became of a command. [`audit`]: where in the log the asked-for events are.

pub mod audit;
pub mod board;
pub mod detail;
pub mod events;
pub mod filter;
pub mod list;
pub mod outcome;
pub mod past;
pub mod plant;
pub mod state;
pub mod table;
pub mod tables;

use mw_contract::{AggregateId, Sealed};
use mw_policy::{Scope, Sites};
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::TextOpener;

/// An SQL statement in the making: text, and values for its numbered places.
pub(crate) struct Sql {
    text: String,
    values: Vec<Value>,
}

impl Sql {
    /// Begins with `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Sql { text: text.into(), values: Vec::new() }
    }

    /// Adds text.
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Adds a value and answers its place.
    pub fn bind(&mut self, v: impl Into<Value>) -> String {
        self.values.push(v.into());
        format!("?{}", self.values.len())
    }

    /// Adds `column IN (…)`.
    pub fn one_of<V: Into<Value>>(&mut self, column: &str, values: impl IntoIterator<Item = V>) {
        let places: Vec<String> = values.into_iter().map(|v| self.bind(v)).collect();
        self.push(&format!("{column} IN ({})", places.join(", ")));
    }

    /// Runs it, row by row.
    pub fn each(
        &self,
        conn: &Connection,
        mut row: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let mut st = conn.prepare_cached(&self.text)?;
        let mut rows = st.query(rusqlite::params_from_iter(&self.values))?;
        while let Some(r) = rows.next()? {
            row(r)?;
        }
        Ok(())
    }
}

/// Adds ` AND …` for the sites of a scope.
pub(crate) fn at_sites(sql: &mut Sql, column: &str, scope: &Scope) {
    let Sites::Some(sites) = &scope.sites else { return };
    sql.push(" AND (");
    sql.one_of(column, sites.iter().map(|s| s.as_str().to_owned()));
    if scope.siteless {
        sql.push(&format!(" OR {column} IS NULL"));
    }
    sql.push(")");
}

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

/// Sealed text as a reader in scope gets it: the text, or that it was erased, or that it is sealed.
pub(crate) fn shown(opener: &dyn TextOpener, key_id: Option<[u8; 16]>, bytes: Option<Vec<u8>>) -> serde_json::Value {
    let (Some(key_id), Some(bytes)) = (key_id, bytes) else { return serde_json::Value::Null };
    let sealed = Sealed::Cipher { key_id: uuid::Uuid::from_bytes(key_id), bytes };
    match opener.open(&sealed) {
        Some(text) => serde_json::Value::String(text),
        None if opener.is_erased(&sealed) => serde_json::json!({"erased": true}),
        None => serde_json::json!({"sealed": true}),
    }
}
