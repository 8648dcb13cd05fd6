//! Folding: one event into the state of its aggregate.
//!
//! Total: it never panics and never refuses. What it does not know, or what does not fit the
//! state (an operation that is not there, a second creation), is passed over.

use mw_contract::decide::EventMeta;
use mw_contract::event::parts::{QuantitiesV1, ReasonQtyV1, RoutingOperationV1};
use mw_contract::event::work_order::*;
use mw_contract::{
    AggregateKind, EntityId, Event, EventId, Instant, PauseCause, Qty, QuantitySource, Role, SessionKind, StreamId,
    WorkOrderState,
};

use crate::equipment::Equipment;
use crate::invariants::implicit_operation;
use crate::state::{Hold, Link, Note, Operation, ProductionState, ReferenceState, Report, Session, Unit, WorkOrder};
use crate::stock::StockItem;
use crate::unit::ProductUnit;
use crate::unit::state::take_out;

/// Folds one event into the state of its aggregate.
pub fn evolve(state: &mut ProductionState, stream: &StreamId, event: &Event, meta: &EventMeta) {
    match (&mut *state, event) {
        (ProductionState::None, Event::WorkOrderCreated(e)) if stream.kind == AggregateKind::WorkOrder => {
            *state = ProductionState::WorkOrder(Box::new(created(stream, e, meta.occurred_at)));
        }
        (ProductionState::WorkOrder(order), e) => fold(order, e, meta),
        (ProductionState::Reference(r), Event::ReferencePut(e)) => {
            r.revision = e.revision;
            r.retired = false;
        }
        (ProductionState::Reference(r), Event::ReferenceRetired(_)) => r.retired = true,
        (ProductionState::None, Event::ReferencePut(e)) => {
            *state = ProductionState::Reference(ReferenceState {
                kind: e.kind,
                code: e.code.clone(),
                revision: e.revision,
                retired: false,
            });
        }
        (ProductionState::None, e) => *state = begun(stream, e),
        (ProductionState::Equipment(x), e) => x.fold(e, meta),
        (ProductionState::Unit(x), e) => x.fold(e, meta),
        (ProductionState::Stock(x), e) => x.fold(e),
        _ => {}
    }
}

/// The aggregate that the first event of a stream makes, where it is one that begins a stream.
fn begun(stream: &StreamId, event: &Event) -> ProductionState {
    match (stream.kind, event) {
        (AggregateKind::Equipment, Event::EquipmentRegistered(e)) => {
            ProductionState::Equipment(Box::new(Equipment::registered(stream.id, e)))
        }
        (AggregateKind::Unit, Event::ProductUnitRegistered(e)) => {
            ProductionState::Unit(Box::new(ProductUnit::registered(stream.id, e)))
        }
        (AggregateKind::Stock, e) => match StockItem::begun(e) {
            Some(mut item) => {
                item.fold(e);
                ProductionState::Stock(Box::new(item))
            }
            None => ProductionState::None,
        },
        (AggregateKind::Inbox, Event::InboxItemDismissed(_)) => ProductionState::Inbox,
        _ => ProductionState::None,
    }
}

