//! WO-26 `work-order.record-consumption`: material that was used up; and what follows from
//! quantity reports for lines that are backflushed.

use std::collections::BTreeMap;

use mw_contract::command::material::RecordConsumption;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::material::{MaterialConsumedV1, MaterialConsumptionCorrectedV1};
use mw_contract::event::parts::{BomLineV1, ConsumedV1, ConsumptionChangeV1};
use mw_contract::{CommandType, ConsumptionSource, EntityId, Event, Qty, Rejection};

use crate::facts::Production;
use crate::material::{LineUse, Portion, line_for, may_stand_in};
use crate::rules::{Case, Holds, authorise, exists};
use crate::state::{ProductionState, WorkOrder};
use crate::work_order::issue_material::one_a_piece;
use crate::work_order::reservation::some_lines;

/// Decides WO-26. Only what was issued can be used up (I3).
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &RecordConsumption,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let case = Case::open(facts, state, CommandType::WorkOrderRecordConsumption, ctx)?;
    let order = case.order;
    let op = p.op.map(|n| case.op(n)).transpose()?;
    let own_cell = match op {
        Some(op) => case.at_own_cell(op),
        None => order.operations.iter().any(|o| case.at_own_cell(o)),
    };
    let role = authorise(ctx, Holds { own_cell, ..Holds::default() })?;
    if order.material.ids.contains(&p.consumption_id) {
        return Err(exists(format!("consumption {} is there already", p.consumption_id)).at("payload.consumption_id"));
    }
    some_lines(p.lines.iter().map(|l| l.qty), "WO-26.R1")?;
    let mut floor: BTreeMap<u16, LineUse> = BTreeMap::new();
    let mut lines = Vec::with_capacity(p.lines.len());
    for (i, l) in p.lines.iter().enumerate() {
        let field = |name: &str| format!("payload.lines[{i}].{name}");
        let line = match (l.line_no, &l.item_id) {
            (Some(n), _) => order.bom.iter().find(|b| b.line_no == n),
            (None, Some(item)) => line_for(order, item),
            (None, None) => return Err(Rejection::invalid(field("line_no"), "name the line or the item")),
        };
        let named = || l.item_id.as_ref().map_or_else(|| "the line".to_owned(), ToString::to_string);
        let Some(line) = line else {
            let message = format!("{} is not in the order's BOM: approve it as a substitute first", named());
            return Err(Rejection::guard("WO-26.R1", message).at(field("item_id")));
        };
        let item_id = l.item_id.clone().unwrap_or_else(|| line.item_id.clone());
        if !may_stand_in(order, line, &item_id) {
            let message = format!("{item_id} may not stand in for {}: approve it first", line.item_id);
            return Err(Rejection::guard("WO-26.R1", message).at(field("item_id")));
        }
        if let Some(unit) = &l.unit_serial
            && order.units.get(unit).is_none_or(|u| u.voided)
            && !order.free_serials.contains(unit)
        {
            let message = format!("{unit} is neither a unit of this order nor set aside for one");
            return Err(Rejection::guard("WO-26.R2", message).at(field("unit_serial")));
        }
        let serials = l.serials.clone().unwrap_or_default();
        one_a_piece(&serials, l.qty, "WO-26.R1").map_err(|r| r.at(field("serials")))?;
        let portion = Portion { item_id: &item_id, qty: l.qty, lot: l.lot.as_ref(), serials: &serials };
        let there = floor.entry(line.line_no).or_insert_with(|| order.material.line(line.line_no));
        there.give(portion, "I3").map_err(|r| r.at(field("qty")))?;
        lines.push(ConsumedV1 {
            line_no: line.line_no,
            item_id,
            qty: l.qty,
            lot: l.lot.clone(),
            serials,
            unit_serial: l.unit_serial.clone(),
        });
    }
    let consumed =
        MaterialConsumedV1 { consumption_id: p.consumption_id, op: p.op, source: ConsumptionSource::Recorded, lines };
    Ok(case.decided(role, vec![consumed.into()]))
}

/// The lines that reports of an operation use up by themselves. One without an operation belongs
/// to the first.
fn backflushed_by(order: &WorkOrder, op: u16) -> impl Iterator<Item = &BomLineV1> {
    let first = order.operations.first().map(|o| o.op);
    order.bom.iter().filter(move |l| l.backflush && l.op.or(first) == Some(op))
}

/// What so many processed pieces of an operation have used up by the standard; none where nothing
/// is backflushed there. It bears the id of the report.
pub(crate) fn backflush(order: &WorkOrder, op: u16, report: EntityId, pieces: Qty) -> Option<Event> {
    let line = |l: &BomLineV1| {
        let qty = pieces.times(l.qty_per_unit).filter(|q| !q.is_zero())?;
        let item_id = l.item_id.clone();
        Some(ConsumedV1 { line_no: l.line_no, item_id, qty, lot: None, serials: Vec::new(), unit_serial: None })
    };
    let lines: Vec<ConsumedV1> = backflushed_by(order, op).filter_map(line).collect();
    let source = ConsumptionSource::Backflush;
    (!lines.is_empty()).then(|| MaterialConsumedV1 { consumption_id: report, op: Some(op), source, lines }.into())
}

