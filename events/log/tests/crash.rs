//! A child appends and says what was acknowledged; it dies by SIGKILL at a random moment, again
//! and again over the same log. Nothing acknowledged may be missing or changed.
//!
//! 60 kills by default; `MILLWRIGHT_TORTURE=1` makes it 300.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use mw_contract::commit::{Head, NewCommit, StoredCommit};
use mw_contract::{CommandId, CommitNumber, Context};
use mw_log::bench::commit_of;
use mw_log::{CheckpointKey, Completion, Decider, Decision, EventLog, LogError, OpenOptions, SledLog, Writer};

const DIR: &str = "MW_LOG_CRASH_DIR";

fn open(dir: &Path) -> Arc<SledLog> {
    let key = CheckpointKey::load_or_create(&dir.join("keys/checkpoint.key")).unwrap();
    SledLog::open(OpenOptions::under(dir, Context::Production, Arc::new(key))).unwrap()
}

struct Store;

impl Decider for Store {
    type Job = NewCommit;
    type Ticket = ();
    fn decide(&mut self, job: NewCommit, _: Head) -> Decision<()> {
        Decision::Commit(job, ())
    }
}

struct Say;

impl Completion<()> for Say {
    fn durable(&mut self, batch: Vec<(Option<Arc<StoredCommit>>, ())>) {
        let mut out = std::io::stdout().lock();
        for (c, ()) in batch {
            let c = c.unwrap();
            let e = &c.events[0];
            writeln!(out, "acked {} {} {}", c.number, c.head.command_id, e.event.payload.len()).unwrap();
        }
        out.flush().unwrap();
    }

    fn failed(&mut self, _: Vec<()>, why: &LogError) {
        panic!("{why}");
    }
}

/// Not a test by itself: the child of the one below.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let log = open(Path::new(&dir));
    let writer = Writer::spawn(log, Store, Say, 256);
    let mut n = 0;
    loop {
        n += 1;
        // Some commits take several records.
        let bytes = if n % 50 == 0 { 9_000 } else { 100 + n % 400 };
        if writer.submit(commit_of(bytes)).is_err() {
            return;
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_sigkill() {
    let kills = if std::env::var_os("MILLWRIGHT_TORTURE").is_some() { 300 } else { 60 };
    let dir = tempfile::tempdir().unwrap();
    let mut acked: HashMap<CommitNumber, (CommandId, usize)> = HashMap::new();
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut mid_write = 0;
    for round in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // After some acknowledgements, then a moment more: the kill falls anywhere in a batch.
        let after = (random >> 33) % 400;
        let pause = Duration::from_micros((random >> 20) % 3000);
        let (mut heard, mut killed) = (0, false);
        for line in out.lines() {
            let Ok(line) = line else { break };
            // A torn last line is no acknowledgement.
            let Some((_, line)) = line.split_once("acked ") else { continue };
            let f: Vec<&str> = line.split(' ').collect();
            let [number, command, bytes] = f[..] else { continue };
            let (Ok(number), Ok(command), Ok(bytes)) = (number.parse(), command.parse(), bytes.parse()) else {
                continue;
            };
            let before = acked.insert(CommitNumber(number), (CommandId(command), bytes));
            assert!(before.is_none(), "round {round}: commit {number} was acknowledged twice");
            heard += 1;
            if heard >= after && !killed {
                std::thread::sleep(pause);
                child.kill().unwrap();
                killed = true;
            }
        }
        assert!(killed, "round {round}: the child ended by itself: {:?}", child.wait());
        child.wait().unwrap();
        let log = open(dir.path());
        let head = log.head().commit;
        let last_acked = acked.keys().max().copied().unwrap_or_default();
        assert!(head >= last_acked, "round {round}: {last_acked} was acknowledged, the log ends at {head}");
        mid_write += u32::from(head > last_acked);
        check(&log, &acked, round);
        log.close().unwrap();
    }
    println!("{kills} kills, {} acknowledged commits, {mid_write} kills left commits nobody had heard of", acked.len());
}

fn check(log: &SledLog, acked: &HashMap<CommitNumber, (CommandId, usize)>, round: u32) {
    let (mut from, mut found) = (CommitNumber(1), 0);
    loop {
        let commits = log.read(from, 5000).unwrap();
        let Some(last) = commits.last() else { break };
        from = last.number.next();
        for c in &commits {
            if let Some((command, bytes)) = acked.get(&c.number) {
                assert_eq!((c.head.command_id, c.events[0].event.payload.len()), (*command, *bytes), "round {round}");
                assert!(c.events[0].event.payload.iter().all(|b| *b == 0x5a), "round {round}: {} changed", c.number);
                found += 1;
            }
        }
    }
    assert_eq!(found, acked.len(), "round {round}: acknowledged commits are missing");
}
