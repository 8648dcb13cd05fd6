//! TK-40 `ticket.verify`: somebody tests the repair.

use mw_contract::command::ticket::VerifyRepair;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::RepairVerifiedV1;
use mw_contract::{CommandType, Rejection, RepairVerdict, Role, Sealed};

use crate::rules::{Case, Facts, authorise_if, not_before};
use crate::state::AfterServiceState;

/// Decides TK-40. What a technician repaired, another one verifies; of severity 1, whoever reported or
/// resolved it does not verify it.
pub fn verify(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &VerifyRepair,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let case = Case::find(facts, state, ctx)?;
    let me = &ctx.actor.account;
    let resolver = case.ticket.resolution.as_ref().map(|r| &r.by);
    let repaired = case.ticket.is_assigned(me)
        || resolver == Some(me)
        || case.ticket.sessions.iter().any(|s| s.cycle == case.ticket.cycle && s.technician == *me);
    let setting = facts.settings(ctx).technician_verifies;
    let role = authorise_if(ctx, case.holds(setting), |r| r != Role::Technician || !repaired)?;
    let case = Case::open(facts, state, CommandType::TicketVerify, ctx)?;
    if case.ticket.severity == Some(1) && (resolver == Some(me) || case.ticket.opened_by == *me) {
        let message = format!("it is of severity 1 and {me} reported or resolved it: somebody else verifies it");
        return Err(Rejection::guard("TK-40", message));
    }
    if p.verdict == RepairVerdict::Fail && case.ticket.lead.is_none() {
        let message = "nobody leads it who could go on: reopen it with ticket.reopen, then assign a technician";
        return Err(Rejection::guard("T1", message).at("payload.verdict"));
    }
    if let Some(r) = &case.ticket.resolution {
        not_before(ctx.occurred_at, r.at, "it would be verified before it was resolved")?;
    }
    let verified = RepairVerifiedV1 {
        verdict: p.verdict,
        measurements: p.measurements.clone().unwrap_or_default(),
        text: p.text.as_ref().map(Sealed::plain),
    };
    Ok(case.decided(role, vec![verified.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, admin, code, data, dispatcher, inspector, names, rule, technician_if_set};
    use mw_contract::event::ticket::{TicketResolvedV1, TicketTriagedV1};
    use mw_contract::{AggregateId, ErrorCode, ResolutionCode, Role, Sealed, ServiceMode, TicketState, Verification};
    use serde_json::{Value, json};

    fn pass() -> Value {
        json!({"verdict": "pass", "text": "runs", "measurements": [{"characteristic": "flow", "value": "12", "unit": "L/min"}]})
    }

    /// In progress by technician-1 and resolved by it.
    fn resolved(w: &mut World) -> AggregateId {
        let id = w.in_state(TicketState::InProgress);
        let by = crate::fixture::technician();
        let resolved = TicketResolvedV1 {
            resolution_code: ResolutionCode::Repaired,
            text: Sealed::Plain("new seal".into()),
            cause: None,
            remedy: None,
            downtime_end: None,
            customer_signature: None,
            follow_up: false,
            checklist_done: vec![],
            verification_required: true,
        };
        let stream = mw_contract::StreamId::new(mw_contract::AggregateKind::Ticket, id);
        w.fold(&stream, &resolved.into(), w.now, &by, Role::Technician);
        id
    }

    #[test]
    fn tk_40_a_pass_is_noted_and_a_fail_goes_back_to_work() {
        let mut w = World::new();
        let id = resolved(&mut w);
        assert_eq!(rule(w.run_at(w.now.plus_millis(-1), &inspector(), "ticket.verify", id, pass())), "G3");
        let d = w.run(&inspector(), "ticket.verify", id, pass()).unwrap();
        assert_eq!((names(&d), d.role), (vec!["RepairVerified"], Role::QualityInspector));
        assert_eq!(data(&d, 0)["measurements"][0]["value"], "12");
        assert_eq!((w.ticket(id).state, w.ticket(id).verification), (TicketState::Resolved, Verification::Passed));
        let d = w.dispatcher("ticket.verify", id, json!({"verdict": "fail"})).unwrap();
        assert_eq!((d.role, w.ticket(id).state), (Role::Dispatcher, TicketState::InProgress));
        assert_eq!(code(w.dispatcher("ticket.verify", id, pass())), ErrorCode::InvalidState);
    }

    #[test]
    fn tk_40_a_technician_verifies_what_others_repaired_where_the_site_lets_it() {
        let mut w = World::new();
        let id = resolved(&mut w);
        let other = technician_if_set("technician-2");
        assert_eq!(code(w.run(&other, "ticket.verify", id, pass())), ErrorCode::Forbidden);
        w.settings(json!({"technician_verifies": true}));
        assert_eq!(code(w.run(&technician_if_set("technician-1"), "ticket.verify", id, pass())), ErrorCode::Forbidden);
        assert_eq!(w.run(&other, "ticket.verify", id, pass()).unwrap().role, Role::Technician);
        // Also not who repaired it and handed it over.
        let id = w.in_state(TicketState::InProgress);
        w.assigned(id, "technician-3");
        let session = w.working(id, mw_contract::WorkActivity::Test);
        w.paused(id, session);
        w.resolved(id);
        for who in ["technician-1", "technician-3"] {
            assert_eq!(
                code(w.run(&technician_if_set(who), "ticket.verify", id, pass())),
                ErrorCode::Forbidden,
                "{who}"
            );
        }
    }

    #[test]
    fn tk_40_of_severity_1_whoever_reported_or_resolved_it_does_not_verify_it() {
        let mut w = World::new();
        let severe = |w: &mut World, id: AggregateId, severity: u8| {
            let triaged = TicketTriagedV1 {
                severity,
                priority: 1,
                category: "mechanical".parse().unwrap(),
                service_mode: ServiceMode::OnSite,
                team: None,
                required_skills: vec![],
                estimated_effort: None,
                override_reason: None,
                checklist: vec![],
            };
            w.given(id, triaged);
        };
        // The fixture's tickets are reported by the admin.
        let id = resolved(&mut w);
        severe(&mut w, id, 2);
        w.ask(&admin(), "ticket.verify", id, pass()).unwrap();
        severe(&mut w, id, 1);
        assert_eq!(rule(w.ask(&admin(), "ticket.verify", id, pass())), "TK-40");
        w.ask(&dispatcher(), "ticket.verify", id, pass()).unwrap();
        let both =
            crate::fixture::actor("technician-1", &[(Role::QualityInspector, mw_contract::decide::Allowance::Yes)]);
        assert_eq!(rule(w.ask(&both, "ticket.verify", id, pass())), "TK-40");
        severe(&mut w, id, 2);
        w.ask(&both, "ticket.verify", id, pass()).unwrap();
    }
}
