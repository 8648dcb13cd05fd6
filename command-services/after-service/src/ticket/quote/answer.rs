//! TK-11 `ticket.approve-quote`, TK-12 `ticket.reject-quote` and the quote that nobody answered in time.
//!
//! Each sends the ticket back to where it was. After a refusal or an expiry chargeable work stays
//! blocked (T2): the way on is another quote, a resolution without repair, or the end of the ticket.

use mw_contract::command::ticket::{ApproveQuote, ExpireQuote, RejectQuote};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::parts::FileRefV1;
use mw_contract::event::ticket::{QuoteApprovedV1, QuoteExpiredV1, QuoteRejectedV1};
use mw_contract::event::ticket_parts::EvidenceV1;
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, EntityId, Rejection, Sealed, Text, TicketState};

use crate::rules::{Case, Facts, all_valid, check_file};
use crate::state::{AfterServiceState, Quote, QuoteAnswer};

use super::resumed;

/// Decides TK-11.
pub fn approve(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &ApproveQuote,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let found = Case::find(facts, state, ctx)?;
    let role = found.authorise(false)?;
    let on_behalf = !found.by_customer(role);
    let evidence = evidence(on_behalf, p.evidence.as_ref(), p.evidence_file.as_ref())?;
    let mut errors = Vec::new();
    if let Some(f) = &p.signature {
        check_file(&mut errors, "payload.signature", f);
    }
    all_valid(errors)?;
    let case = Case::open(facts, state, CommandType::TicketApproveQuote, ctx)?;
    let quote = current(&case, p.quote_id, Some(p.revision), "TK-11.R1")?;
    if is_over(&case, quote) {
        let message = format!("the quote was valid until {}: submit another one", quote.valid_until);
        return Err(Rejection::guard("TK-11.R1", message).with("valid_until", quote.valid_until.to_string()));
    }
    let approved = QuoteApprovedV1 {
        quote_id: quote.quote_id,
        revision: quote.revision,
        on_behalf,
        purchase_order_ref: p.purchase_order_ref.clone(),
        signature: p.signature.clone(),
        evidence,
        to_state: back(&case),
    };
    Ok(case.decided(role, vec![approved.into()]))
}

/// Decides TK-12. A quote that is over by its day, but not yet recorded as such, may still be rejected.
pub fn reject(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &RejectQuote,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let found = Case::find(facts, state, ctx)?;
    let role = found.authorise(false)?;
    let on_behalf = !found.by_customer(role);
    let evidence = evidence(on_behalf, p.evidence.as_ref(), p.evidence_file.as_ref())?;
    let (reason, _) = facts.need_reason(catalogues::QUOTE, p.reason.as_ref(), p.note.as_ref())?;
    let case = Case::open(facts, state, CommandType::TicketRejectQuote, ctx)?;
    let quote = current(&case, p.quote_id, None, "TK-12")?;
    let rejected = QuoteRejectedV1 {
        quote_id: quote.quote_id,
        revision: quote.revision,
        on_behalf,
        reason,
        note: p.note.as_ref().map(Sealed::plain),
        wish: p.wish,
        evidence,
        to_state: back(&case),
    };
    Ok(case.decided(role, vec![rejected.into()]))
}

/// Decides that a quote is over: its last day has passed at the site.
pub fn expire(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &ExpireQuote,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketExpireQuote, ctx)?;
    let quote = current(&case, p.quote_id, Some(p.revision), "TK-12")?;
    if !is_over(&case, quote) {
        let message = format!("the quote is valid until {}: it can still be answered", quote.valid_until);
        return Err(Rejection::guard("TK-12", message).with("valid_until", quote.valid_until.to_string()));
    }
    let expired = QuoteExpiredV1 { quote_id: quote.quote_id, revision: quote.revision, to_state: back(&case) };
    Ok(case.decided(role, vec![expired.into()]))
}

/// The quote that is with the customer, when it is the one that is meant.
fn current<'a>(
    case: &Case<'a>,
    id: EntityId,
    revision: Option<u16>,
    rule: &'static str,
) -> Result<&'a Quote, Rejection> {
    let quotes = &case.ticket.quotes;
    if !quotes.iter().any(|q| q.quote_id == id) {
        let message = format!("the ticket has no quote {id}");
        return Err(Rejection::not_found(message).at("payload.quote_id"));
    }
    let Some(last) = quotes.last().filter(|q| q.answer == QuoteAnswer::Open) else {
        return Err(Rejection::guard(rule, "no quote waits for an answer: this one was answered already"));
    };
    if last.quote_id != id || revision.is_some_and(|r| r != last.revision) {
        let message = format!("the quote that counts is {}, revision {}", last.quote_id, last.revision);
        return Err(Rejection::guard(rule, message)
            .with("quote_id", last.quote_id.to_string())
            .with("revision", last.revision));
    }
    Ok(last)
}

/// Has the last day passed on which it can be approved?
fn is_over(case: &Case<'_>, quote: &Quote) -> bool {
    quote.valid_until < case.ctx.occurred_at.date_in(&case.facts.time_zone(case.ctx))
}

/// The state that the ticket goes back to.
fn back(case: &Case<'_>) -> TicketState {
    resumed(case.ticket, case.ticket.approval_resume.unwrap_or(TicketState::Triaged), case.ctx.occurred_at)
}

/// How those who answer for a customer know what it wants: in words or as a file.
fn evidence(
    on_behalf: bool,
    text: Option<&Text<2000>>,
    file: Option<&FileRefV1>,
) -> Result<Option<EvidenceV1>, Rejection> {
    if text.is_none() && file.is_none() {
        let need = "is needed on behalf of a customer: say how you know, or give evidence_file";
        return if on_behalf { Err(Rejection::invalid("payload.evidence", need)) } else { Ok(None) };
    }
    let mut errors = Vec::new();
    if let Some(f) = file {
        check_file(&mut errors, "payload.evidence_file", f);
    }
    all_valid(errors)?;
    Ok(Some(EvidenceV1 { text: text.map(Sealed::plain), file: file.cloned() }))
}
