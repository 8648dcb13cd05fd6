//! WO-45 `work-order.disposition-nonconformance`: what becomes of pieces that are not as they
//! should be.
//!
//! What becomes scrap, or goes through this order's operations again, was reported as good: the
//! reports of its operation are corrected in the same commit, the newest first, so that every
//! quantity stays the sum of its reports. Pieces that are reworked in an order of their own stay
//! counted here until that is done; the nonconformance stays open so long.

use mw_contract::command::quality::DispositionNonconformance;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::parts::{DispositionLineV1, QuantitiesV1, ReasonQtyV1, ReworkV1};
use mw_contract::event::quality::NonconformanceDispositionedV1;
use mw_contract::reference::catalogues;
use mw_contract::{
    AggregateId, CommandType, Disposition, EntityId, Event, Qty, QuantitySource, Rejection, ReworkMode, Role, Sealed,
    derived_entity,
};

use crate::evolve::correct_report;
use crate::facts::Production;
use crate::invariants::i1_holds;
use crate::quality::{Ncr, NcrState};
use crate::rules::{Case, Holds, agreed, all_valid, authorise, check_qty, check_reason};
use crate::state::{Operation, ProductionState, WorkOrder};
use crate::work_order::consumption::correct_backflush;
use crate::work_order::correct_report::{Correction, pieces_of};
use crate::work_order::nonconformance::known;

/// Decides WO-45.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &DispositionNonconformance,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let second = agreed(ctx, p.approver.as_ref(), &[Role::QualityInspector])?;
    let role = authorise(ctx, Holds::default())?;
    let case = Case::open(facts, state, CommandType::WorkOrderDispositionNonconformance, ctx)?;
    let order = case.order;
    let ncr = known(order, p.ncr_id)?;
    if ncr.stands != NcrState::Open {
        let command = CommandType::WorkOrderDispositionNonconformance.as_str();
        return Err(Rejection::invalid_state(command, ncr.state(), &["open"]));
    }
    if p.lines.is_empty() {
        return Err(Rejection::invalid("payload.lines", "say what becomes of the pieces"));
    }
    let mut errors = Vec::new();
    for (i, l) in p.lines.iter().enumerate() {
        check_qty(&mut errors, order.uom.is_piece(), &format!("payload.lines[{i}].qty"), l.qty);
    }
    all_valid(errors)?;
    check_reason(facts, catalogues::CAUSE, &p.cause_code, p.note.as_ref(), "payload.cause_")?;
    let sum: Qty = p.lines.iter().map(|l| l.qty).sum();
    if sum != ncr.qty || p.lines.iter().any(|l| l.qty.is_zero()) {
        let message = format!("the lines are about {sum} pieces and the nonconformance about {}", ncr.qty);
        return Err(Rejection::guard("WO-45.R1", message).at("payload.lines").with("qty", ncr.qty.to_string()));
    }
    let has = |d: Disposition| p.lines.iter().any(|l| l.disposition == d);
    if has(Disposition::UseAsIs) && ncr.severity <= 2 && !second {
        let message = "pieces of severity 1 or 2 are used as they are with a second inspector's approval";
        return Err(Rejection::forbidden(message).at("payload.approver"));
    }
    let rework = rework(case, p, has(Disposition::Rework))?;
    let of = |d: Disposition| -> Qty { p.lines.iter().filter(|l| l.disposition == d).map(|l| l.qty).sum() };
    let here = rework.as_ref().is_some_and(|r| r.mode == ReworkMode::SameOrder);
    let again = if here { of(Disposition::Rework) } else { Qty::ZERO };
    let effects = effects(order, ncr, of(Disposition::Scrap), again)?;
    let line = |l: &mw_contract::command::quality::DispositionLine| DispositionLineV1 {
        disposition: l.disposition,
        qty: l.qty,
        serials: l.serials.clone().unwrap_or_default(),
    };
    let decided = NonconformanceDispositionedV1 {
        ncr_id: p.ncr_id,
        lines: p.lines.iter().map(line).collect(),
        cause_code: p.cause_code.clone(),
        rework,
        approver: p.approver.clone(),
        note: p.note.as_ref().map(Sealed::plain),
    };
    Ok(case.decided(role, std::iter::once(decided.into()).chain(effects).collect()))
}

/// WO-45.R2: where pieces are reworked; a new order is made by a process manager and gets its id here.
fn rework(case: Case<'_>, p: &DispositionNonconformance, any: bool) -> Result<Option<ReworkV1>, Rejection> {
    let Some(r) = p.rework.as_ref().filter(|_| any) else {
        if p.rework.is_some() {
            return Err(Rejection::guard("WO-45.R2", "no line says rework").at("payload.rework"));
        }
        let here = ReworkV1 { mode: ReworkMode::SameOrder, operations: Vec::new(), new_work_order_id: None };
        return Ok(any.then_some(here));
    };
    for n in r.operations.iter().flatten() {
        case.op(*n).map_err(|x| x.at("payload.rework.operations"))?;
    }
    let new_work_order_id = match r.mode {
        ReworkMode::SameOrder => None,
        ReworkMode::NewOrder => Some(r.new_work_order_id.unwrap_or_else(|| rework_order(p.ncr_id, case.ctx.version.0))),
    };
    Ok(Some(ReworkV1 { mode: r.mode, operations: r.operations.clone().unwrap_or_default(), new_work_order_id }))
}

