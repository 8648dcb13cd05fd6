//! ST-01 `stock.receive`, ST-04 `stock.issue`, ST-05 `stock.return` and ST-06 `stock.adjust`: what
//! comes, goes, comes back and is counted.

use mw_contract::command::stock::{AdjustStock, IssueStock, ReceiveStock, ReturnStock};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::stock::{StockAdjustedV1, StockIssuedV1, StockReceivedV1, StockReturnedV1};
use mw_contract::reference::catalogues;
use mw_contract::{MaterialCondition, Qty, Rejection, Sealed, Text};

use super::{StockItem, decided, insufficient, item, moved, one_serial_a_piece, site};
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

/// Decides ST-04: from a reservation, or from what nobody has reserved.
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
    let free = match p.reservation_id {
        None => item.available(),
        Some(id) => item.reservations.get(&id).map(|r| r.qty).ok_or_else(|| {
            Rejection::not_found(format!("there is no reservation {id} here: it was used up or released"))
                .at("payload.reservation_id")
        })?,
    };
    if p.qty > free {
        return Err(insufficient(p.qty, free));
    }
    let serials = p.serials.clone().unwrap_or_default();
    one_serial_a_piece(&serials, p.qty, "payload.serials")?;
    if serials.is_empty() && !item.serials.is_empty() {
        return Err(Rejection::invalid("payload.serials", "is required: these pieces are told apart"));
    }
    if let Some(absent) = serials.iter().find(|s| !item.serials.contains(*s)) {
        return Err(Rejection::not_found(format!("{absent} is not in stock here")).at("payload.serials"));
    }
    let issued = StockIssuedV1 {
        item_id: p.item_id.clone(),
        location: p.location.clone(),
        lot: p.lot.clone(),
        qty: p.qty,
        serials,
        reservation_id: p.reservation_id,
        work_order_id: p.for_work_order,
        on_hand: item.on_hand.less(p.qty),
    };
    Ok(decided(ctx, role, issued))
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
