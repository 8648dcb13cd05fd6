//! What belongs to an order and is a row of its own, so that an order of ten thousand units stays
//! cheap: sessions, reports, units and their components, notes, inspections, nonconformances,
//! movements of material. Also the places that queries look up: sites, lines and cells.

use mw_contract::event::parts::{ComponentV1, ReasonQtyV1};
use mw_contract::{ConsumptionSource, Event, Instant, Position, Qty, Sealed, StoredCommit, Text};
use mw_projection::ApplyError;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};

use crate::columns::sort_key;
use crate::order::Meta;

/// Makes the tables.
pub fn create_tables(conn: &Connection) -> rusqlite::Result<()> {
    crate::parts::create_tables(conn)?;
    conn.execute_batch(
        "CREATE TABLE session (
                seq INTEGER NOT NULL, position INTEGER NOT NULL, session_id BLOB NOT NULL, op INTEGER NOT NULL,
                operator TEXT NOT NULL, cell TEXT NOT NULL, kind INTEGER NOT NULL, started_at INTEGER NOT NULL,
                ended_at INTEGER, cause INTEGER, reason TEXT, PRIMARY KEY (seq, session_id)
             ) STRICT, WITHOUT ROWID;
             CREATE TABLE unit (
                seq INTEGER NOT NULL, serial TEXT NOT NULL, position INTEGER NOT NULL, place INTEGER NOT NULL,
                registered TEXT, voided INTEGER NOT NULL, moved_to BLOB, PRIMARY KEY (seq, serial)
             ) STRICT, WITHOUT ROWID;
             CREATE TABLE note (
                seq INTEGER NOT NULL, position INTEGER NOT NULL, note_id BLOB, item_id BLOB, about TEXT NOT NULL,
                account TEXT NOT NULL, role INTEGER, at INTEGER NOT NULL, key_id BLOB NOT NULL, bytes BLOB NOT NULL,
                attachments TEXT NOT NULL, PRIMARY KEY (seq, position)
             ) STRICT, WITHOUT ROWID;
             CREATE TABLE report (
                seq INTEGER NOT NULL, op INTEGER NOT NULL, position INTEGER NOT NULL, report_id BLOB NOT NULL,
                operator TEXT NOT NULL, at INTEGER NOT NULL, good TEXT NOT NULL, scrap TEXT NOT NULL,
                rework TEXT NOT NULL, corrected INTEGER NOT NULL, PRIMARY KEY (seq, op, position)
             ) STRICT, WITHOUT ROWID;
             CREATE TABLE genealogy (
                seq INTEGER NOT NULL, serial TEXT NOT NULL, position INTEGER NOT NULL, at INTEGER NOT NULL,
                account TEXT NOT NULL, reason TEXT NOT NULL, removed TEXT NOT NULL, added TEXT NOT NULL,
                PRIMARY KEY (seq, serial, position)
             ) STRICT, WITHOUT ROWID;
             CREATE TABLE movement (
                seq INTEGER NOT NULL, position INTEGER NOT NULL, what TEXT NOT NULL, account TEXT NOT NULL,
                at INTEGER NOT NULL, data TEXT NOT NULL, PRIMARY KEY (seq, position)
             ) STRICT, WITHOUT ROWID;
             CREATE TABLE material_use (
                seq INTEGER NOT NULL, consumption_id BLOB NOT NULL, n INTEGER NOT NULL, position INTEGER NOT NULL,
                at INTEGER NOT NULL, account TEXT NOT NULL, line_no INTEGER NOT NULL, item TEXT NOT NULL,
                qty TEXT NOT NULL, lot TEXT, serial TEXT, source TEXT NOT NULL, PRIMARY KEY (seq, consumption_id, n)
             ) STRICT, WITHOUT ROWID;
             CREATE TABLE handled (
                name TEXT NOT NULL, seq INTEGER NOT NULL, position INTEGER NOT NULL,
                PRIMARY KEY (name, seq, position)
             ) STRICT, WITHOUT ROWID;
             CREATE TABLE quality (
                seq INTEGER NOT NULL, item_id BLOB NOT NULL, position INTEGER NOT NULL, kind TEXT NOT NULL, op INTEGER,
                state TEXT NOT NULL, severity INTEGER, rank INTEGER NOT NULL, defect TEXT, qty TEXT NOT NULL,
                stage TEXT NOT NULL, disposition TEXT, cause TEXT, owner TEXT NOT NULL, opened_at INTEGER NOT NULL,
                closed_at INTEGER, doc TEXT NOT NULL, PRIMARY KEY (seq, item_id)
             ) STRICT, WITHOUT ROWID;
             CREATE TABLE place (
                kind TEXT NOT NULL, code TEXT NOT NULL, site TEXT NOT NULL, line TEXT, class TEXT, zone TEXT,
                PRIMARY KEY (kind, code)
             ) STRICT, WITHOUT ROWID;",
    )
}

