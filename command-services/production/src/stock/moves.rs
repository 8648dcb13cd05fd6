//! ST-01 `stock.receive`, ST-04 `stock.issue`, ST-05 `stock.return` and ST-06 `stock.adjust`: what
//! comes, goes, comes back and is counted.

use mw_contract::command::stock::{AdjustStock, IssueStock, ReceiveStock, ReturnStock};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::stock::{StockAdjustedV1, StockIssuedV1, StockReceivedV1, StockReturnedV1};
use mw_contract::reference::catalogues;
use mw_contract::{AggregateId, EntityId, MaterialCondition, Qty, Rejection, Sealed, Text};

use super::{StockItem, all_decided, decided, insufficient, item, moved, one_serial_a_piece, site};
use crate::facts::Production;
use crate::rules::{Holds, authorise, need_reason, settings, too_large};
use crate::state::ProductionState;

/// Decides ST-01.
pub fn receive(state: &ProductionState, p: &ReceiveStock, ctx: &DecisionContext<'_>) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let item = item(state, ctx)?;
    let on_hand = item.map(|i| i.on_hand).unwrap_or_default();
    moved(p.qty, on_hand)?;
    let serials = p.serials.clone().unwrap_or_default();
    new_serials(item, &serials, p.qty)?;
    let received = StockReceivedV1 {
        item_id: p.item_id.clone(),
        location: p.location.clone(),
        lot: p.lot.clone(),
        site_id: site(ctx)?,
        qty: p.qty,
        serials,
        reference: p.reference.clone(),
        on_hand: on_hand + p.qty,
    };
    Ok(decided(ctx, role, received))
}

/// Serials that come in: one a piece where the item has them, and none that is there already.
fn new_serials(item: Option<&StockItem>, serials: &[Text<60>], qty: Qty) -> Result<(), Rejection> {
    const FIELD: &str = "payload.serials";
    one_serial_a_piece(serials, qty, FIELD)?;
    let Some(item) = item else { return Ok(()) };
    if let Some(twice) = serials.iter().find(|s| item.serials.contains(*s)) {
        return Err(Rejection::invalid(FIELD, format!("{twice} is in stock already")));
    }
    if !item.on_hand.is_zero() && serials.is_empty() != item.serials.is_empty() {
        return Err(Rejection::invalid(FIELD, "pieces with and without serial numbers can't lie together"));
    }
    Ok(())
}

/// Decides ST-04: from a reservation, or from what nobody has reserved. What goes out for an order before the
/// order knew of its reservation comes out of that reservation first.
pub fn issue(
    facts: &Production,
    state: &ProductionState,
    p: &IssueStock,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds { setting: settings(facts, ctx).operator_issues, ..Holds::default() })?;
    let item = item(state, ctx)?;
    moved(p.qty, Qty::ZERO)?;
    let Some(item) = item else { return Err(insufficient(p.qty, Qty::ZERO)) };
    let sources = sources(item, p)?;
    let mut serials = p.serials.clone().unwrap_or_default();
    one_serial_a_piece(&serials, p.qty, "payload.serials")?;
    if serials.is_empty() && !item.serials.is_empty() {
        return Err(Rejection::invalid("payload.serials", "is required: these pieces are told apart"));
    }
    if let Some(absent) = serials.iter().find(|s| !item.serials.contains(*s)) {
        return Err(Rejection::not_found(format!("{absent} is not in stock here")).at("payload.serials"));
    }
    let mut on_hand = item.on_hand;
    let mut events = Vec::with_capacity(sources.len());
    for (reservation_id, qty) in sources {
        on_hand = on_hand.less(qty);
        let of_these = serials.iter().enumerate().take_while(|(n, _)| Qty::whole(*n as u32) < qty).count();
        events.push(StockIssuedV1 {
            item_id: p.item_id.clone(),
            location: p.location.clone(),
            lot: p.lot.clone(),
            qty,
            serials: serials.drain(..of_these).collect(),
            reservation_id,
            work_order_id: p.for_work_order,
            on_hand,
        });
    }
    Ok(all_decided(ctx, role, events))
}

