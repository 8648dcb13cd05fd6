//! What a question about KPIs is answered: groups, revisions, items.

use std::collections::{BTreeMap, BTreeSet};

use mw_figures::given::DownSince;
pub use mw_figures::question::{CSV, GROUPS, Group, Item, Key, PROVISIONAL_MS, Question, Revision};
use mw_policy::Scope;
use rusqlite::Connection;

use super::beside::told;
use super::calendar::Documents;
use super::fact::{Body, Fact, OPEN, load};
use super::kpi::{KPIS, figure};
use super::sums::{Keys, Part, Scene, Sums, Windows, parts};

/// Computes the answer; `down` is what tickets say of machines that are down, `head` the position of
/// the read model.
///
/// # Errors
/// SQLite's.
pub fn kpis(
    conn: &Connection,
    scope: &Scope,
    q: &Question,
    down: &[DownSince],
    head: u64,
) -> rusqlite::Result<Vec<Item>> {
    let facts = told(conn, load(conn, scope, q.span, q.site.as_ref())?, down)?;
    let docs = Documents::load(conn)?;
    let now = q.now.millis();
    let mut items = Vec::new();
    for (label, windows) in windows(&facts, &docs, q) {
        let end = windows.values().flatten().map(|w| w.until).max().unwrap_or(q.span.until);
        let final_at = end.saturating_add(PROVISIONAL_MS);
        let provisional = now < final_at;
        // What a calendar said when the figure became final holds for its revisions too.
        let known = if provisional { OPEN } else { final_at };
        let scene = Scene { q, docs: &docs, windows: &windows, label: &label, known };
        let changes = if provisional { BTreeMap::new() } else { changes(&facts, &windows, q, &label, final_at, now) };
        let newest = scene.sums(&at(&facts, OPEN - 1), now);
        let mut of_time: BTreeMap<i64, BTreeMap<Key, Sums>> = BTreeMap::new();
        let mut keys: BTreeSet<&Key> = newest.keys().chain(changes.keys()).collect();
        if keys.is_empty() && q.group.is_none() {
            keys.insert(&label);
        }
        for key in keys {
            let times: Vec<i64> = changes.get(key).into_iter().flatten().copied().collect();
            let Some(r) = Revision::chosen(q.revision, &times, provisional, final_at) else { continue };
            let then = of_time
                .entry(r.at)
                .or_insert_with(|| if r.later == 0 { newest.clone() } else { scene.sums(&at(&facts, r.at), now) });
            let sums = then.get(key).cloned().unwrap_or_default();
            let position = if r.later == 0 { head } else { position_at(&facts, r.at) };
            let wanted = KPIS.iter().filter(|k| q.wants(k.0));
            items.extend(wanted.map(|k| Item::of(k, key, figure(k.1, &sums), &r, position, q.now)));
        }
    }
    Ok(items)
}

/// The facts as they stood at a recorded time.
pub(super) fn at(facts: &[Fact], time: i64) -> Vec<&Fact> {
    facts.iter().filter(|f| f.visible(time)).collect()
}

fn position_at(facts: &[Fact], time: i64) -> u64 {
    facts.iter().filter(|f| f.recorded <= time).map(|f| f.position).max().unwrap_or(0)
}

/// The windows of each label at each place where there is something.
fn windows(facts: &[Fact], docs: &Documents, q: &Question) -> BTreeMap<Key, Windows> {
    let cut = match q.group {
        Some(Group::Time(cut)) => Some(cut),
        _ => None,
    };
    let known = if q.now.millis() < q.span.until.saturating_add(PROVISIONAL_MS) {
        OPEN
    } else {
        q.span.until.saturating_add(PROVISIONAL_MS)
    };
    let places: BTreeSet<_> = facts
        .iter()
        .filter(|f| !matches!(f.body, Body::Attendance { .. }))
        .map(|f| (f.place.site.clone(), f.place.line.clone()))
        .collect();
    let mut all: BTreeMap<Key, Windows> = BTreeMap::new();
    for place in places {
        for w in docs.windows(cut, place.0.as_ref(), place.1.as_ref(), known, q.span) {
            all.entry(w.label).or_default().entry(place.clone()).or_default().push(w.span);
        }
    }
    if all.is_empty() && q.group.is_none() {
        all.insert(None, Windows::new());
    }
    all
}

/// For each group the recorded times after it was final at which something of it changed.
fn changes(
    facts: &[Fact],
    windows: &Windows,
    q: &Question,
    label: &Key,
    final_at: i64,
    now: i64,
) -> BTreeMap<Key, BTreeSet<i64>> {
    let mut all: BTreeMap<Key, BTreeSet<i64>> = BTreeMap::new();
    let late = |t: i64| t > final_at && t != OPEN;
    if !facts.iter().any(|f| late(f.recorded) || late(f.superseded)) {
        return all;
    }
    let keys = Keys::of(&parts(facts.iter(), windows, now), q, label);
    let of = |f: &Fact| -> Vec<Part> { parts(std::iter::once(f), windows, now) };
    let groups = |f: &Fact, parts: &[Part]| -> Vec<Key> {
        match &f.body {
            Body::Order { .. } => {
                let id = uuid::Uuid::from_slice(&f.id).map(|u| u.to_string()).unwrap_or_default();
                if parts.is_empty() { Vec::new() } else { keys.of_order(&id, &f.place, q, label) }
            }
            _ => parts.iter().flat_map(|p| keys.of_part(p, q, label)).collect(),
        }
    };
    let mut note = |time: i64, before: Option<&Fact>, after: Option<&Fact>| {
        if !late(time) {
            return;
        }
        let (old, new) = (before.map(of).unwrap_or_default(), after.map(of).unwrap_or_default());
        if old == new {
            return;
        }
        for (f, parts) in [(before, &old), (after, &new)] {
            for key in f.map(|f| groups(f, parts)).unwrap_or_default() {
                all.entry(key).or_default().insert(time);
            }
        }
    };
    for (i, f) in facts.iter().enumerate() {
        let same = |x: &&Fact| x.id == f.id && x.body.kind() == f.body.kind();
        let before = i.checked_sub(1).and_then(|i| facts.get(i)).filter(same).filter(|b| b.superseded == f.recorded);
        note(f.recorded, before, Some(f));
        let after = facts.get(i + 1).filter(same).filter(|a| a.recorded == f.superseded);
        if after.is_none() {
            note(f.superseded, Some(f), None);
        }
    }
    all
}
