//! What many commands share: who may, on which order, for which reason, in which quantity.
//!
//! Owns the checks of the general rules (G3, G7, G11) and of site and role. Rules of one command
//! stand with that command.

use mw_contract::command::work_order::OpNo;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::work_order::OperationPausedV1;
use mw_contract::reference::{Document, SiteSettings, catalogues};
use mw_contract::rules;
pub use mw_contract::rules::{
    Holds, Reason, agreed, all_valid, authorise, authorise_if, check_file, exists, not_before,
};
use mw_contract::{
    AccountName, AggregateKind, CellId, CommandType, Event, FieldError, Instant, PauseCause, Qty, ReasonCode,
    ReferenceKind, Rejection, Role, Seconds, SiteId, StreamId, Text, Warning,
};

use crate::facts::Production;
use crate::matrix;
use crate::state::{Operation, ProductionState, Session, WorkOrder};

/// For how long a role may correct what was reported then: operators a day, line leads a week. The
/// time of receipt counts.
pub fn may_correct(role: Role, reported: Instant, ctx: &DecisionContext<'_>) -> bool {
    const HOUR: i64 = 3_600_000;
    let age = ctx.received_at.since(reported);
    match role {
        Role::Operator => age <= 24 * HOUR,
        Role::LineLead => age <= 7 * 24 * HOUR,
        _ => true,
    }
}

/// G7: a reason that must be given, from a catalogue of the plant.
///
/// # Errors
/// As [`rules::need_reason`].
pub fn need_reason<'a, 'p>(
    facts: &'a Production,
    catalogue: &'a str,
    reason: Option<&'p ReasonCode>,
    note: Option<&Text<2000>>,
) -> Result<(&'p ReasonCode, Reason<'a>), Rejection> {
    rules::need_reason(catalogue_of(facts, catalogue), reason, note)
}

/// G7: is it an active entry of a catalogue of the plant?
///
/// # Errors
/// As [`rules::check_reason`].
pub fn check_reason<'a>(
    facts: &'a Production,
    catalogue: &'a str,
    code: &ReasonCode,
    note: Option<&Text<2000>>,
    path: &str,
) -> Result<Reason<'a>, Rejection> {
    rules::check_reason(catalogue_of(facts, catalogue), code, note, path)
}

fn catalogue_of<'a>(facts: &'a Production, code: &'a str) -> rules::Catalogue<'a> {
    rules::Catalogue::of(code, facts.document(ReferenceKind::Catalogue, code))
}

/// The settings of the site that the command came to.
pub fn settings(facts: &Production, ctx: &DecisionContext<'_>) -> SiteSettings {
    ctx.site.map(|s| facts.settings(s)).unwrap_or_default()
}

/// A command on an order that exists, is of the topic's site, and is in a state for it.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    /// Facts beside the order.
    pub facts: &'a Production,
    /// The order.
    pub order: &'a WorkOrder,
    /// The circumstances.
    pub ctx: &'a DecisionContext<'a>,
    /// Reported after the completion (G4)?
    pub late: bool,
}

impl<'a> Case<'a> {
    /// Finds the order and checks site and state.
    ///
    /// # Errors
    /// `NOT_FOUND` when there is no such order at the topic's site; `INVALID_STATE`.
    pub fn open(
        facts: &'a Production,
        state: &'a ProductionState,
        command: CommandType,
        ctx: &'a DecisionContext<'a>,
    ) -> Result<Self, Rejection> {
        let order = state
            .work_order()
            .filter(|o| ctx.site == Some(&o.site_id))
            .ok_or_else(|| Rejection::not_found(format!("there is no work order {} at this site", ctx.aggregate_id)))?;
        let late = matrix::check(order, command, ctx)?;
        Ok(Case { facts, order, ctx, late })
    }

