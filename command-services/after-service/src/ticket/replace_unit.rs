//! TK-36 `ticket.replace-unit`: the customer gets another unit, and what is left of its warranty.

use mw_contract::command::ticket::ReplaceUnit;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::UnitReplacedV1;
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, Date, ProductId, Rejection, Sealed, Text, UnitStatus};

use super::consume_parts::unit_of;
use crate::known::Unit;
use crate::rules::{Case, Facts};
use crate::state::AfterServiceState;

const HOUR: i64 = 3_600_000;

/// Decides TK-36.
pub fn replace(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &ReplaceUnit,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketReplaceUnit, ctx)?;
    let ticket = case.ticket;
    let (reason, _) = facts.need_reason(catalogues::TICKET, p.reason.as_ref(), p.note.as_ref())?;
    if let Some(serial) = ticket.serial.as_ref().filter(|s| **s != p.old_serial) {
        let message = format!("the ticket is about unit {serial}: that one is replaced");
        return Err(Rejection::guard("TK-36", message).at("payload.old_serial"));
    }
    if p.old_serial == p.new_serial {
        return Err(Rejection::invalid("payload.new_serial", "is the serial number of another unit"));
    }
    if ticket.commercial.blocks() {
        let message = "the customer has not agreed to pay: have a quote approved, or override the warranty first";
        return Err(Rejection::guard("T2", message).with("commercial", ticket.commercial.as_str()));
    }
    let old = unit_of(&case);
    let old_product = old.as_ref().map(|u| u.product_id.clone()).or_else(|| ticket.product_id.clone());
    let new = free_unit(&case, &p.new_serial, old_product.as_ref())?;
    let replaced = UnitReplacedV1 {
        old_serial: p.old_serial.clone(),
        old_product_id: old_product,
        new_serial: p.new_serial.clone(),
        new_product_id: new.product_id,
        customer_id: ticket.customer_id.clone(),
        reason,
        note: p.note.as_ref().map(Sealed::plain),
        old_disposition: p.old_disposition,
        warranty_end: warranty_end(&case, old.as_ref()),
    };
    Ok(case.decided(role, vec![replaced.into()]))
}

/// TK-36.R1. Products may share a serial number: of several units it is the one of the same product.
fn free_unit(case: &Case<'_>, serial: &Text<60>, product: Option<&ProductId>) -> Result<Unit, Rejection> {
    let guard = |message: String| Rejection::guard("TK-36.R1", message).at("payload.new_serial");
    let mut units = case.facts.known.units(serial);
    if units.len() > 1 {
        units.retain(|u| Some(&u.product_id) == product);
    }
    let unit = units.pop().ok_or_else(|| guard(format!("production has made no unit {serial} of this product")))?;
    let status = unit.status;
    if !unit.good || !unit.open_recalls.is_empty() || matches!(status, UnitStatus::Scrapped | UnitStatus::Recalled) {
        return Err(guard(format!("unit {serial} is not good: take another one")).with("status", status.as_str()));
    }
    // PM-2: what was made or found for a ticket is kept for it.
    if let Some(other) = case.facts.desk.promised_to(serial).filter(|t| *t != case.ctx.aggregate_id) {
        let message = format!("unit {serial} is kept for another ticket: take another one");
        return Err(guard(message).with("ticket_id", other.to_string()));
    }
    if unit.customer_id.is_some() || !matches!(status, UnitStatus::InStock | UnitStatus::Returned) {
        return Err(
            guard(format!("unit {serial} is at a customer: take one from stock")).with("status", status.as_str())
        );
    }
    Ok(unit)
}

