//! Identities, positions and versions. Nothing else in the system passes a bare integer or
//! string where one of these is meant.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::enums::AggregateKind;

/// The pattern of reference codes (sites, cells, products, reasons, accounts).
pub const CODE_PATTERN: &str = "^[a-z0-9][a-z0-9_-]{0,39}$";

/// A text that is not a code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a code: 1 to 40 of a-z, 0-9, '-' and '_', starting with a letter or digit")]
pub struct BadCode(pub String);

pub(crate) fn check_code(s: &str) -> Result<(), BadCode> {
    let b = s.as_bytes();
    let ok = (1..=40).contains(&b.len())
        && (b[0].is_ascii_lowercase() || b[0].is_ascii_digit())
        && b.iter().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'_'));
    if ok { Ok(()) } else { Err(BadCode(s.chars().take(60).collect())) }
}

uuid_id! {
    /// Names a command for ever; made once by the client and kept over all its retries.
    CommandId,
    /// Names one event.
    EventId,
    /// Names one aggregate; with its kind it names a stream.
    AggregateId,
    /// Names a work session, a report, a note: whatever a client makes inside an aggregate.
    EntityId,
    /// Ties together what one trigger caused.
    CorrelationId,
    /// Names the command or event that caused this one.
    CausationId,
}

code_id! {
    /// An account: a person, a device or a service.
    AccountName,
    /// A site (plant).
    SiteId,
    /// A production line.
    LineId,
    /// A cell (work centre) on a line.
    CellId,
    /// A product.
    ProductId,
    /// A stock item or component.
    ItemId,
    /// A customer.
    CustomerId,
    /// A reason, fault or other entry of a catalogue.
    ReasonCode,
    /// The code of a reference document of any kind.
    Code,
}

/// Names a stream: one aggregate's events. Written `work-order/UUID`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct StreamId {
    /// What kind of aggregate it is.
    pub kind: AggregateKind,
    /// Which one.
    pub id: AggregateId,
}

impl StreamId {
    /// Names the stream of one aggregate.
    pub const fn new(kind: AggregateKind, id: AggregateId) -> Self {
        StreamId { kind, id }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.id)
    }
}

impl From<StreamId> for String {
    fn from(s: StreamId) -> String {
        s.to_string()
    }
}

impl TryFrom<String> for StreamId {
    type Error = String;
    fn try_from(s: String) -> Result<Self, String> {
        s.parse()
    }
}

impl std::str::FromStr for StreamId {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let (kind, id) =
            s.split_once('/').ok_or_else(|| format!("{s:?} is not a stream: write it as work-order/UUID"))?;
        Ok(StreamId { kind: kind.parse()?, id: id.parse().map_err(|e| format!("{id:?} is not a UUID: {e}"))? })
    }
}

macro_rules! counter {
    ($($(#[$m:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$m])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// Before the first one.
            pub const ZERO: $name = $name(0);
            /// The one after this.
            #[must_use]
            pub const fn next(self) -> Self {
                $name(self.0 + 1)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

counter! {
    /// The place of an event in its context's log: 1, 2, 3 … without gaps. 0 is "before the first".
    Position,
    /// The place of an event in its stream: 1, 2, 3 … without gaps. 0 is "the stream is empty".
    Version,
    /// The place of a commit in its context's log, refusals counted too: 1, 2, 3 … without gaps.
    CommitNumber,
}

/// The namespace of aggregate ids that are derived from codes (UUIDv5), given in `/openapi.json`.
pub const NAMESPACE: Uuid = Uuid::from_u128(0x6d1c_8f0e_5a7b_5c39_9e42_0b6f_31d7_a8c4);

/// An id that follows from a name: of something that a command may leave unnamed.
pub fn derived_entity(name: &str) -> EntityId {
    EntityId(Uuid::new_v5(&NAMESPACE, name.as_bytes()))
}

/// The aggregate id of a reference document: UUIDv5 of `kind:code`.
pub fn reference_id(kind: crate::enums::ReferenceKind, code: &Code) -> AggregateId {
    AggregateId(Uuid::new_v5(&NAMESPACE, format!("{kind}:{code}").as_bytes()))
}

/// The aggregate id of the ticket that goes on from another one, when that stood at `version`: UUIDv5 of
/// `follow-up:ticket:version`.
pub fn follow_up_ticket(ticket: AggregateId, version: Version) -> AggregateId {
    AggregateId(Uuid::new_v5(&NAMESPACE, format!("follow-up:{ticket}:{version}").as_bytes()))
}

/// The aggregate id of a produced unit: UUIDv5 of `unit:product:serial`.
pub fn unit_id(product: &ProductId, serial: &crate::text::Text<60>) -> AggregateId {
    AggregateId(Uuid::new_v5(&NAMESPACE, format!("unit:{product}:{serial}").as_bytes()))
}

/// The aggregate id of a stock item: UUIDv5 of `stock:item:location:lot`, the lot empty where it has none.
pub fn stock_id(item: &ItemId, location: &Code, lot: Option<&crate::text::Text<40>>) -> AggregateId {
    let lot = lot.map(|l| l.as_str()).unwrap_or_default();
    AggregateId(Uuid::new_v5(&NAMESPACE, format!("stock:{item}:{location}:{lot}").as_bytes()))
}

/// The aggregate id of a demonstration cell's equipment: UUIDv5 of `equipment:cell`. Whoever
/// registers equipment may take any other.
pub fn equipment_id(cell: &CellId) -> AggregateId {
    AggregateId(Uuid::new_v5(&NAMESPACE, format!("equipment:{cell}").as_bytes()))
}

/// The aggregate id of an account: UUIDv5 of `account:name`.
pub fn account_id(name: &AccountName) -> AggregateId {
    AggregateId(Uuid::new_v5(&NAMESPACE, format!("account:{name}").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_lower_case_and_short() {
        for good in ["a", "0", "pump-200", "a_b", &"x".repeat(40)] {
            assert!(Code::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "_a", "A", "a b", "ä", "a/b", "a+", &"x".repeat(41)] {
            assert!(Code::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_stream_reads_back_as_it_is_written() {
        let id = AggregateId(Uuid::from_u128(7));
        let s = StreamId::new(AggregateKind::WorkOrder, id);
        assert_eq!(s.to_string(), "work-order/00000000-0000-0000-0000-000000000007");
        assert_eq!(s.to_string().parse::<StreamId>().unwrap(), s);
        assert!("work-order".parse::<StreamId>().is_err());
        assert!("nothing/00000000-0000-0000-0000-000000000007".parse::<StreamId>().is_err());
    }
}
