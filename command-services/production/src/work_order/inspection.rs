//! WO-43 `work-order.record-inspection`: somebody looked at pieces and measured.

use mw_contract::command::quality::{InspectionLine, RecordInspection};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::parts::{DefectV1, InspectionLineV1};
use mw_contract::event::quality::{InspectionRecordedV1, NonconformanceRaisedV1};
use mw_contract::reference::{Document, InspectionRules, catalogues};
use mw_contract::{
    CommandType, Date, Event, NcrStage, Number, Qty, ReasonCode, ReferenceKind, Rejection, Sealed, Verdict, Warning,
    derived_entity,
};

use crate::facts::Production;
use crate::rules::{Case, Holds, all_valid, authorise, check_file, check_reason, exists, settings};
use crate::state::{Operation, ProductionState, WorkOrder};
use crate::work_order::nonconformance::produced;

/// The severity of a nonconformance that an inspection raises by itself.
const SEVERITY: u8 = 3;
/// The most lines of one inspection.
const MOST_LINES: usize = 200;

/// Decides WO-43.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &RecordInspection,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let case = Case::open(facts, state, CommandType::WorkOrderRecordInspection, ctx)?;
    let order = case.order;
    let op = p.op.map(|n| case.op(n)).transpose()?;
    let own_cell = match op {
        Some(op) => case.at_own_cell(op),
        None => order.operations.iter().any(|o| case.at_own_cell(o)),
    };
    let setting = settings(facts, ctx).self_inspection;
    let role = authorise(ctx, Holds { setting, own_cell, ..Holds::default() })?;
    if order.quality.inspections.iter().any(|i| i.id == p.inspection_id) {
        return Err(exists(format!("inspection {} is there already", p.inspection_id)).at("payload.inspection_id"));
    }
    if p.sample_size == 0 {
        return Err(Rejection::invalid("payload.sample_size", "is at least 1"));
    }
    if !(1..=MOST_LINES).contains(&p.results.len()) {
        return Err(Rejection::invalid("payload.results", format!("names 1 to {MOST_LINES} characteristics")));
    }
    let mut errors = Vec::new();
    for (i, f) in p.attachments.as_deref().unwrap_or_default().iter().enumerate() {
        check_file(&mut errors, &format!("payload.attachments[{i}]"), f);
    }
    all_valid(errors)?;
    for (i, d) in p.defects.as_deref().unwrap_or_default().iter().enumerate() {
        check_reason(facts, catalogues::DEFECT, &d.code, p.note.as_ref(), &format!("payload.defects[{i}]."))?;
    }
    let rules = facts.product(&order.product_id).and_then(|x| x.inspection.clone());
    let rules =
        rules.unwrap_or(InspectionRules { independent: false, auto_nonconformance: false, critical: Vec::new() });
    let mut warnings = Vec::new();
    let results: Vec<InspectionLineV1> = p.results.iter().map(|l| judged(l, &rules, &mut warnings)).collect();
    let failed: Vec<&str> = results
        .iter()
        .filter(|l| l.critical && l.verdict == Verdict::Fail)
        .map(|l| l.characteristic.as_str())
        .collect();
    if !failed.is_empty() && p.verdict == Verdict::Pass {
        let message = format!("{} is critical and failed: the whole can't pass", failed.join(", "));
        return Err(Rejection::guard("WO-43.R2", message).at("payload.verdict").with("critical", failed));
    }
    if rules.independent && made_by(order, op, ctx) {
        let message = format!("{} worked on these pieces: somebody else inspects them", ctx.actor.account);
        return Err(Rejection::guard("WO-43.R3", message));
    }
    warnings.extend(uncalibrated(facts, &results, ctx.occurred_at.date_in(facts.time_zone(&order.site_id))));
    let defects: Vec<DefectV1> = p
        .defects
        .as_deref()
        .unwrap_or_default()
        .iter()
        .map(|d| DefectV1 { code: d.code.clone(), qty: d.qty })
        .collect();
    let raised = (p.verdict == Verdict::Fail && rules.auto_nonconformance).then(|| raised(order, op, p, &defects));
    let recorded = InspectionRecordedV1 {
        inspection_id: p.inspection_id,
        op: p.op,
        kind: p.kind,
        sample_size: p.sample_size,
        serials: p.serials.clone().unwrap_or_default(),
        lot: p.lot.clone(),
        results,
        verdict: p.verdict,
        defects,
        attachments: p.attachments.clone().unwrap_or_default(),
        inspector: ctx.actor.account.clone(),
        note: p.note.as_ref().map(Sealed::plain),
    };
    let events: Vec<Event> = std::iter::once(recorded.into()).chain(raised.flatten()).collect();
    Ok(Decision { warnings, ..case.decided(role, events) })
}

