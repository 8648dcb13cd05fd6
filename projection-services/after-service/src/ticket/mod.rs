//! One ticket, folded from its events. Owns what its document shows; rows of lists follow from it.
//!
//! - [`fold`]: what each event changes; `work`: the part about work, parts and travelling units.
//! - [`clocks`]: the clocks of its service level agreement.
//! - [`totals`]: time and parts in sum.
//!
//! It never judges: whether something was allowed was decided when it happened. Sealed text stays
//! sealed in it ([`crate::seal`]).

pub mod clocks;
pub mod fold;
pub mod totals;
mod work;

use mw_calendar::BusinessCalendar;
use mw_contract::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use clocks::Sla;

/// When something happened, and who did it.
#[derive(Clone, Debug)]
pub struct Meta {
    /// Its place in the log.
    pub position: Position,
    /// The version that it made.
    pub version: Version,
    /// Business time.
    pub occurred_at: Instant,
    /// Server time.
    pub recorded_at: Instant,
    /// Who did it.
    pub by: AccountName,
    /// In which role.
    pub role: Option<Role>,
    /// The key of the calendar that the event brings along.
    pub calendar: Option<i64>,
    /// The calendar by which the ticket's clocks run, while one does.
    pub business: Option<BusinessCalendar>,
}

/// What it is about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Unit {
    /// As it was told.
    pub serial: Option<Text<60>>,
    /// As it was told or found.
    pub product: Option<ProductId>,
    /// The machine, for tickets of the plant itself.
    pub equipment_id: Option<AggregateId>,
    /// Known once the warranty was checked.
    pub unit_id: Option<AggregateId>,
    /// The order that made it.
    pub work_order_id: Option<AggregateId>,
    /// Its number.
    pub work_order_number: Option<Text<20>>,
    /// Of which lot it is.
    pub lot: Option<Text<40>>,
    /// Where it was made.
    pub line: Option<LineId>,
    /// When.
    pub produced_at: Option<Instant>,
    /// Campaigns that call it back.
    #[serde(default)]
    pub open_recalls: Vec<Text<60>>,
    /// Tickets that it had before.
    #[serde(default)]
    pub previous_tickets: Vec<AggregateId>,
}

/// Why and since when it waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// From the catalogue.
    pub reason: ReasonCode,
    /// Since when.
    pub since: Instant,
    /// Do its clocks stand still?
    pub pauses_sla: bool,
    /// Where it goes on.
    pub resume_state: TicketState,
    /// Until when, as far as anybody knows.
    pub expected_until: Option<Instant>,
    /// In words.
    #[serde(default)]
    pub note: Value,
}

/// Where a visit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VisitState {
    /// To come.
    Planned,
    /// Somebody came.
    Done,
    /// It was called off.
    Cancelled,
}

/// A visit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Visit {
    /// Its id.
    pub visit_id: EntityId,
    /// From.
    pub window_start: Instant,
    /// To.
    pub window_end: Instant,
    /// At the customer's or here.
    pub location: VisitLocation,
    /// Who comes.
    pub technician: AccountName,
    /// Where it is.
    pub state: VisitState,
    /// Of which cycle.
    pub cycle: u16,
    /// The customer said yes.
    pub customer_confirmed: bool,
    /// It overlaps another.
    pub forced: bool,
    /// What to bring along.
    pub parts_to_bring: Value,
    /// How often it was moved, and why.
    #[serde(default)]
    pub moved: Vec<Value>,
    /// Why it was called off.
    #[serde(default)]
    pub cancelled: Value,
}

/// Work or travel of somebody, from and to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stint {
    /// A session's or a trip's id.
    pub id: EntityId,
    /// Who.
    pub technician: AccountName,
    /// What for; none for a trip.
    pub activity: Option<WorkActivity>,
    /// For which visit.
    pub visit_id: Option<EntityId>,
    /// Since when.
    pub started_at: Instant,
    /// Until when; none: still at it.
    pub ended_at: Option<Instant>,
    /// Of which cycle.
    pub cycle: u16,
    /// What else is known of it: how it ended, distance, safety check.
    #[serde(default)]
    pub more: Value,
}

/// A quote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quote {
    /// Its id.
    pub quote_id: EntityId,
    /// From 1.
    pub revision: u16,
    /// `open`, `approved`, `rejected`, `expired`, `superseded`.
    pub state: String,
    /// What it is for.
    pub lines: Value,
    /// What it comes to.
    pub totals: Value,
    /// The last day.
    pub valid_until: Date,
    /// In words.
    pub terms: Value,
    /// When, by whom.
    pub submitted_at: Instant,
    /// When, by whom.
    pub submitted_by: AccountName,
    /// What was answered.
    pub answer: Value,
}

/// A request for parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartsRequest {
    /// Its id.
    pub request_id: EntityId,
    /// When.
    pub at: Instant,
    /// By whom.
    pub by: AccountName,
    /// What was asked for.
    pub lines: Value,
    /// What stock keeps.
    pub reserved: Value,
    /// What it does not have.
    pub missing: Value,
}

/// A request to production.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplacementOrder {
    /// Its id.
    pub request_id: EntityId,
    /// What is asked for.
    pub product: ProductId,
    /// How many.
    pub qty: Qty,
    /// In which unit.
    pub uom: String,
    /// By when.
    pub needed_by: Instant,
    /// Another one, or this one reworked.
    pub mode: ReplacementMode,
    /// The unit that comes back.
    pub return_serial: Option<Text<60>>,
    /// `requested`, `in_production`, `ready`, `failed`.
    pub state: String,
    /// The order that makes it.
    pub work_order_id: Option<AggregateId>,
    /// Its number.
    pub work_order_number: Option<Text<20>>,
    /// What came.
    pub serials: Vec<Text<60>>,
    /// Why it does not come.
    pub reason: Option<Code>,
}

