//! TK-13 to TK-16: who does it. A technician who may take tickets takes them for itself only.

use std::collections::BTreeSet;

use mw_contract::command::ticket::{AcceptAssignment, AssignTechnician, DeclineAssignment, ReassignTechnician};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::{
    AssignmentAcceptedV1, AssignmentDeclinedV1, TechnicianAssignedV1, TechnicianReassignedV1, VisitCancelledV1,
};
use mw_contract::reference::{Document, catalogues};
use mw_contract::{
    AccountName, CommandType, Commercial, Event, Instant, ReasonCode, ReferenceKind, Rejection, Role, Sealed, Text,
    TicketState,
};

use super::visit;
use crate::rules::{Case, Facts, authorise_if};
use crate::state::AfterServiceState;

/// The most helpers of a ticket.
const MOST_HELPERS: usize = 20;

/// Decides TK-13.
pub fn assign(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &AssignTechnician,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let found = Case::find(facts, state, ctx)?;
    let helpers = once_each(&p.lead, p.helpers.as_deref().unwrap_or_default())?;
    let for_itself = p.lead == ctx.actor.account && helpers.is_empty();
    let holds = found.holds(facts.settings(ctx).technician_self_assigns);
    let role = authorise_if(ctx, holds, |role| role != Role::Technician || for_itself)?;
    let case = Case::open(facts, state, CommandType::TicketAssignTechnician, ctx)?;
    let when = p.due_start.unwrap_or(ctx.occurred_at);
    Team { lead: &p.lead, helpers: &helpers }.check(&case, when, p.override_reason.as_ref())?;
    if case.ticket.commercial == Commercial::Rejected {
        let message = "the customer rejected the quote: submit another one, resolve or cancel the ticket";
        return Err(Rejection::guard("TK-13.R3", message));
    }
    let assigned = TechnicianAssignedV1 {
        lead: p.lead.clone(),
        helpers,
        team: p.team.clone(),
        due_start: p.due_start,
        override_reason: p.override_reason.as_ref().map(Sealed::plain),
    };
    Ok(case.decided(role, vec![assigned.into()]))
}

/// Decides TK-14. A new lead begins anew: work and travel end, and visits that are not kept are
/// cancelled. Where only helpers change, those who leave stop and the ticket stays where it is.
pub fn reassign(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &ReassignTechnician,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let (reason, _) = facts.need_reason(catalogues::TICKET, p.reason.as_ref(), p.note.as_ref())?;
    let case = Case::open(facts, state, CommandType::TicketReassignTechnician, ctx)?;
    let ticket = case.ticket;
    let Some(old) = &ticket.lead else {
        return Err(Rejection::guard("TK-14", "nobody has the ticket: resume it, then assign a technician"));
    };
    let helpers = once_each(&p.lead, p.helpers.as_deref().unwrap_or(&ticket.helpers))?;
    let same_lead = *old == p.lead;
    if same_lead && helpers == ticket.helpers {
        return Err(Rejection::guard("TK-14", format!("{old} has it already, with the same helpers")));
    }
    let kept = same_lead || p.keep_visit == Some(true);
    let next_visit = ticket.open_visits().map(|v| v.visit.window_start).min().filter(|_| kept);
    let when = next_visit.map_or(ctx.occurred_at, |start| start.max(ctx.occurred_at));
    Team { lead: &p.lead, helpers: &helpers }.check(&case, when, p.override_reason.as_ref())?;

    let mut events = case.end_work(&reason)?;
    if same_lead {
        let leaves = |who: &AccountName| *who != p.lead && !helpers.contains(who);
        events.retain(|e| match e {
            Event::WorkPaused(x) => leaves(&x.technician),
            Event::TravelAborted(x) => leaves(&x.technician),
            _ => true,
        });
    }
    let turned_back = events.iter().any(|e| matches!(e, Event::TravelAborted(_)));
    let to_state = match ticket.state {
        stays if same_lead && !turned_back => stays,
        TicketState::Travelling | TicketState::InProgress => TicketState::Assigned,
        TicketState::Scheduled if !kept || ticket.open_visits().next().is_none() => TicketState::Assigned,
        stays => stays,
    };
    let mut warnings = Vec::new();
    for v in ticket.open_visits() {
        if kept {
            let clash = visit::overlapping(&case, &p.lead, &v.visit).filter(|_| !same_lead);
            warnings.extend(clash.map(|other| visit::overlap_warning(&p.lead, other)));
        } else {
            let cancelled =
                VisitCancelledV1 { visit_id: v.visit.visit_id, reason: reason.clone(), note: None, to_state };
            events.push(cancelled.into());
        }
    }
    let reassigned = TechnicianReassignedV1 {
        old: old.clone(),
        new: p.lead.clone(),
        helpers,
        reason,
        note: p.note.as_ref().map(Sealed::plain),
        handover_note: p.handover_note.as_ref().map(Sealed::plain),
        override_reason: p.override_reason.as_ref().map(Sealed::plain),
        keep_visit: kept,
        to_state,
    };
    events.push(reassigned.into());
    Ok(Decision { warnings, ..case.decided(role, events) })
}

