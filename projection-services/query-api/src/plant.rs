//! Machines, downtime, stock and produced units.

use axum::extract::{Path, RawQuery, State as Ax};
use axum::http::HeaderMap;
use axum::response::Response;
use mw_after_service_views::trace as service_trace;
use mw_contract::{AggregateId, AggregateKind, Context, Instant, Position, StreamId};
use mw_policy::{Route, Scope};
use mw_production_views::figures::live::live;
use mw_production_views::read::plant::{self, DOWNTIME, EQUIPMENT, STOCK};
use mw_production_views::read::siblings::siblings;
use mw_production_views::{NeverOpens, TextOpener};
use mw_views::read::past::{Moment, recorded_at};
use rusqlite::Connection;
use rusqlite::types::Value as Sqlite;
use serde_json::{Map, Value, json};

use crate::figures::csv_of;
use crate::identity::Caller;
use crate::lists::{Ask, run};
use crate::params::Params;
use crate::past::Past;
use crate::problem::Problem;
use crate::server::State;
use crate::work_orders::{json_text, link_next, tagged, tagged_by_content};

/// `GET /v1/equipment`.
pub async fn equipment(Ax(state): Ax<State>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let ask = Ask::read(&state, &caller, query.as_deref(), &EQUIPMENT, &[])?;
    let scope = caller.scope(Route::Equipment)?;
    let live = live_figures(&state, &scope, &ask).await?;
    let found = run(&state, ask, scope, &EQUIPMENT, "/v1/equipment", move |_, _, q| {
        q.given.0 = live;
        Ok(Some(Map::new()))
    });
    found.await
}

