//! From facts to the time elements and counts that KPIs are made of (ISO 22400-2 names).
//!
//! Per cell: APT is the union of its run sessions less its downtimes; AUST the union of its setup
//! sessions; PBT its shifts without breaks, or all of the time where there is no shift calendar,
//! less its planned stops. Several cells are added up.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use mw_contract::{CellId, LineId, ProductId, SiteId};
use mw_figures::question::{Group, Key, Question};
use rust_decimal::Decimal;

use super::calendar::Documents;
use super::fact::{Body, Fact, OPEN, Place};
use super::spans::{Span, both, millis, minus, shared, union};

/// The windows of one label, by site and line.
pub type Windows = BTreeMap<(Option<SiteId>, Option<LineId>), Vec<Span>>;

/// Good and all pieces of one operation: as inspected, and as reported.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Yield {
    /// Inspected: good, all.
    pub inspected: (Decimal, Decimal),
    /// Reported: good, all.
    pub reported: (Decimal, Decimal),
}

impl Yield {
    /// Good and inspected parts. Where nothing was inspected every reported piece was judged once.
    pub fn parts(&self) -> (Decimal, Decimal) {
        if self.inspected.1.is_zero() { self.reported } else { self.inspected }
    }
}

/// Sums of one group. Times in milliseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sums {
    pub pbt: i64,
    pub apt: i64,
    pub aust: i64,
    pub adot: i64,
    pub calendar: i64,
    /// Planned busy time without breakdowns.
    pub operating: i64,
    /// Breakdowns that began.
    pub failures: u32,
    /// Time to restoration of those failures, whole, also where it ended after the window.
    pub restoring_failures: i64,
    /// Time to restoration that lies in the window, and planned busy time without it.
    pub restoring: i64,
    pub operating_restored: i64,
    /// Count failures as ISO 22400-2 does?
    pub iso: bool,
    pub pq: Decimal,
    pub gq: Decimal,
    pub sq: Decimal,
    pub rq: Decimal,
    /// Planned seconds of all pieces, and of those good at first.
    pub pri_pq: Decimal,
    pub pri_gq: Decimal,
    pub yields: BTreeMap<u16, Yield>,
    pub aoet: i64,
    pub aubt: i64,
    /// Labour, in millionths of a millisecond.
    pub apwt: i128,
    pub apat: i64,
    /// How many people the two are of.
    pub people: usize,
    pub completed: u32,
    pub on_time_release: u32,
    pub on_time_now: u32,
    pub good: Decimal,
    pub planned: Decimal,
    /// Lead times of completed orders and ages of those under way.
    pub leads: Vec<i64>,
    pub ages: Vec<i64>,
}

/// What of a fact counts in a window. Two versions with the same part make no difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub span: Span,
    /// Did it begin in the window?
    pub began: bool,
    /// Breakdowns that began in the window: how long it took to restore the cell.
    pub restored: Option<i64>,
    /// Breakdowns: the part in the window of the time from their first sign to restoration.
    pub restoring: Option<Span>,
    /// Orders: when it was started, and when it ended in the window.
    pub start: i64,
    pub end: Option<i64>,
    pub place: Place,
    pub body: Body,
}

/// The part of a fact in a window. What has not ended lasts until now.
pub fn part(f: &Fact, window: Span, now: i64) -> Option<Part> {
    let until = if f.span.until == OPEN { now.max(f.span.from) } else { f.span.until };
    // A cell stays there, whatever the clock says.
    let until = if f.body == Body::Cell { OPEN } else { until };
    let mut span = Span::new(f.span.from, until).within(window)?;
    let mut p = Part {
        span,
        began: f.span.from >= window.from,
        restored: None,
        restoring: None,
        start: 0,
        end: None,
        place: f.place.clone(),
        body: f.body.clone(),
    };
    if let Body::Downtime { since, .. } = &f.body
        && f.body.is_breakdown()
    {
        let whole = Span::new(since.unwrap_or(f.span.from).min(f.span.from), until);
        p.restored = p.began.then_some(whole.millis());
        p.restoring = whole.within(window);
    }
    if let Body::Order { completed, good, planned, due_release, due_now, .. } = &mut p.body {
        p.start = f.span.from;
        if f.span.until <= window.until {
            // The end itself is one millisecond of the fact, so that it falls into one window.
            span.until -= 1;
            p.end = Some(span.until);
        } else {
            (*completed, *good, *planned, *due_release, *due_now) =
                (false, Default::default(), Default::default(), 0, 0);
        }
        p.span = span;
    }
    Some(p)
}

