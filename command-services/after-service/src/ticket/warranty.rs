//! TK-08 and TK-09: who bears the cost of a repair, and on what that stands.
//!
//! A check is also part of every decision that names a unit: [`check_of`].

use mw_contract::command::ticket::{CheckWarranty, OverrideWarranty};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::{TicketAmendedV1, WarrantyCheckedV1, WarrantyOverriddenV1};
use mw_contract::event::ticket_parts::{KnownUnitV1, WarrantyTermsV1};
use mw_contract::reference::{Customer, Document, Product, ServiceContract, catalogues};
use mw_contract::{
    AggregateId, CommandType, Commercial, CoverageBasis, CustomerId, Date, Event, Money, Percent, ProductId,
    ReferenceKind, Rejection, Role, Sealed, Text, WarrantyBasis, WarrantyStatus,
};

use crate::known::{Unit, UnitWarranty};
use crate::rules::{Case, Facts, agreed};
use crate::state::{AfterServiceState, Ticket};

/// Tickets of the same unit that a check names, at most; the latest ones.
const MOST_PREVIOUS: usize = 100;

/// The document of a customer.
pub(crate) fn customer_document(facts: &Facts<'_>, code: &CustomerId) -> Option<Customer> {
    match facts.known.document(ReferenceKind::Customer, code.as_str()).as_deref() {
        Some(Document::Customer(c)) => Some(c.clone()),
        _ => None,
    }
}

/// The document of a product.
pub(crate) fn product_document(facts: &Facts<'_>, code: &ProductId) -> Option<Product> {
    match facts.known.document(ReferenceKind::Product, code.as_str()).as_deref() {
        Some(Document::Product(p)) => Some(p.clone()),
        _ => None,
    }
}

/// Is there such a customer?
pub(crate) fn need_customer(facts: &Facts<'_>, code: &CustomerId, field: &str) -> Result<(), Rejection> {
    let missing = || Rejection::not_found(format!("there is no customer {code}")).at(field);
    customer_document(facts, code).map(drop).ok_or_else(missing)
}

/// Is there such a product?
pub(crate) fn need_product(facts: &Facts<'_>, code: &ProductId, field: &str) -> Result<(), Rejection> {
    let missing = || Rejection::not_found(format!("there is no product {code}")).at(field);
    product_document(facts, code).map(drop).ok_or_else(missing)
}

/// The contracts of a customer that hold for a unit on a day. A contract that lists products or units
/// holds for those only.
pub(crate) fn contracts<'a>(
    customer: &'a Customer,
    product: Option<&'a ProductId>,
    serial: Option<&'a Text<60>>,
    on: Date,
) -> impl Iterator<Item = &'a ServiceContract> {
    customer.contracts.iter().filter(move |c| {
        (c.from <= on && on <= c.to)
            && (c.products.is_empty() || product.is_some_and(|p| c.products.contains(p)))
            && (c.serials.is_empty() || serial.is_some_and(|s| c.serials.contains(s)))
    })
}

/// What a serial number names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Found {
    /// This unit.
    Unit(Box<Unit>),
    /// Nothing that is known.
    Unknown,
    /// Units of several products.
    Several(Vec<ProductId>),
}

/// The unit of a serial number, of a product where one is named. Of several the customer's own counts.
pub(crate) fn find_unit(
    facts: &Facts<'_>,
    serial: &Text<60>,
    product: Option<&ProductId>,
    customer: Option<&CustomerId>,
) -> Found {
    let mut units = facts.known.units(serial);
    units.retain(|u| product.is_none_or(|p| u.product_id == *p));
    let own = |u: &Unit| customer.is_some() && u.customer_id.as_ref() == customer;
    if units.len() > 1 && units.iter().any(own) {
        units.retain(own);
    }
    match units.len() {
        0 => Found::Unknown,
        1 => units.pop().map_or(Found::Unknown, |u| Found::Unit(Box::new(u))),
        _ => Found::Several(units.into_iter().map(|u| u.product_id).collect()),
    }
}

/// Which of several products is meant?
pub(crate) fn ambiguous(serial: &Text<60>, products: &[ProductId]) -> Rejection {
    let products: Vec<&str> = products.iter().map(ProductId::as_str).collect();
    let message = format!("units of several products have the serial number {serial}: name one of {products:?}");
    Rejection::invalid("payload.product_id", message).with("products", products)
}

