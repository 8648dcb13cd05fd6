//! WO-01 `work-order.create`: a new order with its own copies of BOM and routing.

use mw_contract::command::work_order::CreateWorkOrder;
use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::event::parts::{BomLineV1, OriginV1, RoutingOperationV1};
use mw_contract::event::work_order::{SerialsAllocatedV1, WorkOrderCreatedV1};
use mw_contract::reference::{Document, Product};
use mw_contract::{
    AggregateKind, Code, Event, FieldError, OrderType, OriginKind, Percent, ProductId, Qty, ReferenceKind, Rejection,
    Sealed, SiteId, StreamId, Text, Tracking, WorkOrderState,
};

use crate::facts::{Production, series_text};
use crate::rules::{Holds, all_valid, authorise, check_qty, exists};
use crate::state::{ProductionState, required};
use crate::structure;

/// Decides WO-01.
pub fn decide(
    facts: &Production,
    state: &ProductionState,
    p: &CreateWorkOrder,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let role = authorise(ctx, Holds::default())?;
    let site = ctx.site.ok_or_else(|| Rejection::invalid("site", "an order is made on the topic of its site"))?;
    // WO-01.R4, the id.
    if *state != ProductionState::None {
        return Err(exists(format!("work order {} exists already", ctx.aggregate_id)));
    }
    let mut errors = Vec::new();
    if p.priority.is_some_and(|n| !(1..=4).contains(&n)) {
        errors.push(FieldError::new("payload.priority", "is 1 (urgent) to 4 (low)"));
    }
    check_qty(&mut errors, false, "payload.planned_qty", p.planned_qty);
    for (inline, by_ref, name) in [
        (p.bom.is_some(), p.bom_ref.is_some(), "payload.bom"),
        (p.routing.is_some(), p.routing_ref.is_some(), "payload.routing"),
    ] {
        if inline && by_ref {
            errors.push(FieldError::new(name, "comes inline or by reference, not both"));
        }
    }
    structure::check_routing(&mut errors, "payload.routing", p.routing.as_deref().unwrap_or_default());
    structure::check_bom(&mut errors, "payload.bom", p.bom.as_deref().unwrap_or_default());
    all_valid(errors)?;

    if p.planned_qty.is_zero() || (p.uom.is_piece() && !p.planned_qty.is_whole()) {
        return Err(
            Rejection::guard("WO-01.R1", "planned_qty must be over 0, and whole for pieces").at("payload.planned_qty")
        );
    }
    let product = facts.product(&p.product_id).filter(|x| x.producible).ok_or_else(|| {
        Rejection::guard("WO-01.R2", format!("{} is not an active product that orders may be made for", p.product_id))
            .at("payload.product_id")
    })?;
    if p.uom != product.uom {
        let message = format!("{} is counted in {}", p.product_id, product.uom.as_str());
        return Err(Rejection::invalid("payload.uom", message));
    }
    let order_type = p.order_type.unwrap_or(OrderType::Production);
    if matches!(order_type, OrderType::Rework | OrderType::Replacement) && p.origin.is_none() {
        return Err(Rejection::guard("WO-01.R3", format!("a {order_type} order needs the origin that caused it"))
            .at("payload.origin"));
    }
    let number = number(facts, p.number.as_ref(), ctx)?;
    check_parent(facts, p, ctx)?;
    if let Some(line) = &p.line_id
        && facts.line_at(site, line).is_none()
    {
        return Err(Rejection::not_found(format!("{site} has no line {line} in use")).at("payload.line_id"));
    }
    let copies = copies(facts, site, product, p)?;
    let created = WorkOrderCreatedV1 {
        number,
        order_type,
        product_id: p.product_id.clone(),
        product_rev: p.product_rev.clone(),
        tracking: product.tracking,
        planned_qty: p.planned_qty,
        uom: p.uom.clone(),
        due_at: p.due_at,
        priority: p.priority.unwrap_or(3),
        site_id: site.clone(),
        line_id: p.line_id.clone(),
        over_tolerance_pct: p.over_tolerance_pct.unwrap_or(Percent::ZERO),
        under_tolerance_pct: p.under_tolerance_pct.unwrap_or(Percent::ZERO),
        replace_scrap: p.replace_scrap.unwrap_or(false),
        sales_order_ref: p.sales_order_ref.clone(),
        customer_id: p.customer_id.clone(),
        parent_work_order_id: p.parent_work_order_id,
        origin: match &p.origin {
            Some(o) => OriginV1 { kind: o.kind, id: o.id.clone() },
            None => OriginV1 { kind: OriginKind::Manual, id: None },
        },
        bom_ref: copies.bom_ref,
        bom: copies.bom,
        routing_ref: copies.routing_ref,
        routing: copies.routing,
        note: p.note.as_ref().map(Sealed::plain),
    };
    let stream = StreamId::new(AggregateKind::WorkOrder, ctx.aggregate_id);
    let mut events: Vec<Event> = vec![created.into()];
    // WO-11.R3: it was split off with them.
    let serials = facts.waiting_for(ctx.aggregate_id).to_vec();
    if !serials.is_empty() && product.tracking == Tracking::Serial {
        events.push(SerialsAllocatedV1 { serials }.into());
    }
    Ok(Decision::on(stream, role, events))
}

