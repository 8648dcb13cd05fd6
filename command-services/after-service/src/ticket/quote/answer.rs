//! TK-11 `ticket.approve-quote`, TK-12 `ticket.reject-quote` and the quote that nobody answered in time.
//!
//! Each sends the ticket back to where it was. After a refusal or an expiry chargeable work stays
//! blocked (T2): the way on is another quote, a resolution without repair, or the end of the ticket.

use mw_contract::command::ticket::{ApproveQuote, Evidence, ExpireQuote, RejectQuote};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::parts::FileRefV1;
use mw_contract::event::ticket::{QuoteApprovedV1, QuoteExpiredV1, QuoteRejectedV1};
use mw_contract::event::ticket_parts::EvidenceV1;
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, EntityId, Rejection, Sealed, TicketState};

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
    let evidence = told(on_behalf, p.evidence.as_ref(), p.evidence_file.as_ref())?;
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
    let evidence = told(on_behalf, p.evidence.as_ref(), p.evidence_file.as_ref())?;
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
fn told(
    on_behalf: bool,
    evidence: Option<&Evidence>,
    file: Option<&FileRefV1>,
) -> Result<Option<EvidenceV1>, Rejection> {
    let text = evidence.and_then(Evidence::words);
    let file = file.or(evidence.and_then(Evidence::file));
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

#[cfg(test)]
mod tests {
    use crate::fixture::*;
    use mw_contract::decide::{Actor, Decision};
    use mw_contract::{AggregateId, Commercial, EntityId, ErrorCode, Rejection, Role, TicketState};
    use serde_json::{Value, json};

    fn quoted(w: &mut World) -> (AggregateId, EntityId) {
        let id = w.in_state(TicketState::AwaitingApproval);
        (id, w.ticket(id).quote().unwrap().quote_id)
    }

    fn file(sha256: &str) -> Value {
        json!({"uri": "https://files.example/1", "sha256": sha256, "media_type": "image/png", "bytes": 10})
    }

    fn approve(w: &mut World, who: &Actor, id: AggregateId, q: EntityId, more: Value) -> Result<Decision, Rejection> {
        let mut p = json!({"quote_id": q, "revision": 1});
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        w.run(who, "ticket.approve-quote", id, p)
    }

    #[test]
    fn tk_11_the_customer_pays() {
        let mut w = World::new();
        let (id, q) = quoted(&mut w);
        let signed = json!({"purchase_order_ref": "PO-7", "signature": file(&"a".repeat(64))});
        let d = approve(&mut w, &customer(), id, q, signed).unwrap();
        assert_eq!((names(&d), d.role), (vec!["QuoteApproved"], Role::Customer));
        let x = data(&d, 0);
        assert_eq!((&x["on_behalf"], &x["evidence"], &x["to_state"]), (&json!(false), &Value::Null, &json!("triaged")));
        assert_eq!((&x["purchase_order_ref"], &x["revision"]), (&json!("PO-7"), &json!(1)));
        assert_eq!((w.ticket(id).state, w.ticket(id).commercial), (TicketState::Triaged, Commercial::Approved));
    }

    #[test]
    fn tk_11_on_behalf_of_a_customer_only_with_evidence() {
        let mut w = World::new();
        let (id, q) = quoted(&mut w);
        let refused = approve(&mut w, &dispatcher(), id, q, json!({})).unwrap_err();
        assert_eq!((refused.code, refused.field.as_deref()), (ErrorCode::Validation, Some("payload.evidence")));
        let bad = approve(&mut w, &dispatcher(), id, q, json!({"evidence_file": file("abc")})).unwrap_err();
        assert_eq!(bad.field.as_deref(), Some("payload.evidence_file.sha256"));
        let bad = approve(&mut w, &customer(), id, q, json!({"signature": file("abc")})).unwrap_err();
        assert_eq!(bad.field.as_deref(), Some("payload.signature.sha256"));
        let d = approve(&mut w, &dispatcher(), id, q, json!({"evidence": "letter of 2 March"})).unwrap();
        assert_eq!((&data(&d, 0)["on_behalf"], d.role), (&json!(true), Role::Dispatcher));
        assert_eq!(data(&d, 0)["evidence"]["text"], json!("letter of 2 March"));
        for name in ["evidence", "evidence_file"] {
            let (id, q) = quoted(&mut w);
            let d = approve(&mut w, &dispatcher(), id, q, json!({name: file(&"0".repeat(64))})).unwrap();
            assert_eq!(data(&d, 0)["evidence"]["file"]["bytes"], json!(10), "{name}");
        }
        let (id, q) = quoted(&mut w);
        let d = approve(&mut w, &dispatcher(), id, q, json!({"evidence_file": file(&"0".repeat(64))})).unwrap();
        assert_eq!(data(&d, 0)["evidence"]["file"]["bytes"], json!(10));
    }

    #[test]
    fn tk_11_another_customer_does_not_see_it() {
        let mut w = World::new();
        let (id, q) = quoted(&mut w);
        let other = customer_of("customer-2", "globex");
        assert_eq!(code(approve(&mut w, &other, id, q, json!({}))), ErrorCode::NotFound);
        let reject = json!({"quote_id": q, "reason": "no", "wish": "scrap"});
        assert_eq!(code(w.ask(&other, "ticket.reject-quote", id, reject)), ErrorCode::NotFound);
    }

    #[test]
    fn tk_11_r1_the_quote_is_the_current_one() {
        let mut w = World::new();
        let (id, q) = quoted(&mut w);
        let unknown = EntityId(uuid::Uuid::from_u128(9));
        assert_eq!(code(approve(&mut w, &customer(), id, unknown, json!({}))), ErrorCode::NotFound);
        assert_eq!(rule(approve(&mut w, &customer(), id, q, json!({"revision": 2}))), "TK-11.R1");
        // A second one takes its place.
        let second = w.quoted(id);
        let refused = approve(&mut w, &customer(), id, q, json!({}));
        assert_eq!(detail(refused.clone(), "quote_id"), json!(second));
        assert_eq!(rule(refused), "TK-11.R1");
        approve(&mut w, &customer(), id, second, json!({})).unwrap();
        let (id, q) = quoted(&mut w);
        approve(&mut w, &customer(), id, q, json!({})).unwrap();
        assert_eq!(code(approve(&mut w, &customer(), id, q, json!({}))), ErrorCode::InvalidState);
    }

    #[test]
    fn tk_11_r1_the_quote_has_not_expired() {
        let mut w = World::new();
        let (id, q) = quoted(&mut w);
        let last: mw_contract::Instant = "2026-04-01T21:59:59.999Z".parse().unwrap();
        w.now = last.plus_millis(1);
        let refused = approve(&mut w, &customer(), id, q, json!({}));
        assert_eq!(detail(refused.clone(), "valid_until"), json!("2026-04-01"));
        assert_eq!(rule(refused), "TK-11.R1");
        // What was said in time counts, whenever it is recorded.
        let yes = json!({"quote_id": q, "revision": 1, "evidence": "said on the telephone"});
        w.run_at(last, &dispatcher(), "ticket.approve-quote", id, yes).unwrap();
    }

    #[test]
    fn tk_12_the_customer_does_not() {
        let mut w = World::new();
        let (id, q) = quoted(&mut w);
        let reject = |w: &mut World, who: &Actor, more: Value| {
            let mut p = json!({"quote_id": q, "reason": "too_expensive", "wish": "return_unrepaired"});
            p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            w.run(who, "ticket.reject-quote", id, p)
        };
        assert_eq!(code(reject(&mut w, &customer(), json!({"reason": null}))), ErrorCode::ReasonRequired);
        assert_eq!(code(reject(&mut w, &dispatcher(), json!({}))), ErrorCode::Validation);
        assert_eq!(code(reject(&mut w, &customer(), json!({"quote_id": e(9)}))), ErrorCode::NotFound);
        w.plant.put(mw_contract::ReferenceKind::Catalogue, "quote_reasons", json!({"entries": [{"code": "price"}]}));
        assert_eq!(code(reject(&mut w, &customer(), json!({}))), ErrorCode::ReasonUnknown);
        let d = reject(&mut w, &customer(), json!({"reason": "price", "note": "twice as much as last time"})).unwrap();
        let x = data(&d, 0);
        assert_eq!((&x["wish"], &x["revision"]), (&json!("return_unrepaired"), &json!(1)));
        assert_eq!((&x["to_state"], &x["on_behalf"]), (&json!("triaged"), &json!(false)));
        assert_eq!((w.ticket(id).state, w.ticket(id).commercial), (TicketState::Triaged, Commercial::Rejected));
        let (id, q) = quoted(&mut w);
        let told = json!({"quote_id": q, "reason": "price", "wish": "scrap", "evidence": "e-mail"});
        let d = w.dispatcher("ticket.reject-quote", id, told).unwrap();
        assert_eq!((&data(&d, 0)["on_behalf"], &data(&d, 0)["evidence"]["text"]), (&json!(true), &json!("e-mail")));
    }

    #[test]
    fn tk_12_a_quote_expires_after_its_last_day() {
        let mut w = World::new();
        let (id, q) = quoted(&mut w);
        let expire = |w: &mut World, revision: u16| {
            w.run(&system(), "ticket.expire-quote", id, json!({"quote_id": q, "revision": revision}))
        };
        w.now = "2026-04-01T21:59:59.999Z".parse().unwrap();
        assert_eq!(rule(expire(&mut w, 1)), "TK-12");
        w.later(1);
        assert_eq!(rule(expire(&mut w, 2)), "TK-12");
        let d = expire(&mut w, 1).unwrap();
        assert_eq!((names(&d), &data(&d, 0)["to_state"]), (vec!["QuoteExpired"], &json!("triaged")));
        assert_eq!(w.ticket(id).commercial, Commercial::Expired);
        assert_eq!(code(expire(&mut w, 1)), ErrorCode::InvalidState);
    }

    #[test]
    fn tk_11_the_ticket_goes_back_to_where_it_was() {
        for (state, back) in [
            (TicketState::Triaged, TicketState::Triaged),
            (TicketState::Assigned, TicketState::Assigned),
            (TicketState::InProgress, TicketState::InProgress),
        ] {
            let mut w = World::new();
            let id = w.in_state(state);
            let q = w.quoted(id);
            approve(&mut w, &customer(), id, q, json!({})).unwrap();
            assert_eq!(w.ticket(id).state, back);
        }
    }

    #[test]
    fn tk_11_a_scheduled_ticket_stays_so_until_the_window_has_passed() {
        for (wait, back) in [(3 * HOUR - 1, TicketState::Scheduled), (3 * HOUR, TicketState::Assigned)] {
            let mut w = World::new();
            // Its window ends in three hours.
            let id = w.in_state(TicketState::Scheduled);
            let q = w.quoted(id);
            w.later(wait);
            approve(&mut w, &customer(), id, q, json!({})).unwrap();
            assert_eq!(w.ticket(id).state, back);
        }
    }
}
