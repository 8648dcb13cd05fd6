//! Which policy a ticket has, and its copy.

use std::collections::BTreeMap;

use mw_contract::decide::DecisionContext;
use mw_contract::event::ticket_parts::{ClockTargetV1, PolicyV1};
use mw_contract::reference::{Document, SlaPolicy, SlaTarget};
use mw_contract::{Code, CustomerId, ProductId, ReferenceKind, Seconds, SlaClock, Text};

use crate::rules::Facts;
use crate::state::Ticket;
use crate::ticket::warranty;

/// What a policy is chosen by.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Whose case it is.
    pub customer: Option<&'a CustomerId>,
    /// The unit's product.
    pub product: Option<&'a ProductId>,
    /// The unit.
    pub serial: Option<&'a Text<60>>,
    /// How urgent it is; none as long as nobody has said.
    pub priority: Option<u8>,
}

impl<'a> Subject<'a> {
    /// Of a ticket.
    pub fn of(ticket: &'a Ticket) -> Self {
        Subject {
            customer: ticket.customer_id.as_ref(),
            product: ticket.product_id.as_ref(),
            serial: ticket.serial.as_ref(),
            priority: ticket.priority,
        }
    }
}

/// TK-05.R2: the policy of the customer's contract for the unit, else of the customer, the product, the
/// site, else `standard`, with the targets of the priority. None where there is none of them, or its
/// calendar is not there.
pub(super) fn choose(facts: &Facts<'_>, ctx: &DecisionContext<'_>, subject: &Subject<'_>) -> Option<PolicyV1> {
    let (code, policy) = candidates(facts, ctx, subject).into_iter().find_map(|code| {
        match facts.known.document(ReferenceKind::SlaPolicy, code.as_str()).as_deref() {
            Some(Document::SlaPolicy(p)) => Some((code, p.clone())),
            _ => None,
        }
    })?;
    let calendar = match facts.known.document(ReferenceKind::Calendar, policy.calendar.as_str()).as_deref() {
        Some(Document::Calendar(c)) => mw_calendar::snapshot(policy.calendar.clone(), c)?,
        _ => return None,
    };
    Some(PolicyV1 {
        policy_code: code,
        calendar,
        targets: targets(&policy, subject.priority),
        response_by_assignment: policy.response_by_assignment,
        approval_pauses: policy.approval_pauses,
        workshop_from_receipt: policy.workshop_from_receipt,
    })
}

fn candidates(facts: &Facts<'_>, ctx: &DecisionContext<'_>, subject: &Subject<'_>) -> Vec<Code> {
    let mut codes = Vec::new();
    if let Some(customer) = subject.customer.and_then(|c| warranty::customer_document(facts, c)) {
        let today = ctx.occurred_at.date_in(&facts.time_zone(ctx));
        let contracts = warranty::contracts(&customer, subject.product, subject.serial, today);
        codes.extend(contracts.filter_map(|c| c.sla_policy.clone()));
        codes.extend(customer.sla_policy.clone());
    }
    codes.extend(subject.product.and_then(|p| warranty::product_document(facts, p)).and_then(|p| p.sla_policy));
    codes.extend(facts.settings(ctx).sla_policy);
    codes.extend(Code::new("standard").ok());
    codes
}

/// Of each clock the target of the priority, else the one for all others.
fn targets(policy: &SlaPolicy, priority: Option<u8>) -> Vec<ClockTargetV1> {
    let mut chosen: BTreeMap<SlaClock, &SlaTarget> = BTreeMap::new();
    for t in policy.targets.iter().filter(|t| t.priority.is_none() || t.priority == priority) {
        let better = chosen.get(&t.clock).is_none_or(|c| c.priority.is_none() && t.priority.is_some());
        if better {
            chosen.insert(t.clock, t);
        }
    }
    let target = |t: &SlaTarget| ClockTargetV1 {
        clock: t.clock,
        target: Seconds(u64::from(t.minutes) * 60),
        warn_pct: t.warn_pct.clone(),
    };
    chosen.into_values().map(target).collect()
}
