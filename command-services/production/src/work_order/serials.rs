//! WO-39 `work-order.allocate-serials`: serial numbers are set aside for an order.

use std::collections::BTreeSet;

use mw_contract::command::work_order::{AllocateSerials, SerialStart};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::work_order::SerialsAllocatedV1;
use mw_contract::{CheckDigit, CommandType, Qty, Rejection, Text};

use crate::facts::Production;
use crate::invariants::whole_if_piece;
use crate::rules::{Case, Holds, authorise, exists};
use crate::state::ProductionState;

/// The most serials of one command.
const MOST: u32 = 1000;
/// What the event may hold of them: under 16 KiB with room for the rest.
const MOST_BYTES: usize = 15 * 1024;

/// Decides WO-39.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &AllocateSerials,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let case = Case::open(facts, state, CommandType::WorkOrderAllocateSerials, ctx)?;
    let own_cell = case.order.operations.iter().any(|o| case.at_own_cell(o));
    let role = authorise(ctx, Holds { own_cell, ..Holds::default() })?;
    let order = case.order;
    let serials = asked(p)?;
    let taken: Vec<String> = serials
        .iter()
        .filter(|s| facts.serial(&order.product_id, s).is_some())
        .map(|s| s.as_str().to_owned())
        .collect();
    if !taken.is_empty() {
        // WO-39.R1.
        return Err(exists(format!("{} of these serials of {} are taken", taken.len(), order.product_id))
            .with("rule", "WO-39.R1")
            .with("serials", taken));
    }
    let count = |n: usize| Qty::whole(u32::try_from(n).unwrap_or(u32::MAX));
    let have = count(order.free_serials.len() + order.units.len());
    let most = whole_if_piece(order, order.planned_qty.plus_percent(order.over_tolerance_pct)) - have;
    if count(serials.len()) > most {
        return Err(Rejection::guard("WO-39.R2", format!("the order can take {most} more serials"))
            .with("max_allowed", most.to_string()));
    }
    Ok(case.decided(role, vec![SerialsAllocatedV1 { serials }.into()]))
}

/// The serials that the command means, in order.
fn asked(p: &AllocateSerials) -> Result<Vec<Text<60>>, Rejection> {
    let series = p.prefix.is_some() || p.first.is_some() || p.count.is_some() || p.check_digit.is_some();
    let serials = match (&p.serials, &p.first, p.count) {
        (Some(list), _, _) if !series => list.clone(),
        (None, Some(first), Some(count)) => generate(p, first, count)?,
        _ => {
            let message = "give either serials, or first and count with prefix and check_digit";
            return Err(Rejection::invalid("payload.serials", message));
        }
    };
    let distinct: BTreeSet<&Text<60>> = serials.iter().collect();
    if serials.is_empty() || serials.len() > MOST as usize || distinct.len() != serials.len() {
        let message = format!("has 1 to {MOST} serials, each once");
        return Err(Rejection::invalid("payload.serials", message));
    }
    // One byte before each text gives its length.
    if serials.iter().map(|s| s.as_str().len() + 1).sum::<usize>() > MOST_BYTES {
        let message = format!("together have at most {MOST_BYTES} bytes: allocate them in several commands");
        return Err(Rejection::invalid("payload.serials", message));
    }
    Ok(serials)
}

fn generate(p: &AllocateSerials, first: &SerialStart, count: u32) -> Result<Vec<Text<60>>, Rejection> {
    if count == 0 || count > MOST {
        return Err(Rejection::invalid("payload.count", format!("is 1 to {MOST}")));
    }
    let prefix = p.prefix.as_ref().map_or("", |t| t.as_str());
    let start: u64 = first.0.parse().map_err(|_| Rejection::invalid("payload.first", "has 1 to 18 digits"))?;
    let width = first.0.len();
    (0..u64::from(count))
        .map(|i| {
            let bare = format!("{prefix}{:0width$}", start.saturating_add(i));
            let check = match p.check_digit.unwrap_or(CheckDigit::None) {
                CheckDigit::None => String::new(),
                CheckDigit::Mod10 => luhn(&bare).to_string(),
                CheckDigit::Mod97 => format!("{:02}", mod97(&bare)),
            };
            Text::new(&(bare + &check)).map_err(|e| Rejection::invalid("payload.prefix", e.to_string()))
        })
        .collect()
}

/// The Luhn digit over all digits of the serial; other characters do not count.
fn luhn(s: &str) -> u32 {
    let digits = s.chars().filter_map(|c| c.to_digit(10));
    let sum: u32 = digits
        .rev()
        .enumerate()
        .map(|(i, d)| match i % 2 {
            0 => d * 2 / 10 + d * 2 % 10,
            _ => d,
        })
        .sum();
    (10 - sum % 10) % 10
}

/// ISO 7064 MOD 97-10 over digits and letters (a letter is 10 to 35); other characters do not count.
fn mod97(s: &str) -> u32 {
    let value = s.chars().filter_map(|c| c.to_digit(36)).fold(0u32, |acc, d| {
        let shift = if d > 9 { 100 } else { 10 };
        (acc * shift + d) % 97
    });
    (98 - value * 100 % 97) % 97
}
