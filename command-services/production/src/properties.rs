//! What holds for every history: the matrix cell by cell, the invariants over random commands,
//! and folding that never fails.

use mw_contract::decide::{Domain, EventMeta};
use mw_contract::*;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::fixture::{HOUR, MINUTE, World, admin, e, id, lead, operator, planner};
use crate::matrix::{COLUMNS, MATRIX, Possible};
use crate::{Production, ProductionState, invariants};

/// A payload that passes the shape of each command.
fn payload(command: CommandType) -> Value {
    use CommandType as C;
    match command {
        C::WorkOrderPlan => World::plan_payload(),
        C::WorkOrderUnplan | C::WorkOrderRevokeRelease | C::WorkOrderReopen => json!({"reason": "wrong_data"}),
        C::WorkOrderReschedule => json!({"planned_end": "2026-03-03T17:00:00.000Z", "reason": "no_capacity"}),
        C::WorkOrderChangeQuantity => json!({"new_qty": 6, "reason": "customer_request"}),
        C::WorkOrderChangeDueDate => json!({"new_due_at": "2026-04-01T09:00:00.000Z", "reason": "customer_request"}),
        C::WorkOrderChangePriority => json!({"new_priority": 2}),
        C::WorkOrderAssign => json!({"op": 10, "crew": "early"}),
        C::WorkOrderUnassign => json!({"op": 10, "operators": ["operator-1"]}),
        C::WorkOrderShortClose => json!({"reason": "no_demand", "remainder": "drop"}),
        C::WorkOrderLink => json!({"kind": "ticket", "id": "T", "relation": "blocks"}),
        C::WorkOrderCorrectReport => json!({"report_id": e(7000), "good": 1, "reason": "wrong_data"}),
        C::WorkOrderCorrectSession => {
            json!({"session_id": e(7000), "new_end": "2026-03-02T09:00:00.000Z", "reason": "wrong_data"})
        }
        C::WorkOrderReopenOperation | C::WorkOrderSkipOperation => json!({"op": 10, "reason": "wrong_data"}),
        C::WorkOrderAddOperation => json!({"op": 15, "name": "deburr", "cell_class": "x", "reason": "quality"}),
        C::WorkOrderAssignLot => json!({"lot": "L"}),
        C::WorkOrderVoidSerial => json!({"serial": "S-1", "reason": "wrong_data"}),
        C::WorkOrderHold => json!({"reason": "quality_hold"}),
        C::WorkOrderCancel => json!({"reason": "no_demand"}),
        C::WorkOrderAmend => json!({"sales_order_ref": "SO-9"}),
        C::WorkOrderClose => json!({"force": true}),
        C::WorkOrderStartOperation => {
            json!({"op": 10, "session_id": e(7000), "cell_id": "cell-1", "operator": "operator-9"})
        }
        C::WorkOrderResumeOperation => json!({"op": 10, "session_id": e(7000)}),
        C::WorkOrderPauseOperation => json!({"op": 10, "session_id": e(7001), "reason": "break"}),
        C::WorkOrderCompleteOperation => json!({"op": 10, "confirm_shortfall": true}),
        C::WorkOrderReportQuantity => json!({"op": 10, "report_id": e(7000), "good": 1}),
        C::WorkOrderRegisterUnit => json!({"op": 10, "serial": "S-1", "result": "good"}),
        C::WorkOrderAllocateSerials => json!({"serials": ["S-1"]}),
        C::WorkOrderAddNote => json!({"note_id": e(7000), "text": "n"}),
        C::WorkOrderSplit => {
            json!({"parts": [{"work_order_id": e(7000), "qty": 1}], "reason": "no_capacity"})
        }
        C::WorkOrderRequestMaterial => json!({"lines": [{"line_no": 1, "qty": 1}]}),
        C::WorkOrderConfirmReservation => json!({"request_id": e(7000), "failed":
            [{"line_no": 1, "missing_qty": 1, "available_qty": 0}]}),
        C::WorkOrderReleaseReservation => json!({"reservation_ids": [e(7000)]}),
        C::WorkOrderIssueMaterial => {
            json!({"issue_id": e(7000), "lines": [{"line_no": 1, "qty": 1, "from_location": "store"}]})
        }
        C::WorkOrderReturnMaterial => json!({"return_id": e(7000), "reason": "surplus",
            "lines": [{"line_no": 1, "qty": 1, "to_location": "store", "condition": "good"}]}),
        C::WorkOrderRecordConsumption => json!({"consumption_id": e(7000), "lines": [{"line_no": 1, "qty": 1}]}),
        C::WorkOrderApproveSubstitute => json!({"line_no": 1, "substitute_item_id": "other", "reason": "shortage"}),
        C::WorkOrderAmendGenealogy => json!({"serial": "S-1", "add": [{"item_id": "motor"}], "reason": "wrong_data"}),
        C::WorkOrderRecordInspection => json!({"inspection_id": e(7000), "kind": "final", "sample_size": 1,
            "results": [{"characteristic": "width", "verdict": "pass"}], "verdict": "pass"}),
        C::WorkOrderRaiseNonconformance => json!({"ncr_id": e(7000), "qty": 1, "defect_code": "surface",
            "severity": 3, "description": "scratched", "detected_at_stage": "in_process"}),
        C::WorkOrderDispositionNonconformance => json!({"ncr_id": e(7000), "cause_code": "tool",
            "lines": [{"disposition": "scrap", "qty": 1}]}),
        C::WorkOrderCloseNonconformance => json!({"ncr_id": e(7000), "verification": "looked at"}),
        C::WorkOrderReturnNonconformance => json!({"ncr_id": e(7000)}),
        _ => json!({}),
    }
}

