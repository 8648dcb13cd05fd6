//! PM-6 for tickets: stock keeps the parts that a ticket asks for, what was used goes out of stock, and
//! what nobody used is free again.

use mw_contract::ids::stock_id;
use mw_contract::{
    AggregateId, CommandId, CommandType, Context, EntityId, ErrorCode, Event, ItemId, PartSource, Qty, Text,
};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};
use uuid::Uuid;

use super::material::{Item, items, qty, sum};
use crate::manager::{Cx, Ended, Fired, Manager, Send, Wish, derived};
use crate::tickets::{self, Ticket};
use crate::{outbox, timers};

/// The manager.
pub struct Parts;

const NAME: &str = "parts";
/// After how long somebody is reminded of parts that lie ready.
const REMIND: i64 = 10 * 24 * 3_600_000;
/// After how long parts that nobody fetched are kept no longer.
const EXPIRE: i64 = 14 * 24 * 3_600_000;
/// What the key of the second timer of a reservation ends with.
const EXPIRES: &str = "/expire";

const TABLES: &str = "
CREATE TABLE part_request (
    id TEXT PRIMARY KEY, ticket TEXT NOT NULL, event TEXT NOT NULL, answered INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX part_request_ticket ON part_request (ticket) WHERE answered = 0;
CREATE TABLE part_line (
    request TEXT NOT NULL, n INTEGER NOT NULL, item TEXT NOT NULL, qty TEXT NOT NULL, answered INTEGER NOT NULL,
    PRIMARY KEY (request, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX part_line_item ON part_line (item) WHERE answered = 0;
CREATE TABLE part_try (reservation TEXT PRIMARY KEY, request TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE seen (reservation TEXT PRIMARY KEY, qty TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE kept (
    reservation TEXT PRIMARY KEY, ticket TEXT NOT NULL, item TEXT NOT NULL, location TEXT NOT NULL, lot TEXT,
    left_qty TEXT NOT NULL, used INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX kept_ticket ON kept (ticket);
";

/// A line of a request.
struct Line {
    n: i64,
    item: String,
    qty: Qty,
}

/// One place where a part of a line may be kept.
struct Place {
    item: Item,
    reservation: String,
    step: String,
    command: CommandId,
    /// How much stock keeps there for it.
    got: Option<Qty>,
    free: Qty,
}

fn lines(tx: &Connection, request: &str) -> rusqlite::Result<Vec<Line>> {
    tx.prepare_cached("SELECT n, item, qty FROM part_line WHERE request = ?1 ORDER BY n")?
        .query_map([request], |r| Ok(Line { n: r.get(0)?, item: r.get(1)?, qty: qty(&r.get::<_, String>(2)?) }))?
        .collect()
}

/// Where stock has, or kept, the part of a line; most first.
fn places(tx: &Connection, request: &str, trigger: Uuid, l: &Line, t: &Ticket) -> rusqlite::Result<Vec<Place>> {
    let mut found = Vec::new();
    for (item, on_hand) in items(tx, "item", &l.item)? {
        if item.site != t.site {
            continue;
        }
        let reservation = derived(&format!("{NAME}:{request}:{}:{}", l.n, item.id)).to_string();
        tx.prepare_cached("INSERT OR IGNORE INTO part_try VALUES (?1, ?2)")?.execute([&reservation, request])?;
        let got: Option<String> = tx
            .prepare_cached("SELECT qty FROM seen WHERE reservation = ?1")?
            .query_row([&reservation], |r| r.get(0))
            .optional()?;
        let id = item.id.to_string();
        let kept = sum(tx, "SELECT qty FROM reservation WHERE stock = ?1", &id)?;
        let asked = sum(tx, "SELECT asked FROM try WHERE stock = ?1 AND got IS NULL", &id)?;
        let step = format!("reserve:{reservation}");
        let command = outbox::id(NAME, trigger, &step);
        let (got, free) = (got.map(|q| qty(&q)), on_hand.less(kept + asked));
        found.push(Place { item, reservation, step, command, got, free });
    }
    found.sort_by(|a, b| b.free.cmp(&a.free).then(a.item.id.cmp(&b.item.id)));
    Ok(found)
}

fn on_stock(trigger: Uuid, step: &str, item: &Item, command: CommandType, mut payload: Value) -> Wish {
    payload["item_id"] = json!(item.item);
    payload["location"] = json!(item.location);
    payload["lot"] = json!(item.lot);
    Wish {
        trigger,
        step: step.to_owned(),
        site: item.site.clone(),
        command,
        aggregate: item.id,
        expected_version: None,
        payload,
    }
}

/// Says what a request needs now: more reservations, its answer, or the return of what it does not get.
fn decide(tx: &Connection, request: &str) -> rusqlite::Result<()> {
    let found: Option<(String, String, bool)> = tx
        .prepare_cached("SELECT ticket, event, answered FROM part_request WHERE id = ?1")?
        .query_row([request], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
        .optional()?;
    let Some((ticket, trigger, answered)) = found else { return Ok(()) };
    let (Ok(ticket), Ok(trigger)) = (ticket.parse(), trigger.parse()) else { return Ok(()) };
    let Some(t) = tickets::ticket(tx, ticket)? else { return Ok(()) };
    let is_over = answered || t.is_over() || outbox::outcome(tx, &outbox::id(NAME, trigger, "confirm"))?.is_some();
    let (mut wishes, mut reserved, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for l in lines(tx, request)? {
        let places = places(tx, request, trigger, &l, &t)?;
        if is_over {
            give_back(tx, trigger, &places, &mut wishes)?;
            continue;
        }
        let mut lacking = l.qty;
        for p in &places {
            if let Some(got) = p.got {
                lacking = lacking.less(got);
                reserved.push(json!({"reservation_id": p.reservation, "item_id": l.item, "qty": got,
                    "location": p.item.location, "lot": p.item.lot}));
            }
        }
        // What is on its way stays; then come the places that have most.
        let (asked, open): (Vec<&Place>, Vec<&Place>) = {
            let untried = places.iter().filter(|p| p.got.is_none());
            let mut parts = (Vec::new(), Vec::new());
            for p in untried {
                if outbox::waits(tx, &p.command)? {
                    parts.0.push(p);
                } else if outbox::outcome(tx, &p.command)?.is_none() && !p.free.is_zero() {
                    parts.1.push(p);
                }
            }
            parts
        };
        for p in asked.into_iter().chain(open) {
            if lacking.is_zero() {
                break;
            }
            let take = lacking.min(if p.free.is_zero() { lacking } else { p.free });
            let payload = json!({"reservation_id": p.reservation, "qty": take, "partial": true});
            wishes.push(on_stock(trigger, &p.step, &p.item, CommandType::StockReserve, payload));
            lacking = lacking.less(take);
        }
        if !lacking.is_zero() {
            missing.push(json!({"item_id": l.item, "missing_qty": lacking}));
        }
    }
    if !is_over && wishes.is_empty() {
        let payload = json!({"request_id": request, "reserved": reserved, "missing": missing});
        wishes.push(t.wish(trigger, "confirm", CommandType::TicketConfirmParts, payload));
    }
    outbox::want(tx, NAME, request, &wishes)
}

/// Reservations of an answered request that its answer does not name.
fn give_back(tx: &Connection, trigger: Uuid, places: &[Place], wishes: &mut Vec<Wish>) -> rusqlite::Result<()> {
    for p in places.iter().filter(|p| p.got.is_some()) {
        let is_lost: bool = tx
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM reservation WHERE id = ?1) AND NOT EXISTS (SELECT 1 FROM kept WHERE reservation = ?1)",
            )?
            .query_row([&p.reservation], |r| r.get(0))?;
        if is_lost {
            let step = format!("release:{}", p.reservation);
            let payload = json!({"reservation_id": p.reservation});
            wishes.push(on_stock(trigger, &step, &p.item, CommandType::StockReleaseReservation, payload));
        }
    }
    Ok(())
}

/// What stock keeps for a ticket.
struct Kept {
    reservation: String,
    item: ItemId,
    location: mw_contract::Code,
    lot: Option<Text<40>>,
    left: Qty,
}

fn kept(tx: &Connection, condition: &str, key: &str) -> rusqlite::Result<Vec<Kept>> {
    let sql = format!(
        "SELECT reservation, item, location, lot, left_qty FROM kept WHERE {condition} = ?1 ORDER BY reservation"
    );
    let mut q = tx.prepare_cached(&sql)?;
    let rows = q.query_map([key], |r| {
        let text = |n| r.get::<_, String>(n);
        let codes = (ItemId::new(&text(1)?), mw_contract::Code::new(&text(2)?));
        let (Ok(item), Ok(location)) = codes else { return Ok(None) };
        let lot = r.get::<_, Option<String>>(3)?.and_then(|l| Text::new(&l).ok());
        Ok(Some(Kept { reservation: text(0)?, item, location, lot, left: qty(&text(4)?) }))
    })?;
    Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// A command on a stock item that follows from what happened to a ticket.
fn send(cx: &Cx<'_>, step: &str, k: &Kept, command: CommandType, mut payload: Value) -> rusqlite::Result<()> {
    let Some(t) = tickets::ticket(cx.tx, cx.aggregate())? else { return Ok(()) };
    payload["item_id"] = json!(k.item);
    payload["location"] = json!(k.location);
    payload["lot"] = json!(k.lot);
    let send = Send {
        trigger: cx.id(),
        step,
        site: &t.site,
        command,
        aggregate: stock_id(&k.item, &k.location, k.lot.as_ref()),
        expected_version: None,
        occurred_at: None,
        payload,
    };
    cx.send(NAME, &send)
}

fn release(cx: &Cx<'_>, k: &Kept) -> rusqlite::Result<()> {
    cx.tx.prepare_cached("DELETE FROM kept WHERE reservation = ?1")?.execute([&k.reservation])?;
    timers::clear_all(cx.tx, NAME, &k.reservation)?;
    let payload = json!({"reservation_id": k.reservation});
    send(cx, &format!("release:{}", k.reservation), k, CommandType::StockReleaseReservation, payload)
}

fn answered(tx: &Connection, request: EntityId) -> rusqlite::Result<()> {
    let id = request.to_string();
    tx.prepare_cached("UPDATE part_request SET answered = 1 WHERE id = ?1")?.execute([&id])?;
    tx.prepare_cached("UPDATE part_line SET answered = 1 WHERE request = ?1")?.execute([&id])?;
    decide(tx, &id)
}

/// Stock has changed: requests without an answer may get more, or less.
fn stock_changed(tx: &Connection, item: &ItemId) -> rusqlite::Result<()> {
    let mut q = tx.prepare_cached("SELECT DISTINCT request FROM part_line WHERE item = ?1 AND answered = 0")?;
    let ids = q.query_map([item.as_str()], |r| r.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    ids.iter().try_for_each(|id| decide(tx, id))
}

fn on_ticket(cx: &Cx<'_>, event: &Event) -> rusqlite::Result<()> {
    let (tx, id) = (cx.tx, cx.aggregate().to_string());
    match event {
        Event::PartsRequested(e) => {
            let request = e.request_id.to_string();
            tx.prepare_cached("INSERT OR IGNORE INTO part_request VALUES (?1, ?2, ?3, 0)")?.execute([
                &request,
                &id,
                &cx.id().to_string(),
            ])?;
            for (n, l) in e.lines.iter().enumerate() {
                tx.prepare_cached("INSERT OR IGNORE INTO part_line VALUES (?1, ?2, ?3, ?4, 0)")?.execute(params![
                    request,
                    n as i64,
                    l.item_id.as_str(),
                    l.qty.to_string()
                ])?;
            }
            decide(tx, &request)
        }
        Event::PartsReserved(e) => {
            for l in &e.lines {
                tx.prepare_cached("INSERT OR IGNORE INTO kept VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)")?.execute(
                    params![
                        l.reservation_id.to_string(),
                        id,
                        l.item_id.as_str(),
                        l.location.as_str(),
                        l.lot.as_ref().map(|t| t.as_str()),
                        l.qty.to_string()
                    ],
                )?;
                let key = l.reservation_id.to_string();
                cx.timer(NAME, &key, cx.at().plus_millis(REMIND))?;
                cx.timer(NAME, &format!("{key}{EXPIRES}"), cx.at().plus_millis(EXPIRE))?;
            }
            answered(tx, e.request_id)
        }
        Event::PartsUnavailable(e) => answered(tx, e.request_id),
        Event::PartsReleased(e) => {
            for l in &e.lines {
                if let Some(k) = kept(tx, "reservation", &l.reservation_id.to_string())?.pop() {
                    release(cx, &k)?;
                }
            }
            Ok(())
        }
        Event::PartsConsumed(e) => {
            for (n, l) in e.lines.iter().enumerate().filter(|(_, l)| l.source == PartSource::Reservation) {
                let known = l.reservation_id.map(|r| kept(tx, "reservation", &r.to_string())).transpose()?;
                let place = match (known.and_then(|mut k| k.pop()), &l.location) {
                    (Some(k), _) => k,
                    (None, Some(location)) => Kept {
                        reservation: l.reservation_id.map(|r| r.to_string()).unwrap_or_default(),
                        item: l.item_id.clone(),
                        location: location.clone(),
                        lot: l.lot.clone(),
                        left: Qty::ZERO,
                    },
                    (None, None) => continue,
                };
                let left = place.left.less(l.qty);
                tx.prepare_cached("UPDATE kept SET left_qty = ?2, used = 1 WHERE reservation = ?1")?
                    .execute([&place.reservation, &left.to_string()])?;
                if !place.reservation.is_empty() {
                    timers::clear_all(tx, NAME, &place.reservation)?;
                }
                let serials: Vec<&Text<60>> = l.new_serial.iter().collect();
                let payload = json!({"qty": l.qty, "serials": serials, "reservation_id": l.reservation_id});
                send(cx, &format!("issue:{n}"), &place, CommandType::StockIssue, payload)?;
            }
            Ok(())
        }
        Event::PartsReturned(e) => {
            for (n, l) in e.lines.iter().enumerate() {
                if let Some(r) = l.reservation_id {
                    // A reservation is let go as a whole; what is left of it goes with the end of the ticket.
                    match kept(tx, "reservation", &r.to_string())?.pop().filter(|k| l.qty >= k.left) {
                        Some(k) => release(cx, &k)?,
                        None => continue,
                    }
                } else {
                    let place = Kept {
                        reservation: String::new(),
                        item: l.item_id.clone(),
                        location: e.to_location.clone(),
                        lot: l.lot.clone(),
                        left: Qty::ZERO,
                    };
                    let serials: Vec<&Text<60>> = l.serial.iter().collect();
                    let payload = json!({"qty": l.qty, "serials": serials, "condition": e.condition});
                    send(cx, &format!("return:{n}"), &place, CommandType::StockReturn, payload)?;
                }
            }
            Ok(())
        }
        Event::TicketCancelled(_) | Event::TicketClosed(_) => {
            for k in kept(tx, "ticket", &id)? {
                if k.left.is_zero() {
                    tx.prepare_cached("DELETE FROM kept WHERE reservation = ?1")?.execute([&k.reservation])?;
                    timers::clear_all(tx, NAME, &k.reservation)?;
                } else {
                    release(cx, &k)?;
                }
            }
            let mut q = tx.prepare_cached("SELECT id FROM part_request WHERE ticket = ?1 AND answered = 0")?;
            let ids = q.query_map([&id], |r| r.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
            ids.iter().try_for_each(|id| decide(tx, id))
        }
        _ => Ok(()),
    }
}

impl Manager for Parts {
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
            Event::StockReserved(e) => {
                if e.work_order_id.is_none() {
                    let id = e.reservation_id.to_string();
                    tx.prepare_cached("INSERT OR IGNORE INTO seen VALUES (?1, ?2)")?
                        .execute([&id, &e.qty.to_string()])?;
                    let request: Option<String> = tx
                        .prepare_cached("SELECT request FROM part_try WHERE reservation = ?1")?
                        .query_row([&id], |r| r.get(0))
                        .optional()?;
                    if let Some(request) = request {
                        decide(tx, &request)?;
                    }
                }
                stock_changed(tx, &e.item_id)
            }
            Event::StockReceived(e) => stock_changed(tx, &e.item_id),
            Event::StockReturned(e) => stock_changed(tx, &e.item_id),
            Event::StockAdjusted(e) => stock_changed(tx, &e.item_id),
            Event::StockIssued(e) => stock_changed(tx, &e.item_id),
            Event::StockReservationReleased(e) => {
                let request: Option<String> = tx
                    .prepare_cached("SELECT request FROM part_try WHERE reservation = ?1")?
                    .query_row([e.reservation_id.to_string()], |r| r.get(0))
                    .optional()?;
                if let Some(request) = request {
                    decide(tx, &request)?;
                }
                stock_changed(tx, &e.item_id)
            }
            _ => on_ticket(cx, event),
        }
    }

    /// The parts lie ready and nobody fetches them.
    fn fire(&self, f: &Fired<'_>) -> rusqlite::Result<()> {
        let (reservation, expires) = match f.timer.key.strip_suffix(EXPIRES) {
            Some(reservation) => (reservation, true),
            None => (f.timer.key.as_str(), false),
        };
        let ticket: Option<String> =
            f.tx.prepare_cached("SELECT ticket FROM kept WHERE reservation = ?1 AND used = 0")?
                .query_row([reservation], |r| r.get(0))
                .optional()?;
        let id = ticket.and_then(|t| t.parse::<AggregateId>().ok());
        match id.map(|id| tickets::ticket(f.tx, id)).transpose()?.flatten().filter(|t| !t.is_over()) {
            Some(t) if expires => {
                let payload = json!({"reservation_ids": [reservation]});
                let step = format!("expire:{reservation}");
                let wish = t.wish(f.timer.trigger, &step, CommandType::TicketReleaseParts, payload);
                outbox::push(f.tx, NAME, &wish.send())
            }
            Some(t) => {
                let text = "Parts have been kept for this ticket for 10 days: use them, or return them. After 14 days \
                            they are free again.";
                let wish = t.comment(NAME, f.timer.trigger, &format!("remind:{reservation}"), text);
                outbox::push(f.tx, NAME, &wish.send())
            }
            None => Ok(()),
        }
    }

    fn ended(&self, e: &Ended<'_>) -> rusqlite::Result<bool> {
        if let Some(key) = e.row.and_then(|r| r.key.as_deref()) {
            decide(e.tx, key)?;
        }
        let command = &*e.commit.head.command_type;
        let is = |c: CommandType| command == c.as_str();
        Ok(match e.refused {
            None | Some(ErrorCode::AlreadyExists) => true,
            // Too little stock is an answer.
            Some(ErrorCode::InsufficientStock) => is(CommandType::StockReserve),
            // The ticket has ended meanwhile, or the reservation is gone.
            Some(ErrorCode::InvalidState) => is(CommandType::TicketConfirmParts) || is(CommandType::TicketReleaseParts),
            Some(ErrorCode::NotFound) => is(CommandType::StockReserve) || is(CommandType::StockReleaseReservation),
            Some(_) => false,
        })
    }
}