/// The same when a report turns out to have been about another number of pieces.
pub(crate) fn correct_backflush(order: &WorkOrder, op: u16, report: EntityId, old: Qty, new: Qty) -> Option<Event> {
    if old == new {
        return None;
    }
    let line = |l: &BomLineV1| {
        let (old, new) = (old.times(l.qty_per_unit)?, new.times(l.qty_per_unit)?);
        Some(ConsumptionChangeV1 { line_no: l.line_no, item_id: l.item_id.clone(), old, new })
    };
    let lines: Vec<ConsumptionChangeV1> = backflushed_by(order, op).filter_map(line).collect();
    (!lines.is_empty()).then(|| MaterialConsumptionCorrectedV1 { consumption_id: report, lines }.into())
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, code, data, detail, device, e, lead, names, rule};
    use mw_contract::{AggregateId, ErrorCode};
    use serde_json::{Value, json};

    fn started(w: &mut World) -> AggregateId {
        let id = w.with_material(5);
        w.start(&lead(), id, 10, "cell-1");
        let lines = json!([{"line_no": 1, "qty": 5, "lot": "L-1", "from_location": "store"}]);
        w.lead("work-order.issue-material", id, json!({"issue_id": e(1), "lines": lines})).unwrap();
        id
    }

    fn used(n: u128, line: Value) -> Value {
        json!({"consumption_id": e(n), "lines": [line]})
    }

    #[test]
    fn wo_26_r1_only_what_the_bom_asks_for() {
        let mut w = World::new();
        let id = started(&mut w);
        for bad in [
            json!({"item_id": "glue", "qty": 1}),
            json!({"line_no": 9, "qty": 1}),
            json!({"line_no": 1, "item_id": "glue", "qty": 1}),
            json!({"line_no": 1, "qty": 0}),
        ] {
            assert_eq!(rule(w.lead("work-order.record-consumption", id, used(2, bad))), "WO-26.R1");
        }
        assert_eq!(
            code(w.lead("work-order.record-consumption", id, used(2, json!({"qty": 1})))),
            ErrorCode::Validation
        );
        let d = w.lead("work-order.record-consumption", id, used(2, json!({"item_id": "sheet", "qty": 2}))).unwrap();
        assert_eq!((&data(&d, 0)["source"], &data(&d, 0)["lines"][0]["line_no"]), (&json!("recorded"), &json!(1)));
        assert_eq!(
            code(w.lead("work-order.record-consumption", id, used(2, json!({"line_no": 1, "qty": 1})))),
            ErrorCode::AlreadyExists
        );
        // A device for its own cell.
        let at = |cell: &str| {
            w.ask(&device(cell), "work-order.record-consumption", id, used(3, json!({"line_no": 1, "qty": 1})))
        };
        assert!(at("cell-1").is_ok());
        assert_eq!(code(at("cell-9")), ErrorCode::Forbidden);
    }

    #[test]
    fn i3_what_was_not_issued_is_not_used_up() {
        let mut w = World::new();
        let id = started(&mut w);
        let refused = w.lead("work-order.record-consumption", id, used(2, json!({"line_no": 1, "qty": 6})));
        assert_eq!(detail(refused.clone(), "max_allowed"), "5");
        assert_eq!(rule(refused), "I3");
        assert_eq!(
            rule(w.lead("work-order.record-consumption", id, used(2, json!({"line_no": 1, "qty": 1, "lot": "L-2"})))),
            "I3"
        );
    }

    #[test]
    fn wo_26_r2_a_unit_is_one_of_the_order() {
        let mut w = World::new();
        let id = started(&mut w);
        let of = |s: &str| used(2, json!({"line_no": 1, "qty": 1, "unit_serial": s}));
        assert_eq!(rule(w.lead("work-order.record-consumption", id, of("U-1"))), "WO-26.R2");
        w.planner("work-order.allocate-serials", id, json!({"serials": ["U-1"]})).unwrap();
        w.lead("work-order.record-consumption", id, of("U-1")).unwrap();
    }

    #[test]
    fn wo_26_a_report_uses_up_what_is_backflushed() {
        let mut w = World::new();
        let bom = json!([{"line_no": 1, "item_id": "oil", "qty_per_unit": "0.5", "backflush": true},
            {"line_no": 2, "item_id": "box", "qty_per_unit": 1, "backflush": true, "op": 20},
            {"line_no": 3, "item_id": "motor", "qty_per_unit": 1}]);
        let mut p = World::create_payload("pump-200", 10);
        p["bom"] = bom;
        let id = w.create(p);
        w.release(id);
        w.start(&lead(), id, 10, "cell-1");
        let report = |n: u128, good: u32| {
            json!({"op": 10, "report_id": e(n), "good": good,
            "scrap": [{"qty": 1, "reason": "surface"}], "rework": [{"qty": 2, "reason": "surface"}]})
        };
        let d = w.lead("work-order.report-quantity", id, report(1, 4)).unwrap();
        assert_eq!(names(&d), ["OperationQuantityReported", "MaterialConsumed"]);
        let x = data(&d, 1);
        assert_eq!((&x["consumption_id"], &x["source"]), (&json!(e(1)), &json!("backflush")));
        assert_eq!((x["lines"].as_array().unwrap().len(), &x["lines"][0]["qty"]), (1, &json!("2.5")));
        // Pieces count when they are good or scrap, so those in rework do when they come back.
        let back = json!({"op": 10, "report_id": e(2), "source": "rework", "good": 2});
        let d = w.lead("work-order.report-quantity", id, back).unwrap();
        assert_eq!(data(&d, 1)["lines"][0]["qty"], "1");
        // A correction takes along what it had used up.
        let less = json!({"report_id": e(1), "good": 1, "reason": "wrong_data", "scrap": [{"qty": 1, "reason": "surface"}],
            "rework": [{"qty": 2, "reason": "surface"}]});
        let d = w.lead("work-order.correct-report", id, less).unwrap();
        assert_eq!(names(&d), ["OperationReportCorrected", "MaterialConsumptionCorrected"]);
        assert_eq!((&data(&d, 1)["lines"][0]["old"], &data(&d, 1)["lines"][0]["new"]), (&json!("2.5"), &json!("1")));
        assert_eq!(w.order(id).material.line(1).backflushed.to_string(), "2");
    }
}
