//! Machines (RM-05), downtime (RM-07), stock, and produced units with what they are made of (RM-14).

use std::collections::BTreeSet;

use mw_contract::{AggregateId, AggregateKind, Instant, ReferenceKind, StreamId};
use mw_policy::Scope;
use rusqlite::types::Value as Sqlite;
use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::{Value, json};

use super::detail::{movements, quality};
use super::list::Direction;
use super::table::{Own, Table, Takes};
use super::tables::{LINE, SITE, narrow};
use super::{Sql, at_sites, shown};
use crate::TextOpener;
use crate::columns::{Kind, field, plain_number};

/// How deep components of components are followed.
const DEEPEST: usize = 8;

const CELL: Takes = Takes::Reference(ReferenceKind::Cell);

/// The fields of [`EQUIPMENT`] that follow from the clock. They come from the figures
/// ([`crate::figures::live`]), given with the question as JSON by cell.
pub const LIVE: [&str; 6] = ["shift", "good_hour", "target_hour", "good_shift", "target_shift", "oee"];

macro_rules! live {
    ($field:literal) => {
        concat!("json_extract(p.a, '$.\"' || e.cell || '\".", $field, "')")
    };
}

/// `GET /v1/equipment`.
pub static EQUIPMENT: Table = Table {
    name: "equipment",
    from: "equipment e LEFT JOIN downtime d ON d.equipment = e.id AND d.ended_at IS NULL
        LEFT JOIN session s ON s.cell = e.cell AND s.ended_at IS NULL AND NOT EXISTS (
            SELECT 1 FROM session y WHERE y.cell = s.cell AND y.ended_at IS NULL AND y.position > s.position)
        LEFT JOIN work_order w ON w.seq = s.seq LEFT JOIN operation o ON o.seq = s.seq AND o.op = s.op",
    only: "1",
    site: "e.site",
    own: Own::NONE,
    fields: &[
        field("id", "e.id", Kind::Uuid, false),
        field("cell", "e.cell", Kind::Text, false),
        field("name", "e.name", Kind::Text, true),
        field("class", "e.class", Kind::Text, true),
        field("site", "e.site", Kind::Text, false),
        field("area", "e.area", Kind::Text, true),
        field("line", "e.line", Kind::Text, false),
        field("version", "e.version", Kind::Int, false),
        field("state", "e.state", Kind::Text, true),
        field("since", "e.since", Kind::Instant, true),
        field("maintenance", "e.maintenance", Kind::Bool, false),
        field("maintenance_reason", "e.maintenance_reason", Kind::Text, true),
        field("maintenance_until", "e.maintenance_until", Kind::Instant, true),
        field("work_order_id", "w.id", Kind::Uuid, true),
        field("number", "w.number", Kind::Text, true),
        field("product", "w.product", Kind::Text, true),
        field("op", "s.op", Kind::Int, true),
        field("op_name", "o.name", Kind::Text, true),
        field("operator", "s.operator", Kind::Text, true),
        field(
            "operators",
            "(SELECT json_group_array(operator) FROM (SELECT DISTINCT operator FROM session y
                WHERE y.cell = e.cell AND y.ended_at IS NULL ORDER BY operator))",
            Kind::Json,
            false,
        ),
        field("downtime_id", "d.id", Kind::Uuid, true),
        field("downtime_since", "d.started_at", Kind::Instant, true),
        field("downtime_reason", "d.reason", Kind::Text, true),
        field("downtime_category", "d.category", Kind::Text, true),
        field(
            "open_alarms",
            "(SELECT count(*) FROM alarm a WHERE a.equipment = e.id AND a.cleared_at IS NULL)",
            Kind::Int,
            false,
        ),
        field(
            "alarms",
            "(SELECT json_group_array(json_object('alarm_id', id, 'code', code, 'severity', severity, 'count', count))
                FROM (SELECT lower(substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-' || substr(h, 13, 4) || '-'
                    || substr(h, 17, 4) || '-' || substr(h, 21)) AS id, code, severity, count
                  FROM (SELECT hex(a.id) AS h, a.code, a.severity, a.count FROM alarm a
                    WHERE a.equipment = e.id AND a.cleared_at IS NULL ORDER BY a.severity DESC, a.raised_at, a.id)))",
            Kind::Json,
            false,
        ),
        field("last_signal", "e.last_signal", Kind::Instant, true),
        field("shift", live!("shift"), Kind::Text, true),
        field("good_hour", live!("good_hour"), Kind::Number, true),
        field("target_hour", live!("target_hour"), Kind::Number, true),
        field("good_shift", live!("good_shift"), Kind::Number, true),
        field("target_shift", live!("target_shift"), Kind::Number, true),
        field("oee", live!("oee"), Kind::Number, true),
    ],
    filters: &[
        narrow("q", "lower(e.cell || ' ' || COALESCE(e.name, ''))", Takes::Contains, "text in the cell or the name"),
        narrow("site", "e.site", SITE, "sites"),
        narrow("area", "e.area", Takes::Reference(ReferenceKind::Area), "areas"),
        narrow("line", "e.line", LINE, "lines"),
        narrow("cell", "e.cell", CELL, "cells"),
        narrow("state", "e.state", Takes::Words(machine_states), "what it does"),
        narrow("down", "(d.id IS NOT NULL)", Takes::Flag, "stands still now"),
    ],
    order: (&["e.line", "e.cell"], Direction::Ascending),
    key: &["e.id"],
};