/// Makes what queries need.
pub fn create_indexes(conn: &Connection) -> rusqlite::Result<()> {
    crate::parts::create_indexes(conn)?;
    conn.execute_batch(
        "CREATE INDEX unit_serial ON unit (serial);
         CREATE INDEX material_use_at ON material_use (at);
         CREATE INDEX material_use_item ON material_use (item, at);
         CREATE INDEX quality_default ON quality (rank, opened_at, position);
         CREATE INDEX quality_state ON quality (state, rank, opened_at, position);",
    )
}

/// Writes what an event adds beside the order itself.
pub fn event(tx: &Connection, commit: &StoredCommit, seq: Position, event: &Event, m: Meta) -> Result<(), ApplyError> {
    const START: &str = "INSERT OR REPLACE INTO session VALUES (?1,?2,?3,?4,?5,?6,?7,?8,NULL,NULL,NULL)";
    let s = seq.0 as i64;
    let p = m.position.0 as i64;
    match event {
        Event::MaterialConsumed(e) => {
            for (n, l) in e.lines.iter().enumerate() {
                tx.prepare_cached(
                    "INSERT OR REPLACE INTO material_use VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)",
                )?
                .execute(params![
                    s,
                    e.consumption_id.as_bytes(),
                    n as i64,
                    p,
                    m.occurred_at.millis(),
                    commit.head.account.as_str(),
                    l.line_no,
                    l.item_id.as_str(),
                    sort_key(l.qty.decimal()),
                    l.lot.as_ref().map(|t| t.as_str()),
                    l.unit_serial.as_ref().map(|t| t.as_str()),
                    e.source.as_str(),
                ])?;
            }
        }
        Event::MaterialConsumptionCorrected(e) => {
            for l in &e.lines {
                tx.prepare_cached(
                    "UPDATE material_use SET qty = ?4 WHERE seq = ?1 AND consumption_id = ?2 AND line_no = ?3",
                )?
                .execute(params![
                    s,
                    e.consumption_id.as_bytes(),
                    l.line_no,
                    sort_key(l.new.decimal())
                ])?;
            }
        }
        Event::OperationStarted(e) => {
            tx.prepare_cached(START)?.execute(params![
                s,
                p,
                e.session_id.as_bytes(),
                e.op,
                e.operator.as_str(),
                e.cell_id.as_str(),
                e.kind.number(),
                m.occurred_at.millis()
            ])?;
        }
        Event::OperationResumed(e) => {
            tx.prepare_cached(START)?.execute(params![
                s,
                p,
                e.session_id.as_bytes(),
                e.op,
                e.operator.as_str(),
                e.cell_id.as_str(),
                mw_contract::SessionKind::Run.number(),
                m.occurred_at.millis()
            ])?;
        }
        Event::OperationPaused(e) => {
            tx.prepare_cached(
                "UPDATE session SET ended_at = ?3, cause = ?4, reason = ?5 WHERE seq = ?1 AND session_id = ?2",
            )?
            .execute(params![
                s,
                e.session_id.as_bytes(),
                m.occurred_at.millis(),
                e.cause.number(),
                e.reason.as_ref().map(|r| r.as_str())
            ])?;
        }
        Event::OperationCompleted(e) => {
            // Its own session ends with it.
            tx.prepare_cached(
                "UPDATE session SET ended_at = ?3, cause = ?4 WHERE seq = ?1 AND op = ?2 AND ended_at IS NULL",
            )?
            .execute(params![
                s,
                e.op,
                m.occurred_at.millis(),
                mw_contract::PauseCause::OperationCompleted.number()
            ])?;
        }
        Event::OperationSessionCorrected(e) => {
            tx.prepare_cached("UPDATE session SET started_at = ?3, ended_at = ?4 WHERE seq = ?1 AND session_id = ?2")?
                .execute(params![
                    s,
                    e.session_id.as_bytes(),
                    e.new.started_at.millis(),
                    e.new.ended_at.map(|t| t.millis())
                ])?;
        }
        Event::SerialVoided(e) => {
            tx.prepare_cached("UPDATE unit SET voided = 1 WHERE seq = ?1 AND serial = ?2")?
                .execute(params![s, e.serial.as_str()])?;
        }
        Event::SerialsAllocated(e) => {
            let mut insert =
                tx.prepare_cached("INSERT INTO unit VALUES (?1, ?2, ?3, ?4, NULL, 0, NULL) ON CONFLICT DO NOTHING")?;
            for (place, serial) in e.serials.iter().enumerate() {
                insert.execute(params![s, serial.as_str(), p, place as i64])?;
            }
        }
        Event::UnitRegistered(e) => {
            let registered = serde_json::to_string(e).unwrap_or_default();
            tx.prepare_cached(
                "INSERT INTO unit VALUES (?1, ?2, ?3, 0, ?4, 0, NULL)
                 ON CONFLICT (seq, serial) DO UPDATE SET registered = excluded.registered",
            )?
            .execute(params![s, e.serial.as_str(), p, registered])?;
        }
        Event::WorkOrderSplit(e) => {
            let mut st = tx.prepare_cached("UPDATE unit SET moved_to = ?3 WHERE seq = ?1 AND serial = ?2")?;
            for part in &e.parts {
                for serial in &part.serials {
                    st.execute(params![s, serial.as_str(), part.work_order_id.as_bytes()])?;
                }
            }
        }
        Event::UnitGenealogyAmended(e) => {
            tx.prepare_cached("INSERT INTO genealogy VALUES (?1,?2,?3,?4,?5,?6,?7,?8)")?.execute(params![
                s,
                e.serial.as_str(),
                p,
                m.occurred_at.millis(),
                commit.head.account.as_str(),
                e.reason.as_str(),
                components(&e.removed),
                components(&e.added)
            ])?;
        }
        Event::OperationQuantityReported(e) => {
            tx.prepare_cached("INSERT INTO report VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,0)")?.execute(params![
                s,
                e.op,
                p,
                e.report_id.as_bytes(),
                e.operator.as_str(),
                m.occurred_at.millis(),
                e.good.to_string(),
                sum(&e.scrap).to_string(),
                sum(&e.rework).to_string()
            ])?;
        }
        Event::OperationReportCorrected(e) => {
            tx.prepare_cached(
                "UPDATE report SET good = ?4, scrap = ?5, rework = ?6, corrected = 1
                 WHERE seq = ?1 AND op = ?2 AND report_id = ?3",
            )?
            .execute(params![
                s,
                e.op,
                e.report_id.as_bytes(),
                e.new.good.to_string(),
                sum(&e.new.scrap).to_string(),
                sum(&e.new.rework).to_string()
            ])?;
        }
        _ => {}
    }
    if let Some(what) = movement(event) {
        tx.prepare_cached("INSERT INTO movement VALUES (?1,?2,?3,?4,?5,?6)")?.execute(params![
            s,
            p,
            what,
            commit.head.account.as_str(),
            m.occurred_at.millis(),
            serde_json::to_string(event).unwrap_or_default()
        ])?;
        for name in handled(event) {
            tx.prepare_cached("INSERT OR IGNORE INTO handled VALUES (?1,?2,?3)")?.execute(params![name, s, p])?;
        }
    }
    quality(tx, commit, s, event, m)
}

