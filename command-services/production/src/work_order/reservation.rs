//! WO-21 `work-order.request-material`, WO-22 `work-order.confirm-reservation` and WO-23
//! `work-order.release-reservation`: what stock is asked to keep for an order.

use std::collections::BTreeMap;

use mw_contract::command::material::{ConfirmReservation, ReleaseReservation, RequestMaterial};
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::material::{
    MaterialRequestedV1, MaterialReservationFailedV1, MaterialReservationReleasedV1, MaterialReservedV1,
};
use mw_contract::event::parts::{BomLineV1, MaterialRequestV1, MissingMaterialV1, ReservationV1};
use mw_contract::{CommandType, Event, Qty, Rejection, derived_entity};

use crate::facts::Production;
use crate::rules::{Case, Holds, authorise, exists, settings, too_large};
use crate::state::{ProductionState, WorkOrder};

/// A line of the order's BOM that a rule speaks of.
pub(crate) fn bom_line<'a>(
    order: &'a WorkOrder,
    line_no: u16,
    rule: &'static str,
    field: String,
) -> Result<&'a BomLineV1, Rejection> {
    order.bom.iter().find(|l| l.line_no == line_no).ok_or_else(|| {
        let have: Vec<String> = order.bom.iter().map(|l| l.line_no.to_string()).collect();
        let have = if have.is_empty() { "none".to_owned() } else { have.join(", ") };
        Rejection::guard(rule, format!("the order's BOM has no line {line_no}, only {have}")).at(field)
    })
}

/// At least one line, each with something in it.
pub(crate) fn some_lines(quantities: impl IntoIterator<Item = Qty>, rule: &'static str) -> Result<(), Rejection> {
    let mut any = false;
    for (i, q) in quantities.into_iter().enumerate() {
        any = true;
        if q.is_zero() {
            return Err(Rejection::guard(rule, "a quantity must be more than 0").at(format!("payload.lines[{i}].qty")));
        }
        if too_large(q) {
            return Err(Rejection::invalid(format!("payload.lines[{i}].qty"), "is more than an order can have"));
        }
    }
    if any { Ok(()) } else { Err(Rejection::invalid("payload.lines", "name at least one line")) }
}

/// Decides WO-21.
pub fn request(
    facts: &Production,
    state: &ProductionState,
    p: &RequestMaterial,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let case = Case::open(facts, state, CommandType::WorkOrderRequestMaterial, ctx)?;
    let (order, material) = (case.order, &case.order.material);
    let request_id = p.request_id.unwrap_or_else(|| derived_entity(&format!("{}:request:{}", order.id, ctx.version.0)));
    if material.requests.contains_key(&request_id) {
        return Err(exists(format!("request {request_id} is there already")).at("payload.request_id"));
    }
    some_lines(p.lines.iter().map(|l| l.qty), "WO-21.R2")?;
    let mut asked: BTreeMap<u16, Qty> = BTreeMap::new();
    let mut lines = Vec::with_capacity(p.lines.len());
    for (i, l) in p.lines.iter().enumerate() {
        let line = bom_line(order, l.line_no, "WO-21.R1", format!("payload.lines[{i}].line_no"))?;
        let sum = asked.entry(l.line_no).or_default();
        *sum += l.qty;
        let allowed =
            order.required(line).map(|r| r.plus_percent(settings(facts, ctx).over_issue_pct)).unwrap_or_default();
        let have = material.requested(l.line_no) + material.covered(l.line_no);
        if have + *sum > allowed {
            let message = format!("line {} needs {allowed} and has {have}: ask for less", l.line_no);
            return Err(Rejection::guard("WO-21.R2", message)
                .at(format!("payload.lines[{i}].qty"))
                .with("max_allowed", allowed.less(have).to_string()));
        }
        lines.push(MaterialRequestV1 {
            line_no: l.line_no,
            item_id: line.item_id.clone(),
            qty: l.qty,
            location: l.location.clone(),
            lot: l.lot.clone(),
        });
    }
    Ok(case.decided(role, vec![MaterialRequestedV1 { request_id, lines }.into()]))
}

