//! What several managers know of tickets. Kept before a manager sees the event, from the log of
//! after-service alone.

use mw_contract::event::ticket_parts::PolicyV1;
use mw_contract::{
    AggregateId, AggregateKind, CommandType, Event, Instant, RepairVerdict, SiteId, TicketKind, TicketState,
};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::manager::{Cx, Wish};
use crate::outbox;

/// The tables.
pub const TABLES: &str = "
CREATE TABLE ticket (
    id TEXT PRIMARY KEY,
    site TEXT NOT NULL,
    number TEXT NOT NULL,
    kind TEXT NOT NULL,
    version INTEGER NOT NULL,
    state TEXT NOT NULL,
    dedupe_key TEXT,
    plan TEXT,
    severity INTEGER,
    opened_at INTEGER NOT NULL,
    opened_by TEXT NOT NULL,
    triaged_at INTEGER,
    resolved_at INTEGER,
    resolved_by TEXT,
    ended_at INTEGER,
    level INTEGER NOT NULL,
    unverified INTEGER NOT NULL,
    policy BLOB,
    policy_type TEXT,
    policy_schema INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX ticket_key ON ticket (dedupe_key, opened_at) WHERE dedupe_key IS NOT NULL;
CREATE INDEX ticket_plan ON ticket (plan) WHERE plan IS NOT NULL;
";

/// A ticket.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// Its id.
    pub id: AggregateId,
    /// Its site.
    pub site: SiteId,
    /// Its number.
    pub number: String,
    /// What it is about.
    pub kind: TicketKind,
    /// The version of its stream.
    pub version: u64,
    /// Its state.
    pub state: TicketState,
    /// What makes a second report the same case.
    pub dedupe_key: Option<String>,
    /// The plan that asked for it.
    pub plan: Option<AggregateId>,
    /// How bad it is.
    pub severity: Option<u8>,
    /// When it was opened.
    pub opened_at: Instant,
    /// By which event.
    pub opened_by: Uuid,
    /// When somebody first decided about it.
    pub triaged_at: Option<Instant>,
    /// When it was last resolved.
    pub resolved_at: Option<Instant>,
    /// By which event.
    pub resolved_by: Option<Uuid>,
    /// When it was closed or cancelled.
    pub ended_at: Option<Instant>,
    /// How far it was escalated.
    pub level: u8,
    /// Does it wait for somebody who tests the repair?
    pub unverified: bool,
}

const COLUMNS: &str = "id, site, number, kind, version, state, dedupe_key, plan, severity, opened_at, opened_by, triaged_at, \
                       resolved_at, resolved_by, ended_at, level, unverified";

fn read(r: &rusqlite::Row<'_>) -> rusqlite::Result<Option<Ticket>> {
    let text = |n| r.get::<_, String>(n);
    let at = |n| r.get::<_, Option<i64>>(n).map(|t| t.map(Instant::clamped));
    let parts = (text(0)?.parse(), SiteId::new(&text(1)?), text(3)?.parse(), text(5)?.parse(), text(10)?.parse());
    let (Ok(id), Ok(site), Ok(kind), Ok(state), Ok(opened_by)) = parts else { return Ok(None) };
    Ok(Some(Ticket {
        id,
        site,
        number: text(2)?,
        kind,
        version: r.get::<_, i64>(4)? as u64,
        state,
        dedupe_key: r.get(6)?,
        plan: r.get::<_, Option<String>>(7)?.and_then(|p| p.parse().ok()),
        severity: r.get(8)?,
        opened_at: Instant::clamped(r.get(9)?),
        opened_by,
        triaged_at: at(11)?,
        resolved_at: at(12)?,
        resolved_by: r.get::<_, Option<String>>(13)?.and_then(|e| e.parse().ok()),
        ended_at: at(14)?,
        level: r.get(15)?,
        unverified: r.get(16)?,
    }))
}

