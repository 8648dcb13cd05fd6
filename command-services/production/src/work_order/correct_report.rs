//! WO-33 `work-order.correct-report`: a report said something else than what was so.
//!
//! R1's second half holds by construction: each correction is decided on the report as the one
//! before left it, so no two correct the same version.

use mw_contract::command::work_order::{CorrectReport, ReasonQty};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::parts::{DeltaV1, QuantitiesV1, ReasonQtyV1, TotalsV1};
use mw_contract::event::work_order::OperationReportCorrectedV1;
use mw_contract::reference::catalogues;
use mw_contract::{Change, CommandType, EntityId, Qty, QuantitySource, ReasonCode, Rejection, Sealed, WorkOrderState};

use crate::evolve::correct_report;
use crate::facts::{Production, SerialStatus};
use crate::invariants::{i1_holds, i4_holds};
use crate::rules::{Case, Holds, all_valid, authorise_if, may_correct, need_reason};
use crate::state::{Operation, ProductionState, Report, WorkOrder};
use crate::work_order::consumption::correct_backflush;
use crate::work_order::report::{check_quantities, check_reasons, copies};

/// Decides WO-33.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &CorrectReport,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let case = Case::open(facts, state, CommandType::WorkOrderCorrectReport, ctx)?;
    let order = case.order;
    let Some(report) = order.reports.get(&p.report_id) else {
        return Err(Rejection::not_found(format!("the order has no report {}", p.report_id)).at("payload.report_id"));
    };
    let own = report.operator == ctx.actor.account;
    let role = authorise_if(ctx, Holds { own, ..Holds::default() }, |r| may_correct(r, report.at, ctx))?;
    let op = case.op(report.op)?;
    let (scrap, rework) = (p.scrap.as_deref().unwrap_or_default(), p.rework.as_deref().unwrap_or_default());
    let good = p.good.unwrap_or(Qty::ZERO);
    let mut errors = Vec::new();
    check_quantities(&mut errors, order.uom.is_piece(), "payload.", good, scrap, rework);
    all_valid(errors)?;
    check_reasons(facts, "payload.", scrap, rework)?;
    let (reason, _) = need_reason(facts, catalogues::CHANGE, p.reason.as_ref(), p.note.as_ref())?;
    let new = QuantitiesV1 { good, scrap: some(scrap), rework: some(rework) };
    if says_the_same(&report.says, &new) {
        return Err(Rejection::guard("WO-33.R1", "the report says so already"));
    }
    let after = corrected(order, p, report, op, &new)?;
    let shipped = order.units.keys().filter(|s| facts.serial(&order.product_id, s) == Some(SerialStatus::Shipped));
    let shipped = Qty::whole(u32::try_from(shipped.count()).unwrap_or(u32::MAX));
    if after.produced_good() < shipped && after.produced_good() < order.produced_good() {
        let message = format!("{shipped} units went to customers: they can't be un-produced");
        return Err(Rejection::guard("WO-33.R3", message).with("shipped", shipped.to_string()));
    }
    if order.state == WorkOrderState::Completed && i4_holds(order) && !i4_holds(&after) {
        let message = "each good piece of a completed order bears a serial number: void or register units first";
        return Err(Rejection::guard("WO-33.R3", message));
    }
    let (old, now) = (pieces_of(&report.says), pieces_of(&new));
    let used = correct_backflush(order, report.op, p.report_id, old, now);
    let note = p.note.as_ref().map(Sealed::plain);
    let correction = Correction { report_id: p.report_id, report, new, reason: reason.clone(), note };
    Ok(case.decided(role, std::iter::once(correction.event(&after).into()).chain(used).collect()))
}

/// What a report says from now on.
pub(crate) struct Correction<'a> {
    pub report_id: EntityId,
    /// As it was.
    pub report: &'a Report,
    pub new: QuantitiesV1,
    pub reason: ReasonCode,
    pub note: Option<Sealed>,
}

impl Correction<'_> {
    /// Its event; `after` is the order with it.
    pub fn event(self, after: &WorkOrder) -> OperationReportCorrectedV1 {
        let (report, new) = (self.report, self.new);
        let delta = |f: fn(&QuantitiesV1) -> Qty| Change::between(f(&report.says), f(&new));
        let totals =
            after.operation(report.op).map(|o| TotalsV1 { good: o.good, scrap: o.scrap, rework_open: o.rework_open });
        OperationReportCorrectedV1 {
            report_id: self.report_id,
            op: report.op,
            source: report.source,
            old: report.says.clone(),
            delta: DeltaV1 {
                good: delta(|q| q.good),
                scrap: delta(|q| sum(&q.scrap)),
                rework: delta(|q| sum(&q.rework)),
            },
            new,
            totals: totals.unwrap_or_default(),
            reason: self.reason,
            corrects_event_id: report.event_id,
            note: self.note,
        }
    }
}