/// Decides WO-22: what stock answered, each part of a request once.
pub fn confirm(
    facts: &Production,
    state: &ProductionState,
    p: &ConfirmReservation,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let case = Case::open(facts, state, CommandType::WorkOrderConfirmReservation, ctx)?;
    let (order, material) = (case.order, &case.order.material);
    let Some(open) = material.requests.get(&p.request_id) else {
        let message = format!("request {} is not open: it was answered, or never made", p.request_id);
        return Err(Rejection::not_found(message).at("payload.request_id"));
    };
    let (reserved, failed) = (p.reserved.as_deref().unwrap_or_default(), p.failed.as_deref().unwrap_or_default());
    if reserved.is_empty() && failed.is_empty() {
        return Err(Rejection::invalid("payload", "say what was reserved, or what failed"));
    }
    let mut answered: BTreeMap<u16, Qty> = BTreeMap::new();
    for (line_no, qty) in
        reserved.iter().map(|r| (r.line_no, r.qty)).chain(failed.iter().map(|f| (f.line_no, f.missing_qty)))
    {
        let sum = answered.entry(line_no).or_default();
        *sum += qty;
        let asked = open.get(&line_no).copied().unwrap_or_default();
        if *sum > asked {
            let message = format!("{sum} is answered for line {line_no} and {asked} was asked for");
            return Err(Rejection::guard("WO-22", message).with("asked", asked.to_string()));
        }
    }
    let item = |line_no: u16| bom_line(order, line_no, "WO-22", "payload".into()).map(|l| l.item_id.clone());
    let mut events: Vec<Event> = Vec::new();
    if !reserved.is_empty() {
        let mut lines = Vec::with_capacity(reserved.len());
        for r in reserved {
            if material.reservations.contains_key(&r.reservation_id) {
                return Err(exists(format!("reservation {} is there already", r.reservation_id)).at("payload.reserved"));
            }
            lines.push(ReservationV1 {
                reservation_id: r.reservation_id,
                line_no: r.line_no,
                item_id: item(r.line_no)?,
                qty: r.qty,
                location: r.location.clone(),
                lot: r.lot.clone(),
            });
        }
        events.push(MaterialReservedV1 { request_id: p.request_id, lines }.into());
    }
    if !failed.is_empty() {
        let mut lines = Vec::with_capacity(failed.len());
        for f in failed {
            lines.push(MissingMaterialV1 {
                line_no: f.line_no,
                item_id: item(f.line_no)?,
                missing_qty: f.missing_qty,
                available_qty: f.available_qty,
            });
        }
        events.push(MaterialReservationFailedV1 { request_id: p.request_id, lines }.into());
    }
    Ok(case.decided(role, events))
}