fn machine_states() -> Vec<(String, Sqlite)> {
    let one = |s: &mw_contract::MachineState| (s.as_str().to_owned(), Sqlite::Text(s.as_str().to_owned()));
    mw_contract::MachineState::ALL.iter().map(one).collect()
}

/// `GET /v1/downtime`.
pub static DOWNTIME: Table = Table {
    name: "downtime",
    from: "downtime d LEFT JOIN work_order w ON w.id = d.work_order LEFT JOIN equipment e ON e.id = d.equipment",
    only: "1",
    site: "d.site",
    own: Own::NONE,
    fields: &[
        field("id", "d.id", Kind::Uuid, false),
        field("equipment_id", "d.equipment", Kind::Uuid, false),
        field("cell", "d.cell", Kind::Text, false),
        field("line", "d.line", Kind::Text, false),
        field("site", "d.site", Kind::Text, false),
        field("start", "d.started_at", Kind::Instant, false),
        field("end", "d.ended_at", Kind::Instant, true),
        field("duration", "(COALESCE(d.ended_at, max(p.now, d.started_at)) - d.started_at)", Kind::Seconds, false),
        field("reason", "d.reason", Kind::Text, true),
        field("category", "d.category", Kind::Text, true),
        field("planned", "d.planned", Kind::Bool, false),
        field("unclassified", "(d.reason IS NULL)", Kind::Bool, false),
        field("work_order_id", "d.work_order", Kind::Uuid, true),
        field("number", "w.number", Kind::Text, true),
        field("op", "d.op", Kind::Int, true),
        field("reported_by", "d.reported_by", Kind::Text, false),
        field("classified_by", "d.classified_by", Kind::Text, true),
    ],
    filters: &[
        narrow(
            "q",
            "lower(d.cell || ' ' || COALESCE(w.number, ''))",
            Takes::Contains,
            "text in the cell or the order's number",
        ),
        narrow("from", "COALESCE(d.ended_at, p.now)", Takes::From, "still going on then or later"),
        narrow("to", "d.started_at", Takes::To, "began then or earlier"),
        narrow("site", "d.site", SITE, "sites"),
        narrow("area", "e.area", Takes::Reference(ReferenceKind::Area), "areas"),
        narrow("line", "d.line", LINE, "lines"),
        narrow("cell", "d.cell", CELL, "cells"),
        narrow("category", "d.category", Takes::Words(categories), "kinds of loss"),
        narrow("reason", "d.reason", Takes::Codes, "reasons"),
        narrow("unclassified", "(d.reason IS NULL)", Takes::Flag, "nobody has said why"),
        narrow("open", "(d.ended_at IS NULL)", Takes::Flag, "goes on"),
    ],
    order: (&["d.started_at"], Direction::Descending),
    key: &["d.id"],
};

fn categories() -> Vec<(String, Sqlite)> {
    let one = |s: &mw_contract::LossCategory| (s.as_str().to_owned(), Sqlite::Text(s.as_str().to_owned()));
    mw_contract::LossCategory::ALL.iter().map(one).collect()
}

