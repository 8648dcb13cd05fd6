//! Parts that tickets used (RM-20): what they cost, who bears it, and which parts that were taken out
//! have yet to come back.

use mw_contract::commit::StoredEvent;
use mw_contract::*;
use mw_projection::ApplyError;
use mw_views::columns::{Kind, field, sort_key};
use mw_views::read::page::Direction;
use mw_views::read::table::{Own, SITE, Table, Takes, narrow, words};
use rusqlite::types::Value as Sqlite;
use rusqlite::{Connection, params};

/// The tables.
pub(crate) const TABLES: &str = "
    CREATE TABLE case_name (
        id BLOB PRIMARY KEY, number TEXT NOT NULL, site TEXT NOT NULL, customer TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE part_use (
        position INTEGER NOT NULL, n INTEGER NOT NULL, ticket BLOB NOT NULL, at INTEGER NOT NULL,
        technician TEXT NOT NULL, serial TEXT, item TEXT NOT NULL, qty TEXT NOT NULL, lot TEXT, new_serial TEXT,
        removed_serial TEXT, disposition TEXT, source TEXT NOT NULL, coverage TEXT NOT NULL, unit_cost TEXT,
        cost TEXT, currency TEXT, core_back_at INTEGER, PRIMARY KEY (position, n)
    ) STRICT, WITHOUT ROWID;";

/// What queries, and the rows of returns, need.
pub(crate) const INDEXES: &str = "
    CREATE INDEX part_use_at ON part_use (at);
    CREATE INDEX part_use_item ON part_use (item, at);
    CREATE INDEX part_use_ticket ON part_use (ticket);";

/// Writes what one event of a ticket changes.
pub(crate) fn event(
    tx: &Connection,
    commit: &StoredCommit,
    stored: &StoredEvent,
    event: &Event,
) -> Result<(), ApplyError> {
    let id = stored.event.stream.id;
    let at = stored.event.occurred_at.millis();
    match event {
        Event::TicketOpened(e) => {
            tx.prepare_cached("INSERT INTO case_name VALUES (?1, ?2, ?3, ?4)")?.execute(params![
                id.as_bytes(),
                e.number.as_str(),
                e.site_id.as_str(),
                e.customer_id.as_ref().map(|c| c.as_str()),
            ])?;
        }
        Event::PartsConsumed(e) => {
            for (n, l) in e.lines.iter().enumerate() {
                let cost = l.unit_cost.and_then(|c| c.amount.decimal().checked_mul(l.qty.decimal()));
                tx.prepare_cached(
                    "INSERT INTO part_use VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,NULL)",
                )?
                .execute(params![
                    stored.position.0 as i64,
                    n as i64,
                    id.as_bytes(),
                    at,
                    commit.head.account.as_str(),
                    e.serial.as_ref().map(|s| s.as_str()),
                    l.item_id.as_str(),
                    sort_key(l.qty.decimal()),
                    l.lot.as_ref().map(|s| s.as_str()),
                    l.new_serial.as_ref().map(|s| s.as_str()),
                    l.removed_serial.as_ref().map(|s| s.as_str()),
                    l.removed_disposition.map(|d| d.as_str()),
                    l.source.as_str(),
                    l.coverage.as_str(),
                    l.unit_cost.map(|c| sort_key(c.amount.decimal())),
                    cost.map(|c| sort_key(c.round_dp(6))),
                    l.unit_cost.map(|c| c.currency.to_string()),
                ])?;
            }
        }
        Event::PartsReturned(e) => {
            // What stock kept and nobody used is not the part that was taken out.
            for l in e.lines.iter().filter(|l| l.reservation_id.is_none()) {
                // The one of that serial number; where none is told, the first of the item.
                tx.prepare_cached(
                    "UPDATE part_use SET core_back_at = ?4 WHERE (position, n) = (
                        SELECT position, n FROM part_use WHERE ticket = ?1 AND item = ?2 AND core_back_at IS NULL
                            AND disposition IN ('return', 'refurbish') AND (?3 IS NULL OR removed_serial = ?3)
                        ORDER BY position, n LIMIT 1)",
                )?
                .execute(params![
                    id.as_bytes(),
                    l.item_id.as_str(),
                    l.serial.as_ref().map(|s| s.as_str()),
                    at
                ])?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn coverages() -> Vec<(String, Sqlite)> {
    words(Coverage::ALL.iter().map(|c| c.as_str()))
}

const OUTSTANDING: &str = "COALESCE(u.disposition IN ('return', 'refurbish') AND u.core_back_at IS NULL, 0)";

/// `GET /v1/parts-usage`: what tickets used; production's view has what orders used, in the same shape.
pub static PARTS_USAGE: Table = Table {
    name: "parts-usage",
    from: "part_use u JOIN case_name t ON t.id = u.ticket",
    only: "1",
    site: "t.site",
    own: Own { account: Some("u.technician"), customer: None, internal: Some("t.customer IS NULL") },
    fields: &[
        field("at", "u.at", Kind::Instant, false),
        field("item", "u.item", Kind::Text, false),
        field("qty", "u.qty", Kind::Number, false),
        field("unit_cost", "u.unit_cost", Kind::Number, true),
        field("cost", "u.cost", Kind::Number, true),
        field("currency", "u.currency", Kind::Text, true),
        field("ticket_id", "u.ticket", Kind::Uuid, true),
        field("work_order_id", "NULL", Kind::Uuid, true),
        field("number", "t.number", Kind::Text, false),
        field("site", "t.site", Kind::Text, false),
        field("serial", "u.serial", Kind::Text, true),
        field("technician", "u.technician", Kind::Text, false),
        field("coverage", "u.coverage", Kind::Text, true),
        field("covered", "(u.coverage <> 'chargeable')", Kind::Bool, true),
        field("source", "u.source", Kind::Text, false),
        field("lot", "u.lot", Kind::Text, true),
        field("new_serial", "u.new_serial", Kind::Text, true),
        field("removed_serial", "u.removed_serial", Kind::Text, true),
        field("removed_disposition", "u.disposition", Kind::Text, true),
        field("core_outstanding", OUTSTANDING, Kind::Bool, false),
        field("core_back_at", "u.core_back_at", Kind::Instant, true),
    ],
    filters: &[
        narrow(
            "q",
            "lower(t.number || ' ' || COALESCE(u.serial, ''))",
            Takes::Contains,
            "text in the number or the serial number",
        ),
        narrow("from", "u.at", Takes::From, "used then or later"),
        narrow("to", "u.at", Takes::To, "used then or earlier"),
        narrow("item", "u.item", Takes::Codes, "items"),
        narrow("technician", "u.technician", Takes::Codes, "accounts that used them"),
        narrow("site", "t.site", SITE, "sites"),
        narrow("coverage", "u.coverage", Takes::Words(coverages), "who bears the cost"),
        narrow("core_outstanding", OUTSTANDING, Takes::Flag, "the part that was taken out has yet to come back"),
    ],
    order: (&["u.at"], Direction::Descending),
    key: &["u.position", "u.n", "'after-service'"],
};
