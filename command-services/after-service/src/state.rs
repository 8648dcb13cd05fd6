//! The folded state of a ticket, and what can be read from it.
//!
//! Owns the shape of the state. It must never decide anything, and it holds nothing that is not a
//! consequence of the stream's events.

use std::collections::{BTreeMap, BTreeSet};

use mw_contract::event::ticket_parts::{
    FaultV1, KnownUnitV1, PartRequestV1, PartReservationV1, PartUseV1, PolicyV1, QuoteTotalsV1, TicketAlarmV1, VisitV1,
    WarrantyTermsV1, WorkLogV1,
};
use mw_contract::{
    AccountName, AggregateId, Channel, Code, Commercial, CustomerId, Date, EntityId, Instant, MaterialCondition, Money,
    Number, Percent, ProductId, Qty, QuoteWish, ReasonCode, ReplacementMode, ResolutionCode, ReturnDisposition,
    RmaState, Seconds, ServiceMode, SiteId, SlaClock, Text, TicketKind, TicketLinkKind, TicketRelation, TicketState,
    Verification, WarrantyStatus, WorkActivity,
};

use crate::plan::PlanState;

/// The state of one aggregate of this context.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum AfterServiceState {
    /// Its stream is empty.
    #[default]
    None,
    /// A repair ticket.
    Ticket(Box<Ticket>),
    /// A maintenance plan.
    Plan(Box<PlanState>),
}

impl AfterServiceState {
    /// The ticket, when it is one.
    pub fn ticket(&self) -> Option<&Ticket> {
        match self {
            AfterServiceState::Ticket(t) => Some(t),
            _ => None,
        }
    }

    /// The plan, when it is one.
    pub fn plan(&self) -> Option<&PlanState> {
        match self {
            AfterServiceState::Plan(p) => Some(p),
            _ => None,
        }
    }
}