fn created(stream: &StreamId, e: &WorkOrderCreatedV1, at: Instant) -> WorkOrder {
    WorkOrder {
        id: stream.id,
        number: e.number.clone(),
        order_type: e.order_type,
        product_id: e.product_id.clone(),
        product_rev: e.product_rev.clone(),
        tracking: e.tracking,
        planned_qty: e.planned_qty,
        uom: e.uom.clone(),
        due_at: e.due_at,
        priority: e.priority,
        site_id: e.site_id.clone(),
        line_id: e.line_id.clone(),
        over_tolerance_pct: e.over_tolerance_pct,
        under_tolerance_pct: e.under_tolerance_pct,
        replace_scrap: e.replace_scrap,
        sales_order_ref: e.sales_order_ref.clone(),
        customer_id: e.customer_id.clone(),
        parent_work_order_id: e.parent_work_order_id,
        origin: e.origin.clone(),
        bom_ref: e.bom_ref.clone(),
        bom: e.bom.clone(),
        routing_ref: e.routing_ref.clone(),
        routing: e.routing.clone(),
        state: WorkOrderState::Draft,
        hold: None,
        short_closed: false,
        planned_start: None,
        planned_end: None,
        created_at: at,
        released_at: None,
        actual_start: None,
        actual_end: None,
        closed_at: None,
        cancelled: None,
        shortages: Vec::new(),
        operations: operations(&e.routing),
        free_serials: Default::default(),
        units: Default::default(),
        lots: Default::default(),
        reports: Default::default(),
        counters: Default::default(),
        notes: Vec::new(),
        links: Default::default(),
        cycle: 1,
        material: Default::default(),
        quality: Default::default(),
    }
}

/// The operations of a routing, by number; where none are named, the predecessor is the one before.
fn operations(routing: &[RoutingOperationV1]) -> Vec<Operation> {
    if routing.is_empty() {
        return vec![implicit_operation()];
    }
    let mut steps: Vec<&RoutingOperationV1> = routing.iter().collect();
    steps.sort_by_key(|s| s.op);
    let mut before = None;
    steps
        .into_iter()
        .map(|s| {
            let predecessors = s.predecessors.clone().unwrap_or_else(|| before.into_iter().collect());
            before = Some(s.op);
            operation(s, predecessors)
        })
        .collect()
}

fn operation(s: &RoutingOperationV1, predecessors: Vec<u16>) -> Operation {
    Operation {
        op: s.op,
        name: Some(s.name.clone()),
        implicit: false,
        cell_id: s.cell_id.clone(),
        cell_class: s.cell_class.clone(),
        setup_time: s.setup_time,
        run_time_per_unit: s.run_time_per_unit,
        predecessors,
        overlap: s.overlap,
        transfer_batch_qty: s.transfer_batch_qty,
        inspection: s.inspection,
        ..implicit_operation()
    }
}

