//! What every query is made of. The caller's scope is put into the SQL, so that what a caller may
//! not see is not found rather than filtered out afterwards.
//!
//! - [`table`]: pages of any list that a table describes. [`page`]: how its rows are written.
//!   [`filter`]: values that a parameter does not take.
//! - [`inbox`]: refused commands that a person should look at (RM-17).
//! - [`events`]: the history of one thing (RM-19). [`outcome`]: what became of a command. [`audit`]:
//!   where in the log the asked-for events are. [`past`]: where a stream stood earlier.

pub mod audit;
pub mod events;
pub mod filter;
pub mod inbox;
pub mod outcome;
pub mod page;
pub mod past;
pub mod table;

use mw_contract::Sealed;
use mw_policy::{Scope, Sites};
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::TextOpener;

/// An SQL statement in the making: text, and values for its numbered places.
pub struct Sql {
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

    /// Puts one text for another, wherever it stands.
    pub fn replace(&mut self, old: &str, new: &str) {
        self.text = self.text.replace(old, new);
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
    ///
    /// # Errors
    /// SQLite's.
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
pub fn at_sites(sql: &mut Sql, column: &str, scope: &Scope) {
    let Sites::Some(sites) = &scope.sites else { return };
    sql.push(" AND (");
    sql.one_of(column, sites.iter().map(|s| s.as_str().to_owned()));
    if scope.siteless {
        sql.push(&format!(" OR {column} IS NULL"));
    }
    sql.push(")");
}

/// Sealed text as a reader in scope gets it: the text, or that it was erased, or that it is sealed.
pub fn shown(opener: &dyn TextOpener, key_id: Option<[u8; 16]>, bytes: Option<Vec<u8>>) -> serde_json::Value {
    let (Some(key_id), Some(bytes)) = (key_id, bytes) else { return serde_json::Value::Null };
    let sealed = Sealed::Cipher { key_id: uuid::Uuid::from_bytes(key_id), bytes };
    opened(opener, &sealed)
}

/// The same for a text that is at hand.
pub fn opened(opener: &dyn TextOpener, sealed: &Sealed) -> serde_json::Value {
    match opener.open(sealed) {
        Some(text) => serde_json::Value::String(text),
        None if opener.is_erased(sealed) => serde_json::json!({"erased": true}),
        None => serde_json::json!({"sealed": true}),
    }
}
