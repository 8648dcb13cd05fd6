//! TK-44 `ticket.rate`: what the customer thought of it.

use mw_contract::command::ticket::RateService;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::ServiceRatedV1;
use mw_contract::reply::FieldError;
use mw_contract::{CommandType, Rejection, Sealed, TicketState};

use crate::rules::{Case, Facts, all_valid};
use crate::state::AfterServiceState;

const HOUR: i64 = 3_600_000;

/// Days after closing in which a ticket can be rated.
const DAYS: i64 = 30;

/// Decides TK-44: one rating a cycle, which can be changed for 24 hours.
pub fn rate(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &RateService,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketRate, ctx)?;
    in_range(p)?;
    let ticket = case.ticket;
    let closed = ticket.ended_at.filter(|_| ticket.state == TicketState::Closed);
    if let Some(until) = closed.map(|at| at.plus_millis(DAYS * 24 * HOUR)).filter(|until| ctx.received_at > *until) {
        let message = format!("a closed ticket can be rated for {DAYS} days: this one could until {until}");
        return Err(Rejection::guard("TK-44", message).with("until", until.to_string()));
    }
    let old = ticket.ratings.get(&ticket.cycle);
    if let Some(until) = old.map(|r| r.since.plus_millis(24 * HOUR)).filter(|until| ctx.received_at > *until) {
        let message = format!("it is rated, and a rating can be changed for 24 hours: this one could until {until}");
        return Err(Rejection::guard("TK-44", message).with("until", until.to_string()));
    }
    let rated = ServiceRatedV1 {
        cycle: ticket.cycle,
        old_score: old.map(|r| r.score),
        score: p.score,
        nps: p.nps,
        effort: p.effort,
        text: p.text.as_ref().map(Sealed::plain),
    };
    Ok(case.decided(role, vec![rated.into()]))
}

fn in_range(p: &RateService) -> Result<(), Rejection> {
    let mut errors = Vec::new();
    if !(1..=5).contains(&p.score) {
        errors.push(FieldError::new("payload.score", "is 1 to 5"));
    }
    if p.nps.is_some_and(|n| n > 10) {
        errors.push(FieldError::new("payload.nps", "is 0 to 10"));
    }
    if p.effort.is_some_and(|n| !(1..=7).contains(&n)) {
        errors.push(FieldError::new("payload.effort", "is 1 to 7"));
    }
    all_valid(errors)
}

#[cfg(test)]
mod tests {
    use crate::fixture::{DAY, World, code, customer, customer_of, data, names, rule};
    use mw_contract::decide::Decision;
    use mw_contract::{AggregateId, ErrorCode, Rejection, Role, TicketState};
    use serde_json::{Value, json};

    fn rate(w: &mut World, id: AggregateId, p: Value) -> Result<Decision, Rejection> {
        w.run(&customer(), "ticket.rate", id, p)
    }

    #[test]
    fn tk_44_a_rating_is_in_its_range() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Resolved);
        for (p, field) in [
            (json!({"score": 0}), "payload.score"),
            (json!({"score": 6}), "payload.score"),
            (json!({"score": 5, "nps": 11}), "payload.nps"),
            (json!({"score": 5, "effort": 0}), "payload.effort"),
            (json!({"score": 5, "effort": 8}), "payload.effort"),
        ] {
            assert_eq!(rate(&mut w, id, p).unwrap_err().field.as_deref(), Some(field));
        }
        let d = rate(&mut w, id, json!({"score": 5, "nps": 0, "effort": 7, "text": "quick"})).unwrap();
        assert_eq!((names(&d), d.role), (vec!["ServiceRated"], Role::Customer));
        let r = data(&d, 0);
        assert_eq!(
            (&r["cycle"], &r["old_score"], &r["score"], &r["nps"]),
            (&json!(1), &json!(null), &json!(5), &json!(0))
        );
        assert_eq!(
            code(w.run(&customer_of("customer-9", "other"), "ticket.rate", id, json!({"score": 1}))),
            ErrorCode::NotFound
        );
    }

    #[test]
    fn tk_44_one_a_cycle_that_can_be_changed_for_24_hours() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Closed);
        rate(&mut w, id, json!({"score": 4})).unwrap();
        w.later(DAY);
        let d = rate(&mut w, id, json!({"score": 2})).unwrap();
        assert_eq!((&data(&d, 0)["old_score"], &data(&d, 0)["score"]), (&json!(4), &json!(2)));
        // The 24 hours count from the first one.
        w.later(1);
        assert_eq!(rule(rate(&mut w, id, json!({"score": 3}))), "TK-44");
        w.run(&customer(), "ticket.reopen", id, json!({"reason": "quality", "same_fault": true})).unwrap();
        assert_eq!(code(rate(&mut w, id, json!({"score": 3}))), ErrorCode::InvalidState);
        w.resolved(id);
        let d = rate(&mut w, id, json!({"score": 3})).unwrap();
        assert_eq!((&data(&d, 0)["cycle"], &data(&d, 0)["old_score"]), (&json!(2), &json!(null)));
    }

    #[test]
    fn tk_44_within_30_days_after_closing() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Closed);
        w.later(30 * DAY);
        w.ask(&customer(), "ticket.rate", id, json!({"score": 4})).unwrap();
        w.later(1);
        assert_eq!(rule(rate(&mut w, id, json!({"score": 4}))), "TK-44");
    }
}