/// The matrix of the business, letter by letter: x always, l late, - never.
const WRITTEN: &[(&str, &str)] = &[
    ("amend", "xx------"),
    ("plan", "x-------"),
    ("unplan", "-x------"),
    ("reschedule", "-xxxx---"),
    ("release", "-x------"),
    ("revoke-release", "--x-----"),
    ("change-quantity", "xxxxx---"),
    ("change-due-date", "xxxxx---"),
    ("change-priority", "xxxxx---"),
    ("split", "-xxxx---"),
    ("assign", "-xxxx---"),
    ("unassign", "-xxxx---"),
    ("request-material", "-xxxx---"),
    ("confirm-reservation", "-xxxx---"),
    ("release-reservation", "-xxxx---"),
    ("issue-material", "--xxx---"),
    ("return-material", "--xxxx--"),
    ("record-consumption", "---xxl--"),
    ("approve-substitute", "-xxxx---"),
    ("hold", "--xx----"),
    ("resume", "----x---"),
    ("complete", "---x----"),
    ("short-close", "---xx---"),
    ("close", "-----x--"),
    ("cancel", "xxxxx---"),
    ("reopen", "-----xxx"),
    ("start-operation", "--xx----"),
    ("resume-operation", "---x----"),
    ("pause-operation", "---x-l--"),
    ("complete-operation", "---x-l--"),
    ("report-quantity", "---x-l--"),
    ("register-unit", "---x-l--"),
    ("correct-report", "---xxx--"),
    ("correct-session", "---xxx--"),
    ("reopen-operation", "---x----"),
    ("skip-operation", "-xxxx---"),
    ("add-operation", "--xxx---"),
    ("assign-lot", "xxxxxx--"),
    ("void-serial", "-xxxxx--"),
    ("allocate-serials", "-xxx----"),
    ("amend-genealogy", "---xxxx-"),
    ("record-inspection", "--xxxx--"),
    ("raise-nonconformance", "--xxxx--"),
    ("disposition-nonconformance", "--xxxx--"),
    ("close-nonconformance", "--xxxx--"),
    ("return-nonconformance", "--xxxx--"),
    ("add-note", "xxxxxxxx"),
    ("link", "xxxxxxxx"),
];