/// A repair ticket (2.2).
#[derive(Clone, Debug, PartialEq)]
pub struct Ticket {
    /// `TK-YYYY-nnnnnn`.
    pub number: Text<20>,
    /// The site that serves it.
    pub site_id: SiteId,
    /// What it is about.
    pub kind: TicketKind,
    /// In one line.
    pub title: Text<120>,
    /// Whom to ask at the customer's.
    pub contact_id: Option<Code>,
    /// How it came in.
    pub channel: Channel,
    /// Where it is in its life.
    pub state: TicketState,
    /// Whose case it is; none for internal ones.
    pub customer_id: Option<CustomerId>,
    /// The customer's place.
    pub service_site: Option<Code>,
    /// The unit's serial number as it was told.
    pub serial: Option<Text<60>>,
    /// The unit's product, as it was told or found.
    pub product_id: Option<ProductId>,
    /// The machine.
    pub equipment_id: Option<AggregateId>,
    /// Business time of the report.
    pub opened_at: Instant,
    /// Who reported it.
    pub opened_by: AccountName,
    /// 1 critical to 4 cosmetic.
    pub severity: Option<u8>,
    /// 1 urgent to 4 low.
    pub priority: Option<u8>,
    /// What it is about, from the catalogue.
    pub category: Option<Code>,
    /// Where the unit is repaired.
    pub service_mode: Option<ServiceMode>,
    /// The team.
    pub team: Option<Code>,
    /// What the technician must be able to do.
    pub required_skills: Vec<ReasonCode>,
    /// How long it should take.
    pub estimated_effort: Option<Seconds>,
    /// Since when the unit is down.
    pub down_since: Option<Instant>,
    /// The fault as far as it is classified.
    pub fault: Option<FaultV1>,
    /// The symptom as it was reported.
    pub symptom: Option<ReasonCode>,
    /// The alarm that opened it.
    pub alarm: Option<TicketAlarmV1>,
    /// Reports with this key are the same case.
    pub dedupe_key: Option<Text<120>>,
    /// How often it was reported.
    pub occurrences: u32,
    /// The maintenance plan that asked for it.
    pub plan_id: Option<AggregateId>,
    /// The ticket that it goes on from.
    pub follows: Option<AggregateId>,
    /// The ticket that is the same case (T6).
    pub master: Option<AggregateId>,
    /// What has to be done, step by step.
    pub checklist: Vec<Text<120>>,
    /// Must the customer sign?
    pub signature_required: bool,
    /// Who bears the cost.
    pub warranty: Warranty,
    /// Whether the customer pays, and has said yes.
    pub commercial: Commercial,
    /// Whether somebody has tested the repair.
    pub verification: Verification,
    /// 0 to 3.
    pub escalation_level: u8,
    /// When the customer last escalated it.
    pub customer_escalated_at: Option<Instant>,
    /// T1: who leads.
    pub lead: Option<AccountName>,
    /// Who helps.
    pub helpers: Vec<AccountName>,
    /// The lead said yes.
    pub accepted: bool,
    /// The lead before the last reopening.
    pub previous_lead: Option<AccountName>,
    /// Visits, all of them.
    pub visits: Vec<Visit>,
    /// Trips, all of them.
    pub trips: Vec<Trip>,
    /// Work sessions, all of them.
    pub sessions: Vec<Session>,
    /// Work logs.
    pub logs: BTreeMap<EntityId, WorkLog>,
    /// Diagnoses that were recorded, with their causes.
    pub diagnoses: BTreeMap<EntityId, ReasonCode>,
    /// Parts: requested, reserved, consumed, returned.
    pub parts: Parts,
    /// Quotes, in their order.
    pub quotes: Vec<Quote>,
    /// Requests to production.
    pub replacements: BTreeMap<EntityId, Replacement>,
    /// Where units travel.
    pub returns: Vec<Return>,
    /// Why and since when it waits.
    pub hold: Option<Hold>,
    /// The state that an answered quote goes back to.
    pub approval_resume: Option<TicketState>,
    /// 1, and one more with every reopening.
    pub cycle: u16,
    /// When this cycle began.
    pub cycle_since: Instant,
    /// When the first work of this cycle began.
    pub first_work_at: Option<Instant>,
    /// How it was resolved, in this cycle.
    pub resolution: Option<Resolution>,
    /// When it was closed or cancelled.
    pub ended_at: Option<Instant>,
    /// Ratings by cycle.
    pub ratings: BTreeMap<u16, Rating>,
    /// Comments that were made.
    pub comments: BTreeSet<EntityId>,
    /// The last value of every counter that was read.
    pub readings: BTreeMap<Code, Number>,
    /// Links that were made.
    pub links: BTreeSet<(TicketLinkKind, Text<60>, TicketRelation)>,
    /// Its clocks.
    pub sla: Sla,
}

/// Who bears the cost, and on what that stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Warranty {
    /// The status.
    pub status: WarrantyStatus,
    /// The terms that were found.
    pub terms: Option<WarrantyTermsV1>,
    /// The unit as it was known.
    pub unit: Option<KnownUnitV1>,
    /// How much is covered.
    pub coverage_pct: Percent,
}

/// A visit.
#[derive(Clone, Debug, PartialEq)]
pub struct Visit {
    /// As it was agreed last.
    pub visit: VisitV1,
    /// Who comes.
    pub technician: AccountName,
    /// Of which cycle.
    pub cycle: u16,
    /// Somebody came.
    pub done: bool,
    /// It was called off.
    pub cancelled: bool,
}

/// A trip to the customer.
#[derive(Clone, Debug, PartialEq)]
pub struct Trip {
    /// Names it.
    pub trip_id: EntityId,
    /// For which visit.
    pub visit_id: Option<EntityId>,
    /// Who travels.
    pub technician: AccountName,
    /// Since when.
    pub started_at: Instant,
    /// Until when; none: under way.
    pub ended_at: Option<Instant>,
    /// Did it end at the customer?
    pub arrived: bool,
}

