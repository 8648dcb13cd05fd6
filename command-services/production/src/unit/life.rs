//! PU-08 `unit.transfer`, PU-09 `unit.scrap` and PU-10 `unit.recall`: another owner, the end, and
//! the way back.

use mw_contract::command::unit::{ChangeUnitStatus, RecallUnit, ScrapUnit, TransferUnit};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::unit::{UnitRecalledV1, UnitScrappedV1, UnitStatusChangedV1, UnitTransferredV1};
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, Rejection, Role, Sealed, UnitStatus};

use super::{decided, in_status, unit};
use crate::facts::Production;
use crate::rules::{Holds, authorise, need_reason};
use crate::state::ProductionState;

/// Every status but the end.
const ALIVE: [UnitStatus; 6] = [
    UnitStatus::InStock,
    UnitStatus::Shipped,
    UnitStatus::Installed,
    UnitStatus::InRepair,
    UnitStatus::Returned,
    UnitStatus::Recalled,
];
/// What is with a customer.
const OUT: [UnitStatus; 3] = [UnitStatus::Shipped, UnitStatus::Installed, UnitStatus::Recalled];

/// Decides PU-08.
pub fn transfer(state: &ProductionState, p: &TransferUnit, ctx: &DecisionContext<'_>) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let u = unit(state, ctx)?;
    in_status(u, CommandType::UnitTransfer, &OUT)?;
    if u.customer_id.as_ref() == Some(&p.customer_id) {
        let message = format!("it belongs to {} already", p.customer_id);
        return Err(Rejection::guard("PU-08", message).at("payload.customer_id"));
    }
    let transferred = UnitTransferredV1 {
        serial: u.serial.clone(),
        old_customer: u.customer_id.clone(),
        new_customer: p.customer_id.clone(),
    };
    Ok(decided(ctx, role, vec![transferred.into()]))
}

/// Decides PU-09.
pub fn scrap(
    facts: &Production,
    state: &ProductionState,
    p: &ScrapUnit,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let u = unit(state, ctx)?;
    in_status(u, CommandType::UnitScrap, &ALIVE)?;
    let (reason, _) = need_reason(facts, catalogues::UNIT, p.reason.as_ref(), p.note.as_ref())?;
    let note = p.note.as_ref().map(Sealed::plain);
    let scrapped = UnitScrappedV1 { serial: u.serial.clone(), reason: reason.clone(), note };
    Ok(decided(ctx, role, vec![scrapped.into()]))
}

/// Decides PU-10. A unit can be recalled by several campaigns. A process manager only proposes it: the
/// refusal says why, and somebody who may decides.
pub fn recall(
    facts: &Production,
    state: &ProductionState,
    p: &RecallUnit,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let u = unit(state, ctx)?;
    in_status(u, CommandType::UnitRecall, &ALIVE)?;
    let (reason, _) = need_reason(facts, catalogues::UNIT, p.reason.as_ref(), p.note.as_ref())?;
    if role == Role::System {
        let why = p.note.as_ref().map(|n| format!(" {n}")).unwrap_or_default();
        let message = format!("a recall is proposed; a quality inspector decides.{why}");
        return Err(Rejection::guard("PU-10", message).with("campaign", p.campaign.as_str()));
    }
    let recalled = UnitRecalledV1 {
        serial: u.serial.clone(),
        campaign: p.campaign.clone(),
        reason: reason.clone(),
        note: p.note.as_ref().map(Sealed::plain),
    };
    Ok(decided(ctx, role, vec![recalled.into()]))
}

