//! What costs most (RM-18): stop reasons by hours, scrap and rework reasons by quantity.

use std::collections::BTreeMap;

use mw_contract::{CellId, Instant, LineId, ProductId, SiteId};
use mw_policy::Scope;
use rusqlite::Connection;
use rust_decimal::Decimal;
use serde::Serialize;

use super::fact::{Body, Fact, load};
use mw_figures::number::{hours, shown};

use super::spans::Span;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Downtimes and planned stops.
    StopReason,
    /// Scrapped pieces.
    ScrapReason,
    /// Pieces sent to rework.
    ReworkReason,
}

/// Every kind of production by its name in the path.
pub const KINDS: [(&str, Kind); 3] =
    [("stop-reason", Kind::StopReason), ("scrap-reason", Kind::ScrapReason), ("rework-reason", Kind::ReworkReason)];

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Query {
    /// Which.
    pub kind: Kind,
    /// From, until.
    pub span: Span,
    /// Of this site only.
    pub site: Option<SiteId>,
    /// Of this line only.
    pub line: Option<LineId>,
    /// Of this cell only.
    pub cell: Option<CellId>,
    /// Of this product only.
    pub product: Option<ProductId>,
    /// What has not ended lasts until now.
    pub now: Instant,
}

/// One reason.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Item {
    /// Its code; `unclassified` for stops that nobody gave a reason for.
    pub reason: String,
    /// How often.
    pub count: u64,
    /// Stops: for how many hours.
    pub hours: Option<String>,
    /// Scrap and rework: how many pieces.
    pub quantity: Option<String>,
    /// Its share in the whole, in percent.
    pub percent: String,
    /// The share of this one and all before it, in percent.
    pub cumulative_percent: String,
    /// Is it one of the few that make up the first 80 %?
    pub vital: bool,
}

/// Stops without a reason.
pub const UNCLASSIFIED: &str = "unclassified";
/// The line of the pareto, in percent.
pub const LINE: u32 = 80;

fn wanted(f: &Fact, q: &Query) -> bool {
    q.line.as_ref().is_none_or(|l| f.place.line.as_ref() == Some(l))
        && q.cell.as_ref().is_none_or(|c| f.place.cell.as_ref() == Some(c))
        && q.product.as_ref().is_none_or(|p| f.place.product.as_ref() == Some(p))
}

/// Reads it, the greatest first.
pub fn pareto(conn: &Connection, scope: &Scope, q: &Query) -> rusqlite::Result<Vec<Item>> {
    let facts = load(conn, scope, q.span, q.site.as_ref())?;
    let facts: Vec<&Fact> = facts.iter().filter(|f| f.visible(i64::MAX - 1) && wanted(f, q)).collect();
    let until = q.span.until.min(q.now.millis());
    let mut sums: BTreeMap<&str, (u64, Decimal)> = BTreeMap::new();
    let mut add = |reason, amount: Decimal| {
        let s = sums.entry(reason).or_default();
        s.0 += 1;
        s.1 += amount;
    };
    for f in &facts {
        match (&f.body, q.kind) {
            (Body::Downtime { reason, .. }, Kind::StopReason) => {
                let span = f.span.within(Span::new(q.span.from, until));
                add(reason.as_deref().unwrap_or(UNCLASSIFIED), Decimal::from(span.map_or(0, Span::millis)));
            }
            // The same stop may be a downtime too.
            (Body::Stop { reason }, Kind::StopReason) if !also_downtime(&facts, f, reason) => {
                let span = f.span.within(Span::new(q.span.from, until));
                add(reason, Decimal::from(span.map_or(0, Span::millis)));
            }
            (Body::Report { scrap, .. }, Kind::ScrapReason) => {
                scrap.iter().for_each(|(r, n)| add(r, n.decimal()));
            }
            (Body::Report { rework, .. }, Kind::ReworkReason) => {
                rework.iter().for_each(|(r, n)| add(r, n.decimal()));
            }
            _ => {}
        }
    }
    let mut all: Vec<(&str, u64, Decimal)> = sums.into_iter().map(|(r, (n, v))| (r, n, v)).collect();
    all.sort_by(|a, b| b.2.cmp(&a.2).then(b.1.cmp(&a.1)).then(a.0.cmp(b.0)));
    let total: Decimal = all.iter().map(|(_, _, v)| *v).sum();
    let percent = |v: Decimal| if total.is_zero() { Decimal::ZERO } else { v * Decimal::ONE_HUNDRED / total };
    let mut before = Decimal::ZERO;
    let mut items = Vec::with_capacity(all.len());
    for (reason, count, value) in all {
        let vital = percent(before) < Decimal::from(LINE) && !value.is_zero();
        before += value;
        let stops = q.kind == Kind::StopReason;
        items.push(Item {
            reason: reason.to_owned(),
            count,
            hours: stops.then(|| shown(hours(value), 4)),
            quantity: (!stops).then(|| value.normalize().to_string()),
            percent: shown(percent(value), 2),
            cumulative_percent: shown(percent(before), 2),
            vital,
        });
    }
    Ok(items)
}

fn also_downtime(facts: &[&Fact], stop: &Fact, reason: &str) -> bool {
    facts.iter().any(|f| {
        matches!(&f.body, Body::Downtime { reason: Some(r), .. } if r == reason)
            && f.place.cell == stop.place.cell
            && f.span.within(stop.span).is_some()
    })
}
