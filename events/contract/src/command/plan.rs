//! Payloads of the commands on maintenance plans (MP-01 to MP-07).

use serde::{Deserialize, Serialize};

use crate::enums::{DueCause, PlanMode};
use crate::event::ticket_parts::{CounterTriggerV1, PlanLeadV1, PlanTargetV1, PlanTemplateV1};
use crate::ids::{AggregateId, ReasonCode};
use crate::qty::Number;
use crate::text::Text;
use crate::time::Date;

/// When a plan is due.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanTrigger {
    /// Days, by RFC 5545: `FREQ=MONTHLY;INTERVAL=3`.
    #[serde(default)]
    pub calendar: Option<Text<200>>,
    /// Use, by a counter.
    #[serde(default)]
    pub counter: Option<CounterTriggerV1>,
    /// Default `whichever_first`.
    #[serde(default)]
    pub mode: Option<PlanMode>,
}

/// What was last done, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LastDone {
    /// On which day.
    pub at: Date,
    /// What the counter showed in all, resets counted.
    #[serde(default)]
    pub counter: Option<Number>,
}

payload! {
    /// MP-01 `maintenance-plan.create`.
    CreatePlan {
        name: Text<120>,
        target: PlanTargetV1,
        trigger: PlanTrigger,
        lead: Option<PlanLeadV1>,
        template: PlanTemplateV1,
        last_done: Option<LastDone>,
        /// The next due day follows from the completion, not from the plan. Default false.
        floating: Option<bool>,
    }

    /// MP-02 `maintenance-plan.activate`.
    ActivatePlan {}

    /// MP-03 `maintenance-plan.suspend`.
    SuspendPlan {
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }

    /// MP-04 `maintenance-plan.amend`: only what changes.
    AmendPlan {
        name: Option<Text<120>>,
        trigger: Option<PlanTrigger>,
        lead: Option<PlanLeadV1>,
        template: Option<PlanTemplateV1>,
        floating: Option<bool>,
    }

    /// MP-05 `maintenance-plan.mark-due`.
    MarkPlanDue {
        cause: DueCause,
        due_on: Option<Date>,
        due_counter: Option<Number>,
        counter_value: Option<Number>,
        /// The ticket that is opened for it.
        ticket_id: Option<AggregateId>,
    }

    /// MP-06 `maintenance-plan.mark-done`.
    MarkPlanDone {
        done_on: Date,
        counter: Option<Number>,
        ticket_id: Option<AggregateId>,
    }

    /// MP-07 `maintenance-plan.skip`.
    SkipPlan {
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }
}
