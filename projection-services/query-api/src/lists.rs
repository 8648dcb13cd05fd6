//! Lists that are described by a table: `/v1/queues/cells/{cell}`, `/v1/schedule`, `/v1/shortages`,
//! `/v1/quality`. One way from the parameters to the answer for all of them.

use axum::extract::{Path, RawQuery, State as Ax};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use mw_after_service_views::business;
use mw_contract::{Context, Head, Instant};
use mw_policy::{Route, Scope};
use mw_production_views::figures::calendar::working_time;
use mw_production_views::figures::spans::Span;
use mw_production_views::read::filter::BadValue;
use mw_production_views::read::list::{After, Format};
use mw_production_views::read::table::{Narrowed, Page, Query, Table};
use mw_production_views::read::tables::{self, QUALITY, QUEUE, SCHEDULE, SHORTAGES};
use rusqlite::Connection;
use rusqlite::types::Value;
use serde_json::{Map, json};

use crate::identity::Caller;
use crate::params::{Cursor, Params};
use crate::problem::Problem;
use crate::server::State;
use crate::work_orders::{PAGING, json_text, link_next};

/// A question to a list, read and checked but for codes that only the read model knows.
pub struct Ask {
    /// Its parameters.
    pub params: Params,
    /// What is asked for.
    pub query: Query,
    /// JSON or CSV.
    pub format: Format,
}

impl Ask {
    /// Reads the parameters of a list; `more` are those that it takes beside filters and paging.
    ///
    /// # Errors
    /// 400 with what is allowed.
    pub fn read(
        state: &State,
        caller: &Caller,
        query: Option<&str>,
        table: &'static Table,
        more: &[&str],
    ) -> Result<Ask, Problem> {
        let filters = table.filters.iter().map(|f| f.name);
        let known: Vec<&str> = filters.chain(more.iter().copied()).chain(PAGING).collect();
        let params = Params::read(query, &known)?;
        let read = |(name, text)| table.filter(name).map(|f| f.read(text));
        let filters = params.each().filter_map(read).collect::<Result<Vec<Narrowed>, BadValue>>()?;
        let sort = params.text("sort").map(|s| table.sort(s)).transpose()?;
        let question = params.question();
        let cursor = params.text("cursor").map(|c| Cursor::decode(c, &question)).transpose()?;
        let now = cursor.as_ref().map_or_else(|| (state.now)(), |c| Instant::clamped(c.now));
        let format = if params.csv()? { Format::Csv } else { Format::Json };
        let limit = params.limit()?;
        let query = Query {
            filters,
            sort,
            after: cursor.map(|c| c.after),
            limit,
            now,
            me: caller.0.name.to_string(),
            given: (Value::Null, Value::Null),
        };
        Ok(Ask { params, query, format })
    }

    /// The `next` of a page.
    pub fn cursor(&self, next: Option<After>) -> Option<String> {
        next.map(|after| Cursor { after, now: self.query.now.millis() }.encode(&self.params.question()))
    }
}

/// The first filter that names a code that there is not.
pub fn unknown_code(conn: &Connection, q: &Query) -> rusqlite::Result<Option<BadValue>> {
    for f in &q.filters {
        if let Some(bad) = f.unknown_code(conn)? {
            return Ok(Some(bad));
        }
    }
    Ok(None)
}

/// The same question, once production knows every code that it names.
///
/// # Errors
/// 400 with the codes that there are.
pub async fn known(state: &State, ask: Ask) -> Result<Ask, Problem> {
    let asked = state.models.production.query(move |conn, _| {
        let bad = unknown_code(conn, &ask.query)?;
        Ok(bad.map_or(Ok(ask), Err))
    });
    Ok(asked.await??)
}

/// A page as its list answers it: CSV, or JSON with these members beside.
pub fn answer(
    ask: &Ask,
    table: &'static Table,
    path: &str,
    page: &Page,
    mut beside: Map<String, serde_json::Value>,
) -> Result<Response, Problem> {
    let rows = String::from_utf8(page.text(ask.format)).map_err(|e| Problem::internal(&e))?;
    let next = ask.cursor(page.next());
    let mut r = if ask.format == Format::Csv {
        csv(table, &rows)?
    } else {
        beside.insert("next".into(), json!(next));
        let beside = serde_json::Value::Object(beside).to_string();
        json_text(format!("{{\"items\":[{rows}],{}", beside.trim_start_matches('{')))
    };
    link_next(&mut r, path, &ask.params, next.as_deref());
    Ok(r)
}

/// The rows of a list under its heading.
pub fn csv(table: &Table, rows: &str) -> Result<Response, Problem> {
    let kind = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
    let name = HeaderValue::from_str(&format!("attachment; filename=\"{}.csv\"", table.name));
    let name = name.map_err(|e| Problem::internal(&e))?;
    let heads = [(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)];
    Ok((heads, format!("{}\r\n", table.heading().trim_end()) + rows).into_response())
}

/// Runs a question to production; `beside` adds members to the answer, or finds that there is no such
/// list.
pub(crate) async fn run(
    state: &State,
    ask: Ask,
    scope: Scope,
    table: &'static Table,
    path: &str,
    beside: impl FnOnce(&Connection, &Scope, &mut Query) -> rusqlite::Result<Option<Map<String, serde_json::Value>>>
    + Send
    + 'static,
) -> Result<Response, Problem> {
    run_in(state, Context::Production, ask, scope, table, path, beside).await
}