#[test]
fn the_matrix_is_the_written_one_and_each_cell_decides_by_it() {
    assert_eq!(MATRIX.len(), WRITTEN.len());
    for ((command, cells), (name, letters)) in MATRIX.iter().zip(WRITTEN) {
        assert_eq!(command.as_str(), format!("work-order.{name}"));
        let ours: String = cells
            .iter()
            .map(|c| match c {
                Possible::Yes => 'x',
                Possible::Late => 'l',
                Possible::No => '-',
            })
            .collect();
        assert_eq!(ours, *letters, "{name}");
        for (i, state) in COLUMNS.into_iter().enumerate() {
            let mut w = World::new();
            let order = w.in_state(state);
            assert_eq!(w.facts.order_state(order), Some(state));
            let who = admin();
            let cell = letters.as_bytes()[i];
            let now = w.ask(&who, command.as_str(), order, payload(*command));
            let refused_by_state = matches!(&now, Err(r) if r.code == ErrorCode::InvalidState
                && r.details.as_ref().is_some_and(|d| d["state"] == state.as_str()));
            assert_eq!(refused_by_state, cell != b'x', "{name} in {state}: {now:?}");
            if refused_by_state {
                let allowed: Vec<&str> =
                    COLUMNS.iter().zip(letters.bytes()).filter(|(_, l)| *l == b'x').map(|(s, _)| s.as_str()).collect();
                assert_eq!(now.unwrap_err().details.unwrap()["allowed"], json!(allowed), "{name} in {state}");
            }
            let earlier = w.ask_at(w.now.plus_millis(-1), &who, command.as_str(), order, payload(*command));
            let late_refused = matches!(&earlier, Err(r) if r.code == ErrorCode::InvalidState
                && r.details.as_ref().is_some_and(|d| d["state"] == state.as_str() && d["op"].is_null()));
            if cell == b'l' {
                // The state lets it pass; what else it meets is the command's own business.
                let op_state = matches!(&earlier, Err(r) if r.details.as_ref().is_some_and(|d| !d["op"].is_null()));
                assert!(op_state || !late_refused, "{name} in {state}: {earlier:?}");
                assert!(earlier.is_err() || earlier.unwrap().late);
            } else if let Ok(d) = earlier {
                assert!(!d.late, "{name} in {state}");
            }
        }
    }
}

#[test]
fn a_refusal_by_state_tells_until_when_late_reports_count() {
    let mut w = World::new();
    let order = w.in_state(WorkOrderState::Completed);
    let r =
        w.ask(&lead(), "work-order.report-quantity", order, payload(CommandType::WorkOrderReportQuantity)).unwrap_err();
    assert_eq!(r.details.unwrap()["late_before"], w.now.to_string());
}

#[test]
fn what_does_not_exist_is_not_found() {
    let w = World::new();
    for (command, _) in MATRIX {
        let r = w.ask(&admin(), command.as_str(), id(424_242), payload(*command)).unwrap_err();
        assert_eq!(r.code, ErrorCode::NotFound, "{command}");
    }
}

#[test]
fn only_creations_need_nothing_before_them() {
    let w = World::new();
    let needs = |c: CommandType, p: Value| {
        let Value::Object(map) = p else { unreachable!() };
        w.facts.needs_existing(&Command::read(c, &map).unwrap())
    };
    assert!(!needs(CommandType::WorkOrderCreate, World::create_payload("pump-200", 1)));
    assert!(!needs(CommandType::ReferencePut, json!({"kind": "cell", "code": "a", "document": {}})));
    assert!(needs(CommandType::ReferenceRetire, json!({"kind": "cell", "code": "a"})));
    for (c, _) in MATRIX {
        assert!(needs(*c, payload(*c)), "{c}");
    }
    assert_eq!(w.facts.context(), Context::Production);
    let r = w.ask(&admin(), "account.disable", id(1), json!({"account": "a"})).unwrap_err();
    assert_eq!(r.code, ErrorCode::Validation);
}

