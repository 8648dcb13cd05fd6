//! TK-41 `ticket.confirm` and TK-42 `ticket.close`: the case is over, and this is what it took.

use mw_contract::command::ticket::{CloseTicket, ConfirmResolution, Evidence};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::{ResolutionConfirmedV1, TicketClosedV1};
use mw_contract::event::ticket_parts::{EvidenceV1, PartUseV1, TicketTotalsV1};
use mw_contract::{
    CloseReason, CommandType, Commercial, Coverage, Instant, LogActivity, Money, Qty, Rejection, Role, Sealed, Seconds,
    Text, Verification,
};

use crate::rules::{Case, Facts, all_valid, check_file, not_before};
use crate::state::{AfterServiceState, Ticket};

/// Decides TK-41. A dispatcher acts for the customer and says how it agreed.
pub fn confirm(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &ConfirmResolution,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketConfirm, ctx)?;
    let on_behalf = !case.by_customer(role);
    let mut errors = Vec::new();
    let words = p.evidence.as_ref().and_then(Evidence::words);
    let file = p.evidence_file.as_ref().or(p.evidence.as_ref().and_then(Evidence::file));
    if let Some(f) = file {
        check_file(&mut errors, "payload.evidence_file", f);
    }
    all_valid(errors)?;
    if on_behalf && words.is_none() && file.is_none() {
        return Err(Rejection::invalid("payload.evidence", "is needed: say how the customer agreed, or give a file"));
    }
    tested(&case, "TK-41.R1")?;
    let evidence =
        (words.is_some() || file.is_some()).then(|| EvidenceV1 { text: words.map(Sealed::plain), file: file.cloned() });
    let confirmed = ResolutionConfirmedV1 { on_behalf, evidence };
    let closed = closed(&case, CloseReason::Confirmed, None)?;
    Ok(case.decided(role, vec![confirmed.into(), closed.into()]))
}

/// Decides TK-42. Only time closes a ticket by itself.
pub fn close(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &CloseTicket,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketClose, ctx)?;
    match p.reason {
        CloseReason::Confirmed => {
            let message = "is for ticket.confirm: a ticket is closed as auto, no_answer or manual";
            return Err(Rejection::invalid("payload.reason", message));
        }
        CloseReason::Auto if role != Role::System => {
            return Err(Rejection::invalid("payload.reason", "is for the system: say no_answer or manual"));
        }
        _ => {}
    }
    tested(&case, "TK-42")?;
    let closed = closed(&case, p.reason, p.note.as_ref())?;
    Ok(case.decided(role, vec![closed.into()]))
}

/// TK-41.R1: a repair that somebody has to test is not over before.
fn tested(case: &Case<'_>, rule: &'static str) -> Result<(), Rejection> {
    if case.ticket.verification == Verification::Pending {
        return Err(Rejection::guard(rule, "the repair has to be verified first"));
    }
    Ok(())
}

fn closed(case: &Case<'_>, reason: CloseReason, note: Option<&Text<2000>>) -> Result<TicketClosedV1, Rejection> {
    if let Some(r) = &case.ticket.resolution {
        not_before(case.ctx.occurred_at, r.at, "it would be closed before it was resolved")?;
    }
    Ok(TicketClosedV1 {
        reason,
        note: note.map(Sealed::plain),
        totals: totals(case.ticket, case.ctx.occurred_at),
        first_time_fix: first_time_fix(case.ticket),
    })
}

