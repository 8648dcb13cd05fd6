//! WO-40 `work-order.register-unit`: one unit exists, with what was built into it.
//!
//! R4 (the unit's own inspections) waits for its facts. What is left to check of R2 is its first
//! half: no event can issue a component's serial to an order yet, so every one is refused.

use mw_contract::command::work_order::RegisterUnit;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::parts::{BomLineV1, ComponentV1};
use mw_contract::event::work_order::UnitRegisteredV1;
use mw_contract::{CommandType, InspectionPlan, Rejection, Text, UnitResult};

use crate::facts::{Production, SerialStatus};
use crate::rules::{Case, Holds, all_valid, authorise, check_file, exists};
use crate::state::ProductionState;

/// Decides WO-40.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &RegisterUnit,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let case = Case::open(facts, state, CommandType::WorkOrderRegisterUnit, ctx)?;
    let op = case.op(p.op)?;
    let own_cell = case.at_own_cell(op);
    let role = authorise(ctx, Holds { own_cell, ..Holds::default() })?;
    let mut errors = Vec::new();
    if let Some(f) = &p.test_report {
        check_file(&mut errors, "payload.test_report", f);
    }
    all_valid(errors)?;
    check_serial(&case, &p.serial)?;
    let components = p.components.as_deref().unwrap_or_default();
    let built_in = crate::unit::component::components(Some(components));
    components_may_go_in(&case, &p.serial, &built_in, "WO-40.R2").map_err(|r| r.at("payload.components"))?;
    let present =
        |l: &BomLineV1| components.iter().any(|c| c.item_id == l.item_id || l.alternatives.contains(&c.item_id));
    let missing: Vec<String> =
        case.order.bom.iter().filter(|l| l.key && !present(l)).map(|l| l.item_id.to_string()).collect();
    if !missing.is_empty() && p.incomplete_reason.is_none() {
        return Err(Rejection::guard("WO-40.R3", "key components are missing: name them, or give incomplete_reason")
            .with("missing", missing));
    }
    if p.result == UnitResult::Good {
        // WO-40.R4: a unit that failed, or was not looked at although each is, is not good.
        let last = case.order.quality.last_of(&p.serial).map(|i| i.passed);
        if last == Some(false) || (last.is_none() && op.inspection == InspectionPlan::Each) {
            let message =
                format!("{} has no passed inspection: record it, or register it with another result", p.serial);
            return Err(Rejection::guard("WO-40.R4", message).at("payload.result"));
        }
    }
    let registered = UnitRegisteredV1 {
        serial: p.serial.clone(),
        product_id: case.order.product_id.clone(),
        lot: p.lot.clone(),
        op: p.op,
        result: p.result,
        components: built_in,
        incomplete_reason: p.incomplete_reason.clone(),
        firmware: p.firmware.clone(),
        test_report: p.test_report.clone(),
        measurements: p.measurements.clone().unwrap_or_default(),
        cell_id: op.sessions.last().map(|s| s.cell_id.clone()).or(op.cell_id.clone()),
        operator: ctx.actor.account.clone(),
        produced_at: ctx.occurred_at,
    };
    Ok(case.decided(role, vec![registered.into()]))
}

/// WO-40.R2: a component with a serial number was issued to this order and is in no other unit.
pub(crate) fn components_may_go_in(
    case: &Case<'_>,
    unit: &Text<60>,
    components: &[ComponentV1],
    rule: &'static str,
) -> Result<(), Rejection> {
    for c in components {
        let Some(serial) = &c.serial else { continue };
        if case.facts.components.issued_to(&c.item_id, serial) != Some(case.order.id) {
            let message = format!("{} {serial} was not issued to this order", c.item_id);
            return Err(Rejection::guard(rule, message).with("serial", serial.as_str()));
        }
    }
    let unit = mw_contract::unit_id(&case.order.product_id, unit);
    crate::unit::component::in_no_other_unit(case.facts, unit, components, rule)
}

