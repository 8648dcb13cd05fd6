//! The group-commit writer: order, batches, and the stop for good.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};
use mw_contract::Context;
use mw_contract::commit::{Head, StoredCommit};
use mw_log::bench::commit_of;
use mw_log::{
    CheckpointKey, Completion, Decider, Decision, EventLog, LogError, MemoryLog, OpenOptions, SledLog, TrySubmit,
    Writer,
};

enum Told {
    Durable(u32, Option<Arc<StoredCommit>>),
    Failed(Vec<u32>, LogError),
}

struct Echo(Sender<Told>, Arc<AtomicUsize>);

impl Completion<u32> for Echo {
    fn durable(&mut self, batch: Vec<(Option<Arc<StoredCommit>>, u32)>) {
        self.1.fetch_max(batch.iter().filter(|(c, _)| c.is_some()).count(), Ordering::SeqCst);
        for (c, t) in batch {
            self.0.send(Told::Durable(t, c)).unwrap();
        }
    }

    fn failed(&mut self, tickets: Vec<u32>, why: &LogError) {
        self.0.send(Told::Failed(tickets, why.clone())).unwrap();
    }
}

/// Even jobs are stored, odd ones only answered.
struct Even {
    heads: VecDeque<Head>,
    seen: Sender<Head>,
}

impl Decider for Even {
    type Job = u32;
    type Ticket = u32;

    fn decide(&mut self, job: u32, at: Head) -> Decision<u32> {
        self.heads.push_back(at);
        self.seen.send(at).unwrap();
        if job.is_multiple_of(2) { Decision::Commit(commit_of(20), job) } else { Decision::Answer(job) }
    }
}

struct Rig {
    writer: Writer<u32>,
    told: Receiver<Told>,
    decided: Receiver<Head>,
    largest: Arc<AtomicUsize>,
}

fn rig(log: Arc<dyn EventLog>, queue: usize) -> Rig {
    let (seen, decided) = unbounded();
    let (tell, told) = unbounded();
    let largest = Arc::new(AtomicUsize::new(0));
    let writer = Writer::spawn(log, Even { heads: VecDeque::new(), seen }, Echo(tell, largest.clone()), queue);
    Rig { writer, told, decided, largest }
}

const SOON: Duration = Duration::from_secs(20);

#[test]
fn answers_keep_the_order_of_the_queue_and_follow_what_is_stored() {
    let log = Arc::new(MemoryLog::new(Context::Production));
    let r = rig(log.clone(), 64);
    for i in 0..1000 {
        r.writer.submit(i).unwrap();
    }
    let mut stored = 0;
    for i in 0..1000 {
        match r.told.recv_timeout(SOON).unwrap() {
            Told::Durable(t, c) => {
                assert_eq!(t, i);
                assert_eq!(c.is_some(), i % 2 == 0);
                if let Some(c) = c {
                    stored += 1;
                    assert_eq!(c.number.0, stored);
                    assert!(log.head().commit >= c.number, "told before it was stored");
                }
            }
            Told::Failed(_, e) => panic!("{e}"),
        }
    }
    r.writer.close().unwrap();
    assert!(r.writer.submit(1).is_err());
    // A decision is told the head that its commit follows.
    let heads: Vec<u64> = r.decided.try_iter().map(|h| h.commit.0).collect();
    assert_eq!(heads, (0u64..1000).map(|i| u64::midpoint(i, 1)).collect::<Vec<_>>());
}

#[test]
fn closing_stores_what_is_queued_and_batches_stay_within_their_bound() {
    let dir = tempfile::tempdir().unwrap();
    let key = CheckpointKey::load_or_create(&dir.path().join("keys/checkpoint.key")).unwrap();
    let log = SledLog::open(OpenOptions::under(dir.path(), Context::Production, Arc::new(key))).unwrap();
    let r = rig(log.clone(), 4096);
    for i in 0..3000 {
        r.writer.submit(i * 2).unwrap();
    }
    r.writer.close().unwrap();
    assert_eq!(log.head().commit.0, 3000);
    assert_eq!(r.told.try_iter().count(), 3000);
    let largest = r.largest.load(Ordering::SeqCst);
    assert!((2..=128).contains(&largest), "largest batch {largest}");
}