/// Decides TK-15: the lead says yes.
pub fn accept(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    _: &AcceptAssignment,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = as_lead(&Case::find(facts, state, ctx)?)?;
    let case = Case::open(facts, state, CommandType::TicketAcceptAssignment, ctx)?;
    if case.ticket.accepted {
        return Err(Rejection::guard("TK-15", "you have accepted it already"));
    }
    let accepted = AssignmentAcceptedV1 { technician: ctx.actor.account.clone() };
    Ok(case.decided(role, vec![accepted.into()]))
}

/// Decides TK-16: the lead says no, and its visits with it; the ticket waits for another one.
pub fn decline(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &DeclineAssignment,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = as_lead(&Case::find(facts, state, ctx)?)?;
    let (reason, _) = facts.need_reason(catalogues::TICKET, p.reason.as_ref(), p.note.as_ref())?;
    let case = Case::open(facts, state, CommandType::TicketDeclineAssignment, ctx)?;
    let mut events = case.end_work(&reason)?;
    events.extend(case.ticket.open_visits().map(|v| {
        let (visit_id, reason, to_state) = (v.visit.visit_id, reason.clone(), TicketState::Triaged);
        VisitCancelledV1 { visit_id, reason, note: None, to_state }.into()
    }));
    let (technician, note) = (ctx.actor.account.clone(), p.note.as_ref().map(Sealed::plain));
    events.push(AssignmentDeclinedV1 { technician, reason, note }.into());
    Ok(case.decided(role, events))
}

/// What is assigned is the lead's to accept or decline, not a helper's.
fn as_lead(case: &Case<'_>) -> Result<Role, Rejection> {
    let mut holds = case.holds(false);
    holds.assigned = case.ticket.lead.as_ref() == Some(&case.ctx.actor.account);
    crate::rules::authorise(case.ctx, holds)
}

/// In the order in which they are named, nobody twice, and not the lead.
fn once_each(lead: &AccountName, names: &[AccountName]) -> Result<Vec<AccountName>, Rejection> {
    if names.len() > MOST_HELPERS {
        return Err(Rejection::invalid("payload.helpers", format!("names at most {MOST_HELPERS}")));
    }
    let mut seen = BTreeSet::from([lead]);
    Ok(names.iter().filter(|n| seen.insert(*n)).cloned().collect())
}

/// Those who are to do it.
struct Team<'a> {
    lead: &'a AccountName,
    helpers: &'a [AccountName],
}

impl Team<'_> {
    /// TK-13.R1 and R2 at the time when they are needed.
    fn check(&self, case: &Case<'_>, when: Instant, overridden: Option<&Text<2000>>) -> Result<(), Rejection> {
        let helpers = self.helpers.iter().enumerate().map(|(i, h)| (format!("payload.helpers[{i}]"), h));
        let all: Vec<_> = std::iter::once(("payload.lead".to_owned(), self.lead)).chain(helpers).collect();
        // The region is the site: nobody acts at another one, so no reason overrides that.
        let site = &case.ticket.site_id;
        for (field, name) in &all {
            let here = case.ctx.people.person(name).filter(|x| x.sites.contains(site));
            if !here.is_some_and(|x| x.roles.contains(&Role::Technician)) {
                let message = format!("{name} is no active technician of {site}");
                return Err(Rejection::guard("TK-13.R1", message).at(field));
            }
        }
        let lacks = skills_lacking(case, self.lead);
        if !lacks.is_empty() && overridden.is_none() {
            let lacks: Vec<&str> = lacks.iter().map(|s| s.as_str()).collect();
            let message = format!("{} lacks {}: give an override_reason or send another", self.lead, lacks.join(", "));
            return Err(Rejection::guard("TK-13.R1", message).at("payload.lead").with("skills", lacks));
        }
        for (field, name) in &all {
            if let Some(until) = absent(case.facts, name, when) {
                let message = format!("{name} is absent until {until}");
                return Err(Rejection::guard("TK-13.R2", message).at(field).with("until", until.to_string()));
            }
        }
        Ok(())
    }
}

