//! Machines, downtime, stock and produced units.

use axum::extract::{Path, RawQuery, State as Ax};
use axum::http::HeaderMap;
use axum::response::Response;
use mw_contract::{AggregateId, Context};
use mw_policy::{Route, Scope};
use mw_production_views::read::plant::{self, DOWNTIME, EQUIPMENT, STOCK};
use serde_json::{Map, Value, json};

use crate::identity::Caller;
use crate::lists::{Ask, run};
use crate::params::Params;
use crate::problem::Problem;
use crate::server::State;
use crate::work_orders::{json_text, tagged};

/// `GET /v1/equipment`.
pub async fn equipment(Ax(state): Ax<State>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let ask = Ask::read(&state, &caller, query.as_deref(), &EQUIPMENT, &[])?;
    let scope = caller.scope(Route::Equipment)?;
    run(&state, ask, scope, &EQUIPMENT, "/v1/equipment", |_, _, _| Ok(Some(Map::new()))).await
}

/// `GET /v1/downtime`.
pub async fn downtime(Ax(state): Ax<State>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let ask = Ask::read(&state, &caller, query.as_deref(), &DOWNTIME, &[])?;
    let scope = caller.scope(Route::Equipment)?;
    run(&state, ask, scope, &DOWNTIME, "/v1/downtime", |_, _, _| Ok(Some(Map::new()))).await
}

/// `GET /v1/stock`.
pub async fn stock(Ax(state): Ax<State>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let ask = Ask::read(&state, &caller, query.as_deref(), &STOCK, &[])?;
    let scope = caller.scope(Route::Stock)?;
    run(&state, ask, scope, &STOCK, "/v1/stock", |_, _, _| Ok(Some(Map::new()))).await
}

/// `GET /v1/equipment/{id}`.
pub async fn machine(
    Ax(state): Ax<State>,
    caller: Caller,
    Path(text): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let params = Params::read(query.as_deref(), &["min_position"])?;
    let scope = caller.scope(Route::Equipment)?;
    let absent = || Problem::not_found(format!("there is no equipment {text}, or it is not yours to see"));
    let id: AggregateId = text.parse().map_err(|_| absent())?;
    let model = &state.models.production;
    model.reach(params.min_position(Context::Production)?).await?;
    let (found, head) = model.query(move |conn, head| Ok((plant::machine(conn, &scope, id)?, head))).await?;
    let (version, mut document) = found.ok_or_else(absent)?;
    document["position"] = json!(head.position);
    // Times go on without events, but nothing in the document follows from them.
    tagged(version, &document, &headers)
}

/// The one unit of a serial number that the caller may see.
async fn found(state: &State, scope: Scope, serial: &str, params: &Params) -> Result<[u8; 16], Problem> {
    let model = &state.models.production;
    model.reach(params.min_position(Context::Production)?).await?;
    let (name, product) = (serial.to_owned(), params.text("product").map(str::to_owned));
    let units = model.query(move |conn, _| plant::units(conn, &scope, &name, product.as_deref())).await?;
    match units.as_slice() {
        [(id, _)] => Ok(*id),
        [] => Err(Problem::not_found(format!("there is no unit {serial}, or it is not yours to see"))),
        several => {
            let products: Vec<String> = several.iter().map(|(_, p)| p.clone()).collect();
            Err(Problem::parameter("product", &format!("several products have a unit {serial}"), &products))
        }
    }
}

/// `GET /v1/units/{serial}`.
pub async fn unit(
    Ax(state): Ax<State>,
    caller: Caller,
    Path(serial): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let params = Params::read(query.as_deref(), &["product", "min_position"])?;
    let scope = caller.scope(Route::Units)?;
    let id = found(&state, scope.clone(), &serial, &params).await?;
    let model = &state.models.production;
    let (unit, head) = model.query(move |conn, head| Ok((plant::unit(conn, &scope, &id)?, head))).await?;
    let (version, mut document) = unit.ok_or_else(|| Problem::not_found(format!("there is no unit {serial}")))?;
    document["position"] = json!(head.position);
    tagged(version, &document, &headers)
}

/// Where a joined resource stands in each context.
fn positions(production: impl serde::Serialize) -> Value {
    json!({"production": production})
}

/// `GET /v1/units/{serial}/trace`.
pub async fn trace(
    Ax(state): Ax<State>,
    caller: Caller,
    Path(serial): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let params = Params::read(query.as_deref(), &["product", "min_position"])?;
    let scope = caller.scope(Route::Units)?;
    // Who worked on it is not for customers.
    let staff = scope.customer.is_none();
    let id = found(&state, scope.clone(), &serial, &params).await?;
    let model = &state.models.production;
    let (trace, head) = model.query(move |conn, head| Ok((plant::trace(conn, &scope, &id, staff)?, head))).await?;
    let mut document = trace.ok_or_else(|| Problem::not_found(format!("there is no unit {serial}")))?;
    document["positions"] = positions(head.position);
    Ok(json_text(document.to_string()))
}

/// `GET /v1/where-used/{serial-or-lot}`.
pub async fn where_used(
    Ax(state): Ax<State>,
    caller: Caller,
    Path(what): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let params = Params::read(query.as_deref(), &["min_position"])?;
    let scope = caller.scope(Route::Units)?;
    let model = &state.models.production;
    model.reach(params.min_position(Context::Production)?).await?;
    let name = what.clone();
    let (items, head) = model.query(move |conn, head| Ok((plant::where_used(conn, &scope, &name)?, head))).await?;
    if items.is_empty() {
        return Err(Problem::not_found(format!("{what} is in no unit that you may see")));
    }
    Ok(json_text(json!({"items": items, "positions": positions(head.position)}).to_string()))
}