#[test]
fn a_full_queue_says_so_and_gives_the_job_back() {
    struct Stuck(Receiver<()>);
    impl Decider for Stuck {
        type Job = u32;
        type Ticket = u32;
        fn decide(&mut self, job: u32, _: Head) -> Decision<u32> {
            let _ = self.0.recv();
            Decision::Answer(job)
        }
    }
    let (go, wait) = unbounded();
    let (tell, told) = unbounded();
    let log = Arc::new(MemoryLog::new(Context::Production));
    let writer = Writer::spawn(log, Stuck(wait), Echo(tell, Arc::default()), 2);
    let mut accepted = 0;
    let given_back = loop {
        match writer.try_submit(accepted) {
            Ok(()) => accepted += 1,
            Err(TrySubmit::Full(job)) => break job,
            Err(e) => panic!("{e}"),
        }
        assert!(accepted < 10);
    };
    assert_eq!(given_back, accepted);
    drop(go);
    writer.close().unwrap();
    assert_eq!(told.try_iter().count() as u32, accepted);
    assert!(matches!(writer.try_submit(1), Err(TrySubmit::Stopped(1))));
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_and_everyone_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let key = CheckpointKey::load_or_create(&dir.path().join("keys/checkpoint.key")).unwrap();
    let fail = Arc::new(AtomicBool::new(false));
    let f = fail.clone();
    let o = OpenOptions::under(dir.path(), Context::Production, Arc::new(key)).sync_with(move |file| {
        if f.load(Ordering::SeqCst) { Err(io::Error::other("the disk is gone")) } else { file.sync_data() }
    });
    let log = SledLog::open(o).unwrap();
    let r = rig(log.clone(), 512);
    r.writer.submit(0).unwrap();
    assert!(matches!(r.told.recv_timeout(SOON).unwrap(), Told::Durable(0, Some(_))));
    fail.store(true, Ordering::SeqCst);
    let mut queued = Vec::new();
    for i in 1..=200 {
        // The first ones are taken; the rest are refused at the door once the failure is known.
        match r.writer.submit(i * 2) {
            Ok(()) => queued.push(i * 2),
            Err(_) => break,
        }
    }
    let mut told = Vec::new();
    match r.told.recv_timeout(SOON).unwrap() {
        Told::Failed(t, e) => {
            told.extend(t);
            assert!(e.to_string().contains("the disk is gone"), "{e}");
        }
        Told::Durable(t, _) => panic!("{t} was acknowledged"),
    }
    fail.store(false, Ordering::SeqCst);
    assert!(r.writer.submit(999).is_err(), "it stays stopped when the disk comes back");
    assert!(r.writer.close().is_err());
    assert!(r.told.try_iter().next().is_none());
    assert_eq!(told, queued[..told.len()], "in order, and nobody is left out");
    assert_eq!(log.head().commit.0, 1);
    assert!(r.writer.on_failure().borrow().is_some());
}

#[test]
fn a_decider_that_panics_stops_the_writer_loudly() {
    struct Panics;
    impl Decider for Panics {
        type Job = u32;
        type Ticket = u32;
        fn decide(&mut self, _: u32, _: Head) -> Decision<u32> {
            panic!("a bug")
        }
    }
    let (tell, _told) = unbounded();
    let writer = Writer::spawn(Arc::new(MemoryLog::new(Context::Production)), Panics, Echo(tell, Arc::default()), 8);
    writer.submit(1).unwrap();
    assert!(writer.close().unwrap_err().to_string().contains("panicked"));
    assert!(writer.submit(2).is_err());
}
