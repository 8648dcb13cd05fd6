//! TK-05 `ticket.triage` and TK-07 `ticket.change-priority`: how urgent it is, and who should do it. The
//! clocks follow ([`crate::sla`]).

use mw_contract::command::ticket::{ChangeTicketPriority, TriageTicket};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::{TicketPriorityChangedV1, TicketTriagedV1};
use mw_contract::reference::{Document, catalogues};
use mw_contract::{CommandType, FieldError, ReferenceKind, Rejection, Role, Sealed, Seconds};

use super::warranty;
use crate::rules::{Case, Facts, all_valid, authorise_if};
use crate::state::{AfterServiceState, Ticket};

/// The most skills of a ticket.
const MOST_SKILLS: usize = 20;

/// Decides TK-05.
pub fn triage(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &TriageTicket,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = for_itself(&Case::find(facts, state, ctx)?)?;
    let case = Case::open(facts, state, CommandType::TicketTriage, ctx)?;
    let skills = p.required_skills.clone().unwrap_or_default();
    let mut errors = Vec::new();
    one_to_four(&mut errors, "payload.severity", p.severity);
    one_to_four(&mut errors, "payload.priority", p.priority);
    if skills.len() > MOST_SKILLS {
        errors.push(FieldError::new("payload.required_skills", "has at most 20 entries"));
    }
    all_valid(errors)?;
    let category = facts.check_code(catalogues::CATEGORY, p.category.as_str(), "payload.category")?;
    if let Some(team) = &p.team {
        facts.check_code(catalogues::TEAM, team.as_str(), "payload.team")?;
    }
    for (i, skill) in skills.iter().enumerate() {
        facts.check_code(catalogues::SKILL, skill.as_str(), &format!("payload.required_skills[{i}]"))?;
    }
    let due = priority_of(facts, case.ticket, p.severity).filter(|due| *due != p.priority);
    if let Some(due) = due.filter(|_| p.override_reason.is_none()) {
        let message =
            format!("severity {} is of priority {due} here: take that, or give an override_reason", p.severity);
        return Err(Rejection::guard("TK-05.R1", message).at("payload.priority").with("priority", due));
    }
    let triaged = TicketTriagedV1 {
        severity: p.severity,
        priority: p.priority,
        category: p.category.clone(),
        service_mode: p.service_mode,
        team: p.team.clone(),
        required_skills: skills,
        estimated_effort: p.estimated_effort.map(Seconds),
        override_reason: p.override_reason.as_ref().filter(|_| due.is_some()).map(Sealed::plain),
        checklist: category.map(|c| c.checklist).unwrap_or_default(),
    };
    Ok(case.decided(role, vec![triaged.into()]))
}

/// Decides TK-07.
pub fn change_priority(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &ChangeTicketPriority,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = for_itself(&Case::find(facts, state, ctx)?)?;
    let case = Case::open(facts, state, CommandType::TicketChangePriority, ctx)?;
    let mut errors = Vec::new();
    one_to_four(&mut errors, "payload.priority", p.priority);
    all_valid(errors)?;
    let (reason, _) = facts.need_reason(catalogues::TICKET, p.reason.as_ref(), p.note.as_ref())?;
    let old = case.ticket.priority;
    if old == Some(p.priority) {
        return Err(Rejection::invalid("payload.priority", "is its priority already"));
    }
    let note = p.note.as_ref().map(Sealed::plain);
    Ok(case.decided(role, vec![TicketPriorityChangedV1 { old, new: p.priority, reason, note }.into()]))
}

/// A technician who may take tickets for itself leaves alone what somebody else has.
fn for_itself(case: &Case<'_>) -> Result<Role, Rejection> {
    let free = case.ticket.lead.as_ref().is_none_or(|lead| *lead == case.ctx.actor.account);
    let setting = case.facts.settings(case.ctx).technician_self_assigns;
    authorise_if(case.ctx, case.holds(setting), |role| role != Role::Technician || free)
}

