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
