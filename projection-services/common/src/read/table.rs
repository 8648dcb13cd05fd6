//! Pages of any list that is described by a [`Table`]: fields, filters, an order and the scope.
//!
//! A page continues behind the values of the last row of the one before it, not behind a count.

use mw_contract::{Date, Instant, ReferenceKind};
use mw_policy::Scope;
use rusqlite::Connection;
use rusqlite::types::Value;

use super::filter::BadValue;
use super::page::{After, Direction, Format, heading_of, write_csv, write_json};
use super::{Sql, at_sites};
use crate::columns::{Field, Kind};

/// A list.
pub struct Table {
    /// Its name, for files.
    pub name: &'static str,
    /// What stands behind `FROM`, but for `p`: one row with `now` (the moment of the query), `me`
    /// (who asks), `a` and `b` (whatever the list needs).
    pub from: &'static str,
    /// What every row must be.
    pub only: &'static str,
    /// The site of a row.
    pub site: &'static str,
    /// Whose it is, for scopes that hold only one's own.
    pub own: Own,
    /// What is shown.
    pub fields: &'static [Field],
    /// What it can be narrowed by.
    pub filters: &'static [Narrow],
    /// The order unless another is asked for; never null.
    pub order: (&'static [&'static str], Direction),
    /// What tells rows apart; never null.
    pub key: &'static [&'static str],
}

/// Whose a row is, as SQL expressions. A scope that asks for what a list does not have holds nothing
/// of it.
#[derive(Clone, Copy)]
pub struct Own {
    /// The account that sent or did it.
    pub account: Option<&'static str>,
    /// The customer that it belongs to.
    pub customer: Option<&'static str>,
    /// Whether it is of the plant itself and of no customer.
    pub internal: Option<&'static str>,
}

impl Own {
    /// Nobody's own.
    pub const NONE: Own = Own { account: None, customer: None, internal: None };

    /// Adds ` AND …` for a scope; `me` stands for who asks. A customer's own things count wherever
    /// they are, so its sites are not looked at.
    pub fn narrow(&self, sql: &mut Sql, scope: &Scope, me: &str) {
        let none = || " AND 0".to_owned();
        if scope.own_account_only {
            sql.push(&self.account.map_or_else(none, |a| format!(" AND {a} = {me}")));
        }
        if let Some(c) = &scope.customer {
            let place = sql.bind(c.as_str().to_owned());
            sql.push(&self.customer.map_or_else(none, |own| format!(" AND {own} = {place}")));
        }
        if scope.internal_only {
            sql.push(&self.internal.map_or_else(none, |i| format!(" AND {i}")));
        }
    }
}

/// A filter.
pub struct Narrow {
    /// The parameter.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// The SQL expression that it looks at.
    pub sql: &'static str,
    /// What values it takes.
    pub takes: Takes,
}

/// What values a filter takes; several, separated by commas, where it says so.
pub enum Takes {
    /// Several of these words, each with what stands for it in SQL.
    Words(fn() -> Vec<(String, Value)>),
    /// Several codes of reference documents of this kind, known ones.
    Reference(ReferenceKind),
    /// Several codes of any form.
    Codes,
    /// Several texts as people write them, such as lots.
    Texts,
    /// An instant: this or later.
    From,
    /// An instant: this or earlier.
    To,
    /// A day of the site's time zone; the other expression is where the row ends.
    Day(&'static str),
    /// `true` or `false`: whether the expression holds.
    Flag,
    /// Free text that stands somewhere in the expression, which is in small letters.
    Contains,
}

/// A filter with its values, checked.
#[derive(Clone)]
pub struct Narrowed {
    filter: &'static Narrow,
    values: Vec<Value>,
}

/// What is asked for.
pub struct Query {
    /// Which rows.
    pub filters: Vec<Narrowed>,
    /// In which order, if not the usual one.
    pub sort: Option<(&'static Field, Direction)>,
    /// Continue after this.
    pub after: Option<After>,
    /// At most so many.
    pub limit: usize,
    /// The moment for what depends on the clock.
    pub now: Instant,
    /// Who asks.
    pub me: String,
    /// `a` and `b`.
    pub given: (Value, Value),
}

/// One row as text, and where it stands in the order.
pub struct Row {
    /// JSON object or line of CSV.
    pub text: Vec<u8>,
    /// The values that it is sorted by, and its key.
    pub place: After,
}

/// A page.
pub struct Page {
    /// Its rows.
    pub rows: Vec<Row>,
    /// Is there another?
    pub more: bool,
}

impl Query {
    /// The same question with other values for `a` and `b`.
    #[must_use]
    pub fn with(&self, given: (Value, Value)) -> Query {
        Query { filters: self.filters.clone(), after: self.after.clone(), me: self.me.clone(), given, ..*self }
    }
}

impl Page {
    /// Where the next page begins, if there is one.
    pub fn next(&self) -> Option<After> {
        self.rows.last().filter(|_| self.more).map(|r| r.place.clone())
    }

