//! How old the open tickets are (RM-16). Age is from the report; the time that they waited is beside.

use mw_contract::ReferenceKind;
use mw_policy::Scope;
use mw_views::columns::{Kind, field, hours};
use mw_views::read::page::Direction;
use mw_views::read::table::{LINE, Own, Query, SITE, Table, Takes, narrow};
use rusqlite::Connection;
use serde_json::{Value, json};

use super::OWN;
use super::lists::Q;
use super::lists::{BUCKET, BUCKETS, HELD, kinds, states};

/// Where the machine stands, or where the unit was made. `a` is a JSON object of lines by machine, the id in
/// hexadecimal.
const AT_LINE: &str = "COALESCE((SELECT l.value FROM json_each(p.a) l WHERE l.key = hex(t.equipment)), t.line)";

const TICKETS_OF_PRODUCT: Takes = Takes::Reference(ReferenceKind::Product);

/// The open tickets, for their filters.
pub static BACKLOG: Table = Table {
    name: "backlog",
    from: "ticket t",
    only: "t.open = 1",
    site: "t.site",
    own: Own { customer: None, ..OWN },
    fields: &[
        field("bucket", BUCKET, Kind::Text, false),
        field("count", "1", Kind::Int, false),
        field("estimated_hours", "COALESCE(t.effort, 0) * 1000", Kind::Hours, false),
        field("hold_hours", HELD, Kind::Hours, false),
    ],
    filters: &[
        Q,
        narrow("kind", "t.kind", Takes::Words(kinds), "kinds"),
        narrow("team", "t.team", Takes::Codes, "teams"),
        narrow("line", AT_LINE, LINE, "the line of the machine, or that made the unit"),
        narrow("state", "t.state", Takes::Words(states), "states"),
        narrow("site", "t.site", SITE, "sites"),
        narrow("product", "t.product", TICKETS_OF_PRODUCT, "products"),
    ],
    order: (&["t.opened_at"], Direction::Ascending),
    key: &["t.seq"],
};

/// What some tickets come to.
#[derive(Clone, Copy, Default)]
struct Sum {
    count: i64,
    effort_ms: i64,
    held_ms: i64,
    unestimated: i64,
}

impl Sum {
    fn add(&mut self, other: Sum) {
        self.count += other.count;
        self.effort_ms += other.effort_ms;
        self.held_ms += other.held_ms;
        self.unestimated += other.unestimated;
    }

    fn shown(self, mut beside: Value) -> Value {
        beside["count"] = json!(self.count);
        beside["estimated_hours"] = json!(hours(self.effort_ms));
        beside["hold_hours"] = json!(hours(self.held_ms));
        beside["unestimated"] = json!(self.unestimated);
        beside
    }
}

/// Each bucket, also an empty one, with its count and hours in all, and by state, team and line.
///
/// # Errors
/// SQLite's.
pub fn backlog(conn: &Connection, scope: &Scope, q: &Query) -> rusqlite::Result<Vec<Value>> {
    type Parts = [Vec<(Value, Sum)>; 3];
    let columns = format!(
        "{BUCKET}, t.state, t.team, {AT_LINE}, COUNT(*), SUM(COALESCE(t.effort, 0)) * 1000, SUM({HELD}),
            SUM(t.effort IS NULL)"
    );
    let mut sql = BACKLOG.select(conn, scope, q, &columns)?;
    sql.push(" GROUP BY 1, 2, 3, 4 ORDER BY 2, 3, 4");
    let mut all: Vec<(Sum, Parts)> = BUCKETS.iter().map(|_| Default::default()).collect();
    sql.each(conn, |r| {
        let bucket: String = r.get(0)?;
        let sum = Sum { count: r.get(4)?, effort_ms: r.get(5)?, held_ms: r.get(6)?, unestimated: r.get(7)? };
        let Some((total, parts)) = BUCKETS.iter().position(|b| **b == bucket).and_then(|i| all.get_mut(i)) else {
            return Ok(());
        };
        total.add(sum);
        for (i, part) in parts.iter_mut().enumerate() {
            let name = json!(r.get::<_, Option<String>>(i + 1)?);
            match part.iter_mut().find(|(n, _)| *n == name) {
                Some((_, s)) => s.add(sum),
                None => part.push((name, sum)),
            }
        }
        Ok(())
    })?;
    let of = |name: &str, mut part: Vec<(Value, Sum)>| -> Value {
        // What has no team or line stands behind those that have.
        part.sort_by_key(|(n, _)| (n.is_null(), n.as_str().map(str::to_owned)));
        part.into_iter().map(|(n, s)| s.shown(json!({name: n}))).collect()
    };
    let shown = |(bucket, (total, [state, team, line])): (&&str, (Sum, Parts))| {
        let parts = json!({"bucket": bucket, "by_state": of("state", state), "by_team": of("team", team),
            "by_line": of("line", line)});
        total.shown(parts)
    };
    Ok(BUCKETS.iter().zip(all).map(shown).collect())
}
