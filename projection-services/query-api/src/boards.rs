//! `/v1/boards/work-orders`: cards by state (RM-02).

use axum::extract::{RawQuery, State as Ax};
use axum::response::Response;
use mw_contract::Context;
use mw_policy::Route;
use mw_production_views::read::board::{CARDS, Lane, board};
use mw_production_views::read::list::Format;

use crate::identity::Caller;
use crate::lists::{Ask, csv, unknown_code};
use crate::problem::Problem;
use crate::server::State;
use crate::work_orders::json_text;

/// `GET /v1/boards/work-orders`. A column shows at most `limit` cards and counts all of them; CSV has
/// every card, one a line, in the order of the cards.
pub async fn work_orders(Ax(state): Ax<State>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let mut ask = Ask::read(&state, &caller, query.as_deref(), &CARDS, &["lane"])?;
    let scope = caller.scope(Route::Boards)?;
    let lane = match ask.params.text("lane") {
        None => None,
        Some("line") => Some(Lane::Line),
        Some("priority") => Some(Lane::Priority),
        Some(other) => {
            let message = format!("{other:?} is not one of its values");
            return Err(Problem::parameter("lane", &message, &["line".into(), "priority".into()]));
        }
    };
    if ask.params.text("cursor").is_some() {
        return Err(Problem::parameter("cursor", "a board has no pages; narrow it, or raise limit", &[]));
    }
    let model = &state.models.production;
    model.reach(ask.params.min_position(Context::Production)?).await?;
    let format = ask.format;
    let found = model.query(move |conn, head| {
        if let Some(bad) = unknown_code(conn, &ask.query)? {
            return Ok(Err(bad));
        }
        let text = match format {
            Format::Json => board(conn, &scope, lane, &mut ask.query)?,
            Format::Csv => {
                let page = CARDS.page(conn, &scope, &ask.query, Format::Csv)?;
                String::from_utf8_lossy(&page.text(Format::Csv)).into_owned()
            }
        };
        Ok(Ok((text, head)))
    });
    let (text, head) = found.await??;
    match format {
        Format::Csv => csv(&CARDS, &text),
        Format::Json => Ok(json_text(format!("{{{text},\"position\":{}}}", head.position))),
    }
}
