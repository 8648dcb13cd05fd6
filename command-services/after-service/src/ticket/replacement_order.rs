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
