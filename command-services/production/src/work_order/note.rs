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

#[cfg(test)]
mod tests {
    use crate::fixture::{World, actor, code, data, e, names};
    use mw_contract::decide::Allowance;
    use mw_contract::{ErrorCode, Role, Sealed};
    use serde_json::json;

    #[test]
    fn wo_47_a_note_is_kept_with_its_author_and_is_sealed_text() {
        let mut w = World::new();
        let id = w.bracket(5);
        let file = json!({"uri": "s3://x", "sha256": "0".repeat(64), "media_type": "a/b", "bytes": 1});
        let p = json!({"note_id": e(1), "text": "call Mr Miller", "attachments": [file]});
        let inspector = actor("inspector-1", &[(Role::QualityInspector, Allowance::Yes)]);
        let d = w.run(&inspector, "work-order.add-note", id, p.clone()).unwrap();
        assert_eq!((names(&d), d.role), (vec!["NoteAdded"], Role::QualityInspector));
        assert_eq!(data(&d, 0)["attachments"].as_array().unwrap().len(), 1);
        assert!(d.events[0].1.encode().is_err(), "plain text must not reach a frame");
        let note = &w.order(id).notes[0];
        assert_eq!((note.author.as_str(), &note.text), ("inspector-1", &Sealed::Plain("call Mr Miller".into())));
        assert_eq!(code(w.run(&inspector, "work-order.add-note", id, p)), ErrorCode::AlreadyExists);
        let mut bad = json!({"note_id": e(2), "text": "x", "attachments": [file]});
        bad["attachments"][0]["sha256"] = json!("zz");
        assert_eq!(code(w.run(&inspector, "work-order.add-note", id, bad)), ErrorCode::Validation);
    }
}
