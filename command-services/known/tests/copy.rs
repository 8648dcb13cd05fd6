//! What production does, and what after-service knows of it: at once, after a restart, after the log
//! was away, and when the log tells another history.

mod plant;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mw_after_service::known::{Known, Unit};
use mw_contract::event::samples;
use mw_contract::reference::Document;
use mw_contract::{
    CommitNumber, Context, Event, Head, OrderType, ReferenceKind, StoredCommit, StreamId, Text, UnitStatus,
    WarrantyBasis, WorkOrderState, equipment_id,
};
use mw_known::{Handle, Progress, Store, start};
use mw_log::{EventLog, LocalReader, LogError, LogReader, MemoryLog};
use serde_json::json;
use tokio::sync::oneshot;

use plant::{Plant, id};

const SOON: Duration = Duration::from_secs(60);

/// A log that may be out of reach.
struct MayFail {
    log: LocalReader,
    away: AtomicBool,
}

impl MayFail {
    fn new(log: &Arc<MemoryLog>) -> Arc<Self> {
        Arc::new(MayFail { log: LocalReader(log.clone()), away: AtomicBool::new(false) })
    }

    fn check(&self) -> Result<(), LogError> {
        if self.away.load(Ordering::SeqCst) { Err(LogError::Remote("nobody answers".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl LogReader for MayFail {
    fn context(&self) -> Context {
        Context::Production
    }
    async fn read(&self, from: CommitNumber, limit: usize) -> Result<Vec<Arc<StoredCommit>>, LogError> {
        self.check()?;
        self.log.read(from, limit).await
    }
    async fn head(&self) -> Result<Head, LogError> {
        self.check()?;
        self.log.head().await
    }
    async fn wait(&self, seen: CommitNumber) -> Result<(), LogError> {
        self.check()?;
        self.log.wait(seen).await
    }
}

/// A service at work; it ends when this is dropped or [`Running::stop`]ped.
struct Running {
    handle: Handle,
    known: Arc<dyn Known>,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

fn run(dir: &Path, reader: Arc<dyn LogReader>) -> Running {
    let (handle, service) = start(dir, reader).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(service.run(async move { drop(stopped.await) }));
    Running { known: handle.known(), handle, stop, task }
}

impl Running {
    async fn sees(&self, plant: &Plant) {
        let head = plant.log.head().commit;
        assert!(tokio::time::timeout(SOON, self.handle.reached(head)).await.unwrap());
    }

    async fn until(&self, what: impl FnMut(&Progress) -> bool) -> Progress {
        let mut progress = self.handle.progress();
        let found = tokio::time::timeout(SOON, progress.wait_for(what)).await.unwrap().unwrap();
        found.clone()
    }

    async fn stop(self) {
        drop(self.stop);
        self.task.await.unwrap();
    }

    fn pump(&self, serial: &str) -> Option<Unit> {
        let mut found = self.known.units(&Text::new(serial).unwrap());
        assert!(found.len() < 2);
        found.pop()
    }
}

fn local(plant: &Plant) -> Arc<dyn LogReader> {
    Arc::new(LocalReader(plant.log.clone()))
}

/// A pump with a life.
fn story(p: &mut Plant) {
    let unit = p.pump(id(1), "SN-1");
    p.run("unit.ship", unit, json!({"customer_id": "acme"}));
    p.run("unit.record-reading", unit, json!({"name": "hours", "value": 100}));
    p.run("unit.record-reading", unit, json!({"name": "hours", "value": 20, "reset": true}));
    let swap = json!({"removed": [{"item_id": "motor", "serial": "C-9", "qty": 1}],
        "added": [{"item_id": "motor", "serial": "C-12", "qty": 1}]});
    p.run("unit.change-component", unit, swap);
    let machine = equipment_id(&"cell-1".parse().unwrap());
    p.run("equipment.register", machine, json!({"code": "cell-1", "class": "press"}));
    p.run("equipment.record-counter", machine, json!({"name": "strokes", "value": 500}));
}

#[tokio::test]
async fn a_unit_is_known_with_its_order_owner_warranty_counters_and_components() {
    let dir = tempfile::tempdir().unwrap();
    let mut plant = Plant::demo(1);
    let r = run(dir.path(), local(&plant));
    story(&mut plant);
    r.sees(&plant).await;
    let u = r.pump("SN-1").unwrap();
    assert_eq!(u.unit_id, mw_contract::unit_id(&u.product_id, &u.serial));
    assert_eq!((u.product_id.as_str(), u.lot.unwrap().as_str()), ("pump-200", "lot-7"));
    assert_eq!((u.work_order_id, u.work_order_number.unwrap().as_str()), (Some(id(1)), "WO-2026-000001"));
    assert_eq!((u.line_id.unwrap().as_str(), u.site_id.unwrap().as_str()), ("line-1", "plant-1"));
    assert!(u.good && u.produced_at.is_some());
    assert_eq!((u.status, u.customer_id.unwrap().as_str()), (UnitStatus::Shipped, "acme"));
    let w = u.warranty.unwrap();
    assert_eq!((w.start.to_string(), w.end.to_string()), ("2026-03-02".into(), "2028-03-02".into()));
    assert_eq!((w.basis, w.void, w.counter), (WarrantyBasis::ShipDate, false, None));
    // Resets counted.
    assert_eq!(u.counters, [("hours".parse().unwrap(), "120".parse().unwrap())]);
    assert_eq!(u.components.iter().map(|c| c.as_str()).collect::<Vec<_>>(), ["C-12"]);
    assert!(u.open_recalls.is_empty());

    let o = r.known.order(id(1)).unwrap();
    assert_eq!((o.state, o.order_type), (WorkOrderState::Planned, OrderType::Production));
    assert_eq!(
        (o.number.as_str(), o.product_id.as_str(), o.site_id.as_str()),
        ("WO-2026-000001", "pump-200", "plant-1")
    );
    let m = r.known.machine(equipment_id(&"cell-1".parse().unwrap())).unwrap();
    assert_eq!((m.code.as_str(), m.class.unwrap().as_str(), m.site_id.as_str()), ("cell-1", "press", "plant-1"));
    assert_eq!((m.cell_id.unwrap().as_str(), m.line_id.unwrap().as_str()), ("cell-1", "line-1"));
    assert_eq!(m.counters, [("strokes".parse().unwrap(), "500".parse().unwrap())]);
    assert!(r.pump("SN-2").is_none() && r.known.order(id(2)).is_none() && r.known.machine(id(2)).is_none());
}

#[tokio::test]
async fn what_happens_to_a_unit_later_is_known_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut plant = Plant::demo(1);
    let r = run(dir.path(), local(&plant));
    story(&mut plant);
    let unit = mw_contract::unit_id(&"pump-200".parse().unwrap(), &Text::new("SN-1").unwrap());
    plant.run("unit.install", unit, json!({"installed_on": "2026-03-02"}));
    r.sees(&plant).await;
    let u = r.pump("SN-1").unwrap();
    assert_eq!((u.status, u.warranty.unwrap().basis), (UnitStatus::Installed, WarrantyBasis::Installation));
    plant.run("unit.change-status", unit, json!({"status": "in_repair", "ticket_id": id(9)}));
    r.sees(&plant).await;
    assert_eq!(r.pump("SN-1").unwrap().status, UnitStatus::InRepair);
    plant.run("unit.change-status", unit, json!({"status": "installed", "ticket_id": id(9)}));
    plant.run("unit.extend-warranty", unit, json!({"until": "2029-01-01", "reason": "goodwill"}));
    plant.run("unit.transfer", unit, json!({"customer_id": "other"}));
    r.sees(&plant).await;
    let u = r.pump("SN-1").unwrap();
    let w = u.warranty.unwrap();
    assert_eq!((w.end.to_string().as_str(), w.basis, w.void), ("2029-01-01", WarrantyBasis::Extension, false));
    assert_eq!(u.customer_id.unwrap().as_str(), "other");
    plant.run("unit.void-warranty", unit, json!({"reason": "misuse"}));
    plant.run("unit.recall", unit, json!({"campaign": "seal-26", "reason": "quality"}));
    r.sees(&plant).await;
    let u = r.pump("SN-1").unwrap();
    assert!(u.warranty.unwrap().void);
    assert_eq!(
        (u.status, u.open_recalls.iter().map(|c| c.as_str()).collect()),
        (UnitStatus::Recalled, vec!["seal-26"])
    );
    plant.run("unit.scrap", unit, json!({"reason": "quality"}));
    plant.run("work-order.cancel", id(1), json!({"reason": "no_demand"}));
    r.sees(&plant).await;
    assert_eq!(r.pump("SN-1").unwrap().status, UnitStatus::Scrapped);
    assert_eq!(r.known.order(id(1)).unwrap().state, WorkOrderState::Cancelled);
}

#[tokio::test]
async fn a_unit_is_known_as_soon_as_its_order_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut plant = Plant::demo(1);
    let r = run(dir.path(), local(&plant));
    let made = |e: &Event| matches!(e, Event::UnitRegistered(_));
    let mut event = samples::all().into_iter().find(made).unwrap();
    let Event::UnitRegistered(e) = &mut event else { panic!() };
    (e.serial, e.product_id) = (Text::new("SN-5").unwrap(), "pump-200".parse().unwrap());
    let unit = mw_contract::unit_id(&e.product_id, &e.serial);
    let p = json!({"product_id": "pump-200", "planned_qty": 5, "uom": "H87", "due_at": "2026-03-06T15:00:00.000Z"});
    plant.run("work-order.create", id(1), p);
    plant.store("work-order.register-unit", vec![(StreamId::new(mw_contract::AggregateKind::WorkOrder, id(1)), event)]);
    r.sees(&plant).await;
    let first = r.pump("SN-5").unwrap();
    assert_eq!((first.unit_id, first.work_order_id, first.site_id.unwrap().as_str()), (unit, Some(id(1)), "plant-1"));
    // Its own stream says the rest, and nothing stands twice.
    plant.unit("SN-5", Some(id(1)));
    r.sees(&plant).await;
    let u = r.pump("SN-5").unwrap();
    assert_eq!((u.lot.unwrap().as_str(), u.components.len()), ("lot-7", 1));
}

#[tokio::test]
async fn reference_data_is_in_use_until_it_is_retired() {
    let dir = tempfile::tempdir().unwrap();
    let mut plant = Plant::demo(1);
    let away = json!({"account": "technician-1", "from": "2026-03-02T00:00:00Z", "to": "2026-03-03T00:00:00Z", "present": false});
    plant.put("availability", "a-1", away.clone());
    plant.put(
        "availability",
        "a-2",
        json!({"account": "technician-2", "from": "2026-03-02T00:00:00Z", "to": "2026-03-03T00:00:00Z"}),
    );
    let check = |r: &Running, zone: &str, name: &str, absences: [usize; 2]| {
        let found = r.known.document(ReferenceKind::Site, "plant-1");
        assert!(matches!(found.as_deref(), Some(Document::Site(s)) if s.time_zone == zone), "{found:?}");
        assert_eq!(r.known.document(ReferenceKind::Customer, "acme").is_some(), name == "acme");
        let of = |a: &str| r.known.availability(&a.parse().unwrap()).len();
        assert_eq!([of("technician-1"), of("technician-2")], absences);
    };
    let r = run(dir.path(), local(&plant));
    r.sees(&plant).await;
    check(&r, "Europe/Berlin", "acme", [1, 1]);
    plant.put("site", "plant-1", json!({"time_zone": "UTC"}));
    let target = mw_contract::reference_id(ReferenceKind::Customer, &"acme".parse().unwrap());
    plant.run("reference.retire", target, json!({"kind": "customer", "code": "acme"}));
    // The document is somebody else's now.
    let mut theirs = away;
    theirs["account"] = json!("technician-2");
    plant.put("availability", "a-1", theirs);
    r.sees(&plant).await;
    check(&r, "UTC", "", [0, 2]);
    r.stop().await;
    check(&run(dir.path(), local(&plant)), "UTC", "", [0, 2]);
}

#[tokio::test]
async fn it_goes_on_where_it_stood_and_a_log_that_is_away_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut plant = Plant::demo(1);
    story(&mut plant);
    let r = run(dir.path(), local(&plant));
    assert!(r.handle.caught_up(SOON).await);
    r.stop().await;
    let head = plant.log.head().commit;
    plant.unit("SN-2", None);

    let log = MayFail::new(&plant.log);
    log.away.store(true, Ordering::SeqCst);
    let r = run(dir.path(), log.clone());
    let p = r.until(|p| p.trouble.is_some()).await;
    assert_eq!((p.head, p.live, p.whole), (head, false, true));
    // What an earlier life knew is there, and there is no longer wait for more.
    assert!(!r.handle.caught_up(Duration::ZERO).await);
    assert_eq!(r.handle.ready(), Ok(()));
    assert!(r.pump("SN-1").is_some() && r.pump("SN-2").is_none());
    log.away.store(false, Ordering::SeqCst);
    assert!(r.handle.caught_up(SOON).await);
    assert!(r.pump("SN-2").is_some());
    assert_eq!(r.until(|p| p.trouble.is_none()).await.head, plant.log.head().commit);
}

#[tokio::test]
async fn without_any_copy_nothing_is_decided_before_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut plant = Plant::demo(1);
    story(&mut plant);
    let log = MayFail::new(&plant.log);
    log.away.store(true, Ordering::SeqCst);
    let r = run(dir.path(), log.clone());
    r.until(|p| p.trouble.is_some()).await;
    assert!(r.handle.ready().unwrap_err().contains("nobody answers"));
    let waiting = tokio::spawn({
        let handle = r.handle.clone();
        async move { handle.caught_up(Duration::ZERO).await }
    });
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    log.away.store(false, Ordering::SeqCst);
    assert!(tokio::time::timeout(SOON, waiting).await.unwrap().unwrap());
    assert!(r.pump("SN-1").is_some());
    assert_eq!(r.handle.ready(), Ok(()));
}

#[tokio::test]
async fn a_log_with_another_history_makes_another_copy() {
    let dir = tempfile::tempdir().unwrap();
    let mut plant = Plant::demo(1);
    story(&mut plant);
    let r = run(dir.path(), local(&plant));
    r.sees(&plant).await;
    r.stop().await;
    for (seed, units) in [(2, 0), (3, 30)] {
        // Restored from a backup: shorter than the checkpoint at first, then longer.
        let mut other = Plant::demo(seed);
        for n in 0..units {
            other.unit(&format!("X-{n}"), None);
        }
        let r = run(dir.path(), local(&other));
        assert!(tokio::time::timeout(SOON, r.handle.caught_up(SOON)).await.unwrap());
        r.until(|p| p.head == other.log.head().commit).await;
        assert_eq!((r.pump("SN-1"), r.pump("X-7").is_some()), (None, units > 0));
        assert!(r.known.document(ReferenceKind::Site, "plant-1").is_some());
        r.stop().await;
    }
}

#[tokio::test]
async fn a_file_that_is_none_or_of_another_version_is_built_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut plant = Plant::demo(1);
    story(&mut plant);
    let path = dir.path().join("after-service.db");
    std::fs::write(&path, b"nothing of the kind").unwrap();
    let r = run(dir.path(), local(&plant));
    r.sees(&plant).await;
    assert!(r.pump("SN-1").is_some());
    r.stop().await;
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute("UPDATE checkpoint SET schema = 99", []).unwrap();
    conn.execute("UPDATE unit SET customer = 'wrong'", []).unwrap();
    drop(conn);
    let r = run(dir.path(), local(&plant));
    assert!(r.handle.caught_up(SOON).await);
    assert_eq!(r.pump("SN-1").unwrap().customer_id.unwrap().as_str(), "acme");
}

/// Every row of every table.
fn rows(dir: &Path) -> Vec<String> {
    let conn = rusqlite::Connection::open(dir.join("after-service.db")).unwrap();
    let mut all = Vec::new();
    for table in mw_known::tables::NAMES.iter().chain(&["checkpoint"]) {
        let mut found = conn.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = found.column_count();
        let row = |r: &rusqlite::Row<'_>| {
            let values: Vec<_> =
                (0..columns).map(|c| r.get_ref(c).map(|v| format!("{v:?}"))).collect::<Result<_, _>>()?;
            Ok(format!("{table} {values:?}"))
        };
        all.extend(found.query_map([], row).unwrap().map(Result::unwrap));
    }
    all
}