/// The rest of the old unit's warranty, at least so many days from now (site setting).
fn warranty_end(case: &Case<'_>, old: Option<&Unit>) -> Date {
    let zone = case.facts.time_zone(case.ctx);
    let days = i64::from(case.facts.settings(case.ctx).replacement_warranty_days);
    // From noon to noon, so that no change of the clocks moves the day.
    let noon = case.ctx.occurred_at.date_in(&zone).span_in(&zone).0.plus_millis(12 * HOUR);
    let least = noon.plus_millis(days * 24 * HOUR).date_in(&zone);
    let known = old.and_then(|u| u.warranty.as_ref()).filter(|w| !w.void).map(|w| w.end);
    let rest = known.or_else(|| {
        let terms = if old.is_none() { case.ticket.warranty.terms.as_ref() } else { None };
        terms.and_then(|t| t.warranty_end)
    });
    rest.map_or(least, |end| end.max(least))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, code, data, detail, dispatcher, names, rule, technician_named, text, unit};
    use crate::known::{Unit, UnitWarranty};
    use mw_contract::event::samples::Sample;
    use mw_contract::event::ticket::{ReplacementOrderReadyV1, TicketCancelledV1, WarrantyOverriddenV1};
    use mw_contract::{
        AggregateId, Commercial, ErrorCode, Percent, TicketState, UnitStatus, WarrantyBasis, WarrantyStatus,
    };
    use serde_json::{Value, json};

    fn swap(new: &str) -> Value {
        json!({"old_serial": "SN-1", "new_serial": new, "reason": "beyond_repair", "old_disposition": "return",
            "note": "cracked"})
    }

    fn stock(serial: &str) -> Unit {
        Unit { customer_id: None, status: UnitStatus::InStock, warranty: None, ..unit(serial) }
    }

    #[test]
    fn tk_36_r1_the_new_unit_exists_is_good_and_is_at_no_customer() {
        let mut w = World::new();
        let id = w.in_state(TicketState::InProgress);
        let at = |status, customer: bool| Unit { status, ..if customer { unit("SN-9") } else { stock("SN-9") } };
        let refused = [
            at(UnitStatus::Shipped, true),
            at(UnitStatus::Installed, true),
            at(UnitStatus::InStock, true),
            at(UnitStatus::InRepair, false),
            at(UnitStatus::Scrapped, false),
            at(UnitStatus::Recalled, false),
            Unit { good: false, ..stock("SN-9") },
            Unit { open_recalls: vec![crate::fixture::text("seal-2026")], ..stock("SN-9") },
        ];
        assert_eq!(rule(w.technician("ticket.replace-unit", id, swap("SN-9"))), "TK-36.R1");
        for u in refused {
            w.plant.unit(u.clone());
            let r = w.technician("ticket.replace-unit", id, swap("SN-9"));
            assert_eq!(r.clone().unwrap_err().field.as_deref(), Some("payload.new_serial"), "{u:?}");
            assert_eq!(rule(r), "TK-36.R1", "{u:?}");
        }
        w.plant.unit(at(UnitStatus::Returned, false));
        w.ask(&dispatcher(), "ticket.replace-unit", id, swap("SN-9")).unwrap();
        let d = w.technician("ticket.replace-unit", id, swap("SN-2")).unwrap();
        assert_eq!(names(&d), ["UnitReplaced"]);
        let r = data(&d, 0);
        assert_eq!((&r["new_product_id"], &r["old_product_id"]), (&json!("pump-200"), &json!("pump-200")));
        assert_eq!((&r["customer_id"], &r["note"]), (&json!("acme"), &json!("cracked")));
        assert_eq!(w.ticket(id).serial.as_ref().unwrap().as_str(), "SN-2");
    }

    #[test]
    fn tk_36_r1_a_unit_that_is_kept_for_a_ticket_is_not_taken_by_another() {
        let mut w = World::new();
        let (first, second) = (w.in_state(TicketState::InProgress), w.in_state(TicketState::InProgress));
        w.plant.unit(stock("SN-2"));
        let ready = ReplacementOrderReadyV1 { serials: vec![text("SN-2")], ..ReplacementOrderReadyV1::sample() };
        w.given(first, ready);
        let refused = w.technician("ticket.replace-unit", second, swap("SN-2"));
        assert_eq!(detail(refused.clone(), "ticket_id"), json!(first.to_string()));
        assert_eq!(rule(refused), "TK-36.R1");
        w.ask(&technician_named("technician-1"), "ticket.replace-unit", first, swap("SN-2")).unwrap();
        // Once it is not needed there it is free.
        w.given(first, TicketCancelledV1 { reason: "quality".parse().unwrap(), note: None });
        w.ask(&technician_named("technician-1"), "ticket.replace-unit", second, swap("SN-2")).unwrap();
    }

    #[test]
    fn tk_36_r1_products_may_share_a_serial_number() {
        let mut w = World::new();
        let id = w.in_state(TicketState::InProgress);
        let other = |product: &str, n: u128| Unit {
            product_id: product.parse().unwrap(),
            unit_id: crate::fixture::id(n),
            ..stock("SN-9")
        };
        w.plant.unit(other("fan-10", 91));
        // One alone is the one that is meant, of whatever product.
        w.ask(&dispatcher(), "ticket.replace-unit", id, swap("SN-9")).unwrap();
        w.plant.unit(other("fan-20", 92));
        assert_eq!(rule(w.technician("ticket.replace-unit", id, swap("SN-9"))), "TK-36.R1");
        w.plant.unit(other("pump-200", 93));
        let d = w.technician("ticket.replace-unit", id, swap("SN-9")).unwrap();
        assert_eq!(data(&d, 0)["new_product_id"], "pump-200");
    }

    #[test]
    fn tk_36_the_new_unit_has_the_rest_of_the_warranty_or_90_days() {
        let mut w = World::new();
        let end = |w: &mut World, old_end: &str, void: bool| {
            let warranty = UnitWarranty {
                start: "2025-01-10".parse().unwrap(),
                end: old_end.parse().unwrap(),
                basis: WarrantyBasis::ShipDate,
                void,
                counter: None,
            };
            w.plant.unit(Unit { warranty: Some(warranty), ..unit("SN-1") });
            let id = w.in_state(TicketState::InProgress);
            let d = w.ask(&dispatcher(), "ticket.replace-unit", id, swap("SN-2")).unwrap();
            data(&d, 0)["warranty_end"].clone()
        };
        // 90 days from 2026-03-02, over the change to summer time.
        assert_eq!(end(&mut w, "2028-01-10", false), "2028-01-10");
        assert_eq!(end(&mut w, "2026-06-01", false), "2026-06-01");
        assert_eq!(end(&mut w, "2026-05-30", false), "2026-05-31");
        assert_eq!(end(&mut w, "2028-01-10", true), "2026-05-31");
        w.settings(json!({"replacement_warranty_days": 365}));
        assert_eq!(end(&mut w, "2026-05-30", false), "2027-03-02");
    }

    #[test]
    fn tk_36_it_is_the_ticket_s_unit_that_is_replaced() {
        let mut w = World::new();
        let id = w.in_state(TicketState::InProgress);
        let with = |key: &str, v: Value| {
            let mut p = swap("SN-2");
            p[key] = v;
            p
        };
        assert_eq!(rule(w.technician("ticket.replace-unit", id, with("old_serial", json!("SN-3")))), "TK-36");
        assert_eq!(code(w.technician("ticket.replace-unit", id, swap("SN-1"))), ErrorCode::Validation);
        assert_eq!(
            code(w.technician("ticket.replace-unit", id, with("reason", json!(null)))),
            ErrorCode::ReasonRequired
        );
        let other = technician_named("technician-2");
        assert_eq!(code(w.run(&other, "ticket.replace-unit", id, swap("SN-2"))), ErrorCode::Forbidden);
        let early = w.in_state(TicketState::Assigned);
        assert_eq!(code(w.technician("ticket.replace-unit", early, swap("SN-2"))), ErrorCode::InvalidState);
    }

    #[test]
    fn t2_no_unit_for_which_the_customer_has_not_agreed_to_pay() {
        let mut w = World::new();
        let id = w.in_state(TicketState::InProgress);
        let set = |w: &mut World, id: AggregateId, commercial| {
            let overridden = WarrantyOverriddenV1 {
                old: WarrantyStatus::Unchecked,
                new: WarrantyStatus::OutOfWarranty,
                reason: "misuse".parse().unwrap(),
                note: None,
                coverage_pct: Percent::ZERO,
                approver: None,
                commercial,
            };
            w.given(id, overridden);
        };
        set(&mut w, id, Commercial::Rejected);
        assert_eq!(rule(w.technician("ticket.replace-unit", id, swap("SN-2"))), "T2");
        set(&mut w, id, Commercial::Approved);
        w.technician("ticket.replace-unit", id, swap("SN-2")).unwrap();
    }
}
