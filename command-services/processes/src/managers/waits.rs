//! TK-32 by the system: a ticket that waits goes on when what it waits for is there: the customer has
//! answered, or stock keeps all the parts that were asked for. What else it waits for is for people, and
//! for a replacement PM-2 ([`super::replacement`]).

use mw_contract::{AggregateId, AggregateKind, CommandType, Context, ErrorCode, Event, Role, TicketState};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;
use uuid::Uuid;

use crate::manager::{Cx, Ended, Manager};
use crate::{outbox, tickets};

/// The manager.
pub struct Waits;

const NAME: &str = "waits";

const TABLES: &str = "
CREATE TABLE wait (ticket TEXT PRIMARY KEY, reason TEXT NOT NULL, over_by TEXT) STRICT, WITHOUT ROWID;
CREATE TABLE asked_part (request TEXT PRIMARY KEY, ticket TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX asked_part_ticket ON asked_part (ticket);
";

/// What it waited for is there, by this event.
fn is_over(cx: &Cx<'_>, reason: &str) -> rusqlite::Result<()> {
    cx.tx
        .prepare_cached("UPDATE wait SET over_by = ?3 WHERE ticket = ?1 AND reason = ?2 AND over_by IS NULL")?
        .execute(params![cx.aggregate().to_string(), reason, cx.id().to_string()])
        .map(drop)
}

/// Does a ticket wait for parts or a unit that nobody has answered for, or that is still to come?
fn lacks_parts(tx: &Connection, ticket: &str) -> rusqlite::Result<bool> {
    tx.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM asked_part WHERE ticket = ?1)
             OR EXISTS (SELECT 1 FROM replacement WHERE ticket = ?1 AND state = 'open')",
    )?
    .query_row([ticket], |r| r.get(0))
}

/// Says whether the ticket is to go on.
fn decide(tx: &Connection, id: AggregateId) -> rusqlite::Result<()> {
    let key = id.to_string();
    let over: Option<Option<String>> =
        tx.prepare_cached("SELECT over_by FROM wait WHERE ticket = ?1")?.query_row([&key], |r| r.get(0)).optional()?;
    let over: Option<Uuid> = over.flatten().and_then(|e| e.parse().ok());
    let ticket = tickets::ticket(tx, id)?.filter(|t| t.state == TicketState::OnHold);
    let (Some(event), Some(t)) = (over, ticket) else { return outbox::want(tx, NAME, &key, &[]) };
    // Once: whoever holds it again after that has a reason of his own.
    if outbox::answer(tx, event, CommandType::TicketResume)?.is_some() {
        return outbox::want(tx, NAME, &key, &[]);
    }
    outbox::want(tx, NAME, &key, &[t.wish(event, "resume", CommandType::TicketResume, json!({}))])
}

impl Manager for Waits {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static str {
        TABLES
    }

    fn contexts(&self) -> &'static [Context] {
        &[Context::AfterService]
    }

    fn on(&self, cx: &Cx<'_>, event: &Event) -> rusqlite::Result<()> {
        if cx.event.event.stream.kind != AggregateKind::Ticket {
            return Ok(());
        }
        let (tx, id) = (cx.tx, cx.aggregate().to_string());
        match event {
            Event::TicketHeld(e) => {
                tx.prepare_cached("INSERT OR REPLACE INTO wait VALUES (?1, ?2, NULL)")?
                    .execute([&id, e.reason.as_str()])?;
            }
            Event::TicketResumed(_) | Event::TicketCancelled(_) | Event::TicketResolved(_) | Event::TicketClosed(_) => {
                tx.prepare_cached("DELETE FROM wait WHERE ticket = ?1")?.execute([&id])?;
            }
            Event::CommentAdded(e) if !e.by_staff && cx.commit.head.role != Some(Role::System) => {
                is_over(cx, "waiting_customer")?;
            }
            Event::PartsRequested(e) => {
                tx.prepare_cached("INSERT OR REPLACE INTO asked_part VALUES (?1, ?2)")?
                    .execute([&e.request_id.to_string(), &id])?;
            }
            Event::PartsReserved(e) => {
                tx.prepare_cached("DELETE FROM asked_part WHERE request = ?1")?.execute([e.request_id.to_string()])?;
                if !lacks_parts(tx, &id)? {
                    is_over(cx, "waiting_parts")?;
                }
            }
            _ => {}
        }
        decide(tx, cx.aggregate())
    }

    fn ended(&self, e: &Ended<'_>) -> rusqlite::Result<bool> {
        if let Some(id) = e.row.and_then(|r| r.key.as_deref()).and_then(|key| key.parse().ok()) {
            decide(e.tx, id)?;
        }
        // Whoever let it go on, or ended it, at the same time has done what was wanted.
        let done = [ErrorCode::AlreadyExists, ErrorCode::VersionConflict, ErrorCode::InvalidState];
        Ok(e.refused.is_none_or(|code| done.contains(&code)))
    }
}
