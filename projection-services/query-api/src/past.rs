//! Documents as they were: `as_of` and `diff`.
//!
//! The commits of the one stream are read from the log and applied again in memory by the same
//! projection, so a document of the past is made by the code that makes today's. Whether the
//! caller may see it is asked of today's rows.

use std::sync::Arc;

use mw_contract::{AggregateId, AggregateKind, CommitNumber, StoredCommit, StreamId, Version};
use mw_production_views::ProductionViews;
use mw_production_views::read::past::{Moment, Standing, standing};
use mw_projection::memory::replayed;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::models::Model;
use crate::params::Params;
use crate::problem::Problem;

/// Commits read from the log at once.
const RUN: usize = 500;

impl Params {
    /// `as_of`: an instant (recorded time), or `position:N`.
    pub fn as_of(&self) -> Result<Option<Moment>, Problem> {
        self.parsed("as_of", "an instant such as 2026-03-02T09:00:00Z, nor position:N")
    }
}

/// One stream up to a moment.
pub struct Past {
    stream: StreamId,
    /// How it stood.
    pub standing: Standing,
    commits: Arc<Vec<StoredCommit>>,
}

impl Past {
    /// Reads what the log holds of a stream up to a moment; `None` when it did not exist then.
    ///
    /// # Errors
    /// 503 while the read model is being built or the log can't be reached.
    pub async fn read(
        model: &Arc<Model>,
        kind: AggregateKind,
        id: AggregateId,
        moment: Moment,
    ) -> Result<Option<Self>, Problem> {
        let Some(standing) = model.query(move |conn, _| standing(conn, kind, id, moment)).await? else {
            return Ok(None);
        };
        let mut commits = Vec::with_capacity(standing.commits.len());
        let mut wanted = standing.commits.iter().copied().peekable();
        while let Some(first) = wanted.next() {
            let mut length = 1;
            while length < RUN && wanted.next_if_eq(&(first + length as u64)).is_some() {
                length += 1;
            }
            let read = model.log().read(CommitNumber(first), length).await;
            let read = read.map_err(|e| Problem::unavailable(format!("the log can't be read now: {e}")))?;
            if read.len() < length {
                return Err(Problem::internal(&format!("the log ends before commit {}", first + length as u64 - 1)));
            }
            commits.extend(read.iter().map(|c| (**c).clone()));
        }
        Ok(Some(Past { stream: StreamId::new(kind, id), standing, commits: Arc::new(commits) }))
    }

    /// Applies it up to a version and asks the rows, on a thread where that may take its time.
    ///
    /// # Errors
    /// 500 when history can't be applied or asked.
    pub async fn ask<T: Send + 'static>(
        &self,
        until: Version,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let (stream, commits) = (self.stream, self.commits.clone());
        let answered = tokio::task::spawn_blocking(move || {
            let rows = replayed(ProductionViews::new(), &stream, until, commits.iter().cloned());
            rows.map_err(|e| e.to_string()).and_then(|conn| question(&conn).map_err(|e| e.to_string()))
        });
        answered.await.map_err(|e| Problem::internal(&e))?.map_err(|e| Problem::internal(&e))
    }
}

/// What differs between two documents, as `{path, old, new}` in the order of the paths. Items of
/// lists are told apart by their own key ([`key_of`]), not by their place; a list that has none is
/// one value.
pub fn differences(old: &Value, new: &Value) -> Vec<Value> {
    let mut out = Vec::new();
    compare("", old, new, &mut out);
    out
}

fn compare(path: &str, old: &Value, new: &Value, out: &mut Vec<Value>) {
    if old == new {
        return;
    }
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            let mut names: Vec<&String> = a.keys().chain(b.keys().filter(|k| !a.contains_key(*k))).collect();
            names.sort();
            for name in names {
                let of = |m: &serde_json::Map<String, Value>| m.get(name).cloned().unwrap_or_default();
                compare(&format!("{path}/{name}"), &of(a), &of(b), out);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.iter().chain(b).all(|v| key_of(v).is_some()) => {
            for v in a {
                let now = b.iter().find(|x| key_of(x) == key_of(v)).unwrap_or(&Value::Null);
                compare(&format!("{path}/{}", key_of(v).unwrap_or_default()), v, now, out);
            }
            for v in b.iter().filter(|v| !a.iter().any(|x| key_of(x) == key_of(v))) {
                out.push(json!({"path": format!("{path}/{}", key_of(v).unwrap_or_default()), "old": null, "new": v}));
            }
        }
        _ => out.push(json!({"path": path, "old": old, "new": new})),
    }
}

/// What names an item of a list for good.
fn key_of(v: &Value) -> Option<String> {
    const KEYS: [&str; 9] =
        ["op", "line_no", "session_id", "report_id", "inspection_id", "ncr_id", "note_id", "serial", "reservation_id"];
    let v = v.as_object()?;
    KEYS.iter().find_map(|k| match v.get(*k)? {
        Value::String(s) => Some(s.clone()),
        Value::Number(n) => Some(n.to_string()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_told_apart_by_their_key_and_not_by_their_place() {
        let old = json!({"state": "draft", "operations": [{"op": 10, "good": "0"}, {"op": 20, "good": "0"}], "x": [1]});
        let new = json!({"state": "released", "operations": [{"op": 20, "good": "0"}, {"op": 10, "good": "3"},
            {"op": 30, "good": "0"}], "x": [1, 2]});
        let d = differences(&old, &new);
        let paths: Vec<&str> = d.iter().map(|v| v["path"].as_str().unwrap()).collect();
        assert_eq!(paths, ["/operations/10/good", "/operations/30", "/state", "/x"]);
        assert_eq!((&d[0]["old"], &d[0]["new"]), (&json!("0"), &json!("3")));
        assert_eq!(d[3], json!({"path": "/x", "old": [1], "new": [1, 2]}));
        assert!(differences(&new, &new).is_empty());
        // What was taken away has no new value.
        let gone = differences(&new, &old);
        assert_eq!(gone[1], json!({"path": "/operations/30", "old": {"op": 30, "good": "0"}, "new": null}));
    }

    #[test]
    fn nothing_before_the_beginning() {
        let d = differences(&Value::Null, &json!({"state": "draft"}));
        assert_eq!(d, [json!({"path": "", "old": null, "new": {"state": "draft"}})]);
    }
}