/// One random step against one order.
#[derive(Clone, Debug)]
enum Step {
    Start(u8, u8, bool),
    Pause(u8, Option<u32>),
    Resume(u8, u8),
    Report { op: u8, good: u32, scrap: u32, rework: u32, back: bool },
    CompleteOp(u8, Option<u32>),
    Unit(u8),
    Allocate(u8),
    Hold,
    ResumeOrder,
    Complete,
    Cancel,
    Close,
    ShortClose,
    Reopen,
    ChangeQuantity(u8),
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..3u8, 0..3u8, any::<bool>()).prop_map(|(a, b, s)| Step::Start(a, b, s)),
        2 => (any::<u8>(), proptest::option::of(0..4u32)).prop_map(|(a, q)| Step::Pause(a, q)),
        2 => (0..3u8, 0..3u8).prop_map(|(a, b)| Step::Resume(a, b)),
        8 => (0..3u8, 0..5u32, 0..3u32, 0..3u32, any::<bool>())
            .prop_map(|(op, good, scrap, rework, back)| Step::Report { op, good, scrap, rework, back }),
        3 => (0..3u8, proptest::option::of(0..4u32)).prop_map(|(a, q)| Step::CompleteOp(a, q)),
        2 => any::<u8>().prop_map(Step::Unit),
        1 => any::<u8>().prop_map(Step::Allocate),
        1 => Just(Step::Hold),
        2 => Just(Step::ResumeOrder),
        1 => Just(Step::Complete),
        1 => Just(Step::Cancel),
        1 => Just(Step::Close),
        1 => Just(Step::ShortClose),
        1 => Just(Step::Reopen),
        1 => (0..12u8).prop_map(Step::ChangeQuantity),
        2 => (0..7200u16).prop_map(Step::Wait),
    ]
}

const OPS: [u16; 3] = [10, 20, 30];

fn take(w: &mut World, order: AggregateId, s: &Step) {
    let who = |n: u8| operator(&format!("operator-{n}"));
    let quantities = |w: &mut World, q: Option<u32>| q.map(|n| json!({"report_id": e(w.fresh()), "good": n}));
    let r = match s {
        Step::Start(op, by, setup) => {
            let p = json!({"op": OPS[*op as usize], "session_id": e(w.fresh()), "cell_id": "cell-1",
                "kind": if *setup { "setup" } else { "run" }});
            w.run(&who(*by), "work-order.start-operation", order, p)
        }
        Step::Pause(n, q) => {
            let sessions: Vec<(u16, String)> =
                w.order(order).sessions().map(|(o, s)| (o.op, s.session_id.to_string())).collect();
            let Some((op, session)) = sessions.get(*n as usize % sessions.len().max(1)).cloned() else { return };
            let q = quantities(w, *q);
            w.run(
                &lead(),
                "work-order.pause-operation",
                order,
                json!({"op": op, "session_id": session, "reason": "break", "quantities": q}),
            )
        }
        Step::Resume(op, by) => {
            let p = json!({"op": OPS[*op as usize], "session_id": e(w.fresh())});
            w.run(&who(*by), "work-order.resume-operation", order, p)
        }
        Step::Report { op, good, scrap, rework, back } => {
            let list = |n: &u32| if *n == 0 { json!([]) } else { json!([{"qty": n, "reason": "surface"}]) };
            let p = json!({"op": OPS[*op as usize], "report_id": e(w.fresh()), "good": good, "scrap": list(scrap),
                "rework": list(rework), "source": if *back { "rework" } else { "fresh" }});
            w.run(&lead(), "work-order.report-quantity", order, p)
        }
        Step::CompleteOp(op, q) => {
            let q = quantities(w, *q);
            w.run(
                &lead(),
                "work-order.complete-operation",
                order,
                json!({"op": OPS[*op as usize], "quantities": q, "confirm_shortfall": true}),
            )
        }
        Step::Unit(n) => w.run(
            &lead(),
            "work-order.register-unit",
            order,
            json!({"op": 30, "serial": format!("S-{n}"), "result": "good"}),
        ),
        Step::Allocate(n) => {
            w.run(&planner(), "work-order.allocate-serials", order, json!({"serials": [format!("S-{n}")]}))
        }
        Step::Hold => w.run(&lead(), "work-order.hold", order, json!({"reason": "quality_hold"})),
        Step::ResumeOrder => w.run(&lead(), "work-order.resume", order, json!({})),
        Step::Complete => w.run(&lead(), "work-order.complete", order, json!({})),
        Step::Cancel => w.run(&planner(), "work-order.cancel", order, json!({"reason": "no_demand"})),
        Step::Close => w.run(&admin(), "work-order.close", order, json!({"force": true})),
        Step::ShortClose => {
            w.run(&planner(), "work-order.short-close", order, json!({"reason": "no_demand", "remainder": "drop"}))
        }
        Step::Reopen => {
            let who = if w.order(order).state == WorkOrderState::Closed { admin() } else { planner() };
            w.run(&who, "work-order.reopen", order, json!({"reason": "wrong_data"}))
        }
        Step::ChangeQuantity(n) => {
            w.run(&planner(), "work-order.change-quantity", order, json!({"new_qty": n, "reason": "x"}))
        }
        Step::Wait(secs) => {
            w.later(i64::from(*secs) * 1000);
            return;
        }
    };
    if let Ok(d) = r {
        // Totals in a report are what the fold comes to.
        for (_, event) in &d.events {
            if let Event::OperationQuantityReported(x) = event {
                let o = w.order(order).operation(x.op).unwrap();
                assert_eq!((o.good, o.scrap, o.rework_open), (x.totals.good, x.totals.scrap, x.totals.rework_open));
            }
            if let Event::WorkOrderCompleted(x) = event {
                let o = w.order(order);
                assert!(invariants::i4_holds(o), "I4 at the completion");
                assert_eq!((x.good, x.scrap), (o.produced_good(), o.scrap_total()));
            }
        }
    }
}

