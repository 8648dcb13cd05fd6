//! A value of every type that fields have, so that a sample of an event can be made field by field.

use crate::enums::*;
use crate::event::parts::{FileRefV1, MeasurementV1};
use crate::ids::*;
use crate::money::{Currency, Money};
use crate::qty::{Number, Percent, Qty};
use crate::reference::Uom;
use crate::text::{Sealed, Text};
use crate::time::{Date, Instant, Seconds};

/// Something of which there is a sample.
pub trait Sample {
    /// The sample: every optional field is filled, every list has one entry.
    fn sample() -> Self;
}

impl<T: Sample> Sample for Option<T> {
    fn sample() -> Self {
        Some(T::sample())
    }
}

impl<T: Sample> Sample for Vec<T> {
    fn sample() -> Self {
        vec![T::sample()]
    }
}

impl<const N: usize> Sample for Text<N> {
    fn sample() -> Self {
        super::text(&"SAMPLE-1"[..N.min(8)])
    }
}

macro_rules! samples {
    ($($ty:ty = $value:expr),+ $(,)?) => {$(
        impl Sample for $ty {
            fn sample() -> Self {
                $value
            }
        }
    )+};
}

samples! {
    u8 = 75,
    u16 = 2,
    u32 = 7,
    i64 = -3600,
    bool = true,
    Seconds = Seconds(3600),
    Instant = super::at("2026-03-02T10:30:00.456Z"),
    Date = "2026-03-02".parse().unwrap(),
    Qty = super::qty("2.5"),
    Number = "-12.25".parse().unwrap(),
    Percent = "12.5".parse().unwrap(),
    Currency = "EUR".parse().unwrap(),
    Money = Money { amount: "12.25".parse().unwrap(), currency: Sample::sample() },
    Uom = Uom::new("H87").unwrap(),
    Sealed = super::sealed(),
    FileRefV1 = super::file(),
    MeasurementV1 =
        MeasurementV1 { characteristic: Sample::sample(), value: Sample::sample(), unit: Sample::sample() },
    AggregateId = super::id(41),
    EntityId = super::id(42),
}

macro_rules! codes {
    ($($ty:ident),+) => {$(
        impl Sample for $ty {
            fn sample() -> Self {
                super::code("sample-1")
            }
        }
    )+};
}
codes!(AccountName, SiteId, LineId, CellId, ProductId, ItemId, CustomerId, ReasonCode, Code);

macro_rules! words {
    ($($ty:ident),+ $(,)?) => {$(
        impl Sample for $ty {
            fn sample() -> Self {
                *$ty::ALL.last().unwrap()
            }
        }
    )+};
}
words!(
    Channel,
    CloseReason,
    Commercial,
    Coverage,
    CoverageBasis,
    DueCause,
    Initiator,
    LogActivity,
    MaterialCondition,
    PartSource,
    PlanMode,
    QuoteLineKind,
    QuoteWish,
    Recommendation,
    RemovedDisposition,
    RepairVerdict,
    ReplacementMode,
    ResolutionCode,
    ReturnDisposition,
    ServiceMode,
    SlaClock,
    SlaPauseCause,
    TicketKind,
    TicketLinkKind,
    TicketRelation,
    TicketState,
    Visibility,
    VisitLocation,
    WarrantyStatus,
    WorkActivity,
);

/// What the golden files were written with: words that came later are not in them.
impl Sample for PlanTargetKind {
    fn sample() -> Self {
        PlanTargetKind::Unit
    }
}
