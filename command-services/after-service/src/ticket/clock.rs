//! SLA warnings and breaches: the time of a clock has come. The timers are elsewhere and may be late or
//! stale, so the clock itself is asked; a timer for what no longer holds does nothing, and that is no
//! failure.

use mw_contract::command::ticket::{BreachSla, RaiseSlaWarning};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::ticket::{SlaBreachedV1, SlaWarningRaisedV1};
use mw_contract::{Event, Instant, Rejection, Seconds, SlaClock};

use crate::rules::{Case, Facts};
use crate::sla;
use crate::state::{AfterServiceState, Clock};

/// Decides `ticket.raise-sla-warning`.
pub fn warn(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &RaiseSlaWarning,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let case = Case::find(facts, state, ctx)?;
    let role = case.authorise(false)?;
    if !(1..=100).contains(&p.pct) {
        return Err(Rejection::invalid("payload.pct", "is 1 to 100"));
    }
    let came = sla::used_up_at(&case.ticket.sla, p.clock, p.pct).is_some_and(|at| at <= now(ctx));
    let clock = running(&case, p.clock, p.cycle).filter(|c| came && !c.breached && !c.warned.contains(&p.pct));
    let raised: Option<Event> = clock.map(|c| SlaWarningRaisedV1 { clock: p.clock, pct: p.pct, due: c.due }.into());
    Ok(case.decided(role, raised.into_iter().collect()))
}

/// Decides `ticket.breach-sla`.
pub fn breach(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    p: &BreachSla,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let case = Case::find(facts, state, ctx)?;
    let role = case.authorise(false)?;
    let due = running(&case, p.clock, p.cycle).filter(|c| !c.breached).and_then(|c| c.due).filter(|d| *d <= now(ctx));
    let breached: Option<Event> = due.map(|due| {
        let left = sla::left(&case.ticket.sla, p.clock, now(ctx)).unwrap_or(0);
        let by = Seconds(u64::try_from(left.saturating_neg()).unwrap_or(0));
        SlaBreachedV1 { clock: p.clock, due, by }.into()
    });
    Ok(case.decided(role, breached.into_iter().collect()))
}

/// Timers go by the clock of the service. One that says when it fired is believed: the clocks of two
/// machines differ a little.
fn now(ctx: &DecisionContext<'_>) -> Instant {
    ctx.received_at.max(ctx.occurred_at)
}

/// The clock, when it runs in this cycle.
fn running<'a>(case: &Case<'a>, clock: SlaClock, cycle: u16) -> Option<&'a Clock> {
    let t = case.ticket;
    t.sla.clocks.get(&clock).filter(|c| t.cycle == cycle && c.since.is_some() && c.ended.is_none())
}

#[cfg(test)]
mod tests {
    use crate::fixture::*;
    use mw_contract::{AggregateId, ErrorCode};
    use serde_json::json;

    /// Opened on Monday at 09:00: first response due at 11:00, resolution at 17:00.
    fn opened(w: &mut World) -> AggregateId {
        let id = id(w.fresh());
        let p = json!({"channel": "phone", "title": "pump stands still", "customer_id": "acme", "serial": "SN-1"});
        w.dispatcher("ticket.open", id, p).unwrap();
        id
    }

    #[test]
    fn a_clock_breaches_once_when_its_time_is_used_up_and_counts_on() {
        let mut w = World::new();
        let id = opened(&mut w);
        let p = json!({"clock": "first_response", "cycle": 1});
        w.later(2 * HOUR - 1);
        assert!(w.run(&system(), "ticket.breach-sla", id, p.clone()).unwrap().events.is_empty(), "too early");
        w.later(1 + 10 * MINUTE);
        let d = w.run(&system(), "ticket.breach-sla", id, p.clone()).unwrap();
        assert_eq!(all_names(&d), ["SlaBreached"]);
        assert_eq!((&data(&d, 0)["due"], &data(&d, 0)["by"]), (&json!("2026-03-02T10:00:00.000Z"), &json!(600)));
        let clock = &w.ticket(id).sla.clocks[&mw_contract::SlaClock::FirstResponse];
        assert!(clock.breached && clock.since.is_some(), "it keeps counting");
        assert!(w.run(&system(), "ticket.breach-sla", id, p).unwrap().events.is_empty(), "once is enough");
    }

    #[test]
    fn a_timer_that_says_when_it_fired_is_believed() {
        let mut w = World::new();
        let id = opened(&mut w);
        w.later(2 * HOUR - 20);
        let fired = w.now.plus_millis(20);
        let p = json!({"clock": "first_response", "cycle": 1});
        let d = w.run_at(fired, &system(), "ticket.breach-sla", id, p).unwrap();
        assert_eq!(all_names(&d), ["SlaBreached"]);
    }

    #[test]
    fn a_warning_is_raised_once_a_share() {
        let mut w = World::new();
        let id = opened(&mut w);
        let warn = |w: &mut World, pct: u8| {
            let p = json!({"clock": "resolution", "cycle": 1, "pct": pct});
            w.run(&system(), "ticket.raise-sla-warning", id, p).unwrap()
        };
        w.later(6 * HOUR - 1);
        assert!(warn(&mut w, 75).events.is_empty());
        w.later(1);
        let d = warn(&mut w, 75);
        assert_eq!(
            (all_names(&d), &data(&d, 0)["due"]),
            (vec!["SlaWarningRaised"], &json!("2026-03-02T16:00:00.000Z"))
        );
        assert!(warn(&mut w, 75).events.is_empty() && warn(&mut w, 90).events.is_empty());
        w.later(DAY);
        assert_eq!(all_names(&warn(&mut w, 90)), ["SlaWarningRaised"], "late, but not breached yet");
    }

    #[test]
    fn stale_timers_do_nothing_and_are_no_failure() {
        let mut w = World::new();
        let id = opened(&mut w);
        let p = json!({"comment_id": e(1), "text": "we are on it", "visibility": "public"});
        w.dispatcher("ticket.comment", id, p).unwrap();
        w.later(3 * HOUR);
        for p in [
            json!({"clock": "first_response", "cycle": 1}),
            json!({"clock": "resolution", "cycle": 2}),
            json!({"clock": "on_site", "cycle": 1}),
        ] {
            assert!(w.run(&system(), "ticket.breach-sla", id, p).unwrap().events.is_empty());
        }
        let none = crate::fixture::id(0xffff);
        let p = json!({"clock": "resolution", "cycle": 1});
        assert_eq!(code(w.run(&system(), "ticket.breach-sla", none, p)), ErrorCode::NotFound);
    }
}
