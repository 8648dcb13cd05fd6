//! The business of production: which work order may do what, and what then happens. Pure.
//!
//! A map of this crate, in reading order:
//!
//! - [`state`]: work orders and reference documents, folded; [`evolve`] folds them.
//! - [`facts`]: [`Production`], what spans aggregates: reference data, numbers, serials, who is at
//!   work; [`load`]: planned work of the lines.
//! - [`invariants`]: I1, I2, I4, I5, I6 as functions; [`times`]: machine time and labour.
//! - [`matrix`]: which command in which state; [`rules`]: role, site, reasons, quantities;
//!   [`structure`]: shape of routings and BOMs.
//! - [`work_order`]: one file a command; [`reference`](mod@reference): reference data.
//! - [`demo`]: the reference data of a demonstration plant.
//!
//! Nothing here reads a clock, makes an id or does any I/O.
//!
//! # What an unknown code is
//! An unknown, foreign or retired product is `GUARD_FAILED` (WO-01.R2, WO-06.R1), and such a line in a plan is
//! WO-03.R2. Every other unknown or retired thing that a command names (operation, session, cell, line of a
//! creation, BOM, routing, parent order) is `NOT_FOUND` with its field; an order of another site does not exist.
//! A customer is an opaque code. Numbered rules answer `GUARD_FAILED` with `details.rule`; general rules answer
//! their own code, and an interval that would end before it began answers `GUARD_FAILED` with rule `G3`.
//!
//! # Order of checks
//! Role and site setting, existence, state, ownership (own session, own cell, quality hold), rules by number.
//! Ownership stands behind the state because it is a property of what is found there.
//!
//! # Rules that wait for their facts
//! | Rule | Waits for |
//! |---|---|
//! | WO-02.R2, WO-07.R1, WO-18.R2, WO-19.R2 | issued and returned material |
//! | WO-12.R2, second half | skills of operators and needs of operations |
//! | WO-06.R4 | tickets that ask for a replacement |
//! | WO-28.R6 | certificates of operators |
//! | WO-33.R3 and WO-42, shipped units | shipping |
//! | WO-15.R1, WO-16.R5 | nonconformances |
//! | WO-18.R3 | corrections that are pending |
//! | WO-28.R3, second half | downtime of equipment; the cell's own maintenance flag counts now |
//! | WO-40.R4 | inspections of single units |
//!
//! Where a demanded fact cannot be recorded yet, the rule refuses: material that is not
//! backflushed is short (WO-06.R3), a demanded inspection has no result (WO-16.R4, WO-28.R7,
//! WO-32.R3), a component's serial was not issued (WO-40.R2).

pub mod demo;
pub mod evolve;
pub mod facts;
#[cfg(test)]
mod fixture;
pub mod invariants;
pub mod load;
pub mod matrix;
#[cfg(test)]
mod properties;
pub mod reference;
pub mod rules;
pub mod state;
pub mod structure;
pub mod times;
pub mod work_order;

pub use facts::{Production, SerialStatus};
pub use state::{Operation, ProductionState, Session, WorkOrder};

use mw_contract::decide::{Decision, DecisionContext, Domain, EventMeta};
use mw_contract::{Command, Context, Event, Rejection, StreamId};

use crate::work_order as wo;

impl Domain for Production {
    type State = ProductionState;

    fn context(&self) -> Context {
        Context::Production
    }

