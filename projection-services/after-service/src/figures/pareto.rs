//! Which faults there are most of (RM-18): symptoms and causes by the number of tickets, with the
//! hours and the money that they took.

use std::collections::{BTreeMap, BTreeSet};

use mw_contract::{AggregateId, CellId, CustomerId, Instant, LineId, ProductId, SiteId};
use mw_figures::OPEN;
use mw_figures::given::Production;
use mw_figures::number::{hours, shown};
use mw_figures::spans::Span;
use mw_policy::Scope;
use rusqlite::Connection;
use rust_decimal::Decimal;
use serde::Serialize;

use super::fact::{Body, Fact, Place, load};

/// Which of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What was seen.
    Symptom,
    /// Why.
    Cause,
}

/// Every kind of after-service by its name in the path.
pub const KINDS: [(&str, Fault); 2] = [("fault-symptom", Fault::Symptom), ("fault-cause", Fault::Cause)];

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Query {
    /// Which.
    pub fault: Fault,
    /// Tickets opened in this time.
    pub span: Span,
    /// Of this site only.
    pub site: Option<SiteId>,
    /// Of this line only.
    pub line: Option<LineId>,
    /// Of the machine in this cell only.
    pub cell: Option<CellId>,
    /// Of this product only.
    pub product: Option<ProductId>,
    /// Of this customer only.
    pub customer: Option<CustomerId>,
    /// Work that goes on lasts until now.
    pub now: Instant,
}

/// Money, as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// How much.
    pub amount: String,
    /// Of which currency.
    pub currency: String,
}

/// One symptom or cause.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Item {
    /// Its code; `unclassified` where nobody has said.
    pub reason: String,
    /// Of how many tickets.
    pub count: u64,
    /// Hours of technicians.
    pub hours: String,
    /// Parts, and hours where the site says what one costs. In each currency.
    pub cost: Vec<Cost>,
    /// Its share in all tickets, in percent.
    pub percent: String,
    /// The share of this one and all before it, in percent.
    pub cumulative_percent: String,
    /// Is it one of the few that make up the first 80 %?
    pub vital: bool,
}

/// Where nobody has said.
pub const UNCLASSIFIED: &str = "unclassified";
/// The line of the pareto, in percent.
const LINE: u32 = 80;

#[derive(Default)]
struct Sum {
    count: u64,
    ms: i64,
    cost: BTreeMap<String, Decimal>,
}

fn wanted(p: &Place, q: &Query, given: &Production) -> bool {
    let machine = p.equipment.and_then(|e| given.machines.get(&e));
    let line = machine.and_then(|m| m.line.as_ref()).or(p.line.as_ref());
    q.line.as_ref().is_none_or(|l| line == Some(l))
        && q.cell.as_ref().is_none_or(|c| machine.is_some_and(|m| m.cell == *c))
        && q.product.as_ref().is_none_or(|x| p.product.as_ref() == Some(x))
        && q.customer.as_ref().is_none_or(|c| p.customer.as_ref() == Some(c))
}

/// Reads it, the most frequent first.
///
/// # Errors
/// SQLite's.
pub fn pareto(conn: &Connection, scope: &Scope, q: &Query, given: &Production) -> rusqlite::Result<Vec<Item>> {
    // What a ticket took may lie behind the time in which it was opened.
    let facts = load(conn, scope, Span::new(q.span.from, OPEN), q.site.as_ref())?;
    let facts: Vec<&Fact> = facts.iter().filter(|f| f.known.until == OPEN && wanted(&f.place, q, given)).collect();
    let mut reasons: BTreeMap<AggregateId, String> = BTreeMap::new();
    let mut opened: BTreeSet<AggregateId> = BTreeSet::new();
    for f in &facts {
        let Body::Cycle { cycle, symptom, cause, .. } = &f.body else { continue };
        if *cycle == 1 && (q.span.from..q.span.until).contains(&f.span.from) {
            opened.insert(f.place.case);
        }
        let code = if q.fault == Fault::Symptom { symptom } else { cause };
        // A later cycle knows better.
        let name = reasons.entry(f.place.case).or_insert_with(|| UNCLASSIFIED.to_owned());
        if let Some(code) = code {
            *name = code.as_str().to_owned();
        }
    }
    let mut sums: BTreeMap<&str, Sum> = BTreeMap::new();
    let reason = |case: &AggregateId| reasons.get(case).filter(|_| opened.contains(case)).map(String::as_str);
    for case in &opened {
        if let Some(r) = reason(case) {
            sums.entry(r).or_default().count += 1;
        }
    }
    for f in &facts {
        let Some(r) = reason(&f.place.case) else { continue };
        let s = sums.entry(r).or_default();
        match &f.body {
            Body::Work { .. } => {
                let until = if f.span.until == OPEN { q.now.millis() } else { f.span.until };
                let ms = (until - f.span.from).max(0);
                s.ms += ms;
                let site = given.documents.site(f.place.site.as_ref(), OPEN);
                if let Some(rate) = site.and_then(|s| s.settings.labour_rate) {
                    let price = rate.amount.decimal() * hours(ms.into());
                    *s.cost.entry(rate.currency.to_string()).or_default() += price;
                }
            }
            Body::Parts { costs } => {
                costs.iter().for_each(|c| *s.cost.entry(c.currency.clone()).or_default() += c.amount.decimal());
            }
            _ => {}
        }
    }
    Ok(items(sums))
}

fn items(sums: BTreeMap<&str, Sum>) -> Vec<Item> {
    let mut all: Vec<(&str, Sum)> = sums.into_iter().collect();
    all.sort_by(|a, b| b.1.count.cmp(&a.1.count).then(b.1.ms.cmp(&a.1.ms)).then(a.0.cmp(b.0)));
    let total: u64 = all.iter().map(|(_, s)| s.count).sum();
    let percent = |n: u64| Decimal::from(n * 100).checked_div(total.into()).unwrap_or_default();
    let mut before = 0;
    let mut items = Vec::with_capacity(all.len());
    for (reason, s) in all {
        let vital = percent(before) < Decimal::from(LINE);
        before += s.count;
        let cost = s.cost.into_iter().map(|(currency, n)| Cost { amount: shown(n, 2), currency });
        items.push(Item {
            reason: reason.to_owned(),
            count: s.count,
            hours: shown(hours(s.ms.into()), 4),
            cost: cost.collect(),
            percent: shown(percent(s.count), 2),
            cumulative_percent: shown(percent(before), 2),
            vital,
        });
    }
    items
}
