//! PU-02 `unit.ship` and PU-03 `unit.install`: to the customer, and into use. Both begin a
//! warranty.

use mw_contract::command::unit::{InstallUnit, ShipUnit};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::unit::{UnitInstalledV1, UnitShippedV1, WarrantyStartedV1};
use mw_contract::{CommandType, Date, Event, Rejection, UnitResult, UnitStatus, WarrantyBasis};

use super::{ProductUnit, decided, in_status, unit};
use crate::facts::Production;
use crate::rules::{Holds, authorise, settings};
use crate::state::ProductionState;

/// Decides PU-02. Only what is good goes out.
pub fn ship(
    facts: &Production,
    state: &ProductionState,
    p: &ShipUnit,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let u = unit(state, ctx)?;
    in_status(u, CommandType::UnitShip, &[UnitStatus::InStock, UnitStatus::Returned])?;
    if u.result != UnitResult::Good {
        let message = format!("{} was made with result {}: only good units are shipped", u.serial, u.result);
        return Err(Rejection::guard("PU-02", message).with("result", u.result.as_str()));
    }
    let shipped_at = p.shipped_at.unwrap_or(ctx.occurred_at);
    if shipped_at.since(ctx.received_at) > 0 {
        return Err(Rejection::invalid("payload.shipped_at", "lies in the future"));
    }
    let shipped = UnitShippedV1 {
        serial: u.serial.clone(),
        product_id: u.product_id.clone(),
        customer_id: p.customer_id.clone(),
        shipped_at,
    };
    let mut events: Vec<Event> = vec![shipped.into()];
    let day = shipped_at.date_in(zone(facts, ctx));
    if p.warranty_end.is_some_and(|end| end < day) {
        return Err(Rejection::invalid("payload.warranty_end", format!("is before the unit was shipped, {day}")));
    }
    let started = warranty(facts, u, day, WarrantyBasis::ShipDate);
    events.extend(match p.warranty_end {
        // It takes the place of another unit, and that one's warranty, whatever the product has.
        Some(end) => Some(until(u, day, end)),
        None => started,
    });
    Ok(decided(ctx, role, events))
}

/// Decides PU-03. An installation that is registered soon enough after the shipping begins the
/// warranty anew.
pub fn install(
    facts: &Production,
    state: &ProductionState,
    p: &InstallUnit,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let u = unit(state, ctx)?;
    // A customer that reads it at all owns it.
    let role = authorise(ctx, Holds { own: ctx.actor.customer_id.is_some(), ..Holds::default() })?;
    in_status(u, CommandType::UnitInstall, &[UnitStatus::Shipped])?;
    let zone = zone(facts, ctx);
    let today = ctx.received_at.date_in(zone);
    if p.installed_on > today {
        return Err(Rejection::invalid("payload.installed_on", "lies in the future"));
    }
    let shipped_on = u.shipped_at.map(|t| t.date_in(zone));
    if let Some(day) = shipped_on.filter(|day| p.installed_on < *day) {
        let message = format!("it was shipped on {day} and can't have been installed before");
        return Err(Rejection::guard("PU-03", message).at("payload.installed_on"));
    }
    let installed = UnitInstalledV1 {
        serial: u.serial.clone(),
        installed_on: p.installed_on,
        location: p.site.clone().or_else(|| p.location.clone()),
    };
    let mut events: Vec<Event> = vec![installed.into()];
    let window = i32::from(settings(facts, ctx).warranty_registration_days);
    let in_time = shipped_on.is_some_and(|day| today.days_since(day) <= window);
    if in_time && u.warranty.is_none_or(|w| !w.void) {
        events.extend(warranty(facts, u, p.installed_on, WarrantyBasis::Installation));
    }
    Ok(decided(ctx, role, events))
}

fn zone<'a>(facts: &'a Production, ctx: &DecisionContext<'_>) -> &'a str {
    ctx.site.map_or("UTC", |s| facts.time_zone(s))
}

/// A warranty with a last day of its own.
fn until(u: &ProductUnit, start: Date, end: Date) -> Event {
    let basis = WarrantyBasis::ShipDate;
    WarrantyStartedV1 { serial: u.serial.clone(), start, end, basis, counter_name: None, counter_limit: None }.into()
}

/// The warranty that begins on a day, where the product has one. Both days count: of 24 months
/// from 1 March the last day is 1 March.
fn warranty(facts: &Production, u: &ProductUnit, start: Date, basis: WarrantyBasis) -> Option<Event> {
    let product = facts.product(&u.product_id)?;
    let months = product.warranty_months.filter(|m| *m > 0)?;
    let counter = product.warranty_counter.as_ref();
    let started = WarrantyStartedV1 {
        serial: u.serial.clone(),
        start,
        end: start.plus_months(months),
        basis,
        counter_name: counter.map(|c| c.name.clone()),
        counter_limit: counter.map(|c| c.limit),
    };
    Some(started.into())
}

#[cfg(test)]
mod tests {
    use crate::fixture::{HOUR, World, actor, code, data, detail, names, rule, system, unit};
    use mw_contract::decide::{Actor, Allowance};
    use mw_contract::{ErrorCode, Role};
    use serde_json::json;

    const DAY: i64 = 24 * HOUR;

    fn dispatcher() -> Actor {
        actor("dispatcher-1", &[(Role::Dispatcher, Allowance::Yes)])
    }