/// `GET /v1/stock`.
pub static STOCK: Table = Table {
    name: "stock",
    from: "stock s",
    only: "1",
    site: "s.site",
    own: Own::NONE,
    fields: &[
        field("id", "s.id", Kind::Uuid, false),
        field("item", "s.item", Kind::Text, false),
        field("location", "s.location", Kind::Text, false),
        field("lot", "s.lot", Kind::Text, true),
        field("site", "s.site", Kind::Text, false),
        field("version", "s.version", Kind::Int, false),
        field("on_hand", "s.on_hand", Kind::Number, false),
        field("reserved", "s.reserved", Kind::Number, false),
        field("available", "s.available", Kind::Number, false),
        field("serials", "s.pieces", Kind::Int, false),
    ],
    filters: &[
        narrow("q", "lower(s.item || ' ' || COALESCE(s.lot, ''))", Takes::Contains, "text in the item or the lot"),
        narrow("item", "s.item", Takes::Codes, "items"),
        narrow("location", "s.location", Takes::Codes, "locations"),
        narrow("lot", "s.lot", Takes::Texts, "lots"),
        narrow("site", "s.site", SITE, "sites"),
    ],
    order: (&["s.item", "s.location"], Direction::Ascending),
    key: &["s.id"],
};

/// `GET /v1/my/units`: a customer's own (RM-13), wherever they were made. `a` is a JSON object of how many
/// open tickets there are, by product and serial number.
pub static MY_UNITS: Table = Table {
    name: "my-units",
    from: "product_unit u",
    only: "1",
    site: "u.site",
    own: Own { customer: Some("u.customer"), ..Own::NONE },
    fields: &[
        field("unit_id", "u.id", Kind::Uuid, false),
        field("serial", "u.serial", Kind::Text, false),
        field("product", "u.product", Kind::Text, false),
        field("rev", "u.rev", Kind::Text, true),
        field("version", "u.version", Kind::Int, false),
        field("status", "u.status", Kind::Text, false),
        field("shipped_at", "u.shipped_at", Kind::Instant, true),
        field("installed_on", "u.installed_on", Kind::Text, true),
        field("location", "u.location", Kind::Text, true),
        field("warranty_start", "u.warranty_start", Kind::Text, true),
        field("warranty_end", "u.warranty_end", Kind::Text, true),
        field("warranty_basis", "u.warranty_basis", Kind::Text, true),
        field("warranty_void", "u.warranty_void", Kind::Bool, false),
        field("firmware", "u.firmware", Kind::Text, true),
        field("recalls", "u.campaigns", Kind::Json, false),
        field(
            "open_tickets",
            "COALESCE((SELECT o.value FROM json_each(p.a) o WHERE o.key = u.product || '/' || u.serial), 0)",
            Kind::Int,
            false,
        ),
    ],
    filters: &[
        narrow("q", "lower(u.serial || ' ' || u.product)", Takes::Contains, "text in the serial number or the product"),
        narrow("product", "u.product", Takes::Codes, "products"),
        narrow("serial", "u.serial", Takes::Texts, "serial numbers"),
        narrow("status", "u.status", Takes::Words(unit_statuses), "where it is in its life"),
    ],
    order: (&["COALESCE(u.shipped_at, 0)"], Direction::Descending),
    key: &["u.id"],
};

fn unit_statuses() -> Vec<(String, Sqlite)> {
    let one = |s: &mw_contract::UnitStatus| (s.as_str().to_owned(), Sqlite::Text(s.as_str().to_owned()));
    mw_contract::UnitStatus::ALL.iter().map(one).collect()
}

/// The line of every machine, as a JSON object by id in hexadecimal.
///
/// # Errors
/// SQLite's.
pub fn lines_of_machines(conn: &Connection) -> rusqlite::Result<String> {
    conn.query_row("SELECT json_group_object(hex(e.id), e.line) FROM equipment e", [], |r| r.get(0))
}

fn instant(ms: Option<i64>) -> Option<Instant> {
    ms.map(Instant::clamped)
}

fn id_of(r: &Row<'_>, i: usize) -> rusqlite::Result<Option<uuid::Uuid>> {
    Ok(r.get::<_, Option<[u8; 16]>>(i)?.map(uuid::Uuid::from_bytes))
}

