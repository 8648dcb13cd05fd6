//! What a question about KPIs is answered: groups, revisions, items.
//!
//! The figures of an interval are provisional until 24 hours after its end. Then they are final:
//! revision 1 is what was recorded by then, and each later recorded time at which something of the
//! group changed is one revision more. So a revision follows from recorded times alone, and is the
//! same whenever and wherever it is computed.

use std::collections::{BTreeMap, BTreeSet};

use mw_contract::{CellId, Instant, LineId, ProductId, SiteId};
use mw_policy::Scope;
use rusqlite::Connection;
use serde_json::{Map, Value, json};

use super::calendar::{Cut, Documents};
use super::fact::{Body, Fact, OPEN, load};
use super::kpi::{KPIS, figure, shown};
use super::spans::Span;
use super::sums::{Key, Keys, Part, Scene, Sums, Windows, parts};

/// How long figures are provisional after the end of their interval.
pub const PROVISIONAL_MS: i64 = 24 * 3_600_000;

/// What figures are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// By line.
    Line,
    /// By cell.
    Cell,
    /// By product.
    Product,
    /// By the crew that an operation was given to.
    Team,
    /// By time.
    Time(Cut),
}

/// Every grouping by its name.
pub const GROUPS: [(&str, Group); 8] = [
    ("line", Group::Line),
    ("cell", Group::Cell),
    ("product", Group::Product),
    ("team", Group::Team),
    ("shift", Group::Time(Cut::Shift)),
    ("day", Group::Time(Cut::Day)),
    ("week", Group::Time(Cut::Week)),
    ("month", Group::Time(Cut::Month)),
];

/// A question.
#[derive(Clone, Debug)]
pub struct Question {
    /// From, until.
    pub span: Span,
    /// How to group.
    pub group: Option<Group>,
    /// Which KPIs; none named: all.
    pub kpis: Vec<String>,
    /// Of this site only.
    pub site: Option<SiteId>,
    /// Of this line only.
    pub line: Option<LineId>,
    /// Of this cell only.
    pub cell: Option<CellId>,
    /// Of this product only.
    pub product: Option<ProductId>,
    /// This revision; none: the newest.
    pub revision: Option<u32>,
    /// The moment of asking.
    pub now: Instant,
}

impl Question {
    /// Do only the cells count that the product or team worked on?
    pub fn by_activity(&self) -> bool {
        self.product.is_some() || matches!(self.group, Some(Group::Product | Group::Team))
    }
}

/// One item of the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Such as `K-03`.
    pub kpi: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Everything that is shown, `kpi` and `name` too.
    pub fields: Map<String, Value>,
}

/// The columns of the CSV form.
pub const CSV: [&str; 14] = [
    "kpi",
    "name",
    "value",
    "unit",
    "numerator",
    "denominator",
    "group",
    "revision",
    "provisional",
    "computed_at",
    "event_position",
    "late_events_after",
    "median",
    "p90",
];

/// Which revision of a group is shown, and what it is made of.
struct Revision {
    number: u32,
    provisional: bool,
    /// Facts as recorded until then.
    at: i64,
    /// How many later ones there are.
    later: usize,
}

/// Computes the answer; `head` is the position of the read model.
pub fn kpis(conn: &Connection, scope: &Scope, q: &Question, head: u64) -> rusqlite::Result<Vec<Item>> {
    let facts = load(conn, scope, q.span, q.site.as_ref())?;
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
            let Some(r) = revision(q.revision, &times, provisional, final_at) else { continue };
            let then = of_time
                .entry(r.at)
                .or_insert_with(|| if r.later == 0 { newest.clone() } else { scene.sums(&at(&facts, r.at), now) });
            let sums = then.get(key).cloned().unwrap_or_default();
            let position = if r.later == 0 { head } else { position_at(&facts, r.at) };
            items.extend(KPIS.iter().filter(|k| q.kpis.is_empty() || q.kpis.iter().any(|x| x == k.0)).map(|k| {
                let f = figure(k.1, &sums);
                let text = |d: Option<rust_decimal::Decimal>| json!(d.map(|d| d.to_string()));
                let mut fields = Map::new();
                let mut set = |name: &str, v: Value| fields.insert(name.to_owned(), v);
                set("kpi", json!(k.0));
                set("name", json!(k.1));
                set("value", json!(f.value.map(|v| shown(v, 4))));
                set("unit", json!(k.2));
                set("numerator", text(f.numerator));
                set("denominator", text(f.denominator));
                set("group", json!(key));
                set("revision", json!(r.number));
                set("provisional", json!(r.provisional));
                set("computed_at", json!(q.now));
                set("event_position", json!(position));
                set("late_events_after", json!(r.later));
                fields.extend(f.more);
                Item { kpi: k.0, name: k.1, fields }
            }));
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

fn revision(asked: Option<u32>, times: &[i64], provisional: bool, final_at: i64) -> Option<Revision> {
    let newest = times.len() + 1;
    let number = asked.map_or(newest, |n| n as usize);
    if number > newest || number == 0 {
        return None;
    }
    let at = if number == 1 { final_at } else { *times.get(number - 2)? };
    Some(Revision { number: number as u32, provisional, at, later: newest - number })
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