fn fold(order: &mut WorkOrder, event: &Event, meta: &EventMeta) {
    let at = meta.occurred_at;
    order.material.fold(event, meta);
    order.quality.fold(event, meta);
    match event {
        Event::WorkOrderAmended(e) => amended(order, e),
        Event::WorkOrderPlanned(e) => planned(order, e),
        Event::WorkOrderUnplanned(_) => {
            order.state = WorkOrderState::Draft;
            forget_dates(order);
        }
        Event::WorkOrderRescheduled(e) => {
            order.line_id = e.new.line_id.clone();
            order.planned_start = e.new.planned_start;
            order.planned_end = e.new.planned_end;
            plan_operations(order, &e.new.operations);
        }
        Event::WorkOrderReleaseRevoked(_) => {
            order.state = WorkOrderState::Planned;
            order.released_at = None;
            order.shortages.clear();
        }
        Event::WorkOrderQuantityChanged(e) => order.planned_qty = e.new_qty,
        Event::WorkOrderDueDateChanged(e) => order.due_at = e.new,
        Event::WorkOrderPriorityChanged(e) => order.priority = e.new,
        Event::OperationAssigned(e) => {
            if let Some(o) = order.operation_mut(e.op) {
                o.cell_id = e.cell_id.clone().or(o.cell_id.take());
                o.assigned.extend(e.operators.iter().cloned());
                o.crew = e.crew.clone().or(o.crew.take());
            }
        }
        Event::OperationUnassigned(e) => {
            if let Some(o) = order.operation_mut(e.op) {
                o.assigned.retain(|a| !e.operators.contains(a));
            }
        }
        Event::WorkOrderReopened(e) => reopened(order, e),
        Event::LinkAdded(e) => {
            order.links.insert(Link { kind: e.kind, id: e.id.clone(), relation: e.relation });
        }
        Event::WorkOrderReleased(e) => {
            order.state = WorkOrderState::Released;
            order.released_at = Some(at);
            order.shortages = e.shortages.clone();
        }
        Event::WorkOrderStarted(e) => {
            order.state = WorkOrderState::InProgress;
            order.actual_start = Some(e.actual_start);
        }
        Event::WorkOrderHeld(e) => {
            order.state = WorkOrderState::OnHold;
            order.hold = Some(Hold {
                reason: e.reason.clone(),
                kind: e.kind,
                since: at,
                expected_resume_at: e.expected_resume_at,
                resume_state: e.resume_state,
            });
        }
        Event::WorkOrderResumed(e) => {
            order.state = e.to_state;
            order.hold = None;
        }
        Event::WorkOrderCompleted(e) => {
            order.state = WorkOrderState::Completed;
            order.actual_end = Some(e.actual_end);
            order.short_closed = e.short_closed;
            order.hold = None;
        }
        Event::WorkOrderClosed(_) => {
            order.state = WorkOrderState::Closed;
            order.closed_at = Some(at);
        }
        Event::WorkOrderCancelled(e) => {
            order.state = WorkOrderState::Cancelled;
            order.cancelled = Some(e.reason.clone());
            order.hold = None;
        }
        Event::OperationStarted(e) => {
            let session = begin(e.session_id, &e.operator, &e.cell_id, e.kind, meta);
            open(order, e.op, session);
        }
        Event::OperationResumed(e) => {
            let before = order.operation(e.op).and_then(|o| o.resumed_from(&e.operator));
            let kind = before.map_or(SessionKind::Run, |s| s.kind);
            let session = begin(e.session_id, &e.operator, &e.cell_id, kind, meta);
            open(order, e.op, session);
        }
        Event::OperationPaused(e) => {
            let session = order
                .operation_mut(e.op)
                .and_then(|o| o.sessions.iter_mut().find(|s| s.session_id == e.session_id && s.is_open()));
            if let Some(s) = session {
                s.ended_at = Some(at.max(s.started_at));
                s.stop_reason = e.reason.clone();
                s.loss_category = e.loss_category;
                s.overdue = e.cause == PauseCause::Overdue;
            }
        }
        Event::OperationQuantityReported(e) => reported(order, e, meta),
        Event::OperationReportCorrected(e) => correct_report(order, e.report_id, &e.new, meta.event_id),
        Event::OperationCompleted(e) => {
            if let Some(o) = order.operation_mut(e.op) {
                o.completed_at = Some(at);
            }
        }
        Event::OperationSessionCorrected(e) => {
            let session =
                order.operation_mut(e.op).and_then(|o| o.sessions.iter_mut().find(|s| s.session_id == e.session_id));
            if let Some(s) = session {
                s.started_at = e.new.started_at;
                s.ended_at = e.new.ended_at;
                s.overdue = false;
            }
        }
        Event::OperationReopened(e) => {
            if let Some(o) = order.operation_mut(e.op) {
                o.completed_at = None;
            }
        }
        Event::OperationSkipped(e) => {
            if let Some(o) = order.operation_mut(e.op) {
                o.skipped = true;
            }
        }
        Event::OperationAdded(e) => added(order, &e.operation),
        Event::LotAssigned(e) => {
            order.lots.insert(e.lot.clone());
        }
        Event::SerialVoided(e) => {
            order.free_serials.remove(&e.serial);
            if let Some(u) = order.units.get_mut(&e.serial) {
                u.voided = true;
            }
        }
        Event::SerialsAllocated(e) => {
            let fresh = e.serials.iter().filter(|s| !order.units.contains_key(*s)).cloned();
            order.free_serials.extend(fresh);
        }
        Event::UnitRegistered(e) => {
            order.free_serials.remove(&e.serial);
            order.lots.extend(e.lot.clone());
            let unit = Unit {
                voided: false,
                result: e.result,
                op: e.op,
                lot: e.lot.clone(),
                produced_at: e.produced_at,
                components: e.components.clone(),
            };
            order.units.insert(e.serial.clone(), unit);
        }
        Event::WorkOrderSplit(e) => {
            order.free_serials.retain(|s| !e.parts.iter().any(|p| p.serials.contains(s)));
        }
        Event::UnitGenealogyAmended(e) => {
            if let Some(u) = order.units.get_mut(&e.serial) {
                e.removed.iter().for_each(|gone| take_out(&mut u.components, gone));
                u.components.extend(e.added.iter().cloned());
            }
        }
        Event::NoteAdded(e) => {
            let note = Note { note_id: e.note_id, text: e.text.clone(), author: meta.account.clone(), at };
            order.notes.push(note);
        }
        _ => {}
    }
}