/// One machine with its alarms, counters and last downtimes, and its version. `None` when the scope
/// does not hold it.
pub fn machine(
    conn: &Connection,
    scope: &Scope,
    id: AggregateId,
    opener: &dyn TextOpener,
) -> rusqlite::Result<Option<(u64, Value)>> {
    let mut sql = Sql::new(
        "SELECT e.version, e.cell, e.name, e.class, e.site, e.area, e.line, e.state, e.since, e.maintenance, e.last_signal,
            e.maintenance_reason, e.maintenance_until
         FROM equipment e WHERE e.id = ?1",
    );
    sql.bind(id.as_bytes().to_vec());
    at_sites(&mut sql, "e.site", scope);
    let mut found = None;
    sql.each(conn, |r| {
        let version: i64 = r.get(0)?;
        let document = json!({
            "id": id, "equipment_id": id, "version": version, "cell": r.get::<_, String>(1)?,
            "name": r.get::<_, Option<String>>(2)?, "class": r.get::<_, Option<String>>(3)?,
            "site": r.get::<_, String>(4)?, "area": r.get::<_, Option<String>>(5)?, "line": r.get::<_, String>(6)?,
            "state": r.get::<_, Option<String>>(7)?, "since": instant(r.get(8)?),
            "maintenance": r.get::<_, bool>(9)?, "last_signal": instant(r.get(10)?),
            "maintenance_reason": r.get::<_, Option<String>>(11)?, "maintenance_until": instant(r.get(12)?),
        });
        found = Some((version as u64, document));
        Ok(())
    })?;
    let Some((version, mut document)) = found else { return Ok(None) };
    document["alarms"] = conn
        .prepare_cached(
            "SELECT id, code, severity, raised_at, count, acknowledged_by, cleared_at, text_key, text FROM alarm
             WHERE equipment = ?1 ORDER BY raised_at DESC, id LIMIT 100",
        )?
        .query_map([id.as_bytes()], |r| {
            Ok(json!({"alarm_id": id_of(r, 0)?, "code": r.get::<_, String>(1)?, "severity": r.get::<_, i64>(2)?,
                "raised_at": instant(r.get(3)?), "count": r.get::<_, i64>(4)?,
                "acknowledged_by": r.get::<_, Option<String>>(5)?, "cleared_at": instant(r.get(6)?),
                "text": shown(opener, r.get(7)?, r.get(8)?)}))
        })?
        .collect::<rusqlite::Result<Vec<Value>>>()?
        .into();
    document["counters"] = counters(conn, id.as_bytes())?.into();
    document["downtimes"] = downtimes(conn, "equipment", id)?.into();
    Ok(Some((version, document)))
}

/// The last downtimes of a machine or an order.
fn downtimes(conn: &Connection, of: &str, id: AggregateId) -> rusqlite::Result<Vec<Value>> {
    conn.prepare_cached(&format!(
        "SELECT id, started_at, ended_at, reason, category, planned, work_order, op, cell FROM downtime WHERE {of} = ?1
         ORDER BY started_at DESC, id LIMIT 100"
    ))?
    .query_map([id.as_bytes()], |r| {
        Ok(json!({"downtime_id": id_of(r, 0)?, "start": instant(r.get(1)?), "end": instant(r.get(2)?),
            "reason": r.get::<_, Option<String>>(3)?, "category": r.get::<_, Option<String>>(4)?,
            "planned": r.get::<_, bool>(5)?, "work_order_id": id_of(r, 6)?, "op": r.get::<_, Option<i64>>(7)?,
            "cell": r.get::<_, String>(8)?}))
    })?
    .collect()
}

/// The downtimes that stand in an order's document.
pub(super) fn downtimes_of(conn: &Connection, order: AggregateId) -> rusqlite::Result<Vec<Value>> {
    downtimes(conn, "work_order", order)
}

fn counters(conn: &Connection, owner: &[u8; 16]) -> rusqlite::Result<Vec<Value>> {
    conn.prepare_cached("SELECT name, value, cumulative, unit, at FROM counter WHERE owner = ?1 ORDER BY name")?
        .query_map([owner], |r| {
            Ok(json!({"name": r.get::<_, String>(0)?, "value": r.get::<_, String>(1)?,
                "cumulative": r.get::<_, String>(2)?, "unit": r.get::<_, Option<String>>(3)?, "at": instant(r.get(4)?)}))
        })?
        .collect()
}

