//! The history of one thing: its parameters, and its answer.

use std::sync::Arc;

use axum::response::Response;
use mw_contract::{EventType, Position};
use mw_views::read::events::{Page, Query};
use rusqlite::types::Value;
use serde_json::json;

use crate::params::{Cursor, Params};
use crate::problem::Problem;
use crate::work_orders::{json_text, link_next};

/// Its parameters.
pub const TRAIL: [&str; 7] = ["actor", "type", "from", "to", "limit", "cursor", "min_position"];

/// A question for a history.
pub struct Trail {
    /// Its parameters.
    pub params: Params,
    /// What is asked for.
    pub query: Arc<Query>,
}

impl Trail {
    /// Reads the parameters.
    ///
    /// # Errors
    /// 400 with what is allowed.
    pub fn read(query: Option<&str>) -> Result<Trail, Problem> {
        let params = Params::read(query, &TRAIL)?;
        let types: Vec<String> = EventType::ALL.iter().map(|t| t.as_str().to_owned()).collect();
        let question = params.question();
        let after = match params.text("cursor").map(|c| Cursor::decode(c, &question)).transpose()?.map(|c| c.after) {
            None => None,
            Some(after) => match after.as_slice() {
                [Value::Integer(c), Value::Integer(i)] => Some((*c as u64, *i as u64)),
                _ => return Err(Problem::parameter("cursor", "is not a cursor of this list", &[])),
            },
        };
        let query = Query {
            actor: params.several("actor", &[])?,
            event_type: params.several::<EventType>("type", &types)?,
            from: params.parsed("from", "an instant such as 2026-03-02T09:00:00Z")?,
            to: params.parsed("to", "an instant such as 2026-03-02T09:00:00Z")?,
            after,
            limit: params.limit()?,
        };
        Ok(Trail { params, query: Arc::new(query) })
    }

    /// A page of it.
    pub fn answer(&self, page: Page, position: Position, path: &str) -> Response {
        let question = self.params.question();
        let cursor = |(c, i): (u64, u64)| {
            let after = vec![Value::Integer(c as i64), Value::Integer(i as i64)];
            Cursor { after, now: 0 }.encode(&question)
        };
        let next = page.next.map(cursor);
        let body = json!({"items": page.items, "next": next, "position": position});
        let mut r = json_text(body.to_string());
        link_next(&mut r, path, &self.params, next.as_deref());
        r
    }
}
