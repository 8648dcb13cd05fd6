//! What tickets did to units: the after-service part of a unit's trace (RM-14). Each ticket has
//! its versions, so that a trace of an earlier moment shows what was known then.

use mw_contract::commit::StoredEvent;
use mw_contract::ids::unit_id;
use mw_contract::*;
use mw_figures::OPEN;
use mw_policy::Scope;
use mw_projection::ApplyError;
use mw_views::read::{Sql, at_sites};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::figures::views::When;

/// The tables.
pub(crate) const TABLES: &str = "
    CREATE TABLE case_trace (
        ticket BLOB NOT NULL, position INTEGER NOT NULL, recorded_at INTEGER NOT NULL, superseded_at INTEGER NOT NULL,
        site TEXT NOT NULL, customer TEXT, doc TEXT NOT NULL, PRIMARY KEY (ticket, position)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE case_unit (
        unit BLOB NOT NULL, ticket BLOB NOT NULL, PRIMARY KEY (unit, ticket)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE case_part (
        name TEXT NOT NULL, ticket BLOB NOT NULL, PRIMARY KEY (name, ticket)
    ) STRICT, WITHOUT ROWID;";

/// A part that was exchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Part {
    item: ItemId,
    qty: Qty,
    new_serial: Option<Text<60>>,
    lot: Option<Text<40>>,
    removed_serial: Option<Text<60>>,
    removed_disposition: Option<RemovedDisposition>,
    at: Instant,
}

/// One unit in place of another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Replaced {
    old_serial: Text<60>,
    new_serial: Text<60>,
    at: Instant,
}

/// A diagnosis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Found {
    cause: ReasonCode,
    component: Option<Code>,
    recommendation: Recommendation,
    root_cause_in_production: bool,
    at: Instant,
}

/// A ticket as a trace shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Case {
    ticket_id: AggregateId,
    number: Text<20>,
    title: Text<120>,
    kind: TicketKind,
    state: TicketState,
    cycle: u16,
    customer: Option<CustomerId>,
    serial: Option<Text<60>>,
    product: Option<ProductId>,
    severity: Option<u8>,
    warranty: WarrantyStatus,
    opened_at: Instant,
    resolved_at: Option<Instant>,
    closed_at: Option<Instant>,
    symptom: Option<ReasonCode>,
    cause: Option<ReasonCode>,
    remedy: Option<ReasonCode>,
    resolution: Option<ResolutionCode>,
    technician: Option<AccountName>,
    diagnoses: Vec<Found>,
    parts: Vec<Part>,
    replaced: Vec<Replaced>,
    work_order_id: Option<AggregateId>,
    replacement_orders: Vec<AggregateId>,
    previous_tickets: Vec<AggregateId>,
    /// The units that it is about.
    units: Vec<AggregateId>,
}

