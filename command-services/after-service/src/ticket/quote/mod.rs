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
use mw_contract::money::Currency;
use mw_contract::{CommandType, FieldError, Instant, Money, Percent, ReasonCode, Rejection, Sealed, TicketState};

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
            errors
                .push(FieldError::new(field("unit_price.amount"), "must not be negative: give a share in covered_pct"));
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

#[cfg(test)]
mod tests {
    use crate::fixture::*;
    use crate::state::QuoteAnswer;
    use mw_contract::decide::Decision;
    use mw_contract::event::ticket::TicketResumedV1;
    use mw_contract::{AggregateId, ErrorCode, Rejection, Seconds, TicketState, WorkActivity};
    use serde_json::{Value, json};

    fn line(qty: &str, price: &str, more: Value) -> Value {
        let mut l = json!({"kind": "labour", "text": "Repair", "qty": qty, "uom": "HUR",
            "unit_price": {"amount": price, "currency": "EUR"}, "tax_pct": 19});
        l.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        l
    }

    fn payload(more: Value) -> Value {
        let mut p =
            json!({"quote_id": e(500), "lines": [line("1.5", "92.00", json!({}))], "valid_until": "2026-03-16"});
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        p
    }

    fn submit(w: &mut World, id: AggregateId, more: Value) -> Result<Decision, Rejection> {
        w.dispatcher("ticket.submit-quote", id, payload(more))
    }

    fn wrong_fields(r: Result<Decision, Rejection>) -> Vec<String> {
        let fields = detail(r, "fields");
        fields.as_array().unwrap().iter().map(|f| f["field"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn tk_10_the_customer_has_it_now() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Triaged);
        let d = submit(&mut w, id, json!({"terms": "30 days"})).unwrap();
        assert_eq!(names(&d), ["QuoteSubmitted"]);
        let q = data(&d, 0);
        assert_eq!((&q["revision"], &q["supersedes"], &q["terms"]), (&json!(1), &Value::Null, &json!("30 days")));
        assert_eq!((&q["resume_state"], &q["valid_until"]), (&json!("triaged"), &json!("2026-03-16")));
        assert_eq!((&q["lines"][0]["covered_pct"], &q["lines"][0]["net"]["amount"]), (&json!("0"), &json!("138")));
        assert_eq!(w.ticket(id).state, TicketState::AwaitingApproval);
        assert_eq!(w.ticket(id).commercial, mw_contract::Commercial::Quoted);
        assert_eq!(code(submit(&mut w, id, json!({}))), ErrorCode::InvalidState);
    }

    #[test]
    fn tk_10_totals_add_up_lines_that_are_rounded_half_up() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        let lines = json!([
            line("1.5", "92.00", json!({})),
            line("3", "0.335", json!({"tax_pct": 7, "covered_pct": 50})),
            line("1", "0.55", json!({"covered_pct": "100"})),
            line("1", "1.00", json!({"tax_pct": 0, "covered_pct": "33.333"})),
        ]);
        let d = submit(&mut w, id, json!({"lines": lines})).unwrap();
        let q = data(&d, 0);
        let nets: Vec<&str> = (0..4).map(|i| q["lines"][i]["net"]["amount"].as_str().unwrap()).collect();
        assert_eq!(nets, ["138", "1.01", "0.55", "1"]);
        // Tax 26.22, 0.07, 0.10 and 0; gross 164.22, 1.08, 0.65 and 1; share 164.22, 0.54, 0 and 0.67.
        let total = |name: &str| q["totals"][name]["amount"].as_str().unwrap().to_owned();
        assert_eq!((total("net"), total("tax")), ("140.56".into(), "26.39".into()));
        assert_eq!((total("gross"), total("customer_share")), ("166.95".into(), "165.43".into()));
    }

