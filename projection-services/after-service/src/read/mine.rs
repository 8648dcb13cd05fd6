//! What of a ticket its customer sees (RM-13): never internal comments, costs, people's notes or other
//! customers' things. A list of what is shown, so that a new field is hidden until somebody names it here.

use mw_contract::Visibility;
use mw_policy::Scope;
use mw_views::TextOpener;
use mw_views::read::page::After;
use mw_views::read::table::Query;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::detail::parsed;
use super::lists::CUSTOMERS_TICKETS;
use crate::seal;
use crate::ticket::{Ticket, VisitState};

/// The document for its customer.
pub fn document(t: &Ticket) -> Value {
    let terms = &t.coverage["checked"]["terms"];
    let mut d = json!({
        "id": t.id, "ticket_id": t.id, "version": t.version, "number": t.number, "state": t.state, "kind": t.kind,
        "channel": t.channel, "title": t.title, "description": t.description, "customer": t.customer,
        "contact_id": t.contact_id, "service_site": t.service_site, "serial": t.unit.serial,
        "product": t.unit.product, "unit_id": t.unit.unit_id, "severity": t.severity, "priority": t.priority,
        "symptom": t.symptom, "service_mode": t.service_mode, "cycle": t.cycle, "down_since": t.down_since,
        "preferred_windows": t.preferred_windows, "attachments": t.attachments,
        "warranty": {"status": t.warranty, "basis": terms["basis"], "start": terms["warranty_start"],
            "end": terms["warranty_end"]},
        "commercial": t.commercial,
    });
    let rest = json!({
        "hold": t.hold.as_ref().map(|h| json!({"reason": h.reason, "since": h.since, "expected_until": h.expected_until})),
        "opened_at": t.opened_at, "updated_at": t.updated_at, "resolved_at": t.resolved_at, "closed_at": t.ended_at,
        "resolution": resolution(t), "verification": t.verification, "comments": comments(t),
        "quotes": t.quotes.iter().map(quote).collect::<Vec<_>>(),
        "quotes_to_approve": t.open_quote().map(quote).into_iter().collect::<Vec<_>>(),
        "visits": t.visits.iter().map(visit).collect::<Vec<_>>(), "rma": t.rma, "returns": returns(t),
        "rating": t.ratings.iter().find(|r| r["cycle"] == json!(t.cycle)).map(rating),
        "ratings": t.ratings.iter().map(rating).collect::<Vec<_>>(),
        "follows": t.follows,
        "master_number": t.master_number,
    });
    if let (Value::Object(all), Value::Object(rest)) = (&mut d, rest) {
        all.extend(rest);
    }
    d
}

fn resolution(t: &Ticket) -> Value {
    match &t.resolution {
        Value::Null => Value::Null,
        r => json!({"code": r["code"], "text": r["text"], "at": r["at"]}),
    }
}

/// The public ones. Who wrote them for us is not said.
fn comments(t: &Ticket) -> Vec<Value> {
    let public = t.comments.iter().filter(|c| c["visibility"] == json!(Visibility::Public));
    let one = |c: &Value| {
        let mut shown = json!({"comment_id": c["comment_id"], "text": c["text"], "at": c["at"],
            "by_staff": c["by_staff"], "attachments": c["attachments"]});
        if c["by_staff"] == json!(false) {
            shown["by"] = c["by"].clone();
        }
        shown
    };
    public.map(one).collect()
}

fn quote(q: &crate::ticket::Quote) -> Value {
    json!({"quote_id": q.quote_id, "revision": q.revision, "state": q.state, "lines": q.lines, "totals": q.totals,
        "valid_until": q.valid_until, "terms": q.terms, "submitted_at": q.submitted_at})
}

fn visit(v: &crate::ticket::Visit) -> Value {
    json!({"visit_id": v.visit_id, "window_start": v.window_start, "window_end": v.window_end, "location": v.location,
        "state": v.state, "customer_confirmed": v.customer_confirmed, "to_come": v.state == VisitState::Planned})
}

fn returns(t: &Ticket) -> Vec<Value> {
    let unit = |u: &crate::ticket::ReturnedUnit| {
        json!({"serial": u.serial, "state": u.state, "received_at": u.more["received_at"],
            "shipped_at": u.more["shipped_at"], "carrier": u.more["carrier"], "tracking_no": u.more["tracking_no"]})
    };
    let one = |r: &crate::ticket::Return| {
        json!({"rma_no": r.rma_no, "ship_to": r.more["ship_to"], "carrier": r.more["carrier"],
            "valid_until": r.more["valid_until"], "units": r.units.iter().map(unit).collect::<Vec<_>>()})
    };
    t.returns.iter().map(one).collect()
}

fn rating(r: &Value) -> Value {
    json!({"cycle": r["cycle"], "score": r["score"], "nps": r["nps"], "effort": r["effort"], "text": r["text"],
        "at": r["at"]})
}

/// A customer's tickets as documents, the last changed first, and where the next page begins.
///
/// # Errors
/// SQLite's.
pub fn tickets(
    conn: &Connection,
    scope: &Scope,
    q: &Query,
    opener: &dyn TextOpener,
) -> rusqlite::Result<(Vec<Value>, Option<After>)> {
    let page = CUSTOMERS_TICKETS.page(conn, scope, q, mw_views::read::page::Format::Json)?;
    let mut all = Vec::with_capacity(page.rows.len());
    for row in &page.rows {
        // The key stands last in its place.
        let doc: String = conn
            .prepare_cached("SELECT doc FROM ticket_doc WHERE seq = ?1")?
            .query_row([row.place.last()], |r| r.get(0))?;
        let mut d = document(&parsed(&doc)?);
        seal::open(&mut d, opener);
        all.push(d);
    }
    Ok((all, page.next()))
}

/// How many open tickets a customer has of each unit, as a JSON object by product and serial number.
///
/// # Errors
/// SQLite's.
pub fn open_by_unit(conn: &Connection, scope: &Scope) -> rusqlite::Result<String> {
    let Some(customer) = &scope.customer else { return Ok("{}".to_owned()) };
    conn.prepare_cached(
        "SELECT json_group_object(k, n) FROM (SELECT product || '/' || serial AS k, COUNT(*) AS n FROM ticket
         WHERE customer = ?1 AND open = 1 AND product IS NOT NULL AND serial IS NOT NULL GROUP BY k)",
    )?
    .query_row([customer.as_str()], |r| r.get(0))
}
