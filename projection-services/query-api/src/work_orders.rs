//! `/v1/work-orders`: the list, one order now and earlier, its history.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::extract::{Path, RawQuery, State as Ax};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use mw_contract::{AggregateId, AggregateKind, Context, StreamId, Version};
use mw_policy::{Route, Scope};
use mw_production_views::read::filter::{FILTERS, Filter};
use mw_production_views::read::list::{Format, Query, Sort, csv_heading, list};
use mw_production_views::read::{detail, events};
use mw_views::read::past::{Moment, Standing};
use serde_json::json;

use crate::identity::Caller;
use crate::params::{Cursor, Params};
use crate::past::{Past, differences};
use crate::problem::Problem;
use crate::server::State;
use crate::trail::Trail;

/// The parameters of every list beside its filters.
pub const PAGING: [&str; 5] = ["sort", "limit", "cursor", "format", "min_position"];

/// An id out of a path. One that can't be an id is simply not there.
pub fn id(text: &str) -> Result<AggregateId, Problem> {
    text.parse().map(AggregateId).map_err(|_| Problem::not_found(format!("{text:?} is no id of a work order")))
}

/// `application/json` from text.
pub fn json_text(body: impl Into<String>) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body.into()).into_response()
}

/// Adds `Link: rel="next"`.
pub fn link_next(r: &mut Response, path: &str, params: &Params, cursor: Option<&str>) {
    let Some(cursor) = cursor else { return };
    let link = format!("<{path}?{}>; rel=\"next\"", params.with_cursor(cursor));
    if let Ok(v) = HeaderValue::from_str(&link) {
        r.headers_mut().insert(header::LINK, v);
    }
}

/// `GET /v1/work-orders`.
pub async fn index(Ax(state): Ax<State>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let known: Vec<&str> = FILTERS.iter().map(|f| f.name).chain(PAGING).collect();
    let params = Params::read(query.as_deref(), &known)?;
    let scope = caller.scope(Route::WorkOrders)?;
    let (limit, csv) = (params.limit()?, params.csv()?);
    let filters = params.each().filter_map(|(n, v)| Filter::read(n, v)).collect::<Result<Vec<_>, _>>()?;
    let sort = params.text("sort").map_or(Ok(Sort::Default), Sort::read)?;
    let question = params.question();
    let cursor = params.text("cursor").map(|c| Cursor::decode(c, &question)).transpose()?;
    let now = cursor.as_ref().map_or_else(|| (state.now)(), |c| mw_contract::Instant::clamped(c.now));
    let model = &state.models.production;
    model.reach(params.min_position(Context::Production)?).await?;

    let q = Query { filters, sort, after: cursor.map(|c| c.after), limit, now };
    let format = if csv { Format::Csv } else { Format::Json };
    let page = model.query(move |conn, head| {
        for f in &q.filters {
            if let Some(bad) = f.unknown_code(conn)? {
                return Ok(Err(bad));
            }
        }
        Ok(Ok((list(conn, &scope, &q, format)?, head)))
    });
    let (page, head) = page.await??;
    let next = page.next.map(|after| Cursor { after, now: now.millis() }.encode(&question));
    let rows = String::from_utf8(page.rows).map_err(|e| Problem::internal(&e))?;
    let mut r = if csv {
        let kind = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
        let name = HeaderValue::from_static("attachment; filename=\"work-orders.csv\"");
        let heads = [(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)];
        (heads, csv_heading() + &rows).into_response()
    } else {
        json_text(format!("{{\"items\":[{rows}],\"next\":{},\"position\":{}}}", json!(next), head.position))
    };
    link_next(&mut r, "/v1/work-orders", &params, next.as_deref());
    Ok(r)
}

/// `GET /v1/work-orders/{id}`, now or `as_of` an earlier moment.
pub async fn show(
    Ax(state): Ax<State>,
    caller: Caller,
    Path(text): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let params = Params::read(query.as_deref(), &["min_position", "as_of"])?;
    let scope = caller.scope(Route::WorkOrders)?;
    let (id, moment) = (id(&text)?, params.as_of()?);
    let model = &state.models.production;
    model.reach(params.min_position(Context::Production)?).await?;
    let absent = || Problem::not_found(format!("there is no work order {id}, or it is not yours to see"));
    let (version, mut document, position) = match moment {
        None => {
            let mut texts = state.texts.session(Context::Production);
            let found = loop {
                let (scope, opener) = (scope.clone(), texts.opener());
                let found =
                    model.query(move |conn, head| Ok((detail::detail(conn, &scope, id, &*opener)?, head))).await?;
                if texts.complete().await {
                    break found;
                }
            };
            let (Some((version, document)), head) = found else { return Err(absent()) };
            (version, document, head.position)
        }
        Some(moment) => {
            let past = past_of(&state, &scope, id, moment).await?.ok_or_else(absent)?;
            let Standing { version, position, .. } = past.standing;
            let (_, document) = document_at(&state, &scope, id, &past, version).await?.ok_or_else(absent)?;
            (version.0, document, position)
        }
    };
    document["position"] = json!(position);
    tagged(version, &document, &headers)
}

/// A document with its version as `ETag`; 304 to who has it. A text that can't be read, or not any
/// more, is no new version but another document, so the tag counts those beside.
pub fn tagged(version: u64, document: &serde_json::Value, headers: &HeaderMap) -> Result<Response, Problem> {
    match (shut(document, "erased"), shut(document, "sealed")) {
        (0, 0) => tagged_as(&format!("\"{version}\""), document, headers),
        (erased, sealed) => tagged_as(&format!("\"{version}-{erased}-{sealed}\""), document, headers),
    }
}

