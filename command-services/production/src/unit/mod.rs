//! Produced units: where they are, what they are made of, how long their warranty runs (PU-01 to PU-10).
//!
//! - [`state`]: one unit, folded. [`facts`]: which serials are units, and of which product.
//! - [`register`], [`ship`], [`warranty`], [`reading`], [`component`], [`life`],
//!   [`alarm`]: the commands.

pub mod alarm;
pub mod component;
pub mod facts;
pub mod life;
pub mod reading;
pub mod register;
pub mod ship;
pub mod state;
pub mod warranty;

pub use facts::UnitFacts;
pub use state::ProductUnit;

use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{
    AggregateId, AggregateKind, Command, CommandType, Event, ProductId, Rejection, Role, StreamId, Text, UnitStatus,
};

use crate::facts::Production;
use crate::state::ProductionState;

/// Decides a command on a unit.
///
/// # Errors
/// As the commands' own rules say; `VALIDATION` for a command of another aggregate.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    command: &Command,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    if let (Some(name), Some(unit)) = (serial_of(command), state.unit()) {
        let other_product = name.product.is_some_and(|p| *p != unit.product_id);
        if name.serial.is_some_and(|s| *s != unit.serial) || other_product {
            let message =
                format!("aggregate_id is {} of {}: give one of them, or the same", unit.serial, unit.product_id);
            return Err(Rejection::invalid("payload.serial", message));
        }
    }
    match command {
        Command::UnitRegister(p) => register::decide(state, p, ctx),
        Command::UnitShip(p) => ship::ship(facts, state, p, ctx),
        Command::UnitInstall(p) => ship::install(facts, state, p, ctx),
        Command::UnitExtendWarranty(p) => warranty::extend(facts, state, p, ctx),
        Command::UnitVoidWarranty(p) => warranty::void(facts, state, p, ctx),
        Command::UnitRecordReading(p) => reading::decide(state, p, ctx),
        Command::UnitChangeComponent(p) => component::decide(facts, state, p, ctx),
        Command::UnitTransfer(p) => life::transfer(state, p, ctx),
        Command::UnitScrap(p) => life::scrap(facts, state, p, ctx),
        Command::UnitRecall(p) => life::recall(facts, state, p, ctx),
        Command::UnitChangeStatus(p) => life::change_status(state, p, ctx),
        Command::UnitRaiseAlarm(p) => alarm::raise(state, p, ctx),
        Command::UnitClearAlarm(p) => alarm::clear(state, p, ctx),
        other => Err(crate::foreign(other)),
    }
}

/// How a command names its unit beside the aggregate id.
struct Name<'a> {
    serial: Option<&'a Text<60>>,
    product: Option<&'a ProductId>,
}

fn serial_of(command: &Command) -> Option<Name<'_>> {
    macro_rules! named {
        ($p:ident) => {
            Some(Name { serial: $p.serial.as_ref(), product: $p.product_id.as_ref() })
        };
    }
    match command {
        Command::UnitShip(p) => named!(p),
        Command::UnitInstall(p) => named!(p),
        Command::UnitExtendWarranty(p) => named!(p),
        Command::UnitVoidWarranty(p) => named!(p),
        Command::UnitRecordReading(p) => named!(p),
        Command::UnitChangeComponent(p) => named!(p),
        Command::UnitTransfer(p) => named!(p),
        Command::UnitScrap(p) => named!(p),
        Command::UnitRecall(p) => named!(p),
        Command::UnitChangeStatus(p) => named!(p),
        Command::UnitRaiseAlarm(p) => named!(p),
        Command::UnitClearAlarm(p) => named!(p),
        _ => None,
    }
}

/// The unit that a command means by its serial number.
///
/// # Errors
/// `NOT_FOUND` when there is no unit of that number; `VALIDATION` when several products have one.
pub fn named(facts: &Production, command: &Command) -> Result<Option<AggregateId>, Rejection> {
    let Some(Name { serial: Some(serial), product }) = serial_of(command) else { return Ok(None) };
    let mut products = facts.units.products_of(serial);
    if let Some(p) = product {
        products.retain(|x| *x == p);
    }
    match products.as_slice() {
        [one] => Ok(Some(mw_contract::unit_id(one, serial))),
        [] => Err(Rejection::not_found(format!("there is no unit {serial}")).at("payload.serial")),
        several => {
            let names: Vec<&str> = several.iter().map(|p| p.as_str()).collect();
            let message = format!("{serial} is a unit of {}: name the product", names.join(" and "));
            Err(Rejection::invalid("payload.product_id", message).with("products", names))
        }
    }
}

/// The unit, where the sender has to do with it: units go to customers everywhere, so they belong
/// to no site once they were made; a customer sees its own.
fn unit<'a>(state: &'a ProductionState, ctx: &DecisionContext<'_>) -> Result<&'a ProductUnit, Rejection> {
    let unit = state.unit().filter(|u| match &ctx.actor.customer_id {
        Some(customer) => u.customer_id.as_ref() == Some(customer),
        None => true,
    });
    unit.ok_or_else(|| Rejection::not_found(format!("there is no unit {}", ctx.aggregate_id)))
}

/// Is the unit in one of these states?
fn in_status(unit: &ProductUnit, command: CommandType, allowed: &[UnitStatus]) -> Result<(), Rejection> {
    if allowed.contains(&unit.status) {
        return Ok(());
    }
    let allowed: Vec<&str> = allowed.iter().map(|s| s.as_str()).collect();
    Err(Rejection::invalid_state(command.as_str(), unit.status.as_str(), &allowed))
}

fn decided(ctx: &DecisionContext<'_>, role: Role, events: Vec<Event>) -> Decision {
    Decision::on(StreamId::new(AggregateKind::Unit, ctx.aggregate_id), role, events)
}