fn one_to_four(errors: &mut Vec<FieldError>, field: &str, n: u8) {
    if !(1..=4).contains(&n) {
        errors.push(FieldError::new(field, "is 1 to 4, 1 the most urgent"));
    }
}

/// TK-05.R1: the priority of a severity, for the customer's tier where the matrix knows it. None: the
/// matrix says nothing.
fn priority_of(facts: &Facts<'_>, ticket: &Ticket, severity: u8) -> Option<u8> {
    let matrix = facts.known.document(ReferenceKind::Catalogue, catalogues::PRIORITY)?;
    let Document::Catalogue(matrix) = &*matrix else { return None };
    let tier = ticket.customer_id.as_ref().and_then(|c| warranty::customer_document(facts, c)).and_then(|c| c.tier);
    let of_tier = tier.map(|t| format!("s{severity}-{t}"));
    let of = |code: &str| {
        let entry = matrix.entries.iter().find(|e| e.active && e.code.as_str() == code);
        entry.and_then(|e| e.severity)
    };
    of_tier.and_then(|code| of(&code)).or_else(|| of(&format!("s{severity}")))
}

#[cfg(test)]
mod tests {
    use crate::fixture::*;
    use mw_contract::decide::{Actor, Allowance};
    use mw_contract::{ErrorCode, ReferenceKind, Role, TicketState};
    use serde_json::{Value, json};

    fn as_triaged(severity: u8, priority: u8) -> Value {
        json!({"severity": severity, "priority": priority, "category": "mechanical", "service_mode": "on_site"})
    }

    fn with_matrix() -> World {
        let w = World::new();
        let entries =
            json!([{"code": "s1", "severity": 1}, {"code": "s2", "severity": 3}, {"code": "s2-gold", "severity": 2}]);
        w.plant.put(ReferenceKind::Catalogue, "priority_matrix", json!({"entries": entries}));
        w
    }

    #[test]
    fn tk_05_says_how_urgent_it_is_and_who_should_do_it() {
        let mut w = World::new();
        let steps = json!([{"code": "mechanical", "checklist": ["look at the seal", "test run"]}]);
        w.plant.put(ReferenceKind::Catalogue, "ticket_categories", json!({"entries": steps}));
        let id = w.opened();
        let mut p = as_triaged(2, 2);
        p["team"] = json!("north");
        p["required_skills"] = json!(["hydraulics"]);
        p["estimated_effort"] = json!(7200);
        let d = w.dispatcher("ticket.triage", id, p).unwrap();
        assert_eq!((names(&d), data(&d, 0)["checklist"][1].clone()), (vec!["TicketTriaged"], json!("test run")));
        let t = w.ticket(id);
        assert_eq!((t.state, t.severity, t.priority), (TicketState::Triaged, Some(2), Some(2)));
        let mut unknown = as_triaged(2, 2);
        unknown["category"] = json!("electrical");
        assert_eq!(code(w.dispatcher("ticket.triage", id, unknown)), ErrorCode::ReasonUnknown);
        assert_eq!(code(w.dispatcher("ticket.triage", id, as_triaged(0, 5))), ErrorCode::Validation);
    }

    #[test]
    fn tk_05_again_leaves_the_state_where_it_is() {
        let mut w = World::new();
        for state in [TicketState::Triaged, TicketState::Assigned, TicketState::Scheduled, TicketState::OnHold] {
            let id = w.in_state(state);
            w.dispatcher("ticket.triage", id, as_triaged(1, 1)).unwrap();
            assert_eq!((w.ticket(id).state, w.ticket(id).priority), (state, Some(1)));
        }
        let id = w.in_state(TicketState::InProgress);
        assert_eq!(code(w.dispatcher("ticket.triage", id, as_triaged(1, 1))), ErrorCode::InvalidState);
    }

