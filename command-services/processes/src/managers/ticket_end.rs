//! PM-9 for tickets: closes what was resolved and nobody answered, lets quotes expire, ends sessions
//! that last too long, and warns of a technician who works in two places.

use mw_contract::{AggregateId, CommandType, Context, Date, ErrorCode, Event, ReferenceKind, TicketState};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;

use super::alarms::settings;
use super::days;
use crate::manager::{Cx, Ended, Fired, Manager};
use crate::{outbox, tickets, timers};

/// The manager.
pub struct TicketEnd;

const NAME: &str = "ticket-end";
/// The longest that a work session may last.
const SESSION: i64 = 16 * 3_600_000;

const TABLES: &str = "
CREATE TABLE work (
    session TEXT PRIMARY KEY, ticket TEXT NOT NULL, technician TEXT NOT NULL, started_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX work_technician ON work (technician);
CREATE TABLE quote (
    ticket TEXT PRIMARY KEY, quote TEXT NOT NULL, revision INTEGER NOT NULL, valid_until TEXT NOT NULL, event TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Sets or takes away the timer of a resolved ticket, as its site's settings say now. One whose repair
/// waits for its test is not closed.
fn close_later(tx: &Connection, id: AggregateId) -> rusqlite::Result<()> {
    let key = format!("close/{id}");
    let found = tickets::ticket(tx, id)?.filter(|t| t.state == TicketState::Resolved && !t.unverified);
    let Some((t, (at, by))) = found.and_then(|t| Some((t.clone(), t.resolved_at.zip(t.resolved_by)?))) else {
        return timers::clear(tx, NAME, &key);
    };
    if outbox::answer(tx, by, CommandType::TicketClose)?.is_some() {
        return timers::clear(tx, NAME, &key);
    }
    let due = days::after(tx, &t, at, settings(tx, &t.site)?.ticket_auto_close_days)?;
    timers::set(tx, NAME, &key, due, by)
}

fn begun(cx: &Cx<'_>, session: &str, technician: &str) -> rusqlite::Result<()> {
    let (tx, id) = (cx.tx, cx.aggregate().to_string());
    let other: Option<String> = tx
        .prepare_cached("SELECT ticket FROM work WHERE technician = ?1 AND ticket <> ?2 ORDER BY session LIMIT 1")?
        .query_row([technician, &id], |r| r.get(0))
        .optional()?;
    tx.prepare_cached("INSERT OR REPLACE INTO work VALUES (?1, ?2, ?3, ?4)")?.execute(params![
        session,
        id,
        technician,
        cx.at().millis()
    ])?;
    cx.timer(NAME, &format!("session/{session}"), cx.at().plus_millis(SESSION))?;
    let other = other.and_then(|o| o.parse().ok()).map(|o| tickets::ticket(tx, o)).transpose()?.flatten();
    match (tickets::ticket(tx, cx.aggregate())?, other) {
        (Some(t), Some(other)) => {
            let text = format!("{technician} has a work session open on ticket {} too: end one of them.", other.number);
            outbox::push(tx, NAME, &t.comment(NAME, cx.id(), "two-sessions", &text).send())
        }
        _ => Ok(()),
    }
}

/// Sets the timer of a quote: its last day ends as its site's clocks say.
fn expire_later(tx: &Connection, ticket: AggregateId) -> rusqlite::Result<()> {
    let found: Option<(String, String)> = tx
        .prepare_cached("SELECT valid_until, event FROM quote WHERE ticket = ?1")?
        .query_row([ticket.to_string()], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()?;
    let Some(t) = tickets::ticket(tx, ticket)? else { return Ok(()) };
    let parts = found.and_then(|(day, event)| Some((day.parse::<Date>().ok()?, event.parse().ok()?)));
    let Some((day, event)) = parts else { return Ok(()) };
    let (_, end) = day.span_in(&days::zone(tx, &t.site)?);
    timers::set(tx, NAME, &format!("quote/{ticket}"), end, event)
}

fn no_quote(cx: &Cx<'_>) -> rusqlite::Result<()> {
    let id = cx.aggregate().to_string();
    cx.tx.prepare_cached("DELETE FROM quote WHERE ticket = ?1")?.execute([&id])?;
    timers::clear(cx.tx, NAME, &format!("quote/{id}"))
}

impl Manager for TicketEnd {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static str {
        TABLES
    }

    fn contexts(&self) -> &'static [Context] {
        &[Context::Production, Context::AfterService]
    }

    fn on(&self, cx: &Cx<'_>, event: &Event) -> rusqlite::Result<()> {
        let tx = cx.tx;
        match event {
            Event::WorkStarted(e) => begun(cx, &e.session_id.to_string(), e.technician.as_str()),
            Event::WorkResumed(e) => begun(cx, &e.session_id.to_string(), e.technician.as_str()),
            Event::WorkPaused(e) => {
                let session = e.session_id.to_string();
                tx.prepare_cached("DELETE FROM work WHERE session = ?1")?.execute([&session])?;
                timers::clear(tx, NAME, &format!("session/{session}"))
            }
            Event::QuoteSubmitted(e) => {
                tx.prepare_cached("INSERT OR REPLACE INTO quote VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
                    cx.aggregate().to_string(),
                    e.quote_id.to_string(),
                    e.revision,
                    e.valid_until.to_string(),
                    cx.id().to_string()
                ])?;
                expire_later(tx, cx.aggregate())
            }
            Event::QuoteApproved(_) | Event::QuoteRejected(_) | Event::QuoteExpired(_) => no_quote(cx),
            Event::TicketCancelled(_) => {
                no_quote(cx)?;
                close_later(tx, cx.aggregate())
            }
            Event::TicketResolved(_) | Event::RepairVerified(_) | Event::TicketClosed(_) | Event::TicketReopened(_) => {
                close_later(tx, cx.aggregate())
            }
            // The days or the time zone may have changed.
            Event::ReferencePut(e) if e.kind == ReferenceKind::Site => {
                let mut q =
                    tx.prepare_cached("SELECT id FROM ticket WHERE site = ?1 AND state = 'resolved' ORDER BY id")?;
                let ids = q.query_map([e.code.as_str()], |r| r.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
                ids.iter().filter_map(|id| id.parse().ok()).try_for_each(|id| close_later(tx, id))?;
                let mut q = tx.prepare_cached("SELECT ticket FROM quote ORDER BY ticket")?;
                let ids = q.query_map([], |r| r.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
                ids.iter().filter_map(|id| id.parse().ok()).try_for_each(|id| expire_later(tx, id))
            }
            _ => Ok(()),
        }
    }

    fn fire(&self, f: &Fired<'_>) -> rusqlite::Result<()> {
        match f.timer.key.split_once('/') {
            Some(("session", id)) => overdue(f, id),
            Some(("close", id)) => id.parse().map_or(Ok(()), |id| close(f, id)),
            Some(("quote", id)) => id.parse().map_or(Ok(()), |id| expire(f, id)),
            _ => Ok(()),
        }
    }

    fn ended(&self, e: &Ended<'_>) -> rusqlite::Result<bool> {
        let command = &*e.commit.head.command_type;
        let is = |c: CommandType| command == c.as_str();
        match e.refused {
            // Somebody was faster: it is tried with the version of now.
            Some(ErrorCode::VersionConflict) if is(CommandType::TicketClose) => {
                if let Some(id) = e.commit.head.aggregate_id {
                    close_later(e.tx, id)?;
                }
                Ok(true)
            }
            Some(ErrorCode::InvalidState | ErrorCode::NotFound | ErrorCode::GuardFailed) => {
                // It has been ended, answered or closed by somebody meanwhile.
                Ok(is(CommandType::TicketPauseWork)
                    || is(CommandType::TicketExpireQuote)
                    || is(CommandType::TicketClose))
            }
            refused => Ok(matches!(refused, None | Some(ErrorCode::AlreadyExists))),
        }
    }
}

/// A session that is open at its limit ends there; its reason asks for a correction.
fn overdue(f: &Fired<'_>, session: &str) -> rusqlite::Result<()> {
    let ticket: Option<String> =
        f.tx.prepare_cached("SELECT ticket FROM work WHERE session = ?1")?
            .query_row([session], |r| r.get(0))
            .optional()?;
    let ticket = ticket.and_then(|t| t.parse().ok()).map(|id| tickets::ticket(f.tx, id)).transpose()?.flatten();
    let Some(t) = ticket else { return Ok(()) };
    let note = "It was open for 16 hours: put its end right.";
    let payload = json!({"session_id": session, "reason": "shift_end", "note": note});
    let wish = t.wish(f.timer.trigger, "overdue", CommandType::TicketPauseWork, payload);
    let mut send = wish.send();
    send.occurred_at = Some(f.timer.due);
    outbox::push(f.tx, NAME, &send)
}

fn close(f: &Fired<'_>, id: AggregateId) -> rusqlite::Result<()> {
    let found = tickets::ticket(f.tx, id)?.filter(|t| t.state == TicketState::Resolved && !t.unverified);
    let Some(t) = found.filter(|t| t.resolved_by == Some(f.timer.trigger)) else { return Ok(()) };
    if outbox::answer(f.tx, f.timer.trigger, CommandType::TicketClose)?.is_some() {
        return Ok(());
    }
    let payload = json!({"reason": "auto"});
    outbox::push(f.tx, NAME, &t.wish(f.timer.trigger, "close", CommandType::TicketClose, payload).send())
}

fn expire(f: &Fired<'_>, id: AggregateId) -> rusqlite::Result<()> {
    let quote: Option<(String, u16)> =
        f.tx.prepare_cached("SELECT quote, revision FROM quote WHERE ticket = ?1")?
            .query_row([id.to_string()], |r| Ok((r.get(0)?, r.get(1)?)))
            .optional()?;
    let (Some(t), Some((quote, revision))) = (tickets::ticket(f.tx, id)?, quote) else { return Ok(()) };
    let payload = json!({"quote_id": quote, "revision": revision});
    // An id by the quote's own event: a timer that is set again sends nothing again.
    outbox::push(f.tx, NAME, &t.wish(f.timer.trigger, "expire", CommandType::TicketExpireQuote, payload).send())
}