/// What a check is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Check<'a> {
    /// The ticket.
    pub ticket_id: AggregateId,
    /// The unit as it was told, if it was.
    pub serial: Option<&'a Text<60>>,
    /// The unit, where it is known.
    pub unit: Option<&'a Unit>,
    /// Whose case it is; none for internal ones.
    pub customer: Option<&'a CustomerId>,
    /// The day that counts.
    pub as_of: Date,
    /// Whether the customer pays, as it stands.
    pub commercial: Commercial,
}

/// TK-08: decides who bears the cost.
pub(crate) fn check_of(facts: &Facts<'_>, check: &Check<'_>) -> WarrantyCheckedV1 {
    let (status, terms) = match check.unit {
        None => (WarrantyStatus::UnknownUnit, None),
        Some(u) => status_of(facts, u, check),
    };
    WarrantyCheckedV1 {
        status,
        serial: check.serial.cloned(),
        as_of: check.as_of,
        terms,
        unit: check.unit.map(|u| known(facts, u, check.ticket_id)),
        commercial: commercial(check.commercial, status.covers(), check.customer.is_none()),
    }
}

fn status_of(facts: &Facts<'_>, u: &Unit, check: &Check<'_>) -> (WarrantyStatus, Option<WarrantyTermsV1>) {
    let terms = u.warranty.as_ref().map(|w| terms_of(u, w));
    if u.warranty.as_ref().is_some_and(|w| w.void) {
        return (WarrantyStatus::Void, terms);
    }
    let customer = check.customer.and_then(|c| customer_document(facts, c));
    let contract =
        customer.as_ref().and_then(|c| contracts(c, Some(&u.product_id), Some(&u.serial), check.as_of).next());
    if let Some(c) = contract {
        return (WarrantyStatus::Contract, Some(terms_of_contract(c)));
    }
    let within = terms.as_ref().is_some_and(|t| {
        let counted = t.counter_value.zip(t.counter_limit).is_none_or(|(value, limit)| value <= limit);
        t.warranty_end.is_some_and(|end| check.as_of <= end) && counted
    });
    (if within { WarrantyStatus::InWarranty } else { WarrantyStatus::OutOfWarranty }, terms)
}

fn terms_of(u: &Unit, w: &UnitWarranty) -> WarrantyTermsV1 {
    let counter = w.counter.as_ref();
    let value = counter.and_then(|(name, _)| u.counters.iter().find(|(n, _)| n == name)).map(|(_, v)| *v);
    WarrantyTermsV1 {
        basis: match w.basis {
            WarrantyBasis::ShipDate => CoverageBasis::ShipDate,
            WarrantyBasis::Installation => CoverageBasis::InstallDate,
            WarrantyBasis::Extension => CoverageBasis::Extension,
        },
        warranty_start: Some(w.start),
        warranty_end: Some(w.end),
        counter_name: counter.map(|(name, _)| name.clone()),
        counter_limit: counter.map(|(_, limit)| *limit),
        counter_value: value,
        contract: None,
    }
}

fn terms_of_contract(c: &ServiceContract) -> WarrantyTermsV1 {
    WarrantyTermsV1 {
        basis: CoverageBasis::Contract,
        warranty_start: Some(c.from),
        warranty_end: Some(c.to),
        counter_name: None,
        counter_limit: None,
        counter_value: None,
        contract: Some(c.code.clone()),
    }
}

fn known(facts: &Facts<'_>, u: &Unit, ticket_id: AggregateId) -> KnownUnitV1 {
    let mut previous_tickets = facts.desk.tickets_of(&u.serial, Some(&u.product_id));
    previous_tickets.retain(|id| *id != ticket_id);
    previous_tickets.drain(..previous_tickets.len().saturating_sub(MOST_PREVIOUS));
    KnownUnitV1 {
        unit_id: u.unit_id,
        product_id: u.product_id.clone(),
        work_order_id: u.work_order_id,
        work_order_number: u.work_order_number.clone(),
        lot: u.lot.clone(),
        line_id: u.line_id.clone(),
        produced_at: u.produced_at,
        open_recalls: u.open_recalls.clone(),
        previous_tickets,
    }
}

/// Does the customer have to be asked? What it has answered already stands.
fn commercial(now: Commercial, covered: bool, internal: bool) -> Commercial {
    match now {
        _ if covered || internal => Commercial::NotRequired,
        Commercial::NotRequired => Commercial::QuoteRequired,
        answered => answered,
    }
}

