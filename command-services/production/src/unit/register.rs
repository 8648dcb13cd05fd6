//! PU-01 `unit.register`: a unit that an order made begins its own life.

use mw_contract::Rejection;
use mw_contract::command::unit::RegisterProductUnit;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::unit::ProductUnitRegisteredV1;

use super::{component::components, decided};
use crate::rules::{Holds, authorise, exists};
use crate::state::ProductionState;

/// Decides PU-01. The serial number is the unit's for ever.
pub fn decide(
    state: &ProductionState,
    p: &RegisterProductUnit,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    if *state != ProductionState::None {
        return Err(exists(format!("unit {} of {} is there already", p.serial, p.product_id)).at("payload.serial"));
    }
    let Some(site_id) = ctx.site.cloned() else {
        return Err(Rejection::forbidden("a unit is made at a site: send it to the topic of one"));
    };
    let registered = ProductUnitRegisteredV1 {
        serial: p.serial.clone(),
        product_id: p.product_id.clone(),
        product_rev: p.product_rev.clone(),
        lot: p.lot.clone(),
        work_order_id: p.made_by,
        site_id,
        result: p.result,
        as_built: components(p.components.as_deref()),
        firmware: p.firmware.clone(),
        produced_at: p.produced_at.unwrap_or(ctx.occurred_at),
    };
    Ok(decided(ctx, role, vec![registered.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, code, data, system, unit};
    use mw_contract::{ErrorCode, UnitStatus};
    use serde_json::json;

    #[test]
    fn pu_01_a_unit_begins_its_life_once() {
        let mut w = World::new();
        let p = json!({"serial": "P-1", "product_id": "pump-200", "result": "good", "firmware": "1.0",
            "components": [{"item_id": "motor", "serial": "M-1"}]});
        let d = w.run(&system(), "unit.register", unit("P-1"), p.clone()).unwrap();
        assert_eq!(
            data(&d, 0)["as_built"][0],
            json!({"item_id": "motor", "serial": "M-1", "lot": null, "qty": "1", "position": null})
        );
        assert_eq!(data(&d, 0)["produced_at"], json!(w.now));
        assert_eq!(w.state(unit("P-1")).unit().unwrap().status, UnitStatus::InStock);
        assert_eq!(code(w.run(&system(), "unit.register", unit("P-1"), p)), ErrorCode::AlreadyExists);
        let scrap = json!({"serial": "P-2", "product_id": "pump-200", "result": "scrap"});
        w.run(&system(), "unit.register", unit("P-2"), scrap).unwrap();
        assert_eq!(w.state(unit("P-2")).unit().unwrap().status, UnitStatus::Scrapped);
    }
}
