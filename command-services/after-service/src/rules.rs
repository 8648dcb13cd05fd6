//! What many commands share: who may, on which ticket, for which reason.
//!
//! Owns the checks of site, role and ownership on tickets. The general rules (G3, G7) are in
//! [`mw_contract::rules`]; rules of one command stand with that command.

use std::sync::Arc;

use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::{TravelAbortedV1, WorkPausedV1};
use mw_contract::reference::{CatalogueEntry, Document, SiteSettings};
use mw_contract::rules::{self, Catalogue, Reason};
use mw_contract::{
    AggregateKind, CommandType, Event, ReasonCode, ReferenceKind, Rejection, Role, Seconds, StreamId, Text,
};

pub use mw_contract::rules::{Holds, agreed, all_valid, authorise, authorise_if, check_file, exists, not_before};

use crate::desk::Desk;
use crate::known::Known;
use crate::matrix;
use crate::state::{AfterServiceState, Ticket};

/// What a decision knows beside its aggregate.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// What spans tickets.
    pub desk: &'a Desk,
    /// What is known of production.
    pub known: &'a dyn Known,
}

impl Facts<'_> {
    /// The settings of the site that the command came to; the careful defaults where it has none.
    pub fn settings(&self, ctx: &DecisionContext<'_>) -> SiteSettings {
        let site = ctx.site.and_then(|s| self.known.document(ReferenceKind::Site, s.as_str()));
        match site.as_deref() {
            Some(Document::Site(s)) => s.settings.clone(),
            _ => SiteSettings::default(),
        }
    }

    /// The IANA time zone of the site that the command came to.
    pub fn time_zone(&self, ctx: &DecisionContext<'_>) -> String {
        let site = ctx.site.and_then(|s| self.known.document(ReferenceKind::Site, s.as_str()));
        match site.as_deref() {
            Some(Document::Site(s)) => s.time_zone.clone(),
            _ => "UTC".to_owned(),
        }
    }

    /// G7: a reason that must be given, from a catalogue; with its entry where it has one.
    ///
    /// # Errors
    /// As [`rules::need_reason`].
    pub fn need_reason(
        &self,
        catalogue: &str,
        reason: Option<&ReasonCode>,
        note: Option<&Text<2000>>,
    ) -> Result<(ReasonCode, Option<CatalogueEntry>), Rejection> {
        let document = self.catalogue(catalogue);
        let (code, r) = rules::need_reason(Catalogue::of(catalogue, document.as_deref()), reason, note)?;
        Ok((code.clone(), r.entry().cloned()))
    }

    /// Is a code an active entry of a catalogue? A catalogue without entries takes any. `field` is the
    /// field that a refusal names, such as `payload.cause`.
    ///
    /// # Errors
    /// `REASON_UNKNOWN` with the active codes.
    pub fn check_code(&self, catalogue: &str, code: &str, field: &str) -> Result<Option<CatalogueEntry>, Rejection> {
        let refused = |why: String| Rejection::invalid(field, why);
        let code = ReasonCode::new(code).map_err(|e| refused(e.to_string()))?;
        if code.as_str() == "other" {
            return Ok(None);
        }
        let document = self.catalogue(catalogue);
        let r = rules::check_reason(Catalogue::of(catalogue, document.as_deref()), &code, None, "payload.");
        r.map(|r: Reason<'_>| r.entry().cloned()).map_err(|e| e.at(field))
    }

    fn catalogue(&self, code: &str) -> Option<Arc<Document>> {
        self.known.document(ReferenceKind::Catalogue, code)
    }
}

/// A command on a ticket that exists, is of the topic's site, and is in a state for it.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    /// Facts beside the ticket.
    pub facts: &'a Facts<'a>,
    /// The ticket.
    pub ticket: &'a Ticket,
    /// The circumstances.
    pub ctx: &'a DecisionContext<'a>,
    /// Reported after the resolution (G4)?
    pub late: bool,
}

