//! Rows of machines, stock and produced units, in the file of the orders so that they can be read
//! together. Owns what changes them; each event is folded by SQL alone, so nothing is cached.

use mw_contract::commit::StoredEvent;
use mw_contract::event::parts::ComponentV1;
use mw_contract::event::work_order::UnitGenealogyAmendedV1;
use mw_contract::ids::unit_id;
use mw_contract::{AggregateKind, Event, MaterialCondition, Qty, Role, Sealed, StoredCommit, UnitResult, UnitStatus};
use mw_projection::ApplyError;
use rusqlite::{Connection, OptionalExtension, params};

use crate::columns::{plain_number, sort_key};

/// Makes the tables.
pub fn create_tables(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(
        "CREATE TABLE equipment (
            id BLOB PRIMARY KEY, version INTEGER NOT NULL, site TEXT NOT NULL, area TEXT, line TEXT NOT NULL,
            cell TEXT NOT NULL, name TEXT, class TEXT, state TEXT, since INTEGER, maintenance INTEGER NOT NULL,
            maintenance_reason TEXT, maintenance_until INTEGER, last_signal INTEGER
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE alarm (
            equipment BLOB NOT NULL, id BLOB NOT NULL, code TEXT NOT NULL, severity INTEGER NOT NULL,
            raised_at INTEGER NOT NULL, count INTEGER NOT NULL, acknowledged_by TEXT, cleared_at INTEGER,
            text_key BLOB, text BLOB, PRIMARY KEY (equipment, id)
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE counter (
            owner BLOB NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, cumulative TEXT NOT NULL, unit TEXT,
            at INTEGER NOT NULL, PRIMARY KEY (owner, name)
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE downtime (
            id BLOB PRIMARY KEY, equipment BLOB NOT NULL, site TEXT NOT NULL, line TEXT NOT NULL, cell TEXT NOT NULL,
            started_at INTEGER NOT NULL, ended_at INTEGER, reason TEXT, category TEXT, planned INTEGER NOT NULL,
            work_order BLOB, op INTEGER, reported_by TEXT NOT NULL, classified_by TEXT
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE stock (
            id BLOB PRIMARY KEY, version INTEGER NOT NULL, site TEXT NOT NULL, item TEXT NOT NULL,
            location TEXT NOT NULL, lot TEXT, on_hand TEXT NOT NULL, reserved TEXT NOT NULL, available TEXT NOT NULL,
            pieces INTEGER NOT NULL
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE kept (
            stock BLOB NOT NULL, id BLOB NOT NULL, qty TEXT NOT NULL, work_order BLOB, PRIMARY KEY (stock, id)
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE piece (stock BLOB NOT NULL, serial TEXT NOT NULL, PRIMARY KEY (stock, serial))
            STRICT, WITHOUT ROWID;
         CREATE TABLE product_unit (
            id BLOB PRIMARY KEY, version INTEGER NOT NULL, site TEXT NOT NULL, serial TEXT NOT NULL,
            product TEXT NOT NULL, rev TEXT, lot TEXT, work_order BLOB, result TEXT NOT NULL, status TEXT NOT NULL,
            customer TEXT, shipped_at INTEGER, installed_on TEXT, location TEXT, warranty_start TEXT,
            warranty_end TEXT, warranty_basis TEXT, warranty_void INTEGER NOT NULL, firmware TEXT,
            produced_at INTEGER NOT NULL, campaigns TEXT NOT NULL
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE component (
            unit BLOB NOT NULL, n INTEGER NOT NULL, item TEXT NOT NULL, serial TEXT, lot TEXT, qty TEXT NOT NULL,
            place TEXT, built INTEGER NOT NULL, added_at INTEGER NOT NULL, removed_at INTEGER,
            PRIMARY KEY (unit, n)
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE amendment (
            unit BLOB NOT NULL, position INTEGER NOT NULL, at INTEGER NOT NULL, account TEXT NOT NULL,
            reason TEXT NOT NULL, removed TEXT NOT NULL, added TEXT NOT NULL, applied INTEGER NOT NULL,
            PRIMARY KEY (unit, position)
         ) STRICT, WITHOUT ROWID;",
    )
}

/// Makes what queries, and the rows of other streams, need.
pub fn create_indexes(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(
        "CREATE INDEX downtime_start ON downtime (started_at);
         CREATE INDEX downtime_open ON downtime (equipment) WHERE ended_at IS NULL;
         CREATE INDEX downtime_order ON downtime (work_order) WHERE work_order IS NOT NULL;
         CREATE INDEX unit_by_serial ON product_unit (serial);
         CREATE INDEX unit_by_lot ON product_unit (product, lot) WHERE lot IS NOT NULL;
         CREATE INDEX component_serial ON component (serial) WHERE serial IS NOT NULL;
         CREATE INDEX component_lot ON component (lot) WHERE lot IS NOT NULL;",
    )
}

/// Writes what one event of a machine, a stock item or a unit changes.
pub fn event(tx: &Connection, commit: &StoredCommit, stored: &StoredEvent, event: &Event) -> Result<(), ApplyError> {
    match stored.event.stream.kind {
        AggregateKind::Equipment => equipment(tx, commit, stored, event),
        AggregateKind::Stock => stock(tx, stored, event),
        AggregateKind::Unit => unit(tx, stored, event),
        _ => Ok(()),
    }
}

fn equipment(tx: &Connection, commit: &StoredCommit, stored: &StoredEvent, event: &Event) -> Result<(), ApplyError> {
    let id = stored.event.stream.id;
    let id = id.as_bytes();
    let (at, version) = (stored.event.occurred_at.millis(), stored.event.version.0 as i64);
    let who = commit.head.account.as_str();
    if let Event::EquipmentRegistered(e) = event {
        tx.prepare_cached("INSERT INTO equipment VALUES (?1,?2,?3,?4,?5,?6,?7,?8,NULL,NULL,0,NULL,NULL,NULL)")?
            .execute(params![
                id,
                version,
                e.site_id.as_str(),
                e.area.as_ref().map(|a| a.as_str()),
                e.line_id.as_str(),
                e.code.as_str(),
                e.name.as_ref().map(|n| n.as_str()),
                e.class.as_ref().map(|c| c.as_str()),
            ])?;
        return Ok(());
    }
    // What people report is no sign of the machine's own.
    let sign = (commit.head.role == Some(Role::Device)).then_some(at);
    tx.prepare_cached(
        "UPDATE equipment SET version = ?2, last_signal = COALESCE(max(COALESCE(last_signal, 0), ?3), last_signal)
         WHERE id = ?1",
    )?
    .execute(params![id, version, sign])?;
    match event {
        Event::MachineStateChanged(e) => {
            tx.prepare_cached("UPDATE equipment SET state = ?2, since = ?3 WHERE id = ?1")?.execute(params![
                id,
                e.new.as_str(),
                at
            ])?;
        }
        Event::MaintenanceModeChanged(e) => {
            tx.prepare_cached(
                "UPDATE equipment SET maintenance = ?2, maintenance_reason = ?3, maintenance_until = ?4 WHERE id = ?1",
            )?
            .execute(params![
                id,
                e.on,
                e.reason.as_ref().filter(|_| e.on).map(|r| r.as_str()),
                e.until.filter(|_| e.on).map(mw_contract::Instant::millis),
            ])?;
        }
        Event::DowntimeStarted(e) => {
            tx.prepare_cached(
                "INSERT INTO downtime SELECT ?2, id, site, line, cell, ?3, NULL, ?4, ?5, ?6, ?7, ?8, ?9, ?10
                 FROM equipment WHERE id = ?1",
            )?
            .execute(params![
                id,
                e.downtime_id.as_bytes(),
                at,
                e.reason.as_ref().map(|r| r.as_str()),
                e.loss_category.map(|c| c.as_str()),
                e.planned,
                e.work_order_id.as_ref().map(|w| w.as_bytes()),
                e.op,
                who,
                e.reason.as_ref().map(|_| who),
            ])?;
        }
        Event::DowntimeEnded(e) => {
            tx.prepare_cached("UPDATE downtime SET ended_at = max(started_at, ?2) WHERE id = ?1")?
                .execute(params![e.downtime_id.as_bytes(), at])?;
        }
        Event::DowntimeClassified(e) => {
            tx.prepare_cached(
                "UPDATE downtime SET reason = ?2, category = ?3, planned = ?4, classified_by = ?5 WHERE id = ?1",
            )?
            .execute(params![
                e.downtime_id.as_bytes(),
                e.reason.as_str(),
                e.loss_category.map(|c| c.as_str()),
                e.planned,
                who
            ])?;
        }
        Event::DowntimeSplit(e) => {
            tx.prepare_cached(
                "INSERT INTO downtime SELECT ?2, equipment, site, line, cell, ?3, ended_at, reason, category, planned,
                    work_order, op, reported_by, classified_by FROM downtime WHERE id = ?1",
            )?
            .execute(params![
                e.downtime_id.as_bytes(),
                e.new_downtime_id.as_bytes(),
                e.split_at.millis()
            ])?;
            tx.prepare_cached("UPDATE downtime SET ended_at = ?2 WHERE id = ?1")?
                .execute(params![e.downtime_id.as_bytes(), e.split_at.millis()])?;
        }
        Event::AlarmRaised(e) => {
            let (key, text) = match &e.text {
                Some(Sealed::Cipher { key_id, bytes }) => (Some(key_id.as_bytes()), Some(bytes)),
                _ => (None, None),
            };
            tx.prepare_cached("INSERT OR REPLACE INTO alarm VALUES (?1, ?2, ?3, ?4, ?5, 1, NULL, NULL, ?6, ?7)")?
                .execute(params![
                    id,
                    e.alarm_id.as_bytes(),
                    e.code.as_str(),
                    e.severity,
                    e.raised_at.millis(),
                    key,
                    text
                ])?;
        }
        Event::AlarmRepeated(e) => {
            tx.prepare_cached("UPDATE alarm SET count = ?3, severity = ?4 WHERE equipment = ?1 AND id = ?2")?
                .execute(params![id, e.alarm_id.as_bytes(), e.count, e.severity])?;
        }
        Event::AlarmAcknowledged(e) => {
            tx.prepare_cached("UPDATE alarm SET acknowledged_by = ?3 WHERE equipment = ?1 AND id = ?2")?
                .execute(params![id, e.alarm_id.as_bytes(), who])?;
        }
        Event::AlarmCleared(e) => {
            tx.prepare_cached("UPDATE alarm SET cleared_at = ?3 WHERE equipment = ?1 AND id = ?2")?
                .execute(params![id, e.alarm_id.as_bytes(), e.cleared_at.millis()])?;
        }
        Event::CounterRecorded(e) => {
            let unit = e.unit.as_ref().map(|u| u.as_str());
            read(tx, id, e.name.as_str(), (&e.value.to_string(), &e.cumulative.to_string()), unit, at)?;
        }
        _ => {}
    }
    Ok(())
}

/// The last reading of a counter, of a machine or a unit.
fn read(
    tx: &Connection,
    owner: &[u8; 16],
    name: &str,
    (value, cumulative): (&str, &str),
    unit: Option<&str>,
    at: i64,
) -> Result<(), ApplyError> {
    tx.prepare_cached("INSERT OR REPLACE INTO counter VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![owner, name, value, cumulative, unit, at])?;
    Ok(())
}

fn stock(tx: &Connection, stored: &StoredEvent, event: &Event) -> Result<(), ApplyError> {
    let id = stored.event.stream.id;
    let id = id.as_bytes();
    let begin = |site: &str, item: &str, location: &str, lot: Option<&str>| -> Result<(), ApplyError> {
        let zero = sort_key(Qty::ZERO.decimal());
        tx.prepare_cached("INSERT OR IGNORE INTO stock VALUES (?1, 0, ?2, ?3, ?4, ?5, ?6, ?6, ?6, 0)")?
            .execute(params![id, site, item, location, lot, zero])?;
        Ok(())
    };
    let pieces = |sql: &str, serials: &[mw_contract::Text<60>]| -> Result<(), ApplyError> {
        for s in serials {
            tx.prepare_cached(sql)?.execute(params![id, s.as_str()])?;
        }
        Ok(())
    };
    const IN: &str = "INSERT OR IGNORE INTO piece VALUES (?1, ?2)";
    const OUT: &str = "DELETE FROM piece WHERE stock = ?1 AND serial = ?2";
    let mut on_hand = None;
    match event {
        Event::StockReceived(e) => {
            begin(e.site_id.as_str(), e.item_id.as_str(), e.location.as_str(), e.lot.as_ref().map(|l| l.as_str()))?;
            pieces(IN, &e.serials)?;
            on_hand = Some(e.on_hand);
        }
        Event::StockReturned(e) => {
            begin(e.site_id.as_str(), e.item_id.as_str(), e.location.as_str(), e.lot.as_ref().map(|l| l.as_str()))?;
            if e.condition == MaterialCondition::Good {
                pieces(IN, &e.serials)?;
            }
            on_hand = Some(e.on_hand);
        }
        Event::StockAdjusted(e) => {
            begin(e.site_id.as_str(), e.item_id.as_str(), e.location.as_str(), e.lot.as_ref().map(|l| l.as_str()))?;
            tx.prepare_cached("DELETE FROM piece WHERE stock = ?1")?.execute([id])?;
            pieces(IN, &e.serials)?;
            on_hand = Some(e.on_hand);
        }
        Event::StockReserved(e) => {
            tx.prepare_cached("INSERT OR REPLACE INTO kept VALUES (?1, ?2, ?3, ?4)")?.execute(params![
                id,
                e.reservation_id.as_bytes(),
                e.qty.to_string(),
                e.work_order_id.as_ref().map(|w| w.as_bytes())
            ])?;
        }
        Event::StockReservationReleased(e) => use_up(tx, id, e.reservation_id.as_bytes(), e.qty)?,
        Event::StockIssued(e) => {
            pieces(OUT, &e.serials)?;
            if let Some(r) = &e.reservation_id {
                use_up(tx, id, r.as_bytes(), e.qty)?;
            }
            on_hand = Some(e.on_hand);
        }
        _ => {}
    }
    sums(tx, id, stored.event.version.0 as i64, on_hand)
}

fn use_up(tx: &Connection, stock: &[u8; 16], id: &[u8; 16], qty: Qty) -> Result<(), ApplyError> {
    let mut st = tx.prepare_cached("SELECT qty FROM kept WHERE stock = ?1 AND id = ?2")?;
    let kept: Option<String> = st.query_row(params![stock, id], |r| r.get(0)).optional()?;
    let left = kept.and_then(|k| k.parse::<Qty>().ok()).unwrap_or_default().less(qty);
    let sql = if left.is_zero() {
        "DELETE FROM kept WHERE stock = ?1 AND id = ?2 AND ?3 IS NOT NULL"
    } else {
        "UPDATE kept SET qty = ?3 WHERE stock = ?1 AND id = ?2"
    };
    tx.prepare_cached(sql)?.execute(params![stock, id, left.to_string()])?;
    Ok(())
}

/// What is on hand, kept and free of an item.
fn sums(tx: &Connection, id: &[u8; 16], version: i64, on_hand: Option<Qty>) -> Result<(), ApplyError> {
    let mut st = tx.prepare_cached("SELECT qty FROM kept WHERE stock = ?1")?;
    let kept = st.query_map([id], |r| r.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    let reserved: Qty = kept.iter().filter_map(|k| k.parse::<Qty>().ok()).sum();
    let on_hand = match on_hand {
        Some(q) => q,
        None => {
            let mut st = tx.prepare_cached("SELECT on_hand FROM stock WHERE id = ?1")?;
            let before: Option<String> = st.query_row([id], |r| r.get(0)).optional()?;
            before.and_then(|b| plain_number(&b).parse().ok()).unwrap_or_default()
        }
    };
    tx.prepare_cached(
        "UPDATE stock SET version = ?2, on_hand = ?3, reserved = ?4, available = ?5,
            pieces = (SELECT count(*) FROM piece WHERE stock = ?1) WHERE id = ?1",
    )?
    .execute(params![
        id,
        version,
        sort_key(on_hand.decimal()),
        sort_key(reserved.decimal()),
        sort_key(on_hand.less(reserved).decimal())
    ])?;
    Ok(())
}

fn unit(tx: &Connection, stored: &StoredEvent, event: &Event) -> Result<(), ApplyError> {
    let id = stored.event.stream.id;
    let id = id.as_bytes();
    let (at, version) = (stored.event.occurred_at.millis(), stored.event.version.0 as i64);
    if let Event::ProductUnitRegistered(e) = event {
        let status = if e.result == UnitResult::Scrap { UnitStatus::Scrapped } else { UnitStatus::InStock };
        tx.prepare_cached(
            "INSERT INTO product_unit VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,?11,?12,'[]')",
        )?
        .execute(params![
            id,
            version,
            e.site_id.as_str(),
            e.serial.as_str(),
            e.product_id.as_str(),
            e.product_rev.as_ref().map(|r| r.as_str()),
            e.lot.as_ref().map(|l| l.as_str()),
            e.work_order_id.as_ref().map(|w| w.as_bytes()),
            e.result.as_str(),
            status.as_str(),
            e.firmware.as_ref().map(|f| f.as_str()),
            e.produced_at.millis(),
        ])?;
        return built_in(tx, id, &e.as_built, true, e.produced_at.millis());
    }
    tx.prepare_cached("UPDATE product_unit SET version = ?2 WHERE id = ?1")?.execute(params![id, version])?;
    let status = |s: UnitStatus| -> Result<(), ApplyError> {
        tx.prepare_cached("UPDATE product_unit SET status = ?2 WHERE id = ?1")?.execute(params![id, s.as_str()])?;
        Ok(())
    };
    match event {
        Event::UnitShipped(e) => {
            status(UnitStatus::Shipped)?;
            tx.prepare_cached("UPDATE product_unit SET customer = ?2, shipped_at = ?3 WHERE id = ?1")?
                .execute(params![id, e.customer_id.as_str(), e.shipped_at.millis()])?;
        }
        Event::WarrantyStarted(e) => {
            tx.prepare_cached(
                "UPDATE product_unit SET warranty_start = ?2, warranty_end = ?3, warranty_basis = ?4 WHERE id = ?1",
            )?
            .execute(params![id, e.start.to_string(), e.end.to_string(), e.basis.as_str()])?;
        }
        Event::UnitInstalled(e) => {
            status(UnitStatus::Installed)?;
            tx.prepare_cached("UPDATE product_unit SET installed_on = ?2, location = ?3 WHERE id = ?1")?
                .execute(params![id, e.installed_on.to_string(), e.location.as_ref().map(|l| l.as_str())])?;
        }
        Event::WarrantyExtended(e) => {
            tx.prepare_cached("UPDATE product_unit SET warranty_end = ?2, warranty_basis = 'extension' WHERE id = ?1")?
                .execute(params![id, e.new_end.to_string()])?;
        }
        Event::WarrantyVoided(_) => {
            tx.prepare_cached("UPDATE product_unit SET warranty_void = 1 WHERE id = ?1")?.execute([id])?;
        }
        Event::ReadingRecorded(e) => {
            let unit = e.unit.as_ref().map(|u| u.as_str());
            read(tx, id, e.name.as_str(), (&e.value.to_string(), &e.cumulative.to_string()), unit, at)?;
        }
        Event::UnitComponentChanged(e) => {
            let corrected = corrects(tx, id, &e.removed, &e.added)?;
            for gone in &e.removed {
                take_out(tx, id, gone, at, corrected)?;
            }
            built_in(tx, id, &e.added, corrected, at)?;
            if let Some(f) = &e.firmware {
                tx.prepare_cached("UPDATE product_unit SET firmware = ?2 WHERE id = ?1")?
                    .execute(params![id, f.as_str()])?;
            }
        }
        Event::UnitTransferred(e) => {
            tx.prepare_cached("UPDATE product_unit SET customer = ?2 WHERE id = ?1")?
                .execute(params![id, e.new_customer.as_str()])?;
        }
        Event::UnitStatusChanged(e) => status(e.new)?,
        Event::UnitScrapped(_) => status(UnitStatus::Scrapped)?,
        Event::UnitRecalled(e) => {
            status(UnitStatus::Recalled)?;
            tx.prepare_cached("UPDATE product_unit SET campaigns = json_insert(campaigns, '$[#]', ?2) WHERE id = ?1")?
                .execute(params![id, e.campaign.as_str()])?;
        }
        _ => {}
    }
    Ok(())
}

fn built_in(tx: &Connection, unit: &[u8; 16], all: &[ComponentV1], built: bool, at: i64) -> Result<(), ApplyError> {
    for c in all {
        tx.prepare_cached(
            "INSERT INTO component SELECT ?1, COALESCE(max(n), 0) + 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, NULL
             FROM component WHERE unit = ?1",
        )?
        .execute(params![
            unit,
            c.item_id.as_str(),
            c.serial.as_ref().map(|s| s.as_str()),
            c.lot.as_ref().map(|l| l.as_str()),
            c.qty.to_string(),
            c.position.as_ref().map(|p| p.as_str()),
            built,
            at
        ])?;
    }
    Ok(())
}

fn listed(all: &[ComponentV1]) -> String {
    // Components are plain data, which JSON always takes.
    serde_json::to_string(all).unwrap_or_default()
}

/// Notes that the order puts right what a unit of it was made of (WO-41).
pub fn amended(
    tx: &Connection,
    commit: &StoredCommit,
    stored: &StoredEvent,
    e: &UnitGenealogyAmendedV1,
) -> Result<(), ApplyError> {
    tx.prepare_cached("INSERT INTO amendment VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0)")?.execute(params![
        unit_id(&e.product_id, &e.serial).as_bytes(),
        stored.position.0 as i64,
        stored.event.occurred_at.millis(),
        commit.head.account.as_str(),
        e.reason.as_str(),
        listed(&e.removed),
        listed(&e.added),
    ])?;
    Ok(())
}

/// Is this change what an amendment brought to the unit (PM-7)? Then nothing was exchanged: it was
/// built that way, and was only said wrong.
fn corrects(tx: &Connection, unit: &[u8; 16], out: &[ComponentV1], new: &[ComponentV1]) -> Result<bool, ApplyError> {
    let changed = tx
        .prepare_cached(
            "UPDATE amendment SET applied = 1 WHERE unit = ?1 AND position = (SELECT min(position) FROM amendment
                WHERE unit = ?1 AND removed = ?2 AND added = ?3 AND applied = 0)",
        )?
        .execute(params![unit, listed(out), listed(new)])?;
    Ok(changed > 0)
}

/// The first component that is meant is out; of more than are taken the rest stays, as a row of its
/// own. `corrected`: it never was in.
fn take_out(tx: &Connection, unit: &[u8; 16], gone: &ComponentV1, at: i64, corrected: bool) -> Result<(), ApplyError> {
    let found: Option<(i64, String)> = tx
        .prepare_cached(
            "SELECT n, qty FROM component WHERE unit = ?1 AND removed_at IS NULL AND item = ?2
                AND (?3 IS NULL OR serial = ?3) AND (?4 IS NULL OR lot = ?4) AND (?5 IS NULL OR place = ?5)
             ORDER BY n LIMIT 1",
        )?
        .query_row(
            params![
                unit,
                gone.item_id.as_str(),
                gone.serial.as_ref().map(|s| s.as_str()),
                gone.lot.as_ref().map(|l| l.as_str()),
                gone.position.as_ref().map(|p| p.as_str())
            ],
            |r| Ok((r.get(0)?, r.get(1)?)),
        )
        .optional()?;
    let Some((n, qty)) = found else { return Ok(()) };
    let left = qty.parse::<Qty>().unwrap_or_default().less(gone.qty);
    let taken = qty.parse::<Qty>().unwrap_or_default().less(left);
    // The rest first: what is taken may not count as built in any more.
    if !left.is_zero() {
        tx.prepare_cached(
            "INSERT INTO component SELECT unit, (SELECT max(n) FROM component WHERE unit = ?1) + 1, item, serial, lot,
                ?3, place, built, added_at, NULL FROM component WHERE unit = ?1 AND n = ?2",
        )?
        .execute(params![unit, n, left.to_string()])?;
    }
    let built = "built = CASE WHEN ?5 THEN 0 ELSE built END";
    tx.prepare_cached(&format!("UPDATE component SET removed_at = ?3, qty = ?4, {built} WHERE unit = ?1 AND n = ?2"))?
        .execute(params![unit, n, at, taken.to_string(), corrected])?;
    Ok(())
}
