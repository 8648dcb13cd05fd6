//! PM-2: a ticket that asks for another unit gets one from stock, or an order that makes it; the ticket
//! waits for it and goes on when it is there.

use mw_contract::reference::catalogues;
use mw_contract::{
    AggregateId, AggregateKind, CommandType, Context, ErrorCode, Event, Instant, OriginKind, Qty, ReplacementMode,
    SiteId, TicketState, Tracking, UnitResult,
};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};
use uuid::Uuid;

use super::alarms::{entry, settings};
use super::days;
use crate::facts::{self, Order};
use crate::manager::{Cx, Ended, Fired, Manager, Wish, derived};
use crate::tickets::{self, Ticket};
use crate::{outbox, timers, units};

/// The manager.
pub struct Replacement;

const NAME: &str = "replacement";

const TABLES: &str = "
CREATE TABLE replacement (
    id TEXT PRIMARY KEY, ticket TEXT NOT NULL, product TEXT NOT NULL, qty TEXT NOT NULL, uom TEXT NOT NULL,
    needed_by INTEGER NOT NULL, mode TEXT NOT NULL, customer TEXT, priority INTEGER, event TEXT NOT NULL,
    work_order TEXT NOT NULL, state TEXT NOT NULL, linked INTEGER NOT NULL, ready_by TEXT, serials TEXT,
    asked_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX replacement_ticket ON replacement (ticket);
CREATE INDEX replacement_order ON replacement (work_order);
CREATE TABLE ticket_order (
    id TEXT PRIMARY KEY, site TEXT NOT NULL, number TEXT NOT NULL, tracked INTEGER NOT NULL, created_at INTEGER NOT NULL,
    produced INTEGER NOT NULL, due INTEGER NOT NULL, due_event TEXT, forgotten INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE made (work_order TEXT NOT NULL, serial TEXT NOT NULL, PRIMARY KEY (work_order, serial)) STRICT, WITHOUT ROWID;
";

/// What a ticket asked for.
struct Request {
    id: String,
    ticket: AggregateId,
    product: String,
    qty: Qty,
    uom: String,
    needed_by: Instant,
    mode: ReplacementMode,
    customer: Option<String>,
    priority: Option<u8>,
    event: Uuid,
    work_order: AggregateId,
    state: String,
    linked: bool,
    ready_by: Option<Uuid>,
    asked_at: Instant,
}

/// An order that a ticket asked for.
pub(super) struct TicketOrder {
    pub(super) site: SiteId,
    number: String,
    tracked: bool,
    created_at: Instant,
    pub(super) produced: bool,
    due: Instant,
    due_event: Option<Uuid>,
    forgotten: bool,
}

fn request(tx: &Connection, id: &str) -> rusqlite::Result<Option<Request>> {
    let read = |r: &rusqlite::Row<'_>| {
        let text = |n| r.get::<_, String>(n);
        let ids = (text(0)?.parse(), text(8)?.parse(), text(9)?.parse(), text(5)?.parse(), text(2)?.parse());
        let (Ok(ticket), Ok(event), Ok(work_order), Ok(mode), Ok(qty)) = ids else { return Ok(None) };
        Ok(Some(Request {
            id: id.to_owned(),
            ticket,
            product: text(1)?,
            qty,
            uom: text(3)?,
            needed_by: Instant::clamped(r.get(4)?),
            mode,
            customer: r.get(6)?,
            priority: r.get(7)?,
            event,
            work_order,
            state: text(10)?,
            linked: r.get(11)?,
            ready_by: r.get::<_, Option<String>>(12)?.and_then(|e| e.parse().ok()),
            asked_at: Instant::clamped(r.get(13)?),
        }))
    };
    let found = tx
        .prepare_cached(
            "SELECT ticket, product, qty, uom, needed_by, mode, customer, priority, event, work_order, state, linked,
                ready_by, asked_at FROM replacement WHERE id = ?1",
        )?
        .query_row([id], read)
        .optional()?;
    Ok(found.flatten())
}

/// What is known of an order that a ticket asked for.
pub(super) fn ticket_order(tx: &Connection, id: AggregateId) -> rusqlite::Result<Option<TicketOrder>> {
    let read = |r: &rusqlite::Row<'_>| {
        let Ok(site) = SiteId::new(&r.get::<_, String>(0)?) else { return Ok(None) };
        Ok(Some(TicketOrder {
            site,
            number: r.get(1)?,
            tracked: r.get(2)?,
            created_at: Instant::clamped(r.get(3)?),
            produced: r.get(4)?,
            due: Instant::clamped(r.get(5)?),
            due_event: r.get::<_, Option<String>>(6)?.and_then(|e| e.parse().ok()),
            forgotten: r.get(7)?,
        }))
    };
    let found = tx
        .prepare_cached(
            "SELECT site, number, tracked, created_at, produced, due, due_event, forgotten FROM ticket_order WHERE id = ?1",
        )?
        .query_row([id.to_string()], read)
        .optional()?;
    Ok(found.flatten())
}