    #[test]
    fn tk_10_r1_a_quote_has_one_currency() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Triaged);
        let dollars = json!({"unit_price": {"amount": "1", "currency": "USD"}});
        let lines = json!([line("1", "1", json!({})), line("1", "1", dollars)]);
        let refused = submit(&mut w, id, json!({"lines": lines})).unwrap_err();
        assert_eq!(refused.field.as_deref(), Some("payload.lines[1].unit_price.currency"));
        assert_eq!(rule(Err(refused)), "TK-10.R1");
    }

    #[test]
    fn tk_10_r2_the_customer_has_time_to_answer() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Triaged);
        assert_eq!(rule(submit(&mut w, id, json!({"valid_until": "2026-03-01"}))), "TK-10.R2");
        // At the site the next day has begun.
        w.later(15 * HOUR + 30 * MINUTE);
        assert_eq!(rule(submit(&mut w, id, json!({"valid_until": "2026-03-02"}))), "TK-10.R2");
        submit(&mut w, id, json!({"valid_until": "2026-03-03"})).unwrap();
    }

    #[test]
    fn tk_10_r3_supersedes_an_open_quote() {
        let mut w = World::new();
        let id = w.in_state(TicketState::AwaitingApproval);
        let first = w.ticket(id).quote().unwrap().quote_id;
        w.given(id, TicketResumedV1 { held_for: Seconds(0), to_state: TicketState::Triaged, note: None });
        let d = submit(&mut w, id, json!({})).unwrap();
        assert_eq!((&data(&d, 0)["revision"], &data(&d, 0)["supersedes"]), (&json!(2), &json!(first)));
        assert_eq!(w.ticket(id).quotes[0].answer, QuoteAnswer::Superseded);
        assert_eq!(w.ticket(id).quotes[1].answer, QuoteAnswer::Open);
    }

    #[test]
    fn tk_10_after_a_refusal_the_next_revision_follows() {
        let mut w = World::new();
        let id = w.in_state(TicketState::AwaitingApproval);
        let first = w.ticket(id).quote().unwrap().quote_id;
        let no = json!({"quote_id": first, "reason": "too_expensive", "wish": "revise"});
        w.run(&customer(), "ticket.reject-quote", id, no).unwrap();
        let d = submit(&mut w, id, json!({})).unwrap();
        assert_eq!((&data(&d, 0)["revision"], &data(&d, 0)["supersedes"]), (&json!(2), &Value::Null));
        let known = json!({"quote_id": first});
        let refused = w.ask(&dispatcher(), "ticket.submit-quote", id, payload(known.clone()));
        assert_eq!(code(refused), ErrorCode::InvalidState);
        let id = w.in_state(TicketState::Triaged);
        let quote = submit(&mut w, id, json!({})).unwrap();
        let again = json!({"quote_id": data(&quote, 0)["quote_id"]});
        w.given(id, TicketResumedV1 { held_for: Seconds(0), to_state: TicketState::Triaged, note: None });
        assert_eq!(code(submit(&mut w, id, again)), ErrorCode::AlreadyExists);
    }

    #[test]
    fn tk_10_lines_are_well_formed() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Triaged);
        assert_eq!(wrong_fields(submit(&mut w, id, json!({"lines": []}))), ["payload.lines"]);
        let many: Vec<Value> = (0..101).map(|_| line("1", "1", json!({}))).collect();
        assert_eq!(wrong_fields(submit(&mut w, id, json!({"lines": many}))), ["payload.lines"]);
        let lines = json!([line("0", "1", json!({})), line("1.5", "-1", json!({"uom": "H87"}))]);
        let wrong = ["payload.lines[0].qty", "payload.lines[1].qty", "payload.lines[1].unit_price.amount"];
        assert_eq!(wrong_fields(submit(&mut w, id, json!({"lines": lines}))), wrong);
        let huge = json!([line("1000000", "99999999999999999", json!({}))]);
        assert_eq!(wrong_fields(submit(&mut w, id, json!({"lines": huge}))), ["payload.lines"]);
        submit(&mut w, id, json!({"lines": many[..100]})).unwrap();
    }

    #[test]
    fn tk_10_whoever_is_at_work_stops() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        w.working(id, WorkActivity::Diagnosis);
        w.later(10 * MINUTE);
        let d = submit(&mut w, id, json!({})).unwrap();
        assert_eq!(names(&d), ["WorkPaused", "QuoteSubmitted"]);
        let paused = data(&d, 0);
        assert_eq!((&paused["reason"], &paused["duration"]), (&json!("waiting_customer"), &json!(600)));
        assert_eq!(data(&d, 1)["resume_state"], json!("in_progress"));
        assert!(w.ticket(id).open_sessions().next().is_none());
    }

    #[test]
    fn tk_10_a_technician_quotes_where_the_site_lets_it() {
        let w = &mut World::new();
        let id = w.in_state(TicketState::Assigned);
        let me = technician_if_set("technician-1");
        assert_eq!(code(w.ask(&me, "ticket.submit-quote", id, payload(json!({})))), ErrorCode::Forbidden);
        w.settings(json!({"technician_quotes": true}));
        w.ask(&me, "ticket.submit-quote", id, payload(json!({}))).unwrap();
        // Who may not is told so before anything is said of the ticket's state.
        w.settings(json!({}));
        let closed = w.in_state(TicketState::Closed);
        assert_eq!(code(w.ask(&me, "ticket.submit-quote", closed, payload(json!({})))), ErrorCode::Forbidden);
    }
}