/// The units of a serial number that the scope holds: key, product.
pub fn units(
    conn: &Connection,
    scope: &Scope,
    serial: &str,
    product: Option<&str>,
) -> rusqlite::Result<Vec<([u8; 16], String)>> {
    let mut sql = Sql::new("SELECT u.id, u.product FROM product_unit u WHERE u.serial = ?1");
    sql.bind(serial.to_owned());
    seen(&mut sql, scope);
    if let Some(p) = product {
        let place = sql.bind(p.to_owned());
        sql.push(&format!(" AND u.product = {place}"));
    }
    sql.push(" ORDER BY u.product");
    let mut all = Vec::new();
    sql.each(conn, |r| {
        all.push((r.get(0)?, r.get(1)?));
        Ok(())
    })?;
    Ok(all)
}

/// A customer sees what is its own, wherever it was made; staff what their sites made.
fn seen(sql: &mut Sql, scope: &Scope) {
    match &scope.customer {
        Some(c) => {
            let place = sql.bind(c.as_str().to_owned());
            sql.push(&format!(" AND u.customer = {place}"));
        }
        None => at_sites(sql, "u.site", scope),
    }
}

/// One unit, and its version.
pub fn unit(conn: &Connection, scope: &Scope, id: &[u8; 16]) -> rusqlite::Result<Option<(u64, Value)>> {
    let found = conn
        .prepare_cached(
            "SELECT version, site, serial, product, rev, lot, work_order, result, status, customer, shipped_at,
                installed_on, location, warranty_start, warranty_end, warranty_basis, warranty_void, firmware,
                produced_at, campaigns FROM product_unit WHERE id = ?1",
        )?
        .query_row([id], |r| {
            let text = |i: usize| r.get::<_, Option<String>>(i);
            let version: i64 = r.get(0)?;
            let warranty = match text(14)? {
                None => Value::Null,
                end => json!({"start": text(13)?, "end": end, "basis": text(15)?, "void": r.get::<_, bool>(16)?}),
            };
            let campaigns: Value = text(19)?.and_then(|t| serde_json::from_str(&t).ok()).unwrap_or_default();
            Ok((version as u64, json!({
                "id": uuid::Uuid::from_bytes(*id), "unit_id": uuid::Uuid::from_bytes(*id), "version": version,
                "site": text(1)?, "serial": text(2)?, "product": text(3)?, "rev": text(4)?, "lot": text(5)?,
                "work_order_id": id_of(r, 6)?, "result": text(7)?, "status": text(8)?, "customer": text(9)?,
                "shipped_at": instant(r.get(10)?), "installed_on": text(11)?, "location": text(12)?,
                "warranty": warranty, "firmware": text(17)?, "produced_at": instant(r.get(18)?), "recalls": campaigns,
            })))
        })
        .optional()?;
    let Some((version, mut document)) = found else { return Ok(None) };
    document["counters"] = counters(conn, id)?.into();
    document["as_built"] = components(conn, scope, id, "built = 1", 0)?.into();
    document["amendments"] = amendments(conn, id)?.into();
    document["as_maintained"] = components(conn, scope, id, "removed_at IS NULL", 0)?.into();
    Ok(Some((version, document)))
}

/// How what a unit was made of was put right after it was registered (WO-41).
fn amendments(conn: &Connection, unit: &[u8; 16]) -> rusqlite::Result<Vec<Value>> {
    conn.prepare_cached("SELECT at, account, reason, removed, added FROM amendment WHERE unit = ?1 ORDER BY position")?
        .query_map([unit], |r| {
            let list = |i: usize| -> rusqlite::Result<Value> {
                Ok(serde_json::from_str(&r.get::<_, String>(i)?).unwrap_or_default())
            };
            Ok(json!({"at": instant(r.get(0)?), "account": r.get::<_, String>(1)?, "reason": r.get::<_, String>(2)?,
            "removed": list(3)?, "added": list(4)?}))
        })?
        .collect()
}

