//! TK-13 to TK-16: who does it. A technician who may take tickets takes them for itself only.

use std::collections::BTreeSet;

use mw_contract::command::ticket::{AcceptAssignment, AssignTechnician, DeclineAssignment, ReassignTechnician};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::{
    AssignmentAcceptedV1, AssignmentDeclinedV1, TechnicianAssignedV1, TechnicianReassignedV1, VisitCancelledV1,
};
use mw_contract::reference::{Document, catalogues};
use mw_contract::{
    AccountName, Commercial, CommandType, Event, Instant, ReasonCode, ReferenceKind, Rejection, Role, Sealed, Text,
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
    let has = |skill: &ReasonCode| {
        entries.iter().any(|e| e.code == *skill && e.active && e.accounts.contains(technician))
    };
    case.ticket.required_skills.iter().filter(|s| !has(s)).collect()
}

/// Until when somebody is away at that moment; none: is there, or nobody knows.
pub(super) fn absent(facts: &Facts<'_>, who: &AccountName, when: Instant) -> Option<Instant> {
    let away = facts.known.availability(who);
    away.iter().filter(|a| !a.present && a.from <= when && when < a.to).map(|a| a.to).max()
}
