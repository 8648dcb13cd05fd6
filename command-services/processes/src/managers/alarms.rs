//! PM-1: an alarm of a machine or of a unit in use that lasts, and a stop that needs repair, become a
//! ticket; the same again while the ticket is open counts up.
//!
//! What production says of alarms is kept as raises, one for each time that something complained. Each raise
//! sends one command: `ticket.open`, or `ticket.reopen` when its ticket had just been closed.

use mw_contract::reference::{CatalogueEntry, Document, SiteSettings, catalogues};
use mw_contract::{AggregateId, CommandType, Context, EntityId, ErrorCode, Event, Instant, ReferenceKind, SiteId};
use rusqlite::{Connection, OptionalExtension, params};

use super::alarm_tickets;
use crate::manager::{Cx, Ended, Fired, Manager};
use crate::{facts, outbox, timers, units};

/// The manager.
pub struct Alarms;

pub(super) const NAME: &str = "alarms";
/// From this severity on nobody waits.
const AT_ONCE: u16 = 900;
/// More raises of one alarm than this in ten minutes are flapping: it counts although it clears each time.
const FLAPPING: i64 = 5;
const FLAPPING_MS: i64 = 600_000;
/// More alarms of one line than this in a minute are a storm, and one ticket.
const STORM: i64 = 20;
const STORM_MS: i64 = 60_000;
/// What a machine that names no threshold has.
const NO_THRESHOLD: u16 = 700;

const TABLES: &str = "
CREATE TABLE machine (
    id TEXT PRIMARY KEY, cell TEXT NOT NULL, site TEXT NOT NULL, line TEXT NOT NULL, threshold INTEGER NOT NULL,
    maintenance INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX machine_cell ON machine (cell);
CREATE TABLE raise (
    n INTEGER PRIMARY KEY,
    event TEXT NOT NULL UNIQUE, command TEXT NOT NULL UNIQUE, source TEXT NOT NULL, product TEXT, customer TEXT, name TEXT NOT NULL,
    line TEXT NOT NULL, site TEXT NOT NULL, code TEXT NOT NULL, alarm TEXT, severity INTEGER NOT NULL,
    ticket_severity INTEGER NOT NULL, symptom TEXT, team TEXT, at INTEGER NOT NULL, due INTEGER NOT NULL,
    key TEXT NOT NULL, counts INTEGER NOT NULL, elapsed INTEGER NOT NULL, cleared_at INTEGER, settled INTEGER NOT NULL
) STRICT;
CREATE INDEX raise_key ON raise (key, n) WHERE settled = 0;
CREATE INDEX raise_line ON raise (line, at);
CREATE INDEX raise_source ON raise (source, code, at);
CREATE INDEX raise_alarm ON raise (alarm);
CREATE TABLE alarm (id TEXT PRIMARY KEY, raised_at INTEGER NOT NULL, cleared_at INTEGER) STRICT, WITHOUT ROWID;
CREATE TABLE ticket_alarm (ticket TEXT NOT NULL, alarm TEXT NOT NULL, PRIMARY KEY (ticket, alarm)) STRICT, WITHOUT ROWID;
CREATE INDEX ticket_of_alarm ON ticket_alarm (alarm);
";

/// A machine, or a unit at a customer's, that may complain.
struct Source {
    id: AggregateId,
    /// Its cell or serial number.
    name: String,
    site: SiteId,
    /// A unit has none.
    line: String,
    threshold: u16,
    maintenance: bool,
    /// Product and owner of a unit.
    unit: Option<(String, String)>,
}

fn machine(tx: &Connection, condition: &str, key: &str) -> rusqlite::Result<Option<Source>> {
    let sql = format!("SELECT id, cell, site, line, threshold, maintenance FROM machine WHERE {condition} = ?1");
    let found: Option<(String, String, String, String, u16, bool)> = tx
        .prepare_cached(&sql)?
        .query_row([key], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?)))
        .optional()?;
    Ok(found.and_then(|(id, name, site, line, threshold, maintenance)| {
        let (id, site) = (id.parse().ok()?, SiteId::new(&site).ok()?);
        Some(Source { id, name, site, line, threshold, maintenance, unit: None })
    }))
}

