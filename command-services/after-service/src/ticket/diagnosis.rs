//! TK-26 `ticket.record-diagnosis`: what it is. A remote case is diagnosed before anybody works on it.

use mw_contract::command::ticket::RecordDiagnosis;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::DiagnosisRecordedV1;
use mw_contract::reference::catalogues;
use mw_contract::{
    AggregateId, CommandType, FieldError, ProductId, Rejection, Sealed, ServiceMode, Text, TicketState, Warning,
};

use crate::rules::{Case, Facts, all_valid, check_file, exists};
use crate::state::{AfterServiceState, Ticket};

/// The most readings, and the most files, of a diagnosis.
const MOST: usize = 50;

/// Decides TK-26.
pub fn record(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &RecordDiagnosis,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let found = Case::find(facts, state, ctx)?;
    let role = found.authorise(false)?;
    all_valid(shape(p))?;
    let cause = facts.check_code(catalogues::FAULT_CAUSE, p.cause.as_str(), "payload.cause")?;
    if let Some(s) = &p.symptom {
        facts.check_code(catalogues::SYMPTOM, s.as_str(), "payload.symptom")?;
    }
    let case = possible(found, facts, state, ctx)?;
    let ticket = case.ticket;
    if ticket.diagnoses.contains_key(&p.diagnosis_id) {
        return Err(exists(format!("diagnosis {} exists already", p.diagnosis_id)).at("payload.diagnosis_id"));
    }
    let origin = Origin::of(facts, ticket);
    let in_production = p.root_cause_in_production.unwrap_or(false);
    let mut warnings = Vec::new();
    if cause.is_some_and(|e| e.excludes_warranty == Some(true)) && ticket.warranty.status.covers() {
        let message = format!("no warranty covers {}: override the warranty of the ticket", p.cause);
        warnings.push(Warning { code: "warranty_excluded".into(), message });
    }
    if in_production && origin.work_order_id.is_none() {
        let message = "nobody knows which order made the unit: production is not told".to_owned();
        warnings.push(Warning { code: "producing_order_unknown".into(), message });
    }
    let recorded = DiagnosisRecordedV1 {
        diagnosis_id: p.diagnosis_id,
        symptom: p.symptom.clone(),
        cause: p.cause.clone(),
        component: p.component.clone(),
        text: Sealed::plain(&p.text),
        readings: p.readings.clone().unwrap_or_default(),
        recommendation: p.recommendation,
        root_cause_in_production: in_production,
        serial: ticket.serial.clone(),
        product_id: origin.product_id,
        work_order_id: origin.work_order_id,
        lot: origin.lot,
        attachments: p.attachments.clone().unwrap_or_default(),
    };
    Ok(Decision { warnings, ..case.decided(role, vec![recorded.into()]) })
}

/// Where work is under way; a remote ticket already when it is assigned.
fn possible<'a>(
    found: Case<'a>,
    facts: &'a Facts<'a>,
    state: &'a AfterServiceState,
    ctx: &'a DecisionContext<'a>,
) -> Result<Case<'a>, Rejection> {
    let command = CommandType::TicketRecordDiagnosis;
    if found.ticket.state != TicketState::Assigned {
        return Case::open(facts, state, command, ctx);
    }
    if found.ticket.service_mode == Some(ServiceMode::Remote) {
        return Ok(found);
    }
    let allowed = [TicketState::InProgress.as_str()];
    Err(Rejection::invalid_state(command.as_str(), TicketState::Assigned.as_str(), &allowed))
}

/// Who made the unit, as the warranty check found it; else as it is known now.
#[derive(Default)]
struct Origin {
    product_id: Option<ProductId>,
    work_order_id: Option<AggregateId>,
    lot: Option<Text<40>>,
}

impl Origin {
    fn of(facts: &Facts<'_>, ticket: &Ticket) -> Self {
        if let Some(u) = &ticket.warranty.unit {
            let (work_order_id, lot) = (u.work_order_id, u.lot.clone());
            return Origin { product_id: Some(u.product_id.clone()), work_order_id, lot };
        }
        let mut units = ticket.serial.as_ref().map(|s| facts.known.units(s)).unwrap_or_default();
        units.retain(|u| ticket.product_id.as_ref().is_none_or(|p| *p == u.product_id));
        match units.as_slice() {
            // Several products share the serial number: nobody knows which one it is.
            [u] => {
                Origin { product_id: Some(u.product_id.clone()), work_order_id: u.work_order_id, lot: u.lot.clone() }
            }
            _ => Origin { product_id: ticket.product_id.clone(), ..Origin::default() },
        }
    }
}

