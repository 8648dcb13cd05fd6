//! TK-39 `ticket.resolve`: the technician says that it is done, and how.

use std::collections::{BTreeMap, BTreeSet};

use mw_contract::command::ticket::ResolveTicket;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::{TicketResolvedV1, VisitCancelledV1};
use mw_contract::reference::{Document, catalogues};
use mw_contract::reply::FieldError;
use mw_contract::{
    CommandType, Event, ItemId, PartSource, Qty, ReasonCode, ReferenceKind, Rejection, ResolutionCode, Sealed,
    TicketState, Warning,
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
    let warnings = parts_settled(&case)?;
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
    Ok(Decision { warnings, ..case.decided(role, events) })
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

/// R2: nothing that was asked for is left open. What stock does not have is settled by its answer, what it
/// keeps by its use or return; parts that came from elsewhere count for what they took the place of.
/// Warns of what stock still keeps then.
fn parts_settled(case: &Case<'_>) -> Result<Vec<Warning>, Rejection> {
    let parts = &case.ticket.parts;
    let mut open: BTreeMap<&ItemId, Qty> = BTreeMap::new();
    for l in parts.requests.values().filter(|r| !r.answered).flat_map(|r| &r.lines) {
        *open.entry(&l.item_id).or_default() += l.qty;
    }
    for r in &parts.reserved {
        *open.entry(&r.item_id).or_default() += r.qty;
    }
    for c in parts.consumed.iter().filter(|c| c.source != PartSource::Reservation) {
        if let Some(left) = open.get_mut(&c.item_id) {
            *left = left.less(c.qty);
        }
    }
    let open: Vec<String> =
        open.iter().filter(|(_, qty)| !qty.is_zero()).map(|(item, qty)| format!("{qty} of {item}")).collect();
    if !open.is_empty() {
        let message = format!("{} is requested and neither used nor returned: consume or return it", open.join(", "));
        return Err(Rejection::guard("TK-39.R2", message).with("open", open));
    }
    let kept = parts.reserved.iter().map(|r| Warning {
        code: "still_reserved".into(),
        message: format!("{} of {} is still kept at {}: return it", r.qty, r.item_id, r.location),
    });
    Ok(kept.collect())
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

#[cfg(test)]
mod tests {
    use crate::fixture::{HOUR, MINUTE, World, code, data, detail, dispatcher, e, names, rule, technician_named};
    use crate::ticket::parts::tests::requested;
    use mw_contract::decide::Decision;
    use mw_contract::event::ticket::{
        FaultClassifiedV1, TechnicianAssignedV1, TravelStartedV1, WarrantyCheckedV1, WarrantyOverriddenV1,
        WorkStartedV1,
    };
    use mw_contract::event::ticket_parts::{FaultV1, WarrantyTermsV1};
    use mw_contract::{
        AggregateId, Commercial, CoverageBasis, ErrorCode, Percent, ReferenceKind, Rejection, Role, ServiceMode,
        TicketState, Verification, WarrantyStatus, WorkActivity,
    };
    use serde_json::{Value, json};

    fn repaired(more: Value) -> Value {
        let mut p = json!({"resolution_code": "repaired", "text": "new seal", "cause": "wear", "remedy": "replaced"});
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        p
    }

    fn resolve(w: &mut World, id: AggregateId, p: Value) -> Result<Decision, Rejection> {
        w.technician("ticket.resolve", id, p)
    }

    const NO_WORK: [&str; 5] = ["no_fault_found", "advice_given", "declined", "scrapped", "returned_unrepaired"];

    #[test]
    fn tk_39_without_work_only_as_a_code_without_work() {
        let mut w = World::new();
        for s in [TicketState::Triaged, TicketState::Assigned, TicketState::Scheduled] {
            let id = w.in_state(s);
            for worked in ["repaired", "replaced", "adjusted", "software_updated"] {
                let p = repaired(json!({"resolution_code": worked}));
                let r = w.ask(&dispatcher(), "ticket.resolve", id, p);
                assert_eq!(detail(r.clone(), "allowed"), json!(["in_progress"]));
                assert_eq!(code(r), ErrorCode::InvalidState, "{s} {worked}");
            }
            for none in NO_WORK {
                let p = json!({"resolution_code": none, "text": "nothing to do"});
                w.ask(&dispatcher(), "ticket.resolve", id, p).unwrap();
            }
        }
        let id = w.in_state(TicketState::OnHold);
        let p = json!({"resolution_code": "declined", "text": "no"});
        assert_eq!(code(w.dispatcher("ticket.resolve", id, p)), ErrorCode::InvalidState);
    }

    #[test]
    fn tk_39_visits_to_come_are_called_off() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Scheduled);
        let d = w
            .dispatcher("ticket.resolve", id, json!({"resolution_code": "advice_given", "text": "restart it"}))
            .unwrap();
        assert_eq!(names(&d), ["VisitCancelled", "TicketResolved"]);
        assert_eq!((w.ticket(id).state, w.ticket(id).open_visits().count()), (TicketState::Resolved, 0));
        // What has begun is not called off.
        let id = w.in_state(TicketState::Scheduled);
        w.later(HOUR);
        let d = w.dispatcher("ticket.resolve", id, json!({"resolution_code": "declined", "text": "no"})).unwrap();
        assert_eq!(names(&d), ["TicketResolved"]);
    }

    #[test]
    fn tk_39_r1_nobody_else_is_at_work_or_under_way() {
        let mut w = World::new();
        let id = w.in_state(TicketState::InProgress);
        let helper = TechnicianAssignedV1 {
            lead: "technician-1".parse().unwrap(),
            helpers: vec!["technician-2".parse().unwrap()],
            team: None,
            due_start: None,
            override_reason: None,
        };
        w.given(id, helper);
        w.working(id, WorkActivity::Repair);
        let session = WorkStartedV1 {
            session_id: e(7).parse().unwrap(),
            activity: WorkActivity::Test,
            technician: "technician-2".parse().unwrap(),
            visit_id: None,
            lockout: None,
            permit_ref: None,
            geo: None,
        };
        w.given(id, session);
        let r = resolve(&mut w, id, repaired(json!({})));
        assert_eq!(detail(r.clone(), "technicians"), json!(["technician-2"]));
        assert_eq!(rule(r), "TK-39.R1");
        assert_eq!(rule(w.dispatcher("ticket.resolve", id, repaired(json!({})))), "TK-39.R1");
        w.paused(id, e(7).parse().unwrap());
        w.later(30 * MINUTE);
        assert_eq!(
            rule(w.run_at(
                w.now.plus_millis(-HOUR),
                &crate::fixture::technician(),
                "ticket.resolve",
                id,
                repaired(json!({}))
            )),
            "G3"
        );
        // One's own session ends with it.
        let d = resolve(&mut w, id, repaired(json!({"follow_up": true}))).unwrap();
        assert_eq!(names(&d), ["WorkPaused", "TicketResolved"]);
        assert_eq!((&data(&d, 0)["duration"], &data(&d, 0)["reason"]), (&json!(1800), &json!("resolved")));
        assert_eq!((&data(&d, 1)["follow_up"], &data(&d, 1)["cause"]), (&json!(true), &json!("wear")));
        let id = w.in_state(TicketState::InProgress);
        let trip = TravelStartedV1 {
            trip_id: e(8).parse().unwrap(),
            visit_id: None,
            technician: "technician-1".parse().unwrap(),
            geo: None,
            eta: None,
        };
        w.given(id, trip);
        w.given(id, session_again());
        assert_eq!(rule(resolve(&mut w, id, repaired(json!({})))), "TK-39.R1");
    }

    fn session_again() -> WorkStartedV1 {
        WorkStartedV1 {
            session_id: e(9).parse().unwrap(),
            activity: WorkActivity::Repair,
            technician: "technician-1".parse().unwrap(),
            visit_id: None,
            lockout: None,
            permit_ref: None,
            geo: None,
        }
    }

    #[test]
    fn tk_39_r2_every_part_is_used_returned_or_not_to_be_had() {
        let mut w = World::new();
        let id = w.in_state(TicketState::InProgress);
        let ask = json!({"request_id": e(1), "lines": [{"item_id": "ring", "qty": 2, "uom": "H87"}]});
        w.technician("ticket.request-parts", id, ask).unwrap();
        requested(&mut w, id, 2, 1, 4);
        let r = resolve(&mut w, id, repaired(json!({})));
        assert_eq!(detail(r.clone(), "open"), json!(["2 of ring", "1 of seal"]));
        assert_eq!(rule(r), "TK-39.R2");
        // Also where nobody worked.
        let declined = json!({"resolution_code": "declined", "text": "no"});
        assert_eq!(rule(resolve(&mut w, id, declined)), "TK-39.R2");
        let used = |n: u128, item: &str, qty: u32, source: &str| json!({"consumption_id": e(n), "lines": [{"item_id": item, "qty": qty, "source": source, "coverage": "warranty"}]});
        w.technician("ticket.consume-parts", id, used(3, "ring", 1, "van")).unwrap();
        assert_eq!(detail(resolve(&mut w, id, repaired(json!({}))), "open"), json!(["1 of ring", "1 of seal"]));
        w.technician("ticket.consume-parts", id, used(4, "ring", 1, "van")).unwrap();
        w.technician("ticket.consume-parts", id, used(5, "seal", 1, "reservation")).unwrap();
        resolve(&mut w, id, repaired(json!({}))).unwrap();
        // What goes back is settled too; what the van brought leaves the reservation to be returned.
        let id = w.in_state(TicketState::InProgress);
        requested(&mut w, id, 11, 2, 0);
        let back = json!({"lines": [{"item_id": "seal", "qty": 1}], "condition": "good", "to_location": "store"});
        w.technician("ticket.return-parts", id, back).unwrap();
        assert_eq!(rule(resolve(&mut w, id, repaired(json!({})))), "TK-39.R2");
        w.technician("ticket.consume-parts", id, used(12, "seal", 1, "van")).unwrap();
        let d = resolve(&mut w, id, repaired(json!({}))).unwrap();
        assert_eq!(d.warnings.iter().map(|w| w.code.as_str()).collect::<Vec<_>>(), ["still_reserved"]);
    }

    #[test]
    fn tk_39_r3_cause_and_remedy_are_told_now_or_were_classified() {
        let mut w = World::new();
        let id = w.in_state(TicketState::InProgress);
        let bare = |c: &str| json!({"resolution_code": c, "text": "done"});
        for c in ["repaired", "replaced", "adjusted"] {
            let r = w.ask(&dispatcher(), "ticket.resolve", id, bare(c));
            assert_eq!(detail(r.clone(), "missing"), json!(["cause", "remedy"]));
            assert_eq!(rule(r), "TK-39.R3", "{c}");
        }
        w.ask(&dispatcher(), "ticket.resolve", id, bare("software_updated")).unwrap();
        let half = repaired(json!({"remedy": null}));
        let r = w.ask(&dispatcher(), "ticket.resolve", id, half.clone());
        assert_eq!(r.clone().unwrap_err().field.as_deref(), Some("payload.remedy"));
        assert_eq!(rule(r), "TK-39.R3");
        w.plant.put(ReferenceKind::Catalogue, "fault_causes", json!({"entries": [{"code": "wear"}]}));
        let unknown = w.ask(&dispatcher(), "ticket.resolve", id, repaired(json!({"cause": "magic"}))).unwrap_err();
        assert_eq!((unknown.code, unknown.field.as_deref()), (ErrorCode::ReasonUnknown, Some("payload.cause")));
        let new = FaultV1 {
            symptom: None,
            cause: Some("misuse".parse().unwrap()),
            remedy: Some("cleaned".parse().unwrap()),
            component: None,
            safety_relevant: false,
        };
        w.given(id, FaultClassifiedV1 { old: None, new, severity: None });
        let d = resolve(&mut w, id, half).unwrap();
        assert_eq!((&data(&d, 0)["cause"], &data(&d, 0)["remedy"]), (&json!("wear"), &json!("cleaned")));
    }

    #[test]
    fn tk_39_r4_the_checklist_is_done() {
        let mut w = World::new();
        let ticket = |w: &mut World| {
            w.opened_with(|e| e.checklist = vec![crate::fixture::text("drain"), crate::fixture::text("test")])
        };
        let id = ticket(&mut w);
        w.triaged(id, ServiceMode::OnSite);
        let none = json!({"resolution_code": "no_fault_found", "text": "fine"});
        w.ask(&dispatcher(), "ticket.resolve", id, none.clone()).unwrap();
        w.assigned(id, "technician-1");
        let s = w.working(id, WorkActivity::Maintenance);
        w.later(HOUR);
        w.paused(id, s);
        let r = resolve(&mut w, id, repaired(json!({"checklist_done": [2]})));
        assert_eq!(detail(r.clone(), "open"), json!([1]));
        assert_eq!(rule(r), "TK-39.R4");
        // Somebody looked at it, so there was something to tick off.
        assert_eq!(rule(w.ask(&dispatcher(), "ticket.resolve", id, none)), "TK-39.R4");
        let declined = json!({"resolution_code": "declined", "text": "no"});
        w.ask(&dispatcher(), "ticket.resolve", id, declined).unwrap();
        for wrong in [0, 3] {
            let r = resolve(&mut w, id, repaired(json!({"checklist_done": [1, 2, wrong]}))).unwrap_err();
            assert_eq!((r.code, r.field.as_deref()), (ErrorCode::Validation, Some("payload.checklist_done[2]")));
        }
        let d = resolve(&mut w, id, repaired(json!({"checklist_done": [2, 1, 1]}))).unwrap();
        assert_eq!(data(&d, 0)["checklist_done"], json!([2, 1, 1]));
    }

    fn signature() -> Value {
        json!({"uri": "https://files/1", "sha256": "a".repeat(64), "media_type": "image/png", "bytes": 100})
    }

    #[test]
    fn tk_39_r5_the_customer_signs_where_template_or_contract_says_so() {
        let mut w = World::new();
        let contract = |signs: bool| {
            json!({"contracts": [{"code": "gold", "from": "2026-01-01", "to": "2026-12-31", "signature_required": signs},
                {"code": "old", "from": "2025-01-01", "to": "2025-12-31", "signature_required": true}]})
        };
        w.plant.put(ReferenceKind::Customer, "acme", contract(false));
        let id = w.in_state(TicketState::InProgress);
        let terms = WarrantyTermsV1 {
            basis: CoverageBasis::Contract,
            warranty_start: None,
            warranty_end: None,
            counter_name: None,
            counter_limit: None,
            counter_value: None,
            contract: Some("gold".parse().unwrap()),
        };
        let checked = WarrantyCheckedV1 {
            status: WarrantyStatus::Contract,
            serial: None,
            as_of: "2026-03-02".parse().unwrap(),
            terms: Some(terms),
            unit: None,
            commercial: Commercial::NotRequired,
        };
        w.given(id, checked);
        w.ask(&dispatcher(), "ticket.resolve", id, repaired(json!({}))).unwrap();
        w.plant.put(ReferenceKind::Customer, "acme", contract(true));
        let r = resolve(&mut w, id, repaired(json!({})));
        assert_eq!(r.clone().unwrap_err().field.as_deref(), Some("payload.customer_signature"));
        assert_eq!(rule(r), "TK-39.R5");
        let mut bad = signature();
        bad["sha256"] = json!("A");
        let bad = resolve(&mut w, id, repaired(json!({"customer_signature": bad}))).unwrap_err();
        assert_eq!(bad.field.as_deref(), Some("payload.customer_signature.sha256"));
        resolve(&mut w, id, repaired(json!({"customer_signature": signature()}))).unwrap();
        let id = w.opened_with(|e| e.signature_required = true);
        w.triaged(id, ServiceMode::OnSite);
        w.assigned(id, "technician-1");
        w.ask(&dispatcher(), "ticket.resolve", id, json!({"resolution_code": "advice_given", "text": "by phone"}))
            .unwrap();
        w.working(id, WorkActivity::Repair);
        assert_eq!(rule(resolve(&mut w, id, repaired(json!({})))), "TK-39.R5");
    }

    #[test]
    fn t2_what_the_customer_does_not_pay_for_was_not_done() {
        let mut w = World::new();
        let id = w.in_state(TicketState::InProgress);
        let overridden = WarrantyOverriddenV1 {
            old: WarrantyStatus::Unchecked,
            new: WarrantyStatus::OutOfWarranty,
            reason: "misuse".parse().unwrap(),
            note: None,
            coverage_pct: Percent::ZERO,
            approver: None,
            commercial: Commercial::Rejected,
        };
        w.given(id, overridden);
        assert_eq!(rule(resolve(&mut w, id, repaired(json!({})))), "T2");
        for none in NO_WORK {
            w.ask(&dispatcher(), "ticket.resolve", id, json!({"resolution_code": none, "text": "x"})).unwrap();
        }
    }

    #[test]
    fn tk_39_the_downtime_ends_after_it_began_and_not_in_the_future() {
        let mut w = World::new();
        let id = w.opened_with(|e| e.down_since = Some(crate::fixture::t0()));
        w.triaged(id, ServiceMode::OnSite);
        w.assigned(id, "technician-1");
        w.working(id, WorkActivity::Repair);
        w.later(HOUR);
        for wrong in [-HOUR - 1, 120_001] {
            let at = w.now.plus_millis(wrong);
            let r = resolve(&mut w, id, repaired(json!({"downtime_end": at}))).unwrap_err();
            assert_eq!((r.code, r.field.as_deref()), (ErrorCode::Validation, Some("payload.downtime_end")));
        }
        let now = w.now;
        resolve(&mut w, id, repaired(json!({"downtime_end": now}))).unwrap();
    }

    #[test]
    fn tk_39_somebody_tests_it_where_the_site_says_so() {
        let mut w = World::new();
        w.settings(json!({"verify_repairs": true}));
        let id = w.in_state(TicketState::InProgress);
        let other = technician_named("technician-2");
        assert_eq!(code(w.run(&other, "ticket.resolve", id, repaired(json!({})))), ErrorCode::Forbidden);
        let d = resolve(&mut w, id, repaired(json!({}))).unwrap();
        assert_eq!((&data(&d, 0)["verification_required"], d.role), (&json!(true), Role::Technician));
        assert_eq!(w.ticket(id).verification, Verification::Pending);
        let id = w.in_state(TicketState::Triaged);
        w.dispatcher("ticket.resolve", id, json!({"resolution_code": "declined", "text": "no"})).unwrap();
        assert_eq!(w.ticket(id).verification, Verification::NotRequired);
    }
}
