//! The after-service system: repair tickets and maintenance plans.
//!
//! Its service runs, keeps its log and answers; the contract knows no command of this context yet,
//! so every command is refused by its shape before it would come here. What stands here is what
//! holds for any context whose business is empty.

use mw_contract::decide::{Decision, DecisionContext, Domain, EventMeta};
use mw_contract::{Command, Context, Event, Rejection, StreamId};

/// The business of context `after-service`.
#[derive(Default)]
pub struct AfterService;

impl Domain for AfterService {
    type State = ();

    fn context(&self) -> Context {
        Context::AfterService
    }

    fn decide(&self, (): &(), command: &Command, _: &DecisionContext<'_>) -> Result<Decision, Rejection> {
        Err(Rejection::invalid("type", format!("{} is no command of after-service", command.command_type())))
    }

    fn evolve((): &mut (), _: &StreamId, _: &Event, _: &EventMeta) {}

    fn observe(&mut self, _: &StreamId, _: &Event, _: &EventMeta) {}

    fn needs_existing(&self, _: &Command) -> bool {
        true
    }
}