/// A work session.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// Names it.
    pub session_id: EntityId,
    /// What it is for.
    pub activity: WorkActivity,
    /// Who works.
    pub technician: AccountName,
    /// Since when.
    pub started_at: Instant,
    /// Until when; none: still at work.
    pub ended_at: Option<Instant>,
    /// Of which cycle.
    pub cycle: u16,
    /// During which visit.
    pub visit_id: Option<EntityId>,
}

impl Session {
    /// Is somebody at work in it?
    pub fn is_open(&self) -> bool {
        self.ended_at.is_none()
    }
}

/// A work log as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkLog {
    /// Whose time.
    pub technician: AccountName,
    /// What it says.
    pub log: WorkLogV1,
    /// When it was recorded.
    pub recorded_at: Instant,
    /// Who wrote it.
    pub by: AccountName,
}

/// Parts of a ticket.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parts {
    /// What was asked for.
    pub requests: BTreeMap<EntityId, PartsRequest>,
    /// What stock keeps, less what was consumed or given back.
    pub reserved: Vec<PartReservationV1>,
    /// What was used.
    pub consumed: Vec<PartUseV1>,
    /// Consumptions that were recorded.
    pub consumptions: BTreeSet<EntityId>,
    /// What went back: item, quantity, serial number, condition.
    pub returned: Vec<ReturnedPart>,
    /// Returns that were recorded.
    pub returns: BTreeSet<EntityId>,
}

/// One request for parts.
#[derive(Clone, Debug, PartialEq)]
pub struct PartsRequest {
    /// What was asked for.
    pub lines: Vec<PartRequestV1>,
    /// Stock has answered.
    pub answered: bool,
    /// When it was asked.
    pub at: Instant,
}

/// A part that went back.
#[derive(Clone, Debug, PartialEq)]
pub struct ReturnedPart {
    /// Which.
    pub item_id: mw_contract::ItemId,
    /// How many.
    pub qty: Qty,
    /// Its serial number.
    pub serial: Option<Text<60>>,
    /// In which state.
    pub condition: MaterialCondition,
    /// It was never used: it leaves a reservation.
    pub unused: bool,
}

/// A quote.
#[derive(Clone, Debug, PartialEq)]
pub struct Quote {
    /// Names it.
    pub quote_id: EntityId,
    /// Its revision, from 1.
    pub revision: u16,
    /// What it comes to.
    pub totals: QuoteTotalsV1,
    /// The last day on which it can be approved, at the site.
    pub valid_until: Date,
    /// What became of it.
    pub answer: QuoteAnswer,
}

/// What became of a quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuoteAnswer {
    /// It is with the customer.
    Open,
    /// The customer pays.
    Approved,
    /// The customer does not, and wants something else.
    Rejected(QuoteWish),
    /// Nobody answered in time.
    Expired,
    /// Another one took its place.
    Superseded,
}

/// A request to production.
#[derive(Clone, Debug, PartialEq)]
pub struct Replacement {
    /// What is asked for.
    pub product_id: ProductId,
    /// How many.
    pub qty: Qty,
    /// By when.
    pub needed_by: Instant,
    /// Another unit, or this one reworked.
    pub mode: ReplacementMode,
    /// The unit that comes back for it.
    pub return_serial: Option<Text<60>>,
    /// The order that makes it.
    pub work_order_id: Option<AggregateId>,
    /// Where it is.
    pub state: ReplacementState,
}

/// Where a request to production is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplacementState {
    /// Asked, or in work.
    Open,
    /// It is there.
    Ready,
    /// It does not come.
    Failed,
}

/// A unit that travels (RMA).
#[derive(Clone, Debug, PartialEq)]
pub struct Return {
    /// Its number.
    pub rma_no: Text<20>,
    /// The units that may be sent.
    pub serials: Vec<ReturnedUnit>,
    /// Until when.
    pub valid_until: Date,
    /// Where to.
    pub ship_to: Text<120>,
}

/// One unit of a return.
#[derive(Clone, Debug, PartialEq)]
pub struct ReturnedUnit {
    /// Its serial number.
    pub serial: Text<60>,
    /// Where it is.
    pub state: RmaState,
    /// What becomes of it.
    pub disposition: Option<ReturnDisposition>,
    /// It was not one of those that were to come.
    pub mismatch: bool,
}