    #[test]
    fn tk_05_r1_the_priority_is_that_of_the_matrix_or_has_a_reason() {
        let mut w = with_matrix();
        let id = w.opened();
        let r = w.dispatcher("ticket.triage", id, as_triaged(2, 2));
        assert_eq!(detail(r, "priority"), 3);
        assert_eq!(rule(w.dispatcher("ticket.triage", id, as_triaged(2, 2))), "TK-05.R1");
        w.dispatcher("ticket.triage", id, as_triaged(2, 3)).unwrap();
        let mut p = as_triaged(2, 1);
        p["override_reason"] = json!("the plant stands still");
        let d = w.dispatcher("ticket.triage", id, p.clone()).unwrap();
        assert_ne!(data(&d, 0)["override_reason"], json!(null));
        p["priority"] = json!(3);
        let d = w.dispatcher("ticket.triage", id, p).unwrap();
        assert_eq!(data(&d, 0)["override_reason"], json!(null), "nothing was overridden");
        // The matrix says nothing of severity 4.
        w.dispatcher("ticket.triage", id, as_triaged(4, 1)).unwrap();
    }

    #[test]
    fn tk_05_r1_a_tier_has_its_own_row_and_without_a_matrix_any_priority_will_do() {
        let mut w = with_matrix();
        w.plant.put(ReferenceKind::Customer, "acme", json!({"tier": "gold"}));
        let id = w.opened();
        assert_eq!(detail(w.dispatcher("ticket.triage", id, as_triaged(2, 3)), "priority"), 2);
        w.dispatcher("ticket.triage", id, as_triaged(2, 2)).unwrap();
        assert_eq!(detail(w.dispatcher("ticket.triage", id, as_triaged(1, 2)), "priority"), 1, "no row of its own");
        let mut w = World::new();
        let id = w.opened();
        w.dispatcher("ticket.triage", id, as_triaged(1, 4)).unwrap();
    }

    fn may_take(name: &str) -> Actor {
        actor(name, &[(Role::Technician, Allowance::Setting)])
    }

    #[test]
    fn tk_05_a_technician_triages_where_the_site_allows_it_and_for_itself_only() {
        let mut w = World::new();
        let id = w.opened();
        let p = as_triaged(2, 2);
        assert_eq!(code(w.run(&may_take("technician-1"), "ticket.triage", id, p.clone())), ErrorCode::Forbidden);
        w.settings(json!({"technician_self_assigns": true}));
        w.run(&may_take("technician-1"), "ticket.triage", id, p.clone()).unwrap();
        w.assigned(id, "technician-1");
        w.run(&may_take("technician-1"), "ticket.triage", id, p.clone()).unwrap();
        assert_eq!(code(w.run(&may_take("technician-2"), "ticket.triage", id, p)), ErrorCode::Forbidden);
        let p = json!({"priority": 1, "reason": "urgent"});
        assert_eq!(
            code(w.run(&may_take("technician-2"), "ticket.change-priority", id, p.clone())),
            ErrorCode::Forbidden
        );
        w.run(&may_take("technician-1"), "ticket.change-priority", id, p).unwrap();
    }

    #[test]
    fn tk_07_another_priority_needs_a_reason() {
        let mut w = World::new();
        let id = w.in_state(TicketState::InProgress);
        let ask = |w: &World, p: Value| w.ask(&dispatcher(), "ticket.change-priority", id, p);
        assert_eq!(code(ask(&w, json!({"priority": 1}))), ErrorCode::ReasonRequired);
        assert_eq!(code(ask(&w, json!({"priority": 1, "reason": "other"}))), ErrorCode::Validation);
        assert_eq!(code(ask(&w, json!({"priority": 5, "reason": "urgent"}))), ErrorCode::Validation);
        assert_eq!(code(ask(&w, json!({"priority": 2, "reason": "urgent"}))), ErrorCode::Validation, "it is 2 already");
        let d = w.dispatcher("ticket.change-priority", id, json!({"priority": 1, "reason": "urgent"})).unwrap();
        assert_eq!((&data(&d, 0)["old"], &data(&d, 0)["new"]), (&json!(2), &json!(1)));
        assert_eq!(w.ticket(id).priority, Some(1));
        let id = w.in_state(TicketState::Resolved);
        let r = w.dispatcher("ticket.change-priority", id, json!({"priority": 1, "reason": "urgent"}));
        assert_eq!(code(r), ErrorCode::InvalidState);
    }
}