/// WO-40.R1: allocated to this order, or free and of the product's form.
fn check_serial(case: &Case<'_>, serial: &Text<60>) -> Result<(), Rejection> {
    let product = &case.order.product_id;
    let guard = |message: String| Rejection::guard("WO-40.R1", message).at("payload.serial");
    if case.order.free_serials.contains(serial) {
        return Ok(());
    }
    match case.facts.serial(product, serial) {
        Some(SerialStatus::Registered | SerialStatus::Shipped) => {
            Err(exists(format!("unit {serial} of {product} is registered already"))
                .at("payload.serial")
                .with("serials", vec![serial.as_str()]))
        }
        Some(SerialStatus::Voided) => Err(guard(format!("serial {serial} was voided: it is never used again"))),
        Some(SerialStatus::Allocated) => Err(guard(format!("serial {serial} is allocated to another order"))),
        None => match case.facts.product(product).and_then(|x| x.serial_pattern.as_ref()) {
            Some(pattern) if !matches(pattern.as_str(), serial.as_str()) => {
                Err(guard(format!("serial {serial} does not look like {pattern} (# is a digit)")))
            }
            _ => Ok(()),
        },
    }
}

/// Literal text, where `#` stands for one digit.
fn matches(pattern: &str, serial: &str) -> bool {
    let same = |(p, s): (char, char)| if p == '#' { s.is_ascii_digit() } else { p == s };
    pattern.chars().count() == serial.chars().count() && pattern.chars().zip(serial.chars()).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{HOUR, World, code, data, detail, device, lead, names, rule};
    use mw_contract::{AggregateId, ErrorCode, Role};
    use serde_json::{Value, json};

    fn payload(serial: &str, more: Value) -> Value {
        let mut p = json!({"serial": serial, "op": 10, "result": "good"});
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        p
    }

    fn ask(w: &World, id: AggregateId, p: Value) -> Result<Decision, Rejection> {
        w.ask(&lead(), "work-order.register-unit", id, p)
    }

    fn running(w: &mut World, more: Value) -> AggregateId {
        let mut p = World::create_payload("pump-200", 5);
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let id = w.create(p);
        w.release(id);
        w.start(&lead(), id, 10, "cell-1");
        id
    }

    #[test]
    fn wo_40_r4_a_unit_that_failed_is_not_good() {
        let mut w = World::new();
        let mut p = World::create_payload("bracket-10", 5);
        p["routing"] = json!([{"op": 10, "name": "a", "cell_id": "cell-1", "inspection": "each"}]);
        let id = w.create(p);
        w.release(id);
        w.start(&lead(), id, 10, "cell-1");
        let inspect = |w: &mut World, verdict: &str| {
            let n = w.fresh();
            let p = json!({"inspection_id": crate::fixture::e(n), "op": 10, "kind": "in_process", "sample_size": 1,
                "serials": ["S-1"], "verdict": verdict, "results": [{"characteristic": "leak", "verdict": verdict}]});
            w.run(&crate::fixture::inspector(), "work-order.record-inspection", id, p).unwrap();
        };
        let good = |w: &mut World| w.lead("work-order.register-unit", id, payload("S-1", json!({})));
        assert_eq!(rule(good(&mut w)), "WO-40.R4");
        inspect(&mut w, "fail");
        assert_eq!(rule(good(&mut w)), "WO-40.R4");
        inspect(&mut w, "pass");
        good(&mut w).unwrap();
        w.lead("work-order.register-unit", id, payload("S-2", json!({"result": "scrap"}))).unwrap();
    }

    #[test]
    fn wo_40_a_unit_with_all_that_is_known() {
        let mut w = World::new();
        let id = running(&mut w, json!({}));
        let file =
            json!({"uri": "s3://x", "sha256": "a".repeat(64), "media_type": "application/pdf", "bytes": 26214400});
        let p = payload(
            "S-1",
            json!({"lot": "L-1", "firmware": "1.2", "test_report": file,
            "components": [{"item_id": "motor", "lot": "M-1", "position": "left"}, {"item_id": "seal", "qty": "2"}],
            "measurements": [{"characteristic": "flow", "value": "12.5", "unit": "l/min"}]}),
        );
        let d = w.lead("work-order.register-unit", id, p).unwrap();
        assert_eq!(names(&d), ["UnitRegistered"]);
        let x = data(&d, 0);
        assert_eq!(
            (&x["product_id"], &x["cell_id"], &x["operator"]),
            (&json!("pump-200"), &json!("cell-1"), &json!("lead-1"))
        );
        assert_eq!((&x["components"][0]["qty"], &x["components"][1]["qty"]), (&json!("1"), &json!("2")));
        assert_eq!((&x["components"][0]["lot"], &x["components"][0]["position"]), (&json!("M-1"), &json!("left")));
        assert_eq!((&x["firmware"], &x["measurements"][0]["value"]), (&json!("1.2"), &json!("12.5")));
        assert_eq!(x["produced_at"].as_str().unwrap(), w.now.to_string());
        let o = w.order(id);
        assert_eq!((o.units_of(UnitResult::Good), o.units_of(UnitResult::Scrap), o.lots.len()), (1, 0, 1));
        assert_eq!(code(ask(&w, id, payload("S-2", json!({"op": 11})))), ErrorCode::NotFound);
    }

    #[test]
    fn wo_40_a_file_is_named_by_its_hash() {
        let mut w = World::new();
        let id = running(&mut w, json!({}));
        for (sha256, bytes, field) in [
            ("a".repeat(63), 1, "payload.test_report.sha256"),
            ("A".repeat(64), 1, "payload.test_report.sha256"),
            ("g".repeat(64), 1, "payload.test_report.sha256"),
            ("a".repeat(63) + "g", 1, "payload.test_report.sha256"),
            ("0".repeat(64), 26_214_401, "payload.test_report.bytes"),
        ] {
            let file = json!({"uri": "s3://x", "sha256": sha256, "media_type": "a/b", "bytes": bytes});
            let r = ask(&w, id, payload("S-1", json!({"test_report": file}))).unwrap_err();
            assert_eq!((r.code, r.field.as_deref()), (ErrorCode::Validation, Some(field)));
        }
    }

    #[test]
    fn wo_40_r1_the_serial_is_this_orders_or_free() {
        let mut w = World::new();
        let (a, b) = (running(&mut w, json!({})), running(&mut w, json!({})));
        w.planner("work-order.allocate-serials", a, json!({"serials": ["S-1"]})).unwrap();
        assert_eq!(rule(ask(&w, b, payload("S-1", json!({})))), "WO-40.R1");
        w.lead("work-order.register-unit", a, payload("S-1", json!({}))).unwrap();
        assert!(w.order(a).free_serials.is_empty());
        for id in [a, b] {
            let r = ask(&w, id, payload("S-1", json!({})));
            assert_eq!(detail(r.clone(), "serials"), json!(["S-1"]));
            assert_eq!(code(r), ErrorCode::AlreadyExists);
        }
        assert_eq!(
            code(w.ask(&crate::fixture::planner(), "work-order.allocate-serials", b, json!({"serials": ["S-1"]}))),
            ErrorCode::AlreadyExists
        );
        ask(&w, b, payload("anything", json!({}))).unwrap();
    }

    #[test]
    fn wo_40_r1_a_free_serial_matches_the_products_pattern() {
        let mut w = World::new();
        let product = json!({"uom": "H87", "tracking": "serial", "routing": "pump-200", "serial_pattern": "P#-##"});
        w.put("product", "pump-200", product).unwrap();
        let id = running(&mut w, json!({}));
        for bad in ["P1-2", "P1-234", "Q1-23", "PA-23", "P1-2A", "P#-##"] {
            assert_eq!(rule(ask(&w, id, payload(bad, json!({})))), "WO-40.R1", "{bad}");
        }
        ask(&w, id, payload("P1-23", json!({}))).unwrap();
        // Whoever allocated it has decided on its form.
        w.planner("work-order.allocate-serials", id, json!({"serials": ["free-form"]})).unwrap();
        ask(&w, id, payload("free-form", json!({}))).unwrap();
    }

    #[test]
    fn wo_40_r2_a_component_serial_was_issued_to_this_order() {
        let mut w = World::new();
        let id = running(&mut w, json!({}));
        let p = payload("S-1", json!({"components": [{"item_id": "motor"}, {"item_id": "motor", "serial": "M-1"}]}));
        assert_eq!(rule(ask(&w, id, p)), "WO-40.R2");
    }

    #[test]
    fn wo_40_r3_key_components_are_named_or_their_absence_explained() {
        let mut w = World::new();
        let bom = json!([{"line_no": 1, "item_id": "motor", "qty_per_unit": 1, "key": true, "alternatives": ["motor-b"]},
            {"line_no": 2, "item_id": "seal", "qty_per_unit": 1}]);
        let id = running(&mut w, json!({"bom": bom}));
        let with = |item: &str| payload("S-1", json!({"components": [{"item_id": item}]}));
        assert_eq!(detail(ask(&w, id, payload("S-1", json!({}))), "missing"), json!(["motor"]));
        assert_eq!(rule(ask(&w, id, with("seal"))), "WO-40.R3");
        ask(&w, id, with("motor")).unwrap();
        ask(&w, id, with("motor-b")).unwrap();
        let d = ask(&w, id, payload("S-1", json!({"incomplete_reason": "no_material"}))).unwrap();
        assert_eq!(data(&d, 0)["incomplete_reason"], "no_material");
    }

    #[test]
    fn wo_40_a_device_registers_at_its_cell() {
        let mut w = World::new();
        let id = running(&mut w, json!({}));
        let ask = |cell| w.ask(&device(cell), "work-order.register-unit", id, payload("S-1", json!({})));
        assert_eq!(ask("cell-1").unwrap().role, Role::Device);
        assert_eq!(code(ask("cell-2")), ErrorCode::Forbidden);
    }

    #[test]
    fn wo_40_a_device_without_a_cell_or_at_an_unknown_one_registers_nothing() {
        let mut w = World::new();
        let by_class = json!({"routing": [{"op": 10, "name": "a", "cell_class": "press"}]});
        w.put("cell", "cell-1", json!({"line": "line-1", "class": "press"})).unwrap();
        let class = w.bracket_with(5, by_class);
        let line = w.bracket(5);
        for id in [class, line] {
            w.release(id);
            w.start(&lead(), id, 10, "cell-1");
            let ask = |who: &mw_contract::decide::Actor| {
                w.ask(who, "work-order.register-unit", id, payload("S-1", json!({})))
            };
            assert_eq!(ask(&device("cell-1")).unwrap().role, Role::Device);
            assert_eq!(code(ask(&device("cell-9"))), ErrorCode::Forbidden);
            let homeless = mw_contract::decide::Actor { cell: None, ..device("cell-1") };
            assert_eq!(code(ask(&homeless)), ErrorCode::Forbidden);
        }
    }

    #[test]
    fn g4_a_unit_comes_in_late() {
        let mut w = World::new();
        let id = w.completed_bracket(5);
        let before = w.now.plus_millis(-1);
        w.later(HOUR);
        let d = w.run_at(before, &lead(), "work-order.register-unit", id, payload("S-1", json!({}))).unwrap();
        assert!(d.late);
        assert_eq!(code(ask(&w, id, payload("S-2", json!({})))), ErrorCode::InvalidState);
    }
}
