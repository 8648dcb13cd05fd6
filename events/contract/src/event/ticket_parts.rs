//! Structs that several events of after-service share. Frozen: a change is a new struct.

use bincode::{Decode, Encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parts::FileRefV1;
use super::work_order::Each;
use crate::enums::{
    Coverage, CoverageBasis, LogActivity, PartSource, PlanMode, PlanTargetKind, QuoteLineKind, RemovedDisposition,
    SlaClock, VisitLocation,
};
use crate::ids::{AggregateId, Code, EntityId, ItemId, LineId, ProductId, ReasonCode};
use crate::money::Money;
use crate::qty::{Number, Percent, Qty};
use crate::reference::Uom;
use crate::text::{Sealed, Text};
use crate::time::{Date, Instant, Seconds};

macro_rules! parts {
    ($($(#[$m:meta])* $name:ident $([$($sealed:ident),+])? { $($(#[$fm:meta])* $field:ident : $ty:ty),* $(,)? })+) => {$(
        $(#[$m])*
        #[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
        pub struct $name { $($(#[$fm])* pub $field: $ty),* }
        impl Each for $name {
            fn each(&mut self, f: &mut dyn FnMut(&mut Sealed)) {
                let _ = &f;
                $($(self.$sealed.each(f);)+)?
            }
        }
        #[cfg(any(test, feature = "samples"))]
        impl crate::event::samples::Sample for $name {
            fn sample() -> Self {
                $name { $($field: crate::event::samples::Sample::sample()),* }
            }
        }
    )+};
}

/// Parts that a command gives as they are stored.
macro_rules! given_parts {
    ($($(#[$m:meta])* $name:ident { $($(#[$fm:meta])* $field:ident : $ty:ty),* $(,)? })+) => {$(
        $(#[$m])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
        pub struct $name { $($(#[$fm])* pub $field: $ty),* }
        #[cfg(any(test, feature = "samples"))]
        impl crate::event::samples::Sample for $name {
            fn sample() -> Self {
                $name { $($field: crate::event::samples::Sample::sample()),* }
            }
        }
    )+};
}

given_parts! {
    /// A place on earth (WGS 84), when the person agrees.
    GeoV1 {
        /// Degrees north.
        lat: Number,
        /// Degrees east.
        lon: Number,
        /// How exact.
        #[serde(default)]
        accuracy_m: Option<Number>,
    }

    /// A time in which somebody may come.
    WindowV1 {
        /// From.
        from: Instant,
        /// To.
        to: Instant,
    }

    /// One value that was read off.
    ReadingV1 {
        /// What was read.
        name: Text<60>,
        /// The value.
        value: Number,
        /// UCUM unit.
        unit: Text<20>,
    }

    /// What a maintenance plan maintains.
    PlanTargetV1 {
        /// A machine, a unit, or the family of a product.
        kind: PlanTargetKind,
        /// The machine, by its id.
        #[serde(default)]
        equipment_id: Option<AggregateId>,
        /// The unit, by its serial number.
        #[serde(default)]
        serial: Option<Text<60>>,
        /// The unit's product, or a product of the family.
        #[serde(default)]
        product_id: Option<ProductId>,
    }

    /// How much use makes a plan due.
    CounterTriggerV1 {
        /// Which counter.
        name: Code,
        /// How much more.
        every: Number,
        /// UCUM unit.
        unit: Text<20>,
        /// How much earlier it may be; default 0.
        #[serde(default)]
        tolerance_pct: Percent,
    }

    /// How long before it is due the ticket is opened.
    PlanLeadV1 {
        /// In days.
        #[serde(default)]
        days: Option<u16>,
        /// By the counter.
        #[serde(default)]
        counter: Option<Number>,
    }

    /// A part that the work needs.
    PlanPartV1 {
        /// Which.
        item_id: ItemId,
        /// How many.
        qty: Qty,
        /// In which unit.
        uom: Uom,
    }

    /// What the ticket of a plan says.
    PlanTemplateV1 {
        /// Its title.
        title: Text<120>,
        /// What has to be done, step by step.
        #[serde(default)]
        checklist: Vec<Text<120>>,
        /// What it takes.
        #[serde(default)]
        parts: Vec<PlanPartV1>,
        /// How long it should take, seconds.
        #[serde(default)]
        estimated_effort: Option<Seconds>,
        /// Must the customer sign?
        #[serde(default)]
        signature_required: bool,
        /// The customer of the unit; a machine's has none.
        #[serde(default)]
        customer_id: Option<crate::ids::CustomerId>,
    }
}

parts! {
    /// The alarm that opened a ticket.
    TicketAlarmV1 { alarm_id: EntityId, code: ReasonCode, raised_at: Instant }

    /// Business hours of one weekday (0 Monday), in minutes from midnight; `to` may be 1440.
    OpenHoursV1 { weekday: u8, from_minute: u16, to_minute: u16 }

    /// A calendar as it was when it was used.
    CalendarV1 {
        calendar_id: Code,
        time_zone: Text<60>,
        hours: Vec<OpenHoursV1>,
        holidays: Vec<Date>,
    }

    /// The target of one clock.
    ClockTargetV1 {
        clock: SlaClock,
        target: Seconds,
        /// At which shares of the target somebody is warned.
        warn_pct: Vec<u8>,
    }

    /// A policy as it was when it was used.
    PolicyV1 {
        policy_code: Code,
        calendar: CalendarV1,
        targets: Vec<ClockTargetV1>,
        /// Does an assignment count as the first response?
        response_by_assignment: bool,
        /// Does a quote with the customer stop the clock?
        approval_pauses: bool,
        /// Does the clock of a workshop repair begin with the unit's arrival?
        workshop_from_receipt: bool,
    }

    /// Where a clock stands.
    ClockV1 {
        #[serde(rename = "name")]
        clock: SlaClock,
        target: Seconds,
        /// Business seconds.
        #[serde(rename = "remaining")]
        remaining_s: i64,
        /// None while it stands still.
        due: Option<Instant>,
    }

    /// Work of one session.
    FaultV1 {
        symptom: Option<ReasonCode>,
        cause: Option<ReasonCode>,
        remedy: Option<ReasonCode>,
        component: Option<Code>,
        safety_relevant: bool,
    }

    /// A line of a quote with what it comes to.
    QuoteLineV1 {
        kind: QuoteLineKind,
        item_id: Option<ItemId>,
        text: Text<120>,
        qty: Qty,
        uom: Uom,
        unit_price: Money,
        tax_pct: Percent,
        covered_pct: Percent,
        net: Money,
    }

    /// What a quote comes to.
    QuoteTotalsV1 { net: Money, tax: Money, gross: Money, customer_share: Money }

    /// A part to bring along.
    PartLineV1 { item_id: ItemId, qty: Qty }

    /// A visit as it was agreed.
    VisitV1 {
        visit_id: EntityId,
        window_start: Instant,
        window_end: Instant,
        location: VisitLocation,
    }

    /// A part that was asked for.
    PartRequestV1 {
        item_id: ItemId,
        qty: Qty,
        uom: Uom,
        needed_by: Option<Instant>,
        for_serial: Option<Text<60>>,
    }

    /// A part that stock keeps.
    PartReservationV1 {
        reservation_id: EntityId,
        item_id: ItemId,
        qty: Qty,
        location: Code,
        lot: Option<Text<40>>,
    }

    /// A part that stock does not have.
    PartMissingV1 { item_id: ItemId, missing_qty: Qty, eta: Option<Instant> }

    /// A part that was used.
    PartUseV1 {
        item_id: ItemId,
        qty: Qty,
        new_serial: Option<Text<60>>,
        lot: Option<Text<40>>,
        removed_serial: Option<Text<60>>,
        removed_disposition: Option<RemovedDisposition>,
        source: PartSource,
        coverage: Coverage,
        unit_cost: Option<Money>,
        /// What it came from.
        reservation_id: Option<EntityId>,
        /// Where stock kept it.
        location: Option<Code>,
    }

    /// A part that goes back.
    PartReturnV1 {
        item_id: ItemId,
        qty: Qty,
        serial: Option<Text<60>>,
        lot: Option<Text<40>>,
        /// The reservation that it leaves, where it was never used.
        reservation_id: Option<EntityId>,
    }

    /// What a work log says.
    WorkLogV1 {
        activity: LogActivity,
        start: Instant,
        end: Instant,
        chargeable: bool,
    }

    /// What a ticket cost, by what is known of it.
    TicketTotalsV1 {
        labour: Seconds,
        travel: Seconds,
        covered_labour: Seconds,
        charged_labour: Seconds,
        parts_cost: Vec<Money>,
        covered_parts: Vec<Money>,
        charged_parts: Vec<Money>,
    }

    /// A unit as after-service knew it when it decided.
    KnownUnitV1 {
        unit_id: AggregateId,
        product_id: ProductId,
        work_order_id: Option<AggregateId>,
        work_order_number: Option<Text<20>>,
        lot: Option<Text<40>>,
        line_id: Option<LineId>,
        produced_at: Option<Instant>,
        open_recalls: Vec<Text<60>>,
        previous_tickets: Vec<AggregateId>,
    }

    /// On what a warranty stands.
    WarrantyTermsV1 {
        basis: CoverageBasis,
        warranty_start: Option<Date>,
        warranty_end: Option<Date>,
        counter_name: Option<Code>,
        counter_limit: Option<Number>,
        counter_value: Option<Number>,
        contract: Option<Code>,
    }

    /// When a plan is due.
    PlanTriggerV1 { calendar: Option<Text<200>>, counter: Option<CounterTriggerV1>, mode: PlanMode }

    /// What was last done.
    LastDoneV1 { at: Date, counter: Option<Number> }
}

/// Evidence that somebody agreed: words, or a file.
#[derive(Clone, Debug, PartialEq, Serialize, Encode, Decode, JsonSchema)]
pub struct EvidenceV1 {
    /// In words.
    pub text: Option<Sealed>,
    /// As a file.
    pub file: Option<FileRefV1>,
}

impl Each for EvidenceV1 {
    fn each(&mut self, f: &mut dyn FnMut(&mut Sealed)) {
        self.text.each(f);
    }
}

#[cfg(any(test, feature = "samples"))]
impl crate::event::samples::Sample for EvidenceV1 {
    fn sample() -> Self {
        use crate::event::samples::Sample;
        EvidenceV1 { text: Sample::sample(), file: Sample::sample() }
    }
}
