//! `reference.put` and `reference.retire`: reference data.
//!
//! Owns what makes a document usable. A document may name others that do not exist yet, so that
//! a plant can be entered in any order; what an order copies is checked when it copies.

use mw_contract::command::reference::{PutReference, RetireReference};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::reference::{DocumentText, ReferencePutV1, ReferenceRetiredV1};
use mw_contract::reference::{Calendar, Document, OpeningHours};
use mw_contract::{AggregateKind, Command, FieldError, Rejection, StreamId};

use crate::rules::{Holds, all_valid, authorise};
use crate::state::ProductionState;
use crate::structure;

/// The most bytes of a document in its canonical form, so that its event stays under 16 KiB.
const MOST_BYTES: usize = 15 * 1024;

/// Decides a command on a reference document.
///
/// # Errors
/// As the commands' own rules say; `VALIDATION` for a command of another aggregate.
pub fn decide(state: &ProductionState, command: &Command, ctx: &DecisionContext<'_>) -> Result<Decision, Rejection> {
    match command {
        Command::ReferencePut(p) => put(state, p, ctx),
        Command::ReferenceRetire(p) => retire(state, p, ctx),
        other => Err(crate::foreign(other)),
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{World, actor, code, data, names, planner};
    use mw_contract::decide::Allowance;
    use mw_contract::{ErrorCode, ReferenceKind, Role, reference_id};
    use serde_json::{Value, json};

    #[test]
    fn reference_put_counts_revisions_and_the_last_one_counts() {
        let mut w = World::new();
        let d = w.put("product", "valve", json!({"uom": "H87"})).unwrap();
        assert_eq!((names(&d), &data(&d, 0)["revision"]), (vec!["ReferencePut"], &json!(1)));
        assert_eq!(data(&d, 0)["document"]["producible"], true);
        let d = w.put("product", "valve", json!({"uom": "KGM"})).unwrap();
        assert_eq!(data(&d, 0)["revision"], 2);
        assert_eq!(w.facts.product(&"valve".parse().unwrap()).unwrap().uom.as_str(), "KGM");
        assert_eq!(data(&w.put("product", "valve", json!({"uom": "H87"})).unwrap(), 0)["revision"], 3);
    }

    #[test]
    fn reference_retire_ends_use_and_a_put_brings_it_back() {
        let mut w = World::new();
        let target = reference_id(ReferenceKind::Cell, &"cell-1".parse().unwrap());
        let p = json!({"kind": "cell", "code": "cell-1", "reason": "obsolete"});
        assert_eq!(w.facts.cells_on(&"line-1".parse().unwrap()), 2);
        let d = w.planner("reference.retire", target, p.clone()).unwrap();
        assert_eq!((names(&d), &data(&d, 0)["reason"]), (vec!["ReferenceRetired"], &json!("obsolete")));
        let (site, cell) = ("plant-1".parse().unwrap(), "cell-1".parse().unwrap());
        assert!(w.facts.cell_at(&site, &cell).is_none());
        assert_eq!(w.facts.cells_on(&"line-1".parse().unwrap()), 1);
        assert_eq!(code(w.planner("reference.retire", target, p)), ErrorCode::InvalidState);
        w.put("cell", "cell-1", json!({"line": "line-1"})).unwrap();
        assert!(w.facts.cell_at(&site, &cell).is_some());
        let p = json!({"kind": "cell", "code": "cell-1"});
        w.planner("reference.retire", target, p).unwrap();
        assert!(w.state(target).reference().unwrap().retired);
        let nothing = json!({"kind": "cell", "code": "cell-7"});
        let target = reference_id(ReferenceKind::Cell, &"cell-7".parse().unwrap());
        assert_eq!(code(w.planner("reference.retire", target, nothing)), ErrorCode::NotFound);
    }

    #[test]
    fn reference_a_moved_cell_counts_on_its_new_line_only() {
        let mut w = World::new();
        w.put("line", "line-2", json!({"site": "plant-1"})).unwrap();
        w.put("cell", "cell-1", json!({"line": "line-2"})).unwrap();
        let cells = |line: &str| w.facts.cells_on(&line.parse().unwrap());
        assert_eq!((cells("line-1"), cells("line-2")), (1, 1));
    }

    #[test]
    fn reference_documents_are_checked_and_the_field_is_named() {
        let mut w = World::new();
        let step = |op: u16| json!({"op": op, "name": "a"});
        let shift = |from: &str, day: &str| json!({"site": "plant-1", "shifts": [{"code": "early", "from": from, "to": "14:00", "days": [day]}]});
        let hours =
            |day: &str, from: &str, to: &str| json!({"time_zone": "UTC", "hours": {day: [{"from": from, "to": to}]}});
        let big: Vec<Value> =
            (0..400).map(|n| json!({"code": format!("reason-{n}"), "name": "x".repeat(60)})).collect();
        let many: Vec<Value> = (1..=201).map(step).collect();
        let lines: Vec<Value> = (1..=201).map(|n| json!({"line_no": n, "item_id": "a", "qty_per_unit": 1})).collect();
        let mut mixed_days = shift("06:00", "mon");
        mixed_days["shifts"][0]["days"] = json!(["mon", "day"]);
        let mut mixed_hours = hours("mon", "09:00", "17:00");
        mixed_hours["hours"]["mon"] = json!([{"from": "09:00", "to": "12:00"}, {"from": "17:00", "to": "13:00"}]);
        for (kind, document, field) in [
            ("routing", json!({"operations": []}), "operations"),
            ("routing", json!({"operations": [step(10), step(10)]}), "operations[1].op"),
            ("routing", json!({"operations": many}), "operations"),
            (
                "routing",
                json!({"operations": [{"op": 10, "name": "a", "predecessors": [10]}]}),
                "operations[0].predecessors",
            ),
            (
                "routing",
                json!({"operations": [{"op": 10, "name": "a", "overlap": "transfer_batch", "transfer_batch_qty": 0}]}),
                "operations[0].transfer_batch_qty",
            ),
            ("bom", json!({"lines": [{"line_no": 1, "item_id": "a", "qty_per_unit": 0}]}), "lines[0].qty_per_unit"),
            ("bom", json!({"lines": lines}), "lines"),
            ("catalogue", json!({"entries": [{"code": "a"}, {"code": "a"}]}), "entries[1].code"),
            ("catalogue", json!({"entries": big}), ""),
            ("calendar", hours("monday", "09:00", "17:00"), "hours.monday"),
            ("calendar", hours("mon", "17:00", "09:00"), "hours.mon"),
            ("calendar", hours("mon", "09:00", "09:00"), "hours.mon"),
            ("shift_calendar", shift("6:00", "mon"), "shifts[0].from"),
            ("shift_calendar", shift("06:00", "day"), "shifts[0].days"),
            ("shift_calendar", mixed_days, "shifts[0].days"),
            ("calendar", mixed_hours, "hours.mon"),
            (
                "availability",
                json!({"account": "a", "from": "2026-03-02T09:00:00Z", "to": "2026-03-02T09:00:00Z"}),
                "to",
            ),
            ("cell", json!({}), ""),
        ] {
            let r = w.put(kind, "x", document).unwrap_err();
            let expected =
                if field.is_empty() { "payload.document".into() } else { format!("payload.document.{field}") };
            assert_eq!((r.code, r.field), (ErrorCode::Validation, Some(expected)));
        }
        w.put("shift_calendar", "x", shift("06:00", "mon")).unwrap();
        w.put(
            "availability",
            "x",
            json!({"account": "a", "from": "2026-03-02T09:00:00Z", "to": "2026-03-02T09:00:01Z"}),
        )
        .unwrap();
    }

    #[test]
    fn reference_documents_have_their_most_and_not_one_more() {
        let mut w = World::new();
        let steps = |n: u16| (1..=n).map(|op| json!({"op": op, "name": "a"})).collect::<Vec<_>>();
        let lines =
            |n: u16| (1..=n).map(|l| json!({"line_no": l, "item_id": "a", "qty_per_unit": 1})).collect::<Vec<_>>();
        let fields = |r: Result<Decision, Rejection>| match r {
            Ok(_) => String::new(),
            Err(r) => r.field.unwrap(),
        };
        // Whatever else such a long document is too large for, it is not its number of parts.
        assert_ne!(fields(w.put("routing", "x", json!({"operations": steps(200)}))), "payload.document.operations");
        assert_ne!(fields(w.put("bom", "x", json!({"lines": lines(200)}))), "payload.document.lines");
        let catalogue = |names: &[usize]| {
            let entry = |(n, len): (usize, &usize)| json!({"code": format!("reason-{n}"), "name": "x".repeat(*len)});
            json!({"entries": names.iter().enumerate().map(entry).collect::<Vec<Value>>()})
        };
        let length = |names: &[usize]| match catalogue(names) {
            Value::Object(map) => Document::from_command(ReferenceKind::Catalogue, &map).unwrap().canonical().len(),
            _ => 0,
        };
        let mut names = vec![60];
        while length(&names) <= MOST_BYTES {
            names.push(60);
        }
        names.pop();
        // What is left of the bytes goes into the names, a byte a letter.
        let mut left = MOST_BYTES - length(&names);
        for name in &mut names {
            let more = left.min(50);
            *name += more;
            left -= more;
        }
        assert_eq!(length(&names), 15_360);
        w.put("catalogue", "x", catalogue(&names)).unwrap();
        *names.last_mut().unwrap() += 1;
        assert_eq!(length(&names), MOST_BYTES + 1);
        assert_eq!(fields(w.put("catalogue", "x", catalogue(&names))), "payload.document");
    }

    #[test]
    fn a_local_time_is_hours_and_minutes() {
        for (text, expected) in [("00:00", Some(0)), ("09:30", Some(570)), ("23:59", Some(1439)), ("24:00", Some(1440))]
        {
            assert_eq!(minutes(text), expected);
        }
        for bad in ["24:01", "25:00", "09:60", "9:00", "09:0", "+9:00", "0900", "ab:cd"] {
            assert_eq!(minutes(bad), None, "{bad}");
        }
    }

    #[test]
    fn reference_needs_a_full_grant() {
        let w = World::new();
        let who = actor("a", &[(Role::Admin, Allowance::FourEyes)]);
        let target = reference_id(ReferenceKind::Cell, &"cell-1".parse().unwrap());
        let put = json!({"kind": "cell", "code": "cell-1", "document": {"line": "line-1"}});
        assert_eq!(code(w.ask(&who, "reference.put", target, put.clone())), ErrorCode::Forbidden);
        assert_eq!(
            code(w.ask(&who, "reference.retire", target, json!({"kind": "cell", "code": "cell-1"}))),
            ErrorCode::Forbidden
        );
        w.ask(&planner(), "reference.put", target, put).unwrap();
    }
}
