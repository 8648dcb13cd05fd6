//! The inspections and nonconformances of an order, folded, and what can be read from them.

use std::collections::BTreeMap;

use mw_contract::command::work_order::OpNo;
use mw_contract::decide::EventMeta;
use mw_contract::event::parts::ReworkV1;
use mw_contract::{
    Disposition, EntityId, Event, InspectionKind, InspectionPlan, Instant, Qty, ReasonCode, ReworkMode, SessionKind,
    Text, Tracking, UnitResult, Verdict,
};

use crate::state::{Operation, WorkOrder};

/// What is known of the quality of an order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quality {
    /// In the order in which they were recorded.
    pub inspections: Vec<Inspection>,
    pub ncrs: BTreeMap<EntityId, Ncr>,
}

/// Somebody looked at pieces.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    pub id: EntityId,
    /// None: the order as a whole.
    pub op: Option<OpNo>,
    pub kind: InspectionKind,
    pub passed: bool,
    pub sample_size: u32,
    pub serials: Vec<Text<60>>,
    pub at: Instant,
}

/// Pieces that are not as they should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Ncr {
    pub op: Option<OpNo>,
    pub qty: Qty,
    pub severity: u8,
    pub defect: ReasonCode,
    /// The pieces are set apart.
    pub contain: bool,
    pub stands: NcrState,
}

/// How far a nonconformance has come.
#[derive(Clone, Debug, PartialEq)]
pub enum NcrState {
    /// Somebody must say what becomes of the pieces.
    Open,
    /// Somebody has, then; `rework` where pieces go through operations again.
    Dispositioned { at: Instant, rework: Option<ReworkV1> },
    /// Done and checked.
    Closed,
}

impl Ncr {
    /// Is there still something to do?
    pub fn is_open(&self) -> bool {
        self.stands != NcrState::Closed
    }

    /// Its state, as it is written.
    pub const fn state(&self) -> &'static str {
        match self.stands {
            NcrState::Open => "open",
            NcrState::Dispositioned { .. } => "dispositioned",
            NcrState::Closed => "closed",
        }
    }
}

impl Quality {
    /// Nonconformances with something to do.
    pub fn open_ncrs(&self) -> impl Iterator<Item = (EntityId, &Ncr)> {
        self.ncrs.iter().filter(|(_, n)| n.is_open()).map(|(id, n)| (*id, n))
    }

    /// The last inspection that names a piece.
    pub fn last_of(&self, serial: &Text<60>) -> Option<&Inspection> {
        self.inspections.iter().rev().find(|i| i.serials.contains(serial))
    }

    pub(crate) fn fold(&mut self, event: &Event, meta: &EventMeta) {
        match event {
            Event::InspectionRecorded(e) => self.inspections.push(Inspection {
                id: e.inspection_id,
                op: e.op,
                kind: e.kind,
                passed: e.verdict != Verdict::Fail,
                sample_size: e.sample_size,
                serials: e.serials.clone(),
                at: meta.occurred_at,
            }),
            Event::NonconformanceRaised(e) => {
                let ncr = Ncr {
                    op: e.op,
                    qty: e.qty,
                    severity: e.severity,
                    defect: e.defect_code.clone(),
                    contain: e.contain,
                    stands: NcrState::Open,
                };
                self.ncrs.insert(e.ncr_id, ncr);
            }
            Event::NonconformanceDispositioned(e) => {
                let reworked = e.lines.iter().any(|l| l.disposition == Disposition::Rework);
                let rework = reworked.then(|| {
                    let here =
                        ReworkV1 { mode: ReworkMode::SameOrder, operations: Vec::new(), new_work_order_id: None };
                    e.rework.clone().unwrap_or(here)
                });
                self.stand(e.ncr_id, NcrState::Dispositioned { at: meta.occurred_at, rework });
            }
            Event::NonconformanceReturned(e) => self.stand(e.ncr_id, NcrState::Open),
            Event::NonconformanceClosed(e) => self.stand(e.ncr_id, NcrState::Closed),
            _ => {}
        }
    }

    fn stand(&mut self, id: EntityId, stands: NcrState) {
        if let Some(n) = self.ncrs.get_mut(&id) {
            n.stands = stands;
        }
    }
}

/// Has an operation the inspection that its plan demands? The last one of a kind that counts
/// decides; a re-inspection counts for every plan.
pub fn is_inspected(order: &WorkOrder, op: &Operation) -> bool {
    let counts = |k: InspectionKind| match op.inspection {
        InspectionPlan::None => false,
        InspectionPlan::FirstPiece => matches!(k, InspectionKind::FirstPiece | InspectionKind::ReInspection),
        InspectionPlan::Sampling | InspectionPlan::Each => k != InspectionKind::FirstPiece,
        InspectionPlan::Final => matches!(k, InspectionKind::Final | InspectionKind::ReInspection),
    };
    if op.inspection == InspectionPlan::None {
        return true;
    }
    let of_op = |i: &&Inspection| i.op.is_none_or(|n| n == op.op) && counts(i.kind);
    let all = || order.quality.inspections.iter().filter(of_op);
    let passed = all().next_back().is_some_and(|i| i.passed);
    passed && (op.inspection != InspectionPlan::Each || each_was_looked_at(order, op, all().filter(|i| i.passed)))
}

/// Every good unit by its serial number, or as many pieces as are good.
fn each_was_looked_at<'a>(order: &WorkOrder, op: &Operation, passed: impl Iterator<Item = &'a Inspection>) -> bool {
    if order.tracking == Tracking::Serial {
        let good = order.units.iter().filter(|(_, u)| u.result == UnitResult::Good && !u.voided && u.op == op.op);
        return good.into_iter().all(|(s, _)| order.quality.last_of(s).is_some_and(|i| i.passed));
    }
    passed.map(|i| Qty::whole(i.sample_size)).sum::<Qty>() >= op.good
}

