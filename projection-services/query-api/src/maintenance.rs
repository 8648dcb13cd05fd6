//! Maintenance plans with their forecast (RM-22), and the parts that tickets and orders used (RM-20).

use axum::extract::{RawQuery, State as Ax};
use axum::response::Response;
use mw_after_service_views::parts_usage::PARTS_USAGE;
use mw_after_service_views::plans::{Need, PLANS, Reading, forecasts, needs};
use mw_contract::Context;
use mw_policy::{Route, Scope};
use mw_production_views::figures::beside::{cell_of, counter};
use mw_production_views::read::tables::MATERIAL_USAGE;
use mw_views::read::table::{Page, Row, Table};
use rusqlite::types::Value;
use serde_json::{Map, json};

use crate::identity::Caller;
use crate::lists::{Ask, answer, known};
use crate::merge::merge;
use crate::problem::Problem;
use crate::server::State;

/// `GET /v1/maintenance-plans`. What counters show is production's to know: the answer stands in both.
pub async fn plans(Ax(state): Ax<State>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let mut ask = Ask::read(&state, &caller, query.as_deref(), &PLANS, &[])?;
    let scope = caller.scope(Route::MaintenancePlans)?;
    let after_service = ask.params.min_position(Context::AfterService)?;
    // A plain number is this list's own.
    let production = ask.params.named_position(Context::Production)?;
    state.models.service_figures.reach(after_service).await?;
    state.models.figures.reach(production).await?;
    let wanted = state.models.service_figures.query(|conn, _| needs(conn)).await?;
    let now = ask.query.now;
    let found = state.models.figures.query(move |conn, head| {
        let one = |n: &Need| -> rusqlite::Result<Reading> {
            let Some(owner) = n.owner else { return Ok(Reading::default()) };
            let counter = match &n.counter {
                Some(name) => counter(conn, owner, name, now)?,
                None => None,
            };
            let cell = cell_of(conn, owner)?;
            Ok(Reading { cell, now: counter.as_ref().map(|c| c.now), daily: counter.and_then(|c| c.daily) })
        };
        let readings = wanted.iter().map(one).collect::<rusqlite::Result<Vec<_>>>()?;
        Ok((forecasts(&wanted, &readings, now), head.position))
    });
    let (forecasts, production) = found.await?;
    ask.query.given.0 = Value::Text(forecasts.to_string());
    let mut beside = Map::new();
    beside.insert("positions".into(), json!({"production": production}));
    page(&state, ask, scope, &PLANS, "/v1/maintenance-plans", beside).await
}

/// `GET /v1/parts-usage`: of tickets and of orders, one list in the order of both.
pub async fn parts(Ax(state): Ax<State>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let ask = Ask::read(&state, &caller, query.as_deref(), &PARTS_USAGE, &[])?;
    let of_orders = Ask::read(&state, &caller, query.as_deref(), &MATERIAL_USAGE, &[])?;
    let (scope, theirs) = (caller.scope(Route::PartsUsage)?, caller.scope(Route::PartsUsage)?);
    // A plain number is that of tickets.
    let production = ask.params.named_position(Context::Production)?;
    state.models.service_figures.reach(ask.params.min_position(Context::AfterService)?).await?;
    state.models.production.reach(production).await?;
    let ask = known(&state, ask).await?;
    let found = state.models.service_figures.query(move |conn, head| {
        let page = PARTS_USAGE.page(conn, &scope, &ask.query, ask.format)?;
        Ok((ask, page, head.position))
    });
    let (ask, page, after_service) = found.await?;
    let found = state.models.production.query(move |conn, head| {
        Ok((MATERIAL_USAGE.page(conn, &theirs, &of_orders.query, of_orders.format)?, head.position))
    });
    let (more, production) = found.await?;
    let mut rows: Vec<Row> = page.rows.into_iter().chain(more.rows).collect();
    let direction = ask.query.sort.map_or(PARTS_USAGE.order.1, |(_, d)| d);
    let more = merge(&mut rows, direction, ask.query.limit) || page.more || more.more;
    let mut beside = Map::new();
    beside.insert("position".into(), json!(after_service));
    beside.insert("positions".into(), json!({"production": production, "after-service": after_service}));
    answer(&ask, &PARTS_USAGE, "/v1/parts-usage", &Page { rows, more }, beside)
}

/// A page of a list; its position goes along, and into `positions` where there are several.
async fn page(
    state: &State,
    ask: Ask,
    scope: Scope,
    table: &'static Table,
    path: &str,
    mut beside: Map<String, serde_json::Value>,
) -> Result<Response, Problem> {
    let ask = known(state, ask).await?;
    let found = state.models.service_figures.query(move |conn, head| {
        let page = table.page(conn, &scope, &ask.query, ask.format)?;
        Ok((ask, page, head.position))
    });
    let (ask, page, position) = found.await?;
    beside.insert("position".into(), json!(position));
    if let Some(all) = beside.get_mut("positions") {
        all["after-service"] = json!(position);
    }
    answer(&ask, table, path, &page, beside)
}