/// WO-01.R4, the number: the one given, when it is free, or the next of the year.
fn number(facts: &Production, given: Option<&Text<20>>, ctx: &DecisionContext<'_>) -> Result<Text<20>, Rejection> {
    match given {
        Some(n) if facts.number_taken(n) => {
            Err(exists(format!("number {n} is taken")).at("payload.number").with("number", n.as_str()))
        }
        Some(n) => Ok(n.clone()),
        None => {
            let year = u16::try_from(ctx.occurred_at.year()).unwrap_or_default();
            let text = series_text(facts.next_number(year));
            Text::new(&text).map_err(|e| Rejection::invalid("payload.number", e.to_string()))
        }
    }
}

/// WO-01.R5. The new order is nobody's parent yet, so only itself could close a circle.
fn check_parent(facts: &Production, p: &CreateWorkOrder, ctx: &DecisionContext<'_>) -> Result<(), Rejection> {
    let Some(parent) = p.parent_work_order_id else { return Ok(()) };
    let guard = |message: String| Err(Rejection::guard("WO-01.R5", message).at("payload.parent_work_order_id"));
    if parent == ctx.aggregate_id {
        return guard("an order is not its own parent".into());
    }
    match facts.order_state(parent) {
        None => {
            Err(Rejection::not_found(format!("there is no work order {parent}")).at("payload.parent_work_order_id"))
        }
        Some(s @ (WorkOrderState::Closed | WorkOrderState::Cancelled)) => {
            guard(format!("the parent order is {s}; choose one that is still open"))
        }
        Some(_) => Ok(()),
    }
}

struct Copies {
    bom_ref: Option<Code>,
    bom: Vec<BomLineV1>,
    routing_ref: Option<Code>,
    routing: Vec<RoutingOperationV1>,
}

/// BOM and routing as the order will keep them: inline, by reference, or the product's own (G9).
fn copies(facts: &Production, site: &SiteId, product: &Product, p: &CreateWorkOrder) -> Result<Copies, Rejection> {
    let (bom_ref, bom) = match (&p.bom, p.bom_ref.as_ref().or(product.bom.as_ref())) {
        (Some(lines), _) => (None, lines.clone()),
        (None, Some(code)) => (Some(code.clone()), bom_copy(facts, code, &p.product_id)?),
        (None, None) => (None, Vec::new()),
    };
    let (routing_ref, routing) = match (&p.routing, p.routing_ref.as_ref().or(product.routing.as_ref())) {
        (Some(steps), _) => {
            for (i, cell) in steps.iter().enumerate().filter_map(|(i, s)| s.cell_id.as_ref().map(|c| (i, c))) {
                crate::rules::need_cell(facts, site, cell, &format!("payload.routing[{i}].cell_id"))?;
            }
            (None, steps.clone())
        }
        (None, Some(code)) => (Some(code.clone()), routing_copy(facts, code, &p.product_id)?),
        (None, None) => (None, Vec::new()),
    };
    check_needs(p.planned_qty, &bom)?;
    Ok(Copies { bom_ref, bom, routing_ref, routing })
}