fn routed(w: &mut World, tolerance: u8, replace: bool, serial: bool) -> AggregateId {
    let mut p = World::create_payload(if serial { "pump-200" } else { "bracket-10" }, 6);
    p["routing"] = json!([{"op": 10, "name": "a", "cell_id": "cell-1"},
        {"op": 20, "name": "b", "cell_id": "cell-1", "predecessors": [10], "overlap": "transfer_batch", "transfer_batch_qty": 2},
        {"op": 30, "name": "c", "cell_id": "cell-1", "predecessors": [10]}]);
    p["over_tolerance_pct"] = json!(tolerance);
    p["under_tolerance_pct"] = json!("50");
    p["replace_scrap"] = json!(replace);
    let order = w.create(p);
    w.release(order);
    order
}

const KINDS: [AggregateKind; 6] = [
    AggregateKind::WorkOrder,
    AggregateKind::Reference,
    AggregateKind::Equipment,
    AggregateKind::Unit,
    AggregateKind::Stock,
    AggregateKind::Inbox,
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// [`World::run`] holds every accepted decision against I1, I5 and I6.
    #[test]
    fn i1_i4_i5_hold_after_every_accepted_decision(
        steps in proptest::collection::vec(step(), 1..60), tolerance in 0..40u8, replace: bool, serial: bool
    ) {
        let mut w = World::new();
        let order = routed(&mut w, tolerance, replace, serial);
        for s in &steps {
            take(&mut w, order, s);
        }
        let o = w.order(order);
        let open = o.sessions().filter(|(_, s)| s.is_open()).count() as u32;
        let known: u32 = (0..3).map(|n| w.facts.sessions_of(&format!("operator-{n}").parse().unwrap())).sum();
        prop_assert_eq!(open, known);
        prop_assert_eq!(w.facts.order_state(order), Some(o.state));
    }

    /// I2, computed another way: whole numbers, and the last operations named by hand.
    #[test]
    fn i2_remaining_is_what_is_still_to_make(
        steps in proptest::collection::vec(step(), 1..60), tolerance in 0..40u8, replace: bool
    ) {
        let mut w = World::new();
        let order = routed(&mut w, tolerance, replace, false);
        for s in &steps {
            take(&mut w, order, s);
        }
        let o = w.order(order);
        let n = |q: Qty| q.to_string().parse::<i64>().unwrap();
        let op = |x: u16| o.operation(x).unwrap();
        let good = n(op(20).good).min(n(op(30).good));
        let scrap: i64 = OPS.iter().map(|x| n(op(*x).scrap)).sum();
        prop_assert_eq!(n(o.produced_good()), good);
        let planned = n(o.planned_qty);
        prop_assert_eq!(n(o.remaining()), (planned - good - if replace { 0 } else { scrap }).max(0));
        let input = planned + planned * i64::from(tolerance) / 100 + if replace { scrap } else { 0 };
        prop_assert!(n(op(10).processed()) <= input);
        prop_assert!(n(op(20).processed()) <= n(op(10).good) && n(op(30).processed()) <= n(op(10).good));
        prop_assert_eq!(i64::from(o.progress_pct()), (good * 100 / planned).min(100));
    }

    /// Any events in any order, of any stream: folding and learning never fail, and never make
    /// one kind of aggregate into another.
    #[test]
    fn folding_is_total(
        picks in proptest::collection::vec((any::<prop::sample::Index>(), 0..3u128, 0..KINDS.len() as u8, -HOUR..HOUR), 1..80)
    ) {
        let history = history();
        let mut facts = Production::new();
        let mut states: [ProductionState; 3] = Default::default();
        for (pick, stream, kind, at) in picks {
            let event = pick.get(&history);
            let kind = KINDS[kind as usize];
            let stream_id = StreamId::new(kind, id(stream));
            let meta = EventMeta {
                event_id: EventId(Default::default()),
                version: Version(1),
                occurred_at: crate::fixture::t0().plus_millis(at),
                recorded_at: crate::fixture::t0(),
                account: "a".parse().unwrap(),
                role: None,
                late: false,
            };
            let state = &mut states[stream as usize];
            let before = std::mem::discriminant(state);
            let was_none = *state == ProductionState::None;
            Production::evolve(state, &stream_id, event, &meta);
            facts.observe(&stream_id, event, &meta);
            prop_assert!(was_none || before == std::mem::discriminant(state));
            if let Some(o) = state.work_order() {
                let _ = (o.remaining(), o.progress_pct(), invariants::violations(o));
                for op in &o.operations {
                    let _ = (o.operation_state(op), crate::times::of(o, op.op, meta.occurred_at));
                }
            }
        }
    }
}