/// The parts of facts in the windows of a label.
pub fn parts<'a>(facts: impl Iterator<Item = &'a Fact>, windows: &Windows, now: i64) -> Vec<Part> {
    let mut all = Vec::new();
    // Attendance is of no place: what counts of it is cut where it is used.
    let spans = || windows.values().flatten();
    let whole =
        Span::new(spans().map(|s| s.from).min().unwrap_or(OPEN), spans().map(|s| s.until).max().unwrap_or(i64::MIN));
    for f in facts {
        if matches!(f.body, Body::Attendance { .. }) {
            all.extend(part(f, whole, now));
            continue;
        }
        let spans = windows.get(&(f.place.site.clone(), f.place.line.clone()));
        all.extend(spans.into_iter().flatten().filter_map(|w| part(f, *w, now)));
    }
    all
}

/// Which groups things belong to that are not of one group by themselves.
#[derive(Default)]
pub struct Keys {
    /// Cells and teams that an order was worked on by.
    orders: HashMap<String, (BTreeSet<CellId>, BTreeSet<String>)>,
    /// Groups that worked on a cell, and groups that a person worked for.
    cells: HashMap<CellId, BTreeSet<Key>>,
    people: HashMap<String, BTreeSet<Key>>,
}

fn text<T: AsRef<str>>(v: &Option<T>) -> Key {
    v.as_ref().map(|v| v.as_ref().to_owned())
}

impl Keys {
    /// From what was worked and reported.
    pub fn of(parts: &[Part], q: &Question, label: &Key) -> Keys {
        let mut keys = Keys::default();
        for p in parts {
            let order = match &p.body {
                Body::Session { order, .. } | Body::Report { order, .. } => order,
                _ => continue,
            };
            let of_order = keys.orders.entry(order.clone()).or_default();
            of_order.0.extend(p.place.cell.clone());
            of_order.1.extend(p.place.team.clone());
            if !matches(&p.place, q) {
                continue;
            }
            let key = own_key(&p.place, q, label);
            if let Some(cell) = &p.place.cell {
                keys.cells.entry(cell.clone()).or_default().insert(key.clone());
            }
            if let Body::Session { operator, attended: true, .. } = &p.body {
                keys.people.entry(operator.clone()).or_default().insert(key);
            }
        }
        keys
    }

    /// The groups that a part belongs to; none when it was not asked for.
    pub fn of_part(&self, p: &Part, q: &Question, label: &Key) -> Vec<Key> {
        let listed = |set: Option<&BTreeSet<Key>>| set.into_iter().flatten().cloned().collect();
        match &p.body {
            Body::Attendance { account, .. } => listed(self.people.get(account)),
            Body::Downtime { .. } | Body::Stop { .. } | Body::PlannedState { .. } | Body::Cell => {
                if !at(&p.place, q) {
                    Vec::new()
                } else if q.by_activity() {
                    listed(p.place.cell.as_ref().and_then(|c| self.cells.get(c)))
                } else {
                    vec![own_key(&p.place, q, label)]
                }
            }
            Body::Order { .. } => Vec::new(),
            _ if matches(&p.place, q) => vec![own_key(&p.place, q, label)],
            _ => Vec::new(),
        }
    }

