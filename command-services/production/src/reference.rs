//! `reference.put` and `reference.retire`: reference data.
//!
//! Owns what makes a document usable. A document may name others that do not exist yet, so that
//! a plant can be entered in any order; what an order copies is checked when it copies. What a
//! ticket would have to promise by is there first: the calendar of an SLA policy, the policy of a
//! contract.

use mw_contract::command::reference::{PutReference, RetireReference};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::reference::{DocumentText, ReferencePutV1, ReferenceRetiredV1};
use mw_contract::reference::{
    Calendar, CatalogueEntry, Customer, Document, OpeningHours, Product, Site, SiteSettings, SlaPolicy,
};
use mw_contract::time::is_time_zone;
use mw_contract::{AggregateKind, Command, Date, FieldError, ReferenceKind, Rejection, StreamId};

use crate::facts::Production;
use crate::rules::{Holds, all_valid, authorise};
use crate::state::ProductionState;
use crate::structure;

/// The most bytes of a document in its canonical form, so that its event stays under 16 KiB.
const MOST_BYTES: usize = 15 * 1024;

/// Decides a command on a reference document.
///
/// # Errors
/// As the commands' own rules say; `VALIDATION` for a command of another aggregate.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    command: &Command,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    match command {
        Command::ReferencePut(p) => put(facts, state, p, ctx),
        Command::ReferenceRetire(p) => retire(state, p, ctx),
        other => Err(crate::foreign(other)),
    }
}

/// Decides `reference.put`: a new revision, which also brings a retired code back.
pub fn put(
    facts: &Production,
    state: &ProductionState,
    p: &PutReference,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let document = Document::from_command(p.kind, &p.document).map_err(|e| Rejection::validation(vec![e]))?;
    all_valid(problems(facts, &document))?;
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
fn problems(facts: &Production, document: &Document) -> Vec<FieldError> {
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
                check_entry(&mut errors, i, e);
            }
        }
        Document::Site(s) => check_site(&mut errors, s),
        Document::Product(p) => check_product(&mut errors, p),
        Document::SlaPolicy(p) => check_policy(&mut errors, facts, p),
        Document::Customer(c) => check_customer(&mut errors, facts, c),
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

fn error(errors: &mut Vec<FieldError>, field: impl std::fmt::Display, why: impl Into<String>) {
    errors.push(FieldError::new(format!("payload.document.{field}"), why));
}

fn check_zone(errors: &mut Vec<FieldError>, zone: &str) {
    if !is_time_zone(zone) {
        error(errors, "time_zone", "is an IANA time zone such as Europe/Berlin");
    }
}

fn check_site(errors: &mut Vec<FieldError>, site: &Site) {
    check_zone(errors, &site.time_zone);
    let s: &SiteSettings = &site.settings;
    for (field, value, from, to) in [
        ("warranty_registration_days", u32::from(s.warranty_registration_days), 0, 3660),
        ("ticket_auto_close_days", s.ticket_auto_close_days.into(), 1, 366),
        ("ticket_reopen_days", s.ticket_reopen_days.into(), 0, 366),
        ("replacement_warranty_days", s.replacement_warranty_days.into(), 0, 3660),
        ("alarm_ticket_severity", s.alarm_ticket_severity.into(), 1, 1000),
        ("alarm_debounce_s", s.alarm_debounce_s, 0, 86_400),
    ] {
        if !(from..=to).contains(&value) {
            error(errors, format!("settings.{field}"), format!("is from {from} to {to}"));
        }
    }
    if s.goodwill_limit.is_some_and(|m| m.amount.decimal().is_sign_negative()) {
        error(errors, "settings.goodwill_limit.amount", "is not less than 0");
    }
}

fn check_product(errors: &mut Vec<FieldError>, p: &Product) {
    if p.warranty_counter.as_ref().is_some_and(|c| c.limit.decimal().is_sign_negative() || c.limit.decimal().is_zero())
    {
        error(errors, "warranty_counter.limit", "is more than 0");
    }
}

fn check_entry(errors: &mut Vec<FieldError>, i: usize, e: &CatalogueEntry) {
    if e.severity.is_some_and(|s| !(1..=4).contains(&s)) {
        error(errors, format!("entries[{i}].severity"), "is from 1 to 4");
    }
}

/// The most warnings of a target.
const MOST_WARNINGS: usize = 10;

fn check_policy(errors: &mut Vec<FieldError>, facts: &Production, p: &SlaPolicy) {
    if facts.document(ReferenceKind::Calendar, p.calendar.as_str()).is_none() {
        error(errors, "calendar", format!("there is no calendar {} in use", p.calendar));
    }
    for (i, t) in p.targets.iter().enumerate() {
        if t.minutes == 0 {
            error(errors, format!("targets[{i}].minutes"), "is more than 0");
        }
        if t.priority.is_some_and(|n| !(1..=4).contains(&n)) {
            error(errors, format!("targets[{i}].priority"), "is from 1 to 4");
        }
        if p.targets[..i].iter().any(|x| (x.clock, x.priority) == (t.clock, t.priority)) {
            error(errors, format!("targets[{i}].clock"), "has only one target of a priority");
        }
        if t.warn_pct.len() > MOST_WARNINGS || t.warn_pct.iter().any(|w| !(1..=99).contains(w)) {
            error(errors, format!("targets[{i}].warn_pct"), format!("are at most {MOST_WARNINGS}, each from 1 to 99"));
        }
    }
}