/// The skills that the ticket asks for and a technician has not.
fn skills_lacking<'a>(case: &Case<'a>, technician: &AccountName) -> Vec<&'a ReasonCode> {
    let skills = case.facts.known.document(ReferenceKind::Catalogue, catalogues::SKILL);
    let entries = match skills.as_deref() {
        Some(Document::Catalogue(c)) => c.entries.as_slice(),
        _ => &[],
    };
    let has =
        |skill: &ReasonCode| entries.iter().any(|e| e.code == *skill && e.active && e.accounts.contains(technician));
    case.ticket.required_skills.iter().filter(|s| !has(s)).collect()
}

/// Until when somebody is away at that moment; none: is there, or nobody knows.
pub(super) fn absent(facts: &Facts<'_>, who: &AccountName, when: Instant) -> Option<Instant> {
    let away = facts.known.availability(who);
    away.iter().filter(|a| !a.present && a.from <= when && when < a.to).map(|a| a.to).max()
}

#[cfg(test)]
mod tests {
    use crate::fixture::*;
    use mw_contract::decide::{Actor, Decision};
    use mw_contract::event::ticket::{TechnicianAssignedV1, TicketTriagedV1};
    use mw_contract::{AggregateId, ErrorCode, ReferenceKind, Rejection, Role, ServiceMode, TicketState, WorkActivity};
    use serde_json::{Value, json};

    fn with(mut p: Value, more: Value) -> Value {
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        p
    }

    fn assign(w: &mut World, id: AggregateId, more: Value) -> Result<Decision, Rejection> {
        w.dispatcher("ticket.assign-technician", id, with(json!({"lead": "technician-1"}), more))
    }

    fn reassign(w: &mut World, id: AggregateId, more: Value) -> Result<Decision, Rejection> {
        let p = with(json!({"lead": "technician-2", "reason": "sick"}), more);
        w.dispatcher("ticket.reassign-technician", id, p)
    }

    fn accounts(names: &[mw_contract::AccountName]) -> Vec<&str> {
        names.iter().map(|n| n.as_str()).collect()
    }

    fn helped(w: &mut World, id: AggregateId, helpers: &[&str]) {
        let helpers = helpers.iter().map(|h| h.parse().unwrap()).collect();
        let lead = "technician-1".parse().unwrap();
        w.given(id, TechnicianAssignedV1 { lead, helpers, team: None, due_start: None, override_reason: None });
    }

    /// A ticket for which one must be able to weld; technician-1 can't, technician-2 can.
    fn welding(w: &mut World) -> AggregateId {
        let entries = json!([
            {"code": "welding", "accounts": ["technician-2"]},
            {"code": "climbing", "active": false, "accounts": ["technician-2"]}]);
        w.plant.put(ReferenceKind::Catalogue, "skills", json!({"entries": entries}));
        let id = w.opened();
        skilled(w, id, &["welding"]);
        id
    }

    fn skilled(w: &mut World, id: AggregateId, skills: &[&str]) {
        w.given(
            id,
            TicketTriagedV1 {
                severity: 2,
                priority: 2,
                category: "mechanical".parse().unwrap(),
                service_mode: ServiceMode::OnSite,
                team: None,
                required_skills: skills.iter().map(|s| s.parse().unwrap()).collect(),
                estimated_effort: None,
                override_reason: None,
                checklist: vec![],
            },
        );
    }