/// The unit of an event; one that belongs to nobody has nobody to repair it for.
fn unit(cx: &Cx<'_>) -> rusqlite::Result<Option<Source>> {
    let found = units::unit(cx.tx, cx.aggregate())?.zip(cx.commit.head.site.clone());
    Ok(found.and_then(|(u, site)| {
        Some(Source {
            id: cx.aggregate(),
            name: u.serial,
            site,
            line: String::new(),
            threshold: NO_THRESHOLD,
            maintenance: false,
            unit: Some((u.product, u.customer?)),
        })
    }))
}

/// The settings of a site.
pub(super) fn settings(tx: &Connection, site: &SiteId) -> rusqlite::Result<SiteSettings> {
    Ok(match facts::document(tx, ReferenceKind::Site, site.as_str())? {
        Some(Document::Site(s)) => s.settings,
        _ => SiteSettings::default(),
    })
}

/// The entry of a catalogue that is in use.
pub(super) fn entry(tx: &Connection, catalogue: &str, code: &str) -> rusqlite::Result<Option<CatalogueEntry>> {
    Ok(match facts::document(tx, ReferenceKind::Catalogue, catalogue)? {
        Some(Document::Catalogue(c)) => c.entries.into_iter().find(|e| e.active && e.code.as_str() == code),
        _ => None,
    })
}

/// The severity of a ticket whose alarm names none.
fn ticket_severity(alarm: u16) -> u8 {
    match alarm {
        900.. => 1,
        700..=899 => 2,
        400..=699 => 3,
        _ => 4,
    }
}

/// What an event says of an alarm.
struct Raised<'a> {
    code: &'a str,
    alarm: Option<EntityId>,
    severity: u16,
    at: Instant,
}

/// Keeps a raise, unless it is too mild or the machine is being maintained.
fn raised(cx: &Cx<'_>, m: &Source, r: &Raised<'_>) -> rusqlite::Result<()> {
    let tx = cx.tx;
    let rule = entry(tx, catalogues::ALARM, r.code)?;
    let settings = settings(tx, &m.site)?;
    let threshold = if m.threshold == NO_THRESHOLD { settings.alarm_ticket_severity } else { m.threshold };
    let opens = rule.as_ref().and_then(|e| e.ticket).unwrap_or(r.alarm.is_none() || r.severity >= threshold);
    if !opens || m.maintenance {
        return Ok(());
    }
    let since = match r.alarm {
        Some(id) => alarm_since(tx, id)?.unwrap_or(r.at),
        None => r.at,
    };
    let at_once = r.alarm.is_none() || r.severity >= AT_ONCE;
    let due = since.plus_millis(if at_once { 0 } else { i64::from(settings.alarm_debounce_s) * 1000 });
    let key = format!("{}:{}", m.name, r.code);
    let command = outbox::id(NAME, cx.id(), "open");
    let settled = outbox::outcome(tx, &command)?.is_some();
    let severity = rule.as_ref().and_then(|e| e.severity).unwrap_or(match r.alarm {
        Some(_) => ticket_severity(r.severity),
        None => 2,
    });
    tx.prepare_cached(
        "INSERT OR IGNORE INTO raise VALUES
         (NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, 0, ?18, NULL, ?19)",
    )?
    .execute(params![
        cx.id().to_string(),
        command.to_string(),
        m.id.to_string(),
        m.unit.as_ref().map(|(product, _)| product),
        m.unit.as_ref().map(|(_, customer)| customer),
        m.name,
        m.line,
        m.site.as_str(),
        r.code,
        r.alarm.map(|a| a.to_string()),
        r.severity,
        severity,
        rule.as_ref().and_then(|e| e.symptom.as_ref()).map(|s| s.as_str()),
        rule.as_ref().and_then(|e| e.team.as_ref()).map(|t| t.as_str()),
        r.at.millis(),
        due.millis(),
        key,
        due <= r.at,
        settled,
    ])?;
    if due > r.at && !settled {
        cx.timer(NAME, &cx.id().to_string(), due)?;
    }
    if r.alarm.is_some() {
        many(tx, m, r, &key)?;
    }
    tx.prepare_cached(
        "DELETE FROM raise WHERE source = ?1 AND at < ?2 AND (settled = 1 OR (counts = 0 AND cleared_at < due))",
    )?
    .execute(params![m.id.to_string(), r.at.plus_millis(-FLAPPING_MS).millis()])?;
    alarm_tickets::decide(tx, &key)
}

