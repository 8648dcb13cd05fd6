//! TK-01 `ticket.open`: somebody reports something. Who reports a case that is open already, by its
//! dedupe key, hears of that one, and it is counted there.

use mw_contract::command::ticket::OpenTicket;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::{TicketOccurrenceAddedV1, TicketOpenedV1};
use mw_contract::event::ticket_parts::TicketAlarmV1;
use mw_contract::reference::catalogues;
use mw_contract::{
    AggregateId, AggregateKind, Commercial, CustomerId, Event, FieldError, ProductId, Rejection, Role, Sealed, Seconds,
    SiteId, StreamId, Text, TicketKind, Warning,
};

use super::warranty::{self, Check, Found};
use crate::known::Unit;
use crate::rules::{Facts, Holds, all_valid, authorise, check_file, exists};
use crate::state::AfterServiceState;

/// The most entries of a list in one report.
const MOST: usize = 50;

/// The longest that work on one ticket is estimated: a year.
pub(super) const MOST_EFFORT: u64 = 366 * 24 * 3_600;

/// Decides TK-01.
pub fn open(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &OpenTicket,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let kind = p.kind.unwrap_or(TicketKind::CustomerRepair);
    // What a customer reports is its own, unless it says otherwise and is refused.
    let customer = p.customer_id.clone().or_else(|| ctx.actor.customer_id.clone());
    let role = authorise(ctx, Holds { own: is_own(kind, customer.as_ref(), ctx), ..Holds::default() })?;
    let site = ctx.site.ok_or_else(|| Rejection::invalid("site", "a ticket is opened on the topic of its site"))?;
    if *state != AfterServiceState::None {
        return Err(exists(format!("ticket {} exists already", ctx.aggregate_id)));
    }
    all_valid(shape(p, kind, customer.as_ref(), ctx))?;
    let outside = matches!(role, Role::Customer | Role::Operator);
    if outside && (p.plan_id.is_some() || (role == Role::Customer && p.alarm.is_some())) {
        return Err(Rejection::forbidden("plans and alarms open tickets of their own, not through you"));
    }
    if let Some(s) = &p.symptom {
        facts.check_code(catalogues::SYMPTOM, s.as_str(), "payload.symptom")?;
    }
    if p.serial.is_none() && p.product_id.is_none() && p.equipment_id.is_none() {
        let message = "say what it is about: a serial, a product_id or an equipment_id";
        return Err(Rejection::guard("TK-01.R1", message));
    }
    if customer.is_none() && p.equipment_id.is_none() {
        let message = "an internal ticket names its machine: equipment_id";
        return Err(Rejection::guard("TK-01.R4", message).at("payload.equipment_id"));
    }
    let mut warnings = Vec::new();
    check_machine(facts, p, site, &mut warnings)?;
    check_customer(facts, customer.as_ref(), role)?;
    let unit = unit_of(facts, p, customer.as_ref(), role, &mut warnings)?;
    check_product(facts, p.product_id.as_ref(), unit.as_deref())?;
    check_follows(facts, p, site, customer.as_ref())?;

    let alarm =
        p.alarm.as_ref().map(|a| TicketAlarmV1 { alarm_id: a.alarm_id, code: a.code.clone(), raised_at: a.raised_at });
    // R3: it is open already.
    let known = p.dedupe_key.as_ref().and_then(|k| facts.desk.open_with_key(site, customer.as_ref(), k));
    if let Some((id, count)) = known {
        let again = TicketOccurrenceAddedV1 {
            count: count.saturating_add(1),
            channel: p.channel,
            description: p.description.as_ref().map(Sealed::plain),
            alarm,
            dedupe_key: p.dedupe_key.clone(),
        };
        return Ok(reported_again(id, role, again));
    }
    let opened = TicketOpenedV1 {
        number: next_number(facts, ctx)?,
        site_id: site.clone(),
        kind,
        channel: p.channel,
        title: p.title.clone(),
        description: p.description.as_ref().map(Sealed::plain),
        customer_id: customer.clone(),
        contact_id: p.contact_id.clone(),
        service_site: p.site_id.clone(),
        serial: p.serial.clone(),
        product_id: p.product_id.clone().or_else(|| unit.as_ref().map(|u| u.product_id.clone())),
        equipment_id: p.equipment_id,
        severity: p.severity,
        symptom: p.symptom.clone(),
        down_since: p.down_since,
        preferred_windows: p.preferred_windows.clone().unwrap_or_default(),
        attachments: p.attachments.clone().unwrap_or_default(),
        alarm,
        dedupe_key: p.dedupe_key.clone(),
        plan_id: p.plan_id,
        follows: p.follows,
        checklist: p.checklist.clone().unwrap_or_default(),
        estimated_effort: p.estimated_effort.map(Seconds),
        signature_required: p.signature_required.unwrap_or(false),
    };
    let mut events: Vec<Event> = vec![opened.into()];
    if let Some(serial) = &p.serial {
        let about = Check {
            ticket_id: ctx.aggregate_id,
            serial: Some(serial),
            unit: unit.as_deref(),
            customer: customer.as_ref(),
            as_of: ctx.occurred_at.date_in(&facts.time_zone(ctx)),
            commercial: Commercial::NotRequired,
        };
        events.push(warranty::check_of(facts, &about).into());
    }
    let stream = StreamId::new(AggregateKind::Ticket, ctx.aggregate_id);
    Ok(Decision { warnings, ..Decision::on(stream, role, events) })
}

