//! TK-10 `ticket.submit-quote`: the customer gets a price. What the customer answers is in [`answer`].
//!
//! Sums are exact; each line is rounded half up to the digits of its currency, three times: its net
//! (quantity times price), the tax on that net, and of both together the share that the customer bears.
//! The totals add up the rounded lines, so that they agree with what is printed.

mod answer;

pub use answer::{approve, expire, reject};

use mw_contract::command::ticket::{QuoteLine, SubmitQuote};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::QuoteSubmittedV1;
use mw_contract::event::ticket_parts::{QuoteLineV1, QuoteTotalsV1};
use mw_contract::{CommandType, Currency, FieldError, Instant, Money, Percent, ReasonCode, Rejection, Sealed, TicketState};

use crate::rules::{Case, Facts, all_valid, exists};
use crate::state::{AfterServiceState, QuoteAnswer, Ticket};

/// The most lines of a quote.
const MOST_LINES: usize = 100;

/// Decides TK-10. Whoever is at work stops: nothing can be paused while the customer decides.
pub fn submit(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &SubmitQuote,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(facts.settings(ctx).technician_quotes)?;
    all_valid(shape(p))?;
    let case = Case::open(facts, state, CommandType::TicketSubmitQuote, ctx)?;
    let ticket = case.ticket;
    if ticket.quotes.iter().any(|q| q.quote_id == p.quote_id) {
        return Err(exists(format!("quote {} exists already", p.quote_id)).at("payload.quote_id"));
    }
    let currency = one_currency(&p.lines)?;
    let today = ctx.occurred_at.date_in(&facts.time_zone(ctx));
    if p.valid_until < today {
        let message = format!("valid_until {} is past: the customer needs time to answer", p.valid_until);
        return Err(Rejection::guard("TK-10.R2", message).at("payload.valid_until").with("today", today.to_string()));
    }
    let (lines, totals) = priced(&p.lines, currency).ok_or_else(|| {
        Rejection::invalid("payload.lines", "come to more than an amount of money can hold: at most 18 digits")
    })?;
    let mut events = case.end_work(&stopped_for_the_customer()?)?;
    let submitted = QuoteSubmittedV1 {
        quote_id: p.quote_id,
        revision: u16::try_from(ticket.quotes.len()).unwrap_or(u16::MAX).saturating_add(1),
        lines,
        totals,
        valid_until: p.valid_until,
        terms: p.terms.as_ref().map(Sealed::plain),
        // R3: one quote at a time is with the customer.
        supersedes: ticket.quote().filter(|q| q.answer == QuoteAnswer::Open).map(|q| q.quote_id),
        resume_state: ticket.state,
    };
    events.push(submitted.into());
    Ok(case.decided(role, events))
}

/// The state that a ticket goes back to after it waited (2.1): the one it left, but nobody is under way
/// any more, and a visit whose time has passed is no visit to come.
pub(super) fn resumed(ticket: &Ticket, left: TicketState, at: Instant) -> TicketState {
    match left {
        TicketState::Travelling => TicketState::Assigned,
        TicketState::Scheduled if !ticket.open_visits().any(|v| v.visit.window_end > at) => TicketState::Assigned,
        other => other,
    }
}

/// Sessions that a quote ends are ended for this reason.
fn stopped_for_the_customer() -> Result<ReasonCode, Rejection> {
    ReasonCode::new("waiting_customer").map_err(|e| Rejection::invalid("payload", e.to_string()))
}

fn shape(p: &SubmitQuote) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if p.lines.is_empty() || p.lines.len() > MOST_LINES {
        errors.push(FieldError::new("payload.lines", format!("has 1 to {MOST_LINES} lines")));
    }
    for (i, line) in p.lines.iter().enumerate() {
        let field = |name: &str| format!("payload.lines[{i}].{name}");
        if line.qty.is_zero() {
            errors.push(FieldError::new(field("qty"), "must be more than 0"));
        }
        if line.uom.is_piece() && !line.qty.is_whole() {
            errors.push(FieldError::new(field("qty"), "must be whole: the line is counted in pieces"));
        }
        if line.unit_price.amount < Money::zero(line.unit_price.currency).amount {
            errors.push(FieldError::new(field("unit_price.amount"), "must not be negative: give a share in covered_pct"));
        }
    }
    errors
}

/// TK-10.R1.
fn one_currency(lines: &[QuoteLine]) -> Result<Currency, Rejection> {
    // A quote without lines was refused before.
    let Some(first) = lines.first().map(|l| l.unit_price.currency) else {
        return Err(Rejection::invalid("payload.lines", "is empty"));
    };
    match lines.iter().position(|l| l.unit_price.currency != first) {
        None => Ok(first),
        Some(i) => {
            let other = lines[i].unit_price.currency;
            let message = format!("a quote has one currency: line 1 is in {first}, line {} in {other}", i + 1);
            Err(Rejection::guard("TK-10.R1", message).at(format!("payload.lines[{i}].unit_price.currency")))
        }
    }
}

/// The lines with what they come to, and the totals; none when an amount does not fit.
fn priced(lines: &[QuoteLine], currency: Currency) -> Option<(Vec<QuoteLineV1>, QuoteTotalsV1)> {
    let nothing = Money::zero(currency);
    let mut totals = QuoteTotalsV1 { net: nothing, tax: nothing, gross: nothing, customer_share: nothing };
    let mut out = Vec::with_capacity(lines.len());
    for line in lines {
        let covered_pct = line.covered_pct.unwrap_or(Percent::ZERO);
        let net = line.unit_price.times(line.qty)?;
        let tax = net.percent(line.tax_pct)?;
        let gross = net.plus(tax)?;
        totals.net = totals.net.plus(net)?;
        totals.tax = totals.tax.plus(tax)?;
        totals.gross = totals.gross.plus(gross)?;
        totals.customer_share = totals.customer_share.plus(gross.percent(covered_pct.rest())?)?;
        out.push(QuoteLineV1 {
            kind: line.kind,
            item_id: line.item_id.clone(),
            text: line.text.clone(),
            qty: line.qty,
            uom: line.uom.clone(),
            unit_price: line.unit_price,
            tax_pct: line.tax_pct,
            covered_pct,
            net,
        });
    }
    Some((out, totals))
}