/// What the cells have made this hour and this shift, for the list. While the figures can't be read
/// the wall still shows the machines, without them.
async fn live_figures(state: &State, scope: &Scope, ask: &Ask) -> Result<Sqlite, Problem> {
    let model = &state.models.figures;
    if model.reach(ask.params.min_position(Context::Production)?).await.is_err() {
        return Ok(Sqlite::Null);
    }
    let (scope, now) = (scope.clone(), ask.query.now);
    let found = model.query(move |conn, _| live(conn, &scope, now)).await;
    Ok(found.map_or(Sqlite::Null, |cells| Sqlite::Text(cells.to_string())))
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

/// `GET /v1/equipment/{id}`, now or `as_of` an earlier moment.
pub async fn machine(
    Ax(state): Ax<State>,
    caller: Caller,
    Path(text): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let params = Params::read(query.as_deref(), &["min_position", "as_of"])?;
    let scope = caller.scope(Route::Equipment)?;
    let absent = || Problem::not_found(format!("there is no equipment {text}, or it is not yours to see"));
    let id: AggregateId = text.parse().map_err(|_| absent())?;
    let model = &state.models.production;
    model.reach(params.min_position(Context::Production)?).await?;
    let today = {
        let scope = scope.clone();
        model.query(move |conn, _| Ok(plant::machine(conn, &scope, id, &NeverOpens)?.is_some())).await?
    };
    let past = match params.as_of()? {
        _ if !today => return Err(absent()),
        Some(moment) => {
            let stream = StreamId::new(AggregateKind::Equipment, id);
            Some(Past::read(model, stream, Vec::new(), moment).await?.ok_or_else(absent)?)
        }
        None => None,
    };
    let (found, position) =
        answered(&state, past.as_ref(), move |conn, opener| plant::machine(conn, &scope, id, opener)).await?;
    let (version, mut document) = found.ok_or_else(absent)?;
    document["position"] = json!(position);
    // Times go on without events, but nothing in the document follows from them.
    tagged(version, &document, &headers)
}

/// What today's rows, or those of a moment, answer to a question, with sealed texts opened; and the
/// position of that.
async fn answered<T: Send + 'static>(
    state: &State,
    past: Option<&Past>,
    question: impl Fn(&Connection, &dyn TextOpener) -> rusqlite::Result<T> + Clone + Send + 'static,
) -> Result<(T, Position), Problem> {
    let mut texts = state.texts.session(Context::Production);
    loop {
        let (question, opener) = (question.clone(), texts.opener());
        let found = match past {
            None => {
                let model = &state.models.production;
                model.query(move |conn, head| Ok((question(conn, &*opener)?, head.position))).await?
            }
            Some(p) => {
                let found = p.ask(p.standing.version, move |conn| question(conn, &*opener)).await?;
                (found, p.standing.position)
            }
        };
        if texts.complete().await {
            return Ok(found);
        }
    }
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

/// The history of a unit up to the moment that was asked for, if one was.
async fn past_of(state: &State, id: [u8; 16], params: &Params, serial: &str) -> Result<Option<Past>, Problem> {
    let Some(moment) = params.as_of()? else { return Ok(None) };
    let model = &state.models.production;
    let behind = model.query(move |conn, _| plant::streams_behind(conn, &id)).await?;
    let stream = StreamId::new(AggregateKind::Unit, AggregateId(uuid::Uuid::from_bytes(id)));
    let past = Past::read(model, stream, behind, moment).await?;
    past.map(Some).ok_or_else(|| Problem::not_found(format!("there was no unit {serial} then")))
}

/// `GET /v1/units/{serial}`, now or `as_of` an earlier moment.
pub async fn unit(
    Ax(state): Ax<State>,
    caller: Caller,
    Path(serial): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let params = Params::read(query.as_deref(), &["product", "min_position", "as_of"])?;
    let scope = caller.scope(Route::Units)?;
    let id = found(&state, scope.clone(), &serial, &params).await?;
    let past = past_of(&state, id, &params, &serial).await?;
    let (unit, position) = answered(&state, past.as_ref(), move |conn, _| plant::unit(conn, &scope, &id)).await?;
    let (version, mut document) = unit.ok_or_else(|| Problem::not_found(format!("there is no unit {serial}")))?;
    document["position"] = json!(position);
    tagged(version, &document, &headers)
}

/// Where a joined resource stands in each context.
fn positions(production: Position, service: Position) -> Value {
    json!({"production": production, "after-service": service})
}

/// The recorded time that a moment of production's log stands for.
async fn time_of(state: &State, moment: Moment) -> Result<Option<Instant>, Problem> {
    match moment {
        Moment::Time(t) => Ok(Some(t)),
        Moment::Position(p) => state.models.production.query(move |conn, _| recorded_at(conn, p)).await,
        Moment::Version(_) => Ok(None),
    }
}

/// The tickets of units, as the caller sees tickets: none where it sees none at all.
async fn tickets_of(
    state: &State,
    caller: &Caller,
    units: Vec<AggregateId>,
    at: Option<Instant>,
) -> Result<(Vec<Vec<Value>>, Position), Problem> {
    let scope = caller.scope(Route::Tickets).ok();
    let found = state.models.service_figures.query(move |conn, head| {
        let one = |unit: &AggregateId| match &scope {
            Some(scope) => service_trace::tickets(conn, scope, *unit, scope.customer.is_none(), at),
            None => Ok(Vec::new()),
        };
        Ok((units.iter().map(one).collect::<rusqlite::Result<Vec<_>>>()?, head.position))
    });
    found.await
}

/// `GET /v1/units/{serial}/trace`, now or `as_of` an earlier moment: the order and the work behind it,
/// its tickets, and to staff the units that have a lot in common with it. Its `ETag` is weak and of
/// what it says: it shows more than one thing that has a version.
pub async fn trace(
    Ax(state): Ax<State>,
    caller: Caller,
    Path(serial): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let params = Params::read(query.as_deref(), &["product", "min_position", "as_of"])?;
    let scope = caller.scope(Route::Units)?;
    // Who worked on it is not for customers.
    let staff = scope.customer.is_none();
    state.models.service_figures.reach(params.min_positions()?.1).await?;
    let id = found(&state, scope.clone(), &serial, &params).await?;
    let past = past_of(&state, id, &params, &serial).await?;
    let wanted = scope.clone();
    let (trace, position) =
        answered(&state, past.as_ref(), move |conn, opener| plant::trace(conn, &wanted, &id, staff, opener)).await?;
    let mut document = trace.ok_or_else(|| Problem::not_found(format!("there is no unit {serial}")))?;
    let at = match params.as_of()? {
        Some(moment) => time_of(&state, moment).await?,
        None => None,
    };
    let unit = AggregateId(uuid::Uuid::from_bytes(id));
    let (tickets, service) = tickets_of(&state, &caller, vec![unit], at).await?;
    document["tickets"] = tickets.into_iter().flatten().collect();
    if staff && past.is_none() {
        let model = &state.models.production;
        let (mut siblings, more) = model.query(move |conn, _| siblings(conn, &scope, &id)).await?;
        let ids = siblings.iter().filter_map(|s| s["unit_id"].as_str()?.parse().ok()).collect();
        let (theirs, _) = tickets_of(&state, &caller, ids, None).await?;
        for (sibling, tickets) in siblings.iter_mut().zip(theirs) {
            sibling["tickets"] = tickets.iter().map(brief).collect();
        }
        document["siblings"] = siblings.into();
        document["more_siblings"] = json!(more);
    }
    tagged_by_content(document, json!({"positions": positions(position, service)}), &headers)
}

/// A ticket where many are listed.
fn brief(ticket: &Value) -> Value {
    const SHOWN: [&str; 8] =
        ["ticket_id", "number", "state", "opened_at", "resolved_at", "symptom", "cause", "resolution"];
    SHOWN.iter().filter_map(|name| Some(((*name).to_owned(), ticket.get(*name)?.clone()))).collect()
}

/// The columns of [`where_used`] as CSV: where each stands in an item.
const USED: [(&str, &str); 14] = [
    ("level", "/level"),
    ("serial", "/serial"),
    ("product", "/product"),
    ("customer", "/customer"),
    ("status", "/status"),
    ("item", "/component/item"),
    ("component_serial", "/component/serial"),
    ("lot", "/component/lot"),
    ("qty", "/component/qty"),
    ("position", "/component/position"),
    ("as_built", "/component/as_built"),
    ("added_at", "/component/added_at"),
    ("removed_on", "/component/removed_on"),
    ("tickets", "/ticket_numbers"),
];

/// `GET /v1/where-used/{serial-or-lot}`: a page of the units with their tickets, the tickets that put
/// it in or took it out, and to staff the orders that handled it.
pub async fn where_used(
    Ax(state): Ax<State>,
    caller: Caller,
    Path(what): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let params = Params::read(query.as_deref(), &["min_position", "limit", "cursor", "format"])?;
    let scope = caller.scope(Route::Units)?;
    let (limit, csv) = (params.limit()?, params.csv()?);
    let from: usize = params.parsed("cursor", "the `next` of the page before")?.unwrap_or(0);
    let model = &state.models.production;
    let (production, service) = params.min_positions()?;
    model.reach(production).await?;
    state.models.service_figures.reach(service).await?;
    let name = what.clone();
    let (items, orders, head) = model
        .query(move |conn, head| {
            let orders = match scope.customer {
                None => plant::handled_by(conn, &scope, &name)?,
                Some(_) => Vec::new(),
            };
            Ok((plant::where_used(conn, &scope, &name)?, orders, head))
        })
        .await?;
    let exchanged = match caller.scope(Route::Tickets) {
        Ok(scope) => {
            let name = what.clone();
            let staff = scope.customer.is_none();
            let model = &state.models.service_figures;
            model.query(move |conn, _| service_trace::tickets_with(conn, &scope, &name, staff)).await?
        }
        Err(_) => Vec::new(),
    };
    if items.is_empty() && orders.is_empty() && exchanged.is_empty() {
        return Err(Problem::not_found(format!("{what} is in nothing that you may see")));
    }
    let next = (items.len() > from.saturating_add(limit)).then(|| (from + limit).to_string());
    let mut page: Vec<Value> = items.into_iter().skip(from).take(limit).collect();
    let units = page
        .iter()
        .map(|i| i["unit_id"].as_str().and_then(|u| u.parse().ok()).unwrap_or(AggregateId(uuid::Uuid::nil())))
        .collect();
    let (theirs, service) = tickets_of(&state, &caller, units, None).await?;
    for (item, tickets) in page.iter_mut().zip(theirs) {
        let numbers: Vec<&str> = tickets.iter().filter_map(|t| t["number"].as_str()).collect();
        if csv {
            item["ticket_numbers"] = json!(numbers.join(" "));
        }
        item["tickets"] = tickets.iter().map(brief).collect();
    }
    let mut r = if csv {
        let flat = |i: &Value| -> Value {
            USED.iter().map(|(name, at)| ((*name).to_owned(), i.pointer(at).cloned().unwrap_or_default())).collect()
        };
        csv_of("where-used", &USED.map(|(name, _)| name), &page.iter().map(flat).collect::<Vec<_>>())
    } else {
        let at = positions(head.position, service);
        json_text(
            json!({"items": page, "orders": orders, "tickets": exchanged, "next": next, "position": head.position,
                "positions": at})
            .to_string(),
        )
    };
    link_next(&mut r, &format!("/v1/where-used/{what}"), &params, next.as_deref());
    Ok(r)
}
