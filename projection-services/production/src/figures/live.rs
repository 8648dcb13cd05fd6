//! What a cell has made this hour and this shift, beside what its plan asks for by now, and its OEE
//! of the shift so far (RM-05).

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use mw_contract::{Instant, LineId, SiteId};
use mw_policy::Scope;
use rusqlite::Connection;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use super::calendar::{Cut, Documents, Window};
use super::fact::{Body, Fact, OPEN, load};
use super::kpi::figure;
use super::report::{Group, Key, Question, at};
use super::spans::Span;
use super::sums::{Scene, Sums, Windows};
use crate::columns::sort_key;

const HOUR_MS: i64 = 3_600_000;
/// The longest day of a calendar, the one on which clocks are put back.
const LONGEST_DAY_MS: i64 = 25 * HOUR_MS;

/// Each cell of the scope, by its code: `shift` (what the running one is called; the day where a
/// line has no calendar), `good_hour`, `target_hour`, `good_shift`, `target_shift`, `oee`. Quantities
/// are sort keys. A target is the planned time so far without breaks and planned stops over the
/// planned seconds of a piece: the mean of what was reported in it and has some, or else of the last
/// report that has. What
/// can't be told is left out: between shifts there is nothing of a shift.
///
/// # Errors
/// SQLite's.
pub fn live(conn: &Connection, scope: &Scope, now: Instant) -> rusqlite::Result<Value> {
    let ms = now.millis();
    // What happens at this very millisecond counts.
    let until = ms + 1;
    let span = Span::new(ms - LONGEST_DAY_MS, until);
    let all = load(conn, scope, span, None)?;
    let facts = at(&all, OPEN - 1);
    let docs = Documents::load(conn)?;
    let places: BTreeSet<_> =
        facts.iter().filter(|f| f.place.cell.is_some()).map(|f| (f.place.site.clone(), f.place.line.clone())).collect();
    let (mut hours, mut shifts) = (Windows::new(), Windows::new());
    let mut names: BTreeMap<(Option<SiteId>, Option<LineId>), Key> = BTreeMap::new();
    for place in places {
        let (site, line) = (place.0.as_ref(), place.1.as_ref());
        let hour = Span::new(hour_start(ms, &docs.zone(site, OPEN)), until);
        hours.insert(place.clone(), vec![hour]);
        if let Some(w) = shift(&docs, site, line, ms) {
            shifts.insert(place.clone(), vec![Span::new(w.span.from, until)]);
            names.insert(place, w.label);
        }
    }
    let question = Question {
        span,
        group: Some(Group::Cell),
        kpis: Vec::new(),
        site: None,
        line: None,
        cell: None,
        product: None,
        revision: None,
        now,
    };
    let sums = |windows: &Windows| -> BTreeMap<Key, Sums> {
        Scene { q: &question, docs: &docs, windows, label: &None, known: OPEN }.sums(&facts, ms)
    };
    let (of_hour, of_shift) = (sums(&hours), sums(&shifts));
    let last = last_pieces(&facts);
    let (hour_seconds, shift_seconds) = (piece_seconds(&facts, &hours), piece_seconds(&facts, &shifts));
    let mut cells = Map::new();
    for f in facts.iter().filter(|f| f.body == Body::Cell) {
        let Some(cell) = &f.place.cell else { continue };
        let key = Some(cell.to_string());
        let mut shown = Map::new();
        for (sums, seconds, good, target) in [
            (of_hour.get(&key), &hour_seconds, "good_hour", "target_hour"),
            (of_shift.get(&key), &shift_seconds, "good_shift", "target_shift"),
        ] {
            let Some(s) = sums else { continue };
            shown.insert(good.into(), json!(sort_key(s.gq)));
            let piece = seconds.get(cell.as_str()).or_else(|| last.get(cell.as_str()));
            if let Some(n) = piece.and_then(|seconds| Decimal::new(s.pbt, 3).checked_div(*seconds)).map(|n| n.floor()) {
                shown.insert(target.into(), json!(sort_key(n)));
            }
        }
        if let Some(s) = of_shift.get(&key) {
            shown.insert("shift".into(), json!(names.get(&(f.place.site.clone(), f.place.line.clone()))));
            if let Some(oee) = figure("oee", s).value {
                shown.insert("oee".into(), json!(sort_key(oee.round_dp(4))));
            }
        }
        cells.insert(cell.to_string(), Value::Object(shown));
    }
    Ok(Value::Object(cells))
}

/// When the hour of the clock on the wall began.
fn hour_start(ms: i64, zone: &TimeZone) -> i64 {
    let local = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let local = local.to_zoned_datetime(zone.clone());
    let into = (i64::from(local.minute()) * 60 + i64::from(local.second())) * 1_000 + i64::from(local.millisecond());
    ms - into
}

/// The running shift; the day where there is no calendar; nothing between shifts.
fn shift(docs: &Documents, site: Option<&SiteId>, line: Option<&LineId>, ms: i64) -> Option<Window> {
    let around = Span::new(ms - LONGEST_DAY_MS, ms + LONGEST_DAY_MS);
    let find = |cut| -> Vec<Window> { docs.windows(Some(cut), site, line, OPEN, around) };
    let holds = |w: &Window| w.span.from <= ms && ms < w.span.until;
    let shifts = find(Cut::Shift);
    if shifts.iter().any(|w| w.label.is_none()) {
        return find(Cut::Day).into_iter().find(holds);
    }
    shifts.into_iter().find(holds)
}

/// The mean planned seconds of the pieces that each cell reported in its window. What has no planned
/// time says nothing of how many there should be.
fn piece_seconds<'a>(facts: &[&'a Fact], windows: &Windows) -> BTreeMap<&'a str, Decimal> {
    let mut sums: BTreeMap<&str, (Decimal, Decimal)> = BTreeMap::new();
    for f in facts {
        let (Body::Report { fresh: true, good, scrap, rework, run_seconds, .. }, Some(cell)) = (&f.body, &f.place.cell)
        else {
            continue;
        };
        let windows = windows.get(&(f.place.site.clone(), f.place.line.clone()));
        if run_seconds.is_zero()
            || !windows.into_iter().flatten().any(|w| w.from <= f.span.from && f.span.from < w.until)
        {
            continue;
        }
        let bad: Decimal = scrap.iter().chain(rework).map(|(_, n)| n.decimal()).sum();
        let all = good.decimal() + bad;
        let sum = sums.entry(cell.as_str()).or_default();
        *sum = (sum.0 + all * run_seconds.decimal(), sum.1 + all);
    }
    let mean = |(cell, (seconds, all)): (_, (Decimal, Decimal))| {
        seconds.checked_div(all).filter(|m| !m.is_zero()).map(|m| (cell, m))
    };
    sums.into_iter().filter_map(mean).collect()
}

/// The planned seconds of a piece in the last report of each cell that has some.
fn last_pieces<'a>(facts: &[&'a Fact]) -> BTreeMap<&'a str, Decimal> {
    let mut last: BTreeMap<&str, (i64, Decimal)> = BTreeMap::new();
    for f in facts {
        let (Body::Report { run_seconds, .. }, Some(cell)) = (&f.body, &f.place.cell) else { continue };
        if run_seconds.is_zero() {
            continue;
        }
        let one = last.entry(cell.as_str()).or_insert((i64::MIN, Decimal::ZERO));
        if f.span.from >= one.0 {
            *one = (f.span.from, run_seconds.decimal());
        }
    }
    last.into_iter().map(|(cell, (_, seconds))| (cell, seconds)).collect()
}
