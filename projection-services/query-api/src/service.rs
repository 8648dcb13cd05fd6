//! Lists of after-service about many tickets: the board (RM-11), a technician's day (RM-12), clocks that
//! run out (RM-15), the backlog (RM-16).

use axum::extract::{Path, RawQuery, State as Ax};
use axum::response::Response;
use mw_after_service_views::business;
use mw_after_service_views::read::backlog::{BACKLOG, backlog as buckets};
use mw_after_service_views::read::board::{TICKET_CARDS, board as columns};
use mw_after_service_views::read::lists::AT_RISK_CLOCKS;
use mw_after_service_views::read::queue::{ASSIGNED, DAY_PLAN};
use mw_contract::{AccountName, Context, Date};
use mw_policy::Route;
use mw_production_views::read::plant::lines_of_machines;
use mw_production_views::read::tables::zones;
use mw_views::read::page::Format;
use rusqlite::types::Value;
use serde_json::{Map, json};

use crate::figures::csv_of;
use crate::identity::Caller;
use crate::lists::{Ask, csv, known, run_in};
use crate::params::MAX_LIMIT;
use crate::problem::Problem;
use crate::server::State;
use crate::work_orders::json_text;

const HERE: Context = Context::AfterService;

fn no_pages(ask: &Ask, what: &str) -> Result<(), Problem> {
    match ask.params.text("cursor") {
        None => Ok(()),
        Some(_) => Err(Problem::parameter("cursor", &format!("{what} has no pages; narrow it, or raise limit"), &[])),
    }
}

/// `GET /v1/boards/tickets`. A column shows at most `limit` cards and counts all of them; CSV has every
/// card, one a line.
pub async fn board(Ax(state): Ax<State>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let ask = Ask::read(&state, &caller, query.as_deref(), &TICKET_CARDS, &[])?;
    let scope = caller.scope(Route::TicketBoards)?;
    no_pages(&ask, "a board")?;
    let model = &state.models.after_service;
    model.reach(ask.params.min_position(HERE)?).await?;
    let mut ask = known(&state, ask).await?;
    let format = ask.format;
    let found = model.query(move |conn, head| {
        business::teach(conn)?;
        let text = match format {
            Format::Json => columns(conn, &scope, &mut ask.query)?,
            Format::Csv => {
                let page = TICKET_CARDS.page(conn, &scope, &ask.query, Format::Csv)?;
                String::from_utf8_lossy(&page.text(Format::Csv)).into_owned()
            }
        };
        Ok((text, head))
    });
    let (text, head) = found.await?;
    match format {
        Format::Csv => csv(&TICKET_CARDS, &text),
        Format::Json => Ok(json_text(format!("{{{text},\"position\":{}}}", head.position))),
    }
}

/// `GET /v1/queues/technicians/{account}`: the visits of `day`, today unless given, in the time zone of
/// each site; without `day` also the tickets that nobody has made an appointment for. Beside them the open
/// tickets that the technician has.
pub async fn technician(
    Ax(state): Ax<State>,
    caller: Caller,
    Path(account): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let ask = Ask::read(&state, &caller, query.as_deref(), &DAY_PLAN, &["day"])?;
    let scope = caller.scope(Route::TechnicianQueues)?;
    let name: AccountName =
        account.parse().map_err(|_| Problem::not_found(format!("{account:?} is no name of an account")))?;
    let day: Option<Date> = ask.params.parsed("day", "a day such as 2026-03-02")?;
    let (now, zones) = (ask.query.now, state.models.production.query(|conn, _| zones(conn)).await?);
    let mut spans = Map::new();
    for (site, zone) in &zones {
        let (from, to) = day.unwrap_or_else(|| now.date_in(zone)).span_in(zone);
        spans.insert(site.clone(), json!([from.millis(), to.millis(), day.is_none()]));
    }
    // One account is at one site as a rule; the first of the caller's names the day.
    let zone = caller.0.sites.iter().find_map(|s| zones.get(s.as_str()));
    let shown = day.unwrap_or_else(|| now.date_in(zone.map_or("UTC", String::as_str)));
    let spans = serde_json::Value::Object(spans).to_string();
    let path = format!("/v1/queues/technicians/{name}");
    let found = run_in(&state, HERE, ask, scope, &DAY_PLAN, &path, move |conn, scope, q| {
        let me = Value::Text(name.to_string());
        q.given = (me, Value::Text(spans));
        let mut all = q.with(q.given.clone());
        (all.filters, all.sort, all.after, all.limit) = (Vec::new(), None, None, MAX_LIMIT);
        let page = ASSIGNED.page(conn, scope, &all, Format::Json)?;
        let text = [&b"["[..], &page.text(Format::Json), b"]"].concat();
        let assigned: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        let mut beside = Map::new();
        beside.insert("technician".into(), json!(name));
        beside.insert("day".into(), json!(shown));
        beside.insert("assigned".into(), assigned);
        Ok(Some(beside))
    });
    found.await
}

/// `GET /v1/sla/at-risk`.
pub async fn at_risk(Ax(state): Ax<State>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let ask = Ask::read(&state, &caller, query.as_deref(), &AT_RISK_CLOCKS, &[])?;
    let scope = caller.scope(Route::SlaAtRisk)?;
    run_in(&state, HERE, ask, scope, &AT_RISK_CLOCKS, "/v1/sla/at-risk", |_, _, _| Ok(Some(Map::new()))).await
}

/// The parameters of [`backlog`] beside its filters: it is one page and has one order.
const WHOLE: [&str; 2] = ["sort", "cursor"];

/// `GET /v1/backlog`.
pub async fn backlog(Ax(state): Ax<State>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let ask = Ask::read(&state, &caller, query.as_deref(), &BACKLOG, &[])?;
    let scope = caller.scope(Route::Backlog)?;
    for name in WHOLE {
        if ask.params.text(name).is_some() {
            return Err(Problem::parameter(name, "the backlog is one page, by bucket", &[]));
        }
    }
    let model = &state.models.after_service;
    model.reach(ask.params.min_position(HERE)?).await?;
    let mut ask = known(&state, ask).await?;
    // Where a machine stands is production's to know.
    let lines = state.models.production.query(|conn, _| lines_of_machines(conn)).await?;
    ask.query.given.0 = Value::Text(lines);
    let format = ask.format;
    let (items, head) = model.query(move |conn, head| Ok((buckets(conn, &scope, &ask.query)?, head))).await?;
    match format {
        Format::Csv => Ok(csv_of("backlog", &["bucket", "count", "estimated_hours", "hold_hours"], &items)),
        Format::Json => Ok(json_text(json!({"items": items, "next": null, "position": head.position}).to_string())),
    }
}
