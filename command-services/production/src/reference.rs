//! `reference.put` and `reference.retire`: reference data.
//!
//! Owns what makes a document usable. A document may name others that do not exist yet, so that
//! a plant can be entered in any order; what an order copies is checked when it copies.

use mw_contract::command::reference::{PutReference, RetireReference};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::reference::{DocumentText, ReferencePutV1, ReferenceRetiredV1};
use mw_contract::reference::{Calendar, Document, OpeningHours};
use mw_contract::{AggregateKind, FieldError, Rejection, StreamId};

use crate::rules::{Holds, all_valid, authorise};
use crate::state::ProductionState;
use crate::structure;

/// The most bytes of a document in its canonical form, so that its event stays under 16 KiB.
const MOST_BYTES: usize = 15 * 1024;

/// Decides `reference.put`: a new revision, which also brings a retired code back.
pub fn put(state: &ProductionState, p: &PutReference, ctx: &DecisionContext<'_>) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let document = Document::from_command(p.kind, &p.document).map_err(|e| Rejection::validation(vec![e]))?;
    all_valid(problems(&document))?;
    let text = document.canonical();
    if text.len() > MOST_BYTES {
        return Err(Rejection::invalid("payload.document", format!("has at most {MOST_BYTES} bytes")));
    }
    let revision = state.reference().map_or(0, |r| r.revision).saturating_add(1);
    let put = ReferencePutV1 { kind: p.kind, code: p.code.clone(), revision, document: DocumentText(text) };
    Ok(Decision::on(StreamId::new(AggregateKind::Reference, ctx.aggregate_id), role, [put.into()]))
}

/// Decides `reference.retire`: new decisions can't use the code any more.
pub fn retire(state: &ProductionState, p: &RetireReference, ctx: &DecisionContext<'_>) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let Some(known) = state.reference() else {
        return Err(Rejection::not_found(format!("there is no {} {}", p.kind, p.code)));
    };
    if known.retired {
        return Err(Rejection::invalid_state("reference.retire", "retired", &["active"]));
    }
    let retired = ReferenceRetiredV1 { kind: p.kind, code: p.code.clone(), reason: p.reason.clone() };
    Ok(Decision::on(StreamId::new(AggregateKind::Reference, ctx.aggregate_id), role, [retired.into()]))
}

/// What the types of a document can't say.
fn problems(document: &Document) -> Vec<FieldError> {
    let mut errors = Vec::new();
    match document {
        Document::Routing(r) => {
            if r.operations.is_empty() {
                errors.push(FieldError::new("payload.document.operations", "has at least one operation"));
            }
            structure::check_routing(&mut errors, "payload.document.operations", &r.operations);
        }
        Document::Bom(b) => structure::check_bom(&mut errors, "payload.document.lines", &b.lines),
        Document::Catalogue(c) => {
            for (i, e) in c.entries.iter().enumerate() {
                if c.entries[..i].iter().any(|x| x.code == e.code) {
                    let field = format!("payload.document.entries[{i}].code");
                    errors.push(FieldError::new(field, "must stand only once"));
                }
            }
        }
        Document::Calendar(c) => check_calendar(&mut errors, c),
        Document::ShiftCalendar(s) => {
            for (i, shift) in s.shifts.iter().enumerate() {
                let path = format!("payload.document.shifts[{i}]");
                for (name, time) in [("from", &shift.from), ("to", &shift.to)] {
                    if minutes(time.as_str()).is_none() {
                        errors.push(FieldError::new(format!("{path}.{name}"), "is a local time HH:MM"));
                    }
                }
                if shift.days.iter().any(|d| !DAYS.contains(&d.as_str())) {
                    errors.push(FieldError::new(format!("{path}.days"), "are mon, tue, wed, thu, fri, sat, sun"));
                }
            }
        }
        Document::Availability(a) if a.from >= a.to => {
            errors.push(FieldError::new("payload.document.to", "must be after from"));
        }
        _ => {}
    }
    errors
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

fn check_calendar(errors: &mut Vec<FieldError>, c: &Calendar) {
    for (day, hours) in &c.hours {
        let path = format!("payload.document.hours.{day}");
        if !DAYS.contains(&day.as_str()) {
            errors.push(FieldError::new(path.clone(), "is one of mon, tue, wed, thu, fri, sat, sun"));
        }
        if !hours.iter().all(opens_before_it_closes) {
            errors.push(FieldError::new(path, "has from before to, both local times HH:MM"));
        }
    }
}

fn opens_before_it_closes(h: &OpeningHours) -> bool {
    matches!((minutes(h.from.as_str()), minutes(h.to.as_str())), (Some(from), Some(to)) if from < to)
}

/// Minutes since midnight of `HH:MM`; 24:00 is the end of the day.
fn minutes(s: &str) -> Option<u16> {
    let (h, m) = s.split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2)?;
    let digits = |x: &str| x.bytes().all(|b| b.is_ascii_digit()).then(|| x.parse::<u16>().ok()).flatten();
    let (h, m) = (digits(h)?, digits(m)?);
    (m < 60 && (h < 24 || (h == 24 && m == 0))).then_some(h * 60 + m)
}