/// How many texts of a document are in this state instead of open.
fn shut(document: &serde_json::Value, state: &str) -> usize {
    match document {
        serde_json::Value::Object(o) if o.len() == 1 && o.get(state) == Some(&json!(true)) => 1,
        serde_json::Value::Object(o) => o.values().map(|v| shut(v, state)).sum(),
        serde_json::Value::Array(a) => a.iter().map(|v| shut(v, state)).sum(),
        _ => 0,
    }
}

/// A document that has no version of its own, with what it says as a weak `ETag`. Members of
/// `beside` are shown and don't count.
pub fn tagged_by_content(
    mut document: serde_json::Value,
    beside: serde_json::Value,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let mut hasher = DefaultHasher::new();
    document.to_string().hash(&mut hasher);
    if let (Some(all), serde_json::Value::Object(more)) = (document.as_object_mut(), beside) {
        all.extend(more);
    }
    tagged_as(&format!("W/\"{:016x}\"", hasher.finish()), &document, headers)
}

fn tagged_as(tag: &str, document: &serde_json::Value, headers: &HeaderMap) -> Result<Response, Problem> {
    let etag = HeaderValue::from_str(tag).map_err(|e| Problem::internal(&e))?;
    let weakly = |t: &str| t.trim_start_matches("W/").to_owned();
    let same = |v: &HeaderValue| {
        v.to_str().is_ok_and(|v| v.split(',').any(|t| matches!(t.trim(), "*") || weakly(t.trim()) == weakly(tag)))
    };
    if headers.get(header::IF_NONE_MATCH).is_some_and(same) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
    }
    let mut r = json_text(document.to_string());
    r.headers_mut().insert(header::ETAG, etag);
    Ok(r)
}

/// The history of an order that the caller may see today.
async fn past_of(state: &State, scope: &Scope, id: AggregateId, moment: Moment) -> Result<Option<Past>, Problem> {
    let (model, scope) = (&state.models.production, scope.clone());
    if !model.query(move |conn, _| detail::is_seen(conn, &scope, id)).await? {
        return Ok(None);
    }
    Past::read(model, StreamId::new(AggregateKind::WorkOrder, id), Vec::new(), moment).await
}

/// An order as it was with a version.
async fn document_at(
    state: &State,
    scope: &Scope,
    id: AggregateId,
    past: &Past,
    version: Version,
) -> Result<Option<(u64, serde_json::Value)>, Problem> {
    let mut texts = state.texts.session(Context::Production);
    loop {
        // Its site and customer are those that it was made with; today's rows have let it pass.
        let (scope, opener) = (Scope { customer: None, ..scope.clone() }, texts.opener());
        let found = past.ask(version, move |conn| detail::detail(conn, &scope, id, &*opener)).await?;
        if texts.complete().await {
            return Ok(found);
        }
    }
}

/// `GET /v1/work-orders/{id}/diff`: what changed between two versions.
pub async fn diff(
    Ax(state): Ax<State>,
    caller: Caller,
    Path(text): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let params = Params::read(query.as_deref(), &["from", "to", "min_position"])?;
    let scope = caller.scope(Route::WorkOrders)?;
    let id = id(&text)?;
    let form = "a version of the order, 0 for before it was made";
    let (from, to): (Option<u64>, Option<u64>) = (params.parsed("from", form)?, params.parsed("to", form)?);
    let model = &state.models.production;
    model.reach(params.min_position(Context::Production)?).await?;
    let absent = || Problem::not_found(format!("there is no work order {id}, or it is not yours to see"));
    let last = Moment::Version(Version(to.unwrap_or(u64::MAX)));
    let past = match past_of(&state, &scope, id, last).await? {
        Some(past) => past,
        None => return Err(absent()),
    };
    let newest = past.standing.version.0;
    if let Some(to) = to.filter(|to| *to > newest) {
        return Err(Problem::parameter("to", &format!("{to} is no version yet, the last is {newest}"), &[]));
    }
    let (to, from) = (newest, from.unwrap_or(newest.saturating_sub(1)));
    if from > to {
        return Err(Problem::parameter("from", &format!("{from} is not before {to}"), &[]));
    }
    let old = match from {
        0 => serde_json::Value::Null,
        v => document_at(&state, &scope, id, &past, Version(v)).await?.ok_or_else(absent)?.1,
    };
    let (_, new) = document_at(&state, &scope, id, &past, Version(to)).await?.ok_or_else(absent)?;
    let changes = differences(&old, &new);
    let body = json!({"id": id, "from": from, "to": to, "changes": changes, "position": past.standing.position});
    Ok(json_text(body.to_string()))
}

/// `GET /v1/work-orders/{id}/events`.
pub async fn history(
    Ax(state): Ax<State>,
    caller: Caller,
    Path(text): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let trail = Trail::read(query.as_deref())?;
    let scope = caller.scope(Route::WorkOrderEvents)?;
    let id = id(&text)?;
    let model = &state.models.production;
    model.reach(trail.params.min_position(Context::Production)?).await?;
    let (q, mut texts) = (trail.query.clone(), state.texts.session(Context::Production));
    let found = loop {
        let (scope, q, opener, me) = (scope.clone(), q.clone(), texts.opener(), caller.0.name.to_string());
        let found =
            model.query(move |conn, head| Ok((events::events(conn, &scope, &me, id, &q, &*opener)?, head))).await?;
        if texts.complete().await {
            break found;
        }
    };
    let (Some(page), head) = found else {
        return Err(Problem::not_found(format!("there is no work order {id}, or it is not yours to see")));
    };
    Ok(trail.answer(page, head.position, &format!("/v1/work-orders/{id}/events")))
}
