//! WO-29 `work-order.pause-operation`: a session ends, with what it made if the sender wants.

use mw_contract::command::work_order::PauseOperation;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::work_order::OperationPausedV1;
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, Event, PauseCause, Rejection, Sealed, Seconds};

use crate::facts::Production;
use crate::rules::{Case, Holds, authorise, need_reason};
use crate::state::ProductionState;
use crate::work_order::report::{Increments, report};

/// Decides WO-29.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &PauseOperation,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let case = Case::open(facts, state, CommandType::WorkOrderPauseOperation, ctx)?;
    let op = case.op(p.op)?;
    let session = op.session(p.session_id).ok_or_else(|| {
        Rejection::not_found(format!("operation {} has no session {}", op.op, p.session_id)).at("payload.session_id")
    })?;
    let own = session.operator == ctx.actor.account;
    let own_cell = ctx.actor.cell.as_ref() == Some(&session.cell_id);
    let role = authorise(ctx, Holds { own, own_cell, ..Holds::default() })?;
    let (reason, entry) = need_reason(facts, catalogues::STOP, p.reason.as_ref(), p.note.as_ref())?;
    if !session.is_open() {
        return Err(Rejection::guard("WO-29.R1", "this session has ended already"));
    }
    if ctx.occurred_at < session.started_at {
        return Err(Rejection::guard("WO-29.R2", format!("the session began at {}", session.started_at))
            .with("not_before", session.started_at.to_string()));
    }
    let paused = OperationPausedV1 {
        op: op.op,
        session_id: p.session_id,
        cause: PauseCause::Pause,
        reason: Some(reason.clone()),
        loss_category: entry.entry().and_then(|e| e.loss_category),
        session_duration: Seconds::between(session.started_at, ctx.occurred_at),
        note: p.note.as_ref().map(Sealed::plain),
    };
    let mut events: Vec<Event> = vec![paused.into()];
    if let Some(q) = &p.quantities {
        events.push(report(&case, op, &Increments::of(q, Some(session)))?.into());
    }
    Ok(case.decided(role, events))
}