/// After a setup the first piece must pass before more are made.
pub fn first_piece_is_missing(order: &WorkOrder, op: &Operation) -> bool {
    if op.inspection != InspectionPlan::FirstPiece {
        return false;
    }
    let Some(setup) = op.sessions.iter().filter(|s| s.kind == SessionKind::Setup).map(|s| s.started_at).max() else {
        return false;
    };
    let counts = |i: &&Inspection| {
        i.op.is_none_or(|n| n == op.op)
            && matches!(i.kind, InspectionKind::FirstPiece | InspectionKind::ReInspection)
            && i.at >= setup
    };
    !order.quality.inspections.iter().rfind(counts).is_some_and(|i| i.passed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::World;
    use mw_contract::InspectionKind as Kind;

    fn looked(op: Option<u16>, kind: Kind, passed: bool, sample_size: u32, serials: &[&str]) -> Inspection {
        Inspection {
            id: EntityId(uuid::Uuid::nil()),
            op,
            kind,
            passed,
            sample_size,
            serials: serials.iter().map(|s| Text::new(s).unwrap()).collect(),
            at: crate::fixture::t0(),
        }
    }

    /// Is operation 10 inspected, with this plan and after these looks at it?
    fn inspected(order: &WorkOrder, plan: InspectionPlan, looks: &[Inspection]) -> bool {
        let mut o = order.clone();
        o.quality.inspections = looks.to_vec();
        let mut op = o.operations[0].clone();
        op.inspection = plan;
        is_inspected(&o, &op)
    }

    #[test]
    fn each_plan_has_the_inspections_that_count_for_it() {
        let mut w = World::new();
        let id = w.running_bracket(5);
        w.good(id, 10, 3);
        let order = w.order(id).clone();
        let all = [Kind::FirstPiece, Kind::InProcess, Kind::Final, Kind::ReInspection];
        for (plan, counts) in [
            (InspectionPlan::None, [true; 4]),
            (InspectionPlan::FirstPiece, [true, false, false, true]),
            (InspectionPlan::Sampling, [false, true, true, true]),
            (InspectionPlan::Each, [false, true, true, true]),
            (InspectionPlan::Final, [false, false, true, true]),
        ] {
            for (kind, counts) in all.into_iter().zip(counts) {
                assert_eq!(
                    inspected(&order, plan, &[looked(Some(10), kind, true, 3, &[])]),
                    counts,
                    "{plan:?} {kind:?}"
                );
                assert_eq!(inspected(&order, plan, &[looked(None, kind, true, 3, &[])]), counts, "of the whole order");
            }
            let none = plan == InspectionPlan::None;
            assert_eq!(inspected(&order, plan, &[]), none);
            assert_eq!(inspected(&order, plan, &[looked(Some(20), Kind::ReInspection, true, 3, &[])]), none);
            // The last one decides.
            let (good, bad) = (
                looked(Some(10), Kind::ReInspection, true, 3, &[]),
                looked(Some(10), Kind::ReInspection, false, 3, &[]),
            );
            assert_eq!(inspected(&order, plan, &[good.clone(), bad.clone()]), none);
            assert!(inspected(&order, plan, &[bad, good]));
        }
    }

    #[test]
    fn each_means_as_many_as_are_good_or_every_good_unit_by_its_number() {
        let mut w = World::new();
        let id = w.running_bracket(5);
        w.good(id, 10, 3);
        let order = w.order(id).clone();
        let look = |n| looked(Some(10), Kind::InProcess, true, n, &[]);
        assert!(!inspected(&order, InspectionPlan::Each, &[look(2)]));
        assert!(inspected(&order, InspectionPlan::Each, &[look(2), look(1)]));
        assert!(inspected(&order, InspectionPlan::Sampling, &[look(1)]), "of a sample that is enough");

        let id = w.pump(4);
        w.release(id);
        w.start(&crate::fixture::lead(), id, 10, "cell-1");
        w.good(id, 10, 3);
        for (serial, result) in [("S-1", "good"), ("S-2", "scrap"), ("S-3", "good")] {
            let p = serde_json::json!({"serial": serial, "op": 10, "result": result});
            w.lead("work-order.register-unit", id, p).unwrap();
        }
        let order = w.order(id).clone();
        assert_eq!(order.tracking, Tracking::Serial);
        let look = |passed, serials: &[&str]| looked(Some(10), Kind::InProcess, passed, 9, serials);
        assert!(!inspected(&order, InspectionPlan::Each, &[look(true, &["S-1"])]), "S-3 was not looked at");
        assert!(inspected(&order, InspectionPlan::Each, &[look(true, &["S-1"]), look(true, &["S-3"])]));
        let (failed, other) = (look(false, &["S-1"]), look(true, &["S-3"]));
        assert!(!inspected(&order, InspectionPlan::Each, &[look(true, &["S-1"]), failed, other]), "S-1 failed later");
        // A good one of another operation, and one that was voided, are not asked for.
        let mut elsewhere = order.clone();
        let key = Text::new("S-3").unwrap();
        elsewhere.units.get_mut(&key).unwrap().op = 20;
        assert!(inspected(&elsewhere, InspectionPlan::Each, &[look(true, &["S-1"])]));
        let mut voided = order;
        voided.units.get_mut(&key).unwrap().voided = true;
        assert!(inspected(&voided, InspectionPlan::Each, &[look(true, &["S-1"])]));
    }
}
