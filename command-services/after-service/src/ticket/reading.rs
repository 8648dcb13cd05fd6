//! TK-35 `ticket.record-reading`: what a counter of the unit or machine shows.

use mw_contract::command::ticket::RecordTicketReading;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::TicketReadingRecordedV1;
use mw_contract::{CommandType, Rejection};

use super::consume_parts::unit_of;
use crate::rules::{Case, Facts};
use crate::state::AfterServiceState;

/// Decides TK-35: a counter only grows unless it says that it began again.
pub fn record(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &RecordTicketReading,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketRecordReading, ctx)?;
    let ticket = case.ticket;
    let old = ticket.readings.get(&p.name).copied();
    let reset = p.reset.unwrap_or(false);
    if let Some(last) = old.filter(|last| p.value < *last && !reset) {
        let message = format!("counter {} showed {last} before: say reset, when it began again", p.name);
        return Err(Rejection::guard("TK-35", message).at("payload.value").with("last", last.to_string()));
    }
    let recorded = TicketReadingRecordedV1 {
        name: p.name.clone(),
        value: p.value,
        unit: p.unit.clone(),
        reset,
        old,
        serial: ticket.serial.clone(),
        product_id: unit_of(&case).map(|u| u.product_id).or_else(|| ticket.product_id.clone()),
        equipment_id: ticket.equipment_id,
    };
    Ok(case.decided(role, vec![recorded.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, code, data, detail, rule, system, technician_named};
    use mw_contract::{ErrorCode, TicketState};
    use serde_json::{Value, json};

    #[test]
    fn tk_35_a_counter_only_grows_unless_it_began_again() {
        let mut w = World::new();
        let id = w.in_state(TicketState::Resolved);
        let read = |v: Value, reset: Value| json!({"name": "hours", "value": v, "unit": "h", "reset": reset});
        let d = w.technician("ticket.record-reading", id, read(json!("1200.5"), Value::Null)).unwrap();
        let r = data(&d, 0);
        assert_eq!((&r["old"], &r["value"], &r["reset"]), (&Value::Null, &json!("1200.5"), &json!(false)));
        assert_eq!((&r["serial"], &r["product_id"]), (&json!("SN-1"), &json!("pump-200")));
        for lower in [json!(null), json!(false)] {
            let r = w.technician("ticket.record-reading", id, read(json!(1200), lower));
            assert_eq!(detail(r.clone(), "last"), "1200.5");
            assert_eq!(rule(r), "TK-35");
        }
        w.technician("ticket.record-reading", id, read(json!("1200.5"), Value::Null)).unwrap();
        let d = w.run(&system(), "ticket.record-reading", id, read(json!(3), json!(true))).unwrap();
        assert_eq!((&data(&d, 0)["old"], &data(&d, 0)["reset"]), (&json!("1200.5"), &json!(true)));
        w.technician("ticket.record-reading", id, read(json!(4), Value::Null)).unwrap();
        // Another counter is another one.
        let starts = json!({"name": "starts", "value": 1, "unit": "1"});
        w.technician("ticket.record-reading", id, starts.clone()).unwrap();
        let other = w.run(&technician_named("technician-2"), "ticket.record-reading", id, starts);
        assert_eq!(code(other), ErrorCode::Forbidden);
    }
}