    fn decide(
        &self,
        state: &ProductionState,
        command: &Command,
        ctx: &DecisionContext<'_>,
    ) -> Result<Decision, Rejection> {
        match command {
            Command::WorkOrderCreate(p) => wo::create::decide(self, state, p, ctx),
            Command::WorkOrderAmend(p) => wo::amend::decide(self, state, p, ctx),
            Command::WorkOrderPlan(p) => wo::plan::decide(self, state, p, ctx),
            Command::WorkOrderRelease(p) => wo::release::decide(self, state, p, ctx),
            Command::WorkOrderUnplan(p) => wo::unplan::decide(self, state, p, ctx),
            Command::WorkOrderReschedule(p) => wo::reschedule::decide(self, state, p, ctx),
            Command::WorkOrderRevokeRelease(p) => wo::revoke_release::decide(self, state, p, ctx),
            Command::WorkOrderChangeQuantity(p) => wo::change_quantity::decide(self, state, p, ctx),
            Command::WorkOrderChangeDueDate(p) => wo::change::due_date(self, state, p, ctx),
            Command::WorkOrderChangePriority(p) => wo::change::priority(self, state, p, ctx),
            Command::WorkOrderAssign(p) => wo::assign::assign(self, state, p, ctx),
            Command::WorkOrderUnassign(p) => wo::assign::unassign(self, state, p, ctx),
            Command::WorkOrderShortClose(p) => wo::short_close::decide(self, state, p, ctx),
            Command::WorkOrderReopen(p) => wo::reopen::decide(self, state, p, ctx),
            Command::WorkOrderCorrectReport(p) => wo::correct_report::decide(self, state, p, ctx),
            Command::WorkOrderCorrectSession(p) => wo::correct_session::decide(self, state, p, ctx),
            Command::WorkOrderReopenOperation(p) => wo::routing::reopen(self, state, p, ctx),
            Command::WorkOrderSkipOperation(p) => wo::routing::skip(self, state, p, ctx),
            Command::WorkOrderAddOperation(p) => wo::routing::add(self, state, p, ctx),
            Command::WorkOrderAssignLot(p) => wo::lot::decide(self, state, p, ctx),
            Command::WorkOrderVoidSerial(p) => wo::void_serial::decide(self, state, p, ctx),
            Command::WorkOrderLink(p) => wo::link::decide(self, state, p, ctx),
            Command::WorkOrderHold(p) => wo::hold::hold(self, state, p, ctx),
            Command::WorkOrderResume(p) => wo::hold::resume(self, state, p, ctx),
            Command::WorkOrderComplete(p) => wo::complete::decide(self, state, p, ctx),
            Command::WorkOrderClose(p) => wo::close::decide(self, state, p, ctx),
            Command::WorkOrderCancel(p) => wo::cancel::decide(self, state, p, ctx),
            Command::WorkOrderStartOperation(p) => wo::start_operation::start(self, state, p, ctx),
            Command::WorkOrderPauseOperation(p) => wo::pause_operation::decide(self, state, p, ctx),
            Command::WorkOrderResumeOperation(p) => wo::start_operation::resume(self, state, p, ctx),
            Command::WorkOrderReportQuantity(p) => wo::report::decide(self, state, p, ctx),
            Command::WorkOrderCompleteOperation(p) => wo::complete_operation::decide(self, state, p, ctx),
            Command::WorkOrderAllocateSerials(p) => wo::serials::decide(self, state, p, ctx),
            Command::WorkOrderRegisterUnit(p) => wo::unit::decide(self, state, p, ctx),
            Command::WorkOrderAddNote(p) => wo::note::decide(self, state, p, ctx),
            Command::ReferencePut(p) => reference::put(state, p, ctx),
            Command::ReferenceRetire(p) => reference::retire(state, p, ctx),
            other => {
                let message = format!("{} is not a command of production", other.command_type());
                Err(Rejection::invalid("type", message))
            }
        }
    }

    fn evolve(state: &mut ProductionState, stream: &StreamId, event: &Event, meta: &EventMeta) {
        evolve::evolve(state, stream, event, meta);
    }

    fn observe(&mut self, stream: &StreamId, event: &Event, _: &EventMeta) {
        self.learn(stream, event);
    }

    fn needs_existing(&self, command: &Command) -> bool {
        !matches!(command, Command::WorkOrderCreate(_) | Command::ReferencePut(_))
    }
}
