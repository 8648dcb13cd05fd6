//! EQ-03 `equipment.start-downtime`, EQ-04 `equipment.end-downtime` and EQ-05
//! `equipment.classify-downtime`: when a machine stood still, and why.

use mw_contract::command::equipment::{ClassifyDowntime, EndDowntime, StartDowntime};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::equipment::{DowntimeClassifiedV1, DowntimeEndedV1, DowntimeSplitV1, DowntimeStartedV1};
use mw_contract::reference::{CatalogueEntry, catalogues};
use mw_contract::{EntityId, Event, LossCategory, ReasonCode, Rejection, Sealed, Seconds, Text, derived_entity};

use super::state::{Downtime, Equipment};
use super::{decided, machine, own_cell};
use crate::facts::Production;
use crate::rules::{Holds, authorise, check_reason, exists, need_reason};
use crate::state::ProductionState;

/// Decides EQ-03. One at a time: a machine can't stand still twice.
pub fn start(
    facts: &Production,
    state: &ProductionState,
    p: &StartDowntime,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let m = machine(state, ctx)?;
    let role = authorise(ctx, own_cell(m, ctx))?;
    if m.downtimes.contains_key(&p.downtime_id) {
        return Err(exists(format!("downtime {} is there already", p.downtime_id)).at("payload.downtime_id"));
    }
    if let Some((open, d)) = m.open_downtime() {
        let message = format!("{} stands still since {} already: end that downtime first", m.cell, d.started_at);
        return Err(Rejection::guard("EQ-03", message).with("downtime_id", open.to_string()));
    }
    let at = ctx.occurred_at;
    if let Some(d) = m.downtimes.values().find(|d| d.started_at <= at && d.ended_at.is_some_and(|end| at < end)) {
        let message = format!("{} stood still from {} until after that: begin later", m.cell, d.started_at);
        return Err(Rejection::guard("EQ-03", message).at("occurred_at"));
    }
    let (loss_category, planned) = category(facts, p.reason.as_ref(), p.note.as_ref())?;
    let started = DowntimeStartedV1 {
        downtime_id: p.downtime_id,
        cell_id: m.cell.clone(),
        reason: p.reason.clone(),
        loss_category,
        planned,
        work_order_id: p.work_order_id,
        op: p.op,
        note: p.note.as_ref().map(Sealed::plain),
    };
    Ok(decided(ctx, role, vec![started.into()]))
}

/// What a reason says of a downtime; without one it waits to be classified.
fn category(
    facts: &Production,
    reason: Option<&ReasonCode>,
    note: Option<&Text<2000>>,
) -> Result<(Option<LossCategory>, bool), Rejection> {
    let Some(code) = reason else { return Ok((None, false)) };
    let reason = check_reason(facts, catalogues::STOP, code, note, "payload.")?;
    Ok(reason.entry().map_or((None, false), |e| (e.loss_category, is_planned(e))))
}

/// A planned stop is planned unless its entry says otherwise.
fn is_planned(e: &CatalogueEntry) -> bool {
    e.planned.unwrap_or(e.loss_category == Some(LossCategory::PlannedStop))
}

fn known(m: &Equipment, id: EntityId) -> Result<&Downtime, Rejection> {
    m.downtimes.get(&id).ok_or_else(|| {
        Rejection::not_found(format!("{} has no downtime {id} of the last 40 days", m.cell)).at("payload.downtime_id")
    })
}

/// Decides EQ-04.
pub fn end(state: &ProductionState, p: &EndDowntime, ctx: &DecisionContext<'_>) -> Result<Decision, Rejection> {
    let m = machine(state, ctx)?;
    let role = authorise(ctx, own_cell(m, ctx))?;
    let d = known(m, p.downtime_id)?;
    if let Some(end) = d.ended_at {
        return Err(
            Rejection::invalid_state("equipment.end-downtime", "ended", &["open"]).with("ended_at", end.to_string())
        );
    }
    if ctx.occurred_at < d.started_at {
        let message = format!("it would end before it began, {}", d.started_at);
        return Err(Rejection::guard("EQ-04", message).with("not_before", d.started_at.to_string()));
    }
    let duration = Seconds::between(d.started_at, ctx.occurred_at);
    let ended = DowntimeEndedV1 { downtime_id: p.downtime_id, cell_id: m.cell.clone(), duration };
    Ok(decided(ctx, role, vec![ended.into()]))
}