    /// The groups that an order belongs to.
    pub fn of_order(&self, id: &str, place: &Place, q: &Question, label: &Key) -> Vec<Key> {
        let worked = self.orders.get(id);
        let in_cell = |c: &CellId| worked.is_some_and(|w| w.0.contains(c));
        let asked = q.line.as_ref().is_none_or(|l| place.line.as_ref() == Some(l))
            && q.product.as_ref().is_none_or(|p: &ProductId| place.product.as_ref() == Some(p))
            && q.cell.as_ref().is_none_or(in_cell);
        if !asked {
            return Vec::new();
        }
        let or_none = |keys: Vec<Key>| if keys.is_empty() { vec![None] } else { keys };
        match q.group {
            Some(Group::Cell) => {
                let cells = worked.into_iter().flat_map(|w| &w.0).filter(|c| q.cell.as_ref().is_none_or(|x| x == *c));
                or_none(cells.map(|c| Some(c.to_string())).collect())
            }
            Some(Group::Team) => or_none(worked.into_iter().flat_map(|w| &w.1).map(|t| Some(t.clone())).collect()),
            _ => vec![own_key(place, q, label)],
        }
    }
}

fn own_key(place: &Place, q: &Question, label: &Key) -> Key {
    match q.group {
        None | Some(Group::Time(_)) => label.clone(),
        Some(Group::Line) => text(&place.line),
        Some(Group::Cell) => text(&place.cell),
        Some(Group::Product) => text(&place.product),
        Some(Group::Team) => place.team.clone(),
    }
}

/// Is it at the asked line and cell?
fn at(place: &Place, q: &Question) -> bool {
    q.line.as_ref().is_none_or(|l| place.line.as_ref() == Some(l))
        && q.cell.as_ref().is_none_or(|c| place.cell.as_ref() == Some(c))
}

fn matches(place: &Place, q: &Question) -> bool {
    at(place, q) && q.product.as_ref().is_none_or(|p| place.product.as_ref() == Some(p))
}

/// Times of one cell that are the same whoever works on it.
#[derive(Default)]
struct CellTimes {
    down: Vec<Span>,
    unplanned: Vec<Span>,
    planned: Vec<Span>,
    broken: Vec<Span>,
    failures: u32,
    restored: i64,
    restoring: Vec<Span>,
}

impl CellTimes {
    fn united(self) -> Self {
        CellTimes {
            down: union(self.down),
            unplanned: union(self.unplanned),
            planned: union(self.planned),
            broken: union(self.broken),
            failures: self.failures,
            restored: self.restored,
            restoring: union(self.restoring),
        }
    }
}

/// Work of one group on one cell.
#[derive(Default)]
struct Work {
    place: Place,
    run: Vec<Span>,
    setup: Vec<Span>,
}

/// A person's work for one group.
#[derive(Default)]
struct Labour {
    time: i128,
    sessions: Vec<Span>,
    places: BTreeSet<(Option<SiteId>, Option<LineId>)>,
}

/// What sums are made of.
pub struct Scene<'a> {
    /// What is asked.
    pub q: &'a Question,
    /// Calendars and settings.
    pub docs: &'a Documents,
    /// The label's windows.
    pub windows: &'a Windows,
    /// The label.
    pub label: &'a Key,
    /// Reference data recorded until then are known.
    pub known: i64,
}