fn shape(p: &RecordDiagnosis) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if p.readings.as_ref().is_some_and(|r| r.len() > MOST) {
        errors.push(FieldError::new("payload.readings", format!("has at most {MOST}")));
    }
    let files = p.attachments.as_deref().unwrap_or_default();
    if files.len() > MOST {
        errors.push(FieldError::new("payload.attachments", format!("has at most {MOST}")));
    }
    for (i, f) in files.iter().enumerate() {
        check_file(&mut errors, &format!("payload.attachments[{i}]"), f);
    }
    errors
}

#[cfg(test)]
mod tests {
    use crate::fixture::*;
    use crate::known::Unit;
    use mw_contract::decide::Decision;
    use mw_contract::event::ticket::WarrantyCheckedV1;
    use mw_contract::event::ticket_parts::KnownUnitV1;
    use mw_contract::{
        AggregateId, Commercial, ErrorCode, ReferenceKind, Rejection, Role, ServiceMode, TicketState, WarrantyStatus,
    };
    use serde_json::{Value, json};

    fn payload(more: Value) -> Value {
        let mut p = json!({"diagnosis_id": e(900), "cause": "seal_worn", "text": "water at the shaft",
            "recommendation": "replace_part"});
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        p
    }

    fn record(w: &mut World, id: AggregateId, more: Value) -> Result<Decision, Rejection> {
        w.technician("ticket.record-diagnosis", id, payload(more))
    }

    fn checked(w: &mut World, id: AggregateId, status: WarrantyStatus, unit: Option<KnownUnitV1>) {
        let (as_of, commercial) = ("2026-03-02".parse().unwrap(), Commercial::NotRequired);
        w.given(id, WarrantyCheckedV1 { status, serial: Some(text("SN-1")), as_of, terms: None, unit, commercial });
    }

    #[test]
    fn tk_26_what_it_is() {
        let mut w = World::new();
        let id = w.in_state(TicketState::InProgress);
        let more = json!({"symptom": "leak", "component": "shaft-seal", "root_cause_in_production": true,
            "readings": [{"name": "pressure", "value": "2.5", "unit": "bar"}],
            "attachments": [{"uri": "https://files.example/1", "sha256": "a".repeat(64), "media_type": "image/png",
                "bytes": 10}]});
        let d = record(&mut w, id, more).unwrap();
        assert_eq!((names(&d), d.role, d.warnings.len()), (vec!["DiagnosisRecorded"], Role::Technician, 0));
        let x = data(&d, 0);
        assert_eq!(
            (&x["cause"], &x["symptom"], &x["component"]),
            (&json!("seal_worn"), &json!("leak"), &json!("shaft-seal"))
        );
        assert_eq!((&x["text"], &x["readings"][0]["value"]), (&json!("water at the shaft"), &json!("2.5")));
        assert_eq!((&x["recommendation"], &x["attachments"][0]["bytes"]), (&json!("replace_part"), &json!(10)));
        // Who made it: as production says.
        assert_eq!(
            (&x["root_cause_in_production"], &x["work_order_id"]),
            (&json!(true), &json!(crate::fixture::id(0x50)))
        );
        assert_eq!((&x["serial"], &x["product_id"], &x["lot"]), (&json!("SN-1"), &json!("pump-200"), &json!("L-7")));
        assert_eq!(w.ticket(id).diagnoses.values().next().unwrap().as_str(), "seal_worn");
        assert_eq!(code(record(&mut w, id, json!({}))), ErrorCode::AlreadyExists);
    }

    #[test]
    fn tk_26_a_remote_ticket_is_diagnosed_when_it_is_assigned() {
        for (mode, expected) in [
            (ServiceMode::Remote, None),
            (ServiceMode::OnSite, Some(ErrorCode::InvalidState)),
            (ServiceMode::Workshop, Some(ErrorCode::InvalidState)),
        ] {
            let mut w = World::new();
            let id = w.opened();
            w.triaged(id, mode);
            w.assigned(id, "technician-1");
            assert_eq!(record(&mut w, id, json!({})).err().map(|r| r.code), expected, "{mode}");
            if expected.is_none() {
                assert_eq!(w.ticket(id).state, TicketState::Assigned);
            }
        }
        let mut w = World::new();
        let id = w.in_state(TicketState::Scheduled);
        assert_eq!(code(record(&mut w, id, json!({}))), ErrorCode::InvalidState);
        assert_eq!(
            code(w.ask(&technician_named("technician-2"), "ticket.record-diagnosis", id, payload(json!({})))),
            ErrorCode::Forbidden
        );
    }

