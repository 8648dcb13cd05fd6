//! ST-02 `stock.reserve` and ST-03 `stock.release-reservation`: kept for somebody, and free again.

use mw_contract::Rejection;
use mw_contract::command::stock::{ReleaseStock, ReserveStock};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::stock::{StockReservationReleasedV1, StockReservedV1};

use super::{decided, insufficient, item, moved};
use crate::rules::{Holds, authorise, exists};
use crate::state::ProductionState;

/// Decides ST-02: all of it, or with `partial` what there is.
pub fn reserve(state: &ProductionState, p: &ReserveStock, ctx: &DecisionContext<'_>) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let item = item(state, ctx)?;
    let available = item.map(super::StockItem::available).unwrap_or_default();
    moved(p.qty, item.map(|i| i.on_hand).unwrap_or_default())?;
    if item.is_some_and(|i| i.reservations.contains_key(&p.reservation_id)) {
        return Err(exists(format!("reservation {} is there already", p.reservation_id)).at("payload.reservation_id"));
    }
    let all = p.qty <= available;
    if !all && (p.partial != Some(true) || available.is_zero()) {
        return Err(insufficient(p.qty, available));
    }
    let reserved = StockReservedV1 {
        item_id: p.item_id.clone(),
        location: p.location.clone(),
        lot: p.lot.clone(),
        reservation_id: p.reservation_id,
        asked: p.qty,
        qty: p.qty.min(available),
        work_order_id: p.for_work_order,
        line_no: p.line_no,
    };
    Ok(decided(ctx, role, reserved))
}

/// Decides ST-03: all that is left of it.
pub fn release(state: &ProductionState, p: &ReleaseStock, ctx: &DecisionContext<'_>) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let kept = item(state, ctx)?.and_then(|i| i.reservations.get(&p.reservation_id));
    let Some(kept) = kept else {
        let message = format!("there is no reservation {} here: it was used up or released", p.reservation_id);
        return Err(Rejection::not_found(message).at("payload.reservation_id"));
    };
    let released = StockReservationReleasedV1 {
        item_id: p.item_id.clone(),
        location: p.location.clone(),
        lot: p.lot.clone(),
        reservation_id: p.reservation_id,
        qty: kept.qty,
    };
    Ok(decided(ctx, role, released))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, code, data, detail, e, id, planner, stock};
    use mw_contract::ErrorCode;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn st_02_all_or_nothing_unless_a_part_will_do() {
        let mut w = World::new();
        let sheets = stock("sheet");
        w.stock("receive", json!({"qty": 5})).unwrap();
        let ask = |n: u128, qty: u32, partial: bool| json!({"reservation_id": e(n), "qty": qty, "partial": partial});
        let refused = w.stock("reserve", ask(1, 6, false));
        assert_eq!(detail(refused.clone(), "available"), json!("5"));
        assert_eq!(code(refused), ErrorCode::InsufficientStock);
        let order = id(9).to_string();
        let d = w.stock("reserve", json!({"reservation_id": e(1), "qty": 3, "for_work_order": order, "line_no": 1}));
        let d = d.unwrap();
        assert_eq!((&data(&d, 0)["qty"], &data(&d, 0)["asked"]), (&json!("3"), &json!("3")));
        assert_eq!(code(w.stock("reserve", ask(1, 1, false))), ErrorCode::AlreadyExists);
        let d = w.stock("reserve", ask(2, 6, true)).unwrap();
        assert_eq!((&data(&d, 0)["qty"], &data(&d, 0)["asked"]), (&json!("2"), &json!("6")));
        assert_eq!(code(w.stock("reserve", ask(3, 1, true))), ErrorCode::InsufficientStock);
        assert_eq!(w.state(sheets).stock().unwrap().available().to_string(), "0");
        for bad in ["0", "-1"] {
            assert_eq!(code(w.stock("reserve", json!({"reservation_id": e(4), "qty": bad}))), ErrorCode::Validation);
        }
    }

    #[test]
    fn st_02_of_what_was_never_there_nothing_is_free() {
        let mut w = World::new();
        let r = w.stock("reserve", json!({"reservation_id": e(1), "qty": 1}));
        assert_eq!(code(r), ErrorCode::InsufficientStock);
    }

    #[test]
    fn st_03_what_was_kept_is_free_again() {
        let mut w = World::new();
        w.stock("receive", json!({"qty": 5})).unwrap();
        w.stock("reserve", json!({"reservation_id": e(1), "qty": 5})).unwrap();
        let d = w.stock("release-reservation", json!({"reservation_id": e(1)})).unwrap();
        assert_eq!(data(&d, 0)["qty"], "5");
        assert_eq!(code(w.stock("release-reservation", json!({"reservation_id": e(1)}))), ErrorCode::NotFound);
        w.stock("reserve", json!({"reservation_id": e(2), "qty": 5})).unwrap();
    }

    #[test]
    fn stock_of_another_site_is_not_there() {
        let mut w = World::new();
        w.stock("receive", json!({"qty": 5})).unwrap();
        w.site = Some("plant-2".parse().unwrap());
        assert_eq!(code(w.stock("reserve", json!({"reservation_id": e(1), "qty": 1}))), ErrorCode::NotFound);
    }

    proptest! {
        /// Whatever is asked in whatever order, no piece is kept for two.
        #[test]
        fn st_02_never_reserves_a_piece_twice(steps in proptest::collection::vec((0..6u8, 0..8u128, 1..9u32), 1..80)) {
            let mut w = World::new();
            for (step, n, qty) in steps {
                let reservation = json!({"reservation_id": e(n), "qty": qty, "partial": qty % 2 == 0});
                let _ = match step {
                    0 => w.stock("receive", json!({"qty": qty})),
                    1 | 2 => w.stock("reserve", reservation),
                    3 => w.stock("release-reservation", json!({"reservation_id": e(n)})),
                    4 => w.stock("issue", json!({"qty": qty, "reservation_id": (qty % 3 > 0).then(|| e(n))})),
                    _ => w.run(&planner(), "stock.adjust", stock("sheet"),
                        json!({"item_id": "sheet", "location": "store", "on_hand": qty, "reason": "counted"})),
                };
                if let Some(s) = w.state(stock("sheet")).stock() {
                    prop_assert!(s.reserved() <= s.on_hand, "{s:?}");
                }
            }
        }
    }
}
