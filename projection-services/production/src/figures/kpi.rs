//! The KPIs K-01 to K-18: one table of names and units, and the formula of each.

use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use super::sums::Sums;

/// A KPI's id, name and unit. K-15 and K-17 have two lines.
pub const KPIS: [(&str, &str, &str); 20] = [
    ("K-01", "availability", "ratio"),
    ("K-02", "effectiveness", "ratio"),
    ("K-03", "quality_ratio", "ratio"),
    ("K-04", "oee", "ratio"),
    ("K-05", "nee", "ratio"),
    ("K-06", "teep", "ratio"),
    ("K-07", "scrap_ratio", "ratio"),
    ("K-08", "rework_ratio", "ratio"),
    ("K-09", "first_pass_yield", "ratio"),
    ("K-10", "throughput_rate", "pieces/h"),
    ("K-11", "setup_ratio", "ratio"),
    ("K-12", "technical_efficiency", "ratio"),
    ("K-13", "allocation_ratio", "ratio"),
    ("K-14", "worker_efficiency", "ratio"),
    ("K-15", "on_time_completion", "ratio"),
    ("K-15", "on_time_completion_at_release", "ratio"),
    ("K-16", "quantity_fulfilment", "ratio"),
    ("K-17", "lead_time", "h"),
    ("K-17", "wip_age", "h"),
    ("K-18", "mtbf", "h"),
];

/// The ids, each once.
pub fn ids() -> Vec<String> {
    let mut ids: Vec<String> = KPIS.iter().map(|k| k.0.to_owned()).collect();
    ids.dedup();
    ids
}

/// One computed figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// `None` when the denominator is 0, or when it would be the figure of one person.
    pub value: Option<Decimal>,
    /// What the value is made of.
    pub numerator: Option<Decimal>,
    /// What it is divided by.
    pub denominator: Option<Decimal>,
    /// What one KPI has beside the others.
    pub more: Map<String, Value>,
}

/// So many digits after the point, always.
pub fn shown(d: Decimal, digits: u32) -> String {
    let mut d = d.round_dp_with_strategy(digits, rust_decimal::RoundingStrategy::MidpointAwayFromZero);
    d.rescale(digits);
    d.to_string()
}

/// Hours from milliseconds.
pub fn hours(ms: Decimal) -> Decimal {
    ms / Decimal::from(3_600_000)
}

fn seconds(ms: i64) -> Decimal {
    Decimal::new(ms, 3)
}

/// Fewer digits where a product has more than a decimal holds.
fn product(a: Decimal, b: Decimal) -> Decimal {
    a.checked_mul(b).unwrap_or_else(|| a.round_dp(0).saturating_mul(b.round_dp(0)))
}

fn ratio(numerator: Decimal, denominator: Decimal) -> Figure {
    let value = if denominator.is_zero() { None } else { numerator.checked_div(denominator) };
    let tidy = |d: Decimal| Some(d.round_dp(6).normalize());
    Figure { value, numerator: tidy(numerator), denominator: tidy(denominator), more: Map::new() }
}

/// The nearest rank: the smallest value that at least this part of all values does not exceed.
fn rank(sorted: &[i64], percent: usize) -> Option<i64> {
    let n = (sorted.len() * percent).div_ceil(100);
    sorted.get(n.max(1) - 1).copied()
}

/// Half of them are below, half above.
fn median(sorted: &[i64]) -> Option<Decimal> {
    let (high, low) = (sorted.get(sorted.len() / 2)?, sorted.get((sorted.len().max(1) - 1) / 2)?);
    Some((Decimal::from(*high) + Decimal::from(*low)) / Decimal::TWO)
}

/// Median and 90th percentile in hours; numerator and denominator are those of the mean.
fn spread(times: &[i64]) -> Figure {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let sum: Decimal = sorted.iter().map(|t| Decimal::from(*t)).sum();
    let mut f = ratio(hours(sum), Decimal::from(sorted.len()));
    f.value = median(&sorted).map(hours);
    let p90 = rank(&sorted, 90).map(|t| shown(hours(t.into()), 4));
    f.more.insert("median".into(), json!(f.value.map(|v| shown(v, 4))));
    f.more.insert("p90".into(), json!(p90));
    f
}

fn first_pass(s: &Sums) -> Figure {
    let parts = s.yields.values().map(|y| y.parts());
    let (good, all) = parts.fold((Decimal::ZERO, Decimal::ZERO), |a, b| (a.0 + b.0, a.1 + b.1));
    let mut f = ratio(good, all);
    let mut rolled = Some(Decimal::ONE).filter(|_| !all.is_zero());
    let mut operations = Vec::new();
    for (op, y) in &s.yields {
        let (good, all) = y.parts();
        let one = ratio(good, all);
        if let Some(v) = one.value {
            rolled = rolled.map(|r| product(r, v.round_dp(12)).round_dp(12));
        }
        operations.push(json!({
            "op": op, "value": one.value.map(|v| shown(v, 4)),
            "numerator": good.normalize().to_string(), "denominator": all.normalize().to_string(),
        }));
    }
    f.more.insert("rolled".into(), json!(rolled.map(|r| shown(r, 4))));
    f.more.insert("operations".into(), json!(operations));
    f
}

/// The figure of one line of [`KPIS`].
pub fn figure(name: &str, s: &Sums) -> Figure {
    let count = |n: u32| Decimal::from(n);
    match name {
        "availability" => ratio(seconds(s.apt), seconds(s.pbt)),
        "effectiveness" => ratio(s.pri_pq, seconds(s.apt)),
        "quality_ratio" => ratio(s.gq, s.pq),
        "oee" => ratio(s.pri_gq, seconds(s.pbt)),
        // AUPT / PBT x K-02 x K-03: the OEE with setup as if it were production.
        "nee" => ratio(product(s.pri_gq, seconds(s.apt + s.aust)), product(seconds(s.pbt), seconds(s.apt))),
        "teep" => ratio(s.pri_gq, seconds(s.calendar)),
        "scrap_ratio" => ratio(s.sq, s.pq),
        "rework_ratio" => ratio(s.rq, s.pq),
        "first_pass_yield" => first_pass(s),
        "throughput_rate" => ratio(s.pq, hours(s.aoet.into())),
        "setup_ratio" => ratio(seconds(s.aust), seconds(s.apt + s.aust)),
        "technical_efficiency" => ratio(seconds(s.apt), seconds(s.apt + s.adot)),
        "allocation_ratio" => ratio(seconds(s.aubt), seconds(s.aoet)),
        "worker_efficiency" => worker(s),
        "on_time_completion" => ratio(count(s.on_time_now), count(s.completed)),
        "on_time_completion_at_release" => ratio(count(s.on_time_release), count(s.completed)),
        "quantity_fulfilment" => ratio(s.good, s.planned),
        "lead_time" => spread(&s.leads),
        "wip_age" => spread(&s.ages),
        _ => ratio(hours(s.operating.into()), count(s.failures + u32::from(s.iso))),
    }
}

/// Never the figure of one person.
fn worker(s: &Sums) -> Figure {
    if s.people == 1 {
        let more = Map::from_iter([("withheld".to_owned(), json!("it would be the figure of one person"))]);
        return Figure { value: None, numerator: None, denominator: None, more };
    }
    ratio(seconds(i64::try_from(s.apwt / 1_000_000).unwrap_or(i64::MAX)), seconds(s.apat))
}
