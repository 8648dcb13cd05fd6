//! From facts to the counts and times that KPIs are made of.
//!
//! Facts are looked at by subject: a unit with all its tickets (or a ticket whose unit nobody knows),
//! a technician, a maintenance plan that was due. What counts of a subject follows from its own
//! facts alone, so a later change of one subject is found without counting the others again.

use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan;
use mw_contract::{
    AccountName, AggregateId, Coverage, ReasonCode, ResolutionCode, SiteId, SlaClock, TicketKind, WarrantyStatus,
};
use mw_figures::OPEN;
use mw_figures::given::{Attendance, Production, Unit, UnitPart};
use mw_figures::question::{Group, Key, Question};
use mw_figures::spans::{Span, both, millis, minus, union};
use rust_decimal::Decimal;

use super::fact::{Activity, Body, End, Fact, Place};

/// Within so many days after it a resolution may turn out to be none (K-24).
pub const FIX_DAYS: i64 = 30;
/// In so many months after shipping a claim counts (K-31).
pub const CLAIM_MONTHS: i64 = 12;
const DAY_MS: i64 = 86_400_000;
/// How far behind the asked time facts may count: the claims of 12 months.
pub const HORIZON_MS: i64 = 367 * DAY_MS;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    /// Times to the first answer.
    Response,
    /// Clocks of first cycles that were met, and all with a verdict. By clock.
    Met,
    Judged,
    /// The same of cycles after a reopening.
    MetAgain,
    JudgedAgain,
    /// Times to resolution.
    Net,
    Gross,
    /// First cycles resolved with a visit; those that were fixed by it.
    Visited,
    Fixed,
    /// Tickets.
    Reopened,
    Closed,
    /// Cycles.
    Resolved,
    NoFault,
    /// Milliseconds of technicians, and how many technicians.
    Work,
    Travel,
    Available,
    People,
    /// Seconds of open tickets, and how many have no estimate.
    Backlog,
    Unestimated,
    /// Plans that were due; done in time.
    Due,
    DoneInTime,
    /// Milliseconds of work.
    Preventive,
    Maintenance,
    /// By lot.
    Claims,
    Shipped,
    /// By currency; milliseconds without a price.
    WarrantyCost,
    Unpriced,
    UnderWarranty,
    /// Customers' cycles that were resolved; rated; satisfied; would tell others how much.
    Ratable,
    Rated,
    Satisfied,
    Recommending,
    Promoters,
    Detractors,
    /// Lines of parts.
    Needed,
    There,
}

/// Sums of one group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sums {
    amounts: BTreeMap<(Element, String), Decimal>,
    times: BTreeMap<Element, Vec<i64>>,
}

impl Sums {
    fn add(&mut self, e: Element, amount: impl Into<Decimal>) {
        self.add_of(e, String::new(), amount);
    }

    fn add_of(&mut self, e: Element, of: String, amount: impl Into<Decimal>) {
        let amount = amount.into();
        if !amount.is_zero() {
            *self.amounts.entry((e, of)).or_default() += amount;
        }
    }

    fn time(&mut self, e: Element, ms: i64) {
        self.times.entry(e).or_default().push(ms);
    }

    /// Adds those of another.
    pub fn merge(&mut self, other: &Sums) {
        for ((e, of), n) in &other.amounts {
            self.add_of(*e, of.clone(), *n);
        }
        for (e, times) in &other.times {
            self.times.entry(*e).or_default().extend(times);
        }
    }

    /// How much of it, of everything together.
    pub fn total(&self, e: Element) -> Decimal {
        self.amounts.iter().filter(|((x, _), _)| *x == e).map(|(_, n)| *n).sum()
    }

    /// How much of it, of one clock, lot or currency.
    pub fn of(&self, e: Element, of: &str) -> Decimal {
        self.amounts.get(&(e, of.to_owned())).copied().unwrap_or_default()
    }

    /// The clocks, lots or currencies of it.
    pub fn kinds(&self, e: Element) -> Vec<&str> {
        self.amounts.keys().filter(|(x, _)| *x == e).map(|(_, of)| of.as_str()).collect()
    }

    /// The times of it.
    pub fn times(&self, e: Element) -> &[i64] {
        self.times.get(&e).map_or(&[], Vec::as_slice)
    }