/// R3: a ticket that is open already hears of it once more, and answers.
pub(super) fn reported_again(id: AggregateId, role: Role, again: TicketOccurrenceAddedV1) -> Decision {
    let stream = StreamId::new(AggregateKind::Ticket, id);
    Decision { existing: Some(id), ..Decision::on(stream, role, [again.into()]) }
}

/// The number of a ticket that is opened now.
pub(super) fn next_number(facts: &Facts<'_>, ctx: &DecisionContext<'_>) -> Result<Text<20>, Rejection> {
    let year = u16::try_from(ctx.occurred_at.year()).unwrap_or_default();
    facts.desk.next_number(year).ok_or_else(|| exists(format!("the ticket numbers of {year} are used up")))
}

/// A customer's own tickets are those of its company, an operator's the internal ones.
fn is_own(kind: TicketKind, customer: Option<&CustomerId>, ctx: &DecisionContext<'_>) -> bool {
    match &ctx.actor.customer_id {
        Some(own) => customer == Some(own) && kind != TicketKind::InternalMaintenance,
        None => customer.is_none() && kind == TicketKind::InternalMaintenance,
    }
}

fn shape(
    p: &OpenTicket,
    kind: TicketKind,
    customer: Option<&CustomerId>,
    ctx: &DecisionContext<'_>,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut wrong = |field: &str, why: &str| errors.push(FieldError::new(format!("payload.{field}"), why));
    match (kind, customer) {
        (TicketKind::InternalMaintenance, Some(_)) => wrong("customer_id", "an internal ticket has no customer"),
        (TicketKind::InternalMaintenance | TicketKind::Preventive, None) | (_, Some(_)) => {}
        (_, None) => wrong("customer_id", "is required unless the ticket is internal"),
    }
    if p.severity.is_some_and(|s| !(1..=4).contains(&s)) {
        wrong("severity", "is 1 (critical) to 4 (cosmetic)");
    }
    if p.down_since.is_some_and(|d| d > ctx.occurred_at) {
        wrong("down_since", "is not after the report");
    }
    if p.estimated_effort.is_some_and(|e| e > MOST_EFFORT) {
        wrong("estimated_effort", "is a year at most, in seconds");
    }
    if p.follows == Some(ctx.aggregate_id) {
        wrong("follows", "is another ticket");
    }
    let lists = [
        ("preferred_windows", p.preferred_windows.as_ref().map_or(0, Vec::len)),
        ("attachments", p.attachments.as_ref().map_or(0, Vec::len)),
        ("checklist", p.checklist.as_ref().map_or(0, Vec::len)),
    ];
    for (name, _) in lists.iter().filter(|(_, n)| *n > MOST) {
        wrong(name, "has at most 50 entries");
    }
    for (i, w) in p.preferred_windows.iter().flatten().enumerate().filter(|(_, w)| w.from >= w.to) {
        wrong(&format!("preferred_windows[{i}].to"), &format!("is after {}", w.from));
    }
    for (i, f) in p.attachments.iter().flatten().enumerate() {
        check_file(&mut errors, &format!("payload.attachments[{i}]"), f);
    }
    errors
}

