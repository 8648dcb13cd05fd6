//! WO-40 `work-order.register-unit`: one unit exists, with what was built into it.
//!
//! R4 (the unit's own inspections) waits for its facts. What is left to check of R2 is its first
//! half: no event can issue a component's serial to an order yet, so every one is refused.

use mw_contract::command::work_order::RegisterUnit;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::parts::{BomLineV1, ComponentV1};
use mw_contract::event::work_order::UnitRegisteredV1;
use mw_contract::{CommandType, Qty, Rejection, Text};

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
    if let Some(c) = components.iter().find(|c| c.serial.is_some()) {
        let message = format!("the serial of component {} was not issued to this order", c.item_id);
        return Err(Rejection::guard("WO-40.R2", message).at("payload.components"));
    }
    let present = |l: &BomLineV1| components.iter().any(|c| c.item_id == l.item_id || l.alternatives.contains(&c.item_id));
    let missing: Vec<String> =
        case.order.bom.iter().filter(|l| l.key && !present(l)).map(|l| l.item_id.to_string()).collect();
    if !missing.is_empty() && p.incomplete_reason.is_none() {
        return Err(Rejection::guard("WO-40.R3", "key components are missing: name them, or give incomplete_reason")
            .with("missing", missing));
    }
    let registered = UnitRegisteredV1 {
        serial: p.serial.clone(),
        product_id: case.order.product_id.clone(),
        lot: p.lot.clone(),
        op: p.op,
        result: p.result,
        components: components
            .iter()
            .map(|c| ComponentV1 {
                item_id: c.item_id.clone(),
                serial: None,
                lot: c.lot.clone(),
                qty: c.qty.unwrap_or(Qty::whole(1)),
                position: c.position.clone(),
            })
            .collect(),
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

/// WO-40.R1: allocated to this order, or free and of the product's form.
fn check_serial(case: &Case<'_>, serial: &Text<60>) -> Result<(), Rejection> {
    let product = &case.order.product_id;
    let guard = |message: String| Rejection::guard("WO-40.R1", message).at("payload.serial");
    if case.order.free_serials.contains(serial) {
        return Ok(());
    }
    match case.facts.serial(product, serial) {
        Some(SerialStatus::Registered) => Err(exists(format!("unit {serial} of {product} is registered already"))
            .at("payload.serial")
            .with("serials", vec![serial.as_str()])),
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
