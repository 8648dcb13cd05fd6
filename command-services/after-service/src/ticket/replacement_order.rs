//! TK-37 `ticket.request-replacement-order` and what production answers: an order is linked, the unit is
//! there, or it does not come.

use mw_contract::command::ticket::{
    ConfirmReplacement, FailReplacement, LinkReplacementOrder, RequestReplacementOrder,
};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::{
    ReplacementOrderFailedV1, ReplacementOrderLinkedV1, ReplacementOrderReadyV1, ReplacementOrderRequestedV1,
};
use mw_contract::{CommandType, EntityId, Rejection, ReplacementMode, Role, Text};

use super::parts::some_lines;
use crate::rules::{Case, Facts, Holds, agreed, authorise, exists};
use crate::state::{AfterServiceState, Replacement, ReplacementState};

/// Decides TK-37. A technician names the dispatcher who agreed.
pub fn request(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &RequestReplacementOrder,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let case = Case::find(facts, state, ctx)?;
    let second = agreed(ctx, p.approver.as_ref(), &[Role::Dispatcher, Role::Admin])?;
    let role = authorise(ctx, Holds { second, ..case.holds(false) })?;
    let case = Case::open(facts, state, CommandType::TicketRequestReplacementOrder, ctx)?;
    let ticket = case.ticket;
    if ticket.replacements.contains_key(&p.request_id) {
        return Err(exists(format!("request {} is there already", p.request_id)).at("payload.request_id"));
    }
    some_lines([(p.qty, p.uom.is_piece())], "payload").map_err(|r| r.at("payload.qty"))?;
    let unit = p.return_serial.as_ref().or(ticket.serial.as_ref());
    if p.mode == ReplacementMode::Rework && unit.is_none() {
        let message = "is needed: it names the unit that is reworked";
        return Err(Rejection::invalid("payload.return_serial", message));
    }
    one_for_a_unit(&case, p, unit)?;
    let requested = ReplacementOrderRequestedV1 {
        request_id: p.request_id,
        product_id: p.product_id.clone(),
        qty: p.qty,
        uom: p.uom.clone(),
        needed_by: p.needed_by,
        mode: p.mode,
        return_serial: match p.mode {
            ReplacementMode::Rework => unit.cloned(),
            ReplacementMode::Replacement => p.return_serial.clone(),
        },
        customer_id: ticket.customer_id.clone(),
        priority: ticket.priority,
        number: ticket.number.clone(),
        approver: p.approver.clone(),
    };
    Ok(case.decided(role, vec![requested.into()]))
}

/// TK-37.R1: one open request for a unit, over all tickets. Where no unit is named, one of a product.
fn one_for_a_unit(case: &Case<'_>, p: &RequestReplacementOrder, unit: Option<&Text<60>>) -> Result<(), Rejection> {
    let ticket = case.ticket;
    let same = |r: &Replacement| match (r.return_serial.as_ref().or(ticket.serial.as_ref()), unit) {
        (Some(a), Some(b)) => a == b,
        (None, None) => r.product_id == p.product_id,
        _ => false,
    };
    let open = ticket.replacements.iter().find(|(_, r)| r.state == ReplacementState::Open && same(r));
    if let Some((id, _)) = open {
        let message = format!("request {id} for the same unit is open: wait for it, or cancel its order");
        return Err(Rejection::guard("TK-37.R1", message).with("request_id", id.to_string()));
    }
    match unit.and_then(|u| case.facts.desk.open_replacement(u)) {
        Some(other) if other != case.ctx.aggregate_id => {
            let message = format!("ticket {other} has an open request for the same unit");
            Err(Rejection::guard("TK-37.R1", message).with("ticket_id", other.to_string()))
        }
        _ => Ok(()),
    }
}

fn request_of<'a>(case: &Case<'a>, id: EntityId) -> Result<&'a Replacement, Rejection> {
    let missing = || Rejection::not_found(format!("the ticket has no request {id}")).at("payload.request_id");
    case.ticket.replacements.get(&id).ok_or_else(missing)
}

/// A request that is not in the state for this answer.
fn over(id: EntityId, state: ReplacementState) -> Rejection {
    let state = match state {
        ReplacementState::Open => "open",
        ReplacementState::Ready => "ready",
        ReplacementState::Failed => "failed",
    };
    Rejection::guard("TK-37", format!("request {id} is {state} already")).with("state", state)
}

/// Decides `ticket.link-replacement-order`.
pub fn link(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &LinkReplacementOrder,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketLinkReplacementOrder, ctx)?;
    let request = request_of(&case, p.request_id)?;
    if request.state != ReplacementState::Open {
        return Err(over(p.request_id, request.state));
    }
    if let Some(order) = request.work_order_id {
        return Err(exists(format!("request {} has order {order} already", p.request_id)).at("payload.work_order_id"));
    }
    let linked =
        ReplacementOrderLinkedV1 { request_id: p.request_id, work_order_id: p.work_order_id, number: p.number.clone() };
    Ok(case.decided(role, vec![linked.into()]))
}