    /// The rows one after the other: JSON with commas between, CSV as it is.
    pub fn text(&self, format: Format) -> Vec<u8> {
        let texts: Vec<&[u8]> = self.rows.iter().map(|r| r.text.as_slice()).collect();
        texts.join(if format == Format::Json { &b","[..] } else { &b""[..] })
    }
}

impl Narrow {
    /// The values that it takes, where they are few and known beforehand.
    pub fn allowed(&self) -> Vec<String> {
        match self.takes {
            Takes::Words(words) => words().into_iter().map(|(w, _)| w).collect(),
            Takes::Flag => vec!["true".into(), "false".into()],
            _ => Vec::new(),
        }
    }

    /// Reads the values of a parameter.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(&'static self, text: &str) -> Result<Narrowed, BadValue> {
        let bad = |message: String| BadValue { parameter: self.name.to_owned(), message, allowed: self.allowed() };
        let single = matches!(self.takes, Takes::From | Takes::To | Takes::Day(_) | Takes::Flag | Takes::Contains);
        let parts: Vec<&str> = if single { vec![text.trim()] } else { text.split(',').map(str::trim).collect() };
        let one = |s: &str| -> Result<Value, BadValue> {
            let unknown = || bad(format!("{s:?} is not one of its values"));
            match self.takes {
                Takes::Words(words) => words().into_iter().find(|(w, _)| w == s).map(|(_, v)| v).ok_or_else(unknown),
                Takes::Reference(_) | Takes::Codes => {
                    let code = s.parse::<mw_contract::Code>();
                    code.map(|c| Value::Text(c.to_string())).map_err(|_| bad(format!("{s:?} is not a code")))
                }
                Takes::Texts => Ok(Value::Text(s.to_owned())),
                Takes::Contains if s.chars().count() > 100 => Err(bad("is longer than 100 characters".into())),
                Takes::Contains => Ok(Value::Text(s.to_lowercase())),
                Takes::From | Takes::To => match s.parse::<Instant>() {
                    Ok(t) => Ok(Value::Integer(t.millis())),
                    Err(e) => Err(bad(format!("{s:?} is {e}"))),
                },
                Takes::Day(_) => match s.parse::<Date>() {
                    Ok(d) => Ok(Value::Text(d.to_string())),
                    Err(e) => Err(bad(format!("{s:?} is {e}"))),
                },
                Takes::Flag => match s {
                    "true" => Ok(Value::Integer(1)),
                    "false" => Ok(Value::Integer(0)),
                    _ => Err(unknown()),
                },
            }
        };
        Ok(Narrowed { filter: self, values: parts.into_iter().map(one).collect::<Result<_, _>>()? })
    }
}

impl Narrowed {
    /// A code of this filter that no reference document has, with those that there are.
    pub fn unknown_code(&self, conn: &Connection) -> rusqlite::Result<Option<BadValue>> {
        let Takes::Reference(kind) = self.filter.takes else { return Ok(None) };
        for v in &self.values {
            let Value::Text(code) = v else { continue };
            if let Some((message, allowed)) = super::filter::unknown(conn, kind, self.filter.name, code)? {
                return Ok(Some(BadValue { parameter: self.filter.name.to_owned(), message, allowed }));
            }
        }
        Ok(None)
    }

