//! Payloads of the commands on produced units (PU-01 to PU-10). A unit is named by its id or by
//! its serial number, with the product where two products share one.

use crate::command::work_order::Component;
use crate::enums::{UnitResult, UnitStatus};
use crate::ids::{AggregateId, Code, CustomerId, EntityId, ProductId, ReasonCode};
use crate::qty::Number;
use crate::text::Text;
use crate::time::{Date, Instant};

payload! {
    /// PU-01 `unit.register`: a unit that an order made.
    RegisterProductUnit {
        serial: Text<60>,
        product_id: ProductId,
        product_rev: Option<Text<20>>,
        lot: Option<Text<40>>,
        /// The order that made it.
        made_by: Option<AggregateId>,
        result: UnitResult,
        components: Option<Vec<Component>>,
        firmware: Option<Text<60>>,
        produced_at: Option<Instant>,
    }

    /// PU-02 `unit.ship`: begins the warranty.
    ShipUnit {
        serial: Option<Text<60>>,
        product_id: Option<ProductId>,
        customer_id: CustomerId,
        /// Default: `occurred_at`.
        shipped_at: Option<Instant>,
        /// The last day of its warranty, where it takes the place of another unit; default: by the product.
        warranty_end: Option<Date>,
    }

    /// PU-03 `unit.install`.
    InstallUnit {
        serial: Option<Text<60>>,
        product_id: Option<ProductId>,
        installed_on: Date,
        /// The customer's name for the place; not an address.
        site: Option<Text<60>>,
        /// The same by another name.
        location: Option<Text<60>>,
    }

    /// PU-04 `unit.extend-warranty`.
    ExtendWarranty {
        serial: Option<Text<60>>,
        product_id: Option<ProductId>,
        /// The new last day.
        until: Date,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }

    /// PU-05 `unit.void-warranty`.
    VoidWarranty {
        serial: Option<Text<60>>,
        product_id: Option<ProductId>,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }

    /// PU-06 `unit.record-reading`.
    RecordReading {
        serial: Option<Text<60>>,
        product_id: Option<ProductId>,
        name: Code,
        value: Number,
        /// UCUM unit.
        unit: Option<Text<20>>,
        /// The counter began again from a lower value; default false.
        reset: Option<bool>,
    }

    /// PU-07 `unit.change-component`: what is built in now is not what was built in first.
    ChangeComponent {
        serial: Option<Text<60>>,
        product_id: Option<ProductId>,
        removed: Option<Vec<Component>>,
        added: Option<Vec<Component>>,
        firmware: Option<Text<60>>,
        /// The ticket under which it was done.
        ticket_id: Option<AggregateId>,
    }

    /// PU-08 `unit.transfer`: another owner.
    TransferUnit {
        serial: Option<Text<60>>,
        product_id: Option<ProductId>,
        customer_id: CustomerId,
    }

    /// PU-09 `unit.scrap`.
    ScrapUnit {
        serial: Option<Text<60>>,
        product_id: Option<ProductId>,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }

    /// `unit.change-status`: a ticket has it in repair, or back.
    ChangeUnitStatus {
        serial: Option<Text<60>>,
        product_id: Option<ProductId>,
        status: UnitStatus,
        ticket_id: Option<AggregateId>,
    }

    /// `unit.raise-alarm`: what a unit in use complains of, told by its gateway.
    RaiseUnitAlarm {
        serial: Option<Text<60>>,
        product_id: Option<ProductId>,
        alarm_id: EntityId,
        code: Code,
        /// 1 to 1000.
        severity: u16,
        text: Option<Text<500>>,
        /// Default: `occurred_at`.
        raised_at: Option<Instant>,
    }

    /// `unit.clear-alarm`.
    ClearUnitAlarm {
        serial: Option<Text<60>>,
        product_id: Option<ProductId>,
        alarm_id: EntityId,
        /// Default: `occurred_at`.
        cleared_at: Option<Instant>,
    }

    /// PU-10 `unit.recall`.
    RecallUnit {
        serial: Option<Text<60>>,
        product_id: Option<ProductId>,
        campaign: Code,
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }
}