/// What all cycles together took: labour from sessions and logs, travel, parts by who pays.
fn totals(ticket: &Ticket, now: Instant) -> TicketTotalsV1 {
    let worked = ticket.sessions.iter().map(|s| Seconds::between(s.started_at, s.ended_at.unwrap_or(now)).0);
    let worked: u64 = worked.sum();
    let logged = |keep: &dyn Fn(LogActivity, bool) -> bool| -> u64 {
        let logs = ticket.logs.values().map(|l| &l.log).filter(|l| keep(l.activity, l.chargeable));
        logs.map(|l| Seconds::between(l.start, l.end).0).sum()
    };
    let charged_logs = logged(&|a, chargeable| a != LogActivity::Travel && chargeable);
    let covered_logs = logged(&|a, chargeable| a != LogActivity::Travel && !chargeable);
    let trips = ticket.trips.iter().map(|t| Seconds::between(t.started_at, t.ended_at.unwrap_or(now)).0);
    let travel: u64 = trips.sum::<u64>() + logged(&|a, _| a == LogActivity::Travel);
    let covered = covered_share(ticket, worked);
    let cost = |keep: &dyn Fn(Coverage) -> bool| {
        Ticket::sums(ticket.parts.consumed.iter().filter(|c| keep(c.coverage)).filter_map(cost))
    };
    TicketTotalsV1 {
        labour: Seconds(worked + charged_logs + covered_logs),
        travel: Seconds(travel),
        covered_labour: Seconds(covered + covered_logs),
        charged_labour: Seconds(worked - covered + charged_logs),
        parts_cost: cost(&|_| true),
        covered_parts: cost(&|c| c != Coverage::Chargeable),
        charged_parts: cost(&|c| c == Coverage::Chargeable),
    }
}

/// How much of the time in sessions the customer does not pay: what warranty, contract or goodwill bear,
/// and all of it where the customer never agreed to pay.
fn covered_share(ticket: &Ticket, worked: u64) -> u64 {
    if ticket.warranty.status.covers() {
        let all = Qty::whole(u32::try_from(worked).unwrap_or(u32::MAX));
        let part = all.percent(ticket.warranty.coverage_pct).decimal().trunc().mantissa();
        return u64::try_from(part).unwrap_or(worked).min(worked);
    }
    if ticket.commercial == Commercial::Approved { 0 } else { worked }
}

fn cost(part: &PartUseV1) -> Option<Money> {
    part.unit_cost?.times(part.qty)
}

/// K-24, as far as this ticket tells: one visit at most, and it never came back.
fn first_time_fix(ticket: &Ticket) -> bool {
    let visits = ticket.visits.iter().filter(|v| v.done).count();
    let arrivals = ticket.trips.iter().filter(|t| t.arrived).count();
    ticket.cycle == 1 && visits.max(arrivals) <= 1
}

#[cfg(test)]
mod tests {
    use crate::fixture::{
        HOUR, World, code, customer, customer_of, data, dispatcher, e, names, rule, system, technician,
    };
    use mw_contract::event::ticket::{
        PartsConsumedV1, TechnicianArrivedV1, TicketReopenedV1, TravelStartedV1, WarrantyOverriddenV1, WorkLoggedV1,
    };
    use mw_contract::event::ticket_parts::{PartUseV1, WorkLogV1};
    use mw_contract::{
        AggregateId, Commercial, Coverage, ErrorCode, LogActivity, PartSource, Role, Seconds, ServiceMode, TicketState,
        WarrantyStatus, WorkActivity,
    };
    use serde_json::{Value, json};

