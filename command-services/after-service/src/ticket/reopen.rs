//! TK-43 `ticket.reopen`: it is not over. A new cycle begins; what the old one was stays as it ended.

use mw_contract::command::ticket::ReopenTicket;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::TicketReopenedV1;
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, Rejection, Role, Sealed, TicketState};

use crate::rules::{Case, Facts, authorise_if, not_before};
use crate::state::AfterServiceState;

const DAY: i64 = 24 * 3_600_000;

/// Days after closing in which the same alarm opens its ticket again.
const ALARM_DAYS: u16 = 7;

/// Decides TK-43.
pub fn reopen(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &ReopenTicket,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketReopen, ctx)?;
    let ticket = case.ticket;
    let role =
        authorise_if(ctx, case.holds(false), |r| r != Role::Technician || ticket.state == TicketState::Resolved)?;
    let (reason, _) = facts.need_reason(catalogues::CANCEL, p.reason.as_ref(), p.note.as_ref())?;
    in_time(&case, role)?;
    let ended = ticket.ended_at.or(ticket.resolution.as_ref().map(|r| r.at)).unwrap_or(ticket.cycle_since);
    not_before(ctx.occurred_at, ended, "it would be reopened before it ended")?;
    let reopened = TicketReopenedV1 {
        cycle: ticket.cycle.saturating_add(1),
        reason,
        note: p.note.as_ref().map(Sealed::plain),
        same_fault: p.same_fault,
        previous_lead: ticket.lead.clone(),
    };
    Ok(case.decided(role, vec![reopened.into()]))
}

/// The window, for whoever reopens. The days count by the time of receipt: backdating opens none again.
fn in_time(case: &Case<'_>, role: Role) -> Result<(), Rejection> {
    let closed = case.ticket.ended_at.filter(|_| case.ticket.state == TicketState::Closed);
    let Some(closed) = closed else { return Ok(()) };
    let window = case.facts.settings(case.ctx).ticket_reopen_days;
    let days = if role == Role::System { window.min(ALARM_DAYS) } else { window };
    let until = closed.plus_millis(i64::from(days) * DAY);
    if case.ctx.received_at <= until {
        return Ok(());
    }
    let message = format!(
        "a closed ticket can be reopened for {days} days, until {until}: open a new ticket that `follows` this one"
    );
    Err(Rejection::guard("TK-43", message)
        .with("until", until.to_string())
        .with("follows", case.ctx.aggregate_id.to_string()))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{
        DAY, World, code, customer, data, detail, dispatcher, names, rule, system, technician, technician_named,
    };
    use mw_contract::{ErrorCode, Role, TicketState};
    use serde_json::{Value, json};

    fn again() -> Value {
        json!({"reason": "quality", "same_fault": true, "note": "it leaks again"})
    }

    #[test]
    fn golden_16_the_customer_reopens_within_14_days() {
        let mut w = World::new();
        // Closed on Monday, 2026-03-02.
        let id = w.in_state(TicketState::Closed);
        let closed = w.ticket(id).ended_at.unwrap();
        assert!(closed.to_string().starts_with("2026-03-02"));
        w.now = "2026-03-10T09:00:00.000Z".parse().unwrap();
        let d = w.run(&customer(), "ticket.reopen", id, again()).unwrap();
        assert_eq!((names(&d), d.role), (vec!["TicketReopened"], Role::Customer));
        let r = data(&d, 0);
        assert_eq!((&r["cycle"], &r["previous_lead"]), (&json!(2), &json!("technician-1")));
        assert_eq!(
            (&r["same_fault"], &r["note"], &r["reason"]),
            (&json!(true), &json!("it leaks again"), &json!("quality"))
        );
        let t = w.ticket(id);
        assert_eq!((t.state, t.cycle, t.lead.as_ref(), t.ended_at), (TicketState::Triaged, 2, None, None));
        assert_eq!(t.sessions.iter().map(|s| s.cycle).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn tk_43_after_the_window_a_new_ticket_follows() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Closed);
        w.later(14 * DAY);
        for who in [customer(), dispatcher()] {
            w.ask(&who, "ticket.reopen", id, again()).unwrap();
        }
        w.later(1);
        for who in [customer(), dispatcher()] {
            let r = w.ask(&who, "ticket.reopen", id, again());
            assert!(r.clone().unwrap_err().message.contains("open a new ticket that `follows` this one"));
            assert_eq!(detail(r.clone(), "follows"), json!(id.to_string()));
            assert_eq!(rule(r), "TK-43");
        }
        // Backdating opens no window again.
        assert_eq!(rule(w.run_at(w.now.plus_millis(-DAY), &dispatcher(), "ticket.reopen", id, again())), "TK-43");
        w.settings(json!({"ticket_reopen_days": 30}));
        w.ask(&customer(), "ticket.reopen", id, again()).unwrap();
        assert_eq!(rule(w.ask(&system(), "ticket.reopen", id, again())), "TK-43");
    }

    #[test]
    fn tk_43_the_same_alarm_within_7_days() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Closed);
        w.later(7 * DAY);
        assert_eq!(w.ask(&system(), "ticket.reopen", id, again()).unwrap().role, Role::System);
        w.later(1);
        assert_eq!(rule(w.ask(&system(), "ticket.reopen", id, again())), "TK-43");
    }

    #[test]
    fn tk_43_a_technician_reopens_what_is_resolved_and_its_own() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Resolved);
        assert_eq!(code(w.run(&technician_named("technician-2"), "ticket.reopen", id, again())), ErrorCode::Forbidden);
        assert_eq!(code(w.technician("ticket.reopen", id, json!({"same_fault": false}))), ErrorCode::ReasonRequired);
        assert_eq!(rule(w.run_at(w.now.plus_millis(-1), &technician(), "ticket.reopen", id, again())), "G3");
        w.later(60 * DAY);
        w.technician("ticket.reopen", id, again()).unwrap();
        let id = w.in_state(TicketState::Closed);
        assert_eq!(code(w.technician("ticket.reopen", id, again())), ErrorCode::Forbidden);
        let open = w.in_state(TicketState::Assigned);
        assert_eq!(code(w.dispatcher("ticket.reopen", open, again())), ErrorCode::InvalidState);
    }
}
