//! `/v1/inbox`: refused commands of every context that a person should look at (RM-17).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{RawQuery, State as Ax};
use axum::response::Response;
use mw_contract::Context;
use mw_policy::Route;
use mw_production_views::read::table::{Page, Row};
use mw_production_views::read::tables::{INBOX, dismissed_elsewhere};
use rusqlite::types::Value;
use serde_json::{Map, json};

use crate::identity::Caller;
use crate::lists::{Ask, answer, unknown_code};
use crate::merge::merge;
use crate::problem::Problem;
use crate::server::State;

/// `GET /v1/inbox`: open items unless `state` says otherwise.
pub async fn index(Ax(state): Ax<State>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let mut ask = Ask::read(&state, &caller, query.as_deref(), &INBOX, &[])?;
    let scope = caller.scope(Route::Inbox)?;
    if ask.params.text("state").is_none()
        && let Some(f) = INBOX.filter("state")
    {
        ask.query.filters.push(f.read("open")?);
    }
    for (context, model) in state.models.all() {
        model.reach(ask.params.min_position(context)?).await?;
    }
    // Every context dismisses in production: what is not production's own goes along to the others.
    let dismissed = state.models.production.query(|conn, _| dismissed_elsewhere(conn)).await?;
    let direction = ask.query.sort.map_or(INBOX.order.1, |(_, d)| d);
    let ask = Arc::new(ask);
    let mut rows: Vec<Row> = Vec::new();
    let mut positions = BTreeMap::new();
    let mut more = false;
    for (context, model) in state.models.all() {
        let (ask, scope, dismissed) = (ask.clone(), scope.clone(), dismissed.clone());
        let found = model.query(move |conn, head| {
            if context == Context::Production
                && let Some(bad) = unknown_code(conn, &ask.query)?
            {
                return Ok(Err(bad));
            }
            let given = (Value::Text(dismissed), Value::Text(context.as_str().to_owned()));
            let q = ask.query.with(given);
            Ok(Ok((INBOX.page(conn, &scope, &q, ask.format)?, head)))
        });
        let (page, head) = found.await??;
        positions.insert(context.as_str(), head.position);
        more |= page.more;
        rows.extend(page.rows);
    }
    more |= merge(&mut rows, direction, ask.query.limit);
    let mut beside = Map::new();
    // A plain number is that of orders, where entries are dismissed.
    beside.insert("position".into(), json!(positions[Context::Production.as_str()]));
    beside.insert("positions".into(), json!(positions));
    answer(&ask, &INBOX, "/v1/inbox", &Page { rows, more }, beside)
}