/// Decides TK-08.
pub fn check(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &CheckWarranty,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketCheckWarranty, ctx)?;
    let t = case.ticket;
    let serial = match (&p.serial, &t.serial) {
        (Some(given), Some(has)) if given != has => {
            let message = format!("the ticket is about {has}: amend it first");
            return Err(Rejection::invalid("payload.serial", message));
        }
        (given, has) => given.as_ref().or(has.as_ref()),
    };
    // A unit that nobody has named is as unknown as one that is not found.
    let found = serial.map(|s| (s, find_unit(facts, s, t.product_id.as_ref(), t.customer_id.as_ref())));
    let unit = match found {
        Some((_, Found::Unit(u))) => Some(u),
        Some((_, Found::Unknown)) | None => None,
        Some((s, Found::Several(products))) => return Err(ambiguous(s, &products)),
    };
    let mut events: Vec<Event> = Vec::new();
    let mut commercial = t.commercial;
    if let (None, Some(serial)) = (&t.serial, serial) {
        events.push(names_unit(serial, unit.as_deref()).into());
        commercial = Commercial::NotRequired;
    }
    let as_of = p.as_of.unwrap_or_else(|| t.opened_at.date_in(&facts.time_zone(ctx)));
    let about = Check {
        ticket_id: ctx.aggregate_id,
        serial,
        unit: unit.as_deref(),
        customer: t.customer_id.as_ref(),
        as_of,
        commercial,
    };
    events.push(check_of(facts, &about).into());
    Ok(case.decided(role, events))
}

/// The unit was not named until now.
fn names_unit(serial: &Text<60>, unit: Option<&Unit>) -> TicketAmendedV1 {
    TicketAmendedV1 {
        title: None,
        description: None,
        contact_id: None,
        service_site: None,
        old_serial: None,
        serial: Some(serial.clone()),
        product_id: unit.map(|u| u.product_id.clone()),
        down_since: None,
    }
}

/// Decides TK-09.
pub fn override_(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &OverrideWarranty,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketOverrideWarranty, ctx)?;
    use WarrantyStatus as S;
    if !matches!(p.status, S::Goodwill | S::OutOfWarranty | S::InWarranty) {
        return Err(Rejection::invalid("payload.status", "is goodwill, out_of_warranty or in_warranty"));
    }
    let (reason, _) = facts.need_reason(catalogues::TICKET, p.reason.as_ref(), p.note.as_ref())?;
    let second = agreed(ctx, p.approver.as_ref(), &[Role::Dispatcher, Role::Admin])?;
    if p.status == S::Goodwill && !second && above_limit(facts, p, ctx) {
        let message = "goodwill of this cost needs a second person: name the dispatcher or admin who agrees";
        return Err(Rejection::guard("TK-09", message).at("payload.approver"));
    }
    let all = all_of_it()?;
    let coverage_pct = match p.status {
        S::OutOfWarranty => Percent::ZERO,
        _ => p.coverage_pct.unwrap_or(all),
    };
    let t = case.ticket;
    let overridden = WarrantyOverriddenV1 {
        old: t.warranty.status,
        new: p.status,
        reason,
        note: p.note.as_ref().map(Sealed::plain),
        coverage_pct,
        approver: p.approver.clone(),
        // What is covered in part only is for the customer to agree to.
        commercial: commercial(t.commercial, coverage_pct == all, t.is_internal()),
    };
    Ok(case.decided(role, vec![overridden.into()]))
}

/// Costs it more than one person may give away? What nobody has estimated may cost anything.
fn above_limit(facts: &Facts<'_>, p: &OverrideWarranty, ctx: &DecisionContext<'_>) -> bool {
    let Some(limit) = facts.settings(ctx).goodwill_limit else { return false };
    let within = |cost: &Money| cost.currency == limit.currency && cost.amount <= limit.amount;
    !p.estimated_cost.as_ref().is_some_and(within)
}

fn all_of_it() -> Result<Percent, Rejection> {
    "100".parse().map_err(|e: String| Rejection::invalid("payload.coverage_pct", e))
}

/// The check that follows when the ticket's unit or product is another one.
pub(crate) fn checked_again(
    facts: &Facts<'_>,
    ticket: &Ticket,
    serial: &Text<60>,
    unit: Option<&Unit>,
    ctx: &DecisionContext<'_>,
) -> WarrantyCheckedV1 {
    // What was agreed for another unit does not hold for this one.
    let same = ticket.serial.as_ref() == Some(serial);
    check_of(
        facts,
        &Check {
            ticket_id: ctx.aggregate_id,
            serial: Some(serial),
            unit,
            customer: ticket.customer_id.as_ref(),
            as_of: ticket.opened_at.date_in(&facts.time_zone(ctx)),
            commercial: if same { ticket.commercial } else { Commercial::NotRequired },
        },
    )
}

#[cfg(test)]
mod tests;