    #[test]
    fn tk_26_codes_are_those_of_the_catalogues() {
        let mut w = World::new();
        let id = w.in_state(TicketState::InProgress);
        for (catalogue, code) in [("fault_causes", "seal_worn"), ("fault_symptoms", "leak")] {
            w.plant.put(ReferenceKind::Catalogue, catalogue, json!({"entries": [{"code": code}]}));
        }
        let field = |w: &mut World, more: Value| {
            let r = record(w, id, more).unwrap_err();
            assert_eq!(r.code, ErrorCode::ReasonUnknown);
            r.field.unwrap()
        };
        assert_eq!(field(&mut w, json!({"cause": "leak"})), "payload.cause");
        assert_eq!(field(&mut w, json!({"symptom": "seal_worn"})), "payload.symptom");
        record(&mut w, id, json!({"symptom": "leak"})).unwrap();
    }

    #[test]
    fn tk_26_a_cause_that_no_warranty_covers_is_a_warning() {
        let mut w = World::new();
        let entries = json!([{"code": "misuse", "excludes_warranty": true}, {"code": "seal_worn"}]);
        w.plant.put(ReferenceKind::Catalogue, "fault_causes", json!({"entries": entries}));
        for (status, cause, warned) in [
            (WarrantyStatus::InWarranty, "misuse", true),
            (WarrantyStatus::InWarranty, "seal_worn", false),
            (WarrantyStatus::OutOfWarranty, "misuse", false),
        ] {
            let id = w.in_state(TicketState::InProgress);
            checked(&mut w, id, status, None);
            let d = record(&mut w, id, json!({"cause": cause})).unwrap();
            let codes: Vec<&str> = d.warnings.iter().map(|w| w.code.as_str()).collect();
            assert_eq!(codes, if warned { vec!["warranty_excluded"] } else { vec![] }, "{status} {cause}");
        }
    }

    #[test]
    fn tk_26_the_order_is_the_one_that_the_warranty_check_found() {
        let mut w = World::new();
        let id = w.in_state(TicketState::InProgress);
        let unit = KnownUnitV1 {
            unit_id: crate::fixture::id(1),
            product_id: "pump-100".parse().unwrap(),
            work_order_id: Some(crate::fixture::id(0x51)),
            work_order_number: None,
            lot: None,
            line_id: None,
            produced_at: None,
            open_recalls: vec![],
            previous_tickets: vec![],
        };
        checked(&mut w, id, WarrantyStatus::InWarranty, Some(unit));
        let d = record(&mut w, id, json!({})).unwrap();
        let x = data(&d, 0);
        assert_eq!((&x["work_order_id"], &x["product_id"]), (&json!(crate::fixture::id(0x51)), &json!("pump-100")));
        assert_eq!(x["lot"], Value::Null);
    }

    #[test]
    fn tk_26_a_unit_that_nobody_can_tell_has_no_order() {
        let mut w = World::new();
        // Two products have a unit of that number, and nobody said which it is.
        w.plant.unit(Unit {
            unit_id: crate::fixture::id(9),
            product_id: "pump-100".parse().unwrap(),
            work_order_id: Some(crate::fixture::id(0x51)),
            ..unit("SN-1")
        });
        let id = w.opened_with(|t| t.product_id = None);
        w.triaged(id, ServiceMode::Remote);
        w.assigned(id, "technician-1");
        let d = record(&mut w, id, json!({"root_cause_in_production": true})).unwrap();
        assert_eq!(data(&d, 0)["work_order_id"], Value::Null);
        assert_eq!(d.warnings[0].code, "producing_order_unknown");
        // Said which, it is known.
        let id = w.in_state(TicketState::InProgress);
        let d = record(&mut w, id, json!({"root_cause_in_production": true})).unwrap();
        assert_eq!(data(&d, 0)["work_order_id"], json!(crate::fixture::id(0x50)));
    }

    #[test]
    fn tk_26_readings_and_files_have_a_bound() {
        let mut w = World::new();
        let id = w.in_state(TicketState::InProgress);
        let file = |sha: String| json!({"uri": "https://f", "sha256": sha, "media_type": "image/png", "bytes": 1});
        let readings = vec![json!({"name": "t", "value": 1, "unit": "Cel"}); 51];
        let files = vec![file("a".repeat(64)); 51];
        for (more, field) in [
            (json!({"readings": readings}), "payload.readings"),
            (json!({"attachments": files}), "payload.attachments"),
            (json!({"attachments": [file("a".repeat(64)), file("b".into())]}), "payload.attachments[1].sha256"),
        ] {
            let r = record(&mut w, id, more).unwrap_err();
            assert_eq!((r.code, r.field.as_deref()), (ErrorCode::Validation, Some(field)));
        }
    }
}
