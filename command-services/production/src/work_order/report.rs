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
use mw_contract::{CellId, CommandType, EntityId, Event, FieldError, Qty, QuantitySource, Rejection, Sealed, Text};

use crate::facts::Production;
use crate::invariants::{input_with_scrap, whole_if_piece};
use crate::rules::{Case, Holds, all_valid, authorise, check_qty, check_reason, exists, need_cell, too_large};
use crate::state::{Operation, ProductionState, Session};
use crate::work_order::consumption::backflush;

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
    Ok(case.decided(role, reported(&case, report(&case, op, &increments)?)))
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

/// A report and what it uses up.
pub(crate) fn reported(case: &Case<'_>, report: OperationQuantityReportedV1) -> Vec<Event> {
    // Also what comes back from rework: it was not counted when it was sent there.
    let pieces = report.good + report.scrap.iter().map(|s| s.qty).sum();
    let used = backflush(case.order, report.op, report.report_id, pieces);
    std::iter::once(report.into()).chain(used).collect()
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
    check_reasons(case.facts, path, inc.scrap, inc.rework)?;
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
    check_quantities(&mut errors, piece, path, inc.good, inc.scrap, inc.rework);
    // Replaced scrap has no bound of its own; sums must stay quantities all the same.
    let all = op.processed() + case.order.scrap_total() + inc.good + sum(inc.scrap) + sum(inc.rework);
    if too_large(all) {
        errors.push(FieldError::new(format!("{path}good"), "makes more pieces than one order can have"));
    }
    all_valid(errors)
}

/// The quantities of a report or of its correction, each in the order's unit.
pub(crate) fn check_quantities(
    errors: &mut Vec<FieldError>,
    piece: bool,
    path: &str,
    good: Qty,
    scrap: &[ReasonQty],
    rework: &[ReasonQty],
) {
    check_qty(errors, piece, &format!("{path}good"), good);
    for (name, list) in [("scrap", scrap), ("rework", rework)] {
        for (i, x) in list.iter().enumerate() {
            check_qty(errors, piece, &format!("{path}{name}[{i}].qty"), x.qty);
        }
    }
}

/// G7 for each piece of scrap and rework.
pub(crate) fn check_reasons(
    facts: &Production,
    path: &str,
    scrap: &[ReasonQty],
    rework: &[ReasonQty],
) -> Result<(), Rejection> {
    for (name, catalogue, list) in [("scrap", catalogues::SCRAP, scrap), ("rework", catalogues::REWORK, rework)] {
        for (i, x) in list.iter().enumerate() {
            check_reason(facts, catalogue, &x.reason, x.note.as_ref(), &format!("{path}{name}[{i}]."))?;
        }
    }
    Ok(())
}

