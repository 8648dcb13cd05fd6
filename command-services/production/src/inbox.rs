//! `inbox.dismiss`: somebody looked at an item of the conflict inbox, and nothing needs to be done.
//!
//! An item is a refused command and bears its id. Refusals are no events, so this context can't
//! tell which ids are items; the inbox shows what was dismissed among those that are.

use mw_contract::command::inbox::DismissInboxItem;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::inbox::InboxItemDismissedV1;
use mw_contract::reference::catalogues;
use mw_contract::{AggregateKind, Command, Rejection, Sealed, StreamId};

use crate::facts::Production;
use crate::rules::{Holds, authorise, need_reason};
use crate::state::ProductionState;

/// Decides a command on an item of the inbox.
///
/// # Errors
/// As its rules say; `VALIDATION` for a command of another aggregate.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    command: &Command,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    match command {
        Command::InboxDismiss(p) => dismiss(facts, state, p, ctx),
        other => Err(crate::foreign(other)),
    }
}

fn dismiss(
    facts: &Production,
    state: &ProductionState,
    p: &DismissInboxItem,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    if *state == ProductionState::Inbox {
        return Err(Rejection::invalid_state("inbox.dismiss", "dismissed", &["open"]));
    }
    let (reason, _) = need_reason(facts, catalogues::DISMISS, p.reason.as_ref(), p.note.as_ref())?;
    let dismissed = InboxItemDismissedV1 { reason: reason.clone(), note: p.note.as_ref().map(Sealed::plain) };
    Ok(Decision::on(StreamId::new(AggregateKind::Inbox, ctx.aggregate_id), role, [dismissed.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, code, data, id, lead};
    use mw_contract::ErrorCode;
    use serde_json::json;

    #[test]
    fn an_item_is_dismissed_once_and_with_a_reason() {
        let mut w = World::new();
        assert_eq!(code(w.run(&lead(), "inbox.dismiss", id(1), json!({}))), ErrorCode::ReasonRequired);
        let short = json!({"reason": "other", "note": "no"});
        assert_eq!(code(w.run(&lead(), "inbox.dismiss", id(1), short)), ErrorCode::Validation);
        let p = json!({"reason": "settled", "note": "counted by hand"});
        let d = w.run(&lead(), "inbox.dismiss", id(1), p.clone()).unwrap();
        assert_eq!(data(&d, 0)["reason"], "settled");
        assert_eq!(code(w.run(&lead(), "inbox.dismiss", id(1), p)), ErrorCode::InvalidState);
    }
}