/// Reservations, or none for what is free, and how much comes out of each.
fn sources(item: &StockItem, p: &IssueStock) -> Result<Vec<(Option<EntityId>, Qty)>, Rejection> {
    if let Some(id) = p.reservation_id {
        let kept = item.reservations.get(&id).map(|r| r.qty).ok_or_else(|| {
            Rejection::not_found(format!("there is no reservation {id} here: it was used up or released"))
                .at("payload.reservation_id")
        })?;
        return if p.qty <= kept { Ok(vec![(Some(id), p.qty)]) } else { Err(insufficient(p.qty, kept)) };
    }
    let own = |order: Option<AggregateId>| order.is_some() && order == p.for_work_order;
    let kept = item.reservations.iter().filter(|(_, r)| own(r.work_order_id)).map(|(id, r)| (Some(*id), r.qty));
    let mut left = p.qty;
    let mut sources = Vec::new();
    for (id, qty) in kept.chain([(None, item.available())]) {
        let part = qty.min(left);
        if !part.is_zero() {
            sources.push((id, part));
            left = left.less(part);
        }
    }
    if left.is_zero() { Ok(sources) } else { Err(insufficient(p.qty, p.qty.less(left))) }
}

/// Decides ST-05. Only what is good is on hand again; the rest is recorded and set apart.
pub fn take_back(
    facts: &Production,
    state: &ProductionState,
    p: &ReturnStock,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds { setting: settings(facts, ctx).operator_issues, ..Holds::default() })?;
    let item = item(state, ctx)?;
    let on_hand = item.map(|i| i.on_hand).unwrap_or_default();
    moved(p.qty, on_hand)?;
    let serials = p.serials.clone().unwrap_or_default();
    let condition = p.condition.unwrap_or(MaterialCondition::Good);
    let good = condition == MaterialCondition::Good;
    if good {
        new_serials(item, &serials, p.qty)?;
    } else {
        one_serial_a_piece(&serials, p.qty, "payload.serials")?;
    }
    let returned = StockReturnedV1 {
        item_id: p.item_id.clone(),
        location: p.location.clone(),
        lot: p.lot.clone(),
        site_id: site(ctx)?,
        qty: p.qty,
        serials,
        condition,
        work_order_id: p.from_work_order,
        on_hand: if good { on_hand + p.qty } else { on_hand },
    };
    Ok(decided(ctx, role, returned))
}

