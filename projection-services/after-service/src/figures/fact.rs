//! What figures are computed from: one table of intervals and moments, every version of each.

use std::fmt::Write as _;

use mw_contract::{
    AccountName, AggregateId, Code, Coverage, CustomerId, LineId, Number, ProductId, ReasonCode, ResolutionCode,
    ServiceMode, SiteId, SlaClock, TicketKind, WarrantyStatus,
};
use mw_figures::OPEN;
use mw_figures::given::{DownSince, Known};
use mw_figures::spans::Span;
use mw_policy::{Scope, Sites};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use serde::{Deserialize, Serialize};

/// What a technician's time was spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activity {
    /// Diagnosis, repair, test, maintenance.
    Work,
    /// On the way.
    Travel,
    /// Paperwork and waiting.
    Other,
}

/// How a cycle ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// With this.
    Resolved(ResolutionCode),
    /// Without service.
    Cancelled,
}

/// What a part cost, and who bears it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartCost {
    /// Who.
    pub coverage: Coverage,
    /// Of which currency.
    pub currency: String,
    /// How much.
    pub amount: Number,
}

/// What a fact says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Body {
    /// A cycle of a ticket: from its beginning until it was resolved or cancelled.
    Cycle {
        cycle: u16,
        end: Option<End>,
        /// Working time without pauses, of a resolved one.
        net: Option<i64>,
        visits: u16,
        /// Clocks with a verdict: was it met?
        clocks: Vec<(SlaClock, bool)>,
        /// Score, and what the customer would tell others.
        rating: Option<(u8, Option<u8>)>,
        /// Seconds.
        effort: Option<u64>,
        symptom: Option<ReasonCode>,
        cause: Option<ReasonCode>,
    },
    /// Somebody answered, after so many milliseconds of working time.
    Response { after: i64 },
    /// A ticket was closed.
    Closed,
    /// A ticket was reopened.
    Reopened,
    /// A technician's time. `chargeable` is known of logged time.
    Work { technician: AccountName, activity: Activity, chargeable: Option<bool> },
    /// Parts were used up.
    Parts { costs: Vec<PartCost> },
    /// The first visit began: so many lines of parts were needed, so many were there.
    Fill { needed: u32, available: u32 },
    /// A maintenance plan was due; done, and inside its tolerance?
    Due { done: Option<bool> },
    /// A machine is down, says a ticket.
    Down,
}

impl Body {
    /// The number of its kind in the table.
    pub const fn kind(&self) -> u8 {
        match self {
            Body::Cycle { .. } => 1,
            Body::Response { .. } => 2,
            Body::Closed => 3,
            Body::Reopened => 4,
            Body::Work { .. } => 5,
            Body::Parts { .. } => 6,
            Body::Fill { .. } => 7,
            Body::Due { .. } => 8,
            Body::Down => 9,
        }
    }
}

/// Whose, and for what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// The ticket, or the plan.
    pub case: AggregateId,
    /// The site.
    pub site: Option<SiteId>,
    /// What kind of ticket.
    pub kind: TicketKind,
    /// Of which product.
    pub product: Option<ProductId>,
    /// Of which unit.
    pub unit: Option<AggregateId>,
    /// The line that made the unit.
    pub line: Option<LineId>,
    /// Of which machine.
    pub equipment: Option<AggregateId>,
    /// Who does it.
    pub team: Option<Code>,
    /// For whom.
    pub customer: Option<CustomerId>,
    /// Who bears the cost.
    pub warranty: WarrantyStatus,
    /// Where it is done.
    pub mode: Option<ServiceMode>,
}

/// One version of a fact.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// What it is a version of: an id, unique in its kind.
    pub id: Vec<u8>,
    /// The position of the event that made this version.
    pub position: u64,
    /// When this version was recorded, and until when it counted.
    pub known: Known,
    /// When it was: a moment is one millisecond long.
    pub span: Span,
    /// Whose.
    pub place: Place,
    /// What.
    pub body: Body,
}

/// The tables, with what the projection itself needs to find rows.
pub const TABLES: &str = "
    CREATE TABLE fact (
        kind INTEGER NOT NULL, id BLOB NOT NULL, position INTEGER NOT NULL, recorded_at INTEGER NOT NULL,
        superseded_at INTEGER NOT NULL, started_at INTEGER NOT NULL, ended_at INTEGER NOT NULL,
        site TEXT, place_case BLOB NOT NULL, place TEXT NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (kind, id, position)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX fact_case ON fact (place_case) WHERE superseded_at = 9223372036854775807;
    CREATE TABLE tracked (id BLOB PRIMARY KEY, doc TEXT NOT NULL) STRICT, WITHOUT ROWID;";

/// What queries need.
pub const INDEXES: &str = "CREATE INDEX fact_ended ON fact (ended_at, superseded_at, started_at);";

const COLUMNS: &str = "id, position, recorded_at, superseded_at, started_at, ended_at, place, body";

fn read(r: &Row<'_>) -> rusqlite::Result<Fact> {
    fn json<T: serde::de::DeserializeOwned>(r: &Row<'_>, at: usize) -> rusqlite::Result<T> {
        serde_json::from_str(r.get_ref(at)?.as_str()?)
            .map_err(|e| rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, Box::new(e)))
    }
    Ok(Fact {
        id: r.get(0)?,
        position: r.get::<_, i64>(1)? as u64,
        known: Known { from: r.get(2)?, until: r.get(3)? },
        span: Span::new(r.get(4)?, r.get(5)?),
        place: json(r, 6)?,
        body: json(r, 7)?,
    })
}