/// Why and since when a ticket waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Hold {
    /// Why.
    pub reason: ReasonCode,
    /// Since when.
    pub since: Instant,
    /// Do its clocks stand still?
    pub pauses_sla: bool,
    /// The state that it goes back to.
    pub resume_state: TicketState,
    /// Until when, as far as anybody knows.
    pub expected_until: Option<Instant>,
}

/// How a ticket was resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolution {
    /// How.
    pub code: ResolutionCode,
    /// When.
    pub at: Instant,
    /// When it was recorded.
    pub recorded_at: Instant,
    /// Who says so.
    pub by: AccountName,
}

/// What the customer thought of a cycle.
#[derive(Clone, Debug, PartialEq)]
pub struct Rating {
    /// 1 to 5.
    pub score: u8,
    /// When it was first given.
    pub since: Instant,
}

/// The clocks of a ticket (2.6).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sla {
    /// The policy as it was when it was used; none: no clock runs.
    pub policy: Option<PolicyV1>,
    /// The clocks of this cycle.
    pub clocks: BTreeMap<SlaClock, Clock>,
    /// What has happened in this cycle that stops a clock, whether that clock ran or not.
    pub stopped: BTreeSet<SlaClock>,
    /// The unit has come to the workshop in this cycle.
    pub arrived: bool,
}

/// A clock (2.6): what is left of its business time, never a due date that is moved.
#[derive(Clone, Debug, PartialEq)]
pub struct Clock {
    /// Business time that it was given.
    pub target: Seconds,
    /// Business seconds that were left at `since`, or are left while it stands still. Below zero: over.
    pub remaining_s: i64,
    /// Since when it runs; none while it stands still or has ended.
    pub since: Option<Instant>,
    /// When it is due; none while it stands still or has ended.
    pub due: Option<Instant>,
    /// How it ended.
    pub ended: Option<ClockEnd>,
    /// It ran out; it may go on counting.
    pub breached: bool,
    /// Warnings that were raised.
    pub warned: BTreeSet<u8>,
}

/// How a clock ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockEnd {
    /// In time.
    Met,
    /// Too late.
    Late,
}

impl Ticket {
    /// A session by its id.
    pub fn session(&self, id: EntityId) -> Option<&Session> {
        self.sessions.iter().find(|s| s.session_id == id)
    }

    /// Sessions in which somebody is at work.
    pub fn open_sessions(&self) -> impl Iterator<Item = &Session> {
        self.sessions.iter().filter(|s| s.is_open())
    }

    /// The trip that is under way.
    pub fn open_trip(&self) -> Option<&Trip> {
        self.trips.iter().find(|t| t.ended_at.is_none())
    }

    /// Visits that are still to come or under way.
    pub fn open_visits(&self) -> impl Iterator<Item = &Visit> {
        self.visits.iter().filter(|v| !v.done && !v.cancelled)
    }

    /// The quote that counts: the last one.
    pub fn quote(&self) -> Option<&Quote> {
        self.quotes.last()
    }

    /// Is the account its lead or a helper?
    pub fn is_assigned(&self, account: &AccountName) -> bool {
        self.lead.as_ref() == Some(account) || self.helpers.contains(account)
    }

    /// Is it a ticket of the house, without a customer?
    pub fn is_internal(&self) -> bool {
        self.customer_id.is_none()
    }

    /// The money of a number of amounts, by currency.
    pub fn sums(amounts: impl IntoIterator<Item = Money>) -> Vec<Money> {
        let mut sums: Vec<Money> = Vec::new();
        for m in amounts {
            match sums.iter_mut().find(|s| s.currency == m.currency) {
                // A sum beyond the range of a number stays where it was; no real case comes near.
                Some(s) => s.amount = s.amount.plus(m.amount).unwrap_or(s.amount),
                None => sums.push(m),
            }
        }
        sums
    }
}