    #[test]
    fn tk_13_somebody_does_it() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Triaged);
        let team = json!({"helpers": ["technician-3", "technician-1", "technician-3"], "team": "north",
            "due_start": "2026-03-03T09:00:00.000Z"});
        let d = assign(&mut w, id, team).unwrap();
        assert_eq!(names(&d), ["TechnicianAssigned"]);
        let x = data(&d, 0);
        assert_eq!((&x["lead"], &x["helpers"]), (&json!("technician-1"), &json!(["technician-3"])));
        assert_eq!((&x["team"], &x["due_start"]), (&json!("north"), &json!("2026-03-03T09:00:00.000Z")));
        let t = w.ticket(id);
        assert_eq!((t.state, t.lead.as_ref().unwrap().as_str()), (TicketState::Assigned, "technician-1"));
        assert_eq!(code(assign(&mut w, id, json!({}))), ErrorCode::InvalidState);
        let many: Vec<String> = (0..21).map(|n| format!("technician-{n}")).collect();
        let id = w.in_state(TicketState::Triaged);
        assert_eq!(code(assign(&mut w, id, json!({"helpers": many}))), ErrorCode::Validation);
    }

    #[test]
    fn tk_13_r1_it_is_a_technician_of_the_site() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Triaged);
        for nobody in ["technician-99", "dispatcher-1", "technician-elsewhere"] {
            let p = json!({"lead": nobody, "override_reason": "there is no other"});
            assert_eq!(rule(assign(&mut w, id, p)), "TK-13.R1", "{nobody}");
        }
        let refused = assign(&mut w, id, json!({"helpers": ["technician-2", "operator-1"]})).unwrap_err();
        assert_eq!(refused.field.as_deref(), Some("payload.helpers[1]"));
        assert_eq!(rule(Err(refused)), "TK-13.R1");
    }

    #[test]
    fn tk_13_r1_the_lead_has_the_skills_or_there_is_a_reason() {
        let mut w = World::new();
        let id = welding(&mut w);
        let refused = assign(&mut w, id, json!({"helpers": ["technician-2"]}));
        assert_eq!(detail(refused.clone(), "skills"), json!(["welding"]));
        assert_eq!(rule(refused), "TK-13.R1");
        w.ask(&dispatcher(), "ticket.assign-technician", id, json!({"lead": "technician-2"})).unwrap();
        let d = assign(&mut w, id, json!({"override_reason": "he welds at home"})).unwrap();
        assert_eq!(data(&d, 0)["override_reason"], json!("he welds at home"));
        // A skill that is not in use any more, and one that nobody lists, is had by nobody.
        let id = w.opened();
        skilled(&mut w, id, &["welding", "climbing", "diving"]);
        let refused = w.ask(&dispatcher(), "ticket.assign-technician", id, json!({"lead": "technician-2"}));
        assert_eq!(detail(refused, "skills"), json!(["climbing", "diving"]));
    }

    #[test]
    fn tk_13_r2_nobody_is_absent() {
        let mut w = World::new();
        let away = |who: &str, present: bool| {
            json!({"account": who, "from": "2026-03-02T08:00:00.000Z", "to": "2026-03-04T00:00:00.000Z",
                "present": present})
        };
        w.plant.put(ReferenceKind::Availability, "a-1", away("technician-1", false));
        w.plant.put(ReferenceKind::Availability, "a-2", away("technician-2", true));
        let id = w.in_state(TicketState::Triaged);
        let refused = assign(&mut w, id, json!({"override_reason": "comes all the same"}));
        assert_eq!(detail(refused.clone(), "until"), json!("2026-03-04T00:00:00.000Z"));
        assert_eq!(rule(refused), "TK-13.R2");
        let late = json!({"due_start": "2026-03-03T23:59:59.999Z"});
        assert_eq!(rule(assign(&mut w, id, late)), "TK-13.R2");
        let helper = json!({"lead": "technician-2", "helpers": ["technician-1"]});
        let refused = w.ask(&dispatcher(), "ticket.assign-technician", id, helper).unwrap_err();
        assert_eq!(refused.field.as_deref(), Some("payload.helpers[0]"));
        w.ask(&dispatcher(), "ticket.assign-technician", id, json!({"lead": "technician-2"})).unwrap();
        assign(&mut w, id, json!({"due_start": "2026-03-04T00:00:00.000Z"})).unwrap();
    }

    #[test]
    fn tk_13_r3_not_for_what_the_customer_rejected() {
        let mut w = World::new();
        let id = w.in_state(TicketState::AwaitingApproval);
        let q = w.ticket(id).quote().unwrap().quote_id;
        let no = json!({"quote_id": q, "reason": "no", "wish": "return_unrepaired"});
        w.run(&customer(), "ticket.reject-quote", id, no).unwrap();
        assert_eq!(rule(assign(&mut w, id, json!({}))), "TK-13.R3");
    }

    #[test]
    fn tk_13_a_technician_takes_it_for_itself_where_the_site_lets_it() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Triaged);
        let me = technician_if_set("technician-1");
        let ask = |w: &World, p: Value| w.ask(&me, "ticket.assign-technician", id, p);
        assert_eq!(code(ask(&w, json!({"lead": "technician-1"}))), ErrorCode::Forbidden);
        w.settings(json!({"technician_self_assigns": true}));
        assert_eq!(code(ask(&w, json!({"lead": "technician-2"}))), ErrorCode::Forbidden);
        let helped = json!({"lead": "technician-1", "helpers": ["technician-2"]});
        assert_eq!(code(ask(&w, helped)), ErrorCode::Forbidden);
        assert_eq!(ask(&w, json!({"lead": "technician-1"})).unwrap().role, Role::Technician);
    }

    #[test]
    fn tk_14_a_new_lead_begins_anew() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        w.working(id, WorkActivity::Repair);
        w.later(HOUR);
        let d = reassign(&mut w, id, json!({"note": "flu", "handover_note": "the cover is off"})).unwrap();
        assert_eq!(names(&d), ["WorkPaused", "TechnicianReassigned"]);
        assert_eq!((&data(&d, 0)["reason"], &data(&d, 0)["duration"]), (&json!("sick"), &json!(3600)));
        let x = data(&d, 1);
        assert_eq!((&x["old"], &x["new"]), (&json!("technician-1"), &json!("technician-2")));
        assert_eq!((&x["to_state"], &x["handover_note"]), (&json!("assigned"), &json!("the cover is off")));
        assert_eq!((&x["note"], &x["keep_visit"]), (&json!("flu"), &json!(false)));
        let t = w.ticket(id);
        assert_eq!((t.state, t.lead.as_ref().unwrap().as_str()), (TicketState::Assigned, "technician-2"));
    }

    #[test]
    fn tk_14_travel_ends_and_the_ticket_is_assigned() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Travelling);
        w.later(20 * MINUTE);
        let d = reassign(&mut w, id, json!({})).unwrap();
        assert_eq!(names(&d), ["TravelAborted", "TechnicianReassigned"]);
        assert_eq!((&data(&d, 0)["travel"], &data(&d, 1)["to_state"]), (&json!(1200), &json!("assigned")));
    }

    #[test]
    fn tk_14_a_visit_stays_when_it_is_kept() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Scheduled);
        let d = reassign(&mut w, id, json!({"keep_visit": true})).unwrap();
        assert_eq!((names(&d), w.ticket(id).state), (vec!["TechnicianReassigned"], TicketState::Scheduled));
        assert_eq!(w.ticket(id).visits[0].technician.as_str(), "technician-2");
        let d = reassign(&mut w, id, json!({"lead": "technician-3"})).unwrap();
        assert_eq!(names(&d), ["VisitCancelled", "TechnicianReassigned"]);
        assert_eq!(data(&d, 0)["reason"], json!("sick"));
        assert_eq!(w.ticket(id).state, TicketState::Assigned);
        assert!(w.ticket(id).open_visits().next().is_none());
    }

    #[test]
    fn tk_14_a_kept_visit_may_clash_with_those_of_the_new_lead() {
        let mut w = World::new();
        let busy = w.in_state(TicketState::Triaged);
        w.assigned(busy, "technician-2");
        let now = w.now;
        w.scheduled(busy, now.plus_millis(2 * HOUR), now.plus_millis(4 * HOUR));
        let id = w.in_state(TicketState::Scheduled);
        let d = reassign(&mut w, id, json!({"keep_visit": true})).unwrap();
        assert_eq!(d.warnings.len(), 1);
        assert_eq!(d.warnings[0].code, "visit_overlap");
        assert!(d.warnings[0].message.contains(&busy.to_string()));
    }

    #[test]
    fn tk_14_on_hold_it_stays_on_hold() {
        let mut w = World::new();
        let id = w.in_state(TicketState::OnHold);
        reassign(&mut w, id, json!({})).unwrap();
        assert_eq!(w.ticket(id).state, TicketState::OnHold);
        // Held before anybody had it: there is nobody to take it from.
        let id = w.in_state(TicketState::Triaged);
        w.dispatcher("ticket.hold", id, json!({"reason": "internal"})).map(drop).unwrap_or_else(|_| {
            w.given(
                id,
                mw_contract::event::ticket::TicketHeldV1 {
                    reason: "internal".parse().unwrap(),
                    pauses_sla: false,
                    resume_state: TicketState::Triaged,
                    expected_until: None,
                    note: None,
                },
            );
        });
        assert_eq!(rule(reassign(&mut w, id, json!({}))), "TK-14");
    }

    #[test]
    fn tk_14_only_those_who_leave_stop_when_the_lead_stays() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Triaged);
        helped(&mut w, id, &["technician-2", "technician-3"]);
        let lead = w.working(id, WorkActivity::Repair);
        let p = json!({"session_id": e(700), "activity": "repair"});
        w.run(&technician_named("technician-2"), "ticket.start-work", id, p).unwrap();
        let same = json!({"lead": "technician-1", "helpers": ["technician-2", "technician-3"]});
        assert_eq!(rule(reassign(&mut w, id, same)), "TK-14");
        // Nothing is said of helpers: they stay.
        assert_eq!(rule(reassign(&mut w, id, json!({"lead": "technician-1"}))), "TK-14");
        let d = reassign(&mut w, id, json!({"lead": "technician-1", "helpers": ["technician-4"]})).unwrap();
        assert_eq!(names(&d), ["WorkPaused", "TechnicianReassigned"]);
        assert_eq!(
            (&data(&d, 0)["technician"], &data(&d, 1)["to_state"]),
            (&json!("technician-2"), &json!("in_progress"))
        );
        let t = w.ticket(id);
        assert_eq!(t.open_sessions().map(|s| s.session_id).collect::<Vec<_>>(), [lead]);
        assert_eq!(accounts(&t.helpers), ["technician-4"]);
    }

    #[test]
    fn tk_14_helpers_stay_with_a_new_lead_unless_others_are_named() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Triaged);
        helped(&mut w, id, &["technician-2", "technician-3"]);
        reassign(&mut w, id, json!({})).unwrap();
        assert_eq!(accounts(&w.ticket(id).helpers), ["technician-3"]);
        reassign(&mut w, id, json!({"lead": "technician-3", "helpers": []})).unwrap();
        assert!(w.ticket(id).helpers.is_empty());
    }

    #[test]
    fn tk_14_needs_a_reason_and_the_rules_of_an_assignment() {
        let mut w = World::new();
        let id = welding(&mut w);
        w.assigned(id, "technician-2");
        assert_eq!(code(reassign(&mut w, id, json!({"reason": null}))), ErrorCode::ReasonRequired);
        assert_eq!(rule(reassign(&mut w, id, json!({"lead": "technician-1"}))), "TK-13.R1");
        let away = json!({"account": "technician-3", "from": "2026-03-03T00:00:00.000Z",
            "to": "2026-03-04T00:00:00.000Z", "present": false});
        w.plant.put(ReferenceKind::Availability, "a-1", away);
        let start = w.now.plus_millis(24 * HOUR);
        w.scheduled(id, start, start.plus_millis(HOUR));
        let all_the_same = json!({"lead": "technician-3", "override_reason": "helps out"});
        // It is away when the visit is, not now.
        assert_eq!(rule(reassign(&mut w, id, with(all_the_same.clone(), json!({"keep_visit": true})))), "TK-13.R2");
        let d = reassign(&mut w, id, all_the_same).unwrap();
        assert_eq!(data(&d, 1)["override_reason"], json!("helps out"));
    }

    fn say(w: &mut World, who: &Actor, word: &str, id: AggregateId, p: Value) -> Result<Decision, Rejection> {
        w.run(who, &format!("ticket.{word}-assignment"), id, p)
    }

    #[test]
    fn tk_15_the_lead_accepts_once() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Triaged);
        helped(&mut w, id, &["technician-2"]);
        for other in ["technician-2", "technician-3"] {
            let refused = say(&mut w, &technician_named(other), "accept", id, json!({}));
            assert_eq!(code(refused), ErrorCode::Forbidden, "{other}");
        }
        let d = say(&mut w, &technician(), "accept", id, json!({})).unwrap();
        assert_eq!((names(&d), &data(&d, 0)["technician"]), (vec!["AssignmentAccepted"], &json!("technician-1")));
        assert!(w.ticket(id).accepted);
        assert_eq!(rule(say(&mut w, &technician(), "accept", id, json!({}))), "TK-15");
    }

    #[test]
    fn tk_16_a_declined_ticket_waits_for_another_technician() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        assert_eq!(code(say(&mut w, &technician(), "decline", id, json!({}))), ErrorCode::ReasonRequired);
        let no = json!({"reason": "overload", "note": "until Friday"});
        assert_eq!(
            code(say(&mut w, &technician_named("technician-2"), "decline", id, no.clone())),
            ErrorCode::Forbidden
        );
        let d = say(&mut w, &technician(), "decline", id, no).unwrap();
        assert_eq!((names(&d), &data(&d, 0)["reason"]), (vec!["AssignmentDeclined"], &json!("overload")));
        assert_eq!((w.ticket(id).state, &w.ticket(id).lead), (TicketState::Triaged, &None));
        assign(&mut w, id, json!({"lead": "technician-2"})).unwrap();
    }
}
