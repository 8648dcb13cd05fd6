//! WO-31 `work-order.report-quantity`, and the same quantities inside a pause or a completion.
//!
//! Reports are increments. Serials in a report are noted; units are registered by WO-40 alone,
//! so R5 refuses nothing. An operation that has ended still takes reports, as long as the order
//! does: that is how a tablet that was offline catches up.

use mw_contract::command::work_order::{Counter, Quantities, ReasonQty, ReportQuantity};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::parts::{CounterV1, ReasonQtyV1, TotalsV1};
use mw_contract::event::work_order::OperationQuantityReportedV1;
use mw_contract::reference::catalogues;
use mw_contract::{
    CellId, CommandType, EntityId, FieldError, Qty, QuantitySource, Rejection, Sealed, Text,
};

use crate::facts::Production;
use crate::invariants::{input_with_scrap, whole_if_piece};
use crate::rules::{Case, Holds, all_valid, authorise, check_qty, check_reason, exists, need_cell, too_large};
use crate::state::{Operation, ProductionState, Session};

/// Decides WO-31.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &ReportQuantity,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let case = Case::open(facts, state, CommandType::WorkOrderReportQuantity, ctx)?;
    let op = case.op(p.op)?;
    let session = match p.session_id {
        None => None,
        Some(id) => Some(op.session(id).ok_or_else(|| {
            Rejection::not_found(format!("operation {} has no session {id}", op.op)).at("payload.session_id")
        })?),
    };
    let increments = Increments {
        path: "payload.",
        report_id: p.report_id,
        source: p.source.unwrap_or(QuantitySource::Fresh),
        good: p.good.unwrap_or(Qty::ZERO),
        scrap: p.scrap.as_deref().unwrap_or_default(),
        rework: p.rework.as_deref().unwrap_or_default(),
        session,
        cell: p.cell_id.as_ref(),
        lot: p.lot.as_ref(),
        serials: p.serials.as_deref().unwrap_or_default(),
        counter: p.counter.as_ref(),
        counter_reset: p.counter_reset.unwrap_or(false),
    };
    let own = match session {
        Some(s) => s.operator == ctx.actor.account,
        None => worked_on(op, ctx),
    };
    let own_cell = match (session, &p.cell_id) {
        (Some(s), _) => ctx.actor.cell.as_ref() == Some(&s.cell_id),
        (None, Some(cell)) => ctx.actor.cell.as_ref() == Some(cell) && case.at_own_cell(op),
        (None, None) => case.at_own_cell(op),
    };
    let role = authorise(ctx, Holds { own, own_cell, ..Holds::default() })?;
    if let Some(cell) = &p.cell_id {
        need_cell(facts, &case.order.site_id, cell, "payload.cell_id")?;
    }
    Ok(case.decided(role, vec![report(&case, op, &increments)?.into()]))
}

/// Did the sender work on the operation? One that nobody ever began is left to the rules.
pub(crate) fn worked_on(op: &Operation, ctx: &DecisionContext<'_>) -> bool {
    !op.was_started() || op.sessions.iter().any(|s| s.operator == ctx.actor.account)
}

/// What a report says, whichever command it came with.
pub(crate) struct Increments<'a> {
    /// Before every field's name in an error.
    pub path: &'static str,
    pub report_id: EntityId,
    pub source: QuantitySource,
    pub good: Qty,
    pub scrap: &'a [ReasonQty],
    pub rework: &'a [ReasonQty],
    pub session: Option<&'a Session>,
    pub cell: Option<&'a CellId>,
    pub lot: Option<&'a Text<40>>,
    pub serials: &'a [Text<60>],
    pub counter: Option<&'a Counter>,
    pub counter_reset: bool,
}

impl<'a> Increments<'a> {
    /// The quantities of a pause or a completion.
    pub fn of(q: &'a Quantities, session: Option<&'a Session>) -> Self {
        Increments {
            path: "payload.quantities.",
            report_id: q.report_id,
            source: q.source.unwrap_or(QuantitySource::Fresh),
            good: q.good.unwrap_or(Qty::ZERO),
            scrap: q.scrap.as_deref().unwrap_or_default(),
            rework: q.rework.as_deref().unwrap_or_default(),
            session,
            cell: None,
            lot: q.lot.as_ref(),
            serials: q.serials.as_deref().unwrap_or_default(),
            counter: None,
            counter_reset: false,
        }
    }
}

fn sum(list: &[ReasonQty]) -> Qty {
    list.iter().map(|x| x.qty).sum()
}