fn begin(
    session_id: mw_contract::EntityId,
    operator: &mw_contract::AccountName,
    cell_id: &mw_contract::CellId,
    kind: SessionKind,
    meta: &EventMeta,
) -> Session {
    Session {
        session_id,
        operator: operator.clone(),
        attended: meta.role != Some(Role::Device),
        cell_id: cell_id.clone(),
        kind,
        started_at: meta.occurred_at,
        ended_at: None,
        stop_reason: None,
        loss_category: None,
        overdue: false,
    }
}

fn open(order: &mut WorkOrder, op: u16, session: Session) {
    if let Some(o) = order.operation_mut(op) {
        o.sessions.push(session);
    }
}

fn planned(order: &mut WorkOrder, e: &WorkOrderPlannedV1) {
    order.state = WorkOrderState::Planned;
    order.line_id = Some(e.line_id.clone());
    order.planned_start = Some(e.planned_start);
    order.planned_end = Some(e.planned_end);
    plan_operations(order, &e.operations);
}

fn forget_dates(order: &mut WorkOrder) {
    order.planned_start = None;
    order.planned_end = None;
    for o in &mut order.operations {
        o.planned_start = None;
        o.planned_end = None;
    }
}

/// Nothing that was reported goes away; what the end had set does.
fn reopened(order: &mut WorkOrder, e: &WorkOrderReopenedV1) {
    order.state = e.to_state;
    order.cycle = e.cycle;
    match e.to_state {
        WorkOrderState::Draft => {
            order.cancelled = None;
            order.released_at = None;
            order.actual_start = None;
            order.shortages.clear();
            forget_dates(order);
        }
        WorkOrderState::Completed => order.closed_at = None,
        _ => {
            order.actual_end = None;
            order.short_closed = false;
        }
    }
}

fn plan_operations(order: &mut WorkOrder, operations: &[mw_contract::event::parts::OperationPlanV1]) {
    for p in operations {
        if let Some(o) = order.operation_mut(p.op) {
            o.cell_id = p.cell_id.clone().or(o.cell_id.take());
            o.planned_start = p.planned_start;
            o.planned_end = p.planned_end;
        }
    }
}

/// Amendments name their fields; a field or value of a later program is passed over.
fn amended(order: &mut WorkOrder, e: &WorkOrderAmendedV1) {
    for (field, change) in &e.changed {
        let new = change.new.as_deref();
        match field.as_str() {
            "product_rev" => order.product_rev = new.and_then(|v| mw_contract::Text::new(v).ok()),
            "bom_ref" => order.bom_ref = new.and_then(|v| v.parse().ok()),
            "routing_ref" => order.routing_ref = new.and_then(|v| v.parse().ok()),
            "sales_order_ref" => order.sales_order_ref = new.and_then(|v| mw_contract::Text::new(v).ok()),
            "customer_id" => order.customer_id = new.and_then(|v| v.parse().ok()),
            "over_tolerance_pct" => {
                order.over_tolerance_pct = new.and_then(|v| v.parse().ok()).unwrap_or(order.over_tolerance_pct);
            }
            "under_tolerance_pct" => {
                order.under_tolerance_pct = new.and_then(|v| v.parse().ok()).unwrap_or(order.under_tolerance_pct);
            }
            "replace_scrap" => order.replace_scrap = new == Some("true"),
            _ => {}
        }
    }
    if let Some(bom) = &e.bom {
        order.bom = bom.clone();
    }
    if let Some(routing) = &e.routing {
        order.routing = routing.clone();
        order.operations = operations(routing);
    }
}

