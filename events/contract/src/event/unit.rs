//! Events of produced units. Frozen: a change is a new struct (`…V2`).

use bincode::{Decode, Encode};
use schemars::JsonSchema;
use serde::Serialize;

use super::SealedFields;
use super::parts::ComponentV1;
use super::work_order::{Each, events};
use crate::enums::{UnitResult, UnitStatus, WarrantyBasis};
use crate::ids::{AggregateId, Code, CustomerId, EntityId, ProductId, ReasonCode, SiteId};
use crate::qty::Number;
use crate::text::{Sealed, Text};
use crate::time::{Date, Instant, Seconds};

events! {
    /// PU-01: a unit was made; what was built into it first.
    ProductUnitRegisteredV1 {
        serial: Text<60>,
        product_id: ProductId,
        product_rev: Option<Text<20>>,
        lot: Option<Text<40>>,
        work_order_id: Option<AggregateId>,
        site_id: SiteId,
        result: UnitResult,
        as_built: Vec<ComponentV1>,
        firmware: Option<Text<60>>,
        produced_at: Instant,
    }

    /// PU-02: it went to a customer.
    UnitShippedV1 { serial: Text<60>, product_id: ProductId, customer_id: CustomerId, shipped_at: Instant }

    /// PU-02, PU-03: from when to when, both days included, its warranty runs.
    WarrantyStartedV1 {
        serial: Text<60>,
        start: Date,
        end: Date,
        basis: WarrantyBasis,
        counter_name: Option<Code>,
        counter_limit: Option<Number>,
    }

    /// PU-03: it works at the customer's.
    UnitInstalledV1 { serial: Text<60>, installed_on: Date, location: Option<Text<60>> }

    /// PU-04: the warranty ends later.
    WarrantyExtendedV1 [note] { serial: Text<60>, old_end: Date, new_end: Date, reason: ReasonCode, note: Option<Sealed> }

    /// PU-05: there is no warranty any more.
    WarrantyVoidedV1 [note] { serial: Text<60>, reason: ReasonCode, note: Option<Sealed> }

    /// PU-06: a counter of the unit was read. `cumulative` goes on over resets.
    ReadingRecordedV1 {
        serial: Text<60>,
        name: Code,
        value: Number,
        cumulative: Number,
        unit: Option<Text<20>>,
        reset: bool,
    }

    /// PU-07: what is built in now.
    UnitComponentChangedV1 {
        serial: Text<60>,
        removed: Vec<ComponentV1>,
        added: Vec<ComponentV1>,
        firmware: Option<Text<60>>,
        ticket_id: Option<AggregateId>,
    }

    /// PU-08: it belongs to somebody else.
    UnitTransferredV1 { serial: Text<60>, old_customer: Option<CustomerId>, new_customer: CustomerId }

    /// PU-09: it is no more.
    UnitScrappedV1 [note] { serial: Text<60>, reason: ReasonCode, note: Option<Sealed> }

    /// A ticket has it in repair, or back.
    UnitStatusChangedV1 { serial: Text<60>, old: UnitStatus, new: UnitStatus, ticket_id: Option<AggregateId> }

    /// It complains of something, where it stands in use.
    UnitAlarmRaisedV1 [text] {
        serial: Text<60>,
        product_id: ProductId,
        customer_id: Option<CustomerId>,
        alarm_id: EntityId,
        code: Code,
        severity: u16,
        text: Option<Sealed>,
        raised_at: Instant,
    }

    /// The same again while it is active. `count` is how often it was raised by now.
    UnitAlarmRepeatedV1 { serial: Text<60>, alarm_id: EntityId, code: Code, severity: u16, count: u32, raised_at: Instant }

    /// It is over.
    UnitAlarmClearedV1 { serial: Text<60>, alarm_id: EntityId, code: Code, cleared_at: Instant, active_for: Seconds }

    /// PU-10: it must come back.
    UnitRecalledV1 [note] { serial: Text<60>, campaign: Code, reason: ReasonCode, note: Option<Sealed> }
}
