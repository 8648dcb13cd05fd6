//! What figures are computed from: one table of intervals and moments, every version of each.

use mw_contract::{CellId, LineId, LossCategory, ProductId, Qty, SessionKind, SiteId};
use mw_policy::Scope;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::spans::Span;
use crate::read::{Sql, at_sites};

pub use mw_figures::OPEN;
pub use mw_figures::documents::{Version, documents, newest};

/// A quantity with its reason.
pub type ReasonQty = (String, Qty);

/// What a fact says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Body {
    /// A work session. Machine time if nobody attends.
    Session { order: String, op: u16, operator: String, setup: bool, attended: bool },
    /// A cell stood still. `since`: an alarm told of it earlier than the downtime began.
    Downtime { reason: Option<String>, category: Option<String>, planned: bool, since: Option<i64> },
    /// Nobody worked on a cell, for a planned reason that somebody gave when pausing.
    Stop { reason: String },
    /// A machine said that it is being cleaned or stands as planned.
    PlannedState { state: String },
    /// Pieces were reported. `run_seconds` is the planned run time of one piece.
    Report {
        order: String,
        op: u16,
        fresh: bool,
        good: Qty,
        scrap: Vec<ReasonQty>,
        rework: Vec<ReasonQty>,
        run_seconds: Qty,
    },
    /// Pieces were inspected for the first time.
    Inspection { order: String, op: u16, good: Qty, inspected: Qty },
    /// An order that was started: until its end. Planned quantity and due date are those of the
    /// first release, and due now.
    Order { created: i64, completed: bool, good: Qty, planned: Qty, due_release: i64, due_now: i64 },
    /// A cell is watched.
    Cell,
    /// Somebody was there, or away.
    Attendance { account: String, present: bool },
}

impl Body {
    /// The number of its kind in the table.
    pub const fn kind(&self) -> u8 {
        match self {
            Body::Session { .. } => 1,
            Body::Downtime { .. } => 2,
            Body::Stop { .. } => 3,
            Body::PlannedState { .. } => 4,
            Body::Report { .. } => 5,
            Body::Inspection { .. } => 6,
            Body::Order { .. } => 7,
            Body::Cell => 8,
            Body::Attendance { .. } => 9,
        }
    }

    /// Is it a failure of the cell, so that somebody has to restore it?
    pub fn is_breakdown(&self) -> bool {
        matches!(self, Body::Downtime { category: Some(c), .. } if c == LossCategory::Breakdown.as_str())
    }

    /// Is it planned that the cell does not run, so that its planned busy time is less?
    pub fn is_planned_stop(&self) -> bool {
        match self {
            Body::Downtime { category, planned, .. } => match category.as_deref() {
                Some(c) => c == LossCategory::PlannedStop.as_str(),
                None => *planned,
            },
            Body::Stop { .. } | Body::PlannedState { .. } => true,
            _ => false,
        }
    }
}

/// The kind of a session, as facts keep it.
pub fn is_setup(kind: SessionKind) -> bool {
    kind == SessionKind::Setup
}

/// Where and for what.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Place {
    /// The site.
    pub site: Option<SiteId>,
    /// The line: the cell's, else the order's.
    pub line: Option<LineId>,
    /// The cell.
    pub cell: Option<CellId>,
    /// The product.
    pub product: Option<ProductId>,
    /// The crew that the operation was given to.
    pub team: Option<String>,
}

/// One version of a fact.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// What it is a version of: an id, unique in its kind.
    pub id: Vec<u8>,
    /// The position of the event that made this version.
    pub position: u64,
    /// When this version was recorded, milliseconds.
    pub recorded: i64,
    /// When the next one was, or [`OPEN`].
    pub superseded: i64,
    /// When it was: a moment is one millisecond long.
    pub span: Span,
    /// Where.
    pub place: Place,
    /// What.
    pub body: Body,
}

impl Fact {
    /// Was this the version that counted at that recorded time?
    pub fn visible(&self, at: i64) -> bool {
        self.recorded <= at && at < self.superseded
    }
}

