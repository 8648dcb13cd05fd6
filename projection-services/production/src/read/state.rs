//! What the topics `mw/v1/{site}/state/{line}` and `…/{line}/{cell}` say: a cell as the list of
//! machines shows it (RM-05), and its line in short.

use std::collections::BTreeMap;

use mw_contract::{CellId, Instant, LineId, SiteId};
use mw_policy::Scope;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::list::Format;
use super::plant::{EQUIPMENT, LIVE};
use super::table::Query;

/// Whose state it is: a cell's, or a line's as a whole.
pub type Place = (SiteId, LineId, Option<CellId>);

/// More machines than any plant has.
const ALL: usize = 1_000_000;

/// The state of every cell and of every line that has cells. Nothing in it follows from the clock,
/// so that it changes with events alone.
///
/// # Errors
/// SQLite's.
pub fn states(conn: &Connection) -> rusqlite::Result<BTreeMap<Place, Value>> {
    let all = Query {
        filters: Vec::new(),
        sort: None,
        after: None,
        limit: ALL,
        now: Instant::clamped(0),
        me: String::new(),
        given: (rusqlite::types::Value::Null, rusqlite::types::Value::Null),
    };
    let rows = EQUIPMENT.page(conn, &Scope::everything(), &all, Format::Json)?.rows;
    let mut cells: BTreeMap<Place, Value> = BTreeMap::new();
    for row in rows {
        let mut document: Value = serde_json::from_slice(&row.text)
            .map_err(|e| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(e)))?;
        if let Some(fields) = document.as_object_mut() {
            fields.retain(|name, _| !LIVE.contains(&name.as_str()));
        }
        let text = |name: &str| document[name].as_str().unwrap_or_default();
        // Codes were checked before they came into the log.
        if let (Ok(site), Ok(line), Ok(cell)) = (text("site").parse(), text("line").parse(), text("cell").parse()) {
            cells.insert((site, line, Some(cell)), document);
        }
    }
    let mut lines: BTreeMap<Place, Vec<&Value>> = BTreeMap::new();
    for ((site, line, _), cell) in &cells {
        lines.entry((site.clone(), line.clone(), None)).or_default().push(cell);
    }
    let lines: Vec<(Place, Value)> = lines.into_iter().map(|(p, cells)| (p.clone(), in_short(&p, &cells))).collect();
    cells.extend(lines);
    Ok(cells)
}

/// A line: how many cells are in which state, which stand still, which orders are worked on.
fn in_short((site, line, _): &Place, cells: &[&Value]) -> Value {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for c in cells {
        *counts.entry(c["state"].as_str().unwrap_or("unknown")).or_default() += 1;
    }
    let named = |of: &str, keep: fn(&Value) -> bool| -> Vec<Value> {
        let mut all: Vec<Value> = cells.iter().filter(|c| keep(c)).map(|c| c[of].clone()).collect();
        all.dedup();
        all
    };
    let alarms: i64 = cells.iter().filter_map(|c| c["open_alarms"].as_i64()).sum();
    json!({
        "site": site, "line": line, "states": counts,
        "cells": cells.iter().map(|c| json!({"cell": c["cell"], "state": c["state"]})).collect::<Vec<_>>(),
        "down": named("cell", |c| !c["downtime_id"].is_null()),
        "orders": named("number", |c| !c["number"].is_null()),
        "open_alarms": alarms,
    })
}
