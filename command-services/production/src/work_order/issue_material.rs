//! WO-24 `work-order.issue-material`: from stock to the order. What stock has is stock's business:
//! it is told of what was issued.

use std::collections::{BTreeMap, BTreeSet};

use mw_contract::command::material::{IssueLine, IssueMaterial};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::material::MaterialIssuedV1;
use mw_contract::event::parts::{BomLineV1, IssuedV1};
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, EntityId, ItemId, Qty, Rejection, Sealed, Text, Tracking};

use crate::facts::Production;
use crate::material::{Material, may_stand_in};
use crate::rules::{Case, Holds, authorise, check_reason, exists, settings};
use crate::state::ProductionState;
use crate::work_order::reservation::{bom_line, some_lines};

/// Decides WO-24.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &IssueMaterial,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds { setting: settings(facts, ctx).operator_issues, ..Holds::default() })?;
    let case = Case::open(facts, state, CommandType::WorkOrderIssueMaterial, ctx)?;
    let (order, material) = (case.order, &case.order.material);
    if material.ids.contains(&p.issue_id) {
        return Err(exists(format!("issue {} is there already", p.issue_id)).at("payload.issue_id"));
    }
    if let Some(code) = &p.over_issue_reason {
        check_reason(facts, catalogues::MATERIAL, code, p.note.as_ref(), "payload.over_issue_")?;
    }
    some_lines(p.lines.iter().map(|l| l.qty), "WO-24.R1")?;
    let mut seen = BTreeSet::new();
    let mut issued: BTreeMap<u16, Qty> = BTreeMap::new();
    let mut substituted: BTreeMap<(u16, ItemId), Qty> = BTreeMap::new();
    let mut kept: BTreeMap<_, Qty> = BTreeMap::new();
    let mut lines = Vec::with_capacity(p.lines.len());
    for (i, l) in p.lines.iter().enumerate() {
        let field = |name: &str| format!("payload.lines[{i}].{name}");
        let line = bom_line(order, l.line_no, "WO-24.R1", field("line_no"))?;
        let item = l.item_id.clone().unwrap_or_else(|| line.item_id.clone());
        if !may_stand_in(order, line, &item) {
            let message = format!("{item} is not {} and may not stand in for it: approve it first", line.item_id);
            return Err(Rejection::guard("WO-24.R2", message).at(field("item_id")));
        }
        let serials = l.serials.clone().unwrap_or_default();
        tracked(line, l, &serials).map_err(|r| r.at(field("serials")))?;
        for s in &serials {
            serial_may_go(facts, &item, s, &mut seen).map_err(|r| r.at(field("serials")))?;
        }
        let worth = material.worth(l.line_no, &item, l.qty);
        let sum = issued.entry(l.line_no).or_default();
        *sum += worth;
        let needed = order.required(line).unwrap_or_default();
        if material.line(l.line_no).net() + *sum > needed && p.over_issue_reason.is_none() {
            let message = format!("line {} needs {needed}: give an over_issue_reason for more", l.line_no);
            let left = needed.less(material.line(l.line_no).net());
            return Err(Rejection::guard("WO-24.R4", message).at(field("qty")).with("max_allowed", left.to_string()));
        }
        if let Some(s) = material.substitutes.get(&(l.line_no, item.clone())) {
            let used = substituted.entry((l.line_no, item.clone())).or_default();
            *used += worth;
            let before: Qty = material.line(l.line_no).floor.iter().filter(|f| f.item_id == item).map(|f| f.qty).sum();
            let before = material.worth(l.line_no, &item, before);
            if s.valid_qty.is_some_and(|most| before + *used > most) {
                let message = format!("{item} was approved for {} only", s.valid_qty.unwrap_or_default());
                return Err(Rejection::guard("WO-24.R2", message).at(field("qty")));
            }
        }
        if let Some(id) = l.reservation_id {
            let used = kept.entry(id).or_insert(Qty::ZERO);
            *used += l.qty;
            match material.reservations.get(&id) {
                Some(r) if r.line_no == l.line_no && *used <= r.qty => {}
                Some(r) => {
                    let message = format!("reservation {id} keeps {} for line {}", r.qty, r.line_no);
                    return Err(Rejection::guard("WO-24.R2", message).at(field("reservation_id")));
                }
                None => {
                    let message = format!("the order has no reservation {id}");
                    return Err(Rejection::not_found(message).at(field("reservation_id")));
                }
            }
        }
        let issued = IssuedV1 {
            line_no: l.line_no,
            item_id: item,
            qty: l.qty,
            lot: l.lot.clone(),
            serials,
            reservation_id: l.reservation_id,
            from_location: l.from_location.clone(),
        };
        lines.extend(from_own_reservations(material, issued, &mut kept));
    }
    let event = MaterialIssuedV1 {
        issue_id: p.issue_id,
        lines,
        over_issue_reason: p.over_issue_reason.clone(),
        note: p.note.as_ref().map(Sealed::plain),
    };
    Ok(case.decided(role, vec![event.into()]))
}