/// Checks a report by WO-31 and makes its event.
pub(crate) fn report(
    case: &Case<'_>,
    op: &Operation,
    inc: &Increments<'_>,
) -> Result<OperationQuantityReportedV1, Rejection> {
    let path = inc.path;
    if case.order.reports.contains_key(&inc.report_id) {
        return Err(exists(format!("report {} exists already", inc.report_id)).at(format!("{path}report_id")));
    }
    check_shape(case, op, inc)?;
    check_reasons(case, inc)?;
    let (scrap, rework) = (sum(inc.scrap), sum(inc.rework));
    if (inc.good + scrap + rework).is_zero() {
        return Err(Rejection::guard("WO-31.R1", "report at least one piece: values are increments, not totals"));
    }
    if !op.was_started() {
        return Err(Rejection::guard("WO-31.R3", format!("start operation {} before reporting on it", op.op)));
    }
    let totals = match inc.source {
        QuantitySource::Fresh => fresh(case, op, inc.good, scrap, rework)?,
        QuantitySource::Rework => reworked(op, inc.good, scrap, rework)?,
    };
    let session_cell = inc.session.or(op.sessions.last()).map(|s| &s.cell_id);
    let cell_id = inc.cell.or(session_cell).cloned();
    let counter = inc.counter.map(|c| CounterV1 { name: c.name.clone(), value: c.value, reset: inc.counter_reset });
    check_counter(case, &cell_id, counter.as_ref())?;
    Ok(OperationQuantityReportedV1 {
        report_id: inc.report_id,
        op: op.op,
        source: inc.source,
        good: inc.good,
        scrap: copies(inc.scrap),
        rework: copies(inc.rework),
        session_id: inc.session.map(|s| s.session_id),
        cell_id,
        operator: inc.session.map_or(&case.ctx.actor.account, |s| &s.operator).clone(),
        lot: inc.lot.cloned(),
        serials: inc.serials.to_vec(),
        counter,
        totals,
    })
}

fn check_shape(case: &Case<'_>, op: &Operation, inc: &Increments<'_>) -> Result<(), Rejection> {
    let (path, piece) = (inc.path, case.order.uom.is_piece());
    let mut errors = Vec::new();
    check_qty(&mut errors, piece, &format!("{path}good"), inc.good);
    for (name, list) in [("scrap", inc.scrap), ("rework", inc.rework)] {
        for (i, x) in list.iter().enumerate() {
            check_qty(&mut errors, piece, &format!("{path}{name}[{i}].qty"), x.qty);
        }
    }
    // Replaced scrap has no bound of its own; sums must stay quantities all the same.
    let all = op.processed() + case.order.scrap_total() + inc.good + sum(inc.scrap) + sum(inc.rework);
    if too_large(all) {
        errors.push(FieldError::new(format!("{path}good"), "makes more pieces than one order can have"));
    }
    all_valid(errors)
}

fn check_reasons(case: &Case<'_>, inc: &Increments<'_>) -> Result<(), Rejection> {
    for (name, catalogue, list) in
        [("scrap", catalogues::SCRAP, inc.scrap), ("rework", catalogues::REWORK, inc.rework)]
    {
        for (i, x) in list.iter().enumerate() {
            check_reason(case.facts, catalogue, &x.reason, x.note.as_ref(), &format!("{}{name}[{i}].", inc.path))?;
        }
    }
    Ok(())
}

fn copies(list: &[ReasonQty]) -> Vec<ReasonQtyV1> {
    let copy = |x: &ReasonQty| ReasonQtyV1 {
        qty: x.qty,
        reason: x.reason.clone(),
        note: x.note.as_ref().map(Sealed::plain),
    };
    list.iter().map(copy).collect()
}

/// WO-31.R2: I1 still holds after it.
fn fresh(case: &Case<'_>, op: &Operation, good: Qty, scrap: Qty, rework: Qty) -> Result<TotalsV1, Rejection> {
    let input = input_with_scrap(case.order, op, scrap);
    let most = whole_if_piece(case.order, input - op.processed());
    if good + scrap + rework > most {
        let message = format!("operation {} can take {most} more pieces, not {}", op.op, good + scrap + rework);
        return Err(Rejection::guard("WO-31.R2", message).with("max_allowed", most.to_string()));
    }
    Ok(TotalsV1 { good: op.good + good, scrap: op.scrap + scrap, rework_open: op.rework_open + rework })
}

/// WO-31.R4: pieces come back from rework as good or scrap.
fn reworked(op: &Operation, good: Qty, scrap: Qty, rework: Qty) -> Result<TotalsV1, Rejection> {
    if !rework.is_zero() || good + scrap > op.rework_open {
        let message = format!("{} pieces wait for rework; each comes back as good or scrap", op.rework_open);
        return Err(Rejection::guard("WO-31.R4", message).with("max_allowed", op.rework_open.to_string()));
    }
    Ok(TotalsV1 { good: op.good + good, scrap: op.scrap + scrap, rework_open: op.rework_open - (good + scrap) })
}

/// WO-31.R6: a counter only counts up, unless it was reset.
fn check_counter(case: &Case<'_>, cell: &Option<CellId>, counter: Option<&CounterV1>) -> Result<(), Rejection> {
    let Some(c) = counter else { return Ok(()) };
    match case.order.counters.get(&(cell.clone(), c.name.clone())) {
        Some(last) if c.value <= *last && !c.reset => {
            let message = format!("counter {} showed {last} before; say counter_reset when it began again", c.name);
            Err(Rejection::guard("WO-31.R6", message).with("last", *last))
        }
        _ => Ok(()),
    }
}