/// The ticket of that id.
pub fn ticket(tx: &Connection, id: AggregateId) -> rusqlite::Result<Option<Ticket>> {
    let sql = format!("SELECT {COLUMNS} FROM ticket WHERE id = ?1");
    Ok(tx.prepare_cached(&sql)?.query_row([id.to_string()], read).optional()?.flatten())
}

/// The ticket that was last opened for a case.
pub fn last_of(tx: &Connection, dedupe_key: &str) -> rusqlite::Result<Option<Ticket>> {
    let sql = format!("SELECT {COLUMNS} FROM ticket WHERE dedupe_key = ?1 ORDER BY opened_at DESC, id DESC LIMIT 1");
    Ok(tx.prepare_cached(&sql)?.query_row([dedupe_key], read).optional()?.flatten())
}

/// The tickets of a plan.
pub fn of_plan(tx: &Connection, plan: AggregateId) -> rusqlite::Result<Vec<Ticket>> {
    let sql = format!("SELECT {COLUMNS} FROM ticket WHERE plan = ?1 ORDER BY opened_at, id");
    let found = tx.prepare_cached(&sql)?.query_map([plan.to_string()], read)?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(found.into_iter().flatten().collect())
}

/// The SLA policy that a ticket's clocks run by.
pub fn policy(tx: &Connection, id: AggregateId) -> rusqlite::Result<Option<PolicyV1>> {
    let found: Option<Option<Event>> = tx
        .prepare_cached("SELECT policy, policy_type, policy_schema FROM ticket WHERE id = ?1 AND policy IS NOT NULL")?
        .query_row([id.to_string()], |r| {
            let (name, schema): (String, u16) = (r.get(1)?, r.get(2)?);
            Ok(Event::decode(&name, schema, r.get_ref(0)?.as_blob()?).ok())
        })
        .optional()?;
    Ok(match found.flatten() {
        Some(Event::SlaStarted(e)) => Some(e.policy),
        Some(Event::SlaPolicyApplied(e)) => Some(e.policy),
        _ => None,
    })
}

impl Ticket {
    /// Has it ended, so that a second report is another case?
    pub fn is_over(&self) -> bool {
        matches!(self.state, TicketState::Closed | TicketState::Cancelled)
    }

    /// A command on it that follows from an event. A strict one is tried anew on each version, until it is
    /// answered.
    pub fn wish(&self, trigger: Uuid, step: &str, command: CommandType, payload: Value) -> Wish {
        let expected_version = command.is_strict().then_some(self.version);
        Wish {
            trigger,
            step: expected_version.map_or_else(|| step.to_owned(), |v| format!("{step}:{v}")),
            site: self.site.clone(),
            command,
            aggregate: self.id,
            expected_version,
            payload,
        }
    }

    /// A comment for those who serve. There is one of each step of a trigger.
    pub fn comment(&self, process: &str, trigger: Uuid, step: &str, text: &str) -> Wish {
        let id = outbox::id(process, trigger, &format!("{step}:comment"));
        let payload = json!({"comment_id": id, "text": text, "visibility": "internal"});
        self.wish(trigger, step, CommandType::TicketComment, payload)
    }
}

fn state(cx: &Cx<'_>, state: TicketState) -> rusqlite::Result<()> {
    let ended = matches!(state, TicketState::Closed | TicketState::Cancelled).then(|| cx.at().millis());
    cx.tx.prepare_cached("UPDATE ticket SET state = ?2, ended_at = ?3 WHERE id = ?1")?.execute(params![
        cx.aggregate().to_string(),
        state.as_str(),
        ended
    ])?;
    Ok(())
}

