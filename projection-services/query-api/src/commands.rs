//! `/v1/commands/{command_id}`: what became of a command.

use axum::extract::{Path, RawQuery, State as Ax};
use axum::response::Response;
use mw_contract::{CommandId, Context};
use mw_policy::Route;
use mw_production_views::read::outcome::outcome;

use crate::identity::Caller;
use crate::params::Params;
use crate::problem::Problem;
use crate::server::State;
use crate::work_orders::json_text;

/// `GET /v1/commands/{command_id}`: in the shape of the reply.
pub async fn show(
    Ax(state): Ax<State>,
    caller: Caller,
    Path(text): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let params = Params::read(query.as_deref(), &["min_position"])?;
    let scope = caller.scope(Route::Commands)?;
    let id = CommandId(text.parse().map_err(|_| Problem::not_found(format!("{text:?} is no id of a command")))?);
    // A plain position is production's, as everywhere; others are named.
    let named = params.text("min_position").is_some_and(|p| p.contains(':'));
    for (context, model) in state.models.all().filter(|(c, _)| named || *c == Context::Production) {
        model.reach(params.min_position(context)?).await?;
    }
    // A command is of one context, and its id does not say which.
    for (_, model) in state.models.all() {
        let (scope, me) = (scope.clone(), caller.0.name.to_string());
        if let Some(reply) = model.query(move |conn, _| outcome(conn, &scope, &me, id)).await? {
            return Ok(json_text(reply));
        }
    }
    Err(Problem::not_found(format!(
        "no outcome of command {id} is known: it was not decided yet, never arrived, or is not yours to see"
    )))
}