/// The events of a rich history, from the commands themselves, and one of every type that there is.
fn history() -> Vec<Event> {
    let mut w = World::new();
    let mut events = Vec::new();
    let pump = id(1);
    let mut run = |w: &mut World, who: &mw_contract::decide::Actor, command: &str, order, p| {
        let d = w.run(who, command, order, p).unwrap();
        events.extend(d.events.into_iter().map(|(_, e)| e));
    };
    let bom = json!([{"line_no": 1, "item_id": "motor", "qty_per_unit": "2", "backflush": true}]);
    let mut p = World::create_payload("pump-200", 2);
    p["bom"] = bom;
    run(&mut w, &planner(), "work-order.create", pump, p);
    run(
        &mut w,
        &planner(),
        "work-order.amend",
        pump,
        json!({"over_tolerance_pct": "50", "routing_ref": "pump-200", "sales_order_ref": "S"}),
    );
    run(&mut w, &planner(), "work-order.plan", pump, World::plan_payload());
    run(&mut w, &planner(), "work-order.release", pump, json!({}));
    run(&mut w, &planner(), "work-order.allocate-serials", pump, json!({"serials": ["A", "B"]}));
    for (op, cell, s) in [(10, "cell-1", 1), (20, "cell-2", 3)] {
        run(
            &mut w,
            &lead(),
            "work-order.start-operation",
            pump,
            json!({"op": op, "session_id": e(s), "cell_id": cell}),
        );
        w.later(MINUTE);
        run(&mut w, &lead(), "work-order.hold", pump, json!({"reason": "quality_hold"}));
        run(&mut w, &lead(), "work-order.resume", pump, json!({}));
        run(&mut w, &lead(), "work-order.resume-operation", pump, json!({"op": op, "session_id": e(s + 1)}));
        let q = json!({"report_id": e(s), "good": 2, "rework": [{"qty": 1, "reason": "surface"}]});
        if op == 10 {
            run(
                &mut w,
                &lead(),
                "work-order.complete-operation",
                pump,
                json!({"op": op, "quantities": {"report_id": e(s), "good": 3}}),
            );
        } else {
            run(&mut w, &lead(), "work-order.complete-operation", pump, json!({"op": op, "quantities": q}));
        }
    }
    let back = json!({"op": 20, "report_id": e(9), "source": "rework", "scrap": [{"qty": 1, "reason": "surface"}]});
    run(&mut w, &lead(), "work-order.report-quantity", pump, back);
    for s in ["A", "B"] {
        run(
            &mut w,
            &lead(),
            "work-order.register-unit",
            pump,
            json!({"serial": s, "op": 20, "result": "good", "lot": "L"}),
        );
    }
    run(&mut w, &lead(), "work-order.add-note", pump, json!({"note_id": e(1), "text": "n"}));
    run(&mut w, &lead(), "work-order.complete", pump, json!({}));
    run(&mut w, &admin(), "work-order.close", pump, json!({"force": true}));
    run(&mut w, &planner(), "work-order.create", id(2), World::create_payload("bracket-10", 2));
    run(&mut w, &planner(), "work-order.cancel", id(2), json!({"reason": "no_demand"}));
    let why = json!({"reason": "wrong_data"});
    run(&mut w, &planner(), "work-order.reopen", id(2), why.clone());
    for (command, p) in [
        ("change-due-date", json!({"new_due_at": "2026-04-01T09:00:00.000Z", "reason": "x"})),
        ("change-priority", json!({"new_priority": 1, "reason": "x"})),
        ("plan", World::plan_payload()),
        ("unplan", why.clone()),
        ("plan", World::plan_payload()),
        ("reschedule", json!({"planned_end": "2026-03-04T08:00:00.000Z", "operations": [{"op": 10}], "reason": "x"})),
        ("release", json!({})),
        ("revoke-release", why.clone()),
        ("release", json!({})),
        ("assign", json!({"op": 10, "operators": ["operator-1"], "crew": "early", "cell_id": "cell-1"})),
        ("unassign", json!({"op": 10, "operators": ["operator-1"]})),
        ("change-quantity", json!({"new_qty": 9, "reason": "x"})),
        ("add-operation", json!({"op": 20, "name": "deburr", "cell_class": "x", "reason": "quality"})),
        ("skip-operation", json!({"op": 20, "reason": "quality"})),
        ("assign-lot", json!({"lot": "L"})),
        ("allocate-serials", json!({"serials": ["X"]})),
        ("void-serial", json!({"serial": "X", "reason": "wrong_data"})),
        ("link", json!({"kind": "ticket", "id": "T", "relation": "blocks"})),
    ] {
        run(&mut w, &planner(), &format!("work-order.{command}"), id(2), p);
    }
    run(
        &mut w,
        &lead(),
        "work-order.start-operation",
        id(2),
        json!({"op": 10, "session_id": e(20), "cell_id": "cell-1"}),
    );
    run(&mut w, &lead(), "work-order.report-quantity", id(2), json!({"op": 10, "report_id": e(20), "good": 1}));
    w.later(MINUTE);
    let earlier = json!({"session_id": e(20), "new_start": "2026-03-02T09:00:30.000Z", "reason": "wrong_data"});
    run(&mut w, &lead(), "work-order.correct-session", id(2), earlier);
    let less = json!({"report_id": e(20), "good": 2, "reason": "wrong_data"});
    run(&mut w, &lead(), "work-order.correct-report", id(2), less);
    run(&mut w, &lead(), "work-order.complete-operation", id(2), json!({"op": 10, "confirm_shortfall": true}));
    run(&mut w, &lead(), "work-order.reopen-operation", id(2), json!({"op": 10, "reason": "quality"}));
    run(&mut w, &planner(), "work-order.short-close", id(2), json!({"reason": "no_demand", "remainder": "drop"}));
    run(&mut w, &planner(), "work-order.reopen", id(2), why);
    let cell = reference_id(ReferenceKind::Cell, &"cell-1".parse().unwrap());
    run(
        &mut w,
        &planner(),
        "reference.put",
        cell,
        json!({"kind": "cell", "code": "cell-1", "document": {"line": "line-1"}}),
    );
    run(&mut w, &planner(), "reference.retire", cell, json!({"kind": "cell", "code": "cell-1"}));
    events.extend(event::samples::all());
    events
}