/// A unit that travels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReturnedUnit {
    /// Which.
    pub serial: Text<60>,
    /// Where it is.
    pub state: RmaState,
    /// It was not one of those that were to come.
    pub mismatch: bool,
    /// When it came, in which condition, what becomes of it, how it went back.
    pub more: Value,
}

/// A return.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Return {
    /// Its number.
    pub rma_no: Text<20>,
    /// Why, where to, until when.
    pub more: Value,
    /// Its units.
    pub units: Vec<ReturnedUnit>,
}

/// A ticket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    pub id: AggregateId,
    /// Where it begins in the log: the key of its rows.
    pub seq: Position,
    pub version: Version,
    pub number: Text<20>,
    pub site: SiteId,
    pub state: TicketState,
    pub kind: TicketKind,
    pub channel: Channel,
    pub title: Text<120>,
    pub description: Value,
    pub customer: Option<CustomerId>,
    pub contact_id: Option<Code>,
    pub service_site: Option<Code>,
    pub unit: Unit,
    pub severity: Option<u8>,
    pub priority: Option<u8>,
    pub category: Option<Code>,
    pub service_mode: Option<ServiceMode>,
    pub team: Option<Code>,
    pub required_skills: Vec<ReasonCode>,
    pub estimated_effort: Option<Seconds>,
    pub lead: Option<AccountName>,
    pub helpers: Vec<AccountName>,
    pub accepted: bool,
    pub due_start: Option<Instant>,
    pub symptom: Option<ReasonCode>,
    pub fault: Value,
    pub warranty: WarrantyStatus,
    /// On what the warranty stands, and what was decided otherwise.
    pub coverage: Value,
    pub commercial: Commercial,
    pub verification: Verification,
    pub rma: RmaState,
    pub escalation: u8,
    pub hold: Option<Hold>,
    /// Milliseconds that it waited before this hold.
    pub held_ms: i64,
    pub cycle: u16,
    pub occurrence_count: u32,
    pub occurrences: Vec<Value>,
    pub opened_at: Instant,
    pub opened_by: AccountName,
    pub updated_at: Instant,
    /// When the last event was recorded.
    pub recorded_at: Instant,
    pub resolved_at: Option<Instant>,
    pub ended_at: Option<Instant>,
    pub down_since: Option<Instant>,
    pub downtime_end: Option<Instant>,
    pub preferred_windows: Value,
    pub attachments: Value,
    pub alarm: Value,
    pub dedupe_key: Option<Text<120>>,
    pub plan_id: Option<AggregateId>,
    pub follows: Option<AggregateId>,
    pub master_ticket_id: Option<AggregateId>,
    pub master_number: Option<Text<20>>,
    pub checklist: Vec<Text<120>>,
    pub checklist_done: Vec<u16>,
    pub signature_required: bool,
    pub resolution: Value,
    pub reason: Option<ReasonCode>,
    pub quotes: Vec<Quote>,
    pub visits: Vec<Visit>,
    pub trips: Vec<Stint>,
    pub sessions: Vec<Stint>,
    pub work_logs: Vec<Value>,
    pub diagnoses: Vec<Value>,
    pub parts_requests: Vec<PartsRequest>,
    pub parts_consumed: Vec<Value>,
    pub parts_returned: Vec<Value>,
    pub readings: Vec<Value>,
    pub replaced_units: Vec<Value>,
    pub replacement_orders: Vec<ReplacementOrder>,
    pub returns: Vec<Return>,
    pub links: Vec<Value>,
    pub comments: Vec<Value>,
    pub sla: Sla,
    /// What the close said it came to.
    pub final_totals: Value,
    pub first_time_fix: Option<bool>,
    pub close_reason: Option<CloseReason>,
    pub ratings: Vec<Value>,
    pub reopenings: Vec<Value>,
    pub escalations: Vec<Value>,
    pub verifications: Vec<Value>,
    pub confirmation: Value,
    pub clashes: Vec<Value>,
    /// Notes of whatever else happened: reassignments, holds, visits, declined assignments.
    pub notes: Vec<Value>,
}

impl Ticket {
    /// Is anybody still to do something about it?
    pub fn is_open(&self) -> bool {
        self.state.is_open()
    }

    /// The visit that comes next.
    pub fn next_visit(&self) -> Option<&Visit> {
        let planned = self.visits.iter().filter(|v| v.state == VisitState::Planned && self.is_open());
        planned.min_by_key(|v| v.window_start)
    }

    /// Milliseconds that it waited in all, up to a moment.
    pub fn held_until(&self, now: Instant) -> i64 {
        self.held_ms + self.hold.as_ref().map_or(0, |h| now.since(h.since).max(0))
    }

    /// Parts that were asked for and that stock does not have.
    pub fn lacks_parts(&self) -> bool {
        self.is_open() && self.parts_requests.iter().any(|r| r.missing.as_array().is_some_and(|m| !m.is_empty()))
    }

    /// Is a quote with the customer?
    pub fn open_quote(&self) -> Option<&Quote> {
        self.quotes.iter().find(|q| q.state == "open")
    }

    /// Somebody at work or on the way.
    pub fn open_stints<'a>(&self, of: &'a [Stint]) -> impl Iterator<Item = &'a Stint> {
        of.iter().filter(|s| s.ended_at.is_none())
    }
}