/// What each BOM line needs for all pieces must be a quantity.
pub(crate) fn check_needs(pieces: Qty, bom: &[BomLineV1]) -> Result<(), Rejection> {
    let too_much = |(i, l): (usize, &BomLineV1)| {
        required(pieces, l)
            .is_none()
            .then(|| FieldError::new(format!("payload.bom[{i}].qty_per_unit"), "is too much for so many pieces"))
    };
    all_valid(bom.iter().enumerate().filter_map(too_much).collect())
}

/// A copy of a BOM that may be used for this product.
pub(crate) fn bom_copy(facts: &Production, code: &Code, product: &ProductId) -> Result<Vec<BomLineV1>, Rejection> {
    match facts.document(ReferenceKind::Bom, code.as_str()) {
        Some(Document::Bom(b)) => {
            of_product("payload.bom_ref", b.product.as_ref(), product)?;
            Ok(b.lines.clone())
        }
        _ => Err(Rejection::not_found(format!("there is no BOM {code} in use")).at("payload.bom_ref")),
    }
}

/// A copy of a routing that may be used for this product.
pub(crate) fn routing_copy(
    facts: &Production,
    code: &Code,
    product: &ProductId,
) -> Result<Vec<RoutingOperationV1>, Rejection> {
    match facts.document(ReferenceKind::Routing, code.as_str()) {
        Some(Document::Routing(r)) => {
            of_product("payload.routing_ref", r.product.as_ref(), product)?;
            Ok(r.operations.clone())
        }
        _ => Err(Rejection::not_found(format!("there is no routing {code} in use")).at("payload.routing_ref")),
    }
}

