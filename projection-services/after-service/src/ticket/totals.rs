//! Time and parts of a ticket in sum, as far as they are known now. What the close said stands beside.

use mw_contract::money::Money;
use mw_contract::{Coverage, Instant, LogActivity};
use serde_json::{Value, json};

use super::{Stint, Ticket};

/// Seconds of work and travel by `now`, and the cost of parts by who bears it.
pub fn totals(t: &Ticket, now: Instant) -> Value {
    let spent = |all: &[Stint]| -> i64 {
        all.iter().map(|s| s.ended_at.unwrap_or(now).since(s.started_at).max(0) / 1000).sum()
    };
    let logged = |travel: bool| -> i64 {
        let is_travel = |l: &&Value| l["activity"] == json!(LogActivity::Travel);
        let counted =
            t.work_logs.iter().filter(|l| is_travel(l) == travel && l["activity"] != json!(LogActivity::Waiting));
        counted.filter_map(|l| l["duration"].as_i64()).sum()
    };
    json!({
        "labour": spent(&t.sessions) + logged(false), "travel": spent(&t.trips) + logged(true),
        "held": t.held_until(now) / 1000,
        "parts_cost": cost(t, |_| true), "covered_parts": cost(t, |c| c != Coverage::Chargeable),
        "charged_parts": cost(t, |c| c == Coverage::Chargeable),
        "at_close": t.final_totals,
    })
}

fn cost(t: &Ticket, of: impl Fn(Coverage) -> bool) -> Vec<Value> {
    let mut sums: Vec<(String, rust_decimal::Decimal)> = Vec::new();
    let lines = t.parts_consumed.iter().flat_map(|c| c["lines"].as_array().into_iter().flatten());
    for l in lines {
        let coverage = serde_json::from_value::<Coverage>(l["coverage"].clone());
        let each = serde_json::from_value::<Money>(l["unit_cost"].clone());
        let qty = l["qty"].as_str().and_then(|q| q.parse::<rust_decimal::Decimal>().ok());
        let (Ok(coverage), Ok(each), Some(qty)) = (coverage, each, qty) else { continue };
        if !of(coverage) {
            continue;
        }
        let sum = qty.checked_mul(each.amount.decimal()).unwrap_or_default();
        match sums.iter_mut().find(|(c, _)| c == each.currency.as_str()) {
            Some((_, s)) => *s = s.checked_add(sum).unwrap_or(*s),
            None => sums.push((each.currency.to_string(), sum)),
        }
    }
    sums.into_iter().map(|(c, s)| json!({"amount": s.normalize().to_string(), "currency": c})).collect()
}
