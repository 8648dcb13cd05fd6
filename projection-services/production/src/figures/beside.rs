//! What figures need beside facts: where machines are, which alarms are active, readings of
//! counters, and the units that were shipped and are under warranty. The figures and the
//! maintenance plans of after-service ask for most of it.

use std::collections::BTreeMap;

use mw_contract::commit::StoredEvent;
use mw_contract::reference::Document;
use mw_contract::*;
use mw_figures::given::{Attendance, DownSince, Known, Machine, Production, Unit, UnitPart};
use mw_figures::spans::Span;
use mw_policy::Scope;
use mw_projection::ApplyError;
use rusqlite::{Connection, OptionalExtension, Row, params};
use rust_decimal::Decimal;

use super::calendar::Documents;
use super::fact::{self, Body, Fact, OPEN};
use crate::order::Meta;
use crate::read::{Sql, at_sites};

const DAY_MS: i64 = 86_400_000;

/// The tables.
pub const TABLES: &str = "
    CREATE TABLE machine (id BLOB PRIMARY KEY, cell TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE active_alarm (
        cell TEXT NOT NULL, id BLOB NOT NULL, raised_at INTEGER NOT NULL, PRIMARY KEY (cell, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE reading (
        owner BLOB NOT NULL, name TEXT NOT NULL, day INTEGER NOT NULL, at INTEGER NOT NULL,
        cumulative TEXT NOT NULL, unit TEXT, PRIMARY KEY (owner, name, day)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE made_unit (
        id BLOB PRIMARY KEY, site TEXT NOT NULL, product TEXT NOT NULL, lot TEXT, work_order BLOB
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE sold_unit (
        part INTEGER NOT NULL, id BLOB NOT NULL, position INTEGER NOT NULL, recorded_at INTEGER NOT NULL,
        superseded_at INTEGER NOT NULL, started_at INTEGER NOT NULL, ended_at INTEGER NOT NULL,
        site TEXT NOT NULL, line TEXT, product TEXT NOT NULL, lot TEXT, PRIMARY KEY (part, id, position)
    ) STRICT, WITHOUT ROWID;";

/// What queries need.
pub const INDEXES: &str = "CREATE INDEX sold_unit_time ON sold_unit (part, ended_at, started_at);";

const SHIPPED: u8 = 1;
const WARRANTY: u8 = 2;
const ORDER: u8 = 7;
const ATTENDANCE: u8 = 9;

/// Writes what one event changes.
pub(super) fn event(tx: &Connection, stored: &StoredEvent, event: &Event, meta: Meta) -> Result<(), ApplyError> {
    let id = stored.event.stream.id;
    match event {
        Event::EquipmentRegistered(e) => {
            tx.prepare_cached("INSERT OR REPLACE INTO machine VALUES (?1, ?2)")?
                .execute(params![id.as_bytes(), e.code.as_str()])?;
        }
        Event::AlarmRaised(e) => {
            tx.prepare_cached("INSERT OR REPLACE INTO active_alarm VALUES (?1, ?2, ?3)")?.execute(params![
                e.cell_id.as_str(),
                e.alarm_id.as_bytes(),
                e.raised_at.millis()
            ])?;
        }
        Event::AlarmCleared(e) => {
            tx.prepare_cached("DELETE FROM active_alarm WHERE cell = ?1 AND id = ?2")?
                .execute(params![e.cell_id.as_str(), e.alarm_id.as_bytes()])?;
        }
        Event::CounterRecorded(e) => {
            let unit = e.unit.as_ref().map(|u| u.as_str());
            reading(tx, id, e.name.as_str(), e.cumulative, unit, meta.occurred_at.millis())?;
        }
        Event::ReadingRecorded(e) => {
            let unit = e.unit.as_ref().map(|u| u.as_str());
            reading(tx, id, e.name.as_str(), e.cumulative, unit, meta.occurred_at.millis())?;
        }
        Event::ProductUnitRegistered(e) => {
            tx.prepare_cached("INSERT OR REPLACE INTO made_unit VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
                id.as_bytes(),
                e.site_id.as_str(),
                e.product_id.as_str(),
                e.lot.as_ref().map(|l| l.as_str()),
                e.work_order_id.as_ref().map(|w| w.as_bytes()),
            ])?;
        }
        Event::UnitShipped(e) => {
            let at = e.shipped_at.millis();
            sold(tx, id, SHIPPED, meta, |_| Some(Span::new(at, at + 1)))?;
        }
        Event::WarrantyStarted(e) => {
            let zone = zone_of(tx, id)?;
            let span = Span::new(e.start.span_in(&zone).0.millis(), e.end.span_in(&zone).1.millis());
            sold(tx, id, WARRANTY, meta, |_| Some(span))?;
        }
        Event::WarrantyExtended(e) => {
            let end = e.new_end.span_in(&zone_of(tx, id)?).1.millis();
            sold(tx, id, WARRANTY, meta, |old| Some(Span::new(old?.from, end)))?;
        }
        Event::WarrantyVoided(_) | Event::UnitScrapped(_) => {
            let at = meta.occurred_at.millis();
            sold(tx, id, WARRANTY, meta, |old| old.map(|o| Span::new(o.from, o.until.min(at.max(o.from)))))?;
        }
        _ => {}
    }
    Ok(())
}

/// The last reading of a day is kept: more than that no forecast needs.
fn reading(
    tx: &Connection,
    owner: AggregateId,
    name: &str,
    cumulative: Number,
    unit: Option<&str>,
    at: i64,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO reading VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (owner, name, day) DO UPDATE
         SET at = excluded.at, cumulative = excluded.cumulative, unit = excluded.unit WHERE excluded.at >= at",
    )?
    .execute(params![owner.as_bytes(), name, at.div_euclid(DAY_MS), at, cumulative.to_string(), unit])?;
    Ok(())
}

/// The zone of the site that made a unit.
fn zone_of(tx: &Connection, unit: AggregateId) -> rusqlite::Result<String> {
    let site: Option<String> = tx
        .prepare_cached("SELECT site FROM made_unit WHERE id = ?1")?
        .query_row([unit.as_bytes()], |r| r.get(0))
        .optional()?;
    let doc = match site {
        Some(s) => fact::newest(tx, ReferenceKind::Site, &s)?,
        None => None,
    };
    Ok(match doc.and_then(|d| Document::stored(ReferenceKind::Site, &d)) {
        Some(Document::Site(s)) => s.time_zone,
        _ => "UTC".to_owned(),
    })
}

/// Writes a new version of a part of a unit's life; what it was before tells what it is now.
fn sold(
    tx: &Connection,
    unit: AggregateId,
    part: u8,
    meta: Meta,
    now: impl FnOnce(Option<Span>) -> Option<Span>,
) -> rusqlite::Result<()> {
    let before = tx
        .prepare_cached(
            "SELECT started_at, ended_at FROM sold_unit WHERE part = ?1 AND id = ?2 AND superseded_at = ?3",
        )?
        .query_row(params![part, unit.as_bytes(), OPEN], |r| Ok(Span::new(r.get(0)?, r.get(1)?)))
        .optional()?;
    let Some(span) = now(before).filter(|s| Some(*s) != before) else { return Ok(()) };
    let recorded = meta.recorded_at.millis();
    tx.prepare_cached("UPDATE sold_unit SET superseded_at = ?3 WHERE part = ?1 AND id = ?2 AND superseded_at = ?4")?
        .execute(params![part, unit.as_bytes(), recorded, OPEN])?;
    tx.prepare_cached(
        "INSERT OR REPLACE INTO sold_unit SELECT ?1, m.id, ?3, ?4, ?5, ?6, ?7, m.site,
            (SELECT line FROM fact f WHERE f.kind = ?8 AND f.id = m.work_order AND f.superseded_at = ?5), m.product, m.lot
         FROM made_unit m WHERE m.id = ?2",
    )?
    .execute(params![
        part,
        unit.as_bytes(),
        meta.position.0 as i64,
        recorded,
        OPEN,
        span.from,
        span.until,
        ORDER
    ])?;
    Ok(())
}

/// The first alarm that was active on a cell when something began there.
pub(super) fn alarmed(tx: &Connection, cell: &CellId, at: i64) -> rusqlite::Result<Option<i64>> {
    tx.prepare_cached("SELECT min(raised_at) FROM active_alarm WHERE cell = ?1 AND raised_at < ?2")?
        .query_row(params![cell.as_str(), at], |r| r.get(0))
}

/// The downtimes with what tickets say of them: since when the machine was down. A ticket that was
/// open when the downtime began, and names an earlier time, moves its first sign; the version
/// of the fact holds from when the ticket said so. Where the machine was down and ran again in between,
/// the ticket speaks of that downtime and not of this one.
pub(super) fn told(conn: &Connection, facts: Vec<Fact>, down: &[DownSince]) -> rusqlite::Result<Vec<Fact>> {
    if down.is_empty() {
        return Ok(facts);
    }
    let machines = machines(conn)?;
    let over: Vec<(Option<CellId>, Span)> = facts
        .iter()
        .filter(|f| matches!(f.body, Body::Downtime { .. }) && f.superseded == OPEN)
        .map(|f| (f.place.cell.clone(), f.span))
        .collect();
    let mut all = Vec::with_capacity(facts.len());
    for f in facts {
        let Body::Downtime { .. } = f.body else {
            all.push(f);
            continue;
        };
        let mut signs: Vec<&DownSince> = down
            .iter()
            .filter(|d| machines.get(&d.equipment).map(|m| &m.cell) == f.place.cell.as_ref())
            .filter(|d| d.since < f.span.from && f.span.from < d.until)
            .filter(|d| !over.iter().any(|(c, s)| *c == f.place.cell && d.since <= s.from && s.until <= f.span.from))
            .filter(|d| d.known.from < f.superseded && d.known.until > f.recorded)
            .collect();
        signs.sort_by_key(|d| d.known.from);
        // At each time at which another sign came or went there is a version of its own.
        let mut cuts: Vec<i64> = signs.iter().flat_map(|d| [d.known.from, d.known.until]).collect();
        cuts.retain(|t| f.recorded < *t && *t < f.superseded);
        cuts.push(f.recorded);
        cuts.push(f.superseded);
        cuts.sort_unstable();
        cuts.dedup();
        for pair in cuts.windows(2) {
            let [from, until] = pair else { continue };
            let mut v = f.clone();
            (v.recorded, v.superseded) = (*from, *until);
            if let Body::Downtime { since, .. } = &mut v.body {
                let told = signs.iter().filter(|d| d.known.at(*from)).map(|d| d.since).min();
                *since = since.iter().copied().chain(told).min();
            }
            all.push(v);
        }
    }
    Ok(all)
}

/// Where each machine is.
fn machines(conn: &Connection) -> rusqlite::Result<BTreeMap<AggregateId, Machine>> {
    let mut st = conn.prepare_cached(
        "SELECT m.id, m.cell, f.site, f.line FROM machine m
         LEFT JOIN fact f ON f.kind = 8 AND f.id = CAST(m.cell AS BLOB) AND f.superseded_at = ?1",
    )?;
    let mut rows = st.query([OPEN])?;
    let mut all = BTreeMap::new();
    while let Some(r) = rows.next()? {
        let (Some(cell), id) = (code(r, 1)?, id_of(r, 0)?) else { continue };
        all.insert(id, Machine { site: code(r, 2)?, line: code(r, 3)?, cell });
    }
    Ok(all)
}

/// The cell of a machine; `None` for what is none.
///
/// # Errors
/// SQLite's.
pub fn cell_of(conn: &Connection, machine: AggregateId) -> rusqlite::Result<Option<String>> {
    conn.prepare_cached("SELECT cell FROM machine WHERE id = ?1")?
        .query_row([machine.as_bytes()], |r| r.get(0))
        .optional()
}

fn id_of(r: &Row<'_>, at: usize) -> rusqlite::Result<AggregateId> {
    Ok(AggregateId(uuid::Uuid::from_bytes(r.get(at)?)))
}

fn code<T: std::str::FromStr>(r: &Row<'_>, at: usize) -> rusqlite::Result<Option<T>> {
    Ok(r.get_ref(at)?.as_str_or_null()?.and_then(|t| t.parse().ok()))
}

/// What the figures of after-service need of production: of units only when they are asked about.
///
/// # Errors
/// SQLite's.
pub fn given(conn: &Connection, scope: &Scope, span: Span, with_units: bool) -> rusqlite::Result<Production> {
    Ok(Production {
        documents: Documents::load(conn)?,
        machines: machines(conn)?,
        attendance: attendance(conn, span)?,
        units: if with_units { units(conn, scope, span)? } else { Vec::new() },
    })
}

fn attendance(conn: &Connection, span: Span) -> rusqlite::Result<Vec<Attendance>> {
    let mut st = conn.prepare_cached(
        "SELECT recorded_at, superseded_at, started_at, ended_at, body FROM fact
         WHERE kind = ?1 AND started_at < ?3 AND ended_at > ?2 ORDER BY id, position",
    )?;
    let mut rows = st.query(params![ATTENDANCE, span.from, span.until])?;
    let mut all = Vec::new();
    while let Some(r) = rows.next()? {
        let body: Option<Body> = serde_json::from_str(r.get_ref(4)?.as_str()?).ok();
        let Some(Body::Attendance { account, present }) = body else { continue };
        let Ok(account) = account.parse() else { continue };
        let known = Known { from: r.get(0)?, until: r.get(1)? };
        all.push(Attendance { account, present, span: Span::new(r.get(2)?, r.get(3)?), known });
    }
    Ok(all)
}

fn units(conn: &Connection, scope: &Scope, span: Span) -> rusqlite::Result<Vec<Unit>> {
    let mut sql = Sql::new(
        "SELECT part, id, recorded_at, superseded_at, started_at, ended_at, site, line, product, lot FROM sold_unit u
         WHERE u.part IN (1, 2) AND u.started_at < ?2 AND u.ended_at > ?1",
    );
    sql.bind(span.from);
    sql.bind(span.until);
    at_sites(&mut sql, "u.site", scope);
    sql.push(" ORDER BY u.part, u.id, u.position");
    let mut all = Vec::new();
    sql.each(conn, |r| {
        let Some(product) = code(r, 8)? else { return Ok(()) };
        all.push(Unit {
            id: id_of(r, 1)?,
            part: if r.get::<_, u8>(0)? == SHIPPED { UnitPart::Shipped } else { UnitPart::Warranty },
            span: Span::new(r.get(4)?, r.get(5)?),
            site: code(r, 6)?,
            line: code(r, 7)?,
            product,
            lot: r.get(9)?,
            known: Known { from: r.get(2)?, until: r.get(3)? },
        });
        Ok(())
    })?;
    Ok(all)
}

/// A counter as a plan sees it: what it shows, and how much it moves on in a day.
#[derive(Clone, Debug, PartialEq)]
pub struct Counter {
    /// What it shows, over resets.
    pub now: Decimal,
    /// When that was read.
    pub at: i64,
    /// The mean of the last 30 days; `None` while there are not two readings.
    pub daily: Option<Decimal>,
}

/// How far back the mean use of a counter looks.
const USE_DAYS: i64 = 30;

/// The counter of a machine or unit as it stands at a moment.
///
/// # Errors
/// SQLite's.
pub fn counter(conn: &Connection, owner: AggregateId, name: &str, now: Instant) -> rusqlite::Result<Option<Counter>> {
    let read = |sql: &str, at: i64| -> rusqlite::Result<Option<(i64, Decimal)>> {
        let found: Option<(i64, String)> = conn
            .prepare_cached(sql)?
            .query_row(params![owner.as_bytes(), name, at], |r| Ok((r.get(0)?, r.get(1)?)))
            .optional()?;
        Ok(found.and_then(|(at, text)| Some((at, text.parse().ok()?))))
    };
    let last = read(
        "SELECT at, cumulative FROM reading WHERE owner = ?1 AND name = ?2 AND at <= ?3 ORDER BY at DESC LIMIT 1",
        now.millis(),
    )?;
    let Some((at, value)) = last else { return Ok(None) };
    let since = now.millis() - USE_DAYS * DAY_MS;
    // The last one before the 30 days, else the first one in them.
    let before = read(
        "SELECT at, cumulative FROM reading WHERE owner = ?1 AND name = ?2 AND at <= ?3 ORDER BY at DESC LIMIT 1",
        since,
    )?;
    let first = match before {
        Some(b) => Some(b),
        None => read(
            "SELECT at, cumulative FROM reading WHERE owner = ?1 AND name = ?2 AND at > ?3 ORDER BY at LIMIT 1",
            since,
        )?,
    };
    let daily = first.filter(|(then, _)| *then < at).and_then(|(then, old)| {
        let days = Decimal::from(at - then) / Decimal::from(DAY_MS);
        (value - old).checked_div(days)
    });
    Ok(Some(Counter { now: value, at, daily }))
}
