//! TK-06 `ticket.classify-fault`: what is seen, why it is there, what was done about it.

use mw_contract::command::ticket::ClassifyFault;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::FaultClassifiedV1;
use mw_contract::event::ticket_parts::FaultV1;
use mw_contract::reference::catalogues;
use mw_contract::{CommandType, ReasonCode, Rejection};

use super::warranty;
use crate::rules::{Case, Facts};
use crate::state::AfterServiceState;

/// Decides TK-06. The whole classification is given each time; what is left out is not known.
pub fn classify(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &ClassifyFault,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketClassifyFault, ctx)?;
    let t = case.ticket;
    check_family(&case, catalogues::SYMPTOM, Some(&p.symptom), "payload.symptom")?;
    check_family(&case, catalogues::FAULT_CAUSE, p.cause.as_ref(), "payload.cause")?;
    check_family(&case, catalogues::REMEDY, p.remedy.as_ref(), "payload.remedy")?;
    if p.cause.is_some() && t.diagnoses.is_empty() {
        let message = "nobody has recorded a diagnosis yet: record it, then name the cause";
        return Err(Rejection::guard("TK-06.R2", message).at("payload.cause"));
    }
    let new = FaultV1 {
        symptom: Some(p.symptom.clone()),
        cause: p.cause.clone(),
        remedy: p.remedy.clone(),
        component: p.component.clone(),
        safety_relevant: p.safety_relevant.unwrap_or(false),
    };
    // R3.
    let severity = (new.safety_relevant && t.severity != Some(1)).then_some(1);
    Ok(case.decided(role, vec![FaultClassifiedV1 { old: t.fault.clone(), new, severity }.into()]))
}

/// R1: an active code, of the product's family where it belongs to one.
fn check_family(case: &Case<'_>, catalogue: &str, code: Option<&ReasonCode>, field: &str) -> Result<(), Rejection> {
    let Some(code) = code else { return Ok(()) };
    let entry = case.facts.check_code(catalogue, code.as_str(), field)?;
    let product = case.ticket.product_id.as_ref().and_then(|p| warranty::product_document(case.facts, p));
    let (Some(family), Some(product)) = (entry.and_then(|e| e.family), product) else { return Ok(()) };
    if product.family.as_ref() != Some(&family) {
        let message = format!("{code} is a code of product family {family}, which this unit is not of");
        return Err(Rejection::guard("TK-06.R1", message).at(field));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::fixture::*;
    use mw_contract::event::ticket::DiagnosisRecordedV1;
    use mw_contract::{AggregateId, EntityId, ErrorCode, Recommendation, ReferenceKind, Sealed, TicketState};
    use serde_json::json;

    fn diagnosed(w: &mut World, id: AggregateId) {
        let recorded = DiagnosisRecordedV1 {
            diagnosis_id: EntityId(uuid::Uuid::from_u128(0xd1)),
            symptom: None,
            cause: "wear".parse().unwrap(),
            component: None,
            text: Sealed::Plain("the seal is worn".into()),
            readings: vec![],
            recommendation: Recommendation::Repair,
            root_cause_in_production: false,
            serial: None,
            product_id: None,
            work_order_id: None,
            lot: None,
            attachments: vec![],
        };
        w.given(id, recorded);
    }

    #[test]
    fn tk_06_keeps_the_old_classification_beside_the_new_one() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Triaged);
        let d = w.dispatcher("ticket.classify-fault", id, json!({"symptom": "leaks"})).unwrap();
        assert_eq!((&data(&d, 0)["old"], &data(&d, 0)["severity"]), (&json!(null), &json!(null)));
        let d = w.dispatcher("ticket.classify-fault", id, json!({"symptom": "noise", "component": "seal"})).unwrap();
        assert_eq!(
            (&data(&d, 0)["old"]["symptom"], &data(&d, 0)["new"]["component"]),
            (&json!("leaks"), &json!("seal"))
        );
        let id = w.opened();
        let r = w.dispatcher("ticket.classify-fault", id, json!({"symptom": "leaks"}));
        assert_eq!(code(r), ErrorCode::InvalidState, "nobody has looked at it yet");
    }

    #[test]
    fn tk_06_r1_codes_are_those_of_the_product_family() {
        let mut w = World::new();
        w.plant.put(ReferenceKind::Product, "pump-200", json!({"uom": "H87", "family": "pumps"}));
        let entries = json!([{"code": "leaks", "family": "pumps"}, {"code": "no_picture", "family": "screens"},
            {"code": "noise"}, {"code": "smell", "active": false}]);
        w.plant.put(ReferenceKind::Catalogue, "fault_symptoms", json!({"entries": entries}));
        let id = w.in_state(TicketState::Triaged);
        let ask = |w: &World, s: &str| w.ask(&dispatcher(), "ticket.classify-fault", id, json!({"symptom": s}));
        for ok in ["leaks", "noise", "other"] {
            ask(&w, ok).unwrap();
        }
        assert_eq!(rule(ask(&w, "no_picture")), "TK-06.R1");
        assert_eq!(code(ask(&w, "smell")), ErrorCode::ReasonUnknown);
        w.plant.put(ReferenceKind::Product, "pump-200", json!({"uom": "H87"}));
        assert_eq!(rule(ask(&w, "leaks")), "TK-06.R1", "the product is of no family");
    }

    #[test]
    fn tk_06_r2_a_cause_needs_a_diagnosis() {
        let mut w = World::new();
        let id = w.in_state(TicketState::InProgress);
        let p = json!({"symptom": "leaks", "cause": "wear", "remedy": "replaced"});
        assert_eq!(rule(w.technician("ticket.classify-fault", id, p.clone())), "TK-06.R2");
        diagnosed(&mut w, id);
        w.technician("ticket.classify-fault", id, p.clone()).unwrap();
        let other = technician_named("technician-2");
        assert_eq!(code(w.run(&other, "ticket.classify-fault", id, p)), ErrorCode::Forbidden);
    }

    #[test]
    fn tk_06_r3_what_is_relevant_to_safety_is_critical() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Triaged);
        assert_eq!(w.ticket(id).severity, Some(2));
        let p = json!({"symptom": "leaks", "safety_relevant": true});
        let d = w.dispatcher("ticket.classify-fault", id, p.clone()).unwrap();
        assert_eq!((&data(&d, 0)["severity"], w.ticket(id).severity), (&json!(1), Some(1)));
        let d = w.dispatcher("ticket.classify-fault", id, p).unwrap();
        assert_eq!(data(&d, 0)["severity"], json!(null), "it is already");
    }
}