/// What is in a unit, and what is in that where it is a unit too.
fn components(
    conn: &Connection,
    scope: &Scope,
    unit: &[u8; 16],
    which: &str,
    depth: usize,
) -> rusqlite::Result<Vec<Value>> {
    let mut st = conn.prepare_cached(&format!(
        "SELECT item, serial, lot, qty, place, added_at, removed_at FROM component WHERE unit = ?1 AND {which} ORDER BY n"
    ))?;
    let mut all = st
        .query_map([unit], |r| {
            Ok(json!({"level": depth + 1, "item": r.get::<_, String>(0)?, "serial": r.get::<_, Option<String>>(1)?,
                "lot": r.get::<_, Option<String>>(2)?, "qty": r.get::<_, String>(3)?,
                "position": r.get::<_, Option<String>>(4)?, "added_at": instant(r.get(5)?),
                "removed_at": instant(r.get(6)?)}))
        })?
        .collect::<rusqlite::Result<Vec<Value>>>()?;
    for c in &mut all {
        let (Some(item), Some(serial), true) = (c["item"].as_str(), c["serial"].as_str(), depth < DEEPEST) else {
            continue;
        };
        // Only what the reader may see by itself is opened.
        let inner = units(conn, scope, serial, Some(item))?.into_iter().map(|(id, _)| id).find(|id| id != unit);
        if let Some(inner) = inner {
            let order = order_of(conn, &inner)?;
            c["unit_id"] = json!(uuid::Uuid::from_bytes(inner));
            c["work_order_id"] = json!(order.as_ref().map(|o| uuid::Uuid::from_bytes(o.id)));
            c["number"] = json!(order.map(|o| o.number));
            c["components"] = components(conn, scope, &inner, which, depth + 1)?.into();
        }
    }
    Ok(all)
}

/// The order that made a unit.
struct Maker {
    seq: i64,
    id: [u8; 16],
    number: String,
    product: String,
}

fn order_of(conn: &Connection, unit: &[u8; 16]) -> rusqlite::Result<Option<Maker>> {
    conn.prepare_cached(
        "SELECT w.seq, w.id, w.number, w.product FROM product_unit u JOIN work_order w ON w.id = u.work_order
         WHERE u.id = ?1",
    )?
    .query_row([unit], |r| Ok(Maker { seq: r.get(0)?, id: r.get(1)?, number: r.get(2)?, product: r.get(3)? }))
    .optional()
}

