//! TK-03 `ticket.comment`: somebody says something, in any state.

use mw_contract::command::ticket::CommentTicket;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::CommentAddedV1;
use mw_contract::{CommandType, Rejection, Role, Sealed, Visibility};

use crate::rules::{Case, Facts, all_valid, authorise_if, check_file, exists};
use crate::state::AfterServiceState;

/// Decides TK-03.
pub fn comment(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &CommentTicket,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let found = Case::find(facts, state, ctx)?;
    found.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketComment, ctx)?;
    // Who reads a ticket may say something on it; line leads read internal ones.
    let internal = case.ticket.customer_id.is_none();
    let role = authorise_if(ctx, case.holds(false), |r| r != Role::LineLead || internal)?;
    if case.by_customer(role) && p.visibility == Visibility::Internal {
        let message = "a customer's comments are public";
        return Err(Rejection::forbidden(message).at("payload.visibility"));
    }
    let attachments = p.attachments.clone().unwrap_or_default();
    let mut errors = Vec::new();
    for (i, f) in attachments.iter().enumerate() {
        check_file(&mut errors, &format!("payload.attachments[{i}]"), f);
    }
    all_valid(errors)?;
    if case.ticket.comments.contains(&p.comment_id) {
        return Err(exists(format!("comment {} exists already", p.comment_id)).at("payload.comment_id"));
    }
    let added = CommentAddedV1 {
        comment_id: p.comment_id,
        text: Sealed::plain(&p.text),
        visibility: p.visibility,
        // Neither who reported it nor a process answers for those who serve.
        by_staff: !matches!(role, Role::Customer | Role::Operator | Role::System),
        attachments,
    };
    Ok(case.decided(role, vec![added.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::*;
    use crate::matrix::COLUMNS;
    use mw_contract::decide::Allowance;
    use mw_contract::{ErrorCode, Role, TicketState};
    use serde_json::{Value, json};

    fn says(n: u128, visibility: &str) -> Value {
        json!({"comment_id": e(n), "text": "Mr Miller calls back", "visibility": visibility})
    }

    #[test]
    fn tk_03_is_possible_in_every_state_and_once_an_id() {
        let mut w = World::new();
        for state in COLUMNS {
            let id = w.in_state(state);
            let d = w.dispatcher("ticket.comment", id, says(1, "internal")).unwrap();
            assert_eq!((names(&d), data(&d, 0)["by_staff"].clone()), (vec!["CommentAdded"], json!(true)));
            assert!(d.events[0].1.encode().is_err(), "plain text must not reach a frame");
            assert_eq!(code(w.dispatcher("ticket.comment", id, says(1, "public"))), ErrorCode::AlreadyExists);
        }
    }

    #[test]
    fn tk_03_a_customer_comments_its_own_tickets_in_public() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Closed);
        let d = w.run(&customer(), "ticket.comment", id, says(1, "public")).unwrap();
        assert_eq!(data(&d, 0)["by_staff"], false);
        assert_eq!(code(w.run(&customer(), "ticket.comment", id, says(2, "internal"))), ErrorCode::Forbidden);
        let other = customer_of("customer-2", "other");
        assert_eq!(code(w.run(&other, "ticket.comment", id, says(2, "public"))), ErrorCode::NotFound);
    }

    #[test]
    fn tk_03_an_operator_comments_internal_tickets_and_is_no_staff_of_the_service() {
        let mut w = World::new();
        let id = w.opened();
        assert_eq!(code(w.run(&operator(), "ticket.comment", id, says(1, "public"))), ErrorCode::Forbidden);
        let id = w.opened_with(|t| t.customer_id = None);
        let d = w.run(&operator(), "ticket.comment", id, says(1, "public")).unwrap();
        assert_eq!(data(&d, 0)["by_staff"], false);
        let d = w.run(&system(), "ticket.comment", id, says(2, "public")).unwrap();
        assert_eq!(data(&d, 0)["by_staff"], false);
        let d = w.run(&inspector(), "ticket.comment", id, says(3, "public")).unwrap();
        assert_eq!(data(&d, 0)["by_staff"], true);
        // A line lead reads internal tickets.
        let lead = actor("lead-1", &[(Role::LineLead, Allowance::Yes)]);
        w.run(&lead, "ticket.comment", id, says(4, "public")).unwrap();
        let of_customer = w.opened();
        assert_eq!(code(w.run(&lead, "ticket.comment", of_customer, says(1, "public"))), ErrorCode::Forbidden);
    }

    #[test]
    fn tk_03_attachments_are_files() {
        let mut w = World::new();
        let id = w.opened();
        let mut p = says(1, "public");
        p["attachments"] = json!([{"uri": "s3://x", "sha256": "zz", "media_type": "a/b", "bytes": 1}]);
        assert_eq!(code(w.dispatcher("ticket.comment", id, p)), ErrorCode::Validation);
    }
}