/// The word for a movement of material; backflush is none, it follows from the reports.
fn movement(event: &Event) -> Option<&'static str> {
    match event {
        Event::MaterialRequested(_) => Some("requested"),
        Event::MaterialReserved(_) => Some("reserved"),
        Event::MaterialReservationFailed(_) => Some("missing"),
        Event::MaterialReservationReleased(_) => Some("released"),
        Event::MaterialIssued(_) => Some("issued"),
        Event::MaterialReturned(_) => Some("returned"),
        Event::MaterialConsumed(e) if e.source == ConsumptionSource::Recorded => Some("consumed"),
        _ => None,
    }
}

/// The lots and serial numbers that an order got, gave back or used up.
fn handled(event: &Event) -> Vec<&str> {
    fn of<'a>(lot: &'a Option<Text<40>>, serials: &'a [Text<60>]) -> impl Iterator<Item = &'a str> {
        lot.iter().map(|l| l.as_str()).chain(serials.iter().map(|s| s.as_str()))
    }
    match event {
        Event::MaterialIssued(e) => e.lines.iter().flat_map(|l| of(&l.lot, &l.serials)).collect(),
        Event::MaterialReturned(e) => e.lines.iter().flat_map(|l| of(&l.lot, &l.serials)).collect(),
        Event::MaterialConsumed(e) => e.lines.iter().flat_map(|l| of(&l.lot, &l.serials)).collect(),
        _ => Vec::new(),
    }
}

