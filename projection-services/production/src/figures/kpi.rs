//! The KPIs K-01 to K-20: one table of names and units, and the formula of each.

use rust_decimal::Decimal;
use serde_json::json;

use mw_figures::number::{Figure, hours, ratio, seconds, shown, spread};
use mw_figures::question::Kpi;

use super::sums::Sums;

/// A KPI's id, name and unit. K-15 and K-17 have two lines.
pub const KPIS: [Kpi; 22] = [
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
    ("K-19", "mttr_h", "h"),
    ("K-20", "availability_by_restoration", "ratio"),
];

/// The ids, each once.
pub fn ids() -> Vec<String> {
    let mut ids: Vec<String> = KPIS.iter().map(|k| k.0.to_owned()).collect();
    ids.dedup();
    ids
}

/// Fewer digits where a product has more than a decimal holds.
fn product(a: Decimal, b: Decimal) -> Decimal {
    a.checked_mul(b).unwrap_or_else(|| a.round_dp(0).saturating_mul(b.round_dp(0)))
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
        "lead_time" => spread(&s.leads, hours),
        "wip_age" => spread(&s.ages, hours),
        "mtbf" => ratio(hours(s.operating.into()), count(s.failures + u32::from(s.iso))),
        "mttr_h" => ratio(hours(s.restoring_failures.into()), count(s.failures + u32::from(s.iso))),
        _ => ratio(seconds(s.operating_restored), seconds(s.operating_restored + s.restoring)),
    }
}

/// Never the figure of one person.
fn worker(s: &Sums) -> Figure {
    if s.people == 1 {
        return Figure::of_one_person();
    }
    ratio(seconds(i64::try_from(s.apwt / 1_000_000).unwrap_or(i64::MAX)), seconds(s.apat))
}
