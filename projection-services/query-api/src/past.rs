//! Documents as they were: `as_of` and `diff`.
//!
//! The commits of the streams that a document is made of are read from the log and applied again in
//! memory by the same projection, so a document of the past is made by the code that makes today's.
//! Whether the caller may see it is asked of today's rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mw_after_service_views::AfterServiceViews;
use mw_contract::{CommitNumber, Context, Head, StoredCommit, StreamId, Version};
use mw_production_views::ProductionViews;
use mw_projection::memory::replayed;
use mw_views::read::past::{Moment, Standing, standing};
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

/// Some streams up to a moment.
pub struct Past {
    stream: StreamId,
    /// How the first one stood.
    pub standing: Standing,
    /// The last version of each that is there.
    until: BTreeMap<StreamId, Version>,
    commits: Arc<Vec<StoredCommit>>,
}

impl Past {
    /// Reads what the log holds of a stream, and of others that its document shows something of, up
    /// to a moment; `None` when the first did not exist then.
    ///
    /// # Errors
    /// 503 while the read model is being built or the log can't be reached.
    pub async fn read(
        model: &Arc<Model>,
        stream: StreamId,
        others: Vec<StreamId>,
        moment: Moment,
    ) -> Result<Option<Self>, Problem> {
        type Found = (Option<Standing>, Vec<(StreamId, Standing)>);
        let find = move |conn: &Connection, _: Head| -> rusqlite::Result<Found> {
            let Some(first) = standing(conn, stream.kind, stream.id, moment)? else { return Ok((None, Vec::new())) };
            // Of the others, what was there when the first came to stand so, whatever named the moment.
            let then = match moment {
                Moment::Version(_) => Moment::Position(first.position),
                other => other,
            };
            let mut more = Vec::new();
            for s in others {
                more.extend(standing(conn, s.kind, s.id, then)?.map(|found| (s, found)));
            }
            Ok((Some(first), more))
        };
        let (Some(standing), others) = model.query(find).await? else { return Ok(None) };
        let numbers = standing.commits.iter().chain(others.iter().flat_map(|(_, s)| &s.commits));
        let numbers: BTreeSet<u64> = numbers.copied().collect();
        let mut commits = Vec::with_capacity(numbers.len());
        let mut wanted = numbers.into_iter().peekable();
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
        let mut until: BTreeMap<StreamId, Version> = others.iter().map(|(s, found)| (*s, found.version)).collect();
        until.insert(stream, standing.version);
        Ok(Some(Past { stream, standing, until, commits: Arc::new(commits) }))
    }

    /// Applies them, the first up to a version, and asks the rows, on a thread where that may take its time.
    ///
    /// # Errors
    /// 500 when history can't be applied or asked.
    pub async fn ask<T: Send + 'static>(
        &self,
        until: Version,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let (mut last, commits) = (self.until.clone(), self.commits.clone());
        last.insert(self.stream, until);
        let context = self.stream.kind.context();
        let answered = tokio::task::spawn_blocking(move || {
            let commits = commits.iter().cloned();
            let rows = match context {
                Context::AfterService => replayed(AfterServiceViews::new(), &last, commits),
                Context::Production | Context::Identity => replayed(ProductionViews::new(), &last, commits),
            };
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
