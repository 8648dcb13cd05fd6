//! The KPIs K-21 to K-34: one table of names and units, what each is made of, and the formulas.

use mw_contract::SlaClock;
use mw_figures::number::{Figure, hours, median, minutes, rank, ratio, shown, spread};
use mw_figures::question::Kpi;
use rust_decimal::Decimal;
use serde_json::json;

use super::sums::Element as E;
use super::sums::{FIX_DAYS, Sums};

/// A KPI's id, name and unit. A KPI with several numbers has a line for each.
pub const KPIS: [Kpi; 28] = [
    ("K-21", "first_response_median_min", "min"),
    ("K-21", "first_response_p90_min", "min"),
    ("K-21", "mtta_min", "min"),
    ("K-22", "sla_first_response", "ratio"),
    ("K-22", "sla_on_site", "ratio"),
    ("K-22", "sla_resolution", "ratio"),
    ("K-22", "sla_update", "ratio"),
    ("K-22", "sla_first_response_reopened", "ratio"),
    ("K-22", "sla_on_site_reopened", "ratio"),
    ("K-22", "sla_resolution_reopened", "ratio"),
    ("K-22", "sla_update_reopened", "ratio"),
    ("K-23", "time_to_resolve_net_h", "h"),
    ("K-23", "time_to_resolve_gross_h", "h"),
    ("K-24", "first_time_fix_rate", "ratio"),
    ("K-25", "reopen_rate", "ratio"),
    ("K-26", "no_fault_found_rate", "ratio"),
    ("K-27", "technician_utilisation", "ratio"),
    ("K-27", "wrench_time", "ratio"),
    ("K-28", "backlog_h", "h"),
    ("K-28", "backlog_weeks", "weeks"),
    ("K-29", "pm_compliance", "ratio"),
    ("K-30", "planned_share", "ratio"),
    ("K-31", "warranty_claim_rate", "ratio"),
    ("K-32", WARRANTY_COST, "money"),
    ("K-33", "csat", "ratio"),
    ("K-33", "nps", "points"),
    ("K-33", "rating_response_rate", "ratio"),
    ("K-34", "parts_fill_rate", "ratio"),
];

/// The one whose unit is a currency.
pub const WARRANTY_COST: &str = "warranty_cost_per_unit";

/// The ids, each once.
pub fn ids() -> Vec<String> {
    let mut ids: Vec<String> = KPIS.iter().map(|k| k.0.to_owned()).collect();
    ids.sort();
    ids.dedup();
    ids
}

/// What a KPI is made of: a change of nothing else is a revision of it.
pub fn elements(kpi: &str) -> &'static [E] {
    match kpi {
        "K-21" => &[E::Response],
        "K-22" => &[E::Met, E::Judged, E::MetAgain, E::JudgedAgain],
        "K-23" => &[E::Net, E::Gross],
        "K-24" => &[E::Visited, E::Fixed],
        "K-25" => &[E::Reopened, E::Closed],
        "K-26" => &[E::Resolved, E::NoFault],
        "K-27" => &[E::Work, E::Travel, E::Available, E::People],
        "K-28" => &[E::Backlog, E::Unestimated],
        "K-29" => &[E::Due, E::DoneInTime],
        "K-30" => &[E::Preventive, E::Maintenance],
        "K-31" => &[E::Claims, E::Shipped],
        "K-32" => &[E::WarrantyCost, E::Unpriced, E::UnderWarranty],
        "K-33" => &[E::Ratable, E::Rated, E::Satisfied, E::Recommending, E::Promoters, E::Detractors],
        _ => &[E::Needed, E::There],
    }
}

/// The mean of times in hours, with their median and 90th percentile beside.
fn mean(times: &[i64]) -> Figure {
    let mut f = spread(times, hours);
    f.value = f.numerator.zip(f.denominator).and_then(|(n, d)| n.checked_div(d));
    f
}

fn one_of(times: &[i64], pick: impl Fn(&[i64]) -> Option<Decimal>) -> Figure {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let mut f = spread(times, minutes);
    f.value = pick(&sorted).map(minutes);
    f
}

fn percent_points(n: Decimal, d: Decimal) -> Figure {
    let mut f = ratio(n, d);
    f.value = f.value.map(|v| v * Decimal::ONE_HUNDRED);
    f
}

fn clock(s: &Sums, (met, judged): (E, E), clock: SlaClock) -> Figure {
    ratio(s.of(met, clock.as_str()), s.of(judged, clock.as_str()))
}

