//! The business of after-service: which ticket and which maintenance plan may do what, and what then
//! happens. Pure.
//!
//! A map of this crate, in reading order:
//!
//! - [`state`]: tickets, folded; [`evolve`] folds them. Plans are folded in [`plan`].
//! - [`known`]: what is known of production; [`desk`]: what spans tickets: numbers, dedupe keys, who is
//!   at work and who is expected where.
//! - [`matrix`]: which command in which state; [`rules`]: role, site, reasons; [`sla`]: the clocks.
//! - [`ticket`]: one file a command or small family; [`plan`]: maintenance plans.
//!
//! Nothing here reads a clock, makes an id or does any I/O.

pub mod desk;
pub mod evolve;
#[cfg(test)]
mod fixture;
pub mod known;
pub mod matrix;
pub mod plan;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod rule_list;
pub mod rules;
pub mod sla;
pub mod state;
pub mod ticket;

use std::sync::Arc;

pub use known::Known;
pub use state::{AfterServiceState, Ticket};

use mw_contract::decide::{Decision, DecisionContext, Domain, EventMeta};
use mw_contract::{AccountName, AggregateKind, Command, CommandType, Context, DataSubject, Event, Rejection, StreamId};

use crate::desk::Desk;
use crate::rules::Facts;

/// The business of context `after-service`: pure decisions, and the facts that they need beside their
/// aggregate.
#[derive(Debug)]
pub struct AfterService {
    desk: Desk,
    known: Arc<dyn Known>,
}

impl AfterService {
    /// In which nothing has happened yet, with what is known of production.
    pub fn new(known: Arc<dyn Known>) -> Self {
        AfterService { desk: Desk::default(), known }
    }
}

impl Domain for AfterService {
    type State = AfterServiceState;

    fn context(&self) -> Context {
        Context::AfterService
    }

    fn decide(
        &self,
        state: &AfterServiceState,
        command: &Command,
        ctx: &DecisionContext<'_>,
    ) -> Result<Decision, Rejection> {
        let facts = Facts { desk: &self.desk, known: &*self.known };
        match command.command_type().aggregate() {
            AggregateKind::Ticket => ticket::decide(&facts, state, command, ctx),
            AggregateKind::MaintenancePlan => plan::decide(&facts, state, command, ctx),
            _ => Err(foreign(command.command_type())),
        }
    }

    fn evolve(state: &mut AfterServiceState, stream: &StreamId, event: &Event, meta: &EventMeta) {
        evolve::evolve(state, stream, event, meta);
    }

    fn observe(&mut self, stream: &StreamId, event: &Event, meta: &EventMeta) {
        self.desk.learn(stream, event, meta);
    }

    // The ticket's customer, else the author.
    fn data_subject(
        &self,
        state: &AfterServiceState,
        stream: &StreamId,
        events: &[(StreamId, Event)],
        author: &AccountName,
    ) -> DataSubject {
        let opened = events.iter().find_map(|(s, e)| match e {
            Event::TicketOpened(o) if s == stream => o.customer_id.clone(),
            _ => None,
        });
        let customer = opened.or_else(|| state.ticket()?.customer_id.clone());
        customer.map_or_else(|| DataSubject::Account(author.clone()), DataSubject::Customer)
    }

    fn needs_existing(&self, command: &Command) -> bool {
        !matches!(command, Command::TicketOpen(_) | Command::MaintenancePlanCreate(_))
    }
}

/// A command that another context decides.
pub(crate) fn foreign(command: CommandType) -> Rejection {
    Rejection::invalid("type", format!("{command} is not a command of after-service"))
}