/// The same to any context. Which codes there are is production's to know.
pub(crate) async fn run_in(
    state: &State,
    context: Context,
    ask: Ask,
    scope: Scope,
    table: &'static Table,
    path: &str,
    beside: impl FnOnce(&Connection, &Scope, &mut Query) -> rusqlite::Result<Option<Map<String, serde_json::Value>>>
    + Send
    + 'static,
) -> Result<Response, Problem> {
    let model = state.models.of(context);
    model.reach(ask.params.min_position(context)?).await?;
    let ask = if context == Context::Production { ask } else { known(state, ask).await? };
    type Found = (Ask, Option<(Page, Map<String, serde_json::Value>)>, Head);
    let found = model.query(move |conn, head| -> rusqlite::Result<Result<Found, BadValue>> {
        let mut ask = ask;
        match context {
            Context::AfterService => business::teach(conn)?,
            Context::Production | Context::Identity => {
                if let Some(bad) = unknown_code(conn, &ask.query)? {
                    return Ok(Err(bad));
                }
            }
        }
        let Some(beside) = beside(conn, &scope, &mut ask.query)? else { return Ok(Ok((ask, None, head))) };
        let page = table.page(conn, &scope, &ask.query, ask.format)?;
        Ok(Ok((ask, Some((page, beside)), head)))
    });
    let (ask, found, head) = found.await??;
    let Some((page, mut beside)) = found else {
        return Err(Problem::not_found("there is no such list, or it is not yours to see"));
    };
    beside.insert("position".into(), json!(head.position));
    answer(&ask, table, path, &page, beside)
}

/// `GET /v1/queues/cells/{cell}`.
pub async fn queue(
    Ax(state): Ax<State>,
    caller: Caller,
    Path(cell): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let ask = Ask::read(&state, &caller, query.as_deref(), &QUEUE, &[])?;
    let scope = caller.scope(Route::CellQueues)?;
    let path = format!("/v1/queues/cells/{cell}");
    let found = run(&state, ask, scope, &QUEUE, &path, move |conn, scope, q| {
        let Some(line) = tables::line_of_cell(conn, scope, &cell)? else { return Ok(None) };
        let mut beside = Map::new();
        beside.insert("cell".into(), json!(cell));
        q.given = (Value::Text(cell), line);
        Ok(Some(beside))
    });
    found.await
}

/// `GET /v1/schedule`: the week of now unless `from` and `to` say otherwise.
pub async fn schedule(Ax(state): Ax<State>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let ask = Ask::read(&state, &caller, query.as_deref(), &SCHEDULE, &["from", "to", "week"])?;
    let scope = caller.scope(Route::Schedule)?;
    let time = "an instant such as 2026-03-02T09:00:00Z";
    let (from, to) = match (ask.params.parsed("from", time)?, ask.params.parsed("to", time)?) {
        (Some(from), Some(to)) => (from, to),
        (Some(from), None) => (from, Instant::plus_millis(from, WEEK)),
        (None, Some(to)) => (Instant::plus_millis(to, -WEEK), to),
        (None, None) => match ask.params.text("week") {
            Some(week) => tables::iso_week(week)
                .ok_or_else(|| Problem::parameter("week", "is a week of ISO 8601, such as 2026-W10", &[]))?,
            None => tables::week_of(ask.query.now),
        },
    };
    if from >= to || to.since(from) > LONGEST {
        return Err(Problem::parameter("to", "lies behind from, by 366 days at most", &[]));
    }
    // While the figures can't be read a line counts as if it worked all the time.
    let span = Span::new(from.millis(), to.millis());
    let working = state.models.figures.query(move |conn, _| working_time(conn, span)).await.unwrap_or_default();
    let found = run(&state, ask, scope, &SCHEDULE, "/v1/schedule", move |conn, scope, q| {
        q.given = (Value::Integer(from.millis()), Value::Integer(to.millis()));
        let mut beside = Map::new();
        beside.insert("from".into(), json!(from));
        beside.insert("to".into(), json!(to));
        beside.insert("load".into(), tables::load(conn, scope, q, &working)?.into());
        Ok(Some(beside))
    });
    found.await
}

const WEEK: i64 = 7 * 86_400_000;
const LONGEST: i64 = 366 * 86_400_000;

/// `GET /v1/shortages`.
pub async fn shortages(Ax(state): Ax<State>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let ask = Ask::read(&state, &caller, query.as_deref(), &SHORTAGES, &[])?;
    let scope = caller.scope(Route::Shortages)?;
    run(&state, ask, scope, &SHORTAGES, "/v1/shortages", |_, _, _| Ok(Some(Map::new()))).await
}

/// `GET /v1/quality`.
pub async fn quality(Ax(state): Ax<State>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let ask = Ask::read(&state, &caller, query.as_deref(), &QUALITY, &[])?;
    let scope = caller.scope(Route::Quality)?;
    run(&state, ask, scope, &QUALITY, "/v1/quality", |_, _, _| Ok(Some(Map::new()))).await
}