fn warning(code: &str, message: String) -> Warning {
    Warning { code: code.to_owned(), message }
}

/// What is known of machines may be a moment behind, so one that is not known may be there.
fn check_machine(
    facts: &Facts<'_>,
    p: &OpenTicket,
    site: &SiteId,
    warnings: &mut Vec<Warning>,
) -> Result<(), Rejection> {
    let Some(id) = p.equipment_id else { return Ok(()) };
    match facts.known.machine(id) {
        Some(m) if m.site_id != *site => {
            Err(Rejection::not_found(format!("{site} has no equipment {id}")).at("payload.equipment_id"))
        }
        Some(_) => Ok(()),
        None => {
            warnings.push(warning("equipment_unknown", format!("equipment {id} is not known here yet")));
            Ok(())
        }
    }
}

fn check_customer(facts: &Facts<'_>, customer: Option<&CustomerId>, role: Role) -> Result<(), Rejection> {
    // A customer's account says whose it is; plans and alarms were checked when they were made.
    let Some(c) = customer.filter(|_| !matches!(role, Role::Customer | Role::System)) else { return Ok(()) };
    warranty::need_customer(facts, c, "payload.customer_id")
}

fn check_product(facts: &Facts<'_>, product: Option<&ProductId>, unit: Option<&Unit>) -> Result<(), Rejection> {
    let Some(product) = product.filter(|_| unit.is_none()) else { return Ok(()) };
    warranty::need_product(facts, product, "payload.product_id")
}

fn check_follows(
    facts: &Facts<'_>,
    p: &OpenTicket,
    site: &SiteId,
    customer: Option<&CustomerId>,
) -> Result<(), Rejection> {
    let Some(id) = p.follows else { return Ok(()) };
    let same_case = facts.desk.ticket(id).is_some_and(|t| t.site_id == *site && t.customer_id.as_ref() == customer);
    if same_case {
        return Ok(());
    }
    Err(Rejection::not_found(format!("there is no ticket {id} of this customer here")).at("payload.follows"))
}

/// R2: the unit that is named.
fn unit_of(
    facts: &Facts<'_>,
    p: &OpenTicket,
    customer: Option<&CustomerId>,
    role: Role,
    warnings: &mut Vec<Warning>,
) -> Result<Option<Box<Unit>>, Rejection> {
    let Some(serial) = &p.serial else { return Ok(None) };
    if role == Role::Customer && belongs_to_others(facts, serial, p.product_id.as_ref(), customer) {
        let message = format!("{serial} is not a unit of yours: check the number, or ask those who serve you");
        return Err(Rejection::guard("TK-01.R2", message).at("payload.serial"));
    }
    match warranty::find_unit(facts, serial, p.product_id.as_ref(), customer) {
        Found::Unit(u) => {
            if customer.is_some() && u.customer_id.as_ref() != customer {
                let whose = u.customer_id.as_ref().map_or("nobody".to_owned(), ToString::to_string);
                warnings.push(warning("unit_of_other_customer", format!("{serial} belongs to {whose}")));
            }
            Ok(Some(u))
        }
        Found::Unknown => {
            warnings.push(warning("unknown_unit", format!("no unit {serial} is known")));
            Ok(None)
        }
        Found::Several(products) => Err(warranty::ambiguous(serial, &products)),
    }
}

/// R2: is it a known unit, and not one of the customer's?
pub(super) fn belongs_to_others(
    facts: &Facts<'_>,
    serial: &mw_contract::Text<60>,
    product: Option<&ProductId>,
    customer: Option<&CustomerId>,
) -> bool {
    let units = facts.known.units(serial);
    let mut meant = units.iter().filter(|u| product.is_none_or(|p| u.product_id == *p)).peekable();
    meant.peek().is_some() && !meant.any(|u| u.customer_id.as_ref() == customer)
}

#[cfg(test)]
mod tests;