/// WO-43.R1: what lies outside its limits has failed, whatever was said.
fn judged(l: &InspectionLine, rules: &InspectionRules, warnings: &mut Vec<Warning>) -> InspectionLineV1 {
    let beyond = |bound: Option<Number>, out: fn(Number, Number) -> bool| matches!((l.value, bound), (Some(v), Some(b)) if out(v, b));
    let outside =
        beyond(l.lower, |v, b| v.decimal() < b.decimal()) || beyond(l.upper, |v, b| v.decimal() > b.decimal());
    if outside && l.verdict != Verdict::Fail {
        let message = format!("{} lies outside its limits and has failed", l.characteristic);
        warnings.push(Warning { code: "outside_limits".into(), message });
    }
    InspectionLineV1 {
        characteristic: l.characteristic.clone(),
        value: l.value,
        unit: l.unit.clone(),
        lower: l.lower,
        upper: l.upper,
        verdict: if outside { Verdict::Fail } else { l.verdict },
        instrument: l.instrument.clone(),
        critical: l.critical.unwrap_or(false) || rules.critical.contains(&l.characteristic),
    }
}

/// WO-43.R3: did the sender make what is inspected?
fn made_by(order: &WorkOrder, op: Option<&Operation>, ctx: &DecisionContext<'_>) -> bool {
    let who = &ctx.actor.account;
    let here = |n: u16| op.is_none_or(|o| o.op == n);
    order.sessions().any(|(o, s)| here(o.op) && s.operator == *who)
        || order.reports.values().any(|r| here(r.op) && r.operator == *who)
}

/// WO-43.R4: instruments whose calibration has run out.
fn uncalibrated<'a>(
    facts: &Production,
    results: &'a [InspectionLineV1],
    day: Date,
) -> impl Iterator<Item = Warning> + 'a {
    let entries = match facts.document(ReferenceKind::Catalogue, catalogues::INSTRUMENT) {
        Some(Document::Catalogue(c)) => c.entries.clone(),
        _ => Vec::new(),
    };
    results.iter().filter_map(|l| l.instrument.as_ref()).filter_map(move |code: &ReasonCode| {
        let until = entries.iter().find(|e| e.code == *code)?.calibrated_until?;
        let message = format!("the calibration of {code} ended on {until}");
        (until < day).then(|| Warning { code: "calibration_expired".into(), message })
    })
}

