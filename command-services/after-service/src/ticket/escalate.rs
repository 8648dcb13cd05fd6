//! TK-45 `ticket.escalate` and TK-46 `ticket.de-escalate`.

use mw_contract::command::ticket::{DeescalateTicket, EscalateTicket};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::{TicketDeescalatedV1, TicketEscalatedV1};
use mw_contract::reference::catalogues;
use mw_contract::reply::ErrorCode;
use mw_contract::{CommandType, Rejection, Role, Sealed, Text};

use crate::rules::{Case, Facts};
use crate::state::AfterServiceState;

const DAY: i64 = 24 * 3_600_000;

/// Decides TK-45. A customer escalates once in 24 hours.
pub fn escalate(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &EscalateTicket,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketEscalate, ctx)?;
    let ticket = case.ticket;
    if !(1..=3).contains(&p.level) {
        return Err(Rejection::invalid("payload.level", "is 1 to 3"));
    }
    let reason = explained(p.reason.as_ref())?;
    if let Some(team) = &p.to_team {
        facts.check_code(catalogues::TEAM, team.as_str(), "payload.to_team")?;
    }
    let last = ticket.customer_escalated_at.filter(|_| case.by_customer(role));
    if let Some(until) = last.map(|at| at.plus_millis(DAY)).filter(|until| ctx.received_at < *until) {
        let message = format!("you have escalated it already: you can again after {until}");
        return Err(Rejection::guard("TK-45", message).with("not_before", until.to_string()));
    }
    let level = ticket.escalation_level;
    let by_system = role == Role::System;
    let rises = if by_system { p.level > level } else { p.level == level + 1 };
    if !rises {
        let message = match level {
            3 => "the ticket is at level 3, the highest".to_owned(),
            _ => format!("the ticket is at level {level}: escalate it to level {}", level + 1),
        };
        return Err(Rejection::guard("TK-45.R1", message).at("payload.level").with("level", level));
    }
    let escalated = TicketEscalatedV1 { old_level: level, level: p.level, reason, to_team: p.to_team.clone() };
    Ok(case.decided(role, vec![escalated.into()]))
}

/// Decides TK-46: one level down.
pub fn de_escalate(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &DeescalateTicket,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketDeescalate, ctx)?;
    let reason = explained(p.reason.as_ref())?;
    let old_level = case.ticket.escalation_level;
    let Some(level) = old_level.checked_sub(1) else {
        return Err(Rejection::guard("TK-46", "the ticket is not escalated"));
    };
    Ok(case.decided(role, vec![TicketDeescalatedV1 { old_level, level, reason }.into()]))
}

fn explained(reason: Option<&Text<2000>>) -> Result<Sealed, Rejection> {
    let missing = || Rejection::new(ErrorCode::ReasonRequired, "say why").at("payload.reason");
    reason.map(Sealed::plain).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use crate::fixture::{DAY, World, code, customer, data, detail, dispatcher, names, rule, system};
    use mw_contract::{ErrorCode, ReferenceKind, Role, TicketState};
    use serde_json::{Value, json};

    fn to(level: u8) -> Value {
        json!({"level": level, "reason": "still down"})
    }

    #[test]
    fn tk_45_r1_the_level_rises_by_one_and_further_by_the_system() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        for wrong in [2, 3] {
            assert_eq!(rule(w.dispatcher("ticket.escalate", id, to(wrong))), "TK-45.R1", "{wrong}");
        }
        for wrong in [0, 4] {
            assert_eq!(code(w.dispatcher("ticket.escalate", id, to(wrong))), ErrorCode::Validation, "{wrong}");
        }
        let d = w.dispatcher("ticket.escalate", id, to(1)).unwrap();
        assert_eq!(names(&d), ["TicketEscalated"]);
        assert_eq!((&data(&d, 0)["old_level"], &data(&d, 0)["reason"]), (&json!(0), &json!("still down")));
        assert_eq!(detail(w.dispatcher("ticket.escalate", id, to(1)), "level"), 1);
        assert_eq!(rule(w.run(&system(), "ticket.escalate", id, to(1))), "TK-45.R1");
        assert_eq!(w.run(&system(), "ticket.escalate", id, to(3)).unwrap().role, Role::System);
        assert_eq!(w.ticket(id).escalation_level, 3);
        assert_eq!(rule(w.dispatcher("ticket.escalate", id, to(3))), "TK-45.R1");
    }

    #[test]
    fn tk_45_a_customer_escalates_once_in_24_hours() {
        let mut w = World::new();
        let id = w.in_state(TicketState::New);
        assert_eq!(w.run(&customer(), "ticket.escalate", id, to(1)).unwrap().role, Role::Customer);
        w.later(DAY - 1);
        assert_eq!(rule(w.run(&customer(), "ticket.escalate", id, to(2))), "TK-45");
        w.ask(&dispatcher(), "ticket.escalate", id, to(2)).unwrap();
        w.later(1);
        w.run(&customer(), "ticket.escalate", id, to(2)).unwrap();
    }

    #[test]
    fn tk_45_for_a_reason_to_a_team_that_there_is_while_it_is_open() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Resolved);
        assert_eq!(code(w.dispatcher("ticket.escalate", id, json!({"level": 1}))), ErrorCode::ReasonRequired);
        w.plant.put(ReferenceKind::Catalogue, "teams", json!({"entries": [{"code": "pumps"}]}));
        let team = |t: &str| json!({"level": 1, "reason": "down", "to_team": t});
        let r = w.dispatcher("ticket.escalate", id, team("fans")).unwrap_err();
        assert_eq!((r.code, r.field.as_deref()), (ErrorCode::ReasonUnknown, Some("payload.to_team")));
        w.dispatcher("ticket.escalate", id, team("pumps")).unwrap();
        assert_eq!(w.ticket(id).team.as_ref().unwrap().as_str(), "pumps");
        let closed = w.in_state(TicketState::Closed);
        assert_eq!(code(w.dispatcher("ticket.escalate", closed, to(1))), ErrorCode::InvalidState);
    }

    #[test]
    fn tk_46_one_level_down_for_a_reason() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Assigned);
        let calm = || json!({"reason": "runs on the spare pump"});
        assert_eq!(rule(w.dispatcher("ticket.de-escalate", id, calm())), "TK-46");
        w.run(&system(), "ticket.escalate", id, to(3)).unwrap();
        assert_eq!(code(w.dispatcher("ticket.de-escalate", id, json!({}))), ErrorCode::ReasonRequired);
        let d = w.dispatcher("ticket.de-escalate", id, calm()).unwrap();
        assert_eq!((names(&d), &data(&d, 0)["level"]), (vec!["TicketDeescalated"], &json!(2)));
        assert_eq!(w.ticket(id).escalation_level, 2);
    }
}