/// Flapping alarms count whether they last or not; those of a storm are one case.
fn many(tx: &Connection, m: &Source, r: &Raised<'_>, key: &str) -> rusqlite::Result<()> {
    let (id, at) = (m.id.to_string(), r.at.millis());
    let since = r.at.plus_millis(-FLAPPING_MS).millis();
    let same = "source = ?1 AND code = ?2 AND at > ?3 AND at <= ?4";
    let times: i64 = tx
        .prepare_cached(&format!("SELECT count(*) FROM raise WHERE {same}"))?
        .query_row(params![id, r.code, since, at], |x| x.get(0))?;
    if times > FLAPPING {
        tx.prepare_cached(&format!("UPDATE raise SET counts = 1 WHERE {same}"))?
            .execute(params![id, r.code, since, at])?;
    }
    if m.line.is_empty() {
        return Ok(());
    }
    let since = r.at.plus_millis(-STORM_MS).millis();
    let near = "line = ?1 AND site = ?2 AND alarm IS NOT NULL AND at > ?3 AND at <= ?4";
    let times: i64 = tx
        .prepare_cached(&format!("SELECT count(*) FROM raise WHERE {near}"))?
        .query_row(params![m.line, m.site.as_str(), since, at], |x| x.get(0))?;
    if times <= STORM {
        return Ok(());
    }
    let storm = format!("storm:{}", m.line);
    let mut q = tx.prepare_cached(&format!("SELECT DISTINCT key FROM raise WHERE {near} AND key <> ?5"))?;
    let keys = q
        .query_map(params![m.line, m.site.as_str(), since, at, storm], |x| x.get(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    tx.prepare_cached(&format!("UPDATE raise SET counts = 1, key = ?5 WHERE {near} AND settled = 0"))?
        .execute(params![m.line, m.site.as_str(), since, at, storm])?;
    for other in keys.iter().filter(|k| *k != key) {
        alarm_tickets::decide(tx, other)?;
    }
    alarm_tickets::decide(tx, &storm)
}

fn alarm_since(tx: &Connection, id: EntityId) -> rusqlite::Result<Option<Instant>> {
    let at: Option<i64> = tx
        .prepare_cached("SELECT raised_at FROM alarm WHERE id = ?1")?
        .query_row([id.to_string()], |r| r.get(0))
        .optional()?;
    Ok(at.map(Instant::clamped))
}

/// An alarm is over: what had to wait and did not last comes to nothing.
fn cleared(tx: &Connection, alarm: &str, at: Instant) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE alarm SET cleared_at = ?2 WHERE id = ?1")?.execute(params![alarm, at.millis()])?;
    let mut q = tx.prepare_cached(
        "UPDATE raise SET cleared_at = ?2 WHERE alarm = ?1 AND cleared_at IS NULL RETURNING key, event, due > ?2",
    )?;
    let raises = q
        .query_map(params![alarm, at.millis()], |r| Ok((r.get::<_, String>(0)?, r.get::<_, String>(1)?, r.get(2)?)))?
        .collect::<rusqlite::Result<Vec<(String, String, bool)>>>()?;
    for (key, event, early) in raises {
        if early {
            timers::clear(tx, NAME, &event)?;
        }
        alarm_tickets::decide(tx, &key)?;
    }
    let mut q = tx.prepare_cached("SELECT ticket FROM ticket_alarm WHERE alarm = ?1 ORDER BY ticket")?;
    let tickets = q.query_map([alarm], |r| r.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    tickets.iter().try_for_each(|t| alarm_tickets::over(tx, t))
}

impl Manager for Alarms {
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
        let id = || cx.aggregate().to_string();
        match event {
            Event::EquipmentRegistered(e) => {
                tx.prepare_cached("INSERT OR REPLACE INTO machine VALUES (?1, ?2, ?3, ?4, ?5, 0)")?.execute(
                    params![id(), e.code.as_str(), e.site_id.as_str(), e.line_id.as_str(), e.alarm_threshold],
                )?;
                Ok(())
            }
            Event::MaintenanceModeChanged(e) => {
                tx.prepare_cached("UPDATE machine SET maintenance = ?2 WHERE id = ?1")?.execute(params![id(), e.on])?;
                Ok(())
            }
            Event::AlarmRaised(e) => {
                tx.prepare_cached("INSERT OR REPLACE INTO alarm VALUES (?1, ?2, NULL)")?
                    .execute(params![e.alarm_id.to_string(), e.raised_at.millis()])?;
                let Some(m) = machine(tx, "id", &id())? else { return Ok(()) };
                let r =
                    Raised { code: e.code.as_str(), alarm: Some(e.alarm_id), severity: e.severity, at: e.raised_at };
                raised(cx, &m, &r)
            }
            Event::AlarmRepeated(e) => {
                let Some(m) = machine(tx, "id", &id())? else { return Ok(()) };
                let r =
                    Raised { code: e.code.as_str(), alarm: Some(e.alarm_id), severity: e.severity, at: e.raised_at };
                raised(cx, &m, &r)
            }
            Event::UnitAlarmRaised(e) => {
                tx.prepare_cached("INSERT OR REPLACE INTO alarm VALUES (?1, ?2, NULL)")?
                    .execute(params![e.alarm_id.to_string(), e.raised_at.millis()])?;
                let Some(u) = unit(cx)? else { return Ok(()) };
                let r =
                    Raised { code: e.code.as_str(), alarm: Some(e.alarm_id), severity: e.severity, at: e.raised_at };
                raised(cx, &u, &r)
            }
            Event::UnitAlarmRepeated(e) => {
                let Some(u) = unit(cx)? else { return Ok(()) };
                let r =
                    Raised { code: e.code.as_str(), alarm: Some(e.alarm_id), severity: e.severity, at: e.raised_at };
                raised(cx, &u, &r)
            }
            Event::UnitAlarmCleared(e) => cleared(tx, &e.alarm_id.to_string(), e.cleared_at),
            Event::AlarmCleared(e) => cleared(tx, &e.alarm_id.to_string(), e.cleared_at),
            Event::OperationPaused(e) => {
                let Some(reason) = &e.reason else { return Ok(()) };
                let stop = entry(tx, catalogues::STOP, reason.as_str())?;
                let Some(s) = facts::session(tx, &e.session_id.to_string())? else { return Ok(()) };
                match machine(tx, "cell", &s.cell)?.filter(|_| stop.is_some_and(|s| s.opens_ticket == Some(true))) {
                    Some(m) => raised(cx, &m, &Raised { code: reason.as_str(), alarm: None, severity: 0, at: cx.at() }),
                    None => Ok(()),
                }
            }
            _ => alarm_tickets::on(cx, event),
        }
    }

    /// It has lasted long enough.
    fn fire(&self, f: &Fired<'_>) -> rusqlite::Result<()> {
        let key: Option<String> =
            f.tx.prepare_cached("UPDATE raise SET elapsed = 1 WHERE event = ?1 RETURNING key")?
                .query_row([&f.timer.key], |r| r.get(0))
                .optional()?;
        key.map_or(Ok(()), |key| alarm_tickets::decide(f.tx, &key))
    }

    fn ended(&self, e: &Ended<'_>) -> rusqlite::Result<bool> {
        let command = &*e.commit.head.command_type;
        if command == CommandType::TicketOpen.as_str() {
            e.tx.prepare_cached("UPDATE raise SET settled = 1 WHERE command = ?1")?.execute([e
                .commit
                .head
                .command_id
                .to_string()])?;
        }
        match e.row.and_then(|r| r.key.as_deref()) {
            Some(key) if key.starts_with(alarm_tickets::OVER) => {
                alarm_tickets::over(e.tx, &key[alarm_tickets::OVER.len()..])?;
            }
            Some(key) => alarm_tickets::decide(e.tx, key)?,
            None => {}
        }
        // Somebody was faster with the ticket: what is still to be done follows from how it stands now.
        let overtaken = matches!(
            e.refused,
            Some(ErrorCode::VersionConflict | ErrorCode::InvalidState | ErrorCode::GuardFailed | ErrorCode::NotFound)
        );
        let is_open = command == CommandType::TicketOpen.as_str();
        Ok(matches!(e.refused, None | Some(ErrorCode::AlreadyExists)) || (overtaken && !is_open))
    }
}