/// The streams that a unit's document and trace show something of beside its own: those of the
/// orders and of the units in it, however deep.
///
/// # Errors
/// SQLite's.
pub fn streams_behind(conn: &Connection, id: &[u8; 16]) -> rusqlite::Result<Vec<StreamId>> {
    let mut units = vec![*id];
    let mut streams = BTreeSet::new();
    let mut next = 0;
    while let Some(unit) = units.get(next).copied() {
        next += 1;
        if let Some(order) = order_of(conn, &unit)? {
            streams.insert(StreamId::new(AggregateKind::WorkOrder, AggregateId(uuid::Uuid::from_bytes(order.id))));
        }
        let inner: Vec<[u8; 16]> = conn
            .prepare_cached(
                "SELECT DISTINCT u.id FROM component c JOIN product_unit u ON u.product = c.item AND u.serial = c.serial
                 WHERE c.unit = ?1",
            )?
            .query_map([unit], |r| r.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for u in inner {
            if !units.contains(&u) {
                streams.insert(StreamId::new(AggregateKind::Unit, AggregateId(uuid::Uuid::from_bytes(u))));
                units.push(u);
            }
        }
    }
    Ok(streams.into_iter().collect())
}

/// A unit with the order, the work, the checks and the people behind it (RM-14, up). `staff`: people
/// and what was found are shown.
pub fn trace(
    conn: &Connection,
    scope: &Scope,
    id: &[u8; 16],
    staff: bool,
    opener: &dyn TextOpener,
) -> rusqlite::Result<Option<Value>> {
    let Some((_, mut document)) = unit(conn, scope, id)? else { return Ok(None) };
    let order = match order_of(conn, id)? {
        None => Value::Null,
        Some(o) if !staff => json!({"work_order_id": uuid::Uuid::from_bytes(o.id), "number": o.number}),
        Some(o) => json!({
            "work_order_id": uuid::Uuid::from_bytes(o.id), "number": o.number, "product": o.product,
            "operations": worked(conn, o.seq)?,
            "inspections": quality(conn, o.seq, "inspection", opener)?,
            "ncrs": quality(conn, o.seq, "ncr", opener)?,
            "movements": movements(conn, o.seq)?,
        }),
    };
    Ok(Some(json!({"unit": document.take(), "order": order})))
}

/// The operations of an order with who worked on them, where and when.
fn worked(conn: &Connection, seq: i64) -> rusqlite::Result<Vec<Value>> {
    let mut sessions = conn.prepare_cached(
        "SELECT operator, cell, started_at, ended_at FROM session WHERE seq = ?1 AND op = ?2 ORDER BY position",
    )?;
    conn.prepare_cached("SELECT op, name, good, scrap FROM operation WHERE seq = ?1 ORDER BY op")?
        .query_map([seq], |r| {
            let op: i64 = r.get(0)?;
            let (good, scrap): (String, String) = (r.get(2)?, r.get(3)?);
            let of_op = sessions.query_map([seq, op], |s| {
                Ok(json!({"operator": s.get::<_, String>(0)?, "cell": s.get::<_, String>(1)?,
                    "started_at": instant(s.get(2)?), "ended_at": instant(s.get(3)?)}))
            })?;
            Ok(json!({"op": op, "name": r.get::<_, String>(1)?, "good": plain_number(&good),
                "scrap": plain_number(&scrap), "sessions": of_op.collect::<rusqlite::Result<Vec<Value>>>()?}))
        })?
        .collect()
}

/// The orders that a lot or serial number was issued to, returned from or used up by, and how much
/// each time. What the scope does not hold is left out.
///
/// # Errors
/// SQLite's.
pub fn handled_by(conn: &Connection, scope: &Scope, what: &str) -> rusqlite::Result<Vec<Value>> {
    let mut sql = Sql::new(
        "SELECT w.id, w.number, w.product, m.what, m.account, m.at, l.value FROM handled h
         JOIN movement m ON m.seq = h.seq AND m.position = h.position JOIN work_order w ON w.seq = h.seq
         JOIN json_each(m.data, '$.lines') l
         WHERE h.name = ?1 AND (json_extract(l.value, '$.lot') = ?1
            OR EXISTS (SELECT 1 FROM json_each(l.value, '$.serials') s WHERE s.value = ?1))",
    );
    sql.bind(what.to_owned());
    at_sites(&mut sql, "w.site", scope);
    sql.push(" ORDER BY m.position, l.key");
    let mut all = Vec::new();
    sql.each(conn, |r| {
        let line: Value = serde_json::from_str(&r.get::<_, String>(6)?).unwrap_or_default();
        all.push(json!({"work_order_id": id_of(r, 0)?, "number": r.get::<_, String>(1)?,
            "product": r.get::<_, String>(2)?, "what": r.get::<_, String>(3)?, "by": r.get::<_, String>(4)?,
            "at": instant(r.get(5)?), "item": line["item_id"], "qty": line["qty"]}));
        Ok(())
    })?;
    Ok(all)
}

/// The units that a component of this serial number or lot is, or was, in; and the units that those
/// are in (RM-14, down). What the scope does not hold is left out.
pub fn where_used(conn: &Connection, scope: &Scope, what: &str) -> rusqlite::Result<Vec<Value>> {
    let mut all = Vec::new();
    // A unit inside another is told by its product too: serial numbers are unique in a product only.
    let mut level: Vec<(String, Option<String>)> = vec![(what.to_owned(), None)];
    let mut done: BTreeSet<(String, Option<String>)> = BTreeSet::new();
    for depth in 1..=DEEPEST {
        let mut next = Vec::new();
        for (name, product) in &level {
            let mut sql = Sql::new(
                "SELECT u.id, u.serial, u.product, u.customer, u.status, c.item, c.serial, c.lot, c.qty, c.place, c.built,
                    c.added_at, c.removed_at
                 FROM component c JOIN product_unit u ON u.id = c.unit
                 WHERE (c.serial = ?1 OR (c.lot = ?1 AND ?2 IS NULL)) AND (?2 IS NULL OR c.item = ?2)",
            );
            sql.bind(name.clone());
            sql.bind(product.clone());
            seen(&mut sql, scope);
            sql.push(" ORDER BY u.product, u.serial, c.n");
            sql.each(conn, |r| {
                let text = |i: usize| r.get::<_, Option<String>>(i);
                next.push((r.get::<_, String>(1)?, text(2)?));
                all.push(json!({"level": depth, "unit_id": id_of(r, 0)?, "serial": text(1)?, "product": text(2)?,
                    "customer": text(3)?, "status": text(4)?, "component": {"item": text(5)?, "serial": text(6)?,
                    "lot": text(7)?, "qty": text(8)?, "position": text(9)?, "as_built": r.get::<_, bool>(10)?,
                    "added_at": instant(r.get(11)?), "removed_on": instant(r.get(12)?)}}));
                Ok(())
            })?;
        }
        done.extend(level);
        next.retain(|n| !done.contains(n));
        next.sort();
        next.dedup();
        if next.is_empty() {
            break;
        }
        level = next;
    }
    Ok(all)
}
