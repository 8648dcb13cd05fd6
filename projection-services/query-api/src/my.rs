//! `/v1/my/…`: what a customer sees of its own (RM-13). It joins contexts, and each has a position.

use axum::extract::{RawQuery, State as Ax};
use axum::response::Response;
use mw_after_service_views::read::lists::CUSTOMERS_TICKETS;
use mw_after_service_views::read::mine;
use mw_contract::Context;
use mw_policy::Route;
use mw_production_views::read::plant::MY_UNITS;
use mw_views::read::page::Format;
use rusqlite::types::Value;
use serde_json::{Map, json};

use crate::identity::Caller;
use crate::lists::{Ask, answer, csv};
use crate::problem::Problem;
use crate::server::State;
use crate::work_orders::{json_text, link_next};

/// Waits for `min_position`; a plain number is that of the context whose things are listed.
async fn reach(state: &State, ask: &Ask, own: Context) -> Result<(), Problem> {
    let plain = ask.params.text("min_position").is_some_and(|t| !t.contains(':'));
    for context in [Context::Production, Context::AfterService] {
        let wanted = ask.params.min_position(context)?.filter(|_| !plain || context == own);
        state.models.of(context).reach(wanted).await?;
    }
    Ok(())
}

/// `GET /v1/my/units`.
pub async fn units(Ax(state): Ax<State>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let scope = caller.scope(Route::My)?;
    let mut ask = Ask::read(&state, &caller, query.as_deref(), &MY_UNITS, &[])?;
    reach(&state, &ask, Context::Production).await?;
    let mine = scope.clone();
    let model = &state.models.after_service;
    let (open, service) = model.query(move |conn, head| Ok((mine::open_by_unit(conn, &mine)?, head.position))).await?;
    ask.query.given.0 = Value::Text(open);
    let found = state.models.production.query(move |conn, head| {
        let page = MY_UNITS.page(conn, &scope, &ask.query, ask.format)?;
        Ok((ask, page, head.position))
    });
    let (ask, page, production) = found.await?;
    let mut beside = Map::new();
    beside.insert("position".into(), json!(production));
    beside.insert("positions".into(), json!({"production": production, "after-service": service}));
    answer(&ask, &MY_UNITS, "/v1/my/units", &page, beside)
}

/// `GET /v1/my/tickets`: each as a document, with its public comments, quotes and visits; the last
/// changed first.
pub async fn tickets(Ax(state): Ax<State>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let scope = caller.scope(Route::My)?;
    let ask = Ask::read(&state, &caller, query.as_deref(), &CUSTOMERS_TICKETS, &[])?;
    reach(&state, &ask, Context::AfterService).await?;
    let production = state.models.production.query(|_, head| Ok(head.position)).await?;
    let model = &state.models.after_service;
    if ask.format == Format::Csv {
        let q = ask.query.with((Value::Null, Value::Null));
        let rows = model.query(move |conn, _| CUSTOMERS_TICKETS.page(conn, &scope, &q, Format::Csv)).await?;
        return csv(&CUSTOMERS_TICKETS, &String::from_utf8_lossy(&rows.text(Format::Csv)));
    }
    let mut texts = state.texts.session(Context::AfterService);
    let (items, next, service) = loop {
        let (scope, opener) = (scope.clone(), texts.opener());
        let q = ask.query.with((Value::Null, Value::Null));
        let found = model.query(move |conn, head| {
            let (items, next) = mine::tickets(conn, &scope, &q, &*opener)?;
            Ok((items, next, head.position))
        });
        let found = found.await?;
        if texts.complete().await {
            break found;
        }
    };
    let next = ask.cursor(next);
    let positions = json!({"production": production, "after-service": service});
    let mut r =
        json_text(json!({"items": items, "next": next, "position": service, "positions": positions}).to_string());
    link_next(&mut r, "/v1/my/tickets", &ask.params, next.as_deref());
    Ok(r)
}