/// The version of a fact that counts now.
pub fn current(conn: &Connection, kind: u8, id: &[u8]) -> rusqlite::Result<Option<Fact>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM fact WHERE kind = ?1 AND id = ?2 AND superseded_at = ?3"))?
        .query_row(params![kind, id, OPEN], read)
        .optional()
}

/// Every fact of a case that counts now.
pub fn of_case(conn: &Connection, case: AggregateId) -> rusqlite::Result<Vec<Fact>> {
    let mut st = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM fact WHERE place_case = ?1 AND superseded_at = 9223372036854775807 ORDER BY kind, id"
    ))?;
    st.query_map([case.as_bytes()], read)?.collect()
}

/// Ends the version that counts; nothing takes its place unless [`put`] follows.
pub fn retract(conn: &Connection, kind: u8, id: &[u8], recorded: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE fact SET superseded_at = ?3 WHERE kind = ?1 AND id = ?2 AND superseded_at = ?4")?
        .execute(params![kind, id, recorded, OPEN])?;
    Ok(())
}

/// Writes a version, unless it says what the one before it says.
pub fn put(conn: &Connection, f: &Fact) -> rusqlite::Result<()> {
    let kind = f.body.kind();
    if let Some(old) = current(conn, kind, &f.id)?
        && (old.span, &old.place, &old.body) == (f.span, &f.place, &f.body)
    {
        return Ok(());
    }
    retract(conn, kind, &f.id, f.known.from)?;
    let json =
        |v: Result<String, serde_json::Error>| v.map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)));
    conn.prepare_cached("INSERT OR REPLACE INTO fact VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)")?.execute(
        params![
            kind,
            f.id,
            f.position as i64,
            f.known.from,
            f.known.until,
            f.span.from,
            f.span.until,
            f.place.site.as_ref().map(|c| c.as_str()),
            f.place.case.as_bytes(),
            json(serde_json::to_string(&f.place))?,
            json(serde_json::to_string(&f.body))?,
        ],
    )?;
    Ok(())
}

/// Adds ` AND …` for the sites of a scope, and for one site; answers the values.
pub(crate) fn at_sites(sql: &mut String, values: &mut Vec<Value>, column: &str, scope: &Scope, only: Option<&SiteId>) {
    if let Sites::Some(sites) = &scope.sites {
        let mut places = Vec::new();
        for s in sites {
            values.push(Value::Text(s.as_str().to_owned()));
            places.push(format!("?{}", values.len()));
        }
        let _ = write!(sql, " AND {column} IN ({})", places.join(", "));
    }
    if let Some(s) = only {
        values.push(Value::Text(s.as_str().to_owned()));
        let _ = write!(sql, " AND {column} = ?{}", values.len());
    }
}

/// Every version of what the scope holds and touches the span. Versions of one fact stand
/// together, in order.
pub fn load(conn: &Connection, scope: &Scope, span: Span, only: Option<&SiteId>) -> rusqlite::Result<Vec<Fact>> {
    let mut sql = format!("SELECT {COLUMNS} FROM fact f WHERE f.ended_at > ?1 AND f.started_at < ?2");
    let mut values = vec![Value::Integer(span.from), Value::Integer(span.until)];
    at_sites(&mut sql, &mut values, "f.site", scope, only);
    sql.push_str(" ORDER BY f.kind, f.id, f.position");
    let mut st = conn.prepare_cached(&sql)?;
    let mut all: Vec<Fact> = st.query_map(params_from_iter(values), read)?.collect::<rusqlite::Result<_>>()?;
    if scope.internal_only {
        all.retain(|f| f.place.customer.is_none());
    }
    Ok(all)
}

/// What tickets say of machines that are down in a span, whatever the reader sees of the tickets.
///
/// # Errors
/// SQLite's.
pub fn down_since(conn: &Connection, span: Span) -> rusqlite::Result<Vec<DownSince>> {
    let mut st = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM fact WHERE kind = ?1 AND started_at < ?3 AND ended_at > ?2 ORDER BY id, position"
    ))?;
    let mut all = Vec::new();
    for f in st.query_map(params![Body::Down.kind(), span.from, span.until], read)? {
        let f = f?;
        let Some(equipment) = f.place.equipment else { continue };
        all.push(DownSince { equipment, since: f.span.from, until: f.span.until, known: f.known });
    }
    Ok(all)
}
