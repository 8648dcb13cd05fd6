//! PM-1: which tickets the raises of alarms ask for, and what becomes of one whose alarm is over.

use mw_contract::{AggregateId, CommandType, EntityId, Event, Instant, SiteId, TicketState};
use rusqlite::{Connection, params};
use serde_json::json;
use uuid::Uuid;

use super::alarms::{NAME, settings};
use crate::manager::{Cx, Wish, derived};
use crate::outbox;
use crate::tickets::{self, Ticket};

/// What the keys begin with under which a ticket whose alarm is over is dealt with.
pub(super) const OVER: &str = "over/";
/// How long after its end the same alarm is the same case.
const SAME_CASE: i64 = 7 * 24 * 3_600_000;

/// A raise that has not asked for its ticket yet.
struct Raise {
    event: Uuid,
    source: AggregateId,
    /// Product and owner of a unit.
    unit: Option<(String, String)>,
    name: String,
    line: String,
    site: SiteId,
    code: String,
    alarm: Option<EntityId>,
    severity: u16,
    ticket_severity: u8,
    symptom: Option<String>,
    team: Option<String>,
    at: Instant,
    /// Did it last, or does it count anyway?
    is_due: bool,
}

fn raises(tx: &Connection, key: &str) -> rusqlite::Result<Vec<Raise>> {
    let mut q = tx.prepare_cached(
        "SELECT event, source, name, line, site, code, alarm, severity, ticket_severity, symptom, team, at,
            counts OR (elapsed AND (cleared_at IS NULL OR cleared_at >= due)), product, customer
         FROM raise WHERE key = ?1 AND settled = 0 ORDER BY n",
    )?;
    let rows = q.query_map([key], |r| {
        let text = |n| r.get::<_, String>(n);
        let ids = (text(0)?.parse(), text(1)?.parse(), SiteId::new(&text(4)?));
        let (Ok(event), Ok(source), Ok(site)) = ids else { return Ok(None) };
        Ok(Some(Raise {
            event,
            source,
            unit: r.get::<_, Option<String>>(13)?.zip(r.get(14)?),
            name: text(2)?,
            line: text(3)?,
            site,
            code: text(5)?,
            alarm: r.get::<_, Option<String>>(6)?.and_then(|a| a.parse().ok()),
            severity: r.get(7)?,
            ticket_severity: r.get(8)?,
            symptom: r.get(9)?,
            team: r.get(10)?,
            at: Instant::clamped(r.get(11)?),
            is_due: r.get(12)?,
        }))
    })?;
    Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// Says what the raises of a case ask for, as its ticket stands.
pub(super) fn decide(tx: &Connection, key: &str) -> rusqlite::Result<()> {
    let ticket = tickets::last_of(tx, key)?;
    let mut wishes = Vec::new();
    let mut reopening = false;
    for r in raises(tx, key)?.iter().filter(|r| r.is_due) {
        match ticket.as_ref().filter(|t| comes_back(t, r)) {
            None => wishes.push(open(r, key)),
            // What comes after the reopening counts up.
            Some(_) if reopening => {}
            Some(t) => match outbox::answer(tx, r.event, CommandType::TicketReopen)? {
                Some(None) => {
                    tx.prepare_cached("UPDATE raise SET settled = 1 WHERE event = ?1")?
                        .execute([r.event.to_string()])?;
                }
                Some(Some(_)) => wishes.push(open(r, key)),
                None => {
                    reopening = true;
                    let payload = json!({"reason": "other", "note": "The same alarm came back.", "same_fault": true});
                    wishes.push(t.wish(r.event, "reopen", CommandType::TicketReopen, payload));
                }
            },
        }
    }
    // One that was answered by a reopening must not ask again once its ticket is open.
    wishes.retain(|w| {
        w.command != CommandType::TicketOpen
            || !matches!(outbox::answer(tx, w.trigger, CommandType::TicketReopen), Ok(Some(None)))
    });
    outbox::want(tx, NAME, key, &wishes)
}

/// Was the ticket done with shortly before the alarm came again?
fn comes_back(t: &Ticket, r: &Raise) -> bool {
    let done = match t.state {
        TicketState::Closed => t.ended_at,
        TicketState::Resolved => t.resolved_at,
        _ => None,
    };
    r.alarm.is_some() && done.is_some_and(|at| (0..=SAME_CASE).contains(&r.at.since(at)))
}

fn open(r: &Raise, key: &str) -> Wish {
    let is_storm = key.starts_with("storm:");
    let title = match r.alarm {
        _ if is_storm => format!("Many alarms on {}", r.line),
        Some(_) => format!("Alarm {} on {}", r.code, r.name),
        None => format!("{} stopped: {}", r.name, r.code),
    };
    let team = r.team.as_ref().map(|t| format!(" Team: {t}.")).unwrap_or_default();
    let description = match r.alarm {
        Some(_) => format!("Alarm {} of severity {} on {}.{team}", r.code, r.severity, r.name),
        None => format!("Work on {} stopped for {}.{team}", r.name, r.code),
    };
    let mut payload = json!({
        "kind": if r.unit.is_some() { "customer_repair" } else { "internal_maintenance" },
        "channel": if r.alarm.is_some() { "alarm" } else { "operator" },
        "title": title,
        "description": description,
        "severity": r.ticket_severity,
        "symptom": r.symptom,
        "dedupe_key": key,
        "down_since": r.alarm.is_none().then_some(r.at),
    });
    match &r.unit {
        Some((product, customer)) => {
            payload["product_id"] = json!(product);
            payload["serial"] = json!(r.name);
            payload["customer_id"] = json!(customer);
        }
        None => payload["equipment_id"] = json!(r.source),
    }
    if let Some(id) = r.alarm {
        payload["alarm"] = json!({"alarm_id": id, "code": r.code, "raised_at": r.at});
    }
    Wish {
        trigger: r.event,
        step: "open".into(),
        site: r.site.clone(),
        command: CommandType::TicketOpen,
        aggregate: AggregateId(derived(&format!("{NAME}:{}:ticket", r.event))),
        expected_version: None,
        payload,
    }
}

/// What happened to a ticket.
pub(super) fn on(cx: &Cx<'_>, event: &Event) -> rusqlite::Result<()> {
    let alarm = match event {
        Event::TicketOpened(e) => e.alarm.as_ref(),
        Event::TicketOccurrenceAdded(e) => e.alarm.as_ref(),
        _ => None,
    };
    let id = cx.aggregate();
    if let Some(alarm) = alarm {
        link(cx, alarm.alarm_id)?;
    }
    let is_step = matches!(
        event,
        Event::TicketOpened(_)
            | Event::TicketOccurrenceAdded(_)
            | Event::TicketTriaged(_)
            | Event::TicketResolved(_)
            | Event::TicketClosed(_)
            | Event::TicketCancelled(_)
            | Event::TicketReopened(_)
            | Event::RepairVerified(_)
    );
    if !is_step {
        // A strict command that waits is tried on the version of now.
        return refresh(cx.tx, id);
    }
    over(cx.tx, &id.to_string())?;
    match tickets::ticket(cx.tx, id)?.and_then(|t| t.dedupe_key) {
        Some(key) => decide(cx.tx, &key),
        None => Ok(()),
    }
}

/// Ties a ticket to an alarm, once.
fn link(cx: &Cx<'_>, alarm: EntityId) -> rusqlite::Result<()> {
    let Some(ticket) = tickets::ticket(cx.tx, cx.aggregate())? else { return Ok(()) };
    let new = cx
        .tx
        .prepare_cached("INSERT OR IGNORE INTO ticket_alarm VALUES (?1, ?2)")?
        .execute(params![ticket.id.to_string(), alarm.to_string()])?;
    if new == 0 {
        return Ok(());
    }
    let payload = json!({"kind": "alarm", "id": alarm, "relation": "caused_by"});
    outbox::push(cx.tx, NAME, &ticket.wish(cx.id(), "link", CommandType::TicketLink, payload).send())
}

fn refresh(tx: &Connection, id: AggregateId) -> rusqlite::Result<()> {
    let key = format!("{OVER}{id}");
    if !outbox::waiting(tx, NAME, &key)?.is_empty() {
        over(tx, &id.to_string())?;
    }
    match tickets::ticket(tx, id)?.and_then(|t| t.dedupe_key) {
        Some(key) if !outbox::waiting(tx, NAME, &key)?.is_empty() => decide(tx, &key),
        _ => Ok(()),
    }
}

/// A ticket that nobody had looked at when all its alarms were over: a comment says so, or it is
/// cancelled where its site wants that.
pub(super) fn over(tx: &Connection, ticket: &str) -> rusqlite::Result<()> {
    let Some(t) = ticket.parse().ok().map(|id| tickets::ticket(tx, id)).transpose()?.flatten() else { return Ok(()) };
    let (all, cleared, last): (i64, i64, Option<i64>) = tx
        .prepare_cached(
            "SELECT count(*), count(a.cleared_at), max(a.cleared_at) FROM ticket_alarm t
             LEFT JOIN alarm a ON a.id = t.alarm WHERE t.ticket = ?1",
        )?
        .query_row([ticket], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
    let last = last.filter(|_| all > 0 && all == cleared).map(Instant::clamped);
    let unseen = |at: Instant| t.triaged_at.is_none_or(|s| s > at) && t.ended_at.is_none_or(|s| s > at);
    let mut wishes = Vec::new();
    if let Some(at) = last.filter(|at| unseen(*at)) {
        if settings(tx, &t.site)?.alarm_clear_cancels {
            let answered = outbox::answer(tx, t.opened_by, CommandType::TicketCancel)?.is_some();
            if t.state == TicketState::New && !answered {
                let payload = json!({"reason": "other", "note": format!("The alarm was over at {at}.")});
                wishes.push(t.wish(t.opened_by, "cancel", CommandType::TicketCancel, payload));
            }
        } else {
            let text = format!("The alarm was over at {at}, before anybody looked at it.");
            wishes.push(t.comment(NAME, t.opened_by, "cleared", &text));
        }
    }
    outbox::want(tx, NAME, &format!("{OVER}{ticket}"), &wishes)
}
