//! WO-32 `work-order.complete-operation`: an operation has ended.
//!
//! Its session, or the sender's own, ends with it. Line leads (and admins) also end the sessions
//! of others.

use mw_contract::command::work_order::CompleteOperation;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::parts::TotalsV1;
use mw_contract::event::work_order::OperationCompletedV1;
use mw_contract::{CommandType, Event, InspectionPlan, OperationState, PauseCause, Qty, Rejection, Role};

use crate::facts::Production;
use crate::invariants::input_with_scrap;
use crate::rules::{Case, Holds, authorise};
use crate::state::{Operation, ProductionState, Session};
use crate::times;
use crate::work_order::report::{Increments, report, worked_on};

/// Decides WO-32.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &CompleteOperation,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let case = Case::open(facts, state, CommandType::WorkOrderCompleteOperation, ctx)?;
    let op = case.op(p.op)?;
    let session = match p.session_id {
        None => None,
        Some(id) => Some(op.session(id).ok_or_else(|| {
            Rejection::not_found(format!("operation {} has no session {id}", op.op)).at("payload.session_id")
        })?),
    };
    let own = session.map_or_else(|| worked_on(op, ctx), |s| s.operator == ctx.actor.account);
    let own_cell = case.at_own_cell(op) && session.is_none_or(|s| ctx.actor.cell.as_ref() == Some(&s.cell_id));
    let role = authorise(ctx, Holds { own, own_cell, ..Holds::default() })?;
    let op_state = case.order.operation_state(op);
    if !matches!(op_state, OperationState::Running | OperationState::Paused) {
        let allowed = [OperationState::Running.as_str(), OperationState::Paused.as_str()];
        return Err(Rejection::invalid_state("complete-operation", op_state.as_str(), &allowed).with("op", op.op));
    }
    check_others(op, session, role, ctx)?;
    let reported = p.quantities.as_ref().map(|q| report(&case, op, &Increments::of(q, session))).transpose()?;
    let totals = reported.as_ref().map_or(
        TotalsV1 { good: op.good, scrap: op.scrap, rework_open: op.rework_open },
        |r| r.totals,
    );
    let short = shortfall(&case, op, totals);
    let confirmed = p.confirm_shortfall == Some(true);
    if !short.is_zero() && !confirmed {
        let message = format!("{short} pieces are missing: report them, or complete with confirm_shortfall");
        return Err(Rejection::guard("WO-32.R2", message).with("missing", short.to_string()));
    }
    // No event can record an inspection yet, so a demanded result is never there.
    if op.inspection != InspectionPlan::None {
        return Err(Rejection::guard("WO-32.R3", format!("record the inspection of operation {} first", op.op)));
    }
    let mut events: Vec<Event> = reported.map(Event::from).into_iter().collect();
    events.extend(case.end_sessions(op.sessions.iter().map(|s| (op, s)), PauseCause::OperationCompleted)?);
    let t = times::of(case.order, op.op, ctx.occurred_at);
    events.push(
        OperationCompletedV1 {
            op: op.op,
            good: totals.good,
            scrap: totals.scrap,
            rework_open: totals.rework_open,
            run_time: t.run,
            setup_time: t.setup,
            labour_time: t.labour,
            shortfall_confirmed: !short.is_zero(),
        }
        .into(),
    );
    Ok(case.decided(role, events))
}

/// WO-32.R1.
fn check_others(
    op: &Operation,
    session: Option<&Session>,
    role: Role,
    ctx: &DecisionContext<'_>,
) -> Result<(), Rejection> {
    if matches!(role, Role::LineLead | Role::Admin) {
        return Ok(());
    }
    let mine = |s: &Session| session.map_or(s.operator == ctx.actor.account, |x| x.session_id == s.session_id);
    let others: Vec<String> = op.open_sessions().filter(|s| !mine(s)).map(|s| s.session_id.to_string()).collect();
    if others.is_empty() {
        return Ok(());
    }
    let message = "others are still at work on it: let them pause, or let a line lead complete it";
    Err(Rejection::guard("WO-32.R1", message).with("sessions", others))
}

/// How many of the pieces that could have gone through did not.
fn shortfall(case: &Case<'_>, op: &Operation, totals: TotalsV1) -> Qty {
    let input = input_with_scrap(case.order, op, totals.scrap - op.scrap);
    input - (totals.good + totals.scrap + totals.rework_open)
}