    fn apply(&self, conn: &Connection, sql: &mut Sql, site: &str) -> rusqlite::Result<()> {
        let (f, first) = (self.filter, self.values.first());
        sql.push(" AND ");
        match (&f.takes, first) {
            (Takes::From, Some(v)) => {
                let place = sql.bind(v.clone());
                sql.push(&format!("{} >= {place}", f.sql));
            }
            (Takes::To, Some(v)) => {
                let place = sql.bind(v.clone());
                sql.push(&format!("{} <= {place}", f.sql));
            }
            (Takes::Contains, Some(v)) => {
                let place = sql.bind(v.clone());
                sql.push(&format!("instr({}, {place}) > 0", f.sql));
            }
            (Takes::Flag, Some(v)) => {
                let wanted = i64::from(matches!(v, Value::Integer(1)));
                sql.push(&format!("COALESCE({}, 0) = {wanted}", f.sql));
            }
            (Takes::Day(end), Some(Value::Text(day))) => {
                let Ok(day) = day.parse::<Date>() else {
                    sql.push("0");
                    return Ok(());
                };
                let mut st = conn.prepare_cached("SELECT code, zone FROM place WHERE kind = 'site'")?;
                let zones = st.query_map([], |r| Ok((r.get::<_, String>(0)?, r.get::<_, Option<String>>(1)?)))?;
                sql.push("(0");
                for zone in zones {
                    let (code, zone) = zone?;
                    let (from, to) = day.span_in(zone.as_deref().unwrap_or("UTC"));
                    let code = sql.bind(code);
                    let (from, to) = (sql.bind(from.millis()), sql.bind(to.millis()));
                    sql.push(&format!(" OR ({site} = {code} AND {} < {to} AND {end} >= {from})", f.sql));
                }
                sql.push(")");
            }
            _ => sql.one_of(f.sql, self.values.iter().cloned()),
        }
        Ok(())
    }
}

impl Table {
    /// The filter of this name.
    pub fn filter(&'static self, name: &str) -> Option<&'static Narrow> {
        self.filters.iter().find(|f| f.name == name)
    }

    /// Reads `field` or `-field`.
    ///
    /// # Errors
    /// The fields that there are.
    pub fn sort(&'static self, text: &str) -> Result<(&'static Field, Direction), BadValue> {
        let (name, direction) = match text.strip_prefix('-') {
            Some(rest) => (rest, Direction::Descending),
            None => (text, Direction::Ascending),
        };
        let sortable = || self.fields.iter().filter(|f| f.kind != Kind::Json);
        sortable().find(|f| f.name == name).map(|f| (f, direction)).ok_or_else(|| BadValue {
            parameter: "sort".into(),
            message: format!("there is no field {name:?} to sort by"),
            allowed: sortable().map(|f| f.name.to_owned()).collect(),
        })
    }

    /// The heading of the CSV form.
    pub fn heading(&self) -> String {
        heading_of(self.fields)
    }

    /// `… FROM … WHERE …` for what the scope holds and the filters leave, behind `SELECT columns`.
    ///
    /// # Errors
    /// SQLite's.
    pub fn select(&self, conn: &Connection, scope: &Scope, q: &Query, columns: &str) -> rusqlite::Result<Sql> {
        let mut sql = Sql::new(format!("SELECT {columns} FROM ("));
        let (now, me) = (sql.bind(q.now.millis()), sql.bind(q.me.clone()));
        let (a, b) = (sql.bind(q.given.0.clone()), sql.bind(q.given.1.clone()));
        let (from, only) = (self.from, self.only);
        sql.push(&format!("SELECT {now} AS now, {me} AS me, {a} AS a, {b} AS b) p, {from} WHERE ({only})"));
        if scope.customer.is_none() {
            at_sites(&mut sql, self.site, scope);
        }
        self.own.narrow(&mut sql, scope, "p.me");
        for f in &q.filters {
            f.apply(conn, &mut sql, self.site)?;
        }
        // Expressions that the list of work orders has too.
        sql.replace(":now", "p.now");
        Ok(sql)
    }

    /// Reads a page of what the scope holds.
    pub fn page(&self, conn: &Connection, scope: &Scope, q: &Query, format: Format) -> rusqlite::Result<Page> {
        let mut places: Vec<String> = match q.sort {
            None => self.order.0.iter().map(|e| (*e).to_owned()).collect(),
            // A null has no place in a comparison, so whether there is a value comes first.
            Some((f, _)) if f.nullable => vec![format!("({} IS NOT NULL)", f.sql), format!("COALESCE({}, 0)", f.sql)],
            Some((f, _)) => vec![f.sql.to_owned()],
        };
        places.extend(self.key.iter().map(|k| (*k).to_owned()));
        let direction = q.sort.map_or(self.order.1, |(_, d)| d);
        let mut columns: Vec<&str> = self.fields.iter().map(|f| f.sql).collect();
        let shown = columns.len();
        columns.extend(places.iter().map(String::as_str));
        let mut sql = self.select(conn, scope, q, &columns.join(", "))?;
        let (behind, way) = if direction == Direction::Ascending { (">", "") } else { ("<", " DESC") };
        match &q.after {
            Some(after) if after.len() == places.len() => {
                let values: Vec<String> = after.iter().map(|v| sql.bind(v.clone())).collect();
                sql.push(&format!(" AND ({}) {behind} ({})", places.join(", "), values.join(", ")));
            }
            // A cursor of another shape selects nothing.
            Some(_) => sql.push(" AND 0"),
            None => {}
        }
        let order: Vec<String> = places.iter().map(|p| format!("{p}{way}")).collect();
        // One more than asked for shows whether there is a next page.
        sql.push(&format!(" ORDER BY {} LIMIT {}", order.join(", "), q.limit + 1));
        let mut page = Page { rows: Vec::new(), more: false };
        sql.each(conn, |r| {
            if page.rows.len() == q.limit {
                page.more = true;
                return Ok(());
            }
            let mut text = Vec::with_capacity(256);
            match format {
                Format::Json => write_json(self.fields, &mut text, r, false)?,
                Format::Csv => write_csv(self.fields, &mut text, r)?,
            }
            let place = (shown..shown + places.len()).map(|i| r.get(i)).collect::<rusqlite::Result<_>>()?;
            page.rows.push(Row { text, place });
            Ok(())
        })?;
        Ok(page)
    }
}

/// One filter.
pub const fn narrow(name: &'static str, sql: &'static str, takes: Takes, about: &'static str) -> Narrow {
    Narrow { name, about, sql, takes }
}

/// Words that stand for themselves.
pub fn words(all: impl IntoIterator<Item = &'static str>) -> Vec<(String, Value)> {
    all.into_iter().map(|w| (w.to_owned(), Value::Text(w.to_owned()))).collect()
}

/// The numbers from 1.
pub fn numbers(to: u8) -> Vec<(String, Value)> {
    (1..=to).map(|n| (n.to_string(), Value::Integer(i64::from(n)))).collect()
}

/// Priorities, 1 is the most urgent.
pub fn priorities() -> Vec<(String, Value)> {
    numbers(4)
}

/// Known sites.
pub const SITE: Takes = Takes::Reference(ReferenceKind::Site);
/// Known lines.
pub const LINE: Takes = Takes::Reference(ReferenceKind::Line);
/// Known products.
pub const PRODUCT: Takes = Takes::Reference(ReferenceKind::Product);
