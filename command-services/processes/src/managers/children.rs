//! Orders that follow from an order: the parts of a split, and the rest of a short-closed one.

use mw_contract::{AggregateId, CommandType, ErrorCode, Event, Qty, Remainder, SiteId};
use serde_json::{Value, json};

use crate::facts::{self, Order};
use crate::manager::{Cx, Ended, Manager, Send};
use crate::outbox::{self, Row};

/// The manager.
pub struct Children;

const NAME: &str = "children";

/// An order that is to be made.
pub struct Child {
    /// Its id.
    pub id: AggregateId,
    /// How many pieces.
    pub qty: Qty,
    /// When it is due.
    pub due_at: Value,
    /// Its line.
    pub line_id: Value,
    /// Its type.
    pub order_type: Value,
    /// Where it comes from.
    pub origin: Value,
    /// What it needs.
    pub bom: Value,
    /// What is done.
    pub routing: Value,
}

/// Queues the command that makes an order after the pattern of another.
pub fn create(cx: &Cx<'_>, process: &str, like: &Order, child: &Child) -> rusqlite::Result<()> {
    let mut payload = json!({
        "order_type": child.order_type,
        "planned_qty": child.qty,
        "due_at": child.due_at,
        "line_id": child.line_id,
        "origin": child.origin,
        "bom": child.bom,
        "routing": child.routing,
    });
    for same in [
        "product_id",
        "product_rev",
        "uom",
        "priority",
        "over_tolerance_pct",
        "under_tolerance_pct",
        "replace_scrap",
        "sales_order_ref",
        "customer_id",
    ] {
        payload[same] = like.document[same].clone();
    }
    let send = Send {
        trigger: cx.id(),
        step: &format!("create:{}", child.id),
        site: &like.site,
        command: CommandType::WorkOrderCreate,
        aggregate: child.id,
        expected_version: None,
        occurred_at: None,
        payload,
    };
    cx.send(process, &send)
}

/// Queues a link of one order to another, after the order that `made` makes is there.
pub fn link(e: &Ended<'_>, process: &str, made: &Row, from: &str, to: &str, relation: &str) -> rusqlite::Result<()> {
    let (Ok(aggregate), Ok(trigger), Ok(site)) = (from.parse(), made.trigger.parse(), SiteId::new(&made.site)) else {
        return Ok(());
    };
    let send = Send {
        trigger,
        step: &format!("link:{from}:{to}"),
        site: &site,
        command: CommandType::WorkOrderLink,
        aggregate,
        expected_version: None,
        occurred_at: None,
        payload: json!({"kind": "work_order", "id": to, "relation": relation}),
    };
    outbox::push(e.tx, process, &send)
}

fn child_of(order: &Order, id: AggregateId, qty: Qty) -> Child {
    Child {
        id,
        qty,
        due_at: order.document["due_at"].clone(),
        line_id: order.document["line_id"].clone(),
        order_type: order.document["order_type"].clone(),
        origin: json!({"kind": "split", "id": order.id.to_string()}),
        bom: order.document["bom"].clone(),
        routing: order.document["routing"].clone(),
    }
}

impl Manager for Children {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static str {
        ""
    }

    fn on(&self, cx: &Cx<'_>, event: &Event) -> rusqlite::Result<()> {
        match event {
            Event::WorkOrderSplit(e) => {
                let Some(order) = facts::order(cx.tx, cx.aggregate())? else { return Ok(()) };
                for part in &e.parts {
                    let mut child = child_of(&order, part.work_order_id, part.qty);
                    child.due_at = json!(part.due_at);
                    if let Some(line) = &part.line_id {
                        child.line_id = json!(line);
                    }
                    // Serial numbers that move with it are its own from its creation on.
                    create(cx, NAME, &order, &child)?;
                }
                Ok(())
            }
            Event::WorkOrderShortClosed(e) if e.remainder == Remainder::NewOrder && !e.dropped_qty.is_zero() => {
                let Some(order) = facts::order(cx.tx, cx.aggregate())? else { return Ok(()) };
                match e.new_work_order_id {
                    Some(id) => create(cx, NAME, &order, &child_of(&order, id, e.dropped_qty)),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn ended(&self, e: &Ended<'_>) -> rusqlite::Result<bool> {
        if let Some(row) = e.row.filter(|r| e.refused.is_none() && r.command == CommandType::WorkOrderCreate.as_str())
            && let Some(parent) = row.payload["origin"]["id"].as_str()
        {
            link(e, NAME, row, &row.aggregate, parent, "split_of")?;
        }
        Ok(match e.refused {
            None => true,
            Some(ErrorCode::AlreadyExists) => e.row.is_some_and(|r| r.command == CommandType::WorkOrderLink.as_str()),
            Some(_) => false,
        })
    }
}
