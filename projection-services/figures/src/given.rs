//! What one context tells the figures of another. Each thing has its versions: what was recorded
//! when, so that an earlier revision is made of what was known then.

use std::collections::BTreeMap;

use mw_contract::{AccountName, AggregateId, CellId, LineId, ProductId, SiteId};

use crate::spans::Span;

/// When a version was recorded, and when another took its place or nothing was left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// From this recorded time on.
    pub from: i64,
    /// Until just before this one, or [`crate::OPEN`].
    pub until: i64,
}

impl Known {
    /// Did it count at that recorded time?
    pub fn at(self, time: i64) -> bool {
        self.from <= time && time < self.until
    }
}

/// A ticket says since when a machine is down.
#[derive(Clone, Debug, PartialEq)]
pub struct DownSince {
    /// The machine.
    pub equipment: AggregateId,
    /// Since when.
    pub since: i64,
    /// Until the ticket was resolved or cancelled, or [`crate::OPEN`].
    pub until: i64,
    /// Its versions.
    pub known: Known,
}

/// Where a machine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Its site.
    pub site: Option<SiteId>,
    /// Its line.
    pub line: Option<LineId>,
    /// Its cell.
    pub cell: CellId,
}

/// Somebody was there, or away.
#[derive(Clone, Debug, PartialEq)]
pub struct Attendance {
    /// Who.
    pub account: AccountName,
    /// Here, or away?
    pub present: bool,
    /// From when to when.
    pub span: Span,
    /// Its versions.
    pub known: Known,
}

/// What of a unit's life counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitPart {
    /// It was shipped: a moment.
    Shipped,
    /// Its warranty runs.
    Warranty,
}

/// A unit that was shipped, or is under warranty.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// Its id.
    pub id: AggregateId,
    /// Which of both.
    pub part: UnitPart,
    /// When.
    pub span: Span,
    /// Who made it.
    pub site: Option<SiteId>,
    /// On which line.
    pub line: Option<LineId>,
    /// What it is.
    pub product: ProductId,
    /// Its lot.
    pub lot: Option<String>,
    /// Its versions.
    pub known: Known,
}

/// What production tells the figures of after-service.
#[derive(Default)]
pub struct Production {
    /// Calendars, zones and settings.
    pub documents: crate::calendar::Documents,
    /// Where each machine is.
    pub machines: BTreeMap<AggregateId, Machine>,
    /// Who was there.
    pub attendance: Vec<Attendance>,
    /// Units shipped in the asked time, or under warranty in it.
    pub units: Vec<Unit>,
}