    #[test]
    fn tk_41_the_customer_confirms_or_a_dispatcher_who_says_how_it_did() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Resolved);
        assert_eq!(
            code(w.run(&customer_of("customer-9", "other"), "ticket.confirm", id, json!({}))),
            ErrorCode::NotFound
        );
        let r = w.dispatcher("ticket.confirm", id, json!({})).unwrap_err();
        assert_eq!((r.code, r.field.as_deref()), (ErrorCode::Validation, Some("payload.evidence")));
        let file = json!({"uri": "https://files/1", "sha256": "x", "media_type": "image/png", "bytes": 100});
        assert_eq!(code(w.dispatcher("ticket.confirm", id, json!({"evidence_file": file}))), ErrorCode::Validation);
        let d = w.ask(&dispatcher(), "ticket.confirm", id, json!({"evidence": "mail of today"})).unwrap();
        assert_eq!(
            (&data(&d, 0)["on_behalf"], &data(&d, 0)["evidence"]["text"]),
            (&json!(true), &json!("mail of today"))
        );
        assert_eq!(rule(w.run_at(w.now.plus_millis(-1), &customer(), "ticket.confirm", id, json!({}))), "G3");
        let d = w.run(&customer(), "ticket.confirm", id, json!({})).unwrap();
        assert_eq!((names(&d), d.role), (vec!["ResolutionConfirmed", "TicketClosed"], Role::Customer));
        assert_eq!((&data(&d, 0)["on_behalf"], &data(&d, 0)["evidence"]), (&json!(false), &Value::Null));
        assert_eq!(data(&d, 1)["reason"], "confirmed");
        assert_eq!(w.ticket(id).state, TicketState::Closed);
    }

    #[test]
    fn tk_41_r1_what_has_to_be_tested_is_tested_first() {
        let mut w = World::new();
        w.settings(json!({"verify_repairs": true}));
        let id = w.in_state(TicketState::InProgress);
        let done = json!({"resolution_code": "repaired", "text": "x", "cause": "wear", "remedy": "replaced"});
        w.run(&technician(), "ticket.resolve", id, done).unwrap();
        assert_eq!(rule(w.run(&customer(), "ticket.confirm", id, json!({}))), "TK-41.R1");
        assert_eq!(rule(w.dispatcher("ticket.close", id, json!({"reason": "manual"}))), "TK-42");
        w.dispatcher("ticket.verify", id, json!({"verdict": "pass"})).unwrap();
        w.run(&customer(), "ticket.confirm", id, json!({})).unwrap();
    }

    #[test]
    fn tk_42_a_dispatcher_closes_for_a_reason_and_only_the_system_by_itself() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Resolved);
        for wrong in ["auto", "confirmed"] {
            let r = w.dispatcher("ticket.close", id, json!({"reason": wrong})).unwrap_err();
            assert_eq!((r.code, r.field.as_deref()), (ErrorCode::Validation, Some("payload.reason")), "{wrong}");
        }
        for good in ["no_answer", "manual"] {
            w.ask(&dispatcher(), "ticket.close", id, json!({"reason": good, "note": "called twice"})).unwrap();
        }
        let d = w.run(&system(), "ticket.close", id, json!({"reason": "auto"})).unwrap();
        assert_eq!((names(&d), d.role), (vec!["TicketClosed"], Role::System));
        assert_eq!(code(w.dispatcher("ticket.close", id, json!({"reason": "manual"}))), ErrorCode::InvalidState);
    }

    fn set(w: &mut World, id: AggregateId, new: WarrantyStatus, pct: &str, commercial: Commercial) {
        let overridden = WarrantyOverriddenV1 {
            old: WarrantyStatus::Unchecked,
            new,
            reason: "x".parse().unwrap(),
            note: None,
            coverage_pct: pct.parse().unwrap(),
            approver: None,
            commercial,
        };
        w.given(id, overridden);
    }

    fn logged(w: &mut World, id: AggregateId, n: u128, activity: LogActivity, minutes: i64, chargeable: bool) {
        let end = w.now;
        let start = end.plus_millis(-minutes * 60_000);
        let log = WorkLogV1 { activity, start, end, chargeable };
        let logged = WorkLoggedV1 {
            log_id: e(n).parse().unwrap(),
            technician: "technician-1".parse().unwrap(),
            log,
            duration: Seconds::between(start, end),
            text: None,
        };
        w.given(id, logged);
    }

    fn part(coverage: Coverage, qty: &str, cost: Option<(&str, &str)>) -> PartUseV1 {
        let money = |(amount, currency): (&str, &str)| mw_contract::Money {
            amount: amount.parse().unwrap(),
            currency: currency.parse().unwrap(),
        };
        PartUseV1 {
            item_id: "seal".parse().unwrap(),
            qty: qty.parse().unwrap(),
            new_serial: None,
            lot: None,
            removed_serial: None,
            removed_disposition: None,
            source: PartSource::Van,
            coverage,
            unit_cost: cost.map(money),
            reservation_id: None,
            location: None,
        }
    }

    fn totals(w: &World, id: AggregateId) -> Value {
        let d = w.ask(&dispatcher(), "ticket.close", id, json!({"reason": "manual"})).unwrap();
        data(&d, 0)["totals"].clone()
    }

    #[test]
    fn tk_42_totals_are_labour_travel_and_parts_by_who_pays() {
        let mut w = World::new();
        // One hour of work in a session.
        let id = w.in_state(TicketState::InProgress);
        logged(&mut w, id, 1, LogActivity::Admin, 10, false);
        logged(&mut w, id, 2, LogActivity::Test, 20, true);
        logged(&mut w, id, 3, LogActivity::Travel, 30, true);
        let trip_id = e(4).parse().unwrap();
        let technician: mw_contract::AccountName = "technician-1".parse().unwrap();
        w.given(id, TravelStartedV1 { trip_id, visit_id: None, technician: technician.clone(), geo: None, eta: None });
        w.later(HOUR / 4);
        w.given(id, TechnicianArrivedV1 { trip_id, technician, geo: None, distance_km: None, travel: Seconds(900) });
        let lines = vec![
            part(Coverage::Warranty, "2", Some(("10.25", "EUR"))),
            part(Coverage::Goodwill, "1", Some(("4", "EUR"))),
            part(Coverage::Chargeable, "1.5", Some(("3", "EUR"))),
            part(Coverage::Chargeable, "1", Some(("7", "CHF"))),
            part(Coverage::Chargeable, "9", None),
        ];
        w.given(id, PartsConsumedV1 { consumption_id: e(5).parse().unwrap(), serial: None, product_id: None, lines });
        w.resolved(id);
        let t = totals(&w, id);
        assert_eq!((&t["labour"], &t["travel"]), (&json!(5400), &json!(2700)));
        // The customer never agreed to pay for the session.
        assert_eq!((&t["covered_labour"], &t["charged_labour"]), (&json!(4200), &json!(1200)));
        let money = |amount: &str, currency: &str| json!({"amount": amount, "currency": currency});
        assert_eq!(t["parts_cost"], json!([money("29", "EUR"), money("7", "CHF")]));
        assert_eq!(t["covered_parts"], json!([money("24.5", "EUR")]));
        assert_eq!(t["charged_parts"], json!([money("4.5", "EUR"), money("7", "CHF")]));
        for (status, pct, commercial, covered, charged) in [
            (WarrantyStatus::OutOfWarranty, "0", Commercial::Approved, 600, 4800),
            (WarrantyStatus::InWarranty, "100", Commercial::NotRequired, 4200, 1200),
            (WarrantyStatus::Goodwill, "25", Commercial::Approved, 1500, 3900),
            (WarrantyStatus::OutOfWarranty, "0", Commercial::Rejected, 4200, 1200),
        ] {
            set(&mut w, id, status, pct, commercial);
            let t = totals(&w, id);
            assert_eq!(
                (&t["covered_labour"], &t["charged_labour"]),
                (&json!(covered), &json!(charged)),
                "{status} {pct}"
            );
        }
    }

    fn fixed_first_time(w: &World, id: AggregateId) -> Value {
        let d = w.ask(&dispatcher(), "ticket.close", id, json!({"reason": "manual"})).unwrap();
        data(&d, 0)["first_time_fix"].clone()
    }

    #[test]
    fn tk_42_k_24_a_first_time_fix_has_one_visit_at_most_and_no_reopening() {
        let mut w = World::new();
        let visited = |w: &mut World, times: usize, called_off: bool| {
            let id = w.opened();
            w.triaged(id, ServiceMode::OnSite);
            w.assigned(id, "technician-1");
            for _ in 0..times {
                w.scheduled(id, w.now.plus_millis(HOUR), w.now.plus_millis(2 * HOUR));
                let s = w.working(id, WorkActivity::Repair);
                w.later(HOUR);
                w.paused(id, s);
                w.assigned(id, "technician-1");
            }
            if called_off {
                w.scheduled(id, w.now.plus_millis(HOUR), w.now.plus_millis(2 * HOUR));
            }
            w.resolved(id);
            id
        };
        for (times, called_off, first) in [(0, false, true), (1, false, true), (1, true, true), (2, false, false)] {
            let id = visited(&mut w, times, called_off);
            assert_eq!(fixed_first_time(&w, id), json!(first), "{times} {called_off}");
        }
        let id = visited(&mut w, 1, false);
        let reopened = TicketReopenedV1 {
            cycle: 2,
            reason: "quality".parse().unwrap(),
            note: None,
            same_fault: true,
            previous_lead: None,
        };
        w.given(id, reopened);
        w.resolved(id);
        assert_eq!(fixed_first_time(&w, id), json!(false));
    }
}