fn added(order: &mut WorkOrder, step: &RoutingOperationV1) {
    if order.operation(step.op).is_some() {
        return;
    }
    let before = order.operations.iter().map(|o| o.op).filter(|n| *n < step.op).max();
    let mut predecessors = step.predecessors.clone().unwrap_or_else(|| before.into_iter().collect());
    // An operation can only wait for what is there, so no circle arises.
    predecessors.retain(|p| order.operation(*p).is_some());
    order.operations.push(operation(step, predecessors));
    order.operations.sort_by_key(|o| o.op);
}

fn reported(order: &mut WorkOrder, e: &OperationQuantityReportedV1, meta: &EventMeta) {
    if order.operation(e.op).is_none() {
        return;
    }
    let nothing = QuantitiesV1 { good: Qty::ZERO, scrap: Vec::new(), rework: Vec::new() };
    let report = Report {
        op: e.op,
        source: e.source,
        says: nothing,
        operator: e.operator.clone(),
        at: meta.occurred_at,
        event_id: meta.event_id,
    };
    order.reports.insert(e.report_id, report);
    let says = QuantitiesV1 { good: e.good, scrap: e.scrap.clone(), rework: e.rework.clone() };
    correct_report(order, e.report_id, &says, meta.event_id);
    order.lots.extend(e.lot.clone());
    if let Some(c) = &e.counter {
        order.counters.insert((e.cell_id.clone(), c.name.clone()), c.value);
    }
}

