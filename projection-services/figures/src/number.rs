//! Figures as numbers: ratios, medians, and how they are written.

use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

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

impl Figure {
    /// The same with something beside.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.more.insert(name.to_owned(), value);
        self
    }

    /// No value, because it would be the figure of one person.
    pub fn of_one_person() -> Self {
        let more = Map::from_iter([("withheld".to_owned(), json!("it would be the figure of one person"))]);
        Figure { value: None, numerator: None, denominator: None, more }
    }
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

/// Minutes from milliseconds.
pub fn minutes(ms: Decimal) -> Decimal {
    ms / Decimal::from(60_000)
}

/// Seconds from milliseconds.
pub fn seconds(ms: i64) -> Decimal {
    Decimal::new(ms, 3)
}

/// A ratio; no value where the denominator is 0.
pub fn ratio(numerator: Decimal, denominator: Decimal) -> Figure {
    let value = if denominator.is_zero() { None } else { numerator.checked_div(denominator) };
    let tidy = |d: Decimal| Some(d.round_dp(6).normalize());
    Figure { value, numerator: tidy(numerator), denominator: tidy(denominator), more: Map::new() }
}

/// The nearest rank: the smallest value that at least this part of all values does not exceed.
pub fn rank(sorted: &[i64], percent: usize) -> Option<i64> {
    let n = (sorted.len() * percent).div_ceil(100);
    sorted.get(n.max(1) - 1).copied()
}

/// Half of them are below, half above.
pub fn median(sorted: &[i64]) -> Option<Decimal> {
    let (high, low) = (sorted.get(sorted.len() / 2)?, sorted.get((sorted.len().max(1) - 1) / 2)?);
    Some((Decimal::from(*high) + Decimal::from(*low)) / Decimal::TWO)
}

/// Median and 90th percentile, in the unit that `of` makes of milliseconds; numerator and
/// denominator are those of the mean.
pub fn spread(times: &[i64], of: fn(Decimal) -> Decimal) -> Figure {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let sum: Decimal = sorted.iter().map(|t| Decimal::from(*t)).sum();
    let mut f = ratio(of(sum), Decimal::from(sorted.len()));
    f.value = median(&sorted).map(of);
    let p90 = rank(&sorted, 90).map(|t| shown(of(t.into()), 4));
    let median = f.value.map(|v| shown(v, 4));
    f.with("median", json!(median)).with("p90", json!(p90))
}