/// The id of a rework order that nobody gave one; another one after each return.
fn rework_order(ncr: EntityId, version: u64) -> AggregateId {
    AggregateId(derived_entity(&format!("rework:{ncr}:{version}")).0)
}

/// The corrections that take pieces out of the good ones of the nonconformance's operation.
fn effects(order: &WorkOrder, ncr: &Ncr, scrap: Qty, again: Qty) -> Result<Vec<Event>, Rejection> {
    let op = ncr.op.and_then(|n| order.operation(n)).or_else(|| order.last_operations().last());
    let Some(op) = op else { return Ok(Vec::new()) };
    // What is not among the good ones was reported as bad already.
    let scrap = scrap.min(op.good);
    let again = again.min(op.good.less(scrap));
    let mut after = order.clone();
    let mut events = Vec::new();
    for (qty, into) in [(scrap, Into::Scrap), (again, Into::Rework)] {
        move_good(&mut after, op, ncr, qty, into, &mut events);
    }
    let broken: Vec<u16> = after.operations.iter().filter(|o| !i1_holds(&after, o)).map(|o| o.op).collect();
    if broken.is_empty() {
        return Ok(events);
    }
    let message = "the pieces went on to later operations: correct the reports there first";
    Err(Rejection::guard("I1", message).with("operations", broken))
}

#[derive(Clone, Copy)]
enum Into {
    Scrap,
    Rework,
}