/// Pieces that a report counts as made, which is what backflush follows.
pub(crate) fn pieces_of(q: &QuantitiesV1) -> Qty {
    q.good + sum(&q.scrap)
}

/// Only what there is some of: all zero takes the report back.
fn some(list: &[ReasonQty]) -> Vec<ReasonQtyV1> {
    let mut list = copies(list);
    list.retain(|x| !x.qty.is_zero());
    list
}

fn sum(list: &[ReasonQtyV1]) -> Qty {
    list.iter().map(|x| x.qty).sum()
}

fn says_the_same(old: &QuantitiesV1, new: &QuantitiesV1) -> bool {
    let same = |a: &[ReasonQtyV1], b: &[ReasonQtyV1]| {
        a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.qty == y.qty && x.reason == y.reason)
    };
    old.good == new.good && same(&old.scrap, &new.scrap) && same(&old.rework, &new.rework)
}

/// WO-33.R2: the order as it would be; I1 holds for every operation, and no piece comes back from
/// rework that was not sent there.
fn corrected(
    order: &WorkOrder,
    p: &CorrectReport,
    report: &Report,
    op: &Operation,
    new: &QuantitiesV1,
) -> Result<WorkOrder, Rejection> {
    let guard = |message: String| Err(Rejection::guard("WO-33.R2", message));
    let old = &report.says;
    let (given, taken) = match report.source {
        QuantitySource::Fresh => (op.rework_open + sum(&new.rework), sum(&old.rework)),
        QuantitySource::Rework => {
            if !new.rework.is_empty() {
                return guard("pieces come back from rework as good or scrap".into());
            }
            (op.rework_open + old.good + sum(&old.scrap), new.good + sum(&new.scrap))
        }
    };
    if taken > given {
        return guard(format!("{} pieces wait for rework, too few for this", op.rework_open));
    }
    let mut after = order.clone();
    correct_report(&mut after, p.report_id, new, report.event_id);
    let broken: Vec<u16> = after.operations.iter().filter(|o| !i1_holds(&after, o)).map(|o| o.op).collect();
    if broken.is_empty() {
        return Ok(after);
    }
    let numbers: Vec<String> = broken.iter().map(ToString::to_string).collect();
    let message = format!("more pieces than went in would have gone through operation {}", numbers.join(", "));
    Err(Rejection::guard("WO-33.R2", message).with("operations", broken))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{HOUR, World, code, data, detail, e, lead, names, operator, planner, rule};
    use mw_contract::decide::Decision;
    use mw_contract::{AggregateId, ErrorCode, Rejection, Role};
    use serde_json::{Value, json};

    #[test]
    fn wo_33_r3_what_was_shipped_is_not_un_produced() {
        let mut w = World::new();
        let id = w.shipped_pump("S-1");
        let report = w.order(id).reports.iter().find(|(_, r)| r.op == 20).map(|(id, _)| id.to_string()).unwrap();
        let less = |good: u32| json!({"report_id": report, "good": good, "reason": "wrong_data"});
        assert_eq!(rule(w.lead("work-order.correct-report", id, less(0))), "WO-33.R3");
        w.lead("work-order.correct-report", id, less(1)).unwrap();
    }

    /// A report by operator-1 on operation 10.
    fn reported(w: &mut World, good: u32) -> AggregateId {
        let id = w.pump(20);
        w.release(id);
        w.start(&operator("operator-1"), id, 10, "cell-1");
        let p = json!({"op": 10, "report_id": e(50), "good": good});
        w.run(&operator("operator-1"), "work-order.report-quantity", id, p).unwrap();
        id
    }

    fn to(w: &mut World, id: AggregateId, more: Value) -> Result<Decision, Rejection> {
        let mut p = json!({"report_id": e(50), "reason": "wrong_data"});
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        w.lead("work-order.correct-report", id, p)
    }

    #[test]
    fn wo_33_r1_the_report_is_there_and_each_correction_builds_on_the_last() {
        let mut w = World::new();
        let id = reported(&mut w, 10);
        assert_eq!(code(to(&mut w, id, json!({"report_id": e(51), "good": 1}))), ErrorCode::NotFound);
        assert_eq!(rule(to(&mut w, id, json!({"good": 10, "scrap": [{"qty": 0, "reason": "surface"}]}))), "WO-33.R1");
        let no_reason = w.lead("work-order.correct-report", id, json!({"report_id": e(50), "good": 1}));
        assert_eq!(code(no_reason), ErrorCode::ReasonRequired);
        let d = to(&mut w, id, json!({"good": 7, "scrap": [{"qty": 2, "reason": "surface"}], "note": "n"})).unwrap();
        assert_eq!(names(&d), ["OperationReportCorrected"]);
        let x = data(&d, 0);
        assert_eq!(x["delta"], json!({"good": "-3", "scrap": "2", "rework": "0"}));
        assert_eq!(x["totals"], json!({"good": "7", "scrap": "2", "rework_open": "0"}));
        let d = to(&mut w, id, json!({})).unwrap();
        assert_eq!(data(&d, 0)["delta"], json!({"good": "-7", "scrap": "-2", "rework": "0"}));
        assert_eq!(data(&d, 0)["old"]["good"], "7");
        let op = w.order(id).operation(10).unwrap();
        assert!(op.processed().is_zero());
    }

    #[test]
    fn wo_33_r1_another_reason_is_another_report_even_of_as_many() {
        let mut w = World::new();
        let id = reported(&mut w, 4);
        let scrap = |reason: &str, n: u32| json!({"good": 4, "scrap": [{"qty": n, "reason": reason}]});
        to(&mut w, id, scrap("surface", 2)).unwrap();
        assert_eq!(rule(to(&mut w, id, scrap("surface", 2))), "WO-33.R1");
        let d = to(&mut w, id, scrap("dimension", 2)).unwrap();
        assert_eq!(data(&d, 0)["delta"], json!({"good": "0", "scrap": "0", "rework": "0"}));
        to(&mut w, id, scrap("dimension", 1)).unwrap();
        let two = json!([{"qty": 1, "reason": "dimension"}, {"qty": 1, "reason": "surface"}]);
        to(&mut w, id, json!({"good": 4, "scrap": two})).unwrap();
    }

    #[test]
    fn wo_33_r2_a_correction_of_rework_counts_what_waits_and_what_it_said_itself() {
        let mut w = World::new();
        let id = reported(&mut w, 4);
        let list = |n: u32| json!([{"qty": n, "reason": "surface"}]);
        // Three were sent to rework, none is back: two may be un-sent, and more may be sent.
        w.lead("work-order.report-quantity", id, json!({"op": 10, "report_id": e(60), "rework": list(3)})).unwrap();
        to(&mut w, id, json!({"report_id": e(60), "rework": list(5)})).unwrap();
        to(&mut w, id, json!({"report_id": e(60), "rework": list(1)})).unwrap();
        assert_eq!(w.order(id).operation(10).unwrap().rework_open.to_string(), "1");
        // One came back as scrap: it may have been good, and none of it more than one.
        let back = json!({"op": 10, "report_id": e(61), "source": "rework", "scrap": list(1)});
        w.lead("work-order.report-quantity", id, back).unwrap();
        let two = json!({"report_id": e(61), "good": 1, "scrap": list(1)});
        assert_eq!(rule(to(&mut w, id, two)), "WO-33.R2");
        to(&mut w, id, json!({"report_id": e(61), "good": 1})).unwrap();
        assert!(w.order(id).operation(10).unwrap().rework_open.is_zero());
    }

    #[test]
    fn wo_33_r3_what_was_shipped_does_not_keep_more_from_being_reported() {
        let mut w = World::new();
        let id = w.shipped_pump("S-1");
        let report = w.order(id).reports.iter().find(|(_, r)| r.op == 20).map(|(id, _)| id.to_string()).unwrap();
        let say = |good: u32| json!({"report_id": report, "good": good, "reason": "wrong_data"});
        // As many as were shipped is enough, and a correction upwards always is.
        w.lead("work-order.correct-report", id, say(1)).unwrap();
        w.lead("work-order.correct-report", id, say(3)).unwrap();
    }

    #[test]
    fn wo_33_r2_successors_keep_what_they_used() {
        // Golden scenario 9.
        let mut w = World::new();
        let id = reported(&mut w, 10);
        w.finish_op(id, 10);
        w.start(&lead(), id, 20, "cell-2");
        w.good(id, 20, 6);
        let refused = to(&mut w, id, json!({"good": 0}));
        assert_eq!(detail(refused.clone(), "operations"), json!([20]));
        assert_eq!(rule(refused), "WO-33.R2");
        assert_eq!(rule(to(&mut w, id, json!({"good": 5}))), "WO-33.R2");
        assert_eq!(rule(to(&mut w, id, json!({"good": 21}))), "WO-33.R2");
        let d = to(&mut w, id, json!({"good": 6})).unwrap();
        assert_eq!(data(&d, 0)["delta"]["good"], "-4");
    }

    #[test]
    fn wo_33_r2_no_more_comes_back_from_rework_than_was_sent() {
        let mut w = World::new();
        let id = reported(&mut w, 4);
        let rework = json!({"op": 10, "report_id": e(60), "rework": [{"qty": 3, "reason": "surface"}]});
        w.lead("work-order.report-quantity", id, rework).unwrap();
        let back = json!({"op": 10, "report_id": e(61), "source": "rework", "good": 2});
        w.lead("work-order.report-quantity", id, back).unwrap();
        let list = |n: u32| json!([{"qty": n, "reason": "surface"}]);
        assert_eq!(rule(to(&mut w, id, json!({"report_id": e(60), "rework": list(1)}))), "WO-33.R2");
        assert_eq!(rule(to(&mut w, id, json!({"report_id": e(61), "good": 4}))), "WO-33.R2");
        assert_eq!(rule(to(&mut w, id, json!({"report_id": e(61), "good": 1, "rework": list(1)}))), "WO-33.R2");
        to(&mut w, id, json!({"report_id": e(61), "good": 2, "scrap": list(1)})).unwrap();
        let op = w.order(id).operation(10).unwrap();
        assert_eq!(
            (op.good.to_string(), op.scrap.to_string(), op.rework_open.is_zero()),
            ("6".into(), "1".into(), true)
        );
        to(&mut w, id, json!({"report_id": e(61), "good": 0})).unwrap();
        to(&mut w, id, json!({"report_id": e(60), "rework": list(1)})).unwrap();
        assert_eq!(w.order(id).operation(10).unwrap().rework_open.to_string(), "1");
    }

    #[test]
    fn wo_33_r3_a_completed_order_keeps_a_unit_for_each_good_piece() {
        let mut w = World::new();
        let mut p = World::create_payload("pump-200", 2);
        p["routing"] = json!([{"op": 10, "name": "a", "cell_id": "cell-1"}]);
        p["under_tolerance_pct"] = json!("50");
        let id = w.create(p);
        w.release(id);
        w.start(&lead(), id, 10, "cell-1");
        w.lead("work-order.report-quantity", id, json!({"op": 10, "report_id": e(50), "good": 2})).unwrap();
        for s in ["A", "B"] {
            w.lead("work-order.register-unit", id, json!({"serial": s, "op": 10, "result": "good"})).unwrap();
        }
        w.finish_op(id, 10);
        w.lead("work-order.complete", id, json!({})).unwrap();
        assert_eq!(rule(to(&mut w, id, json!({"good": 1}))), "WO-33.R3");
        w.lead("work-order.void-serial", id, json!({"serial": "A", "reason": "wrong_data"})).unwrap();
        to(&mut w, id, json!({"good": 1})).unwrap();
        assert_eq!(w.order(id).produced_good().to_string(), "1");
    }

    #[test]
    fn wo_33_operators_correct_their_own_for_a_day_and_leads_for_a_week() {
        let mut w = World::new();
        let id = reported(&mut w, 10);
        let p = json!({"report_id": e(50), "good": 9, "reason": "wrong_data"});
        let ask = |w: &World, who: &mw_contract::decide::Actor| w.ask(who, "work-order.correct-report", id, p.clone());
        assert_eq!(code(ask(&w, &operator("operator-2"))), ErrorCode::Forbidden);
        w.later(24 * HOUR);
        assert_eq!(ask(&w, &operator("operator-1")).unwrap().role, Role::Operator);
        w.later(1);
        assert_eq!(code(ask(&w, &operator("operator-1"))), ErrorCode::Forbidden);
        w.later(6 * 24 * HOUR - 1);
        ask(&w, &lead()).unwrap();
        w.later(1);
        assert_eq!(code(ask(&w, &lead())), ErrorCode::Forbidden);
        ask(&w, &planner()).unwrap();
    }

    #[test]
    fn wo_33_quantities_and_reasons_are_as_in_a_report() {
        let mut w = World::new();
        let id = reported(&mut w, 10);
        assert_eq!(code(to(&mut w, id, json!({"good": "0.5"}))), ErrorCode::Validation);
        assert_eq!(
            code(to(&mut w, id, json!({"scrap": [{"qty": "1.5", "reason": "surface"}]}))),
            ErrorCode::Validation
        );
        assert_eq!(
            code(to(&mut w, id, json!({"rework": [{"qty": 1, "reason": "weather"}]}))),
            ErrorCode::ReasonUnknown
        );
    }
}
