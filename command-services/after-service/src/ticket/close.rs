//! TK-41 `ticket.confirm` and TK-42 `ticket.close`: the case is over, and this is what it took.

use mw_contract::command::ticket::{CloseTicket, ConfirmResolution};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::{ResolutionConfirmedV1, TicketClosedV1};
use mw_contract::event::ticket_parts::{EvidenceV1, PartUseV1, TicketTotalsV1};
use mw_contract::{
    CloseReason, CommandType, Commercial, Coverage, Instant, LogActivity, Money, Number, Qty, Rejection, Role, Sealed,
    Seconds, Text, Verification,
};

use crate::rules::{Case, Facts, all_valid, check_file, not_before};
use crate::state::{AfterServiceState, Ticket};

/// Decides TK-41. A dispatcher acts for the customer and says how it agreed.
pub fn confirm(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &ConfirmResolution,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketConfirm, ctx)?;
    let on_behalf = !case.by_customer(role);
    let mut errors = Vec::new();
    if let Some(f) = &p.evidence_file {
        check_file(&mut errors, "payload.evidence_file", f);
    }
    all_valid(errors)?;
    if on_behalf && p.evidence.is_none() && p.evidence_file.is_none() {
        return Err(Rejection::invalid("payload.evidence", "is needed: say how the customer agreed, or give a file"));
    }
    tested(&case, "TK-41.R1")?;
    let evidence = (p.evidence.is_some() || p.evidence_file.is_some())
        .then(|| EvidenceV1 { text: p.evidence.as_ref().map(Sealed::plain), file: p.evidence_file.clone() });
    let confirmed = ResolutionConfirmedV1 { on_behalf, evidence };
    let closed = closed(&case, CloseReason::Confirmed, None)?;
    Ok(case.decided(role, vec![confirmed.into(), closed.into()]))
}

/// Decides TK-42. Only time closes a ticket by itself.
pub fn close(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &CloseTicket,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = Case::find(facts, state, ctx)?.authorise(false)?;
    let case = Case::open(facts, state, CommandType::TicketClose, ctx)?;
    match p.reason {
        CloseReason::Confirmed => {
            let message = "is for ticket.confirm: a ticket is closed as auto, no_answer or manual";
            return Err(Rejection::invalid("payload.reason", message));
        }
        CloseReason::Auto if role != Role::System => {
            return Err(Rejection::invalid("payload.reason", "is for the system: say no_answer or manual"));
        }
        _ => {}
    }
    tested(&case, "TK-42")?;
    let closed = closed(&case, p.reason, p.note.as_ref())?;
    Ok(case.decided(role, vec![closed.into()]))
}

/// TK-41.R1: a repair that somebody has to test is not over before.
fn tested(case: &Case<'_>, rule: &'static str) -> Result<(), Rejection> {
    if case.ticket.verification == Verification::Pending {
        return Err(Rejection::guard(rule, "the repair has to be verified first"));
    }
    Ok(())
}

fn closed(case: &Case<'_>, reason: CloseReason, note: Option<&Text<2000>>) -> Result<TicketClosedV1, Rejection> {
    if let Some(r) = &case.ticket.resolution {
        not_before(case.ctx.occurred_at, r.at, "it would be closed before it was resolved")?;
    }
    Ok(TicketClosedV1 {
        reason,
        note: note.map(Sealed::plain),
        totals: totals(case.ticket, case.ctx.occurred_at),
        first_time_fix: first_time_fix(case.ticket),
    })
}

/// What all cycles together took: labour from sessions and logs, travel, parts by who pays.
fn totals(ticket: &Ticket, now: Instant) -> TicketTotalsV1 {
    let worked = ticket.sessions.iter().map(|s| Seconds::between(s.started_at, s.ended_at.unwrap_or(now)).0);
    let worked: u64 = worked.sum();
    let logged = |keep: &dyn Fn(LogActivity, bool) -> bool| -> u64 {
        let logs = ticket.logs.values().map(|l| &l.log).filter(|l| keep(l.activity, l.chargeable));
        logs.map(|l| Seconds::between(l.start, l.end).0).sum()
    };
    let charged_logs = logged(&|a, chargeable| a != LogActivity::Travel && chargeable);
    let covered_logs = logged(&|a, chargeable| a != LogActivity::Travel && !chargeable);
    let trips = ticket.trips.iter().map(|t| Seconds::between(t.started_at, t.ended_at.unwrap_or(now)).0);
    let travel: u64 = trips.sum::<u64>() + logged(&|a, _| a == LogActivity::Travel);
    let covered = covered_share(ticket, worked);
    let cost = |keep: &dyn Fn(Coverage) -> bool| {
        Ticket::sums(ticket.parts.consumed.iter().filter(|c| keep(c.coverage)).filter_map(cost))
    };
    TicketTotalsV1 {
        labour: Seconds(worked + charged_logs + covered_logs),
        travel: Seconds(travel),
        covered_labour: Seconds(covered + covered_logs),
        charged_labour: Seconds(worked - covered + charged_logs),
        parts_cost: cost(&|_| true),
        covered_parts: cost(&|c| c != Coverage::Chargeable),
        charged_parts: cost(&|c| c == Coverage::Chargeable),
    }
}

/// How much of the time in sessions the customer does not pay: what warranty, contract or goodwill bear,
/// and all of it where the customer never agreed to pay.
fn covered_share(ticket: &Ticket, worked: u64) -> u64 {
    if ticket.warranty.status.covers() {
        let all = Qty::whole(u32::try_from(worked).unwrap_or(u32::MAX));
        let part = all.percent(ticket.warranty.coverage_pct).decimal().trunc().mantissa();
        return u64::try_from(part).unwrap_or(worked).min(worked);
    }
    if ticket.commercial == Commercial::Approved { 0 } else { worked }
}

fn cost(part: &PartUseV1) -> Option<Money> {
    let one = part.unit_cost?;
    let amount = one.amount.decimal().checked_mul(part.qty.decimal())?.round_dp(6);
    Some(Money { amount: Number::new(amount)?, ..one })
}

/// K-24, as far as this ticket tells: one visit at most, and it never came back.
fn first_time_fix(ticket: &Ticket) -> bool {
    let visits = ticket.visits.iter().filter(|v| v.done).count();
    let arrivals = ticket.trips.iter().filter(|t| t.arrived).count();
    ticket.cycle == 1 && visits.max(arrivals) <= 1
}
