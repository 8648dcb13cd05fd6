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
//! - [`work_order`]: one file a command, with [`material`] and [`quality`] as the parts of its state;
//!   [`equipment`], [`unit`], [`stock`], [`inbox`]: the other aggregates;
//!   [`components`]: serial numbers of components; [`reference`](mod@reference): reference data.
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

pub mod components;
pub mod demo;
pub mod equipment;
pub mod evolve;
pub mod facts;
#[cfg(test)]
mod fixture;
pub mod inbox;
pub mod invariants;
pub mod load;
pub mod material;
pub mod matrix;
#[cfg(test)]
mod properties;
pub mod quality;
pub mod reference;
#[cfg(test)]
mod rule_list;
pub mod rules;
pub mod state;
pub mod stock;
pub mod structure;
pub mod times;
pub mod unit;
pub mod work_order;

pub use facts::{Production, SerialStatus};
pub use state::{Operation, ProductionState, Session, WorkOrder};

use mw_contract::decide::{Decision, DecisionContext, Domain, EventMeta};
use mw_contract::{AggregateId, AggregateKind, Command, Context, Event, Rejection, StreamId};

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
        match command.command_type().aggregate() {
            AggregateKind::WorkOrder => work_order::decide(self, state, command, ctx),
            AggregateKind::Equipment => equipment::decide(self, state, command, ctx),
            AggregateKind::Unit => unit::decide(self, state, command, ctx),
            AggregateKind::Stock => stock::decide(self, state, command, ctx),
            AggregateKind::Inbox => inbox::decide(self, state, command, ctx),
            AggregateKind::Reference => reference::decide(self, state, command, ctx),
            AggregateKind::Ticket | AggregateKind::MaintenancePlan | AggregateKind::Account => Err(foreign(command)),
        }
    }

    fn evolve(state: &mut ProductionState, stream: &StreamId, event: &Event, meta: &EventMeta) {
        evolve::evolve(state, stream, event, meta);
    }

    fn observe(&mut self, stream: &StreamId, event: &Event, _: &EventMeta) {
        self.learn(stream, event);
    }

    fn needs_existing(&self, command: &Command) -> bool {
        // Stock that was never there is stock of nothing, and the inbox knows no item before
        // somebody dismisses it.
        !matches!(
            command,
            Command::WorkOrderCreate(_)
                | Command::ReferencePut(_)
                | Command::EquipmentRegister(_)
                | Command::UnitRegister(_)
                | Command::StockReceive(_)
                | Command::StockReserve(_)
                | Command::StockIssue(_)
                | Command::StockReturn(_)
                | Command::StockAdjust(_)
                | Command::InboxDismiss(_)
        )
    }

    fn named(&self, command: &Command) -> Result<Option<AggregateId>, Rejection> {
        unit::named(self, command)
    }
}

/// A command that another context decides.
pub(crate) fn foreign(command: &Command) -> Rejection {
    Rejection::invalid("type", format!("{} is not a command of production", command.command_type()))
}
