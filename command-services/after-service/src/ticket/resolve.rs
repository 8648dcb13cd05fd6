//! TK-39 `ticket.resolve`: the technician says that it is done, and how.

use std::collections::{BTreeMap, BTreeSet};

use mw_contract::command::ticket::ResolveTicket;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::{TicketResolvedV1, VisitCancelledV1};
use mw_contract::reference::{Document, catalogues};
use mw_contract::reply::FieldError;
use mw_contract::{
    CommandType, Event, ItemId, PartSource, Qty, ReasonCode, ReferenceKind, Rejection, ResolutionCode, Sealed,
    TicketState,
};

use crate::rules::{Case, Facts, all_valid, check_file, not_before};
use crate::state::AfterServiceState;

/// How far a clock may be ahead of ours (G3).
const SKEW: i64 = 120_000;

/// Decides TK-39.
pub fn resolve(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &ResolveTicket,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketResolve, ctx)?;
    let ticket = case.ticket;
    let code = p.resolution_code;
    if ticket.state != TicketState::InProgress && !code.is_no_work() {
        let in_progress = [TicketState::InProgress.as_str()];
        return Err(Rejection::invalid_state(&format!("a resolution as {code}"), ticket.state.as_str(), &in_progress));
    }
    well_formed(&case, p)?;
    not_before(ctx.occurred_at, ticket.cycle_since, "it would be resolved before it was reported")?;
    nobody_at_work(&case)?;
    parts_settled(&case)?;
    paid(&case, code)?;
    let (cause, remedy) = fault_codes(&case, p)?;
    checklist_done(&case, p)?;
    signed(&case, p)?;
    let reason = ReasonCode::new("resolved").map_err(|e| Rejection::invalid("payload", e.to_string()))?;
    let mut events = case.end_work(&reason)?;
    // Nobody has to come any more.
    let visits = ticket.open_visits().filter(|v| v.visit.window_start > ctx.occurred_at);
    events.extend(visits.map(|v| {
        Event::from(VisitCancelledV1 {
            visit_id: v.visit.visit_id,
            reason: reason.clone(),
            note: None,
            to_state: ticket.state,
        })
    }));
    let resolved = TicketResolvedV1 {
        resolution_code: code,
        text: Sealed::plain(&p.text),
        cause,
        remedy,
        downtime_end: p.downtime_end,
        customer_signature: p.customer_signature.clone(),
        follow_up: p.follow_up.unwrap_or(false),
        checklist_done: p.checklist_done.clone().unwrap_or_default(),
        verification_required: facts.settings(ctx).verify_repairs && !code.is_no_work(),
    };
    events.push(resolved.into());
    Ok(case.decided(role, events))
}

fn well_formed(case: &Case<'_>, p: &ResolveTicket) -> Result<(), Rejection> {
    let mut errors = Vec::new();
    if let Some(f) = &p.customer_signature {
        check_file(&mut errors, "payload.customer_signature", f);
    }
    let steps = case.ticket.checklist.len();
    for (i, step) in p.checklist_done.as_deref().unwrap_or_default().iter().enumerate() {
        if *step == 0 || usize::from(*step) > steps {
            let message = format!("the checklist has steps 1 to {steps}");
            errors.push(FieldError::new(format!("payload.checklist_done[{i}]"), message));
        }
    }
    if let Some(end) = p.downtime_end {
        if case.ticket.down_since.is_some_and(|since| end < since) {
            errors.push(FieldError::new("payload.downtime_end", "is before the unit was down"));
        }
        if end > case.ctx.received_at.plus_millis(SKEW) {
            errors.push(FieldError::new("payload.downtime_end", "is in the future"));
        }
    }
    all_valid(errors)
}

/// R1. The sender's own sessions end with the resolution; others end theirs themselves.
fn nobody_at_work(case: &Case<'_>) -> Result<(), Rejection> {
    let others: Vec<&str> = case
        .ticket
        .open_sessions()
        .filter(|s| s.technician != case.ctx.actor.account)
        .map(|s| s.technician.as_str())
        .collect();
    if !others.is_empty() {
        let message = format!("{} is still at work: pause that work first", others.join(", "));
        return Err(Rejection::guard("TK-39.R1", message).with("technicians", others));
    }
    match case.ticket.open_trip() {
        Some(t) => Err(Rejection::guard("TK-39.R1", format!("{} is under way: end that trip first", t.technician))
            .with("trip_id", t.trip_id.to_string())),
        None => Ok(()),
    }
}