impl Scene<'_> {
    /// The sums of every group of the label.
    pub fn sums(&self, facts: &[&Fact], now: i64) -> BTreeMap<Key, Sums> {
        let visible = || facts.iter().copied();
        let parts_of = parts(visible().filter(|f| !matches!(f.body, Body::Order { .. })), self.windows, now);
        let (q, label) = (self.q, self.label);
        let keys = Keys::of(&parts_of, q, label);
        let mut all: BTreeMap<Key, Sums> = BTreeMap::new();
        self.cells(&parts_of, &keys, &mut all);
        self.labour(&parts_of, &mut all);
        let mut busy: BTreeMap<(Key, &str, &CellId), Vec<Span>> = BTreeMap::new();
        for p in &parts_of {
            if let (Body::Session { order, .. }, Some(cell)) = (&p.body, &p.place.cell) {
                for key in keys.of_part(p, q, label) {
                    busy.entry((key, order, cell)).or_default().push(p.span);
                }
            }
            for key in keys.of_part(p, q, label) {
                pieces(all.entry(key).or_default(), &p.body);
            }
        }
        for ((key, _, _), spans) in busy {
            all.entry(key).or_default().aubt += millis(&union(spans));
        }
        for f in visible().filter(|f| matches!(f.body, Body::Order { .. })) {
            let id = uuid::Uuid::from_slice(&f.id).map(|u| u.to_string()).unwrap_or_default();
            let groups = keys.of_order(&id, &f.place, q, label);
            let spans = self.windows.get(&(f.place.site.clone(), f.place.line.clone()));
            for w in spans.into_iter().flatten() {
                let Some(p) = part(f, *w, now) else { continue };
                for key in &groups {
                    order(all.entry(key.clone()).or_default(), &p, w.until.min(now.max(w.from)));
                }
            }
        }
        all
    }

    fn cells(&self, parts: &[Part], keys: &Keys, all: &mut BTreeMap<Key, Sums>) {
        let mut times: HashMap<&CellId, CellTimes> = HashMap::new();
        let mut work: BTreeMap<Key, BTreeMap<&CellId, Work>> = BTreeMap::new();
        for p in parts {
            let Some(cell) = &p.place.cell else { continue };
            let t = times.entry(cell).or_default();
            if let Body::Downtime { planned, .. } = &p.body {
                t.down.push(p.span);
                if !planned && !p.body.is_planned_stop() {
                    t.unplanned.push(p.span);
                }
                if p.body.is_breakdown() {
                    t.broken.push(p.span);
                    t.failures += u32::from(p.began);
                    t.restored += p.restored.unwrap_or(0);
                    t.restoring.extend(p.restoring);
                }
            }
            if p.body.is_planned_stop() {
                t.planned.push(p.span);
            }
            for key in keys.of_part(p, self.q, self.label) {
                let w = work.entry(key).or_default().entry(cell).or_default();
                if w.place.cell.is_none() || p.body == Body::Cell {
                    w.place = p.place.clone();
                }
                match &p.body {
                    Body::Session { setup: false, .. } => w.run.push(p.span),
                    Body::Session { setup: true, .. } => w.setup.push(p.span),
                    _ => {}
                }
            }
        }
        let times: HashMap<&CellId, CellTimes> = times.into_iter().map(|(c, t)| (c, t.united())).collect();
        for (key, cells) in work {
            let s = all.entry(key).or_default();
            for (cell, w) in cells {
                let Some(t) = times.get(cell) else { continue };
                s.apt += millis(&minus(&union(w.run), &t.down));
                s.aust += millis(&union(w.setup));
                s.adot += millis(&t.unplanned);
                s.failures += t.failures;
                s.restoring_failures += t.restored;
                s.restoring += millis(&t.restoring);
                let (site, line) = (w.place.site.as_ref(), w.place.line.as_ref());
                s.iso |= self.docs.mtbf_iso(site, self.known);
                for span in self.windows.get(&(w.place.site.clone(), w.place.line.clone())).into_iter().flatten() {
                    let busy = minus(&self.docs.working(site, line, self.known, *span), &t.planned);
                    s.calendar += span.millis();
                    s.pbt += millis(&busy);
                    s.operating += millis(&minus(&busy, &t.broken));
                    s.operating_restored += millis(&minus(&busy, &t.restoring));
                }
            }
        }
    }

    /// Labour and attendance. A person whose attendance nobody knows counts for neither.
    fn labour(&self, parts: &[Part], all: &mut BTreeMap<Key, Sums>) {
        let mut sessions: BTreeMap<&str, Vec<&Part>> = BTreeMap::new();
        let mut attendance: HashMap<&str, (Vec<Span>, Vec<Span>)> = HashMap::new();
        for p in parts {
            match &p.body {
                Body::Session { operator, attended: true, .. } => sessions.entry(operator).or_default().push(p),
                Body::Attendance { account, present } => {
                    let a = attendance.entry(account).or_default();
                    if *present { a.0.push(p.span) } else { a.1.push(p.span) }
                }
                _ => {}
            }
        }
        for (who, sessions) in sessions {
            let mut labour: BTreeMap<Key, Labour> = BTreeMap::new();
            let spans: Vec<Span> = sessions.iter().map(|p| p.span).collect();
            for p in sessions.iter().filter(|p| matches(&p.place, self.q)) {
                let l = labour.entry(own_key(&p.place, self.q, self.label)).or_default();
                l.sessions.push(p.span);
                l.places.insert((p.place.site.clone(), p.place.line.clone()));
            }
            shared(&spans, |i, share| {
                if let Some(p) = sessions.get(i).filter(|p| matches(&p.place, self.q))
                    && let Some(l) = labour.get_mut(&own_key(&p.place, self.q, self.label))
                {
                    l.time += share;
                }
            });
            for (key, l) in labour {
                let there = self.attended(&l, attendance.get(who));
                if there > 0 {
                    let s = all.entry(key).or_default();
                    s.apwt += l.time;
                    s.apat += there;
                    s.people += 1;
                }
            }
        }
    }

    /// How long somebody was there: as told, else the shifts in which there are sessions.
    fn attended(&self, l: &Labour, told: Option<&(Vec<Span>, Vec<Span>)>) -> i64 {
        let windows = l.places.iter().filter_map(|p| Some((p, self.windows.get(p)?)));
        match told.filter(|t| !t.0.is_empty()) {
            Some((present, away)) => {
                let asked = union(windows.flat_map(|(_, w)| w.iter().copied()).collect());
                millis(&both(&minus(&union(present.clone()), &union(away.clone())), &asked))
            }
            None => {
                let mut shifts = Vec::new();
                for ((site, line), spans) in windows {
                    for w in spans {
                        let turns = self.docs.shifts(site.as_ref(), line.as_ref(), self.known, *w);
                        let worked =
                            |t: &Vec<Span>| t.iter().any(|t| l.sessions.iter().any(|s| s.within(*t).is_some()));
                        shifts.extend(turns.into_iter().filter(worked).flatten());
                    }
                }
                let away = told.map(|t| union(t.1.clone())).unwrap_or_default();
                millis(&minus(&union(shifts), &away))
            }
        }
    }
}

