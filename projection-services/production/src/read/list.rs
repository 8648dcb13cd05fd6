//! Pages of work orders (RM-01).
//!
//! A page continues where the one before it ended, by the values of its last row and not by a
//! count, so that orders which come and go meanwhile neither repeat nor hide others.

use mw_contract::Instant;
use mw_policy::Scope;
use rusqlite::Connection;
use rusqlite::types::Value;

use super::filter::{BadValue, Checked};
use super::{Sql, at_sites};
use crate::columns::{FIELDS, Field, Kind, field_named};
pub use mw_views::read::page::{After, Direction, Format};
use mw_views::read::page::{heading_of, write_csv, write_json};

/// The order of a list.
#[derive(Clone, Copy)]
pub enum Sort {
    /// By priority, then by due date.
    Default,
    /// By one field.
    By(&'static Field, Direction),
}

impl Sort {
    /// Reads `field` or `-field`.
    pub fn read(text: &str) -> Result<Sort, BadValue> {
        let (name, direction) = match text.strip_prefix('-') {
            Some(rest) => (rest, Direction::Descending),
            None => (text, Direction::Ascending),
        };
        match field_named(name).filter(|f| f.name != "id") {
            Some(f) => Ok(Sort::By(f, direction)),
            None => Err(BadValue {
                parameter: "sort".into(),
                message: format!("there is no field {name:?}"),
                allowed: FIELDS.iter().map(|f| f.name).filter(|n| *n != "id").map(str::to_owned).collect(),
            }),
        }
    }
}

/// What is asked for.
pub struct Query {
    /// Which orders.
    pub filters: Vec<Checked>,
    /// In which order.
    pub sort: Sort,
    /// Continue after this.
    pub after: Option<After>,
    /// At most so many.
    pub limit: usize,
    /// The moment for columns that depend on the clock.
    pub now: Instant,
}

/// A page.
pub struct Page {
    /// The rows as text.
    pub rows: Vec<u8>,
    /// How many.
    pub count: usize,
    /// Where the next page begins, if there is one.
    pub next: Option<After>,
}

/// The heading of the CSV form.
pub fn csv_heading() -> String {
    heading_of(FIELDS)
}

/// Reads a page of what the scope holds.
pub fn list(conn: &Connection, scope: &Scope, q: &Query, format: Format) -> rusqlite::Result<Page> {
    let mut sql = Sql::new("");
    // Place 1, whatever columns need it.
    sql.bind(q.now.millis());
    let mut columns: Vec<&str> = Vec::with_capacity(FIELDS.len() + 4);
    for f in FIELDS {
        columns.push(f.sql);
        if f.kind == Kind::Origin {
            columns.push("w.origin_id");
        }
    }
    let shown = columns.len();
    let keys: Vec<&str> = match q.sort {
        Sort::Default => vec!["w.priority", "w.due_at", "w.seq"],
        Sort::By(f, _) => vec![f.sql, "w.seq"],
    };
    columns.extend(&keys);
    sql.push(&format!("SELECT {} FROM work_order w WHERE 1", columns.join(", ")));
    at_sites(&mut sql, "w.site", scope);
    if let Some(c) = &scope.customer {
        let place = sql.bind(c.as_str().to_owned());
        sql.push(&format!(" AND w.customer = {place}"));
    }
    for f in &q.filters {
        f.apply(&mut sql);
    }
    if let Some(after) = &q.after {
        continue_after(&mut sql, q.sort, after);
    }
    match q.sort {
        Sort::Default => sql.push(" ORDER BY w.priority, w.due_at, w.seq"),
        Sort::By(f, Direction::Ascending) => sql.push(&format!(" ORDER BY {}, w.seq", f.sql)),
        Sort::By(f, Direction::Descending) => sql.push(&format!(" ORDER BY {} DESC, w.seq DESC", f.sql)),
    }
    // One more than asked for shows whether there is a next page.
    sql.push(&format!(" LIMIT {}", q.limit + 1));
    sql.replace(":now", "?1");

    let mut page = Page { rows: Vec::with_capacity(q.limit * 512), count: 0, next: None };
    let mut last: After = Vec::new();
    sql.each(conn, |r| {
        if page.count == q.limit {
            page.next = Some(std::mem::take(&mut last));
            return Ok(());
        }
        match format {
            Format::Json => write_json(FIELDS, &mut page.rows, r, page.count > 0)?,
            Format::Csv => write_csv(FIELDS, &mut page.rows, r)?,
        }
        page.count += 1;
        last = (shown..shown + keys.len()).map(|i| r.get(i)).collect::<rusqlite::Result<_>>()?;
        Ok(())
    })?;
    Ok(page)
}

/// Adds ` AND …` for the rows behind `after`. A cursor of another shape selects nothing more than
/// the scope allows, so it needs no judging here.
fn continue_after(sql: &mut Sql, sort: Sort, after: &After) {
    match (sort, after.as_slice()) {
        (Sort::Default, [p, d, s]) => {
            let (p, d, s) = (sql.bind(p.clone()), sql.bind(d.clone()), sql.bind(s.clone()));
            sql.push(&format!(" AND (w.priority, w.due_at, w.seq) > ({p}, {d}, {s})"));
        }
        (Sort::By(f, direction), [v, s]) => {
            let e = f.sql;
            let s = sql.bind(s.clone());
            // SQLite has nulls first going up and last going down.
            match (direction, v) {
                (Direction::Ascending, Value::Null) => sql.push(&format!(" AND ({e} IS NOT NULL OR w.seq > {s})")),
                (Direction::Ascending, v) => {
                    let v = sql.bind(v.clone());
                    sql.push(&format!(" AND {e} >= {v} AND ({e} > {v} OR w.seq > {s})"));
                }
                (Direction::Descending, Value::Null) => sql.push(&format!(" AND {e} IS NULL AND w.seq < {s}")),
                (Direction::Descending, v) => {
                    let v = sql.bind(v.clone());
                    let or_null = if f.nullable { format!("{e} IS NULL OR ") } else { String::new() };
                    sql.push(&format!(" AND ({or_null}{e} < {v} OR ({e} = {v} AND w.seq < {s}))"));
                }
            }
        }
        _ => sql.push(" AND 0"),
    }
}