/// What stock keeps for the order at that place goes first, also where nobody names it: else the
/// order would stand in its own way. Pieces with serial numbers are not divided.
fn from_own_reservations(
    material: &Material,
    mut issued: IssuedV1,
    kept: &mut BTreeMap<EntityId, Qty>,
) -> Vec<IssuedV1> {
    let mut lines = Vec::new();
    if issued.reservation_id.is_none() {
        let own = material.reservations.values().filter(|r| {
            r.line_no == issued.line_no
                && r.item_id == issued.item_id
                && r.location == issued.from_location
                && r.lot == issued.lot
        });
        for r in own.collect::<Vec<_>>() {
            let used = kept.entry(r.reservation_id).or_insert(Qty::ZERO);
            let part = r.qty.less(*used).min(issued.qty);
            if part.is_zero() || (!issued.serials.is_empty() && part < issued.qty) {
                continue;
            }
            *used += part;
            issued.qty = issued.qty.less(part);
            let serials = std::mem::take(&mut issued.serials);
            lines.push(IssuedV1 { qty: part, serials, reservation_id: Some(r.reservation_id), ..issued.clone() });
        }
    }
    if !issued.qty.is_zero() {
        lines.push(issued);
    }
    lines
}

/// WO-24.R2: lot or serial numbers where the line is tracked so, one a piece.
fn tracked(line: &BomLineV1, l: &IssueLine, serials: &[Text<60>]) -> Result<(), Rejection> {
    let guard = |message: String| Err(Rejection::guard("WO-24.R2", message));
    match line.tracking {
        Tracking::Lot if l.lot.is_none() => guard(format!("{} is tracked by lot: name it", line.item_id)),
        Tracking::Serial if serials.is_empty() => guard(format!("{} is tracked by serial: name each", line.item_id)),
        _ => one_a_piece(serials, l.qty, "WO-24.R2"),
    }
}

/// As many serial numbers as pieces, where there are any.
pub(crate) fn one_a_piece(serials: &[Text<60>], qty: Qty, rule: &'static str) -> Result<(), Rejection> {
    if serials.is_empty() || Qty::whole(u32::try_from(serials.len()).unwrap_or(u32::MAX)) == qty {
        return Ok(());
    }
    Err(Rejection::guard(rule, format!("{} serial numbers are named for {qty} pieces", serials.len())))
}