/// Decides EQ-05. With `split_at` the time before it keeps the id and gets the reason; what comes
/// after is a downtime of its own with what was known before.
pub fn classify(
    facts: &Production,
    state: &ProductionState,
    p: &ClassifyDowntime,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let m = machine(state, ctx)?;
    let d = known(m, p.downtime_id)?;
    // An operator classifies what began in the same shift: without a shift calendar, the same day.
    let zone = facts.time_zone(&m.site_id);
    let own = d.started_at.date_in(zone) == ctx.received_at.date_in(zone);
    let role = authorise(ctx, Holds { own, ..Holds::default() })?;
    let mut events: Vec<Event> = Vec::new();
    if let Some(split_at) = p.split_at {
        let end = d.ended_at.unwrap_or(ctx.received_at);
        if split_at <= d.started_at || split_at >= end {
            let message = format!("split it between {} and {end}", d.started_at);
            return Err(Rejection::guard("EQ-05", message).at("payload.split_at"));
        }
        let new_downtime_id =
            p.new_downtime_id.unwrap_or_else(|| derived_entity(&format!("split:{}:{split_at}", p.downtime_id)));
        if m.downtimes.contains_key(&new_downtime_id) {
            return Err(exists(format!("downtime {new_downtime_id} is there already")).at("payload.new_downtime_id"));
        }
        let cell_id = m.cell.clone();
        events.push(DowntimeSplitV1 { downtime_id: p.downtime_id, cell_id, split_at, new_downtime_id }.into());
    }
    if p.reason.is_some() || p.split_at.is_none() {
        let (reason, entry) = need_reason(facts, catalogues::STOP, p.reason.as_ref(), p.note.as_ref())?;
        let classified = DowntimeClassifiedV1 {
            downtime_id: p.downtime_id,
            cell_id: m.cell.clone(),
            old_reason: d.reason.clone(),
            reason: reason.clone(),
            loss_category: entry.entry().and_then(|e| e.loss_category),
            planned: entry.entry().is_some_and(is_planned),
            note: p.note.as_ref().map(Sealed::plain),
        };
        events.push(classified.into());
    }
    Ok(decided(ctx, role, events))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{HOUR, MINUTE, World, code, data, detail, device, e, lead, names, operator, rule};
    use mw_contract::{AggregateId, ErrorCode, LossCategory};
    use serde_json::json;

    fn down(w: &mut World, m: AggregateId, n: u128) {
        w.lead("equipment.start-downtime", m, json!({"downtime_id": e(n)})).unwrap();
    }

    #[test]
    fn eq_03_a_machine_stands_still_once_at_a_time() {
        let (mut w, m) = World::with_machine();
        let p = json!({"downtime_id": e(1), "reason": "breakdown", "note": "smoke", "op": 10});
        let d = w.run(&device("cell-1"), "equipment.start-downtime", m, p.clone()).unwrap();
        let x = data(&d, 0);
        assert_eq!((&x["loss_category"], &x["planned"]), (&json!("breakdown"), &json!(false)));
        assert_eq!(code(w.lead("equipment.start-downtime", m, p)), ErrorCode::AlreadyExists);
        let second = w.lead("equipment.start-downtime", m, json!({"downtime_id": e(2)}));
        assert_eq!(detail(second.clone(), "downtime_id"), json!(e(1)));
        assert_eq!(rule(second), "EQ-03");
        w.later(HOUR);
        w.lead("equipment.end-downtime", m, json!({"downtime_id": e(1)})).unwrap();
        // What is reported later must not lie in what was reported.
        let inside =
            w.run_at(w.now.plus_millis(-MINUTE), &lead(), "equipment.start-downtime", m, json!({"downtime_id": e(3)}));
        assert_eq!(rule(inside), "EQ-03");
        down(&mut w, m, 3);
        let unknown = w.lead("equipment.start-downtime", m, json!({"downtime_id": e(4), "reason": "weather"}));
        assert_eq!(rule(unknown), "EQ-03");
    }

    #[test]
    fn eq_03_a_reason_is_one_of_the_catalogue() {
        let (mut w, m) = World::with_machine();
        let unknown = w.lead("equipment.start-downtime", m, json!({"downtime_id": e(4), "reason": "weather"}));
        assert_eq!(code(unknown), ErrorCode::ReasonUnknown);
    }

    #[test]
    fn eq_04_it_does_not_end_before_it_began() {
        let (mut w, m) = World::with_machine();
        down(&mut w, m, 1);
        let p = json!({"downtime_id": e(1)});
        assert_eq!(rule(w.run_at(w.now.plus_millis(-1), &lead(), "equipment.end-downtime", m, p.clone())), "EQ-04");
        w.later(90_000);
        let d = w.lead("equipment.end-downtime", m, p.clone()).unwrap();
        assert_eq!(data(&d, 0)["duration"], 90);
        assert_eq!(code(w.lead("equipment.end-downtime", m, p)), ErrorCode::InvalidState);
        assert_eq!(code(w.lead("equipment.end-downtime", m, json!({"downtime_id": e(9)}))), ErrorCode::NotFound);
    }

    #[test]
    fn eq_05_somebody_says_why_also_afterwards() {
        let (mut w, m) = World::with_machine();
        down(&mut w, m, 1);
        w.later(HOUR);
        w.lead("equipment.end-downtime", m, json!({"downtime_id": e(1)})).unwrap();
        let p = json!({"downtime_id": e(1), "reason": "no_material"});
        let d = w.run(&operator("operator-1"), "equipment.classify-downtime", m, p.clone()).unwrap();
        assert_eq!((&data(&d, 0)["old_reason"], &data(&d, 0)["loss_category"]), (&json!(null), &json!("logistics")));
        let d = w.lead("equipment.classify-downtime", m, json!({"downtime_id": e(1), "reason": "cleaning"})).unwrap();
        assert_eq!((&data(&d, 0)["old_reason"], &data(&d, 0)["planned"]), (&json!("no_material"), &json!(true)));
        assert_eq!(
            code(w.lead("equipment.classify-downtime", m, json!({"downtime_id": e(1)}))),
            ErrorCode::ReasonRequired
        );
        // The next day it is for others than the operator.
        w.later(24 * HOUR);
        assert_eq!(
            code(w.run(&operator("operator-1"), "equipment.classify-downtime", m, p.clone())),
            ErrorCode::Forbidden
        );
        w.lead("equipment.classify-downtime", m, p).unwrap();
    }

    #[test]
    fn eq_05_a_split_makes_two_that_follow_each_other() {
        let (mut w, m) = World::with_machine();
        down(&mut w, m, 1);
        let began = w.now;
        w.later(HOUR);
        let at = began.plus_millis(20 * MINUTE);
        let p = json!({"downtime_id": e(1), "reason": "breakdown", "split_at": at, "new_downtime_id": e(2)});
        for bad in [began, w.now, began.plus_millis(-1)] {
            let mut p = p.clone();
            p["split_at"] = json!(bad);
            assert_eq!(rule(w.lead("equipment.classify-downtime", m, p)), "EQ-05");
        }
        let d = w.lead("equipment.classify-downtime", m, p).unwrap();
        assert_eq!(names(&d), ["DowntimeSplit", "DowntimeClassified"]);
        let x = w.state(m);
        let x = x.equipment().unwrap();
        let (first, second) = (&x.downtimes[&e(1).parse().unwrap()], &x.downtimes[&e(2).parse().unwrap()]);
        assert_eq!((first.ended_at, first.loss_category), (Some(at), Some(LossCategory::Breakdown)));
        assert_eq!((second.started_at, second.ended_at, &second.reason), (at, None, &None));
        assert_eq!(x.open_downtime().unwrap().0, e(2).parse().unwrap());
        // Only a boundary, no reason: the second part is found by an id that follows from the first.
        w.later(HOUR);
        let p = json!({"downtime_id": e(2), "split_at": w.now.plus_millis(-MINUTE)});
        assert_eq!(names(&w.lead("equipment.classify-downtime", m, p).unwrap()), ["DowntimeSplit"]);
        assert_eq!(w.state(m).equipment().unwrap().downtimes.len(), 3);
    }

    #[test]
    fn what_ended_forty_days_ago_is_no_longer_looked_at() {
        const DAY: i64 = 24 * HOUR;
        let (mut w, m) = World::with_machine();
        let times = |w: &World| w.state(m).equipment().unwrap().downtimes.len();
        for (n, wait, left) in [(1, 40 * DAY - 1, 2), (2, 40 * DAY, 1), (3, 41 * DAY, 1)] {
            let mut w = w.clone();
            down(&mut w, m, n);
            w.later(HOUR);
            w.lead("equipment.end-downtime", m, json!({"downtime_id": e(n)})).unwrap();
            w.later(wait);
            down(&mut w, m, 10 + n);
            assert_eq!(times(&w), left, "{wait}");
        }
        down(&mut w, m, 1);
        assert_eq!(times(&w), 1);
    }
}
