//! `/v1/tickets`: the list (RM-10), one ticket now and earlier, its history.

use axum::extract::{Path, RawQuery, State as Ax};
use axum::http::HeaderMap;
use axum::response::Response;
use mw_after_service_views::read::detail::{self, Reader};
use mw_after_service_views::read::lists::{CUSTOMERS_TICKETS, TICKETS};
use mw_after_service_views::read::seq_of;
use mw_contract::{AggregateId, AggregateKind, Context, StreamId};
use mw_policy::{Route, Scope};
use mw_views::read::events;
use mw_views::read::past::Moment;
use serde_json::{Map, json};

use crate::identity::Caller;
use crate::lists::{Ask, run_in};
use crate::params::Params;
use crate::past::Past;
use crate::problem::Problem;
use crate::server::State;
use crate::trail::Trail;
use crate::work_orders::tagged;

const HERE: Context = Context::AfterService;

fn absent(text: &str) -> Problem {
    Problem::not_found(format!("there is no ticket {text}, or it is not yours to see"))
}

/// An id out of a path. One that can't be an id is simply not there.
fn id(text: &str) -> Result<AggregateId, Problem> {
    text.parse().map(AggregateId).map_err(|_| absent(text))
}

/// For whom a scope is.
pub fn reader(scope: &Scope) -> Reader {
    if scope.customer.is_some() { Reader::Customer } else { Reader::Staff }
}

/// `GET /v1/tickets`.
pub async fn index(Ax(state): Ax<State>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let scope = caller.scope(Route::Tickets)?;
    let table = match reader(&scope) {
        Reader::Staff => &TICKETS,
        Reader::Customer => &CUSTOMERS_TICKETS,
    };
    let ask = Ask::read(&state, &caller, query.as_deref(), table, &[])?;
    run_in(&state, HERE, ask, scope, table, "/v1/tickets", |_, _, _| Ok(Some(Map::new()))).await
}

/// `GET /v1/tickets/{id}`, now or `as_of` an earlier moment. What is left of its clocks goes on without
/// events; the tag names the version.
pub async fn show(
    Ax(state): Ax<State>,
    caller: Caller,
    Path(text): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let params = Params::read(query.as_deref(), &["min_position", "as_of"])?;
    let scope = caller.scope(Route::Tickets)?;
    let (id, moment, reader) = (id(&text)?, params.as_of()?, reader(&scope));
    let model = &state.models.after_service;
    model.reach(params.min_position(HERE)?).await?;
    seen(&state, &caller, scope, id).await?;
    let past = match moment {
        None => None,
        Some(m) => {
            let stream = StreamId::new(AggregateKind::Ticket, id);
            Some(Past::read(model, stream, Vec::new(), m).await?.ok_or_else(|| absent(&text))?)
        }
    };
    // Columns that depend on the clock are those of the moment.
    let now = match moment {
        None => Some((state.now)()),
        Some(Moment::Time(t)) => Some(t),
        Some(Moment::Position(_) | Moment::Version(_)) => None,
    };
    let mut texts = state.texts.session(HERE);
    let (found, position) = loop {
        let opener = texts.opener();
        let found = match &past {
            None => {
                let ask = move |conn: &_, head: mw_contract::Head| {
                    Ok((detail::detail(conn, id, reader, now, &*opener)?, head.position))
                };
                model.query(ask).await?
            }
            Some(p) => {
                let ask = move |conn: &_| detail::detail(conn, id, reader, now, &*opener);
                (p.ask(p.standing.version, ask).await?, p.standing.position)
            }
        };
        if texts.complete().await {
            break found;
        }
    };
    let (version, mut document) = found.ok_or_else(|| absent(&text))?;
    document["position"] = json!(position);
    tagged(version, &document, &headers)
}

/// May the caller see the ticket today?
async fn seen(state: &State, caller: &Caller, scope: Scope, id: AggregateId) -> Result<(), Problem> {
    let me = caller.0.name.to_string();
    let found = state.models.after_service.query(move |conn, _| seq_of(conn, &scope, &me, id)).await?;
    found.map(|_| ()).ok_or_else(|| absent(&id.to_string()))
}

/// `GET /v1/tickets/{id}/events`.
pub async fn history(
    Ax(state): Ax<State>,
    caller: Caller,
    Path(text): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let trail = Trail::read(query.as_deref())?;
    let scope = caller.scope(Route::TicketEvents)?;
    let id = id(&text)?;
    let model = &state.models.after_service;
    model.reach(trail.params.min_position(HERE)?).await?;
    seen(&state, &caller, caller.scope(Route::Tickets)?, id).await?;
    let mut texts = state.texts.session(HERE);
    let (page, head) = loop {
        let (scope, q, opener) = (scope.clone(), trail.query.clone(), texts.opener());
        let me = caller.0.name.to_string();
        let ask = move |conn: &_, head| Ok((events::events(conn, &scope, &me, id, &q, &*opener)?, head));
        let found: (events::Page, mw_contract::Head) = model.query(ask).await?;
        if texts.complete().await {
            break found;
        }
    };
    Ok(trail.answer(page, head.position, &format!("/v1/tickets/{id}/events")))
}
