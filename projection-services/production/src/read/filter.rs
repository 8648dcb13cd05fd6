//! What a list of work orders can be narrowed by (RM-01): one table of parameters, each with the
//! values it takes. The API's documentation and its refusals come from the same table.

use mw_contract::{Instant, OrderType, OriginKind, ReferenceKind, WorkOrderState};
use rusqlite::Connection;
use rusqlite::types::Value;

pub use mw_views::read::filter::BadValue;
use mw_views::read::filter::unknown;

use super::Sql;
use crate::columns::LATENESS;

/// What values a filter takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Takes {
    /// States.
    State,
    /// Order types.
    OrderType,
    /// Kinds of origin.
    Origin,
    /// Codes of reference documents of this kind, known ones.
    Reference(ReferenceKind),
    /// Codes of any form.
    Code,
    /// Priorities, 1 to 4.
    Priority,
    /// `true` or `false`.
    Bool,
    /// An instant.
    Instant,
    /// Free text.
    Text,
}

/// A filter.
pub struct Filter {
    /// The parameter.
    pub name: &'static str,
    /// Its values; several, separated by commas, unless it is a bool, an instant or text.
    pub takes: Takes,
    /// What it does.
    pub about: &'static str,
    column: &'static str,
}

const fn filter(name: &'static str, takes: Takes, column: &'static str, about: &'static str) -> Filter {
    Filter { name, takes, about, column }
}

/// Every filter of the list.
pub const FILTERS: &[Filter] = &[
    filter("state", Takes::State, "w.state", "states"),
    filter("site", Takes::Reference(ReferenceKind::Site), "w.site", "sites"),
    filter("line", Takes::Reference(ReferenceKind::Line), "w.line", "lines"),
    filter("product", Takes::Reference(ReferenceKind::Product), "w.product", "products"),
    filter("order_type", Takes::OrderType, "w.order_type", "order types"),
    filter("customer", Takes::Reference(ReferenceKind::Customer), "w.customer", "customers"),
    filter("priority", Takes::Priority, "w.priority", "priorities, 1 is the most urgent"),
    filter("due_from", Takes::Instant, "w.due_at", "due at this time or later"),
    filter("due_to", Takes::Instant, "w.due_at", "due before or at this time"),
    filter("late", Takes::Bool, LATENESS, "behind its due date, or finished behind it"),
    filter("short", Takes::Bool, "w.shortages", "material is missing"),
    filter("origin", Takes::Origin, "w.origin_kind", "what caused the order"),
    filter("open_ncr", Takes::Bool, "w.open_ncr", "a nonconformance is open"),
    filter("has_ticket", Takes::Bool, "w.has_ticket", "caused by a repair ticket"),
    filter("q", Takes::Text, "w.search", "text in the number or the sales order's reference"),
];

/// A filter with its values, checked.
#[derive(Clone, Debug)]
pub struct Checked {
    filter: usize,
    values: Vec<Value>,
}

fn names<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str) -> Vec<String> {
    all.iter().map(|t| name(*t).to_owned()).collect()
}

/// The values that a filter takes, where they are few and known beforehand.
pub fn allowed(takes: Takes) -> Vec<String> {
    match takes {
        Takes::State => names(WorkOrderState::ALL, WorkOrderState::as_str),
        Takes::OrderType => names(OrderType::ALL, OrderType::as_str),
        Takes::Origin => names(OriginKind::ALL, OriginKind::as_str),
        Takes::Priority => (1..=4).map(|n| n.to_string()).collect(),
        Takes::Bool => vec!["true".into(), "false".into()],
        Takes::Reference(_) | Takes::Code | Takes::Instant | Takes::Text => Vec::new(),
    }
}

impl Filter {
    /// Reads a parameter's text. Whether codes are known is checked by [`Checked::unknown_code`].
    pub fn read(name: &str, text: &str) -> Option<Result<Checked, BadValue>> {
        let at = FILTERS.iter().position(|f| f.name == name)?;
        let f = &FILTERS[at];
        let bad = |message: String| BadValue { parameter: name.to_owned(), message, allowed: allowed(f.takes) };
        let single = matches!(f.takes, Takes::Bool | Takes::Instant | Takes::Text);
        let parts: Vec<&str> = if single { vec![text.trim()] } else { text.split(',').map(str::trim).collect() };
        let one = |s: &str| -> Result<Value, BadValue> {
            let unknown = || bad(format!("{s:?} is not one of its values"));
            let number = |n: Option<u8>| n.map(|n| Value::Integer(i64::from(n))).ok_or_else(unknown);
            match f.takes {
                Takes::State => number(s.parse::<WorkOrderState>().ok().map(WorkOrderState::number)),
                Takes::OrderType => number(s.parse::<OrderType>().ok().map(OrderType::number)),
                Takes::Origin => number(s.parse::<OriginKind>().ok().map(OriginKind::number)),
                Takes::Priority => number(s.parse().ok().filter(|n| (1..=4).contains(n))),
                Takes::Bool => match s {
                    "true" => Ok(Value::Integer(1)),
                    "false" => Ok(Value::Integer(0)),
                    _ => Err(unknown()),
                },
                Takes::Instant => match s.parse::<Instant>() {
                    Ok(t) => Ok(Value::Integer(t.millis())),
                    Err(e) => Err(bad(format!("{s:?}: {e}; write it as 2026-03-02T09:00:00Z"))),
                },
                Takes::Reference(_) | Takes::Code => match mw_contract::Code::new(s) {
                    Ok(c) => Ok(Value::Text(c.to_string())),
                    Err(e) => Err(bad(format!("{s:?}: {e}"))),
                },
                Takes::Text if s.chars().count() > 100 => Err(bad("is longer than 100 characters".into())),
                Takes::Text => Ok(Value::Text(s.to_lowercase())),
            }
        };
        Some(parts.into_iter().map(one).collect::<Result<Vec<_>, _>>().map(|values| Checked { filter: at, values }))
    }
}

impl Checked {
    /// A code of this filter that no reference document has, with those that there are.
    pub fn unknown_code(&self, conn: &Connection) -> rusqlite::Result<Option<BadValue>> {
        let f = &FILTERS[self.filter];
        let Takes::Reference(kind) = f.takes else { return Ok(None) };
        for v in &self.values {
            let Value::Text(code) = v else { continue };
            if let Some((message, allowed)) = unknown(conn, kind, f.name, code)? {
                return Ok(Some(BadValue { parameter: f.name.to_owned(), message, allowed }));
            }
        }
        Ok(None)
    }

    /// Adds ` AND …`. `:now` stands for the moment of the query.
    pub(crate) fn apply(&self, sql: &mut Sql) {
        let f = &FILTERS[self.filter];
        sql.push(" AND ");
        match (f.name, f.takes, self.values.first()) {
            ("due_from", _, Some(v)) => {
                let place = sql.bind(v.clone());
                sql.push(&format!("w.due_at >= {place}"));
            }
            ("due_to", _, Some(v)) => {
                let place = sql.bind(v.clone());
                sql.push(&format!("w.due_at <= {place}"));
            }
            (_, Takes::Bool, Some(v)) => {
                let wanted = matches!(v, Value::Integer(1));
                // Null (the lateness of a cancelled order) is neither.
                sql.push(&format!("COALESCE({} > 0, 0) = {}", f.column, i64::from(wanted)));
            }
            (_, Takes::Text, Some(Value::Text(t))) => {
                let place = sql.bind(t.clone());
                sql.push(&format!("instr({}, {place}) > 0", f.column));
            }
            _ => sql.one_of(f.column, self.values.iter().cloned()),
        }
    }
}