fn check_customer(errors: &mut Vec<FieldError>, facts: &Production, c: &Customer) {
    for (i, contract) in c.contracts.iter().enumerate() {
        if contract.from > contract.to {
            error(errors, format!("contracts[{i}].to"), "is not before from");
        }
        if c.contracts[..i].iter().any(|x| x.code == contract.code) {
            error(errors, format!("contracts[{i}].code"), "must stand only once");
        }
        let missing = |p: &&_| facts.document(ReferenceKind::SlaPolicy, mw_contract::Code::as_str(p)).is_none();
        if let Some(policy) = contract.sla_policy.as_ref().filter(missing) {
            error(errors, format!("contracts[{i}].sla_policy"), format!("there is no SLA policy {policy} in use"));
        }
    }
}

fn check_calendar(errors: &mut Vec<FieldError>, c: &Calendar) {
    check_zone(errors, &c.time_zone);
    for (i, day) in c.holidays.iter().enumerate() {
        if day.as_str().parse::<Date>().is_err() {
            error(errors, format!("holidays[{i}]"), "is a day such as 2026-12-25");
        }
    }
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
        let calendar = |more: (&str, Value)| {
            let mut c = hours("mon", "09:00", "17:00");
            c[more.0] = more.1;
            c
        };
        let target = |more: Value| {
            let mut t = json!({"clock": "resolution", "minutes": 60});
            more.as_object().unwrap().iter().for_each(|(k, v)| t[k] = v.clone());
            json!({"calendar": "office-berlin", "targets": [{"clock": "resolution", "minutes": 480, "priority": 1}, t]})
        };
        let settings = |s: Value| json!({"settings": s});
        let contract = |more: Value| {
            let mut c = json!({"code": "gold", "from": "2026-01-01", "to": "2026-12-31"});
            more.as_object().unwrap().iter().for_each(|(k, v)| c[k] = v.clone());
            json!({"contracts": [{"code": "silver", "from": "2026-01-01", "to": "2026-01-01"}, c]})
        };
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
            ("site", json!({"time_zone": "Europe/Bonn"}), "time_zone"),
            ("site", settings(json!({"ticket_auto_close_days": 0})), "settings.ticket_auto_close_days"),
            ("site", settings(json!({"ticket_reopen_days": 367})), "settings.ticket_reopen_days"),
            ("site", settings(json!({"replacement_warranty_days": 3661})), "settings.replacement_warranty_days"),
            ("site", settings(json!({"warranty_registration_days": 3661})), "settings.warranty_registration_days"),
            ("site", settings(json!({"alarm_ticket_severity": 0})), "settings.alarm_ticket_severity"),
            ("site", settings(json!({"alarm_ticket_severity": 1001})), "settings.alarm_ticket_severity"),
            ("site", settings(json!({"alarm_debounce_s": 86_401})), "settings.alarm_debounce_s"),
            (
                "site",
                settings(json!({"goodwill_limit": {"amount": "-1", "currency": "EUR"}})),
                "settings.goodwill_limit.amount",
            ),
            (
                "product",
                json!({"uom": "H87", "warranty_counter": {"name": "hours", "limit": 0}}),
                "warranty_counter.limit",
            ),
            ("catalogue", json!({"entries": [{"code": "a", "severity": 5}]}), "entries[0].severity"),
            ("catalogue", json!({"entries": [{"code": "a", "severity": 0}]}), "entries[0].severity"),
            ("calendar", calendar(("time_zone", json!("Mars"))), "time_zone"),
            ("calendar", calendar(("holidays", json!(["2026-12-25", "2026-02-30"]))), "holidays[1]"),
            ("sla_policy", json!({"calendar": "nowhere", "targets": []}), "calendar"),
            ("sla_policy", target(json!({"minutes": 0})), "targets[1].minutes"),
            ("sla_policy", target(json!({"priority": 5})), "targets[1].priority"),
            ("sla_policy", target(json!({"priority": 1})), "targets[1].clock"),
            ("sla_policy", target(json!({"warn_pct": [75, 100]})), "targets[1].warn_pct"),
            ("sla_policy", target(json!({"warn_pct": [0]})), "targets[1].warn_pct"),
            ("sla_policy", target(json!({"warn_pct": vec![50; 11]})), "targets[1].warn_pct"),
            ("customer", contract(json!({"to": "2025-12-31"})), "contracts[1].to"),
            ("customer", contract(json!({"code": "silver"})), "contracts[1].code"),
            ("customer", contract(json!({"sla_policy": "nowhere"})), "contracts[1].sla_policy"),
        ] {
            let r = w.put(kind, "x", document).unwrap_err();
            let expected =
                if field.is_empty() { "payload.document".into() } else { format!("payload.document.{field}") };
            assert_eq!((r.code, r.field), (ErrorCode::Validation, Some(expected)));
        }
        for (kind, document) in [
            ("shift_calendar", shift("06:00", "mon")),
            (
                "site",
                settings(json!({"ticket_auto_close_days": 1, "ticket_reopen_days": 0, "alarm_ticket_severity": 1000})),
            ),
            ("site", settings(json!({"goodwill_limit": {"amount": "0", "currency": "EUR"}}))),
            ("calendar", calendar(("holidays", json!(["2026-12-25"])))),
            ("sla_policy", target(json!({"priority": 4, "warn_pct": [1, 99]}))),
            ("sla_policy", target(json!({"warn_pct": []}))),
            ("customer", contract(json!({"sla_policy": "standard", "to": "2026-01-01"}))),
        ] {
            w.put(kind, "x", document).unwrap();
        }
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
