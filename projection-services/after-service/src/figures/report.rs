//! What a question about KPIs is answered: groups, revisions, items.

use std::collections::{BTreeMap, BTreeSet};

use mw_contract::SiteId;
use mw_figures::OPEN;
use mw_figures::calendar::Cut;
use mw_figures::given::Production;
use mw_figures::question::{Group, Item, Key, PROVISIONAL_MS, Question, Revision};
use mw_figures::spans::Span;
use mw_policy::Scope;
use rusqlite::Connection;
use rust_decimal::Decimal;

use super::fact::{Fact, load};
use super::kpi::{KPIS, WARRANTY_COST, elements, figure, warranty_cost};
use super::sums::{Element, FIX_DAYS, Facts, HORIZON_MS, Scene, Subject, Sums, Windows, subjects};

const DAY_MS: i64 = 86_400_000;

/// How far behind the asked time a question has to look.
fn horizon(q: &Question) -> i64 {
    if q.wants("K-31") {
        HORIZON_MS
    } else if q.wants("K-24") {
        (FIX_DAYS + 1) * DAY_MS
    } else {
        0
    }
}

/// Are units asked about?
pub fn wants_units(q: &Question) -> bool {
    q.wants("K-31") || q.wants("K-32")
}

/// Computes the answer; `head` is the position of the read model.
///
/// # Errors
/// SQLite's.
pub fn kpis(
    conn: &Connection,
    scope: &Scope,
    q: &Question,
    given: &Production,
    head: u64,
) -> rusqlite::Result<Vec<Item>> {
    if !KPIS.iter().any(|k| q.wants(k.0)) {
        return Ok(Vec::new());
    }
    let span = Span::new(q.span.from, q.span.until.saturating_add(horizon(q)));
    let facts = load(conn, scope, span, q.site.as_ref())?;
    let all = subjects(&facts, &given.units);
    let now = q.now.millis();
    let mut items = Vec::new();
    for (label, windows) in windows(&facts, given, q) {
        let end = windows.values().flatten().map(|w| w.until).max().unwrap_or(q.span.until);
        let final_at = end.saturating_add(PROVISIONAL_MS);
        let provisional = now < final_at;
        let known = if provisional { OPEN } else { final_at };
        let rates = rates(&windows, given, known);
        let scene = Scene { q, given, windows: &windows, label: &label, known, now, rates: &rates };
        let mut of_group: BTreeMap<Key, Sums> = BTreeMap::new();
        // By group and KPI: when something changed after it was final.
        let mut changes: BTreeMap<(Key, &'static str), BTreeSet<i64>> = BTreeMap::new();
        for (subject, facts) in &all {
            for (key, sums) in scene.sums(subject, facts, OPEN - 1) {
                of_group.entry(key).or_default().merge(&sums);
            }
            if !provisional {
                note_changes(&scene, subject, facts, final_at, &mut changes);
            }
        }
        let mut keys: BTreeSet<Key> = of_group.keys().cloned().chain(changes.keys().map(|(k, _)| k.clone())).collect();
        if keys.is_empty() && q.group.is_none() {
            keys.insert(label.clone());
        }
        let mut of_time: BTreeMap<i64, BTreeMap<Key, Sums>> = BTreeMap::new();
        for key in keys {
            let capacity = capacity(&key, q, given, known);
            for kpi in KPIS.iter().filter(|k| q.wants(k.0)) {
                let times: Vec<i64> = changes.get(&(key.clone(), kpi.0)).into_iter().flatten().copied().collect();
                let Some(r) = Revision::chosen(q.revision, &times, provisional, final_at) else { continue };
                let (sums, position) = if r.later == 0 {
                    (of_group.get(&key).cloned().unwrap_or_default(), head)
                } else {
                    let then = of_time.entry(r.at).or_insert_with(|| total(&scene, &all, r.at));
                    (then.get(&key).cloned().unwrap_or_default(), position_at(&facts, r.at))
                };
                if kpi.1 != WARRANTY_COST {
                    items.push(Item::of(kpi, &key, figure(kpi.1, &sums, capacity), &r, position, q.now));
                    continue;
                }
                // In each currency by itself: nothing says what one is worth in another.
                let mut currencies = sums.kinds(Element::WarrantyCost);
                if currencies.is_empty() {
                    currencies.push("");
                }
                for c in currencies {
                    let mut item = Item::of(kpi, &key, warranty_cost(&sums, c), &r, position, q.now);
                    if !c.is_empty() {
                        item.fields.insert("unit".into(), c.into());
                    }
                    items.push(item);
                }
            }
        }
    }
    Ok(items)
}

fn total(scene: &Scene<'_>, all: &BTreeMap<Subject, Facts<'_>>, at: i64) -> BTreeMap<Key, Sums> {
    let mut groups: BTreeMap<Key, Sums> = BTreeMap::new();
    for (subject, facts) in all {
        for (key, sums) in scene.sums(subject, facts, at) {
            groups.entry(key).or_default().merge(&sums);
        }
    }
    groups
}

fn position_at(facts: &[Fact], time: i64) -> u64 {
    facts.iter().filter(|f| f.known.from <= time).map(|f| f.position).max().unwrap_or(0)
}

/// Notes for each group and KPI the recorded times at which a subject counted otherwise than before.
fn note_changes(
    scene: &Scene<'_>,
    subject: &Subject,
    facts: &Facts<'_>,
    final_at: i64,
    changes: &mut BTreeMap<(Key, &'static str), BTreeSet<i64>>,
) {
    let mut later: BTreeSet<i64> = facts.times().into_iter().filter(|t| *t > final_at).collect();
    if let Subject::Person(who) = subject {
        let told =
            scene.given.attendance.iter().filter(|a| a.account == *who).flat_map(|a| [a.known.from, a.known.until]);
        later.extend(told.filter(|t| *t > final_at && *t != OPEN));
    }
    if later.is_empty() {
        return;
    }
    let mut before = scene.sums(subject, facts, final_at);
    for time in later {
        let after = scene.sums(subject, facts, time);
        if after == before {
            continue;
        }
        let none = Sums::default();
        let mut ids: Vec<&'static str> = KPIS.iter().map(|k| k.0).filter(|k| scene.q.wants(k)).collect();
        ids.dedup();
        for key in before.keys().chain(after.keys()) {
            let (old, new) = (before.get(key).unwrap_or(&none), after.get(key).unwrap_or(&none));
            for id in &ids {
                if old.only(elements(id)) != new.only(elements(id)) {
                    changes.entry((key.clone(), id)).or_default().insert(time);
                }
            }
        }
        before = after;
    }
}

/// The windows of each label at each site where there is something.
fn windows(facts: &[Fact], given: &Production, q: &Question) -> BTreeMap<Key, Windows> {
    let cut: Option<Cut> = match q.group {
        Some(Group::Time(cut)) => Some(cut),
        _ => None,
    };
    let final_at = q.span.until.saturating_add(PROVISIONAL_MS);
    let known = if q.now.millis() < final_at { OPEN } else { final_at };
    let mut sites: BTreeSet<Option<SiteId>> = facts.iter().map(|f| f.place.site.clone()).collect();
    sites.extend(given.units.iter().map(|u| u.site.clone()));
    let mut all: BTreeMap<Key, Windows> = BTreeMap::new();
    for site in sites {
        for w in given.documents.windows(cut, site.as_ref(), None, known, q.span) {
            all.entry(w.label).or_default().entry(site.clone()).or_default().push(w.span);
        }
    }
    if all.is_empty() && q.group.is_none() {
        all.insert(None, Windows::new());
    }
    all
}

/// What an hour of a technician costs at each site.
fn rates(windows: &Windows, given: &Production, known: i64) -> BTreeMap<SiteId, (String, Decimal)> {
    let sites = windows.keys().flatten();
    let one = |s: &SiteId| {
        let rate = given.documents.site(Some(s), known)?.settings.labour_rate?;
        Some((s.clone(), (rate.currency.to_string(), rate.amount.decimal())))
    };
    sites.filter_map(one).collect()
}

/// What the teams of a group can work in a week.
fn capacity(key: &Key, q: &Question, given: &Production, known: i64) -> Decimal {
    let teams = given.documents.weekly_hours(known);
    match (q.group, key) {
        (Some(Group::Team), Some(team)) => teams.get(team).copied().unwrap_or(0).into(),
        (Some(Group::Team), None) => Decimal::ZERO,
        _ => teams.values().map(|h| Decimal::from(*h)).sum(),
    }
}
