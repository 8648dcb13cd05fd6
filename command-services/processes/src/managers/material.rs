//! PM-6: orders ask for material, stock sets it aside, and what went to and fro at an order goes
//! to and fro in stock.

use mw_contract::event::parts::BomLineV1;
use mw_contract::ids::stock_id;
use mw_contract::{AggregateId, Code, CommandType, ErrorCode, Event, ItemId, Qty, SiteId, Text};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::facts::{self, Order};
use crate::manager::{Cx, Ended, Fired, Manager, Send, derived};
use crate::{outbox, timers};

/// The manager.
pub struct Material;

const NAME: &str = "material";
/// How long material is set aside without being issued.
const KEPT: i64 = 14 * 24 * 3_600_000;

const TABLES: &str = "
CREATE TABLE stock (
    id TEXT PRIMARY KEY, item TEXT NOT NULL, location TEXT NOT NULL, lot TEXT NOT NULL, site TEXT NOT NULL,
    on_hand TEXT NOT NULL
) STRICT;
CREATE INDEX stock_item ON stock (item);
CREATE TABLE reservation (
    id TEXT PRIMARY KEY, stock TEXT NOT NULL, work_order TEXT, qty TEXT NOT NULL, releasing INTEGER NOT NULL
) STRICT;
CREATE INDEX reservation_stock ON reservation (stock);
CREATE INDEX reservation_order ON reservation (work_order);
CREATE TABLE need (
    work_order TEXT NOT NULL, line_no INTEGER NOT NULL, asked TEXT NOT NULL, reserved TEXT NOT NULL,
    issued TEXT NOT NULL, PRIMARY KEY (work_order, line_no)
) STRICT;
CREATE TABLE request (
    id TEXT PRIMARY KEY, work_order TEXT NOT NULL, trigger_id TEXT NOT NULL
) STRICT;
CREATE TABLE request_line (
    request TEXT NOT NULL, n INTEGER NOT NULL, line_no INTEGER NOT NULL, item TEXT NOT NULL, qty TEXT NOT NULL,
    location TEXT, lot TEXT, PRIMARY KEY (request, n)
) STRICT;
CREATE TABLE try (
    reservation TEXT PRIMARY KEY, request TEXT NOT NULL, n INTEGER NOT NULL, stock TEXT NOT NULL, asked TEXT NOT NULL,
    got TEXT
) STRICT;
CREATE INDEX try_stock ON try (stock) WHERE got IS NULL;
CREATE INDEX try_request ON try (request);
";

pub(super) fn qty(text: &str) -> Qty {
    text.parse().unwrap_or(Qty::ZERO)
}

pub(super) fn sum(tx: &Connection, sql: &str, key: &str) -> rusqlite::Result<Qty> {
    let mut q = tx.prepare_cached(sql)?;
    let all = q.query_map([key], |r| r.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(all.iter().map(|t| qty(t)).sum())
}

/// A stock item.
pub(super) struct Item {
    pub(super) id: AggregateId,
    pub(super) item: ItemId,
    pub(super) location: Code,
    pub(super) lot: Option<Text<40>>,
    pub(super) site: SiteId,
}

pub(super) fn items(tx: &Connection, condition: &str, key: &str) -> rusqlite::Result<Vec<(Item, Qty)>> {
    let sql = format!("SELECT id, item, location, lot, site, on_hand FROM stock WHERE {condition} = ?1 ORDER BY id");
    let mut q = tx.prepare_cached(&sql)?;
    let rows = q.query_map([key], |r| {
        let text = |n| r.get::<_, String>(n);
        Ok((text(0)?, text(1)?, text(2)?, text(3)?, text(4)?, text(5)?))
    })?;
    let mut found = Vec::new();
    for row in rows {
        let (id, item, location, lot, site, on_hand) = row?;
        let (Ok(id), Ok(item), Ok(location), Ok(site)) =
            (id.parse(), ItemId::new(&item), Code::new(&location), SiteId::new(&site))
        else {
            continue;
        };
        found.push((Item { id, item, location, lot: Text::new(&lot).ok(), site }, qty(&on_hand)));
    }
    Ok(found)
}

fn on_hand(cx: &Cx<'_>, item: &ItemId, at: &Code, lot: Option<&Text<40>>, on_hand: Qty) -> rusqlite::Result<()> {
    let Some(site) = &cx.commit.head.site else { return Ok(()) };
    cx.tx
        .prepare_cached(
            "INSERT INTO stock VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO UPDATE SET on_hand = excluded.on_hand",
        )?
        .execute(params![
            cx.aggregate().to_string(),
            item.as_str(),
            at.as_str(),
            lot.map_or("", |l| l.as_str()),
            site.as_str(),
            on_hand.to_string(),
        ])?;
    Ok(())
}

/// What of an order's line is asked for, set aside and issued.
#[derive(Clone, Copy, Default)]
struct Need {
    asked: Qty,
    reserved: Qty,
    issued: Qty,
}

fn need(tx: &Connection, order: AggregateId, line: u16) -> rusqlite::Result<Need> {
    let read = |r: &rusqlite::Row<'_>| {
        let q = |n| r.get::<_, String>(n).map(|t| qty(&t));
        Ok(Need { asked: q(0)?, reserved: q(1)?, issued: q(2)? })
    };
    let found = tx
        .prepare_cached("SELECT asked, reserved, issued FROM need WHERE work_order = ?1 AND line_no = ?2")?
        .query_row(params![order.to_string(), line], read)
        .optional()?;
    Ok(found.unwrap_or_default())
}

