//! `/v1/audit/events`: the log itself, for auditors.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{RawQuery, State as Ax};
use axum::response::Response;
use mw_contract::commit::StoredCommit;
use mw_contract::{AggregateId, AggregateKind, CommitNumber, Context, EventType, Sealed, StreamId, cloud};
use mw_policy::Route;
use mw_views::TextOpener;
use mw_views::read::audit::{Place, Query, places};
use serde_json::{Value, json};

use crate::identity::Caller;
use crate::models::Model;
use crate::params::Params;
use crate::problem::Problem;
use crate::server::State;
use crate::work_orders::{json_text, link_next};

/// Its parameters.
pub const PARAMS: [&str; 10] =
    ["context", "after", "stream", "type", "actor", "from", "to", "limit", "cursor", "min_position"];

fn stream(text: &str, context: Context) -> Result<StreamId, Problem> {
    let bad = |m: &str| Problem::parameter("stream", &format!("{text:?} {m}"), &[]);
    let (kind, id) = text.split_once('/').ok_or_else(|| bad("is not KIND/UUID, such as work-order/0193…"))?;
    let kind: AggregateKind = kind.parse().map_err(|_| bad("begins with no kind of aggregate"))?;
    if kind.context() != context {
        return Err(bad(&format!("is in context {}", kind.context())));
    }
    let id = id.parse().map_err(|_| bad("has no UUID behind the slash"))?;
    Ok(StreamId::new(kind, AggregateId(id)))
}

/// `GET /v1/audit/events`.
pub async fn events(Ax(state): Ax<State>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let params = Params::read(query.as_deref(), &PARAMS)?;
    let scope = caller.scope(Route::AuditEvents)?;
    let contexts: Vec<String> = Context::ALL.iter().map(|c| c.as_str().to_owned()).collect();
    let context = match params.text("context") {
        None => Context::Production,
        Some(c) => c.parse().map_err(|_| Problem::parameter("context", &format!("{c:?} is none"), &contexts))?,
    };
    let types: Vec<String> = EventType::ALL.iter().map(|t| t.as_str().to_owned()).collect();
    let time = "an instant such as 2026-03-02T09:00:00Z";
    // A page's cursor is the position that it ended at: the same as `after`.
    let after = match params.text("cursor") {
        Some(_) => params.parsed::<u64>("cursor", "a cursor that this API gave")?,
        None => params.parsed::<u64>("after", "a position")?,
    };
    let limit = params.limit()?;
    let q = Query {
        after: after.unwrap_or(0),
        stream: params.text("stream").map(|s| stream(s, context)).transpose()?,
        event_type: params.several("type", &types)?,
        actor: params.several("actor", &[])?,
        from: params.parsed("from", time)?,
        to: params.parsed("to", time)?,
        limit,
    };
    let model = state.models.of(context);
    model.reach(params.min_position(context)?).await?;
    let me = caller.0.name.to_string();
    let (mut found, head) = model.query(move |conn, head| Ok((places(conn, &scope, &me, &q)?, head))).await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let mut texts = state.texts.session(context);
    let items = loop {
        let items = read(model, &found, &*texts.opener()).await?;
        if texts.complete().await {
            break items;
        }
    };
    let next = found.last().filter(|_| more).map(|p| p.position.to_string());
    let mut r = json_text(json!({"items": items, "next": next, "position": head.position}).to_string());
    link_next(&mut r, "/v1/audit/events", &params, next.as_deref());
    Ok(r)
}

/// Reads the events at these places from the log, in their order.
async fn read(model: &Arc<Model>, found: &[Place], opener: &dyn TextOpener) -> Result<Vec<Value>, Problem> {
    let trouble = |e: mw_log::LogError| {
        tracing::error!(error = %e, "the log can't be read for an audit");
        Problem::unavailable("the log can't be read now; ask again")
    };
    let mut commits: BTreeMap<u64, Arc<StoredCommit>> = BTreeMap::new();
    let mut items = Vec::with_capacity(found.len());
    for (i, place) in found.iter().enumerate() {
        if !commits.contains_key(&place.commit) {
            // What lies close together is read at once.
            let near = found[i..].iter().take_while(|p| p.commit < place.commit + 256).last().unwrap_or(place);
            let count = (near.commit - place.commit + 1) as usize;
            commits.clear();
            for c in model.log().read(CommitNumber(place.commit), count).await.map_err(trouble)? {
                commits.insert(c.number.0, c);
            }
        }
        let commit = match commits.get(&place.commit) {
            Some(c) => c.clone(),
            None => {
                let one = model.log().read(CommitNumber(place.commit), 1).await.map_err(trouble)?;
                one.into_iter().next().ok_or_else(|| Problem::internal(&"the read model is ahead of its log"))?
            }
        };
        let Some(e) = commit.events.get(place.idx) else {
            return Err(Problem::internal(&format!("commit {} has no event {}", place.commit, place.idx)));
        };
        let mut event = cloud::decode(e).map_err(|e| Problem::internal(&e))?;
        event.sealed_fields(&mut |s| {
            if let Some(text) = opener.open(s) {
                *s = Sealed::Plain(text);
            } else if opener.is_erased(s) {
                *s = Sealed::Erased;
            }
        });
        items.push(cloud::envelope(&commit, e, &event));
    }
    Ok(items)
}
