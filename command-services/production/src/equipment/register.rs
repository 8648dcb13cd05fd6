//! EQ-01 `equipment.register`: a cell becomes a machine that is watched.

use mw_contract::command::equipment::RegisterEquipment;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::equipment::EquipmentRegisteredV1;
use mw_contract::reference::Document;
use mw_contract::{ReferenceKind, Rejection, Seconds};

use super::decided;
use crate::facts::Production;
use crate::rules::{Holds, authorise, exists};
use crate::state::ProductionState;

/// Silence after which a machine counts as offline, unless it says otherwise.
const NO_SIGNAL: Seconds = Seconds(300);
/// Severity from which an alarm opens a ticket, unless it says otherwise.
const ALARM_THRESHOLD: u16 = 700;

/// Decides EQ-01. Site, area and line are those of its cell.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &RegisterEquipment,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    if *state != ProductionState::None {
        return Err(exists(format!("equipment {} is there already", ctx.aggregate_id)));
    }
    let Some((site, cell)) = ctx.site.and_then(|s| Some((s, facts.cell_at(s, &p.code)?))) else {
        return Err(Rejection::not_found(format!("this site has no cell {} in use", p.code)).at("payload.code"));
    };
    if let Some(id) = facts.cells.equipment(&p.code) {
        return Err(exists(format!("cell {} is registered as equipment {id}", p.code)).at("payload.code"));
    }
    if let Some(bad) = p.alarm_threshold.filter(|t| !(1..=1000).contains(t)) {
        return Err(Rejection::invalid("payload.alarm_threshold", format!("{bad} is not from 1 to 1000")));
    }
    let area = match facts.document(ReferenceKind::Line, cell.line.as_str()) {
        Some(Document::Line(l)) => l.area.clone(),
        _ => None,
    };
    let registered = EquipmentRegisteredV1 {
        code: p.code.clone(),
        name: p.name.clone().or_else(|| cell.name.clone()),
        class: p.class.clone().or_else(|| cell.class.clone()),
        site_id: site.clone(),
        area,
        line_id: cell.line.clone(),
        ideal_cycle: p.ideal_cycle,
        no_signal_timeout: p.no_signal_timeout.filter(|t| t.0 > 0).unwrap_or(NO_SIGNAL),
        alarm_threshold: p.alarm_threshold.unwrap_or(ALARM_THRESHOLD),
        sparkplug_id: p.sparkplug_id.clone(),
    };
    Ok(decided(ctx, role, vec![registered.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, admin, code, data, id};
    use mw_contract::ErrorCode;
    use serde_json::json;

    #[test]
    fn eq_01_a_cell_is_registered_once() {
        let mut w = World::new();
        let d = w.run(&admin(), "equipment.register", id(1), json!({"code": "cell-1"})).unwrap();
        let x = data(&d, 0);
        assert_eq!(
            (&x["line_id"], &x["area"], &x["site_id"]),
            (&json!("line-1"), &json!("assembly"), &json!("plant-1"))
        );
        assert_eq!((&x["no_signal_timeout"], &x["alarm_threshold"]), (&json!(300), &json!(700)));
        let again = json!({"code": "cell-1"});
        assert_eq!(code(w.run(&admin(), "equipment.register", id(2), again.clone())), ErrorCode::AlreadyExists);
        assert_eq!(code(w.run(&admin(), "equipment.register", id(1), again)), ErrorCode::AlreadyExists);
        let unknown = w.run(&admin(), "equipment.register", id(3), json!({"code": "cell-9"}));
        assert_eq!(code(unknown), ErrorCode::NotFound);
        let threshold = json!({"code": "cell-2", "alarm_threshold": 1001});
        assert_eq!(code(w.run(&admin(), "equipment.register", id(4), threshold)), ErrorCode::Validation);
        let named = json!({"code": "cell-2", "name": "Test rig", "class": "rig", "no_signal_timeout": 60});
        let d = w.run(&admin(), "equipment.register", id(4), named).unwrap();
        assert_eq!((&data(&d, 0)["name"], &data(&d, 0)["no_signal_timeout"]), (&json!("Test rig"), &json!(60)));
    }
}