fn change(cx: &Cx<'_>, line: u16, f: impl FnOnce(&mut Need)) -> rusqlite::Result<()> {
    let mut n = need(cx.tx, cx.aggregate(), line)?;
    f(&mut n);
    cx.tx.prepare_cached("INSERT OR REPLACE INTO need VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
        cx.aggregate().to_string(),
        line,
        n.asked.to_string(),
        n.reserved.to_string(),
        n.issued.to_string()
    ])?;
    Ok(())
}

/// The step in which an order asks for the first time.
const REQUEST: &str = "request";

impl Manager for Material {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static str {
        TABLES
    }

    fn on(&self, cx: &Cx<'_>, event: &Event) -> rusqlite::Result<()> {
        let tx = cx.tx;
        match event {
            Event::StockReceived(e) => on_hand(cx, &e.item_id, &e.location, e.lot.as_ref(), e.on_hand),
            Event::StockReturned(e) => on_hand(cx, &e.item_id, &e.location, e.lot.as_ref(), e.on_hand),
            Event::StockAdjusted(e) => on_hand(cx, &e.item_id, &e.location, e.lot.as_ref(), e.on_hand),
            Event::StockIssued(e) => {
                on_hand(cx, &e.item_id, &e.location, e.lot.as_ref(), e.on_hand)?;
                match e.reservation_id {
                    Some(id) => use_up(tx, &id.to_string(), e.qty),
                    None => Ok(()),
                }
            }
            Event::StockReserved(e) => {
                tx.prepare_cached("INSERT OR REPLACE INTO reservation VALUES (?1, ?2, ?3, ?4, 0)")?.execute(
                    params![
                        e.reservation_id.to_string(),
                        cx.aggregate().to_string(),
                        e.work_order_id.map(|id| id.to_string()),
                        e.qty.to_string()
                    ],
                )?;
                Ok(())
            }
            Event::StockReservationReleased(e) => {
                tx.prepare_cached("DELETE FROM reservation WHERE id = ?1")?.execute([e.reservation_id.to_string()])?;
                timers::clear(tx, NAME, &e.reservation_id.to_string())
            }
            Event::WorkOrderReleased(_) => ask(cx),
            Event::WorkOrderQuantityChanged(e) if e.new_qty > e.old_qty => ask(cx),
            Event::WorkOrderQuantityChanged(_) => give_back(cx),
            Event::MaterialRequested(e) => {
                let id = e.request_id.to_string();
                tx.prepare_cached("INSERT OR REPLACE INTO request VALUES (?1, ?2, ?3)")?.execute([
                    &id,
                    &cx.aggregate().to_string(),
                    &cx.id().to_string(),
                ])?;
                for (n, l) in e.lines.iter().enumerate() {
                    tx.prepare_cached("INSERT OR REPLACE INTO request_line VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
                        .execute(params![
                            id,
                            n as i64,
                            l.line_no,
                            l.item_id.as_str(),
                            l.qty.to_string(),
                            l.location.as_ref().map(|c| c.as_str()),
                            l.lot.as_ref().map(|t| t.as_str())
                        ])?;
                    change(cx, l.line_no, |x| x.asked += l.qty)?;
                }
                go_on(tx, &id)
            }
            Event::MaterialReserved(e) => e.lines.iter().try_for_each(|l| {
                change(cx, l.line_no, |n| {
                    n.asked = n.asked.less(l.qty);
                    n.reserved += l.qty;
                })?;
                cx.timer(NAME, &l.reservation_id.to_string(), cx.at().plus_millis(KEPT))
            }),
            Event::MaterialReservationFailed(e) => {
                e.lines.iter().try_for_each(|l| change(cx, l.line_no, |n| n.asked = n.asked.less(l.missing_qty)))
            }
            Event::MaterialReservationReleased(e) => e.reservations.iter().try_for_each(|r| {
                change(cx, r.line_no, |n| n.reserved = n.reserved.less(r.qty))?;
                release(tx, &r.reservation_id.to_string(), cx.id())
            }),
            Event::MaterialIssued(e) => {
                for (n, l) in e.lines.iter().enumerate() {
                    let reserved = l.reservation_id.map(|id| id.to_string());
                    let mine = match &reserved {
                        Some(id) => sum(tx, "SELECT qty FROM reservation WHERE id = ?1", id)?,
                        None => Qty::ZERO,
                    };
                    change(cx, l.line_no, |x| {
                        x.issued += l.qty;
                        if reserved.is_some() {
                            x.reserved = x.reserved.less(l.qty);
                        }
                    })?;
                    let id = stock_id(&l.item_id, &l.from_location, l.lot.as_ref());
                    let Some((item, _)) = items(tx, "id", &id.to_string())?.pop() else { continue };
                    let payload = json!({
                        "qty": l.qty,
                        "serials": l.serials,
                        "reservation_id": l.reservation_id.filter(|_| !mine.is_zero()),
                        "for_work_order": cx.aggregate(),
                    });
                    send(tx, cx.id(), &format!("issue:{n}"), &item, CommandType::StockIssue, payload)?;
                }
                Ok(())
            }
            Event::MaterialReturned(e) => {
                for (n, l) in e.lines.iter().enumerate() {
                    change(cx, l.line_no, |x| x.issued = x.issued.less(l.qty))?;
                    // What stock never knew is not followed.
                    let known = items(tx, "item", l.item_id.as_str())?.pop();
                    let Some((known, _)) = known.filter(|_| cx.commit.head.site.is_some()) else { continue };
                    let item = Item {
                        id: stock_id(&l.item_id, &l.to_location, l.lot.as_ref()),
                        location: l.to_location.clone(),
                        lot: l.lot.clone(),
                        site: cx.commit.head.site.clone().unwrap_or(known.site),
                        item: known.item,
                    };
                    let payload = json!({
                        "qty": l.qty,
                        "serials": l.serials,
                        "condition": l.condition,
                        "from_work_order": cx.aggregate(),
                    });
                    send(tx, cx.id(), &format!("return:{n}"), &item, CommandType::StockReturn, payload)?;
                }
                Ok(())
            }
            Event::WorkOrderCancelled(_) | Event::WorkOrderCompleted(_) | Event::WorkOrderShortClosed(_) => {
                all_of(tx, cx.aggregate())?.iter().try_for_each(|(id, _)| release(tx, id, cx.id()))
            }
            _ => Ok(()),
        }
    }

    /// Material that was set aside and not issued goes to others; the order says so first, stock follows.
    fn fire(&self, f: &Fired<'_>) -> rusqlite::Result<()> {
        let id = &f.timer.key;
        let order: Option<String> =
            f.tx.prepare_cached("SELECT work_order FROM reservation WHERE id = ?1 AND releasing = 0")?
                .query_row([id], |r| r.get(0))
                .optional()?
                .flatten();
        let Some(order) = order.and_then(|o| o.parse().ok()) else { return Ok(()) };
        match facts::order(f.tx, order)? {
            Some(order) => of_order(f.tx, f.timer.trigger, &format!("expire:{id}"), &order, std::slice::from_ref(id)),
            None => Ok(()),
        }
    }

    fn ended(&self, e: &Ended<'_>) -> rusqlite::Result<bool> {
        let Some(row) = e.row else { return Ok(true) };
        let is = |c: CommandType| row.command == c.as_str();
        if is(CommandType::StockReserve) {
            let got = e.events.iter().find_map(|x| match x {
                Event::StockReserved(r) => Some(r.qty),
                _ => None,
            });
            let reservation = row.payload["reservation_id"].as_str().unwrap_or_default();
            e.tx.prepare_cached("UPDATE try SET got = ?2 WHERE reservation = ?1")?
                .execute([reservation, &got.unwrap_or(Qty::ZERO).to_string()])?;
            let request: Option<String> =
                e.tx.prepare_cached("SELECT request FROM try WHERE reservation = ?1")?
                    .query_row([reservation], |r| r.get(0))
                    .optional()?;
            if let Some(request) = request {
                go_on(e.tx, &request)?;
            }
            return Ok(matches!(e.refused, None | Some(ErrorCode::InsufficientStock | ErrorCode::NotFound)));
        }
        if is(CommandType::WorkOrderConfirmReservation) {
            let request = row.payload["request_id"].as_str().unwrap_or_default();
            if e.refused.is_some() {
                // The order has ended meanwhile: nobody will fetch it.
                let mut q =
                    e.tx.prepare_cached("SELECT reservation FROM try WHERE request = ?1 ORDER BY reservation")?;
                let ids = q.query_map([request], |r| r.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
                let trigger = row.trigger.parse().unwrap_or_default();
                ids.iter().try_for_each(|id| release(e.tx, id, trigger))?;
            }
            for table in ["try", "request_line"] {
                e.tx.execute(&format!("DELETE FROM {table} WHERE request = ?1"), [request])?;
            }
            e.tx.execute("DELETE FROM request WHERE id = ?1", [request])?;
            return Ok(matches!(e.refused, None | Some(ErrorCode::InvalidState | ErrorCode::AlreadyExists)));
        }
        if is(CommandType::WorkOrderRequestMaterial) && e.refused == Some(ErrorCode::GuardFailed) && row.step == REQUEST
        {
            // Something was issued meanwhile: only what is lacking after that is asked for.
            if let (Ok(order), Ok(trigger)) = (row.aggregate.parse(), row.trigger.parse()) {
                ask_for(e.tx, order, trigger, "request-again")?;
            }
            return Ok(true);
        }
        if is(CommandType::StockIssue) && row.payload["reservation_id"].is_null() && e.refused.is_none() {
            // It went out of what was kept for the order before the order had heard of that.
            for used in e.events.iter().filter_map(|x| match x {
                Event::StockIssued(i) => i.reservation_id,
                _ => None,
            }) {
                used_up_early(e.tx, &row.trigger, &row.payload, &used.to_string())?;
            }
        }
        let given_back = is(CommandType::StockReleaseReservation) || is(CommandType::WorkOrderReleaseReservation);
        Ok(match e.refused {
            None => true,
            Some(ErrorCode::NotFound | ErrorCode::InvalidState | ErrorCode::AlreadyExists) => given_back,
            Some(_) => false,
        })
    }
}

fn send(
    tx: &Connection,
    trigger: Uuid,
    step: &str,
    item: &Item,
    command: CommandType,
    mut payload: Value,
) -> rusqlite::Result<()> {
    payload["item_id"] = json!(item.item);
    payload["location"] = json!(item.location);
    payload["lot"] = json!(item.lot);
    let send = Send {
        trigger,
        step,
        site: &item.site,
        command,
        aggregate: item.id,
        expected_version: None,
        occurred_at: None,
        payload,
    };
    outbox::push(tx, NAME, &send)
}

/// `work-order.release-reservation`: whole reservations of an order.
fn of_order(tx: &Connection, trigger: Uuid, step: &str, order: &Order, ids: &[String]) -> rusqlite::Result<()> {
    let send = Send {
        trigger,
        step,
        site: &order.site,
        command: CommandType::WorkOrderReleaseReservation,
        aggregate: order.id,
        expected_version: None,
        occurred_at: None,
        payload: json!({"reservation_ids": ids}),
    };
    outbox::push(tx, NAME, &send)
}

/// A reservation of which stock has nothing left is none for its order either.
fn used_up_early(tx: &Connection, trigger: &str, issue: &Value, id: &str) -> rusqlite::Result<()> {
    let is_left: bool =
        tx.prepare_cached("SELECT EXISTS (SELECT 1 FROM reservation WHERE id = ?1)")?.query_row([id], |r| r.get(0))?;
    let order = issue["for_work_order"].as_str().and_then(|o| o.parse().ok()).filter(|_| !is_left);
    let Some(order) = order.map(|o| facts::order(tx, o)).transpose()?.flatten() else { return Ok(()) };
    of_order(tx, trigger.parse().unwrap_or_default(), &format!("used:{id}"), &order, &[id.to_owned()])
}

/// Lets a reservation go in stock, once.
fn release(tx: &Connection, id: &str, trigger: Uuid) -> rusqlite::Result<()> {
    let stock: Option<String> = tx
        .prepare_cached("UPDATE reservation SET releasing = 1 WHERE id = ?1 AND releasing = 0 RETURNING stock")?
        .query_row([id], |r| r.get(0))
        .optional()?;
    let Some(stock) = stock else { return Ok(()) };
    let Some((item, _)) = items(tx, "id", &stock)?.pop() else { return Ok(()) };
    let payload = json!({"reservation_id": id});
    send(tx, trigger, &format!("release:{id}"), &item, CommandType::StockReleaseReservation, payload)
}

/// A part of a reservation was issued; then it is not given away any more.
fn use_up(tx: &Connection, id: &str, used: Qty) -> rusqlite::Result<()> {
    let left = sum(tx, "SELECT qty FROM reservation WHERE id = ?1", id)?.less(used);
    timers::clear(tx, NAME, id)?;
    if left.is_zero() {
        tx.prepare_cached("DELETE FROM reservation WHERE id = ?1")?.execute([id])?;
    } else {
        tx.prepare_cached("UPDATE reservation SET qty = ?2 WHERE id = ?1")?.execute([id, &left.to_string()])?;
    }
    Ok(())
}

/// The reservations of an order that nobody lets go yet.
fn all_of(tx: &Connection, order: AggregateId) -> rusqlite::Result<Vec<(String, Qty)>> {
    let mut q =
        tx.prepare_cached("SELECT id, qty FROM reservation WHERE work_order = ?1 AND releasing = 0 ORDER BY id")?;
    q.query_map([order.to_string()], |r| Ok((r.get(0)?, qty(&r.get::<_, String>(1)?))))?.collect()
}

fn bom(order: &Order) -> Vec<BomLineV1> {
    serde_json::from_value(order.document["bom"].clone()).unwrap_or_default()
}

fn required(order: &Order, line: &BomLineV1) -> Qty {
    order.planned().times(line.qty_per_unit).map_or(Qty::ZERO, |q| q.plus_percent(line.scrap_factor_pct))
}

/// Asks for what an order in work lacks.
fn ask(cx: &Cx<'_>) -> rusqlite::Result<()> {
    ask_for(cx.tx, cx.aggregate(), cx.id(), REQUEST)
}

fn ask_for(tx: &Connection, order: AggregateId, trigger: Uuid, step: &str) -> rusqlite::Result<()> {
    let Some(order) = facts::order(tx, order)?.filter(|o| o.state == "active") else { return Ok(()) };
    let mut lines = Vec::new();
    for l in bom(&order).iter().filter(|l| !l.backflush) {
        let n = need(tx, order.id, l.line_no)?;
        let lacking = required(&order, l).less(n.asked + n.reserved + n.issued);
        if !lacking.is_zero() {
            lines.push(json!({"line_no": l.line_no, "qty": lacking}));
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    let name = if step == REQUEST { format!("{NAME}:{trigger}") } else { format!("{NAME}:{trigger}:{step}") };
    let send = Send {
        trigger,
        step,
        site: &order.site,
        command: CommandType::WorkOrderRequestMaterial,
        aggregate: order.id,
        expected_version: None,
        occurred_at: None,
        payload: json!({"request_id": derived(&name), "lines": lines}),
    };
    outbox::push(tx, NAME, &send)
}

/// Gives back the reservations that fit into what an order no longer needs; they are whole.
fn give_back(cx: &Cx<'_>) -> rusqlite::Result<()> {
    let Some(order) = facts::order(cx.tx, cx.aggregate())? else { return Ok(()) };
    let mut ids = Vec::new();
    for l in bom(&order).iter() {
        let n = need(cx.tx, order.id, l.line_no)?;
        let mut surplus = (n.asked + n.reserved + n.issued).less(required(&order, l));
        for (id, qty) in all_of(cx.tx, order.id)? {
            let same: bool = cx
                .tx
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM reservation r JOIN stock s ON s.id = r.stock WHERE r.id = ?1 AND s.item = ?2)",
                )?
                .query_row([&id, l.item_id.as_str()], |r| r.get(0))?;
            if same && qty <= surplus && !ids.contains(&id) {
                surplus = surplus.less(qty);
                ids.push(id);
            }
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    of_order(cx.tx, cx.id(), "surplus", &order, &ids)
}

/// A line of a request, as it stands.
struct Line {
    n: i64,
    line_no: u16,
    item: String,
    qty: Qty,
    location: Option<String>,
    lot: Option<String>,
}

/// The next steps of a request: more reservations, or the answer to the order once all have their
/// outcomes and no stock is left to try.
fn go_on(tx: &Connection, request: &str) -> rusqlite::Result<()> {
    let waiting: bool = tx
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM try WHERE request = ?1 AND got IS NULL)")?
        .query_row([request], |r| r.get(0))?;
    let found: Option<(String, String)> = tx
        .prepare_cached("SELECT work_order, trigger_id FROM request WHERE id = ?1")?
        .query_row([request], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()?;
    let Some((order, trigger)) = found.filter(|_| !waiting) else { return Ok(()) };
    let (Ok(order), Ok(trigger)) = (order.parse::<AggregateId>(), trigger.parse::<Uuid>()) else { return Ok(()) };
    let Some(order) = facts::order(tx, order)? else { return Ok(()) };
    let mut q = tx.prepare_cached(
        "SELECT n, line_no, item, qty, location, lot FROM request_line WHERE request = ?1 ORDER BY n",
    )?;
    let lines = q
        .query_map([request], |r| {
            let qty = qty(&r.get::<_, String>(3)?);
            Ok(Line { n: r.get(0)?, line_no: r.get(1)?, item: r.get(2)?, qty, location: r.get(4)?, lot: r.get(5)? })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let (mut more, mut reserved, mut failed) = (false, Vec::new(), Vec::new());
    for l in &lines {
        let mut got = Qty::ZERO;
        let mut tried = Vec::new();
        let mut q = tx.prepare_cached("SELECT reservation, stock, got FROM try WHERE request = ?1 AND n = ?2")?;
        let tries = q
            .query_map(params![request, l.n], |r| {
                Ok((r.get::<_, String>(0)?, r.get::<_, String>(1)?, r.get::<_, Option<String>>(2)?))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        for (reservation, stock, part) in tries {
            let part = part.as_deref().map_or(Qty::ZERO, qty);
            got += part;
            if let Some((item, _)) = items(tx, "id", &stock)?.pop().filter(|_| !part.is_zero()) {
                reserved.push(json!({"line_no": l.line_no, "qty": part, "location": item.location, "lot": item.lot,
                    "reservation_id": reservation}));
            }
            tried.push(stock);
        }
        let mut missing = l.qty.less(got);
        for (item, free) in free(tx, l, &order, &tried)? {
            if missing.is_zero() {
                break;
            }
            let take = if free < missing { free } else { missing };
            let reservation = derived(&format!("{NAME}:{request}:{}:{}", l.n, item.id)).to_string();
            tx.prepare_cached("INSERT INTO try VALUES (?1, ?2, ?3, ?4, ?5, NULL)")?.execute(params![
                reservation,
                request,
                l.n,
                item.id.to_string(),
                take.to_string()
            ])?;
            let payload = json!({"reservation_id": reservation, "qty": take, "partial": true,
                "for_work_order": order.id, "line_no": l.line_no});
            send(tx, trigger, &format!("reserve:{reservation}"), &item, CommandType::StockReserve, payload)?;
            missing = missing.less(take);
            more = true;
        }
        if !missing.is_zero() {
            failed.push(json!({"line_no": l.line_no, "missing_qty": missing, "available_qty": got}));
        }
    }
    if more {
        return Ok(());
    }
    let send = Send {
        trigger,
        step: "confirm",
        site: &order.site,
        command: CommandType::WorkOrderConfirmReservation,
        aggregate: order.id,
        expected_version: None,
        occurred_at: None,
        payload: json!({"request_id": request, "reserved": reserved, "failed": failed}),
    };
    outbox::push(tx, NAME, &send)
}

/// Stock of a line's item that has something free, most first; the named place and lot alone where
/// there is one.
fn free(tx: &Connection, l: &Line, order: &Order, tried: &[String]) -> rusqlite::Result<Vec<(Item, Qty)>> {
    let mut found = Vec::new();
    for (item, on_hand) in items(tx, "item", &l.item)? {
        let id = item.id.to_string();
        let named = l.location.as_deref().is_none_or(|x| x == item.location.as_str())
            && l.lot.as_deref().is_none_or(|x| item.lot.as_ref().is_some_and(|t| t.as_str() == x));
        if !named || item.site != order.site || tried.contains(&id) {
            continue;
        }
        let reserved = sum(tx, "SELECT qty FROM reservation WHERE stock = ?1", &id)?;
        let pending = sum(tx, "SELECT asked FROM try WHERE stock = ?1 AND got IS NULL", &id)?;
        let free = on_hand.less(reserved + pending);
        if !free.is_zero() {
            found.push((item, free));
        }
    }
    found.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.id.cmp(&b.0.id)));
    Ok(found)
}
