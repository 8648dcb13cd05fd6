//! TK-02 `ticket.amend`: what was reported is put right. Another unit begins its warranty anew.

use mw_contract::command::ticket::AmendTicket;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::TicketAmendedV1;
use mw_contract::{CommandType, Event, ProductId, Rejection, Role, Sealed, TicketState};

use super::open::belongs_to_others;
use super::warranty::{self, Found};
use crate::known::Unit;
use crate::rules::{Case, Facts};
use crate::state::AfterServiceState;

/// Decides TK-02.
pub fn amend(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &AmendTicket,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketAmend, ctx)?;
    let t = case.ticket;
    if role == Role::Customer && !matches!(t.state, TicketState::New | TicketState::Triaged) {
        let early = [TicketState::New.as_str(), TicketState::Triaged.as_str()];
        return Err(Rejection::invalid_state("ticket.amend by its customer", t.state.as_str(), &early));
    }
    if p.down_since.is_some_and(|d| d > ctx.occurred_at) {
        return Err(Rejection::invalid("payload.down_since", "is not in the future"));
    }
    let serial = p.serial.clone().filter(|s| t.serial.as_ref() != Some(s));
    let named = p.product_id.clone().filter(|x| t.product_id.as_ref() != Some(x));
    // The old unit's product says nothing of the new unit.
    let asked = if serial.is_some() { named.as_ref() } else { named.as_ref().or(t.product_id.as_ref()) };
    let about = serial.as_ref().or(t.serial.as_ref()).filter(|_| serial.is_some() || named.is_some());
    let mut unit: Option<Box<Unit>> = None;
    if let Some(about) = about {
        if role == Role::Customer && belongs_to_others(facts, about, asked, t.customer_id.as_ref()) {
            let message = format!("{about} is not a unit of yours: check the number");
            return Err(Rejection::guard("TK-01.R2", message).at("payload.serial"));
        }
        unit = match warranty::find_unit(facts, about, asked, t.customer_id.as_ref()) {
            Found::Unit(u) => Some(u),
            Found::Unknown => None,
            Found::Several(products) => return Err(warranty::ambiguous(about, &products)),
        };
    }
    if let Some(product) = named.as_ref().filter(|_| unit.is_none())
        && warranty::product_document(facts, product).is_none()
    {
        return Err(Rejection::not_found(format!("there is no product {product}")).at("payload.product_id"));
    }
    let product_id = named.or_else(|| new_product(unit.as_deref(), t.product_id.as_ref()));
    let amended = TicketAmendedV1 {
        title: p.title.clone(),
        description: p.description.as_ref().map(Sealed::plain),
        contact_id: p.contact_id.clone(),
        service_site: p.site_id.clone().filter(|s| t.service_site.as_ref() != Some(s)),
        old_serial: serial.as_ref().and(t.serial.clone()),
        serial: serial.clone(),
        product_id,
        down_since: p.down_since.filter(|d| t.down_since.as_ref() != Some(d)),
    };
    if changes_nothing(&amended) {
        return Err(Rejection::invalid("payload", "changes nothing: name at least one field with a new value"));
    }
    let mut events: Vec<Event> = vec![amended.into()];
    if let Some(about) = about {
        events.push(warranty::checked_again(facts, t, about, unit.as_deref(), ctx).into());
    }
    Ok(case.decided(role, events))
}

fn new_product(unit: Option<&Unit>, now: Option<&ProductId>) -> Option<ProductId> {
    unit.map(|u| &u.product_id).filter(|p| Some(*p) != now).cloned()
}

/// Who gives title, description or contact says that they are others: they are not compared.
fn changes_nothing(a: &TicketAmendedV1) -> bool {
    a.title.is_none()
        && a.description.is_none()
        && a.contact_id.is_none()
        && a.service_site.is_none()
        && a.serial.is_none()
        && a.product_id.is_none()
        && a.down_since.is_none()
}

#[cfg(test)]
mod tests {
    use crate::fixture::*;
    use crate::known::Unit;
    use mw_contract::{Commercial, ErrorCode, TicketState, WarrantyStatus};
    use serde_json::json;

    #[test]
    fn tk_02_a_new_serial_is_checked_again() {
        let mut w = World::new();
        w.plant.unit(Unit { warranty: None, ..unit("SN-9") });
        let id = w.opened();
        w.dispatcher("ticket.check-warranty", id, json!({})).unwrap();
        assert_eq!(w.ticket(id).warranty.status, WarrantyStatus::InWarranty);
        let d = w.dispatcher("ticket.amend", id, json!({"serial": "SN-9"})).unwrap();
        assert_eq!(names(&d), ["TicketAmended", "WarrantyChecked"]);
        assert_eq!((&data(&d, 0)["old_serial"], &data(&d, 0)["serial"]), (&json!("SN-1"), &json!("SN-9")));
        assert_eq!(data(&d, 1)["status"], "out_of_warranty");
        assert_eq!(w.ticket(id).commercial, Commercial::QuoteRequired);
        let d = w.dispatcher("ticket.amend", id, json!({"serial": "SN-404"})).unwrap();
        assert_eq!(data(&d, 1)["status"], "unknown_unit");
    }

    #[test]
    fn tk_02_what_does_not_touch_the_unit_leaves_the_warranty() {
        let mut w = World::new();
        let id = w.opened();
        let p = json!({"title": "pump leaks", "description": "since Monday", "site_id": "works-2",
            "down_since": "2026-03-01T10:00:00.000Z", "serial": "SN-1"});
        let d = w.dispatcher("ticket.amend", id, p).unwrap();
        assert_eq!(names(&d), ["TicketAmended"]);
        assert_eq!((&data(&d, 0)["serial"], &data(&d, 0)["service_site"]), (&json!(null), &json!("works-2")));
        assert!(d.events[0].1.encode().is_err(), "the description is sealed text");
        assert_eq!(code(w.dispatcher("ticket.amend", id, json!({"site_id": "works-2"}))), ErrorCode::Validation);
        let future = json!({"down_since": "2026-03-02T08:00:01.000Z"});
        assert_eq!(code(w.dispatcher("ticket.amend", id, future)), ErrorCode::Validation);
    }

    #[test]
    fn tk_02_a_customer_amends_its_own_until_somebody_is_on_it() {
        let mut w = World::new();
        let p = || json!({"title": "pump leaks"});
        for (state, ok) in [
            (TicketState::New, true),
            (TicketState::Triaged, true),
            (TicketState::Assigned, false),
            (TicketState::Resolved, false),
        ] {
            let id = w.in_state(state);
            let r = w.run(&customer(), "ticket.amend", id, p());
            assert_eq!(r.is_ok(), ok, "{state}");
            assert_eq!(code(w.run(&customer_of("customer-2", "other"), "ticket.amend", id, p())), ErrorCode::NotFound);
            w.dispatcher("ticket.amend", id, p()).unwrap();
        }
        for state in [TicketState::Closed, TicketState::Cancelled] {
            let id = w.in_state(state);
            assert_eq!(code(w.dispatcher("ticket.amend", id, p())), ErrorCode::InvalidState);
        }
        let id = w.in_state(TicketState::Assigned);
        w.technician("ticket.amend", id, p()).unwrap();
        let other = technician_named("technician-2");
        assert_eq!(code(w.run(&other, "ticket.amend", id, p())), ErrorCode::Forbidden);
        let id = w.opened();
        assert_eq!(rule(w.run(&customer(), "ticket.amend", id, json!({"serial": "SN-2"}))), "TK-01.R2");
    }
}