/// Decides ST-06: what was counted is what is there.
pub fn adjust(
    facts: &Production,
    state: &ProductionState,
    p: &AdjustStock,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let item = item(state, ctx)?;
    let (reason, _) = need_reason(facts, catalogues::MATERIAL, p.reason.as_ref(), p.note.as_ref())?;
    if too_large(p.on_hand) {
        return Err(Rejection::invalid("payload.on_hand", "is more than stock can hold"));
    }
    let reserved = item.map(StockItem::reserved).unwrap_or_default();
    if p.on_hand < reserved {
        let message = format!("{reserved} are reserved: release reservations first, then correct the count");
        return Err(Rejection::guard("ST-06", message).with("reserved", reserved.to_string()).at("payload.on_hand"));
    }
    let serials = p.serials.clone().unwrap_or_default();
    one_serial_a_piece(&serials, p.on_hand, "payload.serials")?;
    if serials.is_empty() && !p.on_hand.is_zero() && item.is_some_and(|i| !i.serials.is_empty()) {
        return Err(Rejection::invalid("payload.serials", "is required: these pieces are told apart"));
    }
    let adjusted = StockAdjustedV1 {
        item_id: p.item_id.clone(),
        location: p.location.clone(),
        lot: p.lot.clone(),
        site_id: site(ctx)?,
        old_on_hand: item.map(|i| i.on_hand).unwrap_or_default(),
        on_hand: p.on_hand,
        serials,
        reason: reason.clone(),
        counted_by: p.counted_by.clone().unwrap_or_else(|| ctx.actor.account.clone()),
        note: p.note.as_ref().map(Sealed::plain),
    };
    Ok(decided(ctx, role, adjusted))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, actor, code, data, detail, e, planner, rule, stock};
    use mw_contract::decide::Allowance;
    use mw_contract::{ErrorCode, Role};
    use serde_json::{Value, json};

    fn adjust(w: &mut World, more: Value) -> Result<mw_contract::decide::Decision, mw_contract::Rejection> {
        let mut p = json!({"item_id": "sheet", "location": "store"});
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        w.run(&planner(), "stock.adjust", stock("sheet"), p)
    }

    #[test]
    fn st_01_what_comes_in_is_on_hand() {
        let mut w = World::new();
        w.stock("receive", json!({"qty": "2.5", "reference": "D-1"})).unwrap();
        let d = w.stock("receive", json!({"qty": 4})).unwrap();
        assert_eq!((&data(&d, 0)["qty"], &data(&d, 0)["on_hand"]), (&json!("4"), &json!("6.5")));
        assert_eq!(code(w.stock("receive", json!({"qty": 0}))), ErrorCode::Validation);
        assert_eq!(code(w.stock("receive", json!({"qty": "99999999999999"}))), ErrorCode::Validation);
    }

    #[test]
    fn st_01_serial_pieces_are_named_once_each() {
        let mut w = World::new();
        for bad in [json!(["A"]), json!(["A", "A"]), json!(["A", "B", "C"])] {
            assert_eq!(code(w.stock("receive", json!({"qty": 2, "serials": bad}))), ErrorCode::Validation);
        }
        w.stock("receive", json!({"qty": 2, "serials": ["A", "B"]})).unwrap();
        assert_eq!(code(w.stock("receive", json!({"qty": 1, "serials": ["B"]}))), ErrorCode::Validation);
        assert_eq!(code(w.stock("receive", json!({"qty": 1}))), ErrorCode::Validation, "without serials among serials");
    }

    #[test]
    fn st_04_goes_from_a_reservation_or_from_what_is_free() {
        let mut w = World::new();
        assert_eq!(code(w.stock("issue", json!({"qty": 1}))), ErrorCode::InsufficientStock);
        w.stock("receive", json!({"qty": 5})).unwrap();
        w.stock("reserve", json!({"reservation_id": e(1), "qty": 3})).unwrap();
        let refused = w.stock("issue", json!({"qty": 3}));
        assert_eq!(detail(refused, "available"), json!("2"));
        let d = w.stock("issue", json!({"qty": 2, "reservation_id": e(1)})).unwrap();
        assert_eq!(data(&d, 0)["on_hand"], "3");
        // What is left of the reservation stays kept.
        assert_eq!(detail(w.stock("issue", json!({"qty": 2, "reservation_id": e(1)})), "available"), json!("1"));
        w.stock("issue", json!({"qty": 1, "reservation_id": e(1)})).unwrap();
        assert_eq!(code(w.stock("issue", json!({"qty": 1, "reservation_id": e(1)}))), ErrorCode::NotFound);
        w.stock("issue", json!({"qty": 2})).unwrap();
        assert!(w.state(stock("sheet")).stock().unwrap().on_hand.is_zero());
    }

    #[test]
    fn st_04_an_order_that_does_not_know_its_reservation_yet_uses_it_all_the_same() {
        let mut w = World::new();
        let (mine, other) = (crate::fixture::id(77), crate::fixture::id(78));
        w.stock("receive", json!({"qty": 4, "serials": ["A", "B", "C", "D"]})).unwrap();
        w.stock("reserve", json!({"reservation_id": e(1), "qty": 2, "for_work_order": mine})).unwrap();
        w.stock("reserve", json!({"reservation_id": e(2), "qty": 1, "for_work_order": other})).unwrap();
        let issue = |qty: usize, order| {
            let serials = &["A", "B", "C", "D"][..qty];
            json!({"qty": qty, "serials": serials, "for_work_order": order})
        };
        // What another order has kept stays kept.
        assert_eq!(detail(w.stock("issue", issue(4, mine)), "available"), json!("3"));
        assert_eq!(detail(w.stock("issue", json!({"qty": 3, "serials": ["A", "B", "C"]})), "available"), json!("1"));
        let d = w.stock("issue", issue(3, mine)).unwrap();
        let told: Vec<Value> = (0..d.events.len())
            .map(|i| data(&d, i))
            .map(|x| json!([x["qty"], x["reservation_id"], x["serials"], x["on_hand"]]))
            .collect();
        assert_eq!(told, [json!(["2", e(1), ["A", "B"], "2"]), json!(["1", null, ["C"], "1"])]);
        let left = w.state(stock("sheet")).stock().unwrap().clone();
        assert_eq!((left.reserved().to_string(), left.available().to_string()), ("1".into(), "0".into()));
    }

    #[test]
    fn st_04_names_the_pieces_that_go() {
        let mut w = World::new();
        w.stock("receive", json!({"qty": 2, "serials": ["A", "B"]})).unwrap();
        assert_eq!(code(w.stock("issue", json!({"qty": 1}))), ErrorCode::Validation);
        assert_eq!(code(w.stock("issue", json!({"qty": 1, "serials": ["C"]}))), ErrorCode::NotFound);
        w.stock("issue", json!({"qty": 1, "serials": ["A"]})).unwrap();
        assert_eq!(code(w.stock("issue", json!({"qty": 1, "serials": ["A"]}))), ErrorCode::NotFound);
    }

    #[test]
    fn st_04_operators_issue_where_the_site_lets_them() {
        let mut w = World::new();
        w.stock("receive", json!({"qty": 5})).unwrap();
        let operator = actor("operator-1", &[(Role::Operator, Allowance::Setting)]);
        let p = json!({"item_id": "sheet", "location": "store", "qty": 1});
        assert_eq!(code(w.run(&operator, "stock.issue", stock("sheet"), p.clone())), ErrorCode::Forbidden);
        let site = json!({"name": "P", "time_zone": "Europe/Berlin", "settings": {"operator_issues": true}});
        w.put("site", "plant-1", site).unwrap();
        w.run(&operator, "stock.issue", stock("sheet"), p).unwrap();
    }

    #[test]
    fn st_05_only_what_is_good_can_be_used_again() {
        let mut w = World::new();
        let d = w.stock("return", json!({"qty": 2, "condition": "damaged"})).unwrap();
        assert_eq!(data(&d, 0)["on_hand"], "0");
        let d = w.stock("return", json!({"qty": 2})).unwrap();
        assert_eq!((&data(&d, 0)["on_hand"], &data(&d, 0)["condition"]), (&json!("2"), &json!("good")));
        w.stock("return", json!({"qty": 1, "condition": "quarantine"})).unwrap();
        assert_eq!(w.state(stock("sheet")).stock().unwrap().available().to_string(), "2");
        assert_eq!(code(w.stock("return", json!({"qty": 0}))), ErrorCode::Validation);
    }

    #[test]
    fn st_06_a_count_is_not_below_what_is_reserved() {
        let mut w = World::new();
        w.stock("receive", json!({"qty": 5})).unwrap();
        w.stock("reserve", json!({"reservation_id": e(1), "qty": 3})).unwrap();
        assert_eq!(code(adjust(&mut w, json!({"on_hand": 4}))), ErrorCode::ReasonRequired);
        assert_eq!(rule(adjust(&mut w, json!({"on_hand": 2, "reason": "counted"}))), "ST-06");
        let d = adjust(&mut w, json!({"on_hand": 3, "reason": "counted", "note": "shelf 2"})).unwrap();
        let x = data(&d, 0);
        assert_eq!(
            (&x["old_on_hand"], &x["on_hand"], &x["counted_by"]),
            (&json!("5"), &json!("3"), &json!("planner-1"))
        );
    }

    #[test]
    fn st_06_counts_serial_pieces_by_name() {
        let mut w = World::new();
        w.stock("receive", json!({"qty": 2, "serials": ["A", "B"]})).unwrap();
        assert_eq!(code(adjust(&mut w, json!({"on_hand": 1, "reason": "counted"}))), ErrorCode::Validation);
        adjust(&mut w, json!({"on_hand": 1, "reason": "counted", "serials": ["B"]})).unwrap();
        assert_eq!(code(w.stock("issue", json!({"qty": 1, "serials": ["A"]}))), ErrorCode::NotFound);
        adjust(&mut w, json!({"on_hand": 0, "reason": "counted"})).unwrap();
    }

    #[test]
    fn st_05_operators_return_where_the_site_lets_them() {
        let mut w = World::new();
        let operator = actor("operator-1", &[(Role::Operator, Allowance::Setting)]);
        let p = json!({"item_id": "sheet", "location": "store", "qty": 1});
        assert_eq!(code(w.run(&operator, "stock.return", stock("sheet"), p.clone())), ErrorCode::Forbidden);
        let site = json!({"name": "P", "time_zone": "Europe/Berlin", "settings": {"operator_issues": true}});
        w.put("site", "plant-1", site).unwrap();
        w.run(&operator, "stock.return", stock("sheet"), p).unwrap();
    }

    #[test]
    fn st_05_what_comes_back_damaged_can_not_go_out_by_its_number() {
        let mut w = World::new();
        w.stock("return", json!({"qty": 1, "serials": ["A"], "condition": "damaged"})).unwrap();
        assert_eq!(w.state(stock("sheet")).stock().unwrap().serials.len(), 0);
        w.stock("return", json!({"qty": 1, "serials": ["B"]})).unwrap();
        let there: Vec<String> =
            w.state(stock("sheet")).stock().unwrap().serials.iter().map(ToString::to_string).collect();
        assert_eq!(there, ["B"]);
    }

    #[test]
    fn st_06_what_nobody_received_can_be_counted_in() {
        let mut w = World::new();
        adjust(&mut w, json!({"on_hand": 7, "reason": "counted"})).unwrap();
        assert_eq!(w.state(stock("sheet")).stock().unwrap().available().to_string(), "7");
    }

    #[test]
    fn st_01_there_is_a_most_that_stock_can_hold() {
        let mut w = World::new();
        assert_eq!(code(w.stock("receive", json!({"qty": "100000000000"}))), ErrorCode::Validation);
        w.stock("receive", json!({"qty": "60000000000"})).unwrap();
        assert_eq!(code(w.stock("receive", json!({"qty": "60000000000"}))), ErrorCode::Validation);
        w.stock("receive", json!({"qty": "39999999999"})).unwrap();
    }
}