/// R2: nothing that was asked for is left open. What stock does not have is settled by its answer; what
/// it has not answered, by parts that came from elsewhere.
fn parts_settled(case: &Case<'_>) -> Result<(), Rejection> {
    let parts = &case.ticket.parts;
    let mut open: BTreeMap<&ItemId, Qty> = BTreeMap::new();
    for l in parts.requests.values().filter(|r| !r.answered).flat_map(|r| &r.lines) {
        *open.entry(&l.item_id).or_default() += l.qty;
    }
    for c in parts.consumed.iter().filter(|c| c.source != PartSource::Reservation) {
        if let Some(left) = open.get_mut(&c.item_id) {
            *left = left.less(c.qty);
        }
    }
    for r in &parts.reserved {
        *open.entry(&r.item_id).or_default() += r.qty;
    }
    let open: Vec<String> =
        open.iter().filter(|(_, qty)| !qty.is_zero()).map(|(item, qty)| format!("{qty} of {item}")).collect();
    if open.is_empty() {
        return Ok(());
    }
    let message = format!("{} is requested and neither used nor returned: consume or return it", open.join(", "));
    Err(Rejection::guard("TK-39.R2", message).with("open", open))
}

/// T2: what the customer has not agreed to pay for was not done.
fn paid(case: &Case<'_>, code: ResolutionCode) -> Result<(), Rejection> {
    let commercial = case.ticket.commercial;
    if commercial.blocks() && !code.is_no_work() {
        let message = "the customer has not agreed to pay: resolve it as declined or returned_unrepaired, or quote";
        return Err(Rejection::guard("T2", message)
            .at("payload.resolution_code")
            .with("commercial", commercial.as_str()));
    }
    Ok(())
}

/// R3: cause and remedy, of the command or as the fault was classified.
fn fault_codes(case: &Case<'_>, p: &ResolveTicket) -> Result<(Option<ReasonCode>, Option<ReasonCode>), Rejection> {
    if let Some(c) = &p.cause {
        case.facts.check_code(catalogues::FAULT_CAUSE, c.as_str(), "payload.cause")?;
    }
    if let Some(r) = &p.remedy {
        case.facts.check_code(catalogues::REMEDY, r.as_str(), "payload.remedy")?;
    }
    let fault = case.ticket.fault.as_ref();
    let cause = p.cause.clone().or_else(|| fault.and_then(|f| f.cause.clone()));
    let remedy = p.remedy.clone().or_else(|| fault.and_then(|f| f.remedy.clone()));
    let lacks = [("cause", cause.is_none()), ("remedy", remedy.is_none())];
    let lacks: Vec<&str> = lacks.into_iter().filter(|(_, none)| *none).map(|(name, _)| name).collect();
    if let (true, Some(first)) = (p.resolution_code.needs_fault_codes(), lacks.first()) {
        let message = format!("a resolution as {} names the {} of the fault", p.resolution_code, lacks.join(" and "));
        return Err(Rejection::guard("TK-39.R3", message).at(format!("payload.{first}")).with("missing", lacks));
    }
    Ok((cause, remedy))
}

/// Is there work to tick off and to sign for? Not where nobody worked, nor where the customer wants none.
fn was_worked_on(case: &Case<'_>, code: ResolutionCode) -> bool {
    use ResolutionCode::{Declined, ReturnedUnrepaired, Scrapped};
    !matches!(code, Declined | ReturnedUnrepaired | Scrapped)
        && (!code.is_no_work() || case.ticket.first_work_at.is_some())
}

/// R4.
fn checklist_done(case: &Case<'_>, p: &ResolveTicket) -> Result<(), Rejection> {
    if !was_worked_on(case, p.resolution_code) {
        return Ok(());
    }
    let done: BTreeSet<usize> =
        p.checklist_done.as_deref().unwrap_or_default().iter().map(|n| usize::from(*n)).collect();
    let open: Vec<usize> = (1..=case.ticket.checklist.len()).filter(|n| !done.contains(n)).collect();
    if open.is_empty() {
        return Ok(());
    }
    let steps: Vec<String> = open.iter().map(usize::to_string).collect();
    let message = format!("steps {} of the checklist are not done", steps.join(", "));
    Err(Rejection::guard("TK-39.R4", message).at("payload.checklist_done").with("open", open))
}

/// R5: by the plan's template, or by the contract that covers the work.
fn signed(case: &Case<'_>, p: &ResolveTicket) -> Result<(), Rejection> {
    if p.customer_signature.is_some() || !was_worked_on(case, p.resolution_code) {
        return Ok(());
    }
    if case.ticket.signature_required || contract_asks(case) {
        let message = "the customer signs for this work: give the file of the signature";
        return Err(Rejection::guard("TK-39.R5", message).at("payload.customer_signature"));
    }
    Ok(())
}

fn contract_asks(case: &Case<'_>) -> bool {
    let ticket = case.ticket;
    let contract = ticket.warranty.terms.as_ref().and_then(|t| t.contract.as_ref());
    let (Some(contract), Some(customer)) = (contract, &ticket.customer_id) else { return false };
    match case.facts.known.document(ReferenceKind::Customer, customer.as_str()).as_deref() {
        Some(Document::Customer(c)) => c.contracts.iter().any(|x| x.code == *contract && x.signature_required),
        _ => false,
    }
}