/// Decides `ticket.confirm-replacement`. What was late may still come.
pub fn confirm(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &ConfirmReplacement,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketConfirmReplacement, ctx)?;
    let request = request_of(&case, p.request_id)?;
    if request.state == ReplacementState::Ready {
        return Err(over(p.request_id, request.state));
    }
    let ready = ReplacementOrderReadyV1 {
        request_id: p.request_id,
        work_order_id: p.work_order_id.or(request.work_order_id),
        serials: p.serials.clone().unwrap_or_default(),
    };
    Ok(case.decided(role, vec![ready.into()]))
}

/// Decides `ticket.fail-replacement`.
pub fn fail(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &FailReplacement,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketFailReplacement, ctx)?;
    let request = request_of(&case, p.request_id)?;
    if request.state != ReplacementState::Open {
        return Err(over(p.request_id, request.state));
    }
    let failed = ReplacementOrderFailedV1 {
        request_id: p.request_id,
        work_order_id: p.work_order_id.or(request.work_order_id),
        reason: p.reason.clone(),
    };
    Ok(case.decided(role, vec![failed.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, actor, code, data, detail, dispatcher, e, id, names, rule, system};
    use crate::state::ReplacementState;
    use mw_contract::decide::{Actor, Allowance, Decision};
    use mw_contract::{AggregateId, ErrorCode, Rejection, Role, TicketState};
    use serde_json::{Value, json};

    fn ask(n: u128, more: Value) -> Value {
        let mut p = json!({"request_id": e(n), "product_id": "pump-200", "qty": 1, "uom": "H87", "mode": "replacement",
            "needed_by": "2026-03-09T08:00:00.000Z"});
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        p
    }

    fn request(w: &mut World, who: &Actor, id: AggregateId, p: Value) -> Result<Decision, Rejection> {
        w.run(who, "ticket.request-replacement-order", id, p)
    }

    fn answer(w: &mut World, verb: &str, id: AggregateId, n: u128, more: Value) -> Result<Decision, Rejection> {
        let mut p = json!({"request_id": e(n)});
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        w.run(&system(), &format!("ticket.{verb}"), id, p)
    }

    #[test]
    fn tk_37_a_technician_names_the_dispatcher_who_agreed() {
        let mut w = World::new();
        let t = w.in_state(TicketState::InProgress);
        let technician = actor("technician-1", &[(Role::Technician, Allowance::FourEyes)]);
        assert_eq!(code(request(&mut w, &technician, t, ask(1, json!({})))), ErrorCode::Forbidden);
        for approver in ["technician-1", "technician-2", "dispatcher-elsewhere", "dispatcher-99", "planner-1"] {
            let r = request(&mut w, &technician, t, ask(1, json!({"approver": approver}))).unwrap_err();
            assert_eq!((r.code, r.field.as_deref()), (ErrorCode::Forbidden, Some("payload.approver")), "{approver}");
        }
        let d = request(&mut w, &technician, t, ask(1, json!({"approver": "dispatcher-2"}))).unwrap();
        assert_eq!((names(&d), d.role), (vec!["ReplacementOrderRequested"], Role::Technician));
        let r = data(&d, 0);
        assert_eq!(
            (&r["approver"], &r["customer_id"], &r["priority"]),
            (&json!("dispatcher-2"), &json!("acme"), &json!(2))
        );
        assert_eq!(r["number"], w.ticket(t).number.as_str());
    }

    #[test]
    fn tk_37_r1_one_open_request_for_a_unit() {
        let mut w = World::new();
        let t = w.in_state(TicketState::Triaged);
        request(&mut w, &dispatcher(), t, ask(1, json!({}))).unwrap();
        assert_eq!(code(request(&mut w, &dispatcher(), t, ask(1, json!({})))), ErrorCode::AlreadyExists);
        for same in [json!({}), json!({"return_serial": "SN-1"}), json!({"mode": "rework"})] {
            let r = request(&mut w, &dispatcher(), t, ask(2, same));
            assert_eq!(detail(r.clone(), "request_id"), json!(e(1)));
            assert_eq!(rule(r), "TK-37.R1");
        }
        let other = w.in_state(TicketState::Assigned);
        let r = request(&mut w, &dispatcher(), other, ask(3, json!({})));
        assert_eq!(detail(r.clone(), "ticket_id"), json!(t.to_string()));
        assert_eq!(rule(r), "TK-37.R1");
        // Of another unit, and again when production has answered.
        request(&mut w, &dispatcher(), t, ask(4, json!({"return_serial": "SN-7"}))).unwrap();
        answer(&mut w, "fail-replacement", t, 1, json!({"reason": "cancelled"})).unwrap();
        request(&mut w, &dispatcher(), other, ask(3, json!({}))).unwrap();
        assert_eq!(rule(request(&mut w, &dispatcher(), t, ask(5, json!({})))), "TK-37.R1");
        answer(&mut w, "confirm-replacement", other, 3, json!({})).unwrap();
        request(&mut w, &dispatcher(), t, ask(5, json!({}))).unwrap();
    }

    #[test]
    fn tk_37_r1_without_a_unit_it_is_one_for_a_product() {
        let mut w = World::new();
        let t = w.opened_with(|e| e.serial = None);
        w.triaged(t, mw_contract::ServiceMode::OnSite);
        let rework = request(&mut w, &dispatcher(), t, ask(1, json!({"mode": "rework"}))).unwrap_err();
        assert_eq!(rework.field.as_deref(), Some("payload.return_serial"));
        request(&mut w, &dispatcher(), t, ask(1, json!({}))).unwrap();
        assert_eq!(rule(request(&mut w, &dispatcher(), t, ask(2, json!({})))), "TK-37.R1");
        request(&mut w, &dispatcher(), t, ask(2, json!({"product_id": "bracket-10"}))).unwrap();
        for qty in [json!(0), json!("1.5")] {
            let r =
                request(&mut w, &dispatcher(), t, ask(3, json!({"qty": qty, "return_serial": "SN-8"}))).unwrap_err();
            assert_eq!((r.code, r.field.as_deref()), (ErrorCode::Validation, Some("payload.qty")));
        }
    }

    #[test]
    fn tk_37_a_rework_names_the_unit() {
        let mut w = World::new();
        let t = w.in_state(TicketState::OnHold);
        let d = request(&mut w, &dispatcher(), t, ask(1, json!({"mode": "rework"}))).unwrap();
        assert_eq!(data(&d, 0)["return_serial"], "SN-1");
        let over = w.in_state(TicketState::Resolved);
        assert_eq!(code(request(&mut w, &dispatcher(), over, ask(2, json!({})))), ErrorCode::InvalidState);
    }

    #[test]
    fn tk_37_production_links_then_delivers() {
        let mut w = World::new();
        let t = w.in_state(TicketState::Triaged);
        assert_eq!(code(answer(&mut w, "confirm-replacement", t, 1, json!({}))), ErrorCode::NotFound);
        request(&mut w, &dispatcher(), t, ask(1, json!({}))).unwrap();
        let order = json!({"work_order_id": id(0x77).to_string(), "number": "WO-2026-000007"});
        let d = answer(&mut w, "link-replacement-order", t, 1, order.clone()).unwrap();
        assert_eq!((names(&d), &data(&d, 0)["number"]), (vec!["ReplacementOrderLinked"], &json!("WO-2026-000007")));
        assert_eq!(code(answer(&mut w, "link-replacement-order", t, 1, order)), ErrorCode::AlreadyExists);
        let d = answer(&mut w, "confirm-replacement", t, 1, json!({"serials": ["SN-5"]})).unwrap();
        assert_eq!(names(&d), ["ReplacementOrderReady"]);
        assert_eq!(
            (&data(&d, 0)["work_order_id"], &data(&d, 0)["serials"]),
            (&json!(id(0x77).to_string()), &json!(["SN-5"]))
        );
        for verb in ["confirm-replacement", "fail-replacement"] {
            let r =
                answer(&mut w, verb, t, 1, if verb.starts_with('f') { json!({"reason": "late"}) } else { json!({}) });
            assert_eq!(detail(r.clone(), "state"), "ready");
            assert_eq!(rule(r), "TK-37");
        }
    }

    #[test]
    fn tk_37_what_failed_may_still_come() {
        let mut w = World::new();
        let t = w.in_state(TicketState::Triaged);
        request(&mut w, &dispatcher(), t, ask(1, json!({}))).unwrap();
        let d = answer(&mut w, "fail-replacement", t, 1, json!({"reason": "too_late"})).unwrap();
        assert_eq!((names(&d), &data(&d, 0)["reason"]), (vec!["ReplacementOrderFailed"], &json!("too_late")));
        assert_eq!(rule(answer(&mut w, "fail-replacement", t, 1, json!({"reason": "too_late"}))), "TK-37");
        let order = json!({"work_order_id": id(0x77).to_string()});
        assert_eq!(rule(answer(&mut w, "link-replacement-order", t, 1, order)), "TK-37");
        answer(&mut w, "confirm-replacement", t, 1, json!({})).unwrap();
        assert_eq!(w.ticket(t).replacements[&e(1).parse().unwrap()].state, ReplacementState::Ready);
    }
}