/// The nonconformance that a failed inspection raises by itself, over the pieces with defects.
fn raised(order: &WorkOrder, op: Option<&Operation>, p: &RecordInspection, defects: &[DefectV1]) -> Option<Event> {
    let found: Qty = defects.iter().map(|d| d.qty).sum();
    let found = if found.is_zero() { Qty::whole(p.sample_size) } else { found };
    let qty = found.min(produced(order, op));
    let other = || "other".parse().ok();
    let raised = NonconformanceRaisedV1 {
        ncr_id: derived_entity(&format!("ncr:{}", p.inspection_id)),
        op: p.op,
        qty,
        serials: p.serials.clone().unwrap_or_default(),
        lot: p.lot.clone(),
        defect_code: defects.first().map(|d| d.code.clone()).or_else(other)?,
        severity: SEVERITY,
        description: p.note.as_ref().map(Sealed::plain),
        detected_at_stage: if p.kind == mw_contract::InspectionKind::Final {
            NcrStage::Final
        } else {
            NcrStage::InProcess
        },
        contain: true,
        attachments: Vec::new(),
        inspection_id: Some(p.inspection_id),
    };
    (!qty.is_zero()).then(|| raised.into())
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, actor, code, data, e, inspector, names, operator, rule};
    use mw_contract::decide::{Allowance, Decision};
    use mw_contract::{AggregateId, ErrorCode, Rejection, Role};
    use serde_json::{Value, json};

    fn payload(n: u128, more: Value) -> Value {
        let mut p = json!({"inspection_id": e(n), "op": 10, "kind": "in_process", "sample_size": 5, "verdict": "pass",
            "results": [{"characteristic": "width", "value": "9.8", "lower": 9, "upper": "10.2", "verdict": "pass"}]});
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        p
    }

    fn inspect(w: &mut World, id: AggregateId, p: Value) -> Result<Decision, Rejection> {
        w.run(&inspector(), "work-order.record-inspection", id, p)
    }

    fn rules(w: &mut World, rules: Value) {
        w.put("product", "bracket-10", json!({"name": "B", "uom": "H87", "inspection": rules})).unwrap();
    }

    #[test]
    fn wo_43_r1_what_lies_outside_its_limits_has_failed() {
        let mut w = World::new();
        let id = w.running_bracket(10);
        for (value, verdict) in [("8.9", "fail"), ("10.3", "fail"), ("9", "pass"), ("10.2", "pass")] {
            let n = w.fresh();
            let mut p = payload(n, json!({}));
            p["results"][0]["value"] = json!(value);
            let d = inspect(&mut w, id, p.clone()).unwrap();
            assert_eq!(data(&d, 0)["results"][0]["verdict"], verdict, "{value}");
            assert_eq!(d.warnings.len(), usize::from(verdict == "fail"));
            assert_eq!(code(inspect(&mut w, id, p)), ErrorCode::AlreadyExists);
        }
        for bad in [json!({"sample_size": 0}), json!({"results": []})] {
            assert_eq!(code(inspect(&mut w, id, payload(1, bad))), ErrorCode::Validation);
        }
    }

    #[test]
    fn wo_43_r2_the_whole_does_not_pass_without_what_is_critical() {
        let mut w = World::new();
        rules(&mut w, json!({"critical": ["leak"]}));
        let id = w.running_bracket(10);
        let leak = |verdict: &str, whole: &str| {
            payload(
                1,
                json!({"verdict": whole,
            "results": [{"characteristic": "leak", "verdict": verdict}]}),
            )
        };
        assert_eq!(rule(inspect(&mut w, id, leak("fail", "pass"))), "WO-43.R2");
        inspect(&mut w, id, leak("fail", "conditional")).unwrap();
        let said = payload(2, json!({"results": [{"characteristic": "x", "verdict": "fail", "critical": true}]}));
        assert_eq!(rule(inspect(&mut w, id, said)), "WO-43.R2");
        let minor = payload(2, json!({"results": [{"characteristic": "x", "verdict": "fail"}]}));
        inspect(&mut w, id, minor).unwrap();
    }

    #[test]
    fn wo_43_r3_an_independent_inspector_did_not_make_the_pieces() {
        let mut w = World::new();
        rules(&mut w, json!({"independent": true}));
        let id = w.bracket(10);
        w.release(id);
        w.start(&operator("inspector-1"), id, 10, "cell-1");
        assert_eq!(rule(inspect(&mut w, id, payload(1, json!({})))), "WO-43.R3");
        assert_eq!(rule(inspect(&mut w, id, payload(1, json!({"op": null})))), "WO-43.R3");
        let other = actor("inspector-2", &[(Role::QualityInspector, Allowance::Yes)]);
        w.run(&other, "work-order.record-inspection", id, payload(1, json!({}))).unwrap();
        // Where the product does not say so, whoever made them may.
        rules(&mut w, json!({}));
        inspect(&mut w, id, payload(2, json!({}))).unwrap();
    }

    #[test]
    fn wo_43_r4_an_instrument_out_of_calibration_is_a_warning() {
        let mut w = World::new();
        let entries = json!([{"code": "gauge-1", "calibrated_until": "2026-03-02"}, {"code": "gauge-2", "calibrated_until": "2026-03-01"}]);
        w.put("catalogue", "instruments", json!({"name": "Instruments", "entries": entries})).unwrap();
        let id = w.running_bracket(10);
        for (n, gauge, warned) in [(1, "gauge-1", 0), (2, "gauge-2", 1), (3, "gauge-9", 0)] {
            let mut p = payload(n, json!({}));
            p["results"][0]["instrument"] = json!(gauge);
            let d = inspect(&mut w, id, p).unwrap();
            assert_eq!(d.warnings.len(), warned, "{gauge}");
        }
    }

    #[test]
    fn wo_43_people_inspect_their_own_work_where_the_site_lets_them() {
        let mut w = World::new();
        let id = w.running_bracket(10);
        let own = actor("operator-1", &[(Role::Operator, Allowance::Setting)]);
        assert_eq!(code(w.run(&own, "work-order.record-inspection", id, payload(1, json!({})))), ErrorCode::Forbidden);
        let site = json!({"name": "P", "time_zone": "Europe/Berlin", "settings": {"self_inspection": true}});
        w.put("site", "plant-1", site).unwrap();
        w.run(&own, "work-order.record-inspection", id, payload(1, json!({}))).unwrap();
    }

    #[test]
    fn wo_43_a_failed_inspection_raises_a_nonconformance_where_the_product_says_so() {
        let mut w = World::new();
        rules(&mut w, json!({"auto_nonconformance": true}));
        let id = w.running_bracket(10);
        let fail = |n: u128| payload(n, json!({"verdict": "fail", "defects": [{"code": "surface", "qty": 7}]}));
        // Nothing was made: there is nothing to raise it about.
        assert_eq!(names(&inspect(&mut w, id, fail(1)).unwrap()), ["InspectionRecorded"]);
        w.good(id, 10, 4);
        let d = inspect(&mut w, id, fail(2)).unwrap();
        assert_eq!(names(&d), ["InspectionRecorded", "NonconformanceRaised"]);
        let x = data(&d, 1);
        assert_eq!((&x["qty"], &x["defect_code"], &x["inspection_id"]), (&json!("4"), &json!("surface"), &json!(e(2))));
        let d = inspect(&mut w, id, payload(3, json!({}))).unwrap();
        assert_eq!(d.events.len(), 1);
    }

    #[test]
    fn wo_43_a_device_inspects_at_its_own_cell() {
        use crate::fixture::device;
        let mut w = World::new();
        let routing = json!([{"op": 10, "name": "bend", "cell_id": "cell-1"}]);
        let id = w.bracket_with(5, json!({"routing": routing}));
        w.release(id);
        w.start(&crate::fixture::lead(), id, 10, "cell-1");
        w.good(id, 10, 5);
        for (op, n) in [(json!(10), 1), (json!(null), 3)] {
            let p = |n: u128| payload(n, json!({"op": op}));
            let other = w.run(&device("cell-2"), "work-order.record-inspection", id, p(n));
            assert_eq!(code(other), ErrorCode::Forbidden, "{op}");
            w.run(&device("cell-1"), "work-order.record-inspection", id, p(n + 1)).unwrap();
        }
    }
}