pub(crate) fn copies(list: &[ReasonQty]) -> Vec<ReasonQtyV1> {
    let copy =
        |x: &ReasonQty| ReasonQtyV1 { qty: x.qty, reason: x.reason.clone(), note: x.note.as_ref().map(Sealed::plain) };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{HOUR, MINUTE, World, code, data, detail, device, e, lead, names, operator, rule};
    use mw_contract::{AggregateId, ErrorCode, Role};
    use serde_json::{Value, json};

    fn payload(report: u128, more: Value) -> Value {
        let mut p = json!({"op": 10, "report_id": e(report)});
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        p
    }

    fn ask(w: &World, id: AggregateId, more: Value) -> Result<Decision, Rejection> {
        w.ask(&lead(), "work-order.report-quantity", id, payload(1000, more))
    }

    fn report(w: &mut World, id: AggregateId, more: Value) -> Result<Decision, Rejection> {
        let n = w.fresh();
        w.lead("work-order.report-quantity", id, payload(n, more))
    }

    fn surface(n: u32) -> Value {
        json!([{"qty": n, "reason": "surface", "note": "scratch"}])
    }

    #[test]
    fn wo_31_adds_increments_and_tells_the_totals() {
        let mut w = World::new();
        let id = w.running_bracket(10);
        let d = report(
            &mut w,
            id,
            json!({"good": 3, "scrap": surface(1), "rework": surface(2), "lot": "L-1", "serials": ["S-1"]}),
        )
        .unwrap();
        assert_eq!(names(&d), ["OperationQuantityReported"]);
        let x = data(&d, 0);
        assert_eq!(x["totals"], json!({"good": "3", "scrap": "1", "rework_open": "2"}));
        assert_eq!(x["scrap"], json!([{"qty": "1", "reason": "surface", "note": "scratch"}]));
        assert_eq!((&x["lot"], &x["serials"], &x["source"]), (&json!("L-1"), &json!(["S-1"]), &json!("fresh")));
        assert_eq!((&x["cell_id"], &x["operator"]), (&json!("cell-1"), &json!("lead-1")));
        let d = report(&mut w, id, json!({"good": 1, "cell_id": "cell-2"})).unwrap();
        assert_eq!((&data(&d, 0)["totals"]["good"], &data(&d, 0)["cell_id"]), (&json!("4"), &json!("cell-2")));
        let o = w.order(id);
        assert_eq!(
            (o.operations[0].good, o.scrap_total(), o.rework_open()),
            (Qty::whole(4), Qty::whole(1), Qty::whole(2))
        );
        assert_eq!(o.lots.len(), 1);
        assert_eq!(code(ask(&w, id, json!({"good": 1, "cell_id": "cell-9"}))), ErrorCode::NotFound);
        assert_eq!(code(ask(&w, id, json!({"good": 1, "session_id": e(999)}))), ErrorCode::NotFound);
    }

    #[test]
    fn wo_31_a_report_id_acts_once_and_pieces_are_whole() {
        let mut w = World::new();
        let id = w.running_bracket(10);
        w.lead("work-order.report-quantity", id, payload(7, json!({"good": 1}))).unwrap();
        let again = w.lead("work-order.report-quantity", id, payload(7, json!({"good": 1})));
        assert_eq!(code(again), ErrorCode::AlreadyExists);
        let half = json!([{"qty": "0.5", "reason": "surface"}]);
        for (more, field) in [
            (json!({"good": "0.5"}), "payload.good"),
            (json!({"scrap": half}), "payload.scrap[0].qty"),
            (json!({"rework": half}), "payload.rework[0].qty"),
            (json!({"good": "99999999999"}), "payload.good"),
        ] {
            let r = ask(&w, id, more).unwrap_err();
            let expected = if field == "payload.good" && r.code == ErrorCode::GuardFailed { None } else { Some(field) };
            assert_eq!(r.field.as_deref(), expected);
        }
        assert_eq!(code(ask(&w, id, json!({"good": "100000000000"}))), ErrorCode::Validation);
    }

    #[test]
    fn wo_31_reasons_come_from_their_catalogues() {
        let mut w = World::new();
        let id = w.running_bracket(10);
        for name in ["scrap", "rework"] {
            let r = ask(&w, id, json!({name: [{"qty": 1, "reason": "mood"}]})).unwrap_err();
            assert_eq!((r.code, r.field.unwrap()), (ErrorCode::ReasonUnknown, format!("payload.{name}[0].reason")));
            let r = ask(&w, id, json!({name: [{"qty": 1, "reason": "other"}]})).unwrap_err();
            assert_eq!((r.code, r.field.unwrap()), (ErrorCode::Validation, format!("payload.{name}[0].note")));
        }
    }

    #[test]
    fn wo_31_r1_at_least_one_piece() {
        let mut w = World::new();
        let id = w.running_bracket(10);
        assert_eq!(rule(ask(&w, id, json!({}))), "WO-31.R1");
        assert_eq!(rule(ask(&w, id, json!({"good": 0, "scrap": surface(0)}))), "WO-31.R1");
    }

    #[test]
    fn wo_31_r2_no_more_than_the_input() {
        let mut w = World::new();
        let id = w.running_bracket(100);
        report(&mut w, id, json!({"good": 98})).unwrap();
        assert_eq!(detail(ask(&w, id, json!({"good": 3})), "max_allowed"), "2");
        let refused = ask(&w, id, json!({"good": 1, "scrap": surface(1), "rework": surface(1)}));
        assert!(refused.as_ref().unwrap_err().message.contains("2 more pieces, not 3"));
        assert_eq!(rule(refused), "WO-31.R2");
        report(&mut w, id, json!({"good": 1, "rework": surface(1)})).unwrap();
        assert_eq!(detail(ask(&w, id, json!({"good": 1})), "max_allowed"), "0");
    }

    #[test]
    fn wo_31_r2_tolerance_and_replaced_scrap_widen_the_first_operation() {
        let mut w = World::new();
        for (more, most) in [
            (json!({"over_tolerance_pct": "25"}), "12"),
            (json!({"replace_scrap": true}), "12"),
            (json!({"replace_scrap": false}), "10"),
        ] {
            let id = w.bracket_with(10, more);
            w.release(id);
            w.start(&lead(), id, 10, "cell-1");
            if most == "12" && w.order(id).replace_scrap {
                report(&mut w, id, json!({"scrap": surface(2)})).unwrap();
                assert_eq!(detail(ask(&w, id, json!({"good": 11})), "max_allowed"), "10");
                // The scrap of this very report is replaced too.
                assert_eq!(
                    detail(ask(&w, id, json!({"good": 10, "scrap": surface(3), "rework": surface(1)})), "max_allowed"),
                    "13"
                );
                report(&mut w, id, json!({"good": 10, "scrap": surface(3)})).unwrap();
            } else {
                assert_eq!(detail(ask(&w, id, json!({"good": 13})), "max_allowed"), most);
            }
        }
    }

    #[test]
    fn i1_the_input_of_an_operation_is_the_least_of_its_predecessors() {
        let mut w = World::new();
        let routing = json!([{"op": 10, "name": "a", "cell_id": "cell-1"},
            {"op": 20, "name": "b", "cell_id": "cell-1", "predecessors": []},
            {"op": 30, "name": "c", "cell_id": "cell-2", "predecessors": [10, 20]}]);
        let id = w.bracket_with(10, json!({"routing": routing}));
        w.release(id);
        for (op, n) in [(10, 9), (20, 7)] {
            w.start(&lead(), id, op, "cell-1");
            w.good(id, op, n);
            w.finish_op(id, op);
        }
        w.start(&lead(), id, 30, "cell-2");
        assert_eq!(detail(ask(&w, id, json!({"op": 30, "good": 8})), "max_allowed"), "7");
        assert_eq!(w.order(id).produced_good(), Qty::ZERO);
        assert_eq!(w.order(id).last_operations().map(|o| o.op).collect::<Vec<_>>(), [30]);
        report(&mut w, id, json!({"op": 30, "good": 7})).unwrap();
        assert_eq!(w.order(id).produced_good(), Qty::whole(7));
    }

    #[test]
    fn wo_31_r3_the_operation_was_started() {
        let mut w = World::new();
        let id = w.pump(5);
        w.release(id);
        w.start(&lead(), id, 10, "cell-1");
        assert_eq!(rule(ask(&w, id, json!({"op": 20, "good": 1}))), "WO-31.R3");
        let by_operator =
            w.ask(&operator("operator-1"), "work-order.report-quantity", id, payload(1, json!({"op": 20, "good": 1})));
        assert_eq!(rule(by_operator), "WO-31.R3");
        assert_eq!(code(ask(&w, id, json!({"op": 21, "good": 1}))), ErrorCode::NotFound);
    }

    #[test]
    fn wo_31_r4_rework_comes_back_as_good_or_scrap() {
        let mut w = World::new();
        let id = w.running_bracket(10);
        report(&mut w, id, json!({"good": 7, "rework": surface(3)})).unwrap();
        let back = |more: Value| {
            let mut p = json!({"source": "rework"});
            p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            p
        };
        assert_eq!(detail(ask(&w, id, back(json!({"good": 4}))), "max_allowed"), "3");
        assert_eq!(rule(ask(&w, id, back(json!({"good": 2, "scrap": surface(2)})))), "WO-31.R4");
        assert_eq!(rule(ask(&w, id, back(json!({"good": 1, "rework": surface(1)})))), "WO-31.R4");
        let d = report(&mut w, id, back(json!({"good": 2, "scrap": surface(1)}))).unwrap();
        assert_eq!(data(&d, 0)["totals"], json!({"good": "9", "scrap": "1", "rework_open": "0"}));
        assert!(w.order(id).rework_open().is_zero());
    }

    #[test]
    fn wo_31_r5_serials_are_noted_and_not_demanded() {
        let mut w = World::new();
        let id = w.pump(2);
        w.release(id);
        w.start(&lead(), id, 10, "cell-1");
        w.good(id, 10, 2);
        w.finish_op(id, 10);
        w.start(&lead(), id, 20, "cell-2");
        report(&mut w, id, json!({"op": 20, "good": 1})).unwrap();
        report(&mut w, id, json!({"op": 20, "good": 1, "serials": ["P-1"]})).unwrap();
        assert!(w.order(id).units.is_empty());
        assert_eq!(w.facts.serial(&"pump-200".parse().unwrap(), &Text::new("P-1").unwrap()), None);
    }

    #[test]
    fn wo_31_r6_a_counter_counts_up_unless_it_was_reset() {
        let mut w = World::new();
        let id = w.running_bracket(10);
        let with = |name: &str, value: u64, reset: bool| json!({"good": 1, "counter": {"name": name, "value": value}, "counter_reset": reset});
        report(&mut w, id, with("pieces", 100, false)).unwrap();
        assert_eq!(rule(report(&mut w, id, with("pieces", 100, false))), "WO-31.R6");
        assert_eq!(detail(report(&mut w, id, with("pieces", 99, false)), "last"), 100);
        report(&mut w, id, with("strokes", 5, false)).unwrap();
        report(&mut w, id, with("pieces", 101, false)).unwrap();
        let d = report(&mut w, id, with("pieces", 3, true)).unwrap();
        assert_eq!(data(&d, 0)["counter"], json!({"name": "pieces", "value": 3, "reset": true}));
        report(&mut w, id, with("pieces", 4, false)).unwrap();
        let unsaid = json!({"good": 1, "counter": {"name": "pieces", "value": 4}});
        assert_eq!(rule(report(&mut w, id, unsaid)), "WO-31.R6");
    }

    #[test]
    fn wo_31_an_operator_reports_its_own_work_and_a_device_at_its_cell() {
        let mut w = World::new();
        let id = w.pump(5);
        w.release(id);
        let session = w.start(&operator("operator-1"), id, 10, "cell-1");
        let ask = |who: &mw_contract::decide::Actor, more: Value| {
            w.ask(who, "work-order.report-quantity", id, payload(1, more))
        };
        let (mine, other) = (operator("operator-1"), operator("operator-2"));
        assert_eq!(ask(&mine, json!({"good": 1})).unwrap().role, Role::Operator);
        assert_eq!(ask(&mine, json!({"good": 1, "session_id": session})).unwrap().role, Role::Operator);
        assert_eq!(code(ask(&other, json!({"good": 1}))), ErrorCode::Forbidden);
        assert_eq!(code(ask(&other, json!({"good": 1, "session_id": session}))), ErrorCode::Forbidden);
        let d = ask(&lead(), json!({"good": 1, "session_id": session})).unwrap();
        assert_eq!((&data(&d, 0)["operator"], &data(&d, 0)["session_id"]), (&json!("operator-1"), &json!(session)));
        for (cell, more, ok) in [
            ("cell-1", json!({"good": 1}), true),
            ("cell-1", json!({"good": 1, "session_id": session}), true),
            ("cell-1", json!({"good": 1, "cell_id": "cell-1"}), true),
            ("cell-1", json!({"good": 1, "cell_id": "cell-2"}), false),
            ("cell-2", json!({"good": 1}), false),
            ("cell-2", json!({"good": 1, "session_id": session}), false),
            ("cell-2", json!({"good": 1, "cell_id": "cell-2"}), false),
        ] {
            let r = ask(&device(cell), more.clone());
            if ok { drop(r.unwrap()) } else { assert_eq!(code(r), ErrorCode::Forbidden, "{cell} {more}") }
        }
    }

    #[test]
    fn g4_what_happened_before_the_completion_comes_in_late() {
        let mut w = World::new();
        let id = w.bracket_with(10, json!({"under_tolerance_pct": "50"}));
        w.release(id);
        w.start(&operator("operator-1"), id, 10, "cell-1");
        w.later(HOUR);
        w.good(id, 10, 5);
        w.finish_op(id, 10);
        w.later(5 * MINUTE);
        let offline = w.now.plus_millis(-4 * MINUTE);
        w.lead("work-order.complete", id, json!({})).unwrap();
        let completed = w.now;
        w.later(25 * MINUTE);
        let p = payload(50, json!({"good": 5}));
        let r = w.ask_at(completed, &operator("operator-1"), "work-order.report-quantity", id, p.clone()).unwrap_err();
        assert_eq!((r.code, &r.details.unwrap()["allowed"]), (ErrorCode::InvalidState, &json!(["in_progress"])));
        let d = w.run_at(offline, &operator("operator-1"), "work-order.report-quantity", id, p).unwrap();
        assert!(d.late);
        assert_eq!(w.order(id).produced_good(), Qty::whole(10));
        w.run(&crate::fixture::admin(), "work-order.close", id, json!({"force": true})).unwrap();
        let p = payload(51, json!({"good": 1}));
        assert_eq!(code(w.run_at(offline, &lead(), "work-order.report-quantity", id, p)), ErrorCode::InvalidState);
    }

    #[test]
    fn wo_31_sums_stay_quantities_however_much_scrap_is_replaced() {
        let mut w = World::new();
        w.put("product", "sand", json!({"uom": "KGM"})).unwrap();
        let p = json!({"product_id": "sand", "planned_qty": "99999999999", "uom": "KGM", "replace_scrap": true,
            "due_at": "2026-03-10T09:00:00.000Z"});
        let id = w.create(p);
        w.release(id);
        w.start(&lead(), id, 10, "cell-1");
        let scrap = json!({"scrap": [{"qty": "40000000000", "reason": "surface"}]});
        report(&mut w, id, scrap.clone()).unwrap();
        assert_eq!(code(report(&mut w, id, scrap)), ErrorCode::Validation);
        // The operation's 40, the order's scrap of 40, and 20 more are the bound; one less is below it.
        let rework = |qty: &str| json!({"rework": [{"qty": qty, "reason": "surface"}]});
        for (at, below) in [
            (json!({"good": "20000000000"}), json!({"good": "19999999999"})),
            (rework("20000000000"), rework("19999999999")),
        ] {
            assert_eq!(code(ask(&w, id, at)), ErrorCode::Validation);
            ask(&w, id, below).unwrap();
        }
    }
}