/// The orders that a ticket asked for.
pub(super) fn orders_of(tx: &Connection, ticket: AggregateId) -> rusqlite::Result<Vec<AggregateId>> {
    let mut q = tx.prepare_cached("SELECT work_order FROM replacement WHERE ticket = ?1 ORDER BY id")?;
    let ids = q.query_map([ticket.to_string()], |r| r.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(ids.iter().filter_map(|id| id.parse().ok()).collect())
}

fn by(tx: &Connection, column: &str, id: AggregateId) -> rusqlite::Result<()> {
    let mut q = tx.prepare_cached(&format!("SELECT id FROM replacement WHERE {column} = ?1 ORDER BY id"))?;
    let ids = q.query_map([id.to_string()], |r| r.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    ids.iter().try_for_each(|id| decide(tx, id))
}

impl Request {
    fn ids(&self) -> (mw_contract::CommandId, mw_contract::CommandId) {
        (outbox::id(NAME, self.event, "stock"), outbox::id(NAME, self.event, "create"))
    }

    fn confirm(&self, t: &Ticket, step: &str, order: Option<AggregateId>, serials: &[String]) -> Wish {
        let payload = json!({"request_id": self.id, "work_order_id": order, "serials": serials});
        t.wish(self.event, step, CommandType::TicketConfirmReplacement, payload)
    }

    fn fail(&self, t: &Ticket, reason: &str, order: Option<AggregateId>) -> Wish {
        let payload = json!({"request_id": self.id, "work_order_id": order, "reason": reason});
        t.wish(self.event, &format!("fail:{reason}"), CommandType::TicketFailReplacement, payload)
    }

    fn on_order(&self, order: &Order, site: &SiteId, step: &str, command: CommandType, payload: Value) -> Wish {
        let version = command.is_strict().then_some(order.version);
        Wish {
            trigger: self.event,
            step: version.map_or_else(|| step.to_owned(), |v| format!("{step}:{v}")),
            site: site.clone(),
            command,
            aggregate: order.id,
            expected_version: version,
            payload,
        }
    }

    /// The order that makes it.
    fn create(&self, t: &Ticket) -> Wish {
        let mut payload = json!({
            "order_type": if self.mode == ReplacementMode::Rework { "rework" } else { "replacement" },
            "product_id": self.product,
            "planned_qty": self.qty,
            "uom": self.uom,
            "due_at": self.needed_by,
            "priority": self.priority,
            "customer_id": self.customer,
            "origin": {"kind": "ticket", "id": t.id},
        });
        if self.mode == ReplacementMode::Rework {
            // The parts are in the unit already: what rework needs more is added by people.
            payload["bom"] = json!([]);
        }
        Wish {
            trigger: self.event,
            step: "create".into(),
            site: t.site.clone(),
            command: CommandType::WorkOrderCreate,
            aggregate: self.work_order,
            expected_version: None,
            payload,
        }
    }
}

/// Units that nobody was promised, as many as are asked for; none where there are fewer.
fn units_for(tx: &Connection, r: &Request, site: &SiteId) -> rusqlite::Result<Option<Vec<String>>> {
    let mut q = tx.prepare_cached(
        "SELECT serials FROM replacement WHERE state = 'ready' AND serials IS NOT NULL
         UNION ALL SELECT payload ->> 'serials' FROM outbox
         WHERE process = ?1 AND command = 'ticket.confirm-replacement' AND failed IS NULL AND key <> ?2",
    )?;
    let promised = q
        .query_map([NAME, &r.id], |row| row.get::<_, Option<String>>(0))?
        .collect::<rusqlite::Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .flat_map(|text| serde_json::from_str::<Vec<String>>(&text).unwrap_or_default())
        .collect::<Vec<_>>();
    let mut free = units::free(tx, &r.product, site.as_str())?;
    free.retain(|serial| !promised.contains(serial));
    let mut taken = Vec::new();
    for serial in free {
        if Qty::whole(taken.len() as u32) >= r.qty {
            break;
        }
        taken.push(serial);
    }
    Ok((Qty::whole(taken.len() as u32) >= r.qty).then_some(taken))
}

/// Says what a request needs now.
fn decide(tx: &Connection, id: &str) -> rusqlite::Result<()> {
    let Some(r) = request(tx, id)? else { return Ok(()) };
    let Some(t) = tickets::ticket(tx, r.ticket)? else { return Ok(()) };
    let order = facts::order(tx, r.work_order)?;
    let mut wishes = Vec::new();
    match (&order, r.state.as_str()) {
        (Some(o), _) if t.state == TicketState::Cancelled => {
            let waits = matches!(o.state.as_str(), "draft" | "active");
            if waits && outbox::answer(tx, r.event, CommandType::WorkOrderCancel)?.is_none() {
                let payload = json!({"reason": "other", "note": format!("Ticket {} was cancelled.", t.number)});
                wishes.push(r.on_order(o, &o.site, "cancel", CommandType::WorkOrderCancel, payload));
            }
        }
        _ if t.is_over() => {}
        (_, "ready") => wishes.extend(resume(tx, &r, &t)?),
        (_, "failed") => {}
        (Some(o), _) => of_order(tx, &r, &t, o, &mut wishes)?,
        (None, _) => wishes.extend(choose(tx, &r, &t)?),
    }
    outbox::want(tx, NAME, id, &wishes)
}

/// From stock, or by an order? Once one of them is on its way it stays with that.
fn choose(tx: &Connection, r: &Request, t: &Ticket) -> rusqlite::Result<Option<Wish>> {
    let (stock, create) = r.ids();
    match outbox::outcome(tx, &create)? {
        // Its order is on its way through the log.
        Some(None) => return Ok(None),
        Some(Some(_)) => return Ok(Some(r.fail(t, "order_refused", None))),
        None => {}
    }
    let may = r.mode == ReplacementMode::Replacement && !matches!(outbox::outcome(tx, &stock)?, Some(Some(_)));
    if may && !outbox::waits(tx, &create)? {
        if outbox::waits(tx, &stock)? {
            return Ok(Some(r.confirm(t, "stock", None, &[])));
        }
        if let Some(serials) = units_for(tx, r, &t.site)? {
            return Ok(Some(r.confirm(t, "stock", None, &serials)));
        }
    }
    Ok(Some(r.create(t)))
}

/// What follows from the order as it stands.
fn of_order(tx: &Connection, r: &Request, t: &Ticket, o: &Order, wishes: &mut Vec<Wish>) -> rusqlite::Result<()> {
    let Some(known) = ticket_order(tx, o.id)? else { return Ok(()) };
    let relation = if r.mode == ReplacementMode::Rework { "reworks" } else { "replaces" };
    let payload = json!({"kind": "ticket", "id": t.id, "relation": relation});
    wishes.push(r.on_order(o, &known.site, "link-order", CommandType::WorkOrderLink, payload));
    if !r.linked {
        let payload = json!({"request_id": r.id, "work_order_id": o.id, "number": known.number});
        wishes.push(t.wish(r.event, "link", CommandType::TicketLinkReplacementOrder, payload));
    }
    let forgotten = format!("release/{}", r.id);
    if o.state != "draft" {
        timers::clear(tx, NAME, &forgotten)?;
    } else if known.forgotten {
        let text = format!("Ticket {} waits for this order, and it is not released yet.", t.number);
        let note = outbox::id(NAME, r.event, "forgotten:note");
        let payload = json!({"note_id": note, "text": text});
        wishes.push(r.on_order(o, &known.site, "forgotten", CommandType::WorkOrderAddNote, payload));
    } else {
        timers::set(tx, NAME, &forgotten, days::after(tx, t, known.created_at, 1)?, r.event)?;
    }
    let serials: Vec<String> = tx
        .prepare_cached("SELECT serial FROM made WHERE work_order = ?1 ORDER BY serial")?
        .query_map([o.id.to_string()], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let is_done = matches!(o.state.as_str(), "completed" | "closed");
    let all_made = known.tracked && Qty::whole(serials.len() as u32) >= r.qty;
    if o.state == "cancelled" {
        wishes.push(r.fail(t, "order_cancelled", Some(o.id)));
    } else if is_done && known.tracked && serials.is_empty() {
        wishes.push(r.fail(t, "nothing_made", Some(o.id)));
    } else if is_done || all_made {
        wishes.push(r.confirm(t, "ready", Some(o.id), &serials));
    } else if r.linked {
        wishes.extend(late(r, t, &known));
        wishes.extend(hold(tx, r, t)?);
    }
    Ok(())
}

/// The order is due later than the ticket needs it.
fn late(r: &Request, t: &Ticket, known: &TicketOrder) -> Vec<Wish> {
    let Some(event) = known.due_event.filter(|_| known.due > r.needed_by) else { return Vec::new() };
    let text = format!("Order {} is due at {}; it is needed by {}.", known.number, known.due, r.needed_by);
    let mut wishes = vec![t.comment(NAME, event, &format!("late:{}", r.id), &text)];
    if t.level < 3 {
        let payload = json!({"level": t.level + 1, "reason": text});
        wishes.push(t.wish(event, &format!("escalate:{}", r.id), CommandType::TicketEscalate, payload));
    }
    wishes
}

fn hold(tx: &Connection, r: &Request, t: &Ticket) -> rusqlite::Result<Option<Wish>> {
    let at_work = matches!(
        t.state,
        TicketState::Triaged
            | TicketState::Assigned
            | TicketState::Scheduled
            | TicketState::Travelling
            | TicketState::InProgress
    );
    let wanted = at_work
        && outbox::answer(tx, r.event, CommandType::TicketHold)?.is_none()
        && settings(tx, &t.site)?.replacement_holds;
    // No longer than the catalogue lets it wait.
    let most = entry(tx, catalogues::TICKET_HOLD, "waiting_parts")?.and_then(|e| e.max_days);
    let latest = most.map_or(r.needed_by, |days| r.asked_at.plus_millis(i64::from(days) * 24 * 3_600_000));
    let payload = json!({"reason": "waiting_parts", "expected_until": r.needed_by.min(latest)});
    Ok(wanted.then(|| t.wish(r.event, "hold", CommandType::TicketHold, payload)))
}

/// The ticket goes on, where it was stopped from here and waits for nothing else.
fn resume(tx: &Connection, r: &Request, t: &Ticket) -> rusqlite::Result<Option<Wish>> {
    let Some(ready) = r.ready_by.filter(|_| t.state == TicketState::OnHold) else { return Ok(None) };
    let waits: bool = tx
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM replacement WHERE ticket = ?1 AND state = 'open')")?
        .query_row([t.id.to_string()], |row| row.get(0))?;
    let held = matches!(outbox::answer(tx, r.event, CommandType::TicketHold)?, Some(None));
    let wanted = held && !waits && outbox::answer(tx, ready, CommandType::TicketResume)?.is_none();
    Ok(wanted.then(|| t.wish(ready, "resume", CommandType::TicketResume, json!({}))))
}

impl Manager for Replacement {
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
        let (tx, id) = (cx.tx, cx.aggregate().to_string());
        match event {
            Event::ReplacementOrderRequested(e) => {
                let order = derived(&format!("{NAME}:{}:order", cx.id()));
                tx.prepare_cached(
                    "INSERT OR IGNORE INTO replacement
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 'open', 0, NULL, NULL, ?12)",
                )?
                .execute(params![
                    e.request_id.to_string(),
                    id,
                    e.product_id.as_str(),
                    e.qty.to_string(),
                    e.uom.as_str(),
                    e.needed_by.millis(),
                    e.mode.as_str(),
                    e.customer_id.as_ref().map(|c| c.as_str()),
                    e.priority,
                    cx.id().to_string(),
                    order.to_string(),
                    cx.at().millis()
                ])?;
            }
            Event::ReplacementOrderLinked(e) => {
                tx.prepare_cached("UPDATE replacement SET linked = 1 WHERE id = ?1")?
                    .execute([e.request_id.to_string()])?;
            }
            Event::ReplacementOrderReady(e) => {
                tx.prepare_cached("UPDATE replacement SET state = 'ready', ready_by = ?2, serials = ?3 WHERE id = ?1")?
                    .execute([e.request_id.to_string(), cx.id().to_string(), json!(e.serials).to_string()])?;
            }
            Event::ReplacementOrderFailed(e) => {
                tx.prepare_cached("UPDATE replacement SET state = 'failed' WHERE id = ?1")?
                    .execute([e.request_id.to_string()])?;
            }
            Event::WorkOrderCreated(e) if e.origin.kind == OriginKind::Ticket => {
                tx.prepare_cached("INSERT OR REPLACE INTO ticket_order VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, NULL, 0)")?
                    .execute(params![
                    id,
                    e.site_id.as_str(),
                    e.number.as_str(),
                    e.tracking == Tracking::Serial,
                    cx.at().millis(),
                    e.due_at.millis()
                ])?;
            }
            Event::WorkOrderDueDateChanged(e) => {
                tx.prepare_cached("UPDATE ticket_order SET due = ?2, due_event = ?3 WHERE id = ?1")?
                    .execute(params![id, e.new.millis(), cx.id().to_string()])?;
            }
            Event::OperationQuantityReported(_) => {
                tx.prepare_cached("UPDATE ticket_order SET produced = 1 WHERE id = ?1")?.execute([&id])?;
            }
            Event::UnitRegistered(e) if e.result == UnitResult::Good => {
                tx.prepare_cached(
                    "INSERT OR IGNORE INTO made SELECT ?1, ?2 WHERE EXISTS (SELECT 1 FROM ticket_order WHERE id = ?1)",
                )?
                .execute([&id, e.serial.as_str()])?;
            }
            // Whether a ticket waits may have changed.
            Event::ReferencePut(e) if e.kind == mw_contract::ReferenceKind::Site => {
                let mut q = tx.prepare_cached("SELECT id FROM replacement WHERE state = 'open' ORDER BY id")?;
                let ids = q.query_map([], |r| r.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
                return ids.iter().try_for_each(|id| decide(tx, id));
            }
            _ => {}
        }
        match cx.event.event.stream.kind {
            AggregateKind::Ticket => by(tx, "ticket", cx.aggregate()),
            AggregateKind::WorkOrder => by(tx, "work_order", cx.aggregate()),
            _ => Ok(()),
        }
    }

    /// Nobody has released the order for a working day.
    fn fire(&self, f: &Fired<'_>) -> rusqlite::Result<()> {
        let Some(r) = f.timer.key.strip_prefix("release/").map(|id| request(f.tx, id)).transpose()?.flatten() else {
            return Ok(());
        };
        f.tx.prepare_cached("UPDATE ticket_order SET forgotten = 1 WHERE id = ?1")?
            .execute([r.work_order.to_string()])?;
        decide(f.tx, &r.id)
    }

    fn ended(&self, e: &Ended<'_>) -> rusqlite::Result<bool> {
        if let Some(key) = e.row.and_then(|r| r.key.as_deref()) {
            decide(e.tx, key)?;
        }
        let command = &*e.commit.head.command_type;
        let is = |c: CommandType| command == c.as_str();
        Ok(match e.refused {
            None | Some(ErrorCode::AlreadyExists | ErrorCode::VersionConflict) => true,
            // What was made already goes to stock; a ticket that went on needs no stop and no word of it.
            Some(ErrorCode::InvalidState | ErrorCode::GuardFailed) => {
                is(CommandType::WorkOrderCancel) || is(CommandType::TicketHold) || is(CommandType::TicketResume)
            }
            Some(_) => false,
        })
    }
}
