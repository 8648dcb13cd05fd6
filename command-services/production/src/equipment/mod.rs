//! Equipment: what a machine does, why it stands still, what it complains of (EQ-01 to EQ-10).
//!
//! - [`state`]: one machine, folded. [`facts`]: what orders need to know of machines.
//! - [`register`], [`report_state`], [`downtime`], [`alarm`], [`counter`], [`maintenance`]: the
//!   commands.

pub mod alarm;
pub mod counter;
pub mod downtime;
pub mod facts;
pub mod maintenance;
pub mod register;
pub mod report_state;
pub mod state;

pub use facts::CellFacts;
pub use state::Equipment;

use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{AggregateKind, Command, Event, Rejection, Role, StreamId};

use crate::facts::Production;
use crate::rules::Holds;
use crate::state::ProductionState;

/// Decides a command on equipment.
///
/// # Errors
/// As the commands' own rules say; `VALIDATION` for a command of another aggregate.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    command: &Command,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    match command {
        Command::EquipmentRegister(p) => register::decide(facts, state, p, ctx),
        Command::EquipmentReportState(p) => report_state::decide(state, p, ctx),
        Command::EquipmentStartDowntime(p) => downtime::start(facts, state, p, ctx),
        Command::EquipmentEndDowntime(p) => downtime::end(state, p, ctx),
        Command::EquipmentClassifyDowntime(p) => downtime::classify(facts, state, p, ctx),
        Command::EquipmentRaiseAlarm(p) => alarm::raise(state, p, ctx),
        Command::EquipmentAcknowledgeAlarm(p) => alarm::acknowledge(state, p, ctx),
        Command::EquipmentClearAlarm(p) => alarm::clear(state, p, ctx),
        Command::EquipmentRecordCounter(p) => counter::decide(state, p, ctx),
        Command::EquipmentSetMaintenanceMode(p) => maintenance::decide(facts, state, p, ctx),
        other => Err(crate::foreign(other)),
    }
}

/// The machine, where the topic's site has it.
fn machine<'a>(state: &'a ProductionState, ctx: &DecisionContext<'_>) -> Result<&'a Equipment, Rejection> {
    state
        .equipment()
        .filter(|e| ctx.site == Some(&e.site_id))
        .ok_or_else(|| Rejection::not_found(format!("there is no equipment {} at this site", ctx.aggregate_id)))
}

/// Whether the sender is the machine's own device.
fn own_cell(machine: &Equipment, ctx: &DecisionContext<'_>) -> Holds {
    Holds { own_cell: ctx.actor.cell.as_ref() == Some(&machine.cell), ..Holds::default() }
}

fn decided(ctx: &DecisionContext<'_>, role: Role, events: Vec<Event>) -> Decision {
    Decision::on(StreamId::new(AggregateKind::Equipment, ctx.aggregate_id), role, events)
}