fn load(tx: &Connection, id: AggregateId) -> Result<Option<(String, Case)>, ApplyError> {
    let found: Option<(String, String)> = tx
        .prepare_cached("SELECT site, doc FROM case_trace WHERE ticket = ?1 AND superseded_at = ?2")?
        .query_row(params![id.as_bytes(), OPEN], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()?;
    let Some((site, doc)) = found else { return Ok(None) };
    let case = serde_json::from_str(&doc);
    case.map(|c| Some((site, c))).map_err(|e| ApplyError::Impossible(format!("ticket/{id} can't be read: {e}")))
}

impl Case {
    fn about(&mut self, unit: AggregateId) {
        if !self.units.contains(&unit) {
            self.units.push(unit);
        }
    }

    fn name_unit(&mut self) {
        if let (Some(p), Some(s)) = (&self.product, &self.serial) {
            self.units = vec![unit_id(p, s)];
        }
    }

    fn apply(&mut self, event: &Event, at: Instant) {
        let state = &mut self.state;
        match event {
            Event::TicketAmended(e) => {
                self.title = e.title.clone().unwrap_or_else(|| self.title.clone());
                if e.serial.is_some() || e.product_id.is_some() {
                    self.serial = e.serial.clone().or_else(|| self.serial.take());
                    self.product = e.product_id.clone().or_else(|| self.product.take());
                    self.warranty = WarrantyStatus::Unchecked;
                    self.name_unit();
                }
            }
            Event::TicketTriaged(e) => {
                self.severity = Some(e.severity);
                if *state == TicketState::New {
                    *state = TicketState::Triaged;
                }
            }
            Event::FaultClassified(e) => {
                self.symptom = e.new.symptom.clone();
                self.cause = e.new.cause.clone();
                self.remedy = e.new.remedy.clone();
                self.severity = e.severity.or(self.severity);
            }
            Event::WarrantyChecked(e) => {
                self.warranty = e.status;
                if let Some(u) = &e.unit {
                    self.product = Some(u.product_id.clone());
                    self.work_order_id = u.work_order_id;
                    self.previous_tickets = u.previous_tickets.clone();
                    self.about(u.unit_id);
                }
            }
            Event::WarrantyOverridden(e) => self.warranty = e.new,
            Event::QuoteSubmitted(_) => *state = TicketState::AwaitingApproval,
            Event::QuoteApproved(e) => *state = e.to_state,
            Event::QuoteRejected(e) => *state = e.to_state,
            Event::QuoteExpired(e) => *state = e.to_state,
            Event::TechnicianAssigned(e) => {
                *state = TicketState::Assigned;
                self.technician = Some(e.lead.clone());
            }
            Event::TechnicianReassigned(e) => {
                *state = e.to_state;
                self.technician = Some(e.new.clone());
            }
            Event::AssignmentDeclined(_) => {
                *state = TicketState::Triaged;
                self.technician = None;
            }
            Event::VisitScheduled(_) => *state = TicketState::Scheduled,
            Event::VisitCancelled(e) => *state = e.to_state,
            Event::TravelStarted(_) => *state = TicketState::Travelling,
            Event::TravelAborted(_) => *state = TicketState::Assigned,
            Event::WorkStarted(_) => *state = TicketState::InProgress,
            Event::DiagnosisRecorded(e) => {
                self.symptom = e.symptom.clone().or_else(|| self.symptom.take());
                self.diagnoses.push(Found {
                    cause: e.cause.clone(),
                    component: e.component.clone(),
                    recommendation: e.recommendation,
                    root_cause_in_production: e.root_cause_in_production,
                    at,
                });
            }
            Event::PartsConsumed(e) => self.parts.extend(e.lines.iter().map(|l| Part {
                item: l.item_id.clone(),
                qty: l.qty,
                new_serial: l.new_serial.clone(),
                lot: l.lot.clone(),
                removed_serial: l.removed_serial.clone(),
                removed_disposition: l.removed_disposition,
                at,
            })),
            Event::TicketHeld(_) => *state = TicketState::OnHold,
            Event::TicketResumed(e) => *state = e.to_state,
            Event::UnitReplaced(e) => {
                self.about(unit_id(&e.new_product_id, &e.new_serial));
                self.replaced.push(Replaced { old_serial: e.old_serial.clone(), new_serial: e.new_serial.clone(), at });
            }
            Event::ReplacementOrderLinked(e) => self.replacement_orders.push(e.work_order_id),
            Event::TicketCancelled(_) => {
                *state = TicketState::Cancelled;
                self.closed_at = Some(at);
            }
            Event::TicketResolved(e) => {
                *state = TicketState::Resolved;
                self.resolved_at = Some(at);
                self.resolution = Some(e.resolution_code);
                self.cause = e.cause.clone().or_else(|| self.cause.take());
                self.remedy = e.remedy.clone().or_else(|| self.remedy.take());
            }
            Event::RepairVerified(e) if e.verdict == RepairVerdict::Fail => {
                *state = TicketState::InProgress;
                (self.resolved_at, self.resolution) = (None, None);
            }
            Event::TicketClosed(_) => {
                *state = TicketState::Closed;
                self.closed_at = Some(at);
            }
            Event::TicketReopened(e) => {
                *state = TicketState::Triaged;
                self.cycle = e.cycle;
                (self.resolved_at, self.closed_at, self.resolution) = (None, None, None);
            }
            _ => {}
        }
    }

    /// As a reader gets it: who did what, and why, is not for customers.
    fn shown(self, staff: bool) -> Value {
        let mut v = json!(self);
        if let Some(o) = v.as_object_mut() {
            o.remove("units");
            if !staff {
                for hidden in ["technician", "cause", "diagnoses", "previous_tickets", "replacement_orders"] {
                    o.remove(hidden);
                }
            }
        }
        v
    }
}

/// Writes what one event of a ticket changes.
pub(crate) fn event(tx: &Connection, stored: &StoredEvent, event: &Event, w: When) -> Result<(), ApplyError> {
    let id = stored.event.stream.id;
    let at = stored.event.occurred_at;
    let (site, before, case) = match event {
        Event::TicketOpened(e) => {
            let mut case = Case {
                ticket_id: id,
                number: e.number.clone(),
                title: e.title.clone(),
                kind: e.kind,
                state: TicketState::New,
                cycle: 1,
                customer: e.customer_id.clone(),
                serial: e.serial.clone(),
                product: e.product_id.clone(),
                severity: e.severity,
                warranty: WarrantyStatus::Unchecked,
                opened_at: at,
                resolved_at: None,
                closed_at: None,
                symptom: e.symptom.clone(),
                cause: None,
                remedy: None,
                resolution: None,
                technician: None,
                diagnoses: Vec::new(),
                parts: Vec::new(),
                replaced: Vec::new(),
                work_order_id: None,
                replacement_orders: Vec::new(),
                previous_tickets: Vec::new(),
                units: Vec::new(),
            };
            case.name_unit();
            (e.site_id.as_str().to_owned(), None, case)
        }
        _ => {
            let Some((site, before)) = load(tx, id)? else {
                return Err(ApplyError::Impossible(format!(
                    "{} of ticket/{id}, which was never made",
                    event.event_type()
                )));
            };
            let mut case = before.clone();
            case.apply(event, at);
            (site, Some(before), case)
        }
    };
    if before.as_ref() == Some(&case) {
        return Ok(());
    }
    tx.prepare_cached("UPDATE case_trace SET superseded_at = ?2 WHERE ticket = ?1 AND superseded_at = ?3")?
        .execute(params![id.as_bytes(), w.recorded, OPEN])?;
    let doc =
        serde_json::to_string(&case).map_err(|e| ApplyError::Impossible(format!("ticket/{id} has no JSON: {e}")))?;
    tx.prepare_cached("INSERT OR REPLACE INTO case_trace VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute(params![
        id.as_bytes(),
        w.position as i64,
        w.recorded,
        OPEN,
        site,
        case.customer.as_ref().map(|c| c.as_str()),
        doc
    ])?;
    for unit in &case.units {
        tx.prepare_cached("INSERT OR IGNORE INTO case_unit VALUES (?1, ?2)")?
            .execute(params![unit.as_bytes(), id.as_bytes()])?;
    }
    for p in &case.parts {
        let names = [p.new_serial.as_ref(), p.removed_serial.as_ref()].into_iter().flatten().map(Text::as_str);
        for name in names.chain(p.lot.as_ref().map(Text::as_str)) {
            tx.prepare_cached("INSERT OR IGNORE INTO case_part VALUES (?1, ?2)")?
                .execute(params![name, id.as_bytes()])?;
        }
    }
    Ok(())
}

