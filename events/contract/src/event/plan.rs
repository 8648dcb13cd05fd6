//! Events of maintenance plans. Frozen: a change is a new struct (`…V2`).

use bincode::{Decode, Encode};
use schemars::JsonSchema;
use serde::Serialize;

use super::SealedFields;
use super::ticket::sampled;
use super::ticket_parts::{LastDoneV1, PlanLeadV1, PlanTargetV1, PlanTemplateV1, PlanTriggerV1};
use super::work_order::{Each, events};
use crate::enums::DueCause;
use crate::ids::{AggregateId, ReasonCode, SiteId};
use crate::qty::Number;
use crate::text::{Sealed, Text};
use crate::time::Date;

sampled! {
    /// MP-01: what is to be maintained, and when.
    PlanCreatedV1 {
        name: Text<120>,
        site_id: SiteId,
        time_zone: Text<60>,
        target: PlanTargetV1,
        trigger: PlanTriggerV1,
        lead: PlanLeadV1,
        template: PlanTemplateV1,
        last_done: Option<LastDoneV1>,
        floating: bool,
        /// The day from which the calendar counts.
        starts_on: Date,
    }

    /// MP-02: from now on it counts.
    PlanActivatedV1 { next_due: Option<Date> }

    /// MP-03: it does not count for now.
    PlanSuspendedV1 [note] { reason: Option<ReasonCode>, note: Option<Sealed> }

    /// MP-04: only what changed.
    PlanAmendedV1 {
        name: Option<Text<120>>,
        trigger: Option<PlanTriggerV1>,
        lead: Option<PlanLeadV1>,
        template: Option<PlanTemplateV1>,
        floating: Option<bool>,
        next_due: Option<Date>,
    }

    /// MP-05: it has to be done.
    PlanDueV1 {
        cause: DueCause,
        due_on: Option<Date>,
        due_counter: Option<Number>,
        counter_value: Option<Number>,
        ticket_id: Option<AggregateId>,
    }

    /// MP-06: it was done.
    PlanDoneV1 {
        done_on: Date,
        counter: Option<Number>,
        ticket_id: Option<AggregateId>,
        next_due: Option<Date>,
        next_counter: Option<Number>,
    }

    /// MP-07: this time it is left out.
    PlanSkippedV1 [note] {
        reason: ReasonCode,
        note: Option<Sealed>,
        skipped: Option<Date>,
        next_due: Option<Date>,
        next_counter: Option<Number>,
    }
}