/// Never the figure of one person.
fn of_people(s: &Sums, work: Decimal) -> Figure {
    if s.total(E::People) == Decimal::ONE {
        return Figure::of_one_person();
    }
    ratio(hours(work), hours(s.total(E::Available)))
}

fn claims(s: &Sums) -> Figure {
    let lots: Vec<serde_json::Value> = s
        .kinds(E::Shipped)
        .into_iter()
        .map(|lot| {
            let f = ratio(s.of(E::Claims, lot), s.of(E::Shipped, lot));
            json!({
                "lot": if lot.is_empty() { json!(null) } else { json!(lot) },
                "value": f.value.map(|v| shown(v, 4)),
                "numerator": f.numerator.map(|n| n.to_string()),
                "denominator": f.denominator.map(|n| n.to_string()),
            })
        })
        .collect();
    ratio(s.total(E::Claims), s.total(E::Shipped)).with("lots", json!(lots))
}

/// What a unit under warranty cost, in one currency.
pub fn warranty_cost(s: &Sums, currency: &str) -> Figure {
    let unpriced = shown(hours(s.total(E::Unpriced)), 4);
    ratio(s.of(E::WarrantyCost, currency), s.total(E::UnderWarranty)).with("unpriced_hours", json!(unpriced))
}

/// The figure of any line of [`KPIS`] where there is nothing.
pub fn nothing(name: &str, none: &Sums) -> Figure {
    if name == WARRANTY_COST { warranty_cost(none, "") } else { figure(name, none, Decimal::ZERO) }
}

/// The figure of one line of [`KPIS`] but for [`WARRANTY_COST`]; `capacity` is what the teams of the
/// group can work in a week, in hours.
pub fn figure(name: &str, s: &Sums, capacity: Decimal) -> Figure {
    let (first, again) = ((E::Met, E::Judged), (E::MetAgain, E::JudgedAgain));
    match name {
        "first_response_median_min" => one_of(s.times(E::Response), median),
        "first_response_p90_min" => one_of(s.times(E::Response), |t| rank(t, 90).map(Decimal::from)),
        "mtta_min" => {
            let mut f = spread(s.times(E::Response), minutes);
            f.value = f.numerator.zip(f.denominator).and_then(|(n, d)| n.checked_div(d));
            f
        }
        "sla_first_response" => clock(s, first, SlaClock::FirstResponse),
        "sla_on_site" => clock(s, first, SlaClock::OnSite),
        "sla_resolution" => clock(s, first, SlaClock::Resolution),
        "sla_update" => clock(s, first, SlaClock::Update),
        "sla_first_response_reopened" => clock(s, again, SlaClock::FirstResponse),
        "sla_on_site_reopened" => clock(s, again, SlaClock::OnSite),
        "sla_resolution_reopened" => clock(s, again, SlaClock::Resolution),
        "sla_update_reopened" => clock(s, again, SlaClock::Update),
        "time_to_resolve_net_h" => mean(s.times(E::Net)),
        "time_to_resolve_gross_h" => mean(s.times(E::Gross)),
        "first_time_fix_rate" => ratio(s.total(E::Fixed), s.total(E::Visited)).with("window_days", json!(FIX_DAYS)),
        "reopen_rate" => ratio(s.total(E::Reopened), s.total(E::Closed)),
        "no_fault_found_rate" => ratio(s.total(E::NoFault), s.total(E::Resolved)),
        "technician_utilisation" => of_people(s, s.total(E::Work) + s.total(E::Travel)),
        "wrench_time" => of_people(s, s.total(E::Work)),
        "backlog_h" | "backlog_weeks" => {
            let open = s.total(E::Backlog) / Decimal::from(3600);
            let by = if name == "backlog_h" { Decimal::ONE } else { capacity };
            ratio(open, by).with("unestimated", json!(s.total(E::Unestimated).to_string()))
        }
        "pm_compliance" => ratio(s.total(E::DoneInTime), s.total(E::Due)),
        "planned_share" => ratio(hours(s.total(E::Preventive)), hours(s.total(E::Maintenance))),
        "warranty_claim_rate" => claims(s),
        "csat" => ratio(s.total(E::Satisfied), s.total(E::Rated)),
        "nps" => percent_points(s.total(E::Promoters) - s.total(E::Detractors), s.total(E::Recommending)),
        "rating_response_rate" => ratio(s.total(E::Rated), s.total(E::Ratable)),
        _ => ratio(s.total(E::There), s.total(E::Needed)),
    }
}