fn move_good(after: &mut WorkOrder, op: &Operation, ncr: &Ncr, qty: Qty, into: Into, events: &mut Vec<Event>) {
    let mut reports: Vec<EntityId> =
        after.reports.iter().filter(|(_, r)| r.op == op.op && !r.says.good.is_zero()).map(|(id, _)| *id).collect();
    reports.sort_by_key(|id| after.reports.get(id).map(|r| (std::cmp::Reverse(r.at), *id)));
    let mut left = qty;
    for id in reports {
        let Some(report) = after.reports.get(&id).cloned() else { continue };
        // What came back from rework can't be sent there by the same report.
        let taken = match (report.source, into) {
            (QuantitySource::Rework, Into::Rework) => continue,
            _ => left.min(report.says.good),
        };
        if taken.is_zero() {
            continue;
        }
        let mut new: QuantitiesV1 = report.says.clone();
        new.good = new.good.less(taken);
        let part = ReasonQtyV1 { qty: taken, reason: ncr.defect.clone(), note: None };
        match into {
            Into::Scrap => new.scrap.push(part),
            Into::Rework => new.rework.push(part),
        }
        let (old_pieces, new_pieces) = (pieces_of(&report.says), pieces_of(&new));
        let backflush = correct_backflush(after, report.op, id, old_pieces, new_pieces);
        correct_report(after, id, &new, report.event_id);
        let correction = Correction { report_id: id, report: &report, new, reason: ncr.defect.clone(), note: None };
        events.push(correction.event(after).into());
        events.extend(backflush);
        left = left.less(taken);
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, actor, code, data, detail, e, inspector, lead, names, rule};
    use mw_contract::decide::Decision;
    use mw_contract::{AggregateId, ErrorCode, Rejection};
    use serde_json::{Value, json};

    /// 3 and 4 good pieces reported, and a nonconformance about 5.
    fn raised(w: &mut World, severity: u8) -> AggregateId {
        let id = w.running_bracket(10);
        w.good(id, 10, 3);
        w.later(1000);
        w.good(id, 10, 4);
        let p = json!({"ncr_id": e(1), "op": 10, "qty": 5, "defect_code": "surface", "severity": severity,
            "description": "scratched", "detected_at_stage": "in_process"});
        w.lead("work-order.raise-nonconformance", id, p).unwrap();
        id
    }

    fn decide(w: &mut World, id: AggregateId, lines: Value, more: Value) -> Result<Decision, Rejection> {
        let mut p = json!({"ncr_id": e(1), "cause_code": "tool", "lines": lines});
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        w.run(&inspector(), "work-order.disposition-nonconformance", id, p)
    }

    #[test]
    fn wo_45_r1_the_lines_are_about_all_pieces() {
        let mut w = World::new();
        let id = raised(&mut w, 3);
        for lines in [
            json!([{"disposition": "scrap", "qty": 4}]),
            json!([{"disposition": "scrap", "qty": 6}]),
            json!([{"disposition": "scrap", "qty": 5}, {"disposition": "regrade", "qty": 0}]),
        ] {
            assert_eq!(rule(decide(&mut w, id, lines, json!({}))), "WO-45.R1");
        }
        assert_eq!(code(decide(&mut w, id, json!([]), json!({}))), ErrorCode::Validation);
        let lines = json!([{"disposition": "scrap", "qty": 4}, {"disposition": "regrade", "qty": 1}]);
        let d = decide(&mut w, id, lines.clone(), json!({})).unwrap();
        // The newest report gives first: 4 of its pieces.
        assert_eq!(names(&d), ["NonconformanceDispositioned", "OperationReportCorrected"]);
        assert_eq!((&data(&d, 1)["delta"]["good"], &data(&d, 1)["delta"]["scrap"]), (&json!("-4"), &json!("4")));
        let o = w.order(id).operation(10).unwrap();
        assert_eq!((o.good.to_string(), o.scrap.to_string()), ("3".into(), "4".into()));
        assert_eq!(detail(decide(&mut w, id, lines, json!({})), "state"), json!("dispositioned"));
    }

    #[test]
    fn wo_45_r1_more_than_one_report_gives() {
        let mut w = World::new();
        let id = raised(&mut w, 3);
        let d = decide(&mut w, id, json!([{"disposition": "scrap", "qty": 5}]), json!({})).unwrap();
        assert_eq!(names(&d)[1..], ["OperationReportCorrected", "OperationReportCorrected"]);
        assert_eq!(w.order(id).operation(10).unwrap().good.to_string(), "2");
    }

    #[test]
    fn wo_45_r2_rework_here_or_in_an_order_of_its_own() {
        let mut w = World::new();
        let id = raised(&mut w, 3);
        let lines = json!([{"disposition": "rework", "qty": 2}, {"disposition": "use_as_is", "qty": 3}]);
        let twin = w.clone();
        let d = decide(&mut w, id, lines.clone(), json!({})).unwrap();
        assert_eq!(data(&d, 0)["rework"]["mode"], "same_order");
        let o = w.order(id).operation(10).unwrap();
        assert_eq!((o.good.to_string(), o.rework_open.to_string()), ("5".into(), "2".into()));
        // They come back as any other piece from rework.
        let back = json!({"op": 10, "report_id": e(9), "source": "rework", "good": 2});
        w.lead("work-order.report-quantity", id, back).unwrap();

        let mut w = twin;
        let stray =
            decide(&mut w, id, json!([{"disposition": "scrap", "qty": 5}]), json!({"rework": {"mode": "new_order"}}));
        assert_eq!(rule(stray), "WO-45.R2");
        let unknown = json!({"rework": {"mode": "new_order", "operations": [99]}});
        assert_eq!(code(decide(&mut w, id, lines.clone(), unknown)), ErrorCode::NotFound);
        let d = decide(&mut w, id, lines, json!({"rework": {"mode": "new_order", "operations": [10]}})).unwrap();
        assert_eq!(names(&d), ["NonconformanceDispositioned"]);
        assert!(data(&d, 0)["rework"]["new_work_order_id"].is_string());
        assert_eq!(w.order(id).operation(10).unwrap().good.to_string(), "7");
    }

    #[test]
    fn wo_45_a_second_inspector_agrees_to_use_serious_ones_as_they_are() {
        for (severity, needed) in [(1, true), (2, true), (3, false)] {
            let mut w = World::new();
            let id = raised(&mut w, severity);
            let lines = json!([{"disposition": "use_as_is", "qty": 5}]);
            let alone = decide(&mut w.clone(), id, lines.clone(), json!({}));
            assert_eq!(alone.is_err(), needed, "{severity}");
            for (who, ok) in
                [("inspector-1", false), ("operator-1", false), ("inspector-elsewhere", false), ("inspector-2", true)]
            {
                let r = decide(&mut w.clone(), id, lines.clone(), json!({"approver": who}));
                assert_eq!(r.is_ok(), ok, "{who}");
                assert!(r.is_ok() || code(r) == ErrorCode::Forbidden);
            }
        }
        let mut w = World::new();
        let id = raised(&mut w, 3);
        let planner = actor("planner-1", &[]);
        let p = json!({"ncr_id": e(1), "cause_code": "tool", "lines": [{"disposition": "scrap", "qty": 5}]});
        assert_eq!(code(w.run(&planner, "work-order.disposition-nonconformance", id, p)), ErrorCode::Forbidden);
    }

    #[test]
    fn i1_what_went_on_can_t_be_taken_back() {
        let mut w = World::new();
        let id = w.pump(5);
        w.release(id);
        w.start(&lead(), id, 10, "cell-1");
        w.good(id, 10, 5);
        w.finish_op(id, 10);
        w.start(&lead(), id, 20, "cell-2");
        w.good(id, 20, 4);
        let p = json!({"ncr_id": e(1), "op": 10, "qty": 5, "defect_code": "surface", "severity": 3,
            "description": "scratched", "detected_at_stage": "in_process"});
        w.lead("work-order.raise-nonconformance", id, p).unwrap();
        assert_eq!(rule(decide(&mut w, id, json!([{"disposition": "scrap", "qty": 5}]), json!({}))), "I1");
        let some = json!([{"disposition": "scrap", "qty": 1}, {"disposition": "regrade", "qty": 4}]);
        decide(&mut w, id, some, json!({})).unwrap();
    }
}
