//! PM-7: what orders make becomes a unit with a life of its own.

use mw_contract::ids::unit_id;
use mw_contract::{CommandType, Event};
use serde_json::{Value, json};

use crate::facts;
use crate::manager::{Cx, Manager, Send};

/// The manager.
pub struct Units;

const NAME: &str = "unit-life";

impl Manager for Units {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static str {
        ""
    }

    fn on(&self, cx: &Cx<'_>, event: &Event) -> rusqlite::Result<()> {
        let data = event.data();
        let (command, aggregate, payload) = match event {
            Event::UnitRegistered(e) => {
                let order = facts::order(cx.tx, cx.aggregate())?;
                let payload = json!({
                    "serial": e.serial,
                    "product_id": e.product_id,
                    "product_rev": order.map_or(Value::Null, |o| o.document["product_rev"].clone()),
                    "lot": e.lot,
                    "made_by": cx.aggregate(),
                    "result": e.result,
                    "components": data["components"],
                    "firmware": e.firmware,
                    "produced_at": e.produced_at,
                });
                (CommandType::UnitRegister, unit_id(&e.product_id, &e.serial), payload)
            }
            Event::UnitGenealogyAmended(e) => {
                let payload = json!({
                    "serial": e.serial,
                    "product_id": e.product_id,
                    "removed": data["removed"],
                    "added": data["added"],
                });
                (CommandType::UnitChangeComponent, unit_id(&e.product_id, &e.serial), payload)
            }
            _ => return Ok(()),
        };
        let Some(site) = &cx.commit.head.site else { return Ok(()) };
        let send = Send {
            trigger: cx.id(),
            step: "unit",
            site,
            command,
            aggregate,
            expected_version: None,
            occurred_at: None,
            payload,
        };
        cx.send(NAME, &send)
    }
}