/// Puts what a report says in place of what it said before.
pub(crate) fn correct_report(order: &mut WorkOrder, report: EntityId, says: &QuantitiesV1, event_id: EventId) {
    let Some(r) = order.reports.get_mut(&report) else { return };
    let bare = |list: &[ReasonQtyV1]| list.iter().map(|x| ReasonQtyV1 { note: None, ..x.clone() }).collect();
    let new = QuantitiesV1 { good: says.good, scrap: bare(&says.scrap), rework: bare(&says.rework) };
    let (op, source, old) = (r.op, r.source, std::mem::replace(&mut r.says, new));
    r.event_id = event_id;
    let Some(o) = order.operation_mut(op) else { return };
    let sum = |list: &[ReasonQtyV1]| list.iter().map(|x| x.qty).sum::<Qty>();
    let (old_scrap, new_scrap) = (sum(&old.scrap), sum(&says.scrap));
    o.good = o.good + says.good - old.good;
    o.scrap = o.scrap + new_scrap - old_scrap;
    o.rework_open = match source {
        QuantitySource::Fresh => o.rework_open + sum(&says.rework) - sum(&old.rework),
        QuantitySource::Rework => o.rework_open + old.good + old_scrap - (says.good + new_scrap),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{World, lead, planner};
    use mw_contract::{AggregateId, Text, WorkOrderState};
    use serde_json::json;

    #[test]
    fn only_the_stream_of_an_order_becomes_one() {
        let mut w = World::new();
        let id = w.fresh();
        let d = w
            .ask(&planner(), "work-order.create", crate::fixture::id(id), World::create_payload("pump-200", 1))
            .unwrap();
        for (kind, known) in [(AggregateKind::Unit, false), (AggregateKind::WorkOrder, true)] {
            let stream = StreamId::new(kind, crate::fixture::id(id));
            w.fold(&stream, &d.events[0].1, w.now, &planner(), Role::Planner);
            assert_eq!(w.state(stream.id).work_order().is_some(), known);
        }
    }

    #[test]
    fn an_order_keeps_the_operations_of_its_routing_as_they_were() {
        let mut w = World::new();
        let id = w.pump(5);
        let ops = &w.order(id).operations;
        let of = |op: &crate::Operation| {
            (op.op, op.name.as_ref().map(ToString::to_string), op.setup_time.0, op.run_time_per_unit.to_string())
        };
        assert_eq!(of(&ops[0]), (10, Some("assemble".into()), 300, "60".into()));
        assert_eq!(of(&ops[1]), (20, Some("test".into()), 0, "30".into()));
        assert_eq!((&ops[0].predecessors, &ops[1].predecessors), (&vec![], &vec![10]));
    }

    fn held(w: &mut World) -> AggregateId {
        let id = w.in_state(WorkOrderState::OnHold);
        assert!(w.order(id).hold.is_some());
        id
    }

    #[test]
    fn whatever_ends_an_order_ends_its_hold() {
        let mut w = World::new();
        let id = held(&mut w);
        w.planner("work-order.cancel", id, json!({"reason": "no_demand"})).unwrap();
        assert!(w.order(id).hold.is_none());
        // Short-closing can end a held order; its event is known already.
        let id = held(&mut w);
        let ended = WorkOrderCompletedV1 {
            good: Qty::ZERO,
            scrap: Qty::ZERO,
            rework: Qty::ZERO,
            actual_start: None,
            actual_end: w.now,
            material_variance: Vec::new(),
            short_closed: true,
            note: None,
        };
        w.given(id, ended);
        let o = w.order(id);
        assert!(o.hold.is_none() && o.short_closed);
    }

    #[test]
    fn a_serial_that_a_unit_bears_is_not_free_again() {
        let mut w = World::new();
        let id = w.running_bracket(5);
        let p = json!({"serial": "S-1", "op": 10, "result": "good"});
        w.run(&lead(), "work-order.register-unit", id, p).unwrap();
        let serials = ["S-1", "S-2"].map(|s| Text::new(s).unwrap()).to_vec();
        w.given(id, SerialsAllocatedV1 { serials });
        assert_eq!(w.order(id).free_serials.iter().map(|s| s.as_str()).collect::<Vec<_>>(), ["S-2"]);
    }

    #[test]
    fn what_a_split_takes_along_is_not_free_in_the_order_it_came_from() {
        let mut w = World::new();
        let id = w.pump(5);
        w.release(id);
        let serials = ["S-1", "S-2", "S-3"].map(|s| Text::new(s).unwrap()).to_vec();
        w.given(id, SerialsAllocatedV1 { serials });
        let part = json!({"work_order_id": crate::fixture::id(901), "qty": 2, "serials": ["S-1", "S-3"]});
        w.planner("work-order.split", id, json!({"parts": [part], "reason": "capacity"})).unwrap();
        assert_eq!(w.order(id).free_serials.iter().map(|s| s.as_str()).collect::<Vec<_>>(), ["S-2"]);
    }

    #[test]
    fn what_somebody_wrote_beside_scrap_is_in_the_event_and_not_carried_about() {
        let mut w = World::new();
        let id = w.running_bracket(5);
        let scrap = json!([{"reason": "dimension", "qty": 1, "note": "the blade is worn"}]);
        let p = json!({"op": 10, "report_id": crate::fixture::e(1), "good": 1, "scrap": scrap});
        let d = w.lead("work-order.report-quantity", id, p).unwrap();
        assert!(
            crate::fixture::data(&d, 0)["scrap"][0]["note"].is_object()
                || crate::fixture::data(&d, 0)["scrap"][0]["note"].is_string()
        );
        assert!(w.order(id).reports.values().all(|r| r.says.scrap[0].note.is_none()));
    }
}