/// Keeps what an event says.
pub fn on(cx: &Cx<'_>, event: &Event) -> rusqlite::Result<()> {
    if cx.event.event.stream.kind != AggregateKind::Ticket {
        return Ok(());
    }
    let (tx, id) = (cx.tx, cx.aggregate().to_string());
    match event {
        Event::TicketOpened(e) => {
            tx.prepare_cached(&format!(
                "INSERT OR REPLACE INTO ticket ({COLUMNS})
                 VALUES (?1, ?2, ?3, ?4, 1, 'new', ?5, ?6, ?7, ?8, ?9, NULL, NULL, NULL, NULL, 0, 0)"
            ))?
            .execute(params![
                id,
                e.site_id.as_str(),
                e.number.as_str(),
                e.kind.as_str(),
                e.dedupe_key.as_ref().map(|k| k.as_str()),
                e.plan_id.map(|p| p.to_string()),
                e.severity,
                cx.at().millis(),
                cx.id().to_string()
            ])?;
        }
        Event::TicketTriaged(e) => {
            tx.prepare_cached(
                "UPDATE ticket SET severity = ?2, triaged_at = coalesce(triaged_at, ?3),
                 state = iif(state = 'new', 'triaged', state) WHERE id = ?1",
            )?
            .execute(params![id, e.severity, cx.at().millis()])?;
        }
        Event::SlaStarted(_) | Event::SlaPolicyApplied(_) => {
            let stored = &cx.event.event;
            tx.prepare_cached("UPDATE ticket SET policy = ?2, policy_type = ?3, policy_schema = ?4 WHERE id = ?1")?
                .execute(params![id, stored.payload, &*stored.event_type, stored.schema])?;
        }
        Event::QuoteSubmitted(_) => state(cx, TicketState::AwaitingApproval)?,
        Event::QuoteApproved(e) => state(cx, e.to_state)?,
        Event::QuoteRejected(e) => state(cx, e.to_state)?,
        Event::QuoteExpired(e) => state(cx, e.to_state)?,
        Event::TechnicianAssigned(_) => state(cx, TicketState::Assigned)?,
        Event::TechnicianReassigned(e) => state(cx, e.to_state)?,
        Event::AssignmentDeclined(_) => state(cx, TicketState::Triaged)?,
        Event::VisitScheduled(_) => state(cx, TicketState::Scheduled)?,
        Event::VisitCancelled(e) => state(cx, e.to_state)?,
        Event::TravelStarted(_) => state(cx, TicketState::Travelling)?,
        Event::TravelAborted(_) => state(cx, TicketState::Assigned)?,
        Event::WorkStarted(_) => state(cx, TicketState::InProgress)?,
        Event::TicketHeld(_) => state(cx, TicketState::OnHold)?,
        Event::TicketResumed(e) => state(cx, e.to_state)?,
        Event::TicketResolved(e) => {
            state(cx, TicketState::Resolved)?;
            tx.prepare_cached("UPDATE ticket SET resolved_at = ?2, resolved_by = ?3, unverified = ?4 WHERE id = ?1")?
                .execute(params![id, cx.at().millis(), cx.id().to_string(), e.verification_required])?;
        }
        Event::RepairVerified(e) => {
            if e.verdict == RepairVerdict::Fail {
                state(cx, TicketState::InProgress)?;
            }
            tx.prepare_cached("UPDATE ticket SET unverified = 0 WHERE id = ?1")?.execute([&id])?;
        }
        Event::TicketClosed(_) => state(cx, TicketState::Closed)?,
        Event::TicketCancelled(_) => state(cx, TicketState::Cancelled)?,
        Event::TicketReopened(_) => state(cx, TicketState::Triaged)?,
        Event::TicketEscalated(e) => level(cx, e.level)?,
        Event::TicketDeescalated(e) => level(cx, e.level)?,
        _ => {}
    }
    tx.prepare_cached("UPDATE ticket SET version = ?2 WHERE id = ?1")?
        .execute(params![id, cx.event.event.version.0 as i64])?;
    Ok(())
}

fn level(cx: &Cx<'_>, level: u8) -> rusqlite::Result<()> {
    cx.tx
        .prepare_cached("UPDATE ticket SET level = ?2 WHERE id = ?1")?
        .execute(params![cx.aggregate().to_string(), level])?;
    Ok(())
}