#[test]
fn one_history_makes_the_same_rows_whatever_the_batches_were() {
    let mut plant = Plant::demo(1);
    story(&mut plant);
    let commits = plant.log.read(CommitNumber(1), 10_000).unwrap();
    let made = [1, 7, commits.len()].map(|size| {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        for batch in commits.chunks(size) {
            store.apply(batch).unwrap();
            // A crash and a start between any two.
            drop(store);
            store = Store::open(dir.path()).unwrap();
        }
        drop(store);
        rows(dir.path())
    });
    assert!(made[0].len() > 20);
    assert_eq!(made[0], made[1]);
    assert_eq!(made[0], made[2]);
}

#[test]
fn every_event_of_production_is_taken_and_a_newer_one_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut plant = Plant::new(1);
    for e in samples::all() {
        let kind = e.event_type().aggregate();
        // As stored, sealed text is not plain; what has some is written with a vault elsewhere.
        if kind.context() == Context::Production && e.encode().is_ok() {
            plant.store("anything", vec![(StreamId::new(kind, id(1)), e)]);
        }
    }
    let mut commits = plant.log.read(CommitNumber(1), 10_000).unwrap();
    let mut unknown = (**commits.last().unwrap()).clone();
    unknown.number = unknown.number.next();
    unknown.events[0].event.event_type = "ReferencePut".into();
    unknown.events[0].event.schema = 99;
    commits.push(Arc::new(unknown));
    let mut store = Store::open(dir.path()).unwrap();
    store.apply(&commits).unwrap();
    assert_eq!(store.head().0, commits.len() as u64);
}