    fn customer(of: &str) -> Actor {
        Actor { customer_id: Some(of.parse().unwrap()), ..actor("customer-1", &[(Role::Customer, Allowance::Own)]) }
    }

    #[test]
    fn pu_02_a_unit_that_takes_another_ones_place_takes_its_warranty() {
        let mut w = World::new();
        let u = w.unit("P-1");
        let ship = |end: &str| json!({"customer_id": "acme", "warranty_end": end});
        assert_eq!(code(w.run(&system(), "unit.ship", u, ship("2026-03-01"))), ErrorCode::Validation);
        let d = w.run(&system(), "unit.ship", u, ship("2026-05-31")).unwrap();
        assert_eq!((&data(&d, 1)["start"], &data(&d, 1)["end"]), (&json!("2026-03-02"), &json!("2026-05-31")));
    }

    #[test]
    fn pu_02_what_is_good_goes_out_once_and_begins_its_warranty() {
        let mut w = World::new();
        let u = w.unit("P-1");
        let p = json!({"customer_id": "acme"});
        let d = w.run(&dispatcher(), "unit.ship", u, p.clone()).unwrap();
        assert_eq!(names(&d), ["UnitShipped", "WarrantyStarted"]);
        let x = data(&d, 1);
        assert_eq!(
            (&x["start"], &x["end"], &x["basis"]),
            (&json!("2026-03-02"), &json!("2028-03-02"), &json!("ship_date"))
        );
        assert_eq!(code(w.run(&dispatcher(), "unit.ship", u, p.clone())), ErrorCode::InvalidState);
        let rework = json!({"serial": "P-2", "product_id": "pump-200", "result": "rework"});
        w.run(&system(), "unit.register", unit("P-2"), rework).unwrap();
        assert_eq!(rule(w.run(&dispatcher(), "unit.ship", unit("P-2"), p)), "PU-02");
        let u = w.unit("P-3");
        let later = json!({"customer_id": "acme", "shipped_at": w.now.plus_millis(HOUR)});
        assert_eq!(code(w.run(&dispatcher(), "unit.ship", u, later)), ErrorCode::Validation);
    }

    #[test]
    fn pu_02_a_product_without_a_warranty_begins_none() {
        let mut w = World::new();
        w.put("product", "pump-200", json!({"name": "Pump", "uom": "H87", "tracking": "serial"})).unwrap();
        let u = w.unit("P-1");
        let d = w.run(&dispatcher(), "unit.ship", u, json!({"customer_id": "acme"})).unwrap();
        assert_eq!(names(&d), ["UnitShipped"]);
    }

    #[test]
    fn pu_03_an_installation_in_time_begins_the_warranty_anew() {
        for (days, events) in [(50, 2), (90, 2), (91, 1)] {
            let mut w = World::new();
            let u = w.unit("P-1");
            w.run(&dispatcher(), "unit.ship", u, json!({"customer_id": "acme"})).unwrap();
            w.later(days * DAY);
            let day = w.now.date_in("Europe/Berlin");
            let d = w.run(&customer("acme"), "unit.install", u, json!({"installed_on": day})).unwrap();
            assert_eq!(d.events.len(), events, "{days}");
            if events == 2 {
                let x = data(&d, 1);
                assert_eq!((&x["start"], &x["basis"]), (&json!(day), &json!("installation")));
                assert_eq!(x["end"], json!(day.plus_months(24)));
            }
        }
    }

    #[test]
    fn pu_03_it_was_shipped_before_and_is_the_senders_own() {
        let mut w = World::new();
        let u = w.unit("P-1");
        let on = |day: &str| json!({"installed_on": day});
        assert_eq!(detail(w.run(&dispatcher(), "unit.install", u, on("2026-03-02")), "state"), json!("in_stock"));
        w.run(&dispatcher(), "unit.ship", u, json!({"customer_id": "acme"})).unwrap();
        assert_eq!(rule(w.run(&dispatcher(), "unit.install", u, on("2026-03-01"))), "PU-03");
        assert_eq!(code(w.run(&dispatcher(), "unit.install", u, on("2026-03-03"))), ErrorCode::Validation);
        assert_eq!(code(w.run(&customer("other"), "unit.install", u, on("2026-03-02"))), ErrorCode::NotFound);
        w.run(&customer("acme"), "unit.install", u, on("2026-03-02")).unwrap();
        assert_eq!(code(w.run(&customer("acme"), "unit.install", u, on("2026-03-02"))), ErrorCode::InvalidState);
    }

    #[test]
    fn pu_02_the_day_is_that_of_the_site() {
        let mut w = World::new();
        let u = w.unit("P-1");
        // Half past eleven at night in UTC is the next day in Berlin.
        w.later(14 * HOUR + HOUR / 2);
        let d = w.run(&dispatcher(), "unit.ship", u, json!({"customer_id": "acme"})).unwrap();
        assert_eq!(data(&d, 1)["start"], "2026-03-03");
    }

    #[test]
    fn pu_02_a_warranty_of_no_months_is_none() {
        let mut w = World::new();
        let pump = json!({"name": "Pump", "uom": "H87", "tracking": "serial", "warranty_months": 0});
        w.put("product", "pump-200", pump).unwrap();
        let u = w.unit("P-1");
        assert_eq!(
            names(&w.run(&dispatcher(), "unit.ship", u, json!({"customer_id": "acme"})).unwrap()),
            ["UnitShipped"]
        );
    }
}
