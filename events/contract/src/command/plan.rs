//! Payloads of the commands on maintenance plans (MP-01 to MP-07).

use serde::{Deserialize, Serialize};

use crate::enums::{DueCause, PlanMode, PlanTargetKind};
use crate::event::ticket_parts::{CounterTriggerV1, PlanLeadV1, PlanTemplateV1};
use crate::ids::{AggregateId, ProductId, ReasonCode};
use crate::qty::Number;
use crate::text::Text;
use crate::time::{Date, Instant};

/// When a plan is due.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
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

/// What a plan maintains. The kind follows from what is named.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PlanTarget {
    /// A machine, a unit, or the family of a product.
    #[serde(default)]
    pub kind: Option<PlanTargetKind>,
    /// The machine, by its id.
    #[serde(default)]
    pub equipment_id: Option<AggregateId>,
    /// The unit, by its serial number.
    #[serde(default)]
    pub serial: Option<Text<60>>,
    /// The unit's product; alone, a product of the family.
    #[serde(default)]
    pub product_id: Option<ProductId>,
}

/// How long before it is due the ticket is opened: seconds, or days and use.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum PlanLead {
    /// Seconds; a day that has begun counts.
    Seconds(u64),
    /// Days, or by the counter.
    By(PlanLeadV1),
}

impl PlanLead {
    /// In days, and by the counter.
    pub fn stored(&self) -> PlanLeadV1 {
        match self {
            PlanLead::Seconds(s) => {
                PlanLeadV1 { days: Some(u16::try_from(s.div_ceil(86_400)).unwrap_or(u16::MAX)), counter: None }
            }
            PlanLead::By(lead) => lead.clone(),
        }
    }
}

impl<'de> Deserialize<'de> for PlanLead {
    // Not derived: a refusal says what is wrong with the form that was meant.
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        match serde_json::Value::deserialize(d)? {
            v @ serde_json::Value::Object(_) => PlanLeadV1::deserialize(v).map(PlanLead::By).map_err(D::Error::custom),
            v => {
                let seconds = v.as_u64().or_else(|| v.as_str()?.parse().ok());
                seconds.map(PlanLead::Seconds).ok_or_else(|| D::Error::custom("is whole seconds, or {days, counter}"))
            }
        }
    }
}

/// A day, or a moment on it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Day {
    /// The day itself.
    Date(Date),
    /// A moment on it.
    Instant(Instant),
}

impl Day {
    /// The day in a time zone.
    pub fn date_in(self, time_zone: &str) -> Date {
        match self {
            Day::Date(d) => d,
            Day::Instant(t) => t.date_in(time_zone),
        }
    }
}

impl<'de> Deserialize<'de> for Day {
    // Not derived: a refusal says what is wrong with the form that was meant.
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let v = serde_json::Value::deserialize(d)?;
        if v.as_str().is_some_and(|s| s.contains(['T', 't'])) {
            return Instant::deserialize(v).map(Day::Instant).map_err(D::Error::custom);
        }
        Date::deserialize(v).map(Day::Date).map_err(D::Error::custom)
    }
}

/// What was last done, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LastDone {
    /// On which day.
    pub at: Day,
    /// What the counter showed in all, resets counted.
    #[serde(default)]
    pub counter: Option<Number>,
}

payload! {
    /// MP-01 `maintenance-plan.create`.
    CreatePlan {
        /// Default: the title of the template.
        name: Option<Text<120>>,
        target: PlanTarget,
        trigger: PlanTrigger,
        lead: Option<PlanLead>,
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
        lead: Option<PlanLead>,
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
