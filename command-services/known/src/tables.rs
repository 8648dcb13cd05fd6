//! The tables, and what an event of production changes in them.
//!
//! Each event is folded by SQL alone, so nothing is cached and the same history gives the same
//! rows. Events that no decision asks about are not even decoded.

use mw_contract::commit::StoredEvent;
use mw_contract::event::parts::ComponentV1;
use mw_contract::ids::unit_id;
use mw_contract::{Event, EventType, ReferenceKind, UnitResult, UnitStatus, WorkOrderState, cloud};
use rusqlite::{Connection, OptionalExtension, params};

use crate::documents::Change;

/// Makes the tables.
pub const TABLES: &str = "
CREATE TABLE unit (
    id BLOB PRIMARY KEY, serial TEXT NOT NULL, product TEXT NOT NULL, lot TEXT, work_order BLOB, site TEXT,
    produced_at INTEGER, good INTEGER NOT NULL, status INTEGER NOT NULL, customer TEXT, warranty_start TEXT,
    warranty_end TEXT, warranty_basis INTEGER, warranty_void INTEGER NOT NULL DEFAULT 0, counter_name TEXT,
    counter_limit TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX unit_by_serial ON unit (serial);
CREATE TABLE component (
    unit BLOB NOT NULL, n INTEGER NOT NULL, item TEXT NOT NULL, serial TEXT NOT NULL, lot TEXT, place TEXT,
    PRIMARY KEY (unit, n)
) STRICT, WITHOUT ROWID;
CREATE TABLE recall (unit BLOB NOT NULL, campaign TEXT NOT NULL, PRIMARY KEY (unit, campaign)) STRICT, WITHOUT ROWID;
CREATE TABLE counter (
    owner BLOB NOT NULL, name TEXT NOT NULL, cumulative TEXT NOT NULL, PRIMARY KEY (owner, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE machine (
    id BLOB PRIMARY KEY, cell TEXT NOT NULL, class TEXT, site TEXT NOT NULL, line TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE work_order (
    id BLOB PRIMARY KEY, number TEXT NOT NULL, type INTEGER NOT NULL, state INTEGER NOT NULL, product TEXT NOT NULL,
    site TEXT NOT NULL, line TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE document (
    kind INTEGER NOT NULL, code TEXT NOT NULL, revision INTEGER NOT NULL, retired INTEGER NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (kind, code)
) STRICT, WITHOUT ROWID;
";

/// Their names, to be dropped.
pub const NAMES: [&str; 7] = ["unit", "component", "recall", "counter", "machine", "work_order", "document"];

/// Does any decision of after-service ask about it?
fn counts(kind: EventType) -> bool {
    use EventType as T;
    matches!(
        kind,
        T::WorkOrderCreated
            | T::WorkOrderPlanned
            | T::WorkOrderUnplanned
            | T::WorkOrderRescheduled
            | T::WorkOrderReleased
            | T::WorkOrderReleaseRevoked
            | T::WorkOrderStarted
            | T::WorkOrderHeld
            | T::WorkOrderResumed
            | T::WorkOrderCompleted
            | T::WorkOrderClosed
            | T::WorkOrderCancelled
            | T::WorkOrderReopened
            | T::UnitRegistered
            | T::ProductUnitRegistered
            | T::UnitShipped
            | T::WarrantyStarted
            | T::UnitInstalled
            | T::WarrantyExtended
            | T::WarrantyVoided
            | T::ReadingRecorded
            | T::UnitComponentChanged
            | T::UnitStatusChanged
            | T::UnitTransferred
            | T::UnitScrapped
            | T::UnitRecalled
            | T::EquipmentRegistered
            | T::CounterRecorded
            | T::ReferencePut
            | T::ReferenceRetired
    )
}

/// Writes what one event changes; what it does to reference data goes to `changes` too.
pub fn event(tx: &Connection, stored: &StoredEvent, changes: &mut Vec<Change>) -> rusqlite::Result<()> {
    if !stored.event.event_type.parse().is_ok_and(counts) {
        return Ok(());
    }
    let event = match cloud::decode(stored) {
        Ok(e) => e,
        // What a newer program wrote is not for this one; the one that replaces it builds the copy anew.
        Err(error) => {
            tracing::warn!(position = %stored.position, %error, "an event of production is passed over");
            return Ok(());
        }
    };
    let id = stored.event.stream.id;
    let id = id.as_bytes();
    let run = |sql: &str, p: &[&dyn rusqlite::ToSql]| tx.prepare_cached(sql)?.execute(p).map(|_| ());
    let status = |s: UnitStatus| run("UPDATE unit SET status = ?2 WHERE id = ?1", &[id, &s.number()]);
    let owner = |customer: &str| run("UPDATE unit SET customer = ?2 WHERE id = ?1", &[id, &customer]);
    let enters = |s: WorkOrderState| run("UPDATE work_order SET state = ?2 WHERE id = ?1", &[id, &s.number()]);
    let line = |line: &str| run("UPDATE work_order SET line = ?2 WHERE id = ?1", &[id, &line]);
    match &event {
        Event::WorkOrderCreated(e) => run(
            "INSERT OR REPLACE INTO work_order VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                id,
                e.number.as_str(),
                e.order_type.number(),
                WorkOrderState::Draft.number(),
                e.product_id.as_str(),
                e.site_id.as_str(),
                e.line_id.as_ref().map(|l| l.as_str()),
            ],
        ),
        Event::WorkOrderPlanned(e) => {
            line(e.line_id.as_str())?;
            enters(WorkOrderState::Planned)
        }
        Event::WorkOrderUnplanned(_) => enters(WorkOrderState::Draft),
        Event::WorkOrderRescheduled(e) => e.new.line_id.as_ref().map_or(Ok(()), |l| line(l.as_str())),
        Event::WorkOrderReleased(_) => enters(WorkOrderState::Released),
        Event::WorkOrderReleaseRevoked(_) => enters(WorkOrderState::Planned),
        Event::WorkOrderStarted(_) => enters(WorkOrderState::InProgress),
        Event::WorkOrderHeld(_) => enters(WorkOrderState::OnHold),
        Event::WorkOrderResumed(e) => enters(e.to_state),
        Event::WorkOrderCompleted(_) => enters(WorkOrderState::Completed),
        Event::WorkOrderClosed(_) => enters(WorkOrderState::Closed),
        Event::WorkOrderCancelled(_) => enters(WorkOrderState::Cancelled),
        Event::WorkOrderReopened(e) => enters(e.to_state),
        // The order says first that a unit was made; the unit's own stream follows when process managers
        // have seen it. Until then this is what is known.
        Event::UnitRegistered(e) => {
            let unit = unit_id(&e.product_id, &e.serial);
            let made = tx
                .prepare_cached(
                    "INSERT OR IGNORE INTO unit (id, serial, product, lot, work_order, site, produced_at, good, status)
                     VALUES (?1, ?2, ?3, ?4, ?5, (SELECT site FROM work_order WHERE id = ?5), ?6, ?7, ?8)",
                )?
                .execute(params![
                    unit.as_bytes(),
                    e.serial.as_str(),
                    e.product_id.as_str(),
                    e.lot.as_ref().map(|l| l.as_str()),
                    id,
                    e.produced_at.millis(),
                    e.result == UnitResult::Good,
                    first_status(e.result).number(),
                ])?;
            if made == 1 { built_in(tx, unit.as_bytes(), &e.components) } else { Ok(()) }
        }
        Event::ProductUnitRegistered(e) => {
            run(
                "INSERT OR REPLACE INTO unit (id, serial, product, lot, work_order, site, produced_at, good, status)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                params![
                    id,
                    e.serial.as_str(),
                    e.product_id.as_str(),
                    e.lot.as_ref().map(|l| l.as_str()),
                    e.work_order_id.as_ref().map(|w| w.as_bytes()),
                    e.site_id.as_str(),
                    e.produced_at.millis(),
                    e.result == UnitResult::Good,
                    first_status(e.result).number(),
                ],
            )?;
            run("DELETE FROM component WHERE unit = ?1", &[id])?;
            built_in(tx, id, &e.as_built)
        }
        Event::UnitShipped(e) => {
            owner(e.customer_id.as_str())?;
            status(UnitStatus::Shipped)
        }
        Event::WarrantyStarted(e) => run(
            "UPDATE unit SET warranty_start = ?2, warranty_end = ?3, warranty_basis = ?4, warranty_void = 0,
                counter_name = ?5, counter_limit = ?6 WHERE id = ?1",
            params![
                id,
                e.start.to_string(),
                e.end.to_string(),
                e.basis.number(),
                e.counter_name.as_ref().map(|c| c.as_str()),
                e.counter_limit.map(|n| n.to_string()),
            ],
        ),
        Event::UnitInstalled(_) => status(UnitStatus::Installed),
        Event::WarrantyExtended(e) => run(
            "UPDATE unit SET warranty_end = ?2, warranty_basis = ?3 WHERE id = ?1",
            params![id, e.new_end.to_string(), mw_contract::WarrantyBasis::Extension.number()],
        ),
        Event::WarrantyVoided(_) => run("UPDATE unit SET warranty_void = 1 WHERE id = ?1", &[id]),
        Event::ReadingRecorded(e) => read(tx, id, e.name.as_str(), &e.cumulative.to_string()),
        Event::CounterRecorded(e) => read(tx, id, e.name.as_str(), &e.cumulative.to_string()),
        Event::UnitComponentChanged(e) => {
            e.removed.iter().try_for_each(|c| taken_out(tx, id, c))?;
            built_in(tx, id, &e.added)
        }
        Event::UnitTransferred(e) => owner(e.new_customer.as_str()),
        Event::UnitStatusChanged(e) => status(e.new),
        Event::UnitScrapped(_) => status(UnitStatus::Scrapped),
        Event::UnitRecalled(e) => {
            status(UnitStatus::Recalled)?;
            run("INSERT OR IGNORE INTO recall VALUES (?1, ?2)", &[id, &e.campaign.as_str()])
        }
        Event::EquipmentRegistered(e) => run(
            "INSERT OR REPLACE INTO machine VALUES (?1, ?2, ?3, ?4, ?5)",
            params![id, e.code.as_str(), e.class.as_ref().map(|c| c.as_str()), e.site_id.as_str(), e.line_id.as_str()],
        ),
        Event::ReferencePut(e) => {
            run(
                "INSERT OR REPLACE INTO document VALUES (?1, ?2, ?3, 0, ?4)",
                params![e.kind.number(), e.code.as_str(), e.revision, e.document.0],
            )?;
            changes.push(Change { kind: e.kind, code: e.code.clone(), text: Some(e.document.0.clone()) });
            Ok(())
        }
        Event::ReferenceRetired(e) => {
            run(
                "UPDATE document SET retired = 1 WHERE kind = ?1 AND code = ?2",
                params![e.kind.number(), e.code.as_str()],
            )?;
            changes.push(Change { kind: e.kind, code: e.code.clone(), text: None });
            Ok(())
        }
        _ => Ok(()),
    }
}

/// What is scrap from the beginning never goes into stock.
const fn first_status(result: UnitResult) -> UnitStatus {
    match result {
        UnitResult::Scrap => UnitStatus::Scrapped,
        UnitResult::Good | UnitResult::Rework => UnitStatus::InStock,
    }
}

fn read(tx: &Connection, owner: &[u8; 16], name: &str, cumulative: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO counter VALUES (?1, ?2, ?3)")?
        .execute(params![owner, name, cumulative])?;
    Ok(())
}

/// Only what has a serial number of its own is asked about.
fn built_in(tx: &Connection, unit: &[u8; 16], added: &[ComponentV1]) -> rusqlite::Result<()> {
    for c in added {
        let Some(serial) = &c.serial else { continue };
        tx.prepare_cached(
            "INSERT INTO component SELECT ?1, COALESCE(max(n), 0) + 1, ?2, ?3, ?4, ?5 FROM component WHERE unit = ?1",
        )?
        .execute(params![
            unit,
            c.item_id.as_str(),
            serial.as_str(),
            c.lot.as_ref().map(|l| l.as_str()),
            c.position.as_ref().map(|p| p.as_str()),
        ])?;
    }
    Ok(())
}

/// Takes out the component that is meant. Where no serial, lot or place is named, any will do.
fn taken_out(tx: &Connection, unit: &[u8; 16], gone: &ComponentV1) -> rusqlite::Result<()> {
    let n: Option<i64> = tx
        .prepare_cached(
            "SELECT n FROM component WHERE unit = ?1 AND item = ?2 AND (?3 IS NULL OR serial = ?3)
                AND (?4 IS NULL OR lot = ?4) AND (?5 IS NULL OR place = ?5) ORDER BY n LIMIT 1",
        )?
        .query_row(
            params![
                unit,
                gone.item_id.as_str(),
                gone.serial.as_ref().map(|s| s.as_str()),
                gone.lot.as_ref().map(|l| l.as_str()),
                gone.position.as_ref().map(|p| p.as_str()),
            ],
            |r| r.get(0),
        )
        .optional()?;
    if let Some(n) = n {
        tx.prepare_cached("DELETE FROM component WHERE unit = ?1 AND n = ?2")?.execute(params![unit, n])?;
    }
    Ok(())
}

/// The documents that are in use.
pub fn documents(conn: &Connection) -> rusqlite::Result<Vec<Change>> {
    let mut found = conn.prepare("SELECT kind, code, text FROM document WHERE retired = 0")?;
    let rows = found.query_map([], |r| Ok((r.get(0)?, r.get::<_, String>(1)?, r.get(2)?)))?;
    let mut all = Vec::new();
    for row in rows {
        let (kind, code, text): (u8, String, String) = row?;
        if let (Some(kind), Ok(code)) = (ReferenceKind::from_number(kind), code.parse()) {
            all.push(Change { kind, code, text: Some(text) });
        }
    }
    Ok(all)
}
