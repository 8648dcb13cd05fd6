//! PM-7 for tickets: what a repair changes at a unit, its own stream learns: components, readings, where
//! it is, and whose the new one is when a unit is replaced.

use mw_contract::ids::unit_id;
use mw_contract::{
    AggregateId, AggregateKind, CommandType, Context, Date, ErrorCode, Event, Instant, ProductId, RemovedDisposition,
    SiteId, Text, UnitStatus,
};
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::manager::{Cx, Ended, Manager, Send, Wish};
use crate::units::{self, Unit};
use crate::{outbox, tickets};

/// The manager.
pub struct UnitCare;

const NAME: &str = "unit-care";

const TABLES: &str = "
CREATE TABLE exchange (
    event TEXT PRIMARY KEY, at INTEGER NOT NULL, ticket TEXT NOT NULL, site TEXT NOT NULL, number TEXT NOT NULL,
    old_unit TEXT, new_unit TEXT NOT NULL,
    customer TEXT, scrap INTEGER NOT NULL, warranty_end TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX exchange_new ON exchange (new_unit);
";

/// A unit that took another one's place.
struct Exchange {
    event: Uuid,
    at: Instant,
    ticket: AggregateId,
    site: SiteId,
    number: String,
    old_unit: Option<AggregateId>,
    new_unit: AggregateId,
    customer: Option<String>,
    scrap: bool,
    warranty_end: Date,
}

impl Exchange {
    fn wish(&self, step: &str, unit: AggregateId, command: CommandType, payload: Value) -> Wish {
        Wish {
            trigger: self.event,
            step: step.to_owned(),
            site: self.site.clone(),
            command,
            aggregate: unit,
            expected_version: None,
            payload,
        }
    }
}

fn exchanges(tx: &Connection, condition: &str, key: &str) -> rusqlite::Result<Vec<Exchange>> {
    let sql = format!(
        "SELECT event, at, site, number, old_unit, new_unit, customer, scrap, warranty_end, ticket FROM exchange
         WHERE {condition} = ?1 ORDER BY event"
    );
    let mut q = tx.prepare_cached(&sql)?;
    let rows = q.query_map([key], |r| {
        let text = |n| r.get::<_, String>(n);
        let ids = (text(0)?.parse(), SiteId::new(&text(2)?), text(5)?.parse(), text(8)?.parse(), text(9)?.parse());
        let (Ok(event), Ok(site), Ok(new_unit), Ok(warranty_end), Ok(ticket)) = ids else { return Ok(None) };
        Ok(Some(Exchange {
            event,
            at: Instant::clamped(r.get(1)?),
            ticket,
            site,
            number: text(3)?,
            old_unit: r.get::<_, Option<String>>(4)?.and_then(|u| u.parse().ok()),
            new_unit,
            customer: r.get(6)?,
            scrap: r.get(7)?,
            warranty_end,
        }))
    })?;
    Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// Says what an exchange asks of its units.
fn decide(tx: &Connection, x: &Exchange) -> rusqlite::Result<()> {
    let mut wishes = Vec::new();
    if let (Some(new), Some(customer)) = (units::unit(tx, x.new_unit)?, &x.customer) {
        wishes.extend(owner(x, &new, customer));
    }
    if let Some(old) = x.old_unit {
        wishes.push(if x.scrap {
            let payload = json!({"reason": "other", "note": format!("Replaced under ticket {}.", x.number)});
            x.wish("old", old, CommandType::UnitScrap, payload)
        } else {
            let payload = json!({"status": "returned", "ticket_id": x.ticket});
            x.wish("old", old, CommandType::UnitChangeStatus, payload)
        });
    }
    outbox::want(tx, NAME, &x.event.to_string(), &wishes)
}

/// It goes to the customer with the warranty that the ticket promised, unless it is there already or
/// went on since.
fn owner(x: &Exchange, new: &Unit, customer: &str) -> Option<Wish> {
    if matches!(new.status, UnitStatus::InStock | UnitStatus::Returned) {
        let payload = json!({"customer_id": customer, "shipped_at": x.at, "warranty_end": x.warranty_end});
        return Some(x.wish("ship", x.new_unit, CommandType::UnitShip, payload));
    }
    let elsewhere = new.customer.as_deref().is_some_and(|c| c != customer);
    let moved_since = new.owned_since.is_some_and(|t| t > x.at);
    (elsewhere && !moved_since && new.status != UnitStatus::Scrapped)
        .then(|| x.wish("transfer", x.new_unit, CommandType::UnitTransfer, json!({"customer_id": customer})))
}

fn send(cx: &Cx<'_>, step: &str, unit: AggregateId, command: CommandType, payload: Value) -> rusqlite::Result<()> {
    let Some(site) = tickets::ticket(cx.tx, cx.aggregate())?.map(|t| t.site) else { return Ok(()) };
    let send = Send {
        trigger: cx.id(),
        step,
        site: &site,
        command,
        aggregate: unit,
        expected_version: None,
        occurred_at: Some(cx.at()),
        payload,
    };
    cx.send(NAME, &send)
}

fn status(cx: &Cx<'_>, step: &str, unit: AggregateId, status: UnitStatus) -> rusqlite::Result<()> {
    let payload = json!({"status": status, "ticket_id": cx.aggregate()});
    send(cx, step, unit, CommandType::UnitChangeStatus, payload)
}

fn unit_of(product: Option<&ProductId>, serial: Option<&Text<60>>) -> Option<AggregateId> {
    Some(unit_id(product?, serial?))
}

impl Manager for UnitCare {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static str {
        TABLES
    }

    fn contexts(&self) -> &'static [Context] {
        &[Context::Production, Context::AfterService]
    }

    fn on(&self, cx: &Cx<'_>, event: &Event) -> rusqlite::Result<()> {
        let tx = cx.tx;
        match event {
            Event::PartsConsumed(e) => {
                let Some(unit) = unit_of(e.product_id.as_ref(), e.serial.as_ref()) else { return Ok(()) };
                for (n, l) in e.lines.iter().enumerate() {
                    if l.new_serial.is_none() && l.removed_serial.is_none() {
                        continue;
                    }
                    let component = |serial: &Option<Text<60>>, lot: Option<&Text<40>>| match serial {
                        Some(s) => json!([{"item_id": l.item_id, "serial": s, "lot": lot}]),
                        None => json!([]),
                    };
                    let payload = json!({
                        "removed": component(&l.removed_serial, None),
                        "added": component(&l.new_serial, l.lot.as_ref()),
                        "ticket_id": cx.aggregate(),
                    });
                    send(cx, &format!("component:{n}"), unit, CommandType::UnitChangeComponent, payload)?;
                }
                Ok(())
            }
            Event::TicketReadingRecorded(e) => {
                let payload = json!({"name": e.name, "value": e.value, "unit": e.unit, "reset": e.reset});
                match (unit_of(e.product_id.as_ref(), e.serial.as_ref()), e.equipment_id) {
                    (Some(unit), _) => send(cx, "reading", unit, CommandType::UnitRecordReading, payload),
                    (None, Some(machine)) => send(cx, "reading", machine, CommandType::EquipmentRecordCounter, payload),
                    (None, None) => Ok(()),
                }
            }
            Event::UnitReplaced(e) => {
                let Some(t) = tickets::ticket(tx, cx.aggregate())? else { return Ok(()) };
                tx.prepare_cached("INSERT OR IGNORE INTO exchange VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")?
                    .execute(params![
                    cx.id().to_string(),
                    cx.at().millis(),
                    t.id.to_string(),
                    t.site.as_str(),
                    t.number,
                    unit_of(e.old_product_id.as_ref(), Some(&e.old_serial)).map(|u| u.to_string()),
                    unit_id(&e.new_product_id, &e.new_serial).to_string(),
                    e.customer_id.as_ref().map(|c| c.as_str()),
                    e.old_disposition == RemovedDisposition::Scrap,
                    e.warranty_end.to_string()
                ])?;
                exchanges(tx, "event", &cx.id().to_string())?.iter().try_for_each(|x| decide(tx, x))
            }
            Event::ReturnReceived(e) if !e.mismatch => match unit_of(e.product_id.as_ref(), Some(&e.serial)) {
                Some(unit) => status(cx, "received", unit, UnitStatus::InRepair),
                None => Ok(()),
            },
            Event::UnitShippedBack(e) => {
                let Some(unit) = unit_of(e.product_id.as_ref(), Some(&e.serial)) else { return Ok(()) };
                let before = units::unit(tx, unit)?.and_then(|u| u.before_repair);
                let back = before.filter(|s| *s == UnitStatus::Shipped).unwrap_or(UnitStatus::Installed);
                status(cx, "back", unit, back)
            }
            _ if cx.event.event.stream.kind == AggregateKind::Unit => {
                exchanges(tx, "new_unit", &cx.aggregate().to_string())?.iter().try_for_each(|x| decide(tx, x))
            }
            _ => Ok(()),
        }
    }

    fn ended(&self, e: &Ended<'_>) -> rusqlite::Result<bool> {
        // Anything else is a unit that is not as its ticket says: somebody must look.
        Ok(matches!(e.refused, None | Some(ErrorCode::AlreadyExists)))
    }
}