fn of_product(field: &str, documented: Option<&ProductId>, product: &ProductId) -> Result<(), Rejection> {
    match documented {
        Some(other) if other != product => Err(Rejection::invalid(field, format!("is for {other}, not for {product}"))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{World, actor, code, data, detail, id, names, planner, rule};
    use mw_contract::decide::Allowance;
    use mw_contract::{AggregateId, ErrorCode, Role};
    use serde_json::{Value, json};

    /// Asks for pumps with more or other fields.
    fn ask(w: &World, more: Value) -> Result<Decision, Rejection> {
        ask_as(w, id(99), more)
    }

    fn ask_as(w: &World, order: AggregateId, more: Value) -> Result<Decision, Rejection> {
        let mut p = World::create_payload("pump-200", 5);
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        w.ask(&planner(), "work-order.create", order, p)
    }

    #[test]
    fn wo_01_makes_an_order_with_copies_and_defaults() {
        let w = World::new();
        let d = ask(&w, json!({"note": "for the fair"})).unwrap();
        assert_eq!(names(&d), ["WorkOrderCreated"]);
        assert_eq!(d.role, Role::Planner);
        let e = data(&d, 0);
        assert_eq!(e["number"], "WO-2026-000001");
        assert_eq!(
            (&e["order_type"], &e["tracking"], &e["priority"]),
            (&json!("production"), &json!("serial"), &json!(3))
        );
        assert_eq!((&e["site_id"], &e["origin"]["kind"]), (&json!("plant-1"), &json!("manual")));
        assert_eq!((&e["over_tolerance_pct"], &e["replace_scrap"]), (&json!("0"), &json!(false)));
        assert_eq!(e["routing_ref"], "pump-200");
        assert_eq!(e["routing"][1]["name"], "test");
        assert_eq!(e["note"], "for the fair");
    }

    #[test]
    fn wo_01_what_is_given_is_kept() {
        let mut w = World::new();
        let parent = w.pump(1);
        let d = ask(
            &w,
            json!({"number": "A-7", "order_type": "rework", "product_rev": "B", "priority": 1, "line_id": "line-1",
                "over_tolerance_pct": "10", "under_tolerance_pct": 5, "replace_scrap": true, "sales_order_ref": "SO-1",
                "customer_id": "acme", "parent_work_order_id": parent.to_string(),
                "origin": {"kind": "ticket", "id": "TK-1"},
                "routing": [{"op": 5, "name": "all", "cell_id": "cell-2"}],
                "bom": [{"line_no": 1, "item_id": "motor", "qty_per_unit": "1"}]}),
        )
        .unwrap();
        let e = data(&d, 0);
        for (field, value) in [
            ("number", json!("A-7")),
            ("order_type", json!("rework")),
            ("product_rev", json!("B")),
            ("priority", json!(1)),
            ("line_id", json!("line-1")),
            ("over_tolerance_pct", json!("10")),
            ("under_tolerance_pct", json!("5")),
            ("replace_scrap", json!(true)),
            ("sales_order_ref", json!("SO-1")),
            ("customer_id", json!("acme")),
            ("routing_ref", Value::Null),
            ("bom_ref", Value::Null),
        ] {
            assert_eq!(e[field], value, "{field}");
        }
        assert_eq!(e["origin"], json!({"kind": "ticket", "id": "TK-1"}));
        assert_eq!(e["routing"].as_array().unwrap().len(), 1);
        assert_eq!(e["bom"][0]["item_id"], "motor");
    }

    #[test]
    fn wo_01_r1_more_than_nothing_and_whole_for_pieces() {
        let mut w = World::new();
        assert_eq!(rule(ask(&w, json!({"planned_qty": "0"}))), "WO-01.R1");
        assert_eq!(rule(ask(&w, json!({"planned_qty": "1.5"}))), "WO-01.R1");
        w.put("product", "paint", json!({"uom": "KGM"})).unwrap();
        ask(&w, json!({"product_id": "paint", "uom": "KGM", "planned_qty": "1.5"})).unwrap();
    }

    #[test]
    fn wo_01_r2_the_product_is_active_and_producible() {
        let mut w = World::new();
        assert_eq!(rule(ask(&w, json!({"product_id": "nothing"}))), "WO-01.R2");
        w.put("product", "bought", json!({"uom": "H87", "producible": false})).unwrap();
        assert_eq!(rule(ask(&w, json!({"product_id": "bought"}))), "WO-01.R2");
        let target = mw_contract::reference_id(ReferenceKind::Product, &"pump-200".parse().unwrap());
        w.planner("reference.retire", target, json!({"kind": "product", "code": "pump-200"})).unwrap();
        assert_eq!(rule(ask(&w, json!({}))), "WO-01.R2");
    }

    #[test]
    fn wo_01_r3_rework_and_replacement_name_their_origin() {
        let w = World::new();
        for order_type in ["rework", "replacement"] {
            assert_eq!(rule(ask(&w, json!({"order_type": order_type}))), "WO-01.R3");
            ask(&w, json!({"order_type": order_type, "origin": {"kind": "ticket"}})).unwrap();
        }
        ask(&w, json!({"order_type": "prototype"})).unwrap();
    }

    #[test]
    fn wo_01_r4_an_id_or_number_is_taken_once() {
        let mut w = World::new();
        let there = w.create(json!({"product_id": "pump-200", "planned_qty": 1, "uom": "H87",
            "due_at": "2026-03-10T09:00:00.000Z", "number": "A-1"}));
        assert_eq!(code(ask_as(&w, there, json!({}))), ErrorCode::AlreadyExists);
        assert_eq!(code(ask(&w, json!({"number": "A-1"}))), ErrorCode::AlreadyExists);
        ask(&w, json!({"number": "A-2"})).unwrap();
    }

    #[test]
    fn wo_01_r4_the_series_steps_over_numbers_that_clients_gave() {
        let mut w = World::new();
        let number = |w: &World| data(&ask(w, json!({})).unwrap(), 0)["number"].as_str().unwrap().to_owned();
        w.bracket_with(1, json!({"number": "WO-2026-000002"}));
        assert_eq!(number(&w), "WO-2026-000001");
        w.bracket(1);
        assert_eq!(number(&w), "WO-2026-000003");
        assert_eq!(code(ask(&w, json!({"number": "WO-2026-000002"}))), ErrorCode::AlreadyExists);
        w.now = "2027-01-01T00:00:00.000Z".parse().unwrap();
        assert_eq!(number(&w), "WO-2027-000001");
    }

    #[test]
    fn wo_01_r5_the_parent_is_open_and_another_order() {
        let mut w = World::new();
        let parent = |p: AggregateId| json!({"parent_work_order_id": p.to_string()});
        for state in [WorkOrderState::Closed, WorkOrderState::Cancelled] {
            let p = w.in_state(state);
            assert_eq!(rule(ask(&w, parent(p))), "WO-01.R5", "{state}");
        }
        for state in [WorkOrderState::Draft, WorkOrderState::OnHold, WorkOrderState::Completed] {
            let p = w.in_state(state);
            ask(&w, parent(p)).unwrap();
        }
        assert_eq!(rule(ask(&w, parent(id(99)))), "WO-01.R5");
        assert_eq!(code(ask(&w, parent(id(12345)))), ErrorCode::NotFound);
    }

    #[test]
    fn wo_01_shape_is_refused_with_all_fields() {
        let mut w = World::new();
        let refused = ask(
            &w,
            json!({"priority": 5, "planned_qty": "100000000000", "routing_ref": "pump-200", "bom_ref": "x",
                "routing": [{"op": 0, "name": "a"}, {"op": 10, "name": "b", "predecessors": [20]},
                    {"op": 10, "name": "c", "overlap": "transfer_batch"}],
                "bom": [{"line_no": 1, "item_id": "a", "qty_per_unit": "0"}, {"line_no": 1, "item_id": "b", "qty_per_unit": 1}]}),
        );
        let fields = detail(refused, "fields");
        let fields: Vec<&str> = fields.as_array().unwrap().iter().map(|f| f["field"].as_str().unwrap()).collect();
        assert_eq!(
            fields,
            [
                "payload.priority",
                "payload.planned_qty",
                "payload.bom",
                "payload.routing",
                "payload.routing[0].op",
                "payload.routing[1].predecessors",
                "payload.routing[2].op",
                "payload.routing[2].transfer_batch_qty",
                "payload.bom[0].qty_per_unit",
                "payload.bom[1].line_no",
            ]
        );
        assert_eq!(code(ask(&w, json!({"priority": 0}))), ErrorCode::Validation);
        ask(&w, json!({"priority": 4})).unwrap();
        assert_eq!(code(ask(&w, json!({"uom": "KGM"}))), ErrorCode::Validation);
        let huge = json!({"bom": [{"line_no": 1, "item_id": "a", "qty_per_unit": "999999999999999999"}]});
        assert_eq!(code(ask(&w, huge)), ErrorCode::Validation);
        w.site = None;
        assert_eq!(code(ask(&w, json!({}))), ErrorCode::Validation);
    }

    #[test]
    fn wo_01_references_must_exist_and_be_for_the_product() {
        let w = World::new();
        for (field, value) in [("line_id", "line-9"), ("bom_ref", "x"), ("routing_ref", "x")] {
            let r = ask(&w, json!({field: value})).unwrap_err();
            assert_eq!((r.code, r.field.unwrap()), (ErrorCode::NotFound, format!("payload.{field}")));
        }
        assert_eq!(code(ask(&w, json!({"routing": [{"op": 1, "name": "a", "cell_id": "x"}]}))), ErrorCode::NotFound);
        assert_eq!(
            code(ask(&w, json!({"product_id": "bracket-10", "routing_ref": "pump-200"}))),
            ErrorCode::Validation
        );
    }

    #[test]
    fn wo_01_without_a_full_grant_nothing_is_made() {
        let w = World::new();
        let who = actor("lead-1", &[(Role::LineLead, Allowance::Setting), (Role::Operator, Allowance::FourEyes)]);
        let r = w.ask(&who, "work-order.create", id(99), World::create_payload("pump-200", 5));
        assert_eq!(code(r), ErrorCode::Forbidden);
    }

    #[test]
    fn i6_an_order_without_routing_has_one_implicit_operation() {
        let mut w = World::new();
        let order = w.bracket(3);
        let o = w.order(order);
        assert!(o.routing.is_empty());
        assert_eq!(o.operations.iter().map(|x| (x.op, x.implicit)).collect::<Vec<_>>(), [(10, true)]);
    }
}