/// WO-24.R3: a serial number is issued once, and one of those that are known, where any are.
fn serial_may_go(
    facts: &Production,
    item: &ItemId,
    serial: &Text<60>,
    seen: &mut BTreeSet<(ItemId, Text<60>)>,
) -> Result<(), Rejection> {
    if !seen.insert((item.clone(), serial.clone())) {
        return Err(Rejection::guard("WO-24.R3", format!("{serial} is named twice")));
    }
    if let Some(order) = facts.components.issued_to(item, serial) {
        let message = format!("{item} {serial} was issued already: return it there first");
        return Err(Rejection::guard("WO-24.R3", message).with("work_order_id", order.to_string()));
    }
    if facts.components.is_unknown(item, serial) {
        return Err(Rejection::guard("WO-24.R3", format!("there is no {item} {serial}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, actor, code, data, detail, e, lead, rule, system};
    use mw_contract::decide::Allowance;
    use mw_contract::{ErrorCode, Role};
    use serde_json::{Value, json};

    fn issue(n: u128, line: Value) -> Value {
        let mut l = json!({"line_no": 1, "qty": 1, "from_location": "store"});
        l.as_object_mut().unwrap().extend(line.as_object().unwrap().clone());
        json!({"issue_id": e(n), "lines": [l]})
    }

    #[test]
    fn wo_24_r1_something_of_a_line_is_issued_once() {
        let mut w = World::new();
        let id = w.with_material(5);
        assert_eq!(rule(w.lead("work-order.issue-material", id, issue(1, json!({"qty": 0})))), "WO-24.R1");
        assert_eq!(rule(w.lead("work-order.issue-material", id, issue(1, json!({"line_no": 9})))), "WO-24.R1");
        let d = w.lead("work-order.issue-material", id, issue(1, json!({"qty": 2}))).unwrap();
        assert_eq!(
            (&data(&d, 0)["lines"][0]["item_id"], &data(&d, 0)["lines"][0]["qty"]),
            (&json!("sheet"), &json!("2"))
        );
        assert_eq!(code(w.lead("work-order.issue-material", id, issue(1, json!({})))), ErrorCode::AlreadyExists);
        assert_eq!(w.order(id).material.line(1).net().to_string(), "2");
        // Operators where the site lets them.
        let operator = actor("operator-1", &[(Role::Operator, Allowance::Setting)]);
        assert_eq!(code(w.run(&operator, "work-order.issue-material", id, issue(2, json!({})))), ErrorCode::Forbidden);
    }

    #[test]
    fn wo_24_r2_lots_and_serials_are_named_where_the_line_is_tracked() {
        let mut w = World::new();
        let bom = json!([{"line_no": 1, "item_id": "motor", "qty_per_unit": 1, "tracking": "serial"},
            {"line_no": 2, "item_id": "seal", "qty_per_unit": 1, "tracking": "lot", "alternatives": ["seal-b"]}]);
        let id = w.bracket_with(5, json!({"bom": bom}));
        w.release(id);
        for bad in [
            json!({}),
            json!({"qty": 2, "serials": ["A"]}),
            json!({"line_no": 2}),
            json!({"line_no": 2, "lot": "L", "item_id": "glue"}),
        ] {
            assert_eq!(rule(w.lead("work-order.issue-material", id, issue(1, bad))), "WO-24.R2");
        }
        w.lead("work-order.issue-material", id, issue(1, json!({"qty": 2, "serials": ["A", "B"]}))).unwrap();
        w.lead("work-order.issue-material", id, issue(2, json!({"line_no": 2, "lot": "L", "item_id": "seal-b"})))
            .unwrap();
        let kept = issue(3, json!({"serials": ["C"], "reservation_id": e(9)}));
        assert_eq!(code(w.lead("work-order.issue-material", id, kept)), ErrorCode::NotFound);
    }

    #[test]
    fn wo_24_r2_a_reservation_is_used_up_and_not_exceeded() {
        let mut w = World::new();
        let id = w.with_material(5);
        w.lead("work-order.request-material", id, json!({"request_id": e(1), "lines": [{"line_no": 1, "qty": 3}]}))
            .unwrap();
        let reserved = json!({"line_no": 1, "qty": 3, "location": "store", "reservation_id": e(2)});
        w.run(&system(), "work-order.confirm-reservation", id, json!({"request_id": e(1), "reserved": [reserved]}))
            .unwrap();
        let from = |n: u128, qty: u32| issue(n, json!({"qty": qty, "reservation_id": e(2)}));
        assert_eq!(rule(w.lead("work-order.issue-material", id, from(3, 4))), "WO-24.R2");
        w.lead("work-order.issue-material", id, from(3, 2)).unwrap();
        assert_eq!(w.order(id).material.reserved(1).to_string(), "1");
        w.lead("work-order.issue-material", id, from(4, 1)).unwrap();
        assert_eq!(code(w.lead("work-order.issue-material", id, from(5, 1))), ErrorCode::NotFound);
    }

    #[test]
    fn wo_24_what_is_kept_for_the_order_goes_first() {
        let mut w = World::new();
        let id = w.with_material(5);
        w.lead("work-order.request-material", id, json!({"request_id": e(1), "lines": [{"line_no": 1, "qty": 3}]}))
            .unwrap();
        let reserved = json!({"line_no": 1, "qty": 3, "location": "store", "reservation_id": e(2)});
        w.run(&system(), "work-order.confirm-reservation", id, json!({"request_id": e(1), "reserved": [reserved]}))
            .unwrap();
        let d = w.lead("work-order.issue-material", id, issue(3, json!({"qty": 5}))).unwrap();
        let lines = data(&d, 0)["lines"].clone();
        assert_eq!((&lines[0]["qty"], &lines[0]["reservation_id"]), (&json!("3"), &json!(e(2))));
        assert_eq!((&lines[1]["qty"], &lines[1]["reservation_id"]), (&json!("2"), &json!(null)));
        let m = &w.order(id).material;
        assert_eq!((m.reserved(1).to_string(), m.line(1).net().to_string()), ("0".into(), "5".into()));
    }

    #[test]
    fn wo_24_r3_a_serial_is_issued_once_and_is_known_where_any_is() {
        let mut w = World::new();
        let bom = json!([{"line_no": 1, "item_id": "motor", "qty_per_unit": 1, "tracking": "serial"}]);
        let (a, b) = (w.bracket_with(5, json!({"bom": bom})), w.bracket_with(5, json!({"bom": bom})));
        w.release(a);
        w.release(b);
        let one = |n: u128, s: &str| issue(n, json!({"serials": [s]}));
        w.lead("work-order.issue-material", a, one(1, "M-1")).unwrap();
        let again = w.lead("work-order.issue-material", b, one(2, "M-1"));
        assert_eq!(detail(again.clone(), "work_order_id"), json!(a));
        assert_eq!(rule(again), "WO-24.R3");
        assert_eq!(
            rule(w.lead("work-order.issue-material", b, issue(2, json!({"qty": 2, "serials": ["X", "X"]})))),
            "WO-24.R3"
        );
        // Once stock knows serial numbers of motors, others do not exist.
        let received = json!({"item_id": "motor", "location": "store", "qty": 1, "serials": ["M-2"]});
        let motors = mw_contract::stock_id(&"motor".parse().unwrap(), &"store".parse().unwrap(), None);
        w.run(&lead(), "stock.receive", motors, received).unwrap();
        assert_eq!(rule(w.lead("work-order.issue-material", b, one(3, "M-3"))), "WO-24.R3");
        w.lead("work-order.issue-material", b, one(3, "M-2")).unwrap();
        // What came back may go out again.
        let back = json!({"return_id": e(4), "reason": "surplus", "lines": [{"line_no": 1, "qty": 1, "serials": ["M-2"],
            "to_location": "store", "condition": "good"}]});
        w.lead("work-order.return-material", b, back).unwrap();
        w.lead("work-order.issue-material", a, one(5, "M-2")).unwrap();
    }

    #[test]
    fn wo_24_r4_more_than_needed_has_a_reason() {
        let mut w = World::new();
        let id = w.with_material(5);
        w.lead("work-order.issue-material", id, issue(1, json!({"qty": 4}))).unwrap();
        let refused = w.lead("work-order.issue-material", id, issue(2, json!({"qty": 2})));
        assert_eq!(detail(refused.clone(), "max_allowed"), "1");
        assert_eq!(rule(refused), "WO-24.R4");
        let mut p = issue(2, json!({"qty": 2}));
        p["over_issue_reason"] = json!("spare");
        w.lead("work-order.issue-material", id, p).unwrap();
    }

    #[test]
    fn wo_24_only_what_is_kept_of_the_same_thing_at_the_same_place_goes_first() {
        let mut w = World::new();
        let bom = json!([{"line_no": 1, "item_id": "seal", "qty_per_unit": 1, "tracking": "lot"},
            {"line_no": 2, "item_id": "seal", "qty_per_unit": 1, "tracking": "lot"},
            {"line_no": 3, "item_id": "seal-b", "qty_per_unit": 1}]);
        let id = w.bracket_with(9, json!({"bom": bom}));
        w.release(id);
        let ask = json!({"request_id": e(1), "lines": [{"line_no": 1, "qty": 3}]});
        w.lead("work-order.request-material", id, ask).unwrap();
        let reserved = json!({"line_no": 1, "qty": 3, "location": "store", "lot": "L-1", "reservation_id": e(2)});
        w.run(&system(), "work-order.confirm-reservation", id, json!({"request_id": e(1), "reserved": [reserved]}))
            .unwrap();
        // Another line, another place, another lot: none of them is what is kept.
        for (n, other) in [
            json!({"line_no": 2, "lot": "L-1"}),
            json!({"lot": "L-1", "from_location": "yard"}),
            json!({"lot": "L-2"}),
            json!({"line_no": 3, "lot": "L-1"}),
        ]
        .into_iter()
        .enumerate()
        {
            let d = w.lead("work-order.issue-material", id, issue(10 + n as u128, other.clone())).unwrap();
            assert_eq!(data(&d, 0)["lines"][0]["reservation_id"], json!(null), "{other}");
        }
        assert_eq!(w.order(id).material.reserved(1).to_string(), "3");
        let d = w.lead("work-order.issue-material", id, issue(20, json!({"lot": "L-1"}))).unwrap();
        assert_eq!(data(&d, 0)["lines"][0]["reservation_id"], json!(e(2)));
    }

    #[test]
    fn wo_24_pieces_with_serial_numbers_are_not_divided_between_what_is_kept_and_the_rest() {
        let mut w = World::new();
        let bom = json!([{"line_no": 1, "item_id": "motor", "qty_per_unit": 1, "tracking": "serial"}]);
        let id = w.bracket_with(5, json!({"bom": bom}));
        w.release(id);
        let ask = json!({"request_id": e(1), "lines": [{"line_no": 1, "qty": 2}]});
        w.lead("work-order.request-material", id, ask).unwrap();
        let reserved = json!({"line_no": 1, "qty": 2, "location": "store", "reservation_id": e(2)});
        w.run(&system(), "work-order.confirm-reservation", id, json!({"request_id": e(1), "reserved": [reserved]}))
            .unwrap();
        let three = issue(3, json!({"qty": 3, "serials": ["A", "B", "C"]}));
        let lines = data(&w.ask(&lead(), "work-order.issue-material", id, three).unwrap(), 0)["lines"].clone();
        assert_eq!((lines.as_array().unwrap().len(), &lines[0]["reservation_id"]), (1, &json!(null)));
        // As many as are kept go from there, whole and by name; so do fewer.
        for serials in [json!(["A", "B"]), json!(["A"])] {
            let n = serials.as_array().unwrap().len();
            let p = issue(4, json!({"qty": n, "serials": serials}));
            let lines = data(&w.ask(&lead(), "work-order.issue-material", id, p).unwrap(), 0)["lines"].clone();
            assert_eq!(lines.as_array().unwrap().len(), 1, "{lines}");
            assert_eq!((&lines[0]["reservation_id"], &lines[0]["serials"]), (&json!(e(2)), &serials));
        }
    }
}