/// Decides WO-23.
pub fn release(
    facts: &Production,
    state: &ProductionState,
    p: &ReleaseReservation,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let case = Case::open(facts, state, CommandType::WorkOrderReleaseReservation, ctx)?;
    if p.reservation_ids.is_empty() {
        return Err(Rejection::invalid("payload.reservation_ids", "name at least one reservation"));
    }
    let mut reservations: Vec<ReservationV1> = Vec::new();
    for (i, id) in p.reservation_ids.iter().enumerate() {
        match case.order.material.reservations.get(id) {
            Some(r) if !reservations.iter().any(|x| x.reservation_id == *id) => reservations.push(r.clone()),
            _ => {
                return Err(Rejection::not_found(format!("the order has no reservation {id}"))
                    .at(format!("payload.reservation_ids[{i}]")));
            }
        }
    }
    Ok(case.decided(role, vec![MaterialReservationReleasedV1 { reservations }.into()]))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{World, code, data, detail, e, names, rule, system};
    use mw_contract::{AggregateId, ErrorCode};
    use serde_json::{Value, json};

    fn request(qty: u32) -> Value {
        json!({"request_id": e(1), "lines": [{"line_no": 1, "qty": qty}]})
    }

    fn reserved(n: u128, qty: u32) -> Value {
        json!({"line_no": 1, "qty": qty, "location": "store", "reservation_id": e(n)})
    }

    fn confirm(
        w: &mut World,
        id: AggregateId,
        p: Value,
    ) -> Result<mw_contract::decide::Decision, mw_contract::Rejection> {
        w.run(&system(), "work-order.confirm-reservation", id, p)
    }

    #[test]
    fn wo_21_r1_the_line_exists() {
        let mut w = World::new();
        let id = w.with_material(5);
        let p = json!({"lines": [{"line_no": 9, "qty": 1}]});
        assert_eq!(rule(w.lead("work-order.request-material", id, p)), "WO-21.R1");
        assert_eq!(code(w.lead("work-order.request-material", id, json!({"lines": []}))), ErrorCode::Validation);
    }

    #[test]
    fn wo_21_r2_not_more_than_the_order_needs() {
        let mut w = World::new();
        let id = w.with_material(5);
        assert_eq!(rule(w.lead("work-order.request-material", id, request(0))), "WO-21.R2");
        let refused = w.lead("work-order.request-material", id, request(6));
        assert_eq!(detail(refused.clone(), "max_allowed"), "5");
        assert_eq!(rule(refused), "WO-21.R2");
        // Two lines of one request count together, and so does what has no answer yet.
        let twice = json!({"lines": [{"line_no": 1, "qty": 3}, {"line_no": 1, "qty": 3}]});
        assert_eq!(rule(w.lead("work-order.request-material", id, twice)), "WO-21.R2");
        let d = w.lead("work-order.request-material", id, request(3)).unwrap();
        assert_eq!(data(&d, 0)["lines"][0]["item_id"], "sheet");
        assert_eq!(code(w.lead("work-order.request-material", id, request(1))), ErrorCode::AlreadyExists);
        let more = json!({"lines": [{"line_no": 1, "qty": 3}]});
        assert_eq!(detail(w.lead("work-order.request-material", id, more.clone()), "max_allowed"), "2");
        let site = json!({"name": "P", "time_zone": "Europe/Berlin", "settings": {"over_issue_pct": "20"}});
        w.put("site", "plant-1", site).unwrap();
        w.lead("work-order.request-material", id, more).unwrap();
    }

    #[test]
    fn wo_21_r2_what_waits_for_an_answer_and_what_is_kept_count_alike() {
        let mut w = World::new();
        let id = w.with_material(9);
        w.lead("work-order.request-material", id, request(4)).unwrap();
        confirm(&mut w, id, json!({"request_id": e(1), "reserved": [reserved(10, 4)]})).unwrap();
        let more = |n: u32| json!({"lines": [{"line_no": 1, "qty": n}]});
        w.lead("work-order.request-material", id, more(3)).unwrap();
        // Four are kept, three are asked for: two are left.
        assert_eq!(detail(w.lead("work-order.request-material", id, more(3)), "max_allowed"), "2");
        w.lead("work-order.request-material", id, more(2)).unwrap();
    }

    #[test]
    fn wo_22_each_part_of_a_request_is_answered_once() {
        let mut w = World::new();
        let id = w.with_material(5);
        w.lead("work-order.request-material", id, request(5)).unwrap();
        let p = json!({"request_id": e(1), "reserved": [reserved(10, 3)],
            "failed": [{"line_no": 1, "missing_qty": 2, "available_qty": 0}]});
        let over = json!({"request_id": e(1), "reserved": [reserved(10, 6)]});
        assert_eq!(rule(confirm(&mut w, id, over)), "WO-22");
        assert_eq!(code(confirm(&mut w, id, json!({"request_id": e(1)}))), ErrorCode::Validation);
        let d = confirm(&mut w, id, p.clone()).unwrap();
        assert_eq!(names(&d), ["MaterialReserved", "MaterialReservationFailed"]);
        assert_eq!(code(confirm(&mut w, id, p)), ErrorCode::NotFound);
        let m = &w.order(id).material;
        assert_eq!((m.reserved(1).to_string(), m.requested(1).to_string()), ("3".into(), "0".into()));
        // What failed may be asked for again.
        w.lead("work-order.request-material", id, json!({"lines": [{"line_no": 1, "qty": 2}]})).unwrap();
    }

    #[test]
    fn wo_23_what_is_kept_can_be_given_back() {
        let mut w = World::new();
        let id = w.with_material(5);
        w.lead("work-order.request-material", id, request(5)).unwrap();
        confirm(&mut w, id, json!({"request_id": e(1), "reserved": [reserved(10, 3), reserved(11, 2)]})).unwrap();
        let p = json!({"reservation_ids": [e(10)]});
        for bad in [json!([]), json!([e(12)]), json!([e(10), e(10)])] {
            assert!(w.lead("work-order.release-reservation", id, json!({"reservation_ids": bad})).is_err());
        }
        let d = w.lead("work-order.release-reservation", id, p.clone()).unwrap();
        assert_eq!(data(&d, 0)["reservations"][0]["qty"], "3");
        assert_eq!(code(w.lead("work-order.release-reservation", id, p)), ErrorCode::NotFound);
        assert_eq!(w.order(id).material.reserved(1).to_string(), "2");
    }
}