/// Adds pieces. Those that come back from rework are not produced again; the ones that fail there
/// are scrap.
fn pieces(s: &mut Sums, body: &Body) {
    match body {
        Body::Report { op, fresh, good, scrap, rework, run_seconds, .. } => {
            let scrap: Decimal = scrap.iter().map(|(_, n)| n.decimal()).sum();
            s.sq += scrap;
            if !fresh {
                return;
            }
            let rework: Decimal = rework.iter().map(|(_, n)| n.decimal()).sum();
            let (good, run) = (good.decimal(), run_seconds.decimal());
            let all = good + scrap + rework;
            s.gq += good;
            s.rq += rework;
            s.pq += all;
            s.pri_pq += run * all;
            s.pri_gq += run * good;
            let y = &mut s.yields.entry(*op).or_default().reported;
            *y = (y.0 + good, y.1 + all);
        }
        Body::Inspection { op, good, inspected, .. } => {
            let y = &mut s.yields.entry(*op).or_default().inspected;
            *y = (y.0 + good.decimal(), y.1 + inspected.decimal());
        }
        _ => {}
    }
}

fn order(s: &mut Sums, p: &Part, now: i64) {
    let Body::Order { created, completed, good, planned, due_release, due_now } = &p.body else { return };
    s.aoet += p.span.millis();
    match p.end {
        None => s.ages.push((now - p.start).max(0)),
        Some(end) if *completed => {
            s.completed += 1;
            s.on_time_release += u32::from(end <= *due_release);
            s.on_time_now += u32::from(end <= *due_now);
            s.good += good.decimal();
            s.planned += planned.decimal();
            s.leads.push((end - created).max(0));
        }
        Some(_) => {}
    }
}
