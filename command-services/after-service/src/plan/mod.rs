//! Maintenance plans (MP-01 to MP-07): what has to be done to a machine or a unit, and when.
//!
//! - [`create`]: MP-01, and what makes a plan well formed.
//! - [`life`]: MP-02 to MP-04: activate, suspend, amend.
//! - [`due`]: MP-05 to MP-07: due, done, skipped.
//! - [`rrule`]: the calendar.
//!
//! Owns the folded plan and when it is due. A plan opens no ticket itself: process managers look at
//! the day and at counters, mark it due and open the ticket.

pub mod create;
pub mod due;
pub mod life;
pub mod rrule;

use mw_contract::decide::{Decision, DecisionContext, EventMeta};
use mw_contract::event::plan::PlanCreatedV1;
use mw_contract::event::ticket_parts::{LastDoneV1, PlanLeadV1, PlanTargetV1, PlanTemplateV1, PlanTriggerV1};
use mw_contract::{
    AggregateId, AggregateKind, Command, CommandType, Date, DueCause, Event, Number, PlanMode, PlanState as Stage, Qty,
    Rejection, Role, SiteId, StreamId, Text,
};

use crate::rules::Facts;
use crate::state::AfterServiceState;
use rrule::Rule;

/// A maintenance plan, folded.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanState {
    /// Its name.
    pub name: Text<120>,
    /// Its site.
    pub site_id: SiteId,
    /// In whose days it counts.
    pub time_zone: Text<60>,
    /// What it maintains.
    pub target: PlanTargetV1,
    /// Where it is in its life.
    pub stage: Stage,
    /// When it is due.
    pub trigger: PlanTriggerV1,
    /// How long before.
    pub lead: PlanLeadV1,
    /// What its tickets say.
    pub template: PlanTemplateV1,
    /// The next time follows from the completion, not from the grid.
    pub floating: bool,
    /// The first day of the grid.
    pub starts_on: Date,
    /// When it was last done, and what the counter showed then.
    pub last_done: Option<LastDoneV1>,
    /// The next day that the calendar asks for; none before it is activated, or when none comes any more.
    pub next_due: Option<Date>,
    /// Up to which day the grid is worked off.
    pub handled: Option<Date>,
    /// From which day a floating plan counts.
    pub counts_from: Option<Date>,
    /// From which value the counter counts.
    pub counter_from: Number,
    /// It was marked due, and neither done nor skipped since.
    pub due: Option<Due>,
    /// The ticket by which it was last done.
    pub done_by: Option<AggregateId>,
}

/// A plan that has to be done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Due {
    /// The day of the grid, when the calendar made it due.
    pub on: Option<Date>,
    /// What the counter showed.
    pub counter: Option<Number>,
    /// The ticket for it.
    pub ticket_id: Option<AggregateId>,
}

impl PlanState {
    fn created(e: &PlanCreatedV1) -> Self {
        let done = e.last_done.as_ref();
        PlanState {
            name: e.name.clone(),
            site_id: e.site_id.clone(),
            time_zone: e.time_zone.clone(),
            target: e.target.clone(),
            stage: Stage::Draft,
            trigger: e.trigger.clone(),
            lead: e.lead.clone(),
            template: e.template.clone(),
            floating: e.floating,
            starts_on: e.starts_on,
            last_done: e.last_done.clone(),
            next_due: None,
            handled: done.map(|d| d.at),
            counts_from: done.map(|d| d.at),
            counter_from: done.and_then(|d| d.counter).unwrap_or(Number::ZERO),
            due: None,
            done_by: None,
        }
    }

    /// The next day that the calendar asks for, from what was done and skipped so far.
    pub fn calendar_day(&self) -> Option<Date> {
        let rule = Rule::read(self.trigger.calendar.as_ref()?.as_str()).ok()?;
        match (self.floating, self.counts_from, self.handled) {
            (true, Some(day), _) => rule.after_completion(day),
            (_, _, Some(day)) => rule.first_after(self.starts_on, day),
            _ => rule.first_from(self.starts_on, self.starts_on),
        }
    }

    /// What the counter shows when it is due (PM-5: last + every).
    pub fn next_counter(&self) -> Option<Number> {
        self.counter_from.plus(self.trigger.counter.as_ref()?.every)
    }

    /// From which value on it may be done: earlier by the tolerance or by the lead, whichever is more.
    pub fn counter_threshold(&self) -> Option<Number> {
        let counter = self.trigger.counter.as_ref()?;
        let share = Qty::new(counter.every.decimal()).ok()?.percent(counter.tolerance_pct);
        let tolerance = Number::new(share.decimal())?;
        let earlier =
            self.lead.counter.map_or(tolerance, |l| if l.decimal() > tolerance.decimal() { l } else { tolerance });
        self.next_counter()?.minus(earlier)
    }

