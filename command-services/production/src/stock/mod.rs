//! Stock: what is on hand and for whom it is kept (ST-01 to ST-06).
//!
//! - [`state`]: one item at one place, folded.
//! - [`moves`]: received, issued, returned, counted. [`reserve`]: kept for somebody, and free again.
//!
//! The invariant of it all is 0 <= reserved <= on hand: what is kept for one order is never
//! promised to another, because one item at one place is one aggregate.

pub mod moves;
pub mod reserve;
pub mod state;

pub use state::StockItem;

use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{AggregateKind, Command, ErrorCode, Event, Qty, Rejection, Role, SiteId, StreamId, Text};

use crate::facts::Production;
use crate::rules::too_large;
use crate::state::ProductionState;

/// Decides a command on stock.
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
        Command::StockReceive(p) => moves::receive(state, p, ctx),
        Command::StockReserve(p) => reserve::reserve(state, p, ctx),
        Command::StockReleaseReservation(p) => reserve::release(state, p, ctx),
        Command::StockIssue(p) => moves::issue(facts, state, p, ctx),
        Command::StockReturn(p) => moves::take_back(facts, state, p, ctx),
        Command::StockAdjust(p) => moves::adjust(facts, state, p, ctx),
        other => Err(crate::foreign(other)),
    }
}

/// The item, where the topic's site has it. Stock belongs to the site where it first came in.
fn item<'a>(state: &'a ProductionState, ctx: &DecisionContext<'_>) -> Result<Option<&'a StockItem>, Rejection> {
    match state.stock() {
        Some(s) if Some(&s.site_id) == ctx.site => Ok(Some(s)),
        Some(_) => Err(Rejection::not_found("this stock belongs to another site")),
        None => Ok(None),
    }
}

/// The site that stock begins at.
fn site(ctx: &DecisionContext<'_>) -> Result<SiteId, Rejection> {
    ctx.site.cloned().ok_or_else(|| Rejection::forbidden("stock is at a site: send it to the topic of one"))
}

/// A quantity that something is done with: above zero, and in range with what is there.
fn moved(qty: Qty, on_hand: Qty) -> Result<(), Rejection> {
    if qty.is_zero() {
        return Err(Rejection::invalid("payload.qty", "must be more than 0"));
    }
    if too_large(qty) || too_large(qty + on_hand) {
        return Err(Rejection::invalid("payload.qty", "is more than stock can hold"));
    }
    Ok(())
}

/// Serials, where they are given: as many as pieces, and none twice.
fn one_serial_a_piece(serials: &[Text<60>], qty: Qty, field: &str) -> Result<(), Rejection> {
    let distinct: std::collections::BTreeSet<&Text<60>> = serials.iter().collect();
    if distinct.len() != serials.len() {
        return Err(Rejection::invalid(field, "names a serial number twice"));
    }
    if !serials.is_empty() && Qty::whole(u32::try_from(serials.len()).unwrap_or(u32::MAX)) != qty {
        let message = format!("has {} serial numbers for {qty} pieces: name each piece", serials.len());
        return Err(Rejection::invalid(field, message));
    }
    Ok(())
}

/// There is less than is asked for.
fn insufficient(asked: Qty, available: Qty) -> Rejection {
    let message = format!("{asked} are asked for and {available} are free: ask for less, or wait for more");
    Rejection::new(ErrorCode::InsufficientStock, message)
        .at("payload.qty")
        .with("available", available.to_string())
        .with("asked", asked.to_string())
}

fn decided(ctx: &DecisionContext<'_>, role: Role, event: impl Into<Event>) -> Decision {
    all_decided(ctx, role, [event])
}

fn all_decided(ctx: &DecisionContext<'_>, role: Role, events: impl IntoIterator<Item = impl Into<Event>>) -> Decision {
    Decision::on(StreamId::new(AggregateKind::Stock, ctx.aggregate_id), role, events.into_iter().map(Into::into))
}