/// Adds ` AND …` for a scope: a customer sees its own tickets, wherever they are.
fn seen(sql: &mut Sql, scope: &Scope) {
    match &scope.customer {
        Some(c) => {
            let place = sql.bind(c.as_str().to_owned());
            sql.push(&format!(" AND c.customer = {place}"));
        }
        None => at_sites(sql, "c.site", scope),
    }
    if scope.internal_only {
        sql.push(" AND c.customer IS NULL");
    }
}

/// The tickets of a unit, the newest last, as they were known at a recorded time (`None`: now).
///
/// # Errors
/// SQLite's.
pub fn tickets(
    conn: &Connection,
    scope: &Scope,
    unit: AggregateId,
    staff: bool,
    at: Option<Instant>,
) -> rusqlite::Result<Vec<Value>> {
    let mut sql = Sql::new(
        "SELECT c.doc FROM case_unit x JOIN case_trace c ON c.ticket = x.ticket
         WHERE x.unit = ?1 AND c.recorded_at <= ?2 AND c.superseded_at > ?2",
    );
    sql.bind(unit.as_bytes().to_vec());
    sql.bind(at.map_or(OPEN - 1, Instant::millis));
    seen(&mut sql, scope);
    let mut all = read(conn, &sql)?;
    // An amended ticket is not about the unit any more.
    all.retain(|c| c.units.contains(&unit));
    Ok(all.into_iter().map(|c| c.shown(staff)).collect())
}

/// The tickets that put a part of this serial number or lot in, or took it out.
///
/// # Errors
/// SQLite's.
pub fn tickets_with(conn: &Connection, scope: &Scope, name: &str, staff: bool) -> rusqlite::Result<Vec<Value>> {
    let mut sql = Sql::new(
        "SELECT c.doc FROM case_part x JOIN case_trace c ON c.ticket = x.ticket
         WHERE x.name = ?1 AND c.superseded_at = ?2",
    );
    sql.bind(name.to_owned());
    sql.bind(OPEN);
    seen(&mut sql, scope);
    Ok(read(conn, &sql)?.into_iter().map(|c| c.shown(staff)).collect())
}

fn read(conn: &Connection, sql: &Sql) -> rusqlite::Result<Vec<Case>> {
    let mut all: Vec<Case> = Vec::new();
    sql.each(conn, |r| {
        all.extend(serde_json::from_str(r.get_ref(0)?.as_str()?).ok());
        Ok(())
    })?;
    all.sort_by(|a, b| (a.opened_at, &a.number).cmp(&(b.opened_at, &b.number)));
    Ok(all)
}