    /// An operation by its number.
    ///
    /// # Errors
    /// `NOT_FOUND` with the numbers that the order has.
    pub fn op(&self, op: OpNo) -> Result<&'a Operation, Rejection> {
        self.order.operation(op).ok_or_else(|| {
            let have: Vec<String> = self.order.operations.iter().map(|o| o.op.to_string()).collect();
            Rejection::not_found(format!("the order has no operation {op}, only {}", have.join(", "))).at("payload.op")
        })
    }

    /// Does the cell do this operation? Its assigned cell, one of its class, or, for the
    /// operation of an order without a routing, any cell of the order's line.
    pub fn cell_fits(&self, op: &Operation, cell: &CellId) -> bool {
        let known = self.facts.cell_at(&self.order.site_id, cell);
        op.cell_id.as_ref() == Some(cell)
            || (op.cell_class.is_some() && known.is_some_and(|c| c.class == op.cell_class))
            || (op.implicit
                && op.cell_id.is_none()
                && known.is_some_and(|c| Some(&c.line) == self.order.line_id.as_ref()))
    }

    /// Is it the sender's own cell that does this operation? (Devices.)
    pub fn at_own_cell(&self, op: &Operation) -> bool {
        self.ctx.actor.cell.as_ref().is_some_and(|c| self.cell_fits(op, c))
    }

    /// Events on the order's own stream.
    pub fn decided(&self, role: Role, events: Vec<Event>) -> Decision {
        let stream = StreamId::new(AggregateKind::WorkOrder, self.ctx.aggregate_id);
        Decision { late: self.late, ..Decision::on(stream, role, events) }
    }

    /// Ends open sessions at the command's time.
    ///
    /// # Errors
    /// `GUARD_FAILED` G3 when one of them would end before it began.
    pub fn end_sessions<'s>(
        &self,
        sessions: impl Iterator<Item = (&'s Operation, &'s Session)>,
        cause: PauseCause,
    ) -> Result<Vec<Event>, Rejection> {
        let at = self.ctx.occurred_at;
        sessions
            .filter(|(_, s)| s.is_open())
            .map(|(o, s)| {
                not_before(at, s.started_at, "an open session would end before it began")?;
                Ok(OperationPausedV1 {
                    op: o.op,
                    session_id: s.session_id,
                    cause,
                    reason: None,
                    loss_category: None,
                    session_duration: Seconds::between(s.started_at, at),
                    note: None,
                }
                .into())
            })
            .collect()
    }
}

/// No order has more pieces than this, so that no sum of an order leaves the range of a quantity.
const MOST_PIECES: i128 = 100_000_000_000;

/// Is a quantity beyond what an order may have?
pub fn too_large(q: Qty) -> bool {
    q.decimal().trunc().mantissa() >= MOST_PIECES
}

/// A quantity in the order's unit: whole for pieces, and in range.
pub fn check_qty(errors: &mut Vec<FieldError>, piece: bool, field: &str, q: Qty) {
    if piece && !q.is_whole() {
        errors.push(FieldError::new(field, "must be whole: the order is counted in pieces"));
    }
    if too_large(q) {
        errors.push(FieldError::new(field, format!("must be less than {MOST_PIECES}")));
    }
}

/// The skill that a cell asks for and an operator has not.
pub fn skill_lacking<'a>(
    facts: &'a Production,
    site: &SiteId,
    cell: &CellId,
    operator: &AccountName,
) -> Option<&'a ReasonCode> {
    let skill = facts.cell_at(site, cell)?.skill.as_ref()?;
    let has = match facts.document(ReferenceKind::Catalogue, catalogues::SKILL) {
        Some(Document::Catalogue(c)) => {
            c.entries.iter().any(|e| e.code == *skill && e.active && e.accounts.contains(operator))
        }
        _ => false,
    };
    (!has).then_some(skill)
}

/// The same as a warning.
pub fn unskilled_warning(operator: &AccountName, skill: &ReasonCode) -> Warning {
    Warning { code: "skill_missing".into(), message: format!("{operator} lacks the skill {skill}") }
}

/// A cell that a command names.
///
/// # Errors
/// `NOT_FOUND` when the site has no such cell in use.
pub fn need_cell(facts: &Production, site: &SiteId, cell: &CellId, field: &str) -> Result<(), Rejection> {
    match facts.cell_at(site, cell) {
        Some(_) => Ok(()),
        None => Err(Rejection::not_found(format!("{site} has no cell {cell} in use")).at(field)),
    }
}

#[cfg(test)]
mod condition_tests {
    use crate::fixture::{World, actor, operator};
    use mw_contract::decide::Allowance;
    use mw_contract::{ErrorCode, Role};
    use serde_json::json;

    #[test]
    fn a_refusal_says_under_which_condition_the_role_may() {
        let mut w = World::new();
        let id = w.running_bracket(5);
        let session = w.order(id).operations[0].sessions[0].session_id;
        let p = json!({"op": 10, "session_id": session, "reason": "break"});
        for (who, why) in [
            (operator("operator-2"), "only for what is your own"),
            (actor("operator-2", &[(Role::Operator, Allowance::Setting)]), "only where the site's settings allow it"),
            (actor("cell-9", &[(Role::Device, Allowance::OwnCell)]), "only at its own cell"),
            (actor("lead-2", &[(Role::LineLead, Allowance::FourEyes)]), "only with a second person's approval"),
        ] {
            let refused = w.ask(&who, "work-order.pause-operation", id, p.clone()).unwrap_err();
            assert_eq!(refused.code, ErrorCode::Forbidden);
            assert!(refused.message.contains(why), "{}", refused.message);
        }
    }
}