    /// Only these.
    #[must_use]
    pub fn only(&self, elements: &[Element]) -> Sums {
        let mut times: BTreeMap<Element, Vec<i64>> =
            self.times.iter().filter(|(e, _)| elements.contains(e)).map(|(e, t)| (*e, t.clone())).collect();
        times.values_mut().for_each(|t| t.sort_unstable());
        let amounts = self.amounts.iter().filter(|((e, _), _)| elements.contains(e));
        Sums { amounts: amounts.map(|(k, n)| (k.clone(), *n)).collect(), times }
    }
}

/// Whose facts are looked at together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A unit, or a ticket whose unit nobody knows.
    Case(AggregateId),
    /// A technician.
    Person(AccountName),
    /// A plan that was due.
    Due(Vec<u8>),
}

/// The facts of a subject.
#[derive(Default)]
pub struct Facts<'a> {
    /// Its facts, every version.
    pub facts: Vec<&'a Fact>,
    /// The unit, every version.
    pub units: Vec<&'a Unit>,
}

impl Facts<'_> {
    /// The recorded times at which something of it came or went.
    pub fn times(&self) -> BTreeSet<i64> {
        let known = self.facts.iter().map(|f| f.known).chain(self.units.iter().map(|u| u.known));
        known.flat_map(|k| [k.from, k.until]).filter(|t| *t != OPEN).collect()
    }
}

/// The subjects of facts and units.
pub fn subjects<'a>(facts: &'a [Fact], units: &'a [Unit]) -> BTreeMap<Subject, Facts<'a>> {
    let mut all: BTreeMap<Subject, Facts<'a>> = BTreeMap::new();
    for f in facts {
        match &f.body {
            Body::Due { .. } => all.entry(Subject::Due(f.id.clone())).or_default().facts.push(f),
            Body::Down => {}
            body => {
                if let Body::Work { technician, .. } = body {
                    all.entry(Subject::Person(technician.clone())).or_default().facts.push(f);
                }
                all.entry(Subject::Case(f.place.unit.unwrap_or(f.place.case))).or_default().facts.push(f);
            }
        }
    }
    for u in units {
        all.entry(Subject::Case(u.id)).or_default().units.push(u);
    }
    all
}

/// The windows of one label, by site.
pub type Windows = BTreeMap<Option<SiteId>, Vec<Span>>;

/// What sums are made of.
pub struct Scene<'a> {
    /// What is asked.
    pub q: &'a Question,
    /// Calendars, machines, attendance, units.
    pub given: &'a Production,
    /// The label's windows.
    pub windows: &'a Windows,
    /// The label.
    pub label: &'a Key,
    /// Reference data recorded until then are known.
    pub known: i64,
    /// The moment of asking.
    pub now: i64,
    /// What an hour of a technician costs, by site: currency and amount.
    pub rates: &'a BTreeMap<SiteId, (String, Decimal)>,
}

type Groups = BTreeMap<Key, Sums>;