/// Decides `unit.change-status`: what a ticket does with a unit. The same again changes nothing.
pub fn change_status(
    state: &ProductionState,
    p: &ChangeUnitStatus,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let u = unit(state, ctx)?;
    if u.status == p.status {
        return Ok(decided(ctx, role, Vec::new()));
    }
    in_status(u, CommandType::UnitChangeStatus, &ALIVE)?;
    let changed =
        UnitStatusChangedV1 { serial: u.serial.clone(), old: u.status, new: p.status, ticket_id: p.ticket_id };
    Ok(decided(ctx, role, vec![changed.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, admin, code, data, detail, rule, system};
    use mw_contract::decide::Domain;
    use mw_contract::{Command, ErrorCode, UnitStatus};
    use serde_json::{Value, json};

    #[test]
    fn pu_07_a_ticket_has_it_in_repair_and_gives_it_back() {
        let mut w = World::new();
        let u = w.unit("P-1");
        w.run(&admin(), "unit.ship", u, json!({"customer_id": "acme"})).unwrap();
        for (status, events) in [("in_repair", 1), ("in_repair", 0), ("installed", 1)] {
            let d = w.run(&system(), "unit.change-status", u, json!({"status": status})).unwrap();
            assert_eq!(d.events.len(), events, "{status}");
        }
        w.run(&admin(), "unit.scrap", u, json!({"reason": "quality"})).unwrap();
        let again = w.run(&system(), "unit.change-status", u, json!({"status": "installed"}));
        assert_eq!(code(again), ErrorCode::InvalidState, "what was scrapped stays so");
    }

    #[test]
    fn pu_08_it_goes_from_one_customer_to_another() {
        let mut w = World::new();
        let u = w.unit("P-1");
        let to = |c: &str| json!({"customer_id": c});
        assert_eq!(code(w.run(&admin(), "unit.transfer", u, to("other"))), ErrorCode::InvalidState);
        w.run(&admin(), "unit.ship", u, to("acme")).unwrap();
        assert_eq!(rule(w.run(&admin(), "unit.transfer", u, to("acme"))), "PU-08");
        let d = w.run(&admin(), "unit.transfer", u, to("other")).unwrap();
        assert_eq!((&data(&d, 0)["old_customer"], &data(&d, 0)["new_customer"]), (&json!("acme"), &json!("other")));
        assert_eq!(rule(w.run(&admin(), "unit.transfer", u, to("other"))), "PU-08", "it is theirs already");
    }

    #[test]
    fn pu_09_the_end_comes_once() {
        let mut w = World::new();
        let u = w.unit("P-1");
        let why = json!({"reason": "dropped"});
        assert_eq!(code(w.run(&admin(), "unit.scrap", u, json!({}))), ErrorCode::ReasonRequired);
        w.run(&admin(), "unit.scrap", u, why.clone()).unwrap();
        assert_eq!(detail(w.run(&admin(), "unit.scrap", u, why), "state"), json!("scrapped"));
        let recall = json!({"campaign": "seals", "reason": "leaks"});
        assert_eq!(code(w.run(&admin(), "unit.recall", u, recall)), ErrorCode::InvalidState);
    }

    #[test]
    fn pu_10_what_is_recalled_must_come_back() {
        let mut w = World::new();
        let u = w.unit("P-1");
        w.run(&admin(), "unit.ship", u, json!({"customer_id": "acme"})).unwrap();
        let recall = json!({"campaign": "seals-2026", "reason": "leaks", "note": "seal ring of lot 7"});
        let d = w.run(&admin(), "unit.recall", u, recall.clone()).unwrap();
        assert_eq!(data(&d, 0)["campaign"], "seals-2026");
        assert_eq!(w.state(u).unit().unwrap().status, UnitStatus::Recalled);
        w.run(&admin(), "unit.recall", u, recall).unwrap();
    }

    #[test]
    fn a_unit_is_found_by_its_serial_number() {
        let mut w = World::new();
        w.put("product", "pump-300", json!({"name": "Pump", "uom": "H87", "tracking": "serial"})).unwrap();
        let first = w.unit("P-1");
        let named = |w: &World, p: Value| {
            let Value::Object(map) = p else { panic!() };
            w.facts.named(&Command::read("unit.scrap".parse().unwrap(), &map).unwrap())
        };
        assert_eq!(named(&w, json!({"serial": "P-1"})), Ok(Some(first)));
        assert_eq!(named(&w, json!({})), Ok(None));
        assert_eq!(named(&w, json!({"serial": "P-9"})).unwrap_err().code, ErrorCode::NotFound);
        let p = json!({"serial": "P-1", "product_id": "pump-300", "result": "good"});
        let second = mw_contract::unit_id(&"pump-300".parse().unwrap(), &mw_contract::Text::new("P-1").unwrap());
        w.run(&system(), "unit.register", second, p).unwrap();
        let ambiguous = named(&w, json!({"serial": "P-1"})).unwrap_err();
        assert_eq!(
            (ambiguous.code, ambiguous.details.unwrap()["products"][1].clone()),
            (ErrorCode::Validation, json!("pump-300"))
        );
        assert_eq!(named(&w, json!({"serial": "P-1", "product_id": "pump-300"})), Ok(Some(second)));
        // Every command on a unit names it so, and by the product too.
        let v = json!({"serial": "P-9", "customer_id": "acme", "installed_on": "2026-03-02", "until": "2031-01-01",
            "name": "hours", "value": "5", "campaign": "seals", "reason": "leaks"});
        let fits = |fields: &[&str]| -> serde_json::Map<String, Value> {
            fields.iter().map(|f| ((*f).to_owned(), v[*f].clone())).collect()
        };
        for (command, fields) in [
            ("ship", &["serial", "customer_id"][..]),
            ("install", &["serial", "installed_on"]),
            ("extend-warranty", &["serial", "until", "reason"]),
            ("void-warranty", &["serial", "reason"]),
            ("record-reading", &["serial", "name", "value"]),
            ("change-component", &["serial"]),
            ("transfer", &["serial", "customer_id"]),
            ("scrap", &["serial", "reason"]),
            ("recall", &["serial", "campaign", "reason"]),
        ] {
            let read = Command::read(format!("unit.{command}").parse().unwrap(), &fits(fields)).unwrap();
            assert_eq!(w.facts.named(&read).unwrap_err().code, ErrorCode::NotFound, "{command}");
        }
        let other = json!({"serial": "P-1", "product_id": "pump-300", "reason": "dropped"});
        assert_eq!(code(w.ask(&admin(), "unit.scrap", first, other)), ErrorCode::Validation);
        let same = json!({"serial": "P-1", "product_id": "pump-200", "reason": "dropped"});
        w.ask(&admin(), "unit.scrap", first, same).unwrap();
        // An id and a serial number that are not of one unit.
        let r = w.run(&admin(), "unit.scrap", first, json!({"serial": "P-2", "reason": "dropped"}));
        assert_eq!(code(r), ErrorCode::Validation);
    }

    #[test]
    fn pu_10_a_process_manager_only_proposes_a_recall_and_the_refusal_says_why() {
        let mut w = World::new();
        let u = w.unit("P-1");
        let note = "3 tickets in 30 days name cause worn_seal in lot L-7";
        let proposed = json!({"campaign": "lot-l-7", "reason": "other", "note": note});
        let refusal = w.run(&system(), "unit.recall", u, proposed).unwrap_err();
        assert!(refusal.message.ends_with(note), "{}", refusal.message);
        assert_eq!(rule(Err(refusal)), "PU-10");
    }
}