impl<'a> Case<'a> {
    /// Finds the ticket and checks site and state. A customer finds its own tickets only.
    ///
    /// # Errors
    /// `NOT_FOUND` when there is no such ticket for the sender at the topic's site; `INVALID_STATE`.
    pub fn open(
        facts: &'a Facts<'a>,
        state: &'a AfterServiceState,
        command: CommandType,
        ctx: &'a DecisionContext<'a>,
    ) -> Result<Self, Rejection> {
        let case = Case::find(facts, state, ctx)?;
        let late = matrix::check(case.ticket, command, ctx)?;
        Ok(Case { late, ..case })
    }

    /// As [`Case::open`], in whatever state it is.
    ///
    /// # Errors
    /// `NOT_FOUND`.
    pub fn find(
        facts: &'a Facts<'a>,
        state: &'a AfterServiceState,
        ctx: &'a DecisionContext<'a>,
    ) -> Result<Self, Rejection> {
        let missing = || Rejection::not_found(format!("there is no ticket {} at this site", ctx.aggregate_id));
        let ticket = state.ticket().filter(|t| ctx.site == Some(&t.site_id)).ok_or_else(missing)?;
        // What a customer may not see does not exist for it.
        if ctx.actor.grants.iter().all(|(r, _)| *r == Role::Customer)
            && (ctx.actor.customer_id.is_none() || ctx.actor.customer_id != ticket.customer_id)
        {
            return Err(missing());
        }
        Ok(Case { facts, ticket, ctx, late: false })
    }

    /// The role of the act: assigned technicians, customers on their own tickets, operators on internal
    /// ones; `setting` says whether the site's setting for this command is on.
    ///
    /// # Errors
    /// `FORBIDDEN`.
    pub fn authorise(&self, setting: bool) -> Result<Role, Rejection> {
        authorise(self.ctx, self.holds(setting))
    }

    /// Which conditions hold for the sender on this ticket.
    pub fn holds(&self, setting: bool) -> Holds {
        let me = self.ctx.actor;
        let customers = me.customer_id.is_some() && me.customer_id == self.ticket.customer_id;
        let operators = me.customer_id.is_none() && self.ticket.is_internal();
        Holds {
            setting,
            own: customers || operators,
            assigned: self.ticket.is_assigned(&me.account),
            ..Holds::default()
        }
    }

    /// Does the sender act as the customer?
    pub fn by_customer(&self, role: Role) -> bool {
        role == Role::Customer
    }

    /// Events on the ticket's own stream.
    pub fn decided(&self, role: Role, events: Vec<Event>) -> Decision {
        Decision { late: self.late, ..Decision::on(self.stream(), role, events) }
    }

    /// The ticket's stream.
    pub fn stream(&self) -> StreamId {
        StreamId::new(AggregateKind::Ticket, self.ctx.aggregate_id)
    }

    /// Ends the open sessions and the trip under way at the command's time, for this reason.
    ///
    /// # Errors
    /// `GUARD_FAILED` G3 when one of them would end before it began.
    pub fn end_work(&self, reason: &ReasonCode) -> Result<Vec<Event>, Rejection> {
        let at = self.ctx.occurred_at;
        let mut events = Vec::new();
        for s in self.ticket.open_sessions() {
            not_before(at, s.started_at, "an open session would end before it began")?;
            let duration = Seconds::between(s.started_at, at);
            events.push(
                WorkPausedV1 {
                    session_id: s.session_id,
                    technician: s.technician.clone(),
                    reason: reason.clone(),
                    note: None,
                    duration,
                }
                .into(),
            );
        }
        if let Some(t) = self.ticket.open_trip() {
            not_before(at, t.started_at, "the trip would end before it began")?;
            let travel = Seconds::between(t.started_at, at);
            events.push(
                TravelAbortedV1 {
                    trip_id: t.trip_id,
                    technician: t.technician.clone(),
                    reason: reason.clone(),
                    note: None,
                    travel,
                }
                .into(),
            );
        }
        Ok(events)
    }
}
