//! Business time inside SQL: `business_seconds(calendar, from, to)` for calendars as they are stored.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use mw_calendar::BusinessCalendar;
use mw_contract::Instant;
use mw_contract::event::ticket_parts::CalendarV1;
use mw_projection::ApplyError;
use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, OptionalExtension, params};

/// Makes the table of calendars. Tickets that were served by the same one share its row.
pub fn create_tables(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch("CREATE TABLE calendar (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL UNIQUE) STRICT;")
}

/// The key of a calendar; a new one gets a row.
///
/// # Errors
/// SQLite's.
pub fn key_of(tx: &Connection, calendar: &CalendarV1) -> Result<i64, ApplyError> {
    let bytes = bincode::encode_to_vec(calendar, bincode::config::standard())
        .map_err(|e| ApplyError::Impossible(format!("calendar {} has no bytes: {e}", calendar.calendar_id)))?;
    let known: Option<i64> =
        tx.prepare_cached("SELECT id FROM calendar WHERE bytes = ?1")?.query_row([&bytes], |r| r.get(0)).optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    tx.prepare_cached("INSERT INTO calendar (id, bytes) SELECT COALESCE(max(id), 0) + 1, ?1 FROM calendar")?
        .execute(params![bytes])?;
    Ok(tx.prepare_cached("SELECT id FROM calendar WHERE bytes = ?1")?.query_row([&bytes], |r| r.get(0))?)
}

fn read(bytes: &[u8]) -> Option<BusinessCalendar> {
    let (calendar, _): (CalendarV1, usize) = bincode::decode_from_slice(bytes, bincode::config::standard()).ok()?;
    Some(BusinessCalendar::from_stored(&calendar))
}

/// The calendar of this key.
///
/// # Errors
/// SQLite's.
pub fn calendar(conn: &Connection, id: i64) -> rusqlite::Result<Option<BusinessCalendar>> {
    let bytes: Option<Vec<u8>> =
        conn.prepare_cached("SELECT bytes FROM calendar WHERE id = ?1")?.query_row([id], |r| r.get(0)).optional()?;
    Ok(bytes.as_deref().and_then(read))
}

/// Lets a connection count; does nothing where it already can.
///
/// # Errors
/// SQLite's.
pub fn teach(conn: &Connection) -> rusqlite::Result<()> {
    if conn.prepare_cached("SELECT business_seconds(NULL, 0, 0)").is_ok() {
        return Ok(());
    }
    // A connection is used by one thread at a time: the lock is never waited for.
    let known: Mutex<HashMap<Vec<u8>, Option<BusinessCalendar>>> = Mutex::default();
    let flags = FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_UTF8;
    conn.create_scalar_function("business_seconds", 3, flags, move |c| {
        let (Ok(bytes), Ok(from), Ok(to)) = (c.get_raw(0).as_blob(), c.get::<i64>(1), c.get::<i64>(2)) else {
            return Ok(None);
        };
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains_key(bytes) {
            known.insert(bytes.to_vec(), read(bytes));
        }
        let calendar = known.get(bytes).and_then(Option::as_ref);
        Ok(calendar.map(|c| c.between(Instant::clamped(from), Instant::clamped(to))))
    })
}
