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
    let most = whole_if_piece(order, order.planned_qty.plus_percent(order.over_tolerance_pct)) - order.serials_in_use();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{World, code, data, detail, device, names, operator, rule};
    use mw_contract::{AggregateId, ErrorCode, Role};
    use serde_json::{Value, json};

    fn ask(w: &World, id: AggregateId, p: Value) -> Result<Decision, Rejection> {
        w.ask(&crate::fixture::planner(), "work-order.allocate-serials", id, p)
    }

    fn pumps(w: &mut World, qty: u32) -> AggregateId {
        let id = w.pump(qty);
        w.release(id);
        id
    }

    #[test]
    fn wo_39_takes_a_list_or_makes_a_series() {
        let mut w = World::new();
        let id = pumps(&mut w, 1000);
        let d = ask(&w, id, json!({"serials": ["A", "B"]})).unwrap();
        assert_eq!((names(&d), &data(&d, 0)["serials"]), (vec!["SerialsAllocated"], &json!(["A", "B"])));
        let series = |more: Value| {
            let mut p = json!({"prefix": "P200-", "first": "0009", "count": 2});
            p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            data(&ask(&w, id, p).unwrap(), 0)["serials"].clone()
        };
        assert_eq!(series(json!({})), json!(["P200-0009", "P200-0010"]));
        assert_eq!(series(json!({"first": 99})), json!(["P200-99", "P200-100"]));
        assert_eq!(series(json!({"prefix": null, "first": "1", "count": 1})), json!(["1"]));
        // The textbook numbers: Luhn of 7992739871 is 3; ISO 7064 MOD 97-10 of 794 is 44.
        assert_eq!(
            series(json!({"prefix": "7992739", "first": "871", "count": 1, "check_digit": "mod10"})),
            json!(["79927398713"])
        );
        assert_eq!(
            series(json!({"prefix": null, "first": "794", "count": 1, "check_digit": "mod97"})),
            json!(["79444"])
        );
        assert_eq!(series(json!({"count": 1000})).as_array().unwrap().len(), 1000);
    }

    #[test]
    fn wo_39_check_digits() {
        for (bare, digit) in [("7992739871", 3), ("1", 8), ("0", 0), ("P-1", 8), ("18", 2), ("5", 9), ("A-1", 8)] {
            assert_eq!(luhn(bare), digit, "{bare}");
        }
        // Whatever the text, number and check digits together leave 1.
        for bare in ["794", "P200", "A", "1A", "0", "ZZ-99", "3214282912345698765432161182"] {
            let whole = format!("{bare}{:02}", mod97(bare));
            let rest = whole
                .chars()
                .filter_map(|c| c.to_digit(36))
                .fold(0u32, |a, d| (a * if d > 9 { 100 } else { 10 } + d) % 97);
            assert_eq!(rest, 1, "{whole}");
        }
        assert_eq!(mod97("3214282912345698765432161100"), mod97("32142829123456987654321611-00"));
    }

    #[test]
    fn wo_39_shape_and_bounds() {
        let mut w = World::new();
        let id = pumps(&mut w, 5000);
        let long: Vec<String> = (0..400).map(|n| format!("{n:060}")).collect();
        for bad in [
            json!({}),
            json!({"serials": []}),
            json!({"serials": ["A", "A"]}),
            json!({"serials": ["A"], "count": 1}),
            json!({"serials": ["A"], "first": 1}),
            json!({"serials": ["A"], "prefix": "P"}),
            json!({"serials": ["A"], "check_digit": "none"}),
            json!({"prefix": "P", "count": 1}),
            json!({"prefix": "P", "first": 1}),
            json!({"first": 1, "count": 0}),
            json!({"first": 1, "count": 1001}),
            json!({"serials": (0..1001).map(|n| n.to_string()).collect::<Vec<_>>()}),
            json!({"serials": long}),
        ] {
            assert_eq!(code(ask(&w, id, bad.clone())), ErrorCode::Validation, "{bad}");
        }
        for count in [0, 1001] {
            let r = ask(&w, id, json!({"first": 1, "count": count})).unwrap_err();
            assert_eq!(r.field.as_deref(), Some("payload.count"));
        }
        // One byte a serial for its length: 251 serials of 60 and one of 48 are 15 KiB to the byte.
        let last = |len: usize| {
            let full = (0..MOST_BYTES / 61).map(|n| format!("{n:060}"));
            full.chain(["x".repeat(len)]).collect::<Vec<String>>()
        };
        let left = MOST_BYTES % 61 - 1;
        assert_eq!(code(ask(&w, id, json!({"serials": last(left + 1)}))), ErrorCode::Validation);
        let bytes: usize = last(left).iter().map(|s| s.len() + 1).sum();
        assert_eq!(bytes, 15_360);
        let d = ask(&w, id, json!({"serials": last(left)})).unwrap();
        assert!(d.events[0].1.encode().unwrap().2.len() < 16 * 1024);
    }

    #[test]
    fn wo_39_r1_a_serial_is_unique_per_product_for_ever() {
        let mut w = World::new();
        let (a, b) = (pumps(&mut w, 5), pumps(&mut w, 5));
        w.planner("work-order.allocate-serials", a, json!({"serials": ["S-1", "S-2"]})).unwrap();
        let refused = ask(&w, b, json!({"serials": ["S-3", "S-2"]}));
        assert_eq!(detail(refused.clone(), "serials"), json!(["S-2"]));
        assert_eq!(code(refused), ErrorCode::AlreadyExists);
        w.planner("work-order.cancel", a, json!({"reason": "no_demand"})).unwrap();
        assert_eq!(code(ask(&w, b, json!({"serials": ["S-2"]}))), ErrorCode::AlreadyExists);
        let other = w.bracket(5);
        w.release(other);
        ask(&w, other, json!({"serials": ["S-2"]})).unwrap();
    }

    #[test]
    fn wo_39_r2_no_more_than_the_order_may_make() {
        let mut w = World::new();
        let mut p = World::create_payload("pump-200", 4);
        p["over_tolerance_pct"] = json!("40");
        let id = w.create(p);
        w.release(id);
        let six: Vec<String> = (0..6).map(|n| n.to_string()).collect();
        assert_eq!(detail(ask(&w, id, json!({"serials": six})), "max_allowed"), "5");
        assert_eq!(rule(ask(&w, id, json!({"serials": six}))), "WO-39.R2");
        w.planner("work-order.allocate-serials", id, json!({"serials": ["A", "B"]})).unwrap();
        w.start(&crate::fixture::lead(), id, 10, "cell-1");
        w.lead("work-order.register-unit", id, json!({"serial": "C", "op": 10, "result": "scrap"})).unwrap();
        assert_eq!(detail(ask(&w, id, json!({"serials": ["D", "E", "F"]})), "max_allowed"), "2");
        ask(&w, id, json!({"serials": ["D", "E"]})).unwrap();
    }

    #[test]
    fn wo_39_a_device_allocates_where_its_cell_works() {
        let mut w = World::new();
        w.put("cell", "cell-3", json!({"line": "line-1"})).unwrap();
        let id = pumps(&mut w, 5);
        let ask =
            |who: &mw_contract::decide::Actor| w.ask(who, "work-order.allocate-serials", id, json!({"serials": ["A"]}));
        assert_eq!(ask(&device("cell-2")).unwrap().role, Role::Device);
        assert_eq!(code(ask(&device("cell-3"))), ErrorCode::Forbidden);
        assert_eq!(code(ask(&operator("operator-1"))), ErrorCode::Forbidden);
    }
}
