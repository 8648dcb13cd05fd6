//! WO-47 `work-order.add-note`: somebody writes something down, in any state.

use mw_contract::command::work_order::AddNote;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::work_order::NoteAddedV1;
use mw_contract::{CommandType, Rejection, Sealed};

use crate::facts::Production;
use crate::rules::{Case, Holds, all_valid, authorise, check_file, exists};
use crate::state::ProductionState;

/// Decides WO-47.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &AddNote,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let case = Case::open(facts, state, CommandType::WorkOrderAddNote, ctx)?;
    let attachments = p.attachments.clone().unwrap_or_default();
    let mut errors = Vec::new();
    for (i, f) in attachments.iter().enumerate() {
        check_file(&mut errors, &format!("payload.attachments[{i}]"), f);
    }
    all_valid(errors)?;
    if case.order.notes.iter().any(|n| n.note_id == p.note_id) {
        return Err(exists(format!("note {} exists already", p.note_id)).at("payload.note_id"));
    }
    let added = NoteAddedV1 { note_id: p.note_id, text: Sealed::plain(&p.text), attachments };
    Ok(case.decided(role, vec![added.into()]))
}