    fn fold(&mut self, event: &Event) {
        match event {
            Event::PlanActivated(e) => (self.stage, self.next_due) = (Stage::Active, e.next_due),
            Event::PlanSuspended(_) => self.stage = Stage::Suspended,
            Event::PlanAmended(e) => {
                if let Some(name) = &e.name {
                    self.name = name.clone();
                }
                if let Some(trigger) = &e.trigger {
                    self.trigger = trigger.clone();
                }
                if let Some(lead) = &e.lead {
                    self.lead = lead.clone();
                }
                if let Some(template) = &e.template {
                    self.template = template.clone();
                }
                self.floating = e.floating.unwrap_or(self.floating);
                self.next_due = e.next_due;
            }
            Event::PlanDue(e) => {
                // The day of a forecast is none of the grid.
                let by_calendar = e.cause == DueCause::Calendar || self.trigger.mode == PlanMode::Both;
                let on = e.due_on.filter(|_| by_calendar);
                self.due = Some(Due { on, counter: e.counter_value, ticket_id: e.ticket_id });
            }
            Event::PlanDone(e) => {
                // What was done before its day is done for that day.
                let on = self.due.and_then(|d| d.on);
                self.handled = self.handled.max(on).max(Some(e.done_on));
                self.counts_from = Some(e.done_on);
                self.count_to(e.next_counter);
                self.last_done = Some(LastDoneV1 { at: e.done_on, counter: e.counter });
                (self.next_due, self.due, self.done_by) = (e.next_due, None, e.ticket_id);
            }
            Event::PlanSkipped(e) => {
                self.handled = self.handled.max(e.skipped);
                self.counts_from = self.counts_from.max(e.skipped);
                self.count_to(e.next_counter);
                (self.next_due, self.due) = (e.next_due, None);
            }
            _ => {}
        }
    }

    fn count_to(&mut self, next: Option<Number>) {
        let from = next.zip(self.trigger.counter.as_ref()).and_then(|(next, c)| next.minus(c.every));
        self.counter_from = from.unwrap_or(self.counter_from);
    }
}

/// Decides a command on a plan.
///
/// # Errors
/// As the rules of the command say; `NOT_FOUND` when there is no such plan at the topic's site.
pub fn decide(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    command: &Command,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    if let Command::MaintenancePlanCreate(p) = command {
        return create::decide(facts, state, p, ctx);
    }
    let missing = || Rejection::not_found(format!("there is no maintenance plan {} at this site", ctx.aggregate_id));
    let plan = state.plan().filter(|p| ctx.site == Some(&p.site_id)).ok_or_else(missing)?;
    match command {
        Command::MaintenancePlanActivate(_) => life::activate(plan, ctx),
        Command::MaintenancePlanSuspend(p) => life::suspend(facts, plan, p, ctx),
        Command::MaintenancePlanAmend(p) => life::amend(facts, plan, p, ctx),
        Command::MaintenancePlanMarkDue(p) => due::mark_due(facts, plan, p, ctx),
        Command::MaintenancePlanMarkDone(p) => due::mark_done(plan, p, ctx),
        Command::MaintenancePlanSkip(p) => due::skip(facts, plan, p, ctx),
        _ => Err(crate::foreign(command.command_type())),
    }
}

/// Folds one event of a plan.
pub fn evolve(state: &mut AfterServiceState, event: &Event, _: &EventMeta) {
    match (event, state) {
        (Event::PlanCreated(e), state) => *state = AfterServiceState::Plan(Box::new(PlanState::created(e))),
        (_, AfterServiceState::Plan(plan)) => plan.fold(event),
        _ => {}
    }
}

fn decided(ctx: &DecisionContext<'_>, role: Role, event: impl Into<Event>) -> Decision {
    Decision::on(StreamId::new(AggregateKind::MaintenancePlan, ctx.aggregate_id), role, [event.into()])
}

fn in_stage(plan: &PlanState, command: CommandType, stages: &[Stage]) -> Result<(), Rejection> {
    if stages.contains(&plan.stage) {
        return Ok(());
    }
    let allowed: Vec<&str> = stages.iter().map(|s| s.as_str()).collect();
    Err(Rejection::invalid_state(command.as_str(), plan.stage.as_str(), &allowed))
}

/// The site's day of a command.
fn today(plan: &PlanState, ctx: &DecisionContext<'_>) -> Date {
    ctx.occurred_at.date_in(plan.time_zone.as_str())
}

#[cfg(test)]
mod tests {
    use super::PlanState;
    use crate::fixture::{World, id, planner};
    use crate::known::Machine;
    use mw_contract::Date;
    use serde_json::{Value, json};

    pub const MACHINE: u128 = 70;

    /// A world with a machine.
    pub fn world() -> World {
        let w = World::new();
        w.plant.machine(Machine {
            equipment_id: id(MACHINE),
            code: "cell-1".parse().unwrap(),
            class: None,
            site_id: "plant-1".parse().unwrap(),
            line_id: None,
            cell_id: None,
            counters: Vec::new(),
        });
        w
    }

    /// Every three months, from today.
    pub fn quarterly() -> Value {
        json!({
            "name": "Check the seals",
            "target": {"kind": "equipment", "equipment_id": id(MACHINE)},
            "trigger": {"calendar": "FREQ=MONTHLY;INTERVAL=3"},
            "lead": {},
            "template": {"title": "Check the seals"},
            "last_done": null,
        })
    }

    /// Every 500 hours with a tolerance of 10 %; done at so many.
    pub fn hours(last: &str) -> Value {
        let mut p = quarterly();
        p["trigger"] = json!({"counter": {"name": "hours", "every": 500, "unit": "h", "tolerance_pct": "10"}});
        p["last_done"] = json!({"at": "2026-03-01", "counter": last});
        p
    }

    /// A plan that was created and activated.
    pub fn active(p: Value) -> World {
        let mut w = world();
        w.run(&planner(), "maintenance-plan.create", id(1), p).unwrap();
        w.run(&planner(), "maintenance-plan.activate", id(1), json!({})).unwrap();
        w
    }

    pub fn plan(w: &World) -> &PlanState {
        w.states[&id(1)].plan().unwrap()
    }

    pub fn next_due(w: &World) -> Option<String> {
        plan(w).next_due.map(|d| d.to_string())
    }

    pub fn day(s: &str) -> Date {
        s.parse().unwrap()
    }
}