/// The tables, with what the projection itself needs to find rows.
pub const TABLES: &str = "
    CREATE TABLE fact (
        kind INTEGER NOT NULL, id BLOB NOT NULL, position INTEGER NOT NULL, recorded_at INTEGER NOT NULL,
        superseded_at INTEGER NOT NULL, started_at INTEGER NOT NULL, ended_at INTEGER NOT NULL,
        site TEXT, line TEXT, cell TEXT, product TEXT, team TEXT, body TEXT NOT NULL,
        PRIMARY KEY (kind, id, position)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX fact_running ON fact (cell, kind)
        WHERE ended_at = 9223372036854775807 AND superseded_at = 9223372036854775807;
    CREATE TABLE tracked (id BLOB PRIMARY KEY, doc TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE draft (
        id BLOB PRIMARY KEY, schema INTEGER NOT NULL, payload BLOB NOT NULL, position INTEGER NOT NULL,
        version INTEGER NOT NULL, occurred_at INTEGER NOT NULL, recorded_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;";

/// What queries need.
pub const INDEXES: &str = "CREATE INDEX fact_ended ON fact (ended_at, superseded_at, started_at);";

const COLUMNS: &str =
    "id, position, recorded_at, superseded_at, started_at, ended_at, site, line, cell, product, team, body";

fn read(r: &Row<'_>) -> rusqlite::Result<Fact> {
    fn code<T: std::str::FromStr>(r: &Row<'_>, at: usize) -> rusqlite::Result<Option<T>> {
        Ok(r.get_ref(at)?.as_str_or_null()?.and_then(|t| t.parse().ok()))
    }
    let text: String = r.get(11)?;
    let body = serde_json::from_str(&text)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(11, rusqlite::types::Type::Text, Box::new(e)))?;
    Ok(Fact {
        id: r.get(0)?,
        position: r.get::<_, i64>(1)? as u64,
        recorded: r.get(2)?,
        superseded: r.get(3)?,
        span: Span::new(r.get(4)?, r.get(5)?),
        place: Place {
            site: code(r, 6)?,
            line: code(r, 7)?,
            cell: code(r, 8)?,
            product: code(r, 9)?,
            team: r.get(10)?,
        },
        body,
    })
}

/// The version of a fact that counts now.
pub fn current(conn: &Connection, kind: u8, id: &[u8]) -> rusqlite::Result<Option<Fact>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM fact WHERE kind = ?1 AND id = ?2 AND superseded_at = ?3"))?
        .query_row(params![kind, id, OPEN], read)
        .optional()
}

/// What has not ended on a cell, of one kind.
pub fn running(conn: &Connection, cell: &CellId, kind: u8) -> rusqlite::Result<Vec<Fact>> {
    let mut st = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM fact WHERE cell = ?1 AND kind = ?2 AND ended_at = 9223372036854775807
         AND superseded_at = 9223372036854775807 ORDER BY id"
    ))?;
    st.query_map(params![cell.as_str(), kind], read)?.collect()
}

/// Ends the version that counts; nothing takes its place unless [`put`] follows.
pub fn retract(conn: &Connection, kind: u8, id: &[u8], recorded: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE fact SET superseded_at = ?3 WHERE kind = ?1 AND id = ?2 AND superseded_at = ?4")?
        .execute(params![kind, id, recorded, OPEN])?;
    Ok(())
}

/// Writes a new version.
pub fn put(conn: &Connection, f: &Fact) -> rusqlite::Result<()> {
    let kind = f.body.kind();
    retract(conn, kind, &f.id, f.recorded)?;
    let body = serde_json::to_string(&f.body).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
    conn.prepare_cached("INSERT OR REPLACE INTO fact VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)")?.execute(
        params![
            kind,
            f.id,
            f.position as i64,
            f.recorded,
            f.superseded,
            f.span.from,
            f.span.until,
            f.place.site.as_ref().map(|c| c.as_str()),
            f.place.line.as_ref().map(|c| c.as_str()),
            f.place.cell.as_ref().map(|c| c.as_str()),
            f.place.product.as_ref().map(|c| c.as_str()),
            f.place.team,
            body,
        ],
    )?;
    Ok(())
}

/// Every version of what the scope holds and touches the span, attendance of everybody too: it
/// counts only for people whose sessions are in scope. Versions of one fact stand together, in order.
pub fn load(conn: &Connection, scope: &Scope, span: Span, only: Option<&SiteId>) -> rusqlite::Result<Vec<Fact>> {
    // A version that was replaced before the span began counts for no revision of it.
    let mut sql = Sql::new(format!(
        "SELECT {COLUMNS} FROM fact f WHERE f.started_at < ?2 AND f.superseded_at > ?1
         AND ((f.ended_at > ?1 AND f.ended_at < {OPEN}) OR (f.ended_at = {OPEN} AND f.superseded_at > ?1))"
    ));
    sql.bind(span.from);
    sql.bind(span.until);
    sql.push(" AND (f.kind = 9 OR (1");
    at_sites(&mut sql, "f.site", scope);
    if let Some(site) = only {
        let place = sql.bind(site.as_str().to_owned());
        sql.push(&format!(" AND f.site = {place}"));
    }
    sql.push(")) ORDER BY f.kind, f.id, f.position");
    let mut all = Vec::new();
    sql.each(conn, |r| {
        all.push(read(r)?);
        Ok(())
    })?;
    Ok(all)
}