impl Scene<'_> {
    /// What counts of a subject, as it was known at a recorded time.
    pub fn sums(&self, subject: &Subject, facts: &Facts<'_>, at: i64) -> Groups {
        let seen: Vec<&Fact> = facts.facts.iter().copied().filter(|f| f.known.at(at)).collect();
        let mut all = Groups::new();
        match subject {
            Subject::Case(_) => {
                let units: Vec<&Unit> = facts.units.iter().copied().filter(|u| u.known.at(at)).collect();
                self.cycles(&seen, &mut all);
                self.moments(&seen, &mut all);
                self.claims(&seen, &units, &mut all);
                self.cost(&seen, &units, &mut all);
            }
            Subject::Person(who) => self.person(who, &seen, at, &mut all),
            Subject::Due(_) => self.due(&seen, &mut all),
        }
        all
    }

    /// The windows of a site.
    fn spans(&self, site: Option<&SiteId>) -> &[Span] {
        self.windows.get(&site.cloned()).map_or(&[], Vec::as_slice)
    }

    /// Does a moment of a place lie in a window?
    fn holds(&self, place: &Place, moment: i64) -> bool {
        self.spans(place.site.as_ref()).iter().any(|w| w.from <= moment && moment < w.until)
    }

    /// The group of a place; `None` when it was not asked for.
    fn key(&self, p: &Place) -> Option<Key> {
        let machine = p.equipment.and_then(|e| self.given.machines.get(&e));
        let line = machine.and_then(|m| m.line.as_ref()).or(p.line.as_ref());
        let cell = machine.map(|m| &m.cell);
        let q = self.q;
        let asked = q.line.as_ref().is_none_or(|l| line == Some(l))
            && q.cell.as_ref().is_none_or(|c| cell == Some(c))
            && q.product.as_ref().is_none_or(|x| p.product.as_ref() == Some(x));
        asked.then(|| match q.group {
            None | Some(Group::Time(_)) => self.label.clone(),
            Some(Group::Line) => line.map(ToString::to_string),
            Some(Group::Cell) => cell.map(ToString::to_string),
            Some(Group::Product) => p.product.as_ref().map(ToString::to_string),
            Some(Group::Team) => p.team.as_ref().map(ToString::to_string),
        })
    }

    /// The group of a unit: units are of no cell and no team.
    fn unit_key(&self, u: &Unit) -> Option<Key> {
        let q = self.q;
        let asked = q.cell.is_none()
            && q.line.as_ref().is_none_or(|l| u.line.as_ref() == Some(l))
            && q.product.as_ref().is_none_or(|p| u.product == *p)
            && q.site.as_ref().is_none_or(|s| u.site.as_ref() == Some(s));
        if !asked {
            return None;
        }
        match q.group {
            None | Some(Group::Time(_)) => Some(self.label.clone()),
            Some(Group::Line) => Some(u.line.as_ref().map(ToString::to_string)),
            Some(Group::Product) => Some(Some(u.product.to_string())),
            Some(Group::Cell | Group::Team) => None,
        }
    }

    fn cycles(&self, facts: &[&Fact], all: &mut Groups) {
        for f in facts {
            let Body::Cycle { cycle, end, net, visits, clocks, rating, effort, symptom, .. } = &f.body else {
                continue;
            };
            let Some(key) = self.key(&f.place) else { continue };
            self.open(f, *effort, &key, all);
            let (Some(end), ended) = (end, f.span.until - 1) else { continue };
            if !self.holds(&f.place, ended) {
                continue;
            }
            let s = all.entry(key).or_default();
            for (clock, met) in clocks {
                let (judged, good) = match cycle {
                    1 => (Element::Judged, Element::Met),
                    _ => (Element::JudgedAgain, Element::MetAgain),
                };
                s.add_of(judged, clock.as_str().to_owned(), 1);
                s.add_of(good, clock.as_str().to_owned(), i64::from(*met));
            }
            let End::Resolved(code) = end else { continue };
            s.add(Element::Resolved, 1);
            s.add(Element::NoFault, i64::from(*code == ResolutionCode::NoFaultFound));
            s.time(Element::Gross, ended - f.span.from);
            s.time(Element::Net, net.unwrap_or(0));
            if *cycle == 1 && *visits > 0 {
                s.add(Element::Visited, 1);
                s.add(Element::Fixed, i64::from(*visits == 1 && !came_back(f, symptom.as_ref(), ended, facts)));
            }
            if f.place.customer.is_some() {
                s.add(Element::Ratable, 1);
                if let Some((score, nps)) = rating {
                    s.add(Element::Rated, 1);
                    s.add(Element::Satisfied, i64::from(*score >= 4));
                    s.add(Element::Recommending, i64::from(nps.is_some()));
                    s.add(Element::Promoters, i64::from(nps.is_some_and(|n| n >= 9)));
                    s.add(Element::Detractors, i64::from(nps.is_some_and(|n| n <= 6)));
                }
            }
        }
    }

    /// What is still to be done when the last window of the site ends, or now.
    fn open(&self, f: &Fact, effort: Option<u64>, key: &Key, all: &mut Groups) {
        let Some(last) = self.spans(f.place.site.as_ref()).last().filter(|w| w.from <= self.now) else { return };
        let moment = (last.until - 1).min(self.now);
        if f.span.from <= moment && moment < f.span.until {
            let s = all.entry(key.clone()).or_default();
            match effort {
                Some(seconds) => s.add(Element::Backlog, seconds),
                None => s.add(Element::Unestimated, 1),
            }
        }
    }

    fn moments(&self, facts: &[&Fact], all: &mut Groups) {
        let mut counted: BTreeSet<(Element, AggregateId)> = BTreeSet::new();
        for f in facts.iter().filter(|f| self.holds(&f.place, f.span.from)) {
            let Some(key) = self.key(&f.place) else { continue };
            match &f.body {
                Body::Response { after } => all.entry(key).or_default().time(Element::Response, *after),
                Body::Fill { needed, available } => {
                    let s = all.entry(key).or_default();
                    s.add(Element::Needed, *needed);
                    s.add(Element::There, *available);
                }
                Body::Closed | Body::Reopened => {
                    let e = if f.body == Body::Closed { Element::Closed } else { Element::Reopened };
                    // A ticket counts once, however often it was.
                    if counted.insert((e, f.place.case)) {
                        all.entry(key).or_default().add(e, 1);
                    }
                }
                _ => {}
            }
        }
    }

    /// K-31: units shipped in the window, and what was claimed of them in their first months.
    fn claims(&self, facts: &[&Fact], units: &[&Unit], all: &mut Groups) {
        for u in units.iter().filter(|u| u.part == UnitPart::Shipped) {
            let Some(key) = self.unit_key(u) else { continue };
            let shipped = u.span.from;
            if !self.spans(u.site.as_ref()).iter().any(|w| w.from <= shipped && shipped < w.until) {
                continue;
            }
            let end = months_later(shipped, CLAIM_MONTHS);
            let claims = facts.iter().filter(|f| {
                matches!(f.body, Body::Cycle { cycle: 1, .. })
                    && f.place.warranty == WarrantyStatus::InWarranty
                    && f.place.customer.is_some()
                    && (shipped..end).contains(&f.span.from)
            });
            let lot = u.lot.clone().unwrap_or_default();
            let claims = claims.count() as u64;
            let s = all.entry(key).or_default();
            s.add_of(Element::Shipped, lot.clone(), 1);
            s.add_of(Element::Claims, lot, claims);
        }
    }

    /// K-32: what warranty cost in the window, and the units that it ran for.
    fn cost(&self, facts: &[&Fact], units: &[&Unit], all: &mut Groups) {
        if matches!(self.q.group, Some(Group::Cell | Group::Team)) || self.q.cell.is_some() {
            return;
        }
        for u in units.iter().filter(|u| u.part == UnitPart::Warranty) {
            let Some(key) = self.unit_key(u) else { continue };
            let now = self.now + 1;
            let ran = |w: &Span| Span::new(w.from, w.until.min(now)).within(u.span).is_some();
            if self.spans(u.site.as_ref()).iter().any(ran) {
                all.entry(key).or_default().add(Element::UnderWarranty, 1);
            }
        }
        for f in facts {
            let Some(key) = self.key(&f.place) else { continue };
            match &f.body {
                Body::Work { chargeable, .. }
                    if f.place.warranty == WarrantyStatus::InWarranty && *chargeable != Some(true) =>
                {
                    let ms = millis(&self.within(f));
                    if ms == 0 {
                        continue;
                    }
                    let s = all.entry(key).or_default();
                    match f.place.site.as_ref().and_then(|site| self.rates.get(site)) {
                        Some((currency, rate)) => {
                            let price = rate * Decimal::from(ms) / Decimal::from(3_600_000);
                            s.add_of(Element::WarrantyCost, currency.clone(), price.round_dp(6));
                        }
                        None => s.add(Element::Unpriced, ms),
                    }
                }
                Body::Parts { costs } if self.holds(&f.place, f.span.from) => {
                    for c in costs.iter().filter(|c| c.coverage == Coverage::Warranty) {
                        all.entry(key.clone()).or_default().add_of(
                            Element::WarrantyCost,
                            c.currency.clone(),
                            c.amount.decimal(),
                        );
                    }
                }
                _ => {}
            }
        }
    }

    /// The parts of a fact in the windows of its site. What has not ended lasts until now.
    fn within(&self, f: &Fact) -> Vec<Span> {
        let span = Span::new(f.span.from, if f.span.until == OPEN { self.now.max(f.span.from) } else { f.span.until });
        self.spans(f.place.site.as_ref()).iter().filter_map(|w| span.within(*w)).collect()
    }

    /// A technician's time: at work, on the way, there at all.
    fn person(&self, who: &AccountName, facts: &[&Fact], at: i64, all: &mut Groups) {
        #[derive(Default)]
        struct Time {
            work: Vec<Span>,
            travel: Vec<Span>,
            sites: BTreeSet<Option<SiteId>>,
            preventive: Vec<Span>,
            maintenance: Vec<Span>,
        }
        let mut groups: BTreeMap<Key, Time> = BTreeMap::new();
        for f in facts {
            let Body::Work { activity, .. } = &f.body else { continue };
            let Some(key) = self.key(&f.place) else { continue };
            let spans = self.within(f);
            if spans.is_empty() {
                continue;
            }
            let t = groups.entry(key).or_default();
            t.sites.insert(f.place.site.clone());
            match activity {
                Activity::Work => {
                    // What is brought in or complained about is not maintained.
                    if !matches!(f.place.kind, TicketKind::Installation | TicketKind::Complaint) {
                        t.maintenance.extend(&spans);
                    }
                    if f.place.kind == TicketKind::Preventive {
                        t.preventive.extend(&spans);
                    }
                    t.work.extend(spans);
                }
                Activity::Travel => t.travel.extend(spans),
                Activity::Other => {}
            }
        }
        let attendance: Vec<&Attendance> =
            self.given.attendance.iter().filter(|a| a.account == *who && a.known.at(at)).collect();
        for (key, t) in groups {
            let (work, travel) = (union(t.work), union(t.travel));
            let s = all.entry(key).or_default();
            s.add(Element::Preventive, millis(&union(t.preventive)));
            s.add(Element::Maintenance, millis(&union(t.maintenance)));
            let busy = union(work.iter().chain(&travel).copied().collect());
            let there = self.available(&t.sites, &attendance, &busy);
            // Somebody whose attendance nobody knows counts for neither.
            if there > 0 {
                s.add(Element::Work, millis(&work));
                s.add(Element::Travel, millis(&minus(&travel, &work)));
                s.add(Element::Available, there);
                s.add(Element::People, 1);
            }
        }
    }

    /// How long somebody was there: as told, else the shifts in which there is work.
    fn available(&self, sites: &BTreeSet<Option<SiteId>>, told: &[&Attendance], busy: &[Span]) -> i64 {
        let of = |present: bool| union(told.iter().filter(|a| a.present == present).map(|a| a.span).collect());
        let windows: Vec<(Option<&SiteId>, Span)> =
            sites.iter().flat_map(|s| self.spans(s.as_ref()).iter().map(move |w| (s.as_ref(), *w))).collect();
        let present = of(true);
        if !present.is_empty() {
            let asked = union(windows.iter().map(|(_, w)| *w).collect());
            return millis(&both(&minus(&present, &of(false)), &asked));
        }
        let mut shifts = Vec::new();
        for (site, window) in windows {
            let turns = self.given.documents.shifts(site, None, self.known, window);
            let worked = |t: &Vec<Span>| t.iter().any(|t| busy.iter().any(|b| b.within(*t).is_some()));
            shifts.extend(turns.into_iter().filter(worked).flatten());
        }
        millis(&minus(&union(shifts), &of(false)))
    }

    fn due(&self, facts: &[&Fact], all: &mut Groups) {
        for f in facts {
            let Body::Due { done } = &f.body else { continue };
            // What is due only later is not yet late.
            let counts = done.is_some() || f.span.from <= self.now;
            if !counts || !self.holds(&f.place, f.span.from) {
                continue;
            }
            if let Some(key) = self.key(&f.place) {
                let s = all.entry(key).or_default();
                s.add(Element::Due, 1);
                s.add(Element::DoneInTime, i64::from(*done == Some(true)));
            }
        }
    }
}

/// K-24: was it reopened, or reported again with the same symptom, within the days after it?
fn came_back(f: &Fact, symptom: Option<&ReasonCode>, ended: i64, facts: &[&Fact]) -> bool {
    let until = ended + FIX_DAYS * DAY_MS;
    facts.iter().any(|x| match &x.body {
        Body::Cycle { cycle, symptom: other, .. } if x.span.from >= ended && x.span.from <= until => {
            let again = x.place.case == f.place.case && *cycle == 2;
            let anew = x.place.case != f.place.case
                && *cycle == 1
                && f.place.unit.is_some()
                && symptom.is_some()
                && other.as_ref() == symptom;
            again || anew
        }
        _ => false,
    })
}

/// The same moment so many months later, by the calendar.
fn months_later(ms: i64, months: i64) -> i64 {
    let t = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let later = t.to_zoned_datetime(jiff::tz::TimeZone::UTC).checked_add(months.months());
    later.map_or(OPEN, |z| z.timestamp().as_millisecond())
}

/// Every clock, in the order of its KPI's lines.
pub const CLOCKS: [SlaClock; 4] = [SlaClock::FirstResponse, SlaClock::OnSite, SlaClock::Resolution, SlaClock::Update];
