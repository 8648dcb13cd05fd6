//! What several managers know of produced units. Kept before a manager sees the event, from the log of
//! production alone.

use mw_contract::{AggregateId, AggregateKind, Event, Instant, UnitResult, UnitStatus};
use rusqlite::{Connection, OptionalExtension, params};

use crate::manager::Cx;

/// The tables.
pub const TABLES: &str = "
CREATE TABLE unit (
    id TEXT PRIMARY KEY,
    serial TEXT NOT NULL,
    product TEXT NOT NULL,
    site TEXT NOT NULL,
    work_order TEXT,
    good INTEGER NOT NULL,
    status TEXT NOT NULL,
    customer TEXT,
    owned_since INTEGER,
    before_repair TEXT,
    produced_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX unit_free ON unit (product, site) WHERE status = 'in_stock' AND good = 1;
";

/// A unit.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Its serial number.
    pub serial: String,
    /// Its product.
    pub product: String,
    /// Is it in stock, with a customer, or gone?
    pub status: UnitStatus,
    /// What it was before it came in for repair.
    pub before_repair: Option<UnitStatus>,
    /// Whose it is.
    pub customer: Option<String>,
    /// Since when.
    pub owned_since: Option<Instant>,
}

/// The unit of that id.
pub fn unit(tx: &Connection, id: AggregateId) -> rusqlite::Result<Option<Unit>> {
    let found: Option<(String, String, String, Option<String>, Option<String>, Option<i64>)> = tx
        .prepare_cached("SELECT serial, product, status, before_repair, customer, owned_since FROM unit WHERE id = ?1")?
        .query_row([id.to_string()], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?)))
        .optional()?;
    Ok(found.and_then(|(serial, product, status, before, customer, since)| {
        Some(Unit {
            serial,
            product,
            status: status.parse().ok()?,
            before_repair: before.and_then(|b| b.parse().ok()),
            customer,
            owned_since: since.map(Instant::clamped),
        })
    }))
}

/// The serial numbers of the good units of a product that a site has, the oldest first; not those that
/// were made for somebody.
pub fn free(tx: &Connection, product: &str, site: &str) -> rusqlite::Result<Vec<String>> {
    tx.prepare_cached(
        "SELECT serial FROM unit u WHERE product = ?1 AND site = ?2 AND status = 'in_stock' AND good = 1
            AND NOT EXISTS (SELECT 1 FROM ticket_order o WHERE o.id = u.work_order)
         ORDER BY produced_at, serial",
    )?
    .query_map([product, site], |r| r.get(0))?
    .collect()
}

/// Keeps what an event says.
pub fn on(cx: &Cx<'_>, event: &Event) -> rusqlite::Result<()> {
    if cx.event.event.stream.kind != AggregateKind::Unit {
        return Ok(());
    }
    let id = cx.aggregate().to_string();
    let set = |column: &str, value: &str| {
        cx.tx
            .prepare_cached(&format!("UPDATE unit SET {column} = ?2 WHERE id = ?1"))?
            .execute([id.as_str(), value])
            .map(drop)
    };
    let owner = |customer: &str, at: Instant| {
        cx.tx
            .prepare_cached("UPDATE unit SET customer = ?2, owned_since = ?3 WHERE id = ?1")?
            .execute(params![id, customer, at.millis()])
            .map(drop)
    };
    match event {
        Event::ProductUnitRegistered(e) => {
            let status = if e.result == UnitResult::Scrap { UnitStatus::Scrapped } else { UnitStatus::InStock };
            cx.tx
                .prepare_cached(
                    "INSERT OR REPLACE INTO unit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, NULL, NULL, NULL, ?8)",
                )?
                .execute(params![
                    id,
                    e.serial.as_str(),
                    e.product_id.as_str(),
                    e.site_id.as_str(),
                    e.work_order_id.map(|o| o.to_string()),
                    e.result == UnitResult::Good,
                    status.as_str(),
                    e.produced_at.millis()
                ])
                .map(drop)
        }
        Event::UnitShipped(e) => {
            owner(e.customer_id.as_str(), cx.at())?;
            set("status", UnitStatus::Shipped.as_str())
        }
        Event::UnitInstalled(_) => set("status", UnitStatus::Installed.as_str()),
        Event::UnitTransferred(e) => owner(e.new_customer.as_str(), cx.at()),
        Event::UnitScrapped(_) => set("status", UnitStatus::Scrapped.as_str()),
        Event::UnitRecalled(_) => set("status", UnitStatus::Recalled.as_str()),
        Event::UnitStatusChanged(e) => {
            if e.new == UnitStatus::InRepair {
                set("before_repair", e.old.as_str())?;
            }
            set("status", e.new.as_str())
        }
        _ => Ok(()),
    }
}