fn components(all: &[ComponentV1]) -> String {
    serde_json::to_string(all).unwrap_or_else(|_| "[]".to_owned())
}

fn sum(rows: &[ReasonQtyV1]) -> Qty {
    rows.iter().map(|r| r.qty).sum()
}

/// Inspections and nonconformances.
fn quality(tx: &Connection, commit: &StoredCommit, s: i64, event: &Event, m: Meta) -> Result<(), ApplyError> {
    const INSERT: &str =
        "INSERT OR REPLACE INTO quality VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,NULL,NULL,?12,?13,NULL,?14)";
    let by = commit.head.account.as_str();
    match event {
        Event::InspectionRecorded(e) => {
            let defects: Vec<&str> = e.defects.iter().map(|d| d.code.as_str()).collect();
            let qty = Qty::whole(e.sample_size).decimal();
            tx.prepare_cached(INSERT)?.execute(params![
                s,
                e.inspection_id.as_bytes(),
                m.position.0 as i64,
                "inspection",
                e.op,
                e.verdict.as_str(),
                None::<u8>,
                LAST_RANK,
                (!defects.is_empty()).then(|| defects.join(" ")),
                sort_key(qty),
                e.kind.as_str(),
                e.inspector.as_str(),
                m.occurred_at.millis(),
                stamped(event, by, m.occurred_at).to_string()
            ])?;
        }
        Event::NonconformanceRaised(e) => {
            let mut doc = stamped(event, by, m.occurred_at);
            doc["decisions"] = json!([]);
            tx.prepare_cached(INSERT)?.execute(params![
                s,
                e.ncr_id.as_bytes(),
                m.position.0 as i64,
                "ncr",
                e.op,
                "open",
                e.severity,
                e.severity,
                e.defect_code.as_str(),
                sort_key(e.qty.decimal()),
                e.detected_at_stage.as_str(),
                by,
                m.occurred_at.millis(),
                doc.to_string()
            ])?;
        }
        Event::NonconformanceDispositioned(e) => {
            let lines: Vec<String> = e.lines.iter().map(|l| format!("{} {}", l.disposition, l.qty)).collect();
            let decision = stamped(event, by, m.occurred_at);
            decided(tx, s, e.ncr_id.as_bytes(), decision)?;
            tx.prepare_cached(
                "UPDATE quality SET state = 'dispositioned', disposition = ?3, cause = ?4, owner = ?5
                 WHERE seq = ?1 AND item_id = ?2",
            )?
            .execute(params![s, e.ncr_id.as_bytes(), lines.join(", "), e.cause_code.as_str(), by])?;
        }
        Event::NonconformanceReturned(e) => {
            decided(tx, s, e.ncr_id.as_bytes(), stamped(event, by, m.occurred_at))?;
            tx.prepare_cached("UPDATE quality SET state = 'open', disposition = NULL WHERE seq = ?1 AND item_id = ?2")?
                .execute(params![s, e.ncr_id.as_bytes()])?;
        }
        Event::NonconformanceClosed(e) => {
            decided(tx, s, e.ncr_id.as_bytes(), stamped(event, by, m.occurred_at))?;
            tx.prepare_cached("UPDATE quality SET state = 'closed', closed_at = ?3 WHERE seq = ?1 AND item_id = ?2")?
                .execute(params![s, e.ncr_id.as_bytes(), m.occurred_at.millis()])?;
        }
        _ => {}
    }
    Ok(())
}

