//! One page out of the pages of several contexts: rows in the order of each, cut at the limit.

use std::cmp::Ordering;

use mw_production_views::read::list::Direction;
use mw_production_views::read::table::Row;
use rusqlite::types::Value;

fn rank(v: &Value) -> u8 {
    match v {
        Value::Null => 0,
        Value::Integer(_) | Value::Real(_) => 1,
        Value::Text(_) => 2,
        Value::Blob(_) => 3,
    }
}

/// As SQLite compares.
fn compare(a: &[Value], b: &[Value]) -> Ordering {
    let one = |(a, b): (&Value, &Value)| match (a, b) {
        (Value::Integer(a), Value::Integer(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Blob(a), Value::Blob(b)) => a.cmp(b),
        _ => rank(a).cmp(&rank(b)),
    };
    a.iter().zip(b).map(one).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
}

/// Puts the rows of several pages in one order. Says whether there were more than `limit`.
pub fn merge(rows: &mut Vec<Row>, direction: Direction, limit: usize) -> bool {
    rows.sort_by(|a, b| match direction {
        Direction::Ascending => compare(&a.place, &b.place),
        Direction::Descending => compare(&b.place, &a.place),
    });
    let more = rows.len() > limit;
    rows.truncate(limit);
    more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_several_contexts_are_in_the_order_of_each() {
        let (i, t) = (Value::Integer, |s: &str| Value::Text(s.into()));
        let sorted =
            [vec![Value::Null, i(2)], vec![i(1), i(9)], vec![i(2), i(1)], vec![i(2), i(2)], vec![t("a"), i(0)]];
        for (n, a) in sorted.iter().enumerate() {
            for (m, b) in sorted.iter().enumerate() {
                assert_eq!(compare(a, b), n.cmp(&m), "{a:?} {b:?}");
            }
        }
    }
}
