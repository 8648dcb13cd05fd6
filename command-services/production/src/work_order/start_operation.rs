//! WO-28 `work-order.start-operation` and WO-30 `work-order.resume-operation`: work begins.
//!
//! A start opens a session on an operation that is ready, running or paused; a further operator
//! joins with it. A resumption goes on with what was paused: the operation itself, or, while
//! others run it, the operator's own paused session. R6 (certificates) waits for its facts.

use mw_contract::command::work_order::{ResumeOperation, StartOperation};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::work_order::{OperationResumedV1, OperationStartedV1, WorkOrderStartedV1};
use mw_contract::{
    AccountName, CellId, CommandType, EntityId, Event, InspectionPlan, OperationState, Rejection, Role, Seconds,
    SessionKind,
};

use crate::facts::Production;
use crate::rules::{Case, Holds, all_valid, authorise, check_qty, exists, need_cell, not_before, settings};
use crate::state::{Operation, ProductionState};

/// Decides WO-28.
pub fn start(
    facts: &Production,
    state: &ProductionState,
    p: &StartOperation,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let case = Case::open(facts, state, CommandType::WorkOrderStartOperation, ctx)?;
    let op = case.op(p.op)?;
    let kind = p.kind.unwrap_or(SessionKind::Run);
    let session = Begin { op, session_id: p.session_id, operator: p.operator.as_ref(), cell: &p.cell_id, kind };
    let role = session.authorise(&case)?;
    let mut errors = Vec::new();
    if let Some(q) = p.qty_planned {
        check_qty(&mut errors, case.order.uom.is_piece(), "payload.qty_planned", q);
    }
    all_valid(errors)?;
    session.check(&case)?;
    let operator = session.operator(ctx).clone();
    let started = OperationStartedV1 {
        op: op.op,
        session_id: p.session_id,
        cell_id: p.cell_id.clone(),
        operator,
        kind,
        qty_planned: p.qty_planned,
    };
    let mut events: Vec<Event> = vec![started.into()];
    if case.order.actual_start.is_none() {
        events.push(WorkOrderStartedV1 { actual_start: ctx.occurred_at }.into());
    }
    Ok(case.decided(role, events))
}

/// Decides WO-30. Elapsed time is the sum of the sessions; it never starts again from zero.
pub fn resume(
    facts: &Production,
    state: &ProductionState,
    p: &ResumeOperation,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let case = Case::open(facts, state, CommandType::WorkOrderResumeOperation, ctx)?;
    let op = case.op(p.op)?;
    let operator = p.operator.as_ref().unwrap_or(&ctx.actor.account);
    let op_state = case.order.operation_state(op);
    let before = op.resumed_from(operator).filter(|s| match op_state {
        OperationState::Paused => true,
        OperationState::Running => s.operator == *operator,
        _ => false,
    });
    let Some(before) = before else {
        return Err(Rejection::invalid_state("resume-operation", op_state.as_str(), &["paused"]).with("op", op.op));
    };
    let cell = p.cell_id.as_ref().unwrap_or(&before.cell_id);
    let session = Begin { op, session_id: p.session_id, operator: p.operator.as_ref(), cell, kind: before.kind };
    let role = session.authorise(&case)?;
    session.check(&case)?;
    let paused_at = before.ended_at.unwrap_or(ctx.occurred_at);
    not_before(ctx.occurred_at, paused_at, "the pause would end before it began")?;
    let resumed = OperationResumedV1 {
        op: op.op,
        session_id: p.session_id,
        cell_id: cell.clone(),
        operator: operator.clone(),
        paused_for: Seconds::between(paused_at, ctx.occurred_at),
    };
    Ok(case.decided(role, vec![resumed.into()]))
}

/// A session that is about to begin.
struct Begin<'a> {
    op: &'a Operation,
    session_id: EntityId,
    operator: Option<&'a AccountName>,
    cell: &'a CellId,
    kind: SessionKind,
}

impl Begin<'_> {
    fn operator<'x>(&'x self, ctx: &'x DecisionContext<'_>) -> &'x AccountName {
        self.operator.unwrap_or(&ctx.actor.account)
    }

    /// An operator starts for itself only; WO-28.R8: a device for itself and at its own cell.
    fn authorise(&self, case: &Case<'_>) -> Result<Role, Rejection> {
        let actor = case.ctx.actor;
        let own = *self.operator(case.ctx) == actor.account;
        let own_cell = own && actor.cell.as_ref() == Some(self.cell);
        authorise(case.ctx, Holds { own, own_cell, ..Holds::default() })
            .map_err(|r| if actor.has(Role::Device) { r.with("rule", "WO-28.R8") } else { r })
    }

    /// WO-28.R1 to R7, for a start and a resumption alike.
    fn check(&self, case: &Case<'_>) -> Result<(), Rejection> {
        let (op, facts, site) = (self.op, case.facts, &case.order.site_id);
        if case.order.sessions().any(|(_, s)| s.session_id == self.session_id) {
            return Err(exists(format!("session {} exists already", self.session_id)).at("payload.session_id"));
        }
        let op_state = case.order.operation_state(op);
        if !matches!(op_state, OperationState::Ready | OperationState::Running | OperationState::Paused) {
            let message = format!("operation {} is {op_state}: it can't be started now", op.op);
            return Err(Rejection::guard("WO-28.R1", message)
                .with("state", op_state.as_str())
                .with("predecessors", op.predecessors.clone()));
        }
        need_cell(facts, site, self.cell, "payload.cell_id")?;
        if !case.cell_fits(op, self.cell) {
            let right = match (&op.cell_id, &op.cell_class) {
                (Some(c), _) => format!("cell {c}"),
                (None, Some(class)) => format!("a cell of class {class}"),
                (None, None) => "a cell of the order's line".to_owned(),
            };
            return Err(Rejection::guard("WO-28.R2", format!("operation {} is done at {right}", op.op))
                .at("payload.cell_id"));
        }
        if facts.cell_at(site, self.cell).is_some_and(|c| c.maintenance) {
            return Err(Rejection::guard("WO-28.R3", format!("cell {} is in maintenance", self.cell)));
        }
        let operator = self.operator(case.ctx);
        if op.open_sessions().any(|s| s.operator == *operator) {
            return Err(Rejection::guard("WO-28.R4", format!("{operator} is already at work on operation {}", op.op)));
        }
        if settings(facts, case.ctx).one_session_per_operator && facts.sessions_of(operator) > 0 {
            return Err(Rejection::guard("WO-28.R5", format!("{operator} has another open session: pause that first")));
        }
        // No event can record the first piece's inspection yet.
        if op.inspection == InspectionPlan::FirstPiece
            && self.kind == SessionKind::Run
            && op.sessions.iter().any(|s| s.kind == SessionKind::Setup)
        {
            return Err(Rejection::guard("WO-28.R7", "the first piece after the setup must pass its inspection first"));
        }
        Ok(())
    }
}