/// Inspections have no severity and come after every nonconformance.
const LAST_RANK: u8 = 9;

/// An event's data with who and when, and what it was.
fn stamped(event: &Event, by: &str, at: Instant) -> Value {
    let mut v = event.data();
    v["by"] = json!(by);
    v["at"] = json!(at);
    v["what"] = json!(event.event_type().as_str());
    v
}

/// One decision more in the document of a nonconformance.
fn decided(tx: &Connection, s: i64, id: &[u8; 16], decision: Value) -> Result<(), ApplyError> {
    let doc: Option<String> = tx
        .prepare_cached("SELECT doc FROM quality WHERE seq = ?1 AND item_id = ?2")?
        .query_row(params![s, id], |r| r.get(0))
        .optional()?;
    let Some(mut doc) = doc.and_then(|d| serde_json::from_str::<Value>(&d).ok()) else { return Ok(()) };
    if let Some(all) = doc["decisions"].as_array_mut() {
        all.push(decision);
    }
    tx.prepare_cached("UPDATE quality SET doc = ?3 WHERE seq = ?1 AND item_id = ?2")?.execute(params![
        s,
        id,
        doc.to_string()
    ])?;
    Ok(())
}

/// Sites, lines and cells, as queries look them up.
pub fn place(tx: &Connection, event: &Event) -> Result<(), ApplyError> {
    let Event::ReferencePut(e) = event else { return Ok(()) };
    let Ok(doc) = serde_json::from_str::<Value>(&e.document.0) else { return Ok(()) };
    let text = |name: &str| doc.get(name).and_then(Value::as_str).map(str::to_owned);
    let line_site = |line: &str| -> rusqlite::Result<Option<String>> {
        tx.prepare_cached("SELECT site FROM place WHERE kind = 'line' AND code = ?1")?
            .query_row([line], |r| r.get(0))
            .optional()
    };
    let site = match e.kind {
        mw_contract::ReferenceKind::Site => Some(e.code.as_str().to_owned()),
        mw_contract::ReferenceKind::Line => text("site"),
        mw_contract::ReferenceKind::Cell => text("line").map(|l| line_site(&l)).transpose()?.flatten(),
        _ => return Ok(()),
    };
    let Some(site) = site else { return Ok(()) };
    tx.prepare_cached("INSERT OR REPLACE INTO place VALUES (?1,?2,?3,?4,?5,?6)")?.execute(params![
        e.kind.as_str(),
        e.code.as_str(),
        site,
        text("line"),
        text("class"),
        text("time_zone")
    ])?;
    // A line that moved takes its cells along.
    if e.kind == mw_contract::ReferenceKind::Line {
        tx.prepare_cached("UPDATE place SET site = ?2 WHERE kind = 'cell' AND line = ?1")?
            .execute(params![e.code.as_str(), site])?;
    }
    Ok(())
}

/// Keeps an event's free text, sealed.
pub fn note(tx: &Connection, commit: &StoredCommit, seq: Position, event: &Event, m: Meta) -> Result<(), ApplyError> {
    let Some(Sealed::Cipher { key_id, bytes }) = crate::words::note(event) else { return Ok(()) };
    let item = match event {
        Event::InspectionRecorded(e) => Some(*e.inspection_id.as_bytes()),
        Event::NonconformanceRaised(e) => Some(*e.ncr_id.as_bytes()),
        Event::NonconformanceDispositioned(e) => Some(*e.ncr_id.as_bytes()),
        Event::NonconformanceClosed(e) => Some(*e.ncr_id.as_bytes()),
        _ => None,
    };
    let (note_id, attachments) = match event {
        Event::NoteAdded(e) => (Some(*e.note_id.as_bytes()), serde_json::to_string(&e.attachments).unwrap_or_default()),
        _ => (None, "[]".to_owned()),
    };
    tx.prepare_cached("INSERT INTO note VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)")?.execute(params![
        seq.0 as i64,
        m.position.0 as i64,
        note_id,
        item,
        event.event_type().as_str(),
        commit.head.account.as_str(),
        commit.head.role.map(|r| r.number()),
        m.occurred_at.millis(),
        key_id.as_bytes(),
        bytes,
        attachments,
    ])?;
    Ok(())
}
